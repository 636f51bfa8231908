//! `status-envelope show`: every field with its place, so that the lengths add up to the whole.

use std::fmt::Write as _;

use serde_json::{Value, json};
use statuskit_core::{
    crypto::{PublicKey, ecies},
    envelope::Envelope,
    rlp::{self, Reader},
};

use crate::{
    context::Context,
    envelope::each_envelope_or,
    error::{CliError, Result},
    input::{Content, InputArgs, Item},
    output::{Record, hex0x},
    records::envelope_record,
};

pub fn run(inputs: &InputArgs, cx: &mut Context) -> Result<()> {
    let whole = |cx: &mut Context, envelope: Envelope, _| {
        let fields = fields(&envelope);
        let record = envelope_record(&envelope)
            .with("rlp_len", envelope.raw().len())
            .with("rlp_without_nonce_len", envelope.rlp4_len())
            .with("leading_zero_bits", envelope.leading_zero_bits())
            .with("data_len", envelope.data().len())
            .with("encryption", encryption(&envelope))
            .with("fields", fields);
        cx.emit(&record, text)
    };
    each_envelope_or(cx, inputs, whole, show_cut)
}

/// Shows the fields that are there of an envelope that ends too early, and how much is missing.
fn show_cut(cx: &mut Context, item: &Item, error: CliError) -> Result<()> {
    let Content::Bytes(bytes) = &item.content else { return Err(error.into()) };
    let Some(missing) = rlp::list_size(bytes).and_then(|size| size.checked_sub(bytes.len())) else {
        return Err(error.into());
    };
    let parts = cut_fields(bytes);
    if missing == 0 || parts.len() < 2 {
        return Err(error.into());
    }
    let record = Record::new("envelope_part")
        .with("rlp_len", bytes.len() + missing)
        .with("length", bytes.len())
        .with("missing", missing)
        .with("fields", parts)
        .with_raw(bytes);
    cx.emit(&record, |record| {
        let mut out = format!(
            "part of an envelope: {missing} of {} bytes are missing\n",
            bytes.len() + missing
        );
        write_fields(&mut out, &record.members()["fields"]);
        out
    })?;
    Err(error.into())
}

/// The parts of a list that ends too early; the last one may be cut.
fn cut_fields(bytes: &[u8]) -> Vec<Value> {
    let header = bytes.first().map_or(0, |first| rlp::header_size(*first));
    let mut parts = Vec::new();
    let mut part = |name: &str, start: usize, end: usize| {
        let bytes = bytes.get(start..end).unwrap_or_default();
        parts.push(json!({
            "name": name, "offset": start, "length": bytes.len(), "bytes": hex0x(bytes),
        }));
    };
    part("list header", 0, header);
    let mut inner = Reader::new(bytes.get(header..).unwrap_or_default());
    for name in ["expiry", "ttl", "topic", "data", "nonce"] {
        let start = inner.offset();
        if inner.is_empty() {
            break;
        }
        if inner.raw_item(name).is_err() {
            part(&format!("{name} (cut)"), header + start, bytes.len());
            break;
        }
        part(name, header + start, header + inner.offset());
    }
    parts
}

/// Name, offset, length and bytes of each part.
fn fields(envelope: &Envelope) -> Vec<Value> {
    let raw = envelope.raw();
    let mut outer = Reader::new(raw);
    let mut parts = Vec::new();
    let mut part = |name: &str, start: usize, end: usize| {
        parts.push(json!({
            "name": name, "offset": start, "length": end - start, "bytes": hex0x(&raw[start..end]),
        }));
    };
    if let Ok(mut inner) = outer.list("envelope") {
        part("list header", 0, inner.offset());
        for name in ["expiry", "ttl", "topic", "data", "nonce"] {
            let start = inner.offset();
            if inner.raw_item(name).is_ok() {
                part(name, start, inner.offset());
            }
        }
    }
    parts
}

/// What the data looks like. Only the right key can tell for sure.
fn encryption(envelope: &Envelope) -> &'static str {
    let data = envelope.data();
    let point = data.get(..65).filter(|_| data.len() > ecies::OVERHEAD);
    match point.map(PublicKey::from_slice) {
        Some(Ok(_)) => "asymmetric (begins with a point of secp256k1)",
        _ => "symmetric",
    }
}

fn text(record: &Record) -> String {
    let members = record.members();
    let member = |name: &str| members.get(name).cloned().unwrap_or(Value::Null);
    let mut out = format!("envelope {}\n", member("hash").as_str().unwrap_or_default());
    let _ = writeln!(
        out,
        "  sent {}, expires {} (ttl {} s), topic {}",
        member("sent"),
        member("expiry"),
        member("ttl"),
        member("topic").as_str().unwrap_or_default(),
    );
    let _ = writeln!(
        out,
        "  pow {} ({} zero bits over {} bytes), size {}, {}",
        member("pow"),
        member("leading_zero_bits"),
        member("rlp_without_nonce_len"),
        member("size"),
        member("encryption").as_str().unwrap_or_default(),
    );
    write_fields(&mut out, &member("fields"));
    let length = member("rlp_len").as_u64().unwrap_or(0);
    let _ = writeln!(out, "  {:>6} {length:>6}  in all", "");
    out
}

fn write_fields(out: &mut String, fields: &Value) {
    let _ = writeln!(out, "  {:>6} {:>6}  field", "offset", "length");
    for field in fields.as_array().into_iter().flatten() {
        let bytes = field["bytes"].as_str().unwrap_or_default();
        let shown =
            if bytes.len() > 50 { format!("{}…", &bytes[..48]) } else { bytes.to_owned() };
        let name = field["name"].as_str().unwrap_or_default();
        let [offset, length] = ["offset", "length"].map(|name| field[name].as_u64().unwrap_or(0));
        let _ = writeln!(out, "  {offset:>6} {length:>6}  {name:12} {shown}");
    }
}

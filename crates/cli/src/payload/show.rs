//! `status-payload show`: every field on the wire with its offset, known or not.

use std::fmt::Write as _;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value as Json, json};
use statuskit_core::{
    payload::{
        PayloadError, PayloadType, Wrapper,
        schema::{APPLICATION_METADATA_MESSAGE, MEMBERSHIP_UPDATE_EVENT},
        types::type_name,
    },
    protobuf::{FieldError, FieldProblem, FieldType, Fields, MAX_SHOWN, MessageDef, Value},
};

use crate::{
    context::Context,
    error::Result,
    input::InputArgs,
    output::{Record, escape, hex0x},
    payload::{each_payload, parse_type, payload_error, type_names},
};

/// List every field of payloads with its number, wire type, offset and length
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode chat --set text=hi --set chat_id=status | status-payload show --output text
  $ echo 0x08011a026869a20601ff | status-payload show --as chat")]
pub struct ShowCommand {
    #[command(flatten)]
    inputs: InputArgs,
    /// Read a bare message of this type, without a wrapper
    #[arg(long = "as", value_name = "TYPE", value_parser = parse_type, add = ArgValueCandidates::new(type_names))]
    kind: Option<&'static PayloadType>,
}

impl ShowCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_payload(cx, &self.inputs, self.kind, |cx, input, _| {
            let bytes = &input.bytes;
            // The definition of the bytes, and the type of the payload in them.
            let (def, number) = match self.kind {
                Some(kind) => (kind.message.unwrap_or(&NOTHING), kind.number),
                None => match Wrapper::decode(bytes) {
                    Ok(wrapper) => (&APPLICATION_METADATA_MESSAGE, wrapper.kind()),
                    Err(_) if is_cut_wrapper(bytes) => (&APPLICATION_METADATA_MESSAGE, 0),
                    Err(error) => return Err(payload_error(&error).into()),
                },
            };
            let inner = PayloadType::from_number(number).and_then(|kind| kind.message);
            let mut parts = Parts { inner, found: Vec::new() };
            // What is before an error is shown.
            let error = parts.add(def, bytes, 0, "").err();
            let cut = cut_field(bytes).filter(|_| error.is_some());
            if let Some(cut) = &cut {
                parts.add_cut(def, cut, bytes.len());
            }
            let has_any = !parts.found.is_empty();
            let record = Record::new("payload_fields")
                .with("payload_type", type_name(number))
                .with("length", bytes.len())
                .with_some("missing", cut.map(|cut| cut.missing))
                .with("fields", parts.found)
                .with_raw(bytes);
            if error.is_none() || has_any {
                cx.emit(&record, text)?;
            }
            error.map_or(Ok(()), |error| Err(payload_error(&error).into()))
        })
    }
}

/// Whether bytes begin as a wrapper does, and end within one of its fields.
fn is_cut_wrapper(bytes: &[u8]) -> bool {
    let is_known = |number| APPLICATION_METADATA_MESSAGE.field(number).is_some();
    cut_field(bytes).is_some_and(|cut| cut.missing > 0 && is_known(cut.number))
        && Fields::new(bytes).map_while(|field| field.ok()).all(|field| {
            APPLICATION_METADATA_MESSAGE
                .field(field.number)
                .is_some_and(|it| it.takes(&field.value))
        })
}

/// A field that ends after the bytes.
struct CutField<'a> {
    number: u32,
    start: usize,
    /// The part of its value that is there.
    value: &'a [u8],
    missing: usize,
}

/// Returns the last field, if it ends after the bytes.
fn cut_field(bytes: &[u8]) -> Option<CutField<'_>> {
    let error = Fields::new(bytes).last()?.err()?;
    if error.problem != FieldProblem::Truncated {
        return None;
    }
    let start = Fields::new(bytes).map_while(|field| field.ok()).last().map_or(0, |it| it.end);
    let rest = bytes.get(start..)?;
    let (tag, after_tag) = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let (length, value_at) = match tag & 7 {
        2 => varint(rest.get(after_tag..)?).map(|(length, size)| (length, after_tag + size))?,
        1 => (8, after_tag),
        5 => (4, after_tag),
        _ => (1, after_tag),
    };
    let value = rest.get(value_at..)?;
    let missing = usize::try_from(length).ok()?.checked_sub(value.len())?;
    Some(CutField { number, start, value, missing })
}

/// Returns a number and how many bytes it has.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// A definition without fields, so that every field is unknown.
static NOTHING: MessageDef = MessageDef { name: "message", fields: &[], is_entry: false };

struct Parts {
    /// The definition of a wrapper's payload.
    inner: Option<&'static MessageDef>,
    found: Vec<Json>,
}

impl Parts {
    /// Adds what is there of a field that was cut.
    fn add_cut(&mut self, def: &MessageDef, cut: &CutField<'_>, end: usize) {
        let known = def.field(cut.number);
        let name = known.map_or_else(|| cut.number.to_string(), |it| it.name.to_owned());
        self.found.push(json!({
            "name": format!("{name} (cut)"),
            "number": cut.number,
            "wire_type": "cut",
            "known": known.is_some(),
            "offset": cut.start,
            "length": end - cut.start,
            "value": hex0x(cut.value),
        }));
    }

    fn add(
        &mut self,
        def: &'static MessageDef,
        bytes: &[u8],
        base: usize,
        path: &str,
    ) -> std::result::Result<(), PayloadError> {
        for field in Fields::new(bytes) {
            let field = field.map_err(|mut error| {
                error.at += base;
                PayloadError::Protobuf { what: def.name, error }
            })?;
            if self.found.len() == MAX_SHOWN {
                let error = FieldError { at: base + field.start, problem: FieldProblem::TooMany };
                return Err(PayloadError::Protobuf { what: def.name, error });
            }
            let known = def.field(field.number).filter(|it| it.takes(&field.value));
            let name = known.map_or_else(|| field.number.to_string(), |it| it.name.to_owned());
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            let value = match (&field.value, known.map(|it| &it.kind)) {
                (Value::Varint(value), _) => value.to_string(),
                (Value::Bytes(bytes), Some(FieldType::String)) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                (Value::Bytes(bytes), _) | (Value::Group(bytes), _) => hex0x(bytes),
                (Value::Fixed64(bytes), _) => hex0x(bytes),
                (Value::Fixed32(bytes), _) => hex0x(bytes),
            };
            self.found.push(json!({
                "name": path,
                "number": field.number,
                "wire_type": field.value.wire_type(),
                "known": known.is_some(),
                "offset": base + field.start,
                "length": field.end - field.start,
                "value": value,
            }));
            let Value::Bytes(inside) = field.value else { continue };
            let at = base + field.end - inside.len();
            let is_wrapper = std::ptr::eq(def, &APPLICATION_METADATA_MESSAGE);
            match known.map(|it| (&it.kind, it.name)) {
                Some((FieldType::Message(inner), _)) => self.add(inner, inside, at, &path)?,
                // A malformed payload is shown as bytes.
                Some((FieldType::Bytes, "payload")) if is_wrapper => {
                    if let Some(inner) = self.inner {
                        let before = self.found.len();
                        if self.add(inner, inside, at, &path).is_err() {
                            self.found.truncate(before);
                        }
                    }
                }
                Some((FieldType::Bytes, "events")) if inside.len() > 65 => {
                    let before = self.found.len();
                    let event = self.add(&MEMBERSHIP_UPDATE_EVENT, &inside[65..], at + 65, &path);
                    if event.is_err() {
                        self.found.truncate(before);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn text(record: &Record) -> String {
    let members = record.members();
    let kind = members["payload_type"].as_str().unwrap_or_default();
    let mut out = match members.get("missing") {
        None => format!("{kind}, {} bytes\n", members["length"]),
        Some(missing) => {
            format!("{kind}, {} bytes are there, {missing} are missing\n", members["length"])
        }
    };
    let _ = writeln!(out, "  {:>6} {:>6}  {:8} {:32} value", "offset", "length", "wire", "field");
    for field in members["fields"].as_array().into_iter().flatten() {
        let [name, wire, value] =
            ["name", "wire_type", "value"].map(|it| field[it].as_str().unwrap_or_default());
        let [offset, length] = ["offset", "length"].map(|it| field[it].as_u64().unwrap_or(0));
        let known = if field["known"] == Json::Bool(true) { "" } else { "  (unknown)" };
        let value = escape(value);
        let shown: String = value.chars().take(48).collect();
        let dots = if shown.len() < value.len() { "…" } else { "" };
        let _ = writeln!(out, "  {offset:>6} {length:>6}  {wire:8} {name:32} {shown}{dots}{known}");
    }
    out
}

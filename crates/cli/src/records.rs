//! The records that travel between tools: envelopes and messages.

use serde_json::{Map, Value};
use statuskit_core::{
    chat::Opened,
    envelope::Envelope,
    payload::{
        Wrapper,
        check::{self, Receipt},
    },
    rlp::{Reader, RlpError},
};

use crate::{
    error::{CliError, Exit},
    input::{Content, Item},
    output::{Record, escape, hex0x},
    payload,
};

/// The record of an envelope.
pub fn envelope_record(envelope: &Envelope) -> Record {
    Record::new("envelope")
        .with("hash", envelope.hash().to_string())
        .with("expiry", envelope.expiry())
        .with("ttl", envelope.ttl())
        .with("sent", envelope.sent())
        .with("topic", envelope.topic().to_string())
        .with("nonce", envelope.nonce())
        .with("pow", float(envelope.pow(0)))
        .with("size", envelope.size())
        .with_raw(envelope.raw())
}

/// The record of a message that was inside an envelope.
pub fn message_record(envelope: &Envelope, opened: &Opened) -> Record {
    let mut payload = describe_payload(opened, envelope.sent());
    payload.insert("raw".to_owned(), hex0x(&opened.message.payload).into());
    record_with_payload(envelope, opened, payload, Whole::Here)
}

/// Whether a record has the bytes of the envelope that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// It has.
    Here,
    /// The record of an earlier message in the same envelope has them. An envelope may hold some
    /// thousand messages; with its bytes in each record, the output would grow with their square.
    Before,
}

/// The same of a payload that was deeper inside.
pub fn conversation_record(
    envelope: &Envelope,
    opened: &Opened,
    wrapper: &Wrapper,
    whole: Whole,
) -> Record {
    let mut payload = describe_wrapper(wrapper, envelope.sent()).members().clone();
    payload.insert("raw".to_owned(), hex0x(wrapper.raw()).into());
    record_with_payload(envelope, opened, payload, whole)
}

fn record_with_payload(
    envelope: &Envelope,
    opened: &Opened,
    mut payload: Map<String, Value>,
    whole: Whole,
) -> Record {
    let message = &opened.message;
    let bytes = |bytes: &[u8]| (whole == Whole::Here).then(|| hex0x(bytes));
    // Nobody else has signed it.
    if let (Some(author @ Value::Null), Some(signer)) =
        (payload.get_mut("author"), message.signer())
    {
        *author = signer.to_string().into();
    }
    Record::new("message")
        .with("hash", envelope.hash().to_string())
        .with("topic", envelope.topic().to_string())
        .with("sent", envelope.sent())
        .with("expiry", envelope.expiry())
        .with("ttl", envelope.ttl())
        .with("pow", float(envelope.pow(0)))
        .with("opened_with", opened.source.to_string())
        .with("signer", message.signer().map(ToString::to_string))
        .with("payload", payload)
        .with("padding", bytes(&message.padding))
        .with("envelope", bytes(envelope.raw()))
}

/// What a payload is: the wrapper of Status clients and the chat message in it, or text, or bytes.
fn describe_payload(opened: &Opened, sent: u32) -> Map<String, Value> {
    let payload = &opened.message.payload;
    let receipt = Receipt { author: opened.message.signer(), ..Receipt::at(sent) };
    let record = match Wrapper::detect(payload, &receipt) {
        Some(wrapper) => describe_wrapper(&wrapper, sent),
        None => match std::str::from_utf8(payload) {
            Ok(text) => Record::new("text").with("text", text),
            Err(_) => Record::new("bytes"),
        },
    };
    record.members().clone()
}

fn describe_wrapper(wrapper: &Wrapper, sent: u32) -> Record {
    let message = wrapper.message();
    let refused = message.ok().and_then(|it| check::check(&it, &Receipt::at(sent)).err());
    payload::record::from_wrapper(wrapper)
        .with_some("refused", refused.map(|refusal| refusal.to_string()))
}

/// A message for people: who, and what.
pub fn message_text(record: &Record) -> String {
    let members = record.members();
    let member = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let payload = &members["payload"];
    let author = payload["author"].as_str().or(members["signer"].as_str());
    let author = author.map_or_else(|| "(unsigned)".to_owned(), short_key);
    let sent = members["sent"].as_u64().unwrap_or_default();
    // In a group, it is inside the update.
    let said = match payload["text"].as_str().or(payload["message"]["text"].as_str()) {
        Some(text) => escape(text),
        None => payload["raw"].as_str().unwrap_or_default().to_owned(),
    };
    format!("{sent} {} {author}: {said}", member("topic"))
}

/// The ends of a public key.
pub fn short_key(key: &str) -> String {
    match (key.get(..8), key.get(key.len().saturating_sub(6)..)) {
        (Some(start), Some(end)) if key.len() > 20 => format!("{start}…{end}"),
        _ => key.to_owned(),
    }
}

/// A float as JSON has it, or as text where JSON has no number for it.
pub fn float(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => number.into(),
        None if value == f64::INFINITY => "Infinity".into(),
        None => value.to_string().into(),
    }
}

/// The envelopes of an item: one, several of a binary stream, or none if it is with the message
/// before.
pub fn envelopes_of(item: &Item) -> Result<Vec<Envelope>, CliError> {
    match &item.content {
        Content::Record(members) => {
            let kind = members.get("type").and_then(Value::as_str).unwrap_or("(none)");
            let member = match kind {
                "message" => "envelope",
                _ => "raw",
            };
            if member == "envelope" && members.get(member) == Some(&Value::Null) {
                return Ok(Vec::new());
            }
            let raw = hex_member(members, member).map_err(|error| {
                error
                    .line(item.line)
                    .hint(format!("expected an envelope record; this one has type {kind:?}"))
            })?;
            let envelope = Envelope::decode(&raw);
            Ok(vec![envelope.map_err(|error| rlp_error(&error).field(member).line(item.line))?])
        }
        Content::Bytes(bytes) => {
            let mut reader = Reader::new(bytes);
            let mut envelopes = Vec::new();
            loop {
                let envelope = Envelope::read(&mut reader);
                envelopes.push(envelope.map_err(|error| rlp_error(&error).line(item.line))?);
                if reader.is_empty() {
                    return Ok(envelopes);
                }
            }
        }
    }
}

/// The bytes of a member in `0x` hex.
pub fn hex_member(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, CliError> {
    let malformed = |message: &str| {
        CliError::new("record.member", Exit::Malformed, message).field(name.to_owned())
    };
    let text = members.get(name).ok_or_else(|| malformed("the record lacks this member"))?;
    let text = text.as_str().ok_or_else(|| malformed("not a text"))?;
    let digits = text.strip_prefix("0x").ok_or_else(|| malformed("no 0x in front"))?;
    hex::decode(digits).map_err(|error| malformed(&format!("not hexadecimal: {error}")))
}

/// Bytes that are no envelope.
pub fn rlp_error(error: &RlpError) -> CliError {
    CliError::new(error.kind.code(), Exit::Malformed, format!("not an envelope: {}", error.kind))
        .offset(error.at)
}

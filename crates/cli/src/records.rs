//! The records that travel between tools: envelopes and messages.

use std::sync::Arc;

use serde_json::{Map, Value};
use statuskit_core::{
    chat::{Content, KeyRing, Opened, ReceivedMessage},
    envelope::Envelope,
    payload::{PayloadType, legacy::LegacyMessage},
    rlp::{self, Reader, RlpError},
};

use crate::{
    conversation::private_record,
    error::{CliError, Exit},
    input::{self, Item},
    output::{Record, hex0x},
    payload, sniff,
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
///
/// An envelope may hold some thousand messages: the record of the first has its bytes, or else the
/// output would grow with their square.
pub fn message_record(message: &ReceivedMessage, is_first: bool) -> Record {
    let (envelope, opened) = (message.envelope(), message.opened());
    let bytes = |bytes: &[u8]| is_first.then(|| hex0x(bytes));
    let signer = opened.message.signer();
    let mut payload = describe_payload(message);
    // Nobody else has signed it.
    if let (Some(author @ Value::Null), Some(signer)) = (payload.get_mut("author"), signer) {
        *author = signer.to_string().into();
    }
    let record = Record::new("message")
        .with("hash", message.hash().to_string())
        .with("topic", envelope.topic().to_string())
        .with("sent", envelope.sent())
        .with("expiry", envelope.expiry())
        .with("ttl", envelope.ttl())
        .with("pow", float(message.pow()))
        .with("opened_with", opened.source.to_string())
        .with("signer", signer.map(ToString::to_string))
        .with("payload", payload)
        .with("padding", bytes(&opened.message.padding))
        .with("envelope", bytes(envelope.raw()));
    match message.content() {
        Content::Accepted(payload) => private_record(record, payload),
        _ => record,
    }
}

/// What a payload is: the wrapper of Status clients and what is in it, or text, or bytes.
fn describe_payload(message: &ReceivedMessage) -> Map<String, Value> {
    let record = match (message.wrapper(), message.text()) {
        (Some(wrapper), _) => payload::record::from_wrapper(wrapper)
            .with_some("refused", message.rejection().map(|rejection| rejection.to_string())),
        (None, text) => match (LegacyMessage::detect(message.bytes()), text) {
            (Some(legacy), _) => payload::record::from_legacy(&legacy, message.bytes()),
            (None, Some(text)) => Record::new("text").with("text", text),
            (None, None) => Record::new("bytes"),
        },
    };
    let mut members = record.members().clone();
    members.insert("raw".to_owned(), hex0x(message.bytes()).into());
    members
}

/// A message that a ring has opened, read and checked.
pub fn opened_message(envelope: &Envelope, opened: Opened, ring: &KeyRing) -> ReceivedMessage {
    ReceivedMessage::read(Arc::new(envelope.clone()), Arc::new(opened), ring)
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
        input::Content::Record(members) => {
            let kind = members.get("type").and_then(Value::as_str).unwrap_or("(none)");
            let member = match kind {
                "message" => "envelope",
                _ => "raw",
            };
            if member == "envelope" && members.get(member) == Some(&Value::Null) {
                return Ok(Vec::new());
            }
            let raw = hex_member(members, member).map_err(|error| {
                let kind = statuskit_core::text::quote(kind);
                error
                    .line(item.line)
                    .hint(format!("expected an envelope record; this one has type {kind}"))
            })?;
            if PayloadType::from_name(kind).is_some() {
                let message = format!("this is a payload ({kind}), not an envelope");
                return Err(CliError::new("record.member", Exit::Malformed, message)
                    .field("type")
                    .line(item.line)
                    .hint(
                        "status-payload reads it; status-envelope seal makes an envelope of it",
                    ));
            }
            let envelope = Envelope::decode(&raw);
            Ok(vec![envelope.map_err(|error| rlp_error(&error).field(member).line(item.line))?])
        }
        input::Content::Bytes(bytes) => {
            let mut reader = Reader::new(bytes);
            let mut envelopes = Vec::new();
            loop {
                let envelope = Envelope::read(&mut reader);
                let failed = |error| no_envelope(bytes, item.left_out, &error).line(item.line);
                envelopes.push(envelope.map_err(failed)?);
                if reader.is_empty() {
                    return Ok(envelopes);
                }
            }
        }
    }
}

/// Why bytes are no envelope: what they are instead, or by how much they are short.
fn no_envelope(bytes: &[u8], left_out: Option<usize>, error: &RlpError) -> CliError {
    if let Some((what, hint)) = sniff::other_than_envelope(bytes) {
        let message = format!("this is {what}, not an envelope");
        return CliError::new("input.kind", Exit::Malformed, message).hint(hint);
    }
    let shown = rlp_error(error);
    match (rlp::list_size(bytes).and_then(|size| size.checked_sub(bytes.len())), left_out) {
        (Some(missing @ 1..), _) => shown.hint(format!(
            "the value is cut: {} bytes are there, {missing} are missing; status-envelope show \
             shows the fields that are there",
            bytes.len()
        )),
        (_, Some(_)) => shown.hint("the value was cut before it came here"),
        _ => shown,
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

//! Envelopes, their plaintexts, and requests to mailservers.

use statuskit_core::{
    chat::KeyRingError,
    envelope::{
        Envelope, Message, Rules,
        check::{checks, future_diff},
    },
    rlp::{self, Reader},
};

use super::Place;
use crate::{
    layer::{Child, Field, Node, hex0x},
    peel::Context,
    rlp::List,
    topics,
};

/// The start of an envelope whose end is missing.
pub(super) fn cut_envelope(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let header = rlp::header_size(*bytes.first()?);
    let size = rlp::list_size(bytes.get(..header)?)?;
    let missing = size.checked_sub(bytes.len()).filter(|missing| *missing > 0)?;
    let start = at + header;
    let mut items = Reader::new(&bytes[header..]);
    let mut fields = vec![Field::new("list header", at, header, size - header)];
    for name in ["expiry", "ttl", "topic"] {
        let before = items.offset();
        let value = match name {
            "topic" => hex0x(&items.bytes::<4>(name).ok()?),
            _ => items.u32(name).ok()?.into(),
        };
        fields.push(Field::new(name, start + before, items.offset() - before, value));
    }
    let rest = items.remaining();
    if !rest.is_empty() {
        fields.push(Field::new("data, cut", start + items.offset(), rest.len(), hex0x(rest)));
    }
    let mut node = Node::new("whisper.envelope", bytes, at).with_fields(fields);
    let message = format!("{missing} bytes are missing at the end");
    node.stop("inspect.truncated", message, "look for the rest of the bytes");
    Some(node.possible("a list that begins as an envelope, cut off"))
}

/// `[expiry, ttl, topic, data, nonce]`.
pub(super) fn envelope(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut list = List::open(bytes, at)?;
    list.u32("expiry")?;
    list.u32("ttl")?;
    list.sized("topic", &[4])?;
    list.bytes("data")?;
    list.u64("nonce")?;
    let envelope = Envelope::decode(bytes).ok()?;
    let mut node = Node::new("whisper.envelope", bytes, at).with_fields(list.finish()?);
    let now = context.options.now.unwrap_or(envelope.sent());
    let pow = envelope.pow(future_diff(envelope.sent(), now));
    node.check("hash", "", true, envelope.hash().to_string());
    if let Some(known) = topics::describe(envelope.topic()) {
        node.check("topic", "", true, known);
    }
    for check in checks(&envelope, pow, &Rules::new(now)) {
        node.check(check.rule, check.verdict.code(), check.pass, check.found);
    }
    open(context, &envelope, &mut node);
    Some(node)
}

fn open(context: &Context<'_>, envelope: &Envelope, node: &mut Node) {
    let ring = &context.options.keys.ring;
    let hint = "give its chat (--chat), password (--password) or the recipient's key (--identity)";
    if !ring.is_empty() && !context.curve() {
        node.stop("inspect.limit", "too many envelopes to open all of them", "inspect it alone");
        return;
    }
    let opened = ring.open(envelope).or_else(|error| {
        let contact = context.contact_code(envelope.topic());
        contact.map_or(Err(error), |ring| ring.open(envelope))
    });
    match opened {
        Ok(opened) => {
            let plaintext = plaintext(&opened.message);
            let method = format!("decrypted with {}", opened.source);
            node.certainty = crate::Certainty::Certain;
            node.why = "a key opened it".into();
            let inner = message_of(context, &opened.message, &plaintext);
            let inner = Node { opened_with: Some(opened.source.to_string()), ..inner };
            node.children.push(Child::Buffer { bytes: plaintext, method, node: inner });
        }
        Err(KeyRingError::NoKey(topic)) => {
            let message = format!("no key for topic {topic} was given");
            match topics::describe(topic) {
                Some(_) => {
                    node.stop("inspect.no_key", message, "give the recipient's key (--identity)")
                }
                None => node.stop("inspect.no_key", message, hint),
            }
        }
        Err(KeyRingError::Open(error)) if error.code() == "envelope.wrong_key" => {
            let sources: Vec<_> = ring.sources(envelope.topic()).map(ToString::to_string).collect();
            let known = !sources.is_empty();
            let message = if known {
                let sources = sources.join(", ");
                format!("topic {} is that of {sources}, but its key fails", envelope.topic())
            } else {
                format!(
                    "no key for topic {} was given, and none of the others fits",
                    envelope.topic()
                )
            };
            let code = if known { "inspect.bad_tag" } else { "inspect.no_key" };
            node.stop(code, message, hint);
        }
        Err(error) => {
            let message = format!("a key opens it, but what is inside is malformed: {error}");
            node.stop("inspect.malformed", message, "");
        }
    }
}

/// Writes a message as it was encrypted.
fn plaintext(message: &Message) -> Vec<u8> {
    let size = usize::from(message.flags & 3);
    let mut bytes = vec![message.flags];
    bytes.extend_from_slice(&(message.payload.len() as u64).to_le_bytes()[..size]);
    bytes.extend_from_slice(&message.payload);
    bytes.extend_from_slice(&message.padding);
    if let Some((signature, _)) = &message.signed {
        bytes.extend_from_slice(signature.as_bytes());
    }
    bytes
}

/// The plaintext of an envelope, by itself.
pub(super) fn message(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    // Flags that mean nothing, or no padding, are not made by any client.
    if at != 0 || bytes[0] & !7 != 0 || !bytes.len().is_multiple_of(256) || !context.curve() {
        return None;
    }
    let message = Message::parse(bytes).ok()?;
    let signed = message.signed.is_some();
    let node = message_of(context, &message, bytes);
    Some(if signed { node } else { node.possible("flags and size fit") })
}

fn message_of(context: &Context<'_>, message: &Message, bytes: &[u8]) -> Node {
    let size = usize::from(message.flags & 3);
    let payload_at = 1 + size;
    let padding_at = payload_at + message.payload.len();
    let mut fields = vec![Field::new("flags", 0, 1, message.flags)];
    if size > 0 {
        fields.push(Field::new("payload length", 1, size, message.payload.len()));
    }
    fields.push(Field::new("payload", payload_at, message.payload.len(), hex0x(&message.payload)));
    let padding = hex0x(&message.padding);
    fields.push(Field::new("padding", padding_at, message.padding.len(), padding));
    fields.retain(|field| field.length > 0);
    let mut node = Node::new("whisper.message", bytes, 0);
    if let Some((signature, key)) = &message.signed {
        let start = padding_at + message.padding.len();
        let value = hex0x(signature.as_bytes());
        fields.push(Field::new("signature", start, signature.as_bytes().len(), value));
        node.check("signature", "message.signature", true, format!("signed by {key}"));
    }
    node.fields = fields;
    if message.payload.is_empty() {
        node.stop("inspect.padding_only", "the payload is empty; the rest is padding", "");
        return node;
    }
    let sender = message.signed.as_ref().map(|(_, key)| *key);
    let read = |context: &Context<'_>| context.inside(&message.payload, payload_at, Place::Message);
    match context.signed_by(sender, read) {
        Some(inner) => node.children.push(Child::Here(inner)),
        None => {
            let text = std::str::from_utf8(&message.payload).is_ok();
            let message = if text { "plain text" } else { "no known layer has this form" };
            node.stop("inspect.application", message, "");
        }
    }
    node
}

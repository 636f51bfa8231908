//! Payloads of Status clients, in their wrapper or by themselves, and the events of groups.

use serde_json::Value;
use statuskit_core::{
    payload::{
        PayloadMessage, PayloadType, Wrapper,
        check::{Receipt, checks},
        group::GroupEvent,
        schema,
        types::TYPES,
    },
    protobuf::Fields,
};

use crate::{
    layer::{Certainty, Child, Field, Node, hex0x},
    peel::Context,
    proto,
};
use statuskit_core::time::UnixMillis;

/// Field numbers.
const PAYLOAD: u32 = 2;
const EVENTS: u32 = 2;
const MESSAGE: u32 = 3;
/// The most fields of a payload without its wrapper.
const MAX_BARE: usize = 512;
/// The length of a signature.
const SIGNATURE: usize = 65;

/// `signature`, `payload`, `type`.
pub(super) fn wrapper(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if !context.curve() {
        return None;
    }
    let wrapper = Wrapper::decode(bytes).ok()?;
    let kind = PayloadType::from_number(wrapper.kind());
    if kind.is_none() && wrapper.author().is_none() {
        return None;
    }
    let read = proto::read(&schema::APPLICATION_METADATA_MESSAGE, bytes, at)?;
    let mut node = Node::new("payload.wrapper", bytes, at).with_fields(read.fields);
    node.check("message id", "", true, wrapper.message_id().to_string());
    match wrapper.author() {
        Some(author) => {
            node.check("signature", "payload.signature", true, format!("signed by {author}"))
        }
        None => node.check("signature", "payload.unsigned", false, "there is none"),
    }
    let (content, start) = proto::contents(bytes, at, PAYLOAD).pop().unwrap_or((&[], at));
    let inner = kind.and_then(|kind| typed(context, kind, content, start, &wrapper));
    if wrapper.author().is_none() || read.unknown > 0 || inner.is_none() {
        node = node.possible("the fields fit");
    }
    if kind.is_none() {
        let message = format!("type {} of payloads is unknown", wrapper.kind());
        node.stop("inspect.unknown_type", message, "");
    }
    node.here(inner);
    Some(node)
}

/// A payload of a known type.
fn typed(
    context: &Context<'_>,
    kind: &'static PayloadType,
    bytes: &[u8],
    at: usize,
    wrapper: &Wrapper,
) -> Option<Node> {
    let mut node = of_type(context, kind, bytes, at)?;
    // The envelope's time is not known here: the message's own is as good for its other rules.
    let message = PayloadMessage::decode(kind.number, bytes).ok()?;
    let sent = UnixMillis(clock(&node).unwrap_or(0));
    let receipt = Receipt { sent, now: sent, author: wrapper.author(), ..Receipt::default() };
    for check in checks(&message, &receipt) {
        let found = if check.pass { "holds".to_owned() } else { check.rejection.to_string() };
        node.check(check.rejection.rule(), check.rejection.code(), check.pass, found);
    }
    Some(node)
}

fn of_type(
    context: &Context<'_>,
    kind: &'static PayloadType,
    bytes: &[u8],
    at: usize,
) -> Option<Node> {
    let read = proto::read(kind.message?, bytes, at)?;
    let name = format!("payload.{}", kind.name);
    let mut node = Node::new(name, bytes, at).with_fields(read.fields);
    if read.unknown > 0 {
        node = node.possible("some fields fit");
    }
    if let Ok(PayloadMessage::MembershipUpdateMessage(update)) =
        PayloadMessage::decode(kind.number, bytes)
    {
        for (content, start) in proto::contents(bytes, at, EVENTS) {
            node.here(event_of(context, &update.chat_id, content, start));
        }
        for (content, start) in proto::contents(bytes, at, MESSAGE) {
            let chat = PayloadType::from_name("chat_message")?;
            node.here(of_type(context, chat, content, start));
        }
    }
    Some(node)
}

/// A payload without its wrapper: every field known, and a text that says something.
pub(super) fn bare(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    // All types are tried: what none of them has must not cost as much as all of them.
    if Fields::new(bytes).take(MAX_BARE + 1).count() > MAX_BARE {
        return None;
    }
    TYPES.iter().find_map(|kind| {
        let message = PayloadMessage::decode(kind.number, bytes).ok()?;
        if matches!(message, PayloadMessage::Other { .. }) || message.encode() != bytes {
            return None;
        }
        let node = of_type(context, kind, bytes, at)?;
        if let PayloadMessage::MembershipUpdateMessage(_) = message {
            return signed_events(node);
        }
        let sent = UnixMillis(clock(&node)?);
        let receipt = Receipt { sent, now: sent, ..Receipt::default() };
        // Rules that need an author can't hold here, but the content must.
        let sound = checks(&message, &receipt).iter().filter(|check| !check.pass).count() <= 1;
        sound.then(|| node.possible("all fields are known, but other types may fit as well"))
    })
}

/// The history of a group has no clock. Its events are signed.
fn signed_events(node: Node) -> Option<Node> {
    let mut signed = false;
    for child in &node.children {
        let Child::Here(event) = child else { continue };
        signed |= event.checks.iter().any(|check| check.pass);
    }
    if signed {
        return Some(
            node.because(Certainty::Likely, "all fields are known, and an event is signed"),
        );
    }
    // Otherwise the id of the chat, which ends in a key, must be that of a group.
    let chat_id = node.fields.iter().find(|field| field.name == "chat_id")?;
    let is_group = chat_id.value.as_str().is_some_and(|id| id.len() > 132 && id.contains("0x04"));
    is_group.then(|| node.possible("the id of a group, and no event that is signed"))
}

/// Returns the clock of a message, in milliseconds.
fn clock(node: &Node) -> Option<u64> {
    node.fields.iter().find(|field| field.name == "clock")?.value.as_u64()
}

/// An event by itself. Its author can't be known without the chat.
pub(super) fn event(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let recovery = *bytes.get(SIGNATURE - 1)?;
    if recovery > 1 {
        return None;
    }
    let node = event_of(context, "", bytes, at)?;
    Some(node.possible("a signature and the fields of an event; its chat is not known"))
}

fn event_of(context: &Context<'_>, chat_id: &str, bytes: &[u8], at: usize) -> Option<Node> {
    let (signature, encoded) = bytes.split_at_checked(SIGNATURE)?;
    let read = proto::read(&schema::MEMBERSHIP_UPDATE_EVENT, encoded, at + SIGNATURE)?;
    if encoded.is_empty() || read.unknown > 0 {
        return None;
    }
    let mut fields = vec![Field::new("signature", at, SIGNATURE, hex0x(signature))];
    let mut rest = Field::new("event", at + SIGNATURE, encoded.len(), Value::Null);
    rest.fields = read.fields;
    fields.push(rest);
    let mut node = Node::new("group.event", bytes, at).with_fields(fields);
    if !chat_id.is_empty() && context.curve() {
        match GroupEvent::decode(chat_id, bytes) {
            Ok(event) => {
                node.check(
                    "signature",
                    "group.event_signature",
                    true,
                    format!("signed by {}", event.author()),
                );
            }
            Err(error) => node.check("signature", error.code(), false, error.to_string()),
        }
    }
    Some(node)
}

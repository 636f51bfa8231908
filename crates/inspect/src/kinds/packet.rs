//! Packets of `shh/6`, by their payloads.

use serde_json::Value;
use statuskit_core::{
    rlp::Reader,
    wire::{Packet, p2p::RequestComplete, packet::code},
};

use super::{devp2p, whisper};
use crate::{
    layer::{Certainty, Field, Node, hex0x},
    peel::Context,
    rlp::{List, number, string},
};

/// `[6, pow, bloom, light, confirmations, rate limits]`; everything after the version may be
/// missing, and peers ignore what they can't read.
pub(super) fn status(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::Status(_)) = Packet::decode(0, bytes) else { return None };
    let mut list = List::open(bytes, at)?;
    list.u64("version").filter(|version| *version == 6)?;
    let is_whole = status_items(&mut list).is_some();
    let node = Node::new("shh.status", bytes, at).with_fields(list.fields());
    Some(if is_whole { node } else { node.possible("a list that begins with version 6") })
}

fn status_items(list: &mut List<'_>) -> Option<()> {
    list.float("minimum proof of work").filter(|pow| (0.0..1e9).contains(pow))?;
    list.sized("bloom filter", &[0, 64])?;
    if !list.is_empty() {
        list.bool("light")?;
    }
    if !list.is_empty() {
        list.bool("confirmations")?;
    }
    if !list.is_empty() {
        let (raw, start) = list.list("rate limits")?;
        list.inside(limits(raw, start)?);
    }
    list.is_empty().then_some(())
}

fn limits(bytes: &[u8], at: usize) -> Option<Vec<Field>> {
    let mut list = List::open(bytes, at)?;
    for name in ["per ip", "per peer id", "per topic"] {
        list.u64(name)?;
    }
    list.finish()
}

/// A list of envelopes.
pub(super) fn messages(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut node = Node::new("shh.messages", bytes, at);
    node.fields = envelopes(context, bytes, at, &mut node)?;
    Some(if node.children.is_empty() { node.possible("an empty list") } else { node })
}

/// One envelope or a list of them: the same bytes as code 1, or as no packet at all.
pub(super) fn p2p_message(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::P2pMessage(_)) = Packet::decode(127, bytes) else { return None };
    let fields = List::open(bytes, at)?.fields();
    let node = Node::new("shh.p2p_message", bytes, at).with_fields(fields);
    Some(node.possible("a mailserver sends envelopes in the same form"))
}

/// A whole devp2p message: its code, then the payload, uncompressed.
pub(super) fn coded(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut reader = Reader::new(bytes);
    let code = reader.u64("code").ok()?;
    let header = reader.offset();
    let (payload, start) = (&bytes[header..], at + header);
    if payload.is_empty() {
        return None;
    }
    let read: fn(&Context<'_>, &[u8], usize) -> Option<Node> =
        match (code, code.checked_sub(OFFSET)) {
            (0, _) => devp2p::hello,
            (1, _) => devp2p::disconnect,
            (_, Some(code::STATUS)) => status,
            (_, Some(code::MESSAGES)) => messages,
            (_, Some(code::POW_REQUIREMENT)) => pow_requirement,
            (_, Some(code::BLOOM_FILTER)) => bloom_filter,
            (_, Some(code::BATCH_ACK)) => batch_acknowledged,
            (_, Some(code::MESSAGE_RESPONSE)) => message_response,
            (_, Some(code::RATE_LIMITS)) => rate_limits,
            (_, Some(code::P2P_SYNC_REQUEST)) => sync_request,
            (_, Some(code::P2P_SYNC_RESPONSE)) => sync_response,
            (_, Some(code::P2P_REQUEST_COMPLETE)) => request_complete,
            (_, Some(code::P2P_REQUEST)) => plain_request,
            (_, Some(code::P2P_MESSAGE)) => p2p_message,
            _ => return None,
        };
    let mut node = read(context, payload, start)?;
    (node.offset, node.length) = (at, bytes.len());
    node.fields.insert(0, Field::new("code", at, header, code));
    // The code and the form agree.
    if node.certainty == Certainty::Possible {
        node = node.because(Certainty::Possible, "a code and a payload of its form");
    }
    Some(node)
}

/// The code of the first packet of `shh`, where it is the only protocol of a connection.
const OFFSET: u64 = 16;

fn envelopes(
    context: &Context<'_>,
    bytes: &[u8],
    at: usize,
    node: &mut Node,
) -> Option<Vec<Field>> {
    let mut list = List::open(bytes, at)?;
    while !list.is_empty() {
        let (raw, start) = list.list("envelope")?;
        node.here(Some(whisper::envelope(context, raw, start)?));
    }
    list.finish()
}

/// `[1, [hash, [[hash, code, text], …]]]`.
pub(super) fn message_response(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut list = List::open(bytes, at)?;
    list.u64("version").filter(|version| *version == 1)?;
    let (raw, start) = list.list("response")?;
    let mut response = List::open(raw, start)?;
    response.sized("batch hash", &[32])?;
    let (raw, start) = response.list("errors")?;
    let mut errors = List::open(raw, start)?;
    while !errors.is_empty() {
        let (raw, start) = errors.list("error")?;
        let mut error = List::open(raw, start)?;
        error.sized("envelope hash", &[32])?;
        error.u64("code")?;
        error.text("description")?;
        errors.inside(error.finish()?);
    }
    response.inside(errors.finish()?);
    list.inside(response.finish()?);
    Some(Node::new("shh.message_response", bytes, at).with_fields(list.finish()?))
}

/// `[envelopes, cursor, last, error]`.
pub(super) fn sync_response(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::SyncResponse(_)) = Packet::decode(124, bytes) else { return None };
    let mut node = Node::new("shh.p2p_sync_response", bytes, at);
    let mut list = List::open(bytes, at)?;
    let (raw, start) = list.list("envelopes")?;
    let fields = envelopes(context, raw, start, &mut node)?;
    list.inside(fields);
    list.bytes("cursor")?;
    list.bool("last")?;
    list.bytes("error")?;
    Some(node.with_fields(list.finish()?))
}

/// `[lower, upper, bloom, limit, cursor]`.
pub(super) fn sync_request(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::SyncRequest(_)) = Packet::decode(123, bytes) else { return None };
    let mut list = List::open(bytes, at)?;
    for name in ["lower", "upper"] {
        list.u32(name)?;
    }
    list.bytes("bloom")?;
    list.u32("limit")?;
    list.bytes("cursor")?;
    let node = Node::new("shh.p2p_sync_request", bytes, at).with_fields(list.finish()?);
    Some(node.possible("a mailserver's request with five items has the same form"))
}

/// `[id, from, to, limit, cursor, bloom]`.
pub(super) fn plain_request(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut list = List::open(bytes, at)?;
    list.bytes("id")?;
    list.u32("from")?;
    list.u32("to")?;
    list.u32("limit")?;
    list.bytes("cursor")?;
    list.bytes("bloom")?;
    Some(Node::new("shh.p2p_request", bytes, at).with_fields(list.finish()?))
}

/// A string of 64 bytes.
pub(super) fn bloom_filter(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let (bloom, header) = string(bytes).filter(|(content, _)| content.len() == 64)?;
    let fields = vec![
        Field::new("string header", at, header, 64),
        Field::new("bloom filter", at + header, 64, hex0x(bloom)),
    ];
    let node = Node::new("shh.bloom_filter", bytes, at).with_fields(fields);
    Some(node.possible("a string of 64 bytes"))
}

/// A string: hash of the request, of the last envelope, and a cursor; or an error.
pub(super) fn request_complete(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let (content, header) = string(bytes)?;
    RequestComplete::decode(content).ok()?;
    let start = at + header;
    let mut fields = vec![Field::new("string header", at, header, content.len())];
    let is_error = content.starts_with(b"ERROR=");
    if is_error {
        let text = String::from_utf8_lossy(content).into_owned();
        fields.push(Field::new("error", start, content.len(), text));
    } else {
        let parts = [("request hash", 32), ("last envelope hash", 32), ("cursor", usize::MAX)];
        let mut done = 0;
        for (name, length) in parts {
            let end = content.len().min(done + length.min(content.len() - done));
            if end > done {
                let part = &content[done..end];
                fields.push(Field::new(name, start + done, part.len(), hex0x(part)));
            }
            done = end;
        }
    }
    let node = Node::new("shh.p2p_request_complete", bytes, at).with_fields(fields);
    Some(if is_error { node } else { node.possible("a string of a fitting length") })
}

/// A string of 32 bytes.
pub(super) fn batch_acknowledged(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let (hash, header) = string(bytes).filter(|(content, _)| content.len() == 32)?;
    let fields = vec![
        Field::new("string header", at, header, 32),
        Field::new("batch hash", at + header, 32, hex0x(hash)),
    ];
    let node = Node::new("shh.batch_acknowledged", bytes, at).with_fields(fields);
    Some(node.possible("a string of 32 bytes"))
}

/// The bits of a float as an integer.
pub(super) fn pow_requirement(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::PowRequirement(pow)) = Packet::decode(2, bytes) else { return None };
    if !(0.0..=1e9).contains(&pow) || bytes.len() < 7 && pow != 0.0 {
        return None;
    }
    let value: Value = number(pow);
    let fields = vec![Field::new("minimum proof of work", at, bytes.len(), value)];
    let node = Node::new("shh.pow_requirement", bytes, at).with_fields(fields);
    Some(node.possible("an integer whose bits are a plausible float"))
}

/// `[per ip, per peer id, per topic]`.
pub(super) fn rate_limits(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let node = Node::new("shh.rate_limits", bytes, at).with_fields(limits(bytes, at)?);
    Some(node.possible("three integers"))
}

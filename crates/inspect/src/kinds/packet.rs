//! Packets of `shh/6`, by their payloads.

use serde_json::Value;
use statuskit_core::{
    devp2p::{base, snappy},
    rlp::Reader,
    wire::{
        Dialect, Packet,
        packet::{ReadResponse, code},
    },
};

use super::{devp2p, mailserver, waku, whisper};
use crate::{
    layer::{Certainty, Child, Field, Node, hex0x},
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

/// A whole devp2p message: its code, then the payload, compressed or not.
pub(super) fn coded(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    coded_as(context, Dialect::Whisper, OFFSET, bytes, at)
        .or_else(|| coded_as(context, Dialect::Waku1, OFFSET, bytes, at))
}

/// A message of a connection whose only protocol is this one, or begins at `offset`.
pub(super) fn coded_as(
    context: &Context<'_>,
    dialect: Dialect,
    offset: u64,
    bytes: &[u8],
    at: usize,
) -> Option<Node> {
    let mut reader = Reader::new(bytes);
    let code = reader.u64("code").ok()?;
    let header = reader.offset();
    let (payload, start) = (&bytes[header..], at + header);
    if payload.is_empty() {
        return None;
    }
    let local = code.checked_sub(offset);
    let mut node = match of_code(context, dialect, code, local, payload, start) {
        Some(mut node) => {
            (node.offset, node.length) = (at, bytes.len());
            node
        }
        None => {
            let read = |bytes: &[u8]| of_code(context, dialect, code, local, bytes, 0);
            compressed(context, read, payload, start, bytes, at)?
        }
    };
    node.fields.insert(0, Field::new("code", at, header, code));
    // The code and the form agree.
    if node.certainty == Certainty::Possible {
        node = node.because(Certainty::Possible, "a code and a payload of its form");
    }
    Some(node)
}

/// The payload of a packet by its code: that of the base protocol, or `local` of the other.
fn of_code(
    context: &Context<'_>,
    dialect: Dialect,
    code: u64,
    local: Option<u64>,
    payload: &[u8],
    at: usize,
) -> Option<Node> {
    type Read = fn(&Context<'_>, &[u8], usize) -> Option<Node>;
    let waku = dialect.is_waku();
    let read: Read = match (code, local) {
        (base::HELLO, _) => devp2p::hello,
        (base::DISCONNECT, _) => devp2p::disconnect,
        (base::PING, _) => devp2p::ping,
        (base::PONG, _) => devp2p::pong,
        (_, Some(code::STATUS)) if waku => waku::status,
        (_, Some(code::STATUS_UPDATE)) if waku => waku::update,
        (_, Some(code::STATUS)) => status,
        (_, Some(code::MESSAGES)) => messages,
        (_, Some(code::POW_REQUIREMENT)) if !waku => pow_requirement,
        (_, Some(code::BLOOM_FILTER)) if !waku => bloom_filter,
        (_, Some(code::BATCH_ACK)) => batch_acknowledged,
        (_, Some(code::MESSAGE_RESPONSE)) => any_response,
        (_, Some(code::RATE_LIMITS)) if !waku => rate_limits,
        (_, Some(code::P2P_SYNC_REQUEST)) if !waku => sync_request,
        (_, Some(code::P2P_SYNC_RESPONSE)) if !waku => sync_response,
        (_, Some(code::P2P_REQUEST_COMPLETE)) => request_complete,
        (_, Some(code::P2P_REQUEST)) => {
            let plain: Read = if waku { waku::plain_request } else { plain_request };
            return p2p_request(context, plain, waku, payload, at);
        }
        (_, Some(code::P2P_MESSAGE)) => p2p_message,
        _ => return None,
    };
    let mut node = read(context, payload, at)?;
    if waku && let Some((_, name)) = waku::TWINS.iter().find(|(name, _)| node.kind == *name) {
        node.kind = (*name).into();
    }
    Some(node)
}

/// A request: in an envelope, or plain.
fn p2p_request(
    context: &Context<'_>,
    plain: fn(&Context<'_>, &[u8], usize) -> Option<Node>,
    waku: bool,
    bytes: &[u8],
    at: usize,
) -> Option<Node> {
    let Some(envelope) = whisper::envelope(context, bytes, at) else {
        return plain(context, bytes, at);
    };
    let kind = if waku { "waku.p2p_request" } else { "shh.p2p_request" };
    let field = Field::new("envelope", at, bytes.len(), Value::Null);
    let mut node = Node::new(kind, bytes, at).with_fields(vec![field]);
    (node.certainty, node.why) =
        (envelope.certainty, "an envelope in the packet of a request".into());
    node.here(Some(envelope));
    Some(node)
}

/// A payload that has to be decompressed first, with whatever is before it in `whole`.
fn compressed(
    context: &Context<'_>,
    read: impl Fn(&[u8]) -> Option<Node>,
    payload: &[u8],
    start: usize,
    whole: &[u8],
    at: usize,
) -> Option<Node> {
    let plain = snappy::decompress(payload, MAX_PLAIN).ok().filter(|plain| !plain.is_empty())?;
    let inner = context.nested(|_| read(&plain))?;
    let field = Field::new("compressed payload", start, payload.len(), hex0x(payload));
    let mut node = Node::new(inner.kind.clone(), whole, at).with_fields(vec![field]);
    (node.certainty, node.why) = (inner.certainty, inner.why.clone());
    let method = "decompressed with Snappy".to_owned();
    node.children.push(Child::Buffer { bytes: plain, method, node: inner });
    Some(node)
}

/// The most bytes that are decompressed.
const MAX_PLAIN: usize = 2 << 20;

/// The compressed payload of a packet, whose code is not known.
pub(super) fn squeezed(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let read = |plain: &[u8]| {
        let readers = [status, messages, devp2p::hello, waku::status, message_response];
        let found = readers.iter().find_map(|read| read(context, plain, 0));
        found.filter(|node| node.certainty != Certainty::Possible)
    };
    compressed(context, read, bytes, at, bytes, at)
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
    let mut count = 0;
    while !list.is_empty() {
        if !context.has_room() || count >= MAX_ENVELOPES {
            let message = format!("only the first {count} envelopes are shown");
            node.stop("inspect.limit", message, "inspect the others alone");
            return Some(list.fields());
        }
        let (raw, start) = list.list("envelope")?;
        count += 1;
        node.here(Some(context.nested(|context| whisper::envelope(context, raw, start))?));
    }
    list.finish()
}

/// The most envelopes of a list that are shown.
const MAX_ENVELOPES: usize = 1024;

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

fn any_response(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    message_response(context, bytes, at).or_else(|| other_response(context, bytes, at))
}

/// `[version, response]` of a version that nodes ignore, or a response that they can't read.
pub(super) fn other_response(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok(Packet::MessageResponse(response)) = Packet::decode(code::MESSAGE_RESPONSE, bytes)
    else {
        return None;
    };
    if matches!(response, ReadResponse::V1(_)) {
        return None;
    }
    let mut list = List::open(bytes, at)?;
    list.u64("version")?;
    list.list("response")?;
    let node = Node::new("shh.message_response", bytes, at).with_fields(list.finish()?);
    Some(node.possible("a number and a list; nodes ignore such a response"))
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
    let zeros = bloom.iter().filter(|byte| **byte == 0).count();
    Some(if zeros >= 40 || bloom.iter().all(|byte| *byte == 0xff) {
        node.because(Certainty::Likely, "64 bytes with few bits set, or with all")
    } else {
        node.possible("a string of 64 bytes")
    })
}

/// A string with the end of an answer.
pub(super) fn request_complete(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let (content, header) = string(bytes)?;
    let inner = mailserver::response_of(context, content, at + header)?;
    let fields = vec![
        Field::new("string header", at, header, content.len()),
        Field::new("response", at + header, content.len(), Value::Null),
    ];
    let mut node = Node::new("shh.p2p_request_complete", bytes, at).with_fields(fields);
    (node.certainty, node.why) = (inner.certainty, inner.why.clone());
    node.here(Some(inner));
    Some(node)
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

//! Packets that only Waku has: its Status and the updates. The others are those of Whisper.

use serde_json::Value;
use statuskit_core::{
    rlp::Reader,
    wire::{Dialect, Packet, packet::code},
};

use crate::{
    layer::{Certainty, Field, Node},
    peel::Context,
    shape::{self, Shape},
};

/// Packets of Whisper with the same bytes in Waku, and their names there.
pub(super) const TWINS: &[(&str, &str)] = &[
    ("shh.batch_acknowledged", "waku.batch_acknowledged"),
    ("shh.message_response", "waku.message_response"),
    ("shh.messages", "waku.messages"),
    ("shh.p2p_message", "waku.p2p_message"),
    ("shh.p2p_request_complete", "waku.p2p_request_complete"),
];

/// Options by their keys.
const OPTIONS: [(&str, Shape); 6] = [
    ("minimum proof of work", Shape::Float),
    ("bloom filter", Shape::Any),
    ("light", Shape::Number),
    ("confirmations", Shape::Number),
    (
        "rate limits",
        Shape::Named(&[
            ("per ip", Shape::Number),
            ("per peer id", Shape::Number),
            ("per topic", Shape::Number),
        ]),
    ),
    ("topic interest", Shape::Each("topic", &Shape::Any)),
];

/// `[0, options]` of version 0, or the options alone of version 1. Bytes after the list of version 1
/// are ignored.
pub(super) fn status(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    read(Dialect::Waku0, code::STATUS, bytes, at)
        .or_else(|| read(Dialect::Waku1, code::STATUS, bytes, at))
}

/// The options that change.
pub(super) fn update(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let of = |dialect| read(dialect, code::STATUS_UPDATE, bytes, at);
    let node = of(Dialect::Waku0).or_else(|| of(Dialect::Waku1))?;
    Some(Node { certainty: Certainty::Possible, ..node })
}

/// `[id, from, to, limit, cursor, bloom, [topic, …]]`.
pub(super) fn plain_request(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    const ITEMS: &[(&str, Shape)] = &[
        ("id", Shape::Any),
        ("from", Shape::Number),
        ("to", Shape::Number),
        ("limit", Shape::Number),
        ("cursor", Shape::Any),
        ("bloom", Shape::Any),
        ("topics", Shape::Each("topic", &Shape::Any)),
    ];
    // An envelope has the same bytes as without this packet.
    if statuskit_core::envelope::Envelope::decode(bytes).is_ok() {
        return None;
    }
    let packet = Packet::decode_as(Dialect::Waku1, code::P2P_REQUEST, bytes);
    let Ok(Packet::P2pRequest(_)) = packet else { return None };
    let list = Reader::new(bytes).list("request").ok()?;
    let within = bytes.len() - list.remaining().len();
    let mut fields = vec![Field::new("list header", at, within, bytes.len() - within)];
    fields.extend(shape::items(list, at + within, ITEMS)?);
    Some(Node::new("waku.p2p_request", bytes, at).with_fields(fields))
}

pub(super) fn read(dialect: Dialect, code: u64, bytes: &[u8], at: usize) -> Option<Node> {
    let kind = match Packet::decode_as(dialect, code, bytes).ok()? {
        Packet::WakuStatus(_) => "waku.status",
        Packet::StatusUpdate(_) => "waku.status_update",
        _ => return None,
    };
    let mut reader = Reader::new(bytes);
    let mut list = reader.list("packet").ok()?;
    let end = bytes.len() - reader.remaining().len();
    let within = end - list.remaining().len();
    let mut fields = vec![Field::new("list header", at, within, end - within)];
    let mut count = 0;
    if kind == "waku.status" && dialect == Dialect::Waku0 {
        let start = end - list.remaining().len();
        let version = list.u64("version").ok()?;
        let next = end - list.remaining().len();
        fields.push(Field::new("version", at + start, next - start, version));
        let inner = list.list("options").ok()?;
        let header = end - list.remaining().len() - inner.remaining().len() - next;
        let mut field = Field::new("options", at + next, end - next, Value::Null);
        field.fields = options(inner, at + next + header, &mut count)?;
        fields.push(field);
    } else {
        fields.extend(options(list, at + within, &mut count)?);
    }
    if end < bytes.len() {
        let rest = &bytes[end..];
        fields.push(Field::new("ignored bytes", at + end, rest.len(), crate::layer::hex0x(rest)));
    }
    let node = Node::new(kind, bytes, at).with_fields(fields);
    Some(match (count, end == bytes.len()) {
        (2.., true) => node.because(Certainty::Likely, "several options, with values that fit"),
        _ => node.possible("a list of options"),
    })
}

/// `[[key, value], …]`, with the first at `at`. Counts those that are known.
fn options(mut list: Reader<'_>, at: usize, count: &mut usize) -> Option<Vec<Field>> {
    let whole = list.remaining().len();
    let mut fields = Vec::new();
    while !list.is_empty() {
        let start = whole - list.remaining().len();
        let mut pair = list.list("option").ok()?;
        let end = whole - list.remaining().len();
        let raw_key = pair.clone().string("key").ok()?;
        let number = match raw_key {
            [] => Some(0),
            [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
            [number] => Some(usize::from(*number)),
            _ => None,
        };
        let known = number.and_then(|number| OPTIONS.get(number));
        let name = known.map_or("unknown option", |(name, _)| name);
        *count += usize::from(known.is_some());
        let mut field = Field::new(name, at + start, end - start, Value::Null);
        let header = end - start - pair.remaining().len();
        let shape = known.map_or(Shape::Any, |(_, shape)| *shape);
        let pair_at = at + start + header;
        let items = pair_items(&mut pair, pair_at, shape)?;
        field.fields = items;
        fields.push(field);
    }
    Some(fields)
}

fn pair_items(pair: &mut Reader<'_>, at: usize, shape: Shape) -> Option<Vec<Field>> {
    let whole = pair.remaining().len();
    let key = pair.raw_item("key").ok()?;
    let size = whole - pair.remaining().len();
    let mut fields = vec![Field::new("key", at, size, crate::layer::hex0x(key))];
    fields.extend(shape::items(pair.clone(), at + size, &[("value", shape)])?);
    Some(fields)
}

//! Packets of discovery, and node records.

use statuskit_core::{
    crypto::keccak256,
    discovery::{
        DatagramError, MAX_DATAGRAM, Record, UnverifiedRecord,
        record::MAX_RECORD,
        v4,
        v5::{self, PREFIX},
    },
    rlp::{self, Reader},
};

use super::account::Whole;
use crate::{
    layer::{Child, Field, Node, hex0x},
    peel::Context,
    shape::{self, Shape},
};

const HASH: usize = 32;
const SIGNATURE: usize = 65;

const ENDPOINT: Shape =
    Shape::Named(&[("ip", Shape::Ip), ("udp", Shape::Number), ("tcp", Shape::Number)]);
const NODE: Shape = Shape::Named(&[
    ("ip", Shape::Ip),
    ("udp", Shape::Number),
    ("tcp", Shape::Number),
    ("id", Shape::Any),
]);
const NODES: Shape = Shape::Each("node", &NODE);
const TOPICS: Shape = Shape::Each("topic", &Shape::Text);
const WAITS: Shape = Shape::Each("wait period", &Shape::Number);

/// The name of a packet, and its items.
type Layout = (&'static str, &'static [(&'static str, Shape)]);

fn v5_layout(kind: u8) -> Option<Layout> {
    Some(match kind {
        v5::kind::PING => (
            "ping",
            &[
                ("version", Shape::Number),
                ("from", ENDPOINT),
                ("to", ENDPOINT),
                ("expiration", Shape::Number),
                ("topics", TOPICS),
            ],
        ),
        v5::kind::PONG => (
            "pong",
            &[
                ("to", ENDPOINT),
                ("reply token", Shape::Any),
                ("expiration", Shape::Number),
                ("topic hash", Shape::Any),
                ("ticket serial", Shape::Number),
                ("wait periods", WAITS),
            ],
        ),
        v5::kind::FIND_NODE => {
            ("find node", &[("target", Shape::Any), ("expiration", Shape::Number)])
        }
        v5::kind::NEIGHBORS => ("neighbors", &[("nodes", NODES), ("expiration", Shape::Number)]),
        v5::kind::FIND_NODE_HASH => {
            ("find node by hash", &[("target hash", Shape::Any), ("expiration", Shape::Number)])
        }
        v5::kind::TOPIC_REGISTER => (
            "register topics",
            &[("topics", TOPICS), ("index", Shape::Number), ("pong", Shape::Any)],
        ),
        v5::kind::TOPIC_QUERY => {
            ("query a topic", &[("topic", Shape::Text), ("expiration", Shape::Number)])
        }
        v5::kind::TOPIC_NODES => ("nodes of a topic", &[("echo", Shape::Any), ("nodes", NODES)]),
        _ => return None,
    })
}

fn v4_layout(kind: u8) -> Option<Layout> {
    Some(match kind {
        v4::kind::PING => (
            "ping",
            &[
                ("version", Shape::Number),
                ("from", ENDPOINT),
                ("to", ENDPOINT),
                ("expiration", Shape::Number),
                ("record number", Shape::Number),
            ],
        ),
        v4::kind::PONG => (
            "pong",
            &[
                ("to", ENDPOINT),
                ("reply token", Shape::Any),
                ("expiration", Shape::Number),
                ("record number", Shape::Number),
            ],
        ),
        v4::kind::FIND_NODE => {
            ("find node", &[("target", Shape::Any), ("expiration", Shape::Number)])
        }
        v4::kind::NEIGHBORS => ("neighbors", &[("nodes", NODES), ("expiration", Shape::Number)]),
        v4::kind::RECORD_REQUEST => ("request a record", &[("expiration", Shape::Number)]),
        v4::kind::RECORD_RESPONSE => {
            ("record", &[("reply token", Shape::Any), ("record", Shape::Any)])
        }
        _ => return None,
    })
}

/// A datagram of legacy v5 or of v4.
pub(super) fn packet(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    legacy(context, bytes, at).or_else(|| fourth(context, bytes, at))
}

/// `"temporary discovery v5" || signature || type || list`.
fn legacy(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if !bytes.starts_with(PREFIX) {
        return None;
    }
    let mut fields = vec![Field::new("prefix", at, PREFIX.len(), "temporary discovery v5")];
    let mut node = Node::new("discovery.packet", bytes, at)
        .certain("the text with which packets of legacy v5 begin");
    signed(bytes, at, PREFIX.len(), v5_layout, &mut fields);
    node.fields = fields;
    if !context.curve() {
        node.stop("inspect.limit", "too many signatures to check all", "inspect it alone");
        return Some(node);
    }
    let found = v5::Packet::decode(bytes).map(|packet| packet.sender.to_string());
    verdict(&mut node, bytes, found);
    if let Some(rest) = bytes.get(PREFIX.len() + SIGNATURE..)
        && rest.first() == Some(&v5::kind::TOPIC_REGISTER)
        && let Some((pong, start)) = item(&rest[1..], 2)
    {
        let start = at + bytes.len() - rest.len() + 1 + start;
        node.here(context.nested(|context| legacy(context, pong, start)));
    }
    Some(node)
}

/// `hash || signature || type || list`.
fn fourth(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let (hash, rest) = bytes.split_first_chunk::<HASH>()?;
    let kind = *rest.get(SIGNATURE)?;
    let list = &rest[SIGNATURE + 1..];
    v4_layout(kind)?;
    let holds = keccak256(&rest[..rest.len().min(MAX_DATAGRAM - HASH)]) == *hash;
    // Without the hash, only a list without anything behind tells a packet from noise.
    if !holds && rlp::list_size(list.get(..rlp::header_size(*list.first()?))?) != Some(list.len()) {
        return None;
    }
    let mut fields = vec![Field::new("hash", at, HASH, hex0x(hash))];
    signed(bytes, at, HASH, v4_layout, &mut fields);
    if !holds && fields.last().is_none_or(|field| field.name != "list" || field.fields.is_empty()) {
        return None;
    }
    let mut node = Node::new("discovery.packet", bytes, at).with_fields(fields);
    node.check(
        "hash",
        "discovery.hash",
        holds,
        if holds { "of the rest" } else { "of other bytes" },
    );
    node = match holds {
        true => node.certain("the hash holds"),
        false => node.possible("the parts of a packet of v4, with a wrong hash"),
    };
    if !holds || !context.curve() {
        return Some(node);
    }
    let found = v4::Packet::decode(bytes).map(|packet| packet.sender.to_string());
    verdict(&mut node, bytes, found);
    if kind == v4::kind::RECORD_RESPONSE
        && let Some((record, start)) = raw_item(list, 1)
    {
        let start = at + bytes.len() - list.len() + start;
        node.here(context.nested(|context| record_rlp(context, record, start)));
    }
    Some(node)
}

/// Tells who signed, or why nodes ignore the packet.
fn verdict(node: &mut Node, bytes: &[u8], sender: Result<String, DatagramError>) {
    match sender {
        Ok(sender) => {
            node.check("signature", "discovery.signature", true, format!("signed by {sender}"));
        }
        Err(error) => node.stop(error.code(), error.to_string(), "nodes ignore such a packet"),
    }
    if bytes.len() > MAX_DATAGRAM {
        let found = format!("{} bytes, of which {MAX_DATAGRAM} are read", bytes.len());
        node.check("length", "discovery.too_long", false, found);
    }
}

/// Adds signature, type, list, and what is behind.
fn signed(
    bytes: &[u8],
    at: usize,
    start: usize,
    layout: fn(u8) -> Option<Layout>,
    fields: &mut Vec<Field>,
) {
    let Some(signature) = bytes.get(start..start + SIGNATURE) else { return };
    fields.push(Field::new("signature", at + start, SIGNATURE, hex0x(signature)));
    let start = start + SIGNATURE;
    let Some(kind) = bytes.get(start) else { return };
    let layout = layout(*kind);
    let name = layout.map_or_else(|| format!("unknown type {kind}"), |(name, _)| name.to_owned());
    fields.push(Field::new("type", at + start, 1, serde_json::Value::String(name)));
    let (rest, start) = (&bytes[start + 1..], start + 1);
    let mut reader = Reader::new(rest);
    let Ok(list) = reader.list("packet") else { return };
    let size = rest.len() - reader.remaining().len();
    let within = at + start + size - list.remaining().len();
    let mut field = Field::new("list", at + start, size, serde_json::Value::Null);
    let items = shape::items(list, within, layout.map_or(&[], |(_, items)| items));
    field.fields = items.unwrap_or_default();
    fields.push(field);
    if size < rest.len() {
        let behind = &rest[size..];
        fields.push(Field::new("ignored bytes", at + start + size, behind.len(), hex0x(behind)));
    }
}

/// Returns an item of the list at the start of the bytes, with its offset.
fn raw_item(bytes: &[u8], number: usize) -> Option<(&[u8], usize)> {
    let mut reader = Reader::new(bytes);
    let mut list = reader.list("packet").ok()?;
    let end = bytes.len() - reader.remaining().len();
    for _ in 0..number {
        list.raw_item("item").ok()?;
    }
    let start = end - list.remaining().len();
    Some((list.raw_item("item").ok()?, start))
}

fn item(bytes: &[u8], number: usize) -> Option<(&[u8], usize)> {
    let (raw, start) = raw_item(bytes, number)?;
    let content = Reader::new(raw).string("item").ok()?;
    Some((content, start + raw.len() - content.len()))
}

/// A node record as text.
pub(super) fn record_text(
    context: &Context<'_>,
    text: &str,
    whole: Whole,
    bytes: &[u8],
    at: usize,
) -> Option<Node> {
    let base64 = text.strip_prefix("enr:")?;
    let mut node = Node::new("devp2p.enr", bytes, at).with_fields(whole("text", text, bytes, at));
    match text.parse::<Record>() {
        Ok(record) => {
            node = node.certain("the signature holds");
            let method = "base64 of the record".to_owned();
            let raw = record.as_rlp().to_vec();
            if let Some(inner) = context.nested(|context| record_rlp(context, &raw, 0)) {
                node.children.push(Child::Buffer { bytes: raw, method, node: inner });
            }
        }
        Err(error) => {
            if base64.len() < 16 {
                return None;
            }
            node = node.because(crate::Certainty::Likely, "the prefix of a node record");
            node.stop(error.code(), error.to_string(), "nodes ignore such a record");
        }
    }
    Some(node)
}

/// `[signature, seq, key, value, …]`.
pub(super) fn record_rlp(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if bytes.len() > MAX_RECORD {
        return None;
    }
    let unverified = UnverifiedRecord::decode(bytes).ok()?;
    let mut reader = Reader::new(bytes);
    let mut list = reader.list("record").ok()?;
    let header = bytes.len() - list.remaining().len();
    let mut fields = vec![Field::new("list header", at, header, bytes.len() - header)];
    let place = |list: &Reader<'_>| bytes.len() - list.remaining().len();
    let start = place(&list);
    let signature = list.string("signature").ok()?;
    fields.push(Field::new("signature", at + start, place(&list) - start, hex0x(signature)));
    let start = place(&list);
    let seq = list.u64("sequence number").ok()?;
    fields.push(Field::new("sequence number", at + start, place(&list) - start, seq));
    while !list.is_empty() {
        let start = place(&list);
        let key = String::from_utf8_lossy(list.string("key").ok()?).into_owned();
        let shape = match &*key {
            "id" => Shape::Text,
            "ip" | "ip6" => Shape::Ip,
            "tcp" | "udp" | "tcp6" | "udp6" => Shape::Number,
            _ => Shape::Any,
        };
        let value = list.raw_item("value").ok()?;
        let inner = shape::items(Reader::new(value), 0, &[("value", shape)])?;
        let value = inner.into_iter().next()?.value;
        fields.push(Field::new(key, at + start, place(&list) - start, value));
    }
    let mut node = Node::new("devp2p.enr", bytes, at).with_fields(fields);
    if !context.curve() {
        return None;
    }
    match unverified.verify() {
        Ok(record) => {
            node.check("signature", "enr.signature", true, format!("signed by {}", record.key()));
            if let Some(enode) = record.enode() {
                node.check("node", "", true, enode.to_string());
            }
            Some(node.certain("the signature holds"))
        }
        Err(error) => {
            if signature.len() != 64 || seq == 0 && bytes.len() < 70 {
                return None;
            }
            node.check("signature", error.code(), false, error.to_string());
            Some(node.possible("the items of a record, which its key did not sign"))
        }
    }
}

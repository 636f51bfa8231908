//! Requests to mailservers, and the ends of their answers.

use statuskit_core::{
    mailserver::{Form, Request},
    wire::{Position, p2p::RequestComplete},
};

use crate::{
    layer::{Certainty, Field, Node, hex0x},
    peel::Context,
    rlp::List,
};

/// Before this second, there was no Whisper: 1 July 2015.
const FIRST_SECOND: u32 = 1_435_708_800;
const HASH: usize = 32;

/// A request, in any of its forms.
pub(super) fn request(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let Ok((request, form)) = Request::decode(bytes) else { return raw(context, bytes, at) };
    let mut list = List::open(bytes, at)?;
    list.u32("lower")?;
    list.u32("upper")?;
    list.bytes("bloom")?;
    if form == Form::Seven {
        list.list("topics")?;
    }
    list.u32("limit")?;
    list.bytes("cursor")?;
    if form != Form::Five {
        list.bool("batch")?;
    }
    let mut node = Node::new("mailserver.request", bytes, at).with_fields(list.fields());
    let name = match form {
        Form::Seven => "seven items",
        Form::Six => "six items, which the reference rejects",
        _ => "five items, which the reference rejects",
    };
    node.check("form", "", true, name);
    if request.bloom.is_none() && request.cursor.is_none() && form != Form::Seven {
        node = node.possible("small integers and empty strings in their places");
    }
    Some(verdict(node, &request))
}

/// The first releases: `lower || upper [|| bloom [|| limit [|| cursor]]]`.
fn raw(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    const PARTS: [(&str, usize); 5] =
        [("lower", 4), ("upper", 4), ("bloom", 64), ("limit", 4), ("cursor", usize::MAX)];
    if !matches!(bytes.len(), 8 | 72 | 76 | 112 | 116) {
        return None;
    }
    let request = Request::decode_raw(bytes).ok()?;
    // A range of at most a day, not before the protocol: noise has one in 100,000 times.
    if request.from.0 < FIRST_SECOND && !context.is_forced("mailserver.request") {
        return None;
    }
    let (mut fields, mut start) = (Vec::new(), 0_usize);
    for (name, length) in PARTS {
        let end = bytes.len().min(start.saturating_add(length));
        if end > start {
            let part = &bytes[start..end];
            let value = match (name, <[u8; 4]>::try_from(part)) {
                ("cursor" | "bloom", _) | (_, Err(_)) => hex0x(part),
                (_, Ok(word)) => u32::from_be_bytes(word).into(),
            };
            fields.push(Field::new(name, at + start, end - start, value));
        }
        start = end;
    }
    let node = Node::new("mailserver.request", bytes, at).with_fields(fields);
    let mut node = node.possible("a range of at most a day, and the lengths of the raw form");
    node.check("form", "", true, "raw, of the first releases");
    Some(verdict(node, &request))
}

fn verdict(mut node: Node, request: &Request) -> Node {
    match request.validate() {
        Ok(()) => node.check("request", "mailserver.range", true, "a server answers it"),
        Err(error) => node.check("request", error.code(), false, error.to_string()),
    }
    node
}

/// The end of an answer, by itself.
pub(super) fn response(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let node = response_of(context, bytes, at)?;
    // Two hashes are any bytes.
    let is_told = node.certainty != Certainty::Possible || context.is_forced("mailserver.response");
    is_told.then_some(node)
}

/// Hash of the request, of the last envelope, and a cursor; or an error.
pub(super) fn response_of(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let complete = RequestComplete::decode(bytes).ok()?;
    let mut node = Node::new("mailserver.response", bytes, at);
    let parts: &[(&str, usize)] = match complete {
        RequestComplete::Failure { .. } => &[("prefix", 6), ("request hash", HASH)],
        RequestComplete::Success { .. } => &[
            ("request hash", HASH),
            ("last envelope hash", HASH),
            ("cursor", Position::LEN),
            ("ignored bytes", usize::MAX),
        ],
    };
    let mut start = 0;
    for (name, length) in parts {
        let end = bytes.len().min(start + (*length).min(bytes.len() - start));
        if end > start {
            let part = &bytes[start..end];
            let value = if *name == "prefix" { "ERROR=".into() } else { hex0x(part) };
            node.fields.push(Field::new(*name, at + start, end - start, value));
        }
        start = end;
    }
    if let RequestComplete::Failure { text, .. } = &complete {
        let text = String::from_utf8_lossy(text).into_owned();
        if start < bytes.len() {
            node.fields.push(Field::new("error", at + start, bytes.len() - start, text.clone()));
        }
        node.check("answer", "mailserver.refused", false, text);
        return Some(node.because(Certainty::Likely, "the prefix of an error"));
    }
    let last = bytes.get(HASH..2 * HASH);
    let cursor = bytes.get(2 * HASH..2 * HASH + Position::LEN);
    let of_last = cursor.zip(last).is_some_and(|(cursor, last)| cursor[4..] == *last);
    let is_exact = matches!(bytes.len(), 64 | 100);
    // A hash has few zeros, unlike a bloom filter.
    let is_hash = bytes[..HASH].iter().filter(|byte| **byte == 0).count() < 8;
    let is_none = is_hash && bytes.len() == 64 && last == Some(&[0; HASH][..]);
    Some(match (is_exact && of_last, is_none) {
        (true, _) => node.because(Certainty::Likely, "the cursor is that of the last envelope"),
        (_, true) => node.because(Certainty::Likely, "a hash, and no last envelope"),
        _ => node.possible("bytes of a fitting length"),
    })
}

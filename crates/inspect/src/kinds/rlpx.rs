//! One direction of an RLPx connection: a handshake packet, and frames, which a key log opens.

use statuskit_core::{
    devp2p::{
        Capability, Hello, Protocol,
        base::HELLO,
        capability::shared_protocols,
        frame::{Frame, FrameReader, MAX_BODY},
        handshake::SessionKeys,
    },
    rlp,
    wire::{Dialect, packet::PROTOCOL_LENGTH},
};

use super::{devp2p, packet};
use crate::{
    layer::{Child, Field, Node, Stop, hex0x},
    peel::Context,
};

/// The most frames of one direction that are opened.
const MAX_FRAMES: usize = 1024;
/// Length of a header with its MAC.
const HEADER: usize = 32;
const BLOCK: usize = 16;

/// Who writes a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Initiator,
    Responder,
}

/// The protocols of a connection: where the codes of each begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Protocols(Vec<(u64, Dialect)>);

impl Protocols {
    /// Finds out what two peers share, as far as their Hellos are known.
    pub fn from_hellos(one: Option<&Hello>, other: Option<&Hello>) -> Self {
        const KNOWN: [(&str, Dialect); 3] =
            [("shh", Dialect::Whisper), ("waku", Dialect::Waku0), ("waku", Dialect::Waku1)];
        let known = KNOWN.map(|(name, dialect)| {
            (Protocol::new(name, dialect.version(), PROTOCOL_LENGTH), dialect)
        });
        let offers = |hello: Option<&Hello>, wanted: &Capability| {
            hello.is_none_or(|hello| hello.capabilities.contains(wanted))
        };
        let ours: Vec<_> = known
            .iter()
            .map(|(protocol, _)| protocol.clone())
            .filter(|protocol| offers(one, &protocol.capability))
            .collect();
        let theirs: Vec<_> = known
            .iter()
            .map(|(protocol, _)| protocol.capability.clone())
            .filter(|capability| offers(other, capability))
            .collect();
        let shared = shared_protocols(&ours, &theirs).into_iter();
        Self(
            shared
                .filter_map(|it| {
                    let is_it =
                        |(protocol, _): &&(Protocol, Dialect)| protocol.capability == it.capability;
                    Some((it.offset, known.iter().find(is_it)?.1))
                })
                .collect(),
        )
    }

    fn of_code(&self, code: u64) -> Option<(u64, Dialect)> {
        let holds =
            |(offset, _): &&(u64, Dialect)| (*offset..*offset + PROTOCOL_LENGTH).contains(&code);
        self.0.iter().find(holds).copied().or(Some((16, Dialect::Whisper)))
    }
}

/// A direction, opened: where its frames are, and what they carry.
pub(super) struct Opened {
    /// The length of the handshake packet.
    packet: usize,
    frames: Vec<(usize, usize, Frame)>,
    stopped: Option<Stop>,
    pub hello: Option<Hello>,
}

/// Finds the session that a stream belongs to, by the packet with which it begins.
pub(super) fn find<'a>(context: &Context<'a>, bytes: &[u8]) -> Option<(&'a SessionKeys, Side)> {
    context.options.keys.frames.iter().find_map(|keys| {
        if bytes.starts_with(keys.auth()) {
            return Some((keys, Side::Initiator));
        }
        bytes.starts_with(keys.ack()).then_some((keys, Side::Responder))
    })
}

/// Opens the frames of a direction.
pub(super) fn open(keys: &SessionKeys, side: Side, bytes: &[u8], packet: usize) -> Opened {
    let (initiator, responder) = keys.readers(MAX_BODY);
    let mut reader: FrameReader = if side == Side::Initiator { initiator } else { responder };
    let mut opened = Opened { packet, frames: Vec::new(), stopped: None, hello: None };
    let mut rest = &bytes[packet..];
    let stop =
        |code, message: String, hint: &str| Some(Stop { code, message, hint: hint.to_owned() });
    while !rest.is_empty() && opened.frames.len() < MAX_FRAMES {
        let start = bytes.len() - rest.len();
        match reader.read(&mut rest) {
            Ok(Some(frame)) => {
                if frame.code == HELLO && opened.hello.is_none() {
                    opened.hello = Hello::decode(&frame.payload).ok();
                }
                let end = bytes.len() - rest.len();
                opened.frames.push((start, end - start, frame));
            }
            Ok(None) => {
                let message =
                    format!("the last {} bytes are a part of a frame", bytes.len() - start);
                opened.stopped =
                    stop("inspect.truncated", message, "look for the rest of the stream");
            }
            Err(error) => {
                let message = format!("the frame at {start}: {error}");
                let hint = "bytes are missing or damaged before it";
                opened.stopped = stop(error.code(), message, hint);
                break;
            }
        }
    }
    if opened.frames.len() == MAX_FRAMES && !rest.is_empty() {
        let message = format!("more than {MAX_FRAMES} frames");
        opened.stopped = stop("inspect.limit", message, "cut the stream");
    }
    opened
}

/// A direction as a layer: `bytes` is all of its buffer.
pub(super) fn layer(
    context: &Context<'_>,
    side: Side,
    opened: Option<&Opened>,
    protocols: &Protocols,
    bytes: &[u8],
) -> Option<Node> {
    let handshake = match opened {
        Some(opened) => opened.packet,
        None => packet_length(side, bytes)?,
    };
    let read = if side == Side::Initiator { devp2p::auth } else { devp2p::ack };
    let first = context.nested(|context| read(context, &bytes[..handshake], 0))?;
    let mut node = Node::new("rlpx.stream", bytes, 0);
    let writer = if side == Side::Initiator { "initiator" } else { "responder" };
    node.fields.push(Field::new(format!("handshake of the {writer}"), 0, handshake, ()));
    (node.certainty, node.why) = (first.certainty, "a handshake packet, and what follows".into());
    node.here(Some(first));
    let Some(opened) = opened else {
        if handshake < bytes.len() {
            let rest = bytes.len() - handshake;
            node.fields.push(Field::new("encrypted frames", handshake, rest, ()));
            let message = format!("{rest} bytes of frames are encrypted");
            let hint = "give the key log of the tool that connected (--key-log)";
            node.stop("inspect.no_key", message, hint);
        }
        return Some(node);
    };
    node = node.certain("the MACs of its frames hold");
    for (start, length, frame) in &opened.frames {
        node.fields.push(Field::new("frame", *start, *length, ()));
        let part = &bytes[*start..*start + *length];
        let inner = context.nested(|context| Some(one(context, frame, protocols, part, *start)));
        node.here(inner);
    }
    node.stopped = opened.stopped.clone();
    Some(node)
}

/// `header || MAC || body, padded || MAC`.
fn one(
    context: &Context<'_>,
    frame: &Frame,
    protocols: &Protocols,
    bytes: &[u8],
    at: usize,
) -> Node {
    let mut body = Vec::with_capacity(frame.payload.len() + 9);
    rlp::put_u64(&mut body, frame.code);
    body.extend_from_slice(&frame.payload);
    let tag = bytes.len() - BLOCK;
    let parts = [
        ("header", 0, BLOCK),
        ("MAC of the header", BLOCK, HEADER),
        ("body, padded", HEADER, tag),
        ("MAC of the body", tag, bytes.len()),
    ];
    let fields = parts.map(|(name, from, to)| {
        let value = if name == "body, padded" { ().into() } else { hex0x(&bytes[from..to]) };
        Field::new(name, at + from, to - from, value)
    });
    let mut node =
        Node::new("rlpx.frame", bytes, at).with_fields(fields.into()).certain("both MACs hold");
    node.check("code", "", true, frame.code.to_string());
    let inner = protocols.of_code(frame.code).and_then(|(offset, dialect)| {
        context.nested(|context| packet::coded_as(context, dialect, offset, &body, 0))
    });
    match inner {
        Some(inner) => {
            // The MACs say that these are the bytes that were sent; the code, what they are.
            let inner = Node { opened_with: Some("the key log".to_owned()), ..inner }
                .certain("the code of the frame, and its form");
            let method = "decrypted with the key log".to_owned();
            node.children.push(Child::Buffer { bytes: body, method, node: inner });
        }
        None => {
            let message = format!("no packet that is known has code {}", frame.code);
            node.stop("inspect.application", message, "");
        }
    }
    node
}

/// Returns the length of the handshake packet at the start of a stream.
pub(super) fn packet_length(side: Side, bytes: &[u8]) -> Option<usize> {
    let plain = if side == Side::Initiator { devp2p::PLAIN_AUTH } else { devp2p::PLAIN_ACK };
    if bytes.len() >= plain && bytes[0] == 4 && devp2p::is_point(&bytes[..65]) {
        return Some(plain);
    }
    let size = 2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let fits = size > plain && size <= bytes.len() && bytes[2] == 4;
    (fits && devp2p::is_point(&bytes[2..67])).then_some(size)
}

/// A recorded direction by itself, which the key log opens.
pub(super) fn stream(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if at != 0 {
        return None;
    }
    let (keys, side) = find(context, bytes)?;
    let packet = if side == Side::Initiator { keys.auth() } else { keys.ack() };
    if packet.len() == bytes.len() {
        return None;
    }
    let opened = open(keys, side, bytes, packet.len());
    let protocols = Protocols::from_hellos(opened.hello.as_ref(), None);
    layer(context, side, Some(&opened), &protocols, bytes)
}

/// Frames from the first one on, without the handshake.
pub(super) fn frames(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if at != 0 || bytes.len() < HEADER + BLOCK {
        return None;
    }
    let sessions = context.options.keys.frames.iter();
    let opened = sessions.flat_map(|keys| [(keys, Side::Initiator), (keys, Side::Responder)]);
    let opened = opened.map(|(keys, side)| open(keys, side, bytes, 0));
    let opened = opened.into_iter().find(|opened| !opened.frames.is_empty())?;
    let protocols = Protocols::from_hellos(opened.hello.as_ref(), None);
    let (_, length, first) = opened.frames.first()?;
    if *length == bytes.len() {
        return Some(one(context, first, &protocols, bytes, 0));
    }
    let mut node = Node::new("rlpx.stream", bytes, 0).certain("the MACs of its frames hold");
    for (start, length, frame) in &opened.frames {
        node.fields.push(Field::new("frame", *start, *length, ()));
        let part = &bytes[*start..*start + *length];
        let inner = context.nested(|context| Some(one(context, frame, &protocols, part, *start)));
        node.here(inner);
    }
    node.stopped = opened.stopped.clone();
    Some(node)
}

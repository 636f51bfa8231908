//! Captures of a network: pcap and pcapng files, their TCP streams and UDP datagrams.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::{
    discovery,
    rlpx::{self, Protocols, Side},
};
use crate::{
    layer::{Certainty, Child, Field, Node},
    peel::Context,
};

/// The most packets that are read.
const MAX_PACKETS: usize = 1 << 20;
/// The most packets that have a field of their own.
const MAX_LISTED: usize = 4096;
/// The most connections that are put together.
const MAX_CONNECTIONS: usize = 1024;
/// The longest direction that is put together, in bytes.
const MAX_STREAM: u32 = 256 << 20;

/// The most interfaces of a section.
const MAX_INTERFACES: usize = 1024;

/// Link types.
mod link {
    pub const NULL: u32 = 0;
    pub const ETHERNET: u32 = 1;
    pub const RAW_BSD: [u32; 2] = [12, 14];
    pub const RAW: u32 = 101;
    pub const LOOP: u32 = 108;
    pub const LINUX_COOKED: u32 = 113;
    pub const IPV4: u32 = 228;
    pub const IPV6: u32 = 229;
    pub const LINUX_COOKED_2: u32 = 276;
}

/// A packet in the file.
struct Packet {
    /// Its record or block, with headers and padding.
    record: Range<usize>,
    /// The captured bytes.
    data: Range<usize>,
    link: u32,
}

/// What was read of a file.
#[derive(Default)]
struct File {
    format: &'static str,
    fields: Vec<Field>,
    packets: Vec<Packet>,
    /// Why the reading ended before the end.
    problem: Option<String>,
}

/// Who sends to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

impl Way {
    fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) =
            (std::net::SocketAddr::from(self.from), std::net::SocketAddr::from(self.to));
        write!(f, "{from} to {to}")
    }
}

/// One direction of a TCP connection.
#[derive(Default)]
struct Direction {
    /// The number of the first byte, if the start was seen.
    first: Option<u32>,
    /// Whether the start was not an answer.
    opens: bool,
    /// Numbers and places of segments.
    segments: Vec<(u32, Range<usize>)>,
}

/// Returns whether a file begins as a capture. It is binary then, whatever its first bytes are.
pub fn is_capture(bytes: &[u8]) -> bool {
    const MAGIC: [[u8; 4]; 5] = [
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0x0a, 0x0d, 0x0d, 0x0a],
    ];
    bytes.first_chunk().is_some_and(|first| MAGIC.contains(first))
}

/// A capture.
pub(super) fn capture(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if at != 0 {
        return None;
    }
    let file = pcap(bytes).or_else(|| pcapng(bytes))?;
    let mut node = Node::new("capture.pcap", bytes, at).certain("the magic number of its format");
    node.check("format", "", true, file.format);
    node.fields = file.fields;
    let mut connections: BTreeMap<(Way, u32), Direction> = BTreeMap::new();
    // The number of the present connection between two addresses.
    let mut numbers: BTreeMap<Way, u32> = BTreeMap::new();
    let (mut datagrams, mut unread, mut fragments) = (0_usize, 0_usize, 0_usize);
    for packet in &file.packets {
        match segment(bytes, packet) {
            Segment::Udp(payload) => {
                datagrams += 1;
                let part = &bytes[payload.clone()];
                node.here(
                    context.nested(|context| discovery::packet(context, part, payload.start)),
                );
            }
            Segment::Tcp { way, sequence, syn, ack, payload } => {
                if !numbers.contains_key(&way) && numbers.len() >= 2 * MAX_CONNECTIONS {
                    unread += 1;
                    continue;
                }
                let mut number = *numbers.entry(way).or_default();
                let start = sequence.wrapping_add(u32::from(syn));
                let is_other = connections
                    .get(&(way, number))
                    .is_some_and(|it| syn && it.first.is_some_and(|first| first != start));
                if is_other {
                    number += 1;
                    numbers.insert(way, number);
                    if !ack {
                        numbers.insert(way.back(), number);
                    }
                }
                let direction = connections.entry((way, number)).or_default();
                if syn {
                    direction.first = Some(start);
                    direction.opens = !ack;
                }
                if !payload.is_empty() {
                    direction.segments.push((start, payload));
                }
            }
            Segment::Fragment => fragments += 1,
            Segment::Other => unread += 1,
        }
    }
    let counts = [
        ("packets", file.packets.len()),
        ("UDP datagrams", datagrams),
        ("IP fragments, which are not put together", fragments),
        ("other packets", unread),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        node.check(name, "", true, count.to_string());
    }
    if let Some(problem) = file.problem {
        node.stop("inspect.truncated", problem, "look for the rest of the file");
    }
    streams(context, bytes, &connections, &mut node);
    Some(node)
}

/// Adds the directions of each connection, the one that opened it first.
fn streams(
    context: &Context<'_>,
    bytes: &[u8],
    connections: &BTreeMap<(Way, u32), Direction>,
    node: &mut Node,
) {
    for ((way, number), direction) in connections {
        let back = connections.get(&(way.back(), *number));
        // Each connection once, from the side that opened it, or else the smaller address.
        let is_first = match back {
            None => true,
            Some(back) if direction.opens != back.opens => direction.opens,
            Some(_) => way.from < way.to,
        };
        if !is_first {
            continue;
        }
        let one = Stream::put_together(bytes, direction);
        let other = back.map(|back| Stream::put_together(bytes, back));
        let mut pair = vec![(*way, one)];
        pair.extend(other.map(|other| (way.back(), other)));
        let opened: Vec<_> = pair
            .iter()
            .map(|(_, stream)| {
                let (keys, side) = rlpx::find(context, &stream.bytes)?;
                let packet = if side == Side::Initiator { keys.auth() } else { keys.ack() };
                Some((side, rlpx::open(keys, side, &stream.bytes, packet.len())))
            })
            .collect();
        let hello = |index: usize| opened.get(index)?.as_ref()?.1.hello.as_ref();
        let protocols = Protocols::from_hellos(hello(0), hello(1));
        for (index, (way, stream)) in pair.into_iter().enumerate() {
            if stream.bytes.is_empty() {
                continue;
            }
            let found = opened[index].as_ref();
            let side = match (found, index) {
                (Some((side, _)), _) => *side,
                (None, 0) => Side::Initiator,
                (None, _) => Side::Responder,
            };
            let opened = found.map(|(_, opened)| opened);
            let layer = context
                .nested(|context| rlpx::layer(context, side, opened, &protocols, &stream.bytes));
            let method = format!("TCP, {way}, {} segments", stream.segments);
            let mut layer = layer.unwrap_or_else(|| {
                let mut unknown = Node::new("capture.stream", &stream.bytes, 0);
                unknown = unknown.because(Certainty::Likely, "the headers of its packets");
                unknown.stop("inspect.application", "no protocol that is known", "");
                unknown
            });
            if let Some(missing) = stream.missing
                && layer.stopped.is_none()
            {
                layer.stop("inspect.gap", missing, "capture again, with whole packets");
            }
            node.children.push(Child::Buffer { bytes: stream.bytes, method, node: layer });
        }
    }
}

/// A direction, put together up to the first byte that is missing.
struct Stream {
    bytes: Vec<u8>,
    segments: usize,
    missing: Option<String>,
}

impl Stream {
    fn put_together(file: &[u8], direction: &Direction) -> Self {
        let mut stream = Self { bytes: Vec::new(), segments: 0, missing: None };
        let Some((some, _)) = direction.segments.first() else { return stream };
        // Without the start, the earliest segment is the first.
        let earliest =
            direction.segments.iter().map(|(number, _)| number.wrapping_sub(*some) as i32);
        let earliest = some.wrapping_add(earliest.min().unwrap_or(0) as u32);
        let first = direction.first.unwrap_or(earliest);
        let mut parts: Vec<_> = direction
            .segments
            .iter()
            .map(|(number, place)| (number.wrapping_sub(first), place.clone()))
            .filter(|(offset, _)| *offset < MAX_STREAM)
            .collect();
        // A stable sort: of two copies, the first that came counts.
        parts.sort_by_key(|(offset, _)| *offset);
        for (offset, place) in parts {
            let offset = offset as usize;
            if offset > stream.bytes.len() {
                let gap = offset - stream.bytes.len();
                stream.missing = Some(format!("{gap} bytes are missing at {}", stream.bytes.len()));
                break;
            }
            // What came before is not taken again.
            let new = file[place].get(stream.bytes.len() - offset..).unwrap_or(&[]);
            stream.segments += usize::from(!new.is_empty());
            stream.bytes.extend_from_slice(new);
        }
        stream
    }
}

enum Segment {
    Udp(Range<usize>),
    Tcp { way: Way, sequence: u32, syn: bool, ack: bool, payload: Range<usize> },
    Fragment,
    Other,
}

fn segment(file: &[u8], packet: &Packet) -> Segment {
    let data = &file[packet.data.clone()];
    let found = network(data, packet.link)
        .and_then(|(start, is_v6)| if is_v6 { ipv6(data, start) } else { ipv4(data, start) });
    let Some(transport) = found else { return Segment::Other };
    let Transport { protocol, from, to, range, is_fragment } = transport;
    if is_fragment {
        return Segment::Fragment;
    }
    let body = &data[range.clone()];
    let base = packet.data.start + range.start;
    let (Some(source), Some(target)) = (word(body, 0), word(body, 2)) else {
        return Segment::Other;
    };
    match protocol {
        UDP => {
            let Some(length) = word(body, 4).map(usize::from) else { return Segment::Other };
            let end = if length < 8 { body.len() } else { length.min(body.len()) };
            if end < 8 {
                return Segment::Other;
            }
            Segment::Udp(base + 8..base + end)
        }
        TCP => {
            let header = body.get(12).map(|byte| usize::from(byte >> 4) * 4);
            let Some(header) = header.filter(|it| (20..=body.len()).contains(it)) else {
                return Segment::Other;
            };
            let sequence = u32::from_be_bytes([body[4], body[5], body[6], body[7]]);
            let flags = body[13];
            Segment::Tcp {
                way: Way { from: (from, source), to: (to, target) },
                sequence,
                syn: flags & 2 != 0,
                ack: flags & 16 != 0,
                payload: base + header..base + body.len(),
            }
        }
        _ => Segment::Other,
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

struct Transport {
    protocol: u8,
    from: IpAddr,
    to: IpAddr,
    range: Range<usize>,
    is_fragment: bool,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Returns where the IP header begins, and whether it is that of IPv6.
fn network(data: &[u8], link: u32) -> Option<(usize, bool)> {
    let by_version = |start: usize| match data.get(start)? >> 4 {
        4 => Some((start, false)),
        6 => Some((start, true)),
        _ => None,
    };
    let by_type = |kind: u16, start: usize| match kind {
        0x0800 => Some((start, false)),
        0x86dd => Some((start, true)),
        _ => None,
    };
    match link {
        // The family of addresses has a number of its own in each system.
        link::NULL | link::LOOP => by_version(4),
        link::ETHERNET => {
            let mut start = 14;
            // Tags of virtual networks.
            while matches!(word(data, start - 2)?, 0x8100 | 0x88a8 | 0x9100) && start <= 22 {
                start += 4;
            }
            by_type(word(data, start - 2)?, start)
        }
        link::LINUX_COOKED => by_type(word(data, 14)?, 16),
        link::LINUX_COOKED_2 => by_type(word(data, 0)?, 20),
        link::RAW | link::IPV4 | link::IPV6 => by_version(0),
        other if link::RAW_BSD.contains(&other) => by_version(0),
        _ => None,
    }
}

fn ipv4(data: &[u8], start: usize) -> Option<Transport> {
    let ip = data.get(start..)?;
    let header = usize::from(ip.first()? & 15) * 4;
    if header < 20 || ip.len() < header || ip[0] >> 4 != 4 {
        return None;
    }
    // Network cards that cut packets themselves leave the length at 0.
    let total = match usize::from(word(ip, 2)?) {
        0 => ip.len(),
        total => total.min(ip.len()),
    };
    let fragment = word(ip, 6)?;
    let address =
        |at: usize| Some(IpAddr::from(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?)));
    (total >= header).then_some(())?;
    Some(Transport {
        protocol: ip[9],
        from: address(12)?,
        to: address(16)?,
        range: start + header..start + total,
        is_fragment: fragment & 0x3fff != 0,
    })
}

fn ipv6(data: &[u8], start: usize) -> Option<Transport> {
    const HEADER: usize = 40;
    let ip = data.get(start..)?;
    if ip.len() < HEADER || ip[0] >> 4 != 6 {
        return None;
    }
    let total = match usize::from(word(ip, 4)?) {
        0 => ip.len(),
        payload => (HEADER + payload).min(ip.len()),
    };
    let (mut next, mut at, mut is_fragment) = (ip[6], HEADER, false);
    // Extension headers.
    for _ in 0..8 {
        match next {
            0 | 43 | 60 => {
                next = *ip.get(at)?;
                at += 8 + 8 * usize::from(*ip.get(at + 1)?);
            }
            44 => {
                next = *ip.get(at)?;
                is_fragment |= word(ip, at + 2)? & 0xfff9 != 0;
                at += 8;
            }
            _ => break,
        }
    }
    let address =
        |at: usize| Some(IpAddr::from(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?)));
    (at <= total).then_some(())?;
    Some(Transport {
        protocol: next,
        from: address(8)?,
        to: address(24)?,
        range: start + at..start + total,
        is_fragment,
    })
}

/// Numbers of a file in its byte order.
#[derive(Clone, Copy)]
struct Order {
    is_big: bool,
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }
}

fn pcap(bytes: &[u8]) -> Option<File> {
    const HEADER: usize = 24;
    const RECORD: usize = 16;
    let (is_big, format) = match bytes.first_chunk::<4>()? {
        [0xa1, 0xb2, 0xc3, 0xd4] => (true, "pcap, microseconds, big-endian"),
        [0xd4, 0xc3, 0xb2, 0xa1] => (false, "pcap, microseconds, little-endian"),
        [0xa1, 0xb2, 0x3c, 0x4d] => (true, "pcap, nanoseconds, big-endian"),
        [0x4d, 0x3c, 0xb2, 0xa1] => (false, "pcap, nanoseconds, little-endian"),
        _ => return None,
    };
    let order = Order { is_big };
    let mut file = File { format, ..File::default() };
    let Some(link) = order.u32(bytes, 20).filter(|_| bytes.len() >= HEADER) else {
        file.problem = Some("the header of the file is cut".to_owned());
        return Some(file);
    };
    // The upper bits tell of checksums behind the frames.
    let link = link & 0x0fff_ffff;
    file.fields.push(Field::new("file header", 0, HEADER, format!("link type {link}")));
    let mut at = HEADER;
    while at < bytes.len() && file.packets.len() < MAX_PACKETS {
        let length = order.u32(bytes, at + 8).map(|length| length as usize);
        let end = length.and_then(|length| at.checked_add(RECORD)?.checked_add(length));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else {
            file.problem = Some(format!("the record at {at} is cut"));
            break;
        };
        file.packets.push(Packet { record: at..end, data: at + RECORD..end, link });
        at = end;
    }
    list(&mut file, at);
    Some(file)
}

fn pcapng(bytes: &[u8]) -> Option<File> {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const OLD_PACKET: u32 = 2;
    const SIMPLE: u32 = 3;
    const ENHANCED: u32 = 6;
    if *bytes.first_chunk::<4>()? != SECTION.to_be_bytes() {
        return None;
    }
    let order = |at: usize| match bytes.get(at + 8..at + 12)? {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Order { is_big: true }),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Order { is_big: false }),
        _ => None,
    };
    let mut now = order(0)?;
    let mut file = File { format: "pcapng", ..File::default() };
    // Link types and longest packets of the interfaces.
    let mut interfaces: Vec<(u32, usize)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() && file.packets.len() < MAX_PACKETS {
        let kind = match bytes.get(at..at + 4) {
            // A section has an order of its own, and its own interfaces.
            Some(kind) if kind == SECTION.to_be_bytes() => {
                if let Some(order) = order(at) {
                    now = order;
                    interfaces.clear();
                }
                Some(SECTION)
            }
            _ => now.u32(bytes, at),
        };
        let length = now.u32(bytes, at + 4).map(|length| length as usize);
        let end =
            length.filter(|it| *it >= 12 && it.is_multiple_of(4)).and_then(|it| at.checked_add(it));
        let (Some(kind), Some(end)) = (kind, end.filter(|end| *end <= bytes.len())) else {
            file.problem = Some(format!("the block at {at} is cut or malformed"));
            break;
        };
        let body = &bytes[at + 8..end - 4];
        if kind == INTERFACE && interfaces.len() < MAX_INTERFACES {
            let link = now.u16(body, 0).unwrap_or_default().into();
            interfaces.push((link, now.u32(body, 4).unwrap_or(0) as usize));
        }
        // Adds a packet, if its interface and its bytes are there.
        let mut add = |interface: usize, start: usize, length: usize| {
            let (link, longest) = *interfaces.get(interface)?;
            let length = if kind == SIMPLE && longest > 0 { length.min(longest) } else { length };
            body.get(start..start.checked_add(length)?)?;
            let data = at + 8 + start..at + 8 + start + length;
            file.packets.push(Packet { record: at..end, data, link });
            Some(())
        };
        let word = |at: usize| now.u32(body, at).map(|it| it as usize);
        let _ = match kind {
            ENHANCED => word(0).zip(word(12)).and_then(|(it, size)| add(it, 20, size)),
            OLD_PACKET => {
                let interface = now.u16(body, 0).map(usize::from);
                interface.zip(word(12)).and_then(|(it, size)| add(it, 20, size))
            }
            SIMPLE => word(0).and_then(|size| add(0, 4, size)),
            _ => None,
        };
        at = end;
    }
    list(&mut file, at);
    Some(file)
}

/// Adds a field per packet, and for what is between.
fn list(file: &mut File, end: usize) {
    let mut at = file.fields.last().map_or(0, |field| field.offset + field.length);
    for (number, packet) in file.packets.iter().take(MAX_LISTED).enumerate() {
        if packet.record.start > at {
            let between = packet.record.start - at;
            file.fields.push(Field::new("other blocks", at, between, ()));
        }
        let name = format!("packet {}", number + 1);
        let value = format!("{} bytes", packet.data.len());
        let length = packet.record.len();
        file.fields.push(Field::new(name, packet.record.start, length, value));
        at = packet.record.end;
    }
    if at < end {
        let name = match file.packets.len() > MAX_LISTED {
            true => "further packets",
            false => "other blocks",
        };
        file.fields.push(Field::new(name, at, end - at, ()));
    }
}

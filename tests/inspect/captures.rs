//! Captures in every format, and the streams in them.

use std::net::Ipv4Addr;

use statuskit_core::{
    chat::{ComposeOptions, Composer, Destination, PublicChat},
    crypto::{SecretKey, seeded_rng},
    devp2p::{
        Capability, Hello,
        base::HELLO,
        handshake::{Initiator, Responder, SessionKeys, Step},
        snappy,
    },
    discovery::{Endpoint, v4, v5},
    wire::{Packet, Status},
};
use statuskit_inspect::{Certainty, Inspection, Options, inspect};

use crate::covers;

/// The two directions of a connection, with the keys of the one who dialled.
pub struct Talk {
    pub initiator: Vec<u8>,
    pub responder: Vec<u8>,
    pub keys: SessionKeys,
}

/// A connection: both Hellos and Statuses, and a message to the chat `status`.
pub fn talk() -> Talk {
    let mut rng = seeded_rng("capture");
    let (alice, bob) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let dialling = Initiator::new(&alice, bob.public_key(), &mut rng);
    let mut initiator = dialling.auth().to_vec();
    let Ok(Step::Done(auth)) = Responder::new(&bob).read(&mut &initiator[..]) else {
        panic!("an auth")
    };
    let (ack, theirs) = auth.accept(&mut rng);
    let mut responder = ack.clone();
    let Ok(Step::Done(ours)) = dialling.read(&mut &ack[..]) else { panic!("an ack") };
    let keys = ours.session_keys();
    let (mut to_bob, _) = ours.into_frames(1 << 20);
    let (mut to_alice, _) = theirs.into_frames(1 << 20);
    let hello = |key: &SecretKey| Hello {
        version: 5,
        client: "test/v1".to_owned(),
        capabilities: vec![Capability::new("shh", 6)],
        listen_port: 0,
        id: key.public_key().to_xy(),
        extra: Vec::new(),
    };
    to_bob.encode(HELLO, &hello(&alice).encode(), &mut initiator).unwrap();
    to_alice.encode(HELLO, &hello(&bob).encode(), &mut responder).unwrap();
    let mut composer = Composer::new(Destination::public("status"), Some(alice));
    let composed = composer
        .text(
            "hello",
            &ComposeOptions::default(),
            statuskit_core::time::UnixMillis(1_585_500_000_000),
            &mut rng,
        )
        .unwrap();
    let status = Packet::Status(Status::default());
    for packet in [status.clone(), Packet::Messages(vec![composed.envelope])] {
        let payload = snappy::compress(&packet.encode()).unwrap();
        to_bob.encode(16 + packet.code(), &payload, &mut initiator).unwrap();
    }
    let payload = snappy::compress(&status.encode()).unwrap();
    to_alice.encode(16, &payload, &mut responder).unwrap();
    Talk { initiator, responder, keys }
}

/// A capture of it.
pub fn file() -> Vec<u8> {
    pcapng(false, &(101, Vec::new()), &segments(&talk(), 300))
}

fn options(talk: &Talk) -> Options {
    let mut options = Options::default();
    options.keys.ring.add_chat(&PublicChat::new("status"));
    options.keys.frames.push(talk.keys.clone());
    options
}

const ALICE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 1), 40_000);
const BOB: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 2), 30_303);

type Address = (Ipv4Addr, u16);

/// An IPv4 packet.
fn ipv4(protocol: u8, from: Address, to: Address, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(from.0.octets());
    packet.extend(to.0.octets());
    packet.extend(body);
    packet
}

/// The same in an IPv6 packet with an extension header.
fn ipv6(protocol: u8, from: Address, to: Address, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(8 + body.len()).unwrap().to_be_bytes());
    packet.extend([0, 64]);
    packet.extend(from.0.to_ipv6_mapped().octets());
    packet.extend(to.0.to_ipv6_mapped().octets());
    packet.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend(body);
    packet
}

fn tcp(from: Address, to: Address, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

fn udp(from: Address, to: Address, payload: &[u8]) -> Vec<u8> {
    let mut datagram = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

const SYN: u8 = 2;
const ACK: u8 = 16;

/// The segments of a connection: its start near the end of the numbers, and pieces of `size` bytes.
fn segments(talk: &Talk, size: usize) -> Vec<Vec<u8>> {
    const FIRST: u32 = u32::MAX - 300;
    let mut all = vec![
        (ALICE, BOB, tcp(ALICE, BOB, FIRST, SYN, &[])),
        (BOB, ALICE, tcp(BOB, ALICE, 7, SYN | ACK, &[])),
    ];
    for (from, to, first, stream) in
        [(ALICE, BOB, FIRST, &talk.initiator), (BOB, ALICE, 7, &talk.responder)]
    {
        for (number, piece) in stream.chunks(size).enumerate() {
            let sequence = first.wrapping_add(1 + u32::try_from(number * size).unwrap());
            all.push((from, to, tcp(from, to, sequence, ACK, piece)));
        }
    }
    all.into_iter().map(|(from, to, segment)| ipv4(6, from, to, &segment)).collect()
}

/// The link layers: the type, and what is in front of a packet.
fn links() -> Vec<(u32, Vec<u8>)> {
    let ethernet = [&[0_u8; 12][..], &[8, 0]].concat();
    let vlan = [&[0_u8; 12][..], &[0x81, 0, 0, 1, 8, 0]].concat();
    let cooked = [&[0_u8; 14][..], &[8, 0]].concat();
    let cooked_2 = [&[8, 0][..], &[0; 18]].concat();
    vec![
        (1, ethernet),
        (1, vlan),
        (113, cooked),
        (276, cooked_2),
        (101, Vec::new()),
        (0, vec![2, 0, 0, 0]),
        (108, vec![0, 0, 0, 2]),
    ]
}

fn word(is_big: bool, value: u32) -> [u8; 4] {
    if is_big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn pcap(is_big: bool, is_nano: bool, link: &(u32, Vec<u8>), packets: &[Vec<u8>]) -> Vec<u8> {
    let magic = if is_nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let half = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut file = word(is_big, magic).to_vec();
    file.extend([half(2), half(4)].concat());
    for value in [0, 0, 65_535, link.0] {
        file.extend(word(is_big, value));
    }
    for packet in packets {
        let length = u32::try_from(link.1.len() + packet.len()).unwrap();
        for value in [1_585_500_000, 1, length, length] {
            file.extend(word(is_big, value));
        }
        file.extend(&link.1);
        file.extend(packet);
    }
    file
}

fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = word(is_big, u32::try_from(12 + body.len()).unwrap());
    [&word(is_big, kind)[..], &length, &body, &length].concat()
}

fn pcapng(is_big: bool, link: &(u32, Vec<u8>), packets: &[Vec<u8>]) -> Vec<u8> {
    let half = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let start = [&word(is_big, 0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    let mut file = block(is_big, 0x0a0d_0d0a, &start);
    let kind = half(u16::try_from(link.0).unwrap());
    file.extend(block(is_big, 1, &[&kind[..], &[0; 6]].concat()));
    // A block that is of no use here.
    file.extend(block(is_big, 5, &[0; 12]));
    for (number, packet) in packets.iter().enumerate() {
        let bytes = [&link.1[..], packet].concat();
        let length = word(is_big, u32::try_from(bytes.len()).unwrap());
        // Enhanced, and at times simple.
        match number % 3 {
            2 => file.extend(block(is_big, 3, &[&length[..], &bytes].concat())),
            _ => {
                let head = [&[0; 12][..], &length, &length].concat();
                file.extend(block(is_big, 6, &[head, bytes].concat()));
            }
        }
    }
    file
}

fn kinds(inspection: &Inspection) -> Vec<&str> {
    inspection.layers.iter().map(|layer| &*layer.kind).collect()
}

/// Asserts that a capture was peeled down to the text.
fn is_peeled(inspection: &Inspection, what: &str) {
    covers(inspection);
    let kinds = kinds(inspection);
    for kind in [
        "capture.pcap",
        "rlpx.stream",
        "rlpx.auth",
        "rlpx.ack",
        "rlpx.frame",
        "p2p.hello",
        "shh.status",
        "shh.messages",
        "whisper.envelope",
        "whisper.message",
        "payload.wrapper",
    ] {
        assert!(kinds.contains(&kind), "{what}: no {kind} in {kinds:?}");
    }
    let message = inspection.layers.iter().find(|layer| layer.kind == "payload.chat_message");
    let fields = &message.unwrap_or_else(|| panic!("{what}: no message")).fields;
    assert!(fields.iter().any(|it| it.name == "text" && it.value == "hello"), "{what}");
}

#[test]
fn captures_of_all_formats_are_peeled_to_the_text() {
    let talk = talk();
    let options = options(&talk);
    let packets = segments(&talk, 200);
    for link in links() {
        for (is_big, is_nano) in [(false, false), (true, false), (false, true), (true, true)] {
            let file = pcap(is_big, is_nano, &link, &packets);
            let inspection = inspect(&file, &options).unwrap();
            assert_eq!(inspection.certainty(), Certainty::Certain);
            is_peeled(&inspection, &format!("pcap {is_big} {is_nano} {}", link.0));
        }
        for is_big in [false, true] {
            let file = pcapng(is_big, &link, &packets);
            is_peeled(&inspect(&file, &options).unwrap(), &format!("pcapng {is_big} {}", link.0));
        }
    }
}

#[test]
fn streams_are_put_together_whatever_happened_to_them() {
    let talk = talk();
    let options = options(&talk);
    let whole = segments(&talk, 100);
    let read = |packets: &[Vec<u8>]| {
        inspect(&pcap(false, false, &(101, Vec::new()), packets), &options).unwrap()
    };
    // The other way round, all twice, and with pieces that overlap.
    let mut mixed: Vec<_> = whole.iter().rev().cloned().collect();
    mixed.extend(segments(&talk, 170));
    is_peeled(&read(&mixed), "mixed");
    // Without the start of the connection.
    is_peeled(&read(&whole[2..]), "without SYN");
    // Only one side.
    let of_alice: Vec<_> =
        whole.iter().filter(|it| it[12..16] == ALICE.0.octets()).cloned().collect();
    assert!(kinds(&read(&of_alice)).contains(&"payload.chat_message"));
    // With a hole, it ends there and says so.
    let last = of_alice.len() - 2;
    let holed: Vec<_> =
        of_alice.iter().enumerate().filter(|(at, _)| *at != last).map(|it| it.1.clone()).collect();
    let found = read(&holed);
    covers(&found);
    let stream = found.layers.iter().find(|it| it.kind == "rlpx.stream").unwrap();
    let stopped = stream.stopped.as_ref().unwrap();
    assert!(matches!(stopped.code, "inspect.gap" | "inspect.truncated"), "{}", stopped.message);
    assert!(!kinds(&found).contains(&"payload.chat_message"));
    // A file that is cut says so, too.
    let file = pcap(false, false, &(101, Vec::new()), &whole);
    let cut = inspect(&file[..file.len() - 3], &options).unwrap();
    assert_eq!(cut.layers[0].stopped.as_ref().unwrap().code, "inspect.truncated");
}

#[test]
fn without_a_key_log_the_frames_stay_closed() {
    let talk = talk();
    let file = pcap(false, false, &(101, Vec::new()), &segments(&talk, 500));
    let found = inspect(&file, &Options::default()).unwrap();
    covers(&found);
    assert!(!kinds(&found).contains(&"rlpx.frame"));
    let stream = found.layers.iter().find(|it| it.kind == "rlpx.stream").unwrap();
    assert_eq!(stream.stopped.as_ref().unwrap().code, "inspect.no_key");
    assert!(stream.stopped.as_ref().unwrap().hint.contains("--key-log"));
}

#[test]
fn a_stream_by_itself_and_its_frames_are_opened() {
    let talk = talk();
    let options = options(&talk);
    let stream = inspect(&talk.initiator, &options).unwrap();
    covers(&stream);
    assert_eq!((stream.kind(), stream.certainty()), ("rlpx.stream", Certainty::Certain));
    assert!(kinds(&stream).contains(&"payload.chat_message"));
    let frames = &talk.initiator[talk.keys.auth().len()..];
    let opened = inspect(frames, &options).unwrap();
    covers(&opened);
    assert!(kinds(&opened).contains(&"payload.chat_message"));
    // One bit further, its MAC fails, and nothing behind it can be read.
    let mut damaged = talk.initiator.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let found = inspect(&damaged, &options).unwrap();
    assert_eq!(found.layers[0].stopped.as_ref().unwrap().code, "rlpx.mac");
    assert!(!kinds(&found).contains(&"payload.chat_message"));
    // A line of the log gives the same keys, and shows none of them in Debug.
    let line = talk.keys.to_line();
    let read = SessionKeys::from_line(&line).unwrap();
    assert_eq!(*read.to_line(), *line);
    let secret = line.split("\"aes_secret\":\"0x").nth(1).unwrap();
    assert!(!format!("{read:?}").contains(&secret[..64]));
    assert!(SessionKeys::from_line(&line[..line.len() - 2]).is_none());
}

#[test]
fn datagrams_of_both_discoveries_are_read() {
    let key = SecretKey::generate(&mut seeded_rng("datagram"));
    let endpoint = Endpoint::new(ALICE.0.into(), 30_303, 30_303);
    let ping = v4::Packet::Ping(v4::Ping {
        version: 4,
        from: endpoint.clone(),
        to: endpoint.clone(),
        expiration: 1_585_500_000,
        extra: Default::default(),
    });
    let query = v5::Packet::TopicQuery(v5::TopicQuery {
        topic: statuskit_core::discovery::TopicName(b"whisper".to_vec()),
        expiration: 1_585_500_000,
    });
    let datagrams = [ping.encode(&key).unwrap().bytes, query.encode(&key).unwrap().bytes];
    for (index, wrap) in [ipv4, ipv6].iter().enumerate() {
        let packets: Vec<_> =
            datagrams.iter().map(|it| wrap(17, ALICE, BOB, &udp(ALICE, BOB, it))).collect();
        let link = if index == 0 { 101 } else { 229 };
        let found = inspect(&pcap(true, false, &(link, Vec::new()), &packets), &Options::default())
            .unwrap();
        covers(&found);
        let layers: Vec<_> =
            found.layers.iter().filter(|it| it.kind == "discovery.packet").collect();
        assert_eq!(layers.len(), 2);
        assert!(layers.iter().all(|it| it.certainty == Certainty::Certain));
        assert!(layers.iter().all(|it| it.checks.iter().any(|check| {
            check.rule == "signature" && check.found.contains(&key.public_key().to_string())
        })));
    }
}

//! A hostile mailserver, which answers each request of a history with any packets: what is handed out
//! was asked for and is new, and the history ends: each request costs the server an envelope, or it is
//! one of few.
#![no_main]

use std::{collections::HashSet, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    envelope::{Envelope, EnvelopeHash, Topic},
    mailserver::{Cursor, Position},
    time::UnixSeconds,
    wire::{Packet, p2p::RequestComplete, packet::code},
};
use statuskit_mailserver::client::{HistoryQuery, play};

const FROM: u32 = 1_585_400_000;
const TO: u32 = FROM + 600;
const TOPIC: Topic = Topic([1, 2, 3, 4]);

/// Envelopes of the range and its topic, and others.
static ENVELOPES: LazyLock<Vec<Envelope>> = LazyLock::new(|| {
    let envelope = |n: u32| {
        let topic = if n % 5 == 4 { Topic([9, 9, 9, 9]) } else { TOPIC };
        Envelope::new(UnixSeconds(FROM - 10 + n * 10), 10, topic, &[7; 30], n.into())
    };
    (0..64).map(envelope).collect()
});

/// The end of a page.
fn end(cursor: Option<Cursor>) -> Packet {
    let last = EnvelopeHash([0; 32]);
    Packet::RequestComplete(RequestComplete::Success { request: [0; 32], last, cursor })
}

/// The packets of an answer, and the rest of the input.
fn packets(mut rest: &[u8]) -> (Vec<Packet>, &[u8]) {
    let mut packets = Vec::new();
    while let [step, tail @ ..] = rest {
        rest = tail;
        match step >> 5 {
            // One envelope, or the same several times.
            0..=2 => {
                let one = ENVELOPES[usize::from(step & 0x3f)].clone();
                packets.push(Packet::P2pMessage(vec![one; 1 + usize::from(step >> 6)]));
            }
            // The end, with or without a cursor that is one of few.
            3 | 4 => {
                let sent = UnixSeconds(FROM + u32::from(step & 0xf));
                let cursor = (step & 0x10 == 0).then(|| Cursor::from(Position::first_of(sent)));
                packets.push(end(cursor));
                break;
            }
            5 => {
                let text = match step & 3 {
                    0 => &b"query range too big for peer"[..],
                    _ => b"no",
                };
                let failure = RequestComplete::Failure { request: [0; 32], text: text.to_vec() };
                packets.push(Packet::RequestComplete(failure));
                break;
            }
            // Any bytes.
            _ => {
                let (payload, tail) = rest.split_at(rest.len().min(usize::from(step & 0x1f) * 8));
                rest = tail;
                let code =
                    if step & 1 == 0 { code::P2P_MESSAGE } else { code::P2P_REQUEST_COMPLETE };
                packets.extend(Packet::decode(code, payload));
            }
        }
    }
    (packets, rest)
}

fuzz_target!(|data: &[u8]| {
    let [shape, data @ ..] = data else { return };
    let topics = (shape & 1 == 0).then_some(TOPIC);
    let mut query = HistoryQuery::from_topics(UnixSeconds(FROM), UnixSeconds(TO), topics);
    query.limit = u32::from(shape >> 1 & 3);
    query.max_span = (shape & 8 != 0).then_some(200);
    query.pages = (shape & 16 != 0).then_some(u32::from(shape >> 5));
    let (mut rest, mut asked, mut came) = (data, 0, 0);
    // When the input is at its end, the server says for ever that there is more.
    let mut forever = 0;
    let (handed_out, _) = play(query, |request| {
        assert!(request.from.0 >= FROM && request.to.0 <= TO && request.from <= request.to);
        asked += 1;
        let packets = if rest.is_empty() {
            forever += 1;
            let cursor = Some(Cursor::from(Position::first_of(UnixSeconds(FROM + forever))));
            vec![end(cursor)]
        } else {
            let (packets, tail) = packets(rest);
            rest = tail;
            packets
        };
        came += packets.len();
        Some(packets)
    });
    assert!(forever <= 20, "it ends by itself: {forever}");
    assert!(asked <= came + 20, "{asked} requests for {came} packets");
    let mut hashes = HashSet::new();
    for envelope in handed_out {
        assert!((FROM..=TO).contains(&envelope.sent().0) && hashes.insert(envelope.hash()));
        assert!(shape & 1 == 1 || envelope.topic() == TOPIC);
    }
});

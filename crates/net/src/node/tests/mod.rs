//! The core, driven by hand: no sockets, and a clock that the tests move.

use std::time::Duration;

use statuskit_core::{
    devp2p::NodeId,
    envelope::{Bloom, Envelope, EnvelopeHash, Topic, Verdict},
    rlp::Reader,
    time::UnixSeconds,
    wire::{
        Packet, RateLimits, Status,
        packet::{ReadResponse, code, read_envelopes},
    },
};

use super::*;

mod any_order;
mod rates;
mod waku;

const START: Time = Duration::from_secs(1_585_700_000);
const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = NodeConfig::DEFAULT_SEND_WINDOW;

/// Events may hold I/O errors, which can't be compared. Their descriptions can.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

fn free() -> NodeConfig {
    let interest = Interest::Everything;
    NodeConfig { min_pow: 0.0, min_pow_tolerance: 0.0, interest, ..NodeConfig::default() }
}

fn envelope(now: Time, ttl: u32, nonce: u64) -> Envelope {
    Envelope::new(
        UnixSeconds(now.as_secs() as u32 + ttl),
        ttl,
        Topic([1, 2, 3, 4]),
        &[7; 100],
        nonce,
    )
}

fn messages(envelopes: &[Envelope]) -> Vec<u8> {
    Packet::Messages(envelopes.to_vec()).encode()
}

fn join(node: &mut Node, status: &Status, now: Time) -> ConnectionId {
    let peer = node.add_peer(PeerInfo::default(), now).unwrap();
    node.handle_packet(peer, code::STATUS, &status.encode(), now);
    peer
}

/// All packets for a peer.
fn poll(node: &mut Node, peer: ConnectionId, now: Time) -> Vec<Outgoing> {
    std::iter::from_fn(|| node.poll_peer(peer, now)).collect()
}

/// The envelopes for a peer, packet by packet.
fn batches(node: &mut Node, peer: ConnectionId, now: Time) -> Vec<Vec<EnvelopeHash>> {
    let packets = poll(node, peer, now).into_iter().filter(|it| it.code == code::MESSAGES);
    let hashes = |payload: &[u8]| {
        let envelopes = read_envelopes(&mut Reader::new(payload)).unwrap();
        envelopes.iter().map(Envelope::hash).collect()
    };
    packets.map(|packet| hashes(&packet.payload)).collect()
}

fn outputs(node: &mut Node) -> Vec<Output> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

fn events(node: &mut Node) -> Vec<Event> {
    let events = outputs(node).into_iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

#[test]
fn own_status_comes_first_and_the_pool_after_theirs() {
    let mut node = Node::new(free(), 1, START);
    let sent = node.send(envelope(START, 10, 1), START).unwrap();
    let peer = node.add_peer(PeerInfo::default(), START).unwrap();
    let first = poll(&mut node, peer, START + SECOND);
    assert_eq!(first.iter().map(|packet| packet.code).collect::<Vec<_>>(), [code::STATUS]);
    assert_eq!(Status::decode(&first[0].payload).unwrap().bloom, None);
    node.handle_packet(peer, code::STATUS, &Status::default().encode(), START + SECOND);
    assert_eq!(batches(&mut node, peer, START + SECOND + WINDOW), [[sent.hash]]);
    assert_eq!(batches(&mut node, peer, START + 2 * SECOND), [[]; 0]);
}

#[test]
fn a_line_of_nodes_passes_each_envelope_on_once_and_never_back() {
    let mut nodes = [1, 2, 3].map(|seed| Node::new(free(), seed, START));
    let status = Status { confirmations: true, ..Status::default() };
    // (node, its peer, the node there, the peer there)
    let ab = join(&mut nodes[0], &status, START);
    let ba = join(&mut nodes[1], &status, START);
    let bc = join(&mut nodes[1], &status, START);
    let cb = join(&mut nodes[2], &status, START);
    let links = [(0, ab, 1, ba), (1, ba, 0, ab), (1, bc, 2, cb), (2, cb, 1, bc)];
    let sent: Vec<_> =
        (0..5).map(|n| nodes[0].send(envelope(START, 10, n), START).unwrap().hash).collect();
    let mut carried = [0; 4];
    let mut got = [0; 3];
    let mut acknowledged = Vec::new();
    for step in 1..40 {
        let now = START + step * WINDOW;
        for (at, (from, peer, to, key)) in links.into_iter().enumerate() {
            for packet in poll(&mut nodes[from], peer, now) {
                if packet.code == code::MESSAGES {
                    carried[at] += read_envelopes(&mut Reader::new(&packet.payload)).unwrap().len();
                }
                if let Some(token) = packet.token {
                    nodes[from].written(peer, token);
                }
                if packet.code != code::STATUS {
                    nodes[to].handle_packet(key, packet.code, &packet.payload, now);
                }
            }
        }
        for (node, got) in nodes.iter_mut().zip(&mut got) {
            for event in events(node) {
                match event {
                    Event::Envelope { .. } => *got += 1,
                    Event::BatchAcknowledged { peer, envelopes, .. } if !envelopes.is_empty() => {
                        assert_eq!(peer, ab);
                        acknowledged.extend(envelopes);
                    }
                    _ => {}
                }
            }
        }
    }
    assert_eq!((carried, got), ([5, 0, 5, 0], [5; 3]));
    assert_eq!(acknowledged, sent);
}

#[test]
fn the_outcome_of_own_envelopes_is_reported() {
    let mut node = Node::new(free(), 1, START);
    let confirming = join(&mut node, &Status { confirmations: true, ..Status::default() }, START);
    let silent = join(&mut node, &Status::default(), START);
    let picky = join(&mut node, &Status { min_pow: 1e9, ..Status::default() }, START);
    events(&mut node);
    let sent = node.send(envelope(START, 10, 1), START).unwrap();
    assert_eq!((sent.known, &sent.peers), (false, &vec![confirming, silent]));
    assert!(node.send(envelope(START, 10, 1), START).unwrap().known);
    assert!(matches!(events(&mut node)[..], [Event::Envelope { from: None, .. }]));

    let now = START + WINDOW;
    assert_eq!(batches(&mut node, picky, now), [[]; 0]);
    let packet = poll(&mut node, confirming, now).pop().unwrap();
    let token = packet.token.unwrap();
    node.written(confirming, token);
    let written = |peer, confirms| Event::Written { peer, envelopes: vec![sent.hash], confirms };
    assert_eq!(events(&mut node), [written(confirming, true)]);

    let batch = statuskit_core::wire::packet::batch_hash(&packet.payload);
    let acknowledged =
        |errors, envelopes| Event::BatchAcknowledged { peer: confirming, batch, errors, envelopes };
    let response = statuskit_core::wire::packet::MessageResponse { batch, errors: Vec::new() };
    let response = Packet::MessageResponse(ReadResponse::V1(response));
    node.handle_packet(confirming, 12, &response.encode(), now);
    node.handle_packet(confirming, 11, &Packet::BatchAck(batch).encode(), now);
    let expected =
        [acknowledged(Some(Vec::new()), vec![sent.hash]), acknowledged(None, Vec::new())];
    assert_eq!(events(&mut node), expected);

    let token = poll(&mut node, silent, now).pop().unwrap().token.unwrap();
    node.written(silent, token);
    node.written(silent, token);
    assert_eq!(events(&mut node), [written(silent, false)]);
}

#[test]
fn own_envelopes_that_a_peer_sends_first_are_reported() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let sent = node.send(envelope(START, 10, 1), START).unwrap();
    assert_eq!(sent.peers, [peer]);
    events(&mut node);
    // It comes twice while ours waits for the window to end.
    let packet = messages(&[envelope(START, 10, 1)]);
    node.handle_packet(peer, 1, &packet, START);
    node.handle_packet(peer, 1, &packet, START);
    let held = events(&mut node).into_iter().filter(|event| matches!(event, Event::Held { .. }));
    assert_eq!(held.collect::<Vec<_>>(), [Event::Held { peer, envelope: sent.hash }]);
    assert_eq!(batches(&mut node, peer, START + WINDOW), [[]; 0]);
}

#[test]
fn batches_are_split_and_a_large_envelope_is_alone() {
    let mut config = free();
    config.limits.batch_bytes = 1000;
    let mut node = Node::new(config, 1, START);
    let from = join(&mut node, &Status::default(), START);
    let to = join(&mut node, &Status::default(), START);
    let expiry = START.as_secs() as u32 + 10;
    let sizes = [100, 300, 500, 5000, 100, 100, 896, 970, 971];
    let envelopes: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| {
            Envelope::new(UnixSeconds(expiry), 10, Topic([0; 4]), &vec![1; *size], n as u64)
        })
        .collect();
    node.handle_packet(from, code::MESSAGES, &messages(&envelopes), START);
    let packets: Vec<_> = poll(&mut node, to, START + WINDOW).split_off(1);
    let mut order = Vec::new();
    for packet in &packets {
        let inside = read_envelopes(&mut Reader::new(&packet.payload)).unwrap();
        assert!(packet.payload.len() <= 1000 || inside.len() == 1, "{}", packet.payload.len());
        order.extend(inside);
    }
    assert_eq!(order, envelopes, "in the order of arrival");
    assert_eq!(packets.len(), 6);
}

#[test]
fn own_envelopes_must_pass_our_own_rules() {
    let config = NodeConfig { bloom: Some(Bloom::EMPTY), ..NodeConfig::default() };
    let mut node = Node::new(config, 1, START);
    let refused = |node: &mut Node, envelope, now| match node.send(envelope, now) {
        Err(SendError::Refused(verdict)) => verdict,
        other => panic!("{other:?}"),
    };
    let low = envelope(START, 1000, 1);
    assert_eq!(refused(&mut node, low, START), Verdict::LowPow);
    // A TTL of 0 is worth an infinite proof of work.
    node.send(envelope(START, 0, 1), START).expect("tolerated for ten seconds");
    let later = START + 10 * SECOND;
    assert_eq!(refused(&mut node, envelope(later, 0, 2), later), Verdict::NoBloomMatch);
    assert_eq!(refused(&mut node, envelope(START, 0, 2), later), Verdict::Expired);
}

#[test]
fn old_requirements_are_tolerated_for_ten_seconds() {
    // The value of an envelope with z zero bits is 2^z / 113 / 2.
    let value = |nonce: u64, now| envelope(now, 2, nonce).pow(0);
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let mut nonce = 0;
    let mut accepts = |node: &mut Node, at_least: f64, below: f64, now: Time| {
        nonce = (nonce + 1..).find(|n| (at_least..below).contains(&value(*n, now))).unwrap();
        let envelope = envelope(now, 2, nonce);
        node.handle_packet(peer, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), now);
        node.pooled(&envelope.hash()).is_some()
    };
    let almost = Duration::from_millis(9_999);
    assert!(accepts(&mut node, 0.0, 0.005, START));
    node.set_min_pow(0.1, START);
    assert!(accepts(&mut node, 0.0, 0.005, START + almost));
    let now = START + 10 * SECOND;
    assert!(!accepts(&mut node, 0.0, 0.1, now));
    assert!(accepts(&mut node, 0.1, 9.0, now));
    // After two changes within ten seconds, each old value is tolerated for its time.
    node.set_min_pow(0.5, now);
    node.set_min_pow(0.05, now + 5 * SECOND);
    assert!(accepts(&mut node, 0.05, 0.1, now + 5 * SECOND));
    assert!(!accepts(&mut node, 0.0, 0.05, now + 10 * SECOND));
    assert!(accepts(&mut node, 0.05, 0.1, now + 16 * SECOND));
    let announced: Vec<_> =
        poll(&mut node, peer, now).into_iter().filter(|it| it.code == 2).collect();
    assert_eq!(announced.len(), 1, "only the newest is announced");
    assert_eq!(Packet::decode(2, &announced[0].payload), Ok(Packet::PowRequirement(0.05)));
}

#[test]
fn a_change_of_the_bloom_filter_is_announced_and_tolerated() {
    let topic = Topic([1, 2, 3, 4]);
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let accepts = |node: &mut Node, nonce, now| {
        let envelope = envelope(now, 10, nonce);
        node.handle_packet(peer, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), now);
        node.pooled(&envelope.hash()).is_some()
    };
    // Without a filter there is nothing to widen.
    node.add_topics([topic], START);
    assert_eq!(node.config().bloom, None);
    node.set_bloom(Some(Bloom::EMPTY), START);
    assert!(accepts(&mut node, 1, START + 9 * SECOND));
    assert!(!accepts(&mut node, 2, START + 10 * SECOND));
    poll(&mut node, peer, START + 10 * SECOND);
    node.add_topics([topic], START + 11 * SECOND);
    assert!(accepts(&mut node, 3, START + 11 * SECOND));
    let announced = poll(&mut node, peer, START + 11 * SECOND);
    let announced: Vec<_> = announced.into_iter().filter(|it| it.code == 3).collect();
    assert_eq!(
        Packet::decode(3, &announced[0].payload),
        Ok(Packet::BloomFilter(Bloom::from_topic(topic)))
    );
    node.add_topics([topic], START + 12 * SECOND);
    assert_eq!(poll(&mut node, peer, START + 12 * SECOND), [], "nothing has changed");
    // This packet can't hold an empty filter.
    node.set_bloom(None, START + 13 * SECOND);
    let announced = poll(&mut node, peer, START + 13 * SECOND);
    assert_eq!(Packet::decode(3, &announced[0].payload), Ok(Packet::BloomFilter(Bloom::FULL)));
}

#[test]
fn a_peer_that_asks_for_more_gets_what_it_missed() {
    let mut node = Node::new(free(), 1, START);
    let narrow = Status { bloom: Some(Bloom::EMPTY), min_pow: 1e9, ..Status::default() };
    let peer = join(&mut node, &narrow, START);
    let from = join(&mut node, &Status::default(), START);
    let envelopes: Vec<_> = (0..3).map(|nonce| envelope(START, 60, nonce)).collect();
    let hashes: Vec<_> = envelopes.iter().map(Envelope::hash).collect();
    node.handle_packet(from, code::MESSAGES, &messages(&envelopes), START);
    let mut now = START + SECOND;
    assert_eq!(batches(&mut node, peer, now), [[]; 0]);
    node.handle_packet(peer, 2, &Packet::PowRequirement(0.0).encode(), now);
    assert_eq!(batches(&mut node, peer, now), [[]; 0]);
    now += SECOND;
    let bloom = Bloom::from_topic(Topic([1, 2, 3, 4]));
    node.handle_packet(peer, 3, &Packet::BloomFilter(bloom).encode(), now);
    assert_eq!(batches(&mut node, peer, now), [hashes]);
    // It does not get again what it has, whatever it asks for.
    now += SECOND;
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::FULL).encode(), now);
    assert_eq!(batches(&mut node, peer, now + SECOND), [[]; 0]);
    // Nor is the pool searched after every change.
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::EMPTY).encode(), now);
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::FULL).encode(), now);
    let new = envelope(now, 60, 77);
    node.handle_packet(from, code::MESSAGES, &messages(std::slice::from_ref(&new)), now);
    assert_eq!(batches(&mut node, peer, now + WINDOW), [[new.hash()]]);
}

#[test]
fn expired_envelopes_are_removed_and_an_idle_node_has_no_timer() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let to = join(&mut node, &Status::default(), START);
    let short = envelope(START, 2, 1);
    let long = envelope(START, 100, 2);
    node.handle_packet(peer, code::MESSAGES, &messages(&[short.clone(), long.clone()]), START);
    assert_eq!(batches(&mut node, to, START + WINDOW).len(), 1);
    // After the timers of handshakes and windows, only expiry is left.
    node.handle_timeout(START + 2 * SECOND + Duration::from_millis(999));
    assert!(node.pooled(&short.hash()).is_some(), "alive in the second of its expiry");
    node.handle_timeout(START + 3 * SECOND);
    assert!(node.pooled(&short.hash()).is_none() && node.pooled(&long.hash()).is_some());
    node.handle_timeout(START + 30 * SECOND);
    assert_eq!(node.next_timeout(), Some(START + 101 * SECOND));
    node.handle_timeout(START + 101 * SECOND);
    assert_eq!((node.next_timeout(), node.stats().pooled, node.stats().expired), (None, 0, 2));
    // Late, but not late enough for an error.
    node.handle_packet(peer, code::MESSAGES, &messages(&[long]), START + 110 * SECOND);
    assert_eq!(node.stats().pooled, 0);
    assert_eq!(node.stats().disconnected, 0);
}

#[test]
fn a_new_peer_in_an_old_slot_starts_from_nothing() {
    let mut node = Node::new(free(), 1, START);
    let first = join(&mut node, &Status::default(), START);
    let envelope = envelope(START, 60, 1);
    node.handle_packet(first, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), START);
    node.remove_peer(first);
    let second = join(&mut node, &Status::default(), START);
    assert_eq!(first.slot, second.slot);
    assert_eq!(batches(&mut node, first, START + SECOND), [[]; 0]);
    assert_eq!(batches(&mut node, second, START + SECOND), [[envelope.hash()]]);
}

#[test]
fn a_full_pool_rejects_envelopes_and_says_so() {
    let mut config = free();
    config.limits.pool_envelopes = 2;
    let mut node = Node::new(config, 1, START);
    let peer = join(&mut node, &Status::default(), START);
    poll(&mut node, peer, START);
    let envelopes: Vec<_> = (0..3).map(|nonce| envelope(START, 60, nonce)).collect();
    node.handle_packet(peer, code::MESSAGES, &messages(&envelopes), START);
    let answer = poll(&mut node, peer, START).remove(0);
    let Ok(Packet::MessageResponse(ReadResponse::V1(response))) =
        Packet::decode(answer.code, &answer.payload)
    else {
        panic!()
    };
    assert_eq!(response.errors.len(), 1);
    assert_eq!(response.errors[0].hash, envelopes[2].hash());
    assert_eq!(node.send(envelope(START, 60, 9), START), Err(SendError::PoolFull));
    // Envelopes in the pool are still known.
    assert!(node.send(envelopes[0].clone(), START).unwrap().known);
    assert_eq!((node.stats().pooled, node.stats().pool_full), (2, 2));
}

/// Peers of different addresses, or the same, that have been offered all there is.
fn join_from(node: &mut Node, ip: [u8; 4], id: u8, now: Time) -> ConnectionId {
    let info = PeerInfo { id: NodeId([id; 32]), ip: Some(ip.into()), ..PeerInfo::default() };
    let peer = node.add_peer(info, now).unwrap();
    node.handle_packet(peer, code::STATUS, &Status::default().encode(), now);
    poll(node, peer, now);
    peer
}

/// Ten addresses fill the pool over and over; nothing of the others is lost before its time.
#[test]
fn who_fills_the_pool_pushes_out_only_what_it_brought() {
    let mut config = free();
    config.limits.pool_envelopes = 2000;
    let mut node = Node::new(config, 1, START);
    let honest = [1, 2].map(|id| join_from(&mut node, [10, 0, 0, id], id, START));
    let hostile: Vec<_> =
        (100..110).map(|id| join_from(&mut node, [10, 0, 1, id], id, START)).collect();
    let (mut now, mut nonce) = (START, 0);
    let mut flood = |node: &mut Node, from, now, count| {
        let new: Vec<_> =
            (nonce..nonce + count).map(|nonce| envelope(START, 3600, nonce)).collect();
        nonce += count;
        node.handle_packet(from, code::MESSAGES, &messages(&new), now);
    };
    let mut sent = Vec::new();
    for round in 0..40u64 {
        for &from in &hostile {
            flood(&mut node, from, now, 100);
        }
        now += WINDOW;
        for peer in node.peers().collect::<Vec<_>>() {
            poll(&mut node, peer, now);
        }
        outputs(&mut node);
        let new = envelope(START, 60, 1 << 40 | round);
        node.handle_packet(honest[0], code::MESSAGES, &messages(std::slice::from_ref(&new)), now);
        sent.push(new.hash());
        let own = node.send(envelope(START, 60, 1 << 41 | round), now).unwrap();
        sent.push(own.hash);
        now += WINDOW;
        let got = batches(&mut node, honest[1], now).concat();
        assert!(sent[sent.len() - 2..].iter().all(|hash| got.contains(hash)), "round {round}");
        assert!(node.stats().pooled <= 2000);
    }
    assert!(sent.iter().all(|hash| node.pooled(hash).is_some()), "nothing of theirs was evicted");
    assert!(node.stats().evicted > 60, "{:?}", node.stats());
    assert_eq!(node.stats().disconnected, 0);
}

#[test]
fn what_was_not_forwarded_or_is_still_held_is_not_evicted() {
    let mut config = free();
    config.limits.pool_envelopes = 100;
    let mut node = Node::new(config, 1, START);
    let hostile = join_from(&mut node, [10, 0, 0, 1], 1, START);
    let honest = join_from(&mut node, [10, 0, 0, 2], 2, START);
    let many: Vec<_> = (0..100).map(|nonce| envelope(START, 3600, nonce)).collect();
    let mut now = START;
    node.handle_packet(hostile, code::MESSAGES, &messages(&many), now);
    let one = |nonce: u64| messages(&[envelope(START, 60, 1 << 40 | nonce)]);
    node.handle_packet(honest, code::MESSAGES, &one(0), now);
    assert_eq!((node.stats().pool_full, node.stats().evicted), (1, 0), "not forwarded yet");
    now += WINDOW;
    poll(&mut node, honest, now);
    poll(&mut node, hostile, now);
    // The events hold all of them, as an archive does that has yet to write.
    let held = outputs(&mut node);
    node.handle_packet(honest, code::MESSAGES, &one(1), now);
    assert_eq!((node.stats().pool_full, node.stats().evicted), (2, 0), "in use");
    drop(held);
    node.handle_packet(honest, code::MESSAGES, &one(2), now);
    assert_eq!(node.stats().pool_full, 2);
    assert_eq!(node.stats().evicted, 1);
}

#[test]
fn a_peer_that_does_not_read_keeps_nothing_for_long() {
    let mut config = free();
    config.limits.pool_envelopes = 100;
    let mut node = Node::new(config, 1, START);
    let [hostile, honest, _deaf] =
        [1, 2, 3].map(|id| join_from(&mut node, [10, 0, 0, id], id, START));
    let many: Vec<_> = (0..100).map(|nonce| envelope(START, 3600, nonce)).collect();
    node.handle_packet(hostile, code::MESSAGES, &messages(&many), START);
    let now = START + WINDOW;
    for peer in [hostile, honest] {
        poll(&mut node, peer, now);
    }
    outputs(&mut node);
    let one = |nonce: u64| messages(&[envelope(START, 60, 1 << 40 | nonce)]);
    node.handle_packet(honest, code::MESSAGES, &one(0), now + SECOND);
    assert_eq!((node.stats().pool_full, node.stats().evicted), (1, 0));
    node.handle_packet(honest, code::MESSAGES, &one(1), now + 3 * SECOND);
    assert_eq!((node.stats().pool_full, node.stats().evicted), (1, 1));
}

#[test]
fn the_cheapest_of_the_largest_goes_first() {
    let mut config = free();
    config.limits.pool_envelopes = 64;
    let mut node = Node::new(config, 1, START);
    let hostile = join_from(&mut node, [10, 0, 0, 1], 1, START);
    let other = join_from(&mut node, [10, 0, 0, 2], 2, START);
    // One of these is a thousand times as much work per byte and second.
    let mut many: Vec<_> = (0..63).map(|nonce| envelope(START, 86_400, nonce)).collect();
    many.insert(30, envelope(START, 80, 7));
    node.handle_packet(hostile, code::MESSAGES, &messages(&many), START);
    let now = START + WINDOW;
    for peer in [hostile, other] {
        poll(&mut node, peer, now);
    }
    outputs(&mut node);
    for nonce in 0..8 {
        let new = envelope(START, 60, 1 << 30 | nonce);
        node.handle_packet(other, code::MESSAGES, &messages(&[new]), now);
    }
    assert_eq!(node.stats().pool_full, 0);
    assert!(node.pooled(&many[30].hash()).is_some());
    assert!(many.iter().any(|it| node.pooled(&it.hash()).is_none()));
}

#[test]
fn what_lives_too_long_is_refused() {
    let mut node = Node::new(NodeConfig { max_ttl: 100, ..free() }, 1, START);
    let peer = join(&mut node, &Status::default(), START);
    poll(&mut node, peer, START);
    let both = [envelope(START, 100, 1), envelope(START, 101, 2)];
    node.handle_packet(peer, code::MESSAGES, &messages(&both), START);
    let answer = poll(&mut node, peer, START).remove(0);
    let Ok(Packet::MessageResponse(ReadResponse::V1(response))) =
        Packet::decode(answer.code, &answer.payload)
    else {
        panic!()
    };
    assert_eq!(response.errors.iter().map(|it| it.hash).collect::<Vec<_>>(), [both[1].hash()]);
    let error = SendError::LongLived { ttl: 101, max: 100 };
    assert_eq!(node.send(both[1].clone(), START), Err(error));
    assert_eq!((node.stats().pooled, node.stats().refused), (1, 2));
}

/// Twenty changes a second for a minute, by each of ten peers, with a pool of 20,000.
#[test]
fn endless_changes_of_requirements_cost_little() {
    let mut node = Node::new(free(), 1, START);
    let from = join(&mut node, &Status::default(), START);
    let many: Vec<_> = (0..20_000).map(|nonce| envelope(START, 3600, nonce)).collect();
    for some in many.chunks(1000) {
        node.handle_packet(from, code::MESSAGES, &messages(some), START);
    }
    let picky = Status { min_pow: 1e9, ..Status::default() };
    let peers: Vec<_> = (0..10).map(|_| join(&mut node, &picky, START)).collect();
    let deliver = |node: &mut Node, now| {
        node.handle_timeout(now);
        let (mut most, mut outputs) = (0, 0);
        while let Some(output) = node.poll_output() {
            let Output::Writable(peer) = output else { continue };
            let before = node.stats().looked_at;
            while node.poll_peer(peer, now).is_some() {}
            most = most.max(node.stats().looked_at - before);
            outputs += 1;
            assert!(outputs < 10_000, "it comes to an end");
        }
        most
    };
    let mut now = START + SECOND;
    deliver(&mut node, now);
    let before = node.stats().looked_at;
    for step in 0..1200u32 {
        now += SECOND / 20;
        for &peer in &peers {
            let min_pow = 1e9 - f64::from(step);
            node.handle_packet(peer, 2, &Packet::PowRequirement(min_pow).encode(), now);
        }
        assert!(deliver(&mut node, now) <= 5000, "in slices");
    }
    let looks = (node.stats().looked_at - before) as f64 / 20_000.0 / 10.0;
    assert!((5.0..30.0).contains(&looks), "each peer had the pool looked through {looks} times");
}

#[test]
fn a_peer_that_falls_behind_confirms_later() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status { confirmations: true, ..Status::default() }, START);
    poll(&mut node, peer, START);
    let mut batches = Vec::new();
    for nonce in 0..256 {
        let now = START + (nonce as u32) * WINDOW;
        node.send(envelope(START, 60, nonce), now).unwrap();
        let packet = poll(&mut node, peer, now + WINDOW).pop().unwrap();
        node.written(peer, packet.token.unwrap());
        batches.push(statuskit_core::wire::packet::batch_hash(&packet.payload));
    }
    events(&mut node);
    for batch in batches {
        node.handle_packet(peer, 11, &Packet::BatchAck(batch).encode(), START + 10 * SECOND);
    }
    let answered = events(&mut node).into_iter().filter(
        |event| matches!(event, Event::BatchAcknowledged { envelopes, .. } if envelopes.len() == 1),
    );
    assert_eq!(answered.count(), 256);
}

#[test]
fn some_peers_may_send_larger_packets_but_no_larger_envelopes() {
    let mut node = Node::new(NodeConfig { max_message_size: 1000, ..free() }, 1, START);
    let mut join = |max_packet_size| {
        let info = PeerInfo { max_packet_size, ..PeerInfo::default() };
        let peer = node.add_peer(info, START).unwrap();
        node.handle_packet(peer, code::STATUS, &Status::default().encode(), START);
        peer
    };
    let [stranger, friend, other] = [None, Some(4000), Some(10)].map(&mut join);
    let many: Vec<_> = (0..20).map(|nonce| envelope(START, 60, nonce)).collect();
    let large =
        Envelope::new(UnixSeconds(START.as_secs() as u32 + 60), 60, Topic([1; 4]), &[7; 1000], 0);
    let packet = messages(&[&many[..], &[large]].concat());
    assert!((3000..4000).contains(&packet.len()));
    node.handle_packet(friend, code::MESSAGES, &packet, START);
    assert_eq!((node.stats().pooled, node.stats().refused), (20, 1));
    for (peer, packet) in [(friend, vec![0; 4001]), (stranger, packet), (other, vec![0; 1001])] {
        outputs(&mut node);
        let (size, max) = (packet.len(), if peer == friend { 4000 } else { 1000 });
        node.handle_packet(peer, code::MESSAGES, &packet, START);
        let error = PeerError::Oversized { size, max };
        assert!(outputs(&mut node).contains(&Output::Disconnect { peer, error }));
    }
}

#[test]
fn a_peer_without_a_status_is_disconnected() {
    let mut node = Node::new(free(), 1, START);
    let peer = node.add_peer(PeerInfo::default(), START).unwrap();
    node.handle_timeout(START + 14 * SECOND);
    assert_eq!(node.peers().count(), 1);
    assert_eq!(node.next_timeout(), Some(START + 15 * SECOND));
    node.handle_timeout(START + 15 * SECOND);
    let expected = Output::Disconnect { peer, error: PeerError::StatusTimeout };
    assert_eq!(outputs(&mut node).last(), Some(&expected));
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let mut node = Node::new(free(), 1, START);
    let from = join(&mut node, &Status::default(), START);
    let to = join(&mut node, &Status::default(), START);
    let early = START - 3600 * SECOND;
    node.set_min_pow(5.0, START);
    poll(&mut node, to, START);
    node.handle_packet(from, code::MESSAGES, &messages(&[envelope(START, 9, 1)]), START);
    outputs(&mut node);
    node.handle_timeout(early);
    assert!(outputs(&mut node).contains(&Output::Writable(to)));
    assert_eq!(batches(&mut node, to, early).len(), 1);
    node.handle_timeout(early + 10 * SECOND);
    assert_eq!(node.config().min_pow_tolerance, 5.0);
}

#[test]
fn answers_to_a_peer_that_does_not_read_are_bounded() {
    let mut config = free();
    config.limits.outbox_packets = 10;
    let mut node = Node::new(config, 1, START);
    let peer = join(&mut node, &Status::default(), START);
    for _ in 0..100 {
        node.handle_packet(peer, code::MESSAGES, &[0xc0], START);
    }
    let request = Packet::P2pMessage(Vec::new());
    assert!(matches!(node.send_packet(peer, &request, START), Err(SendError::OutboxFull { .. })));
    assert!(node.stats().answers_dropped > 90);
    assert!(poll(&mut node, peer, START).len() <= 12);
    assert_eq!(node.send_packet(peer, &request, START), Ok(()));
    assert!(!node.peer(peer).unwrap().trusted);
}

#[test]
fn the_errors_of_a_huge_batch_fit_into_a_packet() {
    let mut node =
        Node::new(NodeConfig { min_pow: 1e9, min_pow_tolerance: 1e9, ..free() }, 1, START);
    let peer = join(&mut node, &Status::default(), START);
    poll(&mut node, peer, START);
    let expiry = START.as_secs() as u32 + 60;
    let envelopes: Vec<_> = (0..30_000)
        .map(|n| Envelope::new(UnixSeconds(expiry), 60, Topic([0; 4]), &[], n))
        .collect();
    node.handle_packet(peer, code::MESSAGES, &messages(&envelopes), START);
    let answer = poll(&mut node, peer, START).remove(0);
    assert_eq!(answer.code, code::MESSAGE_RESPONSE);
    assert!((400_000..1 << 20).contains(&answer.payload.len()));
    assert!(Packet::decode(answer.code, &answer.payload).is_ok());
}

#[test]
fn changed_requirements_are_reported_once() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    events(&mut node);
    let mut change = |packet: Packet| {
        node.handle_packet(peer, packet.code(), &packet.encode(), START);
        events(&mut node)
    };
    let mut status = Status::default();
    let reported =
        |status: &Status| [Event::Requirements { peer, status: Box::new(status.clone()) }];
    status.min_pow = 0.5;
    assert_eq!(change(Packet::PowRequirement(0.5)), reported(&status));
    assert_eq!(change(Packet::PowRequirement(0.5)), []);
    status.bloom = Some(Bloom::from_topic(Topic([1; 4])));
    assert_eq!(change(Packet::BloomFilter(Bloom::from_topic(Topic([1; 4])))), reported(&status));
    status.rate_limits = RateLimits { ip: 5, peer_id: 6, topic: 0 };
    assert_eq!(change(Packet::RateLimits(status.rate_limits)), reported(&status));
    assert_eq!(node.peer(peer).unwrap().status, Some(status));
}

/// A node at a time, three peers with other clocks, and what each forwards in twenty seconds.
fn compared(ours: i64, theirs: [i64; 3]) -> (Node, Vec<Event>) {
    let at = |offset: i64, second: u64| {
        Duration::from_secs((START.as_secs() + second).saturating_add_signed(offset))
    };
    let mut node = Node::new(free(), 1, at(ours, 0));
    let peers = theirs.map(|offset| (join(&mut node, &Status::default(), at(ours, 0)), offset));
    for second in 0..20 {
        for (peer, offset) in peers {
            let message = envelope(at(offset, second), 15, second << 8 | offset as u64 & 0xff);
            let now = at(ours, second);
            node.handle_packet(peer, code::MESSAGES, &messages(&[message]), now);
        }
    }
    let events = events(&mut node);
    (node, events.into_iter().filter(|it| matches!(it, Event::ClockSkewed(_))).collect())
}

#[test]
fn a_wrong_clock_is_reported_once_with_an_estimate_that_one_peer_cant_shift() {
    for (ours, dropped) in [(30, (40, 0)), (-30, (0, 40))] {
        for liar in [-40, 0, 40] {
            let (mut node, events) = compared(ours, [0, liar, 0]);
            let [Event::ClockSkewed(offset)] = events[..] else { panic!("{events:?}") };
            assert_eq!(offset.seconds, -ours, "{liar}");
            let offset = node.clock_offset(START).unwrap();
            assert_eq!((offset.seconds, offset.peers), (-ours, 3), "{liar}");
            let stats = node.stats();
            assert!(stats.refused_late >= dropped.0 && stats.refused_early >= dropped.1);
        }
    }
    for liar in [-400, -40, 40, 400] {
        let (node, events) = compared(0, [liar, 0, 0]);
        assert_eq!(events, []);
        let stats = node.stats();
        assert_eq!(stats.refused_late + stats.refused_early, 20);
    }
}

//! The core, driven by hand: no sockets, and a clock that the tests move.

use std::time::Duration;

use proptest::prelude::*;
use statuskit_core::{
    devp2p::NodeId,
    envelope::{Bloom, Envelope, EnvelopeHash, Topic, Verdict},
    rlp::Reader,
    wire::{
        Packet, RateLimits, Status,
        packet::{ReadResponse, code, read_envelopes},
    },
};

use super::*;

const START: Time = Duration::from_secs(1_585_700_000);
const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = NodeConfig::DEFAULT_SEND_WINDOW;

/// Events hold errors of the system, which can't be compared; their descriptions can.
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
    Envelope::new(now.as_secs() as u32 + ttl, ttl, Topic([1, 2, 3, 4]), &[7; 100], nonce)
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
fn what_becomes_of_own_envelopes_is_told() {
    let mut node = Node::new(free(), 1, START);
    let told = join(&mut node, &Status { confirmations: true, ..Status::default() }, START);
    let silent = join(&mut node, &Status::default(), START);
    let picky = join(&mut node, &Status { min_pow: 1e9, ..Status::default() }, START);
    events(&mut node);
    let sent = node.send(envelope(START, 10, 1), START).unwrap();
    assert_eq!((sent.known, &sent.peers), (false, &vec![told, silent]));
    assert!(node.send(envelope(START, 10, 1), START).unwrap().known);
    assert!(matches!(events(&mut node)[..], [Event::Envelope { from: None, .. }]));

    let now = START + WINDOW;
    assert_eq!(batches(&mut node, picky, now), [[]; 0]);
    let packet = poll(&mut node, told, now).pop().unwrap();
    let token = packet.token.unwrap();
    node.written(told, token);
    let written = |peer, confirms| Event::Written { peer, envelopes: vec![sent.hash], confirms };
    assert_eq!(events(&mut node), [written(told, true)]);

    let batch = statuskit_core::wire::packet::batch_hash(&packet.payload);
    let acknowledged =
        |errors, envelopes| Event::BatchAcknowledged { peer: told, batch, errors, envelopes };
    let response = statuskit_core::wire::packet::MessageResponse { batch, errors: Vec::new() };
    let response = Packet::MessageResponse(ReadResponse::V1(response));
    node.handle_packet(told, 12, &response.encode(), now);
    node.handle_packet(told, 11, &Packet::BatchAck(batch).encode(), now);
    let expected =
        [acknowledged(Some(Vec::new()), vec![sent.hash]), acknowledged(None, Vec::new())];
    assert_eq!(events(&mut node), expected);

    let token = poll(&mut node, silent, now).pop().unwrap().token.unwrap();
    node.written(silent, token);
    node.written(silent, token);
    assert_eq!(events(&mut node), [written(silent, false)]);
}

#[test]
fn own_envelopes_that_a_peer_sends_first_are_told() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let sent = node.send(envelope(START, 10, 1), START).unwrap();
    assert_eq!(sent.peers, [peer]);
    events(&mut node);
    // It comes while ours waits for the window to end, twice.
    let packet = messages(&[envelope(START, 10, 1)]);
    node.handle_packet(peer, 1, &packet, START);
    node.handle_packet(peer, 1, &packet, START);
    let held = events(&mut node).into_iter().filter(|event| matches!(event, Event::Held { .. }));
    assert_eq!(held.collect::<Vec<_>>(), [Event::Held { peer, envelope: sent.hash }]);
    assert_eq!(batches(&mut node, peer, START + WINDOW), [[]; 0]);
}

#[test]
fn batches_are_split_and_a_large_envelope_goes_alone() {
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
        .map(|(n, size)| Envelope::new(expiry, 10, Topic([0; 4]), &vec![1; *size], n as u64))
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
fn own_rules_hold_for_own_envelopes() {
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
fn former_requirements_are_tolerated_for_ten_seconds() {
    // 32 zero bits at most are looked for: the value of this one is 2^z / 113 / 2.
    let value = |nonce: u64, now| envelope(now, 2, nonce).pow(0);
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let mut nonce = 0;
    let mut taken = |node: &mut Node, at_least: f64, below: f64, now: Time| {
        nonce = (nonce + 1..).find(|n| (at_least..below).contains(&value(*n, now))).unwrap();
        let envelope = envelope(now, 2, nonce);
        node.handle_packet(peer, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), now);
        node.pooled(&envelope.hash()).is_some()
    };
    let almost = Duration::from_millis(9_999);
    assert!(taken(&mut node, 0.0, 0.005, START));
    node.set_min_pow(0.1, START);
    assert!(taken(&mut node, 0.0, 0.005, START + almost));
    let now = START + 10 * SECOND;
    assert!(!taken(&mut node, 0.0, 0.1, now));
    assert!(taken(&mut node, 0.1, 9.0, now));
    // Two changes within ten seconds: each former value has its time.
    node.set_min_pow(0.5, now);
    node.set_min_pow(0.05, now + 5 * SECOND);
    assert!(taken(&mut node, 0.05, 0.1, now + 5 * SECOND));
    assert!(!taken(&mut node, 0.0, 0.05, now + 10 * SECOND));
    assert!(taken(&mut node, 0.05, 0.1, now + 16 * SECOND));
    let told: Vec<_> = poll(&mut node, peer, now).into_iter().filter(|it| it.code == 2).collect();
    assert_eq!(told.len(), 1, "only the newest is told");
    assert_eq!(Packet::decode(2, &told[0].payload), Ok(Packet::PowRequirement(0.05)));
}

#[test]
fn a_change_of_the_bloom_filter_is_told_and_tolerated() {
    let topic = Topic([1, 2, 3, 4]);
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let taken = |node: &mut Node, nonce, now| {
        let envelope = envelope(now, 10, nonce);
        node.handle_packet(peer, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), now);
        node.pooled(&envelope.hash()).is_some()
    };
    // Nothing is set: nothing to widen.
    node.widen_bloom(&Bloom::from_topic(topic), START);
    assert_eq!(node.config().bloom, None);
    node.set_bloom(Some(Bloom::EMPTY), START);
    assert!(taken(&mut node, 1, START + 9 * SECOND));
    assert!(!taken(&mut node, 2, START + 10 * SECOND));
    poll(&mut node, peer, START + 10 * SECOND);
    node.widen_bloom(&Bloom::from_topic(topic), START + 11 * SECOND);
    assert!(taken(&mut node, 3, START + 11 * SECOND));
    let told = poll(&mut node, peer, START + 11 * SECOND);
    let told: Vec<_> = told.into_iter().filter(|it| it.code == 3).collect();
    assert_eq!(
        Packet::decode(3, &told[0].payload),
        Ok(Packet::BloomFilter(Bloom::from_topic(topic)))
    );
    node.widen_bloom(&Bloom::from_topic(topic), START + 12 * SECOND);
    assert_eq!(poll(&mut node, peer, START + 12 * SECOND), [], "nothing has changed");
    // An empty filter can't be said in this packet.
    node.set_bloom(None, START + 13 * SECOND);
    let told = poll(&mut node, peer, START + 13 * SECOND);
    assert_eq!(Packet::decode(3, &told[0].payload), Ok(Packet::BloomFilter(Bloom::FULL)));
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
    // What it knows it does not get again, whatever it asks for.
    now += SECOND;
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::FULL).encode(), now);
    assert_eq!(batches(&mut node, peer, now + SECOND), [[]; 0]);
    // Nor does the pool get searched at every whim.
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::EMPTY).encode(), now);
    node.handle_packet(peer, 3, &Packet::BloomFilter(Bloom::FULL).encode(), now);
    let new = envelope(now, 60, 77);
    node.handle_packet(from, code::MESSAGES, &messages(std::slice::from_ref(&new)), now);
    assert_eq!(batches(&mut node, peer, now + WINDOW), [[new.hash()]]);
}

#[test]
fn expired_envelopes_leave_and_idle_costs_nothing() {
    let mut node = Node::new(free(), 1, START);
    let peer = join(&mut node, &Status::default(), START);
    let to = join(&mut node, &Status::default(), START);
    let short = envelope(START, 2, 1);
    let long = envelope(START, 100, 2);
    node.handle_packet(peer, code::MESSAGES, &messages(&[short.clone(), long.clone()]), START);
    assert_eq!(batches(&mut node, to, START + WINDOW).len(), 1);
    // The timers of the peers' handshakes and windows pass; then only expiry is left.
    node.handle_timeout(START + 2 * SECOND + Duration::from_millis(999));
    assert!(node.pooled(&short.hash()).is_some(), "alive in the second of its expiry");
    node.handle_timeout(START + 3 * SECOND);
    assert!(node.pooled(&short.hash()).is_none() && node.pooled(&long.hash()).is_some());
    node.handle_timeout(START + 30 * SECOND);
    assert_eq!(node.next_timeout(), Some(START + 101 * SECOND));
    node.handle_timeout(START + 101 * SECOND);
    assert_eq!((node.next_timeout(), node.stats().pooled, node.stats().expired), (None, 0, 2));
    // Late, but not late enough to be an error.
    node.handle_packet(peer, code::MESSAGES, &messages(&[long]), START + 110 * SECOND);
    assert_eq!(node.stats().pooled, 0);
    assert_eq!(node.stats().disconnected, 0);
}

#[test]
fn a_new_peer_in_an_old_place_knows_nothing() {
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
fn a_full_pool_refuses_and_says_so() {
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
    // Those in the pool are still known.
    assert!(node.send(envelopes[0].clone(), START).unwrap().known);
    assert_eq!((node.stats().pooled, node.stats().pool_full), (2, 2));
}

#[test]
fn too_many_packets_are_counted_and_end_a_connection() {
    let limit = RateLimit { per_ip: 10, per_peer: 5, tolerance: 3 };
    let mut node = Node::new(NodeConfig { rate_limit: Some(limit), ..free() }, 1, START);
    let info = |id, whitelisted| PeerInfo {
        id: NodeId([id; 32]),
        ip: Some([1, 2, 3, 4].into()),
        whitelisted,
        ..PeerInfo::default()
    };
    let mut join = |id, whitelisted| {
        let peer = node.add_peer(info(id, whitelisted), START).unwrap();
        node.handle_packet(peer, code::STATUS, &Status::default().encode(), START);
        peer
    };
    let [a, free] = [join(1, false), join(2, true)];
    for _ in 0..100 {
        node.handle_packet(free, 99, &[], START);
    }
    for _ in 0..7 {
        node.handle_packet(a, 99, &[], START);
    }
    assert_eq!((node.stats().rate_excess, node.peers().count()), (2, 2));
    // Another is over the limit by both measures: one packet, and the third in excess.
    node.handle_packet(a, 99, &[], START);
    assert_eq!(node.peers().collect::<Vec<_>>(), [free]);
    assert!(
        outputs(&mut node)
            .contains(&Output::Disconnect { peer: a, error: PeerError::RateLimit { excess: 3 } })
    );
}

/// Two nodes, one of which counts packets and parts with who exceeds once.
#[test]
fn the_announced_limits_of_a_peer_are_kept() {
    let limit = RateLimit { per_ip: 5, per_peer: 10, tolerance: 1 };
    let mut nodes = [
        Node::new(free(), 1, START),
        Node::new(NodeConfig { rate_limit: Some(limit), ..free() }, 2, START),
    ];
    let ip = Some([127, 0, 0, 1].into());
    let keys = [0, 1].map(|at: usize| {
        nodes[at].add_peer(PeerInfo { ip, ..PeerInfo::default() }, START).unwrap()
    });
    let (mut sent, mut confirmed, mut packets) = (Vec::new(), Vec::new(), 0);
    for step in 0..2000u32 {
        let now = START + step * Duration::from_millis(10);
        // 60 envelopes one by one; meanwhile the other node has more to say than can be answered.
        if (10..70).contains(&step) {
            sent.push(nodes[0].send(envelope(now, 60, step.into()), now).unwrap().hash);
        }
        if (10..400).contains(&step) && step % 10 == 0 {
            nodes[1].send(envelope(now, 60, (1000 + step).into()), now).unwrap();
        }
        for (from, to) in [(0, 1), (1, 0)] {
            nodes[from].handle_timeout(now);
            for packet in poll(&mut nodes[from], keys[from], now) {
                packets += usize::from(from == 0 && packet.code == code::MESSAGES);
                if let Some(token) = packet.token {
                    nodes[from].written(keys[from], token);
                }
                nodes[to].handle_packet(keys[to], packet.code, &packet.payload, now);
            }
        }
        for event in events(&mut nodes[0]) {
            if let Event::BatchAcknowledged { envelopes, .. } = event {
                confirmed.extend(envelopes);
            }
        }
    }
    assert_eq!(nodes[1].stats().rate_excess, 0);
    assert_eq!(nodes[1].peers().collect::<Vec<_>>(), [keys[1]]);
    assert_eq!(confirmed, sent);
    assert!(packets < 10, "{packets} packets for 60 envelopes");
    // Nothing is left to be done, and nothing waits for ever.
    assert_eq!(nodes[0].stats().answers_dropped, 0);
    let now = START + 100 * SECOND;
    assert!(poll(&mut nodes[0], keys[0], now).is_empty());
}

#[test]
fn a_status_that_was_written_counts() {
    let mut node = Node::new(free(), 1, START);
    let peer = node.add_peer(PeerInfo::default(), START).unwrap();
    assert_eq!(poll(&mut node, peer, START).len(), 1);
    let rate_limits = RateLimits { ip: 1, peer_id: 1, topic: 0 };
    let status = Status { rate_limits, ..Status::default() };
    node.handle_packet(peer, code::STATUS, &status.encode(), START);
    node.send_packet(peer, &Packet::BatchAck([0; 32]), START).unwrap();
    assert_eq!(poll(&mut node, peer, START + SECOND).len(), 0);
    assert_eq!(poll(&mut node, peer, START + 2 * SECOND).len(), 1);
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
fn limits_may_change_and_a_clock_set_back_stops_nobody() {
    let mut node = Node::new(free(), 1, START);
    let limits = |ip| RateLimits { ip, peer_id: 0, topic: 0 };
    let peer = join(&mut node, &Status { rate_limits: limits(1), ..Status::default() }, START);
    poll(&mut node, peer, START);
    let packet = Packet::BatchAck([0; 32]);
    for _ in 0..4 {
        node.send_packet(peer, &packet, START).unwrap();
    }
    // Our Status came first, and was counted.
    assert_eq!(poll(&mut node, peer, START).len(), 0);
    outputs(&mut node);
    let at = node.next_timeout().unwrap();
    assert_eq!(at, START + Duration::from_millis(1500));
    node.handle_timeout(at);
    assert_eq!(outputs(&mut node), [Output::Writable(peer)]);
    assert_eq!(poll(&mut node, peer, at).len(), 1);
    let earlier = START - 1000 * SECOND;
    node.handle_timeout(earlier);
    assert_eq!(poll(&mut node, peer, earlier).len(), 0);
    assert_eq!(poll(&mut node, peer, earlier + 2 * SECOND).len(), 1);
    node.handle_packet(peer, code::RATE_LIMITS, &Packet::RateLimits(limits(0)).encode(), earlier);
    assert_eq!(poll(&mut node, peer, earlier).len(), 2);
}

#[test]
fn from_some_peers_larger_packets_are_taken_but_no_larger_envelopes() {
    let mut node = Node::new(NodeConfig { max_message_size: 1000, ..free() }, 1, START);
    let mut join = |max_packet_size| {
        let info = PeerInfo { max_packet_size, ..PeerInfo::default() };
        let peer = node.add_peer(info, START).unwrap();
        node.handle_packet(peer, code::STATUS, &Status::default().encode(), START);
        peer
    };
    let [stranger, friend, other] = [None, Some(4000), Some(10)].map(&mut join);
    let many: Vec<_> = (0..20).map(|nonce| envelope(START, 60, nonce)).collect();
    let large = Envelope::new(START.as_secs() as u32 + 60, 60, Topic([1; 4]), &[7; 1000], 0);
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
fn a_peer_without_a_status_is_let_go() {
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
fn who_does_not_read_does_not_make_answers_grow() {
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
fn errors_of_a_huge_batch_fit_a_packet() {
    let mut node =
        Node::new(NodeConfig { min_pow: 1e9, min_pow_tolerance: 1e9, ..free() }, 1, START);
    let peer = join(&mut node, &Status::default(), START);
    poll(&mut node, peer, START);
    let expiry = START.as_secs() as u32 + 60;
    let envelopes: Vec<_> =
        (0..30_000).map(|n| Envelope::new(expiry, 60, Topic([0; 4]), &[], n)).collect();
    node.handle_packet(peer, code::MESSAGES, &messages(&envelopes), START);
    let answer = poll(&mut node, peer, START).remove(0);
    assert_eq!(answer.code, code::MESSAGE_RESPONSE);
    assert!((400_000..1 << 20).contains(&answer.payload.len()));
    assert!(Packet::decode(answer.code, &answer.payload).is_ok());
}

/// What may happen to a node.
#[derive(Debug, Clone)]
enum Step {
    Join { status: bool },
    Leave(usize),
    Packet { peer: usize, packet: Packet },
    Garbage { peer: usize, code: u64, payload: Vec<u8> },
    Send { ttl: u32, nonce: u64 },
    Poll(usize),
    Pass(u64),
    MinPow(f64),
    Narrow(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let code = prop_oneof![0u64..4, Just(11), Just(12), Just(20), 120u64..130];
    let packet = prop_oneof![
        6 => prop::collection::vec((0u32..40, 0u64..50), 0..8).prop_map(|them| {
            let them = them.into_iter().map(|(ttl, nonce)| envelope(START, ttl, nonce));
            Packet::Messages(them.collect())
        }),
        1 => (0.0f64..0.2).prop_map(Packet::PowRequirement),
        1 => any::<bool>().prop_map(|all| {
            Packet::BloomFilter(if all { Bloom::FULL } else { Bloom::EMPTY })
        }),
        1 => any::<[u8; 32]>().prop_map(Packet::BatchAck),
    ];
    let step = prop_oneof![
        2 => any::<bool>().prop_map(|status| Step::Join { status }),
        1 => (0usize..9).prop_map(Step::Leave),
        8 => (0usize..9, packet).prop_map(|(peer, packet)| Step::Packet { peer, packet }),
        2 => (0usize..9, code, prop::collection::vec(any::<u8>(), 0..70))
            .prop_map(|(peer, code, payload)| Step::Garbage { peer, code, payload }),
        3 => (0u32..40, 0u64..50).prop_map(|(ttl, nonce)| Step::Send { ttl, nonce }),
        6 => (0usize..9).prop_map(Step::Poll),
        4 => (0u64..3000).prop_map(Step::Pass),
        1 => (0.0f64..0.1).prop_map(Step::MinPow),
        1 => any::<bool>().prop_map(Step::Narrow),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever peers do: no panic, no envelope twice to a peer or back to where it came from,
    /// none expired, no event twice while it lives, and a well-behaved peer is served to the end.
    #[test]
    fn any_sequence_keeps_the_promises(steps in steps(), seed: u64) {
        let mut config = free();
        config.limits.peers = 6;
        config.limits.batch_bytes = 400;
        config.mailserver = true;
        let mut node = Node::new(config, seed, START);
        let mut now = START;
        let good = join(&mut node, &Status::default(), now);
        let mut peers = vec![good];
        // Per peer: what it sent or got, while it may be in the pool.
        let mut knows: std::collections::HashMap<ConnectionId, Vec<EnvelopeHash>> = Default::default();
        for step in steps {
            let pick = |at: usize| peers[at % peers.len()];
            match step {
                Step::Join { status } => if let Some(peer) = node.add_peer(PeerInfo::default(), now) {
                    if status {
                        node.handle_packet(peer, 0, &Status::default().encode(), now);
                    }
                    prop_assert!(!peers.contains(&peer));
                    peers.push(peer);
                },
                Step::Leave(at) => if pick(at) != good {
                    node.remove_peer(pick(at));
                },
                Step::Packet { peer, packet } => {
                    let peer = pick(peer);
                    node.handle_packet(peer, packet.code(), &packet.encode(), now);
                    if let Packet::Messages(envelopes) = &packet
                        && node.peer(peer).is_some_and(|peer| peer.status.is_some())
                    {
                        let kept = envelopes.iter().map(Envelope::hash);
                        let kept = kept.filter(|hash| node.pooled(hash).is_some());
                        knows.entry(peer).or_default().extend(kept);
                    }
                }
                Step::Garbage { peer, code, payload } => if pick(peer) != good {
                    node.handle_packet(pick(peer), code, &payload, now);
                },
                Step::Send { ttl, nonce } => {
                    let _ = node.send(envelope(START, ttl, nonce), now);
                }
                Step::Poll(at) => {
                    let peer = pick(at);
                    let known = knows.entry(peer).or_default();
                    for hash in batches(&mut node, peer, now).concat() {
                        prop_assert!(!known.contains(&hash), "twice, or back");
                        let pooled = node.pooled(&hash).expect("alive");
                        prop_assert!(u64::from(pooled.envelope().expiry()) >= now.as_secs());
                        known.push(hash);
                    }
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
                Step::MinPow(min_pow) => node.set_min_pow(min_pow, now),
                Step::Narrow(narrow) => node.set_bloom(narrow.then_some(Bloom::EMPTY), now),
            }
            node.handle_timeout(now);
            prop_assert!(node.next_timeout().is_none_or(|at| at > now));
            knows.values_mut().for_each(|known| known.retain(|hash| node.pooled(hash).is_some()));
            for output in outputs(&mut node) {
                if let Output::Disconnect { peer, .. } = output {
                    prop_assert_ne!(peer, good);
                    prop_assert!(node.peer(peer).is_none());
                }
            }
        }
        // The good one ends up with everything it asked for.
        let bloom = Packet::BloomFilter(Bloom::FULL).encode();
        node.handle_packet(good, 2, &Packet::PowRequirement(0.0).encode(), now);
        node.handle_packet(good, 3, &bloom, now);
        let last = now + SECOND;
        node.handle_timeout(last);
        let got = batches(&mut node, good, last).concat().len();
        let known = knows.remove(&good).unwrap_or_default();
        let known = known.iter().filter(|hash| node.pooled(hash).is_some());
        let mut known: Vec<_> = known.collect();
        known.sort();
        known.dedup();
        prop_assert_eq!(got + known.len(), node.stats().pooled);
    }
}

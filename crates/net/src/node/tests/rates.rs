//! Rate limits: ours for peers, and theirs for us.

use super::*;

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
    // The next packet is over both limits: it is one packet, and counts as the third.
    node.handle_packet(a, 99, &[], START);
    assert_eq!(node.peers().collect::<Vec<_>>(), [free]);
    assert!(
        outputs(&mut node)
            .contains(&Output::Disconnect { peer: a, error: PeerError::RateLimit { excess: 3 } })
    );
}

/// Two nodes. One counts packets, and tolerates none over its limits.
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
        // 60 envelopes, one by one. Meanwhile the other node sends more than can be answered.
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
    // Nothing is left to do.
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
fn limits_may_change_and_a_clock_that_is_set_back_stops_nothing() {
    let mut node = Node::new(free(), 1, START);
    let limits = |ip| RateLimits { ip, peer_id: 0, topic: 0 };
    let peer = join(&mut node, &Status { rate_limits: limits(1), ..Status::default() }, START);
    poll(&mut node, peer, START);
    let packet = Packet::BatchAck([0; 32]);
    for _ in 0..4 {
        node.send_packet(peer, &packet, START).unwrap();
    }
    // Our Status was first, and counts.
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

//! What differs in Waku.

use std::collections::HashSet;

use statuskit_core::wire::{
    Dialect, Encoded, Network,
    waku::{Accepts, Options, max_topics},
};

use super::*;

const DIALECTS: [Dialect; 2] = [Dialect::Waku0, Dialect::Waku1];
const TOPIC: Topic = Topic([1, 2, 3, 4]);

fn waku() -> NodeConfig {
    NodeConfig { network: Network::Waku, ..free() }
}

/// Adds a peer that announces these options, and takes any proof of work.
fn join(node: &mut Node, dialect: Dialect, options: Options) -> ConnectionId {
    let options = Options { min_pow: Some(0.0), ..options };
    let peer = node.add_peer(PeerInfo { dialect, ..PeerInfo::default() }, START).unwrap();
    let status = Packet::WakuStatus(options);
    node.handle_packet(peer, code::STATUS, &status.encode_as(dialect), START);
    peer
}

fn update(node: &mut Node, peer: ConnectionId, dialect: Dialect, accepts: Accepts, now: Time) {
    let packet = Packet::StatusUpdate(Options { accepts: Some(accepts), ..Options::default() });
    node.handle_packet(peer, code::STATUS_UPDATE, &packet.encode_as(dialect), now);
}

/// What the node tells a peer that it accepts.
fn announced(node: &mut Node, peer: ConnectionId, dialect: Dialect, now: Time) -> Vec<Accepts> {
    let packets = poll(node, peer, now).into_iter().filter_map(|it| {
        match Packet::decode_as(dialect, it.code, &it.payload).unwrap() {
            Packet::WakuStatus(options) | Packet::StatusUpdate(options) => options.accepts,
            _ => None,
        }
    });
    packets.collect()
}

#[test]
fn a_filter_makes_a_topic_interest_of_a_full_node() {
    for dialect in DIALECTS {
        let mut config = waku();
        // A light node of the reference: the filter is set, but not announced.
        config.bloom = Some(Bloom::EMPTY);
        let mut node = Node::new(config, 1, START);
        let peer = join(&mut node, dialect, Options::default());
        assert_eq!(announced(&mut node, peer, dialect, START), []);
        node.add_topics([TOPIC], START);
        node.add_topics([TOPIC], START);
        let expected = Accepts::Topics(vec![TOPIC]);
        assert_eq!(announced(&mut node, peer, dialect, START), [expected]);
        assert_eq!(node.config().bloom, None);
        let more = Topic([0; 4]);
        node.add_topics([more], START);
        let whole_list = Accepts::Topics(vec![more, TOPIC]);
        assert_eq!(announced(&mut node, peer, dialect, START), [whole_list]);
        node.set_bloom(None, START);
        let full = Accepts::Bloom(Some(Bloom::FULL));
        assert_eq!(announced(&mut node, peer, dialect, START), [full]);
    }
}

#[test]
fn an_old_topic_interest_is_tolerated_for_ten_seconds() {
    let mut node = Node::new(waku(), 1, START);
    let peer = join(&mut node, Dialect::Waku1, Options::default());
    let mut nonce = 0;
    let mut accepts = |node: &mut Node, now| {
        nonce += 1;
        let envelope = envelope(now, 10, nonce);
        node.handle_packet(peer, code::MESSAGES, &messages(std::slice::from_ref(&envelope)), now);
        node.pooled(&envelope.hash()).is_some()
    };
    assert!(accepts(&mut node, START));
    node.set_topics([TOPIC].into(), START);
    assert!(accepts(&mut node, START));
    // What was set for less than ten seconds is not the old one.
    node.set_topics(HashSet::new(), START + 5 * SECOND);
    assert!(!accepts(&mut node, START + 9 * SECOND));
    node.set_topics([TOPIC].into(), START + 20 * SECOND);
    node.set_topics(HashSet::new(), START + 40 * SECOND);
    assert!(accepts(&mut node, START + 49 * SECOND));
    assert!(!accepts(&mut node, START + 50 * SECOND));
}

#[test]
fn a_list_that_a_peer_does_not_take_becomes_a_filter() {
    let topics: HashSet<_> = (0..1001u32).map(|it| Topic(it.to_be_bytes())).collect();
    assert!(topics.len() > max_topics(Dialect::Waku0));
    let bloom = Bloom::from_topics(topics.iter().copied());
    let config = NodeConfig { topics: Some(std::sync::Arc::new(topics.clone())), ..waku() };
    let mut node = Node::new(config, 1, START);
    for dialect in DIALECTS {
        let peer = join(&mut node, dialect, Options::default());
        match (&announced(&mut node, peer, dialect, START)[..], dialect) {
            ([Accepts::Bloom(filter)], Dialect::Waku0) => assert_eq!(*filter, Some(bloom)),
            ([Accepts::Topics(list)], _) => {
                assert_eq!(list.iter().copied().collect::<HashSet<_>>(), topics);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_peer_gets_what_it_missed_when_it_asks_for_more() {
    for dialect in DIALECTS {
        let mut node = Node::new(waku(), 1, START);
        let sent = node.send(envelope(START, 50, 1), START).unwrap();
        let nothing = Some(Accepts::Topics(Vec::new()));
        let peer = join(&mut node, dialect, Options { accepts: nothing, ..Options::default() });
        assert_eq!(batches(&mut node, peer, START + WINDOW), [[]; 0]);
        let now = START + 2 * SECOND;
        update(&mut node, peer, dialect, Accepts::Topics(vec![TOPIC]), now);
        assert_eq!(batches(&mut node, peer, now + SECOND), [[sent.hash]]);
        // A filter replaces the list.
        update(&mut node, peer, dialect, Accepts::Bloom(Some(Bloom::EMPTY)), now + SECOND);
        node.send(envelope(START, 50, 2), now + SECOND).unwrap();
        assert_eq!(batches(&mut node, peer, now + 2 * SECOND), [[]; 0]);
        let status = node.peer(peer).unwrap().status.unwrap();
        assert_eq!((status.bloom, status.topics), (Some(Bloom::EMPTY), None));
    }
}

#[test]
fn packets_of_whisper_mean_nothing_and_unreadable_ones_end_waku_0_only() {
    for dialect in DIALECTS {
        let mut node = Node::new(NodeConfig { mailserver: true, ..waku() }, 1, START);
        let peer = join(&mut node, dialect, Options::default());
        let before = node.peer(peer);
        for code in [2, 3, 20, 123, 124] {
            node.handle_packet(peer, code, &[1; 65], START);
        }
        assert_eq!(node.peer(peer), before);
        node.handle_packet(peer, code::MESSAGES, &[0xc1, 0x01], START);
        assert_eq!(node.peer(peer).is_some(), dialect == Dialect::Waku1);
        assert_eq!(node.stats().unreadable, u64::from(dialect == Dialect::Waku1));
        // But not the limit of sizes.
        let large = vec![0; node.config().max_message_size as usize + 1];
        node.handle_packet(peer, code::MESSAGES, &large, START);
        assert!(node.peer(peer).is_none());
    }
}

#[test]
fn confirmations_are_off_and_direct_envelopes_are_lists() {
    for (dialect, error_code) in DIALECTS.into_iter().zip([34, 21]) {
        let mut node = Node::new(waku(), 1, START);
        let peer = join(&mut node, dialect, Options::default());
        poll(&mut node, peer, START);
        node.handle_packet(peer, code::MESSAGES, &messages(&[]), START);
        assert_eq!(poll(&mut node, peer, START), []);
        let direct = envelope(START, 10, 1);
        node.send_packet(peer, &Packet::P2pMessage(vec![direct.clone()]), START).unwrap();
        let raw = Encoded { code: 127, payload: direct.raw().to_vec() };
        node.send_packet(peer, &raw, START).unwrap();
        let payloads: Vec<_> =
            poll(&mut node, peer, START).into_iter().map(|it| it.payload).collect();
        assert_eq!(payloads, [messages(std::slice::from_ref(&direct)), raw.payload]);

        let mut node = Node::new(NodeConfig { waku_confirmations: true, ..waku() }, 1, START);
        let peer = join(&mut node, dialect, Options::default());
        poll(&mut node, peer, START);
        node.handle_packet(
            peer,
            code::MESSAGES,
            &messages(&[envelope(START, 0, 1), envelope(START + 99 * SECOND, 1, 1)]),
            START,
        );
        let answers = poll(&mut node, peer, START);
        assert_eq!(answers.iter().map(|it| it.code).collect::<Vec<_>>(), [12, 11]);
        let answer = Packet::decode_as(dialect, 12, &answers[0].payload).unwrap();
        let Packet::MessageResponse(ReadResponse::V1(answer)) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(answer.errors.iter().map(|it| it.code).collect::<Vec<_>>(), [error_code]);
    }
}

#[test]
fn the_minimum_is_the_first_tolerance() {
    let config = NodeConfig { min_pow: 5.0, ..NodeConfig::default() };
    let tolerance = |network| {
        let node = Node::new(NodeConfig { network, ..config.clone() }, 1, START);
        node.config().min_pow_tolerance
    };
    assert_eq!([Network::Whisper, Network::Waku].map(tolerance), [0.2, 5.0]);
}

#[test]
fn names_of_connections_tell_the_network() {
    let mut nodes = [free(), waku()].map(|config| Node::new(config, 1, START));
    let peers = nodes.each_mut().map(|node| node.add_peer(PeerInfo::default(), START).unwrap());
    assert_ne!(peers[0], peers[1]);
    for peer in peers {
        assert_eq!(ConnectionId::from_bits(peer.to_bits()), peer);
    }
    assert!(nodes[0].peer(peers[1]).is_none() && nodes[1].peer(peers[0]).is_none());
    assert_eq!(peers.map(|peer| peer.to_string()), ["0.0", "w0.0"]);
}

#[test]
fn what_crosses_enters_once_and_does_not_come_back() {
    let [mut whisper, mut waku] =
        [free(), waku()].map(|config| Node::new(NodeConfig { bridge: true, ..config }, 1, START));
    let crossing = |node: &mut Node| {
        let all = outputs(node).into_iter().filter_map(|output| match output {
            Output::Crossing(crossing) => Some(crossing),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let peer = super::join(&mut whisper, &Status::default(), START);
    let brought = envelope(START, 10, 1);
    whisper.handle_packet(
        peer,
        code::MESSAGES,
        &messages(&[brought.clone(), brought.clone()]),
        START,
    );
    let out = crossing(&mut whisper);
    assert_eq!(out.iter().map(Crossing::hash).collect::<Vec<_>>(), [brought.hash()]);
    let reader = join(&mut waku, Dialect::Waku1, Options::default());
    assert_eq!(waku.cross(&out[0], START), Ok(true));
    assert_eq!(waku.cross(&out[0], START), Ok(false));
    assert_eq!(crossing(&mut waku), []);
    assert_eq!(batches(&mut waku, reader, START + WINDOW), [[brought.hash()]]);
    // The other side has rules of its own.
    waku.set_min_pow(1e9, START);
    let cheap = whisper.send(envelope(START, 30, 2), START).unwrap();
    let out = crossing(&mut whisper);
    assert_eq!(out[0].hash(), cheap.hash);
    let refused = waku.cross(&out[0], START + 11 * SECOND);
    assert_eq!(refused, Err(SendError::Refused(Verdict::LowPow)));
}

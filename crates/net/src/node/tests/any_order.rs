//! What holds whatever peers do.

use proptest::prelude::*;

use super::*;

/// Something that may happen to a node.
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

    /// Whatever peers do, nothing panics, no envelope goes to a peer twice or back to where it came
    /// from, none is expired, and a well-behaved peer is served to the end.
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
        // What each peer has sent or got, as long as it may be in the pool.
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
        // In the end, the good peer has everything that it asked for.
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

//! Any sequence of packets from several peers, in each dialect: the node stays alive and bounded, and
//! keeps serving a well-behaved peer.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use statuskit_core::wire::{Dialect, Status, packet::code};
use statuskit_net::node::{Node, NodeConfig, Output, PeerInfo};

fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::Whisper, Dialect::Waku0, Dialect::Waku1] {
        drive(dialect, data);
    }
});

fn drive(dialect: Dialect, data: &[u8]) {
    let mut now = Duration::from_secs(1_585_500_000);
    let mut config = NodeConfig::default();
    config.network = dialect.network();
    config.waku_confirmations = true;
    config.mailserver = true;
    let mut node = Node::new(config, 1, now);
    let stranger = || PeerInfo { dialect, ..PeerInfo::default() };
    let good = node.add_peer(stranger(), now).expect("room for a peer");
    let status = Status::silent(dialect).encode_as(dialect);
    node.handle_packet(good, code::STATUS, &status, now);
    let mut bad = node.add_peer(stranger(), now).expect("room for a peer");

    // Each step: code, length, payload.
    let mut rest = data;
    while let [code, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        now += Duration::from_millis(u64::from(*code));
        node.handle_packet(bad, (*code).into(), payload, now);
        node.handle_timeout(now);
        while let Some(output) = node.poll_output() {
            match output {
                Output::Writable(peer) => while node.poll_peer(peer, now).is_some() {},
                Output::Disconnect { peer, .. } => {
                    assert_eq!(peer, bad, "the good peer is let go");
                    bad = node.add_peer(stranger(), now).expect("room for a peer");
                }
                Output::Event(_) | Output::Crossing(_) => {}
            }
        }
    }
    assert!(node.peer(good).is_some());
}

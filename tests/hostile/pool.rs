//! Attacks on the pool of envelopes.

use std::time::Duration;

use statuskit_core::{
    envelope::Topic,
    wire::{
        Dialect, Packet, Status,
        packet::code,
        waku::{Accepts, Options},
    },
};
use statuskit_net::testing::{TestNode, local_config};
use statuskit_testkit::ServiceClock;

use crate::world::{DIALECTS, Good, PATIENCE, Peer, address, envelope, now, speak, strangers};

/// Ten addresses fill the pool twice over. Each envelope of the others arrives, and stays.
#[tokio::test]
async fn a_full_pool_is_the_problem_of_those_who_fill_it() {
    for (dialect, _) in DIALECTS {
        fill_the_pool(dialect, if strangers() > 100 { 1 << 16 } else { 1 << 12 }).await;
    }
}

/// The limit is well above the 2000 envelopes that are on their way at once: what was not forwarded
/// yet makes no room.
async fn fill_the_pool(dialect: Dialect, limit: usize) {
    let mut config = local_config("pool");
    config.node.limits.pool_envelopes = limit;
    speak(&mut config, dialect);
    let node = TestNode::start_with(config).unwrap();
    let mut good = Good::join_in(dialect, &node.enode()).await;
    let flood = async {
        let flood = (0..10).map(|number| {
            let enode = node.enode();
            tokio::spawn(async move {
                let name = format!("flooder {number}");
                let mut peer =
                    Peer::join_in(dialect, &enode, address(number), &name).await.unwrap();
                for round in 0..(limit / 1000) as u64 {
                    let first = (number as u64) << 40 | round << 20;
                    let packet: Vec<_> =
                        (0..200).map(|n| envelope(now(), 3600, first + n)).collect();
                    assert!(peer.send_confirmed(&packet).await);
                    peer.received.clear();
                }
            })
        });
        for flood in flood.collect::<Vec<_>>() {
            flood.await.unwrap();
        }
    };
    let exchange = async {
        for _ in 0..20 {
            good.exchange(now()).await;
        }
        good.sent
    };
    let ((), sent) = tokio::join!(flood, exchange);
    let stats = node.handle().stats();
    assert!(stats.pooled <= limit && stats.evicted > 0, "{stats:?}");
    let lost = sent.iter().filter(|hash| node.handle().with(|node, _| node.pooled(hash).is_none()));
    assert_eq!(lost.count(), 0);
}

/// A virtual minute of changing requirements. Each peer may have the pool looked through some times.
#[tokio::test]
async fn endless_changes_of_requirements_cost_little() {
    let pow = |at: u64| (code::POW_REQUIREMENT, Packet::PowRequirement(1e9 - at as f64));
    change_without_end(Dialect::Whisper, 5000, pow).await;
    // In Waku, the work and the topics, which are others each time, and more.
    let update = |at: u64| {
        let topics = (0..=at % 50).map(|n| Topic(((at << 8 | n) as u32).to_be_bytes())).collect();
        let options = match at % 2 {
            0 => Options { min_pow: Some(1e9 - at as f64), ..Options::default() },
            _ => Options { accepts: Some(Accepts::Topics(topics)), ..Options::default() },
        };
        (code::STATUS_UPDATE, Packet::StatusUpdate(options))
    };
    for dialect in [Dialect::Waku0, Dialect::Waku1] {
        change_without_end(dialect, 1000, update).await;
    }
}

async fn change_without_end(dialect: Dialect, pool: u64, change: impl Fn(u64) -> (u64, Packet)) {
    let clock = ServiceClock::starting_at(Duration::from_secs(now().into()));
    let mut config = local_config("rewinds");
    config.clock = clock.clock();
    config.max_peers = 60;
    speak(&mut config, dialect);
    let node = TestNode::start_with(config).unwrap();
    let mut good = Good::join_in(dialect, &node.enode()).await;
    for first in (0..pool).step_by(200) {
        let packet: Vec<_> = (first..first + 200).map(|n| envelope(now(), 3600, n)).collect();
        assert!(good.a.send_confirmed(&packet).await);
    }
    let picky = Status { min_pow: 1e9, ..Status::default() };
    let count = (strangers() / 6).min(50);
    let mut peers = Vec::new();
    for number in 0..count {
        let (name, from) = (format!("fickle {number}"), address(number));
        peers.push(Peer::join_as(dialect, &node.enode(), from, &name, &picky).await.unwrap());
    }
    let before = node.handle().stats().looked_at;
    let mut changes = 0;
    for second in 0..60u32 {
        for peer in &mut peers {
            for _ in 0..20 {
                changes += 1;
                let (code, packet) = change(changes);
                assert!(peer.send(code, &packet.encode_as(dialect)).await);
            }
        }
        clock.forward(1);
        if second % 20 == 0 {
            good.exchange(now() + second).await;
        }
    }
    // When these are confirmed, what came before was done.
    for peer in &mut peers {
        let all = tokio::time::timeout(PATIENCE, peer.send_confirmed(&[])).await;
        assert!(all.expect("an answer"));
    }
    let looks = (node.handle().stats().looked_at - before) / pool;
    assert!(looks > 0, "the changes count");
    assert!(looks <= count as u64 * 30, "{looks} looks for {count} peers");
}

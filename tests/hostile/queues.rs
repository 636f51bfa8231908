//! Attacks on memory: queues of events, packets that never end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use statuskit_core::{
    crypto::seeded_rng,
    wire::{
        Dialect, Packet, Status,
        packet::{PROTOCOL, code},
    },
};
use statuskit_net::{
    connection::PeerStream,
    testing::{TestNode, local_config},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::world::{
    DIALECTS, Good, PATIENCE, Peer, Process, addr_of, address, dial, envelope, key, now, p2p,
    speak, speaking, strangers,
};

/// What a node may hold: the pool with its overhead, and what peers can occupy.
pub const MEMORY: usize = (128 << 20) / 10 * 14 + (64 << 20);

/// While a subscriber sleeps, ten peers flood. The others are still read.
#[tokio::test]
async fn a_flood_of_events_stops_only_those_who_flood() {
    for (dialect, part) in DIALECTS {
        flood_events(dialect, 200 / part as u64).await;
    }
}

async fn flood_events(dialect: Dialect, rounds: u64) {
    const LIMIT: usize = 2 << 20;
    const PACKET: u64 = 100;
    let mut config = local_config("queue");
    config.event_bytes = LIMIT;
    speak(&mut config, dialect);
    let node = TestNode::start_with(config).unwrap();
    let mut good = Good::join_in(dialect, &node.enode()).await;
    let events = node.handle().subscribe();
    let floods = (0..10).map(|number| {
        let enode = node.enode();
        tokio::spawn(async move {
            let name = format!("flooder {number}");
            let mut peer = Peer::join_in(dialect, &enode, address(number), &name).await.unwrap();
            for round in 0..rounds {
                let first = (number as u64) << 40 | round << 20;
                let packet: Vec<_> =
                    (first..first + PACKET).map(|n| envelope(now(), 3600, n)).collect();
                let packet = Packet::Messages(packet).encode();
                let sent = peer.send(code::MESSAGES, &packet);
                // It is not read any more.
                if timeout(Duration::from_secs(1), sent).await.is_err() {
                    break;
                }
            }
            peer
        })
    });
    let mut peers = Vec::new();
    for flood in floods.collect::<Vec<_>>() {
        peers.push(flood.await.unwrap());
    }
    for _ in 0..10 {
        good.exchange(now()).await;
    }
    // The events of one packet per peer come on top.
    let most = LIMIT + 12 * PACKET as usize * 500;
    assert!(events.queued_bytes() <= most, "{}", events.queued_bytes());
    assert_eq!(node.handle().peers().len(), 12);
}

/// What unfinished packets may take.
const UNFINISHED: usize = 32 << 20;

/// 50 peers that begin a packet of 2 MB and never end it: twice as much memory as they may have.
#[tokio::test]
async fn packets_that_never_end_are_bounded() {
    const PACKET: usize = 2_000_000;
    const SENT: usize = PACKET - 50_000;
    let node = Process::start(&["status-node", "--min-pow", "0", "--max-peers", "52"]);
    let mut good = Good::join(&node.enode).await;
    let before = node.memory();
    let mut held = Vec::new();
    let mut packet = vec![0; PACKET];
    rand::Rng::fill_bytes(&mut seeded_rng("packet"), &mut packet);
    for number in 0..50 {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let socket = dial(addr_of(&node.enode), address(number)).await;
        let (mut from_node, mut to_node) = socket.into_split();
        let (mut from_peer, mut to_peer) = tokio::io::split(theirs);
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let pump = tokio::spawn(async move { tokio::io::copy(&mut from_node, &mut to_peer).await });
        let bytes_left = left.clone();
        let cut = tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(read @ 1..) = from_peer.read(&mut buffer).await {
                let read = read.min(bytes_left.load(Relaxed));
                if to_node.write_all(&buffer[..read]).await.is_err() {
                    // The node has had enough of it.
                    return;
                }
                bytes_left.fetch_sub(read, Relaxed);
                if bytes_left.load(Relaxed) == 0 {
                    // The connection stays, and says nothing more.
                    std::future::pending::<()>().await;
                }
            }
        });
        let rng = &mut seeded_rng(&format!("half {number}"));
        let key = key(&format!("half {number}"));
        let mut stream =
            PeerStream::initiate(ours, node.enode.id, &key, &p2p(Dialect::Whisper), rng)
                .await
                .unwrap();
        stream.send(PROTOCOL, code::STATUS, &Status::default().encode()).unwrap();
        stream.flush().await.unwrap();
        left.store(SENT, Relaxed);
        stream.send(PROTOCOL, code::MESSAGES, &packet).unwrap();
        held.push((stream, pump, cut, left));
        if number % 10 == 9 {
            good.exchange(now()).await;
        }
    }
    let filled = async {
        for (stream, pump, cut, left) in &mut held {
            while left.load(Relaxed) > 0 && !cut.is_finished() && !pump.is_finished() {
                let _ = timeout(Duration::from_millis(10), stream.flush()).await;
            }
        }
    };
    timeout(PATIENCE, filled).await.expect("the node reads them, or parts with them");
    let parted = async {
        let stays = |(_, pump, cut, _): &&(_, JoinHandle<_>, JoinHandle<()>, _)| {
            !pump.is_finished() && !cut.is_finished()
        };
        while held.iter().filter(stays).count() > UNFINISHED / SENT {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, parted).await.expect("the node parts with those beyond the bound");
    good.exchange(now()).await;
    // Buffers have room to grow, and the allocator keeps some of those that are gone.
    let memory = node.memory().saturating_sub(before);
    assert!(memory < 3 * UNFINISHED, "{memory} bytes");
}

/// Those who come and go leave nothing behind.
#[tokio::test]
async fn coming_and_going_leaves_nothing_behind() {
    for (dialect, part) in DIALECTS {
        come_and_go(dialect, strangers() / part).await;
    }
}

async fn come_and_go(dialect: Dialect, count: usize) {
    let node = Process::start(&[&["status-node", "--min-pow", "0"], speaking(dialect)].concat());
    let mut good = Good::join_in(dialect, &node.enode).await;
    let (before, cpu) = (node.memory(), node.cpu());
    for number in 0..count {
        let (name, from) = (format!("passer-by {number}"), address(number % 100));
        let mut peer = Peer::join_in(dialect, &node.enode, from, &name).await.unwrap();
        assert!(peer.send_confirmed(&[envelope(now(), 1, number as u64)]).await);
    }
    sleep(Duration::from_millis(10)).await;
    good.exchange(now()).await;
    let (grown, cpu) = (node.memory().saturating_sub(before), node.cpu() - cpu);
    assert!(grown < 16 << 20, "{grown} bytes");
    let each = cpu / count as u32;
    assert!(each < Duration::from_millis(50), "{each:?} of CPU time each");
    assert!(node.memory() < MEMORY);
}

//! The cost of a node: envelopes per second, memory per envelope, CPU time while idle, Waku beside
//! Whisper.
//!
//! `cargo bench --bench node`; with `-- waku` the comparison alone. The envelopes have 380 bytes and come
//! in Messages packets; a relay decodes, checks and pools them, answers the packet, and writes the packet
//! for another peer.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use statuskit_core::{
    envelope::{Envelope, Topic},
    time::UnixSeconds,
    wire::{Dialect, Packet, Status, packet::code},
};
use statuskit_net::{
    node::{ConnectionId, Event, Node, NodeConfig, Output, PeerInfo, PeerOptions, Service, Time},
    testing::local_config,
};

const START: Time = Duration::from_secs(1_600_000_000);

/// Counts the allocated bytes.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: forwards every call unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Creates envelopes whose RLP has `length` bytes.
fn envelopes(length: usize, count: u64, ttl: u32) -> Vec<Envelope> {
    let expiry = START.as_secs() as u32 + ttl;
    let of = |data: usize, nonce: u64| {
        Envelope::new(
            UnixSeconds(expiry),
            ttl,
            Topic([1, 2, 3, 4]),
            &vec![7; data],
            1 << 32 | nonce,
        )
    };
    let overhead = of(300, 0).raw().len() - 300;
    let envelopes: Vec<_> = (0..count).map(|nonce| of(length - overhead, nonce)).collect();
    assert!(envelopes.iter().all(|envelope| envelope.raw().len() == length));
    envelopes
}

fn relay(peers: usize, confirmations: bool) -> (Node, Vec<ConnectionId>) {
    relay_in(Dialect::Whisper, peers, confirmations)
}

fn relay_in(dialect: Dialect, peers: usize, confirmations: bool) -> (Node, Vec<ConnectionId>) {
    let mut config = NodeConfig::with_min_pow(0.0);
    config.network = dialect.network();
    (config.confirmations, config.waku_confirmations) = (confirmations, confirmations);
    // One peer brings all: above half of the pool it would be over its share.
    (config.limits.pool_envelopes, config.limits.pool_bytes) = (1 << 19, 256 << 20);
    let mut node = Node::new(config, 1, START);
    let peers: Vec<_> = (0..peers)
        .map(|_| {
            let info = PeerInfo { dialect, ..PeerInfo::default() };
            let peer = node.add_peer(info, START).unwrap();
            node.handle_packet(peer, code::STATUS, &Status::default().encode_as(dialect), START);
            peer
        })
        .collect();
    deliver(&mut node, START);
    (node, peers)
}

/// Drains the node's output. Returns the number of packets and bytes.
fn deliver(node: &mut Node, now: Time) -> (usize, usize) {
    node.handle_timeout(now);
    let (mut packets, mut bytes) = (0, 0);
    while let Some(output) = node.poll_output() {
        let Output::Writable(peer) = output else { continue };
        while let Some(packet) = node.poll_peer(peer, now) {
            packets += 1;
            bytes += black_box(packet.payload).len();
        }
    }
    (packets, bytes)
}

fn throughput(criterion: &mut Criterion) {
    let envelopes = envelopes(380, 2000, 50);
    let mut group = criterion.benchmark_group("relay of 380-byte envelopes");
    group.throughput(Throughput::Elements(envelopes.len() as u64));
    group.sample_size(30);
    for confirmations in [true, false] {
        for batch in [1, 10, 100, 1000] {
            let packets: Vec<Vec<u8>> = envelopes
                .chunks(batch)
                .map(|chunk| Packet::Messages(chunk.to_vec()).encode())
                .collect();
            let name = if confirmations { "confirmed" } else { "unconfirmed" };
            group.bench_with_input(BenchmarkId::new(name, batch), &packets, |bencher, packets| {
                bencher.iter_batched(
                    || relay(2, confirmations),
                    |(mut node, peers)| {
                        let mut now = START;
                        for packet in packets {
                            node.handle_packet(peers[0], code::MESSAGES, packet, now);
                            now += NodeConfig::DEFAULT_SEND_WINDOW;
                            deliver(&mut node, now);
                        }
                        assert_eq!(node.stats().forwarded, 2000);
                        node
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("duplicates of 380-byte envelopes");
    group.throughput(Throughput::Elements(envelopes.len() as u64));
    let packets: Vec<Vec<u8>> =
        envelopes.chunks(100).map(|chunk| Packet::Messages(chunk.to_vec()).encode()).collect();
    group.bench_function("confirmed/100", |bencher| {
        let (mut node, peers) = relay(3, true);
        for from in [peers[0], peers[1]] {
            packets.iter().for_each(|it| node.handle_packet(from, code::MESSAGES, it, START));
        }
        bencher.iter(|| {
            for packet in &packets {
                node.handle_packet(peers[1], code::MESSAGES, packet, START);
                deliver(&mut node, START);
            }
        });
    });
    group.finish();
}

/// Relays 2000 envelopes in packets of a given number, and returns the time.
fn relayed(dialect: Dialect, packets: &[Vec<u8>]) -> Duration {
    let (mut node, peers) = relay_in(dialect, 2, true);
    let (mut now, began) = (START, Instant::now());
    for packet in packets {
        node.handle_packet(peers[0], code::MESSAGES, packet, now);
        now += NodeConfig::DEFAULT_SEND_WINDOW;
        deliver(&mut node, now);
    }
    let spent = began.elapsed();
    assert_eq!(node.stats().forwarded, 2000);
    spent
}

/// Measures what relaying in Waku costs, as a multiple of the same in Whisper. Turns alternate, and the
/// fastest of each counts: what else runs on the machine only adds.
fn waku() {
    let envelopes = envelopes(380, 2000, 50);
    for batch in [1, 10, 100] {
        let packets: Vec<Vec<u8>> = envelopes
            .chunks(batch)
            .map(|chunk| Packet::Messages(chunk.to_vec()).encode())
            .collect();
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..200 {
            for (dialect, fastest) in
                [Dialect::Whisper, Dialect::Waku1].into_iter().zip(&mut fastest)
            {
                *fastest = relayed(dialect, &packets).min(*fastest);
            }
        }
        let [whisper, waku] = fastest.map(|it| it.as_secs_f64());
        println!(
            "waku: packets of {batch:>3}: {:.2} µs per envelope in Whisper, {:.2} in Waku, ratio {:.3}",
            whisper / 2000.0 * 1e6,
            waku / 2000.0 * 1e6,
            waku / whisper
        );
    }
}

/// Measures bytes per envelope of 402 bytes: pooled, and marked for 8 peers.
fn memory() {
    for count in [1_000, 10_000, 50_000, 100_000, 150_000, 200_000] {
        let packets: Vec<Vec<u8>> = envelopes(402, count, 50)
            .chunks(100)
            .map(|chunk| Packet::Messages(chunk.to_vec()).encode())
            .collect();
        let (mut node, peers) = relay(8, true);
        let before = HELD.load(Relaxed);
        for (at, packet) in packets.iter().enumerate() {
            node.handle_packet(peers[at % 8], code::MESSAGES, packet, START);
        }
        let (_, bytes) = deliver(&mut node, START + NodeConfig::DEFAULT_SEND_WINDOW);
        assert!(bytes > 7 * 402 * count as usize);
        let held = HELD.load(Relaxed) - before;
        println!(
            "memory: {count:>6} envelopes of 402 bytes, 8 peers: {:.1} bytes each",
            held as f64 / count as f64
        );
    }
}

/// Measures the core's time per idle second, with 10,000 envelopes and 50 peers.
fn idle() {
    let (mut node, peers) = relay(50, true);
    for chunk in envelopes(402, 10_000, 86_400).chunks(100) {
        let packet = Packet::Messages(chunk.to_vec()).encode();
        node.handle_packet(peers[0], code::MESSAGES, &packet, START);
    }
    let mut now = START + Duration::from_secs(60);
    deliver(&mut node, now);
    assert_eq!(node.stats().pooled, 10_000);
    let (began, end) = (Instant::now(), now + Duration::from_secs(3600));
    let mut calls = 0;
    while let Some(next) = node.next_timeout().filter(|next| *next < end) {
        now = next;
        deliver(&mut node, now);
        calls += 1;
    }
    // The service's timer still checks the clock every ten seconds.
    for _ in 0..360 {
        deliver(&mut node, now);
        calls += 1;
    }
    let spent = began.elapsed();
    println!(
        "idle: 10,000 envelopes, 50 peers, one hour: {calls} calls, {spent:?} in all, {:.6} ms per second",
        spent.as_secs_f64() * 1e3 / 3600.0
    );
}

/// Measures the latency from one service through another to a third, on loopback.
fn latency() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = async |name| Service::start(local_config(name)).await.unwrap();
        let (a, relay, c) = (service("a").await, service("relay").await, service("c").await);
        for end in [&a, &c] {
            end.handle().add_peer(relay.handle().enode().unwrap(), PeerOptions::default());
        }
        let mut news = c.handle().subscribe();
        while relay.handle().stats().ready_peers < 2 || a.handle().stats().ready_peers < 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut waits = Vec::new();
        for nonce in 0..300 {
            tokio::time::sleep(Duration::from_millis(7)).await;
            let now = a.handle().now().as_secs() as u32;
            let envelope =
                Envelope::new(UnixSeconds(now + 50), 50, Topic([1; 4]), &[7; 300], nonce);
            let sent = Instant::now();
            a.handle().send(envelope).unwrap();
            while let Some(event) = news.next().await {
                if matches!(&*event, Event::Envelope { .. }) {
                    break;
                }
            }
            waits.push(sent.elapsed());
        }
        waits.sort_unstable();
        println!(
            "latency: own window, loopback, relay, loopback: mean {:?}, median {:?}, most {:?}",
            waits.iter().sum::<Duration>() / waits.len() as u32,
            waits[waits.len() / 2],
            waits[waits.len() - 1],
        );
        for service in [a, relay, c] {
            service.shutdown().await;
        }
    });
}

criterion_group!(benches, throughput);

fn main() {
    waku();
    if std::env::args().any(|arg| arg == "waku") {
        return;
    }
    memory();
    idle();
    latency();
    benches();
    Criterion::default().configure_from_args().final_summary();
}

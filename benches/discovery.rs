//! Packets of discovery beside the recovery and the signature that they can't do without, and the
//! cost of garbage.
//!
//! `cargo bench --bench discovery`

#![allow(clippy::unwrap_used)]

use std::{hint::black_box, net::SocketAddr, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use statuskit_core::{
    crypto::{SecretKey, Signature, keccak256, seeded_rng},
    discovery::{
        Endpoint, Extra, MAX_NODES, Neighbors, NodeEntry, NodeKey, RecordBuilder, TopicListHash,
        v4, v5,
    },
};
use statuskit_net::discovery::v5::{Config, Machine, Now, Output};

fn packets(c: &mut Criterion) {
    let mut rng = seeded_rng("bench");
    let key = SecretKey::generate(&mut rng);
    let digest = keccak256(b"digest");
    let signature = Signature::from_bytes(*key.sign_digest(&digest).as_bytes());
    let endpoint = Endpoint::new("192.168.1.20".parse().unwrap(), 30303, 30303);
    let ping = v5::Packet::Ping(v5::Ping {
        version: v5::VERSION,
        from: endpoint.clone(),
        to: endpoint.clone(),
        expiration: 1_585_558_820,
        topics: vec!["whisper".into()],
        extra: Extra::default(),
    });
    let node = || NodeEntry {
        endpoint: endpoint.clone(),
        key: NodeKey::from(&SecretKey::generate(&mut rng).public_key()),
    };
    let nodes = std::iter::repeat_with(node).take(MAX_NODES).collect();
    let neighbors = Neighbors { nodes, expiration: 1_585_558_820, extra: Extra::default() };
    let record = RecordBuilder::new(1).udp(30303).tcp(30303).sign(&key).unwrap().to_string();

    let mut group = c.benchmark_group("discovery");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one recovery", |bench| {
        bench.iter(|| signature.recover(black_box(&digest)));
    });
    group.bench_function("one signature", |bench| {
        bench.iter(|| key.sign_digest(black_box(&digest)));
    });
    let datagram = ping.encode(&key).unwrap().bytes;
    group.bench_function("v5 ping: decode", |bench| {
        bench.iter(|| v5::Packet::decode(black_box(&datagram)));
    });
    group.bench_function("v5 ping: encode", |bench| {
        bench.iter(|| black_box(&ping).encode(&key));
    });
    let full = v5::Packet::Neighbors(neighbors.clone()).encode(&key).unwrap().bytes;
    group.bench_function("v5 neighbors, 12 nodes: decode", |bench| {
        bench.iter(|| v5::Packet::decode(black_box(&full)));
    });
    let full = v4::Packet::Neighbors(neighbors).encode(&key).unwrap().bytes;
    group.bench_function("v4 neighbors, 12 nodes: decode", |bench| {
        bench.iter(|| v4::Packet::decode(black_box(&full)));
    });
    group.bench_function("record: read and verify", |bench| {
        bench.iter(|| black_box(record.as_str()).parse::<statuskit_core::discovery::Record>());
    });

    let random = [0x5a; 400];
    group.bench_function("garbage", |bench| {
        bench.iter(|| v5::Packet::decode(black_box(&random)));
    });
    let prefixed = [&v5::PREFIX[..], &random[..66], &[0xf9, 1, 0], &random[..256]].concat();
    let mut prefixed_ping = prefixed.clone();
    prefixed_ping[v5::PREFIX.len() + 65] = v5::kind::PING;
    group.bench_function("garbage behind the prefix of v5", |bench| {
        bench.iter(|| v5::Packet::decode(black_box(&prefixed_ping)));
    });
    group.bench_function("garbage for v4", |bench| {
        bench.iter(|| v4::Packet::decode(black_box(&prefixed)));
    });
    group.finish();
}

/// A machine that knows as many nodes as its table holds.
struct Full {
    machine: Machine,
    /// A node that is known, and where it is.
    known: (SecretKey, SocketAddr),
    now: Now,
}

impl Full {
    fn new() -> Self {
        let mut rng = seeded_rng("full");
        let addr = "85.1.2.3:30303".parse().unwrap();
        let mut config = Config::new(SecretKey::generate(&mut rng), addr);
        config.packets_per_second = u32::MAX;
        let mut machine = Machine::new(config, [7; 32]);
        let now = Now { mono: Duration::from_secs(5000), unix: 1_585_558_800 };
        let mut known = None;
        for n in 0..1000_u32 {
            let key = SecretKey::generate(&mut rng);
            let from = SocketAddr::new((0x5600_0001 + (n << 8)).to_be_bytes().into(), 30303);
            machine.handle_datagram(from, &ping(from).encode(&key).unwrap().bytes, now);
            while let Some(output) = machine.poll_output() {
                let Output::Send { bytes, .. } = output else { continue };
                let received = v5::Packet::decode(&bytes).unwrap();
                let v5::Packet::Ping(ping) = received.packet else { continue };
                let pong = v5::Packet::Pong(v5::Pong {
                    to: ping.from,
                    reply_token: received.hash.0.to_vec(),
                    expiration: 1,
                    topic_hash: TopicListHash::from_topics(&ping.topics),
                    ticket_serial: 1,
                    wait_periods: Vec::new(),
                    extra: Extra::default(),
                });
                machine.handle_datagram(from, &pong.encode(&key).unwrap().bytes, now);
            }
            known = Some((key, from));
        }
        Self { machine, known: known.unwrap(), now }
    }

    /// Handles a datagram, and returns how many are sent.
    fn answers(&mut self, from: SocketAddr, datagram: &[u8]) -> usize {
        self.machine.handle_datagram(from, datagram, self.now);
        let outputs = std::iter::from_fn(|| self.machine.poll_output());
        outputs.filter(|output| matches!(output, Output::Send { .. })).count()
    }
}

fn ping(from: SocketAddr) -> v5::Packet {
    let endpoint = Endpoint::new(from.ip(), from.port(), from.port());
    v5::Packet::Ping(v5::Ping {
        version: v5::VERSION,
        from: endpoint.clone(),
        to: endpoint,
        expiration: 1_585_558_820,
        topics: Vec::new(),
        extra: Extra::default(),
    })
}

/// Compares answers with what no answer can do without: their ratio is to be 0.85 at least.
fn machine(c: &mut Criterion) {
    let mut full = Full::new();
    let (key, from) = full.known.clone();
    let digest = keccak256(b"digest");
    let signature = Signature::from_bytes(*key.sign_digest(&digest).as_bytes());
    let mut group = c.benchmark_group("discovery machine");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one recovery and one signature", |bench| {
        bench.iter(|| (signature.recover(black_box(&digest)), key.sign_digest(black_box(&digest))));
    });
    let query = v5::TopicQuery { topic: "whisper".into(), expiration: 0 };
    let query = v5::Packet::TopicQuery(query).encode(&key).unwrap().bytes;
    for (name, datagram) in
        [("ping answered", ping(from).encode(&key).unwrap().bytes), ("query answered", query)]
    {
        assert_eq!(full.answers(from, &datagram), 1);
        group.bench_function(name, |bench| {
            bench.iter(|| full.answers(from, black_box(&datagram)));
        });
    }
    let garbage = [0x5a; 400];
    group.bench_function("garbage refused", |bench| {
        bench.iter(|| full.answers(from, black_box(&garbage)));
    });
    group.finish();
}

criterion_group!(benches, packets, machine);
criterion_main!(benches);

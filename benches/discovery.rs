//! Packets of discovery beside the recovery and the signature that they can't do without, and the
//! cost of garbage.
//!
//! `cargo bench --bench discovery`

#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use statuskit_core::{
    crypto::{SecretKey, Signature, keccak256, seeded_rng},
    discovery::{Endpoint, Extra, MAX_NODES, Neighbors, NodeEntry, NodeKey, RecordBuilder, v4, v5},
};

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

criterion_group!(benches, packets);
criterion_main!(benches);

//! Proof of work and batch hashing: every backend, side by side.
//!
//! `cargo bench --bench pow`. `mine/...` counts nonces per second, `many/...` envelopes per second.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{hint::black_box, num::NonZeroUsize, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use statuskit_core::{
    crypto::keccak::{Backend, Parts, keccak256, keccak256_parts},
    envelope::pow::{MineOptions, MineResult, Miner},
};

/// Nonces tried per measurement.
const NONCES: u64 = 1 << 19;

/// Lengths of `rlp4`: common sizes, and each kind of position of the nonce in the last block of 136
/// bytes.
const LENGTHS: [(usize, &str); 8] = [
    (30, "short"),
    (321, "usual"),
    (1024 + 17, "1KiB"),
    (65_536 + 17, "64KiB"),
    (1080 - 1, "at_the_end"),
    (1080, "padding_apart"),
    (1080 + 1, "straddling_7_1"),
    (1080 + 7, "straddling_1_7"),
];

fn mine(criterion: &mut Criterion) {
    for backend in Backend::available() {
        let mut group = criterion.benchmark_group(format!("mine/{}", backend.name()));
        group.throughput(Throughput::Elements(NONCES));
        for (len, name) in LENGTHS {
            let miner = Miner::new(&vec![0x5a; len]);
            for threads in [1, 2] {
                let options = MineOptions {
                    threads: NonZeroUsize::new(threads),
                    max_nonces: NONCES,
                    backend,
                    ..MineOptions::default()
                };
                group.bench_function(format!("{name}_{len}/{threads}"), |bencher| {
                    bencher.iter(|| match miner.mine(u32::MAX, black_box(&options)) {
                        MineResult::Stopped { best_nonce, .. } => best_nonce,
                        MineResult::Found { .. } => unreachable!("no hash has so many bits"),
                    });
                });
            }
        }
    }
}

/// Measures both hashes of a received envelope: its identity, and its proof of work.
fn many(criterion: &mut Criterion) {
    const ENVELOPES: usize = 256;
    let envelopes: Vec<[u8; 402]> = (0..ENVELOPES).map(|i| [i as u8; 402]).collect();
    let header = [0xf9, 0x01, 0x8a];
    let nonce = 77_u64.to_be_bytes();
    let inputs: Vec<Parts<'_>> = envelopes
        .iter()
        .flat_map(|it| [Parts(it, &[], &[]), Parts(&header, &it[3..397], &nonce)])
        .collect();

    let mut group = criterion.benchmark_group("many");
    group.throughput(Throughput::Elements(ENVELOPES as u64));
    group.bench_function("one_by_one", |bencher| {
        bencher.iter(|| {
            black_box(&inputs).iter().map(|&parts| keccak256_parts(parts)).collect::<Vec<_>>()
        });
    });
    for backend in Backend::available() {
        group.bench_function(backend.name(), |bencher| {
            bencher.iter(|| backend.keccak256_many_parts(black_box(&inputs)));
        });
    }
    group.finish();
    criterion.bench_function("single_402", |bencher| {
        bencher.iter(|| keccak256(black_box(&envelopes[0])))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    targets = many, mine
}
criterion_main!(benches);

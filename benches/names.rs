//! Names of ENS.
//!
//! `cargo bench --bench names`. On one core, in one run: `namehash/*` beside its bare hashes, with and
//! without normalisation.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use statuskit_core::crypto::keccak256;
use statuskit_eip::eip137::Name;

const NAME: &str = "alice.stateofus.eth";

/// The hashes that a node consists of, and nothing else.
fn bare(labels: &[&str]) -> [u8; 32] {
    let mut buffer = [0; 64];
    for label in labels.iter().rev() {
        buffer[32..].copy_from_slice(&keccak256(label.as_bytes()));
        let node = keccak256(&buffer);
        buffer[..32].copy_from_slice(&node);
    }
    let mut node = [0; 32];
    node.copy_from_slice(&buffer[..32]);
    node
}

fn namehash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("namehash");
    let labels: Vec<&str> = NAME.split('.').collect();
    let name: Name = NAME.parse().expect("a name");
    assert_eq!(name.node(), bare(&labels));
    group.bench_function("bare_hashes", |bencher| bencher.iter(|| bare(black_box(&labels))));
    group.bench_function("node", |bencher| bencher.iter(|| black_box(&name).node()));
    group.bench_function("normalised", |bencher| {
        bencher.iter(|| black_box(NAME).parse::<Name>().map(|name| name.node()));
    });
    group.finish();
    let mut group = criterion.benchmark_group("normalise");
    for (what, text) in [("capitals", "Alice.StateOfUs.eth"), ("greek", "ΝΙΚΟΛΑΟΣ.eth")] {
        group.bench_function(what, |bencher| bencher.iter(|| black_box(text).parse::<Name>()));
    }
    group.finish();
}

criterion_group!(benches, namehash);
criterion_main!(benches);

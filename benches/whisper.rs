//! Sealing, opening and keys. `benches/README.md` has the reference's figures.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    envelope::{Draft, Envelope, Opener, Recipient, SymKey, Topic, seal},
};

fn sealing(c: &mut Criterion) {
    let mut rng = seeded_rng("bench");
    let author = SecretKey::generate(&mut rng);
    let pair = SecretKey::generate(&mut rng);
    let public = pair.public_key();
    let sym = SymKey::generate(&mut rng);
    let payload = vec![0x61; 1024];
    let draft = Draft {
        topic: Topic([1, 2, 3, 4]),
        now: 1_585_500_000,
        ttl: 15,
        payload: &payload,
        signer: Some(&author),
    };

    let mut group = c.benchmark_group("1 KiB, signed");
    group.bench_function("seal symmetric", |b| {
        b.iter(|| seal::seal(black_box(&draft), Recipient::Sym(&sym), &mut rng));
    });
    let envelope = seal::seal(&draft, Recipient::Sym(&sym), &mut rng).expect("a short payload");
    group.bench_function("open symmetric", |b| {
        b.iter(|| seal::open(black_box(&envelope), Opener::Sym(&sym)));
    });
    group.bench_function("seal asymmetric", |b| {
        b.iter(|| seal::seal(black_box(&draft), Recipient::Asym(&public), &mut rng));
    });
    let envelope = seal::seal(&draft, Recipient::Asym(&public), &mut rng).expect("a short payload");
    group.bench_function("open asymmetric", |b| {
        b.iter(|| seal::open(black_box(&envelope), Opener::Asym(&pair)));
    });
    group.bench_function("decode envelope", |b| {
        b.iter(|| Envelope::decode(black_box(envelope.raw())));
    });
    group.finish();
}

fn keys(c: &mut Criterion) {
    c.bench_function("symmetric key from password", |b| {
        b.iter(|| SymKey::from_password(black_box("status")));
    });
}

criterion_group!(benches, sealing, keys);
criterion_main!(benches);

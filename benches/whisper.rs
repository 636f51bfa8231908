//! Sealing, opening and keys. `benches/README.md` has the reference's figures.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{hint::black_box, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use secp256k1::ecdsa::RecoverableSignature;
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

/// Sealing beside its operations on the curve, and these beside the safe functions of the
/// `secp256k1` crate.
///
/// Criterion measures one function after the other, so on a shared machine the ratio of two of its
/// figures says little. Here all functions take turns.
fn ratios(_: &mut Criterion) {
    let mut rng = seeded_rng("ratios");
    let (author, ephemeral) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let public = SecretKey::generate(&mut rng).public_key();
    let sym = SymKey::generate(&mut rng);
    let payload = vec![0x61; 1024];
    let draft = Draft {
        topic: Topic([1, 2, 3, 4]),
        now: 1_585_500_000,
        ttl: 15,
        payload: &payload,
        signer: Some(&author),
    };
    let digest = [7; 32];
    let message = secp256k1::Message::from_digest(digest);
    let key = secp256k1::SecretKey::from_secret_bytes(*author.to_bytes()).unwrap();

    let rounds: Vec<[f64; 7]> = (0..ROUNDS)
        .map(|_| {
            [
                time(|| author.sign_digest(&digest)),
                time(|| ephemeral.public_key()),
                time(|| ephemeral.ecdh(&public)),
                time(|| seal::seal(&draft, Recipient::Sym(&sym), &mut rng)),
                time(|| seal::seal(&draft, Recipient::Asym(&public), &mut rng)),
                time(|| RecoverableSignature::sign_ecdsa_recoverable(message, &key)),
                time(|| key.public_key()),
            ]
        })
        .collect();
    let median = |figure: &dyn Fn(&[f64; 7]) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[ROUNDS / 2]
    };
    let figures: [(&str, &dyn Fn(&[f64; 7]) -> f64); 11] = [
        ("signature, µs", &|it| it[0]),
        ("public key, µs", &|it| it[1]),
        ("ECDH, µs", &|it| it[2]),
        ("seal symmetric, µs", &|it| it[3]),
        ("seal asymmetric, µs", &|it| it[4]),
        ("safe signature, µs", &|it| it[5]),
        ("safe public key, µs", &|it| it[6]),
        ("safe signature / signature", &|it| it[5] / it[0]),
        ("safe public key / public key", &|it| it[6] / it[1]),
        ("seal symmetric / signature", &|it| it[3] / it[0]),
        ("seal asymmetric / its curve operations", &|it| it[4] / (it[0] + it[1] + it[2])),
    ];
    for (name, figure) in figures {
        println!("{name:<40} {:8.3}", median(figure));
    }
}

const ROUNDS: usize = 101;

/// Microseconds per call, on average over a few calls.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    const CALLS: u32 = 64;
    let start = Instant::now();
    (0..CALLS).for_each(|_| drop(black_box(work())));
    start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

criterion_group!(benches, sealing, keys, ratios);
criterion_main!(benches);

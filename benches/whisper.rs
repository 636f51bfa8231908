//! Sealing, opening and keys. `benches/README.md` has the reference's figures.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{hint::black_box, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use secp256k1::ecdsa::RecoverableSignature;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    envelope::{Draft, Envelope, Opener, Recipient, SymKey, Topic, seal},
    time::UnixSeconds,
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
        now: UnixSeconds(1_585_500_000),
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
/// figures says little. Here all functions take turns, and the least disturbed round of each counts.
fn ratios(_: &mut Criterion) {
    let mut rng = seeded_rng("ratios");
    let (author, ephemeral) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let public = SecretKey::generate(&mut rng).public_key();
    let sym = SymKey::generate(&mut rng);
    let payload = vec![0x61; 1024];
    let draft = Draft {
        topic: Topic([1, 2, 3, 4]),
        now: UnixSeconds(1_585_500_000),
        ttl: 15,
        payload: &payload,
        signer: Some(&author),
    };
    let digest = [7; 32];
    let message = secp256k1::Message::from_digest(digest);
    let key = secp256k1::SecretKey::from_secret_bytes(*author.to_bytes()).unwrap();

    let mut least = [f64::INFINITY; 7];
    for _ in 0..ROUNDS {
        let round = [
            time(|| author.sign_digest(&digest)),
            time(|| ephemeral.public_key()),
            time(|| ephemeral.ecdh(&public)),
            time(|| seal::seal(&draft, Recipient::Sym(&sym), &mut rng)),
            time(|| seal::seal(&draft, Recipient::Asym(&public), &mut rng)),
            time(|| RecoverableSignature::sign_ecdsa_recoverable(message, &key)),
            time(|| key.public_key()),
        ];
        least.iter_mut().zip(round).for_each(|(least, it)| *least = least.min(it));
    }
    let [signature, public_key, ecdh, symmetric, asymmetric, safe_signature, safe_key] = least;
    for (name, figure) in [
        ("signature, µs", signature),
        ("public key, µs", public_key),
        ("ECDH, µs", ecdh),
        ("seal symmetric, µs", symmetric),
        ("seal asymmetric, µs", asymmetric),
        ("safe signature, µs", safe_signature),
        ("safe public key, µs", safe_key),
        ("safe signature / signature", safe_signature / signature),
        ("safe public key / public key", safe_key / public_key),
        ("seal symmetric / signature", symmetric / signature),
        ("seal asymmetric / its curve operations", asymmetric / (signature + public_key + ecdh)),
    ] {
        println!("{name:<40} {figure:8.3}");
    }
}

const ROUNDS: usize = 500;

/// Microseconds per call, on average over as many calls as share a blinding value.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    const CALLS: u32 = 32;
    let start = Instant::now();
    (0..CALLS).for_each(|_| drop(black_box(work())));
    start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

criterion_group!(benches, sealing, keys, ratios);
criterion_main!(benches);

//! Sealing, opening and keys. `benches/README.md` has the reference's figures.
//!
//! `cargo bench --bench whisper -- ratios` prints sealing as a multiple of its operations on the
//! curve, and these beside the safe functions of the `secp256k1` crate, all from one run.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{hint::black_box, time::Instant};

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

fn ratios(c: &mut Criterion) {
    // Criterion measures one function after the other; on a shared machine the ratio of two such
    // figures says little. Here they take turns.
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
    let theirs = secp256k1::SecretKey::from_secret_bytes(*author.to_bytes()).expect("a key");
    let digest = [7; 32];
    let message = secp256k1::Message::from_digest(digest);
    let mut seal = |recipient: Recipient<'_>| {
        black_box(seal::seal(&draft, recipient, &mut rng)).expect("a short payload");
    };

    let mut rounds: Vec<[f64; 7]> = (0..ROUNDS)
        .map(|_| {
            [
                time(|| drop(black_box(author.sign_digest(&digest)))),
                time(|| drop(black_box(ephemeral.public_key()))),
                time(|| drop(black_box(ephemeral.ecdh(&public)))),
                time(|| seal(Recipient::Sym(&sym))),
                time(|| seal(Recipient::Asym(&public))),
                time(|| {
                    drop(black_box(
                        secp256k1::ecdsa::RecoverableSignature::sign_ecdsa_recoverable(
                            message, &theirs,
                        ),
                    ));
                }),
                time(|| drop(black_box(theirs.public_key()))),
            ]
        })
        .collect();
    let _ = c;
    let mut median = |figure: &dyn Fn(&[f64; 7]) -> f64| {
        rounds.sort_by(|a, b| figure(a).total_cmp(&figure(b)));
        figure(&rounds[ROUNDS / 2])
    };
    let figures: [(&str, &dyn Fn(&[f64; 7]) -> f64); 11] = [
        ("signature, µs", &|it| it[0]),
        ("public key, µs", &|it| it[1]),
        ("ECDH, µs", &|it| it[2]),
        ("seal symmetric, µs", &|it| it[3]),
        ("seal asymmetric, µs", &|it| it[4]),
        ("signature of the crate, µs", &|it| it[5]),
        ("public key of the crate, µs", &|it| it[6]),
        ("signature of the crate / signature", &|it| it[5] / it[0]),
        ("public key of the crate / public key", &|it| it[6] / it[1]),
        ("seal symmetric / signature", &|it| it[3] / it[0]),
        ("seal asymmetric / (signature + public key + ECDH)", &|it| {
            it[4] / (it[0] + it[1] + it[2])
        }),
    ];
    for (name, figure) in figures {
        println!("{name:<50} {:8.3}", median(figure));
    }
}

const ROUNDS: usize = 101;

/// Microseconds that one call takes, on average over a few.
fn time(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 64;
    let start = Instant::now();
    (0..CALLS).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

criterion_group!(benches, sealing, keys, ratios);
criterion_main!(benches);

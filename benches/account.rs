//! Names, derivation, key files and pictures.
//!
//! `cargo bench --bench account`. All on one core, except `vanity/all_cores`.
//!
//! The baseline is the reference, status-go v0.50.2, on the same inputs: its `extkeys` package for
//! `derive/*` (a master key from the seed, then `m/43'/60'/1581'/0'/0` and the public key at its
//! end), `protocol/identity/alias` for `name/*`, `protocol/identity/identicon` for `identicon/*`,
//! and go-ethereum's `accounts/keystore` with n = 4096, r = 8, p = 6 for `keystore/*`. If status-go
//! is not available, `btcutil/hdkeychain` v1.0.2 on btcec v0.20.1 (the same pure Go curve) stands in
//! for `extkeys`, and current `btcd/btcutil/hdkeychain` and `tyler-smith/go-bip32` show what other
//! Go code does. The ratio that counts is `derive/chat_key`; `derive/chat_key_from_phrase` is mostly
//! PBKDF2.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use statuskit_core::{
    account::{
        Address, Base, DerivationPath, Deriver, ExtendedPrivateKey, Identicon, KeyFile, Limits,
        Mnemonic, Nonces, ScryptCost, ThreeWordName, parse_chat_key, to_compact,
        vanity::{SearchOptions, search},
    },
    crypto::{PublicKey, SecretKey, seeded_rng},
};

const PHRASE: &str =
    "time spirit very trade door safe dragon rabbit position before garbage evidence";

fn keys(count: usize) -> Vec<PublicKey> {
    let mut rng = seeded_rng("bench");
    (0..count).map(|_| SecretKey::generate(&mut rng).public_key()).collect()
}

fn name(criterion: &mut Criterion) {
    use std::fmt::Write as _;

    const KEYS: usize = 1024;
    let keys = keys(KEYS);
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut group = criterion.benchmark_group("name");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("of_key", |bencher| {
        bencher.iter(|| {
            for key in &keys {
                black_box(ThreeWordName::from_key(black_box(key)));
            }
        });
    });
    group.bench_function("of_key_written", |bencher| {
        let mut out = String::new();
        bencher.iter(|| {
            out.clear();
            for key in &keys {
                let _ = writeln!(out, "{}", ThreeWordName::from_key(black_box(key)));
            }
            out.len()
        });
    });
    group.bench_function("of_text", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(parse_chat_key(black_box(text)).map(|key| ThreeWordName::from_key(&key)))
                    .ok();
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("texts");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("compact", |bencher| {
        bencher.iter(|| keys.iter().map(|key| to_compact(key, Base::BASE58).len()).sum::<usize>());
    });
    let compact: Vec<String> = keys.iter().map(|key| to_compact(key, Base::BASE58)).collect();
    group.bench_function("expand", |bencher| {
        bencher
            .iter(|| compact.iter().filter(|text| parse_chat_key(black_box(text)).is_ok()).count());
    });
    group.bench_function("address", |bencher| {
        bencher.iter(|| {
            keys.iter().map(|key| Address::from_key(key).to_string().len()).sum::<usize>()
        });
    });
    group.finish();
}

fn derive(criterion: &mut Criterion) {
    let phrase: Mnemonic = PHRASE.parse().expect("a valid phrase");
    let seed = phrase.to_seed("");
    let master = || ExtendedPrivateKey::from_seed(black_box(&seed)).expect("a usable seed");
    let mut group = criterion.benchmark_group("derive");
    group.bench_function("chat_key", |bencher| {
        bencher.iter(|| master().derive(&DerivationPath::CHAT).map(|key| key.public_key()));
    });
    group.bench_function("chat_key_from_phrase", |bencher| {
        bencher.iter(|| {
            let seed = black_box(&phrase).to_seed("");
            let master = ExtendedPrivateKey::from_seed(&seed)?;
            master.derive(&DerivationPath::CHAT).map(|key| key.public_key())
        });
    });
    group.bench_function("account_paths", |bencher| {
        bencher.iter(|| {
            let master = master();
            DerivationPath::NAMED.map(|(_, path)| master.derive(&path).map(|key| key.public_key()))
        });
    });
    group.bench_function("account_paths_with_deriver", |bencher| {
        bencher.iter(|| {
            let mut deriver = Deriver::new(master());
            DerivationPath::NAMED.map(|(_, path)| deriver.derive(&path).map(|key| key.public_key()))
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("next_wallet_with_deriver", |bencher| {
        let mut deriver = Deriver::new(master());
        let mut index = 0;
        bencher.iter(|| {
            index += 1;
            let path = DerivationPath::wallet(index).expect("below 2^31");
            deriver.derive(&path).map(|key| key.public_key())
        });
    });
    group.finish();
}

fn keystore(criterion: &mut Criterion) {
    let mut rng = seeded_rng("bench");
    let key = SecretKey::generate(&mut rng);
    let nonces = Nonces::generate(&mut rng);
    let file = KeyFile::encrypt(&key, b"password", ScryptCost::STATUS, &nonces);
    let file = file.expect("the parameters are allowed");
    let mut group = criterion.benchmark_group("keystore");
    group.sample_size(20);
    group.bench_function("open_private_key", |bencher| {
        bencher.iter(|| file.open_private_key(black_box(b"password"), &Limits::default()));
    });
    group.bench_function("encrypt", |bencher| {
        bencher
            .iter(|| KeyFile::encrypt(&key, black_box(b"password"), ScryptCost::STATUS, &nonces));
    });
    group.finish();
}

fn identicon(criterion: &mut Criterion) {
    let [key, ..] = &*keys(1) else { return };
    let mut group = criterion.benchmark_group("identicon");
    group.bench_function("cells", |bencher| bencher.iter(|| Identicon::from_key(black_box(key))));
    group.bench_function("pixels", |bencher| {
        bencher.iter(|| Identicon::from_key(black_box(key)).rgba());
    });
    group.bench_function("data_uri", |bencher| {
        bencher.iter(|| Identicon::from_key(black_box(key)).to_data_uri());
    });
    group.finish();
}

fn vanity(criterion: &mut Criterion) {
    const TRIES: u64 = 1 << 14;
    // None of the first 2^14 keys matches.
    let prefix = "zQ3shkkkkkkkkk".parse().expect("a possible prefix");
    let mut group = criterion.benchmark_group("vanity");
    group.throughput(Throughput::Elements(TRIES));
    for (name, threads) in [("one_core", std::num::NonZeroUsize::new(1)), ("all_cores", None)] {
        let mut options = SearchOptions::default();
        options.threads = threads;
        options.max_tries = TRIES;
        group.bench_function(name, |bencher| {
            bencher.iter(|| search(&prefix, &mut seeded_rng("bench"), &options));
        });
    }
    group.finish();
}

criterion_group!(benches, name, derive, keystore, identicon, vanity);
criterion_main!(benches);

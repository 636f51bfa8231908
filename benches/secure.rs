//! The secure transport: agreements, bundles, the ratchet alone, and devices with their stores.
//!
//! `cargo bench --bench secure`. The baseline is the reference, status-go v0.50.2 with its database
//! in WAL mode: encrypt 0.87 ms, decrypt and confirm 2.28 ms, decrypt after 299 missing messages
//! 55 ms.
//!
//! Conversations on disk sync every message, as a client would; `fdatasync` is the time of one sync.
//! The files are below the current directory, not in a file system in memory. The minimum is shown
//! beside the median.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    fs::File,
    hint::black_box,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::ChaCha20Rng;
use statuskit_client::state::DiskStore;
use statuskit_core::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey, seeded_rng},
    secure::{
        CompressedKey, Device, KeyPair, MemoryStore, ProtocolMessage, SecureError, Store,
        Timestamp, bundle,
        ratchet::{ActiveRatchet, InactiveRatchet, RatchetHeader},
        x3dh,
    },
};

const NOW: Timestamp = Timestamp(1_585_500_000_000_000_000);
const TEXT: &[u8] = &[0x61; 100];

fn agreements(c: &mut Criterion) {
    let mut rng = seeded_rng("bench");
    let [a, e, b, s] = [(); 4].map(|()| SecretKey::generate(&mut rng));
    let [a_public, e_public, b_public, s_public] = [&a, &e, &b, &s].map(SecretKey::public_key);
    let mut group = c.benchmark_group("agree");
    group.bench_function("x3dh initiate", |bench| {
        bench.iter(|| x3dh::initiate(black_box(&a), &e, &b_public, &s_public));
    });
    group.bench_function("x3dh respond", |bench| {
        bench.iter(|| x3dh::respond(black_box(&b), &s, &a_public, &e_public));
    });
    let prekey =
        bundle::Prekey { key: CompressedKey::from(&s_public), version: 1, protocol_version: 1 };
    let id = InstallationId::new("0cc4ec5e-6f1c-4ab1-a3a4-1e8bbd8e2a39");
    let prekeys = BTreeMap::from([(id, prekey)]);
    let pair = KeyPair::from(a.clone());
    group.bench_function("sign a bundle", |bench| {
        bench.iter(|| bundle::sign(black_box(&pair), &prekeys, NOW));
    });
    let signed = bundle::sign(&pair, &prekeys, NOW);
    group.bench_function("verify a bundle", |bench| {
        bench.iter(|| bundle::verify(black_box(&signed)).unwrap());
    });
    group.finish();
}

/// Both sides of a session after one turn of the ratchet.
fn ratchets() -> (ActiveRatchet, ActiveRatchet, ChaCha20Rng) {
    let mut rng = seeded_rng("ratchet");
    let [a, e, b] = [(); 3].map(|()| SecretKey::generate(&mut rng));
    let prekey = KeyPair::generate(&mut rng);
    let public = prekey.public().point().unwrap();
    let shared = x3dh::initiate(&a, &e, &b.public_key(), &public);
    let mut alice = ActiveRatchet::initiate(&shared, &public, &mut rng);
    let bob = InactiveRatchet::respond(&shared, prekey);
    let (header, payload) = alice.encrypt(TEXT).unwrap();
    let bob = bob.receive(&header, &payload, &mut rng).unwrap().next;
    (alice, bob, rng)
}

fn ratchet(c: &mut Criterion) {
    const COUNT: usize = 1000;
    let (alice, bob, mut rng) = ratchets();
    let mut group = c.benchmark_group("ratchet");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("encrypt 1000 of one chain", |bench| {
        bench.iter_batched(
            || alice.clone(),
            |mut alice| (0..COUNT).map(|_| alice.encrypt(TEXT).unwrap().1.len()).sum::<usize>(),
            BatchSize::SmallInput,
        );
    });
    let mut sender = alice.clone();
    let sent: Vec<(RatchetHeader, Vec<u8>)> =
        (0..COUNT).map(|_| sender.encrypt(TEXT).unwrap()).collect();
    group.bench_function("decrypt 1000 of one chain", |bench| {
        bench.iter_batched(
            || bob.clone(),
            |mut bob| {
                for (header, payload) in &sent {
                    bob = bob.receive(header, payload, &mut rng).unwrap().next;
                }
                bob.keys_count()
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("encrypt and decrypt with a turn", |bench| {
        let (mut alice, mut bob) = (alice.clone(), bob.clone());
        bench.iter(|| {
            let (header, payload) = bob.encrypt(TEXT).unwrap();
            alice = alice.receive(&header, &payload, &mut rng).unwrap().next;
            std::mem::swap(&mut alice, &mut bob);
        });
    });
    group.finish();
}

type Anywhere = Box<dyn Store>;

/// Two devices with a session. They take turns writing and reading.
struct Pair {
    writer: Device<Anywhere>,
    writer_key: PublicKey,
    reader: Device<Anywhere>,
    reader_key: PublicKey,
    rng: ChaCha20Rng,
    now: Timestamp,
}

impl Pair {
    /// Measures the reader's store.
    fn new(store: Anywhere) -> Self {
        let mut rng = seeded_rng("pair");
        let (a, b) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let (writer_key, reader_key) = (a.public_key(), b.public_key());
        let writer = Device::open(Box::new(MemoryStore::new()) as Anywhere, a, None, &mut rng);
        let reader = Device::open(store, b, None, &mut rng);
        let (writer, reader) = (writer.unwrap(), reader.unwrap());
        let mut pair = Self { writer, writer_key, reader, reader_key, rng, now: NOW };
        let code = pair.reader.contact_code(NOW, &mut pair.rng).unwrap();
        pair.writer.decrypt(&reader_key, code.message.raw(), &mut pair.rng).unwrap();
        for _ in 0..4 {
            pair.talk();
        }
        pair
    }

    /// Encrypts a message, and swaps the roles.
    fn talk(&mut self) {
        let message = self.write();
        self.read(&[message]);
        std::mem::swap(&mut self.writer, &mut self.reader);
        std::mem::swap(&mut self.writer_key, &mut self.reader_key);
    }

    fn write(&mut self) -> ProtocolMessage {
        // Time passes between messages.
        self.now.0 += 1_000_000;
        self.writer.encrypt_to(&self.reader_key, TEXT, self.now, &mut self.rng).unwrap().message
    }

    /// Decodes, decrypts and confirms, in one transaction.
    fn read(&mut self, messages: &[ProtocolMessage]) -> usize {
        let (sender, rng) = (&self.writer_key, &mut self.rng);
        let result: Result<_, SecureError> = self.reader.transaction(|work| {
            let mut bytes = 0;
            for message in messages {
                let message = ProtocolMessage::decode(message.raw())?;
                let content = work.decrypt(sender, &message, rng)?.content.unwrap();
                work.confirm(content.confirmation.as_ref().unwrap())?;
                bytes += content.plaintext.len();
            }
            Ok(bytes)
        });
        result.unwrap()
    }

    /// Measures reading what `write` prepares.
    fn reading(&mut self, write: impl FnOnce(&mut Self) -> Vec<ProtocolMessage>) -> Duration {
        let messages = write(self);
        let start = Instant::now();
        black_box(self.read(&messages));
        start.elapsed()
    }
}

/// Measures each step of a conversation on the store that `open` returns: minimum and median.
fn conversation(name: &str, mut open: impl FnMut() -> Anywhere) {
    const BATCH: usize = 100;
    const MISSING: usize = 299;
    let mut pair = Pair::new(open());
    pair.talk();
    least(&format!("{name}: encrypt"), 2000, || {
        let start = Instant::now();
        black_box(pair.write());
        start.elapsed()
    });
    let mut pair = Pair::new(open());
    least(&format!("{name}: decrypt and confirm"), 2000, || {
        pair.reading(|pair| vec![pair.write()])
    });
    let mut pair = Pair::new(open());
    least(&format!("{name}: decrypt and confirm, with a turn"), 1000, || {
        pair.reading(|pair| {
            pair.talk();
            pair.talk();
            vec![pair.write()]
        })
    });
    let mut pair = Pair::new(open());
    least(&format!("{name}: decrypt and confirm after 299 missing"), 100, || {
        pair.reading(|pair| {
            for _ in 0..MISSING {
                pair.write();
            }
            vec![pair.write()]
        })
    });
    let mut pair = Pair::new(open());
    least(&format!("{name}: one of 100 in one transaction"), 50, || {
        pair.reading(|pair| (0..BATCH).map(|_| pair.write()).collect()) / BATCH as u32
    });
}

/// Minimum and median instead of the mean: other work on the disk skews the mean, and the minimum
/// is free of it.
fn least(name: &str, times: usize, mut run: impl FnMut() -> Duration) {
    let mut all: Vec<Duration> = (0..times).map(|_| run()).collect();
    all.sort();
    println!("{name}: least {:?}, median {:?} of {times}", all[0], all[times / 2]);
}

fn conversations(_: &mut Criterion) {
    conversation("memory", || Box::new(MemoryStore::new()));
    // Not in the directory for temporary files: that may be in memory.
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut count = 0;
    for (name, password) in [("disk", None), ("disk, encrypted", Some(&b"password"[..]))] {
        conversation(name, || {
            count += 1;
            let path = dir.path().join(count.to_string());
            Box::new(DiskStore::open_with_cost(&path, password, 4).unwrap())
        });
    }
    // The least that a commit needs.
    let file = File::create(dir.path().join("file")).unwrap();
    file.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut offset = 0;
    least("fdatasync of 1.4 KB", 2000, || {
        offset = (offset + 1400) % ((1 << 20) - 1400);
        let start = Instant::now();
        file.write_all_at(&[0x61; 1400], offset).unwrap();
        file.sync_data().unwrap();
        start.elapsed()
    });
}

criterion_group!(benches, agreements, ratchet, conversations);
criterion_main!(benches);

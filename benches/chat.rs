//! The cost of a message through all layers: payload, data sync, secure transport, one transaction.
//!
//! `cargo bench --bench chat`. Two messengers talk, each with its own store. `send` is a text and
//! the tick that encrypts it; `receive` opens and confirms it, and moves the chat's clock;
//! `acknowledge` is the tick that answers; `together` is one of 64 messages received in one
//! transaction. On disk every transaction is synced; the files are below the current directory.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rand::rngs::ChaCha20Rng;
use statuskit_client::state::DiskStore;
use statuskit_core::{
    chat::messenger::{Incoming, Messenger, MessengerEvent, Post},
    crypto::{PublicKey, SecretKey, seeded_rng},
    payload::matching::Chat,
    secure::{MemoryStore, Store},
    time::{UnixMillis, UnixSeconds},
};

const NOW: u64 = 1_585_500_000_000;

struct Talk {
    sides: [Messenger<Box<dyn Store>>; 2],
    keys: [PublicKey; 2],
    rng: ChaCha20Rng,
    now: u64,
}

impl Talk {
    fn new(stores: [Box<dyn Store>; 2]) -> Self {
        let mut rng = seeded_rng("bench");
        let identities = [(); 2].map(|()| SecretKey::generate(&mut rng));
        let keys = [0, 1].map(|at: usize| identities[at].public_key());
        let mut sides = stores
            .into_iter()
            .zip(identities)
            .map(|(store, identity)| Messenger::open(store, identity, None, &mut rng).unwrap());
        let sides = [sides.next().unwrap(), sides.next().unwrap()];
        let mut talk = Self { sides, keys, rng: seeded_rng("talk"), now: NOW };
        // Until sessions and topic are negotiated.
        for from in [0, 1, 0, 1] {
            let posts = talk.say(from);
            talk.hear(1 - from, &posts);
            let acks = talk.tick(1 - from);
            talk.hear(from, &acks);
        }
        talk
    }

    fn say(&mut self, from: usize) -> Vec<Post> {
        self.now += 300;
        let chat = Chat::OneToOne(self.keys[1 - from]);
        let text = "a text of some length, as people write them, and then a bit more";
        self.sides[from].send_text(&chat, text, UnixMillis(self.now), &mut self.rng).unwrap();
        self.tick(from)
    }

    fn tick(&mut self, who: usize) -> Vec<Post> {
        self.sides[who].tick(UnixMillis(self.now), &mut self.rng).unwrap().posts
    }

    fn hear(&mut self, who: usize, posts: &[Post]) {
        let (signer, sent) = (self.keys[1 - who], (self.now / 1000) as u32);
        let incoming: Vec<_> = posts
            .iter()
            .map(|post| Incoming {
                signer: Some(&signer),
                sent: UnixSeconds(sent),
                payload: &post.payload,
            })
            .collect();
        let heard =
            self.sides[who].receive_all(&incoming, UnixMillis(self.now), &mut self.rng).unwrap();
        let is_unread = |event: &MessengerEvent| matches!(event, MessengerEvent::Unread { .. });
        assert!(!heard.iter().flat_map(|it| &it.events).any(is_unread));
    }
}

/// The time of each step of a message.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Send,
    Receive,
    Acknowledge,
}

fn rounds(talk: &mut Talk, part: Part, count: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let mut timed = |which: Part, began: Instant| {
        if which == part {
            spent += began.elapsed();
        }
    };
    for _ in 0..count {
        let began = Instant::now();
        let posts = talk.say(0);
        timed(Part::Send, began);
        let began = Instant::now();
        talk.hear(1, &posts);
        timed(Part::Receive, began);
        let began = Instant::now();
        let acks = talk.tick(1);
        timed(Part::Acknowledge, began);
        talk.hear(0, &acks);
    }
    spent
}

fn together(talk: &mut Talk, count: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..count {
        let posts: Vec<_> = (0..64).flat_map(|_| talk.say(0)).collect();
        let began = Instant::now();
        talk.hear(1, &posts);
        spent += began.elapsed() / 64;
        let acks = talk.tick(1);
        talk.hear(0, &acks);
    }
    spent
}

fn messages(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(".").unwrap();
    for place in ["memory", "disk"] {
        let store = |name: &str| -> Box<dyn Store> {
            if place == "memory" {
                return Box::new(MemoryStore::new());
            }
            Box::new(DiskStore::open(&dir.path().join(name), None).unwrap())
        };
        let mut talk = Talk::new([store("alice"), store("bob")]);
        let mut group = c.benchmark_group(format!("chat/{place}"));
        group.sample_size(20);
        for (name, part) in
            [("send", Part::Send), ("receive", Part::Receive), ("acknowledge", Part::Acknowledge)]
        {
            group.bench_function(name, |bench| {
                bench.iter_custom(|count| rounds(&mut talk, part, count));
            });
        }
        group.bench_function("together", |bench| {
            bench.iter_custom(|count| together(&mut talk, count));
        });
        group.finish();
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);

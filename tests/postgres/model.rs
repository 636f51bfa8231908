//! Random calls on two servers with one database, and on the model in memory: the answers are
//! equal.

use std::collections::BTreeSet;

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use statuskit_core::time::UnixSeconds;
use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash},
    mailserver::Position,
};
use statuskit_mailserver::archive::{Archive, Count, MemoryArchive, Order, Query, Select};

use crate::harness::{DAY, DAY_ONE, Tables, envelope, read, topic};

/// The number of topics decides how they are read.
#[test]
fn few_topics() {
    (0..6).for_each(|seed| compare(seed, 4, 40));
}

#[test]
fn some_topics() {
    (10..14).for_each(|seed| compare(seed, 40, 40));
}

#[test]
fn many_topics() {
    (20..24).for_each(|seed| compare(seed, 300, 25));
}

fn compare(seed: u64, topics: u32, steps: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tables = Tables::new();
    tables.options.hot_from = 100;
    let servers = [tables.open(), tables.open()];
    let model = MemoryArchive::new();
    let mut made: Vec<Envelope> = Vec::new();
    let mut next = 0;
    for step in 0..steps {
        let server = &servers[rng.random_range(0..2)];
        let about = format!("seed {seed}, step {step}");
        match rng.random_range(0..10) {
            0..4 => {
                let day = rng.random_range(0..4);
                // Many in one second, or spread over the day.
                let width = [1, 30, DAY][rng.random_range(0..3)];
                let new = [3, 50, 400][rng.random_range(0..3)];
                let mut batch: Vec<Envelope> = (0..new)
                    .map(|_| {
                        next += 1;
                        let day =
                            if rng.random_ratio(1, 10) { rng.random_range(0..4) } else { day };
                        let sent = DAY_ONE + day * DAY + rng.random_range(0..width);
                        envelope(sent, topic(rng.random_range(0..topics)), next)
                    })
                    .collect();
                made.extend_from_slice(&batch);
                for _ in 0..rng.random_range(0..10) {
                    batch.push(made[rng.random_range(0..made.len())].clone());
                }
                let expected = model.append(&batch).unwrap();
                assert_eq!(server.append(&batch).unwrap(), expected, "{about}");
            }
            4..8 => {
                for _ in 0..4 {
                    let query = random_query(&mut rng, topics, &made);
                    let limit = [1, 10, 100, usize::MAX][rng.random_range(0..4)];
                    let expected = read(&model, &query, limit);
                    assert_eq!(read(server, &query, limit), expected, "{about}: {query:?}");
                }
            }
            8 => {
                let day = DAY_ONE + rng.random_range(0..4) * DAY;
                let before = if rng.random() { day } else { day + rng.random_range(0..DAY) };
                let before = UnixSeconds(before);
                let expected = model.prune(before).unwrap();
                assert_eq!(server.prune(before).unwrap(), expected, "{about}");
            }
            _ => {
                if let Some(envelope) = made.get(rng.random_range(0..made.len().max(1))) {
                    let position = Position::from_envelope(envelope);
                    let expected = model.contains(&position).unwrap();
                    assert_eq!(server.contains(&position).unwrap(), expected, "{about}");
                    let other = Position { hash: EnvelopeHash([7; 32]), ..position };
                    assert!(!server.contains(&other).unwrap(), "{about}");
                }
                assert_eq!(server.summary().unwrap(), model.summary().unwrap(), "{about}");
                assert_eq!(counts(server), counts(&model), "{about}");
            }
        }
    }
}

fn random_query(rng: &mut impl Rng, topics: u32, made: &[Envelope]) -> Query {
    let wanted: Vec<_> = match rng.random_range(0..4) {
        0 => (0..topics).map(topic).collect(),
        1 => vec![topic(rng.random_range(0..topics))],
        _ => (0..rng.random_range(0..10)).map(|_| topic(rng.random_range(0..topics + 2))).collect(),
    };
    let select = match rng.random_range(0..3) {
        0 => Select::Topics(wanted.into_iter().collect()),
        1 => Select::Bloom(Bloom::from_topics(wanted)),
        _ => Select::Bloom(if rng.random() { Bloom::FULL } else { Bloom::from_topics(wanted) }),
    };
    let mut second = || match rng.random_range(0..4) {
        0 => 0,
        1 => u32::MAX,
        _ => DAY_ONE + rng.random_range(0..4 * DAY),
    };
    let (from, to) = (second(), second());
    let (from, to) =
        if rng.random_ratio(9, 10) { (from.min(to), from.max(to)) } else { (from, to) };
    let after = (rng.random() && !made.is_empty()).then(|| {
        let position = Position::from_envelope(&made[rng.random_range(0..made.len())]);
        match rng.random_range(0..3) {
            0 => Position { hash: EnvelopeHash(rng.random()), ..position },
            _ => position,
        }
    });
    let order = if rng.random() { Order::OldestFirst } else { Order::NewestFirst };
    let (from, to) = (UnixSeconds(from), UnixSeconds(to));
    Query { from, to, select, order, after }
}

fn counts(archive: &dyn Archive) -> BTreeSet<(u32, [u8; 4], u64, u64)> {
    let mut all = BTreeSet::new();
    archive
        .counts(&mut |Count { day, topic, envelopes, bytes }| {
            assert!(all.insert((day, topic.0, envelopes, bytes)));
        })
        .unwrap();
    all
}

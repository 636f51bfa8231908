//! Comparison with the archive in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use proptest::prelude::*;
use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    mailserver::Position,
    time::UnixSeconds,
};
use statuskit_mailserver::archive::{
    Archive, Budget, EmbeddedArchive, MemoryArchive, Order, Query, Select, Step, Summary,
    embedded::Settings,
};
use statuskit_testkit::rounds;

const DAY: u32 = 86_400;
const START: u32 = 18_000 * DAY;

/// The settings of an archive that merges its index after this many entries.
pub fn merging_at(entries: usize) -> Settings {
    let mut settings = Settings::default();
    settings.merge_at = Some(entries);
    settings
}

/// Makes one of a small number of envelopes.
pub fn envelope(topic: u8, sent: u32, n: u32, len: usize) -> Envelope {
    let mut data = vec![topic; len];
    data.extend_from_slice(&n.to_be_bytes());
    Envelope::new(UnixSeconds(sent + 50), 50, topic_of(topic), &data, u64::from(n))
}

pub fn topic_of(n: u8) -> Topic {
    Topic([n.wrapping_mul(37), n, n.wrapping_mul(91), n % 5])
}

#[derive(Debug, Clone)]
enum Act {
    Append(Vec<Envelope>),
    Prune(u32),
    Reopen,
    Read(Query, usize),
    Check,
}

fn second() -> impl Strategy<Value = u32> {
    // Few of them, so that many envelopes share one, around the beginning of days and elsewhere.
    (0..4u32, prop_oneof![Just(0), Just(1), Just(DAY - 1), 0..DAY])
        .prop_map(|(d, s)| START + d * DAY + s)
}

fn envelopes(max: usize) -> impl Strategy<Value = Vec<Envelope>> {
    let one =
        (0..30u8, second(), 0..4u32, prop_oneof![0..300usize, Just(1900), Just(2100), Just(5000)]);
    prop::collection::vec(one.prop_map(|(t, s, n, len)| envelope(t, s, n, len)), 0..max)
}

fn select() -> impl Strategy<Value = Select> {
    let topics = prop::collection::btree_set((0..33u8).prop_map(topic_of), 0..25);
    prop_oneof![
        Just(Select::Bloom(Bloom::FULL)),
        Just(Select::Bloom(Bloom::EMPTY)),
        topics.clone().prop_map(|topics| Select::Bloom(Bloom::from_topics(topics))),
        topics.prop_map(Select::Topics),
        Just(Select::Topics((0..=255).map(topic_of).collect())),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let ends = prop_oneof![
        Just((0, u32::MAX)),
        (second(), second()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        (second(), second()),
    ];
    let after = prop::option::weighted(
        0.3,
        (second(), any::<[u8; 32]>()).prop_map(|(sent, hash)| Position {
            sent: UnixSeconds(sent),
            hash: statuskit_core::envelope::EnvelopeHash(hash),
        }),
    );
    let order = prop_oneof![Just(Order::OldestFirst), Just(Order::NewestFirst)];
    (ends, select(), order, after).prop_map(|((from, to), select, order, after)| Query {
        from: UnixSeconds(from),
        to: UnixSeconds(to),
        select,
        order,
        after,
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => envelopes(30).prop_map(Act::Append),
        1 => second().prop_map(Act::Prune),
        1 => Just(Act::Reopen),
        6 => (query(), 1..40usize).prop_map(|(query, page)| Act::Read(query, page)),
        1 => Just(Act::Check),
    ]
}

/// Reads everything that a query selects, in pages of some length.
pub fn pages(archive: &dyn Archive, query: &Query, page: usize) -> Vec<(Position, Vec<u8>)> {
    let mut all = Vec::new();
    let mut query = query.clone();
    loop {
        let before = all.len();
        archive
            .read(&query, &mut |record| {
                let envelope = Envelope::decode(record.envelope).unwrap();
                assert_eq!(envelope.topic(), record.topic);
                assert_eq!(Position::from_envelope(&envelope), record.position);
                all.push((record.position, record.envelope.to_vec()));
                match all.len() - before == page {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
            .unwrap();
        if all.len() - before < page {
            return all;
        }
        query.after = all.last().map(|(position, _)| *position);
    }
}

/// Reads everything that a query selects, in steps that look at this many records.
fn steps(archive: &dyn Archive, query: &Query, records: u64) -> Vec<(Position, Vec<u8>)> {
    let mut all = Vec::new();
    let mut query = query.clone();
    loop {
        let before = all.len();
        let step = archive.read_step(&query, &mut Budget::from_records(records), &mut |record| {
            all.push((record.position, record.envelope.to_vec()));
            ControlFlow::Continue(())
        });
        match step.unwrap() {
            Step::Done => return all,
            Step::Paused(position) => {
                assert!((all.len() - before) as u64 <= records);
                assert_ne!(query.after.replace(position), Some(position), "a step gets on");
            }
        }
    }
}

fn counts(archive: &dyn Archive) -> BTreeMap<(u32, Topic), (u64, u64)> {
    let mut counts = BTreeMap::new();
    archive
        .counts(&mut |count| {
            let old = counts.insert((count.day, count.topic), (count.envelopes, count.bytes));
            assert_eq!(old, None, "counted twice");
        })
        .unwrap();
    counts
}

/// A query for everything.
pub fn everything(order: Order) -> Query {
    Query {
        from: UnixSeconds::EPOCH,
        to: UnixSeconds::MAX,
        select: Select::Bloom(Bloom::FULL),
        order,
        after: None,
    }
}

/// Compares all that can be seen without a query.
fn assert_same(embedded: &EmbeddedArchive, model: &MemoryArchive) {
    let summary = Summary { disk: None, ..embedded.summary().unwrap() };
    assert_eq!(summary, model.summary().unwrap());
    assert_eq!(counts(embedded), counts(model));
    let report = embedded.check().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.envelopes, report.pruning), (summary.envelopes, false));
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let all = pages(model, &everything(order), usize::MAX);
        assert_eq!(pages(embedded, &everything(order), usize::MAX), all);
    }
}

fn run(acts: &[Act], merge_at: usize) {
    let dir = tempfile::tempdir().unwrap();
    let settings = merging_at(merge_at);
    let mut embedded = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
    let model = MemoryArchive::new();
    for act in acts {
        match act {
            Act::Append(envelopes) => {
                let new = embedded.append(envelopes).unwrap();
                assert_eq!(new, model.append(envelopes).unwrap());
                for envelope in envelopes {
                    assert!(embedded.contains(&Position::from_envelope(envelope)).unwrap());
                }
            }
            Act::Prune(before) => {
                let gone = embedded.prune(UnixSeconds(*before)).unwrap();
                assert_eq!(gone, model.prune(UnixSeconds(*before)).unwrap());
            }
            Act::Reopen => {
                drop(embedded);
                embedded = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
            }
            Act::Read(query, page) => {
                let expected = pages(&model, query, *page);
                assert_eq!(pages(&embedded, query, *page), expected, "{query:?}");
                for archive in [&embedded as &dyn Archive, &model] {
                    assert_eq!(steps(archive, query, *page as u64), expected, "{query:?}");
                }
                // A cursor that is in the archive.
                if let Some((position, _)) = expected.get(expected.len() / 2) {
                    let query = Query { after: Some(*position), ..query.clone() };
                    let rest = pages(&model, &query, *page);
                    assert_eq!(pages(&embedded, &query, *page), rest, "{query:?}");
                }
            }
            Act::Check => assert_same(&embedded, &model),
        }
    }
    assert_same(&embedded, &model);
    drop(embedded);
    assert_same(&EmbeddedArchive::open_read_only(dir.path()).unwrap(), &model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(24, 100)))]

    #[test]
    fn answers_as_the_model_does(
        acts in prop::collection::vec(act(), 1..40),
        merge_at in prop_oneof![Just(1), 1..60usize, Just(1 << 16)],
    ) {
        run(&acts, merge_at);
    }
}

/// Two writers and a pruner, and readers that page in both orders meanwhile: what was there before
/// they began and is not pruned is read exactly once, in order.
#[test]
fn paging_goes_on_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let settings = merging_at(300);
    let archive = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
    let at = |n: u32| START + n * 60 % (4 * DAY);
    let stable: Vec<Envelope> =
        (0..2000).map(|n| envelope((n % 7) as u8, 2 * DAY + at(n), n, 200)).collect();
    archive.append(&stable).unwrap();
    let stop = AtomicBool::new(false);
    let queries = [
        Select::Bloom(Bloom::FULL),
        Select::Topics(BTreeSet::from([topic_of(3)])),
        Select::Bloom(Bloom::from_topics([topic_of(1), topic_of(6)])),
    ];
    thread::scope(|scope| {
        for writer in 0..2u32 {
            let (archive, stop) = (&archive, &stop);
            scope.spawn(move || {
                let mut n = 10_000 + writer;
                while !stop.load(Ordering::Relaxed) {
                    let batch: Vec<Envelope> = (0..20)
                        .map(|i| envelope((i % 9) as u8, at(n.wrapping_mul(7) + i), n + 2 * i, 150))
                        .collect();
                    archive.append(&batch).unwrap();
                    n += 40;
                    // Bounds what is read again and again.
                    thread::sleep(Duration::from_millis(3));
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                archive.prune(UnixSeconds(START + 2 * DAY)).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        for round in 0..12 {
            for select in &queries {
                let order = if round % 2 == 0 { Order::OldestFirst } else { Order::NewestFirst };
                let query = Query { select: select.clone(), ..everything(order) };
                let read = pages(&archive, &query, 150);
                let sorted = match order {
                    Order::OldestFirst => read.is_sorted_by(|(a, _), (b, _)| a < b),
                    Order::NewestFirst => read.is_sorted_by(|(a, _), (b, _)| a > b),
                };
                assert!(sorted, "not in order, or repeated");
                let read: HashSet<Position> =
                    read.into_iter().map(|(position, _)| position).collect();
                for envelope in &stable {
                    let wanted = select.matches(envelope.topic());
                    let lasts = envelope.sent() >= UnixSeconds(START + 2 * DAY);
                    if wanted && lasts {
                        assert!(
                            read.contains(&Position::from_envelope(envelope)),
                            "lost: {envelope:?}"
                        );
                    }
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let report = archive.check().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

/// A batch is visible as a whole or not at all, so no cursor runs past half of one.
#[test]
fn a_batch_is_seen_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let settings = merging_at(100);
    let archive = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..300 {
                let batch: Vec<Envelope> =
                    (0..10).map(|i| envelope(i, START + n * 10 + u32::from(i), n, 20)).collect();
                archive.append(&batch).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            for select in
                [Select::Topics((0..10).map(topic_of).collect()), Select::Bloom(Bloom::FULL)]
            {
                let query = Query { select, ..everything(Order::NewestFirst) };
                let seen = pages(&archive, &query, usize::MAX).len();
                assert_eq!(seen % 10, 0, "part of a batch was seen");
            }
        }
    });
}

#[test]
fn envelopes_of_all_sizes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let archive = EmbeddedArchive::open(dir.path()).unwrap();
    let model = MemoryArchive::new();
    let sizes = [0, 1, 1_000, 2_000, 2_040, 4_000, 4_080, 4_096, 10_000, 100_000, 600_000];
    let envelopes: Vec<Envelope> =
        (0..3).flat_map(|n| sizes.map(|len| envelope(n, START + len as u32, 1, len))).collect();
    assert_eq!(archive.append(&envelopes).unwrap(), model.append(&envelopes).unwrap());
    assert_same(&archive, &model);
    // Times at both ends.
    let ends =
        [envelope(1, 0, 0, 9), Envelope::new(UnixSeconds::MAX, 0, topic_of(255), b"last", 0)];
    archive.append(&ends).unwrap();
    model.append(&ends).unwrap();
    assert_same(&archive, &model);
    assert_eq!(archive.prune(UnixSeconds::MAX).unwrap(), model.prune(UnixSeconds::MAX).unwrap());
    assert_same(&archive, &model);
}

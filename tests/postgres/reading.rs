//! Order, pages, and reading while others write.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use statuskit_core::envelope::{Bloom, Envelope};
use statuskit_core::time::UnixSeconds;
use statuskit_mailserver::archive::{Archive, Budget, MemoryArchive, Order, Select, Step};

use crate::harness::{
    AtEnd, DAY, DAY_ONE, Tables, envelope, everything, from_topic, pages, read, topic,
};

/// Makes a busy topic, some quiet ones, and many that have one envelope each; on three days.
fn mixture() -> Vec<Envelope> {
    let busy = (0..700).map(|n| envelope(DAY_ONE + n * 371, topic(1), n.into()));
    let quiet =
        (0..60).map(|n| envelope(DAY_ONE + n * 4000, topic(2 + n % 3), 1000 + u64::from(n)));
    let single =
        (0..900).map(|n| envelope(DAY_ONE + n * 280, topic(100 + n % 300), 2000 + u64::from(n)));
    // 300 in one second.
    let burst =
        (0..300).map(|n| envelope(DAY_ONE + DAY + 5, topic(1 + n % 200), 9000 + u64::from(n)));
    busy.chain(quiet).chain(single).chain(burst).collect()
}

#[test]
fn pages_in_both_orders() {
    let tables = Tables::new();
    let archive = tables.open();
    let model = MemoryArchive::new();
    assert_eq!(archive.append(&mixture()).unwrap(), mixture().len());
    model.append(&mixture()).unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut few = from_topic(topic(1), order);
        few.select = Select::Topics((1..4).map(topic).collect());
        let mut range = everything(order);
        (range.from, range.to) = (UnixSeconds(DAY_ONE + 50_000), UnixSeconds(DAY_ONE + DAY + 5));
        for query in [everything(order), from_topic(topic(1), order), few, range] {
            let expected = read(&model, &query, usize::MAX);
            assert!(expected.len() > 300, "{}", expected.len());
            assert_eq!(read(&archive, &query, usize::MAX), expected, "{query:?}");
            for limit in [7, 64, 100, 1000] {
                assert_eq!(pages(&archive, &query, limit), expected, "{limit} of {query:?}");
            }
        }
    }
}

#[test]
fn a_filter_selects_by_topic() {
    let tables = Tables::new();
    let archive = tables.open();
    archive.append(&mixture()).unwrap();
    let mut query = everything(Order::OldestFirst);
    query.select = Select::Bloom(Bloom::from_topic(topic(3)));
    let expected = mixture().iter().filter(|e| e.topic() == topic(3)).count();
    assert!(read(&archive, &query, usize::MAX).len() >= expected && expected > 20);
    query.select = Select::Bloom(Bloom::EMPTY);
    assert!(read(&archive, &query, usize::MAX).is_empty());
}

#[test]
fn a_query_that_selects_nothing() {
    let tables = Tables::new();
    let archive = tables.open();
    assert!(read(&archive, &everything(Order::OldestFirst), usize::MAX).is_empty());
    archive.append(&mixture()).unwrap();
    let mut query = everything(Order::NewestFirst);
    (query.from, query.to) = (UnixSeconds(10), UnixSeconds(9));
    assert!(read(&archive, &query, usize::MAX).is_empty());
    assert!(read(&archive, &from_topic(topic(5000), Order::OldestFirst), usize::MAX).is_empty());
}

/// What was there is read exactly once, whatever is appended meanwhile.
#[test]
fn pages_while_others_append() {
    let tables = Tables::new();
    let (reader, writer) = (tables.open(), tables.open());
    let before = mixture();
    reader.append(&before).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 100_000;
            // Enough to last longer than reading, on most machines.
            while !done.load(Ordering::Relaxed) && n < 115_000 {
                let batch: Vec<_> = (0..50_u32)
                    .map(|i| {
                        n += 1;
                        // Also unknown topics, and a day that isn't begun.
                        envelope(DAY_ONE + (i * 6_911) % (4 * DAY), topic(n as u32 % 900), n)
                    })
                    .collect();
                writer.append(&batch).unwrap();
            }
        });
        let _done = AtEnd(|| done.store(true, Ordering::Relaxed));
        for order in [Order::OldestFirst, Order::NewestFirst] {
            for query in [everything(order), from_topic(topic(1), order)] {
                let found = pages(&reader, &query, 50);
                let distinct: BTreeSet<_> = found.iter().collect();
                assert_eq!(distinct.len(), found.len(), "no envelope twice");
                let missing = (before.iter())
                    .filter(|e| query.select.matches(e.topic()) && !distinct.contains(&e.hash()));
                assert_eq!(missing.count(), 0, "no envelope missing");
            }
        }
    });
}

/// Steps bounded by records or by time read the same as one without bounds.
#[test]
fn steps_lose_and_repeat_nothing() {
    let tables = Tables::new();
    let archive = tables.open();
    archive.append(&mixture()).unwrap();
    let late = || Budget::unlimited().until(std::time::Instant::now());
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for whole in [everything(order), from_topic(topic(1), order)] {
            let expected = read(&archive, &whole, usize::MAX);
            for budget in [Budget::from_records(1), Budget::from_records(7), late()] {
                let (mut query, mut found, mut pauses) = (whole.clone(), Vec::new(), 0);
                while let Step::Paused(position) = archive
                    .read_step(&query, &mut budget.clone(), &mut |record| {
                        found.push(record.position.hash);
                        ControlFlow::Continue(())
                    })
                    .unwrap()
                {
                    pauses += 1;
                    assert_ne!(query.after.replace(position), Some(position), "a step gets on");
                }
                assert!(found == expected, "{} of {}", found.len(), expected.len());
                assert!(pauses > 0);
            }
        }
    }
}

/// A visitor that stops early leaves the connection usable.
#[test]
fn stopping_early() {
    let mut tables = Tables::new();
    tables.options.connections = 1;
    let archive = tables.open();
    archive.append(&mixture()).unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for query in [everything(order), from_topic(topic(1), order)] {
            let mut visited = 0;
            archive
                .read(&query, &mut |_| {
                    visited += 1;
                    ControlFlow::Break(())
                })
                .unwrap();
            assert_eq!(visited, 1);
        }
    }
    assert_eq!(archive.summary().unwrap().envelopes, mixture().len() as u64);
}

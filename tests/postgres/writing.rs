//! Several servers that write to one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use statuskit_core::time::UnixSeconds;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    envelope::{Envelope, SymKey},
};
use statuskit_mailserver::{
    Mailserver, MailserverConfig, ServerConfig,
    archive::{Archive, MemoryArchive, Order},
};
use statuskit_net::node::{Clock, Service, ServiceConfig};

use crate::harness::{DAY, DAY_ONE, Tables, envelope, everything, from_topic, raw, read, topic};

#[test]
fn all_servers_create_tables_at_once() {
    for round in 0..5 {
        let tables = Tables::new();
        let barrier = Barrier::new(8);
        let new: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u64)
                .map(|n| {
                    let (tables, barrier) = (&tables, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let archive = tables.open();
                        barrier.wait();
                        // The same days and topics by all, and envelopes of its own.
                        let batch: Vec<_> = (0..5)
                            .map(|day| envelope(DAY_ONE + day * DAY, topic(1 + day), n))
                            .collect();
                        archive.append(&batch).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(new, 40, "round {round}");
        assert_eq!(read(&tables.open(), &everything(Order::OldestFirst), 100).len(), 40);
        assert_eq!(tables.numbers("SELECT COUNT(*) FROM #topics"), [5], "no topic twice");
    }
}

#[test]
fn two_servers_get_the_same_envelopes() {
    let tables = Tables::new();
    let all: Vec<Envelope> =
        (0..3000_u32).map(|n| envelope(DAY_ONE + n * 80, topic(n % 50), n.into())).collect();
    let servers = [tables.open(), tables.open()];
    let new: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (server, all) = (&servers[n % 2], &all);
                scope.spawn(move || {
                    let mut new = 0;
                    // Overlapping batches, in another order and of another size for each.
                    let chunks: Vec<_> = all.chunks(90 + 40 * n).collect();
                    let mut order: Vec<_> = (0..chunks.len()).collect();
                    if n >= 2 {
                        order.reverse();
                    }
                    for chunk in order {
                        let mut batch = chunks[chunk].to_vec();
                        if n % 2 == 1 {
                            batch.reverse();
                        }
                        new += server.append(&batch).unwrap();
                    }
                    new
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(new, all.len(), "each is new exactly once");
    let model = MemoryArchive::new();
    model.append(&all).unwrap();
    for server in &servers {
        let query = everything(Order::OldestFirst);
        assert_eq!(read(server, &query, usize::MAX), read(&model, &query, usize::MAX));
        assert_eq!(server.summary().unwrap(), model.summary().unwrap());
    }
}

#[test]
fn a_busy_topic_is_spread_on_the_next_day() {
    let mut tables = Tables::new();
    tables.options.hot_from = 200;
    let archive = tables.open();
    let on = |day: u32, n: u32, which: u32| {
        envelope(DAY_ONE + day * DAY + n, topic(which), u64::from(1000 * day + n))
    };
    for day in 0..3 {
        let batch: Vec<_> =
            (0..250).map(|n| on(day, n, 1)).chain((0..5).map(|n| on(day, n, 2))).collect();
        assert_eq!(archive.append(&batch).unwrap(), 255);
        // Another server, which knows nothing yet.
        assert_eq!(tables.open().append(&batch).unwrap(), 0);
    }
    assert_eq!(
        tables.numbers("SELECT spread FROM #topics ORDER BY day, spread"),
        [1, 1, 1, 16, 1, 16]
    );
    let shards = |table| tables.numbers(&format!("SELECT DISTINCT shard FROM {table}")).len();
    assert_eq!(shards("#day_18350_1"), 2);
    assert_eq!(shards("#day_18351_1"), 17);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let model = MemoryArchive::new();
        let all = (0..3).flat_map(|day| (0..250).map(move |n| on(day, n, 1)));
        model.append(&all.collect::<Vec<_>>()).unwrap();
        let query = from_topic(topic(1), order);
        assert_eq!(read(&archive, &query, usize::MAX), read(&model, &query, usize::MAX));
    }
    // The test expects envelopes of the second day where their hash says.
    let hashes: BTreeSet<u8> = (0..250).map(|n| on(1, n, 1).hash().0[0] % 16).collect();
    assert_eq!(hashes.len(), 16);
}

#[test]
fn pruning_drops_days_and_the_beginning_of_one() {
    let tables = Tables::new();
    let (archive, other) = (tables.open(), tables.open());
    let all: Vec<_> =
        (0..400_u32).map(|n| envelope(DAY_ONE + n * 864, topic(n % 90), n.into())).collect();
    archive.append(&all).unwrap();
    // The other has seen the earlier state.
    assert_eq!(other.append(&all).unwrap(), 0);
    let before = DAY_ONE + 2 * DAY + 43_200;
    assert_eq!(archive.prune(UnixSeconds(before)).unwrap(), 250);
    assert_eq!(archive.prune(UnixSeconds(before)).unwrap(), 0);
    let live = "SELECT day FROM #periods WHERE state = 1 ORDER BY day";
    assert_eq!(tables.numbers(live), [18_352, 18_353]);
    let name = tables.table("day_18350_1");
    let table = format!("SELECT 1 FROM {name}");
    assert!(raw().query(&table, &[]).is_err(), "the table is gone");

    // The other appends what was pruned, and all see it.
    assert_eq!(other.append(&all[..10]).unwrap(), 10);
    let query = everything(Order::OldestFirst);
    assert_eq!(read(&archive, &query, usize::MAX).len(), 160);
    assert_eq!(archive.summary().unwrap().envelopes, 160);
    assert_eq!(other.prune(UnixSeconds::MAX).unwrap(), 160);
    assert_eq!(archive.summary().unwrap(), Default::default());
    assert_eq!(tables.numbers("SELECT COUNT(*) FROM #topics"), [0]);
    assert_eq!(tables.numbers("SELECT COUNT(*) FROM #counts"), [0]);
}

/// Whenever envelopes claim to have been sent, a mailserver creates no table before what is kept.
#[test]
fn creates_no_table_outside_of_what_is_kept() {
    let tables = Tables::new();
    let now = DAY_ONE + DAY / 2;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (round, retention) in [None, Some(Duration::from_secs(DAY.into()))].into_iter().enumerate()
    {
        let archive: Arc<dyn Archive> = Arc::new(tables.open());
        runtime.block_on(async {
            let mut config = ServiceConfig::new(SecretKey::generate(&mut seeded_rng("server")));
            config.node.min_pow = 0.0;
            // Old envelopes live long: a mailserver has rules of its own about their age.
            config.node.max_ttl = 0;
            config.clock = Clock::starting_at(Duration::from_secs(now.into()));
            Mailserver::prepare(&mut config);
            let node = Service::start(config).await.unwrap();
            let mut rules = ServerConfig::from_password(SymKey::from_bytes([7; 32]).unwrap());
            rules.retention = retention;
            let config = MailserverConfig::new(rules);
            let mailserver = Mailserver::start(node.handle(), archive.clone(), config).unwrap();
            for sent in [now, now - 2 * DAY, now - 60 * DAY, 1] {
                let data = [round as u8];
                let old =
                    Envelope::new(UnixSeconds(now + 1000), now + 1000 - sent, topic(1), &data, 0);
                node.handle().send(old).unwrap();
            }
            node.shutdown().await;
            // All that the node has accepted is stored before the end.
            assert_eq!(mailserver.stop().await.lost, 0);
        });
    }
    // Without a retention, a table for two days ago; with one, only that of today.
    let today = i64::from(DAY_ONE / DAY);
    assert_eq!(tables.numbers("SELECT day FROM #periods ORDER BY day"), [today - 2, today]);
    assert_eq!(tables.numbers("SELECT SUM(envelopes)::BIGINT FROM #counts"), [3]);
}

/// A server was killed after it marked a day and before it dropped the table. Another one appends
/// without knowing: its envelopes must not get lost with the table.
#[test]
fn completes_an_interrupted_pruning() {
    let tables = Tables::new();
    let archive = tables.open();
    let first = envelope(DAY_ONE, topic(1), 1);
    archive.append(std::slice::from_ref(&first)).unwrap();
    let mark = format!("UPDATE {} SET state = 2", tables.table("periods"));
    raw().batch_execute(&mark).unwrap();
    let query = everything(Order::OldestFirst);
    assert!(read(&archive, &query, 10).is_empty(), "a marked day is not read");
    let second = envelope(DAY_ONE + 1, topic(1), 2);
    assert_eq!(archive.append(std::slice::from_ref(&second)).unwrap(), 1);
    assert_eq!(read(&archive, &query, 10), [second.hash()]);
    // The append has removed the first one, and the next pruning reports it.
    assert_eq!(archive.prune(UnixSeconds::EPOCH).unwrap(), 1);
    assert_eq!(archive.prune(UnixSeconds::EPOCH).unwrap(), 0);
    assert_eq!(read(&archive, &query, 10), [second.hash()]);
    assert_eq!(tables.numbers("SELECT incarnation FROM #periods"), [2]);
}

/// Two servers prune while others append: every envelope is counted as removed exactly once, or is
/// still there.
#[test]
fn pruning_while_others_append() {
    let tables = Tables::new();
    let servers = [tables.open(), tables.open()];
    let (added, removed): (usize, u64) = thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u32)
            .map(|n| {
                let server = &servers[n as usize];
                scope.spawn(move || {
                    (0..40_u32)
                        .map(|round| {
                            let batch: Vec<_> = (0..20_u32)
                                .map(|i| {
                                    let id = u64::from(n * 100_000 + round * 100 + i);
                                    envelope(DAY_ONE + i * 8_640, topic(i % 7), id)
                                })
                                .collect();
                            server.append(&batch).unwrap()
                        })
                        .sum::<usize>()
                })
            })
            .collect();
        let pruners: Vec<_> = servers
            .iter()
            .map(|server| {
                scope.spawn(move || {
                    let prune =
                        |n: u32| server.prune(UnixSeconds(DAY_ONE + (n % 3) * 60_000)).unwrap();
                    (0..12).map(prune).sum::<u64>()
                })
            })
            .collect();
        (
            writers.into_iter().map(|thread| thread.join().unwrap()).sum(),
            pruners.into_iter().map(|thread| thread.join().unwrap()).sum(),
        )
    });
    // Appends may have finished the end of a day after the last pruning reported what it removed.
    let removed = removed
        + servers.each_ref().map(|it| it.prune(UnixSeconds::EPOCH).unwrap()).iter().sum::<u64>();
    let left = read(&servers[0], &everything(Order::OldestFirst), usize::MAX).len() as u64;
    assert_eq!(left + removed, added as u64);
    assert_eq!(servers[1].summary().unwrap().envelopes, left);
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    servers[1]
        .counts(&mut |count| *counts.entry(count.day).or_default() += count.envelopes)
        .unwrap();
    assert_eq!(counts.values().sum::<u64>(), left);
}

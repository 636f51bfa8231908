//! The archive in PostgreSQL: 1,000,000 envelopes of 400 bytes over 30 days and 5,000 topics.
//!
//! `STATUSKIT_POSTGRES=postgres://user@host/database cargo bench --bench postgres [-- ENVELOPES]`.
//! Without the variable it does nothing; `tests/postgres/run bench` starts Debian's server with its
//! default settings. The tables are removed at the end.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    env,
    ops::ControlFlow,
    process, thread,
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    mailserver::Position,
    time::UnixSeconds,
};
use statuskit_mailserver::archive::{
    Archive, Order, PostgresArchive, Query, Select, postgres::Options,
};

const DAYS: u32 = 30;
const DAY: u32 = 86_400;
const START: u32 = 18_350 * DAY;
const TOPICS: u32 = 5_000;
const BATCH: usize = 1_000;

fn main() {
    let Ok(url) = env::var("STATUSKIT_POSTGRES") else {
        println!("STATUSKIT_POSTGRES is not set: there is no server to measure");
        return;
    };
    let count = env::args().filter_map(|argument| argument.parse().ok()).next();
    let count: u32 = count.unwrap_or(1_000_000);
    let prefix = format!("bench{}", process::id());
    let mut options = Options::default();
    options.prefix = prefix.clone();
    let mut client = Client::connect(&url, NoTls).unwrap();
    let archive = PostgresArchive::open(&url, options.clone()).unwrap();

    println!("ingest, durable, on one connection and on two");
    one_by_one(&mut client);
    let size: i64 =
        client.query_one("SELECT pg_database_size(current_database())", &[]).unwrap().get(0);
    let half = count / 2;
    ingest("one writer", &[&archive], 0..half);
    let second = PostgresArchive::open(&url, options).unwrap();
    ingest("two servers", &[&archive, &second], half..count);
    drop(second);
    let now: i64 =
        client.query_one("SELECT pg_database_size(current_database())", &[]).unwrap().get(0);
    println!("  {:<44} {:>9} B per envelope", "disk", (now - size) / i64::from(count));
    client.batch_execute("VACUUM ANALYZE").unwrap();

    println!("queries: the fastest, the median, and the slowest of all but one in 20");
    let month = Query {
        from: UnixSeconds(START),
        to: UnixSeconds(START + DAYS * DAY),
        select: Select::Topics([topic(0)].into()),
        order: Order::OldestFirst,
        after: None,
    };
    let with = |select| Query { select, ..month.clone() };
    let some = |n: u32, many: u32| (0..many).map(move |i| topic((n * 7 + i * 491) % TOPICS));
    query(&archive, "1 topic, 30 days", 200, |n| with(Select::Topics(some(n, 1).collect())));
    query(&archive, "1 topic by bloom filter, 30 days", 200, |n| {
        with(Select::Bloom(Bloom::from_topics(some(n, 1))))
    });
    query(&archive, "10 topics, 30 days", 50, |n| with(Select::Topics(some(n, 10).collect())));
    query(&archive, "10 topics by bloom filter, 30 days", 50, |n| {
        with(Select::Bloom(Bloom::from_topics(some(n, 10))))
    });
    query(&archive, "1 topic, 1 day", 200, |n| Query {
        from: UnixSeconds(START + (n % DAYS) * DAY),
        to: UnixSeconds(START + (n % DAYS + 1) * DAY - 1),
        ..with(Select::Topics(some(n, 1).collect()))
    });
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let full = Query { order, ..with(Select::Bloom(Bloom::FULL)) };
        first(&archive, &format!("first envelope, full filter, {order:?}"), &full);
        first(&archive, &format!("first 1,000 envelopes, full filter, {order:?}"), &full);
    }
    let start = Instant::now();
    let rows = read(&archive, &with(Select::Bloom(Bloom::FULL)), usize::MAX);
    let rate = rows as f64 / start.elapsed().as_secs_f64();
    println!("  {:<44} {rate:>9.0} envelopes/s", "full filter, 30 days, all");
    let some: Vec<_> = (0..200).map(|n| envelope(n * (half / 200))).collect();
    let mut times: Vec<_> = some
        .iter()
        .map(|e| time(|| assert!(archive.contains(&Position::from_envelope(e)).unwrap())))
        .collect();
    report("whether a position is there", &mut times, 1);
    report("summary", &mut [time(|| assert!(archive.summary().unwrap().topics > 0))], 1);
    report("counts", &mut [time(|| archive.counts(&mut |_| ()).unwrap())], 1);
    let mut removed = 0;
    report(
        "prune half a day, by rows",
        &mut [time(|| removed = archive.prune(UnixSeconds(START + DAY / 2)).unwrap())],
        removed as usize,
    );
    report(
        "prune the rest, by tables",
        &mut [time(|| removed = archive.prune(UnixSeconds::MAX).unwrap())],
        removed as usize,
    );
    for table in ["version", "periods", "topics", "counts"] {
        client.batch_execute(&format!("DROP TABLE {prefix}_{table}")).unwrap();
    }
}

fn topic(n: u32) -> Topic {
    Topic::from_name(&n.to_string())
}

/// Creates envelope number `n`, 400 bytes, roughly in order of time.
fn envelope(n: u32) -> Envelope {
    let mut rng = ChaCha8Rng::seed_from_u64(n.into());
    let step = f64::from(DAYS * DAY) / 1e6;
    let sent = START + (f64::from(n % 1_000_000) * step) as u32 + rng.random_range(0..3);
    let data: [u8; 375] = std::array::from_fn(|_| rng.random());
    Envelope::new(
        UnixSeconds(sent + 10),
        10,
        topic(rng.random_range(0..TOPICS)),
        &data,
        u64::from(n) << 8,
    )
}

/// Inserts each row in its own transaction with a prepared statement, into a table with the
/// reference's columns and indexes.
fn one_by_one(client: &mut Client) {
    client
        .batch_execute(
            "CREATE TABLE one_by_one (id BYTEA NOT NULL UNIQUE, data BYTEA NOT NULL,
                topic BYTEA NOT NULL, bloom BIT(512) NOT NULL);
            CREATE INDEX ON one_by_one (id DESC, bloom);
            CREATE INDEX ON one_by_one (id DESC, topic);",
        )
        .unwrap();
    let envelopes: Vec<_> = (0..3_000).map(envelope).collect();
    let elapsed = time(|| {
        for envelope in &envelopes {
            let key =
                [&Position::from_envelope(envelope).to_bytes()[..], &envelope.topic().0].concat();
            let bloom: String =
                Bloom::from_topic(envelope.topic()).0.iter().map(|b| format!("{b:08b}")).collect();
            let insert = format!(
                "INSERT INTO one_by_one (id, data, topic, bloom)
                VALUES ($1, $2, $3, B'{bloom}'::bit(512)) ON CONFLICT (id) DO NOTHING"
            );
            client
                .execute(insert.as_str(), &[&key, &envelope.raw(), &&envelope.topic().0[..]])
                .unwrap();
        }
    });
    let rate = envelopes.len() as f64 / elapsed.as_secs_f64();
    println!("  {:<44} {rate:>9.0} envelopes/s", "row by row, the reference's table");
    client.batch_execute("DROP TABLE one_by_one").unwrap();
}

fn ingest(what: &str, archives: &[&PostgresArchive], numbers: std::ops::Range<u32>) {
    // Created in advance, so that creation isn't measured.
    let mut elapsed = Duration::ZERO;
    let mut slowest = Duration::ZERO;
    let numbers: Vec<u32> = numbers.collect();
    for part in numbers.chunks(50 * BATCH) {
        let envelopes: Vec<Envelope> = part.iter().map(|n| envelope(*n)).collect();
        let share = envelopes.len().div_ceil(archives.len());
        let start = Instant::now();
        thread::scope(|scope| {
            let threads: Vec<_> = archives
                .iter()
                .zip(envelopes.chunks(share))
                .map(|(archive, envelopes)| {
                    scope.spawn(move || {
                        let times = envelopes.chunks(BATCH).map(|batch| {
                            time(|| assert!(archive.append(batch).unwrap() <= batch.len()))
                        });
                        times.max().unwrap()
                    })
                })
                .collect();
            for thread in threads {
                slowest = slowest.max(thread.join().unwrap());
            }
        });
        elapsed += start.elapsed();
    }
    let rate = numbers.len() as f64 / elapsed.as_secs_f64();
    let slowest = slowest.as_secs_f64() * 1e3;
    println!(
        "  {:<44} {rate:>9.0} envelopes/s, slowest batch {slowest:.0} ms",
        format!("{what}, {BATCH} per commit")
    );
}

fn read(archive: &PostgresArchive, query: &Query, limit: usize) -> usize {
    let mut rows = 0;
    archive
        .read(query, &mut |_| {
            rows += 1;
            if rows < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    rows
}

fn query(archive: &PostgresArchive, what: &str, times: u32, query: impl Fn(u32) -> Query) {
    let mut rows = 0;
    let mut all: Vec<_> = (0..times)
        .map(|n| {
            let query = query(n);
            time(|| rows += read(archive, &query, usize::MAX))
        })
        .collect();
    report(what, &mut all, rows / times as usize);
}

fn first(archive: &PostgresArchive, what: &str, query: &Query) {
    let limit = if what.contains("1,000") { 1_000 } else { 1 };
    let mut all: Vec<_> =
        (0..30).map(|_| time(|| assert_eq!(read(archive, query, limit), limit))).collect();
    report(what, &mut all, limit);
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(what: &str, times: &mut [Duration], rows: usize) {
    times.sort_unstable();
    let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1e3;
    let (least, median, most) = (at(0.0), at(0.5), at(0.95));
    println!("  {what:<44} {least:>9.2} {median:>9.2} {most:>9.2} ms {rows:>9} envelopes");
}

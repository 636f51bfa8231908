//! The embedded archive: queries, ingest and disk, beside the goals and the reference.
//!
//! `cargo bench --bench archive`. 1,000,000 envelopes of 400 bytes over 30 days and 5,000 topics,
//! in a directory below `target/`, files in the page cache. Each envelope is copied when read, as
//! into a packet. `cargo bench --bench archive -- large` repeats this with ten times the archive
//! (300 days, 6 GB). The reference is status-go v0.50.2 on LevelDB, measured on a similar machine;
//! its figures include handling the request and the answer.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    ops::ControlFlow,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt};
use statuskit_core::{
    crypto::seeded_rng,
    envelope::{Bloom, Envelope, Topic},
    time::UnixSeconds,
};
use statuskit_mailserver::archive::{Archive, EmbeddedArchive, Order, Query, Select};

const DAY: u32 = 86_400;
const START: u32 = 18_300 * DAY;
const TOPICS: u32 = 5_000;
const PER_DAY: u32 = 33_334;
const LENGTH: usize = 400;
const BATCH: usize = 1_500;
const PAGE: usize = 1_000;

fn topic(n: u32) -> Topic {
    // Topics are hashes, so they are spread over the whole range.
    Topic(n.wrapping_add(1).wrapping_mul(2_654_435_761).to_be_bytes())
}

/// Envelopes in order of arrival: by time, give or take some seconds.
struct Arrivals<R> {
    rng: R,
    count: u32,
    next: u32,
    /// Envelopes per second.
    rate: f64,
}

impl<R: Rng> Arrivals<R> {
    fn batch(&mut self, len: usize) -> Vec<Envelope> {
        let len = len.min((self.count - self.next) as usize);
        (0..len)
            .map(|_| {
                let arrived = START + (f64::from(self.next) / self.rate) as u32;
                self.next += 1;
                let sent = arrived.saturating_sub(self.rng.random_range(0..5)).max(START);
                let mut data = vec![0; LENGTH];
                self.rng.fill_bytes(&mut data);
                let nonce = u64::from(self.rng.next_u32()) | 1 << 32;
                let topic = topic(self.rng.random_range(0..TOPICS));
                let long = Envelope::new(UnixSeconds(sent + 50), 50, topic, &data, nonce);
                let data = &data[..2 * LENGTH - long.raw().len()];
                let envelope = Envelope::new(UnixSeconds(sent + 50), 50, topic, data, nonce);
                assert_eq!(envelope.raw().len(), LENGTH);
                envelope
            })
            .collect()
    }
}

/// Appends everything. Returns the time of each append, and the total CPU time.
fn ingest(
    archive: &EmbeddedArchive,
    seed: &str,
    count: u32,
    rate: f64,
    batch: usize,
) -> (Vec<Duration>, f64) {
    let mut arrivals = Arrivals { rng: seeded_rng(seed), count, next: 0, rate };
    let (mut times, mut busy) = (Vec::new(), 0.0);
    loop {
        let envelopes = arrivals.batch(batch);
        if envelopes.is_empty() {
            return (times, busy);
        }
        let (start, core) = (Instant::now(), on_core());
        assert_eq!(archive.append(&envelopes).unwrap(), envelopes.len());
        times.push(start.elapsed());
        busy += on_core().zip(core).map_or(0.0, |(end, start)| end - start);
    }
}

fn report_ingest(name: &str, count: u32, (times, busy): (Vec<Duration>, f64), goal: Option<f64>) {
    let total: f64 = times.iter().map(Duration::as_secs_f64).sum();
    let rate = f64::from(count) / total;
    let mut line = format!(
        "{name:<46} {rate:>7.0}/s, commit p50 {:.1} p99 {:.1} max {:.1} ms",
        at(&times, 0.5),
        at(&times, 0.99),
        at(&times, 1.0)
    );
    if busy > 0.0 {
        line += &format!(", {:.0} per second on a core", f64::from(count) / busy);
    }
    if let Some(goal) = goal {
        line += &format!(", {:.2} of the goal", rate / goal);
    }
    println!("{line}");
}

/// Reads a query in pages. Returns the time to the first and to the last envelope, and the count.
fn read(archive: &EmbeddedArchive, query: &Query) -> (Duration, Duration, usize) {
    let mut query = query.clone();
    let mut packet = Vec::with_capacity(PAGE * LENGTH);
    let (mut first, mut count) = (None, 0);
    let start = Instant::now();
    loop {
        packet.clear();
        let mut page = 0;
        let mut last = None;
        archive
            .read(&query, &mut |record| {
                first.get_or_insert_with(|| start.elapsed());
                packet.extend_from_slice(record.envelope);
                last = Some(record.position);
                page += 1;
                if page == PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        count += page;
        if page < PAGE {
            return (first.unwrap_or_default(), start.elapsed(), count);
        }
        query.after = last;
    }
}

/// Returns a quantile of the times, in milliseconds.
fn at(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

/// Returns this thread's CPU time, if the system provides it.
fn on_core() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// A kind of query: its days and order, and the goal and the reference's time in milliseconds, if
/// known.
#[derive(Clone, Copy)]
struct Kind {
    days: u32,
    order: Order,
    runs: u32,
    goal: Option<f64>,
    reference: Option<f64>,
}

struct Bench<'a> {
    archive: &'a EmbeddedArchive,
    days: u32,
}

impl Bench<'_> {
    /// Runs many queries of a kind, with different topics. The tenth percentile counts, since the
    /// machine may have other work.
    fn queries(&self, name: &str, kind: Kind, select: impl Fn(u32) -> Select) -> f64 {
        let (mut first, mut total, mut found) = (Vec::new(), Vec::new(), 0);
        for run in 0..kind.runs {
            let from = START + (run * 7 % (self.days - kind.days + 1)) * DAY;
            let (to, order) = (from + kind.days * DAY - 1, kind.order);
            let query = Query {
                from: UnixSeconds(from),
                to: UnixSeconds(to),
                select: select(run),
                order,
                after: None,
            };
            let (to_first, all, count) = read(self.archive, &query);
            first.push(to_first);
            total.push(all);
            found += count;
        }
        let found = found / kind.runs as usize;
        let time = at(&total, 0.1);
        let mut line = format!(
            "{name:<46} {time:>9.3} ms (median {:.3}), first {:.3} ms, {found:>7} found, {:>5.2} M/s",
            at(&total, 0.5),
            at(&first, 0.5),
            found as f64 / time / 1e3
        );
        if let Some(goal) = kind.goal {
            line += &format!(", {:.2} of the {goal} ms allowed", time / goal);
        }
        if let Some(reference) = kind.reference {
            line += &format!(", reference / here {:.0}", reference / time);
        }
        println!("{line}");
        time
    }

    /// Queries one topic in 30 days.
    fn kind_of_one(&self) -> Kind {
        let (goal, reference) = (Some(0.5), Some(628.0));
        Kind { days: 30, order: Order::OldestFirst, runs: 400, goal, reference }
    }

    /// Runs all kinds of queries. Returns the time of one topic in 30 days.
    fn all(&self) -> f64 {
        let some =
            |run: u32, count: u32| (0..count).map(move |n| topic((run * 31 + n * 7) % TOPICS));
        let topics = |count| move |run| Select::Topics(some(run, count).collect());
        let bloom = |count| move |run| Select::Bloom(Bloom::from_topics(some(run, count)));
        let full = |_| Select::Bloom(Bloom::FULL);
        let one = self.kind_of_one();
        let kind = Kind { goal: None, reference: None, ..one };
        let ten = Kind { goal: Some(4.0), reference: Some(619.0), runs: 100, ..kind };
        let day = Kind { goal: Some(0.1), reference: Some(24.8), days: 1, runs: 1000, ..kind };
        let all = Kind { goal: Some(333.0), reference: Some(1245.0), runs: 5, ..kind };
        let newest = |kind: Kind| Kind { order: Order::NewestFirst, ..kind };

        let time = self.queries("1 topic, 30 days", one, topics(1));
        self.queries("1 topic, 30 days, newest first", newest(one), topics(1));
        self.queries("bloom filter of 1 topic, 30 days", one, bloom(1));
        self.queries("10 topics, 30 days, in pages", ten, topics(10));
        self.queries("bloom filter of 10 topics, 30 days", ten, bloom(10));
        self.queries("1 topic, 1 day", day, topics(1));
        self.queries("bloom filter of 1 topic, 1 day", day, bloom(1));
        for count in [50, 100, 150] {
            let few = Kind { runs: 5, ..kind };
            self.queries(&format!("{count} topics, 30 days"), few, topics(count));
            self.queries(&format!("bloom filter of {count} topics, 30 days"), few, bloom(count));
        }
        self.queries("full bloom filter, 30 days", all, full);
        self.queries("full bloom filter, newest first", newest(all), full);
        time
    }
}

fn fresh_dir(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}

fn archive_of(path: &Path, days: u32) -> f64 {
    fresh_dir(path);
    let archive = EmbeddedArchive::open(path).unwrap();
    let count = days * PER_DAY;
    println!("\n{count} envelopes of {LENGTH} bytes, {days} days, {TOPICS} topics");
    let rate = f64::from(PER_DAY) / f64::from(DAY);
    let times = ingest(&archive, "archive", count, rate, BATCH);
    report_ingest("ingest, durable, 1,500 per commit", count, times, Some(150_000.0));
    let summary = archive.summary().unwrap();
    assert_eq!((summary.envelopes, summary.topics), (u64::from(count), u64::from(TOPICS)));
    let disk = summary.disk.unwrap() as f64 / f64::from(count);
    println!(
        "{:<46} {disk:>9.0} B    {:.2} of the 650 B allowed",
        "disk per envelope",
        disk / 650.0
    );
    drop(archive);
    let start = Instant::now();
    let archive = EmbeddedArchive::open(path).unwrap();
    println!("{:<46} {:>9.1} ms", "open", start.elapsed().as_secs_f64() * 1e3);
    let bench = Bench { archive: &archive, days };
    let one = bench.kind_of_one();
    bench.queries("1 topic, 30 days, just opened", one, |run| {
        Select::Topics([topic(run * 31 % TOPICS)].into())
    });
    // From here on this process has touched every page.
    let start = Instant::now();
    let report = archive.check().unwrap();
    assert!(report.is_sound(), "{report:?}");
    println!("{:<46} {:>9.1} ms", "check", start.elapsed().as_secs_f64() * 1e3);
    let one = bench.all();

    // Prunes a day while other threads append.
    thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let start = Instant::now();
            let gone = archive.prune(UnixSeconds(START + DAY)).unwrap();
            (gone, start.elapsed())
        });
        let mut arrivals =
            Arrivals { rng: seeded_rng("meanwhile"), count: u32::MAX, next: count, rate };
        let mut times = Vec::new();
        while !pruning.is_finished() {
            let envelopes = arrivals.batch(100);
            let start = Instant::now();
            archive.append(&envelopes).unwrap();
            times.push(start.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        let (gone, time) = pruning.join().unwrap();
        println!("{:<46} {:>9.1} ms   {gone} gone", "prune one day", time.as_secs_f64() * 1e3);
        let appended = 100 * times.len() as u32;
        report_ingest("meanwhile, appends of 100", appended, (times, 0.0), None);
    });
    one
}

fn main() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-archive");
    let large = std::env::args().any(|arg| arg == "large");

    let one = archive_of(&dir, 30);

    println!("\nOther ways to append, in an archive of their own");
    for (name, seed, count, rate, batch) in [
        ("10,000 sent per second, 1,500 per commit", "live", 300_000, 10_000.0, BATCH),
        ("all sent within 10 seconds, 1,500 per commit", "burst", 300_000, 30_000.0, BATCH),
        ("one per commit", "single", 5_000, 1.0, 1),
    ] {
        fresh_dir(&dir);
        let archive = EmbeddedArchive::open(&dir).unwrap();
        report_ingest(name, count, ingest(&archive, seed, count, rate, batch), None);
        let disk = archive.summary().unwrap().disk.unwrap() as f64 / f64::from(count);
        println!("{:<46} {disk:>9.0} B", "  disk per envelope");
    }

    if large {
        let ten = archive_of(&dir, 300);
        println!(
            "{:<46} {:>9.2}      {:.2} of the 1.2 allowed",
            "1 topic, 30 days: ten times the archive, ratio",
            ten / one,
            ten / one / 1.2
        );
    }
    fresh_dir(&dir);
}

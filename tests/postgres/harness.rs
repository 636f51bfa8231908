//! What the tests share: a server, tables of their own, envelopes.

use std::{
    env,
    ops::ControlFlow,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use postgres::{Client, NoTls};
use statuskit_core::envelope::{Bloom, Envelope, EnvelopeHash, Topic};
use statuskit_core::time::UnixSeconds;
use statuskit_mailserver::archive::{
    Archive, Order, PostgresArchive, Query, Select, postgres::Options,
};

/// A day in 2020, in seconds.
pub const DAY_ONE: u32 = 18_350 * 86_400;
pub const DAY: u32 = 86_400;

/// Returns the URL of the server.
pub fn url() -> String {
    env::var("STATUSKIT_POSTGRES").expect(
        "STATUSKIT_POSTGRES: the URL of a PostgreSQL server (tests/postgres/run starts one)",
    )
}

/// Connects to the database directly.
pub fn raw() -> Client {
    Client::connect(&url(), NoTls).unwrap()
}

/// The tables of one test, removed when dropped.
pub struct Tables {
    pub options: Options,
}

impl Tables {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut options = Options::default();
        options.prefix = prefix;
        Self { options }
    }

    pub fn open(&self) -> PostgresArchive {
        self.open_at(&url())
    }

    pub fn open_at(&self, url: &str) -> PostgresArchive {
        PostgresArchive::open(url, self.options.clone()).unwrap()
    }

    /// Returns the name of a table.
    pub fn table(&self, name: &str) -> String {
        format!("{}_{name}", self.options.prefix)
    }

    /// Returns the numbers that a query of the test selects.
    pub fn numbers(&self, sql: &str) -> Vec<i64> {
        let sql = sql.replace('#', &format!("{}_", self.options.prefix));
        raw().query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let mut client = raw();
        let periods = format!("SELECT day, incarnation FROM {}", self.table("periods"));
        for row in client.query(&periods, &[]).unwrap_or_default() {
            let (day, last): (i64, i64) = (row.get(0), row.get(1));
            for incarnation in 1..=last + 1 {
                let table = self.table(&format!("day_{day}_{incarnation}"));
                client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).unwrap();
            }
        }
        for name in ["periods", "topics", "counts", "version"] {
            let table = self.table(name);
            client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).unwrap();
        }
    }
}

/// Runs something at the end, even if a test fails, to release other threads.
pub struct AtEnd<F: Fn()>(pub F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Topic number `n`.
pub fn topic(n: u32) -> Topic {
    Topic(n.wrapping_mul(0x0101_0107).to_be_bytes())
}

/// Makes an envelope sent at a second; `n` makes it unique.
pub fn envelope(sent: u32, topic: Topic, n: u64) -> Envelope {
    Envelope::new(UnixSeconds(sent + 10), 10, topic, &n.to_be_bytes().repeat(1 + n as usize % 7), n)
}

pub fn everything(order: Order) -> Query {
    Query {
        from: UnixSeconds::EPOCH,
        to: UnixSeconds::MAX,
        select: Select::Bloom(Bloom::FULL),
        order,
        after: None,
    }
}

pub fn from_topic(wanted: Topic, order: Order) -> Query {
    Query { select: Select::Topics([wanted].into()), ..everything(order) }
}

/// Returns the hashes of what a query selects, at most `limit` of them.
pub fn read(archive: &dyn Archive, query: &Query, limit: usize) -> Vec<EnvelopeHash> {
    let mut found = Vec::new();
    archive
        .read(query, &mut |record| {
            let envelope = Envelope::decode(record.envelope).unwrap();
            assert_eq!(envelope.hash(), record.position.hash);
            assert_eq!(envelope.sent(), record.position.sent);
            assert_eq!(envelope.topic(), record.topic);
            found.push(record.position.hash);
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    found
}

/// Returns the hashes of what a query selects, read page by page.
pub fn pages(archive: &dyn Archive, query: &Query, limit: usize) -> Vec<EnvelopeHash> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let mut last = None;
        let mut count = 0;
        archive
            .read(&query, &mut |record| {
                found.push(record.position.hash);
                last = Some(record.position);
                count += 1;
                if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .unwrap();
        match last {
            Some(position) => query.after = Some(position),
            None => return found,
        }
    }
}

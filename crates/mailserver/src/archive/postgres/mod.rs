//! An archive in PostgreSQL, for operators who outgrow one machine. Several servers read and write
//! it concurrently.
//!
//! | what | where |
//! | --- | --- |
//! | every SQL statement, and which SQL they may use | `sql.rs` |
//! | connections: pool, retries, errors | `connection.rs` |
//! | TLS: settings in the URL, certificates | `tls.rs` |
//! | periods (one table per day) and their topics | `periods.rs` |
//! | appending | `write.rs` |
//! | reading | `read.rs` |
//! | pruning | `prune.rs` |
//! | counting | `stats.rs` |
//! | the archive of status-go, to be imported | `reference.rs` |
//!
//! # The tables
//!
//! All names start with a prefix, by default `statuskit`. All columns are `BIGINT` or `BYTEA`.
//!
//! | table | a row is |
//! | --- | --- |
//! | `_version` | the version of this layout |
//! | `_periods` | a day (since 1970-01-01, UTC), its *incarnation*, its state, its number of topics |
//! | `_topics` | a topic of a day: its number, counted from 1, and its *spread* |
//! | `_counts` | how many envelopes and bytes of a topic a day holds; the sum of several rows |
//! | `_day_D_I` | an envelope of day D, incarnation I. Key: shard, topic, sent, hash |
//!
//! An envelope is in *shard* `(H(topic) + hash[0] mod spread) mod 256`. PostgreSQL itself has no
//! use for shards. Engines that speak its protocol and spread a table over machines do so by the
//! first column of the key. The spread is 1, or 16 for a topic that had very many envelopes on the
//! day before, so that no machine gets all of the busiest topic. It is written once, when the first
//! envelope of the topic arrives on a day, and never changes. So writers need not agree beforehand,
//! an envelope has exactly one place, and readers know all places.
//!
//! Topics are looked up in the directory of topics, of which every process has a copy. A bloom
//! filter is tested here, not in the database, and only the topics it matches are read.
//!
//! A day that was pruned can be written to again: as a new incarnation, with a table of another
//! name. No name is used twice. So a server with outdated knowledge fails, looks again and repeats,
//! instead of writing to the wrong place.
//!
//! # For operators
//!
//! - There is a table for each day on which an envelope was sent. Callers must only append
//!   days worth keeping: see [`intake`](crate::intake). A mailserver creates no tables before its
//!   retention, or before 30 days ago, whatever its peers send. An import goes back as far as it is
//!   told to, also to days that were pruned; the next pruning drops them again.
//!
//! - Retention drops tables if `before` is the beginning of a day. Otherwise the rest is deleted
//!   row by row, by index.
//!
//! - An append is one transaction. It is repeated when the engine asks for it (conflicts), or when
//!   the connection was lost. Then the number of new envelopes may be reported too low;
//!   [`counts`](super::Archive::counts) is always right.
//!
//! - `contains` looks for a position under every topic of its day: it costs some microseconds per
//!   topic. The disk space is unknown, since engines disagree how to ask for it.
//!
//! - Only PostgreSQL itself was ever run. Citus, YugabyteDB and CockroachDB were only checked
//!   against their documentation; the tests take any URL. On Citus, running
//!   `create_distributed_table(…, 'shard')` for the table of a day is up to the operator; without
//!   it, the table stays where it is.
//!
//! - Connections are encrypted if the URL asks for it (`sslmode=require` or `verify-full`) and the
//!   program was built with the feature `tls`. Then the certificate and the server's name are
//!   verified, against `sslrootcert=FILE` or what the system trusts. Without `sslmode` nothing is
//!   encrypted: `prefer` protects from nobody who can change what is sent.
//!

mod connection;
mod periods;
mod prune;
mod read;
mod reference;
mod sql;
mod stats;
#[cfg(test)]
mod tests;
mod tls;
mod write;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicU64},
    time::Duration,
};

use statuskit_core::{envelope::Envelope, mailserver::Position, time::UnixSeconds};

pub use self::reference::StatusGoPostgres;
use self::{
    connection::{Fault, Pool, Session},
    periods::Directory,
    sql::{Names, Statement},
};
use crate::archive::{Archive, ArchiveError, Budget, Count, Query, Record, Step, Summary};

/// The version of the layout of the tables.
const VERSION: i64 = 1;
/// Writers count in different rows, so that they don't wait for each other.
const SLOTS: u64 = 16;

/// How an archive in PostgreSQL is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The prefix of table names: at most 24 lower-case letters, digits and `_`. Several archives
    /// can share a database.
    pub prefix: String,
    /// Never writes anything, so a user with read access is enough.
    pub read_only: bool,
    /// The most concurrent connections. Further calls wait for one.
    pub connections: usize,
    /// How long a call is retried after a lost connection or a conflict.
    pub patience: Duration,
    /// The same for reading, unless the archive is read-only: clients of a server wait ten seconds
    /// at most for an answer.
    pub read_patience: Duration,
    /// A topic with this many envelopes on one day is spread over 16 shards on the next.
    pub hot_from: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "statuskit".to_owned(),
            read_only: false,
            connections: 8,
            patience: Duration::from_secs(10),
            read_patience: Duration::from_secs(3),
            hot_from: 50_000,
        }
    }
}

/// An archive in PostgreSQL. See the [module](self).
pub struct PostgresArchive {
    pool: Pool,
    names: Names,
    directory: RwLock<Directory>,
    options: Options,
    slot: i64,
    /// Envelopes of days whose end an append had to finish; the next pruning reports them.
    untold: AtomicU64,
}

impl PostgresArchive {
    /// Checks a URL, or a list of settings, without connecting.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] if it is invalid. The message has no password.
    pub fn check_url(url: &str) -> Result<(), ArchiveError> {
        connection::settings(url).map(|_| ())
    }

    /// Opens the archive at a URL (`postgres://user:password@host:port/database`) or a list of
    /// settings (`host=… user=…`), and creates its tables if there are none.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] if the URL is invalid, the server can't be reached or refuses the
    /// user, the archive has another version, or (read-only) there is none. Messages tell these
    /// apart.
    pub fn open(url: &str, options: Options) -> Result<Self, ArchiveError> {
        let names = Names::new(&options.prefix)?;
        let pool = Pool::open(url, &options)?;
        let slot = (rand::random::<u64>() % SLOTS) as i64;
        let (directory, untold) = (RwLock::default(), AtomicU64::new(0));
        let archive = Self { pool, names, directory, options, slot, untold };
        let found = archive.pool.run("opening", |session| archive.found(session))?;
        let found = match found {
            Found::Nothing if archive.options.read_only => {
                let text = format!("no archive {:?} in this database", archive.options.prefix);
                return Err(ArchiveError::Unusable(text));
            }
            Found::Nothing => archive.pool.run("creating the tables", |session| {
                for statement in Statement::TABLES {
                    session.execute(&archive.names.sql(*statement), &[])?;
                }
                session.execute(&archive.names.sql(Statement::SetVersion), &[&VERSION])?;
                archive.found(session)
            })?,
            found => found,
        };
        match found {
            Found::Version(VERSION) => Ok(archive),
            Found::Version(other) => Err(ArchiveError::Unusable(format!(
                "the archive has version {other} of the layout, this program knows {VERSION}"
            ))),
            Found::Nothing => Err(ArchiveError::Damaged("it has no version".to_owned())),
        }
    }

    fn found(&self, session: &mut Session) -> Result<Found, Fault> {
        match session.query(&self.names.sql(Statement::Version), &[]) {
            Ok(rows) => match rows.first() {
                Some(row) => Ok(Found::Version(row.try_get(0)?)),
                // Another process is creating it, or was interrupted.
                None => Ok(Found::Nothing),
            },
            Err(fault) if fault.is_undefined_table() => Ok(Found::Nothing),
            Err(fault) => Err(fault),
        }
    }

    fn writable(&self) -> Result<(), ArchiveError> {
        if self.options.read_only {
            return Err(ArchiveError::Unusable("the archive was opened for reading".to_owned()));
        }
        Ok(())
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What a prefix stands for.
enum Found {
    Nothing,
    Version(i64),
}

impl Archive for PostgresArchive {
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        self.writable()?;
        self.write(envelopes)
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        self.read_pages(query, budget, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.holds(position)
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        self.writable()?;
        self.remove(before)
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        self.sum_up()
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        self.count(visit)
    }
}

impl fmt::Debug for PostgresArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresArchive")
            .field("server", &self.pool.target())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

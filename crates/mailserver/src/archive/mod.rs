//! The archive: where a mailserver keeps its envelopes.
//!
//! One trait, [`Archive`], and its stores:
//!
//! | store | for |
//! | --- | --- |
//! | [`EmbeddedArchive`] | one machine: a directory, no server to install |
//! | [`MemoryArchive`] | tests, demonstrations: nothing survives the process |
//! | [`PostgresArchive`] | operators with several servers: one database for all of them |
//!
//! An envelope is found by its topic and the second it was sent, never by a scan of the archive:
//! reading costs as much as what is found.
//!
//! Calls block; whoever runs on an async runtime gives them a thread.

#[cfg(feature = "lmdb")]
pub mod embedded;
pub mod import;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;

use std::{collections::BTreeSet, fmt::Debug, ops::ControlFlow};

use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    mailserver::{DAY, Position},
};

#[cfg(feature = "lmdb")]
pub use embedded::EmbeddedArchive;
pub use memory::MemoryArchive;
#[cfg(feature = "postgres")]
pub use postgres::PostgresArchive;

/// An envelope as it lies in an archive.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it stands.
    pub position: Position,
    /// Its topic.
    pub topic: Topic,
    /// Its RLP, with all five fields.
    pub envelope: &'a [u8],
}

/// Which topics a query is after.
#[derive(Debug, Clone)]
pub enum Select {
    /// Those that a bloom filter matches; a full filter matches all.
    Bloom(Bloom),
    /// These.
    Topics(BTreeSet<Topic>),
}

impl Select {
    /// Whether envelopes of the topic are wanted.
    pub fn matches(&self, topic: Topic) -> bool {
        match self {
            Self::Bloom(bloom) => bloom.matches(topic),
            Self::Topics(topics) => topics.contains(&topic),
        }
    }
}

/// In which order envelopes are read. Clients of the reference work with both; a cursor only has
/// meaning in the order of the server that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By position, ascending: as the reference's LevelDB store.
    #[default]
    OldestFirst,
    /// By position, descending: as the reference's PostgreSQL store.
    NewestFirst,
}

/// What is read from an archive.
#[derive(Debug, Clone)]
pub struct Query {
    /// The first second, inclusive.
    pub from: u32,
    /// The last second, inclusive.
    pub to: u32,
    /// Which topics.
    pub select: Select,
    /// In which order.
    pub order: Order,
    /// Only what comes after this position, in that order. It need not exist.
    pub after: Option<Position>,
}

/// What an archive holds of one topic on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Days since 1970-01-01, by the second it was sent (UTC).
    pub day: u32,
    /// The topic.
    pub topic: Topic,
    /// Number of envelopes.
    pub envelopes: u64,
    /// Sum of the lengths of their RLP, in bytes.
    pub bytes: u64,
}

/// What an archive holds in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of envelopes.
    pub envelopes: u64,
    /// Sum of the lengths of their RLP, in bytes.
    pub bytes: u64,
    /// Number of distinct topics.
    pub topics: u64,
    /// The second of the oldest and of the newest envelope.
    pub span: Option<(u32, u32)>,
    /// What the store takes on disk, in bytes, where it is known.
    pub disk: Option<u64>,
}

/// A store of envelopes. It is shared between threads; several may read while one appends.
pub trait Archive: Debug + Send + Sync {
    /// Stores envelopes and returns how many of them were new. When it returns they are durable:
    /// all of them, or on an error possibly some. Appending an envelope again does nothing.
    ///
    /// Each call makes durable what it stores, so callers gather envelopes: a few for each call are
    /// slow, and more than some thousands may be split.
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError>;

    /// Hands the envelopes of a query to `visit`, in order, until it breaks or all were visited.
    /// Envelopes appended meanwhile may or may not be among them; the others are visited exactly
    /// once. What is visited is borrowed from the store, so `visit` should not block.
    fn read(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError>;

    /// Whether there is an envelope at this position.
    fn contains(&self, position: &Position) -> Result<bool, ArchiveError>;

    /// Removes the envelopes sent before this second, and returns how many it removed. Appending
    /// and reading go on meanwhile.
    fn prune(&self, before: u32) -> Result<u64, ArchiveError>;

    /// What it holds in all, without reading all.
    fn summary(&self) -> Result<Summary, ArchiveError>;

    /// What it holds per topic and day, in no particular order.
    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError>;

    /// Looks whether the store is sound, as far as that takes no longer than reading it, unless
    /// opening it did already. A store that sees to that by itself has nothing to do.
    fn inspect(&self) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Why an archive failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system or the connection failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The store holds something that it can't have written.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// No room for more.
    #[error("the archive is full: {0}")]
    Full(String),
    /// The store can't be used: locked, of another kind or version, unreachable.
    #[error("{0}")]
    Unusable(String),
}

impl ArchiveError {
    /// The code of the error, for records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "archive.io",
            Self::Damaged(_) => "archive.damaged",
            Self::Full(_) => "archive.full",
            Self::Unusable(_) => "archive.unusable",
        }
    }
}

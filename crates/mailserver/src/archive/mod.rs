//! The archive of a mailserver's envelopes.
//!
//! One trait, [`Archive`], and its stores:
//!
//! | store | for |
//! | --- | --- |
//! | [`EmbeddedArchive`] | one machine: a directory, no server to install |
//! | [`MemoryArchive`] | tests, demonstrations: nothing survives the process |
//! | [`PostgresArchive`] | operators of several servers: one database for all of them |
//!
//! Envelopes are found by topic and the second they were sent, never by a scan of the archive: the
//! cost of reading is proportional to what is found.
//!
//! Calls block: on an async runtime, give them a thread.

mod budget;
#[cfg(feature = "lmdb")]
pub mod embedded;
pub mod import;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;

use std::{collections::BTreeSet, fmt::Debug, ops::ControlFlow};

use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    explain::Explanation,
    mailserver::Position,
    time::UnixSeconds,
};

pub use budget::{Budget, Step};
#[cfg(feature = "lmdb")]
pub use embedded::EmbeddedArchive;
pub use memory::MemoryArchive;
#[cfg(feature = "postgres")]
pub use postgres::PostgresArchive;

/// An envelope as stored in an archive.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its position.
    pub position: Position,
    /// Its topic.
    pub topic: Topic,
    /// Its RLP, with all five fields.
    pub envelope: &'a [u8],
}

/// Selects topics.
#[derive(Debug, Clone)]
pub enum Select {
    /// Topics that a bloom filter matches; a full filter matches all.
    Bloom(Bloom),
    /// Exactly these topics.
    Topics(BTreeSet<Topic>),
}

impl Select {
    /// Whether the topic is selected.
    pub fn matches(&self, topic: Topic) -> bool {
        match self {
            Self::Bloom(bloom) => bloom.matches(topic),
            Self::Topics(topics) => topics.contains(&topic),
        }
    }
}

/// The order in which envelopes are read. Clients of the reference work with both. A cursor is only
/// valid in the order of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By position, ascending, as the reference's LevelDB store.
    #[default]
    OldestFirst,
    /// By position, descending, as the reference's PostgreSQL store.
    NewestFirst,
}

/// What to read from an archive.
#[derive(Debug, Clone)]
pub struct Query {
    /// The first second, inclusive.
    pub from: UnixSeconds,
    /// The last second, inclusive.
    pub to: UnixSeconds,
    /// The topics.
    pub select: Select,
    /// The order.
    pub order: Order,
    /// Skips everything up to this position, in that order. It need not exist.
    pub after: Option<Position>,
}

/// How much an archive holds of one topic on one day.
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

/// How much an archive holds in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of envelopes.
    pub envelopes: u64,
    /// Sum of the lengths of their RLP, in bytes.
    pub bytes: u64,
    /// Number of distinct topics.
    pub topics: u64,
    /// The second of the oldest and of the newest envelope.
    pub span: Option<(UnixSeconds, UnixSeconds)>,
    /// The size of the store on disk in bytes, if known.
    pub disk: Option<u64>,
}

/// A store of envelopes. Threads share it; several may read while one appends.
pub trait Archive: Debug + Send + Sync {
    /// Stores envelopes durably, and returns how many of them were new. Appending an envelope again
    /// does nothing.
    ///
    /// Each call waits for the disk, so callers gather envelopes. Some thousands in one call may be
    /// split into several commits.
    ///
    /// # Errors
    /// If the store fails. Some of the envelopes may have been stored.
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError>;

    /// Visits the envelopes of a query in order, until `visit` breaks or the budget is spent.
    /// Envelopes appended meanwhile may or may not be among them; all others are visited exactly
    /// once, in one step or in several. Records are borrowed from the store, so `visit` should not
    /// block.
    ///
    /// Every record that is looked at is [spent](Budget::spend), whether it is selected or not, and
    /// each step gets on.
    ///
    /// # Errors
    /// If the store fails or is damaged. Envelopes may be missing among those visited.
    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError>;

    /// Visits the envelopes of a query in one step, however long it takes.
    ///
    /// # Errors
    /// As for [`read_step`](Self::read_step).
    fn read(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        self.read_step(query, &mut Budget::unlimited(), visit).map(drop)
    }

    /// Whether there is an envelope at this position.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    fn contains(&self, position: &Position) -> Result<bool, ArchiveError>;

    /// Removes the envelopes sent before this second, and returns their number. Appending and
    /// reading go on meanwhile.
    ///
    /// # Errors
    /// If the store fails or is damaged. The next pruning completes the work.
    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError>;

    /// Sums up what it holds, without reading all of it.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    fn summary(&self) -> Result<Summary, ArchiveError>;

    /// Visits what it holds per topic and day, in no particular order.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError>;

    /// Checks the structure of the store, as far as that takes no longer than reading it. A store
    /// that needs no such check does nothing.
    ///
    /// # Errors
    /// If the store is damaged, or can't be read.
    fn inspect(&self) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Why an archive failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system or the connection failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The store contains something that it can't have written.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// There is no room for more.
    #[error("the archive is full: {0}")]
    Full(String),
    /// The store can't be used: it is locked, unreachable, or of another kind or version.
    #[error("{0}")]
    Unusable(String),
}

impl ArchiveError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "archive.io",
            Self::Damaged(_) => "archive.damaged",
            Self::Full(_) => "archive.full",
            Self::Unusable(_) => "archive.unusable",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "archive.io",
            rule: "The files of an archive, or the connection with its database, must work.",
            source: "tools",
            causes: "A directory that can't be written, a database server that is down.",
        },
        Explanation {
            code: "archive.damaged",
            rule: "An archive only holds what was written to it.",
            source: "tools",
            causes: "A failing disk, or files that were changed from outside. status-mailserver check shows what is wrong; export --salvage saves what is intact.",
        },
        Explanation {
            code: "archive.full",
            rule: "There must be room for what is stored.",
            source: "tools",
            causes: "A full disk: status-mailserver prune makes room inside the archive, not on the disk.",
        },
        Explanation {
            code: "archive.unusable",
            rule: "An archive is a directory with one, or a PostgreSQL database; only one process writes to a directory.",
            source: "tools",
            causes: "A running server has it open, there is none at this place, it was made by another version, or the user may not.",
        },
    ];
}

//! The embedded archive: a directory, and no server to install.
//!
//! # Layout
//!
//! LMDB (through `heed`) keeps sorted trees in one mapped file. Reading copies nothing and waits
//! for nobody. A commit is durable, and until it is complete the one before stays whole. LMDB is
//! weak at many small writes all over a tree. So:
//!
//! - `time` holds the envelopes by second and hash. New ones go to its end, or close to it: a
//!   commit fills a few pages. It shows whether an envelope is stored already, and is scanned by
//!   queries for most topics.
//! - `topics` is the index by topic, second and hash. A commit would touch one of its pages per
//!   topic. Instead it writes its entries in one piece to `fresh`, and keeps them in memory, sorted
//!   (`fresh.rs`). When there are many, later commits move them to `topics` in slices and in order,
//!   so that neighbours share a page. After a crash, `fresh` has what was not moved yet.
//! - `counts` has envelopes and bytes per day and topic, of what is in `topics`.
//!
//! The topics that a bloom filter matches are found in memory (`directory.rs`). Their streams are
//! merged (`read.rs`), or `time` is scanned if that is cheaper. Pruning (`prune.rs`) first notes the
//! second before which everything is hidden, then removes it in small commits. Keys and values:
//! `layout.rs`.
//!
//! # Why this engine
//!
//! Of the engines that were tried, LMDB reads fastest, which is what clients wait for. Probes of
//! the bare engines gave 0.27 ms for a topic's 200 envelopes (fjall: 1.1 ms) and 6.6 million
//! envelopes per second in a scan (fjall: 2.2). redb 4.6 with this layout took 1,141 bytes on disk
//! for an envelope of 400 (here 623), 0.5 ms for a topic, and ingested 83,000 to 114,000 envelopes
//! per second (here 144,000 to 420,000). LMDB's weakness, random writes (68,000 per second with an
//! index that is written at once), is what the layout avoids. Figures: `benches/README.md`.
//!
//! # Damage
//!
//! LMDB trusts what is within a page: a garbled one could crash the process, or turn a part of an
//! answer into all of it. So it only writes. The large trees `time` and `topics` are read by
//! [`statuskit_lmdb::tree`], which checks a page when it first reads it.
//!
//! | when | what is checked |
//! | --- | --- |
//! | opening | lock, layout version, both meta pages, roots, file length, the list of free pages, the small trees; that all trees have as many entries as each other's counts say. The cost does not depend on the number of envelopes |
//! | reading | each page that is read for the first time: that records, keys and values lie where they can, keys ascend, and belong on this page |
//! | appending | the pages that the engine is about to touch |
//! | the first pruning | all pages: removals touch unforeseen ones |
//! | [`Archive::inspect`] | all pages, as the first pruning does. It takes as long as reading the file |
//! | [`EmbeddedArchive::check`] | all pages, and every record: hash of the envelope, index, counts |
//!
//! What is promised:
//! - A damaged page is an error ([`ArchiveError::Damaged`]) of the call that meets it: never a
//!   crash, and never a short answer without an error. [`EmbeddedArchive::salvage`] gets all whole
//!   envelopes out of such a file.
//!
//! What is not:
//! - Garbled bytes of a record that leave its page well-formed are only found by `check`. Readers
//!   decode what they get.
//! - A list of free pages that claims a page in use is found by `inspect`, `check` and the first
//!   pruning. If an append reuses that page first, its envelopes are lost, and reading them is an
//!   error.
//! - A program that changes or shortens the files while they are open can crash the process, as
//!   with any mapped file. A page that was checked is trusted from then on.
//!
//! # What else to know
//!
//! - One process writes; a second one is refused. Others may read
//!   ([`EmbeddedArchive::open_read_only`]).
//! - The file never shrinks: freed pages are reused. It can't be moved to a machine of another byte
//!   order or word size, nor be on a network file system.

mod append;
mod check;
mod directory;
mod engine;
mod fresh;
mod layout;
mod prune;
mod read;
mod salvage;
mod state;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use statuskit_core::{envelope::Envelope, mailserver::Position, time::UnixSeconds};

use self::{
    append::Writer,
    engine::Engine,
    state::{Shared, load},
};
use crate::archive::{Archive, ArchiveError, Budget, Count, Query, Record, Step, Summary};
pub use check::Report;
pub use salvage::Salvage;

/// How an archive is opened. The default is right for all but tests.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The maximum length of the file in bytes; by default, what the address space allows.
    pub limit: Option<u64>,
    /// How many entries of the index gather in memory before they are merged; by default 65,536.
    pub merge_at: Option<usize>,
    /// Fails if there is no archive, instead of creating one.
    pub existing: bool,
}

/// An archive in a directory. See the [module](self).
#[derive(Debug)]
pub struct EmbeddedArchive {
    engine: Engine,
    shared: RwLock<Shared>,
    writer: Mutex<Writer>,
    /// The number of appends that wait for the lock.
    waiting: AtomicUsize,
    merge_at: usize,
}

impl EmbeddedArchive {
    /// Opens the archive in a directory, and creates it if there is none. Only one process can
    /// have it open in this way.
    ///
    /// # Errors
    /// If it is in use, damaged where opening looks, another program's, or can't be read.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        Self::open_with(dir, &Settings::default())
    }

    /// Opens the archive in a directory with these settings: see [`open`](Self::open).
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if it must exist and does not.
    pub fn open_with(dir: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        Self::new(Engine::open(dir, settings)?, settings)
    }

    /// Opens an archive for reading. Another process may have it open for writing: what that
    /// commits is seen, too.
    ///
    /// # Errors
    /// If there is none, or it is damaged where opening looks, another program's, or can't be read.
    pub fn open_read_only(dir: &Path) -> Result<Self, ArchiveError> {
        Self::new(Engine::open_read_only(dir)?, &Settings::default())
    }

    fn new(engine: Engine, settings: &Settings) -> Result<Self, ArchiveError> {
        let (shared, writer) = {
            let txn = engine.reader()?;
            let loaded = load(engine.trees(), &txn)?;
            (Shared::new(&loaded, txn.id()), Writer::new(&loaded))
        };
        Ok(Self {
            engine,
            shared: RwLock::new(shared),
            writer: Mutex::new(writer),
            waiting: AtomicUsize::new(0),
            merge_at: settings.merge_at.unwrap_or(1 << 16).max(1),
        })
    }

    /// Reads the envelopes that can be read from the file of an archive, whatever its state.
    ///
    /// The file is read page by page, without the engine, so no state of it can crash the process.
    /// Each envelope is decoded, and matches the key of its record. A malformed page or record is
    /// an error, after which reading goes on. The order is that of the file: roughly by time.
    /// Pruned envelopes may be among them, if nothing was written in their place yet. It takes some
    /// ten bytes of memory per envelope, to return none twice.
    ///
    /// # Errors
    /// If the file can't be opened.
    pub fn salvage(dir: &Path) -> Result<Salvage, ArchiveError> {
        Salvage::open(dir)
    }

    /// Reads everything and compares it with everything else: pages, envelopes, index, counts.
    /// Appending and reading go on meanwhile.
    ///
    /// # Errors
    /// If pages are damaged, or the file can't be read.
    pub fn check(&self) -> Result<Report, ArchiveError> {
        check::check(&self.engine)
    }

    /// Checks an archive that may not be in a state to be opened: what is wrong with it is in the
    /// report. If pages are damaged, nothing else is compared.
    ///
    /// # Errors
    /// If there is none, it is another program's, or can't be read.
    pub fn check_at(dir: &Path) -> Result<Report, ArchiveError> {
        check::check_at(dir)
    }

    /// Locks the shared state for reading.
    fn shared(&self) -> std::sync::RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared_mut(&self) -> std::sync::RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks for an append. Pruning gives way to it.
    fn lock_to_append(&self) -> MutexGuard<'_, Writer> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        writer
    }

    fn writable(&self) -> Result<(), ArchiveError> {
        if self.engine.is_read_only() {
            return Err(ArchiveError::Unusable("the archive is open for reading only".into()));
        }
        Ok(())
    }
}

impl Archive for EmbeddedArchive {
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        self.writable()?;
        append::chunks(envelopes).try_fold(0, |new, chunk| Ok(new + self.append_chunk(chunk)?))
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        self.read_query(query, budget, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.has(position)
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        self.writable()?;
        self.prune_before(before)
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        self.summarize()
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        self.visit_counts(visit)
    }

    fn inspect(&self) -> Result<(), ArchiveError> {
        self.engine.inspect()
    }
}

//! The embedded archive: a directory, and no server to install.
//!
//! # Layout
//!
//! LMDB (through `heed`) keeps sorted trees in one mapped file: reading copies nothing and waits
//! for nobody, a commit is durable and leaves the last one whole until it is. What it does badly
//! is many small writes all over a tree. So:
//!
//! - `time` holds the envelopes by second and hash. New ones go to its end, or nearly: a commit
//!   fills a few pages. It is where an envelope is known to be stored already, and what a query for
//!   most topics scans.
//! - `topics` is the index by topic, second and hash. A commit would touch a page of it for each
//!   topic; instead it writes its entries in one piece to `fresh` and keeps them in memory, sorted
//!   (`fresh.rs`). When there are many, later commits move them to `topics` a slice at a time, in
//!   order, so that neighbours share a page. After a crash `fresh` tells what was not moved yet.
//! - `counts` has envelopes and bytes per day and topic, of what is in `topics`.
//!
//! Which topics a bloom filter matches is found in memory (`directory.rs`); their streams are
//! merged (`read.rs`), or `time` is scanned if that is cheaper. Pruning (`prune.rs`) first notes the
//! second before which nothing is read any more, then removes in small commits. Keys and values:
//! `layout.rs`.
//!
//! # Why this engine
//!
//! LMDB reads fastest of those that were tried, which is what clients wait for: probes of the bare
//! engines gave 0.27 ms for a topic's 200 envelopes, fjall 1.1 ms, and 6.6 million envelopes per
//! second in a scan, fjall 2.2. redb 4.6 with the layout of this module took 1,141 bytes on disk
//! for an envelope of 400 (here 623), 0.5 ms for a topic, and ingested 83,000 to 114,000 per second
//! where this took 144,000 to 420,000. LMDB's weakness, random writes (68,000 per second with an
//! index that is written at once), is what the layout avoids. Figures: `benches/README.md`.
//!
//! # What can go wrong
//!
//! - One process writes: a second one is refused. Others may read
//!   ([`EmbeddedArchive::open_read_only`]).
//! - The files belong to us. A program that changes or shortens them while they are open can crash
//!   the process, as with any mapped file. The engine trusts what is within a page, so a file with
//!   garbled pages could crash it, or give half an answer as if it were whole. So every page is
//!   looked at before, without the engine (`statuskit_lmdb::lmdb?`): at opening, if the file has up to a GiB;
//!   else only what is read at opening, and the rest when asked for ([`Archive::inspect`]), since it
//!   takes as long as reading the file. Whether each envelope is what its hash says is for
//!   [`EmbeddedArchive::check`]; [`EmbeddedArchive::salvage`] gets out of a damaged file what is
//!   whole.
//! - The file never shrinks: what is removed is used again. It can't be moved to a machine of
//!   another byte order or word size, nor be on a network file system.

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

use statuskit_core::{envelope::Envelope, mailserver::Position};

use self::{
    append::Writer,
    engine::Engine,
    state::{Shared, load},
};
use crate::archive::{Archive, ArchiveError, Count, Query, Record, Summary};
pub use check::Report;
pub use salvage::Salvage;

/// How an archive is opened. The default is right for all but tests.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The greatest length of the file, in bytes; what the address space allows if not given.
    pub limit: Option<u64>,
    /// How many entries of the index gather in memory before they are merged; 65,536 if not
    /// given.
    pub merge_at: Option<usize>,
    /// The greatest length of a file whose every page is looked at when it is opened, in bytes; one
    /// GiB if not given. See [`Archive::inspect`].
    pub whole_up_to: Option<u64>,
    /// Whether an archive that is not there is an error, instead of being made.
    pub existing: bool,
}

impl Settings {
    fn whole_up_to(&self) -> u64 {
        self.whole_up_to.unwrap_or(1 << 30)
    }
}

/// An archive in a directory. See the [module](self).
#[derive(Debug)]
pub struct EmbeddedArchive {
    engine: Engine,
    shared: RwLock<Shared>,
    writer: Mutex<Writer>,
    /// How many wait to append.
    waiting: AtomicUsize,
    merge_at: usize,
}

impl EmbeddedArchive {
    /// Opens the archive in a directory, and makes it if there is none. Only one process can have
    /// it open in this way.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        Self::open_with(dir, &Settings::default())
    }

    /// As [`open`](Self::open).
    pub fn open_with(dir: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        Self::new(Engine::open(dir, settings)?, settings)
    }

    /// Opens an archive for reading. It may be open for writing elsewhere; what is written later
    /// is seen, too.
    pub fn open_read_only(dir: &Path) -> Result<Self, ArchiveError> {
        let settings = Settings::default();
        Self::new(Engine::open_read_only(dir, &settings)?, &settings)
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

    /// The envelopes that can be read from the file of an archive, in whatever state it is.
    ///
    /// It reads the file page by page, without the engine: no state of it makes it panic. Each
    /// envelope is decoded, and its hash and position are those of its record. A page or a record
    /// that can't be right is an error, after which it goes on. The order is that of the file, more
    /// or less that of time. Envelopes that were pruned may be among them, if nothing was written
    /// in their place yet. It takes some ten bytes of memory per envelope, to give none twice.
    pub fn salvage(dir: &Path) -> Result<Salvage, ArchiveError> {
        Salvage::open(dir)
    }

    /// Reads everything, and compares everything with everything else: pages, envelopes, index,
    /// counts. Appending and reading go on meanwhile.
    pub fn check(&self) -> Result<Report, ArchiveError> {
        check::check(&self.engine)
    }

    /// The same for an archive that need not be in a state to be opened: what is wrong with it is
    /// in the report. If its pages are, they are all that is looked at.
    ///
    /// # Errors
    /// If it can't be looked at: there is none, it is another program's, it can't be read.
    pub fn check_at(dir: &Path) -> Result<Report, ArchiveError> {
        check::check_at(dir)
    }

    /// The state shared with readers.
    fn shared(&self) -> std::sync::RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared_mut(&self) -> std::sync::RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to write, for an append: whoever prunes steps back.
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

    fn read(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        self.read_query(query, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.has(position)
    }

    fn prune(&self, before: u32) -> Result<u64, ArchiveError> {
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

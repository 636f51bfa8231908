//! The LMDB environment of an archive, and what is checked before it is used.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use heed::{
    AnyTls, CommitOrAbort, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls,
    types::Bytes,
};
use statuskit_lmdb::{
    making::{self, DATA, READING},
    map::{Fault, MappedFile},
    structure::{self, Depth, Faults},
    tree::{self, TreeReader},
};

use crate::{
    ArchiveError,
    archive::embedded::{
        Settings,
        layout::{self, FORMAT, FORMAT_NAME, FORMAT_VERSION, TIME, TOPICS},
    },
};

/// A tree of the engine: bytes to bytes, in the order of the keys.
pub(super) type Tree = heed::Database<'static, Bytes, Bytes>;

/// A transaction of any kind, to read from.
pub(super) type Txn<'a> = RoTxn<'a, AnyTls>;

/// The file that the one writing process locks. LMDB's own lock would let several write in turn,
/// but this module keeps state in memory.
const WRITER: &str = "writer.lock";

/// How long to wait for that lock.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most concurrent read transactions.
const READERS: u32 = 1024;

/// Attempts to find a transaction that no commits overtake.
const ATTEMPTS: u32 = 1000;

/// The address space reserved for the file to grow in. It costs nothing else.
#[cfg(target_pointer_width = "64")]
const MAP: u64 = 1 << 40;
#[cfg(not(target_pointer_width = "64"))]
const MAP: u64 = 1 << 29;

/// The engine, its trees, and a view of the file that does not trust it.
#[derive(Debug)]
pub(super) struct Engine {
    env: Env<WithoutTls>,
    trees: Trees,
    map: MappedFile,
    data: PathBuf,
    /// Whether every page was checked.
    is_inspected: AtomicBool,
    /// What that found wrong: from then on nothing is read or written.
    damage: OnceLock<String>,
    /// Holds the lock while the engine is open for writing.
    _writer: Option<File>,
}

/// See [`layout`](super::layout).
#[derive(Debug, Clone, Copy)]
pub(super) struct Trees {
    pub(super) time: Tree,
    pub(super) topics: Tree,
    pub(super) counts: Tree,
    pub(super) fresh: Tree,
    pub(super) meta: Tree,
}

/// The two large trees as of one transaction, which it holds.
pub(super) struct Snapshot<'a> {
    txn: RoTxn<'a, WithoutTls>,
    time: TreeReader<'a>,
    topics: TreeReader<'a>,
}

impl Snapshot<'_> {
    pub(super) fn txn(&self) -> &Txn<'_> {
        &self.txn
    }

    /// The number of the transaction.
    pub(super) fn id(&self) -> usize {
        self.txn.id()
    }

    pub(super) fn time(&self) -> TreeReader<'_> {
        self.time
    }

    pub(super) fn topics(&self) -> TreeReader<'_> {
        self.topics
    }
}

impl Engine {
    /// Opens an archive for reading and writing, and creates it if there is none.
    pub(super) fn open(dir: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        let data = dir.join(DATA);
        // Creates nothing in a directory that is not ours.
        if size(&data)? == 0 {
            if settings.existing {
                return Err(no_archive(dir));
            }
            make_dir(dir)?;
            refuse_strangers(dir)?;
        }
        let writer = lock(dir)?;
        let open = || Self::open_files(dir, settings);
        let (env, map, trees) = if size(&data)? == 0 {
            making::make(dir, READERS, |error| engine_error(heed::Error::Io(error)), open)?
        } else {
            open()?
        };
        Ok(Self::new(env, map, trees, data, Some(writer)))
    }

    fn open_files(
        dir: &Path,
        settings: &Settings,
    ) -> Result<(Env<WithoutTls>, MappedFile, Trees), ArchiveError> {
        let data = dir.join(DATA);
        let size = size(&data)?;
        if size > 0 {
            sound(ends(&data)?)?;
        }
        let (env, map) = map(dir, size, settings.limit, EnvFlags::empty())?;
        // Readers that were killed would keep old pages from being reused.
        env.clear_stale_readers().map_err(engine_error)?;
        if size > 0 {
            sound(look(&env, &data, Depth::Opening)?)?;
        }
        let trees = create(&env)?;
        Ok((env, map, trees))
    }

    /// Opens an archive for reading. Another process may be writing.
    pub(super) fn open_read_only(dir: &Path) -> Result<Self, ArchiveError> {
        let (env, map) = Self::map_read_only(dir)?;
        let data = dir.join(DATA);
        sound(look(&env, &data, Depth::Opening)?)?;
        let trees = find(&env)?.ok_or_else(|| no_archive(dir))?;
        Ok(Self::new(env, map, trees, data, None))
    }

    fn new(
        env: Env<WithoutTls>,
        map: MappedFile,
        trees: Trees,
        data: PathBuf,
        _writer: Option<File>,
    ) -> Self {
        let (is_inspected, damage) = (AtomicBool::new(false), OnceLock::new());
        Self { env, trees, map, data, is_inspected, damage, _writer }
    }

    /// Returns what is wrong with the pages of an archive, without showing them to the engine.
    pub(super) fn examine(dir: &Path) -> Result<Faults, ArchiveError> {
        match Self::map_read_only(dir) {
            Ok((env, _)) => look(&env, &dir.join(DATA), Depth::All),
            Err(ArchiveError::Damaged(_)) => {
                let data = dir.join(DATA);
                structure::examine(&data, layout::shape_of)
                    .map_err(|source| io_error(&data, "read", source))
            }
            Err(error) => Err(error),
        }
    }

    fn map_read_only(dir: &Path) -> Result<(Env<WithoutTls>, MappedFile), ArchiveError> {
        let data = dir.join(DATA);
        let size = size(&data)?;
        if size == 0 {
            return Err(no_archive(dir));
        }
        sound(ends(&data)?)?;
        map(dir, size, None, EnvFlags::READ_ONLY)
    }

    /// Returns what is wrong with its pages.
    pub(super) fn examine_now(&self) -> Result<Faults, ArchiveError> {
        look(&self.env, &self.data, Depth::All)
    }

    /// Checks every page, unless that was done already.
    pub(super) fn inspect(&self) -> Result<(), ArchiveError> {
        if !self.is_inspected.load(Ordering::Relaxed) {
            self.usable()?;
            let looked = sound(self.examine_now()?);
            if let Err(ArchiveError::Damaged(what)) = &looked {
                // Another thread may have been faster.
                let _ = self.damage.set(what.clone());
            }
            looked?;
            self.is_inspected.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), ArchiveError> {
        match self.damage.get() {
            Some(what) => Err(ArchiveError::Damaged(what.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn trees(&self) -> &Trees {
        &self.trees
    }

    pub(super) fn is_read_only(&self) -> bool {
        self._writer.is_none()
    }

    /// Begins to read what was committed.
    ///
    /// The engine itself may only read `counts`, `fresh` and `meta`, which were checked at opening.
    pub(super) fn reader(&self) -> Result<RoTxn<'_, WithoutTls>, ArchiveError> {
        self.usable()?;
        self.env.read_txn().map_err(engine_error)
    }

    /// Begins to read `time` and `topics`.
    pub(super) fn snapshot(&self) -> Result<Snapshot<'_>, ArchiveError> {
        for attempt in 0..ATTEMPTS {
            let txn = self.reader()?;
            if let Some(snapshot) = self.map.snapshot(txn.id() as u64) {
                let (time, topics) = large_trees(&snapshot)?;
                return Ok(Snapshot { txn, time, topics });
            }
            // Another process commits just now.
            if attempt > 2 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Err(busy())
    }

    /// Begins to write. What the engine is made to touch is to be checked before:
    /// [`check_paths`](Self::check_paths), or [`inspect`](Self::inspect) for removals, which
    /// touch the neighbours of a page, too.
    pub(super) fn writer(&self) -> Result<RwTxn<'_>, ArchiveError> {
        self.usable()?;
        self.env.write_txn().map_err(engine_error)
    }

    /// Checks the pages where these keys of `time` and of `topics` are or go; both ascend. Only
    /// for the one process that writes.
    pub(super) fn check_paths<'k>(
        &self,
        time: impl Iterator<Item = &'k [u8]>,
        topics: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), ArchiveError> {
        let Some(newest) = self.map.newest() else {
            return Err(ArchiveError::Damaged("it has no meta page".to_owned()));
        };
        let (time_tree, topics_tree) = large_trees(&newest)?;
        time_tree.check_paths(time)?;
        topics_tree.check_paths(topics)?;
        Ok(())
    }

    /// Commits durably. After an error nothing was written.
    pub(super) fn commit(&self, txn: RwTxn<'_>) -> Result<(), ArchiveError> {
        let committed = txn.commit().map_err(|error| match error {
            // The engine returns EIO for a short write, too: mostly because the disk is full.
            heed::Error::Io(error) if error.raw_os_error() == Some(EIO) => {
                let source = self.no_room().unwrap_or(error);
                engine_error(heed::Error::Io(source))
            }
            error => engine_error(error),
        });
        // Remembers its state before the next commit begins.
        self.map.newest();
        committed
    }

    /// Returns why no page can be added to the file, if none can.
    fn no_room(&self) -> Option<io::Error> {
        let mut file = OpenOptions::new().write(true).open(&self.data).ok()?;
        file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&[0; 4096])).err()
    }

    /// Releases what readers of dead processes hold.
    pub(super) fn clear_stale_readers(&self) -> Result<(), ArchiveError> {
        self.env.clear_stale_readers().map(drop).map_err(engine_error)
    }

    /// The length of the file.
    pub(super) fn disk(&self) -> Result<u64, ArchiveError> {
        self.env.real_disk_size().map_err(engine_error)
    }
}

/// Checks the pages that the engine reads when it opens a file.
fn ends(data: &Path) -> Result<Faults, ArchiveError> {
    structure::inspect_ends(data).map_err(|source| io_error(data, "open", source))
}

/// Turns faults into an error.
pub(super) fn sound(faults: Faults) -> Result<(), ArchiveError> {
    faults.summary().map_or(Ok(()), |what| Err(ArchiveError::Damaged(what)))
}

/// Checks the pages of the last transaction, which is held meanwhile.
fn look(env: &Env<WithoutTls>, data: &Path, depth: Depth) -> Result<Faults, ArchiveError> {
    for _ in 0..ATTEMPTS {
        let txn = env.read_txn().map_err(engine_error)?;
        let seen = structure::inspect(data, txn.id() as u64, depth, layout::shape_of);
        if let Some(faults) = seen.map_err(|source| io_error(data, "read", source))? {
            return Ok(faults);
        }
        // Two commits have followed, and the file only describes those.
    }
    Err(busy())
}

fn busy() -> ArchiveError {
    ArchiveError::Unusable("others write to the archive all the time: try again".into())
}

/// The trees `time` and `topics` of a snapshot.
fn large_trees<'a>(
    snapshot: &tree::Snapshot<'a>,
) -> Result<(TreeReader<'a>, TreeReader<'a>), ArchiveError> {
    let tree = |name: &[u8]| {
        let tree = snapshot.tree(name, layout::shape_of(name).0)?;
        let missing = || ArchiveError::Damaged(format!("no tree {}", name.escape_ascii()));
        tree.ok_or_else(missing)
    };
    Ok((tree(TIME)?, tree(TOPICS)?))
}

impl From<Fault> for ArchiveError {
    fn from(fault: Fault) -> Self {
        Self::Damaged(fault.to_string())
    }
}

/// The length of a file; 0 if it is not there.
fn size(path: &Path) -> Result<u64, ArchiveError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(io_error(path, "open", source)),
    }
}

/// The error "input/output error", the same number on all systems with that name.
const EIO: i32 = 5;

/// Opens the engine itself, and our own view of its file.
#[allow(unsafe_code)]
fn map(
    dir: &Path,
    size: u64,
    limit: Option<u64>,
    flags: EnvFlags,
) -> Result<(Env<WithoutTls>, MappedFile), ArchiveError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.max_dbs(8).max_readers(READERS);
    let wanted = size.saturating_mul(4).next_power_of_two().max(MAP);
    let mut len = limit.map_or(wanted, |limit| limit.next_multiple_of(1 << 16).max(size));
    loop {
        let map_len = usize::try_from(len).unwrap_or(usize::MAX & !0xffff);
        options.map_size(map_len);
        // SAFETY: The file is mapped, so nobody may change it but the engine.
        // - One process writes to it at a time: `lock` is held as long as the environment lives.
        //   Read-only environments never write. (`no_room` appends zeros behind the last page in
        //   use, which nobody reads.) The files are in a directory of their own, with access for
        //   the owner only; writing to them by other means breaks the contract that this module's
        //   documentation states.
        // - The engine gets to read checked pages only: those of its opening (`ends`, then `look`
        //   at `Depth::Opening`), those where it writes (`Engine::check_paths`), and all of them
        //   before it removes or compares (`Engine::inspect`). Everything else is read through
        //   `MappedFile`, which checks as it goes.
        // - What is read there does not outlive the transaction: `Snapshot` holds both.
        // - None of the flags that weaken the guarantees (NO_LOCK, NO_SYNC, ...) is used.
        let opened = unsafe {
            options.flags(flags);
            options.open(dir).and_then(|env| {
                let map = MappedFile::open(&dir.join(DATA), map_len).map_err(heed::Error::Io)?;
                Ok((env, map))
            })
        };
        match opened {
            Ok(opened) => return Ok(opened),
            // The system has less of the address space to give.
            Err(heed::Error::Io(error))
                if error.kind() == io::ErrorKind::OutOfMemory && len / 2 > size.max(1 << 28) =>
            {
                len /= 2;
            }
            Err(error) => return Err(engine_error(error)),
        }
    }
}

/// Finds the trees of an archive.
fn find(env: &Env<WithoutTls>) -> Result<Option<Trees>, ArchiveError> {
    let txn = env.read_txn().map_err(engine_error)?;
    let trees = env
        .open_databases_and_commit(txn, |opener, txn| {
            let open = |name| opener.open_database::<Bytes, Bytes>(txn, Some(name));
            let trees =
                [open("time")?, open("topics")?, open("counts")?, open("fresh")?, open("meta")?];
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(trees))
        })
        .map_err(engine_error)?;
    let Some([Some(time), Some(topics), Some(counts), Some(fresh), Some(meta)]) = trees.commit()
    else {
        return Ok(None);
    };
    let txn = env.read_txn().map_err(engine_error)?;
    check_format(meta.get(&txn, FORMAT).map_err(engine_error)?)?;
    Ok(Some(Trees { time, topics, counts, fresh, meta }))
}

/// Finds the trees of an archive, and creates them if the file is new.
fn create(env: &Env<WithoutTls>) -> Result<Trees, ArchiveError> {
    if let Some(trees) = find(env)? {
        return Ok(trees);
    }
    if env.unnamed_database_stat().entries > 0 {
        return Err(ArchiveError::Unusable("the file is a database of another program".into()));
    }
    let txn = env.write_txn().map_err(engine_error)?;
    let trees = env
        .create_databases_and_commit(txn, |opener, txn| {
            let mut open = |name| opener.create_database::<Bytes, Bytes>(txn, Some(name));
            let trees =
                [open("time")?, open("topics")?, open("counts")?, open("fresh")?, open("meta")?];
            trees[4].put(txn, FORMAT, &[FORMAT_NAME, FORMAT_VERSION].concat())?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(trees))
        })
        .map_err(engine_error)?;
    match trees.commit() {
        Some([time, topics, counts, fresh, meta]) => {
            Ok(Trees { time, topics, counts, fresh, meta })
        }
        None => Err(ArchiveError::Unusable("the trees could not be created".into())),
    }
}

fn check_format(format: Option<&[u8]>) -> Result<(), ArchiveError> {
    let version = format.and_then(|format| format.strip_prefix(FORMAT_NAME));
    let Some(version) = version else {
        return Err(ArchiveError::Unusable("the file is a database of another program".into()));
    };
    if version != FORMAT_VERSION {
        return Err(ArchiveError::Unusable(format!(
            "the archive has the layout of version {}, this program reads version {}",
            version.escape_ascii(),
            FORMAT_VERSION.escape_ascii()
        )));
    }
    Ok(())
}

/// Creates the directory if there is none, for its owner only.
fn make_dir(dir: &Path) -> Result<(), ArchiveError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| io_error(dir, "create", source))
}

/// Refuses a directory with other things in it. A process that was killed while it made an archive
/// may have left empty files.
fn refuse_strangers(dir: &Path) -> Result<(), ArchiveError> {
    for found in fs::read_dir(dir).map_err(|source| io_error(dir, "read", source))? {
        let name = found.map_err(|source| io_error(dir, "read", source))?.file_name();
        if name != WRITER && name != READING && name != DATA {
            return Err(ArchiveError::Unusable(format!(
                "{} is neither an archive nor an empty directory: it contains {name:?}",
                dir.display()
            )));
        }
    }
    Ok(())
}

/// Locks the archive for writing.
fn lock(dir: &Path) -> Result<File, ArchiveError> {
    let path = dir.join(WRITER);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|source| io_error(&path, "open", source))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that has just been killed may still hold it.
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(ArchiveError::Unusable(format!(
                    "the archive {} is in use by another process, or twice in this one",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(source)) => return Err(io_error(&path, "lock", source)),
        }
    }
}

fn no_archive(dir: &Path) -> ArchiveError {
    ArchiveError::Unusable(format!("there is no archive in {}", dir.display()))
}

pub(super) fn io_error(path: &Path, verb: &str, source: io::Error) -> ArchiveError {
    ArchiveError::Io { what: format!("could not {verb} {}", path.display()), source }
}

/// Translates an error of the engine.
pub(super) fn engine_error(error: heed::Error) -> ArchiveError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error {
        heed::Error::Io(source)
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
        {
            ArchiveError::Full(source.to_string())
        }
        heed::Error::Io(source) => {
            ArchiveError::Io { what: "the archive's file failed".into(), source }
        }
        heed::Error::Mdb(MdbError::MapFull) => {
            ArchiveError::Full("it has reached its maximum size".into())
        }
        heed::Error::Mdb(MdbError::Panic) => {
            ArchiveError::Unusable("the archive's file failed; it must be opened again".into())
        }
        heed::Error::Mdb(MdbError::MapResized) => {
            ArchiveError::Unusable("the archive has outgrown this process: open it again".into())
        }
        heed::Error::Mdb(MdbError::ReadersFull) => {
            ArchiveError::Unusable(format!("more than {READERS} read the archive at once"))
        }
        heed::Error::Mdb(
            error @ (MdbError::PageNotFound
            | MdbError::Corrupted
            | MdbError::Invalid
            | MdbError::VersionMismatch
            | MdbError::NotFound
            | MdbError::Incompatible
            | MdbError::Problem
            | MdbError::CursorFull
            | MdbError::PageFull),
        ) => ArchiveError::Damaged(error.to_string()),
        error => ArchiveError::Unusable(error.to_string()),
    }
}

//! The engine below: LMDB, opened with the precautions that a mapped file asks for.

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
    structure::{self, Depth, Faults},
};

use crate::{
    ArchiveError,
    archive::embedded::{
        Settings,
        layout::{self, FORMAT, FORMAT_NAME, FORMAT_VERSION},
    },
};

/// A tree of the engine: bytes to bytes, in the order of the keys.
pub type Tree = heed::Database<'static, Bytes, Bytes>;

/// The file that the one process that writes has locked. (The engine's own lock lets several write
/// in turn; ours keeps state in memory.)
const WRITER: &str = "writer.lock";

/// How long to wait for that lock.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many may read at once.
const READERS: u32 = 1024;

/// How much of the address space is reserved for the file to grow in. It costs nothing else.
#[cfg(target_pointer_width = "64")]
const MAP: u64 = 1 << 40;
#[cfg(not(target_pointer_width = "64"))]
const MAP: u64 = 1 << 30;

/// The engine, and the trees in it.
#[derive(Debug)]
pub struct Engine {
    env: Env<WithoutTls>,
    trees: Trees,
    data: PathBuf,
    /// Whether every page was looked at.
    whole: AtomicBool,
    /// What was found wrong with its pages: from then on they are not touched.
    damage: OnceLock<String>,
    /// Held, and with it the lock, as long as the engine is open for writing.
    _writer: Option<File>,
}

/// See [`layout`](super::layout).
#[derive(Debug, Clone, Copy)]
pub struct Trees {
    pub time: Tree,
    pub topics: Tree,
    pub counts: Tree,
    pub fresh: Tree,
    pub meta: Tree,
}

impl Engine {
    /// Opens an archive for reading and writing, and makes it if there is none.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        let data = dir.join(DATA);
        // Nothing is left in a directory that is not ours.
        if size(&data)? == 0 {
            if settings.existing {
                return Err(no_archive(dir));
            }
            make_dir(dir)?;
            refuse_strangers(dir)?;
        }
        let writer = lock(dir)?;
        let open = || Self::open_files(dir, settings);
        let (env, trees, whole) = if size(&data)? == 0 {
            making::make(dir, READERS, |error| engine_error(heed::Error::Io(error)), open)?
        } else {
            open()?
        };
        Ok(Self {
            env,
            trees,
            data,
            whole: whole.into(),
            damage: OnceLock::new(),
            _writer: Some(writer),
        })
    }

    /// The files of an archive that nobody else has open for writing, and whether every page was
    /// looked at.
    fn open_files(
        dir: &Path,
        settings: &Settings,
    ) -> Result<(Env<WithoutTls>, Trees, bool), ArchiveError> {
        let data = dir.join(DATA);
        let size = size(&data)?;
        if size > 0 {
            sound(ends(&data)?)?;
        }
        let env = map(dir, size, settings.limit, EnvFlags::empty())?;
        // Those who read and were killed would keep old pages from being used again.
        env.clear_stale_readers().map_err(engine_error)?;
        let whole = size <= settings.whole_up_to();
        if size > 0 {
            sound(look(&env, &data, if whole { Depth::All } else { Depth::Opening })?)?;
        }
        let trees = create(&env)?;
        Ok((env, trees, whole))
    }

    /// Opens an archive for reading. Another process may be writing.
    pub fn open_read_only(dir: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        let (env, size) = Self::map_read_only(dir)?;
        let data = dir.join(DATA);
        let whole = size <= settings.whole_up_to();
        sound(look(&env, &data, if whole { Depth::All } else { Depth::Opening })?)?;
        let trees = find(&env)?.ok_or_else(|| no_archive(dir))?;
        Ok(Self { env, trees, data, whole: whole.into(), damage: OnceLock::new(), _writer: None })
    }

    /// What is wrong with the pages of an archive. The engine doesn't get to see them.
    pub fn examine(dir: &Path) -> Result<Faults, ArchiveError> {
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

    fn map_read_only(dir: &Path) -> Result<(Env<WithoutTls>, u64), ArchiveError> {
        let data = dir.join(DATA);
        let size = size(&data)?;
        if size == 0 {
            return Err(no_archive(dir));
        }
        sound(ends(&data)?)?;
        Ok((map(dir, size, None, EnvFlags::READ_ONLY)?, size))
    }

    /// What is wrong with its pages.
    pub fn examine_now(&self) -> Result<Faults, ArchiveError> {
        look(&self.env, &self.data, Depth::All)
    }

    /// Looks at every page, unless that was done already.
    pub fn inspect(&self) -> Result<(), ArchiveError> {
        if !self.whole.load(Ordering::Relaxed) {
            self.usable()?;
            let looked = sound(self.examine_now()?);
            if let Err(ArchiveError::Damaged(what)) = &looked {
                // Another who found something, too, may have been faster.
                let _ = self.damage.set(what.clone());
            }
            looked?;
            self.whole.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), ArchiveError> {
        match self.damage.get() {
            Some(what) => Err(ArchiveError::Damaged(what.clone())),
            None => Ok(()),
        }
    }

    pub fn trees(&self) -> &Trees {
        &self.trees
    }

    pub fn is_read_only(&self) -> bool {
        self._writer.is_none()
    }

    /// A consistent view of everything that was committed.
    pub fn reader(&self) -> Result<RoTxn<'_, WithoutTls>, ArchiveError> {
        self.usable()?;
        self.env.read_txn().map_err(engine_error)
    }

    pub fn writer(&self) -> Result<RwTxn<'_>, ArchiveError> {
        self.usable()?;
        self.env.write_txn().map_err(engine_error)
    }

    /// Makes what was written durable. On an error nothing of it was done.
    pub fn commit(&self, txn: RwTxn<'_>) -> Result<(), ArchiveError> {
        txn.commit().map_err(|error| match error {
            // The engine says this of a write that was cut short, too: a full disk, in most cases.
            heed::Error::Io(error) if error.raw_os_error() == Some(EIO) => {
                let source = self.no_room().unwrap_or(error);
                engine_error(heed::Error::Io(source))
            }
            error => engine_error(error),
        })
    }

    /// Why no page can be added to the file, if none can.
    fn no_room(&self) -> Option<io::Error> {
        let mut file = OpenOptions::new().write(true).open(&self.data).ok()?;
        file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&[0; 4096])).err()
    }

    /// Frees what readers hold who no longer live.
    pub fn clear_stale_readers(&self) -> Result<(), ArchiveError> {
        self.env.clear_stale_readers().map(drop).map_err(engine_error)
    }

    /// The length of the file.
    pub fn disk(&self) -> Result<u64, ArchiveError> {
        self.env.real_disk_size().map_err(engine_error)
    }
}

/// Looks at the pages that the engine reads when it opens a file.
fn ends(data: &Path) -> Result<Faults, ArchiveError> {
    structure::inspect_ends(data).map_err(|source| io_error(data, "open", source))
}

/// Faults are an error.
pub fn sound(faults: Faults) -> Result<(), ArchiveError> {
    faults.summary().map_or(Ok(()), |what| Err(ArchiveError::Damaged(what)))
}

/// Looks at the pages of the last transaction, which is held meanwhile.
fn look(env: &Env<WithoutTls>, data: &Path, depth: Depth) -> Result<Faults, ArchiveError> {
    for _ in 0..1000 {
        let txn = env.read_txn().map_err(engine_error)?;
        let seen = structure::inspect(data, txn.id() as u64, depth, layout::shape_of);
        if let Some(faults) = seen.map_err(|source| io_error(data, "read", source))? {
            return Ok(faults);
        }
        // Two have been committed since, and the file only tells of those: look at the newer one.
    }
    Err(ArchiveError::Unusable("others write to the archive all the time: try again".into()))
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

/// Opens the engine itself.
#[allow(unsafe_code)]
fn map(
    dir: &Path,
    size: u64,
    limit: Option<u64>,
    flags: EnvFlags,
) -> Result<Env<WithoutTls>, ArchiveError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.max_dbs(8).max_readers(READERS);
    let wanted = size.saturating_mul(4).next_power_of_two().max(MAP);
    let mut len = limit.map_or(wanted, |limit| limit.next_multiple_of(1 << 16).max(size));
    loop {
        options.map_size(usize::try_from(len).unwrap_or(usize::MAX & !0xffff));
        // SAFETY: The file is mapped, so nobody may change it but the engine.
        // - Only we write to it, and one process at a time: `lock` is held for as long as the
        //   environment lives. Read-only environments never write. (`no_room` adds zeros behind
        //   the last page that is in use, which nobody reads.) The files are in a directory of
        //   their own, with access for the owner only; whoever writes to them by other means
        //   breaks the contract that this module's documentation states.
        // - The file's ends are there: `structure::inspect_ends` looked. The engine reads no other
        //   page before `structure::inspect` has seen to it that it can be: those that are read at
        //   opening, and all of a file that is not large. (The pages of a large one are looked at
        //   by `Engine::inspect`, when the caller says so.)
        // - None of the flags that weaken the guarantees (NO_LOCK, NO_SYNC, ...) is used.
        let opened = unsafe {
            options.flags(flags);
            options.open(dir)
        };
        match opened {
            Ok(env) => return Ok(env),
            // Less of the address space than the system has is asked for then.
            Err(heed::Error::Io(error))
                if error.kind() == io::ErrorKind::OutOfMemory && len / 2 > size.max(1 << 28) =>
            {
                len /= 2;
            }
            Err(error) => return Err(engine_error(error)),
        }
    }
}

/// The trees of an archive that is there.
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

/// The trees of an archive, made if the file is new.
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
        None => Err(ArchiveError::Unusable("the trees could not be made".into())),
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

/// Makes the directory if there is none, for its owner only.
fn make_dir(dir: &Path) -> Result<(), ArchiveError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| io_error(dir, "make", source))
}

/// A directory with other things in it, and no archive, is not taken over. An empty file is left
/// behind by whoever was killed while making one.
fn refuse_strangers(dir: &Path) -> Result<(), ArchiveError> {
    for found in fs::read_dir(dir).map_err(|source| io_error(dir, "read", source))? {
        let name = found.map_err(|source| io_error(dir, "read", source))?.file_name();
        if name != WRITER && name != READING && name != DATA {
            return Err(ArchiveError::Unusable(format!(
                "{} is not an archive, nor an empty directory: it has {name:?}",
                dir.display()
            )));
        }
    }
    Ok(())
}

/// Takes the lock of the process that writes.
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
            // A process that only reads holds it for a moment, when it opens the archive.
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

pub fn io_error(path: &Path, verb: &str, source: io::Error) -> ArchiveError {
    ArchiveError::Io { what: format!("could not {verb} {}", path.display()), source }
}

/// What an error of the engine means here.
pub fn engine_error(error: heed::Error) -> ArchiveError {
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
            ArchiveError::Full("it has reached its greatest size".into())
        }
        heed::Error::Mdb(MdbError::Panic) => ArchiveError::Unusable(
            "the archive's file failed in a way that asks for opening it again".into(),
        ),
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

/// A transaction of any kind: what reads needs no more.
pub type Txn<'a> = RoTxn<'a, AnyTls>;

//! The state of a device in a directory. A commit is one write and one `fdatasync`.
//!
//! | file | content |
//! | --- | --- |
//! | `lock` | locked by the one process that uses the store; not empty once there is a journal; its second line is the id of that process, and its program |
//! | `socket` | where that process serves the store to others; see `share` |
//! | `journal` | all records; see `journal.rs` |
//! | `journal.new`, `journal.old` | exist only while one journal replaces another |
//!
//! When a journal is full, a new one with the current records replaces it. The new one is durable
//! before it takes the name; then the old one is overwritten with zeros and removed. After a crash,
//! the next opening completes this. It drops a last commit that was cut off, since that never
//! returned. Any other damage is an error.
//!
//! Opening converts a store of version 0.1 in the same way; see `legacy.rs`.
//!
//! # Secrets on disk
//!
//! A password encrypts records and their names; see `seal.rs`. Without one, only the mode of the
//! files (0600) protects them.
//!
//! Replaced and deleted records, with old keys among them, stay in the journal until it is full. That
//! takes 1 MiB of commits, or as many bytes as the store holds if these are more.
//! [`wipe`](Store::wipe) replaces the journal at once. When it returns, zeros have been written over
//! the old one and synced. This does not reach:
//!
//! - the spare blocks of SSDs and SD cards, which write to another place and keep old contents;
//! - old blocks of file systems that do the same (btrfs, ZFS), snapshots, and journals of file data;
//! - copies: backups, swap, images of virtual machines.
//!
//! A password protects these, too, as long as it stays secret. It can't be changed.

mod files;
mod journal;
mod legacy;
mod seal;

use std::{
    fmt,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::{Path, PathBuf},
};

use statuskit_core::secure::{
    MemoryStore,
    store::{Changes, Record, Store, StoreError, Visit},
};

use self::{
    files::{JOURNAL, NEW, io_error},
    journal::{Journal, damaged},
    legacy::Legacy,
    seal::Seal,
};

/// A store in a directory, for one process at a time.
///
/// Replaced and deleted records stay on disk for a while: see [Secrets on disk](self#secrets-on-disk).
pub struct DiskStore {
    journal: Journal,
    seal: Seal,
    /// A write failed, so the content of the disk is unknown.
    failed: bool,
    path: PathBuf,
    /// Locked while it is open. The last field, because it must be dropped last.
    _lock: File,
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens the store of a directory, and creates both if they are missing.
    ///
    /// A password encrypts a new store. An existing one needs the password it was created with.
    ///
    /// # Errors
    ///
    /// If another process has the store open, if the password is wrong, missing or not needed, if
    /// the files are damaged or of another version, or if reading or writing fails.
    pub fn open(path: &Path, password: Option<&[u8]>) -> Result<Self, StoreError> {
        Self::open_with_cost(path, password, seal::DEFAULT_LOG_N)
    }

    /// Opens the store of a directory, and creates nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no store; else as for [`open`](Self::open).
    pub fn open_existing(path: &Path, password: Option<&[u8]>) -> Result<Self, StoreError> {
        Self::find(path, password, None)
    }

    /// Reads all records of a store into memory, without changing a file or waiting for a process
    /// that uses it. A commit of that process which is being written is not in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no store of this version, which opening would convert; else
    /// as for [`open`](Self::open).
    pub fn snapshot(path: &Path, password: Option<&[u8]>) -> Result<MemoryStore, StoreError> {
        let journal = Journal::open_to_read(&path.join(JOURNAL))?;
        let journal = journal.ok_or_else(|| StoreError::Missing { path: path.to_owned() })?;
        let seal = Seal::open(&journal.header, password)?;
        let mut changes = Changes::default();
        for stored in journal.scan(b"") {
            let (name, sealed) = stored?;
            let (key, record) = seal.open_any(&name, sealed)?;
            changes.put(key, record);
        }
        let mut copy = MemoryStore::new();
        copy.commit(&changes)?;
        Ok(copy)
    }

    /// Opens a store as [`open`](Self::open) does, with 2^`log_n` KiB of scrypt for a new one.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with_cost(
        path: &Path,
        password: Option<&[u8]>,
        log_n: u8,
    ) -> Result<Self, StoreError> {
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(io_error("create", path))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            files::sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        Self::find(path, password, Some(log_n))
    }

    /// Opens a store. If it is missing and a cost of scrypt is given, creates it.
    fn find(path: &Path, password: Option<&[u8]>, log_n: Option<u8>) -> Result<Self, StoreError> {
        let missing = || StoreError::Missing { path: path.to_owned() };
        let lock_path = path.join("lock");
        let marked = || fs::metadata(&lock_path).is_ok_and(|found| found.len() > 0);
        if log_n.is_none() && !marked() && !legacy::is_there(path)? {
            return Err(missing());
        }
        let lock = files::open_private(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let (path, by) = (path.to_owned(), user_of(&lock_path));
                return Err(StoreError::Locked { path, by });
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        files::settle(path)?;
        let (journal, seal) = match load(path, password)? {
            Some(found) => found,
            None if marked() => return Err(damaged(&path.join(JOURNAL), "it is missing")),
            None => {
                let (seal, header) = Seal::create(password, log_n.ok_or_else(missing)?)?;
                (create(path, &header, [], 0)?, seal)
            }
        };
        // The journal has its records now.
        legacy::erase_database(path)?;
        if !marked() {
            // From now on, a missing journal is damage.
            let written = lock.write_all_at(MARK, 0).and_then(|()| lock.sync_all());
            written.map_err(io_error("write", &lock_path))?;
        }
        // Others can do without.
        let _ = sign(&lock);
        Ok(Self { journal, seal, failed: false, path: path.to_owned(), _lock: lock })
    }

    /// Writes, unless a write has failed before.
    fn try_write(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let result = write(self);
        self.failed = result.is_err();
        result
    }

    /// Replaces the journal with one of the current records.
    fn rewrite(&mut self, more: u64) -> Result<(), StoreError> {
        let records = self.journal.scan(b"");
        self.journal = create(&self.path, &self.journal.header, records, more)?;
        Ok(())
    }
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let name = self.seal.name(key);
        let sealed = self.journal.get(&name)?;
        sealed.map(|sealed| self.seal.open_record(&name, key, sealed)).transpose()
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.try_write(|store| {
            let sealed: Vec<_> = changes
                .iter()
                .map(|(key, record)| {
                    let name = store.seal.name(key);
                    let record = record.map(|record| store.seal.seal(&name, key, record));
                    (name, record)
                })
                .collect();
            let entry = journal::draft_changes(
                sealed.iter().map(|(name, record)| (&name[..], record.as_deref())),
            );
            if !store.journal.has_room(&entry) {
                store.rewrite(entry.len() as u64)?;
            }
            store.journal.put(entry, true)
        })
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        self.try_write(|store| store.rewrite(0))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for stored in self.journal.scan(&self.seal.prefix(prefix)) {
            let (name, sealed) = stored?;
            let (key, record) = self.seal.open_any(&name, sealed)?;
            if key.starts_with(prefix) {
                visit(&key, &record)?;
            }
        }
        Ok(())
    }
}

/// The first line of a lock once there is a journal.
const MARK: &[u8] = b"state\n";

/// Writes which process has locked a store.
fn sign(lock: &File) -> io::Result<()> {
    let line = format!("{} {}\n", std::process::id(), crate::share::program());
    lock.write_all_at(line.as_bytes(), MARK.len() as u64)?;
    lock.set_len((MARK.len() + line.len()) as u64)
}

/// Returns which process has locked a store.
fn user_of(lock: &Path) -> String {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let signed = text.lines().nth(1).and_then(|line| line.split_once(' '));
    match signed.and_then(|(pid, program)| Some((pid.parse::<u32>().ok()?, program))) {
        Some((pid, program)) => {
            let program: String = program.chars().map(crate::share::plain).take(32).collect();
            format!("process {pid} ({program})")
        }
        None => "another process".to_owned(),
    }
}

/// Opens the journal of a directory, or converts a store of version 0.1. `None` without either.
fn load(dir: &Path, password: Option<&[u8]>) -> Result<Option<(Journal, Seal)>, StoreError> {
    if let Some(journal) = Journal::open(&dir.join(JOURNAL))? {
        let seal = Seal::open(&journal.header, password)?;
        return Ok(Some((journal, seal)));
    }
    let Some(Legacy { header, records }) = legacy::read(dir)? else { return Ok(None) };
    let seal = Seal::open(&header, password)?;
    let journal = create(dir, &header, records.into_iter().map(Ok), 0)?;
    Ok(Some((journal, seal)))
}

/// Creates a journal with these records, in the place of any other.
fn create(
    dir: &Path,
    header: &[u8],
    records: impl IntoIterator<Item = Result<(Vec<u8>, Record), StoreError>>,
    more: u64,
) -> Result<Journal, StoreError> {
    // An unfinished one may hold secrets.
    let journal = Journal::create(dir, header, records, more)
        .inspect_err(|_| _ = files::erase(&dir.join(NEW)))?;
    files::replace(dir)?;
    Ok(journal)
}

#[cfg(test)]
mod conversion;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod tests;

//! A store in a directory: an LMDB database, and a journal in front of it.
//!
//! A commit is one write to the journal and one `fdatasync`; a commit of LMDB alone would wait for
//! the disk twice, in places that differ. What is in the journal is also kept in memory, and moves
//! to the database when the journal is full, in one transaction; then the journal is overwritten and
//! begins anew. On opening, what the journal holds beyond the database is read back; a last record
//! that was cut off by a crash belongs to a commit that never returned, anything else that is not
//! as it was written is an error: an older state would use message keys again.
//!
//! The database names the journal, and says whether it has begun. It says so only when the new
//! journal is on the disk, and no commit goes there before: a crash in between, or while the store
//! is made, leaves a journal without meaning, which the next opening begins anew. The journal is
//! made after the database, so one without the other is damage, too.
//!
//! | file | what |
//! | --- | --- |
//! | `lock` | held by the one process that uses the store |
//! | `journal` | the last commits: see `journal.rs` |
//! | `data.mdb`, `lock.mdb` | the database |
//!
//! Before the engine gets to see its file, all pages in use are looked at (`statuskit_lmdb::lmdb?`).
//!
//! With a password, records and their keys are encrypted: see `seal.rs`. All files are the owner's
//! only.
//!
//! Records that were replaced or deleted stay in the journal until it is full, up to 1 MiB of
//! commits, and in free pages of the database until these are used again.
//! [`wipe`](Store::wipe) overwrites both. What the file system or the disk keeps besides (journals
//! of data, snapshots, backups, the spare blocks of an SSD) is out of reach here: against whoever
//! gets hold of that, only a password helps, as long as it stays secret.

mod journal;
mod seal;
mod table;

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rand::Rng as _;
use statuskit_core::secure::store::{Changes, Record, Store, StoreError, Visit};
use statuskit_lmdb::{
    making::{self, DATA, READING},
    structure::{self, Holds},
};

use self::{
    journal::Journal,
    seal::Seal,
    table::{JournalState, Table},
};
pub use seal::DEFAULT_LOG_N;

/// Records as they are on the disk, by their keys as they are there; `None` is a deletion.
type Stored = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A store in a directory. One process at a time can have it open.
///
/// Records that were replaced or deleted, and keys in them, stay in the files for a while: up to
/// 1 MiB of commits in the journal, and what is in free pages of the database until these are used
/// again. With a password they are encrypted like all others. [`wipe`](Store::wipe) overwrites
/// them, as far as a program can: file systems and disks may keep more.
pub struct DiskStore {
    /// `None` after an error in opening it again.
    table: Option<Table>,
    journal: Journal,
    /// What the journal holds.
    recent: Stored,
    seal: Seal,
    /// A write failed: nobody knows what is on the disk.
    failed: bool,
    path: PathBuf,
    /// Locked as long as it is open; the last field, so that it is the last to be dropped.
    _lock: File,
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens the store of a directory; makes both if they are not there. A new store is encrypted
    /// if there is a password, an old one needs the password that it was made with.
    pub fn open(path: &Path, password: Option<&[u8]>) -> Result<Self, StoreError> {
        Self::open_with_cost(path, password, DEFAULT_LOG_N)
    }

    /// [`open`](Self::open), but only a store that is there: makes neither store nor directory.
    pub fn open_existing(path: &Path, password: Option<&[u8]>) -> Result<Self, StoreError> {
        Self::find(path, password, None)
    }

    /// [`open`](Self::open) with another cost of scrypt for a new store: 2^`log_n` rounds of 1 KiB.
    pub fn open_with_cost(
        path: &Path,
        password: Option<&[u8]>,
        log_n: u8,
    ) -> Result<Self, StoreError> {
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(io_error("make the directory", path))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        Self::find(path, password, Some(log_n))
    }

    /// Opens a store; makes it, at this cost, if there is none and a cost is given.
    fn find(path: &Path, password: Option<&[u8]>, log_n: Option<u8>) -> Result<Self, StoreError> {
        let missing = || StoreError::Missing { path: path.to_owned() };
        let (data, journal_path) = (path.join(DATA), path.join("journal"));
        // The journal comes after the database: without one, nothing was ever in there.
        let is_begun = || {
            let begun = making::is_begun(&data).map_err(io_error("read", &data));
            begun.map(|begun| begun && !journal_path.exists())
        };
        if log_n.is_none() && is_begun()? {
            return Err(missing());
        }
        let lock_path = path.join("lock");
        let lock = private_file(&lock_path).map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        let open = || Table::open(path);
        let table = if is_begun()? {
            making::make(path, table::READERS, io_error("write", &path.join(READING)), open)?
        } else {
            look(&data)?;
            open()?
        };
        let seal = match (table.header()?, log_n) {
            (Some(header), _) => Seal::open(&header, password)?,
            (None, _) if journal_path.exists() => {
                let why = "it is empty, and yet there is a journal".into();
                return Err(StoreError::Damaged { path: data, why });
            }
            (None, None) => return Err(missing()),
            (None, Some(log_n)) => {
                let (seal, header) = Seal::create(password, log_n)?;
                table.create(&header, next_journal()?)?;
                seal
            }
        };
        let JournalState { id, begun } = table.journal()?;
        let (journal, recent) = if begun {
            Journal::open(&journal_path, id)?
        } else {
            // The database first: see above.
            sync_directory(path)?;
            let journal = Journal::create(&journal_path, id)?;
            sync_directory(path)?;
            table.set_journal(JournalState { id, begun: true })?;
            (journal, Stored::new())
        };
        let path = path.to_owned();
        let table = Some(table);
        Ok(Self { table, journal, recent, seal, failed: false, path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.seal.is_encrypted()
    }

    /// Moves what the journal holds, and `more`, to the database, and begins the journal anew.
    fn checkpoint(&mut self, more: &Stored) -> Result<JournalState, StoreError> {
        let next = next_journal()?;
        self.table()?.write([&self.recent, more], next)?;
        self.journal.restart(next.id)?;
        let begun = JournalState { begun: true, ..next };
        self.table()?.set_journal(begun)?;
        self.recent.clear();
        Ok(begun)
    }

    fn overwrite(&mut self) -> Result<(), StoreError> {
        let journal = self.checkpoint(&Stored::new())?;
        // LMDB's buffers are filled again without being cleared, and pages are written with what
        // was left in them: so first new buffers, then new pages, then zeros for the old ones.
        let table = self.table.take().ok_or(StoreError::Failed)?.reopen(&self.path)?;
        let table = self.table.insert(table);
        table.rewrite()?;
        table.overwrite_free(journal)
    }

    fn table(&self) -> Result<&Table, StoreError> {
        self.table.as_ref().ok_or(StoreError::Failed)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut stored = Stored::new();
        for (key, record) in changes.iter() {
            let name = self.seal.name(key);
            let record = record.map(|record| self.seal.seal(&name, key, record));
            stored.insert(name, record);
        }
        if !self.journal.append(&stored)? {
            // It is full, or was always too small for this.
            return self.checkpoint(&stored).map(|_| ());
        }
        self.recent.append(&mut stored);
        Ok(())
    }
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let name = self.seal.name(key);
        match self.recent.get(&name) {
            Some(None) => Ok(None),
            Some(Some(sealed)) => self.seal.open_record(&name, key, sealed).map(Some),
            None => self.table()?.get(&name, |sealed| self.seal.open_record(&name, key, sealed)),
        }
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let result = self.write(changes);
        self.failed = result.is_err();
        result
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let result = self.overwrite();
        self.failed = result.is_err();
        result
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut show = |name: &[u8], sealed: &[u8]| {
            let (key, record) = self.seal.open_any(name, sealed)?;
            if key.starts_with(prefix) { visit(&key, &record) } else { Ok(()) }
        };
        self.table()?.scan(&mut |name, sealed| {
            if self.recent.contains_key(name) { Ok(()) } else { show(name, sealed) }
        })?;
        for (name, sealed) in &self.recent {
            if let Some(sealed) = sealed {
                show(name, sealed)?;
            }
        }
        Ok(())
    }
}

/// Looks at the database without the engine, which a damaged one could crash.
fn look(data: &Path) -> Result<(), StoreError> {
    let length = match fs::metadata(data) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(io_error("read", data)(error)),
    };
    // The engine is about to make it.
    if length == 0 {
        return Ok(());
    }
    let faults = structure::examine(data, Holds::Records).map_err(io_error("read", data))?;
    match faults.summary() {
        None => Ok(()),
        Some(why) => Err(StoreError::Damaged { path: data.to_owned(), why: why.into() }),
    }
}

/// A journal that has not begun.
fn next_journal() -> Result<JournalState, StoreError> {
    let mut id = [0; 16];
    seal::system_rng()?.fill_bytes(&mut id);
    Ok(JournalState { id, begun: false })
}

/// Opens a file that only its owner can read, or makes it.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// So that the names of new files are on the disk, too.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("write", path))
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Io { doing, path: path.to_owned(), error }
}

#[cfg(test)]
mod damage;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LOG_N: u8 = 4;

    fn open(dir: &Path, password: Option<&[u8]>) -> Result<DiskStore, StoreError> {
        DiskStore::open_with_cost(dir, password, LOG_N)
    }

    fn change(pairs: &[(&str, Option<&str>)]) -> Changes {
        let mut changes = Changes::default();
        for (key, record) in pairs {
            match record {
                Some(record) => {
                    changes.put(key.as_bytes().into(), record.as_bytes().to_vec().into())
                }
                None => changes.delete(key.as_bytes().into()),
            }
        }
        changes
    }

    fn all(store: &DiskStore, prefix: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        store
            .scan(prefix.as_bytes(), &mut |key, record| {
                found.push((text(key), text(record)));
                Ok(())
            })
            .unwrap();
        found.sort();
        found
    }

    #[test]
    fn what_was_committed_is_there_again() {
        for password in [None, Some(&b"password"[..])] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path(), password).unwrap();
            store
                .commit(&change(&[("a1", Some("one")), ("a2", Some("two")), ("b", Some("x"))]))
                .unwrap();
            store.checkpoint(&Stored::new()).unwrap();
            store.commit(&change(&[("a1", Some("new")), ("b", None), ("c", Some("y"))])).unwrap();
            for reopened in [false, true] {
                if reopened {
                    drop(store);
                    store = open(dir.path(), password).unwrap();
                }
                let get = |key: &str| store.get(key.as_bytes()).unwrap().map(|r| r.to_vec());
                assert_eq!(get("a1").as_deref(), Some(&b"new"[..]));
                assert_eq!(get("a2").as_deref(), Some(&b"two"[..]));
                assert_eq!((get("b"), get("d")), (None, None));
                let pairs = |of: &[(&str, &str)]| -> Vec<(String, String)> {
                    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
                };
                assert_eq!(all(&store, "a"), pairs(&[("a1", "new"), ("a2", "two")]));
                assert_eq!(all(&store, "").len(), 3);
            }
            assert_eq!(store.is_encrypted(), password.is_some());
        }
    }

    #[test]
    fn a_full_journal_moves_to_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), None).unwrap();
        let journal = store.table().unwrap().journal().unwrap();
        let long = "x".repeat(100_000);
        for n in 0..40 {
            let key = format!("k{n}");
            store.commit(&change(&[(&key, Some(&long)), ("last", Some(&key))])).unwrap();
        }
        assert_ne!(store.table().unwrap().journal().unwrap(), journal);
        // More than the journal ever takes.
        let huge = "y".repeat(2 * journal::SIZE);
        store.commit(&change(&[("huge", Some(&huge)), ("k0", None)])).unwrap();
        drop(store);
        let store = open(dir.path(), None).unwrap();
        assert_eq!(all(&store, "k").len(), 39);
        assert_eq!(store.get(b"last").unwrap().unwrap().as_slice(), b"k39");
        assert_eq!(store.get(b"huge").unwrap().unwrap().len(), huge.len());
    }

    #[test]
    fn a_commit_that_was_cut_off_is_not_there_and_those_before_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut store = open(dir.path(), None).unwrap();
        store.commit(&change(&[("a", Some("1"))])).unwrap();
        let before = fs::read(&path).unwrap();
        store.commit(&change(&[("a", Some("2")), ("b", Some("2"))])).unwrap();
        drop(store);
        let after = fs::read(&path).unwrap();
        let from = before.iter().zip(&after).position(|(a, b)| a != b).unwrap();
        let to = before.iter().zip(&after).rposition(|(a, b)| a != b).unwrap();
        // Parts of it may be there without those before them.
        for hole in from..=to {
            let mut torn = after.clone();
            torn[from..=hole].fill(0);
            fs::write(&path, &torn).unwrap();
            let store = open(dir.path(), None).unwrap();
            assert_eq!(store.get(b"a").unwrap().unwrap().as_slice(), b"1", "hole to {hole}");
            drop(store);
            assert_eq!(fs::read(&path).unwrap(), before, "what was torn is overwritten");
        }
        // Any part of the second record may be missing.
        for cut in from..=to {
            let mut torn = after.clone();
            torn[cut..].fill(0);
            fs::write(&path, &torn).unwrap();
            let mut store = open(dir.path(), None).unwrap();
            assert_eq!(store.get(b"a").unwrap().unwrap().as_slice(), b"1", "cut at {cut}");
            assert!(store.get(b"b").unwrap().is_none());
            // And it goes on from there.
            store.commit(&change(&[("c", Some("3"))])).unwrap();
            drop(store);
            let store = open(dir.path(), None).unwrap();
            assert!(store.get(b"c").unwrap().is_some(), "cut at {cut}");
        }
        fs::write(&path, &after).unwrap();
        assert_eq!(open(dir.path(), None).unwrap().get(b"a").unwrap().unwrap().as_slice(), b"2");
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), None).unwrap();
        assert_eq!(open(dir.path(), None).unwrap_err().code(), "store.locked");
        drop(store);
        assert!(open(dir.path(), None).is_ok());
    }

    #[test]
    fn passwords() {
        let dir = tempfile::tempdir().unwrap();
        let code = |password: Option<&[u8]>| open(dir.path(), password).unwrap_err().code();
        drop(open(dir.path(), Some(b"password")).unwrap());
        assert_eq!(code(Some(b"Password")), "store.wrong_password");
        assert_eq!(code(None), "store.password_needed");
        assert!(open(dir.path(), Some(b"password")).is_ok());
        let plain = tempfile::tempdir().unwrap();
        drop(open(plain.path(), None).unwrap());
        let error = open(plain.path(), Some(b"password")).unwrap_err();
        assert_eq!(error.code(), "store.not_encrypted");
    }

    #[test]
    fn encrypted_files_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), Some(b"password")).unwrap();
        let secret = "a secret text of a record";
        store.commit(&change(&[("the key of a record", Some(secret))])).unwrap();
        store.checkpoint(&Stored::new()).unwrap();
        store.commit(&change(&[("the key of a record", Some(secret))])).unwrap();
        assert!(!format!("{store:?}").contains("secret"));
        drop(store);
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
            let bytes = fs::read(file.path()).unwrap();
            for text in [secret, "the key of", "password"] {
                let there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!there, "{file:?} holds {text:?}");
            }
        }
    }

    #[test]
    fn records_that_were_swapped_or_changed_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), Some(b"password")).unwrap();
        store.commit(&change(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
        let (a, b) = (store.seal.name(b"a"), store.seal.name(b"b"));
        let moved = store.recent[&b].clone();
        store.recent.insert(a.clone(), moved);
        assert_eq!(store.get(b"a").unwrap_err().code(), "store.corrupt");
        store.recent.insert(a, Some(vec![0; 5]));
        assert_eq!(store.get(b"a").unwrap_err().code(), "store.corrupt");
        assert!(store.get(b"b").unwrap().is_some());
    }
}

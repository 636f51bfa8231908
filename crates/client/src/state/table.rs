//! The database: LMDB with one table.
//!
//! Two records are the store's own: the header, and the state of the journal. Their keys are one
//! byte long, which no other's is. While free pages are overwritten there are fillers, too; theirs
//! are five bytes long and begin with 2, which no other's do.

use std::path::Path;

use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, WithoutTls, types::Bytes};
use zeroize::Zeroizing;

use crate::state::{StoreError, Stored, Visit, journal::Id};

const HEADER: &[u8] = &[0];
const JOURNAL: &[u8] = &[1];
const FILLER: u8 = 2;

/// What the database says of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalState {
    /// Which one it is.
    pub id: Id,
    /// Whether it has begun: then commits may be in it. Before, it holds nothing that counts.
    pub begun: bool,
}

/// How large the file can become. The space is addresses only, until it is used.
const MAP_SIZE: usize = if cfg!(target_pointer_width = "64") { 1 << 34 } else { 1 << 29 };

/// How many may look at the database at once: the process that has it open, and whoever looks on
/// with the engine's own tools.
pub(super) const READERS: u32 = 126;

pub(super) struct Table {
    env: Env<WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
}

impl Table {
    /// Opens or makes the database of a directory, which the caller has locked.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_SIZE).max_readers(READERS);
        // SAFETY: mapped memory must not change but through LMDB. The directory's lock keeps out
        // every other process that goes through this module, and a second opening in this one;
        // LMDB's own lock file, which stays in use, those that do not. The files are its owner's
        // only (mode 0600). No flag is set that would take one of LMDB's own guarantees away.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(dir) }.map_err(database)?;
        let records = env
            .create_databases_and_commit(env.write_txn().map_err(database)?, |opener, txn| {
                let records = opener.create_database::<Bytes, Bytes>(txn, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(records))
            })
            .map_err(database)?;
        let records = records.commit().ok_or(StoreError::Corrupt { what: "database" })?;
        Ok(Self { env, records })
    }

    /// Closes the database, and opens it again.
    pub fn reopen(self, dir: &Path) -> Result<Self, StoreError> {
        self.env.prepare_for_closing().wait();
        Self::open(dir)
    }

    /// The header of a store that is there.
    pub fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(HEADER, |bytes| Ok(bytes.to_vec()))
    }

    /// Writes the header of a new store.
    pub fn create(&self, header: &[u8], journal: JournalState) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(database)?;
        self.records.put(&mut txn, HEADER, header).map_err(database)?;
        self.records.put(&mut txn, JOURNAL, &journal.write()).map_err(database)?;
        txn.commit().map_err(database)
    }

    /// Which journal there is.
    pub fn journal(&self) -> Result<JournalState, StoreError> {
        let corrupt = StoreError::Corrupt { what: "name of the journal" };
        self.get(JOURNAL, |bytes| Ok(JournalState::read(bytes)))?.flatten().ok_or(corrupt)
    }

    /// Says which journal there is.
    pub fn set_journal(&self, journal: JournalState) -> Result<(), StoreError> {
        self.write([], journal)
    }

    /// Looks at a record.
    pub fn get<T>(
        &self,
        name: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let txn = self.env.read_txn().map_err(database)?;
        self.records.get(&txn, name).map_err(database)?.map(read).transpose()
    }

    /// Makes changes, later ones over earlier ones, and says which journal comes next; all or
    /// nothing.
    pub fn write<const N: usize>(
        &self,
        changes: [&Stored; N],
        journal: JournalState,
    ) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(database)?;
        for (name, record) in changes.into_iter().flatten() {
            // Erased in its place, since what else comes there may be shorter.
            let old = self.records.get(&txn, name).map_err(database)?.map(<[u8]>::len);
            if let Some(old) = old.filter(|old| record.as_ref().map(Vec::len) != Some(*old)) {
                self.records.put(&mut txn, name, &vec![0; old]).map_err(database)?;
            }
            match record {
                Some(record) => self.records.put(&mut txn, name, record).map_err(database)?,
                None => _ = self.records.delete(&mut txn, name).map_err(database)?,
            }
        }
        self.records.put(&mut txn, JOURNAL, &journal.write()).map_err(database)?;
        txn.commit().map_err(database)
    }

    /// Writes everything anew, to other pages.
    pub fn rewrite(&self) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(database)?;
        let mut all = Vec::new();
        for entry in self.records.iter(&txn).map_err(database)? {
            let (name, record) = entry.map_err(database)?;
            all.push((name.to_vec(), Zeroizing::new(record.to_vec())));
        }
        self.records.clear(&mut txn).map_err(database)?;
        for (name, record) in all {
            self.records.put(&mut txn, &name, &record).map_err(database)?;
        }
        txn.commit().map_err(database)
    }

    /// Overwrites the pages that are not in use any more: takes them all, for zeros, and gives them
    /// back. Those that the last transaction freed can be had in the one after the next.
    pub fn overwrite_free(&self, journal: JournalState) -> Result<(), StoreError> {
        self.set_journal(journal)?;
        // What a page of its own has room for.
        let txn = self.env.read_txn().map_err(database)?;
        let zeros = vec![0; self.records.stat(&txn).map_err(database)?.page_size as usize - 16];
        drop(txn);
        let filler = |number: u32| {
            let mut name = [FILLER; 5];
            name[1..].copy_from_slice(&number.to_be_bytes());
            name
        };
        let last_page = self.env.info().last_page_number;
        let (mut count, mut more) = (0, 64);
        // When the file grows, no page was left.
        while self.env.info().last_page_number <= last_page {
            let mut txn = self.env.write_txn().map_err(database)?;
            for number in count..count + more {
                self.records.put(&mut txn, &filler(number), &zeros).map_err(database)?;
            }
            txn.commit().map_err(database)?;
            count += more;
            more = (more * 2).min(4096);
        }
        let mut txn = self.env.write_txn().map_err(database)?;
        // All there are, also those of a time when this was interrupted.
        let mut number = 0;
        while self.records.delete(&mut txn, &filler(number)).map_err(database)? {
            number += 1;
        }
        txn.commit().map_err(database)
    }

    /// Shows all records that are not the store's own.
    pub fn scan(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let txn = self.env.read_txn().map_err(database)?;
        for entry in self.records.iter(&txn).map_err(database)? {
            let (name, record) = entry.map_err(database)?;
            let is_own = name.len() == 1 || name.len() == 5 && name[0] == FILLER;
            if !is_own {
                visit(name, record)?;
            }
        }
        Ok(())
    }
}

impl JournalState {
    fn write(self) -> [u8; 17] {
        let mut bytes = [u8::from(self.begun); 17];
        bytes[..16].copy_from_slice(&self.id);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, begun) = bytes.split_first_chunk()?;
        match begun {
            [0] => Some(Self { id: *id, begun: false }),
            [1] => Some(Self { id: *id, begun: true }),
            _ => None,
        }
    }
}

/// An error of the engine.
pub fn database(error: heed::Error) -> StoreError {
    StoreError::Database(error.to_string())
}

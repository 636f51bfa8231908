//! The database: LMDB with one table.
//!
//! Two records are the store's own: the header, and the epoch of the journal. Their keys are one
//! byte long, which no other's is.

use std::path::Path;

use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, WithoutTls, types::Bytes};

use super::{StoreError, Stored, Visit};

const HEADER: &[u8] = &[0];
const EPOCH: &[u8] = &[1];

/// How large the file can become. The space is addresses only, until it is used.
const MAP_SIZE: usize = if cfg!(target_pointer_width = "64") { 1 << 34 } else { 1 << 29 };

pub(super) struct Table {
    env: Env<WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
}

impl Table {
    /// Opens or makes the database of a directory, which the caller has locked.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_SIZE);
        // SAFETY: mapped memory must not change but through LMDB. The directory's lock keeps out
        // every other process that goes through this module, and a second opening in this one;
        // LMDB's own lock file, which stays in use, those that do not. The files are its owner's
        // only (mode 0600). No flag is set that would take one of LMDB's own guarantees away.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(dir) }?;
        let records = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            let records = opener.create_database::<Bytes, Bytes>(txn, None)?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(records))
        })?;
        let records = records.commit().ok_or(StoreError::Corrupt { what: "database" })?;
        Ok(Self { env, records })
    }

    /// The header of a store that is there.
    pub fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(HEADER, |bytes| Ok(bytes.to_vec()))
    }

    /// Writes the header of a new store.
    pub fn create(&self, header: &[u8]) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        self.records.put(&mut txn, HEADER, header)?;
        self.records.put(&mut txn, EPOCH, &1_u64.to_be_bytes())?;
        Ok(txn.commit()?)
    }

    /// Which records of the journal are newer than the database.
    pub fn epoch(&self) -> Result<u64, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "journal's epoch" };
        let bytes = |bytes: &[u8]| bytes.try_into().map_err(|_| corrupt());
        self.get(EPOCH, bytes)?.map(u64::from_be_bytes).ok_or_else(corrupt)
    }

    /// Looks at a record.
    pub fn get<T>(
        &self,
        name: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let txn = self.env.read_txn()?;
        self.records.get(&txn, name)?.map(read).transpose()
    }

    /// Makes changes, later ones over earlier ones, and sets the journal's epoch; all or nothing.
    pub fn write(&self, changes: [&Stored; 2], epoch: u64) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        for (name, record) in changes.into_iter().flatten() {
            match record {
                Some(record) => self.records.put(&mut txn, name, record)?,
                None => _ = self.records.delete(&mut txn, name)?,
            }
        }
        self.records.put(&mut txn, EPOCH, &epoch.to_be_bytes())?;
        Ok(txn.commit()?)
    }

    /// Shows all records that are not the store's own.
    pub fn scan(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let txn = self.env.read_txn()?;
        for entry in self.records.iter(&txn)? {
            let (name, record) = entry?;
            if name.len() > 1 {
                visit(name, record)?;
            }
        }
        Ok(())
    }
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        Self::Database(error.to_string())
    }
}

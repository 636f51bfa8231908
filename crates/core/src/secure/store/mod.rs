//! Where the state of a device is kept.
//!
//! A [`Store`] is a map from keys to records with one promise: what is given to
//! [`commit`](Store::commit) together is there together or not at all, and it is durable when
//! `commit` returns. Everything that one message changes is one commit, made before the message is
//! handed out: a crash neither loses a conversation nor makes a key be used twice.
//!
//! | store | where |
//! | --- | --- |
//! | [`MemoryStore`] | nowhere; for tests and short-lived devices |
//! | `DiskStore` of the client crate | a directory; encrypted if there is a password |

pub mod codec;
mod memory;

use std::{borrow::Cow, collections::BTreeMap, io, path::PathBuf};

use zeroize::Zeroizing;

pub use memory::MemoryStore;

/// A record, erased when dropped.
pub type Record = Zeroizing<Vec<u8>>;

/// Is shown keys and records.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Why a store can't do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A record that nobody wrote like that.
    #[error("the stored {what} is damaged")]
    Corrupt {
        /// What it should be.
        what: &'static str,
    },
    /// A file that nobody left like that.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
    /// There is none, where one has to be.
    #[error("there is no state in {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Something could not be read before, so what came of it is not written.
    #[error("nothing was written, since reading had failed before")]
    Aborted,
    /// Somebody else has it open.
    #[error("the state in {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The key does not open.
    #[error("the password is not the one that the state was encrypted with")]
    WrongPassword,
    /// There is a key to open.
    #[error("the state is encrypted: a password is needed")]
    PasswordNeeded,
    /// There is no key to open.
    #[error("the state is not encrypted, and yet a password was given")]
    NotEncrypted,
    /// Of another program, or another release.
    #[error("the state has version {found}; this program reads version 2")]
    Version {
        /// What the files say.
        found: u32,
    },
    /// A file.
    #[error("can't {doing} {}: {error}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The database.
    #[error("the state's database fails: {0}")]
    Database(String),
    /// No randomness to be had.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// After an error in writing.
    #[error("writing failed before, so what is on the disk is unknown: open the state again")]
    Failed,
}

impl StoreError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } | Self::Damaged { .. } => "store.corrupt",
            Self::Missing { .. } => "store.missing",
            Self::Aborted => "store.aborted",
            Self::Locked { .. } => "store.locked",
            Self::WrongPassword => "store.wrong_password",
            Self::PasswordNeeded => "store.password_needed",
            Self::NotEncrypted => "store.not_encrypted",
            Self::Version { .. } => "store.version",
            Self::Io { .. } | Self::Random(_) => "store.io",
            Self::Database(_) => "store.database",
            Self::Failed => "store.failed",
        }
    }
}

/// A transactional map. See the [module](self).
pub trait Store {
    /// The record of this key.
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError>;

    /// Makes all changes, or none; durable when it returns.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Shows all records whose keys start with `prefix`, in no particular order. May read all of
    /// the store; for lists that people ask for, not for work on messages.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Overwrites what records that were replaced or deleted have left behind, as far as the store
    /// can reach it. Takes longer than a commit. A store that leaves nothing has nothing to do.
    fn wipe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        (**self).get(key)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        (**self).commit(changes)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        (**self).scan(prefix, visit)
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        (**self).wipe()
    }
}

/// What a transaction wants changed: a record, or `None` to delete it, by key.
#[derive(Default)]
pub struct Changes(BTreeMap<Vec<u8>, Option<Record>>);

impl Changes {
    /// Writes a record.
    pub fn put(&mut self, key: Vec<u8>, record: Record) {
        self.0.insert(key, Some(record));
    }

    /// Deletes a record, if there is one.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// What the transaction itself says about a key.
    pub fn get(&self, key: &[u8]) -> Option<Option<&Record>> {
        self.0.get(key).map(Option::as_ref)
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All changes, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&Record>)> {
        self.0.iter().map(|(key, record)| (key.as_slice(), record.as_ref()))
    }
}

/// How many there are; the records are secret.
impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Changes({})", self.0.len())
    }
}

//! Storage for the state of a device.
//!
//! A [`Store`] is a map from keys to records. [`commit`](Store::commit) writes all of its changes
//! or none, and they are durable when it returns. Everything that one message changes is one
//! commit, made before the message is returned. So a crash neither loses a session nor reuses a
//! key.
//!
//! | store | location |
//! | --- | --- |
//! | [`MemoryStore`] | memory; for tests and short-lived devices |
//! | `DiskStore` of the client crate | a directory; encrypted with an optional password |

pub mod codec;
mod memory;

use std::{borrow::Cow, collections::BTreeMap, io, path::PathBuf};

use zeroize::Zeroizing;

use crate::explain::Explanation;

pub use memory::MemoryStore;

/// A record, erased on drop.
pub type Record = Zeroizing<Vec<u8>>;

/// The callback of [`Store::scan`]: takes a key and its record.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Why an operation of a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record is damaged.
    #[error("the stored {what} is damaged")]
    Corrupt {
        /// The kind of record.
        what: &'static str,
    },
    /// A file is damaged.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: Cow<'static, str>,
    },
    /// There is no state in the directory.
    #[error("there is no state in {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Reading failed earlier in the transaction, so nothing was written.
    #[error("nothing was written, since reading failed before")]
    Aborted,
    /// Another process has the state open.
    #[error("the state in {} is in use by {by}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, as far as it said who it is.
        by: String,
    },
    /// The password is wrong.
    #[error("the password is not the one that the state was encrypted with")]
    WrongPassword,
    /// The state is encrypted, and no password was given.
    #[error("the state is encrypted: a password is needed")]
    PasswordNeeded,
    /// The state is not encrypted, and a password was given.
    #[error("the state is not encrypted, but a password was given")]
    NotEncrypted,
    /// The state was written by another release.
    #[error("the state has version {found}; this program reads version 2")]
    Version {
        /// The version in the files.
        found: u32,
    },
    /// A file operation failed.
    #[error("can't {doing} {}: {error}", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The database failed.
    #[error("the state's database failed: {0}")]
    Database(String),
    /// The system has no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(String),
    /// A write failed before, so the files may differ from memory.
    #[error("a write failed before: open the state again")]
    Failed,
}

impl StoreError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } | Self::Damaged { .. } => "store.corrupt",
            Self::Missing { .. } => "store.missing",
            Self::Aborted => "store.aborted",
            Self::Locked { .. } => "state.in_use",
            Self::WrongPassword => "store.wrong_password",
            Self::PasswordNeeded => "store.password_needed",
            Self::NotEncrypted => "store.not_encrypted",
            Self::Version { .. } => "store.version",
            Self::Io { .. } | Self::Random(_) => "store.io",
            Self::Database(_) => "store.database",
            Self::Failed => "store.failed",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "store.corrupt",
            rule: "Records are read as they were written. A state that lost some of its last messages would use their keys again, so it is not opened.",
            source: "tools",
            causes: "The files were changed by something else, or the disk fails. Begin a new state: to others it is a new device. Do not go back to an older copy of the directory, whose message keys were used since.",
        },
        Explanation {
            code: "store.missing",
            rule: "A command that only reads or changes a state needs one that is there; it makes none.",
            source: "tools",
            causes: "Another name than the state has, or another working directory. `status-session bundle new`, `bundle learn`, `encrypt`, `contact-code` and `pair`, `status-send` and `status-receive` make a state.",
        },
        Explanation {
            code: "store.aborted",
            rule: "What could not be read is not written over.",
            source: "tools",
            causes: "See the error before.",
        },
        Explanation {
            code: "state.in_use",
            rule: "One process at a time uses a state directory: two would use the same message keys.",
            source: "tools",
            causes: "Another tool is running with the same --state, and shares it with status-send, status-receive and status-chat only. End it, or wait for it.",
        },
        Explanation {
            code: "store.wrong_password",
            rule: "The password opens the key that the records are encrypted with.",
            source: "tools",
            causes: "Another password, or other spelling.",
        },
        Explanation {
            code: "store.password_needed",
            rule: "The state is encrypted: its password must be given.",
            source: "tools",
            causes: "Set STATUS_STATE_PASSWORD, give --state-password-file, or answer the prompt.",
        },
        Explanation {
            code: "store.not_encrypted",
            rule: "The state was made without a password, so it is not encrypted.",
            source: "tools",
            causes: "Leave the password out, or make a new state.",
        },
        Explanation {
            code: "store.version",
            rule: "The files have a version, and this program reads version 2.",
            source: "tools",
            causes: "They were written by another release. Version 1 was never released; begin a new state.",
        },
        Explanation {
            code: "store.io",
            rule: "The files of the state are read and written.",
            source: "tools",
            causes: "No permission, a full disk, or a directory that is not there.",
        },
        Explanation {
            code: "store.database",
            rule: "The database of the state is read and written.",
            source: "tools",
            causes: "A full disk, or files changed by something else.",
        },
        Explanation {
            code: "store.failed",
            rule: "After a failed write, the content of the disk is unknown until the state is opened again.",
            source: "tools",
            causes: "See the error before; then start again.",
        },
    ];
}

/// A transactional map from keys to records. See the [module](self).
pub trait Store {
    /// Reads the record of a key. `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the record can't be read.
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError>;

    /// Writes all changes or none. They are durable when it returns.
    ///
    /// # Errors
    ///
    /// If the changes can't be written.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Visits all records whose keys start with `prefix`, in any order. May read the whole store,
    /// so messages must not need it.
    ///
    /// # Errors
    ///
    /// If a record can't be read, or `visit` fails.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Overwrites the remains of replaced and deleted records, as far as the store can reach them.
    /// Takes longer than a commit. Does nothing in a store without remains.
    ///
    /// # Errors
    ///
    /// If overwriting fails.
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

/// The changes of a transaction.
#[derive(Default)]
pub struct Changes(BTreeMap<Vec<u8>, Option<Record>>);

impl Changes {
    /// Writes a record.
    pub fn put(&mut self, key: Vec<u8>, record: Record) {
        self.0.insert(key, Some(record));
    }

    /// Deletes a record, if it exists.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// Returns the change of a key: the new record, or `Some(None)` if it is deleted.
    pub fn get(&self, key: &[u8]) -> Option<Option<&Record>> {
        self.0.get(key).map(Option::as_ref)
    }

    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all changes, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&Record>)> {
        self.0.iter().map(|(key, record)| (key.as_slice(), record.as_ref()))
    }
}

/// Shows the number of changes only, since records are secret.
impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Changes({})", self.0.len())
    }
}

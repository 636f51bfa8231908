//! Storage for data sync: rows of bytes, sorted by key.

use std::{collections::BTreeMap, convert::Infallible};

use crate::explain::Explanation;

/// Stores rows of bytes. Keys have at most 66 bytes.
///
/// The changes of one call of a [`DataSync`](super::DataSync) belong together. The implementation
/// decides when to make them durable.
pub trait SyncStore {
    /// The error of a failed operation.
    type Error;

    /// Reads the value of a key. `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Self::Error>;

    /// Deletes a key, if it exists.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn remove(&mut self, key: &[u8]) -> Result<(), Self::Error>;

    /// Visits all rows whose keys start with `prefix`, sorted by key.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Self::Error>;
}

impl<S: SyncStore + ?Sized> SyncStore for &mut S {
    type Error = S::Error;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        (**self).get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Self::Error> {
        (**self).put(key, value)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Self::Error> {
        (**self).remove(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Self::Error> {
        (**self).scan(prefix, visit)
    }
}

/// Stores rows in memory. A clone is a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySyncStore(BTreeMap<Vec<u8>, Vec<u8>>);

impl MemorySyncStore {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SyncStore for MemorySyncStore {
    type Error = Infallible;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(key).cloned())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Infallible> {
        self.0.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Infallible> {
        self.0.remove(key);
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Infallible> {
        let rows = self.0.range(prefix.to_vec()..);
        rows.take_while(|(key, _)| key.starts_with(prefix))
            .for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// Why an operation of data sync failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError<E> {
    /// The store failed.
    #[error("the store of data sync failed: {0}")]
    Store(E),
    /// A row is damaged.
    #[error("a row in the store of data sync is damaged")]
    Damaged,
    /// Too many messages to the peer are not acknowledged yet.
    #[error("{0} messages to this peer are not acknowledged yet; no more can be queued")]
    Full(u64),
}

impl<E> SyncError<E> {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "sync.store",
            Self::Damaged => "sync.damaged",
            Self::Full(_) => "sync.full",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "sync.store",
            rule: "The store of data sync keeps what is not acknowledged yet.",
            source: "tools",
            causes: "See the reason; a full disk, or another process.",
        },
        Explanation {
            code: "sync.damaged",
            rule: "The rows of the store are those that data sync wrote.",
            source: "tools",
            causes: "The store was changed by something else, or by a version to come.",
        },
        Explanation {
            code: "sync.full",
            rule: "At most 10,000 messages to one peer wait for their acknowledgement.",
            source: "tools",
            causes: "The peer has been offline for a long time.",
        },
    ];
}

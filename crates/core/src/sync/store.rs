//! Where a node keeps what it must remember: rows of bytes, sorted by their keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

/// Rows of bytes. Keys have at most 66 bytes. Whoever implements it decides when rows are
/// written for good: everything that one call of a [`Node`](super::Node) does belongs together.
pub trait Store {
    /// What can go wrong.
    type Error;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Sets the value of a key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Self::Error>;

    /// Removes a key, if it is there.
    fn remove(&mut self, key: &[u8]) -> Result<(), Self::Error>;

    /// Shows all rows whose keys begin with `prefix`, in the order of their keys.
    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Self::Error>;
}

impl<S: Store + ?Sized> Store for &mut S {
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

/// Rows in memory. It remembers which have changed, so that a caller who keeps rows elsewhere, in
/// a store that can only be searched slowly, say, writes those in the transaction that they
/// belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    changed: BTreeSet<Vec<u8>>,
}

impl MemoryStore {
    /// With the rows that were kept elsewhere.
    pub fn from_rows(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        Self { rows: rows.into_iter().collect(), changed: BTreeSet::new() }
    }

    /// The rows that have changed since the last time: their keys, and their values if they still
    /// exist. If they can't be written, this store is to be thrown away with them.
    pub fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let value = |key: Vec<u8>| {
            let value = self.rows.get(&key).cloned();
            (key, value)
        };
        changed.into_iter().map(value).collect()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.rows.get(key).cloned())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Infallible> {
        self.rows.insert(key.to_vec(), value.to_vec());
        self.changed.insert(key.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Infallible> {
        if self.rows.remove(key).is_some() {
            self.changed.insert(key.to_vec());
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Infallible> {
        let rows = self.rows.range(prefix.to_vec()..);
        rows.take_while(|(key, _)| key.starts_with(prefix))
            .for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// What a node can't do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError<E> {
    /// The store failed.
    #[error("the store of data sync: {0}")]
    Store(E),
    /// A row is not what a node wrote.
    #[error("a row in the store of data sync is damaged")]
    Damaged,
    /// The other side has not acknowledged for too long.
    #[error("{0} messages to this peer wait for their acknowledgement; there is no room for more")]
    Full(u64),
}

impl<E> SyncError<E> {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "sync.store",
            Self::Damaged => "sync.damaged",
            Self::Full(_) => "sync.full",
        }
    }
}

//! A store that collects changes and writes them in one transaction.
//!
//! The device and data sync make each of their steps a transaction. Here these and the records of
//! conversations become one: for a message, or for many received together.

use std::{collections::BTreeSet, fmt};

use crate::{
    crypto::kdf::HmacSha256,
    secure::{
        CompressedKey, device,
        store::{Changes, Record, Store, StoreError, Visit},
    },
};

/// A store with pending changes.
pub(super) struct Pending<S> {
    store: S,
    changes: Changes,
    /// The identities that the device forgets with them.
    forgotten: BTreeSet<CompressedKey>,
    hash: HmacSha256,
}

impl<S: Store> Pending<S> {
    /// `secret` keys the [hash](Self::secret_hash).
    pub fn new(store: S, secret: &[u8]) -> Self {
        let (changes, forgotten) = (Changes::default(), BTreeSet::new());
        Self { store, changes, forgotten, hash: HmacSha256::new(secret) }
    }

    /// Returns a hash that others can't compute.
    pub fn secret_hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        *self.hash.tag(parts)
    }

    pub fn put(&mut self, key: Vec<u8>, record: Record) {
        self.changes.put(key, record);
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.delete(key);
    }

    /// Whether there are pending changes.
    pub fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Writes the pending changes. They are durable when it returns.
    pub fn write(&mut self) -> Result<(), StoreError> {
        if !self.changes.is_empty() {
            self.store.commit(&self.changes)?;
            self.changes = Changes::default();
        }
        Ok(())
    }

    /// Discards the pending changes.
    pub fn discard(&mut self) {
        self.changes = Changes::default();
        self.forgotten.clear();
    }

    /// Returns an identity that the device has forgotten, each once. Its other records have to be
    /// deleted, too.
    pub fn take_forgotten(&mut self) -> Option<CompressedKey> {
        self.forgotten.pop_first()
    }

    pub fn into_inner(self) -> S {
        self.store
    }
}

impl<S: Store> Store for Pending<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.cloned()),
            None => self.store.get(key),
        }
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.forgotten.extend(device::forgotten_identities(changes));
        for (key, record) in changes.iter() {
            match record {
                Some(record) => self.changes.put(key.to_vec(), record.clone()),
                None => self.changes.delete(key.to_vec()),
            }
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(prefix, &mut |key, record| match self.changes.get(key) {
            Some(_) => Ok(()),
            None => visit(key, record),
        })?;
        for (key, record) in self.changes.iter().filter(|(key, _)| key.starts_with(prefix)) {
            if let Some(record) = record {
                visit(key, record)?;
            }
        }
        Ok(())
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        self.write()?;
        self.store.wipe()
    }
}

impl<S> fmt::Debug for Pending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({:?})", self.changes)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::secure::MemoryStore;

    fn all(store: &Pending<MemoryStore>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        store
            .scan(b"a", &mut |key, record| {
                found.push((key.to_vec(), record.to_vec()));
                Ok(())
            })
            .unwrap();
        found.sort();
        found
    }

    #[test]
    fn pending_changes_are_read_and_can_be_discarded() {
        let record = |byte| Zeroizing::new(vec![byte]);
        let mut store = Pending::new(MemoryStore::new(), b"");
        for byte in [1, 2] {
            store.put(vec![b'a', byte], record(byte));
        }
        store.write().unwrap();
        store.delete(vec![b'a', 1]);
        store.put(vec![b'a', 2], record(9));
        store.put(vec![b'a', 3], record(3));
        store.put(vec![b'b'], record(4));
        assert_eq!(store.get(&[b'a', 1]).unwrap(), None);
        assert_eq!(store.get(&[b'a', 2]).unwrap(), Some(record(9)));
        assert_eq!(all(&store), [(vec![b'a', 2], vec![9]), (vec![b'a', 3], vec![3])]);
        store.discard();
        assert_eq!(all(&store), [(vec![b'a', 1], vec![1]), (vec![b'a', 2], vec![2])]);
    }
}

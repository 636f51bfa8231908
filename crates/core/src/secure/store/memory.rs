//! A store in memory.

use std::{collections::BTreeMap, fmt};

use super::{Changes, Record, Store, StoreError, Visit};

/// Keeps records in memory. A clone is a snapshot.
#[derive(Clone, Default)]
pub struct MemoryStore(BTreeMap<Vec<u8>, Record>);

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the store has no records.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        for (key, record) in changes.iter() {
            match record {
                Some(record) => _ = self.0.insert(key.to_vec(), record.clone()),
                None => _ = self.0.remove(key),
            }
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let from = self.0.range(prefix.to_vec()..);
        for (key, record) in from.take_while(|(key, _)| key.starts_with(prefix)) {
            visit(key, record)?;
        }
        Ok(())
    }
}

/// Shows the number of records only, since they are secret.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({} records)", self.0.len())
    }
}

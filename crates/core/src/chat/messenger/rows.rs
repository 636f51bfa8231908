//! The rows of data sync in the store of the device.
//!
//! Rows of messages to send (few) are cached, since each tick scans them all. Rows of received
//! messages are read on demand.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::{pending::Pending, point, records::TOPICS};
use crate::{
    secure::{
        CompressedKey, device,
        store::{Store, StoreError},
    },
    sync::{DataSync, SyncError, SyncStore},
};

/// The prefix of the rows in the store.
const ROWS: &[u8] = b"xs";

/// The rows that each tick scans: schedules, wishes, acknowledgements.
pub(super) type Live = BTreeMap<Vec<u8>, Vec<u8>>;

fn is_live(key: &[u8]) -> bool {
    matches!(key.first(), Some(b's' | b'w' | b'a'))
}

fn stored(key: &[u8]) -> Vec<u8> {
    [ROWS, key].concat()
}

/// Reads the cached rows, and the identities with records outside the device.
pub(super) fn load<S: Store>(
    store: &Pending<S>,
) -> Result<(Live, BTreeSet<CompressedKey>), StoreError> {
    let (mut live, mut owners) = (Live::new(), BTreeSet::new());
    let mut is_of = |identity: &[u8]| {
        owners.extend(identity.first_chunk::<33>().map(|identity| CompressedKey::from(*identity)));
    };
    store.scan(TOPICS, &mut |key, _| {
        is_of(&key[TOPICS.len()..]);
        Ok(())
    })?;
    store.scan(ROWS, &mut |key, row| {
        let key = &key[ROWS.len()..];
        // An identity with rows has counters or wishes.
        if is_live(key) || key.first() == Some(&b'p') {
            is_of(&key[1..]);
        }
        if is_live(key) {
            live.insert(key.to_vec(), row.to_vec());
        }
        Ok(())
    })?;
    Ok((live, owners))
}

/// Deletes the records of an identity that the device has forgotten.
pub(super) fn forget<S: Store>(
    store: &mut Pending<S>,
    live: &mut Live,
    identity: &CompressedKey,
) -> Result<(), SyncError<StoreError>> {
    store.forget_topic(identity).map_err(SyncError::Store)?;
    match point(identity) {
        Some(peer) => DataSync::new(Rows { store, live }).forget_peer(&peer),
        None => Ok(()),
    }
}

/// Deletes the records of all identities that the device does not know: it may have been used
/// without the layers above it. Keeps those with messages to send.
pub(super) fn forget_unknown<S: Store>(
    store: &mut Pending<S>,
    live: &mut Live,
    owners: BTreeSet<CompressedKey>,
) -> Result<(), SyncError<StoreError>> {
    for identity in owners {
        if device::is_known(store, &identity).map_err(SyncError::Store)? {
            continue;
        }
        let waiting = match point(&identity) {
            Some(peer) => DataSync::new(Rows { store, live }).waiting(&peer)?,
            None => 0,
        };
        if waiting == 0 {
            forget(store, live, &identity)?;
        }
    }
    Ok(())
}

/// The store, for data sync.
pub(super) struct Rows<'a, S> {
    pub store: &'a mut Pending<S>,
    pub live: &'a mut Live,
}

impl<S: Store> SyncStore for Rows<'_, S> {
    type Error = StoreError;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if is_live(key) {
            return Ok(self.live.get(key).cloned());
        }
        Ok(self.store.get(&stored(key))?.map(|row| row.to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if is_live(key) {
            self.live.insert(key.to_vec(), value.to_vec());
        }
        self.store.put(stored(key), Zeroizing::new(value.to_vec()));
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if is_live(key) {
            self.live.remove(key);
        }
        self.store.delete(stored(key));
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        if is_live(prefix) {
            let rows = self.live.range(prefix.to_vec()..);
            rows.take_while(|(key, _)| key.starts_with(prefix))
                .for_each(|(key, value)| visit(key, value));
            return Ok(());
        }
        self.store.scan(&stored(prefix), &mut |key, row| {
            visit(&key[ROWS.len()..], row);
            Ok(())
        })
    }
}

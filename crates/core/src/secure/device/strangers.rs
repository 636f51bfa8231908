//! Strangers: identities that sent to us, or signed a bundle we received, and that we never sent
//! to.
//!
//! Keys cost nothing, so an attacker can make any number of identities. Strangers are therefore in
//! a queue of limited length. A new stranger replaces the first one in a full queue; its
//! installations, sessions, keys and secret are deleted. A stranger that sends again moves to the
//! end if it is in the older half.
//!
//! Identities we send to, or learn by hand, are known and never deleted. So are all identities of
//! states that are older than the queue.
//!
//! | key | record |
//! | --- | --- |
//! | `l` | the queue: its first place, its next place, its length |
//! | `q`, place | the identity in this place; abandoned places have no record, and are skipped once |
//! | `w`, identity | the place of a stranger |

use super::{
    DeviceTransaction,
    records::{self, PEERS},
};
use crate::{
    crypto::PublicKey,
    secure::{
        key::CompressedKey,
        store::{
            Changes, Record, Store, StoreError,
            codec::{Reader, Writer},
        },
    },
};

/// Default maximum number of strangers: identities that we have neither sent to nor learned by
/// hand. A new stranger then replaces the oldest one.
pub const MAX_STRANGERS: u64 = 10_000;

const QUEUE: &[u8] = b"l";

fn place_key(place: u64) -> Vec<u8> {
    [b"q", &place.to_be_bytes()[..]].concat()
}

fn stranger_key(identity: &CompressedKey) -> Vec<u8> {
    [b"w", &identity.as_bytes()[..]].concat()
}

/// The first place, the next free place, and the length without abandoned places.
#[derive(Debug, Clone, Copy, Default)]
struct Queue {
    first: u64,
    next: u64,
    count: u64,
}

impl Queue {
    fn write(self) -> Record {
        let mut writer = Writer::default();
        [self.first, self.next, self.count].into_iter().for_each(|number| writer.u64(number));
        writer.finish()
    }

    fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("queue of strangers", record);
        let queue = Self { first: reader.u64()?, next: reader.u64()?, count: reader.u64()? };
        let length = queue.next.checked_sub(queue.first);
        if length.is_none_or(|length| length < queue.count) || queue.next == u64::MAX {
            return Err(reader.corrupt());
        }
        reader.finish()?;
        Ok(queue)
    }
}

fn read_place(record: &[u8]) -> Result<u64, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "place of a stranger" };
    record.try_into().map(u64::from_be_bytes).map_err(corrupt)
}

fn read_identity(record: &[u8]) -> Result<CompressedKey, StoreError> {
    CompressedKey::from_slice(record).map_err(|_| StoreError::Corrupt { what: "stranger" })
}

/// Returns whether a device has records of an identity, known or stranger.
pub(crate) fn is_known<S: Store>(store: &S, identity: &CompressedKey) -> Result<bool, StoreError> {
    let has = |key: Vec<u8>| store.get(&key).map(|record| record.is_some());
    Ok(has(records::peer_key(identity))? || has(stranger_key(identity))?)
}

/// Returns the identities that these changes of a device delete.
pub(crate) fn forgotten_identities(changes: &Changes) -> impl Iterator<Item = CompressedKey> {
    let deleted = changes.iter().filter(|(_, record)| record.is_none());
    deleted.filter_map(|(key, _)| {
        let identity: [u8; 33] = key.strip_prefix(PEERS)?.try_into().ok()?;
        Some(identity.into())
    })
}

impl<S: Store> DeviceTransaction<'_, S> {
    fn queue(&mut self) -> Result<Queue, StoreError> {
        Ok(self.record(QUEUE, Queue::read)?.unwrap_or_default())
    }

    fn set_queue(&mut self, queue: Queue) {
        self.changes.put(QUEUE.to_vec(), queue.write());
    }

    fn place(&mut self, identity: &CompressedKey) -> Result<Option<u64>, StoreError> {
        self.record(&stranger_key(identity), read_place)
    }

    /// See [`Device::mark_known`](super::Device::mark_known).
    pub(crate) fn mark_known(&mut self, peer: &PublicKey) -> Result<(), StoreError> {
        self.mark_identity_known(&peer.into())
    }

    /// See [`Device::register`](super::Device::register).
    pub(super) fn register(&mut self, peer: &PublicKey) -> Result<(), StoreError> {
        self.register_identity(&peer.into())
    }

    /// Marks an identity as known, and removes it from the queue.
    pub(super) fn mark_identity_known(
        &mut self,
        identity: &CompressedKey,
    ) -> Result<(), StoreError> {
        if *identity == self.public {
            return Ok(());
        }
        if let Some(place) = self.place(identity)? {
            let queue = self.queue()?;
            self.changes.delete(place_key(place));
            self.changes.delete(stranger_key(identity));
            self.set_queue(Queue { count: queue.count.saturating_sub(1), ..queue });
        }
        self.ensure_known(identity)
    }

    /// Adds a new identity to the queue, or moves a stranger to its end.
    pub(super) fn register_identity(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        if self.place(identity)?.is_some() {
            return self.refresh_stranger(identity);
        }
        if *identity == self.public || !self.is_new(identity)? {
            return Ok(());
        }
        let queue = self.queue()?;
        self.push_back(identity, Queue { count: queue.count + 1, ..queue });
        while let Some(first) = self.pop_excess()? {
            self.drop_peer(&first)?;
        }
        Ok(())
    }

    /// Moves a stranger in the older half of the queue to its end.
    pub(super) fn refresh_stranger(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        let Some(place) = self.place(identity)? else { return Ok(()) };
        let queue = self.queue()?;
        if queue.next.saturating_sub(place) > self.max_strangers / 2 {
            self.changes.delete(place_key(place));
            self.push_back(identity, queue);
        }
        Ok(())
    }

    fn push_back(&mut self, identity: &CompressedKey, queue: Queue) {
        let place = queue.next;
        self.changes.put(place_key(place), identity.as_bytes().to_vec().into());
        self.changes.put(stranger_key(identity), place.to_be_bytes().to_vec().into());
        self.set_queue(Queue { next: place + 1, ..queue });
    }

    /// Removes the first stranger if the queue is too long.
    fn pop_excess(&mut self) -> Result<Option<CompressedKey>, StoreError> {
        let mut queue = self.queue()?;
        if queue.count <= self.max_strangers {
            return Ok(None);
        }
        while queue.first < queue.next {
            let place = place_key(queue.first);
            queue.first += 1;
            if let Some(identity) = self.record(&place, read_identity)? {
                queue.count -= 1;
                self.changes.delete(place);
                self.changes.delete(stranger_key(&identity));
                self.set_queue(queue);
                return Ok(Some(identity));
            }
        }
        Err(StoreError::Corrupt { what: "queue of strangers" })
    }
}

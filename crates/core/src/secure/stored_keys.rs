//! The message keys that a session stores: of skipped messages, and of messages that were decrypted
//! but not confirmed yet.
//!
//! Each key derived for receiving has a number in the session. Inside a chain these numbers are
//! consecutive, so a key is found by arithmetic: its number is the base of its chain plus n, and it
//! is in chunk number / 32. The directory, [`StoredKeys`], lists only chains that have keys. It is
//! part of the session's record. Each chunk is a record of its own, so decrypting a message touches
//! one chunk, however many keys are stored.
//!
//! | limit | value |
//! | --- | --- |
//! | keys per session | 2000; the oldest are deleted first |
//! | age | a key is deleted after the session has derived 3000 more |

use super::{
    ratchet::{DerivedKey, MessageKey, RatchetKey},
    store::{
        StoreError,
        codec::{Reader, Writer},
    },
};

/// Maximum number of keys stored per session.
pub const MAX_STORED_KEYS: u32 = 2000;

/// How many keys a session derives before an older one is deleted.
const MAX_AGE: u64 = 3000;

/// Keys per chunk. Compared with one record per key, many keys take half the time, and one key
/// takes the same.
const CHUNK: u64 = 32;

/// The key chunks of one session.
pub(super) trait KeyChunks {
    /// Reads a chunk. A missing chunk is empty.
    fn load(&mut self, index: u64) -> Result<KeyChunk, StoreError>;
    /// Writes a chunk. An empty chunk is deleted.
    fn save(&mut self, index: u64, chunk: &KeyChunk) -> Result<(), StoreError>;
}

/// The directory of a session's stored message keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredKeys {
    /// Sorted by base. Each chain has at least one key.
    chains: Vec<StoredChain>,
    count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredChain {
    key: RatchetKey,
    /// The number of message 0 of the chain.
    base: u64,
    /// No stored key of the chain has a lower number.
    first: u64,
    /// Every stored key of the chain has a lower number.
    end: u64,
    count: u32,
}

impl StoredKeys {
    /// Returns the number of stored keys.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Reads the key of message `n` of a chain.
    pub(super) fn find<C: KeyChunks>(
        &self,
        chain: &RatchetKey,
        n: u32,
        chunks: &mut C,
    ) -> Result<Option<MessageKey>, StoreError> {
        let Some((_, number)) = self.position(chain, n) else { return Ok(None) };
        Ok(chunks.load(number / CHUNK)?.keys[slot(number)].take())
    }

    /// Stores new keys, then deletes keys beyond the limits. The numbers of new keys are above all
    /// others. `keys_count` is the number of keys the session has derived.
    pub(super) fn insert<C: KeyChunks>(
        &mut self,
        derived: Vec<DerivedKey>,
        keys_count: u64,
        chunks: &mut C,
    ) -> Result<(), StoreError> {
        let mut open: Option<(u64, KeyChunk)> = None;
        for DerivedKey { chain, n, number, key } in derived {
            let index = number / CHUNK;
            if open.as_ref().is_none_or(|(at, _)| *at != index) {
                if let Some((at, chunk)) = open.take() {
                    chunks.save(at, &chunk)?;
                }
                open = Some((index, chunks.load(index)?));
            }
            if let Some((_, chunk)) = &mut open {
                chunk.keys[slot(number)] = Some(key);
            }
            self.list(chain, number, number - u64::from(n));
        }
        if let Some((at, chunk)) = open {
            chunks.save(at, &chunk)?;
        }
        self.prune(keys_count, chunks)
    }

    /// Deletes one key. Returns whether it was stored.
    pub(super) fn remove<C: KeyChunks>(
        &mut self,
        chain: &RatchetKey,
        n: u32,
        chunks: &mut C,
    ) -> Result<bool, StoreError> {
        let Some((at, number)) = self.position(chain, n) else { return Ok(false) };
        let mut chunk = chunks.load(number / CHUNK)?;
        if chunk.keys[slot(number)].take().is_none() {
            return Ok(false);
        }
        chunks.save(number / CHUNK, &chunk)?;
        self.unlist(at);
        Ok(true)
    }

    /// Deletes all keys.
    pub(super) fn clear<C: KeyChunks>(&mut self, chunks: &mut C) -> Result<(), StoreError> {
        for chain in std::mem::take(self).chains {
            for index in chain.first / CHUNK..=chain.end / CHUNK {
                chunks.save(index, &KeyChunk::default())?;
            }
        }
        Ok(())
    }

    /// Finds the chain in the directory, and the number of its message `n`.
    fn position(&self, key: &RatchetKey, n: u32) -> Option<(usize, u64)> {
        let at = self.chains.iter().rposition(|chain| chain.key == *key)?;
        let number = self.chains[at].base + u64::from(n);
        (self.chains[at].first..self.chains[at].end).contains(&number).then_some((at, number))
    }

    fn list(&mut self, key: RatchetKey, number: u64, base: u64) {
        self.count += 1;
        match self.chains.last_mut() {
            Some(last) if last.key == key && last.base == base => {
                last.end = number + 1;
                last.count += 1;
            }
            _ => self.chains.push(StoredChain {
                key,
                base,
                first: number,
                end: number + 1,
                count: 1,
            }),
        }
    }

    fn unlist(&mut self, at: usize) {
        self.count -= 1;
        self.chains[at].count -= 1;
        if self.chains[at].count == 0 {
            self.chains.remove(at);
        }
    }

    /// Deletes the oldest keys while there are too many, or while they are too old.
    fn prune<C: KeyChunks>(&mut self, keys_count: u64, chunks: &mut C) -> Result<(), StoreError> {
        let too_old = keys_count.checked_sub(MAX_AGE);
        while let Some(oldest) = self.chains.first() {
            let number = oldest.first;
            let aged = too_old.is_some_and(|limit| number <= limit);
            if !aged && self.count <= MAX_STORED_KEYS {
                break;
            }
            self.prune_chunk(number, too_old, chunks)?;
        }
        Ok(())
    }

    /// Prunes the first chain inside the chunk of `number`, from there on.
    fn prune_chunk<C: KeyChunks>(
        &mut self,
        number: u64,
        too_old: Option<u64>,
        chunks: &mut C,
    ) -> Result<(), StoreError> {
        let index = number / CHUNK;
        let mut chunk = chunks.load(index)?;
        let mut changed = false;
        let end = self.chains[0].end.min((index + 1) * CHUNK);
        for number in number..end {
            let aged = too_old.is_some_and(|limit| number <= limit);
            if !aged && self.count <= MAX_STORED_KEYS {
                break;
            }
            self.chains[0].first = number + 1;
            if chunk.keys[slot(number)].take().is_some() {
                changed = true;
                self.unlist(0);
            }
        }
        if changed {
            chunks.save(index, &chunk)?;
        }
        // Only a damaged store has a directory that lists keys missing from the chunks. Dropping
        // the chain keeps the loop finite.
        if self.chains.first().is_some_and(|chain| chain.first >= chain.end) {
            let lost = self.chains.remove(0);
            self.count = self.count.saturating_sub(lost.count);
        }
        Ok(())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u32(self.count);
        writer.u32(self.chains.len() as u32);
        for chain in &self.chains {
            writer.array(chain.key.as_bytes());
            writer.u64(chain.base);
            writer.u64(chain.first);
            writer.u64(chain.end);
            writer.u32(chain.count);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let count = reader.u32()?;
        let length = reader.u32()?;
        let mut chains = Vec::new();
        for _ in 0..length {
            chains.push(StoredChain {
                key: RatchetKey::from(reader.array()?),
                base: reader.u64()?,
                first: reader.u64()?,
                end: reader.u64()?,
                count: reader.u32()?,
            });
        }
        Ok(Self { chains, count })
    }
}

fn slot(number: u64) -> usize {
    (number % CHUNK) as usize
}

/// Up to 32 keys with consecutive numbers.
#[derive(Debug, Default)]
pub(super) struct KeyChunk {
    keys: [Option<MessageKey>; CHUNK as usize],
}

impl KeyChunk {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.iter().all(Option::is_none)
    }

    /// Writes a bit per stored key, then these keys.
    pub(super) fn write(&self, writer: &mut Writer) {
        let bits = self.keys.iter().rev().fold(0, |bits, key| bits << 1 | u32::from(key.is_some()));
        writer.u32(bits);
        for key in self.keys.iter().flatten() {
            writer.array(key.as_bytes());
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let bits = reader.u32()?;
        let mut chunk = Self::default();
        for (at, key) in chunk.keys.iter_mut().enumerate() {
            if bits >> at & 1 == 1 {
                *key = Some(MessageKey::from_bytes(reader.array()?));
            }
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Map(BTreeMap<u64, Vec<u8>>);

    impl KeyChunks for Map {
        fn load(&mut self, index: u64) -> Result<KeyChunk, StoreError> {
            self.0.get(&index).map_or(Ok(KeyChunk::default()), |bytes| {
                KeyChunk::read(&mut Reader::new("chunk", bytes))
            })
        }

        fn save(&mut self, index: u64, chunk: &KeyChunk) -> Result<(), StoreError> {
            if chunk.is_empty() {
                self.0.remove(&index);
            } else {
                let mut writer = Writer::default();
                chunk.write(&mut writer);
                self.0.insert(index, writer.finish().to_vec());
            }
            Ok(())
        }
    }

    /// The limits, in the simplest form.
    #[derive(Default)]
    struct Model(Vec<(u64, u8, u32)>);

    impl Model {
        fn limit(&mut self, keys_count: u64) {
            let excess = self.0.len().saturating_sub(MAX_STORED_KEYS as usize);
            self.0.drain(..excess);
            self.0.retain(|(number, ..)| keys_count < MAX_AGE || *number > keys_count - MAX_AGE);
        }
    }

    fn chain(name: u8) -> RatchetKey {
        RatchetKey::from([name; 33])
    }

    #[test]
    fn stores_what_a_plain_list_would_store() {
        let (mut stored, mut chunks, mut model) =
            (StoredKeys::default(), Map::default(), Model::default());
        let mut number = 0;
        let mut random = 1_u32;
        for round in 0..60_u8 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = (random >> 16) % 400;
            let mut derived = Vec::new();
            for n in 0..length {
                let key = MessageKey::from_bytes([(number % 251) as u8; 32]);
                derived.push(DerivedKey { chain: chain(round), n, number, key });
                model.0.push((number, round, n));
                number += 1;
            }
            model.limit(number);
            stored.insert(derived, number, &mut chunks).unwrap();
            assert_eq!(stored.count() as usize, model.0.len(), "round {round}");
            // Delete some.
            let gone: Vec<_> =
                model.0.iter().copied().filter(|(at, ..)| at % 7 == u64::from(round) % 7).collect();
            for (_, name, n) in &gone {
                assert!(stored.remove(&chain(*name), *n, &mut chunks).unwrap());
                assert!(!stored.remove(&chain(*name), *n, &mut chunks).unwrap());
            }
            model.0.retain(|entry| !gone.contains(entry));
        }
        for (at, name, n) in &model.0 {
            let key = stored.find(&chain(*name), *n, &mut chunks).unwrap().unwrap();
            assert_eq!(key.as_bytes()[0], (at % 251) as u8);
        }
        let in_chunks: usize = chunks.0.values().map(|bytes| (bytes.len() - 4) / 32).sum();
        assert_eq!(in_chunks, model.0.len(), "chunks hold no deleted keys");

        let mut writer = Writer::default();
        stored.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(StoredKeys::read(&mut Reader::new("stored", &bytes)).unwrap(), stored);
        stored.clear(&mut chunks).unwrap();
        assert_eq!((stored.count(), chunks.0.len()), (0, 0));
    }
}

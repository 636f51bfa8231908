//! The message keys that a session keeps: of messages that are missing, and of those that were
//! read but not yet confirmed.
//!
//! Every key made for receiving has a number of its own in the session, and inside one chain these
//! numbers run as the messages' do. So a key is found by arithmetic: its chain has a base, its
//! number is base + n, and it lies in chunk number / 32. The directory ([`Kept`]) lists only the
//! chains with keys; it is a part of the session's state. The chunks are records of their own, so
//! that reading a message touches one of them, however many keys are kept.
//!
//! | limit | value |
//! | --- | --- |
//! | keys kept per session | 2000, the oldest go first |
//! | age | a key goes when the session has made 3000 keys since |

use super::{Made, MessageKey};
use crate::secure::{
    key::CompressedKey,
    store::{
        StoreError,
        codec::{Reader, Writer},
    },
};

/// How many keys a session keeps.
pub const MAX_KEPT: u32 = 2000;
/// After how many further keys one is given up.
pub const MAX_AGE: u64 = 3000;

/// Keys per chunk. Measured against records of one key each: half the time for many, the same for
/// one.
const CHUNK: u64 = 32;

/// Where the chunks of one session are.
pub(crate) trait Chunks {
    /// The chunk of this index; an empty one if there is none.
    fn load(&mut self, index: u64) -> Result<Chunk, StoreError>;
    /// Writes the chunk of this index; deletes it if it is empty.
    fn save(&mut self, index: u64, chunk: &Chunk) -> Result<(), StoreError>;
}

/// Which keys a session keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// In the order of their bases; each has at least one key.
    chains: Vec<KeptChain>,
    count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KeptChain {
    key: CompressedKey,
    /// The number that message 0 of the chain has.
    base: u64,
    /// No kept key of the chain has a lower number.
    first: u64,
    /// All kept keys of the chain have lower numbers.
    end: u64,
    count: u32,
}

impl Kept {
    /// How many keys are kept.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The key of message `n` of a chain.
    pub(crate) fn find<C: Chunks>(
        &self,
        chain: &CompressedKey,
        n: u32,
        chunks: &mut C,
    ) -> Result<Option<MessageKey>, StoreError> {
        let Some((_, number)) = self.position(chain, n) else { return Ok(None) };
        Ok(chunks.load(number / CHUNK)?.keys[slot(number)].take())
    }

    /// Keeps keys, whose numbers are above all others', and lets go what exceeds the limits.
    /// `keys_count` is how many keys the session has made.
    pub(crate) fn insert<C: Chunks>(
        &mut self,
        made: Vec<Made>,
        keys_count: u64,
        chunks: &mut C,
    ) -> Result<(), StoreError> {
        let mut open: Option<(u64, Chunk)> = None;
        for Made { chain, n, number, key } in made {
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

    /// Lets go of one key. Whether it was there.
    pub(crate) fn remove<C: Chunks>(
        &mut self,
        chain: &CompressedKey,
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

    /// Lets go of all keys.
    pub(crate) fn clear<C: Chunks>(&mut self, chunks: &mut C) -> Result<(), StoreError> {
        for chain in std::mem::take(self).chains {
            for index in chain.first / CHUNK..=chain.end / CHUNK {
                chunks.save(index, &Chunk::default())?;
            }
        }
        Ok(())
    }

    /// Which chain of the directory, and the number of its message `n`.
    fn position(&self, key: &CompressedKey, n: u32) -> Option<(usize, u64)> {
        let at = self.chains.iter().rposition(|chain| chain.key == *key)?;
        let number = self.chains[at].base + u64::from(n);
        (self.chains[at].first..self.chains[at].end).contains(&number).then_some((at, number))
    }

    fn list(&mut self, key: CompressedKey, number: u64, base: u64) {
        self.count += 1;
        match self.chains.last_mut() {
            Some(last) if last.key == key && last.base == base => {
                last.end = number + 1;
                last.count += 1;
            }
            _ => {
                self.chains.push(KeptChain { key, base, first: number, end: number + 1, count: 1 })
            }
        }
    }

    fn unlist(&mut self, at: usize) {
        self.count -= 1;
        self.chains[at].count -= 1;
        if self.chains[at].count == 0 {
            self.chains.remove(at);
        }
    }

    /// Lets go of the oldest keys while there are too many of them, or they are too old.
    fn prune<C: Chunks>(&mut self, keys_count: u64, chunks: &mut C) -> Result<(), StoreError> {
        let too_old = keys_count.checked_sub(MAX_AGE);
        while let Some(oldest) = self.chains.first() {
            let number = oldest.first;
            let aged = too_old.is_some_and(|limit| number <= limit);
            if !aged && self.count <= MAX_KEPT {
                break;
            }
            self.prune_chunk(number, too_old, chunks)?;
        }
        Ok(())
    }

    /// Does so inside the chunk of `number`, from there on, for the first chain.
    fn prune_chunk<C: Chunks>(
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
            if !aged && self.count <= MAX_KEPT {
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
        // A directory that promises what the chunks don't have can't come from here, only from
        // a damaged store: not worth more than not going round in circles.
        if self.chains.first().is_some_and(|chain| chain.first >= chain.end) {
            let lost = self.chains.remove(0);
            self.count = self.count.saturating_sub(lost.count);
        }
        Ok(())
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
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

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let count = reader.u32()?;
        let length = reader.u32()?;
        let mut chains = Vec::new();
        for _ in 0..length {
            chains.push(KeptChain {
                key: CompressedKey::from(reader.array()?),
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

/// Up to 32 keys with neighbouring numbers.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    keys: [Option<MessageKey>; CHUNK as usize],
}

impl Chunk {
    pub fn is_empty(&self) -> bool {
        self.keys.iter().all(Option::is_none)
    }

    /// A bit per key that is there, then these keys.
    pub fn write(&self, writer: &mut Writer) {
        let bits = self.keys.iter().rev().fold(0, |bits, key| bits << 1 | u32::from(key.is_some()));
        writer.u32(bits);
        for key in self.keys.iter().flatten() {
            writer.array(key.as_bytes());
        }
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
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

    impl Chunks for Map {
        fn load(&mut self, index: u64) -> Result<Chunk, StoreError> {
            self.0
                .get(&index)
                .map_or(Ok(Chunk::default()), |bytes| Chunk::read(&mut Reader::new("chunk", bytes)))
        }

        fn save(&mut self, index: u64, chunk: &Chunk) -> Result<(), StoreError> {
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

    /// What the limits say, in the simplest words.
    #[derive(Default)]
    struct Model(Vec<(u64, u8, u32)>);

    impl Model {
        fn limit(&mut self, keys_count: u64) {
            let excess = self.0.len().saturating_sub(MAX_KEPT as usize);
            self.0.drain(..excess);
            self.0.retain(|(number, ..)| keys_count < MAX_AGE || *number > keys_count - MAX_AGE);
        }
    }

    fn chain(name: u8) -> CompressedKey {
        CompressedKey::from([name; 33])
    }

    #[test]
    fn keeps_what_a_plain_list_would_keep() {
        let (mut kept, mut chunks, mut model) = (Kept::default(), Map::default(), Model::default());
        let mut number = 0;
        let mut random = 1_u32;
        for round in 0..60_u8 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = (random >> 16) % 400;
            let mut made = Vec::new();
            for n in 0..length {
                let key = MessageKey::from_bytes([(number % 251) as u8; 32]);
                made.push(Made { chain: chain(round), n, number, key });
                model.0.push((number, round, n));
                number += 1;
            }
            model.limit(number);
            kept.insert(made, number, &mut chunks).unwrap();
            assert_eq!(kept.count() as usize, model.0.len(), "round {round}");
            // Some go.
            let gone: Vec<_> =
                model.0.iter().copied().filter(|(at, ..)| at % 7 == u64::from(round) % 7).collect();
            for (_, name, n) in &gone {
                assert!(kept.remove(&chain(*name), *n, &mut chunks).unwrap());
                assert!(!kept.remove(&chain(*name), *n, &mut chunks).unwrap());
            }
            model.0.retain(|entry| !gone.contains(entry));
        }
        for (at, name, n) in &model.0 {
            let key = kept.find(&chain(*name), *n, &mut chunks).unwrap().unwrap();
            assert_eq!(key.as_bytes()[0], (at % 251) as u8);
        }
        let stored: usize = chunks.0.values().map(|bytes| (bytes.len() - 4) / 32).sum();
        assert_eq!(stored, model.0.len(), "nothing stays behind in the chunks");

        let mut writer = Writer::default();
        kept.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(Kept::read(&mut Reader::new("kept", &bytes)).unwrap(), kept);
        kept.clear(&mut chunks).unwrap();
        assert_eq!((kept.count(), chunks.0.len()), (0, 0));
    }
}

//! Keys and values of the trees.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `time` | sent (4), hash (32) | topic (4), RLP |
//! | `topics` | topic (4), sent (4), hash (32) | length of the RLP (4) |
//! | `counts` | day (4), topic (4) | envelopes (8), sum of lengths (8) |
//! | `fresh` | number of the block (8) | up to [`BLOCK`] entries: key of `topics` and value |
//! | `meta` | name | see the constants |
//!
//! Integers are big-endian, so that keys sort as their numbers do.

use statuskit_core::{envelope::Topic, mailserver::Position, time::UnixSeconds};
use statuskit_lmdb::structure::Shape;

/// The name of the tree of envelopes.
pub(super) const TIME: &[u8] = b"time";
/// The name of the index by topic.
pub(super) const TOPICS: &[u8] = b"topics";

/// In `meta`: which program wrote the store, and the version of its layout.
pub(super) const FORMAT: &[u8] = b"format";
/// The value of [`FORMAT`] without the version at its end.
pub(super) const FORMAT_NAME: &[u8] = b"statuskit archive ";
/// The version of this layout.
pub(super) const FORMAT_VERSION: &[u8] = b"1";
/// In `meta`: how far the entries of `fresh` were moved to `topics`: number of the last block of
/// the merge (8), greatest key moved (40).
pub(super) const MERGE: &[u8] = b"merge";
/// In `meta`: what was sent before this second (4) is being removed.
pub(super) const FLOOR: &[u8] = b"floor";

/// Returns what a tree can hold, and whether all of it is read at opening.
pub(super) fn shape_of(name: &[u8]) -> (Shape, bool) {
    match name {
        // A topic, and an envelope of at least one byte.
        TIME => (Shape::new(36, 5, 1), false),
        TOPICS => (Shape::fixed(40, 4), false),
        b"counts" => (Shape::fixed(8, 16), true),
        b"fresh" => (Shape::new(8, 1, Entry::LEN), true),
        b"meta" => (Shape::ANY, true),
        _ => (Shape::ANY, false),
    }
}

/// The key of an envelope in `time`: its position.
pub(super) type TimeKey = [u8; Position::LEN];

/// The key of an envelope in `topics`.
pub(super) type TopicKey = [u8; 40];

/// An envelope as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Topic, sent, hash.
    pub(super) key: TopicKey,
    /// Length of the RLP.
    pub(super) len: u32,
}

impl Entry {
    /// The length of an entry in a block.
    pub(super) const LEN: usize = 44;

    pub(super) fn new(topic: Topic, position: Position, len: u32) -> Self {
        let mut key = [0; 40];
        key[..4].copy_from_slice(&topic.0);
        key[4..].copy_from_slice(&position.to_bytes());
        Self { key, len }
    }

    /// Reads a key and a value of `topics`.
    pub(super) fn from_parts(key: &[u8], value: &[u8]) -> Option<Self> {
        let key = key.try_into().ok()?;
        Some(Self { key, len: u32::from_be_bytes(value.try_into().ok()?) })
    }

    pub(super) fn topic(&self) -> Topic {
        Topic([self.key[0], self.key[1], self.key[2], self.key[3]])
    }

    pub(super) fn sent(&self) -> UnixSeconds {
        UnixSeconds(u32::from_be_bytes([self.key[4], self.key[5], self.key[6], self.key[7]]))
    }

    pub(super) fn time_key(&self) -> TimeKey {
        time_part(&self.key)
    }

    pub(super) fn day(&self) -> u32 {
        self.sent().day()
    }
}

/// Returns a key of `topics` without its topic.
pub(super) fn time_part(key: &TopicKey) -> TimeKey {
    let mut time = [0; 36];
    time.copy_from_slice(&key[4..]);
    time
}

/// Makes a key of `topics`.
pub(super) fn topic_key(topic: Topic, time: &TimeKey) -> TopicKey {
    let mut key = [0; 40];
    key[..4].copy_from_slice(&topic.0);
    key[4..].copy_from_slice(time);
    key
}

/// Entries per block of `fresh`: two blocks fill a page of 4 KiB.
pub(super) const BLOCK: usize = 44;

pub(super) fn put_block(entries: &[Entry], block: &mut Vec<u8>) {
    block.clear();
    for entry in entries {
        block.extend_from_slice(&entry.key);
        block.extend_from_slice(&entry.len.to_be_bytes());
    }
}

/// Reads the entries of a block; `None` if it is malformed.
pub(super) fn read_block(block: &[u8]) -> Option<impl Iterator<Item = Entry>> {
    let (entries, rest) = block.as_chunks::<{ Entry::LEN }>();
    rest.is_empty().then(|| {
        entries.iter().map(|bytes| {
            let mut entry = Entry { key: [0; 40], len: 0 };
            entry.key.copy_from_slice(&bytes[..40]);
            entry.len = u32::from_be_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]);
            entry
        })
    })
}

/// Makes a key of `counts`.
pub(super) fn count_key(day: u32, topic: Topic) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&day.to_be_bytes());
    key[4..].copy_from_slice(&topic.0);
    key
}

/// Reads day and topic from a key of `counts`.
pub(super) fn read_count_key(key: &[u8]) -> Option<(u32, Topic)> {
    let (day, topic) = key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*day), Topic(topic.try_into().ok()?)))
}

/// Envelopes and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) envelopes: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.envelopes = self.envelopes.saturating_add(other.envelopes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.envelopes = self.envelopes.saturating_sub(other.envelopes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// The tally of one envelope.
    pub(super) fn one(len: u32) -> Self {
        Self { envelopes: 1, bytes: len.into() }
    }

    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.envelopes.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (envelopes, bytes) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            envelopes: u64::from_be_bytes(*envelopes),
            bytes: u64::from_be_bytes(bytes.try_into().ok()?),
        })
    }
}

/// How far a merge has got: see [`MERGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MergeMark {
    /// The last block of the merge.
    pub(super) through: u64,
    /// Entries up to this key were moved.
    pub(super) key: TopicKey,
}

impl MergeMark {
    pub(super) fn to_bytes(self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&self.through.to_be_bytes());
        bytes[8..].copy_from_slice(&self.key);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (through, key) = bytes.split_first_chunk::<8>()?;
        Some(Self { through: u64::from_be_bytes(*through), key: key.try_into().ok()? })
    }
}

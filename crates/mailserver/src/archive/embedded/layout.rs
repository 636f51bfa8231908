//! The keys and values of the trees.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `time` | sent (4), hash (32) | topic (4), RLP |
//! | `topics` | topic (4), sent (4), hash (32) | length of the RLP (4) |
//! | `counts` | day (4), topic (4) | envelopes (8), sum of lengths (8) |
//! | `fresh` | number of the block (8) | up to [`BLOCK`] entries: key of `topics` and value |
//! | `meta` | name | see the constants |
//!
//! Integers are big-endian, so that the order of keys is that of what they say.

use statuskit_core::{envelope::Topic, mailserver::Position};
use statuskit_lmdb::structure::Shape;

pub(super) use crate::archive::DAY;

/// In `meta`: what wrote the store, and in which layout.
pub const FORMAT: &[u8] = b"format";
/// The value of [`FORMAT`], less the version at its end.
pub const FORMAT_NAME: &[u8] = b"statuskit archive ";
/// The version of this layout.
pub const FORMAT_VERSION: &[u8] = b"1";
/// In `meta`: how far the entries of `fresh` have been moved into `topics`: number of the last
/// block concerned (8), greatest key moved (40).
pub const MERGE: &[u8] = b"merge";
/// In `meta`: what was sent before this second (4) is being removed.
pub const FLOOR: &[u8] = b"floor";

/// What there can be in a tree, and whether it is read whole at opening.
pub fn shape_of(name: &[u8]) -> (Shape, bool) {
    match name {
        // A topic, and an envelope of at least a byte.
        b"time" => (Shape::new(36, 5, 1), false),
        b"topics" => (Shape::fixed(40, 4), false),
        b"counts" => (Shape::fixed(8, 16), true),
        b"fresh" => (Shape::new(8, 1, Entry::LEN), true),
        b"meta" => (Shape::ANY, true),
        _ => (Shape::ANY, false),
    }
}

/// The key of an envelope in `time`, and a cursor.
pub type TimeKey = [u8; Position::LEN];

/// The key of an envelope in `topics`.
pub type TopicKey = [u8; 40];

/// An envelope as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Topic, sent, hash.
    pub key: TopicKey,
    /// Length of the RLP.
    pub len: u32,
}

impl Entry {
    /// The length of an entry in a block.
    pub const LEN: usize = 44;

    pub fn new(topic: Topic, position: Position, len: u32) -> Self {
        let mut key = [0; 40];
        key[..4].copy_from_slice(&topic.0);
        key[4..].copy_from_slice(&position.to_bytes());
        Self { key, len }
    }

    /// From a key and a value of `topics`.
    pub fn from_parts(key: &[u8], value: &[u8]) -> Option<Self> {
        let key = key.try_into().ok()?;
        Some(Self { key, len: u32::from_be_bytes(value.try_into().ok()?) })
    }

    pub fn topic(&self) -> Topic {
        Topic([self.key[0], self.key[1], self.key[2], self.key[3]])
    }

    pub fn sent(&self) -> u32 {
        u32::from_be_bytes([self.key[4], self.key[5], self.key[6], self.key[7]])
    }

    pub fn time_key(&self) -> TimeKey {
        time_part(&self.key)
    }

    pub fn day(&self) -> u32 {
        self.sent() / DAY
    }
}

/// A key of `topics` without the topic.
pub fn time_part(key: &TopicKey) -> TimeKey {
    let mut time = [0; 36];
    time.copy_from_slice(&key[4..]);
    time
}

/// A key of `topics`.
pub fn topic_key(topic: Topic, time: &TimeKey) -> TopicKey {
    let mut key = [0; 40];
    key[..4].copy_from_slice(&topic.0);
    key[4..].copy_from_slice(time);
    key
}

/// Entries per block of `fresh`: two blocks fill a page of 4 KiB.
pub const BLOCK: usize = 44;

pub fn put_block(entries: &[Entry], block: &mut Vec<u8>) {
    block.clear();
    for entry in entries {
        block.extend_from_slice(&entry.key);
        block.extend_from_slice(&entry.len.to_be_bytes());
    }
}

/// The entries of a block; none if it isn't one.
pub fn read_block(block: &[u8]) -> Option<impl Iterator<Item = Entry>> {
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

/// A key of `counts`.
pub fn count_key(day: u32, topic: Topic) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&day.to_be_bytes());
    key[4..].copy_from_slice(&topic.0);
    key
}

/// Day and topic of a key of `counts`.
pub fn read_count_key(key: &[u8]) -> Option<(u32, Topic)> {
    let (day, topic) = key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*day), Topic(topic.try_into().ok()?)))
}

/// How many envelopes, and of how many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub envelopes: u64,
    pub bytes: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.envelopes = self.envelopes.saturating_add(other.envelopes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub fn remove(&mut self, other: Self) {
        self.envelopes = self.envelopes.saturating_sub(other.envelopes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// One envelope.
    pub fn one(len: u32) -> Self {
        Self { envelopes: 1, bytes: len.into() }
    }

    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.envelopes.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (envelopes, bytes) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            envelopes: u64::from_be_bytes(*envelopes),
            bytes: u64::from_be_bytes(bytes.try_into().ok()?),
        })
    }
}

/// How far a merge has come: see [`MERGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeMark {
    /// Blocks with greater numbers are not concerned.
    pub through: u64,
    /// Entries up to this key have been moved.
    pub key: TopicKey,
}

impl MergeMark {
    pub fn to_bytes(self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&self.through.to_be_bytes());
        bytes[8..].copy_from_slice(&self.key);
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (through, key) = bytes.split_first_chunk::<8>()?;
        Some(Self { through: u64::from_be_bytes(*through), key: key.try_into().ok()? })
    }
}

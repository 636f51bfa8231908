//! The key of an envelope in the archives of the reference: `sent (4) || hash (32) || topic (4)`,
//! big-endian. The topic comes last, whatever the specification says, and the first 36 bytes are
//! the cursor.
//!
//! Our own stores have keys of their own; this one is for reading and writing the reference's.

use crate::{
    envelope::{Envelope, Topic},
    mailserver::Position,
};

/// The key of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveKey(pub [u8; Self::LEN]);

impl ArchiveKey {
    /// The length of a key, in bytes.
    pub const LEN: usize = Position::LEN + 4;

    /// The key of an envelope at a position.
    pub fn new(position: Position, topic: Topic) -> Self {
        let mut key = [0; Self::LEN];
        key[..Position::LEN].copy_from_slice(&position.to_bytes());
        key[Position::LEN..].copy_from_slice(&topic.0);
        Self(key)
    }

    /// The key of an envelope.
    pub fn from_envelope(envelope: &Envelope) -> Self {
        Self::new(Position::from_envelope(envelope), envelope.topic())
    }

    /// Where the envelope stands.
    pub fn position(&self) -> Position {
        let mut position = [0; Position::LEN];
        position.copy_from_slice(&self.0[..Position::LEN]);
        Position::from_bytes(&position)
    }

    /// Its topic.
    pub fn topic(&self) -> Topic {
        let mut topic = [0; 4];
        topic.copy_from_slice(&self.0[Position::LEN..]);
        Topic(topic)
    }

    /// The keys of the seconds from `lower` to `upper`: the first, which is among them, and the
    /// one after the last. There is none after the last second that 32 bits can say.
    pub fn range(lower: u32, upper: u32) -> (Self, Option<Self>) {
        let first_of = |sent| Self::new(Position::first_of(sent), Topic([0; 4]));
        (first_of(lower), upper.checked_add(1).map(first_of))
    }
}

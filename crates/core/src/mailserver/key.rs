//! The keys of envelopes in the archives of the reference.
//!
//! A key is `sent (4) || hash (32) || topic (4)`, big-endian. The topic comes last, contrary to the
//! specification. The first 36 bytes are the cursor. Our own archives use other keys.

use crate::{
    bytes::fixed_bytes,
    envelope::{Envelope, Topic},
    mailserver::Position,
    time::UnixSeconds,
};

fixed_bytes! {
    /// The key of an envelope in an archive of the reference.
    pub struct ArchiveKey([u8; ArchiveKey::LEN]);
}

impl ArchiveKey {
    /// The length of a key, in bytes.
    pub const LEN: usize = Position::LEN + 4;

    /// Makes the key of an envelope at a position.
    pub fn new(position: Position, topic: Topic) -> Self {
        let mut key = [0; Self::LEN];
        key[..Position::LEN].copy_from_slice(&position.to_bytes());
        key[Position::LEN..].copy_from_slice(&topic.0);
        Self(key)
    }

    /// Makes the key of an envelope.
    pub fn from_envelope(envelope: &Envelope) -> Self {
        Self::new(Position::from_envelope(envelope), envelope.topic())
    }

    /// Returns the position of the envelope.
    pub fn position(&self) -> Position {
        let mut position = [0; Position::LEN];
        position.copy_from_slice(&self.0[..Position::LEN]);
        Position::from_bytes(&position)
    }

    /// Returns the topic of the envelope.
    pub fn topic(&self) -> Topic {
        let mut topic = [0; 4];
        topic.copy_from_slice(&self.0[Position::LEN..]);
        Topic(topic)
    }

    /// Returns the range of the keys from the second `lower` to the second `upper`: the first key,
    /// and the first one after the range.
    ///
    /// The latter is `None` if `upper` is the last second of 32 bits.
    pub fn range(lower: UnixSeconds, upper: UnixSeconds) -> (Self, Option<Self>) {
        let first_of = |sent| Self::new(Position::first_of(sent), Topic([0; 4]));
        (first_of(lower), upper.0.checked_add(1).map(|after| first_of(UnixSeconds(after))))
    }
}

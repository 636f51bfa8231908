//! Positions of envelopes in an archive, and the cursors that name them.
//!
//! A server answers a request with a page and the cursor of its last envelope; the next request
//! continues behind it. The reference's cursors are 36 bytes: second sent (4, big-endian), hash (32).
//! Other servers may use other bytes, which travel unchanged.
//!
//! Source: mailserver specification of Status, "Requesting messages"; layout as in the reference.

use std::fmt;

use crate::{
    envelope::{Envelope, EnvelopeHash},
    time::UnixSeconds,
};

/// Where an envelope stands in an archive: ordered by the second it was sent, then by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Expiry less time to live.
    pub sent: UnixSeconds,
    /// The envelope's hash.
    pub hash: EnvelopeHash,
}

impl Position {
    /// The length of a position in bytes.
    pub const LEN: usize = 36;

    /// The position of an envelope.
    pub fn from_envelope(envelope: &Envelope) -> Self {
        Self { sent: envelope.sent(), hash: envelope.hash() }
    }

    /// The first position of a second.
    pub fn first_of(sent: UnixSeconds) -> Self {
        Self { sent, hash: EnvelopeHash([0; 32]) }
    }

    /// The last position of a second.
    pub fn last_of(sent: UnixSeconds) -> Self {
        Self { sent, hash: EnvelopeHash([0xff; 32]) }
    }

    /// Returns `sent`, four bytes big-endian, then the hash.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.sent.0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.hash.0);
        bytes
    }

    /// Reads a position.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (mut sent, mut hash) = ([0; 4], [0; 32]);
        sent.copy_from_slice(&bytes[..4]);
        hash.copy_from_slice(&bytes[4..]);
        Self { sent: UnixSeconds(u32::from_be_bytes(sent)), hash: EnvelopeHash(hash) }
    }
}

/// Where a page ended, as its server put it.
///
/// Never empty: on the wire, no bytes mean that there is no cursor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Position(Position),
    /// Bytes of another length.
    Foreign(Box<[u8]>),
}

impl Cursor {
    /// Reads a cursor; `None` if there are no bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.try_into() {
            Ok(position) => Some(Self(Repr::Position(Position::from_bytes(position)))),
            Err(_) if bytes.is_empty() => None,
            Err(_) => Some(Self(Repr::Foreign(bytes.into()))),
        }
    }

    /// Returns the bytes that were read.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Repr::Position(position) => position.to_bytes().to_vec(),
            Repr::Foreign(bytes) => bytes.to_vec(),
        }
    }

    /// Returns the position, if the cursor has the length of one.
    pub fn position(&self) -> Option<Position> {
        match &self.0 {
            Repr::Position(position) => Some(*position),
            Repr::Foreign(_) => None,
        }
    }

    /// The length in bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a cursor is never empty")]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Position(_) => Position::LEN,
            Repr::Foreign(bytes) => bytes.len(),
        }
    }
}

impl From<Position> for Cursor {
    fn from(position: Position) -> Self {
        Self(Repr::Position(position))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

/// `0x` and hex digits.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

/// The bytes of a cursor on the wire.
pub(crate) fn cursor_bytes(cursor: &Option<Cursor>) -> Vec<u8> {
    cursor.as_ref().map(Cursor::to_bytes).unwrap_or_default()
}

/// The number of those bytes.
pub(crate) fn cursor_len(cursor: &Option<Cursor>) -> usize {
    cursor.as_ref().map_or(0, Cursor::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_round_trip() {
        assert_eq!(Cursor::from_bytes(&[]), None);
        for length in [1, 35, 36, 37, 40, 100] {
            let bytes: Vec<u8> = (0..length).collect();
            let cursor = Cursor::from_bytes(&bytes).unwrap();
            assert_eq!((cursor.to_bytes(), cursor.len()), (bytes, usize::from(length)));
            assert_eq!(cursor.position().is_some(), length == 36);
        }
    }

    #[test]
    fn a_position_is_its_cursor() {
        let position = Position { sent: UnixSeconds(0x0102_0304), hash: EnvelopeHash([7; 32]) };
        let cursor = Cursor::from(position);
        assert_eq!(cursor.position(), Some(position));
        assert_eq!(Cursor::from_bytes(&position.to_bytes()), Some(cursor.clone()));
        assert!(cursor.to_string().starts_with("0x010203040707"));
    }
}

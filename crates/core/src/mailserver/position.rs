//! Where an envelope stands in an archive, and the cursor that says so.

use crate::envelope::{Envelope, EnvelopeHash};

/// Where an envelope stands in an archive: by the second it was sent, then by its hash. The 36
/// bytes of a cursor are the position of the last envelope of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Expiry less time to live, in UNIX seconds.
    pub sent: u32,
    /// The envelope's hash.
    pub hash: EnvelopeHash,
}

impl Position {
    /// The length of a cursor, in bytes.
    pub const CURSOR_LEN: usize = 36;

    /// The position of an envelope.
    pub fn from_envelope(envelope: &Envelope) -> Self {
        Self { sent: envelope.sent(), hash: envelope.hash() }
    }

    /// `sent`, four bytes big-endian, then the hash.
    pub fn to_cursor(self) -> [u8; Self::CURSOR_LEN] {
        let mut cursor = [0; Self::CURSOR_LEN];
        cursor[..4].copy_from_slice(&self.sent.to_be_bytes());
        cursor[4..].copy_from_slice(&self.hash.0);
        cursor
    }

    /// Reads a cursor; none if it doesn't have [`CURSOR_LEN`](Self::CURSOR_LEN) bytes.
    pub fn from_cursor(cursor: &[u8]) -> Option<Self> {
        let (sent, hash) = cursor.split_first_chunk::<4>()?;
        let hash = EnvelopeHash(hash.try_into().ok()?);
        Some(Self { sent: u32::from_be_bytes(*sent), hash })
    }
}

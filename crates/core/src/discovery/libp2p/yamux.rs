//! Frames of yamux: several streams on one connection.
//!
//! A frame is a [`Header`] of 12 bytes, big-endian, and for [`Kind::Data`] as many bytes as it
//! says.
//!
//! Source: HashiCorp, "yamux" (`spec.md`).

/// The name of the protocol.
pub const PROTOCOL: &str = "/yamux/1.0.0";
/// The length of a header.
pub const HEADER: usize = 12;
/// How many bytes a new stream can receive before it grants more.
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a stream. The length is theirs.
    Data,
    /// The length is how many more bytes the stream can receive.
    WindowUpdate,
    /// The length is a value that the answer repeats.
    Ping,
    /// The end of the connection. The length is a reason.
    GoAway,
}

/// Flags of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The stream begins, or the ping is a question.
    pub const SYN: Self = Self(1);
    /// The stream is accepted, or the ping is an answer.
    pub const ACK: Self = Self(2);
    /// No more data follows on the stream.
    pub const FIN: Self = Self(4);
    /// The stream is over at once.
    pub const RST: Self = Self(8);

    /// Returns whether all of these are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// Why bytes are not a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The version is not 0.
    #[error("version {0} of yamux; expected 0")]
    Version(u8),
    /// There is no such type.
    #[error("{0} is not a type of yamux frame; expected 0 to 3")]
    Kind(u8),
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Unknown flags are kept.
    pub flags: Flags,
    /// Odd for streams that the dialler opened, 0 for [`Kind::Ping`] and [`Kind::GoAway`].
    pub stream: u32,
    /// See [`Kind`].
    pub length: u32,
}

impl Header {
    /// Returns the bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let mut bytes = [0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&self.flags.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    ///
    /// If the version or the type is unknown.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self, HeaderError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        if version != 0 {
            return Err(HeaderError::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            kind => return Err(HeaderError::Kind(kind)),
        };
        Ok(Self {
            kind,
            flags: Flags(u16::from_be_bytes([f0, f1])),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_round_trip(bytes: [u8; HEADER]) {
            match Header::decode(&bytes) {
                Ok(header) => prop_assert_eq!(header.encode(), bytes),
                Err(HeaderError::Version(version)) => prop_assert_eq!(version, bytes[0]),
                Err(HeaderError::Kind(kind)) => prop_assert!(kind > 3),
            }
        }
    }

    #[test]
    fn a_ping_as_the_specification_lays_it_out() {
        let ping = Header { kind: Kind::Ping, flags: Flags::SYN, stream: 0, length: 7 };
        assert_eq!(ping.encode(), [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert!(Flags(3).has(Flags::SYN) && Flags(3).has(Flags::ACK) && !Flags(3).has(Flags::FIN));
    }
}

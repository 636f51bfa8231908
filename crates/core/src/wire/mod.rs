//! The packets of `shh/6`, `waku/0` and `waku/1`.
//!
//! | what | where |
//! | --- | --- |
//! | the handshake | [`status`] |
//! | every other packet | [`packet`] |
//! | options of Waku, which replace the handshake of Whisper | [`waku`] |
//! | packets of mailservers | [`p2p`] |
//! | positions in an archive, and cursors | [`Position`], [`Cursor`] |
//!
//! Source: EIP-627, and the Whisper and Waku specifications of Status and Vac.

mod cursor;
pub mod p2p;
pub mod packet;
pub mod status;
pub mod waku;

pub use cursor::{Cursor, Position};
pub(crate) use cursor::{cursor_bytes, cursor_len};
pub use packet::{Encoded, Packet, PacketError};
pub use status::{RateLimits, Status};

/// The protocol of the packets. Waku differs from Whisper in the handshake, in some lists, and in
/// what it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `shh/6`.
    #[default]
    Whisper,
    /// `waku/0`: the keys of options are texts.
    Waku0,
    /// `waku/1`: the keys of options are integers.
    Waku1,
}

impl Dialect {
    /// Returns the name of the protocol in Hello.
    pub fn protocol(self) -> &'static str {
        if self.is_waku() { waku::PROTOCOL } else { packet::PROTOCOL }
    }

    /// Returns the version of the protocol in Hello.
    pub fn version(self) -> u64 {
        match self {
            Self::Whisper => status::VERSION,
            Self::Waku0 => 0,
            Self::Waku1 => 1,
        }
    }

    /// Returns whether this is Waku: requests have no raw form, and every batch is a list.
    pub fn is_waku(self) -> bool {
        self != Self::Whisper
    }
}

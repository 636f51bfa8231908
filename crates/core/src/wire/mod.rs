//! The packets of `shh/6`: the handshake, and everything that follows it.
//!
//! | what | where |
//! | --- | --- |
//! | the handshake | [`status`] |
//! | every other packet | [`packet`] |
//! | between a node and its mailserver | [`p2p`] |
//! | where a page of an archive ended | [`Cursor`], [`Position`] |
//!
//! Source: EIP-627, and the Whisper specifications of Status.

mod cursor;
pub mod p2p;
pub mod packet;
pub mod status;

pub use cursor::{Cursor, Position};
pub(crate) use cursor::{cursor_bytes, cursor_len};
pub use packet::{Packet, PacketError};
pub use status::{RateLimits, Status};

/// Which protocol the packets are of. They are the same but for some words and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `shh/6`.
    #[default]
    Whisper,
    /// `waku/0` and `waku/1`: no raw form, and every batch is a list.
    Waku,
}

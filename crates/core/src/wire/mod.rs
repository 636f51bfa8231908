//! The packets of `shh/6`.
//!
//! | what | where |
//! | --- | --- |
//! | the handshake | [`status`] |
//! | every other packet | [`packet`] |
//! | packets of mailservers | [`p2p`] |
//! | positions in an archive, and cursors | [`Position`], [`Cursor`] |
//!
//! Source: EIP-627, and the Whisper specifications of Status.

mod cursor;
pub mod p2p;
pub mod packet;
pub mod status;

pub use cursor::{Cursor, Position};
pub(crate) use cursor::{cursor_bytes, cursor_len};
pub use packet::{Encoded, Packet, PacketError};
pub use status::{RateLimits, Status};

/// The protocol of the packets. The protocols differ in some words and lists only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `shh/6`.
    #[default]
    Whisper,
    /// `waku/0` and `waku/1`: no raw form, and every batch is a list.
    Waku,
}

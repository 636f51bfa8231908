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
mod dialect;
mod error;
mod fields;
pub mod p2p;
pub mod packet;
pub mod status;
pub mod waku;

pub(crate) use cursor::cursor_bytes;
pub use cursor::{Cursor, Position};
pub use dialect::{Dialect, Network};
pub use error::PacketError;
pub use packet::{Encoded, IntoEncoded, Packet};
pub use status::{RateLimits, Status};

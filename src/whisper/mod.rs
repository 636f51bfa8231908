//! Whisper v6 with the Status extensions: envelopes, and the packets that carry them.
//!
//! | what | where |
//! | --- | --- |
//! | topics and their names | [`topic`] |
//! | bloom filters | [`bloom`] |
//! | symmetric keys | [`key`] |
//! | the plaintext: flags, payload, padding, signature | [`message`] |
//! | sealing and opening | [`seal`] |
//! | the envelope, its hash, its sizes | [`envelope`] |
//! | proof of work: value, target, mining | [`pow`] |
//! | what a peer checks on receipt | [`check`] |
//! | the handshake and every other packet | [`status`], [`packet`], [`p2p`] |
//!
//! Everything here is pure: time and randomness are arguments.
//!
//! Source: EIP-627, and the Whisper specifications of Status.

pub mod bloom;
pub mod check;
pub mod envelope;
pub mod key;
pub mod message;
pub mod p2p;
pub mod packet;
pub mod pow;
pub mod seal;
pub mod status;
pub mod topic;

pub use bloom::Bloom;
pub use check::{Rules, Verdict};
pub use envelope::{Envelope, EnvelopeHash};
pub use key::SymKey;
pub use message::{Message, MessageError, Padding};
pub use packet::{Packet, PacketError};
pub use seal::{Draft, OpenError, Opener, Recipient};
pub use status::{RateLimits, Status};
pub use topic::Topic;

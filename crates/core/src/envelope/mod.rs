//! Envelopes of Whisper v6: sealed messages, their topics, and their proof of work.
//!
//! | what | where |
//! | --- | --- |
//! | topics and their names | [`topic`] |
//! | bloom filters | [`bloom`] |
//! | symmetric keys | [`key`] |
//! | the plaintext: flags, payload, padding, signature | [`message`] |
//! | sealing and opening | [`seal`] |
//! | the envelope, its hash, its sizes | [`mod@format`] |
//! | proof of work: value, target, mining | [`pow`] |
//! | the checks of a peer on receipt | [`check`] |
//!
//! Source: EIP-627, and the Whisper specifications of Status.

pub mod bloom;
pub mod check;
pub mod format;
pub mod key;
pub mod message;
pub mod pow;
pub mod seal;
pub mod topic;

pub use bloom::Bloom;
pub use check::{Rules, Verdict};
pub use format::{Envelope, EnvelopeHash};
pub use key::SymKey;
pub use message::{Message, MessageError, Padding};
pub use seal::{Draft, OpenError, Opener, Recipient};
pub use topic::Topic;

//! Conversations: topics, keys and payloads put together.
//!
//! | what | where |
//! | --- | --- |
//! | public chats | [`PublicChat`] |
//! | where a message goes, and sealing it without a state | [`Composer`] |
//! | opening envelopes with many keys | [`KeyRing`] |
//! | private conversations and groups, through all layers | [`messenger`] |
//! | a message as a program shows it | [`ReceivedMessage`] |
//!
//! | conversation | topic | key |
//! | --- | --- | --- |
//! | public chat | of the chat's name | from the chat's name as password |
//! | with a peer, at first | partitioned, of the peer's key | the peer's key |
//! | with a peer, once agreed | of the negotiated secret | from the secret as password |
//! | group | none of its own: sent to each member | |
//! | contact code | of the code's name | from the name as password |

mod compose;
mod keyring;
pub mod messenger;
mod received;

use crate::envelope::{SymKey, Topic};
pub use compose::{ComposeError, ComposeOptions, Composed, Composer, Destination};
pub use keyring::{KeyRing, KeyRingError, KeySource, Opened};
pub use received::{Content, ReceivedMessage};

/// The time to live of envelopes sent by Status clients, in seconds.
pub const TTL: u32 = 15;
/// The proof-of-work target of envelopes sent by Status clients.
pub const POW_TARGET: f64 = 0.002;

/// A public chat. Anyone who knows its name can read it.
#[derive(Debug, Clone)]
pub struct PublicChat {
    /// The name, without `#`.
    pub name: String,
    /// The topic of its envelopes.
    pub topic: Topic,
    /// The key of its messages.
    pub key: SymKey,
}

impl PublicChat {
    /// Derives topic and key from the name. This takes some milliseconds: keep the result.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            topic: Topic::from_name(name),
            key: SymKey::from_password(name),
        }
    }
}

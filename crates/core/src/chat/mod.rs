//! Conversations: topics, keys and payloads put together.
//!
//! | what | where |
//! | --- | --- |
//! | public chats | [`PublicChat`] |
//! | where a message goes, and sealing it without a state | [`compose`] |
//! | a set of keys that opens whatever it has keys for | [`KeyRing`] |
//! | private conversations and groups: all layers put together | [`messenger`] |
//!
//! | conversation | topic | key |
//! | --- | --- | --- |
//! | public chat | of the chat's name | from the chat's name as password |
//! | with somebody, first | partitioned, of their key | their key |
//! | with somebody, agreed | of the negotiated secret | from the secret as password |
//! | group | none of its own: to each member | |
//! | contact code | of the code's name | from the name as password |

pub mod compose;
pub mod keyring;
pub mod messenger;

use crate::envelope::{SymKey, Topic};
pub use compose::{ComposeError, Composed, Composer, Destination};
pub use keyring::{KeyRing, Opened};

/// Time to live of the envelopes that Status clients send, in seconds.
pub const TTL: u32 = 15;
/// Proof-of-work target of the envelopes that Status clients send.
pub const POW_TARGET: f64 = 0.002;

/// A public chat: everyone who knows its name reads it.
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
    /// Derives topic and key from the name. The key takes some milliseconds: keep the result.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            topic: Topic::from_name(name),
            key: SymKey::from_password(name),
        }
    }
}

//! Contact codes: where the owner of a key announces how to reach their devices.
//!
//! What the app calls "contact code" in its screens is just the `0x04…` text. In the protocol it
//! is the name `0x04…-contact-code`, which gives a topic and a symmetric key like the name of a
//! public chat does.

use crate::{
    crypto::PublicKey,
    whisper::{SymKey, Topic, topic},
};

/// The contact code of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactCode {
    /// `0x04…-contact-code`.
    pub name: String,
    /// The topic that it is published on.
    pub topic: Topic,
}

impl ContactCode {
    /// The contact code of `key`.
    pub fn of_key(key: &PublicKey) -> Self {
        let name = topic::contact_code_name(key);
        let topic = Topic::of_name(&name);
        Self { name, topic }
    }

    /// The key that its messages are encrypted with. Takes some milliseconds.
    pub fn sym_key(&self) -> SymKey {
        SymKey::from_password(&self.name)
    }
}

//! Contact codes: where the owner of a key announces how to reach their devices.
//!
//! The app shows the `0x04…` text as "contact code". In the protocol it is the name
//! `0x04…-contact-code`, which determines a topic and a symmetric key as a public chat's name does.

use crate::{
    crypto::PublicKey,
    envelope::{SymKey, Topic, topic},
};

/// The contact code of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactCode {
    /// `0x04…-contact-code`.
    pub name: String,
    /// The topic where it is published.
    pub topic: Topic,
}

impl ContactCode {
    /// Returns the contact code of `key`.
    pub fn from_key(key: &PublicKey) -> Self {
        let name = topic::contact_code_name(key);
        let topic = Topic::from_name(&name);
        Self { name, topic }
    }

    /// Derives the key that encrypts its messages; this takes milliseconds.
    pub fn sym_key(&self) -> SymKey {
        SymKey::from_password(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    /// Private key of the identity, topic and symmetric key, from the reference.
    const CASES: [[&str; 3]; 2] = [
        [
            "2cd9cdd826698881b9fa3403a73a65177d3a80e8a393afb9503ffbc081a33438",
            "ec98c99f",
            "1ca7e7050f04b4b60c928d5964a4fc21a040270530fdeac9ba0cb968d68bafb1",
        ],
        [
            "a01fefeb7ee144f5555295690086e0daf44a42549bcc72b032222e56a7864442",
            "3c033ca5",
            "cd637a178d921e7394ccd577df22ea94294526a2b14fef15648bbebdba8cc70a",
        ],
    ];

    #[test]
    fn codes_match_the_reference() {
        for [identity, topic, sym_key] in CASES {
            let key = identity.parse::<SecretKey>().unwrap().public_key();
            let code = ContactCode::from_key(&key);
            assert_eq!(code.name, format!("{key}-contact-code"));
            assert_eq!(code.topic, topic.parse().unwrap());
            assert_eq!(hex::encode(code.sym_key().as_bytes()), sym_key);
        }
    }
}

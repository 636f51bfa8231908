//! Negotiated secrets: the topic that two identities can use once their devices have agreed.
//!
//! `Z = ECDH(own identity, peer identity)`. A device agrees by sending a direct message with a
//! bundle in which it has protocol version 1 or more. A message goes to the negotiated topic if
//! all the devices that it is for have agreed, otherwise to the partitioned topic.
//!
//! Source: Status, "Secure transport", with the behaviour of the reference.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::{PublicKey, SecretKey, SharedSecret};

/// The secret of two identities; erased on drop.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct NegotiatedSecret([u8; 32]);

impl NegotiatedSecret {
    /// Computes it; both sides get the same.
    pub fn agree(ours: &SecretKey, theirs: &PublicKey) -> Self {
        Self::from(&ours.ecdh(theirs))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name of the topic, which is also the password of its symmetric key: 64 hex digits.
    pub fn topic_name(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }
}

impl From<&SharedSecret> for NegotiatedSecret {
    fn from(secret: &SharedSecret) -> Self {
        Self(*secret.as_bytes())
    }
}

impl fmt::Debug for NegotiatedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NegotiatedSecret(…)")
    }
}

//! Negotiated secrets: two identities derive a topic of their own once their devices have agreed.
//!
//! `Z = ECDH(own identity, peer identity)`. A device agrees by sending a direct message whose
//! bundle gives it protocol version 1 or higher. A message goes to the negotiated topic if all
//! devices it is for have agreed, otherwise to the partitioned topic.
//!
//! Source: Status, "Secure transport", with the behaviour of the reference.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::{PublicKey, SecretKey, SharedSecret};

/// The shared secret of two identities.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct NegotiatedSecret([u8; 32]);

impl NegotiatedSecret {
    /// Computes the secret. Both sides get the same.
    pub fn agree(ours: &SecretKey, theirs: &PublicKey) -> Self {
        Self::from(&ours.ecdh(theirs))
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the name of the topic, 64 hex digits. It is also the password of the symmetric key.
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

//! X3DH: the key agreement that starts a session while the other side is offline.
//!
//! The initiator has an identity key `a` and an ephemeral key `e`. The responder has an identity
//! key `b` and a signed prekey `s`. Unlike Signal, there are no one-time prekeys and no HKDF:
//! `SK = keccak256(dh1 || dh2 || dh3)`.
//!
//! | | initiator | responder |
//! | --- | --- | --- |
//! | dh1 | ECDH(a, S) | ECDH(s, A) |
//! | dh2 | ECDH(e, B) | ECDH(b, E) |
//! | dh3 | ECDH(e, S) | ECDH(s, E) |
//!
//! Source: Status, "Secure transport", "X3DH", with the behaviour of the reference.

use std::fmt;

use crate::crypto::{PublicKey, SecretKey, SharedSecret, keccak256};

/// The secret of both sides: the first root key of a session.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct SharedKey([u8; 32]);

impl SharedKey {
    /// Wraps 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(dh: [SharedSecret; 3]) -> Self {
        let mut all = zeroize::Zeroizing::new([0; 96]);
        for (part, secret) in all.chunks_exact_mut(32).zip(&dh) {
            part.copy_from_slice(secret.as_bytes());
        }
        Self(keccak256(&*all))
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(…)")
    }
}

/// Computes the shared key of the initiator.
pub fn initiate(
    identity: &SecretKey,
    ephemeral: &SecretKey,
    their_identity: &PublicKey,
    their_prekey: &PublicKey,
) -> SharedKey {
    SharedKey::derive([
        identity.ecdh(their_prekey),
        ephemeral.ecdh(their_identity),
        ephemeral.ecdh(their_prekey),
    ])
}

/// Computes the shared key of the responder.
pub fn respond(
    identity: &SecretKey,
    prekey: &SecretKey,
    their_identity: &PublicKey,
    their_ephemeral: &PublicKey,
) -> SharedKey {
    SharedKey::derive([
        prekey.ecdh(their_identity),
        identity.ecdh(their_ephemeral),
        prekey.ecdh(their_ephemeral),
    ])
}

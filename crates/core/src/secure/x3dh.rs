//! X3DH: the agreement that a session starts from, without the other side being there.
//!
//! The initiator has an identity key `a` and makes an ephemeral key `e`; the responder has an
//! identity key `b` and a signed pre key `s`. There are no one-time keys, and no HKDF:
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

/// What both sides share after the agreement: the root of a session.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct SharedKey([u8; 32]);

impl SharedKey {
    /// Takes 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(dh: [SharedSecret; 3]) -> Self {
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

/// The initiator's side.
pub fn initiate(
    identity: &SecretKey,
    ephemeral: &SecretKey,
    their_identity: &PublicKey,
    their_pre_key: &PublicKey,
) -> SharedKey {
    SharedKey::of([
        identity.ecdh(their_pre_key),
        ephemeral.ecdh(their_identity),
        ephemeral.ecdh(their_pre_key),
    ])
}

/// The responder's side.
pub fn respond(
    identity: &SecretKey,
    pre_key: &SecretKey,
    their_identity: &PublicKey,
    their_ephemeral: &PublicKey,
) -> SharedKey {
    SharedKey::of([
        pre_key.ecdh(their_identity),
        identity.ecdh(their_ephemeral),
        pre_key.ecdh(their_ephemeral),
    ])
}

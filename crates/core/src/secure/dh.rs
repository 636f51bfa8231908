//! The fallback for peers without a known installation: encryption to the identity key.
//!
//! `K = ECDH(e, identity)` is the AES-256-GCM key without a key derivation. The payload is
//! `ciphertext || tag (16) || nonce (12)`, without associated data. This is not forward secret: the
//! identity key decrypts all of it.
//!
//! Source: Status, "Secure transport", with the behaviour of the reference.

use rand::CryptoRng;

use super::key::{CompressedKey, KeyPair};
use crate::crypto::{
    KeyError, PublicKey, SecretKey,
    aes::{self, GCM_TAG},
};

/// How many bytes longer a payload is than its plaintext.
const OVERHEAD: usize = GCM_TAG + NONCE;

const NONCE: usize = 12;

/// Why a payload could not be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DhError {
    /// The ephemeral key in the header is not a point of the curve.
    #[error("invalid ephemeral key in the header: {0}")]
    Key(#[from] KeyError),
    /// The payload is too short.
    #[error("the payload has {}; expected at least {OVERHEAD}", crate::text::count(.0, "byte"))]
    Short(usize),
    /// The tag does not match: encrypted to another identity, or damaged.
    #[error("the tag does not match: encrypted to another identity, or damaged")]
    Tag,
}

/// Encrypts to an identity. Draws an ephemeral key, then a nonce from `rng`. Returns the key for
/// the header, and the payload.
pub fn encrypt<R: CryptoRng + ?Sized>(
    recipient: &PublicKey,
    plaintext: &[u8],
    rng: &mut R,
) -> (CompressedKey, Vec<u8>) {
    let ephemeral = KeyPair::generate(rng);
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let key = ephemeral.secret().ecdh(recipient);
    let mut payload = Vec::with_capacity(plaintext.len() + OVERHEAD);
    payload.extend_from_slice(plaintext);
    let tag = aes::gcm_seal(key.as_bytes(), &nonce, &mut payload);
    payload.extend_from_slice(&tag);
    payload.extend_from_slice(&nonce);
    (ephemeral.public(), payload)
}

/// Decrypts a payload that was encrypted to `identity`.
///
/// # Errors
///
/// If the ephemeral key is invalid, the payload is too short, or the tag does not match.
pub fn decrypt(
    identity: &SecretKey,
    ephemeral: &CompressedKey,
    payload: &[u8],
) -> Result<Vec<u8>, DhError> {
    let (rest, nonce) = payload.split_last_chunk().ok_or(DhError::Short(payload.len()))?;
    let (ciphertext, tag) = rest.split_last_chunk().ok_or(DhError::Short(payload.len()))?;
    let key = identity.ecdh(&ephemeral.point()?);
    let mut plaintext = ciphertext.to_vec();
    if !aes::gcm_open(key.as_bytes(), nonce, &mut plaintext, tag) {
        return Err(DhError::Tag);
    }
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seeded_rng;

    #[test]
    fn round_trip_and_errors() {
        let mut rng = seeded_rng("dh");
        let bob = SecretKey::generate(&mut rng);
        let (key, payload) = encrypt(&bob.public_key(), b"hi", &mut rng);
        assert_eq!(payload.len(), 2 + OVERHEAD);
        assert_eq!(decrypt(&bob, &key, &payload).unwrap(), b"hi");
        let other = SecretKey::generate(&mut rng);
        assert_eq!(decrypt(&other, &key, &payload), Err(DhError::Tag));
        assert_eq!(decrypt(&bob, &key, &payload[..27]), Err(DhError::Short(27)));
        let off_curve = CompressedKey::from([5; 33]);
        assert_eq!(decrypt(&bob, &off_curve, &payload), Err(DhError::Key(KeyError::NotOnCurve)));
        for at in 0..payload.len() {
            let mut bad = payload.clone();
            bad[at] ^= 1;
            assert_eq!(decrypt(&bob, &key, &bad), Err(DhError::Tag), "byte {at}");
        }
    }
}

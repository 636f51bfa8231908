//! ECIES over secp256k1, for the RLPx handshake and Whisper's asymmetric messages.
//!
//! A message is `R (65) || iv (16) || ciphertext (n) || tag (32)`: 113 bytes more than the
//! plaintext. `R` is the uncompressed ephemeral public key. The cipher is AES-128-CTR, and the tag
//! is HMAC-SHA-256 over `iv || ciphertext || s2`. `s2` is authenticated but not sent. It is empty
//! for messages, and the size prefix for EIP-8 handshakes.
//!
//! Source: devp2p `rlpx.md`, section "ECIES Encryption".

use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{PublicKey, SecretKey, SharedSecret, aes, kdf};

/// Bytes that a message is longer than its plaintext.
pub const OVERHEAD: usize = POINT + IV + TAG;

const POINT: usize = 65;
const IV: usize = 16;
const TAG: usize = 32;

/// Why an ECIES message could not be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EciesError {
    /// Shorter than any message can be.
    #[error("an ECIES message has at least 114 bytes; this one has {0}")]
    Short(usize),
    /// The ephemeral key is not an uncompressed point of the curve.
    #[error("the first 65 bytes of the ECIES message are not an uncompressed secp256k1 point")]
    Point,
    /// The message is for another key, or damaged.
    #[error("the ECIES tag does not match: another recipient's key, or damaged bytes")]
    Tag,
}

/// Encrypts `plaintext` to `recipient` with a fresh ephemeral key and IV from `rng`.
pub fn encrypt<R: CryptoRng + ?Sized>(
    recipient: &PublicKey,
    plaintext: &[u8],
    s2: &[u8],
    rng: &mut R,
) -> Vec<u8> {
    let ephemeral = SecretKey::generate(rng);
    let mut iv = [0; IV];
    rng.fill_bytes(&mut iv);
    encrypt_with(recipient, plaintext, s2, &ephemeral, &iv)
}

/// Encrypts with a given ephemeral key and IV, for vectors and fixtures.
///
/// The same arguments give the same bytes. Using an ephemeral key twice reveals both plaintexts.
pub fn encrypt_with(
    recipient: &PublicKey,
    plaintext: &[u8],
    s2: &[u8],
    ephemeral: &SecretKey,
    iv: &[u8; IV],
) -> Vec<u8> {
    let keys = Keys::derive(&ephemeral.ecdh(recipient));
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&ephemeral.public_key().to_uncompressed());
    out.extend_from_slice(iv);
    out.extend_from_slice(plaintext);
    aes::ctr128(&keys.encryption, iv, &mut out[POINT + IV..]);
    let tag = keys.mac(&out[POINT..], s2).finalize().into_bytes();
    out.extend_from_slice(&tag);
    out
}

/// Decrypts a message to `recipient`.
///
/// # Errors
///
/// If the message is too short, its ephemeral key is not a point, or its tag does not match.
pub fn decrypt(
    recipient: &SecretKey,
    message: &[u8],
    s2: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EciesError> {
    if message.len() <= OVERHEAD {
        return Err(EciesError::Short(message.len()));
    }
    let (point, rest) = message.split_at(POINT);
    let (authenticated, tag) = rest.split_at(rest.len() - TAG);
    let (iv, ciphertext) = authenticated.split_at(IV);
    if point[0] != 4 {
        return Err(EciesError::Point);
    }
    let ephemeral = PublicKey::from_slice(point).map_err(|_| EciesError::Point)?;
    let keys = Keys::derive(&recipient.ecdh(&ephemeral));
    // `verify_slice` compares in constant time.
    keys.mac(authenticated, s2).verify_slice(tag).map_err(|_| EciesError::Tag)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let iv = iv.try_into().expect("split at 16 above");
    aes::ctr128(&keys.encryption, iv, &mut plaintext);
    Ok(plaintext)
}

struct Keys {
    encryption: [u8; 16],
    authentication: [u8; 32],
}

impl Keys {
    fn derive(shared: &SharedSecret) -> Self {
        let k = kdf::concat_kdf(shared.as_bytes());
        let mut encryption = [0; 16];
        encryption.copy_from_slice(&k[..16]);
        // The MAC key is the hash of the second half, not the half itself.
        Self { encryption, authentication: Sha256::digest(&k[16..]).into() }
    }

    fn mac(&self, authenticated: &[u8], s2: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.authentication)
            .expect("HMAC takes a key of any length")
            .chain_update(authenticated)
            .chain_update(s2)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.encryption.zeroize();
        self.authentication.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn round_trip_and_errors() {
        let message = encrypt_with(&key(1).public_key(), b"text", b"s2", &key(2), &[9; 16]);
        assert_eq!(message.len(), 4 + OVERHEAD);
        assert_eq!(*decrypt(&key(1), &message, b"s2").unwrap(), b"text");
        assert_eq!(decrypt(&key(1), &message, b""), Err(EciesError::Tag));
        assert_eq!(decrypt(&key(3), &message, b"s2"), Err(EciesError::Tag));
        assert_eq!(decrypt(&key(1), &message[..OVERHEAD], b"s2"), Err(EciesError::Short(113)));
    }

    #[test]
    fn every_flipped_byte_is_detected() {
        let message = encrypt_with(&key(1).public_key(), b"text", b"", &key(2), &[9; 16]);
        for at in 0..message.len() {
            let mut bad = message.clone();
            bad[at] ^= 1;
            assert!(decrypt(&key(1), &bad, b"").is_err(), "byte {at}");
        }
    }
}

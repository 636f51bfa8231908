//! Keys as this layer writes them: 33 bytes, compressed.

use std::fmt;

use rand::CryptoRng;

use crate::crypto::{KeyError, PublicKey, SecretKey, tweak};

/// The 33 bytes of a public key. Only the length is sure: whether they are a point of the curve
/// shows when the key is used ([`point`](Self::point)), since most uses are comparisons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressedKey([u8; 33]);

/// Names a bundle's pre key, and with it the sessions that were started from it: the pre key itself.
pub type BundleId = CompressedKey;

impl CompressedKey {
    /// Takes 33 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::Length {
            what: "the compressed public key",
            got: bytes.len(),
            expected: "33",
        })
    }

    /// The 33 bytes.
    pub fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The point that they stand for.
    pub fn point(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_slice(&self.0)
    }
}

impl From<[u8; 33]> for CompressedKey {
    fn from(bytes: [u8; 33]) -> Self {
        Self(bytes)
    }
}

impl From<&PublicKey> for CompressedKey {
    fn from(key: &PublicKey) -> Self {
        Self(key.to_compressed())
    }
}

impl fmt::Display for CompressedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for CompressedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompressedKey({self})")
    }
}

/// A private key with its public key beside it, so that it is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    secret: SecretKey,
    public: CompressedKey,
}

impl KeyPair {
    /// A fresh pair: 32 bytes from `rng`.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from(SecretKey::generate(rng))
    }

    /// Puts together what was taken apart before.
    pub(crate) fn from_parts(secret: SecretKey, public: CompressedKey) -> Self {
        Self { secret, public }
    }

    /// The private key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public key.
    pub fn public(&self) -> CompressedKey {
        self.public
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        let public = CompressedKey::from(&tweak::public_key(&secret));
        Self { secret, public }
    }
}

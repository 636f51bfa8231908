//! Public keys in the 33-byte compressed form of this layer.

use std::fmt;

use rand::CryptoRng;

use zeroize::Zeroizing;

use super::store::{
    StoreError,
    codec::{Reader, Writer},
};
use crate::crypto::{KeyError, PublicKey, SecretKey};

/// The 33 bytes of a public key. Only the length is checked, since most uses are comparisons.
/// [`point`](Self::point) checks that they are a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressedKey([u8; 33]);

/// The prekey of a bundle. Identifies the sessions that were started from it.
pub type BundleId = CompressedKey;

impl CompressedKey {
    /// Copies 33 bytes.
    ///
    /// # Errors
    ///
    /// If the length is not 33.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::Length {
            what: "the compressed public key",
            got: bytes.len(),
            expected: "33",
        })
    }

    /// Returns the 33 bytes.
    pub fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// Decompresses the key.
    ///
    /// # Errors
    ///
    /// If the bytes are not a point of the curve.
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

/// A private key and its public key, which is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    secret: SecretKey,
    public: CompressedKey,
}

impl KeyPair {
    /// Generates a key pair from 32 bytes of `rng`.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from(SecretKey::generate(rng))
    }

    /// Returns the private key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Returns the public key.
    pub fn public(&self) -> CompressedKey {
        self.public
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(&self.secret.to_bytes());
        writer.array(self.public.as_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let secret = Zeroizing::new(reader.array()?);
        let secret = SecretKey::from_bytes(&secret).map_err(|_| reader.corrupt())?;
        Ok(Self { secret, public: reader.array()?.into() })
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        let public = CompressedKey::from(&secret.public_key());
        Self { secret, public }
    }
}

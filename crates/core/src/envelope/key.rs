//! Symmetric keys, and the ids of key pairs in the RPC.

use std::{fmt, str::FromStr};

use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::{KeyError, PublicKey, kdf, keys};

/// PBKDF2 rounds of [`SymKey::from_password`]. Clients use this number, not 65,536.
pub const PASSWORD_ROUNDS: u32 = 65_356;

/// The key of symmetric messages: 32 bytes. Erased on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SymKey([u8; 32]);

impl SymKey {
    /// Generates a key from `rng`.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self(key)
    }

    /// Takes 32 bytes. `None` if they are all zeros, which the reference rejects when it sends.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        (bytes != [0; 32]).then_some(Self(bytes))
    }

    /// Derives the key of a password: PBKDF2-HMAC-SHA-256 with an empty salt and
    /// [`PASSWORD_ROUNDS`] rounds. The password of a public chat is its name.
    ///
    /// This takes some milliseconds. Callers that need the key again should keep it.
    pub fn from_password(password: &str) -> Self {
        Self(*kdf::pbkdf2_sha256(password.as_bytes(), &[], PASSWORD_ROUNDS))
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for SymKey {
    type Err = KeyError;

    /// Reads 64 hex digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(keys::hex_bytes("the symmetric key", text)?);
        let array = bytes.as_slice().try_into().map_err(|_| KeyError::Length {
            what: "the symmetric key",
            got: bytes.len(),
            expected: "32",
        })?;
        Self::from_bytes(array).ok_or(KeyError::ZeroSymKey)
    }
}

impl PartialEq for SymKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SymKey {}

impl fmt::Debug for SymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymKey(…)")
    }
}

/// Returns the id under which the reference's RPC keeps a key pair.
///
/// It is 64 hex digits, derived from the text of the public key with 4,096 rounds of PBKDF2.
pub fn key_pair_id(key: &PublicKey) -> String {
    hex::encode(*kdf::pbkdf2_sha256(key.to_string().as_bytes(), &[], 4096))
}

//! Seeds: the bytes from which a key tree is derived.

use std::fmt;

use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::{Zeroize, Zeroizing};

use super::hd::HdError;
use crate::crypto::kdf;

/// PBKDF2 rounds between a phrase and its seed.
const SEED_ROUNDS: u32 = 2048;

/// 16 to 64 bytes, erased on drop. The seed of a phrase has 64.
#[derive(Clone)]
pub struct Seed {
    bytes: [u8; 64],
    length: usize,
}

impl Seed {
    /// Copies a seed of 16 to 64 bytes.
    ///
    /// # Errors
    /// If the seed has another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HdError> {
        if !(16..=64).contains(&bytes.len()) {
            return Err(HdError::SeedLength { got: bytes.len() });
        }
        let mut seed = Self { bytes: [0; 64], length: bytes.len() };
        seed.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(seed)
    }

    /// Derives the seed of *any* text, without validating it or normalising white space and case.
    ///
    /// The reference imports phrases this way. Use it only to restore an account that was made
    /// from an invalid phrase; otherwise use [`Mnemonic`](super::Mnemonic).
    pub fn from_unchecked_phrase(phrase: &str, passphrase: &str) -> Self {
        let (password, salt) = (nfkd("", phrase), nfkd("mnemonic", passphrase));
        let seed = kdf::pbkdf2_sha512(password.as_bytes(), salt.as_bytes(), SEED_ROUNDS);
        Self { bytes: *seed, length: 64 }
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Seed {}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({} bytes, …)", self.length)
    }
}

/// Returns `prefix` and the NFKD form of `text`, in a buffer of the final size: growing it would
/// leave copies in memory.
pub(super) fn nfkd(prefix: &str, text: &str) -> Zeroizing<String> {
    let length: usize = text.nfkd().map(char::len_utf8).sum();
    let mut out = Zeroizing::new(String::with_capacity(prefix.len() + length));
    out.push_str(prefix);
    text.nfkd().for_each(|c| out.push(c));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked_and_debug_is_redacted() {
        assert_eq!(Seed::from_bytes(&[0; 15]), Err(HdError::SeedLength { got: 15 }));
        assert_eq!(Seed::from_bytes(&[0; 65]), Err(HdError::SeedLength { got: 65 }));
        let seed = Seed::from_bytes(&[7; 16]).unwrap();
        assert_eq!(seed.as_bytes(), [7; 16]);
        assert_eq!(format!("{seed:?}"), "Seed(16 bytes, …)");
    }
}

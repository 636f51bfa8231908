//! Seeds: the bytes from which a tree of keys grows.

use std::fmt;

use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::{Zeroize, Zeroizing};

use super::hd::HdError;
use crate::crypto::kdf;

/// PBKDF2 rounds between a phrase and its seed.
pub const SEED_ROUNDS: u32 = 2048;

/// 16 to 64 bytes, erased on drop. Seeds of phrases have 64.
#[derive(Clone)]
pub struct Seed {
    bytes: [u8; 64],
    length: usize,
}

impl Seed {
    /// Takes the bytes as they are; BIP32 allows 16 to 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HdError> {
        if !(16..=64).contains(&bytes.len()) {
            return Err(HdError::SeedLength { got: bytes.len() });
        }
        let mut seed = Self { bytes: [0; 64], length: bytes.len() };
        seed.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(seed)
    }

    /// The seed of *any* text: not validated, and neither white space nor capitals normalised.
    ///
    /// This is how the reference imports phrases. It is there to reach an account that was made
    /// from an odd text; for everything else there is [`Mnemonic`](super::Mnemonic).
    pub fn from_unchecked_phrase(phrase: &str, passphrase: &str) -> Self {
        let (password, salt) = (nfkd("", phrase), nfkd("mnemonic", passphrase));
        let seed = kdf::pbkdf2_sha512(password.as_bytes(), salt.as_bytes(), SEED_ROUNDS);
        Self { bytes: *seed, length: 64 }
    }

    /// The bytes.
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

/// `prefix` and the NFKD form of `text`, in a buffer that never had to grow (growing would leave
/// copies behind).
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
    fn lengths_and_redaction() {
        assert_eq!(Seed::from_bytes(&[0; 15]), Err(HdError::SeedLength { got: 15 }));
        assert_eq!(Seed::from_bytes(&[0; 65]), Err(HdError::SeedLength { got: 65 }));
        let seed = Seed::from_bytes(&[7; 16]).unwrap();
        assert_eq!(seed.as_bytes(), [7; 16]);
        assert_eq!(format!("{seed:?}"), "Seed(16 bytes, …)");
    }
}

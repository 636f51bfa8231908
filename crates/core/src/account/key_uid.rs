//! Key UIDs: how the app's databases name an account.

use std::{fmt, str::FromStr};

use crate::{
    crypto::{PublicKey, hash},
    explain::Explanation,
    text::excerpt,
};

/// A text that is not a key UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key UID: expected 0x and 64 hex digits")]
#[non_exhaustive]
pub struct KeyUidError(String);

impl KeyUidError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        "key_uid.format"
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "key_uid.format",
        rule: "A key UID is the SHA-256 of the 65 bytes of a public key: 0x and 64 hex digits.",
        source: "Status specifications, Account",
        causes: "An address in place of a key UID.",
    }];
}

/// The **SHA-256** (not Keccak) of the 65 bytes of a public key.
///
/// It is computed from the *master* key of an account with a phrase, and from the key itself for
/// an imported private key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUid([u8; 32]);

impl KeyUid {
    /// Returns the UID of a key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self(hash::sha256(&key.to_uncompressed()))
    }
}

impl FromStr for KeyUid {
    type Err = KeyUidError;

    fn from_str(text: &str) -> Result<Self, KeyUidError> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyUidError(excerpt(text)))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("0x{}", hex::encode(self.0)))
    }
}

impl fmt::Debug for KeyUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUid({self})")
    }
}

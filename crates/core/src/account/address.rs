//! Addresses and key UIDs: what a key is called where the key itself is too long.

use std::{fmt, str::FromStr};

use super::excerpt;
use crate::{
    crypto::{PublicKey, hash, keccak256},
    eip::eip55,
};

/// What is wrong with the text of an address or a key UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 40 hex digits.
    #[error("{0:?} is not an address: expected 0x and 40 hex digits")]
    Format(String),
    /// Capitals and small letters that don't match EIP-55.
    #[error(
        "the capitals of {got} are wrong, so a digit probably is, too; they would be {expected}"
    )]
    Checksum { got: String, expected: String },
    /// Not 64 hex digits.
    #[error("{0:?} is not a key UID: expected 0x and 64 hex digits")]
    KeyUid(String),
}

impl AddressError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "address.format",
            Self::Checksum { .. } => "address.checksum",
            Self::KeyUid(_) => "key_uid.format",
        }
    }
}

/// An Ethereum address: the last 20 bytes of the Keccak-256 of X and Y.
///
/// Shown with the capitals of EIP-55. Read with or without `0x`; texts in one case carry no
/// checksum and pass, in mixed case it must match.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// The address of a key.
    pub fn from_key(key: &PublicKey) -> Self {
        let hash = keccak256(&key.to_xy());
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Self(address)
    }

    /// 40 lower-case digits without `0x`, as in key files.
    pub fn to_plain_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 40 hex digits, whatever their capitals say.
    pub fn parse_ignoring_case(text: &str) -> Result<Self, AddressError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits(text), &mut bytes)
            .map_err(|_| AddressError::Format(excerpt(text)))?;
        Ok(Self(bytes))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse_ignoring_case(text)?;
        if !eip55::passes(digits(text), &address.0) {
            let expected = address.to_string();
            return Err(AddressError::Checksum { got: excerpt(text), expected });
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&eip55::checksummed(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The name of an account in the app's databases: the **SHA-256** (not Keccak) of the 65 bytes of
/// the public key. For an account with a phrase it is of the *master* key, for a single imported
/// private key of that key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUid(pub [u8; 32]);

impl KeyUid {
    /// The UID of a key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self(hash::sha256(&key.to_uncompressed()))
    }
}

impl FromStr for KeyUid {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits(text), &mut bytes)
            .map_err(|_| AddressError::KeyUid(excerpt(text)))?;
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

fn digits(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

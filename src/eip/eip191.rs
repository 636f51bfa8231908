//! EIP-191, version `0x45`: what is hashed when a person signs a message (`personal_sign`).
//!
//! The hash is Keccak-256 of `0x19`, `Ethereum Signed Message:`, a line feed, the length of the
//! message in decimal, and the message. In the signature `v` is 27 or 28.

use std::{fmt, str::FromStr};

use crate::crypto::{
    KeyError, PublicKey, SecretKey, Signature,
    keccak::{Parts, keccak256_parts},
};

/// What is wrong with the signature of a personal message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    /// Something else than 27 or 28.
    #[error("v, the last byte of the signature, is {got}; expected 27 or 28")]
    V { got: u8 },
    /// Not 65 bytes of hex.
    #[error("a signature is 65 bytes: 0x and 130 hex digits; {0}")]
    Text(String),
    /// No key could have made it.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl PersonalError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::V { .. } => "signature.v",
            Self::Text(_) => "signature.text",
            Self::Key(_) => "signature.recovery",
        }
    }
}

/// The digest that is signed for `message`.
pub fn personal_digest(message: &[u8]) -> [u8; 32] {
    let head = format!("\x19Ethereum Signed Message:\n{}", message.len());
    keccak256_parts(Parts(head.as_bytes(), message, &[]))
}

/// A signature of a personal message: `r`, `s`, and `v` of 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PersonalSignature([u8; 65]);

impl PersonalSignature {
    /// Signs `message`; deterministic by RFC 6979.
    pub fn sign(key: &SecretKey, message: &[u8]) -> Self {
        let mut bytes = *key.sign_digest(&personal_digest(message)).as_bytes();
        bytes[64] += 27;
        Self(bytes)
    }

    /// Takes `r || s || v`; `v` must be 27 or 28, as the reference demands.
    pub fn from_bytes(bytes: [u8; 65]) -> Result<Self, PersonalError> {
        match bytes[64] {
            27 | 28 => Ok(Self(bytes)),
            got => Err(PersonalError::V { got }),
        }
    }

    /// `r || s || v`.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// The public key whose owner signed `message`.
    pub fn recover(&self, message: &[u8]) -> Result<PublicKey, PersonalError> {
        let mut bytes = self.0;
        bytes[64] -= 27;
        Ok(Signature::from_bytes(bytes).recover(&personal_digest(message))?)
    }

    /// Whether the owner of `key` signed `message`.
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> bool {
        self.recover(message).as_ref() == Ok(key)
    }
}

/// 130 hex digits, with or without `0x`.
impl FromStr for PersonalSignature {
    type Err = PersonalError;

    fn from_str(text: &str) -> Result<Self, PersonalError> {
        let mut bytes = [0; 65];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|error| PersonalError::Text(error.to_string()))?;
        Self::from_bytes(bytes)
    }
}

impl fmt::Display for PersonalSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for PersonalSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonalSignature({self})")
    }
}

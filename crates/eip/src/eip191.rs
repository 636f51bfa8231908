//! EIP-191: signed data of the versions `0x00`, `0x01` and `0x45`.
//!
//! | version | what is hashed |
//! | --- | --- |
//! | `0x00` | `19 00`, the address of a validator, data |
//! | `0x01` | `19 01`, a domain separator, a struct hash (EIP-712) |
//! | `0x45` | `19`, `Ethereum Signed Message:`, a line feed, the length in decimal, the message |
//!
//! Signatures are `r || s || v` with a `v` of 27 or 28. The client uses `0x45` and `0x01`.

use statuskit_core::crypto::{PublicKey, SecretKey, Signature, keccak256};
pub use statuskit_core::eip::eip191::{PersonalError, PersonalSignature, personal_digest};

use crate::Address;

/// Data to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedData<'a> {
    /// Version `0x00`: for a contract that checks the signature.
    Validator { validator: Address, data: &'a [u8] },
    /// Version `0x01`: typed data.
    Typed { domain_separator: &'a [u8; 32], struct_hash: &'a [u8; 32] },
    /// Version `0x45`: a personal message.
    Personal(&'a [u8]),
}

impl SignedData<'_> {
    /// Returns the version byte.
    pub fn version(&self) -> u8 {
        match self {
            Self::Validator { .. } => 0x00,
            Self::Typed { .. } => 0x01,
            Self::Personal(_) => 0x45,
        }
    }

    /// Returns the bytes that are hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Validator { validator, data } => [b"\x19\x00", &validator.0[..], data].concat(),
            Self::Typed { domain_separator, struct_hash } => {
                [b"\x19\x01", &domain_separator[..], &struct_hash[..]].concat()
            }
            Self::Personal(message) => {
                let head = format!("\x19Ethereum Signed Message:\n{}", message.len());
                [head.as_bytes(), message].concat()
            }
        }
    }

    /// Returns the digest to sign.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Personal(message) => personal_digest(message),
            _ => keccak256(&self.to_bytes()),
        }
    }
}

/// Signs a digest; deterministic by RFC 6979. `v` is 27 or 28.
pub fn sign_digest(key: &SecretKey, digest: &[u8; 32]) -> [u8; 65] {
    let mut signature = *key.sign_digest(digest).as_bytes();
    signature[64] += 27;
    signature
}

/// Recovers the key that signed a digest.
///
/// # Errors
/// If `v` is neither 27 nor 28, or no key could have made the signature.
pub fn recover_digest(signature: &[u8; 65], digest: &[u8; 32]) -> Result<PublicKey, PersonalError> {
    let mut bytes = *signature;
    bytes[64] = match bytes[64] {
        v @ (27 | 28) => v - 27,
        got => return Err(PersonalError::V { got }),
    };
    Ok(Signature::from_bytes(bytes).recover(digest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let data = [
            SignedData::Validator { validator: Address([1; 20]), data: b"x" },
            SignedData::Typed { domain_separator: &[2; 32], struct_hash: &[3; 32] },
            SignedData::Personal(b"hello"),
        ];
        let heads = ["1900", "1901", "1945"];
        for (data, head) in data.iter().zip(heads) {
            assert_eq!(hex::encode(&data.to_bytes()[..2]), head);
            assert_eq!(data.digest(), keccak256(&data.to_bytes()));
            let signature = sign_digest(&key, &data.digest());
            assert_eq!(recover_digest(&signature, &data.digest()), Ok(key.public_key()));
            let mut wrong = signature;
            wrong[64] -= 27;
            assert_eq!(recover_digest(&wrong, &data.digest()).unwrap_err().code(), "signature.v");
        }
        let personal = PersonalSignature::sign(&key, b"hello");
        assert_eq!(*personal.as_bytes(), sign_digest(&key, &data[2].digest()));
        assert_eq!(data.map(|data| data.version()), [0, 1, 0x45]);
    }
}

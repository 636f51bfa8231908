//! Signatures over a digest, over the Keccak-256 of some data, or over a personal message
//! ([`eip191`](crate::eip::eip191)).

use crate::{
    crypto::{KeyError, PublicKey, SecretKey, Signature, keccak256},
    eip::eip191::{PersonalError, PersonalSignature},
    explain::Explanation,
};

/// The signed data, and how it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed<'a> {
    /// A given 32-byte digest; `v` is 0 or 1.
    Digest(&'a [u8; 32]),
    /// The Keccak-256 of the data, as in the Status protocols; `v` is 0 or 1.
    Keccak(&'a [u8]),
    /// A personal message of EIP-191; `v` is 27 or 28.
    Personal(&'a [u8]),
}

/// What is wrong with a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Personal(#[from] PersonalError),
    /// A valid signature of another key.
    #[error("the signature was made by another key: {by}")]
    OtherKey { by: PublicKey },
}

impl SignError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "signature.recovery",
            Self::Personal(error) => error.code(),
            Self::OtherKey { .. } => "signature.other_key",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "signature.recovery",
            rule: "r and s are below the group order, v is 0 to 3, and a public key can be recovered.",
            source: "SEC 1, section 4.1.6",
            causes: "Damaged bytes, or v 27 or 28 in a signature that is not of a personal message.",
        },
        Explanation {
            code: "signature.other_key",
            rule: "The key recovered from the signature is the one that was expected.",
            source: "SEC 1, section 4.1.6",
            causes: "Another message (a line break at its end?), another kind of signature (--as), or another signer.",
        },
    ];
}

/// Signs, and returns `r || s || v`; deterministic by RFC 6979.
pub fn sign(key: &SecretKey, what: Signed<'_>) -> [u8; 65] {
    match what {
        Signed::Digest(digest) => *key.sign_digest(digest).as_bytes(),
        Signed::Keccak(data) => *key.sign_digest(&keccak256(data)).as_bytes(),
        Signed::Personal(message) => *PersonalSignature::sign(key, message).as_bytes(),
    }
}

/// Recovers the public key of a signature.
///
/// # Errors
/// If no key could have made the signature.
pub fn recover(what: Signed<'_>, signature: &[u8; 65]) -> Result<PublicKey, SignError> {
    match what {
        Signed::Digest(digest) => Ok(Signature::from_bytes(*signature).recover(digest)?),
        Signed::Keccak(data) => Ok(Signature::from_bytes(*signature).recover(&keccak256(data))?),
        Signed::Personal(message) => {
            Ok(PersonalSignature::from_bytes(*signature)?.recover(message)?)
        }
    }
}

/// Checks that `key` made the signature.
///
/// # Errors
/// If another key made it, or if no key could have.
pub fn verify(what: Signed<'_>, signature: &[u8; 65], key: &PublicKey) -> Result<(), SignError> {
    let by = recover(what, signature)?;
    if by == *key { Ok(()) } else { Err(SignError::OtherKey { by }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify_only_as_their_own_kind() {
        let key: SecretKey = "44".repeat(32).parse().unwrap();
        let public = key.public_key();
        let digest = [9; 32];
        let kinds = [Signed::Digest(&digest), Signed::Keccak(b"hi"), Signed::Personal(b"hi")];
        for what in kinds {
            let signature = sign(&key, what);
            assert_eq!(recover(what, &signature), Ok(public));
            assert_eq!(verify(what, &signature, &public), Ok(()));
            for other in kinds.into_iter().filter(|other| *other != what) {
                assert!(verify(other, &signature, &public).is_err(), "{what:?} as {other:?}");
            }
            let stranger = "55".repeat(32).parse::<SecretKey>().unwrap().public_key();
            let error = verify(what, &signature, &stranger).unwrap_err();
            assert_eq!(error, SignError::OtherKey { by: public });
        }
    }
}

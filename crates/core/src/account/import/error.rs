//! Why an input is not an identity.

use super::MAX_IMPORT;
use crate::{
    account::{HdError, KeystoreError, MnemonicError, PathError},
    crypto::KeyError,
    explain::Explanation,
};

/// Why an input is not an identity, or has no key at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The input is empty.
    #[error("the input is empty; expected a hex key, a recovery phrase, xprv… or a key file")]
    Empty,
    /// The input is much larger than an identity.
    #[error("an input of {got} bytes is not an identity (the limit is {MAX_IMPORT})")]
    TooLarge { got: usize },
    /// Not text.
    #[error("the input is not text (byte {at} is not UTF-8)")]
    Utf8 { at: usize },
    /// `xpub…` in place of `xprv…`.
    #[error("this is an extended public key; an identity needs the private one (xprv…)")]
    PublicOnly,
    /// An account record without a secret.
    #[error("this record has only the public part of an account")]
    PublicRecord,
    /// The text has none of the known forms.
    #[error(
        "neither 64 hex digits, nor the words of a phrase, nor xprv…, nor a key file ({got} bytes)"
    )]
    Unknown { got: usize },
    /// 32 bytes that are not written in hex.
    #[error("32 bytes as {what}: a private key is read as 64 hex digits")]
    Spelled { what: &'static str },
    /// Hex digits, but not as many as a key has.
    #[error("{got} hex digits; a private key has 64")]
    Digits { got: usize },
    /// An account record whose secret and public key differ.
    #[error("the secret in the record does not belong to its public_key")]
    Mismatch,
    /// A single key has no path.
    #[error("{0} has no keys below it: a path needs a phrase, xprv… or a Status key file")]
    NoTree(&'static str),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    #[error(transparent)]
    Hd(#[from] HdError),
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The path in an account record is invalid.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl ImportError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "identity.empty",
            Self::TooLarge { .. } => "identity.too_large",
            Self::Utf8 { .. } => "identity.utf8",
            Self::PublicOnly | Self::PublicRecord => "identity.public_only",
            Self::Unknown { .. } | Self::Spelled { .. } => "identity.unknown",
            Self::Mismatch => "identity.mismatch",
            Self::NoTree(_) => "identity.no_tree",
            Self::Key(_) | Self::Digits { .. } => "key.format",
            Self::Mnemonic(error) => error.code(),
            Self::Hd(error) => error.code(),
            Self::Keystore(error) => error.code(),
            Self::Path(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "key.format",
            rule: "A private key is 64 hex digits, at least 1 and below the order of secp256k1.",
            source: "SEC 2",
            causes: "Another kind of file.",
        },
        Explanation {
            code: "identity.empty",
            rule: "An identity is a hex key, a phrase, xprv…, a key file or an account file.",
            source: "tools",
            causes: "An empty file.",
        },
        Explanation {
            code: "identity.too_large",
            rule: "Nothing that holds an identity has more than 64 KiB.",
            source: "tools",
            causes: "Another file.",
        },
        Explanation {
            code: "identity.utf8",
            rule: "Whatever holds an identity is text.",
            source: "tools",
            causes: "A binary file: the 32 bytes of a key go in as 64 hex digits.",
        },
        Explanation {
            code: "identity.public_only",
            rule: "To sign and to decrypt takes the private key.",
            source: "tools",
            causes: "A record that was printed without --show-secret, or xpub…: give the file that `new --out` wrote.",
        },
        Explanation {
            code: "identity.unknown",
            rule: "An identity is a hex key, a phrase, xprv…, a key file or an account file.",
            source: "tools",
            causes: "A lost digit of a hex key, or another file.",
        },
        Explanation {
            code: "identity.no_tree",
            rule: "Paths lead from the key of a tree: a phrase, xprv…, or a key file with an extended key.",
            source: "BIP32",
            causes: "A single private key has no children; omit the path.",
        },
        Explanation {
            code: "identity.mismatch",
            rule: "The public_key in an account file is that of its secret.",
            source: "tools",
            causes: "The file was edited, or made with another passphrase.",
        },
    ];
}

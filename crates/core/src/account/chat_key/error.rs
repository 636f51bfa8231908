//! What is wrong with the text of a chat key.

use crate::crypto::KeyError;

/// What is wrong with the text of a chat key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatKeyError {
    /// The text is empty.
    #[error("there is no key: the text is empty")]
    Empty,
    /// The text is much longer than a key.
    #[error("a text of {got} bytes is not a chat key")]
    TooLong { got: usize },
    /// The first letter is not that of a base.
    #[error(
        "{letter:?} is not the letter of a base; a key starts with 0x04, 0x02, 0x03, zQ3sh or \
         another multibase letter"
    )]
    Base { letter: char },
    /// The name of a base is not a single letter.
    #[error("{0:?} is not a base; expected one letter, such as z or f")]
    BaseName(String),
    /// A character outside the alphabet of the base.
    #[error("character {at} of the key is not in the alphabet of base {letter:?}")]
    Character {
        /// Counted from 1.
        at: usize,
        letter: char,
    },
    /// Characters are missing, or bits are left over.
    #[error("the text is not a whole number of bytes in base {letter:?}: characters are missing")]
    Padding { letter: char },
    /// The type prefix is truncated, too large, or not minimal.
    #[error("the multicodec type in front of the key is not a varint in its shortest form")]
    Varint,
    /// A key of another type.
    #[error("multicodec type {got:#x} is not secp256k1-pub (0xe7)")]
    Type { got: u64 },
    /// The key is invalid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// 20 bytes in hex.
    #[error("this is an address (20 bytes), which does not hold a chat key")]
    Address,
    /// 32 bytes in hex.
    #[error("this has 32 bytes, as a private key or a hash; a chat key has 65 or 33")]
    Bytes32,
    /// Hex digits, but not as many as a key has.
    #[error("{got} hex digit{}; a chat key has {expected}", if *got == 1 { "" } else { "s" })]
    Digits { got: usize, expected: usize },
    /// A link to something other than a key.
    #[error("the link leads to {0}, not to a key")]
    Link(&'static str),
    /// Several words, such as the three of a name.
    #[error("several words are no chat key; a name of three words does not lead back to its key")]
    Words,
    /// A name that must be resolved first.
    #[error("{0:?} is an ENS name; it has to be resolved first")]
    EnsName(String),
}

impl ChatKeyError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "chat_key.empty",
            Self::TooLong { .. } => "chat_key.too_long",
            Self::Base { .. } | Self::BaseName(_) => "chat_key.base",
            Self::Character { .. } => "chat_key.character",
            Self::Padding { .. } => "chat_key.padding",
            Self::Varint => "chat_key.varint",
            Self::Type { .. } => "chat_key.type",
            Self::Key(_) => "chat_key.key",
            Self::Address => "chat_key.address",
            Self::Bytes32 => "chat_key.bytes_32",
            Self::Digits { .. } => "chat_key.digits",
            Self::Link(_) => "chat_key.link",
            Self::Words => "chat_key.words",
            Self::EnsName(_) => "chat_key.ens_name",
        }
    }
}

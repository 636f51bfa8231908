//! What is wrong with the text of a chat key.

use crate::{crypto::KeyError, explain::Explanation};

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

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "chat_key.empty",
            rule: "A key has some text.",
            source: "Status specifications, Account",
            causes: "An empty variable.",
        },
        Explanation {
            code: "chat_key.too_long",
            rule: "The longest text of a key, in base 2, has 537 characters.",
            source: "Status specifications, Account",
            causes: "Something else was pasted.",
        },
        Explanation {
            code: "chat_key.base",
            rule: "The first letter of a compact key says its base: z for base58, f for hex, …; the other texts begin with 0x04, 0x02 or 0x03.",
            source: "multibase; Status specifications, Account",
            causes: "The text was cut at its beginning, or is a name.",
        },
        Explanation {
            code: "chat_key.character",
            rule: "After its first letter, a compact key has only characters of that base.",
            source: "multibase",
            causes: "A mistyped character: base58 has no 0, O, I and l.",
        },
        Explanation {
            code: "chat_key.padding",
            rule: "The characters of a compact key make up whole bytes.",
            source: "multibase",
            causes: "A character was lost.",
        },
        Explanation {
            code: "chat_key.varint",
            rule: "A compact key begins with its type, a varint in its shortest form: e7 01.",
            source: "multicodec",
            causes: "Other bytes in the same base.",
        },
        Explanation {
            code: "chat_key.type",
            rule: "The type of chat keys is secp256k1-pub, 0xe7.",
            source: "multicodec; Status specifications, Account",
            causes: "A key of another curve.",
        },
        Explanation {
            code: "chat_key.key",
            rule: "A public key is a point of secp256k1: 65 bytes (04…) or 33 (02…, 03…).",
            source: "SEC 1, section 2.3.4",
            causes: "A digit was mistyped: of two texts, only one is on the curve.",
        },
        Explanation {
            code: "chat_key.address",
            rule: "An address is the end of a hash of a key. The key can't be found from it.",
            source: "EIP-55; Status specifications, Account",
            causes: "An Ethereum address in place of a chat key: the profile in the app shows the key.",
        },
        Explanation {
            code: "chat_key.bytes_32",
            rule: "A public key has 65 bytes, or 33 in its compressed form. 32 bytes are a private key or a hash.",
            source: "SEC 1, section 2.3.4",
            causes: "A private key in place of the public one: keep it in a file, and name that with --identity.",
        },
        Explanation {
            code: "chat_key.digits",
            rule: "A public key in hex has 130 digits (04…), or 66 (02…, 03…).",
            source: "SEC 1, section 2.3.4",
            causes: "Digits were lost or added when the key was copied.",
        },
        Explanation {
            code: "chat_key.link",
            rule: "A share link to a user ends in a key.",
            source: "Status specifications, Account",
            causes: "A link to a public chat, or to a page.",
        },
        Explanation {
            code: "chat_key.words",
            rule: "A chat key is one text; its three words are made from it and do not lead back.",
            source: "Status specifications, Account",
            causes: "The name of a person, or a phrase that was meant for another place.",
        },
        Explanation {
            code: "chat_key.ens_name",
            rule: "An ENS name gives a key only after a lookup.",
            source: "EIP-137",
            causes: "Look it up, and give the key.",
        },
    ];
}

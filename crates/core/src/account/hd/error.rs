//! What is wrong with a seed, an extended key, or a derivation step.

use crate::{account::path::ChildIndex, crypto::KeyError, explain::Explanation};

/// What is wrong with a seed, an extended key, or a derivation step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HdError {
    /// The seed does not have the 16 to 64 bytes of BIP32.
    #[error("a seed has 16 to 64 bytes, not {got}")]
    SeedLength { got: usize },
    /// The master key of the seed is outside the group: one in 2^127.
    #[error("this seed has no master key; use another one")]
    UnusableSeed,
    /// The key at the index is outside the group: one in 2^127.
    #[error("there is no key at index {index}; use the next one")]
    UnusableIndex { index: ChildIndex },
    /// A step that needs a private key.
    #[error("{index} is hardened: that needs the private key (xprv…), not the public one")]
    HardenedFromPublic { index: ChildIndex },
    /// The depth byte is at its maximum.
    #[error("a key at depth 255 has no children: the format can't count further")]
    TooDeep,
    /// The text is not an extended key.
    #[error("the extended key is malformed: {0}")]
    Text(&'static str),
    /// A character outside the base58 alphabet.
    #[error("character {at} of the extended key is not base58")]
    Base58 {
        /// Counted from 1.
        at: usize,
    },
    /// The checksum does not match.
    #[error("the checksum of the extended key does not match: a character is wrong or missing")]
    Checksum,
    /// The version of another network or scheme.
    #[error(
        "version {got:#010x} of the extended key is unknown; expected 0x0488ade4 (xprv) or \
         0x0488b21e (xpub)"
    )]
    Version { got: u32 },
    /// A private key in place of a public one, or the reverse.
    #[error("expected an extended {expected} key, got an extended {got} one")]
    Kind { expected: &'static str, got: &'static str },
    /// A master key with a parent fingerprint or an index.
    #[error("the extended key has depth 0 but a parent or an index")]
    MasterWithParent,
    /// The extended key contains an invalid key.
    #[error("the key inside the extended key is invalid: {0}")]
    Key(#[from] KeyError),
}

impl HdError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SeedLength { .. } => "hd.seed_length",
            Self::UnusableSeed => "hd.seed_unusable",
            Self::UnusableIndex { .. } => "hd.index_unusable",
            Self::HardenedFromPublic { .. } => "hd.hardened_from_public",
            Self::TooDeep => "hd.depth",
            Self::Text(_) => "hd.text",
            Self::Base58 { .. } => "hd.base58",
            Self::Checksum => "hd.checksum",
            Self::Version { .. } => "hd.version",
            Self::Kind { .. } => "hd.kind",
            Self::MasterWithParent => "hd.master",
            Self::Key(_) => "hd.key",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "hd.seed_length",
            rule: "A seed has 16 to 64 bytes; that of a phrase has 64.",
            source: "BIP32, Master key generation",
            causes: "Other bytes.",
        },
        Explanation {
            code: "hd.seed_unusable",
            rule: "The left half of the master's HMAC is a private key; one seed in 2^127 has none.",
            source: "BIP32, Master key generation",
            causes: "Take another seed.",
        },
        Explanation {
            code: "hd.index_unusable",
            rule: "The left half of a child's HMAC is below the group order; one index in 2^127 has none.",
            source: "BIP32, Child key derivation",
            causes: "Take the next index.",
        },
        Explanation {
            code: "hd.hardened_from_public",
            rule: "Hardened children follow only from the private key.",
            source: "BIP32, Child key derivation",
            causes: "xpub… with a path that has ' in it: derive as far as the last ' from xprv…, and from there on from xpub….",
        },
        Explanation {
            code: "hd.depth",
            rule: "Depth is one byte: 255 levels.",
            source: "BIP32, Serialization format",
            causes: "A path that was built in a loop.",
        },
        Explanation {
            code: "hd.text",
            rule: "An extended key is the base58check of 78 bytes: xprv… or xpub…, 111 characters.",
            source: "BIP32, Serialization format",
            causes: "The text was cut.",
        },
        Explanation {
            code: "hd.base58",
            rule: "Base58 has all digits and letters but 0, O, I and l.",
            source: "BIP32, Serialization format",
            causes: "A mistyped character.",
        },
        Explanation {
            code: "hd.checksum",
            rule: "The last four bytes are a checksum of the others.",
            source: "BIP32, Serialization format",
            causes: "A mistyped or lost character.",
        },
        Explanation {
            code: "hd.version",
            rule: "The first four bytes are 0488ade4 (xprv) or 0488b21e (xpub).",
            source: "BIP32, Serialization format",
            causes: "A key of another network (tprv…), or of another scheme (ypub…, zpub…).",
        },
        Explanation {
            code: "hd.kind",
            rule: "A private key is xprv…, a public one xpub….",
            source: "BIP32, Serialization format",
            causes: "The one in place of the other.",
        },
        Explanation {
            code: "hd.master",
            rule: "A key of depth 0 has neither parent nor index.",
            source: "BIP32, Test vector 5",
            causes: "A damaged text whose checksum was made afresh.",
        },
        Explanation {
            code: "hd.key",
            rule: "The key inside an extended key is a private key below the group order, or a point of the curve.",
            source: "BIP32, Test vector 5",
            causes: "A damaged text whose checksum was made afresh.",
        },
    ];
}

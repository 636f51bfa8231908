//! What is wrong with a key file or its password.

use super::MAX_KEY_FILE;
use crate::{account::hd::HdError, crypto::KeyError, eip::Address, explain::Explanation};

/// What is wrong with a key file or its password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The input is much larger than a key file.
    #[error("a file of {} is not a key file (the limit is {MAX_KEY_FILE})", crate::text::count(.got, "byte"))]
    TooLarge { got: usize },
    /// Not text.
    #[error("a key file is JSON, but this is not UTF-8 (byte {at})")]
    Utf8 { at: usize },
    /// Not JSON, or nested too deeply.
    #[error("a key file is a JSON object: {0}")]
    Json(String),
    /// A wallet of the sale of 2014: a seed that the password encrypts, with an address.
    #[error("this is a wallet of the Ethereum sale of 2014, not a key file")]
    PreSale,
    /// A required member is missing.
    #[error("the key file has no {member:?}")]
    Missing { member: &'static str },
    /// A member has the wrong type.
    #[error("{member:?} of the key file should be {expected}")]
    Member { member: &'static str, expected: &'static str },
    /// A member has the wrong length.
    #[error("{member:?} of the key file has {}; expected {expected}", crate::text::count(.got, "byte"))]
    Length { member: &'static str, got: usize, expected: usize },
    /// A version other than 3 or "1".
    #[error("version {0} of key files is unknown; expected 3, or \"1\" as a text")]
    Version(String),
    /// A cipher that does not belong to the version.
    #[error("the cipher is {got:?}; a key file of version {version} has {expected:?}")]
    Cipher { got: String, version: &'static str, expected: &'static str },
    /// An unknown key derivation.
    #[error("key derivation {0:?} is unknown; expected \"scrypt\" or \"pbkdf2\"")]
    Kdf(String),
    /// PBKDF2 with an unknown function.
    #[error("prf {0:?} is unknown; expected \"hmac-sha256\"")]
    Prf(String),
    /// A parameter that the algorithm does not allow.
    #[error("{parameter} = {got} is not allowed: {rule}")]
    Parameter { parameter: &'static str, got: u64, rule: &'static str },
    /// The cost exceeds [`Limits`](super::Limits).
    #[error(
        "opening the key file would take {needs} (allowed: {allowed}); if you trust the file, \
         allow expensive parameters"
    )]
    Expensive {
        /// Bytes; 0 for PBKDF2.
        memory: u64,
        /// scrypt: `n * r * p`; PBKDF2: rounds.
        work: u64,
        /// The cost in words.
        needs: String,
        /// The limits in words.
        allowed: String,
    },
    /// The memory could not be allocated.
    #[error("opening the key file takes {needs} of memory, which this machine does not have")]
    Memory { needs: String },
    /// The MAC of password and ciphertext does not match.
    #[error("could not decrypt {what}: the password is wrong, or the file is damaged")]
    Mac { what: &'static str },
    /// The plaintext has the wrong format.
    #[error("the decrypted data is not a valid {0}")]
    Plaintext(&'static str),
    /// The plaintext is not a valid private key.
    #[error("the file does not contain a valid private key: {0}")]
    Key(#[from] KeyError),
    /// The plaintext is not a valid extended key.
    #[error("the file does not contain a valid extended key: {0}")]
    Extended(#[from] HdError),
    /// Private key and extended key differ. Old app versions wrote the private key of index 0 with
    /// the extended key of index 1.
    #[error(
        "the extended key in the file belongs to {extended}, the private key to {key}: old app \
         versions wrote such files; they can't be used for derivation"
    )]
    ExtendedMismatch { key: Address, extended: Address },
    /// The file has no extended key.
    #[error("the key file has no extended key to derive from")]
    NoExtended,
}

impl KeystoreError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "keystore.too_large",
            Self::Utf8 { .. } => "keystore.utf8",
            Self::Json(_) => "keystore.json",
            Self::PreSale => "keystore.presale",
            Self::Missing { .. } => "keystore.missing",
            Self::Member { .. } => "keystore.member",
            Self::Length { .. } => "keystore.length",
            Self::Version(_) => "keystore.version",
            Self::Cipher { .. } => "keystore.cipher",
            Self::Kdf(_) => "keystore.kdf",
            Self::Prf(_) => "keystore.prf",
            Self::Parameter { .. } => "keystore.parameter",
            Self::Expensive { .. } => "keystore.expensive",
            Self::Memory { .. } => "keystore.memory",
            Self::Mac { .. } => "keystore.mac",
            Self::Plaintext(_) => "keystore.plaintext",
            Self::Key(_) => "keystore.key",
            Self::Extended(_) => "keystore.extended",
            Self::ExtendedMismatch { .. } => "keystore.extended_mismatch",
            Self::NoExtended => "keystore.no_extended",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "keystore.too_large",
            rule: "A key file has about 1200 bytes; more than 64 KiB are not read.",
            source: "tools",
            causes: "Another file.",
        },
        Explanation {
            code: "keystore.utf8",
            rule: "A key file is JSON, which is UTF-8.",
            source: "Web3 Secret Storage",
            causes: "Another file.",
        },
        Explanation {
            code: "keystore.json",
            rule: "A key file is a JSON object.",
            source: "Web3 Secret Storage",
            causes: "Another file, or one that was cut.",
        },
        Explanation {
            code: "keystore.presale",
            rule: "A wallet of the Ethereum sale of 2014 (encseed, ethaddr) is not a key file.",
            source: "Web3 Secret Storage; pyethsaletool",
            causes: "The file of the sale: `geth wallet import FILE` makes a key file of it.",
        },
        Explanation {
            code: "keystore.missing",
            rule: "A key file has crypto with cipher, ciphertext, cipherparams, kdf, kdfparams and mac, and version.",
            source: "Web3 Secret Storage",
            causes: "Another kind of JSON file.",
        },
        Explanation {
            code: "keystore.member",
            rule: "Texts are texts, numbers are whole numbers, and bytes are hex.",
            source: "Web3 Secret Storage",
            causes: "A file that was edited.",
        },
        Explanation {
            code: "keystore.length",
            rule: "The IV has 16 bytes, the code 32.",
            source: "Web3 Secret Storage",
            causes: "A file that was edited.",
        },
        Explanation {
            code: "keystore.version",
            rule: "Versions are the number 3, and the text \"1\" for old files.",
            source: "Web3 Secret Storage",
            causes: "A file of another scheme, such as EIP-2335 (version 4).",
        },
        Explanation {
            code: "keystore.cipher",
            rule: "Version 3 has aes-128-ctr, version 1 aes-128-cbc.",
            source: "Web3 Secret Storage",
            causes: "A file of another scheme.",
        },
        Explanation {
            code: "keystore.kdf",
            rule: "Keys are derived by scrypt, or by pbkdf2.",
            source: "Web3 Secret Storage",
            causes: "A file of another scheme.",
        },
        Explanation {
            code: "keystore.prf",
            rule: "PBKDF2 uses hmac-sha256.",
            source: "Web3 Secret Storage",
            causes: "A file of another scheme.",
        },
        Explanation {
            code: "keystore.parameter",
            rule: "scrypt takes a power of two above 1 for n, and r * p below 2^30; pbkdf2 at least one round; dklen is at least 32.",
            source: "RFC 7914; Web3 Secret Storage",
            causes: "A file that was edited, or a hostile one.",
        },
        Explanation {
            code: "keystore.expensive",
            rule: "The file itself says how much memory and time its password costs: 128 * n * r bytes. More than 512 MiB, or 2^24 block mixes or rounds, are not spent on a file unless told to.",
            source: "tools",
            causes: "A hostile file; or one of a very careful owner, who gives --allow-expensive.",
        },
        Explanation {
            code: "keystore.memory",
            rule: "scrypt takes 128 * n * r bytes of memory.",
            source: "RFC 7914",
            causes: "The machine has not that much.",
        },
        Explanation {
            code: "keystore.mac",
            rule: "The Keccak-256 of half the derived key and the ciphertext is in the file: it proves the password.",
            source: "Web3 Secret Storage",
            causes: "A wrong password. Files of the mobile app are encrypted under the hash of what was typed: --mobile-password.",
        },
        Explanation {
            code: "keystore.plaintext",
            rule: "Inside are the 32 bytes of a private key, and in the second block the text xprv….",
            source: "Web3 Secret Storage; Status",
            causes: "A file of another scheme.",
        },
        Explanation {
            code: "keystore.key",
            rule: "The private key inside is at least 1 and below the order of secp256k1.",
            source: "SEC 2",
            causes: "A file of another curve.",
        },
        Explanation {
            code: "keystore.extended",
            rule: "The second block of a Status file holds the text xprv….",
            source: "Status specifications, Account",
            causes: "A damaged file.",
        },
        Explanation {
            code: "keystore.extended_mismatch",
            rule: "The extended key in a file is that of its private key; old apps stored that of another index.",
            source: "Status, as in the reference",
            causes: "A file of an app of before 2020: its private key is good, its extended key is not used.",
        },
        Explanation {
            code: "keystore.no_extended",
            rule: "Keys are derived from the extended key in a file.",
            source: "Status specifications, Account",
            causes: "A file of another wallet has only the private key.",
        },
    ];
}

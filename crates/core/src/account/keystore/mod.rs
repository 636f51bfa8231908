//! Key files: web3 secret storage, version 3 with the members that Status added, and version 1.
//!
//! A file holds a private key under a password, and in Status files a second block holds the
//! extended key (`xprv…`) of the same key. [`KeyFile::parse`] reads what any wallet wrote,
//! [`KeyFile::open`] decrypts it, [`KeyFile::encrypt`] writes what the reference would write.
//!
//! The key derivation is meant to be slow, and the file says how slow: a hostile file could take
//! all the memory there is. [`Limits`] says how far to go.
//!
//! Apps do not use the typed password as it is: see [`mobile_password`].

mod file;
mod kdf;
mod open;
#[cfg(test)]
mod tests;
mod write;

use zeroize::Zeroizing;

use crate::{
    account::{Address, hd::HdError},
    crypto::{KeyError, keccak256},
};
pub use file::{KeyFile, MAX_KEY_FILE, Version};
pub use kdf::{Kdf, Limits, ScryptCost};
pub use open::OpenedKey;
pub use write::{Nonces, file_name};

/// What is wrong with a key file or its password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Far more bytes than a key file has.
    #[error("a file of {got} bytes is no key file (the limit is {MAX_KEY_FILE})")]
    TooLarge { got: usize },
    /// Not text.
    #[error("a key file is JSON, but this is not UTF-8 (byte {at})")]
    Utf8 { at: usize },
    /// Not JSON, or nested too deeply.
    #[error("a key file is a JSON object: {0}")]
    Json(String),
    /// A member that every key file has.
    #[error("the key file has no {member:?}")]
    Missing { member: &'static str },
    /// A member of another kind.
    #[error("{member:?} of the key file should be {expected}")]
    Member { member: &'static str, expected: &'static str },
    /// A member of another length.
    #[error("{member:?} of the key file has {got} bytes; expected {expected}")]
    Length { member: &'static str, got: usize, expected: usize },
    /// Neither 3 nor "1".
    #[error("version {0} of key files is unknown; expected 3, or \"1\" as a text")]
    Version(String),
    /// A cipher that the version does not have.
    #[error("cipher {got:?} is unknown; expected {expected:?}")]
    Cipher { got: String, expected: &'static str },
    /// A key derivation that no key file has.
    #[error("key derivation {0:?} is unknown; expected \"scrypt\" or \"pbkdf2\"")]
    Kdf(String),
    /// PBKDF2 with another function.
    #[error("prf {0:?} is unknown; expected \"hmac-sha256\"")]
    Prf(String),
    /// Parameters that the algorithm does not allow.
    #[error("{parameter} = {got} is not allowed: {rule}")]
    Parameter { parameter: &'static str, got: u64, rule: &'static str },
    /// More than [`Limits`] allows.
    #[error(
        "opening the key file would take {needs} (allowed: {allowed}); if you trust the file, \
         allow expensive parameters"
    )]
    Expensive {
        /// Bytes; 0 for PBKDF2.
        memory: u64,
        /// scrypt: `n * r * p`; PBKDF2: rounds.
        work: u64,
        /// The same in words.
        needs: String,
        allowed: String,
    },
    /// The machine has not that much.
    #[error("this machine can't give the {needs} of memory that opening the key file takes")]
    Memory { needs: String },
    /// The code that proves password and ciphertext right does not match.
    #[error(
        "could not decrypt {what} with the given password: it is wrong, or the file is damaged"
    )]
    Mac { what: &'static str },
    /// Decrypted, but to something else.
    #[error("what the password decrypts is no {0}")]
    Plaintext(&'static str),
    /// Decrypted, but not to a key of the group.
    #[error("the file does not hold a valid private key: {0}")]
    Key(#[from] KeyError),
    /// Decrypted, but not to an extended key.
    #[error("the file does not hold a valid extended key: {0}")]
    Extended(#[from] HdError),
    /// Files of old app versions: the private key of index 0 with the extended key of index 1.
    #[error(
        "the extended key in the file belongs to {extended}, the private key to {key}: \
         files of old app versions are like that and can't be used for derivation"
    )]
    ExtendedMismatch { key: Address, extended: Address },
    /// There is nothing to derive from.
    #[error("the key file has no extended key to derive from")]
    NoExtended,
}

impl KeystoreError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "keystore.too_large",
            Self::Utf8 { .. } => "keystore.utf8",
            Self::Json(_) => "keystore.json",
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
}

/// What the mobile app gives as the password of key files and databases in place of what was
/// typed: `0x` and the hex of the Keccak-256 of the typed text, 66 characters.
pub fn mobile_password(typed: &str) -> Zeroizing<String> {
    let hash = Zeroizing::new(keccak256(typed.as_bytes()));
    let mut text = Zeroizing::new(vec![b'0'; 66]);
    let (prefix, digits) = text.split_at_mut(2);
    prefix.copy_from_slice(b"0x");
    hex::encode_to_slice(*hash, digits).expect("32 bytes are 64 digits");
    let mut password = Zeroizing::new(String::with_capacity(66));
    password.extend(text.iter().map(|byte| char::from(*byte)));
    password
}

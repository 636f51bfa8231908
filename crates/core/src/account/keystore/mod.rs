//! Key files: web3 secret storage, version 3 with the members that Status added, and version 1.
//!
//! A key file contains a private key, encrypted with a password. Status files have a second block
//! with the extended key (`xprv…`) of the same key. [`KeyFile::parse`] reads the files of any
//! wallet, [`KeyFile::open`] decrypts them, and [`KeyFile::encrypt`] writes files as the reference
//! does.
//!
//! Key derivation is slow by design, and the file sets the cost: a hostile file could ask for all
//! memory. [`Limits`] bounds it.
//!
//! Apps do not use the typed password directly: see [`mobile_password`].

mod error;
mod file;
mod kdf;
mod open;
#[cfg(test)]
mod tests;
mod write;

use zeroize::Zeroizing;

use crate::crypto::keccak256;
pub use error::KeystoreError;
pub use file::{KeyFile, Version};
pub use kdf::{Kdf, Limits, ScryptCost};
pub use open::OpenedKey;
pub use write::{Nonces, file_name};

/// The longest file that is accepted as a key file, in bytes. Real ones have about 1200.
pub(super) const MAX_KEY_FILE: usize = 64 << 10;

/// Returns the password that the mobile app uses for key files and databases in place of the typed
/// one: `0x` and the hex of its Keccak-256, 66 characters.
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

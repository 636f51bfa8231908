//! Opening key files: password, MAC, key.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{KeyFile, KeystoreError, Limits, Version, file::Block};
use crate::{
    account::hd::ExtendedPrivateKey,
    crypto::{
        SecretKey, aes,
        keccak::{Parts, keccak256_parts},
        keccak256,
    },
    eip::Address,
};

/// The decrypted content of a key file.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedKey {
    /// The private key.
    pub secret: SecretKey,
    /// The extended key, in Status files.
    pub extended: Option<ExtendedPrivateKey>,
}

impl OpenedKey {
    /// Returns the address of the private key, which the file name should contain.
    pub fn address(&self) -> Address {
        Address::from_key(&self.secret.public_key())
    }

    /// Returns the extended key, for derivation.
    ///
    /// # Errors
    /// If there is none, or if it does not belong to the private key: old app versions wrote such
    /// files, and the reference rejects them, too.
    pub fn derivation_key(&self) -> Result<&ExtendedPrivateKey, KeystoreError> {
        let extended = self.extended.as_ref().ok_or(KeystoreError::NoExtended)?;
        if *extended.secret_key() != self.secret {
            return Err(KeystoreError::ExtendedMismatch {
                key: self.address(),
                extended: Address::from_key(&extended.public_key()),
            });
        }
        Ok(extended)
    }
}

impl fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extended = if self.extended.is_some() { " with its extended key" } else { "" };
        write!(f, "OpenedKey({}{extended}, …)", self.address())
    }
}

impl KeyFile {
    /// Decrypts the private key and, if there is one, the extended key. Each has its own key
    /// derivation, so a Status file takes twice the time.
    ///
    /// For files of the mobile app, the password is that of
    /// [`mobile_password`](super::mobile_password).
    ///
    /// # Errors
    /// If the cost exceeds `limits`, the password is wrong, or the file is damaged.
    pub fn open(&self, password: &[u8], limits: &Limits) -> Result<OpenedKey, KeystoreError> {
        // Before the first derivation, so that hostile costs are rejected at once.
        self.check(limits)?;
        let secret = self.open_private_key(password, limits)?;
        let extended = match &self.extended {
            None => None,
            Some(block) => {
                let text = block.decrypt("the extended key", password, limits, self.version)?;
                let text = std::str::from_utf8(&text)
                    .map_err(|_| KeystoreError::Plaintext("extended key"))?;
                Some(text.parse()?)
            }
        };
        Ok(OpenedKey { secret, extended })
    }

    /// Checks the cost of opening the file, without doing it.
    ///
    /// # Errors
    /// If the cost exceeds `limits`.
    pub fn check(&self, limits: &Limits) -> Result<(), KeystoreError> {
        self.key.kdf.check(limits)?;
        self.extended.as_ref().map_or(Ok(()), |block| block.kdf.check(limits))
    }

    /// Decrypts the private key only.
    ///
    /// # Errors
    /// If the cost exceeds `limits`, the password is wrong, or the file is damaged.
    pub fn open_private_key(
        &self,
        password: &[u8],
        limits: &Limits,
    ) -> Result<SecretKey, KeystoreError> {
        let plaintext = self.key.decrypt("the key", password, limits, self.version)?;
        // Some old wallets omitted leading zeros.
        let start = 32_usize.checked_sub(plaintext.len());
        let start = start.ok_or(KeystoreError::Plaintext("private key"))?;
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.split_at_mut(start).1.copy_from_slice(&plaintext);
        Ok(SecretKey::from_bytes(&bytes)?)
    }
}

impl Block {
    fn decrypt(
        &self,
        what: &'static str,
        password: &[u8],
        limits: &Limits,
        version: Version,
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let derived = self.kdf.derive(password, limits)?;
        let (key, mac_key) = halves(&derived);
        let mac = keccak256_parts(Parts(&mac_key[..], &self.ciphertext, &[]));
        if !bool::from(mac.ct_eq(&self.mac)) {
            return Err(KeystoreError::Mac { what });
        }
        match version {
            Version::V3 => {
                let mut plaintext = Zeroizing::new(self.ciphertext.clone());
                aes::ctr128(&key, &self.iv, &mut plaintext);
                Ok(plaintext)
            }
            Version::V1 => {
                let (key, _) = halves(&Zeroizing::new(keccak256(&*key)));
                aes::cbc128_open(&key, &self.iv, &self.ciphertext)
                    .ok_or(KeystoreError::Plaintext("padded text"))
            }
        }
    }
}

/// Splits 32 bytes into the key of the cipher and the key of the MAC.
pub(super) fn halves(derived: &Zeroizing<[u8; 32]>) -> (Zeroizing<[u8; 16]>, Zeroizing<[u8; 16]>) {
    let (mut left, mut right) = (Zeroizing::new([0; 16]), Zeroizing::new([0; 16]));
    let (head, tail) = derived.split_at(16);
    left.copy_from_slice(head);
    right.copy_from_slice(tail);
    (left, right)
}

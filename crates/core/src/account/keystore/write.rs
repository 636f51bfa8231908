//! Writing key files as the reference does.

use rand::CryptoRng;

use super::{Kdf, KeyFile, KeystoreError, Limits, ScryptCost, Version, file::Block, open::halves};
use crate::{
    account::{hd::ExtendedPrivateKey, installation::Uuid},
    crypto::{
        SecretKey, aes,
        keccak::{Parts, keccak256_parts},
    },
    eip::Address,
};

/// All random values of a key file: the same values give the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonces {
    pub salt: [u8; 32],
    pub iv: [u8; 16],
    /// The salt of the extended key's block.
    pub extended_salt: [u8; 32],
    /// The IV of the extended key's block.
    pub extended_iv: [u8; 16],
    pub id: Uuid,
}

impl Nonces {
    /// Generates random values.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut nonces = Self {
            salt: [0; 32],
            iv: [0; 16],
            extended_salt: [0; 32],
            extended_iv: [0; 16],
            id: Uuid::from_bytes([0; 16]),
        };
        rng.fill_bytes(&mut nonces.salt);
        rng.fill_bytes(&mut nonces.iv);
        rng.fill_bytes(&mut nonces.extended_salt);
        rng.fill_bytes(&mut nonces.extended_iv);
        nonces.id = Uuid::generate(rng);
        nonces
    }
}

impl KeyFile {
    /// Encrypts a private key, without an extended key.
    ///
    /// # Errors
    /// If the memory for the key derivation can't be allocated.
    pub fn encrypt(
        key: &SecretKey,
        password: &[u8],
        cost: ScryptCost,
        nonces: &Nonces,
    ) -> Result<Self, KeystoreError> {
        let kdf = Kdf::Scrypt { cost, salt: nonces.salt.to_vec() };
        Ok(Self {
            address: Some(Address::from_key(&key.public_key())),
            id: nonces.id.to_string(),
            subaccount_index: 0,
            version: Version::V3,
            key: Block::encrypt(&*key.to_bytes(), password, kdf, nonces.iv)?,
            extended: None,
        })
    }

    /// Encrypts an extended key and its private key, as Status clients do.
    ///
    /// # Errors
    /// If the memory for the key derivation can't be allocated.
    pub fn encrypt_extended(
        key: &ExtendedPrivateKey,
        password: &[u8],
        cost: ScryptCost,
        nonces: &Nonces,
    ) -> Result<Self, KeystoreError> {
        let mut file = Self::encrypt(key.secret_key(), password, cost, nonces)?;
        let kdf = Kdf::Scrypt { cost, salt: nonces.extended_salt.to_vec() };
        let text = key.to_xprv();
        file.extended = Some(Block::encrypt(text.as_bytes(), password, kdf, nonces.extended_iv)?);
        Ok(file)
    }
}

impl Block {
    pub(super) fn encrypt(
        plaintext: &[u8],
        password: &[u8],
        kdf: Kdf,
        iv: [u8; 16],
    ) -> Result<Self, KeystoreError> {
        let derived = kdf.derive(password, &Limits::UNLIMITED)?;
        let (key, mac_key) = halves(&derived);
        let mut ciphertext = plaintext.to_vec();
        aes::ctr128(&key, &iv, &mut ciphertext);
        let mac = keccak256_parts(Parts(&mac_key[..], &ciphertext, &[]));
        Ok(Self { ciphertext, iv, kdf, mac })
    }
}

/// Returns the file name that the reference uses: `UTC--` time `--` address.
///
/// The time is the UNIX time in seconds, and the nanoseconds after it.
pub fn file_name(address: &Address, seconds: u64, nanoseconds: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "UTC--{year:04}-{month:02}-{day:02}T{:02}-{:02}-{:02}.{nanoseconds:09}Z--{}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        address.to_plain_hex()
    )
}

/// Returns year, month and day of the number of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years from March on have the leap day last. 1970-01-01 is 719,468 days after 0000-03-01.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

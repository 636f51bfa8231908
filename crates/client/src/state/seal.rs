//! Encryption of a store, and its header.
//!
//! | what | how |
//! | --- | --- |
//! | key | scrypt of the password, with a random salt; HKDF-SHA256 makes two keys of it |
//! | name of a record | HMAC-SHA256 of its key: reveals nothing, and is the same each time |
//! | record | nonce (12, random), AES-256-GCM of key and record, tag (16); the name is associated data, so that records can't be exchanged |
//! | header | version, kind, cost and salt of scrypt, and an empty sealed text that tells whether a password is right |
//!
//! Nonces come from the operating system and never from a seed: using one twice would reveal what
//! was encrypted with it. Without a password, names are keys after an `r`, and records are plain.

use std::borrow::Cow;

use rand::{
    Rng as _, SeedableRng as _,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::{
        aes::{GCM_TAG, GcmKey},
        kdf::{self, HmacSha256, hkdf_sha256},
    },
    secure::store::codec::{Reader, Writer},
};
use zeroize::Zeroizing;

use crate::state::{Record, StoreError};

/// Version of header and records.
const VERSION: u32 = 2;
/// Cost of scrypt for new stores: 2^15 KiB, about a tenth of a second.
pub(super) const DEFAULT_LOG_N: u8 = 15;
/// The greatest cost that is accepted: 1 GiB.
const MAX_LOG_N: u8 = 20;
const R: u32 = 8;
const P: u32 = 1;

const PLAIN: u8 = 0;
const SCRYPT: u8 = 1;

const NONCE: usize = 12;

/// Start of names that are not encrypted.
const PLAIN_NAME: &[u8] = b"r";

pub(super) struct Seal(Option<Keys>);

struct Keys {
    names: HmacSha256,
    records: GcmKey,
    nonces: ChaCha20Rng,
}

impl Seal {
    /// Creates the seal of a new store, and its header.
    pub fn create(password: Option<&[u8]>, log_n: u8) -> Result<(Self, Vec<u8>), StoreError> {
        let mut writer = Writer::default();
        writer.u32(VERSION);
        let Some(password) = password else {
            writer.u8(PLAIN);
            return Ok((Self(None), writer.finish().to_vec()));
        };
        let mut rng = system_rng()?;
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        writer.u8(SCRYPT);
        writer.u8(log_n);
        writer.array(&salt);
        let mut header = writer.finish().to_vec();
        let mut keys = Keys::derive(password, &salt, log_n, rng)?;
        let check = keys.seal(&header, &[]);
        header.extend_from_slice(&check);
        Ok((Self(Some(keys)), header))
    }

    /// Returns the seal of an existing store.
    ///
    /// # Errors
    ///
    /// If the header is damaged or of another version, or the password does not fit.
    pub fn open(header: &[u8], password: Option<&[u8]>) -> Result<Self, StoreError> {
        let mut reader = Reader::new("header", header);
        let version = reader.u32()?;
        if version != VERSION {
            return Err(StoreError::Version { found: version });
        }
        match (reader.u8()?, password) {
            (PLAIN, None) => Ok(Self(None)),
            (PLAIN, Some(_)) => Err(StoreError::NotEncrypted),
            (SCRYPT, None) => Err(StoreError::PasswordNeeded),
            (SCRYPT, Some(password)) => {
                let log_n = reader.u8()?;
                let salt = reader.array()?;
                let check: [u8; NONCE + GCM_TAG] = reader.array()?;
                let signed = &header[..header.len() - check.len()];
                reader.finish()?;
                if log_n > MAX_LOG_N {
                    return Err(StoreError::Corrupt { what: "header" });
                }
                let keys = Keys::derive(password, &salt, log_n, system_rng()?)?;
                keys.open(signed, &check).ok_or(StoreError::WrongPassword)?;
                Ok(Self(Some(keys)))
            }
            _ => Err(StoreError::Corrupt { what: "header" }),
        }
    }

    #[cfg(test)]
    pub fn is_encrypted(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the name under which the record of a key is stored.
    pub fn name(&self, key: &[u8]) -> Vec<u8> {
        match &self.0 {
            Some(keys) => keys.names.tag(&[key]).to_vec(),
            None => [PLAIN_NAME, key].concat(),
        }
    }

    /// Returns what the names of all keys with this prefix start with.
    pub fn prefix(&self, prefix: &[u8]) -> Vec<u8> {
        match &self.0 {
            Some(_) => Vec::new(),
            None => [PLAIN_NAME, prefix].concat(),
        }
    }

    /// Returns a record as it is stored.
    pub fn seal<'a>(&mut self, name: &[u8], key: &[u8], record: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(keys) = &mut self.0 else { return record.into() };
        keys.seal(name, &[&(key.len() as u32).to_be_bytes(), key, record]).into()
    }

    /// Returns the record of a key from how it is stored.
    pub fn open_record(
        &self,
        name: &[u8],
        key: &[u8],
        stored: Record,
    ) -> Result<Record, StoreError> {
        let (found, record) = self.open_any(name, stored)?;
        if found == key { Ok(record) } else { Err(CORRUPT) }
    }

    /// Returns a record and its key.
    pub fn open_any(&self, name: &[u8], stored: Record) -> Result<(Vec<u8>, Record), StoreError> {
        let Some(keys) = &self.0 else {
            let key = name.strip_prefix(PLAIN_NAME).ok_or(CORRUPT)?;
            return Ok((key.to_vec(), stored));
        };
        let plaintext = keys.open(name, &stored).ok_or(CORRUPT)?;
        let mut reader = Reader::new("record", &plaintext);
        let key = reader.bytes()?.to_vec();
        let record = plaintext[4 + key.len()..].to_vec();
        Ok((key, Zeroizing::new(record)))
    }
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "record" };

impl Keys {
    fn derive(
        password: &[u8],
        salt: &[u8; 32],
        log_n: u8,
        nonces: ChaCha20Rng,
    ) -> Result<Self, StoreError> {
        let master = kdf::scrypt(password, salt, log_n, R, P);
        let master = master.ok_or(StoreError::Corrupt { what: "header" })?;
        let key = |info: &[u8]| hkdf_sha256::<32>(&*master, &[], info);
        Ok(Self {
            names: HmacSha256::new(&*key(b"statuskit store 1 names")),
            records: GcmKey::new(&key(b"statuskit store 1 records")),
            nonces,
        })
    }

    fn seal(&mut self, associated: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut nonce = [0; NONCE];
        self.nonces.fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(NONCE + length + GCM_TAG);
        sealed.extend_from_slice(&nonce);
        for part in parts {
            sealed.extend_from_slice(part);
        }
        let tag = self.records.seal(&nonce, associated, &mut sealed[NONCE..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.records.open(nonce, associated, &mut plaintext, tag).then_some(plaintext)
    }
}

pub(super) fn system_rng() -> Result<ChaCha20Rng, StoreError> {
    ChaCha20Rng::try_from_rng(&mut SysRng).map_err(|error| StoreError::Random(error.to_string()))
}

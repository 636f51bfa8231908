//! The AES modes of these protocols: GCM for symmetric messages, CTR for ECIES, frames, key files
//! and sessions, CBC for old key files, and single blocks for frame MACs.

use std::fmt;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, aead::inout::InOutBuf};
use cbc::cipher::{BlockModeDecrypt as _, block_padding::Pkcs7};
use ctr::cipher::{BlockCipherEncrypt, KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

/// Length of a GCM tag in bytes.
pub const GCM_TAG: usize = 16;

/// Encrypts `buffer` in place under AES-256-GCM without associated data. Returns the tag.
pub(crate) fn gcm_seal(key: &[u8; 32], nonce: &[u8; 12], buffer: &mut [u8]) -> [u8; GCM_TAG] {
    GcmKey::new(key).seal(nonce, &[], buffer)
}

/// Checks the tag and decrypts `buffer` in place. On `false` the buffer must not be used.
#[must_use]
pub(crate) fn gcm_open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
    tag: &[u8; GCM_TAG],
) -> bool {
    GcmKey::new(key).open(nonce, &[], buffer, tag)
}

/// An expanded AES-256-GCM key, for many messages.
pub struct GcmKey(Aes256Gcm);

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey(redacted)")
    }
}

impl GcmKey {
    /// Expands the key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts `buffer` in place. The tag also covers `associated`.
    #[must_use]
    pub fn seal(&self, nonce: &[u8; 12], associated: &[u8], buffer: &mut [u8]) -> [u8; GCM_TAG] {
        self.0
            .encrypt_inout_detached(nonce.into(), associated, InOutBuf::from(buffer))
            .expect("a message is far below GCM's limit of 64 GiB")
            .into()
    }

    /// Checks the tag and decrypts `buffer` in place. On `false` the buffer must not be used.
    #[must_use]
    pub fn open(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; GCM_TAG],
    ) -> bool {
        self.0
            .decrypt_inout_detached(nonce.into(), associated, InOutBuf::from(buffer), tag.into())
            .is_ok()
    }
}

/// Encrypts or decrypts `buffer` in place with AES-128-CTR, from the counter block `iv`.
pub(crate) fn ctr128(key: &[u8; 16], iv: &[u8; 16], buffer: &mut [u8]) {
    ctr::Ctr128BE::<aes::Aes128>::new(key.into(), iv.into()).apply_keystream(buffer);
}

/// Encrypts or decrypts `buffer` in place with AES-256-CTR, from the counter block `iv`.
pub(crate) fn ctr256(key: &[u8; 32], iv: &[u8; 16], buffer: &mut [u8]) {
    ctr::Ctr128BE::<aes::Aes256>::new(key.into(), iv.into()).apply_keystream(buffer);
}

/// Decrypts AES-128-CBC with PKCS#7 padding. `None` if the length or the padding is wrong.
pub(crate) fn cbc128_open(
    key: &[u8; 16],
    iv: &[u8; 16],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = cbc::Decryptor::<aes::Aes128>::new(key.into(), iv.into())
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .ok()?
        .len();
    buffer.truncate(length);
    Some(buffer)
}

/// The AES-256-CTR key stream of one direction of an RLPx connection. Its IV is zero.
pub(crate) struct FrameCipher(ctr::Ctr128BE<aes::Aes256>);

impl fmt::Debug for FrameCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameCipher(…)")
    }
}

impl FrameCipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(ctr::Ctr128BE::<aes::Aes256>::new(key.into(), &[0; 16].into()))
    }

    /// Encrypts or decrypts the next `buffer.len()` bytes of the stream in place.
    pub(crate) fn apply(&mut self, buffer: &mut [u8]) {
        self.0.apply_keystream(buffer);
    }
}

/// AES-256 on single blocks, for the MACs of RLPx frames.
pub(crate) struct BlockCipher(aes::Aes256);

impl fmt::Debug for BlockCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockCipher(…)")
    }
}

impl BlockCipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(aes::Aes256::new(key.into()))
    }

    /// Encrypts one block.
    pub(crate) fn encrypt(&self, block: &[u8; 16]) -> [u8; 16] {
        let mut out = (*block).into();
        self.0.encrypt_block(&mut out);
        out.into()
    }
}

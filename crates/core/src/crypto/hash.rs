//! The hash functions beside Keccak: SHA-256, RIPEMD-160, MD5.

use md5::Md5;
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};

/// Returns SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Returns the first four bytes of SHA-256(SHA-256(`data`)): the checksum of base58check.
pub(crate) fn checksum(data: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&sha256(data));
    [a, b, c, d]
}

/// Returns RIPEMD-160(SHA-256(`data`)), by which BIP32 identifies keys.
pub(crate) fn hash160(data: &[u8]) -> [u8; 20] {
    Ripemd160::digest(sha256(data)).into()
}

/// Returns MD5 of `data`, for identicons only.
pub(crate) fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

//! Keccak-256.
use sha3::{Digest, Keccak256};
/// Keccak-256 (original padding, not SHA3-256) of `data`.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}
pub struct Parts<'a>(pub &'a [u8], pub &'a [u8], pub &'a [u8]);
pub fn keccak256_parts(p: Parts<'_>) -> [u8; 32] {
    Keccak256::new().chain_update(p.0).chain_update(p.1).chain_update(p.2).finalize().into()
}

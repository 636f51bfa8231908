//! Keccak-256.
use sha3::{Digest, Keccak256};
/// Keccak-256 (original padding, not SHA3-256) of `data`.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

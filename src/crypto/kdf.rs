//! Key derivation: PBKDF2 and the concatenation KDF of ECIES.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// PBKDF2-HMAC-SHA-256 to 32 bytes (RFC 8018 §5.2). Cost grows with `rounds`.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut *key);
    key
}

/// The first 32 bytes of the SP 800-56A concatenation KDF with SHA-256 and empty shared
/// information: one block, counter 1.
pub fn concat_kdf(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let hash = Sha256::new().chain_update([0, 0, 0, 1]).chain_update(secret).finalize();
    Zeroizing::new(hash.into())
}

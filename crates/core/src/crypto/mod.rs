//! The primitives, behind types of our own: the only module that touches their crates.
//!
//! | what | where | source |
//! | --- | --- | --- |
//! | secp256k1 keys, recoverable signatures, ECDH | [`keys`] | SEC 1, SEC 2; RFC 6979 |
//! | Keccak-256, one message, many at once, or running | [`keccak`] | Keccak with the original padding |
//! | ECIES | [`ecies`] | devp2p `rlpx.md`, "ECIES Encryption" |
//! | AES-256-GCM, AES-CTR, AES-CBC, single AES blocks | [`aes`] | FIPS 197, SP 800-38A, SP 800-38D |
//! | key derivation | [`kdf`] | RFC 8018 (PBKDF2), RFC 7914 (scrypt), RFC 2104 (HMAC), RFC 5869 (HKDF), SP 800-56A (concatenation KDF) |
//! | SHA-256, RIPEMD-160, MD5 | `hash` | FIPS 180-4, RFC 1321 |
//! | sums of keys | `tweak` | BIP32 |
//!
//! Randomness is always an argument ([`rand::CryptoRng`]); [`seeded_rng`] makes the
//! reproducible kind for fixtures.

pub mod aes;
pub mod ecies;
pub mod hash;
pub mod kdf;
pub mod keccak;
pub mod keys;
pub mod running;
pub(crate) mod tweak;

use rand::{SeedableRng, rngs::ChaCha20Rng};

pub use keccak::keccak256;
pub use keys::{KeyError, PublicKey, SecretKey, SharedSecret, Signature};

/// The generator behind every `--seed`: ChaCha20 keyed with the Keccak-256 of the seed's text.
///
/// The same text gives the same bytes on every machine and in every release. Keys made this
/// way are for tests: whoever knows the seed knows them.
pub fn seeded_rng(seed: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(keccak256(seed.as_bytes()))
}

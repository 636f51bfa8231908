//! Cryptographic primitives behind types of our own. Only this module uses their crates.
//!
//! | what | where | source |
//! | --- | --- | --- |
//! | secp256k1 keys, recoverable signatures, ECDH | [`keys`] | SEC 1, SEC 2; RFC 6979 |
//! | the blinding of operations with secret keys | `signer` | libsecp256k1 |
//! | Keccak-256 of one message or of many at once | [`keccak`] | Keccak with the original padding |
//! | Keccak-256 of a growing message | [`running`] | |
//! | ECIES | [`ecies`] | devp2p `rlpx.md`, "ECIES Encryption" |
//! | AES-256-GCM, AES-CTR, AES-CBC, single AES blocks | [`aes`] | FIPS 197, SP 800-38A, SP 800-38D |
//! | key derivation | [`kdf`] | RFC 8018 (PBKDF2), RFC 7914 (scrypt), RFC 2104 (HMAC), RFC 5869 (HKDF), SP 800-56A (concatenation KDF) |
//! | SHA-256, RIPEMD-160, MD5 | [`hash`] | FIPS 180-4, RFC 1321 |
//! | sums of keys | `tweak` | BIP32 |
//!
//! Randomness is always an argument ([`rand::CryptoRng`]). [`seeded_rng`] makes reproducible
//! generators for fixtures.

pub mod aes;
pub mod ecies;
pub mod hash;
pub mod kdf;
pub mod keccak;
pub mod keys;
pub mod running;
mod signer;
pub(crate) mod tweak;

use rand::{SeedableRng, rngs::ChaCha20Rng};

pub use keccak::keccak256;
pub use keys::{KeyError, PublicKey, SecretKey, SharedSecret, Signature};

/// Makes the generator behind every `--seed`: ChaCha20 keyed with the Keccak-256 of the seed.
///
/// The same seed gives the same bytes on every machine and in every release. Keys made this way
/// are for tests only: anyone who knows the seed knows them.
pub fn seeded_rng(seed: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(keccak256(seed.as_bytes()))
}

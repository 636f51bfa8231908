//! Key derivation: PBKDF2, scrypt, HKDF, HMAC and the concatenation KDF of ECIES.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

/// Derives 32 bytes with PBKDF2-HMAC-SHA-256 (RFC 8018 §5.2). The cost grows with `rounds`.
pub(crate) fn pbkdf2_sha256(password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut *key);
    key
}

/// Derives 32 bytes with the SP 800-56A concatenation KDF: SHA-256, no shared information.
///
/// One block with counter 1 is enough for 32 bytes.
pub(crate) fn concat_kdf(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let hash = Sha256::new().chain_update([0, 0, 0, 1]).chain_update(secret).finalize();
    Zeroizing::new(hash.into())
}

/// Derives `N` bytes with HKDF-SHA-256 (RFC 5869).
pub fn hkdf_sha256<const N: usize>(input: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF gives at most 255 hashes") };
    let mut key = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), input)
        .expand(info, &mut *key)
        .expect("the length is checked above");
    key
}

/// HMAC-SHA-256 with one key, for several messages.
#[derive(Clone)]
pub struct HmacSha256(Hmac<Sha256>);

impl fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSha256(redacted)")
    }
}

impl HmacSha256 {
    /// Takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// Returns the tag of the concatenation of `parts`.
    pub fn tag(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.running(parts).finalize().into_bytes().into())
    }

    /// Checks the tag of the concatenation of `parts`, in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.running(parts).verify_slice(tag).is_ok()
    }

    fn running(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// Returns HMAC-SHA-512 of the concatenation of `parts`, as two halves.
pub(crate) fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Halves {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    let mut both = mac.finalize().into_bytes();
    let mut halves = Halves { left: [0; 32], right: [0; 32] };
    halves.left.copy_from_slice(&both[..32]);
    halves.right.copy_from_slice(&both[32..]);
    both.as_mut_slice().zeroize();
    halves
}

/// The halves of a 64-byte secret. Erased on drop.
#[derive(zeroize::ZeroizeOnDrop)]
pub(crate) struct Halves {
    pub(crate) left: [u8; 32],
    pub(crate) right: [u8; 32],
}

impl fmt::Debug for Halves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Halves(redacted)")
    }
}

/// Derives 64 bytes with PBKDF2-HMAC-SHA-512.
pub(crate) fn pbkdf2_sha512(password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; 64]> {
    let mut key = Zeroizing::new([0; 64]);
    pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut *key);
    key
}

/// Derives 32 bytes with scrypt (RFC 7914). `None` if the parameters are out of range.
///
/// As in the reference, the RFC's erroneous bound `n < 2^(16 r)` does not apply.
pub fn scrypt(
    password: &[u8],
    salt: &[u8],
    log_n: u8,
    r: u32,
    p: u32,
) -> Option<Zeroizing<[u8; 32]>> {
    r.checked_mul(p)?;
    let params = ::scrypt::Params::new(log_n, r, p).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    ::scrypt::scrypt(password, salt, &params, &mut *key).ok()?;
    Some(key)
}

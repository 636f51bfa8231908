//! The primitives that only accounts need. Nothing else in [`account`](crate::account) touches
//! their crates.

use std::sync::LazyLock;

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use ripemd::Ripemd160;
use secp256k1::Scalar;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use crate::crypto::{PublicKey, SecretKey};

/// SHA-256 of `data`.
pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// The first four bytes of SHA-256(SHA-256(`data`)): the checksum of base58check.
pub(super) fn checksum(data: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&sha256(data));
    [a, b, c, d]
}

/// RIPEMD-160(SHA-256(`data`)): what BIP32 names keys by.
pub(super) fn hash160(data: &[u8]) -> [u8; 20] {
    Ripemd160::digest(sha256(data)).into()
}

/// MD5 of `data`, for identicons only.
pub(super) fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

/// HMAC-SHA-512 of the concatenation of `parts`, as its two halves.
pub(super) fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Halves {
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

/// The halves of a 64-byte secret, erased on drop.
#[derive(zeroize::ZeroizeOnDrop)]
pub(super) struct Halves {
    pub left: [u8; 32],
    pub right: [u8; 32],
}

/// PBKDF2-HMAC-SHA-512 to 64 bytes.
pub(super) fn pbkdf2_sha512(password: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; 64]> {
    let mut key = Zeroizing::new([0; 64]);
    pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut *key);
    key
}

/// scrypt to 32 bytes (RFC 7914, without its erroneous bound `n < 2^(16 r)`, as the reference).
/// `None` when the parameters are outside what the algorithm or the address space allows.
pub(super) fn scrypt(
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

/// AES-128-CBC with PKCS#7 padding. `None` when length or padding are wrong.
pub(super) fn cbc128_open(
    key: &[u8; 16],
    iv: &[u8; 16],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = cbc::Decryptor::<Aes128>::new(key.into(), iv.into())
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .ok()?
        .len();
    buffer.truncate(length);
    Some(buffer)
}

/// `key + tweak` modulo the group order. `None` when the tweak is not below the order, or the
/// sum is zero.
pub(super) fn add_secret(key: &SecretKey, tweak: &[u8; 32]) -> Option<SecretKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    let key = secp256k1::SecretKey::from_secret_bytes(*key.to_bytes()).ok()?;
    let mut sum = key.add_tweak(&tweak).ok()?;
    let bytes = Zeroizing::new(sum.to_secret_bytes());
    sum.non_secure_erase();
    SecretKey::from_bytes(&bytes).ok()
}

/// `key + tweak * G`. `None` when the tweak is not below the order, or the sum is infinity.
pub(super) fn add_public(key: &PublicKey, tweak: &[u8; 32]) -> Option<PublicKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    let key = secp256k1::PublicKey::from_slice(&key.to_uncompressed()).ok()?;
    let sum = key.add_exp_tweak(&tweak).ok()?;
    PublicKey::from_slice(&sum.serialize_uncompressed()).ok()
}

/// `key + G`: the public key of the next private key. `None` at the end of the group.
pub(super) fn next_public(key: &PublicKey) -> Option<PublicKey> {
    let key = secp256k1::PublicKey::from_slice(&key.to_uncompressed()).ok()?;
    let sum = key.combine(GENERATOR.as_ref()?).ok()?;
    PublicKey::from_slice(&sum.serialize_uncompressed()).ok()
}

/// `key * G`, the same as [`SecretKey::public_key`] in three quarters of its time.
///
/// The library's own function blinds the multiplication and then spends more than half of its
/// time on new blinding values for the next one. The multiplication of ECDH takes the same time
/// whatever the key is, and does without blinding; the generator is the other side's key here.
pub(super) fn public_key(key: &SecretKey) -> PublicKey {
    let point = || {
        let key = secp256k1::SecretKey::from_secret_bytes(*key.to_bytes()).ok()?;
        let point = secp256k1::ecdh::shared_secret_point(GENERATOR.as_ref()?, &key);
        PublicKey::from_slice(&point).ok()
    };
    point().unwrap_or_else(|| key.public_key())
}

/// `G`; it is there, since 1 is a valid private key.
static GENERATOR: LazyLock<Option<secp256k1::PublicKey>> = LazyLock::new(|| {
    let one = secp256k1::SecretKey::from_secret_bytes(Scalar::ONE.to_be_bytes()).ok()?;
    Some(one.public_key())
});

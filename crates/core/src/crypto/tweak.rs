//! Sums of keys: what trees of keys and searches for keys are made of.

use std::sync::LazyLock;

use secp256k1::Scalar;

use super::{PublicKey, SecretKey};

/// `key + tweak` modulo the group order. `None` when the tweak is not below the order, or the
/// sum is zero.
pub(crate) fn add_secret(key: &SecretKey, tweak: &[u8; 32]) -> Option<SecretKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    key.0.add_tweak(&tweak).ok().map(SecretKey)
}

/// `key + tweak * G`. `None` when the tweak is not below the order, or the sum is infinity.
pub(crate) fn add_public(key: &PublicKey, tweak: &[u8; 32]) -> Option<PublicKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    key.0.add_exp_tweak(&tweak).ok().map(PublicKey)
}

/// `key + G`: the public key of the next private key. `None` at the end of the group.
pub(crate) fn next_public(key: &PublicKey) -> Option<PublicKey> {
    key.0.combine(GENERATOR.as_ref()?).ok().map(PublicKey)
}

/// `key * G`, the same as [`SecretKey::public_key`] in three quarters of its time.
///
/// The library's own function blinds the multiplication and then spends more than half of its
/// time on new blinding values for the next one. The multiplication of ECDH takes the same time
/// whatever the key is, and does without blinding; the generator is the other side's key here.
pub(crate) fn public_key(key: &SecretKey) -> PublicKey {
    let point = || {
        let point = secp256k1::ecdh::shared_secret_point(GENERATOR.as_ref()?, &key.0);
        PublicKey::from_slice(&point).ok()
    };
    point().unwrap_or_else(|| key.public_key())
}

/// `G`; it is there, since 1 is a valid private key.
static GENERATOR: LazyLock<Option<secp256k1::PublicKey>> = LazyLock::new(|| {
    let one = secp256k1::SecretKey::from_secret_bytes(Scalar::ONE.to_be_bytes()).ok()?;
    Some(one.public_key())
});

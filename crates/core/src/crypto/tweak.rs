//! Sums of keys, for key trees and key searches.

use std::sync::LazyLock;

use secp256k1::Scalar;

use super::{PublicKey, SecretKey};

/// Returns `key + tweak` modulo the group order. `None` if the tweak is not below the order, or
/// the sum is zero.
pub(crate) fn add_secret(key: &SecretKey, tweak: &[u8; 32]) -> Option<SecretKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    key.0.add_tweak(&tweak).ok().map(SecretKey)
}

/// Returns `key + tweak * G`. `None` if the tweak is not below the order, or the sum is infinity.
pub(crate) fn add_public(key: &PublicKey, tweak: &[u8; 32]) -> Option<PublicKey> {
    let tweak = Scalar::from_be_bytes(*tweak).ok()?;
    key.0.add_exp_tweak(&tweak).ok().map(PublicKey)
}

/// Returns `key + G`, the public key of the next private key. `None` at the end of the group.
pub(crate) fn next_public(key: &PublicKey) -> Option<PublicKey> {
    key.0.combine(GENERATOR.as_ref()?).ok().map(PublicKey)
}

/// `G`. Always `Some`, since 1 is a valid private key.
static GENERATOR: LazyLock<Option<secp256k1::PublicKey>> = LazyLock::new(|| {
    let one = secp256k1::SecretKey::from_secret_bytes(Scalar::ONE.to_be_bytes()).ok()?;
    Some(one.public_key())
});

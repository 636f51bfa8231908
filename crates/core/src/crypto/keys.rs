//! Typed secp256k1 keys and recoverable signatures.
//!
//! Secrets are erased on drop, compared in constant time and hidden from `Debug`.

use std::{fmt, str::FromStr};

use rand::CryptoRng;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::signer;

/// What is wrong with a key or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not hex.
    #[error("{what} is not hexadecimal (position {at} of the text)")]
    Hex { what: &'static str, at: usize },
    /// The length is none of those that this kind of key can have.
    #[error("{what} has {}; expected {expected}", crate::text::count(.got, "byte"))]
    Length { what: &'static str, got: usize, expected: &'static str },
    /// A private key is zero, or not below the group order.
    #[error("a private key must be at least 1 and below the order of secp256k1")]
    SecretRange,
    /// A symmetric key is all zeros, which no sender uses.
    #[error("a symmetric key must not be all zeros")]
    ZeroSymKey,
    /// The bytes are not a point of the curve, or have an unknown prefix byte.
    #[error("the public key is not a point of secp256k1")]
    NotOnCurve,
    /// `r` or `s` is out of range, or the recovery id is above 3.
    #[error("the signature is malformed: r and s must be below the group order, v 0 to 3")]
    SignatureFormat,
    /// No key can have made this signature over this digest.
    #[error("no public key can be recovered from the signature")]
    NoRecovery,
}

/// Decodes hex with or without `0x`. The error names the first bad position.
pub(crate) fn hex_bytes(what: &'static str, text: &str) -> Result<Vec<u8>, KeyError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let skipped = text.len() - digits.len();
    hex::decode(digits).map_err(|error| {
        let at = match error {
            hex::FromHexError::InvalidHexCharacter { index, .. } => index,
            _ => digits.len(),
        };
        KeyError::Hex { what, at: skipped + at }
    })
}

/// A private key: 32 bytes, at least 1 and below the group order.
#[derive(Clone)]
pub struct SecretKey(pub(super) secp256k1::SecretKey);

impl SecretKey {
    /// Generates a key from `rng`.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            let key = Self::from_bytes(&bytes);
            bytes.zeroize();
            // A random value is out of range with probability 2^-128.
            if let Ok(key) = key {
                return key;
            }
        }
    }

    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    ///
    /// If the number is zero, or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        secp256k1::SecretKey::from_secret_bytes(*bytes).map(Self).map_err(|_| KeyError::SecretRange)
    }

    /// Returns the 32 big-endian bytes, erased on drop.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_secret_bytes())
    }

    /// Returns `0x` and 64 hex digits, erased when dropped.
    pub fn to_hex(&self) -> zeroize::Zeroizing<String> {
        let mut text = zeroize::Zeroizing::new(String::with_capacity(66));
        text.push_str("0x");
        for byte in *self.to_bytes() {
            for nibble in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// Computes the public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(signer::public_key(&self.0))
    }

    /// Computes the elliptic-curve Diffie-Hellman secret: the X coordinate of `self * theirs`, not
    /// hashed.
    pub fn ecdh(&self, theirs: &PublicKey) -> SharedSecret {
        let mut point = secp256k1::ecdh::shared_secret_point(&theirs.0, &self.0);
        let mut x = [0; 32];
        x.copy_from_slice(&point[..32]);
        point.zeroize();
        let secret = SharedSecret(x);
        x.zeroize();
        secret
    }

    /// Signs a 32-byte digest, without hashing it again. Deterministic (RFC 6979), with a low `s`.
    #[must_use]
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Signature {
        let (id, compact) = signer::sign(&self.0, digest).serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = id.to_u8();
        Signature(bytes)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    /// Reads 64 hex digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = zeroize::Zeroizing::new(hex_bytes("the private key", text)?);
        let array: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Length {
            what: "the private key",
            got: bytes.len(),
            expected: "32",
        })?;
        Self::from_bytes(array)
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes().ct_eq(&*other.to_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The X coordinate of an ECDH point: 32 bytes. Erased on drop.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// Takes 32 bytes that were agreed before.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 big-endian bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

/// A public key: a point of secp256k1, not infinity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub(super) secp256k1::PublicKey);

impl PublicKey {
    /// Reads 65 bytes (`04`, X, Y), 64 bytes (X, Y) or 33 bytes (`02`/`03`, X).
    ///
    /// # Errors
    ///
    /// If the length is another one, or the bytes are not a point of the curve.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let parsed = match *bytes {
            [4, ..] if bytes.len() == 65 => secp256k1::PublicKey::from_slice(bytes),
            [2 | 3, ..] if bytes.len() == 33 => secp256k1::PublicKey::from_slice(bytes),
            _ if bytes.len() == 64 => {
                let mut full = [4; 65];
                full[1..].copy_from_slice(bytes);
                secp256k1::PublicKey::from_slice(&full)
            }
            _ if bytes.len() == 65 || bytes.len() == 33 => return Err(KeyError::NotOnCurve),
            _ => {
                return Err(KeyError::Length {
                    what: "the public key",
                    got: bytes.len(),
                    expected: "65 (04…), 64 (without the 04) or 33 (02… or 03…)",
                });
            }
        };
        parsed.map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// Returns 65 bytes: `04`, X, Y.
    pub fn to_uncompressed(&self) -> [u8; 65] {
        self.0.serialize_uncompressed()
    }

    /// Returns 33 bytes: `02` or `03`, X.
    pub fn to_compressed(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// Returns 64 bytes: X, Y. This is the form of devp2p messages and enode URLs.
    pub fn to_xy(&self) -> [u8; 64] {
        let mut xy = [0; 64];
        xy.copy_from_slice(&self.to_uncompressed()[1..]);
        xy
    }

    /// Returns whether the owner of the key made this signature (`r || s`) over `digest`.
    ///
    /// A high `s` is rejected, since every signature has a twin with a low one.
    #[must_use]
    pub fn verify(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        secp256k1::ecdsa::Signature::from_compact(signature)
            .is_ok_and(|signature| signature.verify(Message::from_digest(*digest), &self.0).is_ok())
    }

    /// Returns whether the owner of the key made this signature, in DER, over `digest`.
    ///
    /// A high `s` is accepted.
    #[must_use]
    pub fn verify_der(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        secp256k1::ecdsa::Signature::from_der(signature).is_ok_and(|mut signature| {
            signature.normalize_s();
            signature.verify(Message::from_digest(*digest), &self.0).is_ok()
        })
    }

    /// Returns the X coordinate, 32 big-endian bytes.
    pub fn x(&self) -> [u8; 32] {
        let mut x = [0; 32];
        x.copy_from_slice(&self.to_compressed()[1..]);
        x
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads the hex of any of the three byte forms, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_slice(&hex_bytes("the public key", text)?)
    }
}

/// Shows the chat key form: `0x04` and 128 hex digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_uncompressed()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
thread_local! {
    /// How many keys this thread has recovered.
    pub(crate) static RECOVERED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A recoverable ECDSA signature: `r` (32 bytes), `s` (32 bytes), `v` (the recovery id).
///
/// The reference writes `v` 0 or 1. Reading also accepts 2 and 3 (an `r` above the group order), as
/// libsecp256k1 does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 65]);

impl Signature {
    /// Takes 65 bytes unchecked; [`recover`](Self::recover) checks them.
    pub fn from_bytes(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    /// Returns `r || s || v`.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// Returns the DER form: a sequence of `r` and `s`.
    ///
    /// # Errors
    ///
    /// If `r` or `s` is not below the group order.
    pub fn to_der(&self) -> Result<Vec<u8>, KeyError> {
        secp256k1::ecdsa::Signature::from_compact(&self.0[..64])
            .map(|signature| signature.serialize_der().to_vec())
            .map_err(|_| KeyError::SignatureFormat)
    }

    /// Recovers the public key whose owner signed `digest`.
    ///
    /// # Errors
    ///
    /// If the signature is malformed, or no key can have made it.
    pub fn recover(&self, digest: &[u8; 32]) -> Result<PublicKey, KeyError> {
        #[cfg(test)]
        RECOVERED.with(|count| count.set(count.get() + 1));
        let id =
            RecoveryId::try_from(i32::from(self.0[64])).map_err(|_| KeyError::SignatureFormat)?;
        RecoverableSignature::from_compact(&self.0[..64], id)
            .map_err(|_| KeyError::SignatureFormat)?
            .recover(Message::from_digest(*digest))
            .map(PublicKey)
            .map_err(|_| KeyError::NoRecovery)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature(0x{})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

    #[test]
    fn secret_key_range() {
        assert_eq!("00".repeat(32).parse::<SecretKey>(), Err(KeyError::SecretRange));
        assert_eq!(ORDER.parse::<SecretKey>(), Err(KeyError::SecretRange));
        let below = format!("{}40", &ORDER[..62]);
        assert!(below.parse::<SecretKey>().is_ok());
    }

    #[test]
    fn texts_name_the_bad_position() {
        let error = "0x12zz".parse::<SecretKey>().unwrap_err();
        assert_eq!(error, KeyError::Hex { what: "the private key", at: 4 });
        assert!(matches!("0x1234".parse::<PublicKey>(), Err(KeyError::Length { got: 2, .. })));
    }

    #[test]
    fn debug_hides_secrets() {
        let key: SecretKey = "11".repeat(32).parse().unwrap();
        assert_eq!(format!("{key:?}"), "SecretKey(…)");
        assert_eq!(format!("{:?}", key.ecdh(&key.public_key())), "SharedSecret(…)");
    }

    #[test]
    fn public_key_forms_agree() {
        let key = "22".repeat(32).parse::<SecretKey>().unwrap().public_key();
        for bytes in [&key.to_uncompressed()[..], &key.to_xy(), &key.to_compressed()] {
            assert_eq!(PublicKey::from_slice(bytes), Ok(key));
        }
        let mut bad = key.to_uncompressed();
        bad[64] ^= 1;
        assert_eq!(PublicKey::from_slice(&bad), Err(KeyError::NotOnCurve));
        bad[0] = 6; // the hybrid form is not used
        assert_eq!(PublicKey::from_slice(&bad), Err(KeyError::NotOnCurve));
    }

    #[test]
    fn signatures_recover_the_signer() {
        let key: SecretKey = "33".repeat(32).parse().unwrap();
        let digest = [7; 32];
        let signature = key.sign_digest(&digest);
        assert_eq!(signature.recover(&digest), Ok(key.public_key()));
        assert_ne!(signature.recover(&[8; 32]), Ok(key.public_key()));
        let der = signature.to_der().unwrap();
        assert!(key.public_key().verify_der(&digest, &der));
        assert!(!key.public_key().verify_der(&[8; 32], &der));
        assert!(!key.public_key().verify_der(&digest, &der[1..]));
        let mut bytes = *signature.as_bytes();
        bytes[64] = 4;
        assert_eq!(Signature::from_bytes(bytes).recover(&digest), Err(KeyError::SignatureFormat));
        assert!(Signature::from_bytes([0; 65]).recover(&digest).is_err());
    }

    #[test]
    fn signatures_are_verified_with_a_low_s_only() {
        let key: SecretKey = "33".repeat(32).parse().unwrap();
        let (digest, public) = ([7; 32], key.public_key());
        let mut signature = [0; 64];
        signature.copy_from_slice(&key.sign_digest(&digest).as_bytes()[..64]);
        assert!(public.verify(&digest, &signature));
        assert!(!public.verify(&[8; 32], &signature));
        assert!(!public.verify(&digest, &[0; 64]));
        // The twin: s becomes the order less s.
        let order = hex::decode(ORDER).unwrap();
        let mut borrow = 0;
        for i in (0..32).rev() {
            let difference = i32::from(order[i]) - i32::from(signature[32 + i]) - borrow;
            borrow = i32::from(difference < 0);
            signature[32 + i] = (difference & 0xff) as u8;
        }
        assert!(!public.verify(&digest, &signature));
    }
}

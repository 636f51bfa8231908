//! The algorithms, and the keys derived for them.

use std::fmt;

use aes::{Aes128, Aes256};
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::elliptic_curve::{
    CurveArithmetic, Generate as _, PublicKey,
    ecdh::EphemeralSecret,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use rand::CryptoRng;
use sha2::{Sha256, Sha512};
use statuskit_core::discovery::libp2p::secio::{Propose, choose};
use zeroize::Zeroizing;

use super::SecioError;

/// What we offer, the best first. The reference offers the same.
pub(super) const CURVES: &str = "P-256,P-384,P-521";
pub(super) const CIPHERS: &str = "AES-256,AES-128";
pub(super) const HASHES: &str = "SHA256,SHA512";

const IV: usize = 16;
const MAC_KEY: usize = 20;

/// The algorithms that both sides take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    pub curve: Curve,
    pub cipher: CipherKind,
    pub hash: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CipherKind {
    Aes256,
    Aes128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Suite {
    /// Chooses from both proposals. `ours_first` if this side has precedence.
    ///
    /// # Errors
    ///
    /// If one of the lists has no common entry.
    pub fn choose(ours: &Propose, theirs: &Propose, ours_first: bool) -> Result<Self, SecioError> {
        fn common<'a>(
            what: &'static str,
            (ours, theirs): (&'a str, &'a str),
            ours_first: bool,
        ) -> Result<&'a str, SecioError> {
            let (first, second) = if ours_first { (ours, theirs) } else { (theirs, ours) };
            choose(first, second).ok_or_else(|| SecioError::NoCommon {
                what,
                offered: theirs.chars().take(100).collect(),
            })
        }
        // What both list is one of ours.
        Ok(Self {
            curve: match common("curve", (&ours.curves, &theirs.curves), ours_first)? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                _ => Curve::P521,
            },
            cipher: match common("cipher", (&ours.ciphers, &theirs.ciphers), ours_first)? {
                "AES-256" => CipherKind::Aes256,
                _ => CipherKind::Aes128,
            },
            hash: match common("hash function", (&ours.hashes, &theirs.hashes), ours_first)? {
                "SHA256" => Hash::Sha256,
                _ => Hash::Sha512,
            },
        })
    }

    /// Derives the keys of the side with precedence and those of the other side.
    pub fn derive(self, secret: &[u8]) -> (Half, Half) {
        const SEED: &[u8] = b"key expansion";
        let key = match self.cipher {
            CipherKind::Aes256 => 32,
            CipherKind::Aes128 => 16,
        };
        let length = IV + key + MAC_KEY;
        let mac = MacKey::new(self.hash, secret);
        // As long as it will be: growing would leave copies behind.
        let mut keys = Zeroizing::new(Vec::with_capacity(2 * length + mac.size()));
        let mut chain = mac.tag(&[SEED]);
        while keys.len() < 2 * length {
            keys.extend_from_slice(&mac.tag(&[&chain, SEED]));
            chain = mac.tag(&[&chain]);
        }
        let half = |at: usize| {
            let (iv, rest) = keys[at..at + length].split_at(IV);
            let (key, mac) = rest.split_at(key);
            Half { cipher: Cipher::new(key, iv), mac: MacKey::new(self.hash, mac) }
        };
        (half(0), half(length))
    }
}

/// A secret of a moment, for one agreement.
pub(super) enum Ephemeral {
    P256(p256::ecdh::EphemeralSecret),
    P384(p384::ecdh::EphemeralSecret),
    P521(p521::ecdh::EphemeralSecret),
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral(…)")
    }
}

impl Ephemeral {
    pub fn generate<R: CryptoRng + ?Sized>(curve: Curve, rng: &mut R) -> Self {
        match curve {
            Curve::P256 => Self::P256(EphemeralSecret::generate_from_rng(rng)),
            Curve::P384 => Self::P384(EphemeralSecret::generate_from_rng(rng)),
            Curve::P521 => Self::P521(EphemeralSecret::generate_from_rng(rng)),
        }
    }

    /// Returns the uncompressed point.
    pub fn public_key(&self) -> Vec<u8> {
        match self {
            Self::P256(secret) => secret.public_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::P384(secret) => secret.public_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::P521(secret) => secret.public_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// Computes the secret that both sides share: the X coordinate without leading zero bytes.
    ///
    /// # Errors
    ///
    /// If `theirs` is not an uncompressed point of the curve.
    pub fn agree(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecioError> {
        match self {
            Self::P256(secret) => agree(secret, theirs),
            Self::P384(secret) => agree(secret, theirs),
            Self::P521(secret) => agree(secret, theirs),
        }
    }
}

fn agree<C>(secret: &EphemeralSecret<C>, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecioError>
where
    C: CurveArithmetic,
    C::FieldBytesSize: ModulusSize,
    C::AffinePoint: FromSec1Point<C> + ToSec1Point<C>,
{
    if theirs.first() != Some(&4) {
        return Err(SecioError::EphemeralKey);
    }
    let theirs = PublicKey::<C>::from_sec1_bytes(theirs).map_err(|_| SecioError::EphemeralKey)?;
    let shared = secret.diffie_hellman(&theirs);
    Ok(Zeroizing::new(without_leading_zeros(shared.raw_secret_bytes()).to_vec()))
}

/// The reference keeps the coordinate as a number, whose bytes have no leading zeros.
fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Cipher and key for one direction.
pub(super) struct Half {
    pub cipher: Cipher,
    pub mac: MacKey,
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Half(…)")
    }
}

/// A key stream. Its state is erased on drop.
pub(super) enum Cipher {
    Aes256(Box<Ctr128BE<Aes256>>),
    Aes128(Box<Ctr128BE<Aes128>>),
}

impl Cipher {
    /// Takes a key of 16 or 32 bytes.
    fn new(key: &[u8], iv: &[u8]) -> Self {
        const LENGTHS: &str = "both lengths are those of the cipher";
        match key.len() {
            32 => Self::Aes256(Box::new(Ctr128BE::new_from_slices(key, iv).expect(LENGTHS))),
            _ => Self::Aes128(Box::new(Ctr128BE::new_from_slices(key, iv).expect(LENGTHS))),
        }
    }

    /// Encrypts or decrypts the next bytes in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Aes256(cipher) => cipher.apply_keystream(bytes),
            Self::Aes128(cipher) => cipher.apply_keystream(bytes),
        }
    }
}

/// HMAC with one key.
pub(super) enum MacKey {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl MacKey {
    fn new(hash: Hash, key: &[u8]) -> Self {
        const ANY: &str = "HMAC takes keys of any length";
        match hash {
            Hash::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Sha512 => Self::Sha512(Hmac::new_from_slice(key).expect(ANY)),
        }
    }

    /// Returns the length of a tag.
    pub fn size(&self) -> usize {
        match self {
            Self::Sha256(_) => 32,
            Self::Sha512(_) => 64,
        }
    }

    pub fn tag(&self, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        fn tag<M: hmac::Mac>(mut mac: M, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
            parts.iter().for_each(|part| mac.update(part));
            Zeroizing::new(mac.finalize().into_bytes().to_vec())
        }
        match self {
            Self::Sha256(mac) => tag(mac.clone(), parts),
            Self::Sha512(mac) => tag(mac.clone(), parts),
        }
    }

    /// Checks a whole tag in constant time.
    pub fn verify(&self, bytes: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(mac) => mac.clone().chain_update(bytes).verify_slice(tag).is_ok(),
            Self::Sha512(mac) => mac.clone().chain_update(bytes).verify_slice(tag).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::seeded_rng;

    use super::*;

    #[test]
    fn both_sides_agree_on_each_curve() {
        let mut rng = seeded_rng("curves");
        for (curve, length) in [(Curve::P256, 65), (Curve::P384, 97), (Curve::P521, 133)] {
            let [a, b] = [(); 2].map(|()| Ephemeral::generate(curve, &mut rng));
            let (public_a, public_b) = (a.public_key(), b.public_key());
            assert_eq!(public_a.len(), length);
            assert_eq!(*a.agree(&public_b).unwrap(), *b.agree(&public_a).unwrap());
            for bad in [&public_b[1..], &public_b[..length - 1], &[4], &[0], &[]] {
                assert_eq!(a.agree(bad).unwrap_err(), SecioError::EphemeralKey, "{curve:?}");
            }
            let mut off = public_b.clone();
            off[length - 1] ^= 1;
            assert_eq!(a.agree(&off).unwrap_err(), SecioError::EphemeralKey, "{curve:?}");
        }
    }

    #[test]
    fn leading_zeros_are_removed() {
        assert_eq!(without_leading_zeros(&[0, 0, 1, 0]), [1, 0]);
        assert_eq!(without_leading_zeros(&[2, 0]), [2, 0]);
        // About one secret in 256 is shorter than the coordinate.
        let mut rng = seeded_rng("zeros");
        let theirs = Ephemeral::generate(Curve::P256, &mut rng);
        let public = theirs.public_key();
        let short = (0..3000).find_map(|_| {
            let ours = Ephemeral::generate(Curve::P256, &mut rng);
            let secret = ours.agree(&public).unwrap();
            (secret.len() < 32).then_some((ours, secret))
        });
        let (ours, secret) = short.expect("one in 256");
        assert_ne!(secret[0], 0);
        assert_eq!(*theirs.agree(&ours.public_key()).unwrap(), *secret);
    }

    fn offer(curves: &str, ciphers: &str, hashes: &str) -> Propose {
        Propose {
            curves: curves.into(),
            ciphers: ciphers.into(),
            hashes: hashes.into(),
            ..Propose::default()
        }
    }

    #[test]
    fn precedence_decides_each_list() {
        let ours = offer(CURVES, CIPHERS, HASHES);
        let theirs = offer("P-521,P-384", "Blowfish,AES-128,AES-256", "SHA512,SHA256");
        assert_eq!(
            Suite::choose(&ours, &theirs, true),
            Ok(Suite { curve: Curve::P384, cipher: CipherKind::Aes256, hash: Hash::Sha256 })
        );
        assert_eq!(
            Suite::choose(&ours, &theirs, false),
            Ok(Suite { curve: Curve::P521, cipher: CipherKind::Aes128, hash: Hash::Sha512 })
        );
        let error = |curves, ciphers, hashes| {
            Suite::choose(&ours, &offer(curves, ciphers, hashes), false).unwrap_err()
        };
        for (error, what) in [
            (error("P-224", CIPHERS, HASHES), "curve"),
            (error(CURVES, "Blowfish", HASHES), "cipher"),
            (error(CURVES, CIPHERS, ""), "hash function"),
        ] {
            assert!(matches!(error, SecioError::NoCommon { what: it, .. } if it == what));
        }
    }

    #[test]
    fn the_two_halves_differ_and_are_as_long_as_the_suite_says() {
        for cipher in [CipherKind::Aes256, CipherKind::Aes128] {
            for hash in [Hash::Sha256, Hash::Sha512] {
                let suite = Suite { curve: Curve::P256, cipher, hash };
                let (mut a, mut b) = suite.derive(&[1; 32]);
                let [mut x, mut y] = [[0; 40]; 2];
                a.cipher.apply(&mut x);
                b.cipher.apply(&mut y);
                assert_ne!(x, y);
                assert_ne!(a.mac.tag(&[&x]), b.mac.tag(&[&x]));
                assert_eq!(a.mac.tag(&[]).len(), a.mac.size());
            }
        }
    }
}

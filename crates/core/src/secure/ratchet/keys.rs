//! The keys of the double ratchet. Each kind has its own type, so that none can replace another.
//!
//! | step | derivation |
//! | --- | --- |
//! | root | HKDF-SHA256(ECDH output, salt = root key), 96 bytes: next root key, chain key, unused header key |
//! | chain | HMAC-SHA256(chain key, 0x0f) is the next chain key, HMAC-SHA256(chain key, 0x10) the message key |
//! | message | HKDF-SHA256(message key, salt = 32 zeros), 80 bytes: cipher key, MAC key, IV |

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::super::key::{CompressedKey, KeyPair};
use crate::crypto::{
    KeyError, PublicKey, SecretKey, SharedSecret, aes,
    kdf::{HmacSha256, hkdf_sha256},
};

const ROOT_INFO: &[u8] = b"rsZUpEuXUqqwXBvSy3EcievAh4cMj6QL";
const MESSAGE_INFO: &[u8] = b"pcwSByyx2CRdryCffXJwy7xgVZWtW5Sh";
const IV: usize = 16;
const TAG: usize = 32;
const OVERHEAD: usize = IV + TAG;

/// A public ratchet key, which names the chain of the messages that carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetKey(CompressedKey);

impl RatchetKey {
    /// Returns the 33 bytes.
    pub fn as_bytes(&self) -> &[u8; 33] {
        self.0.as_bytes()
    }

    /// Decompresses the key.
    pub(super) fn point(&self) -> Result<PublicKey, KeyError> {
        self.0.point()
    }
}

impl From<CompressedKey> for RatchetKey {
    fn from(key: CompressedKey) -> Self {
        Self(key)
    }
}

impl From<[u8; 33]> for RatchetKey {
    fn from(bytes: [u8; 33]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for RatchetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RatchetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RatchetKey({self})")
    }
}

/// Our own ratchet key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatchetKeyPair(KeyPair);

impl RatchetKeyPair {
    pub(super) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(KeyPair::generate(rng))
    }

    /// Returns the public key.
    pub fn public(&self) -> RatchetKey {
        RatchetKey(self.0.public())
    }

    /// Returns the private key.
    pub fn secret(&self) -> &SecretKey {
        self.0.secret()
    }

    pub(super) fn as_pair(&self) -> &KeyPair {
        &self.0
    }

    pub(super) fn agree(&self, theirs: &PublicKey) -> SharedSecret {
        self.0.secret().ecdh(theirs)
    }
}

impl From<KeyPair> for RatchetKeyPair {
    fn from(pair: KeyPair) -> Self {
        Self(pair)
    }
}

macro_rules! symmetric_keys {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )* };
}

symmetric_keys! {
    /// The root key, replaced at each step of the Diffie-Hellman ratchet.
    RootKey
    /// The current key of a sending or receiving chain.
    ChainKey
    /// Encrypts one message.
    MessageKey
}

impl RootKey {
    /// Derives the next root key and the first key of a new chain.
    pub fn step(&self, secret: &SharedSecret) -> (Self, ChainKey) {
        let keys = hkdf_sha256::<96>(secret.as_bytes(), &self.0, ROOT_INFO);
        (Self(array(&keys[..32])), ChainKey(array(&keys[32..64])))
    }
}

impl ChainKey {
    /// Derives the next chain key and the key of the current message.
    pub fn step(&self) -> (Self, MessageKey) {
        let mac = HmacSha256::new(&self.0);
        (Self(*mac.tag(&[&[0x0f]])), MessageKey(*mac.tag(&[&[0x10]])))
    }
}

impl MessageKey {
    /// Encrypts to `IV || ciphertext || MAC`. The MAC covers `associated || IV || ciphertext`.
    pub fn encrypt(&self, plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
        let keys = self.expand();
        let mut payload = Vec::with_capacity(plaintext.len() + OVERHEAD);
        payload.extend_from_slice(&keys.iv);
        payload.extend_from_slice(plaintext);
        aes::ctr256(&keys.cipher, &keys.iv, &mut payload[IV..]);
        let tag = keys.mac.tag(&[associated, &payload]);
        payload.extend_from_slice(&*tag);
        payload
    }

    /// Checks the MAC, then decrypts with the IV of the payload. `None` if the MAC does not match.
    pub fn decrypt(&self, payload: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (authenticated, tag) = payload.split_last_chunk::<TAG>()?;
        let (iv, ciphertext) = authenticated.split_first_chunk::<IV>()?;
        let keys = self.expand();
        if !keys.mac.verify(&[associated, authenticated], tag) {
            return None;
        }
        let mut plaintext = ciphertext.to_vec();
        aes::ctr256(&keys.cipher, iv, &mut plaintext);
        Some(plaintext)
    }

    fn expand(&self) -> ExpandedKey {
        let keys = hkdf_sha256::<80>(&self.0, &[0; 32], MESSAGE_INFO);
        let mut iv = [0; IV];
        iv.copy_from_slice(&keys[64..]);
        ExpandedKey {
            cipher: Zeroizing::new(array(&keys[..32])),
            mac: HmacSha256::new(&keys[32..64]),
            iv,
        }
    }
}

struct ExpandedKey {
    cipher: Zeroizing<[u8; 32]>,
    mac: HmacSha256,
    iv: [u8; IV],
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

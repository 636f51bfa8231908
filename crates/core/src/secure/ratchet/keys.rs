//! The keys of the ratchet, each of a type of its own: none can stand for another.
//!
//! | step | how |
//! | --- | --- |
//! | root | HKDF-SHA256(ECDH output, salt = root key) to 96 bytes: new root key, chain key, and a header key that is not used |
//! | chain | HMAC-SHA256(chain key, 0x0f) is the next chain key, HMAC-SHA256(chain key, 0x10) the message key |
//! | message | HKDF-SHA256(message key, salt = 32 zeros) to 80 bytes: cipher key, MAC key, IV |

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::{
    SharedSecret, aes,
    kdf::{HmacSha256, hkdf_sha256},
};

const ROOT_INFO: &[u8] = b"rsZUpEuXUqqwXBvSy3EcievAh4cMj6QL";
const MESSAGE_INFO: &[u8] = b"pcwSByyx2CRdryCffXJwy7xgVZWtW5Sh";
const IV: usize = 16;
const TAG: usize = 32;

/// How many bytes a payload is longer than its plaintext.
pub const OVERHEAD: usize = IV + TAG;

macro_rules! ratchet_keys {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
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

ratchet_keys! {
    /// What each step of the Diffie-Hellman ratchet renews.
    RootKey
    /// The state of a sending or receiving chain.
    ChainKey
    /// Encrypts one message.
    MessageKey
}

impl RootKey {
    /// A step of the root: the next root key, and the first key of a new chain.
    pub fn step(&self, secret: &SharedSecret) -> (Self, ChainKey) {
        let keys = hkdf_sha256::<96>(secret.as_bytes(), &self.0, ROOT_INFO);
        (Self(half(&keys[..32])), ChainKey(half(&keys[32..64])))
    }
}

impl ChainKey {
    /// A step of the chain: the next chain key, and the key of the message between.
    pub fn step(&self) -> (Self, MessageKey) {
        let mac = HmacSha256::new(&self.0);
        (Self(*mac.tag(&[&[0x0f]])), MessageKey(*mac.tag(&[&[0x10]])))
    }
}

impl MessageKey {
    /// `IV || ciphertext || MAC`; the MAC is over `associated || IV || ciphertext`.
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

    /// Checks the MAC, then decrypts with the IV of the payload. `None`: another key, or damaged.
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

    fn expand(&self) -> Expanded {
        let keys = hkdf_sha256::<80>(&self.0, &[0; 32], MESSAGE_INFO);
        let mut iv = [0; IV];
        iv.copy_from_slice(&keys[64..]);
        Expanded {
            cipher: Zeroizing::new(half(&keys[..32])),
            mac: HmacSha256::new(&keys[32..64]),
            iv,
        }
    }
}

struct Expanded {
    cipher: Zeroizing<[u8; 32]>,
    mac: HmacSha256,
    iv: [u8; IV],
}

fn half(bytes: &[u8]) -> [u8; 32] {
    let mut half = [0; 32];
    half.copy_from_slice(bytes);
    half
}

//! Topics: the four bytes by which a node sorts envelopes it cannot read.

use std::{fmt, str::FromStr};

use crate::crypto::{PublicKey, SecretKey, keccak256};

/// How many topics the partitioned ones are spread over.
pub const PARTITIONS: u16 = 5000;

/// A topic: the first four bytes of the Keccak-256 of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Topic(pub [u8; 4]);

impl Topic {
    /// The topic of a name: of a public chat, the chat's name itself.
    pub fn from_name(name: &str) -> Self {
        let [a, b, c, d, ..] = keccak256(name.as_bytes());
        Self([a, b, c, d])
    }
}

/// The name of the topic on which the owner of `key` publishes contact codes:
/// `0x04…-contact-code`.
pub fn contact_code_name(key: &PublicKey) -> String {
    format!("{key}-contact-code")
}

/// Which of the [`PARTITIONS`] the key falls into: its X coordinate modulo 5000.
pub fn partition(key: &PublicKey) -> u16 {
    let modulus = u32::from(PARTITIONS);
    let rest = key.x().iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % modulus);
    rest as u16
}

/// The name of the partitioned topic of `key`: `contact-discovery-` and the partition.
pub fn partitioned_name(key: &PublicKey) -> String {
    format!("contact-discovery-{}", partition(key))
}

/// The name of the personal discovery topic of `key` (legacy): `contact-discovery-04…`.
pub fn personal_discovery_name(key: &PublicKey) -> String {
    format!("contact-discovery-{}", hex::encode(key.to_uncompressed()))
}

/// The name of the topic that two keys negotiate: the hex of their shared secret.
///
/// This name is also the password of the conversation's symmetric key, so it is a secret.
pub fn negotiated_name(ours: &SecretKey, theirs: &PublicKey) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(hex::encode(ours.ecdh(theirs).as_bytes()))
}

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a topic: expected 4 bytes as 8 hex digits, such as 0xcd423760")]
pub struct TopicError(String);

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 4];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| TopicError(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!("0x01020304".parse(), Ok(Topic([1, 2, 3, 4])));
        assert_eq!("01020304".parse(), Ok(Topic([1, 2, 3, 4])));
        for bad in ["", "0x", "0x010203", "0x0102030405", "0x0102030g", "status"] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
        assert_eq!(Topic([0, 0, 0, 1]).to_string(), "0x00000001");
    }

    #[test]
    fn partition_is_the_x_coordinate_modulo_5000() {
        // Computed by hand for the generator: X mod 5000.
        let one: SecretKey = format!("{:064x}", 1).parse().unwrap();
        let x = one.public_key().x();
        let tail = u64::from_be_bytes(x[24..].try_into().unwrap());
        // 2^64 mod 5000 = 1616, so the residue can be built from the four words.
        let words = x.chunks(8).map(|word| u64::from_be_bytes(word.try_into().unwrap()) % 5000);
        let expected = words.fold(0, |rest, word| (rest * 1616 + word) % 5000);
        assert_eq!(u64::from(partition(&one.public_key())), expected);
        assert_ne!(tail % 5000, expected, "all of X counts, not only its low word");
    }
}

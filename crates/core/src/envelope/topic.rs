//! Topics: the four bytes by which nodes select envelopes that they can't read.

use zeroize::Zeroizing;

use crate::{
    bytes::fixed_bytes,
    crypto::{PublicKey, SecretKey, keccak256},
    rlp::{self, Reader},
    text::excerpt,
};

/// The name of the topic on which everyone was found before there were partitions.
pub const DISCOVERY: &str = "contact-discovery";

/// The number of partitioned topics.
pub const PARTITIONS: u16 = 5000;

fixed_bytes! {
    /// A topic: the first four bytes of the Keccak-256 of a name.
    #[derive(Default)]
    pub struct Topic([u8; 4]);
    from_str(text) => TopicError(excerpt(text));
}

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a topic: expected 4 bytes as 8 hex digits, such as 0xcd423760")]
pub struct TopicError(String);

impl Topic {
    /// Returns the topic of a name. For a public chat, this is the chat's name.
    pub fn from_name(name: &str) -> Self {
        let [a, b, c, d, ..] = keccak256(name.as_bytes());
        Self([a, b, c, d])
    }
}

/// Returns the name of the topic on which the owner of `key` publishes contact codes:
/// `0x04…-contact-code`.
pub fn contact_code_name(key: &PublicKey) -> String {
    format!("{key}-contact-code")
}

/// Returns the partition of `key`: its X coordinate modulo [`PARTITIONS`].
pub fn partition(key: &PublicKey) -> u16 {
    let modulus = u32::from(PARTITIONS);
    let rest = key.x().iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % modulus);
    rest as u16
}

/// Returns the name of the topic of a partition: `contact-discovery-` and its number.
pub fn partition_name(partition: u16) -> String {
    format!("{DISCOVERY}-{partition}")
}

/// Returns the name of the partitioned topic of `key`.
pub fn partitioned_name(key: &PublicKey) -> String {
    partition_name(partition(key))
}

/// Returns the name of the personal discovery topic of `key` (legacy): `contact-discovery-04…`.
pub fn personal_discovery_name(key: &PublicKey) -> String {
    format!("{DISCOVERY}-{}", hex::encode(key.to_uncompressed()))
}

/// Returns the name of the topic that two keys negotiate: the hex of their shared secret.
///
/// This name is also the password of the conversation's symmetric key, so it is a secret.
pub fn negotiated_name(ours: &SecretKey, theirs: &PublicKey) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(ours.ecdh(theirs).as_bytes()))
}

/// Reads a list of topics.
pub(crate) fn read_topics(items: &mut Reader<'_>) -> rlp::Result<Vec<Topic>> {
    let mut list = items.list("topics")?;
    let mut topics = Vec::new();
    while !list.is_empty() {
        topics.push(Topic(list.bytes("topic")?));
    }
    Ok(topics)
}

/// Appends a list of topics.
pub(crate) fn put_topics(out: &mut Vec<u8>, topics: &[Topic]) {
    rlp::put_list(out, |out| topics.iter().for_each(|topic| rlp::put_bytes(out, &topic.0)));
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
        // The expected residue of the generator's X is computed another way, word by word.
        let one: SecretKey = format!("{:064x}", 1).parse().unwrap();
        let x = one.public_key().x();
        let tail = u64::from_be_bytes(x[24..].try_into().unwrap());
        // 2^64 mod 5000 = 1616, so the residue follows from the four words.
        let words = x.chunks(8).map(|word| u64::from_be_bytes(word.try_into().unwrap()) % 5000);
        let expected = words.fold(0, |rest, word| (rest * 1616 + word) % 5000);
        assert_eq!(u64::from(partition(&one.public_key())), expected);
        assert_ne!(tail % 5000, expected, "all of X counts, not only its low word");
    }
}

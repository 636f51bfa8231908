//! Bloom filters: what a node tells its peers about the topics it wants.

use std::{fmt, str::FromStr};

use crate::envelope::Topic;

/// A bloom filter of 512 bits. Bit `n` is bit `n mod 8`, lowest first, of byte `n div 8`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bloom(pub [u8; 64]);

impl Bloom {
    /// The filter that matches nothing but envelopes whose topic sets no bit: none.
    pub const EMPTY: Self = Self([0; 64]);
    /// The filter that matches every topic: a full node's.
    pub const FULL: Self = Self([0xff; 64]);

    /// The filter of one topic: one to three bits.
    ///
    /// The reference *overwrites* the byte of each index with its single bit, in order. When
    /// two of the three indexes share a byte, only the later bit survives. Setting all three,
    /// as EIP-627 reads, would keep reference peers from forwarding such topics.
    pub fn from_topic(topic: Topic) -> Self {
        let mut bits = [0; 64];
        for (byte, bit) in indexes(topic) {
            bits[byte] = bit;
        }
        Self(bits)
    }

    /// The filter that matches each of `topics`.
    pub fn from_topics(topics: impl IntoIterator<Item = Topic>) -> Self {
        topics.into_iter().fold(Self::EMPTY, |bloom, topic| bloom.union(&Self::from_topic(topic)))
    }

    /// Every bit of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Whether every bit of `sample` is set here too.
    pub fn contains(&self, sample: &Self) -> bool {
        self.0.iter().zip(&sample.0).all(|(filter, sample)| filter | sample == *filter)
    }

    /// Whether an envelope with `topic` passes; the same as `contains(from_topic(topic))`.
    pub fn matches(&self, topic: Topic) -> bool {
        let [a, b, c] = indexes(topic);
        // An index whose byte a later one overwrites does not count.
        (a.0 == b.0 || a.0 == c.0 || self.0[a.0] & a.1 != 0)
            && (b.0 == c.0 || self.0[b.0] & b.1 != 0)
            && self.0[c.0] & c.1 != 0
    }

    /// Whether all 512 bits are set.
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }

    /// The numbers of the set bits, ascending.
    pub fn set_bits(&self) -> impl Iterator<Item = u16> + '_ {
        (0..512).filter(|n| self.0[usize::from(n / 8)] & (1 << (n % 8)) != 0)
    }
}

/// Byte and bit mask of a topic's three indexes.
fn indexes(Topic(t): Topic) -> [(usize, u8); 3] {
    std::array::from_fn(|j| {
        let index = usize::from(t[j]) + 256 * usize::from(t[3] >> j & 1);
        (index / 8, 1 << (index % 8))
    })
}

/// Why a text is not a bloom filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a bloom filter: expected 64 bytes as 128 hex digits")]
pub struct BloomError;

impl FromStr for Bloom {
    type Err = BloomError;

    fn from_str(text: &str) -> Result<Self, BloomError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 64];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BloomError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shared_byte_keeps_only_the_last_bit() {
        let bloom = Bloom::from_topic(Topic([0, 1, 2, 0]));
        assert_eq!(bloom.set_bits().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_fourth_byte_moves_indexes_up() {
        let bloom = Bloom::from_topic(Topic([0, 0, 0, 0b1111_1101]));
        assert_eq!(bloom.set_bits().collect::<Vec<_>>(), [0, 256]);
        assert_eq!(bloom.set_bits().collect::<Vec<_>>(), {
            let low = Bloom::from_topic(Topic([0, 0, 0, 0b0000_0101]));
            low.set_bits().collect::<Vec<_>>()
        });
    }

    proptest! {
        #[test]
        fn matches_is_contains_of_the_topic(topic: [u8; 4], filter: [[u8; 4]; 3], noise: [u8; 32]) {
            let mut bloom = Bloom::from_topics(filter.map(Topic));
            bloom.0[..32].iter_mut().zip(noise).for_each(|(byte, noise)| *byte |= noise);
            let topic = Topic(topic);
            prop_assert_eq!(bloom.matches(topic), bloom.contains(&Bloom::from_topic(topic)));
            prop_assert!(bloom.union(&Bloom::from_topic(topic)).matches(topic));
        }
    }
}

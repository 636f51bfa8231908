//! Bloom filters, with which nodes announce the topics that they want.

use crate::{bytes::fixed_bytes, envelope::Topic};

fixed_bytes! {
    /// A bloom filter of 512 bits. Bit `n` is bit `n mod 8`, lowest first, of byte `n div 8`.
    pub struct Bloom([u8; 64]);
    from_str(text) => BloomError;
}

/// Why a text is not a bloom filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a bloom filter: expected 64 bytes as 128 hex digits")]
pub struct BloomError;

impl Bloom {
    /// The filter that matches no topic, since every topic sets a bit.
    pub const EMPTY: Self = Self([0; 64]);
    /// The filter that matches every topic. Full nodes announce it.
    pub const FULL: Self = Self([0xff; 64]);

    /// Returns the filter of one topic: one to three bits.
    ///
    /// The reference *overwrites* the byte of each index with its single bit, in order. If two of
    /// the three indexes share a byte, only the later bit survives. EIP-627 reads as if all three
    /// were set, but then reference peers would not forward such topics.
    pub fn from_topic(topic: Topic) -> Self {
        let mut bits = [0; 64];
        for (byte, bit) in indexes(topic) {
            bits[byte] = bit;
        }
        Self(bits)
    }

    /// Returns the filter that matches each of `topics`.
    pub fn from_topics(topics: impl IntoIterator<Item = Topic>) -> Self {
        topics.into_iter().fold(Self::EMPTY, |bloom, topic| bloom.union(&Self::from_topic(topic)))
    }

    /// Returns the bits of both filters.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Returns whether all bits of `sample` are set here too.
    pub fn contains(&self, sample: &Self) -> bool {
        self.0.iter().zip(&sample.0).all(|(filter, sample)| filter | sample == *filter)
    }

    /// Returns whether `topic` passes. The same as `contains(&Bloom::from_topic(topic))`, but
    /// faster.
    pub fn matches(&self, topic: Topic) -> bool {
        let [a, b, c] = indexes(topic);
        // An index whose byte a later one overwrites does not count.
        (a.0 == b.0 || a.0 == c.0 || self.0[a.0] & a.1 != 0)
            && (b.0 == c.0 || self.0[b.0] & b.1 != 0)
            && self.0[c.0] & c.1 != 0
    }

    /// Returns whether all 512 bits are set.
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }

    /// Returns the numbers of the set bits, ascending.
    pub fn set_bits(&self) -> impl Iterator<Item = u16> + '_ {
        (0..512).filter(|n| self.0[usize::from(n / 8)] & (1 << (n % 8)) != 0)
    }
}

/// Returns the byte and the bit mask of each of a topic's three indexes.
fn indexes(Topic(t): Topic) -> [(usize, u8); 3] {
    std::array::from_fn(|j| {
        let index = usize::from(t[j]) + 256 * usize::from(t[3] >> j & 1);
        (index / 8, 1 << (index % 8))
    })
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

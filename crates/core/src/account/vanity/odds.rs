//! How many keys have a name, exactly.
//!
//! The three states of the register hang together: the second is twice the first plus a bit,
//! modulo 2^64. So with the first adjective given, only four second ones are possible, and most
//! combinations of words are the name of no key.
//!
//! Let `s` be the state that picks the first word. The others follow from it:
//!
//! - the bits shifted in, `b1` and `b2`, are parities of low bits of `s`;
//! - the bits that fall out are the two top bits of `s`, `top`;
//! - second = 2 s + b1 - 2^64 (top >> 1), third = 4 s + 2 b1 + b2 - 2^64 top.
//!
//! What is picked depends on these modulo the lengths of the lists, so on `s` modulo their least
//! common multiple, 788,952. Between the low bits and the top ones there are 53 more, which make
//! that residue as good as evenly distributed whatever `b1`, `b2` and `top` are.

use super::pattern::NamePattern;
use crate::account::name::{ADJECTIVE_COUNT, ANIMAL_COUNT, step};

const ADJECTIVES: u64 = ADJECTIVE_COUNT as u64;
const ANIMALS: u64 = ANIMAL_COUNT as u64;

/// The least common multiple of the lengths of the lists, whose greatest common divisor is 3.
const PERIOD: u64 = ADJECTIVES * ANIMALS / 3;

/// The share of keys whose name matches.
pub(super) fn odds(pattern: &NamePattern) -> f64 {
    let firsts: Vec<u64> = indices(&pattern.first).collect();
    let mut share = 0.0;
    for (bits, weight) in bits() {
        for top in 0..4 {
            let matches = firsts
                .iter()
                .flat_map(|first| (*first..PERIOD).step_by(ADJECTIVE_COUNT))
                .filter(|residue| matches(pattern, *residue, bits, top))
                .count();
            share += weight / 4.0 * matches as f64 / PERIOD as f64;
        }
    }
    share
}

/// The bits shifted in after the first state, and how often each pair comes.
fn bits() -> Vec<((u64, u64), f64)> {
    let mut counts = [0_u32; 4];
    // The first state ends in the parity of bits above it; nine low bits decide everything.
    for seed in 0..256 {
        let first = step(seed);
        let second = step(first);
        let third = step(second);
        let pair = (second & 1) << 1 | third & 1;
        if let Some(count) = counts.get_mut(pair as usize) {
            *count += 1;
        }
    }
    let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
    pairs.into_iter().zip(counts.map(|count| f64::from(count) / 256.0)).collect()
}

fn matches(pattern: &NamePattern, residue: u64, (b1, b2): (u64, u64), top: u64) -> bool {
    // 2^64 modulo the lengths, times what falls out, added as its complement.
    let less = |modulus: u64, times: u64| {
        let power = (u64::MAX % modulus + 1) % modulus;
        modulus - power * times % modulus
    };
    let second = 2 * residue + b1 + less(ADJECTIVES, top >> 1);
    let third = 4 * residue + 2 * b1 + b2 + less(ANIMALS, top);
    has(&pattern.second, second % ADJECTIVES) && has(&pattern.animal, third % ANIMALS)
}

fn indices(words: &[bool]) -> impl Iterator<Item = u64> + '_ {
    words.iter().enumerate().filter(|(_, allowed)| **allowed).map(|(index, _)| index as u64)
}

fn has(words: &[bool], index: u64) -> bool {
    words.get(index as usize).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use crate::{
        account::{ThreeWordName, vanity::NamePattern},
        crypto::seeded_rng,
    };

    fn odds(text: &str) -> f64 {
        text.parse::<NamePattern>().unwrap().odds()
    }

    #[test]
    fn odds_are_what_counting_gives() {
        assert!((odds("* * *") - 1.0).abs() < 1e-9);
        let mut rng = seeded_rng("odds");
        let seeds: Vec<u64> = (0..400_000).map(|_| rng.next_u64()).collect();
        for text in ["S* * *", "* A* *", "* * B*", "C* C* *", "D* * D*", "S* P* S*", "* P* P*"] {
            let pattern: NamePattern = text.parse().unwrap();
            let hits = seeds.iter().filter(|seed| pattern.matches_seed(**seed)).count() as f64;
            let expected = pattern.odds() * seeds.len() as f64;
            // Five standard deviations.
            assert!((hits - expected).abs() < 5.0 * expected.sqrt(), "{text}: {hits} {expected}");
        }
    }

    #[test]
    fn names_of_keys_are_possible() {
        let mut rng = seeded_rng("possible");
        for _ in 0..200 {
            let name = ThreeWordName::from_seed(rng.next_u64()).to_string();
            let odds = odds(&name);
            // Of the second adjectives and animals that go with a first adjective, few are left.
            assert!(odds > 1e-8 && odds < 1e-4, "{name}: {odds}");
        }
    }
}

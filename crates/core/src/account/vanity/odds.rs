//! The exact share of keys with a name.
//!
//! The three states of the register depend on each other: the second is twice the first plus a
//! bit, modulo 2^64. For each first adjective, only four second ones are possible, and most
//! combinations of words are the name of no key.
//!
//! Let `s` be the state that selects the first word. The others follow from it:
//!
//! - the bits shifted in, `b1` and `b2`, are parities of low bits of `s`;
//! - the bits shifted out are the two top bits of `s`, `top`;
//! - second = 2 s + b1 - 2^64 (top >> 1), third = 4 s + 2 b1 + b2 - 2^64 top.
//!
//! The words depend on these modulo the lengths of the lists, so on `s` modulo their least common
//! multiple, 788,952. The 53 bits between the low and the top ones make that residue practically
//! uniform for any `b1`, `b2` and `top`.

use crate::account::name::{ADJECTIVE_COUNT, ANIMAL_COUNT, step};

const ADJECTIVES: u64 = ADJECTIVE_COUNT as u64;
const ANIMALS: u64 = ANIMAL_COUNT as u64;

/// The least common multiple of the lengths, whose greatest common divisor is 3.
const PERIOD: u64 = ADJECTIVES * ANIMALS / 3;

/// Returns the share of keys whose name has one of the given words at each position.
pub(super) fn odds([first, second, animal]: [&[bool]; 3]) -> f64 {
    let firsts: Vec<u64> = indices(first).collect();
    let mut share = 0.0;
    for (bits, weight) in bits() {
        for top in 0..4 {
            let matches = firsts
                .iter()
                .flat_map(|first| (*first..PERIOD).step_by(ADJECTIVE_COUNT))
                .filter(|residue| matches(second, animal, *residue, bits, top))
                .count();
            share += weight / 4.0 * matches as f64 / PERIOD as f64;
        }
    }
    share
}

/// Returns the pairs of bits shifted in after the first state, with their frequencies.
fn bits() -> Vec<((u64, u64), f64)> {
    let mut counts = [0_u32; 4];
    // The last bit of the first state is a parity too; eight bits of the seed determine all three.
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

fn matches(second: &[bool], animal: &[bool], residue: u64, (b1, b2): (u64, u64), top: u64) -> bool {
    // Subtracts the bits shifted out by adding the complement modulo the length.
    let less = |modulus: u64, times: u64| {
        let power = (u64::MAX % modulus + 1) % modulus;
        modulus - power * times % modulus
    };
    let second_state = 2 * residue + b1 + less(ADJECTIVES, top >> 1);
    let third_state = 4 * residue + 2 * b1 + b2 + less(ANIMALS, top);
    has(second, second_state % ADJECTIVES) && has(animal, third_state % ANIMALS)
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
        account::{ThreeWordName, vanity::pattern::NamePattern},
        crypto::seeded_rng,
    };

    fn odds(text: &str) -> f64 {
        text.parse::<NamePattern>().unwrap().odds()
    }

    #[test]
    fn odds_agree_with_counting() {
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
            // A first adjective allows few second adjectives and animals.
            assert!(odds > 1e-8 && odds < 1e-4, "{name}: {odds}");
        }
    }
}

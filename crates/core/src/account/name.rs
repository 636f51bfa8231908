//! Three-word names: how the app shows a chat key without a nickname.
//!
//! The low 64 bits of X seed a shift register; three of its states select two adjectives and an
//! animal. Names help people to tell keys apart, but prove nothing: there are far fewer names than
//! keys. Many combinations of words belong to no key, since the three states depend on each other
//! (see [`vanity`](super::vanity)).

use std::fmt;

use crate::crypto::PublicKey;

pub(super) const ADJECTIVE_COUNT: usize = 1389;
pub(super) const ANIMAL_COUNT: usize = 1704;

/// The adjectives in the reference's order, with its duplicates.
pub(super) static ADJECTIVES: [&str; ADJECTIVE_COUNT] = lines(include_str!("words/adjectives.txt"));
/// The animals in the reference's order, with its duplicates.
pub(super) static ANIMALS: [&str; ANIMAL_COUNT] = lines(include_str!("words/animals.txt"));

/// The register bits whose parity is shifted in: 3, 4, 5 and 7, counted from 0.
const TAPS: u64 = 0xb8;

/// Two adjectives and an animal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreeWordName([&'static str; 3]);

impl ThreeWordName {
    /// Returns the name of a chat key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self::from_seed(Self::seed(key))
    }

    /// Returns the name for a seed of the shift register.
    pub fn from_seed(seed: u64) -> Self {
        let first = step(seed);
        let second = step(first);
        let third = step(second);
        Self([pick(&ADJECTIVES, first), pick(&ADJECTIVES, second), pick(&ANIMALS, third)])
    }

    /// Returns the seed of a key's name: X modulo 2^64.
    pub fn seed(key: &PublicKey) -> u64 {
        key.x().last_chunk().map_or(0, |low| u64::from_be_bytes(*low))
    }

    /// Returns adjective, adjective, animal.
    pub fn words(&self) -> [&'static str; 3] {
        self.0
    }
}

/// Writes the words, separated by spaces.
impl fmt::Display for ThreeWordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, animal] = self.0;
        if f.width().is_some() {
            return f.pad(&format!("{first} {second} {animal}"));
        }
        for part in [first, " ", second, " ", animal] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ThreeWordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreeWordName({self})")
    }
}

/// Advances the register by one step.
pub(super) fn step(register: u64) -> u64 {
    let parity = (register & TAPS).count_ones() & 1;
    register << 1 | u64::from(parity)
}

fn pick<const N: usize>(words: &[&'static str; N], state: u64) -> &'static str {
    words[(state % N as u64) as usize]
}

/// Splits a text into its `N` lines at compile time; another number of lines does not compile.
const fn lines<const N: usize>(text: &'static str) -> [&'static str; N] {
    let mut lines = [""; N];
    let mut rest = text.as_bytes();
    let mut line = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at] == b'\n' {
            let (head, tail) = rest.split_at(at);
            let Ok(word) = std::str::from_utf8(head) else { panic!("the words are ASCII") };
            lines[line] = word;
            line += 1;
            let Some((_, tail)) = tail.split_first() else { panic!("it starts with a line feed") };
            rest = tail;
            at = 0;
        } else {
            at += 1;
        }
    }
    assert!(line == N && rest.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    #[test]
    fn word_lists_match_the_reference() {
        let adjectives = sha256(include_bytes!("words/adjectives.txt"));
        let animals = sha256(include_bytes!("words/animals.txt"));
        assert_eq!(
            hex::encode(adjectives),
            "073e0881b0c90485c437ca00ac1d77afb14c1b575a6d1901c259c1546cceda4b"
        );
        assert_eq!(
            hex::encode(animals),
            "d53074a2d18d91ce44aab57a2e99e43fff44430ebf2c51ab78889c3538997949"
        );
    }

    #[test]
    fn documented_names() {
        assert_eq!(ThreeWordName::from_seed(42).to_string(), "Hard Tame Brownbutterfly");
        assert_eq!(format!("{:<26}|", ThreeWordName::from_seed(42)), "Hard Tame Brownbutterfly  |");
    }
}

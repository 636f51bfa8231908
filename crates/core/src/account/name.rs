//! Three-word names: what a chat key is called where nobody gave it a name.
//!
//! The low 64 bits of X seed a shift register; three of its states pick two adjectives and an
//! animal. Names are for people to tell keys apart, not to trust: there are far fewer names than
//! keys, and many combinations of words belong to no key at all, since the three states hang
//! together (see [`vanity`](super::vanity)).

use std::fmt;

use crate::crypto::PublicKey;

/// How many adjectives there are.
pub const ADJECTIVE_COUNT: usize = 1389;
/// How many animals there are.
pub const ANIMAL_COUNT: usize = 1704;

/// The adjectives in their order, repeated ones included.
pub static ADJECTIVES: [&str; ADJECTIVE_COUNT] = lines(include_str!("words/adjectives.txt"));
/// The animals in their order, repeated ones included.
pub static ANIMALS: [&str; ANIMAL_COUNT] = lines(include_str!("words/animals.txt"));

/// The bits of the register whose parity is shifted in: 3, 4, 5 and 7, counted from 0.
const TAPS: u64 = 0xb8;

/// A name: two adjectives and an animal. Making one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreeWordName([&'static str; 3]);

impl ThreeWordName {
    /// The name of a chat key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self::from_seed(seed(key))
    }

    /// The name that the register gives from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        let first = step(seed);
        let second = step(first);
        let third = step(second);
        Self([pick(&ADJECTIVES, first), pick(&ADJECTIVES, second), pick(&ANIMALS, third)])
    }

    /// Adjective, adjective, animal.
    pub fn words(&self) -> [&'static str; 3] {
        self.0
    }
}

/// The words with single spaces between them.
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

/// The seed of a key's name: X modulo 2^64.
pub fn seed(key: &PublicKey) -> u64 {
    let (_, low) = key.x().split_last_chunk().map_or((&[][..], [0; 8]), |(head, low)| (head, *low));
    u64::from_be_bytes(low)
}

/// The register one step on.
pub(super) fn step(register: u64) -> u64 {
    let parity = (register & TAPS).count_ones() & 1;
    register << 1 | u64::from(parity)
}

fn pick<const N: usize>(words: &[&'static str; N], state: u64) -> &'static str {
    words[(state % N as u64) as usize]
}

/// Splits a text into its `N` lines when the program is compiled; a wrong number of lines does
/// not compile.
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
    fn the_word_lists_are_the_references() {
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

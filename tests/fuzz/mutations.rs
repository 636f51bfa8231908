//! Inputs made of others.

use rand::{Rng as _, RngExt as _, rngs::ChaCha20Rng};
use statuskit_core::crypto::seeded_rng;

/// The most bytes of an input.
const MAX: usize = 1 << 16;
/// The largest part of an input that is moved or repeated.
const PART: usize = 256;

/// The kept inputs, and then mutations of them; the same for the same name.
pub struct Mutations {
    bases: Vec<Vec<u8>>,
    /// The next kept input.
    next: usize,
    rng: ChaCha20Rng,
}

impl Mutations {
    pub fn new(name: &str, bases: Vec<Vec<u8>>) -> Self {
        Self { bases, next: 0, rng: seeded_rng(name) }
    }

    pub fn next(&mut self) -> Vec<u8> {
        if let Some(kept) = self.bases.get(self.next) {
            self.next += 1;
            return kept.clone();
        }
        let mut input = self.base();
        for _ in 0..self.rng.random_range(1..=6) {
            self.mutate(&mut input);
            input.truncate(MAX);
        }
        input
    }

    fn base(&mut self) -> Vec<u8> {
        if self.bases.is_empty() || self.rng.random_range(0..16) == 0 {
            let most = 1 << self.rng.random_range(0..=9);
            let length = self.rng.random_range(0..=most);
            return self.bytes(length);
        }
        let at = self.rng.random_range(0..self.bases.len());
        self.bases[at].clone()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let rng = &mut self.rng;
        let at = rng.random_range(0..=input.len());
        let length = rng.random_range(0..=(input.len() - at).min(PART));
        match rng.random_range(0..9) {
            0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            1 if at < input.len() => {
                let edges = [0, 1, 0x20, 0x7f, 0x80, 0xb7, 0xbf, 0xf7, 0xff];
                input[at] = edges[rng.random_range(0..edges.len())];
            }
            2 if at < input.len() => input[at] = input[at].wrapping_add(rng.random_range(1..=255)),
            3 => {
                let length = rng.random_range(1..=8);
                let new = self.bytes(length);
                input.splice(at..at, new);
            }
            4 => drop(input.drain(at..at + length)),
            // Faults of quantity: the same, again and again.
            5 => {
                let part = input[at..at + length].to_vec();
                let times = 1 << rng.random_range(0..=8);
                input.splice(at..at, part.repeat(times).into_iter().take(MAX));
            }
            6 if !self.bases.is_empty() => {
                let other = &self.bases[rng.random_range(0..self.bases.len())];
                let from = rng.random_range(0..=other.len());
                let to = rng.random_range(from..=other.len().min(from + PART));
                input.splice(at..at + length, other[from..to].iter().copied());
            }
            7 => input.truncate(at),
            // Lengths of all kinds.
            _ => {
                let number = 1_u64 << rng.random_range(0..64);
                let bytes = (number - u64::from(rng.random::<bool>())).to_be_bytes();
                let length = (1 << rng.random_range(0..=3)).min(input.len() - at);
                input[at..at + length].copy_from_slice(&bytes[8 - length..]);
            }
        }
    }
}

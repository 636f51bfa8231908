//! The portable backend: one state in 64-bit integers.

use super::{Kernel, rounds::keccak_rounds};

/// The backend that runs on every processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portable;

impl Kernel<1> for Portable {
    fn absorb(self, state: &mut Lanes<1>, keep: &[u64; 1], blocks: &[[u8; RATE]; 1]) {
        absorb(state, keep, blocks);
    }

    fn sweep(self, row: &Row, from: u32, mask: u64) -> Option<Hits> {
        sweep(row, from, mask)
    }
}

/// `Keccak-f[1600]`.
pub(super) fn permute(state: &mut [u64; 25]) {
    rounds(state, &RC);
}

/// The steps theta, rho and pi of one round.
pub(super) fn linear_half(state: &[u64; 25]) -> [u64; 25] {
    linear(state)
}

type Word = u64;
const WIDTH: usize = 1;

keccak_rounds! { by halves }

#[inline]
fn splat(value: u64) -> Word {
    value
}

#[inline]
fn load(lanes: &[u64; 1]) -> Word {
    lanes[0]
}

#[inline]
fn store(word: Word, lanes: &mut [u64; 1]) {
    lanes[0] = word;
}

#[inline]
fn xor(a: Word, b: Word) -> Word {
    a ^ b
}

#[inline]
fn xor3(a: Word, b: Word, c: Word) -> Word {
    a ^ (b ^ c)
}

#[inline]
fn xor5(a: Word, b: Word, c: Word, d: Word, e: Word) -> Word {
    a ^ b ^ c ^ d ^ e
}

#[inline]
fn and(a: Word, b: Word) -> Word {
    a & b
}

#[inline]
fn chi(a: Word, b: Word, c: Word) -> Word {
    a ^ (!b & c)
}

#[inline]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: Word) -> Word {
    a.rotate_left(LEFT.unsigned_abs())
}

#[inline]
fn zero_lanes(word: Word, mask: u64) -> u32 {
    u32::from(word & mask == 0)
}

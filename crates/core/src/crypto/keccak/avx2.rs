//! The AVX2 backend: four states at a time.
//!
//! # Safety
//!
//! Every function below is compiled for AVX2 and must run only on processors that have it. They are
//! private to this file and need an [`Avx2`]. Only [`Avx2::detect`] makes one, after it has asked
//! the processor. Loads and stores use unaligned instructions on references to arrays of exactly
//! the size of a register.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Kernel, rounds::keccak_rounds};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Kernel<4> for Avx2 {
    fn absorb(self, state: &mut Lanes<4>, keep: &[u64; 4], blocks: &[[u8; RATE]; 4]) {
        // SAFETY: `self` exists, so the processor has AVX2.
        unsafe { absorb(state, keep, blocks) }
    }

    fn sweep(self, row: &Row, from: u32, mask: u64) -> Option<Hits> {
        // SAFETY: `self` exists, so the processor has AVX2.
        unsafe { sweep(row, from, mask) }
    }
}

type Word = __m256i;
const WIDTH: usize = 4;

keccak_rounds! { #[target_feature(enable = "avx2")] by rows }

#[inline]
#[target_feature(enable = "avx2")]
fn splat(value: u64) -> Word {
    _mm256_set1_epi64x(value.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(lanes: &[u64; 4]) -> Word {
    // SAFETY: the reference covers the 32 bytes read, and no alignment is required.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(word: Word, lanes: &mut [u64; 4]) {
    // SAFETY: the reference covers the 32 bytes written, and no alignment is required.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), word) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: Word, b: Word) -> Word {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: Word, b: Word, c: Word) -> Word {
    xor(a, xor(b, c))
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor5(a: Word, b: Word, c: Word, d: Word, e: Word) -> Word {
    xor(xor(xor(a, b), xor(c, d)), e)
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(a: Word, b: Word) -> Word {
    _mm256_and_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn chi(a: Word, b: Word, c: Word) -> Word {
    xor(a, _mm256_andnot_si256(b, c))
}

/// Rotates left by `LEFT`, which is `64 - RIGHT`. For whole bytes, one shuffle replaces three
/// instructions.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: Word) -> Word {
    match LEFT {
        0 => a,
        8 => {
            let by_one_byte = _mm256_set_epi8(
                14, 13, 12, 11, 10, 9, 8, 15, 6, 5, 4, 3, 2, 1, 0, 7, 14, 13, 12, 11, 10, 9, 8, 15,
                6, 5, 4, 3, 2, 1, 0, 7,
            );
            _mm256_shuffle_epi8(a, by_one_byte)
        }
        56 => {
            let by_seven_bytes = _mm256_set_epi8(
                8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4, 3, 2, 1, 8, 15, 14, 13, 12, 11, 10, 9,
                0, 7, 6, 5, 4, 3, 2, 1,
            );
            _mm256_shuffle_epi8(a, by_seven_bytes)
        }
        1 => _mm256_or_si256(_mm256_add_epi64(a, a), _mm256_srli_epi64::<RIGHT>(a)),
        _ => _mm256_or_si256(_mm256_slli_epi64::<LEFT>(a), _mm256_srli_epi64::<RIGHT>(a)),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero_lanes(word: Word, mask: u64) -> u32 {
    let hit = _mm256_cmpeq_epi64(and(word, splat(mask)), splat(0));
    _mm256_movemask_pd(_mm256_castsi256_pd(hit)).cast_unsigned()
}

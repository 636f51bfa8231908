//! The AVX-512 backend: eight states at a time.
//!
//! One instruction rotates a word, and one combines three words.
//!
//! # Safety
//!
//! Every function below is compiled for AVX-512 F and must run only on processors that have it.
//! They are private to this file and need an [`Avx512`]. Only [`Avx512::detect`] makes one, after
//! it has asked the processor. Loads and stores use unaligned instructions on references to arrays
//! of exactly the size of a register.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Kernel, rounds::keccak_rounds};

/// Proof that the processor has AVX-512 F.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Kernel<8> for Avx512 {
    fn absorb(self, state: &mut Lanes<8>, keep: &[u64; 8], blocks: &[[u8; RATE]; 8]) {
        // SAFETY: `self` exists, so the processor has AVX-512 F.
        unsafe { absorb(state, keep, blocks) }
    }

    fn sweep(self, row: &Row, from: u32, mask: u64) -> Option<Hits> {
        // SAFETY: `self` exists, so the processor has AVX-512 F.
        unsafe { sweep(row, from, mask) }
    }
}

type Word = __m512i;
const WIDTH: usize = 8;

keccak_rounds! { #[target_feature(enable = "avx512f")] by halves }

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(value: u64) -> Word {
    _mm512_set1_epi64(value.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[u64; 8]) -> Word {
    // SAFETY: the reference covers the 64 bytes read, and no alignment is required.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(word: Word, lanes: &mut [u64; 8]) {
    // SAFETY: the reference covers the 64 bytes written, and no alignment is required.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), word) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: Word, b: Word) -> Word {
    _mm512_xor_si512(a, b)
}

// The constant of the ternary instruction is its truth table, indexed by the bits (a, b, c).

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: Word, b: Word, c: Word) -> Word {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor5(a: Word, b: Word, c: Word, d: Word, e: Word) -> Word {
    xor3(xor3(a, b, c), d, e)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn and(a: Word, b: Word) -> Word {
    _mm512_and_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn chi(a: Word, b: Word, c: Word) -> Word {
    _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const LEFT: i32, const RIGHT: i32>(a: Word) -> Word {
    _mm512_rol_epi64::<LEFT>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero_lanes(word: Word, mask: u64) -> u32 {
    u32::from(_mm512_testn_epi64_mask(word, splat(mask)))
}

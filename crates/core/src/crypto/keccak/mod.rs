//! Keccak-256 (the padding of 2011, as Ethereum and Whisper use it, not SHA-3's), one message or
//! many at a time.
//!
//! [`keccak256`] hashes one message. [`keccak256_many`] and [`keccak256_many_parts`] hash many
//! messages side by side in the lanes of the vector unit, which is what a node needs that receives
//! envelopes by the batch. The search for a counter behind a fixed prefix, which is what the proof
//! of work needs, is in `counter`.
//!
//! The permutation is written once (`rounds`) and compiled for each [`Backend`]: portable, AVX2
//! (four states at a time) and AVX-512 (eight). The best one that the processor has is chosen when
//! the program runs. The vector backends hold all the unsafe code of the crate.

mod counter;
mod many;
mod portable;
mod rounds;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::sync::OnceLock;

use sha3::{Digest, Keccak256};

pub(crate) use counter::{CounterHash, Scan};
pub use many::Parts;
use rounds::RATE;

/// Keccak-256 of `data`: 32 bytes.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// Keccak-256 of the concatenation of the three parts.
pub fn keccak256_parts(parts: Parts<'_>) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts.slices() {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Keccak-256 of each input, in the order of the inputs, several at a time.
///
/// The inputs may differ in length; similar lengths side by side are hashed fastest.
pub fn keccak256_many(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    Backend::best().keccak256_many(inputs)
}

/// As [`keccak256_many`], each input being the concatenation of three parts.
pub fn keccak256_many_parts(inputs: &[Parts<'_>]) -> Vec<[u8; 32]> {
    Backend::best().keccak256_many_parts(inputs)
}

/// A way to run the permutation that this processor is known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable(portable::Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

/// Calls a generic function with the kernel of a backend.
macro_rules! with_kernel {
    ($backend:expr, $kernel:ident => $call:expr) => {
        match $backend.0 {
            Kind::Portable($kernel) => $call,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2($kernel) => $call,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512($kernel) => $call,
        }
    };
}
use with_kernel;

impl Backend {
    /// The fastest one.
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| {
            Self::available().pop().unwrap_or(Self(Kind::Portable(portable::Portable)))
        })
    }

    /// All those this processor can run, the slowest first. Tests and measurements go through them.
    pub fn available() -> Vec<Self> {
        let found = [
            Some(Kind::Portable(portable::Portable)),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Kind::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::detect().map(Kind::Avx512),
        ];
        found.into_iter().flatten().map(Self).collect()
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// [`keccak256_many`] with this backend.
    pub fn keccak256_many(self, inputs: &[&[u8]]) -> Vec<[u8; 32]> {
        let parts: Vec<Parts<'_>> = inputs.iter().map(|&input| Parts::from(input)).collect();
        self.keccak256_many_parts(&parts)
    }

    /// [`keccak256_many_parts`] with this backend.
    pub fn keccak256_many_parts(self, inputs: &[Parts<'_>]) -> Vec<[u8; 32]> {
        if inputs.len() < 2 || matches!(self.0, Kind::Portable(_)) {
            return inputs.iter().map(|&input| keccak256_parts(input)).collect();
        }
        with_kernel!(self, kernel => many::hash_all(kernel, inputs))
    }
}

/// What a backend does, for `L` states side by side.
trait Kernel<const L: usize>: Copy {
    /// Sets the lanes of `state` whose word of `keep` is 0 to zero (the others have all bits set),
    /// absorbs one block into each lane, permutes.
    fn absorb(self, state: &mut Lanes<L>, keep: &[u64; L], blocks: &[[u8; RATE]; L]);

    /// Looks at the counters `from..256` of a row, and some before, in batches of `L`: the first
    /// batch with a hash whose first 8 bytes, read as a little-endian integer, have no bit of
    /// `mask`.
    fn sweep(self, row: &Row, from: u32, mask: u64) -> Option<Hits>;
}

/// `L` states, word by word.
#[repr(align(64))]
struct Lanes<const L: usize>([[u64; L]; 25]);

/// 256 states before their last permutation which differ in one byte only: the last byte of a
/// counter.
struct Row {
    /// The state with byte 0, after theta, rho and pi of the first round.
    linear: [u64; 25],
    /// The words of `linear` that the byte reaches, and how far it is rotated left there: since
    /// these three steps are linear, each byte's state comes from `linear` by exclusive or.
    taps: [(usize, u32); 11],
    /// The counter ends with the block, so that a block with nothing but padding follows.
    padding_apart: bool,
}

/// Lane `i` was hit if bit `i` of `lanes` is set; it hashes the counter byte `batch + i`.
struct Hits {
    batch: u32,
    lanes: u32,
}

/// The padding: a 1 bit right behind the message,
const PAD_FIRST: u64 = 0x01;
/// and a 1 bit at the end of the block (here in the last word).
const PAD_LAST: u64 = 0x80 << 56;

/// Word `i` of a block.
#[inline]
fn word_at(block: &[u8; RATE], i: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&block[8 * i..8 * i + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(hex::encode(keccak256(b"")), empty);
        assert_eq!(hex::encode(keccak256_parts(Parts(b"", b"", b""))), empty);
        let abc = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45";
        assert_eq!(hex::encode(keccak256_parts(Parts(b"a", b"", b"bc"))), abc);
    }

    #[test]
    fn the_best_backend_is_the_last_available() {
        let all = Backend::available();
        assert_eq!(all.first().map(|it| it.name()), Some("portable"));
        assert_eq!(all.last(), Some(&Backend::best()));
    }
}

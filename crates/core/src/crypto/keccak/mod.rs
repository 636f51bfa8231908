//! Keccak-256 of one message or of many at a time.
//!
//! The padding is that of 2011, as in Ethereum and Whisper, not SHA-3's.
//!
//! [`keccak256`] hashes one message. [`keccak256_many`] and [`keccak256_many_parts`] hash many
//! messages side by side in the lanes of the vector unit, for nodes that receive envelopes in
//! batches. `counter` searches for a counter after a fixed prefix, for the proof of work.
//!
//! The permutation is written once (`rounds`) and compiled for each [`Backend`]: portable, AVX2
//! (four states at a time) and AVX-512 (eight). The best backend of the processor is chosen at run
//! time. The vector backends contain unsafe code, each in its own file.

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

/// Returns Keccak-256 of `data`.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// Returns Keccak-256 of the concatenation of the three parts.
pub fn keccak256_parts(parts: Parts<'_>) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts.slices() {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns Keccak-256 of each input, computed several at a time.
///
/// The inputs may differ in length. Similar lengths side by side are fastest.
pub fn keccak256_many(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    Backend::best().keccak256_many(inputs)
}

/// As [`keccak256_many`], but each input is the concatenation of three parts.
pub fn keccak256_many_parts(inputs: &[Parts<'_>]) -> Vec<[u8; 32]> {
    Backend::best().keccak256_many_parts(inputs)
}

/// An implementation of the permutation that this processor can run.
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
    /// Returns the fastest backend.
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| {
            Self::available().pop().unwrap_or(Self(Kind::Portable(portable::Portable)))
        })
    }

    /// Returns all backends that this processor can run, the slowest first.
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

    /// Returns `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// Runs [`keccak256_many`] with this backend.
    pub fn keccak256_many(self, inputs: &[&[u8]]) -> Vec<[u8; 32]> {
        let parts: Vec<Parts<'_>> = inputs.iter().map(|&input| Parts::from(input)).collect();
        self.keccak256_many_parts(&parts)
    }

    /// Runs [`keccak256_many_parts`] with this backend.
    pub fn keccak256_many_parts(self, inputs: &[Parts<'_>]) -> Vec<[u8; 32]> {
        if inputs.len() < 2 || matches!(self.0, Kind::Portable(_)) {
            return inputs.iter().map(|&input| keccak256_parts(input)).collect();
        }
        with_kernel!(self, kernel => many::hash_all(kernel, inputs))
    }
}

/// The operations of a backend, on `L` states side by side.
trait Kernel<const L: usize>: Copy {
    /// Clears the lanes whose word of `keep` is 0, absorbs one block into each lane, permutes.
    ///
    /// The words of `keep` for all other lanes have all bits set.
    fn absorb(self, state: &mut Lanes<L>, keep: &[u64; L], blocks: &[[u8; RATE]; L]);

    /// Finds the first batch of `L` counters with a hash that has no bit of `mask`.
    ///
    /// Only the first 8 bytes of the hash count, as a little-endian integer. The search covers the
    /// counters `from..256` of the row, and those before `from` in the same batch.
    fn sweep(self, row: &Row, from: u32, mask: u64) -> Option<Hits>;
}

/// `L` states, word by word.
#[repr(align(64))]
struct Lanes<const L: usize>([[u64; L]; 25]);

/// 256 states before their last permutation. They differ in one byte: the last of the counter.
struct Row {
    /// The state with byte 0, after theta, rho and pi of the first round.
    linear: [u64; 25],
    /// The words of `linear` that the byte reaches, and its rotation to the left in each. The three
    /// steps are linear, so exclusive or turns `linear` into the state of any other byte.
    taps: [(usize, u32); 11],
    /// Whether the counter ends with its block, so that a block of padding follows.
    padding_apart: bool,
}

/// Lane `i` is a hit if bit `i` of `lanes` is set. Its counter byte is `batch + i`.
struct Hits {
    batch: u32,
    lanes: u32,
}

/// The start of the padding: a 1 bit right after the message.
const PAD_FIRST: u64 = 0x01;
/// The end of the padding: a 1 bit at the end of the block, here in its last word.
const PAD_LAST: u64 = 0x80 << 56;

/// Returns word `i` of a block.
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

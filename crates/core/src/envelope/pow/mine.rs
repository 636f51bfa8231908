//! Mining: options and results.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use crate::{
    crypto::keccak::{Backend, CounterHash},
    envelope::pow::{
        search::{Best, search},
        value::leading_zero_bits,
    },
};

/// The most threads that a search starts.
const MAX_THREADS: usize = 256;

/// Finds the lowest nonce with which `keccak256(rlp4 || nonce)` begins with at least `bits` zero
/// bits.
///
/// With 0 bits, the result is the first nonce. More than 256 bits are never reached, and the search
/// runs until it is stopped.
#[must_use]
pub fn mine(rlp4: &[u8], bits: u32, options: &MineOptions<'_>) -> MineResult {
    Miner::new(rlp4).mine(bits, options)
}

/// Searches until it is stopped or out of nonces, and returns the best nonce. Senders do this for a
/// negative target.
///
/// The result is always [`MineResult::Stopped`].
#[must_use]
pub fn mine_best(rlp4: &[u8], options: &MineOptions<'_>) -> MineResult {
    Miner::new(rlp4).mine(u32::MAX, options)
}

/// The options of a search.
#[derive(Clone, Copy)]
pub struct MineOptions<'a> {
    /// The number of threads, including the calling one. `None` for one per processor.
    pub threads: Option<NonZeroUsize>,
    /// The first nonce.
    pub start: u64,
    /// The maximum number of nonces to try. The first one is always tried.
    pub max_nonces: u64,
    /// Ends the search when it is set to `true`.
    pub cancel: Option<&'a AtomicBool>,
    /// Ends the search when it returns `true`, for example after a time limit.
    ///
    /// Every thread calls it before each chunk of nonces, once per millisecond or more often.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Counts the nonces tried, during the search.
    pub progress: Option<&'a AtomicU64>,
    /// The backend that computes the hashes.
    pub backend: Backend,
}

impl Default for MineOptions<'_> {
    /// All processors, and all nonces from 0 until the end.
    fn default() -> Self {
        Self {
            threads: None,
            start: 0,
            max_nonces: u64::MAX,
            cancel: None,
            stop: None,
            progress: None,
            backend: Backend::best(),
        }
    }
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MineResult {
    /// A nonce with enough zero bits was found.
    Found {
        /// The lowest such nonce.
        nonce: u64,
        /// Its zero bits, at least as many as requested.
        bits: u32,
        /// The number of nonces tried. Several threads may have tried higher ones too.
        tried: u64,
    },
    /// The search was stopped, or all nonces were tried, before one had enough zero bits.
    Stopped {
        /// The lowest of the nonces with the most zero bits.
        best_nonce: u64,
        /// Its zero bits.
        best_bits: u32,
        /// The number of nonces tried, from the first one on and without gaps. At least 1.
        tried: u64,
    },
}

/// An envelope to mine.
#[derive(Clone, Debug)]
pub struct Miner {
    hash: CounterHash,
}

impl Miner {
    /// Takes the RLP list of the envelope's first four fields.
    pub fn new(rlp4: &[u8]) -> Self {
        Self { hash: CounterHash::new(rlp4) }
    }

    /// Returns the leading zero bits of the hash for this nonce.
    pub fn bits(&self, nonce: u64) -> u32 {
        leading_zero_bits(&self.hash.hash(nonce))
    }

    /// Searches as [`mine()`] does.
    #[must_use]
    pub fn mine(&self, bits: u32, options: &MineOptions<'_>) -> MineResult {
        let first = Best { nonce: options.start, bits: self.bits(options.start) };
        if first.bits >= bits {
            options.count(1);
            return MineResult::Found { nonce: first.nonce, bits: first.bits, tried: 1 };
        }
        search(&self.hash, bits, options, first)
    }
}

impl MineOptions<'_> {
    pub(super) fn threads(&self) -> usize {
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        threads.map_or(1, |it| it.get().min(MAX_THREADS))
    }

    pub(super) fn must_stop(&self) -> bool {
        self.cancel.is_some_and(|it| it.load(Relaxed)) || self.stop.is_some_and(|stop| stop())
    }

    pub(super) fn count(&self, nonces: u64) {
        if let Some(progress) = self.progress {
            progress.fetch_add(nonces, Relaxed);
        }
    }
}

impl fmt::Debug for MineOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MineOptions")
            .field("threads", &self.threads)
            .field("start", &self.start)
            .field("max_nonces", &self.max_nonces)
            .field("cancel", &self.cancel)
            .field("stop", &self.stop.map(|_| "Fn"))
            .field("progress", &self.progress)
            .field("backend", &self.backend)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pow_hash;
    use super::super::search::CHUNK;
    use super::*;

    fn rlp4(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i + 3 * len) as u8).collect()
    }

    fn naive(rlp4: &[u8], start: u64, bits: u32) -> (u64, u32) {
        (start..=u64::MAX)
            .map(|nonce| (nonce, leading_zero_bits(&pow_hash(rlp4, nonce))))
            .find(|&(_, found)| found >= bits)
            .expect("a nonce is found soon")
    }

    fn threads<'a>(count: usize) -> MineOptions<'a> {
        MineOptions { threads: NonZeroUsize::new(count), ..MineOptions::default() }
    }

    #[test]
    fn equals_a_plain_search_for_every_length() {
        let starts = [0, 0xfe, 0xffef, 0xff_fffd, 0xffff_fff0, 0xff_ffff_ffff_ff00];
        for len in 0..300 {
            let rlp4 = rlp4(len);
            for backend in Backend::available() {
                let start = starts[len % starts.len()];
                let options = MineOptions { start, backend, ..threads(1) };
                for bits in [1, 6] {
                    let (nonce, found) = naive(&rlp4, start, bits);
                    let expected =
                        MineResult::Found { nonce, bits: found, tried: nonce - start + 1 };
                    assert_eq!(
                        mine(&rlp4, bits, &options),
                        expected,
                        "length {len}, {}",
                        backend.name()
                    );
                }
            }
        }
    }

    #[test]
    fn crosses_every_boundary_of_the_nonce() {
        for len in [0, 7, 120, 127, 128, 129, 130, 131, 132, 133, 134, 135, 264, 265] {
            let rlp4 = rlp4(len);
            for shift in [8, 16, 24, 32, 40, 48, 56] {
                let start = (1 << shift) - 3;
                let (nonce, bits) = naive(&rlp4, start, 8);
                let tried = nonce - start + 1;
                let options = MineOptions { start, ..threads(1) };
                let expected = MineResult::Found { nonce, bits, tried };
                assert_eq!(mine(&rlp4, 8, &options), expected, "{len} {shift}");
            }
        }
    }

    #[test]
    fn any_number_of_threads_finds_the_same() {
        for (len, bits) in [(100, 12), (317, 13), (128, 11)] {
            let rlp4 = rlp4(len);
            let (nonce, found) = naive(&rlp4, 5, bits);
            for count in [1, 2, 3, 7] {
                let progress = AtomicU64::new(0);
                let options = MineOptions { start: 5, progress: Some(&progress), ..threads(count) };
                let MineResult::Found { nonce: n, bits: b, tried } = mine(&rlp4, bits, &options)
                else {
                    panic!("not found");
                };
                assert_eq!((n, b), (nonce, found), "{count} threads");
                assert!(tried > n - 5);
                assert_eq!(progress.load(Relaxed), tried);
            }
        }
    }

    #[test]
    fn the_best_of_a_range_is_kept() {
        let rlp4 = rlp4(200);
        let (start, max_nonces) = (1000, 2 * CHUNK + 77);
        let best = (start..start + max_nonces)
            .map(|nonce| (leading_zero_bits(&pow_hash(&rlp4, nonce)), std::cmp::Reverse(nonce)))
            .max()
            .expect("not empty");
        for count in [1, 2, 7] {
            let options = MineOptions { start, max_nonces, ..threads(count) };
            let expected =
                MineResult::Stopped { best_nonce: best.1.0, best_bits: best.0, tried: max_nonces };
            assert_eq!(mine_best(&rlp4, &options), expected);
            assert_eq!(mine(&rlp4, 200, &options), expected);
        }
    }

    #[test]
    fn stops_on_request() {
        let rlp4 = rlp4(50);
        let calls = AtomicU64::new(0);
        let stop = || calls.fetch_add(1, Relaxed) >= 2;
        let by_clock = MineOptions { stop: Some(&stop), ..threads(3) };
        let MineResult::Stopped { tried, .. } = mine(&rlp4, 256, &by_clock) else {
            panic!("found")
        };
        assert_eq!(tried, 2 * CHUNK);

        let cancel = AtomicBool::new(true);
        let cancelled = MineOptions { cancel: Some(&cancel), start: 9, ..threads(2) };
        let best_bits = leading_zero_bits(&pow_hash(&rlp4, 9));
        let expected = MineResult::Stopped { best_nonce: 9, best_bits, tried: 1 };
        assert_eq!(mine(&rlp4, 200, &cancelled), expected);
    }

    #[test]
    fn the_last_nonce_is_the_end() {
        let rlp4 = rlp4(64);
        for (start, max_nonces, tried) in
            [(u64::MAX, 9, 1), (u64::MAX - 20_000, u64::MAX, 20_001), (7, 0, 1), (0, 1, 1)]
        {
            let options = MineOptions { start, max_nonces, ..threads(2) };
            let MineResult::Stopped { tried: counted, .. } = mine(&rlp4, 300, &options) else {
                panic!("no hash has 300 bits");
            };
            assert_eq!(counted, tried);
        }
    }

    #[test]
    fn no_bits_take_the_first_nonce() {
        let bits = leading_zero_bits(&pow_hash(b"x", 42));
        let result = mine(b"x", 0, &MineOptions { start: 42, ..MineOptions::default() });
        assert_eq!(result, MineResult::Found { nonce: 42, bits, tried: 1 });
    }
}

//! The search for a nonce.
//!
//! The nonces are dealt in chunks, in increasing order, to as many threads as are wanted. A chunk that was dealt is
//! always finished (it takes some milliseconds), unless the answer is known to be lower. So the nonces tried
//! are always a range without gaps, and what is found in it doesn't depend on the number of threads.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use super::value::leading_zero_bits;
use crate::crypto::keccak::{Backend, CounterHash, Scan};

/// Nonces in a chunk: a few milliseconds of work. A power of two, and chunks start at its multiples.
const CHUNK: u64 = 1 << 14;

/// More threads than this are not started, whatever is asked for.
const MAX_THREADS: usize = 256;

/// The lowest nonce with which `keccak256(rlp4 || nonce)` begins with at least `bits` zero bits.
///
/// 0 bits take the first nonce. More than 256 bits are never reached: then this works until it is stopped.
pub fn mine(rlp4: &[u8], bits: u32, options: &MineOptions<'_>) -> MineResult {
    Miner::new(rlp4).mine(bits, options)
}

/// Works until it is stopped, or out of nonces, and keeps the best nonce: what senders do with a negative target.
///
/// The result is always [`MineResult::Stopped`].
pub fn mine_best(rlp4: &[u8], options: &MineOptions<'_>) -> MineResult {
    Miner::new(rlp4).mine(u32::MAX, options)
}

/// How to search.
#[derive(Clone, Copy)]
pub struct MineOptions<'a> {
    /// How many threads work, the calling one included. `None`: as many as the machine runs at a time.
    pub threads: Option<NonZeroUsize>,
    /// The first nonce.
    pub start: u64,
    /// How many nonces to try at most. The first one is tried in any case.
    pub max_nonces: u64,
    /// Set by somebody else to end the search.
    pub cancel: Option<&'a AtomicBool>,
    /// Asked before every chunk of nonces, some milliseconds apart and from every thread: `true` ends the
    /// search. A time limit goes here.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Counts the nonces tried: added to while the search goes on.
    pub progress: Option<&'a AtomicU64>,
    /// How the hashes are computed.
    pub backend: Backend,
}

impl Default for MineOptions<'_> {
    /// All processors, all nonces from 0, never stopped.
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

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MineResult {
    /// `nonce` is the lowest one that has enough zero bits, and it has `bits` of them.
    Found { nonce: u64, bits: u32, tried: u64 },
    /// The search was ended, or all nonces were tried: the `tried` nonces from the first one on. None of them has enough
    /// zero bits; `best_nonce` has most, `best_bits`, and is the lowest of those that do.
    Stopped { best_nonce: u64, best_bits: u32, tried: u64 },
}

/// An envelope to be mined.
#[derive(Clone, Debug)]
pub struct Miner {
    hash: CounterHash,
}

impl Miner {
    /// Takes the RLP list of the envelope's first four fields.
    pub fn new(rlp4: &[u8]) -> Self {
        Self { hash: CounterHash::new(rlp4) }
    }

    /// The zero bits that the hash of this nonce begins with.
    pub fn bits(&self, nonce: u64) -> u32 {
        leading_zero_bits(&self.hash.hash(nonce))
    }

    /// See [`mine`]; [`mine_best`] is this with more bits than a hash has.
    pub fn mine(&self, bits: u32, options: &MineOptions<'_>) -> MineResult {
        let first = Best { nonce: options.start, bits: self.bits(options.start) };
        if first.bits >= bits {
            options.count(1);
            return MineResult::Found { nonce: first.nonce, bits: first.bits, tried: 1 };
        }
        let last = options.start.saturating_add(options.max_nonces.saturating_sub(1));
        let search = Search {
            miner: self,
            bits,
            options,
            first,
            last,
            next_chunk: AtomicU64::new(0),
            found_in: AtomicU64::new(u64::MAX),
            stopped: AtomicBool::new(false),
        };
        search.run()
    }
}

impl MineOptions<'_> {
    fn threads(&self) -> usize {
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        threads.map_or(1, |it| it.get().min(MAX_THREADS))
    }

    fn must_stop(&self) -> bool {
        self.cancel.is_some_and(|it| it.load(Relaxed)) || self.stop.is_some_and(|stop| stop())
    }

    fn count(&self, nonces: u64) {
        if let Some(progress) = self.progress {
            progress.fetch_add(nonces, Relaxed);
        }
    }
}

#[derive(Clone, Copy)]
struct Best {
    nonce: u64,
    bits: u32,
}

impl Best {
    fn better(self, other: Self) -> Self {
        let other_wins =
            other.bits > self.bits || (other.bits == self.bits && other.nonce < self.nonce);
        if other_wins { other } else { self }
    }
}

/// A search that is going on.
struct Search<'a> {
    miner: &'a Miner,
    bits: u32,
    options: &'a MineOptions<'a>,
    first: Best,
    last: u64,
    /// The number of the next chunk to deal.
    next_chunk: AtomicU64,
    /// The lowest chunk with a nonce that has enough bits; above all chunks if there is none.
    found_in: AtomicU64,
    stopped: AtomicBool,
}

/// What one thread did.
struct Share {
    best: Best,
    found: Option<Best>,
    tried: u64,
}

impl Search<'_> {
    fn run(&self) -> MineResult {
        // Most envelopes take a few thousand nonces: not worth starting threads for.
        let mut all = self.work(1);
        let over = all.found.is_some() || self.chunk(self.next_chunk.load(Relaxed)).is_none();
        if !over && !self.stopped.load(Relaxed) {
            all = all.with(self.work_together());
        }
        if all.tried == 0 {
            // Stopped before the first chunk; but the first nonce was tried.
            all.tried = 1;
            self.options.count(1);
        }
        all.result()
    }

    fn work_together(&self) -> Share {
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..self.options.threads())
                .map_while(|_| {
                    // If the system has no more threads to give, those at work do it all.
                    thread::Builder::new().spawn_scoped(scope, || self.work(u64::MAX)).ok()
                })
                .collect();
            let mut all = self.work(u64::MAX);
            for helper in helpers {
                match helper.join() {
                    Ok(share) => all = all.with(share),
                    Err(panic) => resume_unwind(panic),
                }
            }
            all
        })
    }

    /// Takes chunks, at most so many, until there is nothing more to do.
    fn work(&self, chunks: u64) -> Share {
        let mut scan = Scan::new(&self.miner.hash, self.options.backend);
        let mut share = Share { best: self.first, found: None, tried: 0 };
        for _ in 0..chunks {
            if self.stopped.load(Relaxed) || self.options.must_stop() {
                self.stopped.store(true, Relaxed);
                break;
            }
            let number = self.next_chunk.fetch_add(1, Relaxed);
            let Some((from, to)) = self.chunk(number) else {
                break;
            };
            if self.found_in.load(Relaxed) < number {
                break;
            }
            let tried = self.search_chunk(&mut scan, from, to, &mut share);
            self.options.count(tried);
            share.tried += tried;
            if share.found.is_some() {
                // The chunks come in increasing order: this thread's next ones are all higher.
                self.found_in.fetch_min(number, Relaxed);
                break;
            }
        }
        share
    }

    /// The first and last nonce of a chunk.
    fn chunk(&self, number: u64) -> Option<(u64, u64)> {
        let base = self.first.nonce / CHUNK * CHUNK;
        let from = number.checked_mul(CHUNK).and_then(|offset| base.checked_add(offset))?;
        let to = from | (CHUNK - 1);
        let from = from.max(self.first.nonce);
        (from <= self.last).then_some((from, to.min(self.last)))
    }

    /// Goes through the nonces, and tells how many there were.
    fn search_chunk(&self, scan: &mut Scan<'_>, first: u64, last: u64, share: &mut Share) -> u64 {
        let mut from = first;
        // Whatever beats the best so far is of interest.
        while let Some(nonce) = scan.find(from, last, self.bits.min(share.best.bits + 1)) {
            let hit = Best { nonce, bits: self.miner.bits(nonce) };
            share.best = share.best.better(hit);
            if hit.bits >= self.bits {
                share.found = Some(hit);
                return nonce - first + 1;
            }
            if nonce == last {
                break;
            }
            from = nonce + 1;
        }
        last - first + 1
    }
}

impl Share {
    fn result(self) -> MineResult {
        let Self { best, found, tried } = self;
        match found {
            Some(Best { nonce, bits }) => MineResult::Found { nonce, bits, tried },
            None => MineResult::Stopped { best_nonce: best.nonce, best_bits: best.bits, tried },
        }
    }

    fn with(self, other: Self) -> Self {
        let found = match (self.found, other.found) {
            (Some(a), Some(b)) => Some(if a.nonce <= b.nonce { a } else { b }),
            (a, b) => a.or(b),
        };
        Self { best: self.best.better(other.best), found, tried: self.tried + other.tried }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whisper::pow::pow_hash;

    fn rlp4(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i + 3 * len) as u8).collect()
    }

    fn naive(rlp4: &[u8], start: u64, bits: u32) -> (u64, u32) {
        (start..=u64::MAX)
            .map(|nonce| (nonce, leading_zero_bits(&pow_hash(rlp4, nonce))))
            .find(|&(_, found)| found >= bits)
            .expect("so few bits are soon found")
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
                for bits in [0, 1, 6] {
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
        for (len, bits) in [(100, 15), (128, 12)] {
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
    fn stops_when_told() {
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

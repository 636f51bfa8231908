//! The search for a nonce, on several threads.
//!
//! Threads take chunks of nonces in increasing order, and finish every chunk they take. So the
//! nonces tried form a range without gaps up to the lowest hit, and the result does not depend on
//! the number of threads.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use crate::{
    crypto::keccak::{CounterHash, Scan},
    envelope::pow::{
        mine::{MineOptions, MineResult},
        value::leading_zero_bits,
    },
};

/// Nonces in a chunk, at most a millisecond of work. A power of two; chunks start at its multiples.
pub(super) const CHUNK: u64 = if cfg!(test) { 1 << 9 } else { 1 << 12 };

/// A nonce and the leading zero bits of its hash.
#[derive(Clone, Copy)]
pub(super) struct Best {
    pub(super) nonce: u64,
    pub(super) bits: u32,
}

/// Searches for `bits` zero bits. `first` is the first nonce, which has fewer.
pub(super) fn search(
    hash: &CounterHash,
    bits: u32,
    options: &MineOptions<'_>,
    first: Best,
) -> MineResult {
    let more = options.max_nonces.saturating_sub(1);
    let search = Search {
        hash,
        bits,
        options,
        first,
        last: first.nonce.saturating_add(more),
        next_chunk: AtomicU64::new(0),
        found_in: AtomicU64::new(u64::MAX),
        stopped: AtomicBool::new(false),
    };
    search.run()
}

/// A running search.
struct Search<'a> {
    hash: &'a CounterHash,
    bits: u32,
    options: &'a MineOptions<'a>,
    first: Best,
    last: u64,
    /// The number of the next chunk to take.
    next_chunk: AtomicU64,
    /// The lowest chunk with a hit. Higher than all chunks if there is none.
    found_in: AtomicU64,
    stopped: AtomicBool,
}

/// The result of one thread.
struct Share {
    best: Best,
    found: Option<Best>,
    tried: u64,
}

impl Search<'_> {
    fn run(&self) -> MineResult {
        // Many envelopes need less than a chunk, which is not worth starting threads.
        let mut all = self.work(1);
        let over = all.found.is_some() || self.chunk(self.next_chunk.load(Relaxed)).is_none();
        if !over && !self.stopped.load(Relaxed) {
            all = all.with(self.work_together());
        }
        if all.tried == 0 {
            // Stopped before the first chunk, but the caller has tried the first nonce.
            all.tried = 1;
            self.options.count(1);
        }
        all.result()
    }

    fn work_together(&self) -> Share {
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..self.options.threads())
                .map_while(|_| {
                    // If the system can't start more threads, the others do all the work.
                    let builder = thread::Builder::new().name("pow".into());
                    builder.spawn_scoped(scope, || self.work(u64::MAX)).ok()
                })
                .collect();
            let mut all = self.work(u64::MAX);
            for helper in helpers {
                match helper.join() {
                    Ok(share) => all = all.with(share),
                    // Only the caller's `stop` can panic.
                    Err(panic) => resume_unwind(panic),
                }
            }
            all
        })
    }

    /// Takes at most `chunks` chunks, until the search ends.
    fn work(&self, chunks: u64) -> Share {
        let mut scan = Scan::new(self.hash, self.options.backend);
        let mut share = Share { best: self.first, found: None, tried: 0 };
        for _ in 0..chunks {
            if self.stopped.load(Relaxed) || self.options.must_stop() {
                self.stopped.store(true, Relaxed);
                break;
            }
            let number = self.next_chunk.fetch_add(1, Relaxed);
            let Some(chunk) = self.chunk(number) else {
                break;
            };
            if self.found_in.load(Relaxed) < number {
                break;
            }
            let tried = self.search_chunk(&mut scan, chunk, &mut share);
            self.options.count(tried);
            share.tried += tried;
            if share.found.is_some() {
                // Chunks come in increasing order, so this thread's next ones would be higher.
                self.found_in.fetch_min(number, Relaxed);
                break;
            }
        }
        share
    }

    /// Returns the first and the last nonce of a chunk. `None` if it is beyond the last nonce.
    fn chunk(&self, number: u64) -> Option<(u64, u64)> {
        let base = self.first.nonce / CHUNK * CHUNK;
        let from = number.checked_mul(CHUNK).and_then(|offset| base.checked_add(offset))?;
        let to = from | (CHUNK - 1);
        let from = from.max(self.first.nonce);
        (from <= self.last).then_some((from, to.min(self.last)))
    }

    /// Tries the nonces of a chunk. Returns how many it tried.
    fn search_chunk(
        &self,
        scan: &mut Scan<'_>,
        (first, last): (u64, u64),
        share: &mut Share,
    ) -> u64 {
        let mut next = Some(first);
        while let Some(from) = next {
            // Anything better than the best so far counts as well.
            let wanted = self.bits.min(share.best.bits + 1);
            let Some(nonce) = scan.find(from, last, wanted) else {
                break;
            };
            let bits = leading_zero_bits(&self.hash.hash(nonce));
            let hit = Best { nonce, bits };
            share.best = share.best.better(hit);
            if bits >= self.bits {
                share.found = Some(hit);
                return nonce - first + 1;
            }
            next = (nonce < last).then(|| nonce + 1);
        }
        last - first + 1
    }
}

impl Share {
    fn with(self, other: Self) -> Self {
        let found = match (self.found, other.found) {
            (Some(a), Some(b)) => Some(if a.nonce <= b.nonce { a } else { b }),
            (a, b) => a.or(b),
        };
        Self { best: self.best.better(other.best), found, tried: self.tried + other.tried }
    }

    fn result(self) -> MineResult {
        let Self { best, found, tried } = self;
        match found {
            Some(Best { nonce, bits }) => MineResult::Found { nonce, bits, tried },
            None => MineResult::Stopped { best_nonce: best.nonce, best_bits: best.bits, tried },
        }
    }
}

impl Best {
    /// Returns the one with more bits, or else the lower nonce.
    fn better(self, other: Self) -> Self {
        let other_wins =
            other.bits > self.bits || (other.bits == self.bits && other.nonce < self.nonce);
        if other_wins { other } else { self }
    }
}

//! Searches for a key with a chosen name or prefix, on all cores.
//!
//! The candidates are `start`, `start + 1`, `start + 2`, … for a random `start`: each public key is
//! the previous one plus the generator, which is much cheaper than a multiplication. The result is
//! the matching candidate nearest to `start`, for any number of threads, so searches are
//! reproducible.
//!
//! `start` must stay secret and must not be used twice: keys found from the same start are a
//! guessable distance apart.

mod odds;
mod pattern;

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::{PublicKey, SecretKey, tweak};
use pattern::Kind;
pub use pattern::{Pattern, PatternError};

/// The number of candidates per unit of work.
const CHUNK: u64 = 1024;

/// How to search.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SearchOptions<'a> {
    /// The number of threads. `None`: the number of processors.
    pub threads: Option<NonZeroUsize>,
    /// The maximum number of candidates, rounded up to a multiple of 1024.
    pub max_tries: u64,
    /// Ends the search when it is set.
    pub cancel: Option<&'a AtomicBool>,
    /// Counts the candidates during the search.
    pub progress: Option<&'a AtomicU64>,
}

impl Default for SearchOptions<'_> {
    /// Uses all processors, without a limit.
    fn default() -> Self {
        Self { threads: None, max_tries: u64::MAX, cancel: None, progress: None }
    }
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum SearchResult {
    /// A matching key, `steps` above the start.
    Found { key: SecretKey, steps: u64 },
    /// The search was cancelled, or reached its maximum.
    Stopped,
}

/// Searches from a random start.
pub fn search<R: CryptoRng + ?Sized>(
    pattern: &Pattern,
    rng: &mut R,
    options: &SearchOptions<'_>,
) -> SearchResult {
    search_from(pattern, &SecretKey::generate(rng), options)
}

fn search_from(pattern: &Pattern, start: &SecretKey, options: &SearchOptions<'_>) -> SearchResult {
    let shared = Shared {
        pattern,
        start,
        options,
        next: AtomicU64::new(0),
        best: AtomicU64::new(u64::MAX),
        // No chunk starts above this, so no count overflows.
        chunks: options.max_tries.div_ceil(CHUNK).min(u64::MAX / CHUNK - 1),
    };
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = options.threads.unwrap_or_else(cores).get();
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    let steps = shared.best.into_inner();
    // Chunks start in order, and finish unless cancelled: everything below a match was tried.
    if steps == u64::MAX || is_set(options.cancel) {
        return SearchResult::Stopped;
    }
    match above(start, steps) {
        Some(key) => SearchResult::Found { key, steps },
        None => SearchResult::Stopped,
    }
}

struct Shared<'a> {
    pattern: &'a Pattern,
    start: &'a SecretKey,
    options: &'a SearchOptions<'a>,
    /// The next chunk to start.
    next: AtomicU64,
    /// The lowest match so far.
    best: AtomicU64,
    chunks: u64,
}

impl Shared<'_> {
    fn work(&self) {
        while !is_set(self.options.cancel) {
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            let first = chunk.saturating_mul(CHUNK);
            if chunk >= self.chunks || first >= self.best.load(Ordering::Relaxed) {
                return;
            }
            if let Some(steps) = self.scan(first) {
                self.best.fetch_min(steps, Ordering::Relaxed);
            }
        }
    }

    fn scan(&self, first: u64) -> Option<u64> {
        let mut key = above(self.start, first)?.public_key();
        let mut tried = 0;
        let found = loop {
            tried += 1;
            if self.pattern.matches(&key) {
                break Some(first + tried - 1);
            }
            if tried == CHUNK {
                break None;
            }
            // Only the end of the group has no next key, and no search reaches it.
            let Some(next) = tweak::next_public(&key) else { break None };
            key = next;
        };
        if let Some(progress) = self.options.progress {
            progress.fetch_add(tried, Ordering::Relaxed);
        }
        found
    }
}

/// Returns `start + steps`.
fn above(start: &SecretKey, steps: u64) -> Option<SecretKey> {
    let mut tweak = Zeroizing::new([0; 32]);
    tweak.split_at_mut(24).1.copy_from_slice(&steps.to_be_bytes());
    tweak::add_secret(start, &tweak)
}

fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

impl Pattern {
    /// Whether a key matches.
    #[must_use]
    pub fn matches(&self, key: &PublicKey) -> bool {
        match &self.0 {
            Kind::Name(name) => name.matches(key),
            Kind::Key(prefix) => prefix.matches(key),
        }
    }

    /// Returns the average number of candidates. Searches are memoryless: 63 of 100 end within it.
    pub fn expected_tries(&self) -> f64 {
        match &self.0 {
            Kind::Name(name) => 1.0 / name.odds(),
            Kind::Key(prefix) => 1.0 / prefix.odds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{ThreeWordName, chat_key::to_compact, multibase::Base},
        crypto::seeded_rng,
    };

    fn found(pattern: &str, threads: usize) -> (SecretKey, u64) {
        let options =
            SearchOptions { threads: NonZeroUsize::new(threads), ..SearchOptions::default() };
        let pattern = pattern.parse().unwrap();
        match search(&pattern, &mut seeded_rng("vanity"), &options) {
            SearchResult::Found { key, steps } => (key, steps),
            SearchResult::Stopped => panic!("stopped"),
        }
    }

    #[test]
    fn results_match_for_any_number_of_threads() {
        for pattern in ["0x04ab", "0x02a", "zQ3shk", "* * Frog", "S* * C*"] {
            let (key, steps) = found(pattern, 1);
            assert_eq!(found(pattern, 3), (key.clone(), steps), "{pattern}");
            let public = key.public_key();
            match pattern {
                "0x04ab" => assert!(public.to_string().starts_with(pattern)),
                "0x02a" => assert!(hex::encode(public.to_compressed()).starts_with("02a")),
                "zQ3shk" => assert!(to_compact(&public, Base::BASE58).starts_with(pattern)),
                "* * Frog" => assert_eq!(ThreeWordName::from_key(&public).words()[2], "Frog"),
                _ => {
                    let [first, _, animal] = ThreeWordName::from_key(&public).words();
                    assert!(first.starts_with('S') && animal.starts_with('C'));
                }
            }
        }
    }

    #[test]
    fn the_first_match_is_returned() {
        let start = SecretKey::generate(&mut seeded_rng("first"));
        let pattern: Pattern = "0x04a".parse().unwrap();
        let SearchResult::Found { steps, .. } =
            search_from(&pattern, &start, &SearchOptions::default())
        else {
            panic!("stopped");
        };
        for step in 0..=steps {
            let key = above(&start, step).unwrap().public_key();
            assert_eq!(pattern.matches(&key), step == steps);
        }
    }

    #[test]
    fn searches_stop_at_the_maximum_and_when_cancelled() {
        let pattern: Pattern = "zQ3shkkkkkkkkk".parse().unwrap();
        let progress = AtomicU64::new(0);
        let options = SearchOptions {
            max_tries: 3000,
            progress: Some(&progress),
            ..SearchOptions::default()
        };
        let rng = &mut seeded_rng("end");
        assert_eq!(search(&pattern, rng, &options), SearchResult::Stopped);
        // Rounded up to three chunks.
        assert_eq!(progress.into_inner(), 3072);
        let cancel = AtomicBool::new(true);
        let options = SearchOptions { cancel: Some(&cancel), ..SearchOptions::default() };
        assert_eq!(search(&pattern, rng, &options), SearchResult::Stopped);
    }
}

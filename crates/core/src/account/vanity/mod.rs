//! Searching for a key with a chosen name or a chosen beginning, on all cores.
//!
//! The candidates are `start`, `start + 1`, `start + 2`, … for a random `start`: each public key
//! is the one before plus the generator, which is much cheaper than a multiplication. The result
//! is the candidate nearest to `start`, whatever the number of threads, so a search can be made
//! again. `start` has to stay secret and must not be used twice: keys found from the same one are
//! a guessable distance apart.

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
pub use pattern::{KeyPattern, NamePattern, Pattern, PatternError};

/// Candidates that a thread takes at a time.
const CHUNK: u64 = 1024;

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct SearchOptions<'a> {
    /// How many threads work. `None`: as many as the machine runs at a time.
    pub threads: Option<NonZeroUsize>,
    /// How many candidates to try at most, rounded up to whole chunks of 1024.
    pub max_tries: u64,
    /// Set by somebody else to end the search.
    pub cancel: Option<&'a AtomicBool>,
    /// Counts the candidates tried: added to while the search goes on.
    pub progress: Option<&'a AtomicU64>,
}

impl Default for SearchOptions<'_> {
    /// All processors, never stopped.
    fn default() -> Self {
        Self { threads: None, max_tries: u64::MAX, cancel: None, progress: None }
    }
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchResult {
    /// The key that matches, `steps` above the start.
    Found { key: SecretKey, steps: u64 },
    /// Cancelled, or all candidates were tried.
    Stopped,
}

/// Searches from a start that `rng` gives.
pub fn search<R: CryptoRng + ?Sized>(
    pattern: &Pattern,
    rng: &mut R,
    options: &SearchOptions<'_>,
) -> SearchResult {
    search_from(pattern, &SecretKey::generate(rng), options)
}

/// Searches from the given start.
pub fn search_from(
    pattern: &Pattern,
    start: &SecretKey,
    options: &SearchOptions<'_>,
) -> SearchResult {
    let shared = Shared {
        pattern,
        start,
        options,
        next: AtomicU64::new(0),
        best: AtomicU64::new(u64::MAX),
        // No chunk begins above this, so that no count runs over.
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
    // Chunks are taken in order and finished unless cancelled: below a match nothing is untried.
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
    /// The next chunk that nobody has taken.
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
            // Infinity: the end of the group, which no search reaches.
            let Some(next) = tweak::next_public(&key) else { break None };
            key = next;
        };
        if let Some(progress) = self.options.progress {
            progress.fetch_add(tried, Ordering::Relaxed);
        }
        found
    }
}

/// `start + steps`.
fn above(start: &SecretKey, steps: u64) -> Option<SecretKey> {
    let mut tweak = Zeroizing::new([0; 32]);
    tweak.split_at_mut(24).1.copy_from_slice(&steps.to_be_bytes());
    tweak::add_secret(start, &tweak)
}

fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

impl Pattern {
    /// Whether a key is what is searched for.
    pub fn matches(&self, key: &PublicKey) -> bool {
        match self {
            Self::Name(name) => name.matches(key),
            Self::Key(prefix) => prefix.matches(key),
        }
    }

    /// How many candidates it takes on average. A search is memoryless: after that many, 63 of
    /// 100 have ended.
    pub fn expected_tries(&self) -> f64 {
        match self {
            Self::Name(name) => 1.0 / name.odds(),
            Self::Key(prefix) => 1.0 / prefix.odds(),
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
    fn results_match_and_do_not_depend_on_threads() {
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
    fn the_first_match_is_taken() {
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
    fn searches_end() {
        let pattern: Pattern = "zQ3shkkkkkkkkk".parse().unwrap();
        let progress = AtomicU64::new(0);
        let options = SearchOptions {
            max_tries: 3000,
            progress: Some(&progress),
            ..SearchOptions::default()
        };
        let rng = &mut seeded_rng("end");
        assert_eq!(search(&pattern, rng, &options), SearchResult::Stopped);
        assert_eq!(progress.into_inner(), 3072);
        let cancel = AtomicBool::new(true);
        let options = SearchOptions { cancel: Some(&cancel), ..SearchOptions::default() };
        assert_eq!(search(&pattern, rng, &options), SearchResult::Stopped);
    }
}

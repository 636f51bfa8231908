//! `status-account vanity`: searches for a key with a chosen name or prefix.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanCount, HumanDuration, ProgressBar};
use statuskit_core::account::{
    Identity,
    vanity::{Pattern, PatternError, SearchOptions, SearchResult, search},
};

use crate::{
    account::card::{self, SecretArgs},
    context::Context,
    error::{CliError, Exit, Result, Stop},
    interrupt::Guard,
    progress,
    text::count,
    time::parse_seconds,
};

/// Search for a key with a chosen name or prefix, on all cores
///
/// PATTERN is the prefix of a key (0x04…, 0x02…, 0x03…, zQ3sh…), or the words of a name: `*`
/// matches any word, `Fro*` any word with that prefix. The words of a name depend on each other;
/// names that no key has are rejected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account vanity --seed 1 --show-secret 0x04ab
  $ status-account vanity --seed 1 --out made.json '* * Frog'")]
pub struct VanityCommand {
    /// Words of a name, or the prefix of a key
    #[arg(value_name = "PATTERN", required = true)]
    pattern: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Number of threads [default: the number of processors]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Stop after TIME
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    time: Option<u32>,
    /// Stop after trying COUNT keys
    #[arg(long, value_name = "COUNT")]
    max_tries: Option<u64>,
}

impl VanityCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let pattern: Pattern = self.pattern.join(" ").parse().map_err(|error: PatternError| {
            CliError::new(error.code(), Exit::Usage, error.to_string()).field("PATTERN")
        })?;
        if self.secret.out.is_none() && !self.secret.show_secret {
            return Err(CliError::usage("this needs a destination for the key")
                .field("--out")
                .hint("--out FILE, or --show-secret")
                .into());
        }
        self.secret.check()?;
        let mut rng = cx.rng("vanity")?;
        cx.warn_of_seed();
        let began = Instant::now();
        let (result, tried, interrupted) =
            self.search(&pattern, |options| search(&pattern, &mut rng, options));
        let elapsed = began.elapsed();
        let (key, steps) = match result {
            SearchResult::Found { key, steps } => (key, steps),
            SearchResult::Stopped if interrupted => {
                cx.note(&format!("interrupted after {}", count(tried, "key")));
                return Err(Stop::Exit(Exit::Interrupted));
            }
            SearchResult::Stopped => {
                let expected = pattern.expected_tries();
                let message = format!(
                    "no match among {}; a search takes {expected:.0} on average",
                    count(tried, "key")
                );
                return Err(CliError::new("vanity.not_found", Exit::Negative, message)
                    .hint("more --time, more --max-tries, or a shorter pattern")
                    .into());
            }
        };
        let identity = Identity::from_key(key);
        let record = card::from_identity(&identity, None)?
            .with("expected_tries", pattern.expected_tries())
            .with("tries", steps + 1);
        // With a seed, the output must be reproducible.
        if !cx.is_seeded() {
            let rate = tried as f64 / elapsed.as_secs_f64().max(1e-3);
            cx.note(&format!("{} keys per second", HumanCount(rate as u64)));
        }
        let record = self.secret.write(record, &identity)?;
        super::make::emit(cx, &record)
    }

    fn search(
        &self,
        pattern: &Pattern,
        work: impl FnOnce(&SearchOptions<'_>) -> SearchResult,
    ) -> (SearchResult, u64, bool) {
        let guard = Guard::new();
        let (tried, cancel, done) =
            (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let mut options = SearchOptions::default();
        options.threads = self.threads;
        options.max_tries = self.max_tries.unwrap_or(options.max_tries);
        options.cancel = Some(&cancel);
        options.progress = Some(&tried);
        let limit = self.time.map(|seconds| Duration::from_secs(seconds.into()));
        let bar = progress::spinner();
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                let began = Instant::now();
                while !done.load(Ordering::SeqCst) {
                    let late = limit.is_some_and(|limit| began.elapsed() >= limit);
                    if late || guard.is_set() {
                        cancel.store(true, Ordering::SeqCst);
                    }
                    if progress::is_wanted() && began.elapsed() >= progress::DELAY {
                        draw(&bar, pattern, tried.load(Ordering::Relaxed), began.elapsed());
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let result = work(&options);
            done.store(true, Ordering::SeqCst);
            result
        });
        bar.finish_and_clear();
        (result, tried.load(Ordering::Relaxed), guard.is_set())
    }
}

/// Shows the number and rate of keys tried, and the average duration of such a search.
fn draw(bar: &ProgressBar, pattern: &Pattern, tried: u64, elapsed: Duration) {
    let rate = tried as f64 / elapsed.as_secs_f64().max(1e-3);
    let expected = pattern.expected_tries();
    let seconds = (expected / rate.max(1.0)).min(1e9);
    bar.set_message(format!(
        "{} keys, {} /s, {} ({} keys) on average",
        HumanCount(tried),
        HumanCount(rate as u64),
        HumanDuration(Duration::from_secs_f64(seconds)),
        HumanCount(expected.min(1e18) as u64),
    ));
    bar.tick();
}

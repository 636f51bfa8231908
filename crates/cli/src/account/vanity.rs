//! `status-account vanity`: a key with a name or a beginning of one's choice.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanCount, HumanDuration, ProgressBar};
use statuskit_core::account::vanity::{Pattern, PatternError, SearchOptions, SearchResult, search};

use crate::{
    account::card::{self, SecretArgs},
    context::Context,
    error::{CliError, Exit, Result, Stop},
    identity::Identity,
    interrupt::Guard,
    mining,
    time::parse_seconds,
};

/// Search for a key with a chosen name, or a chosen beginning, on all cores
///
/// The PATTERN is a beginning of a key (0x04…, 0x02…, 0x03…, zQ3sh…), or words of a name: `*`
/// stands for any word, `Fro*` for all that begin so. The words of a name hang together; names
/// that no key has are refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account vanity --seed 1 --show-secret 0x04ab
  $ status-account vanity --seed 1 --out made.json '* * Frog'")]
pub struct VanityCommand {
    /// Words of a name, or the beginning of a key
    #[arg(value_name = "PATTERN", required = true)]
    pattern: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Threads [default: all processors]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// When to give up
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    time: Option<u32>,
    /// How many keys to try at most
    #[arg(long, value_name = "COUNT")]
    max_tries: Option<u64>,
}

impl VanityCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let pattern: Pattern = self.pattern.join(" ").parse().map_err(|error: PatternError| {
            CliError::new(error.code(), Exit::Usage, error.to_string()).field("PATTERN")
        })?;
        if self.secret.out.is_none() && !self.secret.show_secret {
            return Err(CliError::usage("the key that is found has to go somewhere")
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
                cx.note(&format!("interrupted after {tried} keys"));
                return Err(Stop::Exit(Exit::Interrupted));
            }
            SearchResult::Stopped => {
                let expected = pattern.expected_tries();
                let message =
                    format!("not found among {tried} keys; it takes {expected:.0} on average");
                return Err(CliError::new("vanity.not_found", Exit::Negative, message)
                    .hint("more --time, more --max-tries, or a shorter pattern")
                    .into());
            }
        };
        let identity = Identity::from_key(key);
        let record = card::from_identity(&identity, None)?
            .with("expected_tries", pattern.expected_tries())
            .with("tries", steps + 1);
        // The same bytes from the same seed: times are for people.
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
        let (progress, cancel, done) =
            (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let options = SearchOptions {
            threads: self.threads,
            max_tries: self.max_tries.unwrap_or(u64::MAX),
            cancel: Some(&cancel),
            progress: Some(&progress),
        };
        let limit = self.time.map(|seconds| Duration::from_secs(seconds.into()));
        let bar = mining::bar();
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                let began = Instant::now();
                while !done.load(Ordering::SeqCst) {
                    let late = limit.is_some_and(|limit| began.elapsed() >= limit);
                    if late || guard.is_set() {
                        cancel.store(true, Ordering::SeqCst);
                    }
                    if !bar.is_hidden() {
                        draw(&bar, pattern, progress.load(Ordering::Relaxed), began.elapsed());
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let result = work(&options);
            done.store(true, Ordering::SeqCst);
            result
        });
        bar.finish_and_clear();
        (result, progress.load(Ordering::Relaxed), guard.is_set())
    }
}

/// Shows keys tried, their rate, and how long such a search takes on average.
fn draw(bar: &ProgressBar, pattern: &Pattern, tried: u64, elapsed: Duration) {
    let rate = tried as f64 / elapsed.as_secs_f64().max(1e-3);
    let expected = pattern.expected_tries();
    let seconds = (expected / rate.max(1.0)).min(1e9);
    bar.set_message(format!(
        "{} keys, {} /s, expected {} ({} keys) per find",
        HumanCount(tried),
        HumanCount(rate as u64),
        HumanDuration(Duration::from_secs_f64(seconds)),
        HumanCount(expected.min(1e18) as u64),
    ));
    bar.tick();
}

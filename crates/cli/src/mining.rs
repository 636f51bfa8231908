//! Mining with a progress bar, a time limit and Ctrl-C.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use statuskit_core::envelope::{
    Envelope,
    pow::{self, MineOptions, MineResult, TargetError},
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    interrupt::Guard,
};

/// How long and with what the search goes.
#[derive(Debug, Clone, Default)]
pub struct Effort {
    /// Threads; all processors if none.
    pub threads: Option<NonZeroUsize>,
    /// The first nonce.
    pub start: u64,
    /// When to give up.
    pub time: Option<Duration>,
}

/// How a search ended.
pub struct Mined {
    /// The envelope with the nonce found, or the best one so far.
    pub envelope: Envelope,
    /// Its zero bits.
    pub bits: u32,
    /// Nonces tried.
    pub tried: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it reached the target.
    pub reached: bool,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

/// Looks for the lowest nonce with which the envelope has a proof of work of `target`, as peers
/// compute it.
///
/// A target of 0 takes nonce 0. A negative one works for the whole time and keeps the best; the
/// expiry must have been moved before.
pub fn mine(
    envelope: &Envelope,
    target: f64,
    effort: &Effort,
) -> std::result::Result<Mined, CliError> {
    let began = Instant::now();
    if target == 0.0 {
        let envelope = envelope.with_nonce(0);
        return Ok(Mined {
            bits: envelope.leading_zero_bits(),
            envelope,
            tried: 0,
            elapsed: began.elapsed(),
            reached: true,
            interrupted: false,
        });
    }
    let mut bits = if target < 0.0 { u32::MAX } else { bits_for(envelope, target)? };
    let (mut start, mut tried) = (effort.start, 0);
    loop {
        let from = Effort { start, ..effort.clone() };
        let (result, interrupted) = search(envelope, bits, &from, began);
        let (nonce, found_bits, reached) = match result {
            MineResult::Found { nonce, bits, tried: more } => {
                tried += more;
                (nonce, bits, true)
            }
            MineResult::Stopped { best_nonce, best_bits, tried: more } => {
                tried += more;
                (best_nonce, best_bits, target < 0.0)
            }
        };
        let mined = envelope.with_nonce(nonce);
        // The sender's formula and the peers' differ by a little in rare cases (see
        // `pow::target_bits`): then one bit more is needed.
        if reached && target > 0.0 && mined.pow(0) < target {
            (bits, start) = (bits + 1, nonce);
            continue;
        }
        let elapsed = began.elapsed();
        return Ok(Mined {
            envelope: mined,
            bits: found_bits,
            tried,
            elapsed,
            reached,
            interrupted,
        });
    }
}

/// Mines without limits, for tools whose purpose is another. Ctrl-C ends the tool.
pub fn mine_or_fail(cx: &Context, envelope: &Envelope, target: f64) -> Result<Envelope> {
    let mined = mine(envelope, target, &Effort::default())?;
    if mined.interrupted {
        cx.note("interrupted while mining");
        return Err(Stop::Exit(Exit::Interrupted));
    }
    Ok(mined.envelope)
}

/// The zero bits that a target takes for this envelope.
pub fn bits_for(envelope: &Envelope, target: f64) -> std::result::Result<u32, CliError> {
    pow::target_bits(target, envelope.data().len(), envelope.ttl()).map_err(target_error)
}

/// A target that makes no sense.
pub fn target_error(error: TargetError) -> CliError {
    CliError::usage(error.to_string()).field("--target").hint("Status clients use 0.002")
}

fn search(envelope: &Envelope, bits: u32, effort: &Effort, began: Instant) -> (MineResult, bool) {
    let guard = Guard::new();
    let progress = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let late = || effort.time.is_some_and(|limit| began.elapsed() >= limit);
    let options = MineOptions {
        threads: effort.threads,
        start: effort.start,
        cancel: Some(guard.flag()),
        stop: Some(&late),
        progress: Some(&progress),
        ..MineOptions::default()
    };
    let rlp4 = envelope.rlp4();
    let bar = bar();
    let result = thread::scope(|scope| {
        if !bar.is_hidden() {
            scope.spawn(|| draw(&bar, bits, &progress, &done));
        }
        let result = pow::mine(&rlp4, bits, &options);
        done.store(true, Ordering::SeqCst);
        result
    });
    bar.finish_and_clear();
    (result, guard.is_set())
}

/// On standard error, and only on a terminal.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a constant template"));
    bar
}

/// Shows nonces tried, their rate, and how long such a search takes on average from here.
fn draw(bar: &ProgressBar, bits: u32, progress: &AtomicU64, done: &AtomicBool) {
    let began = Instant::now();
    let expected = 2f64.powi(bits.min(1024) as i32);
    while !done.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(50));
        let tried = progress.load(Ordering::Relaxed);
        let rate = tried as f64 / began.elapsed().as_secs_f64().max(1e-3);
        let message = if bits > 256 {
            format!(
                "{} nonces, {} /s, keeping the best",
                HumanCount(tried),
                HumanCount(rate as u64)
            )
        } else {
            // The search has no memory: what is expected does not shrink as it goes on.
            let seconds = (expected / rate.max(1.0)).min(1e9);
            format!(
                "{} nonces for {bits} zero bits, {} /s, expected {} per find, Ctrl-C keeps the best",
                HumanCount(tried),
                HumanCount(rate as u64),
                HumanDuration(Duration::from_secs_f64(seconds)),
            )
        };
        bar.set_message(message);
        bar.tick();
    }
}

//! Mining with a progress bar, a time limit and Ctrl-C.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar};
use statuskit_client::MiningProgress;
use statuskit_core::envelope::{
    Envelope,
    pow::{self, MineOptions, MinedEnvelope, TargetError},
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    interrupt::Guard,
    progress,
};

/// How often the progress is drawn.
const TICK: Duration = Duration::from_millis(50);

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
    /// The envelope, and how the search ended.
    pub result: MinedEnvelope,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

/// Mines an envelope to `target`, with a progress bar; see [`pow::mine_envelope`].
pub fn mine(
    envelope: &Envelope,
    target: f64,
    effort: &Effort,
) -> std::result::Result<Mined, CliError> {
    let began = Instant::now();
    let guard = Guard::new();
    let tried = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let late = || effort.time.is_some_and(|limit| began.elapsed() >= limit);
    let options = MineOptions {
        threads: effort.threads,
        start: effort.start,
        cancel: Some(guard.flag()),
        stop: Some(&late),
        progress: Some(&tried),
        ..MineOptions::default()
    };
    // Only for the bar: a negative target works for the whole time.
    let bits = bits_for(envelope, target.max(0.0))?;
    let bits = if target < 0.0 { u32::MAX } else { bits };
    let bar = progress::spinner();
    let result = thread::scope(|scope| {
        if progress::is_wanted() && target != 0.0 {
            scope.spawn(|| draw(&bar, bits, &tried, &done));
        }
        let result = pow::mine_envelope(envelope, target, &options);
        done.store(true, Ordering::SeqCst);
        result
    });
    bar.finish_and_clear();
    let result = result.map_err(target_error)?;
    Ok(Mined { result, elapsed: began.elapsed(), interrupted: guard.is_set() })
}

/// Mines without limits, for tools whose purpose is another. Ctrl-C ends the tool.
pub fn mine_or_fail(cx: &Context, envelope: &Envelope, target: f64) -> Result<Envelope> {
    let mined = mine(envelope, target, &Effort::default())?;
    if mined.interrupted {
        cx.note("interrupted while mining");
        return Err(Stop::Exit(Exit::Interrupted));
    }
    Ok(mined.result.envelope)
}

/// The zero bits that a target takes for this envelope.
pub fn bits_for(envelope: &Envelope, target: f64) -> std::result::Result<u32, CliError> {
    pow::target_bits(target, envelope.data().len(), envelope.ttl()).map_err(target_error)
}

/// A target that makes no sense.
pub fn target_error(error: TargetError) -> CliError {
    CliError::usage(error.to_string()).field("--target").hint("Status clients use 0.002")
}

/// Shows how a search goes until it is done.
fn draw(bar: &ProgressBar, bits: u32, tried: &AtomicU64, done: &AtomicBool) {
    let began = Instant::now();
    while !done.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        show(bar, bits, tried.load(Ordering::Relaxed), began.elapsed());
    }
}

/// Shows nonces tried, their rate, and how long such a search takes on average from here.
fn show(bar: &ProgressBar, bits: u32, tried: u64, since: Duration) {
    if since < progress::DELAY {
        return;
    }
    let rate = tried as f64 / since.as_secs_f64().max(1e-3);
    let message = if bits > 256 {
        format!("{} nonces, {} /s, keeping the best", HumanCount(tried), HumanCount(rate as u64))
    } else {
        // The search has no memory: what is expected does not shrink as it goes on.
        let seconds = (2f64.powi(bits as i32) / rate.max(1.0)).min(1e9);
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

/// The progress of what a client mines, on standard error, and only on a terminal.
pub struct Bar {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Draws until this is dropped; `None` where there is no terminal.
    pub fn start(mining: Arc<MiningProgress>) -> Option<Self> {
        if !progress::is_wanted() {
            return None;
        }
        let bar = progress::spinner();
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let thread = thread::spawn(move || {
            let mut began = None;
            while !is_done.load(Ordering::SeqCst) {
                thread::sleep(TICK);
                match mining.bits() {
                    Some(bits) => {
                        let since = began.get_or_insert_with(Instant::now).elapsed();
                        show(&bar, bits, mining.tried(), since);
                    }
                    None if began.take().is_some() => bar.finish_and_clear(),
                    None => {}
                }
            }
            bar.finish_and_clear();
        });
        Some(Self { done, thread: Some(thread) })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It only draws.
            let _ = thread.join();
        }
    }
}

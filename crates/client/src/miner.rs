//! Mining beside everything else: one thread works on one envelope after another, for a limited
//! time each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc as std_mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use statuskit_core::envelope::{
    Envelope,
    pow::{self, MineOptions, MineResult},
};
use tokio::sync::mpsc;

use crate::{
    delivery::{Contents, SendId},
    error::{SendFailure, TooMuchWork},
};

/// Searches for fewer zero bits take no time worth an estimate.
const EASY_BITS: u32 = 20;
/// How long the speed of hashing is measured.
const MEASURE: Duration = Duration::from_millis(20);

/// An envelope to be mined.
#[derive(Debug)]
pub(crate) struct Job {
    pub id: SendId,
    pub contents: Contents,
    pub envelope: Envelope,
    pub work: Work,
}

/// The work for an envelope.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// The proofs of work that are asked for, the highest first. The first one within the limit
    /// counts.
    pub targets: Vec<f64>,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// A job that is done.
#[derive(Debug)]
pub(crate) struct Mined {
    pub id: SendId,
    pub contents: Contents,
    pub result: Result<Envelope, SendFailure>,
    /// A target that was left out.
    pub too_much: Option<TooMuchWork>,
}

/// What the miner is doing, for a progress bar.
#[derive(Debug, Default)]
pub struct MiningProgress {
    bits: AtomicU32,
    tried: AtomicU64,
}

impl MiningProgress {
    /// Returns the zero bits that the current search is for; `None` while nothing is mined.
    pub fn bits(&self) -> Option<u32> {
        Some(self.bits.load(Relaxed)).filter(|bits| *bits > 0)
    }

    /// Returns the nonces that were tried in the current search.
    pub fn tried(&self) -> u64 {
        self.tried.load(Relaxed)
    }
}

/// The thread that mines. Dropping it ends the search.
#[derive(Debug)]
pub(crate) struct Miner {
    jobs: Option<std_mpsc::Sender<Job>>,
    done: mpsc::UnboundedReceiver<Mined>,
    finished: mpsc::UnboundedSender<Mined>,
    cancel: Arc<AtomicBool>,
    progress: Arc<MiningProgress>,
    waiting: usize,
}

impl Miner {
    pub fn new() -> Self {
        let (finished, done) = mpsc::unbounded_channel();
        let (cancel, progress) = (Arc::default(), Arc::default());
        Self { jobs: None, done, finished, cancel, progress, waiting: 0 }
    }

    /// Queues a job. The thread starts with the first.
    pub fn push(&mut self, job: Job) {
        self.waiting += 1;
        let jobs = self.jobs.get_or_insert_with(|| {
            let (jobs, queue) = std_mpsc::channel();
            let (finished, cancel) = (self.finished.clone(), self.cancel.clone());
            let progress = self.progress.clone();
            thread::spawn(move || work(&queue, &finished, &cancel, &progress));
            jobs
        });
        // The thread ends only with us.
        let _ = jobs.send(job);
    }

    /// Returns the next job that is done; never, while there is none. Cancel-safe.
    pub async fn next(&mut self) -> Mined {
        match self.done.recv().await {
            Some(mined) => {
                self.waiting -= 1;
                mined
            }
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Returns the jobs that are not done.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn progress(&self) -> &Arc<MiningProgress> {
        &self.progress
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.cancel.store(true, Relaxed);
    }
}

fn work(
    jobs: &std_mpsc::Receiver<Job>,
    finished: &mpsc::UnboundedSender<Mined>,
    cancel: &AtomicBool,
    progress: &MiningProgress,
) {
    let mut speed = None;
    while let Ok(Job { id, contents, envelope, work }) = jobs.recv() {
        let mut speed = || *speed.get_or_insert_with(measure);
        let mut too_much = None;
        let result = mine(&envelope, &work, cancel, progress, &mut speed, &mut too_much);
        progress.bits.store(0, Relaxed);
        if finished.send(Mined { id, contents, result, too_much }).is_err() {
            break;
        }
    }
}

/// Mines to the highest target that takes no longer than the limit. `speed` gives hashes per
/// second; `too_much` is set to a target that was left out.
fn mine(
    envelope: &Envelope,
    work: &Work,
    cancel: &AtomicBool,
    progress: &MiningProgress,
    speed: &mut dyn FnMut() -> f64,
    too_much: &mut Option<TooMuchWork>,
) -> Result<Envelope, SendFailure> {
    let mut failure = SendFailure::Cancelled;
    for (at, &target) in work.targets.iter().enumerate() {
        let bits = match pow::target_bits(target, envelope.data().len(), envelope.ttl()) {
            Ok(bits) => bits,
            Err(error) => {
                failure = error.into();
                continue;
            }
        };
        let limited = |estimate| {
            let limit = work.limit.unwrap_or(Duration::MAX);
            TooMuchWork { target, estimate, limit }
        };
        if let Some(limit) = work.limit
            && bits > EASY_BITS
        {
            let estimate = f64::from(bits).exp2() / speed();
            if estimate > limit.as_secs_f64() {
                let error = limited(estimate);
                failure = error.clone().into();
                too_much.get_or_insert(error);
                continue;
            }
        }
        let until = work.limit.and_then(|limit| Instant::now().checked_add(limit));
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        progress.tried.store(0, Relaxed);
        progress.bits.store(bits, Relaxed);
        let options = MineOptions {
            cancel: Some(cancel),
            stop: Some(&is_late),
            progress: Some(&progress.tried),
            ..MineOptions::default()
        };
        let mined = pow::mine_envelope(envelope, target, &options)?;
        if mined.reached {
            return Ok(mined.envelope);
        }
        if cancel.load(Relaxed) {
            return Err(SendFailure::Cancelled);
        }
        let error = limited(f64::from(bits).exp2() / speed());
        // Peers that ask for less take what was found.
        let found = mined.envelope.pow(0);
        if work.targets.get(at + 1..).unwrap_or_default().iter().any(|less| found >= *less) {
            too_much.get_or_insert(error);
            return Ok(mined.envelope);
        }
        return Err(error.into());
    }
    Err(failure)
}

/// Measures how many hashes a second are tried.
fn measure() -> f64 {
    let began = Instant::now();
    let late = || began.elapsed() >= MEASURE;
    let options = MineOptions { stop: Some(&late), ..MineOptions::default() };
    let tried = match pow::mine_best(&[0; 64], &options) {
        MineResult::Found { tried, .. } | MineResult::Stopped { tried, .. } => tried,
    };
    tried as f64 / began.elapsed().as_secs_f64().max(1e-6)
}

#[cfg(test)]
mod tests {
    use statuskit_core::envelope::Topic;

    use super::*;
    use statuskit_core::time::UnixSeconds;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Mines for targets with a speed of 2^30 hashes a second.
    fn mined(targets: &[f64]) -> (Result<f64, SendFailure>, Option<TooMuchWork>) {
        let envelope = Envelope::new(UnixSeconds(1000), 10, Topic([1; 4]), &[7; 80], 0);
        let work = Work { targets: targets.to_vec(), limit: Some(LIMIT) };
        let (cancel, progress) = (AtomicBool::new(false), MiningProgress::default());
        let mut speed = || f64::from(1 << 30);
        let mut too_much = None;
        let result = mine(&envelope, &work, &cancel, &progress, &mut speed, &mut too_much);
        (result.map(|envelope| envelope.pow(0)), too_much)
    }

    #[test]
    fn the_highest_target_within_the_limit_counts() {
        let (pow, too_much) = mined(&[0.01]);
        assert!(pow.unwrap() >= 0.01 && too_much.is_none());
        // 1000 bytes·seconds: 2^50 hashes, 2^20 seconds.
        let (pow, too_much) = mined(&[1e12, 0.05, 0.01]);
        let pow = pow.unwrap();
        assert!(pow >= 0.05, "{pow}");
        let too_much = too_much.unwrap();
        assert_eq!(
            (too_much.target, too_much.estimate, too_much.limit),
            (1e12, 1_048_576.0, LIMIT)
        );
        let text = too_much.to_string();
        assert!(text.contains("12.1 days") && text.contains("limit of 10 s"), "{text}");
        let (result, _) = mined(&[1e12]);
        assert_eq!(result, Err(too_much.into()));
        // No hash has it: others don't suffer.
        let (pow, _) = mined(&[1e200, 0.01]);
        assert!(pow.unwrap() >= 0.01);
        assert!(matches!(mined(&[1e200]).0, Err(SendFailure::Target(_))));
    }

    #[test]
    fn work_ends_with_its_time() {
        // Ten bits more than a second is for, whatever the machine.
        let envelope = Envelope::new(UnixSeconds(1000), 1, Topic([1; 4]), &[7; 80], 0);
        let work = Work { targets: vec![1e30, 0.01], limit: Some(Duration::from_millis(50)) };
        let (cancel, progress) = (AtomicBool::new(false), MiningProgress::default());
        let mut too_much = None;
        // The estimate is wrong.
        let mut speed = || f64::INFINITY;
        let result = mine(&envelope, &work, &cancel, &progress, &mut speed, &mut too_much);
        assert!(result.unwrap().pow(0) >= 0.01);
        assert_eq!(too_much.unwrap().target, 1e30);
    }
}

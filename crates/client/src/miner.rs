//! Mining beside everything else: one thread works on one envelope after another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc as std_mpsc,
    },
    thread,
};

use statuskit_core::envelope::{
    Envelope,
    pow::{self, MineOptions, TargetError},
};
use tokio::sync::mpsc;

use crate::delivery::{Contents, SendId};

/// An envelope to be mined.
#[derive(Debug)]
pub(crate) struct Job {
    pub id: SendId,
    pub contents: Contents,
    pub envelope: Envelope,
    pub target: f64,
}

/// A job that is done. `None` if it was cancelled.
pub(crate) type Mined = (SendId, Contents, Result<Option<Envelope>, TargetError>);

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
    while let Ok(Job { id, contents, envelope, target }) = jobs.recv() {
        let mined = mine(&envelope, target, cancel, progress);
        progress.bits.store(0, Relaxed);
        if finished.send((id, contents, mined)).is_err() {
            break;
        }
    }
}

fn mine(
    envelope: &Envelope,
    target: f64,
    cancel: &AtomicBool,
    progress: &MiningProgress,
) -> Result<Option<Envelope>, TargetError> {
    let bits = pow::target_bits(target, envelope.data().len(), envelope.ttl())?;
    progress.tried.store(0, Relaxed);
    progress.bits.store(bits, Relaxed);
    let options = MineOptions {
        cancel: Some(cancel),
        progress: Some(&progress.tried),
        ..MineOptions::default()
    };
    let mined = pow::mine_envelope(envelope, target, &options)?;
    Ok(mined.reached.then_some(mined.envelope))
}

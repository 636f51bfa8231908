//! From the node into the archive: envelopes wait a moment for others, and share a commit.
//!
//! A commit costs the disk about as much for a thousand envelopes as for one. So the first
//! envelope waits up to 10 ms, and whatever comes meanwhile goes with it. Waiting and writing
//! happen on a thread of its own: a slow disk does not slow the node.
//!
//! What was sent before the time that is kept is not taken at all: it would only be removed again.
//!
//! When the archive fails, the envelopes stay, and it is tried again; new ones wait behind them.
//! What does not fit there any more is left out, and once the archive works again it is looked
//! for in the node's pool, where it lives until it expires.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use statuskit_core::envelope::Envelope;
use statuskit_net::node::{Handle, PooledEnvelope};
use tokio::sync::Notify;

use crate::{
    Archive, Intake, Server,
    service::{MailserverConfig, MailserverEvent, Reporter},
};

/// The first pause after a failure of the archive; the next ones are twice as long each.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How often a failing archive is tried when all is to end.
const LAST_ATTEMPTS: u32 = 5;
/// Bytes of envelopes in one commit, or little more.
const COMMIT_BYTES: usize = 8 << 20;

/// The way in.
#[derive(Debug)]
pub(super) struct Ingest {
    handle: Handle,
    limits: Limits,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Tells that there is room again, after there was none.
    pub room: Notify,
}

#[derive(Debug)]
struct Limits {
    retention: Option<Duration>,
    max_age: Option<Duration>,
    interval: Duration,
    commit: usize,
    envelopes: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    envelopes: VecDeque<Arc<PooledEnvelope>>,
    bytes: usize,
    /// How many are being committed.
    in_flight: usize,
    /// When the first of them came.
    since: Option<Instant>,
    /// Some were left out.
    left_out: bool,
    /// Somebody waits for room.
    room_wanted: bool,
    /// The last attempt to commit has failed.
    failing: bool,
    stopping: bool,
}

impl Queue {
    fn waiting(&self) -> usize {
        self.envelopes.len() + self.in_flight
    }

    fn push(
        &mut self,
        envelope: Arc<PooledEnvelope>,
        limits: &Limits,
    ) -> Result<(), Arc<PooledEnvelope>> {
        let length = envelope.envelope().raw().len();
        // However little room there is, one may always wait.
        let full = self.envelopes.len() >= limits.envelopes || self.bytes + length > limits.bytes;
        if full && !self.envelopes.is_empty() {
            return Err(envelope);
        }
        self.bytes += length;
        self.envelopes.push_back(envelope);
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

impl Ingest {
    pub fn new(handle: &Handle, server: &Server, config: &MailserverConfig) -> Self {
        let limits = Limits {
            retention: server.config().retention,
            max_age: config.max_age,
            interval: config.commit_interval,
            commit: config.commit_envelopes.max(1),
            envelopes: config.waiting_envelopes.max(1),
            bytes: config.waiting_bytes,
        };
        let (handle, room) = (handle.clone(), Notify::new());
        Self { handle, limits, queue: Mutex::default(), wake: Condvar::new(), room }
    }

    /// Whether an envelope is not too old. Those that are, are counted and not told one by one:
    /// whoever sends them could drown the other news.
    fn is_kept(&self, envelope: &PooledEnvelope, reporter: &Reporter) -> bool {
        let Limits { retention, max_age, .. } = self.limits;
        let intake = Intake::from_node(self.handle.now().as_secs() as u32, retention, max_age);
        let checked = intake.check(envelope.envelope());
        checked.inspect_err(|why| reporter.counters.lock().passed_over.add(*why)).is_ok()
    }

    /// Takes an envelope, if it is not too old, and there is room.
    pub fn push(&self, envelope: Arc<PooledEnvelope>, reporter: &Reporter) {
        if !self.is_kept(&envelope, reporter) {
            return;
        }
        let mut queue = self.lock();
        let taken = queue.push(envelope, &self.limits);
        let waiting = queue.waiting();
        let first_left_out = taken.is_err() && !std::mem::replace(&mut queue.left_out, true);
        queue.room_wanted |= first_left_out;
        self.pushed(queue, taken.is_ok().into(), reporter);
        reporter.counters.lock().left_out += u64::from(taken.is_err());
        if first_left_out {
            reporter.report(MailserverEvent::IngestFull { waiting });
        }
    }

    /// Takes the first of these, as many as there is room for. If some remain, there is
    /// [`room`](Self::room) later.
    pub fn push_some(&self, envelopes: &mut VecDeque<Arc<PooledEnvelope>>, reporter: &Reporter) {
        if envelopes.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let before = queue.envelopes.len();
        while let Some(envelope) = envelopes.pop_front() {
            if !self.is_kept(&envelope, reporter) {
                continue;
            }
            if let Err(envelope) = queue.push(envelope, &self.limits) {
                envelopes.push_front(envelope);
                queue.room_wanted = true;
                break;
            }
        }
        let new = queue.envelopes.len() - before;
        self.pushed(queue, new, reporter);
    }

    /// Whether envelopes were left out since this was last asked.
    pub fn take_left_out(&self) -> bool {
        std::mem::take(&mut self.lock().left_out)
    }

    fn pushed(&self, queue: MutexGuard<'_, Queue>, new: usize, reporter: &Reporter) {
        let (queued, waiting) = (queue.envelopes.len(), queue.waiting());
        drop(queue);
        // The first one starts the wait, and a full commit ends it; the others need not wake the
        // thread.
        if new > 0 && (queued == new || queued >= self.limits.commit) {
            self.wake.notify_one();
        }
        reporter.counters.lock().waiting = waiting;
    }

    /// Ends [`run`](Self::run), once everything is in the archive, or it failed often enough.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_all();
    }

    /// How many envelopes wait for an archive that fails; none if it does not.
    pub fn stuck(&self) -> Option<usize> {
        let queue = self.lock();
        queue.failing.then(|| queue.waiting())
    }

    /// Carries envelopes into the archive until it is stopped. Returns how many were lost.
    pub fn run(&self, archive: &dyn Archive, reporter: &Reporter) -> usize {
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                return 0;
            }
            if !self.commit(&batch, archive, reporter) {
                return self.lock().waiting();
            }
        }
    }

    /// The next envelopes to be committed together; none at the end.
    fn next_batch(&self) -> Vec<Envelope> {
        let mut queue = self.lock();
        loop {
            let full = queue.envelopes.len() >= self.limits.commit || queue.bytes >= COMMIT_BYTES;
            let waited = queue.since.map(|since| since.elapsed());
            queue = match waited {
                _ if queue.stopping || full => break,
                None => self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(waited) => match self.limits.interval.checked_sub(waited) {
                    None | Some(Duration::ZERO) => break,
                    Some(left) => self.wait(queue, left),
                },
            };
        }
        let mut batch = Vec::with_capacity(queue.envelopes.len().min(self.limits.commit));
        let mut bytes = 0;
        while batch.len() < self.limits.commit
            && bytes < COMMIT_BYTES
            && let Some(envelope) = queue.envelopes.pop_front()
        {
            bytes += envelope.envelope().raw().len();
            batch.push(envelope.envelope().clone());
        }
        queue.bytes -= bytes;
        queue.since = (!queue.envelopes.is_empty()).then(Instant::now);
        queue.in_flight = batch.len();
        if queue.envelopes.is_empty() && std::mem::take(&mut queue.room_wanted) {
            self.room.notify_one();
        }
        batch
    }

    /// Tries until it succeeds; gives up only when all is to end.
    fn commit(&self, batch: &[Envelope], archive: &dyn Archive, reporter: &Reporter) -> bool {
        let mut pause = FIRST_RETRY;
        let mut last_attempts = 0;
        let mut failed = false;
        loop {
            let error = match archive.append(batch) {
                Ok(new) => {
                    let mut queue = self.lock();
                    (queue.in_flight, queue.failing) = (0, false);
                    let waiting = queue.waiting();
                    drop(queue);
                    let mut stats = reporter.counters.lock();
                    stats.archived += new as u64;
                    stats.duplicates += (batch.len() - new.min(batch.len())) as u64;
                    stats.commits += 1;
                    stats.waiting = waiting;
                    drop(stats);
                    if failed {
                        reporter.report(MailserverEvent::ArchiveRecovered);
                    }
                    return true;
                }
                Err(error) => error,
            };
            failed = true;
            reporter.counters.lock().archive_errors += 1;
            let mut queue = self.lock();
            queue.failing = true;
            let waiting = queue.waiting();
            if queue.stopping {
                // However long it has failed by now: the last attempts follow fast.
                pause = if last_attempts == 0 { FIRST_RETRY } else { pause };
                last_attempts += 1;
            }
            let gives_up = last_attempts >= LAST_ATTEMPTS;
            let retry_in = (!gives_up).then_some(pause);
            reporter.report(MailserverEvent::ArchiveFailed { error, waiting, retry_in });
            if gives_up {
                return false;
            }
            self.pause(queue, pause);
            pause = (2 * pause).min(LONGEST_RETRY);
        }
    }

    /// Waits, for the whole time unless it begins to stop meanwhile.
    fn pause<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, pause: Duration) {
        let until = Instant::now() + pause;
        let stopping = queue.stopping;
        while queue.stopping == stopping
            && let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            queue = self.wait(queue, left);
        }
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>, limit: Duration) -> MutexGuard<'a, Queue> {
        self.wake.wait_timeout(queue, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! From the node into the archive: envelopes wait a moment for others and share a commit.
//!
//! A commit of a thousand envelopes costs the disk about as much as one of a single envelope. So
//! the first envelope waits up to 10 ms, and what comes meanwhile joins it. Commits run on a
//! blocking thread: a slow disk does not slow the node.
//!
//! Envelopes older than what is kept are not stored: they would only be removed again.
//!
//! When the archive fails, envelopes stay and are retried, and new ones wait behind them. Those
//! without room are left out. Once the archive works again they are looked up in the node's pool,
//! where they live until they expire.
//!
//! After each commit the node learns how far its envelopes are stored, so that it can confirm them.
//! Envelopes are committed in the order of their numbers. Where some were left out, nothing is
//! confirmed from there on until the pool was looked through.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use statuskit_core::{envelope::Envelope, time::UnixSeconds};
use statuskit_net::node::{Handle, PooledEnvelope};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    Archive, ArchiveError, Intake, Server,
    service::{MailserverConfig, MailserverEvent, Reporter},
};

/// The first pause after a failure of the archive. Each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How often a failing archive is tried when the mailserver stops.
const LAST_ATTEMPTS: u32 = 5;
/// A commit takes no more envelopes once it has this many bytes.
const COMMIT_BYTES: usize = 8 << 20;

/// The queue into the archive.
#[derive(Debug)]
pub(super) struct Ingest {
    handle: Handle,
    limits: Limits,
    queue: Mutex<Queue>,
    /// Wakes [`run`](Self::run).
    wake: Notify,
    /// Signals that there is room again.
    pub(super) room: Notify,
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
    envelopes: VecDeque<Waiting>,
    bytes: usize,
    /// How many are being committed.
    in_flight: usize,
    /// Their [`Waiting::through`].
    in_flight_through: u64,
    /// The greatest number of an envelope so far.
    last: u64,
    /// The number from which on some may be neither stored nor waiting, until the pool was looked
    /// through.
    gap: Option<u64>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Whether some were left out.
    left_out: bool,
    /// Whether a task waits for room.
    room_wanted: bool,
    /// Whether the last commit failed.
    failing: bool,
    stopping: bool,
}

/// An envelope that waits for its commit.
#[derive(Debug)]
struct Waiting {
    envelope: Arc<PooledEnvelope>,
    /// Everything up to this number is stored, once this envelope is; 0 if that is unknown.
    through: u64,
}

/// What is in the pool, and not in the queue yet.
pub(super) type Scan = VecDeque<Arc<PooledEnvelope>>;

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
        self.envelopes.push_back(Waiting { envelope, through: 0 });
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Notes that everything up to the last number is stored, once everything that waits is. Returns
    /// the number if nothing waits.
    fn mark(&mut self) -> Option<u64> {
        if self.gap.is_some() {
            return None;
        }
        match self.envelopes.back_mut() {
            Some(waiting) => waiting.through = self.last,
            None if self.in_flight > 0 => self.in_flight_through = self.last,
            None => return Some(self.last),
        }
        None
    }

    /// Whether the next commit is due now; otherwise when, if anything waits.
    fn due(&self, limits: &Limits) -> Result<(), Option<Instant>> {
        let full = self.envelopes.len() >= limits.commit || self.bytes >= COMMIT_BYTES;
        match self.since.map(|since| since + limits.interval) {
            _ if self.stopping || full => Ok(()),
            Some(due) if due <= Instant::now() => Ok(()),
            due => Err(due),
        }
    }

    /// Takes the envelopes of the next commit.
    fn take(&mut self, limits: &Limits) -> Vec<Envelope> {
        let mut batch = Vec::with_capacity(self.envelopes.len().min(limits.commit));
        let mut bytes = 0;
        while batch.len() < limits.commit
            && bytes < COMMIT_BYTES
            && let Some(Waiting { envelope, through }) = self.envelopes.pop_front()
        {
            self.in_flight_through = self.in_flight_through.max(through);
            bytes += envelope.envelope().raw().len();
            batch.push(envelope.envelope().clone());
        }
        self.bytes -= bytes;
        self.since = (!self.envelopes.is_empty()).then(Instant::now);
        self.in_flight = batch.len();
        batch
    }
}

impl Ingest {
    pub(super) fn new(handle: &Handle, server: &Server, config: &MailserverConfig) -> Self {
        let limits = Limits {
            retention: server.config().retention,
            max_age: config.max_age,
            interval: config.commit_interval,
            commit: config.commit_envelopes.max(1),
            envelopes: config.waiting_envelopes.max(1),
            bytes: config.waiting_bytes,
        };
        let (handle, wake, room) = (handle.clone(), Notify::new(), Notify::new());
        let queue = Mutex::new(Queue { gap: Some(0), ..Queue::default() });
        Self { handle, limits, queue, wake, room }
    }

    /// Whether an envelope is kept. Old ones are counted but not reported one by one: their sender
    /// could drown other events.
    fn is_kept(&self, envelope: &PooledEnvelope, reporter: &Reporter) -> bool {
        let Limits { retention, max_age, .. } = self.limits;
        let intake =
            Intake::from_node(UnixSeconds::from_since_epoch(self.handle.now()), retention, max_age);
        let checked = intake.check(envelope.envelope());
        checked.inspect_err(|why| reporter.counters.lock().passed_over.add(*why)).is_ok()
    }

    /// Takes the envelope with this number, if it is kept and there is room.
    pub(super) fn push(&self, envelope: Arc<PooledEnvelope>, number: u64, reporter: &Reporter) {
        let is_kept = self.is_kept(&envelope, reporter);
        let mut queue = self.lock();
        queue.last = queue.last.max(number);
        if !is_kept {
            let stored = queue.mark();
            drop(queue);
            return self.confirm(stored);
        }
        let taken = queue.push(envelope, &self.limits);
        match &taken {
            // Something waits now, so there is nothing to confirm.
            Ok(()) => drop(queue.mark()),
            Err(_) => drop(queue.gap.get_or_insert(number)),
        }
        let waiting = queue.waiting();
        let first_left_out = taken.is_err() && !std::mem::replace(&mut queue.left_out, true);
        queue.room_wanted |= first_left_out;
        self.pushed(queue, taken.is_ok().into(), reporter);
        reporter.counters.lock().left_out += u64::from(taken.is_err());
        if first_left_out {
            reporter.report(MailserverEvent::IngestFull { waiting });
        }
    }

    /// Begins to look through the node's pool. Envelopes that were left out may have expired, so
    /// they are not confirmed any more.
    pub(super) fn scan(&self) -> Scan {
        let gap = self.lock().gap;
        let (mut envelopes, mut last) = (Scan::new(), None);
        for handle in self.handle.networks() {
            handle.with(|node, _| {
                gap.into_iter().for_each(|gap| node.not_stored(gap));
                envelopes.extend(node.pool().cloned());
                // What has come since the first pool was looked through may be in neither.
                last.get_or_insert(node.last_number());
            });
        }
        let last = last.unwrap_or_default();
        let mut queue = self.lock();
        queue.last = queue.last.max(last);
        envelopes
    }

    /// Takes as many of these as there is room for. If some remain, [`room`](Self::room) signals
    /// when there is more. Otherwise the scan has ended.
    pub(super) fn push_some(&self, scan: &mut Option<Scan>, reporter: &Reporter) {
        let Some(envelopes) = scan else { return };
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
        let mut stored = None;
        if envelopes.is_empty() {
            *scan = None;
            if !queue.left_out {
                queue.gap = None;
            } else if queue.envelopes.is_empty() {
                self.room.notify_one();
            } else {
                queue.room_wanted = true;
            }
            stored = queue.mark();
        }
        self.pushed(queue, new, reporter);
        self.confirm(stored);
    }

    /// Returns whether envelopes were left out since the last call.
    pub(super) fn take_left_out(&self) -> bool {
        std::mem::take(&mut self.lock().left_out)
    }

    fn pushed(&self, queue: MutexGuard<'_, Queue>, new: usize, reporter: &Reporter) {
        let (queued, waiting) = (queue.envelopes.len(), queue.waiting());
        drop(queue);
        // The first one starts the wait and a full commit ends it; the others wake nobody.
        if new > 0 && (queued == new || queued >= self.limits.commit) {
            self.wake.notify_one();
        }
        reporter.counters.lock().waiting = waiting;
    }

    /// Ends [`run`](Self::run) once everything is in the archive, or that has failed often enough.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_one();
    }

    /// Returns how many envelopes wait for an archive that fails; `None` if it does not.
    pub(super) fn stuck(&self) -> Option<usize> {
        let queue = self.lock();
        queue.failing.then(|| queue.waiting())
    }

    /// Commits envelopes to the archive until it is stopped. Returns how many were lost.
    pub(super) async fn run(
        self: Arc<Self>,
        archive: Arc<dyn Archive>,
        reporter: Arc<Reporter>,
    ) -> usize {
        loop {
            let batch = self.next_batch().await;
            if batch.is_empty() {
                return 0;
            }
            if !self.commit(batch.into(), &archive, &reporter).await {
                return self.lock().waiting();
            }
        }
    }

    /// Returns the next envelopes to commit together; none at the end.
    async fn next_batch(&self) -> Vec<Envelope> {
        loop {
            let due = {
                let mut queue = self.lock();
                match queue.due(&self.limits) {
                    Err(due) => due,
                    Ok(()) => {
                        let batch = queue.take(&self.limits);
                        let has_room = queue.envelopes.is_empty();
                        if has_room && std::mem::take(&mut queue.room_wanted) {
                            self.room.notify_one();
                        }
                        return batch;
                    }
                }
            };
            self.woken(due).await;
        }
    }

    /// Tries until it succeeds; gives up only when the mailserver stops.
    async fn commit(
        &self,
        batch: Arc<[Envelope]>,
        archive: &Arc<dyn Archive>,
        reporter: &Reporter,
    ) -> bool {
        let mut pause = FIRST_RETRY;
        let mut last_attempts = 0;
        let mut failed = false;
        loop {
            let error = match append(&batch, archive).await {
                Ok(new) => {
                    self.committed(batch.len(), new, reporter);
                    if failed {
                        reporter.report(MailserverEvent::ArchiveRecovered);
                    }
                    return true;
                }
                Err(error) => error,
            };
            failed = true;
            reporter.counters.lock().archive_errors += 1;
            let (waiting, stopping) = {
                let mut queue = self.lock();
                queue.failing = true;
                (queue.waiting(), queue.stopping)
            };
            if stopping {
                // However long it has failed by now: the last attempts follow quickly.
                pause = if last_attempts == 0 { FIRST_RETRY } else { pause };
                last_attempts += 1;
            }
            let gives_up = last_attempts >= LAST_ATTEMPTS;
            let retry_in = (!gives_up).then_some(pause);
            reporter.report(MailserverEvent::ArchiveFailed { error, waiting, retry_in });
            if gives_up {
                return false;
            }
            self.pause(pause, stopping).await;
            pause = (2 * pause).min(LONGEST_RETRY);
        }
    }

    /// Lets the node confirm envelopes up to this number.
    fn confirm(&self, stored: Option<u64>) {
        if let Some(through) = stored.filter(|through| *through > 0) {
            for handle in self.handle.networks() {
                handle.with(|node, _| node.stored(through));
            }
        }
    }

    fn committed(&self, envelopes: usize, new: usize, reporter: &Reporter) {
        let (waiting, stored) = {
            let mut queue = self.lock();
            (queue.in_flight, queue.failing) = (0, false);
            (queue.waiting(), std::mem::take(&mut queue.in_flight_through))
        };
        self.confirm(Some(stored));
        let mut stats = reporter.counters.lock();
        stats.archived += new as u64;
        stats.duplicates += (envelopes - new.min(envelopes)) as u64;
        stats.commits += 1;
        stats.waiting = waiting;
    }

    /// Pauses, at most until the mailserver begins to stop.
    async fn pause(&self, pause: Duration, stopping: bool) {
        let until = Instant::now() + pause;
        while self.lock().stopping == stopping && self.woken(Some(until)).await {}
    }

    /// Waits until this time, or until it is woken. Returns whether it was woken.
    async fn woken(&self, until: Option<Instant>) -> bool {
        match until {
            Some(until) => timeout_at(until, self.wake.notified()).await.is_ok(),
            None => {
                self.wake.notified().await;
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends on a thread that may block.
async fn append(
    batch: &Arc<[Envelope]>,
    archive: &Arc<dyn Archive>,
) -> Result<usize, ArchiveError> {
    let (batch, archive) = (batch.clone(), archive.clone());
    spawn_blocking(move || archive.append(&batch)).await.unwrap_or_else(|error| {
        Err(ArchiveError::Unusable(format!("writing to the archive ended: {error}")))
    })
}

//! Counters of a mailserver.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{PassedOver, service::Answered};

/// Upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// What a mailserver has done so far, and what waits.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MailserverStats {
    /// Requests by [`Outcome::label`](super::Outcome::label).
    pub requests: BTreeMap<&'static str, u64>,
    /// Sync requests of other mailservers, likewise.
    pub sync_requests: BTreeMap<&'static str, u64>,
    /// Durations of requests that were answered, with envelopes or without.
    pub durations: Histogram,
    /// Requests that wait for others of the same client.
    pub queued: usize,
    /// Envelopes sent.
    pub envelopes_sent: u64,
    /// Bytes of the packets sent.
    pub bytes_sent: u64,
    /// Requested envelopes that are too large for any packet.
    pub oversized: u64,
    /// Envelopes archived durably.
    pub archived: u64,
    /// Envelopes that were in the archive already.
    pub duplicates: u64,
    /// Commits.
    pub commits: u64,
    /// Envelopes that wait for a commit.
    pub waiting: usize,
    /// Failures of the archive, of any kind.
    pub archive_errors: u64,
    /// Envelopes left out because too many waited. Those that are archived later, from the node's
    /// pool, count here, too.
    pub left_out: u64,
    /// Envelopes not stored for their age. Those in the node's pool count again whenever it is
    /// looked through.
    pub passed_over: PassedOver,
    /// Envelopes removed for their age.
    pub pruned: u64,
}

/// A histogram of durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// The last one counts those above all bounds.
    counts: [u64; BOUNDS.len() + 1],
    /// The sum of all, in seconds.
    sum: f64,
}

impl Histogram {
    /// Adds a duration.
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at] += 1;
        self.sum += seconds;
    }

    /// Returns upper bounds in seconds, ascending, each with the number of durations up to it. The
    /// last bound is infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut sum = 0;
        bounds.zip(self.counts).map(move |(bound, count)| {
            sum += count;
            (bound, sum)
        })
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of durations in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// The shared counters.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<MailserverStats>);

impl Counters {
    pub(super) fn lock(&self) -> MutexGuard<'_, MailserverStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, answered: &Answered) {
        let mut stats = self.lock();
        let label = answered.outcome.label();
        let by_outcome = if answered.sync { &mut stats.sync_requests } else { &mut stats.requests };
        *by_outcome.entry(label).or_default() += 1;
        stats.envelopes_sent += answered.totals.envelopes;
        stats.bytes_sent += answered.totals.bytes;
        stats.oversized += answered.totals.oversized;
        if matches!(label, "delivered" | "empty") {
            stats.durations.add(answered.elapsed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative() {
        let mut histogram = Histogram::default();
        for millis in [0, 1, 1, 30, 7000, 61_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = histogram.cumulative().collect();
        assert_eq!(buckets.len(), BOUNDS.len() + 1);
        assert_eq!((buckets[0], buckets[1]), ((0.0005, 1), (0.001, 3)));
        assert_eq!((buckets[6], buckets[13], buckets[14]), ((0.05, 4), (10.0, 5), (60.0, 5)));
        assert_eq!(buckets[15], (f64::INFINITY, 6));
        assert_eq!((histogram.count(), histogram.sum()), (6, 68.032));
    }
}

//! The radius of a topic: how near to the topic's position nodes are asked.
//!
//! Waiting times (or the answers to queries) tell whether a node at some distance is inside of the
//! radius that registrants use. Probes find where inside ends.
//!
//! Source: go-ethereum 1.9 `p2p/discv5/ticket.go`.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        TopicName,
        topic::{BUCKETS, bucket_distances},
    },
};

/// In this time, what was learnt loses its weight by the factor e.
pub(super) const TIME_CONSTANT: Duration = Duration::from_secs(20 * 60);
/// How long an answer to a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The waiting time that registrants aim at.
const TARGET_WAIT: f64 = 600.0;
const MIN_RIGHT_SUM: f64 = 20.0;
const MIN_PEAK: f64 = 40.0;
const MAX_NO_ADJUST: f64 = 20.0;
/// How many buckets beside the peak are probed.
const WIDTH: usize = 8;
/// The most unanswered probes that are remembered in a bucket.
const MAX_SENT: usize = 32;

/// The radius of a topic.
#[derive(Debug)]
pub struct Radius {
    topic: TopicName,
    position: u64,
    radius: u64,
    min_radius: u64,
    min_bucket: usize,
    is_converged: bool,
    buckets: Vec<Bucket>,
}

/// The weights of a bucket, and the running sum of outside minus inside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bucket {
    /// The weight of answers that say: outside.
    pub outside: f64,
    /// The weight of answers that say: inside.
    pub inside: f64,
    /// The weight of probes without an answer.
    pub no_adjust: f64,
    /// The running sum, as last computed.
    pub value: f64,
    updated: Duration,
    /// The targets of probes, and when they began.
    sent: Vec<(NodeId, Duration)>,
}

/// What to look up for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The target of the lookup.
    pub id: NodeId,
    /// Whether it is a probe of the radius. Its answers are used for that only.
    pub is_probe: bool,
}

impl Radius {
    /// Makes the radius of a topic of which nothing is known.
    pub fn new(topic: TopicName) -> Self {
        let position = topic.position();
        Self {
            topic,
            position,
            radius: u64::MAX,
            min_radius: u64::MAX,
            min_bucket: 0,
            is_converged: false,
            buckets: Vec::new(),
        }
    }

    /// Returns the radius: all nodes at first.
    pub fn radius(&self) -> u64 {
        self.radius
    }

    /// Returns the distance from a target within which each node of a lookup is asked.
    pub fn min_radius(&self) -> u64 {
        self.min_radius
    }

    /// Returns whether no probe is needed.
    pub fn is_converged(&self) -> bool {
        self.is_converged
    }

    /// Returns the buckets that were needed so far.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Learns from a waiting time in seconds.
    pub fn adjust_by_wait(&mut self, node: &NodeId, target: &NodeId, wait: u32, now: Duration) {
        self.adjust(node, target, f64::from(wait) / TARGET_WAIT - 0.5, now);
    }

    /// Learns from a node that is `inside` to a part, from 0 to 1.
    pub fn adjust(&mut self, node: &NodeId, target: &NodeId, inside: f64, now: Duration) {
        let index = self.topic.bucket(node);
        let Some(bucket) = self.buckets.get_mut(index) else { return };
        bucket.update(now);
        let inside = inside.clamp(0.0, 1.0);
        bucket.inside += inside;
        bucket.outside += 1.0 - inside;
        bucket.sent.retain(|(sent, _)| sent != target);
    }

    /// Computes the radius anew. Returns the bucket to be probed next, or `None` if it is known well
    /// enough.
    pub fn recalculate(&mut self, now: Duration, rng: &mut (impl Rng + ?Sized)) -> Option<usize> {
        let mut sum = 0.0;
        for bucket in &mut self.buckets {
            bucket.update(now);
            sum += bucket.outside - bucket.inside;
            bucket.value = sum;
        }
        let (mut peak, mut top, mut cross) = (0, 0.0, None);
        for (index, bucket) in self.buckets.iter().enumerate() {
            if bucket.value < index as f64 {
                cross = Some(index);
                break;
            }
            if bucket.value > top {
                (top, peak) = (bucket.value, index + 1);
            }
        }
        let (mut min_bucket, mut sum) = (self.buckets.len(), 0.0);
        while min_bucket > 0 && sum < MIN_RIGHT_SUM {
            min_bucket -= 1;
            sum += self.buckets[min_bucket].inside + self.buckets[min_bucket].outside;
        }
        self.min_bucket = min_bucket;
        self.min_radius = far_edge(min_bucket);

        let left = match peak.checked_sub(WIDTH + 1) {
            Some(end) => self.needs(0, end, top),
            // Nothing is left of it.
            None => top < MIN_PEAK,
        };
        let left = left.then(|| self.choose(peak.saturating_sub(WIDTH), peak, rng)).flatten();
        let is_crossed_here = cross == Some(peak);
        let mut right = None;
        if !is_crossed_here
            && (min_bucket <= peak
                || self.needs(peak + WIDTH, self.buckets.len().saturating_sub(1), top))
        {
            let wanted = (peak + WIDTH + 1).min(BUCKETS);
            if self.buckets.len() < wanted {
                self.buckets.resize(wanted, Bucket::default());
            }
            right = self.choose(peak, peak + WIDTH, rng);
        }
        let probe = match (left, right) {
            (Some(left), Some(right)) => {
                Some(if rng.random_range(0..2) == 0 { left } else { right })
            }
            (left, right) => left.or(right),
        };
        if probe.is_none() {
            self.is_converged = true;
            self.radius = match peak.min(min_bucket) {
                0 => u64::MAX,
                bucket => far_edge(bucket),
            };
        }
        probe
    }

    /// Returns whether a node that a lookup has found is near enough to be asked; the nearest one always
    /// is. As long as the radius is not known, all of them are: they are those around the topic.
    pub fn reaches(&self, node: &NodeId, target: &Target) -> bool {
        let is_regular = !target.is_probe && !self.is_converged;
        is_regular || (prefix(node) ^ prefix(&target.id)) < self.min_radius
    }

    /// Returns what to look up next: a probe if one is needed and allowed, else something within the
    /// radius. As long as that is not known, the position of the topic itself: with targets anywhere,
    /// who registers and who searches would seldom meet.
    pub fn next_target(
        &mut self,
        allow_probe: bool,
        now: Duration,
        rng: &mut (impl Rng + ?Sized),
    ) -> Target {
        if allow_probe && let Some(bucket) = self.recalculate(now, rng) {
            let (low, high) = bucket_distances(bucket);
            let distance = low + rng.random::<f64>() * (high - low);
            let id = self.at(distance as u64, rng);
            if let Some(bucket) = self.buckets.get_mut(bucket) {
                if bucket.sent.len() >= MAX_SENT {
                    bucket.sent.remove(0);
                }
                bucket.sent.push((id, now));
            }
            return Target { id, is_probe: true };
        }
        if !self.is_converged {
            return Target { id: self.at(0, rng), is_probe: false };
        }
        // Evenly within about one and a half radius.
        let beyond = (self.radius / 2).min(u64::MAX - self.radius);
        let random = u128::from(rng.random_range(0..self.radius.max(1)))
            + u128::from(rng.random_range(0..(2 * beyond).max(1)));
        let distance = random.abs_diff(u128::from(beyond));
        let id = self.at(u64::try_from(distance).unwrap_or(u64::MAX), rng);
        Target { id, is_probe: false }
    }

    /// Returns a random id at a distance.
    fn at(&self, distance: u64, rng: &mut (impl Rng + ?Sized)) -> NodeId {
        let mut id: [u8; 32] = rng.random();
        id[..8].copy_from_slice(&(self.position ^ distance).to_be_bytes());
        NodeId(id)
    }

    /// Returns whether the values from bucket `first` to `last` are not far below the top yet.
    fn needs(&self, first: usize, last: usize, top: f64) -> bool {
        let end = self.buckets.len().saturating_sub(1);
        let mut highest = 0.0_f64;
        let last = match self.buckets.get(end) {
            Some(bucket) if last >= self.buckets.len() => {
                highest = highest.max(bucket.value);
                end
            }
            _ => last,
        };
        for bucket in self.buckets.iter().take(last + 1).skip(first) {
            highest = highest.max(bucket.value);
        }
        top - highest < MIN_PEAK
    }

    /// Chooses one of the buckets `first..end` that answer.
    fn choose(&self, first: usize, end: usize, rng: &mut (impl Rng + ?Sized)) -> Option<usize> {
        let answers = |index: &usize| {
            self.buckets.get(*index).is_none_or(|bucket| bucket.no_adjust < MAX_NO_ADJUST)
        };
        let candidates: Vec<_> = (first..end).filter(answers).collect();
        if candidates.is_empty() {
            return None;
        }
        Some(candidates[rng.random_range(0..candidates.len())])
    }
}

impl Bucket {
    fn update(&mut self, now: Duration) {
        if now == self.updated {
            return;
        }
        let since = now.saturating_sub(self.updated).as_secs_f64();
        let factor = (-since / TIME_CONSTANT.as_secs_f64()).exp();
        self.outside *= factor;
        self.inside *= factor;
        self.no_adjust *= factor;
        self.updated = now;
        let before = self.sent.len();
        self.sent.retain(|(_, sent)| now.saturating_sub(*sent) <= PROBE_TIMEOUT);
        self.no_adjust += (before - self.sent.len()) as f64;
    }
}

fn prefix(id: &NodeId) -> u64 {
    id.0.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Returns the distance at which a bucket begins. That of bucket 0 does not fit.
fn far_edge(bucket: usize) -> u64 {
    // The conversion saturates.
    bucket_distances(bucket).1 as u64
}

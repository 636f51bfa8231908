//! How fast a peer lets us write: the limits that it announces, seen from the other side.
//!
//! A peer that limits its rate counts packets, whatever their codes and however much is in them,
//! and some part with those who exceed. So packets to it are spread out, and envelopes that come
//! meanwhile share one. Its buckets hold one second's worth. We write at most half of that at
//! once, and two thirds of the rate on average, for three reasons: packets that are written apart
//! may be read together; others may share our address; and the reference refills in whole packets
//! every 100 ms, so that of an announced 14 per second it takes 10. (Of limits below five it refills
//! nothing: such a node takes so many packets in all, and no pace pleases it.)
//!
//! Source: Whisper specification of Status, "Rate NodeLimits"; counting as in the reference.

use std::time::Duration;

use statuskit_core::wire::RateLimits;

use super::core::Time;

/// Above so many packets per second, nobody needs to hold back.
const UNLIMITED: u64 = 10_000;
/// An answer that would be written later than this is not worth writing.
const LATEST_ANSWER: Duration = Duration::from_secs(10);

/// When the next packet may be written to one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// The mean time between packets; zero if there is no limit.
    interval: Duration,
    /// How many packets may be written at once after a rest.
    burst: u32,
    /// When the next packet would be due, had there been no bursts.
    next: Time,
}

impl Pace {
    /// For a peer that announces these limits. Without a limit by address there is none by peer;
    /// nobody limits by topic.
    pub fn new(limits: &RateLimits) -> Self {
        let limit = match (limits.ip, limits.peer_id) {
            (ip, 0) => ip,
            (ip, peer) => ip.min(peer),
        };
        match limit {
            0 | UNLIMITED.. => Self::default(),
            limit => Self {
                interval: Duration::from_millis(1500) / limit as u32,
                burst: (limit as u32 / 2).max(1),
                next: Time::ZERO,
            },
        }
    }

    /// The limits have changed; what was written before still counts.
    pub fn change(&mut self, limits: &RateLimits) {
        *self = Self { next: self.next, ..Self::new(limits) };
    }

    /// Whether packets are counted at all.
    pub fn is_limited(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Whether a packet must wait, and until when.
    pub fn wait_until(&self, now: Time) -> Option<Time> {
        let at = self.next.saturating_sub(self.interval * self.burst.saturating_sub(1));
        (self.is_limited() && at > now).then_some(at)
    }

    /// A packet is written.
    pub fn count(&mut self, now: Time) {
        self.next = self.next.max(now) + self.interval;
    }

    /// What was written before the clock was set back still counts, and no more than that.
    pub fn clock_set_back(&mut self, now: Time) {
        self.next = self.next.min(now + self.interval * self.burst);
    }

    /// How many answers may wait: no more than are written before they are of no use.
    pub fn answers(&self) -> usize {
        match self.interval.as_nanos() {
            0 => usize::MAX,
            interval => (LATEST_ANSWER.as_nanos() / interval) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::devp2p::NodeId;

    use super::*;
    use crate::node::{
        RateLimit,
        limit::{Count, RateLimiter},
    };

    const START: Time = Duration::from_secs(1_585_700_000);

    fn pace(ip: u64, peer_id: u64) -> Pace {
        Pace::new(&RateLimits { ip, peer_id, topic: 0 })
    }

    #[test]
    fn the_lower_limit_counts_and_none_is_none() {
        for (ip, peer_id, expected) in
            [(0, 0, 0), (0, 5, 0), (5, 0, 300), (10, 5, 300), (3, 15, 500)]
        {
            assert_eq!(pace(ip, peer_id).interval.as_millis(), expected, "{ip} {peer_id}");
        }
        assert!(!pace(u64::MAX, u64::MAX).is_limited());
        assert_eq!(pace(0, 0).wait_until(START), None);
    }

    /// Each packet arrives when it is written, or in the worst case late, and then together with
    /// the next ones.
    #[test]
    fn a_counting_peer_finds_nothing_in_excess() {
        for limit in [1, 2, 3, 5, 8, 10, 14, 15, 100] {
            let mut pace = pace(limit.into(), 0);
            let config = RateLimit { per_ip: limit, per_peer: 0, tolerance: 0 };
            let mut limiter = RateLimiter::new(config);
            let (mut now, mut held, mut written) = (START, 0, 0);
            for step in 0..3000u32 {
                now += Duration::from_millis(10);
                while pace.wait_until(now).is_none() {
                    pace.count(now);
                    held += 1;
                    written += 1;
                }
                // A stall of a fifth of a second, now and then.
                if step % 100 < 20 {
                    continue;
                }
                for _ in 0..std::mem::take(&mut held) {
                    let count = limiter.count(Some([127, 0, 0, 1].into()), NodeId::default(), now);
                    assert_eq!(count, Count::Within, "limit {limit}, step {step}");
                }
            }
            // 30 s at two thirds, and the burst.
            assert!(written >= 20 * limit, "limit {limit}: {written}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody() {
        let mut pace = pace(4, 0);
        while pace.wait_until(START).is_none() {
            pace.count(START);
        }
        let earlier = START - Duration::from_secs(1000);
        pace.clock_set_back(earlier);
        let at = pace.wait_until(earlier).unwrap();
        assert!(at <= earlier + Duration::from_secs(1), "{at:?}");
        assert!(pace.wait_until(at).is_none());
    }
}

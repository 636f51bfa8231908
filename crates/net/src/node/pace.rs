//! The rate limits that a peer announces: when we may write the next packet.
//!
//! A peer with rate limits counts packets, whatever is in them, and may disconnect those who send
//! too many. So packets to it are spread out, and envelopes that come meanwhile share one. Its
//! buckets hold the packets of one second. We write at most half of that at once, and two thirds of
//! the rate on average, for three reasons:
//!
//! - packets that are written apart may be read together;
//! - others may share our address;
//! - the reference refills whole packets every 100 ms: of an announced 14 per second it accepts 10.
//!   (Of limits below five it refills nothing. Such a node accepts that many packets in all.)
//!
//! Source: Whisper specification of Status, "Rate NodeLimits"; counting as in the reference.

use std::time::Duration;

use statuskit_core::wire::RateLimits;

use super::clock::Time;

/// Packets per second from which a limit is none.
const UNLIMITED: u64 = 10_000;
/// The longest useful delay of an answer.
const LATEST_ANSWER: Duration = Duration::from_secs(10);

/// When the next packet may be written to one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// The mean time between packets; zero without a limit.
    interval: Duration,
    /// How many packets may be written at once after a pause.
    burst: u32,
    /// When the next packet would be due without bursts.
    next: Time,
}

impl Pace {
    /// Creates the pace for a peer with these limits. Without a limit by address there is none by
    /// peer. No client limits by topic.
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

    /// Changes the limits. Packets that were already written still count.
    pub fn change(&mut self, limits: &RateLimits) {
        *self = Self { next: self.next, ..Self::new(limits) };
    }

    /// Returns whether there is a limit.
    pub fn is_limited(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Returns until when a packet must wait; `None` if it need not.
    pub fn wait_until(&self, now: Time) -> Option<Time> {
        let at = self.next.saturating_sub(self.interval * self.burst.saturating_sub(1));
        (self.is_limited() && at > now).then_some(at)
    }

    /// Counts a written packet.
    pub fn count(&mut self, now: Time) {
        self.next = self.next.max(now) + self.interval;
    }

    /// Handles a clock that was set back. Packets that were already written still count, and no
    /// more than that.
    pub fn clock_set_back(&mut self, now: Time) {
        self.next = self.next.min(now + self.interval * self.burst);
    }

    /// Returns how many answers may wait: those that can be written while they are useful.
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
    fn the_lower_limit_counts_and_zero_is_no_limit() {
        for (ip, peer_id, expected) in
            [(0, 0, 0), (0, 5, 0), (5, 0, 300), (10, 5, 300), (3, 15, 500)]
        {
            assert_eq!(pace(ip, peer_id).interval.as_millis(), expected, "{ip} {peer_id}");
        }
        assert!(!pace(u64::MAX, u64::MAX).is_limited());
        assert_eq!(pace(0, 0).wait_until(START), None);
    }

    /// Packets arrive when they are written, or late and together.
    #[test]
    fn a_counting_peer_finds_nothing_over_its_limits() {
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
                // A fifth of each second, packets are held up.
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
    fn a_clock_that_is_set_back_stops_nothing() {
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

//! Our rate limits: counts packets per address and node.
//!
//! Source: Whisper specification of Status, "Rate NodeLimits"; the reference counts every packet
//! after the handshake, and only ever counts.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

use statuskit_core::devp2p::NodeId;

use super::{RateLimit, clock::Time, source::source};

const REFILL: Duration = Duration::from_millis(100);
const REFILLS_PER_SECOND: u128 = 10;
/// The number of buckets above which those of former peers are removed.
const SWEEP_ABOVE: usize = 1024;

/// The buckets of all peers, by address and by node id.
#[derive(Debug)]
pub(super) struct RateLimiter {
    config: RateLimit,
    by_ip: Buckets<IpAddr>,
    by_peer: Buckets<NodeId>,
    excess: u64,
}

/// The result of counting a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// The packet is within the limits.
    Within,
    /// The packet is over the limits, and tolerated.
    Excess,
    /// The packet is over the limits, and the tolerance is used up.
    TooMany(u64),
}

impl RateLimiter {
    pub fn new(config: RateLimit) -> Self {
        Self {
            by_ip: Buckets::new(config.per_ip),
            by_peer: Buckets::new(if config.per_ip == 0 { 0 } else { config.per_peer }),
            config,
            excess: 0,
        }
    }

    /// Counts a packet.
    pub fn count(&mut self, ip: Option<IpAddr>, peer: NodeId, now: Time) -> Count {
        // Both are charged, even if the first is exceeded already.
        let ip = ip.is_none_or(|ip| self.by_ip.take(source(ip), now));
        let peer = self.by_peer.take(peer, now);
        if ip && peer {
            return Count::Within;
        }
        self.excess += u64::from(!ip) + u64::from(!peer);
        match self.config.tolerance {
            0 => Count::Excess,
            tolerance if self.excess >= tolerance => Count::TooMany(self.excess),
            _ => Count::Excess,
        }
    }
}

/// Token buckets with one limit. After a second without packets a bucket is full, and a full one
/// need not be kept: so there are about as many as senders within a second.
#[derive(Debug)]
struct Buckets<K> {
    per_second: u32,
    buckets: HashMap<K, Bucket>,
    sweep_above: usize,
}

#[derive(Debug)]
struct Bucket {
    /// In tenths of a token, so that a refill adds a whole number.
    tokens: u128,
    refilled: Time,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(per_second: u32) -> Self {
        Self { per_second, buckets: HashMap::new(), sweep_above: SWEEP_ABOVE }
    }

    /// Takes a token; `false` if there is none.
    fn take(&mut self, key: K, now: Time) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let rate = u128::from(self.per_second);
        if self.buckets.len() >= self.sweep_above {
            self.buckets.retain(|_, bucket| {
                bucket.refill(rate, now);
                bucket.tokens < rate * REFILLS_PER_SECOND
            });
            self.sweep_above = SWEEP_ABOVE.max(2 * self.buckets.len());
        }
        let full = Bucket { tokens: rate * REFILLS_PER_SECOND, refilled: now };
        let bucket = self.buckets.entry(key).or_insert(full);
        bucket.refill(rate, now);
        match bucket.tokens.checked_sub(REFILLS_PER_SECOND) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }
}

impl Bucket {
    fn refill(&mut self, rate: u128, now: Time) {
        let elapsed = now.saturating_sub(self.refilled).as_nanos();
        let refills = elapsed / REFILL.as_nanos();
        self.tokens = (self.tokens + refills * rate).min(rate * REFILLS_PER_SECOND);
        // The rest of the interval counts for the next refill, unless the clock was set back.
        let started = Duration::from_nanos((elapsed % REFILL.as_nanos()) as u64);
        if refills > 0 || now < self.refilled {
            self.refilled = now.saturating_sub(started);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(1_585_700_000);

    fn limiter(per_ip: u32, per_peer: u32, tolerance: u64) -> RateLimiter {
        RateLimiter::new(RateLimit { per_ip, per_peer, tolerance })
    }

    #[test]
    fn a_second_holds_the_limit_and_refills() {
        let mut limiter = limiter(10, 0, 0);
        let ip = Some(IpAddr::from([1, 2, 3, 4]));
        let count = |limiter: &mut RateLimiter, packets: u32, now| {
            (0..packets)
                .filter(|_| limiter.count(ip, NodeId([0; 32]), now) == Count::Within)
                .count()
        };
        assert_eq!(count(&mut limiter, 25, START), 10);
        assert_eq!(count(&mut limiter, 25, START + Duration::from_millis(99)), 0);
        assert_eq!(count(&mut limiter, 25, START + Duration::from_millis(100)), 1);
        assert_eq!(count(&mut limiter, 25, START + Duration::from_millis(600)), 5);
        assert_eq!(count(&mut limiter, 25, START + Duration::from_secs(60)), 10);
        let other = Some(IpAddr::from([1, 2, 3, 5]));
        assert_eq!(limiter.count(other, NodeId([0; 32]), START), Count::Within);
    }

    #[test]
    fn the_tolerance_is_shared_and_ends_the_connection() {
        let mut limiter = limiter(100, 1, 3);
        for (peer, expected) in [
            (1, Count::Within),
            (1, Count::Excess),
            (2, Count::Within),
            (2, Count::Excess),
            (1, Count::TooMany(3)),
        ] {
            assert_eq!(limiter.count(None, NodeId([peer; 32]), START), expected);
        }
    }

    #[test]
    fn no_limit_per_ip_turns_both_off() {
        let mut limiter = limiter(0, 1, 1);
        for _ in 0..100 {
            assert_eq!(limiter.count(None, NodeId([1; 32]), START), Count::Within);
        }
    }

    #[test]
    fn buckets_of_former_peers_are_removed() {
        let mut limiter = limiter(10, 5, 0);
        for i in 0..100_000u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&i.to_be_bytes());
            let now = START + Duration::from_millis(u64::from(i) * 10);
            limiter.count(Some(IpAddr::from(i.to_be_bytes())), NodeId(id), now);
        }
        assert!(limiter.by_ip.buckets.len() <= 2 * SWEEP_ABOVE);
        assert!(limiter.by_peer.buckets.len() <= 2 * SWEEP_ABOVE);
    }
}

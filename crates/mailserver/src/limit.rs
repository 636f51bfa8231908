//! Rate limits per client and per address.
//!
//! Clients are known by their node ids, which cost nothing to change: [`Intervals`] protect against
//! faulty clients, not against an attacker. Addresses cost more.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use statuskit_core::devp2p::NodeId;
use statuskit_net::node::Time;
use tokio::time::Instant;

/// The most clients that are remembered; beyond, the earliest are forgotten.
const MAX_CLIENTS: usize = 1 << 16;

/// When each client last had a request accepted.
#[derive(Debug)]
pub(super) struct Intervals {
    interval: Duration,
    last: HashMap<NodeId, Time>,
    /// By time, one per request. Those that differ from `last` are outdated.
    order: VecDeque<(Time, NodeId)>,
}

impl Intervals {
    /// Requires `interval` between two requests; zero for no limit.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: HashMap::new(), order: VecDeque::new() }
    }

    /// Whether the client may ask now. A clock that was set back blocks no client.
    pub(super) fn allows(&self, client: &NodeId, now: Time) -> bool {
        let since = |last: &Time| now.checked_sub(*last);
        self.last.get(client).and_then(since).is_none_or(|since| since >= self.interval)
    }

    /// Notes an accepted request.
    pub(super) fn note(&mut self, client: NodeId, now: Time) {
        if self.interval.is_zero() {
            return;
        }
        while let Some((at, earliest)) = self.order.front()
            && (*at + self.interval <= now || self.order.len() >= MAX_CLIENTS)
        {
            if self.last.get(earliest) == Some(at) {
                self.last.remove(earliest);
            }
            self.order.pop_front();
        }
        self.last.insert(client, now);
        self.order.push_back((now, client));
    }

    /// Revokes the last accepted request.
    pub(super) fn forget(&mut self, client: &NodeId) {
        self.last.remove(client);
    }
}

/// Token buckets. A key without a bucket has a full one.
#[derive(Debug)]
pub(super) struct Rates<K> {
    per_second: u32,
    burst: u32,
    /// When each bucket is full again.
    full_at: HashMap<K, Instant>,
}

impl<K: Copy + Eq + Hash> Rates<K> {
    /// Allows this many requests per second in the long run, or any number if 0; and `burst`
    /// requests at once.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst: burst.max(1), full_at: HashMap::new() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, key: K, now: Instant) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let token = Duration::from_secs(1) / self.per_second;
        if self.full_at.len() >= MAX_CLIENTS && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= MAX_CLIENTS {
                return false;
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        let then = (*full_at).max(now) + token;
        let is_there = then <= now + token * self.burst;
        if is_there {
            *full_at = then;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(1_585_400_000);

    #[test]
    fn an_interval_per_client() {
        let mut intervals = Intervals::new(Duration::from_secs(10));
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        intervals.note(a, START);
        assert!(!intervals.allows(&a, START + Duration::from_secs(9)));
        assert!(intervals.allows(&a, START + Duration::from_secs(10)));
        assert!(intervals.allows(&b, START));
        assert!(intervals.allows(&a, START - Duration::from_secs(3600)), "the clock was set back");
        let free = Intervals::new(Duration::ZERO);
        assert!(free.allows(&a, START));
    }

    #[test]
    fn a_bucket_per_key_fills_again() {
        let (mut rates, start) = (Rates::new(10, 5), Instant::now());
        let taken =
            |rates: &mut Rates<u8>, key, at| (0..100).filter(|_| rates.take(key, at)).count();
        assert_eq!(taken(&mut rates, 1, start), 5);
        assert_eq!(taken(&mut rates, 2, start), 5);
        assert_eq!(taken(&mut rates, 1, start + Duration::from_millis(200)), 2);
        assert_eq!(taken(&mut rates, 1, start + Duration::from_secs(60)), 5);
        assert_eq!(taken(&mut Rates::new(0, 5), 1, start), 100);
        let mut many = Rates::new(1, 1);
        assert!((0..MAX_CLIENTS).all(|key| many.take(key, start)));
        assert!(!many.take(MAX_CLIENTS, start), "there is room for no more");
        assert!(many.take(MAX_CLIENTS, start + Duration::from_secs(1)));
    }

    #[test]
    fn memory_is_bounded_even_if_the_clock_stands_still() {
        let mut intervals = Intervals::new(Duration::from_secs(3600));
        for i in 0..200_000u32 {
            let mut client = [0; 32];
            client[..4].copy_from_slice(&i.to_be_bytes());
            intervals.note(NodeId(client), START);
            intervals.note(NodeId([0xff; 32]), START);
        }
        assert!(intervals.last.len() <= MAX_CLIENTS && intervals.order.len() <= MAX_CLIENTS);
        assert!(!intervals.allows(&NodeId([0xff; 32]), START));
    }
}

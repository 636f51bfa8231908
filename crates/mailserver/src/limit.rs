//! The rate limit per client.
//!
//! Clients are known by their node ids, which cost nothing to change: this protects against faulty
//! clients, not against an attacker.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use statuskit_core::devp2p::NodeId;
use statuskit_net::node::Time;

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

    /// Whether the client may ask now. A clock that was set back locks nobody out.
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

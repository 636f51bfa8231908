//! What crosses between the networks of a service.
//!
//! Each network has a pool of its own, and the hash of an envelope is the same in both. So an
//! envelope crosses at most once in each direction: one that the other network has already is not
//! sent there again, and one that has crossed does not come back. With several bridges, each
//! envelope goes through every pool once, as it does without bridges; there are no loops.

use std::{collections::HashSet, time::Duration};

use statuskit_core::{envelope::Topic, wire::Network};

use crate::node::{Crossing, Node, Time};

/// What crosses a bridge, for each direction.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BridgeConfig {
    /// From Waku into Whisper.
    pub to_whisper: Way,
    /// From Whisper into Waku.
    pub to_waku: Way,
}

/// What crosses a bridge in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// Whether nothing crosses.
    pub is_closed: bool,
    /// The topics of what crosses; `None` for all.
    pub topics: Option<HashSet<Topic>>,
    /// The envelopes per second that cross in the long run, and at once; 0 for any number. Those
    /// beyond do not cross.
    pub rate: u32,
}

/// Counters of a bridge, for each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeStats {
    /// From Waku into Whisper.
    pub to_whisper: WayStats,
    /// From Whisper into Waku.
    pub to_waku: WayStats,
}

/// Counters of one direction. Each envelope that enters the pool on one side is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WayStats {
    /// Envelopes that were new on the other side.
    pub crossed: u64,
    /// Envelopes that the other side had already.
    pub known: u64,
    /// Envelopes with other topics than those that cross.
    pub filtered: u64,
    /// Envelopes over the rate.
    pub limited: u64,
    /// Envelopes that the rules of the other side refuse, or that had no room in its pool.
    pub refused: u64,
}

/// The bridge of a service.
#[derive(Debug)]
pub(super) struct Bridge {
    to_whisper: Lane,
    to_waku: Lane,
}

impl Bridge {
    pub fn new(config: BridgeConfig) -> Self {
        let BridgeConfig { to_whisper, to_waku } = config;
        Self { to_whisper: Lane::new(to_whisper), to_waku: Lane::new(to_waku) }
    }

    /// Brings an envelope to a network, whose node this is, if it may cross.
    pub fn cross(&mut self, to: Network, crossing: &Crossing, node: &mut Node, now: Time) {
        let lane = match to {
            Network::Whisper => &mut self.to_whisper,
            Network::Waku => &mut self.to_waku,
        };
        lane.cross(crossing, node, now);
    }

    pub fn stats(&self) -> BridgeStats {
        BridgeStats { to_whisper: self.to_whisper.stats, to_waku: self.to_waku.stats }
    }
}

#[derive(Debug)]
struct Lane {
    way: Way,
    stats: WayStats,
    /// Envelopes that may cross at once, in millionths.
    credit: u64,
    filled: Time,
}

impl Lane {
    fn new(way: Way) -> Self {
        let credit = u64::from(way.rate) * MILLION;
        Self { way, stats: WayStats::default(), credit, filled: Time::ZERO }
    }

    fn cross(&mut self, crossing: &Crossing, node: &mut Node, now: Time) {
        let Self { way, stats, .. } = self;
        let topic = crossing.envelope().topic();
        if way.is_closed || way.topics.as_ref().is_some_and(|topics| !topics.contains(&topic)) {
            stats.filtered += 1;
        } else if node.pooled(&crossing.hash()).is_some() {
            stats.known += 1;
        } else if !self.has_credit(now) {
            self.stats.limited += 1;
        } else {
            match node.cross(crossing, now) {
                Ok(true) => {
                    self.credit = self.credit.saturating_sub(MILLION);
                    self.stats.crossed += 1;
                }
                Ok(false) => self.stats.known += 1,
                Err(_) => self.stats.refused += 1,
            }
        }
    }

    fn has_credit(&mut self, now: Time) -> bool {
        let rate = u64::from(self.way.rate);
        if rate == 0 {
            return true;
        }
        // A clock that was set back fills nothing.
        let passed = now.saturating_sub(self.filled).min(Duration::from_secs(1));
        self.filled = now;
        self.credit = (self.credit + rate * passed.as_micros() as u64).min(rate * MILLION);
        self.credit >= MILLION
    }
}

const MILLION: u64 = 1_000_000;

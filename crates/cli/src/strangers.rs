//! Options and notes about the peers that dial a node: what strangers may occupy, and how much is
//! said about them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_net::node::{NodeConfig, ServiceConfig};

use crate::{context::Context, time::parse_seconds};

/// What strangers may occupy, in all networks together.
#[derive(Debug, Clone, Args)]
pub struct StrangerArgs {
    /// Maximum number of inbound peers. The last tenth is for addresses without a peer; if no place
    /// is free, the least useful peer leaves for one from a new address
    #[arg(long, value_name = "N", default_value_t = 50)]
    max_peers: usize,
    /// Maximum number of inbound peers with one address, or one /64 of IPv6 (0: any number)
    /// [default: a tenth of --max-peers, at least 2; no rules about addresses on this machine]
    #[arg(long, value_name = "N")]
    max_peers_per_ip: Option<usize>,
    /// Maximum time to live of envelopes; 0 for any
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_seconds,
        default_value = "1d"
    )]
    max_ttl: u32,
}

impl StrangerArgs {
    /// Applies the options that concern connections.
    pub fn limit_peers(&self, config: &mut ServiceConfig) {
        config.max_peers = self.max_peers;
        config.max_peers_per_ip = self.max_peers_per_ip;
    }

    /// Applies the options that concern envelopes.
    pub fn limit_envelopes(&self, config: &mut NodeConfig) {
        config.max_ttl = self.max_ttl;
    }
}

/// The most notes in one period.
const NOTES: u32 = 50;
/// After this time, what was only counted is summed up in one note.
const PERIOD: Duration = Duration::from_secs(60);

/// Notes about strangers: the first of each minute one by one, the others counted by their code.
/// Otherwise a stranger could fill the operator's disk by connecting again and again.
#[derive(Debug)]
pub struct Notes {
    left: u32,
    ends: Option<Instant>,
    counted: BTreeMap<&'static str, u64>,
}

impl Notes {
    pub fn new() -> Self {
        Self { left: NOTES, ends: None, counted: BTreeMap::new() }
    }

    /// Prints a note, or counts it under this code.
    pub fn note(&mut self, code: &'static str, text: impl FnOnce() -> String, cx: &Context) {
        if self.take(code, Instant::now()) {
            cx.note(&text());
        }
    }

    /// When [`sum_up`](Self::sum_up) is due.
    pub fn due(&self) -> Option<Instant> {
        self.ends
    }

    /// Ends the period, with a note about what was counted.
    pub fn sum_up(&mut self, cx: &Context) {
        if let Some(text) = self.end_period() {
            cx.note(&text);
        }
    }

    fn take(&mut self, code: &'static str, now: Instant) -> bool {
        self.ends.get_or_insert(now + PERIOD);
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => *self.counted.entry(code).or_default() += 1,
        }
        self.counted.is_empty()
    }

    fn end_period(&mut self) -> Option<String> {
        let counted = std::mem::replace(self, Self::new()).counted;
        let all: u64 = counted.values().sum();
        let each: Vec<_> = counted.iter().map(|(code, count)| format!("{count} {code}")).collect();
        (all > 0).then(|| format!("{all} more events of connections: {}", each.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_note() {
        let mut notes = Notes::new();
        let now = Instant::now();
        let shown = (0..20_000).filter(|n| {
            let code = if n % 4 == 0 { "net.crowded" } else { "p2p.handshake_timeout" };
            notes.take(code, now)
        });
        assert_eq!(shown.count(), NOTES as usize);
        assert_eq!(notes.due(), Some(now + PERIOD));
        assert_eq!(
            notes.end_period().as_deref(),
            Some("19950 more events of connections: 4987 net.crowded, 14963 p2p.handshake_timeout")
        );
        assert_eq!((notes.due(), notes.end_period()), (None, None));
        assert!(notes.take("net.crowded", now));
    }
}

//! Which peers a program has, what they ask for, and why one was lost.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{crypto::PublicKey, devp2p::Enode, envelope::Topic, wire::Status};
use statuskit_net::node::{ConnectionId, Event, PeerSummary};

use crate::{engine::has_interest, error::NoPeer};

/// A peer that was lost before counts as reliable again after this time.
const PROBATION: Duration = Duration::from_secs(5);

/// A peer whose Status has arrived.
#[derive(Debug)]
struct Ready {
    id: Option<PublicKey>,
    status: Status,
    since: Instant,
}

/// The peers of a program.
#[derive(Debug, Default)]
pub struct Peers {
    connected: HashMap<ConnectionId, Arc<PeerSummary>>,
    ready: HashMap<ConnectionId, Ready>,
    /// Peers that were lost before.
    lost: HashSet<PublicKey>,
    last_failure: Option<String>,
    unanswered: Vec<PublicKey>,
    named: usize,
    /// How many the program that holds the state has; `None` if this one does.
    told: Option<usize>,
}

impl Peers {
    /// Creates the peers; each of `named` is expected to answer.
    pub fn new(named: &[Enode]) -> Self {
        let unanswered = named.iter().map(|enode| enode.id).collect();
        Self { unanswered, named: named.len(), ..Self::default() }
    }

    /// Takes over what the program that holds the state says of its peers.
    pub(crate) fn tell(&mut self, count: usize, failure: Option<String>) {
        self.told = Some(count);
        self.last_failure = failure;
    }

    /// Updates the peers. Returns whether a program should know: of a peer that is dialled again
    /// and again, only the first failure counts.
    pub fn handle(&mut self, event: &Event) -> bool {
        match event {
            Event::Connected(summary) => {
                self.connected.insert(summary.key, summary.clone());
                false
            }
            Event::Ready { peer, status } => {
                let id = self.connected.get(peer).map(|summary| summary.id);
                self.unanswered.retain(|unanswered| Some(*unanswered) != id);
                let (status, since) = ((**status).clone(), Instant::now());
                self.ready.insert(*peer, Ready { id, status, since });
                true
            }
            Event::Disconnected { peer, reason, .. } => {
                self.unanswered.retain(|id| *id != peer.id);
                self.ready.remove(&peer.key);
                self.connected.remove(&peer.key);
                self.lost.insert(peer.id);
                self.last_failure = Some(format!("peer {}: {reason}", peer.addr));
                true
            }
            Event::ClockSkewed(_) => true,
            Event::DialFailed { enode, .. } => {
                let is_first = self.unanswered.contains(&enode.id);
                self.unanswered.retain(|id| *id != enode.id);
                is_first
            }
            // What is sent from now on is mined for what the peer asks for now.
            Event::Requirements { peer, status } => {
                if let Some(ready) = self.ready.get_mut(peer) {
                    ready.status = (**status).clone();
                }
                false
            }
            _ => false,
        }
    }

    /// Returns a connected peer.
    pub fn get(&self, peer: ConnectionId) -> Option<&Arc<PeerSummary>> {
        self.connected.get(&peer)
    }

    /// Returns how many peers can be sent to.
    pub fn count(&self) -> usize {
        self.told.unwrap_or(self.ready.len())
    }

    /// Returns how many of the named peers have neither answered nor failed.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Checks whether a peer can be sent to, after waiting for `limit`.
    ///
    /// # Errors
    /// If there is none.
    pub fn reached(&self, limit: Duration) -> Result<usize, NoPeer> {
        match (self.count(), self.unanswered.len()) {
            (0, 0) => Err(NoPeer::Unreachable(self.named)),
            (0, waiting) => Err(NoPeer::TimedOut { waiting, named: self.named, limit }),
            (count, _) => Ok(count),
        }
    }

    /// Returns why nothing can be expected from the peers; `None` if a reliable one is connected.
    /// A peer that came back a moment ago may be gone again in another.
    pub fn lasting_failure(&self) -> Option<&str> {
        let is_reliable = |ready: &Ready| {
            ready.id.is_none_or(|id| !self.lost.contains(&id)) || ready.since.elapsed() >= PROBATION
        };
        if self.ready.values().any(is_reliable) { None } else { self.last_failure.as_deref() }
    }

    /// Returns the connections that can be sent to.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.ready.keys().copied()
    }

    /// Returns what a peer asks for.
    pub(crate) fn status(&self, peer: ConnectionId) -> Option<&Status> {
        self.ready.get(&peer).map(|ready| &ready.status)
    }

    /// Updates what the peers ask for.
    pub(crate) fn refresh(&mut self, status: impl Fn(ConnectionId) -> Option<Status>) {
        for (peer, ready) in &mut self.ready {
            if let Some(status) = status(*peer) {
                ready.status = status;
            }
        }
    }

    /// Returns the proofs of work to mine for, the highest first: what the peers that take this
    /// topic ask for, and at least `least`.
    pub(crate) fn targets(&self, topic: Topic, least: f64) -> Vec<f64> {
        let statuses = self.ready.values().map(|ready| &ready.status);
        let asked = statuses.filter(|status| has_interest(status, topic));
        let mut targets: Vec<_> = asked.map(|status| status.min_pow.max(least)).collect();
        targets.sort_by(|a, b| b.total_cmp(a));
        targets.dedup();
        if targets.is_empty() {
            targets.push(least);
        }
        targets
    }

    /// Whether a peer that takes this topic asks for more work.
    pub(crate) fn asks_for_more(&self, topic: Topic, pow: f64) -> bool {
        let mut statuses = self.ready.values().map(|ready| &ready.status);
        statuses.any(|status| has_interest(status, topic) && status.min_pow > pow)
    }

    /// Returns whether a proof of work suffices for one of the peers.
    pub fn suffices(&self, pow: f64) -> bool {
        self.ready.values().any(|Ready { status, .. }| status.min_pow <= pow)
    }

    /// Describes what the peers ask for.
    pub fn requirements(&self) -> String {
        let requirements = self.ready.values().map(|Ready { status, .. }| {
            let topics = if status.is_full_node() { "all topics" } else { "some topics" };
            format!("proof of work {}, {topics}", status.min_pow)
        });
        requirements.collect::<Vec<_>>().join("; ")
    }
}

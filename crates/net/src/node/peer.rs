//! The state of each peer.

use std::{collections::VecDeque, fmt, net::IpAddr};

use statuskit_core::{
    devp2p::NodeId,
    envelope::{EnvelopeHash, Topic},
    wire::{Dialect, Network, Status},
};

use super::{clock::Time, pace::Pace, pool::Place, rewinds::Rewinds, skew::Times, transmit::Token};

/// The name of a connection in its node. Never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(super) network: Network,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// The bit of Waku in the number of a connection: slots are few.
const WAKU_BIT: u64 = 1 << 63;

impl ConnectionId {
    /// Returns the network of the peer.
    pub fn network(self) -> Network {
        self.network
    }

    /// Returns the number of the connection, for other processes.
    pub fn to_bits(self) -> u64 {
        let network = if self.network == Network::Waku { WAKU_BIT } else { 0 };
        network | u64::from(self.slot) << 32 | u64::from(self.generation)
    }

    /// Returns the connection with a number, of this node or another.
    pub fn from_bits(bits: u64) -> Self {
        let network = if bits & WAKU_BIT == 0 { Network::Whisper } else { Network::Waku };
        let slot = ((bits & !WAKU_BIT) >> 32) as u32;
        Self { network, slot, generation: bits as u32 }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.network == Network::Waku { "w" } else { "" };
        write!(f, "{prefix}{}.{}", self.slot, self.generation)
    }
}

/// A new peer, as the transport knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its node id. Rate limits count by it.
    pub id: NodeId,
    /// What it speaks: a dialect of the node's network.
    pub dialect: Dialect,
    /// Its address, if rate limits count by it.
    pub ip: Option<IpAddr>,
    /// Whether rate limits don't count it.
    pub whitelisted: bool,
    /// Whether it is trusted from the start: see [`Node::mark_trusted`](super::Node::mark_trusted).
    pub trusted: bool,
    /// The largest accepted packet, if that is more than
    /// [`max_message_size`](super::NodeConfig::max_message_size). The limit of envelopes stays.
    pub max_packet_size: Option<u32>,
}

/// What a node knows of a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerState {
    /// What the transport knows.
    pub info: PeerInfo,
    /// Its Status with all changes so far; `None` before it has come.
    pub status: Option<Status>,
    /// Whether its direct packets are accepted.
    pub trusted: bool,
    /// The envelopes that it was the first to bring.
    pub brought: u64,
}

/// A packet that waits to be written: code and payload.
pub(super) type Waiting = (u64, Vec<u8>);

/// A Messages packet with own envelopes, until the peer has answered it.
#[derive(Debug)]
pub(super) struct Batch {
    pub token: Token,
    pub hash: [u8; 32],
    pub own: Vec<EnvelopeHash>,
    pub written: bool,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub info: PeerInfo,
    pub status: Option<Status>,
    pub trusted: bool,
    /// When its Status is overdue.
    pub status_until: Time,
    /// The first envelope that it was not offered yet.
    pub cursor: Place,
    /// When the envelopes behind the cursor are sent; `None` if there are none.
    pub flush_at: Option<Time>,
    /// When the cursor goes back to the front of the pool, and how often it may.
    pub rewind_at: Option<Time>,
    pub rewinds: Rewinds,
    /// Whether it was offered everything since it came, or since its cursor went back.
    pub caught_up: bool,
    /// The envelopes that it was the first to bring.
    pub brought: u64,
    /// The times in its envelopes.
    pub times: Times,
    /// Whether it is in the list of idle peers.
    pub idle: bool,
    /// Whether it was reported as writable, and not everything was written since.
    pub announced: bool,
    /// Whether our requirements have changed since they were last announced to it.
    pub pow_changed: bool,
    pub topics_changed: bool,
    /// Its rate limits, and until when they make the next packet wait.
    pub pace: Pace,
    pub paced_until: Option<Time>,
    /// Whether envelopes go before the outbox this time.
    pub batch_first: bool,
    pub outbox: VecDeque<Waiting>,
    pub outbox_bytes: usize,
    pub batches: VecDeque<Batch>,
}

impl Peer {
    pub fn new(info: PeerInfo, status_until: Time) -> Self {
        Self {
            trusted: info.trusted,
            info,
            status: None,
            status_until,
            cursor: 0,
            flush_at: None,
            rewind_at: None,
            rewinds: Rewinds::default(),
            caught_up: false,
            brought: 0,
            times: Times::default(),
            idle: false,
            announced: false,
            pow_changed: false,
            topics_changed: false,
            pace: Pace::default(),
            paced_until: None,
            batch_first: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            batches: VecDeque::new(),
        }
    }

    /// Returns whether it wants an envelope with this topic and proof of work.
    pub fn wants(&self, topic: Topic, pow: impl FnOnce() -> f64) -> bool {
        let Some(status) = &self.status else { return false };
        // It is never below 0, and need not be computed for most peers.
        (status.min_pow <= 0.0 || pow() >= status.min_pow) && status.accepts(topic)
    }

    /// Returns whether there may be something to write.
    pub fn has_work(&self, now: Time) -> bool {
        !self.outbox.is_empty()
            || self.pow_changed
            || self.topics_changed
            || self.flush_at.is_some_and(|at| at <= now)
    }

    pub fn push(&mut self, code: u64, payload: Vec<u8>) {
        self.outbox_bytes += payload.len();
        self.outbox.push_back((code, payload));
    }

    pub fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.outbox.pop_front()?;
        self.outbox_bytes -= waiting.1.len();
        Some(waiting)
    }
}

/// The peers. The slot of each is its bit in the marks of the pool.
#[derive(Debug, Default)]
pub(super) struct Peers {
    network: Network,
    slots: Vec<(u32, Option<Box<Peer>>)>,
    len: usize,
}

impl Peers {
    pub fn new(network: Network) -> Self {
        Self { network, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a peer in the lowest free slot, so that marks stay dense.
    pub fn insert(&mut self, peer: Peer) -> ConnectionId {
        let free = self.slots.iter().position(|(_, peer)| peer.is_none());
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push((0, None));
        }
        let (generation, place) = &mut self.slots[slot];
        *place = Some(Box::new(peer));
        self.len += 1;
        ConnectionId { network: self.network, slot: slot as u32, generation: *generation }
    }

    pub fn remove(&mut self, key: ConnectionId) -> Option<Box<Peer>> {
        let (generation, place) = self.slots.get_mut(key.slot as usize)?;
        if *generation != key.generation || self.network != key.network {
            return None;
        }
        let peer = place.take()?;
        *generation = generation.wrapping_add(1);
        self.len -= 1;
        Some(peer)
    }

    pub fn get(&self, key: ConnectionId) -> Option<&Peer> {
        let (generation, peer) = self.slots.get(key.slot as usize)?;
        peer.as_deref().filter(|_| *generation == key.generation && self.network == key.network)
    }

    pub fn get_mut(&mut self, key: ConnectionId) -> Option<&mut Peer> {
        let (generation, peer) = self.slots.get_mut(key.slot as usize)?;
        let same = *generation == key.generation && self.network == key.network;
        peer.as_deref_mut().filter(|_| same)
    }

    pub fn keys(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.iter().map(|(key, _)| key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Peer)> + '_ {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, peer))| {
            let (network, slot) = (self.network, slot as u32);
            let key = ConnectionId { network, slot, generation: *generation };
            Some((key, peer.as_deref()?))
        })
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Peer> + '_ {
        self.slots.iter_mut().filter_map(|(_, peer)| peer.as_deref_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_used_again() {
        let mut peers = Peers::default();
        let peer = || Peer::new(PeerInfo::default(), Time::ZERO);
        let [a, b] = [(); 2].map(|()| peers.insert(peer()));
        assert!(peers.remove(a).is_some());
        assert!(peers.remove(a).is_none());
        let c = peers.insert(peer());
        assert_eq!((c.slot, a.slot), (0, 0));
        assert!(peers.get(a).is_none() && peers.get(b).is_some() && peers.get_mut(c).is_some());
        assert_eq!(peers.keys().collect::<Vec<_>>(), [c, b]);
        assert_eq!(peers.len(), 2);
    }
}

//! What a node knows of one peer.

use std::{collections::VecDeque, fmt, net::IpAddr};

use statuskit_core::{
    devp2p::NodeId,
    envelope::{EnvelopeHash, Topic},
    wire::Status,
};

use super::{core::Time, pace::Pace, pool::Place, transmit::Token};

/// Names a peer of one node for as long as it is connected; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Who a peer is, as the transport knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its node id. Rate limits go by it.
    pub id: NodeId,
    /// Where it comes from, if that is to be limited.
    pub ip: Option<IpAddr>,
    /// Not counted by the rate limits.
    pub whitelisted: bool,
    /// Trusted from the start: see [`Node::mark_trusted`](super::Node::mark_trusted).
    pub trusted: bool,
    /// The largest packet that is taken from it, if that is more than
    /// [`max_message_size`](super::NodeConfig::max_message_size). Envelopes must not be larger
    /// because of it.
    pub max_packet_size: Option<u32>,
}

/// What a node knows of a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerState {
    /// Who it is.
    pub info: PeerInfo,
    /// What it asked for, with later changes; none before its Status has come.
    pub status: Option<Status>,
    /// Whether what it sends directly is taken.
    pub trusted: bool,
}

/// A packet that waits for the peer: code and payload.
pub(super) type Waiting = (u64, Vec<u8>);

/// A Messages packet with envelopes of our own, until the peer has answered it.
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
    /// When its Status must have come.
    pub status_until: Time,
    /// The first envelope it was not offered yet.
    pub cursor: Place,
    /// When the envelopes behind the cursor are sent; none while there are no new ones.
    pub flush_at: Option<Time>,
    /// When the cursor is to be set back to the front of the pool, and when it last was.
    pub rewind_at: Option<Time>,
    pub rewound_at: Option<Time>,
    /// Whether it is in the list of those that new envelopes must wake.
    pub idle: bool,
    /// Whether the transport was told and has not read everything since.
    pub announced: bool,
    /// Our requirements changed and it has not been told.
    pub tell_pow: bool,
    pub tell_bloom: bool,
    /// How fast it lets us write, and when it is told next, if that is to be waited for.
    pub pace: Pace,
    pub paced_until: Option<Time>,
    /// Whether envelopes come before what is in the outbox, this time.
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
            rewound_at: None,
            idle: false,
            announced: false,
            tell_pow: false,
            tell_bloom: false,
            pace: Pace::default(),
            paced_until: None,
            batch_first: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            batches: VecDeque::new(),
        }
    }

    /// Whether it wants an envelope with this topic and proof of work.
    pub fn wants(&self, topic: Topic, pow: impl FnOnce() -> f64) -> bool {
        let Some(status) = &self.status else { return false };
        // The value is never less than 0, so that most peers don't need it.
        (status.min_pow <= 0.0 || pow() >= status.min_pow)
            && status.bloom.is_none_or(|bloom| bloom.is_full() || bloom.matches(topic))
    }

    /// Whether there may be something to write.
    pub fn has_work(&self, now: Time) -> bool {
        !self.outbox.is_empty()
            || self.tell_pow
            || self.tell_bloom
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

/// The peers, each in a slot: the number of its bit in the marks of the pool.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Vec<(u32, Option<Box<Peer>>)>,
    len: usize,
}

impl Peers {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes the lowest free slot, so that marks stay dense.
    pub fn insert(&mut self, peer: Peer) -> ConnectionId {
        let free = self.slots.iter().position(|(_, peer)| peer.is_none());
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push((0, None));
        }
        let (generation, place) = &mut self.slots[slot];
        *place = Some(Box::new(peer));
        self.len += 1;
        ConnectionId { slot: slot as u32, generation: *generation }
    }

    pub fn remove(&mut self, key: ConnectionId) -> Option<Box<Peer>> {
        let (generation, place) = self.slots.get_mut(key.slot as usize)?;
        if *generation != key.generation {
            return None;
        }
        let peer = place.take()?;
        *generation = generation.wrapping_add(1);
        self.len -= 1;
        Some(peer)
    }

    pub fn get(&self, key: ConnectionId) -> Option<&Peer> {
        let (generation, peer) = self.slots.get(key.slot as usize)?;
        peer.as_deref().filter(|_| *generation == key.generation)
    }

    pub fn get_mut(&mut self, key: ConnectionId) -> Option<&mut Peer> {
        let (generation, peer) = self.slots.get_mut(key.slot as usize)?;
        let same = *generation == key.generation;
        peer.as_deref_mut().filter(|_| same)
    }

    pub fn keys(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.iter().map(|(key, _)| key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Peer)> + '_ {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, peer))| {
            let key = ConnectionId { slot: slot as u32, generation: *generation };
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
    fn a_key_is_never_used_again() {
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

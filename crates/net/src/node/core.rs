//! The state machine: who is connected, what time it is, what is to be done next.
//!
//! The caller brings packets and the time, and carries away what comes of it:
//!
//! 1. [`add_peer`](Node::add_peer), [`handle_packet`](Node::handle_packet),
//!    [`remove_peer`](Node::remove_peer), [`send`](Node::send), … change the state;
//! 2. [`poll_output`](Node::poll_output) until it is empty;
//! 3. for each peer that an output calls writable, and whose transport has room:
//!    [`poll_peer`](Node::poll_peer) until it is empty. Packets with envelopes are made in that
//!    moment: a peer that does not read costs no memory;
//! 4. at [`next_timeout`](Node::next_timeout): [`handle_timeout`](Node::handle_timeout).
//!
//! Packets that arrive are the business of `receive`, packets that leave of `transmit`.
//!
//! Time is UNIX time, as envelopes want it. A clock that is set back makes everything that waits
//! happen at once; nothing else depends on its steadiness.
//!
//! Source: Whisper specification of Status; EIP-627.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Rules, Verdict, check::SYNC_ALLOWANCE},
    wire::{Status, packet::code},
};

use super::{
    ConnectionId, Event, Interest, NodeConfig, Output, PeerError, PeerInfo, PeerState,
    limit::RateLimiter,
    peer::{Peer, Peers},
    pool::Pool,
};

/// Since the UNIX epoch.
pub type Time = Duration;

/// How long the former requirements are tolerated after a change.
const TOLERANCE: Duration = Duration::from_secs(SYNC_ALLOWANCE as u64);
/// A clock that goes back less than this just stands still.
const CLOCK_JITTER: Duration = Duration::from_secs(1);
/// Changes of requirements that are remembered within ten seconds.
const MAX_CHANGES: usize = 64;

/// A Whisper node without sockets and clock.
#[derive(Debug)]
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) pool: Pool,
    pub(super) peers: Peers,
    pub(super) limiter: Option<RateLimiter>,
    pub(super) stats: Stats,
    pub(super) next_token: u64,
    /// When a peer needs a look: its window ends, or its Status should have come.
    timers: BinaryHeap<Reverse<(Time, ConnectionId)>>,
    /// Peers with nothing to wait for: the next new envelope starts their window.
    idle: Vec<ConnectionId>,
    /// What the tolerances become, and when.
    pow_changes: VecDeque<(Time, f64)>,
    bloom_changes: VecDeque<(Time, Option<Bloom>)>,
    outputs: VecDeque<Output>,
    random: u64,
    now: Time,
}

/// What became of an envelope of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its identity.
    pub hash: EnvelopeHash,
    /// Whether it was in the pool already. It is not reported on then.
    pub known: bool,
    /// The peers that want it and don't have it; peers that come later get it as well.
    pub peers: Vec<ConnectionId>,
}

/// Why something can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The node's own rules refuse the envelope, as its peers' would.
    #[error("the node itself refuses the envelope: {0}")]
    Refused(Verdict),
    /// No packet has room for the envelope: peers would hang up.
    #[error("it needs a packet of {size} bytes; peers take at most {max}")]
    Oversized { size: usize, max: u32 },
    /// The pool has reached its [limits](super::NodeLimits).
    #[error("the pool of envelopes is full")]
    PoolFull,
    /// The peer is not connected, or has not sent its Status.
    #[error("the peer is not connected")]
    NoPeer,
    /// The peer does not read what was sent before.
    #[error("{bytes} bytes wait for the peer to read them")]
    OutboxFull { bytes: usize },
}

impl SendError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(verdict) => verdict.code(),
            Self::Oversized { .. } => Verdict::Oversized.code(),
            Self::PoolFull => "node.pool_full",
            Self::NoPeer => "node.no_peer",
            Self::OutboxFull { .. } => "node.outbox_full",
        }
    }
}

/// What a node has done so far, and what it holds. All counts but the first four only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Peers, whether or not their Status has come.
    pub peers: usize,
    /// Peers whose Status has come.
    pub ready_peers: usize,
    /// Envelopes in the pool.
    pub pooled: usize,
    /// Bytes of their RLP.
    pub pooled_bytes: usize,
    /// Packets received.
    pub packets_in: u64,
    /// Bytes of their payloads.
    pub bytes_in: u64,
    /// Packets handed to the transport.
    pub packets_out: u64,
    /// Bytes of their payloads.
    pub bytes_out: u64,
    /// Envelopes that entered the pool.
    pub new: u64,
    /// Envelopes received that were in the pool already.
    pub duplicates: u64,
    /// Envelopes received that failed a check.
    pub refused: u64,
    /// Envelopes that found the pool full.
    pub pool_full: u64,
    /// Envelopes that left the pool.
    pub expired: u64,
    /// Envelopes handed to the transport, each peer counted.
    pub forwarded: u64,
    /// Packets in excess of the rate limits.
    pub rate_excess: u64,
    /// Answers that were dropped because a peer did not read.
    pub answers_dropped: u64,
    /// Peers that were let go because of what they did.
    pub disconnected: u64,
}

impl Node {
    /// A node without peers. All its randomness comes from `seed`; those who know it can make
    /// the pool slow.
    pub fn new(config: NodeConfig, seed: u64, now: Time) -> Self {
        let mut random = seed;
        let seeds = [splitmix(&mut random), splitmix(&mut random)];
        let mut node = Self {
            limiter: config.rate_limit.clone().map(RateLimiter::new),
            pool: Pool::new(seeds),
            peers: Peers::default(),
            stats: Stats::default(),
            next_token: 0,
            timers: BinaryHeap::new(),
            idle: Vec::new(),
            pow_changes: VecDeque::new(),
            bloom_changes: VecDeque::new(),
            outputs: VecDeque::new(),
            random,
            now,
            config,
        };
        if node.config.bloom.is_some() {
            node.bloom_changes.push_back((now + TOLERANCE, node.config.bloom));
        }
        node
    }

    /// The settings as they are now; the tolerances follow changes after ten seconds.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.peers.len(),
            ready_peers: self.peers.iter().filter(|(_, peer)| peer.status.is_some()).count(),
            pooled: self.pool.len(),
            pooled_bytes: self.pool.bytes(),
            ..self.stats
        }
    }

    /// Adds a peer with which `shh/6` was negotiated. Our Status is ready to be written at once.
    /// None if there are [too many](super::NodeLimits::peers).
    pub fn add_peer(&mut self, info: PeerInfo, now: Time) -> Option<ConnectionId> {
        self.advance(now);
        if self.peers.len() >= self.config.limits.peers {
            return None;
        }
        let status_until = now + self.config.status_timeout;
        let mut peer = Peer::new(info, status_until);
        peer.push(code::STATUS, self.own_status().encode());
        let key = self.peers.insert(peer);
        self.timers.push(Reverse((status_until, key)));
        self.announce(key);
        Some(key)
    }

    /// Forgets a peer whose connection has ended. One that is gone already is fine.
    pub fn remove_peer(&mut self, peer: ConnectionId) {
        if self.peers.remove(peer).is_some() {
            self.pool.clear_marks(peer.slot as usize);
        }
    }

    /// The connected peers.
    pub fn peers(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.peers.keys()
    }

    /// What is known of a peer.
    pub fn peer(&self, peer: ConnectionId) -> Option<PeerState> {
        let Peer { info, status, trusted, .. } = self.peers.get(peer)?;
        Some(PeerState { info: info.clone(), status: status.clone(), trusted: *trusted })
    }

    /// Takes what this peer sends directly (codes 124, 125 and 127) from now on. Sending it a
    /// request for historic messages does the same.
    pub fn mark_trusted(&mut self, peer: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.trusted = true;
        }
    }

    /// Which envelopes become events from now on.
    pub fn set_interest(&mut self, interest: Interest) {
        self.config.interest = interest;
    }

    /// Changes the least proof of work, and tells the peers. The former value is tolerated for
    /// ten seconds.
    pub fn set_min_pow(&mut self, min_pow: f64, now: Time) {
        self.advance(now);
        self.config.min_pow = min_pow;
        remember(&mut self.pow_changes, now, min_pow);
        self.tell_all(|peer| peer.tell_pow = true);
    }

    /// Changes the bloom filter, and tells the peers. The former one is tolerated for ten seconds.
    pub fn set_bloom(&mut self, bloom: Option<Bloom>, now: Time) {
        self.advance(now);
        self.config.bloom = bloom;
        remember(&mut self.bloom_changes, now, bloom);
        self.tell_all(|peer| peer.tell_bloom = true);
    }

    /// Adds topics to the bloom filter, as installing a filter does: only if one is set, and
    /// peers hear of it only if that changes it.
    pub fn widen_bloom(&mut self, topics: &Bloom, now: Time) {
        if let Some(bloom) = self.config.bloom {
            let wider = bloom.union(topics);
            if wider != bloom {
                self.set_bloom(Some(wider), now);
            }
        }
    }

    /// Returns the next output. Drain it after each input: outputs wait in an unbounded queue, and
    /// one packet may cause as many as it has envelopes.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next needed; none while nothing waits.
    /// Calling it late makes things late, and nothing else.
    pub fn next_timeout(&self) -> Option<Time> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let expiry = self.pool.next_expiry().map(Duration::from_secs);
        let pow = self.pow_changes.front().map(|(at, _)| *at);
        let bloom = self.bloom_changes.front().map(|(at, _)| *at);
        [timer, expiry, pow, bloom].into_iter().flatten().min()
    }

    /// Does what has become due: windows end, envelopes expire, tolerances change, peers are let
    /// go that said nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
    }

    /// An envelope, if it lives in the pool.
    pub fn pooled(&self, hash: &EnvelopeHash) -> Option<&super::PooledEnvelope> {
        self.pool.get(self.pool.find(hash)?).map(AsRef::as_ref)
    }

    /// All envelopes that live in the pool, in the order they came.
    pub fn pool(&self) -> impl Iterator<Item = &Arc<super::PooledEnvelope>> {
        (self.pool.front()..self.pool.end()).filter_map(|place| self.pool.get(place))
    }

    /// What our Status says.
    pub(super) fn own_status(&self) -> Status {
        Status {
            min_pow: self.config.min_pow,
            bloom: self.config.bloom,
            light: self.config.light,
            confirmations: self.config.confirmations,
            rate_limits: self.config.announced_limits(),
        }
    }

    /// The rules that envelopes are checked by.
    pub(super) fn rules(&self, now: Time) -> Rules {
        Rules {
            now: now.as_secs() as u32,
            max_message_size: self.config.max_message_size,
            min_pow: self.config.min_pow,
            min_pow_tolerance: self.config.min_pow_tolerance,
            bloom: self.config.bloom,
            bloom_tolerance: self.config.bloom_tolerance,
        }
    }

    /// Whether an envelope with so many bytes fits into the pool.
    pub(super) fn has_room(&self, envelope: &Envelope) -> bool {
        let limits = &self.config.limits;
        self.pool.len() < limits.pool_envelopes
            && self.pool.bytes() + envelope.raw().len() <= limits.pool_bytes
    }

    /// Every entry begins here: the clock moves, and what became due is done.
    pub(super) fn advance(&mut self, now: Time) {
        if now + CLOCK_JITTER < self.now {
            self.clock_set_back(now);
        }
        self.now = now;
        while let Some(Reverse((at, key))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            self.look_at(key, now);
        }
        while let Some((at, pow)) = self.pow_changes.front().copied()
            && at <= now
        {
            self.pow_changes.pop_front();
            self.config.min_pow_tolerance = pow;
        }
        while let Some((at, bloom)) = self.bloom_changes.front().copied()
            && at <= now
        {
            self.bloom_changes.pop_front();
            self.config.bloom_tolerance = bloom;
        }
        if self.pool.next_expiry().is_some_and(|second| second <= now.as_secs()) {
            self.stats.expired += self.pool.expire(now.as_secs()) as u64;
            if self.pool.is_sparse() {
                self.pool.compact(self.peers.values_mut().map(|peer| &mut peer.cursor));
            }
        }
    }

    fn look_at(&mut self, key: ConnectionId, now: Time) {
        let Some(peer) = self.peers.get(key) else { return };
        if peer.status.is_none() && peer.status_until <= now {
            self.disconnect(key, PeerError::StatusTimeout);
        } else if [peer.flush_at, peer.paced_until].into_iter().flatten().any(|at| at <= now) {
            self.announce(key);
        }
    }

    /// What waits for a time that is now far off is done at once, or starts to wait anew.
    fn clock_set_back(&mut self, now: Time) {
        self.pow_changes.iter_mut().for_each(|(at, _)| *at = now + TOLERANCE);
        self.bloom_changes.iter_mut().for_each(|(at, _)| *at = now + TOLERANCE);
        self.timers.clear();
        let status_until = now + self.config.status_timeout;
        for key in self.peers.keys().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.rewound_at = None;
            peer.rewind_at = peer.rewind_at.and(Some(now));
            peer.pace.clock_set_back(now);
            peer.paced_until = peer.paced_until.and(Some(now));
            if peer.paced_until.is_some() {
                self.timers.push(Reverse((now, key)));
            }
            if peer.flush_at.is_some() {
                peer.flush_at = Some(now);
                self.timers.push(Reverse((now, key)));
            }
            if peer.status.is_none() {
                peer.status_until = status_until;
                self.timers.push(Reverse((status_until, key)));
            }
        }
    }

    /// Tells the transport that there may be something to write.
    pub(super) fn announce(&mut self, key: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.announced
        {
            peer.announced = true;
            self.outputs.push_back(Output::Writable(key));
        }
    }

    fn tell_all(&mut self, mut tell: impl FnMut(&mut Peer)) {
        for key in self.peers.keys().collect::<Vec<_>>() {
            self.peers.get_mut(key).into_iter().for_each(&mut tell);
            self.announce(key);
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn disconnect(&mut self, peer: ConnectionId, error: PeerError) {
        self.remove_peer(peer);
        self.stats.disconnected += 1;
        self.outputs.push_back(Output::Disconnect { peer, error });
    }

    /// The envelopes behind the peer's cursor are to be sent at this time.
    pub(super) fn flush_at(&mut self, key: ConnectionId, at: Time) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.flush_at.is_none_or(|earlier| at < earlier) {
            peer.flush_at = Some(at);
            if at <= self.now {
                self.announce(key);
            } else {
                self.timers.push(Reverse((at, key)));
            }
        }
    }

    /// By its limits, the peer takes the next packet at this time.
    pub(super) fn pace_at(&mut self, key: ConnectionId, at: Time) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.paced_until != Some(at) {
            peer.paced_until = Some(at);
            self.timers.push(Reverse((at, key)));
        }
    }

    /// The peer has been offered everything: the next new envelope wakes it.
    pub(super) fn rest(&mut self, key: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.flush_at = None;
            if !peer.idle {
                peer.idle = true;
                self.idle.push(key);
            }
        }
    }

    /// There are new envelopes: starts the window of every peer that rests.
    pub(super) fn wake(&mut self, now: Time) {
        for key in std::mem::take(&mut self.idle) {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.idle = false;
            let eager = self.config.eager_peers.map_or(u64::MAX, u64::from);
            let window = if self.below(self.peers.len() as u64) < eager {
                self.config.send_window
            } else {
                self.config.lazy_window
            };
            let wait = self.random_wait(window);
            self.flush_at(key, now + wait);
        }
    }

    /// Uniform below the window.
    pub(super) fn random_wait(&mut self, window: Duration) -> Duration {
        Duration::from_nanos(self.below(window.as_nanos() as u64))
    }

    /// Uniform below the bound; 0 if that is 0.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(bound) * u128::from(splitmix(&mut self.random))) >> 64) as u64
    }
}

fn remember<T>(changes: &mut VecDeque<(Time, T)>, now: Time, value: T) {
    if changes.len() >= MAX_CHANGES {
        changes.pop_front();
    }
    changes.push_back((now + TOLERANCE, value));
}

/// SplitMix64: enough for waits, and for seeds that nobody sees.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

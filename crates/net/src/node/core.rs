//! The state machine: peers, time, and what is to do next.
//!
//! The caller brings packets and the time, and collects the results:
//!
//! 1. [`add_peer`](Node::add_peer), [`handle_packet`](Node::handle_packet),
//!    [`remove_peer`](Node::remove_peer), [`send`](Node::send), … change the state;
//! 2. [`poll_output`](Node::poll_output) until it returns `None`;
//! 3. for each peer that an output calls writable, and whose transport has room:
//!    [`poll_peer`](Node::poll_peer) until it returns `None`. Packets with envelopes are made only
//!    then: a peer that does not read costs no memory;
//! 4. at [`next_timeout`](Node::next_timeout): [`handle_timeout`](Node::handle_timeout).
//!
//! `receive` handles packets that arrive, `transmit` makes packets that leave.
//!
//! Time is UNIX time, as in envelopes. If the clock is set back, everything that waits happens at
//! once. Nothing else depends on a steady clock.
//!
//! A node has one [`Network`]. Each of its peers has a dialect, which decides how packets are read
//! and written; everything else is the same in both networks.
//!
//! Source: Whisper specification of Status; EIP-627; Waku specifications of Vac.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use statuskit_core::{
    devp2p::NodeId,
    envelope::{Bloom, EnvelopeHash, Rules, Topic, Verdict, check::SYNC_ALLOWANCE},
    explain::Explanation,
    time::UnixSeconds,
    wire::{Network, Status, packet::code},
};

use super::{
    ConnectionId, Crossing, Event, Interest, NodeConfig, Output, PeerError, PeerInfo, PeerState,
    PooledEnvelope, Time,
    deferred::Deferred,
    holders::Limits,
    limit::RateLimiter,
    peer::{Peer, Peers},
    pool::{Place, Pool},
    receive::Source,
    skew::{self, ClockOffset},
};

/// How long old requirements are tolerated after a change.
const TOLERANCE: Duration = Duration::from_secs(SYNC_ALLOWANCE as u64);
/// A clock that goes back by less than this is taken to stand still.
const CLOCK_JITTER: Duration = Duration::from_secs(1);
/// A peer that leaves its packets for this long keeps nothing in the pool.
const STALLED: Duration = Duration::from_secs(2);
/// Changes of requirements that are remembered for ten seconds.
const MAX_CHANGES: usize = 64;

/// A node of Whisper or Waku without sockets and clock.
#[derive(Debug)]
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) pool: Pool,
    pub(super) peers: Peers,
    pub(super) limiter: Option<RateLimiter>,
    pub(super) deferred: Deferred,
    pub(super) stats: Stats,
    pub(super) next_token: u64,
    /// The number of the last envelope that entered the pool.
    pub(super) last: u64,
    /// When to look at a peer: its send window ends, or its Status is overdue.
    timers: BinaryHeap<Reverse<(Time, ConnectionId)>>,
    /// Peers whose send window starts with the next new envelope.
    idle: Vec<ConnectionId>,
    /// Future values of the tolerances, and when they begin.
    pow_changes: VecDeque<(Time, f64)>,
    bloom_changes: VecDeque<(Time, Option<Bloom>)>,
    topics_changes: VecDeque<(Time, Option<Arc<HashSet<Topic>>>)>,
    outputs: VecDeque<Output>,
    random: u64,
    /// When it may be reported again that the clock is wrong.
    pub(super) skew_after: Time,
    now: Time,
}

/// The result of sending an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The hash of the envelope.
    pub hash: EnvelopeHash,
    /// Whether it was in the pool already. Then no events follow.
    pub known: bool,
    /// The peers that want it and don't have it. Peers that connect later get it as well.
    pub peers: Vec<ConnectionId>,
}

/// Why an envelope or a packet can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The node's own rules reject the envelope, as the rules of its peers would.
    #[error("the node itself refuses the envelope: {0}")]
    Refused(Verdict),
    /// The envelope does not fit into a packet. Peers would disconnect us.
    #[error("it needs a packet of {size} bytes; peers accept at most {max}")]
    Oversized { size: usize, max: u32 },
    /// The envelope lives longer than the node keeps any.
    #[error("a time to live of {ttl} s; the node keeps envelopes for {max} s at most")]
    LongLived { ttl: u32, max: u32 },
    /// The pool has reached its [limits](super::NodeLimits), and nothing in it may go.
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
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(verdict) => verdict.code(),
            Self::Oversized { .. } => Verdict::Oversized.code(),
            Self::LongLived { .. } => "node.long_lived",
            Self::PoolFull => "node.pool_full",
            Self::NoPeer => "node.no_peer",
            Self::OutboxFull { .. } => "node.outbox_full",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "node.pool_full",
            rule: "The pool of envelopes is bounded. A full one makes room by removing forwarded envelopes of the address that holds most; if there are none, it refuses new envelopes.",
            source: "tools",
            causes: "A flood; it passes as envelopes are forwarded or expire.",
        },
        Explanation {
            code: "node.long_lived",
            rule: "A node takes envelopes up to a maximum time to live.",
            source: "tools",
            causes: "Lower --ttl, or raise --max-ttl of the node. Status uses 15 s.",
        },
        Explanation {
            code: "node.no_peer",
            rule: "The peer is not connected, or has not sent its Status.",
            source: "tools",
            causes: "It disconnected meanwhile.",
        },
        Explanation {
            code: "node.outbox_full",
            rule: "What waits for one peer is bounded.",
            source: "tools",
            causes: "The peer does not read.",
        },
    ];
}

/// Counters of a node. All but the first four only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connected peers.
    pub peers: usize,
    /// Peers that have sent their Status.
    pub ready_peers: usize,
    /// Envelopes in the pool.
    pub pooled: usize,
    /// Bytes of the RLP of the envelopes in the pool.
    pub pooled_bytes: usize,
    /// Packets received.
    pub packets_in: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// Envelopes that entered the pool.
    pub new: u64,
    /// Received envelopes that were in the pool already.
    pub duplicates: u64,
    /// Received envelopes that failed a check.
    pub refused: u64,
    /// Of these, those that had expired.
    pub refused_late: u64,
    /// Of these, those from the future.
    pub refused_early: u64,
    /// Envelopes rejected because the pool had no room.
    pub pool_full: u64,
    /// Envelopes that left the pool when their time was over.
    pub expired: u64,
    /// Envelopes that left the pool before they expired, to make room for others.
    pub evicted: u64,
    /// Envelopes of the pool that were looked at for a peer.
    pub looked_at: u64,
    /// Envelopes sent, counted for each peer.
    pub forwarded: u64,
    /// Packets that could not be read, of peers that stay connected for all that (`waku/1`).
    pub unreadable: u64,
    /// Packets over the rate limits.
    pub rate_excess: u64,
    /// Answers dropped because a peer did not read.
    pub answers_dropped: u64,
    /// Peers disconnected for a [`PeerError`].
    pub disconnected: u64,
}

/// Adds the counters of several networks.
impl std::ops::Add for Stats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            peers: self.peers + other.peers,
            ready_peers: self.ready_peers + other.ready_peers,
            pooled: self.pooled + other.pooled,
            pooled_bytes: self.pooled_bytes + other.pooled_bytes,
            packets_in: self.packets_in + other.packets_in,
            bytes_in: self.bytes_in + other.bytes_in,
            packets_out: self.packets_out + other.packets_out,
            bytes_out: self.bytes_out + other.bytes_out,
            new: self.new + other.new,
            duplicates: self.duplicates + other.duplicates,
            refused: self.refused + other.refused,
            refused_late: self.refused_late + other.refused_late,
            refused_early: self.refused_early + other.refused_early,
            pool_full: self.pool_full + other.pool_full,
            expired: self.expired + other.expired,
            evicted: self.evicted + other.evicted,
            looked_at: self.looked_at + other.looked_at,
            forwarded: self.forwarded + other.forwarded,
            unreadable: self.unreadable + other.unreadable,
            rate_excess: self.rate_excess + other.rate_excess,
            answers_dropped: self.answers_dropped + other.answers_dropped,
            disconnected: self.disconnected + other.disconnected,
        }
    }
}

impl Node {
    /// Creates a node without peers. All its randomness comes from `seed`. Keep it secret: it
    /// protects the pool from chosen hashes.
    pub fn new(mut config: NodeConfig, seed: u64, now: Time) -> Self {
        if config.network == Network::Waku {
            config.min_pow_tolerance = config.min_pow;
        }
        let mut random = seed;
        let seeds = [splitmix(&mut random), splitmix(&mut random)];
        let mut node = Self {
            limiter: config.rate_limit.clone().map(RateLimiter::new),
            pool: Pool::new(seeds),
            peers: Peers::new(config.network),
            deferred: Deferred::default(),
            stats: Stats::default(),
            next_token: 0,
            last: 0,
            timers: BinaryHeap::new(),
            idle: Vec::new(),
            pow_changes: VecDeque::new(),
            bloom_changes: VecDeque::new(),
            topics_changes: VecDeque::new(),
            outputs: VecDeque::new(),
            random,
            skew_after: Time::ZERO,
            now,
            config,
        };
        if node.config.bloom.is_some() {
            node.bloom_changes.push_back((now + TOLERANCE, node.config.bloom));
        }
        if node.config.topics.is_some() {
            node.topics_changes.push_back((now + TOLERANCE, node.config.topics.clone()));
        }
        node
    }

    /// Returns the current settings. The tolerances follow changes after ten seconds.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.peers.len(),
            ready_peers: self.peers.iter().filter(|(_, peer)| peer.status.is_some()).count(),
            pooled: self.pool.len(),
            pooled_bytes: self.pool.bytes(),
            ..self.stats
        }
    }

    /// Adds a peer that speaks a dialect of the node's network. Our Status can be written at once. Returns `None` if there
    /// are [too many peers](super::NodeLimits::peers).
    #[must_use]
    pub fn add_peer(&mut self, info: PeerInfo, now: Time) -> Option<ConnectionId> {
        self.advance(now);
        if self.peers.len() >= self.config.limits.peers {
            return None;
        }
        let status_until = now + self.config.status_timeout;
        let dialect = info.dialect;
        let mut peer = Peer::new(info, status_until);
        peer.push(code::STATUS, self.own_status().encode_as(dialect));
        let key = self.peers.insert(peer);
        self.timers.push(Reverse((status_until, key)));
        self.announce(key);
        Some(key)
    }

    /// Removes a peer whose connection has ended, if it is still known.
    pub fn remove_peer(&mut self, peer: ConnectionId) {
        if self.peers.remove(peer).is_some() {
            self.pool.clear_marks(peer.slot as usize);
        }
    }

    /// Returns the connected peers.
    pub fn peers(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.peers.keys()
    }

    /// Returns what is known of a peer.
    pub fn peer(&self, peer: ConnectionId) -> Option<PeerState> {
        let Peer { info, status, trusted, brought, .. } = self.peers.get(peer)?;
        let (info, status) = (info.clone(), status.clone());
        Some(PeerState { info, status, trusted: *trusted, brought: *brought })
    }

    /// Returns how far the clocks of the peers are from ours, as their envelopes tell; `None` if
    /// none came of late.
    pub fn clock_offset(&mut self, now: Time) -> Option<ClockOffset> {
        let ready = self.peers.values_mut().filter(|peer| peer.status.is_some());
        skew::offset(ready.map(|peer| peer.times.bounds(now)))
    }

    /// Notes whether the peer's packets have waited for us: then they don't tell the time.
    pub fn set_delayed(&mut self, peer: ConnectionId, delayed: bool) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.times.delayed = delayed;
        }
    }

    /// Accepts direct packets of this peer (codes 124, 125 and 127) from now on. Sending it a
    /// request for historic messages does the same.
    pub fn mark_trusted(&mut self, peer: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.trusted = true;
        }
    }

    /// Sets which envelopes become events from now on.
    pub fn set_interest(&mut self, interest: Interest) {
        self.config.interest = interest;
    }

    /// Sets the minimum proof of work and announces it. The old value is tolerated for ten
    /// seconds.
    pub fn set_min_pow(&mut self, min_pow: f64, now: Time) {
        self.advance(now);
        self.config.min_pow = min_pow;
        remember(&mut self.pow_changes, now, min_pow);
        self.change_all(|peer| peer.pow_changed = true);
    }

    /// Sets the largest packet and envelope, in bytes. Connections that are open may have a lower
    /// limit of their own.
    pub fn set_max_message_size(&mut self, bytes: u32) {
        self.config.max_message_size = bytes;
    }

    /// Sets whether the node announces, to peers that come from now on, that it only receives.
    pub fn set_light(&mut self, light: bool) {
        self.config.light = light;
    }

    /// Sets the bloom filter and announces it; `None` for all topics. The old one is tolerated for
    /// ten seconds. In Waku, the node has no topic interest any more.
    pub fn set_bloom(&mut self, bloom: Option<Bloom>, now: Time) {
        self.advance(now);
        self.config.bloom = bloom;
        self.config.topics = None;
        remember(&mut self.bloom_changes, now, bloom);
        self.change_all(|peer| peer.topics_changed = true);
    }

    /// Sets the topic interest of a node of Waku and announces it. The old one is tolerated for ten
    /// seconds. The node has no bloom filter any more.
    pub fn set_topics(&mut self, topics: HashSet<Topic>, now: Time) {
        self.advance(now);
        let topics = Some(Arc::new(topics));
        self.config.bloom = None;
        self.config.topics.clone_from(&topics);
        remember(&mut self.topics_changes, now, topics);
        self.change_all(|peer| peer.topics_changed = true);
    }

    /// Adds topics to what the node accepts, as installing a filter does. Announces it only if it
    /// changes.
    ///
    /// A bloom filter grows only if one is set. A topic interest begins with these topics if there
    /// is none: a node of Waku that had accepted everything does not any more.
    pub fn add_topics(&mut self, topics: impl IntoIterator<Item = Topic>, now: Time) {
        if !self.config.has_interest_mode() {
            if let Some(bloom) = self.config.bloom {
                let wider = bloom.union(&Bloom::from_topics(topics));
                if wider != bloom {
                    self.set_bloom(Some(wider), now);
                }
            }
            return;
        }
        let known = self.config.topics.clone().unwrap_or_default();
        let mut more = topics.into_iter().filter(|topic| !known.contains(topic)).peekable();
        if more.peek().is_some() {
            let all = known.iter().copied().chain(more).collect();
            self.set_topics(all, now);
        }
    }

    /// Returns the next output. Drain it after each input: outputs wait in an unbounded queue, and
    /// one packet may cause as many as it has envelopes.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout); `None` while nothing waits. A
    /// late call only delays what is due.
    pub fn next_timeout(&self) -> Option<Time> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let expiry = self.pool.next_expiry();
        let pow = self.pow_changes.front().map(|(at, _)| *at);
        let bloom = self.bloom_changes.front().map(|(at, _)| *at);
        let topics = self.topics_changes.front().map(|(at, _)| *at);
        [timer, expiry, pow, bloom, topics].into_iter().flatten().min()
    }

    /// Does what is due: send windows end, envelopes expire, tolerances change, and peers without a
    /// Status are disconnected.
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
    }

    /// Returns an envelope of the pool.
    pub fn pooled(&self, hash: &EnvelopeHash) -> Option<&PooledEnvelope> {
        self.pool.get(self.pool.find(hash)?).map(AsRef::as_ref)
    }

    /// Returns all envelopes of the pool, in the order of arrival.
    pub fn pool(&self) -> impl Iterator<Item = &Arc<PooledEnvelope>> {
        (self.pool.front()..self.pool.end()).filter_map(|place| self.pool.get(place))
    }

    /// Returns our Status.
    pub(super) fn own_status(&self) -> Status {
        let topics = self.config.interest_topics().cloned();
        // In interest mode, a filter is used, but not announced.
        let is_announced = !self.config.has_interest_mode();
        Status {
            min_pow: self.config.min_pow,
            bloom: self.config.bloom.filter(|_| is_announced),
            topics,
            light: self.config.light,
            confirmations: self.config.confirms(),
            rate_limits: self.config.announced_limits(),
        }
    }

    /// Returns the rules for envelopes.
    pub(super) fn rules(&self, now: Time) -> Rules {
        let mut rules = Rules::new(UnixSeconds::from_since_epoch(now));
        rules.max_message_size = self.config.max_message_size;
        rules.min_pow = self.config.min_pow;
        rules.min_pow_tolerance = self.config.min_pow_tolerance;
        rules.bloom = self.config.bloom;
        rules.bloom_tolerance = self.config.bloom_tolerance;
        rules.topics = self.config.interest_topics().cloned();
        rules.topics_tolerance.clone_from(&self.config.topics_tolerance);
        rules
    }

    /// Makes room in the pool for an envelope, if that can be done: by evicting what every peer
    /// that keeps up has been offered.
    pub(super) fn make_room(&mut self, envelope: &PooledEnvelope, source: Source) -> bool {
        let limits = &self.config.limits;
        let limits = Limits { envelopes: limits.pool_envelopes, bytes: limits.pool_bytes };
        if self.pool.is_half_empty(envelope, limits) {
            return true;
        }
        let from = self.origin(source);
        // New peers and those that do not read delay no one.
        let late = self.now.saturating_sub(STALLED);
        let keeps_up = |peer: &Peer| peer.caught_up && peer.flush_at.is_none_or(|at| at >= late);
        let peers = self.peers.iter().filter(|(_, peer)| keeps_up(peer));
        let offered = peers.map(|(_, peer)| peer.cursor).min().unwrap_or(Place::MAX);
        let evicted = self.pool.make_room(from, envelope, limits, |place| place < offered);
        self.stats.evicted += evicted.unwrap_or(0) as u64;
        evicted.is_some()
    }

    /// Who is to answer for what a peer brings; none for the node itself.
    pub(super) fn origin(&self, source: Source) -> Option<(Option<IpAddr>, NodeId)> {
        match source {
            Source::Own => None,
            Source::Peer(peer) => self.peers.get(peer).map(|peer| (peer.info.ip, peer.info.id)),
            Source::Network(origin) => origin,
        }
    }

    /// Moves the clock and does what is due. Every public method begins with this.
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
        while let Some((at, _)) = self.topics_changes.front()
            && *at <= now
        {
            self.config.topics_tolerance =
                self.topics_changes.pop_front().and_then(|(_, topics)| topics);
        }
        if self.pool.next_expiry().is_some_and(|at| at <= now) {
            self.stats.expired += self.pool.expire(now) as u64;
        }
        if self.pool.is_sparse() {
            self.pool.compact(self.peers.values_mut().map(|peer| &mut peer.cursor));
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

    /// Handles a clock that was set back: what waits is done at once, or starts to wait again.
    fn clock_set_back(&mut self, now: Time) {
        self.pow_changes.iter_mut().for_each(|(at, _)| *at = now + TOLERANCE);
        self.bloom_changes.iter_mut().for_each(|(at, _)| *at = now + TOLERANCE);
        self.topics_changes.iter_mut().for_each(|(at, _)| *at = now + TOLERANCE);
        self.timers.clear();
        let status_until = now + self.config.status_timeout;
        for key in self.peers.keys().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.rewinds.clock_set_back(now);
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

    /// Reports that there may be something to write for a peer.
    pub(super) fn announce(&mut self, key: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.announced
        {
            peer.announced = true;
            self.outputs.push_back(Output::Writable(key));
        }
    }

    /// Changes all peers, and reports that there may be something to write for them.
    fn change_all(&mut self, mut change: impl FnMut(&mut Peer)) {
        for key in self.peers.keys().collect::<Vec<_>>() {
            self.peers.get_mut(key).into_iter().for_each(&mut change);
            self.announce(key);
        }
    }

    /// Offers a new envelope of the pool to other networks.
    pub(super) fn offer(&mut self, place: Place, origin: Option<(Option<IpAddr>, NodeId)>) {
        if self.config.bridge
            && let Some(envelope) = self.pool.get(place).cloned()
        {
            self.outputs.push_back(Output::Crossing(Crossing { envelope, origin }));
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

    /// Sends the envelopes behind the peer's cursor at this time.
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

    /// Sends the next packet to the peer at this time, as its rate limits ask for.
    pub(super) fn pace_at(&mut self, key: ConnectionId, at: Time) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.paced_until != Some(at) {
            peer.paced_until = Some(at);
            self.timers.push(Reverse((at, key)));
        }
    }

    /// Notes that the peer has everything: the next new envelope wakes it.
    pub(super) fn set_idle(&mut self, key: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.flush_at = None;
            peer.caught_up = true;
            if !peer.idle {
                peer.idle = true;
                self.idle.push(key);
            }
        }
    }

    /// Starts the send window of every idle peer: there are new envelopes.
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

    /// Returns a random time below the window.
    pub(super) fn random_wait(&mut self, window: Duration) -> Duration {
        Duration::from_nanos(self.below(window.as_nanos() as u64))
    }

    /// Returns a random number below the bound; 0 if the bound is 0.
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

/// SplitMix64: good enough for delays, and for seeds that never leave the node.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

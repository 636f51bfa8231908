//! The settings of a node.

use std::{collections::HashSet, time::Duration};

use statuskit_core::{
    envelope::{
        Bloom, Topic,
        check::{DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_MIN_POW},
    },
    wire::{RateLimits, packet::TIME_NOT_SYNCED},
};

/// The settings of a [`Node`](super::Node). [`NodeConfig::default`] is a full relay with the
/// protocol's defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The least proof of work of the envelopes it takes.
    pub min_pow: f64,
    /// The least proof of work it lets pass besides, until [`min_pow`](Self::min_pow) changes.
    /// The reference starts with 0.2, also when its minimum is set higher.
    pub min_pow_tolerance: f64,
    /// The topics it takes; none means all.
    pub bloom: Option<Bloom>,
    /// The topics it lets pass besides, until 10 s after the bloom filter was set; none means all.
    pub bloom_tolerance: Option<Bloom>,
    /// What it says about itself: "I only receive". Phones of Status don't set it; they send a
    /// narrow bloom filter instead.
    pub light: bool,
    /// Whether two nodes that both set the flag part at once.
    pub restrict_light_to_light: bool,
    /// Whether Messages packets are answered (codes 12 and 11).
    pub confirmations: bool,
    /// The code in the answers to envelopes that are not taken. The specification says 1; the
    /// reference sends 37 whatever is wrong.
    pub error_code: u64,
    /// The largest packet, and the largest envelope, in bytes.
    pub max_message_size: u32,
    /// Whether requests for historic messages (codes 123, 124 and 126) become events. They are
    /// ignored otherwise.
    pub mailserver: bool,
    /// Which envelopes become events.
    pub interest: Interest,
    /// New envelopes wait for a random time up to this one, a mean of half of it, before a peer
    /// gets them. See [`NodeConfig::DEFAULT_SEND_WINDOW`].
    pub send_window: Duration,
    /// To how many peers, on average, a new envelope is sent within the send window; the others
    /// wait for up to [`lazy_window`](Self::lazy_window), and by then most of them have it from
    /// elsewhere. All, unless told otherwise. See [`NodeConfig::DEFAULT_SEND_WINDOW`].
    pub eager_peers: Option<u32>,
    /// The random wait of those peers that are not served at once.
    pub lazy_window: Duration,
    /// How many packets a peer may send; none means any number.
    pub rate_limit: Option<RateLimit>,
    /// A peer that has not sent its Status after this time is let go.
    pub status_timeout: Duration,
    /// What bounds the memory.
    pub limits: NodeLimits,
}

impl NodeConfig {
    /// The random wait of new envelopes: up to 5 ms, 2.5 ms on average.
    ///
    /// A wait saves a copy when the other end of a link sends the same envelope meanwhile. By
    /// `benches/duplicates.rs` (1,000 nodes, links of 50 ms, copies too many per node):
    ///
    /// | wait up to | none | 2 to 20 ms | 50 ms | 300 ms |
    /// | --- | --: | --: | --: | --: |
    /// | 6 peers each | 4.0 | 3.7 | 3.4 | 2.5 |
    /// | 12 | 10.0 | 9.3 | 8.8 | 6.4 |
    /// | 25 | 23.0 | 21.4 | 20.8 | 14.7 |
    ///
    /// A short wait breaks the ties between paths of equal length, which any wait does, and no
    /// wait much shorter than a link does more. So the default is as long as bursts need to
    /// share packets, and no longer: it adds some 3 ms per hop. (The reference's tick of 300 ms
    /// adds 150.)
    ///
    /// Who minds traffic more than time sets [`eager_peers`](Self::eager_peers): with 8 of 25,
    /// copies fall to 15.0, nearly as with the tick, and half of the nodes are reached after
    /// 163 ms, where the tick takes 312 and everything at once 151.
    pub const DEFAULT_SEND_WINDOW: Duration = Duration::from_millis(5);

    /// The defaults with this minimum proof of work, and nothing less tolerated at the start.
    pub fn with_min_pow(min_pow: f64) -> Self {
        Self { min_pow, min_pow_tolerance: min_pow, ..Self::default() }
    }

    /// The wait of those who are not served at once: the reference's tick.
    pub const DEFAULT_LAZY_WINDOW: Duration = Duration::from_millis(300);

    /// What the node announces about its rate limits.
    pub(super) fn announced_limits(&self) -> RateLimits {
        self.rate_limit.as_ref().map_or_else(RateLimits::default, |limit| RateLimits {
            ip: limit.per_ip.into(),
            peer_id: limit.per_peer.into(),
            topic: 0,
        })
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            min_pow: DEFAULT_MIN_POW,
            min_pow_tolerance: DEFAULT_MIN_POW,
            bloom: None,
            bloom_tolerance: None,
            light: false,
            restrict_light_to_light: true,
            confirmations: true,
            error_code: TIME_NOT_SYNCED,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            mailserver: false,
            interest: Interest::Nothing,
            send_window: Self::DEFAULT_SEND_WINDOW,
            eager_peers: None,
            lazy_window: Self::DEFAULT_LAZY_WINDOW,
            rate_limit: None,
            status_timeout: Duration::from_secs(15),
            limits: NodeLimits::default(),
        }
    }
}

/// What bounds the memory of a node. Nothing in it grows beyond these, whatever peers send.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeLimits {
    /// Envelopes in the pool. A full pool refuses new ones (and tells the sender): an attacker
    /// who fills it can't push out what others sent before.
    pub pool_envelopes: usize,
    /// Bytes of the RLP of the envelopes in the pool.
    pub pool_bytes: usize,
    /// Peers at a time.
    pub peers: usize,
    /// Payload bytes of one Messages packet that we write. Peers take up to 1 MiB; smaller
    /// packets keep less memory busy per peer. A larger envelope travels alone.
    pub batch_bytes: usize,
    /// Payload bytes of packets other than Messages that wait for one peer to read them. When it
    /// does not, answers are dropped, and direct packets are refused.
    pub outbox_bytes: usize,
    /// Packets other than Messages that wait for one peer.
    pub outbox_packets: usize,
    /// Batches with own envelopes, per peer, whose answer is remembered to be outstanding.
    pub batches: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            pool_envelopes: 1 << 18,
            pool_bytes: 128 << 20,
            peers: 256,
            batch_bytes: 256 << 10,
            outbox_bytes: 4 << 20,
            outbox_packets: 1024,
            batches: 1024,
        }
    }
}

/// Which envelopes become events. The others are pooled and forwarded just the same, but nobody
/// hears of them, so that a relay does not pay for an application that it does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Interest {
    /// None.
    #[default]
    Nothing,
    /// Those with one of these topics.
    Topics(HashSet<Topic>),
    /// All.
    Everything,
}

impl Interest {
    /// Whether envelopes with `topic` become events.
    pub fn wants(&self, topic: Topic) -> bool {
        match self {
            Self::Nothing => false,
            Self::Topics(topics) => topics.contains(&topic),
            Self::Everything => true,
        }
    }
}

/// How many packets peers may send, whatever their codes.
///
/// Token buckets that are refilled every 100 ms and hold one second's worth. A packet in excess
/// is only counted; it is processed all the same.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Packets per second from one IP address; 0 turns both limits off.
    pub per_ip: u32,
    /// Packets per second from one node id; 0 for any number.
    pub per_peer: u32,
    /// The so-many-th packet in excess, counted over all peers and never reset, ends its
    /// connection; 0 for never.
    pub tolerance: u64,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { per_ip: 10, per_peer: 5, tolerance: 0 }
    }
}

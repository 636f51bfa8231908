//! The settings of a node.

use std::{collections::HashSet, sync::Arc, time::Duration};

use statuskit_core::{
    envelope::{
        Bloom, Topic,
        check::{DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_MIN_POW},
    },
    wire::{Dialect, Network, RateLimits},
};

/// The settings of a [`Node`](super::Node). [`NodeConfig::default`] is a full relay with the
/// protocol's defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The network of the node. In Waku, the defaults of nodes of the reference differ: the
    /// tolerated minimum proof of work is the minimum, and messages are not confirmed.
    pub network: Network,
    /// The minimum proof of work of envelopes.
    pub min_pow: f64,
    /// The minimum proof of work that is tolerated besides, until [`min_pow`](Self::min_pow)
    /// changes. The reference starts with 0.2 in Whisper, even if its minimum is higher. In Waku,
    /// the node starts with its minimum.
    pub min_pow_tolerance: f64,
    /// The accepted topics; `None` for all.
    pub bloom: Option<Bloom>,
    /// The topics that are tolerated besides, until 10 s after the bloom filter was set; `None` for
    /// all.
    pub bloom_tolerance: Option<Bloom>,
    /// The topic interest of a node of Waku: the only accepted topics, instead of those of the bloom
    /// filter; `None` if it has none. Without one and without [`bloom_mode`](Self::bloom_mode), the
    /// node announces no filter, and its peers take it for a full node.
    pub topics: Option<Arc<HashSet<Topic>>>,
    /// The topic interest that is tolerated besides, until 10 s after it was set; `None` for no
    /// topic.
    pub topics_tolerance: Option<Arc<HashSet<Topic>>>,
    /// Whether a node of Waku uses its bloom filter, and has no topic interest.
    pub bloom_mode: bool,
    /// Whether the node announces that it only receives. Status phones don't; they announce a
    /// narrow bloom filter instead.
    pub light: bool,
    /// Whether two light nodes disconnect at once.
    pub restrict_light_to_light: bool,
    /// Whether Messages packets are answered (codes 12 and 11) in Whisper.
    pub confirmations: bool,
    /// Whether they are in Waku, where nodes of the reference don't unless they are told to.
    pub waku_confirmations: bool,
    /// Confirms envelopes that become events only when [`Node::stored`](super::Node::stored) is called
    /// for them. The others have nobody who could lose them, and are confirmed at once.
    pub confirm_stored: bool,
    /// The error code for rejected envelopes; `None` for that of the peer's
    /// [dialect](Dialect::error_code). The specification says 1; the reference sends 37 for every
    /// error in Whisper.
    pub error_code: Option<u64>,
    /// The largest packet, and the largest envelope, in bytes.
    pub max_message_size: u32,
    /// The longest time to live of the envelopes that it takes, in seconds; 0 for any.
    pub max_ttl: u32,
    /// Whether what enters the pool is reported for another network, as
    /// [`Output::Crossing`](super::Output::Crossing).
    pub bridge: bool,
    /// Whether packets of mailservers (codes 123, 124 and 126) become events. Otherwise they are
    /// ignored.
    pub mailserver: bool,
    /// Which envelopes become events.
    pub interest: Interest,
    /// The maximum delay before a new envelope is forwarded. The delay is random, and half of this
    /// on average. See [`NodeConfig::DEFAULT_SEND_WINDOW`].
    pub send_window: Duration,
    /// The average number of peers that get a new envelope within the send window; `None` for all.
    /// The others wait for up to [`lazy_window`](Self::lazy_window). By then, most have it from
    /// elsewhere. See [`NodeConfig::DEFAULT_SEND_WINDOW`].
    pub eager_peers: Option<u32>,
    /// The maximum delay for peers that are not served at once.
    pub lazy_window: Duration,
    /// The packets that a peer may send; `None` for any number.
    pub rate_limit: Option<RateLimit>,
    /// A peer without a Status is disconnected after this time.
    pub status_timeout: Duration,
    /// What bounds the memory.
    pub limits: NodeLimits,
}

impl NodeConfig {
    /// The maximum delay of new envelopes: 5 ms, 2.5 ms on average.
    ///
    /// A delay saves a copy if the peer sends the same envelope meanwhile. `benches/duplicates.rs`
    /// measures the excess copies per node (1,000 nodes, links of 50 ms):
    ///
    /// | delay up to | 0 | 2 to 20 ms | 50 ms | 300 ms |
    /// | --- | --: | --: | --: | --: |
    /// | 6 peers each | 4.0 | 3.7 | 3.4 | 2.5 |
    /// | 12 | 10.0 | 9.3 | 8.8 | 6.4 |
    /// | 25 | 23.0 | 21.4 | 20.8 | 14.7 |
    ///
    /// A short delay breaks the ties between paths of equal length. Any delay does that, and none
    /// much shorter than a link does more. So the default is just long enough for bursts to share
    /// packets, and adds about 3 ms per hop. (The reference's tick of 300 ms adds 150.)
    ///
    /// To save more traffic, set [`eager_peers`](Self::eager_peers). With 8 of 25, the excess falls
    /// to 15.0, nearly as with the tick. Half of the nodes are reached after 163 ms; with the tick
    /// after 312, and without any delay after 151.
    pub const DEFAULT_SEND_WINDOW: Duration = Duration::from_millis(5);

    /// The maximum delay for peers that are not served at once: the reference's tick.
    pub const DEFAULT_LAZY_WINDOW: Duration = Duration::from_millis(300);

    /// Returns the defaults with this minimum proof of work, from the start: nothing less is
    /// tolerated.
    pub fn with_min_pow(min_pow: f64) -> Self {
        Self { min_pow, min_pow_tolerance: min_pow, ..Self::default() }
    }

    /// The longest time to live, a day. Envelopes of Status live for 15 s to some minutes.
    pub const DEFAULT_MAX_TTL: u32 = 86_400;

    /// Returns whether Messages packets are answered.
    pub(super) fn confirms(&self) -> bool {
        match self.network {
            Network::Whisper => self.confirmations,
            Network::Waku => self.waku_confirmations,
        }
    }

    /// Returns whether a topic interest counts, rather than a bloom filter.
    pub(super) fn has_interest_mode(&self) -> bool {
        self.network == Network::Waku && !self.bloom_mode
    }

    /// Returns the topic interest, if it counts.
    pub(super) fn interest_topics(&self) -> Option<&Arc<HashSet<Topic>>> {
        self.topics.as_ref().filter(|_| self.has_interest_mode())
    }

    /// Returns the error code for envelopes of a peer.
    pub(super) fn error_code(&self, dialect: Dialect) -> u64 {
        self.error_code.unwrap_or_else(|| dialect.error_code())
    }

    /// Returns the rate limits that the node announces.
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
            network: Network::Whisper,
            min_pow: DEFAULT_MIN_POW,
            min_pow_tolerance: DEFAULT_MIN_POW,
            bloom: None,
            bloom_tolerance: None,
            topics: None,
            topics_tolerance: None,
            bloom_mode: false,
            light: false,
            restrict_light_to_light: true,
            confirmations: true,
            waku_confirmations: false,
            confirm_stored: false,
            error_code: None,
            bridge: false,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            max_ttl: Self::DEFAULT_MAX_TTL,
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

/// Bounds of a node's memory. They hold whatever peers send.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeLimits {
    /// Envelopes in the pool.
    ///
    /// Once half of the pool is taken, one address (a /64 of IPv6) may hold an eighth of it. In a
    /// full pool, the address that holds most makes room, and there the peer that brought most, with
    /// the least work per byte and second. Only envelopes go that were offered to the peers and that
    /// no subscriber holds. Otherwise new ones are refused, and the sender learns it.
    pub pool_envelopes: usize,
    /// Bytes of the RLP of the envelopes in the pool.
    pub pool_bytes: usize,
    /// Connected peers.
    pub peers: usize,
    /// Payload bytes of a Messages packet that we write. Peers accept 1 MiB; smaller packets need
    /// less memory per peer. A larger envelope gets a packet of its own.
    pub batch_bytes: usize,
    /// Payload bytes of packets other than Messages that wait for one peer. Beyond, answers are
    /// dropped, and sending a packet fails.
    pub outbox_bytes: usize,
    /// Packets other than Messages that wait for one peer.
    pub outbox_packets: usize,
    /// Unanswered Messages packets with own envelopes that are remembered, per peer.
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

/// Which envelopes become events. The others are pooled and forwarded just the same: a relay does
/// not pay for events that nobody reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Interest {
    /// No envelopes.
    #[default]
    Nothing,
    /// Envelopes with one of these topics.
    Topics(HashSet<Topic>),
    /// All envelopes.
    Everything,
}

impl Interest {
    /// Returns whether envelopes with `topic` become events.
    pub(super) fn wants(&self, topic: Topic) -> bool {
        match self {
            Self::Nothing => false,
            Self::Topics(topics) => topics.contains(&topic),
            Self::Everything => true,
        }
    }
}

/// How many packets peers may send, whatever their codes.
///
/// Token buckets, refilled every 100 ms, hold the packets of one second. A packet over the limit
/// is counted, and processed all the same.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Packets per second from one IP address (or /64 of IPv6); 0 turns both limits off.
    pub per_ip: u32,
    /// Packets per second from one node; 0 for any number.
    pub per_peer: u32,
    /// The number of packets over the limit after which their senders are disconnected. All peers
    /// share one count, which is never reset. 0 for never.
    pub tolerance: u64,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { per_ip: 10, per_peer: 5, tolerance: 0 }
    }
}

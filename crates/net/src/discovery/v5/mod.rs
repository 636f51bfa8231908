//! Legacy discovery v5 as a state machine: `(datagram, now)` in, datagrams and events out.
//!
//! | part | where |
//! | --- | --- |
//! | the endpoint proof, requests served | [`states`](self) |
//! | lookups, refreshing | `lookup` |
//! | tickets and registering topics | `register` |
//! | searching topics | `search` |
//!
//! The machine has no sockets and no clock: [`Machine::handle_datagram`] and
//! [`Machine::handle_timeouts`] take the time, [`Machine::next_timeout`] says when to call again, and
//! [`Machine::poll_output`] returns what to send and to report.
//!
//! # Bounds
//!
//! A stranger can occupy one unproven place of [`MAX_VERIFYING`], which others take over at random; a
//! proven node one of [`Config::max_nodes`], of which the least recently seen go first, never those of
//! the table. See also [`table`](super::table), [`topics`](super::topics) and [`Subnet`]. Before the
//! proof of an address, answers have at most three times the bytes of the packet.
//!
//! Source: go-ethereum 1.9 `p2p/discv5/net.go` and `ticket.go`.

mod lookup;
mod node;
mod register;
mod search;
mod states;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::ChaCha20Rng};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::NodeId,
    discovery::{
        Endpoint, NodeKey, TopicName,
        topic::MIN_WAIT,
        v5::{self, Packet},
    },
};

use super::{
    limit::{RateLimiter, Subnet},
    table::Table,
    topics::TopicTable,
};
use lookup::Lookup;
pub use lookup::LookupId;
use node::Node;
pub use node::{NodeInfo, State};
use register::Registrant;
use search::Searches;

/// The most nodes in a proof at the same time. One more takes the place of another.
pub const MAX_VERIFYING: usize = 1024;
/// How long an answer may take.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long packets are said to be valid. Nobody checks it.
const EXPIRATION: u64 = 20;

/// The time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// A clock that never goes back.
    pub mono: Duration,
    /// UNIX seconds.
    pub unix: u64,
}

/// The settings of a [`Machine`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The key of the node.
    pub key: SecretKey,
    /// Where it listens, as it tells others. The port for connections is the same: nodes take the UDP
    /// port for both.
    pub listen: SocketAddr,
    /// Where to begin.
    pub bootnodes: Vec<NodeInfo>,
    /// The shortest waiting time of the tickets issued here.
    pub min_wait: Duration,
    /// How long a node that was asked for a topic is not asked again.
    pub query_interval: Duration,
    /// The most packets per second from one address, of which a few seconds can come at once.
    pub packets_per_second: u32,
    /// The most nodes that are remembered.
    pub max_nodes: usize,
    /// Whether each answer with nodes is reported, as crawlers need it.
    pub report_neighbors: bool,
    /// In place of all exponentially distributed random numbers, for tests.
    pub fixed_exponential: Option<f64>,
}

impl Config {
    /// Returns the settings of the network.
    pub fn new(key: SecretKey, listen: SocketAddr) -> Self {
        Self {
            key,
            listen,
            bootnodes: Vec::new(),
            min_wait: MIN_WAIT,
            query_interval: Duration::from_secs(60),
            packets_per_second: 100,
            max_nodes: 4096,
            report_neighbors: false,
            fixed_exponential: None,
        }
    }
}

/// What [`Machine::poll_output`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A datagram to be sent.
    Send {
        /// Where.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something to report.
    Event(Event),
}

/// What a machine reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node has completed the endpoint proof.
    Bonded(NodeInfo),
    /// A node has answered our ping.
    Answered {
        /// The node.
        node: NodeInfo,
        /// How long it took.
        after: Duration,
    },
    /// A node has not answered our ping.
    Silent(NodeInfo),
    /// A node has answered a query with nodes. Only with [`Config::report_neighbors`], and for
    /// [`Machine::find_node`].
    Neighbors {
        /// The node.
        from: NodeInfo,
        /// Those of its nodes that can be used.
        nodes: Vec<NodeInfo>,
    },
    /// A node has not answered a query of [`Machine::find_node`].
    Unanswered(NodeInfo),
    /// The first refresh has ended with nodes in the table.
    Started,
    /// A lookup of [`Machine::lookup`] has ended.
    LookupDone {
        /// The lookup.
        id: LookupId,
        /// The nodes nearest to its target, nearest first.
        nodes: Vec<NodeInfo>,
    },
    /// A ticket was taken.
    Ticket {
        /// For what.
        topic: TopicName,
        /// Whose ticket it is.
        registrar: NodeInfo,
        /// How long it waits, in seconds.
        wait: u32,
    },
    /// A registration was sent. Registrars don't say whether they accept it.
    Registered {
        /// For what.
        topic: TopicName,
        /// Where.
        registrar: NodeInfo,
    },
    /// A node was named as the answer to a query for a topic. Nothing proves yet that it is there.
    Found {
        /// The topic.
        topic: TopicName,
        /// The node.
        node: NodeInfo,
        /// Who named it.
        from: NodeInfo,
    },
    /// A node has registered itself here.
    Registration {
        /// For what.
        topic: TopicName,
        /// Who.
        node: NodeInfo,
    },
}

/// What a timer does. Timers are not removed: one that has lost its meaning does nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Our ping has no answer.
    Pong(NodeId, [u8; 32]),
    /// The node does not want to send a ping.
    RemoteVerify(NodeId),
    /// Our query has no answer.
    Query(NodeId, u64),
    /// A node that moved must prove its address.
    Reprove(NodeId, SocketAddr),
    /// A lookup has got no answer for a while.
    Stall(LookupId, u64),
    Refresh,
    BucketRefresh,
    RegisterLookup,
    Register,
    Search(TopicName),
}

/// How many of something there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams that were received.
    pub received: u64,
    /// Those of them that were no packet, or one that was not asked for.
    pub dropped: u64,
    /// Those of them that were over the limit of their address.
    pub limited: u64,
    /// Datagrams that were sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
}

/// A node of legacy discovery v5.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    own: NodeId,
    own_info: NodeInfo,
    endpoint: Endpoint,
    rng: ChaCha20Rng,
    nodes: HashMap<NodeId, Node>,
    table: Table,
    topics: TopicTable,
    limiter: RateLimiter,
    /// Nodes that entered a proof, to replace one. May name others, too.
    verifying: Vec<NodeId>,
    lookups: HashMap<LookupId, Lookup>,
    numbers: u64,
    registrant: Registrant,
    searches: Searches,
    timers: BinaryHeap<Reverse<(Duration, u64, Timer)>>,
    outputs: VecDeque<Output>,
    is_started: bool,
    failed_refreshes: u32,
    stats: Stats,
}

impl Machine {
    /// Makes a node that answers. [`start`](Self::start) makes it ask, too.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let key = config.key.public_key();
        let own = NodeId::from_key(&key);
        let (addr, port) = (config.listen, config.listen.port());
        let mut endpoint = Endpoint::new(addr.ip(), port, port);
        if addr.ip().is_unspecified() {
            endpoint.ip = vec![0; 16];
        }
        Self {
            own,
            own_info: NodeInfo { key, addr, tcp: port },
            endpoint,
            rng: ChaCha20Rng::from_seed(seed),
            nodes: HashMap::new(),
            table: Table::new(own),
            topics: TopicTable::new(config.min_wait),
            limiter: RateLimiter::new(config.packets_per_second),
            verifying: Vec::new(),
            lookups: HashMap::new(),
            numbers: 0,
            registrant: Registrant::default(),
            searches: Searches::default(),
            timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            is_started: false,
            failed_refreshes: 0,
            stats: Stats::default(),
            config,
        }
    }

    /// Returns the own node, as it tells others.
    pub fn info(&self) -> NodeInfo {
        self.own_info
    }

    /// Returns the own key in packets.
    pub fn node_key(&self) -> NodeKey {
        NodeKey::from(&self.own_info.key)
    }

    /// Returns the state of a node. `None` if it is not remembered.
    pub fn state(&self, key: &PublicKey) -> Option<State> {
        self.nodes.get(&NodeId::from_key(key)).map(|node| node.state)
    }

    /// Returns the nodes of the table, with their states and buckets.
    pub fn nodes(&self) -> Vec<(NodeInfo, State, u16)> {
        let entry = |id: NodeId| {
            let node = self.nodes.get(&id)?;
            let bucket = statuskit_core::discovery::distance::log_distance(&self.own, &id);
            Some((node.info, node.state, bucket))
        };
        self.table.ids().filter_map(entry).collect()
    }

    /// Returns the registrations of a topic here.
    pub fn registered(&self, topic: &TopicName) -> Vec<NodeInfo> {
        let ids = self.topics.registered(topic);
        ids.filter_map(|id| self.nodes.get(&id)).map(|node| node.info).collect()
    }

    /// Returns the topics that nodes registered for here, with how many did.
    pub fn topics(&self) -> Vec<(TopicName, usize)> {
        self.topics.topics().map(|(name, count)| (name.clone(), count)).collect()
    }

    /// Returns how many nodes are remembered.
    pub fn remembered(&self) -> usize {
        self.nodes.len()
    }

    /// Returns what was counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`handle_timeouts`](Self::handle_timeouts) is to be called, by the clock that
    /// never goes back.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Does what is due.
    pub fn handle_timeouts(&mut self, now: Now) {
        while let Some(Reverse((at, ..))) = self.timers.peek()
            && *at <= now.mono
        {
            let Some(Reverse((_, _, timer))) = self.timers.pop() else { return };
            match timer {
                Timer::Pong(id, hash) => self.pong_timeout(id, hash, now),
                Timer::RemoteVerify(id) => self.remote_verify_timeout(id, now),
                Timer::Query(id, number) => self.query_timeout(id, number, now),
                Timer::Reprove(id, addr) => self.reprove(id, addr, now),
                Timer::Stall(id, replies) => self.lookup_stalled(id, replies, now),
                Timer::Refresh => self.refresh(now),
                Timer::BucketRefresh => self.refresh_bucket(now),
                Timer::RegisterLookup => self.register_lookup(now),
                Timer::Register => self.register_due(now),
                Timer::Search(topic) => self.search_lookup(&topic, now),
            }
        }
    }

    fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.numbers += 1;
        self.timers.push(Reverse((at, self.numbers, timer)));
    }

    fn report(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Signs and sends a packet. Returns its hash, and its bytes.
    fn send(&mut self, to: SocketAddr, packet: &Packet) -> Option<([u8; 32], usize)> {
        self.send_within(to, packet, usize::MAX)
    }

    /// The same, unless it has more bytes.
    fn send_within(
        &mut self,
        to: SocketAddr,
        packet: &Packet,
        most: usize,
    ) -> Option<([u8; 32], usize)> {
        // What does not fit into a datagram has no other form.
        let datagram = packet.encode(&self.config.key).ok()?;
        let length = datagram.bytes.len();
        if length > most {
            return None;
        }
        self.stats.sent += 1;
        self.stats.sent_bytes += length as u64;
        self.outputs.push_back(Output::Send { to, bytes: datagram.bytes });
        Some((datagram.hash.0, length))
    }

    /// Returns an exponentially distributed random number with the mean 1.
    fn exponential(&mut self) -> f64 {
        self.config.fixed_exponential.unwrap_or_else(|| {
            // Never 0: the logarithm is finite.
            let random = (self.rng.next_u64() >> 11) as f64 + 1.0;
            -(random / (1_u64 << 53) as f64).ln()
        })
    }

    fn subnet(&self, node: &NodeInfo) -> Option<Subnet> {
        Subnet::from_ip(node.addr.ip())
    }

    /// Returns the topics in each ping.
    fn ping_topics(&self) -> Arc<[TopicName]> {
        self.registrant.topics()
    }

    /// Returns a node that the machine remembers.
    fn info_of(&self, id: &NodeId) -> Option<NodeInfo> {
        self.nodes.get(id).map(|node| node.info)
    }

    fn random_id(&mut self) -> NodeId {
        NodeId(self.rng.random())
    }
}

/// Returns whether a datagram can be a packet of this protocol. Others are refused by this alone.
pub fn is_packet(datagram: &[u8]) -> bool {
    datagram.len() > v5::PREFIX.len() + 65 && datagram.starts_with(v5::PREFIX)
}

#[cfg(test)]
mod tests;

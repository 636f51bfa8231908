//! The node on a network: a thin layer of tokio tasks around one [`Node`].
//!
//! ```no_run
//! # use statuskit_core::{crypto::SecretKey, devp2p::Enode, envelope::Envelope};
//! # use statuskit_net::node::{Event, PeerOptions, Service, ServiceConfig};
//! # async fn run(key: SecretKey, peer: Enode, envelope: Envelope) -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::start(ServiceConfig::new(key)).await?;
//! let mut events = service.handle().subscribe();
//! service.handle().add_peer(peer, PeerOptions::default());
//! while let Some(event) = events.next().await {
//!     match &*event {
//!         Event::Ready { .. } => {
//!             service.handle().send(envelope.clone())?;
//!         }
//!         Event::BatchAcknowledged { envelopes, .. } if !envelopes.is_empty() => break,
//!         other => println!("{other:?}"),
//!     }
//! }
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! One task accepts connections, one per peer dials, one keeps the time. Each connection is carried
//! by the task that made it. They share the [`Node`] behind a lock, which is held for one call at a
//! time and never across an await. Any tokio runtime will do; one thread is enough.
//!
//! **Bounds.** Strangers can occupy a bounded number of handshakes ([`ServiceConfig::max_pending`],
//! [`ServiceConfig::max_pending_per_ip`]) and peers ([`ServiceConfig::max_peers`],
//! [`ServiceConfig::max_peers_per_ip`]). A peer can occupy its part of the events that wait, and
//! little more than one packet each way. A packet is held twice while it is read, compressed
//! and uncompressed; each up to twice [`NodeConfig::max_message_size`], or
//! [`PeerOptions::max_packet_size`] if that is more, and at most 16 MiB.
//!
//! **Back-pressure.** No event of a [`Subscription`] is dropped. While more than
//! [`ServiceConfig::event_bytes`] wait for one, connections stop reading: TCP is the queue. At most
//! one packet per connection stays in memory. A peer of which more than its part waits is not read
//! either. Pings, answers and what is queued go out all the
//! same, so that no peer times out. A peer that leaves meanwhile is reported with the time since
//! which it was not read ([`Event::Disconnected`](super::Event::Disconnected)).

mod bridge;
mod dial;
pub(crate) mod handshakes;
mod link;
mod places;
mod shared;
mod subscription;
mod unfinished;

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{TryRng, rngs::SysRng};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::{Enode, Protocol},
    envelope::{Bloom, Envelope, Topic},
    explain::Explanation,
    wire::{Dialect, IntoEncoded, Network, packet::PROTOCOL_LENGTH},
};
use tokio::{net::TcpListener, runtime::Handle as Runtime, task::JoinSet, time::timeout};

use super::{
    Clock, ClockOffset, ConnectionId, EndReason, Interest, Node, NodeConfig, NodeLimits, PeerState,
    PeerSummary, SendError, Sent, Stats, Time,
};
use crate::connection;
use bridge::Bridge;
pub use bridge::{BridgeConfig, BridgeStats, Way, WayStats};
pub use dial::PeerOptions;
use handshakes::Handshakes;
use places::Places;
use shared::Shared;
pub use subscription::{Subscription, Watch, Watched};
use unfinished::Unfinished;

/// How long a shutdown may take beyond the time for Disconnect.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The settings of a [`Service`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The key of the node: its identity for peers.
    pub key: SecretKey,
    /// The rules and limits of the node, in each network. Its
    /// [network](NodeConfig::network) is replaced. Of the [limits](NodeConfig::limits) of the pool and of
    /// the bytes for a peer, a node of both networks has half in each.
    pub node: NodeConfig,
    /// What the node speaks; at least one. With peers that speak several versions of Waku, it speaks
    /// the newest; those that speak Whisper and Waku are its peers in both networks.
    pub dialects: Vec<Dialect>,
    /// What crosses between the networks; `None` for nothing.
    pub bridge: Option<BridgeConfig>,
    /// The settings of devp2p. The protocols are replaced by the dialects, and the limit of a message by
    /// one that fits the node's.
    pub p2p: connection::P2pConfig,
    /// Where to listen; port 0 for a free port, `None` to not listen.
    pub listen: Option<SocketAddr>,
    /// The maximum number of inbound peers.
    ///
    /// The last tenth is for addresses without a peer. If no place is free, a peer from a new
    /// address displaces the least useful one: of the address with most peers, the one that brought
    /// the fewest new envelopes, and of these the newest. No peer is displaced in its first 30 s,
    /// nor if it is trusted.
    pub max_peers: usize,
    /// The maximum number of inbound peers with one IP address (or /64 of IPv6); 0 for any number.
    /// `None` means a tenth of [`max_peers`](Self::max_peers), at least 2, and no rules about
    /// addresses for peers on this machine.
    pub max_peers_per_ip: Option<usize>,
    /// The maximum number of inbound handshakes in progress. Beyond, the oldest of the address with
    /// the most of them is abandoned.
    pub max_pending: usize,
    /// The maximum number of inbound handshakes in progress with one IP address (or /64 of IPv6).
    /// Beyond, the oldest is abandoned.
    pub max_pending_per_ip: usize,
    /// The maximum bytes of events that wait for each subscriber, by
    /// [`Event::size`](super::Event::size). While more wait for a [`Subscription`], the node does not
    /// read from its peers; nor from a peer of whose events more than its equal part waits. A
    /// [`Watch`] skips the oldest.
    pub event_bytes: usize,
    /// The maximum bytes of packets that have begun and not ended, of all inbound peers. Beyond, the
    /// peer whose packet began first is disconnected.
    pub unfinished_bytes: usize,
    /// The clock of the node.
    pub clock: Clock,
    /// The seed of the node's random decisions. Handshakes are random all the same.
    pub seed: Option<u64>,
}

impl ServiceConfig {
    /// Returns the settings of a full relay that does not listen.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            node: NodeConfig::default(),
            dialects: vec![Dialect::Whisper],
            bridge: None,
            p2p: connection::P2pConfig::default(),
            listen: None,
            max_peers: 50,
            max_peers_per_ip: None,
            max_pending: 50,
            max_pending_per_ip: 8,
            event_bytes: 32 << 20,
            unfinished_bytes: 32 << 20,
            clock: Clock::default(),
            seed: None,
        }
    }
}

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The address is in use, or not ours.
    #[error("can't listen on {addr}: {error}")]
    Listen { addr: SocketAddr, error: io::Error },
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The system has no thread for a [`TestNode`](crate::testing::TestNode).
    #[error("can't start the node: {0}")]
    Runtime(io::Error),
}

impl ServiceError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "net.listen",
            Self::Random(_) => "local.random",
            Self::Runtime(_) => "system.runtime",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "net.listen",
            rule: "The node can't listen on this address.",
            source: "the system",
            causes: "Another process has the port (--listen 127.0.0.1:0 takes any that is free), or the address is not this machine's.",
        },
        Explanation {
            code: "local.random",
            rule: "The system gave no random numbers.",
            source: "the system",
            causes: "A sandbox without getrandom.",
        },
        Explanation {
            code: "system.runtime",
            rule: "The system gave no thread or event queue.",
            source: "the system",
            causes: "A limit on threads or files: see ulimit.",
        },
    ];
}

/// A running node. Dropping it ends the node in the background; to wait, see
/// [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Service {
    handle: Handle,
}

/// A handle to a running node, in one of its networks. Clones are cheap.
///
/// A node of both networks has two, which share the connections: see [`on`](Self::on). What concerns
/// a peer works with either.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    runtime: Runtime,
    local_addr: Option<SocketAddr>,
    network: Network,
}

impl Service {
    /// Starts a node on the current tokio runtime. It listens when this returns.
    ///
    /// # Errors
    /// If the address is in use, or the system has no random numbers.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(config: ServiceConfig) -> Result<Self, ServiceError> {
        let ServiceConfig { key, mut node, mut p2p, listen, .. } = config;
        let seed = match config.seed {
            Some(seed) => seed,
            None => {
                SysRng.try_next_u64().map_err(|error| ServiceError::Random(error.to_string()))?
            }
        };
        let protocol = |dialect: &Dialect| {
            Protocol::new(dialect.protocol(), dialect.version(), PROTOCOL_LENGTH)
        };
        p2p.protocols = config.dialects.iter().map(protocol).collect();
        // Twice the accepted size is read: a packet that is a little too large gets a Disconnect.
        p2p.limits.message = p2p.limits.message.min(2 * node.max_message_size as usize);
        // Outbound peers come on top of the maximum.
        node.limits.peers = node.limits.peers.max(2 * config.max_peers);

        let listener = match listen {
            Some(addr) => {
                let listener = TcpListener::bind(addr).await;
                Some(listener.map_err(|error| ServiceError::Listen { addr, error })?)
            }
            None => None,
        };
        let local_addr = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let networks = config.dialects.iter().map(|dialect| dialect.network());
        let network = networks.clone().min().unwrap_or_default();
        let has_both = networks.max().is_some_and(|last| last != network);
        node.bridge = has_both && config.bridge.is_some();
        if has_both {
            // The limits are those of the process.
            let NodeLimits { pool_envelopes, pool_bytes, outbox_bytes, .. } = &mut node.limits;
            for limit in [pool_envelopes, pool_bytes, outbox_bytes] {
                *limit = limit.div_ceil(2);
            }
        }
        let of = |network, seed| {
            Node::new(NodeConfig { network, ..node.clone() }, seed, config.clock.now())
        };
        let second = has_both.then(|| of(network.other(), seed.rotate_left(32) ^ 1));
        let shared = Arc::new(Shared::new(
            (of(network, seed), second, config.bridge.map(Bridge::new)),
            key,
            p2p,
            config.clock,
            Places { most: config.max_peers, per_address: config.max_peers_per_ip },
            Unfinished::new(config.unfinished_bytes),
            config.event_bytes,
        ));
        let mut tasks = JoinSet::new();
        let timer = shared.clone();
        tasks.spawn(async move { timer.keep_time().await });
        if let Some(listener) = listener {
            let handshakes = Handshakes::new(config.max_pending, config.max_pending_per_ip);
            tasks.spawn(dial::accept(shared.clone(), listener, handshakes));
        }
        let tasks = Arc::new(Mutex::new(tasks));
        let runtime = Runtime::current();
        Ok(Self { handle: Handle { shared, tasks, runtime, local_addr, network } })
    }

    /// Returns a handle to the node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends the node: sends Disconnect ("client quitting") to all peers and closes. Takes at most
    /// about two seconds, if peers don't read.
    pub async fn shutdown(self) {
        let Handle { shared, tasks, .. } = self.handle.clone();
        shared.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        // Tasks that are not done in time are dropped with the set.
        let _ = timeout(shared.p2p.limits.farewell + SHUTDOWN_GRACE, all).await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.handle.shared.closing.send_replace(true);
        self.handle.shared.hub.close();
    }
}

impl Handle {
    /// Returns the network of this handle. [`Service::handle`] has Whisper if the node speaks it.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Returns the handle in another network of the node, or this one; `None` if the node is not
    /// there.
    pub fn on(&self, network: Network) -> Option<Self> {
        self.shared.networks().contains(&network).then(|| Self { network, ..self.clone() })
    }

    /// Returns the handles in all networks of the node.
    pub fn networks(&self) -> Vec<Self> {
        Network::ALL.into_iter().filter_map(|network| self.on(network)).collect()
    }

    /// Returns the counters of the bridge, if there is one.
    pub fn bridge_stats(&self) -> Option<BridgeStats> {
        self.shared.bridge_stats()
    }

    /// Returns the address that the node listens on.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Returns the node's public key.
    pub fn id(&self) -> PublicKey {
        self.shared.key.public_key()
    }

    /// Returns the URL for peers on this machine: with the loopback address if the node listens on
    /// all. `None` if it does not listen.
    pub fn enode(&self) -> Option<Enode> {
        let addr = self.local_addr?;
        let ip = match addr.ip() {
            ip if !ip.is_unspecified() => ip,
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        Some(Enode::new(self.id(), ip, addr.port()))
    }

    /// Subscribes to all events from now on, of all networks. No event is lost: while the subscriber is slow, the
    /// node does not read from its peers.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.shared.hub.subscribe()
    }

    /// Subscribes to the events from now on, for logs and metrics. Events that come too fast are
    /// skipped and counted.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.shared.hub.watch()
    }

    /// Dials a peer, repeatedly if the options say so. Events report the outcome. If the peer is
    /// being dialled already, this starts over.
    pub fn add_peer(&self, enode: Enode, options: PeerOptions) {
        if self.shared.is_closing() {
            return;
        }
        let stop = self.shared.dials(|dials| dials.insert(enode.id));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(dial::dial(self.shared.clone(), enode, options, stop), &self.runtime);
    }

    /// Stops dialling a peer, and disconnects it.
    pub fn remove_peer(&self, id: &PublicKey) {
        self.shared.dials(|dials| dials.remove(id));
        if let Some(key) = self.shared.peer_by_id(id, self.network) {
            self.shared.end(key, EndReason::Removed);
        }
    }

    /// Returns the connected peers, in all networks: one that is in both is there twice.
    pub fn peers(&self) -> Vec<Arc<PeerSummary>> {
        self.shared.peers()
    }

    /// Returns the connection with a peer: in the network of this handle if it is there.
    pub fn peer_by_id(&self, id: &PublicKey) -> Option<ConnectionId> {
        self.shared.peer_by_id(id, self.network)
    }

    /// Returns what the node knows of a peer.
    pub fn peer_state(&self, peer: ConnectionId) -> Option<PeerState> {
        self.shared.with(peer.network, |node, _| node.peer(peer))
    }

    /// Sends an envelope: see [`Node::send`].
    ///
    /// # Errors
    /// As [`Node::send`].
    pub fn send(&self, envelope: Envelope) -> Result<Sent, SendError> {
        self.with(|node, now| node.send(envelope, now))
    }

    /// Sends a packet to one peer, if there is room: see [`Node::send_packet`].
    ///
    /// # Errors
    /// As [`Node::send_packet`].
    pub fn try_send_packet(
        &self,
        peer: ConnectionId,
        packet: impl IntoEncoded,
    ) -> Result<(), SendError> {
        self.shared.with(peer.network, |node, now| node.send_packet(peer, packet, now))
    }

    /// Sends a packet to one peer, as soon as there is room. Cancel-safe.
    ///
    /// # Errors
    /// If the peer is not connected, or has not sent its Status.
    pub async fn send_packet(
        &self,
        peer: ConnectionId,
        packet: impl IntoEncoded + Copy,
    ) -> Result<(), SendError> {
        loop {
            let room = self.shared.room(peer).ok_or(SendError::NoPeer)?;
            let notified = room.notified();
            tokio::pin!(notified);
            // From here on, no notification is missed.
            notified.as_mut().enable();
            match self.try_send_packet(peer, packet) {
                Err(SendError::OutboxFull { .. }) => notified.await,
                result => return result,
            }
        }
    }

    /// Sets the minimum proof of work: see [`Node::set_min_pow`].
    pub fn set_min_pow(&self, min_pow: f64) {
        self.with(|node, now| node.set_min_pow(min_pow, now));
    }

    /// Sets the bloom filter: see [`Node::set_bloom`].
    pub fn set_bloom(&self, bloom: Option<Bloom>) {
        self.with(|node, now| node.set_bloom(bloom, now));
    }

    /// Sets the topic interest: see [`Node::set_topics`].
    pub fn set_topics(&self, topics: HashSet<Topic>) {
        self.with(|node, now| node.set_topics(topics, now));
    }

    /// Adds topics to what the node accepts: see [`Node::add_topics`].
    pub fn add_topics(&self, topics: impl IntoIterator<Item = Topic>) {
        self.with(|node, now| node.add_topics(topics, now));
    }

    /// Sets which envelopes become events: see [`Node::set_interest`].
    pub fn set_interest(&self, interest: Interest) {
        self.with(|node, _| node.set_interest(interest));
    }

    /// Accepts direct packets of a peer: see [`Node::mark_trusted`].
    pub fn mark_trusted(&self, peer: ConnectionId) {
        self.shared.with(peer.network, |node, _| node.mark_trusted(peer));
    }

    /// Returns the counters: see [`Node::stats`].
    pub fn stats(&self) -> Stats {
        self.with(|node, _| node.stats())
    }

    /// Returns the sums of the counters in all networks. A peer that is in both counts twice.
    pub fn stats_of_all(&self) -> Stats {
        let each = self.networks().into_iter().map(|handle| handle.stats());
        each.reduce(|sum, more| sum + more).unwrap_or_default()
    }

    /// Returns the bytes of packets of inbound peers that have begun and not ended.
    pub fn unfinished_bytes(&self) -> usize {
        self.shared.unfinished.bytes()
    }

    /// Returns how far the clocks of the peers are from ours: see [`Node::clock_offset`].
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.with(|node, now| node.clock_offset(now))
    }

    /// Returns the time of the node's clock.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Works on the node of this network itself. Its outputs are dispatched as usual; don't poll
    /// them.
    pub fn with<T>(&self, work: impl FnOnce(&mut Node, Time) -> T) -> T {
        self.shared.with(self.network, work)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

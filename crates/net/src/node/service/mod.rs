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
//! One task accepts, one per peer dials, one keeps the time; each connection is carried by the
//! task that made it. They share the [`Node`] behind a lock that is held for one call at a time
//! and never across a wait. Any tokio runtime will do; one thread is enough.
//!
//! What a stranger can occupy is bounded: handshakes under way ([`ServiceConfig::max_pending`],
//! [`ServiceConfig::max_pending_per_ip`]), peers ([`ServiceConfig::max_peers`]), and per peer one
//! packet each way, and little more. A packet that is read is held twice, as it came and
//! uncompressed; each up to twice [`NodeConfig::max_message_size`], or [`PeerOptions::max_packet_size`]
//! where that is more, and never more than 16 MiB.

mod clock;
mod dial;
mod handshakes;
mod link;
mod shared;
mod subscription;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{TryRng, rngs::SysRng};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::{Enode, Protocol},
    envelope::{Bloom, Envelope},
    wire::{
        Encoded,
        packet::{PROTOCOL, PROTOCOL_LENGTH},
        status::VERSION,
    },
};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use super::{
    ConnectionId, EndReason, Interest, Node, NodeConfig, PeerState, PeerSummary, SendError, Sent,
    Stats, Time,
};
use crate::connection;
pub use clock::Clock;
pub use dial::PeerOptions;
use handshakes::Handshakes;
use shared::Shared;
pub use subscription::{Subscription, Watch, Watched};

/// How long a shutdown may take beyond the time for saying good-bye.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The settings of a [`Service`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The key of the node: its identity among peers.
    pub key: SecretKey,
    /// The node's rules and limits.
    pub node: NodeConfig,
    /// What devp2p says and how long it waits. The protocols in it are replaced by `shh/6`, and
    /// the limit of a message by one that fits the node's.
    pub p2p: connection::P2pConfig,
    /// Where to listen; port 0 for any that is free, none for not at all.
    pub listen: Option<SocketAddr>,
    /// Connections at a time, those not counted that we dial ourselves.
    pub max_peers: usize,
    /// Handshakes at a time with those who dial us. Where there are more, the oldest of the
    /// address with the most of them is given up.
    pub max_pending: usize,
    /// Handshakes at a time with those who dial us from one IP address (or from one /64 of IPv6).
    /// Where there are more, the oldest is given up.
    pub max_pending_per_ip: usize,
    /// The most bytes of events that wait for each subscriber, by [`Event::size`](super::Event::size).
    /// While more wait for a [`Subscription`], the node reads no more packets from its peers; a
    /// [`Watch`] skips the oldest.
    pub event_bytes: usize,
    /// Where the time comes from.
    pub clock: Clock,
    /// Fixes what the node does at random; the handshakes are random all the same.
    pub seed: Option<u64>,
}

impl ServiceConfig {
    /// A full relay that listens nowhere, under a key.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            node: NodeConfig::default(),
            p2p: connection::P2pConfig::default(),
            listen: None,
            max_peers: 50,
            max_pending: 50,
            max_pending_per_ip: 8,
            event_bytes: 32 << 20,
            clock: Clock::default(),
            seed: None,
        }
    }
}

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The address is taken, or not ours.
    #[error("can't listen on {addr}: {error}")]
    Listen { addr: SocketAddr, error: io::Error },
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl ServiceError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "net.listen",
            Self::Random(_) => "local.random",
        }
    }
}

/// A running node. Dropping it ends it without a good-bye; see [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Service {
    handle: Handle,
}

/// The way to a running node, for any number of holders.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    local_addr: Option<SocketAddr>,
}

impl Service {
    /// Starts a node on the current tokio runtime. It listens, if it is to, when this returns.
    pub async fn start(config: ServiceConfig) -> Result<Self, ServiceError> {
        let ServiceConfig { key, mut node, mut p2p, listen, .. } = config;
        let seed = match config.seed {
            Some(seed) => seed,
            None => {
                SysRng.try_next_u64().map_err(|error| ServiceError::Random(error.to_string()))?
            }
        };
        p2p.protocols = vec![Protocol::new(PROTOCOL, VERSION, PROTOCOL_LENGTH)];
        // Twice as much is read as is taken: so much too large still gets a Disconnect.
        p2p.limits.message = p2p.limits.message.min(2 * node.max_message_size as usize);
        // Those that we dial come on top of the maximum.
        node.limits.peers = node.limits.peers.max(2 * config.max_peers);

        let listener = match listen {
            Some(addr) => {
                let listener = TcpListener::bind(addr).await;
                Some(listener.map_err(|error| ServiceError::Listen { addr, error })?)
            }
            None => None,
        };
        let local_addr = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let shared = Arc::new(Shared::new(
            Node::new(node, seed, config.clock.now()),
            key,
            p2p,
            config.clock,
            config.max_peers,
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
        Ok(Self { handle: Handle { shared, tasks, local_addr } })
    }

    /// The way to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it: tells every peer "client quitting" and closes, in bounded time (some two seconds,
    /// if peers don't read).
    pub async fn shutdown(self) {
        let Handle { shared, tasks, .. } = self.handle.clone();
        shared.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        // Those that are not done in time are dropped with the set.
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
    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// The node's public key.
    pub fn id(&self) -> PublicKey {
        self.shared.key.public_key()
    }

    /// The URL by which peers on this machine dial it: with the loopback address if it listens
    /// on all. None if it does not listen.
    pub fn enode(&self) -> Option<Enode> {
        let addr = self.local_addr?;
        let ip = match addr.ip() {
            ip if !ip.is_unspecified() => ip,
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        Some(Enode::new(self.id(), ip, addr.port()))
    }

    /// All events from now on. None is lost: while the subscriber is slow, the node reads no more
    /// packets from its peers.
    pub fn subscribe(&self) -> Subscription {
        self.shared.hub.subscribe()
    }

    /// The events from now on, for logs and metrics: those that come too fast are skipped, and
    /// counted.
    pub fn watch(&self) -> Watch {
        self.shared.hub.watch()
    }

    /// Dials a peer, and again whenever the connection ends, if the options say so. What becomes
    /// of it is told by events. A peer that is being dialled already is started over.
    pub fn add_peer(&self, enode: Enode, options: PeerOptions) {
        if self.shared.is_closing() {
            return;
        }
        let stop = self.shared.dials(|dials| dials.insert(enode.id));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(dial::dial(self.shared.clone(), enode, options, stop));
    }

    /// Stops dialling a peer, and ends the connection with it.
    pub fn remove_peer(&self, id: &PublicKey) {
        self.shared.dials(|dials| dials.remove(id));
        if let Some(key) = self.shared.peer_by_id(id) {
            self.shared.end(key, EndReason::Removed);
        }
    }

    /// The connected peers.
    pub fn peers(&self) -> Vec<Arc<PeerSummary>> {
        self.shared.peers()
    }

    /// The name in the node of a connected peer.
    pub fn peer_by_id(&self, id: &PublicKey) -> Option<ConnectionId> {
        self.shared.peer_by_id(id)
    }

    /// What the node knows of a peer.
    pub fn peer_state(&self, peer: ConnectionId) -> Option<PeerState> {
        self.with(|node, _| node.peer(peer))
    }

    /// Sends an envelope: see [`Node::send`].
    pub fn send(&self, envelope: Envelope) -> Result<Sent, SendError> {
        self.with(|node, now| node.send(envelope, now))
    }

    /// Sends a packet to one peer, if there is room: see [`Node::send_packet`].
    pub fn try_send_packet(
        &self,
        peer: ConnectionId,
        packet: impl Into<Encoded>,
    ) -> Result<(), SendError> {
        self.with(|node, now| node.send_packet(peer, packet, now))
    }

    /// Sends a packet to one peer, as soon as there is room.
    pub async fn send_packet(
        &self,
        peer: ConnectionId,
        packet: impl Into<Encoded> + Copy,
    ) -> Result<(), SendError> {
        loop {
            let room = self.shared.room(peer).ok_or(SendError::NoPeer)?;
            let notified = room.notified();
            tokio::pin!(notified);
            // From here on no room is missed.
            notified.as_mut().enable();
            match self.try_send_packet(peer, packet) {
                Err(SendError::OutboxFull { .. }) => notified.await,
                result => return result,
            }
        }
    }

    /// See [`Node::set_min_pow`].
    pub fn set_min_pow(&self, min_pow: f64) {
        self.with(|node, now| node.set_min_pow(min_pow, now));
    }

    /// See [`Node::set_bloom`].
    pub fn set_bloom(&self, bloom: Option<Bloom>) {
        self.with(|node, now| node.set_bloom(bloom, now));
    }

    /// See [`Node::widen_bloom`].
    pub fn widen_bloom(&self, topics: &Bloom) {
        self.with(|node, now| node.widen_bloom(topics, now));
    }

    /// Which envelopes become events from now on: see [`Node::set_interest`].
    pub fn set_interest(&self, interest: Interest) {
        self.with(|node, _| node.set_interest(interest));
    }

    /// See [`Node::mark_trusted`].
    pub fn mark_trusted(&self, peer: ConnectionId) {
        self.with(|node, _| node.mark_trusted(peer));
    }

    /// See [`Node::stats`].
    pub fn stats(&self) -> Stats {
        self.with(|node, _| node.stats())
    }

    /// The time by the service's clock.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Works on the node itself. Whatever comes of it goes its usual way; don't take outputs.
    pub fn with<T>(&self, work: impl FnOnce(&mut Node, Time) -> T) -> T {
        self.shared.with(work)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

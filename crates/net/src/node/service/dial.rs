//! Dialling, and accepting connections.
//!
//! There is one connection per peer; another is rejected with "already connected", as by all devp2p
//! nodes. Two nodes that dial each other at once have two connections. If each rejected the later
//! one, none might be left. So the second waits for the outcome of the first: its Status comes, or
//! the other side rejects it. That suffices if the other side decides at once. If it waits as well,
//! both decide alike after [`UNDECIDED`]: the connection stays that the node with the greater key
//! has dialled.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{DisconnectReason, Enode, capability::SharedProtocol},
    wire::Dialect,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    handshakes::Handshakes,
    link,
    shared::{Joined, Newcomer, Shared},
};
use crate::{
    connection::{self, P2pError, PeerStream, StreamError},
    node::{ConnectError, EndReason, Event, PeerInfo},
};

/// How often to look whether a peer that has dialled us is still connected. It is not dialled
/// meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long two nodes that have dialled each other wait for the other's decision.
const UNDECIDED: Duration = Duration::from_secs(1);

/// How to dial a peer, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerOptions {
    /// Whether to dial again when the connection fails or ends.
    pub redial: bool,
    /// The wait before the second attempt. It doubles with each attempt.
    pub first_retry: Duration,
    /// The longest wait between attempts. The reference accepts one connection per address in
    /// 30 s, and waits 35 s itself.
    pub longest_retry: Duration,
    /// Whether its direct packets are accepted: see
    /// [`Node::mark_trusted`](crate::node::Node::mark_trusted).
    pub trusted: bool,
    /// Whether rate limits don't count it.
    pub whitelisted: bool,
    /// The largest accepted packet in bytes, if that is more than
    /// [`max_message_size`](crate::node::NodeConfig::max_message_size). Nodes of the reference write
    /// all that they have for a peer into one packet, without a limit.
    pub max_packet_size: Option<u32>,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            redial: true,
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(35),
            trusted: false,
            whitelisted: false,
            max_packet_size: None,
        }
    }
}

impl PeerOptions {
    /// Returns options for a single attempt.
    pub fn once() -> Self {
        Self { redial: false, ..Self::default() }
    }
}

/// The peers that are being dialled, each with a switch to stop.
#[derive(Debug, Default)]
pub(super) struct Dials(HashMap<PublicKey, watch::Sender<bool>>);

impl Dials {
    /// Adds a peer. Stops an earlier dial of the same peer.
    pub fn insert(&mut self, id: PublicKey) -> watch::Receiver<bool> {
        let (switch, stop) = watch::channel(false);
        if let Some(earlier) = self.0.insert(id, switch) {
            earlier.send_replace(true);
        }
        stop
    }

    pub fn remove(&mut self, id: &PublicKey) -> bool {
        let switch = self.0.remove(id);
        switch.map(|switch| switch.send_replace(true)).is_some()
    }
}

/// Dials a peer, repeatedly if the options say so, until it is stopped.
pub(super) async fn dial(
    shared: Arc<Shared>,
    enode: Enode,
    options: PeerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let p2p = config(&shared, &options);
    let mut wait = options.first_retry;
    let mut jitter = Jitter::new(&enode.id);
    let mut room = shared.hub.room();
    loop {
        tokio::select! {
            () = room.wait() => {}
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.closed() => return,
        }
        // The peer may have dialled us.
        while options.redial && shared.is_connected(&enode.id) {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = stop.wait_for(|stop| *stop) => return,
                () = shared.closed() => return,
            }
        }
        let started = Instant::now();
        let attempt = tokio::select! {
            attempt = PeerStream::connect(&enode, &shared.key, &p2p) => attempt,
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.closed() => return,
        };
        let info = PeerInfo {
            trusted: options.trusted,
            whitelisted: options.whitelisted,
            max_packet_size: options.max_packet_size,
            ..PeerInfo::default()
        };
        let admitted = match attempt {
            Ok(_) if *stop.borrow() => return,
            Ok(stream) => tokio::select! {
                // Once admitted, it ends like any other.
                admitted = admit(&shared, stream, info, false) => admitted,
                _ = stop.wait_for(|stop| *stop) => return,
            },
            Err(error) => Err(error.into()),
        };
        let failure = match admitted {
            Ok(admitted) => {
                run(&shared, admitted).await;
                None
            }
            Err(error) => Some(error),
        };
        let stopped = *stop.borrow() || shared.is_closing();
        // A peer with our own key always has it.
        let hopeless = failure.as_ref().is_some_and(is_self);
        if started.elapsed() > options.longest_retry {
            // It was connected for a long time.
            wait = options.first_retry;
        }
        let again = options.redial && !stopped && !hopeless;
        let retry_in = again.then(|| jitter.spread(wait));
        if let Some(error) = failure {
            shared.hub.publish(Event::DialFailed {
                enode: Box::new(enode.clone()),
                error,
                retry_in,
            });
        }
        let Some(retry_in) = retry_in else { return };
        wait = (wait * 2).min(options.longest_retry);
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.closed() => return,
        }
    }
}

/// Returns the devp2p settings for a peer that may send larger packets. As for all peers, twice the
/// accepted size is read.
fn config(shared: &Shared, options: &PeerOptions) -> connection::P2pConfig {
    let mut p2p = shared.p2p.clone();
    let packet = options.max_packet_size.unwrap_or(0) as usize;
    let most = connection::P2pLimits::default().message;
    p2p.limits.message = p2p.limits.message.max(most.min(2 * packet));
    p2p
}

/// Accepts connections.
pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    handshakes: Arc<Handshakes>,
) {
    let mut tasks = JoinSet::new();
    let mut room = shared.hub.room();
    loop {
        let accepted = tokio::select! {
            accepted = room.then(listener.accept()) => accepted,
            Some(_) = tasks.join_next() => continue,
            () = shared.closed() => break,
        };
        let Ok((stream, addr)) = accepted else {
            // Most likely, there are no file descriptors left.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shared = shared.clone();
        let mut ticket = handshakes.enter(addr.ip());
        tasks.spawn(async move {
            let stream = tokio::select! {
                stream = PeerStream::accept(stream, &shared.key, &shared.p2p) => {
                    stream.map_err(ConnectError::from)
                }
                () = ticket.lost() => Err(ConnectError::Crowded),
                () = shared.closed() => return,
            };
            drop(ticket);
            let admitted = match stream {
                Ok(stream) => admit(&shared, stream, PeerInfo::default(), true).await,
                Err(error) => Err(error),
            };
            match admitted {
                Ok(admitted) => run(&shared, admitted).await,
                Err(error) => shared.hub.publish(Event::InboundFailed { addr, error }),
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// A connection that has become a peer.
type Admitted = (PeerStream<TcpStream>, Joined);

/// Makes a connection a peer, or rejects it. Cancel-safe: a connection dropped meanwhile is not a
/// peer.
async fn admit(
    shared: &Shared,
    stream: PeerStream<TcpStream>,
    info: PeerInfo,
    inbound: bool,
) -> Result<Admitted, ConnectError> {
    let addr = stream.get_ref().peer_addr();
    let addr = addr.map_err(|error| StreamError::Io { doing: "asking for the address", error })?;
    let newcomer = Newcomer {
        id: stream.remote(),
        addr,
        inbound,
        client: stream.hello().client.clone(),
        dialects: stream.shared().iter().filter_map(dialect).collect(),
        info: PeerInfo { ip: Some(addr.ip()), ..info },
    };
    let mut joined = shared.join(&newcomer);
    if matches!(joined, Err(ConnectError::AlreadyConnected)) {
        joined = compete(shared, &newcomer).await;
    }
    match joined {
        Ok(joined) => Ok((stream, joined)),
        Err(error) => {
            stream.close(reason(&error)).await;
            Err(error)
        }
    }
}

fn dialect(shared: &SharedProtocol) -> Option<Dialect> {
    Dialect::from_protocol(&shared.capability.name, shared.capability.version)
}

/// Waits for the outcome of another connection with the same peer, if that is undecided.
async fn compete(shared: &Shared, newcomer: &Newcomer) -> Result<Joined, ConnectError> {
    let Some((key, mut is_ready)) = shared.undecided(newcomer) else {
        return Err(ConnectError::AlreadyConnected);
    };
    // An error means that it has ended.
    let outcome = is_ready.wait_for(|ready| *ready);
    if let Ok(Ok(_)) = timeout(UNDECIDED, outcome).await {
        return Err(ConnectError::AlreadyConnected);
    }
    let greater = shared.key.public_key().to_xy() > newcomer.id.to_xy();
    if is_ready.has_changed().is_ok() {
        if newcomer.inbound == greater {
            return Err(ConnectError::AlreadyConnected);
        }
        shared.end(key, EndReason::Replaced);
        while is_ready.changed().await.is_ok() {}
    }
    shared.join(newcomer)
}

async fn run(shared: &Shared, (stream, joined): Admitted) {
    link::run(shared, stream, joined).await;
}

fn reason(error: &ConnectError) -> DisconnectReason {
    match error {
        ConnectError::AlreadyConnected => DisconnectReason::AlreadyConnected,
        ConnectError::ToSelf => DisconnectReason::ConnectedToSelf,
        ConnectError::TooManyPeers | ConnectError::CrowdedAddress { .. } => {
            DisconnectReason::TooManyPeers
        }
        ConnectError::Crowded | ConnectError::Stream(_) => DisconnectReason::NetworkError,
    }
}

fn is_self(error: &ConnectError) -> bool {
    match error {
        ConnectError::ToSelf => true,
        ConnectError::Stream(StreamError::Peer(P2pError::ConnectedToSelf)) => true,
        _ => error.disconnect_reason() == Some(DisconnectReason::ConnectedToSelf),
    }
}

/// Randomises waits, so that two nodes that dial each other don't always collide.
struct Jitter(u64);

impl Jitter {
    fn new(id: &PublicKey) -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(id))
    }

    /// Returns between 3/4 and 5/4 of a time.
    fn spread(&mut self, wait: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        wait.mul_f64(0.75 + (self.0 >> 33) as f64 / f64::from(1u32 << 31) / 2.0)
    }
}

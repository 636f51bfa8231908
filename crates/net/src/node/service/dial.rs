//! Dialling and being dialled.
//!
//! There is one connection per peer; another is refused with "already connected", as by all nodes
//! of devp2p. Two nodes that dial each other at once have two, and if each refuses the one that it
//! saw last, none may be left. So the second is held back until the fate of the first is known: its
//! Status comes, or the other side refuses it. That is enough where the other side just decides.
//! If it waits as well, both come to the same end after [`UNDECIDED`]: what the node with the
//! greater key has dialled is kept.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{DisconnectReason, Enode},
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

/// A peer that has dialled us is not dialled; whether it is still there is asked so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long two nodes that have dialled each other wait for the other to decide.
const UNDECIDED: Duration = Duration::from_secs(1);

/// How a peer is dialled, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerOptions {
    /// Dial again when the connection fails or ends. Otherwise it is tried once.
    pub redial: bool,
    /// The wait before the first new attempt; each is twice as long as the one before.
    pub first_retry: Duration,
    /// The longest wait between attempts. The reference takes a node that dials from afar once
    /// in 30 s, and itself waits for 35.
    pub longest_retry: Duration,
    /// See [`Node::mark_trusted`](crate::node::Node::mark_trusted).
    pub trusted: bool,
    /// Not counted by the rate limits.
    pub whitelisted: bool,
    /// The largest packet that is taken from it, in bytes, if that is more than
    /// [`max_message_size`](crate::node::NodeConfig::max_message_size). Nodes of the reference write
    /// all that they have for a peer into one packet, and keep to no limit there.
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
    /// Tried once.
    pub fn once() -> Self {
        Self { redial: false, ..Self::default() }
    }
}

/// The peers that are dialled, each with the switch that ends it.
#[derive(Debug, Default)]
pub(super) struct Dials(HashMap<PublicKey, watch::Sender<bool>>);

impl Dials {
    /// Starts over for a peer; an earlier dial of it ends.
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

/// Dials a peer, again and again if it is to be, until told to stop.
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
        // It may have dialled us.
        while options.redial && shared.peer_by_id(&enode.id).is_some() {
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
                // Once admitted, it is ended as any peer is.
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
        // Who answers with our own key always will.
        let hopeless = failure.as_ref().is_some_and(is_self);
        if started.elapsed() > options.longest_retry {
            // It was connected for long.
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

/// What devp2p is told for a peer that may write larger packets than others. Twice as much is read
/// as is taken, as from all.
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
            // Out of file descriptors, most likely.
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

/// Makes a peer of a connection, or says why it is not wanted. Cancel-safe: a connection that is
/// dropped meanwhile is no peer.
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

/// There is another connection with the peer: waits for its fate, if that is open.
async fn compete(shared: &Shared, newcomer: &Newcomer) -> Result<Joined, ConnectError> {
    let Some((key, mut is_ready)) = shared.undecided(newcomer) else {
        return Err(ConnectError::AlreadyConnected);
    };
    // An error means that it is gone.
    let fate = is_ready.wait_for(|ready| *ready);
    if let Ok(Ok(_)) = timeout(UNDECIDED, fate).await {
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
        ConnectError::TooManyPeers => DisconnectReason::TooManyPeers,
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

/// Spreads waits, so that two nodes that dial each other don't meet in the middle for ever.
struct Jitter(u64);

impl Jitter {
    fn new(id: &PublicKey) -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(id))
    }

    /// Between 3/4 and 5/4 of it.
    fn spread(&mut self, wait: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        wait.mul_f64(0.75 + (self.0 >> 33) as f64 / f64::from(1u32 << 31) / 2.0)
    }
}

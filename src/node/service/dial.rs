//! Dialling and being dialled.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{ConnectError, PeerSummary, ServiceEvent, link, shared::Shared};
use crate::{
    crypto::PublicKey,
    devp2p::{DisconnectReason, Enode, PeerError, PeerStream, StreamError},
    node::PeerInfo,
};

/// A peer that has dialled us is not dialled; whether it is still there is asked so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How a peer is dialled, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            redial: true,
            first_retry: Duration::from_millis(500),
            longest_retry: Duration::from_secs(35),
            trusted: false,
            whitelisted: false,
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
    let mut wait = options.first_retry;
    let mut jitter = Jitter::new(&enode.id);
    loop {
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
            attempt = PeerStream::connect(&enode, &shared.key, &shared.p2p) => attempt,
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.closed() => return,
        };
        let info = PeerInfo {
            trusted: options.trusted,
            whitelisted: options.whitelisted,
            ..PeerInfo::default()
        };
        let result = match attempt {
            Ok(_) if *stop.borrow() => return,
            Ok(stream) => meet(&shared, stream, info, false).await,
            Err(error) => Err(error.into()),
        };
        let stopped = *stop.borrow() || shared.is_closing();
        // Who answers with our own key always will.
        let hopeless = result.as_ref().is_err_and(is_self);
        if started.elapsed() > options.longest_retry {
            // It was connected for long.
            wait = options.first_retry;
        }
        let again = options.redial && !stopped && !hopeless;
        let retry_in = again.then(|| jitter.spread(wait));
        if let Err(error) = result {
            shared.publish(ServiceEvent::DialFailed { enode: enode.clone(), error, retry_in });
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

/// Accepts connections, with no more than `pending` handshakes at a time.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, pending: usize) {
    let slots = Arc::new(Semaphore::new(pending.max(1)));
    let mut tasks = JoinSet::new();
    loop {
        // First a slot, then a connection: those beyond wait outside.
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = tasks.join_next() => continue,
            () = shared.closed() => break,
        };
        let (Ok(slot), Ok((stream, addr))) = (slot, accepted) else {
            // Out of file descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shared = shared.clone();
        tasks.spawn(async move {
            let handshakes = tokio::select! {
                stream = PeerStream::accept(stream, &shared.key, &shared.p2p) => stream,
                () = shared.closed() => return,
            };
            drop(slot);
            let result = match handshakes {
                Ok(stream) => meet(&shared, stream, PeerInfo::default(), true).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                shared.publish(ServiceEvent::InboundFailed { addr, error });
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Makes a peer of a connection and runs it to its end, or says why it is not wanted.
async fn meet(
    shared: &Arc<Shared>,
    stream: PeerStream<TcpStream>,
    info: PeerInfo,
    inbound: bool,
) -> Result<(), ConnectError> {
    let addr = stream.get_ref().peer_addr();
    let addr = addr.map_err(|error| StreamError::Io { doing: "asking for the address", error })?;
    let remote = stream.remote();
    let info = PeerInfo { ip: Some(addr.ip()), ..info };
    let client = stream.hello().client.clone();
    let summary = |key| PeerSummary { key, id: remote, addr, inbound, client };
    // Whom we dial ourselves is always welcome.
    match shared.join(remote, summary, info, !inbound) {
        Ok((summary, poke)) => {
            link::run(shared, stream, summary.key, poke).await;
            Ok(())
        }
        Err(error) => {
            stream.close(reason(&error)).await;
            Err(error)
        }
    }
}

fn reason(error: &ConnectError) -> DisconnectReason {
    match error {
        ConnectError::AlreadyConnected => DisconnectReason::AlreadyConnected,
        ConnectError::ToSelf => DisconnectReason::ConnectedToSelf,
        ConnectError::TooManyPeers => DisconnectReason::TooManyPeers,
        ConnectError::Stream(_) => DisconnectReason::NetworkError,
    }
}

fn is_self(error: &ConnectError) -> bool {
    match error {
        ConnectError::ToSelf => true,
        ConnectError::Stream(StreamError::Peer(PeerError::ConnectedToSelf)) => true,
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

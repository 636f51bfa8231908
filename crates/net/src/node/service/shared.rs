//! The node behind its lock, and what it notifies: the tasks of peers, subscribers, the timer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::NodeId,
};
use tokio::sync::{Notify, watch};

use super::{
    dial::Dials,
    places::{Places, Seat},
    subscription::Hub,
    unfinished::{Part, Unfinished},
};
use crate::{
    connection,
    node::{
        Clock, ConnectError, ConnectionId, EndReason, Event, Node, Outgoing, Output, PeerInfo,
        PeerSummary, Time, Token,
    },
};

/// The longest sleep of the timer. It notices a clock that was set forward afterwards.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The state that all tasks of a service share.
pub(super) struct Shared {
    pub key: SecretKey,
    pub p2p: connection::P2pConfig,
    pub clock: Clock,
    pub places: Places,
    pub unfinished: Arc<Unfinished>,
    /// Set when the service ends.
    pub closing: watch::Sender<bool>,
    state: Mutex<State>,
    pub hub: Arc<Hub>,
    /// Wakes the timer when something is due before it wakes.
    timer: Notify,
}

struct State {
    node: Node,
    links: HashMap<ConnectionId, Link>,
    /// The connected peers, by their key.
    by_id: HashMap<PublicKey, ConnectionId>,
    dials: Dials,
    /// When the timer wakes.
    wakes_at: Option<Time>,
}

/// A connection, as seen from outside its task.
struct Link {
    summary: Arc<PeerSummary>,
    since: Time,
    /// Wakes the task.
    poke: Arc<Notify>,
    /// Wakes those who wait for room in the outbox.
    room: Arc<Notify>,
    /// Set to end the task.
    end: Option<EndReason>,
    /// Whether it was told to end: its place is free.
    is_ending: bool,
    /// Whether the peer's Status has come. Dropped with the connection.
    ready: watch::Sender<bool>,
    /// Whether another connection with the same peer waits for the outcome of this one.
    has_rival: bool,
}

/// A new connection, before it becomes a peer.
pub(super) struct Newcomer {
    pub id: PublicKey,
    pub addr: SocketAddr,
    pub inbound: bool,
    pub client: String,
    pub info: PeerInfo,
}

/// A connection that has become a peer.
pub(super) struct Joined {
    pub key: ConnectionId,
    /// Wakes the connection's task.
    pub poke: Arc<Notify>,
    /// Its part of the memory for packets that are not complete, if it dialled us.
    pub part: Option<Arc<Part>>,
    /// Whether the peer's Status has come.
    pub ready: watch::Receiver<bool>,
}

/// The next step of a connection's task.
pub(super) enum Next {
    Write(Outgoing),
    Wait,
    End(EndReason),
}

impl State {
    fn end(&mut self, key: ConnectionId, reason: EndReason) {
        self.node.remove_peer(key);
        if let Some(link) = self.links.get_mut(&key) {
            link.is_ending = true;
            link.end.get_or_insert(reason);
            link.poke.notify_one();
        }
    }

    /// The peers that have dialled us, without those that are about to leave.
    fn seats(&self) -> Vec<Seat> {
        let inbound = self.links.iter().filter(|(_, link)| link.summary.inbound && !link.is_ending);
        let seats = inbound.map(|(&key, link)| {
            let state = self.node.peer(key);
            Seat {
                key,
                ip: link.summary.addr.ip(),
                since: link.since,
                brought: state.as_ref().map_or(0, |state| state.brought),
                trusted: state.is_some_and(|state| state.trusted),
            }
        });
        seats.collect()
    }
}

impl Shared {
    pub fn new(
        node: Node,
        key: SecretKey,
        p2p: connection::P2pConfig,
        clock: Clock,
        places: Places,
        unfinished: Arc<Unfinished>,
        event_bytes: usize,
    ) -> Self {
        Self {
            key,
            p2p,
            clock,
            places,
            unfinished,
            closing: watch::Sender::new(false),
            state: Mutex::new(State {
                node,
                links: HashMap::new(),
                by_id: HashMap::new(),
                dials: Dials::default(),
                wakes_at: None,
            }),
            hub: Hub::new(event_bytes),
            timer: Notify::new(),
        }
    }

    /// Works on the node, and dispatches its outputs.
    pub fn with<T>(&self, work: impl FnOnce(&mut Node, Time) -> T) -> T {
        let mut state = self.lock();
        let result = work(&mut state.node, self.clock.now());
        self.dispatch(&mut state);
        result
    }

    pub fn dials<T>(&self, work: impl FnOnce(&mut Dials) -> T) -> T {
        work(&mut self.lock().dials)
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves when the service ends.
    pub async fn closed(&self) {
        // It can't fail: the sender is in `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    pub fn peers(&self) -> Vec<Arc<PeerSummary>> {
        let mut peers: Vec<_> =
            self.lock().links.values().map(|link| link.summary.clone()).collect();
        peers.sort_by_key(|peer| peer.key);
        peers
    }

    pub fn peer_by_id(&self, id: &PublicKey) -> Option<ConnectionId> {
        self.lock().by_id.get(id).copied()
    }

    /// Makes a peer of a connection.
    pub fn join(&self, newcomer: &Newcomer) -> Result<Joined, ConnectError> {
        let Newcomer { id, addr, inbound, client, info } = newcomer;
        let mut state = self.lock();
        if *id == self.key.public_key() {
            return Err(ConnectError::ToSelf);
        }
        if state.by_id.contains_key(id) {
            return Err(ConnectError::AlreadyConnected);
        }
        let now = self.clock.now();
        // Outbound peers need no place.
        if *inbound && let Some(displaced) = self.places.find(&state.seats(), addr.ip(), now)? {
            state.end(displaced, EndReason::Displaced);
        }
        let info = PeerInfo { id: NodeId::from_key(id), ..info.clone() };
        let key = state.node.add_peer(info, now).ok_or(ConnectError::TooManyPeers)?;
        let client = client.clone();
        let summary =
            Arc::new(PeerSummary { key, id: *id, addr: *addr, inbound: *inbound, client });
        let link = Link {
            summary: summary.clone(),
            since: now,
            poke: Arc::default(),
            room: Arc::default(),
            end: None,
            is_ending: false,
            ready: watch::Sender::new(false),
            has_rival: false,
        };
        let (poke, ready) = (link.poke.clone(), link.ready.subscribe());
        state.links.insert(key, link);
        state.by_id.insert(*id, key);
        self.hub.add_peer(key);
        self.hub.publish(Event::Connected(summary));
        self.dispatch(&mut state);
        let part = inbound.then(|| Arc::new(self.unfinished.enter()));
        Ok(Joined { key, poke, part, ready })
    }

    /// Returns the connection with the same peer, if the newcomer may wait for its outcome: it goes
    /// the other way, and its Status has not come. The receiver says when that comes, and fails when
    /// the connection has ended.
    pub fn undecided(&self, newcomer: &Newcomer) -> Option<(ConnectionId, watch::Receiver<bool>)> {
        let mut state = self.lock();
        let key = *state.by_id.get(&newcomer.id)?;
        let link = state.links.get_mut(&key)?;
        let crossed = link.summary.inbound != newcomer.inbound;
        let first = crossed && !*link.ready.borrow() && !link.has_rival;
        link.has_rival |= first;
        first.then(|| (key, link.ready.subscribe()))
    }

    /// Removes a peer whose connection has ended, and reports it.
    pub fn leave(&self, key: ConnectionId, reason: EndReason, unread_since: Option<Time>) {
        let mut state = self.lock();
        state.node.remove_peer(key);
        if let Some(link) = state.links.remove(&key) {
            link.room.notify_waiters();
            state.by_id.remove(&link.summary.id);
            self.hub.remove_peer(key);
            let (peer, at) = (link.summary, self.clock.now());
            self.hub.publish(Event::Disconnected { peer, reason, at, unread_since });
        }
        self.dispatch(&mut state);
    }

    /// Ends the connection with a peer.
    pub fn end(&self, key: ConnectionId, reason: EndReason) {
        self.lock().end(key, reason);
    }

    /// Returns the next step of a peer's task. Without `writes`, makes no packets.
    pub fn next_for(&self, key: ConnectionId, writes: bool) -> Next {
        let mut state = self.lock();
        let State { node, links, .. } = &mut *state;
        let Some(link) = links.get_mut(&key) else { return Next::End(EndReason::Removed) };
        if let Some(reason) = link.end.take() {
            return Next::End(reason);
        }
        if !writes {
            return Next::Wait;
        }
        let outgoing = node.poll_peer(key, self.clock.now());
        link.room.notify_waiters();
        self.dispatch(&mut state);
        outgoing.map_or(Next::Wait, Next::Write)
    }

    /// Notes that the packets with these tokens were written.
    pub fn written(&self, key: ConnectionId, tokens: &mut Vec<Token>) {
        let mut state = self.lock();
        tokens.drain(..).for_each(|token| state.node.written(key, token));
        self.dispatch(&mut state);
    }

    /// Returns what to await before sending a packet again: it resolves when one has left the outbox.
    /// `None` if the peer is not connected.
    pub fn room(&self, key: ConnectionId) -> Option<Arc<Notify>> {
        self.lock().links.get(&key).map(|link| link.room.clone())
    }

    /// Calls the node whenever something is due, until the service ends.
    pub async fn keep_time(&self) {
        loop {
            let now = self.clock.now();
            let wait = {
                let mut state = self.lock();
                state.node.handle_timeout(now);
                state.wakes_at = state.node.next_timeout();
                self.dispatch(&mut state);
                state.wakes_at.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now))
            };
            tokio::select! {
                () = tokio::time::sleep(wait.min(LONGEST_SLEEP)) => {}
                () = self.timer.notified() => {}
                () = self.closed() => return,
            }
        }
    }

    /// Dispatches the outputs of the node.
    fn dispatch(&self, state: &mut State) {
        while let Some(output) = state.node.poll_output() {
            match output {
                Output::Writable(key) => {
                    if let Some(link) = state.links.get(&key) {
                        link.poke.notify_one();
                    }
                }
                Output::Disconnect { peer, error } => {
                    state.end(peer, error.into());
                }
                Output::Event(event) => {
                    if let Event::Ready { peer, .. } = &event
                        && let Some(link) = state.links.get(peer)
                    {
                        link.ready.send_replace(true);
                    }
                    self.hub.publish(event);
                }
            }
        }
        let next = state.node.next_timeout();
        if next.is_some_and(|next| state.wakes_at.is_none_or(|at| next < at)) {
            state.wakes_at = next;
            self.timer.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held. If it did, the rest could go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    wire::{Dialect, Network},
};
use tokio::sync::{Notify, watch};

use super::{
    bridge::{Bridge, BridgeStats},
    dial::Dials,
    places::{Places, Seat},
    subscription::Hub,
    unfinished::{Part, Unfinished},
};
use crate::{
    connection,
    node::{
        Clock, ConnectError, ConnectionId, EndReason, Event, Node, Outgoing, Output, PeerInfo,
        PeerState, PeerSummary, Time, Token,
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
    nodes: Nodes,
    bridge: Option<Bridge>,
    links: HashMap<ConnectionId, Link>,
    /// The connected peers, by their key: one connection each, in one network or both.
    by_id: HashMap<PublicKey, Vec<ConnectionId>>,
    dials: Dials,
    /// When the timer wakes.
    wakes_at: Option<Time>,
}

/// The nodes of a service, one for each network.
struct Nodes {
    first: Node,
    second: Option<Node>,
}

/// A connection in one network, as seen from outside its task.
struct Link {
    summary: Arc<PeerSummary>,
    /// Whether it is the first of its connection, which takes the place.
    is_first: bool,
    since: Time,
    /// Wakes the task.
    poke: Arc<Notify>,
    /// Wakes those who wait for room in the outbox.
    room: Arc<Notify>,
    /// Set to end the task.
    end: Option<EndReason>,
    /// Whether it was told to end: its place is free.
    is_ending: bool,
    /// Whether the peer's Status has come, in one network. Dropped with the connection.
    ready: Arc<watch::Sender<bool>>,
    /// Whether another connection with the same peer waits for the outcome of this one.
    has_rival: bool,
}

/// A new connection, before it becomes a peer.
pub(super) struct Newcomer {
    pub id: PublicKey,
    pub addr: SocketAddr,
    pub inbound: bool,
    pub client: String,
    /// What both sides speak, at most one of each network.
    pub dialects: Vec<Dialect>,
    pub info: PeerInfo,
}

/// A connection that has become a peer.
pub(super) struct Joined {
    /// The peer in each network, with the protocol that it speaks there; at least one.
    pub sessions: Vec<(ConnectionId, &'static str)>,
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

impl Nodes {
    fn all(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.first).chain(&self.second)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        std::iter::once(&mut self.first).chain(&mut self.second)
    }

    fn get_mut(&mut self, network: Network) -> Option<&mut Node> {
        self.all_mut().find(|node| node.config().network == network)
    }

    fn peer(&self, key: ConnectionId) -> Option<PeerState> {
        self.all().find_map(|node| node.peer(key))
    }

    fn remove_peer(&mut self, key: ConnectionId) {
        self.all_mut().for_each(|node| node.remove_peer(key));
    }

    /// Lets all nodes go on after the same number. Each is asked for its outputs before another
    /// adds envelopes, so that the numbers of events ascend.
    fn share_numbers(&mut self) {
        if let Nodes { first, second: Some(second) } = self {
            first.number_after(second.last_number());
            second.number_after(first.last_number());
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.all().filter_map(Node::next_timeout).min()
    }

    fn poll_output(&mut self) -> Option<(Network, Output)> {
        self.all_mut().find_map(|node| {
            let output = node.poll_output()?;
            Some((node.config().network, output))
        })
    }
}

impl State {
    fn end(&mut self, key: ConnectionId, reason: EndReason) {
        self.nodes.remove_peer(key);
        if let Some(link) = self.links.get_mut(&key) {
            link.is_ending = true;
            link.end.get_or_insert(reason);
            link.poke.notify_one();
        }
    }

    /// The peers that have dialled us, without those that are about to leave.
    fn seats(&self) -> Vec<Seat> {
        let is_seated = |link: &Link| link.is_first && link.summary.inbound && !link.is_ending;
        let inbound = self.links.iter().filter(|(_, link)| is_seated(link));
        let seats = inbound.map(|(&key, link)| {
            let state = self.nodes.peer(key);
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
        (first, second, bridge): (Node, Option<Node>, Option<Bridge>),
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
                nodes: Nodes { first, second },
                bridge,
                links: HashMap::new(),
                by_id: HashMap::new(),
                dials: Dials::default(),
                wakes_at: None,
            }),
            hub: Hub::new(event_bytes),
            timer: Notify::new(),
        }
    }

    /// Works on the node of a network, which must be there, and dispatches its outputs.
    pub fn with<T>(&self, network: Network, work: impl FnOnce(&mut Node, Time) -> T) -> T {
        let mut state = self.lock();
        let Nodes { first, second } = &mut state.nodes;
        let node = match second {
            Some(second) if second.config().network == network => second,
            _ => first,
        };
        let result = work(node, self.clock.now());
        self.dispatch(&mut state);
        result
    }

    /// Returns the networks of the service.
    pub fn networks(&self) -> Vec<Network> {
        self.lock().nodes.all().map(|node| node.config().network).collect()
    }

    /// Returns the counters of the bridge, if there is one.
    pub fn bridge_stats(&self) -> Option<BridgeStats> {
        self.lock().bridge.as_ref().map(Bridge::stats)
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

    /// Returns the peer with a key, in this network if it is there.
    pub fn peer_by_id(&self, id: &PublicKey, network: Network) -> Option<ConnectionId> {
        let state = self.lock();
        let keys = state.by_id.get(id)?;
        keys.iter().find(|key| key.network == network).or(keys.first()).copied()
    }

    pub fn is_connected(&self, id: &PublicKey) -> bool {
        self.lock().by_id.contains_key(id)
    }

    /// Makes a peer of a connection.
    pub fn join(&self, newcomer: &Newcomer) -> Result<Joined, ConnectError> {
        let Newcomer { id, addr, inbound, client, dialects, info } = newcomer;
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
        let (poke, ready) = (Arc::<Notify>::default(), Arc::new(watch::Sender::new(false)));
        let mut sessions = Vec::new();
        for dialect in dialects {
            let info = PeerInfo { id: NodeId::from_key(id), dialect: *dialect, ..info.clone() };
            let node = state.nodes.get_mut(dialect.network());
            let Some(key) = node.and_then(|node| node.add_peer(info, now)) else { continue };
            let client = client.clone();
            let summary =
                Arc::new(PeerSummary { key, id: *id, addr: *addr, inbound: *inbound, client });
            let link = Link {
                summary: summary.clone(),
                is_first: sessions.is_empty(),
                since: now,
                poke: poke.clone(),
                room: Arc::default(),
                end: None,
                is_ending: false,
                ready: ready.clone(),
                has_rival: false,
            };
            state.links.insert(key, link);
            state.by_id.entry(*id).or_default().push(key);
            sessions.push((key, dialect.protocol()));
            self.hub.add_peer(key);
            self.hub.publish(Event::Connected(summary));
        }
        if sessions.is_empty() {
            return Err(ConnectError::TooManyPeers);
        }
        self.dispatch(&mut state);
        let part = inbound.then(|| Arc::new(self.unfinished.enter()));
        Ok(Joined { sessions, poke, part, ready: ready.subscribe() })
    }

    /// Returns the connection with the same peer, if the newcomer may wait for its outcome: it goes
    /// the other way, and its Status has not come. The receiver says when that comes, and fails when
    /// the connection has ended.
    pub fn undecided(&self, newcomer: &Newcomer) -> Option<(ConnectionId, watch::Receiver<bool>)> {
        let mut state = self.lock();
        let key = *state.by_id.get(&newcomer.id)?.first()?;
        let link = state.links.get_mut(&key)?;
        let crossed = link.summary.inbound != newcomer.inbound;
        let first = crossed && !*link.ready.borrow() && !link.has_rival;
        link.has_rival |= first;
        first.then(|| (key, link.ready.subscribe()))
    }

    /// Removes a peer whose connection has ended, and reports it in each network: the `reason` in
    /// the one where it `ended`, or in the first.
    pub fn leave(
        &self,
        sessions: &[(ConnectionId, &'static str)],
        (ended, reason): (Option<ConnectionId>, EndReason),
        unread_since: Option<Time>,
    ) {
        let mut state = self.lock();
        let mut keys: Vec<_> = sessions.iter().map(|(key, _)| *key).collect();
        keys.sort_by_key(|key| Some(*key) != ended);
        let mut reason = Some(reason);
        for key in keys {
            state.nodes.remove_peer(key);
            let Some(link) = state.links.remove(&key) else { continue };
            link.room.notify_waiters();
            state.by_id.remove(&link.summary.id);
            self.hub.remove_peer(key);
            let (peer, at) = (link.summary, self.clock.now());
            let reason = reason.take().unwrap_or(EndReason::OtherNetwork);
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
        let State { nodes, links, .. } = &mut *state;
        let Some(link) = links.get_mut(&key) else { return Next::End(EndReason::Removed) };
        if let Some(reason) = link.end.take() {
            return Next::End(reason);
        }
        if !writes {
            return Next::Wait;
        }
        let node = nodes.get_mut(key.network);
        let outgoing = node.and_then(|node| node.poll_peer(key, self.clock.now()));
        link.room.notify_waiters();
        self.dispatch(&mut state);
        outgoing.map_or(Next::Wait, Next::Write)
    }

    /// Notes that the packets with these tokens were written.
    pub fn written(&self, tokens: &mut Vec<(ConnectionId, Token)>) {
        let mut state = self.lock();
        for (key, token) in tokens.drain(..) {
            if let Some(node) = state.nodes.get_mut(key.network) {
                node.written(key, token);
            }
        }
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
                state.nodes.all_mut().for_each(|node| node.handle_timeout(now));
                state.wakes_at = state.nodes.next_timeout();
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

    /// Dispatches the outputs of the nodes.
    fn dispatch(&self, state: &mut State) {
        let mut crossings = Vec::new();
        loop {
            while let Some((network, output)) = state.nodes.poll_output() {
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
                    Output::Crossing(crossing) => crossings.push((network.other(), crossing)),
                }
            }
            state.nodes.share_numbers();
            if crossings.is_empty() {
                break;
            }
            // After the events of those before: numbers must ascend.
            let State { nodes, bridge, .. } = state;
            for (to, crossing) in crossings.drain(..) {
                if let (Some(bridge), Some(node)) = (&mut *bridge, nodes.get_mut(to)) {
                    bridge.cross(to, &crossing, node, self.clock.now());
                }
            }
        }
        let next = state.nodes.next_timeout();
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

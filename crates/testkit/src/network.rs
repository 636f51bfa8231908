//! Node cores and mailserver cores, and the links between them.
//!
//! A [`Network`] drives the sans-IO core of each node in virtual time, as a service drives it in
//! real time. Events are delivered to the caller while the network runs.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    rc::Rc,
    time::Duration,
};

use rand::RngExt as _;
use statuskit_core::{crypto::keccak256, devp2p::NodeId, envelope::Envelope, mailserver::Reply};
use statuskit_mailserver::{Archive as _, Server, archive::MemoryArchive};
use statuskit_net::node::{
    ConnectionId, Event, Interest, Node, NodeConfig, Output, PeerError, PeerInfo, PooledEnvelope,
    SendError, Sent, Time,
};

use crate::World;

/// A link between two nodes, in both directions.
///
/// Connections of real nodes neither lose, repeat nor reorder packets. These faults model peers
/// that do.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The time of a packet on its way.
    pub latency: Duration,
    /// A random delay up to this one on top. Packets keep their order unless
    /// [`reorders`](Self::reorders) is set.
    pub jitter: Duration,
    /// The share of packets that are lost.
    pub loss: f64,
    /// The share of packets that arrive twice.
    pub duplication: f64,
    /// Whether packets may overtake each other.
    pub reorders: bool,
}

impl Link {
    /// Creates a link without faults.
    pub fn from_latency(latency: Duration) -> Self {
        Self { latency, jitter: Duration::ZERO, loss: 0.0, duplication: 0.0, reorders: false }
    }
}

/// A configuration that forwards every envelope, and reports each as an event.
pub fn relay() -> NodeConfig {
    let mut config = NodeConfig::with_min_pow(0.0);
    config.interest = Interest::Everything;
    config
}

/// The index of a node in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub usize);

/// Something that happened at a node.
#[derive(Debug)]
pub struct Happened<'a> {
    /// When.
    pub at: Time,
    /// Where.
    pub node: Place,
    /// What.
    pub what: What<'a>,
}

/// What happened at a node.
#[derive(Debug)]
pub enum What<'a> {
    /// The node reports an event.
    Event(&'a Event),
    /// The node disconnects a peer.
    Disconnected {
        /// The other node.
        peer: Place,
        /// Why.
        error: &'a PeerError,
    },
}

impl Happened<'_> {
    /// Returns the envelope that has entered the node's pool, if this is such an event.
    pub fn envelope(&self) -> Option<&PooledEnvelope> {
        match self.what {
            What::Event(Event::Envelope { envelope, .. }) => Some(envelope),
            _ => None,
        }
    }
}

/// Nodes, links, and packets on their way.
#[derive(Debug)]
pub struct Network {
    /// The clock and the randomness of the network.
    pub world: World,
    nodes: Vec<Member>,
    schedule: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

#[derive(Debug)]
struct Member {
    core: Node,
    mailserver: Option<(Server, MemoryArchive)>,
    ends: HashMap<ConnectionId, End>,
    /// The earliest timeout that is scheduled.
    armed: Option<Time>,
}

/// One end of a link.
#[derive(Debug)]
struct End {
    peer: Place,
    at_peer: ConnectionId,
    link: Rc<Link>,
    /// When the last packet arrives.
    last: Time,
}

impl Network {
    /// Creates an empty network.
    pub fn new(world: World) -> Self {
        Self { world, nodes: Vec::new(), schedule: BinaryHeap::new(), scheduled: 0 }
    }

    /// Adds a node without links.
    pub fn add_node(&mut self, config: NodeConfig) -> Place {
        self.add(config, None)
    }

    /// Adds a node that archives every envelope of its pool, and answers requests by the rules
    /// of `server`.
    pub fn add_mailserver(&mut self, mut config: NodeConfig, server: Server) -> Place {
        config.mailserver = true;
        config.interest = Interest::Everything;
        self.add(config, Some((server, MemoryArchive::new())))
    }

    /// Connects two nodes.
    ///
    /// # Panics
    /// If one of them has no room for another peer.
    pub fn connect(&mut self, a: Place, b: Place, link: Link) -> [ConnectionId; 2] {
        let (now, link) = (self.world.now(), Rc::new(link));
        let [at_a, at_b] = [(a, b), (b, a)].map(|(here, there)| {
            let info = PeerInfo { id: node_id(there), ..PeerInfo::default() };
            self.nodes[here.0].core.add_peer(info, now).expect("room for a peer")
        });
        for (here, at_here, peer, at_peer) in [(a, at_a, b, at_b), (b, at_b, a, at_a)] {
            let end = End { peer, at_peer, link: link.clone(), last: now };
            self.nodes[here.0].ends.insert(at_here, end);
        }
        self.schedule(now, Happening::Timeout(a));
        self.schedule(now, Happening::Timeout(b));
        [at_a, at_b]
    }

    /// Cuts a link. Packets on their way are lost.
    pub fn disconnect(&mut self, node: Place, connection: ConnectionId) {
        self.nodes[node.0].core.remove_peer(connection);
        if let Some(End { peer, at_peer, .. }) = self.nodes[node.0].ends.remove(&connection) {
            self.nodes[peer.0].core.remove_peer(at_peer);
            self.nodes[peer.0].ends.remove(&at_peer);
        }
    }

    /// Returns a node's core.
    pub fn node(&self, node: Place) -> &Node {
        &self.nodes[node.0].core
    }

    /// Returns the places of all nodes.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.nodes.len()).map(Place)
    }

    /// Returns the archive of a mailserver.
    pub fn archive(&self, node: Place) -> Option<&MemoryArchive> {
        self.nodes[node.0].mailserver.as_ref().map(|(_, archive)| archive)
    }

    /// Sends an envelope of a node's own.
    ///
    /// # Errors
    /// If the node's own rules refuse it.
    pub fn send(&mut self, node: Place, envelope: Envelope) -> Result<Sent, SendError> {
        self.with(node, |core, now| core.send(envelope, now))
    }

    /// Runs something on a node's core, whose outputs are carried away when the network runs.
    pub fn with<T>(&mut self, node: Place, work: impl FnOnce(&mut Node, Time) -> T) -> T {
        let now = self.world.now();
        let done = work(&mut self.nodes[node.0].core, now);
        self.schedule(now, Happening::Timeout(node));
        done
    }

    /// Lets time pass, and reports what happens.
    pub fn run_for(&mut self, time: Duration, mut report: impl FnMut(&Happened<'_>)) {
        let end = self.world.now() + time;
        while self.schedule.peek().is_some_and(|Reverse(next)| next.at <= end) {
            let Some(Reverse(next)) = self.schedule.pop() else { break };
            self.world.advance(next.at.saturating_sub(self.world.now()));
            self.happen(next.happening, &mut report);
        }
        self.world.advance(end.saturating_sub(self.world.now()));
    }

    fn add(&mut self, config: NodeConfig, mailserver: Option<(Server, MemoryArchive)>) -> Place {
        let place = Place(self.nodes.len());
        let core = Node::new(config, place.0 as u64, self.world.now());
        self.nodes.push(Member { core, mailserver, ends: HashMap::new(), armed: None });
        self.settle(place, &mut |_| {});
        place
    }

    fn happen(&mut self, happening: Happening, report: &mut dyn FnMut(&Happened<'_>)) {
        let now = self.world.now();
        let node = match happening {
            Happening::Timeout(node) => {
                let member = &mut self.nodes[node.0];
                if member.armed.is_some_and(|armed| armed <= now) {
                    member.armed = None;
                }
                member.core.handle_timeout(now);
                node
            }
            Happening::Packet { to, at, code, payload } => {
                let member = &mut self.nodes[to.0];
                if member.ends.contains_key(&at) {
                    member.core.handle_packet(at, code, &payload, now);
                }
                to
            }
        };
        self.settle(node, report);
    }

    /// Carries away a node's outputs.
    fn settle(&mut self, node: Place, report: &mut dyn FnMut(&Happened<'_>)) {
        let now = self.world.now();
        while let Some(output) = self.nodes[node.0].core.poll_output() {
            match output {
                Output::Writable(connection) => {
                    while let Some(packet) = self.nodes[node.0].core.poll_peer(connection, now) {
                        self.carry(node, connection, packet.code, packet.payload.into());
                        if let Some(token) = packet.token {
                            self.nodes[node.0].core.written(connection, token);
                        }
                    }
                }
                Output::Event(event) => {
                    report(&Happened { at: now, node, what: What::Event(&event) });
                    self.serve(node, &event);
                }
                Output::Disconnect { peer: connection, error } => {
                    if let Some(end) = self.nodes[node.0].ends.get(&connection) {
                        let what = What::Disconnected { peer: end.peer, error: &error };
                        report(&Happened { at: now, node, what });
                    }
                    self.disconnect(node, connection);
                }
                // These nodes have one network.
                Output::Crossing(_) => {}
            }
        }
        let member = &mut self.nodes[node.0];
        if let Some(at) = member.core.next_timeout()
            && member.armed.is_none_or(|armed| at < armed)
        {
            member.armed = Some(at);
            self.schedule(at, Happening::Timeout(node));
        }
    }

    /// Lets the mailserver of a node archive and answer.
    fn serve(&mut self, node: Place, event: &Event) {
        let now = self.world.now();
        let member = &mut self.nodes[node.0];
        let Some((server, archive)) = &member.mailserver else { return };
        let client = |peer| member.ends.get(&peer).map_or(NodeId([0; 32]), |end| node_id(end.peer));
        let (peer, answer) = match event {
            Event::Envelope { envelope, .. } => {
                let envelope = std::slice::from_ref(envelope.envelope());
                archive.append(envelope).expect("memory does not fail");
                return;
            }
            Event::Request { peer, request } => {
                (*peer, server.request(client(*peer), request, archive, now))
            }
            Event::SyncRequest { peer, request } => {
                (*peer, server.sync_request(client(*peer), request, archive, now))
            }
            _ => return,
        };
        let replies: Vec<Reply> = match answer {
            Ok(mut answer) => {
                std::iter::from_fn(|| answer.next(archive).expect("memory does not fail")).collect()
            }
            Err(refused) => vec![refused.reply],
        };
        for reply in replies {
            // A client that does not read loses answers, as with a real server.
            let _ = member.core.send_packet(peer, &reply.packet, now);
        }
    }

    /// Puts a packet on its way.
    fn carry(&mut self, from: Place, connection: ConnectionId, code: u64, payload: Rc<[u8]>) {
        let now = self.world.now();
        let Some(end) = self.nodes[from.0].ends.get(&connection) else { return };
        let (to, at, link) = (end.peer, end.at_peer, end.link.clone());
        // Links without faults draw nothing, which keeps large networks fast.
        if link.loss > 0.0 && self.world.rng("loss").random_bool(link.loss) {
            return;
        }
        let twice =
            link.duplication > 0.0 && self.world.rng("duplication").random_bool(link.duplication);
        for _ in 0..1 + usize::from(twice) {
            let mut arrival = now + link.latency;
            if !link.jitter.is_zero() {
                arrival += self.world.rng("jitter").random_range(Duration::ZERO..=link.jitter);
            }
            if let Some(end) = self.nodes[from.0].ends.get_mut(&connection)
                && !link.reorders
            {
                arrival = arrival.max(end.last);
                end.last = arrival;
            }
            let payload = payload.clone();
            self.schedule(arrival, Happening::Packet { to, at, code, payload });
        }
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.scheduled += 1;
        self.schedule.push(Reverse(Scheduled { at, number: self.scheduled, happening }));
    }
}

/// Returns the ID under which a node's peers know it.
fn node_id(place: Place) -> NodeId {
    NodeId(keccak256(&place.0.to_be_bytes()))
}

/// Something to come, ordered by time, then by number.
#[derive(Debug)]
struct Scheduled {
    at: Time,
    number: u64,
    happening: Happening,
}

#[derive(Debug)]
enum Happening {
    Timeout(Place),
    Packet { to: Place, at: ConnectionId, code: u64, payload: Rc<[u8]> },
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::{
        envelope::{Bloom, SymKey},
        mailserver::Request,
        wire::{
            Packet,
            p2p::{P2pRequest, RequestComplete},
        },
    };
    use statuskit_mailserver::ServerConfig;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends ten envelopes along a line of four nodes with bad links, and returns what happened.
    fn run(seed: &str) -> Vec<(Time, Place)> {
        let mut network = Network::new(World::new(seed));
        let nodes = [(); 4].map(|()| network.add_node(relay()));
        let jitter = Duration::from_millis(30);
        let link = Link {
            jitter,
            loss: 0.05,
            duplication: 0.2,
            reorders: true,
            ..Link::from_latency(jitter)
        };
        for pair in nodes.windows(2) {
            network.connect(pair[0], pair[1], link.clone());
        }
        let mut happened = Vec::new();
        for _ in 0..10 {
            let envelope = network.world.envelope(60, b"data");
            network.send(nodes[0], envelope).unwrap();
            network.run_for(SECOND, |it| happened.extend(it.envelope().map(|_| (it.at, it.node))));
        }
        happened
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        assert_eq!(run("one"), run("one"));
        assert_ne!(run("one"), run("two"));
    }

    #[test]
    fn a_mailserver_answers_a_client() {
        let mut network = Network::new(World::new("history"));
        let password = SymKey::from_bytes([7; 32]).unwrap();
        let mut config = ServerConfig::from_password(password);
        config.allow_plain = Some(true);
        let server = network.add_mailserver(relay(), Server::new(config).unwrap());
        let sender = network.add_node(relay());
        network.connect(sender, server, Link::from_latency(SECOND / 20));
        network.run_for(SECOND, |_| {});
        let envelope = network.world.envelope(10, b"old");
        network.send(sender, envelope.clone()).unwrap();
        // It expires before the client arrives.
        network.run_for(60 * SECOND, |_| {});
        let client = network.add_node(relay());
        let [connection, _] = network.connect(client, server, Link::from_latency(SECOND / 20));
        network.run_for(SECOND, |_| {});
        let now = network.world.now_secs();
        let request = Request::from_bloom(now.wrapping_sub(3600), now, Bloom::FULL)
            .to_plain(&[1; 32])
            .unwrap();
        let request = Packet::P2pRequest(P2pRequest::Plain(request));
        network.with(client, |core, now| core.send_packet(connection, &request, now)).unwrap();
        let (mut got, mut complete) = (Vec::new(), false);
        network.run_for(SECOND, |it| match it.what {
            What::Event(Event::P2pMessages { envelopes, .. }) => got.extend(envelopes.clone()),
            What::Event(Event::RequestComplete { answer, .. }) => {
                complete = matches!(answer, RequestComplete::Success { .. });
            }
            _ => {}
        });
        assert_eq!((got, complete), (vec![envelope], true));
    }
}

//! Datagrams from outside, the endpoint proof, and requests served.

use std::{net::SocketAddr, time::Duration};

use rand::{RngExt as _, seq::SliceRandom as _};
use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        Endpoint, Extra, MAX_DATAGRAM, MAX_NODES, Neighbors, NodeEntry, PacketHash, Received,
        TopicListHash,
        relay::check_address,
        v5::{MAX_TOPIC_NODES, Packet, Ping, Pong, TopicNodes, TopicQuery, TopicRegister, VERSION},
    },
};

use super::{
    EXPIRATION, Event, MAX_VERIFYING, Machine, Now, Output, RESPONSE_TIMEOUT, State, Timer,
    is_packet,
    lookup::MAX_TIMEOUTS,
    node::{Node, NodeInfo, SentPing},
};
use crate::discovery::table::{Added, BUCKET_SIZE};

/// How long after it moved a node must prove its address. Its requests are served meanwhile.
const REPROVE_AFTER: Duration = Duration::from_secs(1);
/// How many times the bytes of the packet answers before the proof may have.
const AMPLIFICATION: usize = 3;
/// The most bytes of an entry in an answer, and of all around the entries.
const ENTRY_BYTES: usize = 96;
const ANSWER_BYTES: usize = 136;

impl Machine {
    /// Takes a datagram.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Now) {
        self.stats.received += 1;
        // Both are far cheaper than a recovery.
        if !is_packet(datagram) {
            self.stats.dropped += 1;
            return;
        }
        if !self.limiter.allow(from, now.mono) {
            self.stats.limited += 1;
            return;
        }
        let datagram = &datagram[..datagram.len().min(MAX_DATAGRAM)];
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let handled = Packet::decode(datagram)
            .ok()
            .and_then(|received| self.handle_packet(from, datagram, received, now));
        if handled.is_none() {
            self.stats.dropped += 1;
        }
    }

    /// Handles a packet. `None` if it is ignored.
    fn handle_packet(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        received: Received<Packet>,
        now: Now,
    ) -> Option<()> {
        let id = NodeId::from_key(&received.sender);
        if id == self.own {
            return None;
        }
        if !self.nodes.contains_key(&id) {
            // Others of a stranger have no effect.
            if !matches!(received.packet, Packet::Ping(_)) {
                return None;
            }
            let info = NodeInfo { key: received.sender, addr: from, tcp: from.port() };
            self.remember(id, Node::new(info, now.mono), now.mono);
        }
        self.moved(id, from, now);
        let node = self.nodes.get_mut(&id)?;
        let most = if node.is_proven() { usize::MAX } else { AMPLIFICATION * datagram.len() };
        match received.packet {
            Packet::Ping(ping) => self.handle_ping(id, &ping, received.hash, most, now),
            Packet::Pong(pong) => self.handle_pong(id, from, &pong, datagram, now),
            _ if !node.state.can_query() => None,
            Packet::FindNode(find) => self.answer_find(id, &find.target.node_id(), most, now),
            Packet::FindNodeHash(find) => self.answer_find(id, &find.target, most, now),
            Packet::Neighbors(neighbors) => self.handle_neighbors(id, &neighbors.nodes, now),
            Packet::TopicRegister(register) => self.handle_register(id, &register, now),
            Packet::TopicQuery(query) => self.answer_query(id, &query, received.hash, most, now),
            Packet::TopicNodes(answer) => self.handle_topic_nodes(id, &answer, now),
            _ => None,
        }
    }

    /// Takes the address of a packet as that of its sender, as all nodes do. Who has proven another
    /// address must prove this one, or gets the old one back.
    fn moved(&mut self, id: NodeId, from: SocketAddr, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.last_seen = now.mono;
        let has_moved = node.info.addr != from;
        (node.info.addr, node.info.tcp) = (from, from.port());
        if has_moved && node.state.can_query() && !node.is_proven() {
            self.set_timer(now.mono + REPROVE_AFTER, Timer::Reprove(id, from));
        }
    }

    pub(super) fn reprove(&mut self, id: NodeId, addr: SocketAddr, now: Now) {
        let Some(node) = self.nodes.get(&id) else { return };
        if node.info.addr == addr && node.state.can_query() && !node.is_proven() {
            self.ping_node(id, now);
        }
    }

    /// Answers a ping, with a ticket. A stranger is asked for its proof.
    fn handle_ping(
        &mut self,
        id: NodeId,
        ping: &Ping,
        hash: PacketHash,
        most: usize,
        now: Now,
    ) -> Option<()> {
        let node = self.nodes.get_mut(&id)?;
        node.info.tcp = ping.from.tcp;
        let (to, tcp, state) = (node.info.addr, node.info.tcp, node.state);
        let issued = self.topics.issue(id, &ping.topics, now.mono);
        let pong = Packet::Pong(Pong {
            to: Endpoint::new(to.ip(), to.port(), tcp),
            reply_token: hash.0.to_vec(),
            expiration: issued.issued,
            topic_hash: TopicListHash::from_topics(&ping.topics),
            ticket_serial: issued.serial,
            wait_periods: issued.waits,
            extra: Extra::default(),
        });
        let Some((_, sent)) = self.send_within(to, &pong, most) else {
            self.forget_stranger(id);
            return None;
        };
        match state {
            State::Unknown => {
                if self.send_ping(id, most - sent, now).is_some() {
                    self.transition(id, State::VerifyWait, now);
                } else {
                    self.forget_stranger(id);
                }
            }
            State::VerifyInit => self.transition(id, State::VerifyWait, now),
            State::Unresponsive => self.transition(id, State::Known, now),
            _ => {}
        }
        Some(())
    }

    fn handle_pong(
        &mut self,
        id: NodeId,
        from: SocketAddr,
        pong: &Pong,
        datagram: &[u8],
        now: Now,
    ) -> Option<()> {
        let node = self.nodes.get_mut(&id)?;
        let ping = node.ping.take_if(|ping| ping.hash.0[..] == pong.reply_token)?;
        // Who answers from elsewhere than it was asked proves where it was asked.
        let proven = NodeInfo { addr: ping.to, ..node.info };
        node.proven = Some(proven);
        let after = now.mono.saturating_sub(ping.at);
        self.outputs.push_back(Output::Event(Event::Answered { node: proven, after }));
        if ping.to != from && self.nodes.get(&id)?.state.can_query() {
            self.set_timer(now.mono + REPROVE_AFTER, Timer::Reprove(id, from));
        }
        self.ticket_arrived(id, &ping, pong, datagram, now);
        match self.nodes.get(&id)?.state {
            State::VerifyInit => self.transition(id, State::RemoteVerifyWait, now),
            State::VerifyWait | State::Contested | State::Unresponsive => {
                self.transition(id, State::Known, now);
            }
            _ => {}
        }
        Some(())
    }

    /// Sends a ping, unless there is one without an answer.
    pub(super) fn ping_node(&mut self, id: NodeId, now: Now) {
        self.send_ping(id, usize::MAX, now);
    }

    fn send_ping(&mut self, id: NodeId, most: usize, now: Now) -> Option<()> {
        let topics = self.ping_topics();
        let node = self.nodes.get(&id)?;
        if node.ping.is_some() {
            return Some(());
        }
        let to = node.info.addr;
        let ping = Packet::Ping(Ping {
            version: VERSION,
            from: self.endpoint.clone(),
            to: Endpoint::new(to.ip(), to.port(), to.port()),
            expiration: now.unix + EXPIRATION,
            topics: topics.to_vec(),
            extra: Extra::default(),
        });
        let (hash, _) = self.send_within(to, &ping, most)?;
        let node = self.nodes.get_mut(&id)?;
        node.ping = Some(SentPing { hash: PacketHash(hash), topics, to, at: now.mono });
        self.set_timer(now.mono + RESPONSE_TIMEOUT, Timer::Pong(id, hash));
        Some(())
    }

    pub(super) fn pong_timeout(&mut self, id: NodeId, hash: [u8; 32], now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.ping.take_if(|ping| ping.hash.0 == hash).is_none() {
            return;
        }
        match node.state {
            State::VerifyInit | State::VerifyWait => {
                let info = node.info;
                self.report(Event::Silent(info));
                self.transition(id, State::Unknown, now);
            }
            State::Contested => {
                let info = node.info;
                self.report(Event::Silent(info));
                self.replace_in_table(id);
                self.transition(id, State::Unresponsive, now);
            }
            _ => {
                // It did not prove the address that it moved to.
                if let Some(proven) = node.proven {
                    node.info = proven;
                }
            }
        }
    }

    pub(super) fn remote_verify_timeout(&mut self, id: NodeId, now: Now) {
        if self.nodes.get(&id).is_some_and(|node| node.state == State::RemoteVerifyWait) {
            self.transition(id, State::Known, now);
        }
    }

    /// Changes the state of a node, with all that belongs to it.
    pub(super) fn transition(&mut self, id: NodeId, next: State, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.state == next {
            return;
        }
        node.state = next;
        match next {
            State::Unknown => {
                node.ping = None;
                node.timeouts = 0;
                node.topics.clear();
                let pending = node.pending.take().map(|sent| sent.query);
                let failed: Vec<_> = pending.into_iter().chain(node.deferred.drain(..)).collect();
                self.table.remove(&id);
                for query in failed {
                    self.query_failed(id, &query, now);
                }
                self.forget_stranger(id);
            }
            State::VerifyInit => {
                self.begin_proof(id);
                self.ping_node(id, now);
            }
            State::VerifyWait => self.begin_proof(id),
            State::RemoteVerifyWait => {
                self.set_timer(now.mono + RESPONSE_TIMEOUT, Timer::RemoteVerify(id));
            }
            State::Known => self.became_known(id, now),
            State::Contested => self.ping_node(id, now),
            State::Unresponsive => {}
        }
    }

    fn became_known(&mut self, id: NodeId, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.timeouts = 0;
        let (info, is_bootnode) = (node.info, node.is_bootnode);
        let topics = std::mem::take(&mut node.topics);
        self.report(Event::Bonded(info));
        let subnet = if is_bootnode { None } else { self.subnet(&info) };
        if let Added::Replacement { last } = self.table.add(id, subnet)
            && self.nodes.get(&last).is_some_and(|node| node.state == State::Known)
        {
            self.transition(last, State::Contested, now);
        }
        self.start_next_query(id, now);
        for (topic, target) in topics {
            self.query_topic(id, &topic, target, now);
        }
        self.registrant.wake();
    }

    /// Counts the proof. If there are too many, one of a stranger ends.
    fn begin_proof(&mut self, id: NodeId) {
        self.verifying.push(id);
        if self.verifying.len() <= MAX_VERIFYING {
            return;
        }
        let nodes = &self.nodes;
        self.verifying.retain(|id| {
            let state = nodes.get(id).map(|node| node.state);
            matches!(state, Some(State::VerifyInit | State::VerifyWait))
        });
        if self.verifying.len() > MAX_VERIFYING {
            let other = self.rng.random_range(0..self.verifying.len() - 1);
            let other = self.verifying.swap_remove(other);
            if let Some(node) = self.nodes.get_mut(&other)
                && node.state == State::VerifyWait
                && node.pending.is_none()
                && node.deferred.is_empty()
                && !node.is_bootnode
            {
                node.state = State::Unknown;
                node.ping = None;
                self.table.remove(&other);
                self.forget_stranger(other);
            }
        }
    }

    /// Forgets a node of which nothing is known.
    pub(super) fn forget_stranger(&mut self, id: NodeId) {
        let is_needed = |node: &Node| node.state != State::Unknown || node.is_bootnode;
        if self.nodes.get(&id).is_some_and(|node| !is_needed(node)) && !self.topics.has(&id) {
            self.nodes.remove(&id);
        }
    }

    /// Remembers a node. If there are too many, those that were seen longest ago go: first those
    /// without a proof, and never those in the table.
    pub(super) fn remember(&mut self, id: NodeId, node: Node, now: Duration) {
        if self.nodes.len() >= self.config.max_nodes {
            let in_table: std::collections::HashSet<_> = self.table.ids().collect();
            let mut others: Vec<_> = self
                .nodes
                .iter()
                .filter(|(id, node)| {
                    !node.is_bootnode && !in_table.contains(id) && !self.topics.has(id)
                })
                // Who answers queries at this moment is needed.
                .filter(|(_, node)| node.pending.is_none() && node.deferred.is_empty())
                .map(|(id, node)| (node.state.can_query(), node.last_seen, *id))
                .collect();
            others.sort_unstable();
            let enough = (self.config.max_nodes / 8).max(1);
            for (_, _, id) in others.into_iter().take(enough) {
                self.nodes.remove(&id);
            }
        }
        debug_assert!(node.last_seen <= now);
        self.nodes.insert(id, node);
    }

    pub(super) fn replace_in_table(&mut self, id: NodeId) {
        let nodes = &self.nodes;
        self.table.replace(&id, |id| nodes.get(id).is_some_and(|node| node.state == State::Known));
    }

    /// Counts a query without an answer.
    pub(super) fn count_timeout(&mut self, id: NodeId, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.timeouts += 1;
        if node.timeouts > MAX_TIMEOUTS && node.state == State::Known {
            self.transition(id, State::Contested, now);
        }
    }

    fn answer_find(&mut self, id: NodeId, target: &NodeId, most: usize, now: Now) -> Option<()> {
        let to = self.nodes.get(&id)?.info.addr;
        let nearest = self.table.closest(target, BUCKET_SIZE);
        let mut entries: Vec<NodeEntry> =
            nearest.iter().filter_map(|id| Some(self.nodes.get(id)?.info.entry())).collect();
        entries.truncate(fitting(most));
        for nodes in entries.chunks(MAX_NODES) {
            let neighbors = Neighbors {
                nodes: nodes.to_vec(),
                expiration: now.unix + EXPIRATION,
                extra: Extra::default(),
            };
            self.send(to, &Packet::Neighbors(neighbors));
        }
        Some(())
    }

    fn handle_register(&mut self, id: NodeId, register: &TopicRegister, now: Now) -> Option<()> {
        let ticket = register.ticket(&self.own_info.key).ok()?;
        let topic = register.topics.get(usize::try_from(register.index).ok()?)?;
        let info = self.info_of(&id)?;
        let (subnet, exponential) = (self.subnet(&info), self.exponential());
        let was_registered = self.topics.registered(topic).any(|it| it == id);
        if self.topics.register(id, subnet, &ticket, topic, exponential, now.mono)
            && !was_registered
        {
            self.report(Event::Registration { topic: topic.clone(), node: info });
        }
        Some(())
    }

    fn answer_query(
        &mut self,
        id: NodeId,
        query: &TopicQuery,
        hash: PacketHash,
        most: usize,
        now: Now,
    ) -> Option<()> {
        let to = self.nodes.get(&id)?.info.addr;
        let mut ids = self.topics.query(&query.topic, now.mono);
        ids.shuffle(&mut self.rng);
        let own_ip = self.own_info.addr.ip();
        let may_know = |info: &NodeInfo| {
            let ip = info.addr.ip();
            let bytes = Endpoint::new(ip, 0, 0).ip;
            ip == own_ip || check_address(to.ip(), &bytes).is_ok()
        };
        let infos = ids.iter().filter_map(|id| self.info_of(id)).filter(may_know);
        let mut nodes: Vec<_> = infos.map(|info| info.entry()).collect();
        if self.registrant.has(&query.topic) {
            // Who does not know its address leaves it to the asker.
            nodes.insert(0, NodeEntry { endpoint: self.endpoint.clone(), key: self.node_key() });
        }
        nodes.truncate(MAX_TOPIC_NODES.min(fitting(most)));
        self.send_within(to, &Packet::TopicNodes(TopicNodes { echo: hash, nodes }), most);
        Some(())
    }
}

/// Returns how many entries fit into an answer of a size in bytes.
fn fitting(most: usize) -> usize {
    most.saturating_sub(ANSWER_BYTES) / ENTRY_BYTES
}

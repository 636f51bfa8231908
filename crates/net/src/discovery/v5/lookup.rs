//! Lookups, their queries, and keeping the table fresh.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use rand::RngExt as _;
use statuskit_core::{
    crypto::PublicKey,
    devp2p::NodeId,
    discovery::{
        Extra, NodeEntry, TopicName,
        distance::compare,
        relay::{MAX_LOW_PORT, check_address, check_node},
        v5::{FindNodeHash, Packet},
    },
};

use super::{
    EXPIRATION, Event, Machine, Now, RESPONSE_TIMEOUT, State, Timer,
    node::{Node, NodeInfo, SentQuery},
};
use crate::discovery::{radius::Target, table::BUCKET_SIZE};

/// How many nodes a lookup asks at the same time.
const PARALLEL: usize = 3;
/// A node that leaves more queries in a row unanswered is contested.
pub(super) const MAX_TIMEOUTS: u32 = 5;
/// The number of them after which it is pinged.
const PING_AFTER: u32 = 2;
/// The most queries that wait for one node.
const MAX_DEFERRED: usize = 16;
/// The most nodes that one answer can bring.
const MAX_ANSWER: usize = BUCKET_SIZE;
const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
const BUCKET_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const NO_BOOTNODES_INTERVAL: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// A lookup that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(u64);

/// A request for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub target: NodeId,
    /// `None` if its answer is only reported.
    pub lookup: Option<LookupId>,
}

#[derive(Debug)]
pub(super) struct Lookup {
    target: NodeId,
    purpose: Purpose,
    /// The nearest nodes so far, nearest first.
    nearest: Vec<NodeId>,
    seen: HashSet<NodeId>,
    asked: HashSet<NodeId>,
    pending: HashSet<NodeId>,
    /// How many of the pending ones are not waited for before others are asked.
    slow: usize,
    replies: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Refresh,
    BucketRefresh,
    Caller,
    Register(TopicName, Target),
    Search(TopicName, Target),
}

impl Machine {
    /// Begins to find nodes: verifies the bootnodes, and looks up the own id.
    pub fn start(&mut self, now: Now) {
        self.is_started = true;
        self.refresh(now);
        self.set_timer(now.mono + BUCKET_REFRESH_INTERVAL, Timer::BucketRefresh);
    }

    /// Proves the endpoint of a node, if that is not done yet. [`Event::Bonded`] or
    /// [`Event::Silent`] reports the outcome.
    pub fn bond(&mut self, node: NodeInfo, now: Now) {
        let id = node.id();
        if id == self.own {
            return;
        }
        self.meet(id, node, now);
        match self.nodes.get(&id).map(|node| node.state) {
            Some(State::Unknown) => self.transition(id, State::VerifyInit, now),
            Some(state) if state.can_query() => self.report(Event::Bonded(node)),
            _ => {}
        }
    }

    /// Asks one node for those near a target, once its endpoint is proven. [`Event::Neighbors`] or
    /// [`Event::Unanswered`] reports the outcome.
    pub fn find_node(&mut self, node: NodeInfo, target: NodeId, now: Now) {
        let id = node.id();
        if id == self.own {
            return;
        }
        self.meet(id, node, now);
        self.query(id, Query { target, lookup: None }, now);
    }

    /// Looks for the nodes nearest to a target. [`Event::LookupDone`] reports them.
    pub fn lookup(&mut self, target: NodeId, now: Now) -> LookupId {
        self.start_lookup(target, Purpose::Caller, now)
    }

    /// Returns the number of lookups that run.
    pub fn lookups(&self) -> usize {
        self.lookups.len()
    }

    fn meet(&mut self, id: NodeId, info: NodeInfo, now: Now) {
        if !self.nodes.contains_key(&id) {
            self.remember(id, Node::new(info, now.mono), now.mono);
        }
    }

    /// Verifies the bootnodes, and looks up the own id.
    pub(super) fn refresh(&mut self, now: Now) {
        let bootnodes = self.config.bootnodes.clone();
        for info in bootnodes {
            let id = info.id();
            if id == self.own {
                continue;
            }
            self.meet(id, info, now);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.is_bootnode = true;
                if node.state == State::Unknown {
                    node.info = info;
                    self.transition(id, State::VerifyInit, now);
                }
            }
            // So that the lookup has a node to ask. It goes again if the proof fails.
            self.table.add(id, None);
        }
        if self.table.is_empty() {
            self.set_timer(now.mono + NO_BOOTNODES_INTERVAL, Timer::Refresh);
            return;
        }
        self.start_lookup(self.own, Purpose::Refresh, now);
    }

    pub(super) fn refresh_bucket(&mut self, now: Now) {
        if self.table.is_empty() {
            self.set_timer(now.mono + BUCKET_REFRESH_INTERVAL, Timer::BucketRefresh);
            return;
        }
        // Nearer than twice the distance of a random entry.
        let entries: Vec<_> = self.table.ids().collect();
        let position = |id: &NodeId| {
            id.0.iter().take(8).fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let own = position(&self.own);
        let distance = match entries.get(self.rng.random_range(0..=entries.len())) {
            Some(entry) => (position(entry) ^ own).saturating_mul(2).max(1),
            None => u64::MAX,
        };
        let mut target = self.random_id();
        let prefix = own ^ self.rng.random_range(0..distance);
        target.0[..8].copy_from_slice(&prefix.to_be_bytes());
        self.start_lookup(target, Purpose::BucketRefresh, now);
    }

    pub(super) fn start_lookup(&mut self, target: NodeId, purpose: Purpose, now: Now) -> LookupId {
        self.numbers += 1;
        let id = LookupId(self.numbers);
        let nearest = self.table.closest(&target, BUCKET_SIZE);
        let lookup = Lookup {
            target,
            purpose,
            seen: nearest.iter().copied().collect(),
            nearest,
            asked: HashSet::new(),
            pending: HashSet::new(),
            slow: 0,
            replies: 0,
        };
        self.lookups.insert(id, lookup);
        self.set_timer(now.mono + RESPONSE_TIMEOUT, Timer::Stall(id, 0));
        self.advance(id, now);
        id
    }

    /// Asks the next nodes of a lookup, or ends it.
    fn advance(&mut self, id: LookupId, now: Now) {
        loop {
            let Some(lookup) = self.lookups.get_mut(&id) else { return };
            if lookup.pending.len() >= PARALLEL + lookup.slow {
                return;
            }
            let next = lookup.nearest.iter().find(|it| !lookup.asked.contains(it)).copied();
            match next {
                Some(node) => {
                    lookup.asked.insert(node);
                    lookup.pending.insert(node);
                    let query = Query { target: lookup.target, lookup: Some(id) };
                    self.query(node, query, now);
                }
                None if lookup.pending.is_empty() => {
                    if let Some(lookup) = self.lookups.remove(&id) {
                        self.lookup_ended(id, lookup, now);
                    }
                    return;
                }
                None => return,
            }
        }
    }

    /// Others are asked while the answers of some are late.
    pub(super) fn lookup_stalled(&mut self, id: LookupId, replies: u64, now: Now) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if lookup.replies == replies {
            lookup.slow = lookup.pending.len();
        }
        let replies = lookup.replies;
        self.set_timer(now.mono + RESPONSE_TIMEOUT, Timer::Stall(id, replies));
        self.advance(id, now);
    }

    fn lookup_ended(&mut self, id: LookupId, lookup: Lookup, now: Now) {
        let Lookup { nearest, purpose, .. } = lookup;
        match purpose {
            Purpose::Refresh => self.refreshed(now),
            Purpose::BucketRefresh => {
                self.set_timer(now.mono + BUCKET_REFRESH_INTERVAL, Timer::BucketRefresh);
            }
            Purpose::Caller => {
                let alive = |id: &NodeId| {
                    let node = self.nodes.get(id)?;
                    node.state.can_query().then_some(node.info)
                };
                let nodes = nearest.iter().filter_map(alive).collect();
                self.report(Event::LookupDone { id, nodes });
            }
            Purpose::Register(topic, target) => self.register_ended(&topic, target, &nearest, now),
            Purpose::Search(topic, target) => self.search_ended(&topic, target, &nearest, now),
        }
    }

    fn refreshed(&mut self, now: Now) {
        let is_usable = |id: NodeId| self.nodes.get(&id).is_some_and(|it| it.state.can_query());
        if self.table.ids().any(is_usable) {
            self.failed_refreshes = 0;
            self.report(Event::Started);
            self.set_timer(now.mono + REFRESH_INTERVAL, Timer::Refresh);
            self.begin_searches(now);
            return;
        }
        // The reference tries again at once.
        let wait = FIRST_RETRY * 2_u32.pow(self.failed_refreshes.min(5));
        self.failed_refreshes += 1;
        self.set_timer(now.mono + wait.min(NO_BOOTNODES_INTERVAL), Timer::Refresh);
    }

    /// Sends a query, or keeps it until the node can be asked.
    fn query(&mut self, id: NodeId, query: Query, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return self.query_failed(id, &query, now);
        };
        if node.state.can_query() && node.pending.is_none() {
            return self.send_query(id, query, now);
        }
        if node.deferred.len() >= MAX_DEFERRED {
            return self.query_failed(id, &query, now);
        }
        node.deferred.push_back(query);
        if node.state == State::Unknown {
            self.transition(id, State::VerifyInit, now);
        }
    }

    fn send_query(&mut self, id: NodeId, query: Query, now: Now) {
        self.numbers += 1;
        let number = self.numbers;
        let packet = Packet::FindNodeHash(FindNodeHash {
            target: query.target,
            expiration: now.unix + EXPIRATION,
            extra: Extra::default(),
        });
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let to = node.info.addr;
        node.pending = Some(SentQuery { query, number });
        self.send(to, &packet);
        self.set_timer(now.mono + RESPONSE_TIMEOUT, Timer::Query(id, number));
    }

    pub(super) fn start_next_query(&mut self, id: NodeId, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.pending.is_none()
            && let Some(query) = node.deferred.pop_front()
        {
            self.send_query(id, query, now);
        }
    }

    pub(super) fn query_timeout(&mut self, id: NodeId, number: u64, now: Now) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(sent) = node.pending.take_if(|sent| sent.number == number) else { return };
        self.query_failed(id, &sent.query, now);
        self.count_timeout(id, now);
        if self.nodes.get(&id).is_some_and(|node| node.timeouts == PING_AFTER) {
            // It may have forgotten us. Then it wants our proof again.
            self.ping_node(id, now);
        }
        self.start_next_query(id, now);
    }

    pub(super) fn query_failed(&mut self, id: NodeId, query: &Query, now: Now) {
        match query.lookup {
            Some(lookup) => self.lookup_reply(lookup, id, &[], now),
            None => {
                if let Some(info) = self.info_of(&id) {
                    self.report(Event::Unanswered(info));
                }
            }
        }
    }

    fn lookup_reply(&mut self, id: LookupId, from: NodeId, nodes: &[NodeId], now: Now) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if !lookup.pending.remove(&from) {
            return;
        }
        lookup.replies += 1;
        lookup.slow = lookup.slow.saturating_sub(1);
        for node in nodes {
            if lookup.seen.insert(*node) {
                let target = lookup.target;
                let at = lookup.nearest.partition_point(|it| compare(&target, it, node).is_lt());
                lookup.nearest.insert(at, *node);
                lookup.nearest.truncate(BUCKET_SIZE);
            }
        }
        self.advance(id, now);
    }

    /// Takes the first answer to a query. Others have none to belong to.
    pub(super) fn handle_neighbors(
        &mut self,
        id: NodeId,
        entries: &[NodeEntry],
        now: Now,
    ) -> Option<()> {
        let node = self.nodes.get_mut(&id)?;
        let sent = node.pending.take()?;
        node.timeouts = 0;
        let from = node.info;
        let mut ids = Vec::new();
        for entry in entries.iter().take(MAX_ANSWER) {
            if let Some(id) = self.named(from.addr, entry, now) {
                ids.push(id);
            }
        }
        if self.config.report_neighbors || sent.query.lookup.is_none() {
            let nodes = ids.iter().filter_map(|id| self.info_of(id)).collect();
            self.report(Event::Neighbors { from, nodes });
        }
        if let Some(lookup) = sent.query.lookup {
            self.lookup_reply(lookup, id, &ids, now);
        }
        self.start_next_query(id, now);
        Some(())
    }

    /// Takes a node that another one names, and begins its proof.
    fn named(&mut self, sender: SocketAddr, entry: &NodeEntry, now: Now) -> Option<NodeId> {
        let id = entry.key.node_id();
        let endpoint = &entry.endpoint;
        if id == self.own || endpoint.udp <= MAX_LOW_PORT {
            return None;
        }
        match self.nodes.get_mut(&id) {
            None => {
                let addr = check_node(&self.node_key(), sender.ip(), entry).ok()?;
                let key: PublicKey = entry.key.public_key().ok()?;
                let info = NodeInfo { key, addr, tcp: endpoint.tcp };
                self.remember(id, Node::new(info, now.mono), now.mono);
            }
            Some(node) => {
                let ip = endpoint.ip_addr()?;
                let addr = SocketAddr::new(ip, endpoint.udp);
                match node.state {
                    // It says itself where it is. Others may be behind.
                    State::Known if node.info.addr != addr => return None,
                    State::Unknown if !node.is_bootnode => {
                        check_address(sender.ip(), &endpoint.ip).ok()?;
                        (node.info.addr, node.info.tcp) = (addr, endpoint.tcp);
                    }
                    _ => {}
                }
            }
        }
        if self.nodes.get(&id).is_some_and(|node| node.state == State::Unknown) {
            self.transition(id, State::VerifyInit, now);
        }
        Some(id)
    }
}

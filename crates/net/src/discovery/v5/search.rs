//! Searching topics: nodes near the topic are asked who is registered.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        PacketHash, TopicName,
        relay::check_address,
        v5::{Packet, TopicNodes, TopicQuery},
    },
};

use super::{Event, Machine, Now, State, Timer, lookup::Purpose, node::NodeInfo};
use crate::discovery::{
    radius::{Radius, Target},
    table::BUCKET_SIZE,
};

/// The most topics that are searched.
pub const MAX_SEARCHES: usize = 16;
/// How long an answer to a query may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer is waited for until the node is asked again, and how often.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
const MAX_REPEATS: u32 = 4;
/// How long a node that knew none is not asked again; each time twice as long. Nodes that start
/// together would otherwise wait for a minute.
const EMPTY_INTERVAL: Duration = Duration::from_secs(5);
/// The most lookups of a search at the same time.
const MAX_LOOKUPS: u32 = 5;
/// The number of probes of the radius in a row before something within it is looked up.
const MAX_PROBES: u32 = 4;
/// The most nodes that are taken from the answers to one query.
const MAX_FOUND: usize = 24;
/// How slow a search becomes while it finds nobody to ask.
const SLOW: Duration = Duration::from_secs(30);
/// The most queries without an answer.
const MAX_QUERIES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Searches {
    topics: HashMap<TopicName, Search>,
    /// By node, too: the queries for a topic are all the same bytes.
    queries: HashMap<(NodeId, PacketHash), SentQuery>,
    /// Whether the first refresh has ended.
    can_begin: bool,
}

#[derive(Debug)]
struct Search {
    period: Duration,
    radius: Radius,
    lookups: u32,
    probes: u32,
    /// Who was asked, and when.
    asked: HashMap<NodeId, Asked>,
    /// Lookups in a row that found nobody to ask.
    idle: u32,
    /// The lookup that is due. Earlier timers are out of date.
    next: Duration,
}

#[derive(Debug)]
struct Asked {
    at: Duration,
    /// How often it was asked without an answer.
    silent: u32,
    /// How often in a row it knew nobody.
    empty: u32,
    /// Whether to ask it again: the query, or its answer, may be lost.
    again: bool,
}

#[derive(Debug)]
struct SentQuery {
    topic: TopicName,
    target: NodeId,
    at: Duration,
    found: usize,
    was_answered: bool,
    is_given_up: bool,
}

impl Machine {
    /// Searches a topic, with one lookup per period, or changes the period of a search.
    /// [`Event::Found`] reports what is found. Returns whether there was room for it.
    pub fn search(&mut self, topic: TopicName, period: Duration, now: Now) -> bool {
        let searches = &mut self.searches;
        if !searches.topics.contains_key(&topic) && searches.topics.len() >= MAX_SEARCHES {
            return false;
        }
        let can_begin = searches.can_begin;
        let mut is_new = false;
        let search = searches.topics.entry(topic.clone()).or_insert_with(|| {
            is_new = true;
            Search {
                period,
                radius: Radius::new(topic.clone()),
                lookups: 0,
                // The first lookup is none.
                probes: MAX_PROBES,
                asked: HashMap::new(),
                idle: 0,
                next: now.mono,
            }
        });
        let next = now.mono + period;
        if is_new && can_begin {
            self.set_timer(now.mono, Timer::Search(topic.clone()));
        } else if !is_new && period < search.period && next < search.next {
            search.next = next;
            self.set_timer(next, Timer::Search(topic.clone()));
        }
        if let Some(search) = self.searches.topics.get_mut(&topic) {
            search.period = period;
        }
        true
    }

    /// Ends a search.
    pub fn stop_search(&mut self, topic: &TopicName) {
        self.searches.topics.remove(topic);
        self.searches.queries.retain(|_, query| query.topic != *topic);
    }

    pub(super) fn begin_searches(&mut self, now: Now) {
        if std::mem::replace(&mut self.searches.can_begin, true) {
            return;
        }
        let topics: Vec<_> = self.searches.topics.keys().cloned().collect();
        for topic in topics {
            if let Some(search) = self.searches.topics.get_mut(&topic) {
                search.next = now.mono;
            }
            self.set_timer(now.mono, Timer::Search(topic.clone()));
        }
    }

    pub(super) fn search_lookup(&mut self, topic: &TopicName, now: Now) {
        self.expire_queries(now);
        let is_large = self.table.len() >= BUCKET_SIZE;
        let Some(search) = self.searches.topics.get_mut(topic) else { return };
        if now.mono < search.next {
            return;
        }
        let slow = search.period.max(SLOW);
        let wait = (search.period * 2_u32.pow(search.idle.min(6))).min(slow);
        // Two at the same time would be two searches.
        search.next = now.mono + wait.max(Duration::from_millis(100));
        let next = search.next;
        if search.lookups < MAX_LOOKUPS && !self.table.is_empty() {
            search.lookups += 1;
            let allow_probe = is_large && search.probes < MAX_PROBES;
            let target = search.radius.next_target(allow_probe, now.mono, &mut self.rng);
            search.probes = if target.is_probe { search.probes + 1 } else { 0 };
            self.start_lookup(target.id, Purpose::Search(topic.clone(), target), now);
        }
        self.set_timer(next, Timer::Search(topic.clone()));
    }

    pub(super) fn search_ended(
        &mut self,
        topic: &TopicName,
        target: Target,
        nearest: &[NodeId],
        now: Now,
    ) {
        let interval = self.config.query_interval;
        let Some(search) = self.searches.topics.get_mut(topic) else { return };
        search.lookups = search.lookups.saturating_sub(1);
        search.asked.retain(|_, asked| now.mono.saturating_sub(asked.at) < 2 * interval);
        let is_small = nearest.len() < BUCKET_SIZE;
        let is_near = |(rank, id): &(usize, &NodeId)| {
            *rank == 0 || is_small || search.radius.reaches(id, &target)
        };
        let near: Vec<_> = nearest.iter().enumerate().filter(is_near).map(|(_, id)| *id).collect();
        let mut asked = false;
        for id in &near {
            match self.nodes.get_mut(id) {
                Some(node) if node.state.can_query() => {
                    asked |= self.query_topic(*id, topic, target.id, now);
                }
                Some(node) => {
                    if node.topics.len() < MAX_SEARCHES
                        && !node.topics.iter().any(|(it, _)| it == topic)
                    {
                        node.topics.push((topic.clone(), target.id));
                    }
                    if node.state == State::Unknown {
                        self.transition(*id, State::VerifyInit, now);
                        asked = true;
                    }
                }
                None => {}
            }
        }
        if let Some(search) = self.searches.topics.get_mut(topic) {
            let repeats = search.asked.values().any(|asked| asked.again);
            search.idle = if asked || repeats { 0 } else { search.idle + 1 };
        }
    }

    /// Asks a node for a topic, unless it was asked a short time ago.
    pub(super) fn query_topic(
        &mut self,
        id: NodeId,
        topic: &TopicName,
        target: NodeId,
        now: Now,
    ) -> bool {
        let (longest, most) = (self.config.query_interval, self.config.max_nodes);
        let Some(search) = self.searches.topics.get_mut(topic) else { return false };
        let last = search.asked.get(&id);
        let (silent, empty) = last.map_or((0, 0), |last| (last.silent, last.empty));
        let interval = match empty {
            0 => longest,
            _ => longest.min(EMPTY_INTERVAL * 2_u32.pow((empty - 1).min(6))),
        };
        if last.is_some_and(|last| !last.again && now.mono.saturating_sub(last.at) < interval)
            || search.asked.len() >= most
        {
            return false;
        }
        let Some(info) = self.info_of(&id) else { return false };
        let packet = Packet::TopicQuery(TopicQuery { topic: topic.clone(), expiration: 0 });
        let Some((hash, _)) = self.send(info.addr, &packet) else { return false };
        if let Some(search) = self.searches.topics.get_mut(topic) {
            search.asked.insert(id, Asked { at: now.mono, silent, empty, again: false });
        }
        if self.searches.queries.len() < MAX_QUERIES {
            let query = SentQuery {
                topic: topic.clone(),
                target,
                at: now.mono,
                found: 0,
                was_answered: false,
                is_given_up: false,
            };
            self.searches.queries.insert((id, PacketHash(hash)), query);
        }
        true
    }

    /// Notes which queries got no answer. Their nodes are asked again, and pinged: they may have
    /// forgotten us.
    fn expire_queries(&mut self, now: Now) {
        let mut silent = Vec::new();
        let topics = &mut self.searches.topics;
        self.searches.queries.retain(|(node, _), query| {
            let age = now.mono.saturating_sub(query.at);
            if age > REPEAT_AFTER && !query.was_answered && !query.is_given_up {
                query.is_given_up = true;
                silent.push(*node);
                let asked = topics.get_mut(&query.topic).and_then(|it| it.asked.get_mut(node));
                if let Some(asked) = asked {
                    asked.silent += 1;
                    asked.again = asked.silent < MAX_REPEATS;
                }
            }
            age <= ANSWER_TIMEOUT
        });
        for id in silent {
            self.count_timeout(id, now);
            self.ping_node(id, now);
        }
    }

    pub(super) fn handle_topic_nodes(
        &mut self,
        id: NodeId,
        answer: &TopicNodes,
        now: Now,
    ) -> Option<()> {
        let from = self.info_of(&id)?;
        let query = self.searches.queries.get_mut(&(id, answer.echo));
        let query = query.filter(|query| now.mono.saturating_sub(query.at) <= ANSWER_TIMEOUT);
        let Some(query) = query else {
            self.count_timeout(id, now);
            return None;
        };
        let topic = query.topic.clone();
        let room = MAX_FOUND - query.found.min(MAX_FOUND);
        let nodes = &answer.nodes[..answer.nodes.len().min(room)];
        query.found += nodes.len();
        if !std::mem::replace(&mut query.was_answered, true) {
            let (inside, target) = (if nodes.is_empty() { 0.0 } else { 1.0 }, query.target);
            if let Some(search) = self.searches.topics.get_mut(&topic) {
                search.radius.adjust(&id, &target, inside, now.mono);
                if let Some(asked) = search.asked.get_mut(&id) {
                    asked.empty = if nodes.is_empty() { asked.empty + 1 } else { 0 };
                }
            }
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.timeouts = 0;
        }
        for entry in nodes {
            let node = found(from.addr.ip(), &entry.endpoint.ip, entry.endpoint.udp);
            let (Some(addr), Ok(key)) = (node, entry.key.public_key()) else { continue };
            if key == self.own_info.key || entry.endpoint.tcp == 0 {
                continue;
            }
            let node = NodeInfo { key, addr, tcp: entry.endpoint.tcp };
            self.report(Event::Found { topic: topic.clone(), node, from });
        }
        Some(())
    }
}

/// Returns where a found node is. Who does not know its own address has that of the answerer.
fn found(answerer: IpAddr, ip: &[u8], port: u16) -> Option<SocketAddr> {
    let named = statuskit_core::discovery::Endpoint { ip: ip.to_vec(), udp: port, tcp: port };
    let ip = match named.ip_addr()? {
        ip if ip.is_unspecified() || ip.is_loopback() => answerer,
        _ => check_address(answerer, ip).ok()?,
    };
    (port != 0).then(|| SocketAddr::new(ip, port))
}

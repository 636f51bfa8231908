//! The registrar's side of topics: who is registered, and the tickets.
//!
//! A ticket is the signed pong itself. What is kept of it is a serial number per node: see
//! [`TopicTable::issue`] and [`TopicTable::register`].
//!
//! Source: go-ethereum 1.9 `p2p/discv5/topic.go`. The limits per subnet and of serials are ours.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        TopicName,
        topic::{MIN_WAIT, next_wait_from},
        v5::Ticket,
    },
};

use super::limit::Subnet;

/// The most registrations of a topic. One more displaces the oldest.
pub const MAX_PER_TOPIC: usize = 50;
/// The most registrations in all. One more displaces the oldest of the topic that was asked for longest
/// ago.
pub const MAX_REGISTRATIONS: usize = 10_000;
/// The most registrations of one subnet for a topic.
pub const SUBNET_PER_TOPIC: usize = 10;
/// The most nodes whose serials are kept.
const MAX_SERIALS: usize = 16_384;
/// How long a registration lives.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The mean time until a node may use its next ticket.
const MEAN_PAUSE: Duration = Duration::from_secs(600);
const MAX_EXPONENTIAL: f64 = 100.0;
/// When a ticket is accepted, in seconds after it became due.
const WINDOW: std::ops::RangeInclusive<i128> = -1..=11;
const COLLECT_INTERVAL: Duration = Duration::from_secs(60);

/// The topics of a registrar.
#[derive(Debug)]
pub struct TopicTable {
    min_wait: Duration,
    topics: HashMap<TopicName, Topic>,
    nodes: HashMap<NodeId, Serials>,
    /// Nodes in the order in which they first asked, to forget the oldest. May name forgotten ones.
    order: VecDeque<NodeId>,
    /// Topics by when they were asked for last.
    requested: BTreeMap<u64, TopicName>,
    requests: u64,
    count: usize,
    collected: Duration,
}

#[derive(Debug)]
struct Topic {
    /// The oldest first.
    registrations: VecDeque<Registration>,
    wait: Duration,
    /// When the last node registered.
    last: Duration,
    /// Its place in `requested`.
    request: u64,
}

#[derive(Debug)]
struct Registration {
    node: NodeId,
    subnet: Option<Subnet>,
    expires: Duration,
}

#[derive(Debug, Default)]
struct Serials {
    issued: u32,
    used: u32,
    /// Until when newer tickets are refused.
    paused_until: Duration,
    /// The topic it is registered for.
    topic: Option<TopicName>,
}

/// A new ticket, as a pong carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The number of the ticket.
    pub serial: u32,
    /// When it was issued, in seconds of the registrar's clock.
    pub issued: u64,
    /// How long to wait before registering, in seconds, for each topic.
    pub waits: Vec<u32>,
}

impl TopicTable {
    /// Makes an empty table. `min_wait` is the shortest waiting time, [`MIN_WAIT`] in practice.
    pub fn new(min_wait: Duration) -> Self {
        Self {
            min_wait,
            topics: HashMap::new(),
            nodes: HashMap::new(),
            order: VecDeque::new(),
            requested: BTreeMap::new(),
            requests: 0,
            count: 0,
            collected: Duration::ZERO,
        }
    }

    /// Issues a ticket for topics.
    pub fn issue(&mut self, node: NodeId, topics: &[TopicName], now: Duration) -> Issued {
        self.collect(now);
        let wait = |topic| self.topics.get(topic).map_or(self.min_wait, |topic| topic.wait);
        let waits = topics.iter().map(|topic| wait(topic).as_secs() as u32).collect();
        let serials = self.serials(node, now);
        serials.issued = serials.issued.wrapping_add(1);
        Issued { serial: serials.issued, issued: now.as_secs(), waits }
    }

    /// Registers a node for a topic with a ticket, or prolongs its registration. Returns whether it is
    /// registered.
    ///
    /// A node has one registration: that for another topic ends. `exponential` is a random number with
    /// the mean 1: how long its next tickets are refused.
    pub fn register(
        &mut self,
        node: NodeId,
        subnet: Option<Subnet>,
        ticket: &Ticket,
        topic: &TopicName,
        exponential: f64,
        now: Duration,
    ) -> bool {
        self.collect(now);
        let serials = self.serials(node, now);
        if ticket.serial < serials.used {
            return false;
        }
        if ticket.serial > serials.used {
            if now < serials.paused_until {
                return false;
            }
            // Even if the ticket is early: an early one costs the newer ones, too.
            serials.used = ticket.serial;
            serials.paused_until =
                now + MEAN_PAUSE.mul_f64(exponential.clamp(0.0, MAX_EXPONENTIAL));
        }
        let due = i128::from(ticket.issued) + i128::from(ticket.wait);
        if !WINDOW.contains(&(i128::from(now.as_secs()) - due)) {
            return false;
        }
        let serials = self.nodes.get(&node).and_then(|serials| serials.topic.as_ref());
        if serials == Some(topic) {
            let found = self.topics.get_mut(topic).and_then(|topic| {
                topic.registrations.iter_mut().find(|registration| registration.node == node)
            });
            if let Some(registration) = found {
                registration.expires = now + LIFETIME;
                return true;
            }
        }
        self.add(node, subnet, topic, now)
    }

    fn add(
        &mut self,
        node: NodeId,
        subnet: Option<Subnet>,
        name: &TopicName,
        now: Duration,
    ) -> bool {
        if let (Some(subnet), Some(topic)) = (subnet, self.topics.get(name)) {
            let same = topic.registrations.iter().filter(|it| it.subnet == Some(subnet));
            if same.count() >= SUBNET_PER_TOPIC {
                return false;
            }
        }
        self.remove(&node, now);
        if self.topics.get(name).is_some_and(|it| it.registrations.len() >= MAX_PER_TOPIC) {
            self.remove_oldest(name, now);
        }
        if self.count >= MAX_REGISTRATIONS
            && let Some(least) = self.requested.values().next().cloned()
        {
            self.remove_oldest(&least, now);
        }
        let min_wait = self.min_wait;
        let topic = match self.topics.get_mut(name) {
            Some(topic) => {
                topic.wait = next_wait_from(min_wait, topic.wait, now.saturating_sub(topic.last));
                topic
            }
            None => {
                self.requests += 1;
                self.requested.insert(self.requests, name.clone());
                self.topics.entry(name.clone()).or_insert(Topic {
                    registrations: VecDeque::new(),
                    wait: min_wait,
                    last: now,
                    request: self.requests,
                })
            }
        };
        topic.last = now;
        topic.registrations.push_back(Registration { node, subnet, expires: now + LIFETIME });
        self.count += 1;
        self.serials(node, now).topic = Some(name.clone());
        true
    }

    /// Returns the nodes that are registered for a topic.
    pub fn query(&mut self, name: &TopicName, now: Duration) -> Vec<NodeId> {
        self.collect(now);
        let Some(topic) = self.topics.get_mut(name) else { return Vec::new() };
        self.requests += 1;
        self.requested.remove(&topic.request);
        self.requested.insert(self.requests, name.clone());
        topic.request = self.requests;
        topic.registrations.iter().map(|registration| registration.node).collect()
    }

    /// Returns the nodes that are registered for a topic, without counting this as a request.
    pub fn registered(&self, name: &TopicName) -> impl Iterator<Item = NodeId> {
        let topic = self.topics.get(name).into_iter();
        topic.flat_map(|topic| topic.registrations.iter().map(|it| it.node))
    }

    /// Returns the topics with the number of their registrations.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, usize)> {
        self.topics.iter().map(|(name, topic)| (name, topic.registrations.len()))
    }

    /// Returns the waiting time of a topic. `None` if nothing is known of it.
    pub fn wait(&self, name: &TopicName) -> Option<Duration> {
        self.topics.get(name).map(|topic| topic.wait)
    }

    /// Returns whether a node is registered for something.
    pub fn has(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|serials| serials.topic.is_some())
    }

    /// Returns the number of registrations.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Removes the registration of a node.
    fn remove(&mut self, node: &NodeId, now: Duration) {
        let Some(name) = self.nodes.get_mut(node).and_then(|serials| serials.topic.take()) else {
            return;
        };
        let Some(topic) = self.topics.get_mut(&name) else { return };
        let before = topic.registrations.len();
        topic.registrations.retain(|registration| registration.node != *node);
        self.count -= before - topic.registrations.len();
        self.forget_if_idle(&name, now);
    }

    fn remove_oldest(&mut self, name: &TopicName, now: Duration) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        if let Some(registration) = topic.registrations.pop_front() {
            self.count -= 1;
            if let Some(serials) = self.nodes.get_mut(&registration.node) {
                serials.topic = None;
            }
        }
        self.forget_if_idle(name, now);
    }

    /// Forgets a topic without registrations whose waiting time is back at the least.
    fn forget_if_idle(&mut self, name: &TopicName, now: Duration) {
        let Some(topic) = self.topics.get(name) else { return };
        let wait = next_wait_from(self.min_wait, topic.wait, now.saturating_sub(topic.last));
        if topic.registrations.is_empty() && wait == self.min_wait {
            self.requested.remove(&topic.request);
            self.topics.remove(name);
        }
    }

    /// Removes what has expired, at most once a minute.
    fn collect(&mut self, now: Duration) {
        if now.saturating_sub(self.collected) < COLLECT_INTERVAL {
            return;
        }
        self.collected = now;
        let names: Vec<_> = self.topics.keys().cloned().collect();
        for name in names {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            let nodes = &mut self.nodes;
            let before = topic.registrations.len();
            topic.registrations.retain(|registration| {
                let lives = registration.expires > now;
                if !lives && let Some(serials) = nodes.get_mut(&registration.node) {
                    serials.topic = None;
                }
                lives
            });
            self.count -= before - topic.registrations.len();
            self.forget_if_idle(&name, now);
        }
    }

    fn serials(&mut self, node: NodeId, now: Duration) -> &mut Serials {
        if !self.nodes.contains_key(&node) {
            if self.nodes.len() >= MAX_SERIALS {
                self.forget_serials(now);
            }
            self.order.push_back(node);
        }
        self.nodes.entry(node).or_default()
    }

    /// Forgets the serials of the oldest node that is not registered and may use any ticket. If there
    /// is none among the oldest, of the very oldest that is not registered.
    fn forget_serials(&mut self, now: Duration) {
        for _ in 0..64 {
            let Some(oldest) = self.order.pop_front() else { return };
            match self.nodes.get(&oldest) {
                None => {}
                Some(it) if it.topic.is_some() || it.paused_until > now => {
                    self.order.push_back(oldest);
                }
                Some(_) => {
                    self.nodes.remove(&oldest);
                    return;
                }
            }
        }
        for _ in 0..self.order.len() {
            let Some(oldest) = self.order.pop_front() else { return };
            if self.nodes.get(&oldest).is_some_and(|it| it.topic.is_none()) {
                self.nodes.remove(&oldest);
                return;
            }
            self.order.push_back(oldest);
        }
    }
}

/// The table with the waiting time of the network.
impl Default for TopicTable {
    fn default() -> Self {
        Self::new(MIN_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u32) -> NodeId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn registers(table: &mut TopicTable, n: u32, subnet: Option<Subnet>, name: &str) -> bool {
        let (topics, now) = ([TopicName::from(name)], seconds(1000));
        let issued = table.issue(node(n), &topics, now);
        let wait = issued.waits[0];
        let ticket = Ticket { serial: issued.serial, issued: issued.issued, wait };
        table.register(node(n), subnet, &ticket, &topics[0], 0.5, now + seconds(wait.into()))
    }

    #[test]
    fn a_subnet_has_a_part_of_a_topic() {
        let mut table = TopicTable::default();
        let subnet = Subnet::from_ip("85.1.2.3".parse().unwrap());
        let registered = (0..100).filter(|n| registers(&mut table, *n, subnet, "whisper")).count();
        assert_eq!(registered, SUBNET_PER_TOPIC);
        assert!(registers(
            &mut table,
            100,
            Subnet::from_ip("85.1.3.3".parse().unwrap()),
            "whisper"
        ));
        assert!(registers(&mut table, 101, None, "whisper"));
        assert!(registers(&mut table, 102, subnet, "other"));
    }

    #[test]
    fn everything_stays_bounded() {
        let mut table = TopicTable::default();
        // Each of them asks; every third registers, each for another topic.
        for n in 0..3 * MAX_REGISTRATIONS as u32 {
            table.issue(node(n), &[TopicName::from("a")], seconds(1000));
            if n % 3 == 0 {
                registers(&mut table, n, None, &format!("topic {}", n % 5000));
            }
        }
        assert!(table.len() <= MAX_REGISTRATIONS);
        assert!(table.nodes.len() <= MAX_SERIALS);
        assert!(table.order.len() <= MAX_SERIALS + 1);
        assert_eq!(table.requested.len(), table.topics.len());
        let counted: usize = table.topics().map(|(_, count)| count).sum();
        assert_eq!(counted, table.len());
        // After an hour, nothing is left.
        table.query(&TopicName::from("a"), seconds(30_000));
        assert!(table.is_empty());
    }
}

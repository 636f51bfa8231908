//! The pool of peers: which found nodes are dialled, kept and given up, per topic.
//!
//! A state machine: what was found and which connections came and went in, [`Action`]s out. The pool
//! does not care who found a node: see [`Found`].
//!
//! Source: status-go 0.50 `peers/`. Where the reference stops to search for good after 3 minutes
//! without peers, this searches slowly. Limits per subnet are ours.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{Enode, Host},
    discovery::TopicName,
};

use super::limit::Subnet;

/// The period of searches while peers are missing, and when they are not.
pub const FAST: Duration = Duration::from_secs(3);
/// The period of searches while there are enough peers.
pub const SLOW: Duration = Duration::from_secs(30);
/// The fast search lasts at most so long.
const FAST_LIMIT: Duration = Duration::from_secs(30);
/// How long a found node stays usable.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How many cached peers are tried at the start.
const FROM_CACHE: usize = 5;
/// How long after the last change a search can stop.
const STOP_DELAY: Duration = Duration::from_secs(10);
/// How many found nodes of one subnet wait.
const SUBNET_PENDING: usize = 4;
/// The most nodes that wait if there is no maximum.
const MAX_PENDING: usize = 64;
/// How long a dialled node may take before the next one is tried.
const DIAL_LIMIT: Duration = Duration::from_secs(30);

/// A node that was found for a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The node. It is not proven that it is there.
    pub node: Enode,
    /// The topic.
    pub topic: TopicName,
    /// Who found it.
    pub source: Source,
}

/// How a node was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// By legacy discovery v5.
    V5,
    /// At a rendezvous point.
    Rendezvous,
    /// It was a peer before.
    Cache,
}

impl Source {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::Rendezvous => "rendezvous",
            Self::Cache => "cache",
        }
    }
}

/// How many peers are wanted, and when searching ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// A relay searches as long as it runs.
    Relay,
    /// A client searches until it has its peers.
    Client,
    /// A client on mobile data: one peer.
    Mobile,
    /// A mailserver is found, and keeps few peers itself.
    Mailserver,
}

impl Mode {
    /// Returns the least and the most peers of a topic.
    pub fn limits(self) -> (usize, usize) {
        match self {
            Self::Relay => (2, 5),
            Self::Client | Self::Mailserver => (2, 2),
            Self::Mobile => (1, 1),
        }
    }

    /// Returns whether a search ends when there are enough peers.
    pub fn may_stop(self) -> bool {
        matches!(self, Self::Client | Self::Mobile)
    }
}

/// What the owner of a pool has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Dial a node, again and again.
    Dial(Enode),
    /// Stop to dial it, and disconnect it.
    Drop(PublicKey),
    /// Search a topic, with this period.
    Search(TopicName, Duration),
    /// Stop to search it.
    StopSearch(TopicName),
    /// The cache has changed: write it.
    SaveCache,
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    own: PublicKey,
    may_stop: bool,
    topics: Vec<Topic>,
    actions: VecDeque<Action>,
    /// Peers that are connected for whatever reason: they are not dialled.
    connected: HashSet<PublicKey>,
}

#[derive(Debug)]
struct Topic {
    name: TopicName,
    min: usize,
    max: usize,
    /// Found nodes by key.
    pending: HashMap<PublicKey, Pending>,
    /// Nodes that wait, the last found first.
    queue: VecDeque<PublicKey>,
    connected: HashSet<PublicKey>,
    /// Peers that were too many: to be dialled only when some are missing.
    dismissed: HashSet<PublicKey>,
    /// Nodes that were peers, the last one first.
    cache: Vec<Enode>,
    period: Option<Duration>,
    fast_since: Duration,
    stop_at: Option<Duration>,
}

#[derive(Debug)]
struct Pending {
    node: Enode,
    found: Duration,
    dialled: Option<Duration>,
}

impl Pool {
    /// Makes a pool without topics.
    pub fn new(own: PublicKey, mode: Mode) -> Self {
        Self {
            own,
            may_stop: mode.may_stop(),
            topics: Vec::new(),
            actions: VecDeque::new(),
            connected: HashSet::new(),
        }
    }

    /// Adds a topic with the peers that are in its cache, and begins to search it.
    pub fn add_topic(
        &mut self,
        name: TopicName,
        (min, max): (usize, usize),
        cache: Vec<Enode>,
        now: Duration,
    ) {
        let tried: Vec<_> = cache.iter().take(FROM_CACHE).cloned().collect();
        let topic = Topic {
            name: name.clone(),
            min,
            max: max.max(min),
            pending: HashMap::new(),
            queue: VecDeque::new(),
            connected: HashSet::new(),
            dismissed: HashSet::new(),
            cache,
            period: None,
            fast_since: now,
            stop_at: None,
        };
        self.topics.push(topic);
        self.search(self.topics.len() - 1, FAST, now);
        for node in tried {
            self.found(Found { node, topic: name.clone(), source: Source::Cache }, now);
        }
    }

    /// Takes a node that was found.
    pub fn found(&mut self, found: Found, now: Duration) {
        let id = found.node.id;
        if id == self.own || found.node.tcp == 0 {
            return;
        }
        let is_connected = self.connected.contains(&id);
        let Some(topic) = self.topics.iter_mut().find(|it| it.name == found.topic) else { return };
        if let Some(pending) = topic.pending.get_mut(&id) {
            pending.found = now;
            // It may have moved.
            if pending.dialled.is_none() {
                pending.node = found.node;
            }
        } else if !is_connected && topic.has_room_for(&found.node) {
            topic.make_room(now);
            topic.pending.insert(id, Pending { node: found.node, found: now, dialled: None });
            topic.queue.push_front(id);
        }
        self.dial_missing(now);
    }

    /// Notes that a connection was made.
    pub fn connected(&mut self, id: PublicKey, now: Duration) {
        self.connected.insert(id);
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[index];
            // Others belong to other topics, or have dialled us.
            let Some(pending) = topic.pending.get(&id).filter(|it| it.dialled.is_some()) else {
                continue;
            };
            let node = pending.node.clone();
            if topic.connected.len() >= topic.max {
                topic.dismissed.insert(id);
                self.actions.push_back(Action::Drop(id));
                continue;
            }
            topic.connected.insert(id);
            topic.cache.retain(|it| it.id != id);
            topic.cache.insert(0, node);
            topic.cache.truncate(2 * topic.max);
            topic.stop_at = (topic.connected.len() >= topic.max).then_some(now + STOP_DELAY);
            self.actions.push_back(Action::SaveCache);
            self.update_period(index, now);
        }
    }

    /// Notes that a connection has ended.
    pub fn disconnected(&mut self, id: PublicKey, now: Duration) {
        self.connected.remove(&id);
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[index];
            if topic.dismissed.remove(&id) {
                if let Some(pending) = topic.pending.get_mut(&id) {
                    pending.dialled = None;
                    topic.queue.push_back(id);
                }
                continue;
            }
            if !topic.connected.remove(&id) {
                continue;
            }
            topic.pending.remove(&id);
            topic.cache.retain(|it| it.id != id);
            topic.stop_at = None;
            self.actions.push_back(Action::Drop(id));
            self.actions.push_back(Action::SaveCache);
            self.update_period(index, now);
        }
        self.dial_missing(now);
    }

    /// Notes that a node was dialled in vain. It is given up for another one, if there is one.
    pub fn failed(&mut self, id: PublicKey, now: Duration) {
        for topic in &mut self.topics {
            let is_dialled = topic.pending.get(&id).is_some_and(|it| it.dialled.is_some());
            if is_dialled && !topic.connected.contains(&id) {
                topic.pending.remove(&id);
                topic.cache.retain(|it| it.id != id);
                self.actions.push_back(Action::Drop(id));
            }
        }
        self.dial_missing(now);
    }

    /// Returns when [`handle_timeouts`](Self::handle_timeouts) is to be called.
    pub fn next_timeout(&self) -> Option<Duration> {
        let of = |topic: &Topic| {
            let fast = (topic.period == Some(FAST)).then_some(topic.fast_since + FAST_LIMIT);
            let dialled = topic.pending.iter().filter(|(id, _)| !topic.connected.contains(*id));
            let dialled = dialled.filter_map(|(_, it)| it.dialled).min().map(|at| at + DIAL_LIMIT);
            let stop = topic.stop_at.filter(|_| self.may_stop && topic.period.is_some());
            [fast, dialled, stop].into_iter().flatten().min()
        };
        self.topics.iter().filter_map(of).min()
    }

    /// Does what is due.
    pub fn handle_timeouts(&mut self, now: Duration) {
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[index];
            let late: Vec<_> = topic
                .pending
                .iter()
                .filter(|(id, it)| {
                    let is_late = it.dialled.is_some_and(|at| at + DIAL_LIMIT <= now);
                    is_late && !topic.connected.contains(*id)
                })
                .map(|(id, _)| *id)
                .collect();
            for id in late {
                topic.pending.remove(&id);
                self.actions.push_back(Action::Drop(id));
            }
            let topic = &mut self.topics[index];
            if topic.period == Some(FAST) && topic.fast_since + FAST_LIMIT <= now {
                self.search(index, SLOW, now);
            }
            let topic = &mut self.topics[index];
            if self.may_stop && topic.stop_at.is_some_and(|at| at <= now) {
                topic.stop_at = None;
                if topic.period.take().is_some() {
                    self.actions.push_back(Action::StopSearch(topic.name.clone()));
                }
            }
        }
        self.dial_missing(now);
    }

    /// Returns the next action.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns the peers of a topic.
    pub fn peers(&self, name: &TopicName) -> usize {
        self.topics.iter().find(|it| it.name == *name).map_or(0, |topic| topic.connected.len())
    }

    /// Returns what belongs into the cache.
    pub fn cache(&self) -> impl Iterator<Item = (&TopicName, &Enode)> {
        self.topics.iter().flat_map(|topic| topic.cache.iter().map(|node| (&topic.name, node)))
    }

    /// Dials as many nodes as peers are missing.
    fn dial_missing(&mut self, now: Duration) {
        for topic in &mut self.topics {
            let dialled = topic.pending.values().filter(|it| it.dialled.is_some()).count();
            let mut missing = topic.max.saturating_sub(dialled);
            while missing > 0 {
                let Some(id) = topic.queue.pop_front() else { break };
                let Some(pending) = topic.pending.get_mut(&id) else { continue };
                if pending.found + LIFETIME < now || self.connected.contains(&id) {
                    topic.pending.remove(&id);
                    continue;
                }
                pending.dialled = Some(now);
                self.actions.push_back(Action::Dial(pending.node.clone()));
                missing -= 1;
            }
        }
    }

    fn update_period(&mut self, index: usize, now: Duration) {
        let topic = &self.topics[index];
        let period = if topic.connected.len() < topic.min { FAST } else { SLOW };
        if topic.period != Some(period) {
            self.search(index, period, now);
        }
    }

    fn search(&mut self, index: usize, period: Duration, now: Duration) {
        let topic = &mut self.topics[index];
        if period == FAST {
            topic.fast_since = now;
        }
        topic.period = Some(period);
        self.actions.push_back(Action::Search(topic.name.clone(), period));
    }
}

impl Topic {
    /// Returns whether a node's subnet has a place left.
    fn has_room_for(&self, node: &Enode) -> bool {
        let subnet = |node: &Enode| match node.host {
            Host::Ip(ip) => Subnet::from_ip(ip),
            Host::Name(_) => None,
        };
        let Some(wanted) = subnet(node) else { return true };
        let same = self.pending.values().filter(|it| subnet(&it.node) == Some(wanted));
        same.count() < SUBNET_PENDING
    }

    /// Forgets the oldest node that waits if there are too many.
    fn make_room(&mut self, now: Duration) {
        let most = if self.max == 0 { MAX_PENDING } else { (2 * self.max).min(MAX_PENDING) };
        self.queue.retain(|id| self.pending.contains_key(id));
        while self.pending.len() >= most.max(2) {
            let Some(oldest) = self.queue.pop_back() else { return };
            self.pending.remove(&oldest);
        }
        debug_assert!(self.fast_since <= now);
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::{SecretKey, seeded_rng};

    use super::*;

    const WHISPER: &str = "whisper";

    fn node(n: u8) -> Enode {
        let key = SecretKey::generate(&mut seeded_rng(&n.to_string()));
        Enode::new(key.public_key(), [85, n, 1, 1].into(), 30303)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn pool(mode: Mode, cache: Vec<Enode>) -> Pool {
        let mut pool = Pool::new(node(0).id, mode);
        pool.add_topic(WHISPER.into(), mode.limits(), cache, seconds(1));
        pool
    }

    fn actions(pool: &mut Pool) -> Vec<Action> {
        std::iter::from_fn(|| pool.poll_action()).collect()
    }

    fn find(pool: &mut Pool, n: u8, now: u64) {
        let found = Found { node: node(n), topic: WHISPER.into(), source: Source::V5 };
        pool.found(found, seconds(now));
    }

    #[test]
    fn as_many_are_dialled_as_are_missing_and_the_rest_waits() {
        let mut pool = pool(Mode::Client, Vec::new());
        assert_eq!(actions(&mut pool), [Action::Search(WHISPER.into(), FAST)]);
        find(&mut pool, 0, 2);
        assert_eq!(actions(&mut pool), [], "the own node");
        for n in 1..=4 {
            find(&mut pool, n, 2);
        }
        assert_eq!(actions(&mut pool), [Action::Dial(node(1)), Action::Dial(node(2))]);
        pool.connected(node(1).id, seconds(3));
        pool.connected(node(2).id, seconds(3));
        assert_eq!(
            actions(&mut pool),
            [Action::SaveCache, Action::SaveCache, Action::Search(WHISPER.into(), SLOW)]
        );
        assert_eq!(pool.next_timeout(), Some(seconds(13)));
        pool.handle_timeouts(seconds(13));
        assert_eq!(actions(&mut pool), [Action::StopSearch(WHISPER.into())]);
        // A lost peer has a successor at once, and is looked for.
        pool.disconnected(node(1).id, seconds(20));
        let expected = [
            Action::Drop(node(1).id),
            Action::SaveCache,
            Action::Search(WHISPER.into(), FAST),
            Action::Dial(node(4)),
        ];
        assert_eq!(actions(&mut pool), expected);
        let cached: Vec<_> = pool.cache().map(|(_, node)| node.clone()).collect();
        assert_eq!(cached, [node(2)]);
    }

    #[test]
    fn who_does_not_answer_makes_room() {
        let mut pool = pool(Mode::Mobile, Vec::new());
        for n in 1..=2 {
            find(&mut pool, n, 2);
        }
        actions(&mut pool);
        pool.failed(node(1).id, seconds(3));
        assert_eq!(actions(&mut pool), [Action::Drop(node(1).id), Action::Dial(node(2))]);
        pool.handle_timeouts(seconds(33));
        let expected = [Action::Drop(node(2).id), Action::Search(WHISPER.into(), SLOW)];
        assert_eq!(actions(&mut pool), expected);
        // After an hour in the queue, a node is useless.
        find(&mut pool, 3, 40);
        find(&mut pool, 4, 40);
        actions(&mut pool);
        pool.failed(node(3).id, seconds(40 + 3601));
        assert_eq!(actions(&mut pool), [Action::Drop(node(3).id)]);
    }

    #[test]
    fn the_cache_is_tried_first_and_subnets_have_a_part() {
        let mut cached = pool(Mode::Relay, vec![node(1), node(2)]);
        let dialled = actions(&mut cached);
        assert!(dialled.contains(&Action::Dial(node(1))), "{dialled:?}");
        let mut pool = pool(Mode::Relay, Vec::new());
        for n in 1..=10 {
            let mut node = node(n);
            node.host = Host::Ip([85, 1, 1, n].into());
            pool.found(Found { node, topic: WHISPER.into(), source: Source::V5 }, seconds(2));
        }
        let dialled = actions(&mut pool);
        let count = dialled.iter().filter(|it| matches!(it, Action::Dial(_))).count();
        assert_eq!(count, SUBNET_PENDING);
    }

    #[test]
    fn inbound_peers_are_no_peers_of_a_topic() {
        let mut pool = pool(Mode::Client, Vec::new());
        actions(&mut pool);
        pool.connected(node(1).id, seconds(2));
        find(&mut pool, 1, 3);
        assert_eq!(actions(&mut pool), []);
        assert_eq!(pool.peers(&WHISPER.into()), 0);
    }
}

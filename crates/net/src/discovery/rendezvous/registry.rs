//! The records of a server, by topic.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use rand::Rng;
use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        Record, TopicName, UnverifiedRecord,
        rendezvous::{GRACE, MAX_RECORDS, MAX_TTL, Status, topic_is_valid},
    },
};

use crate::node::source::source;

/// How much a server keeps.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegistryLimits {
    /// The most records.
    pub records: usize,
    /// The most records from one address (of IPv6: a /64).
    pub records_per_source: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { records: 10_000, records_per_source: 256 }
    }
}

/// Records by topic. A node has one record per topic; a newer one replaces it.
#[derive(Debug, Default)]
pub struct Registry {
    limits: RegistryLimits,
    topics: HashMap<TopicName, Topic>,
    /// When each record expires.
    expiries: BTreeSet<(Instant, TopicName, NodeId)>,
    by_source: HashMap<IpAddr, usize>,
}

#[derive(Debug, Default)]
struct Topic {
    /// In no order, for random choice.
    nodes: Vec<NodeId>,
    kept: HashMap<NodeId, Kept>,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    expires: Instant,
    source: IpAddr,
    /// Where the node is in `nodes`.
    index: usize,
}

impl Registry {
    /// Starts without records.
    pub fn new(limits: RegistryLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Keeps a record for `ttl` and a little longer. Returns how the server answers.
    pub fn register(
        &mut self,
        topic: &TopicName,
        record: UnverifiedRecord,
        ttl: Duration,
        from: IpAddr,
        now: Instant,
    ) -> Status {
        // The costly check comes last.
        if !topic_is_valid(topic) {
            return Status::BadTopic;
        }
        if ttl > MAX_TTL {
            return Status::BadTtl;
        }
        let Ok(record) = record.verify() else { return Status::BadRecord };
        self.purge(now);
        let node = record.node_id();
        let source = source(from);
        let old = self.topics.get(topic).and_then(|topic| topic.kept.get(&node));
        let old_source = old.map(|kept| kept.source);
        let own = self.by_source.get(&source).copied().unwrap_or(0);
        let more_of_source = old_source != Some(source);
        if more_of_source && own >= self.limits.records_per_source
            || old_source.is_none() && self.len() >= self.limits.records
        {
            return Status::Internal;
        }
        self.remove(topic, &node);
        let expires = now + ttl + GRACE;
        let kept = self.topics.entry(topic.clone()).or_default();
        let index = kept.nodes.len();
        kept.nodes.push(node);
        kept.kept.insert(node, Kept { record, expires, source, index });
        self.expiries.insert((expires, topic.clone(), node));
        *self.by_source.entry(source).or_default() += 1;
        Status::Ok
    }

    /// Returns random records of a topic: at most `limit`, and at most [`MAX_RECORDS`].
    pub fn discover<R: Rng + ?Sized>(
        &mut self,
        topic: &TopicName,
        limit: u64,
        now: Instant,
        rng: &mut R,
    ) -> Vec<&Record> {
        self.purge(now);
        let Some(topic) = self.topics.get(topic) else { return Vec::new() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let amount = limit.min(MAX_RECORDS).min(topic.nodes.len());
        rand::seq::index::sample(rng, topic.nodes.len(), amount)
            .into_iter()
            .filter_map(|index| topic.kept.get(&topic.nodes[index]))
            .map(|kept| &kept.record)
            .collect()
    }

    /// Forgets what has expired.
    pub fn purge(&mut self, now: Instant) {
        while let Some((expires, _, _)) = self.expiries.first()
            && *expires <= now
            && let Some((_, topic, node)) = self.expiries.pop_first()
        {
            self.remove(&topic, &node);
        }
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Returns whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.expiries.is_empty()
    }

    fn remove(&mut self, name: &TopicName, node: &NodeId) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(kept) = topic.kept.remove(node) else { return };
        topic.nodes.swap_remove(kept.index);
        if let Some(moved) = topic.nodes.get(kept.index)
            && let Some(moved) = topic.kept.get_mut(moved)
        {
            moved.index = kept.index;
        }
        if topic.nodes.is_empty() {
            self.topics.remove(name);
        }
        self.expiries.remove(&(kept.expires, name.clone(), *node));
        if let Some(count) = self.by_source.get_mut(&kept.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&kept.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statuskit_core::{
        crypto::{SecretKey, seeded_rng},
        discovery::RecordBuilder,
    };

    use super::*;

    fn record(node: u8, seq: u64) -> Record {
        RecordBuilder::new(seq).sign(&SecretKey::from_bytes(&[node; 32]).unwrap()).unwrap()
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a list of all that was registered.
        #[test]
        fn keeps_the_last_record_of_each_node_until_it_expires(
            steps in prop::collection::vec((0u8..3, 1u8..6, 0u64..21, 0u64..8), 1..60),
        ) {
            let mut registry = Registry::default();
            let mut rng = seeded_rng("model");
            let mut model: HashMap<(u8, u8), (u64, Instant)> = HashMap::new();
            let mut now = Instant::now();
            for (seq, (topic, node, ttl, wait)) in steps.into_iter().enumerate() {
                now += seconds(wait);
                let name = TopicName(vec![topic]);
                let signed = record(node, seq as u64).to_unverified();
                let status = registry.register(&name, signed, seconds(ttl), ip(node), now);
                prop_assert_eq!(status, Status::Ok);
                model.insert((topic, node), (seq as u64, now + seconds(ttl) + GRACE));
                model.retain(|_, (_, expires)| *expires > now);
                prop_assert_eq!(registry.len(), model.len());
                for topic in 0..3 {
                    let name = TopicName(vec![topic]);
                    let found = registry.discover(&name, u64::MAX, now, &mut rng);
                    let mut found: Vec<_> = found.iter().map(|it| (it.node_id(), it.seq())).collect();
                    let expected = model.iter().filter(|((it, _), _)| *it == topic);
                    let mut expected: Vec<_> = expected
                        .map(|((_, node), (seq, _))| (record(*node, 0).node_id(), *seq))
                        .collect();
                    found.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
            registry.purge(now + seconds(30));
            prop_assert!(registry.is_empty() && registry.topics.is_empty());
            prop_assert!(registry.by_source.is_empty());
        }
    }

    #[test]
    fn ten_at_random() {
        let mut registry = Registry::default();
        let mut rng = seeded_rng("ten");
        let now = Instant::now();
        let topic = TopicName::from("whisper");
        for node in 1..=40 {
            let status =
                registry.register(&topic, record(node, 0).to_unverified(), MAX_TTL, ip(node), now);
            assert_eq!(status, Status::Ok);
        }
        assert_eq!(registry.discover(&topic, 3, now, &mut rng).len(), 3);
        assert_eq!(registry.discover(&topic, 0, now, &mut rng).len(), 0);
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let found = registry.discover(&topic, 100, now, &mut rng);
            let ids: BTreeSet<_> = found.iter().map(|record| record.node_id()).collect();
            assert_eq!((found.len(), ids.len()), (10, 10), "none twice");
            seen.extend(ids);
        }
        assert_eq!(seen.len(), 40, "each has its chance");
        assert!(registry.discover(&TopicName::from("other"), 10, now, &mut rng).is_empty());
    }

    #[test]
    fn room_is_bounded_in_all_and_per_address() {
        let limits = RegistryLimits { records: 5, records_per_source: 3 };
        let mut registry = Registry::new(limits);
        let now = Instant::now();
        let topic = TopicName::from("whisper");
        let mut register = |node, from, now| {
            registry.register(&topic, record(node, 0).to_unverified(), MAX_TTL, ip(from), now)
        };
        for node in 1..=3 {
            assert_eq!(register(node, 1, now), Status::Ok);
        }
        assert_eq!(register(4, 1, now), Status::Internal);
        assert_eq!(register(3, 1, now), Status::Ok, "who is there can stay");
        assert_eq!(register(4, 2, now), Status::Ok);
        assert_eq!(register(5, 3, now), Status::Ok);
        assert_eq!(register(6, 4, now), Status::Internal);
        assert_eq!(register(5, 4, now), Status::Ok, "a node that moved");
        assert_eq!(register(6, 4, now + MAX_TTL + GRACE), Status::Ok);
        assert_eq!(registry.len(), 1);
    }
}

//! How much an archive has of each topic and day, in memory: so the topics that a bloom filter
//! matches are found in microseconds.

use std::collections::{BTreeMap, HashMap};

use statuskit_core::envelope::{Bloom, Topic};

use crate::archive::{
    Query, Select,
    embedded::layout::{Entry, Tally},
};

/// Envelopes per topic and per day.
#[derive(Debug, Default)]
pub(super) struct Directory {
    topics: HashMap<Topic, OfTopic>,
    /// Topics by the last bit that each sets in a bloom filter. A filter is only tried on the
    /// topics of its own bits.
    by_bit: Vec<Vec<Topic>>,
    days: BTreeMap<u32, Tally>,
    total: Tally,
}

/// What is known of a topic.
#[derive(Debug)]
struct OfTopic {
    envelopes: u64,
    /// Its place in `by_bit`.
    at: usize,
}

/// What a query is expected to find.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    /// Envelopes of any topic in its range of time.
    pub(super) range: u64,
    /// Envelopes of the whole archive.
    pub(super) total: u64,
}

impl Directory {
    pub(super) fn add(&mut self, day: u32, topic: Topic, tally: Tally) {
        if tally.envelopes == 0 {
            return;
        }
        let of_topic = self.topics.entry(topic).or_insert_with(|| {
            self.by_bit.resize_with(512, Vec::new);
            let others = &mut self.by_bit[bit_of(topic)];
            others.push(topic);
            OfTopic { envelopes: 0, at: others.len() - 1 }
        });
        of_topic.envelopes += tally.envelopes;
        self.days.entry(day).or_default().add(tally);
        self.total.add(tally);
    }

    pub(super) fn remove(&mut self, day: u32, topic: Topic, tally: Tally) {
        if let Some(of_topic) = self.topics.get_mut(&topic) {
            of_topic.envelopes = of_topic.envelopes.saturating_sub(tally.envelopes);
            if of_topic.envelopes == 0 {
                let at = of_topic.at;
                self.topics.remove(&topic);
                let others = &mut self.by_bit[bit_of(topic)];
                others.swap_remove(at);
                // The last one is in its place now.
                if let Some(moved) = others.get(at).and_then(|topic| self.topics.get_mut(topic)) {
                    moved.at = at;
                }
            }
        }
        if let Some(sum) = self.days.get_mut(&day) {
            sum.remove(tally);
            if sum.envelopes == 0 {
                self.days.remove(&day);
            }
        }
        self.total.remove(tally);
    }

    pub(super) fn add_entry(&mut self, entry: &Entry) {
        self.add(entry.day(), entry.topic(), Tally::one(entry.len));
    }

    pub(super) fn remove_entry(&mut self, entry: &Entry) {
        self.remove(entry.day(), entry.topic(), Tally::one(entry.len));
    }

    pub(super) fn total(&self) -> Tally {
        self.total
    }

    pub(super) fn topics(&self) -> u64 {
        self.topics.len() as u64
    }

    /// Counts the envelopes of the days of a query, and of the archive.
    pub(super) fn estimate(&self, query: &Query) -> Estimate {
        let days = self.days.range(query.from.day()..=query.to.day());
        Estimate {
            range: days.map(|(_, tally)| tally.envelopes).sum(),
            total: self.total.envelopes,
        }
    }

    /// Calls `found` with each selected topic and the number of its envelopes, until it returns
    /// false. Returns whether all were found.
    pub(super) fn select(
        &self,
        select: &Select,
        mut found: impl FnMut(Topic, u64) -> bool,
    ) -> bool {
        match select {
            Select::Topics(topics) if topics.len() < self.topics.len() => topics
                .iter()
                .filter_map(|topic| Some((*topic, self.topics.get(topic)?.envelopes)))
                .all(|(topic, count)| found(topic, count)),
            Select::Topics(topics) => self
                .topics
                .iter()
                .filter(|(topic, _)| topics.contains(topic))
                .all(|(topic, of_topic)| found(*topic, of_topic.envelopes)),
            Select::Bloom(bloom) => bloom
                .set_bits()
                .filter_map(|bit| self.by_bit.get(usize::from(bit)))
                .flatten()
                .filter(|topic| bloom.matches(**topic))
                .all(|topic| found(*topic, self.topics.get(topic).map_or(0, |it| it.envelopes))),
        }
    }
}

/// Returns the greatest bit that a topic sets in a bloom filter. A filter without it does not
/// match.
fn bit_of(topic: Topic) -> usize {
    Bloom::from_topic(topic).set_bits().last().map_or(0, usize::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_filter_finds_what_it_matches(
            topics in prop::collection::btree_set(any::<[u8; 4]>(), 0..200),
            wanted in prop::collection::vec(any::<[u8; 4]>(), 0..20),
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let topics: Vec<Topic> = topics.into_iter().map(Topic).collect();
            let mut directory = Directory::default();
            for topic in &topics {
                directory.add(7, *topic, Tally { envelopes: 2, bytes: 10 });
            }
            let mut wanted: Vec<Topic> = wanted.into_iter().map(Topic).collect();
            if !topics.is_empty() {
                wanted.extend(picked.iter().map(|index| *index.get(&topics)));
            }
            for select in [
                Select::Bloom(Bloom::from_topics(wanted.iter().copied())),
                Select::Topics(wanted.iter().copied().collect()),
            ] {
                let mut found = BTreeSet::new();
                let all = directory.select(&select, |topic, count| {
                    assert_eq!(count, 2);
                    assert!(found.insert(topic), "found twice");
                    true
                });
                prop_assert!(all);
                let expected: BTreeSet<Topic> =
                    topics.iter().copied().filter(|topic| select.matches(*topic)).collect();
                prop_assert_eq!(found, expected);
            }
            // In another order than they came, and some halfway come again.
            let (first, second): (Vec<Topic>, Vec<Topic>) =
                topics.iter().copied().partition(|topic| topic.0[1] % 2 == 0);
            let tally = Tally { envelopes: 2, bytes: 10 };
            for topic in &first {
                directory.remove(7, *topic, tally);
            }
            for topic in &first {
                directory.add(7, *topic, tally);
            }
            let mut found = BTreeSet::new();
            directory.select(&Select::Bloom(Bloom::FULL), |topic, _| found.insert(topic));
            prop_assert_eq!(found, topics.iter().copied().collect());
            for topic in second.iter().chain(&first) {
                directory.remove(7, *topic, tally);
            }
            prop_assert_eq!(directory.topics(), 0);
            prop_assert_eq!(directory.total(), Tally::default());
            prop_assert!(directory.select(&Select::Bloom(Bloom::FULL), |_, _| false));
        }
    }
}

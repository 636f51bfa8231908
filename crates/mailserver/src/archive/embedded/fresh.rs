//! Entries that are not merged into the index yet: sorted layers in memory, shared with readers.

use std::sync::Arc;

use statuskit_core::{envelope::Topic, time::UnixSeconds};

use crate::archive::embedded::layout::{Entry, TimeKey, topic_key};

/// Sorted, immutable entries.
#[derive(Debug, Default)]
pub(super) struct Layer {
    entries: Vec<Entry>,
    oldest: Option<UnixSeconds>,
    /// Where each range of topics with the same first bits begins, and where the last one ends. So
    /// a topic is found without jumps all over the entries.
    starts: Vec<u32>,
    bits: u32,
}

impl Layer {
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let oldest = entries.iter().map(Entry::sent).min();
        Self::from_sorted(entries, oldest)
    }

    fn from_sorted(entries: Vec<Entry>, oldest: Option<UnixSeconds>) -> Self {
        // About eight entries per range, since topics are as random as hashes.
        let bits = (entries.len() / 8).checked_ilog2().unwrap_or(0).min(16);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (at, entry) in entries.iter().enumerate() {
            starts.resize(starts.len().max(range_of(entry.topic(), bits) + 1), at as u32);
        }
        starts.resize((1 << bits) + 1, entries.len() as u32);
        Self { entries, oldest, starts, bits }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether it has anything sent before this second.
    pub(super) fn reaches_before(&self, second: UnixSeconds) -> bool {
        self.oldest.is_some_and(|oldest| oldest < second)
    }

    /// Returns the entries of a topic between two keys of `time`, both inclusive.
    pub(super) fn slice(&self, topic: Topic, from: &TimeKey, to: &TimeKey) -> &[Entry] {
        let range = range_of(topic, self.bits);
        let ends = self.starts.get(range).zip(self.starts.get(range + 1));
        let Some((start, end)) = ends else { return &[] };
        let entries = &self.entries[*start as usize..*end as usize];
        let (from, to) = (topic_key(topic, from), topic_key(topic, to));
        let rest = &entries[entries.partition_point(|entry| entry.key < from)..];
        &rest[..rest.partition_point(|entry| entry.key <= to)]
    }

    /// Merges several layers into one.
    pub(super) fn merged(layers: &[Arc<Self>]) -> Self {
        let mut entries = Vec::with_capacity(layers.iter().map(|layer| layer.entries.len()).sum());
        for layer in layers {
            entries.extend_from_slice(&layer.entries);
        }
        // A stable sort merges sorted runs.
        entries.sort();
        let oldest = layers.iter().filter_map(|layer| layer.oldest).min();
        Self::from_sorted(entries, oldest)
    }
}

/// Returns the number that the first bits of a topic make.
fn range_of(Topic(topic): Topic, bits: u32) -> usize {
    u32::from_be_bytes(topic).checked_shr(32 - bits).unwrap_or(0) as usize
}

/// Returns how many of the last layers to join so that few remain: each keeps at least twice the
/// length of the next.
pub(super) fn to_join(layers: &[Arc<Layer>]) -> usize {
    let mut joined = 0;
    let mut count = 0;
    for layer in layers.iter().rev() {
        let len = layer.entries.len();
        if count > 0 && len >= 2 * joined {
            break;
        }
        joined += len;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use statuskit_core::envelope::EnvelopeHash;
    use statuskit_core::mailserver::Position;

    fn entry(n: u32) -> Entry {
        Entry::new(
            Topic([0, 0, 0, (n % 3) as u8]),
            Position { sent: UnixSeconds(n), hash: EnvelopeHash([n as u8; 32]) },
            1,
        )
    }

    #[test]
    fn single_entries_end_in_few_layers() {
        let mut layers: Vec<Arc<Layer>> = Vec::new();
        for n in 0..1000 {
            layers.push(Arc::new(Layer::new(vec![entry(n)])));
            let join = to_join(&layers);
            let joined = Layer::merged(&layers[layers.len() - join..]);
            layers.truncate(layers.len() - join);
            layers.push(Arc::new(joined));
            assert!(layers.len() <= 10, "{} layers", layers.len());
        }
        let all = Layer::merged(&layers);
        assert_eq!(all.entries().len(), 1000);
        assert!(all.entries().is_sorted());
        assert!(all.reaches_before(UnixSeconds(1)) && !all.reaches_before(UnixSeconds::EPOCH));
    }

    #[test]
    fn a_slice_is_one_topic_within_its_ends() {
        let layer = Layer::new((0..90).map(entry).collect());
        let key = |n| entry(n).time_key();
        let slice = layer.slice(Topic([0, 0, 0, 1]), &key(4), &key(10));
        assert_eq!(slice.iter().map(|it| it.sent().0).collect::<Vec<_>>(), [4, 7, 10]);
        assert!(layer.slice(Topic([9; 4]), &key(4), &key(10)).is_empty());
        assert!(Layer::default().slice(Topic([0; 4]), &key(4), &key(10)).is_empty());
    }

    #[test]
    fn every_topic_is_found() {
        for topics in [1_u32, 2, 15, 16, 17, 100, 1000] {
            let topic = |n: u32| Topic(n.wrapping_mul(0x9e37_79b9).to_be_bytes());
            let position = |n| Position { sent: n, hash: EnvelopeHash([0; 32]) };
            let entries =
                (0..topics).map(|n| Entry::new(topic(n), position(UnixSeconds(n)), 1)).collect();
            let layer = Layer::new(entries);
            for n in 0..topics {
                let slice = layer.slice(topic(n), &[0; 36], &[0xff; 36]);
                assert_eq!(slice.iter().map(|it| it.sent().0).collect::<Vec<_>>(), [n]);
            }
            assert!(layer.slice(Topic([0xff; 4]), &[0; 36], &[0xff; 36]).is_empty());
        }
    }
}

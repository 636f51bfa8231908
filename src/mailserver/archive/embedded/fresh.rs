//! Entries of the index that have not been merged into the tree `topics` yet: sorted layers in
//! memory, shared with those who read.

use std::sync::Arc;

use super::layout::{Entry, TimeKey, topic_key};
use crate::whisper::Topic;

/// Sorted entries, never changed.
#[derive(Debug, Default)]
pub struct Layer {
    entries: Vec<Entry>,
    oldest: Option<u32>,
}

impl Layer {
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let oldest = entries.iter().map(Entry::sent).min();
        Self { entries, oldest }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether anything in it was sent before this second.
    pub fn reaches_before(&self, second: u32) -> bool {
        self.oldest.is_some_and(|oldest| oldest < second)
    }

    /// The entries of a topic from one key of time to another, both inclusive.
    pub fn slice(&self, topic: Topic, from: &TimeKey, to: &TimeKey) -> &[Entry] {
        let (from, to) = (topic_key(topic, from), topic_key(topic, to));
        let start = self.entries.partition_point(|entry| entry.key < from);
        let rest = &self.entries[start..];
        &rest[..rest.partition_point(|entry| entry.key <= to)]
    }

    /// The entries of several layers in one.
    pub fn merged(layers: &[Arc<Self>]) -> Self {
        let mut entries = Vec::with_capacity(layers.iter().map(|layer| layer.entries.len()).sum());
        for layer in layers {
            entries.extend_from_slice(&layer.entries);
        }
        // A stable sort merges runs that are sorted already.
        entries.sort();
        let oldest = layers.iter().filter_map(|layer| layer.oldest).min();
        Self { entries, oldest }
    }
}

/// How many of the last of these layers are to become one, so that few remain: each keeps at
/// least twice the length of the next.
pub fn to_join(layers: &[Arc<Layer>]) -> usize {
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
    use crate::{mailserver::archive::Position, whisper::EnvelopeHash};

    fn entry(n: u32) -> Entry {
        Entry::new(
            Topic([0, 0, 0, (n % 3) as u8]),
            Position { sent: n, hash: EnvelopeHash([n as u8; 32]) },
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
        assert!(all.reaches_before(1) && !all.reaches_before(0));
    }

    #[test]
    fn a_slice_is_one_topic_within_its_ends() {
        let layer = Layer::new((0..90).map(entry).collect());
        let key = |n| entry(n).time_key();
        let slice = layer.slice(Topic([0, 0, 0, 1]), &key(4), &key(10));
        assert_eq!(slice.iter().map(Entry::sent).collect::<Vec<_>>(), [4, 7, 10]);
        assert!(layer.slice(Topic([9; 4]), &key(4), &key(10)).is_empty());
    }
}

//! Topics of legacy discovery v5: their hashes, the buckets of a topic's radius, and waiting times.
//!
//! A topic lies at the first 8 bytes of its hash, read as a number, and so does a node. The
//! distance of the two is their exclusive or. Buckets divide distances by their logarithm, eight per
//! bit. Bucket 0 is the farthest.

use std::{fmt, time::Duration};

use crate::{
    bytes::fixed_bytes,
    crypto::keccak256,
    devp2p::NodeId,
    rlp::{self, Reader, RlpError},
};

/// The number of radius buckets.
pub const BUCKETS: usize = 512;
const BUCKETS_PER_BIT: f64 = 8.0;
const BITS: f64 = 64.0;

/// The shortest waiting time of a ticket, and that of an unknown topic.
pub const MIN_WAIT: Duration = Duration::from_secs(60);
/// The time between two registrations of a topic at which its waiting time stays the same.
const TARGET_INTERVAL: f64 = 12.0;
/// The time in which a waiting time changes by the factor e.
const TIME_CONSTANT: f64 = 600.0;

/// The name of a topic: any bytes, text in practice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(pub Vec<u8>);

impl TopicName {
    /// Returns the Keccak-256 of the name.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.0)
    }

    /// Returns where the topic lies: the start of its hash.
    pub fn position(&self) -> u64 {
        position(&self.hash())
    }

    /// Returns the radius bucket of a node.
    pub fn bucket(&self, node: &NodeId) -> usize {
        let distance = position(&node.0) ^ self.position();
        // The logarithm of 0 counts as 0.
        let bits = (distance.max(1) as f64).log2();
        let bucket = (BITS - bits) * BUCKETS_PER_BIT;
        // The conversion rounds down.
        (bucket as usize).min(BUCKETS - 1)
    }

    pub(super) fn read_list(items: &mut Reader<'_>) -> Result<Vec<Self>, RlpError> {
        let mut list = items.list("topics")?;
        let mut topics = Vec::new();
        while !list.is_empty() {
            topics.push(Self(list.string("topic")?.to_vec()));
        }
        Ok(topics)
    }

    pub(super) fn put_list(out: &mut Vec<u8>, topics: &[Self]) {
        rlp::put_list(out, |out| topics.iter().for_each(|topic| rlp::put_bytes(out, &topic.0)));
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> Self {
        Self(name.as_bytes().to_vec())
    }
}

/// Shows the name as text, as far as it is text.
impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicName({:?})", String::from_utf8_lossy(&self.0))
    }
}

fixed_bytes! {
    /// The Keccak-256 of the RLP list of topics. It binds a ticket to them.
    pub struct TopicListHash([u8; 32]);
}

impl TopicListHash {
    /// Hashes topics. Their order matters.
    pub fn from_topics(topics: &[TopicName]) -> Self {
        let mut list = Vec::new();
        TopicName::put_list(&mut list, topics);
        Self(keccak256(&list))
    }
}

/// Returns the distances of a radius bucket: from the first, up to the second.
pub fn bucket_distances(bucket: usize) -> (f64, f64) {
    let edge = |bucket: usize| (BITS - bucket as f64 / BUCKETS_PER_BIT).exp2();
    (edge(bucket + 1), edge(bucket))
}

/// Returns the waiting time of a topic after a new registration.
///
/// `wait` is the waiting time before, and `since` the time since the registration before.
pub fn next_wait(wait: Duration, since: Duration) -> Duration {
    next_wait_from(MIN_WAIT, wait, since)
}

/// Returns the same for a registrar with another shortest waiting time than [`MIN_WAIT`].
pub fn next_wait_from(least: Duration, wait: Duration, since: Duration) -> Duration {
    let exponent = (TARGET_INTERVAL - since.as_secs_f64()) / TIME_CONSTANT;
    let wait = wait.as_secs_f64() * exponent.exp();
    Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX).max(least)
}

/// Returns the start of a hash as a number.
fn position(hash: &[u8; 32]) -> u64 {
    hash.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_and_distances_agree(name in prop::collection::vec(any::<u8>(), 0..20), id: [u8; 32]) {
            let topic = TopicName(name);
            let bucket = topic.bucket(&NodeId(id));
            let distance = (position(&id) ^ topic.position()) as f64;
            let (low, high) = bucket_distances(bucket);
            prop_assert!(distance <= high * (1.0 + 1e-12));
            prop_assert!(distance >= low * (1.0 - 1e-12) || bucket == BUCKETS - 1);
        }

        #[test]
        fn waiting_times_stay_in_range(wait: u32, since: u64) {
            let next = next_wait(Duration::from_secs(wait.into()), Duration::from_secs(since));
            prop_assert!(next >= MIN_WAIT);
        }
    }

    #[test]
    fn a_node_at_the_topic_is_in_the_last_bucket() {
        let topic = TopicName::from("whisper");
        assert_eq!(topic.bucket(&NodeId(topic.hash())), BUCKETS - 1);
        assert_eq!(format!("{topic} {topic:?}"), "whisper TopicName(\"whisper\")");
    }
}

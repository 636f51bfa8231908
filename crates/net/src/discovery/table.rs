//! The table of nodes: buckets by the distance to the own node.
//!
//! Bucket N holds nodes whose ids differ from the own one in bit N first, counted from the lowest: see
//! [`log_distance`]. Each has [`BUCKET_SIZE`] entries, the last active one in front, and as many
//! replacements.
//!
//! Source: go-ethereum 1.9 `p2p/discv5/table.go`. The limits per subnet are ours.

use std::collections::{HashMap, VecDeque};

use statuskit_core::{
    devp2p::NodeId,
    discovery::distance::{compare, log_distance},
};

use super::limit::Subnet;

/// The most entries of a bucket, and the most replacements.
pub const BUCKET_SIZE: usize = 16;
/// The most entries of one subnet in a bucket.
pub const BUCKET_SUBNET: usize = 2;
/// The most entries of one subnet in the table.
pub const TABLE_SUBNET: usize = 10;
const BUCKETS: usize = 257;

/// The table of nodes.
#[derive(Debug)]
pub struct Table {
    own: NodeId,
    buckets: Vec<Bucket>,
    count: usize,
    subnets: HashMap<Subnet, usize>,
}

#[derive(Debug, Default)]
struct Bucket {
    entries: Vec<Entry>,
    replacements: VecDeque<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: NodeId,
    subnet: Option<Subnet>,
}

/// What became of a node that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in the table.
    Entry,
    /// The bucket is full: it is a replacement, and this entry should prove that it is alive.
    Replacement {
        /// The entry that was active longest ago.
        last: NodeId,
    },
    /// It is the own node, or its subnet has enough entries.
    Refused,
}

impl Table {
    /// Makes the empty table of a node.
    pub fn new(own: NodeId) -> Self {
        let buckets = (0..BUCKETS).map(|_| Bucket::default()).collect();
        Self { own, buckets, count: 0, subnets: HashMap::new() }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a node, or moves it to the front of its bucket. Nodes without a subnet are not limited.
    pub fn add(&mut self, id: NodeId, subnet: Option<Subnet>) -> Added {
        if id == self.own {
            return Added::Refused;
        }
        let entry = Entry { id, subnet };
        let bucket = &mut self.buckets[usize::from(log_distance(&self.own, &id))];
        if let Some(at) = bucket.entries.iter().position(|it| it.id == id) {
            let mut entry = bucket.entries.remove(at);
            if entry.subnet != subnet {
                leave(&mut self.subnets, entry.subnet);
                join(&mut self.subnets, subnet);
                entry.subnet = subnet;
            }
            bucket.entries.insert(0, entry);
            return Added::Entry;
        }
        if !bucket.has_room_for(subnet, &self.subnets) {
            return Added::Refused;
        }
        if bucket.entries.len() < BUCKET_SIZE {
            bucket.entries.insert(0, entry);
            join(&mut self.subnets, subnet);
            self.count += 1;
            return Added::Entry;
        }
        bucket.replacements.push_back(entry);
        if bucket.replacements.len() > BUCKET_SIZE {
            bucket.replacements.pop_front();
        }
        Added::Replacement { last: bucket.entries[BUCKET_SIZE - 1].id }
    }

    /// Removes an entry.
    pub fn remove(&mut self, id: &NodeId) {
        let bucket = &mut self.buckets[usize::from(log_distance(&self.own, id))];
        if let Some(at) = bucket.entries.iter().position(|it| it.id == *id) {
            let entry = bucket.entries.remove(at);
            leave(&mut self.subnets, entry.subnet);
            self.count -= 1;
        }
    }

    /// Removes an entry, and takes the newest replacement that is `usable` in its place.
    pub fn replace(&mut self, id: &NodeId, usable: impl Fn(&NodeId) -> bool) {
        self.remove(id);
        let bucket = &mut self.buckets[usize::from(log_distance(&self.own, id))];
        if bucket.entries.len() >= BUCKET_SIZE {
            return;
        }
        while let Some(entry) = bucket.replacements.pop_back() {
            let is_there = bucket.entries.iter().any(|it| it.id == entry.id);
            if !is_there && usable(&entry.id) && bucket.has_room_for(entry.subnet, &self.subnets) {
                bucket.entries.insert(0, entry);
                join(&mut self.subnets, entry.subnet);
                self.count += 1;
                return;
            }
        }
    }

    /// Returns the entries nearest to a target, nearest first.
    pub fn closest(&self, target: &NodeId, limit: usize) -> Vec<NodeId> {
        let mut nearest: Vec<NodeId> = self.ids().collect();
        if limit < nearest.len() {
            nearest.select_nth_unstable_by(limit, |a, b| compare(target, a, b));
            nearest.truncate(limit);
        }
        nearest.sort_unstable_by(|a, b| compare(target, a, b));
        nearest
    }

    /// Returns the entries.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.buckets.iter().flat_map(|bucket| bucket.entries.iter().map(|entry| entry.id))
    }

    /// Returns the entries of a bucket, the last active one first.
    pub fn bucket(&self, index: usize) -> impl Iterator<Item = NodeId> {
        self.buckets.get(index).into_iter().flat_map(|it| it.entries.iter().map(|entry| entry.id))
    }

    /// Returns the replacements of a bucket, the oldest first.
    pub fn replacements(&self, index: usize) -> impl Iterator<Item = NodeId> {
        let bucket = self.buckets.get(index).into_iter();
        bucket.flat_map(|it| it.replacements.iter().map(|entry| entry.id))
    }
}

impl Bucket {
    fn has_room_for(&self, subnet: Option<Subnet>, all: &HashMap<Subnet, usize>) -> bool {
        let Some(subnet) = subnet else { return true };
        let here = self.entries.iter().filter(|it| it.subnet == Some(subnet)).count();
        here < BUCKET_SUBNET && all.get(&subnet).copied().unwrap_or_default() < TABLE_SUBNET
    }
}

fn join(subnets: &mut HashMap<Subnet, usize>, subnet: Option<Subnet>) {
    if let Some(subnet) = subnet {
        *subnets.entry(subnet).or_default() += 1;
    }
}

fn leave(subnets: &mut HashMap<Subnet, usize>, subnet: Option<Subnet>) {
    let Some(subnet) = subnet else { return };
    if let Some(count) = subnets.get_mut(&subnet) {
        *count -= 1;
        if *count == 0 {
            subnets.remove(&subnet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8, last: u8) -> NodeId {
        let mut id = [0; 32];
        (id[0], id[31]) = (byte, last);
        NodeId(id)
    }

    #[test]
    fn a_subnet_has_a_part_of_a_bucket_and_of_the_table() {
        let mut table = Table::new(NodeId([0; 32]));
        let subnet = Subnet::from_ip("85.1.2.3".parse().unwrap());
        assert!(subnet.is_some());
        for last in 0..BUCKET_SUBNET as u8 {
            assert_eq!(table.add(id(0x80, last), subnet), Added::Entry);
        }
        assert_eq!(table.add(id(0x80, 9), subnet), Added::Refused);
        assert_eq!(table.add(id(0x80, 0), subnet), Added::Entry);
        for bit in 0..7 {
            table.add(id(1 << bit, 1), subnet);
            table.add(id(1 << bit, 2), subnet);
        }
        assert_eq!(table.len(), TABLE_SUBNET);
        // What leaves makes room.
        table.remove(&id(0x80, 0));
        assert_eq!(table.add(id(0x80, 9), subnet), Added::Entry);
        assert_eq!(
            table.add(id(0x80, 10), Subnet::from_ip("85.1.3.3".parse().unwrap())),
            Added::Entry
        );
        assert_eq!(table.add(id(0x80, 11), None), Added::Entry);
    }

    #[test]
    fn only_usable_replacements_are_taken() {
        let mut table = Table::new(NodeId([0; 32]));
        for last in 0..20 {
            table.add(id(0x80, last), None);
        }
        assert_eq!(table.replacements(256).count(), 4);
        table.replace(&id(0x80, 3), |it| it.0[31] < 18);
        assert_eq!(table.bucket(256).next(), Some(id(0x80, 17)));
        assert_eq!(table.replacements(256).collect::<Vec<_>>(), [id(0x80, 16)]);
        assert_eq!(table.len(), BUCKET_SIZE);
    }
}

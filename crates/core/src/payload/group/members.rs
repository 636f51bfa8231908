//! Sets of members in the order in which they came.

use std::collections::HashMap;

/// A set of `0x04…` texts that keeps their order.
#[derive(Debug, Clone, Default)]
pub struct Members {
    places: HashMap<String, u64>,
    next: u64,
}

impl Members {
    /// Whether `member` is in it.
    pub fn contains(&self, member: &str) -> bool {
        self.places.contains_key(member)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The members in the order in which they came.
    pub fn to_vec(&self) -> Vec<&str> {
        let mut sorted: Vec<_> = self.places.iter().collect();
        sorted.sort_unstable_by_key(|(_, place)| **place);
        sorted.into_iter().map(|(member, _)| &**member).collect()
    }

    /// Whether it was not in it.
    pub(super) fn insert(&mut self, member: &str) -> bool {
        let is_new = !self.contains(member);
        if is_new {
            self.places.insert(member.to_owned(), self.next);
            self.next += 1;
        }
        is_new
    }

    /// Whether it was in it.
    pub(super) fn remove(&mut self, member: &str) -> bool {
        self.places.remove(member).is_some()
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

impl Eq for Members {}

//! Sets of members in the order of their addition.

use std::{collections::HashMap, fmt};

/// A set of `0x04…` texts in the order of their addition.
#[derive(Clone, Default)]
pub struct Members {
    places: HashMap<String, u64>,
    next: u64,
}

impl Members {
    /// Returns whether the set contains `member`.
    pub fn contains(&self, member: &str) -> bool {
        self.places.contains_key(member)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the members in their order.
    pub fn to_vec(&self) -> Vec<&str> {
        let mut sorted: Vec<_> = self.places.iter().collect();
        sorted.sort_unstable_by_key(|(_, place)| **place);
        sorted.into_iter().map(|(member, _)| &**member).collect()
    }

    /// Adds a member. Returns whether it is new.
    pub(super) fn insert(&mut self, member: &str) -> bool {
        let is_new = !self.contains(member);
        if is_new {
            self.places.insert(member.to_owned(), self.next);
            self.next += 1;
        }
        is_new
    }

    /// Removes a member. Returns whether it was in the set.
    pub(super) fn remove(&mut self, member: &str) -> bool {
        self.places.remove(member).is_some()
    }
}

/// Shows the members in their order, so that equal sets look alike.
impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

impl Eq for Members {}

//! Memory that clients can occupy, all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The most bytes of requests that are read and of answers that wait.
const MOST: usize = 256 << 20;

/// The bytes that are held.
#[derive(Debug, Clone, Default)]
pub struct Budget(Arc<AtomicUsize>);

/// A part of the budget. Dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// Takes a share, if there is so much left.
    pub fn take(&self, bytes: usize) -> Option<Share> {
        let mut share = Share { budget: self.clone(), bytes: 0 };
        share.grow(bytes).then_some(share)
    }
}

impl Share {
    /// Takes more. Returns whether there was so much.
    pub fn grow(&mut self, more: usize) -> bool {
        let held = self.budget.0.fetch_add(more, Relaxed);
        if held.saturating_add(more) > MOST {
            self.budget.0.fetch_sub(more, Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_back() {
        let budget = Budget::default();
        let mut share = budget.take(MOST - 1).unwrap();
        assert!(budget.take(2).is_none() && share.grow(1) && !share.grow(1));
        drop(share);
        assert!(budget.take(MOST).is_some());
    }
}

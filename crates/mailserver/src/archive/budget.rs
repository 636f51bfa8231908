//! How much one step of reading may cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use statuskit_core::mailserver::Position;

/// After this many records, a budget looks at the clock and at its switch again.
const LOOK_EVERY: u64 = 32;

/// Bounds a step of reading, however little a query finds in however large an archive.
#[derive(Debug, Clone)]
pub struct Budget {
    left: u64,
    until: Option<Instant>,
    cancelled: Option<Arc<AtomicBool>>,
}

impl Budget {
    /// Looks at no more than this many records, but at one at least.
    pub fn from_records(records: u64) -> Self {
        Self { left: records, until: None, cancelled: None }
    }

    /// Sets no bounds.
    pub fn unlimited() -> Self {
        Self::from_records(u64::MAX)
    }

    /// Ends soon after this time as well.
    #[must_use]
    pub fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Ends soon after this is set as well.
    #[must_use]
    pub fn unless(self, cancelled: Arc<AtomicBool>) -> Self {
        Self { cancelled: Some(cancelled), ..self }
    }

    /// Counts a record that was looked at, selected or not. Returns whether to go on.
    pub fn spend(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0 && (!self.left.is_multiple_of(LOOK_EVERY) || !self.is_spent())
    }

    /// Whether to end. An engine asks this where it may work for a while without a record.
    pub fn is_spent(&self) -> bool {
        self.left == 0
            || self.until.is_some_and(|until| Instant::now() >= until)
            || self.cancelled.as_ref().is_some_and(|it| it.load(Ordering::Relaxed))
    }
}

/// How a step of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything was visited, or `visit` broke.
    Done,
    /// The budget was spent. Everything up to this position was visited; the next step begins
    /// [after](super::Query::after) it.
    Paused(Position),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_by_records_time_or_switch() {
        let mut three = Budget::from_records(3);
        assert_eq!([three.spend(), three.spend(), three.spend()], [true, true, false]);
        assert!(!Budget::from_records(0).spend());
        let mut late = Budget::unlimited().until(Instant::now());
        let spent = (0..=LOOK_EVERY).filter(|_| !late.spend()).count();
        assert_eq!(spent, 1);
        let switch = Arc::new(AtomicBool::new(false));
        let switched = Budget::unlimited().unless(switch.clone());
        assert!(!switched.is_spent());
        switch.store(true, Ordering::Relaxed);
        assert!(switched.is_spent());
    }
}

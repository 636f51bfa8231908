//! Timestamps of bundles.

use crate::time::{UnixMillis, UnixSeconds};
use std::{fmt, time::Duration};

/// UNIX time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Converts UNIX seconds.
    pub fn from_secs(time: UnixSeconds) -> Self {
        Self(i64::from(time) * 1_000_000_000)
    }

    /// Converts UNIX milliseconds. Saturates at the largest timestamp.
    pub fn from_millis(time: UnixMillis) -> Self {
        Self(i64::try_from(time.0).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// Returns whether more than `lifetime` has passed since then.
    pub(super) fn is_older_than(self, lifetime: Duration, now: Self) -> bool {
        let lifetime = i64::try_from(lifetime.as_nanos()).unwrap_or(i64::MAX);
        self.0 < now.0.saturating_sub(lifetime)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({}ns)", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_compared_without_overflow() {
        let day = Duration::from_secs(86_400);
        let made = Timestamp::from_secs(UnixSeconds(1_585_500_000));
        assert!(!made.is_older_than(day, Timestamp::from_secs(UnixSeconds(1_585_586_400))));
        assert!(made.is_older_than(day, Timestamp(1_585_586_400_000_000_001)));
        assert!(!made.is_older_than(Duration::MAX, Timestamp(i64::MAX)));
        assert_eq!(Timestamp::from_millis(UnixMillis(u64::MAX)), Timestamp(i64::MAX));
        assert_eq!(Timestamp::from_millis(UnixMillis(1_500)), Timestamp(1_500_000_000));
    }
}

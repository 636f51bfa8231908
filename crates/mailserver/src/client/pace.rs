//! How often a server accepts requests.
//!
//! A server with a rate limit does not say how long to wait. It refuses until enough time has
//! passed since the last request that it accepted; being refused costs nothing. So we ask again,
//! less and less often, and remember which interval it accepted.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a refusal. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two refusals, so that not much more is learned than what is needed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The longest interval that is kept after refusals.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// What was learned about a server.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The interval that it accepts; zero as long as it has refused nothing.
    interval: Duration,
    /// When the last request that it accepted was sent.
    accepted: Option<Instant>,
    /// When it last refused one, if that was later.
    refused: Option<Instant>,
}

impl Pace {
    /// Returns how long to wait before the next request.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let Some(accepted) = self.accepted else { return Duration::ZERO };
        (accepted + self.interval).saturating_duration_since(now)
    }

    /// Notes a request that was refused as too early.
    pub(super) fn refused(&mut self, now: Instant) {
        self.refused = Some(now);
    }

    /// Notes a request sent at that time that was answered. If others were refused before, this is
    /// an interval to keep.
    pub(super) fn accepted(&mut self, sent: Instant) {
        if let (Some(before), Some(refused)) = (self.accepted, self.refused.take()) {
            let too_short = refused.saturating_duration_since(before);
            // Coming back late does not show that it must be that late.
            let enough = (2 * too_short + LONGEST_WAIT).min(LONGEST_INTERVAL);
            let interval = sent.saturating_duration_since(before).min(enough);
            self.interval = self.interval.max(interval);
        }
        self.accepted = Some(sent);
    }
}

/// The waits for one page.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    next: Duration,
}

impl Patience {
    /// `all` is the sum of the waits.
    pub(super) fn new(all: Duration) -> Self {
        Self { left: all, next: FIRST_WAIT }
    }

    /// Returns how long to wait after a refusal; `None` if the time is up.
    pub(super) fn wait(&mut self) -> Option<Duration> {
        if self.left.is_zero() {
            return None;
        }
        let wait = self.next.min(self.left);
        self.left -= wait;
        self.next = (self.next * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gets pages from a server with an interval, by a virtual clock. Returns the time for all and
    /// the number of refusals, or after how many pages the patience ended.
    fn pages(count: u32, limit: Duration, patience: Duration) -> Result<(Duration, u32), u32> {
        let began = Instant::now();
        let mut now = began;
        // A request was accepted just before.
        let mut last = began;
        let (mut pace, mut refusals) = (Pace::default(), 0);
        for page in 0..count {
            now += pace.wait(now);
            let mut patience = Patience::new(patience);
            while now < last + limit {
                refusals += 1;
                pace.refused(now);
                now += patience.wait().ok_or(page)?;
            }
            pace.accepted(now);
            last = now;
            now += Duration::from_millis(30);
        }
        Ok((last - began, refusals))
    }

    #[test]
    fn an_interval_is_learned_once() {
        let limit = Duration::from_secs(10);
        let (took, refusals) = pages(50, limit, Duration::from_secs(60)).unwrap();
        assert!(refusals <= 12, "{refusals}");
        assert!(took < limit * 50 * 3 / 2, "{took:?}");
    }

    #[test]
    fn patience_is_for_each_page() {
        let limit = Duration::from_secs(10);
        assert_eq!(pages(3, limit, Duration::from_secs(9)), Err(0));
        assert_eq!(pages(3, limit, Duration::ZERO), Err(0));
        assert!(pages(30, limit, Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn without_refusals_there_is_no_wait() {
        let (took, refusals) = pages(1000, Duration::ZERO, Duration::ZERO).unwrap();
        assert_eq!((took, refusals), (Duration::from_millis(30 * 999), 0));
    }

    #[test]
    fn coming_back_late_is_not_learned() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.accepted(now);
        pace.refused(now + Duration::from_secs(3));
        let later = now + Duration::from_secs(36_000);
        pace.accepted(later);
        assert_eq!(pace.wait(later), Duration::from_secs(11));
        // Without a refusal, nothing is learned.
        pace.accepted(later + Duration::from_secs(50));
        assert_eq!(pace.wait(later + Duration::from_secs(50)), Duration::from_secs(11));
    }
}

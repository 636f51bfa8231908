//! How far our clock is off, as far as the envelopes tell that peers send.
//!
//! A peer forwards an envelope only while its own clock is between `sent - 10` and `expiry`. An
//! envelope that arrives when our clock shows `now` bounds the offset of the peer's clock, which is
//! the peer's time minus ours:
//!
//! ```text
//! sent - 10 - now  <=  offset  <=  expiry - now + delay
//! ```
//!
//! **Authors** choose both times, but whatever they choose, an honest peer forwards only what keeps
//! the bounds true. They can't make our clock look wrong; within the bounds they can move the
//! estimate by 10 seconds, with envelopes from the future.
//!
//! **Peers** can lie about themselves. The clock counts as wrong only if more than half of all peers
//! say so, where those that brought no envelopes say nothing, and the estimate is the median: of three
//! peers, one can't shift it. Of one, its word is all that there is.
//!
//! **Delays** make envelopes look old. So a clock is ahead only if nothing at all that a peer
//! brought of late was fresh, and packets that waited because we did not read them don't count.
//!
//! Zero is outside of the bounds just when envelopes are dropped for their times, which is when
//! someone should know. Some seconds more are allowed for those that expire on their way.

use std::time::Duration;

use statuskit_core::envelope::{Envelope, check::SYNC_ALLOWANCE};

use super::Time;

/// How long what a peer has shown counts, at least; at most twice as long.
const WINDOW: Duration = Duration::from_secs(60);
/// Envelopes that live longer are no evidence: they may be written to find out about clocks.
const MAX_TTL: u32 = 3600;

/// How many seconds after its expiry an envelope may arrive: clocks are read in whole seconds, pools
/// are cleaned once a second, and send windows and the way take time.
const MAX_DELAY: i64 = 3;

/// How far the clocks of peers are from ours, in seconds. Positive: they are ahead, ours is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// The estimate.
    pub seconds: i64,
    /// The least that is possible, unless most of the peers lie; `None` if most say nothing.
    pub at_least: Option<i64>,
    /// The most that is possible, likewise, and if not all of their envelopes were late.
    pub at_most: Option<i64>,
    /// The peers that brought envelopes.
    pub peers: usize,
}

impl ClockOffset {
    /// Whether a right clock is impossible.
    pub fn is_skewed(&self) -> bool {
        self.at_least.is_some_and(|it| it > 1) || self.at_most.is_some_and(|it| it < -MAX_DELAY)
    }
}

/// What the envelopes of a peer say of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The most of `sent - now`.
    latest: i64,
    /// The least of `expiry - now`.
    ends: i64,
}

impl Bounds {
    fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) => {
                Self { latest: self.latest.max(other.latest), ends: self.ends.min(other.ends) }
            }
            None => self,
        }
    }

    fn at_least(self) -> i64 {
        self.latest - i64::from(SYNC_ALLOWANCE)
    }

    fn at_most(self) -> i64 {
        // If something was fresher, that which was over was late.
        self.ends.max(self.latest)
    }
}

/// The times in the envelopes of a peer, of the last minute or two.
#[derive(Debug, Default)]
pub(super) struct Times {
    began: Time,
    current: Option<Bounds>,
    before: Option<Bounds>,
    /// Whether its packets have waited for us.
    pub delayed: bool,
}

impl Times {
    /// Notes the times of an envelope that has arrived.
    pub fn note(&mut self, envelope: &Envelope, now: Time) {
        let (expiry, ttl) = (envelope.expiry(), envelope.ttl());
        if self.delayed || ttl > MAX_TTL || ttl > expiry.0 {
            return;
        }
        self.turn(now);
        let now = now.as_secs() as i64;
        let new =
            Bounds { latest: i64::from(envelope.sent().0) - now, ends: i64::from(expiry.0) - now };
        self.current = Some(new.and(self.current));
    }

    /// Forgets what is too old.
    fn turn(&mut self, now: Time) {
        let is_over = |ends: Time| now >= ends || now + WINDOW < self.began;
        if is_over(self.began + 2 * WINDOW) {
            (self.current, self.before, self.began) = (None, None, now);
        } else if is_over(self.began + WINDOW) {
            self.before = self.current.take();
            self.began += WINDOW;
        }
    }

    /// Returns what is known of the peer's clock.
    pub fn bounds(&mut self, now: Time) -> Option<Bounds> {
        self.turn(now);
        match self.current {
            Some(current) => Some(current.and(self.before)),
            None => self.before,
        }
    }
}

/// Returns the offset that most peers agree on; `None` if none has brought envelopes.
pub(super) fn offset(all: impl IntoIterator<Item = Option<Bounds>>) -> Option<ClockOffset> {
    let all: Vec<_> = all.into_iter().collect();
    let peers: Vec<_> = all.iter().copied().flatten().collect();
    let sorted = |value: fn(Bounds) -> i64| {
        let mut values: Vec<_> = peers.iter().copied().map(value).collect();
        values.sort_unstable();
        values
    };
    // The silent ones come first, and last. Of an even number, half is not more than half.
    let lower = (all.len().saturating_sub(1) / 2).checked_sub(all.len() - peers.len());
    let at_least = lower.and_then(|lower| sorted(Bounds::at_least).get(lower).copied());
    let at_most = sorted(Bounds::at_most).get(all.len() / 2).copied();
    // Of two in the middle, that which asks for less.
    let latest = sorted(|bounds| bounds.latest);
    let middle = latest.get(peers.len().checked_sub(1)? / 2..=peers.len() / 2)?;
    let seconds = middle.iter().copied().min_by_key(|it| it.abs())?;
    // Lies apart, the one is never above the other.
    let seconds = seconds.min(at_most.unwrap_or(seconds)).max(at_least.unwrap_or(seconds));
    Some(ClockOffset { seconds, at_least, at_most, peers: peers.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statuskit_core::{envelope::Topic, time::UnixSeconds};

    use super::*;

    const NOW: i64 = 1_600_000_000;

    fn time(seconds: i64) -> Time {
        Duration::from_secs(seconds as u64)
    }

    /// What an honest peer forwards of an envelope, if it does; its clock is ours plus `offset`.
    fn forwarded(sent: i64, ttl: u32, now: i64, offset: i64) -> Option<Envelope> {
        let peer = now + offset;
        let expiry = sent + i64::from(ttl);
        let takes = sent <= peer + 10 && expiry >= peer;
        takes.then(|| Envelope::new(UnixSeconds(expiry as u32), ttl, Topic([0; 4]), &[], 0))
    }

    /// The bounds after a peer has forwarded chat messages as they were written.
    fn honest(offset: i64) -> Bounds {
        let mut times = Times::default();
        for at in NOW..NOW + 20 {
            let fresh = forwarded(at + offset - 1, 15, at, offset).unwrap();
            times.note(&fresh, time(at));
        }
        times.bounds(time(NOW + 20)).unwrap()
    }

    #[test]
    fn a_clock_that_is_far_off_is_told_and_one_that_is_not_is_not() {
        for (ours, estimate) in [(30, -31), (-30, 29)] {
            let offset = offset([Some(honest(-ours))]).unwrap();
            assert!(offset.is_skewed(), "{offset:?}");
            assert_eq!((offset.seconds, offset.peers), (estimate, 1));
            assert!(offset.at_least.unwrap() <= -ours && -ours <= offset.at_most.unwrap());
        }
        for ours in -12..=17 {
            assert!(!offset([Some(honest(-ours))]).unwrap().is_skewed(), "{ours}");
        }
        assert_eq!(offset([]), None);
        assert_eq!(offset([None]), None);
    }

    #[test]
    fn less_than_most_peers_shift_nothing() {
        let honest = Some(honest(0));
        for lie in [-1_000_000, -100, 100, 1_000_000] {
            let liar = Some(Bounds { latest: lie, ends: lie + 15 });
            for (honests, liars) in [(1, 1), (2, 1), (2, 2), (3, 2), (10, 9)] {
                let peers = [vec![honest; honests], vec![liar; liars]].concat();
                let offset = offset(peers).unwrap();
                assert!(!offset.is_skewed(), "{honests} and {liars}: {offset:?}");
            }
            for others in [vec![None], vec![None, honest]] {
                assert!(!offset([vec![liar], others].concat()).unwrap().is_skewed());
            }
            assert!(offset([honest, liar, liar]).unwrap().is_skewed());
            assert_eq!(offset([honest, honest, liar]).unwrap().seconds, -1);
        }
    }

    #[test]
    fn what_is_late_makes_no_clock_wrong_and_what_is_over_long_ago_is_forgotten() {
        let mut times = Times::default();
        let fresh = Envelope::new(UnixSeconds(NOW as u32 + 15), 15, Topic([0; 4]), &[], 0);
        times.note(&fresh, time(NOW));
        times.note(&fresh, time(NOW + 40));
        let bounds = times.bounds(time(NOW + 40));
        assert!(!offset([bounds]).unwrap().is_skewed());
        // Two minutes later, all that comes is over.
        times.note(&fresh, time(NOW + 130));
        assert!(offset([times.bounds(time(NOW + 130))]).unwrap().is_skewed());
        assert_eq!(times.bounds(time(NOW + 400)), None);
        times.delayed = true;
        times.note(&fresh, time(NOW + 400));
        assert_eq!(times.bounds(time(NOW + 400)), None);
    }

    proptest! {
        /// Whoever writes the envelopes, with whatever times.
        #[test]
        fn no_author_makes_bounds_wrong(
            offset in -100i64..100,
            envelopes in proptest::collection::vec((-200i64..200, 0u32..200, 0i64..100), 1..50),
        ) {
            let mut times = Times::default();
            for (sent, ttl, at) in envelopes {
                if let Some(envelope) = forwarded(NOW + sent, ttl, NOW + at, offset) {
                    times.note(&envelope, time(NOW + at));
                }
            }
            if let Some(bounds) = times.bounds(time(NOW + 100)) {
                let all = super::offset([Some(bounds)]).unwrap();
                let (least, most) = (all.at_least.unwrap(), all.at_most.unwrap());
                prop_assert!(least <= offset && offset <= most);
                prop_assert!(least <= all.seconds && all.seconds <= most);
            }
        }
    }
}

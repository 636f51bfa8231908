//! Which envelopes an archive takes, by the second they claim to have been sent.
//!
//! That second is the expiry less the time to live, and only the sender vouches for it. With the
//! time to live in the proof of work, an envelope "of 1970" costs its sender some minutes. In an
//! archive with a table or a tree per day it would create one for that day; with a retention, it
//! would be stored in order to be removed.
//!
//! | archive of | takes what was sent |
//! | --- | --- |
//! | a mailserver, from its node | within its retention, and [`MAX_AGE`] at most |
//! | a copy of another archive | within the time to be kept, if one is given |
//!
//! Copies may go back to the beginning of the network ([`BEGINNING`]), and a day ahead of our
//! clock. A node takes nothing from the future, apart from ten seconds.

use std::time::Duration;

use statuskit_core::{envelope::Envelope, mailserver::DAY, time::UnixSeconds};

/// The default maximum age of an envelope that a mailserver stores: 30 days. Clients of Status give
/// their envelopes some seconds to live.
pub const MAX_AGE: Duration = Duration::from_secs(30 * DAY as u64);

/// 2015-07-30: the first day of Ethereum's network, and so of Whisper's.
pub const BEGINNING: UnixSeconds = UnixSeconds(16_646 * DAY);

/// The seconds from which an archive takes envelopes, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intake {
    /// The first.
    pub from: UnixSeconds,
    /// The last.
    pub to: UnixSeconds,
}

/// Why an envelope is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untimely {
    /// It would be removed at once, or is older than the network.
    #[error("sent at {sent}, before {from}: too old to be kept")]
    TooOld {
        /// When it was sent.
        sent: UnixSeconds,
        /// The first second that is kept.
        from: UnixSeconds,
    },
    /// It is from the future: no retention would ever remove it.
    #[error("sent at {sent}, after {to}: from the future")]
    FromFuture {
        /// When it was sent.
        sent: UnixSeconds,
        /// The last second that is kept.
        to: UnixSeconds,
    },
}

/// Counts envelopes that were passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Sent before what is kept.
    pub too_old: u64,
    /// Sent after our present.
    pub from_future: u64,
}

impl Intake {
    /// Takes envelopes of any time.
    pub const ALL: Self = Self { from: UnixSeconds::EPOCH, to: UnixSeconds::MAX };

    /// Takes what a copy made `now` may contain: what was sent within the time to be
    /// kept, or all there can be.
    pub fn from_copy(now: UnixSeconds, kept: Option<Duration>) -> Self {
        let from = kept.map_or(BEGINNING, |kept| now.saturating_sub(kept)).max(BEGINNING);
        Self { from, to: now.saturating_add(Duration::from_secs(DAY.into())) }
    }

    /// Takes what a node has just accepted, unless it is older than the retention or the age. It is
    /// not from the future.
    pub fn from_node(
        now: UnixSeconds,
        retention: Option<Duration>,
        max_age: Option<Duration>,
    ) -> Self {
        let kept = retention.into_iter().chain(max_age).min();
        Self {
            from: kept.map_or(UnixSeconds::EPOCH, |kept| now.saturating_sub(kept)),
            to: UnixSeconds::MAX,
        }
    }

    /// Checks an envelope.
    ///
    /// # Errors
    /// If it is passed over.
    pub fn check(&self, envelope: &Envelope) -> Result<(), Untimely> {
        let (sent, Self { from, to }) = (envelope.sent(), *self);
        if sent < from {
            return Err(Untimely::TooOld { sent, from });
        }
        if sent > to {
            return Err(Untimely::FromFuture { sent, to });
        }
        Ok(())
    }
}

impl PassedOver {
    /// Counts one.
    pub fn add(&mut self, why: Untimely) {
        match why {
            Untimely::TooOld { .. } => self.too_old += 1,
            Untimely::FromFuture { .. } => self.from_future += 1,
        }
    }

    /// Returns the sum.
    pub fn total(&self) -> u64 {
        self.too_old + self.from_future
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statuskit_core::envelope::Topic;

    const NOW: u32 = 1_585_400_000;

    fn sent(at: UnixSeconds) -> Envelope {
        Envelope::new(at.wrapping_add(10), 10, Topic([1; 4]), b"data", 0)
    }

    #[test]
    fn both_ends_are_taken() {
        let kept = Some(Duration::from_secs(100));
        let copy = Intake::from_copy(UnixSeconds(NOW), kept);
        assert_eq!(copy, Intake { from: UnixSeconds(NOW - 100), to: UnixSeconds(NOW + DAY) });
        let mut passed = PassedOver::default();
        for (at, taken) in [
            (0, false),
            (NOW - 101, false),
            (NOW - 100, true),
            (NOW + DAY, true),
            (NOW + DAY + 1, false),
            (u32::MAX, false),
        ] {
            let checked = copy.check(&sent(UnixSeconds(at)));
            assert_eq!(checked.is_ok(), taken, "{at}");
            checked.err().into_iter().for_each(|why| passed.add(why));
        }
        assert_eq!(passed, PassedOver { too_old: 2, from_future: 2 });
        assert_eq!(passed.total(), 4);
    }

    #[test]
    fn a_copy_without_limit_begins_with_the_network() {
        let copy = Intake::from_copy(UnixSeconds(NOW), None);
        assert!(copy.check(&sent(BEGINNING)).is_ok());
        assert!(copy.check(&sent(UnixSeconds(BEGINNING.0 - 1))).is_err());
        assert_eq!(Intake::from_copy(UnixSeconds(NOW), Some(Duration::MAX)), copy);
        assert_eq!(Intake::from_node(UnixSeconds(NOW), None, None), Intake::ALL);
    }

    #[test]
    fn a_node_takes_the_shorter_of_both_ages() {
        let from = |retention: Option<u64>, age: Option<u64>| {
            let time = |seconds: Option<u64>| seconds.map(Duration::from_secs);
            NOW - Intake::from_node(UnixSeconds(NOW), time(retention), time(age)).from.0
        };
        assert_eq!(from(Some(5), Some(7)), 5);
        assert_eq!(from(Some(7), Some(5)), 5);
        assert_eq!((from(Some(7), None), from(None, Some(5))), (7, 5));
    }
}

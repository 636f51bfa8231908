//! Which envelopes are taken into an archive, by the second they say they were sent.
//!
//! That second is the expiry less the time to live, and nobody but the sender vouches for it: with
//! the time to live in the proof of work, an envelope "of 1970" costs its sender some minutes. In
//! an archive that keeps a table or a tree for each day, it would make one for that day; and with
//! a retention it would be stored in order to be removed.
//!
//! | who | takes what was sent |
//! | --- | --- |
//! | a mailserver, from its node | within its retention, and [`MAX_AGE`] at most |
//! | who copies another archive | within the time to be kept, if one is given |
//!
//! The copies may go back as far as there was a network ([`BEGINNING`]), and a day ahead of our
//! clock. A node takes nothing from ahead of it, but for ten seconds.

use std::time::Duration;

use statuskit_core::{envelope::Envelope, mailserver::DAY};

/// How long ago an envelope may have been sent that a node accepts and a mailserver takes, unless
/// told otherwise: 30 days. Clients of Status give their envelopes some seconds to live.
pub const MAX_AGE: Duration = Duration::from_secs(30 * DAY as u64);

/// 2015-07-30, UNIX seconds: the first day of Ethereum's network, and so of Whisper's.
pub const BEGINNING: u32 = 16_646 * DAY;

/// The seconds of which an archive takes envelopes, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intake {
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

/// Why an envelope is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untimely {
    /// It would be removed at once, or is of no time that there was.
    #[error("sent at {sent}, before {from}: too old to be kept")]
    TooOld {
        /// When it was sent, UNIX seconds.
        sent: u32,
        /// The first second that is kept.
        from: u32,
    },
    /// No retention would ever remove it.
    #[error("sent at {sent}, after {to}: from the future")]
    FromFuture {
        /// When it was sent, UNIX seconds.
        sent: u32,
        /// The last second that is taken.
        to: u32,
    },
}

/// How many were passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Sent before what is kept.
    pub too_old: u64,
    /// Sent after our present.
    pub from_future: u64,
}

impl Intake {
    /// Whatever its time.
    pub const ALL: Self = Self { from: 0, to: u32::MAX };

    /// For a copy that is made `now` (UNIX seconds): of what was sent within the time to be kept,
    /// or of all there can be.
    pub fn from_copy(now: u32, kept: Option<Duration>) -> Self {
        let from = kept.map_or(0, |kept| before(now, kept)).max(BEGINNING);
        Self { from, to: now.saturating_add(DAY) }
    }

    /// For what a node has just accepted, which is not from the future: no older than the
    /// retention and the age, if there are such.
    pub fn from_node(now: u32, retention: Option<Duration>, max_age: Option<Duration>) -> Self {
        let kept = retention.into_iter().chain(max_age).min();
        Self { from: kept.map_or(0, |kept| before(now, kept)), to: u32::MAX }
    }

    /// Whether the envelope is taken.
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
    /// One more.
    pub fn add(&mut self, why: Untimely) {
        match why {
            Untimely::TooOld { .. } => self.too_old += 1,
            Untimely::FromFuture { .. } => self.from_future += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.too_old + self.from_future
    }
}

/// The second so long before another: the same that [`prune`](super::Archive::prune) is given.
fn before(now: u32, time: Duration) -> u32 {
    now.saturating_sub(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use statuskit_core::envelope::Topic;

    const NOW: u32 = 1_585_400_000;

    fn sent(at: u32) -> Envelope {
        Envelope::new(at.wrapping_add(10), 10, Topic([1; 4]), b"data", 0)
    }

    #[test]
    fn both_ends_are_taken() {
        let kept = Some(Duration::from_secs(100));
        let copy = Intake::from_copy(NOW, kept);
        assert_eq!(copy, Intake { from: NOW - 100, to: NOW + DAY });
        let mut passed = PassedOver::default();
        for (at, taken) in [
            (0, false),
            (NOW - 101, false),
            (NOW - 100, true),
            (NOW + DAY, true),
            (NOW + DAY + 1, false),
            (u32::MAX, false),
        ] {
            let checked = copy.check(&sent(at));
            assert_eq!(checked.is_ok(), taken, "{at}");
            checked.err().into_iter().for_each(|why| passed.add(why));
        }
        assert_eq!(passed, PassedOver { too_old: 2, from_future: 2 });
        assert_eq!(passed.total(), 4);
    }

    #[test]
    fn without_an_end_there_is_the_beginning_of_all() {
        let copy = Intake::from_copy(NOW, None);
        assert!(copy.check(&sent(BEGINNING)).is_ok());
        assert!(copy.check(&sent(BEGINNING - 1)).is_err());
        assert_eq!(Intake::from_copy(NOW, Some(Duration::MAX)), copy);
        assert_eq!(Intake::from_node(NOW, None, None), Intake::ALL);
    }

    #[test]
    fn those_of_a_node_are_as_old_as_the_shorter_of_both() {
        let from = |retention: Option<u64>, age: Option<u64>| {
            let time = |seconds: Option<u64>| seconds.map(Duration::from_secs);
            NOW - Intake::from_node(NOW, time(retention), time(age)).from
        };
        assert_eq!(from(Some(5), Some(7)), 5);
        assert_eq!(from(Some(7), Some(5)), 5);
        assert_eq!((from(Some(7), None), from(None, Some(5))), (7, 5));
    }
}

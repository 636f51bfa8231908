//! How often the pool is looked through again for a peer that changes what it asks for.
//!
//! An application that joins some chats changes its filter a few times in a row: each change is
//! served soon. One that goes on pays with growing pauses, so that what it costs is bounded
//! however fast it changes. Changes during a pause share the look at its end.

use std::time::Duration;

use super::clock::Time;

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(300);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// Looks at the shortest pause.
const BURST: u32 = 8;
/// One such look more, and half the pause, after this time.
const REFILL: Duration = Duration::from_secs(10);

/// The looks at the pool of one peer.
#[derive(Debug)]
pub(super) struct Rewinds {
    tokens: u32,
    refilled: Time,
    pause: Duration,
    last: Option<Time>,
}

impl Default for Rewinds {
    fn default() -> Self {
        Self { tokens: BURST, refilled: Time::ZERO, pause: SHORTEST, last: None }
    }
}

impl Rewinds {
    /// When the next look may be taken.
    pub fn next(&mut self, now: Time) -> Time {
        self.refill(now);
        self.last.map_or(now, |last| now.max(last + self.pause))
    }

    /// A look begins.
    pub fn count(&mut self, now: Time) {
        self.refill(now);
        self.last = Some(now);
        match self.tokens.checked_sub(1) {
            Some(tokens) => self.tokens = tokens,
            None => self.pause = (self.pause * 2).min(LONGEST),
        }
    }

    /// What was counted before still counts, and delays nothing.
    pub fn clock_set_back(&mut self, now: Time) {
        self.last = None;
        self.refilled = now;
    }

    fn refill(&mut self, now: Time) {
        while self.tokens < BURST && self.refilled + REFILL <= now {
            self.refilled += REFILL;
            self.tokens += 1;
            self.pause = (self.pause / 2).max(SHORTEST);
        }
        if self.tokens == BURST {
            (self.refilled, self.pause) = (now, SHORTEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(1_585_700_000);

    /// Asks every 50 ms; the looks within a time.
    fn looks(rewinds: &mut Rewinds, from: Time, time: Duration) -> usize {
        let mut looks = 0;
        let mut now = from;
        while now < from + time {
            if rewinds.next(now) <= now {
                rewinds.count(now);
                looks += 1;
            }
            now += Duration::from_millis(50);
        }
        looks
    }

    #[test]
    fn some_changes_are_served_soon_and_endless_ones_seldom() {
        let mut rewinds = Rewinds::default();
        assert_eq!(looks(&mut rewinds, START, 8 * SHORTEST), 8);
        let minute = Duration::from_secs(60);
        let first = looks(&mut rewinds, START + 8 * SHORTEST, minute);
        let later = looks(&mut rewinds, START + 2 * minute, 10 * minute);
        assert!((8..20).contains(&first), "{first}");
        assert!((60..130).contains(&later), "{later}");
        // Peace makes it as it was.
        let after = START + 60 * minute;
        assert_eq!(looks(&mut rewinds, after, 8 * SHORTEST), 8);
    }
}

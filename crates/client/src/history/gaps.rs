//! What of the past is still missing, and when to ask for it again.
//!
//! What was asked for once is not forgotten because the server could not answer just then: the
//! next request goes on behind the last page that was complete.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    envelope::{EnvelopeHash, Topic},
    mailserver::Cursor,
    time::UnixSeconds,
};
use statuskit_mailserver::client::{ClientError, HistoryQuery, PageDone};

/// The first wait after a failure; the next ones are twice as long each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Hashes of pages that were broken off that are remembered.
const MAX_HASHES: usize = 1 << 18;

/// A range of time that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    from: UnixSeconds,
    to: UnixSeconds,
    cursor: Option<Cursor>,
    /// The seconds that the cursor is good for, if the server wants a range in parts.
    span: Option<u32>,
    /// A page of it was complete.
    begun: bool,
}

/// What is missing.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// What is asked for now, or was when that failed: it comes first.
    range: Option<Range>,
    /// From this second on, something is to be asked for when that is done.
    later: Option<UnixSeconds>,
    /// Nothing is asked before.
    not_before: Option<Instant>,
    failures: u32,
    /// What went wrong, until the server answers again.
    trouble: Option<Arc<ClientError>>,
    /// What was shown of the page that is coming in.
    shown: HashSet<EnvelopeHash>,
    /// What was shown of it before it was broken off.
    again: HashSet<EnvelopeHash>,
}

impl Gaps {
    /// From this second on, everything is wanted.
    pub fn want(&mut self, since: UnixSeconds) {
        self.later = Some(self.later.map_or(since, |before| before.min(since)));
    }

    /// From this second on, something may be missing, and why.
    pub fn missed(&mut self, since: UnixSeconds, why: impl Into<Arc<ClientError>>) {
        self.want(since);
        self.trouble = Some(why.into());
    }

    /// What to ask for, up to `to`, if anything is to be asked for yet; and whether it goes on with
    /// what was asked for before.
    pub fn next(&mut self, to: UnixSeconds, topics: &[Topic]) -> Option<(HistoryQuery, bool)> {
        if self.not_before.is_some() {
            return None;
        }
        let goes_on = self.range.is_some();
        match &mut self.range {
            // It may as well bring all that has been missed meanwhile.
            Some(range) if !range.begun => {
                range.from = range.from.min(self.later.take().unwrap_or(range.from));
                range.to = to.max(range.from);
            }
            Some(_) => {}
            None => {
                let from = self.later.take()?;
                let to = to.max(from);
                self.range = Some(Range { from, to, cursor: None, span: None, begun: false });
            }
        }
        let range = self.range.as_ref()?;
        let mut query = HistoryQuery::from_topics(range.from, range.to, topics.iter().copied());
        query.cursor.clone_from(&range.cursor);
        query.max_span = range.span;
        Some((query, goes_on))
    }

    /// Whether something is to be asked for, if not yet.
    pub fn is_wanted(&self) -> bool {
        self.not_before.is_none() && (self.range.is_some() || self.later.is_some())
    }

    /// An envelope came; whether it was not shown before the page was broken off.
    pub fn is_first(&mut self, hash: EnvelopeHash) -> bool {
        self.trouble = None;
        let is_first = !self.again.remove(&hash);
        if self.shown.len() < MAX_HASHES {
            self.shown.insert(hash);
        }
        is_first
    }

    /// A page is complete.
    pub fn page(&mut self, page: &PageDone) {
        self.failures = 0;
        self.trouble = None;
        self.shown.clear();
        if page.is_last {
            self.range = None;
        }
        let Some(range) = &mut self.range else { return };
        range.begun = true;
        range.cursor.clone_from(&page.cursor);
        if page.cursor.is_none() {
            range.from = page.to.saturating_add(Duration::from_secs(1)).min(range.to);
            range.span = None;
        } else {
            range.from = page.from;
            let is_part = page.to < range.to;
            range.span = is_part.then(|| (page.to.0 - page.from.0).saturating_add(1));
        }
    }

    /// All that was asked for has come.
    pub fn complete(&mut self) {
        self.range = None;
        self.shown.clear();
        self.again.clear();
        self.failures = 0;
        if self.later.is_none() {
            self.trouble = None;
        }
    }

    /// It failed, and is worth another attempt. Gives the wait, if this is news.
    pub fn failed(&mut self, error: impl Into<Arc<ClientError>>, now: Instant) -> Option<Duration> {
        let error = error.into();
        let is_news = self.trouble.as_ref().is_none_or(|before| before.code() != error.code());
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures += 1;
        self.not_before = Some(now + wait);
        self.trouble = Some(error);
        let shown = std::mem::take(&mut self.shown);
        if self.again.len() < MAX_HASHES {
            self.again.extend(shown);
        }
        is_news.then_some(wait)
    }

    /// It failed for good.
    pub fn give_up(&mut self) {
        self.complete();
    }

    /// When it may be asked again; none if it may be at once.
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// That time has come.
    pub fn is_due(&mut self) {
        self.not_before = None;
    }

    /// From when on something may be missing, if something is.
    pub fn since(&self) -> Option<UnixSeconds> {
        let range = self.range.as_ref().map(|range| range.from);
        range.into_iter().chain(self.later).min()
    }

    /// Why something is missing, if it is not only still on its way.
    pub fn trouble(&self) -> Option<&Arc<ClientError>> {
        self.trouble.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gaps: &mut Gaps, to: u32) -> Option<(u32, u32, Option<Cursor>)> {
        let (query, _) = gaps.next(UnixSeconds(to), &[])?;
        Some((query.from.0, query.to.0, query.cursor))
    }

    fn page(from: u32, to: u32, cursor: &[u8]) -> PageDone {
        let (from, to) = (UnixSeconds(from), UnixSeconds(to));
        PageDone { from, to, cursor: Cursor::from_bytes(cursor), ..PageDone::default() }
    }

    fn limited() -> ClientError {
        ClientError::RateLimited("rate limit exceeded".to_owned())
    }

    #[test]
    fn a_failed_request_is_asked_again_from_where_it_was() {
        let now = Instant::now();
        let mut gaps = Gaps::default();
        assert_eq!(asked(&mut gaps, 1000), None);
        gaps.want(UnixSeconds(100));
        assert_eq!(asked(&mut gaps, 1000), Some((100, 1000, None)));
        // Nothing came of it: the next attempt goes up to the time of then.
        gaps.failed(limited(), now);
        assert_eq!(asked(&mut gaps, 1001), None, "not before its time");
        gaps.is_due();
        assert_eq!(asked(&mut gaps, 1001), Some((100, 1001, None)));
        gaps.page(&page(100, 1001, &[7]));
        gaps.failed(ClientError::NotConnected, now);
        gaps.missed(UnixSeconds(990), ClientError::NotConnected);
        gaps.is_due();
        assert_eq!(asked(&mut gaps, 1010), Some((100, 1001, Cursor::from_bytes(&[7]))));
        assert_eq!(gaps.since(), Some(UnixSeconds(100)));
        assert!(gaps.trouble().is_some());
        gaps.page(&page(100, 1001, &[]));
        assert!(gaps.trouble().is_none(), "the rest is on its way");
        gaps.complete();
        // What was missed meanwhile comes then.
        assert_eq!(asked(&mut gaps, 1020), Some((990, 1020, None)));
        gaps.complete();
        assert_eq!((gaps.since(), gaps.trouble().is_none()), (None, true));
    }

    #[test]
    fn parts_of_a_range_are_gone_on_with() {
        let mut gaps = Gaps::default();
        gaps.want(UnixSeconds::EPOCH);
        gaps.next(UnixSeconds(999), &[]);
        gaps.page(&page(UnixSeconds::EPOCH.0, UnixSeconds(99).0, &[]));
        gaps.page(&page(100, 199, &[5]));
        let (query, goes_on) = gaps.next(UnixSeconds(2000), &[]).unwrap();
        assert_eq!((query.from.0, query.to.0, query.max_span), (100, 999, Some(100)));
        assert_eq!((query.cursor, goes_on), (Cursor::from_bytes(&[5]), true));
        gaps.page(&page(100, 199, &[]));
        let (query, _) = gaps.next(UnixSeconds(2000), &[]).unwrap();
        assert_eq!((query.from.0, query.to.0, query.max_span), (200, 999, None));
    }

    #[test]
    fn nothing_is_shown_twice_however_often_a_page_is_broken_off() {
        let now = Instant::now();
        let hash = |it: u8| EnvelopeHash([it; 32]);
        let mut gaps = Gaps::default();
        gaps.want(UnixSeconds(1));
        gaps.next(UnixSeconds(9), &[]);
        let mut shown = Vec::new();
        for upto in [3, 1, 5, 0, 6] {
            shown.extend((0..upto).filter(|it| gaps.is_first(hash(*it))));
            gaps.failed(limited(), now);
        }
        // In smaller pages, too.
        for it in 0..8 {
            shown.extend(gaps.is_first(hash(it)).then_some(it));
            if it % 3 == 2 {
                gaps.page(&page(1, 9, &[it]));
            }
        }
        assert_eq!(shown, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_told_once() {
        let now = Instant::now();
        let mut gaps = Gaps::default();
        gaps.want(UnixSeconds(1));
        let mut waits = Vec::new();
        for attempt in 0..100 {
            gaps.is_due();
            assert_eq!(asked(&mut gaps, 9), Some((1, 9, None)));
            assert_eq!(gaps.failed(limited(), now).is_some(), attempt == 0);
            waits.push((gaps.not_before().unwrap() - now).as_secs());
        }
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60]);
        assert!(waits[7..].iter().all(|wait| *wait == 60));
        assert!(gaps.failed(ClientError::TimedOut, now).is_some(), "something else");
    }
}

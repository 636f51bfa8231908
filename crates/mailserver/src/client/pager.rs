//! Which requests a history takes, and what of the answers belongs to it. Without a connection,
//! and without a clock.
//!
//! A range that is too long is asked for in parts, each part page by page. The pager does not trust
//! the server: it drops what was not asked for, and ends a history whose cursors lead in circles or
//! whose pages bring nothing.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Topic},
    mailserver::{Cursor, DAY, Request},
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::{MAX_LIMIT, RequestComplete},
    },
};

use crate::client::{HistoryQuery, Misbehaviour, PageDone, Tally};

/// Hashes that are remembered, to notice envelopes that come twice.
const MAX_SEEN: usize = 1 << 16;
/// The most consecutive pages that bring nothing.
const MAX_FRUITLESS: u32 = 3;
/// The longest range that servers accepted until January 2020.
const OLD_SPAN: u32 = DAY;
const SECOND: Duration = Duration::from_secs(1);

/// Decides what to ask for next.
pub(super) struct Pager {
    query: HistoryQuery,
    filter: Bloom,
    wanted: HashSet<Topic>,
    max_span: Option<u32>,
    limit: u32,
    /// The first second that no part has covered; `None` after the last second of 32 bits.
    next: Option<UnixSeconds>,
    part: Option<Part>,
    page: Page,
    /// How much of the range is done, in whole parts.
    parts_done: f64,
    seen: Seen,
    tally: Tally,
}

/// A part of the range, being paged through.
struct Part {
    from: UnixSeconds,
    to: UnixSeconds,
    /// The cursor it began with.
    begin: Option<Cursor>,
    /// The cursor of the next request.
    cursor: Option<Cursor>,
    cursors: HashSet<Cursor>,
    fruitless: u32,
    /// Whether its last page has come.
    is_done: bool,
}

/// The page that is coming in.
#[derive(Default)]
struct Page {
    /// All envelopes that came.
    received: u64,
    /// Those that were asked for and had not come before.
    fresh: u64,
    /// When the first and the last of those asked for were sent.
    ends: Option<(UnixSeconds, UnixSeconds)>,
}

/// How a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Completely, with the cursor of the next one.
    Complete(Option<Cursor>),
    /// Too much of it came to be taken in: what was taken is its beginning.
    Cut,
}

impl Pager {
    /// `max_span` is the longest range of one request in seconds, if the layout has a limit.
    pub(super) fn new(query: HistoryQuery, max_span: Option<u32>) -> Self {
        Self {
            filter: query.filter(),
            wanted: query.topics.iter().copied().collect(),
            max_span: query.max_span.into_iter().chain(max_span).min(),
            limit: query.limit,
            next: Some(query.from),
            part: None,
            page: Page::default(),
            parts_done: 0.0,
            seen: Seen::default(),
            tally: Tally::default(),
            query,
        }
    }

    /// Returns the next request; `None` at the end. Its page begins with it.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        if self.has_enough() {
            return None;
        }
        if self.part.as_ref().is_none_or(|part| part.is_done) {
            self.part = Some(self.next_part()?);
        }
        let Part { from, to, cursor, .. } = self.part.as_ref()?;
        let (limit, cursor) = (self.limit, cursor.clone());
        Some(Request { limit, cursor, ..Request::from_bloom(*from, *to, self.filter) })
    }

    /// Whether there are as many pages as wanted.
    fn has_enough(&self) -> bool {
        self.query.pages.is_some_and(|pages| self.tally.pages >= pages)
    }

    /// Begins the page of a request, which may be sent again.
    pub(super) fn begin_page(&mut self) {
        self.page = Page::default();
    }

    fn next_part(&mut self) -> Option<Part> {
        let (from, to) = (self.next?, self.query.to);
        if from > to {
            return None;
        }
        let span = |span: u32| UnixSeconds(from.0.saturating_add(span.max(1) - 1)).min(to);
        let last = self.max_span.map_or(to, span);
        self.next = last.checked_add(SECOND);
        if from > self.query.from {
            self.parts_done = share(self.query.from, to, from);
        }
        let begin = self.query.cursor.take();
        let (cursor, cursors) = (begin.clone(), HashSet::new());
        Some(Part { from, to: last, begin, cursor, cursors, fruitless: 0, is_done: false })
    }

    /// Counts envelopes of the page.
    ///
    /// # Errors
    /// If there are more than `most` in the page.
    pub(super) fn receive(&mut self, envelopes: usize, most: u64) -> Result<(), Misbehaviour> {
        self.page.received += envelopes as u64;
        // Some may be left of a request that was given up.
        if self.page.received > most { Err(Misbehaviour::EndlessPage) } else { Ok(()) }
    }

    /// Whether to hand out an envelope of the page; counts it.
    pub(super) fn accepts(&mut self, envelope: &Envelope) -> bool {
        let Some(part) = &self.part else { return false };
        let (sent, topic) = (envelope.sent(), envelope.topic());
        if !(part.from..=part.to).contains(&sent) || !self.filter.matches(topic) {
            self.tally.unwanted += 1;
            return false;
        }
        self.page.ends = Some((self.page.ends.map_or(sent, |(first, _)| first), sent));
        if !self.seen.insert(envelope.hash()) {
            self.tally.duplicates += 1;
            return false;
        }
        self.page.fresh += 1;
        if !self.wanted.is_empty() && !self.wanted.contains(&topic) {
            self.tally.other_topics += 1;
            return false;
        }
        self.tally.envelopes += 1;
        true
    }

    /// Counts a request that is sent again.
    pub(super) fn retried(&mut self) {
        self.tally.retries += 1;
    }

    /// Ends a page. Returns what to report of it (nothing, if it is asked for again in smaller
    /// pages), and whether the server leads on.
    pub(super) fn end_page(&mut self, end: End) -> (Option<PageDone>, Result<(), Misbehaviour>) {
        match end {
            End::Cut => (None, self.shrink_pages()),
            End::Complete(cursor) => {
                let done = self.complete(cursor.clone());
                let leads_on = if self.has_enough() { Ok(()) } else { self.advance(cursor) };
                (done, leads_on)
            }
        }
    }

    /// Asks for smaller pages from here on. What was taken comes again, as duplicates.
    fn shrink_pages(&mut self) -> Result<(), Misbehaviour> {
        if self.page.received >= page_limit(self.limit).into() {
            return Err(Misbehaviour::EndlessPage);
        }
        self.limit = u32::try_from(self.page.received).unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
        self.tally.retries += 1;
        Ok(())
    }

    fn complete(&mut self, cursor: Option<Cursor>) -> Option<PageDone> {
        self.tally.pages += 1;
        let Part { from, to, .. } = *self.part.as_ref()?;
        let is_last = cursor.is_none() && to >= self.query.to;
        let done = match &cursor {
            None if is_last => 1.0,
            None => share(self.query.from, self.query.to, to.saturating_add(SECOND)),
            Some(cursor) => self.within(from, to, cursor),
        };
        Some(PageDone { from, to, cursor, is_last, done, tally: self.tally })
    }

    /// Moves on to the next page.
    fn advance(&mut self, cursor: Option<Cursor>) -> Result<(), Misbehaviour> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let Some(cursor) = cursor else {
            part.is_done = true;
            return Ok(());
        };
        if Some(&cursor) == part.cursor.as_ref() || !part.cursors.insert(cursor.clone()) {
            return Err(Misbehaviour::CursorLoop);
        }
        part.fruitless = if self.page.fresh > 0 { 0 } else { part.fruitless + 1 };
        if part.fruitless > MAX_FRUITLESS {
            return Err(Misbehaviour::NoProgress);
        }
        part.cursor = Some(cursor);
        Ok(())
    }

    /// Asks for parts of a day, if that is what a refusal asks for. Returns whether it does.
    pub(super) fn split(&mut self, refusal: &str) -> bool {
        let is_too_long = refusal.starts_with("query range too big");
        let Some(part) = self.part.take_if(|it| is_too_long && it.to.0 - it.from.0 >= OLD_SPAN)
        else {
            return false;
        };
        self.max_span = Some(OLD_SPAN);
        (self.next, self.query.cursor) = (Some(part.from), part.begin);
        true
    }

    /// How much of the whole is done in the middle of a part: by the second of the cursor, and by
    /// the direction of the page.
    fn within(&self, from: UnixSeconds, to: UnixSeconds, cursor: &Cursor) -> f64 {
        let sent = cursor.position().map_or(from, |it| it.sent.clamp(from, to));
        let descends = self.page.ends.is_some_and(|(first, last)| first > last);
        let done = if descends { to.saturating_since(sent) } else { sent.saturating_since(from) };
        let of_part = ratio(done, to.saturating_since(from));
        let part =
            share(self.query.from, self.query.to, to.saturating_add(SECOND)) - self.parts_done;
        (self.parts_done + of_part * part).clamp(0.0, 1.0)
    }
}

/// Plays a history against a server that answers each request with these packets, without a
/// connection. Returns what was handed out, and how it ended. For fuzzing.
#[doc(hidden)]
pub fn play(
    query: HistoryQuery,
    mut answer: impl FnMut(&Request) -> Option<Vec<Packet>>,
) -> (Vec<Envelope>, Result<(), Misbehaviour>) {
    let mut pager = Pager::new(query, None);
    let mut handed_out = Vec::new();
    'pages: while let Some(request) = pager.next_request() {
        let Some(packets) = answer(&request) else { break };
        let most = u64::from(MAX_LIMIT) + u64::from(page_limit(request.limit));
        pager.begin_page();
        for packet in packets {
            match packet {
                Packet::P2pMessage(envelopes) => {
                    if let Err(misbehaviour) = pager.receive(envelopes.len(), most) {
                        return (handed_out, Err(misbehaviour));
                    }
                    handed_out.extend(envelopes.into_iter().filter(|it| pager.accepts(it)));
                }
                Packet::RequestComplete(RequestComplete::Success { cursor, .. }) => {
                    if let (_, Err(misbehaviour)) = pager.end_page(End::Complete(cursor)) {
                        return (handed_out, Err(misbehaviour));
                    }
                    continue 'pages;
                }
                Packet::RequestComplete(RequestComplete::Failure { text, .. }) => {
                    if pager.split(&String::from_utf8_lossy(&text)) {
                        continue 'pages;
                    }
                    break 'pages;
                }
                _ => {}
            }
        }
        // Part of an answer, as if more of it did not fit.
        if let (_, Err(misbehaviour)) = pager.end_page(End::Cut) {
            return (handed_out, Err(misbehaviour));
        }
    }
    (handed_out, Ok(()))
}

/// The most envelopes that a server sends in a page.
pub(super) fn page_limit(limit: u32) -> u32 {
    if limit == 0 { MAX_LIMIT } else { limit }
}

/// Which share of the seconds from `from` to `to` comes before `at`.
fn share(from: UnixSeconds, to: UnixSeconds, at: UnixSeconds) -> f64 {
    ratio(at.saturating_since(from), to.saturating_since(from))
}

/// Which share of a range, whose last second counts, is done.
fn ratio(done: Duration, range: Duration) -> f64 {
    (done.as_secs_f64() / (range.as_secs_f64() + 1.0)).clamp(0.0, 1.0)
}

/// The hashes of the last envelopes.
#[derive(Default)]
struct Seen {
    set: HashSet<EnvelopeHash>,
    order: VecDeque<EnvelopeHash>,
}

impl Seen {
    /// Returns whether it is new.
    fn insert(&mut self, hash: EnvelopeHash) -> bool {
        if !self.set.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MAX_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::{envelope::SymKey, mailserver::Position, wire::Packet};

    use super::*;
    use crate::{Archive, Server, ServerConfig, archive::MemoryArchive};

    /// A history without a network: the pager asks a server's rules.
    fn answer(request: &Request, server: &Server, archive: &MemoryArchive) -> (Vec<Envelope>, End) {
        use statuskit_core::wire::p2p::{P2pRequest, RequestComplete};
        let asked = P2pRequest::Plain(request.to_plain(&[1; 32]).unwrap());
        let now = std::time::Duration::from_secs(1_585_400_000);
        let mut answer = server.request(Default::default(), &asked, archive, now).unwrap();
        let mut envelopes = Vec::new();
        while let Some(reply) = answer.next(archive).unwrap() {
            match Packet::decode(reply.packet.code, &reply.packet.payload).unwrap() {
                Packet::P2pMessage(more) => envelopes.extend(more),
                Packet::RequestComplete(RequestComplete::Success { cursor, .. }) => {
                    return (envelopes, End::Complete(cursor));
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("an answer without an end")
    }

    #[test]
    fn a_range_is_paged_through_in_parts() {
        let all: Vec<Envelope> = (0..100)
            .map(|i| Envelope::new(UnixSeconds(1000 + 7 * i), 10, Topic([1; 4]), b"data", i.into()))
            .collect();
        let archive = MemoryArchive::new();
        archive.append(&all).unwrap();
        let password = SymKey::from_bytes([1; 32]).unwrap();
        let mut rules = ServerConfig::from_password(password);
        rules.allow_plain = Some(true);
        let server = Server::new(rules).unwrap();
        for (max_span, limit) in [(None, 0), (None, 9), (Some(100), 0), (Some(50), 2), (Some(1), 1)]
        {
            let query = HistoryQuery {
                limit,
                max_span,
                ..HistoryQuery::from_topics(UnixSeconds(900), UnixSeconds(1700), [])
            };
            let mut pager = Pager::new(query, None);
            let (mut got, mut done) = (Vec::new(), Vec::new());
            while let Some(request) = pager.next_request() {
                pager.begin_page();
                assert!(max_span.is_none_or(|span| request.to.0 - request.from.0 < span));
                let (envelopes, end) = answer(&request, &server, &archive);
                pager.receive(envelopes.len(), 1000).unwrap();
                got.extend(envelopes.into_iter().filter(|it| pager.accepts(it)));
                let (page, leads_on) = pager.end_page(end);
                leads_on.unwrap();
                done.extend(page);
            }
            assert!(got == all);
            assert!(done.is_sorted_by_key(|page| page.done), "{done:?}");
            assert!(done.last().is_some_and(|page| page.is_last && page.done == 1.0));
        }
    }

    #[test]
    fn a_refused_range_is_asked_for_in_days() {
        let begin = Some(Cursor::from(Position::first_of(UnixSeconds(5))));
        let query = HistoryQuery {
            cursor: begin.clone(),
            ..HistoryQuery::from_topics(UnixSeconds::EPOCH, UnixSeconds(3 * DAY), [])
        };
        let mut pager = Pager::new(query, None);
        assert_eq!(pager.next_request().unwrap().to, UnixSeconds(3 * DAY));
        assert!(!pager.split("failed to decrypt p2p request"));
        assert!(pager.split("query range too big for peer"));
        let request = pager.next_request().unwrap();
        assert_eq!((request.from.0, request.to.0, request.cursor), (0, DAY - 1, begin));
        assert!(!pager.split("query range too big for peer"), "it can't be any shorter");
    }
}

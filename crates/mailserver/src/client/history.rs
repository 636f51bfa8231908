//! Page after page of a range of time.
//!
//! A task of its own asks and listens, so that a server never fills our memory while nobody takes
//! what it sends: the next page is asked for when all of the last was taken.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Topic},
    mailserver::{Cursor, DAY, Request},
    wire::{
        Packet,
        p2p::{MAX_LIMIT, RequestComplete},
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    client::{
        ClientError, Inbox, Inner, Misbehaviour,
        inbox::{Mail, mail},
        pace::Patience,
        send,
    },
    server::request_id,
};

/// Envelopes that wait in between, beside those in the inbox.
const CHANNEL: usize = 64;
/// Hashes that are remembered, to notice envelopes that come twice.
const MAX_SEEN: usize = 1 << 16;
/// Pages in a row that may bring nothing.
const MAX_FRUITLESS: u32 = 3;
/// Envelopes that a server without pages may send at a time.
const MAX_WITHOUT_LIMIT: u64 = 1 << 24;
/// The range that servers refused to exceed until January 2020.
const OLD_SPAN: u32 = DAY;

/// What of the past is wanted.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The first second, UNIX time, inclusive.
    pub from: u32,
    /// The last second, inclusive.
    pub to: u32,
    /// Exactly these topics; all that the filter matches if there is none.
    pub topics: Vec<Topic>,
    /// The filter; that of the topics if there is none, and without topics the full one.
    pub bloom: Option<Bloom>,
    /// Envelopes per page; 0 for as many as the server gives.
    pub limit: u32,
    /// Where to go on: the cursor of the [`PageDone`] that came last, with its `from`.
    pub cursor: Option<Cursor>,
    /// The most pages; none for all.
    pub pages: Option<u32>,
    /// The longest range of one request, in seconds; longer ones are asked for in parts, oldest
    /// first. A server that refuses a range as too long gets parts of a day in any case.
    pub max_span: Option<u32>,
}

impl HistoryQuery {
    /// The envelopes of some topics; of all, if there are none.
    pub fn from_topics(from: u32, to: u32, topics: impl IntoIterator<Item = Topic>) -> Self {
        Self {
            from,
            to,
            topics: topics.into_iter().collect(),
            bloom: None,
            limit: 0,
            cursor: None,
            pages: None,
            max_span: None,
        }
    }

    fn filter(&self) -> Bloom {
        match (self.bloom, self.topics.is_empty()) {
            (Some(bloom), _) => bloom,
            (None, true) => Bloom::FULL,
            (None, false) => Bloom::from_topics(self.topics.iter().copied()),
        }
    }
}

/// What a history brings.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryItem {
    /// An envelope of the range, with one of the topics, for the first time.
    Envelope(Envelope),
    /// A page is complete.
    Page(PageDone),
}

/// A page that is complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageDone {
    /// The range that was asked for: a part of the whole, if that is too long.
    pub from: u32,
    /// Its last second.
    pub to: u32,
    /// Where the next page of this range begins; `None` if this was the last.
    pub cursor: Option<Cursor>,
    /// Nothing of the whole range is left.
    pub is_last: bool,
    /// How much of the whole range is done, 0 to 1. In the middle of a range it is an estimate by
    /// time, not by envelopes.
    pub done: f64,
    /// What has come so far, in all pages.
    pub tally: Tally,
}

/// What has come in all pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages.
    pub pages: u32,
    /// Envelopes handed out.
    pub envelopes: u64,
    /// Envelopes that came before.
    pub duplicates: u64,
    /// Envelopes that the filter matches, of other topics than those asked for.
    pub other_topics: u64,
    /// Envelopes that were not asked for at all.
    pub unwanted: u64,
    /// Requests that were sent again.
    pub retries: u32,
}

/// The envelopes of a range of time, as they come.
#[derive(Debug)]
pub struct History {
    items: mpsc::Receiver<Result<HistoryItem, ClientError>>,
    task: JoinHandle<()>,
}

impl History {
    pub(super) fn start(client: Arc<Inner>, query: HistoryQuery) -> Self {
        let (out, items) = mpsc::channel(CHANNEL);
        let wanted = query.topics.iter().copied().collect();
        let pager = Pager {
            filter: query.filter(),
            wanted,
            max_span: query.max_span.into_iter().chain(client.config.layout.max_span()).min(),
            limit: query.limit,
            parts: 0.0,
            seen: Seen::default(),
            tally: Tally::default(),
            client,
            query,
            out,
        };
        Self { items, task: tokio::spawn(pager.run()) }
    }

    /// The next item; none after the end of the range, or after an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<HistoryItem, ClientError>> {
        self.items.recv().await
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Pager {
    client: Arc<Inner>,
    query: HistoryQuery,
    filter: Bloom,
    wanted: HashSet<Topic>,
    max_span: Option<u32>,
    limit: u32,
    /// How much of the range is done, in whole parts.
    parts: f64,
    seen: Seen,
    tally: Tally,
    out: mpsc::Sender<Result<HistoryItem, ClientError>>,
}

/// Why it goes no further.
enum Halt {
    Error(ClientError),
    /// Nobody listens any more, or there are enough pages.
    Enough,
}

impl From<ClientError> for Halt {
    fn from(error: ClientError) -> Self {
        Self::Error(error)
    }
}

impl From<Misbehaviour> for Halt {
    fn from(error: Misbehaviour) -> Self {
        Self::Error(error.into())
    }
}

/// A page, when it is complete.
#[derive(Default)]
struct Page {
    /// Envelopes that came, whatever became of them.
    received: u64,
    /// Those that were asked for and had not come before.
    fresh: u64,
    /// The seconds of the first and the last of those that were asked for.
    ends: Option<(u32, u32)>,
    cursor: Option<Cursor>,
    /// There was too much of it: what is here is its beginning.
    is_cut: bool,
}

impl Pager {
    async fn run(mut self) {
        if let Err(Halt::Error(error)) = self.all().await {
            let _ = self.out.send(Err(error)).await;
        }
    }

    /// Part after part of the range.
    async fn all(&mut self) -> Result<(), Halt> {
        let HistoryQuery { mut from, to, .. } = self.query;
        let mut cursor = self.query.cursor.take();
        while from <= to {
            let last =
                self.max_span.map_or(to, |span| from.saturating_add(span.max(1) - 1).min(to));
            match self.part(from, last, cursor.clone()).await {
                Err(Halt::Error(ClientError::Refused(text)))
                    if text.starts_with("query range too big") && last - from >= OLD_SPAN =>
                {
                    self.max_span = Some(OLD_SPAN);
                    continue;
                }
                result => result?,
            }
            cursor = None;
            let Some(next) = last.checked_add(1) else { break };
            from = next;
            self.parts = share(self.query.from, to, from);
        }
        Ok(())
    }

    /// Page after page of a part.
    async fn part(&mut self, from: u32, to: u32, cursor: Option<Cursor>) -> Result<(), Halt> {
        let mut request =
            Request { limit: self.limit, cursor, ..Request::from_bloom(from, to, self.filter) };
        let mut cursors: HashSet<Cursor> = HashSet::new();
        let mut fruitless = 0;
        loop {
            let page = self.page_or_again(&request).await?;
            if page.is_cut {
                if page.received >= page_limit(&request).into() {
                    return Err(Misbehaviour::EndlessPage.into());
                }
                // In smaller pages from here on. What was taken comes again, and is a duplicate.
                self.limit = u32::try_from(page.received).unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
                request.limit = self.limit;
                self.tally.retries += 1;
                continue;
            }
            self.tally.pages += 1;
            let end = page.cursor.is_none();
            let is_last = end && to >= self.query.to;
            let done = if is_last {
                1.0
            } else if end {
                share(self.query.from, self.query.to, to.saturating_add(1))
            } else {
                self.within(from, to, &page)
            };
            let (cursor, tally) = (page.cursor.clone(), self.tally);
            let item = PageDone { from, to, cursor, is_last, done, tally };
            self.hand_out(HistoryItem::Page(item)).await?;
            if self.query.pages.is_some_and(|pages| self.tally.pages >= pages) {
                return Err(Halt::Enough);
            }
            if end {
                return Ok(());
            }
            let is_known = page.cursor.clone().is_none_or(|cursor| !cursors.insert(cursor));
            if page.cursor == request.cursor || is_known {
                return Err(Misbehaviour::CursorLoop.into());
            }
            fruitless = if page.fresh > 0 { 0 } else { fruitless + 1 };
            if fruitless > MAX_FRUITLESS {
                return Err(Misbehaviour::NoProgress.into());
            }
            request.cursor = page.cursor;
        }
    }

    /// A page, asked for again if need be.
    async fn page_or_again(&mut self, request: &Request) -> Result<Page, Halt> {
        let mut retries = 0;
        let mut patience = Patience::new(self.client.config.rate_limit_patience);
        let wait = self.client.pace().wait(Instant::now());
        sleep(wait).await;
        loop {
            let mut sent = Instant::now();
            match self.page(request, &mut sent).await {
                Err(Halt::Error(error))
                    if error.passes() && retries < self.client.config.retries =>
                {
                    retries += 1;
                }
                Err(Halt::Error(ClientError::RateLimited(text))) => {
                    self.client.pace().refused(Instant::now());
                    let Some(wait) = patience.wait() else {
                        return Err(ClientError::RateLimited(text).into());
                    };
                    sleep(wait).await;
                }
                Ok(page) => {
                    self.client.pace().accepted(sent);
                    return Ok(page);
                }
                result => return result,
            }
            self.tally.retries += 1;
        }
    }

    /// One request, and what answers it; tells when it was sent.
    async fn page(&mut self, request: &Request, sent: &mut Instant) -> Result<Page, Halt> {
        let client = self.client.clone();
        let config = &client.config;
        let _turn = client.turn.lock().await;
        let peer = client.connected().await?;
        let mut inbox = Inbox::new(&client.handle, peer, config.max_waiting_bytes);
        let asked = inbox.during(client.packet(request, peer)).await?;
        inbox.expect(request_id(&asked));
        let packet = Packet::P2pRequest(asked);
        *sent = Instant::now();
        send(&mut inbox, &client.handle, peer, &packet, config.timeout).await?;

        let most = match config.quiet {
            None => u64::from(MAX_LIMIT) + u64::from(page_limit(request)),
            // Servers that don't say where a page ends know no limit either.
            Some(_) => MAX_WITHOUT_LIMIT,
        };
        let mut page = Page::default();
        loop {
            let event = match inbox.next(config.quiet.unwrap_or(config.timeout)).await {
                // Smaller pages would not help.
                Err(ClientError::TimedOut) if config.quiet.is_some() && inbox.left_out() => {
                    return Err(ClientError::Lagged.into());
                }
                Err(ClientError::TimedOut) if config.quiet.is_some() => return Ok(page),
                event => event?,
            };
            match mail(&event, peer) {
                Some(Mail::Envelopes(envelopes)) => {
                    page.received += envelopes.len() as u64;
                    // Somewhat more may be left of a request that we gave up.
                    if page.received > most {
                        return Err(Misbehaviour::EndlessPage.into());
                    }
                    for envelope in envelopes {
                        if self.is_asked_for(envelope, request, &mut page) {
                            let item = HistoryItem::Envelope(envelope.clone());
                            inbox.during(self.hand_out(item)).await?;
                        }
                    }
                }
                Some(Mail::Complete(RequestComplete::Success { cursor, .. })) => {
                    page.is_cut = inbox.left_out();
                    page.cursor.clone_from(cursor);
                    return Ok(page);
                }
                Some(Mail::Complete(RequestComplete::Failure { text, .. })) => {
                    return Err(ClientError::refused(text).into());
                }
                _ => {}
            }
        }
    }

    /// Whether an envelope is one to hand out; counts it.
    fn is_asked_for(&mut self, envelope: &Envelope, request: &Request, page: &mut Page) -> bool {
        let (sent, topic) = (envelope.sent(), envelope.topic());
        if !(request.from..=request.to).contains(&sent) || !self.filter.matches(topic) {
            self.tally.unwanted += 1;
            return false;
        }
        page.ends = Some((page.ends.map_or(sent, |(first, _)| first), sent));
        if !self.seen.insert(envelope.hash()) {
            self.tally.duplicates += 1;
            return false;
        }
        page.fresh += 1;
        if !self.wanted.is_empty() && !self.wanted.contains(&topic) {
            self.tally.other_topics += 1;
            return false;
        }
        self.tally.envelopes += 1;
        true
    }

    /// How much of the whole is done in the middle of a part: by the second that the cursor
    /// speaks of, and by the direction in which the page went.
    fn within(&self, from: u32, to: u32, page: &Page) -> f64 {
        let position = page.cursor.as_ref().and_then(Cursor::position);
        let sent = position.map_or(from, |it| it.sent.clamp(from, to));
        let descends = page.ends.is_some_and(|(first, last)| first > last);
        let of_part = if descends {
            share(0, to - from, to - sent)
        } else {
            share(0, to - from, sent - from)
        };
        let part = share(self.query.from, self.query.to, to.saturating_add(1)) - self.parts;
        (self.parts + of_part * part).clamp(0.0, 1.0)
    }

    /// Waits until there is room.
    fn hand_out(&self, item: HistoryItem) -> impl Future<Output = Result<(), Halt>> + use<> {
        let out = self.out.clone();
        async move { out.send(Ok(item)).await.map_err(|_| Halt::Enough) }
    }
}

fn page_limit(request: &Request) -> u32 {
    if request.limit == 0 { MAX_LIMIT } else { request.limit }
}

/// Which share of the seconds from `from` to `to` comes before `at`.
fn share(from: u32, to: u32, at: u32) -> f64 {
    let all = f64::from(to.saturating_sub(from)) + 1.0;
    (f64::from(at.saturating_sub(from)) / all).clamp(0.0, 1.0)
}

/// The hashes of the envelopes that came last.
#[derive(Default)]
struct Seen {
    set: HashSet<EnvelopeHash>,
    order: VecDeque<EnvelopeHash>,
}

impl Seen {
    /// Whether it is new.
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

//! Page after page of a range of time.
//!
//! A task asks and receives, and requests the next page when all of the last one was taken. So a
//! server never fills our memory.

use std::sync::Arc;

use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    mailserver::{Cursor, Request},
    time::UnixSeconds,
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
        ClientError, Inbox, Inner,
        inbox::{Mail, mail},
        pace::Patience,
        pager::{End, Pager, page_limit},
    },
    server::request_id,
};

/// Envelopes that wait in between, besides those in the inbox.
const CHANNEL: usize = 64;
/// The most envelopes of a server without pages.
const MAX_WITHOUT_LIMIT: u64 = 1 << 24;

/// Which part of the past is wanted.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The first second, UNIX time, inclusive.
    pub from: UnixSeconds,
    /// The last second, inclusive.
    pub to: UnixSeconds,
    /// Exactly these topics; if there are none, all that the filter matches.
    pub topics: Vec<Topic>,
    /// The filter; by default that of the topics, and without topics the full one.
    pub bloom: Option<Bloom>,
    /// Envelopes per page; 0 for as many as the server sends.
    pub limit: u32,
    /// Where to continue: the cursor of the last [`PageDone`], with its `from`.
    pub cursor: Option<Cursor>,
    /// The maximum number of pages; `None` for all.
    pub pages: Option<u32>,
    /// The longest range of one request in seconds. Longer ones are asked for in parts, oldest
    /// first. If a server refuses a range as too long, it is asked for parts of a day anyway.
    pub max_span: Option<u32>,
}

impl HistoryQuery {
    /// Asks for the envelopes of some topics; for all, if there are none.
    pub fn from_topics(
        from: UnixSeconds,
        to: UnixSeconds,
        topics: impl IntoIterator<Item = Topic>,
    ) -> Self {
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

    pub(super) fn filter(&self) -> Bloom {
        match (self.bloom, self.topics.is_empty()) {
            (Some(bloom), _) => bloom,
            (None, true) => Bloom::FULL,
            (None, false) => Bloom::from_topics(self.topics.iter().copied()),
        }
    }
}

/// An item of a history.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryItem {
    /// An envelope of the range with one of the topics, for the first time.
    Envelope(Envelope),
    /// A page is complete.
    Page(PageDone),
}

/// A page that is complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageDone {
    /// The first second that was asked for: a part of the whole range, if that is too long.
    pub from: UnixSeconds,
    /// The last second.
    pub to: UnixSeconds,
    /// Where the next page of this range begins; `None` if this was the last.
    pub cursor: Option<Cursor>,
    /// Whether the whole range is done.
    pub is_last: bool,
    /// How much of the whole range is done, from 0 to 1. In the middle of a range it is an estimate
    /// by time, not by envelopes.
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
    /// Envelopes that had come before.
    pub duplicates: u64,
    /// Envelopes that the filter matches, of other topics than those asked for.
    pub other_topics: u64,
    /// Envelopes that were not asked for at all.
    pub unwanted: u64,
    /// Requests that were sent again.
    pub retries: u32,
}

/// The envelopes of a range of time, as they come. Dropping it ends the requests.
#[derive(Debug)]
pub struct History {
    items: mpsc::Receiver<Result<HistoryItem, ClientError>>,
    task: JoinHandle<()>,
}

impl History {
    pub(super) fn start(client: Arc<Inner>, query: HistoryQuery) -> Self {
        let (out, items) = mpsc::channel(CHANNEL);
        let pager = Pager::new(query, client.config.layout.max_span());
        Self { items, task: tokio::spawn(Task { client, pager, heard: Instant::now(), out }.run()) }
    }

    /// Returns the next item; `None` after the end of the range, or after an error. Cancel-safe.
    ///
    /// # Errors
    /// If the server can't be asked, refuses, or misbehaves.
    pub async fn next(&mut self) -> Option<Result<HistoryItem, ClientError>> {
        self.items.recv().await
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for what the pager wants, and hands out what it accepts.
struct Task {
    client: Arc<Inner>,
    pager: Pager,
    /// When the server was last heard of, or we began to wait for it: the limit counts from here,
    /// over all retries.
    heard: Instant,
    out: mpsc::Sender<Result<HistoryItem, ClientError>>,
}

/// Why a history ends early.
enum Halt {
    Error(ClientError),
    /// The [`History`] was dropped.
    Dropped,
}

impl<E: Into<ClientError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Task {
    async fn run(mut self) {
        if let Err(Halt::Error(error)) = self.pages().await {
            let _ = self.out.send(Err(error)).await;
        }
    }

    async fn pages(&mut self) -> Result<(), Halt> {
        while let Some(request) = self.pager.next_request() {
            let end = match self.page(&request).await {
                Err(Halt::Error(ClientError::Refused(text))) if self.pager.split(&text) => continue,
                end => end?,
            };
            let (done, leads_on) = self.pager.end_page(end);
            if let Some(done) = done {
                self.hand_out(HistoryItem::Page(done)).await?;
            }
            leads_on?;
        }
        Ok(())
    }

    /// Asks for a page, again if necessary.
    async fn page(&mut self, request: &Request) -> Result<End, Halt> {
        let client = self.client.clone();
        let mut retries = 0;
        let mut patience = Patience::new(client.config.rate_limit_patience);
        let wait = client.pace().wait(Instant::now());
        sleep(wait).await;
        self.heard = Instant::now();
        loop {
            let mut sent = Instant::now();
            match self.ask(request, &mut sent).await {
                Err(Halt::Error(error))
                    if error.passes()
                        && retries < client.config.retries
                        && self.heard.elapsed() < client.config.timeout =>
                {
                    retries += 1;
                }
                Err(Halt::Error(ClientError::RateLimited(text))) => {
                    client.pace().refused(Instant::now());
                    let wait = patience.wait().ok_or(ClientError::RateLimited(text))?;
                    sleep(wait).await;
                    self.heard = Instant::now();
                }
                Ok(end) => {
                    client.pace().accepted(sent);
                    return Ok(end);
                }
                halt => return halt,
            }
            self.pager.retried();
        }
    }

    /// Sends one request and receives its answer. Sets when it was sent.
    async fn ask(&mut self, request: &Request, sent: &mut Instant) -> Result<End, Halt> {
        let client = self.client.clone();
        let config = &client.config;
        let waits = Instant::now();
        let _turn = client.turn.lock().await;
        // The time of others is not the server's.
        self.heard += waits.elapsed();
        let peer = client.connected(self.heard).await?;
        let mut inbox = Inbox::new(&client.handle, peer, config.max_waiting_bytes);
        let asked = inbox.during(client.packet(request, peer)).await?;
        inbox.expect(request_id(&asked));
        *sent = Instant::now();
        let left = config.timeout.saturating_sub(self.heard.elapsed());
        inbox.send(&client.handle, &Packet::P2pRequest(asked), left).await?;

        // Servers that don't mark the end of a page have no limit either.
        let most = match config.quiet {
            None => u64::from(MAX_LIMIT) + u64::from(page_limit(request.limit)),
            Some(_) => MAX_WITHOUT_LIMIT,
        };
        self.pager.begin_page();
        loop {
            let left = config.timeout.saturating_sub(self.heard.elapsed());
            let event = match inbox.next(config.quiet.unwrap_or(left)).await {
                // Smaller pages would not help.
                Err(ClientError::TimedOut) if config.quiet.is_some() && inbox.left_out() => {
                    return Err(ClientError::Lagged.into());
                }
                Err(ClientError::TimedOut) if config.quiet.is_some() => {
                    return Ok(End::Complete(None));
                }
                event => event?,
            };
            match mail(&event, peer) {
                Some(Mail::Envelopes(envelopes)) => {
                    self.pager.receive(envelopes.len(), most)?;
                    for envelope in envelopes {
                        if self.pager.accepts(envelope) {
                            let item = HistoryItem::Envelope(envelope.clone());
                            inbox.during(self.hand_out(item)).await?;
                        }
                    }
                    self.heard = Instant::now();
                }
                Some(Mail::Complete(RequestComplete::Success { .. })) if inbox.left_out() => {
                    return Ok(End::Cut);
                }
                Some(Mail::Complete(RequestComplete::Success { cursor, .. })) => {
                    return Ok(End::Complete(cursor.clone()));
                }
                Some(Mail::Complete(RequestComplete::Failure { text, .. })) => {
                    return Err(ClientError::refused(text).into());
                }
                _ => {}
            }
        }
    }

    /// Waits until there is room.
    fn hand_out(&self, item: HistoryItem) -> impl Future<Output = Result<(), Halt>> + use<> {
        let out = self.out.clone();
        async move { out.send(Ok(item)).await.map_err(|_| Halt::Dropped) }
    }
}

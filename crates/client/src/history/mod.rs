//! History and the live stream as one.
//!
//! The live stream comes first: once the peers are connected, whatever is sent arrives. Then the
//! mailserver is asked for what came before, up to the present and a little further, and the
//! overlap is delivered once. Whenever the stream is interrupted, the mailserver is asked for the
//! time since.
//!
//! Little has to be remembered for that: an envelope can only come twice while it is in the overlap
//! of the two, so the hashes of those that expired long ago are not kept.

mod gaps;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::Enode,
    envelope::{Envelope, EnvelopeHash, Topic},
    mailserver::Access,
    time::UnixSeconds,
};
use statuskit_mailserver::client::{
    Client as MailserverClient, ClientConfig, ClientError as HistoryError, History as Pages,
    HistoryItem,
};
use statuskit_net::node::Handle;

use self::gaps::Gaps;
use crate::share::HolderError;

/// How far the history goes beyond the present: clocks differ, and what is just being
/// sent belongs to it.
const MARGIN: Duration = Duration::from_secs(60);
/// How long an envelope may take from its expiry to the archive and to us.
const GRACE: Duration = Duration::from_secs(600);
/// Hashes that are remembered.
const MAX_SEEN: usize = 1 << 18;
/// How long to wait for the mailserver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A mailserver, and what to ask it for.
#[derive(Debug, Clone)]
pub struct HistorySource {
    /// The mailserver. It is a peer like the others, too.
    pub mailserver: Enode,
    /// How it is asked.
    pub access: Access,
    /// The second from which on everything is wanted.
    pub since: UnixSeconds,
}

/// News of the history.
#[derive(Debug)]
#[non_exhaustive]
pub enum HistoryEvent {
    /// The mailserver is not connected. It is asked as soon as it is.
    Waiting,
    /// A request failed, and is going to be repeated.
    Interrupted {
        /// Why.
        error: Arc<HistoryError>,
        /// When it is repeated; `None` for as soon as the mailserver is connected.
        retry_in: Option<Duration>,
    },
    /// All that was asked for has come.
    Complete {
        /// Envelopes that had not come before.
        envelopes: u64,
    },
    /// The program that holds the state could not fetch it.
    Refused(HolderError),
    /// A request failed for good.
    Failed {
        /// Why.
        error: Arc<HistoryError>,
        /// From this second on something is missing.
        since: Option<UnixSeconds>,
    },
}

/// The history, as it comes in beside the live stream.
#[derive(Debug)]
pub(crate) struct History {
    client: MailserverClient,
    server: PublicKey,
    pages: Option<Pages>,
    /// New envelopes of the request that is under way.
    count: u64,
    gaps: Gaps,
    seen: VecDeque<EnvelopeHash>,
    known: HashSet<EnvelopeHash>,
    /// Whether it was tried to ask.
    is_asked: bool,
}

/// What the history brings.
pub(crate) enum Item {
    /// The next of a request.
    Came(Option<Result<HistoryItem, HistoryError>>),
    /// It is time to ask again.
    Due,
}

/// What an item is for the program.
pub(crate) enum Outcome {
    Envelope(Envelope),
    Event(HistoryEvent),
    Nothing,
}

impl History {
    /// Asks for nothing yet.
    pub fn new(source: &HistorySource, signer: SecretKey, handle: &Handle) -> Self {
        let mut config = ClientConfig::new(source.access.clone(), signer);
        config.timeout = TIMEOUT;
        config.connect_timeout = TIMEOUT;
        // When and from where to ask again is decided here.
        config.retries = 0;
        config.rate_limit_patience = Duration::ZERO;
        let server = source.mailserver.id;
        let client = MailserverClient::new(handle, server, config);
        let gaps = Gaps::default();
        let (seen, known) = (VecDeque::new(), HashSet::new());
        Self { client, server, pages: None, count: 0, gaps, seen, known, is_asked: false }
    }

    /// Asks for everything since a second, as soon as the mailserver is connected.
    pub fn want(&mut self, since: UnixSeconds) {
        self.gaps.want(since);
        self.is_asked = false;
    }

    /// Whether it asks this mailserver.
    pub fn is_of(&self, server: &PublicKey) -> bool {
        self.server == *server
    }

    /// Notes that from this second on something may be missing, and why.
    pub fn missed(&mut self, since: UnixSeconds, why: HistoryError) {
        self.gaps.missed(since.saturating_sub(MARGIN), why);
    }

    /// Asks for what is missing, if something is and the mailserver is connected. No topics are
    /// all. Must be called on a runtime.
    pub fn catch_up(
        &mut self,
        handle: &Handle,
        topics: impl IntoIterator<Item = Topic>,
        now: UnixSeconds,
    ) -> Option<HistoryEvent> {
        if self.pages.is_some() {
            return None;
        }
        let is_first = !std::mem::replace(&mut self.is_asked, true);
        if !self.is_connected(handle) {
            let since = self.gaps.since().filter(|_| is_first)?;
            self.gaps.missed(since, HistoryError::NotConnected);
            return Some(HistoryEvent::Waiting);
        }
        let to = now.saturating_add(MARGIN);
        if !self.gaps.is_wanted() {
            return None;
        }
        let topics: Vec<_> = topics.into_iter().collect();
        let (query, goes_on) = self.gaps.next(to, &topics)?;
        if !goes_on {
            self.count = 0;
        }
        self.pages = Some(self.client.history(query));
        None
    }

    fn is_connected(&self, handle: &Handle) -> bool {
        let peer = handle.peer_by_id(&self.server).and_then(|peer| handle.peer_state(peer));
        peer.is_some_and(|peer| peer.status.is_some())
    }

    /// Returns the next item; never, while nothing is asked for. Cancel-safe.
    pub async fn next(&mut self) -> Item {
        match &mut self.pages {
            Some(pages) => Item::Came(pages.next().await),
            None => {
                crate::until(self.gaps.not_before()).await;
                Item::Due
            }
        }
    }

    /// Handles an item at `now`.
    pub fn handle(&mut self, item: Item, now: UnixSeconds) -> Outcome {
        match item {
            Item::Due => self.gaps.is_due(),
            Item::Came(Some(Ok(HistoryItem::Envelope(envelope)))) => {
                let hash = envelope.hash();
                let is_first = self.gaps.is_first(hash);
                let is_new = is_first && !self.known.contains(&hash);
                // What expired long ago doesn't come again.
                if is_new && envelope.expiry().saturating_add(GRACE) >= now {
                    self.is_first(hash);
                }
                self.count += u64::from(is_new);
                if is_new {
                    return Outcome::Envelope(envelope);
                }
            }
            Item::Came(Some(Ok(HistoryItem::Page(page)))) => self.gaps.page(&page),
            Item::Came(Some(Err(error))) => {
                self.pages = None;
                return self.failed(error).map_or(Outcome::Nothing, Outcome::Event);
            }
            Item::Came(None) => {
                self.pages = None;
                self.gaps.complete();
                return Outcome::Event(HistoryEvent::Complete { envelopes: self.count });
            }
        }
        Outcome::Nothing
    }

    /// Asks again later, if that may help.
    fn failed(&mut self, error: HistoryError) -> Option<HistoryEvent> {
        if !may_get_better(&error) {
            let since = self.gaps.since();
            self.gaps.give_up();
            return Some(HistoryEvent::Failed { error: Arc::new(error), since });
        }
        let is_lost = matches!(error, HistoryError::NotConnected | HistoryError::Disconnected(_));
        let error = Arc::new(error);
        let wait = self.gaps.failed(error.clone(), Instant::now())?;
        Some(HistoryEvent::Interrupted { error, retry_in: (!is_lost).then_some(wait) })
    }

    /// Returns from which second on something is missing, and why if something went wrong.
    pub fn missing(&self) -> Option<(UnixSeconds, Option<&HistoryError>)> {
        Some((self.gaps.since()?, self.gaps.trouble().map(|error| &**error)))
    }

    /// Whether an envelope of the live stream comes for the first time.
    pub fn is_first(&mut self, hash: EnvelopeHash) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.seen.push_back(hash);
        if self.seen.len() > MAX_SEEN
            && let Some(oldest) = self.seen.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// Whether the same question may have another answer later.
fn may_get_better(error: &HistoryError) -> bool {
    matches!(
        error,
        HistoryError::RateLimited(_)
            | HistoryError::NotConnected
            | HistoryError::Disconnected(_)
            | HistoryError::TimedOut
            | HistoryError::Lagged
    )
}

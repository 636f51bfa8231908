//! Asks a mailserver, over a running node.
//!
//! ```no_run
//! # use statuskit_core::{crypto::SecretKey, devp2p::Enode, envelope::{SymKey, Topic}, mailserver::Access, time::UnixSeconds};
//! # use statuskit_net::node::{PeerOptions, Service};
//! # use statuskit_mailserver::{client::{Client, ClientConfig, HistoryItem, HistoryQuery}};
//! # async fn run(node: &Service, enode: Enode, key: SecretKey) -> Result<(), Box<dyn std::error::Error>> {
//! node.handle().add_peer(enode.clone(), PeerOptions::default());
//! let access = Access::Password(SymKey::from_password("status-offline-inbox"));
//! let client = Client::new(node.handle(), enode.id, ClientConfig::new(access, key));
//! let topics = [Topic::from_name("status")];
//! let (from, to) = (UnixSeconds(1_585_400_000), UnixSeconds(1_585_486_400));
//! let mut history = client.history(HistoryQuery::from_topics(from, to, topics));
//! while let Some(item) = history.next().await {
//!     match item? {
//!         HistoryItem::Envelope(envelope) => println!("{}", envelope.hash()),
//!         HistoryItem::Page(page) => eprintln!("{:.0} %", 100.0 * page.done),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A server answers a request with a page of at most 1,000 envelopes and, if there is more, with
//! a cursor for the next. [`History`] asks for page after page and hands out the envelopes as they
//! come. Only the order of packets tells which request an envelope answers. So a [`Client`] (with
//! its clones) asks one thing at a time, and there should be one per server.
//!
//! A server is not trusted. What was not asked for is left out and counted. A cursor that leads in
//! circles ends the history, and so do pages that bring nothing. Its order is up to the server.
//!
//! | what | where |
//! | --- | --- |
//! | which requests a history takes, and which envelopes it accepts | `pager` (no IO) |
//! | sending a request, receiving its answer | `history`, `inbox` |
//! | how often a server accepts requests | `pace` |
//! | copying another mailserver's archive | `sync` |
//!
//! Source: mailserver specification of Status; time-outs as in the reference.

mod history;
mod inbox;
mod pace;
mod pager;
mod sync;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{
    CryptoRng, Rng, SeedableRng, TryRng,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    envelope::{Envelope, pow::MineOptions},
    explain::Explanation,
    mailserver::{Access, Form, Request, RequestError, SealError, request::MAX_RAW_RANGE},
    time::UnixSeconds,
    wire::p2p::P2pRequest,
};
use statuskit_net::node::{ConnectionId, Event, Handle, SendError};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::ArchiveError;
pub use history::{History, HistoryItem, HistoryQuery, PageDone, Tally};
use inbox::Inbox;
use pace::Pace;
#[doc(hidden)]
pub use pager::play;
pub use sync::{SyncOptions, SyncReport, sync};

/// The settings of a [`Client`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What requests are encrypted with.
    pub access: Access,
    /// The layout of requests.
    pub layout: Layout,
    /// Ends a page when nothing more has come for this long: for the first servers, which don't mark
    /// its end. `None` for all others.
    pub quiet: Option<Duration>,
    /// The key that signs requests. Servers accept any.
    pub signer: SecretKey,
    /// The minimum proof of work of a request; more if the server asks for more.
    pub min_pow: f64,
    /// The longest search for that proof of work.
    pub work_time: Duration,
    /// The longest wait for the next envelopes of a page, over all retries.
    pub timeout: Duration,
    /// The longest wait for the connection.
    pub connect_timeout: Duration,
    /// How often a page is requested again when the connection broke, or we were too slow. A silent
    /// server is not asked again: nothing gets lost on a connection.
    pub retries: u32,
    /// How long to wait, per page, while the server refuses requests as too frequent; zero to give
    /// up at the first refusal. Later pages wait for what was enough.
    pub rate_limit_patience: Duration,
    /// The most bytes of envelopes that wait for us. A page with more is asked for in parts.
    pub max_waiting_bytes: usize,
    /// Makes requests reproducible, for tests.
    pub seed: Option<[u8; 32]>,
}

impl ClientConfig {
    /// Returns the defaults for this access and signer.
    pub fn new(access: Access, signer: SecretKey) -> Self {
        Self {
            access,
            layout: Layout::default(),
            quiet: None,
            signer,
            min_pow: 0.002,
            work_time: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            retries: 2,
            rate_limit_patience: Duration::from_secs(60),
            max_waiting_bytes: 64 << 20,
            seed: None,
        }
    }
}

/// The layout of a request. Old servers read only some of them; ours reads all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Inside an envelope. [`Form::Raw`] covers a day at most.
    Sealed(Form),
    /// Plain: not encrypted, signed or mined.
    Plain,
}

impl Default for Layout {
    fn default() -> Self {
        Self::Sealed(Form::Seven)
    }
}

impl Layout {
    /// The longest range of one request in seconds, if it is limited.
    fn max_span(self) -> Option<u32> {
        (self == Self::Sealed(Form::Raw)).then_some(MAX_RAW_RANGE)
    }
}

/// Why a mailserver could not be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection to the server.
    #[error("the mailserver is not connected")]
    NotConnected,
    /// The connection ended meanwhile.
    #[error("the connection to the mailserver ended: {0}")]
    Disconnected(String),
    /// No packet came in time.
    #[error("the mailserver does not answer")]
    TimedOut,
    /// The server refused. The text is a stranger's.
    #[error("the mailserver refused: {0}")]
    Refused(String),
    /// The server refused because requests are too frequent.
    #[error("the mailserver is asked too often: {0}")]
    RateLimited(String),
    /// So much happened on the node that we missed some of it.
    #[error("events of the node were lost")]
    Lagged,
    /// The server does not behave like a mailserver.
    #[error("the mailserver misbehaves: {0}")]
    Misbehaved(#[from] Misbehaviour),
    /// The request is invalid.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The request can't be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The request can't be sent.
    #[error(transparent)]
    Send(SendError),
    /// What came can't be stored.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// How a mailserver misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It sent a cursor for the second time.
    #[error("its cursors lead in circles")]
    CursorLoop,
    /// Its pages have a cursor for the next, but nothing new that was asked for.
    #[error("its pages bring nothing")]
    NoProgress,
    /// It sent more envelopes than a page can have.
    #[error("its page does not end")]
    EndlessPage,
}

impl ClientError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected | Self::Disconnected(_) => "mailserver.disconnected",
            Self::TimedOut => "mailserver.timeout",
            Self::Refused(_) => "mailserver.refused",
            Self::RateLimited(_) => "mailserver.rate_limited",
            Self::Lagged => "mailserver.lagged",
            Self::Misbehaved(_) => "mailserver.misbehaved",
            Self::Request(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Send(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Random(_) => "local.random",
        }
    }

    /// Whether a retry may help.
    fn passes(&self) -> bool {
        matches!(self, Self::NotConnected | Self::Disconnected(_) | Self::Lagged)
    }

    /// Interprets a server's refusal.
    fn refused(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        match text.as_str() {
            "rate limit exceeded" | "requests per seconds limit exceeded" => {
                Self::RateLimited(text)
            }
            _ => Self::Refused(text),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "mailserver.refused",
            rule: "The mailserver answered with an error, in its own words.",
            source: "Status specifications, Mailserver",
            causes: "failed to decrypt: another password. not allowed: with a private password, a server answers no plain requests, and only mailservers that it names may copy its archive. lower > upper: the range. Servers before 2020 take ranges of a day at most.",
        },
        Explanation {
            code: "mailserver.rate_limited",
            rule: "A mailserver may ask its clients to wait between two requests.",
            source: "Status specifications, Mailserver",
            causes: "Wait as many seconds as its operator has set, often one to ten.",
        },
        Explanation {
            code: "mailserver.timeout",
            rule: "A mailserver sends the next part of its answer within ten seconds.",
            source: "the reference implementation",
            causes: "The peer is not a mailserver, or its archive is slow: ask for a shorter range.",
        },
        Explanation {
            code: "mailserver.disconnected",
            rule: "The connection with the mailserver must last until it has answered.",
            source: "tools",
            causes: "It is full, restarted, or not reachable.",
        },
        Explanation {
            code: "mailserver.lagged",
            rule: "So much happened on the node that part of an answer was lost before it was read.",
            source: "tools",
            causes: "A node with much traffic: ask with a node of its own, which takes no envelopes.",
        },
        Explanation {
            code: "mailserver.misbehaved",
            rule: "Pages end, bring something new, and their cursors lead on.",
            source: "Status specifications, Mailserver",
            causes: "A broken or hostile server.",
        },
    ];
}

/// Asks one mailserver. Clones share the connection and take turns.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Handle,
    server: PublicKey,
    config: ClientConfig,
    /// Held while a request is under way.
    turn: tokio::sync::Mutex<()>,
    rng: Mutex<Option<ChaCha20Rng>>,
    pace: Mutex<Pace>,
}

impl Client {
    /// Asks the server with this key. The node must be connected to it, or dial it.
    pub fn new(handle: &Handle, server: PublicKey, config: ClientConfig) -> Self {
        let rng = Mutex::new(config.seed.map(ChaCha20Rng::from_seed));
        let turn = tokio::sync::Mutex::new(());
        let (handle, pace) = (handle.clone(), Mutex::default());
        Self { inner: Arc::new(Inner { handle, server, config, turn, rng, pace }) }
    }

    /// Asks for envelopes page after page, as they are taken. Must be called on a tokio runtime.
    pub fn history(&self, query: HistoryQuery) -> History {
        History::start(self.inner.clone(), query)
    }

    /// Asks for one page, and waits for all of it.
    ///
    /// # Errors
    /// If the server can't be asked, refuses, or misbehaves.
    pub async fn page(
        &self,
        query: HistoryQuery,
    ) -> Result<(Vec<Envelope>, PageDone), ClientError> {
        let mut history = self.history(HistoryQuery { pages: Some(1), ..query });
        let mut envelopes = Vec::new();
        let mut done = PageDone::default();
        while let Some(item) = history.next().await {
            match item? {
                HistoryItem::Envelope(envelope) => envelopes.push(envelope),
                HistoryItem::Page(page) => done = page,
            }
        }
        Ok((envelopes, done))
    }
}

impl Inner {
    /// Waits for the connection to the server, at most for what is left since then.
    async fn connected(&self, since: Instant) -> Result<ConnectionId, ClientError> {
        let limit = self.config.connect_timeout.saturating_sub(since.elapsed());
        connected(&self.handle, &self.server, limit).await
    }

    /// Makes the packet of a request.
    async fn packet(
        &self,
        request: &Request,
        peer: ConnectionId,
    ) -> Result<P2pRequest, ClientError> {
        match self.config.layout {
            Layout::Sealed(form) => self.seal(request, form, peer).await.map(P2pRequest::Envelope),
            Layout::Plain => {
                let mut id = [0; 32];
                self.rng()?.fill_bytes(&mut id);
                Ok(P2pRequest::Plain(request.to_plain(&id)?))
            }
        }
    }

    /// Seals a request for the server.
    async fn seal(
        &self,
        request: &Request,
        form: Form,
        peer: ConnectionId,
    ) -> Result<Envelope, ClientError> {
        let status = self.handle.peer_state(peer).and_then(|state| state.status);
        let min_pow = status.map_or(0.0, |status| status.min_pow).max(self.config.min_pow);
        let mut rng = self.rng()?;
        let (request, config) = (request.clone(), self.config.clone());
        let now = UnixSeconds::from_since_epoch(self.handle.now());
        let sealed = spawn_blocking(move || {
            let began = Instant::now();
            let late = || began.elapsed() >= config.work_time;
            let options = MineOptions { stop: Some(&late), ..MineOptions::default() };
            let ClientConfig { access, signer, .. } = &config;
            request.seal_as(form, access, signer, now, min_pow, &options, &mut rng)
        });
        match sealed.await {
            Ok(sealed) => Ok(sealed?),
            Err(_) => Err(ClientError::NotConnected),
        }
    }

    /// Locks what is known of the server's rate limit.
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a generator for one request.
    fn rng(&self) -> Result<impl CryptoRng + Send + 'static, ClientError> {
        let mut ours = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seed = [0; 32];
        match &mut *ours {
            Some(rng) => rng.fill_bytes(&mut seed),
            None => SysRng
                .try_fill_bytes(&mut seed)
                .map_err(|error| ClientError::Random(error.to_string()))?,
        }
        Ok(ChaCha20Rng::from_seed(seed))
    }
}

/// Waits until a peer is connected and has sent its Status.
async fn connected(
    handle: &Handle,
    server: &PublicKey,
    limit: Duration,
) -> Result<ConnectionId, ClientError> {
    let ready = || {
        let key = handle.peer_by_id(server)?;
        handle.peer_state(key)?.status.map(|_| key)
    };
    let mut events = handle.subscribe();
    let until = Instant::now() + limit;
    loop {
        if let Some(key) = ready() {
            return Ok(key);
        }
        let left = until.saturating_duration_since(Instant::now());
        let change = async {
            loop {
                match events.next().await {
                    Some(event) if matches!(*event, Event::Ready { .. }) => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
        };
        match timeout(left, change).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(ClientError::NotConnected),
        }
    }
}

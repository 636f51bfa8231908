//! A mailserver on a running node: it archives what the node accepts, and answers requests.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use statuskit_core::{crypto::SecretKey, envelope::SymKey};
//! # use statuskit_net::node::{Service, ServiceConfig};
//! # use statuskit_mailserver::{Mailserver, MailserverConfig, ServerConfig, archive::MemoryArchive};
//! # async fn run(key: SecretKey) -> Result<(), Box<dyn std::error::Error>> {
//! let mut node = ServiceConfig::new(key);
//! Mailserver::prepare(&mut node);
//! let node = Service::start(node).await?;
//! let password = SymKey::from_password("status-offline-inbox");
//! let config = MailserverConfig::new(ServerConfig::from_password(password));
//! let mailserver = Mailserver::start(node.handle(), Arc::new(MemoryArchive::new()), config)?;
//! // …
//! node.shutdown().await;
//! mailserver.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! | what | where |
//! | --- | --- |
//! | envelopes into the archive, many in one commit | `ingest` |
//! | answers | `serve` |
//! | turns to read the archive, fair between addresses | `turns` |
//! | pruning | here |
//! | what the operator gets | [`MailserverEvent`], [`MailserverStats`] |
//!
//! It archives every envelope that the node newly accepts, its own included, unless it is older
//! than what is kept (see [`intake`](super::intake)). It does not archive P2P messages, which pass
//! no checks. What another mailserver sends is archived by [`sync`](super::client::sync).
//!
//! UNIX time comes from the node's [`Clock`](statuskit_net::node::Clock); waits are those of tokio.
//! So a paused runtime and a clock of its own drive all of it.
//!
//! Source: mailserver specification of Status; what is archived, hourly pruning and the minute for
//! slow clients as in the reference.

mod event;
mod ingest;
mod serve;
mod stats;
mod turns;

use std::{sync::Arc, time::Duration};

use statuskit_net::node::{Event, Handle, Interest, ServiceConfig, Subscription};
use tokio::{
    sync::{broadcast, watch},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::{Archive, ConfigError, Server, ServerConfig, intake::MAX_AGE};
pub use event::{Answered, MailserverEvent, MailserverNews, Outcome};
use ingest::Ingest;
use serve::{Asked, Desk};
use stats::Counters;
pub use stats::{Histogram, MailserverStats};
use statuskit_core::time::UnixSeconds;

/// Events that wait for each subscriber of the mailserver.
const NEWS_CAPACITY: usize = 1024;
/// How long a stopping mailserver still takes events from a node that goes on.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// When a failed pruning is tried again, if the next one is not due before.
const PRUNE_RETRY: Duration = Duration::from_secs(60);
/// A clock that deviates this much from the time that has passed is taken for wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// The settings of a [`Mailserver`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MailserverConfig {
    /// Who may ask for what, and how long envelopes are kept.
    pub server: ServerConfig,
    /// How long an envelope waits for others to share its commit.
    pub commit_interval: Duration,
    /// The most envelopes of one commit. A full one does not wait.
    pub commit_envelopes: usize,
    /// The most envelopes that wait while the archive is slow or fails.
    pub waiting_envelopes: usize,
    /// The most bytes of them.
    pub waiting_bytes: usize,
    /// The maximum age of an envelope that is stored, by when it was sent; `None` for any. The
    /// [retention](ServerConfig::retention) counts if it is shorter.
    pub max_age: Option<Duration>,
    /// How often envelopes older than the retention are removed. The first time is after one
    /// interval.
    pub prune_interval: Duration,
    /// Threads that read the archive concurrently. Each serves another address.
    pub readers: usize,
    /// Requests of one peer that may wait while one is answered.
    pub queue_per_peer: usize,
    /// The most bytes of them.
    pub queue_bytes_per_peer: usize,
    /// Requests of all peers that may wait.
    pub queue: usize,
    /// The most bytes of them.
    pub queue_bytes: usize,
    /// Requests per second of one address (of IPv6, of a /64) in the long run; 0 for any number.
    pub address_rate: u32,
    /// Requests of one address that may exceed the rate at once.
    pub address_burst: u32,
    /// Whether the rate limit applies to loopback addresses.
    pub limits_loopback: bool,
    /// The longest wait for a client that does not read, per packet.
    pub send_timeout: Duration,
    /// The longest wait for a failing archive at the end.
    pub stop_timeout: Duration,
}

impl MailserverConfig {
    /// Returns the defaults, with these rules.
    pub fn new(server: ServerConfig) -> Self {
        Self {
            server,
            commit_interval: Duration::from_millis(10),
            commit_envelopes: 1000,
            waiting_envelopes: 1 << 18,
            waiting_bytes: 256 << 20,
            max_age: Some(MAX_AGE),
            prune_interval: Duration::from_secs(3600),
            readers: 4,
            queue_per_peer: 8,
            queue_bytes_per_peer: 128 << 10,
            queue: 1024,
            queue_bytes: 8 << 20,
            address_rate: 20,
            address_burst: 400,
            limits_loopback: false,
            send_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// A running mailserver. Dropping it ends it; what waits is archived as long as the runtime goes
/// on. See [`stop`](Self::stop).
#[derive(Debug)]
pub struct Mailserver {
    desk: Arc<Desk>,
    ingest: Arc<Ingest>,
    closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// The task that commits; it returns how many envelopes it lost.
    writer: Option<JoinHandle<usize>>,
    stop_timeout: Duration,
}

/// How a mailserver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Envelopes that could not be archived.
    pub lost: usize,
}

/// Counts, and reports to subscribers.
#[derive(Debug)]
pub(super) struct Reporter {
    counters: Counters,
    news: broadcast::Sender<Arc<MailserverEvent>>,
}

impl Reporter {
    fn report(&self, event: MailserverEvent) {
        // There may be no subscriber.
        let _ = self.news.send(Arc::new(event));
    }
}

impl Mailserver {
    /// Changes the settings of a node to what a mailserver needs: events of every envelope, and of
    /// requests. Envelopes are only confirmed when they are stored, in Waku as well. To confirm them at once, set
    /// [`confirm_stored`](statuskit_net::node::NodeConfig::confirm_stored) to false afterwards:
    /// then a crash can lose some that were confirmed.
    pub fn prepare(config: &mut ServiceConfig) {
        config.node.mailserver = true;
        config.node.confirm_stored = true;
        config.node.waku_confirmations = true;
        config.node.interest = Interest::Everything;
    }

    /// Starts a mailserver on a [prepared](Self::prepare) node, on the current tokio runtime. It
    /// serves all networks of the node from one archive. What is in the node's pools already is
    /// archived as well.
    ///
    /// # Errors
    /// If the node is not prepared, or the rules are invalid.
    pub fn start(
        handle: &Handle,
        archive: Arc<dyn Archive>,
        config: MailserverConfig,
    ) -> Result<Self, ConfigError> {
        if !handle.with(|node, _| node.config().mailserver) {
            return Err(ConfigError::NotPrepared);
        }
        let server = Arc::new(Server::new(config.server.clone())?);
        let reporter = Arc::new(Reporter {
            counters: Counters::default(),
            news: broadcast::Sender::new(NEWS_CAPACITY),
        });
        let ingest = Arc::new(Ingest::new(handle, &server, &config));
        let writer = tokio::spawn(ingest.clone().run(archive.clone(), reporter.clone()));
        let retention = server.config().retention;
        let desk = Arc::new(Desk::new(handle.clone(), archive, server, reporter, &config));
        let closing = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let events = handle.subscribe();
        tasks.spawn(take_in(events, desk.clone(), ingest.clone(), closing.subscribe()));
        if let Some(retention) = retention {
            tasks.spawn(prune(desk.clone(), retention, config.prune_interval));
        }
        let stop_timeout = config.stop_timeout;
        Ok(Self { desk, ingest, closing, tasks, writer: Some(writer), stop_timeout })
    }

    /// Returns the archive.
    pub fn archive(&self) -> &Arc<dyn Archive> {
        &self.desk.archive
    }

    /// Returns the counters.
    pub fn stats(&self) -> MailserverStats {
        self.desk.reporter.counters.lock().clone()
    }

    /// Subscribes to events from now on.
    pub fn subscribe(&self) -> MailserverNews {
        MailserverNews(self.desk.reporter.news.subscribe())
    }

    /// Stops it: ends answers under way, and archives what the node has accepted so far. Best
    /// called after the node was shut down: then nothing is missing.
    ///
    /// It takes as long as the archive goes on storing. A failing one is given up after
    /// [`stop_timeout`](MailserverConfig::stop_timeout).
    pub async fn stop(mut self) -> Stopped {
        self.closing.send_replace(true);
        self.desk.close().await;
        // `take_in` ends by itself, `prune` does not.
        let _ = self.tasks.join_next().await;
        self.tasks.shutdown().await;
        self.ingest.stop();
        let lost = match self.writer.take() {
            Some(writer) => self.last_commits(writer).await,
            None => None,
        };
        // A writer that panicked has lost what waited.
        let lost = lost.unwrap_or_else(|| self.stats().waiting);
        Stopped { lost }
    }

    /// Waits for the writer. A single attempt may take long, so it is given up when there were only
    /// failures for a while.
    async fn last_commits(&self, mut writer: JoinHandle<usize>) -> Option<usize> {
        loop {
            let commits = self.stats().commits;
            match timeout(self.stop_timeout, &mut writer).await {
                Ok(lost) => return lost.ok(),
                Err(_) if self.stats().commits > commits => {}
                Err(_) => {
                    // Otherwise the first attempt is still under way, perhaps on a slow disk.
                    if let Some(waiting) = self.ingest.stuck() {
                        return Some(waiting);
                    }
                }
            }
        }
    }
}

impl Drop for Mailserver {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        self.ingest.stop();
    }
}

/// Takes envelopes and requests from the node.
async fn take_in(
    mut events: Subscription,
    desk: Arc<Desk>,
    ingest: Arc<Ingest>,
    mut closing: watch::Receiver<bool>,
) {
    // Envelopes of the pool that have not found room yet.
    let mut pool = Some(ingest.scan());
    let mut until = None;
    loop {
        // Events from before the end are still taken, but not for ever.
        let is_closing = *closing.borrow();
        if is_closing && *until.get_or_insert_with(|| Instant::now() + LAST_EVENTS) < Instant::now()
        {
            return;
        }
        ingest.push_some(&mut pool, &desk.reporter);
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = ingest.room.notified() => {
                if pool.is_none() && ingest.take_left_out() {
                    pool = Some(ingest.scan());
                }
                continue;
            }
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Some(event) = event else { return };
        take_event(&event, &desk, &ingest, *closing.borrow());
    }
}

fn take_event(event: &Event, desk: &Arc<Desk>, ingest: &Ingest, closing: bool) {
    match event {
        Event::Envelope { envelope, number, .. } => {
            ingest.push(envelope.clone(), *number, &desk.reporter);
        }
        Event::Request { peer, request } if !closing => {
            desk.take(*peer, Asked::Messages(Arc::new((**request).clone())));
        }
        Event::SyncRequest { peer, request } if !closing => {
            desk.take(*peer, Asked::Sync(Arc::new((**request).clone())));
        }
        Event::Disconnected { peer, .. } => desk.forget(peer.key),
        _ => {}
    }
}

/// Removes envelopes older than the retention, again and again. It does not trust a clock that has
/// just jumped, since removed envelopes are gone.
async fn prune(desk: Arc<Desk>, retention: Duration, interval: Duration) {
    let mut last = (desk.handle.now(), Instant::now());
    let mut failing = false;
    loop {
        sleep(if failing { interval.min(PRUNE_RETRY) } else { interval }).await;
        let now = (desk.handle.now(), Instant::now());
        let expected = last.0 + now.1.duration_since(last.1);
        last = now;
        if now.0.abs_diff(expected) > CLOCK_TOLERANCE {
            let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            let jump = seconds(now.0).saturating_sub(seconds(expected));
            desk.reporter.report(MailserverEvent::ClockJumped(jump));
            continue;
        }
        let before = UnixSeconds::from_since_epoch(now.0.saturating_sub(retention));
        desk.server.prunes(before);
        let archive = desk.archive.clone();
        match spawn_blocking(move || archive.prune(before)).await {
            Ok(Ok(removed)) => {
                failing = false;
                desk.reporter.counters.lock().pruned += removed;
                desk.reporter.report(MailserverEvent::Pruned { before, removed });
            }
            Ok(Err(error)) => {
                desk.reporter.counters.lock().archive_errors += 1;
                if !std::mem::replace(&mut failing, true) {
                    desk.reporter.report(MailserverEvent::PruneFailed(error));
                }
            }
            Err(_) => {}
        }
    }
}

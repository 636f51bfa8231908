//! Answers, one client at a time. Packets of two requests can only be told apart by their order, so
//! the requests of a client are answered one after the other. Different clients only wait for their
//! turn to read the archive.
//!
//! A client that does not read has a minute per packet. Nothing is read for it meanwhile, and it
//! only delays its own requests. Those beyond the few that may wait are refused at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use statuskit_core::{
    devp2p::NodeId,
    mailserver::Reply,
    wire::p2p::{P2pRequest, SyncRequest},
};
use statuskit_net::node::{ConnectionId, Handle, SendError};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::{
    Answer, Archive, ArchiveError, Refusal, Refused, Server,
    server::Totals,
    service::{Answered, MailserverConfig, MailserverEvent, Outcome, Reporter},
};

/// The time for a refusal to reach a mailserver before it is disconnected.
const LINGER: Duration = Duration::from_secs(1);

/// The longest request that is read, in bytes. Those of clients have a few hundred.
const MAX_REQUEST: usize = 64 << 10;

/// A request that waits.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Messages(Arc<P2pRequest>),
    Sync(Arc<SyncRequest>),
}

impl Asked {
    /// The memory that it takes while it waits, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Messages(request) => request.size(),
            Self::Sync(request) => request.size(),
        }
    }
}

/// Answers requests.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) handle: Handle,
    pub(super) archive: Arc<dyn Archive>,
    pub(super) server: Arc<Server>,
    pub(super) reporter: Arc<Reporter>,
    limits: Limits,
    /// Held while the archive is read.
    readers: Semaphore,
    queues: Mutex<Queues>,
    tasks: Mutex<JoinSet<()>>,
    /// Whether the last read of the archive failed.
    reads_fail: AtomicBool,
}

#[derive(Debug)]
struct Limits {
    per_peer: usize,
    all: usize,
    send_timeout: Duration,
}

#[derive(Debug, Default)]
struct Queues {
    /// The waiting requests of each peer that is being served.
    peers: HashMap<ConnectionId, VecDeque<(Asked, Instant)>>,
    queued: usize,
}

/// An answer, and its first packet.
struct Accepted {
    answer: Answer,
    first: Result<Option<Reply>, ArchiveError>,
}

impl Desk {
    pub(super) fn new(
        handle: Handle,
        archive: Arc<dyn Archive>,
        server: Arc<Server>,
        reporter: Arc<Reporter>,
        config: &MailserverConfig,
    ) -> Self {
        let limits = Limits {
            per_peer: config.queue_per_peer,
            all: config.queue,
            send_timeout: config.send_timeout,
        };
        let readers = Semaphore::new(config.readers.max(1));
        let (queues, tasks) = (Mutex::default(), Mutex::default());
        let reads_fail = AtomicBool::new(false);
        Self { handle, archive, server, reporter, limits, readers, queues, tasks, reads_fail }
    }

    /// Answers a request after those before it, or refuses it.
    pub(super) fn take(self: &Arc<Self>, peer: ConnectionId, asked: Asked) {
        let now = Instant::now();
        if asked.size() > MAX_REQUEST {
            return self.turn_away(peer, &asked, Refusal::TooLarge(asked.size()), now);
        }
        let mut queues = self.queues();
        let Queues { peers, queued } = &mut *queues;
        match peers.get_mut(&peer) {
            None => {
                peers.insert(peer, VecDeque::new());
                drop(queues);
                self.spawn(self.clone().serve(peer, asked, now));
            }
            Some(queue) if queue.len() < self.limits.per_peer && *queued < self.limits.all => {
                queue.push_back((asked, now));
                *queued += 1;
                let queued = *queued;
                drop(queues);
                self.reporter.counters.lock().queued = queued;
            }
            Some(_) => {
                drop(queues);
                self.turn_away(peer, &asked, Refusal::Busy, now);
            }
        }
    }

    /// Drops the waiting requests of a peer that has left.
    pub(super) fn forget(&self, peer: ConnectionId) {
        let mut queues = self.queues();
        let Queues { peers, queued } = &mut *queues;
        if let Some(queue) = peers.get_mut(&peer) {
            *queued -= queue.len();
            queue.clear();
        }
    }

    /// Aborts all answers.
    pub(super) async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }

    /// Serves a peer until none of its requests waits.
    async fn serve(self: Arc<Self>, peer: ConnectionId, first: Asked, since: Instant) {
        let mut next = Some((first, since));
        while let Some((asked, since)) = next {
            let mut totals = Totals::default();
            let (Ok(outcome) | Err(outcome)) = self.answer(peer, &asked, &mut totals).await;
            let is_stalled = outcome == Outcome::Stalled;
            self.report(peer, &asked, outcome, totals, since);
            if is_stalled {
                self.end(peer);
            }
            let mut queues = self.queues();
            let Queues { peers, queued } = &mut *queues;
            next = peers.get_mut(&peer).and_then(VecDeque::pop_front);
            match next {
                Some(_) => *queued -= 1,
                None => drop(peers.remove(&peer)),
            }
            let queued = *queued;
            drop(queues);
            self.reporter.counters.lock().queued = queued;
        }
    }

    /// Sends the answer to a request. It is an error if the client does not get all of it.
    async fn answer(
        self: &Arc<Self>,
        peer: ConnectionId,
        asked: &Asked,
        totals: &mut Totals,
    ) -> Result<Outcome, Outcome> {
        let client = self.client(peer).ok_or(Outcome::Left)?;
        // The checks, and the first piece of the archive.
        let work = {
            let (desk, asked) = (self.clone(), asked.clone());
            move || desk.begin(client, &asked)
        };
        let Accepted { mut answer, first } = match self.read(work).await {
            None => return self.fail(peer, client, asked, totals, panicked()).await,
            Some(Ok(accepted)) => accepted,
            Some(Err(refused)) => {
                let Refused { refusal, reply } = *refused;
                let outcome = self.refused(refusal);
                self.send(peer, reply).await?;
                self.end_sync(peer, asked).await;
                return Ok(outcome);
            }
        };
        self.read_ended(&first);
        let mut first = Some(first);
        loop {
            let next = match first.take() {
                Some(next) => next,
                None if answer.is_ready() => answer.next(&*self.archive),
                None => {
                    let archive = self.archive.clone();
                    let work = move || {
                        let next = answer.next(&*archive);
                        (answer, next)
                    };
                    match self.read(work).await {
                        None => return self.fail(peer, client, asked, totals, panicked()).await,
                        Some((rest, next)) => {
                            answer = rest;
                            self.read_ended(&next);
                            next
                        }
                    }
                }
            };
            let reply = match next {
                Ok(Some(reply)) => reply,
                Ok(None) if totals.envelopes > 0 => return Ok(Outcome::Delivered),
                Ok(None) => return Ok(Outcome::Empty),
                Err(error) => return self.fail(peer, client, asked, totals, error).await,
            };
            self.send(peer, reply).await?;
            *totals = answer.totals();
        }
    }

    /// Checks a request and reads the first packet, on a thread that may block.
    fn begin(&self, client: NodeId, asked: &Asked) -> Result<Accepted, Box<Refused>> {
        let (archive, now) = (&*self.archive, self.handle.now());
        let mut answer = match asked {
            Asked::Messages(request) => self.server.request(client, request, archive, now),
            Asked::Sync(request) => self.server.sync_request(client, request, archive, now),
        }?;
        let first = answer.next(archive);
        Ok(Accepted { answer, first })
    }

    /// Ends an answer half-way. The client keeps what it has, and can ask again; at once, if it has
    /// nothing.
    async fn fail(
        &self,
        peer: ConnectionId,
        client: NodeId,
        asked: &Asked,
        totals: &Totals,
        error: ArchiveError,
    ) -> Result<Outcome, Outcome> {
        if totals.packets == 0 && matches!(asked, Asked::Messages(_)) {
            self.server.release(&client);
        }
        let Refused { refusal, reply } = self.refuse(client, asked, error.into());
        let outcome = self.refused(refusal);
        self.send(peer, reply).await?;
        self.end_sync(peer, asked).await;
        Ok(outcome)
    }

    /// Notes a refusal before it is sent.
    fn refused(&self, refusal: Refusal) -> Outcome {
        let Refusal::Archive(error) = refusal else {
            return Outcome::Refused(refusal.label(), refusal.to_string());
        };
        self.reporter.counters.lock().archive_errors += 1;
        let reason = error.to_string();
        if !self.reads_fail.swap(true, Ordering::Relaxed) {
            self.reporter.report(MailserverEvent::ReadFailed(error));
        }
        Outcome::ArchiveFailed(reason)
    }

    /// Notes a successful read. Failures are noted with their refusal.
    fn read_ended<T>(&self, result: &Result<T, ArchiveError>) {
        if result.is_ok() && self.reads_fail.swap(false, Ordering::Relaxed) {
            self.reporter.report(MailserverEvent::ReadRecovered);
        }
    }

    /// Runs work that reads the archive when it is its turn. `None` if it panicked.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _permit = self.readers.acquire().await.ok()?;
        spawn_blocking(work).await.ok()
    }

    async fn send(&self, peer: ConnectionId, reply: Reply) -> Result<(), Outcome> {
        let sending = self.handle.send_packet(peer, &reply.packet);
        match timeout(self.limits.send_timeout, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Outcome::Left),
            Err(_) => Err(Outcome::Stalled),
        }
    }

    /// Refuses a request at once, if there is room for a refusal in the peer's outbox.
    fn turn_away(
        self: &Arc<Self>,
        peer: ConnectionId,
        asked: &Asked,
        refusal: Refusal,
        since: Instant,
    ) {
        let Some(client) = self.client(peer) else { return };
        let Refused { refusal, reply } = self.refuse(client, asked, refusal);
        let outcome = match self.handle.try_send_packet(peer, &reply.packet) {
            Ok(()) | Err(SendError::OutboxFull { .. }) => {
                Outcome::Refused(refusal.label(), refusal.to_string())
            }
            Err(_) => Outcome::Left,
        };
        self.report(peer, asked, outcome, Totals::default(), since);
        if matches!(asked, Asked::Sync(_)) {
            let (desk, asked) = (self.clone(), asked.clone());
            self.spawn(async move { desk.end_sync(peer, &asked).await });
        }
    }

    fn refuse(&self, client: NodeId, asked: &Asked, refusal: Refusal) -> Refused {
        match asked {
            Asked::Messages(request) => self.server.refuse(client, request, refusal),
            Asked::Sync(_) => self.server.refuse_sync(client, refusal),
        }
    }

    fn report(
        &self,
        peer: ConnectionId,
        asked: &Asked,
        outcome: Outcome,
        totals: Totals,
        since: Instant,
    ) {
        let sync = matches!(asked, Asked::Sync(_));
        let elapsed = since.elapsed();
        let answered = Answered { peer, sync, outcome, totals, elapsed };
        self.reporter.counters.answered(&answered);
        self.reporter.report(MailserverEvent::Answered(Box::new(answered)));
    }

    /// Disconnects a refused mailserver.
    async fn end_sync(&self, peer: ConnectionId, asked: &Asked) {
        if matches!(asked, Asked::Sync(_)) {
            sleep(LINGER).await;
            self.end(peer);
        }
    }

    /// Disconnects a peer, unless we dialled it: then the operator has named it, perhaps to fill our
    /// own gaps.
    fn end(&self, peer: ConnectionId) {
        let peers = self.handle.peers();
        if let Some(summary) = peers.iter().find(|it| it.key == peer && it.inbound) {
            self.handle.remove_peer(&summary.id);
        }
    }

    /// Spawns a task, and forgets those that have ended.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Returns the node id of a peer.
    fn client(&self, peer: ConnectionId) -> Option<NodeId> {
        self.handle.peer_state(peer).map(|state| state.info.id)
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panicked() -> ArchiveError {
    ArchiveError::Unusable("reading the archive ended with a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Mailserver, ServerConfig, archive::MemoryArchive, service::Counters};
    use statuskit_core::{
        crypto::{SecretKey, seeded_rng},
        envelope::SymKey,
    };
    use statuskit_net::node::{PeerOptions, Service, ServiceConfig};

    /// A peer that we dialled is never disconnected, so it can be refused for ever.
    #[tokio::test]
    async fn refusals_leave_nothing_behind() {
        let key = |name| SecretKey::generate(&mut seeded_rng(name));
        let mut listens = ServiceConfig::new(key("other"));
        listens.listen = Some(([127, 0, 0, 1], 0).into());
        let other = Service::start(listens).await.unwrap();
        let mut config = ServiceConfig::new(key("server"));
        Mailserver::prepare(&mut config);
        let node = Service::start(config).await.unwrap();
        let handle = node.handle();
        handle.add_peer(other.handle().enode().unwrap(), PeerOptions::default());
        let peer = loop {
            match handle.peers().first() {
                Some(summary) => break summary.key,
                None => sleep(Duration::from_millis(5)).await,
            }
        };
        let password = SymKey::from_password("x");
        let config = MailserverConfig::new(ServerConfig::from_password(password));
        let server = Arc::new(Server::new(config.server.clone()).unwrap());
        let news = tokio::sync::broadcast::Sender::new(1);
        let reporter = Arc::new(Reporter { counters: Counters::default(), news });
        let archive = Arc::new(MemoryArchive::new());
        let desk = Arc::new(Desk::new(handle.clone(), archive, server, reporter, &config));
        let asked = Asked::Sync(Arc::new(SyncRequest::all(0, 1)));
        let refuse = || desk.turn_away(peer, &asked, Refusal::Busy, Instant::now());
        (0..1000).for_each(|_| refuse());
        assert!(desk.tasks().len() >= 1000, "each is given time to arrive");
        while desk.tasks().len() >= 1000 {
            sleep(Duration::from_millis(50)).await;
            refuse();
        }
        node.shutdown().await;
        other.shutdown().await;
    }
}

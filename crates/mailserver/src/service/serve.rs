//! Answers, one client at a time. Packets of two requests can only be told apart by their order, so
//! the requests of a client are answered one after the other. Different clients only wait for their
//! [turn](super::turns) to read the archive, which each step of an answer takes anew.
//!
//! A client that does not read has a minute per packet. Nothing is read for it meanwhile, and it
//! only delays its own requests. Those beyond the few that may wait are refused at once. When a
//! client leaves, a step that is under way for it ends soon.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant as SystemInstant},
};

use statuskit_core::{
    devp2p::NodeId,
    mailserver::Reply,
    wire::{
        Dialect, Network,
        p2p::{P2pRequest, SyncRequest},
    },
};
use statuskit_net::node::{ConnectionId, Handle, SendError};
use tokio::{
    sync::Notify,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::{
    Answer, Archive, ArchiveError, Refusal, Refused, Server,
    archive::Budget,
    limit::Rates,
    server::Totals,
    service::{
        Answered, MailserverConfig, MailserverEvent, Outcome, Reporter,
        turns::{Address, NextTurn, Turn, Turns},
    },
};

/// The time for a refusal to reach a mailserver before it is disconnected.
const LINGER: Duration = Duration::from_secs(1);

/// The longest request that is read, in bytes. Those of clients have a few hundred.
const MAX_REQUEST: usize = 64 << 10;

/// What one step of an answer may cost: this many records, or this much time.
const STEP_RECORDS: u64 = 16_384;
const STEP_TIME: Duration = Duration::from_millis(50);

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

    fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(_))
    }
}

/// Answers requests.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) handle: Handle,
    pub(super) archive: Arc<dyn Archive>,
    pub(super) server: Arc<Server>,
    /// The same for peers of Waku.
    waku: Server,
    pub(super) reporter: Arc<Reporter>,
    limits: Limits,
    turns: Arc<Turns>,
    rates: Mutex<Rates<Address>>,
    queues: Mutex<Queues>,
    tasks: Mutex<JoinSet<()>>,
    /// Whether the last read of the archive failed.
    reads_fail: AtomicBool,
}

#[derive(Debug)]
struct Limits {
    per_peer: usize,
    bytes_per_peer: usize,
    all: usize,
    bytes: usize,
    send_timeout: Duration,
    /// Whether loopback addresses have a rate limit.
    loopback: bool,
}

#[derive(Debug, Default)]
struct Queues {
    /// The peers that are being served.
    peers: HashMap<ConnectionId, Line>,
    /// Requests that wait.
    queued: usize,
    /// Bytes of those that wait or are being answered.
    bytes: usize,
    /// Refused mailservers that will be disconnected.
    ending: HashSet<ConnectionId>,
}

/// A peer that is being served.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<(Asked, Instant)>,
    /// Bytes of those, and of the one that is being answered.
    bytes: usize,
    client: Client,
}

/// What the tasks of a peer share.
#[derive(Debug, Clone)]
struct Client {
    id: NodeId,
    network: Network,
    address: Address,
    /// Set when the peer has left: ends what is read for it.
    left: Arc<AtomicBool>,
    /// Wakes its task then.
    leaving: Arc<Notify>,
}

/// An answer, and whether its first step succeeded.
struct Accepted {
    answer: Answer,
    first: Result<(), ArchiveError>,
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
            bytes_per_peer: config.queue_bytes_per_peer,
            all: config.queue,
            bytes: config.queue_bytes,
            send_timeout: config.send_timeout,
            loopback: config.limits_loopback,
        };
        let turns = Turns::new(config.readers);
        let rates = Mutex::new(Rates::new(config.address_rate, config.address_burst));
        let (queues, tasks) = (Mutex::default(), Mutex::default());
        let reads_fail = AtomicBool::new(false);
        let waku = server.with_dialect(Dialect::Waku1);
        Self {
            handle,
            archive,
            server,
            waku,
            reporter,
            limits,
            turns,
            rates,
            queues,
            tasks,
            reads_fail,
        }
    }

    /// Returns the server for the peers of a network.
    fn server(&self, network: Network) -> &Server {
        match network {
            Network::Whisper => &self.server,
            Network::Waku => &self.waku,
        }
    }

    /// Answers a request after those before it, or refuses it.
    pub(super) fn take(self: &Arc<Self>, peer: ConnectionId, asked: Asked) {
        let now = Instant::now();
        let size = asked.size();
        if size > MAX_REQUEST {
            return self.turn_away(peer, &asked, Refusal::TooLarge(size), now);
        }
        let Some((id, ip)) = self.identify(peer) else { return };
        let address = Address::from(ip);
        let is_limited = self.limits.loopback || !ip.to_canonical().is_loopback();
        if is_limited && !self.is_in_time(&asked, &id, address, now) {
            return self.turn_away(peer, &asked, Refusal::RateLimited, now);
        }
        let mut queues = self.queues();
        let Limits { per_peer, bytes_per_peer, all, bytes, .. } = self.limits;
        let has_room = queues.bytes + size <= bytes;
        let Queues { peers, queued, bytes: total, .. } = &mut *queues;
        match peers.get_mut(&peer) {
            None if has_room => {
                let (left, leaving) = (Arc::default(), Arc::default());
                let network = peer.network();
                let client = Client { id, network, address, left, leaving };
                let line = Line { waiting: VecDeque::new(), bytes: size, client: client.clone() };
                peers.insert(peer, line);
                *total += size;
                drop(queues);
                self.spawn(self.clone().serve(peer, client, asked, now));
            }
            Some(line)
                if has_room
                    && line.waiting.len() < per_peer
                    && line.bytes + size <= bytes_per_peer
                    && *queued < all =>
            {
                line.waiting.push_back((asked, now));
                line.bytes += size;
                *total += size;
                *queued += 1;
                let queued = *queued;
                drop(queues);
                self.reporter.counters.lock().queued = queued;
            }
            _ => {
                drop(queues);
                self.turn_away(peer, &asked, Refusal::Busy, now);
            }
        }
    }

    /// Whether the address of a client has not asked too often. Mailservers that the operator has
    /// named may.
    fn is_in_time(&self, asked: &Asked, id: &NodeId, address: Address, now: Instant) -> bool {
        if asked.is_sync() && self.server.is_named(id) {
            return true;
        }
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).take(address, now)
    }

    /// Drops the waiting requests of a peer that has left, and ends the answer under way.
    pub(super) fn forget(&self, peer: ConnectionId) {
        let mut queues = self.queues();
        let Queues { peers, queued, bytes, .. } = &mut *queues;
        if let Some(line) = peers.get_mut(&peer) {
            let dropped: usize = line.waiting.iter().map(|(asked, _)| asked.size()).sum();
            *queued -= line.waiting.len();
            *bytes -= dropped;
            line.bytes -= dropped;
            line.waiting.clear();
            line.client.left.store(true, Ordering::Relaxed);
            line.client.leaving.notify_one();
        }
        let queued = *queued;
        drop(queues);
        self.reporter.counters.lock().queued = queued;
    }

    /// Aborts all answers.
    pub(super) async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }

    /// Serves a peer until none of its requests waits.
    async fn serve(
        self: Arc<Self>,
        peer: ConnectionId,
        client: Client,
        first: Asked,
        since: Instant,
    ) {
        let mut next = Some((first, since));
        while let Some((asked, since)) = next {
            let mut totals = Totals::default();
            let (Ok(outcome) | Err(outcome)) = tokio::select! {
                biased;
                () = client.leaving.notified() => Err(Outcome::Left),
                ended = self.answer(peer, &client, &asked, &mut totals) => ended,
            };
            let is_stalled = outcome == Outcome::Stalled;
            self.report(peer, &asked, outcome, totals, since);
            if is_stalled {
                self.end(peer);
            }
            let mut queues = self.queues();
            let Queues { peers, queued, bytes, .. } = &mut *queues;
            let Some(line) = peers.get_mut(&peer) else { return };
            *bytes -= asked.size();
            line.bytes -= asked.size();
            next = line.waiting.pop_front();
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
        client: &Client,
        asked: &Asked,
        totals: &mut Totals,
    ) -> Result<Outcome, Outcome> {
        // The checks, and the first step.
        let work = {
            let (desk, asked, client) = (self.clone(), asked.clone(), client.clone());
            move || desk.begin(&client, &asked)
        };
        let first_turn = self.turns.queue(client.address);
        let has_more = |begun: &Result<Accepted, _>| match begun {
            Ok(Accepted { answer, first: Ok(()) }) => !answer.is_ready(),
            _ => false,
        };
        let Some((begun, next)) = read(first_turn, work, has_more).await else {
            return self.fail(peer, client, asked, totals, panicked()).await;
        };
        let mut turn = next;
        let mut answer = match begun {
            Ok(Accepted { answer, first }) => {
                self.read_ended(&first);
                if let Err(error) = first {
                    return self.fail(peer, client, asked, totals, error).await;
                }
                answer
            }
            Err(refused) => {
                let Refused { refusal, reply } = *refused;
                let outcome = self.refused(refusal);
                self.send(peer, reply).await?;
                self.end_sync(peer, asked).await;
                return Ok(outcome);
            }
        };
        loop {
            while !answer.is_ready() {
                let (archive, reader) = (self.archive.clone(), client.clone());
                let work = move || {
                    // Its time begins when the turn has come.
                    let step = answer.step(&*archive, &mut reader.budget());
                    (answer, step)
                };
                let has_more = |(answer, step): &(Answer, Result<(), ArchiveError>)| {
                    step.is_ok() && !answer.is_ready()
                };
                let next_turn = turn.take().unwrap_or_else(|| self.turns.queue(client.address));
                let Some(((rest, step), next)) = read(next_turn, work, has_more).await else {
                    return self.fail(peer, client, asked, totals, panicked()).await;
                };
                (answer, turn) = (rest, next);
                self.read_ended(&step);
                if let Err(error) = step {
                    return self.fail(peer, client, asked, totals, error).await;
                }
            }
            let Some(reply) = answer.pop() else {
                let found = totals.envelopes > 0;
                return Ok(if found { Outcome::Delivered } else { Outcome::Empty });
            };
            self.send(peer, reply).await?;
            *totals = answer.totals();
        }
    }

    /// Checks a request and makes the first step of its answer, on a thread that may block.
    fn begin(&self, client: &Client, asked: &Asked) -> Result<Accepted, Box<Refused>> {
        let (archive, now) = (&*self.archive, self.handle.now());
        let server = self.server(client.network);
        let mut answer = match asked {
            Asked::Messages(request) => server.request(client.id, request, archive, now),
            Asked::Sync(request) => server.sync_request(client.id, request, archive, now),
        }?;
        let first = answer.step(archive, &mut client.budget());
        Ok(Accepted { answer, first })
    }

    /// Ends an answer half-way. The client keeps what it has, and can ask again; at once, if it has
    /// nothing.
    async fn fail(
        &self,
        peer: ConnectionId,
        client: &Client,
        asked: &Asked,
        totals: &Totals,
        error: ArchiveError,
    ) -> Result<Outcome, Outcome> {
        if totals.packets == 0 && !asked.is_sync() {
            self.server.release(&client.id);
        }
        let Refused { refusal, reply } =
            self.refuse((client.id, client.network), asked, error.into());
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
        let Some((client, _)) = self.identify(peer) else { return };
        let Refused { refusal, reply } = self.refuse((client, peer.network()), asked, refusal);
        let outcome = match self.handle.try_send_packet(peer, &reply.packet) {
            Ok(()) | Err(SendError::OutboxFull { .. }) => {
                Outcome::Refused(refusal.label(), refusal.to_string())
            }
            Err(_) => Outcome::Left,
        };
        self.report(peer, asked, outcome, Totals::default(), since);
        // One task per peer, without the request: refusals cost nothing that remains.
        if asked.is_sync() && self.queues().ending.insert(peer) {
            let desk = self.clone();
            self.spawn(async move {
                sleep(LINGER).await;
                desk.end(peer);
                desk.queues().ending.remove(&peer);
            });
        }
    }

    fn refuse(
        &self,
        (client, network): (NodeId, Network),
        asked: &Asked,
        refusal: Refusal,
    ) -> Refused {
        let server = self.server(network);
        match asked {
            Asked::Messages(request) => server.refuse(client, request, refusal),
            Asked::Sync(_) => server.refuse_sync(client, refusal),
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
        let sync = asked.is_sync();
        let elapsed = since.elapsed();
        let answered = Answered { peer, sync, outcome, totals, elapsed };
        self.reporter.counters.answered(&answered);
        self.reporter.report(MailserverEvent::Answered(Box::new(answered)));
    }

    /// Disconnects a refused mailserver.
    async fn end_sync(&self, peer: ConnectionId, asked: &Asked) {
        if asked.is_sync() {
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

    /// Returns the node id and the address of a peer.
    fn identify(&self, peer: ConnectionId) -> Option<(NodeId, IpAddr)> {
        let peers = self.handle.peers();
        let summary = peers.iter().find(|it| it.key == peer)?;
        Some((NodeId::from_key(&summary.id), summary.addr.ip()))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Returns the budget of a step.
    fn budget(&self) -> Budget {
        let until = SystemInstant::now() + STEP_TIME;
        Budget::from_records(STEP_RECORDS).until(until).unless(self.left.clone())
    }
}

/// Runs work that reads the archive when its turn has come. If there is more to do, also returns the
/// next turn, which is queued before this one ends. `None` if the work panicked.
async fn read<T: Send + 'static>(
    turn: NextTurn,
    work: impl FnOnce() -> T + Send + 'static,
    has_more: impl FnOnce(&T) -> bool + Send + 'static,
) -> Option<(T, Option<NextTurn>)> {
    let turn = turn.await.ok()?;
    let step = move || {
        let done = work();
        let next = has_more(&done).then(|| Turn::again(turn));
        (done, next)
    };
    spawn_blocking(step).await.ok()
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
        time::UnixSeconds,
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
        let asked = Asked::Sync(Arc::new(SyncRequest::all(UnixSeconds::EPOCH, UnixSeconds(1))));
        let refuse = || desk.turn_away(peer, &asked, Refusal::Busy, Instant::now());
        (0..1000).for_each(|_| refuse());
        assert_eq!(desk.tasks().len(), 1, "all of them end it once");
        while !desk.queues().ending.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
        refuse();
        assert_eq!(desk.tasks().len(), 1, "it was asked again");
        node.shutdown().await;
        other.shutdown().await;
    }
}

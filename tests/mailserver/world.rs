//! Nodes, servers and clients for tests.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use statuskit_core::{
    crypto::seeded_rng,
    devp2p::{Enode, Host, Protocol},
    envelope::{Envelope, SymKey, Topic},
    mailserver::{Access, Position},
    time::UnixSeconds,
    wire::{
        Packet, Status,
        p2p::SyncRequest,
        packet::{PROTOCOL, PROTOCOL_LENGTH, code},
        status::VERSION,
    },
};
use statuskit_mailserver::{
    Archive, ArchiveError, Client, ClientConfig, Mailserver, MailserverConfig, MailserverEvent,
    ServerConfig,
    archive::{Budget, Count, MemoryArchive, Query, Record, Step, Summary},
    client::{History, HistoryItem, PageDone},
    service::MailserverNews,
};
use statuskit_net::{
    connection::{self, PeerStream},
    node::{Clock, PeerOptions, Service, ServiceConfig},
};
use statuskit_testkit::ServiceClock;
pub use statuskit_testkit::key;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

pub const PATIENCE: Duration = Duration::from_secs(60);
/// The time of the tests.
pub const NOW: u32 = 1_585_400_000;
pub const TOPICS: [Topic; 3] =
    [Topic([1, 2, 3, 4]), Topic([0x29, 0x3c, 0xe1, 6]), Topic([0xf5, 0xf3, 0x5c, 0x4c])];

/// Returns the key of the password, derived once.
pub fn password() -> SymKey {
    static KEY: std::sync::OnceLock<SymKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| SymKey::from_password("status-offline-inbox")).clone()
}

/// Makes a unique envelope, sent at that second.
pub fn envelope(sent: u32, topic: Topic, number: u64) -> Envelope {
    large_envelope(sent, topic, number, 40 + number as usize % 300)
}

/// Makes one with this many bytes, which can't be compressed.
pub fn large_envelope(sent: u32, topic: Topic, number: u64, length: usize) -> Envelope {
    let mut data = vec![0; length];
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut data);
    Envelope::new(UnixSeconds(sent + 10), 10, topic, &data, number)
}

/// Makes envelopes sent a second apart, the last one now, with topics in turn.
pub fn envelopes(count: u32) -> Vec<Envelope> {
    (0..count)
        .map(|i| envelope(NOW - count + 1 + i, TOPICS[i as usize % TOPICS.len()], i.into()))
        .collect()
}

pub fn archive_of(envelopes: &[Envelope]) -> Arc<MemoryArchive> {
    let archive = MemoryArchive::new();
    archive.append(envelopes).unwrap();
    Arc::new(archive)
}

/// Returns all envelopes of an archive, oldest first.
pub fn all_of(archive: &dyn Archive) -> Vec<Envelope> {
    let query = Query {
        from: UnixSeconds::EPOCH,
        to: UnixSeconds::MAX,
        select: statuskit_mailserver::archive::Select::Bloom(statuskit_core::envelope::Bloom::FULL),
        order: Default::default(),
        after: None,
    };
    let mut all = Vec::new();
    archive
        .read(&query, &mut |record| {
            all.push(Envelope::decode(record.envelope).unwrap());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// Returns a clock that shows [`NOW`], and can be moved forward.
pub fn movable_clock() -> ServiceClock {
    ServiceClock::starting_at(Duration::from_secs(NOW.into()))
}

pub fn node_config(name: &str) -> ServiceConfig {
    let mut config = ServiceConfig::new(key(name));
    config.listen = Some(([127, 0, 0, 1], 0).into());
    config.node.min_pow = 0.0;
    // Old envelopes live long: a mailserver has rules of its own about their age.
    config.node.max_ttl = 0;
    config.clock = Clock::starting_at(Duration::from_secs(NOW.into()));
    config
}

pub async fn start_node(name: &str) -> Service {
    Service::start(node_config(name)).await.unwrap()
}

pub fn rules() -> ServerConfig {
    ServerConfig::from_password(password())
}

/// Returns those rules with a change.
pub fn rules_with(change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut rules = rules();
    change(&mut rules);
    rules
}

/// A node with a mailserver.
pub struct Server {
    pub node: Service,
    pub mailserver: Mailserver,
    pub news: MailserverNews,
}

pub async fn start_server(name: &str, archive: Arc<dyn Archive>) -> Server {
    start_server_with(name, archive, |_, _| {}).await
}

pub async fn start_server_with(
    name: &str,
    archive: Arc<dyn Archive>,
    change: impl FnOnce(&mut ServiceConfig, &mut MailserverConfig),
) -> Server {
    let mut node = node_config(name);
    Mailserver::prepare(&mut node);
    let mut config = MailserverConfig::new(rules());
    change(&mut node, &mut config);
    let node = Service::start(node).await.unwrap();
    let mailserver = Mailserver::start(node.handle(), archive, config).unwrap();
    let news = mailserver.subscribe();
    Server { node, mailserver, news }
}

impl Server {
    /// Waits for the first event that `wanted` returns something for.
    pub async fn wait_for<T>(
        &mut self,
        mut wanted: impl FnMut(&MailserverEvent) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let event = self.news.next().await.expect("the mailserver lives");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the news comes")
    }

    /// Waits for work, while each request that comes too early moves the server's clock on.
    pub async fn hastened<T>(
        &mut self,
        clock: &ServiceClock,
        seconds: u64,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                event = self.news.next() => match &*event.expect("the mailserver lives") {
                    MailserverEvent::Answered(answered)
                        if answered.outcome.label() == "rate_limited" =>
                    {
                        clock.forward(seconds);
                    }
                    _ => {}
                },
            }
        }
    }

    pub async fn stop(self) {
        self.node.shutdown().await;
        assert_eq!(self.mailserver.stop().await.lost, 0);
    }
}

/// Waits until a condition holds.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it becomes so");
}

pub fn dial(from: &Service, to: &Service) {
    let mut options = PeerOptions::default();
    options.first_retry = Duration::from_millis(20);
    from.handle().add_peer(to.handle().enode().unwrap(), options);
}

pub fn client_config() -> ClientConfig {
    let mut config = ClientConfig::new(Access::Password(password()), key("signer"));
    config.min_pow = 0.0;
    config
}

/// Makes a client on a node that dials the server.
pub fn client(node: &Service, server: &Service) -> Client {
    client_with(node, server, client_config())
}

pub fn client_with(node: &Service, server: &Service, config: ClientConfig) -> Client {
    dial(node, server);
    Client::new(node.handle(), server.handle().id(), config)
}

/// Collects all that a history brings.
pub async fn drain(
    mut history: History,
) -> (Vec<Envelope>, Vec<PageDone>, Option<statuskit_mailserver::ClientError>) {
    let (mut envelopes, mut pages) = (Vec::new(), Vec::new());
    let all = async {
        while let Some(item) = history.next().await {
            match item {
                Ok(HistoryItem::Envelope(envelope)) => envelopes.push(envelope),
                Ok(HistoryItem::Page(page)) => pages.push(page),
                Err(error) => return Some(error),
            }
        }
        None
    };
    let error = timeout(PATIENCE, all).await.expect("the history ends");
    (envelopes, pages, error)
}

/// Connects a peer without a node that has sent its Status. Its socket buffers little.
pub async fn stranger(name: &str, to: &Service) -> PeerStream<TcpStream> {
    stranger_at(name, &to.handle().enode().unwrap(), [127, 0, 0, 1]).await
}

/// Does the same from this address, also with a node of another process.
pub async fn stranger_at(name: &str, to: &Enode, from: [u8; 4]) -> PeerStream<TcpStream> {
    let Host::Ip(ip) = to.host else { panic!("{to}") };
    let protocols = vec![Protocol::new(PROTOCOL, VERSION, PROTOCOL_LENGTH)];
    let p2p = connection::P2pConfig::new(protocols);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind((from, 0).into()).unwrap();
    let socket = socket.connect((ip, to.tcp).into()).await.unwrap();
    let (server, rng) = (to.id, &mut seeded_rng(name));
    let mut stream = PeerStream::initiate(socket, server, &key(name), &p2p, rng).await.unwrap();
    stream.send(PROTOCOL, code::STATUS, &Status::default().encode()).unwrap();
    stream.flush().await.unwrap();
    stream
}

/// Returns the next packet from the server, except its Status.
pub async fn packet(stream: &mut PeerStream<TcpStream>) -> Option<(u64, Vec<u8>)> {
    loop {
        let next = timeout(PATIENCE, stream.next()).await.expect("something comes");
        match next {
            Ok(connection::Incoming::Message { code: code::STATUS, .. }) => {}
            Ok(connection::Incoming::Message { code, payload, .. }) => {
                return Some((code, payload));
            }
            Ok(connection::Incoming::Disconnected(_)) | Err(_) => return None,
        }
    }
}

/// Returns the error that a mailserver sends to another.
pub async fn sync_error(stranger: &mut PeerStream<TcpStream>, request: SyncRequest) -> Vec<u8> {
    let request = Packet::SyncRequest(request).encode();
    stranger.send(PROTOCOL, code::P2P_SYNC_REQUEST, &request).unwrap();
    stranger.flush().await.unwrap();
    let (code, payload) = packet(stranger).await.unwrap();
    let Packet::SyncResponse(response) = Packet::decode(code, &payload).unwrap() else { panic!() };
    response.error
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

/// An archive that fails on demand.
#[derive(Debug, Default)]
pub struct Moody {
    pub inner: MemoryArchive,
    pub fails: AtomicBool,
    /// The number of envelopes of each append.
    pub appends: Mutex<Vec<usize>>,
}

impl Moody {
    fn mood(&self) -> Result<(), ArchiveError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(ArchiveError::Full("no room".to_owned()));
        }
        Ok(())
    }
}

impl Archive for Moody {
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        self.mood()?;
        self.appends.lock().unwrap().push(envelopes.len());
        self.inner.append(envelopes)
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> std::ops::ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        self.mood()?;
        self.inner.read_step(query, budget, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.mood()?;
        self.inner.contains(position)
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        self.mood()?;
        self.inner.prune(UnixSeconds(before.0))
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        self.mood()?;
        self.inner.summary()
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        self.mood()?;
        self.inner.counts(visit)
    }
}

//! A client on TCP: a task per server, which connects when there is something to ask.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{
    Rng as _, RngExt as _, SeedableRng,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::SecretKey,
    discovery::{
        Multiaddr, Record, TopicName,
        rendezvous::{
            Discover, Frame, MAX_RECORDS, MAX_RESPONSE, PROTOCOL, Register, RendezvousError,
            Request, Response, Status,
        },
    },
    explain::Explanation,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{
    connection::{Connection, ConnectionError, Event},
    negotiation::NegotiationError,
};

/// How long a request can take, with the connection if there is none.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long a registration lasts.
pub const REGISTER_TTL: Duration = Duration::from_secs(10);
/// How often it is renewed.
pub const REGISTER_PERIOD: Duration = Duration::from_secs(5);

const READ_SIZE: usize = 16 * 1024;
/// Requests that wait for a server.
const QUEUE: usize = 16;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server can't be reached, or the connection broke.
    #[error("rendezvous server {server}: {error}")]
    Io { server: SocketAddr, error: io::Error },
    /// The server breaks the protocol, or is another one.
    #[error("rendezvous server {server}: {error}")]
    Connection { server: SocketAddr, error: ConnectionError },
    /// The server does not speak the protocol.
    #[error("rendezvous server {server}: {error}")]
    Negotiation { server: SocketAddr, error: NegotiationError },
    /// The server ended the stream or the connection instead of answering.
    #[error("rendezvous server {server} hung up without an answer")]
    HungUp { server: SocketAddr },
    /// No answer in time.
    #[error("rendezvous server {server} did not answer within {} s", REQUEST_LIMIT.as_secs())]
    Timeout { server: SocketAddr },
    /// The answer is malformed.
    #[error("the answer of rendezvous server {server}: {error}")]
    Response { server: SocketAddr, error: RendezvousError },
    /// The server refuses.
    #[error("rendezvous server {server} refuses: {status}{}", shown(.message))]
    Refused { server: SocketAddr, status: Status, message: String },
    /// The system has no randomness.
    #[error("no randomness from the system: {0}")]
    Random(String),
    /// There is no server to ask.
    #[error("no rendezvous server is given")]
    NoServer,
}

fn shown(message: &str) -> String {
    let message: String = message.chars().take(100).collect();
    if message.is_empty() { message } else { format!(" ({message:?})") }
}

impl ClientError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "rendezvous.io",
            Self::Connection { .. } | Self::Negotiation { .. } => "rendezvous.connection",
            Self::HungUp { .. } => "rendezvous.hung_up",
            Self::Timeout { .. } => "rendezvous.timeout",
            Self::Response { error, .. } => error.code(),
            Self::Refused { .. } => "rendezvous.refused",
            Self::Random(_) => "local.random",
            Self::NoServer => "rendezvous.no_server",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rendezvous.io",
            rule: "The server must be reachable over TCP.",
            source: "the system",
            causes: "It does not run, listens elsewhere, or a firewall is between.",
        },
        Explanation {
            code: "rendezvous.connection",
            rule: "The server proves the key of its peer id, and speaks secio, yamux and /rend/0.1.0.",
            source: "Status, \"Rendezvous\"",
            causes: "Another server under the address (its peer id is another one), or a libp2p node \
                     of today, which has no secio.",
        },
        Explanation {
            code: "rendezvous.hung_up",
            rule: "A server answers each request.",
            source: "Status, \"Rendezvous\"",
            causes: "It was stopped, has too many connections, or does not speak the protocol.",
        },
        Explanation {
            code: "rendezvous.timeout",
            rule: "A server answers within 5 s, the connection included.",
            source: "Status, \"Rendezvous\"",
            causes: "A firewall drops packets, or the server is overloaded. Try another one.",
        },
        Explanation {
            code: "rendezvous.refused",
            rule: "A topic has 1 to 50 bytes without ff, a time to live at most 20 s, and a record a \
                   valid signature.",
            source: "Status, \"Rendezvous\"",
            causes: "The status says which. \"internal error\" means that the server has no room.",
        },
        Explanation {
            code: "rendezvous.no_server",
            rule: "A client needs a server.",
            source: "this implementation",
            causes: "Give an address: --rendezvous /ip4/…/tcp/…/ethv4/16Uiu2HA…",
        },
    ];
}

/// A client of some servers. Each request goes to one of them, chosen at random, as the reference
/// does. It must be used on a tokio runtime; its connections end when it is dropped.
#[derive(Debug)]
pub struct Client {
    links: Vec<Link>,
    rng: Mutex<ChaCha20Rng>,
    _tasks: JoinSet<()>,
}

/// What a server has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The records whose signatures are valid.
    pub records: Vec<Record>,
    /// How many others the answer had.
    pub invalid: usize,
}

#[derive(Debug)]
struct Link {
    server: Multiaddr,
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    request: Request,
    reply: oneshot::Sender<Result<Response, ClientError>>,
}

impl Client {
    /// Starts with a new key, as the reference does at each start. Connects at the first request.
    ///
    /// # Errors
    ///
    /// If there is no server, or the system has no randomness.
    pub fn start(servers: &[Multiaddr]) -> Result<Self, ClientError> {
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng)
            .map_err(|error| ClientError::Random(error.to_string()))?;
        let key = SecretKey::generate(&mut rng);
        Self::start_with(servers, key, rng)
    }

    /// Does the same with a given key.
    ///
    /// # Errors
    ///
    /// If there is no server.
    pub fn start_with(
        servers: &[Multiaddr],
        key: SecretKey,
        mut rng: ChaCha20Rng,
    ) -> Result<Self, ClientError> {
        if servers.is_empty() {
            return Err(ClientError::NoServer);
        }
        let mut tasks = JoinSet::new();
        let links = servers
            .iter()
            .map(|server| {
                let (jobs, queue) = mpsc::channel(QUEUE);
                let mut seed = [0; 32];
                rng.fill_bytes(&mut seed);
                let rng = ChaCha20Rng::from_seed(seed);
                let task = Task { server: *server, key: key.clone(), rng, jobs: queue };
                tasks.spawn(task.run());
                Link { server: *server, jobs }
            })
            .collect();
        Ok(Self { links, rng: Mutex::new(rng), _tasks: tasks })
    }

    /// Registers a record under a topic at one of the servers.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or refuses.
    pub async fn register(
        &self,
        topic: &TopicName,
        record: &Record,
        ttl: Duration,
    ) -> Result<Multiaddr, ClientError> {
        let record = record.to_unverified();
        let request = Request::Register(Register { topic: topic.clone(), record, ttl });
        self.ask(request).await.map(|(server, _)| server)
    }

    /// Asks one of the servers for records of a topic, at most [`MAX_RECORDS`].
    ///
    /// # Errors
    ///
    /// If the server does not answer, or refuses.
    pub async fn discover(&self, topic: &TopicName, limit: u64) -> Result<Found, ClientError> {
        let request = Request::Discover(Discover { limit, topic: topic.clone() });
        let (_, response) = self.ask(request).await?;
        let mut found = Found::default();
        // A server that sends more than it may is not asked to be believed.
        for record in response.records().take(MAX_RECORDS) {
            match record {
                Ok(record) => found.records.push(record),
                Err(_) => found.invalid += 1,
            }
        }
        Ok(found)
    }

    async fn ask(&self, request: Request) -> Result<(Multiaddr, Response), ClientError> {
        let index = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            rng.random_range(0..self.links.len())
        };
        let link = &self.links[index];
        let server = link.server.address;
        let (reply, answer) = oneshot::channel();
        let asked = async {
            link.jobs.send(Job { request, reply }).await.ok()?;
            answer.await.ok()
        };
        let response = timeout(REQUEST_LIMIT, asked)
            .await
            .map_err(|_| ClientError::Timeout { server })?
            .ok_or(ClientError::HungUp { server })??;
        match response.status {
            Status::Ok => Ok((link.server, response)),
            status => Err(ClientError::Refused { server, status, message: response.message }),
        }
    }
}

/// The task of one server.
struct Task {
    server: Multiaddr,
    key: SecretKey,
    rng: ChaCha20Rng,
    jobs: mpsc::Receiver<Job>,
}

/// A connection that stands.
struct Connected {
    stream: TcpStream,
    connection: Connection,
    asked: BTreeMap<u32, Asked>,
}

struct Asked {
    job: Job,
    sent: bool,
    answer: Vec<u8>,
}

impl Task {
    async fn run(mut self) {
        while let Some(job) = self.jobs.recv().await {
            if job.reply.is_closed() {
                continue;
            }
            match timeout(REQUEST_LIMIT, self.connect()).await {
                // The caller has given up at the same time.
                Err(_) => {}
                Ok(Err(error)) => drop(job.reply.send(Err(error))),
                // Those that wait for an answer see that there is none.
                Ok(Ok(connected)) => {
                    let _ = self.converse(connected, job).await;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Connected, ClientError> {
        let server = self.server.address;
        let io = |error| ClientError::Io { server, error };
        let mut stream = TcpStream::connect(server).await.map_err(io)?;
        let _ = stream.set_nodelay(true);
        let mut connection = Connection::dial(self.key.clone(), self.server.peer);
        let mut buffer = vec![0; READ_SIZE];
        loop {
            stream.write_all(&connection.take_output()).await.map_err(io)?;
            if connection.is_open() {
                return Ok(Connected { stream, connection, asked: BTreeMap::new() });
            }
            let read = stream.read(&mut buffer).await.map_err(io)?;
            if read == 0 {
                return Err(ClientError::HungUp { server });
            }
            connection
                .receive(&buffer[..read], &mut self.rng)
                .map_err(|error| ClientError::Connection { server, error })?;
        }
    }

    /// Asks, and goes on with other requests until the connection ends.
    async fn converse(&mut self, mut connected: Connected, first: Job) -> Result<(), ClientError> {
        let server = self.server.address;
        let io = |error| ClientError::Io { server, error };
        let mut next = Some(first);
        let mut buffer = vec![0; READ_SIZE];
        loop {
            if let Some(job) = next.take()
                && !connected.ask(job)
            {
                return Ok(());
            }
            connected.handle_events(server);
            connected.forget_abandoned();
            let output = connected.connection.take_output();
            timeout(REQUEST_LIMIT, connected.stream.write_all(&output))
                .await
                .map_err(|_| ClientError::Timeout { server })?
                .map_err(io)?;
            tokio::select! {
                read = connected.stream.read(&mut buffer) => {
                    let read = read.map_err(io)?;
                    if read == 0 {
                        return Ok(());
                    }
                    let result = connected.connection.receive(&buffer[..read], &mut self.rng);
                    if let Err(error) = result {
                        connected.handle_events(server);
                        connected.fail(server, &error);
                        return Ok(());
                    }
                }
                job = self.jobs.recv() => match job {
                    Some(job) => next = Some(job),
                    None => return Ok(()),
                },
            }
        }
    }
}

impl Connected {
    /// Opens a stream for a request. Returns `false` if the connection has no more.
    fn ask(&mut self, job: Job) -> bool {
        let Some(id) = self.connection.open(PROTOCOL) else { return false };
        self.asked.insert(id, Asked { job, sent: false, answer: Vec::new() });
        true
    }

    fn handle_events(&mut self, server: SocketAddr) {
        while let Some(event) = self.connection.next_event() {
            match event {
                Event::Opened(id) => {
                    if let Some(asked) = self.asked.get_mut(&id) {
                        asked.sent = true;
                        self.connection.send(id, &asked.job.request.encode());
                    }
                }
                Event::Data(id, bytes) => self.take_data(server, id, &bytes),
                Event::Finished(id) => {
                    self.connection.reset(id);
                    self.settle(id, Err(ClientError::HungUp { server }));
                }
                Event::Closed(id, None) => {
                    self.settle(id, Err(ClientError::HungUp { server }));
                }
                Event::Closed(id, Some(error)) => {
                    self.settle(id, Err(ClientError::Negotiation { server, error }));
                }
                Event::Ready(_) | Event::GoAway => {}
            }
        }
    }

    fn take_data(&mut self, server: SocketAddr, id: u32, bytes: &[u8]) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        asked.answer.extend_from_slice(bytes);
        let expected = asked.job.request.response_kind();
        let result = match Frame::read(&asked.answer, MAX_RESPONSE) {
            Ok(None) => return,
            Ok(Some((frame, _))) => Response::decode(frame, expected),
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => self.connection.finish(id),
            Err(_) => self.connection.reset(id),
        }
        self.settle(id, result.map_err(|error| ClientError::Response { server, error }));
    }

    fn settle(&mut self, id: u32, result: Result<Response, ClientError>) {
        if let Some(asked) = self.asked.remove(&id) {
            let _ = asked.job.reply.send(result);
        }
    }

    /// Ends the streams of requests that nobody waits for.
    fn forget_abandoned(&mut self) {
        let connection = &mut self.connection;
        self.asked.retain(|id, asked| {
            let abandoned = asked.job.reply.is_closed();
            if abandoned {
                connection.reset(*id);
            }
            !abandoned
        });
    }

    fn fail(&mut self, server: SocketAddr, error: &ConnectionError) {
        for asked in std::mem::take(&mut self.asked).into_values() {
            let error = ClientError::Connection { server, error: error.clone() };
            let _ = asked.job.reply.send(Err(error));
        }
    }
}

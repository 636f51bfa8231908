//! What the network tools share: the peers' options, a node in the background, its news.
//!
//! The node runs on a thread of its own, so that it answers pings while a tool waits for its
//! input or mines.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, OpenOptions},
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, LazyLock, Once},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::Enode,
    envelope::pow::{TargetError, target_bits},
    wire::Status,
};
use statuskit_net::node::{
    Clock, ConnectionId, Event, Handle, PeerOptions, PeerSummary, Service, ServiceConfig,
    ServiceError, Subscription,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    keys::read_identity,
    output::escape,
};

/// Who the peers are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct PeerArgs {
    /// Peer to connect to. Repeatable. The environment variable STATUS_PEER holds one or several
    #[arg(long, value_name = "ENODE")]
    pub peer: Vec<String>,
    /// File with the private key of the node, 64 hex digits [default: a new one each time]
    #[arg(long, value_name = "FILE")]
    pub node_key: Option<PathBuf>,
}

impl PeerArgs {
    /// The peers, from the options, else from the environment.
    pub fn enodes(&self) -> Result<Vec<Enode>> {
        let from_environment = std::env::var("STATUS_PEER").unwrap_or_default();
        let (field, texts): (_, Vec<&str>) = if self.peer.is_empty() {
            let split = from_environment.split([' ', ',', '\n', '\t']);
            ("STATUS_PEER", split.filter(|text| !text.is_empty()).collect())
        } else {
            ("--peer", self.peer.iter().map(String::as_str).collect())
        };
        let parse = |text: &str| {
            text.parse::<Enode>().map_err(|error| {
                CliError::usage(format!("{}: {error}", escape(text)))
                    .field(field)
                    .hint("enode://128_HEX_DIGITS@HOST:PORT")
            })
        };
        Ok(texts.into_iter().map(parse).collect::<std::result::Result<_, _>>()?)
    }

    /// The peers; an error says how to name one.
    pub fn require(&self) -> Result<Vec<Enode>> {
        let enodes = self.enodes()?;
        if enodes.is_empty() {
            return Err(CliError::usage("no peer to connect to")
                .field("--peer")
                .hint("--peer enode://…, or STATUS_PEER; status-node runs one")
                .into());
        }
        Ok(enodes)
    }

    /// The key of our node.
    pub fn key(&self, cx: &Context) -> Result<SecretKey> {
        match &self.node_key {
            Some(path) => read_identity(path, "--node-key"),
            None => Ok(SecretKey::generate(&mut cx.rng("node")?)),
        }
    }
}

/// Refuses what is no proof of work to ask for, or one that no envelope can have: the smallest, with
/// a time to live of a second, would need more zero bits than a hash has.
pub fn check_min_pow(min_pow: f64, option: &'static str) -> Result<()> {
    let message = match target_bits(min_pow, 0, 1) {
        Ok(_) => return Ok(()),
        Err(TargetError::Unreachable { .. }) => {
            "no envelope has such a proof of work: at most 2^256 / 20, about 5.8e75"
        }
        Err(_) => "a proof of work is a number, at least 0",
    };
    Err(CliError::usage(message).field(option).into())
}

/// The largest that a node of the reference can be set to.
const MAX_MESSAGE_SIZE: u32 = 10 << 20;

/// Less has no room for the packets that the protocol itself needs: a request to a mailserver, the
/// smallest message in its padding.
const MIN_MESSAGE_SIZE: u32 = 1 << 10;

/// Refuses what no node can be set to, and what leaves a node deaf.
pub fn check_message_size(size: u32) -> Result<()> {
    if (MIN_MESSAGE_SIZE..=MAX_MESSAGE_SIZE).contains(&size) {
        return Ok(());
    }
    Err(CliError::usage("expected 1024 to 10485760 bytes").field("--max-message-size").into())
}

/// Refuses an address that is taken, before anything is made.
pub fn check_listen(addr: SocketAddr) -> Result<()> {
    match TcpListener::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = ServiceError::Listen { addr, error };
            Err(CliError::new(error.code(), Exit::Network, error.to_string()).into())
        }
    }
}

/// Writes the enode of a node that listens, for those who wait for the file.
pub fn write_enode(path: &Path, enode: &str) -> Result<()> {
    fs::write(path, format!("{enode}\n")).map_err(|error| enode_error(path, &error).into())
}

/// Refuses a file that the enode can't be written to, before anything is made. A new one is not
/// there yet after this, since somebody may wait for it to appear.
pub fn check_enode_file(path: &Path) -> Result<()> {
    let options = || OpenOptions::new().write(true).to_owned();
    let tried = match fs::metadata(path) {
        Ok(found) if found.is_file() || found.is_dir() => options().open(path).map(drop),
        // A pipe: to open it is to end it.
        Ok(_) => Ok(()),
        Err(_) => {
            let made = options().create_new(true).open(path);
            made.and_then(|_| fs::remove_file(path))
        }
    };
    tried.map_err(|error| enode_error(path, &error).into())
}

fn enode_error(path: &Path, error: &io::Error) -> CliError {
    let message = format!("can't write {}: {error}", path.display());
    CliError::new("file.write", Exit::Local, message).field("--enode-file")
}

/// The settings of a node with this key, under the clock of the tool.
pub fn service_config(key: SecretKey, cx: &Context) -> ServiceConfig {
    let mut config = ServiceConfig::new(key);
    if cx.is_clock_fixed() {
        config.clock = Clock::starting_at(Duration::from_millis(cx.now_ms()));
    }
    config
}

/// What is still done when a node has ended.
type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A node in the background.
pub struct Network {
    runtime: tokio::runtime::Handle,
    handle: Handle,
    stop: Option<oneshot::Sender<Afterwards>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Starts it.
    pub fn start(config: ServiceConfig) -> Result<Self> {
        let failed = |error: std::io::Error| {
            CliError::new("system.runtime", Exit::Local, format!("can't start the node: {error}"))
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let service = runtime.block_on(Service::start(config)).map_err(|error| {
            let exit = match error {
                ServiceError::Listen { .. } => Exit::Network,
                _ => Exit::Local,
            };
            CliError::new(error.code(), exit, error.to_string())
        })?;
        let handle = service.handle().clone();
        let on_runtime = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Afterwards>();
        let thread = std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // An error only means that the tool has gone without a word.
                    let afterwards = stopped.await;
                    service.shutdown().await;
                    if let Ok(afterwards) = afterwards {
                        afterwards.await;
                    }
                });
            })
            .map_err(failed)?;
        Ok(Self { runtime: on_runtime, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// The node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for something on the node's runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Does something in the background, as long as the node runs.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Ends the node, and then does something more on its runtime; `None` if that went wrong.
    pub fn stop_then<T: Send + 'static>(
        mut self,
        last: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let afterwards = async move {
            // Nobody but us waits for it.
            let _ = done.send(last.await);
        };
        self.stop.take()?.send(Box::pin(afterwards)).ok()?;
        drop(self);
        result.blocking_recv().ok()
    }

    /// Dials a peer that the user has named. Packets up to the largest size are taken from it: nodes
    /// of the reference write all that they have for a newcomer into one, however large. It costs
    /// up to 16 MiB as it comes, and as much uncompressed, per such peer, while one arrives.
    pub fn dial(&self, enode: Enode, options: PeerOptions) {
        let _entered = self.runtime.enter();
        let max_packet_size = options.max_packet_size.or(Some(MAX_MESSAGE_SIZE));
        let options = PeerOptions { max_packet_size, ..options };
        self.handle.add_peer(enode, options);
    }
}

/// Says good-bye to the peers, in bounded time.
impl Drop for Network {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(Box::pin(std::future::ready(())));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A peer that was lost before is only relied on after such a time.
const PROBATION: Duration = Duration::from_secs(5);

/// A peer whose Status has come.
struct Ready {
    id: Option<PublicKey>,
    status: Status,
    since: Instant,
}

/// The peers of a tool, as it goes on.
pub struct Peers {
    /// The events of the node.
    pub events: Subscription,
    known: HashMap<ConnectionId, Arc<PeerSummary>>,
    ready: HashMap<ConnectionId, Ready>,
    /// Those that were lost before, and why the last one was.
    lost: HashSet<PublicKey>,
    last_failure: Option<String>,
    unreached: Vec<PublicKey>,
}

impl Peers {
    /// Dials all peers and waits until each has answered or failed, or until `limit`. What fails
    /// is shown; no peer at all is an error.
    pub fn connect(
        network: &Network,
        enodes: Vec<Enode>,
        options: &PeerOptions,
        limit: Duration,
        cx: &Context,
    ) -> Result<Self> {
        let mut peers = Self {
            events: network.handle().subscribe(),
            known: HashMap::new(),
            ready: HashMap::new(),
            lost: HashSet::new(),
            last_failure: None,
            unreached: enodes.iter().map(|enode| enode.id).collect(),
        };
        let total = enodes.len();
        for enode in enodes {
            network.dial(enode, options.clone());
        }
        let deadline = Instant::now() + limit;
        while !peers.unreached.is_empty() {
            let next = network.wait(async {
                tokio::select! {
                    event = peers.events.next() => Some(event),
                    () = tokio::time::sleep_until(deadline.into()) => None,
                    () = interrupted() => Some(None),
                }
            });
            match next {
                None => break,
                Some(None) => return Err(Stop::Exit(Exit::Interrupted)),
                Some(Some(event)) => peers.follow(&event, cx),
            }
        }
        let ready = peers.ready.len();
        if ready == 0 {
            let message = match peers.unreached.len() {
                0 => format!("none of {total} peers could be reached"),
                waiting => format!(
                    "{waiting} of {total} peers did not answer within {} s",
                    limit.as_secs_f64()
                ),
            };
            return Err(CliError::new("net.no_peer", Exit::Network, message)
                .hint("is the node running, and is its enode right?")
                .into());
        }
        Ok(peers)
    }

    /// Takes note of who comes and goes; failures are shown.
    pub fn follow(&mut self, event: &Event, cx: &Context) {
        match event {
            Event::Connected(summary) => {
                self.known.insert(summary.key, summary.clone());
            }
            Event::Ready { peer, status } => {
                let id = self.known.get(peer).map(|summary| summary.id);
                self.unreached.retain(|unreached| Some(*unreached) != id);
                let (status, since) = ((**status).clone(), Instant::now());
                self.ready.insert(*peer, Ready { id, status, since });
            }
            Event::Disconnected { peer, reason } => {
                self.unreached.retain(|id| *id != peer.id);
                self.ready.remove(&peer.key);
                self.known.remove(&peer.key);
                let message = format!("peer {}: {reason}", peer.addr);
                self.lost.insert(peer.id);
                self.last_failure = Some(message.clone());
                cx.show(&CliError::new(reason.code(), Exit::Network, message));
            }
            // Of a peer that is dialled again and again, the first failure is enough.
            Event::DialFailed { enode, error, .. } if self.unreached.contains(&enode.id) => {
                self.unreached.retain(|id| *id != enode.id);
                let message = format!("peer {}:{}: {error}", enode.host, enode.tcp);
                cx.show(&CliError::new(error.code(), Exit::Network, message));
            }
            _ => {}
        }
    }

    /// A connected peer.
    pub fn summary(&self, peer: ConnectionId) -> Option<&Arc<PeerSummary>> {
        self.known.get(&peer)
    }

    /// How many peers can be sent to.
    pub fn count(&self) -> usize {
        self.ready.len()
    }

    /// Why nothing can be expected from the peers, if that is so: all are gone, or those that came
    /// back may be gone again in a moment.
    pub fn lasting_failure(&self) -> Option<&str> {
        let is_sound = |ready: &Ready| {
            ready.id.is_none_or(|id| !self.lost.contains(&id)) || ready.since.elapsed() >= PROBATION
        };
        if self.ready.values().any(is_sound) { None } else { self.last_failure.as_deref() }
    }

    /// The highest proof of work that a peer asks for, as it said when it met us.
    pub fn min_pow(&self) -> f64 {
        self.ready.values().map(|ready| ready.status.min_pow).fold(0.0, f64::max)
    }

    /// What the peers ask for, for people.
    pub fn wishes(&self) -> String {
        let wishes = self.ready.values().map(|Ready { status, .. }| {
            let topics = if status.is_full_node() { "all topics" } else { "some topics" };
            format!("proof of work {}, {topics}", status.min_pow)
        });
        wishes.collect::<Vec<_>>().join("; ")
    }
}

/// Returns at a time; never, if there is none.
pub async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns when the user presses Ctrl-C, or has pressed it since this was first waited for.
pub async fn interrupted() {
    static SEEN: Seen = Seen::new();
    SEEN.wait(SignalKind::interrupt()).await;
}

/// Returns when the system asks the tool to end, or has asked since this was first waited for.
pub async fn terminated() {
    static SEEN: Seen = Seen::new();
    SEEN.wait(SignalKind::terminate()).await;
}

/// Remembers a signal: one that comes while nobody waits must not get lost.
struct Seen {
    watch: Once,
    seen: LazyLock<watch::Sender<bool>>,
}

impl Seen {
    const fn new() -> Self {
        Self { watch: Once::new(), seen: LazyLock::new(|| watch::channel(false).0) }
    }

    async fn wait(&'static self, kind: SignalKind) {
        self.watch.call_once(|| {
            // Where signals can't be watched, they end the tool in the ordinary way.
            if let Ok(mut signals) = signal(kind) {
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        self.seen.send_replace(true);
                    }
                });
            }
        });
        // The sender is never dropped.
        let _ = self.seen.subscribe().wait_for(|seen| *seen).await;
    }
}

//! What the network tools share: the peers' options, a node in the background, its news.
//!
//! The node runs on a thread of its own, so that it answers pings while a tool waits for its
//! input or mines.

use std::{
    fs::{self, OpenOptions},
    future::Future,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Map, Value, json};
use statuskit_client::{NoPeer, Peers};
use statuskit_core::{
    crypto::SecretKey,
    devp2p::Enode,
    envelope::pow::{TargetError, target_bits},
    wire::Dialect,
};
use statuskit_net::{
    connection::KeyLog,
    discovery::{Finder, FinderConfig},
    node::{
        Clock, ClockOffset, Event, Handle, PeerOptions, Service, ServiceConfig, ServiceError,
        Stats, Subscription,
    },
};
use tokio::sync::oneshot;

use crate::{
    config,
    context::Context,
    error::{CliError, Exit, Result, Stop},
    keys::read_identity,
    nodes::{self, Wanted},
    signals::{interrupted, until},
    text::count,
};

/// The peers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct PeerArgs {
    /// Peer to connect to, or @FILE with a list of them. Repeatable. The environment variable
    /// STATUS_PEER holds one or several
    #[arg(long, value_name = "ENODE")]
    pub peer: Vec<String>,
    /// File with the private key of the node, 64 hex digits [default: a new one each time]
    #[arg(long, value_name = "FILE")]
    pub node_key: Option<PathBuf>,
    #[command(flatten)]
    pub dialect: DialectArgs,
    #[command(flatten)]
    pub key_log: KeyLogArgs,
}

/// What the node speaks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct DialectArgs {
    /// Speak Waku as well (waku/1, or waku/0 with older nodes), beside Whisper
    #[arg(long)]
    pub waku: bool,
    /// With --waku: don't speak Whisper
    #[arg(long, requires = "waku")]
    pub no_whisper: bool,
    /// The same as --waku --no-whisper
    #[arg(long, conflicts_with_all = ["waku", "no_whisper"])]
    pub waku_only: bool,
}

impl DialectArgs {
    /// Returns the dialects.
    pub fn dialects(&self) -> Vec<Dialect> {
        match (self.waku_only || self.no_whisper, self.waku) {
            (true, _) => vec![Dialect::Waku0, Dialect::Waku1],
            (false, true) => vec![Dialect::Whisper, Dialect::Waku0, Dialect::Waku1],
            (false, false) => vec![Dialect::Whisper],
        }
    }

    /// Returns their names, as in Hello.
    pub fn names(&self) -> Vec<String> {
        self.dialects().iter().map(Dialect::to_string).collect()
    }
}

/// Returns the counters in each network of a node, with its name.
pub fn networks(handle: &Handle) -> impl Iterator<Item = (&'static str, Stats)> {
    handle.networks().into_iter().map(|handle| (handle.network().name(), handle.stats()))
}

/// Describes the networks of a node that has both.
pub fn networks_value(handle: &Handle) -> Option<Value> {
    let each = networks(handle).map(|(name, stats)| {
        let value = json!({
            "peers": stats.ready_peers,
            "pooled": stats.pooled,
            "new": stats.new,
            "forwarded": stats.forwarded,
        });
        (name.to_owned(), value)
    });
    let each: Map<String, Value> = each.collect();
    (each.len() > 1).then(|| each.into())
}

/// Whether the keys of sessions are written down.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct KeyLogArgs {
    /// Append the keys of each connection to FILE, so that `status-inspect --key-log` opens a capture
    /// of it. The file lets anyone read these connections
    #[arg(long, value_name = "FILE", requires = "insecure")]
    pub key_log: Option<PathBuf>,
    /// Allow what gives away secrets: --key-log
    #[arg(long)]
    pub insecure: bool,
}

impl KeyLogArgs {
    /// Opens the file, if there is one to be written.
    pub fn open(&self) -> Result<Option<KeyLog>> {
        let Some(path) = &self.key_log else { return Ok(None) };
        let failed = |error: io::Error| {
            let message = format!("can't write {}: {error}", path.display());
            CliError::new("file.write", Exit::Local, message).field("--key-log")
        };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            let message = format!("others may read {}", path.display());
            let error = CliError::new("file.mode", Exit::Local, message).field("--key-log");
            return Err(error.hint("chmod 600, or another file").into());
        }
        let file = Mutex::new(file);
        Ok(Some(KeyLog::new(move |keys| {
            let mut line = keys.to_line();
            line.push('\n');
            // A lost line is a connection that can't be read, and no reason to end it.
            if let Ok(mut file) = file.lock() {
                let _ = file.write_all(line.as_bytes());
            }
        })))
    }
}

impl PeerArgs {
    /// The peers, from the options, else from the environment, else of the profile.
    pub fn enodes(&self) -> Result<Vec<Enode>> {
        self.named(Wanted::Peers)
    }

    /// The same for mailservers, of which the profile has its own list.
    pub fn mailservers(&self) -> Result<Vec<Enode>> {
        self.named(Wanted::Mailservers)
    }

    fn named(&self, wanted: Wanted) -> Result<Vec<Enode>> {
        let from_environment = std::env::var("STATUS_PEER").unwrap_or_default();
        let from_environment: Vec<_> = from_environment
            .split([' ', ',', '\n', '\t'])
            .filter(|text| !text.is_empty())
            .collect();
        let (field, texts): (_, Vec<&str>) = if !self.peer.is_empty() {
            ("--peer", self.peer.iter().map(String::as_str).collect())
        } else if !from_environment.is_empty() {
            ("STATUS_PEER", from_environment)
        } else {
            let profile = config::profile()?;
            let (field, nodes) = match wanted {
                Wanted::Peers => ("peers", &profile.peers),
                Wanted::Mailservers => ("mailservers", &profile.mailservers),
                // A profile has none.
                Wanted::Bootnodes => return Ok(Vec::new()),
            };
            (field, nodes.iter().map(|node| node.value.as_str()).collect())
        };
        let mut enodes: Vec<Enode> = Vec::new();
        for text in texts {
            for enode in nodes::read(text, wanted, field)? {
                if !enodes.contains(&enode) {
                    enodes.push(enode);
                }
            }
        }
        Ok(enodes)
    }

    /// The peers; an error says how to name one.
    pub fn require(&self) -> Result<Vec<Enode>> {
        Self::some(self.enodes()?)
    }

    /// The same for mailservers.
    pub fn require_mailservers(&self) -> Result<Vec<Enode>> {
        Self::some(self.mailservers()?)
    }

    fn some(enodes: Vec<Enode>) -> Result<Vec<Enode>> {
        if enodes.is_empty() {
            return Err(CliError::usage("no peer to connect to")
                .field("--peer")
                .hint("--peer enode://…, STATUS_PEER or a profile; status-node runs one")
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

/// Parses a proof of work that can be mined to.
pub fn parse_pow(text: &str) -> std::result::Result<f64, String> {
    let pow: f64 = text.parse().map_err(|_| "a proof of work is a number".to_owned())?;
    check_min_pow(pow, "--pow").map(|()| pow).map_err(|stop| match stop {
        Stop::Error(error) => error.message.clone(),
        _ => String::new(),
    })
}

/// Rejects an invalid minimum PoW, and one that no envelope can have: even the smallest, with a TTL of
/// a second, would need more zero bits than a hash has.
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

/// Room for the packets that the protocol itself needs: a request to a mailserver, the smallest padded
/// message.
const MIN_MESSAGE_SIZE: u32 = 1 << 10;

/// Rejects a size that no node accepts.
pub fn check_message_size(size: u32) -> Result<()> {
    if (MIN_MESSAGE_SIZE..=MAX_MESSAGE_SIZE).contains(&size) {
        return Ok(());
    }
    Err(CliError::usage("expected 1024 to 10485760 bytes").field("--max-message-size").into())
}

/// Rejects an address in use, before anything is created.
pub fn check_listen(addr: SocketAddr) -> Result<()> {
    match TcpListener::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = ServiceError::Listen { addr, error };
            Err(CliError::new(error.code(), Exit::Network, error.to_string()).into())
        }
    }
}

/// Writes the enode of a listening node to a file.
pub fn write_enode(path: &Path, enode: &str) -> Result<()> {
    fs::write(path, format!("{enode}\n")).map_err(|error| enode_error(path, &error).into())
}

/// Rejects a file that can't be written, before anything is created. Does not create it: a script may
/// wait for it to appear.
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
        config.clock = Clock::starting_at(cx.now_ms().since_epoch());
    }
    config
}

/// A runtime on a thread of its own, so that nodes answer pings while the tool waits for its input
/// or its reader.
pub struct Background {
    runtime: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            CliError::new("system.runtime", Exit::Local, format!("can't start the node: {error}"))
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || {
                // An error only means that the tool was dropped.
                let _ = runtime.block_on(stopped);
                // What still blocks, such as an archive that is gone, ends with the process.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for something on the runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A node in the background. Dropping it says good-bye to the peers, in bounded time.
pub struct Network {
    background: Background,
    handle: Handle,
    service: Option<Service>,
}

impl Network {
    /// Starts it.
    pub fn start(config: ServiceConfig) -> Result<Self> {
        let background = Background::start()?;
        let service = background.wait(Service::start(config));
        let service = service.map_err(|error| service_error(&error))?;
        Ok(Self { background, handle: service.handle().clone(), service: Some(service) })
    }

    /// Returns the node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for something on the node's runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.background.wait(future)
    }

    /// Does something in the background, as long as the node runs.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.background.runtime.spawn(work);
    }

    /// Ends the node, and then does something more on its runtime.
    pub fn stop_then<T>(mut self, last: impl Future<Output = T>) -> T {
        self.stop();
        self.background.wait(last)
    }

    fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            self.background.wait(service.shutdown());
        }
    }

    /// Begins to find peers. The node's port is that of discovery, too.
    pub fn find(&self, mut config: FinderConfig) -> Result<Finder> {
        if let (Some(v5), Some(addr)) = (&mut config.v5, self.handle.local_addr()) {
            v5.listen = addr;
        }
        let started = self.wait(Finder::start(self.handle.clone(), config, Clock::default()));
        started.map_err(|error| service_error(&error).into())
    }

    /// Dials a peer that the user named. Accepts packets of any size from it: nodes of the reference
    /// write all that they have for a new peer into one. A packet holds up to 16 MiB while it
    /// arrives, and as much uncompressed.
    pub fn dial(&self, enode: Enode, mut options: PeerOptions) {
        options.max_packet_size.get_or_insert(MAX_MESSAGE_SIZE);
        self.handle.add_peer(enode, options);
    }

    /// Dials all peers and waits until each has answered or failed, or until `limit`. What fails
    /// is shown; no peer at all is an error.
    pub fn connect(
        &self,
        enodes: Vec<Enode>,
        options: &PeerOptions,
        limit: Duration,
        cx: &Context,
    ) -> Result<Subscription> {
        let mut news = self.handle.subscribe();
        let mut peers = Peers::new(&enodes);
        for enode in enodes {
            self.dial(enode, options.clone());
        }
        let deadline = Instant::now() + limit;
        while peers.unanswered() > 0 {
            let next = self.wait(async {
                tokio::select! {
                    news = news.next() => Some(news),
                    () = until(Some(deadline)) => None,
                    () = interrupted() => Some(None),
                }
            });
            match next {
                None => break,
                Some(None) => return Err(Stop::Exit(Exit::Interrupted)),
                Some(Some(event)) => {
                    if peers.handle(&event) {
                        show_network(&event, cx);
                    }
                }
            }
        }
        peers.reached(limit).map_err(|error| no_peer(&error))?;
        Ok(news)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Shows that a peer was lost or can't be reached, or that the clock is wrong.
pub fn show_network(event: &Event, cx: &Context) {
    let (code, message) = match event {
        Event::ClockSkewed(offset) => ("clock.skewed", skew_text(offset)),
        Event::Disconnected { peer, reason, .. } => {
            (reason.code(), format!("peer {}: {reason}", peer.addr))
        }
        Event::DialFailed { enode, error, .. } => {
            (error.code(), format!("peer {}:{}: {error}", enode.host, enode.tcp))
        }
        _ => return,
    };
    cx.show(&CliError::new(code, Exit::Network, message));
}

/// Describes how far the clock is off.
pub fn skew_text(offset: &ClockOffset) -> String {
    let (seconds, peers) = (offset.seconds.unsigned_abs(), count(offset.peers as u64, "peer"));
    let side = if offset.seconds < 0 { "ahead of" } else { "behind" };
    format!("the clock here seems to be {seconds} s {side} those of others, by the word of {peers}")
}

pub fn service_error(error: &ServiceError) -> CliError {
    let exit = match error {
        ServiceError::Listen { .. } => Exit::Network,
        _ => Exit::Local,
    };
    CliError::new(error.code(), exit, error.to_string())
}

/// No peer can be sent to.
pub fn no_peer(error: &NoPeer) -> Stop {
    let hint = match error {
        NoPeer::NotFound { .. } => {
            "does the bootnode answer (status-discover ping), and is a node registered?"
        }
        _ => "is the node running, and is its enode right?",
    };
    CliError::new("net.no_peer", Exit::Network, error.to_string()).hint(hint).into()
}

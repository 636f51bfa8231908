//! Peers for a node: discovery, the pool, and the node's connections put together.

use std::{
    collections::HashMap,
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::SecretKey,
    devp2p::Enode,
    discovery::{BootnodeUrl, Multiaddr, RecordBuilder, TopicName},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use super::{
    Discovery, Handle,
    pool::{Action, Found, Mode, Pool, Source},
    rendezvous::{Agent, AgentConfig, AgentEvent, ClientError},
    v5::{Config, Event},
};
use crate::node::{self, Clock, PeerOptions, ServiceError, Watched};

/// The most found nodes that wait for the pool.
const MAX_FOUND: usize = 256;
/// The largest file of cached peers.
const MAX_CACHE: u64 = 1 << 20;

/// The settings of a [`Finder`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FinderConfig {
    /// Legacy discovery v5; `None` if nodes come from elsewhere alone.
    pub v5: Option<Config>,
    /// The other way to find nodes; both may be given.
    pub rendezvous: Option<RendezvousConfig>,
    /// The topics whose nodes become peers.
    pub topics: Vec<TopicName>,
    /// The topics that this node registers.
    pub register: Vec<TopicName>,
    /// How many peers are wanted.
    pub mode: Mode,
    /// Where peers are remembered.
    pub cache: Option<PathBuf>,
    /// How found peers are dialled.
    pub peer: PeerOptions,
    /// Whether found nodes are only reported.
    pub report_only: bool,
}

impl FinderConfig {
    /// Returns the settings for a mode, without topics.
    pub fn new(mode: Mode) -> Self {
        let peer = PeerOptions { redial: false, ..PeerOptions::default() };
        Self {
            v5: None,
            rendezvous: None,
            topics: Vec::new(),
            register: Vec::new(),
            mode,
            cache: None,
            peer,
            report_only: false,
        }
    }
}

/// How a [`Finder`] uses rendezvous.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RendezvousConfig {
    /// The servers. Each request goes to one of them.
    pub servers: Vec<Multiaddr>,
    /// The key of the node, which signs its record.
    pub key: SecretKey,
    /// Where others reach the node; by default where it listens. Without an IPv4 address and a port it
    /// registers nothing.
    pub address: Option<SocketAddr>,
}

impl RendezvousConfig {
    /// Returns the settings for some servers.
    pub fn new(servers: Vec<Multiaddr>, key: SecretKey) -> Self {
        Self { servers, key, address: None }
    }

    /// Returns what keeps topics registered. `None` if there is nothing to register.
    fn registering(&self, listen: Option<SocketAddr>, topics: &[TopicName]) -> Option<AgentConfig> {
        let addr = self.address.or(listen)?;
        let is_usable = |ip: &IpAddr| ip.is_ipv4() && !ip.is_unspecified();
        if topics.is_empty() || addr.port() == 0 || !is_usable(&addr.ip()) {
            return None;
        }
        let (ip, port) = (addr.ip(), addr.port());
        let record = RecordBuilder::new(0).ip(ip).tcp(port).udp(port).sign(&self.key).ok()?;
        let mut config = AgentConfig::new(self.servers.clone());
        config.register = Some((record, topics.to_vec()));
        Some(config)
    }

    fn searching(&self, topic: TopicName, period: Duration) -> AgentConfig {
        let mut config = AgentConfig::new(self.servers.clone());
        config.search = vec![(topic, period)];
        config
    }
}

/// Finds peers for a node. Dropping it ends that; the peers stay.
#[derive(Debug)]
pub struct Finder {
    discovery: Option<Discovery>,
    found: mpsc::Sender<Found>,
    task: JoinHandle<()>,
}

impl Finder {
    /// Begins to find peers for a node.
    ///
    /// # Errors
    ///
    /// If the address for discovery is in use.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(
        node: node::Handle,
        config: FinderConfig,
        clock: Clock,
    ) -> Result<Self, ServiceError> {
        let discovery = match config.v5.clone() {
            Some(v5) => Some(Discovery::bind(v5, clock).await?),
            None => None,
        };
        let handle = discovery.as_ref().map(|discovery| discovery.handle().clone());
        let events = handle.as_ref().map(Handle::events);
        if let Some(handle) = &handle {
            handle.with(|machine, now| {
                for topic in &config.register {
                    machine.register(topic.clone(), now);
                }
                machine.start(now);
            });
        }
        let (found, others) = mpsc::channel(MAX_FOUND);
        let registering = config
            .rendezvous
            .as_ref()
            .and_then(|rendezvous| rendezvous.registering(node.local_addr(), &config.register));
        let task = Task {
            agents: HashMap::new(),
            found: found.clone(),
            _registering: registering.and_then(|config| follow(config, found.clone()).ok()),
            pool: Pool::new(node.id(), config.mode),
            watch: node.watch(),
            node,
            handle,
            config,
            began: Instant::now(),
        };
        let task = tokio::spawn(task.run(events, others));
        Ok(Self { discovery, found, task })
    }

    /// Returns the node of legacy discovery v5, if there is one.
    pub fn discovery(&self) -> Option<&Handle> {
        self.discovery.as_ref().map(Discovery::handle)
    }

    /// Returns where others put the nodes that they find.
    pub fn found(&self) -> mpsc::Sender<Found> {
        self.found.clone()
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    /// The searches at rendezvous servers.
    agents: HashMap<TopicName, JoinSet<()>>,
    _registering: Option<JoinSet<()>>,
    found: mpsc::Sender<Found>,
    pool: Pool,
    watch: node::Watch,
    node: node::Handle,
    handle: Option<Handle>,
    config: FinderConfig,
    began: Instant,
}

impl Task {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn run(
        mut self,
        mut events: Option<mpsc::Receiver<Event>>,
        mut others: mpsc::Receiver<Found>,
    ) {
        let cached = self.config.cache.as_deref().map(read_cache).unwrap_or_default();
        for topic in self.config.topics.clone() {
            let of = cached.iter().filter(|(name, _)| *name == topic);
            let cache = of.map(|(_, node)| node.clone()).collect();
            self.pool.add_topic(topic, self.config.mode.limits(), cache, self.now());
        }
        loop {
            self.act();
            let due = self.pool.next_timeout();
            let timeout = async {
                match due {
                    Some(at) => tokio::time::sleep_until((self.began + at).into()).await,
                    None => std::future::pending().await,
                }
            };
            let discovered = async {
                match &mut events {
                    Some(events) => events.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = discovered => match event {
                    Some(Event::Found { topic, node, .. }) => {
                        let node = node.enode();
                        self.pool.found(Found { node, topic, source: Source::V5 }, self.now());
                    }
                    Some(_) => {}
                    None => events = None,
                },
                Some(found) = others.recv() => self.pool.found(found, self.now()),
                event = self.watch.next() => match event {
                    Some(Watched::Event(event)) => self.connection(&event),
                    Some(_) => {}
                    None => return,
                },
                () = timeout => self.pool.handle_timeouts(self.now()),
            }
        }
    }

    fn connection(&mut self, event: &node::Event) {
        let now = self.now();
        match event {
            node::Event::Connected(peer) => self.pool.connected(peer.id, now),
            node::Event::Disconnected { peer, .. } => self.pool.disconnected(peer.id, now),
            node::Event::DialFailed { enode, .. } => self.pool.failed(enode.id, now),
            _ => {}
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Dial(enode) if !self.config.report_only => {
                    self.node.add_peer(enode, self.config.peer.clone());
                }
                Action::Drop(id) => self.node.remove_peer(&id),
                Action::Search(topic, period) => {
                    if let Some(rendezvous) = &self.config.rendezvous {
                        let config = rendezvous.searching(topic.clone(), period);
                        // Without randomness nothing else of the node works, either.
                        if let Ok(agent) = follow(config, self.found.clone()) {
                            self.agents.insert(topic.clone(), agent);
                        }
                    }
                    if let Some(handle) = &self.handle {
                        handle.with(|machine, now| machine.search(topic, period, now));
                    }
                }
                Action::StopSearch(topic) => {
                    self.agents.remove(&topic);
                    if let Some(handle) = &self.handle {
                        handle.with(|machine, _| machine.stop_search(&topic));
                    }
                }
                Action::SaveCache => {
                    if let Some(path) = &self.config.cache {
                        // Without a cache, the next start takes longer.
                        let _ = write_cache(path, self.pool.cache());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Runs an agent of rendezvous until the task is dropped, and passes on the nodes it finds.
fn follow(config: AgentConfig, found: mpsc::Sender<Found>) -> Result<JoinSet<()>, ClientError> {
    let mut agent = Agent::start(config)?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Some(event) = agent.next().await {
            if let AgentEvent::Found { topic, node } = event {
                // Who does not take them does not need them.
                let _ = found.try_send(Found { node, topic, source: Source::Rendezvous });
            }
        }
    });
    Ok(task)
}

/// Reads cached peers: a topic and a node URL per line. Lines that are neither are left out.
fn read_cache(path: &Path) -> Vec<(TopicName, Enode)> {
    let is_small = fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() <= MAX_CACHE);
    let text = if is_small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let peer = |line: &str| {
        let (topic, url) = line.split_once(' ')?;
        let topic = TopicName(hex::decode(topic).ok()?);
        Some((topic, url.parse::<BootnodeUrl>().ok()?.node()?))
    };
    text.lines().filter_map(peer).collect()
}

/// Writes them, so that a crash leaves the old ones or the new ones. Only the owner can read them.
fn write_cache<'a>(
    path: &Path,
    peers: impl Iterator<Item = (&'a TopicName, &'a Enode)>,
) -> io::Result<()> {
    use std::io::Write as _;
    let lines: String =
        peers.map(|(topic, node)| format!("{} {node}\n", hex::encode(&topic.0))).collect();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

//! Peers for a node: discovery, the pool, and the node's connections put together.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use statuskit_core::{
    devp2p::Enode,
    discovery::{BootnodeUrl, TopicName},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Discovery, Handle,
    pool::{Action, Found, Mode, Pool, Source},
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
            topics: Vec::new(),
            register: Vec::new(),
            mode,
            cache: None,
            peer,
            report_only: false,
        }
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
        let task = Task {
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
                    if let Some(handle) = &self.handle {
                        handle.with(|machine, now| machine.search(topic, period, now));
                    }
                }
                Action::StopSearch(topic) => {
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

//! The options of discovery: bootnodes, topics, the own node.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    crypto::SecretKey,
    devp2p::{Enode, Host},
    discovery::TopicName,
};
use statuskit_net::{
    discovery::{
        Discovery, FinderConfig, Handle, RendezvousConfig,
        pool::Mode,
        v5::{Config, Event, NodeInfo},
    },
    node::{Clock, ServiceError},
};
use tokio::sync::mpsc;

use super::rendezvous;
use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    keys::read_identity,
    net::{Background, service_error},
    nodes::{self, Wanted},
    output::Record,
    signals::{interrupted, terminated, until},
};

/// The longest name of a topic that fits into packets with others.
const MAX_TOPIC: usize = 128;

/// Where discovery begins.
#[derive(Debug, Clone, Default, Args)]
pub struct BootnodeArgs {
    /// Node to begin discovery with, or @FILE with a list or the fleets of the time. Repeatable
    #[arg(long, value_name = "ENODE")]
    pub bootnode: Vec<String>,
}

impl BootnodeArgs {
    /// Returns the bootnodes.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>> {
        let mut found = Vec::new();
        for text in &self.bootnode {
            for enode in nodes::read(text, Wanted::Bootnodes, "--bootnode")? {
                let node = node_of(&enode, "--bootnode")?;
                if !found.contains(&node) {
                    found.push(node);
                }
            }
        }
        Ok(found)
    }

    /// Returns the bootnodes; an error says how to name one.
    pub fn require(&self) -> Result<Vec<NodeInfo>> {
        let nodes = self.nodes()?;
        if nodes.is_empty() {
            let error = CliError::usage("no node to begin with").field("--bootnode");
            return Err(error.hint("--bootnode enode://…; status-discover serve runs one").into());
        }
        Ok(nodes)
    }
}

/// How a tool that talks finds its peers.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Discovery")]
pub struct FindArgs {
    /// Find peers by this topic: whisper for relays, whispermail for mailservers. Repeatable. Needs
    /// --bootnode (legacy discovery v5), --rendezvous, or both
    #[arg(long, value_name = "TOPIC")]
    pub discover: Vec<String>,
    #[command(flatten)]
    pub bootnodes: BootnodeArgs,
    /// Rendezvous server to ask, and to register at. Repeatable
    #[arg(long, value_name = "MULTIADDR", requires = "discover")]
    pub rendezvous: Vec<String>,
    /// File to remember found peers in
    #[arg(long, value_name = "FILE", requires = "discover")]
    pub peer_cache: Option<PathBuf>,
}

impl FindArgs {
    /// Returns whether peers are to be found.
    pub fn is_on(&self) -> bool {
        !self.discover.is_empty()
    }

    /// Returns the settings, if peers are to be found. `listen` is where the node listens; programs
    /// that only ask don't.
    pub fn config(
        &self,
        key: &SecretKey,
        listen: Option<SocketAddr>,
        mode: Mode,
    ) -> Result<Option<FinderConfig>> {
        if !self.is_on() {
            return Ok(None);
        }
        let topics: Vec<_> =
            self.discover.iter().map(|it| topic(it, "--discover")).collect::<Result<_>>()?;
        let servers = rendezvous::servers(&self.rendezvous)?;
        let mut finder = FinderConfig::new(mode);
        if servers.is_empty() || !self.bootnodes.bootnode.is_empty() {
            let bootnodes = self.bootnodes.require()?;
            let listen = listen.unwrap_or_else(|| socket_for(&bootnodes));
            let mut v5 = Config::new(key.clone(), listen);
            v5.bootnodes = bootnodes;
            finder.v5 = Some(v5);
        }
        if !servers.is_empty() {
            if let Some(listen) = listen
                && (listen.ip().is_unspecified() || listen.is_ipv6())
            {
                let message = "rendezvous tells others the address: expected an IPv4 address of \
                               this machine";
                return Err(CliError::usage(message).field("--listen").into());
            }
            finder.rendezvous = Some(RendezvousConfig::new(servers, key.clone()));
        }
        finder.topics = topics;
        finder.cache = self.peer_cache.clone();
        Ok(Some(finder))
    }
}

/// The node of a tool that takes part in discovery.
#[derive(Debug, Clone, Args)]
pub struct OwnArgs {
    /// Address and port of the own node [default: a free port, of loopback if the others are there]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// File with the private key of the node, 64 hex digits [default: a new one each time]
    #[arg(long, value_name = "FILE")]
    pub node_key: Option<PathBuf>,
}

impl OwnArgs {
    /// Returns the settings of the own node.
    pub fn config(&self, others: Vec<NodeInfo>, cx: &Context) -> Result<Config> {
        let key = match &self.node_key {
            Some(path) => read_identity(path, "--node-key")?,
            None => SecretKey::generate(&mut cx.rng("node")?),
        };
        let listen = self.listen.unwrap_or_else(|| socket_for(&others));
        let mut config = Config::new(key, listen);
        config.bootnodes = others;
        Ok(config)
    }
}

/// Returns the address for a program that only asks: of loopback, if all others are there.
pub fn socket_for(others: &[NodeInfo]) -> SocketAddr {
    let all = |is: fn(&IpAddr) -> bool| others.iter().all(|node| is(&node.addr.ip()));
    let is_v6 = !others.is_empty() && all(IpAddr::is_ipv6);
    let ip: IpAddr = match (is_v6, all(IpAddr::is_loopback)) {
        (false, true) => Ipv4Addr::LOCALHOST.into(),
        (false, false) => Ipv4Addr::UNSPECIFIED.into(),
        (true, true) => Ipv6Addr::LOCALHOST.into(),
        (true, false) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

/// Parses a topic.
pub fn topic(text: &str, field: &str) -> Result<TopicName> {
    if text.is_empty() || text.len() > MAX_TOPIC {
        let message = format!("a topic has 1 to {MAX_TOPIC} bytes");
        return Err(CliError::usage(message).field(field.to_owned()).into());
    }
    Ok(TopicName::from(text))
}

/// Parses a node that is asked directly.
pub fn node(text: &str, field: &str) -> Result<NodeInfo> {
    let enode: Enode =
        text.parse().map_err(|error: statuskit_core::devp2p::enode::EnodeError| {
            let error = CliError::usage(error.to_string()).field(field.to_owned());
            error.hint("enode://128_HEX_DIGITS@HOST:PORT")
        })?;
    node_of(&enode, field)
}

fn node_of(enode: &Enode, field: &str) -> Result<NodeInfo> {
    NodeInfo::from_enode(enode).ok_or_else(|| {
        let message = match &enode.host {
            Host::Name(name) => format!("{name}: discovery needs an address, not a name"),
            _ => "discovery needs an address and a UDP port other than 0".to_owned(),
        };
        CliError::usage(message).field(field.to_owned()).into()
    })
}

/// A node of discovery in the background.
pub struct Running {
    background: Background,
    _discovery: Discovery,
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
}

/// What a tool waits for.
#[allow(clippy::large_enum_variant, reason = "one at a time, taken apart at once")]
pub enum Step {
    Event(Event),
    TimedOut,
}

impl Running {
    /// Opens the socket.
    pub fn start(config: Config, cx: &Context) -> Result<Self> {
        let background = Background::start()?;
        let clock = match cx.is_clock_fixed() {
            true => Clock::starting_at(cx.now_ms().since_epoch()),
            false => Clock::default(),
        };
        let discovery =
            background.wait(Discovery::bind(config, clock)).map_err(|error| match error {
                ServiceError::Listen { .. } => service_error(&error).field("--listen"),
                error => service_error(&error),
            })?;
        let handle = discovery.handle().clone();
        let events = handle.events();
        Ok(Self { background, _discovery: discovery, handle, events })
    }

    /// Waits for the next event, until a time.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Step> {
        let events = &mut self.events;
        self.background.wait(async {
            tokio::select! {
                event = events.recv() => Ok(event.map_or(Step::TimedOut, Step::Event)),
                () = until(deadline) => Ok(Step::TimedOut),
                () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                () = terminated() => Err(Stop::Exit(Exit::Terminated)),
            }
        })
    }
}

/// Describes a node.
pub fn node_record(kind: &str, node: &NodeInfo) -> Record {
    Record::new(kind)
        .with("enode", node.enode().to_string())
        .with("public_key", node.key.to_string())
        .with("node_id", format!("0x{}", node.id()))
        .with("ip", node.addr.ip().to_canonical().to_string())
        .with("udp", node.addr.port())
        .with("tcp", node.tcp)
}

/// Shows the URL of a record.
pub fn enode_text(record: &Record) -> String {
    record.members()["enode"].as_str().unwrap_or_default().to_owned()
}

/// Nothing answered in time.
pub fn silent(what: &str, limit: Duration) -> CliError {
    let message = format!("{what} within {} s", limit.as_secs());
    CliError::new("discovery.timeout", Exit::Network, message)
}

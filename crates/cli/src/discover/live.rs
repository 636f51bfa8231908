//! The commands that take part in discovery: ping, lookup, search, register, serve.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    crypto::PublicKey,
    devp2p::NodeId,
    discovery::{TopicName, topic::MIN_WAIT},
};
use statuskit_net::discovery::v5::{Event, NodeInfo};

use super::args::{
    BootnodeArgs, OwnArgs, Running, Step, enode_text, node, node_record, silent, topic,
};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    keys::parse_public_key,
    net::{check_enode_file, write_enode},
    output::Record,
    records::float,
    time::parse_seconds,
};

/// The pause between lookups that find too little.
const LOOKUP_PAUSE: Duration = Duration::from_millis(500);

/// Prove that a node is there: ping, and answer its ping
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover ping \"$BOOTNODE\"
  $ status-discover ping \"$BOOTNODE\" --protocol v4 || test $? = 4")]
pub struct PingArgs {
    /// Node to ping
    #[arg(value_name = "ENODE")]
    node: String,
    /// Protocol of the node
    #[arg(long, value_enum, default_value = "v5")]
    protocol: Protocol,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "5s")]
    timeout: u32,
    #[command(flatten)]
    own: OwnArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// Legacy discovery v5
    V5,
    /// Discovery v4, with the node's record
    V4,
}

impl PingArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let node = node(&self.node, "<ENODE>")?;
        let limit = Duration::from_secs(self.timeout.into()).max(Duration::from_millis(1));
        let config = self.own.config(vec![node], cx)?;
        if self.protocol == Protocol::V4 {
            return super::table::ping_v4(&node, config, limit, cx);
        }
        let mut running = Running::start(config, cx)?;
        let began = Instant::now();
        running.handle.with(|machine, now| machine.bond(node, now));
        let deadline = began + limit;
        loop {
            match running.next(Some(deadline))? {
                Step::Event(Event::Answered { node: answered, after })
                    if answered.key == node.key =>
                {
                    let ms = after.as_secs_f64() * 1000.0;
                    let record = node_record("pong", &answered).with("protocol", "v5");
                    return cx.emit(&record.with("ms", float(ms)), |_| {
                        format!("{} answered in {ms:.1} ms", answered.addr)
                    });
                }
                // A ping may be lost.
                Step::Event(Event::Silent(_)) => {
                    running.handle.with(|machine, now| machine.bond(node, now));
                }
                Step::Event(_) => {}
                Step::TimedOut => {
                    let error = silent(&format!("{} did not answer", node.addr), limit);
                    return Err(error
                        .hint("the node may speak another protocol, or sign with another key")
                        .into());
                }
            }
        }
    }
}

/// Find nodes: those nearest to a key or an id, or any
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover lookup --bootnode \"$BOOTNODE\" --count 1 --timeout 10s")]
pub struct LookupArgs {
    /// Public key or node id (64 hex digits) to look for [default: random ones]
    #[arg(long, value_name = "KEY")]
    target: Option<String>,
    /// Stop after N nodes; exit 1 if there are fewer [default: the nodes of one lookup]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// How long to look
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "20s")]
    timeout: u32,
    #[command(flatten)]
    bootnodes: BootnodeArgs,
    #[command(flatten)]
    own: OwnArgs,
}

impl LookupArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let target = self.target.as_deref().map(target).transpose()?;
        let config = self.own.config(self.bootnodes.require()?, cx)?;
        let mut rng = cx.rng("lookup")?;
        let mut running = Running::start(config, cx)?;
        running.handle.start();
        let limit = Duration::from_secs(self.timeout.into());
        let deadline = Instant::now() + limit;
        let (mut shown, mut started) = (HashSet::new(), false);
        let mut again: Option<Instant> = None;
        loop {
            let wake = again.map_or(deadline, |at| at.min(deadline));
            let step = running.next(Some(wake))?;
            let now = Instant::now();
            let begin = match step {
                Step::Event(Event::Started) if !started => {
                    started = true;
                    true
                }
                Step::Event(Event::LookupDone { nodes, .. }) => {
                    for node in nodes {
                        if shown.insert(node.key) {
                            cx.emit(&node_record("node", &node), enode_text)?;
                        }
                        if self.count.is_some_and(|count| shown.len() >= count) {
                            return Ok(());
                        }
                    }
                    if self.count.is_none() {
                        return self.ended(&shown, started, limit, cx);
                    }
                    again = Some(now + LOOKUP_PAUSE);
                    false
                }
                Step::Event(_) => false,
                Step::TimedOut if now < deadline => {
                    again = None;
                    true
                }
                Step::TimedOut => return self.ended(&shown, started, limit, cx),
            };
            if begin {
                let id = target.unwrap_or_else(|| NodeId(rand::RngExt::random(&mut rng)));
                running.handle.with(|machine, now| machine.lookup(id, now));
            }
        }
    }

    fn ended(
        &self,
        shown: &HashSet<PublicKey>,
        started: bool,
        limit: Duration,
        cx: &mut Context,
    ) -> Result<()> {
        if !started {
            return Err(silent("no bootnode answered", limit).field("--bootnode").into());
        }
        if let Some(count) = self.count.filter(|count| shown.len() < *count) {
            cx.note(&format!("{} of {count} nodes were found", shown.len()));
            cx.negative();
        } else if shown.is_empty() {
            cx.negative();
        }
        Ok(())
    }
}

fn target(text: &str) -> Result<NodeId> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() == 64 {
        let mut id = [0; 32];
        if hex::decode_to_slice(digits, &mut id).is_ok() {
            return Ok(NodeId(id));
        }
    }
    Ok(NodeId::from_key(&parse_public_key(text, "--target")?))
}

/// Find the nodes that registered a topic
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover search whisper --bootnode \"$BOOTNODE\" --timeout 2s || test $? = 1")]
pub struct SearchArgs {
    /// Topic: whisper for relays, whispermail for mailservers
    topic: String,
    /// Stop after N nodes [default: no limit]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// How long to search; exit 1 if nothing is found
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "2m")]
    timeout: u32,
    #[command(flatten)]
    bootnodes: BootnodeArgs,
    #[command(flatten)]
    own: OwnArgs,
}

impl SearchArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let topic = topic(&self.topic, "<TOPIC>")?;
        let config = self.own.config(self.bootnodes.require()?, cx)?;
        let mut running = Running::start(config, cx)?;
        running.handle.with(|machine, now| {
            machine.search(topic.clone(), Duration::from_secs(3), now);
            machine.start(now);
        });
        let limit = Duration::from_secs(self.timeout.into());
        let deadline = Instant::now() + limit;
        let (mut shown, mut started) = (HashSet::new(), false);
        loop {
            match running.next(Some(deadline))? {
                Step::Event(Event::Started) => started = true,
                Step::Event(Event::Found { topic, node, from }) if shown.insert(node.key) => {
                    let record = node_record("node", &node)
                        .with("topic", topic.to_string())
                        .with("from", from.enode().to_string());
                    cx.emit(&record, enode_text)?;
                    if self.count.is_some_and(|count| shown.len() >= count) {
                        return Ok(());
                    }
                }
                Step::Event(_) => {}
                Step::TimedOut => {
                    if !started {
                        let error = silent("no bootnode answered", limit);
                        return Err(error.field("--bootnode").into());
                    }
                    if shown.is_empty() || self.count.is_some() {
                        cx.negative();
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// Register a topic at other nodes, until Ctrl-C. A registrar keeps one topic of a node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover register whisper --bootnode \"$BOOTNODE\" --count 1 --timeout 30s")]
pub struct RegisterArgs {
    /// Topic
    topic: String,
    /// Stop after N registrations; they live for an hour [default: no limit]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Stop after this time; exit 1 if nothing was registered [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    #[command(flatten)]
    bootnodes: BootnodeArgs,
    #[command(flatten)]
    own: OwnArgs,
}

impl RegisterArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let topic = topic(&self.topic, "<TOPIC>")?;
        let config = self.own.config(self.bootnodes.require()?, cx)?;
        let mut running = Running::start(config, cx)?;
        running.handle.with(|machine, now| {
            machine.register(topic.clone(), now);
            machine.start(now);
        });
        let limit = self.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (mut registered, mut started) = (0, false);
        loop {
            match running.next(deadline)? {
                Step::Event(Event::Started) => started = true,
                Step::Event(Event::Ticket { topic, registrar, wait }) => {
                    let record = step_record("ticket", &topic, &registrar).with("wait", wait);
                    cx.emit(&record, |_| format!("{}: {wait} s until {topic}", registrar.addr))?;
                }
                Step::Event(Event::Registered { topic, registrar }) => {
                    let record = step_record("registered", &topic, &registrar);
                    cx.emit(&record, |_| format!("{topic} registered at {}", registrar.addr))?;
                    registered += 1;
                    if self.count.is_some_and(|count| registered >= count) {
                        return Ok(());
                    }
                }
                Step::Event(_) => {}
                Step::TimedOut => {
                    if !started {
                        let error = silent("no bootnode answered", limit.unwrap_or_default());
                        return Err(error.field("--bootnode").into());
                    }
                    if registered == 0 || self.count.is_some() {
                        cx.negative();
                    }
                    return Ok(());
                }
            }
        }
    }
}

fn step_record(kind: &str, topic: &TopicName, registrar: &NodeInfo) -> Record {
    Record::new(kind)
        .with("topic", topic.to_string())
        .with("registrar", registrar.enode().to_string())
}

/// Run a bootnode: it answers, keeps a table of nodes and topics, and connects to nobody
///
/// The first result is a record of type "ready" with the enode of the node. Ctrl-C or SIGTERM end it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ timeout -s INT 1 status-discover serve --listen 127.0.0.1:0 || test $? = 124
  $ timeout -s INT 1 status-discover serve --listen 127.0.0.1:0 \\
      --bootnode \"$BOOTNODE\" --min-wait 10s || test $? = 124")]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 for a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:30301")]
    listen: SocketAddr,
    /// File with the private key of the node, 64 hex digits [default: a new one each time]
    #[arg(long, value_name = "FILE")]
    node_key: Option<PathBuf>,
    /// Minimum wait of tickets. The network's is 60 s; less is for tests
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value_t = MIN_WAIT.as_secs() as u32)]
    min_wait: u32,
    /// Maximum packets per second from one address
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate_limit_ip: u32,
    /// Print a record for each node that is proven, and for each registration
    #[arg(long)]
    nodes: bool,
    /// File to write the enode to, once the node listens
    #[arg(long, value_name = "FILE")]
    enode_file: Option<PathBuf>,
    #[command(flatten)]
    bootnodes: BootnodeArgs,
}

impl ServeArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        if self.rate_limit_ip == 0 {
            let error = CliError::usage("expected at least 1").field("--rate-limit-ip");
            return Err(error.into());
        }
        if let Some(path) = &self.enode_file {
            check_enode_file(path)?;
        }
        let own = OwnArgs { listen: Some(self.listen), node_key: self.node_key.clone() };
        let mut config = own.config(self.bootnodes.nodes()?, cx)?;
        config.min_wait = Duration::from_secs(self.min_wait.into());
        config.packets_per_second = self.rate_limit_ip;
        let mut running = Running::start(config, cx)?;
        let mut own = running.handle.info();
        let listen = own.addr;
        if listen.ip().is_unspecified() {
            own.addr.set_ip([127, 0, 0, 1].into());
        }
        let enode = own.enode().to_string();
        if let Some(path) = &self.enode_file {
            write_enode(path, &enode)?;
        }
        let ready = Record::new("ready")
            .with("enode", enode)
            .with("public_key", own.key.to_string())
            .with("listen", listen.to_string());
        cx.emit(&ready, enode_text)?;
        running.handle.start();
        loop {
            match running.next(None)? {
                Step::Event(Event::Bonded(node)) if self.nodes => {
                    cx.emit(&node_record("node", &node), enode_text)?;
                }
                Step::Event(Event::Registration { topic, node }) if self.nodes => {
                    let record = node_record("node", &node).with("topic", topic.to_string());
                    cx.emit(&record, enode_text)?;
                }
                Step::Event(_) => {}
                Step::TimedOut => {
                    let error = CliError::new("net.ended", Exit::Network, "the node has ended");
                    return Err(error.into());
                }
            }
        }
    }
}

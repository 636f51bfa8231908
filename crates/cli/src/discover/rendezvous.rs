//! `status-discover rendezvous`: a rendezvous server, and asking one.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use statuskit_core::{
    crypto::SecretKey,
    devp2p::{Enode, Host, NodeId},
    discovery::{
        Multiaddr, RecordBuilder, TopicName,
        rendezvous::{MAX_RECORDS, MAX_TOPIC, topic_is_valid},
    },
};
use statuskit_net::discovery::rendezvous::{
    Agent, AgentConfig, AgentEvent, Client, ClientError, Server, ServerConfig, node_of,
};

use super::args::enode_text;
use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    keys::read_identity,
    net::{Background, check_enode_file, write_enode},
    output::Record,
    signals::{interrupted, terminated, until},
    time::parse_seconds,
};

pub const EXAMPLES: &str = "\
Examples:
  $ timeout -s INT 1 status-discover rendezvous serve || test $? = 124";

#[derive(Debug, Subcommand)]
pub enum RendezvousCommand {
    Serve(ServeArgs),
    Register(RegisterArgs),
    Search(SearchArgs),
}

impl RendezvousCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match self {
            Self::Serve(args) => args.run(cx),
            Self::Register(args) => args.run(cx),
            Self::Search(args) => args.run(cx),
        }
    }
}

/// Run a rendezvous server: it keeps records of nodes by topic for some seconds
///
/// The first result is a record of type "rendezvous" with the address of the server. Ctrl-C or SIGTERM end it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ timeout -s INT 1 status-discover rendezvous serve || test $? = 124")]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 for a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File with the private key of the server, 64 hex digits: a part of its address [default: a
    /// new one each time]
    #[arg(long, value_name = "FILE")]
    server_key: Option<PathBuf>,
    /// File to write the address to, once the server listens
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
}

impl ServeArgs {
    fn run(&self, cx: &mut Context) -> Result<()> {
        if let Some(path) = &self.address_file {
            check_enode_file(path)?;
        }
        let key = match &self.server_key {
            Some(path) => read_identity(path, "--server-key")?,
            None => SecretKey::generate(&mut cx.rng("rendezvous server")?),
        };
        let background = Background::start()?;
        let server = background.wait(Server::start(ServerConfig::new(key, self.listen)));
        let mut server = server.map_err(|error| {
            let message = format!("can't listen on {}: {error}", self.listen);
            CliError::new("net.listen", Exit::Network, message).field("--listen")
        })?;
        let mut address = server.address();
        let listen = address.address;
        if listen.ip().is_unspecified() {
            address.address.set_ip(match listen {
                SocketAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
                SocketAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            });
        }
        if let Some(path) = &self.address_file {
            write_enode(path, &address.to_string())?;
        }
        let record = Record::new("rendezvous")
            .with("address", address.to_string())
            .with("peer_id", address.peer.to_string())
            .with("listen", listen.to_string());
        cx.emit(&record, |_| address.to_string())?;
        background.wait(async {
            loop {
                tokio::select! {
                    // What it answers is not told, but must not wait.
                    _ = server.next() => {}
                    () = interrupted() => return Err(Stop::Exit(Exit::Interrupted)),
                    () = terminated() => return Err(Stop::Exit(Exit::Terminated)),
                }
            }
        })
    }
}

/// Which servers are asked.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Server to ask. Repeatable: each request goes to one of them
    #[arg(long = "rendezvous", value_name = "MULTIADDR", required = true)]
    servers: Vec<String>,
}

impl ServerArgs {
    fn read(&self) -> Result<Vec<Multiaddr>> {
        servers(&self.servers)
    }
}

/// Parses the addresses of servers.
pub fn servers(texts: &[String]) -> Result<Vec<Multiaddr>> {
    texts.iter().map(|text| server(text)).collect()
}

fn server(text: &str) -> Result<Multiaddr> {
    text.parse().map_err(|error: statuskit_core::discovery::libp2p::MultiaddrError| {
        CliError::usage(error.to_string()).field("--rendezvous").into()
    })
}

/// Parses a topic.
fn topic(text: &str) -> Result<TopicName> {
    let topic = TopicName::from(text);
    match topic_is_valid(&topic) {
        true => Ok(topic),
        false => {
            let message = format!("a topic of rendezvous has 1 to {MAX_TOPIC} bytes");
            Err(CliError::usage(message).field("<TOPIC>").into())
        }
    }
}

/// Register a node under a topic, and renew that every 5 s until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover rendezvous register whisper --rendezvous \"$RENDEZVOUS\" \\
      --node-key me.key --address 127.0.0.1:30303 --count 1")]
pub struct RegisterArgs {
    /// Topic, of at most 50 bytes
    topic: String,
    #[command(flatten)]
    servers: ServerArgs,
    /// File with the private key of the node, 64 hex digits
    #[arg(long, value_name = "FILE")]
    node_key: PathBuf,
    /// Address and TCP port of the node; IPv4, others are not used
    #[arg(long, value_name = "ADDR")]
    address: SocketAddr,
    /// Stop after N registrations; each lasts for 10 s [default: no limit]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

impl RegisterArgs {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let topic = topic(&self.topic)?;
        let servers = self.servers.read()?;
        if !self.address.is_ipv4() || self.address.port() == 0 {
            let error = CliError::usage("expected an IPv4 address and a port other than 0");
            return Err(error.field("--address").into());
        }
        let key = read_identity(&self.node_key, "--node-key")?;
        let (ip, port) = (self.address.ip(), self.address.port());
        let record = RecordBuilder::new(0).ip(ip).tcp(port).udp(port).sign(&key);
        let record = record.map_err(|error| CliError::usage(error.to_string()))?;
        let mut config = AgentConfig::new(servers);
        config.register = Some((record, vec![topic]));
        let background = Background::start()?;
        let mut agent = background.wait(async { Agent::start(config) }).map_err(client_error)?;
        let mut registered = 0;
        while self.count.is_none_or(|count| registered < count) {
            let event = background.wait(async {
                tokio::select! {
                    event = agent.next() => Ok(event),
                    () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                    () = terminated() => Err(Stop::Exit(Exit::Terminated)),
                }
            })?;
            match event {
                Some(AgentEvent::Registered { topic, server }) => {
                    registered += 1;
                    let record = Record::new("registered")
                        .with("topic", topic.to_string())
                        .with("registrar", server.to_string());
                    cx.emit(&record, |_| format!("{topic} registered at {server}"))?;
                }
                // A refusal stays one; what can't be reached now may be later.
                Some(AgentEvent::Failed { error, .. })
                    if self.count.is_some() || matches!(error, ClientError::Refused { .. }) =>
                {
                    return Err(client_error(error).into());
                }
                Some(AgentEvent::Failed { error, .. }) => cx.report(client_error(error))?,
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }
}

/// Find nodes by topic: ask each period until --count, --timeout or Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover rendezvous search whisper --rendezvous \"$RENDEZVOUS\" --timeout 0s || test $? = 1")]
pub struct SearchArgs {
    /// Topic, of at most 50 bytes
    topic: String,
    #[command(flatten)]
    servers: ServerArgs,
    /// Stop after N nodes; exit 1 if there are fewer [default: ask once]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// How long to ask; 0s asks once
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "0s")]
    timeout: u32,
    /// Time between two questions
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "3s")]
    period: u32,
}

impl SearchArgs {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let topic = topic(&self.topic)?;
        let servers = self.servers.read()?;
        let background = Background::start()?;
        let client = background.wait(async { Client::start(&servers) }).map_err(client_error)?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout.into());
        let mut shown: Vec<NodeId> = Vec::new();
        loop {
            let found = background.wait(async {
                tokio::select! {
                    found = client.discover(&topic, MAX_RECORDS as u64) => Ok(found),
                    () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                    () = terminated() => Err(Stop::Exit(Exit::Terminated)),
                }
            })?;
            let found = found.map_err(client_error)?;
            if found.invalid > 0 {
                cx.note(&format!("{} records without a valid signature", found.invalid));
            }
            for node in found.records.iter().filter_map(node_of) {
                let id = NodeId::from_key(&node.id);
                if !shown.contains(&id) {
                    shown.push(id);
                    cx.emit(&node_record(&node, &topic), enode_text)?;
                    if self.count.is_some_and(|count| shown.len() >= count) {
                        return Ok(());
                    }
                }
            }
            let next = Instant::now() + Duration::from_secs(self.period.max(1).into());
            if next >= deadline {
                if self.count.is_some() || shown.is_empty() {
                    cx.negative();
                }
                return Ok(());
            }
            background.wait(async {
                tokio::select! {
                    () = until(Some(next)) => Ok(()),
                    () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                    () = terminated() => Err(Stop::Exit(Exit::Terminated)),
                }
            })?;
        }
    }
}

fn node_record(node: &Enode, topic: &TopicName) -> Record {
    let ip = match &node.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    Record::new("node")
        .with("enode", node.to_string())
        .with("public_key", node.id.to_string())
        .with("node_id", format!("0x{}", NodeId::from_key(&node.id)))
        .with("ip", ip)
        .with("udp", node.udp)
        .with("tcp", node.tcp)
        .with("topic", topic.to_string())
}

fn client_error(error: ClientError) -> CliError {
    CliError::new(error.code(), Exit::Network, error.to_string()).field("--rendezvous")
}

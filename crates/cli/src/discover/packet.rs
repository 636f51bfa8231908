//! `status-discover packet`: datagrams, taken apart and made.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        Datagram, DatagramError, Endpoint, Extra, FindNode, NodeEntry, NodeKey, PacketHash,
        TopicName, v4,
        v5::{self, FindNodeHash, Packet, Ping, TopicQuery},
    },
    reader::Wants,
};

use super::args::topic;
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, each_item},
    keys::read_identity,
    output::{Record, hex0x},
};

pub const EXAMPLES: &str = "\
Examples:
  $ status-discover packet make ping --key me.key --to 127.0.0.1:30301 \\
      --topic whisper | status-discover packet show";

/// How long a made packet is said to be valid, in seconds.
const EXPIRATION: u64 = 20;

#[derive(Debug, Subcommand)]
pub enum PacketCommand {
    /// Show datagrams of legacy v5 or v4: who signed them, and what is in them
    #[command(after_help = "\
Examples:
  $ status-discover packet make ping --key me.key --to 127.0.0.1:30301 \\
      | status-discover packet show")]
    Show {
        /// Datagrams in hex [default: those on standard input]
        datagrams: Vec<String>,
    },
    /// Make a datagram of legacy v5
    #[command(after_help = "\
Examples:
  $ status-discover packet make query --key me.key --topic whisper --output hex")]
    Make(MakeArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A ping, which asks for a ticket for its topics
    Ping,
    /// Asks for nodes near a hash
    Find,
    /// Asks who registered a topic
    Query,
}

#[derive(Debug, Args)]
pub struct MakeArgs {
    /// What to make
    #[arg(value_enum)]
    kind: Kind,
    /// File with the private key of the sender, 64 hex digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the sender listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:30303")]
    from: SocketAddr,
    /// Where the packet is sent
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:30301")]
    to: SocketAddr,
    /// Topic. Repeatable
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Hash to find nodes near, 64 hex digits [default: the sender's id]
    #[arg(long, value_name = "HEX")]
    target: Option<String>,
}

impl PacketCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match self {
            Self::Show { datagrams } if !datagrams.is_empty() => {
                for text in datagrams {
                    let digits = text.strip_prefix("0x").unwrap_or(text);
                    let bytes = hex::decode(digits).map_err(|_| {
                        CliError::usage("a datagram is given as hex").field("<DATAGRAMS>")
                    })?;
                    show(&bytes, cx)?;
                }
                Ok(())
            }
            Self::Show { .. } => {
                each_item(cx, Wants::any_bytes(), "datagrams", |cx, item| match &item.content {
                    Content::Bytes(bytes) => show(bytes, cx),
                    Content::Record(members) => {
                        let raw = members.get("raw").and_then(Value::as_str);
                        let raw = raw.and_then(|raw| hex::decode(raw.strip_prefix("0x")?).ok());
                        show(&raw.unwrap_or_default(), cx)
                    }
                })
            }
            Self::Make(args) => args.run(cx),
        }
    }
}

impl MakeArgs {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let key = read_identity(&self.key, "--key")?;
        let topics: Vec<TopicName> =
            self.topic.iter().map(|text| topic(text, "--topic")).collect::<Result<_>>()?;
        let expiration = u64::from(cx.now().0) + EXPIRATION;
        let packet = match self.kind {
            Kind::Ping => {
                let end = |addr: SocketAddr| Endpoint::new(addr.ip(), addr.port(), addr.port());
                Packet::Ping(Ping {
                    version: v5::VERSION,
                    from: end(self.from),
                    to: end(self.to),
                    expiration,
                    topics,
                    extra: Extra::default(),
                })
            }
            Kind::Find => {
                let target = match &self.target {
                    None => NodeId::from_key(&key.public_key()),
                    Some(text) => {
                        let mut id = [0; 32];
                        let digits = text.strip_prefix("0x").unwrap_or(text);
                        hex::decode_to_slice(digits, &mut id).map_err(|_| {
                            CliError::usage("expected 64 hex digits").field("--target")
                        })?;
                        NodeId(id)
                    }
                };
                Packet::FindNodeHash(FindNodeHash { target, expiration, extra: Extra::default() })
            }
            Kind::Query => {
                let Ok([topic]) = <[TopicName; 1]>::try_from(topics) else {
                    let error = CliError::usage("a query has one topic").field("--topic");
                    return Err(error.into());
                };
                // As all nodes send it.
                Packet::TopicQuery(TopicQuery { topic, expiration: 0 })
            }
        };
        let Datagram { bytes, .. } = packet
            .encode(&key)
            .map_err(|error| CliError::new(error.code(), Exit::Usage, error.to_string()))?;
        show(&bytes, cx)
    }
}

fn show(datagram: &[u8], cx: &mut Context) -> Result<()> {
    let record = describe(datagram)
        .map_err(|error| CliError::new(error.code(), Exit::Malformed, error.to_string()))?;
    cx.emit(&record, Record::to_text)
}

fn describe(datagram: &[u8]) -> std::result::Result<Record, DatagramError> {
    let base = |protocol: &str, kind: &str, sender: &NodeKey, hash: PacketHash, fields: Value| {
        Record::new("datagram")
            .with("protocol", protocol)
            .with("kind", kind)
            .with("sender", format!("0x04{}", hex::encode(sender.0)))
            .with("node_id", hex0x(sender.node_id().0))
            .with("hash", hash.to_string())
            .with("fields", fields)
            .with_raw(datagram)
    };
    if datagram.starts_with(v5::PREFIX) {
        let received = Packet::decode(datagram)?;
        let (kind, fields) = v5_fields(&received.packet);
        return Ok(base("v5", kind, &NodeKey::from(&received.sender), received.hash, fields));
    }
    match v4::Packet::decode(datagram) {
        Ok(received) => {
            let (kind, fields) = v4_fields(&received.packet);
            Ok(base("v4", kind, &NodeKey::from(&received.sender), received.hash, fields))
        }
        // Neither: the first text says which protocol was meant.
        Err(DatagramError::Hash) => Err(DatagramError::Prefix),
        Err(error) => Err(error),
    }
}

fn end(endpoint: &Endpoint) -> Value {
    let ip = endpoint.ip_addr().map_or_else(|| hex0x(&endpoint.ip), |ip| ip.to_string());
    json!({"ip": ip, "udp": endpoint.udp, "tcp": endpoint.tcp})
}

fn names(topics: &[TopicName]) -> Value {
    topics.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}

fn entries(nodes: &[NodeEntry]) -> Value {
    let node = |node: &NodeEntry| {
        let mut value = end(&node.endpoint);
        value["id"] = hex0x(node.key.0).into();
        value
    };
    nodes.iter().map(node).collect::<Vec<_>>().into()
}

fn find(find: &FindNode) -> Value {
    json!({"target": hex0x(find.target.0), "expiration": find.expiration})
}

fn v5_fields(packet: &Packet) -> (&'static str, Value) {
    match packet {
        Packet::Ping(it) => (
            "ping",
            json!({"version": it.version, "from": end(&it.from), "to": end(&it.to),
                   "expiration": it.expiration, "topics": names(&it.topics)}),
        ),
        Packet::Pong(it) => (
            "pong",
            json!({"to": end(&it.to), "reply_token": hex0x(&it.reply_token),
                   "issued": it.expiration, "topic_hash": it.topic_hash.to_string(),
                   "ticket_serial": it.ticket_serial, "wait_periods": it.wait_periods}),
        ),
        Packet::FindNode(it) => ("findnode", find(it)),
        Packet::Neighbors(it) => {
            ("neighbors", json!({"nodes": entries(&it.nodes), "expiration": it.expiration}))
        }
        Packet::FindNodeHash(it) => {
            ("findnodeHash", json!({"target": hex0x(it.target.0), "expiration": it.expiration}))
        }
        Packet::TopicRegister(it) => (
            "topicRegister",
            json!({"topics": names(&it.topics), "index": it.index, "pong": hex0x(&it.pong)}),
        ),
        Packet::TopicQuery(it) => {
            ("topicQuery", json!({"topic": it.topic.to_string(), "expiration": it.expiration}))
        }
        Packet::TopicNodes(it) => {
            ("topicNodes", json!({"echo": it.echo.to_string(), "nodes": entries(&it.nodes)}))
        }
        _ => ("unknown", Value::Null),
    }
}

fn v4_fields(packet: &v4::Packet) -> (&'static str, Value) {
    match packet {
        v4::Packet::Ping(it) => (
            "ping",
            json!({"version": it.version, "from": end(&it.from), "to": end(&it.to),
                   "expiration": it.expiration, "enr_seq": it.extra.sequence()}),
        ),
        v4::Packet::Pong(it) => (
            "pong",
            json!({"to": end(&it.to), "reply_token": hex0x(&it.reply_token),
                   "expiration": it.expiration, "enr_seq": it.extra.sequence()}),
        ),
        v4::Packet::FindNode(it) => ("findnode", find(it)),
        v4::Packet::Neighbors(it) => {
            ("neighbors", json!({"nodes": entries(&it.nodes), "expiration": it.expiration}))
        }
        v4::Packet::RecordRequest(it) => ("enrRequest", json!({"expiration": it.expiration})),
        v4::Packet::RecordResponse(it) => (
            "enrResponse",
            json!({"reply_token": hex0x(&it.reply_token), "record": hex0x(it.record.as_rlp())}),
        ),
        _ => ("unknown", Value::Null),
    }
}

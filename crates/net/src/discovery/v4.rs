//! Discovery v4 as a client: ping, nodes near a key, the record of a node.
//!
//! For tools that look at other networks; no program of Status answers it. The other side answers
//! requests only after it has got an answer to its own ping, which [`Client`] gives.
//!
//! Source: devp2p `discv4.md`, EIP-868.

use std::{io, net::SocketAddr, time::Duration};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    discovery::{
        Endpoint, Extra, FindNode, MAX_DATAGRAM, NodeKey, Record, RecordError,
        relay::check_node,
        v4::{Packet, Ping, Pong, RecordRequest, VERSION},
    },
    explain::Explanation,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::v5::NodeInfo;
use crate::node::Clock;

/// How long packets are valid.
const EXPIRATION: u64 = 20;
/// How long the other side may take to begin its own proof.
const PROOF_PAUSE: Duration = Duration::from_millis(500);
/// The pause before a packet is sent again.
const RETRY: Duration = Duration::from_millis(700);
/// The most nodes of an answer.
const MAX_ANSWER: usize = 16;

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum V4Error {
    /// The socket failed.
    #[error("discovery v4: {0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("{0} did not answer")]
    Timeout(SocketAddr),
    /// The record is not one of the node.
    #[error("the record of the node: {0}")]
    Record(RecordError),
    /// The record is signed by another node.
    #[error("the node sent the record of another node")]
    OtherRecord,
}

impl V4Error {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "discovery.socket",
            Self::Timeout(_) => "discovery.timeout",
            Self::Record(error) => error.code(),
            Self::OtherRecord => "discovery.other_record",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "discovery.timeout",
            rule: "A node answers a ping within half a second, and proves its address before it is asked.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node is away, behind a firewall for UDP, speaks another protocol, or has another key.",
        },
        Explanation {
            code: "discovery.socket",
            rule: "Discovery sends and receives datagrams.",
            source: "UDP",
            causes: "The address is in use or not one of this machine, or the network is down.",
        },
        Explanation {
            code: "discovery.other_record",
            rule: "A node sends its own record.",
            source: "EIP-868",
            causes: "The node is broken, or it lies.",
        },
    ];
}

/// A client with a socket of its own.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    key: SecretKey,
    clock: Clock,
}

impl Client {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// If the address is in use.
    pub async fn bind(key: SecretKey, listen: SocketAddr, clock: Clock) -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind(listen).await?, key, clock })
    }

    /// Pings a node. Returns how long the answer took, and the number of the node's record.
    ///
    /// # Errors
    ///
    /// If it does not answer within the time.
    pub async fn ping(
        &self,
        node: &NodeInfo,
        limit: Duration,
    ) -> Result<(Duration, Option<u64>), V4Error> {
        let deadline = Instant::now() + limit;
        loop {
            let sent = Instant::now();
            let hash = self.send(node, &self.ping_packet(node)?).await?;
            let answer = self.receive(node, deadline.min(sent + RETRY), |packet| match packet {
                Packet::Pong(pong) if pong.reply_token == hash => Some(pong.extra.sequence()),
                _ => None,
            });
            match answer.await {
                Ok(seq) => return Ok((sent.elapsed(), seq)),
                Err(V4Error::Timeout(_)) if Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Completes the endpoint proof both ways, as far as the other side wants it.
    ///
    /// # Errors
    ///
    /// If the node does not answer within the time.
    pub async fn bond(&self, node: &NodeInfo, limit: Duration) -> Result<(), V4Error> {
        self.ping(node, limit).await?;
        let until = Instant::now() + PROOF_PAUSE;
        let pinged =
            self.receive(node, until, |packet| matches!(packet, Packet::Ping(_)).then_some(()));
        match pinged.await {
            // It knows us already.
            Ok(()) | Err(V4Error::Timeout(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks a node for those near a key, after [`bond`](Self::bond). Those that it must not name are
    /// left out.
    ///
    /// # Errors
    ///
    /// If the node does not answer within the time.
    pub async fn find_node(
        &self,
        node: &NodeInfo,
        target: NodeKey,
        limit: Duration,
    ) -> Result<Vec<NodeInfo>, V4Error> {
        let find = FindNode { target, expiration: self.expiration(), extra: Extra::default() };
        self.send(node, &Packet::FindNode(find)).await?;
        let mut deadline = Instant::now() + limit;
        let (mut found, mut answered) = (Vec::new(), false);
        // The answer may come in several packets.
        while found.len() < MAX_ANSWER {
            let nodes = self.receive(node, deadline, |packet| match packet {
                Packet::Neighbors(neighbors) => Some(neighbors.nodes),
                _ => None,
            });
            match nodes.await {
                Ok(nodes) => found.extend(nodes),
                Err(V4Error::Timeout(_)) if answered => break,
                Err(error) => return Err(error),
            }
            answered = true;
            deadline = deadline.min(Instant::now() + PROOF_PAUSE);
        }
        found.truncate(MAX_ANSWER);
        let own = NodeKey::from(&self.key.public_key());
        let usable = |entry: &statuskit_core::discovery::NodeEntry| {
            let addr = check_node(&own, node.addr.ip(), entry).ok()?;
            Some(NodeInfo { key: entry.key.public_key().ok()?, addr, tcp: entry.endpoint.tcp })
        };
        Ok(found.iter().filter_map(usable).collect())
    }

    /// Asks a node for its record, after [`bond`](Self::bond).
    ///
    /// # Errors
    ///
    /// If the node does not answer within the time, or with a record that is not its own.
    pub async fn record(&self, node: &NodeInfo, limit: Duration) -> Result<Record, V4Error> {
        let request = RecordRequest { expiration: self.expiration(), extra: Extra::default() };
        let hash = self.send(node, &Packet::RecordRequest(request)).await?;
        let answer = self.receive(node, Instant::now() + limit, |packet| match packet {
            Packet::RecordResponse(response) if response.reply_token == hash => {
                Some(response.record)
            }
            _ => None,
        });
        let record = answer.await?.verify().map_err(V4Error::Record)?;
        if *record.key() != node.key {
            return Err(V4Error::OtherRecord);
        }
        Ok(record)
    }

    fn expiration(&self) -> u64 {
        self.clock.now().as_secs() + EXPIRATION
    }

    fn ping_packet(&self, node: &NodeInfo) -> io::Result<Packet> {
        let own = self.socket.local_addr()?;
        Ok(Packet::Ping(Ping {
            version: VERSION,
            from: Endpoint::new(own.ip(), own.port(), own.port()),
            to: Endpoint::new(node.addr.ip(), node.addr.port(), 0),
            expiration: self.expiration(),
            extra: Extra::default(),
        }))
    }

    async fn send(&self, node: &NodeInfo, packet: &Packet) -> io::Result<Vec<u8>> {
        let datagram = packet.encode(&self.key).map_err(io::Error::other)?;
        self.socket.send_to(&datagram.bytes, node.addr).await?;
        Ok(datagram.hash.0.to_vec())
    }

    /// Waits for a packet of a node, and answers its pings meanwhile.
    async fn receive<T>(
        &self,
        node: &NodeInfo,
        deadline: Instant,
        mut wanted: impl FnMut(Packet) -> Option<T>,
    ) -> Result<T, V4Error> {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let received = timeout_at(deadline, self.socket.recv_from(&mut buffer)).await;
            let Ok(received) = received else { return Err(V4Error::Timeout(node.addr)) };
            let (length, from) = received?;
            if from.ip().to_canonical() != node.addr.ip() {
                continue;
            }
            let Some((packet, hash)) = decode(&buffer[..length], &node.key) else { continue };
            if let Packet::Ping(ping) = &packet {
                if ping.expiration < self.clock.now().as_secs() {
                    continue;
                }
                let pong = Packet::Pong(Pong {
                    to: Endpoint::new(from.ip(), from.port(), ping.from.tcp),
                    reply_token: hash,
                    expiration: self.expiration(),
                    extra: Extra::default(),
                });
                self.send(node, &pong).await?;
            }
            if let Some(found) = wanted(packet) {
                return Ok(found);
            }
        }
    }
}

fn decode(datagram: &[u8], sender: &PublicKey) -> Option<(Packet, Vec<u8>)> {
    let received = Packet::decode(datagram).ok()?;
    (received.sender == *sender).then(|| (received.packet, received.hash.0.to_vec()))
}

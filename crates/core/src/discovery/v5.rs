//! Legacy discovery v5: "temporary discovery v5", with topics.
//!
//! ```text
//! "temporary discovery v5" || signature (65) || type (1) || RLP list
//! ```
//!
//! | type | packet | list |
//! | --: | --- | --- |
//! | 1 | [`Ping`] | `[version, from, to, expiration, [topic, …]]` |
//! | 2 | [`Pong`] | `[to, reply token, expiration, topic hash, ticket serial, [wait period, …]]` |
//! | 3 | [`FindNode`] | `[target, expiration]` |
//! | 4 | [`Neighbors`] | `[[node, …], expiration]` |
//! | 5 | [`FindNodeHash`] | `[target hash, expiration]` |
//! | 6 | [`TopicRegister`] | `[[topic, …], index, pong]` |
//! | 7 | [`TopicQuery`] | `[topic, expiration]` |
//! | 8 | [`TopicNodes`] | `[echo, [node, …]]` |
//!
//! Bytes after the list are ignored. Further items are kept in the types 1 to 5, and an error in the
//! others. No expiration is checked, nor the version of a ping.

use crate::{
    crypto::{PublicKey, SecretKey, keccak256},
    devp2p::NodeId,
    discovery::{
        Datagram, DatagramError, Endpoint, Extra, FindNode, Neighbors, NodeEntry, PacketHash,
        Received, TopicListHash, TopicName,
        datagram::{Signed, cut, fit, put_signed},
    },
    explain::Explanation,
    rlp::{self, Reader, RlpError},
};

/// The start of every datagram.
pub const PREFIX: &[u8; 22] = b"temporary discovery v5";
/// The version that nodes write into a ping.
pub const VERSION: u64 = 4;
/// The most nodes that answer a [`TopicQuery`].
pub const MAX_TOPIC_NODES: usize = 10;

/// Types of packets.
pub mod kind {
    #![allow(missing_docs)]
    pub const PING: u8 = 1;
    pub const PONG: u8 = 2;
    pub const FIND_NODE: u8 = 3;
    pub const NEIGHBORS: u8 = 4;
    pub const FIND_NODE_HASH: u8 = 5;
    pub const TOPIC_REGISTER: u8 = 6;
    pub const TOPIC_QUERY: u8 = 7;
    pub const TOPIC_NODES: u8 = 8;
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// Type 1.
    Ping(Ping),
    /// Type 2.
    Pong(Pong),
    /// Type 3. The reference answers it, but sends type 5 only.
    FindNode(FindNode),
    /// Type 4: the answer to the types 3 and 5.
    Neighbors(Neighbors),
    /// Type 5.
    FindNodeHash(FindNodeHash),
    /// Type 6. It has no answer.
    TopicRegister(TopicRegister),
    /// Type 7.
    TopicQuery(TopicQuery),
    /// Type 8: the answer to type 7.
    TopicNodes(TopicNodes),
}

/// Asks for a sign of life and, for its topics, for a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// [`VERSION`] in practice.
    pub version: u64,
    /// Where the sender listens.
    pub from: Endpoint,
    /// Where the packet is sent.
    pub to: Endpoint,
    /// When the packet ends to be valid, UNIX seconds.
    pub expiration: u64,
    /// The topics of the ticket.
    pub topics: Vec<TopicName>,
    /// Further items.
    pub extra: Extra,
}

/// Answers a ping. Its datagram is the ticket, to be shown in a [`TopicRegister`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// Where the packet is sent.
    pub to: Endpoint,
    /// The hash of the ping. Other lengths than 32 bytes decode.
    pub reply_token: Vec<u8>,
    /// When the ticket was issued, in seconds of the sender's own clock. It is no UNIX time.
    pub expiration: u64,
    /// The hash of the ping's topics.
    pub topic_hash: TopicListHash,
    /// The number of the ticket.
    pub ticket_serial: u32,
    /// How long to wait before registering, in seconds, for each topic.
    pub wait_periods: Vec<u32>,
    /// Further items.
    pub extra: Extra,
}

impl Pong {
    /// Returns the waiting times of the ticket, in seconds, one per topic of the ping.
    ///
    /// # Errors
    ///
    /// If the ticket is for other topics. The pong still counts as the answer to the ping.
    pub fn ticket(&self, topics: &[TopicName]) -> Result<&[u32], TicketError> {
        if self.topic_hash != TopicListHash::from_topics(topics) {
            return Err(TicketError::Topics);
        }
        if self.wait_periods.len() != topics.len() {
            let (got, expected) = (self.wait_periods.len(), topics.len());
            return Err(TicketError::WaitPeriods { got, expected });
        }
        Ok(&self.wait_periods)
    }
}

/// Asks for nodes near a hash. The answer is [`Neighbors`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindNodeHash {
    /// The hash.
    pub target: NodeId,
    /// When the packet ends to be valid, UNIX seconds.
    pub expiration: u64,
    /// Further items.
    pub extra: Extra,
}

/// Registers the sender under one topic of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRegister {
    /// The topics of the ticket, in the order of the ping.
    pub topics: Vec<TopicName>,
    /// Which of them to register.
    pub index: u64,
    /// The datagram of the pong.
    pub pong: Vec<u8>,
}

impl TopicRegister {
    /// Reads the ticket, as the node that issued it.
    ///
    /// The ticket does not say for which node it was issued.
    ///
    /// # Errors
    ///
    /// If it is not a pong, another node signed it, or it is for other topics or has no such index.
    pub fn ticket(&self, registrar: &PublicKey) -> Result<Ticket, TicketError> {
        let received = Packet::decode(&self.pong).map_err(TicketError::Pong)?;
        let Packet::Pong(pong) = received.packet else { return Err(TicketError::NotPong) };
        if received.sender != *registrar {
            return Err(TicketError::Registrar);
        }
        let waits = pong.ticket(&self.topics)?;
        let wait = usize::try_from(self.index).ok().and_then(|index| waits.get(index));
        let wait = *wait.ok_or(TicketError::Index(self.index))?;
        Ok(Ticket { serial: pong.ticket_serial, issued: pong.expiration, wait })
    }
}

/// What a ticket says about one of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The number of the ticket.
    pub serial: u32,
    /// When it was issued, in seconds of the registrar's clock.
    pub issued: u64,
    /// How long to wait before registering, in seconds.
    pub wait: u32,
}

/// Asks for the nodes that are registered under a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicQuery {
    /// The topic.
    pub topic: TopicName,
    /// The reference sends 0.
    pub expiration: u64,
}

/// Answers a query. Without nodes, too, and maybe in several packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNodes {
    /// The hash of the query.
    pub echo: PacketHash,
    /// The registered nodes: at most [`MAX_TOPIC_NODES`] in all packets together.
    pub nodes: Vec<NodeEntry>,
}

/// Why a pong is not a ticket for some topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The hash of the topics is another one. Their order matters.
    #[error("the ticket is for other topics, or for another order of them")]
    Topics,
    /// The waiting times are more or fewer than the topics.
    #[error("the ticket has {got} waiting times; expected {expected}")]
    WaitPeriods { got: usize, expected: usize },
    /// There is no topic with this index.
    #[error("the ticket has no topic with index {0}")]
    Index(u64),
    /// The bytes are not a packet.
    #[error("the ticket is not a packet: {0}")]
    Pong(DatagramError),
    /// The packet is of another type.
    #[error("the ticket is not a pong")]
    NotPong,
    /// Another node issued the ticket.
    #[error("the ticket was issued by another node")]
    Registrar,
}

impl TicketError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Topics => "discovery.ticket_topics",
            Self::WaitPeriods { .. } => "discovery.ticket_wait_periods",
            Self::Index(_) => "discovery.ticket_index",
            Self::Pong(_) | Self::NotPong => "discovery.ticket_pong",
            Self::Registrar => "discovery.ticket_registrar",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "discovery.ticket_topics",
            rule: "A ticket is used with the topics that it was issued for, in their order.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "A registration mixes tickets.",
        },
        Explanation {
            code: "discovery.ticket_wait_periods",
            rule: "A ticket has one waiting time for each topic.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node that issued it has a fault.",
        },
        Explanation {
            code: "discovery.ticket_index",
            rule: "A registration names one of the topics of its ticket by its index.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node that registers has a fault.",
        },
        Explanation {
            code: "discovery.ticket_pong",
            rule: "A ticket is the whole pong in which a node offered it.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The ticket was cut or changed.",
        },
        Explanation {
            code: "discovery.ticket_registrar",
            rule: "A ticket is valid at the node that signed it.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "It was sent to another node.",
        },
    ];
}

impl Packet {
    /// Reads a datagram, of which only the first [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes count.
    ///
    /// # Errors
    ///
    /// If it is not a packet. Nodes ignore such datagrams. A damaged packet often decodes as that of
    /// another sender.
    pub fn decode(datagram: &[u8]) -> Result<Received<Self>, DatagramError> {
        let datagram = cut(datagram);
        let rest = match datagram.strip_prefix(PREFIX) {
            Some(rest) => rest,
            None if datagram.len() > PREFIX.len() => return Err(DatagramError::Prefix),
            None => &[],
        };
        let signed = Signed::split(rest, PREFIX.len())?;
        let packet = Self::read(signed.kind, signed.data)?;
        let sender = signed.sender()?;
        Ok(Received { packet, sender, hash: PacketHash(keccak256(rest)) })
    }

    /// Signs and writes the packet.
    ///
    /// # Errors
    ///
    /// If it has more than [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes.
    pub fn encode(&self, key: &SecretKey) -> Result<Datagram, DatagramError> {
        let mut data = Vec::new();
        rlp::put_list(&mut data, |out| self.put(out));
        let mut bytes = PREFIX.to_vec();
        put_signed(&mut bytes, self.kind(), &data, key);
        let bytes = fit(bytes)?;
        let hash = PacketHash(keccak256(&bytes[PREFIX.len()..]));
        Ok(Datagram { bytes, hash })
    }

    /// Returns the type of the packet.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::FindNode(_) => kind::FIND_NODE,
            Self::Neighbors(_) => kind::NEIGHBORS,
            Self::FindNodeHash(_) => kind::FIND_NODE_HASH,
            Self::TopicRegister(_) => kind::TOPIC_REGISTER,
            Self::TopicQuery(_) => kind::TOPIC_QUERY,
            Self::TopicNodes(_) => kind::TOPIC_NODES,
        }
    }

    fn read(kind: u8, data: &[u8]) -> Result<Self, DatagramError> {
        let list = || Reader::new(data).list("packet");
        let packet = match kind {
            kind::PING => Self::Ping(read_ping(list()?)?),
            kind::PONG => Self::Pong(read_pong(list()?)?),
            kind::FIND_NODE => Self::FindNode(FindNode::read(&mut list()?)?),
            kind::NEIGHBORS => Self::Neighbors(Neighbors::read(&mut list()?)?),
            kind::FIND_NODE_HASH => {
                let mut items = list()?;
                Self::FindNodeHash(FindNodeHash {
                    target: NodeId(items.bytes("target hash")?),
                    expiration: items.u64("expiration")?,
                    extra: Extra::read(&mut items)?,
                })
            }
            kind::TOPIC_REGISTER => {
                let mut items = list()?;
                let register = TopicRegister {
                    topics: TopicName::read_list(&mut items)?,
                    index: items.u64("index")?,
                    pong: items.string("pong")?.to_vec(),
                };
                items.finish()?;
                Self::TopicRegister(register)
            }
            kind::TOPIC_QUERY => {
                let mut items = list()?;
                let topic = TopicName(items.string("topic")?.to_vec());
                let query = TopicQuery { topic, expiration: items.u64("expiration")? };
                items.finish()?;
                Self::TopicQuery(query)
            }
            kind::TOPIC_NODES => {
                let mut items = list()?;
                let echo = PacketHash(items.bytes("echo")?);
                let answer = TopicNodes { echo, nodes: NodeEntry::read_list(&mut items)? };
                items.finish()?;
                Self::TopicNodes(answer)
            }
            other => return Err(DatagramError::Type(other)),
        };
        Ok(packet)
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ping(ping) => {
                rlp::put_u64(out, ping.version);
                ping.from.put(out);
                ping.to.put(out);
                rlp::put_u64(out, ping.expiration);
                TopicName::put_list(out, &ping.topics);
                ping.extra.put(out);
            }
            Self::Pong(pong) => {
                pong.to.put(out);
                rlp::put_bytes(out, &pong.reply_token);
                rlp::put_u64(out, pong.expiration);
                rlp::put_bytes(out, &pong.topic_hash.0);
                rlp::put_u64(out, pong.ticket_serial.into());
                rlp::put_list(out, |out| {
                    pong.wait_periods.iter().for_each(|wait| rlp::put_u64(out, (*wait).into()));
                });
                pong.extra.put(out);
            }
            Self::FindNode(find) => find.put(out),
            Self::Neighbors(neighbors) => neighbors.put(out),
            Self::FindNodeHash(find) => {
                rlp::put_bytes(out, &find.target.0);
                rlp::put_u64(out, find.expiration);
                find.extra.put(out);
            }
            Self::TopicRegister(register) => {
                TopicName::put_list(out, &register.topics);
                rlp::put_u64(out, register.index);
                rlp::put_bytes(out, &register.pong);
            }
            Self::TopicQuery(query) => {
                rlp::put_bytes(out, &query.topic.0);
                rlp::put_u64(out, query.expiration);
            }
            Self::TopicNodes(answer) => {
                rlp::put_bytes(out, &answer.echo.0);
                NodeEntry::put_list(out, &answer.nodes);
            }
        }
    }
}

fn read_ping(mut items: Reader<'_>) -> Result<Ping, RlpError> {
    Ok(Ping {
        version: items.u64("version")?,
        from: Endpoint::read(&mut items, "sender's endpoint")?,
        to: Endpoint::read(&mut items, "receiver's endpoint")?,
        expiration: items.u64("expiration")?,
        topics: TopicName::read_list(&mut items)?,
        extra: Extra::read(&mut items)?,
    })
}

fn read_pong(mut items: Reader<'_>) -> Result<Pong, RlpError> {
    Ok(Pong {
        to: Endpoint::read(&mut items, "receiver's endpoint")?,
        reply_token: items.string("reply token")?.to_vec(),
        expiration: items.u64("expiration")?,
        topic_hash: TopicListHash(items.bytes("topic hash")?),
        ticket_serial: items.u32("ticket serial")?,
        wait_periods: {
            let mut list = items.list("wait periods")?;
            let mut waits = Vec::new();
            while !list.is_empty() {
                waits.push(list.u32("wait period")?);
            }
            waits
        },
        extra: Extra::read(&mut items)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::node::tests::{endpoint, extra, node_key, nodes};

    fn topics() -> impl Strategy<Value = Vec<TopicName>> {
        let topic = prop::collection::vec(any::<u8>(), 0..20).prop_map(TopicName);
        prop::collection::vec(topic, 0..5)
    }

    fn packet() -> impl Strategy<Value = Packet> {
        let ping = (any::<u64>(), endpoint(), endpoint(), any::<u64>(), topics(), extra());
        let pong = (
            endpoint(),
            prop::collection::vec(any::<u8>(), 0..33),
            any::<(u64, [u8; 32], u32)>(),
            prop::collection::vec(any::<u32>(), 0..5),
            extra(),
        );
        let register = (topics(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..200));
        prop_oneof![
            ping.prop_map(|(version, from, to, expiration, topics, extra)| {
                Packet::Ping(Ping { version, from, to, expiration, topics, extra })
            }),
            pong.prop_map(|(to, reply_token, (expiration, hash, serial), wait_periods, extra)| {
                let (topic_hash, ticket_serial) = (TopicListHash(hash), serial);
                Packet::Pong(Pong {
                    to,
                    reply_token,
                    expiration,
                    topic_hash,
                    ticket_serial,
                    wait_periods,
                    extra,
                })
            }),
            (node_key(), any::<u64>(), extra()).prop_map(|(target, expiration, extra)| {
                Packet::FindNode(FindNode { target, expiration, extra })
            }),
            (nodes(), any::<u64>(), extra()).prop_map(|(nodes, expiration, extra)| {
                Packet::Neighbors(Neighbors { nodes, expiration, extra })
            }),
            (any::<([u8; 32], u64)>(), extra()).prop_map(|((target, expiration), extra)| {
                Packet::FindNodeHash(FindNodeHash { target: NodeId(target), expiration, extra })
            }),
            register.prop_map(|(topics, index, pong)| {
                Packet::TopicRegister(TopicRegister { topics, index, pong })
            }),
            (prop::collection::vec(any::<u8>(), 0..40), any::<u64>()).prop_map(
                |(topic, expiration)| {
                    Packet::TopicQuery(TopicQuery { topic: TopicName(topic), expiration })
                }
            ),
            (any::<[u8; 32]>(), nodes()).prop_map(|(echo, nodes)| {
                Packet::TopicNodes(TopicNodes { echo: PacketHash(echo), nodes })
            }),
        ]
    }

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn packets_round_trip(packet in packet()) {
            let datagram = packet.encode(&key()).unwrap();
            let received = Packet::decode(&datagram.bytes).unwrap();
            prop_assert_eq!(received.sender, key().public_key());
            prop_assert_eq!(received.hash, datagram.hash);
            prop_assert_eq!(received.packet, packet);
        }

        #[test]
        fn any_data_decodes_or_fails(
            kind: u8, data in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut datagram = PREFIX.to_vec();
            put_signed(&mut datagram, kind % 10, &data, &key());
            if let Ok(received) = Packet::decode(&datagram) {
                prop_assert_eq!(received.sender, key().public_key());
                let again = received.packet.encode(&key()).unwrap();
                prop_assert_eq!(Packet::decode(&again.bytes).unwrap().packet, received.packet);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let pong = vec![0; 1200];
        let packet = Packet::TopicRegister(TopicRegister { topics: Vec::new(), index: 0, pong });
        let error = packet.encode(&key()).unwrap_err();
        assert_eq!(error.code(), "discovery.too_long");
    }

    #[test]
    fn tickets_are_checked_by_their_registrar() {
        let topics = vec![TopicName::from("a"), TopicName::from("b")];
        let pong = Pong {
            to: Endpoint::new("1.2.3.4".parse().unwrap(), 1, 1),
            reply_token: Vec::new(),
            expiration: 100,
            topic_hash: TopicListHash::from_topics(&topics),
            ticket_serial: 5,
            wait_periods: vec![60, 90],
            extra: Extra::default(),
        };
        let datagram = Packet::Pong(pong).encode(&key()).unwrap().bytes;
        let register = TopicRegister { topics, index: 1, pong: datagram };
        let own = key().public_key();
        let ticket = Ticket { serial: 5, issued: 100, wait: 90 };
        assert_eq!(register.ticket(&own), Ok(ticket));

        let other = SecretKey::from_bytes(&[8; 32]).unwrap().public_key();
        assert_eq!(register.ticket(&other), Err(TicketError::Registrar));
        for index in [2, u64::MAX] {
            let wrong = TopicRegister { index, ..register.clone() };
            assert_eq!(wrong.ticket(&own), Err(TicketError::Index(index)));
        }
        let mut swapped = register.clone();
        swapped.topics.reverse();
        assert_eq!(swapped.ticket(&own), Err(TicketError::Topics));
        let query = TopicQuery { topic: "a".into(), expiration: 0 };
        let pong = Packet::TopicQuery(query).encode(&key()).unwrap().bytes;
        let wrong = TopicRegister { pong, ..register };
        assert_eq!(wrong.ticket(&own), Err(TicketError::NotPong));
    }
}

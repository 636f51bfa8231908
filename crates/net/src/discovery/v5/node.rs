//! What is known of a node, and the states of the endpoint proof.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{Enode, Host, NodeId},
    discovery::{Endpoint, NodeEntry, NodeKey, PacketHash, TopicName},
};

use super::lookup::Query;

/// A node, and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeInfo {
    /// Its key.
    pub key: PublicKey,
    /// Where it does discovery.
    pub addr: SocketAddr,
    /// Its port for RLPx connections.
    pub tcp: u16,
}

impl NodeInfo {
    /// Returns the node's id.
    pub fn id(&self) -> NodeId {
        NodeId::from_key(&self.key)
    }

    /// Returns the node's URL.
    pub fn enode(&self) -> Enode {
        Enode {
            id: self.key,
            host: Host::Ip(self.addr.ip().to_canonical()),
            tcp: self.tcp,
            udp: self.addr.port(),
        }
    }

    /// Returns the node of a URL. `None` if its host is a name, or its discovery port is 0.
    pub fn from_enode(enode: &Enode) -> Option<Self> {
        let Host::Ip(ip) = enode.host else { return None };
        let is_usable = enode.udp != 0 && !ip.is_unspecified();
        let addr = SocketAddr::new(ip, enode.udp);
        is_usable.then_some(Self { key: enode.id, addr, tcp: enode.tcp })
    }

    pub(super) fn entry(&self) -> NodeEntry {
        let endpoint = Endpoint::new(self.addr.ip(), self.addr.port(), self.tcp);
        NodeEntry { endpoint, key: NodeKey::from(&self.key) }
    }
}

/// How far the proof is that a node has its address, and that we have ours.
///
/// Only nodes from [`Known`](Self::Known) on are answered, besides pings, and asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Nothing is known, or the proof failed.
    Unknown,
    /// We have sent a ping first.
    VerifyInit,
    /// It has sent a ping; our ping is on its way.
    VerifyWait,
    /// It has answered our ping. It may want to send one, too.
    RemoteVerifyWait,
    /// The proof is complete.
    Known,
    /// Its bucket is full, or it does not answer: it must prove anew that it is there.
    Contested,
    /// It did not.
    Unresponsive,
}

impl State {
    /// Returns the name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::VerifyInit => "verifyinit",
            Self::VerifyWait => "verifywait",
            Self::RemoteVerifyWait => "remoteverifywait",
            Self::Known => "known",
            Self::Contested => "contested",
            Self::Unresponsive => "unresponsive",
        }
    }

    /// Returns whether requests are served, and can be sent.
    pub fn can_query(self) -> bool {
        matches!(self, Self::Known | Self::Contested | Self::Unresponsive)
    }
}

/// A node in the memory of the machine.
#[derive(Debug)]
pub(super) struct Node {
    pub info: NodeInfo,
    pub state: State,
    /// Where it has answered a ping.
    pub proven: Option<NodeInfo>,
    /// Our ping without an answer yet.
    pub ping: Option<SentPing>,
    /// Our query without an answer yet.
    pub pending: Option<SentQuery>,
    /// Queries that wait for their turn, or for the proof.
    pub deferred: VecDeque<Query>,
    /// Topics to ask for after the proof.
    pub topics: Vec<(TopicName, NodeId)>,
    /// Queries in a row without an answer.
    pub timeouts: u32,
    pub last_seen: Duration,
    /// A bootnode stays, and has no limits.
    pub is_bootnode: bool,
}

#[derive(Debug)]
pub(super) struct SentPing {
    pub hash: PacketHash,
    pub topics: Arc<[TopicName]>,
    pub to: SocketAddr,
    pub at: Duration,
}

#[derive(Debug)]
pub(super) struct SentQuery {
    pub query: Query,
    pub number: u64,
}

impl Node {
    pub fn new(info: NodeInfo, now: Duration) -> Self {
        Self {
            info,
            state: State::Unknown,
            proven: None,
            ping: None,
            pending: None,
            deferred: VecDeque::new(),
            topics: Vec::new(),
            timeouts: 0,
            last_seen: now,
            is_bootnode: false,
        }
    }

    /// Returns whether its address is one where it has answered.
    pub fn is_proven(&self) -> bool {
        self.proven.is_some_and(|proven| proven.addr == self.info.addr)
    }
}

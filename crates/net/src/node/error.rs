//! Why peers are disconnected, and why connections fail or end.

use statuskit_core::{devp2p::DisconnectReason, explain::Explanation, wire::PacketError};

use crate::connection::StreamError;

/// Why the node disconnects a peer. An invalid envelope is never a reason.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A packet is larger than [`max_message_size`](super::NodeConfig::max_message_size).
    #[error("a packet of {size} bytes; at most {max} are accepted")]
    Oversized { size: usize, max: u32 },
    /// The first packet is not a Status.
    #[error("the first packet has code {0}; expected Status (code 0)")]
    StatusExpected(u64),
    /// No Status came in time.
    #[error("no Status packet came in time")]
    StatusTimeout,
    /// The payload can't be decoded.
    #[error("packet with code {code}: {error}")]
    Packet { code: u64, error: PacketError },
    /// Both sides only receive.
    #[error("both sides are light nodes")]
    LightToLight,
    /// The peer has sent too many packets in too short a time.
    #[error("{excess} packets over the rate limits")]
    RateLimit { excess: u64 },
}

impl PeerError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Oversized { .. } => "node.oversized_packet",
            Self::StatusExpected(_) => "node.status_expected",
            Self::StatusTimeout => "node.status_timeout",
            Self::Packet { error, .. } => error.code(),
            Self::LightToLight => "node.light_to_light",
            Self::RateLimit { .. } => "node.rate_limit",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "node.oversized_packet",
            rule: "A packet above the largest message ends the connection, whatever its code.",
            source: "EIP-627; as in the reference",
            causes: "Batches must be split below the limit of the receiver.",
        },
        Explanation {
            code: "node.status_expected",
            rule: "The first packet of a peer is Status (code 0).",
            source: "EIP-627, Status",
            causes: "A faulty client.",
        },
        Explanation {
            code: "node.status_timeout",
            rule: "The Status packet did not come in time.",
            source: "EIP-627, Status",
            causes: "A faulty or overloaded client.",
        },
        Explanation {
            code: "node.light_to_light",
            rule: "Two nodes that only receive are of no use to each other.",
            source: "EIP-627, Status",
            causes: "Connect to a full node.",
        },
        Explanation {
            code: "node.rate_limit",
            rule: "The peer sent too many packets in excess of the limits.",
            source: "Status specifications, Whisper: rate limits",
            causes: "Raise --rate-limit-ip and --rate-limit-peer, or the tolerance.",
        },
    ];
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The peer was not reached, or one of the handshakes failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer is already connected.
    #[error("already connected")]
    AlreadyConnected,
    /// The peer has our own key.
    #[error("connected to self")]
    ToSelf,
    /// The handshake was abandoned for a newer one: too many were in progress.
    #[error("too many handshakes were in progress, and this was the oldest")]
    Crowded,
    /// The maximum number of peers of its address is connected.
    #[error("{most} peers of this address are connected, which is the maximum")]
    CrowdedAddress { most: usize },
    /// The maximum number of peers is connected.
    #[error("too many peers")]
    TooManyPeers,
}

impl ConnectError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stream(error) => error.code(),
            Self::AlreadyConnected => "net.already_connected",
            Self::ToSelf => "p2p.self",
            Self::Crowded => "net.crowded",
            Self::CrowdedAddress { .. } => "net.crowded_address",
            Self::TooManyPeers => "net.too_many_peers",
        }
    }

    /// Returns the reason that the peer gave for rejecting us, if it gave one.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Stream(error) => error.disconnect_reason(),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "p2p.self",
            rule: "A node does not connect to itself.",
            source: "devp2p, Disconnect reason 10",
            causes: "The --node-key is the peer's own.",
        },
        Explanation {
            code: "net.already_connected",
            rule: "There is a connection with this node already.",
            source: "devp2p, Disconnect reason 5",
            causes: "The same --node-key is in use twice, or both nodes have dialled each other at once: then one connection is kept.",
        },
        Explanation {
            code: "net.crowded",
            rule: "The handshakes under way with those who dial a node are bounded, for all and for one address. Where there are more, the oldest is given up.",
            source: "tools",
            causes: "Someone connects over and over and says nothing, or many start at once from one address.",
        },
        Explanation {
            code: "net.too_many_peers",
            rule: "The node has as many peers as it may.",
            source: "devp2p, Disconnect reason 4",
            causes: "Raise --max-peers.",
        },
        Explanation {
            code: "net.crowded_address",
            rule: "One address, or one /64 of IPv6, may have a number of inbound peers.",
            source: "tools",
            causes: "Someone occupies places with many node keys, or many users share an address. Raise --max-peers-per-ip.",
        },
    ];
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The peer has disconnected.
    #[error("the peer disconnected: {0}")]
    ByPeer(DisconnectReason),
    /// The connection has failed, or the peer has broken a rule of devp2p.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer has broken a rule of Whisper or Waku.
    #[error(transparent)]
    Whisper(#[from] PeerError),
    /// The connection was shared with the other network, whose event tells why it has ended.
    #[error("it ended together with the same peer in the other network")]
    OtherNetwork,
    /// Both sides have dialled, and the other connection is kept.
    #[error("both sides have dialled, and the other connection is kept")]
    Replaced,
    /// The peer was the least useful one when another needed its place.
    #[error("the least useful peer, and another needed its place")]
    Displaced,
    /// The peer's packet was not complete, and had begun before all others, when there was no room for
    /// more.
    #[error(
        "of all packets that are not complete, its had begun first, and there was no more room"
    )]
    Unfinished,
    /// The peer was [removed](super::Handle::remove_peer).
    #[error("removed")]
    Removed,
    /// The node was shut down.
    #[error("shut down")]
    Shutdown,
}

impl EndReason {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ByPeer(_) => "p2p.disconnected",
            Self::Stream(error) => error.code(),
            Self::Whisper(error) => error.code(),
            Self::OtherNetwork => "net.other_network",
            Self::Replaced => "net.already_connected",
            Self::Displaced => "net.displaced",
            Self::Unfinished => "net.unfinished",
            Self::Removed => "net.removed",
            Self::Shutdown => "net.shutdown",
        }
    }

    /// Returns the reason to send; `None` if the connection is lost anyway.
    pub(super) fn farewell(&self) -> Option<DisconnectReason> {
        match self {
            Self::ByPeer(_) | Self::Stream(_) | Self::OtherNetwork => None,
            Self::Whisper(_) => Some(DisconnectReason::Subprotocol),
            Self::Replaced => Some(DisconnectReason::AlreadyConnected),
            Self::Displaced => Some(DisconnectReason::TooManyPeers),
            Self::Unfinished => Some(DisconnectReason::UselessPeer),
            Self::Removed => Some(DisconnectReason::Requested),
            Self::Shutdown => Some(DisconnectReason::Quitting),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "net.other_network",
            rule: "Whisper and Waku of two nodes share one connection. When one of them ends it, it ends for the other too.",
            source: "devp2p, Capability Messaging",
            causes: "The record of the same peer in the other network says why.",
        },
        Explanation {
            code: "net.displaced",
            rule: "A node without a free place disconnects the least useful peer for one from a new address.",
            source: "tools",
            causes: "The node is full. Raise --max-peers.",
        },
        Explanation {
            code: "net.unfinished",
            rule: "Packets of inbound peers that have begun and not ended may hold 32 MiB in all. Beyond, the peer whose packet began first is disconnected.",
            source: "tools",
            causes: "Someone begins packets and never ends them, or many peers send large packets over slow lines.",
        },
        Explanation {
            code: "net.removed",
            rule: "The connection was ended by us.",
            source: "tools",
            causes: "The peer was removed.",
        },
        Explanation {
            code: "net.shutdown",
            rule: "The connection was ended because the node stops.",
            source: "tools",
            causes: "Nothing is wrong.",
        },
    ];
}

//! Why peers are disconnected, and why connections fail or end.

use statuskit_core::{devp2p::DisconnectReason, wire::PacketError};

use crate::connection::StreamError;

/// Why a node parts with a peer. Nothing that is wrong with a single envelope is in here: that
/// never ends a connection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A payload above [`max_message_size`](super::NodeConfig::max_message_size), whatever the code.
    #[error("a packet of {size} bytes; at most {max} are taken")]
    Oversized { size: usize, max: u32 },
    /// Another packet came before the Status.
    #[error("the first packet has code {0}; expected Status (code 0)")]
    StatusExpected(u64),
    /// No Status came.
    #[error("no Status packet came in time")]
    StatusTimeout,
    /// The payload is not what its code promises.
    #[error("packet with code {code}: {error}")]
    Packet { code: u64, error: PacketError },
    /// Both sides say that they only receive.
    #[error("both sides are light nodes")]
    LightToLight,
    /// Too many packets in too short a time.
    #[error("{excess} packets in excess of the rate limits; {excess} are too many")]
    RateLimit { excess: u64 },
}

impl PeerError {
    /// The stable code of this error, as the tools print it.
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
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not reached, or one of the handshakes failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// There is a connection with this peer already.
    #[error("already connected")]
    AlreadyConnected,
    /// It is our own key.
    #[error("connected to self")]
    ToSelf,
    /// Its handshake was given up for a newer one: too many were under way.
    #[error("too many handshakes were under way, and this was the oldest")]
    Crowded,
    /// As many peers as are allowed are connected.
    #[error("too many peers")]
    TooManyPeers,
}

impl ConnectError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stream(error) => error.code(),
            Self::AlreadyConnected => "net.already_connected",
            Self::ToSelf => "p2p.self",
            Self::Crowded => "net.crowded",
            Self::TooManyPeers => "net.too_many_peers",
        }
    }

    /// The reason that the peer gave for not taking us, if it gave one.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Stream(error) => error.disconnect_reason(),
            _ => None,
        }
    }
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The peer said good-bye.
    #[error("the peer disconnected: {0}")]
    ByPeer(DisconnectReason),
    /// The connection failed, or the peer broke a rule of devp2p.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer broke a rule of Whisper.
    #[error(transparent)]
    Whisper(#[from] PeerError),
    /// Both sides had dialled at once, and the other of the two connections is kept.
    #[error("both sides have dialled, and the other connection is kept")]
    Replaced,
    /// It was [removed](super::Handle::remove_peer).
    #[error("removed")]
    Removed,
    /// The service was shut down.
    #[error("shut down")]
    Shutdown,
}

impl EndReason {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ByPeer(_) => "p2p.disconnected",
            Self::Stream(error) => error.code(),
            Self::Whisper(error) => error.code(),
            Self::Replaced => "net.already_connected",
            Self::Removed => "net.removed",
            Self::Shutdown => "net.shutdown",
        }
    }

    /// What the peer is told.
    pub(super) fn farewell(&self) -> Option<DisconnectReason> {
        match self {
            Self::ByPeer(_) | Self::Stream(_) => None,
            Self::Whisper(_) => Some(DisconnectReason::Subprotocol),
            Self::Replaced => Some(DisconnectReason::AlreadyConnected),
            Self::Removed => Some(DisconnectReason::Requested),
            Self::Shutdown => Some(DisconnectReason::Quitting),
        }
    }
}

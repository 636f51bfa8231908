//! What a service reports.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{DisconnectReason, Enode},
};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    connection::StreamError,
    node::{self, ConnectionId, PeerError},
};

/// News of a service: what its node says, and what becomes of connections.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceEvent {
    /// Of the node: envelopes, confirmations, answers.
    Node(node::Event),
    /// The handshakes with a peer are done, up to Hello. Its Status is still to come:
    /// [`Event::Ready`](node::Event::Ready) tells of that.
    Connected(Arc<PeerSummary>),
    /// A connection has ended.
    Disconnected {
        /// Who it was.
        peer: Arc<PeerSummary>,
        /// Why.
        reason: EndReason,
    },
    /// A peer that was to be dialled was not reached, or did not take us.
    DialFailed {
        /// Who.
        enode: Enode,
        /// Why.
        error: ConnectError,
        /// When it is tried again; none for never.
        retry_in: Option<Duration>,
    },
    /// Someone who dialled us did not become a peer.
    InboundFailed {
        /// Who.
        addr: SocketAddr,
        /// Why.
        error: ConnectError,
    },
}

/// A peer, as its connection knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSummary {
    /// Its name in the node.
    pub key: ConnectionId,
    /// Its public key.
    pub id: PublicKey,
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// Whether it dialled us.
    pub inbound: bool,
    /// What it calls itself. Text from a stranger.
    pub client: String,
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

/// The news from the moment of [subscription](super::Handle::subscribe) on.
#[derive(Debug)]
pub struct Subscription(pub(super) broadcast::Receiver<Arc<ServiceEvent>>);

/// What a subscription gives.
#[derive(Debug, Clone)]
pub enum News {
    /// The next piece.
    Event(Arc<ServiceEvent>),
    /// So many pieces were lost, because they were not fetched in time.
    Lagged(u64),
}

impl Subscription {
    /// The next piece of news; none when the service is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<News> {
        match self.0.recv().await {
            Ok(event) => Some(News::Event(event)),
            Err(RecvError::Lagged(lost)) => Some(News::Lagged(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}

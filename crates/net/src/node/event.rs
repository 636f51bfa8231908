//! Events and outputs of a node.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{Enode, NodeId},
    envelope::{Envelope, EnvelopeHash},
    wire::{
        Cursor, Network, Status,
        p2p::{P2pRequest, RequestComplete, SyncRequest, SyncResponse},
        packet::EnvelopeError,
    },
};

use super::{
    ClockOffset, ConnectError, ConnectionId, EndReason, PeerError, Time, pool::PooledEnvelope,
};

/// What [`Node::poll_output`](super::Node::poll_output) returns.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub enum Output {
    /// There may be something to write for this peer:
    /// [`poll_peer`](super::Node::poll_peer) until it returns `None`, then wait for the next such
    /// output.
    Writable(ConnectionId),
    /// The connection to this peer must end. The node has forgotten the peer already.
    Disconnect {
        /// The peer.
        peer: ConnectionId,
        /// Why.
        error: PeerError,
    },
    /// An event for the application.
    Event(Event),
    /// An envelope has entered the pool, and may cross into another network. Only with
    /// [`bridge`](super::NodeConfig::bridge).
    Crossing(Crossing),
}

/// An envelope on its way into another network, for [`Node::cross`](super::Node::cross).
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub struct Crossing {
    pub(super) envelope: Arc<PooledEnvelope>,
    /// Who answers for it there as well; `None` for our own.
    pub(super) origin: Option<(Option<IpAddr>, NodeId)>,
}

impl Crossing {
    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        self.envelope.envelope()
    }

    /// Returns its hash.
    pub fn hash(&self) -> EnvelopeHash {
        self.envelope.hash()
    }
}

/// Everything that a node reports: of connections, peers and envelopes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was made, up to Hello. The peer's Status is still to come:
    /// [`Ready`](Self::Ready) follows.
    Connected(Arc<PeerSummary>),
    /// The peer has sent its Status. Envelopes flow from now on.
    Ready {
        /// The peer.
        peer: ConnectionId,
        /// What it asks for.
        status: Box<Status>,
    },
    /// The peer has changed its requirements: minimum proof of work, accepted topics or rate limits
    /// (codes 2, 3, 20 and 22). Not reported if nothing changed.
    Requirements {
        /// The peer.
        peer: ConnectionId,
        /// Its Status with all changes so far.
        status: Box<Status>,
    },
    /// An envelope has entered the pool, and matches the [`Interest`](super::Interest). Reported
    /// once per envelope; again if it was evicted from a full pool and came back.
    Envelope {
        /// The network whose pool it is.
        network: Network,
        /// The peer that sent it; `None` for our own, and for those that crossed a bridge.
        from: Option<ConnectionId>,
        /// The envelope.
        envelope: Arc<PooledEnvelope>,
        /// Its number: 1 for the first that entered a pool of the service, and so on.
        number: u64,
    },
    /// A trusted peer has sent envelopes directly (code 127). They were not checked, and do not
    /// enter the pool.
    P2pMessages {
        /// The peer.
        peer: ConnectionId,
        /// The envelopes.
        envelopes: Vec<Envelope>,
    },
    /// Our own envelopes were written to a peer.
    Written {
        /// The peer.
        peer: ConnectionId,
        /// The envelopes.
        envelopes: Vec<EnvelopeHash>,
        /// Whether the peer answers with confirmations.
        confirms: bool,
    },
    /// A peer has sent one of our own envelopes before we wrote it to that peer. There will be no
    /// [`Written`](Self::Written).
    Held {
        /// The peer.
        peer: ConnectionId,
        /// The envelope.
        envelope: EnvelopeHash,
    },
    /// A peer has answered a Messages packet (code 11 or 12; most peers send both).
    BatchAcknowledged {
        /// The peer.
        peer: ConnectionId,
        /// The hash of the packet; zeros if the answer could not be read.
        batch: [u8; 32],
        /// The envelopes that the peer refused; `None` with code 11, which does not list them.
        errors: Option<Vec<EnvelopeError>>,
        /// Our own envelopes in the packet, with the first of its answers.
        envelopes: Vec<EnvelopeHash>,
    },
    /// The answer of a trusted peer to a request for historic messages (code 125).
    RequestComplete {
        /// The peer.
        peer: ConnectionId,
        /// The answer.
        answer: RequestComplete,
    },
    /// A request for historic messages (code 126). Only with
    /// [`mailserver`](super::NodeConfig::mailserver).
    Request {
        /// The peer.
        peer: ConnectionId,
        /// The request.
        request: Box<P2pRequest>,
    },
    /// A request of another mailserver for our archive (code 123). Only with
    /// [`mailserver`](super::NodeConfig::mailserver).
    SyncRequest {
        /// The peer.
        peer: ConnectionId,
        /// The request.
        request: Box<SyncRequest>,
    },
    /// A part of the archive of a trusted mailserver (code 124). Only with
    /// [`mailserver`](super::NodeConfig::mailserver).
    SyncResponse {
        /// The peer.
        peer: ConnectionId,
        /// The part.
        response: Box<SyncResponse>,
    },
    /// A connection has ended.
    Disconnected {
        /// The peer.
        peer: Arc<PeerSummary>,
        /// Why.
        reason: EndReason,
        /// When.
        at: Time,
        /// Since when the peer was not read, because a [`Subscription`](super::Subscription) was
        /// slow. What it had to send since then may be lost. `None` if everything was read.
        unread_since: Option<Time>,
    },
    /// Our clock and those of most peers differ so much that envelopes are dropped for their times.
    /// Reported once an hour at most.
    ClockSkewed(ClockOffset),
    /// A dialled peer was not reached, or refused the connection.
    DialFailed {
        /// The peer.
        enode: Box<Enode>,
        /// Why.
        error: ConnectError,
        /// The wait before the next attempt; `None` if there is none.
        retry_in: Option<Duration>,
    },
    /// An inbound connection did not become a peer.
    InboundFailed {
        /// The other end.
        addr: SocketAddr,
        /// Why.
        error: ConnectError,
    },
}

impl Event {
    /// Returns the peer whose packet caused the event.
    pub(super) fn source(&self) -> Option<ConnectionId> {
        match self {
            Self::Envelope { from, .. } => *from,
            Self::Requirements { peer, .. }
            | Self::P2pMessages { peer, .. }
            | Self::Held { peer, .. }
            | Self::BatchAcknowledged { peer, .. }
            | Self::RequestComplete { peer, .. }
            | Self::Request { peer, .. }
            | Self::SyncRequest { peer, .. }
            | Self::SyncResponse { peer, .. } => Some(*peer),
            _ => None,
        }
    }

    /// Returns the network that the event is from; `None` if it concerns all.
    pub fn network(&self) -> Option<Network> {
        Some(match self {
            Self::Envelope { network, .. } => *network,
            Self::Connected(peer) | Self::Disconnected { peer, .. } => peer.key.network,
            Self::Ready { peer, .. } | Self::Written { peer, .. } => peer.network,
            other => other.source()?.network,
        })
    }

    /// Returns the approximate memory of the event, in bytes.
    pub fn size(&self) -> usize {
        let held = match self {
            Self::Envelope { envelope, .. } => {
                size_of::<PooledEnvelope>() + envelope.envelope().raw().len()
            }
            Self::P2pMessages { envelopes, .. } => sizes(envelopes),
            Self::Written { envelopes, .. } => size_of_val(&envelopes[..]),
            Self::BatchAcknowledged { errors, envelopes, .. } => {
                let errors = errors.iter().flatten();
                let errors = errors.map(|it| size_of::<EnvelopeError>() + it.description.len());
                size_of_val(&envelopes[..]) + errors.sum::<usize>()
            }
            Self::RequestComplete { answer, .. } => match answer {
                RequestComplete::Success { cursor, .. } => cursor.as_ref().map_or(0, Cursor::len),
                RequestComplete::Failure { text, .. } => text.len(),
            },
            Self::Request { request, .. } => size_of::<P2pRequest>() + request.size(),
            Self::SyncRequest { request, .. } => size_of::<SyncRequest>() + request.size(),
            Self::SyncResponse { response, .. } => {
                let SyncResponse { envelopes, cursor, error, .. } = &**response;
                let cursor = cursor.as_ref().map_or(0, Cursor::len);
                size_of::<SyncResponse>() + sizes(envelopes) + cursor + error.len()
            }
            Self::Ready { status, .. } | Self::Requirements { status, .. } => status.size(),
            Self::Connected(peer) | Self::Disconnected { peer, .. } => {
                size_of::<PeerSummary>() + peer.client.len()
            }
            Self::Held { .. }
            | Self::ClockSkewed(_)
            | Self::DialFailed { .. }
            | Self::InboundFailed { .. } => 0,
        };
        size_of::<Self>() + held
    }
}

fn sizes(envelopes: &[Envelope]) -> usize {
    size_of_val(envelopes) + envelopes.iter().map(|it| it.raw().len()).sum::<usize>()
}

/// A peer in one network, as its connection knows it. A connection that both networks share has two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSummary {
    /// Its name in the node.
    pub key: ConnectionId,
    /// Its public key.
    pub id: PublicKey,
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// Whether the peer dialled us.
    pub inbound: bool,
    /// The client name in its Hello. Text from a stranger.
    pub client: String,
}

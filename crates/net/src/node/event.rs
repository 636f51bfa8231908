//! What a node tells the world around it.

use std::sync::Arc;

use statuskit_core::{
    envelope::{Envelope, EnvelopeHash},
    wire::{
        PacketError, Status,
        p2p::{P2pRequest, RequestComplete, SyncRequest, SyncResponse},
        packet::EnvelopeError,
    },
};

use super::{ConnectionId, pool::PooledEnvelope};

/// What [`Node::poll_output`](super::Node::poll_output) gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// There may be something to write for this peer:
    /// [`poll_peer`](super::Node::poll_peer) until it gives nothing, then wait for the next such
    /// output.
    Writable(ConnectionId),
    /// The connection to this peer must end. The node has forgotten the peer already.
    Disconnect {
        /// Who.
        peer: ConnectionId,
        /// Why.
        error: PeerError,
    },
    /// News for the application.
    Event(Event),
}

/// News for the application.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer has sent its Status: envelopes flow from now on.
    Ready {
        /// Who.
        peer: ConnectionId,
        /// What it said.
        status: Box<Status>,
    },
    /// An envelope has entered the pool, from a peer or from ourselves, and is of
    /// [`Interest`](super::Interest). Once per envelope.
    Envelope {
        /// Who sent it; none for our own.
        from: Option<ConnectionId>,
        /// What.
        envelope: Arc<PooledEnvelope>,
    },
    /// A trusted peer has sent envelopes directly (code 127). They were not checked, and are not
    /// pooled.
    P2pMessages {
        /// Who.
        peer: ConnectionId,
        /// What.
        envelopes: Vec<Envelope>,
    },
    /// Envelopes of our own were written to a peer.
    Written {
        /// To whom.
        peer: ConnectionId,
        /// Which.
        envelopes: Vec<EnvelopeHash>,
        /// Whether the peer is going to say what it thinks of them.
        confirms: bool,
    },
    /// A peer has sent an envelope of our own before we had written it to that peer: it has it, and
    /// there will be no [`Written`](Self::Written).
    Held {
        /// Who.
        peer: ConnectionId,
        /// Which.
        envelope: EnvelopeHash,
    },
    /// A peer has answered a Messages packet (code 11 or 12, and most peers send both).
    BatchAcknowledged {
        /// Who.
        peer: ConnectionId,
        /// The hash of the packet; zeros if the answer could not be read.
        batch: [u8; 32],
        /// What the peer did not take; none with code 11, which does not say.
        errors: Option<Vec<EnvelopeError>>,
        /// Our own envelopes in the packet, with the first of its answers.
        envelopes: Vec<EnvelopeHash>,
    },
    /// The answer to a request for historic messages, from a trusted peer (code 125).
    RequestComplete {
        /// Who.
        peer: ConnectionId,
        /// What it said.
        answer: RequestComplete,
    },
    /// A request for historic messages (code 126); only with [`mailserver`](super::Config::mailserver).
    Request {
        /// Who asks.
        peer: ConnectionId,
        /// For what.
        request: Box<P2pRequest>,
    },
    /// Another mailserver wants our archive (code 123); only with [`mailserver`](super::Config::mailserver).
    SyncRequest {
        /// Who asks.
        peer: ConnectionId,
        /// For what.
        request: Box<SyncRequest>,
    },
    /// A trusted mailserver sends of its archive (code 124); only with
    /// [`mailserver`](super::Config::mailserver).
    SyncResponse {
        /// Who.
        peer: ConnectionId,
        /// What.
        response: Box<SyncResponse>,
    },
}

/// Why a node parts with a peer. Nothing that is wrong with a single envelope is in here: that
/// never ends a connection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A payload above [`max_message_size`](super::Config::max_message_size), whatever the code.
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

//! A Whisper node: devp2p connections, peers, the pool of envelopes.

#![deny(unsafe_code)]

pub mod connection;
pub mod discovery;
pub mod node;
pub mod testing;

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [
        connection::P2pError::EXPLANATIONS,
        connection::StreamError::EXPLANATIONS,
        discovery::v4::V4Error::EXPLANATIONS,
        discovery::rendezvous::ClientError::EXPLANATIONS,
        node::ConnectError::EXPLANATIONS,
        node::EndReason::EXPLANATIONS,
        node::PeerError::EXPLANATIONS,
        node::SendError::EXPLANATIONS,
        node::ServiceError::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}

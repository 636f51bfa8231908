//! What can go wrong with a peer over a socket.

use std::{io, time::Duration};

use statuskit_core::devp2p::{
    base::{DisconnectReason, HelloError},
    handshake::HandshakeError,
};

use crate::connection::peer::P2pError;

/// Why a peer can't be reached, or is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// No TCP connection, or no such host.
    #[error("can't connect to {to}: {error}")]
    Dial { to: String, error: io::Error },
    /// No TCP connection in time.
    #[error("can't connect to {to}: no answer within {limit:?}")]
    DialTimeout { to: String, limit: Duration },
    /// The encryption handshake failed.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer broke a rule, or is of no use.
    #[error(transparent)]
    Peer(#[from] P2pError),
    /// The peer closed the connection without saying why.
    #[error("the peer closed the connection {0}")]
    Eof(&'static str),
    /// The connection failed.
    #[error("{doing} failed: {error}")]
    Io { doing: &'static str, error: io::Error },
    /// The peer doesn't read.
    #[error("the peer took no data for {0:?}")]
    WriteTimeout(Duration),
}

impl StreamError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dial { .. } => "net.dial",
            Self::DialTimeout { .. } => "net.dial_timeout",
            Self::Handshake(error) => error.code(),
            Self::Peer(error) => error.code(),
            Self::Eof(_) => "net.eof",
            Self::Io { .. } => "net.io",
            Self::WriteTimeout(_) => "net.write_timeout",
        }
    }

    /// The reason that the peer gave for not taking us, if it gave one.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Peer(P2pError::Hello(HelloError::Disconnected(reason))) => Some(*reason),
            _ => None,
        }
    }
}

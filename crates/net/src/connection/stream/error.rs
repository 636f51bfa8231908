//! Errors of a peer over a socket.

use std::{io, time::Duration};

use statuskit_core::{
    devp2p::{
        base::{DisconnectReason, HelloError},
        handshake::HandshakeError,
    },
    explain::Explanation,
};

use crate::connection::peer::P2pError;

/// Why a peer can't be reached, or was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// There is no such host, or it does not accept the connection.
    #[error("can't connect to {to}: {error}")]
    Dial { to: String, error: io::Error },
    /// The host did not answer in time.
    #[error("can't connect to {to}: no answer within {limit:?}")]
    DialTimeout { to: String, limit: Duration },
    /// The encryption handshake failed.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer has broken a rule of devp2p, or shares no protocol.
    #[error(transparent)]
    Peer(#[from] P2pError),
    /// The peer closed the connection without a Disconnect.
    #[error("the peer closed the connection {0}")]
    Eof(&'static str),
    /// The connection failed.
    #[error("{doing} failed: {error}")]
    Io { doing: &'static str, error: io::Error },
    /// The peer does not read.
    #[error("the peer read nothing for {0:?}")]
    WriteTimeout(Duration),
}

impl StreamError {
    /// Returns the stable code of this error, as the tools print it.
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

    /// Returns the reason that the peer gave for rejecting us, if it gave one.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Peer(P2pError::Hello(HelloError::Disconnected(reason))) => Some(*reason),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "net.dial",
            rule: "The TCP connection failed.",
            source: "the system",
            causes: "The node is not running, or listens elsewhere.",
        },
        Explanation {
            code: "net.dial_timeout",
            rule: "The TCP connection was not made within 15 seconds.",
            source: "the system",
            causes: "A firewall, or a wrong address.",
        },
        Explanation {
            code: "net.eof",
            rule: "The peer closed the connection without a word.",
            source: "the system",
            causes: "During the handshake: the enode's key is not the peer's, or it has connections enough.",
        },
        Explanation {
            code: "net.io",
            rule: "The connection broke.",
            source: "the system",
            causes: "See the message of the system.",
        },
        Explanation {
            code: "net.write_timeout",
            rule: "The peer takes no data any more.",
            source: "devp2p, as in the reference",
            causes: "It is overloaded or offline.",
        },
    ];
}

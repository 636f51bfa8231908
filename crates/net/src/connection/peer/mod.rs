//! A peer after the handshake: Hello, compression, message codes, ping and time limits.
//!
//! [`Greeting`] has sent our Hello and waits for theirs. It becomes a [`Connection`], which
//! carries messages until one side ends it. Both are sans-IO: input and time are arguments,
//! messages are results, and output waits in a buffer until it is taken.
//!
//! Source: devp2p `rlpx.md`, "p2p Capability"; EIP-706; the reference's limits.

mod connection;
mod greeting;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{
        base::{DisconnectReason, Hello, HelloError, VERSION},
        capability::{Capability, Protocol},
        frame::FrameError,
        handshake::SessionKeys,
        snappy::SnappyError,
    },
    explain::Explanation,
};

pub(super) use connection::Connection;
pub(super) use greeting::{Greeting, Rejected};

/// The contents of our Hello, and the limits of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct P2pConfig {
    /// The client's name: `Name/vX.Y.Z/os-arch`.
    pub client: String,
    /// The protocols that we speak.
    pub protocols: Vec<Protocol>,
    /// The version of the base protocol that we announce: 5. With 4, nothing is compressed.
    pub version: u64,
    /// The port in our Hello. The reference sends 0.
    pub listen_port: u16,
    /// Sizes and times.
    pub limits: P2pLimits,
    /// Takes the keys of each session. They decrypt a recording of it.
    pub key_log: Option<KeyLog>,
}

/// Takes the keys of each session after the encryption handshake.
#[derive(Clone)]
pub struct KeyLog(Arc<dyn Fn(&SessionKeys) + Send + Sync>);

impl KeyLog {
    /// Makes one of a function, which must not block for long.
    pub fn new(take: impl Fn(&SessionKeys) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(super) fn take(&self, keys: &SessionKeys) {
        (self.0)(keys);
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog(…)")
    }
}

impl P2pConfig {
    /// Creates settings for these protocols, with this package's name and the default limits.
    pub fn new(protocols: Vec<Protocol>) -> Self {
        Self { protocols, ..Self::default() }
    }

    fn hello(&self, id: &PublicKey) -> Hello {
        let mut capabilities: Vec<Capability> =
            self.protocols.iter().map(|protocol| protocol.capability.clone()).collect();
        capabilities.sort();
        Hello {
            version: self.version,
            client: self.client.clone(),
            capabilities,
            listen_port: self.listen_port.into(),
            id: id.to_xy(),
            extra: Vec::new(),
        }
    }
}

impl Default for P2pConfig {
    fn default() -> Self {
        Self {
            client: client_name(),
            protocols: Vec::new(),
            version: VERSION,
            listen_port: 0,
            limits: P2pLimits::default(),
            key_log: None,
        }
    }
}

/// `statuskit/vX.Y.Z/os-arch`, with the names of systems that other clients use.
fn client_name() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("statuskit/v{}/{os}-{arch}", env!("CARGO_PKG_VERSION"))
}

/// Limits of a connection. The defaults are the reference's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct P2pLimits {
    /// The largest uncompressed payload that is accepted, in bytes.
    pub message: usize,
    /// The time to open a TCP connection.
    pub dial: Duration,
    /// The time for the encryption handshake and Hello together.
    pub handshake: Duration,
    /// The longest time between two complete messages from the peer.
    pub idle: Duration,
    /// The time between two of our pings.
    pub ping: Duration,
    /// The time in which the peer must read 64 KiB of what we write.
    pub write: Duration,
    /// The time to write Disconnect at the end.
    pub farewell: Duration,
}

impl Default for P2pLimits {
    fn default() -> Self {
        Self {
            message: statuskit_core::devp2p::snappy::MAX_LENGTH,
            dial: Duration::from_secs(15),
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            ping: Duration::from_secs(15),
            write: Duration::from_secs(20),
            farewell: Duration::from_secs(1),
        }
    }
}

/// What a peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message of a shared protocol.
    Message {
        /// The protocol.
        capability: Capability,
        /// The message code within the protocol.
        code: u64,
        /// The payload, uncompressed.
        payload: Vec<u8>,
    },
    /// The peer ends the connection. Nothing follows.
    Disconnected(DisconnectReason),
}

/// Why a connection has ended, or why a message can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum P2pError {
    /// A frame is damaged or too large.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A payload can't be (de)compressed.
    #[error("message with code {code}: {error}")]
    Snappy { code: u64, error: SnappyError },
    /// A payload of a peer that does not compress is too large.
    #[error("the payload of message {code} has {got} bytes; at most {max} are allowed")]
    TooLarge { code: u64, got: usize, max: usize },
    /// The first message is not an acceptable Hello.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The key in Hello is not the key that the handshake proved.
    #[error("the id in Hello is not the key of the handshake")]
    UnexpectedIdentity,
    /// The peer has our own key.
    #[error("connected to self")]
    ConnectedToSelf,
    /// The two sides share no protocol.
    #[error("no protocol in common; the peer has [{}]", list(.theirs))]
    Useless { theirs: Vec<Capability> },
    /// A message code that belongs to no shared protocol.
    #[error("message code {0} belongs to no protocol in common")]
    UnknownCode(u64),
    /// The handshake or Hello took too long.
    #[error("the handshake was not done within {0:?}")]
    HandshakeTimeout(Duration),
    /// The peer sent nothing for too long.
    #[error("no message from the peer for {0:?}")]
    Idle(Duration),
    /// Sending: the peer does not speak this protocol.
    #[error("the peer doesn't speak {0}")]
    NotShared(String),
    /// Sending: the protocol has no such message code.
    #[error("{capability} has message codes below {length}; got {code}")]
    CodeRange { capability: Capability, code: u64, length: u64 },
    /// The connection has already ended.
    #[error("the connection is closed")]
    Closed,
}

impl P2pError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.code(),
            Self::Snappy { error, .. } => error.code(),
            Self::TooLarge { .. } => "p2p.message_size",
            Self::Hello(error) => error.code(),
            Self::UnexpectedIdentity => "p2p.unexpected_identity",
            Self::ConnectedToSelf => "p2p.self",
            Self::Useless { .. } => "p2p.useless",
            Self::UnknownCode(_) => "p2p.unknown_code",
            Self::HandshakeTimeout(_) => "p2p.handshake_timeout",
            Self::Idle(_) => "p2p.idle",
            Self::NotShared(_) => "p2p.not_shared",
            Self::CodeRange { .. } => "p2p.code_range",
            Self::Closed => "p2p.closed",
        }
    }

    /// Returns the reason to send before closing; `None` where the reference closes silently.
    pub(crate) fn answer(&self) -> Option<DisconnectReason> {
        match self {
            Self::Hello(error) => error.answer(),
            Self::UnexpectedIdentity => Some(DisconnectReason::UnexpectedIdentity),
            Self::ConnectedToSelf => Some(DisconnectReason::ConnectedToSelf),
            Self::Useless { .. } => Some(DisconnectReason::UselessPeer),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "p2p.unexpected_identity",
            rule: "The id in Hello is the key of the handshake.",
            source: "devp2p, Disconnect reason 9",
            causes: "Someone in the middle, or a faulty client.",
        },
        Explanation {
            code: "p2p.useless",
            rule: "Both sides have a protocol in common; here shh version 6.",
            source: "devp2p, Disconnect reason 3",
            causes: "The node does not run Whisper: it may be a Waku or an Ethereum node only.",
        },
        Explanation {
            code: "p2p.code_range",
            rule: "A protocol has a fixed number of message codes; shh has 128.",
            source: "devp2p, Message codes",
            causes: "A fault of ours.",
        },
        Explanation {
            code: "p2p.unknown_code",
            rule: "A message code belongs to one of the protocols in common.",
            source: "devp2p, Message codes",
            causes: "A peer that reserves another number of codes.",
        },
        Explanation {
            code: "p2p.not_shared",
            rule: "Messages can only be sent of protocols that both sides have.",
            source: "devp2p, Capabilities",
            causes: "A fault of ours.",
        },
        Explanation {
            code: "p2p.message_size",
            rule: "A message is bounded, whatever its code.",
            source: "devp2p, RLPx",
            causes: "An envelope above the limit of the node.",
        },
        Explanation {
            code: "p2p.handshake_timeout",
            rule: "Encryption handshake and Hello are done within 5 seconds.",
            source: "devp2p, as in the reference",
            causes: "Not an Ethereum node, or one that is overloaded.",
        },
        Explanation {
            code: "p2p.idle",
            rule: "A peer that sends nothing for 30 seconds, not even a ping, is disconnected.",
            source: "devp2p, as in the reference",
            causes: "The network between, or a machine asleep.",
        },
        Explanation {
            code: "p2p.closed",
            rule: "The connection is closed.",
            source: "devp2p",
            causes: "See the error before.",
        },
    ];
}

/// Returns `start + time`, and half a century later if that is out of range.
pub(super) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or_else(|| start + Duration::from_secs(50 * 31_557_600))
}

fn list(capabilities: &[Capability]) -> String {
    capabilities.iter().map(Capability::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

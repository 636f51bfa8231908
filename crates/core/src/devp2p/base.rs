//! The base protocol, with the message codes 0 to 15: Hello, Disconnect, ping and pong.
//!
//! Source: devp2p `rlpx.md`, "p2p Capability".

use std::fmt;

use crate::{
    devp2p::capability::Capability,
    explain::Explanation,
    rlp::{self, Item, Reader, RlpError},
};

/// The message code of Hello.
pub const HELLO: u64 = 0;
/// The message code of Disconnect.
pub const DISCONNECT: u64 = 1;
/// The message code of ping.
pub const PING: u64 = 2;
/// The message code of pong.
pub const PONG: u64 = 3;

/// The payload of ping and pong: an empty list.
pub const EMPTY: [u8; 1] = [0xc0];

/// The longest payload of Hello, or of a Disconnect in its place, in bytes.
pub const MAX_HELLO: usize = 2048;

/// The version of the base protocol that we announce.
pub const VERSION: u64 = 5;

/// The first version that compresses payloads after Hello.
const SNAPPY_VERSION: u64 = 5;

/// The first message of a node, with its identity and capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version of the base protocol.
    pub version: u64,
    /// The name of the client. Invalid UTF-8 is replaced on reading.
    pub client: String,
    /// The node's capabilities, in its own order.
    pub capabilities: Vec<Capability>,
    /// The port that the node listens on, or 0. Historical.
    pub listen_port: u64,
    /// The static public key, X and Y. It is not checked to be a point, since it must equal the key
    /// of the handshake.
    pub id: [u8; 64],
    /// Further items, unparsed, each with its RLP header.
    pub extra: Vec<Vec<u8>>,
}

/// Why the first message of a peer is not an acceptable Hello.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The payload is too long.
    #[error("the first message has {}; at most {MAX_HELLO} are allowed", crate::text::count(.0, "byte"))]
    TooLarge(usize),
    /// The peer sent Disconnect.
    #[error("the peer disconnected: {0}")]
    Disconnected(DisconnectReason),
    /// The peer sent another message first.
    #[error("the first message has code {0}; expected Hello (0) or Disconnect (1)")]
    Unexpected(u64),
    /// The payload is not the expected list.
    #[error("Hello is malformed, {0}")]
    Malformed(#[from] RlpError),
    /// The id does not have the length of a public key.
    #[error("the id in Hello has {}; expected 64", crate::text::count(.0, "byte"))]
    IdLength(usize),
    /// The id is all zero.
    #[error("the id in Hello is zero")]
    IdZero,
}

impl HelloError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "p2p.hello_size",
            Self::Disconnected(_) => "p2p.disconnected",
            Self::Unexpected(_) => "p2p.hello_expected",
            Self::Malformed(_) => "p2p.hello",
            Self::IdLength(_) | Self::IdZero => "p2p.hello_id",
        }
    }

    /// Returns the reason to send to the peer. `None` if the connection is closed without one, as
    /// the reference does.
    pub fn answer(&self) -> Option<DisconnectReason> {
        match self {
            Self::IdLength(_) | Self::IdZero => Some(DisconnectReason::InvalidIdentity),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "p2p.hello",
            rule: "Hello is a list of version, client name, capabilities, port and node id.",
            source: "devp2p, Hello",
            causes: "Another protocol on this port.",
        },
        Explanation {
            code: "p2p.hello_expected",
            rule: "The first message is Hello, or Disconnect with a reason.",
            source: "devp2p, Hello",
            causes: "A peer that speaks out of turn.",
        },
        Explanation {
            code: "p2p.hello_size",
            rule: "Hello has at most 2048 bytes.",
            source: "devp2p, Hello",
            causes: "A hostile peer.",
        },
        Explanation {
            code: "p2p.hello_id",
            rule: "The id in Hello has 64 bytes that are not all zero.",
            source: "devp2p, Hello",
            causes: "A faulty client.",
        },
        Explanation {
            code: "p2p.disconnected",
            rule: "The peer ended the connection and said why.",
            source: "devp2p, Disconnect",
            causes: "too many peers: try another; subprotocol error: it took offence at a packet; client quitting: it was stopped.",
        },
    ];
}

impl Hello {
    /// Reads the first message of a peer, which should be Hello.
    ///
    /// # Errors
    ///
    /// If it is too long, is another message, or is malformed.
    pub fn from_first_message(code: u64, payload: &[u8]) -> Result<Self, HelloError> {
        if payload.len() > MAX_HELLO {
            return Err(HelloError::TooLarge(payload.len()));
        }
        match code {
            HELLO => Self::decode(payload),
            DISCONNECT => Err(HelloError::Disconnected(DisconnectReason::decode(payload))),
            other => Err(HelloError::Unexpected(other)),
        }
    }

    /// Reads the payload of Hello. Like the reference, it ignores bytes after the list.
    ///
    /// # Errors
    ///
    /// If the payload is malformed, or the id has a wrong length or is zero.
    pub fn decode(payload: &[u8]) -> Result<Self, HelloError> {
        let mut list = Reader::new(payload).list("Hello")?;
        let version = list.u64("version")?;
        let client = text(list.string("client name")?);
        let mut capabilities = Vec::new();
        let mut items = list.list("capabilities")?;
        while !items.is_empty() {
            let mut item = items.list("capability")?;
            let name = text(item.string("capability name")?);
            let version = item.u64("capability version")?;
            item.finish()?;
            capabilities.push(Capability::new(&name, version));
        }
        let listen_port = list.u64("listen port")?;
        let id = list.string("id")?;
        let mut extra = Vec::new();
        while !list.is_empty() {
            extra.push(list.raw_item("item")?.to_vec());
        }
        let id: [u8; 64] = id.try_into().map_err(|_| HelloError::IdLength(id.len()))?;
        if id == [0; 64] {
            return Err(HelloError::IdZero);
        }
        Ok(Self { version, client, capabilities, listen_port, id, extra })
    }

    /// Writes the payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        rlp::put_list(&mut payload, |items| {
            rlp::put_u64(items, self.version);
            rlp::put_bytes(items, self.client.as_bytes());
            rlp::put_list(items, |items| {
                for capability in &self.capabilities {
                    rlp::put_list(items, |item| {
                        rlp::put_bytes(item, capability.name.as_bytes());
                        rlp::put_u64(item, capability.version);
                    });
                }
            });
            rlp::put_u64(items, self.listen_port);
            rlp::put_bytes(items, &self.id);
            for item in &self.extra {
                items.extend_from_slice(item);
            }
        });
        payload
    }

    /// Returns whether payloads are compressed after this Hello and ours of version `ours`.
    pub fn snappy(&self, ours: u64) -> bool {
        self.version.min(ours) >= SNAPPY_VERSION
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The reason of a Disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// 0, also for every unreadable reason.
    Requested,
    /// 1: the connection failed. It can't be sent.
    NetworkError,
    /// 2
    ProtocolBreach,
    /// 3: no protocol in common.
    UselessPeer,
    /// 4
    TooManyPeers,
    /// 5
    AlreadyConnected,
    /// 6
    IncompatibleVersion,
    /// 7: the id in Hello is not a key.
    InvalidIdentity,
    /// 8
    Quitting,
    /// 9: the id in Hello is not the key of the handshake.
    UnexpectedIdentity,
    /// 10
    ConnectedToSelf,
    /// 11
    ReadTimeout,
    /// 16: an error in one of the other protocols.
    Subprotocol,
    /// Any other number.
    Unknown(u64),
}

use DisconnectReason as Reason;

/// The named reasons, with their numbers and the reference's texts.
const REASONS: [(Reason, u64, &str); 13] = [
    (Reason::Requested, 0, "disconnect requested"),
    (Reason::NetworkError, 1, "network error"),
    (Reason::ProtocolBreach, 2, "breach of protocol"),
    (Reason::UselessPeer, 3, "useless peer"),
    (Reason::TooManyPeers, 4, "too many peers"),
    (Reason::AlreadyConnected, 5, "already connected"),
    (Reason::IncompatibleVersion, 6, "incompatible p2p protocol version"),
    (Reason::InvalidIdentity, 7, "invalid node identity"),
    (Reason::Quitting, 8, "client quitting"),
    (Reason::UnexpectedIdentity, 9, "unexpected identity"),
    (Reason::ConnectedToSelf, 10, "connected to self"),
    (Reason::ReadTimeout, 11, "read timeout"),
    (Reason::Subprotocol, 16, "subprotocol error"),
];

impl DisconnectReason {
    /// Returns the reason of a number.
    pub fn from_code(code: u64) -> Self {
        REASONS
            .iter()
            .find(|(_, number, _)| *number == code)
            .map_or(Self::Unknown(code), |(reason, ..)| *reason)
    }

    /// Returns the number of the reason.
    pub fn code(self) -> u64 {
        match self {
            Self::Unknown(code) => code,
            known => REASONS.iter().find(|(r, ..)| *r == known).map_or(0, |(_, code, _)| *code),
        }
    }

    /// Reads the payload of Disconnect. Anything other than a list that begins with an integer
    /// counts as [`Requested`](Self::Requested).
    pub fn decode(payload: &[u8]) -> Self {
        let mut reader = Reader::new(payload);
        match reader.item("reasons") {
            Ok(Item::List(mut list)) => list.u64("reason").map_or(Self::Requested, Self::from_code),
            _ => Self::Requested,
        }
    }

    /// As [`decode`](Self::decode), but also reads a bare integer, which EthereumJS sends.
    ///
    /// The reference counts it as [`Requested`](Self::Requested).
    pub fn decode_any(payload: &[u8]) -> Self {
        match Reader::new(payload).u64("reason") {
            Ok(code) => Self::from_code(code),
            Err(_) => Self::decode(payload),
        }
    }

    /// Writes the payload of Disconnect.
    pub fn encode(self) -> Vec<u8> {
        let mut payload = Vec::new();
        rlp::put_list(&mut payload, |items| rlp::put_u64(items, self.code()));
        payload
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match REASONS.iter().find(|(reason, ..)| reason == self) {
            Some((_, _, words)) => f.write_str(words),
            None => write!(f, "unknown disconnect reason {}", self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            version: 5,
            client: "statuskit/v0.1.0".into(),
            capabilities: vec![Capability::new("shh", 6), Capability::new("waku", 0)],
            listen_port: 0,
            id: [7; 64],
            extra: vec![],
        }
    }

    #[test]
    fn hello_round_trip() {
        let mut hello = hello();
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello.clone()));
        hello.extra = vec![vec![5], vec![0xc1, 0x80], vec![0x82, 1, 2]];
        let mut payload = hello.encode();
        assert_eq!(Hello::decode(&payload), Ok(hello.clone()));
        payload.extend_from_slice(b"trailing");
        assert_eq!(Hello::decode(&payload), Ok(hello));
    }

    #[test]
    fn first_messages() {
        let good = hello().encode();
        assert!(Hello::from_first_message(HELLO, &good).is_ok());
        let mut padded = good;
        padded.resize(MAX_HELLO, 0);
        assert!(Hello::from_first_message(HELLO, &padded).is_ok(), "2048 bytes are allowed");
        padded.push(0);
        for code in [HELLO, DISCONNECT, 99] {
            let error = Hello::from_first_message(code, &padded).unwrap_err();
            assert_eq!((error.code(), error.answer()), ("p2p.hello_size", None));
        }
        let error = Hello::from_first_message(DISCONNECT, &[0xc1, 4]).unwrap_err();
        assert_eq!(error, HelloError::Disconnected(Reason::TooManyPeers));
        assert_eq!(Hello::from_first_message(PING, &EMPTY), Err(HelloError::Unexpected(2)));
    }

    #[test]
    fn ids() {
        let mut hello = hello();
        hello.id = [0; 64];
        let error = Hello::decode(&hello.encode()).unwrap_err();
        assert_eq!(error, HelloError::IdZero);
        assert_eq!(error.answer(), Some(Reason::InvalidIdentity));
        let short = [&[0xc6, 5, 0x78, 0xc0, 0x80][..], &[0x82, 1, 2]].concat();
        assert_eq!(Hello::decode(&[&[0xc7], &short[1..]].concat()), Err(HelloError::IdLength(2)));
    }

    #[test]
    fn disconnect_is_read_leniently() {
        for (payload, code) in [
            (&[0xc1, 0x80][..], 0),
            (&[0xc1, 4], 4),
            (&[0xc1, 16], 16),
            (&[0xc1, 12], 12),
            (&[0xc2, 4, 5], 4),
            (&[0xc1, 4, 9], 4),
            (&[], 0),
            (&[4], 0),
            (&[0xc0], 0),
            (&[0xc1, 0], 0),
            (&[0xc2, 4], 0),
            (&[0xc2, 0xc1, 4], 0),
            (&[0xca, 0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
        ] {
            assert_eq!(Reason::decode(payload).code(), code, "{payload:x?}");
            let any = if payload == [4] { 4 } else { code };
            assert_eq!(Reason::decode_any(payload).code(), any, "{payload:x?}");
        }
        assert_eq!(Reason::Unknown(12).to_string(), "unknown disconnect reason 12");
        for code in 0..40 {
            assert_eq!(Reason::decode(&Reason::from_code(code).encode()).code(), code);
        }
    }

    proptest! {
        #[test]
        fn any_payload(code in 0u64..5, payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::from_first_message(code, &payload);
        }

        #[test]
        fn damaged_hello(at in 0usize..120, byte: u8) {
            let mut payload = hello().encode();
            let at = at % payload.len();
            payload[at] = byte;
            if let Ok(read) = Hello::decode(&payload) {
                prop_assert_eq!(Hello::decode(&read.encode()), Ok(read));
            }
        }
    }
}

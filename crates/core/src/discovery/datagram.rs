//! What both protocols share: the signature over type and data, and the size of a datagram.

use crate::{
    bytes::fixed_bytes,
    crypto::{KeyError, PublicKey, SecretKey, Signature, keccak256},
    discovery::RecordError,
    explain::Explanation,
    rlp::RlpError,
};

/// The most bytes of a datagram. Receivers do not read further.
pub const MAX_DATAGRAM: usize = 1280;

pub(super) const SIGNATURE: usize = 65;

fixed_bytes! {
    /// The hash of a packet. An answer refers to its request by it.
    pub struct PacketHash([u8; 32]);
}

/// Why a datagram is not a packet, or can't become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The datagram ends before the type of the packet.
    #[error("the datagram has {}; expected at least {least}", crate::text::count(.got, "byte"))]
    Length { got: usize, least: usize },
    /// The datagram does not start with the text of the protocol.
    #[error("the datagram does not start with \"temporary discovery v5\"")]
    Prefix,
    /// The hash at the start is not that of the rest.
    #[error("the hash of the packet is wrong; the packet is damaged")]
    Hash,
    /// The protocol has no such packet.
    #[error("{0} is not a packet type")]
    Type(u8),
    /// The data is not the RLP of the packet's type. Offsets count from after the type.
    #[error("{0}")]
    Rlp(#[from] RlpError),
    /// The record in the packet is malformed.
    #[error("the record in the packet: {0}")]
    Record(RecordError),
    /// No key can have made the signature.
    #[error("the signature of the packet: {0}")]
    Signature(KeyError),
    /// The packet to be sent is too long for a datagram.
    #[error("the packet has {}; receivers read {MAX_DATAGRAM}", crate::text::count(.0, "byte"))]
    TooLong(usize),
}

impl DatagramError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "discovery.length",
            Self::Prefix => "discovery.prefix",
            Self::Hash => "discovery.hash",
            Self::Type(_) => "discovery.type",
            Self::Rlp(error) => error.kind.code(),
            Self::Record(error) => error.code(),
            Self::Signature(_) => "discovery.signature",
            Self::TooLong(_) => "discovery.too_long",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "discovery.length",
            rule: "A datagram has a signature and a type, after its prefix or hash.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The datagram was cut.",
        },
        Explanation {
            code: "discovery.prefix",
            rule: "A datagram of legacy v5 starts with \"temporary discovery v5\".",
            source: "go-ethereum 1.9, discovery v5",
            causes: "Another protocol: v4 starts with a hash, and today's v5 looks random.",
        },
        Explanation {
            code: "discovery.hash",
            rule: "A datagram of v4 starts with the Keccak-256 of its rest.",
            source: "devp2p discv4",
            causes: "Damage, or another protocol.",
        },
        Explanation {
            code: "discovery.type",
            rule: "Types of packets are 1 to 8 in legacy v5, and 1 to 6 in v4.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "A newer node, or damage.",
        },
        Explanation {
            code: "discovery.signature",
            rule: "The key of the sender is recovered from the signature of a datagram.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "Damage. In legacy v5 it often gives another key instead, which is nobody's.",
        },
        Explanation {
            code: "discovery.too_long",
            rule: "Receivers read 1280 bytes of a datagram.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "Too many nodes or topics in one packet.",
        },
    ];
}

/// A decoded packet, and what its datagram says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<P> {
    /// The packet.
    pub packet: P,
    /// The key that signed it.
    pub sender: PublicKey,
    /// Its hash, by which an answer refers to it.
    pub hash: PacketHash,
}

/// A signed packet, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// The hash of the packet, by which an answer refers to it.
    pub hash: PacketHash,
}

/// The parts after the prefix of either protocol.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    signature: &'a [u8; SIGNATURE],
    /// The type and the data.
    signed: &'a [u8],
    /// The type of the packet.
    pub kind: u8,
    /// The data, and maybe bytes after it.
    pub data: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Splits what follows `head` other bytes.
    pub fn split(rest: &'a [u8], head: usize) -> Result<Self, DatagramError> {
        let split = rest.split_first_chunk().and_then(|(signature, signed)| {
            let (&kind, data) = signed.split_first()?;
            Some(Self { signature, signed, kind, data })
        });
        split.ok_or(DatagramError::Length { got: head + rest.len(), least: head + SIGNATURE + 1 })
    }

    /// Recovers the sender.
    pub fn sender(&self) -> Result<PublicKey, DatagramError> {
        Signature::from_bytes(*self.signature)
            .recover(&keccak256(self.signed))
            .map_err(DatagramError::Signature)
    }
}

/// Appends the signature over type and data, and both of them.
pub(super) fn put_signed(out: &mut Vec<u8>, kind: u8, data: &[u8], key: &SecretKey) {
    let at = out.len();
    out.resize(at + SIGNATURE, 0);
    out.push(kind);
    out.extend_from_slice(data);
    let signature = key.sign_digest(&keccak256(&out[at + SIGNATURE..]));
    out[at..at + SIGNATURE].copy_from_slice(signature.as_bytes());
}

/// Cuts a datagram to what receivers read.
pub(super) fn cut(datagram: &[u8]) -> &[u8] {
    &datagram[..datagram.len().min(MAX_DATAGRAM)]
}

/// Returns the bytes, if they fit into a datagram.
pub(super) fn fit(bytes: Vec<u8>) -> Result<Vec<u8>, DatagramError> {
    if bytes.len() > MAX_DATAGRAM {
        return Err(DatagramError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

//! Why a packet can't be read.

use crate::{explain::Explanation, rlp::RlpError, time::UnixSeconds};

/// Why the payload of a packet does not fit its code.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The bytes are not the expected RLP.
    #[error("{0}")]
    Rlp(#[from] RlpError),
    /// The peer uses another version.
    #[error("the peer uses version {0} of Whisper; expected 6")]
    Version(u64),
    /// The peer uses another version of Waku than it announced.
    #[error("the Status packet has version {0} of Waku; expected 0")]
    WakuVersion(u64),
    /// Options follow one that is unknown.
    #[error("options follow an unknown one, which must be the last")]
    OptionOrder,
    /// The topic interest is too long.
    #[error("the topic interest has {}; expected at most {max}", crate::text::count(.got, "topic"))]
    TopicInterest { got: usize, max: usize },
    /// The minimum proof of work is infinite, negative or a NaN.
    #[error("{0} is not a proof-of-work requirement; expected a finite number, at least 0")]
    Pow(f64),
    /// The bloom filter has another length.
    #[error("the bloom filter has {}; expected 64", crate::text::count(.0, "byte"))]
    BloomLength(usize),
    /// The end of a mailserver's answer has an impossible length.
    #[error("the request-complete has {}; expected 32 to 100, or an error text", crate::text::count(.0, "byte"))]
    CompleteLength(usize),
    /// The limit of a sync request is out of range.
    #[error("the limit of the sync request is {0}; expected 1 to 1000")]
    SyncLimit(u32),
    /// The range of a sync request is empty.
    #[error("the range of the sync request is {lower} to {upper}; expected an ascending range")]
    SyncRange { lower: UnixSeconds, upper: UnixSeconds },
}

impl PacketError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rlp(error) => error.kind.code(),
            Self::Version(_) | Self::WakuVersion(_) => "packet.version",
            Self::OptionOrder => "packet.option_order",
            Self::TopicInterest { .. } => "packet.topic_interest",
            Self::Pow(_) => "packet.pow",
            Self::BloomLength(_) => "packet.bloom_length",
            Self::CompleteLength(_) => "packet.complete_length",
            Self::SyncLimit(_) | Self::SyncRange { .. } => "packet.sync_range",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "packet.version",
            rule: "Both sides speak version 6 of Whisper, or the same version of Waku.",
            source: "EIP-627, Status; Waku specification, Status",
            causes: "The peer is of another time.",
        },
        Explanation {
            code: "packet.pow",
            rule: "A proof-of-work requirement is a finite number, at least 0, sent as the bits of a 64-bit float.",
            source: "EIP-627, PoW Requirement",
            causes: "A decimal in place of the bits.",
        },
        Explanation {
            code: "packet.option_order",
            rule: "In a Status packet of waku/0, an option that the receiver does not know is the last one.",
            source: "the reference; Waku specification, Status",
            causes: "A peer of a later release, or the integer keys of waku/1.",
        },
        Explanation {
            code: "packet.topic_interest",
            rule: "A topic interest has at most 1000 topics in waku/0 and 10000 in waku/1.",
            source: "the reference; Waku specification, Status",
            causes: "A peer with too many chats, which should use a bloom filter.",
        },
        Explanation {
            code: "packet.bloom_length",
            rule: "A bloom filter has 64 bytes; in a Status packet it may also be empty, for all topics.",
            source: "EIP-627, Bloom Filter",
            causes: "Another size of filter.",
        },
        Explanation {
            code: "packet.complete_length",
            rule: "The end of a mailserver's answer has 32 to 100 bytes: request id, last envelope, cursor; or it begins with ERROR=.",
            source: "Status specifications, Mailserver",
            causes: "The list form of the document, which servers don't send.",
        },
        Explanation {
            code: "packet.sync_range",
            rule: "A sync request asks for 1 to 1000 envelopes of an ascending range of time.",
            source: "Status specifications, Mailserver",
            causes: "Limit 0, or the two times exchanged.",
        },
    ];
}

//! Why a packet can't be read.

use crate::{rlp::RlpError, time::UnixSeconds};

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
}

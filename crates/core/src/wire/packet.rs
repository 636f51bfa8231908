//! The packets of `shh/6` and of Waku, decoded and encoded.
//!
//! | code | packet | payload |
//! | --: | --- | --- |
//! | 0 | Status | see [`Status`] |
//! | 1 | Messages | list of envelopes |
//! | 2 | PoW Requirement | bits of a 64-bit float, as a bare integer |
//! | 3 | Bloom Filter | bare string of 64 bytes |
//! | 11 | Batch Acknowledged | bare hash of the payload of a Messages packet |
//! | 12 | Message Response | `[1, [hash, [[envelope hash, code, text], …]]]` |
//! | 20 | Rate Limits | `[ip, peer id, topic]` |
//! | 123-126 | mailserver requests and answers | see [`super::p2p`] |
//! | 127 | P2P Message | one bare envelope, or a list of envelopes |
//!
//! Waku has the codes 0, 1, 11, 12, 22 and 125 to 127, and ignores the others. Its differences:
//!
//! | code | packet | payload |
//! | --: | --- | --- |
//! | 0 | Status | see [`Options`] |
//! | 22 | Status Update | see [`Options`] |
//! | 126 | mailserver request | a plain one has the topics as a seventh item |
//! | 127 | P2P Message | always a list |
//!
//! Floats are sent as the integer with their bits, so their length varies.
//!
//! Source: EIP-627 "Packet Codes"; the codes 11, 12, 20 and 123 to 125 are extensions of Status.

use crate::{
    crypto::keccak256,
    envelope::{Bloom, Envelope, EnvelopeHash},
    rlp::{self, Item, Reader, RlpError, RlpErrorKind},
    wire::{
        dialect::{Dialect, WHISPER},
        error::PacketError,
        fields::{float_bits, put_envelopes, put_float},
        p2p::{P2pRequest, RequestComplete, SyncRequest, SyncResponse},
        status::{RateLimits, Status},
        waku::Options,
    },
};

pub use crate::wire::fields::read_envelopes;

/// The name of the protocol in Hello.
pub const PROTOCOL: &str = WHISPER;
/// The number of message codes that the protocol reserves. It fixes the codes of the next protocol.
pub const PROTOCOL_LENGTH: u64 = 128;

/// Packet codes.
pub mod code {
    #![allow(missing_docs)]
    pub const STATUS: u64 = 0;
    pub const MESSAGES: u64 = 1;
    pub const POW_REQUIREMENT: u64 = 2;
    pub const BLOOM_FILTER: u64 = 3;
    pub const BATCH_ACK: u64 = 11;
    pub const MESSAGE_RESPONSE: u64 = 12;
    pub const RATE_LIMITS: u64 = 20;
    pub const STATUS_UPDATE: u64 = 22;
    pub const P2P_SYNC_REQUEST: u64 = 123;
    pub const P2P_SYNC_RESPONSE: u64 = 124;
    pub const P2P_REQUEST_COMPLETE: u64 = 125;
    pub const P2P_REQUEST: u64 = 126;
    pub const P2P_MESSAGE: u64 = 127;
}

/// The error code for "time not synced" in a Message Response, by the specification.
pub const TIME_NOT_SYNCED: u64 = 1;

/// A peer's report about an envelope that it rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    /// The hash of the envelope.
    pub hash: EnvelopeHash,
    /// The reason as a number, which differs between releases. Any entry means "not accepted".
    pub code: u64,
    /// The reason in words. Untrusted text.
    pub description: String,
}

/// The answer to a Messages packet (code 12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageResponse {
    /// The hash of the packet that is answered: see [`batch_hash`].
    pub batch: [u8; 32],
    /// The envelopes that were rejected.
    pub errors: Vec<EnvelopeError>,
}

/// A Message Response as read. Only version 1 has a known meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadResponse {
    /// Version 1.
    V1(MessageResponse),
    /// Version 1 with unreadable content. It counts as an answer without a batch. Whisper only.
    Unreadable,
    /// Another version, which is ignored.
    OtherVersion(u64),
}

/// A decoded packet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Packet {
    /// Code 0 of Whisper.
    Status(Status),
    /// Code 0 of Waku.
    WakuStatus(Options),
    /// Code 1.
    Messages(Vec<Envelope>),
    /// Code 2.
    PowRequirement(f64),
    /// Code 3.
    BloomFilter(Bloom),
    /// Code 11: confirms the batch with this hash.
    BatchAck([u8; 32]),
    /// Code 12.
    MessageResponse(ReadResponse),
    /// Code 20.
    RateLimits(RateLimits),
    /// Code 22, Waku: only what changes.
    StatusUpdate(Options),
    /// Code 123.
    SyncRequest(SyncRequest),
    /// Code 124.
    SyncResponse(SyncResponse),
    /// Code 125.
    RequestComplete(RequestComplete),
    /// Code 126.
    P2pRequest(P2pRequest),
    /// Code 127.
    P2pMessage(Vec<Envelope>),
    /// Any other code, which nodes ignore.
    Unknown {
        /// The code.
        code: u64,
        /// The uninterpreted payload.
        payload: Vec<u8>,
    },
}

impl Packet {
    /// Reads the uncompressed payload of a packet of Whisper.
    ///
    /// # Errors
    ///
    /// If the payload does not fit the code.
    pub fn decode(code: u64, payload: &[u8]) -> Result<Self, PacketError> {
        Self::decode_as(Dialect::Whisper, code, payload)
    }

    /// Reads the uncompressed payload of a packet.
    ///
    /// # Errors
    ///
    /// If the payload does not fit the code.
    pub fn decode_as(dialect: Dialect, code: u64, payload: &[u8]) -> Result<Self, PacketError> {
        let waku = dialect.is_waku();
        let mut reader = Reader::new(payload);
        let packet = match code {
            // Unlike all others, this packet may have bytes after its list.
            code::STATUS if waku => {
                return Options::decode_status(dialect, payload).map(Self::WakuStatus);
            }
            code::STATUS => return Status::decode(payload).map(Self::Status),
            code::STATUS_UPDATE if waku => {
                return Options::decode_update(dialect, payload).map(Self::StatusUpdate);
            }
            code::P2P_MESSAGE if waku => Self::P2pMessage(read_envelopes(&mut reader)?),
            code::P2P_MESSAGE => return read_p2p_message(payload).map(Self::P2pMessage),
            code::P2P_REQUEST => return P2pRequest::decode(dialect, payload).map(Self::P2pRequest),
            code::MESSAGES => Self::Messages(read_envelopes(&mut reader)?),
            code::POW_REQUIREMENT if !waku => {
                Self::PowRequirement(float_bits(reader.u64("PoW requirement")?)?)
            }
            code::BLOOM_FILTER if !waku => {
                let bytes = reader.string("bloom filter")?;
                let bits = bytes.try_into().map_err(|_| PacketError::BloomLength(bytes.len()))?;
                Self::BloomFilter(Bloom(bits))
            }
            code::BATCH_ACK => Self::BatchAck(reader.bytes("batch hash")?),
            code::MESSAGE_RESPONSE => Self::MessageResponse(read_response(dialect, &mut reader)?),
            code::RATE_LIMITS if !waku => {
                Self::RateLimits(RateLimits::read(reader.list("rate limits")?)?)
            }
            code::P2P_SYNC_REQUEST if !waku => Self::SyncRequest(SyncRequest::read(&mut reader)?),
            code::P2P_SYNC_RESPONSE if !waku => {
                Self::SyncResponse(SyncResponse::read(&mut reader)?)
            }
            code::P2P_REQUEST_COMPLETE => {
                Self::RequestComplete(RequestComplete::decode(reader.string("answer")?)?)
            }
            _ => return Ok(Self::Unknown { code, payload: payload.to_vec() }),
        };
        reader.finish()?;
        Ok(packet)
    }

    /// Returns the code of the packet.
    pub fn code(&self) -> u64 {
        match self {
            Self::Status(_) | Self::WakuStatus(_) => code::STATUS,
            Self::Messages(_) => code::MESSAGES,
            Self::PowRequirement(_) => code::POW_REQUIREMENT,
            Self::BloomFilter(_) => code::BLOOM_FILTER,
            Self::BatchAck(_) => code::BATCH_ACK,
            Self::MessageResponse(_) => code::MESSAGE_RESPONSE,
            Self::RateLimits(_) => code::RATE_LIMITS,
            Self::StatusUpdate(_) => code::STATUS_UPDATE,
            Self::SyncRequest(_) => code::P2P_SYNC_REQUEST,
            Self::SyncResponse(_) => code::P2P_SYNC_RESPONSE,
            Self::RequestComplete(_) => code::P2P_REQUEST_COMPLETE,
            Self::P2pRequest(_) => code::P2P_REQUEST,
            Self::P2pMessage(_) => code::P2P_MESSAGE,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Writes the payload of the packet as nodes of Whisper do.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(Dialect::Whisper)
    }

    /// Writes the payload of the packet as nodes of a protocol do.
    ///
    /// Whisper writes a P2P message with exactly one envelope bare, others as a list. A packet that
    /// the protocol does not have is written as in the other one, options as in `waku/1`. Peers
    /// ignore such a packet.
    pub fn encode_as(&self, dialect: Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Status(status) => return status.encode(),
            Self::WakuStatus(options) => return options.encode_status(dialect),
            Self::StatusUpdate(options) => return options.encode_update(dialect),
            Self::Messages(envelopes) => put_envelopes(&mut out, envelopes),
            Self::PowRequirement(pow) => put_float(&mut out, *pow),
            Self::BloomFilter(bloom) => rlp::put_bytes(&mut out, &bloom.0),
            Self::BatchAck(batch) => rlp::put_bytes(&mut out, batch),
            Self::MessageResponse(response) => put_response(&mut out, response),
            Self::RateLimits(limits) => limits.put(&mut out),
            Self::SyncRequest(request) => request.put(&mut out),
            Self::SyncResponse(response) => response.put(&mut out),
            Self::RequestComplete(complete) => rlp::put_bytes(&mut out, &complete.encode()),
            Self::P2pRequest(request) => return request.encode(dialect),
            Self::P2pMessage(envelopes) => match envelopes.as_slice() {
                [one] if !dialect.is_waku() => out.extend_from_slice(one.raw()),
                _ => put_envelopes(&mut out, envelopes),
            },
            Self::Unknown { payload, .. } => return payload.clone(),
        }
        out
    }
}

/// A packet that is encoded already, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The code of the packet.
    pub code: u64,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A packet that can be sent to a peer.
pub trait IntoEncoded {
    /// Encodes it as nodes of the peer's protocol do.
    fn into_encoded(self, dialect: Dialect) -> Encoded;
}

impl IntoEncoded for &Packet {
    fn into_encoded(self, dialect: Dialect) -> Encoded {
        Encoded { code: self.code(), payload: self.encode_as(dialect) }
    }
}

/// It was made for the peer's protocol, and stays as it is.
impl IntoEncoded for Encoded {
    fn into_encoded(self, _: Dialect) -> Encoded {
        self
    }
}

impl IntoEncoded for &Encoded {
    fn into_encoded(self, _: Dialect) -> Encoded {
        self.clone()
    }
}

/// Returns the hash by which codes 11 and 12 refer to a Messages packet.
///
/// It covers the exact, uncompressed payload.
pub fn batch_hash(payload: &[u8]) -> [u8; 32] {
    keccak256(payload)
}

/// Reads a list of envelopes, or else a single one. The error is that of the list.
fn read_p2p_message(payload: &[u8]) -> Result<Vec<Envelope>, PacketError> {
    let mut reader = Reader::new(payload);
    let list = read_envelopes(&mut reader).and_then(|envelopes| {
        reader.finish()?;
        Ok(envelopes)
    });
    list.or_else(|error| match Envelope::decode(payload) {
        Ok(envelope) => Ok(vec![envelope]),
        Err(_) => Err(error.into()),
    })
}

fn read_response(dialect: Dialect, reader: &mut Reader<'_>) -> Result<ReadResponse, RlpError> {
    let mut outer = reader.list("message response")?;
    let version = outer.u64("version")?;
    let before = outer.clone();
    let response = outer.item("response")?;
    outer.finish()?;
    if version != 1 {
        return Ok(ReadResponse::OtherVersion(version));
    }
    let read = match response {
        Item::List(inner) => read_response_v1(inner),
        Item::String(_) => Err(before.error(RlpErrorKind::ExpectedList)),
    };
    match read {
        Ok(response) => Ok(ReadResponse::V1(response)),
        Err(error) if dialect.is_waku() => Err(error),
        // Whisper forgives it.
        Err(_) => Ok(ReadResponse::Unreadable),
    }
}

fn read_response_v1(mut inner: Reader<'_>) -> Result<MessageResponse, RlpError> {
    let batch = inner.bytes("batch hash")?;
    let mut list = inner.list("errors")?;
    inner.finish()?;
    let mut errors = Vec::new();
    while !list.is_empty() {
        let mut entry = list.list("error")?;
        errors.push(EnvelopeError {
            hash: EnvelopeHash(entry.bytes("envelope hash")?),
            code: entry.u64("code")?,
            description: String::from_utf8_lossy(entry.string("description")?).into_owned(),
        });
        entry.finish()?;
    }
    Ok(MessageResponse { batch, errors })
}

fn put_response(out: &mut Vec<u8>, response: &ReadResponse) {
    rlp::put_list(out, |out| match response {
        ReadResponse::OtherVersion(version) => {
            rlp::put_u64(out, *version);
            rlp::put_list_header(out, 0);
        }
        ReadResponse::Unreadable => {
            rlp::put_u64(out, 1);
            rlp::put_list_header(out, 0);
        }
        ReadResponse::V1(response) => {
            rlp::put_u64(out, 1);
            rlp::put_list(out, |out| {
                rlp::put_bytes(out, &response.batch);
                rlp::put_list(out, |out| {
                    for error in &response.errors {
                        rlp::put_list(out, |out| {
                            rlp::put_bytes(out, &error.hash.0);
                            rlp::put_u64(out, error.code);
                            rlp::put_bytes(out, error.description.as_bytes());
                        });
                    }
                });
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{envelope::Topic, time::UnixSeconds, wire::p2p::MessagesRequest};

    const CODES: [u64; 14] = [0, 1, 2, 3, 11, 12, 20, 22, 50, 123, 124, 125, 126, 127];
    const DIALECTS: [Dialect; 3] = [Dialect::Whisper, Dialect::Waku0, Dialect::Waku1];

    fn envelope() -> impl Strategy<Value = Envelope> {
        let data = prop::collection::vec(any::<u8>(), 0..80);
        (any::<u32>(), any::<u32>(), any::<[u8; 4]>(), data, any::<u64>()).prop_map(
            |(expiry, ttl, topic, data, nonce)| {
                Envelope::new(UnixSeconds(expiry), ttl, Topic(topic), &data, nonce)
            },
        )
    }

    proptest! {
        #[test]
        fn envelopes_round_trip(envelopes in prop::collection::vec(envelope(), 0..6)) {
            for packet in [Packet::Messages(envelopes.clone()), Packet::P2pMessage(envelopes)] {
                for dialect in DIALECTS {
                    let payload = packet.encode_as(dialect);
                    let decoded = Packet::decode_as(dialect, packet.code(), &payload);
                    prop_assert_eq!(decoded.as_ref(), Ok(&packet));
                }
            }
        }

        #[test]
        fn responses_round_trip(batch: [u8; 32], errors: Vec<([u8; 32], u64, String)>) {
            let errors = errors.into_iter().map(|(hash, code, description)| EnvelopeError {
                hash: EnvelopeHash(hash), code, description,
            }).collect();
            let packet =
                Packet::MessageResponse(ReadResponse::V1(MessageResponse { batch, errors }));
            prop_assert_eq!(Packet::decode(12, &packet.encode()).unwrap(), packet);
        }

        #[test]
        fn any_bytes_decode_or_fail(
            at in 0..CODES.len(), bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            for dialect in DIALECTS {
                if let Ok(packet) = Packet::decode_as(dialect, CODES[at], &bytes) {
                    prop_assert_eq!(packet.code(), CODES[at]);
                    let _ = packet.encode_as(dialect);
                }
            }
        }

        #[test]
        fn plain_requests_have_topics_in_waku_only(
            id: [u8; 32], numbers: [u32; 3], topics in prop::collection::vec(any::<[u8; 4]>(), 0..4),
        ) {
            let [from, to, limit] = numbers;
            let (cursor, bloom) = (None, vec![1; 64]);
            let topics = topics.into_iter().map(Topic).collect();
            let request =
                MessagesRequest { id: id.to_vec(), from: UnixSeconds(from), to: UnixSeconds(to), limit, cursor, bloom, topics };
            let packet = Packet::P2pRequest(P2pRequest::Plain(request));
            for waku in [Dialect::Waku0, Dialect::Waku1] {
                let payload = packet.encode_as(waku);
                let decoded = Packet::decode_as(waku, 126, &payload);
                prop_assert_eq!(decoded.as_ref(), Ok(&packet));
                prop_assert!(Packet::decode(126, &payload).is_err());
                prop_assert!(Packet::decode_as(waku, 126, &packet.encode()).is_err());
            }
        }
    }
}

//! Messages, payloads, and message ids.

use std::fmt;

use prost::Message as _;

use super::{proto, schema};
use crate::{
    crypto::{PublicKey, hash::sha256, keccak256},
    protobuf::decode_known,
};

/// The id of a data sync message: SHA-256 of `MESSAGE_ID`, the group id, the time and the body. It
/// differs from the message id of the payload inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncMessageId(pub [u8; 32]);

/// The group of participants that share a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 32]);

impl GroupId {
    /// Computes the group of two identities: Keccak-256 of their compressed keys, smaller X first.
    pub fn from_pair(a: &PublicKey, b: &PublicKey) -> Self {
        let (first, second) = if a.x() <= b.x() { (a, b) } else { (b, a) };
        Self(keccak256(&[first.to_compressed(), second.to_compressed()].concat()))
    }
}

/// A message of data sync. Its id is computed once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncMessage {
    id: SyncMessageId,
    group_id: GroupId,
    timestamp: i64,
    body: Vec<u8>,
}

impl SyncMessage {
    /// Makes a message. `timestamp` is the UNIX time in seconds at which it is queued.
    pub fn new(group_id: GroupId, timestamp: i64, body: Vec<u8>) -> Self {
        let id = message_id(&group_id.0, timestamp, &body);
        Self { id, group_id, timestamp, body }
    }

    /// Returns the id.
    pub fn id(&self) -> SyncMessageId {
        self.id
    }

    /// Returns the group.
    pub fn group_id(&self) -> GroupId {
        self.group_id
    }

    /// Returns the UNIX time in seconds at which the message was queued.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body without copying it.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Encodes the message as it is in a payload.
    pub fn encode(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }

    /// Decodes a message. `None` if the bytes are not a message with a valid group id.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_proto(proto::Message::decode(bytes).ok()?).ok()
    }

    /// Decodes a message whose id is known.
    pub(super) fn decode_with_id(id: SyncMessageId, bytes: &[u8]) -> Option<Self> {
        let proto::Message { group_id, timestamp, body } = proto::Message::decode(bytes).ok()?;
        Some(Self { id, group_id: GroupId(group_id.try_into().ok()?), timestamp, body })
    }

    fn to_proto(&self) -> proto::Message {
        proto::Message {
            group_id: self.group_id.0.to_vec(),
            timestamp: self.timestamp,
            body: self.body.clone(),
        }
    }

    fn from_proto(message: proto::Message) -> Result<Self, StrayMessage> {
        let proto::Message { group_id, timestamp, body } = message;
        let id = message_id(&group_id, timestamp, &body);
        match group_id.try_into() {
            Ok(group_id) => Ok(Self { id, group_id: GroupId(group_id), timestamp, body }),
            Err(_) => Err(StrayMessage { id, body }),
        }
    }
}

/// A received message whose group id does not have 32 bytes. Accepted as in the reference; never
/// sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StrayMessage {
    /// The id, computed from the malformed group id.
    pub id: SyncMessageId,
    /// The body.
    pub body: Vec<u8>,
}

/// What one participant sends to another in one envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncPayload {
    /// Acknowledges received messages.
    pub acks: Vec<SyncMessageId>,
    /// Offers messages.
    pub offers: Vec<SyncMessageId>,
    /// Requests offered messages.
    pub requests: Vec<SyncMessageId>,
    /// The messages.
    pub messages: Vec<SyncMessage>,
    /// Received messages with a malformed group id.
    pub strays: Vec<StrayMessage>,
    /// The number of received ids that were dropped because they don't have 32 bytes.
    pub malformed: usize,
    /// The number of received messages, offers and acknowledgements beyond [`MAX_ITEMS`] of each,
    /// which were dropped. They are not acknowledged, so a sender repeats them.
    pub beyond: usize,
}

/// The maximum number of messages, of offers, of requests and of acknowledgements that are handled
/// of one payload, since each message costs the recovery of a key and several writes.
pub const MAX_ITEMS: usize = 1000;

impl SyncPayload {
    /// Returns whether the payload is empty. The reference sends empty payloads, as zero bytes.
    /// They are valid and need no answer.
    pub fn is_empty(&self) -> bool {
        let ids = self.acks.len() + self.offers.len() + self.requests.len();
        ids + self.messages.len() + self.strays.len() + self.malformed + self.beyond == 0
    }

    /// Encodes the payload.
    pub fn encode(&self) -> Vec<u8> {
        let ids = |ids: &[SyncMessageId]| ids.iter().map(|id| id.0.to_vec()).collect();
        let payload = proto::Payload {
            acks: ids(&self.acks),
            offers: ids(&self.offers),
            requests: ids(&self.requests),
            messages: self.messages.iter().map(SyncMessage::to_proto).collect(),
        };
        payload.encode_to_vec()
    }

    /// Decodes decrypted bytes if they are data sync. `None` if they don't decode, or decode to an
    /// empty payload: then they are a payload of Status clients. Skips known fields of another wire
    /// type.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let payload: proto::Payload = decode_known(&schema::PAYLOAD, bytes).ok()?;
        let (mut malformed, mut beyond) = (0, 0);
        let mut ids = |ids: Vec<Vec<u8>>| {
            let all = ids.len().min(MAX_ITEMS);
            beyond += ids.len() - all;
            let ids = ids.into_iter().take(MAX_ITEMS);
            let ids: Vec<_> =
                ids.filter_map(|id| Some(SyncMessageId(id.try_into().ok()?))).collect();
            malformed += all - ids.len();
            ids
        };
        let (acks, offers) = (ids(payload.acks), ids(payload.offers));
        let requests = ids(payload.requests);
        let (mut messages, mut strays) = (Vec::new(), Vec::new());
        beyond += payload.messages.len().saturating_sub(MAX_ITEMS);
        for message in payload.messages.into_iter().take(MAX_ITEMS) {
            match SyncMessage::from_proto(message) {
                Ok(message) => messages.push(message),
                Err(stray) => strays.push(stray),
            }
        }
        let payload = Self { acks, offers, requests, messages, strays, malformed, beyond };
        (!payload.is_empty()).then_some(payload)
    }
}

fn message_id(group_id: &[u8], timestamp: i64, body: &[u8]) -> SyncMessageId {
    let mut input = Vec::with_capacity(10 + group_id.len() + 8 + body.len());
    input.extend_from_slice(b"MESSAGE_ID");
    input.extend_from_slice(group_id);
    input.extend_from_slice(&timestamp.to_le_bytes());
    input.extend_from_slice(body);
    SyncMessageId(sha256(&input))
}

macro_rules! as_hex {
    ($($name:ident)*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        })*
    };
}

as_hex! { SyncMessageId GroupId }

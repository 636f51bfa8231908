//! What travels: messages, payloads, and the ids they have.

use std::fmt;

use prost::Message as _;

use super::{proto, schema};
use crate::{
    crypto::{PublicKey, hash::sha256, keccak256},
    protobuf::decode_known,
};

/// The id of a message: SHA-256 of `MESSAGE_ID`, the group, the time and the body. It is not the
/// message id of payloads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 32]);

/// Who shares a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 32]);

impl GroupId {
    /// The group of two people: Keccak-256 of their compressed keys, that with the smaller X
    /// first.
    pub fn from_pair(a: &PublicKey, b: &PublicKey) -> Self {
        let (first, second) = if a.x() <= b.x() { (a, b) } else { (b, a) };
        Self(keccak256(&[first.to_compressed(), second.to_compressed()].concat()))
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who shares it.
    pub group_id: GroupId,
    /// When it was queued: UNIX time in seconds.
    pub timestamp: i64,
    /// What it says.
    pub body: Vec<u8>,
}

impl Message {
    /// Its id.
    pub fn id(&self) -> MessageId {
        id_of(&self.group_id.0, self.timestamp, &self.body)
    }

    /// The bytes that a payload holds it in.
    pub fn encode(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }

    /// Reads what [`encode`](Self::encode) wrote; none if it is something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_proto(proto::Message::decode(bytes).ok()?).ok()
    }

    fn to_proto(&self) -> proto::Message {
        proto::Message {
            group_id: self.group_id.0.to_vec(),
            timestamp: self.timestamp,
            body: self.body.clone(),
        }
    }

    fn from_proto(message: proto::Message) -> Result<Self, Stray> {
        let proto::Message { group_id, timestamp, body } = message;
        match group_id.try_into() {
            Ok(id) => Ok(Self { group_id: GroupId(id), timestamp, body }),
            Err(group_id) => Err(Stray { id: id_of(&group_id, timestamp, &body), body }),
        }
    }
}

/// A message whose group id has not 32 bytes, so that it can't be told who shares it. It is never
/// sent; of others it is taken, as the reference does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stray {
    /// Its id, made of the group id as it came.
    pub id: MessageId,
    /// What it says.
    pub body: Vec<u8>,
}

/// What one participant says to another at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// What has come.
    pub acks: Vec<MessageId>,
    /// What could be sent.
    pub offers: Vec<MessageId>,
    /// What is wanted.
    pub requests: Vec<MessageId>,
    /// What is sent.
    pub messages: Vec<Message>,
    /// The same, with a group id that is none; only in what came from others.
    pub strays: Vec<Stray>,
    /// How many acknowledgements, offers and requests were left out on reading, since an id has
    /// 32 bytes.
    pub malformed: usize,
}

impl Payload {
    /// Whether it says nothing. The reference sends such, as no bytes at all: they are no error,
    /// and no answer is due.
    pub fn is_empty(&self) -> bool {
        let ids = self.acks.len() + self.offers.len() + self.requests.len();
        ids + self.messages.len() + self.strays.len() + self.malformed == 0
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let ids = |ids: &[MessageId]| ids.iter().map(|id| id.0.to_vec()).collect();
        let payload = proto::Payload {
            acks: ids(&self.acks),
            offers: ids(&self.offers),
            requests: ids(&self.requests),
            messages: self.messages.iter().map(Message::to_proto).collect(),
        };
        payload.encode_to_vec()
    }

    /// Reads decrypted bytes, if they are data sync: if they decode, and say something. Others
    /// are a payload of Status clients by itself. A known field with another wire type is as good
    /// as unknown.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let payload: proto::Payload = decode_known(&schema::PAYLOAD, bytes).ok()?;
        let mut malformed = 0;
        let mut ids = |ids: Vec<Vec<u8>>| {
            let all = ids.len();
            let ids: Vec<_> =
                ids.into_iter().filter_map(|id| Some(MessageId(id.try_into().ok()?))).collect();
            malformed += all - ids.len();
            ids
        };
        let (acks, offers) = (ids(payload.acks), ids(payload.offers));
        let requests = ids(payload.requests);
        let (mut messages, mut strays) = (Vec::new(), Vec::new());
        for message in payload.messages {
            match Message::from_proto(message) {
                Ok(message) => messages.push(message),
                Err(stray) => strays.push(stray),
            }
        }
        let payload = Self { acks, offers, requests, messages, strays, malformed };
        (!payload.is_empty()).then_some(payload)
    }
}

fn id_of(group_id: &[u8], timestamp: i64, body: &[u8]) -> MessageId {
    let mut input = Vec::with_capacity(10 + group_id.len() + 8 + body.len());
    input.extend_from_slice(b"MESSAGE_ID");
    input.extend_from_slice(group_id);
    input.extend_from_slice(&timestamp.to_le_bytes());
    input.extend_from_slice(body);
    MessageId(sha256(&input))
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

as_hex! { MessageId GroupId }

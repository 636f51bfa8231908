//! One change of a group, signed by who made it.

use prost::Message as _;

pub use crate::payload::proto::membership_update_event::EventType;
use crate::{
    crypto::{
        PublicKey, SecretKey, Signature,
        keccak::{Parts, keccak256_parts},
        keccak256,
    },
    payload::{
        proto::MembershipUpdateEvent,
        schema, types,
        wrapper::{MessageId, PayloadError},
    },
    protobuf::FieldError,
};

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("an event of {0} bytes; the signature alone has 65")]
    TooShort(usize),
    #[error("not a MembershipUpdateEvent: {0}")]
    Protobuf(FieldError),
    #[error("no author can be recovered from the signature of the event")]
    Signature,
}

impl EventError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "group.event_too_short",
            Self::Protobuf(_) => "group.event_protobuf",
            Self::Signature => "group.event_signature",
        }
    }
}

/// The length of the signature in front.
const SIGNATURE: usize = 65;

/// An event with its exact bytes, which its signature is of.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupEvent {
    raw: Vec<u8>,
    fields: MembershipUpdateEvent,
    author: PublicKey,
    author_text: String,
}

impl GroupEvent {
    /// Makes and signs an event of the group `chat_id`.
    pub fn sign(chat_id: &str, fields: MembershipUpdateEvent, author: &SecretKey) -> Self {
        let encoded = fields.encode_to_vec();
        let signature = author.sign_digest(&digest(chat_id, &encoded));
        let raw = [signature.as_bytes(), &*encoded].concat();
        Self::new(raw, fields, author.public_key())
    }

    /// Reads an event of the group `chat_id`: 65 bytes of signature, then the message. With
    /// another chat id, the author is another.
    pub fn decode(chat_id: &str, raw: &[u8]) -> Result<Self, EventError> {
        let (signature, encoded) = raw
            .split_first_chunk::<SIGNATURE>()
            .filter(|(_, encoded)| !encoded.is_empty())
            .ok_or(EventError::TooShort(raw.len()))?;
        let fields =
            types::decode(&schema::MEMBERSHIP_UPDATE_EVENT, encoded).map_err(
                |error| match error {
                    PayloadError::Protobuf { error, .. } => EventError::Protobuf(error),
                    _ => EventError::Signature,
                },
            )?;
        let author = Signature::from_bytes(*signature)
            .recover(&digest(chat_id, encoded))
            .map_err(|_| EventError::Signature)?;
        Ok(Self::new(raw.to_vec(), fields, author))
    }

    fn new(raw: Vec<u8>, fields: MembershipUpdateEvent, author: PublicKey) -> Self {
        Self { raw, fields, author, author_text: author.to_string() }
    }

    /// Signature and message, as they travel.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// `r || s || v`, 65 bytes.
    pub fn signature(&self) -> &[u8] {
        &self.raw[..SIGNATURE]
    }

    /// The message, encoded.
    pub fn encoded(&self) -> &[u8] {
        &self.raw[SIGNATURE..]
    }

    /// Who signed it.
    pub fn author(&self) -> &PublicKey {
        &self.author
    }

    /// Who signed it, as the text that members are listed by.
    pub fn author_text(&self) -> &str {
        &self.author_text
    }

    /// When it happened: milliseconds, by the clock of the chat.
    pub fn clock(&self) -> u64 {
        self.fields.clock
    }

    /// What happened; none if we don't know such events.
    pub fn kind(&self) -> Option<EventType> {
        EventType::try_from(self.fields.r#type).ok()
    }

    /// The number of what happened.
    pub fn kind_number(&self) -> i32 {
        self.fields.r#type
    }

    /// To whom it happened, as texts that may be anything.
    pub fn members(&self) -> &[String] {
        &self.fields.members
    }

    /// The name of the group, of events about it.
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// The id of the message by which a client shows this event in the chat.
    pub fn system_message_id(&self) -> MessageId {
        MessageId(keccak256(self.signature()))
    }

    /// What events are sorted by.
    pub(super) fn order(&self) -> (u64, i32, &[u8]) {
        (self.fields.clock, self.fields.r#type, self.signature())
    }
}

fn digest(chat_id: &str, encoded: &[u8]) -> [u8; 32] {
    keccak256_parts(Parts(chat_id.as_bytes(), encoded, &[]))
}

//! One change of a group, signed by its author.

use prost::Message as _;

pub use crate::payload::proto::membership_update_event::EventType;
use crate::{
    crypto::{
        PublicKey, SecretKey, Signature,
        keccak::{Parts, keccak256_parts},
        keccak256,
    },
    explain::Explanation,
    payload::{MessageId, proto::MembershipUpdateEvent, schema},
    protobuf::{FieldError, decode_known},
};

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Not even a signature.
    #[error("an event of {}; the signature alone has 65", crate::text::count(.0, "byte"))]
    TooShort(usize),
    /// The message after the signature is malformed.
    #[error("not a MembershipUpdateEvent: {0}")]
    Protobuf(FieldError),
    /// The signature recovers no author.
    #[error("no author can be recovered from the signature of the event")]
    Signature,
}

impl EventError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "group.event_too_short",
            Self::Protobuf(_) => "group.event_protobuf",
            Self::Signature => "group.event_signature",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "group.event_too_short",
            rule: "An event is a signature of 65 bytes with an encoded MembershipUpdateEvent behind it.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "The event was cut, or only its message was given.",
        },
        Explanation {
            code: "group.event_protobuf",
            rule: "The signature of an event is followed by a MembershipUpdateEvent.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Damaged bytes, or a signature of another length.",
        },
        Explanation {
            code: "group.event_signature",
            rule: "The author of an event is recovered from its signature r, s, v over the Keccak-256 of the chat id and the encoded event.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "v 27 or 28 instead of 0 or 1.",
        },
    ];
}

/// The length of the signature, which comes first.
const SIGNATURE: usize = 65;

/// An event. Keeps the exact bytes, which its signature covers.
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

    /// Decodes an event of the group `chat_id`: 65 bytes of signature, then the message. Another
    /// chat id recovers another author.
    ///
    /// # Errors
    /// If the bytes are no event, or the signature recovers no author.
    pub fn decode(chat_id: &str, raw: &[u8]) -> Result<Self, EventError> {
        let (signature, encoded) = raw
            .split_first_chunk::<SIGNATURE>()
            .filter(|(_, encoded)| !encoded.is_empty())
            .ok_or(EventError::TooShort(raw.len()))?;
        let fields = decode_known(&schema::MEMBERSHIP_UPDATE_EVENT, encoded)
            .map_err(EventError::Protobuf)?;
        let author = Signature::from_bytes(*signature)
            .recover(&digest(chat_id, encoded))
            .map_err(|_| EventError::Signature)?;
        Ok(Self::new(raw.to_vec(), fields, author))
    }

    fn new(raw: Vec<u8>, fields: MembershipUpdateEvent, author: PublicKey) -> Self {
        Self { raw, fields, author, author_text: author.to_string() }
    }

    /// Returns the bytes as transported: signature and message.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the signature: `r || s || v`, 65 bytes.
    pub fn signature(&self) -> &[u8] {
        &self.raw[..SIGNATURE]
    }

    /// Returns the encoded message.
    pub fn encoded(&self) -> &[u8] {
        &self.raw[SIGNATURE..]
    }

    /// Returns the author.
    pub fn author(&self) -> &PublicKey {
        &self.author
    }

    /// Returns the author in the form used in lists of members.
    pub fn author_text(&self) -> &str {
        &self.author_text
    }

    /// Returns the clock of the event, in milliseconds.
    pub fn clock(&self) -> u64 {
        self.fields.clock
    }

    /// Returns the type of the event. `None` if it is unknown.
    pub fn kind(&self) -> Option<EventType> {
        EventType::try_from(self.fields.r#type).ok()
    }

    /// Returns the number of the event's type.
    pub fn kind_number(&self) -> i32 {
        self.fields.r#type
    }

    /// Returns the affected members. The texts are not checked to be keys.
    pub fn members(&self) -> &[String] {
        &self.fields.members
    }

    /// Returns the name of the group, if the event sets one.
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// Returns the id of the system message that a client shows for the event.
    pub fn system_message_id(&self) -> MessageId {
        MessageId(keccak256(self.signature()))
    }

    /// Returns the key by which events are sorted.
    pub(super) fn order(&self) -> (u64, i32, &[u8]) {
        (self.fields.clock, self.fields.r#type, self.signature())
    }
}

fn digest(chat_id: &str, encoded: &[u8]) -> [u8; 32] {
    keccak256_parts(Parts(chat_id.as_bytes(), encoded, &[]))
}

//! The wrapper of every payload: `ApplicationMetadataMessage`.

use std::fmt;

use prost::Message as _;

use super::proto::ApplicationMetadataMessage;
use crate::crypto::{PublicKey, SecretKey, Signature, keccak256};

pub use super::proto::application_metadata_message::Type;

/// Why bytes are not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not the protobuf message that was expected.
    #[error("not a {what}: {error}")]
    Protobuf {
        /// The name of the message.
        what: &'static str,
        /// What the decoder found.
        error: prost::DecodeError,
    },
    /// The signature can't belong to any author.
    #[error("the wrapper's signature is malformed: expected 65 bytes with v 0 or 1")]
    SignatureFormat,
    /// A chat message that a client would refuse.
    #[error("a client refuses this chat message: {0}")]
    Refused(&'static str),
}

impl PayloadError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protobuf { .. } => "payload.protobuf",
            Self::SignatureFormat => "payload.signature",
            Self::Refused(_) => "payload.refused",
        }
    }
}

/// The id of a message: Keccak-256 of the author's 65-byte key and the wrapper as transported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 32]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// A wrapper, with its exact bytes: the message id is made of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrapper {
    raw: Vec<u8>,
    payload: Vec<u8>,
    kind: i32,
    signed: Option<(Signature, PublicKey)>,
}

impl Wrapper {
    /// Wraps and signs an encoded payload.
    pub fn sign(kind: Type, payload: Vec<u8>, author: &SecretKey) -> Self {
        let signature = author.sign_digest(&keccak256(&payload));
        let message = ApplicationMetadataMessage {
            signature: signature.as_bytes().to_vec(),
            payload,
            r#type: kind.into(),
        };
        Self {
            raw: message.encode_to_vec(),
            payload: message.payload,
            kind: message.r#type,
            signed: Some((signature, author.public_key())),
        }
    }

    /// Reads a wrapper. The signature, if there is one, must recover an author.
    pub fn decode(raw: &[u8]) -> Result<Self, PayloadError> {
        let message = ApplicationMetadataMessage::decode(raw).map_err(|error| {
            PayloadError::Protobuf { what: "ApplicationMetadataMessage", error }
        })?;
        let signed = if message.signature.is_empty() {
            None
        } else {
            let bytes: [u8; 65] =
                message.signature.try_into().map_err(|_| PayloadError::SignatureFormat)?;
            let signature = Signature::from_bytes(bytes);
            let author = signature
                .recover(&keccak256(&message.payload))
                .map_err(|_| PayloadError::SignatureFormat)?;
            Some((signature, author))
        };
        Ok(Self { raw: raw.to_vec(), payload: message.payload, kind: message.r#type, signed })
    }

    /// The bytes as transported.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The payload inside, encoded.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The type of the payload; unknown numbers are kept.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// The name of the type in lower case, as in `chat_message`.
    pub fn kind_name(&self) -> String {
        Type::try_from(self.kind).map_or_else(
            |_| format!("unknown_{}", self.kind),
            |kind| kind.as_str_name().to_ascii_lowercase(),
        )
    }

    /// Who signed the payload.
    pub fn author(&self) -> Option<&PublicKey> {
        self.signed.as_ref().map(|(_, author)| author)
    }

    /// The signature, if there is one.
    pub fn signature(&self) -> Option<&Signature> {
        self.signed.as_ref().map(|(signature, _)| signature)
    }

    /// The id of this message. Without a signature, no author stands in front.
    pub fn message_id(&self) -> MessageId {
        let mut input = Vec::with_capacity(65 + self.raw.len());
        if let Some(author) = self.author() {
            input.extend_from_slice(&author.to_uncompressed());
        }
        input.extend_from_slice(&self.raw);
        MessageId(keccak256(&input))
    }
}

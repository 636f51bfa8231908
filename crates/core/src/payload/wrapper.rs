//! The wrapper of every payload: `ApplicationMetadataMessage`.

use std::fmt;

use prost::Message as _;

pub use super::types::Type;
use super::{
    check::{self, Receipt, Rejection},
    proto::ApplicationMetadataMessage,
    schema, types,
};
use crate::{
    crypto::{PublicKey, SecretKey, Signature, keccak256},
    protobuf::{FieldError, Fields},
};

/// Why bytes are not a payload, or are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not the protobuf message that was expected.
    #[error("not a {what}: {error}")]
    Protobuf {
        /// The name of the message.
        what: &'static str,
        /// What is wrong, and where.
        error: FieldError,
    },
    /// The signature can't belong to any author.
    #[error("the wrapper's signature is malformed: expected 65 bytes with v 0 or 1")]
    SignatureFormat,
    /// A message that a client would refuse.
    #[error("a client refuses this message: {0}")]
    Rejected(Rejection),
}

impl PayloadError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protobuf { .. } => "payload.protobuf",
            Self::SignatureFormat => "payload.signature",
            Self::Rejected(rejection) => rejection.code(),
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
    /// Wraps and signs an encoded payload. The type is not covered by the signature.
    pub fn sign(kind: impl Into<i32>, payload: Vec<u8>, author: &SecretKey) -> Self {
        let signature = author.sign_digest(&keccak256(&payload));
        Self::new(kind.into(), payload, Some((signature, author.public_key())))
    }

    /// Wraps a payload without a signature: its author is whoever signs the envelope.
    pub fn unsigned(kind: impl Into<i32>, payload: Vec<u8>) -> Self {
        Self::new(kind.into(), payload, None)
    }

    /// Wraps a payload with a signature that was made elsewhere, and recovers its author.
    pub fn with_signature(
        kind: impl Into<i32>,
        payload: Vec<u8>,
        signature: [u8; 65],
    ) -> Result<Self, PayloadError> {
        let signed = recover(signature, &payload)?;
        Ok(Self::new(kind.into(), payload, Some(signed)))
    }

    fn new(kind: i32, payload: Vec<u8>, signed: Option<(Signature, PublicKey)>) -> Self {
        let signature = signed.as_ref().map(|(signature, _)| signature.as_bytes().to_vec());
        let message = ApplicationMetadataMessage {
            signature: signature.unwrap_or_default(),
            payload,
            r#type: kind,
        };
        Self { raw: message.encode_to_vec(), payload: message.payload, kind, signed }
    }

    /// Reads a wrapper. The signature, if there is one, must recover an author.
    pub fn decode(raw: &[u8]) -> Result<Self, PayloadError> {
        let message: ApplicationMetadataMessage =
            types::decode(&schema::APPLICATION_METADATA_MESSAGE, raw)?;
        // A signature of no bytes is not the same as none.
        let signed = if message.signature.is_empty() && !has_signature(raw) {
            None
        } else {
            let bytes = message.signature.try_into().map_err(|_| PayloadError::SignatureFormat)?;
            Some(recover(bytes, &message.payload)?)
        };
        Ok(Self { raw: raw.to_vec(), payload: message.payload, kind: message.r#type, signed })
    }

    /// The wrapper in bytes that nothing else says to be one. Without a signature its author is
    /// whoever has signed the envelope, here the author of the `receipt`; but any bytes may look
    /// like that, so then only what clients of March 2020 would take is a wrapper.
    pub fn detect(raw: &[u8], receipt: &Receipt<'_>) -> Option<Self> {
        let wrapper = Self::decode(raw).ok()?;
        let is_taken = wrapper.author().is_some()
            || receipt.author.is_some() && wrapper.is_taken_unsigned(receipt);
        is_taken.then_some(wrapper)
    }

    fn is_taken_unsigned(&self, receipt: &Receipt<'_>) -> bool {
        let is_known = types::PayloadType::from_number(self.kind).is_some_and(|it| it.is_first());
        is_known
            && match self.message() {
                // Its events cost too much to be looked at for a guess.
                Ok(types::PayloadMessage::MembershipUpdateMessage(update)) => {
                    !update.events.is_empty()
                }
                Ok(message) => check::check(&message, receipt).is_ok(),
                Err(_) => false,
            }
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
        types::type_name(self.kind)
    }

    /// The message inside.
    pub fn message(&self) -> Result<types::PayloadMessage, PayloadError> {
        types::PayloadMessage::decode(self.kind, &self.payload)
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

/// Whether a wrapper that decodes has the field of the signature, be it without content.
fn has_signature(raw: &[u8]) -> bool {
    let [signature, ..] = schema::APPLICATION_METADATA_MESSAGE.fields else { return false };
    Fields::new(raw)
        .flatten()
        .any(|field| field.number == signature.number && signature.takes(&field.value))
}

fn recover(signature: [u8; 65], payload: &[u8]) -> Result<(Signature, PublicKey), PayloadError> {
    let signature = Signature::from_bytes(signature);
    let author =
        signature.recover(&keccak256(payload)).map_err(|_| PayloadError::SignatureFormat)?;
    Ok((signature, author))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_without_content_is_none_that_anybody_made() {
        let wrapped = Wrapper::unsigned(8, vec![8, 1]);
        assert_eq!(Wrapper::decode(wrapped.raw()).unwrap().author(), None);
        for empty in [[0x0a, 0].to_vec(), [wrapped.raw(), &[0x0a, 0]].concat()] {
            assert_eq!(Wrapper::decode(&empty), Err(PayloadError::SignatureFormat));
        }
        // Of another wire type, it is not the signature.
        assert!(Wrapper::decode(&[0x08, 0]).is_ok());
    }
}

//! The wrapper of every payload: `ApplicationMetadataMessage`.

use prost::Message as _;

use super::{
    MessageId, PayloadError, PayloadMessage,
    check::{self, Receipt},
    proto::ApplicationMetadataMessage,
    schema,
    types::{self, PayloadType},
};
use crate::{
    crypto::{PublicKey, SecretKey, Signature, keccak256},
    protobuf::Fields,
};

/// A payload with its type and signature. Keeps the exact bytes, which the message id is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrapper {
    raw: Vec<u8>,
    payload: Vec<u8>,
    kind: i32,
    signed: Option<(Signature, PublicKey)>,
}

impl Wrapper {
    /// Wraps and signs an encoded payload. The signature does not cover the type.
    pub fn sign(kind: impl Into<i32>, payload: Vec<u8>, author: &SecretKey) -> Self {
        let signature = author.sign_digest(&keccak256(&payload));
        Self::new(kind.into(), payload, Some((signature, author.public_key())))
    }

    /// Wraps a payload without a signature. Its author is the signer of the envelope.
    pub fn unsigned(kind: impl Into<i32>, payload: Vec<u8>) -> Self {
        Self::new(kind.into(), payload, None)
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

    /// Decodes a wrapper. A signature, if there is one, must recover an author.
    ///
    /// # Errors
    /// If the bytes are no wrapper, or the signature recovers no key.
    pub fn decode(raw: &[u8]) -> Result<Self, PayloadError> {
        let message: ApplicationMetadataMessage =
            types::decode(&schema::APPLICATION_METADATA_MESSAGE, raw)?;
        // An empty signature is malformed; a missing one is not.
        let signed = if message.signature.is_empty() && !has_signature(raw) {
            None
        } else {
            let bytes = message.signature.try_into().map_err(|_| PayloadError::SignatureFormat)?;
            Some(recover(bytes, &message.payload)?)
        };
        Ok(Self { raw: raw.to_vec(), payload: message.payload, kind: message.r#type, signed })
    }

    /// Decodes bytes that may be a wrapper or anything else.
    ///
    /// The author of an unsigned wrapper is the signer of the envelope, the author of the
    /// `receipt`. Since any bytes may look like one, it must be what clients of March 2020 accept.
    pub fn detect(raw: &[u8], receipt: &Receipt<'_>) -> Option<Self> {
        let wrapper = Self::decode(raw).ok()?;
        let is_wrapper = wrapper.author().is_some()
            || receipt.author.is_some() && wrapper.is_accepted_unsigned(receipt);
        is_wrapper.then_some(wrapper)
    }

    fn is_accepted_unsigned(&self, receipt: &Receipt<'_>) -> bool {
        let is_known = PayloadType::from_number(self.kind).is_some_and(|it| it.is_first());
        is_known
            && match self.message() {
                // Checking the events would cost too much for a guess.
                Ok(PayloadMessage::MembershipUpdateMessage(update)) => !update.events.is_empty(),
                Ok(message) => check::check(&message, receipt).is_ok(),
                Err(_) => false,
            }
    }

    /// Returns the bytes as transported.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the encoded payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the number of the payload's type, known or not.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// Returns the name of the payload's type, such as `chat_message`.
    pub fn kind_name(&self) -> String {
        types::type_name(self.kind)
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// If it is not the message that its type has.
    pub fn message(&self) -> Result<PayloadMessage, PayloadError> {
        PayloadMessage::decode(self.kind, &self.payload)
    }

    /// Returns the signer of the payload.
    pub fn author(&self) -> Option<&PublicKey> {
        self.signed.as_ref().map(|(_, author)| author)
    }

    /// Returns the signature of the payload.
    pub fn signature(&self) -> Option<&Signature> {
        self.signed.as_ref().map(|(signature, _)| signature)
    }

    /// Whether the signature has an `s` in the upper half of its range. Everyone accepts it, but anyone
    /// can turn the usual one into it: then the same message has another [id](Self::message_id).
    pub fn has_high_s(&self) -> bool {
        /// Half of the order of the group.
        const HALF: [u8; 32] = [
            0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46,
            0x68, 0x1b, 0x20, 0xa0,
        ];
        self.signature().is_some_and(|signature| signature.as_bytes()[32..64] > HALF[..])
    }

    /// Returns the id of the message. Without a signature it is made without an author.
    pub fn message_id(&self) -> MessageId {
        let mut input = Vec::with_capacity(65 + self.raw.len());
        if let Some(author) = self.author() {
            input.extend_from_slice(&author.to_uncompressed());
        }
        input.extend_from_slice(&self.raw);
        MessageId(keccak256(&input))
    }
}

/// Returns whether a valid wrapper has the signature's field, even an empty one.
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
    fn an_empty_signature_is_malformed() {
        let wrapped = Wrapper::unsigned(8, vec![8, 1]);
        assert_eq!(Wrapper::decode(wrapped.raw()).unwrap().author(), None);
        for empty in [[0x0a, 0].to_vec(), [wrapped.raw(), &[0x0a, 0]].concat()] {
            assert_eq!(Wrapper::decode(&empty), Err(PayloadError::SignatureFormat));
        }
        // A field of another wire type is not the signature.
        assert!(Wrapper::decode(&[0x08, 0]).is_ok());
    }
}

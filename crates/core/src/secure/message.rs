//! The protocol message: the payload of an envelope as the secure transport writes it.
//!
//! | kind | form |
//! | --- | --- |
//! | direct | the sender's bundle, and a per-device message for each recipient installation |
//! | without a session | the sender's bundle, and one message under `none`, encrypted to the identity |
//! | contact code | the sender's bundle only |
//! | public, from older clients | a cleartext payload |
//!
//! Messages of public chats have no such wrapper. Bytes that don't decode here, or that decode to
//! an empty message, go to the next layer unchanged. Source: Status, "Secure transport".

use prost::Message as _;

use super::{
    bundle::MAX_INSTALLATION_ID,
    key::{BundleId, CompressedKey},
    proto,
    ratchet::{RatchetHeader, RatchetKey},
    schema,
};
use crate::{
    crypto::KeyError,
    explain::Explanation,
    protobuf::{FieldError, decode_known},
};

/// The map key of the message that is encrypted to the identity.
pub(super) const NO_INSTALLATION: &str = "none";

/// Maximum number of bundles in a message. Clients write one.
const MAX_BUNDLES: usize = 16;

/// Why bytes are not a protocol message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The protobuf message does not decode.
    #[error("not a ProtocolMessage: {0}")]
    Protobuf(#[from] FieldError),
    /// The message has too many bundles.
    #[error("the message has {0} bundles; at most {MAX_BUNDLES} are allowed")]
    TooManyBundles(usize),
    /// The sender's installation id is too long.
    #[error(
        "the sender's installation id has {0} bytes; at most {MAX_INSTALLATION_ID} are allowed"
    )]
    InstallationId(usize),
}

impl MessageError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protobuf(_) => "secure.protobuf",
            Self::TooManyBundles(_) => "secure.too_many_bundles",
            Self::InstallationId(_) => "secure.installation_id",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "secure.protobuf",
            rule: "A message of the secure transport is a ProtocolMessage with fields 2, 3, 101 and 102.",
            source: "Status specifications, Secure transport",
            causes: "It is a message of a public chat, whose payload is not wrapped like this.",
        },
        Explanation {
            code: "secure.too_many_bundles",
            rule: "Clients put one bundle into a message; 16 are accepted here.",
            source: "tools",
            causes: "Made by something that is not a client.",
        },
        Explanation {
            code: "secure.installation_id",
            rule: "Clients make installation ids of 36 characters; 256 bytes are accepted here.",
            source: "tools",
            causes: "Made by something that is not a client.",
        },
    ];
}

/// A protocol message with its exact bytes. Maps and unknown fields have more than one encoding, so
/// the received bytes are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtocolMessage {
    raw: Vec<u8>,
    fields: proto::ProtocolMessage,
}

impl ProtocolMessage {
    /// Encodes a message. Maps are sorted by key.
    pub fn new(fields: proto::ProtocolMessage) -> Self {
        Self { raw: fields.encode_to_vec(), fields }
    }

    /// Decodes a message. Skips unknown fields, and known fields of another wire type unless they
    /// are maps.
    ///
    /// # Errors
    ///
    /// If the bytes are not a protocol message, or exceed a limit.
    pub fn decode(raw: &[u8]) -> Result<Self, MessageError> {
        let fields: proto::ProtocolMessage = decode_known(&schema::PROTOCOL_MESSAGE, raw)?;
        if fields.bundles.len() > MAX_BUNDLES {
            return Err(MessageError::TooManyBundles(fields.bundles.len()));
        }
        if fields.installation_id.len() > MAX_INSTALLATION_ID {
            return Err(MessageError::InstallationId(fields.installation_id.len()));
        }
        Ok(Self { raw: raw.to_vec(), fields })
    }

    /// Returns the bytes, as received or as encoded.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the bytes without copying them.
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// Returns the decoded fields.
    pub fn fields(&self) -> &proto::ProtocolMessage {
        &self.fields
    }

    /// Returns the protocol version of the sending installation: from the first bundle with
    /// prekeys, or 0.
    pub(super) fn sender_version(&self) -> u32 {
        let sender = &self.fields.installation_id;
        if sender.is_empty() {
            return 0;
        }
        let mut bundles = self.fields.bundles.iter();
        let first = bundles.find(|bundle| !bundle.signed_pre_keys.is_empty());
        first
            .and_then(|bundle| bundle.signed_pre_keys.get(sender))
            .map_or(0, |prekey| prekey.protocol_version)
    }
}

impl proto::DrHeader {
    pub(super) fn new(header: &RatchetHeader, bundle: &BundleId) -> Self {
        Self {
            key: header.key.as_bytes().to_vec(),
            n: header.n,
            pn: header.pn,
            id: bundle.as_bytes().to_vec(),
        }
    }

    /// Splits into the ratchet header, and the id of the bundle that started the session.
    pub(super) fn parts(&self) -> Result<(RatchetHeader, BundleId), KeyError> {
        let key = RatchetKey::from(CompressedKey::from_slice(&self.key)?);
        let id = BundleId::from_slice(&self.id)?;
        Ok((RatchetHeader { key, n: self.n, pn: self.pn }, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_bundles_are_rejected() {
        let bundles = vec![proto::Bundle::default(); MAX_BUNDLES + 1];
        let fields = proto::ProtocolMessage { bundles, ..Default::default() };
        let raw = fields.encode_to_vec();
        assert_eq!(ProtocolMessage::decode(&raw), Err(MessageError::TooManyBundles(17)));
    }

    #[test]
    fn a_field_of_another_wire_type_is_unknown() {
        for raw in [&[0x18, 1][..], &[0x10, 5], &[0x1a, 2, 8, 1]] {
            assert!(ProtocolMessage::decode(raw).is_ok(), "{raw:?}");
        }
        // Nested ones too. The other fields are decoded.
        let id = |raw: &[u8]| ProtocolMessage::decode(raw).map(|it| it.fields.installation_id);
        assert_eq!(id(&[0x18, 1, 0x12, 1, b'a', 0x1a, 2, 0x2a, 0]), Ok("a".to_owned()));
        // Invalid UTF-8 and truncated fields are still errors.
        assert!(id(&[0x18, 1, 0x12, 1, 0xff]).is_err());
        assert!(id(&[0x18, 1, 0x12, 2, b'a']).is_err());
        // In place of a map, in the message or in a bundle, it is an error.
        for raw in [&[0xa8, 6, 1][..], &[0x1a, 2, 0x10, 1]] {
            assert_eq!(ProtocolMessage::decode(raw).unwrap_err().code(), "secure.protobuf");
        }
    }

    #[test]
    fn the_version_is_that_of_the_first_bundle_with_prekeys() {
        let with = |id: &str, protocol_version| proto::Bundle {
            signed_pre_keys: [(
                id.to_owned(),
                proto::SignedPreKey { protocol_version, ..Default::default() },
            )]
            .into(),
            ..Default::default()
        };
        let version = |bundles| {
            let installation_id = "a".to_owned();
            let fields = proto::ProtocolMessage { installation_id, bundles, ..Default::default() };
            ProtocolMessage::new(fields).sender_version()
        };
        assert_eq!(version(vec![]), 0);
        assert_eq!(version(vec![proto::Bundle::default(), with("a", 3)]), 3);
        assert_eq!(version(vec![with("b", 1), with("a", 1)]), 0);
    }
}

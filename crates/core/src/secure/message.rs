//! The protocol message: what the secure transport puts into an envelope's payload.
//!
//! | kind | form |
//! | --- | --- |
//! | direct | the sender's bundle, and a part for each installation that it is for |
//! | without a session | the sender's bundle, and one part under `none`, encrypted to the identity |
//! | contact code | the sender's bundle only |
//! | public, of older clients | a payload in clear |
//!
//! Messages of public chats are not wrapped like this: what does not decode here, or carries
//! nothing, goes on to the next layer as it is. Source: Status, "Secure transport".

use prost::Message as _;

use super::{
    bundle::MAX_INSTALLATION_ID,
    key::{BundleId, CompressedKey},
    proto,
    ratchet::Header,
    schema,
};
use crate::{
    crypto::KeyError,
    protobuf::{FieldError, decode_known},
};

/// The place of the part that is encrypted to the identity.
pub const NO_INSTALLATION: &str = "none";

/// How many bundles a message may carry. Clients write one.
pub const MAX_BUNDLES: usize = 16;

/// Why bytes are not a protocol message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the protobuf message.
    #[error("not a ProtocolMessage: {0}")]
    Protobuf(#[from] FieldError),
    /// More bundles than anyone sends.
    #[error("the message carries {0} bundles; at most {MAX_BUNDLES} are taken")]
    TooManyBundles(usize),
    /// An installation id longer than any that is in use.
    #[error("the sender's installation id has {0} bytes; at most {MAX_INSTALLATION_ID} are taken")]
    InstallationId(usize),
}

impl MessageError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protobuf(_) => "secure.protobuf",
            Self::TooManyBundles(_) => "secure.too_many_bundles",
            Self::InstallationId(_) => "secure.installation_id",
        }
    }
}

/// A protocol message with its exact bytes: maps and unknown fields may be written in more than
/// one way, so what was received is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtocolMessage {
    raw: Vec<u8>,
    fields: proto::ProtocolMessage,
}

impl ProtocolMessage {
    /// Encodes a message. Maps are written in the order of their keys.
    pub fn new(fields: proto::ProtocolMessage) -> Self {
        Self { raw: fields.encode_to_vec(), fields }
    }

    /// Reads a message; unknown fields are skipped, and so are known ones of another wire type,
    /// but for maps.
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

    /// The bytes, as received or as encoded.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes, without a copy.
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// What they say.
    pub fn fields(&self) -> &proto::ProtocolMessage {
        &self.fields
    }

    /// The protocol version that the sending installation announces: what the first bundle with
    /// pre keys says of it, or 0.
    pub fn sender_version(&self) -> u32 {
        let sender = &self.fields.installation_id;
        if sender.is_empty() {
            return 0;
        }
        let mut bundles = self.fields.bundles.iter();
        let first = bundles.find(|bundle| !bundle.signed_pre_keys.is_empty());
        first
            .and_then(|bundle| bundle.signed_pre_keys.get(sender))
            .map_or(0, |pre_key| pre_key.protocol_version)
    }
}

impl proto::DrHeader {
    pub(crate) fn new(header: &Header, bundle: &BundleId) -> Self {
        Self {
            key: header.key.as_bytes().to_vec(),
            n: header.n,
            pn: header.pn,
            id: bundle.as_bytes().to_vec(),
        }
    }

    /// The ratchet's part of the header, and the bundle that names the session.
    pub fn parts(&self) -> Result<(Header, BundleId), KeyError> {
        let key = CompressedKey::from_slice(&self.key)?;
        let id = BundleId::from_slice(&self.id)?;
        Ok((Header { key, n: self.n, pn: self.pn }, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_bundles_are_refused() {
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
        // Inside of others, too; the rest is read.
        let id = |raw: &[u8]| ProtocolMessage::decode(raw).map(|it| it.fields.installation_id);
        assert_eq!(id(&[0x18, 1, 0x12, 1, b'a', 0x1a, 2, 0x2a, 0]), Ok("a".to_owned()));
        // Text that is none, and what is cut, are as bad as ever.
        assert!(id(&[0x18, 1, 0x12, 1, 0xff]).is_err());
        assert!(id(&[0x18, 1, 0x12, 2, b'a']).is_err());
        // In the place of a map, in the message or in a bundle, it is an error.
        for raw in [&[0xa8, 6, 1][..], &[0x1a, 2, 0x10, 1]] {
            assert_eq!(ProtocolMessage::decode(raw).unwrap_err().code(), "secure.protobuf");
        }
    }

    #[test]
    fn the_version_is_that_of_the_first_bundle_with_pre_keys() {
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

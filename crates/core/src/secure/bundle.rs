//! Bundles: the signed pre keys by which the devices of a user can be written to.
//!
//! | step | rule |
//! | --- | --- |
//! | material | for each installation in the order of its id: id, pre key (33 bytes), version in decimal; then the timestamp in decimal, unless it is 0 |
//! | signature | of the Keccak-256 of the material, by the identity key: r, s, v (0 or 1) |
//! | check | the signature recovers the identity |
//!
//! Neither the identity nor the protocol versions are covered. Source: Status, "Secure transport",
//! "Bundles"; that the timestamp is signed is what clients do, the document leaves it out.

use std::collections::BTreeMap;

use super::{
    key::{CompressedKey, KeyPair},
    proto::{self, SignedPreKey},
    schema,
    time::Timestamp,
};
use crate::{
    account::InstallationId,
    crypto::{KeyError, PublicKey, Signature, keccak256},
    protobuf::{FieldError, decode_known},
};

/// How many installations a bundle may list. Clients write three at most.
pub const MAX_INSTALLATIONS: usize = 64;
/// How long an installation id may be, in bytes. Those of clients have 36.
pub const MAX_INSTALLATION_ID: usize = 256;

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The identity is not a compressed key.
    #[error("the bundle's identity is not a compressed public key: {0}")]
    Identity(KeyError),
    /// Not 65 bytes, or a `v` other than 0 and 1.
    #[error("the bundle's signature is malformed: expected 65 bytes with v 0 or 1")]
    SignatureFormat,
    /// Signed by somebody else, or changed afterwards.
    #[error("the bundle's signature is not one of its identity over this content")]
    Signature,
    /// A pre key that no agreement could use. The signature may be good all the same.
    #[error("the pre key of installation {installation:?} is not a compressed public key: {error}")]
    PreKey {
        /// Whose.
        installation: String,
        /// What is wrong.
        error: KeyError,
    },
    /// More installations than anyone has.
    #[error("the bundle lists {0} installations; at most {MAX_INSTALLATIONS} are taken")]
    TooManyInstallations(usize),
    /// An installation id longer than any that is in use.
    #[error("an installation id has {0} bytes; at most {MAX_INSTALLATION_ID} are taken")]
    InstallationId(usize),
}

impl BundleError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Identity(_) => "bundle.identity",
            Self::SignatureFormat => "bundle.signature_format",
            Self::Signature => "bundle.signature",
            Self::PreKey { .. } => "bundle.pre_key",
            Self::TooManyInstallations(_) => "bundle.too_many_installations",
            Self::InstallationId(_) => "bundle.installation_id",
        }
    }
}

/// What a bundle says about one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreKey {
    /// The public pre key, a point of the curve.
    pub key: CompressedKey,
    /// Counts the pre keys of the installation, from 1.
    pub version: u32,
    /// What the installation can do: 1 or more means that secrets can be negotiated.
    pub protocol_version: u32,
}

/// A bundle whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    /// Who signed it.
    pub identity: PublicKey,
    /// By installation; may be empty.
    pub pre_keys: BTreeMap<InstallationId, PreKey>,
    /// The installations whose pre keys are no points: they are signed, but nothing can be sent
    /// to them.
    pub unusable: BTreeMap<InstallationId, KeyError>,
    /// When it was signed.
    pub timestamp: Timestamp,
}

impl VerifiedBundle {
    /// The bundle, if all of its pre keys can be used.
    pub fn all_usable(self) -> Result<Self, BundleError> {
        match self.unusable.into_iter().next() {
            Some((id, error)) => Err(BundleError::PreKey { installation: id.to_string(), error }),
            None => Ok(Self { unusable: BTreeMap::new(), ..self }),
        }
    }
}

/// Makes and signs the bundle of `identity` with these pre keys.
pub fn sign(
    identity: &KeyPair,
    pre_keys: &BTreeMap<InstallationId, PreKey>,
    timestamp: Timestamp,
) -> proto::Bundle {
    let entry = |(id, pre_key): (&InstallationId, &PreKey)| {
        let signed_pre_key = pre_key.key.as_bytes().to_vec();
        let PreKey { version, protocol_version, .. } = *pre_key;
        (id.as_str().to_owned(), SignedPreKey { signed_pre_key, version, protocol_version })
    };
    let mut bundle = proto::Bundle {
        identity: identity.public().as_bytes().to_vec(),
        signed_pre_keys: pre_keys.iter().map(entry).collect(),
        signature: Vec::new(),
        timestamp: timestamp.0,
    };
    let signature = identity.secret().sign_digest(&signing_hash(&bundle));
    bundle.signature = signature.as_bytes().to_vec();
    bundle
}

/// What is hashed and signed.
pub fn signature_material(bundle: &proto::Bundle) -> Vec<u8> {
    let mut material = Vec::with_capacity(128);
    for (id, pre_key) in &bundle.signed_pre_keys {
        material.extend_from_slice(id.as_bytes());
        material.extend_from_slice(&pre_key.signed_pre_key);
        material.extend_from_slice(pre_key.version.to_string().as_bytes());
    }
    if bundle.timestamp != 0 {
        material.extend_from_slice(bundle.timestamp.to_string().as_bytes());
    }
    material
}

/// The Keccak-256 of [`signature_material`].
pub fn signing_hash(bundle: &proto::Bundle) -> [u8; 32] {
    keccak256(&signature_material(bundle))
}

/// Reads a bundle as the reference does: a known field with another wire type is as good as
/// unknown, but for the map.
pub fn decode(bytes: &[u8]) -> Result<proto::Bundle, FieldError> {
    decode_known(&schema::BUNDLE, bytes)
}

/// Checks that the identity has signed. Nothing of a bundle is to be used before. Pre keys that
/// are no points don't make it bad, as with the reference: they are set apart.
pub fn verify(bundle: &proto::Bundle) -> Result<VerifiedBundle, BundleError> {
    let identity = CompressedKey::from_slice(&bundle.identity).and_then(|key| key.point());
    let identity = identity.map_err(BundleError::Identity)?;
    let count = bundle.signed_pre_keys.len();
    if count > MAX_INSTALLATIONS {
        return Err(BundleError::TooManyInstallations(count));
    }
    let (mut pre_keys, mut unusable) = (BTreeMap::new(), BTreeMap::new());
    for (id, entry) in &bundle.signed_pre_keys {
        if id.len() > MAX_INSTALLATION_ID {
            return Err(BundleError::InstallationId(id.len()));
        }
        let key = CompressedKey::from_slice(&entry.signed_pre_key)
            .and_then(|key| key.point().map(|_| key));
        let SignedPreKey { version, protocol_version, .. } = *entry;
        let id = InstallationId::new(id);
        match key {
            Ok(key) => _ = pre_keys.insert(id, PreKey { key, version, protocol_version }),
            Err(error) => _ = unusable.insert(id, error),
        }
    }
    let signature: [u8; 65] =
        bundle.signature.as_slice().try_into().map_err(|_| BundleError::SignatureFormat)?;
    if signature[64] > 1 {
        return Err(BundleError::SignatureFormat);
    }
    let signer = Signature::from_bytes(signature).recover(&signing_hash(bundle));
    if signer != Ok(identity) {
        return Err(BundleError::Signature);
    }
    Ok(VerifiedBundle { identity, pre_keys, unusable, timestamp: Timestamp(bundle.timestamp) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::crypto::seeded_rng;

    fn bundle() -> proto::Bundle {
        let mut rng = seeded_rng("bundle");
        let identity = KeyPair::generate(&mut rng);
        let mut pre_key = |version| {
            let key = KeyPair::generate(&mut rng).public();
            PreKey { key, version, protocol_version: 1 }
        };
        let pre_keys =
            [("b", 2), ("a", 1)].map(|(id, n)| (InstallationId::new(id), pre_key(n))).into();
        sign(&identity, &pre_keys, Timestamp(7))
    }

    #[test]
    fn what_was_signed_verifies() {
        let bundle = bundle();
        let verified = verify(&bundle).unwrap();
        assert_eq!(verified.timestamp, Timestamp(7));
        assert_eq!(verified.pre_keys.len(), 2);
        assert_eq!(verified.pre_keys[&InstallationId::new("b")].version, 2);
        // The ids in byte order, whatever order they were given in.
        assert!(signature_material(&bundle).starts_with(b"a"));
        assert!(signature_material(&bundle).ends_with(b"27"));
    }

    #[test]
    fn a_field_of_another_wire_type_is_unknown() {
        let bundle = bundle();
        let raw = bundle.encode_to_vec();
        // Field 1 as a number, before and after.
        let odd = [&[8, 1], &*raw, &[8, 1]].concat();
        assert!(proto::Bundle::decode(&*odd).is_err());
        assert_eq!(decode(&odd), Ok(bundle));
        assert!(decode(&raw[..raw.len() - 1]).is_err());
    }

    #[test]
    fn every_field_wrong_in_turn() {
        type Change = fn(&mut proto::Bundle);
        let entry: fn(&mut proto::Bundle) -> &mut SignedPreKey =
            |bundle| bundle.signed_pre_keys.get_mut("a").unwrap();
        let cases: [(Change, &str); 12] = [
            (|b| b.identity.clear(), "bundle.identity"),
            (|b| b.identity[0] = 4, "bundle.identity"),
            (|b| b.identity[1..].fill(0), "bundle.identity"),
            (|b| b.signature.truncate(64), "bundle.signature_format"),
            (|b| b.signature[64] += 27, "bundle.signature_format"),
            (|b| b.signature[64] ^= 1, "bundle.signature"),
            (|b| b.signature[0] ^= 1, "bundle.signature"),
            (|b| b.timestamp += 1, "bundle.signature"),
            (|b| _ = b.signed_pre_keys.remove("b"), "bundle.signature"),
            (|b| b.signed_pre_keys.get_mut("a").unwrap().version = 9, "bundle.signature"),
            (
                |b| b.signed_pre_keys.get_mut("a").unwrap().signed_pre_key = vec![5; 33],
                "bundle.signature",
            ),
            (
                |b| _ = b.signed_pre_keys.insert("x".repeat(257), SignedPreKey::default()),
                "bundle.installation_id",
            ),
        ];
        for (index, (change, code)) in cases.into_iter().enumerate() {
            let mut bundle = bundle();
            change(&mut bundle);
            assert_eq!(verify(&bundle).unwrap_err().code(), code, "case {index}");
        }
        let mut many = bundle();
        let pre_key = entry(&mut many).clone();
        many.signed_pre_keys.extend((0..64).map(|n| (n.to_string(), pre_key.clone())));
        assert_eq!(verify(&many), Err(BundleError::TooManyInstallations(66)));
        // Signed, but no point: only that installation can't be written to.
        for bytes in [vec![5; 33], vec![2; 32], Vec::new()] {
            let mut bundle = bundle();
            entry(&mut bundle).signed_pre_key = bytes;
            let identity = KeyPair::generate(&mut seeded_rng("bundle"));
            let signature = identity.secret().sign_digest(&signing_hash(&bundle));
            bundle.signature = signature.as_bytes().to_vec();
            let verified = verify(&bundle).unwrap();
            let ids = |id| vec![InstallationId::new(id)];
            assert_eq!(verified.pre_keys.keys().cloned().collect::<Vec<_>>(), ids("b"));
            assert_eq!(verified.unusable.keys().cloned().collect::<Vec<_>>(), ids("a"));
            assert_eq!(verified.all_usable().unwrap_err().code(), "bundle.pre_key");
        }
        // Not covered by the signature.
        let mut newer = bundle();
        entry(&mut newer).protocol_version = 9;
        assert!(verify(&newer).is_ok());
    }
}

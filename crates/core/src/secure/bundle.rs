//! Bundles: the signed prekeys of a user's devices. Others need them to start sessions.
//!
//! | step | rule |
//! | --- | --- |
//! | material | for each installation, sorted by id: id, prekey (33 bytes), version in decimal; then the timestamp in decimal, unless it is 0 |
//! | signature | by the identity key, of the Keccak-256 of the material: r, s, v (0 or 1) |
//! | check | the signature recovers the identity |
//!
//! The signature covers neither the identity nor the protocol versions. Source: Status, "Secure
//! transport", "Bundles". Clients sign the timestamp too; the document does not mention it.

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
    explain::Explanation,
    protobuf::{FieldError, decode_known},
};

/// Maximum number of installations in a bundle. Clients write at most three.
const MAX_INSTALLATIONS: usize = 64;
/// Maximum length of an installation id, in bytes. Clients write 36.
pub(super) const MAX_INSTALLATION_ID: usize = 256;

/// Why a bundle is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The identity is not a compressed key.
    #[error("the bundle's identity is not a compressed public key: {0}")]
    Identity(KeyError),
    /// The signature does not have 65 bytes, or its `v` is not 0 or 1.
    #[error("the bundle's signature is malformed: expected 65 bytes with v 0 or 1")]
    SignatureFormat,
    /// The bundle was signed by another identity, or changed afterwards.
    #[error("the bundle's signature does not match its identity and content")]
    Signature,
    /// A prekey is not a point of the curve. The signature is valid nevertheless.
    #[error("the prekey of installation {installation:?} is not a compressed public key: {error}")]
    Prekey {
        /// The installation of the prekey.
        installation: String,
        /// The cause.
        error: KeyError,
    },
    /// The bundle lists too many installations.
    #[error("the bundle lists {0} installations; at most {MAX_INSTALLATIONS} are allowed")]
    TooManyInstallations(usize),
    /// An installation id is too long.
    #[error("an installation id has {0} bytes; at most {MAX_INSTALLATION_ID} are allowed")]
    InstallationId(usize),
}

impl BundleError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Identity(_) => "bundle.identity",
            Self::SignatureFormat => "bundle.signature_format",
            Self::Signature => "bundle.signature",
            Self::Prekey { .. } => "bundle.pre_key",
            Self::TooManyInstallations(_) => "bundle.too_many_installations",
            Self::InstallationId(_) => "bundle.installation_id",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "bundle.identity",
            rule: "The identity of a bundle is a compressed public key: 33 bytes, a point of secp256k1.",
            source: "Status specifications, Secure transport, Bundles",
            causes: "An uncompressed key, or other bytes.",
        },
        Explanation {
            code: "bundle.signature_format",
            rule: "The signature of a bundle has 65 bytes: r, s, and v, which is 0 or 1.",
            source: "Status specifications, Secure transport, Bundles",
            causes: "v is 27 or 28, or missing.",
        },
        Explanation {
            code: "bundle.signature",
            rule: "The signature is the identity's over the Keccak-256 of ids, pre keys and versions, in the order of the ids, and the timestamp in decimal.",
            source: "Status specifications, Secure transport, Bundles; the timestamp is signed by clients, the document leaves it out",
            causes: "The bundle was changed, or signed by another key.",
        },
        Explanation {
            code: "bundle.pre_key",
            rule: "A signed pre key is a compressed public key: 33 bytes, a point of secp256k1.",
            source: "Status specifications, Secure transport, Bundles",
            causes: "A key of another curve; the document names Curve25519, clients use secp256k1.",
        },
        Explanation {
            code: "bundle.too_many_installations",
            rule: "Clients list at most three installations in a bundle; 64 are accepted here.",
            source: "tools",
            causes: "Made by something that is not a client.",
        },
        Explanation {
            code: "bundle.installation_id",
            rule: "Clients make installation ids of 36 characters; 256 bytes are accepted here.",
            source: "tools",
            causes: "Made by something that is not a client.",
        },
    ];
}

/// The prekey of one installation, as a bundle lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prekey {
    /// The public prekey, a point of the curve.
    pub key: CompressedKey,
    /// The number of this prekey among those of the installation, from 1.
    pub version: u32,
    /// The protocol version of the installation. From 1 on, it can negotiate secrets.
    pub protocol_version: u32,
}

/// A bundle with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    /// The signer.
    pub identity: PublicKey,
    /// The prekeys by installation. May be empty.
    pub prekeys: BTreeMap<InstallationId, Prekey>,
    /// The installations whose signed prekeys are not points of the curve. They can't be sent to.
    pub unusable: BTreeMap<InstallationId, KeyError>,
    /// The time of signing.
    pub timestamp: Timestamp,
}

impl VerifiedBundle {
    /// Rejects a bundle with an unusable prekey.
    ///
    /// # Errors
    ///
    /// If a prekey is not a point of the curve.
    pub fn all_usable(self) -> Result<Self, BundleError> {
        match self.unusable.into_iter().next() {
            Some((id, error)) => Err(BundleError::Prekey { installation: id.to_string(), error }),
            None => Ok(Self { unusable: BTreeMap::new(), ..self }),
        }
    }
}

/// Signs a bundle of `identity` with these prekeys.
pub fn sign(
    identity: &KeyPair,
    prekeys: &BTreeMap<InstallationId, Prekey>,
    timestamp: Timestamp,
) -> proto::Bundle {
    let entry = |(id, prekey): (&InstallationId, &Prekey)| {
        let signed_pre_key = prekey.key.as_bytes().to_vec();
        let Prekey { version, protocol_version, .. } = *prekey;
        (id.as_str().to_owned(), SignedPreKey { signed_pre_key, version, protocol_version })
    };
    let mut bundle = proto::Bundle {
        identity: identity.public().as_bytes().to_vec(),
        signed_pre_keys: prekeys.iter().map(entry).collect(),
        signature: Vec::new(),
        timestamp: timestamp.0,
    };
    let signature = identity.secret().sign_digest(&signing_hash(&bundle));
    bundle.signature = signature.as_bytes().to_vec();
    bundle
}

/// Returns the bytes that are hashed and signed.
pub fn signature_material(bundle: &proto::Bundle) -> Vec<u8> {
    let mut material = Vec::with_capacity(128);
    for (id, prekey) in &bundle.signed_pre_keys {
        material.extend_from_slice(id.as_bytes());
        material.extend_from_slice(&prekey.signed_pre_key);
        material.extend_from_slice(prekey.version.to_string().as_bytes());
    }
    if bundle.timestamp != 0 {
        material.extend_from_slice(bundle.timestamp.to_string().as_bytes());
    }
    material
}

/// Returns the Keccak-256 of [`signature_material`].
pub fn signing_hash(bundle: &proto::Bundle) -> [u8; 32] {
    keccak256(&signature_material(bundle))
}

/// Decodes a bundle as the reference does: skips known fields of another wire type, unless they
/// are maps.
///
/// # Errors
///
/// If the bytes are not a bundle.
pub fn decode(bytes: &[u8]) -> Result<proto::Bundle, FieldError> {
    decode_known(&schema::BUNDLE, bytes)
}

/// Checks the signature. Nothing of a bundle may be used before. As in the reference, prekeys that
/// are not points of the curve don't invalidate the bundle; they are listed as unusable.
///
/// # Errors
///
/// If the bundle exceeds a limit, or its signature is malformed or does not match.
pub fn verify(bundle: &proto::Bundle) -> Result<VerifiedBundle, BundleError> {
    let identity = CompressedKey::from_slice(&bundle.identity).and_then(|key| key.point());
    let identity = identity.map_err(BundleError::Identity)?;
    let count = bundle.signed_pre_keys.len();
    if count > MAX_INSTALLATIONS {
        return Err(BundleError::TooManyInstallations(count));
    }
    let (mut prekeys, mut unusable) = (BTreeMap::new(), BTreeMap::new());
    for (id, entry) in &bundle.signed_pre_keys {
        if id.len() > MAX_INSTALLATION_ID {
            return Err(BundleError::InstallationId(id.len()));
        }
        let key = CompressedKey::from_slice(&entry.signed_pre_key)
            .and_then(|key| key.point().map(|_| key));
        let SignedPreKey { version, protocol_version, .. } = *entry;
        let id = InstallationId::new(id);
        match key {
            Ok(key) => _ = prekeys.insert(id, Prekey { key, version, protocol_version }),
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
    Ok(VerifiedBundle { identity, prekeys, unusable, timestamp: Timestamp(bundle.timestamp) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::crypto::seeded_rng;

    fn bundle() -> proto::Bundle {
        let mut rng = seeded_rng("bundle");
        let identity = KeyPair::generate(&mut rng);
        let mut prekey = |version| {
            let key = KeyPair::generate(&mut rng).public();
            Prekey { key, version, protocol_version: 1 }
        };
        let prekeys =
            [("b", 2), ("a", 1)].map(|(id, n)| (InstallationId::new(id), prekey(n))).into();
        sign(&identity, &prekeys, Timestamp(7))
    }

    #[test]
    fn a_signed_bundle_verifies() {
        let bundle = bundle();
        let verified = verify(&bundle).unwrap();
        assert_eq!(verified.timestamp, Timestamp(7));
        assert_eq!(verified.prekeys.len(), 2);
        assert_eq!(verified.prekeys[&InstallationId::new("b")].version, 2);
        // Installation ids are sorted.
        assert!(signature_material(&bundle).starts_with(b"a"));
        assert!(signature_material(&bundle).ends_with(b"27"));
    }

    #[test]
    fn a_field_of_another_wire_type_is_unknown() {
        let bundle = bundle();
        let raw = bundle.encode_to_vec();
        // Field 1 as a varint, before and after.
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
        let prekey = entry(&mut many).clone();
        many.signed_pre_keys.extend((0..64).map(|n| (n.to_string(), prekey.clone())));
        assert_eq!(verify(&many), Err(BundleError::TooManyInstallations(66)));
        // Signed, but not a point: only that installation can't be sent to.
        for bytes in [vec![5; 33], vec![2; 32], Vec::new()] {
            let mut bundle = bundle();
            entry(&mut bundle).signed_pre_key = bytes;
            let identity = KeyPair::generate(&mut seeded_rng("bundle"));
            let signature = identity.secret().sign_digest(&signing_hash(&bundle));
            bundle.signature = signature.as_bytes().to_vec();
            let verified = verify(&bundle).unwrap();
            let ids = |id| vec![InstallationId::new(id)];
            assert_eq!(verified.prekeys.keys().cloned().collect::<Vec<_>>(), ids("b"));
            assert_eq!(verified.unusable.keys().cloned().collect::<Vec<_>>(), ids("a"));
            assert_eq!(verified.all_usable().unwrap_err().code(), "bundle.pre_key");
        }
        // The signature does not cover protocol versions.
        let mut newer = bundle();
        entry(&mut newer).protocol_version = 9;
        assert!(verify(&newer).is_ok());
    }
}

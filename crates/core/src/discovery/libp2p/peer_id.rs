//! The identity of a peer: its public key, written as a multihash.
//!
//! Keys of secp256k1 only, which are all that Status uses. Such a key is short enough that its id
//! is not a hash, but the "identity" multihash of the key's message: the key can be read back.
//!
//! Source: libp2p, "Peer Ids and Keys".

use std::{fmt, str::FromStr};

use crate::{
    crypto::{KeyError, PublicKey},
    explain::Explanation,
};

/// The message of a public key up to the key: type 2, secp256k1, and a string of 33 bytes.
const MESSAGE: [u8; 4] = [0x08, 2, 0x12, 33];
/// The multihash "identity", and the length of the message.
const MULTIHASH: [u8; 2] = [0x00, 37];
/// The length of an id in bytes.
const LENGTH: usize = MULTIHASH.len() + MESSAGE.len() + 33;

/// Why bytes or a text are not the id of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIdError {
    /// The text is not base58.
    #[error("the peer id is not base58 (position {at} of the text)")]
    Base58 { at: usize },
    /// The text or the bytes have another length than an id of a secp256k1 key.
    #[error("the peer id has {}; expected {LENGTH}, of a secp256k1 key (16Uiu2HA…)", crate::text::count(.0, "byte"))]
    Length(usize),
    /// The id is that of another type of key, or a hash.
    #[error("the peer id is not that of a secp256k1 key (16Uiu2HA…)")]
    KeyType,
    /// The key is not on the curve.
    #[error("the key in the peer id: {0}")]
    Key(#[from] KeyError),
}

impl PeerIdError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Base58 { .. } => "peer_id.base58",
            Self::Length(_) => "peer_id.length",
            Self::KeyType | Self::Key(_) => "peer_id.key",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "peer_id.base58",
            rule: "A peer id is base58, in the alphabet of Bitcoin.",
            source: "libp2p, \"Peer Ids and Keys\"",
            causes: "0, O, I and l are not in it. Copy the id again.",
        },
        Explanation {
            code: "peer_id.length",
            rule: "The peer id of a secp256k1 key has 39 bytes, and its text starts with 16Uiu2HA.",
            source: "libp2p, \"Peer Ids and Keys\"",
            causes: "The id is cut, or that of another type of key: Qm… is RSA, 12D3… is Ed25519.",
        },
        Explanation {
            code: "peer_id.key",
            rule: "A peer id holds a secp256k1 key of 33 bytes, which is on the curve.",
            source: "libp2p, \"Peer Ids and Keys\"",
            causes: "Damage, or a key of another type.",
        },
    ];
}

/// The id of a peer. Its text is base58: `16Uiu2HA…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(PublicKey);

impl PeerId {
    /// Makes the id of a key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self(*key)
    }

    /// Returns the key.
    pub fn key(&self) -> &PublicKey {
        &self.0
    }

    /// Returns the multihash, 39 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&MULTIHASH[..], &encode_public_key(&self.0)].concat()
    }

    /// Reads a multihash.
    ///
    /// # Errors
    ///
    /// If it is not the "identity" multihash of a secp256k1 key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerIdError> {
        if bytes.len() != LENGTH {
            return Err(PeerIdError::Length(bytes.len()));
        }
        let message = bytes.strip_prefix(&MULTIHASH).ok_or(PeerIdError::KeyType)?;
        decode_public_key(message).map(Self)
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        // Base58 takes quadratic time.
        if text.len() > 2 * LENGTH {
            return Err(PeerIdError::Length(text.len()));
        }
        let bytes = bs58::decode(text).into_vec().map_err(|error| {
            let at = match error {
                bs58::decode::Error::InvalidCharacter { index, .. }
                | bs58::decode::Error::NonAsciiCharacter { index } => index,
                _ => text.len(),
            };
            PeerIdError::Base58 { at }
        })?;
        Self::from_bytes(&bytes)
    }
}

/// Shows the base58 text.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.to_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Returns the message of a public key: its type and its 33 bytes.
pub fn encode_public_key(key: &PublicKey) -> Vec<u8> {
    [&MESSAGE[..], &key.to_compressed()].concat()
}

/// Reads the message of a public key.
///
/// # Errors
///
/// If the key is of another type than secp256k1, or not on the curve.
pub fn decode_public_key(message: &[u8]) -> Result<PublicKey, PeerIdError> {
    let key = message.strip_prefix(&MESSAGE).ok_or(PeerIdError::KeyType)?;
    if key.len() != 33 {
        return Err(PeerIdError::KeyType);
    }
    Ok(PublicKey::from_slice(key)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::SecretKey;

    proptest! {
        #[test]
        fn ids_round_trip(secret: [u8; 32]) {
            if let Ok(key) = SecretKey::from_bytes(&secret) {
                let id = PeerId::from_key(&key.public_key());
                let text = id.to_string();
                prop_assert!(text.starts_with("16Uiu2HA"), "{text}");
                prop_assert_eq!(text.parse(), Ok(id));
                prop_assert_eq!(PeerId::from_bytes(&id.to_bytes()), Ok(id));
            }
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text: String, bytes: Vec<u8>) {
            let _ = text.parse::<PeerId>();
            let _ = PeerId::from_bytes(&bytes);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let parse = |text: &str| text.parse::<PeerId>().unwrap_err();
        assert_eq!(parse("16Uiu0"), PeerIdError::Base58 { at: 5 });
        assert_eq!(parse(&"1".repeat(1_000_000)), PeerIdError::Length(1_000_000));
        // The id of an RSA key is a SHA-256.
        assert!(matches!(
            parse("QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ"),
            PeerIdError::Length(34)
        ));
        // One of Ed25519.
        assert!(matches!(
            parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"),
            PeerIdError::Length(38)
        ));
        let mut bytes =
            PeerId::from_key(&SecretKey::from_bytes(&[7; 32]).unwrap().public_key()).to_bytes();
        bytes[3] = 1;
        assert_eq!(PeerId::from_bytes(&bytes), Err(PeerIdError::KeyType));
        bytes[3] = 2;
        bytes[6] = 9;
        assert_eq!(PeerId::from_bytes(&bytes), Err(PeerIdError::Key(KeyError::NotOnCurve)));
    }
}

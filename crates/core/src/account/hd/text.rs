//! `xprv…` and `xpub…`: base58check of 78 bytes (BIP32, "Serialization format").
//!
//! Reading is strict, as test vector 5 of BIP32 requires: it checks the version, the checksum, the
//! range of the key, and that a key at depth 0 has no parent.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use super::{ChainCode, ExtendedPrivateKey, ExtendedPublicKey, HdError, Place};
use crate::{
    account::path::ChildIndex,
    crypto::{KeyError, PublicKey, SecretKey, hash},
};

const PRIVATE: u32 = 0x0488_ade4;
const PUBLIC: u32 = 0x0488_b21e;

/// The bytes of version, depth, parent, index, chain code and key.
const LENGTH: usize = 78;

/// The longest text of 82 bytes in base58; valid keys have 111 characters.
const MAX_TEXT: usize = 113;

impl ExtendedPrivateKey {
    /// Returns the text `xprv…`: the secret itself.
    pub fn to_xprv(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new([0; 33]);
        key[1..].copy_from_slice(&*self.key.to_bytes());
        encode(PRIVATE, &self.place, &self.chain_code.0, &key)
    }
}

/// Reads the text `xprv…`.
impl FromStr for ExtendedPrivateKey {
    type Err = HdError;

    fn from_str(text: &str) -> Result<Self, HdError> {
        let Parts { version, place, chain_code, key } = decode(text)?;
        match version {
            PRIVATE => {}
            PUBLIC => return Err(HdError::Kind { expected: "private", got: "public" }),
            got => return Err(HdError::Version { got }),
        }
        let [0, secret @ ..] = &*key else {
            return Err(HdError::Text("the private key is not preceded by a zero byte"));
        };
        Ok(Self::new(place, chain_code, SecretKey::from_bytes(secret)?))
    }
}

/// Reads the text `xpub…`.
impl FromStr for ExtendedPublicKey {
    type Err = HdError;

    fn from_str(text: &str) -> Result<Self, HdError> {
        let Parts { version, place, chain_code, key } = decode(text)?;
        match version {
            PUBLIC => {}
            PRIVATE => return Err(HdError::Kind { expected: "public", got: "private" }),
            got => return Err(HdError::Version { got }),
        }
        if !matches!(*key, [2 | 3, ..]) {
            return Err(HdError::Key(KeyError::NotOnCurve));
        }
        Ok(Self { place, chain_code: chain_code.0, key: PublicKey::from_slice(&*key)? })
    }
}

/// Writes the text `xpub…`.
impl fmt::Display for ExtendedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode(PUBLIC, &self.place, &self.chain_code, &self.key.to_compressed()))
    }
}

fn encode(version: u32, place: &Place, chain_code: &[u8; 32], key: &[u8; 33]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 4));
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.push(place.depth);
    bytes.extend_from_slice(&place.parent);
    bytes.extend_from_slice(&place.index.to_bits().to_be_bytes());
    bytes.extend_from_slice(chain_code);
    bytes.extend_from_slice(key);
    let checksum = hash::checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    Zeroizing::new(bs58::encode(&*bytes).into_string())
}

struct Parts {
    version: u32,
    place: Place,
    chain_code: ChainCode,
    key: Zeroizing<[u8; 33]>,
}

fn decode(text: &str) -> Result<Parts, HdError> {
    if text.len() > MAX_TEXT {
        return Err(HdError::Text("it is longer than 113 characters"));
    }
    let mut buffer = Zeroizing::new([0; MAX_TEXT]);
    let length = bs58::decode(text).onto(&mut *buffer).map_err(|error| match error {
        bs58::decode::Error::InvalidCharacter { index, .. }
        | bs58::decode::Error::NonAsciiCharacter { index } => HdError::Base58 { at: index + 1 },
        _ => HdError::Text("it is not base58"),
    })?;
    let bytes = buffer.get(..length).unwrap_or_default();
    let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
        return Err(HdError::Text("it is too short"));
    };
    let body: &[u8; LENGTH] =
        body.try_into().map_err(|_| HdError::Text("it does not encode 78 bytes"))?;
    if hash::checksum(body) != *checksum {
        return Err(HdError::Checksum);
    }
    // The body has exactly these 78 bytes, so no `take` can fail.
    let mut rest = &body[..];
    let version = u32::from_be_bytes(*take(&mut rest)?);
    let [depth] = *take(&mut rest)?;
    let parent = *take::<4>(&mut rest)?;
    let index = ChildIndex::from_bits(u32::from_be_bytes(*take(&mut rest)?));
    let chain_code = ChainCode(*take(&mut rest)?);
    let key = Zeroizing::new(*take::<33>(&mut rest)?);
    if depth == 0 && (parent != [0; 4] || index.to_bits() != 0) {
        return Err(HdError::MasterWithParent);
    }
    Ok(Parts { version, place: Place { depth, parent, index }, chain_code, key })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], HdError> {
    let (head, tail) = rest.split_first_chunk().ok_or(HdError::Text("it is too short"))?;
    *rest = tail;
    Ok(head)
}

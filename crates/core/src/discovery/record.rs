//! Node records: what a node says about itself, signed.
//!
//! `[signature, seq, key, value, …]`, with the keys in ascending order, each once. A record has at
//! most [`MAX_RECORD`] bytes. Its text is `enr:` and URL-safe base64 without padding. Only the
//! identity scheme `v4` exists: a signature of the key `secp256k1` over the Keccak-256 of
//! `[seq, key, value, …]`.
//!
//! Values are kept as they are. Those of unknown keys stay in the record, and a value that does not
//! decode counts as missing.
//!
//! Source: EIP-778.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use data_encoding::BASE64URL_NOPAD;

use crate::{
    crypto::{PublicKey, SecretKey, keccak256},
    devp2p::{Enode, Host, NodeId},
    explain::Explanation,
    rlp::{self, Reader, RlpError},
};

/// The most bytes of an encoded record.
pub const MAX_RECORD: usize = 300;

const PREFIX: &str = "enr:";
const SIGNATURE: usize = 64;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The text starts with something else.
    #[error("a node record starts with enr:")]
    Prefix,
    /// The text is not base64.
    #[error("the record is not URL-safe base64 without padding (position {at} of the text)")]
    Base64 { at: usize },
    /// The record is too large.
    #[error("the record has {0} bytes; expected at most {MAX_RECORD}")]
    TooLarge(usize),
    /// The bytes are not the expected RLP.
    #[error("{0}")]
    Rlp(#[from] RlpError),
    /// The keys are not in order.
    #[error("the key {0:?} is not in ascending order")]
    Order(String),
    /// A key appears twice.
    #[error("the key {0:?} appears twice")]
    Duplicate(String),
    /// The last key has no value.
    #[error("the key {0:?} has no value")]
    NoValue(String),
    /// The identity scheme is not `v4`, or missing.
    #[error("the identity scheme of the record is not v4")]
    Scheme,
    /// The record has no public key, or something else in its place.
    #[error("the record has no compressed public key under secp256k1")]
    PublicKey,
    /// The signature is not one of the record's key.
    #[error("the signature of the record is wrong")]
    Signature,
}

impl RecordError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Prefix => "enr.prefix",
            Self::Base64 { .. } => "enr.base64",
            Self::TooLarge(_) => "enr.too_large",
            Self::Rlp(error) => error.kind.code(),
            Self::Order(_) => "enr.order",
            Self::Duplicate(_) => "enr.duplicate",
            Self::NoValue(_) => "enr.no_value",
            Self::Scheme => "enr.scheme",
            Self::PublicKey => "enr.public_key",
            Self::Signature => "enr.signature",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "enr.prefix",
            rule: "The text of a node record starts with enr:.",
            source: "EIP-778",
            causes: "An enode URL, or another text.",
        },
        Explanation {
            code: "enr.base64",
            rule: "Behind enr: stands URL-safe base64 without padding.",
            source: "EIP-778",
            causes: "The text was cut or wrapped, or is the other base64.",
        },
        Explanation {
            code: "enr.too_large",
            rule: "A record has at most 300 bytes.",
            source: "EIP-778",
            causes: "Other bytes, or a node with a fault.",
        },
        Explanation {
            code: "enr.order",
            rule: "The keys of a record are in ascending order.",
            source: "EIP-778",
            causes: "A program with a fault has made it.",
        },
        Explanation {
            code: "enr.duplicate",
            rule: "Each key of a record appears once.",
            source: "EIP-778",
            causes: "A program with a fault has made it.",
        },
        Explanation {
            code: "enr.no_value",
            rule: "Each key of a record has a value.",
            source: "EIP-778",
            causes: "The record was cut.",
        },
        Explanation {
            code: "enr.scheme",
            rule: "The identity scheme of a record is v4.",
            source: "EIP-778",
            causes: "Another network: there is no other scheme in use.",
        },
        Explanation {
            code: "enr.public_key",
            rule: "A record has a compressed key under secp256k1.",
            source: "EIP-778",
            causes: "Damage, or a key in another form.",
        },
        Explanation {
            code: "enr.signature",
            rule: "The key of a record signs its contents.",
            source: "EIP-778",
            causes: "The record was changed after it was signed: check that the text is whole.",
        },
    ];
}

/// A record whose signature is valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    content: UnverifiedRecord,
    key: PublicKey,
}

impl Record {
    /// Reads a record and checks its signature.
    ///
    /// # Errors
    ///
    /// If the record is malformed, has another identity scheme than `v4`, or a wrong signature.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        UnverifiedRecord::decode(bytes)?.verify()
    }

    /// Returns the encoded record.
    pub fn as_rlp(&self) -> &[u8] {
        self.content.as_rlp()
    }

    /// Returns the number of the record. Of two records of a node, the higher one counts.
    pub fn seq(&self) -> u64 {
        self.content.seq
    }

    /// Returns the node's key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the node's id.
    pub fn node_id(&self) -> NodeId {
        NodeId::from_key(&self.key)
    }

    /// Returns the signature: `r || s`.
    pub fn signature(&self) -> &[u8] {
        &self.content.raw[self.content.signature.clone()]
    }

    /// Returns the keys with the RLP of their values, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.content.pairs()
    }

    /// Returns the RLP of a key's value.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.content.get(key)
    }

    /// Returns the address: that of `ip`, or else that of `ip6`.
    pub fn ip(&self) -> Option<IpAddr> {
        let ip6 = || self.string(b"ip6").map(|ip| IpAddr::from(Ipv6Addr::from(ip)));
        self.string(b"ip").map(|ip| IpAddr::from(Ipv4Addr::from(ip))).or_else(ip6)
    }

    /// Returns the port for RLPx connections.
    pub fn tcp(&self) -> Option<u16> {
        self.port(b"tcp")
    }

    /// Returns the port for discovery.
    pub fn udp(&self) -> Option<u16> {
        self.port(b"udp")
    }

    /// Returns a port: `tcp`, `udp`, `tcp6` or `udp6`.
    pub fn port(&self, key: &[u8]) -> Option<u16> {
        Reader::new(self.get(key)?).u16("port").ok()
    }

    /// Returns the URL of the node. `None` without an address; a missing port is 0.
    pub fn enode(&self) -> Option<Enode> {
        let (tcp, udp) = (self.tcp().unwrap_or(0), self.udp().unwrap_or(0));
        Some(Enode { id: self.key, host: Host::Ip(self.ip()?), tcp, udp })
    }

    /// Starts the next version of the record: the same pairs, and the next number.
    pub fn to_builder(&self) -> RecordBuilder {
        let pairs = self.pairs().map(|(key, value)| (key.to_vec(), value.to_vec()));
        RecordBuilder { seq: self.seq().saturating_add(1), pairs: pairs.collect() }
    }

    /// Returns the record as packets carry it.
    pub fn to_unverified(&self) -> UnverifiedRecord {
        self.content.clone()
    }

    fn string<const N: usize>(&self, key: &[u8]) -> Option<[u8; N]> {
        Reader::new(self.get(key)?).bytes("value").ok()
    }
}

impl FromStr for Record {
    type Err = RecordError;

    /// Reads the text form and checks the signature.
    fn from_str(text: &str) -> Result<Self, RecordError> {
        let base64 = text.strip_prefix(PREFIX).ok_or(RecordError::Prefix)?;
        let bytes = BASE64URL_NOPAD
            .decode(base64.as_bytes())
            .map_err(|error| RecordError::Base64 { at: PREFIX.len() + error.position })?;
        Self::decode(&bytes)
    }
}

/// Shows the text form.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(self.as_rlp()))
    }
}

/// A well-formed record whose signature is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnverifiedRecord {
    raw: Vec<u8>,
    seq: u64,
    /// Where the signature is in `raw`.
    signature: std::ops::Range<usize>,
    /// Where the number begins, and with it what is signed.
    content: usize,
    /// Where the pairs begin.
    pairs: usize,
}

impl UnverifiedRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// If it is too large, its RLP is another one, or its keys are not in order.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let mut items = reader.list("record")?;
        reader.finish()?;
        let signature = items.string("signature")?.len();
        let content = items.offset();
        let seq = items.u64("sequence number")?;
        let pairs = items.offset();
        let mut last: Option<&[u8]> = None;
        while !items.is_empty() {
            let key = items.string("key")?;
            if items.is_empty() {
                return Err(RecordError::NoValue(shown(key)));
            }
            items.raw_item("value")?;
            match last {
                Some(last) if last == key => return Err(RecordError::Duplicate(shown(key))),
                Some(last) if last > key => return Err(RecordError::Order(shown(key))),
                _ => last = Some(key),
            }
        }
        let signature = content - signature..content;
        Ok(Self { raw: bytes.to_vec(), seq, signature, content, pairs })
    }

    /// Checks the identity scheme and the signature.
    ///
    /// # Errors
    ///
    /// If the scheme is not `v4`, the key is missing, or the signature is wrong.
    pub fn verify(self) -> Result<Record, RecordError> {
        if self.string(b"id") != Some(b"v4") {
            return Err(RecordError::Scheme);
        }
        let key = self.string(b"secp256k1").filter(|key| key.len() == 33);
        let key = key.and_then(|key| PublicKey::from_slice(key).ok());
        let key = key.ok_or(RecordError::PublicKey)?;
        let signature = <[u8; SIGNATURE]>::try_from(&self.raw[self.signature.clone()])
            .map_err(|_| RecordError::Signature)?;
        if !key.verify(&signed_digest(&self.raw[self.content..]), &signature) {
            return Err(RecordError::Signature);
        }
        Ok(Record { content: self, key })
    }

    /// Returns the encoded record.
    pub fn as_rlp(&self) -> &[u8] {
        &self.raw
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut reader = Reader::new(&self.raw[self.pairs..]);
        std::iter::from_fn(move || {
            Some((reader.string("key").ok()?, reader.raw_item("value").ok()?))
        })
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs().find(|(it, _)| *it == key).map(|(_, value)| value)
    }

    fn string(&self, key: &[u8]) -> Option<&[u8]> {
        Reader::new(self.get(key)?).string("value").ok()
    }
}

/// Makes a record, or the next version of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBuilder {
    seq: u64,
    /// Values are RLP.
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl RecordBuilder {
    /// Starts a record with a number and no pairs.
    pub fn new(seq: u64) -> Self {
        Self { seq, pairs: BTreeMap::new() }
    }

    /// Sets `ip` or `ip6`.
    #[must_use]
    pub fn ip(self, ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.bytes(b"ip", &ip.octets()),
            IpAddr::V6(ip) => self.bytes(b"ip6", &ip.octets()),
        }
    }

    /// Sets the port for RLPx connections.
    #[must_use]
    pub fn tcp(self, port: u16) -> Self {
        self.port(b"tcp", port)
    }

    /// Sets the port for discovery.
    #[must_use]
    pub fn udp(self, port: u16) -> Self {
        self.port(b"udp", port)
    }

    /// Sets a port: `tcp`, `udp`, `tcp6` or `udp6`.
    #[must_use]
    pub fn port(mut self, key: &[u8], port: u16) -> Self {
        let mut value = Vec::new();
        rlp::put_u64(&mut value, port.into());
        self.pairs.insert(key.to_vec(), value);
        self
    }

    /// Sets a key to a string of bytes.
    #[must_use]
    pub fn bytes(mut self, key: &[u8], bytes: &[u8]) -> Self {
        let mut value = Vec::new();
        rlp::put_bytes(&mut value, bytes);
        self.pairs.insert(key.to_vec(), value);
        self
    }

    /// Sets a key to a value in RLP.
    ///
    /// # Errors
    ///
    /// If the value is not exactly one item.
    pub fn rlp(mut self, key: &[u8], value: &[u8]) -> Result<Self, RlpError> {
        let mut reader = Reader::new(value);
        reader.raw_item("value")?;
        reader.finish()?;
        self.pairs.insert(key.to_vec(), value.to_vec());
        Ok(self)
    }

    /// Removes a key.
    #[must_use]
    pub fn without(mut self, key: &[u8]) -> Self {
        self.pairs.remove(key);
        self
    }

    /// Signs the record. This sets `id` and `secp256k1`.
    ///
    /// # Errors
    ///
    /// If the record is larger than [`MAX_RECORD`].
    pub fn sign(self, key: &SecretKey) -> Result<Record, RecordError> {
        let public = key.public_key();
        let Self { seq, pairs } =
            self.bytes(b"id", b"v4").bytes(b"secp256k1", &public.to_compressed());
        let mut content = Vec::new();
        rlp::put_u64(&mut content, seq);
        for (key, value) in pairs {
            rlp::put_bytes(&mut content, &key);
            content.extend_from_slice(&value);
        }
        let signature = key.sign_digest(&signed_digest(&content));
        let mut raw = Vec::new();
        rlp::put_list(&mut raw, |out| {
            rlp::put_bytes(out, &signature.as_bytes()[..SIGNATURE]);
            out.extend_from_slice(&content);
        });
        Ok(Record { content: UnverifiedRecord::decode(&raw)?, key: public })
    }
}

/// Returns the hash that is signed, from the items after the signature.
fn signed_digest(content: &[u8]) -> [u8; 32] {
    let mut list = Vec::with_capacity(content.len() + 3);
    rlp::put_list_header(&mut list, content.len());
    list.extend_from_slice(content);
    keccak256(&list)
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn records_round_trip(
            seq: u64, ip: Option<IpAddr>, ports: [u16; 2],
            pairs in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 0..5),
                prop::collection::vec(any::<u8>(), 0..9), 0..6,
            ),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut builder = RecordBuilder::new(seq).tcp(ports[0]).udp(ports[1]);
            for (key, value) in &pairs {
                builder = builder.bytes(key, value);
            }
            if let Some(ip) = ip {
                builder = builder.without(b"ip").without(b"ip6").ip(ip);
            }
            let record = builder.sign(&key()).unwrap();
            prop_assert_eq!(&record.to_string().parse::<Record>().unwrap(), &record);
            prop_assert_eq!(record.seq(), seq);
            if let Some(ip) = ip {
                prop_assert_eq!(record.ip(), Some(ip.to_canonical()));
            }
            let next = record.to_builder().sign(&key()).unwrap();
            prop_assert_eq!(next.seq(), seq.saturating_add(1));
            prop_assert!(next.pairs().eq(record.pairs()));

            let mut damaged = record.as_rlp().to_vec();
            let bit = bit.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Record::decode(&damaged).is_err());
        }

        #[test]
        fn any_pairs_decode_or_fail(content in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut raw = Vec::new();
            rlp::put_list(&mut raw, |out| {
                rlp::put_bytes(out, &[0; 64]);
                out.extend_from_slice(&content);
            });
            if let Ok(record) = UnverifiedRecord::decode(&raw) {
                prop_assert_eq!(record.as_rlp(), raw);
                prop_assert!(record.verify().is_err());
            }
        }
    }

    #[test]
    fn the_size_is_limited() {
        // 104 bytes are not in `x`, for the longer headers of larger records.
        let sized = |length| RecordBuilder::new(5).bytes(b"x", &vec![1; length]).sign(&key());
        assert_eq!(sized(177).unwrap().as_rlp().len(), MAX_RECORD);
        assert_eq!(sized(178).unwrap_err(), RecordError::TooLarge(MAX_RECORD + 1));
    }

    #[test]
    fn values_that_do_not_decode_are_missing() {
        let record = RecordBuilder::new(1).bytes(b"ip", &[1, 2, 3]).bytes(b"udp", &[1, 0, 0]);
        let record = record.ip(Ipv6Addr::LOCALHOST.into()).sign(&key()).unwrap();
        assert_eq!((record.ip(), record.udp()), (Some(Ipv6Addr::LOCALHOST.into()), None));
        assert!(RecordBuilder::new(1).rlp(b"x", &[1, 2]).is_err());
    }
}

//! Content identifiers: a version, what the content is, and its hash.

use statuskit_core::account::Base;

use super::ContentHashError;

const DAG_PB: u64 = 0x70;
/// A public key of libp2p.
pub(super) const LIBP2P_KEY: u64 = 0x72;
const SHA2_256: u64 = 0x12;
/// No hash: the content itself.
const IDENTITY: u64 = 0;

/// A hash with the number of its function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Multihash {
    /// The function, by its number in the multicodec table.
    pub code: u64,
    pub digest: Vec<u8>,
}

/// A content identifier, of version 1 in content hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cid {
    /// What the content is, by its number in the multicodec table.
    pub codec: u64,
    pub hash: Multihash,
}

impl Cid {
    /// Returns the text of version 0: `Qm…`. `None` if version 0 can't express it.
    pub fn to_v0(&self) -> Option<String> {
        let is_v0 = self.codec == DAG_PB && self.hash.is_sha2_256();
        is_v0.then(|| base58(&self.hash.to_bytes()))
    }

    /// Returns the text of version 1 in a base: `bafy…` in base 32, `k51…` in base 36.
    pub fn to_v1(&self, base: Base) -> String {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        base.encode(&bytes)
    }

    /// Returns the host that an IPNS content names instead of a key.
    pub fn host(&self) -> Option<&str> {
        let is_text = self.codec == DAG_PB && self.hash.code == IDENTITY;
        std::str::from_utf8(&self.hash.digest).ok().filter(|it| is_text && is_host(it))
    }

    /// Returns the identity of the peer whose key it is: `12D3KooW…`, `Qm…`.
    pub fn peer(&self) -> Option<String> {
        (self.codec == LIBP2P_KEY).then(|| base58(&self.hash.to_bytes()))
    }

    /// Reads a text: `Qm…`, or a letter of multibase and a CID of version 1.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, ContentHashError> {
        let unknown = || super::unknown(text);
        if text.len() == 46 && text.starts_with("Qm") {
            let (_, bytes) = Base::decode(&format!("z{text}")).map_err(|_| unknown())?;
            let hash = Multihash::parse(&bytes)?;
            let cid = Self { codec: DAG_PB, hash };
            return if cid.to_v0().is_some() { Ok(cid) } else { Err(unknown()) };
        }
        // `0x` is no letter of multibase here.
        if text.starts_with("0x") {
            return Err(unknown());
        }
        let (_, bytes) = Base::decode(text).map_err(|_| unknown())?;
        Self::from_bytes(&bytes, &mut 0)
    }

    /// Reads the identity of a peer: the base 58 of a multihash of its key.
    pub(super) fn parse_peer(text: &str) -> Option<Self> {
        /// The first field of a public key of libp2p: the kind of the key.
        const KIND: u8 = 0x08;
        let (_, bytes) = Base::decode(&format!("z{text}")).ok()?;
        let hash = Multihash::parse(&bytes).ok()?;
        let is_key = hash.code == IDENTITY && hash.digest.first() == Some(&KIND);
        is_key.then_some(Self { codec: LIBP2P_KEY, hash })
    }

    /// Makes the content that names a host.
    pub(super) fn from_host(host: &str) -> Option<Self> {
        let hash = Multihash { code: IDENTITY, digest: host.as_bytes().to_vec() };
        is_host(host).then_some(Self { codec: DAG_PB, hash })
    }

    /// Reads the rest of the bytes.
    pub(super) fn from_bytes(bytes: &[u8], at: &mut usize) -> Result<Self, ContentHashError> {
        let start = *at;
        if varint(bytes, at)? != 1 {
            return Err(ContentHashError::CidVersion { at: start });
        }
        let codec = varint(bytes, at)?;
        Ok(Self { codec, hash: Multihash::read(bytes, at)? })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, 1);
        put_varint(out, self.codec);
        out.extend(self.hash.to_bytes());
    }
}

impl Multihash {
    /// Returns the number of the function, the length, and the digest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.digest.len() + 4);
        put_varint(&mut out, self.code);
        put_varint(&mut out, self.digest.len() as u64);
        out.extend(&self.digest);
        out
    }

    /// Whether it is a SHA-256, as CIDs of version 0 have.
    pub(super) fn is_sha2_256(&self) -> bool {
        self.code == SHA2_256 && self.digest.len() == 32
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ContentHashError> {
        Self::read(bytes, &mut 0)
    }

    fn read(bytes: &[u8], at: &mut usize) -> Result<Self, ContentHashError> {
        let code = varint(bytes, at)?;
        let expected = varint(bytes, at)?;
        let digest = &bytes[*at..];
        if expected != digest.len() as u64 {
            return Err(ContentHashError::Length { what: "a hash", expected, got: digest.len() });
        }
        // Of the functions in use, these are always 32 bytes long.
        if matches!(code, SHA2_256 | super::KECCAK_256) && expected != 32 {
            return Err(ContentHashError::Length {
                what: "a hash",
                expected: 32,
                got: digest.len(),
            });
        }
        if digest.is_empty() {
            return Err(ContentHashError::Contents("the hash is empty"));
        }
        Ok(Self { code, digest: digest.to_vec() })
    }
}

pub(super) fn base58(bytes: &[u8]) -> String {
    Base::BASE58.encode(bytes).split_off(1)
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'))
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(is_label)
}

/// Reads a number in groups of seven bits, the lowest first; only its shortest form.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, ContentHashError> {
    /// As the specification of varints has it.
    const MOST_BYTES: usize = 9;
    let start = *at;
    let error = ContentHashError::Varint { at: start };
    let mut number = 0;
    for shift in 0..MOST_BYTES {
        let byte = *bytes.get(*at).ok_or_else(|| error.clone())?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            let is_shortest = shift == 0 || byte != 0;
            return if is_shortest { Ok(number) } else { Err(error) };
        }
    }
    Err(error)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

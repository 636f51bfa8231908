//! EIP-1577: what a name points to, as bytes and as a link.
//!
//! The bytes are a namespace (a varint of the multicodec table), then a CID of version 1 or other
//! contents of the namespace.

mod cid;
pub mod client;
mod text;

use std::fmt;

use statuskit_core::explain::Explanation;

use crate::text::excerpt;

pub use cid::{Cid, Multihash};

/// The longest content hash that is read, in bytes.
pub const MAX_CONTENT_HASH: usize = 1024;

const IPFS: u64 = 0xe3;
const SWARM: u64 = 0xe4;
const IPNS: u64 = 0xe5;
const ONION: u64 = 0x1bc;
const ONION3: u64 = 0x1bd;
const SKYNET: u64 = 0xb1_9910;
const ARWEAVE: u64 = 0xb2_9910;

const SWARM_MANIFEST: u64 = 0xfa;
const SWARM_FEED: u64 = 0xfb;
const KECCAK_256: u64 = 0x1b;

/// Why something is not a content hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentHashError {
    /// No bytes, or no text.
    #[error("the content hash is empty")]
    Empty,
    /// More than [`MAX_CONTENT_HASH`] bytes.
    #[error("a content hash of {got} bytes; the limit is {MAX_CONTENT_HASH}")]
    TooLong { got: usize },
    /// A number that does not end, is too large, or is not in its shortest form.
    #[error("the varint at byte {at} is malformed")]
    Varint { at: usize },
    /// A namespace that is not known.
    #[error(
        "the namespace is 0x{0:x}; known are IPFS, Swarm, IPNS, onion, onion3, Skynet and Arweave"
    )]
    Namespace(u64),
    /// Not a CID of version 1.
    #[error("expected a CID of version 1 at byte {at}")]
    CidVersion { at: usize },
    /// The contents end too early or too late.
    #[error("{what}: expected {expected} bytes, found {got}")]
    Length { what: &'static str, expected: u64, got: usize },
    /// Contents that the namespace does not have.
    #[error("{0}")]
    Contents(&'static str),
    /// A text of no known form.
    #[error(
        "{0:?} is no content: expected ipfs://…, ipns://…, bzz://…, …onion, a CID, or the like"
    )]
    Text(String),
    /// A link to a file inside.
    #[error("a content hash has no path: {0:?} can't be a part of it")]
    Path(String),
}

impl ContentHashError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "contenthash.empty",
            Self::TooLong { .. } => "contenthash.too_long",
            Self::Varint { .. } => "contenthash.varint",
            Self::Namespace(_) => "contenthash.namespace",
            Self::CidVersion { .. } => "contenthash.cid_version",
            Self::Length { .. } => "contenthash.length",
            Self::Contents(_) => "contenthash.contents",
            Self::Text(_) => "contenthash.text",
            Self::Path(_) => "contenthash.path",
        }
    }

    /// Returns the offset in the bytes, where one is known.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Varint { at } | Self::CidVersion { at } => Some(*at),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "contenthash.empty",
            rule: "A content hash has at least one byte.",
            source: "EIP-1577",
            causes: "The record of the name is not set.",
        },
        Explanation {
            code: "contenthash.too_long",
            rule: "A content hash has at most 1024 bytes.",
            source: "bounds of this program",
            causes: "Something else was pasted.",
        },
        Explanation {
            code: "contenthash.varint",
            rule: "Namespace, version, codec and hash begin with numbers in groups of seven bits, in their shortest form.",
            source: "EIP-1577; multiformats",
            causes: "The bytes were truncated, or are not a content hash.",
        },
        Explanation {
            code: "contenthash.namespace",
            rule: "The namespace is one of IPFS, IPNS, Swarm, onion, onion3, Skynet and Arweave.",
            source: "EIP-1577; multicodec table",
            causes: "A text record in place of a content hash.",
        },
        Explanation {
            code: "contenthash.cid_version",
            rule: "IPFS, IPNS and Swarm have a CID of version 1 behind the namespace.",
            source: "EIP-1577",
            causes: "The mobile client of 2020 left version and codec out.",
        },
        Explanation {
            code: "contenthash.length",
            rule: "A hash is as long as its function makes it, and nothing follows.",
            source: "multiformats",
            causes: "A digit was lost or added.",
        },
        Explanation {
            code: "contenthash.contents",
            rule: "The contents are of the namespace.",
            source: "EIP-1577",
            causes: "The message says what is expected.",
        },
        Explanation {
            code: "contenthash.text",
            rule: "A content is a link, a path, a CID, a hash of Swarm, or the name of a Tor service.",
            source: "EIP-1577",
            causes: "A character was lost: base 58 has no 0, O, I and l.",
        },
        Explanation {
            code: "contenthash.path",
            rule: "A content hash names a whole content, not a file inside.",
            source: "EIP-1577",
            causes: "Remove what follows the hash.",
        },
    ];
}

/// What a name points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentHash {
    /// A file or directory.
    Ipfs(Cid),
    /// A key that signs what it points to, or the name of a host.
    Ipns(Cid),
    /// A manifest; with `is_feed`, a feed.
    Swarm { hash: [u8; 32], is_feed: bool },
    /// A Tor service: 16 characters.
    Onion(String),
    /// A Tor service: 56 characters.
    Onion3(String),
    /// A Sia link of 34 bytes, which came after 2020.
    Skynet([u8; 34]),
    /// An Arweave transaction, which came after 2020.
    Arweave([u8; 32]),
}

impl ContentHash {
    /// Reads the bytes of a resolver.
    ///
    /// # Errors
    /// If they are malformed, or of an unknown namespace.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentHashError> {
        if bytes.is_empty() {
            return Err(ContentHashError::Empty);
        }
        if bytes.len() > MAX_CONTENT_HASH {
            return Err(ContentHashError::TooLong { got: bytes.len() });
        }
        let mut at = 0;
        let namespace = cid::varint(bytes, &mut at)?;
        let rest = &bytes[at..];
        Ok(match namespace {
            IPFS => Self::Ipfs(Cid::from_bytes(bytes, &mut at)?),
            IPNS => Self::Ipns(Cid::from_bytes(bytes, &mut at)?),
            SWARM => {
                let cid = Cid::from_bytes(bytes, &mut at)?;
                let hash = array("a Swarm hash", &cid.hash.digest)?;
                let is_feed = match cid.codec {
                    SWARM_MANIFEST => false,
                    SWARM_FEED => true,
                    _ => return Err(ContentHashError::Contents("the codec is not one of Swarm")),
                };
                if cid.hash.code != KECCAK_256 {
                    return Err(ContentHashError::Contents("the hash is no Keccak-256"));
                }
                Self::Swarm { hash, is_feed }
            }
            ONION => Self::Onion(text::onion(rest, 16)?),
            ONION3 => Self::Onion3(text::onion(rest, 56)?),
            SKYNET => Self::Skynet(array("a Skynet link", rest)?),
            ARWEAVE => Self::Arweave(array("an Arweave transaction", rest)?),
            other => return Err(ContentHashError::Namespace(other)),
        })
    }

    /// Returns the bytes for a resolver.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let swarm;
        let (namespace, cid) = match self {
            Self::Ipfs(cid) => (IPFS, Some(cid)),
            Self::Ipns(cid) => (IPNS, Some(cid)),
            Self::Swarm { hash, is_feed } => {
                let codec = if *is_feed { SWARM_FEED } else { SWARM_MANIFEST };
                let hash = Multihash { code: KECCAK_256, digest: hash.to_vec() };
                swarm = Cid { codec, hash };
                (SWARM, Some(&swarm))
            }
            Self::Onion(_) => (ONION, None),
            Self::Onion3(_) => (ONION3, None),
            Self::Skynet(_) => (SKYNET, None),
            Self::Arweave(_) => (ARWEAVE, None),
        };
        cid::put_varint(&mut out, namespace);
        match (cid, self) {
            (Some(cid), _) => cid.put(&mut out),
            (None, Self::Onion(text) | Self::Onion3(text)) => out.extend(text.as_bytes()),
            (None, Self::Skynet(bytes)) => out.extend(bytes),
            (None, Self::Arweave(bytes)) => out.extend(bytes),
            (None, _) => {}
        }
        out
    }

    /// Returns the name of the namespace.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ipfs(_) => "ipfs",
            Self::Ipns(_) => "ipns",
            Self::Swarm { .. } => "swarm",
            Self::Onion(_) => "onion",
            Self::Onion3(_) => "onion3",
            Self::Skynet(_) => "skynet",
            Self::Arweave(_) => "arweave",
        }
    }

    /// Returns the scheme of links.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Swarm { .. } => "bzz",
            Self::Skynet(_) => "sia",
            Self::Arweave(_) => "ar",
            other => other.kind(),
        }
    }

    /// Returns the content without its namespace: `Qm…`, `bafk…`, 64 hex digits, ….
    pub fn content(&self) -> String {
        text::content(self)
    }

    /// Returns the link, such as `ipfs://Qm…`.
    pub fn to_uri(&self) -> String {
        format!("{}://{}", self.scheme(), self.content())
    }

    /// Returns the path of the reference, such as `/ipfs/Qm…`.
    pub fn to_path(&self) -> String {
        format!("/{}/{}", self.kind(), self.content())
    }

    /// Returns the CID of IPFS and IPNS.
    pub fn cid(&self) -> Option<&Cid> {
        match self {
            Self::Ipfs(cid) | Self::Ipns(cid) => Some(cid),
            _ => None,
        }
    }
}

/// Writes the link.
impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_uri())
    }
}

fn array<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], ContentHashError> {
    let error = ContentHashError::Length { what, expected: N as u64, got: bytes.len() };
    bytes.try_into().map_err(|_| error)
}

fn unknown(text: &str) -> ContentHashError {
    ContentHashError::Text(excerpt(text))
}

#[cfg(test)]
mod tests;

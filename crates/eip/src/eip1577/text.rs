//! Content hashes as texts, as people paste them.

use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use statuskit_core::account::Base;

use super::{
    Cid, ContentHash, ContentHashError, MAX_CONTENT_HASH, array, cid::LIBP2P_KEY, unknown,
};

/// The names in front of contents, in links and paths.
const NAMES: [(&str, &str); 10] = [
    ("ipfs", "ipfs"),
    ("ipns", "ipns"),
    ("bzz", "swarm"),
    ("swarm", "swarm"),
    ("onion", "onion"),
    ("onion3", "onion3"),
    ("sia", "skynet"),
    ("skynet", "skynet"),
    ("ar", "arweave"),
    ("arweave", "arweave"),
];

/// Reads a link (`ipfs://…`), a path (`/ipfs/…`), the address of a gateway, or the content alone.
impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<Self, ContentHashError> {
        if text.len() > 4 * MAX_CONTENT_HASH {
            return Err(ContentHashError::TooLong { got: text.len() });
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(ContentHashError::Empty);
        }
        let (kind, rest) = split(text);
        // A directory may end in a slash.
        let rest = rest.trim_end_matches('/');
        if let Some((_, path)) = rest.split_once(['/', '?', '#']) {
            return Err(match kind {
                Some(_) => ContentHashError::Path(crate::text::excerpt(path)),
                None => unknown(text),
            });
        }
        match kind {
            Some(kind) => of_kind(kind, rest),
            None => alone(rest),
        }
    }
}

/// Splits off what says the kind.
fn split(text: &str) -> (Option<&'static str>, &str) {
    let kind_of = |name: &str| {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    };
    if let Some((name, rest)) = text.split_once("://") {
        if let Some(kind) = kind_of(name) {
            // `ipfs://ipfs/Qm…` is an old form.
            let again = rest.split_once('/').filter(|(name, _)| kind_of(name) == Some(kind));
            return (Some(kind), again.map_or(rest, |(_, rest)| rest));
        }
        // A gateway: https://ipfs.io/ipfs/Qm….
        let (_, path) = rest.split_once('/').unwrap_or_default();
        if let Some((kind, rest)) = in_path(path, kind_of) {
            return (Some(kind), rest);
        }
    }
    match text.strip_prefix('/').and_then(|path| in_path(path, kind_of)) {
        Some((kind, rest)) => (Some(kind), rest),
        None => (None, text),
    }
}

fn in_path(
    path: &str,
    kind_of: impl Fn(&str) -> Option<&'static str>,
) -> Option<(&'static str, &str)> {
    let (name, rest) = path.split_once('/')?;
    Some((kind_of(name)?, rest))
}

fn of_kind(kind: &str, text: &str) -> Result<ContentHash, ContentHashError> {
    if text.is_empty() {
        return Err(ContentHashError::Empty);
    }
    Ok(match kind {
        "ipfs" => ContentHash::Ipfs(Cid::parse(text)?),
        "ipns" => ContentHash::Ipns(ipns(text)?),
        "swarm" => {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            let bytes = hex::decode(digits).map_err(|_| unknown(text))?;
            ContentHash::Swarm { hash: array("a Swarm hash", &bytes)?, is_feed: false }
        }
        "onion" | "onion3" => {
            let name = text.strip_suffix(".onion").unwrap_or(text);
            let is_long = kind == "onion3" || name.len() == 56;
            let name = onion(name.as_bytes(), if is_long { 56 } else { 16 })?;
            if is_long { ContentHash::Onion3(name) } else { ContentHash::Onion(name) }
        }
        "skynet" => ContentHash::Skynet(array("a Skynet link", &base64(text)?)?),
        _ => ContentHash::Arweave(array("an Arweave transaction", &base64(text)?)?),
    })
}

/// Works out what a content without a name is.
fn alone(text: &str) -> Result<ContentHash, ContentHashError> {
    if let Ok(cid) = Cid::parse(text) {
        return Ok(match cid.codec {
            LIBP2P_KEY => ContentHash::Ipns(cid),
            _ => ContentHash::Ipfs(cid),
        });
    }
    if let Some(cid) = Cid::parse_peer(text) {
        return Ok(ContentHash::Ipns(cid));
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() == 64 && hex::decode(digits).is_ok() {
        return of_kind("swarm", digits);
    }
    let name = text.strip_suffix(".onion").unwrap_or(text);
    if name.len() < text.len() || matches!(name.len(), 16 | 56) {
        return of_kind("onion", name).map_err(|_| unknown(text));
    }
    Err(unknown(text))
}

/// Reads a key of a publisher, a CID, or the name of a host.
fn ipns(text: &str) -> Result<Cid, ContentHashError> {
    let cid = Cid::parse(text).ok();
    cid.or_else(|| Cid::parse_peer(text))
        .or_else(|| Cid::from_host(text))
        .ok_or_else(|| unknown(text))
}

/// Checks the name of a Tor service: `length` characters of base 32.
pub(super) fn onion(bytes: &[u8], length: usize) -> Result<String, ContentHashError> {
    if bytes.len() != length {
        let (what, expected) = ("the name of a Tor service", length as u64);
        return Err(ContentHashError::Length { what, expected, got: bytes.len() });
    }
    let is_base32 = bytes.iter().all(|it| matches!(it, b'a'..=b'z' | b'2'..=b'7'));
    if !is_base32 {
        let message = "the name of a Tor service has only small letters and the digits 2 to 7";
        return Err(ContentHashError::Contents(message));
    }
    Ok(bytes.iter().map(|it| char::from(*it)).collect())
}

fn base64(text: &str) -> Result<Vec<u8>, ContentHashError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| unknown(text))
}

pub(super) fn content(hash: &ContentHash) -> String {
    match hash {
        ContentHash::Ipfs(cid) => cid.to_v0().unwrap_or_else(|| cid.to_v1(Base::BASE32)),
        ContentHash::Ipns(cid) => match cid.host() {
            Some(host) => host.to_owned(),
            None => cid.to_v0().unwrap_or_else(|| cid.to_v1(Base::BASE36)),
        },
        ContentHash::Swarm { hash, .. } => hex::encode(hash),
        ContentHash::Onion(name) | ContentHash::Onion3(name) => name.clone(),
        ContentHash::Skynet(bytes) => BASE64URL_NOPAD.encode(bytes),
        ContentHash::Arweave(bytes) => BASE64URL_NOPAD.encode(bytes),
    }
}

//! Content hashes as the mobile client of March 2020 reads and writes them.
//!
//! It shows `0xe3010170…` as `Qm…`, other `0xe30101…` as `z` and the base 58 of the CID, finds
//! Swarm hashes behind `1b20`, and writes IPFS hashes without version and codec, against EIP-1577.

use statuskit_core::account::Base;

use super::cid::{Cid, Multihash, base58};

/// What the client makes of the bytes of a resolver: the namespace and the hash.
///
/// `None` if it shows nothing. It opens `ipfs` only.
pub fn decode(bytes: &[u8]) -> Option<(&'static str, String)> {
    const DAG_PB: [u8; 4] = [0xe3, 0x01, 0x01, 0x70];
    const IPFS: [u8; 3] = [0xe3, 0x01, 0x01];
    if let Some(hash) = bytes.strip_prefix(&DAG_PB) {
        let hash = Multihash::parse(hash).ok().filter(Multihash::is_sha2_256)?;
        return Some(("ipfs", base58(&hash.to_bytes())));
    }
    if bytes.starts_with(&IPFS) {
        let cid = Cid::from_bytes(bytes, &mut 2).ok()?;
        return Some(("ipfs", cid.to_v1(Base::BASE58)));
    }
    const SWARM: [u8; 2] = [0xe4, 0x01];
    const KECCAK: [u8; 2] = [0x1b, 0x20];
    let rest = bytes.strip_prefix(&SWARM)?;
    let at = rest.windows(2).position(|pair| pair == KECCAK)?;
    let hash = rest.get(at + 2..).filter(|hash| hash.len() == 32)?;
    Some(("swarm", hex::encode(hash)))
}

/// Returns the bytes that the client writes. `None` if it writes nothing.
pub fn encode(namespace: &str, hash: &str) -> Option<Vec<u8>> {
    match namespace {
        "ipfs" => {
            let cid = Cid::parse(hash).ok().filter(|cid| cid.to_v0().is_some())?;
            Some([&[0xe3, 0x01][..], &cid.hash.to_bytes()].concat())
        }
        "swarm" => {
            let hash = hex::decode(hash).ok().filter(|hash| hash.len() == 32)?;
            Some([&[0xe4, 0x01, 0x01, 0xfa, 0x01, 0x1b, 0x20][..], &hash].concat())
        }
        _ => None,
    }
}

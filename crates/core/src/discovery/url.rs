//! Node URLs where not everything is given or certain: incomplete ones, and those of bootnodes.
//!
//! Source: devp2p `enode.md`; go-ethereum 1.9 `p2p/enode/urlv4.go` and `p2p/discv5/node.go`, where it
//! says nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::NodeKey;
use crate::{
    crypto::PublicKey,
    devp2p::{
        Enode, Host,
        enode::{EnodeError, Parts, parse_id, parse_xy, split_port, strip_scheme},
    },
};

/// A node URL, or only a key: `enode://<128 hex digits>`, or the digits alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeUrl {
    /// With an address.
    Complete(Enode),
    /// Without one.
    Incomplete(PublicKey),
}

impl NodeUrl {
    /// Returns the node's key.
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Complete(enode) => &enode.id,
            Self::Incomplete(key) => key,
        }
    }
}

impl FromStr for NodeUrl {
    type Err = EnodeError;

    fn from_str(text: &str) -> Result<Self, EnodeError> {
        match incomplete(text) {
            Some(id) => parse_id(id).map(Self::Incomplete),
            None => text.parse().map(Self::Complete),
        }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(enode) => enode.fmt(f),
            Self::Incomplete(key) => write!(f, "enode://{}", hex::encode(key.to_xy())),
        }
    }
}

/// The URL of a bootnode as legacy v5 reads it, and the cache of a pool: the host is an address, and
/// the key is not checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootnodeUrl {
    /// The key, which does not have to be a point.
    pub key: NodeKey,
    /// The address, and the ports for connections and for discovery.
    pub address: Option<(IpAddr, u16, u16)>,
}

impl BootnodeUrl {
    /// Returns the node, if a node can begin with it: it has a key, an address and both ports.
    pub fn node(&self) -> Option<Enode> {
        let (ip, tcp, udp) = self.address?;
        let id = self.key.public_key().ok()?;
        let is_usable = tcp != 0 && udp != 0 && !ip.is_unspecified() && !ip.is_multicast();
        is_usable.then_some(Enode { id, host: Host::Ip(ip), tcp, udp })
    }
}

impl FromStr for BootnodeUrl {
    type Err = EnodeError;

    fn from_str(text: &str) -> Result<Self, EnodeError> {
        if let Some(id) = incomplete(text) {
            return Ok(Self { key: NodeKey(parse_xy(id)?), address: None });
        }
        let parts = Parts::split(text)?;
        let key = NodeKey(parse_xy(parts.id.strip_prefix("0x").unwrap_or(parts.id))?);
        let (host, tcp) = split_port(parts.address)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        };
        let ip = ip.ok_or_else(|| EnodeError::Host(host.to_owned()))?.to_canonical();
        let (tcp, udp) = parts.ports(tcp)?;
        Ok(Self { key, address: Some((ip, tcp, udp)) })
    }
}

impl fmt::Display for BootnodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enode://{}", hex::encode(self.key.0))?;
        let Some((ip, tcp, udp)) = self.address else { return Ok(()) };
        write!(f, "@{}:{tcp}", Host::Ip(ip))?;
        if udp != tcp {
            write!(f, "?discport={udp}")?;
        }
        Ok(())
    }
}

/// Returns the digits of a URL without an address.
fn incomplete(text: &str) -> Option<&str> {
    let id = strip_scheme(text).unwrap_or(text);
    let is_hex = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(id)
}

//! Nodes as the packets name them, and the parts that both protocols share.

use std::net::IpAddr;

use crate::{
    bytes::fixed_bytes,
    crypto::{KeyError, PublicKey, keccak256},
    devp2p::NodeId,
    rlp::{self, Reader, RlpError},
};

fixed_bytes! {
    /// The public key of a node as packets carry it: 64 bytes, X and Y.
    ///
    /// Not every value is a key. [`public_key`](Self::public_key) checks it.
    pub struct NodeKey([u8; 64]);
}

impl NodeKey {
    /// Returns the Keccak-256 of the bytes, by which distances are measured.
    pub fn node_id(&self) -> NodeId {
        NodeId(keccak256(&self.0))
    }

    /// Returns the key.
    ///
    /// # Errors
    ///
    /// If the bytes are not a point of the curve.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_slice(&self.0)
    }
}

impl From<&PublicKey> for NodeKey {
    fn from(key: &PublicKey) -> Self {
        Self(key.to_xy())
    }
}

/// Where a node listens: `[ip, udp, tcp]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address: 4 or 16 bytes in practice. Packets with other lengths decode, too.
    pub ip: Vec<u8>,
    /// The port for discovery.
    pub udp: u16,
    /// The port for RLPx connections.
    pub tcp: u16,
}

impl Endpoint {
    /// Makes an endpoint. IPv4 addresses that are mapped to IPv6 are written in 4 bytes.
    pub fn new(ip: IpAddr, udp: u16, tcp: u16) -> Self {
        let ip = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Self { ip, udp, tcp }
    }

    /// Returns the address, IPv4 where it is mapped to IPv6. `None` for other lengths.
    ///
    /// Nodes that listen on all addresses of a host with IPv6 send IPv4 in 16 bytes.
    pub fn ip_addr(&self) -> Option<IpAddr> {
        ip_addr(&self.ip)
    }

    pub(super) fn read(items: &mut Reader<'_>, name: &'static str) -> Result<Self, RlpError> {
        let mut items = items.list(name)?;
        let endpoint = Self::read_items(&mut items)?;
        items.finish()?;
        Ok(endpoint)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        rlp::put_list(out, |out| self.put_items(out));
    }

    fn read_items(items: &mut Reader<'_>) -> Result<Self, RlpError> {
        Ok(Self {
            ip: items.string("ip")?.to_vec(),
            udp: items.u16("UDP port")?,
            tcp: items.u16("TCP port")?,
        })
    }

    fn put_items(&self, out: &mut Vec<u8>) {
        rlp::put_bytes(out, &self.ip);
        rlp::put_u64(out, self.udp.into());
        rlp::put_u64(out, self.tcp.into());
    }
}

/// Reads an address of 4 or 16 bytes.
pub(super) fn ip_addr(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| IpAddr::from(v6).to_canonical())
}

/// A node that another one names: `[ip, udp, tcp, id]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeEntry {
    /// Where it listens, as the other one says. See [`relay`](super::relay).
    pub endpoint: Endpoint,
    /// Its key, unchecked.
    pub key: NodeKey,
}

impl NodeEntry {
    pub(super) fn read_list(items: &mut Reader<'_>) -> Result<Vec<Self>, RlpError> {
        let mut list = items.list("nodes")?;
        let mut nodes = Vec::new();
        while !list.is_empty() {
            let mut items = list.list("node")?;
            let endpoint = Endpoint::read_items(&mut items)?;
            nodes.push(Self { endpoint, key: NodeKey(items.bytes("node id")?) });
            items.finish()?;
        }
        Ok(nodes)
    }

    pub(super) fn put_list(out: &mut Vec<u8>, nodes: &[Self]) {
        rlp::put_list(out, |out| {
            for node in nodes {
                rlp::put_list(out, |out| {
                    node.endpoint.put_items(out);
                    rlp::put_bytes(out, &node.key.0);
                });
            }
        });
    }
}

/// The items of a list after those that the protocol defines, kept as RLP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Extra(Vec<u8>);

impl Extra {
    /// Takes the concatenated RLP of any number of items.
    ///
    /// # Errors
    ///
    /// If the bytes are something else.
    pub fn from_rlp(items: &[u8]) -> Result<Self, RlpError> {
        Self::read(&mut Reader::new(items))
    }

    /// Returns the concatenated RLP of the items.
    pub fn as_rlp(&self) -> &[u8] {
        &self.0
    }

    /// Returns the RLP of each item.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || reader.raw_item("item").ok())
    }

    /// Reads the first item as an integer. In ping and pong of v4 it is the number of the sender's
    /// record.
    pub fn sequence(&self) -> Option<u64> {
        Reader::new(&self.0).u64("sequence").ok()
    }

    pub(super) fn read(items: &mut Reader<'_>) -> Result<Self, RlpError> {
        let rest = items.remaining();
        while !items.is_empty() {
            items.raw_item("item")?;
        }
        Ok(Self(rest.to_vec()))
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// A request for nodes near a key: `[target, expiration]`. The answer is [`Neighbors`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindNode {
    /// The key, which does not have to be a point.
    pub target: NodeKey,
    /// When the packet ends to be valid, UNIX seconds. Legacy v5 does not check it.
    pub expiration: u64,
    /// Further items.
    pub extra: Extra,
}

impl FindNode {
    pub(super) fn read(items: &mut Reader<'_>) -> Result<Self, RlpError> {
        Ok(Self {
            target: NodeKey(items.bytes("target")?),
            expiration: items.u64("expiration")?,
            extra: Extra::read(items)?,
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        rlp::put_bytes(out, &self.target.0);
        rlp::put_u64(out, self.expiration);
        self.extra.put(out);
    }
}

/// An answer with nodes: `[[node, …], expiration]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbors {
    /// The nodes. Nodes send at most [`MAX_NODES`](super::MAX_NODES) in a packet.
    pub nodes: Vec<NodeEntry>,
    /// When the packet ends to be valid, UNIX seconds. Legacy v5 does not check it.
    pub expiration: u64,
    /// Further items.
    pub extra: Extra,
}

impl Neighbors {
    pub(super) fn read(items: &mut Reader<'_>) -> Result<Self, RlpError> {
        Ok(Self {
            nodes: NodeEntry::read_list(items)?,
            expiration: items.u64("expiration")?,
            extra: Extra::read(items)?,
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        NodeEntry::put_list(out, &self.nodes);
        rlp::put_u64(out, self.expiration);
        self.extra.put(out);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn endpoint() -> impl Strategy<Value = Endpoint> {
        let ip = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| ip.to_vec()),
            any::<[u8; 16]>().prop_map(|ip| ip.to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        (ip, any::<u16>(), any::<u16>()).prop_map(|(ip, udp, tcp)| Endpoint { ip, udp, tcp })
    }

    pub fn node_key() -> impl Strategy<Value = NodeKey> {
        any::<[[u8; 32]; 2]>().prop_map(|halves| {
            let mut key = [0; 64];
            key[..32].copy_from_slice(&halves[0]);
            key[32..].copy_from_slice(&halves[1]);
            NodeKey(key)
        })
    }

    pub fn nodes() -> impl Strategy<Value = Vec<NodeEntry>> {
        let node = (endpoint(), node_key()).prop_map(|(endpoint, key)| NodeEntry { endpoint, key });
        prop::collection::vec(node, 0..=super::super::MAX_NODES)
    }

    pub fn extra() -> impl Strategy<Value = Extra> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..3).prop_map(|items| {
            let mut out = Vec::new();
            items.iter().for_each(|item| rlp::put_bytes(&mut out, item));
            Extra(out)
        })
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let four = Endpoint::new("1.2.3.4".parse().unwrap(), 1, 2);
        assert_eq!(four.ip, [1, 2, 3, 4]);
        assert_eq!(Endpoint::new("::ffff:1.2.3.4".parse().unwrap(), 1, 2), four);
        let mapped = Endpoint { ip: [&[0; 10][..], &[255, 255, 1, 2, 3, 4]].concat(), ..four };
        assert_eq!(mapped.ip_addr(), Some("1.2.3.4".parse().unwrap()));
        assert_eq!(Endpoint { ip: vec![1; 5], ..mapped }.ip_addr(), None);
    }

    #[test]
    fn further_items_are_rlp() {
        let extra = Extra::from_rlp(&[7, 0xc2, 0x78, 0x79]).unwrap();
        assert_eq!(extra.items().collect::<Vec<_>>(), [&[7][..], &[0xc2, 0x78, 0x79]]);
        assert_eq!(extra.sequence(), Some(7));
        assert_eq!(Extra::default().sequence(), None);
        assert!(Extra::from_rlp(&[0x82, 1]).is_err());
    }
}

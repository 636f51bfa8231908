//! Discovery v4. No program of Status answers it, but other networks do.
//!
//! ```text
//! hash of the rest (32) || signature (65) || type (1) || RLP list
//! ```
//!
//! | type | packet | list |
//! | --: | --- | --- |
//! | 1 | [`Ping`] | `[version, from, to, expiration, record number?]` |
//! | 2 | [`Pong`] | `[to, reply token, expiration, record number?]` |
//! | 3 | [`FindNode`] | `[target, expiration]` |
//! | 4 | [`Neighbors`] | `[[node, …], expiration]` |
//! | 5 | [`RecordRequest`] | `[expiration]` |
//! | 6 | [`RecordResponse`] | `[reply token, record]` |
//!
//! Bytes after the list are ignored, and further items are kept, as EIP-8 demands. A node ignores
//! packets whose expiration is past; [`Packet::expiration`] returns it.

use crate::{
    crypto::{SecretKey, keccak256},
    discovery::{
        Datagram, DatagramError, Endpoint, Extra, FindNode, Neighbors, PacketHash, Received,
        UnverifiedRecord,
        datagram::{SIGNATURE, Signed, cut, fit, put_signed},
    },
    rlp::{self, Reader, RlpError},
};

/// The version that nodes write into a ping.
pub const VERSION: u64 = 4;

const HASH: usize = 32;

/// Types of packets.
pub mod kind {
    #![allow(missing_docs)]
    pub const PING: u8 = 1;
    pub const PONG: u8 = 2;
    pub const FIND_NODE: u8 = 3;
    pub const NEIGHBORS: u8 = 4;
    pub const RECORD_REQUEST: u8 = 5;
    pub const RECORD_RESPONSE: u8 = 6;
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// Type 1.
    Ping(Ping),
    /// Type 2.
    Pong(Pong),
    /// Type 3.
    FindNode(FindNode),
    /// Type 4.
    Neighbors(Neighbors),
    /// Type 5.
    RecordRequest(RecordRequest),
    /// Type 6.
    RecordResponse(RecordResponse),
}

/// Asks for a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// [`VERSION`] in practice.
    pub version: u64,
    /// Where the sender listens.
    pub from: Endpoint,
    /// Where the packet is sent. The TCP port is 0.
    pub to: Endpoint,
    /// When the packet ends to be valid, UNIX seconds.
    pub expiration: u64,
    /// Further items: first the number of the sender's record, if it has one.
    pub extra: Extra,
}

/// Answers a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// Where the packet is sent.
    pub to: Endpoint,
    /// The hash of the ping. Other lengths than 32 bytes decode.
    pub reply_token: Vec<u8>,
    /// When the packet ends to be valid, UNIX seconds.
    pub expiration: u64,
    /// Further items: first the number of the sender's record, if it has one.
    pub extra: Extra,
}

/// Asks for the receiver's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRequest {
    /// When the packet ends to be valid, UNIX seconds.
    pub expiration: u64,
    /// Further items.
    pub extra: Extra,
}

/// Answers a request for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordResponse {
    /// The hash of the request.
    pub reply_token: Vec<u8>,
    /// The record, whose signature is not checked yet.
    pub record: UnverifiedRecord,
    /// Further items.
    pub extra: Extra,
}

impl Packet {
    /// Reads a datagram, of which only the first [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes count.
    ///
    /// # Errors
    ///
    /// If it is not a packet. Nodes ignore such datagrams.
    pub fn decode(datagram: &[u8]) -> Result<Received<Self>, DatagramError> {
        let datagram = cut(datagram);
        let least = HASH + SIGNATURE + 1;
        let Some((hash, rest)) = datagram.split_first_chunk::<HASH>() else {
            return Err(DatagramError::Length { got: datagram.len(), least });
        };
        let signed = Signed::split(rest, HASH)?;
        if !(kind::PING..=kind::RECORD_RESPONSE).contains(&signed.kind) {
            return Err(DatagramError::Type(signed.kind));
        }
        if keccak256(rest) != *hash {
            return Err(DatagramError::Hash);
        }
        let packet = Self::read(signed.kind, signed.data)?;
        Ok(Received { packet, sender: signed.sender()?, hash: PacketHash(*hash) })
    }

    /// Signs and writes the packet.
    ///
    /// # Errors
    ///
    /// If it has more than [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes.
    pub fn encode(&self, key: &SecretKey) -> Result<Datagram, DatagramError> {
        let mut data = Vec::new();
        rlp::put_list(&mut data, |out| self.put(out));
        let mut bytes = vec![0; HASH];
        put_signed(&mut bytes, self.kind(), &data, key);
        let mut bytes = fit(bytes)?;
        let hash = keccak256(&bytes[HASH..]);
        bytes[..HASH].copy_from_slice(&hash);
        Ok(Datagram { bytes, hash: PacketHash(hash) })
    }

    /// Returns the type of the packet.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::FindNode(_) => kind::FIND_NODE,
            Self::Neighbors(_) => kind::NEIGHBORS,
            Self::RecordRequest(_) => kind::RECORD_REQUEST,
            Self::RecordResponse(_) => kind::RECORD_RESPONSE,
        }
    }

    /// Returns when the packet ends to be valid, UNIX seconds. A record response is always valid.
    pub fn expiration(&self) -> Option<u64> {
        match self {
            Self::Ping(Ping { expiration, .. })
            | Self::Pong(Pong { expiration, .. })
            | Self::FindNode(FindNode { expiration, .. })
            | Self::Neighbors(Neighbors { expiration, .. })
            | Self::RecordRequest(RecordRequest { expiration, .. }) => Some(*expiration),
            Self::RecordResponse(_) => None,
        }
    }

    fn read(kind: u8, data: &[u8]) -> Result<Self, DatagramError> {
        let items = &mut Reader::new(data).list("packet")?;
        let packet = match kind {
            kind::PING => Self::Ping(read_ping(items)?),
            kind::PONG => Self::Pong(read_pong(items)?),
            kind::FIND_NODE => Self::FindNode(FindNode::read(items)?),
            kind::NEIGHBORS => Self::Neighbors(Neighbors::read(items)?),
            kind::RECORD_REQUEST => Self::RecordRequest(RecordRequest {
                expiration: items.u64("expiration")?,
                extra: Extra::read(items)?,
            }),
            kind::RECORD_RESPONSE => Self::RecordResponse(RecordResponse {
                reply_token: items.string("reply token")?.to_vec(),
                record: UnverifiedRecord::decode(items.raw_item("record")?)
                    .map_err(DatagramError::Record)?,
                extra: Extra::read(items)?,
            }),
            other => return Err(DatagramError::Type(other)),
        };
        Ok(packet)
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ping(ping) => {
                rlp::put_u64(out, ping.version);
                ping.from.put(out);
                ping.to.put(out);
                rlp::put_u64(out, ping.expiration);
                ping.extra.put(out);
            }
            Self::Pong(pong) => {
                pong.to.put(out);
                rlp::put_bytes(out, &pong.reply_token);
                rlp::put_u64(out, pong.expiration);
                pong.extra.put(out);
            }
            Self::FindNode(find) => find.put(out),
            Self::Neighbors(neighbors) => neighbors.put(out),
            Self::RecordRequest(request) => {
                rlp::put_u64(out, request.expiration);
                request.extra.put(out);
            }
            Self::RecordResponse(response) => {
                rlp::put_bytes(out, &response.reply_token);
                out.extend_from_slice(response.record.as_rlp());
                response.extra.put(out);
            }
        }
    }
}

fn read_ping(items: &mut Reader<'_>) -> Result<Ping, RlpError> {
    Ok(Ping {
        version: items.u64("version")?,
        from: Endpoint::read(items, "sender's endpoint")?,
        to: Endpoint::read(items, "receiver's endpoint")?,
        expiration: items.u64("expiration")?,
        extra: Extra::read(items)?,
    })
}

fn read_pong(items: &mut Reader<'_>) -> Result<Pong, RlpError> {
    Ok(Pong {
        to: Endpoint::read(items, "receiver's endpoint")?,
        reply_token: items.string("reply token")?.to_vec(),
        expiration: items.u64("expiration")?,
        extra: Extra::read(items)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::{
        RecordBuilder,
        node::tests::{endpoint, extra, node_key, nodes},
    };

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    fn packet() -> impl Strategy<Value = Packet> {
        let token = || prop::collection::vec(any::<u8>(), 0..33);
        prop_oneof![
            (any::<(u64, u64)>(), endpoint(), endpoint(), extra()).prop_map(
                |((version, expiration), from, to, extra)| {
                    Packet::Ping(Ping { version, from, to, expiration, extra })
                }
            ),
            (endpoint(), token(), any::<u64>(), extra()).prop_map(
                |(to, reply_token, expiration, extra)| {
                    Packet::Pong(Pong { to, reply_token, expiration, extra })
                }
            ),
            (node_key(), any::<u64>(), extra()).prop_map(|(target, expiration, extra)| {
                Packet::FindNode(FindNode { target, expiration, extra })
            }),
            (nodes(), any::<u64>(), extra()).prop_map(|(nodes, expiration, extra)| {
                Packet::Neighbors(Neighbors { nodes, expiration, extra })
            }),
            (any::<u64>(), extra()).prop_map(|(expiration, extra)| {
                Packet::RecordRequest(RecordRequest { expiration, extra })
            }),
            (token(), any::<u64>(), extra()).prop_map(|(reply_token, seq, extra)| {
                let record = RecordBuilder::new(seq).udp(30303).sign(&key()).unwrap();
                let record = record.to_unverified();
                Packet::RecordResponse(RecordResponse { reply_token, record, extra })
            }),
        ]
    }

    proptest! {
        #[test]
        fn packets_round_trip(packet in packet(), bit in any::<prop::sample::Index>()) {
            let datagram = packet.encode(&key()).unwrap();
            let received = Packet::decode(&datagram.bytes).unwrap();
            prop_assert_eq!(received.sender, key().public_key());
            prop_assert_eq!(received.hash, datagram.hash);
            prop_assert_eq!(received.packet, packet);

            // Unlike in v5, damage is seen.
            let mut damaged = datagram.bytes;
            let bit = bit.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Packet::decode(&damaged).is_err());
        }

        #[test]
        fn any_data_decodes_or_fails(
            kind: u8, data in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut datagram = vec![0; HASH];
            put_signed(&mut datagram, kind % 8, &data, &key());
            let hash = keccak256(&datagram[HASH..]);
            datagram[..HASH].copy_from_slice(&hash);
            if let Ok(received) = Packet::decode(&datagram) {
                let again = received.packet.encode(&key()).unwrap();
                prop_assert_eq!(Packet::decode(&again.bytes).unwrap().packet, received.packet);
            }
        }
    }
}

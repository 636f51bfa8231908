//! Finding nodes: the packets of the discovery protocols, node records, and their arithmetic.
//!
//! | what | where | source |
//! | --- | --- | --- |
//! | legacy discovery v5: packets, tickets | [`v5`] | go-ethereum 1.9, "topic discovery" |
//! | discovery v4: packets | [`v4`] | devp2p `discv4.md`, EIP-8, EIP-868 |
//! | signed node records | [`record`] | EIP-778 |
//! | endpoints, keys and entries of nodes | [`Endpoint`], [`NodeKey`], [`NodeEntry`] | devp2p `discv4.md` |
//! | node URLs of bootnodes, and incomplete ones | [`BootnodeUrl`], [`NodeUrl`] | go-ethereum 1.9 |
//! | rendezvous: messages | [`rendezvous`] | Status, "Rendezvous" |
//! | addresses, identities and frames that rendezvous runs over | [`libp2p`] | libp2p, multiformats |
//! | names of topics, radius buckets, waiting times | [`topic`] | go-ethereum 1.9 |
//! | distances between nodes | [`distance`] | devp2p `discv4.md` |
//! | which addresses a stranger can name | [`relay`] | go-ethereum 1.9; RFC 6890 |
//!
//! Legacy v5 is what the network of 2020 speaks. Today's discovery v5 is another protocol.
//!
//! # What a signature proves
//!
//! A packet does not name its sender: the key is recovered from the signature. A damaged packet of
//! v5 therefore decodes, as the packet of a node that does not exist. A packet of v4 has a hash
//! against this. Neither proves that the sender has the address that it uses.
//!
//! Each decoding makes at most one recovery, and only if everything else is right.

mod datagram;
pub mod distance;
pub mod libp2p;
mod node;
pub mod record;
pub mod relay;
pub mod rendezvous;
pub mod topic;
mod url;
pub mod v4;
pub mod v5;

pub use datagram::{Datagram, DatagramError, MAX_DATAGRAM, PacketHash, Received};
pub use libp2p::{Multiaddr, PeerId};
pub use node::{Endpoint, Extra, FindNode, Neighbors, NodeEntry, NodeKey};
pub use record::{Record, RecordBuilder, RecordError, UnverifiedRecord};
pub use relay::RelayError;
pub use topic::{TopicListHash, TopicName};
pub use url::{BootnodeUrl, NodeUrl};

/// The most nodes in one packet of ours. More would not fit into [`MAX_DATAGRAM`] bytes.
pub const MAX_NODES: usize = 12;

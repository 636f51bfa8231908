//! devp2p: encrypted, authenticated connections that carry several protocols at once.
//!
//! | what | where | section of devp2p `rlpx.md` |
//! | --- | --- | --- |
//! | node URLs and ids | [`enode`], [`NodeId`] | ("Node URL Format", `enode.md`) |
//! | the key agreement: auth and ack, plain or EIP-8 | [`handshake`] | "Initial Handshake" |
//! | frames and their MACs | [`frame`] | "Framing" |
//! | compression of payloads | [`snappy`] | (EIP-706) |
//! | Hello, Disconnect, ping, pong | [`base`] | "p2p Capability" |
//! | shared protocols and their message codes | [`capability`] | "Capability Messaging" |
//!
//! States are types: an [`Initiator`](handshake::Initiator) becomes
//! [`Secrets`](handshake::Secrets). The connection with its timers is in the network crate.

pub mod base;
pub mod capability;
pub mod enode;
pub mod frame;
pub mod handshake;
mod node_id;
pub mod snappy;

pub use base::{DisconnectReason, Hello};
pub use capability::{Capability, Protocol, SharedProtocol};
pub use enode::{Enode, Host};
pub use node_id::NodeId;

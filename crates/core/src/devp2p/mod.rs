//! devp2p: an encrypted, authenticated connection that carries several protocols at once.
//!
//! | what | where | section of devp2p `rlpx.md` |
//! | --- | --- | --- |
//! | who and where a node is | [`enode`], [`NodeId`] | ("Node URL Format", `enode.md`) |
//! | agreeing on keys: auth and ack, plain or EIP-8 | [`handshake`] | "Initial Handshake" |
//! | frames and their MACs | [`frame`] | "Framing" |
//! | compression of payloads | [`snappy`] | (EIP-706) |
//! | Hello, Disconnect, ping, pong | [`base`] | "p2p Capability" |
//! | which protocols both sides speak, and their message codes | [`capability`] | "Capability Messaging" |
//!
//! States are types: an [`Initiator`](handshake::Initiator) becomes
//! [`Secrets`](handshake::Secrets). The connection itself, with its timers, is in the network crate.

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

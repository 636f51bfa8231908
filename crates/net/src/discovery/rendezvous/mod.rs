//! Rendezvous, as Status has it: servers keep records of nodes by topic for some seconds.
//!
//! | layer | where |
//! | --- | --- |
//! | requests and answers | [`statuskit_core::discovery::rendezvous`] |
//! | streams | `yamux` |
//! | encryption, deprecated | `secio` |
//! | agreeing on each of these | `negotiation` |
//! | all of them, on bytes | `connection` |
//! | the records of a server | `registry` |
//!
//! [`Server`], [`Client`] and [`Agent`] (which registers and searches all the time) are thin tasks
//! around these. The key of a connection is not that of a node: servers have one that is a part of
//! their address, clients a new one at each start.
//!
//! # Bounds
//!
//! Connections of strangers are bounded in all and per address. Each has 16 streams, 16 KiB of
//! requests on each stream, and 20 requests per second. A request has 10 s to arrive, and so has a
//! handshake; an answer has 10 s to be taken. While 64 KiB wait to be sent, nothing more is
//! answered. Records are bounded in all and per address.

mod agent;
mod client;
mod connection;
mod negotiation;
mod registry;
mod secio;
mod server;
mod serving;
mod yamux;

pub use agent::{Agent, AgentConfig, AgentEvent, node_of};
pub use client::{Client, ClientError, Found, REGISTER_PERIOD, REGISTER_TTL, REQUEST_LIMIT};
pub use connection::{Connection, ConnectionError, Event};
pub use negotiation::NegotiationError;
pub use registry::{Registry, RegistryLimits};
pub use secio::SecioError;
pub use server::{Server, ServerConfig, ServerEvent};
pub use yamux::YamuxError;

#[cfg(test)]
mod tests;

//! A running Whisper node: peers, the pool of envelopes, who gets what and when.
//!
//! Two layers, and the line between them is the point of the design:
//!
//! - the **core** ([`Node`]) is a state machine without sockets, clock, threads or `async`: it is
//!   fed with `(input, now)` and drained of packets and [`Output`]s. The simulator, the tests and
//!   the service drive the same one.
//! - the **service** ([`Service`]) is a thin layer of tokio tasks around one core: it listens,
//!   dials, and carries bytes.
//!
//! | what | where |
//! | --- | --- |
//! | settings and limits | [`NodeConfig`] |
//! | the state machine | [`Node`] |
//! | what it reports | [`Output`], [`Event`] |
//! | the pool: arrival log, marks, expiry | `pool` |
//! | rate limits: those that peers must keep, and those that we keep | `limit`, `pace` |
//!
//! Source: EIP-627 and the Whisper specification of Status, with the behaviour of the reference
//! (status-go v0.50.2) where they leave it open. What the node does with an envelope follows the
//! envelopes that are new, never those that lie in the pool: an idle pool costs nothing.

mod config;
mod core;
mod error;
mod event;
mod hashing;
mod limit;
mod pace;
mod peer;
mod pool;
mod receive;
mod service;
mod transmit;

pub use core::{Node, SendError, Sent, Stats, Time};

pub use config::{Interest, NodeConfig, NodeLimits, RateLimit};
pub use error::{ConnectError, EndReason, PeerError};
pub use event::{Event, Output, PeerSummary};
pub use peer::{ConnectionId, PeerInfo, PeerState};
pub use pool::PooledEnvelope;
pub use service::{
    Clock, Handle, PeerOptions, Service, ServiceConfig, ServiceError, Subscription, Watch, Watched,
};
pub use transmit::{Outgoing, Token};

#[cfg(test)]
mod tests;

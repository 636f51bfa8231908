//! A running node of Whisper, Waku or both: peers, the pool of envelopes, and what is forwarded when.
//!
//! There are two layers:
//!
//! - the **core** ([`Node`]) is a state machine without sockets, clock, threads or `async`. It
//!   accepts `(input, now)`, and returns packets and [`Output`]s. Simulators, tests and the service
//!   drive the same core.
//! - the **service** ([`Service`]) is a thin layer of tokio tasks around one core. It listens,
//!   dials, and carries bytes.
//!
//! | what | where |
//! | --- | --- |
//! | settings and limits | [`NodeConfig`] |
//! | the state machine | [`Node`] |
//! | what it reports | [`Output`], [`Event`] |
//! | the pool: arrival log, marks, expiry | `pool` |
//! | who may hold how much of it | `holders` |
//! | packets that arrive | `receive` |
//! | packets that leave | `transmit` |
//! | how far the clock is off | `skew` |
//! | rate limits: ours for peers, and theirs for us | `limit`, `pace` |
//!
//! Source: EIP-627 and the Whisper specification of Status; where they leave it open, the behaviour
//! of the reference (status-go v0.50.2). Work follows new envelopes, never the size of the pool: an
//! idle pool costs nothing.

mod clock;
mod config;
mod core;
mod deferred;
mod error;
mod event;
mod hashing;
mod holders;
mod limit;
mod pace;
mod peer;
mod pool;
mod receive;
mod rewinds;
pub(crate) mod service;
mod skew;
pub(crate) mod source;
mod transmit;

pub use core::{Node, SendError, Sent, Stats};

pub use clock::{Clock, Time};
pub use config::{Interest, NodeConfig, NodeLimits, RateLimit};
pub use error::{ConnectError, EndReason, PeerError};
pub use event::{Crossing, Event, Output, PeerSummary};
pub use peer::{ConnectionId, PeerInfo, PeerState};
pub use pool::PooledEnvelope;
pub use service::{
    BridgeConfig, BridgeStats, Handle, PeerOptions, Service, ServiceConfig, ServiceError,
    Subscription, Watch, Watched, Way, WayStats,
};
pub use skew::ClockOffset;
pub use source::source;
pub use transmit::{Outgoing, Token};

#[cfg(test)]
mod tests;

//! Data sync (MVDS): messages are repeated until they are acknowledged.
//!
//! What one device has for another (a [`Message`]: group, time, body) goes into [`Payload`]s,
//! together with acknowledgements of what has come. In a one-to-one conversation the body is a
//! payload of Status clients with its wrapper, and the payload of data sync is what gets
//! encrypted; public chats, contact codes and pairing go without. A receiver takes both:
//! [`Payload::detect`] tells which it is.
//!
//! [`Node`] is the flow: append, tick, receive. It knows no clock and no network; what it must
//! remember is in a [`Store`], row by row, so that a caller can put it into the transaction that
//! also holds its sessions.
//!
//! Source: the minimum viable protocol for data synchronisation of vac.dev, with the behaviour of
//! the reference (status-go v0.50.2). Ours differs from that in four things, all of which it
//! understands:
//!
//! - repetitions grow from the time of the last one (see [`delay`]), not from the epoch's number;
//! - a message that comes again is acknowledged again: its acknowledgement was lost;
//! - nothing is sent where there is nothing to say, where the reference sends empty payloads;
//! - repetitions end one day (see [`Limits::max_sends`]).
//!
//! Offers are never sent: the reference crashes when one comes twice. They are read, and
//! answered with requests.

mod message;
mod node;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod proto;
mod rows;
#[rustfmt::skip]
#[allow(missing_docs)]
mod schema;
mod store;

pub use message::{GroupId, Message, MessageId, Payload, Stray};
pub use node::{Limits, Node, Received, Ticked, delay};
pub use store::{MemoryStore, Store, SyncError};

/// How long an epoch takes in the clients, in milliseconds: one tick.
pub const TICK_MS: u64 = 300;

#[cfg(test)]
mod tests;

//! Data sync (MVDS): repeats messages until they are acknowledged.
//!
//! A device puts its [`SyncMessage`]s for a peer (group, time, body) into [`SyncPayload`]s,
//! together with acknowledgements of received messages. In a one-to-one chat, the body is a wrapped
//! payload of Status clients, and the payload of data sync is what gets encrypted. Public chats,
//! contact codes and pairing don't use data sync. A receiver accepts both: [`SyncPayload::detect`]
//! tells them apart.
//!
//! [`DataSync`] is the state machine: append, tick, receive. It has no clock and no network. It
//! stores its state row by row in a [`SyncStore`], so that a caller can commit it together with its
//! sessions.
//!
//! Source: vac.dev, "Minimum Viable Protocol for Data Synchronisation", with the behaviour of the
//! reference (status-go v0.50.2). Five differences, all compatible with the reference:
//!
//! - The delay of a repetition counts from the last one (see [`resend_delay`]), not from the number
//!   of the epoch.
//! - A repeated message is acknowledged again, since its acknowledgement was lost.
//! - There are no empty payloads. The reference sends them.
//! - Repetitions end after [`SyncLimits::max_sends`].
//! - At most [`MAX_ITEMS`] messages of a payload are sent and handled.
//!
//! Offers are never sent, since the reference crashes on a repeated one. Received offers are
//! answered with requests.

mod data_sync;
mod message;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod proto;
mod rows;
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod schema;
mod store;

pub use data_sync::{DataSync, SyncLimits, SyncReceived, SyncTick, resend_delay};
pub use message::{GroupId, MAX_ITEMS, StrayMessage, SyncMessage, SyncMessageId, SyncPayload};
pub use store::{MemorySyncStore, SyncError, SyncStore};

/// The length of an epoch in Status clients, in milliseconds.
pub const TICK_MS: u64 = 300;

#[cfg(test)]
mod tests;

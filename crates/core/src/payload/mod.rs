//! Payloads: what Status clients put into messages, public and private.
//!
//! | what | where |
//! | --- | --- |
//! | the wrapper with type, signature and message id | [`wrapper`] |
//! | the known types, and any message as one value | [`types`] |
//! | each message as a Rust type | [`proto`] |
//! | the checks of a receiver, one by one | [`check`] |
//! | Lamport clocks | [`clock`] |
//! | which chat a message belongs to | [`matching`] |
//! | profiles of contacts | [`contact`] |
//! | transaction commands and their proofs | [`transaction`] |
//! | group chats: membership events | [`group`] |
//! | messages of clients before 2020 | [`legacy`] |
//!
//! # Adding a type
//!
//! 1. Define the message and its number in `proto/status.proto`.
//! 2. Generate [`proto`] and [`schema`]: `UPDATE_GENERATED=1 cargo test --test generated`.
//! 3. Add a line to the table in [`types`].
//! 4. If receivers check it, add its rules to [`check`].
//!
//! The tools read the tables, and know the type from then on.
//!
//! Source: Status, "Payloads", with the wrapper and the checks of the reference (status-go
//! v0.50.2). What later clients added is marked in the definitions.

pub mod chat;
pub mod check;
pub mod clock;
pub mod contact;
mod error;
pub mod group;
mod id;
pub mod legacy;
pub mod matching;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto;
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod schema;
pub mod transaction;
pub mod types;
pub mod wrapper;

pub use error::PayloadError;
pub use id::MessageId;
pub use types::{PayloadMessage, PayloadType};
pub use wrapper::Wrapper;

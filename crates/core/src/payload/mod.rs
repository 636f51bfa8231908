//! Payloads: what Status clients put into messages, public and private.
//!
//! | what | where |
//! | --- | --- |
//! | the wrapper with type, signature and message id | [`wrapper`] |
//! | which types there are; any message as one value | [`types`] |
//! | every message as a Rust type | [`proto`] |
//! | the checks of a receiver, one by one | [`check`] |
//! | Lamport clocks | [`clock`] |
//! | to which chat a message belongs | [`matching`] |
//! | what is known about people | [`contact`] |
//! | transaction commands and their proofs | [`transaction`] |
//! | group chats: membership events | [`group`] |
//!
//! [`proto`] and [`schema`] are generated from `proto/status.proto` and kept in the tree.
//!
//! Source: the payloads specification of Status, with the wrapper and the checks of the reference
//! (status-go v0.50.2); what later clients added has its own place in the definitions.

pub mod chat;
pub mod check;
pub mod clock;
pub mod contact;
pub mod group;
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

pub use types::{PayloadMessage, PayloadType};
pub use wrapper::{PayloadError, Wrapper};

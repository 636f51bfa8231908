//! Payloads: what Status clients put into Whisper messages.
//!
//! So far the wrapper ([`wrapper`]) and the chat message ([`chat`]); the protobuf code
//! ([`proto`]) is generated from `proto/status.proto` and kept in the tree.
//!
//! Source: the payloads specification of Status; the wrapper is the one with fields 1 to 3 that
//! clients read, not the older one of the document.

pub mod chat;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto;
pub mod wrapper;

pub use wrapper::{PayloadError, Wrapper};

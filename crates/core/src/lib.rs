//! The Status client protocols as pure code: bytes in, typed values or typed errors out, and back
//! to the same bytes.
//!
//! This crate uses no sockets, clocks, files or runtime. Time and randomness are arguments.
//!
//! A module imports only from the lines above its own (unit tests aside):
//!
//! ```text
//! crypto  rlp  protobuf  time
//! eip  envelope  devp2p  sync
//! account  discovery  wire
//! mailserver  payload  secure
//! chat
//! ```

#![deny(unsafe_code)]

pub mod account;
mod bytes;
pub mod chat;
pub mod crypto;
pub mod devp2p;
pub mod discovery;
pub mod eip;
pub mod envelope;
#[cfg(test)]
mod foreign;
pub mod mailserver;
pub mod payload;
pub mod protobuf;
pub mod reader;
pub mod rlp;
pub mod secure;
pub mod sync;
pub mod text;
pub mod time;
pub mod wire;

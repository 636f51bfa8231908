//! A Whisper node: devp2p connections, peers, the pool of envelopes.

#![deny(unsafe_code)]

pub mod connection;
pub mod node;
pub mod testing;

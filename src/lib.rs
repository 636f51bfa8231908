//! The Status client protocols.
#![deny(unsafe_code)]
pub mod chat;
pub mod cli;
pub mod crypto;
pub mod devp2p;
pub mod node;
pub mod payload;
pub mod rlp;
pub mod whisper;

//! The Status client protocols.
#![deny(unsafe_code)]
pub mod crypto;
pub mod node;
pub mod rlp;
pub mod whisper;

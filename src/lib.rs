//! The Status client protocols.
#![deny(unsafe_code)]
pub mod crypto;
pub mod devp2p;
pub mod rlp;
pub mod whisper;

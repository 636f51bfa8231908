//! The primitives.
pub mod keccak;

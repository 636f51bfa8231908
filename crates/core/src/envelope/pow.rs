//! Proof of work (EIP-627): its value, and the search for a nonce.
//!
//! The hash is `keccak256(rlp4 || nonce)`, where `rlp4` is the RLP list of the envelope's first
//! four fields (expiry, TTL, topic, data) and the nonce is eight bytes, big-endian. The more zero
//! bits it begins with, the more work was done.
//!
//! - [`pow_value`] is the value that a receiver checks: `2^zero bits / length of rlp4 / TTL`.
//! - [`target_bits`] is the number of bits that a sender aims at. It uses a different size, 20 bytes
//!   plus the data.
//! - [`mine_envelope`] mines an envelope to a target.
//! - [`mine()`] finds the lowest nonce for a number of bits. [`mine_best`] searches until it is
//!   stopped.

mod envelope;
mod mine;
mod search;
mod value;

pub use envelope::{MinedEnvelope, mine_envelope};
pub use mine::{MineOptions, MineResult, Miner, mine, mine_best};
pub use value::{TargetError, leading_zero_bits, pow_hash, pow_value, target_bits};

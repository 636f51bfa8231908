//! Proof of work.
mod value;
pub use value::{TargetError, leading_zero_bits, pow_hash, pow_value, target_bits};

//! The ABI of contracts: how calls, answers and events are encoded.
//!
//! A [`Function`] or [`Event`] is read from its text, such as `transfer(address,uint256)` or
//! `event Transfer(address indexed from, address indexed to, uint256 value)`. Its canonical
//! signature gives the selector (4 bytes) or the topic (32 bytes).
//!
//! Source: Solidity documentation, "Contract ABI Specification".

mod error;
mod signature;
mod types;

pub use error::{AbiError, AbiErrorKind};
pub use signature::{Event, Function, Parameter};
pub use types::Type;

/// The deepest nesting of arrays and tuples in a type.
pub const MAX_DEPTH: usize = 32;
/// The longest text of a signature or type, in bytes.
pub const MAX_SIGNATURE: usize = 64 << 10;

//! The ABI of contracts: how calls, answers and events are encoded.
//!
//! A [`Function`] or [`Event`] is read from its text, such as `transfer(address,uint256)` or
//! `event Transfer(address indexed from, address indexed to, uint256 value)`. Its canonical
//! signature gives the selector (4 bytes) or the topic (32 bytes).
//!
//! Source: Solidity documentation, "Contract ABI Specification".

mod call;
mod decode;
mod error;
mod json;
mod signature;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use call::{Log, Logged};
pub use decode::{Strictness, decode};
pub use error::{AbiError, AbiErrorKind};
pub(crate) use json::integer;
pub use json::{values_from_json, values_to_json};
pub use signature::{Event, Function, Parameter};
pub use types::Type;
pub use value::{Value, encode, is_hashed, topic_of};

/// The deepest nesting of arrays and tuples in a type.
pub const MAX_DEPTH: usize = 32;
/// The longest text of a signature or type, in bytes.
pub const MAX_SIGNATURE: usize = 64 << 10;

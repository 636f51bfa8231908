//! Protobuf messages as lists of fields, known to a definition or not.
//!
//! Typed messages drop unknown fields. Here nothing is lost: each field has its number, its wire
//! type, its offset and its bytes. Work and memory are linear in the input.
//!
//! Source: protocol buffers, "Encoding". A known field of another wire type is treated as in the
//! reference: it is kept as unknown, but in a map or a oneof it is an error.

mod content;
mod definition;
pub mod json;
mod wire;

pub(crate) use content::decode_known;
pub use content::{known_only, normalise};
pub use definition::{EnumDef, FieldDef, FieldType, MessageDef};
pub use wire::{FieldError, FieldProblem, Fields, MAX_SHOWN, RawField, Value};

//! Takes bytes of the Status protocols apart, layer by layer.
//!
//! [`inspect`] finds out what bytes are, lists every field with its offset and length, and opens
//! what is inside as far as the [`Keys`] reach. The fields of a layer cover it exactly. Decrypted
//! bytes are a new buffer that names its origin.
//!
//! A reading is [`Certain`](Certainty::Certain) if a checksum, tag, signature, magic or point of
//! the curve held, [`Likely`](Certainty::Likely) if the structure is exact to the last byte, and
//! otherwise [`Possible`](Certainty::Possible).
//!
//! ```
//! use statuskit_inspect::{Certainty, Options, inspect};
//!
//! let url = b"status-im://chat/public/status";
//! let inspection = inspect(url, &Options::default()).unwrap();
//! assert_eq!(inspection.kind(), "account.share_link");
//! assert_eq!(inspection.certainty(), Certainty::Certain);
//! ```

#![deny(unsafe_code)]

mod diff;
pub mod html;
mod kinds;
mod layer;
mod matching;
mod peel;
mod proto;
pub mod redact;
mod rlp;
mod shape;
mod show;
mod spans;
mod state;
mod topics;

pub use diff::{Diff, Difference, Side};
pub use kinds::KINDS;
pub use kinds::is_capture;
pub use layer::{Certainty, Check, Field, Stop};
pub use matching::{Predicate, PredicateError};
pub use peel::{
    Buffer, Candidate, InspectError, Inspection, Keys, Layer, Options, inspect, inspect_text,
};
pub use state::State;

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [InspectError::EXPLANATIONS].into_iter().flatten()
}

//! The messages between clients and mailservers: requests, cursors, answers.
//!
//! | what | where |
//! | --- | --- |
//! | requests, in every layout | [`request`] |
//! | envelopes that carry requests | [`seal`] |
//! | packets of an answer | [`batch`] |
//! | positions in an archive, and cursors | [`Position`], [`Cursor`] |
//! | keys of the reference's archives | [`key`] |
//!
//! Source: the mailserver specification of Status, with the behaviour of the reference
//! (status-go v0.50.2) where the document differs or is silent.

pub mod batch;
pub mod key;
pub mod request;
pub mod seal;

pub use batch::Reply;
pub use key::ArchiveKey;
pub use request::{CursorError, Form, Request, RequestError};
pub use seal::{Access, SealError};

pub use crate::wire::{Cursor, Position};

/// Seconds per day.
pub const DAY: u32 = 86_400;

//! What clients and mailservers say to each other: requests, cursors, answers.
//!
//! | what | where |
//! | --- | --- |
//! | what a client asks for, in every layout | [`request`] |
//! | how the request travels | [`seal`] |
//! | in which packets it is answered | [`batch`] |
//! | where an envelope stands, and where a page ended | [`Position`], [`Cursor`] |
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

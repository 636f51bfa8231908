//! Mailservers: envelopes kept for those who were offline, and how they are asked for.
//!
//! | what | where |
//! | --- | --- |
//! | where envelopes are kept: one trait, several stores | [`archive`] |
//!
//! Source: the mailserver specification of Status, with the behaviour of the reference
//! (status-go v0.50.2) where the document differs or is silent.

pub mod archive;

pub use archive::{Archive, ArchiveError, Position};

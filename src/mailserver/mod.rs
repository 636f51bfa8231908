//! Mailservers: envelopes kept for those who were offline, and how they are asked for.
//!
//! | what | where |
//! | --- | --- |
//! | where envelopes are kept: one trait, several stores | [`archive`] |
//! | what a client asks for, in every layout | [`request`] |
//! | how the request travels | [`seal`] |
//! | what is answered, check by check | [`server`] |
//! | in which packets | [`batch`] |
//! | what is taken into an archive, and what is too old for it | [`intake`] |
//! | asking a mailserver, over a node | [`client`] |
//! | a mailserver at work on a node | [`service`] |
//! | keys of the reference's archives | [`key`] |
//!
//! Source: the mailserver specification of Status, with the behaviour of the reference
//! (status-go v0.50.2) where the document differs or is silent.

pub mod archive;
pub mod batch;
pub mod client;
pub mod intake;
pub mod key;
mod limit;
pub mod request;
pub mod seal;
pub mod server;
pub mod service;

pub use archive::{Archive, ArchiveError, Position};
pub use batch::Reply;
pub use client::{Client, ClientConfig, ClientError};
pub use intake::{Intake, PassedOver, Untimely};
pub use key::ArchiveKey;
pub use request::{CursorError, Form, Request, RequestError};
pub use seal::{Access, SealError};
pub use server::{Answer, ConfigError, Dialect, Refusal, Refused, Server, ServerConfig};
pub use service::{Mailserver, MailserverConfig, MailserverEvent, MailserverStats};

/// Seconds per day.
pub(crate) const DAY: u32 = 86_400;

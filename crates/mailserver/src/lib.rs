//! Mailservers: envelopes kept for those who were offline, and how they are asked for.
//!
//! | what | where |
//! | --- | --- |
//! | where envelopes are kept: one trait, several stores | [`archive`] |
//! | what is answered, check by check | [`server`] |
//! | what is taken into an archive, and what is too old for it | [`intake`] |
//! | asking a mailserver, over a node | [`client`] |
//! | a mailserver at work on a node | [`service`] |
//!
//! Source: the mailserver specification of Status, with the behaviour of the reference
//! (status-go v0.50.2) where the document differs or is silent.

#![deny(unsafe_code)]

pub mod archive;
pub mod client;
pub mod intake;
mod limit;
pub mod server;
pub mod service;

pub use archive::{Archive, ArchiveError};
pub use client::{Client, ClientConfig, ClientError};
pub use intake::{Intake, PassedOver, Untimely};
pub use server::{Answer, ConfigError, Refusal, Refused, Server, ServerConfig};
pub use service::{Mailserver, MailserverConfig, MailserverEvent, MailserverStats};

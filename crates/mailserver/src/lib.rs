//! Mailservers: they keep envelopes for clients that were offline.
//!
//! | what | where |
//! | --- | --- |
//! | storing envelopes: one trait, several stores | [`archive`] |
//! | the rules of a server: checks and answers | [`server`] |
//! | which envelopes are stored, by their time | [`intake`] |
//! | asking a mailserver, over a node | [`client`] |
//! | running a mailserver on a node | [`service`] |
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

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [
        ClientError::EXPLANATIONS,
        ConfigError::EXPLANATIONS,
        ArchiveError::EXPLANATIONS,
        archive::import::BadEntry::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}

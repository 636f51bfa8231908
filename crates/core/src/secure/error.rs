//! What can go wrong with a device, and why a message's content may stay closed.

use super::{
    bundle::BundleError, dh::DhError, key::BundleId, message::MessageError, ratchet::RatchetError,
    store::StoreError,
};
use crate::crypto::KeyError;

/// What a device can't do.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// The bytes are not a protocol message: the next layer may know them.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A bundle in it is not good: all of the message is to be dropped, nothing of it was kept.
    #[error("the message is dropped for a bundle in it: {0}")]
    Bundle(#[from] BundleError),
    /// A session can't send any more.
    #[error(transparent)]
    Ratchet(#[from] RatchetError),
    /// The state can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is in use with another key.
    #[error("the store belongs to another identity, {0}")]
    OtherIdentity(super::CompressedKey),
    /// The store is in use with another installation id.
    #[error("the store belongs to another installation, {0}")]
    OtherInstallation(crate::account::InstallationId),
}

impl SecureError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::Bundle(error) => error.code(),
            Self::Ratchet(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::OtherIdentity(_) => "store.other_identity",
            Self::OtherInstallation(_) => "store.other_installation",
        }
    }
}

/// Why the content of a message can't be had. Its bundles were taken all the same, and its bytes
/// go on to the next layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No part for us, from somebody else: the sender does not know this device.
    #[error("the message is for other devices: its sender does not know this one")]
    DeviceNotFound,
    /// No part for us, from our own identity.
    #[error("the message is for other devices of ours: this one is not paired with the sender")]
    NotPaired,
    /// There is none: a contact code, or something else.
    #[error("the message carries no payload")]
    NoPayload,
    /// Neither is there a session, nor the pre key that one could be started from.
    #[error("there is no session for bundle {bundle}")]
    NoSession {
        /// What the header names.
        bundle: BundleId,
    },
    /// A part without header.
    #[error("nothing says how the payload is encrypted")]
    NoHeader,
    /// A key in a header.
    #[error("{what} of the header can't be used: {error}")]
    Key {
        /// Which one.
        what: &'static str,
        /// What is wrong.
        error: KeyError,
    },
    /// The session refuses it.
    #[error(transparent)]
    Ratchet(#[from] RatchetError),
    /// Encrypted to the identity, but not readable.
    #[error(transparent)]
    Dh(#[from] DhError),
}

impl Refusal {
    /// The stable code of this reason, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DeviceNotFound => "secure.device_not_found",
            Self::NotPaired => "secure.not_paired",
            Self::NoPayload => "secure.no_payload",
            Self::NoSession { .. } => "secure.no_session",
            Self::NoHeader => "secure.no_header",
            Self::Key { .. } => "secure.key",
            Self::Ratchet(error) => error.code(),
            Self::Dh(DhError::Key(_)) => "secure.key",
            Self::Dh(DhError::Short(_)) => "secure.dh_short",
            Self::Dh(DhError::Tag) => "secure.dh_tag",
        }
    }
}

//! The errors of a device, and the reasons why a message can't be decrypted.

use super::{
    bundle::BundleError,
    dh::DhError,
    key::{BundleId, CompressedKey},
    message::MessageError,
    ratchet::RatchetError,
    store::StoreError,
};
use crate::{account::InstallationId, crypto::KeyError};

/// Why an operation of a device failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecureError {
    /// The bytes are not a protocol message. The next layer may know them.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The message has an invalid bundle. It must be dropped; nothing of it was stored.
    #[error("the message has an invalid bundle: {0}")]
    Bundle(#[from] BundleError),
    /// A session can't send more messages.
    #[error(transparent)]
    Ratchet(#[from] RatchetError),
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store belongs to another identity.
    #[error("the store belongs to another identity, {0}")]
    OtherIdentity(CompressedKey),
    /// The store belongs to another installation.
    #[error("the store belongs to another installation, {0}")]
    OtherInstallation(InstallationId),
}

impl SecureError {
    /// Returns the stable code of this error, as the tools print it.
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

/// Why a message could not be decrypted. Its bundles were learned nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The message is from another identity, and not for this device.
    #[error("the message is for other devices: its sender does not know this one")]
    DeviceNotFound,
    /// The message is from our own identity, and not for this device.
    #[error("the message is for our other devices: this one is not paired with the sender")]
    NotPaired,
    /// The message has no payload, like a contact code.
    #[error("the message has no payload")]
    NoPayload,
    /// There is no session, and no prekey to start one from.
    #[error("there is no session for bundle {bundle}")]
    NoSession {
        /// The bundle id in the header.
        bundle: BundleId,
    },
    /// The per-device message has no header.
    #[error("the message has a payload without an encryption header")]
    NoHeader,
    /// A key in the header is invalid.
    #[error("invalid {what} in the header: {error}")]
    Key {
        /// Which key.
        what: &'static str,
        /// The cause.
        error: KeyError,
    },
    /// The session rejects the message.
    #[error(transparent)]
    Ratchet(#[from] RatchetError),
    /// Decryption with the identity key failed.
    #[error(transparent)]
    Dh(#[from] DhError),
}

impl DecryptError {
    /// Returns the stable code of this reason, as the tools print it.
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

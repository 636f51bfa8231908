//! The errors of a device, and the reasons why a message can't be decrypted.

use super::{
    bundle::BundleError,
    dh::DhError,
    key::{BundleId, CompressedKey},
    message::MessageError,
    ratchet::RatchetError,
    store::StoreError,
};
use crate::{account::InstallationId, crypto::KeyError, explain::Explanation};

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

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "store.other_identity",
            rule: "A state directory belongs to one identity.",
            source: "tools",
            causes: "Give the identity that it was made with, or another directory.",
        },
        Explanation {
            code: "store.other_installation",
            rule: "A state directory belongs to one installation.",
            source: "tools",
            causes: "Leave the installation id out, or give another directory.",
        },
    ];
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

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "secure.device_not_found",
            rule: "A direct message has a part for each of the recipient's installations that its sender knows.",
            source: "Status specifications, Secure transport",
            causes: "The sender has no bundle of this installation yet, or has three newer ones. Send a message, which carries the bundle.",
        },
        Explanation {
            code: "secure.not_paired",
            rule: "A message to one's own devices has a part for each that is paired.",
            source: "Status specifications, Secure transport",
            causes: "The sending device has not enabled this one, or it is the sender itself.",
        },
        Explanation {
            code: "secure.no_payload",
            rule: "There is neither a public nor a direct message in it.",
            source: "Status specifications, Secure transport",
            causes: "A contact code: it only delivers its bundle, which was stored.",
        },
        Explanation {
            code: "secure.no_session",
            rule: "A message belongs to the session of its bundle id; the first ones of a session can start it with the private pre key of that id.",
            source: "Status specifications, Secure transport",
            causes: "The state was lost or is another one, or the message was encrypted to another device with the same installation id.",
        },
        Explanation {
            code: "secure.no_header",
            rule: "A part has a ratchet header, or the header of a message that is encrypted to the identity.",
            source: "Status specifications, Secure transport",
            causes: "Made by something that is not a client.",
        },
        Explanation {
            code: "secure.key",
            rule: "A key in a header is a compressed public key: 33 bytes, a point of secp256k1.",
            source: "Status specifications, Secure transport",
            causes: "A key of another curve, or damaged bytes.",
        },
        Explanation {
            code: "secure.dh_short",
            rule: "What is encrypted to an identity ends with a tag of 16 bytes and a nonce of 12.",
            source: "Status specifications, Secure transport",
            causes: "The payload was cut.",
        },
        Explanation {
            code: "secure.dh_tag",
            rule: "What is encrypted to an identity opens with its private key.",
            source: "Status specifications, Secure transport",
            causes: "It is for another identity, or was damaged.",
        },
    ];
}

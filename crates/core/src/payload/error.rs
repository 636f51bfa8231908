//! Why bytes are not a payload.

use crate::{explain::Explanation, protobuf::FieldError};

/// Why bytes are not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not the protobuf message that was expected.
    #[error("not a {what}: {error}")]
    Protobuf {
        /// The name of the message.
        what: &'static str,
        /// What is wrong, and where.
        error: FieldError,
    },
    /// The signature recovers no author.
    #[error("the wrapper's signature is malformed: expected 65 bytes with v 0 or 1")]
    SignatureFormat,
}

impl PayloadError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protobuf { .. } => "payload.protobuf",
            Self::SignatureFormat => "payload.signature",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "payload.protobuf",
            rule: "A payload of Status clients is an ApplicationMetadataMessage with fields 1 to 3.",
            source: "Status specifications, Payloads",
            causes: "The payload was made by another kind of client.",
        },
        Explanation {
            code: "payload.signature",
            rule: "The wrapper's signature has 65 bytes, r, s, v with v 0 or 1, over the Keccak-256 of the payload.",
            source: "Status specifications, Payloads",
            causes: "SHA3-256 in place of Keccak-256, or v 27 or 28.",
        },
    ];
}

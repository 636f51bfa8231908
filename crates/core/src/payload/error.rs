//! Why bytes are not a payload.

use crate::protobuf::FieldError;

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
}

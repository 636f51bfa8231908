//! What is wrong with a signature, a value or an encoding.

/// Why something is not of the ABI, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct AbiError {
    /// The kind of error.
    pub kind: AbiErrorKind,
    /// The offset in the text of the signature, or in the encoded bytes. `None` for values.
    pub at: Option<usize>,
    /// The argument, such as `to` or `2[0].amount`. Empty if it is none.
    pub argument: String,
}

/// The kind of an [`AbiError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AbiErrorKind {
    /// A signature that can't be read.
    #[error("the signature is malformed: expected {0}")]
    Signature(&'static str),
    /// A type that does not exist.
    #[error("{0:?} is not a type of the ABI")]
    Type(String),
    /// Arrays and tuples nested too deep.
    #[error("arrays and tuples are nested more than {max} levels", max = super::MAX_DEPTH)]
    Depth,
    /// A text longer than any signature.
    #[error("a signature has at most {max} bytes", max = super::MAX_SIGNATURE)]
    TooLong,
}

impl AbiErrorKind {
    /// Makes an error at an offset.
    pub(crate) fn at(self, at: usize) -> AbiError {
        AbiError { kind: self, at: Some(at), argument: String::new() }
    }

    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "abi.signature",
            Self::Type(_) => "abi.type",
            Self::Depth => "abi.depth",
            Self::TooLong => "abi.too_long",
        }
    }
}

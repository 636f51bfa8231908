//! What is wrong with a signature, a value or an encoding.

use statuskit_core::{eip::AddressError, explain::Explanation};

use crate::number::NumberError;

/// Why something is not of the ABI, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct AbiError {
    /// The kind of error.
    pub kind: AbiErrorKind,
    /// The offset in the text of the signature, or in the encoded bytes. `None` for values.
    pub at: Option<usize>,
    /// The path of the argument, such as `to` or `2[0].amount`. Empty if it is none.
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
    /// A value of another type.
    #[error("expected {expected} for {kind}, found {got}")]
    Value { kind: String, expected: &'static str, got: String },
    /// A number that its type can't hold.
    #[error("{got} is out of the range of {kind}")]
    Range { kind: String, got: String },
    /// Not a number.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Too many or too few values.
    #[error("expected {expected} values, found {got}")]
    Count { expected: u64, got: u64 },
    /// An object without a member, or with another one.
    #[error("the object {problem} {name:?}")]
    Member { problem: &'static str, name: String },
    /// Another function or event.
    #[error("the data is not of {signature}: expected {expected}, found {got}")]
    Selector { signature: String, expected: String, got: String },
    /// The data ends inside a value.
    #[error("the data ends: it takes {}, and {have} are left", statuskit_core::text::count(.need, "byte"))]
    Truncated { need: u64, have: u64 },
    /// An offset or count that no data can have.
    #[error("{what} is {got}, beyond the {} of the data", statuskit_core::text::count(.have, "byte"))]
    Beyond { what: &'static str, got: String, have: u64 },
    /// An offset that leaves a gap, or points into other values.
    #[error("the offset is {got}, but the value belongs at {expected}")]
    Offset { got: u64, expected: u64 },
    /// Unused bits or bytes that are not zero.
    #[error("the bytes that {0} leaves unused are not zero")]
    Padding(String),
    /// A text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// Bytes after the last value.
    #[error("the last value is followed by {}", statuskit_core::text::count(.0, "byte"))]
    Trailing(u64),
    /// Values that share bytes, so that decoding would cost more than the data is worth.
    #[error("too many values share the same bytes; the data is not decoded")]
    Work,
    /// A log with other topics than its event has.
    #[error("expected {}, found {got}", statuskit_core::text::count(.expected, "topic"))]
    Topics { expected: usize, got: usize },
}

impl AbiErrorKind {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "abi.signature",
            Self::Type(_) => "abi.type",
            Self::Depth => "abi.depth",
            Self::TooLong => "abi.too_long",
            Self::Value { .. } => "abi.value",
            Self::Range { .. } => "abi.range",
            Self::Number(error) => error.code(),
            Self::Address(error) => error.code(),
            Self::Count { .. } => "abi.count",
            Self::Member { .. } => "abi.member",
            Self::Selector { .. } => "abi.selector",
            Self::Truncated { .. } => "abi.truncated",
            Self::Beyond { .. } => "abi.beyond",
            Self::Offset { .. } => "abi.offset",
            Self::Padding(_) => "abi.padding",
            Self::Utf8 => "abi.utf8",
            Self::Trailing(_) => "abi.trailing",
            Self::Work => "abi.work",
            Self::Topics { .. } => "abi.topics",
        }
    }

    /// Makes an error at an offset.
    pub(crate) fn at(self, at: usize) -> AbiError {
        AbiError { kind: self, at: Some(at), argument: String::new() }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "abi.signature",
            rule: "A signature is a name and types in parentheses: transfer(address,uint256).",
            source: "Solidity, Contract ABI Specification",
            causes: "Quotes are missing, so that the shell reads the parentheses.",
        },
        Explanation {
            code: "abi.type",
            rule: "Types are uint8 to uint256, int8 to int256, address, bool, bytes1 to bytes32, bytes, string, function, arrays of them, and tuples.",
            source: "Solidity, Contract ABI Specification",
            causes: "The name of a struct or enum: write a struct as (T,…), an enum as uint8, a contract as address.",
        },
        Explanation {
            code: "abi.depth",
            rule: "Types nest at most 32 levels.",
            source: "tools",
            causes: "Not a signature of a contract.",
        },
        Explanation {
            code: "abi.too_long",
            rule: "A signature has at most 64 KiB.",
            source: "tools",
            causes: "Not a signature.",
        },
        Explanation {
            code: "abi.value",
            rule: "A value has the type of its parameter: numbers in decimal or 0x hex, bytes and addresses in 0x hex, lists as [1,2], tuples as (1,2).",
            source: "Solidity, Contract ABI Specification",
            causes: "Bytes without 0x, a list where one value belongs, or values in another order.",
        },
        Explanation {
            code: "abi.range",
            rule: "A number fits into the bits of its type, and fixed bytes have exactly its length.",
            source: "Solidity, Contract ABI Specification",
            causes: "A negative number for an unsigned type, or a text for bytes32.",
        },
        Explanation {
            code: "abi.count",
            rule: "There are as many values as parameters, or as the length of the array says.",
            source: "Solidity, Contract ABI Specification",
            causes: "A list without brackets, or a value that the shell has split.",
        },
        Explanation {
            code: "abi.member",
            rule: "An object has the members of its tuple, and no others.",
            source: "tools",
            causes: "Another spelling. A tuple whose members have no names is a list.",
        },
        Explanation {
            code: "abi.selector",
            rule: "Call data begins with the selector of its function, a log with the topic of its event.",
            source: "Solidity, Contract ABI Specification",
            causes: "The data is of another function; `status-eip abi decode` without --as names the known ones.",
        },
        Explanation {
            code: "abi.truncated",
            rule: "The data holds all that its types take.",
            source: "Solidity, Contract ABI Specification",
            causes: "The data was cut, or the types are others.",
        },
        Explanation {
            code: "abi.beyond",
            rule: "An offset or a number of items stays within the data.",
            source: "Solidity, Contract ABI Specification",
            causes: "The types are others: a number was read as an offset.",
        },
        Explanation {
            code: "abi.offset",
            rule: "Values with an offset follow each other without gaps.",
            source: "Solidity, Contract ABI Specification, strict mode",
            causes: "Written by hand, or meant to mislead. --lenient reads it.",
        },
        Explanation {
            code: "abi.padding",
            rule: "Bits and bytes that a value leaves unused are zero.",
            source: "Solidity, Contract ABI Specification, strict mode",
            causes: "The types are others, or the encoder left dirt. --lenient ignores it.",
        },
        Explanation {
            code: "abi.utf8",
            rule: "A string is UTF-8.",
            source: "Solidity, Contract ABI Specification",
            causes: "Bytes: decode with bytes in place of string.",
        },
        Explanation {
            code: "abi.trailing",
            rule: "Nothing follows the last value.",
            source: "Solidity, Contract ABI Specification, strict mode",
            causes: "More was appended, or a parameter is missing in the signature. --lenient ignores it.",
        },
        Explanation {
            code: "abi.work",
            rule: "Decoding costs no more than the data is worth.",
            source: "tools",
            causes: "Offsets that name the same bytes over and over: made to exhaust memory.",
        },
        Explanation {
            code: "abi.topics",
            rule: "A log has a topic for its event, unless that is anonymous, and one for each indexed parameter; at most four.",
            source: "Solidity, Contract ABI Specification, Events",
            causes: "The word indexed is missing or superfluous in the signature.",
        },
    ];
}

/// An error about a value, which has no offset.
impl From<AbiErrorKind> for AbiError {
    fn from(kind: AbiErrorKind) -> Self {
        Self { kind, at: None, argument: String::new() }
    }
}

impl AbiError {
    /// Puts the parameter in front of the path.
    pub(super) fn in_parameter(mut self, name: &str, index: usize) -> Self {
        let own = if name.is_empty() { index.to_string() } else { name.to_owned() };
        self.argument = match self.argument.as_str() {
            "" => own,
            rest if rest.starts_with('[') => format!("{own}{rest}"),
            rest => format!("{own}.{rest}"),
        };
        self
    }

    /// Puts the index of an item of an array in front of the path.
    pub(super) fn in_item(mut self, index: usize) -> Self {
        self.argument = match self.argument.as_str() {
            "" => format!("[{index}]"),
            rest if rest.starts_with('[') => format!("[{index}]{rest}"),
            rest => format!("[{index}].{rest}"),
        };
        self
    }

    /// Moves the offset: the data was a part of more.
    pub(super) fn after(mut self, offset: usize) -> Self {
        self.at = self.at.map(|at| at + offset);
        self
    }
}

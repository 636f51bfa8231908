//! What is wrong with typed data.

use statuskit_core::explain::Explanation;

use crate::abi::AbiErrorKind;

/// Why data is not typed data, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TypedDataError {
    /// The kind of error.
    pub kind: TypedDataErrorKind,
    /// The path of the value, such as `message.to[0].wallet`. Empty if it is none.
    pub path: String,
}

/// The kind of a [`TypedDataError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedDataErrorKind {
    /// Not the JSON of typed data.
    #[error("the typed data {0} {1:?}")]
    Structure(&'static str, &'static str),
    /// A definition of a type that can't be read.
    #[error("the type {0:?} is malformed: expected a list of objects with name and type")]
    Definition(String),
    /// A name that no type or member may have.
    #[error("{0:?} is not a name for a type or member")]
    Name(String),
    /// Two members of one name.
    #[error("the type has two members {0:?}")]
    Duplicate(String),
    /// More types than are read.
    #[error("there are more than {0} types, or their text is too long")]
    TooMany(usize),
    /// More values than are shown part by part.
    #[error("there are too many values to show them part by part")]
    TooManyParts,
    /// A type without a definition.
    #[error("the type {0:?} is not defined")]
    UnknownType(String),
    /// Values nested too deep.
    #[error("the values are nested more than {0} levels")]
    Depth(usize),
    /// A value that is missing.
    #[error("there is no value for {0:?}")]
    Missing(String),
    /// A value that its type does not have.
    #[error("the type has no member {0:?}, so the signature would not cover it")]
    Extra(String),
    /// A value of another type.
    #[error(transparent)]
    Value(#[from] AbiErrorKind),
    /// What the reference does not support.
    #[error("the reference supports neither arrays nor functions: {0}")]
    Unsupported(String),
    /// A domain without a chain.
    #[error("the domain has no chainId, which the reference demands")]
    NoChain,
    /// A domain for another chain.
    #[error("the chainId of the domain is {got}; the selected chain is {selected}, as a number")]
    Chain { got: String, selected: u64 },
}

impl TypedDataErrorKind {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Structure(..) => "typed_data.structure",
            Self::Definition(_) => "typed_data.definition",
            Self::Name(_) => "typed_data.name",
            Self::Duplicate(_) => "typed_data.duplicate",
            Self::TooMany(_) => "typed_data.too_many",
            Self::TooManyParts => "typed_data.too_many_parts",
            Self::UnknownType(_) => "typed_data.unknown_type",
            Self::Depth(_) => "typed_data.depth",
            Self::Missing(_) => "typed_data.missing",
            Self::Extra(_) => "typed_data.extra",
            Self::Value(kind) => kind.code(),
            Self::Unsupported(_) => "typed_data.unsupported",
            Self::NoChain => "typed_data.no_chain",
            Self::Chain { .. } => "typed_data.chain",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "typed_data.structure",
            rule: "Typed data is an object with types, primaryType, domain and message.",
            source: "EIP-712",
            causes: "Another JSON, or the message alone.",
        },
        Explanation {
            code: "typed_data.definition",
            rule: "A type is a list of objects with name and type.",
            source: "EIP-712",
            causes: "An object in place of the list.",
        },
        Explanation {
            code: "typed_data.name",
            rule: "Types and members have names of letters, digits, _ and $; a type is not called as an elementary one.",
            source: "EIP-712",
            causes: "An array in the name of a type.",
        },
        Explanation {
            code: "typed_data.duplicate",
            rule: "The members of a type have different names.",
            source: "EIP-712",
            causes: "A copied line.",
        },
        Explanation {
            code: "typed_data.too_many",
            rule: "There are at most 512 types, with 256 KiB of text.",
            source: "tools",
            causes: "Made to exhaust memory.",
        },
        Explanation {
            code: "typed_data.too_many_parts",
            rule: "Paths and types of the parts take at most 16 MiB.",
            source: "tools",
            causes: "Long lists: omit --parts.",
        },
        Explanation {
            code: "typed_data.unknown_type",
            rule: "Each type that is used is defined, or elementary.",
            source: "EIP-712",
            causes: "A mistyped name, or a definition that is missing.",
        },
        Explanation {
            code: "typed_data.depth",
            rule: "Values nest at most 64 levels, arrays of one member 32.",
            source: "tools",
            causes: "Made to exhaust memory.",
        },
        Explanation {
            code: "typed_data.missing",
            rule: "Each member has a value; a struct may be null.",
            source: "EIP-712",
            causes: "Another spelling than in the type.",
        },
        Explanation {
            code: "typed_data.extra",
            rule: "Each value has a member in its type: others would not be signed.",
            source: "EIP-712",
            causes: "A member that the type lacks: add it there, or remove it.",
        },
        Explanation {
            code: "typed_data.unsupported",
            rule: "Functions are not signed, and in the mode of the reference no arrays.",
            source: "EIP-712; status-go v0.50.2",
            causes: "Without --like-reference arrays are read.",
        },
        Explanation {
            code: "typed_data.no_chain",
            rule: "In the mode of the reference, the domain has a chainId.",
            source: "status-go v0.50.2",
            causes: "Without --like-reference it may be missing.",
        },
        Explanation {
            code: "typed_data.chain",
            rule: "In the mode of the reference, chainId is a number and equals the selected chain.",
            source: "status-go v0.50.2",
            causes: "A text in place of the number, or another network.",
        },
    ];
}

impl From<TypedDataErrorKind> for TypedDataError {
    fn from(kind: TypedDataErrorKind) -> Self {
        Self { kind, path: String::new() }
    }
}

impl TypedDataError {
    /// Puts a member in front of the path.
    pub(super) fn inside(mut self, name: &str) -> Self {
        self.path = join(name, &self.path);
        self
    }
}

/// Joins two parts of a path.
pub(super) fn join(outer: &str, inner: &str) -> String {
    if inner.is_empty() || inner.starts_with('[') {
        format!("{outer}{inner}")
    } else if outer.is_empty() {
        inner.to_owned()
    } else {
        format!("{outer}.{inner}")
    }
}

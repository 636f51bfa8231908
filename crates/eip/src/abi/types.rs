//! Types of arguments.

use std::{fmt, str::FromStr};

use super::{AbiError, Parameter, signature::Parser};

/// A type of the ABI. Written in its canonical form, as in signatures: `uint256`, not `uint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// `uint8` to `uint256`: the number of bits.
    Uint(u16),
    /// `int8` to `int256`: the number of bits.
    Int(u16),
    Address,
    Bool,
    /// `bytes1` to `bytes32`: the number of bytes.
    FixedBytes(u8),
    /// `function`: an address and a selector, 24 bytes.
    Function,
    Bytes,
    String,
    /// `T[]`.
    Array(Box<Type>),
    /// `T[n]`.
    FixedArray(Box<Type>, u64),
    /// `(T,…)`. Names are kept for values in JSON.
    Tuple(Vec<Parameter>),
}

impl Type {
    /// Returns whether values differ in length, so that they are encoded by an offset.
    pub fn is_dynamic(&self) -> bool {
        match self {
            Self::Bytes | Self::String | Self::Array(_) => true,
            Self::FixedArray(item, length) => *length > 0 && item.is_dynamic(),
            Self::Tuple(members) => members.iter().any(|member| member.kind.is_dynamic()),
            _ => false,
        }
    }

    /// Returns the bytes of a value in place: of a dynamic one, those of its offset. Saturates.
    pub fn head_size(&self) -> u64 {
        match self {
            _ if self.is_dynamic() => 32,
            Self::FixedArray(item, length) => item.head_size().saturating_mul(*length),
            Self::Tuple(members) => members
                .iter()
                .fold(0, |size: u64, member| size.saturating_add(member.kind.head_size())),
            _ => 32,
        }
    }
}

/// Reads one type, such as `uint256[2][]` or `(address to, uint256 amount)[]`.
impl FromStr for Type {
    type Err = AbiError;

    fn from_str(text: &str) -> Result<Self, AbiError> {
        Parser::new(text)?.whole_type()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(bits) => write!(f, "uint{bits}"),
            Self::Int(bits) => write!(f, "int{bits}"),
            Self::Address => f.write_str("address"),
            Self::Bool => f.write_str("bool"),
            Self::FixedBytes(size) => write!(f, "bytes{size}"),
            Self::Function => f.write_str("function"),
            Self::Bytes => f.write_str("bytes"),
            Self::String => f.write_str("string"),
            Self::Array(item) => write!(f, "{item}[]"),
            Self::FixedArray(item, length) => write!(f, "{item}[{length}]"),
            Self::Tuple(members) => write_list(f, members),
        }
    }
}

/// Writes `(T,…)` in canonical form.
pub(super) fn write_list(f: &mut fmt::Formatter<'_>, list: &[Parameter]) -> fmt::Result {
    f.write_str("(")?;
    for (index, parameter) in list.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write!(f, "{}", parameter.kind)?;
    }
    f.write_str(")")
}

//! The words of elementary values.

use serde_json::Value as Json;
use statuskit_core::crypto::keccak256;

use super::TypedDataErrorKind;
use crate::{
    U256,
    abi::{AbiErrorKind, Type},
    number::NumberError,
    text::excerpt,
};

/// Which values are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// Every value must fit its type exactly.
    #[default]
    Exact,
    /// As the reference (status-go v0.50.2): no arrays, a chain id in the domain that is the
    /// selected one, numbers of any size in 256 bits, short fixed bytes filled with zeros.
    Reference {
        /// The selected chain.
        chain_id: u64,
    },
}

/// Returns the word of an elementary value.
pub(super) fn word(kind: &Type, json: &Json, rules: Rules) -> Result<[u8; 32], TypedDataErrorKind> {
    let is_exact = rules == Rules::Exact;
    let mismatch = |expected| AbiErrorKind::Value {
        kind: kind.to_string(),
        expected,
        got: excerpt(&json.to_string()),
    };
    let range = || AbiErrorKind::Range { kind: kind.to_string(), got: excerpt(&json.to_string()) };
    let bytes = || {
        let digits = json.as_str().and_then(|text| text.strip_prefix("0x"));
        let bytes = digits.and_then(|digits| hex::decode(digits).ok());
        bytes.ok_or_else(|| mismatch("0x and hex digits"))
    };
    let mut word = [0; 32];
    match kind {
        Type::String => {
            let text = json.as_str().ok_or_else(|| mismatch("a text"))?;
            word = keccak256(text.as_bytes());
        }
        Type::Bytes => word = keccak256(&bytes()?),
        Type::Bool => {
            word[31] = u8::from(json.as_bool().ok_or_else(|| mismatch("true or false"))?);
        }
        Type::Address => {
            let bytes = bytes()?;
            if bytes.len() != 20 {
                return Err(mismatch("20 bytes, 0x and 40 hex digits,").into());
            }
            word[12..].copy_from_slice(&bytes);
        }
        Type::FixedBytes(size) => {
            let (bytes, size) = (bytes()?, usize::from(*size));
            if bytes.len() > 32 || is_exact && bytes.len() != size {
                return Err(range().into());
            }
            word[..bytes.len()].copy_from_slice(&bytes);
        }
        Type::Uint(bits) | Type::Int(bits) => {
            let (negative, magnitude) = integer(json)?.ok_or_else(|| mismatch("a number"))?;
            let number = if negative { magnitude.negated() } else { magnitude };
            let bits = u32::from(*bits);
            let fits = match kind {
                Type::Uint(_) => magnitude.bits() <= bits && (!negative || magnitude == U256::ZERO),
                _ => {
                    number.sign_extended(bits) == number
                        && number.is_negative() == (negative && magnitude != U256::ZERO)
                }
            };
            if is_exact && !fits {
                return Err(range().into());
            }
            word = number.to_be_bytes();
        }
        _ => return Err(TypedDataErrorKind::Unsupported(kind.to_string())),
    }
    Ok(word)
}

/// Reads a JSON number, or a text of digits. A text has no fraction and no exponent: wallets read
/// these differently.
fn integer(json: &Json) -> Result<Option<(bool, U256)>, AbiErrorKind> {
    if let Json::String(text) = json
        && !text.starts_with("0x")
        && text.contains(['.', 'e', 'E', '+'])
    {
        return Err(NumberError::Format(excerpt(text)).into());
    }
    Ok(crate::abi::integer(json)?)
}

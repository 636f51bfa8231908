//! Values of the ABI, and their encoding.

use statuskit_core::crypto::keccak256;

use super::{AbiError, AbiErrorKind, Parameter, Type};
use crate::{Address, U256};

/// A value of one of the types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// Of `uint8` to `uint256`.
    Uint(U256),
    /// Of `int8` to `int256`, in two's complement of 256 bits.
    Int(U256),
    Address(Address),
    Bool(bool),
    /// Of `bytes1` to `bytes32`.
    FixedBytes(Vec<u8>),
    /// The address of a contract and a selector.
    Function([u8; 24]),
    Bytes(Vec<u8>),
    String(String),
    /// Of `T[]` and `T[n]`.
    Array(Vec<Value>),
    Tuple(Vec<Value>),
}

/// Encodes values of `parameters`.
///
/// # Errors
/// If a value does not have its type, or their numbers differ.
pub fn encode(parameters: &[Parameter], values: &[Value]) -> Result<Vec<u8>, AbiError> {
    let mut out = Vec::with_capacity(32 * parameters.len());
    put_members(&mut out, parameters, values)?;
    Ok(out)
}

/// Returns the topic of an indexed value: its word, or the Keccak-256 of what it holds if it is
/// longer than a word, or an array or tuple.
///
/// # Errors
/// If the value does not have the type.
pub fn topic_of(kind: &Type, value: &Value) -> Result<[u8; 32], AbiError> {
    match (kind, value) {
        (Type::Bytes, Value::Bytes(bytes)) => Ok(keccak256(bytes)),
        (Type::String, Value::String(text)) => Ok(keccak256(text.as_bytes())),
        (Type::Array(_) | Type::FixedArray(..) | Type::Tuple(_), _) => {
            let mut out = Vec::new();
            put_in_place(&mut out, kind, value)?;
            Ok(keccak256(&out))
        }
        _ => word_of(kind, value),
    }
}

/// Returns whether the topic of an indexed value is its hash.
pub fn is_hashed(kind: &Type) -> bool {
    matches!(
        kind,
        Type::Bytes | Type::String | Type::Array(_) | Type::FixedArray(..) | Type::Tuple(_)
    )
}

fn put_members(out: &mut Vec<u8>, members: &[Parameter], values: &[Value]) -> Result<(), AbiError> {
    check_count(members.len() as u64, values)?;
    for (index, (member, value)) in members.iter().zip(values).enumerate() {
        check_counts(&member.kind, value)
            .map_err(|error| error.in_parameter(&member.name, index))?;
    }
    let mut sequence = Sequence::begin(out, members.iter().map(|member| &member.kind));
    for (index, (member, value)) in members.iter().zip(values).enumerate() {
        sequence
            .put(out, &member.kind, value)
            .map_err(|error| error.in_parameter(&member.name, index))?;
    }
    Ok(())
}

fn put_items(out: &mut Vec<u8>, kind: &Type, values: &[Value]) -> Result<(), AbiError> {
    for (index, value) in values.iter().enumerate() {
        check_counts(kind, value).map_err(|error| error.in_item(index))?;
    }
    let mut sequence = Sequence::begin(out, std::iter::repeat_n(kind, values.len()));
    for (index, value) in values.iter().enumerate() {
        sequence.put(out, kind, value).map_err(|error| error.in_item(index))?;
    }
    Ok(())
}

/// Checks the numbers of values in place, so that room is made only for values that are there.
fn check_counts(kind: &Type, value: &Value) -> Result<(), AbiError> {
    match (kind, value) {
        (Type::FixedArray(item, length), Value::Array(values)) if !kind.is_dynamic() => {
            check_count(*length, values)?;
            for (index, value) in values.iter().enumerate() {
                check_counts(item, value).map_err(|error| error.in_item(index))?;
            }
            Ok(())
        }
        (Type::Tuple(members), Value::Tuple(values)) if !kind.is_dynamic() => {
            check_count(members.len() as u64, values)?;
            for (index, (member, value)) in members.iter().zip(values).enumerate() {
                check_counts(&member.kind, value)
                    .map_err(|error| error.in_parameter(&member.name, index))?;
            }
            Ok(())
        }
        (Type::FixedArray(..) | Type::Tuple(_), _) if !kind.is_dynamic() => {
            Err(mismatch(kind, value))
        }
        _ => Ok(()),
    }
}

/// Values side by side: first what has a fixed length, and the offsets of the rest.
struct Sequence {
    base: usize,
    head: usize,
}

impl Sequence {
    fn begin<'a>(out: &mut Vec<u8>, kinds: impl Iterator<Item = &'a Type>) -> Self {
        let base = out.len();
        let size: u64 = kinds.map(Type::head_size).sum();
        out.resize(base + size as usize, 0);
        Self { base, head: base }
    }

    fn put(&mut self, out: &mut Vec<u8>, kind: &Type, value: &Value) -> Result<(), AbiError> {
        if kind.is_dynamic() {
            let offset = (out.len() - self.base) as u64;
            out[self.head + 24..self.head + 32].copy_from_slice(&offset.to_be_bytes());
            self.head += 32;
            return put_dynamic(out, kind, value);
        }
        self.put_static(out, kind, value)
    }

    fn put_static(
        &mut self,
        out: &mut Vec<u8>,
        kind: &Type,
        value: &Value,
    ) -> Result<(), AbiError> {
        match (kind, value) {
            (Type::FixedArray(item, _), Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    self.put_static(out, item, value).map_err(|error| error.in_item(index))?;
                }
            }
            (Type::Tuple(members), Value::Tuple(values)) => {
                for (index, (member, value)) in members.iter().zip(values).enumerate() {
                    self.put_static(out, &member.kind, value)
                        .map_err(|error| error.in_parameter(&member.name, index))?;
                }
            }
            _ => {
                let word = word_of(kind, value)?;
                out[self.head..self.head + 32].copy_from_slice(&word);
                self.head += 32;
            }
        }
        Ok(())
    }
}

fn put_dynamic(out: &mut Vec<u8>, kind: &Type, value: &Value) -> Result<(), AbiError> {
    match (kind, value) {
        (Type::Bytes, Value::Bytes(bytes)) => put_bytes(out, bytes),
        (Type::String, Value::String(text)) => put_bytes(out, text.as_bytes()),
        (Type::Array(item), Value::Array(values)) => {
            put_length(out, values.len());
            put_items(out, item, values)?;
        }
        (Type::FixedArray(item, length), Value::Array(values)) => {
            check_count(*length, values)?;
            put_items(out, item, values)?;
        }
        (Type::Tuple(members), Value::Tuple(values)) => put_members(out, members, values)?,
        _ => return Err(mismatch(kind, value)),
    }
    Ok(())
}

/// Appends what is hashed for a topic: everything in place, padded, without offsets and lengths.
fn put_in_place(out: &mut Vec<u8>, kind: &Type, value: &Value) -> Result<(), AbiError> {
    match (kind, value) {
        (Type::Bytes, Value::Bytes(bytes)) => put_padded(out, bytes),
        (Type::String, Value::String(text)) => put_padded(out, text.as_bytes()),
        (Type::Array(item), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                put_in_place(out, item, value).map_err(|error| error.in_item(index))?;
            }
        }
        (Type::FixedArray(item, length), Value::Array(values)) => {
            check_count(*length, values)?;
            for (index, value) in values.iter().enumerate() {
                put_in_place(out, item, value).map_err(|error| error.in_item(index))?;
            }
        }
        (Type::Tuple(members), Value::Tuple(values)) => {
            check_count(members.len() as u64, values)?;
            for (index, (member, value)) in members.iter().zip(values).enumerate() {
                put_in_place(out, &member.kind, value)
                    .map_err(|error| error.in_parameter(&member.name, index))?;
            }
        }
        _ => out.extend_from_slice(&word_of(kind, value)?),
    }
    Ok(())
}

/// Returns the word of an elementary value of a fixed length.
pub(super) fn word_of(kind: &Type, value: &Value) -> Result<[u8; 32], AbiError> {
    let mut word = [0; 32];
    match (kind, value) {
        (Type::Uint(bits), Value::Uint(number)) => {
            if number.bits() > u32::from(*bits) {
                return Err(range(kind, number.to_string()));
            }
            word = number.to_be_bytes();
        }
        (Type::Int(bits), Value::Int(number)) => {
            if !fits_signed(*number, *bits) {
                return Err(range(kind, number.to_signed_text()));
            }
            word = number.to_be_bytes();
        }
        (Type::Address, Value::Address(address)) => word[12..].copy_from_slice(&address.0),
        (Type::Bool, Value::Bool(value)) => word[31] = u8::from(*value),
        (Type::FixedBytes(size), Value::FixedBytes(bytes)) => {
            if bytes.len() != usize::from(*size) {
                return Err(range(kind, format!("{} bytes", bytes.len())));
            }
            word[..bytes.len()].copy_from_slice(bytes);
        }
        (Type::Function, Value::Function(bytes)) => word[..24].copy_from_slice(bytes),
        _ => return Err(mismatch(kind, value)),
    }
    Ok(word)
}

/// Returns whether a number in two's complement fits into fewer bits.
pub(super) fn fits_signed(number: U256, bits: u16) -> bool {
    let magnitude = if number.is_negative() { number.inverted() } else { number };
    magnitude.bits() < u32::from(bits)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    put_padded(out, bytes);
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + (32 - bytes.len() % 32) % 32, 0);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&[0; 24]);
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn check_count(expected: u64, values: &[Value]) -> Result<(), AbiError> {
    let got = values.len() as u64;
    if got == expected { Ok(()) } else { Err(AbiErrorKind::Count { expected, got }.into()) }
}

fn range(kind: &Type, got: String) -> AbiError {
    AbiErrorKind::Range { kind: kind.to_string(), got }.into()
}

fn mismatch(kind: &Type, value: &Value) -> AbiError {
    let got = match value {
        Value::Uint(_) | Value::Int(_) => "a number",
        Value::Address(_) => "an address",
        Value::Bool(_) => "a boolean",
        Value::FixedBytes(_) | Value::Bytes(_) | Value::Function(_) => "bytes",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Tuple(_) => "a tuple",
    };
    AbiErrorKind::Value {
        kind: kind.to_string(),
        expected: "a value of its type",
        got: got.to_owned(),
    }
    .into()
}

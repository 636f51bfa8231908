//! Decoding: strict, and bounded by the length of the data.
//!
//! Offsets may point anywhere, so a few words could name the same bytes over and over, and a count
//! costs nothing where items have no bytes. Each word that is read, and each value without bytes,
//! is therefore charged to a budget that follows from the length of the data.

use super::{AbiError, AbiErrorKind, Parameter, Type, Value, value::fits_signed};
use crate::{Address, U256};

/// How exact an encoding has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// Only the encoding that [`encode`](super::encode) makes: values without gaps, unused bits
    /// zero, nothing behind.
    #[default]
    Strict,
    /// Also what contracts accept: offsets in any order, unused bits and trailing bytes ignored.
    Lenient,
}

/// The budget of data without bytes.
const FREE: usize = 64 << 10;

/// Decodes values of `parameters`.
///
/// # Errors
/// If the data is not their encoding, or decoding would cost more than data of its length may.
pub fn decode(
    parameters: &[Parameter],
    data: &[u8],
    strictness: Strictness,
) -> Result<Vec<Value>, AbiError> {
    let is_strict = strictness == Strictness::Strict;
    // Some values without bytes, and in lenient mode some sharing, are allowed.
    let budget = if is_strict { data.len() } else { 8 * data.len() } + FREE;
    let mut decoder = Decoder { data, budget, is_strict };
    let (values, end) = decoder.members(parameters, 0)?;
    if is_strict && end != data.len() {
        return Err(AbiErrorKind::Trailing((data.len() - end) as u64).at(end));
    }
    Ok(values)
}

struct Decoder<'a> {
    data: &'a [u8],
    /// The bytes that may still be read.
    budget: usize,
    is_strict: bool,
}

/// Values, and the offset behind the last of them.
type Decoded<T> = Result<(T, usize), AbiError>;

impl<'a> Decoder<'a> {
    fn members(&mut self, members: &[Parameter], base: usize) -> Decoded<Vec<Value>> {
        let size =
            members.iter().fold(0_u64, |size, member| size.saturating_add(member.kind.head_size()));
        let mut tail = self.head_end(base, size)?;
        let mut head = base;
        let mut values = Vec::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            let value = self
                .placed(&member.kind, base, &mut head, &mut tail)
                .map_err(|error| error.in_parameter(&member.name, index))?;
            values.push(value);
        }
        Ok((values, tail))
    }

    fn items(&mut self, kind: &Type, count: u64, base: usize) -> Decoded<Vec<Value>> {
        let size = kind.head_size();
        let mut tail = self.head_end(base, size.saturating_mul(count))?;
        if size == 0 {
            self.charge(count.saturating_mul(32), base)?;
        }
        let mut head = base;
        let mut values = Vec::with_capacity(count as usize);
        for index in 0..count as usize {
            let value = self
                .placed(kind, base, &mut head, &mut tail)
                .map_err(|error| error.in_item(index))?;
            values.push(value);
        }
        Ok((values, tail))
    }

    /// Reads the value at `head`: in place, or by its offset.
    fn placed(
        &mut self,
        kind: &Type,
        base: usize,
        head: &mut usize,
        tail: &mut usize,
    ) -> Result<Value, AbiError> {
        if !kind.is_dynamic() {
            return self.in_place(kind, head);
        }
        let at = *head;
        let offset = self.length(at, "the offset")?;
        *head += 32;
        let place = base + offset;
        if self.is_strict && place != *tail {
            let expected = (*tail - base) as u64;
            return Err(AbiErrorKind::Offset { got: offset as u64, expected }.at(at));
        }
        let (value, end) = self.dynamic(kind, place)?;
        *tail = end;
        Ok(value)
    }

    fn dynamic(&mut self, kind: &Type, at: usize) -> Decoded<Value> {
        Ok(match kind {
            Type::Bytes => {
                let (bytes, end) = self.bytes(kind, at)?;
                (Value::Bytes(bytes.to_vec()), end)
            }
            Type::String => {
                let (bytes, end) = self.bytes(kind, at)?;
                let text = std::str::from_utf8(bytes)
                    .map_err(|error| AbiErrorKind::Utf8.at(at + 32 + error.valid_up_to()))?;
                (Value::String(text.to_owned()), end)
            }
            Type::Array(item) => {
                let count = self.length(at, "the number of items")?;
                let (values, end) = self.items(item, count as u64, at + 32)?;
                (Value::Array(values), end)
            }
            Type::FixedArray(item, count) => {
                let (values, end) = self.items(item, *count, at)?;
                (Value::Array(values), end)
            }
            Type::Tuple(members) => {
                let (values, end) = self.members(members, at)?;
                (Value::Tuple(values), end)
            }
            _ => {
                let mut head = at;
                (self.in_place(kind, &mut head)?, head)
            }
        })
    }

    fn in_place(&mut self, kind: &Type, head: &mut usize) -> Result<Value, AbiError> {
        match kind {
            Type::FixedArray(item, count) => {
                // The data has room for them: the whole head was checked before.
                if kind.head_size() == 0 {
                    self.charge(count.saturating_mul(32), *head)?;
                }
                let mut values = Vec::with_capacity(*count as usize);
                for index in 0..*count as usize {
                    let value = self.in_place(item, head);
                    values.push(value.map_err(|error| error.in_item(index))?);
                }
                Ok(Value::Array(values))
            }
            Type::Tuple(members) => {
                if kind.head_size() == 0 {
                    self.charge(32 * (1 + members.len() as u64), *head)?;
                }
                let mut values = Vec::with_capacity(members.len());
                for (index, member) in members.iter().enumerate() {
                    let value = self.in_place(&member.kind, head);
                    values.push(value.map_err(|error| error.in_parameter(&member.name, index))?);
                }
                Ok(Value::Tuple(values))
            }
            _ => {
                let at = *head;
                let word = self.word(at)?;
                *head += 32;
                self.elementary(kind, word).map_err(|kind| kind.at(at))
            }
        }
    }

    fn elementary(&self, kind: &Type, word: [u8; 32]) -> Result<Value, AbiErrorKind> {
        let number = U256::from_be_bytes(word);
        let padding = |is_zero: bool| {
            if is_zero || !self.is_strict {
                Ok(())
            } else {
                Err(AbiErrorKind::Padding(kind.to_string()))
            }
        };
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        Ok(match kind {
            Type::Uint(bits) => {
                padding(number.bits() <= u32::from(*bits))?;
                Value::Uint(number.low_bits(u32::from(*bits)))
            }
            Type::Int(bits) => {
                padding(fits_signed(number, *bits))?;
                Value::Int(number.sign_extended(u32::from(*bits)))
            }
            Type::Address => {
                padding(is_zero(&word[..12]))?;
                let mut address = [0; 20];
                address.copy_from_slice(&word[12..]);
                Value::Address(Address(address))
            }
            Type::Bool => {
                padding(number.bits() <= 1)?;
                Value::Bool(number != U256::ZERO)
            }
            Type::FixedBytes(size) => {
                let (bytes, rest) = word.split_at(usize::from(*size));
                padding(is_zero(rest))?;
                Value::FixedBytes(bytes.to_vec())
            }
            _ => {
                let mut bytes = [0; 24];
                bytes.copy_from_slice(&word[..24]);
                padding(is_zero(&word[24..]))?;
                Value::Function(bytes)
            }
        })
    }

    /// Reads a length and as many bytes.
    fn bytes(&mut self, kind: &Type, at: usize) -> Decoded<&'a [u8]> {
        let length = self.length(at, "the length")?;
        let start = at + 32;
        let end = start + length;
        self.charge(length as u64, start)?;
        let data = self.data;
        let bytes = data.get(start..end).ok_or_else(|| self.truncated(start, length as u64))?;
        if !self.is_strict {
            return Ok((bytes, end));
        }
        let whole = end + (32 - length % 32) % 32;
        let padding =
            data.get(end..whole).ok_or_else(|| self.truncated(start, (whole - start) as u64))?;
        match padding.iter().position(|byte| *byte != 0) {
            Some(index) => Err(AbiErrorKind::Padding(kind.to_string()).at(end + index)),
            None => Ok((bytes, whole)),
        }
    }

    /// Reads a word that can't be more than the length of the data.
    fn length(&mut self, at: usize, what: &'static str) -> Result<usize, AbiError> {
        let number = U256::from_be_bytes(self.word(at)?);
        let have = self.data.len() as u64;
        match number.to_u64().filter(|number| *number <= have) {
            Some(number) => Ok(number as usize),
            None => Err(AbiErrorKind::Beyond { what, got: number.to_string(), have }.at(at)),
        }
    }

    fn word(&mut self, at: usize) -> Result<[u8; 32], AbiError> {
        self.charge(32, at)?;
        let bytes = self.data.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| self.truncated(at, 32))
    }

    /// Checks that `size` bytes follow, and returns the offset behind them.
    fn head_end(&self, base: usize, size: u64) -> Result<usize, AbiError> {
        let have = self.data.len().saturating_sub(base) as u64;
        if size > have { Err(self.truncated(base, size)) } else { Ok(base + size as usize) }
    }

    fn charge(&mut self, bytes: u64, at: usize) -> Result<(), AbiError> {
        let rest = usize::try_from(bytes).ok().and_then(|bytes| self.budget.checked_sub(bytes));
        self.budget = rest.ok_or_else(|| AbiErrorKind::Work.at(at))?;
        Ok(())
    }

    fn truncated(&self, at: usize, need: u64) -> AbiError {
        AbiErrorKind::Truncated { need, have: self.data.len().saturating_sub(at) as u64 }.at(at)
    }
}

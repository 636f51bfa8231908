//! Values from JSON and from texts, and back to JSON.
//!
//! Numbers are texts in decimal or `0x` hex, or JSON numbers as far as these are exact. Bytes are
//! `0x` hex. Tuples are lists, or objects if all members have names. A text of a list need not be
//! JSON: `[1,2]`, `(0x…,true)` and `[[a,b],[c]]` are read, too.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::{
    AbiError, AbiErrorKind, Parameter, Type, Value,
    value::{fits_signed, word_of},
};
use crate::{
    U256,
    number::{NumberError, parse_decimal},
    text::excerpt,
};

/// The largest whole number that every reader of JSON takes as it is.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

impl Value {
    /// Reads a value from JSON.
    ///
    /// # Errors
    /// If it is not of the type.
    pub fn from_json(kind: &Type, json: &Json) -> Result<Self, AbiError> {
        match (kind, json) {
            (Type::Array(item), Json::Array(list)) => items(item, list).map(Self::Array),
            (Type::FixedArray(item, length), Json::Array(list)) => {
                let got = list.len() as u64;
                if got != *length {
                    return Err(AbiErrorKind::Count { expected: *length, got }.into());
                }
                items(item, list).map(Self::Array)
            }
            (Type::Tuple(members), Json::Array(_) | Json::Object(_)) => {
                values_from_json(members, json).map(Self::Tuple)
            }
            (Type::Array(_) | Type::FixedArray(..), _) => Err(mismatch(kind, "a list", json)),
            (Type::Tuple(_), _) => Err(mismatch(kind, "a list or an object", json)),
            _ => Ok(elementary(kind, json)?),
        }
    }

    /// Reads a value from the text of an argument.
    ///
    /// # Errors
    /// If it is not of the type.
    pub fn from_text(kind: &Type, text: &str) -> Result<Self, AbiError> {
        match kind {
            Type::Array(_) | Type::FixedArray(..) | Type::Tuple(_) => {
                let json = serde_json::from_str(text).ok().or_else(|| bare(text));
                let json = json.ok_or_else(|| {
                    let json = Json::String(text.to_owned());
                    mismatch(kind, "a list such as [1,2]", &json)
                })?;
                Self::from_json(kind, &json)
            }
            _ => Self::from_json(kind, &Json::String(text.to_owned())),
        }
    }

    /// Returns the value as JSON: numbers as decimal texts, bytes as `0x` hex, tuples as objects if
    /// all members have different names.
    pub fn to_json(&self, kind: &Type) -> Json {
        match (self, kind) {
            (Self::Uint(number), _) => number.to_string().into(),
            (Self::Int(number), _) => number.to_signed_text().into(),
            (Self::Address(address), _) => address.to_string().into(),
            (Self::Bool(value), _) => (*value).into(),
            (Self::FixedBytes(bytes) | Self::Bytes(bytes), _) => hex0x(bytes).into(),
            (Self::Function(bytes), _) => hex0x(bytes).into(),
            (Self::String(text), _) => text.as_str().into(),
            (Self::Array(values), Type::Array(item) | Type::FixedArray(item, _)) => {
                values.iter().map(|value| value.to_json(item)).collect()
            }
            (Self::Tuple(values), Type::Tuple(members)) => values_to_json(members, values),
            // Values go with their types; nothing else makes them.
            (Self::Array(_) | Self::Tuple(_), _) => Json::Null,
        }
    }
}

/// Reads values of parameters from a list, or from an object by their names.
///
/// # Errors
/// If they are not of their types.
pub fn values_from_json(parameters: &[Parameter], json: &Json) -> Result<Vec<Value>, AbiError> {
    let read = |index: usize, json: &Json| {
        let parameter = &parameters[index];
        Value::from_json(&parameter.kind, json)
            .map_err(|error| error.in_parameter(&parameter.name, index))
    };
    match json {
        Json::Array(list) => {
            let (expected, got) = (parameters.len() as u64, list.len() as u64);
            if expected != got {
                return Err(AbiErrorKind::Count { expected, got }.into());
            }
            list.iter().enumerate().map(|(index, json)| read(index, json)).collect()
        }
        Json::Object(members) => {
            let wrong = |problem, name: &str| -> AbiError {
                AbiErrorKind::Member { problem, name: excerpt(name) }.into()
            };
            let known: HashSet<&String> = parameters.iter().map(|it| &it.name).collect();
            if let Some(name) = members.keys().find(|name| !known.contains(name)) {
                return Err(wrong("has no use for", name));
            }
            if !have_names(parameters) {
                return Err(wrong("can't name all members of", "the tuple: give a list"));
            }
            let member = |(index, parameter): (usize, &Parameter)| {
                let found = members.get(&parameter.name);
                read(index, found.ok_or_else(|| wrong("lacks", &parameter.name))?)
            };
            parameters.iter().enumerate().map(member).collect()
        }
        _ => Err(AbiErrorKind::Value {
            kind: "the arguments".to_owned(),
            expected: "a list or an object",
            got: shown(json),
        }
        .into()),
    }
}

/// Returns values as an object if all parameters have different names, else as a list.
pub fn values_to_json(parameters: &[Parameter], values: &[Value]) -> Json {
    let pairs = parameters.iter().zip(values);
    if have_names(parameters) {
        let member = |(it, value): (&Parameter, &Value)| (it.name.clone(), value.to_json(&it.kind));
        return Json::Object(pairs.map(member).collect::<Map<_, _>>());
    }
    pairs.map(|(parameter, value)| value.to_json(&parameter.kind)).collect()
}

fn have_names(parameters: &[Parameter]) -> bool {
    let mut names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    names.sort_unstable();
    names.dedup();
    !names.is_empty() && names.len() == parameters.len() && !names[0].is_empty()
}

fn items(kind: &Type, list: &[Json]) -> Result<Vec<Value>, AbiError> {
    list.iter()
        .enumerate()
        .map(|(index, json)| Value::from_json(kind, json).map_err(|error| error.in_item(index)))
        .collect()
}

fn elementary(kind: &Type, json: &Json) -> Result<Value, AbiErrorKind> {
    let expected = |expected| Err(mismatch_kind(kind, expected, json));
    Ok(match kind {
        Type::Uint(bits) => {
            let Some((negative, magnitude)) = integer(json)? else { return expected("a number") };
            if magnitude.bits() > u32::from(*bits) || negative && magnitude != U256::ZERO {
                return Err(out_of_range(kind, json));
            }
            Value::Uint(magnitude)
        }
        Type::Int(bits) => {
            let Some((negative, magnitude)) = integer(json)? else { return expected("a number") };
            let number = if negative { magnitude.negated() } else { magnitude };
            let has_sign = number.is_negative() == (negative && number != U256::ZERO);
            if !has_sign || !fits_signed(number, *bits) {
                return Err(out_of_range(kind, json));
            }
            Value::Int(number)
        }
        Type::Bool => match json {
            Json::Bool(value) => Value::Bool(*value),
            Json::String(text) if text == "true" => Value::Bool(true),
            Json::String(text) if text == "false" => Value::Bool(false),
            _ => return expected("true or false"),
        },
        Type::Address => match json {
            Json::String(text) if text.starts_with("0x") => Value::Address(text.parse()?),
            _ => return expected("an address, 0x and 40 hex digits,"),
        },
        Type::String => match json {
            Json::String(text) => Value::String(text.clone()),
            _ => return expected("a text"),
        },
        Type::Bytes => match bytes(json) {
            Some(bytes) => Value::Bytes(bytes),
            None => return expected("0x and hex digits"),
        },
        Type::Function => match bytes(json).map(<[u8; 24]>::try_from) {
            Some(Ok(bytes)) => Value::Function(bytes),
            _ => return expected("24 bytes, 0x and 48 hex digits,"),
        },
        _ => {
            let Some(bytes) = bytes(json) else { return expected("0x and hex digits") };
            let value = Value::FixedBytes(bytes);
            word_of(kind, &value).map_err(|error| error.kind)?;
            value
        }
    })
}

/// Reads the sign and the magnitude of a number. `None` if it is none at all.
pub(crate) fn integer(json: &Json) -> Result<Option<(bool, U256)>, NumberError> {
    match json {
        Json::String(text) => {
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.as_str()),
            };
            let magnitude = if digits.starts_with("0x") || digits.starts_with("0X") {
                digits.parse()?
            } else {
                // A second sign is no number.
                if digits.starts_with(['-', '+']) {
                    return Err(NumberError::Format(excerpt(text)));
                }
                parse_decimal(digits, 0)?
            };
            Ok(Some((negative, magnitude)))
        }
        Json::Number(number) => {
            if let Some(number) = number.as_u64() {
                return Ok(Some((false, number.into())));
            }
            if let Some(number) = number.as_i64() {
                return Ok(Some((true, number.unsigned_abs().into())));
            }
            let float = number.as_f64().unwrap_or(f64::NAN);
            if float.fract() != 0.0 {
                return Err(NumberError::Fraction(number.to_string()));
            }
            if float.abs() > MAX_EXACT {
                return Err(NumberError::Inexact(number.to_string()));
            }
            Ok(Some((float < 0.0, (float.abs() as u64).into())))
        }
        _ => Ok(None),
    }
}

/// Reads `0x` hex.
pub(crate) fn bytes(json: &Json) -> Option<Vec<u8>> {
    hex::decode(json.as_str()?.strip_prefix("0x")?).ok()
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn out_of_range(kind: &Type, json: &Json) -> AbiErrorKind {
    AbiErrorKind::Range { kind: kind.to_string(), got: shown(json) }
}

fn mismatch(kind: &Type, expected: &'static str, json: &Json) -> AbiError {
    mismatch_kind(kind, expected, json).into()
}

fn mismatch_kind(kind: &Type, expected: &'static str, json: &Json) -> AbiErrorKind {
    AbiErrorKind::Value { kind: excerpt(&kind.to_string()), expected, got: shown(json) }
}

/// Shows the beginning of a JSON value; of lists and objects only what they are.
fn shown(json: &Json) -> String {
    match json {
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        other => excerpt(&other.to_string()),
    }
}

/// Reads a list without the quotes of JSON. `None` if it is none.
fn bare(text: &str) -> Option<Json> {
    let mut parser = Bare { rest: text.trim() };
    let list = parser.list(0)?;
    parser.rest.is_empty().then_some(list)
}

struct Bare<'a> {
    rest: &'a str,
}

impl Bare<'_> {
    fn list(&mut self, depth: usize) -> Option<Json> {
        let close = match self.rest.chars().next()? {
            '[' => ']',
            '(' => ')',
            _ => return None,
        };
        if depth > super::MAX_DEPTH {
            return None;
        }
        self.rest = self.rest[1..].trim_start();
        let mut list = Vec::new();
        if let Some(rest) = self.rest.strip_prefix(close) {
            self.rest = rest;
            return Some(Json::Array(list));
        }
        loop {
            list.push(self.item(depth)?);
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(Json::Array(list));
            }
            self.rest = self.rest.strip_prefix(',')?.trim_start();
        }
    }

    fn item(&mut self, depth: usize) -> Option<Json> {
        match self.rest.chars().next()? {
            '[' | '(' => self.list(depth + 1),
            '"' => {
                let mut texts = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
                let text = texts.next()?.ok()?;
                self.rest = &self.rest[texts.byte_offset()..];
                Some(Json::String(text))
            }
            _ => {
                let end = self.rest.find([',', ']', ')', '[', '(']).unwrap_or(self.rest.len());
                let (item, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Json::String(item.trim().to_owned()))
            }
        }
    }
}

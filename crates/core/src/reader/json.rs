//! The bytes in JSON documents.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Encoding, Reading, Wants, text};

/// The most members that are looked at.
const MAX_MEMBERS: usize = 1 << 20;

/// How deep documents are nested in texts of documents.
const MAX_NESTED: usize = 4;

/// A member that holds bytes, or a record.
#[derive(Debug)]
pub(super) enum Found {
    Record(Map<String, Value>),
    Bytes(Candidate),
}

/// Bytes that may be meant.
#[derive(Debug)]
pub(super) struct Candidate {
    /// What it belongs to: members of one element of an array belong together.
    pub(super) owner: usize,
    /// Its readings, the most likely first.
    pub(super) readings: Vec<Reading>,
    /// How likely its name is, 0 for the most likely.
    pub(super) rank: usize,
}

/// Names of members that usually hold the bytes, the most likely first.
const NAMES: [&str; 9] =
    ["raw", "payload", "data", "envelope", "message", "bytes", "result", "input", "body"];

/// How likely bytes are meant by a name.
pub(super) fn rank(name: &str) -> usize {
    let name = name.to_ascii_lowercase();
    let known = NAMES.iter().position(|known| name.ends_with(known));
    known.unwrap_or(NAMES.len())
}

/// Finds everything in a document.
pub(super) fn find(value: &Value, wants: &Wants) -> Vec<Found> {
    let mut walk = Walk { wants, found: Vec::new(), owners: 0, seen: 0 };
    walk.value(value, &mut String::new(), "", 0, 0);
    walk.found
}

struct Walk<'a> {
    wants: &'a Wants,
    found: Vec<Found>,
    owners: usize,
    seen: usize,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, path: &mut String, name: &str, owner: usize, depth: usize) {
        self.seen += 1;
        if self.seen > MAX_MEMBERS {
            return;
        }
        match value {
            Value::Object(members) if self.wants.is_record(members) => {
                self.found.push(Found::Record(members.clone()));
            }
            Value::Object(members) => match bytes_of_object(members) {
                Some(reading) => self.bytes(vec![reading], path, name, owner),
                None => {
                    for (name, value) in members {
                        let length = path.len();
                        push_name(path, name);
                        self.value(value, path, name, owner, depth);
                        path.truncate(length);
                    }
                }
            },
            Value::Array(values) => match bytes_of_array(values) {
                Some(bytes) => {
                    self.bytes(vec![Reading::new(Encoding::Array, bytes)], path, name, owner);
                }
                None => {
                    for (index, value) in values.iter().enumerate() {
                        let length = path.len();
                        let _ = write!(path, "[{index}]");
                        // Each object of an array is on its own.
                        self.owners += usize::from(value.is_object());
                        let owner = if value.is_object() { self.owners } else { owner };
                        self.value(value, path, name, owner, depth);
                        path.truncate(length);
                    }
                }
            },
            Value::String(text) => self.text(text, path, name, owner, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str, path: &mut String, name: &str, owner: usize, depth: usize) {
        let bare = text::trim(text);
        if depth < MAX_NESTED
            && bare.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str::<Value>(bare)
        {
            return self.value(&value, path, name, owner, depth + 1);
        }
        let has_name = rank(name) < NAMES.len();
        let is_hex = text::after_0x(bare).is_some();
        // Any word is base64: without a name that says so, it has to be long.
        if bare.len() < if has_name || is_hex { 4 } else { 24 } || bare.contains("://") {
            return;
        }
        if let Ok(readings) = text::readings(bare)
            && !readings.is_empty()
        {
            self.bytes(readings, path, name, owner);
        }
    }

    fn bytes(&mut self, mut readings: Vec<Reading>, path: &str, name: &str, owner: usize) {
        if !path.is_empty() {
            readings = readings.into_iter().map(|reading| reading.at(path)).collect();
        }
        self.found.push(Found::Bytes(Candidate { owner, readings, rank: rank(name) }));
    }
}

/// The longest name that is shown.
const MAX_NAME: usize = 64;

fn push_name(path: &mut String, name: &str) {
    let is_word = name.len() <= MAX_NAME
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_word {
        // Names of strangers may be anything.
        path.push_str("[…]");
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// `{"type":"Buffer","data":[…]}` of Node, and `{"0":249,"1":1,…}` of typed arrays.
fn bytes_of_object(members: &Map<String, Value>) -> Option<Reading> {
    if members.get("type").is_some_and(|kind| kind == "Buffer") {
        let bytes = match members.get("data")? {
            Value::Array(values) => values.iter().map(byte).collect::<Option<_>>()?,
            Value::String(text) => {
                return text::readings(text.strip_prefix("base64:").unwrap_or(text))
                    .ok()?
                    .into_iter()
                    .next();
            }
            _ => return None,
        };
        return Some(Reading::new(Encoding::Array, bytes));
    }
    if members.len() < 2 {
        return None;
    }
    let bytes = members
        .iter()
        .enumerate()
        .map(|(index, (name, value))| (name.parse() == Ok(index)).then(|| byte(value)).flatten());
    Some(Reading::new(Encoding::Array, bytes.collect::<Option<_>>()?))
}

fn bytes_of_array(values: &[Value]) -> Option<Vec<u8>> {
    if values.len() < 2 {
        return None;
    }
    values.iter().map(byte).collect()
}

fn byte(value: &Value) -> Option<u8> {
    match value {
        Value::Number(number) => {
            let number = number.as_i64()?;
            u8::try_from(number).ok().or_else(|| i8::try_from(number).ok().map(i8::cast_unsigned))
        }
        Value::String(text) if text.len() == 4 => {
            text::after_0x(text).and_then(|digits| u8::from_str_radix(digits, 16).ok())
        }
        _ => None,
    }
}

//! Hashes of structs, part by part.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};
use statuskit_core::crypto::keccak256;

use super::{
    Field, Kind, Rules, Types,
    error::{TypedDataError, TypedDataErrorKind, join},
    value::word,
};
use crate::{abi::AbiErrorKind, text::excerpt};

/// The deepest nesting of values.
const MAX_DEPTH: usize = 64;
/// The most bytes of paths and types that parts are recorded with.
const MAX_PARTS: usize = 16 << 20;

/// A struct with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// The text of the type.
    pub type_text: String,
    /// Its Keccak-256.
    pub type_hash: [u8; 32],
    /// The hash of the type, and the words of the members.
    pub encoded: Vec<u8>,
    /// The Keccak-256 of that.
    pub hash: [u8; 32],
    /// The members, and those of all structs and arrays inside, in the order of the definition.
    /// Empty unless they were asked for.
    pub parts: Vec<Part>,
}

/// A value inside a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its path, such as `to[0].wallet`.
    pub path: String,
    /// The text of its type.
    pub kind: String,
    /// Its word: the value itself, or a hash.
    pub word: [u8; 32],
}

impl Types {
    /// Hashes a value of a struct, and records its parts if wanted.
    ///
    /// # Errors
    /// If a value does not have its type, is missing or superfluous, or the rules refuse it.
    pub fn hash_struct(
        &self,
        name: &str,
        value: &Json,
        rules: Rules,
        with_parts: bool,
    ) -> Result<Hashed, TypedDataError> {
        let mut hasher = Hasher {
            types: self,
            rules,
            type_hashes: HashMap::new(),
            parts: Vec::new(),
            room: MAX_PARTS,
        };
        let path = with_parts.then_some("");
        let encoded = hasher.encode_struct(name, value, path, 0)?;
        let type_text = self.encode_type(name)?;
        let mut type_hash = [0; 32];
        type_hash.copy_from_slice(&encoded[..32]);
        let hash = keccak256(&encoded);
        Ok(Hashed { type_text, type_hash, hash, encoded, parts: hasher.parts })
    }
}

struct Hasher<'a> {
    types: &'a Types,
    rules: Rules,
    type_hashes: HashMap<&'a str, [u8; 32]>,
    parts: Vec<Part>,
    /// The bytes that parts may still take.
    room: usize,
}

impl<'a> Hasher<'a> {
    /// Returns the hash of the type, and the words of the members.
    fn encode_struct(
        &mut self,
        name: &'a str,
        value: &Json,
        path: Option<&str>,
        depth: usize,
    ) -> Result<Vec<u8>, TypedDataError> {
        if depth > MAX_DEPTH {
            return Err(TypedDataErrorKind::Depth(MAX_DEPTH).into());
        }
        let fields = self.types.fields(name)?;
        let Json::Object(members) = value else {
            return Err(mismatch(name, "an object", value).into());
        };
        check_extra(fields, members)?;
        let mut encoded = self.type_hash(name)?.to_vec();
        for field in fields {
            let word = match members.get(&field.name) {
                Some(value) => {
                    let path = path.map(|path| join(path, &field.name));
                    self.word(&field.kind, &field.text, value, path.as_deref(), depth)
                }
                // The end of a recursive type.
                None if matches!(field.kind, Kind::Struct(_)) => Ok([0; 32]),
                None => Err(TypedDataErrorKind::Missing(excerpt(&field.name)).into()),
            };
            encoded.extend_from_slice(&word.map_err(|error| error.inside(&field.name))?);
        }
        Ok(encoded)
    }

    fn word(
        &mut self,
        kind: &'a Kind,
        text: &str,
        value: &Json,
        path: Option<&str>,
        depth: usize,
    ) -> Result<[u8; 32], TypedDataError> {
        // The parent comes before its members.
        let at = self.parts.len();
        if let Some(path) = path {
            let room = self.room.checked_sub(path.len() + text.len());
            self.room = room.ok_or(TypedDataErrorKind::TooManyParts)?;
            self.parts.push(Part { path: path.to_owned(), kind: text.to_owned(), word: [0; 32] });
        }
        let word = match kind {
            Kind::Elementary(kind) => word(kind, value, self.rules)?,
            Kind::Struct(_) if value.is_null() => [0; 32],
            Kind::Struct(name) => keccak256(&self.encode_struct(name, value, path, depth + 1)?),
            Kind::Array(..) if self.rules != Rules::Exact => {
                return Err(TypedDataErrorKind::Unsupported(text.to_owned()).into());
            }
            Kind::Array(item, length) => {
                let Json::Array(values) = value else {
                    return Err(mismatch(text, "a list", value).into());
                };
                let got = values.len() as u64;
                if let Some(expected) = *length
                    && expected != got
                {
                    let count = AbiErrorKind::Count { expected, got };
                    return Err(TypedDataErrorKind::from(count).into());
                }
                // All behind the last bracket that opens is this level.
                let inner = text.rfind('[').map_or(text, |end| &text[..end]);
                let mut words = Vec::with_capacity(32 * values.len());
                for (index, value) in values.iter().enumerate() {
                    let path = path.map(|path| format!("{path}[{index}]"));
                    let word = self.word(item, inner, value, path.as_deref(), depth + 1);
                    let word = word.map_err(|error| error.inside(&format!("[{index}]")))?;
                    words.extend_from_slice(&word);
                }
                keccak256(&words)
            }
        };
        if let Some(part) = self.parts.get_mut(at) {
            part.word = word;
        }
        Ok(word)
    }

    fn type_hash(&mut self, name: &'a str) -> Result<[u8; 32], TypedDataError> {
        if let Some(hash) = self.type_hashes.get(name) {
            return Ok(*hash);
        }
        let hash = keccak256(self.types.encode_type(name)?.as_bytes());
        self.type_hashes.insert(name, hash);
        Ok(hash)
    }
}

fn check_extra(fields: &[Field], members: &Map<String, Json>) -> Result<(), TypedDataErrorKind> {
    // Most have exactly the members of their type.
    if members.len() <= fields.len() && fields.iter().all(|it| members.contains_key(&it.name)) {
        return Ok(());
    }
    let known: HashSet<&String> = fields.iter().map(|field| &field.name).collect();
    match members.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(TypedDataErrorKind::Extra(excerpt(name))),
        None => Ok(()),
    }
}

fn mismatch(kind: &str, expected: &'static str, value: &Json) -> TypedDataErrorKind {
    let got = match value {
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        other => excerpt(&other.to_string()),
    };
    AbiErrorKind::Value { kind: excerpt(kind), expected, got }.into()
}

//! Types of typed data, and their texts.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value as Json, json};

use super::{TypedDataError, TypedDataErrorKind};
use crate::{abi::Type, text::excerpt};

/// The most types.
const MAX_TYPES: usize = 512;
/// The longest text of all types together, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// The longest name, in bytes.
const MAX_NAME: usize = 256;
/// The most `[]` of one member.
const MAX_LEVELS: usize = 32;

/// A member of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The text of its type, which is hashed as it is.
    pub text: String,
    /// Its type.
    pub kind: Kind,
}

/// The type of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A number, boolean, address, bytes or text.
    Elementary(Type),
    /// `T[]`, or `T[n]`.
    Array(Box<Kind>, Option<u64>),
    /// A struct, by its name.
    Struct(String),
}

/// The definitions of structs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types {
    structs: HashMap<String, Vec<Field>>,
    /// In the order in which they were given.
    names: Vec<String>,
    text: usize,
}

impl Field {
    /// Reads a member.
    ///
    /// # Errors
    /// If the name or the type is malformed.
    pub fn new(name: &str, kind: &str) -> Result<Self, TypedDataError> {
        if !is_identifier(name) {
            return Err(TypedDataErrorKind::Name(excerpt(name)).into());
        }
        let parsed = parse_kind(kind)?;
        Ok(Self { name: name.to_owned(), text: kind.to_owned(), kind: parsed })
    }
}

impl Types {
    /// Reads an object from names to lists of `{"name": …, "type": …}`.
    ///
    /// # Errors
    /// If it is malformed, has too many types, or a type that is used is not defined.
    pub fn from_json(json: &Json) -> Result<Self, TypedDataError> {
        let Json::Object(members) = json else {
            return Err(TypedDataErrorKind::Structure("has no object in", "types").into());
        };
        let mut types = Self::default();
        for (name, fields) in members {
            let malformed = || TypedDataErrorKind::Definition(excerpt(name));
            let fields = fields.as_array().ok_or_else(malformed)?.iter().map(|field| {
                let text = |member| field.get(member).and_then(Json::as_str);
                let (Some(field), Some(kind)) = (text("name"), text("type")) else {
                    return Err(malformed().into());
                };
                Field::new(field, kind)
            });
            let fields = fields.collect::<Result<_, _>>();
            types.insert(name, fields.map_err(|error| error.inside(name))?)?;
        }
        types.check_references()?;
        Ok(types)
    }

    /// Returns the members of a struct.
    pub fn get(&self, name: &str) -> Option<&[Field]> {
        self.structs.get(name).map(Vec::as_slice)
    }

    /// Returns the text of a type: its own definition, and then those of the structs that it uses,
    /// sorted by name.
    ///
    /// # Errors
    /// If a type is not defined.
    pub fn encode_type(&self, name: &str) -> Result<String, TypedDataError> {
        let mut used = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            for field in self.fields(next)? {
                if let Some(inner) = field.kind.struct_name()
                    && inner != name
                    && used.insert(inner)
                {
                    open.push(inner);
                }
            }
        }
        let mut text = String::new();
        for name in std::iter::once(name).chain(used) {
            text.push_str(name);
            text.push('(');
            for (index, field) in self.fields(name)?.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&field.text);
                text.push(' ');
                text.push_str(&field.name);
            }
            text.push(')');
        }
        Ok(text)
    }

    /// Returns the definitions as JSON.
    pub fn to_json(&self) -> Json {
        let definition = |name: &String| {
            let fields = self.structs.get(name).into_iter().flatten();
            let fields: Json =
                fields.map(|field| json!({ "name": field.name, "type": field.text })).collect();
            (name.clone(), fields)
        };
        Json::Object(self.names.iter().map(definition).collect::<Map<_, _>>())
    }

    pub(super) fn fields(&self, name: &str) -> Result<&[Field], TypedDataError> {
        self.get(name).ok_or_else(|| TypedDataErrorKind::UnknownType(excerpt(name)).into())
    }

    pub(super) fn insert(&mut self, name: &str, fields: Vec<Field>) -> Result<(), TypedDataError> {
        // The name of an elementary type would change what others mean.
        if !is_identifier(name) || name.parse::<Type>().is_ok() {
            return Err(TypedDataErrorKind::Name(excerpt(name)).into());
        }
        let mut names = BTreeSet::new();
        for field in &fields {
            if !names.insert(&field.name) {
                let kind = TypedDataErrorKind::Duplicate(excerpt(&field.name));
                return Err(TypedDataError::from(kind).inside(name));
            }
            self.text += field.name.len() + field.text.len() + 2;
        }
        self.text += name.len() + 2;
        if self.names.len() >= MAX_TYPES || self.text > MAX_TEXT {
            return Err(TypedDataErrorKind::TooMany(MAX_TYPES).into());
        }
        self.names.push(name.to_owned());
        self.structs.insert(name.to_owned(), fields);
        Ok(())
    }

    fn check_references(&self) -> Result<(), TypedDataError> {
        for (name, fields) in &self.structs {
            for field in fields {
                if let Some(inner) = field.kind.struct_name()
                    && self.get(inner).is_none()
                {
                    let error = TypedDataErrorKind::UnknownType(excerpt(inner));
                    return Err(TypedDataError::from(error).inside(&field.name).inside(name));
                }
            }
        }
        Ok(())
    }
}

impl Kind {
    /// Returns the struct that this is made of, behind arrays.
    fn struct_name(&self) -> Option<&str> {
        match self {
            Self::Elementary(_) => None,
            Self::Array(item, _) => item.struct_name(),
            Self::Struct(name) => Some(name),
        }
    }
}

/// Reads the type of a member. A name that is no elementary type is a struct.
fn parse_kind(text: &str) -> Result<Kind, TypedDataErrorKind> {
    let wrong = || TypedDataErrorKind::UnknownType(excerpt(text));
    let start = text.find('[').unwrap_or(text.len());
    let (base, mut suffix) = text.split_at(start);
    if !is_identifier(base) {
        return Err(wrong());
    }
    let mut kind = match base.parse::<Type>() {
        Ok(Type::Function) => return Err(TypedDataErrorKind::Unsupported(excerpt(text))),
        Ok(elementary) => Kind::Elementary(elementary),
        Err(_) => Kind::Struct(base.to_owned()),
    };
    let mut levels = 0;
    while !suffix.is_empty() {
        let inner = suffix.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (digits, rest) = inner.ok_or_else(wrong)?;
        let length = match digits {
            "" => None,
            _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| wrong())?)
            }
            _ => return Err(wrong()),
        };
        levels += 1;
        if levels > MAX_LEVELS {
            return Err(TypedDataErrorKind::Depth(MAX_LEVELS));
        }
        kind = Kind::Array(Box::new(kind), length);
        suffix = rest;
    }
    Ok(kind)
}

fn is_identifier(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    !text.is_empty()
        && text.len() <= MAX_NAME
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(is_letter)
}

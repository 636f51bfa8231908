//! Definitions of messages, as tables.

use super::wire::Value;

/// The definition of a message, generated into the `schema` of each layer.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageDef {
    /// Its name, such as `ChatMessage`.
    pub name: &'static str,
    /// Its fields in the order of their numbers.
    pub fields: &'static [FieldDef],
    /// Whether it is the entry of a map: a key and a value.
    pub is_entry: bool,
}

/// The definition of a field.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// Its number on the wire.
    pub number: u32,
    /// Its name, such as `chat_id`.
    pub name: &'static str,
    /// The type of its values.
    pub kind: FieldType,
    /// Whether it may occur repeatedly.
    pub repeated: bool,
    /// The oneof that it belongs to: only one field of that is set.
    pub oneof: Option<&'static str>,
}

/// The type of a field's values.
#[derive(Debug, PartialEq, Eq)]
pub enum FieldType {
    Uint64,
    Int32,
    Bool,
    String,
    Bytes,
    Enum(&'static EnumDef),
    Message(&'static MessageDef),
}

/// The definition of an enumeration.
#[derive(Debug, PartialEq, Eq)]
pub struct EnumDef {
    /// Its name, such as `ContentType`.
    pub name: &'static str,
    /// Its numbers and lower-case names.
    pub values: &'static [(i32, &'static str)],
}

impl MessageDef {
    /// Returns the field of a number.
    pub fn field(&self, number: u32) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// Returns the field of a name.
    pub fn named(&self, name: &str) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns whether it or a nested message has a oneof.
    pub(super) fn has_oneof(&self) -> bool {
        self.fields.iter().any(|field| {
            field.is_in_oneof() || matches!(field.kind, FieldType::Message(def) if def.has_oneof())
        })
    }
}

impl FieldDef {
    /// Returns whether a value has the wire type of the field.
    pub fn takes(&self, value: &Value<'_>) -> bool {
        match self.kind {
            FieldType::Uint64 | FieldType::Int32 | FieldType::Bool | FieldType::Enum(_) => {
                matches!(value, Value::Varint(_))
            }
            FieldType::String | FieldType::Bytes | FieldType::Message(_) => {
                matches!(value, Value::Bytes(_))
            }
        }
    }

    /// Returns whether a value of another wire type is an error, instead of an unknown field.
    pub(super) fn is_strict(&self) -> bool {
        let is_map = matches!(self.kind, FieldType::Message(def) if def.is_entry);
        is_map || self.is_in_oneof()
    }

    /// Returns whether it is decoded as a field of a oneof. That of group updates is newer than the
    /// reference, which knows only its first field.
    pub(super) fn is_in_oneof(&self) -> bool {
        self.oneof.is_some_and(|oneof| oneof != "chat_entity")
    }
}

impl EnumDef {
    /// Returns the name of a number.
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|value| value.0 == number).map(|value| value.1)
    }

    /// Returns the number of a name. Ignores case.
    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|value| value.1.eq_ignore_ascii_case(name)).map(|value| value.0)
    }
}

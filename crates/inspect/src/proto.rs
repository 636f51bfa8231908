//! Protobuf messages as fields.

use serde_json::Value as Json;
use statuskit_core::protobuf::{FieldType, Fields, MessageDef, Value};

use crate::layer::{Field, hex0x};

/// Messages nested deeper are shown as bytes.
const MAX_DEPTH: usize = 8;
/// The most fields that are listed. Messages of clients have less.
const MAX_FIELDS: usize = 4096;

/// The fields of a message, and how well they fit its definition.
pub(crate) struct Message {
    pub fields: Vec<Field>,
    /// The fields that the definition does not know, those in messages counted.
    pub unknown: usize,
    count: usize,
}

/// Reads a message of this definition. `None` if the bytes are none.
pub(crate) fn read(def: &MessageDef, bytes: &[u8], at: usize) -> Option<Message> {
    let mut message = Message { fields: Vec::new(), unknown: 0, count: 0 };
    message.read(def, bytes, at, 0)?;
    Some(message)
}

impl Message {
    fn read(&mut self, def: &MessageDef, bytes: &[u8], at: usize, depth: usize) -> Option<()> {
        let fields = self.list(def, bytes, at, depth)?;
        self.fields = fields;
        Some(())
    }

    fn list(
        &mut self,
        def: &MessageDef,
        bytes: &[u8],
        at: usize,
        depth: usize,
    ) -> Option<Vec<Field>> {
        let mut list = Vec::new();
        for raw in Fields::new(bytes) {
            let raw = raw.ok()?;
            self.count += 1;
            if self.count > MAX_FIELDS {
                return None;
            }
            let known = def.field(raw.number).filter(|field| field.takes(&raw.value));
            let offset = at + raw.start;
            let length = raw.end - raw.start;
            let Some(known) = known else {
                self.unknown += 1;
                let name = format!("unknown field {} ({})", raw.number, raw.value.wire_type());
                list.push(Field::new(name, offset, length, plain(&raw.value)));
                continue;
            };
            let mut field = Field::new(known.name, offset, length, Json::Null);
            match (&known.kind, raw.value) {
                (FieldType::Message(inner), Value::Bytes(content)) if depth < MAX_DEPTH => {
                    let start = at + raw.end - content.len();
                    field.fields = self.list(inner, content, start, depth + 1)?;
                }
                (FieldType::String, Value::Bytes(content)) => {
                    field.value = Json::String(std::str::from_utf8(content).ok()?.to_owned());
                }
                (FieldType::Enum(values), Value::Varint(number)) => {
                    let name = i32::try_from(number).ok().and_then(|it| values.name_of(it));
                    field.value = name.map_or_else(|| number.into(), |name| name.into());
                }
                (FieldType::Bool, Value::Varint(number)) => field.value = (number != 0).into(),
                (_, value) => field.value = plain(&value),
            }
            list.push(field);
        }
        Some(list)
    }
}

fn plain(value: &Value<'_>) -> Json {
    match value {
        Value::Varint(number) => (*number).into(),
        Value::Fixed64(bytes) => hex0x(bytes),
        Value::Fixed32(bytes) => hex0x(bytes),
        Value::Bytes(bytes) | Value::Group(bytes) => hex0x(bytes),
    }
}

/// Returns the contents of all fields of a number, with their offsets in the buffer.
pub(crate) fn contents(bytes: &[u8], at: usize, number: u32) -> Vec<(&[u8], usize)> {
    let fields = Fields::new(bytes).map_while(Result::ok);
    let of_number = fields.filter(|field| field.number == number);
    of_number
        .filter_map(|field| match field.value {
            Value::Bytes(content) => Some((content, at + field.end - content.len())),
            _ => None,
        })
        .collect()
}

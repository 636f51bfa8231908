//! The fields of a message as its definition knows them.

use std::borrow::Cow;

use super::{FieldDef, FieldError, FieldProblem, FieldType, Fields, MessageDef, Value};

/// Encodes a message again as the reference does: all fields in the order of their numbers, known
/// ones once and without zero values.
///
/// # Errors
/// If the bytes are not the message.
pub fn normalise(def: &MessageDef, bytes: &[u8]) -> Result<Vec<u8>, FieldError> {
    rewrite(def, bytes, true)
}

/// Encodes a message again as the reference does, without unknown fields.
///
/// # Errors
/// If the bytes are not the message.
pub fn known_only(def: &MessageDef, bytes: &[u8]) -> Result<Vec<u8>, FieldError> {
    rewrite(def, bytes, false)
}

fn rewrite(def: &MessageDef, bytes: &[u8], unknown: bool) -> Result<Vec<u8>, FieldError> {
    let content = Content::read(def, bytes)?;
    let mut out = Writer::default();
    for (field, values) in def.fields.iter().zip(&content.known) {
        for value in values {
            match (value, &field.kind) {
                (Known::Number(number), _) => out.add(field, Value::Varint(*number)),
                (Known::Bytes(at, bytes), FieldType::Message(inner)) => {
                    let bytes =
                        rewrite(inner, bytes, unknown).map_err(|error| error.inside(*at))?;
                    out.add(field, Value::Bytes(&bytes));
                }
                (Known::Bytes(_, bytes), _) => out.add(field, Value::Bytes(bytes)),
            }
        }
    }
    if unknown {
        content.unknown.iter().for_each(|(number, value)| out.add_unknown(*number, value));
    }
    Ok(out.finish())
}

/// Decodes a message into a type. Unlike prost, reports the offset of an error.
pub(crate) fn decode_known<M: prost::Message + Default>(
    def: &'static MessageDef,
    bytes: &[u8],
) -> Result<M, FieldError> {
    // For a repeated field of a oneof, prost would merge what the reference replaces.
    if !def.has_oneof()
        && let Ok(message) = M::decode(bytes)
    {
        return Ok(message);
    }
    let known = known_only(def, bytes)?;
    let at_start = FieldError { at: 0, problem: FieldProblem::Definition };
    M::decode(&*known).map_err(|_| at_start)
}

/// The fields of a message, known and unknown.
pub(super) struct Content<'a> {
    /// The values of each field of the definition: at most one, unless it is repeated.
    pub known: Vec<Vec<Known<'a>>>,
    pub unknown: Vec<(u32, Value<'a>)>,
}

/// The value of a known field.
pub(super) enum Known<'a> {
    Number(u64),
    /// Bytes, with their offset in the message.
    Bytes(usize, Cow<'a, [u8]>),
}

impl<'a> Content<'a> {
    pub fn read(def: &MessageDef, bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut known: Vec<_> = def.fields.iter().map(|_| Vec::new()).collect();
        let mut unknown = Vec::new();
        for found in Fields::new(bytes) {
            let found = found?;
            let known_at = def.fields.iter().position(|it| it.number == found.number);
            let (index, field) = match known_at.map(|index| (index, &def.fields[index])) {
                Some((index, field)) if field.takes(&found.value) => (index, field),
                Some((_, field)) if field.is_strict() => {
                    return Err(FieldError { at: found.start, problem: FieldProblem::FieldType });
                }
                _ => {
                    unknown.push((found.number, found.value));
                    continue;
                }
            };
            let value = match found.value {
                Value::Bytes(bytes) => {
                    let at = found.end - bytes.len();
                    if field.kind == FieldType::String {
                        check_text(bytes, at)?;
                    }
                    Known::Bytes(at, Cow::Borrowed(bytes))
                }
                Value::Varint(number) => Known::Number(field.kind.as_stored(number)),
                _ => continue,
            };
            if field.oneof.is_some() {
                for (other, values) in def.fields.iter().zip(&mut known) {
                    if other.oneof == field.oneof && other.number != field.number {
                        values.drain(..).try_for_each(|value: Known<'_>| value.check(other))?;
                    }
                }
            }
            let values = &mut known[index];
            match (field.repeated, &field.kind, values.first_mut(), value) {
                // The parts of a message are merged, if each part is a message.
                (
                    false,
                    FieldType::Message(inner),
                    Some(Known::Bytes(first_at, first)),
                    Known::Bytes(at, more),
                ) if !field.is_in_oneof() => {
                    if let Cow::Borrowed(first) = *first {
                        let at = *first_at;
                        Content::read(inner, first).map_err(|error| error.inside(at))?;
                    }
                    Content::read(inner, &more).map_err(|error| error.inside(at))?;
                    first.to_mut().extend_from_slice(&more);
                }
                // In a oneof, each value replaces the one before.
                (false, _, Some(value), last) if field.is_in_oneof() => {
                    std::mem::replace(value, last).check(field)?;
                }
                (false, _, Some(value), last) => *value = last,
                (_, _, _, value) => values.push(value),
            }
        }
        // In the order in which they are encoded.
        unknown.sort_by_key(|(number, _)| *number);
        Ok(Self { known, unknown })
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.known.iter().map(Vec::len).sum::<usize>() + self.unknown.len()
    }
}

impl FieldType {
    /// Truncates a number to the width of the type, as decoders do.
    fn as_stored(&self, number: u64) -> u64 {
        match self {
            Self::Int32 | Self::Enum(_) => i64::from(number as i32) as u64,
            Self::Bool => u64::from(number != 0),
            _ => number,
        }
    }
}

impl Known<'_> {
    /// Checks a value that is replaced by another: it may still be malformed.
    fn check(self, field: &FieldDef) -> Result<(), FieldError> {
        match (self, &field.kind) {
            (Self::Bytes(at, bytes), FieldType::Message(def)) => {
                known_only(def, &bytes).map(drop).map_err(|error| error.inside(at))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that the bytes at an offset are UTF-8.
pub(super) fn check_text(bytes: &[u8], at: usize) -> Result<&str, FieldError> {
    std::str::from_utf8(bytes)
        .map_err(|error| FieldError { at: at + error.valid_up_to(), problem: FieldProblem::Utf8 })
}

impl FieldError {
    /// Returns the error with its offset in the enclosing message.
    pub(super) fn inside(self, at: usize) -> Self {
        Self { at: at + self.at, ..self }
    }
}

/// Encodes fields in the order of their numbers.
#[derive(Default)]
pub(super) struct Writer(Vec<(u32, Vec<u8>)>);

impl Writer {
    pub fn add(&mut self, field: &FieldDef, value: Value<'_>) {
        let has_presence =
            field.repeated || field.oneof.is_some() || matches!(field.kind, FieldType::Message(_));
        if has_presence || !matches!(value, Value::Varint(0) | Value::Bytes([])) {
            self.add_unknown(field.number, &value);
        }
    }

    pub fn add_unknown(&mut self, number: u32, value: &Value<'_>) {
        let mut bytes = Vec::new();
        value.write(number, &mut bytes);
        self.0.push((number, bytes));
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.0.sort_by_key(|(number, _)| *number);
        self.0.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}

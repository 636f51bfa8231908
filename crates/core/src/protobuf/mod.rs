//! Protobuf messages as lists of fields: what is on the wire, whether a definition knows it or not.
//!
//! Typed messages drop what they don't know. Here nothing is lost: each field has its number, its
//! wire type, its place and its bytes. Work and memory are linear in the input.
//!
//! Source: protocol buffers, "Encoding"; what is done with a known field of another wire type (it
//! is kept as unknown; in a map or a oneof it is an error) is the reference's way.

pub mod json;

/// The definition of a message; the tables of each `schema` are made of these.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageDef {
    /// As in `ChatMessage`.
    pub name: &'static str,
    /// In the order of their numbers.
    pub fields: &'static [FieldDef],
    /// Whether it is the entry of a map: key and value.
    pub is_entry: bool,
}

/// The definition of a field.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// Its number on the wire.
    pub number: u32,
    /// As in `chat_id`.
    pub name: &'static str,
    /// What its values are.
    pub kind: FieldType,
    /// Whether it may occur more than once.
    pub repeated: bool,
    /// The group of fields of which only one is set.
    pub oneof: Option<&'static str>,
}

/// What the values of a field are.
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
    /// As in `ContentType`.
    pub name: &'static str,
    /// Numbers and names in lower case.
    pub values: &'static [(i32, &'static str)],
}

impl MessageDef {
    /// The field of a number.
    pub fn field(&self, number: u32) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The field of a name.
    pub fn named(&self, name: &str) -> Option<&'static FieldDef> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether it or a message in it has a oneof.
    pub(super) fn has_oneof(&self) -> bool {
        self.fields.iter().any(|field| {
            field.is_in_oneof() || matches!(field.kind, FieldType::Message(def) if def.has_oneof())
        })
    }
}

impl FieldDef {
    /// The field of this definition that is on the wire, if it has the wire type of its kind.
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

    /// Whether a value of another wire type is an error, and not as good as unknown.
    pub(super) fn is_strict(&self) -> bool {
        let is_map = matches!(self.kind, FieldType::Message(def) if def.is_entry);
        is_map || self.is_in_oneof()
    }

    /// Whether it is read as a field of a oneof. The oneof of group updates is younger than the
    /// reference, which has its first field only.
    pub(super) fn is_in_oneof(&self) -> bool {
        self.oneof.is_some_and(|oneof| oneof != "chat_entity")
    }
}

impl EnumDef {
    /// The name of a number.
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|value| value.0 == number).map(|value| value.1)
    }

    /// The number of a name, capitals or not.
    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|value| value.1.eq_ignore_ascii_case(name)).map(|value| value.0)
    }
}

/// What is wrong with the bytes of a message, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (byte {at})")]
pub struct FieldError {
    /// The offset in the message.
    pub at: usize,
    /// What is wrong there.
    pub problem: FieldProblem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    #[error("the field ends after the message")]
    Truncated,
    #[error("a number of more than 64 bits")]
    Varint,
    #[error("a field number is 1 to 536870911")]
    Number,
    #[error("there are no wire types 6 and 7")]
    WireType,
    #[error("the end of a group that did not begin")]
    GroupEnd,
    #[error("groups nested more than {MAX_DEPTH} deep")]
    Depth,
    #[error("the text is not UTF-8")]
    Utf8,
    #[error("a field of a map or a oneof has another wire type")]
    FieldType,
    #[error("not what the definition says")]
    Definition,
    #[error("more than {MAX_SHOWN} fields, those in messages counted: they are not shown")]
    TooMany,
}

/// How many fields of a message are shown to people. In memory a field shown is some hundred times
/// as large as the two bytes that it may have on the wire.
pub const MAX_SHOWN: usize = 1 << 16;

/// How deep groups may be nested, as in other decoders.
const MAX_DEPTH: usize = 100;

/// The value of a field, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little endian.
    Fixed64([u8; 8]),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: the fields in between, and the end.
    Group(&'a [u8]),
    /// Wire type 5, little endian.
    Fixed32([u8; 4]),
}

impl Value<'_> {
    /// The name of the wire type.
    pub fn wire_type(&self) -> &'static str {
        match self {
            Self::Varint(_) => "varint",
            Self::Fixed64(_) => "fixed64",
            Self::Bytes(_) => "bytes",
            Self::Group(_) => "group",
            Self::Fixed32(_) => "fixed32",
        }
    }

    /// Writes a field with this value.
    pub fn write(&self, number: u32, out: &mut Vec<u8>) {
        let wire_type = match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Group(_) => 3,
            Self::Fixed32(_) => 5,
        };
        write_varint(u64::from(number) << 3 | wire_type, out);
        match self {
            Self::Varint(value) => write_varint(*value, out),
            Self::Fixed64(bytes) => out.extend_from_slice(bytes),
            Self::Bytes(bytes) => {
                write_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Self::Group(bytes) => out.extend_from_slice(bytes),
            Self::Fixed32(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// A field on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawField<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Where it begins in the message, with its tag.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The fields of a message, one after the other. Ends after an error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Reads the bytes of a message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn fail(&self, problem: FieldProblem) -> FieldError {
        FieldError { at: self.at, problem }
    }

    fn varint(&mut self) -> Result<u64, FieldError> {
        let start = self.at;
        let mut value = 0;
        for (index, byte) in self.bytes[start..].iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(self.fail(FieldProblem::Varint));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        let is_long = self.bytes.len() - start >= 10;
        Err(self.fail(if is_long { FieldProblem::Varint } else { FieldProblem::Truncated }))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], FieldError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.fail(FieldProblem::Truncated))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// Number and wire type.
    fn tag(&mut self) -> Result<(u32, u64), FieldError> {
        let start = self.at;
        let tag = self.varint()?;
        match u32::try_from(tag) {
            Ok(tag) if tag >> 3 != 0 => Ok((tag >> 3, u64::from(tag & 7))),
            _ => Err(FieldError { at: start, problem: FieldProblem::Number }),
        }
    }

    fn value(&mut self, number: u32, wire_type: u64) -> Result<Value<'a>, FieldError> {
        Ok(match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            3 => self.group(number)?,
            4 => return Err(self.fail(FieldProblem::GroupEnd)),
            5 => Value::Fixed32(self.array()?),
            _ => return Err(self.fail(FieldProblem::WireType)),
        })
    }

    /// Everything up to and with the end of a group that has begun.
    fn group(&mut self, number: u32) -> Result<Value<'a>, FieldError> {
        let start = self.at;
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                3 if open.len() == MAX_DEPTH => return Err(self.fail(FieldProblem::Depth)),
                3 => open.push(number),
                4 if number == *innermost => drop(open.pop()),
                _ => drop(self.value(number, wire_type)?),
            }
        }
        Ok(Value::Group(&self.bytes[start..self.at]))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<RawField<'a>, FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        let field = self.tag().and_then(|(number, wire_type)| {
            let value = self.value(number, wire_type)?;
            Ok(RawField { number, value, start, end: self.at })
        });
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The same for any message; the error says where it went wrong.
pub(crate) fn decode_known<M: prost::Message + Default>(
    def: &'static MessageDef,
    bytes: &[u8],
) -> Result<M, FieldError> {
    // In a oneof, prost would put together what comes twice: see `json`.
    if !def.has_oneof()
        && let Ok(message) = M::decode(bytes)
    {
        return Ok(message);
    }
    let known = json::known_only(def, bytes)?;
    let at_start = FieldError { at: 0, problem: FieldProblem::Definition };
    M::decode(&*known).map_err(|_| at_start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_wire_type_is_read_and_written() {
        let bytes =
            hex::decode("08960112026869190102030405060708250a0b0c0d2b300138020a01782c").unwrap();
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        let kinds: Vec<_> = fields.iter().map(|it| (it.number, it.value.wire_type())).collect();
        let expected = ["varint", "bytes", "fixed64", "fixed32", "group"];
        assert_eq!(kinds, (1..).zip(expected).collect::<Vec<_>>());
        assert_eq!(fields[0].value, Value::Varint(150));
        assert_eq!((fields[4].start, fields[4].end), (21, bytes.len()));
        let mut again = Vec::new();
        fields.iter().for_each(|it| it.value.write(it.number, &mut again));
        assert_eq!(again, bytes);
    }

    #[test]
    fn what_is_broken_is_named() {
        let cases = [
            ("08", 1, FieldProblem::Truncated),
            ("0a0578", 2, FieldProblem::Truncated),
            ("08ffffffffffffffffff7f", 1, FieldProblem::Varint),
            ("0001", 0, FieldProblem::Number),
            ("0c", 1, FieldProblem::GroupEnd),
            ("0b14", 2, FieldProblem::GroupEnd),
            ("0e", 1, FieldProblem::WireType),
            ("0b08", 2, FieldProblem::Truncated),
        ];
        for (bytes, at, problem) in cases {
            let bytes = hex::decode(bytes).unwrap();
            let found = Fields::new(&bytes).find_map(Result::err);
            assert_eq!(found, Some(FieldError { at, problem }), "{}", hex::encode(&bytes));
        }
        let deep = [0x0b].repeat(200);
        let found = Fields::new(&deep).find_map(Result::err).unwrap();
        assert_eq!(found.problem, FieldProblem::Depth);
    }

    proptest! {
        #[test]
        fn fields_cover_the_bytes(bytes: Vec<u8>) {
            let mut end = 0;
            for field in Fields::new(&bytes).map_while(Result::ok) {
                prop_assert_eq!(field.start, end);
                prop_assert!(field.end > field.start);
                end = field.end;
            }
        }
    }
}

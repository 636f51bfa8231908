//! Fields on the wire.

/// An error in the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (byte {at})")]
pub struct FieldError {
    /// The offset in the message.
    pub at: usize,
    /// What is wrong.
    pub problem: FieldProblem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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

/// The maximum number of fields of a message that are shown. A shown field takes some hundred times
/// the memory of the two bytes that it may have on the wire.
pub const MAX_SHOWN: usize = 1 << 16;

/// The maximum nesting of groups, as in other decoders.
const MAX_DEPTH: usize = 100;

/// The value of a field on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little endian.
    Fixed64([u8; 8]),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: the fields in the group, and its end.
    Group(&'a [u8]),
    /// Wire type 5, little endian.
    Fixed32([u8; 4]),
}

impl Value<'_> {
    /// Returns the name of the wire type.
    pub fn wire_type(&self) -> &'static str {
        match self {
            Self::Varint(_) => "varint",
            Self::Fixed64(_) => "fixed64",
            Self::Bytes(_) => "bytes",
            Self::Group(_) => "group",
            Self::Fixed32(_) => "fixed32",
        }
    }

    /// Appends a field with this value.
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
    /// The offset of its tag in the message.
    pub start: usize,
    /// The offset of its end.
    pub end: usize,
}

/// Iterates over the fields of a message. Stops after an error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Creates an iterator over the bytes of a message.
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

    /// Reads a field number and a wire type.
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

    /// Reads a group after its start, including its end.
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
    fn errors_name_problem_and_offset() {
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

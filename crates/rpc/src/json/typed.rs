//! Values of a type, with the errors of Go's decoder: they name its types, and clients see them.

use std::fmt;

use data_encoding::BASE64;
use statuskit_core::envelope::Topic;

use super::parts;

/// Where a value is: the struct of Go and its field, or a parameter itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    field: Option<(&'static str, &'static str)>,
}

impl Place {
    /// A field of a struct.
    pub fn field(of: &'static str, name: &'static str) -> Self {
        Self { field: Some((of, name)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some((of, name)) => write!(f, "Go struct field {of}.{name}"),
            None => f.write_str("Go value"),
        }
    }
}

/// What is wrong with a value, in the words of Go's decoder.
pub type Wrong = String;

/// Reads the parts of one parameter. A value of a wrong type is noted and skipped: the first one is
/// the error, unless something worse follows.
#[derive(Debug, Default)]
pub struct Typed {
    first: Option<Wrong>,
}

impl Typed {
    /// Returns the value, if everything in it was right.
    pub fn done<T>(self, value: T) -> Result<T, Wrong> {
        self.first.map_or(Ok(value), Err)
    }

    /// Notes a value of a wrong type.
    pub fn mismatch(&mut self, value: &[u8], place: Place, of: &str) {
        self.note(|| mismatch(kind(value), place, of));
    }

    fn note(&mut self, text: impl FnOnce() -> Wrong) {
        if self.first.is_none() {
            self.first = Some(text());
        }
    }

    /// Reads a string. A null is the empty one.
    pub fn string(&mut self, value: &[u8], place: Place, of: &str) -> String {
        match parts::string(value) {
            Some(text) => text.into_owned(),
            None => {
                if value != b"null" {
                    self.mismatch(value, place, of);
                }
                String::new()
            }
        }
    }

    /// Reads a boolean. A null is false.
    pub fn bool(&mut self, value: &[u8], place: Place) -> bool {
        match value {
            b"true" => true,
            b"false" | b"null" => false,
            _ => {
                self.mismatch(value, place, "bool");
                false
            }
        }
    }

    /// Reads a number of 32 bits. A null is zero.
    pub fn uint32(&mut self, value: &[u8], place: Place) -> u32 {
        self.number(value, place, "uint32", |text| {
            // `parse` accepts a plus sign, but JSON does not.
            text.parse().ok()
        })
    }

    /// Reads an integer with a sign, of a type of 64 bits. A null is zero.
    pub fn int64(&mut self, value: &[u8], place: Place, of: &str) -> i64 {
        self.number(value, place, of, |text| text.parse().ok())
    }

    /// Reads a floating-point number. A null is zero.
    pub fn float64(&mut self, value: &[u8], place: Place) -> f64 {
        self.number(value, place, "float64", |text| {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        })
    }

    fn number<T: Default>(
        &mut self,
        value: &[u8],
        place: Place,
        of: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        match value {
            b"null" => T::default(),
            [b'-' | b'0'..=b'9', ..] => {
                let text = String::from_utf8_lossy(value);
                parse(&text).unwrap_or_else(|| {
                    self.note(|| mismatch(&format!("number {text}"), place, of));
                    T::default()
                })
            }
            _ => {
                self.mismatch(value, place, of);
                T::default()
            }
        }
    }

    /// Reads bytes in base64. A null is empty.
    pub fn base64(&mut self, value: &[u8], place: Place) -> Vec<u8> {
        match parts::string(value) {
            Some(text) => base64(&text).unwrap_or_else(|at| {
                self.note(|| format!("illegal base64 data at input byte {at}"));
                Vec::new()
            }),
            None => {
                if value != b"null" {
                    self.mismatch(value, place, "[]uint8");
                }
                Vec::new()
            }
        }
    }

    /// Reads a topic. A null is the zero topic.
    ///
    /// # Errors
    /// If a string is no topic; that ends the reading.
    pub fn topic(&mut self, value: &[u8], place: Place, of: &str) -> Result<Topic, Wrong> {
        match parts::string(value) {
            Some(text) => topic(&text),
            None => {
                if value != b"null" {
                    self.mismatch(value, place, of);
                }
                Ok(Topic([0; 4]))
            }
        }
    }

    /// Returns the elements of an array. A null is empty.
    pub fn elements<'a>(
        &mut self,
        value: &'a [u8],
        place: Place,
        of: &str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        if !value.starts_with(b"[") && value != b"null" {
            self.mismatch(value, place, of);
        }
        parts::elements(value)
    }
}

/// Reads bytes as hex digits after `0x`.
///
/// # Errors
/// If the value is anything else. A null is as well.
pub fn hex(value: &[u8], place: Place, of: &str) -> Result<Vec<u8>, Wrong> {
    let wrong = |what: &str| mismatch(what, place, of);
    // Go looks at the text as it was sent, escapes and all.
    let Some(text) = value.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) else {
        return Err(wrong("non-string"));
    };
    digits(text).map_err(wrong)
}

fn digits(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let digits = match text {
        [] => return Ok(Vec::new()),
        [b'0', b'x' | b'X', digits @ ..] => digits,
        _ => return Err("hex string without 0x prefix"),
    };
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length");
    }
    hex::decode(digits).map_err(|_| "invalid hex string")
}

fn topic(text: &str) -> Result<Topic, Wrong> {
    let given = match text.as_bytes() {
        [] => 0,
        [b'0', b'x' | b'X', digits @ ..] if digits.len() % 2 == 1 => {
            return Err("hex string of odd length".to_owned());
        }
        [b'0', b'x' | b'X', digits @ ..] => digits.len(),
        _ => return Err("hex string without 0x prefix".to_owned()),
    };
    if given != 8 {
        return Err(format!("hex string has length {given}, want 8 for Topic"));
    }
    let bytes = digits(text.as_bytes())?;
    let bytes = bytes.try_into().map_err(|_| "invalid hex string")?;
    Ok(Topic(bytes))
}

/// Reads base64 as Go does, which skips line breaks. The error is the place that Go names.
pub fn base64(text: &str) -> Result<Vec<u8>, usize> {
    let plain: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    // The last bits of a short group may be anything.
    let mut spec = BASE64.specification();
    spec.check_trailing_bits = false;
    let decoded = spec.encoding().ok().and_then(|encoding| encoding.decode(&plain).ok());
    decoded.ok_or_else(|| bad_base64(text.as_bytes()))
}

fn bad_base64(text: &[u8]) -> usize {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let (mut group, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            byte if is_break(byte) => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => group = (group + 1) % 4,
            b'=' if group >= 2 => {
                if group == 2 {
                    at += text[at..].iter().take_while(|byte| is_break(byte)).count();
                    match text.get(at) {
                        None => return text.len(),
                        Some(b'=') => at += 1,
                        Some(_) => return at - 1,
                    }
                }
                return at + text[at..].iter().take_while(|byte| is_break(byte)).count();
            }
            _ => return at - 1,
        }
    }
    at - group
}

/// Reads hex without a prefix, as Go's `encoding/hex` does.
///
/// # Errors
/// In the words of Go.
pub fn plain_hex(text: &str) -> Result<Vec<u8>, Wrong> {
    let bytes = text.as_bytes();
    if let Some(bad) = bytes.iter().find(|byte| !byte.is_ascii_hexdigit()) {
        return Err(format!("encoding/hex: invalid byte: {}", code_point(*bad)));
    }
    hex::decode(bytes).map_err(|_| "encoding/hex: odd length hex string".to_owned())
}

/// A byte as Go's `%#U` shows it.
fn code_point(byte: u8) -> String {
    match byte {
        b' '..=b'~' | 0xa1..=0xac | 0xae.. => format!("U+{byte:04X} '{}'", char::from(byte)),
        _ => format!("U+{byte:04X}"),
    }
}

/// What kind of value it is, in Go's words.
fn kind(value: &[u8]) -> &'static str {
    match value.first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "bool",
        Some(b'n') | None => "null",
        Some(_) => "number",
    }
}

fn mismatch(what: &str, place: Place, of: &str) -> Wrong {
    format!("json: cannot unmarshal {what} into {place} of type {of}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Place = Place { field: Some(("NewMessage", "ttl")) };

    fn error<T>(read: impl FnOnce(&mut Typed) -> T) -> String {
        let mut typed = Typed::default();
        read(&mut typed);
        typed.done(()).unwrap_err()
    }

    #[test]
    fn wrong_values_are_named_as_go_does() {
        let top = Place::default();
        let cases = [
            (error(|it| it.uint32(b"1e3", top)), "number 1e3 into Go value of type uint32"),
            (error(|it| it.uint32(b"-0", top)), "number -0 into Go value of type uint32"),
            (
                error(|it| it.uint32(b"\"5\"", TTL)),
                "string into Go struct field NewMessage.ttl of type uint32",
            ),
            (error(|it| it.float64(b"{}", top)), "object into Go value of type float64"),
            (error(|it| it.bool(b"1", top)), "number into Go value of type bool"),
            (error(|it| it.string(b"[]", top, "string")), "array into Go value of type string"),
            (error(|it| it.base64(b"true", top)), "bool into Go value of type []uint8"),
        ];
        for (got, expected) in cases {
            assert_eq!(got, format!("json: cannot unmarshal {expected}"));
        }
        let bytes = |value: &str| hex(value.as_bytes(), top, "hexutil.Bytes");
        let wrong = |what: &str| Err(mismatch(what, top, "hexutil.Bytes"));
        assert_eq!(bytes("\"0XaB\""), Ok(vec![0xab]));
        assert_eq!(bytes("\"\""), Ok(vec![]));
        assert_eq!(bytes("null"), wrong("non-string"));
        assert_eq!(bytes("\"ab\""), wrong("hex string without 0x prefix"));
        assert_eq!(bytes("\"0xabc\""), wrong("hex string of odd length"));
        assert_eq!(bytes("\"0xzz\""), wrong("invalid hex string"));
    }

    #[test]
    fn base64_is_that_of_go() {
        assert_eq!(base64("SGVsbG8="), Ok(b"Hello".to_vec()));
        assert_eq!(base64("SG\nVsbG8=\r\n"), Ok(b"Hello".to_vec()));
        assert_eq!(base64("AR=="), Ok(vec![1]));
        for (text, at) in [
            ("48656c", 4),
            ("zz", 0),
            ("a", 0),
            ("ab!d", 2),
            ("ab=", 3),
            ("ab=c", 2),
            ("=", 0),
            ("abc=d", 4),
            ("abcdab==x", 8),
        ] {
            assert_eq!(base64(text), Err(at), "{text}");
        }
    }

    #[test]
    fn topics_and_plain_hex() {
        assert_eq!(topic("0x0a0B0c0d"), Ok(Topic([10, 11, 12, 13])));
        for (text, expected) in [
            ("0x0102", "hex string has length 4, want 8 for Topic"),
            ("", "hex string has length 0, want 8 for Topic"),
            ("0x123", "hex string of odd length"),
            ("01020304", "hex string without 0x prefix"),
            ("0x0102030g", "invalid hex string"),
        ] {
            assert_eq!(topic(text), Err(expected.to_owned()));
        }
        assert_eq!(plain_hex("zz"), Err("encoding/hex: invalid byte: U+007A 'z'".to_owned()));
        assert_eq!(plain_hex("abc"), Err("encoding/hex: odd length hex string".to_owned()));
    }
}

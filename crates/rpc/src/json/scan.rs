//! Finds the end of a JSON value, byte by byte, so that a stream needs no separators.

use std::fmt::Write as _;

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 10_000;

/// Bytes that are no JSON, in the words of Go's decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(pub String);

/// What a byte may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The beginning of a value; or, in an array that is empty so far, its end.
    Value {
        or_end: bool,
    },
    /// The beginning of a key; or, in an object that is empty so far, its end.
    Key {
        or_end: bool,
    },
    /// After a value: what follows depends on what it is in.
    After,
    String,
    Escape,
    Hex(u8),
    Minus,
    /// After a leading zero: no more digits.
    Zero,
    Integer,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    Literal {
        word: &'static str,
        at: usize,
    },
}

/// What a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nest {
    Array,
    Key,
    Member,
}

/// Follows one value after the other.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    nest: Vec<Nest>,
    begun: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { state: State::Value { or_end: false }, nest: Vec::new(), begun: false }
    }
}

impl Scanner {
    /// Reads on. Returns how many of the bytes belong to the value, if it ends here; the scanner is
    /// then ready for the next one.
    ///
    /// # Errors
    /// If the bytes are no JSON.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, SyntaxError> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.state == State::String {
                // Most bytes of long texts.
                let plain = |byte: &u8| *byte != b'"' && *byte != b'\\' && *byte >= b' ';
                let end = bytes[at..].iter().position(|byte| !plain(byte));
                let Some(end) = end else { return Ok(None) };
                if end > 0 {
                    at += end;
                    continue;
                }
            }
            let used = self.step(byte)?;
            at += usize::from(used);
            let is_whole = self.begun && self.nest.is_empty() && self.state == State::After;
            // The end of a number is known with the byte after it.
            if is_whole {
                *self = Self::default();
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Whether a value ends here if nothing follows.
    pub fn is_whole_at_end(&self) -> bool {
        use State::{After, ExponentDigits, Fraction, Integer, Zero};
        let ends = matches!(self.state, After | Zero | Integer | Fraction | ExponentDigits);
        self.begun && self.nest.is_empty() && ends
    }

    /// Whether a value has begun.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes a byte. Returns whether it belongs to the value; if not, it ends a number.
    fn step(&mut self, byte: u8) -> Result<bool, SyntaxError> {
        use State::{
            After, Dot, Escape, Exponent, ExponentDigits, ExponentSign, Fraction, Hex, Integer,
            Key, Literal, Minus, String, Value, Zero,
        };
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.state = match (self.state, byte) {
            (Value { .. } | Key { .. } | After, _) if is_space => return Ok(true),
            (Value { or_end: true }, b']') => self.close(),
            (Value { .. }, _) => self.begin(byte)?,
            (Key { or_end: true }, b'}') => self.close(),
            (Key { .. }, b'"') => String,
            (Key { .. }, _) => return fail(byte, "looking for beginning of object key string"),
            (After, _) => self.after(byte)?,
            (String, b'"') => After,
            (String, b'\\') => Escape,
            (String, 0..b' ') => return fail(byte, "in string literal"),
            (String, _) => String,
            (Escape, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => String,
            (Escape, b'u') => Hex(0),
            (Escape, _) => return fail(byte, "in string escape code"),
            (Hex(3), _) if byte.is_ascii_hexdigit() => String,
            (Hex(count), _) if byte.is_ascii_hexdigit() => Hex(count + 1),
            (Hex(_), _) => return fail(byte, "in \\u hexadecimal character escape"),
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') => Integer,
            (Minus, _) => return fail(byte, "in numeric literal"),
            (Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Dot,
            (Zero | Integer | Fraction, b'e' | b'E') => Exponent,
            (Dot, b'0'..=b'9') => Fraction,
            (Dot, _) => return fail(byte, "after decimal point in numeric literal"),
            (Fraction, b'0'..=b'9') => Fraction,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | ExponentDigits, b'0'..=b'9') => ExponentDigits,
            (Exponent | ExponentSign, _) => {
                return fail(byte, "in exponent of numeric literal");
            }
            (Zero | Integer | Fraction | ExponentDigits, _) => {
                self.state = After;
                return Ok(false);
            }
            (Literal { word, at }, _) => {
                let expected = word.as_bytes()[at];
                if byte != expected {
                    let expected = char::from(expected);
                    return fail(byte, &format!("in literal {word} (expecting '{expected}')"));
                }
                let is_last = at + 1 == word.len();
                if is_last { After } else { Literal { word, at: at + 1 } }
            }
        };
        Ok(true)
    }

    fn begin(&mut self, byte: u8) -> Result<State, SyntaxError> {
        self.begun = true;
        Ok(match byte {
            b'{' => {
                self.open(Nest::Key)?;
                State::Key { or_end: true }
            }
            b'[' => {
                self.open(Nest::Array)?;
                State::Value { or_end: true }
            }
            b'"' => State::String,
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Integer,
            b't' => State::Literal { word: "true", at: 1 },
            b'f' => State::Literal { word: "false", at: 1 },
            b'n' => State::Literal { word: "null", at: 1 },
            _ => return fail(byte, "looking for beginning of value"),
        })
    }

    fn after(&mut self, byte: u8) -> Result<State, SyntaxError> {
        let Some(nest) = self.nest.last_mut() else {
            return fail(byte, "after top-level value");
        };
        Ok(match (*nest, byte) {
            (Nest::Key, b':') => {
                *nest = Nest::Member;
                State::Value { or_end: false }
            }
            (Nest::Key, _) => return fail(byte, "after object key"),
            (Nest::Member, b',') => {
                *nest = Nest::Key;
                State::Key { or_end: false }
            }
            (Nest::Member, b'}') | (Nest::Array, b']') => self.close(),
            (Nest::Member, _) => return fail(byte, "after object key:value pair"),
            (Nest::Array, b',') => State::Value { or_end: false },
            (Nest::Array, _) => return fail(byte, "after array element"),
        })
    }

    fn open(&mut self, nest: Nest) -> Result<(), SyntaxError> {
        if self.nest.len() >= MAX_DEPTH {
            return Err(SyntaxError("exceeded max depth".to_owned()));
        }
        self.nest.push(nest);
        Ok(())
    }

    fn close(&mut self) -> State {
        self.nest.pop();
        State::After
    }
}

fn fail<T>(byte: u8, context: &str) -> Result<T, SyntaxError> {
    Err(SyntaxError(format!("invalid character {} {context}", quoted(byte))))
}

/// A byte in quotes, as Go shows it.
fn quoted(byte: u8) -> String {
    let mut text = String::from("'");
    match byte {
        b'\'' => text.push_str("\\'"),
        b'\\' => text.push_str("\\\\"),
        0x07 => text.push_str("\\a"),
        0x08 => text.push_str("\\b"),
        0x0c => text.push_str("\\f"),
        b'\n' => text.push_str("\\n"),
        b'\r' => text.push_str("\\r"),
        b'\t' => text.push_str("\\t"),
        0x0b => text.push_str("\\v"),
        0..b' ' | 0x7f => drop(write!(text, "\\x{byte:02x}")),
        0x80..=0xa0 | 0xad => drop(write!(text, "\\u{byte:04x}")),
        _ => text.push(char::from(byte)),
    }
    text.push('\'');
    text
}

/// What a text begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum First<'a> {
    /// A whole value.
    Value(&'a [u8]),
    /// Nothing but spaces.
    Nothing,
    /// A value without its end.
    Cut,
}

/// Returns the first value of a text; what follows it is not looked at.
///
/// # Errors
/// If the text is no JSON.
pub fn first(text: &[u8]) -> Result<First<'_>, SyntaxError> {
    let mut scanner = Scanner::default();
    Ok(match scanner.feed(text)? {
        Some(end) => First::Value(text[..end].trim_ascii()),
        None if scanner.is_whole_at_end() => First::Value(text.trim_ascii()),
        None if scanner.has_begun() => First::Cut,
        None => First::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        for (text, value) in [
            ("{}x", "{}"),
            (" [1, 2]{}", "[1, 2]"),
            ("5 6", "5"),
            ("-0.5e-3,", "-0.5e-3"),
            ("true", "true"),
            (r#""a\"b" "#, r#""a\"b""#),
            (r#"{"a":{"b":[]},"c":"\u00e9"}]"#, r#"{"a":{"b":[]},"c":"\u00e9"}"#),
            ("5x", "5"),
        ] {
            assert_eq!(first(text.as_bytes()), Ok(First::Value(value.as_bytes())), "{text}");
        }
        for text in ["{", "[1,", "\"a", "tru", "-", "1e", "{\"a\":1"] {
            assert_eq!(first(text.as_bytes()), Ok(First::Cut), "{text}");
        }
        assert_eq!(first(b" \n"), Ok(First::Nothing));
    }

    #[test]
    fn pieces_make_the_same_values() {
        let text = br#"{"a":[1,-2.5e7,"x\n\u1234",null]} 7 "s"[]true "#;
        for size in 1..text.len() {
            let (mut scanner, mut values, mut value) = (Scanner::default(), Vec::new(), Vec::new());
            for mut piece in text.chunks(size) {
                while !piece.is_empty() {
                    let end = scanner.feed(piece).unwrap();
                    let (used, rest) = piece.split_at(end.unwrap_or(piece.len()));
                    value.extend_from_slice(used);
                    piece = rest;
                    if end.is_some() {
                        values.push(String::from_utf8(std::mem::take(&mut value)).unwrap());
                    }
                }
            }
            let values: Vec<_> = values.iter().map(|value| value.trim()).collect();
            let whole = r#"{"a":[1,-2.5e7,"x\n\u1234",null]}"#;
            assert_eq!(values, [whole, "7", "\"s\"", "[]", "true"], "pieces of {size}");
        }
    }

    #[test]
    fn errors_are_in_the_words_of_go() {
        for (text, message) in [
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("{nope", "invalid character 'n' looking for beginning of object key string"),
            ("{'id'", r"invalid character '\'' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[01]", "invalid character '1' after array element"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
        ] {
            assert_eq!(first(text.as_bytes()), Err(SyntaxError(message.to_owned())), "{text}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(first(deep.as_bytes()), Err(SyntaxError("exceeded max depth".to_owned())));
        assert_eq!(first(&deep.as_bytes()[1..]), Ok(First::Cut));
    }
}

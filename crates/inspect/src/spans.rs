//! JSON with the places of its members.

use serde_json::Value;

use crate::layer::Field;

/// The most members that are listed, and texts that are looked into. What is further is one field.
const MAX_FIELDS: usize = 4096;
/// Members nested deeper are shown as one.
const MAX_DEPTH: usize = 12;

/// A text in a document.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// Its path, such as `$.result[0].payload`.
    pub path: String,
    /// The name of the member.
    pub name: String,
    pub content: String,
}

/// The members of a document, and all its texts.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub fields: Vec<Field>,
    pub texts: Vec<Text>,
}

/// Reads a document that `serde_json` has read. `is_secret` tells the members whose values are not
/// shown.
pub(crate) fn read(
    bytes: &[u8],
    at: usize,
    is_secret: &dyn Fn(&str, &str) -> bool,
) -> Option<Document> {
    let mut scanner =
        Scanner { bytes, pos: 0, at, document: Document::default(), count: 0, is_secret };
    scanner.blanks();
    let mut fields = Vec::new();
    scanner.value("$", "", 0, &mut fields)?;
    let covered = fields.last().map_or(0, |last: &Field| last.offset + last.length - at);
    if covered < bytes.len() {
        fields.push(Field::new("end", at + covered, bytes.len() - covered, Value::Null));
    }
    if let Some(first) = fields.first_mut() {
        first.length += first.offset - at;
        first.offset = at;
    }
    scanner.document.fields = fields;
    Some(scanner.document)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    at: usize,
    document: Document,
    count: usize,
    is_secret: &'a dyn Fn(&str, &str) -> bool,
}

impl Scanner<'_> {
    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.pos), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.pos)?;
        self.pos += 1;
        Some(byte)
    }

    /// Skips a token, and returns it.
    fn token(&mut self) -> Option<&[u8]> {
        let start = self.pos;
        if self.next()? == b'"' {
            loop {
                match self.next()? {
                    b'"' => break,
                    b'\\' => drop(self.next()?),
                    _ => {}
                }
            }
        } else {
            while let Some(byte) = self.bytes.get(self.pos)
                && !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n')
            {
                self.pos += 1;
            }
        }
        self.bytes.get(start..self.pos)
    }

    fn string(&mut self) -> Option<String> {
        serde_json::from_slice(self.token()?).ok()
    }

    /// Reads a value. Adds the members of a container to `fields`, and returns a scalar.
    fn value(
        &mut self,
        path: &str,
        name: &str,
        depth: usize,
        fields: &mut Vec<Field>,
    ) -> Option<Value> {
        let close = match self.bytes.get(self.pos)? {
            b'{' => b'}',
            b'[' => b']',
            _ => return self.scalar(path, name),
        };
        let mut start = self.pos;
        self.pos += 1;
        for number in 0_usize.. {
            self.blanks();
            if self.bytes.get(self.pos) == Some(&close) {
                self.pos += 1;
                break;
            }
            let name = match close {
                b'}' => {
                    let name = self.string()?;
                    self.blanks();
                    if self.next()? != b':' {
                        return None;
                    }
                    self.blanks();
                    name
                }
                _ => format!("[{number}]"),
            };
            let inner_path = match close {
                b'}' => format!("{path}.{name}"),
                _ => format!("{path}{name}"),
            };
            let mut inner = Vec::new();
            let value = self.value(&inner_path, &name, depth + 1, &mut inner)?;
            self.count += 1;
            if depth < MAX_DEPTH && self.count <= MAX_FIELDS {
                let mut field = Field::new(name, self.at + start, self.pos - start, value);
                field.fields = inner;
                fields.push(field);
                start = self.pos;
            }
            self.blanks();
            match self.next()? {
                b',' => {}
                byte if byte == close => break,
                _ => return None,
            }
        }
        Some(Value::Null)
    }

    fn scalar(&mut self, path: &str, name: &str) -> Option<Value> {
        let value: Value = serde_json::from_slice(self.token()?).ok()?;
        if (self.is_secret)(path, name) {
            return Some(Value::Null);
        }
        if let Value::String(content) = &value
            && self.document.texts.len() < MAX_FIELDS
        {
            let (path, name) = (path.to_owned(), name.to_owned());
            self.document.texts.push(Text { path, name, content: content.clone() });
        }
        Some(value)
    }
}

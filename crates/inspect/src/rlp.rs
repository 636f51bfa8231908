//! Lists of RLP as fields.

use serde_json::Value;
use statuskit_core::rlp::{Item, Reader};

use crate::layer::{Field, hex0x};

/// Reads a list item by item, and notes where each one is.
pub(crate) struct List<'a> {
    items: Reader<'a>,
    at: usize,
    fields: Vec<Field>,
    end: usize,
}

impl<'a> List<'a> {
    /// Opens bytes that are exactly one list.
    pub fn open(bytes: &'a [u8], at: usize) -> Option<Self> {
        let list = Self::open_prefix(bytes, at)?;
        (list.end == bytes.len()).then_some(list)
    }

    /// Opens a list that other bytes may follow.
    pub fn open_prefix(bytes: &'a [u8], at: usize) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let items = reader.list("list").ok()?;
        let (header, end) = (items.offset(), reader.offset());
        let fields = vec![Field::new("list header", at, header, end - header)];
        Some(Self { items, at, fields, end })
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the offset of the next item from the start of the list.
    pub fn offset(&self) -> usize {
        self.items.offset()
    }

    fn note(&mut self, name: &str, start: usize, value: impl Into<Value>) {
        let length = self.items.offset() - start;
        self.fields.push(Field::new(name, self.at + start, length, value));
    }

    pub fn u64(&mut self, name: &'static str) -> Option<u64> {
        let start = self.offset();
        let value = self.items.u64(name).ok()?;
        self.note(name, start, value);
        Some(value)
    }

    pub fn u32(&mut self, name: &'static str) -> Option<u32> {
        let start = self.offset();
        let value = self.items.u32(name).ok()?;
        self.note(name, start, value);
        Some(value)
    }

    pub fn bool(&mut self, name: &'static str) -> Option<bool> {
        let start = self.offset();
        let value = self.items.bool(name).ok()?;
        self.note(name, start, value);
        Some(value)
    }

    pub fn bytes(&mut self, name: &'static str) -> Option<&'a [u8]> {
        let start = self.offset();
        let value = self.items.string(name).ok()?;
        self.note(name, start, hex0x(value));
        Some(value)
    }

    /// Reads a string of one of these lengths.
    pub fn sized(&mut self, name: &'static str, lengths: &[usize]) -> Option<&'a [u8]> {
        self.bytes(name).filter(|bytes| lengths.contains(&bytes.len()))
    }

    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let start = self.offset();
        let value = self.items.string(name).ok()?;
        let text = String::from_utf8_lossy(value).into_owned();
        self.note(name, start, text.clone());
        Some(text)
    }

    /// Reads the bits of a 64-bit float.
    pub fn float(&mut self, name: &'static str) -> Option<f64> {
        let start = self.offset();
        let value = f64::from_bits(self.items.u64(name).ok()?);
        self.note(name, start, number(value));
        Some(value)
    }

    /// Reads a list, and returns its bytes with their offset in the buffer.
    pub fn list(&mut self, name: &'static str) -> Option<(&'a [u8], usize)> {
        let start = self.offset();
        let before = self.items.clone();
        let raw = self.items.raw_item(name).ok()?;
        let mut reader = before;
        reader.list(name).ok()?;
        self.note(name, start, Value::Null);
        Some((raw, self.at + start))
    }

    /// Gives parts to the last field that was read.
    pub fn inside(&mut self, fields: Vec<Field>) {
        if let Some(field) = self.fields.last_mut() {
            field.fields = fields;
        }
    }

    /// Returns the fields if nothing is left.
    pub fn finish(self) -> Option<Vec<Field>> {
        self.items.is_empty().then_some(self.fields)
    }

    /// Returns the fields. What is left has none.
    pub fn fields(self) -> Vec<Field> {
        self.fields
    }
}

/// Returns the content of bytes that are exactly one string, and the length of its header.
pub(crate) fn string(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut reader = Reader::new(bytes);
    match reader.item("string").ok()? {
        Item::String(content) if reader.is_empty() => Some((content, bytes.len() - content.len())),
        _ => None,
    }
}

/// Shows a float: JSON has no infinity.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value)
        .map_or_else(|| Value::String(value.to_string()), Value::Number)
}

//! RLP items as fields, by a description of what they are.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use statuskit_core::rlp::{Item, Reader};

use crate::layer::{Field, hex0x};

/// Lists nested deeper are shown as bytes.
const MAX_DEPTH: usize = 8;

/// What an item of a list is. An item of another form is shown as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Bytes, or a list without a description.
    Any,
    /// An integer of at most 64 bits.
    Number,
    /// UTF-8.
    Text,
    /// The bits of a 64-bit float.
    Float,
    /// An address of IPv4 or IPv6.
    Ip,
    /// A list of named items; further ones are numbered.
    Named(&'static [(&'static str, Shape)]),
    /// A list of items of one form.
    Each(&'static str, &'static Shape),
}

/// Reads items, the first of which is at `at` in the buffer, as fields.
pub(crate) fn items(
    reader: Reader<'_>,
    at: usize,
    names: &[(&'static str, Shape)],
) -> Option<Vec<Field>> {
    named(reader, at, names, 0)
}

fn named(
    mut reader: Reader<'_>,
    at: usize,
    names: &[(&'static str, Shape)],
    depth: usize,
) -> Option<Vec<Field>> {
    let start = reader.offset();
    let mut fields = Vec::new();
    while !reader.is_empty() {
        let number = fields.len();
        let (name, shape) = match names.get(number) {
            Some((name, shape)) => ((*name).to_owned(), *shape),
            None => (format!("further item {}", number + 1 - names.len()), Shape::Any),
        };
        fields.push(one(&mut reader, at, start, name, shape, depth)?);
    }
    Some(fields)
}

fn one(
    reader: &mut Reader<'_>,
    at: usize,
    start: usize,
    name: String,
    shape: Shape,
    depth: usize,
) -> Option<Field> {
    let begin = reader.offset() - start;
    let raw = reader.raw_item("item").ok()?;
    let mut field = Field::new(name, at + begin, raw.len(), Value::Null);
    let mut inner = Reader::new(raw);
    match inner.item("item").ok()? {
        Item::String(content) => field.value = scalar(raw, content, shape),
        Item::List(_) if depth >= MAX_DEPTH => field.value = hex0x(raw),
        Item::List(mut list) => {
            let within = at + begin + raw.len() - list.remaining().len();
            let first = list.offset();
            field.fields = match shape {
                Shape::Named(names) => named(list, within, names, depth + 1)?,
                Shape::Each(name, shape) => {
                    let mut fields = Vec::new();
                    while !list.is_empty() {
                        let each =
                            one(&mut list, within, first, name.to_owned(), *shape, depth + 1);
                        fields.push(each?);
                    }
                    fields
                }
                _ => named(list, within, &[], depth + 1)?,
            };
        }
    }
    Some(field)
}

fn scalar(raw: &[u8], content: &[u8], shape: Shape) -> Value {
    let number = || Reader::new(raw).u64("number").ok();
    match shape {
        Shape::Number => number().map_or_else(|| hex0x(content), Value::from),
        Shape::Float => {
            number().map_or_else(|| hex0x(content), |bits| crate::rlp::number(f64::from_bits(bits)))
        }
        Shape::Text => std::str::from_utf8(content).map_or_else(|_| hex0x(content), Value::from),
        Shape::Ip => ip(content).map_or_else(|| hex0x(content), Value::from),
        Shape::Any | Shape::Named(_) | Shape::Each(..) => hex0x(content),
    }
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

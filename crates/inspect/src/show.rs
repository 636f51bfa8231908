//! An inspection as JSON, and as a tree.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use statuskit_core::text::escape;

use crate::{
    layer::{Field, Stop},
    peel::{Inspection, Layer},
};

impl Inspection {
    /// Returns the record of the tools: `kind`, `certainty`, `layers`, `buffers`, `candidates`.
    pub fn to_json(&self) -> Value {
        let buffers = self.buffers.iter().map(|buffer| {
            json!({
                "length": buffer.bytes.len(),
                "layer": buffer.layer,
                "method": buffer.method,
            })
        });
        let candidates = self
            .candidates
            .iter()
            .map(|it| json!({ "kind": it.kind, "certainty": it.certainty.name(), "why": it.why }));
        json!({
            "type": "inspection",
            "kind": self.kind(),
            "certainty": self.certainty().name(),
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
            "buffers": buffers.collect::<Vec<_>>(),
            "candidates": candidates.collect::<Vec<_>>(),
        })
    }
}

impl Inspection {
    /// Returns the bytes as hex with the names of their fields, layer by layer. With `colour`, each
    /// layer has its own.
    pub fn to_hexdump(&self, colour: bool) -> String {
        let mut out = String::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let buffer = &self.buffers[layer.buffer];
            let (start, end) = match colour {
                true => (format!("\x1b[{}m", COLOURS[index % COLOURS.len()]), "\x1b[0m"),
                false => (String::new(), ""),
            };
            if layer.parent.is_none_or(|parent| self.layers[parent].buffer != layer.buffer) {
                let _ = writeln!(
                    out,
                    "buffer {}: {}, {} bytes",
                    layer.buffer,
                    escape(&buffer.method),
                    buffer.bytes.len()
                );
            }
            let kind = escape(&layer.kind);
            let _ = writeln!(out, "{start}{kind} ({}){end}", layer.certainty.name());
            let inside = self
                .layers
                .iter()
                .filter(|it| it.parent == Some(index) && it.buffer == layer.buffer);
            let inside: Vec<_> = inside.map(|it| it.offset..it.offset + it.length).collect();
            for field in leaves(&layer.fields) {
                let range = field.offset..field.offset + field.length;
                let deeper = inside.iter().any(|it| it.start >= range.start && it.end <= range.end);
                let bytes = &buffer.bytes[range.clone()];
                let rows = if deeper { 0 } else { bytes.len().div_ceil(ROW) };
                if deeper {
                    let name = escape(&field.name);
                    let _ = writeln!(out, "{:06x}  {:48} {name}, below", range.start, "…");
                }
                for (row, part) in bytes.chunks(ROW).take(rows).enumerate() {
                    let digits: Vec<_> = part.iter().map(|byte| format!("{byte:02x}")).collect();
                    let name = if row == 0 { &*escape(&field.name) } else { "" };
                    let at = range.start + row * ROW;
                    let _ = writeln!(out, "{at:06x}  {start}{:48}{end} {name}", digits.join(" "));
                }
            }
        }
        out
    }
}

/// Bytes per line.
const ROW: usize = 16;

/// Colours of layers, as terminals number them.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Returns the fields without parts, at every depth. What a field has beside its parts stays with
/// it.
pub(crate) fn leaves(fields: &[Field]) -> Vec<Field> {
    let mut found = Vec::new();
    for field in fields {
        let mut at = field.offset;
        for inner in &field.fields {
            if inner.offset > at {
                found.push(part(field, at, inner.offset));
            }
            found.extend(leaves(std::slice::from_ref(inner)));
            at = inner.offset + inner.length;
        }
        let end = field.offset + field.length;
        if at < end {
            found.push(part(field, at, end));
        }
    }
    found
}

fn part(field: &Field, start: usize, end: usize) -> Field {
    Field::new(field.name.clone(), start, end - start, Value::Null)
}

fn layer(layer: &Layer) -> Value {
    let checks = layer.checks.iter().map(|check| {
        let code = (!check.code.is_empty()).then_some(&check.code);
        json!({ "rule": check.rule, "code": code, "pass": check.pass, "found": check.found })
    });
    json!({
        "kind": layer.kind,
        "parent": layer.parent,
        "buffer": layer.buffer,
        "offset": layer.offset,
        "length": layer.length,
        "certainty": layer.certainty.name(),
        "why": layer.why,
        "opened_with": layer.opened_with,
        "fields": layer.fields.iter().map(field).collect::<Vec<_>>(),
        "checks": checks.collect::<Vec<_>>(),
        "stopped": layer.stopped.as_ref().map(stop),
    })
}

fn field(it: &Field) -> Value {
    let mut object = json!({
        "name": it.name,
        "offset": it.offset,
        "length": it.length,
        "value": it.value,
    });
    if !it.fields.is_empty() {
        object["fields"] = it.fields.iter().map(field).collect();
    }
    object
}

fn stop(it: &Stop) -> Value {
    let hint = (!it.hint.is_empty()).then_some(&it.hint);
    json!({ "code": it.code, "message": it.message, "hint": hint })
}

/// A tree for people: layers, fields with offsets, checks, and why it ends.
impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_tree(false))
    }
}

impl Inspection {
    /// Returns a tree for people: layers, fields with offsets, checks, and why it ends. With
    /// `colour`, each layer has its own, the same as in the hexdump.
    pub fn to_tree(&self, colour: bool) -> String {
        let paint = |text: &str, code: u8| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let mut out = String::new();
        let mut depths: Vec<usize> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let depth = layer.parent.map_or(0, |parent| depths[parent] + 1);
            depths.push(depth);
            let indent = "  ".repeat(depth);
            let opened = layer
                .opened_with
                .as_ref()
                .map_or(String::new(), |key| format!(", opened with {}", escape(key)));
            let _ = writeln!(
                out,
                "{indent}{} ({}: {}{opened}), {} bytes at {}",
                paint(&escape(&layer.kind), COLOURS[index % COLOURS.len()]),
                layer.certainty.name(),
                escape(&layer.why),
                layer.length,
                layer.offset
            );
            for field in &layer.fields {
                show_field(&mut out, field, depth + 1);
            }
            for check in &layer.checks {
                let mark = if check.pass { paint("ok  ", GREEN) } else { paint("FAIL", RED) };
                let _ = writeln!(
                    out,
                    "{indent}  {mark} {}: {}",
                    escape(&check.rule),
                    escape(&check.found)
                );
            }
            if let Some(stop) = &layer.stopped {
                let hint = match stop.hint.is_empty() {
                    true => String::new(),
                    false => format!("; {}", escape(&stop.hint)),
                };
                let end = paint("ends here", RED);
                let message = escape(&stop.message);
                let _ = writeln!(out, "{indent}  {end}: {message} ({}){hint}", stop.code);
            }
        }
        for other in &self.candidates {
            let (kind, why) = (escape(&other.kind), escape(&other.why));
            let _ = writeln!(out, "or {kind} ({}: {why})", other.certainty.name());
        }
        out
    }
}

/// Colours of verdicts, as terminals number them.
const GREEN: u8 = 32;
const RED: u8 = 31;

/// Values longer than this are cut in the tree.
const MAX_SHOWN: usize = 72;

fn show_field(out: &mut String, field: &Field, depth: usize) {
    let indent = "  ".repeat(depth);
    let value = match &field.value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    };
    let mut shown: String = value.chars().take(MAX_SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    let name = escape(&field.name);
    let _ = writeln!(out, "{indent}{:>6} +{:<6} {name} {shown}", field.offset, field.length);
    for inner in &field.fields {
        show_field(out, inner, depth + 1);
    }
}

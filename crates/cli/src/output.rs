//! Results on standard output, in the format that was asked for.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use serde_json::{Map, Value};
pub use statuskit_core::text::escape;

use crate::{
    error::{CliError, Result},
    signals,
};

/// The formats of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; the default on a terminal.
    Text,
    /// One JSON object per line; the default in a pipe.
    Json,
    /// The record's raw bytes as 0x hex, one record per line.
    Hex,
    /// The record's raw bytes.
    Raw,
    /// A page of its own: `status-inspect` only.
    #[value(hide = true)]
    Html,
}

/// A result: one line of JSON with its members in a fixed order.
#[derive(Debug, Clone)]
pub struct Record(Map<String, Value>);

impl Format {
    /// Refuses the formats of raw bytes, for tools whose results have none: before they do what
    /// can't be undone.
    pub fn require_records(self) -> Result<()> {
        match self {
            Self::Text | Self::Json => Ok(()),
            Self::Hex | Self::Raw => Err(no_raw_bytes().into()),
            Self::Html => Err(no_page().into()),
        }
    }
}

/// No result but an inspection is a page.
pub fn no_page() -> CliError {
    CliError::usage("only inspections are pages")
        .field("--output")
        .hint("pass the result to `status-inspect --output html`")
}

fn no_raw_bytes() -> CliError {
    CliError::usage("this result has no raw bytes").field("--output").hint("--output json or text")
}

impl Record {
    /// A record of the given type.
    pub fn new(kind: &str) -> Self {
        Self(Map::new()).with("type", kind)
    }

    /// A record that was read, with these members.
    pub fn from_members(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a member if it has a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds the exact bytes, as 0x hex.
    #[must_use]
    pub fn with_raw(self, bytes: &[u8]) -> Self {
        self.with("raw", hex0x(bytes))
    }

    /// Takes a member out of an object that is a member.
    #[must_use]
    pub fn without(mut self, name: &str, inner: &str) -> Self {
        if let Some(Value::Object(members)) = self.0.get_mut(name) {
            members.shift_remove(inner);
        }
        self
    }

    /// Takes a member out.
    #[must_use]
    pub fn without_member(mut self, name: &str) -> Self {
        self.0.shift_remove(name);
        self
    }

    /// The members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A block of `name: value` lines, for people. Long values are cut; JSON has the whole.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        write_members(&mut text, &self.0, 0);
        text
    }

    fn raw(&self) -> Option<Vec<u8>> {
        let digits = self.0.get("raw")?.as_str()?.strip_prefix("0x")?;
        hex::decode(digits).ok()
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        Self::Object(record.0)
    }
}

fn write_members(text: &mut String, members: &Map<String, Value>, depth: usize) {
    const WIDTH: usize = 12;
    for (name, value) in members {
        let indent = "  ".repeat(depth);
        match value {
            Value::Null => {}
            Value::Object(inner) => {
                let _ = writeln!(text, "{indent}{}:", escape(name));
                write_members(text, inner, depth + 1);
            }
            Value::String(string) => {
                let _ = writeln!(text, "{indent}{:WIDTH$} {}", escape(name), cut(&escape(string)));
            }
            other => {
                let shown = cut(&escape(&other.to_string()));
                let _ = writeln!(text, "{indent}{:WIDTH$} {shown}", escape(name));
            }
        }
    }
}

fn cut(text: &str) -> String {
    const MAX: usize = 140;
    let length = text.chars().count();
    if length <= MAX {
        return text.to_owned();
    }
    format!("{}… ({length} characters)", text.chars().take(MAX).collect::<String>())
}

/// Where results go.
#[derive(Debug)]
pub struct Output {
    format: Format,
    /// Results that are buffered to be written together.
    pending: Vec<u8>,
    /// The end of a page that has begun.
    page_end: Option<&'static str>,
}

/// How much waits at most.
const MAX_PENDING: usize = 64 << 10;

impl Output {
    /// The format asked for, else text for a terminal and JSON for a pipe.
    pub fn new(format: Option<Format>) -> Self {
        let default = if io::stdout().is_terminal() { Format::Text } else { Format::Json };
        Self { format: format.unwrap_or(default), pending: Vec::new(), page_end: None }
    }

    /// The format of results.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes a record and flushes it. `text` renders it for people.
    pub fn emit(&mut self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<()> {
        self.collect(record, text)?;
        self.flush()
    }

    /// Writes a record that may be buffered until [`flush`](Self::flush).
    pub fn collect(&mut self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<()> {
        let bytes = self.render(record, text)?;
        self.pending.extend_from_slice(&bytes);
        if self.pending.len() >= MAX_PENDING { self.flush() } else { Ok(()) }
    }

    /// Writes results that were rendered elsewhere, and empties them.
    pub fn write(&mut self, rendered: &mut Vec<u8>) -> Result<()> {
        self.flush()?;
        if !rendered.is_empty() {
            write_stdout(rendered)?;
            rendered.clear();
        }
        Ok(())
    }

    /// Returns the bytes of a record.
    pub fn render(&self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.format {
            Format::Text => {
                out.extend_from_slice(text(record).trim_end_matches('\n').as_bytes());
                out.push(b'\n');
            }
            Format::Json => {
                write_json(&mut out, &record.0);
                out.push(b'\n');
            }
            Format::Html => return Err(no_page().into()),
            Format::Hex | Format::Raw => {
                let raw = record.raw().ok_or_else(no_raw_bytes)?;
                if self.format == Format::Raw {
                    out.extend_from_slice(&raw);
                } else {
                    out.extend_from_slice(hex0x(&raw).as_bytes());
                    out.push(b'\n');
                }
            }
        }
        Ok(out)
    }

    /// Writes a part of a page; before the first one, its `start`. The end is for the last flush.
    pub fn emit_html(
        &mut self,
        start: impl FnOnce() -> String,
        part: &str,
        end: &'static str,
    ) -> Result<()> {
        if self.page_end.is_none() {
            self.page_end = Some(end);
            self.pending.extend_from_slice(start().as_bytes());
        }
        self.pending.extend_from_slice(part.as_bytes());
        self.flush()
    }

    /// Writes what waits, and the end of a page that has begun.
    pub fn finish(&mut self) -> Result<()> {
        if let Some(end) = self.page_end.take() {
            self.pending.extend_from_slice(end.as_bytes());
        }
        self.flush()
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = write_stdout(&self.pending);
        self.pending.clear();
        Ok(written?)
    }
}

/// Writes to standard output, which must have been open at the start.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    if signals::was_stdout_closed() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "standard output is closed"));
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Bytes as `0x` hex.
pub fn hex0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Returns a value as one line of JSON that every reader of lines takes for one, and that is safe on a
/// terminal: control characters, line separators and the controls of bidirectional text are escaped.
pub fn json_line(value: &impl serde::Serialize) -> String {
    let mut line = Vec::new();
    write_json(&mut line, value);
    String::from_utf8(line).expect("JSON is UTF-8")
}

fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Visible);
    value.serialize(&mut serializer).expect("writing to memory, and maps with text as keys");
}

/// Escapes what serde_json does not: C1, line separators, controls of bidirectional text.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        // Most text is ASCII, and long.
        while rest.bytes().any(|byte| byte >= 0x7f) {
            let Some((at, c)) = rest.char_indices().find(|(_, c)| misleads(*c)) else { break };
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Characters that end a line for some readers, or change how the text around them is shown.
fn misleads(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_are_one_line_and_hide_nothing() {
        let text =
            "a\u{85}b\u{2028}c\u{2029}d\u{9b}31m\u{202e}e\u{2066}f\u{7f}\u{200f} żółć 🙂\n\u{1b}";
        let line = json_line(&serde_json::json!({ text: [text] }));
        assert!(line.chars().all(|c| !c.is_control() && !misleads(c)), "{line}");
        assert!(line.contains("a\\u0085b\\u2028c") && line.contains("żółć 🙂\\n\\u001b"), "{line}");
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back, serde_json::json!({ text: [text] }));
    }

    #[test]
    fn members_keep_their_order() {
        let record = Record::new("topic").with("b", 1).with("a", 2).with_raw(&[255]);
        let json = serde_json::to_string(record.members()).unwrap();
        assert_eq!(json, r#"{"type":"topic","b":1,"a":2,"raw":"0xff"}"#);
    }
}

//! Bytes as they stand in logs, dumps, documents and sources of programs.
//!
//! | spelling | examples |
//! | --- | --- |
//! | hex | `0xf901`, `0XF901`, `\xf901`, `f9:01`, `f9 01`, `"f901",`, over several lines |
//! | escapes | `\xf9\x01`, `b'\xf9\x01'`, `"\371\x01"` |
//! | base64 | with either alphabet, with or without padding, over several lines, `data:…;base64,` |
//! | arrays | `[249, 1]`, `[249 1]`, `[]byte{0xf9, 0x1}`, `vec![249, 1]`, `<Buffer f9 01>` |
//! | dumps | of `xxd`, `hexdump`, `od`, `tcpdump`, Wireshark, Go, Rust |
//! | JSON | documents and lines; every member that holds bytes |
//! | lines of logs | `data=0xf901`, `payload: [249 1]`, `{"raw":"0xf901"}` behind other text |
//! | links | `https://example.org/?data=0xf901` |
//!
//! [`Reader`] takes lines as they come and returns an [`Item`] for each value. A [`Reading`] says
//! what was taken and from where. Where a text has two readings, both are told: [`Wants`] decides
//! if only one of them is what a program looks for, else the item has `alternatives`, or an error
//! names them.

mod choice;
mod dump;
mod json;
mod line;
mod reading;
mod run;
mod salvage;
mod settle;
mod text;

use std::{collections::VecDeque, fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::explain::Explanation;

pub(crate) use line::percent_decode;
pub use reading::{Encoding, Reading};
pub(crate) use text::{plain, visible, without_wrapping};

/// The longest line, document, dump or wrapped text, in bytes.
pub const MAX_TEXT: usize = 64 << 20;

/// What a program looks for.
#[derive(Clone)]
pub struct Wants {
    whole: Option<Arc<Judge>>,
    record: Arc<IsRecord>,
}

type Judge = dyn Fn(&[u8]) -> bool + Send + Sync;
type IsRecord = dyn Fn(&Map<String, Value>) -> bool + Send + Sync;

impl Wants {
    /// Looks for any bytes, and takes every JSON object with a text `type` for a record.
    pub fn any_bytes() -> Self {
        Self { whole: None, record: Arc::new(has_type) }
    }

    /// Looks for bytes that `whole` accepts as a complete value.
    pub fn whole(whole: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { whole: Some(Arc::new(whole)), record: Arc::new(has_type) }
    }

    /// Takes only the JSON objects that `record` accepts for records. The bytes in others are
    /// looked for.
    #[must_use]
    pub fn with_records(
        self,
        record: impl Fn(&Map<String, Value>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { record: Arc::new(record), ..self }
    }

    /// Whether these bytes are what is looked for. `None` if any bytes are.
    pub fn accepts(&self, bytes: &[u8]) -> Option<bool> {
        self.whole.as_ref().map(|whole| whole(bytes))
    }

    fn is_whole(&self, bytes: &[u8]) -> bool {
        self.accepts(bytes) == Some(true)
    }

    fn is_record(&self, members: &Map<String, Value>) -> bool {
        (self.record)(members)
    }
}

impl fmt::Debug for Wants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wants").field("any_bytes", &self.whole.is_none()).finish_non_exhaustive()
    }
}

/// Records of ours have a type. So has a `Buffer` of Node, which is none.
fn has_type(members: &Map<String, Value>) -> bool {
    members.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "Buffer")
}

/// A value of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The value.
    pub content: Content,
    /// Other readings of the same text, none of which is less likely for certain.
    pub alternatives: Vec<Reading>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A JSON object that [`Wants`] takes for a record, or one without bytes in it.
    Record(Map<String, Value>),
    /// Bytes.
    Bytes(Reading),
}

/// Why a text has no bytes to give.
///
/// The text itself is never quoted: it may be a secret that was meant for another place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ReadError {
    /// The line on which the text begins, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It begins as a JSON document, and is none.
    #[error("not a JSON record: {reason}")]
    Json {
        /// What the parser says, without parts of the text.
        reason: String,
        /// Offset in its line.
        at: usize,
    },
    /// Behind `0x` are other characters than hex digits.
    #[error("after 0x, character {at} is no hex digit")]
    Hex {
        /// Counted from 1, without the prefix.
        at: usize,
    },
    /// Lines of a dump are missing, or in another order.
    #[error("line {at} of the dump does not follow the one before: its offset says so")]
    Dump {
        /// Counted from 1.
        at: usize,
    },
    /// More than [`MAX_TEXT`].
    #[error("a record of more than {} MiB", MAX_TEXT >> 20)]
    TooLong,
    /// Several members or spellings could be meant.
    #[error("more than one thing here could be meant: {}", .readings.join("; "))]
    Ambiguous {
        /// Their descriptions.
        readings: Vec<String>,
        /// Whether each is what is looked for.
        are_whole: bool,
    },
    /// None of the known spellings.
    #[error("{what} is neither a JSON record, nor hex, base64, a dump or an array of bytes")]
    Unrecognised {
        /// What the text is, without a part of it.
        what: String,
    },
}

impl Problem {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "input.json",
            Self::Hex { .. } => "input.hex",
            Self::Dump { .. } => "input.dump",
            Self::TooLong => "input.too_long",
            Self::Ambiguous { .. } => "input.ambiguous",
            Self::Unrecognised { .. } => "input.unrecognised",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "input.json",
            rule: "A line that begins with { is JSON: a record of one of the tools, or a document with bytes in it.",
            source: "tools",
            causes: "A document that was cut: `jq .` says where. The error never quotes it.",
        },
        Explanation {
            code: "input.hex",
            rule: "After 0x come hex digits, two for each byte.",
            source: "tools",
            causes: "A digit was lost.",
        },
        Explanation {
            code: "input.unrecognised",
            rule: "A text is a JSON record, or bytes: hex, base64, a dump, an array, a line of a log. Input that does not begin as text is binary.",
            source: "tools",
            causes: "Words of another program on its standard output. The error describes the text and never quotes it: it may be a secret.",
        },
        Explanation {
            code: "input.ambiguous",
            rule: "Where several things could be meant, none is guessed.",
            source: "tools",
            causes: "A document with two members that fit: take one with `jq -r .MEMBER`. Hex that is base64 as well: write 0x before it. A file whose name is hex: write ./ before it.",
        },
        Explanation {
            code: "input.dump",
            rule: "The offsets of a dump go on from line to line.",
            source: "tools",
            causes: "Lines were lost when the dump was copied, or two dumps were mixed.",
        },
        Explanation {
            code: "input.too_long",
            rule: "Records and lines are bounded.",
            source: "tools",
            causes: "Not the output of one of the tools.",
        },
    ];
}

/// Reads values out of lines of text.
///
/// Give it lines with [`line`](Self::line) and the end with [`end`](Self::end); after each, take
/// what is ready with [`pop`](Self::pop). A line that is a value of its own is ready at once; one
/// that is none waits for the next that is, or for the end, since it may be a part of something.
#[derive(Debug)]
pub struct Reader {
    wants: Wants,
    ready: VecDeque<Result<Item, ReadError>>,
    number: u64,
    open: Option<run::Open>,
    /// What is not what is looked for, as long as it may be a part of it.
    held: settle::Held,
}

impl Reader {
    /// Starts at line 1.
    pub fn new(wants: Wants) -> Self {
        let held = settle::Held::new(wants.whole.is_some());
        Self { wants, ready: VecDeque::new(), number: 0, open: None, held }
    }

    /// What is looked for.
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Takes the next line, with or without its end.
    pub fn line(&mut self, line: &[u8]) {
        self.number += 1;
        let text = String::from_utf8_lossy(line);
        let text = text::visible(text.trim_end_matches(['\r', '\n']));
        self.take(&text);
    }

    /// Takes the end of the input, or of a part of it: what is open is closed.
    pub fn end(&mut self) {
        self.close();
        self.settle(None);
    }

    /// The number of lines without bytes beside values, which were passed over: headings, prompts.
    pub fn passed_over(&self) -> u64 {
        self.held.passed_over
    }

    /// Returns a value that is ready.
    pub fn pop(&mut self) -> Option<Result<Item, ReadError>> {
        self.ready.pop_front()
    }

    /// The number of the last line.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// Reads all values of an input: text, or binary as one value.
///
/// Text may begin with a byte order mark, and may be UTF-16 with one.
pub fn read_all(input: &[u8], wants: Wants) -> Vec<Result<Item, ReadError>> {
    let utf16 = decode_utf16(input);
    let input = utf16.as_deref().map_or(input, str::as_bytes);
    if utf16.is_none() && !begins_as_text(input) {
        let content = Content::Bytes(binary(input.to_vec(), &wants));
        return vec![Ok(Item { line: 1, content, alternatives: Vec::new() })];
    }
    let mut reader = Reader::new(wants);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        reader.line(line);
    }
    reader.end();
    reader.ready.into()
}

/// Returns the reading of a binary value. A line feed behind it, which editors and `echo` add, is
/// left out if the value is whole only without it.
pub fn binary(mut bytes: Vec<u8>, wants: &Wants) -> Reading {
    let mut reading = Reading::new(Encoding::Binary, Vec::new());
    if wants.accepts(&bytes) == Some(false) {
        let shorter = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let kept = [shorter, shorter.strip_suffix(b"\r").unwrap_or(shorter)]
            .into_iter()
            .find(|it| it.len() < bytes.len() && wants.is_whole(it))
            .map(<[u8]>::len);
        if let Some(kept) = kept {
            reading.line_feed = true;
            bytes.truncate(kept);
        }
    }
    reading.bytes = bytes;
    reading
}

/// Whether input with this beginning is text.
pub fn begins_as_text(start: &[u8]) -> bool {
    let Some(first) = start.first() else { return true };
    match first {
        // Colours of a terminal.
        0x1b => matches!(start.get(1), Some(b'[' | b']')),
        first if first.is_ascii() => first.is_ascii_graphic() || first.is_ascii_whitespace(),
        _ => {
            let head = &start[..start.len().min(4)];
            let valid = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            valid.chars().next().is_some_and(is_typography)
        }
    }
}

/// Whether text may begin with this: a byte order mark, invisible blanks, quotes, lines of a frame.
/// None of these begins what the tools read.
fn is_typography(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ab}' | '\u{ad}' | '\u{bb}' | '\u{feff}')
        || matches!(c, '\u{2000}'..='\u{206f}' | '\u{2500}'..='\u{25ff}' | '\u{ff01}'..='\u{ff5e}')
}

/// Returns the text of UTF-16, as some shells write it: with a byte order mark, or with ASCII at its
/// beginning.
pub fn decode_utf16(input: &[u8]) -> Option<String> {
    let is_ascii = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let unit: fn([u8; 2]) -> u16 = match *input {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [a, 0, b, 0, ..] if is_ascii(a) && is_ascii(b) => u16::from_le_bytes,
        _ => return None,
    };
    let (pairs, rest) = input.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair)).filter(|unit| *unit != 0xfeff);
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    rest.is_empty().then_some(text)
}

#[cfg(test)]
mod tests;

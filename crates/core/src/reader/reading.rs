//! A reading: bytes, and what they were taken from.

use serde_json::{Value, json};

/// How bytes were spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// As they are.
    Binary,
    /// Hex digits, with or without separators.
    Hex,
    /// The standard alphabet.
    Base64,
    /// The alphabet of URLs.
    Base64Url,
    /// The letters and digits of RFC 4648, section 6.
    Base32,
    /// Characters and escapes of a programming language.
    Escapes,
    /// Numbers, one for each byte.
    Array,
    /// A dump with offsets: single bytes.
    Dump,
    /// A dump with offsets: words, whose lower byte comes first.
    LittleEndianDump,
}

impl Encoding {
    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base32 => "base32",
            Self::Escapes => "escapes",
            Self::Array => "array",
            Self::Dump => "dump",
            Self::LittleEndianDump => "little_endian_dump",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base32 => "base32",
            Self::Escapes => "text with escapes",
            Self::Array => "an array of numbers",
            Self::Dump => "a dump",
            Self::LittleEndianDump => "a dump of words, lower byte first",
        }
    }
}

/// Bytes, how they were spelled, and where they stood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How they were spelled.
    pub encoding: Encoding,
    /// Where in a document or a line: `result[0].payload`, `data`.
    pub path: Option<String>,
    /// The number of lines they took.
    pub lines: usize,
    /// Bytes that the writer left out, as in `<Buffer f9 … 100 more bytes>`. `Some(0)` if their
    /// number is not known: `0xf901…`, or half a byte at the end.
    pub left_out: Option<usize>,
    /// Whether a line feed behind a binary value was left out.
    pub line_feed: bool,
}

impl Reading {
    pub(super) fn new(encoding: Encoding, bytes: Vec<u8>) -> Self {
        Self { bytes, encoding, path: None, lines: 1, left_out: None, line_feed: false }
    }

    pub(super) fn at(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Whether this is what programs usually write: nothing needs to be told about it.
    pub fn is_plain(&self) -> bool {
        let encoding = matches!(self.encoding, Encoding::Binary | Encoding::Hex | Encoding::Base64);
        encoding
            && self.path.is_none()
            && self.lines == 1
            && self.left_out.is_none()
            && !self.line_feed
    }

    /// Describes what was taken, for people: `result[0].payload: hex, 120 bytes`.
    pub fn describe(&self) -> String {
        let path = self.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        let lines = match self.lines {
            1 => String::new(),
            lines => format!(" over {lines} lines"),
        };
        let unit = if self.bytes.len() == 1 { "byte" } else { "bytes" };
        let cut = match self.left_out {
            None => String::new(),
            Some(0) => ", cut".to_owned(),
            Some(1) => ", 1 more byte was left out".to_owned(),
            Some(count) => format!(", {count} more bytes were left out"),
        };
        let feed = if self.line_feed { ", without the line feed at its end" } else { "" };
        let encoding = self.encoding.text();
        format!("{path}{encoding}{lines}, {} {unit}{cut}{feed}", self.bytes.len())
    }

    /// Describes what was taken, for programs. Members are added, never changed.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "encoding": self.encoding.name(), "length": self.bytes.len() });
        if let Some(path) = &self.path {
            json["path"] = path.as_str().into();
        }
        if self.lines > 1 {
            json["lines"] = self.lines.into();
        }
        if let Some(count) = self.left_out {
            json["left_out"] = count.into();
        }
        if self.line_feed {
            json["line_feed"] = true.into();
        }
        json
    }
}

//! Strict recursive length prefix: canonical encodings only, and byte offsets in every error.
//!
//! Whisper and devp2p peers reject integers with leading zeros, lengths in a longer form than
//! needed, and bytes after the value. So does [`Reader`]. Reading copies and allocates nothing, and
//! compares every length with the input before using it.
//!
//! Source: Ethereum yellow paper, appendix B; devp2p specifications for the strictness.

use crate::explain::Explanation;

/// Why bytes are not the expected RLP, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {kind}")]
pub struct RlpError {
    /// The kind of error.
    pub kind: RlpErrorKind,
    /// The offset from the start of the outermost input.
    pub at: usize,
}

/// The kinds of RLP errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlpErrorKind {
    /// The input or the enclosing list ends before the item does.
    #[error("the item needs {}, and {have} are left", crate::text::count(.need, "byte"))]
    Truncated { need: usize, have: usize },
    /// A length has a longer form than needed, or a leading zero.
    #[error("the length is not in its shortest form")]
    NonCanonicalLength,
    /// An integer has a leading zero byte. Zero itself is the empty string.
    #[error("the integer has a leading zero byte")]
    LeadingZero,
    /// An integer does not fit its type.
    #[error("the integer has {}, at most {max} fit", crate::text::count(.got, "byte"))]
    IntegerTooLarge { got: usize, max: usize },
    /// A boolean is neither 0 nor 1.
    #[error("expected a boolean (0 or 1)")]
    NotBoolean,
    /// A string stands in place of a list.
    #[error("expected a list, found a string")]
    ExpectedList,
    /// A list stands in place of a string.
    #[error("expected a string, found a list")]
    ExpectedString,
    /// A string of fixed length has another length.
    #[error("expected {}, found {got}", crate::text::count(.expected, "byte"))]
    WrongLength { expected: usize, got: usize },
    /// A list has too few items.
    #[error("the list ends here; {0} should follow")]
    MissingItem(&'static str),
    /// A list has too many items.
    #[error("the last item of the list is followed by {}", crate::text::count(.0, "byte"))]
    ExtraItems(usize),
    /// Bytes follow the outermost value.
    #[error("the value is followed by {}", crate::text::count(.0, "byte"))]
    Trailing(usize),
}

impl RlpErrorKind {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "rlp.truncated",
            Self::NonCanonicalLength => "rlp.non_canonical_length",
            Self::LeadingZero => "rlp.leading_zero",
            Self::IntegerTooLarge { .. } => "rlp.integer_too_large",
            Self::NotBoolean => "rlp.not_boolean",
            Self::ExpectedList => "rlp.expected_list",
            Self::ExpectedString => "rlp.expected_string",
            Self::WrongLength { .. } => "rlp.wrong_length",
            Self::MissingItem(_) => "rlp.missing_item",
            Self::ExtraItems(_) => "rlp.extra_items",
            Self::Trailing(_) => "rlp.trailing_bytes",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rlp.truncated",
            rule: "An item must end inside its list, and the list inside the input.",
            source: "Ethereum yellow paper, appendix B",
            causes: "Bytes were cut off, or a length was damaged.",
        },
        Explanation {
            code: "rlp.non_canonical_length",
            rule: "Lengths below 56, and single bytes below 0x80, have the short form; longer lengths have no leading zero.",
            source: "Ethereum yellow paper, appendix B",
            causes: "A writer that always uses the long form. Peers refuse such bytes.",
        },
        Explanation {
            code: "rlp.leading_zero",
            rule: "Integers have no leading zero byte; zero is the empty string 0x80.",
            source: "Ethereum yellow paper, appendix B",
            causes: "A nonce padded to eight bytes, as the prose of EIP-627 suggests. Peers refuse it.",
        },
        Explanation {
            code: "rlp.integer_too_large",
            rule: "Expiry and ttl have 32 bits, the nonce 64.",
            source: "EIP-627, Whisper Envelope",
            causes: "Milliseconds in place of seconds.",
        },
        Explanation {
            code: "rlp.not_boolean",
            rule: "A boolean is the integer 0 or 1.",
            source: "EIP-627, Status",
            causes: "Another layout of the packet.",
        },
        Explanation {
            code: "rlp.expected_list",
            rule: "A list is expected here.",
            source: "Ethereum yellow paper, appendix B",
            causes: "These bytes are something else: the data of an envelope instead of the envelope, or a packet with its code in front.",
        },
        Explanation {
            code: "rlp.expected_string",
            rule: "A string is expected here.",
            source: "Ethereum yellow paper, appendix B",
            causes: "One level of lists too many: a list of envelopes in place of an envelope.",
        },
        Explanation {
            code: "rlp.wrong_length",
            rule: "The field has a fixed length: topics 4 bytes, hashes 32, bloom filters 64.",
            source: "EIP-627, Whisper Envelope",
            causes: "A topic that was not cut to four bytes.",
        },
        Explanation {
            code: "rlp.missing_item",
            rule: "The list ends before all of its fields: an envelope has expiry, ttl, topic, data and nonce.",
            source: "EIP-627, Whisper Envelope",
            causes: "The form without nonce that is hashed for the proof of work.",
        },
        Explanation {
            code: "rlp.extra_items",
            rule: "The list has more fields than it may have.",
            source: "EIP-627, Whisper Envelope",
            causes: "An envelope of another version of Whisper.",
        },
        Explanation {
            code: "rlp.trailing_bytes",
            rule: "Nothing may follow the outermost value.",
            source: "Ethereum yellow paper, appendix B",
            causes: "A line break or padding that was hex-encoded too.",
        },
    ];
}

/// The result of reading RLP.
pub type Result<T> = std::result::Result<T, RlpError>;

/// One item, with content borrowed from the input.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// A byte string.
    String(&'a [u8]),
    /// A list, ready to be read.
    List(Reader<'a>),
}

/// Reads the items of one list, or of a whole input, in order.
///
/// Every method that reads an item takes the item's `name`, for the error if it is missing. Each
/// fails if the item is missing, truncated, not canonical, or of another type.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// The offset of `rest` in the outermost input.
    at: usize,
    outermost: bool,
}

impl<'a> Reader<'a> {
    /// Starts to read `input`. Its first byte has offset 0 in errors.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input, at: 0, outermost: true }
    }

    /// Returns whether no item is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the offset of the next item in the outermost input.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Returns the bytes that are not read yet.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes an error about the next item.
    pub fn error(&self, kind: RlpErrorKind) -> RlpError {
        RlpError { kind, at: self.at }
    }

    /// Reads the next item, a string or a list.
    pub fn item(&mut self, name: &'static str) -> Result<Item<'a>> {
        let (list, header, length) = self.header(name)?;
        let at = self.at + header;
        let content = &self.rest[header..header + length];
        self.rest = &self.rest[header + length..];
        self.at = at + length;
        Ok(if list {
            Item::List(Self { rest: content, at, outermost: false })
        } else {
            Item::String(content)
        })
    }

    /// Reads the next item with its header, unparsed. The item is complete, and its header is
    /// canonical.
    pub fn raw_item(&mut self, name: &'static str) -> Result<&'a [u8]> {
        let (_, header, length) = self.header(name)?;
        let (raw, rest) = self.rest.split_at(header + length);
        self.rest = rest;
        self.at += raw.len();
        Ok(raw)
    }

    /// Reads the next item, a list.
    pub fn list(&mut self, name: &'static str) -> Result<Reader<'a>> {
        let before = self.clone();
        match self.item(name)? {
            Item::List(list) => Ok(list),
            Item::String(_) => Err(before.error(RlpErrorKind::ExpectedList)),
        }
    }

    /// Reads the next item, a string.
    pub fn string(&mut self, name: &'static str) -> Result<&'a [u8]> {
        let before = self.clone();
        match self.item(name)? {
            Item::String(bytes) => Ok(bytes),
            Item::List(_) => Err(before.error(RlpErrorKind::ExpectedString)),
        }
    }

    /// Reads the next item, a string of exactly `N` bytes.
    pub fn bytes<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let before = self.clone();
        let bytes = self.string(name)?;
        bytes
            .try_into()
            .map_err(|_| before.error(RlpErrorKind::WrongLength { expected: N, got: bytes.len() }))
    }

    /// Reads the next item, an unsigned integer of at most 64 bits.
    pub fn u64(&mut self, name: &'static str) -> Result<u64> {
        self.integer(name, 8)
    }

    /// Reads the next item, an unsigned integer of at most 32 bits.
    pub fn u32(&mut self, name: &'static str) -> Result<u32> {
        self.integer(name, 4).map(|value| value as u32)
    }

    /// Reads the next item, an unsigned integer of at most 16 bits.
    pub fn u16(&mut self, name: &'static str) -> Result<u16> {
        self.integer(name, 2).map(|value| value as u16)
    }

    /// Reads the next item, a boolean (0 or 1).
    pub fn bool(&mut self, name: &'static str) -> Result<bool> {
        let before = self.clone();
        match self.integer(name, 8)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(before.error(RlpErrorKind::NotBoolean)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// If bytes are left.
    pub fn finish(self) -> Result<()> {
        match (self.rest.len(), self.outermost) {
            (0, _) => Ok(()),
            (n, true) => Err(self.error(RlpErrorKind::Trailing(n))),
            (n, false) => Err(self.error(RlpErrorKind::ExtraItems(n))),
        }
    }

    fn integer(&mut self, name: &'static str, max: usize) -> Result<u64> {
        let before = self.clone();
        let bytes = self.string(name)?;
        if bytes.first() == Some(&0) {
            return Err(before.error(RlpErrorKind::LeadingZero));
        }
        if bytes.len() > max {
            return Err(before.error(RlpErrorKind::IntegerTooLarge { got: bytes.len(), max }));
        }
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Returns whether the next item is a list, and the lengths of its header and content. All of
    /// it is within the input.
    fn header(&self, name: &'static str) -> Result<(bool, usize, usize)> {
        let (list, header, length) = self.announced(name)?;
        let have = self.rest.len() - header;
        if length > have {
            return Err(self.error(RlpErrorKind::Truncated { need: length, have }));
        }
        if self.rest[0] == 0x81 && self.rest[1] < 0x80 {
            return Err(self.error(RlpErrorKind::NonCanonicalLength));
        }
        Ok((list, header, length))
    }

    /// Does the same for content that may be incomplete.
    fn announced(&self, name: &'static str) -> Result<(bool, usize, usize)> {
        let Some(&first) = self.rest.first() else {
            return Err(self.error(RlpErrorKind::MissingItem(name)));
        };
        Ok(match first {
            0..0x80 => (false, 0, 1),
            0x80..0xb8 => (false, 1, usize::from(first - 0x80)),
            0xb8..0xc0 => self.long(false, usize::from(first - 0xb7))?,
            0xc0..0xf8 => (true, 1, usize::from(first - 0xc0)),
            0xf8..=0xff => self.long(true, usize::from(first - 0xf7))?,
        })
    }

    /// Reads the long form: a length of `size` bytes, of which none may be superfluous.
    fn long(&self, list: bool, size: usize) -> Result<(bool, usize, usize)> {
        let Some(bytes) = self.rest.get(1..1 + size) else {
            let have = self.rest.len() - 1;
            return Err(self.error(RlpErrorKind::Truncated { need: size, have }));
        };
        let length = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        if bytes[0] == 0 || length < 56 {
            return Err(self.error(RlpErrorKind::NonCanonicalLength));
        }
        Ok((list, 1 + size, usize::try_from(length).unwrap_or(usize::MAX)))
    }
}

/// Returns the length of a header from its first byte.
pub fn header_size(first: u8) -> usize {
    match first {
        0..0x80 => 0,
        0x80..0xb8 | 0xc0..0xf8 => 1,
        0xb8..0xc0 => 1 + usize::from(first - 0xb7),
        0xf8..=0xff => 1 + usize::from(first - 0xf7),
    }
}

/// Returns the length of a list, including its header. `None` if `header` is not one of a list.
pub fn list_size(header: &[u8]) -> Option<usize> {
    match Reader::new(header).announced("a list") {
        Ok((true, header, length)) => header.checked_add(length),
        _ => None,
    }
}

/// Appends a byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match *bytes {
        [byte] if byte < 0x80 => out.push(byte),
        _ => {
            put_header(out, 0x80, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends an unsigned integer, big-endian without leading zeros.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    put_bytes(out, &bytes[value.leading_zeros() as usize / 8..]);
}

/// Appends a boolean as the integer 0 or 1.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    put_u64(out, u64::from(value));
}

/// Appends the header of a list with `length` bytes of items.
pub fn put_list_header(out: &mut Vec<u8>, length: usize) {
    put_header(out, 0xc0, length);
}

/// Appends a list. `items` appends its items.
pub fn put_list(out: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    items(&mut content);
    put_list_header(out, content.len());
    out.extend_from_slice(&content);
}

/// Returns the length of the header of a list, or of a string other than a single byte.
pub const fn header_len(length: usize) -> usize {
    if length < 56 { 1 } else { 1 + length_bytes(length) }
}

const fn length_bytes(length: usize) -> usize {
    (usize::BITS - length.leading_zeros()).div_ceil(8) as usize
}

fn put_header(out: &mut Vec<u8>, base: u8, length: usize) {
    out.extend_from_slice(Header::new(base, length).as_bytes());
}

/// The header of a string or list: at most nine bytes, not allocated.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; 9],
    len: u8,
}

impl Header {
    /// Makes the header of a list with `length` bytes of items.
    pub fn from_list(length: usize) -> Self {
        Self::new(0xc0, length)
    }

    /// Makes the header of a string of `length` bytes, other than a single byte below 0x80.
    pub fn from_string(length: usize) -> Self {
        Self::new(0x80, length)
    }

    /// Returns the bytes of the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn new(base: u8, length: usize) -> Self {
        let mut bytes = [0; 9];
        if length < 56 {
            bytes[0] = base + length as u8;
            return Self { bytes, len: 1 };
        }
        let size = length_bytes(length);
        bytes[0] = base + 55 + size as u8;
        let big_endian = length.to_be_bytes();
        bytes[1..=size].copy_from_slice(&big_endian[big_endian.len() - size..]);
        Self { bytes, len: 1 + size as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<T: std::fmt::Debug>(result: Result<T>) -> (RlpErrorKind, usize) {
        let error = result.unwrap_err();
        (error.kind, error.at)
    }

    #[test]
    fn integers_are_canonical() {
        for value in [0, 1, 0x7f, 0x80, 0xff, 0x100, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            assert_eq!(Reader::new(&out).u64("n"), Ok(value));
        }
        assert_eq!(kind(Reader::new(&[0]).u64("n")).0, RlpErrorKind::LeadingZero);
        assert_eq!(kind(Reader::new(&[0x82, 0, 1]).u64("n")).0, RlpErrorKind::LeadingZero);
        assert_eq!(kind(Reader::new(&[0x81, 1]).u64("n")).0, RlpErrorKind::NonCanonicalLength);
        let five = [0x85, 1, 0, 0, 0, 0];
        assert_eq!(
            kind(Reader::new(&five).u32("n")).0,
            RlpErrorKind::IntegerTooLarge { got: 5, max: 4 }
        );
        assert_eq!(Reader::new(&five).u64("n"), Ok(1 << 32));
        assert_eq!(kind(Reader::new(&[2]).bool("b")).0, RlpErrorKind::NotBoolean);
    }

    #[test]
    fn lengths_are_canonical_and_inside_the_input() {
        for length in [0, 1, 2, 55, 56, 57, 255, 256, 65_535, 65_536] {
            let mut out = Vec::new();
            put_bytes(&mut out, &vec![0xaa; length]);
            let expected = if length == 1 { 2 } else { length + header_len(length) };
            assert_eq!(out.len(), expected);
            assert_eq!(Reader::new(&out).string("s").unwrap().len(), length);
            let short = kind(Reader::new(&out[..out.len() - 1]).string("s"));
            assert!(matches!(
                short.0,
                RlpErrorKind::Truncated { .. } | RlpErrorKind::MissingItem("s")
            ));
        }
        for bad in [&[0xb8, 55][..], &[0xb9, 0, 60], &[0xf8, 2, 1, 1]] {
            let (kind, _) = kind(Reader::new(bad).item("i"));
            assert_eq!(kind, RlpErrorKind::NonCanonicalLength, "{bad:x?}");
        }
        let huge = [0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(matches!(kind(Reader::new(&huge).item("i")).0, RlpErrorKind::Truncated { .. }));
    }

    #[test]
    fn errors_carry_the_offset_in_the_outermost_input() {
        // [1, [2, 0x00]]
        let bytes = [0xc4, 1, 0xc2, 2, 0];
        let mut outer = Reader::new(&bytes).list("outer").unwrap();
        outer.u64("first").unwrap();
        let mut inner = outer.list("inner").unwrap();
        inner.u64("second").unwrap();
        assert_eq!(kind(inner.clone().u64("third")), (RlpErrorKind::LeadingZero, 4));
        assert_eq!(kind(inner.clone().finish()), (RlpErrorKind::ExtraItems(1), 4));
        inner.string("third").unwrap();
        assert_eq!(kind(inner.u64("fourth")), (RlpErrorKind::MissingItem("fourth"), 5));
        assert!(outer.finish().is_ok());
    }
}

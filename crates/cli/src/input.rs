//! Records from a pipe: JSON lines of any tool, hex, base64, or binary.
//!
//! Text is read line by line: a stream is processed as it arrives, and a bad line does not affect the
//! others. A line with only an opening brace begins a record of several lines.
//! Which form a line has is worked out from the line itself. Input that does not begin as text is
//! one binary whole, or, where envelopes are read, one after the other.
//!
//! Of what the tools read, all begins as no text does, but for protobuf messages whose first field
//! is text or bytes, such as the signature of a payload: its tag is a line feed.

use std::io::{self, BufRead, Chain, Cursor, Read as _};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Map, Value};
use statuskit_core::rlp;

use crate::error::{CliError, Exit, Result};

/// The longest line, binary whole or list that is read.
pub const MAX_INPUT: usize = 64 << 20;

/// One record of the input.
#[derive(Debug)]
pub struct Item {
    /// The line it stood on, from 1; of binary input, the number of the item.
    pub line: u64,
    /// What it was.
    pub content: Content,
}

/// What a record was.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// A record of one of the tools.
    Record(Map<String, Value>),
    /// Bytes, in any of the forms that are recognised.
    Bytes(Vec<u8>),
}

/// The records of a stream.
pub struct Items<R> {
    /// Behind what was read to find out what it is.
    input: Chain<Cursor<Vec<u8>>, R>,
    line: u64,
    binary: Option<bool>,
    lists: bool,
}

impl<R: BufRead> Items<R> {
    /// Reads `input` to its end, bit by bit.
    pub fn new(input: R) -> Self {
        Self { input: Cursor::default().chain(input), line: 0, binary: None, lists: false }
    }

    /// Takes binary input for a sequence of RLP lists, such as envelopes, each of them a record.
    #[must_use]
    pub fn reading_lists(mut self) -> Self {
        self.lists = true;
        self
    }

    /// The next record; blank lines are skipped. An error inside is about one record only; one
    /// outside ends the stream.
    pub fn next(&mut self) -> Result<Option<std::result::Result<Item, CliError>>> {
        loop {
            let binary = match self.binary {
                Some(binary) => binary,
                None => {
                    // A terminal would have to be told once more that this is the end.
                    let Some(text) = self.begins_as_text()? else { return Ok(None) };
                    *self.binary.insert(!text)
                }
            };
            self.line += 1;
            let mut bytes = Vec::new();
            if binary && self.lists {
                self.list(&mut bytes)?;
            } else if binary {
                self.read(MAX_INPUT + 1, &mut bytes)?;
            } else {
                let mut bounded = (&mut self.input).take(MAX_INPUT as u64 + 1);
                bounded.read_until(b'\n', &mut bytes).map_err(read_error)?;
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let line = self.line;
            if !binary && bytes.trim_ascii() == b"{" {
                self.rest_of_record(&mut bytes)?;
            }
            if bytes.len() > MAX_INPUT {
                let message = format!("a record of more than {} MiB", MAX_INPUT >> 20);
                return Err(CliError::new("input.too_long", Exit::Malformed, message)
                    .line(line)
                    .into());
            }
            if binary {
                return Ok(Some(Ok(Item { line, content: Content::Bytes(bytes) })));
            }
            let text = bytes.trim_ascii();
            if !text.is_empty() {
                let item = parse_text(text).map(|content| Item { line, content });
                return Ok(Some(item.map_err(|error| error.line(line))));
            }
        }
    }
}

impl<R: BufRead> Items<R> {
    /// Reads on until it is clear whether this is text; none if there is nothing.
    fn begins_as_text(&mut self) -> Result<Option<bool>> {
        let (start, rest) = self.input.get_mut();
        let start = start.get_mut();
        loop {
            let more = rest.fill_buf().map_err(read_error)?;
            let count = more.len();
            start.extend_from_slice(more);
            rest.consume(count);
            if start.is_empty() {
                return Ok(None);
            }
            if let Some(text) = is_text(start, count == 0) {
                return Ok(Some(text));
            }
        }
    }

    /// Reads up to this many more bytes.
    fn read(&mut self, count: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let mut bounded = (&mut self.input).take(count as u64);
        bounded.read_to_end(bytes).map_err(read_error)?;
        Ok(())
    }

    /// The next list, which says itself how long it is. Of what is none nobody knows where it ends:
    /// it is all the rest.
    fn list(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.read(1, bytes)?;
        let Some(first) = bytes.first() else { return Ok(()) };
        self.read(rlp::header_size(*first).saturating_sub(1), bytes)?;
        let size = rlp::list_size(bytes).unwrap_or(usize::MAX).min(MAX_INPUT + 1);
        self.read(size.saturating_sub(bytes.len()), bytes)
    }

    /// The lines of a JSON object as other programs print it (`jq`), up to the one that begins
    /// with its last brace. One that begins with a first brace is another record.
    fn rest_of_record(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        loop {
            let start = bytes.len();
            let next = self.input.fill_buf().map_err(read_error)?.first().copied();
            if start > MAX_INPUT || matches!(next, None | Some(b'{')) {
                return Ok(());
            }
            let mut bounded = (&mut self.input).take((MAX_INPUT + 1 - start) as u64);
            bounded.read_until(b'\n', bytes).map_err(read_error)?;
            self.line += 1;
            if next == Some(b'}') {
                return Ok(());
            }
        }
    }
}

/// Whether input that begins like this is text; none if that is not clear yet. A line feed alone
/// does not tell (see above), and a pipe may bring it alone.
fn is_text(start: &[u8], is_all: bool) -> Option<bool> {
    /// The signature of a payload, with tag and length; its last byte is 0 or 1.
    const ENOUGH: usize = 67;
    match start.first()? {
        b'\n' => {
            let is_control = |byte: &u8| byte.is_ascii_control() && !is_space(*byte);
            if start.iter().take(ENOUGH).any(is_control) {
                return Some(false);
            }
            let is_record = |line: &[u8]| {
                let text = line.trim_ascii();
                line.ends_with(b"\n")
                    && (text == b"{" || !text.is_empty() && parse_text(text).is_ok())
            };
            let is_clear = is_all
                || start.len() >= ENOUGH
                || start.split_inclusive(|byte| *byte == b'\n').any(is_record);
            is_clear.then_some(true)
        }
        first => Some(first.is_ascii_graphic() || is_space(*first)),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn read_error(error: io::Error) -> CliError {
    CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
}

/// Works out what a line of text is.
pub fn parse_text(text: &[u8]) -> std::result::Result<Content, CliError> {
    let malformed = |code, message: String| CliError::new(code, Exit::Malformed, message);
    if text.first() == Some(&b'{') {
        return serde_json::from_slice(text).map(Content::Record).map_err(|error| {
            malformed("input.json", format!("not a JSON record: {error}"))
                .offset(error.column().saturating_sub(1))
        });
    }
    let (digits, prefixed) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, true),
        _ => (text, false),
    };
    match hex::decode(digits) {
        Ok(bytes) => return Ok(Content::Bytes(bytes)),
        Err(error) if prefixed => {
            return Err(malformed("input.hex", format!("after 0x, not hexadecimal: {error}")));
        }
        Err(_) => {}
    }
    for alphabet in [BASE64, BASE64URL, BASE64_NOPAD, BASE64URL_NOPAD] {
        if let Ok(bytes) = alphabet.decode(text) {
            return Ok(Content::Bytes(bytes));
        }
    }
    let start: String = String::from_utf8_lossy(text).chars().take(24).collect();
    Err(malformed(
        "input.unrecognised",
        format!("{start:?} is neither a JSON record, nor hex, nor base64"),
    )
    .hint("records of any of the tools, 0x hex, base64, or binary are read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<std::result::Result<(u64, Content), &'static str>> {
        let mut items = Items::new(input);
        let mut out = Vec::new();
        while let Some(item) = items.next().unwrap() {
            out.push(item.map(|item| (item.line, item.content)).map_err(|error| error.code));
        }
        out
    }

    #[test]
    fn every_form_is_worked_out() {
        let bytes = |line, bytes: &[u8]| Ok((line, Content::Bytes(bytes.to_vec())));
        assert_eq!(all(b""), []);
        assert_eq!(all(b"\n \n"), []);
        assert_eq!(all(b"0xc0ff\n\nC0FF\r\n"), [bytes(1, &[0xc0, 0xff]), bytes(3, &[0xc0, 0xff])]);
        assert_eq!(all(b"wP/AFg=="), [bytes(1, &[0xc0, 0xff, 0xc0, 0x16])]);
        assert_eq!(all(&[0xc0, 0xff, b'\n', 1]), [bytes(1, &[0xc0, 0xff, b'\n', 1])]);
        assert!(matches!(&all(b"{\"type\":\"x\"}")[..], [Ok((1, Content::Record(_)))]));
    }

    #[test]
    fn a_message_whose_first_tag_is_a_line_feed_is_binary() {
        let signed = [&[0x0a, 65][..], b"\n", &[b'r'; 63], &[1, 0x12, 0]].concat();
        assert_eq!(all(&signed), [Ok((1, Content::Bytes(signed.clone())))]);
        let bundle = [&[0x0a, 33, 2][..], &[b'x'; 32]].concat();
        assert_eq!(all(&bundle), [Ok((1, Content::Bytes(bundle.clone())))]);
        // However a pipe brings it.
        let mut items = Items::new(io::BufReader::with_capacity(1, &signed[..]));
        let item = items.next().unwrap().unwrap().unwrap();
        assert_eq!(item.content, Content::Bytes(signed.clone()));
        assert_eq!(all(b"\n\n\t0xc0\r\n"), [Ok((3, Content::Bytes(vec![0xc0])))]);
        // Text is not waited for longer than for a record.
        assert_eq!((is_text(b"\n", false), is_text(b"\n0xc0\n", false)), (None, Some(true)));
        assert!(matches!(&all("\n{\"text\":\"żółć\"}".as_bytes())[..], [Ok((2, _))]));
    }

    #[test]
    fn records_may_take_several_lines() {
        let input =
            b"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n0xc0\n{\n \"c\": 1\n}\n{\n\"d\": 1\n{}\n";
        let items = all(input);
        assert_eq!(items.len(), 5);
        assert!(matches!(&items[0], Ok((1, Content::Record(it))) if it["a"]["b"] == 1));
        assert_eq!(items[1], Ok((6, Content::Bytes(vec![0xc0]))));
        assert!(matches!(&items[2], Ok((7, Content::Record(it))) if it["c"] == 1));
        assert_eq!(items[3], Err("input.json"));
        assert_eq!(items[4], Ok((12, Content::Record(Map::new()))));
    }

    #[test]
    fn the_end_is_read_once() {
        /// Goes on behind each end, as a terminal does.
        struct Terminal(bool);
        impl io::Read for Terminal {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 = !self.0;
                buffer[0] = b'\n';
                Ok(usize::from(!self.0))
            }
        }
        let mut items = Items::new(io::BufReader::new(Terminal(false)));
        assert!(items.next().unwrap().is_none());
        assert!(items.input.get_ref().1.get_ref().0, "only once");
    }

    #[test]
    fn lists_are_read_one_by_one() {
        let lists = |input: &[u8]| {
            let (mut items, mut out) = (Items::new(input).reading_lists(), Vec::new());
            while let Some(Ok(Item { line, content: Content::Bytes(bytes) })) =
                items.next().unwrap()
            {
                out.push((line, bytes));
            }
            out
        };
        // The last one ends too early.
        assert_eq!(
            lists(&[0xc0, 0xc1, 0x80, 0xc2, 1]),
            [(1, vec![0xc0]), (2, vec![0xc1, 0x80]), (3, vec![0xc2, 1])]
        );
        // Behind what is no list, or says its length in more bytes than it needs.
        for rest in [vec![0x80, 0xc0, 0xc0], vec![0xf8, 1, 0xc0], vec![0xf9, 1], vec![0xff; 20]] {
            let input = [&[0xc0], &rest[..]].concat();
            assert_eq!(lists(&input), [(1, vec![0xc0]), (2, rest)]);
        }
        // Text is read as ever.
        assert_eq!(lists(b"0xc0c0\n"), [(1, vec![0xc0, 0xc0])]);
        // Together they may be longer than one may be.
        let (size, count) = (1 << 20, MAX_INPUT / (1 << 20) + 1);
        let list = [&[0xfa, 0x0f, 0xff, 0xfc], &vec![0; size - 4][..]].concat();
        let found = lists(&list.repeat(count));
        assert_eq!(found.len(), count);
        assert!(found.iter().all(|(_, bytes)| *bytes == list));
        // But one may not.
        let long = [&[0xfb, 0x04, 0, 0, 0], &vec![0; MAX_INPUT][..]].concat();
        assert!(Items::new(&long[..]).reading_lists().next().is_err());
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_others() {
        let items = all(b"{broken\n0xzz\nhello there\nc0");
        assert_eq!(items[0], Err("input.json"));
        assert_eq!(items[1], Err("input.hex"));
        assert_eq!(items[2], Err("input.unrecognised"));
        assert_eq!(items[3], Ok((4, Content::Bytes(vec![0xc0]))));
    }
}

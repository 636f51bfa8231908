//! Records from a pipe, from files and from arguments.
//!
//! What a text means is the work of [`statuskit_core::reader`]; here it gets its lines. A stream is
//! processed as it arrives, and a bad line does not affect the others. Input that does not begin as
//! text is one binary whole, or, where envelopes are read, one after the other.
//!
//! Of what the tools read, all begins as no text does, but for protobuf messages whose first field
//! is text or bytes, such as the signature of a payload: its tag is a line feed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Chain, Cursor, Read as _},
    path::Path,
    vec,
};

use clap::Args;
use serde_json::{Map, Value};
use statuskit_core::{
    payload::PayloadType,
    reader::{self, Problem, ReadError, Reader, Reading, Wants},
    rlp,
    text::describe,
};

use crate::{
    context::{Context, announce_terminal, note_later},
    error::{CliError, Exit, Result},
};

/// The longest line, binary whole or list that is read.
pub const MAX_INPUT: usize = reader::MAX_TEXT;

/// Where records come from.
#[derive(Debug, Clone, Default, Args)]
pub struct InputArgs {
    /// Bytes in any spelling (0x…, base64, …), or a file; `-` is standard input [default: standard
    /// input]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
}

/// One record of the input.
#[derive(Debug)]
pub struct Item {
    /// The line it stood on, from 1; of binary input, the number of the item.
    pub line: u64,
    /// What it was.
    pub content: Content,
    /// What it was taken from, if that is worth a note.
    pub taken: Option<String>,
    /// How many bytes its writer left out; 0 if that is not known.
    pub left_out: Option<usize>,
}

/// What a record was.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// A record of one of the tools.
    Record(Map<String, Value>),
    /// Bytes, in any of the forms that are recognised.
    Bytes(Vec<u8>),
}

/// The records of standard input, or of the files and texts of arguments.
pub struct Inputs {
    wants: Wants,
    lists: bool,
    waiting: vec::IntoIter<String>,
    current: Option<Items<Box<dyn BufRead>>>,
    /// The argument that is read, for errors.
    shown: Option<String>,
}

impl InputArgs {
    /// Opens the input. Binary input is one whole; with `lists`, a sequence of RLP lists.
    pub fn open(&self, wants: Wants, lists: bool) -> Result<Inputs> {
        let wants = wants.with_records(is_record);
        let waiting = self.inputs.clone().into_iter();
        let mut inputs = Inputs { wants, lists, waiting, current: None, shown: None };
        if self.inputs.is_empty() {
            inputs.current = Some(inputs.stdin());
        }
        Ok(inputs)
    }
}

impl Inputs {
    /// The next record, as [`Items::next`] returns it.
    pub fn next(&mut self) -> Result<Option<std::result::Result<Item, CliError>>> {
        loop {
            if let Some(items) = &mut self.current
                && let Some(item) = items.next()?
            {
                let shown = self.shown.clone();
                let place = |error: CliError| match shown {
                    Some(shown) if error.field.is_none() => error.field(shown),
                    _ => error,
                };
                return Ok(Some(item.map_err(place)));
            }
            let Some(argument) = self.waiting.next() else { return Ok(None) };
            self.current = Some(self.argument(&argument)?);
        }
    }

    fn stdin(&self) -> Items<Box<dyn BufRead>> {
        stdin_items(self.wants.clone(), self.lists)
    }

    fn items(&self, input: Box<dyn BufRead>) -> Items<Box<dyn BufRead>> {
        let items = Items::new(input).wanting(self.wants.clone());
        if self.lists { items.reading_lists() } else { items }
    }

    /// An argument: bytes, or else the name of a file.
    fn argument(&mut self, text: &str) -> Result<Items<Box<dyn BufRead>>> {
        self.shown = None;
        if text == "-" {
            return Ok(self.stdin());
        }
        let path = Path::new(text);
        let is_bytes = || {
            let mut found = reader::read_all(text.as_bytes(), self.wants.clone());
            found.len() == 1 && found.pop().is_some_and(|item| item.is_ok())
        };
        if !path.exists() {
            if !is_bytes() {
                let message = format!("{} is neither bytes nor a file", describe(text));
                let error = CliError::new("input.unrecognised", Exit::Usage, message);
                return Err(error
                    .field("INPUT")
                    .hint("0x and hex digits, or the name of a file")
                    .into());
            }
            return Ok(self.items(Box::new(Cursor::new(text.as_bytes().to_vec()))));
        }
        if !text.contains(['/', '.']) && is_bytes() {
            let message = format!("{text:?} is the name of a file, and bytes as well");
            let hint = format!("./{text} is the file");
            let error = CliError::new("input.ambiguous", Exit::Usage, message);
            return Err(error.field("INPUT").hint(hint).into());
        }
        let file = File::open(path).map_err(|error| {
            let message = format!("can't read {text}: {error}");
            CliError::new("file.read", Exit::Local, message).field("INPUT")
        })?;
        self.shown = Some(text.to_owned());
        Ok(self.items(Box::new(BufReader::new(file))))
    }
}

/// The records of standard input. Binary input is one whole; with `lists`, a sequence of RLP lists.
pub fn stdin_items(wants: Wants, lists: bool) -> Items<Box<dyn BufRead>> {
    announce_terminal("reading from the terminal; end with Ctrl-D");
    let input: Box<dyn BufRead> = Box::new(io::stdin().lock());
    let items = Items::new(input).wanting(wants);
    if lists { items.reading_lists() } else { items }
}

/// Runs `work` on each item of standard input. Reports a malformed one and continues; empty input is
/// an error.
pub fn each_item(
    cx: &mut Context,
    wants: Wants,
    expected: &str,
    mut work: impl FnMut(&mut Context, &Item) -> Result<()>,
) -> Result<()> {
    let mut items = stdin_items(wants, false);
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        let line = item.as_ref().map_or_else(|error| error.line.unwrap_or(0), |item| item.line);
        let done = item.map_err(Into::into).and_then(|item| {
            cx.note_taken(&item);
            work(cx, &item)
        });
        crate::absorb(cx, done, line)?;
    }
    if any { Ok(()) } else { Err(crate::empty_input(expected)) }
}

/// Whether a JSON object is a record of the tools. Those of other programs may have a type, too.
pub fn is_record(members: &Map<String, Value>) -> bool {
    const ELSEWHERE: [&str; 4] = ["payload", "data", "params", "result"];
    let Some(kind) = members.get("type").and_then(Value::as_str) else { return false };
    let is_ours = members.contains_key("raw")
        || PayloadType::from_name(kind).is_some()
        || kind.starts_with("unknown")
        || matches!(kind, "envelope" | "message");
    let is_other = ELSEWHERE.iter().any(|name| members.contains_key(*name));
    kind != "Buffer" && (is_ours || !is_other)
}

/// The records of a stream.
pub struct Items<R> {
    /// Behind what was read to find out what it is.
    input: Chain<Cursor<Vec<u8>>, R>,
    line: u64,
    binary: Option<bool>,
    lists: bool,
    reader: Reader,
    is_ended: bool,
}

impl<R: BufRead> Items<R> {
    /// Reads `input` to its end, bit by bit.
    pub fn new(input: R) -> Self {
        Self {
            input: Cursor::default().chain(input),
            line: 0,
            binary: None,
            lists: false,
            reader: Reader::new(Wants::any_bytes().with_records(is_record)),
            is_ended: false,
        }
    }

    /// Looks for these bytes.
    #[must_use]
    pub fn wanting(mut self, wants: Wants) -> Self {
        self.reader = Reader::new(wants.with_records(is_record));
        self
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
            if let Some(item) = self.reader.pop() {
                return Ok(Some(item.map(from_reader).map_err(|error| read_problem(&error))));
            }
            if self.is_ended {
                return Ok(None);
            }
            let binary = match self.binary {
                Some(binary) => binary,
                None => {
                    // A terminal would have to be told once more that this is the end.
                    let Some(text) = self.begins_as_text()? else { return Ok(None) };
                    *self.binary.insert(!text)
                }
            };
            if binary {
                return self.next_binary();
            }
            let mut line = Vec::new();
            let mut bounded = (&mut self.input).take(MAX_INPUT as u64 + 1);
            bounded.read_until(b'\n', &mut line).map_err(read_error)?;
            if line.len() > MAX_INPUT {
                return Err(too_long(self.reader.number() + 1).into());
            }
            if line.is_empty() {
                self.is_ended = true;
                self.reader.end();
                let passed = self.reader.passed_over();
                if passed > 0 {
                    let lines = crate::text::count(passed, "line");
                    note_later(format!("{lines} beside the bytes passed over"));
                }
            } else {
                self.reader.line(&line);
            }
        }
    }

    fn next_binary(&mut self) -> Result<Option<std::result::Result<Item, CliError>>> {
        self.line += 1;
        let (line, mut bytes) = (self.line, Vec::new());
        if self.lists {
            self.list(&mut bytes)?;
        } else {
            self.read(MAX_INPUT + 1, &mut bytes)?;
        }
        // Behind binary input, editors and `echo` leave a line feed.
        let is_feed = self.lists && line > 1 && matches!(&bytes[..], b"\n" | b"\r\n");
        if bytes.is_empty() || is_feed {
            return Ok(None);
        }
        if bytes.len() > MAX_INPUT {
            return Err(too_long(line).into());
        }
        let reading = reader::binary(bytes, self.reader.wants());
        Ok(Some(Ok(from_reading(line, reading, &[]))))
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
            if matches!(start[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
                // UTF-16, as some shells write it: decoded as a whole.
                rest.take(MAX_INPUT as u64).read_to_end(start).map_err(read_error)?;
                let text = reader::decode_utf16(start);
                let is_text = text.is_some();
                if let Some(text) = text {
                    *start = text.into_bytes();
                }
                return Ok(Some(is_text));
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
}

/// Converts a value of the reader.
pub fn from_reader(item: reader::Item) -> Item {
    match item.content {
        reader::Content::Record(members) => {
            let content = Content::Record(members);
            Item { line: item.line, content, taken: None, left_out: None }
        }
        reader::Content::Bytes(reading) => from_reading(item.line, reading, &item.alternatives),
    }
}

fn from_reading(line: u64, reading: Reading, alternatives: &[Reading]) -> Item {
    let mut taken = (!reading.is_plain() || !alternatives.is_empty()).then(|| reading.describe());
    if let (Some(taken), Some(other)) = (&mut taken, alternatives.first()) {
        taken.push_str(&format!("; it may as well be {}", other.describe()));
    }
    let left_out = reading.left_out;
    Item { line, content: Content::Bytes(reading.bytes), taken, left_out }
}

/// Returns the error for a text without bytes to give.
pub fn read_problem(error: &ReadError) -> CliError {
    let shown = CliError::new(error.problem.code(), Exit::Malformed, error.to_string());
    let shown = match &error.problem {
        Problem::Json { at, .. } => shown.offset(*at),
        Problem::Unrecognised { .. } => {
            shown.hint("records of any of the tools, 0x hex, base64, dumps, arrays, or binary")
        }
        Problem::Ambiguous { .. } => shown.hint("the wanted one alone: jq -r .MEMBER"),
        _ => shown,
    };
    shown.line(error.line)
}

fn too_long(line: u64) -> CliError {
    let message = Problem::TooLong.to_string();
    CliError::new("input.too_long", Exit::Malformed, message).line(line)
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
                let read = || reader::read_all(text, Wants::any_bytes());
                line.ends_with(b"\n")
                    && (text == b"{"
                        || !text.is_empty() && read().first().is_some_and(|it| it.is_ok()))
            };
            let is_clear = is_all
                || start.len() >= ENOUGH
                || start.split_inclusive(|byte| *byte == b'\n').any(is_record);
            is_clear.then_some(true)
        }
        // Colours of a terminal begin with two bytes.
        0x1b if start.len() < 2 && !is_all => None,
        0x1b => Some(reader::begins_as_text(start)),
        first if first.is_ascii() => Some(first.is_ascii_graphic() || is_space(*first)),
        // A mark of text is up to three bytes long.
        _ if start.len() < 3 && !is_all => None,
        _ => Some(reader::begins_as_text(start)),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn read_error(error: io::Error) -> CliError {
    CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
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
            while let Some(Ok(Item { line, content: Content::Bytes(bytes), .. })) =
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

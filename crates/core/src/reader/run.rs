//! Values over several lines: documents, dumps, arrays, and wrapped text.

use serde_json::Value;

use super::{
    Content, Encoding, Item, MAX_TEXT, Problem, ReadError, Reader, Reading,
    choice::{among_candidates, among_readings},
    dump::Dump,
    json::{self, Found},
    line, text,
};
use crate::text::{describe, json_reason};

/// The shortest line that may be the first of a wrapped text.
const MIN_WRAPPED: usize = 16;

/// What has begun and not ended.
#[derive(Debug)]
pub(super) enum Open {
    Json(Json),
    Dump(Dump),
    /// An array in the syntax of a language.
    Array(Array),
    /// Quoted strings with escapes, one in each line.
    Quoted(Block),
    Wrapped(Wrapped),
}

/// Lines that belong together.
#[derive(Debug)]
pub(super) struct Block {
    first: u64,
    lines: usize,
    text: String,
}

impl Block {
    fn new(text: &str, number: u64) -> Self {
        Self { first: number, lines: 1, text: text.to_owned() }
    }

    fn add(&mut self, text: &str) {
        self.lines += 1;
        self.text.push('\n');
        self.text.push_str(text);
    }
}

/// An array whose bracket is still open.
#[derive(Debug)]
pub(super) struct Array {
    block: Block,
    depth: usize,
}

impl Array {
    /// Opens an array, if nothing but numbers follows an open bracket at the end of a line.
    fn begin(text: &str, number: u64) -> Option<Self> {
        let open = text.rfind(['[', '{', '('])?;
        let depth = depth(text, 0);
        let goes_on = depth > 0 && are_numbers(&text[open + 1..]);
        goes_on.then(|| Self { block: Block::new(text, number), depth })
    }

    fn add(&mut self, text: &str) -> bool {
        let numbers = text.trim_end_matches([']', '}', ')', '>', ';', ' ']);
        // `… 215 more items`
        let numbers = numbers.split("...").next().unwrap_or_default();
        let fits = are_numbers(numbers);
        if fits {
            self.block.add(text);
            self.depth = depth(text, self.depth);
        }
        fits
    }
}

/// How many brackets are open behind a text.
fn depth(text: &str, before: usize) -> usize {
    text.chars().fold(before, |depth, c| match c {
        '[' | '{' | '(' => depth + 1,
        ']' | '}' | ')' => depth.saturating_sub(1),
        _ => depth,
    })
}

fn are_numbers(text: &str) -> bool {
    let is_number = |token: &str| token.is_empty() || text::number(token).is_some();
    text.split(|c: char| c.is_whitespace() || c == ',').all(is_number)
}

/// A JSON document that is not complete yet.
#[derive(Debug)]
pub(super) struct Json {
    block: Block,
    brackets: Vec<u8>,
    in_text: bool,
    escaped: bool,
}

impl Json {
    fn new(text: &str, number: u64) -> Self {
        let mut json = Self {
            block: Block::new(text, number),
            brackets: Vec::new(),
            in_text: false,
            escaped: false,
        };
        json.scan(text);
        json
    }

    fn scan(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.brackets.push(byte),
                b'}' | b']' => drop(self.brackets.pop()),
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.brackets.is_empty() && !self.in_text
    }

    /// Whether a line may be the next. A text does not go over lines, and in an object, no other
    /// object follows without a name.
    fn takes(&self, text: &str) -> bool {
        let in_object = self.brackets.last() == Some(&b'{');
        let has_name = self.block.text.ends_with(':');
        match text.bytes().next() {
            _ if self.in_text => false,
            None | Some(b'"' | b'}' | b']' | b',' | b':') => true,
            Some(b'{' | b'[') => !in_object || has_name,
            Some(b't' | b'f' | b'n') => !in_object || has_name,
            Some(b'-' | b'0'..=b'9') => {
                !text.contains(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E')
            }
            Some(_) => false,
        }
    }
}

/// Lines of hex or base64 that may be one value.
#[derive(Debug)]
pub(super) struct Wrapped {
    is_hex: bool,
    lines: Vec<(u64, String)>,
    length: usize,
}

impl Wrapped {
    /// Whether `next` continues it: as wide as the first line, or shorter and the last.
    fn continues(&self, next: &str) -> bool {
        let widths = || self.lines.iter().map(|(_, line)| line.len());
        let Some(first) = self.lines.first() else { return false };
        let prefix = usize::from(text::after_0x(&first.1).is_some()) * 2;
        let width = first.1.len();
        let last = widths().next_back().unwrap_or(width);
        next.len() <= width && (last == width || self.lines.len() > 1 && last + prefix == width)
    }

    fn joined(&self) -> String {
        self.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    /// Whether the lines are cut at one width.
    fn is_even(&self) -> bool {
        let widths: Vec<_> = self.lines.iter().map(|(_, line)| line.len()).collect();
        match widths.split_last() {
            Some((last, [first, rest @ ..])) => {
                rest.iter().all(|it| it == first || it + 2 == *first) && last <= first
            }
            _ => false,
        }
    }
}

impl Reader {
    /// Takes a line without its end.
    pub(super) fn take(&mut self, line: &str) {
        if line.len() > MAX_TEXT {
            self.fail(self.number, Problem::TooLong);
            return;
        }
        let bare = text::trim(line);
        // The texts in documents are kept as they are.
        let is_json = matches!(self.open, Some(Open::Json(_))) || bare.starts_with(['{', '[', '"']);
        let plain = if is_json { bare.into() } else { text::plain(bare) };
        let Some(text) = self.continue_open(line, text::trim(&plain)) else { return };
        if text.is_empty() {
            return;
        }
        self.held.remember(self.number, line);
        self.begin(text);
    }

    /// Gives the line to what is open. `None` if it belongs there.
    fn continue_open<'a>(&mut self, line: &str, text: &'a str) -> Option<&'a str> {
        let (length, number) = (text.len(), self.number);
        let held = &mut self.held;
        let has_room = |block: &Block| block.text.len() + length <= MAX_TEXT;
        let Some(open) = &mut self.open else { return Some(text) };
        match open {
            Open::Json(json) => {
                if !json.takes(text) || !has_room(&json.block) {
                    self.close();
                    return Some(text);
                }
                held.remember(number, line);
                json.block.add(text);
                json.scan(text);
                if json.is_complete() {
                    self.close();
                }
                None
            }
            Open::Dump(dump) => {
                if dump.length() + length <= MAX_TEXT && dump.add(text, number) {
                    held.remember(number, line);
                    return None;
                }
                self.close();
                Some(text)
            }
            Open::Array(array) => {
                if !has_room(&array.block) || text.is_empty() || !array.add(text) {
                    self.close();
                    return Some(text);
                }
                held.remember(number, line);
                if array.depth == 0 {
                    self.close();
                }
                None
            }
            Open::Quoted(block) => {
                if has_room(block) && text.starts_with(['"', '\'']) {
                    held.remember(number, line);
                    block.add(text);
                    return None;
                }
                self.close();
                Some(text)
            }
            Open::Wrapped(wrapped) => {
                let fits = wrapped.length + length <= MAX_TEXT;
                let fragment = Fragment::of(text)
                    .filter(|it| fits && !it.has_prefix && it.is_like(wrapped.is_hex));
                let compact = fragment.map(|it| it.compact(text));
                if let Some(compact) = compact.filter(|it| wrapped.continues(it)) {
                    held.remember(number, line);
                    wrapped.length += compact.len();
                    wrapped.lines.push((number, compact));
                    return None;
                }
                self.close();
                Some(text)
            }
        }
    }

    /// Begins with a line: a value of its own, or the first of several.
    fn begin(&mut self, text: &str) {
        let number = self.number;
        if text.starts_with(['{', '[', '"']) && self.json(text, number) {
            return;
        }
        if let Some(dump) = Dump::begin(text, number) {
            self.open = Some(Open::Dump(dump));
            return;
        }
        if let Some(fragment) = Fragment::of(text) {
            return self.fragment(text, fragment);
        }
        if is_quoted(text) {
            self.open = Some(Open::Quoted(Block::new(text, number)));
            return;
        }
        if let Some(array) = Array::begin(text, number) {
            self.open = Some(Open::Array(array));
            return;
        }
        self.single(text, number, 1);
    }

    /// A line of hex or base64: at once if it is whole, else maybe with those that follow.
    fn fragment(&mut self, text: &str, fragment: Fragment) {
        let number = self.number;
        let may_go_on = match self.wants.accepts(fragment.first()) {
            Some(is_whole) => !is_whole,
            // Hex and base64 in lines of these widths are wrapped by the usual programs.
            None => matches!(text.len(), 47 | 48 | 60 | 64 | 72 | 76),
        };
        let compact = if may_go_on { fragment.compact(text) } else { String::new() };
        if compact.len() < MIN_WRAPPED {
            return self.choose(fragment.readings, number, 1);
        }
        let (is_hex, length) = (fragment.is_hex, compact.len());
        let lines = vec![(number, compact)];
        self.open = Some(Open::Wrapped(Wrapped { is_hex, lines, length }));
    }

    /// Reads a JSON value. `false` if the line is something else, such as the array of another
    /// language, or the beginning of a line of a log.
    fn json(&mut self, text: &str, number: u64) -> bool {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::String(inner)) => {
                let bare = text::trim(&inner);
                let nested = serde_json::from_str::<Value>(bare).ok();
                match nested.filter(|it| it.is_object() || it.is_array()) {
                    Some(value) => self.document(&value, number, 1),
                    None => self.single(bare, number, 1),
                }
                true
            }
            // Most lines are records.
            Ok(Value::Object(members)) if self.wants.is_record(&members) => {
                self.item(number, Content::Record(members));
                true
            }
            // Transit JSON, the payload of early clients, is itself the bytes.
            Ok(Value::Array(values)) if is_transit(&values) => {
                let reading = Reading::new(Encoding::Binary, text.as_bytes().to_vec());
                self.choose(vec![reading], number, 1);
                true
            }
            Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                self.document(&value, number, 1);
                true
            }
            Ok(_) => false,
            Err(error) if error.is_eof() && !Json::new(text, number).in_text => {
                self.open = Some(Open::Json(Json::new(text, number)));
                true
            }
            Err(error) => {
                let is_ours = text.starts_with('{')
                    && text::readings(text).is_ok_and(|it| it.is_empty())
                    && line::find(text).is_empty();
                if is_ours {
                    let (reason, at) = (json_reason(&error), error.column().saturating_sub(1));
                    self.fail(number, Problem::Json { reason, at });
                }
                is_ours
            }
        }
    }

    /// Takes the records and the bytes out of a document.
    fn document(&mut self, value: &Value, number: u64, lines: usize) {
        let mut candidates = Vec::new();
        let mut any = false;
        for found in json::find(value, &self.wants) {
            any = true;
            match found {
                Found::Record(members) => self.item(number, Content::Record(members)),
                Found::Bytes(candidate) => candidates.push(candidate),
            }
        }
        if any {
            for chosen in among_candidates(candidates, &self.wants, number) {
                self.put(
                    chosen
                        .map(|item| over(item, lines))
                        .map_err(|problem| ReadError { line: number, problem }),
                );
            }
            return;
        }
        match value {
            Value::Object(members) => self.item(number, Content::Record(members.clone())),
            Value::Array(values) if values.is_empty() => {}
            Value::Array(values) if values.iter().all(Value::is_object) => {
                for value in values {
                    if let Value::Object(members) = value {
                        self.item(number, Content::Record(members.clone()));
                    }
                }
            }
            _ => {
                let what = "a JSON document without bytes".to_owned();
                self.fail(number, Problem::Unrecognised { what });
            }
        }
    }

    /// Reads a text that is one value: bytes in any spelling, or a line of a log.
    fn single(&mut self, text: &str, number: u64, lines: usize) {
        let readings = match text::readings(text) {
            Ok(readings) => readings,
            Err(problem) => return self.fail(number, problem),
        };
        if !readings.is_empty() {
            return self.choose(readings, number, lines);
        }
        // A document behind other words.
        for (at, _) in text.match_indices(['{', '[']).take(16) {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
            if let Some(Ok(value @ (Value::Object(_) | Value::Array(_)))) = values.next()
                && !json::find(&value, &self.wants).is_empty()
            {
                return self.document(&value, number, lines);
            }
        }
        let candidates = line::find(text);
        if candidates.is_empty() {
            return self.fail(number, Problem::Unrecognised { what: describe(text) });
        }
        for chosen in among_candidates(candidates, &self.wants, number) {
            self.put(chosen.map_err(|problem| ReadError { line: number, problem }));
        }
    }

    fn choose(&mut self, readings: Vec<Reading>, number: u64, lines: usize) {
        let chosen = among_readings(readings, &self.wants, number);
        self.put(
            chosen
                .map(|item| over(item, lines))
                .map_err(|problem| ReadError { line: number, problem }),
        );
    }

    /// Ends what is open.
    pub(super) fn close(&mut self) {
        match self.open.take() {
            None => {}
            Some(Open::Json(json)) => {
                let Block { first, lines, text } = json.block;
                match serde_json::from_str::<Value>(&text) {
                    Ok(value) => self.document(&value, first, lines),
                    Err(error) => {
                        let readings = text::readings(&text).unwrap_or_default();
                        if readings.is_empty() {
                            let reason = json_reason(&error);
                            let at = error.column().saturating_sub(1);
                            self.fail(first, Problem::Json { reason, at });
                        } else {
                            self.choose(readings, first, lines);
                        }
                    }
                }
            }
            Some(Open::Dump(dump)) => match dump.finish() {
                Ok(readings) => self.choose(readings, dump.number(), 1),
                Err(problem) => self.fail(dump.number(), problem),
            },
            Some(Open::Array(Array { block, .. })) => {
                self.single(&block.text, block.first, block.lines);
            }
            Some(Open::Quoted(block)) => self.quoted(&block),
            Some(Open::Wrapped(wrapped)) => self.wrapped(&wrapped),
        }
    }

    fn quoted(&mut self, block: &Block) {
        let parts = block.text.lines().map(|line| text::readings(line).ok()?.into_iter().next());
        let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
            return self.single(&block.text, block.first, block.lines);
        };
        let Some(encoding) = parts.first().map(|part| part.encoding) else { return };
        let bytes = parts.into_iter().flat_map(|part| part.bytes).collect();
        self.choose(vec![Reading::new(encoding, bytes)], block.first, block.lines);
    }

    /// One value, or one in each line: what is whole decides, then the widths.
    fn wrapped(&mut self, wrapped: &Wrapped) {
        let Some((first, _)) = wrapped.lines.first() else { return };
        let count = wrapped.lines.len();
        let joined = text::readings(&wrapped.joined()).unwrap_or_default();
        let is_whole = joined.iter().any(|it| self.wants.is_whole(&it.bytes));
        let each = || wrapped.lines.iter().map(|(_, line)| text::readings(line));
        let any_whole = each().flatten().flatten().any(|it| self.wants.is_whole(&it.bytes));
        let lengths: Vec<_> = wrapped.lines.iter().map(|(_, line)| line.len()).collect();
        let last_is_shorter = lengths.last() < lengths.first();
        let is_one = match self.wants.accepts(&[]) {
            Some(_) => is_whole || !any_whole && wrapped.is_even(),
            None => wrapped.is_even() && last_is_shorter,
        };
        if count == 1 || is_one && !joined.is_empty() {
            return self.choose(joined, *first, count);
        }
        // Each has been read as hex or base64 before.
        self.held.are_pieces = true;
        for (number, line) in &wrapped.lines {
            self.single(line, *number, 1);
        }
        self.held.are_pieces = false;
    }

    fn item(&mut self, line: u64, content: Content) {
        self.put(Ok(Item { line, content, alternatives: Vec::new() }));
    }

    fn fail(&mut self, line: u64, problem: Problem) {
        self.put(Err(ReadError { line, problem }));
    }
}

/// Notes how many lines a value took.
fn over(mut item: Item, lines: usize) -> Item {
    if let Content::Bytes(reading) = &mut item.content {
        reading.lines = reading.lines.max(lines);
    }
    item
}

/// A line of hex or base64.
struct Fragment {
    /// At least one.
    readings: Vec<Reading>,
    is_hex: bool,
    /// Whether there are no separators.
    is_joined: bool,
    has_prefix: bool,
}

impl Fragment {
    fn of(text: &str) -> Option<Self> {
        let readings = text::readings(text).ok()?;
        let first = readings.first()?;
        let is_hex = first.encoding == Encoding::Hex;
        let is_base64 = matches!(first.encoding, Encoding::Base64 | Encoding::Base64Url);
        let is_joined = !text.contains(|c: char| c.is_whitespace() || ":,-;".contains(c));
        let is_plain =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte));
        // Half a byte is only kept where the digits are.
        let fits = is_hex && (is_joined && is_plain || !is_joined && first.left_out.is_none())
            || is_base64 && is_plain;
        let has_prefix = is_joined && text::after_0x(text).is_some();
        let is_fragment = fits && !first.bytes.is_empty();
        is_fragment.then_some(Self { readings, is_hex, is_joined, has_prefix })
    }

    fn first(&self) -> &[u8] {
        self.readings.first().map_or(&[], |reading| &reading.bytes)
    }

    /// The text without separators.
    fn compact(&self, text: &str) -> String {
        match self.is_joined {
            true => text.to_owned(),
            false => data_encoding::HEXLOWER.encode(self.first()),
        }
    }

    /// Whether it may go on in these digits: those of hex are base64, too.
    fn is_like(&self, is_hex: bool) -> bool {
        self.is_hex == is_hex || self.is_joined && !is_hex
    }
}

/// `["~#c4", …]`.
fn is_transit(values: &[Value]) -> bool {
    values.first().and_then(Value::as_str).is_some_and(|tag| tag.starts_with("~#"))
}

/// `"\xf9\x01" \`: a string with escapes that is a line of several.
fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'']) && text.contains("\\x") && text::readings(text).is_ok()
}

//! Dumps with offsets: `xxd`, `hexdump`, `od`, `tcpdump`, Wireshark, and the printers of Go and
//! Rust.
//!
//! All have a line for some bytes: an offset, groups of digits, and maybe the bytes as characters.
//! The characters tell where the groups end and how words are to be read; the offsets tell their own
//! base, how many bytes a line has, and whether lines are missing.

use data_encoding::HEXLOWER_PERMISSIVE as HEX;

use super::{Encoding, MAX_TEXT, Problem, Reading, text::after_0x};

/// The most bytes of a line.
const MAX_WIDTH: usize = 256;

/// A line of a dump.
#[derive(Debug, Clone)]
pub(super) struct Line {
    number: u64,
    /// The digits of the offset.
    offset: String,
    /// Everything behind it.
    rest: String,
    colon: bool,
    /// Whether `*` follows, which stands for repetitions.
    repeats: bool,
}

/// A dump, line by line.
#[derive(Debug)]
pub(super) struct Dump {
    lines: Vec<Line>,
    length: usize,
}

impl Dump {
    /// Starts a dump, if the line looks like its first.
    pub(super) fn begin(text: &str, number: u64) -> Option<Self> {
        let line = Line::parse(text, number)?;
        let first = line.rest.split_whitespace().next()?;
        // Groups of the same width are words, without an offset in front of them.
        let width = digits_of(first).len();
        let is_offset = line.colon || width != line.offset.len();
        if !is_offset || !is_group(first) || line.colon && line.offset.len() < 4 {
            return None;
        }
        let length = text.len();
        Some(Self { lines: vec![line], length })
    }

    /// Takes the next line. `false` if it is none of this dump.
    pub(super) fn add(&mut self, text: &str, number: u64) -> bool {
        if text == "*" {
            self.lines.iter_mut().next_back().into_iter().for_each(|line| line.repeats = true);
            return true;
        }
        let Some(line) = Line::parse(text, number) else { return false };
        let Some(first) = self.lines.first() else { return false };
        let is_next = line.colon == first.colon
            && line.offset.len() == first.offset.len()
            && line.offset.trim_start_matches('0') != first.offset.trim_start_matches('0')
            && line.rest.split_whitespace().next().is_none_or(is_group);
        if is_next {
            self.length += text.len();
            self.lines.push(line);
        }
        is_next
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The line with which it began.
    pub(super) fn number(&self) -> u64 {
        self.lines.first().map_or(1, |line| line.number)
    }

    /// Puts the bytes together: all readings, the most likely first.
    pub(super) fn finish(&self) -> Result<Vec<Reading>, Problem> {
        let mut broken = None;
        for base in [16, 8, 10] {
            match self.assemble(base) {
                Ok(readings) if !readings.is_empty() => return Ok(readings),
                Ok(_) => {}
                // The base that goes furthest is the right one.
                Err(at) => broken = broken.max(Some(at)),
            }
        }
        match broken {
            Some(at) => Err(Problem::Dump { at }),
            None => Err(Problem::Unrecognised { what: "a text like a dump".to_owned() }),
        }
    }

    /// Reads the offsets in one base. An error is the index of the line that does not follow.
    fn assemble(&self, base: u32) -> Result<Vec<Reading>, usize> {
        let offset = |line: &Line| usize::from_str_radix(&line.offset, base).ok();
        let Some(start) = self.lines.first().and_then(offset) else { return Ok(Vec::new()) };
        let style = Style {
            base,
            // One line may have only numbers that look like hex or octal.
            is_decimal: base == 8 && self.lines.iter().any(Line::is_decimal),
            first: self.lines.first().and_then(|line| line.groups(base)),
        };
        let mut ways = [Some(Vec::new()), Some(Vec::new())];
        for (index, line) in self.lines.iter().enumerate() {
            let at = offset(line).and_then(|at| at.checked_sub(start)).ok_or(index + 1)?;
            let next = self.lines.get(index + 1).map(offset);
            let next = next.map(|it| it.and_then(|it| it.checked_sub(start)).ok_or(index + 2));
            let next = next.transpose()?;
            let count = next.filter(|_| !line.repeats).map(|next| next.saturating_sub(at));
            if count.is_some_and(|count| count == 0 || count > MAX_WIDTH) {
                return Err(index + 2);
            }
            let (mut single, mut swapped) = line.bytes(count, style).ok_or(index + 2)?;
            if let (true, Some(next)) = (line.repeats, next) {
                let width = single.as_ref().or(swapped.as_ref()).map_or(0, Vec::len);
                let missing = next.saturating_sub(at);
                if width == 0 || missing > MAX_TEXT {
                    return Err(index + 2);
                }
                for bytes in [&mut single, &mut swapped].into_iter().flatten() {
                    *bytes = bytes.iter().copied().cycle().take(missing).collect();
                }
            }
            for (way, bytes) in ways.iter_mut().zip([single, swapped]) {
                *way = match (way.take(), bytes) {
                    (Some(mut way), Some(bytes)) => {
                        // A missing line shows in the offsets.
                        if way.len() != at || way.len() + bytes.len() > MAX_TEXT {
                            return Err(index + 1);
                        }
                        way.extend(bytes);
                        Some(way)
                    }
                    _ => None,
                };
            }
        }
        let [single, swapped] = ways;
        let swapped = swapped.filter(|bytes| single.as_ref() != Some(bytes));
        let lines = self.lines.len();
        let reading = |encoding, bytes| {
            let mut reading = Reading::new(encoding, bytes);
            reading.lines = lines;
            reading
        };
        let single = single.map(|bytes| reading(Encoding::Dump, bytes));
        let swapped = swapped.map(|bytes| reading(Encoding::LittleEndianDump, bytes));
        // Without colons, words are those of the machine.
        let native_words = self.lines.first().is_some_and(|line| !line.colon);
        let ordered = if native_words { [swapped, single] } else { [single, swapped] };
        Ok(ordered.into_iter().flatten().filter(|it| !it.bytes.is_empty()).collect())
    }
}

impl Line {
    fn parse(text: &str, number: u64) -> Option<Self> {
        let text = after_0x(text).unwrap_or(text);
        // WinDbg writes 64 bits as two groups.
        let end = text.find(|c: char| !(c.is_ascii_hexdigit() || c == '`')).unwrap_or(text.len());
        let (offset, rest) = text.split_at(end);
        let offset = offset.replace('`', "");
        if !(4..=16).contains(&offset.len()) {
            return None;
        }
        let (colon, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return None;
        }
        Some(Self { number, offset, rest: without_hyphen(rest), colon, repeats: false })
    }

    /// Whether its groups are decimal beside an octal offset.
    fn is_decimal(&self) -> bool {
        self.groups(8).is_some_and(|groups| matches!(groups, Groups::Decimal))
    }

    /// How its groups look by themselves. `None` if it has none.
    fn groups(&self, base: u32) -> Option<Groups> {
        let tokens = tokens(&self.rest);
        let (_, first) = tokens.first()?;
        Some(Groups::detect(&tokens, digits_of(first).len(), base))
    }

    /// The bytes in both orders, as far as they differ from each other or from the characters:
    /// bytes in their order, and words with their lower byte first. `None` if the groups are none,
    /// or fewer than `count` bytes.
    #[expect(clippy::type_complexity, reason = "a pair of the same thing")]
    fn bytes(
        &self,
        count: Option<usize>,
        style: Style,
    ) -> Option<(Option<Vec<u8>>, Option<Vec<u8>>)> {
        let tokens = tokens(&self.rest);
        let Some((_, first)) = tokens.first() else {
            // The last line has only the offset.
            return Some((Some(Vec::new()), Some(Vec::new())));
        };
        let kind = style.of(&tokens, digits_of(first).len());
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (end, token) in &tokens {
            let Some(group) = kind.read(token) else { break };
            bytes.extend(group);
            ends.push((*end, bytes.len()));
            if bytes.len() > MAX_WIDTH {
                break;
            }
        }
        let swap = |bytes: &[u8]| -> Vec<u8> {
            bytes.chunks(kind.size()).flat_map(|word| word.iter().rev().copied()).collect()
        };
        if let Some(count) = count {
            // The last word of an odd number of bytes is filled up.
            let padded = count.next_multiple_of(kind.size());
            let cut = |bytes: Vec<u8>| bytes.get(..count).map(<[u8]>::to_vec);
            let ended = ends.iter().find(|(_, length)| *length >= count)?;
            let bytes = bytes.get(..padded.min(ended.1)).filter(|it| it.len() >= count)?;
            let (plain, swapped) = (cut(bytes.to_vec())?, cut(swap(bytes))?);
            // More groups follow: the offsets are in another base, or a line is missing.
            let column = column(&self.rest[ended.0..]);
            let follows = column.split_whitespace().next().and_then(|token| kind.read(token));
            if follows.is_some() && !is_shown(&plain, column) && !is_shown(&swapped, column) {
                return None;
            }
            return Some(self.compare(ended.0, plain, swapped, kind));
        }
        // The last line: its characters say how many bytes it has, or it has none.
        for (end, length) in ends.iter().rev() {
            let bytes = &bytes[..*length];
            let column = column(&self.rest[*end..]);
            if column.is_empty() {
                continue;
            }
            let (plain, swapped) = (is_shown(bytes, column), is_shown(&swap(bytes), column));
            if plain || swapped {
                return Some((plain.then(|| bytes.to_vec()), swapped.then(|| swap(bytes))));
            }
        }
        // No characters; or of another kind: then the groups end at the last wide gap.
        let (end, _) = *ends.last()?;
        let is_all = column(&self.rest[end..]).is_empty();
        let ended = ends.iter().rev().find(|(end, _)| self.rest[*end..].starts_with("  "));
        let (end, length) = *ended.filter(|_| !is_all).or(ends.last())?;
        let bytes = &bytes[..length];
        Some(self.compare(end, bytes.to_vec(), swap(bytes), kind))
    }

    /// Leaves out the order that the characters contradict.
    fn compare(
        &self,
        end: usize,
        plain: Vec<u8>,
        swapped: Vec<u8>,
        kind: Groups,
    ) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        if kind.size() == 1 {
            // Both orders: a dump of words may end with one byte.
            return (Some(plain.clone()), Some(plain));
        }
        let column = column(&self.rest[end..]);
        let (shows_plain, shows_swapped) = (is_shown(&plain, column), is_shown(&swapped, column));
        if column.is_empty() || shows_plain == shows_swapped {
            // Characters of both, such as dots alone, say nothing.
            return (Some(plain), (!self.colon || shows_swapped).then_some(swapped));
        }
        (shows_plain.then_some(plain), shows_swapped.then_some(swapped))
    }
}

/// What the lines of a dump have in common.
#[derive(Debug, Clone, Copy)]
struct Style {
    /// The base of the offsets.
    base: u32,
    is_decimal: bool,
    /// How the groups of the first line look.
    first: Option<Groups>,
}

impl Style {
    /// Decides how the groups of a line are read. The last word of hex may look like octal.
    fn of(self, tokens: &[(usize, &str)], width: usize) -> Groups {
        if self.is_decimal {
            return Groups::Decimal;
        }
        let groups = Groups::detect(tokens, width, self.base);
        match (groups, self.first) {
            (Groups::OctalWord | Groups::Binary, Some(Groups::Hex(_))) => {
                Groups::Hex(width.div_ceil(2))
            }
            _ => groups,
        }
    }
}

/// How the digits of a group are read.
#[derive(Debug, Clone, Copy)]
enum Groups {
    /// Hex, this many bytes.
    Hex(usize),
    /// Three octal digits: a byte.
    OctalByte,
    /// Six octal digits: a word.
    OctalWord,
    /// Decimal: a byte.
    Decimal,
    /// Eight binary digits.
    Binary,
}

impl Groups {
    fn detect(tokens: &[(usize, &str)], width: usize, base: u32) -> Self {
        let all = |is: fn(char) -> bool| tokens.iter().all(|(_, token)| token.chars().all(is));
        let first = tokens.first().map_or("", |(_, token)| *token);
        let is_octal = |token: &str| token.chars().all(|c| ('0'..='7').contains(&c));
        match width {
            8 if first.chars().all(|c| c == '0' || c == '1') => Self::Binary,
            6 if is_octal(first) => Self::OctalWord,
            3 if base == 8 && is_octal(first) && all(|c| ('0'..='7').contains(&c)) => {
                Self::OctalByte
            }
            1 | 3 => Self::Decimal,
            // Decimal bytes are aligned to the right; one of them has another width.
            2 if base == 8 && all(|c| c.is_ascii_digit()) && !all_wide(tokens, 2) => Self::Decimal,
            _ => Self::Hex(width.div_ceil(2)),
        }
    }

    /// The bytes of a word.
    fn size(self) -> usize {
        match self {
            Self::Hex(size) => size.max(1),
            Self::OctalWord => 2,
            _ => 1,
        }
    }

    fn read(self, token: &str) -> Option<Vec<u8>> {
        let byte = |radix| u8::from_str_radix(token, radix).ok().map(|byte| vec![byte]);
        match self {
            Self::Hex(size) => {
                let digits = digits_of(token);
                let fits = digits.len() <= size * 2 && !digits.is_empty();
                fits.then(|| HEX.decode(digits.as_bytes()).ok()).flatten()
            }
            Self::OctalByte => byte(8).filter(|_| token.len() == 3),
            Self::OctalWord => {
                let word = u16::from_str_radix(token, 8).ok().filter(|_| token.len() == 6)?;
                Some(word.to_be_bytes().to_vec())
            }
            Self::Decimal => super::text::number(token).map(|byte| vec![byte]),
            Self::Binary => byte(2).filter(|_| token.len() == 8),
        }
    }
}

/// A row without the hyphen between its two halves: `f9 01-84 07`.
fn without_hyphen(rest: &str) -> String {
    let is_digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    let middle = rest.find('-').filter(|at| {
        let groups = rest[..*at].split_whitespace();
        *at > 2
            && [at - 2, at - 1, at + 1, at + 2].into_iter().all(is_digit)
            && groups.clone().count() == 8
            && groups.clone().all(|group| group.len() == 2)
    });
    let mut row = rest.to_owned();
    if let Some(at) = middle {
        row.replace_range(at..=at, " ");
    }
    row
}

fn all_wide(tokens: &[(usize, &str)], width: usize) -> bool {
    tokens.iter().all(|(_, token)| token.len() == width)
}

/// The tokens of a line, each with the place of its end.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let base = text.as_ptr() as usize;
    text.split_whitespace()
        .take(MAX_WIDTH + 1)
        .map(|token| (token.as_ptr() as usize - base + token.len(), token))
        .collect()
}

fn digits_of(token: &str) -> &str {
    after_0x(token).unwrap_or(token)
}

fn is_group(token: &str) -> bool {
    let digits = digits_of(token);
    digits.len() <= 16 && !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The characters behind the groups, without what frames them.
fn column(rest: &str) -> &str {
    let bare = rest.trim();
    for (open, close) in [('|', '|'), ('>', '<')] {
        if let Some(inner) = bare.strip_prefix(open).and_then(|it| it.strip_suffix(close)) {
            return inner;
        }
    }
    rest.trim_end_matches(['\r', '\n'])
}

/// Whether the characters show these bytes. White space at the ends may be lost.
fn is_shown(bytes: &[u8], column: &str) -> bool {
    let shown: Vec<char> = column.chars().collect();
    let shows = |shown: &[char], bytes: &[u8]| {
        shown.len() == bytes.len()
            && shown.iter().zip(bytes).all(|(c, byte)| match byte {
                0x21..=0x7e => *c == char::from(*byte),
                b' ' => matches!(c, ' ' | '.'),
                _ => !c.is_ascii_graphic() || *c == '.',
            })
    };
    let spaces = bytes.iter().rev().take_while(|byte| **byte == b' ').count();
    (0..=spaces).any(|lost| {
        let bytes = &bytes[..bytes.len() - lost];
        let start = shown.len().checked_sub(bytes.len());
        start.is_some_and(|start| {
            shown[..start].iter().all(|c| c.is_whitespace()) && shows(&shown[start..], bytes)
        })
    })
}

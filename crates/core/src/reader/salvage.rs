//! Bytes in a text whose grammar is not known.
//!
//! Programs print bytes in more ways than can be listed. There are few ways to write one byte,
//! though, and what a program looks for says itself when it is whole: everything that may be its
//! bytes is taken out of the text, and what is whole is kept.

use data_encoding::{BASE32, BASE32_NOPAD, HEXLOWER_PERMISSIVE as HEX};

use super::{Content, Encoding, Reader, Reading, Wants, text};

/// The longest text that is searched.
pub(super) const MAX_SALVAGED: usize = 4 << 20;

/// The shortest run of hex or base64 that may be a value.
const MIN_RUN: usize = 16;

/// The shortest run of single bytes that may be a value.
const MIN_BYTES: usize = 8;

/// Returns all that is looked for in the lines of a text, each once.
pub(super) fn salvage(lines: &[&str], wants: &Wants) -> Vec<Reading> {
    let length: usize = lines.iter().map(|line| line.len() + 1).sum();
    if wants.whole.is_none() || !(MIN_RUN..=MAX_SALVAGED).contains(&length) {
        return Vec::new();
    }
    let mut search = Search { wants, lines: lines.len(), found: Vec::new() };
    let text = lines.join("\n");
    // Of text in quotes or URLs, each character counts; elsewhere, typography does not.
    search.encoded(&text);
    let plain = text::plain(&text);
    search.code(&plain);
    search.words(&plain);
    let bare = plain.trim_matches(|c: char| !c.is_alphanumeric());
    search.all(text::readings(bare).unwrap_or_default());
    search.runs(&plain);
    search.characters(lines);
    // Dumps without characters: what is behind the offsets.
    let rows: Vec<_> = plain.lines().filter_map(row).collect();
    if rows.len() > 1 {
        search.words(&rows.join("\n"));
    }
    let bare: Vec<_> = plain.lines().enumerate().map(|it| undecorated(it.1, it.0 + 1)).collect();
    if plain.lines().ne(bare.iter().copied()) {
        search.again(&bare);
    }
    let ends = |c| matches!(c, '\\' | '=' | '+' | ' ' | ',');
    let joined: String = bare.iter().map(|line| line.trim_end_matches(ends)).collect();
    search.runs(&joined);
    search.found
}

/// What is behind the offset of a line: `0000020 371`, `0x7ffe10 <sym+8>: 0xf9`.
fn row(line: &str) -> Option<&str> {
    let bare = text::trim(line);
    let end = bare.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(bare.len());
    let (offset, rest) = bare.split_at(end);
    let is_offset = hex_of(offset).is_some_and(|digits| digits.len() >= 4);
    is_offset.then(|| rest.split_once(">:").map_or(rest, |(_, rest)| rest))
}

struct Search<'a> {
    wants: &'a Wants,
    lines: usize,
    found: Vec<Reading>,
}

impl Search<'_> {
    fn offer(&mut self, encoding: Encoding, bytes: Vec<u8>) {
        if self.found.iter().any(|it| it.bytes == bytes) {
            return;
        }
        if self.wants.is_whole(&bytes) {
            let mut reading = Reading::new(encoding, bytes);
            reading.lines = self.lines;
            self.found.push(reading);
        }
    }

    fn all(&mut self, readings: Vec<Reading>) {
        for reading in readings {
            // Text that was encoded twice.
            if let Ok(inner) = std::str::from_utf8(&reading.bytes)
                && inner.len() >= MIN_RUN
                && inner.is_ascii()
            {
                for inner in text::readings(inner).unwrap_or_default() {
                    self.offer(inner.encoding, inner.bytes);
                }
            }
            self.offer(reading.encoding, reading.bytes);
        }
    }

    /// The lines without their decoration, as if they had come alone.
    fn again(&mut self, lines: &[&str]) {
        let mut reader = Reader::new(self.wants.clone());
        reader.held.is_off = true;
        for line in lines {
            reader.line(line.as_bytes());
        }
        reader.end();
        while let Some(item) = reader.pop() {
            if let Ok(super::Item { content: Content::Bytes(reading), .. }) = item {
                self.offer(reading.encoding, reading.bytes);
            }
        }
    }

    /// Percent signs of URLs, and the `=F9` of mail.
    fn encoded(&mut self, text: &str) {
        if text.contains('%') {
            let ends = |c: char| c.is_whitespace() || "?&=#\"'<>`".contains(c);
            for part in text.split(ends).filter(|part| part.contains('%')) {
                self.offer(Encoding::Escapes, unescape(part, b'%'));
            }
        }
        if text.contains('=') {
            let bytes = unescape(&text.replace("=\r\n", "").replace("=\n", ""), b'=');
            self.offer(Encoding::Escapes, bytes);
        }
    }

    /// The texts in quotes, put together, and each of them.
    fn code(&mut self, text: &str) {
        for quote in ['"', '\''] {
            let texts = quoted(text, quote);
            let joined = texts.concat();
            if texts.len() > 1 {
                self.all(text::readings(&joined).unwrap_or_default());
            }
            // Some languages have braces behind `\x`, and numbers of other bases behind `\`.
            let braced = joined.replace("\\x{", "\\x").replace('}', "");
            for body in [&joined, &braced] {
                if let Some(bytes) = text::unescape(body) {
                    self.offer(Encoding::Escapes, bytes);
                }
            }
        }
        if let Some(bytes) = text::unescape(text.trim()) {
            self.offer(Encoding::Escapes, bytes);
        }
    }

    /// Long runs of one alphabet, as they are.
    fn runs(&mut self, text: &str) {
        let hex = text.split(|c: char| !c.is_ascii_hexdigit());
        for run in hex.filter(|run| run.len() >= MIN_RUN) {
            // The `0` of `0x` is a run of its own, and that of `x` none.
            if let Ok(bytes) = HEX.decode(run.as_bytes()) {
                self.all(vec![Reading::new(Encoding::Hex, bytes)]);
            }
            if run.len() >= 8 * MIN_RUN && run.bytes().all(|byte| matches!(byte, b'0' | b'1')) {
                let bits = run
                    .as_bytes()
                    .chunks_exact(8)
                    .filter_map(|bits| u8::from_str_radix(std::str::from_utf8(bits).ok()?, 2).ok());
                self.offer(Encoding::Array, bits.collect());
            }
        }
        // A line feed that was written as `\n`.
        let unfolded = text.replace("\\r", "").replace("\\n", "");
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
        for run in unfolded.split(|c| !is_base64(c)).filter(|run| run.len() >= MIN_RUN) {
            let run = run.trim_start_matches('=');
            // `name=value`
            let value = run
                .trim_end_matches('=')
                .rsplit_once('=')
                .map_or(run, |(name, _)| &run[name.len() + 1..]);
            self.all(text::base64(value));
            for alphabet in [BASE32, BASE32_NOPAD] {
                if let Ok(bytes) = alphabet.decode(value.as_bytes()) {
                    self.offer(Encoding::Base32, bytes);
                }
            }
        }
    }

    /// Numbers of all bases, one for each byte or word, whatever stands between them.
    fn words(&mut self, text: &str) {
        let text = without_comments(text);
        let mut decimal = Run::default();
        let mut integers = Vec::new();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            let bare = without_suffix(word);
            if word.is_empty() || is_cast(word) {
                continue;
            }
            decimal.add(text::number(bare));
            integers.extend(bare.parse::<u64>().ok().or_else(|| text::number(bare).map(u64::from)));
        }
        self.runs_of(decimal, Encoding::Array);
        self.offer(Encoding::Array, indexed(&integers));
        let words = integers.iter().map(|word| Some(u16::try_from(*word).ok()?.to_le_bytes()));
        self.groups(&words.map(|it| it.map(Vec::from).unwrap_or_default()).collect::<Vec<_>>());

        let mut pairs = Run::default();
        let mut octal = Run::default();
        let mut bits = Run::default();
        let mut groups: Vec<Vec<u8>> = Vec::new();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            if word.is_empty() || is_cast(word) {
                continue;
            }
            let digits = hex_of(word);
            pairs.add(
                digits.filter(|it| it.len() <= 2).and_then(|it| u8::from_str_radix(it, 16).ok()),
            );
            let eight = word.strip_prefix("0o").or(Some(word).filter(|word| word.len() == 3));
            octal.add(eight.and_then(|it| u8::from_str_radix(it, 8).ok()));
            let two = Some(word.strip_prefix("0b").unwrap_or(word)).filter(|it| it.len() == 8);
            bits.add(two.and_then(|it| u8::from_str_radix(it, 2).ok()));
            let wide = digits.filter(|it| matches!(it.len(), 4 | 8 | 16));
            groups.extend(wide.and_then(|it| HEX.decode(it.as_bytes()).ok()));
        }
        self.runs_of(pairs, Encoding::Hex);
        self.runs_of(octal, Encoding::Array);
        self.runs_of(bits, Encoding::Array);
        self.groups(&groups);
        let octal = text.split_whitespace().map(|word| match word.len() {
            6 => u16::from_str_radix(word, 8).map_or(Vec::new(), |it| it.to_be_bytes().to_vec()),
            _ => Vec::new(),
        });
        self.groups(&octal.collect::<Vec<_>>());
    }

    fn runs_of(&mut self, run: Run, encoding: Encoding) {
        for bytes in run.finish() {
            self.offer(encoding, bytes);
        }
    }

    /// Words of a machine in either order; the last is filled up with zeros.
    fn groups(&mut self, groups: &[Vec<u8>]) {
        let Some(width) = groups.first().map(Vec::len) else { return };
        if width == 0 || groups.iter().any(|group| group.len() != width) {
            return;
        }
        let swapped: Vec<u8> = groups.iter().flat_map(|it| it.iter().rev().copied()).collect();
        for bytes in [groups.concat(), swapped] {
            for filled in 0..width {
                let (kept, rest) = bytes.split_at(bytes.len() - filled);
                if rest.iter().all(|byte| *byte == 0) {
                    self.offer(Encoding::Hex, kept.to_vec());
                }
            }
        }
    }

    /// The characters of `od -c`: cells of four columns.
    fn characters(&mut self, lines: &[&str]) {
        let mut bytes = Vec::new();
        let mut lines = lines.iter().filter(|line| !line.trim().is_empty()).peekable();
        while let Some(line) = lines.next() {
            let offset = |line: &str| usize::from_str_radix(line.split(' ').next()?, 8).ok();
            let Some(at) = offset(line).filter(|at| *at == bytes.len()) else { return };
            let next = lines.peek().and_then(|line| offset(line));
            let cells = line.get(line.find(' ').unwrap_or(line.len())..).unwrap_or_default();
            let count = next.map_or(0, |next| next.saturating_sub(at)).min(64);
            for index in 0..count {
                let cell = cells.get(index * 4..).unwrap_or_default();
                let cell: String = cell.chars().take(4).collect();
                let Some(byte) = character(&cell) else { return };
                bytes.push(byte);
            }
        }
        self.offer(Encoding::Dump, bytes);
    }
}

/// A byte of `od -c`: itself, an escape, or three octal digits.
fn character(cell: &str) -> Option<u8> {
    let bare = cell.trim();
    match bare.as_bytes() {
        [] => Some(b' '),
        [byte] => Some(*byte),
        [b'\\', b'0'] => Some(0),
        [b'\\', _] => text::unescape(&format!("\\x00{bare}"))?.pop(),
        [_, _, _] => u8::from_str_radix(bare, 8).ok(),
        _ => None,
    }
}

/// Bytes that follow each other without anything else between them.
#[derive(Default)]
struct Run {
    done: Vec<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Run {
    fn add(&mut self, byte: Option<u8>) {
        match byte {
            Some(byte) => self.bytes.push(byte),
            None => self.end(),
        }
    }

    fn end(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() >= MIN_BYTES {
            self.done.push(bytes);
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.done
    }
}

/// The values of numbers that come with their index, from 0: `0: 249`, `[0] => 249`.
fn indexed(numbers: &[u64]) -> Vec<u8> {
    /// Zeros from which an index may begin.
    const STARTS: usize = 32;
    let starts = numbers.iter().enumerate().filter(|it| *it.1 == 0).map(|it| it.0);
    let values = |start: usize| -> Vec<u8> {
        let pairs = numbers[start..].chunks_exact(2).zip(0u64..);
        pairs
            .map_while(|(pair, index)| (pair[0] == index).then(|| u8::try_from(pair[1]).ok())?)
            .collect()
    };
    starts.take(STARTS).map(values).max_by_key(Vec::len).unwrap_or_default()
}

/// What some languages write beside each byte.
fn is_cast(word: &str) -> bool {
    const CASTS: [&str; 9] =
        ["byte", "toByte", "toUByte", "u8", "i8", "uint8", "UInt8", "Byte", "as"];
    CASTS.contains(&word)
}

fn without_suffix(word: &str) -> &str {
    let bare = word.strip_suffix("u8").or_else(|| word.strip_suffix("i8")).unwrap_or(word);
    bare.trim_end_matches(['u', 'U', 'l', 'L'])
}

/// The hex digits of a word: `f9`, `0xf9`, `xf9`, `f9h`, `0xf9U`.
fn hex_of(word: &str) -> Option<&str> {
    let bare = text::after_0x(word).map(without_suffix);
    let bare = bare.or_else(|| word.strip_prefix('x')).or_else(|| word.strip_suffix(['h', 'H']));
    let digits = bare.unwrap_or(word);
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(digits)
}

/// A line without what mail, lists, prompts and `cat -n` write in front of it.
fn undecorated(line: &str, number: usize) -> &str {
    let mut bare = text::trim(line);
    while let Some(rest) = bare.strip_prefix('>') {
        bare = rest.trim_start();
    }
    for mark in ["$ ", "- ", "* ", "• ", "% "] {
        bare = bare.strip_prefix(mark).unwrap_or(bare);
    }
    let digits = bare.len() - bare.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (index, rest) = bare.split_at(digits);
    // The number of the line, or of one that began earlier.
    let is_numbered = rest.starts_with(['\t', '|', ')']) && index.parse::<usize>().is_ok()
        || rest.starts_with([' ', ':']) && index.parse() == Ok(number);
    if is_numbered { rest.get(1..).unwrap_or_default().trim_start() } else { bare }
}

/// The texts between two quotes. A quote that is escaped does not end one.
fn quoted(text: &str, quote: char) -> Vec<&str> {
    let (mut found, mut start, mut escaped) = (Vec::new(), None, false);
    for (at, c) in text.char_indices() {
        match start {
            None if c == quote => start = Some(at + 1),
            Some(from) if c == quote && !escaped => {
                found.push(&text[from..at]);
                start = None;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    found
}

/// A text without `/* … */`, and without `// …` to the end of its line.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line.split_once("// ").map_or(line, |it| it.0);
        while let Some((before, comment)) = rest.split_once("/*") {
            out.push_str(before);
            out.push(' ');
            rest = comment.split_once("*/").map_or("", |it| it.1);
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

/// Decodes two hex digits behind each mark.
fn unescape(text: &str, mark: u8) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|_| *byte == mark);
        match code.and_then(|code| HEX.decode(code).ok()) {
            Some(decoded) => {
                out.extend(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

//! Bytes in lines of logs and in links.

use super::{
    Reading,
    json::{Candidate, rank},
    text,
};

/// The most parts of a line that are looked at.
const MAX_PARTS: usize = 4096;

/// The shortest hex without `0x` and the shortest base64 that count without a name.
const LONG: usize = 32;

/// Finds everything in a line that may be bytes: behind `name=`, `name: `, in brackets and quotes.
pub(super) fn find(line: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for part in parts(line).into_iter().take(MAX_PARTS) {
        let value = match percent_decode(part.value) {
            Some(decoded) => decoded,
            None => part.value.to_owned(),
        };
        let value = text::trim(&value);
        // The end of a sentence; three dots say that the value is cut.
        let value = value.strip_suffix('.').filter(|it| !it.ends_with('.')).unwrap_or(value);
        let has_name = !part.name.is_empty();
        if !is_likely(value, has_name && rank(part.name) < rank("")) {
            continue;
        }
        let Ok(readings) = text::readings(value) else { continue };
        let at = |reading: Reading| match has_name {
            true => reading.at(part.name),
            false => reading.at("the line"),
        };
        let readings: Vec<_> = readings.into_iter().map(at).collect();
        if !readings.is_empty() {
            found.push(Candidate { owner: 0, readings, rank: rank(part.name) });
        }
    }
    found
}

/// Whether a part is more than a word or a number of a log.
fn is_likely(value: &str, is_named: bool) -> bool {
    let digits = text::after_0x(value);
    let bare = digits.unwrap_or(value);
    let is_hex = bare.len().is_multiple_of(2) && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    if value.starts_with(['[', '<', '{']) || value.contains("\\x") || value.contains('[') {
        return true;
    }
    match digits {
        Some(digits) => digits.len() >= 2,
        None if is_hex => bare.len() >= if is_named { 4 } else { LONG },
        None if is_named => value.len() >= 4,
        None => value.len() >= LONG && value.bytes().any(|byte| byte.is_ascii_digit()),
    }
}

struct Part<'a> {
    name: &'a str,
    value: &'a str,
}

/// Splits a line into values and their names. Brackets and quotes hold values together.
fn parts(line: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut at, mut name) = (0, "");
    // Each scan from one place to another is paid for: work is in proportion to the length.
    let mut budget = 4096 + 32 * line.len();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    while at < line.len() && parts.len() <= MAX_PARTS {
        let rest = &line[at..];
        let Some(c) = rest.chars().next() else { break };
        if c.is_whitespace() || matches!(c, ',' | ';' | '&' | '?' | '#' | '|') {
            // `payload: 0xf901`: the name waits for its value.
            at += c.len_utf8();
            continue;
        }
        let (value, length, scanned) = value_at(rest);
        let Some(left) = budget.checked_sub(scanned + 1) else { break };
        budget = left;
        at += length.max(c.len_utf8());
        let behind = line[at..].chars().next();
        let is_short = value.len() <= 64 && value.chars().all(is_name) && !value.is_empty();
        if is_short && matches!(behind, Some('=' | ':')) {
            name = value;
            at += 1;
            continue;
        }
        // Tokens such as `https://example.org/?data=0xf901` are split again.
        parts.push(Part { name, value });
        name = "";
    }
    parts
}

/// The value at the beginning of a text, its length with quotes and brackets, and how much was
/// looked at.
fn value_at(text: &str) -> (&str, usize, usize) {
    let first = text.chars().next().unwrap_or(' ');
    let close = match first {
        '"' | '\'' | '`' => Some(first),
        '[' => Some(']'),
        '<' => Some('>'),
        _ => None,
    };
    if let Some(close) = close {
        let mut escaped = false;
        for (index, c) in text.char_indices().skip(1) {
            if c == close && !escaped {
                let end = index + c.len_utf8();
                // Escapes need their quotes; other values do not.
                let inner = &text[first.len_utf8()..index];
                let keep = matches!(first, '[' | '<') || inner.contains('\\');
                return (if keep { &text[..end] } else { inner }, end, end);
            }
            escaped = c == '\\' && !escaped;
        }
        // The partner is missing: the quote alone is skipped.
        return ("", first.len_utf8(), text.len());
    }
    let mut end = text.len();
    for (index, c) in text.char_indices() {
        let ends = c.is_whitespace()
            || matches!(
                c,
                '=' | ':' | ',' | ';' | '&' | '?' | '#' | '"' | '\'' | '`' | '|' | '>' | '/'
            );
        // Types before brackets, and brackets after them, belong to the value.
        if ends && index > 0 || matches!(c, ')' | ']' | '}') {
            end = index;
            break;
        }
        if matches!(c, '[' | '{' | '(') && index > 0 {
            return bracketed(text, index);
        }
    }
    // Base64 has `/` and ends with `=`.
    let wide = text.find(|c: char| c.is_whitespace() || "\"'`,;&?#|<>()[]{}".contains(c));
    let wide = wide.unwrap_or(text.len());
    if wide > end && wide >= 4 && is_base64_token(&text[..wide]) {
        end = wide;
    }
    (&text[..end], end, end.max(wide))
}

/// A value like `[]byte{…}` or `Uint8Array(3) [ … ]`, from its type to its last bracket.
fn bracketed(text: &str, open: usize) -> (&str, usize, usize) {
    let mut depth = 0usize;
    for (index, c) in text.char_indices().skip_while(|(index, _)| *index < open) {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => {
                depth = depth.saturating_sub(1);
                let end = index + 1;
                let follows = text[end..].trim_start_matches(' ').starts_with(['[', '{']);
                let is_prefix = text[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
                if depth == 0 && !follows && !is_prefix {
                    return (&text[..end], end, end);
                }
            }
            _ => {}
        }
    }
    (&text[..open], open, text.len())
}

fn is_base64_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && body.len() >= 4
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
        && (text.len() > body.len() || body.len() >= LONG)
}

/// Decodes `%2B`, if there is any.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let (mut out, bytes, mut at) = (Vec::with_capacity(text.len()), text.as_bytes(), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

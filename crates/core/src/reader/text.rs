//! The spellings of one value.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE as HEX};

use super::{Encoding, Problem, Reading};

/// Hex this short may as well be base64.
const SHORT_HEX: usize = 16;

/// Removes white space, byte order marks and invisible characters at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\0' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}')
    })
}

/// Removes the colours and titles that programs write for terminals: `ESC [ … m`, `ESC ] … BEL`; also
/// as `cat -v` shows them.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') && !text.contains("^[[") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\u{1b}').into_iter().chain(rest.find("^[[")).min() {
        out.push_str(&rest[..at]);
        rest = rest[at..].strip_prefix("^[").unwrap_or(rest[at..].trim_start_matches('\u{1b}'));
        let end = match rest.bytes().next() {
            Some(b'[') => rest[1..].find(|c| matches!(c, '@'..='~')).map(|end| end + 2),
            Some(b']') => rest.find(['\u{7}', '\u{1b}']).map(|end| end + 1),
            Some(byte) if byte.is_ascii() => Some(1),
            _ => None,
        };
        rest = rest.get(end.unwrap_or(0)..).unwrap_or_default();
        // `ESC \\` ends what `ESC ]` began.
        rest = rest.strip_prefix('\\').filter(|_| end.is_some_and(|end| end > 1)).unwrap_or(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Replaces typographic quotes, blanks and digits by those of ASCII, and removes what is invisible,
/// as word processors and chats leave it.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let replaced = text.chars().filter_map(|c| match c {
        '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' => None,
        '“' | '”' | '„' | '‟' | '«' | '»' => Some('"'),
        '‘' | '’' | '‚' | '‛' | '‹' | '›' => Some('\''),
        '‐'..='―' | '−' => Some('-'),
        '│' | '┃' | '┊' | '┆' | '║' => Some(' '),
        // The full-width forms stand in the order of ASCII.
        '！'..='～' => char::from_u32(c as u32 - 0xfee0),
        '\n' => Some('\n'),
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    });
    Cow::Owned(replaced.collect())
}

/// Removes what chats, mails and documents put around a key or a link: quotes, brackets, a full stop,
/// `[name](link)`.
pub(crate) fn without_wrapping(text: &str) -> String {
    let plain = visible(text).into_owned();
    let plain = self::plain(&plain);
    let mut bare = trim(&plain);
    if let Some((_, link)) = bare.strip_prefix('[').and_then(|it| it.split_once("](")) {
        bare = link;
    }
    loop {
        let before = bare;
        bare = trim(bare).trim_end_matches(['.', ',', ';', '!']);
        bare = bare.trim_start_matches(['"', '\'', '`', '<', '(']);
        bare = bare.trim_end_matches(['"', '\'', '`', '>', ')']);
        if bare == before {
            return bare.to_owned();
        }
    }
}

/// All readings of a text, the most likely first; none if it is in no known spelling.
pub(super) fn readings(text: &str) -> Result<Vec<Reading>, Problem> {
    let text = trim(text);
    if let Some(bytes) = plain_hex(text) {
        return Ok(with_base64(bytes, text));
    }
    let (bare, cut) = without_dots(strip(text));
    let mut found = spelled(bare, text)?;
    if cut {
        for reading in &mut found {
            reading.left_out = reading.left_out.or(Some(0));
        }
    }
    Ok(found)
}

/// `0x` and digits, or digits alone.
fn plain_hex(text: &str) -> Option<Vec<u8>> {
    let digits = after_0x(text).unwrap_or(text);
    if digits.is_empty() && text.is_empty() {
        return None;
    }
    HEX.decode(digits.as_bytes()).ok()
}

/// Short digits are base64 as well.
fn with_base64(bytes: Vec<u8>, text: &str) -> Vec<Reading> {
    let mut readings = vec![Reading::new(Encoding::Hex, bytes)];
    if text.len() < SHORT_HEX && after_0x(text).is_none() {
        readings.extend(base64(text));
        readings.truncate(2);
    }
    readings
}

fn spelled(bare: &str, text: &str) -> Result<Vec<Reading>, Problem> {
    let one = |reading| Ok(vec![reading]);
    if bare.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(reading) = node_buffer(bare).or_else(|| labelled(bare)) {
        return one(reading);
    }
    if let Some(bytes) = escapes(text) {
        return one(Reading::new(Encoding::Escapes, bytes));
    }
    if let Some(bytes) = plain_hex(bare) {
        return Ok(with_base64(bytes, bare));
    }
    if let Some(reading) = array(bare) {
        return Ok(reading);
    }
    if let Some(bytes) = separated(bare) {
        let mut found = vec![Reading::new(Encoding::Hex, bytes)];
        let array = numbers(bare).filter(|bytes| *bytes != found[0].bytes);
        found.extend(array.map(|bytes| Reading::new(Encoding::Array, bytes)));
        return Ok(found);
    }
    if let Some(bytes) = numbers(bare) {
        return one(Reading::new(Encoding::Array, bytes));
    }
    if let Some(digits) = after_0x(bare)
        && !bare.contains(|c: char| c.is_whitespace())
    {
        return match digits.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
            Some(at) => Err(Problem::Hex { at: at + 1 }),
            None => one(half(digits)),
        };
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if bare.len() >= SHORT_HEX && !bare.len().is_multiple_of(4) && is_digits(bare) {
        return one(half(bare));
    }
    Ok(base64(bare).into_iter().take(1).collect())
}

/// An odd number of digits: the last byte is cut in two.
fn half(digits: &str) -> Reading {
    let even = &digits[..digits.len() & !1];
    let mut reading = Reading::new(Encoding::Hex, HEX.decode(even.as_bytes()).unwrap_or_default());
    reading.left_out = Some(0);
    reading
}

/// Base64 in either alphabet, with or without padding; white space inside does not count.
pub(super) fn base64(text: &str) -> Vec<Reading> {
    let compact: String;
    let text = if text.contains(char::is_whitespace) {
        // Words of a language are no base64.
        if text.split_whitespace().any(|part| part.len() < 16) && !is_wrapped(text) {
            return Vec::new();
        }
        compact = text.split_whitespace().collect();
        &compact
    } else {
        text
    };
    let alphabets = [
        (BASE64, Encoding::Base64),
        (BASE64URL, Encoding::Base64Url),
        (BASE64_NOPAD, Encoding::Base64),
        (BASE64URL_NOPAD, Encoding::Base64Url),
    ];
    let decoded = alphabets.into_iter().filter_map(|(alphabet, encoding)| {
        Some(Reading::new(encoding, alphabet.decode(text.as_bytes()).ok()?))
    });
    decoded.filter(|reading| !reading.bytes.is_empty()).collect()
}

/// Lines of one width, the last of which may be shorter.
fn is_wrapped(text: &str) -> bool {
    let mut parts = text.split_whitespace();
    let Some(first) = parts.next().map(str::len).filter(|length| *length >= 16) else {
        return false;
    };
    let rest: Vec<_> = parts.map(str::len).collect();
    match rest.split_last() {
        Some((last, between)) => *last <= first && between.iter().all(|length| *length == first),
        None => true,
    }
}

pub(super) fn after_0x(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// Removes quotes, commas and the like around a value, in pairs where they come in pairs.
fn strip(text: &str) -> &str {
    let mut text = text;
    for _ in 0..8 {
        let before = text;
        text = trim(text).trim_end_matches([',', ';', '\\']);
        for (open, close) in
            [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('«', '»'), ('(', ')')]
        {
            if let Some(inner) = text.strip_prefix(open).and_then(|it| it.strip_suffix(close)) {
                text = inner;
            }
        }
        // A quote that its partner has left.
        if text.len() > 8 {
            text = text.strip_prefix(['"', '\'', '`']).unwrap_or(text);
            text = text.strip_suffix(['"', '\'', '`']).unwrap_or(text);
        }
        if text == before {
            break;
        }
    }
    text
}

/// Removes the dots that mark a text as cut.
fn without_dots(text: &str) -> (&str, bool) {
    let bare = text.strip_suffix('…').or_else(|| text.strip_suffix("...")).or_else(|| {
        let (before, after) = text.rsplit_once('…').or_else(|| text.rsplit_once("..."))?;
        // `… (631 characters)`
        (after.starts_with(" (") && after.ends_with(')')).then_some(before)
    });
    match bare {
        Some(bare) => (trim(bare), true),
        None => (text, false),
    }
}

/// `<Buffer f9 01 … 265 more bytes>`, as Node prints it.
fn node_buffer(text: &str) -> Option<Reading> {
    let inner = text.strip_prefix("<Buffer")?.strip_suffix('>')?.trim();
    let (shown, more) = match inner.split_once("...") {
        None => (inner, None),
        Some((shown, more)) => (shown, Some(leading_number(more.trim())?)),
    };
    let mut reading = Reading::new(Encoding::Hex, separated(shown).or_else(|| plain_hex(shown))?);
    reading.left_out = more;
    Some(reading)
}

fn leading_number(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Spellings that name themselves: `\xf901` (PostgreSQL), `X'f901'` (SQL), `hex:f901`,
/// `data:…;base64,+QE=`.
fn labelled(text: &str) -> Option<Reading> {
    let hex = |digits: &str| Some(Reading::new(Encoding::Hex, plain_hex(digits)?));
    if let Some(digits) = text.strip_prefix("\\x")
        && let Some(reading) = hex(digits)
    {
        return Some(reading);
    }
    let quoted = text.strip_prefix(['x', 'X', 'h']).and_then(|it| it.strip_prefix(['\'', '"']));
    if let Some(digits) = quoted {
        return hex(digits.trim_end_matches(['\'', '"']));
    }
    let lower = text.get(..7).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("hex:") {
        return hex(text[4..].trim());
    }
    let encoded = match lower.as_str() {
        "base64:" => &text[7..],
        _ if lower.starts_with("data:") => text.split_once(";base64,")?.1,
        _ => return None,
    };
    base64(encoded.trim()).into_iter().next()
}

/// Bytes written as characters and escapes. At least one `\x` or octal escape is needed.
fn escapes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches([',', ';', ' ', ')']);
    // The line goes on behind the closing quote.
    let text = match text.strip_suffix('\\').map(str::trim_end) {
        Some(before) if before.ends_with(['"', '\'']) => before,
        _ => text,
    };
    let start = text.find(['"', '\'', '\\'])?;
    // `b'`, `bytes(b"`, `bytearray(b'`, `[]byte("`, `&b"`.
    let before = &text[..start];
    if before.len() > 16 || !before.chars().all(|c| c.is_ascii_alphabetic() || "&()[] ".contains(c))
    {
        return None;
    }
    let mut body = &text[start..];
    if let Some(quote @ ('"' | '\'')) = body.chars().next() {
        body = body[1..].strip_suffix(quote)?;
    } else if !before.is_empty() {
        return None;
    }
    if !body.contains('\\') {
        return None;
    }
    unescape(body)
}

pub(super) fn unescape(body: &str) -> Option<Vec<u8>> {
    // Stands for bytes that were no text: what they were is lost.
    if body.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let bytes = body.as_bytes();
    let (mut out, mut at, mut numeric) = (Vec::with_capacity(bytes.len() / 4), 0, false);
    let digits = |from: usize, count: usize, radix: u32| {
        let text = std::str::from_utf8(bytes.get(from..from + count)?).ok()?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        u32::from_str_radix(text, radix).ok().filter(|_| is_number)
    };
    while let Some(byte) = bytes.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        let simple = match bytes.get(at + 1)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            b'e' => 27,
            b'\\' => b'\\',
            b'"' => b'"',
            b'\'' => b'\'',
            b'x' => {
                out.push(digits(at + 2, 2, 16)? as u8);
                (at, numeric) = (at + 4, true);
                continue;
            }
            b'u' => {
                let unit = digits(at + 2, 4, 16)?;
                out.push(u8::try_from(unit).ok()?);
                (at, numeric) = (at + 6, true);
                continue;
            }
            b'0'..=b'7' => {
                let run = bytes[at + 1..].iter().take(3);
                let count = run.take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                out.push(u8::try_from(digits(at + 1, count, 8)?).ok()?);
                (at, numeric) = (at + 1 + count, true);
                continue;
            }
            _ => return None,
        };
        out.push(simple);
        at += 2;
    }
    numeric.then_some(out)
}

/// Hex digits in groups of whole bytes, with any of the usual separators between them.
pub(super) fn separated(text: &str) -> Option<Vec<u8>> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-' | '_' | ';');
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut groups = 0;
    for group in text.split(is_separator).filter(|group| !group.is_empty()) {
        let prefixed = after_0x(group);
        let digits = prefixed.unwrap_or(group);
        // In arrays of Go and C, `0x1` is a byte.
        if let (true, Some(_)) = (digits.len() == 1, prefixed) {
            bytes.push(digits.chars().next()?.to_digit(16)? as u8);
        } else if digits.is_empty() || digits.len() % 2 == 1 {
            return None;
        } else {
            bytes.extend(HEX.decode(digits.as_bytes()).ok()?);
        }
        groups += 1;
    }
    (groups > 1).then_some(bytes)
}

/// Numbers of a byte each, separated by commas or blanks.
fn numbers(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    for token in text.split(|c: char| c.is_whitespace() || c == ',').filter(|it| !it.is_empty()) {
        bytes.push(number(token)?);
    }
    (bytes.len() > 1).then_some(bytes)
}

/// A byte in the syntax of the usual languages; bytes of Java are signed.
pub(super) fn number(token: &str) -> Option<u8> {
    let token = token.strip_suffix("u8").or_else(|| token.strip_suffix('n')).unwrap_or(token);
    let parse = |digits: &str, radix| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        u8::from_str_radix(digits, radix).ok().filter(|_| plain)
    };
    if let Some(digits) = after_0x(token) {
        return parse(digits, 16);
    }
    if let Some(digits) = token.strip_prefix("0b").filter(|digits| digits.len() == 8) {
        return parse(digits, 2);
    }
    match token.strip_prefix('-') {
        Some(digits) => digits.parse::<u8>().ok().filter(|it| *it <= 128).map(u8::wrapping_neg),
        None => parse(token, 10),
    }
}

/// An array in brackets, behind the type or function that some languages write before it.
fn array(text: &str) -> Option<Vec<Reading>> {
    const CLOSERS: &str = "]})>;, \t\r\n";
    let end = text.rfind([']', '}', ')'])?;
    if !text[end..].chars().all(|c| CLOSERS.contains(c)) {
        return None;
    }
    // The last bracket before the numbers: `[]byte{`, `vec![`, `Uint8Array(315) [`.
    let inner_end = text.trim_end_matches(|c| CLOSERS.contains(c)).len();
    let open = text[..inner_end].rfind(['[', '{', '('])?;
    if !text[..open]
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "&()[]{}!._:'\"=, *<>".contains(c))
    {
        return None;
    }
    let inner = text[open + 1..inner_end].trim();
    // `… 215 more items`
    let (inner, more) = match inner.split_once("...") {
        Some((shown, more)) => (shown.trim().trim_end_matches(','), leading_number(more.trim())),
        None => (inner, None),
    };
    let hex = |inner| Some(Reading::new(Encoding::Hex, separated(inner).or(plain_hex(inner))?));
    let tokens = || inner.split(|c: char| c.is_whitespace() || c == ',').filter(|t| !t.is_empty());
    let is_pair = |token: &str| token.len() == 2 && token.bytes().all(|b| b.is_ascii_hexdigit());
    let are_pairs = tokens().count() > 1 && tokens().all(is_pair);
    let array = numbers(inner).or_else(|| Some(vec![number(inner)?]));
    let array = array.map(|bytes| Reading::new(Encoding::Array, bytes));
    let mut found: Vec<_> = match array {
        // Numbers have no zeros in front of them.
        Some(array) if are_pairs => {
            if tokens().any(|token| token.starts_with('0')) {
                hex(inner).into_iter().chain([array]).collect()
            } else {
                [array].into_iter().chain(hex(inner)).collect()
            }
        }
        Some(array) => vec![array],
        None if are_pairs => hex(inner).into_iter().collect(),
        None => return None,
    };
    for reading in &mut found {
        reading.left_out = more;
    }
    Some(found)
}

//! The parts of values whose syntax was checked.

use std::borrow::Cow;

/// Returns the elements of an array; none of anything else.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = inside(array, b'[').unwrap_or_default();
    std::iter::from_fn(move || {
        let (value, after) = split(rest)?;
        rest = after;
        Some(value)
    })
}

/// Returns the members of an object, in order; none of anything else.
pub fn members(object: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    let mut rest = inside(object, b'{').unwrap_or_default();
    std::iter::from_fn(move || {
        let (key, after) = split(rest)?;
        let (value, after) = split(after)?;
        rest = after;
        Some((string(key).unwrap_or_default(), value))
    })
}

/// Returns the text of a string; `None` of anything else. What is no Unicode becomes U+FFFD.
pub fn string(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = inside(value, b'"')?;
    if !inner.contains(&b'\\') {
        return Some(String::from_utf8_lossy(inner));
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else { break };
        rest = after;
        let character = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode(&mut rest),
            other => char::from(other),
        };
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(match String::from_utf8_lossy(&text) {
        Cow::Borrowed(_) => Cow::Owned(String::from_utf8(text).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text),
    })
}

/// Whether two names are the same, as Go compares the names of members: whatever the case, and with
/// the two letters of Unicode that fold to ASCII.
pub fn is_name(given: &str, name: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    given.chars().map(fold).eq(name.chars().map(fold))
}

/// The code point of an escape after `\u`, with the second half of a pair.
fn unicode(rest: &mut &[u8]) -> char {
    let unit = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    if let Some(character) = char::from_u32(first) {
        return character;
    }
    let second = rest.strip_prefix(b"\\u").and_then(unit);
    if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, second) {
        *rest = &rest[6..];
        let pair = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::REPLACEMENT_CHARACTER
}

/// What is between the first byte, if it is this one, and the last.
fn inside(value: &[u8], open: u8) -> Option<&[u8]> {
    let inner = value.strip_prefix(&[open])?;
    Some(inner.get(..inner.len().saturating_sub(1)).unwrap_or_default())
}

/// Splits off the first value, and the comma or colon after it.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = rest.trim_ascii_start();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' => at = end_of_string(rest, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b':' if depth == 0 => {
                return Some((rest[..at].trim_ascii_end(), &rest[at + 1..]));
            }
            _ => {}
        }
        at += 1;
    }
    let value = rest.trim_ascii_end();
    (!value.is_empty()).then_some((value, &[]))
}

/// The place of the quote that ends a string.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let array = br#"[ 1 , "a,]", {"b":[2,3]} , [] ]"#;
        let found: Vec<_> = elements(array).collect();
        assert_eq!(found, [&b"1"[..], b"\"a,]\"", b"{\"b\":[2,3]}", b"[]"]);
        assert_eq!(elements(b"[]").count() + elements(b"{\"a\":1}").count(), 0);
        let object = br#"{"a" : "x:y" ,"\u0062":{"c":null}, "":5}"#;
        let found: Vec<_> = members(object).collect();
        let expected = [("a", &b"\"x:y\""[..]), ("b", b"{\"c\":null}"), ("", b"5")];
        assert_eq!(found, expected.map(|(key, value)| (Cow::from(key), value)));
    }

    #[test]
    fn strings_are_read_as_go_does() {
        for (value, text) in [
            (&br#""a\/b\n""#[..], "a/b\n"),
            (br#""\ud800""#, "\u{fffd}"),
            (br#""\ud83d\ude00""#, "\u{1f600}"),
            (br#""\ud83dx""#, "\u{fffd}x"),
            (br#""\udc00\ud800\u0041""#, "\u{fffd}\u{fffd}A"),
            (b"\"\xff\"", "\u{fffd}"),
            (b"\"\\t\xff\"", "\t\u{fffd}"),
        ] {
            assert_eq!(string(value).unwrap(), text);
        }
        assert_eq!(string(b"5"), None);
        assert!(is_name("METHOD", "method") && is_name("re\u{17f}ult", "result"));
        assert!(!is_name("id", "ids"));
    }
}

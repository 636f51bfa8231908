//! Writing, byte for byte as Go does.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;

/// Appends a string.
pub fn put_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Returns a string.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    put_string(&mut out, text);
    out
}

/// Appends bytes as a string of hex digits after `0x`.
pub fn put_hex(out: &mut String, bytes: &[u8]) {
    out.reserve(2 * bytes.len() + 4);
    out.push_str("\"0x");
    HEXLOWER.encode_append(bytes, out);
    out.push('"');
}

/// Returns bytes as a string of hex digits after `0x`.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    put_hex(&mut out, bytes);
    out
}

/// Appends a value that was read, without its spaces.
pub fn put_raw(out: &mut String, value: &[u8]) {
    let mut in_string = false;
    let mut escaped = false;
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            ' ' | '\t' | '\r' | '\n' if !in_string => {}
            other => out.push(other),
        }
        in_string ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
}

/// Appends a number; `None` if it is infinite or none, which JSON can't say.
pub fn put_float(out: &mut String, number: f64) -> Option<()> {
    if !number.is_finite() {
        return None;
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e')?;
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        let _ = write!(out, "{digits}e{sign}{exponent}");
    } else {
        let _ = write!(out, "{number}");
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_as_go_writes_them() {
        assert_eq!(
            string("a<b>&\u{2028}\u{1}\u{7f}\"é"),
            r#""a\u003cb\u003e\u0026\u2028\u0001"#.to_owned() + "\u{7f}\\\"é\""
        );
        for (number, text) in [
            (0.002, "0.002"),
            (1e-7, "1e-7"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1.5e300, "1.5e+300"),
            (123_456_789.25, "123456789.25"),
            (-2.5e-10, "-2.5e-10"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
        ] {
            let mut out = String::new();
            put_float(&mut out, number).unwrap();
            assert_eq!(out, text);
        }
        assert_eq!(put_float(&mut String::new(), f64::INFINITY), None);
        let mut out = String::new();
        put_raw(&mut out, b"{ \"a \\\" <\": [1 , 2] }");
        assert_eq!(out, "{\"a \\\" \\u003c\":[1,2]}");
    }
}

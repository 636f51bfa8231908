//! Durations as people write them.

/// Seconds from `90`, `30s`, `2m`, `12h` or `7d`.
pub fn parse_seconds(text: &str) -> Result<u32, String> {
    let expected = "expected seconds, or a number with s, m, h or d, such as 30s or 2m";
    let (digits, unit) = match text.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(expected.to_owned()),
    };
    let number: u32 = digits.parse().map_err(|_| expected.to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "more seconds than 32 bits hold".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse_seconds("90"), Ok(90));
        assert_eq!(parse_seconds("30s"), Ok(30));
        assert_eq!(parse_seconds("2m"), Ok(120));
        assert_eq!(parse_seconds("1d"), Ok(86_400));
        for bad in ["", "s", "-1", "1.5", "2w", "2 m", "99999999999", "99999999h", "é"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}

//! The numbers that the reference accepts as the value of a transaction: floating-point literals.
//!
//! Digits may be separated by underscores. `inf`, `infinity` (with or without a sign) and `nan`
//! (without) are accepted in any case, and hexadecimal numbers if they have an exponent. A number
//! that overflows a 64-bit float is refused.

/// Returns whether the reference accepts `text` as a number.
pub(super) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return true;
    }
    if text.eq_ignore_ascii_case("nan") {
        return true;
    }
    if !underscores_separate_digits(unsigned) {
        return false;
    }
    let digits = unsigned.replace('_', "");
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => is_hex_float(digits),
        None => is_decimal_float(&digits),
    }
}

/// Returns whether each underscore has a digit on both sides. The prefix `0x` counts as a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let is_digit = |at: usize| {
        bytes.get(at).is_some_and(|byte| {
            byte.is_ascii_digit() || (is_hex && (at == 1 || byte.is_ascii_hexdigit()))
        })
    };
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(at, _)| at > 0 && is_digit(at - 1) && is_digit(at + 1))
}

fn is_decimal_float(digits: &str) -> bool {
    // Without the words, Rust's syntax is that of the reference.
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let is_unsigned = !digits.starts_with(['+', '-']);
    is_plain && is_unsigned && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_hex_float(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['p', 'P']) else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_well_formed = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !unsigned.is_empty()
        && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    // As many bits as fit. The last one stands for all that don't, so that rounding is exact.
    let (mut bits, mut dropped) = (0_u64, 0);
    for digit in digits.chars().filter_map(|digit| digit.to_digit(16)).map(u64::from) {
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            bits |= u64::from(digit != 0);
            dropped += 4;
        }
    }
    // An exponent beyond 64 bits is beyond every float, too.
    let huge = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    let exponent = exponent.parse::<i64>().unwrap_or(huge);
    let highest_bit = (((bits as f64).to_bits() >> 52) as i64) - 1023;
    let magnitude = exponent.saturating_add(highest_bit + dropped - 4 * fraction.len() as i64);
    is_well_formed && (bits == 0 || magnitude < 1024)
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn accepts_the_literals_of_the_reference() {
        let numbers = [
            "1",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e18",
            "1E+18",
            "1_000",
            "0_1",
            "inf",
            "-Inf",
            "+INFINITY",
            "NaN",
            "0x1p4",
            "0X_1.8P-3",
            "0x.8p1",
            "0x1p1023",
            "0x1.fffffffffffffp1023",
            "0x1.fffffffffffff7fffp1023",
            "0xfffffffffffff8p968",
            "1e308",
            "1e-999",
            "0x0p99999999999999999999",
            "00",
            "1_0.0_1e1_0",
        ];
        for text in numbers {
            assert!(is_number(text), "{text}");
        }
        let others = [
            "",
            ".",
            "-",
            "e1",
            "1e",
            "1e+",
            "0x10",
            "0x",
            "0xp1",
            " 1",
            "1 ",
            "abc",
            "1__0",
            "_1",
            "1_",
            "1_.5",
            "1._5",
            "+nan",
            "infinit",
            "1e999",
            "-1e999",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "0x.7ffffffffffffep1025",
            "0x1p9999999999999999999",
            "1,5",
            "--1",
            "+-1",
            "0x1p",
            "0x1pz",
            "٣",
        ];
        for text in others {
            assert!(!is_number(text), "{text}");
        }
    }
}

//! The numbers that the reference takes as the value of a transaction: floating-point literals.
//!
//! They may have underscores between digits; `inf`, `infinity` (with a sign) and `nan` (without)
//! pass in any case; so do hexadecimal ones, if they have an exponent. What overflows 64 bits of
//! float does not.

use std::cmp::Ordering;

/// Whether the reference takes `text` as a number.
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

/// Each underscore has a digit on both sides; the prefix `0x` counts as one.
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
    // Words are dealt with; what remains of Rust's syntax is the same.
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let is_unsigned = !digits.starts_with(['+', '-']);
    is_plain && is_unsigned && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_hex_float(digits: &str) -> bool {
    let Some((mantissa, exponent)) = digits.split_once(['p', 'P']) else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if all().count() == 0
        || !all().all(|byte| byte.is_ascii_hexdigit())
        || exponent_digits.is_empty()
        || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return false;
    }
    // The first digit that counts, as a power of 2; what is too large for any exponent is cut.
    let Some(first) = all().position(|byte| byte != b'0') else { return true };
    let digits = || all().skip(first).filter_map(|byte| char::from(byte).to_digit(16));
    let zeros = digits().next().map_or(0, |digit| digit.leading_zeros() - 28);
    let bits = 4 * (whole.len() as i64 - first as i64) - i64::from(zeros);
    let exponent = exponent
        .parse::<i64>()
        .unwrap_or_else(|_| if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    match exponent.saturating_add(bits).cmp(&1024) {
        Ordering::Less => true,
        Ordering::Greater => false,
        // A float has 53 bits: with one more that is set, all ones are rounded up.
        Ordering::Equal => {
            let all_bits = digits().flat_map(|digit| [3, 2, 1, 0].map(|at| digit >> at & 1));
            all_bits.skip(zeros as usize).take(54).filter(|bit| *bit == 1).count() < 54
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn the_literals_of_the_reference() {
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

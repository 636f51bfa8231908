//! Numbers of 256 bits, and their texts: exact, without floats.
//!
//! Texts are decimal (`21000`), hexadecimal (`0x5208`), or decimal with a fraction and an exponent
//! (`2.014e18`), as in EIP-681. A text that is no whole number, or too large, is an error.

use std::{fmt, str::FromStr};

use statuskit_core::explain::Explanation;

use crate::text::excerpt;

/// Why a text is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Not digits.
    #[error("{0:?} is not a number: expected decimal digits, or 0x and hex digits")]
    Format(String),
    /// A fraction is left.
    #[error("{0:?} is not a whole number of the smallest unit")]
    Fraction(String),
    /// Below zero.
    #[error("{0:?} is negative")]
    Negative(String),
    /// Above 2^256 - 1.
    #[error("{0:?} has more than 256 bits")]
    TooLarge(String),
    /// A JSON number beyond 2^53, which readers round.
    #[error("{0} is too large for a number in JSON: write it as a text, in quotes")]
    Inexact(String),
    /// Not a unit.
    #[error("{0:?} is not a unit: expected wei, kwei, mwei, gwei, szabo, finney or ether")]
    Unit(String),
}

impl NumberError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "number.format",
            Self::Fraction(_) => "number.fraction",
            Self::Negative(_) => "number.negative",
            Self::TooLarge(_) => "number.too_large",
            Self::Inexact(_) => "number.inexact",
            Self::Unit(_) => "number.unit",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "number.format",
            rule: "A number is decimal digits, with a fraction and an exponent where amounts are read, or 0x and hex digits.",
            source: "EIP-681, Syntax",
            causes: "A separator such as 1_000 or 1,5.",
        },
        Explanation {
            code: "number.fraction",
            rule: "An amount is a whole number of the smallest unit. Nothing is rounded.",
            source: "EIP-681, Semantics",
            causes: "More digits after the point than the unit has, or a fraction without a unit: 0.5ether.",
        },
        Explanation {
            code: "number.negative",
            rule: "Amounts and unsigned numbers are not negative.",
            source: "Ethereum yellow paper, section 4.2",
            causes: "Another sign or type was meant.",
        },
        Explanation {
            code: "number.too_large",
            rule: "Numbers have at most 256 bits, or those of their type.",
            source: "Ethereum yellow paper, section 4.2",
            causes: "A unit too many: 20gwei has its nine zeros already.",
        },
        Explanation {
            code: "number.unit",
            rule: "Units are wei, kwei, mwei, gwei, szabo, finney and ether.",
            source: "Ethereum yellow paper, section 2.1",
            causes: "The amount of a token: write it in its smallest unit.",
        },
        Explanation {
            code: "number.inexact",
            rule: "A number in JSON is exact up to 2^53; larger ones are texts.",
            source: "RFC 8259, section 6",
            causes: "Put the number in quotes.",
        },
    ];
}

/// An unsigned number of 256 bits.
///
/// Written in decimal. Read from decimal digits, or `0x` and hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U256(/* big endian */ [u64; 4]);

impl U256 {
    /// Zero.
    pub const ZERO: Self = Self([0; 4]);
    /// 2^256 - 1.
    pub const MAX: Self = Self([u64::MAX; 4]);

    /// Reads 32 big-endian bytes.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        Self([words[0], words[1], words[2], words[3]].map(u64::from_be_bytes))
    }

    /// Reads at most 32 big-endian bytes. `None` if there are more.
    pub fn from_be_slice(bytes: &[u8]) -> Option<Self> {
        let mut word = [0; 32];
        word.get_mut(32_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        Some(Self::from_be_bytes(word))
    }

    /// Returns the 32 big-endian bytes.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Returns the big-endian bytes without leading zeros; none for zero.
    pub fn to_minimal_bytes(self) -> Vec<u8> {
        self.to_be_bytes()[32 - self.bits().div_ceil(8) as usize..].to_vec()
    }

    /// Returns the number of bits without leading zeros.
    pub fn bits(self) -> u32 {
        let first = self.0.iter().position(|word| *word != 0);
        first.map_or(0, |at| 64 * (4 - at as u32) - self.0[at].leading_zeros())
    }

    /// Returns the number if it fits.
    pub fn to_u64(self) -> Option<u64> {
        (self.bits() <= 64).then_some(self.0[3])
    }

    /// Adds. `None` above 2^256 - 1.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (sum, carry) = self.adding(other);
        (!carry).then_some(sum)
    }

    /// Multiplies. `None` above 2^256 - 1.
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        let mut words = self.0;
        let mut carry = 0;
        for word in words.iter_mut().rev() {
            let product = u128::from(*word) * u128::from(factor) + carry;
            (*word, carry) = (product as u64, product >> 64);
        }
        (carry == 0).then_some(Self(words))
    }

    /// Returns the two's complement: 2^256 minus the number, and zero for zero.
    #[must_use]
    pub fn negated(self) -> Self {
        self.inverted().adding(1_u64.into()).0
    }

    /// Returns whether the highest bit is set: as a signed number it is negative.
    pub fn is_negative(self) -> bool {
        self.0[0] >> 63 == 1
    }

    /// Returns the decimal text of the signed number in two's complement.
    pub fn to_signed_text(self) -> String {
        if self.is_negative() { format!("-{}", self.negated()) } else { self.to_string() }
    }

    /// Returns the number with all bits inverted.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Returns the lowest bits; the others become zero.
    #[must_use]
    pub fn low_bits(self, bits: u32) -> Self {
        let mut words = self.0;
        for (index, word) in words.iter_mut().rev().enumerate() {
            *word &= match bits.saturating_sub(64 * index as u32) {
                64.. => u64::MAX,
                rest => (1 << rest) - 1,
            };
        }
        Self(words)
    }

    /// Returns the lowest bits as a signed number in two's complement of 256 bits.
    #[must_use]
    pub fn sign_extended(self, bits: u32) -> Self {
        let low = self.low_bits(bits);
        if low.bits() < bits { low } else { low.inverted().low_bits(bits).inverted() }
    }

    fn adding(self, other: Self) -> (Self, bool) {
        let mut words = self.0;
        let mut carry = 0;
        for (word, more) in words.iter_mut().zip(other.0).rev() {
            let sum = u128::from(*word) + u128::from(more) + carry;
            (*word, carry) = (sum as u64, sum >> 64);
        }
        (Self(words), carry != 0)
    }

    fn div_rem(self, divisor: u64) -> (Self, u64) {
        let mut words = self.0;
        let mut rest = 0;
        for word in &mut words {
            let value = rest << 64 | u128::from(*word);
            *word = (value / u128::from(divisor)) as u64;
            rest = value % u128::from(divisor);
        }
        (Self(words), rest as u64)
    }
}

impl From<u64> for U256 {
    fn from(number: u64) -> Self {
        Self([0, 0, 0, number])
    }
}

impl From<u128> for U256 {
    fn from(number: u128) -> Self {
        Self([0, 0, (number >> 64) as u64, number as u64])
    }
}

impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 10_u64.pow(19);
        let (mut rest, mut chunks) = (*self, Vec::with_capacity(5));
        while rest.bits() > 64 || rest.0[3] >= CHUNK {
            let (quotient, chunk) = rest.div_rem(CHUNK);
            chunks.push(chunk);
            rest = quotient;
        }
        let mut text = rest.0[3].to_string();
        for chunk in chunks.iter().rev() {
            text += &format!("{chunk:019}");
        }
        f.pad_integral(true, "", &text)
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for U256 {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return from_hex(digits, text);
        }
        if let Some(digits) = text.strip_prefix('-')
            && is_digits(digits)
        {
            return Err(NumberError::Negative(excerpt(text)));
        }
        if !is_digits(text) {
            return Err(NumberError::Format(excerpt(text)));
        }
        from_digits(text.bytes(), text)
    }
}

/// Reads a whole number with an optional sign, fraction and exponent, times `10^power`:
/// `2.014e18`, or `1.5` with a power of 18.
///
/// # Errors
/// If the text is malformed, or the result is negative, no whole number, or too large.
pub fn parse_decimal(text: &str, power: u32) -> Result<U256, NumberError> {
    let format = || NumberError::Format(excerpt(text));
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return Err(format()),
        None => (mantissa, ""),
    };
    if !is_digits(whole) {
        return Err(format());
    }
    let exponent: i64 = match exponent {
        None => 0,
        Some(digits) => {
            let plain = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if !is_digits(plain) {
                return Err(format());
            }
            // Beyond this size only the sign counts.
            let size = plain.trim_start_matches('0').parse().unwrap_or(1 << 40).min(1 << 40);
            if plain.trim_start_matches('0').is_empty() {
                0
            } else if digits.starts_with('-') {
                -size
            } else {
                size
            }
        }
    };
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(U256::ZERO);
    }
    if negative {
        return Err(NumberError::Negative(excerpt(text)));
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let zeros = exponent + i64::from(power) + trailing as i64 - fraction.len() as i64;
    if zeros < 0 {
        return Err(NumberError::Fraction(excerpt(text)));
    }
    // 2^256 has 78 digits.
    if zeros > 78 || significant.len() > 78 {
        return Err(NumberError::TooLarge(excerpt(text)));
    }
    from_digits(significant.bytes().chain(std::iter::repeat_n(b'0', zeros as usize)), text)
}

/// The units of ether, with their powers of ten.
const UNITS: [(&str, u32); 8] = [
    ("wei", 0),
    ("kwei", 3),
    ("mwei", 6),
    ("gwei", 9),
    ("szabo", 12),
    ("finney", 15),
    ("ether", 18),
    ("eth", 18),
];

/// Reads an amount of ether in wei: a number with an optional unit, such as `21000`, `20gwei`,
/// `0.5ether`, `2.014e18` or `0x5208`. Without a unit it is wei.
///
/// # Errors
/// If the text is malformed, its unit is unknown, or the result is negative, no whole number of
/// wei, or too large.
pub fn parse_amount(text: &str) -> Result<U256, NumberError> {
    if text.starts_with("0x") || text.starts_with("0X") {
        return text.parse();
    }
    let end = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (number, unit) = text.split_at(end);
    if unit.is_empty() {
        return parse_decimal(number, 0);
    }
    let unit_name = unit.to_ascii_lowercase();
    match UNITS.iter().find(|(name, _)| *name == unit_name) {
        Some((_, power)) => parse_decimal(number.trim_end(), *power),
        None if is_digits(number.get(..1).unwrap_or_default()) => {
            Err(NumberError::Unit(excerpt(unit)))
        }
        None => Err(NumberError::Format(excerpt(text))),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn from_hex(digits: &str, text: &str) -> Result<U256, NumberError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NumberError::Format(excerpt(text)));
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 64 {
        return Err(NumberError::TooLarge(excerpt(text)));
    }
    let mut word = [0; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut word)
        .map_err(|_| NumberError::Format(excerpt(text)))?;
    Ok(U256::from_be_bytes(word))
}

fn from_digits(digits: impl Iterator<Item = u8>, text: &str) -> Result<U256, NumberError> {
    digits.into_iter().try_fold(U256::ZERO, |number, digit| {
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0').into()))
            .ok_or_else(|| NumberError::TooLarge(excerpt(text)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: &str =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(MAX.parse(), Ok(U256::MAX));
        assert_eq!(U256::MAX.to_string(), MAX);
        assert_eq!(format!("0x{}", "f".repeat(64)).parse(), Ok(U256::MAX));
        assert_eq!(format!("0x000{}", "f".repeat(64)).parse(), Ok(U256::MAX));
        let above = format!("{}6", &MAX[..77]);
        assert_eq!(above.parse::<U256>().unwrap_err().code(), "number.too_large");
        assert_eq!(
            format!("0x1{}", "0".repeat(64)).parse::<U256>().unwrap_err().code(),
            "number.too_large"
        );
        assert_eq!(U256::ZERO.to_string(), "0");
        assert_eq!((U256::ZERO.bits(), U256::MAX.bits(), U256::from(256_u64).bits()), (0, 256, 9));
        assert_eq!(U256::from(1_u64).negated(), U256::MAX);
        assert_eq!(U256::MAX.to_signed_text(), "-1");
        assert_eq!(U256::ZERO.negated(), U256::ZERO);
        assert_eq!(U256::from(0xff80_u64).sign_extended(8).to_signed_text(), "-128");
        assert_eq!(U256::from(0xff7f_u64).sign_extended(8).to_signed_text(), "127");
        assert_eq!(U256::MAX.low_bits(65), U256::from((1_u128 << 65) - 1));
        assert_eq!((U256::MAX.low_bits(256), U256::MAX.low_bits(0)), (U256::MAX, U256::ZERO));
        assert_eq!(U256::from(0x0102_u64).to_minimal_bytes(), [1, 2]);
        assert!(U256::ZERO.to_minimal_bytes().is_empty());
    }

    #[test]
    fn amounts_are_exact() {
        for (text, wei) in [
            ("20gwei", "20000000000"),
            ("1ether", "1000000000000000000"),
            ("1 ether", "1000000000000000000"),
            ("0.000000000000000001ether", "1"),
            ("123456789.123456789123456789ETH", "123456789123456789123456789"),
            ("2.014e18", "2014000000000000000"),
            ("1e-9gwei", "1"),
            ("10e-1", "1"),
            ("+5", "5"),
            ("-0.0", "0"),
            ("0e999999999999999999999999", "0"),
            ("0x5208", "21000"),
        ] {
            assert_eq!(parse_amount(text), wei.parse(), "{text}");
        }
        for (text, code) in [
            ("", "number.format"),
            ("ether", "number.format"),
            ("1.", "number.format"),
            (".5", "number.format"),
            ("1e", "number.unit"),
            ("1e+", "number.format"),
            ("1_000", "number.format"),
            ("1,5ether", "number.format"),
            ("0x", "number.format"),
            ("--1", "number.format"),
            ("0.1", "number.fraction"),
            ("1.50", "number.fraction"),
            ("0.0000000000000000001ether", "number.fraction"),
            ("1e-99999999999999999999", "number.fraction"),
            ("-1", "number.negative"),
            ("1e78", "number.too_large"),
            ("1e99999999999999999999", "number.too_large"),
            ("1bitcoin", "number.unit"),
        ] {
            assert_eq!(parse_amount(text).unwrap_err().code(), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_and_bytes_come_back(bytes: [u8; 32], low: u128, cut in 0..32_usize) {
            let number = U256::from_be_bytes(bytes);
            prop_assert_eq!(number.to_be_bytes(), bytes);
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(format!("0x{}", hex::encode(bytes)).parse(), Ok(number));
            prop_assert_eq!(U256::from_be_slice(&number.to_minimal_bytes()), Some(number));
            prop_assert_eq!(number.negated().negated(), number);
            prop_assert_eq!(U256::from(low).to_string(), low.to_string());
            let short = U256::from_be_slice(&bytes[cut..]).unwrap();
            prop_assert!(short.bits() as usize <= 8 * (32 - cut));
            prop_assert_eq!(parse_decimal(&number.to_string(), 0), Ok(number));
        }
    }
}

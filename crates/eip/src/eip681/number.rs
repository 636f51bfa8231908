//! Numbers in links: `1`, `-1`, `2.014e18`, `1.5ETH`.

use std::fmt;

use crate::{
    U256,
    number::{NumberError, parse_decimal},
};

/// A whole number with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    /// Below zero.
    pub is_negative: bool,
    /// The number without its sign.
    pub size: U256,
}

impl Number {
    /// Reads digits with an optional sign, fraction, exponent and unit, exactly.
    ///
    /// `*DIGIT [ "." 1*DIGIT ] [ "e" *DIGIT ] [ "ETH" ]`: `.5e18` and `5e` are numbers, too. The unit
    /// is 10^18; some writers put a plus sign before it.
    ///
    /// # Errors
    /// If the text is malformed, or the result is no whole number of 256 bits.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, power) = match rest.strip_suffix("ETH") {
            Some(digits) => (digits.strip_suffix('+').unwrap_or(digits), 18),
            None => (rest, 0),
        };
        // A second sign, and one in the exponent, are not of the grammar.
        if digits.contains(['-', '+']) {
            return Err(NumberError::Format(text.chars().take(48).collect()));
        }
        let mut plain = digits.strip_suffix(['e', 'E']).unwrap_or(digits).to_owned();
        if plain.starts_with('.') {
            plain.insert(0, '0');
        }
        let size = parse_decimal(&plain, power)?;
        Ok(Self { is_negative: is_negative && size != U256::ZERO, size })
    }
}

impl From<U256> for Number {
    fn from(size: U256) -> Self {
        Self { is_negative: false, size }
    }
}

/// Writes it in decimal.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_negative { "-" } else { "" }, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        for (text, number) in [
            ("1", "1"),
            ("-1e18", "-1000000000000000000"),
            ("+2.014e18", "2014000000000000000"),
            ("1E18", "1000000000000000000"),
            ("1ETH", "1000000000000000000"),
            ("1.5+ETH", "1500000000000000000"),
            ("2e2ETH", "200000000000000000000"),
            (".5e1", "5"),
            ("5e", "5"),
            ("-0", "0"),
            ("111122223333441239", "111122223333441239"),
        ] {
            assert_eq!(Number::parse(text).unwrap().to_string(), number, "{text}");
        }
        for (text, code) in [
            ("", "number.format"),
            ("ETH", "number.format"),
            ("e18", "number.format"),
            ("--1", "number.format"),
            ("1e-1", "number.format"),
            ("1.", "number.format"),
            ("0x10", "number.format"),
            ("1 ETH", "number.format"),
            ("1eth", "number.format"),
            ("NOT_NUMBER", "number.format"),
            ("1.5", "number.fraction"),
            ("1e78", "number.too_large"),
        ] {
            assert_eq!(Number::parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}

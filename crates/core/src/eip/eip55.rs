//! EIP-55: addresses, whose capital letters are a checksum.
//!
//! Each letter among the 40 hex digits is a capital if the digit at the same place of the
//! Keccak-256 of the lower-case digits is 8 or more. A text in one case carries no checksum.

use std::{fmt, str::FromStr};

use crate::{
    crypto::{PublicKey, keccak256},
    explain::Explanation,
    text::excerpt,
};

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not 40 hex digits.
    #[error("{0:?} is not an address: expected 0x and 40 hex digits")]
    Format(String),
    /// Mixed case that does not match the checksum.
    #[error("the capitals of {got} do not match its digits: expected {expected}")]
    Checksum { got: String, expected: String },
}

impl AddressError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "address.format",
            Self::Checksum { .. } => "address.checksum",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "address.format",
            rule: "An address is 20 bytes: 0x and 40 hex digits.",
            source: "EIP-55",
            causes: "A public key in place of its address, or a digit was lost.",
        },
        Explanation {
            code: "address.checksum",
            rule: "Capitals among the digits are a checksum: a letter is a capital where the Keccak-256 of the small digits has 8 or more.",
            source: "EIP-55",
            causes: "A digit was mistyped. Texts in one case carry no checksum and pass.",
        },
    ];
}

/// An Ethereum address: the last 20 bytes of the Keccak-256 of X and Y.
///
/// Written with the capitals of EIP-55. Read with or without `0x`: a text in one case is accepted
/// as it is, mixed case must match the checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// Returns the address of a key.
    pub fn from_key(key: &PublicKey) -> Self {
        let hash = keccak256(&key.to_xy());
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Self(address)
    }

    /// Returns 40 lower-case digits without `0x`, the form used in key files.
    pub fn to_plain_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 40 hex digits without checking the checksum.
    pub(crate) fn parse_ignoring_case(text: &str) -> Result<Self, AddressError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits(text), &mut bytes)
            .map_err(|_| AddressError::Format(excerpt(text)))?;
        Ok(Self(bytes))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse_ignoring_case(text)?;
        let has = |test: fn(&u8) -> bool| digits(text).as_bytes().iter().any(test);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) {
            let expected = address.to_string();
            if expected.strip_prefix("0x") != Some(digits(text)) {
                return Err(AddressError::Checksum { got: excerpt(text), expected });
            }
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; 42];
        let (prefix, digits) = text.split_at_mut(2);
        prefix.copy_from_slice(b"0x");
        hex::encode_to_slice(self.0, digits).expect("20 bytes are 40 digits");
        let hash = keccak256(digits);
        for (at, digit) in digits.iter_mut().enumerate() {
            let byte = hash[at / 2];
            let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 0xf };
            if nibble >= 8 {
                digit.make_ascii_uppercase();
            }
        }
        f.pad(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn digits(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the standard: two in upper case, two in lower case, four mixed.
    const PUBLISHED: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    /// Random addresses.
    const OTHERS: [&str; 24] = [
        "0xAaeC3Fec4770950bf86f2eAfA6e21A5493566D3c",
        "0x66D50f9b63ceCf897b96D60Bf0eFFbA012b11DE9",
        "0x45e760Baca071194699Cdb4bC6cA245651F1Bf6b",
        "0xA772b49Ad60a4B9fA4B4904BFCef7CF3Fc78ed43",
        "0x48347df3B7525F0A272e1Fb6e35b3370bd868C13",
        "0x3F3407e0A13d306f44c496AcA9f7c99A2370aED6",
        "0x941f48004B0d25A112313fC1BC76486Eaf67934B",
        "0xB2c53644afF2C98cC1Cb910b5C9c441Ff2E09656",
        "0x1526E4fBbD29ea389481Db09f6bFF4071E1F4D2B",
        "0xC245D5DcaAD7aF102610146B6E413732a6a07c27",
        "0x1b9A4c955DBB7acCAD42f0A8c94c9B96aD27157B",
        "0xA7714d6fFacF537542A6A706D49C4C38B640d166",
        "0x3490fEf24464148003A4e4bAc2ce988aB4BEA002",
        "0x51f9EdC5eFf9D8b024Abf1520d0649D07a63e4f2",
        "0xDABEd62A89AF7E651f04E8Df4125Dd6CA13C6FF9",
        "0x0Ac7868B64Fe2E61A10287d2e7f62C000fCEB82e",
        "0xED845a9f157180738299C491236D650a2e69ae3F",
        "0x7C2943D007F963bbBB9C93FcEB731FCd78fCFFaE",
        "0x5C9475528963EfE80622980fFbA24Ab7Edec8df9",
        "0xE9D38051defC8f37FAFA802effecffB6A70b9A71",
        "0x28F46D92F969E5f5f1a6396287B07fF771FD9686",
        "0x59adfFFf38ab622B2cD8Bff320C899ef00393788",
        "0xef7596aC9c93125739Dc7B6b8DFa32a1e9160BA8",
        "0x246fbf55e684806cE0894092B6a223faa4a43d43",
    ];

    #[test]
    fn texts_in_any_case_are_read() {
        for text in PUBLISHED.iter().chain(&OTHERS) {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), *text);
            assert_eq!(text.to_lowercase().parse(), Ok(address));
            let upper = text.to_uppercase().replace('X', "x");
            assert_eq!(upper.parse(), Ok(address));
            assert_eq!(text.replace("0x", "").parse(), Ok(address));
        }
    }

    #[test]
    fn a_wrong_capital_is_rejected() {
        for text in OTHERS {
            for (at, letter) in text.char_indices().skip(2).filter(|it| it.1.is_alphabetic()) {
                let swapped = if letter.is_lowercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter.to_ascii_lowercase()
                };
                let mut wrong = text.to_owned();
                wrong.replace_range(at..=at, &swapped.to_string());
                let digits = wrong.trim_start_matches("0x");
                if digits.to_lowercase() == digits || digits.to_uppercase() == digits {
                    continue;
                }
                let error = wrong.parse::<Address>().unwrap_err();
                assert_eq!(error, AddressError::Checksum { got: wrong, expected: text.to_owned() });
            }
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        let long = "0".repeat(100_000_000);
        for text in ["", "0x", "0x12", &"0".repeat(39), &"g".repeat(40), "é", &long] {
            assert_eq!(text.parse::<Address>().unwrap_err().code(), "address.format");
        }
    }
}

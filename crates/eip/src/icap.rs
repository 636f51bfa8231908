//! ICAP: addresses as account numbers in the form of an IBAN, `XE…`.
//!
//! Direct: 30 digits in base 36, for addresses that begin with a zero byte. Basic: 31 digits, for
//! all. Indirect: `ETH`, four characters of an institution and nine of its client. Two check digits
//! make the whole number, letters as 10 to 35, 1 modulo 97 (ISO 13616).

use std::{fmt, str::FromStr};

use statuskit_core::explain::Explanation;

use crate::{Address, text::excerpt};

/// An account number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Icap {
    /// Direct or basic: an address.
    Address(Address),
    /// Indirect: to be looked up at an institution.
    Indirect {
        /// The asset, `ETH`.
        asset: String,
        institution: String,
        client: String,
    },
}

/// Why a text is not an account number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IcapError {
    /// Not `XE`, two digits, and 16, 30 or 31 letters and digits.
    #[error("{0:?} is no ICAP: expected XE, two digits, and 16, 30 or 31 letters and digits")]
    Format(String),
    /// Wrong check digits.
    #[error("the check digits are {got}; expected {expected}")]
    Check { got: String, expected: String },
    /// More than 160 bits.
    #[error("the account number is larger than any address")]
    TooLarge,
    /// An indirect number of another asset.
    #[error("the asset is {0:?}; expected ETH")]
    Asset(String),
}

impl IcapError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "icap.format",
            Self::Check { .. } => "icap.check",
            Self::TooLarge => "icap.too_large",
            Self::Asset(_) => "icap.asset",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "icap.format",
            rule: "An account number is XE, two digits, and 16, 30 or 31 letters and digits.",
            source: "ICAP; ISO 13616",
            causes: "Another IBAN, or a character was lost.",
        },
        Explanation {
            code: "icap.check",
            rule: "The check digits make the whole number 1 modulo 97.",
            source: "ISO 13616",
            causes: "A character was mistyped.",
        },
        Explanation {
            code: "icap.too_large",
            rule: "An account number holds an address of 20 bytes.",
            source: "ICAP",
            causes: "Not the number of an address.",
        },
        Explanation {
            code: "icap.asset",
            rule: "The asset of an indirect account number is ETH.",
            source: "ICAP",
            causes: "The account of another currency.",
        },
    ];
}

const DIRECT: usize = 30;

impl Icap {
    /// Returns `direct`, `basic` or `indirect`.
    pub fn form(&self) -> &'static str {
        match self {
            Self::Address(address) if to_base36(address).len() <= DIRECT => "direct",
            Self::Address(_) => "basic",
            Self::Indirect { .. } => "indirect",
        }
    }
}

/// Reads it in any case.
impl FromStr for Icap {
    type Err = IcapError;

    fn from_str(text: &str) -> Result<Self, IcapError> {
        let format = || IcapError::Format(excerpt(text));
        let upper = text.to_ascii_uppercase();
        let is_formed = matches!(upper.len(), 20 | 34 | 35)
            && upper.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
        let rest = upper.strip_prefix("XE").filter(|_| is_formed).ok_or_else(format)?;
        let (check, number) = rest.split_at(2);
        if !check.bytes().all(|it| it.is_ascii_digit()) {
            return Err(format());
        }
        let expected = check_digits(number);
        if check != expected {
            return Err(IcapError::Check { got: check.to_owned(), expected });
        }
        if number.len() < DIRECT {
            let (asset, rest) = number.split_at(3);
            let (institution, client) = rest.split_at(4);
            if asset != "ETH" {
                return Err(IcapError::Asset(asset.to_owned()));
            }
            let [asset, institution, client] = [asset, institution, client].map(str::to_owned);
            return Ok(Self::Indirect { asset, institution, client });
        }
        from_base36(number).map(Self::Address).ok_or(IcapError::TooLarge)
    }
}

impl fmt::Display for Icap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self {
            Self::Address(address) => format!("{:0>DIRECT$}", to_base36(address)),
            Self::Indirect { asset, institution, client } => {
                format!("{asset}{institution}{client}")
            }
        };
        f.pad(&format!("XE{}{number}", check_digits(&number)))
    }
}

fn check_digits(number: &str) -> String {
    let rest = number.bytes().chain(*b"XE00").fold(0, |rest: u32, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    });
    format!("{:02}", 98 - rest)
}

fn from_base36(digits: &str) -> Option<Address> {
    let mut bytes = [0_u8; 20];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(36)?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 36;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(Address(bytes))
}

/// Without leading zeros.
fn to_base36(address: &Address) -> String {
    let mut bytes = address.0;
    let mut digits = Vec::new();
    while bytes.iter().any(|it| *it != 0) {
        let mut rest = 0;
        for byte in &mut bytes {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 36) as u8;
            rest = value % 36;
        }
        digits.extend(char::from_digit(rest, 36).map(|it| it.to_ascii_uppercase()));
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        // Of the proposal.
        let direct: Icap = "XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS".parse().unwrap();
        let address: Address = "0x00c5496aEe77C1bA1f0854206A26DdA82a81D6D8".parse().unwrap();
        assert_eq!((direct.form(), &direct), ("direct", &Icap::Address(address)));
        let indirect: Icap = "XE81ETHXREGGAVOFYORK".parse().unwrap();
        assert_eq!(
            (indirect.form(), indirect.to_string()),
            ("indirect", "XE81ETHXREGGAVOFYORK".into())
        );
        let basic: Icap = "xe79iq214yigph0wvkzk689cdtne47tv06u".parse().unwrap();
        let address: Address = "0xA04A864273e77BE6fE500AD2F5FAD320D9168Bb6".parse().unwrap();
        assert_eq!((basic.form(), basic), ("basic", Icap::Address(address)));
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, code) in [
            ("", "icap.format"),
            ("DE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS", "icap.format"),
            ("XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZ", "icap.format"),
            ("XEé338O073KYGTWWZN0F2WZ0R8PX5ZPPZS", "icap.format"),
            ("XE7438O073KYGTWWZN0F2WZ0R8PX5ZPPZS", "icap.check"),
            (&format!("XE{}{}", check_digits(&"Z".repeat(31)), "Z".repeat(31)), "icap.too_large"),
            (&format!("XE{}ETC0000000000000", check_digits("ETC0000000000000")), "icap.asset"),
        ] {
            assert_eq!(text.parse::<Icap>().unwrap_err().code(), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn addresses_come_back(bytes: [u8; 20], zeros in 0..=20_usize) {
            let mut bytes = bytes;
            bytes[..zeros].fill(0);
            let icap = Icap::Address(Address(bytes));
            prop_assert_eq!(icap.to_string().parse(), Ok(icap));
        }
    }
}

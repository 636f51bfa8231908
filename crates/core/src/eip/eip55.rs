//! EIP-55: the capitals of an address are a checksum.
//!
//! Each letter among the 40 hex digits becomes a capital when the digit at the same place of the
//! Keccak-256 of the lower-case digits is 8 or more. Texts in one case carry no checksum.

use crate::crypto::keccak256;

/// `0x` and the 40 digits with their capitals.
pub fn checksummed(address: &[u8; 20]) -> String {
    let mut text = [b'0'; 42];
    let (prefix, digits) = text.split_at_mut(2);
    prefix.copy_from_slice(b"0x");
    hex::encode_to_slice(address, digits).expect("20 bytes are 40 digits");
    let hash = keccak256(digits);
    for (at, digit) in digits.iter_mut().enumerate() {
        let byte = hash[at / 2];
        let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 0xf };
        if nibble >= 8 {
            digit.make_ascii_uppercase();
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether 40 digits pass: they are in one case, or the capitals are right.
pub fn passes(digits: &str, address: &[u8; 20]) -> bool {
    let has = |test: fn(&u8) -> bool| digits.as_bytes().iter().any(test);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    !mixed || checksummed(address).strip_prefix("0x") == Some(digits)
}

#[cfg(test)]
mod tests {
    use crate::account::{Address, AddressError};

    /// The examples of the standard: two in capitals, two in small letters, four mixed.
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

    /// Random ones.
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
    fn capitals() {
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
    fn a_wrong_capital_is_noticed() {
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
    fn other_texts_are_no_addresses() {
        let long = "0".repeat(100_000_000);
        for text in ["", "0x", "0x12", &"0".repeat(39), &"g".repeat(40), "é", &long] {
            assert_eq!(text.parse::<Address>().unwrap_err().code(), "address.format");
        }
    }
}

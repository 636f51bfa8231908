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
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Whether 40 digits pass: they are in one case, or the capitals are right.
pub fn passes(digits: &str, address: &[u8; 20]) -> bool {
    let has = |test: fn(&u8) -> bool| digits.as_bytes().iter().any(test);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    !mixed || checksummed(address).strip_prefix("0x") == Some(digits)
}

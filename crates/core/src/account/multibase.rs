//! Multibase: bytes as text, in a base that the first letter names.
//!
//! The crate `multibase` is no substitute: its errors have neither the position of a bad character
//! nor a difference between bad characters and a bad length.

use std::{fmt, str::FromStr};

use data_encoding::{
    BASE32, BASE32_NOPAD, BASE32HEX, BASE32HEX_NOPAD, BASE64, BASE64_NOPAD, BASE64URL,
    BASE64URL_NOPAD, BitOrder, Encoding, HEXLOWER_PERMISSIVE, HEXUPPER_PERMISSIVE, Specification,
};

use super::chat_key::ChatKeyError;
use crate::text::excerpt;

/// The longest text that is decoded; a key in base 2 has 537 characters.
const MAX_TEXT: usize = 1024;

/// A base, identified by its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Base(Letter);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Letter {
    /// A fixed number of bits per character: bases 2, 8, 16, 32 and 64.
    Bits(char),
    /// `9`, `k`, `K`: the bytes as one number in base 10 or 36.
    Number(char),
    /// `z`, `Z`.
    Base58(char),
}

/// The letters that the reference knows, then those of the multibase document only.
const LETTERS: [Letter; 22] = [
    Letter::Base58('z'),
    Letter::Base58('Z'),
    Letter::Bits('f'),
    Letter::Bits('F'),
    Letter::Bits('b'),
    Letter::Bits('B'),
    Letter::Bits('c'),
    Letter::Bits('C'),
    Letter::Bits('v'),
    Letter::Bits('V'),
    Letter::Bits('t'),
    Letter::Bits('T'),
    Letter::Bits('m'),
    Letter::Bits('M'),
    Letter::Bits('u'),
    Letter::Bits('U'),
    Letter::Bits('0'),
    Letter::Bits('7'),
    Letter::Number('9'),
    Letter::Number('k'),
    Letter::Number('K'),
    Letter::Bits('h'),
];

impl Base {
    /// `z`: base58, the usual base of compact keys (`zQ3sh…`).
    pub const BASE58: Self = Self(Letter::Base58('z'));
    /// `b`: base 32 in small letters, the usual base of content identifiers (`bafy…`).
    pub const BASE32: Self = Self(Letter::Bits('b'));
    /// `k`: base 36 in small letters, the usual base of keys of IPNS (`k51…`).
    pub const BASE36: Self = Self(Letter::Number('k'));
    /// `f`: lower-case hex.
    pub const HEX: Self = Self(Letter::Bits('f'));

    /// Returns every base, `z` first.
    pub fn all() -> impl Iterator<Item = Self> {
        LETTERS.into_iter().map(Self)
    }

    /// Returns the letter in front of the text.
    pub fn letter(self) -> char {
        match self.0 {
            Letter::Bits(letter) | Letter::Number(letter) | Letter::Base58(letter) => letter,
        }
    }

    /// Returns the letter and the bytes in this base.
    pub fn encode(self, bytes: &[u8]) -> String {
        let body = match self.0 {
            Letter::Bits(letter) => encoding(letter).encode(bytes),
            Letter::Base58(letter) => {
                bs58::encode(bytes).with_alphabet(alphabet58(letter)).into_string()
            }
            Letter::Number(letter) => base_x::encode(alphabet(letter), bytes),
        };
        format!("{}{body}", self.letter())
    }

    /// Reads a text, and returns its base and its bytes. `0x` means `f`, as in the reference.
    ///
    /// Case is ignored, except in base58 and base64.
    ///
    /// # Errors
    /// If the text is too long, or malformed.
    pub fn decode(text: &str) -> Result<(Self, Vec<u8>), ChatKeyError> {
        if text.len() > MAX_TEXT {
            return Err(ChatKeyError::TooLong { got: text.len() });
        }
        if let Some(digits) = text.strip_prefix("0x") {
            return Ok((Self::HEX, decode_bits('f', digits, 2)?));
        }
        let mut chars = text.chars();
        let letter = chars.next().ok_or(ChatKeyError::Empty)?;
        let base = Self::from_letter(letter)?;
        let body = chars.as_str();
        let bytes = match base.0 {
            Letter::Bits(letter) => decode_bits(letter, body, 1)?,
            Letter::Number(letter) => decode_number(letter, body)?,
            Letter::Base58(letter) => {
                let decoded = bs58::decode(body).with_alphabet(alphabet58(letter)).into_vec();
                decoded.map_err(|error| match error {
                    bs58::decode::Error::InvalidCharacter { index, .. }
                    | bs58::decode::Error::NonAsciiCharacter { index } => {
                        ChatKeyError::Character { at: index + 2, letter }
                    }
                    _ => ChatKeyError::Padding { letter },
                })?
            }
        };
        Ok((base, bytes))
    }

    fn from_letter(letter: char) -> Result<Self, ChatKeyError> {
        Self::all().find(|base| base.letter() == letter).ok_or(ChatKeyError::Base { letter })
    }
}

/// Reads a single letter, or `0x`.
impl FromStr for Base {
    type Err = ChatKeyError;

    fn from_str(text: &str) -> Result<Self, ChatKeyError> {
        let mut chars = text.chars();
        match (chars.next(), chars.as_str()) {
            (Some('0'), "x") => Ok(Self::HEX),
            (Some(letter), "") => Self::from_letter(letter),
            (Some(_), _) => Err(ChatKeyError::BaseName(excerpt(text))),
            (None, _) => Err(ChatKeyError::Empty),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

fn alphabet58(letter: char) -> &'static bs58::Alphabet {
    if letter == 'Z' { bs58::Alphabet::FLICKR } else { bs58::Alphabet::BITCOIN }
}

/// Returns the encoding of a letter with a fixed number of bits per character.
fn encoding(letter: char) -> Encoding {
    match letter {
        'f' => HEXLOWER_PERMISSIVE,
        'F' => HEXUPPER_PERMISSIVE,
        'B' => BASE32_NOPAD,
        'C' => BASE32,
        'V' => BASE32HEX_NOPAD,
        'T' => BASE32HEX,
        'b' => lower(&BASE32_NOPAD),
        'c' => lower(&BASE32),
        'v' => lower(&BASE32HEX_NOPAD),
        't' => lower(&BASE32HEX),
        'm' => BASE64_NOPAD,
        'M' => BASE64,
        'u' => BASE64URL_NOPAD,
        'U' => BASE64URL,
        'h' => symbols("ybndrfg8ejkmcpqxot1uwisza345h769"),
        '7' => symbols("01234567"),
        _ => symbols("01"),
    }
}

fn lower(upper: &Encoding) -> Encoding {
    let mut specification = upper.specification();
    specification.symbols = specification.symbols.to_lowercase();
    build(&specification)
}

fn symbols(symbols: &str) -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str(symbols);
    specification.bit_order = BitOrder::MostSignificantFirst;
    build(&specification)
}

fn build(specification: &Specification) -> Encoding {
    specification.encoding().expect("the alphabets are well-formed constants")
}

fn decode_bits(letter: char, body: &str, skipped: usize) -> Result<Vec<u8>, ChatKeyError> {
    let in_case = match letter {
        'b' | 'c' | 'v' | 't' | 'h' => body.to_ascii_lowercase(),
        'B' | 'C' | 'V' | 'T' => body.to_ascii_uppercase(),
        _ => body.to_owned(),
    };
    encoding(letter).decode(in_case.as_bytes()).map_err(|error| match error.kind {
        data_encoding::DecodeKind::Symbol => {
            ChatKeyError::Character { at: error.position + skipped + 1, letter }
        }
        _ => ChatKeyError::Padding { letter },
    })
}

fn decode_number(letter: char, body: &str) -> Result<Vec<u8>, ChatKeyError> {
    let alphabet = alphabet(letter);
    let in_case = match letter {
        'K' => body.to_ascii_uppercase(),
        _ => body.to_ascii_lowercase(),
    };
    // The decoder does not say where the bad character is.
    if let Some(at) = in_case.chars().position(|c| !alphabet.contains(c)) {
        return Err(ChatKeyError::Character { at: at + 2, letter });
    }
    base_x::decode(alphabet, &in_case).map_err(|_| ChatKeyError::Padding { letter })
}

fn alphabet(letter: char) -> &'static str {
    match letter {
        '9' => "0123456789",
        'K' => "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        _ => "0123456789abcdefghijklmnopqrstuvwxyz",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_of_every_base() {
        // "yes mani !", from the test vectors published with multibase.
        let text = b"yes mani !";
        for encoded in [
            "001111001011001010111001100100000011011010110000101101110011010010010000000100001",
            "7362625631006654133464440102",
            "9573277761329450583662625",
            "f796573206d616e692021",
            "F796573206D616E692021",
            "v f5in683dc5n6i811".replace(' ', "").as_str(),
            "bpfsxgidnmfxgsibb",
            "BPFSXGIDNMFXGSIBB",
            "cpfsxgidnmfxgsibb",
            "hxf1zgedpcfzg1ebb",
            "k2lcpzo5yikidynfl",
            "K2LCPZO5YIKIDYNFL",
            "Z7Pznk19XTTzBtx",
            "z7paNL19xttacUY",
            "meWVzIG1hbmkgIQ",
            "MeWVzIG1hbmkgIQ==",
            "ueWVzIG1hbmkgIQ",
            "UeWVzIG1hbmkgIQ==",
        ] {
            let (base, bytes) = Base::decode(encoded).unwrap_or_else(|e| panic!("{encoded}: {e}"));
            assert_eq!(bytes, text, "{encoded}");
            assert_eq!(base.encode(text), encoded);
        }
    }

    #[test]
    fn leading_zeros_survive_every_base() {
        for base in Base::all() {
            for bytes in [&[][..], &[0], &[0, 0, 1, 255], &[255; 67]] {
                let text = base.encode(bytes);
                assert_eq!(Base::decode(&text), Ok((base, bytes.to_vec())), "{text}");
            }
            assert_eq!(base.to_string().parse(), Ok(base));
        }
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(Base::decode("z0OIl"), Err(ChatKeyError::Character { at: 2, letter: 'z' }));
        assert_eq!(Base::decode("0x1g"), Err(ChatKeyError::Character { at: 4, letter: 'f' }));
        assert_eq!(Base::decode("9x"), Err(ChatKeyError::Character { at: 2, letter: '9' }));
        assert_eq!(Base::decode("q0442"), Err(ChatKeyError::Base { letter: 'q' }));
        assert_eq!(Base::decode(""), Err(ChatKeyError::Empty));
        assert_eq!(Base::decode("f123"), Err(ChatKeyError::Padding { letter: 'f' }));
        assert_eq!(Base::decode("é"), Err(ChatKeyError::Base { letter: 'é' }));
        assert!(Base::decode("zé").is_err() && Base::decode("mé").is_err());
        let long = "z".repeat(100_000_000);
        assert_eq!(Base::decode(&long), Err(ChatKeyError::TooLong { got: 100_000_000 }));
    }
}

//! The texts of a chat key.
//!
//! | text | what |
//! | --- | --- |
//! | `0x04…` | 65 bytes in hex, 132 characters: chat id, contact id, "contact code" of the app |
//! | `0x02…`, `0x03…` | 33 bytes in hex |
//! | `zQ3sh…` | multibase of the multicodec `e701` (secp256k1-pub) and 33 bytes |
//! | `fe70102…`, `0xe70104…`, … | the same with other letters, or with all 65 bytes |
//! | `https://join.status.im/user/0x04…` | a link to one of these |
//!
//! [`parse_chat_key`] reads them all; [`to_compact`] and [`to_multicodec`] write the new ones.

use super::{link::ShareLink, multibase::Base};
use crate::crypto::{KeyError, PublicKey};

/// The multicodec of secp256k1 public keys.
pub const SECP256K1_PUB: u64 = 0xe7;

/// [`SECP256K1_PUB`] as it is written in front of a key.
const PREFIX: [u8; 2] = [0xe7, 0x01];

/// The longest text that is looked at as a chat key.
const MAX_TEXT: usize = 2048;

/// What is wrong with the text of a chat key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatKeyError {
    /// No text.
    #[error("there is no key: the text is empty")]
    Empty,
    /// Far more text than a key has.
    #[error("a text of {got} bytes is no chat key")]
    TooLong { got: usize },
    /// A first letter that no base has.
    #[error(
        "{letter:?} is not the letter of a base; a key starts with 0x04, 0x02, 0x03, zQ3sh or \
         another multibase letter"
    )]
    Base { letter: char },
    /// A text that should be one letter.
    #[error("{0:?} is not a base; expected one letter, such as z or f")]
    BaseName(String),
    /// A character that the base does not have.
    #[error("character {at} of the key is not of base {letter:?}")]
    Character {
        /// Counted from 1.
        at: usize,
        letter: char,
    },
    /// Characters are missing, or bits are left over.
    #[error("the text does not end where base {letter:?} ends: characters are missing")]
    Padding { letter: char },
    /// The type in front of the key is cut off, too large, or not in its shortest form.
    #[error("the multicodec type in front of the key is not a varint in its shortest form")]
    Varint,
    /// Another kind of key.
    #[error("multicodec type {got:#x} is not secp256k1-pub (0xe7)")]
    Type { got: u64 },
    /// The key itself.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A link to something else than a key.
    #[error("the link leads to {0}, not to a key")]
    Link(&'static str),
    /// A name that has to be looked up.
    #[error("{0:?} is an ENS name; it has to be resolved first")]
    EnsName(String),
}

impl ChatKeyError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "chat_key.empty",
            Self::TooLong { .. } => "chat_key.too_long",
            Self::Base { .. } | Self::BaseName(_) => "chat_key.base",
            Self::Character { .. } => "chat_key.character",
            Self::Padding { .. } => "chat_key.padding",
            Self::Varint => "chat_key.varint",
            Self::Type { .. } => "chat_key.type",
            Self::Key(_) => "chat_key.key",
            Self::Link(_) => "chat_key.link",
            Self::EnsName(_) => "chat_key.ens_name",
        }
    }
}

/// Reads a chat key in any of its texts, white space around it ignored.
pub fn parse_chat_key(text: &str) -> Result<PublicKey, ChatKeyError> {
    if text.len() > MAX_TEXT {
        return Err(ChatKeyError::TooLong { got: text.len() });
    }
    let text = text.trim();
    if text.contains("://")
        && let Ok(link) = text.parse::<ShareLink>()
    {
        return link.chat_key();
    }
    if let Some(key) = parse_plain_hex(text) {
        return Ok(key?);
    }
    if let Some(name) = text.strip_suffix(".eth") {
        return Err(ChatKeyError::EnsName(super::excerpt(&format!("{name}.eth"))));
    }
    Ok(parse_compact(text)?.0)
}

/// Reads only the multicodec form (`zQ3sh…`, `fe701…`, `0xe701…`), and tells its base.
pub fn parse_compact(text: &str) -> Result<(PublicKey, Base), ChatKeyError> {
    let (base, bytes) = Base::decode(text)?;
    let (codec, key) = varint(&bytes)?;
    if codec != SECP256K1_PUB {
        return Err(ChatKeyError::Type { got: codec });
    }
    if !matches!(key.len(), 33 | 65) {
        return Err(ChatKeyError::Key(KeyError::Length {
            what: "the public key",
            got: key.len(),
            expected: "65 (04…) or 33 (02… or 03…)",
        }));
    }
    Ok((PublicKey::from_slice(key)?, base))
}

/// The compact text of a key: `zQ3sh…` in [`Base::BASE58`].
pub fn to_compact(key: &PublicKey, base: Base) -> String {
    base.encode(&prefixed(&key.to_compressed()))
}

/// The multicodec text with all 65 bytes: what a compact text expands to.
pub fn to_multicodec(key: &PublicKey, base: Base) -> String {
    base.encode(&prefixed(&key.to_uncompressed()))
}

fn prefixed(key: &[u8]) -> Vec<u8> {
    [&PREFIX, key].concat()
}

/// `None` when the text has not the shape of a key in hex. Without `0x` the lengths decide: no
/// multibase text of a key has 66, 128 or 130 characters that are all hex digits.
fn parse_plain_hex(text: &str) -> Option<Result<PublicKey, KeyError>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let kind = digits.unwrap_or(text).get(..2);
    let shaped = match text.len() {
        // Whatever is wrong with it, it was meant to be one.
        _ if digits.is_some() => matches!(kind, Some("02" | "03" | "04")) || text.len() == 130,
        66 => matches!(kind, Some("02" | "03")),
        130 => kind == Some("04"),
        128 => true,
        _ => false,
    };
    if !shaped {
        return None;
    }
    let mut bytes = [0; 65];
    let body = digits.unwrap_or(text).as_bytes();
    // An odd number of digits has no length to decode to.
    let length = Some(body.len() / 2).filter(|length| length * 2 == body.len());
    let decoded = length.and_then(|length| bytes.get_mut(..length)).and_then(|bytes| {
        // Much quicker than what `parse` does, and most keys come this way.
        data_encoding::HEXLOWER_PERMISSIVE.decode_mut(body, bytes).ok()?;
        Some(PublicKey::from_slice(bytes))
    });
    match decoded {
        Some(key) => Some(key),
        // With `0x`, `parse` says what is wrong with the digits.
        None => digits.map(|_| text.parse()),
    }
}

/// An unsigned varint of at most 9 bytes, in its shortest form, and what follows.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), ChatKeyError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if *byte == 0 && at > 0 {
                break;
            }
            let (_, rest) = bytes.split_at(at + 1);
            return Ok((value, rest));
        }
    }
    Err(ChatKeyError::Varint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SecretKey, seeded_rng};

    #[test]
    fn every_text_leads_to_the_key() {
        let mut rng = seeded_rng("chat keys");
        for _ in 0..64 {
            let key = SecretKey::generate(&mut rng).public_key();
            let mut texts = vec![
                key.to_string(),
                hex::encode(key.to_uncompressed()),
                hex::encode(key.to_compressed()),
                format!("0x{}", hex::encode(key.to_compressed())),
                hex::encode(key.to_xy()),
                format!(" {key}\n"),
                format!("0x{}", hex::encode(prefixed(&key.to_compressed()))),
                format!("https://join.status.im/user/{key}"),
                format!("status-im://user/{}", to_compact(&key, Base::BASE58)),
            ];
            for base in Base::all() {
                texts.push(to_compact(&key, base));
                texts.push(to_multicodec(&key, base));
                assert_eq!(parse_compact(&to_compact(&key, base)), Ok((key, base)));
            }
            for text in texts {
                assert_eq!(parse_chat_key(&text), Ok(key), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_key_says_why() {
        let code = |text: &str| parse_chat_key(text).unwrap_err().code();
        assert_eq!(code(""), "chat_key.empty");
        assert_eq!(code(&"04".repeat(50_000_000)), "chat_key.too_long");
        assert_eq!(code("name.stateofus.eth"), "chat_key.ens_name");
        assert_eq!(code("https://join.status.im/chat/public/status"), "chat_key.link");
        assert_eq!(code("https://join.status.im/user/name.eth"), "chat_key.ens_name");
        assert_eq!(code(&format!("0x04{}", "11".repeat(64))), "chat_key.key");
        assert_eq!(code("0x1234"), "chat_key.type");
        let cut = parse_chat_key("0x0412").unwrap_err();
        assert!(cut.to_string().contains("2 bytes; expected 65"), "{cut}");
        assert_eq!(code(&format!("0x04{}", "g1".repeat(64))), "chat_key.key");
        for digits in 0..300 {
            assert!(parse_chat_key(&format!("0x04{}", "1".repeat(digits))).is_err());
            assert!(parse_chat_key(&format!("04{}", "1".repeat(digits))).is_err());
        }
        assert_eq!(code("fe70"), "chat_key.padding");
        assert_eq!(code("fe7"), "chat_key.varint");
        assert_eq!(code("fe7010234"), "chat_key.key");
        // 0xe7 in three bytes.
        assert_eq!(code("fe7810002"), "chat_key.varint");
        assert_eq!(code("fffffffffffffffffff"), "chat_key.varint");
        assert_eq!(code("fff"), "chat_key.varint");
    }

    #[test]
    fn a_plain_key_is_no_compact_text() {
        let key = SecretKey::generate(&mut seeded_rng("plain")).public_key();
        assert_eq!(parse_compact(&key.to_string()), Err(ChatKeyError::Type { got: 4 }));
    }
}

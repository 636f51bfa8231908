//! The texts of a chat key.
//!
//! | text | what |
//! | --- | --- |
//! | `0x04…` | 65 bytes in hex, 132 characters: chat id, contact id, the app's "contact code" |
//! | `0x02…`, `0x03…` | 33 bytes in hex |
//! | `zQ3sh…` | multibase of the multicodec `e701` (secp256k1-pub) and 33 bytes |
//! | `fe70102…`, `0xe70104…`, … | the same in other bases, or with all 65 bytes |
//! | `https://join.status.im/user/0x04…` | a link to one of these |
//!
//! [`parse_chat_key`] reads them all; [`to_compact`] and [`to_multicodec`] write the multibase
//! forms.

mod error;

use super::{
    link::{LinkError, ShareLink},
    multibase::Base,
};
use crate::{
    crypto::{KeyError, PublicKey},
    reader,
    text::excerpt,
};
pub use error::ChatKeyError;

/// The multicodec type of secp256k1 public keys.
const SECP256K1_PUB: u64 = 0xe7;

/// [`SECP256K1_PUB`] as a varint.
const PREFIX: [u8; 2] = [0xe7, 0x01];

/// The longest text that is accepted as a chat key.
const MAX_TEXT: usize = 2048;

/// Reads a chat key in any of its forms, ignoring surrounding white space.
///
/// # Errors
/// If the text is none of these forms, or if the key is invalid.
pub fn parse_chat_key(text: &str) -> Result<PublicKey, ChatKeyError> {
    if text.len() > MAX_TEXT {
        return Err(ChatKeyError::TooLong { got: text.len() });
    }
    let text = &joined(reader::without_wrapping(text));
    if ShareLink::is_link(text) {
        return match text.parse::<ShareLink>() {
            Ok(link) => link.chat_key(),
            Err(LinkError::Elsewhere(what)) => Err(ChatKeyError::Link(what)),
            Err(LinkError::Empty(_)) => Err(ChatKeyError::Link("nowhere")),
            Err(_) => Err(ChatKeyError::Link("something else")),
        };
    }
    if text.contains(char::is_whitespace) {
        return Err(ChatKeyError::Words);
    }
    // A mention in a message, and the same as a DID.
    let text = text.strip_prefix('@').or(text.strip_prefix("did:key:")).unwrap_or(text);
    if let Some(error) = other_hex(text) {
        return Err(error);
    }
    if let Some(key) = parse_plain_hex(text) {
        return Ok(key?);
    }
    let ending = text.len().checked_sub(4).and_then(|at| text.get(at..));
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".eth")) {
        return Err(ChatKeyError::EnsName(excerpt(text)));
    }
    Ok(parse_compact(text)?.0)
}

/// Reads the multicodec form only (`zQ3sh…`, `fe701…`, `0xe701…`), and returns its base as well.
///
/// # Errors
/// If the text is not of that form, or if the key is invalid.
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

/// Returns the compact form of a key: `zQ3sh…` in [`Base::BASE58`].
pub fn to_compact(key: &PublicKey, base: Base) -> String {
    base.encode(&prefixed(&key.to_compressed()))
}

/// Returns the multicodec form with all 65 bytes: the expanded form of a compact text.
pub fn to_multicodec(key: &PublicKey, base: Base) -> String {
    base.encode(&prefixed(&key.to_uncompressed()))
}

impl ShareLink {
    /// Reads the key in a link to a user.
    ///
    /// # Errors
    /// If the link leads to something else, or to a name or key that can't be read.
    pub fn chat_key(&self) -> Result<PublicKey, ChatKeyError> {
        match self {
            Self::User(user) if user.contains("://") => Err(ChatKeyError::Link("another link")),
            Self::User(user) => parse_chat_key(user),
            Self::PublicChat(_) => Err(ChatKeyError::Link("a public chat")),
            Self::Browse(_) => Err(ChatKeyError::Link("a page")),
        }
    }
}

/// Joins the digits of a key that stand in groups or on several lines.
fn joined(text: String) -> String {
    let is_between = |c: char| c.is_whitespace() || matches!(c, ':' | '-');
    let compact: String = text.chars().filter(|c| !is_between(*c)).collect();
    let digits = compact.strip_prefix("0x").or(compact.strip_prefix("0X")).unwrap_or(&compact);
    let is_key = matches!(digits.len(), 66 | 128 | 130)
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_key { compact } else { text }
}

/// Whether a text is as long as a key and begins as one.
pub(super) fn is_shaped_as_key(text: &str) -> bool {
    text.starts_with("zQ3sh") && text.len() > 40
        || matches!(text.get(..4), Some("0x04" | "0X04")) && text.len() == 132
}

/// What hex digits are that can't be a key: an address, 32 bytes, or a key that lost some digits.
fn other_hex(text: &str) -> Option<ChatKeyError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (bare, is_prefixed) = (digits.unwrap_or(text), digits.is_some());
    if !bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let expected = match bare.get(..2) {
        Some("02" | "03") => 66,
        // A multicodec of any length.
        Some("e7" | "E7") => return None,
        _ => 130,
    };
    match bare.len() {
        40 => Some(ChatKeyError::Address),
        64 => Some(ChatKeyError::Bytes32),
        // Without a prefix, the text may be in another base.
        got if is_prefixed && !matches!(got, 66 | 128 | 130) || got + 1 == 130 || got == 131 => {
            Some(ChatKeyError::Digits { got, expected })
        }
        _ => None,
    }
}

fn prefixed(key: &[u8]) -> Vec<u8> {
    [&PREFIX, key].concat()
}

/// Reads a key in hex. `None` if the text does not look like one.
///
/// Without `0x` the length decides: no multibase text of a key has 66, 128 or 130 characters that
/// are all hex digits.
fn parse_plain_hex(text: &str) -> Option<Result<PublicKey, KeyError>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let kind = digits.unwrap_or(text).get(..2);
    let shaped = match text.len() {
        // Even with a wrong length, it was meant to be a key in hex.
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
    // An odd number of digits can't be decoded.
    let length = Some(body.len() / 2).filter(|length| length * 2 == body.len());
    let decoded = length.and_then(|length| bytes.get_mut(..length)).and_then(|bytes| {
        // Most keys come in this form, and this is much faster than `parse`.
        data_encoding::HEXLOWER_PERMISSIVE.decode_mut(body, bytes).ok()?;
        Some(PublicKey::from_slice(bytes))
    });
    match decoded {
        Some(key) => Some(key),
        // `parse` reports what is wrong with the digits.
        None => digits.map(|_| text.parse()),
    }
}

/// Reads an unsigned varint of at most 9 bytes, in its shortest form, and returns the rest as well.
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
    fn every_form_is_read_as_the_key() {
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
                format!("GET.status.im/u/{key}/"),
                format!("@{}", to_compact(&key, Base::BASE58)),
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
    fn invalid_texts_are_rejected_with_a_reason() {
        let code = |text: &str| parse_chat_key(text).unwrap_err().code();
        assert_eq!(code(""), "chat_key.empty");
        assert_eq!(code(&"04".repeat(50_000_000)), "chat_key.too_long");
        assert_eq!(code("name.stateofus.eth"), "chat_key.ens_name");
        assert_eq!(code("https://join.status.im/chat/public/status"), "chat_key.link");
        assert_eq!(code("https://join.status.im/user/name.eth"), "chat_key.ens_name");
        assert_eq!(code(&format!("0x04{}", "11".repeat(64))), "chat_key.key");
        let cut = parse_chat_key("0x0412").unwrap_err();
        assert_eq!(cut.to_string(), "4 hex digits; a chat key has 130");
        let key = format!("0x04{}", "1".repeat(127));
        assert_eq!(parse_chat_key(&key), Err(ChatKeyError::Digits { got: 129, expected: 130 }));
        assert_eq!(
            parse_chat_key(&format!("{key}11")).unwrap_err().to_string(),
            "131 hex digits; a chat key has 130"
        );
        assert_eq!(parse_chat_key("0x0"), Err(ChatKeyError::Digits { got: 1, expected: 130 }));
        assert_eq!(parse_chat_key("0x021"), Err(ChatKeyError::Digits { got: 3, expected: 66 }));
        for text in
            ["0x", ""].map(|start| format!("{start}B1208f6258494C4b749650715249DA8699198315"))
        {
            assert_eq!(code(&text), "chat_key.address");
        }
        assert_eq!(code(&format!("0x{}", "4c".repeat(32))), "chat_key.bytes_32");
        assert_eq!(code("https://join.status.im/g/args?a=1"), "chat_key.link");
        assert_eq!(code("https://join.status.im/markets"), "chat_key.link");
        assert_eq!(code("https://example.org/user/x"), "chat_key.link");
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
    fn a_plain_key_is_not_a_compact_one() {
        let key = SecretKey::generate(&mut seeded_rng("plain")).public_key();
        assert_eq!(parse_compact(&key.to_string()), Err(ChatKeyError::Type { got: 4 }));
    }
}

//! Messages of clients before 2020: transit JSON, alone or in the wrapper with the fields 4001 and
//! 4002. They are named and shown; clients of March 2020 do not read them.

use serde_json::Value;

use crate::crypto::{PublicKey, Signature, keccak256};

/// A message of an old client.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyMessage {
    /// The signer of the wrapper. `None` without a wrapper, or if the signature is malformed.
    pub author: Option<PublicKey>,
    /// The tag of transit, such as `c4` for a message.
    pub tag: String,
    /// The text.
    pub text: Option<String>,
    /// The type of the text, such as `text/plain`.
    pub content_type: Option<String>,
    /// The kind of message, such as `public-group-user-message`.
    pub kind: Option<String>,
    /// The Lamport clock.
    pub clock: Option<u64>,
    /// When it was sent, in UNIX milliseconds.
    pub timestamp: Option<u64>,
    /// The chat.
    pub chat_id: Option<String>,
}

impl LegacyMessage {
    /// Decodes bytes that may be such a message or anything else.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let Some((signature, payload)) = unwrap(bytes) else { return Self::from_transit(bytes) };
        let mut message = Self::from_transit(payload)?;
        message.author = signature
            .and_then(|bytes| <[u8; 65]>::try_from(bytes).ok())
            .and_then(|bytes| Signature::from_bytes(bytes).recover(&keccak256(payload)).ok());
        Some(message)
    }

    fn from_transit(bytes: &[u8]) -> Option<Self> {
        if !bytes.trim_ascii_start().starts_with(b"[\"~#") {
            return None;
        }
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let tag = value.get(0)?.as_str()?.strip_prefix("~#")?.to_owned();
        let fields = value.get(1)?.as_array()?;
        let text_at = |at: usize| {
            let text = fields.get(at)?.as_str()?;
            Some(text.strip_prefix("~:").unwrap_or(text).to_owned())
        };
        let number_at = |at: usize| fields.get(at).and_then(Value::as_u64);
        Some(Self {
            author: None,
            tag,
            text: text_at(0),
            content_type: text_at(1),
            kind: text_at(2),
            clock: number_at(3),
            timestamp: number_at(4),
            chat_id: fields.get(5).and_then(|map| member(map, "~:chat-id")),
        })
    }
}

/// Returns a member of a map of transit: `["^ ", key, value, …]`.
fn member(map: &Value, name: &str) -> Option<String> {
    let items = map.as_array()?;
    let pairs = items.get(1..)?.chunks_exact(2);
    let found = pairs.into_iter().find(|pair| pair[0] == name)?;
    found[1].as_str().map(str::to_owned)
}

/// Returns the signature and the payload of the old wrapper.
fn unwrap(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    /// Keys of the fields, whose values have a length: `number << 3 | 2`.
    const SIGNATURE: u64 = 4001 << 3 | 2;
    const PAYLOAD: u64 = 4002 << 3 | 2;
    let (mut rest, mut signature, mut payload) = (bytes, None, None);
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        match key {
            SIGNATURE => signature = Some(value),
            PAYLOAD => payload = Some(value),
            _ => return None,
        }
        rest = after;
    }
    Some((signature, payload?))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    const TEXT: &str = r#"["~#c4",["abc123","text/plain","~:public-group-user-message",154593077368201,1545930773682,["^ ","~:chat-id","testing-adamb","~:text","abc123"]]]"#;

    #[test]
    fn transit_is_read() {
        let message = LegacyMessage::detect(TEXT.as_bytes()).unwrap();
        assert_eq!(message.tag, "c4");
        assert_eq!(message.text.as_deref(), Some("abc123"));
        assert_eq!(message.kind.as_deref(), Some("public-group-user-message"));
        assert_eq!(message.clock, Some(154_593_077_368_201));
        assert_eq!(message.timestamp, Some(1_545_930_773_682));
        assert_eq!(message.chat_id.as_deref(), Some("testing-adamb"));
        // A tag of another shape is named as well.
        let other = LegacyMessage::detect(br#"["~#c2",["x",["^ "]]]"#).unwrap();
        assert_eq!((&*other.tag, other.clock, other.chat_id), ("c2", None, None));
    }

    #[test]
    fn the_old_wrapper_names_its_author() {
        let key: SecretKey = "44".repeat(32).parse().unwrap();
        let signature = key.sign_digest(&keccak256(TEXT.as_bytes()));
        let mut wrapped = vec![0x8a, 0xfa, 0x01, 65];
        wrapped.extend_from_slice(signature.as_bytes());
        wrapped.extend_from_slice(&[0x92, 0xfa, 0x01, TEXT.len() as u8 | 0x80, 1]);
        wrapped.extend_from_slice(TEXT.as_bytes());
        let message = LegacyMessage::detect(&wrapped).unwrap();
        assert_eq!(message.author, Some(key.public_key()));
        for cut in 0..wrapped.len() {
            // No prefix is taken for the whole, and none panics.
            assert!(LegacyMessage::detect(&wrapped[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn other_bytes_are_none() {
        for bytes in [&b""[..], b"hi", b"[\"~#", b"[1]", b"{}", &[0x8a, 0xfa], &[0xff; 40]] {
            assert_eq!(LegacyMessage::detect(bytes), None);
        }
    }
}

//! Chat messages: text for people.

use prost::Message as _;

use super::{PayloadError, Wrapper, wrapper::Type};
use crate::crypto::SecretKey;

pub use super::proto::{
    ChatMessage,
    chat_message::{ContentType, MessageType},
};

/// How far the clock of a message may be ahead of its envelope, in milliseconds.
pub const CLOCK_ALLOWANCE_MS: u64 = 120_000;

/// A plain text for a public chat, made at `now_ms` (UNIX time in milliseconds). `last_clock` is
/// the highest clock seen in the chat, 0 if none.
pub fn public_text(chat: &str, text: &str, now_ms: u64, last_clock: u64) -> ChatMessage {
    ChatMessage {
        clock: if last_clock < now_ms { now_ms } else { last_clock + 1 },
        timestamp: now_ms,
        text: text.to_owned(),
        chat_id: chat.to_owned(),
        message_type: MessageType::PublicGroup.into(),
        content_type: ContentType::TextPlain.into(),
        ..ChatMessage::default()
    }
}

/// Wraps and signs a chat message.
pub fn wrap(message: &ChatMessage, author: &SecretKey) -> Wrapper {
    Wrapper::sign(Type::ChatMessage, message.encode_to_vec(), author)
}

/// Reads the chat message inside a wrapper.
pub fn decode(payload: &[u8]) -> Result<ChatMessage, PayloadError> {
    ChatMessage::decode(payload)
        .map_err(|error| PayloadError::Protobuf { what: "ChatMessage", error })
}

/// What a client checks before it shows a message from an envelope sent at `sent` (UNIX seconds).
pub fn validate(message: &ChatMessage, sent: u32) -> Result<(), PayloadError> {
    let refuse = |why| Err(PayloadError::Refused(why));
    let limit = u64::from(sent) * 1000 + CLOCK_ALLOWANCE_MS;
    if message.clock == 0 {
        return refuse("the clock is 0");
    }
    if message.clock > limit {
        return refuse("the clock is more than two minutes ahead of the envelope");
    }
    if message.timestamp == 0 {
        return refuse("the timestamp is 0");
    }
    if message.text.trim().is_empty() {
        return refuse("the text is blank");
    }
    if message.chat_id.is_empty() {
        return refuse("the chat id is empty");
    }
    match ContentType::try_from(message.content_type) {
        Ok(ContentType::UnknownContentType) => return refuse("the content type is unknown (0)"),
        Ok(ContentType::TransactionCommand) => {
            return refuse("a transaction command can't come from the wire");
        }
        Ok(ContentType::Sticker) => {
            let hash = message
                .payload
                .as_ref()
                .map(|super::proto::chat_message::Payload::Sticker(sticker)| &sticker.hash);
            if hash.is_none_or(String::is_empty) {
                return refuse("a sticker without a hash");
            }
        }
        _ => {}
    }
    match MessageType::try_from(message.message_type) {
        Ok(MessageType::UnknownMessageType) => refuse("the message type is unknown (0)"),
        Ok(MessageType::SystemMessagePrivateGroup) => {
            refuse("a system message can't come from the wire")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_text_is_signed_and_valid() {
        let author = SecretKey::from_bytes(&[4; 32]).unwrap();
        let message = public_text("status", "hello", 1_585_500_000_123, 0);
        let wrapper = wrap(&message, &author);
        let read = Wrapper::decode(wrapper.raw()).unwrap();
        assert_eq!(read, wrapper);
        assert_eq!(read.author(), Some(&author.public_key()));
        assert_eq!(read.kind_name(), "chat_message");
        let inner = decode(read.payload()).unwrap();
        assert_eq!(inner, message);
        assert_eq!(validate(&inner, 1_585_500_000), Ok(()));
        assert!(validate(&inner, 1_585_499_000).is_err());
    }

    #[test]
    fn the_clock_never_goes_back() {
        assert_eq!(public_text("c", "t", 100, 0).clock, 100);
        assert_eq!(public_text("c", "t", 100, 99).clock, 100);
        assert_eq!(public_text("c", "t", 100, 100).clock, 101);
    }

    #[test]
    fn blank_texts_are_refused() {
        let message = public_text("c", " \u{2003}\n", 100, 0);
        assert_eq!(validate(&message, 1), Err(PayloadError::Refused("the text is blank")));
    }
}

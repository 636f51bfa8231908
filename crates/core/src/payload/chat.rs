//! Chat messages: text for people.

use prost::Message as _;

use super::{
    PayloadError, PayloadMessage, Wrapper,
    check::{self, Receipt},
    clock, schema,
    types::{self, Type},
};
pub use super::{
    clock::ALLOWANCE_MS as CLOCK_ALLOWANCE_MS,
    proto::{ChatMessage, MessageType, chat_message::ContentType},
};
use crate::crypto::SecretKey;

/// A plain text, made at `now_ms` (UNIX time in milliseconds). `last_clock` is the highest clock
/// seen in the chat, 0 if none. `chat_id` is the name of a public chat, the recipient's `0x04…`,
/// or the id of a group.
pub fn text(
    kind: MessageType,
    chat_id: &str,
    text: &str,
    now_ms: u64,
    last_clock: u64,
) -> ChatMessage {
    ChatMessage {
        clock: clock::next(last_clock, now_ms),
        timestamp: now_ms,
        text: text.to_owned(),
        chat_id: chat_id.to_owned(),
        message_type: kind.into(),
        content_type: ContentType::TextPlain.into(),
        ..ChatMessage::default()
    }
}

/// A plain text for a public chat.
pub fn public_text(chat: &str, message: &str, now_ms: u64, last_clock: u64) -> ChatMessage {
    text(MessageType::PublicGroup, chat, message, now_ms, last_clock)
}

/// Wraps and signs a chat message. In a group it goes into a membership update instead.
pub fn wrap(message: &ChatMessage, author: &SecretKey) -> Wrapper {
    Wrapper::sign(Type::ChatMessage, message.encode_to_vec(), author)
}

/// Reads the chat message inside a wrapper.
pub fn decode(payload: &[u8]) -> Result<ChatMessage, PayloadError> {
    types::decode(&schema::CHAT_MESSAGE, payload)
}

/// What a client checks before it shows a message from an envelope sent at `sent` (UNIX seconds).
pub fn validate(message: &ChatMessage, sent: u32) -> Result<(), PayloadError> {
    check::check_chat(message, &Receipt::at(sent)).map_err(PayloadError::Rejected)
}

impl PayloadMessage {
    /// Returns the chat message: the payload itself, or the one in a group update.
    pub fn chat_message(&self) -> Option<&ChatMessage> {
        match self {
            Self::ChatMessage(message) => Some(message),
            Self::MembershipUpdateMessage(update) => update.chat_message(),
            _ => None,
        }
    }

    /// Returns the text of a chat message, or that of an edited one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::EditMessage(edit) => Some(&edit.text),
            message => message.chat_message().map(|message| &*message.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::check::Rejection;

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
        assert_eq!(
            validate(&inner, 1_585_499_000),
            Err(PayloadError::Rejected(Rejection::ClockAhead))
        );
    }

    #[test]
    fn blank_texts_are_refused() {
        let message = public_text("c", " \u{2003}\n", 100, 0);
        assert_eq!(validate(&message, 1), Err(PayloadError::Rejected(Rejection::TextBlank)));
    }
}

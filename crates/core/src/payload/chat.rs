//! Chat messages: text for people.

use prost::Message as _;

pub use super::proto::{ChatMessage, MessageType, chat_message::ContentType};
use super::{PayloadMessage, Wrapper, clock, types::Type};
use crate::{crypto::SecretKey, time::UnixMillis};

/// Returns a plain text written at `now`.
///
/// `last_clock` is the highest clock seen in the chat, 0 if there was none. `chat_id` is the name
/// of a public chat, the recipient's `0x04…`, or the id of a group.
pub fn text(
    kind: MessageType,
    chat_id: &str,
    text: &str,
    now: UnixMillis,
    last_clock: u64,
) -> ChatMessage {
    ChatMessage {
        clock: clock::next(last_clock, now),
        timestamp: now.0,
        text: text.to_owned(),
        chat_id: chat_id.to_owned(),
        message_type: kind.into(),
        content_type: ContentType::TextPlain.into(),
        ..ChatMessage::default()
    }
}

/// Wraps and signs a chat message. For a group, a membership update carries it instead.
pub fn wrap(message: &ChatMessage, author: &SecretKey) -> Wrapper {
    Wrapper::sign(Type::ChatMessage, message.encode_to_vec(), author)
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

    /// Returns the text of a chat message, or of an edited one.
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
    use crate::{
        payload::check::{Receipt, Rejection, check},
        time::UnixSeconds,
    };

    #[test]
    fn a_public_text_is_signed_and_valid() {
        let author = SecretKey::from_bytes(&[4; 32]).unwrap();
        let message =
            text(MessageType::PublicGroup, "status", "hello", UnixMillis(1_585_500_000_123), 0);
        let wrapper = wrap(&message, &author);
        let read = Wrapper::decode(wrapper.raw()).unwrap();
        assert_eq!(read, wrapper);
        assert_eq!(read.author(), Some(&author.public_key()));
        assert_eq!(read.kind_name(), "chat_message");
        let inner = read.message().unwrap();
        assert_eq!(inner, message.into());
        assert_eq!(check(&inner, &Receipt::at(UnixSeconds(1_585_500_000))), Ok(()));
        assert_eq!(
            check(&inner, &Receipt::at(UnixSeconds(1_585_499_000))),
            Err(Rejection::ClockAhead)
        );
    }

    #[test]
    fn blank_texts_are_refused() {
        let message = text(MessageType::PublicGroup, "c", " \u{2003}\n", UnixMillis(100), 0);
        assert_eq!(check(&message.into(), &Receipt::at(UnixSeconds(1))), Err(Rejection::TextBlank));
    }
}

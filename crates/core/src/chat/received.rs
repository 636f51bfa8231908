//! Messages as a program shows them: opened, read and checked once.

use std::sync::{Arc, OnceLock};

use super::{KeyRing, KeySource, Opened, messenger::ReceivedPayload};
use crate::{
    crypto::PublicKey,
    envelope::{Envelope, EnvelopeHash},
    payload::{
        PayloadMessage, Wrapper,
        check::{self, Receipt, Rejection},
        matching::Chat,
        proto::MessageType,
    },
    time::UnixSeconds,
};

/// A message with all that is known of it: the envelope, the key that opened it, the payload, and
/// whether clients accept it.
///
/// [`read`](Self::read) makes one of an opened envelope alone, as is right for public chats.
/// [`from_payload`](Self::from_payload) makes one of what a messenger returned.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    envelope: Arc<Envelope>,
    opened: Arc<Opened>,
    computed: Arc<Computed>,
    content: Content,
}

/// What is computed once of an envelope: it may hold a thousand messages.
#[derive(Debug, Default)]
struct Computed {
    hash: OnceLock<EnvelopeHash>,
    pow: OnceLock<f64>,
}

/// What a message contains.
#[derive(Debug, Clone)]
pub enum Content {
    /// A payload that a messenger accepted.
    Accepted(Box<ReceivedPayload>),
    /// A payload that was read without a messenger.
    Payload {
        /// The payload as transported.
        wrapper: Wrapper,
        /// The decoded payload. `None` if it is malformed.
        message: Option<Box<PayloadMessage>>,
        /// Why clients reject it.
        rejection: Option<Rejection>,
    },
    /// Something else than a payload of Status clients.
    Other,
}

impl ReceivedMessage {
    /// Reads what an envelope contains, without a messenger. Checks it against the envelope's
    /// time, and a message of a public chat against the chats of the ring that opened it.
    pub fn read(envelope: Arc<Envelope>, opened: Arc<Opened>, ring: &KeyRing) -> Self {
        let chats: Option<Vec<_>> = match opened.source {
            KeySource::PublicChat(_) => Some(ring.public_chats().map(str::to_owned).collect()),
            _ => None,
        };
        let receipt = Receipt {
            author: opened.message.signer(),
            public_chats: chats.as_deref(),
            ..Receipt::at(envelope.sent())
        };
        let content = match Wrapper::detect(&opened.message.payload, &receipt) {
            Some(wrapper) => {
                let message = wrapper.message().ok();
                let check = message.as_ref().map(|message| check::check_shown(message, &receipt));
                let rejection = check.and_then(Result::err);
                Content::Payload { wrapper, message: message.map(Box::new), rejection }
            }
            None => Content::Other,
        };
        Self { envelope, opened, computed: Arc::default(), content }
    }

    /// Joins a payload that a messenger accepted with the envelope that it came in.
    pub fn from_payload(
        envelope: Arc<Envelope>,
        opened: Arc<Opened>,
        payload: ReceivedPayload,
    ) -> Self {
        let content = Content::Accepted(Box::new(payload));
        Self { envelope, opened, computed: Arc::default(), content }
    }

    /// Returns another message of the same envelope: a payload that a messenger accepted.
    #[must_use]
    pub fn with_payload(&self, payload: ReceivedPayload) -> Self {
        let content = Content::Accepted(Box::new(payload));
        let Self { envelope, opened, computed, .. } = self;
        Self {
            envelope: envelope.clone(),
            opened: opened.clone(),
            computed: computed.clone(),
            content,
        }
    }

    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns the hash of the envelope. It is computed once for all its messages.
    pub fn hash(&self) -> EnvelopeHash {
        *self.computed.hash.get_or_init(|| self.envelope.hash())
    }

    /// Returns the proof of work of the envelope. It is computed once for all its messages.
    pub fn pow(&self) -> f64 {
        *self.computed.pow.get_or_init(|| self.envelope.pow(0))
    }

    /// Returns the opened envelope: the key, the signature, the padding.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Returns what the message contains.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns when the envelope was sent.
    pub fn sent(&self) -> UnixSeconds {
        self.envelope.sent()
    }

    /// Returns who wrote the message: the signer of the payload, else that of the envelope.
    pub fn author(&self) -> Option<&PublicKey> {
        self.wrapper().and_then(Wrapper::author).or(self.opened.message.signer())
    }

    /// Returns the wrapper of the payload. `None` if it is none of Status clients.
    pub fn wrapper(&self) -> Option<&Wrapper> {
        match &self.content {
            Content::Accepted(payload) => Some(&payload.wrapper),
            Content::Payload { wrapper, .. } => Some(wrapper),
            Content::Other => None,
        }
    }

    /// Returns the decoded payload.
    pub fn payload(&self) -> Option<&PayloadMessage> {
        match &self.content {
            Content::Accepted(payload) => Some(&payload.message),
            Content::Payload { message, .. } => message.as_deref(),
            Content::Other => None,
        }
    }

    /// Returns the bytes of the payload as transported, with its wrapper.
    pub fn bytes(&self) -> &[u8] {
        self.wrapper().map_or(&self.opened.message.payload, Wrapper::raw)
    }

    /// Returns why clients reject the payload. `None` if they accept it.
    pub fn rejection(&self) -> Option<Rejection> {
        match &self.content {
            Content::Accepted(payload) => payload.rejection,
            Content::Payload { rejection, .. } => *rejection,
            Content::Other => None,
        }
    }

    /// Returns the text: of a chat message, or of an application that sends bare text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            // A text that belongs to no chat is not shown.
            Content::Accepted(payload) if payload.group.is_some() && payload.chat.is_none() => None,
            Content::Accepted(payload) => payload.message.text(),
            Content::Payload { message, .. } => message.as_ref()?.text(),
            Content::Other => std::str::from_utf8(&self.opened.message.payload).ok(),
        }
    }

    /// Returns the chat that the message belongs to.
    pub fn chat(&self) -> Option<Chat> {
        match (&self.content, &self.opened.source) {
            (Content::Accepted(payload), _) => payload.chat.clone(),
            (Content::Payload { message: Some(message), .. }, KeySource::PublicChat(name)) => {
                let message = message.chat_message()?;
                let is_public = message.message_type == i32::from(MessageType::PublicGroup);
                let fits = is_public && message.chat_id == *name;
                fits.then(|| Chat::Public(name.clone()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::{KeyRing, PublicChat},
        crypto::{SecretKey, seeded_rng},
        envelope::{Draft, Recipient, seal},
        payload::chat,
        time::UnixMillis,
    };

    #[test]
    fn a_public_message_is_read_and_checked_without_a_messenger() {
        let mut rng = seeded_rng("received");
        let (author, public) = (SecretKey::generate(&mut rng), PublicChat::new("status"));
        let mut ring = KeyRing::new();
        ring.add_chat(&public);
        let now = 1_585_500_000_u32;
        let mut receive = |payload: &[u8], sent| {
            let draft =
                Draft { topic: public.topic, now: sent, ttl: 15, payload, signer: Some(&author) };
            let envelope = seal::seal(&draft, Recipient::Sym(&public.key), &mut rng).unwrap();
            let opened = ring.open(&envelope).unwrap();
            ReceivedMessage::read(Arc::new(envelope), Arc::new(opened), &ring)
        };
        let key = Some(author.public_key());
        let text = |chat: &str| {
            chat::text(MessageType::PublicGroup, chat, "hi", UnixMillis(u64::from(now) * 1000), 0)
        };
        let wrapper = chat::wrap(&text("status"), &author);

        let read = receive(wrapper.raw(), UnixSeconds(now));
        assert_eq!(
            (read.text(), read.author(), read.sent()),
            (Some("hi"), key.as_ref(), UnixSeconds(now))
        );
        assert_eq!((read.rejection(), read.bytes()), (None, wrapper.raw()));
        assert_eq!(read.chat(), Some(Chat::Public("status".to_owned())));
        assert_eq!(read.opened().source.to_string(), "chat status");

        let late = receive(wrapper.raw(), UnixSeconds(now - 121));
        assert_eq!((late.rejection(), late.text()), (Some(Rejection::ClockAhead), Some("hi")));
        let elsewhere = receive(chat::wrap(&text("other"), &author).raw(), UnixSeconds(now));
        assert_eq!(elsewhere.chat(), None);
        assert_eq!(elsewhere.rejection(), Some(Rejection::ChatUnknown));
        let malformed =
            receive(Wrapper::sign(1, vec![0x1a, 1, 0xff], &author).raw(), UnixSeconds(now));
        assert!(malformed.wrapper().is_some() && malformed.payload().is_none());
        assert_eq!((malformed.text(), malformed.rejection()), (None, None));

        let foreign = receive(b"just text", UnixSeconds(now));
        assert_eq!((foreign.text(), foreign.bytes()), (Some("just text"), &b"just text"[..]));
        assert_eq!((foreign.author(), foreign.chat()), (key.as_ref(), None));
        assert!(foreign.payload().is_none() && receive(&[0xff], UnixSeconds(now)).text().is_none());
    }
}

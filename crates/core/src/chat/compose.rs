//! Sealing a message for a destination, without a state.
//!
//! A text for a public chat or a person becomes a signed chat message with a clock. For a person it
//! is encrypted to the identity, since there is no session. Keys take any bytes.

use rand::CryptoRng;

use super::{
    PublicChat, TTL,
    messenger::{self, PostKey},
};
use crate::{
    crypto::{PublicKey, SecretKey},
    envelope::{
        Draft, Envelope, MessageError, Recipient, SymKey, Topic,
        seal::{self, DEFAULT_TTL},
        topic,
    },
    explain::Explanation,
    payload::{
        MessageId, chat,
        check::{Receipt, Rejection, check_chat},
        matching::Chat,
    },
    time::{UnixMillis, UnixSeconds},
};

/// Where a message goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A public chat.
    Public(PublicChat),
    /// A person: their chat key.
    Person(PublicKey),
    /// A group, by its chat id. Needs a state.
    Group(String),
    /// The holders of a symmetric key. Takes bytes as they are.
    SymKey {
        /// The key.
        key: SymKey,
        /// The topic. `None` if the key has none.
        topic: Option<Topic>,
    },
    /// The owner of a key pair. Takes bytes as they are.
    PublicKey(PublicKey),
}

impl Destination {
    /// Returns the public chat of this name. Deriving its key takes some milliseconds.
    pub fn public(name: &str) -> Self {
        Self::Public(PublicChat::new(name))
    }

    /// Returns the holders of a password, on the topic that the password names.
    pub fn password(password: &str) -> Self {
        let topic = Some(Topic::from_name(password));
        Self::SymKey { key: SymKey::from_password(password), topic }
    }

    /// Returns the chat of the destination. `None` for bare keys.
    pub fn chat(&self) -> Option<Chat> {
        match self {
            Self::Public(chat) => Some(Chat::Public(chat.name.clone())),
            Self::Person(key) => Some(Chat::OneToOne(*key)),
            Self::Group(id) => Some(Chat::Group(id.clone())),
            Self::SymKey { .. } | Self::PublicKey(_) => None,
        }
    }
}

/// Why a message can't be composed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// Neither the symmetric key nor the options have a topic.
    #[error("a symmetric key has no topic by itself")]
    NoTopic,
    /// A chat message has to be signed.
    #[error("a chat message needs an author")]
    NoAuthor,
    /// Sending to a group needs a messenger.
    #[error("a group needs a state")]
    NoState,
    /// Bare keys take bytes, not chat messages.
    #[error("the destination takes bytes, not chat messages")]
    NoChat,
    /// Clients would refuse the message.
    #[error("a client refuses this message: {0}")]
    Rejected(#[from] Rejection),
    /// It does not fit into an envelope.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl ComposeError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTopic | Self::NoAuthor | Self::NoState | Self::NoChat => "usage",
            Self::Rejected(rejection) => rejection.code(),
            Self::Message(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "usage",
        rule: "The arguments don't fit the command.",
        source: "tools",
        causes: "See --help, and its examples.",
    }];
}

/// An envelope that is not mined, and the id of the chat message in it.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The envelope, with nonce 0.
    pub envelope: Envelope,
    /// The id of the chat message. `None` if the envelope holds none.
    pub message_id: Option<MessageId>,
}

/// Options of a sealed message.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ComposeOptions {
    /// The topic, instead of the destination's.
    pub topic: Option<Topic>,
    /// The time to live in seconds, instead of the destination's.
    pub ttl: Option<u32>,
    /// The padding, instead of a random one.
    pub padding: Option<Vec<u8>>,
}

/// Composes messages for one destination, with increasing clocks.
#[derive(Debug, Clone)]
pub struct Composer {
    destination: Destination,
    author: Option<SecretKey>,
    last_clock: u64,
}

impl Composer {
    /// Creates a composer of messages signed by `author`.
    pub fn new(destination: Destination, author: Option<SecretKey>) -> Self {
        Self { destination, author, last_clock: 0 }
    }

    /// Returns the destination.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Seals a chat message at `now`.
    ///
    /// # Errors
    /// If the destination is no public chat or person, clients would refuse the text, or it does not
    /// fit.
    pub fn text<R: CryptoRng>(
        &mut self,
        text: &str,
        options: &ComposeOptions,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Composed, ComposeError> {
        let to = match self.destination.chat().ok_or(ComposeError::NoChat)? {
            Chat::Group(_) => return Err(ComposeError::NoState),
            chat => chat,
        };
        let author = self.author.as_ref().ok_or(ComposeError::NoAuthor)?;
        let message = chat::text(to.message_type(), &to.id(), text, now, self.last_clock);
        let sent = now.to_seconds();
        check_chat(&message, &Receipt::at(sent))?;
        self.last_clock = message.clock;
        let wrapper = chat::wrap(&message, author);
        let message_id = Some(wrapper.message_id());
        let payload = match &self.destination {
            Destination::Person(key) => messenger::without_state(key, &wrapper, rng).payload,
            _ => wrapper.raw().to_vec(),
        };
        Ok(Composed { message_id, ..self.bytes(&payload, options, sent, rng)? })
    }

    /// Seals bytes as they are at `now`.
    ///
    /// # Errors
    /// If there is no topic, or the bytes don't fit.
    pub fn bytes<R: CryptoRng>(
        &self,
        payload: &[u8],
        options: &ComposeOptions,
        now: UnixSeconds,
        rng: &mut R,
    ) -> Result<Composed, ComposeError> {
        let (key, default_topic, default_ttl) = match &self.destination {
            Destination::Public(chat) => (PostKey::Sym(chat.key.clone()), Some(chat.topic), TTL),
            Destination::SymKey { key, topic } => (PostKey::Sym(key.clone()), *topic, DEFAULT_TTL),
            Destination::PublicKey(key) => {
                (PostKey::Asym(*key), Some(partitioned(key)), DEFAULT_TTL)
            }
            Destination::Person(key) => (PostKey::Asym(*key), Some(partitioned(key)), TTL),
            Destination::Group(_) => return Err(ComposeError::NoState),
        };
        let draft = Draft {
            topic: options.topic.or(default_topic).ok_or(ComposeError::NoTopic)?,
            now,
            ttl: options.ttl.unwrap_or(default_ttl),
            payload,
            signer: self.author.as_ref(),
        };
        let recipient = match &key {
            PostKey::Sym(key) => Recipient::Sym(key),
            PostKey::Asym(key) => Recipient::Asym(key),
        };
        let envelope = seal::seal_padded(&draft, recipient, options.padding.as_deref(), rng)?;
        Ok(Composed { envelope, message_id: None })
    }
}

fn partitioned(key: &PublicKey) -> Topic {
    Topic::from_name(&topic::partitioned_name(key))
}

//! Keys for opening envelopes, and which of them opened one.

use std::{collections::HashMap, fmt};

use super::{
    PublicChat,
    messenger::{Subscription, TopicKind},
};
use crate::{
    crypto::{PublicKey, SecretKey},
    envelope::{Envelope, Message, OpenError, Opener, SymKey, Topic, seal},
    explain::Explanation,
};

/// A set of keys. Tries the keys of an envelope's topic first, then those for any topic.
///
/// The cost of opening grows with these two groups, not with the size of the ring.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_topic: HashMap<Topic, Vec<Entry>>,
    any_topic: Vec<Entry>,
}

/// What a key of a ring belongs to.
///
/// Displays as the member `opened_with` of the tools' records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySource {
    /// The private key of an identity.
    Identity(PublicKey),
    /// A public chat, by its name.
    PublicChat(String),
    /// The contact code of the owner of a key.
    ContactCode(PublicKey),
    /// The secret negotiated with a peer.
    Negotiated(PublicKey),
    /// A password.
    Password,
    /// A symmetric key of unknown use.
    SymKey,
}

impl KeySource {
    /// Returns whether messages opened with the key are for the messenger of the identity.
    ///
    /// Others carry payloads as they are, without sessions.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Identity(_) | Self::ContactCode(_) | Self::Negotiated(_) => true,
            Self::PublicChat(_) | Self::Password | Self::SymKey => false,
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(_) => f.write_str("identity"),
            Self::PublicChat(name) => write!(f, "chat {name}"),
            Self::ContactCode(key) => write!(f, "contact code of {key}"),
            Self::Negotiated(key) => write!(f, "conversation with {key}"),
            Self::Password => f.write_str("password"),
            Self::SymKey => f.write_str("symmetric key"),
        }
    }
}

/// The message in an envelope, and the key that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key.
    pub source: KeySource,
    /// The message.
    pub message: Message,
}

#[derive(Debug)]
struct Entry {
    source: KeySource,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Sym(SymKey),
    Asym(SecretKey),
}

impl KeyRing {
    /// Creates an empty ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public chat; its key is tried on its topic only.
    pub fn add_chat(&mut self, chat: &PublicChat) {
        let source = KeySource::PublicChat(chat.name.clone());
        self.add(Some(chat.topic), source, Key::Sym(chat.key.clone()));
    }

    /// Adds the key of a password, for any topic. Deriving it takes some milliseconds.
    pub fn add_password(&mut self, password: &str) {
        self.add(None, KeySource::Password, Key::Sym(SymKey::from_password(password)));
    }

    /// Adds a symmetric key, for any topic.
    pub fn add_sym_key(&mut self, key: SymKey) {
        self.add(None, KeySource::SymKey, Key::Sym(key));
    }

    /// Adds the private key of an identity, for any topic.
    pub fn add_identity(&mut self, key: SecretKey) {
        self.add(None, KeySource::Identity(key.public_key()), Key::Asym(key));
    }

    /// Adds the symmetric key of a messenger's topic, if it has one that is not in the ring yet.
    pub fn add_subscription(&mut self, subscription: &Subscription) {
        let source = match &subscription.kind {
            TopicKind::ContactCode(key) => KeySource::ContactCode(*key),
            TopicKind::Negotiated(key) => KeySource::Negotiated(*key),
            TopicKind::Public(name) => KeySource::PublicChat(name.clone()),
            // These are encrypted to the identity.
            TopicKind::Partitioned | TopicKind::Personal => return,
        };
        let Some(key) = &subscription.key else { return };
        let known = self.by_topic.get(&subscription.topic).into_iter().flatten();
        if known.into_iter().all(|entry| entry.source != source) {
            self.add(Some(subscription.topic), source, Key::Sym(key.clone()));
        }
    }

    fn add(&mut self, topic: Option<Topic>, source: KeySource, key: Key) {
        let entries = match topic {
            Some(topic) => self.by_topic.entry(topic).or_default(),
            None => &mut self.any_topic,
        };
        entries.push(Entry { source, key });
    }

    /// Returns the private keys of the identities.
    pub fn identities(&self) -> impl Iterator<Item = &SecretKey> {
        self.any_topic.iter().filter_map(|entry| match &entry.key {
            Key::Asym(key) => Some(key),
            Key::Sym(_) => None,
        })
    }

    /// Returns the names of the public chats.
    pub fn public_chats(&self) -> impl Iterator<Item = &str> {
        self.by_topic.values().flatten().filter_map(|entry| match &entry.source {
            KeySource::PublicChat(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Returns whether the ring has no key.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty() && self.any_topic.is_empty()
    }

    /// Returns the topics that have keys of their own.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        self.by_topic.keys().copied()
    }

    /// Returns what the keys of a topic belong to. Keys for any topic are not among them.
    pub fn sources(&self, topic: Topic) -> impl Iterator<Item = &KeySource> {
        self.by_topic.get(&topic).into_iter().flatten().map(|entry| &entry.source)
    }

    /// Opens an envelope with the first key that fits.
    ///
    /// # Errors
    /// If no key fits, or if one fits but the content is malformed.
    pub fn open(&self, envelope: &Envelope) -> Result<Opened, KeyRingError> {
        let topic = envelope.topic();
        let mut error = KeyRingError::NoKey(topic);
        for entry in self.by_topic.get(&topic).into_iter().flatten().chain(&self.any_topic) {
            let opener = match &entry.key {
                Key::Sym(key) => Opener::Sym(key),
                Key::Asym(key) => Opener::Asym(key),
            };
            match seal::open(envelope, opener) {
                Ok(message) => return Ok(Opened { source: entry.source.clone(), message }),
                Err(malformed @ OpenError::Message(_)) => return Err(malformed.into()),
                Err(other) => error = other.into(),
            }
        }
        Err(error)
    }
}

/// Why no key of a ring opened an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The ring has no key for the topic.
    #[error("no key was given for topic {0}")]
    NoKey(Topic),
    /// The last key that was tried does not fit, or the content is malformed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl KeyRingError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "envelope.no_key",
            Self::Open(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "envelope.no_key",
        rule: "No key was given that belongs to the envelope's topic.",
        source: "tools",
        causes: "Give --chat, --password, --sym-key or --identity.",
    }];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::seeded_rng,
        envelope::{Draft, Recipient},
        time::UnixSeconds,
    };

    #[test]
    fn opens_by_topic_and_on_any_topic() {
        let mut rng = seeded_rng("ring");
        let (sym, pair) = (SymKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let (me, topic) = (pair.public_key(), Topic([1, 2, 3, 4]));
        let draft = Draft { topic, now: UnixSeconds(100), ttl: 10, payload: b"x", signer: None };
        let envelopes = [
            seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap(),
            seal::seal(&draft, Recipient::Asym(&me), &mut rng).unwrap(),
        ];

        let mut ring = KeyRing::new();
        assert_eq!(ring.open(&envelopes[0]).unwrap_err(), KeyRingError::NoKey(topic));
        let kind = TopicKind::Negotiated(me);
        let subscription = Subscription { topic, key: Some(sym.clone()), kind };
        for _ in 0..2 {
            ring.add_subscription(&subscription);
            assert_eq!(ring.by_topic[&topic].len(), 1);
        }
        assert_eq!(ring.topics().collect::<Vec<_>>(), [topic]);
        assert_eq!(ring.open(&envelopes[0]).unwrap().source, KeySource::Negotiated(me));
        assert!(ring.open(&envelopes[1]).is_err());
        ring.add_identity(pair);
        assert_eq!(ring.open(&envelopes[1]).unwrap().source, KeySource::Identity(me));

        let mut ring = KeyRing::new();
        ring.add_sym_key(sym);
        assert_eq!(ring.open(&envelopes[0]).unwrap().source, KeySource::SymKey);
    }

    #[test]
    fn sources_have_the_names_of_records() {
        let key = SecretKey::from_bytes(&[1; 32]).unwrap().public_key();
        let names = [
            (KeySource::Identity(key), "identity".to_owned(), true),
            (KeySource::PublicChat("status".to_owned()), "chat status".to_owned(), false),
            (KeySource::ContactCode(key), format!("contact code of {key}"), true),
            (KeySource::Negotiated(key), format!("conversation with {key}"), true),
            (KeySource::Password, "password".to_owned(), false),
            (KeySource::SymKey, "symmetric key".to_owned(), false),
        ];
        for (source, name, is_private) in names {
            assert_eq!((source.to_string(), source.is_private()), (name, is_private));
        }
    }
}

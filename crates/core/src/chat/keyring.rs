//! A set of keys, and the search for the one that opens an envelope.

use std::collections::HashMap;

use super::PublicChat;
use crate::{
    crypto::{PublicKey, SecretKey},
    envelope::{Bloom, Envelope, Message, OpenError, Opener, SymKey, Topic, seal},
};

/// Keys, each with a name for people. Envelopes are tried first with the keys of their topic,
/// then with those that belong to no topic; the cost of opening grows with these two groups, not
/// with the size of the ring.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_topic: HashMap<Topic, Vec<Entry>>,
    anywhere: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Sym(SymKey),
    Asym(SecretKey),
}

/// A message, and by which key it was opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The name of the key.
    pub key_name: &'a str,
    /// What was inside.
    pub message: Message,
}

impl KeyRing {
    /// An empty ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public chat; its key is tried on its topic only.
    pub fn add_chat(&mut self, chat: &PublicChat) {
        let name = format!("chat {}", chat.name);
        self.add(Some(chat.topic), name, Key::Sym(chat.key.clone()));
    }

    /// Adds a symmetric key, for one topic or for all.
    pub fn add_sym_key(&mut self, name: impl Into<String>, key: SymKey, topic: Option<Topic>) {
        self.add(topic, name.into(), Key::Sym(key));
    }

    /// Adds a private key; it is tried on every topic.
    pub fn add_identity(&mut self, name: impl Into<String>, key: SecretKey) {
        self.add(None, name.into(), Key::Asym(key));
    }

    fn add(&mut self, topic: Option<Topic>, name: String, key: Key) {
        let entries = match topic {
            Some(topic) => self.by_topic.entry(topic).or_default(),
            None => &mut self.anywhere,
        };
        entries.push(Entry { name, key });
    }

    /// The public keys of the identities.
    pub fn identities(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.anywhere.iter().filter_map(|entry| match &entry.key {
            Key::Asym(key) => Some(key.public_key()),
            Key::Sym(_) => None,
        })
    }

    /// The first private key.
    pub fn first_identity(&self) -> Option<&SecretKey> {
        self.anywhere.iter().find_map(|entry| match &entry.key {
            Key::Asym(key) => Some(key),
            Key::Sym(_) => None,
        })
    }

    /// Whether there is a key of this name.
    pub fn has_key(&self, name: &str) -> bool {
        let entries = self.by_topic.values().flatten().chain(&self.anywhere);
        entries.into_iter().any(|entry| entry.name == name)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty() && self.anywhere.is_empty()
    }

    /// The topics that have keys of their own.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        self.by_topic.keys().copied()
    }

    /// The filter that matches the topics with keys; none if some key belongs to no topic.
    pub fn bloom(&self) -> Option<Bloom> {
        self.anywhere.is_empty().then(|| Bloom::from_topics(self.topics()))
    }

    /// Opens an envelope with the first key that fits. The error is the most telling one: that
    /// a key fitted but the content is broken, else that of the last key.
    pub fn open(&self, envelope: &Envelope) -> Result<Opened<'_>, KeyRingError> {
        let mut error = KeyRingError::NoKey(envelope.topic());
        for entry in
            self.by_topic.get(&envelope.topic()).into_iter().flatten().chain(&self.anywhere)
        {
            let opener = match &entry.key {
                Key::Sym(key) => Opener::Sym(key),
                Key::Asym(key) => Opener::Asym(key),
            };
            match seal::open(envelope, opener) {
                Ok(message) => return Ok(Opened { key_name: &entry.name, message }),
                Err(broken @ OpenError::Message(_)) => return Err(broken.into()),
                Err(other) => error = other.into(),
            }
        }
        Err(error)
    }
}

/// Why no key of a ring opened an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// The ring has no key for the topic.
    #[error("no key was given for topic {0}")]
    NoKey(Topic),
    /// The last key that was tried does not fit, or the content is broken.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl KeyRingError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "envelope.no_key",
            Self::Open(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::seeded_rng,
        envelope::{Draft, Recipient},
    };

    #[test]
    fn opens_by_topic_and_anywhere() {
        let mut rng = seeded_rng("ring");
        let (sym, pair) = (SymKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let topic = Topic([1, 2, 3, 4]);
        let draft = Draft { topic, now: 100, ttl: 10, payload: b"x", signer: None };
        let envelopes = [
            seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap(),
            seal::seal(&draft, Recipient::Asym(&pair.public_key()), &mut rng).unwrap(),
        ];

        let mut ring = KeyRing::new();
        assert_eq!(ring.open(&envelopes[0]).unwrap_err(), KeyRingError::NoKey(topic));
        ring.add_sym_key("sym", sym.clone(), Some(topic));
        assert!(ring.bloom().unwrap().matches(topic));
        assert_eq!(ring.open(&envelopes[0]).unwrap().key_name, "sym");
        assert!(ring.open(&envelopes[1]).is_err());
        ring.add_identity("me", pair);
        assert_eq!(ring.bloom(), None);
        assert_eq!(ring.open(&envelopes[1]).unwrap().key_name, "me");
    }
}

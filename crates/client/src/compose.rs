//! Texts that need no state: to public chats, and to people without sessions.

use std::collections::HashMap;

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::{ComposeError, ComposeOptions, Composed, Composer, Destination},
    crypto::SecretKey,
    time::UnixMillis,
};

/// What is needed to compose, and the clocks of the chats.
#[derive(Debug, Default)]
pub(crate) struct Composing {
    composers: HashMap<String, Composer>,
    author: Option<SecretKey>,
}

impl Composing {
    pub fn new(author: Option<SecretKey>) -> Self {
        Self { composers: HashMap::new(), author }
    }

    /// Composes a text. Without an author, it is signed by an ephemeral one.
    pub fn text(
        &mut self,
        destination: &Destination,
        text: &str,
        now: UnixMillis,
        rng: &mut ChaCha20Rng,
    ) -> Result<Composed, ComposeError> {
        let key = match destination.chat() {
            Some(chat) => format!("{chat:?}"),
            None => return Err(ComposeError::NoChat),
        };
        if self.author.is_none() {
            self.author = Some(SecretKey::generate(rng));
        }
        let author = &self.author;
        let composer = self
            .composers
            .entry(key)
            .or_insert_with(|| Composer::new(destination.clone(), author.clone()));
        composer.text(text, &ComposeOptions::default(), now, rng)
    }
}

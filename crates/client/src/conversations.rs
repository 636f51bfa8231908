//! Private conversations: a messenger between the keys and the network.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    account::InstallationId,
    chat::{
        KeyRing,
        messenger::{ChatError, GivenUp, Messenger, Post, Subscription},
    },
    crypto::{PublicKey, SecretKey},
    payload::MessageId,
    secure::device::CONTACT_CODE_TICK,
    sync::TICK_MS,
    time::UnixMillis,
};

use crate::{builder::BoxedStore, engine::Listening};

/// How often data sync has something to send.
const TICK: Duration = Duration::from_millis(TICK_MS);

/// The conversations of an identity.
pub(crate) struct Conversations {
    pub messenger: Messenger<BoxedStore>,
    /// Whether there is a state: what is only in memory must not be promised to others.
    pub is_kept: bool,
    /// Messages that were not sent yet.
    unsent: HashSet<MessageId>,
    tick: Instant,
    /// When to look again whether the contact code is due.
    publish: Instant,
}

impl Conversations {
    pub fn open(
        store: BoxedStore,
        is_kept: bool,
        identity: SecretKey,
        installation: Option<InstallationId>,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, ChatError> {
        let messenger = Messenger::open(store, identity, installation, rng)?;
        let now = Instant::now();
        Ok(Self { messenger, is_kept, unsent: HashSet::new(), tick: now, publish: now })
    }

    /// Returns the topics and keys of all conversations, and of the contact codes to watch for.
    pub fn listening(&mut self, contacts: &[PublicKey]) -> Result<Vec<Subscription>, ChatError> {
        let mut all = if self.is_kept { self.messenger.subscriptions()? } else { Vec::new() };
        for contact in contacts {
            all.push(self.messenger.contact_code(contact)?);
        }
        Ok(all)
    }

    /// Listens on one more topic. Returns whether it is new.
    pub fn listen(new: &Subscription, ring: &mut KeyRing, to: &mut Listening) -> bool {
        ring.add_subscription(new);
        to.add(new.topic)
    }

    /// Notes a message that is to be sent.
    pub fn sending(&mut self, id: MessageId) {
        self.unsent.insert(id);
    }

    /// Notes that a post is on its way.
    pub fn posted(&mut self, post: &Post) {
        for id in &post.messages {
            self.unsent.remove(id);
        }
    }

    /// Whether one of these messages waits for the next turn.
    pub fn has_unsent(&self, is_one: impl Fn(&MessageId) -> bool) -> bool {
        self.unsent.iter().any(is_one)
    }

    /// Notes that a message is sent no more.
    pub fn given_up(&mut self, given_up: &GivenUp) {
        if let Some(id) = given_up.message {
            self.unsent.remove(&id);
        }
    }

    /// Returns when there is something to send; `None` if nothing is.
    pub fn next_turn(
        &mut self,
        acknowledge: bool,
        publish: bool,
    ) -> Result<Option<Instant>, ChatError> {
        let acknowledge = acknowledge && self.is_kept;
        let is_busy = !self.unsent.is_empty() || acknowledge && !self.messenger.is_idle()?;
        let tick = is_busy.then(|| self.tick + TICK);
        let publish = (acknowledge && publish).then_some(self.publish);
        Ok(tick.into_iter().chain(publish).min())
    }

    /// Returns what is to be sent now, and the messages that are sent no more.
    pub fn turn(
        &mut self,
        publish: bool,
        now: UnixMillis,
        rng: &mut ChaCha20Rng,
    ) -> Result<(Vec<Post>, Vec<GivenUp>), ChatError> {
        let ticked = self.messenger.tick(now, rng)?;
        let mut posts = ticked.posts;
        self.tick = Instant::now();
        if publish && self.is_kept && self.publish <= self.tick {
            if self.messenger.is_contact_code_due(now)? {
                posts.push(self.messenger.publish_contact_code(now, rng)?);
            }
            self.publish = self.tick + CONTACT_CODE_TICK;
        }
        Ok((posts, ticked.given_up))
    }
}

impl std::fmt::Debug for Conversations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversations").field("is_kept", &self.is_kept).finish_non_exhaustive()
    }
}

//! Sending: from messages to envelopes that were handed to the node.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::{
        self, Composed, Destination,
        messenger::{ChatError, Messenger, Post, PostKind, Subscription as NewTopic},
    },
    crypto::PublicKey,
    envelope::{Envelope, Topic, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::{MessageId, PayloadMessage, group::Group, matching::Chat},
    time::UnixMillis,
};
use statuskit_net::node::{Handle, Interest, PeerState, SendError, Sent};

use super::{Engine, Listening, wants};
use crate::{
    builder::BoxedStore,
    conversations::Conversations,
    delivery::{Contents, PostInfo, SendId},
    error::{ClientError, SendFailure},
    event::Event,
    groups::GroupChange,
    miner::{Job, Work},
    share::message::SendOptions,
};

/// How often an envelope is mined, because peers ask for more work than before.
const MAX_MINED: u32 = 8;

/// Sends an envelope in all networks of the node. It is sent if it is in one.
fn send_everywhere(node: &Handle, envelope: &Envelope) -> Result<Sent, SendError> {
    let mut sent: Option<Sent> = None;
    let mut failure = SendError::NoPeer;
    for node in node.networks() {
        match (node.send(envelope.clone()), &mut sent) {
            (Ok(more), Some(sent)) => {
                sent.known &= more.known;
                sent.peers.extend(more.peers);
            }
            (Ok(first), None) => sent = Some(first),
            (Err(error), _) => failure = error,
        }
    }
    sent.ok_or(failure)
}

impl Engine {
    /// Sends a finished envelope.
    pub fn send_envelope(&mut self, envelope: Envelope) -> SendId {
        let id = self.new_id();
        self.hand_over(id, Contents::Envelope, envelope);
        id
    }

    /// Mines and sends what was composed.
    pub fn send_composed(&mut self, composed: Composed) -> SendId {
        let contents = composed.message_id.map_or(Contents::Envelope, Contents::Message);
        composed.message_id.into_iter().for_each(|id| self.progress.add(id));
        let options = self.acting.map_or(self.options, |acting| acting.options);
        self.mine(contents, composed.envelope, options)
    }

    /// Sends a text to a public chat, a person or a group. Its outcome is an
    /// [`Event::Delivered`] or [`Event::NotSent`] whose contents name the id.
    ///
    /// With a store, messages to a person have sessions and are repeated until they are
    /// acknowledged. Without one, they are encrypted to the identity.
    ///
    /// # Errors
    /// If clients would refuse the text, the group is unknown, or the state fails.
    pub fn send_text(
        &mut self,
        destination: &Destination,
        text: &str,
    ) -> Result<MessageId, ClientError> {
        let now = self.now();
        let is_kept = self.conversations.as_ref().is_some_and(|it| it.is_kept);
        let chat = match destination {
            Destination::Person(key) if is_kept => Chat::OneToOne(*key),
            Destination::Group(id) => Chat::Group(id.clone()),
            _ => return self.send_stateless(destination, text, now),
        };
        self.converse(|messenger, rng| messenger.send_text(&chat, text, now, rng))
    }

    /// Sends a payload of any type to a person or a group, as it is.
    ///
    /// # Errors
    /// If clients would refuse it, the group is unknown, or the state fails.
    pub fn send_payload(
        &mut self,
        chat: &Chat,
        message: PayloadMessage,
    ) -> Result<MessageId, ClientError> {
        let now = self.now();
        self.converse(|messenger, rng| messenger.send(chat, message, now, rng))
    }

    /// Returns a group that the state knows.
    ///
    /// # Errors
    /// If it is unknown, or the state fails.
    pub fn group(&mut self, chat_id: &str) -> Result<Group, ClientError> {
        let conversations = self.conversations.as_mut().ok_or(ClientError::NoIdentity)?;
        let group = conversations.messenger.group(chat_id)?;
        group.ok_or_else(|| ChatError::UnknownGroup(chat_id.to_owned()).into())
    }

    /// Sends the history of a group to its members. Returns `None` if there is no other member.
    ///
    /// # Errors
    /// If the state fails.
    pub fn announce_group(&mut self, group: Group) -> Result<Option<MessageId>, ClientError> {
        let now = self.now();
        let mut recipients = 0;
        let id = self.converse(|messenger, rng| {
            let (_, sent) = messenger.announce_group(group, now, rng)?;
            recipients = sent.recipients;
            Ok(sent)
        })?;
        Ok((recipients > 0).then_some(id))
    }

    /// Returns all chats with messages.
    ///
    /// # Errors
    /// If the state fails.
    pub fn chats(&mut self) -> Result<Vec<Chat>, ClientError> {
        let conversations = self.conversations.as_mut().ok_or(ClientError::NoIdentity)?;
        Ok(conversations.messenger.chats()?)
    }

    /// Creates a group and invites its members.
    ///
    /// # Errors
    /// If the name is empty, or the state fails.
    pub fn create_group(
        &mut self,
        name: &str,
        members: &[PublicKey],
    ) -> Result<Group, ClientError> {
        let now = self.now();
        self.change(|messenger, rng| messenger.create_group(name, members, now, rng))
    }

    /// Changes a group and sends the change to its members.
    ///
    /// # Errors
    /// If the group is unknown, the change is invalid, or the state fails.
    pub fn change_group(
        &mut self,
        chat_id: &str,
        change: &GroupChange,
    ) -> Result<Group, ClientError> {
        let (now, change) = (self.now(), change.as_change());
        self.change(|messenger, rng| messenger.change_group(chat_id, change, now, rng))
    }

    fn change(
        &mut self,
        work: impl FnOnce(
            &mut Messenger<BoxedStore>,
            &mut ChaCha20Rng,
        ) -> Result<(Group, chat::messenger::Sent), ChatError>,
    ) -> Result<Group, ClientError> {
        let mut changed = None;
        self.converse(|messenger, rng| {
            let (group, sent) = work(messenger, rng)?;
            changed = Some(group);
            Ok(sent)
        })?;
        changed.ok_or(ClientError::Ended)
    }

    fn send_stateless(
        &mut self,
        destination: &Destination,
        text: &str,
        now: UnixMillis,
    ) -> Result<MessageId, ClientError> {
        let composed = self.composing.text(destination, text, now, &mut self.rng)?;
        let id = composed.message_id.ok_or(chat::ComposeError::NoChat)?;
        self.send_composed(composed);
        Ok(id)
    }

    pub(super) fn converse(
        &mut self,
        work: impl FnOnce(
            &mut Messenger<BoxedStore>,
            &mut ChaCha20Rng,
        ) -> Result<chat::messenger::Sent, ChatError>,
    ) -> Result<MessageId, ClientError> {
        let conversations = self.conversations.as_mut().ok_or(ClientError::NoIdentity)?;
        let data_sync = self.acting.map_or(self.options, |acting| acting.options).data_sync;
        conversations.messenger.set_data_sync(data_sync);
        let sent = work(&mut conversations.messenger, &mut self.rng)?;
        if sent.recipients > 0 {
            conversations.sending(sent.id);
            self.progress.add(sent.id);
        }
        if let Some(acting) = self.acting {
            self.sharing.own_message(sent.id, acting);
        }
        for post in sent.posts {
            self.post(post);
        }
        Ok(sent.id)
    }

    /// Seals a post, and has it mined.
    pub(super) fn post(&mut self, post: Post) {
        let now = self.now().to_seconds();
        let Some(conversations) = &mut self.conversations else { return };
        conversations.posted(&post);
        let contents = Contents::Post(PostInfo::from_post(&post));
        let identity = conversations.messenger.identity();
        let options = self.sharing.options(&post.messages).unwrap_or(self.options);
        let ttl = if post.messages.is_empty() { chat::TTL } else { options.ttl };
        let sealed = post.seal(identity, now, ttl, &mut self.rng);
        if let Some(answer) = post.answer {
            self.listen(answer);
        }
        match sealed {
            Ok(envelope) => {
                self.mine(contents, envelope, options);
            }
            Err(error) => {
                let id = self.new_id();
                self.fail(id, contents, error.into());
            }
        }
    }

    fn mine(&mut self, contents: Contents, envelope: Envelope, options: SendOptions) -> SendId {
        let id = self.new_id();
        // What only others wait for keeps this program from nothing.
        let messages = contents.messages();
        if !messages.is_empty() && messages.iter().all(|id| self.sharing.sender(id).is_some()) {
            self.under_way.remove(&id);
        }
        // No work makes it smaller.
        let (size, max) = (envelope.packet_len(), DEFAULT_MAX_MESSAGE_SIZE);
        if size > max as usize {
            let error = SendError::Oversized { size, max };
            self.fail(id, contents, SendFailure::Refused { hash: envelope.hash(), error });
            return id;
        }
        self.mined.insert(id, (1, options));
        self.push_job(id, contents, envelope, options);
        id
    }

    pub(super) fn push_job(
        &mut self,
        id: SendId,
        contents: Contents,
        envelope: Envelope,
        options: SendOptions,
    ) {
        let targets = match options.pow {
            Some(target) => vec![target],
            None => self.peers.targets(envelope.topic(), chat::POW_TARGET),
        };
        let work = Work { targets, limit: options.mine_timeout };
        self.miner.push(Job { id, contents, envelope, work });
    }

    /// Gives an envelope to the node.
    pub(super) fn hand_over(&mut self, id: SendId, contents: Contents, envelope: Envelope) {
        if self.outbox.give_up_at().is_some_and(|at| at <= Instant::now()) {
            return self.fail(id, contents, SendFailure::NoPeer);
        }
        let (topic, pow) = (envelope.topic(), envelope.pow(0));
        if !matches!(self.listening, Listening::Everything) {
            // Otherwise the node itself refuses it.
            self.node.networks().iter().for_each(|node| node.add_topics([topic]));
        }
        // If there is no peer, it waits for one. What no peer wants must not be sent later, once
        // it was reported.
        let wants = |peer| {
            let state: Option<PeerState> = self.node.peer_state(peer);
            state.and_then(|it| it.status).map(|status| wants(&status, topic, pow))
        };
        let answers: Vec<bool> = self.peers.connections().filter_map(wants).collect();
        let is_wanted = answers.is_empty() || answers.contains(&true);
        let sent = is_wanted.then(|| send_everywhere(&self.node, &envelope));
        let sent = match sent {
            Some(Ok(sent)) => sent,
            Some(Err(error)) => {
                let failure = SendFailure::Refused { hash: envelope.hash(), error };
                return self.fail(id, contents, failure);
            }
            None => {
                // The node may know of a change that the client has not read yet.
                let node = &self.node;
                self.peers.refresh(|peer| node.peer_state(peer).and_then(|it| it.status));
                if self.mine_again(id, &contents, &envelope) {
                    return;
                }
                let requirements = self.peers.requirements();
                let is_topic = self.peers.suffices(pow);
                let failure = SendFailure::Unwanted { topic, pow, requirements, is_topic };
                return self.fail(id, contents, failure);
            }
        };
        let is_contact_code =
            matches!(&contents, Contents::Post(post) if post.kind == PostKind::ContactCode);
        if is_contact_code && !sent.peers.is_empty() {
            let now = self.now();
            let conversations = self.conversations.as_mut();
            let noted = conversations.map(|it| it.messenger.contact_code_published(now));
            if let Some(Err(error)) = noted {
                self.give_up_conversations(error);
            }
        }
        // The pool has it until this second is over.
        let expiry = Duration::from_secs(u64::from(envelope.expiry()) + 1);
        let left = expiry.saturating_sub(self.node.now());
        let peers = &self.peers;
        let summary = |connection| peers.get(connection).cloned();
        self.outbox.push(id, contents, Arc::new(envelope), sent, left, summary);
    }

    pub(super) fn fail(&mut self, id: SendId, contents: Contents, error: SendFailure) {
        self.mined.remove(&id);
        self.push(Event::NotSent { id, contents, error });
    }

    fn new_id(&mut self) -> SendId {
        self.next_id += 1;
        let id = SendId(self.next_id);
        match self.acting {
            Some(acting) => self.sharing.own_request(id, acting),
            None => _ = self.under_way.insert(id),
        }
        id
    }

    /// Receives what is sent to a destination from now on.
    pub fn join(&mut self, destination: &Destination) {
        let topic = match destination {
            Destination::Public(chat) => {
                if self.ring.public_chats().all(|name| name != chat.name) {
                    self.ring.add_chat(chat);
                }
                chat.topic
            }
            Destination::SymKey { key, topic: Some(topic) } => {
                self.ring.add_sym_key(key.clone());
                *topic
            }
            _ => return,
        };
        if let Listening::Nothing = self.own {
            self.own = Listening::Topics(HashSet::new());
        }
        self.own.add(topic);
        let wanted = Listening::Topics(HashSet::from([topic]));
        self.listen_to(&wanted, HashSet::new());
    }

    /// Receives no more of what is sent to a destination.
    pub fn leave(&mut self, destination: &Destination) {
        let topic = match destination {
            Destination::Public(chat) => chat.topic,
            Destination::SymKey { topic: Some(topic), .. } => *topic,
            _ => return,
        };
        if let Listening::Topics(topics) = &mut self.own {
            topics.remove(&topic);
        }
        if self.sharing.takers(topic, false).is_empty()
            && let Listening::Topics(topics) = &mut self.listening
            && topics.remove(&topic)
        {
            for node in self.node.networks() {
                node.set_interest(Interest::Topics(topics.clone()));
            }
        }
    }

    /// Listens on a topic from now on.
    pub(super) fn listen(&mut self, new: NewTopic) {
        let topic = new.topic;
        if self.is_private {
            self.own.add(topic);
        }
        if !Conversations::listen(&new, &mut self.ring, &mut self.listening) {
            return;
        }
        self.listen_on([topic]);
    }

    /// Lets the node report what is listened to, in all networks, and ask for more topics.
    pub(super) fn listen_on(&self, more: impl IntoIterator<Item = Topic> + Clone) {
        if let Listening::Topics(topics) = &self.listening {
            for node in self.node.networks() {
                node.set_interest(Interest::Topics(topics.clone()));
                node.add_topics(more.clone());
            }
        }
    }

    /// Mines an envelope again that no peer took, if a peer asks for more work than it has.
    pub(super) fn mine_again(
        &mut self,
        id: SendId,
        contents: &Contents,
        envelope: &Envelope,
    ) -> bool {
        let (topic, pow) = (envelope.topic(), envelope.pow(0));
        if !self.peers.asks_for_more(topic, pow) {
            return false;
        }
        let expires = Duration::from_secs(envelope.expiry().into());
        // A finished envelope stays as it is.
        let Some((attempts, options)) = self.mined.get_mut(&id) else { return false };
        *attempts += 1;
        if options.pow.is_some() || *attempts > MAX_MINED || expires <= self.node.now() {
            return false;
        }
        let options = *options;
        self.push_job(id, contents.clone(), envelope.clone(), options);
        true
    }
}

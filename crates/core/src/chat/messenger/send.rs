//! Sending: from a text to the payloads of envelopes.

use std::{collections::HashSet, sync::Arc};

use rand::CryptoRng;

use super::{
    ChatError, GiveUp, GivenUp, Messenger, Oversized, Post, PostKind, Result, Sent, Ticked,
    event::{PostKey, Subscription},
    topics::partitioned,
};
use crate::{
    account::Uuid,
    crypto::PublicKey,
    envelope::{Topic, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::{
        MessageId, PayloadMessage, Wrapper, chat,
        check::{self, Receipt},
        clock,
        group::{Change, Changed, EventType, Group, GroupEvent},
        matching::Chat,
        proto::{ChatMessage, ContactUpdate, PairInstallation},
        transaction,
    },
    secure::{
        EncryptedMessage, Timestamp, device::CONTACT_CODE_INTERVAL, encrypt_to_identity,
        store::Store,
    },
    sync::{GroupId, SyncMessage, SyncPayload, TICK_MS},
    time::UnixMillis,
};

/// The size in bytes that the copies of a message may take in an envelope: that of the largest
/// packet, less 8 KiB for the envelope itself, keys and ids of installations, and our bundle.
const ROOM: usize = DEFAULT_MAX_MESSAGE_SIZE as usize - (8 << 10);

/// An upper bound for the overhead of data sync around a single message, in bytes.
const SYNC_HEAD: usize = 128;

impl<S: Store> Messenger<S> {
    /// Sends a text to a chat.
    ///
    /// # Errors
    /// If clients would refuse it, it is too large, we have not joined the group, or the store fails.
    pub fn send_text<R: CryptoRng + ?Sized>(
        &mut self,
        chat: &Chat,
        text: &str,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        self.atomically(|it| {
            let last = it.clock(chat, now)?;
            let message = chat::text(chat.message_type(), &chat.id(), text, now, last);
            it.send_now(chat, message.into(), now, rng)
        })
    }

    /// Sends any payload to a chat, with the clock and the chat id that it has. Groups take chat
    /// messages only.
    ///
    /// # Errors
    /// If clients would refuse it, it is too large, the group does not accept it, or the store fails.
    pub fn send<R: CryptoRng + ?Sized>(
        &mut self,
        chat: &Chat,
        message: impl Into<PayloadMessage>,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        let message = message.into();
        self.atomically(|it| it.send_now(chat, message, now, rng))
    }

    /// Sends our name and picture to a contact.
    ///
    /// # Errors
    /// If it is too large, or the store fails.
    pub fn update_contact<R: CryptoRng + ?Sized>(
        &mut self,
        contact: &PublicKey,
        ens_name: &str,
        profile_image: &str,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        let chat = Chat::OneToOne(*contact);
        self.atomically(|it| {
            let update = ContactUpdate {
                clock: clock::next(it.clock(&chat, now)?, now),
                ens_name: ens_name.to_owned(),
                profile_image: profile_image.to_owned(),
            };
            it.send_now(&chat, update.into(), now, rng)
        })
    }

    /// Creates a group and invites its members.
    ///
    /// # Errors
    /// If the name is empty, the message is too large, or the store fails.
    pub fn create_group<R: CryptoRng + ?Sized>(
        &mut self,
        name: &str,
        members: &[PublicKey],
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(Group, Sent)> {
        self.atomically(|it| {
            let id = Uuid::generate(rng);
            let changed = Group::create(id, name, members, &it.identity, now)?;
            it.announce(changed, now, rng)
        })
    }

    /// Changes a group and sends the change to its members.
    ///
    /// # Errors
    /// If the group is unknown, the change is invalid or too large, or the store fails.
    pub fn change_group<R: CryptoRng + ?Sized>(
        &mut self,
        chat_id: &str,
        change: Change<'_>,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(Group, Sent)> {
        self.atomically(|it| {
            let group = it.known_group(chat_id)?;
            let last = it.clock(&Chat::Group(chat_id.to_owned()), now)?;
            let changed = group.change(change, &it.identity, last, now)?;
            it.announce(changed, now, rng)
        })
    }

    /// Learns the history of a group created or changed elsewhere, and sends it to its members, and
    /// to those it removes from the group as known here.
    ///
    /// # Errors
    /// If the history contradicts the known one or is too large, or the store fails.
    pub fn announce_group<R: CryptoRng + ?Sized>(
        &mut self,
        group: Group,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(Group, Sent)> {
        self.atomically(|it| {
            let known = it.stored_group(group.chat_id())?;
            let group = merged(known.as_deref(), group)?;
            let mut recipients = group.state().member_keys();
            if let Some(known) = known {
                recipients.extend(removed(&known, &group));
            }
            it.announce(Changed { group, recipients }, now, rng)
        })
    }

    /// Learns the history of a group created or changed elsewhere.
    ///
    /// # Errors
    /// If the history contradicts the known one, or the store fails.
    pub fn learn_group(&mut self, group: Group) -> Result<()> {
        self.atomically(|it| {
            let known = it.stored_group(group.chat_id())?;
            it.keep_group(Arc::new(merged(known.as_deref(), group)?), true)
        })
    }

    /// Announces this device to our others, with its name and its type (`ios`, `android`,
    /// `desktop`).
    ///
    /// # Errors
    /// If the name or the type is blank, or the store fails.
    pub fn pair<R: CryptoRng + ?Sized>(
        &mut self,
        name: &str,
        device_type: &str,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        self.atomically(|it| {
            let me = it.me;
            let pairing = PairInstallation {
                clock: clock::next(0, now),
                installation_id: it.installation().to_string(),
                device_type: device_type.to_owned(),
                name: name.to_owned(),
            };
            let wrapper = it.wrap(pairing.into(), now)?;
            let id = wrapper.message_id();
            let now = Timestamp::from_millis(now);
            let outgoing = it.device.encrypt_for_pairing(wrapper.raw(), now, rng)?;
            let mut post = it.post(&me, outgoing, vec![id], 0)?;
            post.kind = PostKind::Pairing;
            Ok(Sent { id, recipients: 1, posts: vec![post] })
        })
    }

    /// Returns our own bundle, for peers that want to write to us. Once it is sent, call
    /// [`contact_code_published`](Self::contact_code_published).
    ///
    /// # Errors
    /// If the store fails.
    pub fn publish_contact_code<R: CryptoRng + ?Sized>(
        &mut self,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Post> {
        self.atomically(|it| {
            let me = it.me;
            let outgoing = it.device.contact_code(Timestamp::from_millis(now), rng)?;
            let Subscription { topic, key, .. } = it.contact_code_of(&me)?;
            let key = key.map_or(PostKey::Asym(me), PostKey::Sym);
            let payload = outgoing.message.into_raw();
            Ok(public_post(topic, key, payload, PostKind::ContactCode, Vec::new()))
        })
    }

    /// Stores that the contact code was sent, so that it is not due again for a while.
    ///
    /// # Errors
    /// If the store fails.
    pub fn contact_code_published(&mut self, now: UnixMillis) -> Result<()> {
        self.atomically(|it| {
            it.store().put_published(now);
            Ok(())
        })
    }

    /// Returns whether it is time to publish the contact code again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_contact_code_due(&mut self, now: UnixMillis) -> Result<bool> {
        let published = self.store().published()?;
        Ok(published.is_none_or(|at| now.saturating_since(at) >= CONTACT_CODE_INTERVAL || at > now))
    }

    /// Returns what data sync has to send at `now`: new messages, unacknowledged ones again, and
    /// acknowledgements. Call it every [`TICK_MS`] milliseconds while the messenger [is not
    /// idle](Self::is_idle).
    ///
    /// # Errors
    /// If the store fails.
    pub fn tick<R: CryptoRng + ?Sized>(&mut self, now: UnixMillis, rng: &mut R) -> Result<Ticked> {
        self.atomically(|it| {
            let (due, last) = (now.0 / TICK_MS, it.last_epoch);
            let mut node = it.sync()?;
            // Epochs always advance; one by one, if the clock was set back.
            let stored = node.epoch()?;
            let epoch = if due > stored { due } else { stored.max(last) + 1 };
            let ticked = node.tick_to(epoch)?;
            it.last_epoch = epoch;
            if ticked.payloads.is_empty() && ticked.given_up.is_empty() {
                // The epoch alone is not worth a write.
                it.store().discard();
                return Ok(Ticked::default());
            }
            let mut result = Ticked::default();
            for (peer, id) in ticked.given_up {
                let why = GiveUp::Unacknowledged;
                let message = it.store().take_awaited(&id)?;
                result.given_up.push(GivenUp { peer, sync_id: id, message, why });
            }
            for (peer, mut payload) in ticked.payloads {
                // The peer may have more devices than when the message was queued.
                if let Err(oversized) = it.fits(&peer, payload.encode().len())? {
                    for message in std::mem::take(&mut payload.messages) {
                        let sync_id = message.id();
                        it.sync()?.give_up(&peer, &sync_id)?;
                        let message = it.store().take_awaited(&sync_id)?;
                        let why = GiveUp::Oversized(oversized);
                        result.given_up.push(GivenUp { peer, sync_id, message, why });
                    }
                }
                if !payload.is_empty() {
                    result.posts.push(it.post_of(&peer, &payload, now, rng)?);
                }
            }
            Ok(result)
        })
    }

    /// Checks that a message of this size can be sent to a peer: one envelope holds all copies.
    fn fits(
        &mut self,
        peer: &PublicKey,
        size: usize,
    ) -> Result<std::result::Result<(), Oversized>> {
        let copies = self.device.copies_for(peer)?;
        let most = ROOM / copies;
        Ok(if size <= most { Ok(()) } else { Err(Oversized { size, most, copies }) })
    }

    fn post_of<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        payload: &SyncPayload,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Post> {
        let author = self.me.to_uncompressed();
        let id = |message: &SyncMessage| {
            MessageId(crate::crypto::keccak256(&[&author[..], message.body()].concat()))
        };
        let messages = payload.messages.iter().map(id).collect();
        let now = Timestamp::from_millis(now);
        let bytes = payload.encode();
        // An acknowledgement does not make a stranger known.
        let outgoing = if payload.messages.is_empty() {
            self.device.answer_to(peer, &bytes, now, rng)?
        } else {
            self.device.encrypt_to(peer, &bytes, now, rng)?
        };
        self.post(peer, outgoing, messages, payload.acks.len())
    }

    fn send_now<R: CryptoRng + ?Sized>(
        &mut self,
        chat: &Chat,
        message: PayloadMessage,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        let clock = clock::of(&message);
        match chat {
            Chat::Public(name) => {
                let chats = [name.clone()];
                let receipt = Receipt { public_chats: Some(&chats), ..sent_at(now) };
                check::check_shown(&message, &receipt).map_err(ChatError::Rejected)?;
                let wrapper = self.wrap(message, now)?;
                let size = wrapper.raw().len();
                if size > ROOM {
                    return Err(Oversized { size, most: ROOM, copies: 1 }.into());
                }
                let key = PostKey::Sym(self.store().key_of_name(name)?);
                self.touch(chat, clock, true)?;
                let (id, topic) = (wrapper.message_id(), Topic::from_name(name));
                let payload = wrapper.raw().to_vec();
                let post = public_post(topic, key, payload, PostKind::Public, vec![id]);
                Ok(Sent { id, recipients: 1, posts: vec![post] })
            }
            Chat::OneToOne(peer) => {
                let begun = transaction::begun(&message);
                let wrapper = self.wrap(message, now)?;
                self.touch(chat, clock, true)?;
                if let Some(state) = begun {
                    let command = transaction::StoredCommand { peer: *peer, is_ours: true, state };
                    self.store().put_command(&wrapper.message_id(), &command);
                }
                self.dispatch(&[*peer], &wrapper, now, rng)
            }
            Chat::Group(id) => {
                let number = message.number();
                let PayloadMessage::ChatMessage(text) = message else {
                    return Err(ChatError::NotForGroups(number));
                };
                let group = self.known_group(id)?;
                if !group.state().may_write(&self.me.to_string()) {
                    return Err(ChatError::NotJoined);
                }
                let wrapper = self.wrap_update(&group, Some(text), now)?;
                self.touch(chat, clock, true)?;
                self.dispatch(&group.state().member_keys(), &wrapper, now, rng)
            }
        }
    }

    /// Stores a changed group, and sends it to its recipients.
    fn announce<R: CryptoRng + ?Sized>(
        &mut self,
        changed: Changed,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(Group, Sent)> {
        let Changed { group, recipients } = changed;
        self.keep_group(Arc::new(group.clone()), true)?;
        let wrapper = self.wrap_update(&group, None, now)?;
        let sent = self.dispatch(&recipients, &wrapper, now, rng)?;
        Ok((group, sent))
    }

    fn known_group(&mut self, chat_id: &str) -> Result<Arc<Group>> {
        let group = self.stored_group(chat_id)?;
        group.ok_or_else(|| ChatError::UnknownGroup(chat_id.to_owned()))
    }

    /// Signs the update of a group, with a text if there is one.
    fn wrap_update(
        &self,
        group: &Group,
        text: Option<ChatMessage>,
        now: UnixMillis,
    ) -> Result<Wrapper> {
        let receipt = sent_at(now);
        let clocks = check::first_failure(&check::event_clocks(
            group.events().iter().map(GroupEvent::clock),
            now,
        ));
        let text_is_valid =
            text.as_ref().map_or(Ok(()), |it| check::check_shown(&it.clone().into(), &receipt));
        clocks.and(text_is_valid).map_err(ChatError::Rejected)?;
        let message = PayloadMessage::from(group.update(text));
        Ok(Wrapper::sign(message.number(), message.encode(), &self.identity))
    }

    /// Signs a payload, if clients accept it.
    fn wrap(&self, message: PayloadMessage, now: UnixMillis) -> Result<Wrapper> {
        check::check_shown(&message, &sent_at(now)).map_err(ChatError::Rejected)?;
        Ok(Wrapper::sign(message.number(), message.encode(), &self.identity))
    }

    /// Sends a wrapper to all recipients, and to our own paired devices.
    fn dispatch<R: CryptoRng + ?Sized>(
        &mut self,
        recipients: &[PublicKey],
        wrapper: &Wrapper,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Sent> {
        let me = self.me;
        let id = wrapper.message_id();
        // It may come back to us, and is known then.
        self.store().see(&id.0)?;
        let paired = self.installations(&me)?.iter().any(|it| it.enabled);
        let mut all: Vec<_> = recipients.iter().filter(|key| **key != me).copied().collect();
        if paired || all.is_empty() && recipients.contains(&me) {
            all.push(me);
        }
        // Queue nothing that could never be sent.
        for peer in &all {
            self.fits(peer, wrapper.raw().len() + SYNC_HEAD)??;
        }
        let (recipients, mut posts) = (all.len(), Vec::new());
        for peer in all {
            self.device.mark_known(&peer)?;
            // A message to ourselves is acknowledged only by another device of ours.
            if self.data_sync && (peer != me || paired) {
                let group = GroupId::from_pair(&me, &peer);
                let sync_id =
                    self.sync()?.append(&peer, group, wrapper.raw().to_vec(), now.to_seconds())?;
                self.store().put_awaited(&sync_id, &id);
            } else {
                let now = Timestamp::from_millis(now);
                let outgoing = self.device.encrypt_to(&peer, wrapper.raw(), now, rng)?;
                posts.push(self.post(&peer, outgoing, vec![id], 0)?);
            }
        }
        Ok(Sent { id, recipients, posts })
    }

    fn post(
        &mut self,
        peer: &PublicKey,
        outgoing: EncryptedMessage,
        messages: Vec<MessageId>,
        acks: usize,
    ) -> Result<Post> {
        let EncryptedMessage { message, device_messages: parts, secret, agreed, .. } = outgoing;
        let answer = match &secret {
            Some(secret) => Some(self.negotiated(peer, secret)?),
            None => None,
        };
        let (topic, key) = match &answer {
            Some(Subscription { topic, key: Some(key), .. }) if agreed => {
                (*topic, PostKey::Sym(key.clone()))
            }
            _ => partitioned(peer),
        };
        let kind = if parts.is_empty() { PostKind::Fallback } else { PostKind::Direct };
        let (payload, to) = (message.into_raw(), Some(*peer));
        Ok(Post { topic, key, payload, to, kind, messages, acks, parts, answer })
    }
}

/// Returns a post without a recipient.
fn public_post(
    topic: Topic,
    key: PostKey,
    payload: Vec<u8>,
    kind: PostKind,
    messages: Vec<MessageId>,
) -> Post {
    Post { topic, key, payload, to: None, kind, messages, acks: 0, parts: Vec::new(), answer: None }
}

/// Encrypts a wrapper to the identity of `peer`, without an installation or a bundle of our own:
/// without a state, a reply in a session could not be read. Not forward secret.
pub fn without_state<R: CryptoRng + ?Sized>(
    peer: &PublicKey,
    wrapper: &Wrapper,
    rng: &mut R,
) -> Post {
    let message = encrypt_to_identity(peer, wrapper.raw(), rng);
    let (topic, key) = partitioned(peer);
    Post {
        topic,
        key,
        payload: message.into_raw(),
        to: Some(*peer),
        kind: PostKind::Fallback,
        messages: vec![wrapper.message_id()],
        acks: 0,
        parts: Vec::new(),
        answer: None,
    }
}

/// Returns the receipt of a message sent now.
fn sent_at(now: UnixMillis) -> Receipt<'static> {
    Receipt { sent: now.to_seconds().to_millis(), now, ..Receipt::default() }
}

/// Merges a history with the known one.
fn merged(known: Option<&Group>, group: Group) -> Result<Group> {
    match known {
        Some(known) => known.merge(group.events()).map_err(|error| ChatError::Group(error.into())),
        None => Ok(group),
    }
}

/// Returns the members that were removed. Those that left by themselves know it.
fn removed(before: &Group, after: &Group) -> Vec<PublicKey> {
    let left: HashSet<_> = before
        .unknown(after.events())
        .filter(|event| event.kind() == Some(EventType::MemberRemoved))
        .filter(|event| event.members() == [event.author_text()])
        .map(GroupEvent::author)
        .collect();
    let mut gone = before.state().member_keys();
    gone.retain(|key| !after.state().members.contains(&key.to_string()) && !left.contains(key));
    gone
}

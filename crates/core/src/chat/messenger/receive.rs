//! Receiving: from the payload of an envelope to its meaning, layer by layer.

use std::{collections::BTreeSet, sync::Arc};

use rand::CryptoRng;

use super::{
    Incoming, Layers, MAX_CHATS, MAX_WORK, Messenger, MessengerEvent, Outcome, Post, PostKind,
    ReceivedPayload, Result, UnreadReason, topics::partitioned,
};
use crate::{
    account::InstallationId,
    crypto::{PublicKey, keccak256},
    payload::{
        MessageId, PayloadMessage, Wrapper,
        check::{self, Receipt, Rejection},
        clock,
        group::{self, AppliedUpdate, Group, GroupState},
        matching::{Chat, Chats, chat_of},
        proto::{ChatMessage, ContactUpdate, MembershipUpdateMessage, MessageType},
        transaction,
    },
    secure::{
        DecryptError, DecryptedContent, EncryptionKind, ProtocolMessage, SecureError, Timestamp,
        store::Store,
    },
    sync::SyncPayload,
    time::UnixMillis,
};

impl<S: Store> Messenger<S> {
    /// Handles an opened message at `now` (UNIX milliseconds).
    ///
    /// # Errors
    /// If the store fails. What is wrong with the message is an
    /// [event](MessengerEvent::Unread).
    pub fn receive<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &Incoming<'_>,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Outcome> {
        self.atomically(|it| it.handle(incoming, now, rng))
    }

    /// Handles messages in this order, and writes them in one transaction.
    ///
    /// # Errors
    /// If the store fails: then none of them was handled.
    pub fn receive_all<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &[Incoming<'_>],
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Vec<Outcome>> {
        self.atomically(|it| incoming.iter().map(|one| it.handle(one, now, rng)).collect())
    }

    pub(super) fn handle<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &Incoming<'_>,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.work = 0;
        let Ok(message) = ProtocolMessage::decode(incoming.payload) else {
            self.handle_bare(incoming, None, now, &mut outcome)?;
            return Ok(outcome);
        };
        let fields = message.fields();
        let is_empty = fields.bundles.is_empty()
            && fields.direct_message.is_empty()
            && fields.public_message.is_empty();
        if is_empty {
            self.handle_bare(incoming, None, now, &mut outcome)?;
            return Ok(outcome);
        }
        let Some(sender) = incoming.signer else {
            self.handle_bare(incoming, Some(UnreadReason::Unsigned), now, &mut outcome)?;
            return Ok(outcome);
        };
        if *sender == self.me && fields.installation_id == self.installation().as_str() {
            outcome.events.push(MessengerEvent::Own);
            return Ok(outcome);
        }
        // The network keeps envelopes for a while, and sends them again to peers that reconnect.
        let digest = keccak256(incoming.payload);
        if self.store().has_seen(&digest)? {
            outcome.events.push(MessengerEvent::Again);
            return Ok(outcome);
        }
        let received = match self.device.decrypt(sender, message.raw(), rng) {
            Ok(received) => received,
            Err(SecureError::Bundle(error)) => {
                outcome.events.push(unread(incoming, error, Layers::default()));
                return Ok(outcome);
            }
            Err(other) => return Err(other.into()),
        };
        self.clear_forgotten()?;
        if !fields.bundles.is_empty() {
            let learned = received.learned;
            if !learned.is_empty() {
                // A new device, perhaps the only one: it has none of our messages.
                self.sync()?.repeat_at_once(sender)?;
            }
            outcome.events.push(MessengerEvent::Bundle { sender: *sender, learned });
        }
        let layers = Layers {
            installation: Some(received.installation).filter(|id| !id.as_str().is_empty()),
            ..Layers::default()
        };
        match received.content {
            Ok(content) => {
                self.store().see(&digest)?;
                self.handle_content(incoming, sender, content, layers, now, &mut outcome)?;
            }
            // A contact code.
            Err(DecryptError::NoPayload) if !fields.bundles.is_empty() => {}
            // From a paired device to another recipient.
            Err(DecryptError::NotPaired) if self.is_paired(layers.installation.as_ref())? => {
                outcome.events.push(MessengerEvent::Own);
            }
            Err(refusal) => {
                if refusal == DecryptError::DeviceNotFound {
                    outcome.posts.extend(self.advertise(sender, now, rng)?);
                }
                self.handle_bare(incoming, Some(refusal.into()), now, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    /// Returns whether an installation is one of our own that we send to.
    fn is_paired(&mut self, id: Option<&InstallationId>) -> Result<bool> {
        let me = self.me;
        Ok(self.installations(&me)?.iter().any(|it| it.enabled && Some(&it.id) == id))
    }

    /// Tells a sender that does not know this device about it, at a limited rate.
    fn advertise<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<Option<Post>> {
        let outgoing = self.device.answer_unknown(sender, Timestamp::from_millis(now), rng)?;
        let (topic, key) = partitioned(sender);
        Ok(outgoing.map(|outgoing| Post {
            topic,
            key,
            payload: outgoing.message.into_raw(),
            to: Some(*sender),
            kind: PostKind::Advertisement,
            messages: Vec::new(),
            acks: 0,
            parts: Vec::new(),
            answer: None,
        }))
    }

    /// Handles what the secure transport could not read: it may be a wrapper by itself. If it is
    /// not, `reason` says why it was not read.
    fn handle_bare(
        &mut self,
        incoming: &Incoming<'_>,
        reason: Option<UnreadReason>,
        now: UnixMillis,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let receipt = Receipt {
            sent: incoming.sent.to_millis(),
            now,
            author: incoming.signer,
            me: Some(&self.me),
            ..Receipt::default()
        };
        match Wrapper::detect(incoming.payload, &receipt) {
            Some(wrapper) => {
                let events = self.handle_wrapper(incoming, wrapper, Layers::default(), now)?;
                outcome.events.extend(events);
            }
            None => outcome.events.push(match reason {
                Some(reason) => unread(incoming, reason, Layers::default()),
                None => MessengerEvent::Foreign,
            }),
        }
        Ok(())
    }

    /// Handles what the secure transport decrypted: data sync, or a wrapper.
    fn handle_content(
        &mut self,
        incoming: &Incoming<'_>,
        sender: &PublicKey,
        content: DecryptedContent,
        mut layers: Layers,
        now: UnixMillis,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let is_private = content.encryption != EncryptionKind::Public;
        if is_private {
            self.device.register(sender)?;
        }
        if let Some(secret) = &content.secret {
            let new = self.negotiated(sender, secret)?;
            outcome.events.push(MessengerEvent::Subscribe(new));
        }
        layers.secure = Some(content.encryption);
        if content.plaintext.is_empty() {
            outcome.events.push(MessengerEvent::Empty { sender: *sender });
        } else if let Some(mut payload) =
            SyncPayload::detect(&content.plaintext).filter(|_| is_private)
        {
            let messages = std::mem::take(&mut payload.messages);
            let strays = std::mem::take(&mut payload.strays);
            let received = self.sync()?.receive(sender, payload)?;
            if received.malformed > 0 {
                let reason = UnreadReason::Sync(received.malformed);
                outcome.events.push(unread(incoming, reason, layers.clone()));
            }
            if received.beyond > 0 {
                let reason = UnreadReason::TooManyItems(received.beyond);
                outcome.events.push(unread(incoming, reason, layers.clone()));
            }
            if !received.acked.is_empty() {
                let store = self.store();
                let id = |id| Ok((id, store.take_awaited(&id)?));
                let ids = received.acked.into_iter().map(id).collect::<Result<_>>()?;
                outcome.events.push(MessengerEvent::Acknowledged { peer: *sender, ids });
            }
            // One by one: what is not handled is not acknowledged.
            let one = |messages, strays| SyncPayload { messages, strays, ..SyncPayload::default() };
            let messages = messages.into_iter().map(|it| one(vec![it], Vec::new()));
            let strays = strays.into_iter().map(|it| one(Vec::new(), vec![it]));
            let mut left = 0;
            for payload in messages.chain(strays) {
                if self.work >= MAX_WORK {
                    left += 1;
                    continue;
                }
                let received = self.sync()?.receive(sender, payload)?;
                let messages = received.messages.into_iter().map(|it| (it.id(), it.into_body()));
                let strays = received.strays.into_iter().map(|it| (it.id, it.body));
                for (id, body) in messages.chain(strays) {
                    let layers = Layers { sync: Some(id), ..layers.clone() };
                    let events = self.handle_body(incoming, &body, layers, now)?;
                    outcome.events.extend(events);
                }
            }
            if left > 0 {
                outcome.events.push(unread(incoming, UnreadReason::TooMuchWork(left), layers));
            }
        } else {
            let events = self.handle_body(incoming, &content.plaintext, layers, now)?;
            outcome.events.extend(events);
        }
        if let Some(confirmation) = &content.confirmation {
            self.device.confirm(confirmation)?;
        }
        Ok(())
    }

    fn handle_body(
        &mut self,
        incoming: &Incoming<'_>,
        body: &[u8],
        layers: Layers,
        now: UnixMillis,
    ) -> Result<Vec<MessengerEvent>> {
        match Wrapper::decode(body) {
            Ok(wrapper) => self.handle_wrapper(incoming, wrapper, layers, now),
            Err(error) => Ok(vec![unread(incoming, error, layers)]),
        }
    }

    /// Checks a payload and applies it.
    fn handle_wrapper(
        &mut self,
        incoming: &Incoming<'_>,
        wrapper: Wrapper,
        layers: Layers,
        now: UnixMillis,
    ) -> Result<Vec<MessengerEvent>> {
        let Some(author) = wrapper.author().or(incoming.signer).copied() else {
            return Ok(vec![unread(incoming, UnreadReason::Unsigned, layers)]);
        };
        let id = wrapper.message_id();
        if !self.store().see(&id.0)? {
            return Ok(vec![MessengerEvent::Repeated(id)]);
        }
        let message = match wrapper.message() {
            Ok(message) => message,
            Err(error) => return Ok(vec![unread(incoming, error, layers)]),
        };
        let me = self.me;
        let installations: Vec<_> = match &message {
            PayloadMessage::PairInstallation(_) => self.installations(&me)?,
            _ => Vec::new(),
        };
        let installations: Vec<_> = installations.iter().map(|it| it.id.to_string()).collect();
        let receipt = Receipt {
            sent: incoming.sent.to_millis(),
            now,
            author: Some(&author),
            me: Some(&me),
            installations: Some(&installations),
            public_chats: None,
        };
        let checked = match &message {
            // Events have rules of their own, and the text is checked when they are applied.
            PayloadMessage::MembershipUpdateMessage(_) => Ok(()),
            message => check::check_shown(message, &receipt),
        };
        let mut rejection = checked.err();
        // A message of a newer client is passed on, though nothing can be done with it.
        if let Some(rejection) = rejection.filter(|it| *it != Rejection::UnknownType) {
            return Ok(vec![unread(incoming, UnreadReason::Rejected(rejection), layers)]);
        }
        let Applied { chat, group, problem } = self.apply(&message, &receipt, &author)?;
        let is_news = group.as_ref().is_some_and(|update| !update.new_events.is_empty());
        let problem = match problem {
            Some(reason) if !is_news => return Ok(vec![unread(incoming, reason, layers)]),
            problem => problem,
        };
        if let Some(update) = &group {
            rejection = match problem {
                _ if clock::is_ahead(update.last_clock, receipt.sent) => {
                    Some(Rejection::EventClockAhead)
                }
                Some(UnreadReason::Rejected(rejection)) => Some(rejection),
                _ => None,
            };
        }
        let problem = problem.map(|reason| unread(incoming, reason, layers.clone()));
        let sender = incoming.signer.copied();
        let received = ReceivedPayload {
            id,
            author,
            sender,
            chat,
            wrapper,
            message,
            rejection,
            group,
            layers,
        };
        Ok(std::iter::once(MessengerEvent::Message(received)).chain(problem).collect())
    }

    /// Does what a message asks for.
    fn apply(
        &mut self,
        message: &PayloadMessage,
        receipt: &Receipt<'_>,
        author: &PublicKey,
    ) -> Result<Applied> {
        match message {
            PayloadMessage::ChatMessage(message) => {
                Ok(self.chat_for_text(message, author, None)?.into())
            }
            PayloadMessage::MembershipUpdateMessage(update) => {
                self.apply_update(update, receipt, author)
            }
            PayloadMessage::ContactUpdate(update) => {
                Ok(self.apply_contact(update, receipt, author)?.into())
            }
            PayloadMessage::RequestAddressForTransaction(_)
            | PayloadMessage::AcceptRequestAddressForTransaction(_)
            | PayloadMessage::DeclineRequestAddressForTransaction(_)
            | PayloadMessage::RequestTransaction(_)
            | PayloadMessage::SendTransaction(_)
            | PayloadMessage::DeclineRequestTransaction(_) => {
                Ok(self.apply_command(message, author)?.into())
            }
            _ => Ok(Applied::default()),
        }
    }

    fn apply_update(
        &mut self,
        update: &MembershipUpdateMessage,
        receipt: &Receipt<'_>,
        author: &PublicKey,
    ) -> Result<Applied> {
        let me = self.me;
        let known = self.stored_group(&update.chat_id)?;
        self.work += group::cost(known.as_deref(), update);
        let applied = match group::receive(known.as_deref(), update, &me, receipt.now) {
            Ok(applied) => applied,
            Err(error) => return Ok(Applied::refused(error)),
        };
        if let Err(reason) = self.room_for(&Chat::Group(update.chat_id.clone()))? {
            return Ok(Applied::refused(reason));
        }
        if applied.is_new || !applied.new_events.is_empty() {
            self.keep_group(Arc::new(applied.group.clone()), false)?;
        }
        let text = update.chat_message();
        let shown = match text.map(|text| (text, check::check_chat(text, receipt))) {
            Some((_, Err(rejection))) => Err(UnreadReason::Rejected(rejection)),
            Some((text, Ok(()))) => self.chat_for_text(text, author, Some(&applied.group))?,
            None => Ok(Chat::Group(applied.group.chat_id().to_owned())),
        };
        Ok(Applied { group: Some(applied), ..shown.into() })
    }

    fn apply_contact(
        &mut self,
        update: &ContactUpdate,
        receipt: &Receipt<'_>,
        author: &PublicKey,
    ) -> Result<Shown> {
        let chat = Chat::OneToOne(*author);
        if let Err(reason) = self.room_for(&chat)? {
            return Ok(Err(reason));
        }
        if update.clock > self.store().updated(author)? {
            self.store().put_updated(author, update.clock);
        }
        // Its clock was not checked: one from the far future changes nothing.
        let is_ahead = clock::is_ahead(update.clock, receipt.now);
        self.touch(&chat, if is_ahead { 0 } else { update.clock }, false)?;
        Ok(Ok(chat))
    }

    /// Applies a transaction command. It belongs to the conversation with its sender.
    fn apply_command(&mut self, command: &PayloadMessage, author: &PublicKey) -> Result<Shown> {
        let chat = Chat::OneToOne(*author);
        let accepted = match self.advance_command(command, author)? {
            Ok(()) => self.room_for(&chat)?,
            Err(error) => Err(error.into()),
        };
        if let Err(reason) = accepted {
            return Ok(Err(reason));
        }
        self.touch(&chat, clock::of(command), false)?;
        Ok(Ok(chat))
    }

    /// Stores the new state of a transaction command of ours, if a message answers one.
    fn advance_command(
        &mut self,
        message: &PayloadMessage,
        author: &PublicKey,
    ) -> Result<std::result::Result<(), transaction::CommandError>> {
        let Some(text) = transaction::answered(message) else { return Ok(Ok(())) };
        let store = self.store();
        // Ids are compared as texts: in upper case it is another one.
        let id = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let id = id.and_then(|id| Some(MessageId(id.try_into().ok()?)));
        let id = id.filter(|id| id.to_string() == text);
        let stored = match &id {
            Some(id) => store.command(id)?,
            None => None,
        };
        let next = transaction::next_state(message, author, stored.as_ref());
        if let (Some(id), Some(stored), Ok(state)) = (&id, stored, next) {
            store.put_command(id, &transaction::StoredCommand { state, ..stored });
        }
        Ok(next.map(|_| ()))
    }

    /// Returns the chat in which a text is shown, and makes it if it is new.
    fn chat_for_text(
        &mut self,
        message: &ChatMessage,
        author: &PublicKey,
        group: Option<&Group>,
    ) -> Result<Shown> {
        let stored;
        let is_group = message.message_type == i32::from(MessageType::PrivateGroup);
        let group = match group {
            Some(group) => Some(group),
            None if is_group => {
                stored = self.stored_group(&message.chat_id)?;
                stored.as_deref()
            }
            None => None,
        };
        let known = Known { public: &self.public_chats, group };
        let chat = match chat_of(message, author, &self.me, &known) {
            Ok(chat) => chat,
            Err(reason) => return Ok(Err(reason.into())),
        };
        if let Err(reason) = self.room_for(&chat)? {
            return Ok(Err(reason));
        }
        self.touch(&chat, message.clock, false)?;
        Ok(Ok(chat))
    }

    /// Checks that a chat exists, or that a message to us may create it.
    fn room_for(&mut self, chat: &Chat) -> Result<std::result::Result<(), UnreadReason>> {
        let has_room = self.make_room(chat)?;
        Ok(if has_room { Ok(()) } else { Err(UnreadReason::TooManyChats(MAX_CHATS)) })
    }
}

/// The chat that a message is shown in, or why it is not.
type Shown = std::result::Result<Chat, UnreadReason>;

/// The result of applying a message.
#[derive(Default)]
struct Applied {
    /// The chat that it is shown in.
    chat: Option<Chat>,
    /// The group that it changed.
    group: Option<AppliedUpdate>,
    /// Why not all of it was accepted.
    problem: Option<UnreadReason>,
}

impl Applied {
    fn refused(reason: impl Into<UnreadReason>) -> Self {
        Self { problem: Some(reason.into()), ..Self::default() }
    }
}

impl From<Shown> for Applied {
    fn from(shown: Shown) -> Self {
        match shown {
            Ok(chat) => Self { chat: Some(chat), ..Self::default() },
            Err(reason) => Self::refused(reason),
        }
    }
}

/// The chats that a message may belong to.
struct Known<'a> {
    public: &'a BTreeSet<String>,
    group: Option<&'a Group>,
}

impl Chats for Known<'_> {
    fn has_public(&self, name: &str) -> bool {
        self.public.contains(name)
    }

    fn group(&self, chat_id: &str) -> Option<&GroupState> {
        self.group.filter(|group| group.chat_id() == chat_id).map(Group::state)
    }
}

fn unread(
    incoming: &Incoming<'_>,
    reason: impl Into<UnreadReason>,
    layers: Layers,
) -> MessengerEvent {
    MessengerEvent::Unread { sender: incoming.signer.copied(), reason: reason.into(), layers }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::{
        account::Uuid,
        crypto::{SecretKey, keys::RECOVERED, seeded_rng},
        payload::{
            group::GroupEvent,
            proto::{MembershipUpdateEvent, membership_update_event::EventType},
        },
        secure::MemoryStore,
        sync::{GroupId, SyncMessage},
    };

    const NOW: UnixMillis = UnixMillis(1_585_558_800_000);
    const RENAMES: u64 = 2000;

    fn key(name: &str) -> SecretKey {
        SecretKey::generate(&mut seeded_rng(name))
    }

    /// A group with a long history.
    fn group(alice: &SecretKey, bob: &PublicKey) -> Group {
        let new = Group::create(Uuid::from_bytes([9; 16]), "g", &[*bob], alice, NOW).unwrap().group;
        let rename = |n| {
            let (clock, name) = (new.last_clock() + n, format!("name {n}"));
            let r#type = EventType::NameChanged.into();
            let fields = MembershipUpdateEvent { clock, name, r#type, ..Default::default() };
            GroupEvent::sign(new.chat_id(), fields, alice)
        };
        let events = new.events().iter().cloned().chain((1..=RENAMES).map(rename));
        Group::build(new.chat_id(), events.collect()).unwrap()
    }

    /// Handles updates in one payload. Returns how many were not handled, and how many keys were
    /// recovered.
    fn handle(
        bob: &mut Messenger<MemoryStore>,
        alice: &SecretKey,
        updates: &[MembershipUpdateMessage],
    ) -> (usize, usize) {
        let (from, before) = (alice.public_key(), RECOVERED.get());
        let message = |update: &MembershipUpdateMessage| {
            let wrapper = Wrapper::sign(3, update.encode_to_vec(), alice);
            let group = GroupId::from_pair(&from, bob.me());
            SyncMessage::new(group, 1, wrapper.raw().to_vec())
        };
        let messages: Vec<_> = updates.iter().map(message).collect();
        let content = DecryptedContent {
            plaintext: SyncPayload { messages, ..SyncPayload::default() }.encode(),
            encryption: EncryptionKind::Identity,
            confirmation: None,
            secret: None,
        };
        let incoming = Incoming { signer: Some(&from), sent: NOW.to_seconds(), payload: b"" };
        let mut outcome = Outcome::default();
        bob.work = 0;
        bob.handle_content(&incoming, &from, content, Layers::default(), NOW, &mut outcome)
            .unwrap();
        let left = outcome.events.iter().filter_map(|event| match event {
            MessengerEvent::Unread { reason: UnreadReason::TooMuchWork(left), .. } => Some(*left),
            _ => None,
        });
        (left.sum(), RECOVERED.get() - before)
    }

    #[test]
    fn groups_take_little_work_per_envelope_and_the_rest_comes_again() {
        let (alice, rng) = (key("alice"), &mut seeded_rng("work"));
        let mut bob = Messenger::open(MemoryStore::new(), key("bob"), None, rng).unwrap();
        let group = group(&alice, bob.me());
        // Each is valid by itself, and makes the receiver go through the whole history.
        let small = |n: u64| {
            let text = ChatMessage { text: format!("{n}"), ..Default::default() };
            let events = group.update(None).events[..2].to_vec();
            MembershipUpdateMessage { events, ..group.update(Some(text)) }
        };
        let mut updates = vec![group.update(None)];
        updates.extend((0..200).map(small));
        // The keys of its events and its own: that was all.
        let recovered = 2 + RENAMES as usize + 1;
        assert_eq!(handle(&mut bob, &alice, &updates), (200, recovered));
        // What was not handled is not acknowledged.
        let posts = bob.tick(NOW, rng).unwrap().posts;
        assert_eq!(posts.iter().map(|post| post.acks).sum::<usize>(), 1);
        // They cost some thousands each.
        let mut left = 200;
        let mut rounds = 0;
        while left > 0 {
            let (still, recovered) = handle(&mut bob, &alice, &updates);
            let handled = left - still;
            assert!((1..=MAX_WORK / 2000 + 1).contains(&handled), "{handled}");
            assert_eq!(recovered, handled);
            left = still;
            rounds += 1;
        }
        assert!(rounds >= 200 * 2000 / MAX_WORK);
    }

    #[test]
    fn the_largest_update_after_all_other_work_recovers_few_thousand_keys() {
        let (alice, rng) = (key("alice"), &mut seeded_rng("work"));
        let group = group(&alice, &key("bob").public_key());
        let events = group.events();
        let rename = |n| {
            let fields = MembershipUpdateEvent {
                clock: group.last_clock() + n,
                name: "n".to_owned(),
                r#type: EventType::NameChanged.into(),
                ..Default::default()
            };
            GroupEvent::sign(group.chat_id(), fields, &alice).raw().to_vec()
        };
        let update = |count: usize| {
            let mut update = group.update(None);
            update.events.truncate(count);
            update
        };
        let mut largest = update(events.len());
        let more = (group::MAX_RECEIVED - events.len()) as u64;
        largest.events.extend((1..=more).map(rename));
        // Each of the others brings some new events. Of them come as many as leave the least of what
        // may be done.
        let tried = (0..=28).rev().map(|count| {
            let mut bob = Messenger::open(MemoryStore::new(), key("bob"), None, rng).unwrap();
            let mut updates: Vec<_> = (1..=count).map(|n| update(n * 30)).collect();
            updates.push(largest.clone());
            (count, handle(&mut bob, &alice, &updates))
        });
        let (count, (_, recovered)) = { tried }.find(|(_, (left, _))| *left == 0).unwrap();
        let most = MAX_WORK / 32 + group::MAX_RECEIVED + count + 1;
        assert!(count > 10, "{count}");
        assert!((group::MAX_RECEIVED + 1..=most).contains(&recovered), "{recovered}");
    }
}

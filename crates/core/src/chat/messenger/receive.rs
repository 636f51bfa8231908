//! Receiving: from the payload of an envelope to what it means, layer by layer.

use std::sync::Arc;

use rand::CryptoRng;

use super::{
    Event, GroupNews, Incoming, Layers, MAX_CHATS, Messenger, Outcome, Post, PostKind, Reason,
    Received, Result, topics::partitioned,
};
use crate::{
    account::InstallationId,
    crypto::{PublicKey, keccak256},
    payload::{
        Message, Wrapper,
        check::{self, Receipt, Refusal as Refused},
        clock,
        group::{self, Group, State},
        matching::{Chat, Chats, chat_of},
        proto::{ChatMessage, MessageType},
        transaction,
        wrapper::MessageId,
    },
    secure::{Content, ProtocolMessage, Refusal, SecureError, Timestamp, store::Store},
    sync,
};

impl<S: Store> Messenger<S> {
    /// Takes an opened message at `now_ms` (UNIX milliseconds).
    pub fn receive<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &Incoming<'_>,
        now_ms: u64,
        rng: &mut R,
    ) -> Result<Outcome> {
        self.atomically(|it| it.take(incoming, now_ms, rng))
    }

    /// Takes messages that came together, in this order; all of them are written at once.
    pub fn receive_all<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &[Incoming<'_>],
        now_ms: u64,
        rng: &mut R,
    ) -> Result<Vec<Outcome>> {
        self.atomically(|it| incoming.iter().map(|one| it.take(one, now_ms, rng)).collect())
    }

    fn take<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &Incoming<'_>,
        now_ms: u64,
        rng: &mut R,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let Ok(message) = ProtocolMessage::decode(incoming.payload) else {
            self.take_bare(incoming, None, now_ms, &mut outcome)?;
            return Ok(outcome);
        };
        let fields = message.fields();
        let nothing = fields.bundles.is_empty()
            && fields.direct_message.is_empty()
            && fields.public_message.is_empty();
        if nothing {
            self.take_bare(incoming, None, now_ms, &mut outcome)?;
            return Ok(outcome);
        }
        let Some(sender) = incoming.signer else {
            self.take_bare(incoming, Some(Reason::Unsigned), now_ms, &mut outcome)?;
            return Ok(outcome);
        };
        if *sender == self.me && fields.installation_id == self.installation().as_str() {
            outcome.events.push(Event::Own);
            return Ok(outcome);
        }
        // The network keeps envelopes for a while, and brings them again to whoever comes back.
        let digest = keccak256(incoming.payload);
        if self.store().has_seen(&digest)? {
            outcome.events.push(Event::Again);
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
            outcome.events.push(Event::Bundle { sender: *sender, learned });
        }
        let layers = Layers {
            installation: Some(received.installation).filter(|id| !id.as_str().is_empty()),
            ..Layers::default()
        };
        match received.content {
            Ok(content) => {
                self.store().see(&digest)?;
                self.take_content(incoming, sender, content, layers, now_ms, &mut outcome)?
            }
            // A contact code.
            Err(Refusal::NoPayload) if !fields.bundles.is_empty() => {}
            // Of a paired device, to somebody else.
            Err(Refusal::NotPaired) if self.is_paired(layers.installation.as_ref())? => {
                outcome.events.push(Event::Own);
            }
            Err(refusal) => {
                if refusal == Refusal::DeviceNotFound {
                    outcome.posts.extend(self.advertise(sender, now_ms, rng)?);
                }
                self.take_bare(incoming, Some(refusal.into()), now_ms, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    /// Whether an installation is one of our own that we write to.
    fn is_paired(&mut self, id: Option<&InstallationId>) -> Result<bool> {
        let me = self.me;
        Ok(self.installations(&me)?.iter().any(|it| it.enabled && Some(&it.id) == id))
    }

    /// Tells a sender that does not know this device about it, though not all the time.
    fn advertise<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        now_ms: u64,
        rng: &mut R,
    ) -> Result<Option<Post>> {
        let outgoing = self.device.answer_unknown(sender, Timestamp::from_millis(now_ms), rng)?;
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

    /// Takes what the secure transport has not read: perhaps it is a wrapper by itself. If not,
    /// `reason` says why it stays closed.
    fn take_bare(
        &mut self,
        incoming: &Incoming<'_>,
        reason: Option<Reason>,
        now_ms: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let receipt = Receipt {
            sent_ms: u64::from(incoming.sent) * 1000,
            now_ms,
            author: incoming.signer,
            me: Some(&self.me),
            installations: None,
        };
        match Wrapper::detect(incoming.payload, &receipt) {
            Some(wrapper) => {
                let event = self.take_wrapper(incoming, wrapper, Layers::default(), now_ms)?;
                outcome.events.extend(event);
            }
            None => outcome.events.push(match reason {
                Some(reason) => unread(incoming, reason, Layers::default()),
                None => Event::Foreign,
            }),
        }
        Ok(())
    }

    fn take_content(
        &mut self,
        incoming: &Incoming<'_>,
        sender: &PublicKey,
        content: Content,
        mut layers: Layers,
        now_ms: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let is_private = content.how != crate::secure::How::Public;
        if is_private {
            self.device.meet(sender)?;
        }
        if let Some(secret) = &content.secret {
            let new = self.negotiated(sender, secret)?;
            outcome.events.push(Event::Listen(new));
        }
        layers.secure = Some(content.how);
        if content.plaintext.is_empty() {
            outcome.events.push(Event::Empty { sender: *sender });
        } else if let Some(payload) =
            sync::Payload::detect(&content.plaintext).filter(|_| is_private)
        {
            let received = self.sync()?.receive(sender, payload)?;
            if received.malformed > 0 {
                let reason = Reason::Sync(received.malformed);
                outcome.events.push(unread(incoming, reason, layers.clone()));
            }
            if !received.acked.is_empty() {
                let store = self.store();
                let id = |id| Ok((id, store.take_awaited(&id)?));
                let ids = received.acked.into_iter().map(id).collect::<Result<_>>()?;
                outcome.events.push(Event::Acknowledged { peer: *sender, ids });
            }
            let messages = received.messages.into_iter().map(|it| (it.id(), it.body));
            let strays = received.strays.into_iter().map(|it| (it.id, it.body));
            for (id, body) in messages.chain(strays) {
                let layers = Layers { sync: Some(id), ..layers.clone() };
                let events = self.take_body(incoming, &body, layers, now_ms)?;
                outcome.events.extend(events);
            }
        } else {
            let events = self.take_body(incoming, &content.plaintext, layers, now_ms)?;
            outcome.events.extend(events);
        }
        if let Some(confirmation) = &content.confirmation {
            self.device.confirm(confirmation)?;
        }
        Ok(())
    }

    fn take_body(
        &mut self,
        incoming: &Incoming<'_>,
        body: &[u8],
        layers: Layers,
        now_ms: u64,
    ) -> Result<Vec<Event>> {
        match Wrapper::decode(body) {
            Ok(wrapper) => self.take_wrapper(incoming, wrapper, layers, now_ms),
            Err(error) => Ok(vec![unread(incoming, error, layers)]),
        }
    }

    fn take_wrapper(
        &mut self,
        incoming: &Incoming<'_>,
        wrapper: Wrapper,
        layers: Layers,
        now_ms: u64,
    ) -> Result<Vec<Event>> {
        let Some(author) = wrapper.author().or(incoming.signer).copied() else {
            return Ok(vec![unread(incoming, Reason::Unsigned, layers)]);
        };
        let id = wrapper.message_id();
        if !self.store().see(&id.0)? {
            return Ok(vec![Event::Repeated(id)]);
        }
        let sender = incoming.signer.copied();
        let message = match wrapper.message() {
            Ok(message) => message,
            Err(error) => return Ok(vec![unread(incoming, error, layers)]),
        };
        let me = self.me;
        let installations: Vec<_> = match &message {
            Message::PairInstallation(_) => self.installations(&me)?,
            _ => Vec::new(),
        };
        let installations: Vec<_> = installations.iter().map(|it| it.id.to_string()).collect();
        let receipt = Receipt {
            sent_ms: u64::from(incoming.sent) * 1000,
            now_ms,
            author: Some(&author),
            me: Some(&me),
            installations: Some(&installations),
        };
        let checked = match &message {
            // The events have rules of their own, and the text is looked at when they are taken.
            Message::MembershipUpdateMessage(_) => Ok(()),
            message => check::check(message, &receipt),
        };
        match checked {
            // What a newer client says is shown; that we can't act on it shows, too.
            Ok(()) | Err(Refused::UnknownType) => {}
            Err(refused) => return Ok(vec![unread(incoming, Reason::Refused(refused), layers)]),
        }
        let (chat, group, problem) = match self.act(&message, &receipt, &author)? {
            Ok((chat, group)) => (chat, group, None),
            Err((reason, group)) if group.as_ref().is_none_or(|it| it.news.is_empty()) => {
                return Ok(vec![unread(incoming, reason, layers)]);
            }
            Err((reason, group)) => (None, group, Some(unread(incoming, reason, layers.clone()))),
        };
        let received = Received { id, author, sender, chat, wrapper, message, group, layers };
        Ok(std::iter::once(Event::Message(received)).chain(problem).collect())
    }

    /// Does what a message asks for. If not all of it is to be done: why, and what was.
    fn act(
        &mut self,
        message: &Message,
        receipt: &Receipt<'_>,
        author: &PublicKey,
    ) -> Result<Acted> {
        match message {
            Message::ChatMessage(message) => Ok(match self.shown_in(message, author, None)? {
                Ok(chat) => Ok((Some(chat), None)),
                Err(reason) => Err((reason, None)),
            }),
            Message::MembershipUpdateMessage(update) => {
                let me = self.me;
                let known = self.stored_group(&update.chat_id)?;
                let received = match group::receive(known.as_deref(), update, &me, receipt.now_ms) {
                    Ok(received) => received,
                    Err(error) => return Ok(Err((error.into(), None))),
                };
                if let Err(reason) = self.room_for(&Chat::Group(update.chat_id.clone()))? {
                    return Ok(Err((reason, None)));
                }
                let group::Received { group, is_new, news } = received;
                self.keep_group(Arc::new(group.clone()), false)?;
                let checked = update.chat_message().map(|text| check::check_chat(text, receipt));
                let shown = match (update.chat_message(), checked) {
                    (_, Some(Err(refused))) => Err(Reason::Refused(refused)),
                    (Some(text), _) => self.shown_in(text, author, Some(&group))?,
                    (None, _) => Ok(Chat::Group(group.chat_id().to_owned())),
                };
                let news = Some(GroupNews { group, is_new, news });
                Ok(match shown {
                    Ok(chat) => Ok((Some(chat), news)),
                    Err(reason) => Err((reason, news)),
                })
            }
            Message::ContactUpdate(update) => {
                let chat = Chat::OneToOne(*author);
                if let Err(reason) = self.room_for(&chat)? {
                    return Ok(Err((reason, None)));
                }
                if update.clock > self.store().updated(author)? {
                    self.store().put_updated(author, update.clock);
                }
                // Its clock was not checked: one from the far future moves nothing.
                let is_ahead = clock::is_ahead(update.clock, receipt.now_ms);
                self.touch(&chat, if is_ahead { 0 } else { update.clock }, false)?;
                Ok(Ok((Some(chat), None)))
            }
            // Commands belong to the conversation with whoever sends them.
            Message::RequestAddressForTransaction(_)
            | Message::AcceptRequestAddressForTransaction(_)
            | Message::DeclineRequestAddressForTransaction(_)
            | Message::RequestTransaction(_)
            | Message::SendTransaction(_)
            | Message::DeclineRequestTransaction(_) => {
                let chat = Chat::OneToOne(*author);
                let taken = match self.answer(message, author)? {
                    Ok(()) => self.room_for(&chat)?,
                    Err(error) => Err(error.into()),
                };
                if let Err(reason) = taken {
                    return Ok(Err((reason, None)));
                }
                self.touch(&chat, clock::of(message), false)?;
                Ok(Ok((Some(chat), None)))
            }
            _ => Ok(Ok((None, None))),
        }
    }

    /// Takes note of how far a transaction command of ours has come, if a message answers one.
    fn answer(
        &mut self,
        message: &Message,
        author: &PublicKey,
    ) -> Result<std::result::Result<(), transaction::CommandError>> {
        let Some(text) = transaction::answered(message) else { return Ok(Ok(())) };
        let store = self.store();
        // Ids are compared as texts: with capitals it is another.
        let id = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let id = id.and_then(|id| Some(MessageId(id.try_into().ok()?)));
        let id = id.filter(|id| id.to_string() == text);
        let stored = match &id {
            Some(id) => store.command(id)?,
            None => None,
        };
        let next = transaction::next_state(message, author, stored.as_ref());
        if let (Some(id), Some(stored), Ok(state)) = (&id, stored, next) {
            store.put_command(id, &transaction::Stored { state, ..stored });
        }
        Ok(next.map(|_| ()))
    }

    /// The chat in which a text is shown, made if need be.
    fn shown_in(
        &mut self,
        message: &ChatMessage,
        author: &PublicKey,
        group: Option<&Group>,
    ) -> Result<std::result::Result<Chat, Reason>> {
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

    /// Whether a chat is there, or may be made for somebody else's message.
    fn room_for(&mut self, chat: &Chat) -> Result<std::result::Result<(), Reason>> {
        Ok(if self.make_room(chat)? { Ok(()) } else { Err(Reason::TooManyChats(MAX_CHATS)) })
    }
}

/// Chat and group that a message is about; or why it is not taken, and what of it was all the same.
type Acted = std::result::Result<(Option<Chat>, Option<GroupNews>), (Reason, Option<GroupNews>)>;

/// The chats that there are, as far as one message asks.
struct Known<'a> {
    public: &'a std::collections::BTreeSet<String>,
    group: Option<&'a Group>,
}

impl Chats for Known<'_> {
    fn has_public(&self, name: &str) -> bool {
        self.public.contains(name)
    }

    fn group(&self, chat_id: &str) -> Option<&State> {
        self.group.filter(|group| group.chat_id() == chat_id).map(Group::state)
    }
}

fn unread(incoming: &Incoming<'_>, reason: impl Into<Reason>, layers: Layers) -> Event {
    Event::Unread { sender: incoming.signer.copied(), reason: reason.into(), layers }
}

impl Received {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        self.chat_message().map(|message| message.text.as_str())
    }

    /// The chat message: the payload itself, or what an update of a group carries.
    pub fn chat_message(&self) -> Option<&ChatMessage> {
        match &self.message {
            Message::ChatMessage(message) => Some(message),
            Message::MembershipUpdateMessage(update) => update.chat_message(),
            _ => None,
        }
    }
}

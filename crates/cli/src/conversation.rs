//! What `status-send` and `status-receive` share for private conversations: a messenger between
//! the keys, the network and the records.

use std::collections::HashSet;

use clap::Args;
use rand::rngs::ChaCha20Rng;
use serde_json::{Value, json};
use statuskit_core::{
    account::InstallationId,
    chat::{
        self, KeyRing, Opened,
        messenger::{
            ChatError, GiveUp, GivenUp, Incoming, Layers, Messenger, MessengerEvent, Outcome, Post,
            PostKind, ReceivedPayload, Sent, Subscription, Ticked,
        },
    },
    crypto::{PublicKey, SecretKey},
    envelope::{Bloom, Envelope, Topic},
    payload::{PayloadMessage, group::Group, matching::Chat, wrapper::MessageId},
    secure::{EncryptionKind, Installation, MemoryStore, Store},
};
use statuskit_net::node::{Interest, Sent as SentByNode};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mining,
    net::{Network, Peers},
    output::Record,
    records::{Whole, conversation_record},
    state::{AnyMessenger, StateArgs, chat_error},
};

/// How often clients look whether there is something to publish.
pub const CONTACT_CODE_TICK: std::time::Duration =
    statuskit_core::secure::device::CONTACT_CODE_TICK;

/// The options of whoever receives.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Conversations")]
pub struct TalkArgs {
    #[command(flatten)]
    pub state: StateArgs,
    /// Id of this installation, for a new state [default: random]
    #[arg(long, value_name = "ID")]
    pub installation: Option<String>,
    /// Only read: nothing is acknowledged, nothing is published
    #[arg(long)]
    pub no_acks: bool,
    /// Look for the contact code of this key, and print the bundles in it. Repeatable
    #[arg(long, value_name = "KEY")]
    pub contact: Vec<String>,
    /// Print what else happens, too: acknowledgements, bundles, repeated messages
    #[arg(long)]
    pub events: bool,
}

/// A messenger at work.
pub struct Talk {
    messenger: AnyMessenger,
    rng: ChaCha20Rng,
    /// Whether there is a state: what is only in memory must not be promised to others.
    is_kept: bool,
    /// Where we listen; those are in the ring, too.
    topics: HashSet<Topic>,
    /// Whose contact codes were asked for.
    contacts: Vec<PublicKey>,
    events: bool,
}

/// What an envelope gave.
#[derive(Default)]
pub struct Heard {
    /// Results: of messages, and of what was asked for.
    pub records: Vec<Record>,
    /// Whether a message is among them: it has the envelope.
    has_message: bool,
    /// Results that do not count.
    pub others: Vec<Record>,
    /// What could not be read.
    pub errors: Vec<CliError>,
    /// To be sent.
    pub posts: Vec<Post>,
    /// Who has got what.
    pub acknowledged: Vec<(PublicKey, MessageId)>,
    /// It is none of ours: to be shown as it is.
    pub is_foreign: bool,
}

impl Talk {
    /// The messenger of the state, or one that remembers nothing.
    pub fn new(
        state: &StateArgs,
        installation: Option<&str>,
        identity: SecretKey,
        cx: &Context,
    ) -> Result<Self> {
        cx.warn_of_seed();
        let mut rng = cx.rng("conversation")?;
        let installation = installation.map(InstallationId::new);
        let kept = state.messenger(identity.clone(), installation.clone(), &mut rng)?;
        let is_kept = kept.is_some();
        let messenger = match kept {
            Some(messenger) => messenger,
            None => {
                let store: Box<dyn Store> = Box::new(MemoryStore::new());
                Messenger::open(store, identity, installation, &mut rng)
                    .map_err(|error| chat_error(&error))?
            }
        };
        let (topics, contacts) = (HashSet::new(), Vec::new());
        Ok(Self { messenger, rng, is_kept, topics, contacts, events: false })
    }

    /// For `status-receive`: with what the options say.
    pub fn receiving(args: &TalkArgs, identity: SecretKey, cx: &Context) -> Result<Self> {
        let mut talk = Self::new(&args.state, args.installation.as_deref(), identity, cx)?;
        talk.events = args.events;
        for text in &args.contact {
            talk.contacts.push(super::keys::parse_public_key(text, "--contact")?);
        }
        Ok(talk)
    }

    /// Whether there is a state.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Adds the keys and topics of all conversations to a ring.
    pub fn listen(&mut self, ring: &mut KeyRing) -> Result<()> {
        let mut all = if self.is_kept {
            self.messenger.subscriptions().map_err(|error| chat_error(&error))?
        } else {
            Vec::new()
        };
        for contact in self.contacts.clone() {
            let code = self.messenger.contact_code(&contact);
            all.push(code.map_err(|error| chat_error(&error))?);
        }
        for listening in all {
            self.hear(&listening, ring);
        }
        Ok(())
    }

    /// The topics of all conversations.
    pub fn topics(&self) -> &HashSet<Topic> {
        &self.topics
    }

    /// Listens to one more topic. Whether it is new.
    fn hear(&mut self, listening: &Subscription, ring: &mut KeyRing) -> bool {
        let is_new = self.topics.insert(listening.topic);
        ring.add_subscription(listening);
        is_new
    }

    /// Whether a message that was opened like this is for the messenger.
    pub fn takes(&self, opened: &Opened) -> bool {
        opened.source.is_private()
    }

    /// Takes a message.
    pub fn take(
        &mut self,
        envelope: &Envelope,
        opened: &Opened,
        now_ms: u64,
    ) -> Result<(Heard, Vec<Subscription>)> {
        let incoming = Incoming {
            signer: opened.message.signer(),
            sent: envelope.sent(),
            payload: &opened.message.payload,
        };
        let outcome = self.messenger.receive(&incoming, now_ms, &mut self.rng);
        let Outcome { events, posts } = outcome.map_err(|error| chat_error(&error))?;
        let mut heard = Heard { posts, ..Heard::default() };
        let mut new_topics = Vec::new();
        for event in events {
            self.note(event, envelope, opened, &mut heard, &mut new_topics);
        }
        if !self.is_kept {
            heard.posts.clear();
        }
        Ok((heard, new_topics))
    }

    fn note(
        &self,
        event: MessengerEvent,
        envelope: &Envelope,
        opened: &Opened,
        heard: &mut Heard,
        new_topics: &mut Vec<Subscription>,
    ) {
        let hash = envelope.hash().to_string();
        match event {
            MessengerEvent::Message(received) => {
                let whole = if heard.has_message { Whole::Before } else { Whole::Here };
                heard.has_message = true;
                heard.records.push(record_of(envelope, opened, &received, whole));
            }
            MessengerEvent::Unread { sender, reason, layers } => {
                let who = sender.map_or_else(|| "nobody".to_owned(), |key| key.to_string());
                let message = format!("envelope {hash}, signed by {who}: {reason}");
                let error = CliError::new(reason.code(), Exit::Negative, message);
                let is_of_session = layers.secure.is_none()
                    && matches!(reason, chat::messenger::UnreadReason::Secure(_));
                heard.errors.push(if is_of_session && !self.is_kept {
                    error.hint("--state DIR keeps the sessions that open such messages")
                } else {
                    error
                });
            }
            MessengerEvent::Bundle { sender, learned } => {
                let record = Record::new("bundle")
                    .with("hash", hash)
                    .with("sent", envelope.sent())
                    .with("sender", sender.to_string())
                    .with("learned", learned.iter().map(installation_value).collect::<Vec<_>>());
                if self.contacts.contains(&sender) {
                    heard.records.push(record);
                } else if self.events {
                    heard.others.push(record);
                }
            }
            MessengerEvent::Subscribe(listening) => new_topics.push(listening),
            MessengerEvent::Acknowledged { peer, ids } => {
                for (sync_id, id) in ids {
                    heard.acknowledged.extend(id.map(|id| (peer, id)));
                    if self.events {
                        heard.others.push(
                            Record::new("acknowledged")
                                .with("by", peer.to_string())
                                .with("data_sync_id", sync_id.to_string())
                                .with("message_id", id.map(|id| id.to_string())),
                        );
                    }
                }
            }
            MessengerEvent::Repeated(id) if self.events => heard.others.push(
                Record::new("repeated").with("hash", hash).with("message_id", id.to_string()),
            ),
            MessengerEvent::Empty { sender } if self.events => heard
                .others
                .push(Record::new("empty").with("hash", hash).with("sender", sender.to_string())),
            MessengerEvent::Repeated(_)
            | MessengerEvent::Empty { .. }
            | MessengerEvent::Own
            | MessengerEvent::Again => {}
            MessengerEvent::Foreign => heard.is_foreign = true,
        }
    }

    /// Follows new topics: keys into the ring, topics to the node.
    pub fn follow(
        &mut self,
        new: impl IntoIterator<Item = Subscription>,
        ring: &mut KeyRing,
        topics: Option<&mut HashSet<Topic>>,
        network: &Network,
    ) {
        let mut added = Vec::new();
        for listening in new {
            let topic = listening.topic;
            if self.hear(&listening, ring) {
                added.push(topic);
            }
        }
        let Some(topics) = topics.filter(|_| !added.is_empty()) else { return };
        topics.extend(added.iter().copied());
        network.handle().set_interest(Interest::Topics(topics.clone()));
        network.handle().widen_bloom(&Bloom::from_topics(added));
    }

    /// Says something.
    pub fn say(&mut self, chat: &Chat, text: &str, now_ms: u64) -> Result<Sent> {
        let sent = self.messenger.send_text(chat, text, now_ms, &mut self.rng);
        Ok(sent.map_err(|error| chat_error(&error))?)
    }

    /// Sends a payload as it is.
    pub fn send(&mut self, chat: &Chat, message: PayloadMessage, now_ms: u64) -> Result<Sent> {
        let sent = self.messenger.send(chat, message, now_ms, &mut self.rng);
        Ok(sent.map_err(|error| chat_error(&error))?)
    }

    /// A group that the state knows.
    pub fn group(&mut self, chat_id: &str) -> Result<Group> {
        let group = self.messenger.group(chat_id).map_err(|error| chat_error(&error))?;
        Ok(group.ok_or_else(|| chat_error(&ChatError::UnknownGroup(chat_id.to_owned())))?)
    }

    /// Tells the members of a group of its history.
    pub fn announce(&mut self, group: Group, now_ms: u64) -> Result<(Group, Sent)> {
        let sent = self.messenger.announce_group(group, now_ms, &mut self.rng);
        Ok(sent.map_err(|error| chat_error(&error))?)
    }

    /// Without data sync, nothing is repeated.
    pub fn set_data_sync(&mut self, on: bool) {
        self.messenger.set_data_sync(on);
    }

    /// The messenger itself.
    pub fn messenger(&mut self) -> &mut AnyMessenger {
        &mut self.messenger
    }

    /// Whether there is something to send later. Never without a state, where nothing is promised.
    pub fn is_busy(&mut self) -> Result<bool> {
        Ok(self.is_kept && !self.messenger.is_idle().map_err(|error| chat_error(&error))?)
    }

    /// What data sync has to send now.
    pub fn tick(&mut self, now_ms: u64) -> Result<Ticked> {
        let ticked = self.messenger.tick(now_ms, &mut self.rng);
        Ok(ticked.map_err(|error| chat_error(&error))?)
    }

    /// The own contact code, if it is time to publish it. Once it was, it is to be
    /// [remembered](Self::published).
    pub fn contact_code_if_due(&mut self, now_ms: u64) -> Result<Option<Post>> {
        let due = self.messenger.is_contact_code_due(now_ms).map_err(|error| chat_error(&error))?;
        if !self.is_kept || !due {
            return Ok(None);
        }
        let post = self.messenger.publish_contact_code(now_ms, &mut self.rng);
        Ok(Some(post.map_err(|error| chat_error(&error))?))
    }

    /// The contact code was sent.
    pub fn published(&mut self, now_ms: u64) -> Result<()> {
        Ok(self.messenger.contact_code_published(now_ms).map_err(|error| chat_error(&error))?)
    }

    /// Seals a post; the envelope is not mined.
    pub fn seal_only(&mut self, post: &Post, ttl: u32, cx: &Context) -> Result<Envelope> {
        let sealed = post.seal(self.messenger.identity(), cx.now(), ttl, &mut self.rng);
        Ok(sealed
            .map_err(|error| CliError::new(error.code(), Exit::Malformed, error.to_string()))?)
    }

    /// Sends a post without waiting for what becomes of it. One that can't be sent is told of, and
    /// ends nothing: others wait behind it.
    pub fn send_off(
        &mut self,
        post: &Post,
        network: &Network,
        peers: &Peers,
        cx: &Context,
    ) -> Result<Option<SentByNode>> {
        let sealed = match self.seal_only(post, chat::TTL, cx) {
            Ok(sealed) => sealed,
            Err(Stop::Error(error)) => {
                cx.show(&error);
                return Ok(None);
            }
            Err(stop) => return Err(stop),
        };
        let target = peers.min_pow().max(chat::POW_TARGET);
        let envelope = mining::mine_or_fail(cx, &sealed, target)?;
        network.handle().widen_bloom(&Bloom::from_topic(envelope.topic()));
        Ok(match network.handle().send(envelope) {
            Ok(sent) => {
                if post.kind == PostKind::ContactCode && !sent.peers.is_empty() {
                    self.published(cx.now_ms())?;
                }
                Some(sent)
            }
            Err(error) => {
                let message = format!("an answer was not sent: {error}");
                cx.show(&CliError::new(error.code(), Exit::Network, message));
                None
            }
        })
    }
}

/// An installation as a member of records.
pub fn installation_value(installation: &Installation) -> Value {
    json!({
        "identity": installation.identity.to_string(),
        "installation": installation.id.as_str(),
        "pre_key": installation.prekey.to_string(),
        "version": installation.prekey_version,
        "protocol_version": installation.protocol_version,
        "timestamp": installation.timestamp.to_string(),
        "enabled": installation.enabled,
        "agreed": installation.agreed,
    })
}

fn record_of(
    envelope: &Envelope,
    opened: &Opened,
    received: &ReceivedPayload,
    whole: Whole,
) -> Record {
    let record = conversation_record(envelope, opened, &received.wrapper, whole)
        .with("author", received.author.to_string())
        .with("message_id", received.id.to_string())
        .with("chat", received.chat.as_ref().map(Chat::id))
        .with("layers", layers_value(&received.layers));
    let Some(news) = &received.group else { return record };
    // A text that is not taken is not shown.
    let record =
        if received.chat.is_none() { record.without("payload", "message") } else { record };
    let state = news.group.state();
    record.with(
        "group",
        json!({
            "chat_id": news.group.chat_id(),
            "name": state.name,
            "new": news.is_new,
            "new_events": news.new_events.len(),
            "members": state.members.to_vec(),
            "joined": state.joined.to_vec(),
            "admins": state.admins.to_vec(),
        }),
    )
}

/// Through which layers a payload came.
fn layers_value(layers: &Layers) -> Value {
    let mut value = match &layers.secure {
        None => json!({ "secure": "none" }),
        Some(how) => how_value(how),
    };
    value["installation"] = layers.installation.as_ref().map(|id| id.as_str()).into();
    value["data_sync_id"] = layers.sync.map(|id| id.to_string()).into();
    value
}

/// How the secure transport had encrypted something.
pub fn how_value(how: &EncryptionKind) -> Value {
    match how {
        EncryptionKind::Public => json!({ "secure": "public" }),
        EncryptionKind::Identity => json!({ "secure": "dh" }),
        EncryptionKind::Session {
            session,
            header,
            started,
            ratcheted,
            missing,
            key_was_stored,
        } => json!({
            "secure": "direct",
            "bundle": session.bundle.to_string(),
            "ratchet_key": header.key.to_string(),
            "n": header.n,
            "pn": header.pn,
            "started": started,
            "ratcheted": ratcheted,
            "missing": missing,
            "kept": key_was_stored,
        }),
    }
}

/// A message that is sent no more.
pub fn given_up_error(given_up: &GivenUp) -> CliError {
    let what = match &given_up.message {
        Some(id) => format!("message {id}"),
        None => format!("message {} of data sync", given_up.sync_id),
    };
    let message = format!("{what} to {} is given up: {}", given_up.peer, given_up.why);
    let error = CliError::new("send.given_up", Exit::Network, message);
    match given_up.why {
        GiveUp::Oversized(_) => error.hint("split it, and send the parts"),
        _ => error,
    }
}

/// What a post is, as members of a record about these of its messages.
pub fn post_members(record: Record, post: &Post, messages: &[MessageId]) -> Record {
    let kind = match post.kind {
        PostKind::Direct => "direct",
        PostKind::Fallback => "dh",
        PostKind::Public => "public",
        PostKind::ContactCode => "contact_code",
        PostKind::Advertisement => "advertisement",
        PostKind::Pairing => "pairing",
    };
    let installations: Vec<_> =
        post.parts.iter().map(|part| part.session.installation.as_str()).collect();
    record
        .with("message_ids", ids(messages))
        .with("to", post.to.map(|to| to.to_string()))
        .with("secure", kind)
        .with("installations", installations)
        .with("acks", post.acks)
}

/// Message ids as texts.
pub fn ids(ids: &[MessageId]) -> Vec<String> {
    ids.iter().map(MessageId::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::{Content, Item},
        output::hex0x,
        records::envelopes_of,
    };
    use statuskit_core::crypto::seeded_rng;

    fn talk(identity: SecretKey) -> Talk {
        let mut rng = seeded_rng("talk");
        let store: Box<dyn Store> = Box::new(MemoryStore::new());
        Talk {
            messenger: Messenger::open(store, identity, None, &mut rng).unwrap(),
            rng,
            is_kept: true,
            topics: HashSet::new(),
            contacts: Vec::new(),
            events: false,
        }
    }

    #[test]
    fn messages_of_one_envelope_have_its_bytes_once() {
        let (mut rng, now) = (seeded_rng("shared"), 1_585_500_000_000);
        let [alice, bob] = [(); 2].map(|()| SecretKey::generate(&mut rng));
        let (to_bob, mut ring) = (Chat::OneToOne(bob.public_key()), KeyRing::new());
        ring.add_identity(bob.clone());
        let (mut alice, mut bob) = (talk(alice), talk(bob));
        for text in ["a", "b", "c"] {
            alice.say(&to_bob, text, now).unwrap();
        }
        let ticked = alice.tick(now).unwrap();
        let [post] = &ticked.posts[..] else { panic!("{} envelopes", ticked.posts.len()) };
        let envelope = post.seal(alice.messenger.identity(), (now / 1000) as u32, 15, &mut rng);
        let envelope = envelope.unwrap();
        let (heard, _) = bob.take(&envelope, &ring.open(&envelope).unwrap(), now).unwrap();
        let of = |name: &str| -> Vec<_> {
            heard.records.iter().map(|record| record.members()[name].clone()).collect()
        };
        assert_eq!(of("envelope"), [hex0x(envelope.raw()).into(), Value::Null, Value::Null]);
        assert_eq!(of("padding").iter().filter(|it| it.is_null()).count(), 2);
        // Who reads such a stream finds the envelope once.
        let found = heard.records.iter().map(|record| {
            let content = Content::Record(record.members().clone());
            envelopes_of(&Item { line: 1, content }).unwrap()
        });
        assert_eq!(found.flatten().collect::<Vec<_>>(), [envelope]);
    }
}

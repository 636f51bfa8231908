//! The client: one loop over the node's events, what was mined, the history and the time.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::{
        self, ComposeOptions, Composed, Composer, Destination, KeyRing, Opened, ReceivedMessage,
        messenger::{
            ChatError, Incoming, Messenger, MessengerEvent, Post, PostKind,
            Subscription as NewTopic,
        },
    },
    crypto::SecretKey,
    envelope::{Bloom, Envelope, Topic, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::{MessageId, PayloadMessage, group::Group, matching::Chat},
};
use statuskit_mailserver::client::ClientError as HistoryError;
use statuskit_net::node::{
    Event as NodeEvent, Handle, Interest, PeerOptions, SendError, Service, Subscription, Time,
};

use crate::{
    builder::{BoxedStore, Builder},
    conversations::Conversations,
    delivery::{Contents, Delivery, DeliveryState, Outbox, PostInfo, SendId},
    error::{ClientError, NoPeer, SendFailure},
    event::{Event, UnreadMessage},
    history::{self, History},
    miner::{Job, Mined, Miner, MiningProgress},
    peers::Peers,
    progress::Progress,
    until,
};

/// Bytes of events that wait to be read; beyond, [`Client::written`] and its like fail rather than
/// let more come in.
const MAX_BACKLOG: usize = 64 << 20;

/// Packets up to this size are taken from the peers that a program names: nodes of the reference
/// write all that they have for a newcomer into one.
const MAX_PACKET: u32 = 10 << 20;

/// A program on the network. See the [crate](crate).
#[derive(Debug)]
pub struct Client {
    service: Service,
    events: Subscription,
    peers: Peers,
    ring: KeyRing,
    listening: Listening,
    /// Topics that were named: what no key opens there comes as it is.
    named_topics: HashSet<Topic>,
    raw: bool,
    conversations: Option<Conversations>,
    composers: HashMap<String, Composer>,
    author: Option<SecretKey>,
    acknowledge: bool,
    publish: bool,
    ttl: u32,
    history: Option<History>,
    miner: Miner,
    outbox: Outbox,
    pow: Option<f64>,
    connect_timeout: Duration,
    next_id: u64,
    ready: VecDeque<Event>,
    progress: Progress,
    backlog: usize,
    fixed_ms: Option<u64>,
    rng: ChaCha20Rng,
    has_ended: bool,
}

/// What a client listens to.
#[derive(Debug, Clone)]
pub(crate) enum Listening {
    Nothing,
    Topics(HashSet<Topic>),
    Everything,
}

impl Listening {
    /// Adds a topic. Returns whether it is new.
    pub fn add(&mut self, topic: Topic) -> bool {
        match self {
            Self::Topics(topics) => topics.insert(topic),
            Self::Nothing | Self::Everything => false,
        }
    }
}

/// What the loop wakes up for.
enum Wake {
    Node(Option<Arc<NodeEvent>>),
    Mined(Mined),
    History(history::Item),
    Time,
}

impl Client {
    /// Returns the settings of a new client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        settings: Builder,
        service: Service,
        node_key: SecretKey,
        ring: KeyRing,
        listening: Listening,
        conversations: Option<Conversations>,
        rng: ChaCha20Rng,
    ) -> Self {
        let handle = service.handle().clone();
        let events = handle.subscribe();
        let peers = Peers::new(&settings.peers);
        for enode in settings.peers {
            let mut options = PeerOptions::default();
            options.max_packet_size = Some(MAX_PACKET);
            handle.add_peer(enode, options);
        }
        let history = settings.history.map(|source| History::new(&source, node_key, &handle));
        Self {
            events,
            peers,
            ring,
            listening,
            named_topics: settings.named_topics,
            raw: settings.raw,
            conversations,
            composers: HashMap::new(),
            author: settings.author.or(settings.identity),
            acknowledge: settings.acknowledge,
            publish: settings.publish,
            ttl: settings.ttl,
            history,
            miner: Miner::new(),
            outbox: Outbox::new(settings.confirm_timeout, settings.reconnect_timeout),
            pow: settings.pow,
            connect_timeout: settings.connect_timeout,
            next_id: 0,
            ready: VecDeque::new(),
            progress: Progress::default(),
            backlog: 0,
            fixed_ms: settings.fixed_ms,
            rng,
            has_ended: false,
            service,
        }
    }

    /// Returns the next event, and does all that is to be done until there is one; `None` when the
    /// node has ended. Cancel-safe: nothing is lost if it is dropped and called again.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            self.step().await;
        }
    }

    /// Returns the next event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        let event = self.ready.pop_front()?;
        self.backlog -= event.size();
        Some(event)
    }

    /// Waits until each peer has answered or failed, and returns how many can be sent to. Events
    /// that come meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If no peer can be sent to within the time for connecting.
    pub async fn connect(&mut self) -> Result<usize, NoPeer> {
        let (limit, deadline) = (self.connect_timeout, Instant::now() + self.connect_timeout);
        while self.peers.unanswered() > 0 && !self.has_ended {
            let step = tokio::time::timeout_at(deadline.into(), self.step());
            if step.await.is_err() {
                break;
            }
        }
        self.peers.reached(limit)
    }

    /// Returns the peers.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the node.
    pub fn node(&self) -> &Handle {
        self.service.handle()
    }

    /// Returns the messenger of the identity, for groups, contacts and devices.
    pub fn messenger(&mut self) -> Option<&mut Messenger<impl statuskit_core::secure::Store>> {
        self.conversations.as_mut().map(|it| &mut it.messenger)
    }

    /// Returns what is being mined.
    pub fn mining(&self) -> Arc<MiningProgress> {
        self.miner.progress().clone()
    }

    /// Whether all that was to be sent has an outcome.
    pub fn is_idle(&self) -> bool {
        self.miner.waiting() == 0
            && self.outbox.is_empty()
            && self.ready.is_empty()
            && !self.conversations.as_ref().is_some_and(Conversations::has_unsent)
    }

    /// Returns until when lost peers may come back, if all are lost. What is sent until then waits
    /// for them.
    pub fn give_up_at(&self) -> Option<Instant> {
        self.outbox.give_up_at()
    }

    /// Returns from which second on some of the history is missing, and why if something went
    /// wrong.
    pub fn missing_history(&self) -> Option<(u32, Option<&HistoryError>)> {
        self.history.as_ref()?.missing()
    }

    /// Returns the time for messages, in UNIX milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.fixed_ms.unwrap_or_else(|| self.node().now().as_millis() as u64)
    }

    fn now(&self) -> u32 {
        (self.now_ms() / 1000) as u32
    }

    // Sending.

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
        self.mine(contents, composed.envelope)
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
        let now_ms = self.now_ms();
        let is_kept = self.conversations.as_ref().is_some_and(|it| it.is_kept);
        let chat = match destination {
            Destination::Person(key) if is_kept => Chat::OneToOne(*key),
            Destination::Group(id) => Chat::Group(id.clone()),
            _ => return self.send_stateless(destination, text, now_ms),
        };
        self.converse(|messenger, rng| messenger.send_text(&chat, text, now_ms, rng))
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
        let now_ms = self.now_ms();
        self.converse(|messenger, rng| messenger.send(chat, message, now_ms, rng))
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
        let now_ms = self.now_ms();
        let mut recipients = 0;
        let id = self.converse(|messenger, rng| {
            let (_, sent) = messenger.announce_group(group, now_ms, rng)?;
            recipients = sent.recipients;
            Ok(sent)
        })?;
        Ok((recipients > 0).then_some(id))
    }

    fn send_stateless(
        &mut self,
        destination: &Destination,
        text: &str,
        now_ms: u64,
    ) -> Result<MessageId, ClientError> {
        let key = match destination.chat() {
            Some(chat) => format!("{chat:?}"),
            None => return Err(chat::ComposeError::NoChat.into()),
        };
        if self.author.is_none() {
            self.author = Some(SecretKey::generate(&mut self.rng));
        }
        let author = &self.author;
        let composer = self
            .composers
            .entry(key)
            .or_insert_with(|| Composer::new(destination.clone(), author.clone()));
        let composed = composer.text(text, &ComposeOptions::default(), now_ms, &mut self.rng)?;
        let id = composed.message_id.ok_or(chat::ComposeError::NoChat)?;
        self.send_composed(composed);
        Ok(id)
    }

    fn converse(
        &mut self,
        work: impl FnOnce(
            &mut Messenger<BoxedStore>,
            &mut ChaCha20Rng,
        ) -> Result<chat::messenger::Sent, ChatError>,
    ) -> Result<MessageId, ClientError> {
        let conversations = self.conversations.as_mut().ok_or(ClientError::NoIdentity)?;
        let sent = work(&mut conversations.messenger, &mut self.rng)?;
        if sent.recipients > 0 {
            conversations.sending(&sent);
            self.progress.add(sent.id);
        }
        for post in sent.posts {
            self.post(post);
        }
        Ok(sent.id)
    }

    // Waiting for what becomes of it.

    /// Waits until the outcome of a message is known: each peer has it, and has confirmed or refused
    /// it, or did not in time. Events that come meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If it was not sent, no peer took it, or it is none of the latest thousands.
    pub async fn written(&mut self, id: MessageId) -> Result<Delivery, ClientError> {
        self.wait(|progress| progress.written(id)).await
    }

    /// Waits until a private message is acknowledged by a device of its recipient. Events that come
    /// meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If it was given up, or is none of the latest thousands.
    pub async fn acknowledged(&mut self, id: MessageId) -> Result<(), ClientError> {
        self.wait(|progress| progress.acknowledged(id)).await
    }

    async fn wait<T>(
        &mut self,
        done: impl Fn(&Progress) -> Option<Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        loop {
            if let Some(done) = done(&self.progress) {
                return done;
            }
            if self.has_ended {
                return Err(ClientError::Ended);
            }
            if self.backlog > MAX_BACKLOG {
                return Err(ClientError::Backlog);
            }
            self.step().await;
        }
    }

    /// Acknowledges what has come, and waits until all that was handed over is written, for `limit`
    /// at most.
    pub async fn finish(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        if self.acknowledge && self.conversations.as_ref().is_some_and(|it| it.is_kept) {
            self.turn();
        }
        while self.miner.waiting() > 0 || self.outbox.has_queued() {
            let step = tokio::time::timeout_at(deadline.into(), self.step());
            if step.await.is_err() || self.has_ended {
                break;
            }
        }
    }

    /// Ends the client and says good-bye to the peers, in bounded time.
    pub async fn close(self) {
        let Self { service, .. } = self;
        service.shutdown().await;
    }

    // The loop.

    /// Waits for one thing and handles it.
    async fn step(&mut self) {
        self.catch_up();
        let deadline = self.deadline();
        if self.settle() || !self.ready.is_empty() && self.has_ended {
            return;
        }
        let (events, miner, history) = (&mut self.events, &mut self.miner, &mut self.history);
        let history = async {
            match history {
                Some(history) => history.next().await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            event = events.next() => Wake::Node(event),
            mined = miner.next() => Wake::Mined(mined),
            item = history => Wake::History(item),
            () = until(deadline) => Wake::Time,
        };
        match wake {
            Wake::Node(Some(event)) => self.handle(&event),
            Wake::Node(None) => self.has_ended = true,
            Wake::Mined((id, contents, result)) => match result {
                Ok(Some(envelope)) => self.hand_over(id, contents, envelope),
                Ok(None) => self.fail(id, contents, SendFailure::Cancelled),
                Err(error) => self.fail(id, contents, error.into()),
            },
            Wake::History(item) => self.handle_history(item),
            Wake::Time => {
                if self.turn_at().is_some_and(|at| at <= Instant::now()) {
                    self.turn();
                }
            }
        }
        self.settle();
    }

    fn push(&mut self, event: Event) {
        self.progress.note(&event);
        self.backlog += event.size();
        self.ready.push_back(event);
    }

    /// Moves deliveries whose outcome is final to the events.
    fn settle(&mut self) -> bool {
        let before = self.ready.len();
        while let Some(delivery) = self.outbox.pop(Instant::now()) {
            self.push(Event::Delivered(Box::new(delivery)));
        }
        self.ready.len() > before
    }

    fn deadline(&mut self) -> Option<Instant> {
        let turn = self.turn_at();
        self.outbox.late_at().into_iter().chain(turn).min()
    }

    fn turn_at(&mut self) -> Option<Instant> {
        let (acknowledge, publish) = (self.acknowledge, self.publish);
        let conversations = self.conversations.as_mut()?;
        match conversations.next_turn(acknowledge, publish) {
            Ok(at) => at,
            Err(error) => {
                self.give_up_conversations(error);
                None
            }
        }
    }

    /// The state fails: nothing more can be promised.
    fn give_up_conversations(&mut self, error: ChatError) {
        self.conversations = None;
        self.push(Event::Broken(error));
    }

    /// Sends what data sync and the contact code have to send.
    fn turn(&mut self) {
        let now_ms = self.now_ms();
        let publish = self.publish && self.acknowledge;
        let Some(conversations) = &mut self.conversations else { return };
        match conversations.turn(publish, now_ms, &mut self.rng) {
            Ok((posts, given_up)) => {
                for given_up in given_up {
                    if let Some(conversations) = &mut self.conversations {
                        conversations.given_up(&given_up);
                    }
                    self.push(Event::GivenUp(given_up));
                }
                for post in posts {
                    self.post(post);
                }
            }
            Err(error) => self.give_up_conversations(error),
        }
    }

    /// Seals a post, and has it mined.
    fn post(&mut self, post: Post) {
        let now = self.now();
        let Some(conversations) = &mut self.conversations else { return };
        conversations.posted(&post);
        let contents = Contents::Post(PostInfo::from_post(&post));
        let identity = conversations.messenger.identity();
        let ttl = if post.messages.is_empty() { chat::TTL } else { self.ttl };
        let sealed = post.seal(identity, now, ttl, &mut self.rng);
        if let Some(answer) = post.answer {
            self.listen(answer);
        }
        match sealed {
            Ok(envelope) => {
                self.mine(contents, envelope);
            }
            Err(error) => {
                let id = self.new_id();
                self.fail(id, contents, error.into());
            }
        }
    }

    fn mine(&mut self, contents: Contents, envelope: Envelope) -> SendId {
        let id = self.new_id();
        // No work makes it smaller.
        let (size, max) = (envelope.packet_len(), DEFAULT_MAX_MESSAGE_SIZE);
        if size > max as usize {
            let error = SendError::Oversized { size, max };
            self.fail(id, contents, SendFailure::Refused { hash: envelope.hash(), error });
            return id;
        }
        let target = self.pow.unwrap_or_else(|| self.peers.min_pow().max(chat::POW_TARGET));
        self.miner.push(Job { id, contents, envelope, target });
        id
    }

    /// Gives an envelope to the node.
    fn hand_over(&mut self, id: SendId, contents: Contents, envelope: Envelope) {
        if self.outbox.give_up_at().is_some_and(|at| at <= Instant::now()) {
            return self.fail(id, contents, SendFailure::NoPeer);
        }
        let handle = self.service.handle();
        handle.widen_bloom(&Bloom::from_topic(envelope.topic()));
        let sent = match handle.send(envelope.clone()) {
            Ok(sent) => sent,
            Err(error) => {
                let failure = SendFailure::Refused { hash: envelope.hash(), error };
                return self.fail(id, contents, failure);
            }
        };
        // If there is no peer, it waits for one.
        if sent.peers.is_empty() && !sent.known && handle.stats().ready_peers > 0 {
            let failure = SendFailure::Unwanted {
                topic: envelope.topic(),
                pow: envelope.pow(0),
                requirements: self.peers.requirements(),
            };
            return self.fail(id, contents, failure);
        }
        let is_contact_code =
            matches!(&contents, Contents::Post(post) if post.kind == PostKind::ContactCode);
        if is_contact_code && !sent.peers.is_empty() {
            let now_ms = self.now_ms();
            let conversations = self.conversations.as_mut();
            let noted = conversations.map(|it| it.messenger.contact_code_published(now_ms));
            if let Some(Err(error)) = noted {
                self.give_up_conversations(error);
            }
        }
        // The pool has it until this second is over.
        let expiry = Duration::from_secs(u64::from(envelope.expiry()) + 1);
        let left = expiry.saturating_sub(self.node().now());
        let peers = &self.peers;
        let summary = |connection| peers.get(connection).cloned();
        self.outbox.push(id, contents, Arc::new(envelope), sent, left, summary);
    }

    fn fail(&mut self, id: SendId, contents: Contents, error: SendFailure) {
        self.push(Event::NotSent { id, contents, error });
    }

    fn new_id(&mut self) -> SendId {
        self.next_id += 1;
        SendId(self.next_id)
    }

    /// Listens on a topic from now on.
    fn listen(&mut self, new: NewTopic) {
        let topic = new.topic;
        if !Conversations::listen(&new, &mut self.ring, &mut self.listening) {
            return;
        }
        if let Listening::Topics(topics) = &self.listening {
            let handle = self.service.handle();
            handle.set_interest(Interest::Topics(topics.clone()));
            handle.widen_bloom(&Bloom::from_topic(topic));
        }
    }

    // Receiving.

    fn handle(&mut self, event: &Arc<NodeEvent>) {
        let before = self.peers.count();
        let is_told = self.peers.handle(event);
        self.outbox.set_peers(self.peers.count());
        match &**event {
            NodeEvent::Envelope { envelope, .. } => {
                let history = self.history.as_mut();
                if history.is_none_or(|history| history.is_first(envelope.hash())) {
                    self.receive(Arc::new(envelope.envelope().clone()));
                }
            }
            NodeEvent::Written { peer, envelopes, confirms } => {
                let state = DeliveryState::Written { confirms: *confirms };
                for hash in envelopes {
                    self.outbox.set(hash, *peer, self.peers.get(*peer), &state);
                }
            }
            // No better confirmation than the envelope itself.
            NodeEvent::Held { peer, envelope } => {
                let summary = self.peers.get(*peer);
                self.outbox.set(envelope, *peer, summary, &DeliveryState::Confirmed);
            }
            NodeEvent::BatchAcknowledged { peer, errors, envelopes, .. } => {
                for hash in envelopes {
                    let error = errors.iter().flatten().find(|error| error.hash == *hash);
                    let state = error.map_or(DeliveryState::Confirmed, |error| {
                        DeliveryState::Refused(error.clone())
                    });
                    self.outbox.set(hash, *peer, self.peers.get(*peer), &state);
                }
            }
            NodeEvent::Ready { .. } => self.outbox.revive(),
            NodeEvent::Disconnected { peer, at, unread_since, .. } => {
                self.outbox.lose(peer.key);
                if let Some(since) = unread_since {
                    self.missed(*since, HistoryError::Lagged);
                } else if before > 0 && self.peers.count() == 0 {
                    // Until a peer is back, nothing comes.
                    self.missed(*at, HistoryError::NotConnected);
                }
            }
            _ => {}
        }
        if is_told {
            self.push(Event::Network(event.clone()));
        }
    }

    /// Notes that since this time something may be missing.
    fn missed(&mut self, since: Time, why: HistoryError) {
        if let Some(history) = &mut self.history {
            history.missed(since.as_secs() as u32, why);
        }
    }

    /// Asks for the history that is missing.
    fn catch_up(&mut self) {
        let now = self.now();
        let Some(history) = &mut self.history else { return };
        if self.peers.unanswered() > 0 && self.peers.count() == 0 {
            // The first answers are still to come.
            return;
        }
        let topics = match &self.listening {
            Listening::Topics(topics) => topics.iter().copied().collect(),
            Listening::Nothing | Listening::Everything => Vec::new(),
        };
        if let Some(event) = history.catch_up(self.service.handle(), topics, now) {
            self.push(Event::History(event));
        }
    }

    fn handle_history(&mut self, item: history::Item) {
        let now = self.now();
        let Some(history) = &mut self.history else { return };
        match history.handle(item, now) {
            history::Outcome::Envelope(envelope) => self.receive(Arc::new(envelope)),
            history::Outcome::Event(event) => self.push(Event::History(event)),
            history::Outcome::Nothing => {}
        }
    }

    /// Opens an envelope, once, and hands it to where its key belongs.
    fn receive(&mut self, envelope: Arc<Envelope>) {
        if self.raw {
            return self.push(Event::Envelope { envelope, error: None });
        }
        match self.ring.open(&envelope) {
            Ok(opened) => {
                let is_private = opened.source.is_private() && self.conversations.is_some();
                let opened = Arc::new(opened);
                if !is_private || self.receive_private(&envelope, &opened) {
                    let message = Box::new(ReceivedMessage::read(envelope, opened));
                    self.push(Event::Message { message, is_first: true });
                }
            }
            Err(error) => {
                let is_wanted = match self.listening {
                    Listening::Topics(_) => self.named_topics.contains(&envelope.topic()),
                    Listening::Nothing | Listening::Everything => self.ring.is_empty(),
                };
                if is_wanted {
                    self.push(Event::Envelope { envelope, error: Some(error) });
                }
            }
        }
    }

    /// Hands a message to the messenger. Returns whether it is of another application.
    fn receive_private(&mut self, envelope: &Arc<Envelope>, opened: &Arc<Opened>) -> bool {
        let now_ms = self.now_ms();
        let Some(conversations) = &mut self.conversations else { return true };
        let incoming = Incoming {
            signer: opened.message.signer(),
            sent: envelope.sent(),
            payload: &opened.message.payload,
        };
        let outcome = match conversations.messenger.receive(&incoming, now_ms, &mut self.rng) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.give_up_conversations(error);
                return false;
            }
        };
        let answers = self.acknowledge && conversations.is_kept;
        let (hash, mut is_first, mut is_foreign) = (envelope.hash(), true, false);
        for event in outcome.events {
            match event {
                MessengerEvent::Message(payload) => {
                    let (envelope, opened) = (envelope.clone(), opened.clone());
                    let message = ReceivedMessage::from_payload(envelope, opened, payload);
                    self.push(Event::Message { message: Box::new(message), is_first });
                    is_first = false;
                }
                MessengerEvent::Unread { sender, reason, layers } => {
                    let unread = UnreadMessage { envelope: hash, sender, reason, layers };
                    self.push(Event::Unread(Box::new(unread)));
                }
                MessengerEvent::Bundle { sender, learned } => {
                    self.push(Event::Bundle { envelope: envelope.clone(), sender, learned });
                }
                MessengerEvent::Subscribe(new) => self.listen(new),
                MessengerEvent::Acknowledged { peer, ids } => {
                    self.push(Event::Acknowledged { peer, ids });
                }
                MessengerEvent::Repeated(id) => {
                    self.push(Event::Repeated { envelope: hash, id });
                }
                MessengerEvent::Empty { sender } => {
                    self.push(Event::Empty { envelope: hash, sender });
                }
                MessengerEvent::Own | MessengerEvent::Again => {}
                MessengerEvent::Foreign => is_foreign = true,
            }
        }
        if answers {
            for post in outcome.posts {
                self.post(post);
            }
        }
        is_foreign
    }
}

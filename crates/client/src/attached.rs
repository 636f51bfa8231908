//! A client without a node: another program holds its state, and does the work.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::{Composed, Destination, ReceivedMessage, messenger::ReceivedPayload},
    envelope::Envelope,
    payload::{MessageId, group::Group, matching::Chat},
    time::UnixMillis,
};
use tokio::task::JoinHandle;

use crate::{
    builder::Builder,
    compose::Composing,
    delivery::{Contents, SendId},
    engine::{Engine, Handover, Listening},
    error::{ClientError, SendFailure, StartError},
    event::Event,
    history::{HistoryEvent, HistorySource},
    inbox::{Inbox, MessageKey, Saved, Ticket},
    peers::Peers,
    progress::Progress,
    share::{
        Held, Holder, HolderError, Link, Opened, ShareError,
        message::{Attach, Reply, Request, Wants, Work},
    },
};

/// Messages that were handled and are remembered, for the next holder may offer them again.
const MAX_KNOWN: usize = 1 << 13;

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Sent(Option<MessageId>, bool),
    Group(Box<Group>),
    Chats(Vec<Chat>),
    Failed(ClientError),
    /// The holder ended without doing it.
    NotDone,
}

/// A message of the holder.
#[derive(Debug)]
struct Known {
    /// Its numbers on the link of this epoch.
    numbers: Vec<u64>,
    epoch: u64,
    is_handled: bool,
}

/// A client of the holder of a state.
pub(crate) struct Attached {
    /// `None` while the next holder is looked for.
    settings: Option<Builder>,
    link: Option<Link>,
    /// Counts the holders.
    epoch: u64,
    /// Whether the holder said that it ends.
    is_ending: bool,
    moving: Option<JoinHandle<Result<Moved, StartError>>>,
    engine: Option<Box<Engine>>,
    pub inbox: Inbox,
    pub progress: Progress,
    pub peers: Peers,
    composing: Composing,
    rng: ChaCha20Rng,
    next_request: u64,
    /// Requests that are not answered; with the answer of those that are.
    asked: BTreeMap<u64, Option<Answer>>,
    /// Envelopes without an outcome, for the next holder.
    under_way: BTreeMap<u64, Work>,
    /// Private messages without an outcome.
    messages: HashSet<MessageId>,
    known: HashMap<MessageKey, Known>,
    order: VecDeque<MessageKey>,
    /// The history that was asked for.
    history: Option<HistorySource>,
    /// What it listens to from now on or no more, since the holder ended.
    changes: Vec<(Destination, bool)>,
    is_stopped: bool,
    has_ended: bool,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").field("link", &self.link).finish_non_exhaustive()
    }
}

/// Where the state is next.
enum Moved {
    Own(Box<Engine>),
    Held(Box<Builder>, Held),
}

impl Attached {
    pub fn new(mut settings: Builder, held: Held, rng: ChaCha20Rng) -> Self {
        let Held { link, peers: count, failure, named } = held;
        if settings.peers.is_empty() {
            settings.peers = named;
        }
        let mut peers = Peers::new(&settings.peers);
        peers.tell(count, failure);
        let author = settings.author.clone().or_else(|| settings.identity.clone());
        Self {
            settings: Some(settings),
            link: Some(link),
            epoch: 1,
            is_ending: false,
            moving: None,
            engine: None,
            inbox: Inbox::default(),
            progress: Progress::default(),
            peers,
            composing: Composing::new(author),
            rng,
            next_request: 0,
            asked: BTreeMap::new(),
            under_way: BTreeMap::new(),
            messages: HashSet::new(),
            known: HashMap::new(),
            order: VecDeque::new(),
            history: None,
            changes: Vec::new(),
            is_stopped: false,
            has_ended: false,
        }
    }

    /// Returns the program that holds the state; `None` while the next one is looked for.
    pub fn holder(&self) -> Option<&Holder> {
        self.link.as_ref().map(Link::holder)
    }

    /// Takes the client that holds the state from now on.
    pub fn take_engine(&mut self) -> Option<Box<Engine>> {
        self.engine.take()
    }

    /// Whether nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.has_ended || self.is_stopped
    }

    /// Whether all that was to be sent has an outcome.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.messages.is_empty() && self.inbox.is_empty()
    }

    pub fn now(&self) -> UnixMillis {
        let now = |it: &Builder| {
            it.fixed_time.unwrap_or_else(|| UnixMillis::from_since_epoch(it.clock.now()))
        };
        self.settings.as_ref().map_or(UnixMillis(0), now)
    }

    /// Whether requests can be made.
    pub fn is_linked(&self) -> bool {
        self.link.is_some() && self.settings.is_some()
    }

    /// Waits for one thing, and handles it. Cancel-safe.
    pub async fn step(&mut self) {
        if let Some(moving) = &mut self.moving {
            let moved = moving.await;
            self.moving = None;
            match moved {
                Ok(Ok(moved)) => self.moved(moved),
                Ok(Err(error)) => self.end(error),
                Err(_) => self.has_ended = true,
            }
            return;
        }
        if self.has_ended() {
            return std::future::pending().await;
        }
        match &mut self.link {
            Some(link) => match link.next().await {
                Some(reply) => self.handle(reply),
                None => self.lose(),
            },
            None => self.has_ended = true,
        }
    }

    fn end(&mut self, error: StartError) {
        self.has_ended = true;
        self.push(Event::Detached(error), None);
        self.fail_requests();
        for (id, work) in mem::take(&mut self.under_way) {
            let contents = match work {
                Work::Mine(_, Some(id)) => Contents::Message(id),
                _ => Contents::Envelope,
            };
            let error = SendFailure::Holder(HolderError::ended());
            self.push(Event::NotSent { id: SendId(id), contents, error }, None);
        }
    }

    fn fail_requests(&mut self) {
        let is_ending = self.is_ending;
        for answer in self.asked.values_mut().filter(|answer| answer.is_none()) {
            *answer = Some(match is_ending {
                true => Answer::NotDone,
                false => Answer::Failed(ClientError::Holder(HolderError::ended())),
            });
        }
    }

    /// The holder is gone: looks for the next one, which may be this program.
    fn lose(&mut self) {
        self.link = None;
        self.fail_requests();
        let Some(settings) = self.settings.take() else { return };
        let messages = self.messages.iter().copied().collect();
        let attach = attach_request(&settings, true, messages);
        let known = self.known.iter().map(|(key, known)| (*key, known.is_handled)).collect();
        self.moving = Some(tokio::spawn(reopen(settings, attach, known)));
    }

    fn moved(&mut self, moved: Moved) {
        match moved {
            Moved::Held(settings, Held { link, peers, failure, .. }) => {
                self.peers.tell(peers, failure);
                self.push(Event::Moved(Some(link.holder().clone())), None);
                let options = settings.send_options;
                for (request, work) in &self.under_way {
                    let work = Box::new(again(work));
                    link.send(&Request::Send { request: *request, options, work });
                }
                (self.link, self.settings) = (Some(link), Some(*settings));
                self.epoch += 1;
                self.is_ending = false;
                for (destination, joins) in mem::take(&mut self.changes) {
                    self.listen(&destination, joins);
                }
                if let Some(source) = self.history.take() {
                    self.fetch_history(source);
                }
            }
            Moved::Own(mut engine) => {
                self.push(Event::Moved(None), None);
                engine.adopt(Handover {
                    inbox: mem::take(&mut self.inbox),
                    progress: mem::take(&mut self.progress),
                    composing: mem::take(&mut self.composing),
                    next_id: self.next_request,
                    messages: mem::take(&mut self.messages),
                    under_way: mem::take(&mut self.under_way),
                });
                for (destination, joins) in mem::take(&mut self.changes) {
                    match joins {
                        true => engine.join(&destination),
                        false => engine.leave(&destination),
                    }
                }
                self.history.take().iter().for_each(|source| engine.fetch_history(source));
                self.engine = Some(engine);
            }
        }
    }

    fn push(&mut self, event: Event, ticket: Option<Ticket>) {
        self.progress.note(&event);
        self.inbox.push(event, ticket);
    }

    fn handle(&mut self, reply: Reply) {
        match reply {
            Reply::Welcome { peers, failure, .. } | Reply::Peers { peers, failure } => {
                self.peers.tell(peers, failure);
            }
            Reply::Refused(error) => {
                let Some(holder) = self.holder().cloned() else { return };
                self.link = None;
                self.end(ShareError::Refused { holder, error }.into());
            }
            Reply::Ending => {
                self.is_ending = true;
                self.lose();
            }
            Reply::Private { number, at, is_first, is_repeated, saved, payload } => {
                self.receive_private(number, at, (is_first, is_repeated), &saved, *payload);
            }
            Reply::Envelope { number, is_repeated, envelope } => {
                self.receive(number, is_repeated, Arc::new(envelope));
            }
            Reply::Unread(unread) => self.push(Event::Unread(unread), None),
            Reply::Bundle { envelope, sender, learned } => {
                let envelope = Arc::new(envelope);
                self.push(Event::Bundle { envelope, sender, learned }, None);
            }
            Reply::Acknowledged { peer, ids } => {
                self.push(Event::Acknowledged { peer, ids }, None);
            }
            Reply::Repeated { envelope, id } => self.push(Event::Repeated { envelope, id }, None),
            Reply::Empty { envelope, sender } => {
                self.push(Event::Empty { envelope, sender }, None);
            }
            Reply::Accepted { request, id, is_sent } => {
                self.answer(request, Answer::Sent(id, is_sent));
            }
            Reply::Failed { request, error } => self.answer(request, Answer::Failed(error)),
            Reply::Group { request, group } => {
                self.answer(request, Answer::Group(Box::new(group)));
            }
            Reply::Chats { request, chats } => self.answer(request, Answer::Chats(chats)),
            Reply::History(outcome) => {
                self.history = None;
                let event = match outcome {
                    Ok(envelopes) => HistoryEvent::Complete { envelopes },
                    Err(error) => HistoryEvent::Refused(error),
                };
                self.push(Event::History(event), None);
            }
            Reply::Delivered(delivery) => {
                self.under_way.remove(&delivery.id.0);
                self.settle(&delivery.contents);
                self.push(Event::Delivered(delivery), None);
            }
            Reply::NotSent { id, contents, error } => {
                self.under_way.remove(&id.0);
                self.settle(&contents);
                self.push(Event::NotSent { id, contents, error }, None);
            }
            Reply::TooMuchWork(error) => self.push(Event::TooMuchWork(error), None),
            Reply::GivenUp(given_up) => {
                given_up.message.into_iter().for_each(|id| _ = self.messages.remove(&id));
                self.push(Event::GivenUp(given_up), None);
            }
        }
    }

    fn settle(&mut self, contents: &Contents) {
        contents.messages().iter().for_each(|id| _ = self.messages.remove(id));
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        if let Answer::Sent(Some(id), true) = answer
            && !self.under_way.contains_key(&request)
        {
            self.messages.insert(id);
            self.progress.add(id);
        }
        match self.asked.get_mut(&request) {
            Some(waiting) => *waiting = Some(answer),
            None => {
                if let Answer::Failed(error) = answer
                    && self.under_way.remove(&request).is_some()
                {
                    let error = HolderError::new(error.code(), error.to_string());
                    let (id, error) = (SendId(request), SendFailure::Holder(error));
                    self.push(Event::NotSent { id, contents: Contents::Envelope, error }, None);
                }
            }
        }
    }

    // Messages.

    /// Whether a message is new; else it is settled with the holder when it was handled.
    fn is_new(&mut self, key: MessageKey, number: u64) -> bool {
        match self.known.get_mut(&key) {
            Some(known) if known.is_handled => {
                self.done(number, true);
                false
            }
            Some(known) => {
                if known.epoch != self.epoch {
                    known.numbers.clear();
                }
                known.numbers.push(number);
                known.epoch = self.epoch;
                false
            }
            None => {
                let (epoch, is_handled) = (self.epoch, false);
                self.known.insert(key, Known { numbers: vec![number], epoch, is_handled });
                true
            }
        }
    }

    fn done(&self, number: u64, is_handled: bool) {
        if let Some(link) = &self.link {
            link.send(&Request::Done { number, is_handled });
        }
    }

    fn receive_private(
        &mut self,
        number: u64,
        at: u32,
        (is_first, is_repeated): (bool, bool),
        saved: &[u8],
        payload: ReceivedPayload,
    ) {
        let Ok(Saved { envelope, opened: Some(opened) }) = Saved::decode(saved) else {
            return self.done(number, true);
        };
        let key = (envelope.hash(), at as usize);
        if self.is_new(key, number) {
            let (envelope, opened) = (Arc::new(envelope), Arc::new(opened));
            let message = ReceivedMessage::from_payload(envelope, opened, payload);
            let message = Box::new(message);
            let event = Event::Message { message, is_first, is_repeated };
            self.push(event, Some(Ticket::Held(key)));
        }
    }

    fn receive(&mut self, number: u64, is_repeated: bool, envelope: Arc<Envelope>) {
        let key = (envelope.hash(), 1);
        let event = self.settings.as_ref().and_then(|it| it.open(envelope, is_repeated));
        let Some(event) = event else { return self.done(number, true) };
        if self.is_new(key, number) {
            self.push(event, Some(Ticket::Held(key)));
        }
    }

    /// Notes that a message was handled, or is not going to be.
    pub fn settle_ticket(&mut self, ticket: &Ticket, is_handled: bool) {
        let Ticket::Held(key) = ticket else { return };
        let Some(known) = self.known.get_mut(key) else { return };
        let numbers = std::mem::take(&mut known.numbers);
        let is_current = known.epoch == self.epoch;
        known.is_handled = is_handled;
        if is_handled {
            self.order.push_back(*key);
        } else {
            self.known.remove(key);
        }
        if is_current {
            numbers.into_iter().for_each(|number| self.done(number, is_handled));
        }
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    // Requests.

    fn number(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Composes what needs no state; else returns where a text goes.
    pub fn compose(
        &mut self,
        destination: &Destination,
        text: &str,
    ) -> Result<Result<Composed, Chat>, ClientError> {
        let now = self.now();
        Ok(match destination {
            Destination::Person(key) => Err(Chat::OneToOne(*key)),
            Destination::Group(id) => Err(Chat::Group(id.clone())),
            _ => Ok(self.composing.text(destination, text, now, &mut self.rng)?),
        })
    }

    /// Sends a finished envelope, or one to be mined.
    pub fn send(&mut self, work: Work) -> SendId {
        let request = self.number();
        if let Work::Mine(_, Some(id)) = &work {
            self.progress.add(*id);
        }
        if let (Some(link), Some(settings)) = (&self.link, &self.settings) {
            let (options, work) = (settings.send_options, Box::new(again(&work)));
            link.send(&Request::Send { request, options, work });
        }
        // Without a link, the next one gets it.
        self.under_way.insert(request, work);
        SendId(request)
    }

    /// Asks for something that has an answer. There must be a link.
    pub fn ask(&mut self, work: Work) -> u64 {
        let request = self.number();
        if let (Some(link), Some(settings)) = (&self.link, &self.settings) {
            let (options, work) = (settings.send_options, Box::new(work));
            link.send(&Request::Send { request, options, work });
        }
        self.asked.insert(request, None);
        request
    }

    /// Asks for a group. There must be a link.
    pub fn ask_group(&mut self, chat_id: &str) -> u64 {
        let request = self.number();
        self.tell(&Request::Group { request, chat_id: chat_id.to_owned() });
        self.asked.insert(request, None);
        request
    }

    /// Asks for all chats. There must be a link.
    pub fn ask_chats(&mut self) -> u64 {
        let request = self.number();
        self.tell(&Request::Chats { request });
        self.asked.insert(request, None);
        request
    }

    fn tell(&self, request: &Request) {
        if let Some(link) = &self.link {
            link.send(request);
        }
    }

    /// Asks for the history.
    pub fn fetch_history(&mut self, source: HistorySource) {
        self.tell(&Request::History(Box::new(source.clone())));
        // Without a link, or if the holder ends, the next one gets it.
        self.history = Some(source);
    }

    /// Receives what is sent to a destination from now on, or no more.
    pub fn listen(&mut self, destination: &Destination, joins: bool) {
        let change = (destination.clone(), joins);
        match &mut self.settings {
            Some(settings) => {
                settings.listen(&change);
                let wants = wants_of(settings);
                self.tell(&Request::Listen(wants));
            }
            None => self.changes.push(change),
        }
    }

    /// Takes an answer; `None` while there is none.
    pub fn take_answer(&mut self, request: u64) -> Option<Answer> {
        self.asked.get(&request)?.as_ref()?;
        self.asked.remove(&request).flatten()
    }

    // The end.

    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Gives back what was not handled. Returns how much that is.
    pub fn give_back_all(&mut self) -> usize {
        let tickets = self.inbox.take_tickets();
        tickets.iter().for_each(|ticket| self.settle_ticket(ticket, false));
        tickets.len()
    }

    /// Leaves the holder, once it has all that was to be sent to it.
    pub async fn leave(&mut self) {
        if let Some(moving) = self.moving.take() {
            moving.abort();
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }
}

/// The request to attach with these settings.
pub(crate) fn attach_request(
    settings: &Builder,
    resumes: bool,
    messages: Vec<MessageId>,
) -> Request {
    Request::Attach(Box::new(Attach {
        identity: settings.identity.as_ref().map(|key| key.public_key()),
        wants: wants_of(settings),
        resumes,
        messages,
    }))
}

fn wants_of(settings: &Builder) -> Wants {
    Wants {
        private: settings.ring.identities().next().is_some() && !settings.raw,
        raw: settings.raw,
        acknowledge: settings.acknowledge,
        listening: settings.listening(),
        contacts: settings.contacts.clone(),
    }
}

/// Opens the state, or attaches to its next holder.
async fn reopen(
    mut settings: Builder,
    attach: Request,
    known: HashMap<MessageKey, bool>,
) -> Result<Moved, StartError> {
    let Some(mut state) = settings.state.take() else {
        return Err(StartError::Share(ShareError::Garbled));
    };
    match state.reopen(&attach).await? {
        Opened::Own(store) => {
            let path = state.path().to_owned();
            let engine = settings.start_own(*store, &path, known).await?;
            Ok(Moved::Own(Box::new(engine)))
        }
        Opened::Held(held) => {
            settings.state = Some(state);
            Ok(Moved::Held(Box::new(settings), *held))
        }
    }
}

/// The same work for another holder.
fn again(work: &Work) -> Work {
    match work {
        Work::Mine(envelope, id) => Work::Mine(envelope.clone(), *id),
        Work::Envelope(envelope) => Work::Envelope(envelope.clone()),
        // Those are asked for, and answered.
        Work::Text(chat, text) => Work::Text(chat.clone(), text.clone()),
        Work::Payload(chat, message) => Work::Payload(chat.clone(), message.clone()),
        Work::Announce(group) => Work::Announce(group.clone()),
        Work::Create(name, members) => Work::Create(name.clone(), members.clone()),
        Work::Change(chat_id, change) => Work::Change(chat_id.clone(), change.clone()),
    }
}

impl Builder {
    /// What this program listens to.
    pub(crate) fn listening(&self) -> Listening {
        match (self.listens, self.everything) {
            (false, _) => Listening::Nothing,
            (true, true) => Listening::Everything,
            (true, false) => Listening::Topics(self.topics.clone()),
        }
    }

    /// Listens to a destination, or no more.
    fn listen(&mut self, (destination, joins): &(Destination, bool)) {
        let topic = match destination {
            Destination::Public(chat) => chat.topic,
            Destination::SymKey { topic: Some(topic), .. } => *topic,
            _ => return,
        };
        if !joins {
            self.topics.remove(&topic);
            return;
        }
        self.listens = true;
        match destination {
            Destination::Public(chat) if self.ring.public_chats().any(|it| it == chat.name) => {}
            Destination::Public(chat) => self.ring.add_chat(chat),
            Destination::SymKey { key, .. } => self.ring.add_sym_key(key.clone()),
            _ => {}
        }
        self.topics.insert(topic);
    }

    /// What an envelope is for this program; `None` if it does not want it.
    fn open(&self, envelope: Arc<Envelope>, is_repeated: bool) -> Option<Event> {
        if !self.everything && !self.topics.contains(&envelope.topic()) {
            return None;
        }
        if self.raw {
            return Some(Event::Envelope { envelope, error: None, is_repeated });
        }
        match self.ring.open(&envelope) {
            Ok(opened) => {
                let message = ReceivedMessage::read(envelope, Arc::new(opened), &self.ring);
                let message = Box::new(message);
                Some(Event::Message { message, is_first: true, is_repeated })
            }
            Err(error) => {
                let is_wanted = match self.everything {
                    true => self.ring.is_empty(),
                    false => self.named_topics.contains(&envelope.topic()),
                };
                is_wanted.then_some(Event::Envelope { envelope, error: Some(error), is_repeated })
            }
        }
    }
}

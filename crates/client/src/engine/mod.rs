//! A client with a node and a state of its own: one loop over the node's events, what was mined, the
//! history, other programs and the time.

mod receiving;
mod sending;
mod serving;
#[cfg(test)]
mod tests;
mod twice;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::{
        KeyRing, ReceivedMessage,
        messenger::{ChatError, Messenger},
    },
    crypto::SecretKey,
    devp2p::Enode,
    envelope::{Envelope, Topic},
    payload::MessageId,
    time::{UnixMillis, UnixSeconds},
    wire::Status,
};
use statuskit_mailserver::client::ClientError as HistoryError;
use statuskit_net::{
    discovery::Finder,
    node::{Event as NodeEvent, Handle, PeerOptions, Service, Subscription},
};

use self::twice::Twice;
use self::{
    receiving::{Arrivals, Origin, unreceived},
    serving::{Acting, Party, Recovered, Sharing},
};
use crate::{
    builder::{BoxedStore, Builder},
    compose::Composing,
    conversations::Conversations,
    delivery::{Contents, Outbox, SendId},
    error::{ClientError, NoPeer},
    event::Event,
    history::{self, History},
    inbox::{Claim, Inbox, MAX_KEPT, Saved, Ticket, Unhandled},
    miner::{Mined, Miner, MiningProgress},
    peers::Peers,
    probe::Probes,
    progress::Progress,
    share::{
        FromProgram, Server,
        message::{SendOptions, Work},
    },
    until,
};

/// Bytes of events that wait to be read; beyond, [`Client::written`](crate::Client::written) and its like fail rather than
/// let more come in.
pub(crate) const MAX_BACKLOG: usize = 64 << 20;

/// Steps without an event after which others have their turn.
const MAX_STEPS: u32 = 16;

/// Bytes of events that wait while the program handles one.
const MAX_AHEAD: usize = 4 << 20;

/// Packets up to this size are taken from the peers that a program names: nodes of the reference
/// write all that they have for a newcomer into one.
pub(crate) const MAX_PACKET: u32 = 10 << 20;

/// How long discovery may take to find the first peer: nodes are asked for a topic once a minute.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// A program on the network, with a node of its own.
#[derive(Debug)]
pub(crate) struct Engine {
    /// `None` once it was stopped.
    service: Option<Service>,
    node: Handle,
    events: Subscription,
    twice: Twice,
    peers: Peers,
    ring: KeyRing,
    /// What the node listens to, for other programs too.
    listening: Listening,
    /// What this program listens to.
    own: Listening,
    /// Whether private messages are for this program, and not only for others.
    is_private: bool,
    /// Topics that were named: what no key opens there comes as it is.
    named_topics: HashSet<Topic>,
    raw: bool,
    conversations: Option<Conversations>,
    composing: Composing,
    acknowledge: bool,
    publish: bool,
    history: Option<History>,
    /// The peers that were named.
    enodes: Vec<Enode>,
    /// Signs requests for history.
    node_key: SecretKey,
    miner: Miner,
    outbox: Outbox,
    /// How this program sends.
    options: SendOptions,
    probes: Probes,
    is_skew_told: bool,
    connect_timeout: Duration,
    next_id: u64,
    inbox: Inbox,
    arrived: Arrivals,
    progress: Progress,
    /// How often what is under way was mined, and how.
    mined: HashMap<SendId, (u32, SendOptions)>,
    /// What this program sends and has no outcome yet.
    under_way: HashSet<SendId>,
    sharing: Sharing,
    /// The other program that something is sent for, if it is not this one.
    acting: Option<Acting>,
    /// Whether what is kept was read.
    has_resumed: bool,
    /// Proofs of work that take too long, as far as the program knows of them.
    too_much: HashSet<u64>,
    fixed_time: Option<UnixMillis>,
    rng: ChaCha20Rng,
    has_ended: bool,
    /// Finds further peers.
    finder: Option<Finder>,
}

/// What a client listens to.
#[derive(Debug, Clone)]
pub(crate) enum Listening {
    Nothing,
    Topics(HashSet<Topic>),
    Everything,
}

impl Listening {
    /// Whether envelopes on a topic are listened to.
    pub fn takes(&self, topic: Topic) -> bool {
        match self {
            Self::Nothing => false,
            Self::Topics(topics) => topics.contains(&topic),
            Self::Everything => true,
        }
    }

    /// Adds a topic. Returns whether it is new.
    pub fn add(&mut self, topic: Topic) -> bool {
        match self {
            Self::Topics(topics) => topics.insert(topic),
            Self::Nothing | Self::Everything => false,
        }
    }
}

/// What a client without a node leaves to the one that follows it.
#[derive(Debug)]
pub(crate) struct Handover {
    pub inbox: Inbox,
    pub progress: Progress,
    pub composing: Composing,
    /// The last number of what was sent.
    pub next_id: u64,
    /// Private messages without an outcome.
    pub messages: HashSet<MessageId>,
    /// Envelopes without an outcome.
    pub under_way: BTreeMap<u64, Work>,
}

/// What the loop wakes up for.
enum Wake {
    Node(Option<Arc<NodeEvent>>),
    Mined(Mined),
    History(history::Item),
    Program(FromProgram),
    Time,
}

impl Engine {
    pub fn new(
        settings: Builder,
        service: Service,
        node_key: SecretKey,
        ring: KeyRing,
        listening: Listening,
        conversations: Option<Conversations>,
        rng: ChaCha20Rng,
    ) -> Self {
        let handle = service.handle().clone();
        let (events, networks) = (handle.subscribe(), handle.networks().len());
        let peers = Peers::new(&settings.peers);
        let enodes = settings.peers.clone();
        for enode in settings.peers {
            let mut options = PeerOptions::default();
            options.max_packet_size = Some(MAX_PACKET);
            handle.add_peer(enode, options);
        }
        let signer = node_key.clone();
        let history = settings.history.map(|source| {
            let mut history = History::new(&source, signer, &handle);
            if !settings.asks_later {
                history.want(source.since);
            }
            history
        });
        let is_private = ring.identities().next().is_some() && !settings.raw;
        Self {
            events,
            twice: Twice::new(networks),
            peers,
            ring,
            own: listening.clone(),
            listening,
            is_private,
            named_topics: settings.named_topics,
            raw: settings.raw,
            conversations,
            composing: Composing::new(settings.author.or(settings.identity)),
            acknowledge: settings.acknowledge,
            publish: settings.publish,
            history,
            enodes,
            node_key,
            miner: Miner::new(),
            outbox: Outbox::new(settings.confirm_timeout, settings.reconnect_timeout),
            options: settings.send_options,
            probes: Probes::default(),
            is_skew_told: false,
            connect_timeout: settings.connect_timeout,
            next_id: 0,
            inbox: Inbox::default(),
            arrived: Arrivals::default(),
            progress: Progress::default(),
            mined: HashMap::new(),
            under_way: HashSet::new(),
            sharing: Sharing::default(),
            acting: None,
            has_resumed: false,
            too_much: HashSet::new(),
            fixed_time: settings.fixed_time,
            rng,
            has_ended: false,
            finder: None,
            node: handle,
            service: Some(service),
        }
    }

    /// Takes peers from discovery, too.
    pub fn finds_by(&mut self, finder: Finder) {
        self.finder = Some(finder);
    }

    /// Goes on where a client without a node ended.
    pub fn adopt(&mut self, handover: Handover) {
        let Handover { inbox, progress, composing, next_id, messages, under_way } = handover;
        self.inbox.put_before(inbox);
        (self.progress, self.composing, self.next_id) = (progress, composing, next_id);
        if let Some(conversations) = &mut self.conversations {
            messages.into_iter().for_each(|id| conversations.sending(id));
        }
        for (id, work) in under_way {
            let id = SendId(id);
            self.under_way.insert(id);
            match work {
                Work::Envelope(envelope) => self.hand_over(id, Contents::Envelope, envelope),
                Work::Mine(envelope, message) => {
                    let contents = message.map_or(Contents::Envelope, Contents::Message);
                    let options = self.options;
                    self.mined.insert(id, (1, options));
                    self.push_job(id, contents, envelope, options);
                }
                // They are asked for, and not only sent.
                _ => {}
            }
        }
    }

    /// Serves the state to other programs from now on.
    pub fn serve(&mut self, server: Server) {
        self.sharing.start(server);
    }

    /// Goes on after the places that the state has.
    pub fn follow_state(&mut self) -> Result<(), ChatError> {
        if let Some(conversations) = &mut self.conversations {
            let last = conversations.messenger.last_place()?;
            self.inbox.follow(last);
        }
        Ok(())
    }

    /// Makes events of what the client before had received and its program did not handle.
    pub fn resume(&mut self) -> Result<(), ChatError> {
        self.has_resumed = true;
        let Some(conversations) = &mut self.conversations else { return Ok(()) };
        let kept = conversations.messenger.kept()?;
        let is_repeated = kept.was_interrupted;
        self.arrived.shown = kept.shown.into_iter().collect();
        for envelope in kept.envelopes {
            let (place, handled) = (envelope.place, envelope.handled);
            let saved = Saved::decode(&envelope.context)?;
            let whole = Arc::new(saved.envelope);
            if let Some(history) = &mut self.history {
                history.is_first(whole.hash());
            }
            let Some(opened) = saved.opened else {
                self.receive(whole, Origin::State { place, is_repeated });
                continue;
            };
            let mut template = None;
            let of = envelope.payloads.len();
            self.inbox.begin_at(place, handled + 1);
            for (at, payload) in envelope.payloads.into_iter().enumerate().skip(handled) {
                let payload_again = payload.clone();
                let message = match &template {
                    None => {
                        let opened = Arc::new(opened.clone());
                        ReceivedMessage::from_payload(whole.clone(), opened, payload)
                    }
                    Some(message) => ReceivedMessage::with_payload(message, payload),
                };
                let is_first = template.is_none();
                template.get_or_insert_with(|| message.clone());
                let ticket = Ticket::Kept { place, number: at + 1, of };
                self.sharing.recover(Recovered {
                    ticket: ticket.clone(),
                    envelope: whole.clone(),
                    private: Some((is_first, envelope.context.clone(), payload_again)),
                    is_repeated,
                    is_handled: !self.is_private,
                });
                if self.is_private && !self.takes_up(whole.hash(), at + 1, &ticket) {
                    let message = Box::new(message);
                    self.push_kept(Event::Message { message, is_first, is_repeated }, Some(ticket));
                }
            }
        }
        Ok(())
    }

    /// Returns the next event, and does all that is to be done until there is one; `None` when the
    /// node has ended. Cancel-safe: nothing is lost if it is dropped and called again.
    ///
    /// Calling it says that the event before was handled. With a store, messages that are not
    /// handled when a client ends, or its process is killed, are events of the next client of the
    /// store.
    pub async fn next(&mut self) -> Option<Event> {
        let mut steps = 0;
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            self.step(true).await;
            // However much comes, the program sees its signals and timers.
            steps += 1;
            if steps % MAX_STEPS == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does all that is to be done while the program handles an event: acknowledges, repeats, and
    /// receives a little. Never returns. Cancel-safe.
    pub async fn work(&mut self) {
        while !self.has_ended && self.service.is_some() {
            let has_room = self.inbox.bytes() < MAX_AHEAD;
            self.step(has_room).await;
            tokio::task::yield_now().await;
        }
        std::future::pending().await
    }

    /// Returns the next event that is there already, as [`next`](Self::next) does.
    pub fn try_next(&mut self) -> Option<Event> {
        self.release_returned();
        self.inbox.pop()
    }

    /// Takes the network events that wait, out of their order.
    pub fn take_network(&mut self) -> Vec<Arc<NodeEvent>> {
        self.inbox.take_all(|event| match event {
            Event::Network(event) => Some(event.clone()),
            _ => None,
        })
    }

    /// Returns a claim on the event that was returned last: it counts as handled when
    /// [`handled`](Self::handled) takes the claim. `None` if nothing in it must be kept.
    pub fn claim(&mut self) -> Option<Claim> {
        self.inbox.handled().map(Claim)
    }

    /// Notes that an event was handled.
    pub fn handled(&mut self, claim: Claim) {
        self.settle_ticket(claim.0, Party::Own, true);
    }

    /// Notes that an event was not handled, so that the next client of the store returns it again.
    pub fn give_back(&mut self, claim: Claim) {
        self.settle_ticket(claim.0, Party::Own, false);
    }

    /// Notes that the event that was returned last was handled.
    fn release_returned(&mut self) {
        if let Some(claim) = self.claim() {
            self.handled(claim);
        }
    }

    /// Waits until each peer has answered or failed, and returns how many can be sent to. Events
    /// that come meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If no peer can be sent to within the time for connecting.
    pub async fn connect(&mut self) -> Result<usize, NoPeer> {
        let is_found = |it: &Self| it.finder.is_none() || it.peers.count() > 0;
        let limit = match self.finder {
            Some(_) => self.connect_timeout.max(DISCOVERY_TIMEOUT),
            None => self.connect_timeout,
        };
        let deadline = Instant::now() + limit;
        while (self.peers.unanswered() > 0 || !is_found(self)) && !self.has_ended {
            let step = tokio::time::timeout_at(deadline.into(), self.step(true));
            if step.await.is_err() {
                break;
            }
        }
        match is_found(self) {
            true => self.peers.reached(limit),
            false => Err(NoPeer::NotFound { limit }),
        }
    }

    /// Returns the peers.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the node.
    pub fn node(&self) -> &Handle {
        &self.node
    }

    /// Returns the messenger of the identity, for groups, contacts and devices.
    pub fn messenger(&mut self) -> Option<&mut Messenger<BoxedStore>> {
        self.conversations.as_mut().map(|it| &mut it.messenger)
    }

    /// Returns what is being mined.
    pub fn mining(&self) -> Arc<MiningProgress> {
        self.miner.progress().clone()
    }

    /// Whether all that was to be sent has an outcome.
    pub fn is_idle(&self) -> bool {
        let is_ours = |id: &MessageId| self.sharing.sender(id).is_none();
        self.under_way.is_empty()
            && self.inbox.is_empty()
            && !self.conversations.as_ref().is_some_and(|it| it.has_unsent(is_ours))
    }

    /// Returns until when lost peers may come back, if all are lost. What is sent until then waits
    /// for them.
    pub fn give_up_at(&self) -> Option<Instant> {
        self.outbox.give_up_at()
    }

    /// Returns from which second on some of the history is missing, and why if something went
    /// wrong.
    pub fn missing_history(&self) -> Option<(UnixSeconds, Option<&HistoryError>)> {
        self.history.as_ref()?.missing()
    }

    /// Returns the time for messages.
    pub fn now(&self) -> UnixMillis {
        self.fixed_time.unwrap_or_else(|| UnixMillis::from_since_epoch(self.node().now()))
    }

    // Waiting for what becomes of it.

    /// Waits until something is known of a message.
    pub async fn wait<T>(
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
            if self.inbox.bytes() > MAX_BACKLOG {
                return Err(ClientError::Backlog);
            }
            self.step(true).await;
        }
    }

    /// Acknowledges what has come, and waits until all that was handed over is written, for `limit`
    /// at most.
    pub async fn finish(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        if self.acknowledges() && self.conversations.as_ref().is_some_and(|it| it.is_kept) {
            self.turn();
        }
        while self.miner.waiting() > 0 || self.outbox.has_queued() {
            let step = tokio::time::timeout_at(deadline.into(), self.step(true));
            if step.await.is_err() || self.has_ended {
                break;
            }
        }
    }

    /// Says good-bye to the peers, in bounded time: nothing is sent or received any more.
    /// [`next`](Self::next) returns what has come, and then `None`.
    pub async fn stop(&mut self) {
        self.settle_programs().await;
        self.finder = None;
        if let Some(service) = self.service.take() {
            service.shutdown().await;
        }
    }

    /// Returns what becomes of the messages and envelopes that were received and not handled. With
    /// a store, it keeps them. Call [`stop`](Self::stop) before.
    ///
    /// # Errors
    /// If the state fails.
    pub fn unhandled(&mut self) -> Result<Unhandled, ClientError> {
        self.release_returned();
        let mut tickets = Vec::new();
        let mut result = Unhandled::default();
        let (mut live, mut bytes) = (Vec::new(), 0);
        for ticket in self.inbox.take_tickets() {
            // Another program may have handled it.
            if let Some(ticket) = self.finish_ticket(ticket) {
                tickets.push((ticket, true));
            }
        }
        tickets.extend(self.sharing.take_unhandled().into_iter().map(|ticket| (ticket, false)));
        if self.service.is_none() {
            while let Some(envelope) = self.next_unseen() {
                let place = self.inbox.next_place();
                tickets.push((Ticket::Live { place, envelope }, true));
            }
        }
        let is_kept = |it: &&mut Conversations| it.is_kept;
        let Some(conversations) = self.conversations.as_mut().filter(is_kept) else {
            result.lost = tickets.len();
            return Ok(result);
        };
        for (ticket, is_ours) in tickets {
            if let Ticket::Live { place, envelope } = ticket {
                bytes += envelope.size();
                if bytes > MAX_KEPT {
                    result.lost += 1;
                    continue;
                }
                live.push(unreceived(place, &envelope));
            }
            result.kept += usize::from(is_ours);
        }
        let now = UnixSeconds::from_since_epoch(self.node.now());
        conversations.messenger.keep(&live, now)?;
        conversations.messenger.settle_kept()?;
        Ok(result)
    }

    /// Returns the next envelope that has come and was not opened, after the end of the node.
    fn next_unseen(&mut self) -> Option<Arc<Envelope>> {
        loop {
            let event = {
                let mut next = pin!(self.events.next());
                match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(event) => event?,
                    Poll::Pending => return None,
                }
            };
            let now = self.now().to_seconds();
            if let NodeEvent::Envelope { envelope, from: Some(_), .. } = &*event
                && self.twice.is_first(envelope, now)
            {
                let history = self.history.as_mut();
                if history.is_none_or(|history| history.is_first(envelope.hash())) {
                    return Some(Arc::new(envelope.envelope().clone()));
                }
            }
        }
    }

    // The loop.

    /// Waits for one thing and handles it; if it `reads`, also what peers send.
    async fn step(&mut self, reads: bool) {
        if self.service.is_none() {
            match self.events.next().await {
                Some(event) => {
                    self.take_envelope(&event);
                    self.take_more();
                }
                None => self.has_ended = true,
            }
            return;
        }
        self.catch_up();
        let deadline = self.deadline();
        // What programs have not handled is bounded.
        let reads = reads && !self.sharing.is_full();
        if self.settle() || !self.inbox.is_empty() && self.has_ended {
            return;
        }
        let (events, miner, history) = (&mut self.events, &mut self.miner, &mut self.history);
        let next = &mut self.arrived.next;
        let event = async {
            match next.take() {
                Some(event) => Some(event),
                None => events.next().await,
            }
        };
        let history = async {
            match history {
                Some(history) => history.next().await,
                None => std::future::pending().await,
            }
        };
        let has_room = self.sharing.has_room();
        let program = self.sharing.next();
        let wake = tokio::select! {
            event = event, if reads => Wake::Node(event),
            from = program, if has_room => Wake::Program(from),
            mined = miner.next() => Wake::Mined(mined),
            item = history, if reads => Wake::History(item),
            () = until(deadline) => Wake::Time,
        };
        match wake {
            Wake::Node(Some(event)) => {
                self.handle(&event);
                self.take_more();
            }
            Wake::Node(None) => self.has_ended = true,
            Wake::Mined(Mined { id, contents, result, too_much }) => {
                // It is the same for each envelope.
                if let Some(error) = too_much
                    && result.is_ok()
                    && self.too_much.insert(error.bits())
                {
                    self.push(Event::TooMuchWork(error));
                }
                match result {
                    Ok(envelope) => self.hand_over(id, contents, envelope),
                    Err(error) => self.fail(id, contents, error),
                }
            }
            Wake::History(item) => self.handle_history(item),
            Wake::Program(from) => self.handle_program(from),
            Wake::Time => {
                self.part_with_hung();
                self.give_up_probes(Instant::now());
                if self.turn_at().is_some_and(|at| at <= Instant::now()) {
                    self.turn();
                }
            }
        }
        self.settle();
    }

    /// Hands an event to the programs that asked for it.
    fn push(&mut self, event: Event) {
        if let Event::Delivered(delivery) = &event {
            self.under_way.remove(&delivery.id);
        } else if let Event::NotSent { id, .. } = &event {
            self.under_way.remove(id);
        }
        if self.sharing.route(&event, self.is_private) {
            self.push_kept(event, None);
        } else {
            self.progress.note(&event);
        }
    }

    fn push_kept(&mut self, event: Event, ticket: Option<Ticket>) {
        self.progress.note(&event);
        self.inbox.push(event, ticket);
    }

    /// Moves deliveries whose outcome is final to the events.
    fn settle(&mut self) -> bool {
        let before = self.inbox.len();
        while let Some(delivery) = self.outbox.pop(Instant::now()) {
            let is_refused = delivery.result().is_err();
            if is_refused && self.mine_again(delivery.id, &delivery.contents, &delivery.envelope) {
                continue;
            }
            self.mined.remove(&delivery.id);
            self.push(Event::Delivered(Box::new(delivery)));
        }
        self.inbox.len() > before
    }

    fn deadline(&mut self) -> Option<Instant> {
        let turn = self.turn_at();
        let hung = self.sharing.deadline();
        let probed = self.probes.late_at();
        self.outbox.late_at().into_iter().chain(probed).chain(turn).chain(hung).min()
    }

    fn turn_at(&mut self) -> Option<Instant> {
        let (acknowledge, publish) = (self.acknowledges(), self.publishes());
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
        // The socket goes before the lock of the state does.
        self.sharing.end();
        self.conversations = None;
        self.push(Event::Broken(error));
    }

    /// Sends what data sync and the contact code have to send.
    fn turn(&mut self) {
        let now = self.now();
        let publish = self.publishes();
        let Some(conversations) = &mut self.conversations else { return };
        match conversations.turn(publish, now, &mut self.rng) {
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
}

/// Whether a peer with this status takes an envelope with this topic and proof of work.
pub(crate) fn wants(status: &Status, topic: Topic, pow: f64) -> bool {
    (status.min_pow <= 0.0 || pow >= status.min_pow) && has_interest(status, topic)
}

/// Whether a peer with this status takes envelopes with this topic.
pub(crate) fn has_interest(status: &Status, topic: Topic) -> bool {
    status.accepts(topic)
}

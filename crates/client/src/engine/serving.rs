//! Serving: what other programs that share the state ask for, and what they get.
//!
//! A message is done when each program that it was offered to has handled it or left, and one has
//! handled it. What all have left stays in the state.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    chat::{
        Composed,
        messenger::{ChatError, ReceivedPayload},
    },
    crypto::PublicKey,
    envelope::{Envelope, EnvelopeHash, Topic},
    payload::{MessageId, group::Group},
    secure::SecureError,
};
use statuskit_net::node::Interest;

use super::{Engine, Listening};
use crate::{
    builder::own_topics,
    delivery::{Contents, SendId},
    error::ClientError,
    event::Event,
    history::HistoryEvent,
    inbox::{MessageKey, Ticket},
    share::{
        FromProgram, HolderError, MAX_QUEUED, MAX_UNHANDLED, Outgoing, PATIENCE, ProgramId, Server,
        message::{Attach, Reply, Request, SendOptions, Wants, Work},
    },
};

/// Messages of programs that are remembered. The oldest is forgotten beyond.
const MAX_OWNED: usize = 1 << 14;

/// Envelopes of programs that are under way. Beyond, no more requests are read.
const MAX_REQUESTS: usize = 2048;

/// How long what a holder before had left is offered to the programs that were attached to it.
const RECOVERY: Duration = Duration::from_secs(30);

/// How long a holder that ends waits for the outcomes of what others sent.
const LAST_OUTCOMES: Duration = Duration::from_secs(2);

/// Who handles a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// This program.
    Own,
    Program(ProgramId),
}

/// The program that something is sent for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acting {
    program: ProgramId,
    /// The number of the request.
    request: u64,
    pub options: SendOptions,
}

/// A message by the place of its envelope, and its number in it.
type Place = (u64, usize);

/// The programs that share the state of this one.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    server: Option<Server>,
    programs: BTreeMap<ProgramId, Program>,
    waiting: HashMap<Place, Waiting>,
    /// Who sends what.
    requests: HashMap<SendId, Acting>,
    messages: HashMap<MessageId, Acting>,
    order: VecDeque<MessageId>,
    /// What the programs were told of the peers.
    told: (usize, Option<String>),
    recovered: Vec<Recovered>,
    recover_until: Option<Instant>,
    /// Those who wait for the history; this program counts as none.
    historians: BTreeSet<ProgramId>,
    /// What this program got from the holder before, and has not handled: the ticket of the state.
    taken_up: HashMap<MessageKey, Ticket>,
    /// What it had handled already.
    known: HashMap<MessageKey, bool>,
}

/// A program that is attached.
#[derive(Debug)]
struct Program {
    out: Outgoing,
    wants: Wants,
    /// The number of the next message.
    next: u64,
    /// What it has not handled, and the bytes of each.
    unhandled: BTreeMap<u64, (Option<Ticket>, usize)>,
    bytes: usize,
    /// Since when it has more than it may.
    full_since: Option<Instant>,
}

/// A message that programs have not handled.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    programs: BTreeSet<ProgramId>,
    /// Whether this program has not handled it either.
    is_ours: bool,
    is_handled: bool,
    /// Whether the state does not keep it any more.
    is_released: bool,
}

/// What a program before had left in the state.
#[derive(Debug)]
pub(super) struct Recovered {
    pub ticket: Ticket,
    pub envelope: Arc<Envelope>,
    /// Whether it is the first message of its envelope, that envelope, opened, and the message.
    pub private: Option<(bool, Vec<u8>, ReceivedPayload)>,
    pub is_repeated: bool,
    /// Whether this program has handled it, or has not asked for it.
    pub is_handled: bool,
}

/// What becomes of a message.
enum Settled {
    Open,
    Handled,
    NotHandled,
    /// It was released before.
    Released,
}

fn place_of(ticket: &Ticket) -> Option<Place> {
    match ticket {
        Ticket::Kept { place, number, .. } => Some((*place, *number)),
        Ticket::Live { place, .. } => Some((*place, 1)),
        Ticket::Held(_) => None,
    }
}

impl Sharing {
    pub fn start(&mut self, server: Server) {
        self.server = Some(server);
        self.recover_until = Some(Instant::now() + RECOVERY);
    }

    /// What this program knows of the messages that the holder before had: whether it has handled
    /// them.
    pub fn know(&mut self, known: HashMap<MessageKey, bool>) {
        self.known = known;
    }

    /// Returns what comes next from programs; never, if nothing can. Cancel-safe.
    pub async fn next(&mut self) -> FromProgram {
        match &mut self.server {
            Some(server) => server.next().await,
            None => std::future::pending().await,
        }
    }

    /// Whether more can be asked for.
    pub fn has_room(&self) -> bool {
        self.requests.len() < MAX_REQUESTS
    }

    /// Whether a program has more messages than it may.
    pub fn is_full(&self) -> bool {
        self.programs.values().any(|program| program.full_since.is_some())
    }

    /// Returns when the next program has been full for too long, or what was left is offered no
    /// more.
    pub fn deadline(&self) -> Option<Instant> {
        let full = self.programs.values().filter_map(|program| program.full_since);
        full.map(|since| since + PATIENCE).chain(self.recover_until).min()
    }

    /// Serves nobody any more.
    pub fn end(&mut self) {
        self.server = None;
    }

    pub fn has_private(&self) -> bool {
        self.programs.values().any(|program| program.wants.private)
    }

    /// Returns the programs that take the envelopes of a topic; private ones are for those that
    /// want them as they are.
    pub fn takers(&self, topic: Topic, is_private: bool) -> Vec<ProgramId> {
        let takes =
            |program: &Program| (program.wants.raw || !is_private) && program.wants.takes(topic);
        self.programs.iter().filter(|(_, it)| takes(it)).map(|(id, _)| *id).collect()
    }

    fn private(&self) -> Vec<ProgramId> {
        self.programs.iter().filter(|(_, it)| it.wants.private).map(|(id, _)| *id).collect()
    }

    /// Offers an envelope to programs.
    pub fn offer_envelope(
        &mut self,
        ticket: Option<&Ticket>,
        programs: &[ProgramId],
        is_ours: bool,
        envelope: &Arc<Envelope>,
        is_repeated: bool,
    ) {
        self.offer(ticket, programs, is_ours, |number| Reply::Envelope {
            number,
            is_repeated,
            envelope: (**envelope).clone(),
        });
    }

    /// Offers a private message to those that want it, or one of them.
    pub fn offer_private(
        &mut self,
        ticket: &Ticket,
        to: Option<ProgramId>,
        is_ours: bool,
        (is_first, saved, payload): (bool, &[u8], ReceivedPayload),
        is_repeated: bool,
    ) {
        let programs = to.map_or_else(|| self.private(), |program| vec![program]);
        let at = place_of(ticket).map_or(1, |(_, number)| number) as u32;
        let payload = Box::new(payload);
        self.offer(Some(ticket), &programs, is_ours, |number| Reply::Private {
            number,
            at,
            is_first,
            is_repeated,
            saved: saved.to_vec(),
            payload: payload.clone(),
        });
    }

    fn offer(
        &mut self,
        ticket: Option<&Ticket>,
        programs: &[ProgramId],
        is_ours: bool,
        reply: impl Fn(u64) -> Reply,
    ) {
        for id in programs {
            let Some(program) = self.programs.get_mut(id) else { continue };
            program.next += 1;
            let body = reply(program.next).encode();
            program.bytes += body.len();
            program.unhandled.insert(program.next, (ticket.cloned(), body.len()));
            program.out.send_encoded(body);
            program.look_at_room();
            let Some((ticket, place)) = ticket.and_then(|it| Some((it, place_of(it)?))) else {
                continue;
            };
            let waiting = self.waiting.entry(place).or_insert_with(|| Waiting {
                ticket: ticket.clone(),
                programs: BTreeSet::new(),
                is_ours,
                is_handled: false,
                is_released: false,
            });
            waiting.programs.insert(*id);
        }
    }

    /// Notes that a message was handled, or is not going to be, by one of those who have it.
    fn settle(&mut self, ticket: &Ticket, by: Party, is_handled: bool) -> Settled {
        let place = place_of(ticket);
        if by == Party::Own {
            let same = |it: &&mut Recovered| place_of(&it.ticket) == place;
            self.recovered.iter_mut().filter(same).for_each(|it| it.is_handled |= is_handled);
        }
        let waiting = place.and_then(|place| self.waiting.get_mut(&place));
        let Some(waiting) = waiting else {
            return if is_handled { Settled::Handled } else { Settled::NotHandled };
        };
        waiting.is_handled |= is_handled;
        match by {
            Party::Own => waiting.is_ours = false,
            Party::Program(id) => _ = waiting.programs.remove(&id),
        }
        if waiting.is_ours || !waiting.programs.is_empty() {
            return Settled::Open;
        }
        let (is_handled, is_released) = (waiting.is_handled, waiting.is_released);
        place.and_then(|place| self.waiting.remove(&place));
        match (is_released, is_handled) {
            (true, _) => Settled::Released,
            (false, true) => Settled::Handled,
            (false, false) => Settled::NotHandled,
        }
    }

    /// Takes the tickets of what programs have not handled, at the end.
    pub fn take_unhandled(&mut self) -> Vec<Ticket> {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let open = waiting.filter(|it| !it.is_ours && !it.is_released);
        open.map(|it| it.ticket).collect()
    }

    /// Remembers who sent a message.
    pub fn own_message(&mut self, id: MessageId, acting: Acting) {
        if self.messages.insert(id, acting).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_OWNED
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    /// Remembers who sent an envelope.
    pub fn own_request(&mut self, id: SendId, acting: Acting) {
        self.requests.insert(id, acting);
    }

    /// Returns the program that sent a message; `None` if this one did.
    pub fn sender(&self, id: &MessageId) -> Option<ProgramId> {
        self.messages.get(id).map(|acting| acting.program)
    }

    /// Returns how these messages are sent, if a program asked for it.
    pub fn options(&self, messages: &[MessageId]) -> Option<SendOptions> {
        messages.iter().find_map(|id| self.messages.get(id)).map(|acting| acting.options)
    }

    /// Keeps what a program before had left, for those that were attached to it.
    pub fn recover(&mut self, recovered: Recovered) {
        if self.server.is_some() {
            self.recovered.push(recovered);
        }
    }

    fn send(&self, program: ProgramId, reply: &Reply) {
        if let Some(program) = self.programs.get(&program) {
            program.out.send(reply);
        }
    }

    fn send_to(&self, is_one: impl Fn(ProgramId, &Program) -> bool, reply: impl Fn() -> Reply) {
        let mut body = None;
        for (_, program) in self.programs.iter().filter(|(id, it)| is_one(**id, it)) {
            let body = body.get_or_insert_with(|| reply().encode());
            program.out.send_encoded(body.clone());
        }
    }

    /// Tells programs of an event. Returns whether it concerns this one.
    pub fn route(&mut self, event: &Event, is_private: bool) -> bool {
        let private = |_: ProgramId, program: &Program| program.wants.private;
        match event {
            Event::Delivered(delivery) => {
                let (owners, is_ours) = self.owners(delivery.id, &delivery.contents);
                for (program, request) in owners {
                    let mut delivery = delivery.clone();
                    delivery.id = SendId(request);
                    self.send(program, &Reply::Delivered(delivery));
                }
                is_ours
            }
            Event::NotSent { id, contents, error } => {
                let (owners, is_ours) = self.owners(*id, contents);
                for (program, request) in owners {
                    let (id, contents) = (SendId(request), contents.clone());
                    self.send(program, &Reply::NotSent { id, contents, error: error.clone() });
                }
                is_ours
            }
            Event::GivenUp(given_up) => {
                let owner = given_up.message.and_then(|id| self.sender(&id));
                if let Some(owner) = owner {
                    self.send(owner, &Reply::GivenUp(given_up.clone()));
                }
                owner.is_none()
            }
            Event::Acknowledged { peer, ids } => {
                let owners: HashSet<_> =
                    ids.iter().filter_map(|(_, id)| self.sender(id.as_ref()?)).collect();
                self.send_to(
                    |id, program| program.wants.private || owners.contains(&id),
                    || Reply::Acknowledged { peer: *peer, ids: ids.clone() },
                );
                true
            }
            Event::TooMuchWork(error) => {
                self.send_to(|_, _| true, || Reply::TooMuchWork(error.clone()));
                true
            }
            Event::Unread(unread) => {
                self.send_to(private, || Reply::Unread(unread.clone()));
                is_private
            }
            Event::Bundle { envelope, sender, learned } => {
                self.send_to(private, || Reply::Bundle {
                    envelope: (**envelope).clone(),
                    sender: *sender,
                    learned: learned.clone(),
                });
                is_private
            }
            Event::Repeated { envelope, id } => {
                self.send_to(private, || Reply::Repeated { envelope: *envelope, id: *id });
                is_private
            }
            Event::Empty { envelope, sender } => {
                self.send_to(private, || Reply::Empty { envelope: *envelope, sender: *sender });
                is_private
            }
            Event::History(event) => {
                let outcome = match event {
                    HistoryEvent::Complete { envelopes } => Ok(*envelopes),
                    HistoryEvent::Failed { error, .. } => {
                        Err(HolderError::new(error.code(), error.to_string()))
                    }
                    _ => return true,
                };
                for program in std::mem::take(&mut self.historians) {
                    self.send(program, &Reply::History(outcome.clone()));
                }
                true
            }
            Event::Broken(error) => {
                let told = HolderError::new(error.code(), error.to_string());
                self.send_to(|_, _| true, || Reply::Refused(told.clone()));
                self.programs.clear();
                true
            }
            _ => true,
        }
    }

    /// Returns the programs whose messages an envelope has, each with its request, and whether
    /// something in it is of this program.
    fn owners(&mut self, id: SendId, contents: &Contents) -> (BTreeMap<ProgramId, u64>, bool) {
        if let Some(Acting { program, request, .. }) = self.requests.remove(&id) {
            return (BTreeMap::from([(program, request)]), false);
        }
        let (mut owners, mut is_ours) = (BTreeMap::new(), contents.messages().is_empty());
        for id in contents.messages() {
            match self.sender(id) {
                Some(program) => _ = owners.insert(program, 0),
                None => is_ours = true,
            }
        }
        (owners, is_ours)
    }
}

impl Program {
    /// Looks whether it has more than it may.
    fn look_at_room(&mut self) {
        let is_full = self.bytes > MAX_UNHANDLED || self.out.queued() > MAX_QUEUED;
        if !is_full {
            self.full_since = None;
        } else if self.full_since.is_none() {
            self.full_since = Some(Instant::now());
        }
    }
}

impl Engine {
    pub(super) fn acknowledges(&self) -> bool {
        let asks = |program: &Program| program.wants.private && program.wants.acknowledge;
        self.acknowledge || self.sharing.programs.values().any(asks)
    }

    pub(super) fn publishes(&self) -> bool {
        let asks = |program: &Program| program.wants.private && program.wants.acknowledge;
        self.publish && self.acknowledge || self.sharing.programs.values().any(asks)
    }

    /// Notes that a message was handled, or is not going to be, by this program or another.
    pub(super) fn settle_ticket(&mut self, ticket: Ticket, by: Party, is_handled: bool) {
        let ticket = match ticket {
            // The holder before may have released it.
            Ticket::Held(key) => {
                self.sharing.known.insert(key, true);
                match self.sharing.taken_up.remove(&key) {
                    Some(ticket) => ticket,
                    None => return,
                }
            }
            ticket => ticket,
        };
        match self.sharing.settle(&ticket, by, is_handled) {
            Settled::Open | Settled::Released => {}
            Settled::Handled => self.release(&ticket),
            Settled::NotHandled => self.inbox.give_back(ticket),
        }
    }

    /// Returns the ticket of what nobody has handled when this program ends.
    pub(super) fn finish_ticket(&mut self, ticket: Ticket) -> Option<Ticket> {
        let ticket = match ticket {
            Ticket::Held(key) => self.sharing.taken_up.remove(&key)?,
            ticket => ticket,
        };
        match self.sharing.settle(&ticket, Party::Own, false) {
            Settled::Handled => self.release(&ticket),
            Settled::NotHandled => return Some(ticket),
            Settled::Open | Settled::Released => {}
        }
        None
    }

    fn release(&mut self, ticket: &Ticket) {
        let Some((place, handled)) = self.inbox.count_handled(ticket) else { return };
        if let Some(conversations) = &mut self.conversations {
            conversations.messenger.release(place, handled);
        }
    }

    /// Whether this program got a message from the holder before. Then it is no event again.
    pub(super) fn takes_up(&mut self, hash: EnvelopeHash, number: usize, ticket: &Ticket) -> bool {
        let key = (hash, number);
        match self.sharing.known.get(&key) {
            Some(true) => {
                self.settle_ticket(ticket.clone(), Party::Own, true);
                true
            }
            Some(false) => {
                self.sharing.taken_up.insert(key, ticket.clone());
                true
            }
            None => false,
        }
    }

    /// What the program knows of the messages that the holder before had.
    pub(crate) fn know(&mut self, known: HashMap<MessageKey, bool>) {
        self.sharing.know(known);
    }

    /// Tells programs how many peers there are, if that has changed.
    pub(super) fn tell_peers(&mut self) {
        if self.sharing.programs.is_empty() {
            return;
        }
        let now = self.peers_told();
        if self.sharing.told != now {
            let (peers, failure) = now.clone();
            self.sharing.send_to(|_, _| true, || Reply::Peers { peers, failure: failure.clone() });
            self.sharing.told = now;
        }
    }

    fn peers_told(&self) -> (usize, Option<String>) {
        (self.peers.count(), self.peers.lasting_failure().map(str::to_owned))
    }

    /// Handles what comes from a program.
    pub(super) fn handle_program(&mut self, from: FromProgram) {
        match from {
            FromProgram::Joined(id, out, attach) => self.attach(id, out, *attach),
            FromProgram::Asked(id, request) => self.answer(id, request),
            FromProgram::Left(id) => self.part_with(id),
        }
    }

    fn attach(&mut self, id: ProgramId, out: Outgoing, attach: Attach) {
        let Attach { identity, wants, resumes, messages } = attach;
        let me = self.conversations.as_ref().map(|it| *it.messenger.me());
        let refusal = match (me, identity) {
            (None, _) => Some(HolderError::new("share.refused", "its state fails")),
            (Some(me), Some(key)) if me != key => {
                let error = SecureError::OtherIdentity((&me).into());
                Some(HolderError::new(error.code(), error.to_string()))
            }
            _ => None,
        };
        if let Some(error) = refusal {
            return out.send(&Reply::Refused(error));
        }
        let (peers, failure) = self.peers_told();
        self.sharing.told = (peers, failure.clone());
        let named = self.enodes.clone();
        out.send(&Reply::Welcome { peers, failure, named });
        let (is_private, contacts) = (wants.private, wants.contacts.clone());
        let listening = wants.listening.clone();
        let (unhandled, next, bytes) = (BTreeMap::new(), 0, 0);
        let program = Program { out, wants, next, unhandled, bytes, full_since: None };
        self.sharing.programs.insert(id, program);
        let options = self.options;
        for message in messages {
            self.sharing.own_message(message, Acting { program: id, request: 0, options });
        }
        if let Err(error) = self.widen(&listening, is_private, &contacts) {
            return self.give_up_conversations(error);
        }
        if is_private
            && !self.has_resumed
            && let Err(error) = self.resume()
        {
            return self.give_up_conversations(error);
        }
        if resumes || is_private && !self.is_private {
            self.offer_recovered(id);
        }
    }

    /// Listens to more than this program asks for.
    fn widen(
        &mut self,
        listening: &Listening,
        is_private: bool,
        contacts: &[PublicKey],
    ) -> Result<(), ChatError> {
        let mut topics: HashSet<Topic> = HashSet::new();
        if is_private && let Some(conversations) = &mut self.conversations {
            let key = conversations.messenger.identity().clone();
            topics.extend(own_topics(&key.public_key()));
            if self.ring.identities().all(|known| known.public_key() != key.public_key()) {
                self.ring.add_identity(key);
            }
            for found in conversations.listening(contacts)? {
                self.ring.add_subscription(&found);
                topics.insert(found.topic);
            }
        }
        self.listen_to(listening, topics);
        Ok(())
    }

    /// Listens to more, and on these topics.
    pub(super) fn listen_to(&mut self, listening: &Listening, mut topics: HashSet<Topic>) {
        match listening {
            Listening::Everything => self.listening = Listening::Everything,
            Listening::Topics(more) => topics.extend(more),
            Listening::Nothing => {}
        }
        match &mut self.listening {
            Listening::Everything => {
                for node in self.node.networks() {
                    node.set_interest(Interest::Everything);
                    node.set_bloom(None);
                }
                return;
            }
            Listening::Topics(known) => known.extend(&topics),
            Listening::Nothing if topics.is_empty() => return,
            Listening::Nothing => self.listening = Listening::Topics(topics.clone()),
        }
        self.listen_on(topics);
    }

    /// Offers a program what the holder before had left.
    fn offer_recovered(&mut self, id: ProgramId) {
        let recovered = std::mem::take(&mut self.sharing.recovered);
        for it in &recovered {
            let Some(program) = self.sharing.programs.get(&id) else { break };
            let Recovered { ticket, envelope, private, is_repeated, is_handled } = it;
            let Some(place) = place_of(ticket) else { continue };
            let (is_ours, is_repeated) = (!is_handled, *is_repeated);
            let was_waiting = self.sharing.waiting.contains_key(&place);
            match private {
                Some((is_first, saved, payload)) if program.wants.private => {
                    let private = (*is_first, &saved[..], payload.clone());
                    self.sharing.offer_private(ticket, Some(id), is_ours, private, is_repeated);
                }
                None if program.wants.takes(envelope.topic()) => {
                    let to = [id];
                    self.sharing.offer_envelope(Some(ticket), &to, is_ours, envelope, is_repeated);
                }
                _ => continue,
            }
            let is_released = *is_handled && self.is_private && !was_waiting;
            if let Some(waiting) = self.sharing.waiting.get_mut(&place) {
                waiting.is_released |= is_released;
            }
        }
        self.sharing.recovered = recovered;
    }

    fn answer(&mut self, id: ProgramId, request: Request) {
        match request {
            // Only once.
            Request::Attach(_) => self.part_with(id),
            Request::Done { number, is_handled } => {
                let Some(program) = self.sharing.programs.get_mut(&id) else { return };
                let Some((ticket, bytes)) = program.unhandled.remove(&number) else { return };
                program.bytes -= bytes;
                program.look_at_room();
                if let Some(ticket) = ticket {
                    self.settle_ticket(ticket, Party::Program(id), is_handled);
                }
            }
            Request::Send { request, options, work } => self.send_for(id, request, options, *work),
            Request::Group { request, chat_id } => {
                let reply = match self.group(&chat_id) {
                    Ok(group) => Reply::Group { request, group },
                    Err(error) => Reply::Failed { request, error },
                };
                self.sharing.send(id, &reply);
            }
            Request::Chats { request } => {
                let reply = match self.chats() {
                    Ok(chats) => Reply::Chats { request, chats },
                    Err(error) => Reply::Failed { request, error },
                };
                self.sharing.send(id, &reply);
            }
            Request::Listen(wants) => {
                let (listening, contacts) = (wants.listening.clone(), wants.contacts.clone());
                let is_private = wants.private;
                let Some(program) = self.sharing.programs.get_mut(&id) else { return };
                program.wants = wants;
                if let Err(error) = self.widen(&listening, is_private, &contacts) {
                    self.give_up_conversations(error);
                }
            }
            Request::History(source) => {
                self.sharing.historians.insert(id);
                self.fetch_history(&source);
            }
        }
    }

    /// Sends something for a program.
    fn send_for(&mut self, program: ProgramId, request: u64, options: SendOptions, work: Work) {
        let acting = Acting { program, request, options };
        self.acting = Some(acting);
        let done: Result<(Option<MessageId>, bool), ClientError> = match work {
            Work::Envelope(envelope) => {
                self.send_envelope(envelope);
                Ok((None, true))
            }
            Work::Mine(envelope, message_id) => {
                message_id.into_iter().for_each(|id| self.sharing.own_message(id, acting));
                self.send_composed(Composed { envelope, message_id });
                Ok((message_id, true))
            }
            Work::Text(chat, text) => {
                let now = self.now();
                self.converse(|messenger, rng| messenger.send_text(&chat, &text, now, rng))
                    .map(|id| (Some(id), true))
            }
            Work::Payload(chat, message) => {
                self.send_payload(&chat, message).map(|id| (Some(id), true))
            }
            Work::Announce(group) => self.announce_group(group).map(|id| (id, id.is_some())),
            Work::Create(name, members) => {
                return self.tell_group(acting, |engine| engine.create_group(&name, &members));
            }
            Work::Change(chat_id, change) => {
                return self.tell_group(acting, |engine| engine.change_group(&chat_id, &change));
            }
        };
        self.acting = None;
        let reply = match done {
            Ok((id, is_sent)) => Reply::Accepted { request, id, is_sent },
            Err(error) => Reply::Failed { request, error },
        };
        self.sharing.send(program, &reply);
    }

    fn tell_group(
        &mut self,
        Acting { program, request, .. }: Acting,
        work: impl FnOnce(&mut Self) -> Result<Group, ClientError>,
    ) {
        let done = work(self);
        self.acting = None;
        let reply = match done {
            Ok(group) => Reply::Group { request, group },
            Err(error) => Reply::Failed { request, error },
        };
        self.sharing.send(program, &reply);
    }

    /// Parts with a program. What it has not handled stays for others, or in the state.
    fn part_with(&mut self, id: ProgramId) {
        let Some(program) = self.sharing.programs.remove(&id) else { return };
        for ticket in program.unhandled.into_values().filter_map(|(ticket, _)| ticket) {
            self.settle_ticket(ticket, Party::Program(id), false);
        }
    }

    /// Parts with programs that have not gone on for too long.
    pub(super) fn part_with_hung(&mut self) {
        let now = Instant::now();
        if self.sharing.recover_until.is_some_and(|until| until <= now) {
            (self.sharing.recover_until, self.sharing.recovered) = (None, Vec::new());
        }
        self.sharing.programs.values_mut().for_each(Program::look_at_room);
        let is_hung = |since: Instant| since + PATIENCE <= now;
        let programs = self.sharing.programs.iter();
        let hung = programs.filter(|(_, it)| it.full_since.is_some_and(is_hung));
        for id in hung.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.part_with(id);
        }
    }

    /// Waits for the outcomes of what programs sent, in bounded time, and tells them that this one
    /// ends.
    pub(super) async fn settle_programs(&mut self) {
        if self.service.is_none() || self.sharing.server.is_none() {
            return;
        }
        let deadline = Instant::now() + LAST_OUTCOMES;
        while !self.sharing.requests.is_empty() && !self.sharing.programs.is_empty() {
            let step = tokio::time::timeout_at(deadline.into(), self.step(false));
            if step.await.is_err() || self.has_ended {
                break;
            }
        }
        self.sharing.send_to(|_, _| true, || Reply::Ending);
        let Some(mut server) = self.sharing.server.take() else { return };
        while let Some(from) = server.try_next() {
            // What is asked for now is asked of the next holder.
            if let FromProgram::Asked(id, request @ Request::Done { .. }) = from {
                self.answer(id, request);
            }
        }
    }
}

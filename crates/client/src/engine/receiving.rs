//! Receiving: from events of the node to messages.

use std::{
    collections::HashSet,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use statuskit_core::{
    chat::{
        Opened, ReceivedMessage,
        messenger::{Incoming, MessengerEvent, UnreadReason, Unreceived},
    },
    envelope::{Envelope, EnvelopeHash, check::SYNC_ALLOWANCE},
    time::UnixSeconds,
    wire::{Packet, packet::EnvelopeError},
};
use statuskit_mailserver::client::ClientError as HistoryError;
use statuskit_net::node::{ClockOffset, ConnectionId, Event as NodeEvent, PeerOptions, Time};

use super::{
    Engine, Listening, MAX_PACKET,
    serving::{Party, Recovered},
    wants,
};
use crate::{
    delivery::DeliveryState,
    event::{Event, UnreadMessage},
    history::{self, History, HistorySource},
    inbox::{Saved, Ticket},
    probe::Answer,
};

/// Where an envelope comes from.
pub(super) enum Origin {
    /// From a peer, once; a client before may have had it.
    Live { place: u64, is_repeated: bool },
    /// From the state; a program may have handled it before.
    State { place: u64, is_repeated: bool },
    /// From a mailserver, which still has it.
    History,
}

/// Events that are handled together, so that their envelopes share a write to the state.
const MAX_BATCH: usize = 256;

/// Bytes of envelopes that share a write to the state.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// What has come and is not in the state yet. Its senders have no confirmation.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    messages: Vec<Arrived>,
    bytes: usize,
    /// The number of the last envelope that was taken from the node.
    last: u64,
    /// Envelopes that a client before had.
    pub shown: HashSet<EnvelopeHash>,
    /// What came after them, and is no envelope.
    pub next: Option<Arc<NodeEvent>>,
}

#[derive(Debug)]
struct Arrived {
    place: u64,
    envelope: Arc<Envelope>,
    /// `None` if it is for other programs.
    event: Option<Event>,
    is_repeated: bool,
}

/// An envelope as the state keeps it.
pub(super) fn unreceived(place: u64, envelope: &Envelope) -> Unreceived {
    Unreceived {
        place,
        hash: envelope.hash(),
        expiry: envelope.expiry(),
        context: Saved::encode(envelope, None),
    }
}

impl Engine {
    pub(super) fn handle(&mut self, event: &Arc<NodeEvent>) {
        let before = self.peers.count();
        let mut is_told = self.peers.handle(event);
        if let NodeEvent::ClockSkewed(_) = **event {
            // Found out in two ways.
            is_told &= !std::mem::replace(&mut self.is_skew_told, true);
        }
        self.outbox.set_peers(self.peers.count());
        match &**event {
            NodeEvent::Envelope { .. } => self.take_envelope(event),
            NodeEvent::Requirements { .. } => {
                let peers = &self.peers;
                let refused = self.outbox.take_unwanted(|peer, envelope| {
                    peers
                        .status(peer)
                        .is_some_and(|status| wants(status, envelope.topic(), envelope.pow(0)))
                });
                for delivery in refused {
                    if !self.mine_again(delivery.id, &delivery.contents, &delivery.envelope) {
                        self.push(Event::Delivered(Box::new(delivery)));
                    }
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
            NodeEvent::BatchAcknowledged { peer, batch, errors, envelopes } => {
                for hash in envelopes {
                    match errors.iter().flatten().find(|error| error.hash == *hash) {
                        Some(error) => {
                            let state = DeliveryState::Refused(error.clone());
                            self.outbox.set(hash, *peer, self.peers.get(*peer), &state);
                        }
                        None => {
                            self.probe_clock(*peer);
                            if !self.probes.hold(*peer, *hash) {
                                self.confirm(*peer, hash);
                            }
                        }
                    }
                }
                self.handle_probed(*peer, batch, errors.as_deref());
            }
            NodeEvent::Ready { .. } => self.outbox.revive(),
            NodeEvent::Disconnected { peer, at, unread_since, .. } => {
                for hash in self.probes.forget(peer.key) {
                    self.confirm(peer.key, &hash);
                }
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
        self.tell_peers();
    }

    /// Asks a peer once whether our clock is behind its own.
    fn probe_clock(&mut self, peer: ConnectionId) {
        let now = UnixSeconds::from_since_epoch(self.node.now());
        if let Some(probe) = self.probes.first(peer, now) {
            self.send_probe(peer, &probe);
        }
    }

    /// Takes confirmations as they are whose peers don't tell their clock.
    pub(super) fn give_up_probes(&mut self, now: Instant) {
        for (peer, confirmed) in self.probes.take_late(now) {
            for hash in confirmed {
                self.confirm(peer, &hash);
            }
        }
    }

    fn send_probe(&mut self, peer: ConnectionId, probe: &Packet) {
        if self.node.try_send_packet(peer, probe).is_err() {
            // There will be no answer.
            for hash in self.probes.forget(peer) {
                self.confirm(peer, &hash);
            }
        }
    }

    /// Handles the answer to a packet that may have been a probe.
    fn handle_probed(
        &mut self,
        peer: ConnectionId,
        batch: &[u8; 32],
        errors: Option<&[EnvelopeError]>,
    ) {
        let now = UnixSeconds::from_since_epoch(self.node.now());
        match self.probes.answer(peer, batch, errors, now) {
            Answer::Other => {}
            Answer::Ask(probe) => self.send_probe(peer, &probe),
            Answer::Known(confirmed) => {
                let ahead = self.probes.ahead(peer);
                if ahead > SYNC_ALLOWANCE {
                    let seconds = ahead.into();
                    let (at_least, at_most) = (Some(seconds), None);
                    let offset = ClockOffset { seconds, at_least, at_most, peers: 1 };
                    self.handle(&Arc::new(NodeEvent::ClockSkewed(offset)));
                }
                for hash in confirmed {
                    self.confirm(peer, &hash);
                }
            }
        }
    }

    fn confirm(&mut self, peer: ConnectionId, hash: &EnvelopeHash) {
        let ahead = self.probes.ahead(peer);
        self.outbox.confirm(hash, peer, self.peers.get(peer), ahead);
    }

    /// Receives an envelope of the live stream.
    pub(super) fn take_envelope(&mut self, event: &NodeEvent) {
        let NodeEvent::Envelope { envelope, number, .. } = event else { return };
        self.arrived.last = *number;
        let now = self.now().to_seconds();
        if !self.twice.is_first(envelope, now) {
            return;
        }
        let history = self.history.as_mut();
        if history.is_none_or(|history| history.is_first(envelope.hash())) {
            let is_repeated = self.arrived.shown.contains(&envelope.hash());
            let place = self.inbox.next_place();
            let envelope = Arc::new(envelope.envelope().clone());
            self.receive(envelope, Origin::Live { place, is_repeated });
        }
    }

    /// Takes the envelopes that are there already, as many as share a write to the state; then
    /// confirms them to their senders.
    pub(super) fn take_more(&mut self) {
        if !self.is_kept() {
            return;
        }
        let mut taken = 1;
        while taken < MAX_BATCH
            && self.arrived.bytes < MAX_BATCH_BYTES
            && self.arrived.next.is_none()
        {
            let event = {
                let mut next = pin!(self.events.next());
                match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Some(event)) => event,
                    Poll::Ready(None) | Poll::Pending => break,
                }
            };
            match *event {
                NodeEvent::Envelope { .. } => self.take_envelope(&event),
                // It has a step of its own.
                _ => self.arrived.next = Some(event),
            }
            taken += 1;
        }
        self.keep_arrived();
        if self.is_kept() {
            let last = self.arrived.last;
            self.node.networks().iter().for_each(|it| it.with(|node, _| node.stored(last)));
        }
    }

    /// Writes what has arrived to the state, and makes events of it.
    fn keep_arrived(&mut self) {
        let messages = std::mem::take(&mut self.arrived.messages);
        self.arrived.bytes = 0;
        let now = self.now().to_seconds();
        let envelopes: Vec<_> =
            messages.iter().map(|it| unreceived(it.place, &it.envelope)).collect();
        let kept = self.conversations.as_mut().map(|it| it.messenger.keep(&envelopes, now));
        for Arrived { place, envelope, event, is_repeated } in messages {
            let ticket = match kept {
                Some(Ok(())) => Ticket::Kept { place, number: 1, of: 1 },
                _ => Ticket::Live { place, envelope: envelope.clone() },
            };
            self.offer(event, Some(ticket), &envelope, false, is_repeated);
        }
        if let Some(Err(error)) = kept {
            self.give_up_conversations(error);
        }
    }

    /// Whether what is received is kept in a state.
    fn is_kept(&self) -> bool {
        self.conversations.as_ref().is_some_and(|it| it.is_kept)
    }

    /// Notes that since this time something may be missing.
    fn missed(&mut self, since: Time, why: HistoryError) {
        if let Some(history) = &mut self.history {
            history.missed(UnixSeconds::from_since_epoch(since), why);
        }
    }

    /// Asks for the history that is missing.
    pub(super) fn catch_up(&mut self) {
        let now = self.now().to_seconds();
        let Some(history) = &mut self.history else { return };
        if self.peers.unanswered() > 0 && self.peers.count() == 0 {
            // The first answers are still to come.
            return;
        }
        let topics = match &self.listening {
            Listening::Topics(topics) => topics.iter().copied().collect(),
            Listening::Nothing | Listening::Everything => Vec::new(),
        };
        if let Some(event) = history.catch_up(&self.node, topics, now) {
            self.push(Event::History(event));
        }
    }

    /// Fetches what a mailserver has of all that is listened to.
    pub fn fetch_history(&mut self, source: &HistorySource) {
        let server = source.mailserver.id;
        if !self.history.as_ref().is_some_and(|history| history.is_of(&server)) {
            if self.node.peer_by_id(&server).is_none() {
                let mut options = PeerOptions::default();
                options.max_packet_size = Some(MAX_PACKET);
                self.node.add_peer(source.mailserver.clone(), options);
            }
            self.history = Some(History::new(source, self.node_key.clone(), &self.node));
        }
        if let Some(history) = &mut self.history {
            history.want(source.since);
        }
    }

    pub(super) fn handle_history(&mut self, item: history::Item) {
        let now = self.now().to_seconds();
        let Some(history) = &mut self.history else { return };
        match history.handle(item, now) {
            history::Outcome::Envelope(envelope) => {
                self.receive(Arc::new(envelope), Origin::History);
            }
            history::Outcome::Event(event) => self.push(Event::History(event)),
            history::Outcome::Nothing => {}
        }
    }

    /// Opens an envelope, once, and hands it to where its key belongs.
    pub(super) fn receive(&mut self, envelope: Arc<Envelope>, origin: Origin) {
        let (place, is_repeated) = match origin {
            Origin::Live { place, is_repeated } | Origin::State { place, is_repeated } => {
                (Some(place), is_repeated)
            }
            Origin::History => (None, false),
        };
        let mut is_private = false;
        let mut event = None;
        if !self.raw || self.sharing.has_private() {
            match self.ring.open(&envelope) {
                Ok(opened) => {
                    is_private = opened.source.is_private() && self.conversations.is_some();
                    let opened = Arc::new(opened);
                    if is_private {
                        // What came before it is an event before it.
                        self.keep_arrived();
                        is_private = !self.receive_private(&envelope, &opened, place);
                    }
                    // The key of a chat that was left is still there.
                    if !is_private && self.own.takes(envelope.topic()) {
                        let opened = ReceivedMessage::read(envelope.clone(), opened, &self.ring);
                        let message = Box::new(opened);
                        event = Some(Event::Message { message, is_first: true, is_repeated });
                    }
                }
                Err(error) => {
                    let is_wanted = match self.own {
                        Listening::Topics(_) => self.named_topics.contains(&envelope.topic()),
                        Listening::Nothing => false,
                        Listening::Everything => self.ring.is_empty(),
                    };
                    let (envelope, error) = (envelope.clone(), Some(error));
                    event = is_wanted.then_some(Event::Envelope { envelope, error, is_repeated });
                }
            }
        }
        if self.raw {
            let event_of = |envelope| Event::Envelope { envelope, error: None, is_repeated };
            event = self.own.takes(envelope.topic()).then(|| event_of(envelope.clone()));
        }
        let ticket = match origin {
            Origin::History => None,
            Origin::Live { place, .. } if !is_private && self.is_kept() => {
                let topic = envelope.topic();
                if event.is_some() || !self.sharing.takers(topic, is_private).is_empty() {
                    self.arrived.bytes += envelope.size();
                    self.arrived.messages.push(Arrived { place, envelope, event, is_repeated });
                }
                return;
            }
            Origin::Live { place, .. } => Some(Ticket::Live { place, envelope: envelope.clone() }),
            Origin::State { place, .. } => {
                let ticket = Ticket::Kept { place, number: 1, of: 1 };
                if !is_private {
                    self.sharing.recover(Recovered {
                        ticket: ticket.clone(),
                        envelope: envelope.clone(),
                        private: None,
                        is_repeated,
                        is_handled: event.is_none(),
                    });
                }
                Some(ticket)
            }
        };
        self.offer(event, ticket, &envelope, is_private, is_repeated);
    }

    /// Hands an envelope to the programs that take it, and its event to this one.
    fn offer(
        &mut self,
        mut event: Option<Event>,
        ticket: Option<Ticket>,
        envelope: &Arc<Envelope>,
        is_private: bool,
        is_repeated: bool,
    ) {
        if let Some(ticket) = &ticket
            && event.is_some()
            && self.takes_up(envelope.hash(), 1, ticket)
        {
            event = None;
        }
        let programs = self.sharing.takers(envelope.topic(), is_private);
        let is_ours = ticket.is_some() && event.is_some();
        self.sharing.offer_envelope(ticket.as_ref(), &programs, is_ours, envelope, is_repeated);
        event.into_iter().for_each(|event| self.push_kept(event, ticket.clone()));
    }

    /// Hands a message to the messenger. Returns whether it is of another application.
    fn receive_private(
        &mut self,
        envelope: &Arc<Envelope>,
        opened: &Arc<Opened>,
        place: Option<u64>,
    ) -> bool {
        let now = self.now();
        let Some(conversations) = &mut self.conversations else { return true };
        let incoming = Incoming {
            signer: opened.message.signer(),
            sent: envelope.sent(),
            payload: &opened.message.payload,
        };
        let (messenger, rng) = (&mut conversations.messenger, &mut self.rng);
        let is_kept = conversations.is_kept;
        let place = place.unwrap_or_else(|| self.inbox.next_place());
        let context = if is_kept { Saved::encode(envelope, Some(opened)) } else { Vec::new() };
        let outcome = if is_kept {
            messenger.receive_and_keep(&incoming, place, &context, now, rng)
        } else {
            messenger.receive(&incoming, now, rng).map(|outcome| (outcome, 0))
        };
        let (outcome, of) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.give_up_conversations(error);
                return false;
            }
        };
        let answers = self.acknowledges() && is_kept;
        let (hash, mut number, mut is_foreign) = (envelope.hash(), 0, false);
        let mut template: Option<ReceivedMessage> = None;
        for event in outcome.events {
            match event {
                MessengerEvent::Message(payload) => {
                    let to_programs = self.sharing.has_private().then(|| payload.clone());
                    let message = match &template {
                        None => {
                            let (envelope, opened) = (envelope.clone(), opened.clone());
                            ReceivedMessage::from_payload(envelope, opened, payload)
                        }
                        Some(message) => message.with_payload(payload),
                    };
                    let is_first = template.is_none();
                    template.get_or_insert_with(|| message.clone());
                    number += 1;
                    let ticket = match is_kept {
                        true => Ticket::Kept { place, number, of },
                        false => Ticket::Live { place, envelope: envelope.clone() },
                    };
                    if let Some(payload) = to_programs {
                        let is_ours = self.is_private;
                        let private = (is_first, &context[..], payload);
                        self.sharing.offer_private(&ticket, None, is_ours, private, false);
                    }
                    if !self.is_private {
                        if !self.sharing.has_private() {
                            // Nobody is there any more who asked for it.
                            self.settle_ticket(ticket, Party::Own, false);
                        }
                        continue;
                    }
                    let (message, is_repeated) = (Box::new(message), false);
                    let event = Event::Message { message, is_first, is_repeated };
                    self.push_kept(event, Some(ticket));
                }
                MessengerEvent::Unread { sender, reason, layers } => {
                    let unread = UnreadMessage {
                        envelope: hash,
                        sender,
                        code: reason.code(),
                        is_of_session: layers.secure.is_none()
                            && matches!(reason, UnreadReason::Secure(_)),
                        reason: reason.to_string(),
                        layers,
                    };
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

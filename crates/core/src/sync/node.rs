//! The flow: what is appended is sent, repeated, and done with when its acknowledgement comes.

use std::collections::BTreeMap;

use super::{
    GroupId, Message, MessageId, Payload, Store, Stray, SyncError,
    rows::{EPOCH, Kind, Rows, Schedule, key, peer_key, place_key},
};
use crate::crypto::PublicKey;

/// What a node puts up with; all counts are of one peer, so that none fills the room of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many messages may wait for their acknowledgement.
    pub waiting: u64,
    /// How many received messages are remembered, so that a repetition is not taken for another
    /// message. (One that comes after so many others is; the message id of payloads tells.)
    pub remembered: u64,
    /// How many messages are requested after an offer.
    pub wanted: usize,
    /// How large a payload gets, in bytes; a larger message goes alone. 320 KiB: three copies, for
    /// the devices of a peer, fit into the largest packet with room for all that is around them.
    pub payload: usize,
    /// How often a message is sent before it is given up. 64 is about two days.
    pub max_sends: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 10_000, remembered: 2_000, wanted: 256, payload: 320 << 10, max_sends: 64 }
    }
}

/// The longest time between two repetitions, in epochs: one hour.
const MAX_DELAY: u64 = 12_000;

/// How many epochs after its `sends`-th sending a message is sent again: 3, 8, 18, 38, …, each
/// time twice as many and two more, up to an hour.
///
/// With these a message goes out at epochs 1, 4, 12, 30, 68, …: when the reference sends it, too,
/// if its counter of epochs is fresh. There, the number of the epoch is added to the next one, so
/// that after some time of running nothing is ever repeated; here the counter doesn't matter.
pub fn delay(sends: u64) -> u64 {
    let doubled = 1_u64.checked_shl(sends.saturating_sub(1).min(32) as u32);
    doubled.map_or(MAX_DELAY, |doubled| (5 * doubled - 2).min(MAX_DELAY))
}

/// What came of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// What is to be sent, to whom; nothing that is empty. Twice to the same if a message has to
    /// go alone.
    pub payloads: Vec<(PublicKey, Payload)>,
    /// What has been sent as often as it may be, and is forgotten.
    pub given_up: Vec<(PublicKey, MessageId)>,
}

/// What came of a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Messages that had not come before.
    pub messages: Vec<Message>,
    /// The same, with a group id that is none.
    pub strays: Vec<Stray>,
    /// Messages that had; they are acknowledged again.
    pub repeated: Vec<MessageId>,
    /// Messages of ours that have arrived.
    pub acked: Vec<MessageId>,
    /// Entries that can't be understood.
    pub malformed: usize,
}

/// A participant, with all its peers.
pub struct Node<S> {
    rows: Rows<S>,
    limits: Limits,
}

impl<S: Store> Node<S> {
    /// A node with what it remembers in `store`.
    pub fn new(store: S) -> Self {
        Self::with_limits(store, Limits::default())
    }

    /// A node with limits of one's own.
    pub fn with_limits(store: S, limits: Limits) -> Self {
        Self { rows: Rows(store), limits }
    }

    /// The store.
    pub fn into_store(self) -> S {
        self.rows.0
    }

    /// The number of the last tick.
    pub fn epoch(&self) -> Result<u64, SyncError<S::Error>> {
        Ok(self.rows.number(EPOCH)?.unwrap_or(0))
    }

    /// How many messages to a peer wait for their acknowledgement.
    pub fn waiting(&self, peer: &PublicKey) -> Result<u64, SyncError<S::Error>> {
        Ok(self.rows.peer(peer)?.waiting)
    }

    /// Queues a message at `now` (UNIX seconds); it goes out with the next tick.
    pub fn append(
        &mut self,
        peer: &PublicKey,
        group_id: GroupId,
        body: Vec<u8>,
        now: i64,
    ) -> Result<MessageId, SyncError<S::Error>> {
        let message = Message { group_id, timestamp: now, body };
        let id = message.id();
        let sending = key(Kind::Sending, peer, &id);
        // The same within a second is the same message.
        if self.rows.schedule(&sending)?.is_some() {
            return Ok(id);
        }
        let mut counters = self.rows.peer(peer)?;
        if counters.waiting >= self.limits.waiting {
            return Err(SyncError::Full(counters.waiting));
        }
        let due = self.epoch()? + 1;
        let schedule = Schedule { place: counters.appended, sends: 0, due };
        counters.appended += 1;
        counters.waiting += 1;
        self.rows.put(&key(Kind::Message, peer, &id), &message.encode())?;
        self.rows.put_schedule(&sending, &schedule)?;
        self.rows.put_peer(peer, &counters)?;
        Ok(id)
    }

    /// The next epoch.
    pub fn tick(&mut self) -> Result<Ticked, SyncError<S::Error>> {
        let next = self.epoch()? + 1;
        self.tick_to(next)
    }

    /// A later epoch; those in between are skipped, such as those in which nobody was there. One
    /// that is over is the present one.
    pub fn tick_to(&mut self, epoch: u64) -> Result<Ticked, SyncError<S::Error>> {
        let epoch = epoch.max(self.epoch()?);
        self.rows.put_number(EPOCH, epoch)?;
        let mut ticked = Ticked::default();
        let mut payloads = BTreeMap::new();
        self.collect_acks(&mut payloads)?;
        self.collect_requests(epoch, &mut payloads)?;
        self.collect_messages(epoch, &mut payloads, &mut ticked)?;
        ticked.payloads.extend(payloads);
        Ok(ticked)
    }

    /// Forgets a message that can't be sent.
    pub fn give_up(&mut self, peer: &PublicKey, id: &MessageId) -> Result<(), SyncError<S::Error>> {
        match self.rows.schedule(&key(Kind::Sending, peer, id))? {
            Some(_) => self.forget(peer, id),
            None => Ok(()),
        }
    }

    /// Forgets a peer: what was to go there, and what has come from there.
    pub fn forget_peer(&mut self, peer: &PublicKey) -> Result<(), SyncError<S::Error>> {
        let counters = self.rows.peer(peer)?;
        for place in counters.oldest..counters.next {
            self.forget_received(peer, place)?;
        }
        for id in self.rows.ids(Kind::Sending, peer)? {
            self.forget(peer, &id)?;
        }
        for id in self.rows.ids(Kind::Wanted, peer)? {
            self.rows.remove(&key(Kind::Wanted, peer, &id))?;
        }
        self.rows.remove(&peer_key(peer))
    }

    /// Acknowledgements are sent once: whoever misses one repeats the message.
    fn collect_acks(&mut self, payloads: &mut Payloads) -> Result<(), SyncError<S::Error>> {
        let mut acks = self.rows.places(Kind::Ack)?;
        acks.sort_by_key(|(_, _, place)| *place);
        for (peer, id, _) in acks {
            let payload = payloads.entry(peer).or_default();
            if (payload.acks.len() + 1) * ID_LENGTH <= self.limits.payload {
                payload.acks.push(id);
                self.rows.remove(&key(Kind::Ack, &peer, &id))?;
            }
        }
        Ok(())
    }

    fn collect_requests(
        &mut self,
        epoch: u64,
        payloads: &mut Payloads,
    ) -> Result<(), SyncError<S::Error>> {
        for (peer, id, mut schedule) in self.rows.schedules(Kind::Wanted)? {
            let row = key(Kind::Wanted, &peer, &id);
            if schedule.due > epoch {
                continue;
            }
            if schedule.sends >= self.limits.max_sends {
                self.rows.remove(&row)?;
                continue;
            }
            payloads.entry(peer).or_default().requests.push(id);
            schedule.sends += 1;
            schedule.due = epoch + delay(schedule.sends);
            self.rows.put_schedule(&row, &schedule)?;
        }
        Ok(())
    }

    fn collect_messages(
        &mut self,
        epoch: u64,
        payloads: &mut Payloads,
        ticked: &mut Ticked,
    ) -> Result<(), SyncError<S::Error>> {
        let mut sending = self.rows.schedules(Kind::Sending)?;
        sending.retain(|(_, _, schedule)| schedule.due <= epoch);
        sending.sort_by_key(|(_, _, schedule)| schedule.place);
        let mut sizes = BTreeMap::new();
        for (peer, id, mut schedule) in sending {
            if schedule.sends >= self.limits.max_sends {
                self.forget(&peer, &id)?;
                ticked.given_up.push((peer, id));
                continue;
            }
            // How large the payload is, while it may grow.
            let size = sizes.entry(peer).or_insert_with(|| {
                let ids = payloads.get(&peer).map_or(0, |it| it.acks.len() + it.requests.len());
                Some(ids * ID_LENGTH)
            });
            let Some(before) = *size else { continue };
            let bytes = self.rows.get(&key(Kind::Message, &peer, &id))?;
            let bytes = bytes.ok_or(SyncError::Damaged)?;
            let after = before + bytes.len() + MESSAGE_HEAD;
            // The rest goes with the next ticks, in order.
            *size = (after <= self.limits.payload).then_some(after);
            let is_over = size.is_none();
            if is_over && payloads.get(&peer).is_some_and(|it| !it.messages.is_empty()) {
                continue;
            }
            let message = Message::decode(&bytes).ok_or(SyncError::Damaged)?;
            if is_over {
                // Acknowledgements must not make too large what fits without them.
                let alone = Payload { messages: vec![message], ..Payload::default() };
                ticked.payloads.push((peer, alone));
            } else {
                payloads.entry(peer).or_default().messages.push(message);
            }
            schedule.sends += 1;
            schedule.due = epoch + delay(schedule.sends);
            self.rows.put_schedule(&key(Kind::Sending, &peer, &id), &schedule)?;
        }
        Ok(())
    }

    /// Takes a payload that came from `peer`. Answers go out with the next tick.
    pub fn receive(
        &mut self,
        peer: &PublicKey,
        payload: Payload,
    ) -> Result<Received, SyncError<S::Error>> {
        let mut received = Received { malformed: payload.malformed, ..Received::default() };
        for id in payload.acks {
            if self.rows.schedule(&key(Kind::Sending, peer, &id))?.is_some() {
                self.forget(peer, &id)?;
                received.acked.push(id);
            }
        }
        let next_epoch = self.epoch()? + 1;
        for id in payload.requests {
            let row = key(Kind::Sending, peer, &id);
            if let Some(mut schedule) = self.rows.schedule(&row)? {
                schedule.due = schedule.due.min(next_epoch);
                self.rows.put_schedule(&row, &schedule)?;
            }
        }
        for id in payload.offers {
            self.offered(peer, id, next_epoch)?;
        }
        for message in payload.messages {
            if self.received(peer, message.id(), &mut received)? {
                received.messages.push(message);
            }
        }
        for stray in payload.strays {
            if self.received(peer, stray.id, &mut received)? {
                received.strays.push(stray);
            }
        }
        Ok(received)
    }

    fn offered(
        &mut self,
        peer: &PublicKey,
        id: MessageId,
        next_epoch: u64,
    ) -> Result<(), SyncError<S::Error>> {
        if let Some(place) = self.rows.number(&key(Kind::Received, peer, &id))? {
            return self.rows.put_number(&key(Kind::Ack, peer, &id), place);
        }
        let row = key(Kind::Wanted, peer, &id);
        let is_new = self.rows.schedule(&row)?.is_none();
        if is_new && self.rows.count(Kind::Wanted, peer)? < self.limits.wanted {
            let schedule = Schedule { due: next_epoch, ..Schedule::default() };
            self.rows.put_schedule(&row, &schedule)?;
        }
        Ok(())
    }

    /// Takes a message by its id, to be acknowledged. Whether it had not come before.
    fn received(
        &mut self,
        peer: &PublicKey,
        id: MessageId,
        received: &mut Received,
    ) -> Result<bool, SyncError<S::Error>> {
        let row = key(Kind::Received, peer, &id);
        if let Some(place) = self.rows.number(&row)? {
            received.repeated.push(id);
            self.rows.put_number(&key(Kind::Ack, peer, &id), place)?;
            return Ok(false);
        }
        self.rows.remove(&key(Kind::Wanted, peer, &id))?;
        let mut counters = self.rows.peer(peer)?;
        let place = counters.next;
        counters.next += 1;
        if counters.next - counters.oldest > self.limits.remembered {
            self.forget_received(peer, counters.oldest)?;
            counters.oldest += 1;
        }
        self.rows.put_number(&row, place)?;
        self.rows.put(&place_key(peer, place), &id.0)?;
        self.rows.put_number(&key(Kind::Ack, peer, &id), place)?;
        self.rows.put_peer(peer, &counters)?;
        Ok(true)
    }

    /// Forgets the oldest received message, and that it is to be acknowledged: a flood would
    /// else fill the store.
    fn forget_received(&mut self, peer: &PublicKey, place: u64) -> Result<(), SyncError<S::Error>> {
        let row = place_key(peer, place);
        let id = self.rows.get(&row)?.and_then(|id| Some(MessageId(id.try_into().ok()?)));
        let id = id.ok_or(SyncError::Damaged)?;
        self.rows.remove(&row)?;
        self.rows.remove(&key(Kind::Received, peer, &id))?;
        self.rows.remove(&key(Kind::Ack, peer, &id))
    }

    /// Forgets a message that has arrived, or never will.
    fn forget(&mut self, peer: &PublicKey, id: &MessageId) -> Result<(), SyncError<S::Error>> {
        let mut counters = self.rows.peer(peer)?;
        counters.waiting = counters.waiting.saturating_sub(1);
        self.rows.put_peer(peer, &counters)?;
        self.rows.remove(&key(Kind::Message, peer, id))?;
        self.rows.remove(&key(Kind::Sending, peer, id))
    }
}

type Payloads = BTreeMap<PublicKey, Payload>;

/// What an id takes in a payload: 3 bytes of tag and length, 32 bytes.
const ID_LENGTH: usize = 36;

/// What a message takes in a payload beside its own bytes: 3 bytes of tag, and its length.
const MESSAGE_HEAD: usize = 8;

impl<S> std::fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("limits", &self.limits).finish_non_exhaustive()
    }
}

//! The state machine: sends appended messages, and repeats them until they are acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    GroupId, MAX_ITEMS, StrayMessage, SyncError, SyncMessage, SyncMessageId, SyncPayload,
    SyncStore,
    rows::{EPOCH, Kind, Rows, Schedule, key, peer_key, place_key},
};
use crate::{crypto::PublicKey, time::UnixSeconds};

/// The limits of data sync, per peer. No peer can use the share of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncLimits {
    /// Maximum number of messages that are not acknowledged yet. By default 10,000.
    pub max_waiting: u64,
    /// Maximum number of received messages to remember, by default 2000. An older message that is
    /// repeated counts as new. Callers can tell by the message id of the payload inside.
    pub max_remembered: u64,
    /// Maximum number of offered messages to request, by default 256.
    pub max_wanted: usize,
    /// Maximum size of a payload in bytes, by default 320 KiB. A larger message goes alone. With
    /// the default, three copies for the devices of a peer fit into the largest packet.
    pub max_payload: usize,
    /// How often a message is sent before it is given up. The default of 64 takes about two days.
    pub max_sends: u64,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self {
            max_waiting: 10_000,
            max_remembered: 2_000,
            max_wanted: 256,
            max_payload: 320 << 10,
            max_sends: 64,
        }
    }
}

/// Maximum time between two repetitions, in epochs: one hour.
const MAX_DELAY: u64 = 12_000;

/// Returns the delay in epochs after a message was sent for the `sends`-th time: 3, 8, 18, 38, …,
/// doubled plus two each time, up to one hour.
///
/// So a message is sent at epochs 1, 4, 12, 30, 68, …, like in the reference after a start. The
/// reference adds the number of the epoch to the delay, so after a while it repeats nothing. Here
/// the number does not matter.
pub fn resend_delay(sends: u64) -> u64 {
    let doubled = 1_u64.checked_shl(sends.saturating_sub(1).min(32) as u32);
    doubled.map_or(MAX_DELAY, |doubled| (5 * doubled - 2).min(MAX_DELAY))
}

/// The result of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the payloads must be sent"]
pub struct SyncTick {
    /// The payloads to send, none of them empty. A peer has two if a message must go alone.
    pub payloads: Vec<(PublicKey, SyncPayload)>,
    /// The messages that were deleted after [`SyncLimits::max_sends`].
    pub given_up: Vec<(PublicKey, SyncMessageId)>,
}

/// The result of receiving a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncReceived {
    /// The new messages.
    pub messages: Vec<SyncMessage>,
    /// The new messages with a malformed group id.
    pub strays: Vec<StrayMessage>,
    /// The messages received before. They are acknowledged again.
    pub repeated: Vec<SyncMessageId>,
    /// Our messages that the peer has acknowledged.
    pub acked: Vec<SyncMessageId>,
    /// The number of malformed ids.
    pub malformed: usize,
    /// The number of items that were too many for one payload, and are not acknowledged.
    pub beyond: usize,
}

/// The data sync of one participant with all its peers. See the [module](super).
pub struct DataSync<S> {
    rows: Rows<S>,
    limits: SyncLimits,
}

impl<S: SyncStore> DataSync<S> {
    /// Opens the data sync of a store, with default limits.
    pub fn new(store: S) -> Self {
        Self::with_limits(store, SyncLimits::default())
    }

    /// Opens the data sync of a store.
    pub fn with_limits(store: S, limits: SyncLimits) -> Self {
        Self { rows: Rows(store), limits }
    }

    /// Returns the store.
    pub fn into_store(self) -> S {
        self.rows.0
    }

    /// Returns the number of the last epoch.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn epoch(&self) -> Result<u64, SyncError<S::Error>> {
        Ok(self.rows.number(EPOCH)?.unwrap_or(0))
    }

    /// Returns how many messages to a peer are not acknowledged yet.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn waiting(&self, peer: &PublicKey) -> Result<u64, SyncError<S::Error>> {
        Ok(self.rows.peer(peer)?.waiting)
    }

    /// Queues a message at `now` (UNIX seconds). The next tick sends it.
    ///
    /// # Errors
    ///
    /// If too many messages to the peer are not acknowledged yet, or the store fails.
    pub fn append(
        &mut self,
        peer: &PublicKey,
        group_id: GroupId,
        body: Vec<u8>,
        now: UnixSeconds,
    ) -> Result<SyncMessageId, SyncError<S::Error>> {
        let message = SyncMessage::new(group_id, now.into(), body);
        let id = message.id();
        let sending = key(Kind::Sending, peer, &id);
        // The same body within a second is the same message.
        if self.rows.schedule(&sending)?.is_some() {
            return Ok(id);
        }
        let mut counters = self.rows.peer(peer)?;
        if counters.waiting >= self.limits.max_waiting {
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

    /// Runs the next epoch.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn tick(&mut self) -> Result<SyncTick, SyncError<S::Error>> {
        let next = self.epoch()? + 1;
        self.tick_to(next)
    }

    /// Runs a later epoch, and skips those in between, for example after a pause. An earlier epoch
    /// counts as the current one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn tick_to(&mut self, epoch: u64) -> Result<SyncTick, SyncError<S::Error>> {
        let epoch = epoch.max(self.epoch()?);
        self.rows.put_number(EPOCH, epoch)?;
        let mut ticked = SyncTick::default();
        let mut payloads = BTreeMap::new();
        self.collect_acks(&mut payloads)?;
        self.collect_requests(epoch, &mut payloads)?;
        self.collect_messages(epoch, &mut payloads, &mut ticked)?;
        ticked.payloads.extend(payloads);
        Ok(ticked)
    }

    /// Sends all messages to a peer with the next tick that are not acknowledged yet: it has a device
    /// that may have got none of them.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn repeat_at_once(&mut self, peer: &PublicKey) -> Result<(), SyncError<S::Error>> {
        let next_epoch = self.epoch()? + 1;
        for id in self.rows.ids::<Vec<_>>(Kind::Sending, peer)? {
            let row = key(Kind::Sending, peer, &id);
            if let Some(mut schedule) = self.rows.schedule(&row)?
                && schedule.due > next_epoch
            {
                schedule.due = next_epoch;
                self.rows.put_schedule(&row, &schedule)?;
            }
        }
        Ok(())
    }

    /// Deletes a message that can't be sent.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn give_up(
        &mut self,
        peer: &PublicKey,
        id: &SyncMessageId,
    ) -> Result<(), SyncError<S::Error>> {
        match self.rows.schedule(&key(Kind::Sending, peer, id))? {
            Some(_) => self.forget(peer, id),
            None => Ok(()),
        }
    }

    /// Deletes a peer with all messages to it and from it.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn forget_peer(&mut self, peer: &PublicKey) -> Result<(), SyncError<S::Error>> {
        let counters = self.rows.peer(peer)?;
        for place in counters.oldest..counters.next {
            self.forget_received(peer, place)?;
        }
        for id in self.rows.ids::<Vec<_>>(Kind::Sending, peer)? {
            self.forget(peer, &id)?;
        }
        for id in self.rows.ids::<Vec<_>>(Kind::Wanted, peer)? {
            self.rows.remove(&key(Kind::Wanted, peer, &id))?;
        }
        self.rows.remove(&peer_key(peer))
    }

    /// Sends acknowledgements once. A peer that misses one repeats the message.
    fn collect_acks(&mut self, payloads: &mut Payloads) -> Result<(), SyncError<S::Error>> {
        let mut acks = self.rows.places(Kind::Ack)?;
        acks.sort_by_key(|(_, _, place)| *place);
        for (peer, id, _) in acks {
            let payload = payloads.entry(peer).or_default();
            let has_room = (payload.acks.len() + 1) * ID_LENGTH <= self.limits.max_payload;
            if has_room && payload.acks.len() < MAX_ITEMS {
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
            let payload = payloads.entry(peer).or_default();
            if payload.requests.len() >= MAX_ITEMS {
                continue;
            }
            payload.requests.push(id);
            schedule.sends += 1;
            schedule.due = epoch + resend_delay(schedule.sends);
            self.rows.put_schedule(&row, &schedule)?;
        }
        Ok(())
    }

    fn collect_messages(
        &mut self,
        epoch: u64,
        payloads: &mut Payloads,
        ticked: &mut SyncTick,
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
            // The size of the payload. `None` once it is full.
            let size = sizes.entry(peer).or_insert_with(|| {
                let ids = payloads.get(&peer).map_or(0, |it| it.acks.len() + it.requests.len());
                Some(ids * ID_LENGTH)
            });
            let Some(before) = *size else { continue };
            if payloads.get(&peer).is_some_and(|it| it.messages.len() >= MAX_ITEMS) {
                continue;
            }
            let bytes = self.rows.get(&key(Kind::Message, &peer, &id))?;
            let bytes = bytes.ok_or(SyncError::Damaged)?;
            let after = before + bytes.len() + MESSAGE_HEAD;
            // The rest follows in the next ticks, in order.
            *size = (after <= self.limits.max_payload).then_some(after);
            let is_full = size.is_none();
            if is_full && payloads.get(&peer).is_some_and(|it| !it.messages.is_empty()) {
                continue;
            }
            let message = SyncMessage::decode_with_id(id, &bytes).ok_or(SyncError::Damaged)?;
            if is_full {
                // The message may be too large together with the acknowledgements.
                let alone = SyncPayload { messages: vec![message], ..SyncPayload::default() };
                ticked.payloads.push((peer, alone));
            } else {
                payloads.entry(peer).or_default().messages.push(message);
            }
            schedule.sends += 1;
            schedule.due = epoch + resend_delay(schedule.sends);
            self.rows.put_schedule(&key(Kind::Sending, &peer, &id), &schedule)?;
        }
        Ok(())
    }

    /// Receives a payload from `peer`. The next tick sends the answers.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn receive(
        &mut self,
        peer: &PublicKey,
        payload: SyncPayload,
    ) -> Result<SyncReceived, SyncError<S::Error>> {
        let SyncPayload { malformed, beyond, .. } = payload;
        let mut received = SyncReceived { malformed, beyond, ..SyncReceived::default() };
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
        self.receive_offers(peer, payload.offers, next_epoch)?;
        for message in payload.messages {
            if self.receive_message(peer, message.id(), &mut received)? {
                received.messages.push(message);
            }
        }
        for stray in payload.strays {
            if self.receive_message(peer, stray.id, &mut received)? {
                received.strays.push(stray);
            }
        }
        Ok(received)
    }

    /// Requests offered messages that are new, and acknowledges the others.
    fn receive_offers(
        &mut self,
        peer: &PublicKey,
        offers: Vec<SyncMessageId>,
        next_epoch: u64,
    ) -> Result<(), SyncError<S::Error>> {
        if offers.is_empty() {
            return Ok(());
        }
        // Read once, so that a flood of offers does not scan these rows for each.
        let mut wanted: BTreeSet<_> = self.rows.ids(Kind::Wanted, peer)?;
        for id in offers {
            if let Some(place) = self.rows.number(&key(Kind::Received, peer, &id))? {
                self.rows.put_number(&key(Kind::Ack, peer, &id), place)?;
            } else if wanted.len() < self.limits.max_wanted && wanted.insert(id) {
                let schedule = Schedule { due: next_epoch, ..Schedule::default() };
                self.rows.put_schedule(&key(Kind::Wanted, peer, &id), &schedule)?;
            }
        }
        Ok(())
    }

    /// Registers the id of a received message, to be acknowledged. Returns whether it is new.
    fn receive_message(
        &mut self,
        peer: &PublicKey,
        id: SyncMessageId,
        received: &mut SyncReceived,
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
        if counters.next - counters.oldest > self.limits.max_remembered {
            self.forget_received(peer, counters.oldest)?;
            counters.oldest += 1;
        }
        self.rows.put_number(&row, place)?;
        self.rows.put(&place_key(peer, place), &id.0)?;
        self.rows.put_number(&key(Kind::Ack, peer, &id), place)?;
        self.rows.put_peer(peer, &counters)?;
        Ok(true)
    }

    /// Deletes the oldest received id and its acknowledgement, so that a flood does not fill the
    /// store.
    fn forget_received(&mut self, peer: &PublicKey, place: u64) -> Result<(), SyncError<S::Error>> {
        let row = place_key(peer, place);
        let id = self.rows.get(&row)?.and_then(|id| Some(SyncMessageId(id.try_into().ok()?)));
        let id = id.ok_or(SyncError::Damaged)?;
        self.rows.remove(&row)?;
        self.rows.remove(&key(Kind::Received, peer, &id))?;
        self.rows.remove(&key(Kind::Ack, peer, &id))
    }

    /// Deletes a message that was acknowledged or given up.
    fn forget(&mut self, peer: &PublicKey, id: &SyncMessageId) -> Result<(), SyncError<S::Error>> {
        let mut counters = self.rows.peer(peer)?;
        counters.waiting = counters.waiting.saturating_sub(1);
        self.rows.put_peer(peer, &counters)?;
        self.rows.remove(&key(Kind::Message, peer, id))?;
        self.rows.remove(&key(Kind::Sending, peer, id))
    }
}

type Payloads = BTreeMap<PublicKey, SyncPayload>;

/// The size of an id in a payload, with tag and length.
const ID_LENGTH: usize = 36;

/// The size of tag and length of a message in a payload.
const MESSAGE_HEAD: usize = 8;

impl<S> std::fmt::Debug for DataSync<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataSync").field("limits", &self.limits).finish_non_exhaustive()
    }
}

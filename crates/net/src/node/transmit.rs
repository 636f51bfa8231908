//! Packets that leave: made when the transport asks for them.
//!
//! A peer gets, in this order: our Status, answers and direct packets; changes of our requirements;
//! and the envelopes behind its cursor, once its send window has ended. Each envelope goes to each
//! peer at most once, and never back to where it came from.
//!
//! **Send windows.** The first new envelope starts a random delay for every idle peer. Envelopes
//! that come meanwhile go in the same packet; those that the peer itself sends meanwhile are not
//! sent to it. A longer delay saves more duplicates, and adds up over the hops:
//! `benches/duplicates.rs` shows the trade-off, `NodeConfig::DEFAULT_SEND_WINDOW` the choice. Own
//! envelopes wait like all others, so that observers can't tell which are ours.
//!
//! **Rate limits.** A peer that announces limits gets packets no faster than it allows (see
//! `pace`). Answers and envelopes take turns. It gets one answer per packet, code 12, which
//! includes what code 11 says.
//!
//! Source: EIP-627. The reference sends all new envelopes every 300 ms, in packets of any size.

use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, check::future_diff, pow::leading_zero_bits},
    rlp,
    wire::{
        Dialect, Encoded, IntoEncoded, Packet, Status,
        packet::{EnvelopeError, MessageResponse, ReadResponse, batch_hash, code},
        waku::Options,
    },
};

use super::{
    ConnectionId, Crossing, Event, Node, SendError, Sent,
    clock::Time,
    hashing::{hashes, pow_hashes},
    peer::{Batch, Peer},
    pool::{Place, PooledEnvelope},
    receive::{Rejection, Source},
};

/// The most places of the log that are looked at in one call: other peers need their turn.
const SLICE: u64 = 4096;

/// A packet for the transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The code, without the offset of the capability.
    pub code: u64,
    /// The uncompressed payload.
    pub payload: Vec<u8>,
    /// Present if the packet has own envelopes: call [`Node::written`] once it was written.
    pub token: Option<Token>,
}

impl From<Rejection> for SendError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Check(verdict) => Self::Refused(verdict),
            Rejection::LongLived { ttl, max } => Self::LongLived { ttl, max },
            Rejection::PoolFull => Self::PoolFull,
        }
    }
}

/// A requirement of ours that has changed.
enum Change {
    MinPow,
    Topics,
}

/// The name of a packet with own envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

impl Node {
    /// Sends an own envelope to all peers that want it, now and later.
    ///
    /// Nothing is written yet. The outcome is reported by [`Event::Written`] and
    /// [`Event::BatchAcknowledged`], or by [`Event::Held`].
    ///
    /// # Errors
    /// If the node's own rules reject the envelope, no packet has room for it, or the pool is
    /// full.
    pub fn send(&mut self, envelope: Envelope, now: Time) -> Result<Sent, SendError> {
        self.advance(now);
        let (size, max) = (envelope.packet_len(), self.config.max_message_size);
        if size > max as usize {
            return Err(SendError::Oversized { size, max });
        }
        let rules = self.rules(now);
        let hashes = hashes(std::slice::from_ref(&envelope));
        let pow_hashes = pow_hashes(std::iter::once(&envelope));
        let hash = hashes.first().copied().unwrap_or_else(|| envelope.hash());
        let zero_bits = pow_hashes.first().map_or(0, leading_zero_bits);
        let diff = future_diff(envelope.sent(), rules.now);
        let entry = PooledEnvelope::new(envelope, hash, zero_bits, diff, true);
        let place = self.pool.find(&hash);
        let new = self
            .cache(entry, place, Source::Own, &rules)
            .map_err(|(rejection, _)| SendError::from(rejection))?;
        if new {
            self.wake(now);
        }
        let place = self.pool.find(&hash);
        let missing = |&(key, peer): &(ConnectionId, &Peer)| {
            place.is_some_and(|place| self.is_for(place, key, peer))
        };
        let peers = self.peers.iter().filter(missing).map(|(key, _)| key).collect();
        Ok(Sent { hash, known: !new, peers })
    }

    /// Takes an envelope over from another network. Returns whether it is new here; then it is
    /// forwarded like any other, and does not cross again.
    ///
    /// # Errors
    /// If the node's own rules reject the envelope, or the pool is full.
    pub fn cross(&mut self, crossing: &Crossing, now: Time) -> Result<bool, SendError> {
        self.advance(now);
        let Crossing { envelope, origin } = crossing;
        if self.pool.find(&envelope.hash()).is_some() {
            return Ok(false);
        }
        let rules = self.rules(now);
        let raw = envelope.envelope().clone();
        let diff = future_diff(raw.sent(), rules.now);
        let entry = PooledEnvelope::new(raw, envelope.hash(), envelope.zero_bits(), diff, false);
        let from = Source::Network(*origin);
        self.cache(entry, None, from, &rules)
            .map_err(|(rejection, _)| SendError::from(rejection))?;
        self.wake(now);
        Ok(true)
    }

    /// Sends a packet to one peer, past the pool: requests for historic messages (code 126), answers
    /// to them, and P2P messages. A request makes the peer trusted.
    ///
    /// # Errors
    /// If the peer is not connected, has not sent its Status, or does not read.
    pub fn send_packet(
        &mut self,
        key: ConnectionId,
        packet: impl IntoEncoded,
        now: Time,
    ) -> Result<(), SendError> {
        self.advance(now);
        let limits = &self.config.limits;
        let (max_packets, max_bytes) = (limits.outbox_packets, limits.outbox_bytes);
        let peer = self.peers.get_mut(key).ok_or(SendError::NoPeer)?;
        if peer.status.is_none() {
            return Err(SendError::NoPeer);
        }
        if peer.outbox.len() >= max_packets || peer.outbox_bytes >= max_bytes {
            return Err(SendError::OutboxFull { bytes: peer.outbox_bytes });
        }
        let Encoded { code, payload } = packet.into_encoded(peer.info.dialect);
        peer.trusted |= code == code::P2P_REQUEST;
        peer.push(code, payload);
        self.announce(key);
        Ok(())
    }

    /// Returns the next packet to write for a peer, if there is one now.
    ///
    /// Costs a look at some thousand envelopes behind the peer's cursor, and a copy of those that it
    /// gets.
    #[must_use]
    pub fn poll_peer(&mut self, key: ConnectionId, now: Time) -> Option<Outgoing> {
        self.advance(now);
        let outgoing = self.next_allowed(key, now);
        match &outgoing {
            Some(outgoing) => {
                self.stats.packets_out += 1;
                self.stats.bytes_out += outgoing.payload.len() as u64;
            }
            None => {
                let end = self.pool.end();
                let peer = self.peers.get_mut(key)?;
                peer.announced = false;
                // A slice in which it wants nothing: it goes on when others had their turn.
                let is_due = peer.flush_at.is_some_and(|at| at <= now) && peer.cursor < end;
                if is_due && peer.status.is_some() && peer.pace.wait_until(now).is_none() {
                    self.announce(key);
                }
            }
        }
        outgoing
    }

    /// Notes that the transport has written the packet with this token.
    pub fn written(&mut self, key: ConnectionId, token: Token) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(at) = peer.batches.iter().position(|batch| batch.token == token) else { return };
        let confirms = peer.status.as_ref().is_some_and(|status| status.confirmations);
        let envelopes = match peer.batches.get_mut(at) {
            Some(batch) if confirms => {
                batch.written = true;
                batch.own.clone()
            }
            // No answer will come.
            _ => peer.batches.remove(at).map(|batch| batch.own).unwrap_or_default(),
        };
        self.emit(Event::Written { peer: key, envelopes, confirms });
    }

    /// Notes that the peer has answered a packet. Returns our envelopes in it with the first answer.
    pub(super) fn answered(&mut self, key: ConnectionId, hash: [u8; 32]) -> Vec<EnvelopeHash> {
        let Some(peer) = self.peers.get_mut(key) else { return Vec::new() };
        let at = peer.batches.iter().position(|batch| batch.hash == hash);
        let Some(batch) = at.and_then(|at| peer.batches.remove(at)) else { return Vec::new() };
        if !batch.written {
            // The answer has overtaken the call of `written`.
            let envelopes = batch.own.clone();
            self.emit(Event::Written { peer: key, envelopes, confirms: true });
        }
        batch.own
    }

    /// Answers a Messages packet with code 12, and with code 11 unless the peer counts packets.
    pub(super) fn answer(
        &mut self,
        key: ConnectionId,
        batch: [u8; 32],
        errors: Vec<EnvelopeError>,
    ) {
        let limits = &self.config.limits;
        let (max_packets, max_bytes) = (limits.outbox_packets, limits.outbox_bytes);
        let Some(peer) = self.peers.get_mut(key) else { return };
        let max_packets = max_packets.min(peer.pace.answers());
        if peer.outbox.len() >= max_packets || peer.outbox_bytes >= max_bytes {
            self.stats.answers_dropped += 1;
            return;
        }
        let dialect = peer.info.dialect;
        let response = ReadResponse::V1(MessageResponse { batch, errors });
        let acknowledge = (!peer.pace.is_limited()).then_some(Packet::BatchAck(batch));
        for packet in [Some(Packet::MessageResponse(response)), acknowledge].into_iter().flatten() {
            peer.push(packet.code(), packet.encode_as(dialect));
        }
        self.announce(key);
    }

    /// Returns the next packet, unless the peer's rate limits make it wait.
    fn next_allowed(&mut self, key: ConnectionId, now: Time) -> Option<Outgoing> {
        let peer = self.peers.get_mut(key)?;
        if let Some(at) = peer.pace.wait_until(now) {
            if peer.has_work(now) {
                self.pace_at(key, at);
            }
            return None;
        }
        let outgoing = self.next_packet(key, now)?;
        self.peers.get_mut(key)?.pace.count(now);
        Some(outgoing)
    }

    fn next_packet(&mut self, key: ConnectionId, now: Time) -> Option<Outgoing> {
        if std::mem::take(&mut self.peers.get_mut(key)?.batch_first)
            && let Some(batch) = self.next_batch(key, now)
        {
            return Some(batch);
        }
        let peer = self.peers.get_mut(key)?;
        if let Some((code, payload)) = peer.pop() {
            peer.batch_first = peer.pace.is_limited();
            return Some(Outgoing { code, payload, token: None });
        }
        let packet = if std::mem::take(&mut peer.pow_changed) {
            Change::MinPow
        } else if std::mem::take(&mut peer.topics_changed) {
            Change::Topics
        } else {
            return self.next_batch(key, now);
        };
        let dialect = peer.info.dialect;
        let packet = self.change_packet(packet, dialect);
        Some(Outgoing { code: packet.code(), payload: packet.encode_as(dialect), token: None })
    }

    /// Returns the packet that announces one of our requirements.
    fn change_packet(&self, change: Change, dialect: Dialect) -> Packet {
        let status = self.own_status();
        match (change, dialect.is_waku()) {
            (Change::MinPow, false) => Packet::PowRequirement(status.min_pow),
            // Here peers accept no empty filter. Only a Status may have one.
            (Change::Topics, false) => Packet::BloomFilter(status.bloom.unwrap_or(Bloom::FULL)),
            (Change::MinPow, true) => {
                let min_pow = Some(status.min_pow);
                Packet::StatusUpdate(Options { min_pow, ..Options::default() })
            }
            (Change::Topics, true) => {
                // A filter that was just set is announced in either mode.
                let bloom = status.bloom.or(self.config.bloom);
                let accepts = Some(Status { bloom, ..status }.accepts_in(dialect));
                Packet::StatusUpdate(Options { accepts, ..Options::default() })
            }
        }
    }

    /// Returns the envelopes behind the peer's cursor, if it is time to send them.
    fn next_batch(&mut self, key: ConnectionId, now: Time) -> Option<Outgoing> {
        let (front, end) = (self.pool.front(), self.pool.end());
        let peer = self.peers.get_mut(key)?;
        if peer.flush_at.is_none_or(|at| at > now) {
            return None;
        }
        if peer.rewind_at.is_some_and(|at| at <= now) {
            peer.rewind_at = None;
            peer.rewinds.count(now);
            peer.caught_up = false;
            peer.cursor = front;
        }
        let from = peer.cursor.max(front);
        let rewind_at = peer.rewind_at;

        let slice = from..end.min(from + SLICE);
        let (places, length, cursor) = self.collect(key, slice);
        self.stats.looked_at += cursor - from;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.cursor = cursor;
        }
        // Otherwise the time stays due, and the next call goes on.
        if cursor == end {
            self.set_idle(key);
            if let Some(at) = rewind_at {
                self.flush_at(key, at);
            }
        }
        if places.is_empty() {
            return None;
        }
        self.stats.forwarded += places.len() as u64;
        let mut payload = Vec::with_capacity(length + rlp::header_len(length));
        rlp::put_list_header(&mut payload, length);
        let mut own = Vec::new();
        for place in places {
            self.pool.mark(place, key.slot as usize);
            let Some(envelope) = self.pool.get(place) else { continue };
            payload.extend_from_slice(envelope.envelope().raw());
            if envelope.is_own() {
                own.push(envelope.hash());
            }
        }
        let token = (!own.is_empty()).then(|| self.remember_batch(key, &payload, own));
        Some(Outgoing { code: code::MESSAGES, payload, token })
    }

    /// Returns the envelopes in a range of the log that the peer gets in one packet, the sum of their
    /// lengths, and where the next packet begins.
    fn collect(
        &self,
        key: ConnectionId,
        range: std::ops::Range<Place>,
    ) -> (Vec<Place>, usize, Place) {
        let (mut places, mut length) = (Vec::new(), 0);
        let end = range.end;
        let Some(peer) = self.peers.get(key) else { return (places, length, end) };
        let most = self.config.limits.batch_bytes;
        for place in range {
            if !self.is_for(place, key, peer) {
                continue;
            }
            let Some(envelope) = self.pool.get(place) else { continue };
            let longer = length + envelope.envelope().raw().len();
            if rlp::header_len(longer) + longer > most && !places.is_empty() {
                return (places, length, place);
            }
            length = longer;
            places.push(place);
        }
        (places, length, end)
    }

    /// Returns whether the peer wants the envelope in a place, and does not have it.
    fn is_for(&self, place: Place, key: ConnectionId, peer: &Peer) -> bool {
        !self.pool.is_marked(place, key.slot as usize)
            && self
                .pool
                .get(place)
                .is_some_and(|envelope| peer.wants(envelope.envelope().topic(), || envelope.pow()))
    }

    fn remember_batch(
        &mut self,
        key: ConnectionId,
        payload: &[u8],
        own: Vec<EnvelopeHash>,
    ) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        let most = self.config.limits.batches;
        if let Some(peer) = self.peers.get_mut(key) {
            while peer.batches.len() >= most.max(1) {
                peer.batches.pop_front();
            }
            let hash = batch_hash(payload);
            peer.batches.push_back(Batch { token, hash, own, written: false });
        }
        token
    }
}

//! Packets that arrive, code by code.
//!
//! A new packet code is added here and in `wire`, and nowhere else in the node.
//!
//! A packet that can't be decoded ends the connection; in `waku/1` it is skipped. An invalid
//! envelope never ends one. The
//! reference intends to disconnect peers whose envelopes are too large, too cheap or unwanted, but
//! never does so. We answer (code 12) with the rejected envelopes instead.
//!
//! Source: EIP-627 "Packet Codes"; Whisper specification of Status; Waku 0 and 1; the order of checks and the
//! wording of answers as in the reference.

use std::{net::IpAddr, time::Duration};

use statuskit_core::{
    devp2p::NodeId,
    envelope::{
        Bloom, Envelope, EnvelopeHash, Rules, Verdict,
        check::{future_diff, verdict},
        pow::leading_zero_bits,
    },
    rlp::Reader,
    wire::{
        Dialect, Packet, RateLimits, Status,
        packet::{EnvelopeError, ReadResponse, code, read_envelopes},
    },
};

use super::{
    ConnectionId, Event, Node, PeerError, Stats,
    clock::Time,
    hashing::{hashes, packet_hashes, pow_hashes},
    limit::Count,
    peer::Peer,
    pool::{Place, PooledEnvelope},
};

/// The most bytes of an answer; further errors are left out. Peers accept packets of 1 MiB, and only
/// as many bytes of envelopes cause this many errors.
const MAX_RESPONSE: usize = 512 << 10;
/// How long it is not reported again that the clock is wrong.
const SKEW_INTERVAL: Duration = Duration::from_secs(3600);
/// The most bytes of an error beside its text.
const RESPONSE_ENTRY: usize = 56;

/// Why an envelope is rejected.
pub(super) enum Rejection {
    Check(Verdict),
    LongLived { ttl: u32, max: u32 },
    PoolFull,
}

/// Where an envelope comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Own,
    Peer(ConnectionId),
    /// From another network, and who answers for it.
    Network(Option<(Option<IpAddr>, NodeId)>),
}

impl Source {
    pub fn peer(self) -> Option<ConnectionId> {
        match self {
            Self::Peer(peer) => Some(peer),
            _ => None,
        }
    }
}

impl Node {
    /// Handles a packet: its code, without the offset of the capability, and its uncompressed
    /// payload.
    ///
    /// Costs a pass over the packet, and one hash per envelope, or two for a new one.
    pub fn handle_packet(&mut self, peer: ConnectionId, code: u64, payload: &[u8], now: Time) {
        self.advance(now);
        if let Err(error) = self.receive(peer, code, payload, now) {
            self.disconnect(peer, error);
        }
    }

    fn receive(
        &mut self,
        key: ConnectionId,
        code: u64,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        self.stats.packets_in += 1;
        self.stats.bytes_in += payload.len() as u64;
        if let Some(limiter) = &mut self.limiter
            && peer.status.is_some()
            && !peer.info.whitelisted
        {
            let count = limiter.count(peer.info.ip, peer.info.id, now);
            self.stats.rate_excess += u64::from(count != Count::Within);
            if let Count::TooMany(excess) = count {
                return Err(PeerError::RateLimit { excess });
            }
        }
        let max = peer.info.max_packet_size.unwrap_or(0).max(self.config.max_message_size);
        if payload.len() > max as usize {
            return Err(PeerError::Oversized { size: payload.len(), max });
        }
        let (trusted, dialect) = (peer.trusted, peer.info.dialect);
        if peer.status.is_none() {
            return self.handle_status(key, code, payload, now);
        }
        let read = if code == code::MESSAGES {
            self.handle_messages(key, payload, now)
        } else if self.accepts(code, dialect, trusted) {
            Packet::decode_as(dialect, code, payload)
                .map(|packet| self.handle_decoded(key, packet, now))
                .map_err(|error| PeerError::Packet { code, error })
        } else {
            Ok(())
        };
        if read.is_err() && dialect == Dialect::Waku1 {
            self.stats.unreadable += 1;
            return Ok(());
        }
        read
    }

    /// Returns whether packets with this code are read. Ignored are a second Status, what only
    /// trusted peers may send, what only mailservers use, and codes that the dialect does not have.
    fn accepts(&self, code: u64, dialect: Dialect, trusted: bool) -> bool {
        let mailserver = self.config.mailserver;
        let is_waku = dialect.is_waku();
        match code {
            code::BATCH_ACK | code::MESSAGE_RESPONSE => true,
            code::POW_REQUIREMENT | code::BLOOM_FILTER | code::RATE_LIMITS => !is_waku,
            code::STATUS_UPDATE => is_waku,
            code::P2P_MESSAGE | code::P2P_REQUEST_COMPLETE => trusted,
            code::P2P_REQUEST => mailserver,
            code::P2P_SYNC_RESPONSE => trusted && mailserver && !is_waku,
            code::P2P_SYNC_REQUEST => mailserver && !is_waku,
            _ => false,
        }
    }

    /// Handles the first packet.
    fn handle_status(
        &mut self,
        key: ConnectionId,
        code: u64,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        if code != code::STATUS {
            return Err(PeerError::StatusExpected(code));
        }
        let Some(peer) = self.peers.get(key) else { return Ok(()) };
        let status = Status::decode_as(peer.info.dialect, payload)
            .map_err(|error| PeerError::Packet { code, error })?;
        if status.light && self.config.light && self.config.restrict_light_to_light {
            return Err(PeerError::LightToLight);
        }
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        peer.status = Some(status.clone());
        peer.cursor = self.pool.front();
        let ours_is_written = peer.outbox.is_empty();
        self.set_pace(key, &status.rate_limits);
        if ours_is_written && let Some(peer) = self.peers.get_mut(key) {
            // Our Status was written before the limits were known, and counts.
            peer.pace.count(now);
        }
        self.emit(Event::Ready { peer: key, status: Box::new(status) });
        if self.pool.len() == 0 {
            self.set_idle(key);
        } else {
            let wait = self.random_wait(self.config.send_window);
            self.flush_at(key, now + wait);
        }
        Ok(())
    }

    fn handle_decoded(&mut self, key: ConnectionId, packet: Packet, now: Time) {
        match packet {
            Packet::PowRequirement(min_pow) => {
                self.change(key, now, |status| status.min_pow = min_pow);
            }
            Packet::BloomFilter(bloom) => {
                self.change(key, now, |status| status.bloom = Some(bloom));
            }
            Packet::RateLimits(limits) => {
                self.set_pace(key, &limits);
                self.change(key, now, |status| status.rate_limits = limits);
            }
            Packet::StatusUpdate(options) => {
                if let Some(limits) = &options.rate_limits {
                    self.set_pace(key, limits);
                }
                self.change(key, now, |status| status.apply(options));
            }
            Packet::BatchAck(batch) => self.handle_answer(key, batch, None),
            Packet::MessageResponse(ReadResponse::V1(response)) => {
                self.handle_answer(key, response.batch, Some(response.errors));
            }
            Packet::MessageResponse(ReadResponse::Unreadable) => {
                self.handle_answer(key, [0; 32], Some(Vec::new()));
            }
            Packet::P2pMessage(envelopes) if !envelopes.is_empty() => {
                self.emit(Event::P2pMessages { peer: key, envelopes });
            }
            Packet::RequestComplete(answer) => {
                self.emit(Event::RequestComplete { peer: key, answer });
            }
            Packet::P2pRequest(request) => {
                self.emit(Event::Request { peer: key, request: Box::new(request) });
            }
            Packet::SyncRequest(request) => {
                self.emit(Event::SyncRequest { peer: key, request: Box::new(request) });
            }
            Packet::SyncResponse(response) => {
                self.emit(Event::SyncResponse { peer: key, response: Box::new(response) });
            }
            // Responses of future versions, and packets that are handled elsewhere.
            _ => {}
        }
    }

    /// Changes the requirements of a peer. If it then accepts more, searches the pool once for
    /// envelopes that it does not have; [`Rewinds`](super::rewinds) bounds how often. (The reference
    /// searches its pool all the time.)
    fn change(&mut self, key: ConnectionId, now: Time, change: impl FnOnce(&mut Status)) {
        let front = self.pool.front();
        let Some(Peer { status: Some(status), cursor, rewind_at, rewinds, .. }) =
            self.peers.get_mut(key)
        else {
            return;
        };
        let before = status.clone();
        change(status);
        let wants_more = status.is_wider_than(&before);
        let changed = (*status != before).then(|| Box::new(status.clone()));
        if wants_more && *cursor > front && rewind_at.is_none() {
            let at = rewinds.next(now);
            *rewind_at = Some(at);
            self.flush_at(key, at);
        }
        if let Some(status) = changed {
            self.emit(Event::Requirements { peer: key, status });
        }
    }

    fn set_pace(&mut self, key: ConnectionId, limits: &RateLimits) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.pace.change(limits);
            self.announce(key);
        }
    }

    fn handle_answer(
        &mut self,
        key: ConnectionId,
        batch: [u8; 32],
        errors: Option<Vec<EnvelopeError>>,
    ) {
        let envelopes = self.answered(key, batch);
        self.emit(Event::BatchAcknowledged { peer: key, batch, errors, envelopes });
    }

    fn handle_messages(
        &mut self,
        key: ConnectionId,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        let mut reader = Reader::new(payload);
        let envelopes = read_envelopes(&mut reader)
            .and_then(|envelopes| reader.finish().map(|()| envelopes))
            .map_err(|error| PeerError::Packet { code: code::MESSAGES, error: error.into() })?;

        let confirm = self.config.confirms();
        let dialect = self.peers.get(key).map_or(Dialect::Whisper, |peer| peer.info.dialect);
        let error_code = self.config.error_code(dialect);
        let (batch, hashes, pow_hashes) = if confirm {
            let (batch, hashes, pow_hashes) = packet_hashes(payload, &envelopes);
            (batch, hashes, Some(pow_hashes))
        } else {
            ([0; 32], hashes(&envelopes), None)
        };
        let places: Vec<Option<Place>> = hashes.iter().map(|hash| self.pool.find(hash)).collect();
        // Duplicates need no second hash, if it was not computed on the way.
        let pow_hashes = pow_hashes.unwrap_or_else(|| new_pow_hashes(&envelopes, &places));

        let rules = self.rules(now);
        let mut rejected = Rejected::default();
        let dropped = |stats: &Stats| stats.refused_late + stats.refused_early;
        let dropped_before = dropped(&self.stats);
        if let Some(peer) = self.peers.get_mut(key) {
            envelopes.iter().for_each(|envelope| peer.times.note(envelope, now));
        }
        let end = self.pool.end();
        let each = envelopes.into_iter().zip(hashes).zip(places).zip(pow_hashes);
        for (((envelope, hash), place), pow_hash) in each {
            let known = place.and_then(|place| self.pool.get(place));
            let zero_bits = match known {
                Some(known) => known.zero_bits(),
                None => leading_zero_bits(&pow_hash),
            };
            let diff = future_diff(envelope.sent(), rules.now);
            let entry = PooledEnvelope::new(envelope, hash, zero_bits, diff, false);
            if let Err((rejection, entry)) = self.cache(entry, place, Source::Peer(key), &rules)
                && confirm
                && let Some(text) = rejection.text(&entry, &rules)
            {
                rejected.push(hash, error_code, text);
            }
        }
        if self.pool.end() > end {
            self.wake(now);
        }
        if dropped(&self.stats) > dropped_before {
            self.report_skew(now);
        }
        if confirm {
            self.confirm(key, batch, rejected.errors);
        }
        Ok(())
    }

    /// Reports a wrong clock, once in a while.
    fn report_skew(&mut self, now: Time) {
        let is_early = now < self.skew_after && now + SKEW_INTERVAL >= self.skew_after;
        if let Some(offset) = self.clock_offset(now).filter(|it| it.is_skewed() && !is_early) {
            self.skew_after = now + SKEW_INTERVAL;
            self.emit(Event::ClockSkewed(offset));
        }
    }

    /// Checks an envelope and adds it to the pool. `place` is its place if it was found there.
    /// Returns whether it is new.
    pub(super) fn cache(
        &mut self,
        entry: PooledEnvelope,
        place: Option<Place>,
        source: Source,
        rules: &Rules,
    ) -> Result<bool, (Rejection, PooledEnvelope)> {
        let from = source.peer();
        if let (Some(place), Some(from)) = (place, from) {
            // The peer has the envelope, even if we would reject it now.
            let slot = from.slot as usize;
            let is_own = self.pool.get(place).is_some_and(|envelope| envelope.is_own());
            if is_own && !self.pool.is_marked(place, slot) {
                // We would have sent it. Now nothing will be written.
                self.emit(Event::Held { peer: from, envelope: entry.hash() });
            }
            self.pool.mark(place, slot);
        }
        let verdict = verdict(entry.envelope(), entry.pow(), rules);
        if verdict != Verdict::Accepted {
            self.stats.refused += 1;
            match verdict {
                Verdict::Expired | Verdict::VeryOld => self.stats.refused_late += 1,
                Verdict::FromFuture => self.stats.refused_early += 1,
                _ => {}
            }
            return Err((Rejection::Check(verdict), entry));
        }
        let (ttl, max) = (entry.envelope().ttl(), self.config.max_ttl);
        if ttl > max && max > 0 {
            self.stats.refused += 1;
            return Err((Rejection::LongLived { ttl, max }, entry));
        }
        // The packet may have it twice.
        let known = place.or_else(|| self.pool.find(&entry.hash()));
        let place = match known {
            Some(place) => {
                self.stats.duplicates += u64::from(from.is_some());
                place
            }
            None if !self.make_room(&entry, source) => {
                self.stats.pool_full += 1;
                return Err((Rejection::PoolFull, entry));
            }
            None => {
                self.stats.new += 1;
                self.last += 1;
                if let Some(peer) = from.and_then(|from| self.peers.get_mut(from)) {
                    peer.brought += 1;
                }
                let topic = entry.envelope().topic();
                let origin = self.origin(source);
                let place = self.pool.push(entry, origin);
                if self.config.interest.wants(topic)
                    && let Some(envelope) = self.pool.get(place).cloned()
                {
                    let (network, number) = (self.config.network, self.last);
                    self.deferred.reported = number;
                    self.emit(Event::Envelope { network, from, envelope, number });
                }
                // What has crossed from the other network is there.
                if !matches!(source, Source::Network(_)) {
                    self.offer(place, origin);
                }
                place
            }
        };
        if let Some(from) = from {
            self.pool.mark(place, from.slot as usize);
        }
        Ok(known.is_none())
    }
}

/// Hashes the proofs of work of the envelopes that have no place yet; zeros for the others.
fn new_pow_hashes(envelopes: &[Envelope], places: &[Option<Place>]) -> Vec<[u8; 32]> {
    let new = || places.iter().map(Option::is_none);
    let new_envelopes = envelopes.iter().zip(new()).filter_map(|(it, new)| new.then_some(it));
    let mut hashes = pow_hashes(new_envelopes).into_iter();
    new().map(|new| new.then(|| hashes.next()).flatten().unwrap_or_default()).collect()
}

impl Rejection {
    /// Returns the text of the answer, in the words of the reference; `None` for an envelope that has
    /// just expired.
    fn text(&self, entry: &PooledEnvelope, rules: &Rules) -> Option<String> {
        let hash = entry.hash();
        Some(match self {
            Self::PoolFull => "the pool of envelopes is full".to_owned(),
            Self::LongLived { ttl, max } => {
                format!("time to live of {ttl} s; at most {max} s are taken")
            }
            Self::Check(verdict) => match verdict {
                Verdict::FromFuture => "envelope from future".to_owned(),
                Verdict::VeryOld => "very old envelope".to_owned(),
                Verdict::Oversized => {
                    format!("huge messages are not allowed [{}]", hex::encode(hash.0))
                }
                Verdict::LowPow => {
                    format!("envelope with low PoW received: PoW={:.6}, hash=[{hash}]", entry.pow())
                }
                Verdict::NoBloomMatch => format!(
                    "envelope does not match bloom filter, hash=[{hash}], bloom: \n{} \n{} \n{}",
                    hex::encode(rules.bloom.unwrap_or(Bloom::FULL).0),
                    hex::encode(Bloom::from_topic(entry.envelope().topic()).0),
                    hex::encode(entry.envelope().topic().0),
                ),
                Verdict::NoTopicMatch => format!(
                    "envelope does not match topic interest, hash=[{hash}], bloom: \n{} \n{}",
                    hex::encode(Bloom::from_topic(entry.envelope().topic()).0),
                    hex::encode(entry.envelope().topic().0),
                ),
                Verdict::Accepted | Verdict::Expired => return None,
            },
        })
    }
}

/// The errors of an answer, as many as it may hold.
#[derive(Default)]
struct Rejected {
    errors: Vec<EnvelopeError>,
    bytes: usize,
}

impl Rejected {
    fn push(&mut self, hash: EnvelopeHash, code: u64, description: String) {
        self.bytes += RESPONSE_ENTRY + description.len();
        if self.bytes <= MAX_RESPONSE {
            self.errors.push(EnvelopeError { hash, code, description });
        }
    }
}

//! Packets that arrive, code by code.
//!
//! A packet that can't be read ends the connection; nothing that is wrong with an envelope does.
//! The reference means to part with peers that send envelopes too large, too cheap or unasked
//! for, but never does; and neither do we: the answer (code 12) says what was not taken.
//!
//! Source: EIP-627 "Packet Codes"; Whisper specification of Status; order of checks and wording
//! of the answers as in the reference.

use statuskit_core::{
    envelope::{
        Bloom, Envelope, EnvelopeHash, Rules, Verdict,
        check::{future_diff, verdict},
        pow::leading_zero_bits,
    },
    rlp::Reader,
    wire::{
        Packet, RateLimits, Status,
        packet::{EnvelopeError, ReadResponse, code, read_envelopes},
    },
};

use super::{
    ConnectionId, Event, Node, PeerError,
    core::Time,
    hashing::{hashes, packet_hashes, pow_hashes},
    limit::Count,
    peer::Peer,
    pool::{Place, PooledEnvelope},
};

/// How long the answer to one packet may get, in bytes: later errors are left out. Peers take
/// packets of 1 MiB, and so many errors need as many bytes of envelopes.
const MAX_RESPONSE: usize = 512 << 10;
/// What an entry takes beside its text, at most.
const RESPONSE_ENTRY: usize = 56;
/// A peer that changes its requirements over and over has the pool looked through no more often.
const REWIND_INTERVAL: Time = Time::from_millis(300);

/// Why an envelope is not taken.
pub(super) enum Refusal {
    Check(Verdict),
    PoolFull,
}

impl Node {
    /// Takes in a packet: its code (without the offset of the capability) and its uncompressed
    /// payload.
    ///
    /// Costs a pass over the packet, and per envelope one hash, or two if it is new.
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
        let trusted = peer.trusted;
        let mailserver = self.config.mailserver;
        if peer.status.is_none() {
            return self.meet(key, code, payload, now);
        }
        match code {
            code::MESSAGES => self.take_envelopes(key, payload, now),
            code::POW_REQUIREMENT
            | code::BLOOM_FILTER
            | code::BATCH_ACK
            | code::MESSAGE_RESPONSE
            | code::RATE_LIMITS => self.take(key, code, payload, now),
            code::P2P_MESSAGE | code::P2P_REQUEST_COMPLETE if trusted => {
                self.take(key, code, payload, now)
            }
            code::P2P_SYNC_RESPONSE if trusted && mailserver => self.take(key, code, payload, now),
            code::P2P_REQUEST | code::P2P_SYNC_REQUEST if mailserver => {
                self.take(key, code, payload, now)
            }
            // A second Status, what only trusted peers may send, and what nobody knows.
            _ => Ok(()),
        }
    }

    /// The first packet.
    fn meet(
        &mut self,
        key: ConnectionId,
        code: u64,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        if code != code::STATUS {
            return Err(PeerError::StatusExpected(code));
        }
        let status = Status::decode(payload).map_err(|error| PeerError::Packet { code, error })?;
        if status.light && self.config.light && self.config.restrict_light_to_light {
            return Err(PeerError::LightToLight);
        }
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        peer.status = Some(status.clone());
        peer.cursor = self.pool.front();
        let is_told = peer.outbox.is_empty();
        self.set_pace(key, &status.rate_limits);
        if is_told && let Some(peer) = self.peers.get_mut(key) {
            // Our Status was written before the limits were known, and counts.
            peer.pace.count(now);
        }
        self.emit(Event::Ready { peer: key, status: Box::new(status) });
        if self.pool.len() == 0 {
            self.rest(key);
        } else {
            let wait = self.random_wait(self.config.send_window);
            self.flush_at(key, now + wait);
        }
        Ok(())
    }

    fn take(
        &mut self,
        key: ConnectionId,
        code: u64,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        let packet =
            Packet::decode(code, payload).map_err(|error| PeerError::Packet { code, error })?;
        let event = match packet {
            Packet::PowRequirement(min_pow) => {
                self.change(key, now, |status| {
                    let wants_more = min_pow < status.min_pow;
                    status.min_pow = min_pow;
                    wants_more
                });
                return Ok(());
            }
            Packet::BloomFilter(bloom) => {
                self.change(key, now, |status| {
                    let before = status.bloom.unwrap_or(Bloom::FULL);
                    status.bloom = Some(bloom);
                    !before.contains(&bloom)
                });
                return Ok(());
            }
            Packet::RateLimits(limits) => {
                self.set_pace(key, &limits);
                self.change(key, now, |status| {
                    status.rate_limits = limits;
                    false
                });
                return Ok(());
            }
            Packet::BatchAck(batch) => self.acknowledged(key, batch, None),
            Packet::MessageResponse(ReadResponse::V1(response)) => {
                self.acknowledged(key, response.batch, Some(response.errors))
            }
            Packet::MessageResponse(ReadResponse::Unreadable) => {
                self.acknowledged(key, [0; 32], Some(Vec::new()))
            }
            Packet::P2pMessage(envelopes) if envelopes.is_empty() => return Ok(()),
            Packet::P2pMessage(envelopes) => Event::P2pMessages { peer: key, envelopes },
            Packet::RequestComplete(answer) => Event::RequestComplete { peer: key, answer },
            Packet::P2pRequest(request) => Event::Request { peer: key, request: Box::new(request) },
            Packet::SyncRequest(request) => {
                Event::SyncRequest { peer: key, request: Box::new(request) }
            }
            Packet::SyncResponse(response) => {
                Event::SyncResponse { peer: key, response: Box::new(response) }
            }
            // A Message Response of a version to come, and what does not get here.
            _ => return Ok(()),
        };
        self.emit(event);
        Ok(())
    }

    /// Changes what a peer asks for. If it then `wants_more`, the pool is gone through once again
    /// for envelopes that it does not have: the reference looks through its pool all the time.
    fn change(&mut self, key: ConnectionId, now: Time, change: impl FnOnce(&mut Status) -> bool) {
        let front = self.pool.front();
        let Some(Peer { status: Some(status), cursor, rewind_at, rewound_at, .. }) =
            self.peers.get_mut(key)
        else {
            return;
        };
        let before = status.clone();
        let wants_more = change(status);
        let changed = (*status != before).then(|| Box::new(status.clone()));
        if wants_more && *cursor > front && rewind_at.is_none() {
            let at = rewound_at.map_or(now, |last| now.max(last + REWIND_INTERVAL));
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

    fn acknowledged(
        &mut self,
        key: ConnectionId,
        batch: [u8; 32],
        errors: Option<Vec<EnvelopeError>>,
    ) -> Event {
        let answered = self.answered(key, batch);
        Event::BatchAcknowledged { peer: key, batch, errors, envelopes: answered }
    }

    /// A Messages packet.
    fn take_envelopes(
        &mut self,
        key: ConnectionId,
        payload: &[u8],
        now: Time,
    ) -> Result<(), PeerError> {
        let mut reader = Reader::new(payload);
        let envelopes = read_envelopes(&mut reader)
            .and_then(|envelopes| reader.finish().map(|()| envelopes))
            .map_err(|error| PeerError::Packet { code: code::MESSAGES, error: error.into() })?;

        let confirm = self.config.confirmations;
        let (batch, hashes, pow_hashes) = if confirm {
            let (batch, hashes, pow_hashes) = packet_hashes(payload, &envelopes);
            (batch, hashes, Some(pow_hashes))
        } else {
            ([0; 32], hashes(&envelopes), None)
        };
        let places: Vec<Option<Place>> = hashes.iter().map(|hash| self.pool.find(hash)).collect();
        // Duplicates need no second hash, unless they have it.
        let pow_hashes = pow_hashes.unwrap_or_else(|| new_pow_hashes(&envelopes, &places));

        let rules = self.rules(now);
        let mut refused = Refused::default();
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
            if let Err((refusal, entry)) = self.cache(entry, place, Some(key), &rules)
                && confirm
                && let Some(text) = refusal.text(&entry, &rules)
            {
                refused.push(hash, self.config.error_code, text);
            }
        }
        if self.pool.end() > end {
            self.wake(now);
        }
        if confirm {
            self.answer(key, batch, refused.errors);
        }
        Ok(())
    }

    /// Checks an envelope and keeps it; `place` is where it was found in the pool, if it was.
    /// Gives whether it is new.
    pub(super) fn cache(
        &mut self,
        entry: PooledEnvelope,
        place: Option<Place>,
        from: Option<ConnectionId>,
        rules: &Rules,
    ) -> Result<bool, (Refusal, PooledEnvelope)> {
        if let (Some(place), Some(from)) = (place, from) {
            // It has the envelope, whatever we would think of it today.
            let slot = from.slot as usize;
            let is_own = self.pool.get(place).is_some_and(|envelope| envelope.is_own());
            if is_own && !self.pool.is_marked(place, slot) {
                // It would have got it from us: now nothing will be written.
                self.emit(Event::Held { peer: from, envelope: entry.hash() });
            }
            self.pool.mark(place, slot);
        }
        let verdict = verdict(entry.envelope(), entry.pow(), rules);
        if verdict != Verdict::Accepted {
            self.stats.refused += 1;
            return Err((Refusal::Check(verdict), entry));
        }
        // The packet may have it twice.
        let known = place.or_else(|| self.pool.find(&entry.hash()));
        let place = match known {
            Some(place) => {
                self.stats.duplicates += u64::from(from.is_some());
                place
            }
            None if !self.has_room(entry.envelope()) => {
                self.stats.pool_full += 1;
                return Err((Refusal::PoolFull, entry));
            }
            None => {
                self.stats.new += 1;
                let topic = entry.envelope().topic();
                let place = self.pool.push(entry);
                if self.config.interest.wants(topic)
                    && let Some(envelope) = self.pool.get(place).cloned()
                {
                    self.emit(Event::Envelope { from, envelope });
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

/// The hashes of the proofs of work of those envelopes that have no place yet; zeros for others.
fn new_pow_hashes(envelopes: &[Envelope], places: &[Option<Place>]) -> Vec<[u8; 32]> {
    let new = || places.iter().map(Option::is_none);
    let new_envelopes = envelopes.iter().zip(new()).filter_map(|(it, new)| new.then_some(it));
    let mut hashes = pow_hashes(new_envelopes).into_iter();
    new().map(|new| new.then(|| hashes.next()).flatten().unwrap_or_default()).collect()
}

impl Refusal {
    /// What the peer is told, in the words of the reference; nothing about recent expiry.
    fn text(&self, entry: &PooledEnvelope, rules: &Rules) -> Option<String> {
        let hash = entry.hash();
        Some(match self {
            Self::PoolFull => "the pool of envelopes is full".to_owned(),
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
                Verdict::Accepted | Verdict::Expired => return None,
            },
        })
    }
}

/// The errors of an answer, as many as a packet may hold.
#[derive(Default)]
struct Refused {
    errors: Vec<EnvelopeError>,
    bytes: usize,
}

impl Refused {
    fn push(&mut self, hash: EnvelopeHash, code: u64, description: String) {
        self.bytes += RESPONSE_ENTRY + description.len();
        if self.bytes <= MAX_RESPONSE {
            self.errors.push(EnvelopeError { hash, code, description });
        }
    }
}

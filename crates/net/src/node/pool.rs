//! The pool: all envelopes that have not expired, each once, in the order of arrival.
//!
//! - The **log** holds the envelopes in the order of arrival. Each peer has a cursor into it, so
//!   that work follows new envelopes, never the size of the pool.
//! - **Marks** say which peer has which envelope: one bit each, in planes of 64 peers beside the
//!   log.
//! - The **index** finds an envelope by its hash; it holds places in the log, not hashes.
//! - **Expiry** goes by buckets of one second.
//! - **Holders** share the room: see `holders`. Where there is none left, the cheapest envelope goes
//!   of the peer that holds most, if it was forwarded and is no longer in use.
//!
//! An envelope of 402 bytes needs about 560 bytes in all of this, with up to 64 peers;
//! `benches/node.rs` measures it.
//!
//! Places in the log are numbers that only grow. An expired envelope leaves a hole. When most
//! places are holes, the log is rewritten, in one pass for at least as many expired envelopes.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use hashbrown::HashTable;
use statuskit_core::{
    devp2p::NodeId,
    envelope::{Envelope, EnvelopeHash, pow},
    time::UnixSeconds,
};

use super::{
    clock::Time,
    holders::{Held, Holder, Holders, Limits, NOBODY},
    source::source,
};

/// The most envelopes that are looked at to make room for one.
const MAX_EVICTIONS: usize = 4096;
/// The most of one peer that go at once, so that the largest is not looked for each time.
const EVICT_AT_ONCE: usize = 64;

/// An envelope, with what was computed when it arrived.
#[derive(Debug, PartialEq)]
pub struct PooledEnvelope {
    envelope: Envelope,
    hash: EnvelopeHash,
    zero_bits: u16,
    future_diff: u8,
    own: bool,
    holder: Holder,
}

impl PooledEnvelope {
    /// `zero_bits` are those of the proof-of-work hash. `future_diff` are the seconds that
    /// [`future_diff`](statuskit_core::envelope::check::future_diff) returned on arrival (at most
    /// 11).
    pub(super) fn new(
        envelope: Envelope,
        hash: EnvelopeHash,
        zero_bits: u32,
        future_diff: u32,
        own: bool,
    ) -> Self {
        let (zero_bits, future_diff) = (zero_bits as u16, future_diff as u8);
        Self { envelope, hash, zero_bits, future_diff, own, holder: NOBODY }
    }

    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns its hash.
    pub fn hash(&self) -> EnvelopeHash {
        self.hash
    }

    /// Returns its proof of work on arrival.
    pub fn pow(&self) -> f64 {
        let ttl = self.envelope.ttl().wrapping_add(self.future_diff.into());
        pow::pow_value(self.zero_bits.into(), self.envelope.rlp4_len(), ttl)
    }

    /// Returns the leading zero bits of its proof-of-work hash.
    pub(super) fn zero_bits(&self) -> u32 {
        self.zero_bits.into()
    }

    /// Returns whether it is our own.
    pub fn is_own(&self) -> bool {
        self.own
    }
}

/// The place of an envelope in the log.
pub(super) type Place = u64;

#[derive(Debug)]
pub(super) struct Pool {
    log: VecDeque<Option<Arc<PooledEnvelope>>>,
    /// The place of the front of the log.
    front: Place,
    /// Bit `s % 64` of `marks[s / 64][i]`: the peer in slot `s` has `log[i]`.
    marks: Vec<VecDeque<u64>>,
    /// The low halves of places: the log is shorter than 2^32.
    index: HashTable<u32>,
    seeds: [u64; 2],
    /// Low halves of places, by expiry.
    by_expiry: BTreeMap<UnixSeconds, Vec<u32>>,
    /// How many of these places were evicted.
    evicted: usize,
    holders: Holders,
    bytes: usize,
}

impl Pool {
    /// Creates an empty pool. `seeds` keep strangers from choosing hashes that collide.
    pub fn new(seeds: [u64; 2]) -> Self {
        Self {
            log: VecDeque::new(),
            front: 0,
            marks: Vec::new(),
            index: HashTable::new(),
            seeds,
            by_expiry: BTreeMap::new(),
            evicted: 0,
            holders: Holders::new(seeds),
            bytes: 0,
        }
    }

    /// Returns the number of envelopes.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns the bytes of their RLP.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the first place that may hold an envelope.
    pub fn front(&self) -> Place {
        self.front
    }

    /// Returns the place of the next envelope.
    pub fn end(&self) -> Place {
        self.front + self.log.len() as u64
    }

    /// Returns the envelope in a place, unless it has expired.
    pub fn get(&self, place: Place) -> Option<&Arc<PooledEnvelope>> {
        let at = usize::try_from(place.checked_sub(self.front)?).ok()?;
        self.log.get(at)?.as_ref()
    }

    /// Returns the place of an envelope.
    pub fn find(&self, hash: &EnvelopeHash) -> Option<Place> {
        let low = self.index.find(key(self.seeds, hash), |&low| {
            self.get(self.widen(low)).is_some_and(|it| it.hash == *hash)
        })?;
        Some(self.widen(*low))
    }

    /// Returns whether half of the pool is free, also with this envelope: then no address exceeds its share.
    pub fn is_half_empty(&self, envelope: &PooledEnvelope, limits: Limits) -> bool {
        let bytes = self.bytes + envelope.envelope.raw().len();
        2 * (self.len() + 1) <= limits.envelopes && 2 * bytes <= limits.bytes
    }

    /// Makes room for an envelope, if need be, that a peer brought, or the node itself. Only what
    /// `may_go` goes, and what nobody else works on. Returns how many went; none if there is no
    /// room.
    pub fn make_room(
        &mut self,
        from: Option<(Option<IpAddr>, NodeId)>,
        envelope: &PooledEnvelope,
        limits: Limits,
        may_go: impl Fn(Place) -> bool,
    ) -> Option<usize> {
        let holder = self.holder(from);
        let evicted = self.evict_for(holder, envelope, limits, may_go);
        self.holders.release(holder);
        if evicted.is_some_and(|count| count > 0) {
            self.trim_front();
        }
        evicted
    }

    /// Appends an envelope that [`find`](Self::find) does not find, and that a peer brought, or the
    /// node itself.
    pub fn push(
        &mut self,
        mut envelope: PooledEnvelope,
        from: Option<(Option<IpAddr>, NodeId)>,
    ) -> Place {
        envelope.holder = self.holder(from);
        let place = self.end();
        let (low, hash) = (place as u32, key(self.seeds, &envelope.hash));
        let (log, front) = (&self.log, self.front);
        let (worth, length) = (envelope.pow(), envelope.envelope.raw().len());
        self.holders.add(envelope.holder, worth, low, length, |low| is_alive(log, front, low));
        self.bytes += envelope.envelope.raw().len();
        self.by_expiry.entry(envelope.envelope.expiry()).or_default().push(low);
        self.log.push_back(Some(Arc::new(envelope)));
        self.marks.iter_mut().for_each(|plane| plane.push_back(0));

        let (log, front, seeds) = (&self.log, self.front, self.seeds);
        self.index.insert_unique(hash, low, |&low| rehash(log, front, seeds, low));
        place
    }

    /// Notes that the peer in `slot` has the envelope in `place`.
    pub fn mark(&mut self, place: Place, slot: usize) {
        while self.marks.len() <= slot / 64 {
            self.marks.push(std::iter::repeat_n(0, self.log.len()).collect());
        }
        let at = place.wrapping_sub(self.front) as usize;
        if let Some(bits) = self.marks[slot / 64].get_mut(at) {
            *bits |= 1 << (slot % 64);
        }
    }

    /// Returns whether the peer in `slot` has the envelope in `place`.
    pub fn is_marked(&self, place: Place, slot: usize) -> bool {
        let at = place.wrapping_sub(self.front) as usize;
        let bits = self.marks.get(slot / 64).and_then(|plane| plane.get(at));
        bits.is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }

    /// Clears the marks of the peer in `slot`. Costs a pass over 8 bytes per envelope.
    pub fn clear_marks(&mut self, slot: usize) {
        if let Some(plane) = self.marks.get_mut(slot / 64) {
            plane.iter_mut().for_each(|bits| *bits &= !(1 << (slot % 64)));
        }
    }

    /// Returns when the next envelope expires: at the end of its last second.
    pub fn next_expiry(&self) -> Option<Time> {
        let second = Duration::from_secs(1);
        self.by_expiry.first_key_value().map(|(expiry, _)| expiry.since_epoch() + second)
    }

    /// Removes the envelopes with `expiry < now`. Returns their number.
    pub fn expire(&mut self, now: Time) -> usize {
        let before = self.index.len();
        while self.next_expiry().is_some_and(|at| at <= now) {
            let Some((_, places)) = self.by_expiry.pop_first() else { break };
            for low in places {
                if !self.remove(low) {
                    self.evicted = self.evicted.saturating_sub(1);
                }
            }
        }
        self.trim_front();
        let gone = before - self.index.len();
        if gone > 0 {
            self.shrink();
        }
        gone
    }

    /// Returns whether most of the log is holes, so that it should be [rewritten](Self::compact).
    pub fn is_sparse(&self) -> bool {
        self.log.len() > 2 * self.index.len() + 1024 || self.evicted > self.index.len() + 1024
    }

    /// Whether an envelope was in this place.
    fn remove(&mut self, low: u32) -> bool {
        let at = low.wrapping_sub(self.front as u32) as usize;
        let Some(envelope) = self.log.get_mut(at).and_then(Option::take) else { return false };
        let length = envelope.envelope.raw().len();
        self.bytes -= length;
        self.holders.remove(envelope.holder, length);
        let hash = key(self.seeds, &envelope.hash);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == low) {
            entry.remove();
        }
        true
    }

    fn trim_front(&mut self) {
        while let Some(None) = self.log.front() {
            self.log.pop_front();
            for plane in &mut self.marks {
                plane.pop_front();
            }
            self.front += 1;
        }
    }

    fn holder(&mut self, from: Option<(Option<IpAddr>, NodeId)>) -> Holder {
        from.map_or(NOBODY, |(ip, id)| self.holders.enter(ip.map(source), &id.0))
    }

    fn evict_for(
        &mut self,
        holder: Holder,
        envelope: &PooledEnvelope,
        limits: Limits,
        may_go: impl Fn(Place) -> bool,
    ) -> Option<usize> {
        let length = envelope.envelope.raw().len();
        // No eviction makes room for this.
        if limits.envelopes == 0 || length > limits.bytes {
            return None;
        }
        let at_once = (limits.envelopes / 1024).clamp(1, EVICT_AT_ONCE);
        let (mut looked_at, mut evicted, mut freed) = (0, 0, 0);
        loop {
            let in_all = Held { envelopes: self.len(), bytes: self.bytes };
            let Some(victim) = self.holders.victim(holder, length, limits, in_all) else {
                return Some(evicted);
            };
            // Its address has more than its share, and has paid for this one.
            if !victim.is_full && evicted > 0 && freed >= length {
                return Some(evicted);
            }
            let worth = victim.is_self.then(|| envelope.pow());
            let shares_cost = victim.is_full && !victim.is_self;
            let at_once = if shares_cost { at_once } else { 1 };
            let (mut gone, mut kept) = (0, Vec::new());
            while gone < at_once
                && looked_at < MAX_EVICTIONS
                && let Some(entry) = self.holders.pop_below(victim.holder, worth)
            {
                looked_at += 1;
                let place = self.widen(entry as u32);
                // Others are gone already.
                let Some(found) = self.get(place) else { continue };
                if may_go(place) && Arc::strong_count(found) == 1 {
                    freed += found.envelope.raw().len();
                    self.remove(entry as u32);
                    gone += 1;
                } else {
                    kept.push(entry);
                }
            }
            for entry in kept {
                self.holders.put_back(victim.holder, entry);
            }
            self.evicted += gone;
            evicted += gone;
            if gone == 0 {
                return None;
            }
        }
    }

    /// Rewrites the log without holes, and moves the cursors.
    pub fn compact<'a>(&mut self, cursors: impl Iterator<Item = &'a mut Place>) {
        let mut living = 0u64;
        // The number of envelopes before each place.
        let ranks: Vec<u64> = self
            .log
            .iter()
            .map(|slot| {
                living += u64::from(slot.is_some());
                living - u64::from(slot.is_some())
            })
            .collect();
        let (old_front, old_len) = (self.front, self.log.len());
        // New places begin where the old ones end, so that none means two things.
        self.front += old_len as u64;
        let moved = |at: usize| self.front + ranks.get(at).copied().unwrap_or(living);
        for cursor in cursors {
            *cursor = moved(cursor.saturating_sub(old_front) as usize);
        }
        let log = &self.log;
        let new_low = |low: u32| {
            let alive = is_alive(log, old_front, low);
            alive.then(|| moved(low.wrapping_sub(old_front as u32) as usize) as u32)
        };
        self.by_expiry.retain(|_, places| {
            // What was evicted is forgotten.
            *places = places.iter().filter_map(|low| new_low(*low)).collect();
            !places.is_empty()
        });
        self.evicted = 0;
        self.holders.relocate(new_low);
        for plane in &mut self.marks {
            let mut slots = self.log.iter();
            plane.retain(|_| slots.next().is_some_and(Option::is_some));
        }
        self.log.retain(Option::is_some);
        self.index.clear();
        let (log, front, seeds) = (&self.log, self.front, self.seeds);
        for (at, envelope) in log.iter().enumerate() {
            let Some(envelope) = envelope else { continue };
            let hash = key(seeds, &envelope.hash);
            let low = (front + at as u64) as u32;
            self.index.insert_unique(hash, low, |&low| rehash(log, front, seeds, low));
        }
    }

    /// Frees memory after a flood.
    fn shrink(&mut self) {
        if self.log.capacity() > 4 * self.log.len() + 1024 {
            self.log.shrink_to(2 * self.log.len());
            self.marks.iter_mut().for_each(|plane| plane.shrink_to(2 * plane.len()));
            let (log, front, seeds) = (&self.log, self.front, self.seeds);
            self.index.shrink_to(2 * self.index.len(), |&low| rehash(log, front, seeds, low));
        }
        let (log, front) = (&self.log, self.front);
        self.holders.shrink(|low| is_alive(log, front, low));
    }

    /// Returns the place with this low half.
    fn widen(&self, low: u32) -> Place {
        self.front + u64::from(low.wrapping_sub(self.front as u32))
    }
}

fn is_alive(log: &VecDeque<Option<Arc<PooledEnvelope>>>, front: Place, low: u32) -> bool {
    log.get(low.wrapping_sub(front as u32) as usize).is_some_and(Option::is_some)
}

fn rehash(
    log: &VecDeque<Option<Arc<PooledEnvelope>>>,
    front: Place,
    seeds: [u64; 2],
    low: u32,
) -> u64 {
    let slot = log.get(low.wrapping_sub(front as u32) as usize);
    slot.and_then(Option::as_ref).map_or(0, |envelope| key(seeds, &envelope.hash))
}

/// Folds sixteen bytes of an envelope's hash with secret seeds: senders can choose hashes.
fn key(seeds: [u64; 2], EnvelopeHash(hash): &EnvelopeHash) -> u64 {
    let [a, b] = [0, 8].map(|at| {
        hash.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    });
    let product = u128::from(a ^ seeds[0]) * u128::from(b ^ seeds[1]);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use statuskit_core::envelope::Topic;

    fn envelope(expiry: u32, nonce: u64) -> PooledEnvelope {
        let envelope = Envelope::new(UnixSeconds(expiry), 10, Topic([1; 4]), &[7; 40], nonce);
        let hash = envelope.hash();
        PooledEnvelope::new(envelope, hash, 0, 0, false)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Against a plain list of `(envelope, who has it)`.
        #[test]
        fn pushes_marks_and_expiries_in_any_order(
            steps in prop::collection::vec((0u32..40, 0usize..130, any::<bool>()), 1..1500),
        ) {
            let mut pool = Pool::new([3, 5]);
            let mut model: Vec<(Place, EnvelopeHash, u32, Vec<usize>)> = Vec::new();
            let mut cursor;
            let mut now = 100;
            for (nonce, (life, slot, mark)) in steps.into_iter().enumerate() {
                let new = envelope(now + life * life, nonce as u64);
                let (hash, expiry) = (new.hash(), new.envelope().expiry());
                prop_assert_eq!(pool.find(&hash), None);
                let place = pool.push(new, Some((None, NodeId([slot as u8 % 3; 32]))));
                prop_assert_eq!(pool.find(&hash), Some(place));
                if mark {
                    pool.mark(place, slot);
                }
                model.push((place, hash, expiry.0, if mark { vec![slot] } else { vec![] }));
                if life % 4 == 0 {
                    now += 7;
                    cursor = model.get(model.len() / 2).map_or(0, |it| it.0);
                    let middle = model.get(model.len() / 2).map(|it| it.1);
                    pool.expire(Duration::from_secs(now.into()));
                    if pool.is_sparse() || life == 8 {
                        pool.compact(std::iter::once(&mut cursor));
                    }
                    model.retain(|it| it.2 >= now);
                    for it in &mut model {
                        it.0 = pool.find(&it.1).unwrap();
                    }
                    if let Some(alive) = model.iter().find(|it| Some(it.1) == middle) {
                        prop_assert_eq!(alive.0, cursor);
                    }
                }
            }
            prop_assert_eq!(pool.len(), model.len());
            prop_assert!(model.windows(2).all(|pair| pair[0].0 < pair[1].0), "order is kept");
            for (place, hash, _, slots) in &model {
                prop_assert_eq!(pool.get(*place).unwrap().hash(), *hash);
                for slot in 0..130 {
                    prop_assert_eq!(pool.is_marked(*place, slot), slots.contains(&slot));
                }
            }
            pool.clear_marks(7);
            prop_assert!(model.iter().all(|it| !pool.is_marked(it.0, 7)));
            pool.expire(Duration::from_secs(u64::from(u32::MAX) + 1));
            prop_assert_eq!((pool.len(), pool.bytes(), pool.front()), (0, 0, pool.end()));
        }
    }
}

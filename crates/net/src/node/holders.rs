//! Who holds how much of the pool, and what goes first when there is no room.
//!
//! A holder is a peer that brought envelopes. Holders belong to an address, so that many node ids
//! at one address count as one. Each address has few holders, and its node ids are spread over
//! them: ids cost nothing, and must not cost us memory.
//!
//! Each holder keeps its envelopes ordered by work per byte and second, the cheapest first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
};

/// The most holders of one address.
const PER_ADDRESS: u64 = 16;
/// The unit of [`Holders::usage`]: this much is the whole pool.
const WHOLE: u64 = 1 << 20;
/// The part of the pool that one address may hold once half of it is taken.
const SHARE: u64 = WHOLE / 8;
/// Entries of a holder that may be out of date, beside as many as it has envelopes.
const SPARE: usize = 64;

/// Names a holder; `NOBODY` is the node itself, whose envelopes are never evicted.
pub(super) type Holder = u32;
/// The node itself.
pub(super) const NOBODY: Holder = Holder::MAX;

/// The limits of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub envelopes: usize,
    pub bytes: usize,
}

/// The share of a holder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub envelopes: usize,
    pub bytes: usize,
}

/// Whose envelopes are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub holder: Holder,
    /// It is the one that brings the new envelope: only what is worth less may go.
    pub is_self: bool,
    /// There is no room. Otherwise there is, but not for this address.
    pub is_full: bool,
}

#[derive(Debug)]
pub(super) struct Holders {
    seeds: [u64; 2],
    /// Slots of holders that hold nothing are used again.
    holders: Vec<Account>,
    free: Vec<Holder>,
    addresses: HashMap<Option<IpAddr>, Address>,
}

/// What one address holds.
#[derive(Debug, Default)]
struct Address {
    held: Held,
    /// Its holders, by number within the address.
    holders: Vec<(u8, Holder)>,
}

#[derive(Debug)]
struct Account {
    address: Option<IpAddr>,
    held: Held,
    /// `worth << 32 | low half of the place`. What expired stays in it until it comes first, or
    /// too much of it is out of date.
    cheapest: BinaryHeap<Reverse<u64>>,
}

impl Holders {
    pub fn new(seeds: [u64; 2]) -> Self {
        Self { seeds, holders: Vec::new(), free: Vec::new(), addresses: HashMap::new() }
    }

    /// The holder for a node id at an address. It need not hold anything; it must be given
    /// something, or be [released](Self::release), before the next call.
    pub fn enter(&mut self, address: Option<IpAddr>, id: &[u8; 32]) -> Holder {
        let number = (mix(self.seeds, id) % PER_ADDRESS) as u8;
        let of_address = self.addresses.entry(address).or_default();
        if let Some((_, holder)) = of_address.holders.iter().find(|(other, _)| *other == number) {
            return *holder;
        }
        let account = Account { address, held: Held::default(), cheapest: BinaryHeap::new() };
        let holder = match self.free.pop() {
            Some(free) => {
                self.holders[free as usize] = account;
                free
            }
            None => {
                self.holders.push(account);
                (self.holders.len() - 1) as Holder
            }
        };
        of_address.holders.push((number, holder));
        holder
    }

    /// Forgets a holder that holds nothing.
    pub fn release(&mut self, holder: Holder) {
        let Some(account) = self.holders.get_mut(holder as usize) else { return };
        if account.held.envelopes > 0 {
            return;
        }
        account.cheapest = BinaryHeap::new();
        let address = account.address;
        if let Some(of_address) = self.addresses.get_mut(&address) {
            let before = of_address.holders.len();
            of_address.holders.retain(|(_, other)| *other != holder);
            if of_address.holders.len() < before {
                self.free.push(holder);
            }
            if of_address.holders.is_empty() {
                self.addresses.remove(&address);
            }
        }
    }

    /// Notes an envelope of a holder; `is_alive` tells which places of it still hold one.
    pub fn add(
        &mut self,
        holder: Holder,
        worth: f64,
        low: u32,
        bytes: usize,
        is_alive: impl Fn(u32) -> bool,
    ) {
        let Some(account) = self.holders.get_mut(holder as usize) else { return };
        account.held.add(bytes);
        if let Some(address) = self.addresses.get_mut(&account.address) {
            address.held.add(bytes);
        }
        if account.cheapest.len() > 2 * account.held.envelopes + SPARE {
            account.cheapest.retain(|Reverse(entry)| is_alive(*entry as u32));
        }
        if account.cheapest.len() == account.cheapest.capacity() {
            // Grows by a quarter: the pool's memory is mostly this regular.
            account.cheapest.reserve_exact(account.cheapest.len() / 4 + 4);
        }
        account.cheapest.push(Reverse(order(worth) | u64::from(low)));
    }

    /// Notes that an envelope of a holder is gone.
    pub fn remove(&mut self, holder: Holder, bytes: usize) {
        let Some(account) = self.holders.get_mut(holder as usize) else { return };
        account.held.remove(bytes);
        if let Some(address) = self.addresses.get_mut(&account.address) {
            address.held.remove(bytes);
        }
        if account.held.envelopes == 0 {
            self.release(holder);
        }
    }

    /// Gives back memory for what is gone.
    pub fn shrink(&mut self, is_alive: impl Fn(u32) -> bool) {
        for account in &mut self.holders {
            if account.cheapest.len() > 2 * account.held.envelopes + SPARE {
                account.cheapest.retain(|Reverse(entry)| is_alive(*entry as u32));
                account.cheapest.shrink_to_fit();
            }
        }
    }

    /// Renames the places of the living; `moved` gives none for others.
    pub fn relocate(&mut self, moved: impl Fn(u32) -> Option<u32>) {
        for account in &mut self.holders {
            let entries = std::mem::take(&mut account.cheapest).into_vec();
            let living = entries.into_iter().filter_map(|Reverse(entry)| {
                Some(Reverse(entry & !u64::from(u32::MAX) | u64::from(moved(entry as u32)?)))
            });
            let mut living: Vec<_> = living.collect();
            living.shrink_to_fit();
            account.cheapest = living.into();
        }
    }

    /// Whose envelopes are to go for one of `holder`: if the pool is full, or if half of it is taken
    /// and the holder's address has its share, beside others. None if it fits.
    pub fn victim(
        &self,
        holder: Holder,
        bytes: usize,
        limits: Limits,
        in_all: Held,
    ) -> Option<Victim> {
        let is_full = in_all.envelopes >= limits.envelopes || in_all.bytes + bytes > limits.bytes;
        let mut more = in_all;
        more.add(bytes);
        let own = self.holders.get(holder as usize).map(|account| account.address);
        let own_usage = own.map(|address| {
            let mut held = self.addresses.get(&address).map(|it| it.held).unwrap_or_default();
            held.add(bytes);
            usage(held, limits)
        });
        let is_over = 2 * usage(more, limits) > WHOLE
            && self.addresses.len() > 1
            && own_usage.is_some_and(|usage| usage > SHARE.max(one(limits)));
        if !is_full && !is_over {
            return None;
        }
        let own_usage = own_usage.unwrap_or(0);
        let largest = if is_over { None } else { self.largest_address(limits) };
        let address = match largest {
            Some((address, usage)) if usage > own_usage => address,
            // The node itself takes part in no comparison.
            Some((address, _)) if own.is_none() => address,
            _ => own?,
        };
        let (largest, held) = self.largest_holder(address, limits)?;
        if Some(address) != own {
            return Some(Victim { holder: largest, is_self: false, is_full });
        }
        let mut held_by_self = self.holders.get(holder as usize)?.held;
        held_by_self.add(bytes);
        if largest != holder && held > usage(held_by_self, limits) {
            return Some(Victim { holder: largest, is_self: false, is_full });
        }
        Some(Victim { holder, is_self: true, is_full })
    }

    /// Takes the cheapest entry of a holder, if it is below this worth.
    pub fn pop_below(&mut self, holder: Holder, worth: Option<f64>) -> Option<u64> {
        let cheapest = &mut self.holders.get_mut(holder as usize)?.cheapest;
        let Reverse(entry) = *cheapest.peek()?;
        // Equal ones stay.
        if worth.is_some_and(|worth| entry >> 32 >= order(worth) >> 32) {
            return None;
        }
        cheapest.pop();
        Some(entry)
    }

    /// Puts an entry back that was taken.
    pub fn put_back(&mut self, holder: Holder, entry: u64) {
        if let Some(account) = self.holders.get_mut(holder as usize) {
            account.cheapest.push(Reverse(entry));
        }
    }

    /// How many holders are known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.holders.len() - self.free.len()
    }

    fn largest_address(&self, limits: Limits) -> Option<(Option<IpAddr>, u64)> {
        let all = self.addresses.iter().map(|(address, it)| (*address, usage(it.held, limits)));
        // Of equal ones always the same.
        all.max_by_key(|(address, usage)| (*usage, *address))
    }

    fn largest_holder(&self, address: Option<IpAddr>, limits: Limits) -> Option<(Holder, u64)> {
        let holders = self.addresses.get(&address)?.holders.iter();
        let all = holders.filter_map(|(_, holder)| {
            Some((*holder, usage(self.holders.get(*holder as usize)?.held, limits)))
        });
        all.max_by_key(|(holder, usage)| (*usage, *holder))
    }
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.envelopes += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.envelopes = self.envelopes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The part of the pool that this is, by places or by bytes, whichever is more.
fn usage(held: Held, limits: Limits) -> u64 {
    let part =
        |held: usize, limit: usize| (held as u64).saturating_mul(WHOLE) / limit.max(1) as u64;
    part(held.envelopes, limits.envelopes).max(part(held.bytes, limits.bytes))
}

/// The part that one envelope is, by places.
fn one(limits: Limits) -> u64 {
    WHOLE / limits.envelopes.max(1) as u64
}

/// Orders by worth, which is never negative: so the bits of a float are in order.
fn order(worth: f64) -> u64 {
    u64::from((worth as f32).to_bits()) << 32
}

/// Spreads node ids; their owners choose them, and don't know the seeds.
fn mix(seeds: [u64; 2], id: &[u8; 32]) -> u64 {
    let (words, _) = id.as_chunks::<8>();
    words.iter().fold(seeds[0], |mixed, word| {
        let product = u128::from(mixed ^ u64::from_le_bytes(*word)) * u128::from(seeds[1] | 1);
        product as u64 ^ (product >> 64) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { envelopes: 800, bytes: 80_000 };

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    fn fill(holders: &mut Holders, holder: Holder, count: u32) {
        (0..count).for_each(|low| holders.add(holder, 1.0, low, 100, |_| true));
    }

    #[test]
    fn ids_cost_nothing_and_what_holds_nothing_is_forgotten() {
        let mut holders = Holders::new([1, 2]);
        for id in 0..1000u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&id.to_le_bytes());
            let holder = holders.enter(ip(1), &bytes);
            holders.add(holder, 1.0, id, 100, |_| true);
        }
        assert!((4..=PER_ADDRESS as usize).contains(&holders.len()), "{}", holders.len());
        let all: Vec<_> = (0..holders.len() as Holder).collect();
        for holder in all {
            while holders.holders[holder as usize].held.envelopes > 0 {
                holders.remove(holder, 100);
            }
        }
        assert_eq!((holders.len(), holders.addresses.len()), (0, 0));
        let idle = holders.enter(ip(1), &[1; 32]);
        holders.release(idle);
        assert_eq!((holders.len(), holders.addresses.len()), (0, 0));
    }

    #[test]
    fn the_largest_address_pays_and_in_it_the_largest_peer() {
        let mut holders = Holders::new([1, 2]);
        let ids: Vec<[u8; 32]> = (0..200u8).map(|id| [id; 32]).collect();
        let small = holders.enter(ip(1), &ids[0]);
        fill(&mut holders, small, 10);
        let large = holders.enter(ip(2), &ids[0]);
        fill(&mut holders, large, 300);
        let other_id = ids.iter().find(|id| holders.enter(ip(2), id.to_owned()) != large).unwrap();
        let beside = holders.enter(ip(2), other_id);
        fill(&mut holders, beside, 5);
        let in_all = |envelopes| Held { envelopes, bytes: envelopes * 100 };
        let victim = |holder, all| holders.victim(holder, 100, LIMITS, in_all(all));
        let of = |holder, is_self, is_full| Some(Victim { holder, is_self, is_full });
        // There is room, and more than the share is no fault while half is free.
        assert_eq!([small, large].map(|it| victim(it, 300)), [None, None]);
        // Above half, the address with more than its share makes room for itself.
        assert_eq!(victim(small, 500), None);
        assert_eq!(victim(large, 500), of(large, true, false));
        assert_eq!(victim(beside, 500), of(large, false, false));
        // A full pool: the largest pays for others, and for the node itself.
        assert_eq!(victim(small, 800), of(large, false, true));
        assert_eq!(victim(NOBODY, 800), of(large, false, true));
        assert_eq!(victim(NOBODY, 799), None);
    }

    #[test]
    fn the_cheapest_goes_first_and_of_equal_ones_the_oldest() {
        let mut holders = Holders::new([1, 2]);
        let holder = holders.enter(None, &[0; 32]);
        for (low, worth) in [(7, 2.0), (8, 0.5), (9, f64::INFINITY), (5, 2.0)] {
            holders.add(holder, worth, low, 1, |_| true);
        }
        assert_eq!(holders.pop_below(holder, Some(0.5)), None);
        assert_eq!(holders.pop_below(holder, Some(0.6)).map(|it| it as u32), Some(8));
        holders.relocate(|low| (low != 9).then_some(low + 100));
        assert_eq!(holders.pop_below(holder, None).map(|it| it as u32), Some(105));
        assert_eq!(holders.pop_below(holder, None).map(|it| it as u32), Some(107));
        assert_eq!(holders.pop_below(holder, None), None);
    }
}

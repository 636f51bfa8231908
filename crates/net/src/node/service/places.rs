//! Who gets a place among the peers.
//!
//! Node ids cost nothing, addresses do. So one address has few places, the last tenth of all is for
//! addresses that have none, and where no place is free the least useful peer gives up its own.
//! Peers on this machine are under no such rule unless a cap was set: local networks of tests
//! have one address.

use std::{cmp::Reverse, net::IpAddr, time::Duration};

use crate::node::{ConnectError, ConnectionId, Time, source::source};

/// How long a new peer has to become useful.
const GRACE: Duration = Duration::from_secs(30);

/// The rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Peers that have dialled us.
    pub most: usize,
    /// Of one address; 0 for any number, and none for the default.
    pub per_address: Option<usize>,
}

/// A peer that has dialled us.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub key: ConnectionId,
    pub ip: IpAddr,
    pub since: Time,
    /// The envelopes that it was the first to bring.
    pub brought: u64,
    /// Never displaced.
    pub trusted: bool,
}

impl Places {
    /// Whether a peer from this address gets a place; another may have to leave for it.
    pub fn find(
        &self,
        seats: &[Seat],
        ip: IpAddr,
        now: Time,
    ) -> Result<Option<ConnectionId>, ConnectError> {
        if !self.rules(ip) {
            let is_free = seats.len() < self.most;
            return if is_free { Ok(None) } else { Err(ConnectError::TooManyPeers) };
        }
        let of = |ip: IpAddr| {
            let address = source(ip);
            seats.iter().filter(|seat| source(seat.ip) == address).count()
        };
        let own = of(ip);
        let cap = match self.per_address {
            Some(0) => usize::MAX,
            Some(cap) => cap,
            None => (self.most / 10).max(2),
        };
        if own >= cap {
            return Err(ConnectError::CrowdedAddress { most: cap });
        }
        let for_all = self.most - if cap == usize::MAX { 0 } else { self.most / 10 };
        if own > 0 && seats.len() >= for_all {
            return Err(ConnectError::TooManyPeers);
        }
        if seats.len() < self.most {
            return Ok(None);
        }
        let candidates = seats.iter().filter(|seat| {
            !seat.trusted && self.rules(seat.ip) && seat.since + GRACE <= now && of(seat.ip) > own
        });
        let least_useful =
            candidates.max_by_key(|seat| (of(seat.ip), Reverse(seat.brought), seat.since));
        least_useful.map(|seat| Some(seat.key)).ok_or(ConnectError::TooManyPeers)
    }

    fn rules(&self, ip: IpAddr) -> bool {
        self.per_address.is_some() || !ip.to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(1_585_700_000);

    fn seat(number: u32, ip: [u8; 4], since: u64, brought: u64) -> Seat {
        let key = ConnectionId::from_bits(u64::from(number) << 32);
        let since = START + Duration::from_secs(since);
        Seat { key, ip: ip.into(), since, brought, trusted: false }
    }

    fn find(places: Places, seats: &[Seat], ip: [u8; 4]) -> Result<Option<u32>, &'static str> {
        let now = START + Duration::from_secs(100);
        let found = places.find(seats, ip.into(), now);
        found.map(|key| key.map(|key| key.slot)).map_err(|error| error.code())
    }

    #[test]
    fn one_address_gets_a_tenth_and_the_last_tenth_is_for_others() {
        let places = Places { most: 50, per_address: None };
        let mut seats: Vec<_> = (0..5).map(|n| seat(n, [10, 0, 0, 1], 0, 0)).collect();
        assert_eq!(find(places, &seats, [10, 0, 0, 1]), Err("net.crowded_address"));
        let any = Places { most: 50, per_address: Some(0) };
        assert_eq!(find(any, &seats, [10, 0, 0, 1]), Ok(None));
        assert_eq!(find(places, &seats[..4], [10, 0, 0, 1]), Ok(None));
        seats.extend((5..45).map(|n| seat(n, [10, 0, 1, n as u8 / 2], 0, 0)));
        assert_eq!(find(places, &seats, [10, 0, 1, 3]), Err("net.too_many_peers"));
        assert_eq!(find(places, &seats, [10, 0, 0, 2]), Ok(None));
    }

    #[test]
    fn the_least_useful_gives_up_its_place() {
        let places = Places { most: 4, per_address: Some(2) };
        let mut seats = vec![
            seat(0, [10, 0, 0, 1], 0, 9),
            seat(1, [10, 0, 0, 1], 0, 5),
            seat(2, [10, 0, 0, 2], 0, 0),
            seat(3, [10, 0, 0, 3], 99, 0),
        ];
        // First of the address with most peers.
        assert_eq!(find(places, &seats, [10, 0, 0, 4]), Ok(Some(1)));
        seats[1].ip = [10, 0, 0, 5].into();
        assert_eq!(find(places, &seats, [10, 0, 0, 4]), Ok(Some(2)));
        // Of those that brought nothing, the newest; but one that has just come has some time.
        seats[1].brought = 0;
        seats[1].since += Duration::from_secs(60);
        assert_eq!(find(places, &seats, [10, 0, 0, 4]), Ok(Some(1)));
        seats.iter_mut().for_each(|seat| seat.since = START + Duration::from_secs(80));
        assert_eq!(find(places, &seats, [10, 0, 0, 4]), Err("net.too_many_peers"));
        // An address that has one already displaces no other's only peer.
        seats.iter_mut().for_each(|seat| seat.since = START);
        let wide = Places { most: 4, per_address: Some(0) };
        assert_eq!(find(wide, &seats, [10, 0, 0, 3]), Err("net.too_many_peers"));
        seats.iter_mut().for_each(|seat| seat.trusted = true);
        assert_eq!(find(places, &seats, [10, 0, 0, 4]), Err("net.too_many_peers"));
    }

    #[test]
    fn this_machine_has_no_cap_unless_there_is_one() {
        let seats: Vec<_> = (0..20).map(|n| seat(n, [127, 0, 0, 1], 0, 0)).collect();
        let places = |most, per_address| Places { most, per_address };
        assert_eq!(find(places(21, None), &seats, [127, 0, 0, 1]), Ok(None));
        assert_eq!(find(places(20, None), &seats, [127, 0, 0, 1]), Err("net.too_many_peers"));
        assert_eq!(find(places(50, Some(20)), &seats, [127, 0, 0, 1]), Err("net.crowded_address"));
        assert_eq!(find(places(50, Some(20)), &seats, [127, 0, 0, 2]), Ok(None));
        // Nor is it displaced.
        assert_eq!(find(places(20, None), &seats, [10, 0, 0, 1]), Err("net.too_many_peers"));
        assert_eq!(find(places(20, Some(20)), &seats, [10, 0, 0, 1]), Ok(Some(19)));
    }
}

//! What strangers may cost: subnets, and packets per second and address.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use statuskit_core::discovery::relay::is_lan;

/// A /24 of IPv4 or a /48 of IPv6: what one owner of addresses has easily.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet([u8; 7]);

impl Subnet {
    /// Returns the subnet of an address. `None` on this machine and in local networks, which are not
    /// limited.
    pub fn from_ip(ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        if is_lan(ip) {
            return None;
        }
        let mut subnet = [0; 7];
        match ip {
            IpAddr::V4(ip) => {
                subnet[0] = 4;
                subnet[1..4].copy_from_slice(&ip.octets()[..3]);
            }
            IpAddr::V6(ip) => {
                subnet[0] = 6;
                subnet[1..7].copy_from_slice(&ip.octets()[..6]);
            }
        }
        Some(Self(subnet))
    }
}

/// The most addresses whose packets are counted.
const MAX_ADDRESSES: usize = 4096;

/// Counts packets per address in buckets of tokens. On this machine and in local networks each port
/// counts for itself.
#[derive(Debug)]
pub(super) struct RateLimiter {
    per_second: f64,
    burst: f64,
    seen: HashMap<(IpAddr, u16), (f64, Duration)>,
}

impl RateLimiter {
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, burst: 2.0 * per_second, seen: HashMap::new() }
    }

    /// Returns whether a packet from an address is within its limit.
    pub fn allow(&mut self, from: SocketAddr, now: Duration) -> bool {
        let ip = from.ip().to_canonical();
        let key = if is_lan(ip) { (ip, from.port()) } else { (ip, 0) };
        if self.seen.len() >= MAX_ADDRESSES && !self.seen.contains_key(&key) {
            self.forget(now);
        }
        let (tokens, last) = self.seen.entry(key).or_insert((self.burst, now));
        let since = now.saturating_sub(*last).as_secs_f64();
        *tokens = (*tokens + since * self.per_second).min(self.burst);
        *last = now;
        let is_allowed = *tokens >= 1.0;
        if is_allowed {
            *tokens -= 1.0;
        }
        is_allowed
    }

    /// Forgets addresses whose bucket is full again; if there are none, those with most tokens.
    fn forget(&mut self, now: Duration) {
        let (rate, burst) = (self.per_second, self.burst);
        let full = |tokens: f64, last: Duration| {
            tokens + now.saturating_sub(last).as_secs_f64() * rate >= burst
        };
        self.seen.retain(|_, (tokens, last)| !full(*tokens, *last));
        if self.seen.len() >= MAX_ADDRESSES {
            // A flood from more addresses than are counted: those that sent little are forgotten.
            self.seen.retain(|_, (tokens, _)| *tokens < burst / 2.0);
        }
        if self.seen.len() >= MAX_ADDRESSES {
            self.seen.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_rate_and_others_theirs() {
        let mut limiter = RateLimiter::new(10);
        let one: SocketAddr = "85.1.2.3:1".parse().unwrap();
        let now = Duration::from_secs(5);
        let allowed = (0..100).filter(|_| limiter.allow(one, now)).count();
        assert_eq!(allowed, 20);
        // Another port of the same address is no other address.
        assert!(!limiter.allow("85.1.2.3:2".parse().unwrap(), now));
        assert!(limiter.allow("85.1.2.4:1".parse().unwrap(), now));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| limiter.allow(one, later)).count(), 10);
        // On this machine, ports are programs.
        for port in 1..50 {
            assert!(limiter.allow(SocketAddr::new([127, 0, 0, 1].into(), port), now));
        }
    }

    #[test]
    fn a_flood_from_many_addresses_stays_bounded() {
        let mut limiter = RateLimiter::new(10);
        for n in 0..3 * MAX_ADDRESSES as u32 {
            let ip = std::net::Ipv4Addr::from(0x5500_0000 + n);
            assert!(limiter.allow(SocketAddr::new(ip.into(), 1), Duration::ZERO));
        }
        assert!(limiter.seen.len() <= MAX_ADDRESSES);
    }

    #[test]
    fn subnets_are_those_of_owners() {
        let subnet = |ip: &str| Subnet::from_ip(ip.parse().unwrap());
        assert_eq!(subnet("85.1.2.3"), subnet("::ffff:85.1.2.200"));
        assert_ne!(subnet("85.1.2.3"), subnet("85.1.3.3"));
        assert_eq!(subnet("2a01:4f8:1::1"), subnet("2a01:4f8:1:9::1"));
        assert_eq!(subnet("192.168.0.1"), None);
        assert_eq!(subnet("::1"), None);
    }
}

//! The Status packet (code 0): the handshake of `shh/6`.
//!
//! `[version, minPow, bloom, isLightNode, confirmationsEnabled, [ip, peerId, topic]]`. Status nodes
//! write all six items, and so do we. They read leniently, and so do we: everything after the
//! version may be missing, and an item of an unexpected kind hides the rest.
//!
//! Source: EIP-627 "Status", with the Status extensions (confirmations, rate limits).

use std::{collections::HashSet, sync::Arc};

use crate::{
    envelope::{Bloom, Topic},
    rlp::{self, Item, Reader},
    wire::{
        dialect::{Dialect, WHISPER_VERSION},
        error::PacketError,
        fields::{float_bits, put_float},
        waku::{self, Accepts, Options},
    },
};

/// The supported version of Whisper.
pub const VERSION: u64 = WHISPER_VERSION;

/// The rate limits that a peer announces. 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Packets per second from one IP address.
    pub ip: u64,
    /// Packets per second from one node id.
    pub peer_id: u64,
    /// Packets per second on one topic.
    pub topic: u64,
}

impl RateLimits {
    /// Reads exactly three integers.
    pub(crate) fn read(mut list: Reader<'_>) -> rlp::Result<Self> {
        let limits =
            Self { ip: list.u64("ip")?, peer_id: list.u64("peer id")?, topic: list.u64("topic")? };
        list.finish()?;
        Ok(limits)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        rlp::put_list(out, |out| {
            for limit in [self.ip, self.peer_id, self.topic] {
                rlp::put_u64(out, limit);
            }
        });
    }
}

/// The settings that a node announces in the handshake, and changes later.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The minimum proof of work of the envelopes that it accepts.
    pub min_pow: f64,
    /// The topics that it accepts, unless it has a list. `None` means all, and is sent as the empty
    /// string.
    pub bloom: Option<Bloom>,
    /// The only topics that it accepts: its topic interest, which only Waku has.
    pub topics: Option<Arc<HashSet<Topic>>>,
    /// Whether it only receives and does not forward.
    pub light: bool,
    /// Whether it supports confirmations (codes 11 and 12).
    pub confirmations: bool,
    /// The rate limits for its peers.
    pub rate_limits: RateLimits,
}

/// The settings of a peer that sends nothing but its version.
impl Default for Status {
    fn default() -> Self {
        Self {
            min_pow: 0.0,
            bloom: Some(Bloom::FULL),
            topics: None,
            light: false,
            confirmations: false,
            rate_limits: RateLimits::default(),
        }
    }
}

impl Status {
    /// Returns the settings of a peer that announces none.
    pub fn silent(dialect: Dialect) -> Self {
        let min_pow = if dialect.is_waku() { waku::DEFAULT_MIN_POW } else { 0.0 };
        Self { min_pow, ..Self::default() }
    }

    /// Reads the payload of the packet.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode) and [`Packet::decode_as`](super::Packet::decode_as).
    pub fn decode_as(dialect: Dialect, payload: &[u8]) -> Result<Self, PacketError> {
        if !dialect.is_waku() {
            return Self::decode(payload);
        }
        let mut status = Self::silent(dialect);
        status.apply(Options::decode_status(dialect, payload)?);
        Ok(status)
    }

    /// Writes the payload of the packet.
    pub fn encode_as(&self, dialect: Dialect) -> Vec<u8> {
        if !dialect.is_waku() {
            return self.encode();
        }
        let options = Options {
            min_pow: Some(self.min_pow),
            accepts: (self.topics.is_some() || self.bloom.is_some())
                .then(|| self.accepts_in(dialect)),
            light: Some(self.light),
            confirmations: Some(self.confirmations),
            rate_limits: Some(self.rate_limits),
        };
        options.encode_status(dialect)
    }

    /// Returns the option that says which topics it accepts. For more topics than peers take in a
    /// list, it is the filter of them.
    pub fn accepts_in(&self, dialect: Dialect) -> Accepts {
        match &self.topics {
            Some(topics) if topics.len() > waku::max_topics(dialect) => {
                Accepts::Bloom(Some(Bloom::from_topics(topics.iter().copied())))
            }
            Some(topics) => {
                let mut list: Vec<Topic> = topics.iter().copied().collect();
                list.sort_unstable();
                Accepts::Topics(list)
            }
            None => Accepts::Bloom(Some(self.bloom.unwrap_or(Bloom::FULL))),
        }
    }

    /// Takes over the options of a packet of Waku. A filter replaces the list of topics, and a list
    /// replaces the filter.
    pub fn apply(&mut self, options: Options) {
        let Options { min_pow, accepts, light, confirmations, rate_limits } = options;
        self.min_pow = min_pow.unwrap_or(self.min_pow);
        match accepts {
            Some(Accepts::Bloom(bloom)) => (self.bloom, self.topics) = (bloom, None),
            Some(Accepts::Topics(topics)) => {
                let topics = Arc::new(topics.into_iter().collect());
                (self.bloom, self.topics) = (None, Some(topics));
            }
            None => {}
        }
        self.light = light.unwrap_or(self.light);
        self.confirmations = confirmations.unwrap_or(self.confirmations);
        self.rate_limits = rate_limits.unwrap_or(self.rate_limits);
    }

    /// Returns whether the peer accepts envelopes with this topic.
    pub fn accepts(&self, topic: Topic) -> bool {
        match &self.topics {
            Some(topics) => topics.contains(&topic),
            None => self.bloom.is_none_or(|bloom| bloom.is_full() || bloom.matches(topic)),
        }
    }

    /// Returns whether it may accept envelopes that it did not with other settings.
    pub fn is_wider_than(&self, before: &Self) -> bool {
        let accepts_more = match (&before.topics, &self.topics) {
            (_, Some(topics)) => topics.iter().any(|topic| !before.accepts(*topic)),
            (Some(_), None) => true,
            (None, None) => {
                let full = Bloom::FULL;
                !before.bloom.unwrap_or(full).contains(&self.bloom.unwrap_or(full))
            }
        };
        accepts_more || self.min_pow < before.min_pow
    }

    /// Returns the memory that it holds, in bytes.
    pub fn size(&self) -> usize {
        let topics = self.topics.as_ref().map_or(0, |topics| topics.capacity());
        size_of::<Self>() + topics * (size_of::<Topic>() + 1)
    }

    /// Writes the payload of the packet in Whisper.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        rlp::put_list(&mut out, |out| {
            rlp::put_u64(out, VERSION);
            put_float(out, self.min_pow);
            rlp::put_bytes(out, self.bloom.as_ref().map_or(&[], |bloom| &bloom.0));
            rlp::put_bool(out, self.light);
            rlp::put_bool(out, self.confirmations);
            self.rate_limits.put(out);
        });
        out
    }

    /// Reads the payload of the packet in Whisper.
    ///
    /// # Errors
    ///
    /// If the version is missing or not [`VERSION`], or a value that was read is out of range.
    pub fn decode(payload: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(payload);
        let mut items = reader.list("status")?;
        let version = items.u64("version")?;
        if version != VERSION {
            return Err(PacketError::Version(version));
        }
        let mut status = Self::default();
        status.read_options(&mut items)?;
        Ok(status)
    }

    /// Reads the items after the version, as the reference does.
    ///
    /// An unreadable item is not skipped, so all items after it are unreadable too. The exception
    /// is a list, which is read as the rate limits.
    fn read_options(&mut self, items: &mut Reader<'_>) -> Result<(), PacketError> {
        let Ok(bits) = items.u64("minimum PoW") else { return Ok(()) };
        self.min_pow = float_bits(bits)?;

        if let Some(bloom) = optional(items, |item| match item {
            Item::String(bytes) => Some(bytes),
            Item::List(_) => None,
        }) {
            self.bloom = match bloom {
                [] => None,
                _ => Some(Bloom(
                    bloom.try_into().map_err(|_| PacketError::BloomLength(bloom.len()))?,
                )),
            };
        }
        for flag in [&mut self.light, &mut self.confirmations] {
            // A small integer other than 0 and 1 is skipped.
            *flag = optional(items, |item| match item {
                Item::String([]) => Some(false),
                Item::String([byte]) if *byte != 0 => Some(*byte == 1),
                _ => None,
            })
            .unwrap_or(*flag);
        }
        let limits = optional(items, |item| match item {
            Item::List(list) => RateLimits::read(list).ok(),
            Item::String(_) => None,
        });
        self.rate_limits = limits.unwrap_or_default();
        Ok(())
    }

    /// Returns whether the peer accepts envelopes of every topic.
    pub fn is_full_node(&self) -> bool {
        self.topics.is_none() && self.bloom.is_none_or(|bloom| bloom.is_full())
    }
}

/// Reads the next item if `read` accepts it. Otherwise the item stays unread.
fn optional<'a, T>(items: &mut Reader<'a>, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
    let mut ahead = items.clone();
    let value = read(ahead.item("option").ok()?)?;
    *items = ahead;
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(pow in 0.0f64..1e9, bloom: Option<[[u8; 32]; 2]>, light: bool, confirmations: bool, limits: [u64; 3]) {
            let status = Status {
                min_pow: pow,
                bloom: bloom.map(|halves| Bloom(halves.concat().try_into().unwrap())),
                topics: None,
                light,
                confirmations,
                rate_limits: RateLimits { ip: limits[0], peer_id: limits[1], topic: limits[2] },
            };
            prop_assert_eq!(Status::decode(&status.encode()).unwrap(), status);
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Status::decode(&bytes);
        }
    }
}

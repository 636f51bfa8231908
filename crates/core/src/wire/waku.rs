//! The options of Waku: the Status packet (code 0) and its updates (code 22).
//!
//! `[[key, value], …]`. In `waku/0` the list stands behind the version, and a key is its decimal
//! digit as text; in `waku/1` a key is an integer.
//!
//! | key | option | value |
//! | --: | --- | --- |
//! | 0 | minimum proof of work | bits of a 64-bit float |
//! | 1 | bloom filter | string of 64 bytes, or none for all topics |
//! | 2 | light node | 0 or 1 |
//! | 3 | confirmations | 0 or 1 |
//! | 4 | rate limits | `[ip, peer id, topic]` |
//! | 5 | topic interest | list of topics |
//!
//! Each may be missing, in any order, and the last of several counts. An unknown option ends the
//! reading: `waku/1` and updates ignore what follows, a Status of `waku/0` must not have more.
//!
//! Source: the Waku specifications of Vac, version 0 and 1; the reference where they differ.

use crate::{
    envelope::{
        Bloom, Topic,
        topic::{put_topics, read_topics},
    },
    rlp::{self, Reader},
    wire::{
        dialect::{Dialect, WAKU},
        error::PacketError,
        fields::{float_bits, put_float},
        status::RateLimits,
    },
};

/// The name of the protocol in Hello.
pub const PROTOCOL: &str = WAKU;
/// The minimum proof of work of a peer that names none.
pub const DEFAULT_MIN_POW: f64 = 0.001;

const VERSION: u64 = 0;

const MIN_POW: u8 = 0;
const BLOOM: u8 = 1;
const LIGHT: u8 = 2;
const CONFIRMATIONS: u8 = 3;
const RATE_LIMITS: u8 = 4;
const TOPIC_INTEREST: u8 = 5;

/// The options of a Status or an update. `None` where the packet has none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// The minimum proof of work of the envelopes that the node accepts.
    pub min_pow: Option<f64>,
    /// The envelopes that the node accepts, by their topics.
    pub accepts: Option<Accepts>,
    /// Whether the node only receives and does not forward.
    pub light: Option<bool>,
    /// Whether the node supports confirmations (codes 11 and 12).
    pub confirmations: Option<bool>,
    /// The rate limits for its peers.
    pub rate_limits: Option<RateLimits>,
}

/// How a node says which envelopes it accepts. If a packet has both, the topics count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepts {
    /// By a bloom filter. `None` is the empty string, for all topics.
    Bloom(Option<Bloom>),
    /// By a list of topics. An empty one is for no topic.
    Topics(Vec<Topic>),
}

impl Options {
    /// Writes the payload of a Status packet.
    pub(crate) fn encode_status(&self, dialect: Dialect) -> Vec<u8> {
        match dialect {
            Dialect::Waku0 => {
                let mut out = Vec::new();
                rlp::put_list(&mut out, |out| {
                    rlp::put_u64(out, VERSION);
                    self.put(out, dialect);
                });
                out
            }
            _ => self.encode_update(dialect),
        }
    }

    /// Writes the payload of an update.
    pub(crate) fn encode_update(&self, dialect: Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out, dialect);
        out
    }

    /// Reads the payload of a Status packet.
    pub(crate) fn decode_status(dialect: Dialect, payload: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(payload);
        if dialect != Dialect::Waku0 {
            // What follows the list is ignored.
            return Ok(Self::read(dialect, reader.list("options")?)?.0);
        }
        let mut items = reader.list("status")?;
        let version = items.u64("version")?;
        if version != VERSION {
            return Err(PacketError::WakuVersion(version));
        }
        let (options, complete) = Self::read(dialect, items.list("options")?)?;
        if !complete {
            return Err(PacketError::OptionOrder);
        }
        items.finish()?;
        reader.finish()?;
        Ok(options)
    }

    /// Reads the payload of an update.
    pub(crate) fn decode_update(dialect: Dialect, payload: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(payload);
        let options = reader.list("options")?;
        reader.finish()?;
        Ok(Self::read(dialect, options)?.0)
    }

    /// Reads the list. Also returns whether nothing follows an unknown option.
    fn read(dialect: Dialect, mut list: Reader<'_>) -> Result<(Self, bool), PacketError> {
        let mut options = Self::default();
        // The values are checked at the end, since only the last of several counts.
        let (mut pow, mut bloom, mut topics) = (None, None, None);
        while !list.is_empty() {
            let mut pair = list.list("option")?;
            match read_key(dialect, &mut pair)? {
                Some(MIN_POW) => pow = Some(pair.u64("minimum PoW")?),
                Some(BLOOM) => bloom = Some(pair.string("bloom filter")?),
                Some(LIGHT) => options.light = Some(pair.bool("light node")?),
                Some(CONFIRMATIONS) => options.confirmations = Some(pair.bool("confirmations")?),
                Some(RATE_LIMITS) => {
                    options.rate_limits = Some(RateLimits::read(pair.list("rate limits")?)?);
                }
                Some(TOPIC_INTEREST) => topics = Some(read_topics(&mut pair)?),
                _ => {
                    pair.item("value of an unknown option")?;
                    pair.finish()?;
                    return Self::check(options, pow, bloom, topics, dialect)
                        .map(|options| (options, list.is_empty()));
                }
            }
            pair.finish()?;
        }
        Ok((Self::check(options, pow, bloom, topics, dialect)?, true))
    }

    /// Completes the options with the values that may be out of range.
    fn check(
        mut options: Self,
        pow: Option<u64>,
        bloom: Option<&[u8]>,
        topics: Option<Vec<Topic>>,
        dialect: Dialect,
    ) -> Result<Self, PacketError> {
        options.min_pow = pow.map(float_bits).transpose()?;
        options.accepts = match bloom {
            None => None,
            Some([]) => Some(Accepts::Bloom(None)),
            Some(bits) => {
                let wrong = |_| PacketError::BloomLength(bits.len());
                Some(Accepts::Bloom(Some(Bloom(bits.try_into().map_err(wrong)?))))
            }
        };
        if let Some(topics) = topics {
            let max = max_topics(dialect);
            if topics.len() > max {
                return Err(PacketError::TopicInterest { got: topics.len(), max });
            }
            options.accepts = Some(Accepts::Topics(topics));
        }
        Ok(options)
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        rlp::put_list(out, |out| {
            if let Some(pow) = self.min_pow {
                put_option(out, dialect, MIN_POW, |out| put_float(out, pow));
            }
            if let Some(Accepts::Bloom(bloom)) = &self.accepts {
                let bits = bloom.as_ref().map_or(&[][..], |bloom| &bloom.0);
                put_option(out, dialect, BLOOM, |out| rlp::put_bytes(out, bits));
            }
            if let Some(light) = self.light {
                put_option(out, dialect, LIGHT, |out| rlp::put_bool(out, light));
            }
            if let Some(confirmations) = self.confirmations {
                put_option(out, dialect, CONFIRMATIONS, |out| rlp::put_bool(out, confirmations));
            }
            if let Some(limits) = &self.rate_limits {
                put_option(out, dialect, RATE_LIMITS, |out| limits.put(out));
            }
            if let Some(Accepts::Topics(topics)) = &self.accepts {
                put_option(out, dialect, TOPIC_INTEREST, |out| put_topics(out, topics));
            }
        });
    }
}

/// Returns the most topics that a peer accepts in a topic interest.
pub fn max_topics(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Waku0 => 1000,
        _ => 10_000,
    }
}

/// Reads a key. `None` if it is unknown.
fn read_key(dialect: Dialect, pair: &mut Reader<'_>) -> rlp::Result<Option<u8>> {
    let key = match dialect {
        Dialect::Waku0 => match pair.string("key")? {
            [digit @ b'0'..=b'9'] => u64::from(digit - b'0'),
            _ => return Ok(None),
        },
        _ => pair.u64("key")?,
    };
    Ok(u8::try_from(key).ok().filter(|key| *key <= TOPIC_INTEREST))
}

fn put_option(out: &mut Vec<u8>, dialect: Dialect, key: u8, value: impl FnOnce(&mut Vec<u8>)) {
    rlp::put_list(out, |out| {
        match dialect {
            Dialect::Waku0 => rlp::put_bytes(out, &[b'0' + key]),
            _ => rlp::put_u64(out, key.into()),
        }
        value(out);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Packet, Status};

    const DIALECTS: [Dialect; 2] = [Dialect::Waku0, Dialect::Waku1];

    fn options() -> impl Strategy<Value = Options> {
        let bloom = any::<[[u8; 32]; 2]>().prop_map(|halves| {
            let mut bits = [0; 64];
            bits.as_chunks_mut::<32>().0.copy_from_slice(&halves);
            Accepts::Bloom(Some(Bloom(bits)))
        });
        let topics = prop::collection::vec(any::<[u8; 4]>().prop_map(Topic), 0..9);
        let accepts =
            prop_oneof![Just(Accepts::Bloom(None)), bloom, topics.prop_map(Accepts::Topics)];
        let flags = any::<(Option<bool>, Option<bool>, Option<[u64; 3]>)>();
        (prop::option::of(0.0..1e9), prop::option::of(accepts), flags).prop_map(
            |(min_pow, accepts, (light, confirmations, limits))| {
                let rate_limits =
                    limits.map(|[ip, peer_id, topic]| RateLimits { ip, peer_id, topic });
                Options { min_pow, accepts, light, confirmations, rate_limits }
            },
        )
    }

    proptest! {
        #[test]
        fn options_round_trip(options in options()) {
            for dialect in DIALECTS {
                let status = Packet::WakuStatus(options.clone());
                let update = Packet::StatusUpdate(options.clone());
                for packet in [status, update] {
                    let payload = packet.encode_as(dialect);
                    let decoded = Packet::decode_as(dialect, packet.code(), &payload);
                    prop_assert_eq!(decoded.unwrap(), packet);
                }
            }
        }

        #[test]
        fn an_unknown_option_can_stand_last(options in options(), key in 6u8..10) {
            for dialect in DIALECTS {
                let mut items = Vec::new();
                options.put(&mut items, dialect);
                let items = Reader::new(&items).list("options").unwrap().remaining().to_vec();
                let with = |last: bool| {
                    let mut out = Vec::new();
                    rlp::put_list(&mut out, |out| {
                        if last {
                            out.extend_from_slice(&items);
                        }
                        put_option(out, dialect, key, |out| rlp::put_u64(out, 1));
                        if !last {
                            out.extend_from_slice(&items);
                        }
                    });
                    out
                };
                let read = Options::decode_update(dialect, &with(true));
                prop_assert_eq!(read.unwrap(), options.clone());
                let ignored = Options::decode_update(dialect, &with(false));
                prop_assert_eq!(ignored.unwrap(), Options::default());
            }
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            for dialect in DIALECTS {
                for code in [0, 22] {
                    if let Ok(packet) = Packet::decode_as(dialect, code, &bytes) {
                        let again =
                            Packet::decode_as(dialect, code, &packet.encode_as(dialect));
                        prop_assert_eq!(again.unwrap(), packet);
                    }
                }
            }
        }
    }

    #[test]
    fn the_length_of_a_topic_interest_is_limited() {
        for dialect in DIALECTS {
            let interest = |count| {
                let accepts = Some(Accepts::Topics(vec![Topic::default(); count]));
                let payload = Options { accepts, ..Options::default() }.encode_update(dialect);
                Options::decode_update(dialect, &payload)
            };
            let max = max_topics(dialect);
            assert!(interest(max).is_ok());
            assert_eq!(interest(max + 1), Err(PacketError::TopicInterest { got: max + 1, max }));
        }
    }

    #[test]
    fn a_filter_and_a_list_replace_each_other() {
        let [a, b] = [Topic([1; 4]), Topic([2; 4])];
        let mut settings = Status::silent(Dialect::Waku1);
        assert!(settings.is_full_node() && settings.accepts(a));
        let accepts = |accepts| Options { accepts: Some(accepts), ..Options::default() };
        settings.apply(accepts(Accepts::Topics(vec![a, a])));
        assert_eq!((settings.accepts(a), settings.accepts(b)), (true, false));
        assert!(!settings.is_full_node());
        settings.apply(Options { min_pow: Some(2.0), ..Options::default() });
        assert_eq!((settings.accepts(b), settings.min_pow), (false, 2.0));
        settings.apply(accepts(Accepts::Bloom(Some(Bloom::from_topic(b)))));
        assert_eq!((settings.accepts(a), settings.accepts(b)), (false, true));
        settings.apply(accepts(Accepts::Bloom(None)));
        assert!(settings.is_full_node() && settings.accepts(a));
        settings.apply(accepts(Accepts::Topics(Vec::new())));
        assert!(!settings.accepts(a) && !settings.accepts(b));
    }
}

//! The checks that a peer makes when an envelope arrives.
//!
//! The order and the arithmetic (32 bits, wrapping) are the reference's. So [`verdict`] is the
//! decision of a reference peer with the same settings.

use std::{collections::HashSet, fmt, sync::Arc};

use crate::{
    envelope::{Bloom, Envelope, Topic},
    explain::Explanation,
    text::count,
    time::UnixSeconds,
};

/// The tolerated difference between clocks, in seconds.
///
/// Envelopes from up to this far in the future pass. Envelopes that expired up to twice as long ago
/// are dropped, but do not count as very old.
pub const SYNC_ALLOWANCE: u32 = 10;
/// The minimum proof of work that the protocol sets.
pub const DEFAULT_MIN_POW: f64 = 0.2;
/// The largest packet, and the largest envelope `size`, that peers accept by default.
pub const DEFAULT_MAX_MESSAGE_SIZE: u32 = 1024 * 1024;

/// The settings of the node that checks envelopes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The time on its clock.
    pub now: UnixSeconds,
    /// The largest [`Envelope::size`] that it accepts, in bytes.
    pub max_message_size: u32,
    /// The minimum proof of work that it announces.
    pub min_pow: f64,
    /// The minimum proof of work that it still accepts, for some seconds after a change.
    pub min_pow_tolerance: f64,
    /// Its bloom filter. `None` matches everything.
    pub bloom: Option<Bloom>,
    /// The bloom filter that it still accepts after a change. `None` matches everything.
    pub bloom_tolerance: Option<Bloom>,
    /// Its topic interest in Waku, instead of a bloom filter; `None` if it has none.
    pub topics: Option<Arc<HashSet<Topic>>>,
    /// The topic interest that it still accepts after a change. `None` matches nothing.
    pub topics_tolerance: Option<Arc<HashSet<Topic>>>,
}

impl Rules {
    /// Returns the settings of a full node with the protocol's defaults, at the time `now`.
    pub fn new(now: UnixSeconds) -> Self {
        Self {
            now,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            min_pow: DEFAULT_MIN_POW,
            min_pow_tolerance: DEFAULT_MIN_POW,
            bloom: None,
            bloom_tolerance: None,
            topics: None,
            topics_tolerance: None,
        }
    }

    /// Checks the topic: [`Verdict::Accepted`] if it passes.
    fn check_topic(&self, topic: Topic) -> Verdict {
        if let Some(topics) = &self.topics {
            let tolerates = || self.topics_tolerance.as_ref().is_some_and(|it| it.contains(&topic));
            return match topics.contains(&topic) || tolerates() {
                true => Verdict::Accepted,
                false => Verdict::NoTopicMatch,
            };
        }
        let matches = |filter: &Option<Bloom>| filter.is_none_or(|filter| filter.matches(topic));
        match matches(&self.bloom) || matches(&self.bloom_tolerance) {
            true => Verdict::Accepted,
            false => Verdict::NoBloomMatch,
        }
    }
}

/// The decision about an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Accepted, pooled and forwarded.
    Accepted,
    /// Sent more than [`SYNC_ALLOWANCE`] in the future (or `ttl` above `expiry`, which wraps).
    FromFuture,
    /// Expired more than twice [`SYNC_ALLOWANCE`] ago.
    VeryOld,
    /// Expired recently: dropped without an error.
    Expired,
    /// Larger than the node accepts.
    Oversized,
    /// Not enough proof of work.
    LowPow,
    /// Its topic is not in the node's bloom filter.
    NoBloomMatch,
    /// Its topic is not in the node's topic interest.
    NoTopicMatch,
}

impl Verdict {
    /// Returns the name that records use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::FromFuture => "from_future",
            Self::VeryOld => "very_old",
            Self::Expired => "expired_dropped_silently",
            Self::Oversized => "oversized",
            Self::LowPow => "low_pow",
            Self::NoBloomMatch => "no_bloom_match",
            Self::NoTopicMatch => "no_topic_match",
        }
    }

    /// Returns the stable code that the tools print.
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted => "envelope.accepted",
            Self::FromFuture => "envelope.from_future",
            Self::VeryOld => "envelope.very_old",
            Self::Expired => "envelope.expired",
            Self::Oversized => "envelope.oversized",
            Self::LowPow => "envelope.low_pow",
            Self::NoBloomMatch => "envelope.no_bloom_match",
            Self::NoTopicMatch => "envelope.no_topic_match",
        }
    }

    /// Returns whether the peer gets an error: for all but acceptance and recent expiry.
    pub fn is_error(self) -> bool {
        !matches!(self, Self::Accepted | Self::Expired)
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "envelope.from_future",
            rule: "An envelope must not be sent more than 10 seconds after the receiver's clock. The time it was sent is expiry minus ttl, computed with 32 bits: a ttl above the expiry looks like the far future.",
            source: "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
            causes: "The sender's clock runs ahead, or the receiver's behind. Compare with `date +%s`, or check with --now.",
        },
        Explanation {
            code: "envelope.very_old",
            rule: "An envelope that expired more than 20 seconds ago is refused with an error.",
            source: "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
            causes: "It was stored and sent again, or the clocks differ. To check an old envelope as of its own time, use --now.",
        },
        Explanation {
            code: "envelope.expired",
            rule: "An envelope that expired up to 20 seconds ago is dropped, without an error to the sender.",
            source: "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
            causes: "The time to live was too short for the way, or mining took most of it.",
        },
        Explanation {
            code: "envelope.oversized",
            rule: "20 bytes plus the data, and a packet with the envelope, must not exceed the largest message of the node, 1 MiB unless it was set otherwise (10 MiB at most).",
            source: "EIP-627, Packet Codes",
            causes: "Split the payload, or put a reference into it. A private message is in its envelope once for each installation of the recipient, up to three times.",
        },
        Explanation {
            code: "envelope.low_pow",
            rule: "The proof of work is 2^(leading zero bits) / (length of the RLP without the nonce) / ttl. Nodes of the protocol's defaults ask for 0.2; Status nodes take 0.002.",
            source: "EIP-627, Mining",
            causes: "The envelope was not mined (status-pow mine), was mined for a smaller target, or its ttl was raised afterwards.",
        },
        Explanation {
            code: "envelope.no_bloom_match",
            rule: "The topic's bits must all be set in the receiver's bloom filter. Two indexes in one byte count as one: the later bit overwrites the earlier.",
            source: "EIP-627, Bloom Filter; the overwriting is that of the reference implementation",
            causes: "The receiver is a light node that is not interested in the topic.",
        },
        Explanation {
            code: "envelope.no_topic_match",
            rule: "A node of Waku with a topic interest takes only envelopes whose topic is in the list. After a change, it tolerates the old list for 10 seconds.",
            source: "Waku 1, Status options: topic-interest",
            causes: "The receiver is a light node that is not interested in the topic.",
        },
    ];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The result of one rule for one envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The verdict if this is the first rule that fails.
    pub verdict: Verdict,
    /// The short name of the rule.
    pub rule: &'static str,
    /// Whether the envelope passes.
    pub pass: bool,
    /// The value found, as text.
    pub found: String,
    /// The value expected, as text.
    pub expected: String,
}

/// Returns the seconds to add to the TTL for the proof of work of an envelope.
///
/// They are 0, except for envelopes from the near future, which would otherwise gain from a wrong
/// clock.
pub fn future_diff(sent: UnixSeconds, now: UnixSeconds) -> u32 {
    if sent > now && sent.wrapping_sub(SYNC_ALLOWANCE) <= now { sent.0 - now.0 + 1 } else { 0 }
}

/// Decides about an envelope with the proof of work `pow` (see [`Envelope::pow`] and
/// [`future_diff`]).
pub fn verdict(envelope: &Envelope, pow: f64, rules: &Rules) -> Verdict {
    let (now, sent, expiry) = (rules.now, envelope.sent(), envelope.expiry());
    if sent > now && sent.wrapping_sub(SYNC_ALLOWANCE) > now {
        Verdict::FromFuture
    } else if expiry < now && expiry.wrapping_add(2 * SYNC_ALLOWANCE) < now {
        Verdict::VeryOld
    } else if expiry < now {
        Verdict::Expired
    } else if envelope.size() > rules.max_message_size as usize {
        Verdict::Oversized
    } else if pow < rules.min_pow && pow < rules.min_pow_tolerance {
        Verdict::LowPow
    } else {
        rules.check_topic(envelope.topic())
    }
}

/// Checks every rule, in the order of the reference. The first one that fails decides: see
/// [`verdict`].
pub fn checks(envelope: &Envelope, pow: f64, rules: &Rules) -> Vec<Check> {
    let (now, sent, expiry) = (rules.now, envelope.sent(), envelope.expiry());
    let offset = |time: UnixSeconds| i64::from(time) - i64::from(now);
    vec![
        Check {
            verdict: Verdict::FromFuture,
            rule: "not from the future",
            pass: !(sent > now && sent.wrapping_sub(SYNC_ALLOWANCE) > now),
            found: format!("sent at {sent}, {:+} s from now", offset(sent)),
            expected: format!("at most {SYNC_ALLOWANCE} s after {now}"),
        },
        Check {
            verdict: Verdict::VeryOld,
            rule: "not very old",
            pass: !(expiry < now && expiry.wrapping_add(2 * SYNC_ALLOWANCE) < now),
            found: format!("expiry {expiry}, {:+} s from now", offset(expiry)),
            expected: format!("at most {} s before {now}", 2 * SYNC_ALLOWANCE),
        },
        Check {
            verdict: Verdict::Expired,
            rule: "not expired",
            pass: expiry >= now,
            found: format!("expiry {expiry}, {:+} s from now", offset(expiry)),
            expected: format!("{now} or later"),
        },
        Check {
            verdict: Verdict::Oversized,
            rule: "size",
            pass: envelope.size() <= rules.max_message_size as usize,
            found: format!("{} bytes", envelope.size()),
            expected: format!("at most {} bytes", rules.max_message_size),
        },
        Check {
            verdict: Verdict::LowPow,
            rule: "proof of work",
            pass: !(pow < rules.min_pow && pow < rules.min_pow_tolerance),
            found: format!("{pow}"),
            expected: format!("at least {}", rules.min_pow.min(rules.min_pow_tolerance)),
        },
        match &rules.topics {
            Some(topics) => Check {
                verdict: Verdict::NoTopicMatch,
                rule: "topic interest",
                pass: rules.check_topic(envelope.topic()) == Verdict::Accepted,
                found: format!("topic {}", envelope.topic()),
                expected: format!("one of the {} of the node", count(&topics.len(), "topic")),
            },
            None => Check {
                verdict: Verdict::NoBloomMatch,
                rule: "bloom filter",
                pass: rules.check_topic(envelope.topic()) == Verdict::Accepted,
                found: format!("topic {}", envelope.topic()),
                expected: match rules.bloom {
                    Some(_) => "a topic in the node's bloom filter".to_owned(),
                    None => "any topic (no bloom filter is set)".to_owned(),
                },
            },
        },
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_failed_check_is_the_verdict(
            expiry in 999_960u32..1_000_080, ttl in 0u32..100, len in 0usize..200, pow in 0.0..2.0,
            max in 20u32..200, min_pow in 0.0..2.0, tolerance in 0.0..2.0, topic: [u8; 4],
            filter: Option<[u8; 4]>, interest: Option<[u8; 4]>,
        ) {
            let envelope = Envelope::new(UnixSeconds(expiry), ttl, Topic(topic), &vec![0; len], 0);
            let bloom = filter.map(|topic| Bloom::from_topic(Topic(topic)));
            let rules = Rules {
                now: UnixSeconds(1_000_000),
                max_message_size: max,
                min_pow,
                min_pow_tolerance: tolerance,
                bloom,
                bloom_tolerance: bloom,
                topics: interest.map(|topic| Arc::new([Topic(topic)].into())),
                topics_tolerance: None,
            };
            let first = checks(&envelope, pow, &rules)
                .into_iter()
                .find(|check| !check.pass)
                .map_or(Verdict::Accepted, |check| check.verdict);
            prop_assert_eq!(first, verdict(&envelope, pow, &rules));
        }
    }

    #[test]
    fn future_envelopes_get_a_longer_ttl() {
        let diff = |sent, now| future_diff(UnixSeconds(sent), UnixSeconds(now));
        assert_eq!(diff(100, 100), 0);
        assert_eq!(diff(101, 100), 2);
        assert_eq!(diff(110, 100), 11);
        assert_eq!(diff(111, 100), 0); // rejected anyway
    }
}

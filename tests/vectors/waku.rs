//! Vectors of Waku: what codecs read and write, and how a node acts on it.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;
use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Topic},
    wire::{
        Cursor, Dialect, Packet, RateLimits, Status,
        p2p::RequestComplete,
        packet::{self, ReadResponse, code},
        waku::{Accepts, Options},
    },
};
use statuskit_net::node::{NodeConfig, RateLimit};

use crate::{
    case::{Case, Set, bytes},
    node::{self, World},
    whisper::p2p_request,
};

pub fn waku_packets(set: &mut Set) {
    let mut codes = [None; 2];
    set.one("envelope_error_codes", |case| {
        for (place, member) in codes.iter_mut().zip(["waku_0", "waku_1"]) {
            case.inner(member, |codes| {
                *place = Some(codes.u64("time_not_synced"));
                // The reference never sends it.
                assert_ne!(Some(codes.u64("other")), *place, "{codes}");
            });
        }
    });
    for ((member, dialect), code) in
        [("waku_0", Dialect::Waku0), ("waku_1", Dialect::Waku1)].into_iter().zip(codes)
    {
        let code = code.unwrap_or(dialect.error_code());
        set.one(member, |case| version(case, Reference { dialect, code }));
    }
}

/// The node of the reference that has made the vectors.
#[derive(Clone, Copy)]
struct Reference {
    dialect: Dialect,
    /// The code of its errors.
    code: u64,
}

impl Reference {
    /// A node of ours with the same settings, and its peer.
    fn node(self, now: u64, change: impl FnOnce(&mut NodeConfig)) -> World {
        let mut config = NodeConfig::default();
        config.waku_confirmations = true;
        // Other releases have others.
        config.error_code = (self.code != self.dialect.error_code()).then_some(self.code);
        change(&mut config);
        World::with_dialect(self.dialect, config, now)
    }

    fn status(self, options: Options) -> Vec<u8> {
        Packet::WakuStatus(options).encode_as(self.dialect)
    }
}

fn version(case: &Case<'_>, reference: Reference) {
    let dialect = reference.dialect;
    case.inner("capability", |capability| {
        assert_eq!(capability.str("name"), dialect.protocol());
        assert_eq!(capability.u64("version"), dialect.version());
        assert_eq!(capability.u64("length"), packet::PROTOCOL_LENGTH);
    });
    let now = case.u64("now");
    for (member, assert) in [
        ("sent", sent as fn(&Case<'_>, Reference, u64)),
        ("status_accept", status_accept),
        ("receive", receive),
        ("receive_checks", receive_check),
        ("broadcast", broadcast),
    ] {
        let cases = case.list(member);
        assert!(!cases.is_empty(), "{case}.{member}");
        for (index, value) in cases.iter().enumerate() {
            let inner = Case::new(format!("{case}.{member}[{index}]"), value);
            assert(&inner, reference, now);
            inner.finish();
        }
    }
}

fn sent(case: &Case<'_>, reference: Reference, now: u64) {
    let dialect = reference.dialect;
    let code = case.u64("code");
    let payload = case.hex("payload");
    let expected = sent_packet(case, code);
    assert_eq!(expected.code(), code, "{case}");
    assert_eq!(Packet::decode_as(dialect, code, &payload).as_ref(), Ok(&expected), "{case}");
    assert_eq!(expected.encode_as(dialect), payload, "{case}");
    sent_by_node(case, &expected, reference, now);
}

/// Asserts that a node of ours writes the same, but for the order of topics.
fn sent_by_node(case: &Case<'_>, expected: &Packet, reference: Reference, now: u64) {
    let written = |world: &mut World| match &world.replies()[..] {
        [(code, payload)] => Packet::decode_as(reference.dialect, *code, payload).unwrap(),
        other => panic!("{case}: {other:?}"),
    };
    let packet = match expected {
        Packet::WakuStatus(options) => {
            let mut world = reference.node(now, |config| {
                config.min_pow = options.min_pow.unwrap();
                config.waku_confirmations = options.confirmations.unwrap();
                config.light = options.light.unwrap();
                let RateLimits { ip, peer_id, topic } = options.rate_limits.unwrap();
                assert_eq!(topic, 0, "{case}");
                config.rate_limit = (ip > 0).then_some(RateLimit {
                    per_ip: ip as u32,
                    per_peer: peer_id as u32,
                    tolerance: 0,
                });
                match options.accepts.clone() {
                    Some(Accepts::Bloom(bloom)) => {
                        (config.bloom, config.bloom_mode) = (bloom, true)
                    }
                    Some(Accepts::Topics(topics)) => {
                        config.topics = Some(Arc::new(topics.into_iter().collect()));
                    }
                    None => {}
                }
            });
            written(&mut world)
        }
        Packet::StatusUpdate(options) => {
            let mut world = reference.node(now, |_| {});
            world.meet(&reference.status(Options::default()));
            world.clear();
            match (options.min_pow, options.accepts.clone()) {
                (Some(min_pow), None) => world.node.set_min_pow(min_pow, world.now),
                (None, Some(Accepts::Bloom(bloom))) => world.node.set_bloom(bloom, world.now),
                (None, Some(Accepts::Topics(topics))) => {
                    world.node.set_topics(topics.into_iter().collect(), world.now);
                }
                other => panic!("{case}: {other:?}"),
            }
            written(&mut world)
        }
        direct if direct.code() >= code::P2P_REQUEST_COMPLETE => {
            let mut world = reference.node(now, |_| {});
            world.meet(&reference.status(Options::default()));
            world.clear();
            world.node.send_packet(world.peer, direct, world.now).unwrap();
            written(&mut world)
        }
        _ => return,
    };
    assert_eq!(sorted(packet), sorted(expected.clone()), "{case}");
}

/// The order of topics is arbitrary, and the reference may send one twice.
fn sorted(mut packet: Packet) -> Packet {
    if let Packet::WakuStatus(options) | Packet::StatusUpdate(options) = &mut packet
        && let Some(Accepts::Topics(topics)) = &mut options.accepts
    {
        topics.sort_unstable();
        topics.dedup();
    }
    packet
}

fn sent_packet(case: &Case<'_>, code: u64) -> Packet {
    let envelopes = || -> Vec<_> {
        let raw = case.list("envelopes").iter().map(|value| bytes(value, &case.path()));
        raw.map(|raw| Envelope::decode(&raw).unwrap()).collect()
    };
    match code {
        code::STATUS => {
            let mut options = Options::default();
            case.inner("fields", |fields| {
                options = Options {
                    min_pow: Some(fields.f64("pow")),
                    accepts: accepts(fields),
                    light: Some(fields.bool("light")),
                    confirmations: Some(fields.bool("confirmations")),
                    rate_limits: Some(limits(fields.get("rate_limits"))),
                };
            });
            Packet::WakuStatus(options)
        }
        code::STATUS_UPDATE => {
            let min_pow = case.opt("pow").and_then(Value::as_f64);
            Packet::StatusUpdate(Options { min_pow, accepts: accepts(case), ..Options::default() })
        }
        code::MESSAGES => Packet::Messages(envelopes()),
        code::P2P_MESSAGE => Packet::P2pMessage(envelopes()),
        code::P2P_REQUEST => p2p_request(case, |case| topics(case.get("topics"))),
        code::P2P_REQUEST_COMPLETE => {
            let request = case.array("request_id");
            Packet::RequestComplete(match case.opt("error") {
                Some(text) => {
                    let text = text.as_str().unwrap().as_bytes().to_vec();
                    RequestComplete::Failure { request, text }
                }
                None => RequestComplete::Success {
                    request,
                    last: EnvelopeHash(case.array("last_envelope_hash")),
                    cursor: Cursor::from_bytes(&case.hex("cursor")),
                },
            })
        }
        other => panic!("{case}: no packet has code {other}"),
    }
}

fn status_accept(case: &Case<'_>, reference: Reference, now: u64) {
    let mut world = reference.node(now, |config| config.light = case.bool("local_light_mode"));
    world.packet(case.u64("code"), &case.hex("payload"));
    assert_eq!(!world.disconnected, case.bool("accepted"), "{case}");
    assert_eq!(world.disconnected, case.opt("error").is_some(), "{case}");
    check_state(case, &world);
}

/// Asserts what a packet changes, and what is answered.
fn receive(case: &Case<'_>, reference: Reference, now: u64) {
    let mut world =
        reference.node(now, |config| config.mailserver = case.bool("mailserver_enabled"));
    if case.bool("peer_trusted") {
        world.node.mark_trusted(world.peer);
    }
    let (min_pow, confirmations) = (Some(0.0), Some(true));
    world.meet(&reference.status(Options { min_pow, confirmations, ..Options::default() }));
    world.clear();
    world.packet(case.u64("code"), &case.hex("payload"));
    assert_eq!(world.disconnected, case.bool("disconnects"), "{case}");
    assert_eq!(world.disconnected, case.opt("error").is_some(), "{case}");
    assert_eq!(world.replies(), node::replies(case.value("replies")), "{case}");
    check_state(case, &world);
}

/// Asserts whether an envelope is taken, and the words of its refusal.
fn receive_check(case: &Case<'_>, reference: Reference, now: u64) {
    let topics_of = |member| {
        let topics: Option<HashSet<_>> =
            case.opt(member).map(|it| topics(it).into_iter().collect());
        topics.map(Arc::new)
    };
    let bloom = |member| case.opt_hex(member).map(|bits| Bloom(array(&bits)));
    let mut world = reference.node(now, |config| {
        (config.min_pow, config.min_pow_tolerance) = (0.0, 0.0);
        config.bloom_mode = case.bool("bloom_filter_mode");
        config.bloom = bloom("bloom_filter");
        config.bloom_tolerance = bloom("bloom_filter_tolerance");
        config.topics = topics_of("topic_interest");
        config.topics_tolerance = topics_of("topic_interest_tolerance");
    });
    world.meet(&reference.status(Options::default()));
    world.clear();
    let envelope = Envelope::decode(&case.hex("envelope")).unwrap();
    world.packet(1, &Packet::Messages(vec![envelope.clone()]).encode());
    let is_cached = world.node.pooled(&envelope.hash()).is_some();
    assert_eq!(is_cached, case.bool("cached"), "{case}");
    let replies = world.replies();
    let answer = Packet::decode_as(reference.dialect, replies[0].0, &replies[0].1).unwrap();
    let Packet::MessageResponse(ReadResponse::V1(answer)) = answer else { panic!("{answer:?}") };
    let told: Vec<_> = answer.errors.iter().map(|it| (it.code, it.description.as_str())).collect();
    let error = case.opt("error").map(|error| (reference.code, error.as_str().unwrap()));
    assert_eq!(told, error.into_iter().collect::<Vec<_>>(), "{case}");
    let class = case.opt("error_class").map(|class| class.as_str().unwrap());
    assert_eq!(class, (!is_cached).then_some("no_match"), "{case}");
}

fn broadcast(case: &Case<'_>, reference: Reference, now: u64) {
    let mut world = reference.node(now, |config| {
        (config.min_pow, config.min_pow_tolerance) = (0.0, 0.0);
    });
    world.meet(&case.hex("peer_status_payload"));
    world.clear();
    let envelope = Envelope::decode(&case.hex("envelope")).unwrap();
    world.node.send(envelope.clone(), world.now).unwrap();
    world.now += NodeConfig::DEFAULT_SEND_WINDOW;
    let packet = (code::MESSAGES, Packet::Messages(vec![envelope]).encode());
    let expected = if case.bool("forwarded") { vec![packet] } else { Vec::new() };
    assert_eq!(world.replies(), expected, "{case}");
}

/// Asserts what the node knows of its peer, if that is still connected.
fn check_state(case: &Case<'_>, world: &World) {
    let state = world.node.peer(world.peer).filter(|_| !world.disconnected);
    assert_eq!(state.is_some(), case.opt("peer_state").is_some(), "{case}");
    let Some(known) = state else { return };
    case.inner("peer_state", |state| {
        assert_state(state, &known.status.expect("has met"));
        assert_eq!(known.trusted, state.bool("trusted"), "{case}");
    });
}

fn assert_state(state: &Case<'_>, settings: &Status) {
    let bloom = state.opt_hex("bloom");
    if settings.topics.is_some() {
        assert!(bloom.is_none(), "{state}");
    } else {
        let bits = settings.bloom.map_or(Vec::new(), |bloom| bloom.0.to_vec());
        assert_eq!(bloom, Some(bits), "{state}");
    }
    match state.opt("topic_interest") {
        Some(expected) => {
            let expected: HashSet<_> = topics(expected).into_iter().collect();
            assert_eq!(settings.topics.as_deref(), Some(&expected), "{state}");
        }
        None if state.has("topic_interest_count") => {
            let count = settings.topics.as_ref().map(|topics| topics.len() as u64);
            assert_eq!(count, Some(state.u64("topic_interest_count")), "{state}");
        }
        None => assert_eq!(settings.topics, None, "{state}"),
    }
    assert_eq!(settings.confirmations, state.bool("confirmations_enabled"), "{state}");
    assert_eq!(settings.is_full_node(), state.bool("full_node"), "{state}");
    assert_eq!(settings.min_pow, state.f64("pow_requirement"), "{state}");
    assert_eq!(settings.rate_limits, limits(state.get("rate_limits")), "{state}");
}

fn accepts(case: &Case<'_>) -> Option<Accepts> {
    let topics = case.opt("topic_interest").map(|list| Accepts::Topics(topics(list)));
    let bloom = case.opt_hex("bloom").map(|bits| Accepts::Bloom(Some(Bloom(array(&bits)))));
    topics.or(bloom)
}

fn topics(value: &Value) -> Vec<Topic> {
    let topic = |value| Topic(array(&bytes(value, "topic")));
    value.as_array().unwrap().iter().map(topic).collect()
}

fn limits(value: &Value) -> RateLimits {
    let [ip, peer_id, topic] = [0, 1, 2].map(|i| value[i].as_u64().expect("a number"));
    RateLimits { ip, peer_id, topic }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("another length")
}

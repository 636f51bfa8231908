//! Vectors of Waku: what codecs and the settings of a peer decide.

use std::{collections::HashSet, io::Write as _};

use serde_json::Value;
use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Topic},
    wire::{
        Cursor, Dialect, Packet, RateLimits,
        p2p::RequestComplete,
        packet::{self, code},
        waku::{Accepts, Options, Settings},
    },
};

use crate::{
    case::{Case, Set, bytes},
    whisper::p2p_request,
};

/// Members that need a node of Waku. A test names them, so that they are not forgotten.
///
/// | member | needs |
/// | --- | --- |
/// | `receive.replies` | a node that answers |
/// | `receive_checks` | the node's own topic interest and filter, with their tolerances |
/// | `envelope_error_codes` | the codes of a node's answers; they differ between releases |
const PENDING: [&str; 3] = ["receive.replies", "receive_checks", "envelope_error_codes"];

pub fn waku_packets(set: &mut Set) {
    set.one("waku_0", |case| version(case, Dialect::Waku0));
    set.one("waku_1", |case| version(case, Dialect::Waku1));
    let _ = set.take("envelope_error_codes");
    let _ = writeln!(std::io::stderr(), "vectors waku_packets: PENDING {}", PENDING.join(", "));
}

fn version(case: &Case<'_>, dialect: Dialect) {
    case.inner("capability", |capability| {
        assert_eq!(capability.str("name"), dialect.protocol());
        assert_eq!(capability.u64("version"), dialect.version());
        assert_eq!(capability.u64("length"), packet::PROTOCOL_LENGTH);
    });
    case.skip("now");
    case.skip("receive_checks");
    for (member, assert) in [
        ("sent", sent as fn(&Case<'_>, Dialect)),
        ("status_accept", status_accept),
        ("receive", receive),
        ("broadcast", broadcast),
    ] {
        let cases = case.list(member);
        assert!(!cases.is_empty(), "{case}.{member}");
        for (index, value) in cases.iter().enumerate() {
            let inner = Case::new(format!("{case}.{member}[{index}]"), value);
            assert(&inner, dialect);
            inner.finish();
        }
    }
}

fn sent(case: &Case<'_>, dialect: Dialect) {
    let code = case.u64("code");
    let payload = case.hex("payload");
    let expected = sent_packet(case, code);
    assert_eq!(expected.code(), code, "{case}");
    assert_eq!(Packet::decode_as(dialect, code, &payload).as_ref(), Ok(&expected), "{case}");
    assert_eq!(expected.encode_as(dialect), payload, "{case}");
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

fn status_accept(case: &Case<'_>, dialect: Dialect) {
    let light = case.bool("local_light_mode");
    let accepted = case.bool("accepted");
    let decoded = Packet::decode_as(dialect, case.u64("code"), &case.hex("payload"));
    let mut settings = Settings::default();
    let taken = match &decoded {
        Ok(Packet::WakuStatus(options)) => {
            settings.apply(options.clone());
            !(light && settings.light)
        }
        _ => false,
    };
    assert_eq!(taken, accepted, "{case}: {decoded:?}");
    assert_eq!(!accepted, case.opt("error").is_some(), "{case}");
    if accepted {
        case.inner("peer_state", |state| {
            assert_state(state, &settings);
            assert!(!state.bool("trusted"));
        });
    } else {
        assert!(case.opt("peer_state").is_none(), "{case}");
    }
}

/// Asserts that a packet decodes, and the settings of the peer after it.
fn receive(case: &Case<'_>, dialect: Dialect) {
    let decoded = Packet::decode_as(dialect, case.u64("code"), &case.hex("payload"));
    // A packet that the situation demands to read, but that can't be read, ends a connection of
    // waku/0. Nodes of waku/1 skip it.
    let read = match case.u64("code") {
        code::P2P_MESSAGE | code::P2P_REQUEST_COMPLETE => case.bool("peer_trusted"),
        code::P2P_REQUEST => case.bool("mailserver_enabled"),
        // A second Status.
        code::STATUS => false,
        _ => true,
    };
    let disconnects = dialect == Dialect::Waku0 && read && decoded.is_err();
    assert_eq!(disconnects, case.bool("disconnects"), "{case}: {decoded:?}");
    assert_eq!(disconnects, case.opt("error").is_some(), "{case}");

    // The peer has announced confirmations, and no minimum.
    let mut settings = Settings::default();
    (settings.min_pow, settings.confirmations) = (0.0, true);
    if let Ok(Packet::StatusUpdate(options)) = decoded {
        settings.apply(options);
    }
    if case.opt("peer_state").is_some() {
        case.inner("peer_state", |state| {
            assert_state(state, &settings);
            assert_eq!(state.bool("trusted"), case.bool("peer_trusted"), "{case}");
        });
    }
    case.skip("peer_trusted");
    case.skip("mailserver_enabled");
    case.skip("replies");
}

fn broadcast(case: &Case<'_>, dialect: Dialect) {
    let status = Packet::decode_as(dialect, code::STATUS, &case.hex("peer_status_payload"));
    let Ok(Packet::WakuStatus(options)) = status else { panic!("{case}: {status:?}") };
    let mut settings = Settings::default();
    settings.apply(options);
    let envelope = Envelope::decode(&case.hex("envelope")).unwrap();
    let forwarded = envelope.pow(0) >= settings.min_pow && settings.accepts(envelope.topic());
    assert_eq!(forwarded, case.bool("forwarded"), "{case}");
}

fn assert_state(state: &Case<'_>, settings: &Settings) {
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
            assert_eq!(settings.topics.as_ref(), Some(&expected), "{state}");
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

//! Every golden vector through [`inspect`], without telling what it is.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

mod captures;
mod proof;

use proptest::prelude::*;
use serde_json::Value;
use statuskit_core::{
    chat,
    crypto::{SecretKey, seeded_rng},
    devp2p::Hello,
    discovery::{v4, v5},
    envelope::SymKey,
    mailserver::Request,
    payload::Wrapper,
    rlp,
    secure::ProtocolMessage,
    time::UnixMillis,
    wire::{Dialect, Packet, p2p::RequestComplete},
};
use statuskit_inspect::{Certainty, Field, InspectError, Inspection, KINDS, Options, inspect};

/// Members of the golden data and the kind of their bytes. `[]` is any item.
const MEMBERS: &[(&str, &str, &str)] = &[
    ("accounts.json", ".cases[].master_public_key", "account.chat_key"),
    ("accounts.json", ".import_without_validation[].chat_public_key", "account.chat_key"),
    ("accounts.json", ".path_parsing.cases[].public_key", "account.chat_key"),
    ("alias.json", ".cases[].public_key", "account.chat_key"),
    ("alias.json", ".known[].public_key", "account.chat_key"),
    ("bundles.json", ".cases[].encoded", "secure.bundle"),
    ("bundles.json", ".cases[].identity", "account.chat_key"),
    ("contact_code.json", ".cases[].decoded.bundles[].encoded", "secure.bundle"),
    ("contact_code.json", ".cases[].identity_public", "account.chat_key"),
    ("contact_code.json", ".cases[].wire", "secure.protocol_message"),
    ("dh_fallback.json", ".cases[].wire", "secure.protocol_message"),
    ("discovery.json", ".decode_cases[].packet", "discovery.packet"),
    ("discovery.json", ".enr.encode[].rlp", "devp2p.enr"),
    ("discovery.json", ".packets[].packet", "discovery.packet"),
    ("discovery.json", ".packets[].fields.pong", "discovery.packet"),
    ("discovery.json", ".scenarios[].steps[].packet", "discovery.packet"),
    ("discovery.json", ".scenarios[].steps[].replies[].packet", "discovery.packet"),
    ("discovery.json", ".scenarios[].steps[].sends[].packet", "discovery.packet"),
    ("discovery.json", ".tickets[].pong", "discovery.packet"),
    ("discovery.json", ".v4_packets[].packet", "discovery.packet"),
    ("double_ratchet.json", ".conversations[].devices[].identity_public", "account.chat_key"),
    ("double_ratchet.json", ".conversations[].events[].bundle", "secure.bundle"),
    ("double_ratchet.json", ".conversations[].events[].wire", "secure.protocol_message"),
    ("eips.json", ".calldata[].data", "eip.calldata"),
    ("eips.json", ".eip155[].raw", "eip.transaction"),
    ("eips.json", ".eip155[].signing_data", "eip.transaction"),
    ("eips.json", ".eip1577[].contenthash", "eip.contenthash"),
    ("envelope_asym.json", ".cases[].envelope.rlp", "whisper.envelope"),
    ("envelope_asym.json", ".cases[].plaintext", "whisper.message"),
    ("envelope_asym.json", ".cases[].signer_public_key", "account.chat_key"),
    ("envelope_invalid.json", ".checks[].envelope.rlp", "whisper.envelope"),
    ("envelope_invalid.json", ".checks[].packet.payload", "shh.messages"),
    ("envelope_invalid.json", ".checks[].packet.replies[]", "shh.*"),
    ("envelope_invalid.json", ".mixed_batch.payload", "shh.messages"),
    ("envelope_invalid.json", ".mixed_batch.replies[]", "shh.*"),
    ("envelope_sym.json", ".cases[].envelope.rlp", "whisper.envelope"),
    ("envelope_sym.json", ".cases[].plaintext", "whisper.message"),
    ("envelope_sym.json", ".cases[].signer_public_key", "account.chat_key"),
    ("envelope_sym.json", ".parse_cases[].envelope_rlp", "whisper.envelope"),
    ("group_events.json", ".histories[].message", "payload.membership_update_message"),
    ("group_events.json", ".histories[].shuffled.events[]", "group.event"),
    ("group_events.json", ".histories[].steps[].event.raw", "group.event"),
    ("group_events.json", ".merge[].merged[].raw", "group.event"),
    ("group_events.json", ".sets[].message", "payload.membership_update_message"),
    ("key_compression.json", ".cases[].compressed", "account.chat_key"),
    ("key_compression.json", ".cases[].public_key", "account.chat_key"),
    ("mailserver.json", ".archive_keys[].envelope", "whisper.envelope"),
    ("mailserver.json", ".complete_payloads[].packet", "shh.p2p_request_complete"),
    ("mailserver.json", ".complete_payloads[].payload", "mailserver.response"),
    ("mailserver.json", ".request_envelopes[].envelope", "whisper.envelope"),
    ("mailserver.json", ".request_envelopes[].packet.payload", "whisper.envelope"),
    ("mailserver.json", ".request_envelopes[].payload", "mailserver.request"),
    ("mailserver.json", ".request_payloads[].rlp", "mailserver.request"),
    ("mailserver.json", ".server.archived[].rlp", "whisper.envelope"),
    ("mailserver.json", ".server.cases[].pages[].packets[]", "shh.*"),
    ("mailserver.json", ".server.cases[].pages[].request_envelope", "whisper.envelope"),
    ("mailserver.json", ".server.cases[].pages[].request_payload", "mailserver.request"),
    ("mailserver.json", ".server.new_style_requests[].packets[]", "shh.*"),
    ("mailserver.json", ".server.new_style_requests[].request_packet", "shh.p2p_request"),
    ("mailserver.json", ".server.sync[].packets[]", "shh.*"),
    ("mailserver.json", ".server.sync[].request_packet", "shh.p2p_sync_request"),
    ("mailserver.json", ".server.waku_0[].packets[]", "waku.*"),
    ("mailserver.json", ".server.waku_0[].request_packet", "waku.p2p_request"),
    ("mvds.json", ".flows[].payloads[].encoded", "sync.payload"),
    ("mvds.json", ".payloads[].encoded", "sync.payload"),
    ("negotiated_topic.json", ".per_key[].public_key", "account.chat_key"),
    ("payloads.json", ".cases[].signer_public", "account.chat_key"),
    ("payloads.json", ".cases[].wrapped", "payload.wrapper"),
    ("payloads.json", ".wrapper_oddities[].wrapped", "payload.wrapper"),
    ("pow.json", ".cases[].rlp", "whisper.envelope"),
    ("pow.json", ".future_adjusted[].rlp", "whisper.envelope"),
    ("pow.json", ".sealed[].rlp", "whisper.envelope"),
    ("pow.json", ".ttl_zero.rlp", "whisper.envelope"),
    (
        "protocol_message.json",
        ".application_wrapper_read_as_protocol_message[].application_wrapper",
        "payload.wrapper",
    ),
    ("protocol_message.json", ".cases[].decoded.bundles[].encoded", "secure.bundle"),
    ("protocol_message.json", ".cases[].encoded", "secure.protocol_message"),
    ("rlpx.json", ".disconnect_reasons[].payload", "p2p.disconnect"),
    ("rlpx.json", ".eip8.ack[].packet", "rlpx.ack"),
    ("rlpx.json", ".eip8.auth[].packet", "rlpx.auth"),
    ("rlpx.json", ".eip8.hello.payload", "p2p.hello"),
    ("rlpx.json", ".handshakes[].ack_packet", "rlpx.ack"),
    ("rlpx.json", ".handshakes[].auth_packet", "rlpx.auth"),
    ("rlpx.json", ".hello[].payload", "p2p.hello"),
    ("shh_packets.json", ".broadcast[].envelope", "whisper.envelope"),
    ("shh_packets.json", ".receive[]", "shh.*"),
    ("shh_packets.json", ".sent[]", "shh.*"),
    ("shh_packets.json", ".sent[].envelope", "whisper.envelope"),
    ("shh_packets.json", ".sent[].envelopes[]", "whisper.envelope"),
    ("shh_packets.json", ".status_accept[]", "shh.*"),
    ("topics.json", ".contact_code[].public_key", "account.chat_key"),
    ("topics.json", ".partitioned[].public_key", "account.chat_key"),
    ("topics.json", ".personal_discovery[].public_key", "account.chat_key"),
    ("waku_packets.json", ".waku_0.broadcast[].envelope", "whisper.envelope"),
    ("waku_packets.json", ".waku_0.broadcast[].peer_status_payload", "waku.status"),
    ("waku_packets.json", ".waku_0.receive[]", "waku.*"),
    ("waku_packets.json", ".waku_0.sent[]", "waku.*"),
    ("waku_packets.json", ".waku_0.status_accept[]", "waku.*"),
    ("waku_packets.json", ".waku_1.broadcast[].peer_status_payload", "waku.status"),
    ("waku_packets.json", ".waku_1.receive[]", "waku.*"),
    ("waku_packets.json", ".waku_1.sent[]", "waku.*"),
    ("waku_packets.json", ".waku_1.status_accept[]", "waku.*"),
];

/// Kinds that share bytes: the one that was meant, the one that is named first, and why. The one
/// that was meant is then listed, and nothing is certain.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    ("rlpx.ack", "rlpx.auth", "encrypted, both are a length, a point and noise"),
    ("mailserver.request", "shh.p2p_sync_request", "five items of the same types"),
    ("shh.p2p_sync_request", "mailserver.request", "five items of the same types"),
    ("waku.message_response", "p2p.disconnect", "a list that begins with a number"),
    ("shh.p2p_request_complete", "shh.bloom_filter", "a string of 64 bytes"),
    ("shh.p2p_request_complete", "shh.batch_acknowledged", "a string of 32 bytes"),
    ("waku.p2p_request_complete", "shh.bloom_filter", "a string of 64 bytes"),
    ("waku.p2p_request_complete", "shh.p2p_request_complete", "the same packet in both"),
    ("waku.batch_acknowledged", "shh.batch_acknowledged", "the same packet in both"),
    ("waku.message_response", "shh.message_response", "the same packet in both"),
    ("waku.messages", "shh.messages", "the same packet in both"),
    ("waku.messages", "waku.status", "an empty list"),
    ("waku.p2p_message", "shh.messages", "the same list with two codes"),
    ("waku.p2p_message", "waku.status", "an empty list"),
    ("waku.p2p_request", "whisper.envelope", "the payload is an envelope and nothing else"),
    ("waku.status_update", "waku.status", "options, all of them or those that change"),
    ("waku.status", "waku.status_update", "options of Waku 1"),
    ("shh.p2p_message", "whisper.envelope", "one envelope without a list"),
    ("shh.p2p_message", "shh.messages", "the same list with two codes"),
    ("shh.p2p_message", "waku.status", "an empty list"),
    ("shh.p2p_request", "whisper.envelope", "the payload is an envelope and nothing else"),
    ("shh.messages", "waku.status", "an empty list"),
    ("p2p.disconnect", "shh.status", "a list with the number 6"),
    ("shh.status", "p2p.disconnect", "a list with the number 6"),
];

/// Members whose bytes say nothing by themselves, and why.
const NOTHING: &[(&str, &str, &str)] = &[
    ("mailserver.json", ".complete_payloads[].payload", "hashes are any bytes"),
    ("envelope_sym.json", ".cases[].plaintext", "without the padding of clients: any bytes"),
    ("envelope_asym.json", ".cases[].plaintext", "without the padding of clients: any bytes"),
    ("protocol_message.json", ".cases[].encoded", "one field is any protobuf"),
    ("payloads.json", ".wrapper_oddities[].wrapped", "its signature or its type means nothing"),
];

/// Returns whether a receiver refuses the bytes as well. What they are is then only a guess.
fn is_refused(kind: &str, bytes: &[u8]) -> bool {
    let packet = |dialect, name: &str| {
        let (code, _) = CODES.iter().find(|(_, known)| *known == name).unwrap();
        !matches!(Packet::decode_as(dialect, *code, bytes), Ok(it) if !matches!(it, Packet::Unknown { .. }))
    };
    match kind.split_once('.').unwrap() {
        ("discovery", _) => {
            v5::Packet::decode(bytes).is_err() && v4::Packet::decode(bytes).is_err()
        }
        ("shh", name) => packet(Dialect::Whisper, name),
        ("waku", name) => packet(Dialect::Waku0, name) && packet(Dialect::Waku1, name),
        ("p2p", "hello") => Hello::decode(bytes).is_err(),
        ("mailserver", "request") => {
            Request::decode(bytes).is_err() && Request::decode_raw(bytes).is_err()
        }
        ("mailserver", "response") => RequestComplete::decode(bytes).is_err(),
        ("payload", "wrapper") => Wrapper::decode(bytes).is_err(),
        ("secure", "protocol_message") => ProtocolMessage::decode(bytes).is_err(),
        _ => false,
    }
}

fn fixture(name: &str) -> Option<Value> {
    let dir = std::env::var_os("STATUSKIT_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")),
        PathBuf::from,
    );
    Some(serde_json::from_slice(&fs::read(dir.join(name)).ok()?).unwrap())
}

static ENVELOPES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| members(&fixture("envelope_sym.json").unwrap(), ".cases[].envelope.rlp"));

/// All bytes of the golden data, and a capture.
static VECTORS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut all = vec![captures::file()];
    for (file, path, kind) in MEMBERS {
        let Some(set) = fixture(file) else { continue };
        all.extend(cases(&set, path, kind).into_iter().map(|(bytes, _)| bytes));
    }
    all
});

/// Names of packets by their codes.
const CODES: &[(u64, &str)] = &[
    (0, "status"),
    (1, "messages"),
    (2, "pow_requirement"),
    (3, "bloom_filter"),
    (11, "batch_acknowledged"),
    (12, "message_response"),
    (20, "rate_limits"),
    (22, "status_update"),
    (123, "p2p_sync_request"),
    (124, "p2p_sync_response"),
    (125, "p2p_request_complete"),
    (126, "p2p_request"),
    (127, "p2p_message"),
];

/// Returns all members at a path.
fn values<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, is_list) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        let inner = found.into_iter().filter_map(|it| it.get(name));
        found = if is_list {
            inner.flat_map(|it| it.as_array().into_iter().flatten()).collect()
        } else {
            inner.collect()
        };
    }
    found
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// Returns the bytes of all members at a path.
fn members(value: &Value, path: &str) -> Vec<Vec<u8>> {
    values(value, path).into_iter().filter_map(Value::as_str).filter_map(bytes_of).collect()
}

/// Returns the bytes of all members at a path, each with its kind. For a kind that ends in `*`,
/// these are objects with the code and the payload of a packet.
fn cases(set: &Value, path: &str, kind: &str) -> Vec<(Vec<u8>, String)> {
    let Some(family) = kind.strip_suffix('*') else {
        return members(set, path).into_iter().map(|bytes| (bytes, kind.to_owned())).collect();
    };
    let objects = values(set, path).into_iter();
    objects
        .filter_map(|it| {
            let bytes = bytes_of(it["payload"].as_str()?)?;
            let code = it["code"].as_u64()?;
            let is_waku = family == "waku.";
            // The others are ignored there.
            if is_waku != matches!(code, 0 | 1 | 11 | 12 | 22 | 125..) && (is_waku || code == 22) {
                return None;
            }
            let (_, name) = CODES.iter().find(|(known, _)| *known == code)?;
            Some((bytes, format!("{family}{name}")))
        })
        .collect()
}

/// Asserts that what was found is right, or one of a few with a reason.
fn judge(
    (file, path): (&str, &str),
    bytes: &[u8],
    kind: &str,
    found: &Result<Inspection, InspectError>,
) -> Result<(), String> {
    let excused = NOTHING.iter().any(|(its, member, _)| (file, path) == (*its, *member));
    match found {
        Ok(it) if it.kind() == kind => Ok(()),
        Ok(it) => {
            let is_listed = it.candidates.iter().any(|other| other.kind == kind);
            let pair = AMBIGUOUS.iter().any(|(is, as_, _)| (*is, *as_) == (kind, it.kind()));
            let is_open = it.certainty() != Certainty::Certain;
            let is_fine = pair && is_listed || is_refused(kind, bytes) || excused;
            match is_fine && is_open || excused && it.kind() == "transit.message" {
                true => Ok(()),
                false => {
                    Err(format!("{} ({}), listed: {is_listed}", it.kind(), it.certainty().name()))
                }
            }
        }
        Err(_) if excused || is_refused(kind, bytes) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn golden_data_is_recognised() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (file, path, kind) in MEMBERS {
        let Some(set) = fixture(file) else { continue };
        let found = cases(&set, path, kind);
        assert!(!found.is_empty(), "{file}{path}: no bytes");
        for (bytes, kind) in found {
            count += 1;
            let found = inspect(&bytes, &Options::default());
            if let Ok(inspection) = &found {
                covers(inspection);
            }
            if let Err(error) = judge((file, path), &bytes, &kind, &found) {
                let shown = hex::encode(&bytes[..bytes.len().min(40)]);
                wrong.push(format!("{file}{path}: {kind}: {error}: {shown}"));
            }
        }
    }
    assert!(count > 2000 || std::env::var_os("STATUSKIT_FIXTURES").is_some(), "{count} cases");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Asserts that the fields of each layer are exactly the layer.
fn covers(inspection: &Inspection) {
    for layer in &inspection.layers {
        let size = inspection.buffers[layer.buffer].bytes.len();
        assert!(layer.offset + layer.length <= size, "{}: outside of its buffer", layer.kind);
        adjoin(&layer.fields, layer.offset, layer.offset + layer.length, &layer.kind);
    }
}

/// Asserts that the hexdump shows every byte of the input once per layer that has no deeper one.
#[test]
fn a_hexdump_shows_every_byte() {
    for bytes in ENVELOPES.iter() {
        let dump = inspect(bytes, &Options::default()).unwrap().to_hexdump(false);
        let digits: String = dump
            .lines()
            .filter(|line| line.get(6..8) == Some("  ") && hex::decode(&line[..6]).is_ok())
            .flat_map(|line| line[8..56].split_whitespace().collect::<Vec<_>>())
            .collect();
        assert_eq!(digits, hex::encode(bytes));
    }
}

fn adjoin(fields: &[Field], start: usize, end: usize, kind: &str) {
    let mut at = start;
    for field in fields {
        assert_eq!(field.offset, at, "{kind}: {}", field.name);
        at += field.length;
        for inner in &field.fields {
            let inside = inner.offset >= field.offset && inner.offset + inner.length <= at;
            assert!(inside, "{kind}: {} is not inside {}", inner.name, field.name);
        }
    }
    assert_eq!(at, end, "{kind}: its fields");
}

#[test]
fn an_envelope_is_opened_to_the_text() {
    let set = fixture("payloads.json").unwrap();
    assert!(!set["cases"].as_array().unwrap().is_empty());
    let chat = chat::PublicChat::new("status");
    let key = SecretKey::generate(&mut seeded_rng("author"));
    let destination = chat::Destination::public("status");
    let mut composer = chat::Composer::new(destination, Some(key));
    let options = chat::ComposeOptions::default();
    let mut rng = seeded_rng("inspect");
    let composed =
        composer.text("hello", &options, UnixMillis(1_585_500_000_000), &mut rng).unwrap();
    let raw = composed.envelope.raw();

    let closed = inspect(raw, &Options::default()).unwrap();
    assert_eq!((closed.kind(), closed.certainty()), ("whisper.envelope", Certainty::Likely));
    assert_eq!(closed.layers[0].stopped.as_ref().unwrap().code, "inspect.no_key");

    let mut options = Options::default();
    options.keys.ring.add_chat(&chat);
    let opened = inspect(raw, &options).unwrap();
    let kinds: Vec<_> = opened.layers.iter().map(|layer| &*layer.kind).collect();
    let expected =
        ["whisper.envelope", "whisper.message", "payload.wrapper", "payload.chat_message"];
    assert_eq!(kinds, expected);
    assert_eq!(opened.certainty(), Certainty::Certain);
    assert_eq!(opened.layers[1].opened_with.as_deref(), Some("chat status"));
    let text = opened.layers[3].fields.iter().find(|field| field.name == "text").unwrap();
    assert_eq!(text.value, "hello");
    covers(&opened);

    // One bit further it does not open, and says so.
    let mut damaged = raw.to_vec();
    damaged[40] ^= 1;
    let damaged = inspect(&damaged, &options).unwrap();
    assert_eq!(damaged.layers[0].stopped.as_ref().unwrap().code, "inspect.bad_tag");
    assert_eq!(damaged.certainty(), Certainty::Likely);
}

#[test]
fn a_cut_envelope_says_how_much_is_missing() {
    let set = fixture("envelope_sym.json").unwrap();
    for bytes in members(&set, ".cases[].envelope.rlp").iter().filter(|it| it.len() > 40) {
        let cut = inspect(&bytes[..bytes.len() - 7], &Options::default()).unwrap();
        assert_eq!((cut.kind(), cut.certainty()), ("whisper.envelope", Certainty::Possible));
        let stop = cut.layers[0].stopped.as_ref().unwrap();
        assert_eq!(stop.code, "inspect.truncated");
        assert!(stop.message.starts_with("7 bytes"), "{}", stop.message);
        covers(&cut);
    }
}

#[test]
fn only_kinds_that_are_listed_are_named() {
    let known: BTreeMap<_, _> = KINDS.iter().copied().collect();
    assert_eq!(known.len(), KINDS.len(), "each once");
    assert!(KINDS.is_sorted(), "in order");
    let named = MEMBERS.iter().filter(|(_, _, kind)| !kind.ends_with('*'));
    for (file, path, kind) in named {
        let kind = if kind.starts_with("payload.m") { &"payload.*" } else { kind };
        assert!(known.contains_key(kind), "{file}{path}: {kind}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
    let shown = inspect(xprv.as_bytes(), &Options::default()).unwrap();
    assert_eq!((shown.kind(), shown.certainty()), ("account.extended_key", Certainty::Certain));
    assert!(!shown.to_json().to_string().contains("xprv"));
    assert!(!shown.to_string().contains("xprv"));
}

#[test]
fn random_bytes_are_nothing() {
    let mut rng = seeded_rng("noise");
    let mut named = 0;
    for length in 1..400 {
        let mut bytes = vec![0; length];
        rand::Rng::fill_bytes(&mut rng, &mut bytes);
        if let Ok(it) = inspect(&bytes, &Options::default()) {
            assert_ne!(it.certainty(), Certainty::Certain, "{}", it.kind());
            named += 1;
        }
    }
    assert!(named < 8, "{named} of 399 have a reading");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_bytes_are_covered_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 1..600),
        key in any::<[u8; 32]>(),
        as_list in any::<bool>(),
    ) {
        if as_list {
            let mut list = Vec::new();
            rlp::put_list(&mut list, |out| out.extend_from_slice(&bytes));
            bytes = list;
        }
        let mut options = Options::default();
        if let Some(key) = SymKey::from_bytes(key) {
            options.keys.ring.add_sym_key(key);
        }
        if let Ok(inspection) = inspect(&bytes, &options) {
            covers(&inspection);
        }
    }

    /// The fields of each layer, put together, are the bytes of the layer: in everything that is
    /// like something we know.
    #[test]
    fn whatever_is_named_is_covered(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6),
        other in any::<prop::sample::Index>(),
    ) {
        let all = &*VECTORS;
        let mut bytes = all[which.index(all.len())].clone();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match edit {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_slice(&all[other.index(all.len())]),
            }
        }
        if let Ok(inspection) = inspect(&bytes, &Options::default()) {
            covers(&inspection);
            prop_assert_eq!(&inspection.buffers[0].bytes, &bytes);
            prop_assert_eq!(inspection.layers[0].length, bytes.len());
        }
    }

    #[test]
    fn mutated_vectors_are_never_certain_without_reason(
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        which in any::<prop::sample::Index>(),
    ) {
        let all = &*ENVELOPES;
        let mut bytes = all[which.index(all.len())].clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(inspection) = inspect(&bytes, &Options::default()) {
            covers(&inspection);
            prop_assert_ne!(inspection.certainty(), Certainty::Certain);
        }
    }
}

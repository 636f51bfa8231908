//! Every golden vector through [`inspect`], without telling what it is.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

use proptest::prelude::*;
use serde_json::Value;
use statuskit::{
    crypto::{SecretKey, seeded_rng},
    envelope::SymKey,
    inspect::{Certainty, Field, Inspection, KINDS, Options, inspect},
};
use statuskit_core::time::UnixMillis;

/// Members of the golden data and the kind of their bytes. `[]` is any item.
const MEMBERS: &[(&str, &str, &str)] = &[
    ("contact_code.json", ".cases[].identity_public", "account.chat_key"),
    ("envelope_asym.json", ".cases[].envelope.rlp", "whisper.envelope"),
    ("envelope_sym.json", ".cases[].envelope.rlp", "whisper.envelope"),
    ("envelope_sym.json", ".cases[].signer_public_key", "account.chat_key"),
    ("mailserver.json", ".request_envelopes[].envelope", "whisper.envelope"),
    ("mailserver.json", ".request_envelopes[].payload", "mailserver.request"),
    ("mailserver.json", ".server.archived[].rlp", "whisper.envelope"),
    ("mailserver.json", ".server.cases[].pages[].request_envelope", "whisper.envelope"),
    ("mailserver.json", ".server.new_style_requests[].request_packet", "shh.p2p_request"),
    ("mailserver.json", ".server.sync[].request_packet", "shh.p2p_sync_request"),
    ("pow.json", ".cases[].rlp", "whisper.envelope"),
    ("bundles.json", ".cases[].encoded", "secure.bundle"),
    ("contact_code.json", ".cases[].wire", "secure.protocol_message"),
    ("dh_fallback.json", ".cases[].wire", "secure.protocol_message"),
    ("double_ratchet.json", ".conversations[].events[].wire", "secure.protocol_message"),
    ("mvds.json", ".payloads[].encoded", "sync.payload"),
    ("payloads.json", ".cases[].wrapped", "payload.wrapper"),
    ("protocol_message.json", ".cases[].encoded", "secure.protocol_message"),
    ("rlpx.json", ".eip8.ack[].packet", "rlpx.ack"),
    ("rlpx.json", ".eip8.auth[].packet", "rlpx.auth"),
    ("rlpx.json", ".eip8.hello.payload", "p2p.hello"),
    ("rlpx.json", ".handshakes[].ack_packet", "rlpx.ack"),
    ("rlpx.json", ".handshakes[].auth_packet", "rlpx.auth"),
];

/// Members whose bytes have more than one reading: the kind is among them, and none is certain.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    ("rlpx.json", ".eip8.ack[].packet", "rlpx.ack"),
    ("rlpx.json", ".handshakes[].ack_packet", "rlpx.ack"),
    ("mailserver.json", ".server.sync[].request_packet", "shh.p2p_sync_request"),
];

fn fixture(name: &str) -> Option<Value> {
    let dir = std::env::var_os("STATUSKIT_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")),
        PathBuf::from,
    );
    Some(serde_json::from_slice(&fs::read(dir.join(name)).ok()?).unwrap())
}

static ENVELOPES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| members(&fixture("envelope_sym.json").unwrap(), ".cases[].envelope.rlp"));

/// Returns the bytes of all members at a path.
fn members(value: &Value, path: &str) -> Vec<Vec<u8>> {
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
    let texts = found.into_iter().filter_map(Value::as_str);
    texts.filter_map(|text| hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()).collect()
}

#[test]
fn golden_data_is_recognised() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (file, path, kind) in MEMBERS {
        let Some(set) = fixture(file) else { continue };
        let found = members(&set, path);
        assert!(!found.is_empty(), "{file}{path}: no bytes");
        for bytes in found {
            count += 1;
            let ambiguous = AMBIGUOUS.contains(&(file, path, kind));
            match inspect(&bytes, &Options::default()) {
                Ok(it) if it.kind() == *kind => covers(&it),
                Ok(it) if ambiguous && it.certainty() != Certainty::Certain => {
                    if !it.candidates.iter().any(|other| other.kind == *kind) {
                        wrong
                            .push(format!("{file}{path}: {kind} is no candidate of {}", it.kind()));
                    }
                }
                Ok(it) => wrong.push(format!("{file}{path}: {} is no {kind}", it.kind())),
                // Too little to tell: an empty message, or one field.
                Err(_) if bytes.len() < 12 && *kind == "secure.protocol_message" => {}
                Err(error) => wrong.push(format!("{file}{path}: {error}")),
            }
        }
    }
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
    let chat = statuskit::chat::PublicChat::new("status");
    let key = SecretKey::generate(&mut seeded_rng("author"));
    let destination = statuskit::chat::Destination::public("status");
    let mut composer = statuskit::chat::Composer::new(destination, Some(key));
    let options = statuskit::chat::ComposeOptions::default();
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
    for (file, path, kind) in MEMBERS {
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
            statuskit::rlp::put_list(&mut list, |out| out.extend_from_slice(&bytes));
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

//! Golden data that was damaged, texts, and what the keys of a case open.

use std::time::Duration;

use serde_json::Value;
use statuskit_core::{
    chat::PublicChat,
    crypto::{PublicKey, SecretKey, seeded_rng},
    devp2p::handshake::SessionKeys,
    envelope::{Draft, Recipient, SymKey, Topic, seal},
    secure::{Device, MemoryStore, Timestamp},
    time::{UnixMillis, UnixSeconds},
};
use statuskit_inspect::{
    Certainty, InspectError, Inspection, Options, State, inspect, inspect_text,
};

use crate::{AMBIGUOUS, MEMBERS, bytes_of, cases, covers, fixture, members, values};

/// The cases of each member that are damaged.
const SAMPLE: usize = 6;

/// Asserts that a damaged vector is what it was, or open to doubt; that whatever is said covers it.
fn is_never_wrong(bytes: &[u8], kind: &str, what: &str) -> bool {
    match inspect(bytes, &Options::default()) {
        Ok(found) => {
            covers(&found);
            let pair = (kind, found.kind());
            let is_right = found.kind() == kind
                || AMBIGUOUS.iter().any(|(is, named, _)| (*is, *named) == pair);
            assert!(
                is_right || found.certainty() != Certainty::Certain,
                "{what}: a certain {} instead of {kind}",
                found.kind()
            );
            is_right || found.candidates.iter().any(|other| other.kind == kind)
        }
        Err(error) => {
            assert!(matches!(error, InspectError::Unknown { .. }), "{what}: {error}");
            false
        }
    }
}

#[test]
fn damaged_vectors_are_never_certain_of_something_else() {
    let (mut told, mut all) = (0_usize, 0_usize);
    for (file, path, kind) in MEMBERS {
        let Some(set) = fixture(file) else { continue };
        let found = cases(&set, path, kind);
        let step = found.len().div_ceil(SAMPLE).max(1);
        for (bytes, kind) in found.iter().step_by(step) {
            // Transit JSON in the place of a wrapper, on purpose.
            if bytes.len() < 2 || *kind == "payload.wrapper" && bytes.starts_with(b"[\"~#") {
                continue;
            }
            let what = |how: &str| format!("{file}{path}, {} bytes, {how}", bytes.len());
            for cut in [bytes.len() - 1, bytes.len() / 2] {
                is_never_wrong(&bytes[..cut], kind, &what("cut"));
            }
            for at in [0, bytes.len() / 3, bytes.len() - 1] {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                all += 1;
                told += usize::from(is_never_wrong(&flipped, kind, &what("one bit flipped")));
            }
        }
    }
    // Most of them are still told; the others have lost their only mark.
    assert!(told * 2 > all, "{told} of {all}");
}

/// Members that are texts. Those that have no such kind are refused.
const TEXTS: &[(&str, &str, &str)] = &[
    ("accounts.json", ".cases[].master_xprv", "account.extended_key"),
    ("discovery.json", ".enode_urls[].v4.text", "devp2p.enode"),
    ("discovery.json", ".enr.encode[].text", "devp2p.enr"),
    ("eips.json", ".bip32[].xprv", "account.extended_key"),
    ("eips.json", ".bip32[].xpub", "account.extended_key"),
    ("eips.json", ".eip681[].uri", "eip.link"),
    ("key_compression.json", ".cases[].serialized.z", "account.chat_key"),
    ("key_compression.json", ".documented[].serialized_z", "account.chat_key"),
    ("keystore.json", ".cases[].keyfile", "account.key_file"),
];

#[test]
fn texts_are_recognised() {
    for (file, path, kind) in TEXTS {
        let Some(set) = fixture(file) else { continue };
        let texts: Vec<_> = values(&set, path).into_iter().filter_map(Value::as_str).collect();
        assert!(!texts.is_empty(), "{file}{path}: no texts");
        for text in texts {
            // The reference names peers without an address, too.
            if *kind == "devp2p.enode" && !text.contains('@') || text.is_empty() {
                continue;
            }
            let found = inspect_text(text, &Options::default());
            let found = found.unwrap_or_else(|error| panic!("{file}{path}: {text}: {error}"));
            covers(&found);
            assert_eq!(found.kind(), *kind, "{file}{path}: {text}");
        }
    }
    // One character further, a checksum or a signature fails.
    let set = fixture("discovery.json").unwrap();
    for text in values(&set, ".enr.encode[].text").into_iter().filter_map(Value::as_str) {
        let damaged = text.replace("enr:-I", "enr:-J");
        if damaged != text
            && let Ok(found) = inspect_text(&damaged, &Options::default())
        {
            assert_ne!(found.certainty(), Certainty::Certain, "{damaged}");
        }
    }
}

fn secret(value: &Value) -> SecretKey {
    let bytes = bytes_of(value.as_str().unwrap()).unwrap();
    SecretKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

/// Returns the bytes of the layers of a kind.
fn bytes_in<'a>(found: &'a Inspection, kind: &str) -> Vec<&'a [u8]> {
    let layers = found.layers.iter().filter(|layer| layer.kind == kind);
    let bytes = |layer: &'a statuskit_inspect::Layer| {
        &found.buffers[layer.buffer].bytes[layer.offset..layer.offset + layer.length]
    };
    layers.map(bytes).collect()
}

#[test]
fn envelopes_open_with_the_keys_of_their_cases() {
    for (file, path, key, is_sym) in [
        ("envelope_sym.json", ".cases[]", "sym_key", true),
        ("envelope_asym.json", ".cases[]", "recipient_private_key", false),
    ] {
        let Some(set) = fixture(file) else { continue };
        for case in values(&set, path) {
            let mut options = Options::default();
            let bytes = bytes_of(case[key].as_str().unwrap()).unwrap();
            match is_sym {
                true => {
                    let key = SymKey::from_bytes(bytes.try_into().unwrap()).unwrap();
                    options.keys.ring.add_sym_key(key);
                }
                false => options.keys.ring.add_identity(secret(&case[key])),
            }
            let envelope = bytes_of(case["envelope"]["rlp"].as_str().unwrap()).unwrap();
            let found = inspect(&envelope, &options).unwrap();
            covers(&found);
            assert_eq!(found.certainty(), Certainty::Certain, "{file}: {}", case["name"]);
            let Some(plaintext) = case["plaintext"].as_str().and_then(bytes_of) else { continue };
            assert_eq!(bytes_in(&found, "whisper.message"), [plaintext], "{}", case["name"]);
        }
    }
    let set = fixture("mailserver.json").unwrap();
    let mut requests = 0;
    for case in values(&set, ".request_envelopes[]") {
        let Some(key) = case["sym_key"].as_str().and_then(bytes_of) else { continue };
        let mut options = Options::default();
        options.keys.ring.add_sym_key(SymKey::from_bytes(key.try_into().unwrap()).unwrap());
        let envelope = bytes_of(case["envelope"].as_str().unwrap()).unwrap();
        let found = inspect(&envelope, &options).unwrap();
        let payload = bytes_of(case["payload"].as_str().unwrap()).unwrap();
        assert_eq!(bytes_in(&found, "mailserver.request"), [payload]);
        requests += 1;
    }
    assert!(requests > 0);
}

#[test]
fn contact_codes_open_with_the_key_of_their_owner() {
    let mut rng = seeded_rng("contact code");
    let key = SecretKey::generate(&mut rng);
    let code = statuskit_core::account::ContactCode::from_key(&key.public_key());
    let draft = Draft {
        topic: code.topic,
        now: UnixSeconds(100),
        ttl: 10,
        payload: b"hello",
        signer: None,
    };
    let sym = SymKey::from_password(&code.name);
    let envelope = seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap();
    let mut options = Options::default();
    options.keys.add_contact(key.public_key());
    let found = inspect(envelope.raw(), &options).unwrap();
    assert_eq!(&*found.layers[1].kind, "whisper.message");
    let owner = format!("contact code of {}", key.public_key());
    assert_eq!(found.layers[1].opened_with.as_deref(), Some(&*owner));

    // The topics of contact discovery are known to all.
    let draft = Draft { topic: Topic::from_name("contact-discovery-4999"), ..draft };
    let envelope = seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap();
    let found = inspect(envelope.raw(), &options).unwrap();
    let topic = found.layers[0].checks.iter().find(|check| check.rule == "topic").unwrap();
    assert!(topic.found.contains("contact-discovery-4999"), "{}", topic.found);
    assert!(found.layers[0].stopped.as_ref().unwrap().hint.contains("--identity"));

    // A key of the topic that fails is named.
    let draft = Draft { topic: Topic::from_name("status"), ..draft };
    let envelope = seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap();
    options.keys.ring.add_chat(&PublicChat::new("status"));
    let found = inspect(envelope.raw(), &options).unwrap();
    let stopped = found.layers[0].stopped.as_ref().unwrap();
    assert_eq!(stopped.code, "inspect.bad_tag");
    assert!(stopped.message.contains("chat status"), "{}", stopped.message);
}

#[test]
fn messages_to_an_identity_open_with_its_key() {
    let set = fixture("dh_fallback.json").unwrap();
    for case in values(&set, ".cases[]") {
        let mut options = Options::default();
        options.keys.ring.add_identity(secret(&case["recipient_identity_private"]));
        let wire = bytes_of(case["wire"].as_str().unwrap()).unwrap();
        let found = inspect(&wire, &options).unwrap();
        covers(&found);
        let outer = &found.layers[0];
        assert_eq!(
            (&*outer.kind, outer.certainty),
            ("secure.protocol_message", Certainty::Certain)
        );
        // What is inside is plain bytes: that it was opened is said where no layer is.
        let opened = outer.opened_with.is_some() || found.layers.iter().any(|it| it.buffer > 0);
        assert!(opened, "{:?}", outer.stopped);
    }
}

#[test]
fn handshakes_and_frames_open_with_the_secrets_of_their_cases() {
    let set = fixture("rlpx.json").unwrap();
    let mut frames = 0;
    for case in values(&set, ".handshakes[]") {
        let text = |name: &str| case[name].as_str().unwrap();
        let mut options = Options::default();
        options.keys.nodes.push(secret(&case["initiator_static_private_key"]));
        options.keys.nodes.push(secret(&case["responder_static_private_key"]));
        for (name, kind) in [("auth_packet", "rlpx.auth"), ("ack_packet", "rlpx.ack")] {
            let found = inspect(&bytes_of(text(name)).unwrap(), &options).unwrap();
            assert_eq!((found.kind(), found.certainty()), (kind, Certainty::Certain));
        }
        let line = serde_json::json!({
            "type": "rlpx_keys",
            "initiator": true,
            "remote": text("responder_static_public_key"),
            "aes_secret": text("aes_secret"),
            "mac_secret": text("mac_secret"),
            "initiator_nonce": text("initiator_nonce"),
            "responder_nonce": text("responder_nonce"),
            "auth": text("auth_packet"),
            "ack": text("ack_packet"),
        });
        options.keys.frames.push(SessionKeys::from_line(&line.to_string()).unwrap());
        for (direction, first) in
            [("initiator_to_responder", "auth_packet"), ("responder_to_initiator", "ack_packet")]
        {
            let mut stream = bytes_of(text(first)).unwrap();
            let mut codes = Vec::new();
            for frame in case["frames"].as_array().unwrap() {
                if frame["direction"] == direction {
                    stream.extend(bytes_of(frame["frame"].as_str().unwrap()).unwrap());
                    codes.push(frame["code"].to_string());
                }
            }
            let found = inspect(&stream, &options).unwrap();
            covers(&found);
            assert_eq!(found.kind(), "rlpx.stream");
            let read: Vec<_> = found
                .layers
                .iter()
                .filter(|layer| layer.kind == "rlpx.frame")
                .map(|layer| layer.checks[0].found.clone())
                .collect();
            assert_eq!(read, codes);
            assert!(found.layers.iter().any(|layer| layer.kind == "p2p.hello"));
            assert!(found.layers.iter().any(|layer| layer.kind == "shh.status"));
            frames += read.len();
        }
    }
    assert!(frames > 40, "{frames}");
}

#[test]
fn a_state_reads_sessions_and_stays_as_it_is() {
    let mut rng = seeded_rng("state");
    let now = Timestamp::from_millis(UnixMillis(1_585_500_000_000));
    let later = |seconds| {
        let start = UnixMillis(1_585_500_000_000);
        Timestamp::from_millis(start.saturating_add(Duration::from_secs(seconds)))
    };
    let (alice, bob) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let device = |key: &SecretKey, rng: &mut _| {
        Device::open(MemoryStore::new(), key.clone(), None, rng).unwrap()
    };
    let (mut of_alice, mut of_bob) = (device(&alice, &mut rng), device(&bob, &mut rng));
    let bundle = of_bob.bundle(now, &mut rng).unwrap();
    of_alice.learn(&bundle).unwrap();
    // A payload that is recognised by itself.
    let set = fixture("payloads.json").unwrap();
    let payload = members(&set, ".cases[].wrapped").remove(0);
    let wires: Vec<_> = (0..3)
        .map(|number| {
            let sent = of_alice.encrypt_to(&bob.public_key(), &payload, later(number), &mut rng);
            sent.unwrap().message.into_raw()
        })
        .collect();
    // Only the first has arrived.
    of_bob.decrypt(&alice.public_key(), &wires[0], &mut rng).unwrap().content.unwrap();
    let snapshot = of_bob.into_store();

    let mut options = Options::default();
    options.keys.states.push(State::new(bob.clone(), snapshot.clone()));
    // In any order, and as often as one likes.
    for wire in [&wires[2], &wires[1], &wires[2]] {
        let found = inspect(wire, &options).unwrap();
        covers(&found);
        assert_eq!(bytes_in(&found, "payload.wrapper"), [payload.as_slice()]);
        let opened = found.layers.iter().find(|it| it.kind == "payload.wrapper").unwrap();
        assert!(opened.opened_with.as_deref().unwrap().contains("session"));
    }
    let key: PublicKey = bob.public_key();
    assert!(format!("{:?}", options.keys.states).contains(&key.to_string()));
    // Without the state, the reason is told.
    let closed = inspect(&wires[1], &Options::default()).unwrap();
    assert_eq!(closed.layers[0].stopped.as_ref().unwrap().code, "inspect.no_session");
    // Another identity has no session.
    options.keys.states = vec![State::new(bob, MemoryStore::new())];
    let stranger = inspect(&wires[1], &options).unwrap();
    assert_eq!(stranger.layers[0].stopped.as_ref().unwrap().code, "inspect.no_session");
}

#[test]
fn calls_and_answers_of_nodes_are_read_and_their_bytes_opened() {
    let set = fixture("envelope_sym.json").unwrap();
    let envelope = &members(&set, ".cases[].envelope.rlp")[3];
    let set = fixture("eips.json").unwrap();
    let transaction = &members(&set, ".eip155[].raw")[0];
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [hex(transaction)],
    });
    let found = inspect_text(&call.to_string(), &Options::default()).unwrap();
    covers(&found);
    assert_eq!((found.kind(), found.certainty()), ("rpc.message", Certainty::Certain));
    assert_eq!(bytes_in(&found, "eip.transaction"), [transaction.as_slice()]);
    assert_eq!(found.buffers[1].method, "hex of $.params[0]");

    let set = fixture("payloads.json").unwrap();
    let payload = members(&set, ".cases[].wrapped").remove(0);
    let answer = serde_json::json!([{
        "jsonrpc": "2.0",
        "id": "a",
        "result": [{ "topic": "0xcd423760", "payload": hex(&payload), "hash": hex(&[7; 32]) }],
    }]);
    let found = inspect_text(&serde_json::to_string_pretty(&answer).unwrap(), &Options::default());
    let found = found.unwrap();
    covers(&found);
    assert_eq!(bytes_in(&found, "payload.wrapper"), [payload.as_slice()]);

    // Secrets that are arguments are not shown.
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "shh_addPrivateKey", "params": [hex(&[0x5a; 32])],
    });
    let found = inspect_text(&call.to_string(), &Options::default()).unwrap();
    assert!(!found.to_json().to_string().contains("5a5a5a"), "{found}");

    let record = serde_json::json!({ "type": "envelope", "topic": "0x1", "raw": hex(envelope) });
    let found = inspect_text(&record.to_string(), &Options::default()).unwrap();
    covers(&found);
    assert_eq!((found.kind(), found.certainty()), ("statuskit.record", Certainty::Likely));
    assert_eq!(bytes_in(&found, "whisper.envelope"), [envelope.as_slice()]);
    // Any other document is none of these.
    for other in
        ["{}", "[]", "{\"type\":\"cat\",\"raw\":\"0x00\"}", "[1,2]", "{\"jsonrpc\":\"2.0\"}"]
    {
        assert!(inspect_text(other, &Options::default()).is_err(), "{other}");
    }
}

/// The transcripts of a node, if the set has them.
#[test]
fn transcripts_of_a_node_are_named() {
    let Some(set) = fixture("jsonrpc.json") else { return };
    let mut named = 0;
    for case in values(&set, ".cases[]") {
        for side in ["request", "response"] {
            let Some(body) = case[side]["body"].as_str() else { continue };
            let Ok(value) = serde_json::from_str::<Value>(body) else { continue };
            let found = inspect_text(body.trim(), &Options::default());
            if let Ok(found) = &found {
                covers(found);
                assert_eq!(found.kind(), "rpc.message", "{body}");
                named += 1;
            } else {
                // Only what says neither its version nor a method that is known.
                let is_whole = value["jsonrpc"] == "2.0"
                    && ["method", "result", "error"].iter().any(|name| value.get(name).is_some());
                assert!(
                    !is_whole || !value["method"].is_string() && value.get("method").is_some(),
                    "{body}"
                );
            }
        }
    }
    assert!(named > 500, "{named}");
}

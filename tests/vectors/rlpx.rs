//! Vectors of RLPx: `rlpx.json`.
//!
//! Everything is rebuilt from the given keys, nonces and plaintexts, not only parsed.

use serde_json::Value;
use statuskit_core::{
    crypto::{PublicKey, SecretKey, ecies, keccak256},
    devp2p::{
        base::{DisconnectReason, Hello, HelloError, VERSION},
        capability::{Capability, Protocol, shared_protocols},
        frame::{Frame, FrameReader, FrameWriter, MAX_BODY},
        handshake::{
            Ack, Auth, Format, Initiator, Randomness, ReceivedAuth, Responder, Secrets, Step,
        },
        snappy,
    },
    rlp::Reader,
};

/// Asserts every member of the set, and returns each with its number of cases.
pub fn rlpx(set: &Value) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    let mut frames = 0;
    let mut list = |name: &'static str, case: &mut dyn FnMut(&Value)| {
        if let Some(cases) = set[name].as_array() {
            cases.iter().for_each(&mut *case);
            counts.push((name, cases.len()));
        }
    };
    list("handshakes", &mut |case| frames += handshake(case));
    list("hello", &mut hello);
    list("capability_offsets", &mut capability_offsets);
    list("disconnect_reasons", &mut disconnect_reason);
    if frames > 0 {
        counts.push(("handshakes.frames", frames));
    }
    if set["eip8"].is_object() {
        counts.push(("eip8", eip8(&set["eip8"])));
    }
    counts
}

/// Asserts both packets, the secrets, the MAC states and all frames. Returns the number of frames.
fn handshake(case: &Value) -> usize {
    let name = text(case, "name");
    let format = match text(case, "format") {
        "eip8" => Format::Eip8,
        "plain" => Format::Plain,
        other => panic!("{name}: format {other}"),
    };
    let initiator = secret(case, "initiator_static_private_key");
    let responder = secret(case, "responder_static_private_key");
    assert_eq!(initiator.public_key(), public(case, "initiator_static_public_key"), "{name}");
    assert_eq!(responder.public_key(), public(case, "responder_static_public_key"), "{name}");

    // Intermediate values.
    let nonce: [u8; 32] = array(case, "initiator_nonce");
    let responder_nonce: [u8; 32] = array(case, "responder_nonce");
    let initiator_ephemeral = secret(case, "initiator_ephemeral_private_key");
    let responder_ephemeral = secret(case, "responder_ephemeral_private_key");
    let token = initiator.ecdh(&responder.public_key());
    assert_eq!(token.as_bytes()[..], bytes(case, "static_shared_secret"), "{name}");
    let signed: [u8; 32] = std::array::from_fn(|i| token.as_bytes()[i] ^ nonce[i]);
    assert_eq!(signed[..], bytes(case, "signed_message"), "{name}");
    let signature = initiator_ephemeral.sign_digest(&signed);
    assert_eq!(signature.as_bytes()[..], bytes(case, "auth_signature"), "{name}");
    let ephemeral = initiator_ephemeral.ecdh(&responder_ephemeral.public_key());
    assert_eq!(ephemeral.as_bytes()[..], bytes(case, "ecdhe_secret"), "{name}");
    let nonces = keccak256(&[responder_nonce, nonce].concat());
    let shared = keccak256(&[*ephemeral.as_bytes(), nonces].concat());
    assert_eq!(shared[..], bytes(case, "shared_secret"), "{name}");

    // The packets, byte for byte, and their content.
    let auth_packet = bytes(case, "auth_packet");
    let ack_packet = bytes(case, "ack_packet");
    for (key, packet, plaintext) in [
        (&responder, &auth_packet, bytes(case, "auth_plaintext")),
        (&initiator, &ack_packet, bytes(case, "ack_plaintext")),
    ] {
        let (s2, message) = packet.split_at(if format == Format::Eip8 { 2 } else { 0 });
        assert_eq!(*ecies::decrypt(key, message, s2).unwrap(), plaintext, "{name}");
    }
    let state = Initiator::with(
        &initiator,
        responder.public_key(),
        format,
        Randomness {
            ephemeral: initiator_ephemeral.clone(),
            nonce,
            ecies_ephemeral: secret(case, "auth_ecies_ephemeral_private_key"),
            ecies_iv: array(case, "auth_ecies_iv"),
            padding: padding(format, &bytes(case, "auth_plaintext")),
        },
    );
    assert_eq!(hex::encode(state.auth()), hex::encode(&auth_packet), "{name}: auth");
    let received = receive_auth(&responder, &auth_packet);
    assert_eq!(received.remote(), initiator.public_key(), "{name}");
    assert_eq!((received.auth().format, received.auth().nonce), (format, nonce), "{name}");
    assert_eq!(received.auth().signature, signature, "{name}");
    let (ack, responder_secrets) = received.accept_with(Randomness {
        ephemeral: responder_ephemeral,
        nonce: responder_nonce,
        ecies_ephemeral: secret(case, "ack_ecies_ephemeral_private_key"),
        ecies_iv: array(case, "ack_ecies_iv"),
        padding: padding(format, &bytes(case, "ack_plaintext")),
    });
    assert_eq!(hex::encode(ack), hex::encode(&ack_packet), "{name}: ack");
    let initiator_secrets = receive_ack(state, &ack_packet);

    // The secrets.
    assert_eq!(initiator_secrets.remote(), responder.public_key(), "{name}");
    for secrets in [&initiator_secrets, &responder_secrets] {
        assert_eq!(secrets.aes()[..], bytes(case, "aes_secret"), "{name}");
        assert_eq!(secrets.mac()[..], bytes(case, "mac_secret"), "{name}");
    }
    let egress = bytes(case, "initiator_egress_mac_digest");
    let ingress = bytes(case, "initiator_ingress_mac_digest");
    assert_eq!(initiator_secrets.egress().digest()[..], egress, "{name}");
    assert_eq!(initiator_secrets.ingress().digest()[..], ingress, "{name}");
    assert_eq!(responder_secrets.ingress().digest()[..], egress, "{name}");
    assert_eq!(responder_secrets.egress().digest()[..], ingress, "{name}");

    // The frames, in order in each direction.
    let mut initiator = initiator_secrets.into_frames(MAX_BODY);
    let mut responder = responder_secrets.into_frames(MAX_BODY);
    let frames = case["frames"].as_array().map_or(&[][..], Vec::as_slice);
    for case in frames {
        match text(case, "direction") {
            "initiator_to_responder" => frame(name, case, &mut initiator.0, &mut responder.1),
            "responder_to_initiator" => frame(name, case, &mut responder.0, &mut initiator.1),
            other => panic!("{name}: direction {other}"),
        }
    }
    frames.len()
}

fn frame(handshake: &str, case: &Value, writer: &mut FrameWriter, reader: &mut FrameReader) {
    let name = format!("{handshake}, {}", text(case, "name"));
    let payload = payload(&case["payload"]);
    let compressed = case["snappy"].as_bool().unwrap();
    let code = number(case, "code");
    // Compressors differ, so the frame is rebuilt from the given block.
    let on_wire = if compressed { bytes(case, "compressed_payload") } else { payload.clone() };
    let expected = bytes(case, "frame");
    let mut written = Vec::new();
    writer.encode(code, &on_wire, &mut written).unwrap();
    assert_eq!(hex::encode(&written), hex::encode(&expected), "{name}");

    let mut input = &expected[..];
    let Frame { code: read_code, payload: read } = reader.read(&mut input).unwrap().unwrap();
    assert!(input.is_empty(), "{name}");
    assert_eq!(read_code, code, "{name}");
    if compressed {
        assert!(snappy::decompress(&read, snappy::MAX_LENGTH).unwrap() == payload, "{name}");
        let ours = snappy::compress(&payload).unwrap();
        assert!(snappy::decompress(&ours, snappy::MAX_LENGTH).unwrap() == payload, "{name}");
    } else {
        assert!(read == payload, "{name}");
    }
    let digest = bytes(case, "writer_egress_mac_digest_after");
    assert_eq!(writer.mac_digest()[..], digest, "{name}");
    assert_eq!(reader.mac_digest()[..], digest, "{name}");
}

fn hello(case: &Value) {
    let name = text(case, "name");
    let payload = payload(&case["payload"]);
    let result = Hello::from_first_message(number(case, "code"), &payload);
    assert_eq!(result.is_ok(), case["accepted"].as_bool().unwrap(), "{name}: {result:?}");
    match result {
        Ok(hello) => hello_fields(name, case, &hello, &payload),
        // Texts are the reference's wording, unless they name a reason that was received or sent.
        Err(error) => {
            let said = match &error {
                HelloError::Disconnected(reason) => Some(*reason),
                other => other.answer(),
            };
            let theirs = case["error"].as_str().unwrap_or_default();
            let mut reasons = (0..=16).map(DisconnectReason::from_code);
            match reasons.find(|reason| reason.to_string() == theirs) {
                Some(reason) => assert_eq!(said, Some(reason), "{name}: {error}"),
                None => assert_eq!(error.answer(), None, "{name}: {error}"),
            }
        }
    }
}

fn hello_fields(name: &str, case: &Value, hello: &Hello, payload: &[u8]) {
    assert_eq!(hello.version, number(case, "version"), "{name}");
    assert_eq!(hello.client, text(case, "client_name"), "{name}");
    assert_eq!(hello.listen_port, number(case, "listen_port"), "{name}");
    assert_eq!(hello.id[..], bytes(case, "id"), "{name}");
    assert_eq!(hello.extra.len() as u64, number(case, "extra_items"), "{name}");
    let caps: Vec<_> = hello.capabilities.iter().map(Capability::to_string).collect();
    assert_eq!(Value::from(caps), case["caps"], "{name}");
    if let Some(snappy) = case["snappy"].as_bool() {
        assert_eq!(hello.snappy(VERSION), snappy, "{name}");
    }
    // Round-trips, except for meaningless bytes after the list.
    assert!(payload.starts_with(&hello.encode()), "{name}");
}

fn capability_offsets(case: &Value) {
    let name = text(case, "name");
    let ours: Vec<_> = case["ours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| Protocol::new(text(p, "name"), number(p, "version"), number(p, "length")))
        .collect();
    let theirs: Vec<_> = case["remote_caps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| Capability::new(text(c, "name"), number(c, "version")))
        .collect();
    let shared: Vec<_> = shared_protocols(&ours, &theirs)
        .into_iter()
        .map(|s| (s.capability.name.to_string(), s.capability.version, s.offset, s.length))
        .collect();
    let mut expected: Vec<_> = case["matched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            let name = text(m, "name").to_owned();
            (name, number(m, "version"), number(m, "offset"), number(m, "length"))
        })
        .collect();
    expected.sort_by_key(|matched| matched.2);
    assert_eq!(shared, expected, "{name}");
}

fn disconnect_reason(case: &Value) {
    let payload = bytes(case, "payload");
    let reason = DisconnectReason::decode(&payload);
    assert_eq!(reason.code(), number(case, "code"));
    assert_eq!(reason.to_string(), text(case, "meaning"));
    // An unreadable reason counts as one, but we never write it.
    if let [0xc1, 1..=0x80] = payload[..] {
        assert_eq!(reason.encode(), payload, "{reason}");
    }
}

/// Asserts the packets published in EIP-8. Returns their number.
fn eip8(set: &Value) -> usize {
    let initiator = secret(set, "initiator_static_private_key");
    let responder = secret(set, "responder_static_private_key");
    let random = |side: &str| Randomness {
        ephemeral: secret(set, &format!("{side}_ephemeral_private_key")),
        nonce: array(set, &format!("{side}_nonce")),
        // Not published, and irrelevant to the secrets.
        ecies_ephemeral: SecretKey::from_bytes(&[1; 32]).unwrap(),
        ecies_iv: [2; 16],
        padding: 100,
    };
    let acks = set["ack"].as_array().map_or(&[][..], Vec::as_slice);
    let auths = set["auth"].as_array().map_or(&[][..], Vec::as_slice);
    for case in acks {
        let name = text(case, "name");
        let ack = Ack::open(&initiator, &bytes(case, "packet")).unwrap();
        let key = random("responder").ephemeral.public_key();
        assert_eq!(ack.ephemeral, key, "{name}");
        assert_eq!(key.to_xy()[..], bytes(case, "responder_ephemeral_public_key"), "{name}");
        assert_eq!(ack.nonce, random("responder").nonce, "{name}");
        assert_eq!(ack.version, number(case, "version"), "{name}");
    }
    for case in auths {
        let name = text(case, "name");
        let packet = bytes(case, "packet");
        let auth = Auth::open(&responder, &packet).unwrap();
        assert_eq!(auth.key, initiator.public_key(), "{name}");
        assert_eq!(auth.nonce, random("initiator").nonce, "{name}");
        assert_eq!(auth.version, number(case, "version"), "{name}");
        let ephemeral = auth.ephemeral(&responder).unwrap();
        assert_eq!(ephemeral, random("initiator").ephemeral.public_key(), "{name}");

        let received = receive_auth(&responder, &packet);
        let (_, secrets) = received.accept_with(random("responder"));
        let mut ingress = secrets.ingress().clone();
        ingress.absorb(b"foo");
        if case["responder_ingress_mac_after_foo"].is_string() {
            let digest = bytes(case, "responder_ingress_mac_after_foo");
            assert_eq!(ingress.digest()[..], digest, "{name}");
        }
        let mut both = vec![secrets];
        if let Some(ack) = acks.iter().find(|ack| ack["name"] == case["with_ack"]) {
            let remote = responder.public_key();
            let state = Initiator::with(&initiator, remote, Format::Eip8, random("initiator"));
            both.push(receive_ack(state, &bytes(ack, "packet")));
        }
        for secrets in both {
            assert_eq!(secrets.aes()[..], bytes(case, "aes_secret"), "{name}");
            assert_eq!(secrets.mac()[..], bytes(case, "mac_secret"), "{name}");
        }
    }
    let mut count = acks.len() + auths.len();
    if set["hello"].is_object() {
        let payload = payload(&set["hello"]["payload"]);
        let hello = Hello::from_first_message(0, &payload).unwrap();
        hello_fields("eip8 hello", &set["hello"], &hello, &payload);
        count += 1;
    }
    count
}

/// Reads an auth packet in two pieces, as from a socket.
fn receive_auth(key: &SecretKey, packet: &[u8]) -> ReceivedAuth {
    let (mut front, mut back) = packet.split_at(packet.len() / 2);
    let Step::More { state, .. } = Responder::new(key).read(&mut front).unwrap() else {
        panic!("half an auth is enough");
    };
    match state.read(&mut back).unwrap() {
        Step::Done(auth) if back.is_empty() => auth,
        _ => panic!("the auth was not read to its end"),
    }
}

fn receive_ack(state: Initiator, packet: &[u8]) -> Secrets {
    let (mut front, mut back) = packet.split_at(packet.len() / 2);
    let Step::More { state, .. } = state.read(&mut front).unwrap() else {
        panic!("half an ack is enough");
    };
    match state.read(&mut back).unwrap() {
        Step::Done(secrets) if back.is_empty() => secrets,
        _ => panic!("the ack was not read to its end"),
    }
}

/// Returns the number of bytes after the list in the plaintext of an EIP-8 packet.
fn padding(format: Format, plaintext: &[u8]) -> u16 {
    if format == Format::Plain {
        return 0;
    }
    let mut reader = Reader::new(plaintext);
    reader.raw_item("list").unwrap();
    assert!(reader.remaining().iter().all(|byte| *byte == 0));
    reader.remaining().len().try_into().unwrap()
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("{member} is missing in {case}"))
}

fn number(case: &Value, member: &str) -> u64 {
    case[member].as_u64().unwrap_or_else(|| panic!("{member} is missing in {case}"))
}

fn bytes(case: &Value, member: &str) -> Vec<u8> {
    decode(text(case, member))
}

fn decode(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

fn array<const N: usize>(case: &Value, member: &str) -> [u8; N] {
    bytes(case, member).try_into().unwrap()
}

fn secret(case: &Value, member: &str) -> SecretKey {
    text(case, member).parse().unwrap()
}

fn public(case: &Value, member: &str) -> PublicKey {
    text(case, member).parse().unwrap()
}

/// Decodes hex, or one repeated byte.
fn payload(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => decode(text),
        _ => decode(text(value, "repeat")).repeat(number(value, "len") as usize),
    }
}

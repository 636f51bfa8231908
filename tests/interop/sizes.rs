//! Envelopes up to the maximum size, and beyond.

use rand::Rng as _;
use serde_json::{Value, json};
use statuskit_core::time::UnixSeconds;
use statuskit_core::{
    crypto::seeded_rng,
    envelope::{Envelope, Topic, check::DEFAULT_MAX_MESSAGE_SIZE},
    rlp,
};

use super::{
    SYM_KEY, TOPIC, bytes, geth, hex0x, message, pool, post, record, records, shell::Shell,
    subscribe, text, tool::Tool, until, write,
};

/// Returns incompressible bytes.
fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    seeded_rng("interop sizes").fill_bytes(&mut noise);
    noise
}

#[test]
fn half_a_mebibyte_to_geth() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0.002"]));
    subscribe(&mut geth);
    let payload = noise(500 << 10);
    write(&shell, "payload", &payload);
    let line = format!(
        "status-send --sym-key {SYM_KEY} --topic {TOPIC} --peer {} < payload",
        geth.enode()
    );
    let sent = record(&shell.ok(&line));
    let message = message(&mut geth);
    assert_eq!(message["hash"], sent["hash"]);
    assert!(message["pow"].as_f64() >= Some(0.002), "{}", message["pow"]);
    assert!(bytes(&message, "payload") == payload);
}

#[test]
fn half_a_mebibyte_from_geth() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0"]));
    let payload = noise(500 << 10);
    let more = json!({ "payload": hex0x(&payload), "pow_target": 0, "ttl": 200 });
    let posted = post(&mut geth, "", &more);
    let line = format!(
        "status-receive --sym-key {SYM_KEY} --count 1 --timeout 60 --raw-envelopes --peer {} \
         | tee envelope.json | status-envelope open --sym-key {SYM_KEY}",
        geth.enode()
    );
    let opened = record(&shell.ok(&line));
    let envelope = record(&shell.ok("cat envelope.json"));
    assert!(envelope["raw"] == posted["rlp"]);
    assert_eq!(envelope["pow"], posted["pow"]);
    assert_eq!(envelope["hash"], posted["hash"]);
    assert!(bytes(&opened["payload"], "raw") == payload);
}

#[test]
fn most_of_a_mebibyte_through_our_node() {
    let shell = Shell::new();
    let [mut a, mut b] = [0, 1].map(|_| geth(&["--min-pow", "0"]));
    let (_node, enode) = Tool::node(&shell, "--min-pow 0");
    subscribe(&mut b);
    let payload = noise(1000 << 10);
    let more = json!({ "payload": hex0x(&payload), "pow_target": 0, "ttl": 200 });
    let posted = post(&mut a, "", &more);
    for peer in [&mut a, &mut b] {
        peer.call(json!({ "cmd": "add_peer", "enode": enode }));
    }
    let message = message(&mut b);
    assert_eq!(message["hash"], posted["hash"]);
    assert!(bytes(&message, "payload") == payload);
}

#[test]
fn the_tool_refuses_a_message_that_is_too_large() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    write(&shell, "payload", noise(1 << 20));
    let line = format!(
        "status-send --sym-key {SYM_KEY} --topic {TOPIC} --ttl 86400 --peer {} < payload",
        geth.enode()
    );
    // Refused before mining, which would take hours at this size.
    let errors = records(&shell.fails(1, &line));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["code"], "envelope.oversized");
    let message = text(&errors[0], "message");
    assert!(message.ends_with("bytes; peers accept at most 1048576"), "{message}");
    let gone = geth.wait_event(|event| event["event"] == "peer_dropped", super::SOON);
    assert_eq!(gone["reason"], "client quitting", "the connection was sound to the end");
}

/// geth accepts packets up to 1 MiB, and disconnects on larger ones. That is a few bytes less than
/// its own limit for envelopes.
#[test]
fn the_largest_packet_and_one_byte_more() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0"]));
    let largest = DEFAULT_MAX_MESSAGE_SIZE as usize;
    let of_packet = |packet: usize| {
        let topic: Topic = TOPIC.parse().expect("a topic");
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs() as u32;
        let new = |data: usize| Envelope::new(UnixSeconds(now + 200), 200, topic, &noise(data), 0);
        let length = |envelope: &Envelope| {
            let raw = envelope.raw().len();
            rlp::header_len(raw) + raw
        };
        let over = length(&new(packet)) - packet;
        let envelope = new(packet - over);
        assert_eq!(length(&envelope), packet);
        envelope
    };
    let (fits, too_large) = (of_packet(largest), of_packet(largest + 1));
    assert!(too_large.size() <= largest, "fine by the limit of envelopes");
    let lines = [&too_large, &fits].map(|envelope| hex0x(envelope.raw()) + "\n");
    write(&shell, "envelopes", lines.concat());
    let line = format!("status-send --peer {} < envelopes", geth.enode());
    let ended = shell.run(&line);
    // The second is sent, although the first is refused.
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let errors = records(&ended.stderr);
    assert_eq!(errors[0]["code"], "envelope.oversized");
    assert_eq!(errors[0]["line"], 1);
    let sent = record(&ended.stdout);
    assert_eq!(text(&sent, "hash"), fits.hash().to_string());
    assert_eq!(sent["written"], 1);
    until("it arrives", || pool(&mut geth) == [fits.hash().to_string()]);
}

#[test]
fn a_packet_above_our_limit_ends_the_connection_with_a_reason() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0"]));
    let (mut node, enode) = Tool::node(&shell, "--min-pow 0 --max-message-size 100000");
    geth.call(json!({ "cmd": "add_peer", "enode": enode }));
    node.note("interop-geth");
    let more = json!({ "payload": hex0x(noise(150_000)), "pow_target": 0 });
    let posted = post(&mut geth, "", &more);
    let size = bytes(&posted, "rlp").len() + 4;
    let note = node.note("disconnected");
    let message = text(&note, "message");
    let expected = format!("a packet of {size} bytes; at most 100000 are accepted");
    assert!(message.ends_with(&expected), "{message}");
    let gone = geth.wait_event(|event| event["event"] == "peer_dropped", super::SOON);
    assert_eq!(gone["reason"], Value::from("subprotocol error"));
}

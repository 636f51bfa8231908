//! Single packets, byte by byte, with a peer that knows RLPx but not Whisper.
//!
//! This includes codes 11 and 12, which stock Whisper does not know: these tests show that their
//! bytes arrive in the documented shape and are read as such. The reference implementation is not
//! involved.

use std::time::Duration;

use serde_json::{Value, json};
use statuskit_core::{crypto::keccak256, envelope::Envelope, wire::Packet};

use super::{
    SOON, SYM_KEY, TOPIC, bytes, geth, harness::Peer, hex0x, message, shell::Shell, subscribe,
    text, tool::Tool,
};

/// The Status of a node with the default minimum PoW of 0.001 and no bloom filter:
/// `[6, 0.001 as bits, "", 0, 1, [0, 0, 0]]`.
const NODE_STATUS: &str = "0xd106883f50624dd2f1a9fc808001c3808080";

fn js(args: &[&str]) -> Peer {
    Peer::start("js", args)
}

/// Starts a peer that dials `status-node` and waits for its Status.
#[track_caller]
fn dial(js: &mut Peer, enode: &str) {
    js.call(json!({ "cmd": "dial", "enode": enode }));
    js.wait_event(|event| event["event"] == "status", SOON);
}

#[track_caller]
fn send(js: &mut Peer, code: u64, payload: impl AsRef<[u8]>) {
    js.call(json!({ "cmd": "send", "code": code, "payload": hex0x(payload) }));
}

/// Returns the code and payload of the next packet after the Status.
#[track_caller]
fn packet(js: &mut Peer) -> (u64, Vec<u8>) {
    let event = js.wait_event(|event| event["event"] == "packet", SOON);
    (event["code"].as_u64().expect("a code"), bytes(&event, "payload"))
}

#[track_caller]
fn disconnected(js: &mut Peer) -> Value {
    let event = js.wait_event(|event| event["event"] == "disconnect", SOON);
    assert_eq!(event["by_us"], false);
    event["reason"].clone()
}

/// Encodes a bare 32-byte string.
fn ack(batch: [u8; 32]) -> Vec<u8> {
    [&[0xa0], &batch[..]].concat()
}

/// Encodes `[1, [batch, errors]]`, with errors of less than 24 bytes.
fn response(batch: [u8; 32], errors: &[u8]) -> Vec<u8> {
    let list = |content: Vec<u8>| match content.len() as u8 {
        short @ ..56 => [vec![0xc0 + short], content].concat(),
        long => [vec![0xf8, long], content].concat(),
    };
    let inner = [ack(batch), list(errors.to_vec())].concat();
    list([vec![1], list(inner)].concat())
}

/// Creates one of our envelopes.
fn seal(shell: &Shell, text: &str) -> Envelope {
    let line = format!(
        "status-envelope seal {text} --sym-key {SYM_KEY} --topic {TOPIC} --pow 0.2 --ttl 120 \
         --output hex"
    );
    let raw = hex::decode(&shell.ok(&line).trim()[2..]).expect("hexadecimal digits");
    Envelope::decode(&raw).expect("an envelope")
}

#[track_caller]
fn is_our_node(js: &mut Peer) {
    let hello = js.wait_event(|event| event["event"] == "hello", SOON);
    assert!(text(&hello, "client").starts_with("statuskit/"), "{hello}");
    assert_eq!(hello["version"], 5);
    assert_eq!(hello["caps"], json!(["shh/6"]));
    let status = js.wait_event(|event| event["event"] == "status", SOON);
    assert_eq!(status["payload"], NODE_STATUS);
}

#[test]
fn hello_and_status_when_it_dials() {
    let (shell, mut js) = (Shell::new(), js(&[]));
    let (mut node, enode) = Tool::node(&shell, "");
    js.call(json!({ "cmd": "dial", "enode": enode }));
    is_our_node(&mut js);
    node.note("connected: interop-js/v10.0.0");
}

#[test]
fn hello_and_status_when_we_dial() {
    let (shell, mut js) = (Shell::new(), js(&[]));
    let (mut node, _) = Tool::node(&shell, &format!("--peer {}", js.enode()));
    is_our_node(&mut js);
    node.note("connected: interop-js/v10.0.0");
}

#[test]
fn status_and_envelope_of_a_sender() {
    let (shell, mut js) = (Shell::new(), js(&[]));
    let line = format!(
        "status-send hi --sym-key {SYM_KEY} --topic {TOPIC} --peer {} --pow 0.002 \
         --confirm-timeout 3",
        js.enode()
    );
    let sent = super::record(&shell.ok(&line));
    // It requests nothing: all bits of the filter are zero.
    let status = js.wait_event(|event| event["event"] == "status", SOON);
    let expected = format!("0xf84a0680b840{}8001c3808080", "00".repeat(64));
    assert_eq!(status["payload"], expected);
    // Then what it sends. Peers do not send an envelope back to its source.
    let bloom: statuskit_core::envelope::Topic = TOPIC.parse().expect("a topic");
    let bloom = statuskit_core::envelope::Bloom::from_topic(bloom);
    assert_eq!(packet(&mut js), (3, [&[0xb8, 64], &bloom.0[..]].concat()));
    let envelope = Envelope::decode(&bytes(&sent, "raw")).expect("an envelope");
    assert_eq!(packet(&mut js), (1, Packet::Messages(vec![envelope]).encode()));
    assert_eq!(disconnected(&mut js), 8, "client quitting");
    // It announced confirmations, but sent none.
    assert_eq!((&sent["written"], &sent["confirmed"]), (&json!(1), &json!(0)));
    assert_eq!(sent["peers"][0]["confirmed"], Value::Null);
}

#[test]
fn our_node_answers_messages() {
    let (shell, mut js) = (Shell::new(), js(&[]));
    let (mut node, enode) = Tool::node(&shell, "--envelopes");
    dial(&mut js, &enode);
    let envelopes: Vec<_> = ["one", "two"].map(|text| seal(&shell, text)).into();
    let batches =
        [vec![], envelopes.clone(), envelopes].map(|batch| Packet::Messages(batch).encode());
    for batch in &batches {
        send(&mut js, 1, batch);
        // Every packet is answered, even with known or no envelopes: first 12, then 11.
        let hash = keccak256(batch);
        assert_eq!(packet(&mut js), (12, response(hash, &[])));
        assert_eq!(packet(&mut js), (11, ack(hash)));
    }
    for _ in 0..2 {
        node.result(|record| record["type"] == "envelope");
    }
}

/// Runs `status-send` against the peer, which replies with `answers` of the batch. `patience` is
/// the tool's confirmation timeout.
fn send_and_answer(
    status: &[&str],
    patience: u32,
    answers: impl FnOnce([u8; 32], &[u8]) -> Vec<(u64, Vec<u8>)>,
) -> (i32, Value, Vec<Value>) {
    let (shell, mut js) = (Shell::new(), js(status));
    let line = format!(
        "status-send hi --sym-key {SYM_KEY} --topic {TOPIC} --peer {} --pow 0.002 \
         --confirm-timeout {patience} 2> errors",
        js.enode()
    );
    let mut tool = Tool::start(&shell, &line);
    let batch = js.wait_event(|event| event["event"] == "packet" && event["code"] == 1, SOON);
    let batch = bytes(&batch, "payload");
    // A list of one envelope.
    let (_, envelope) = batch.split_at(batch.len() - envelope_len(&batch));
    for (code, payload) in answers(keccak256(&batch), envelope) {
        // The tool may have exited after the first answer.
        let _ = js.try_call(json!({ "cmd": "send", "code": code, "payload": hex0x(payload) }));
    }
    let (code, mut results) = tool.exit();
    assert_eq!(results.len(), 1, "{results:?}");
    (code, results.remove(0), super::records(&shell.ok("cat errors")))
}

fn envelope_len(batch: &[u8]) -> usize {
    let Ok(Packet::Messages(envelopes)) = Packet::decode(1, batch) else { panic!("no envelopes") };
    assert_eq!(envelopes.len(), 1);
    envelopes[0].raw().len()
}

#[test]
fn an_acknowledged_batch_counts_as_confirmed() {
    for both in [false, true] {
        let (code, sent, errors) = send_and_answer(&[], 60, |batch, _| {
            let response = both.then(|| (12, response(batch, &[])));
            response.into_iter().chain([(11, ack(batch))]).collect()
        });
        assert_eq!((code, &sent["written"], &sent["confirmed"]), (0, &json!(1), &json!(1)));
        assert_eq!(sent["peers"][0]["confirmed"], true);
        assert_eq!(sent["peers"][0]["client"], "interop-js/v10.0.0");
        assert_eq!(errors, Vec::<Value>::new());
    }
}

#[test]
fn a_refused_envelope_is_an_error_with_the_reason() {
    let (code, sent, errors) = send_and_answer(&[], 60, |batch, envelope| {
        // [[hash, 37, "no"]]
        let mut errors = vec![0xe5, 0xa0];
        errors.extend(keccak256(envelope));
        errors.extend([37, 0x82, b'n', b'o']);
        vec![(12, response(batch, &errors)), (11, ack(batch))]
    });
    assert_eq!((code, &sent["written"], &sent["confirmed"]), (4, &json!(1), &json!(0)));
    assert_eq!(sent["peers"][0]["error"], json!({ "code": 37, "text": "no" }));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["code"], "send.refused");
    assert!(text(&errors[0], "message").ends_with("code 37: no"), "{errors:?}");
}

#[test]
fn an_answer_to_another_batch_confirms_nothing() {
    let (code, sent, _) = send_and_answer(&[], 3, |_, _| vec![(11, ack([0x11; 32]))]);
    assert_eq!((code, &sent["written"], &sent["confirmed"]), (0, &json!(1), &json!(0)));
}

#[test]
fn no_wait_for_peers_without_confirmations() {
    // [6], and [6, 0, "", 0] as stock Whisper sends it.
    for status in ["0xc106", "0xc406808080"] {
        let (code, sent, errors) = send_and_answer(&["--status", status], 60, |_, _| vec![]);
        assert_eq!((code, &sent["written"], &sent["confirmed"]), (0, &json!(1), &json!(0)));
        assert_eq!(errors, Vec::<Value>::new());
    }
}

/// Has to wait: this peer disconnects when a ping is not answered within ten seconds, and every
/// peer does after thirty seconds of silence.
#[test]
fn idle_connections_are_kept_alive() {
    let (shell, mut js, mut geth) = (Shell::new(), js(&[]), geth(&[]));
    subscribe(&mut geth);
    let (_node, enode) = Tool::node(&shell, "");
    dial(&mut js, &enode);
    geth.call(json!({ "cmd": "add_peer", "enode": enode }));
    geth.wait_event(|event| event["event"] == "peer_connected", SOON);
    let is_end = |event: &Value| event["event"] == "disconnect" || event["event"] == "peer_error";
    js.expect_no_event(is_end, Duration::from_secs(40));
    geth.expect_no_event(|event| event["event"] == "peer_dropped", Duration::ZERO);
    let envelope = seal(&shell, "awake");
    send(&mut js, 1, Packet::Messages(vec![envelope]).encode());
    assert_eq!(bytes(&message(&mut geth), "payload"), b"awake");
}

#[test]
fn their_disconnect_reasons_are_understood() {
    let (shell, mut js) = (Shell::new(), js(&[]));
    let (mut node, enode) = Tool::node(&shell, "");
    for (reason, words) in [
        (0, "disconnect requested"),
        (3, "useless peer"),
        (4, "too many peers"),
        (8, "client quitting"),
        (16, "subprotocol error"),
    ] {
        dial(&mut js, &enode);
        // A bare integer, not in a list, never compressed.
        js.call(json!({ "cmd": "disconnect", "reason": reason }));
        let note = node.note("disconnected");
        let expected = format!("the peer disconnected: {words}");
        assert!(text(&note, "message").ends_with(&expected), "{note}");
        js.wait_event(|event| event["event"] == "disconnect", SOON);
    }
}

#[test]
fn our_disconnect_reasons_are_understood() {
    let shell = Shell::new();
    let key = hex0x([0x2a; 32]);
    let [mut first, mut second] = [0, 1].map(|_| js(&["--key", &key]));
    let (mut node, enode) = Tool::node(&shell, "--max-peers 1");
    dial(&mut first, &enode);
    second.call(json!({ "cmd": "dial", "enode": enode }));
    assert_eq!(disconnected(&mut second), 5, "already connected");
    let mut third = js(&[]);
    third.call(json!({ "cmd": "dial", "enode": enode }));
    assert_eq!(disconnected(&mut third), 4, "too many peers");

    // The minimum PoW must be a number.
    send(&mut first, 2, [0xc0]);
    assert_eq!(disconnected(&mut first), 16, "subprotocol error");
    let note = node.note("disconnected");
    assert!(text(&note, "message").contains("packet with code 2"), "{note}");

    dial(&mut third, &enode);
    node.signal("TERM");
    assert_eq!(disconnected(&mut third), 8, "client quitting");
    assert_eq!(node.exit().0, 143);
}

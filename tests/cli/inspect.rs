//! `status-inspect`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{record, records, shell::Shell};

fn kinds(inspection: &Value) -> Vec<&str> {
    inspection["layers"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect()
}

#[test]
fn an_envelope_is_peeled_to_its_text() {
    let shell = Shell::new();
    let sealed = shell.ok("echo hi | status-envelope seal --chat status --pow 0 --output hex");
    let sealed = sealed.trim();
    let opened = record(&shell.ok(&format!("status-inspect --chat status {sealed}")));
    assert_eq!((&opened["type"], &opened["certainty"]), (&"inspection".into(), &"certain".into()));
    assert_eq!(kinds(&opened)[..2], ["whisper.envelope", "whisper.message"]);
    assert_eq!(opened["layers"][1]["opened_with"], "chat status");
    // Without the key the record says which is missing.
    let closed = record(&shell.ok(&format!("echo {sealed} | status-inspect")));
    assert_eq!(closed["certainty"], "likely");
    assert_eq!(closed["layers"][0]["stopped"]["code"], "inspect.no_key");
    let text = shell.ok(&format!("status-inspect --output text {sealed}"));
    assert!(text.contains("ends here") && text.contains("--chat"), "{text}");
}

#[test]
fn every_line_is_an_input_and_a_bad_one_is_reported() {
    let shell = Shell::new();
    let lines = "printf 'status-im://chat/public/status\\n0xffee\\n\\n0x80\\n' | status-inspect";
    let done = shell.run(lines);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let found = records(&done.stdout);
    assert_eq!(found[0]["kind"], "account.share_link");
    assert!(done.stderr.contains("inspect.unknown"), "{}", done.stderr);
}

/// A file of golden data, and what leads to the bytes.
fn golden(file: &str, path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    let set: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    set.pointer(path).unwrap().as_str().unwrap().trim_start_matches("0x").to_owned()
}

#[test]
fn bytes_in_log_lines_are_named() {
    let expected = [
        ("envelope_sym.json", "/cases/3/envelope/rlp", "whisper.envelope"),
        ("bundles.json", "/cases/0/encoded", "secure.bundle"),
        ("discovery.json", "/packets/0/packet", "discovery.packet"),
        ("discovery.json", "/v4_packets/0/packet", "discovery.packet"),
        ("discovery.json", "/enr/encode/0/rlp", "devp2p.enr"),
        ("eips.json", "/eip155/0/raw", "eip.transaction"),
        ("eips.json", "/calldata/0/data", "eip.calldata"),
        ("eips.json", "/eip1577/0/contenthash", "eip.contenthash"),
        ("mvds.json", "/payloads/0/encoded", "sync.payload"),
        ("payloads.json", "/cases/0/wrapped", "payload.wrapper"),
        ("rlpx.json", "/handshakes/0/auth_packet", "rlpx.auth"),
        ("rlpx.json", "/eip8/hello/payload", "p2p.hello"),
    ];
    let shell = Shell::new();
    let mut log = String::new();
    for (number, (file, path, _)) in expected.iter().enumerate() {
        let bytes = golden(file, path);
        log += &format!("INFO [03-29|12:00:{number:02}] Read packet  data=0x{bytes} took=3ms\n");
    }
    fs::write(shell.dir().join("node.log"), log).unwrap();
    let found = records(&shell.ok("status-inspect < node.log"));
    let kinds: Vec<_> = found.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, expected.map(|(_, _, kind)| kind));
}

#[test]
fn records_and_messages_of_nodes_are_taken_apart_as_well() {
    let shell = Shell::new();
    let line = "echo hi | status-envelope seal --chat status --pow 0 > sealed \
                && status-inspect --chat status < sealed";
    let found = record(&shell.ok(line));
    assert_eq!(found["kind"], "statuskit.record");
    assert!(kinds(&found).starts_with(&[
        "statuskit.record",
        "whisper.envelope",
        "whisper.message"
    ]));
    assert_eq!(found["buffers"][1]["method"], "hex of $.raw");
    // Its bytes alone, when they are asked for; and a whole file of several lines.
    let found = record(&shell.ok("status-inspect --as whisper.envelope < sealed"));
    assert_eq!(found["kind"], "whisper.envelope");
    let raw = golden("eips.json", "/eip155/0/raw");
    let call = serde_json::json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_sendRawTransaction",
        "params": [format!("0x{raw}")],
    });
    let pretty = serde_json::to_string_pretty(&call).unwrap();
    fs::write(shell.dir().join("call.json"), pretty).unwrap();
    let found = record(&shell.ok("status-inspect call.json"));
    assert_eq!(kinds(&found)[..2], ["rpc.message", "eip.transaction"]);
}

#[test]
fn a_state_opens_messages_and_is_not_changed() {
    let mut shell = Shell::new();
    shell.keygen("ALICE");
    shell.keygen("BOB");
    for line in [
        "status-session bundle new --identity bob.key --state bob > bundle",
        "status-session bundle learn --identity alice.key --state alice < bundle",
        "echo 0x6869 | status-session encrypt --identity alice.key --state alice --to $BOB > wire",
        "cp -r bob before",
    ] {
        shell.ok(line);
    }
    let line = "status-inspect --identity bob.key --state bob < wire";
    for _ in 0..2 {
        let found = record(&shell.ok(line));
        let message = found["layers"].as_array().unwrap();
        let message = message.iter().find(|it| it["kind"] == "secure.protocol_message").unwrap();
        assert_eq!(message["certainty"], "certain");
        assert!(message["opened_with"].as_str().unwrap().contains("session"), "{message}");
    }
    shell.ok("diff -r before bob");
    // Closed, it says what would help; and a state without its identity says so.
    assert!(shell.ok("status-inspect < wire").contains("inspect.no_session"));
    shell.fails(2, "status-inspect --state bob < wire");
}

#[test]
fn short_lists_name_the_key_of_each_topic() {
    let shell = Shell::new();
    let line = "seq 3 | status-envelope seal --chat status --lines --pow 0 > sealed \
                && echo hi | status-envelope seal --chat other --pow 0 --output hex >> sealed";
    shell.ok(line);
    let found = records(&shell.ok("status-inspect --short --chat status < sealed"));
    let keys: Vec<_> = found.iter().map(|it| it["key"].as_str()).collect();
    assert_eq!(keys, [Some("chat status"), Some("chat status"), Some("chat status"), None]);
    assert_eq!(found[0]["topic"], "0xcd423760");
    let full = records(&shell.ok("status-envelope show < sealed"));
    assert!(found.iter().zip(&full).all(|(short, full)| short["hash"] == full["hash"]));
    let opened = records(&shell.ok("status-inspect --short --open --chat status sealed"));
    assert_eq!((&opened[0]["opened"], &opened[3]["opened"]), (&true.into(), &false.into()));
    let broken = shell.run("(head -1 sealed; echo 0x80; tail -1 sealed) | status-inspect --short");
    assert_eq!((broken.code, records(&broken.stdout).len()), (3, 2), "{}", broken.stderr);
    assert!(broken.stderr.contains("\"line\":2"), "{}", broken.stderr);
}

#[test]
fn kinds_are_listed_and_forced() {
    let shell = Shell::new();
    let listed = records(&shell.ok("status-inspect kinds"));
    let listed: Vec<_> = listed.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    for kind in [
        "account.chat_key",
        "account.extended_key",
        "account.key_file",
        "account.share_link",
        "capture.pcap",
        "devp2p.enode",
        "devp2p.enr",
        "discovery.packet",
        "eip.calldata",
        "eip.contenthash",
        "eip.link",
        "eip.transaction",
        "group.event",
        "mailserver.request",
        "mailserver.response",
        "p2p.disconnect",
        "p2p.hello",
        "p2p.ping",
        "p2p.pong",
        "payload.*",
        "payload.wrapper",
        "rlpx.ack",
        "rlpx.auth",
        "rlpx.frame",
        "rpc.message",
        "secure.bundle",
        "secure.protocol_message",
        "shh.batch_acknowledged",
        "shh.message_response",
        "shh.messages",
        "shh.p2p_message",
        "shh.p2p_request",
        "shh.status",
        "statuskit.record",
        "sync.payload",
        "transit.message",
        "waku.messages",
        "waku.p2p_message",
        "waku.status",
        "waku.status_update",
        "whisper.envelope",
        "whisper.message",
    ] {
        assert!(listed.contains(&kind), "{kind}");
    }
    let forced = shell.run("status-inspect --as secure.bundle 0x80");
    assert_eq!(forced.code, 1);
    assert!(forced.stderr.contains("inspect.not_of_kind"), "{}", forced.stderr);
    assert_eq!(shell.run("status-inspect --as nothing.known 0x80").code, 2);
    assert_eq!(shell.run("status-inspect < /dev/null").code, 1);
}

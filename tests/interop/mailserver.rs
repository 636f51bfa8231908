//! The mailserver of go-ethereum (`whisper/mailserver`) and its client, in both directions. Requests
//! have the raw layout. Answers are single direct envelopes, with no packet to end them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    OTHER_TOPIC, SOON, SYM_KEY, TOPIC, geth, harness::Peer, message, message_of, post, record,
    records, shell::Shell, subscribe, text, tool::Tool,
};

/// Returns the node ID of one of our nodes, from the key in its enode.
fn node_id(enode: &str) -> String {
    let key = hex::decode(&enode["enode://".len()..][..128]).expect("hexadecimal digits");
    super::hex0x(statuskit_core::crypto::keccak256(&key))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Starts a geth peer with a mailserver that archives in the shell's directory.
fn geth_mailserver(shell: &Shell, args: &[&str]) -> Peer {
    let dir = shell.dir().join("theirs");
    let dir = dir.to_str().expect("UTF-8");
    geth(&[&["--mailserver", dir], args].concat())
}

fn hashes(values: &[Value]) -> Vec<String> {
    let mut hashes: Vec<_> = values.iter().map(|it| text(it, "hash").to_owned()).collect();
    hashes.sort();
    hashes
}

#[test]
fn our_client_and_their_server() {
    let shell = Shell::new();
    let mut geth = geth_mailserver(&shell, &[]);
    let ours: Vec<_> =
        (0..5).map(|number| post(&mut geth, &format!("{number}"), &Value::Null)).collect();
    let other = post(&mut geth, "elsewhere", &json!({ "topic": OTHER_TOPIC }));
    let query = format!(
        "status-mailserver query --peer {} --layout raw --silence 3 --pow 0.2",
        geth.enode()
    );
    let found = records(&shell.ok(&format!("{query} --topic {TOPIC} --from 1h")));
    assert_eq!(hashes(&found), hashes(&ours));
    for found in &found {
        let posted = ours.iter().find(|it| it["hash"] == found["hash"]).expect("posted");
        assert_eq!((&found["raw"], &found["pow"]), (&posted["rlp"], &posted["pow"]));
    }
    // All topics, and a range of several days, which is requested day by day.
    let all = records(&shell.ok(&format!("{query} --all --from 3d")));
    assert_eq!(hashes(&all), hashes(&[ours.clone(), vec![other]].concat()));
    let opened = records(&shell.ok(&format!("{query} --topic {TOPIC} --open --sym-key {SYM_KEY}")));
    let mut texts: Vec<_> = opened.iter().map(|it| text(&it["payload"], "text")).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    // An empty range, and a wrong password: that server does not answer either.
    for nothing in ["--from 2020-01-01 --to 2020-01-01T01:00:00Z", "--password wrong"] {
        let error = shell.fails(1, &format!("{query} --all {nothing}"));
        assert!(error.contains("mailserver.empty"), "{error}");
    }
    // It does not know the layouts of Status.
    let line = format!(
        "status-mailserver query --peer {} --all --timeout 2 --retries 0 --pow 0.2",
        geth.enode()
    );
    let error = shell.fails(4, &line);
    assert!(error.contains("mailserver.timeout"), "{error}");
}

#[test]
fn their_client_and_our_server() {
    let shell = Shell::new();
    let serve = "status-mailserver serve --listen 127.0.0.1:0 --store ours --min-pow 0.2 \
                 --password status-offline-inbox --requests";
    let mut server = Tool::start(&shell, serve);
    let ready = server.result(|it| it["type"] == "ready");
    let enode = text(&ready, "enode").to_owned();

    // One peer sends envelopes, and leaves.
    let mut author = geth(&[]);
    author.call(json!({ "cmd": "add_peer", "enode": enode }));
    author.wait_event(|event| event["event"] == "peer_connected", SOON);
    let posted: Vec<_> =
        (0..3).map(|number| post(&mut author, &format!("{number}"), &Value::Null)).collect();
    post(&mut author, "elsewhere", &json!({ "topic": OTHER_TOPIC }));
    wait_until_stored(&shell, "ours", 4);
    drop(author);

    // Another joins later. Its bloom filter matches none of these topics, so everything it gets is
    // an answer to its request.
    let bloom = format!("0x01{}", "00".repeat(63));
    let mut reader = geth(&["--bloom", &bloom, "--packets"]);
    let answer = reader.call(json!({
        "cmd": "subscribe", "sym_key": format!("0x{SYM_KEY}"), "allow_p2p": true,
    }));
    assert!(answer["subscription"].is_string());
    reader.call(json!({ "cmd": "add_peer", "enode": enode }));
    reader.wait_event(|event| event["event"] == "peer_connected", SOON);
    let id = node_id(&enode);
    // geth accepts answers from trusted peers only.
    let mut ask = |reader: &mut Peer, more: Value| {
        let mut command = json!({
            "cmd": "request_mail", "peer": id, "from": now() - 3600, "to": now() + 10,
            "password": "status-offline-inbox",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            command[name] = value.clone();
        }
        reader.call(command);
        server.result(|it| it["type"] == "request")
    };
    let request = ask(&mut reader, json!({ "topics": [TOPIC] }));
    assert_eq!((&request["outcome"], &request["envelopes"]), (&json!("delivered"), &json!(3)));
    let mut got: Vec<_> = (0..3).map(|_| message(&mut reader)).collect();
    assert_eq!(hashes(&got), hashes(&posted));
    got.retain(|it| it["topic"] != TOPIC);
    assert!(got.is_empty(), "{got:?}");
    // Each comes in a packet of its own, followed by a packet that geth ignores.
    let mut codes = Vec::new();
    while codes.last() != Some(&json!(125)) {
        let packet = reader.wait_event(
            |event| event["event"] == "packet" && event["direction"] == "received",
            SOON,
        );
        codes.push(packet["code"].clone());
    }
    assert_eq!(codes.iter().filter(|code| **code == json!(127)).count(), 3, "{codes:?}");

    // No filter (all topics), a wrong password, low PoW, no signature.
    for (more, outcome, envelopes) in [
        (json!({}), "delivered", 4),
        (json!({ "from": 1, "to": 2 }), "empty", 0),
        (json!({ "password": "wrong" }), "undecryptable", 0),
        (json!({ "unsigned": true }), "unsigned", 0),
        (json!({ "from": now() - 200_000 }), "unreadable", 0),
        (json!({ "bloom": "0x00" }), "unreadable", 0),
    ] {
        let request = ask(&mut reader, more);
        assert_eq!(
            (&request["outcome"], &request["envelopes"]),
            (&json!(outcome), &json!(envelopes))
        );
    }
    // They remained connected throughout.
    assert_eq!(reader.call(json!({ "cmd": "peers" }))["peers"].as_array().map(Vec::len), Some(1));
    let late = post(&mut reader, "live", &json!({ "topic": "0x00000000" }));
    assert_eq!(message_of(&mut reader, &late["hash"])["hash"], late["hash"]);
    server.signal("TERM");
    assert_eq!(server.exit().0, 143);
}

#[test]
fn their_archive_is_imported() {
    let shell = Shell::new();
    let mut geth = geth_mailserver(&shell, &[]);
    subscribe(&mut geth);
    let posted: Vec<_> =
        (0..10).map(|number| post(&mut geth, &format!("{number}"), &Value::Null)).collect();
    geth.call(json!({ "cmd": "quit" }));
    drop(geth);
    let imported = record(&shell.ok("status-mailserver import --leveldb theirs --store ours"));
    assert_eq!((&imported["new"], &imported["bad_records"]), (&json!(10), &json!(0)));
    let exported = records(&shell.ok("status-mailserver export --store ours"));
    assert_eq!(hashes(&exported), hashes(&posted));
}

/// Waits until one of our archives has `count` envelopes.
fn wait_until_stored(shell: &Shell, store: &str, count: u64) {
    let began = std::time::Instant::now();
    loop {
        let stats = records(&shell.run(&format!("status-mailserver stats --store {store}")).stdout);
        if stats[0]["envelopes"].as_u64() >= Some(count) {
            return;
        }
        assert!(began.elapsed() < SOON, "{stats:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

//! Envelopes from geth, received by `status-receive`.

use serde_json::{Value, json};

use super::{
    Keys, OTHER_TOPIC, SYM_KEY, TOPIC, bytes, geth, harness::Peer, hex0x, post, record, records,
    shell::Shell, subscribe, text, tool::Tool, write,
};

/// Receives what geth posted in two ways: as envelopes that another tool opens, and opened at
/// once. Compares the fields with geth's.
#[track_caller]
fn receive(shell: &Shell, geth: &Peer, posted: &Value, topic: &str, keys: &str) -> Value {
    let receive = format!("status-receive --count 1 --timeout 60 --peer {} {topic}", geth.enode());
    let envelope = record(&shell.ok(&format!("{receive} {keys} --raw-envelopes")));
    assert_eq!(envelope["type"], "envelope");
    assert_eq!(envelope["raw"], posted["rlp"]);
    assert_eq!(envelope["hash"], posted["hash"]);
    assert_eq!(envelope["pow"], posted["pow"]);

    write(shell, "received.json", envelope.to_string());
    let piped = record(&shell.ok(&format!("status-envelope open {keys} < received.json")));
    let opened = record(&shell.ok(&format!("{receive} {keys}")));
    assert_eq!(opened, piped);
    assert_eq!(opened["envelope"], posted["rlp"]);

    let check = "status-envelope check --min-pow 0.2 < received.json";
    let checked = record(&shell.ok(check));
    assert_eq!(checked["accepted"], true);
    assert_eq!(checked["pow"], posted["pow"]);
    assert_eq!(checked["hash"], posted["hash"]);
    opened
}

#[test]
fn symmetric_unsigned() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let posted = post(&mut geth, "from geth", &json!({ "ttl": 200 }));
    let opened = receive(&shell, &geth, &posted, "", &format!("--sym-key {SYM_KEY}"));
    assert_eq!(opened["payload"]["text"], "from geth");
    assert_eq!(opened["signer"], Value::Null);
    assert_eq!(opened["topic"], TOPIC);
    assert_eq!(opened["ttl"], 200);
    // flags, length, payload and padding fill a block.
    assert_eq!(bytes(&opened, "padding").len(), 256 - 1 - 1 - 9);
}

#[test]
fn symmetric_signed_by_topic() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let author = Keys::new(&shell, "author");
    let more = json!({ "ttl": 200, "sign_with": author.private, "padding": "0xc0ffee" });
    let posted = post(&mut geth, "signed", &more);
    // On another topic, which is not requested.
    post(&mut geth, "elsewhere", &json!({ "ttl": 200, "topic": OTHER_TOPIC }));
    let topic = format!("--topic {TOPIC}");
    let opened = receive(&shell, &geth, &posted, &topic, &format!("--sym-key {SYM_KEY}"));
    assert_eq!(opened["payload"]["text"], "signed");
    assert_eq!(opened["signer"].as_str(), Some(&*author.public));
    assert_eq!(opened["padding"], "0xc0ffee");
}

#[test]
fn asymmetric() {
    let shell = Shell::new();
    let [author, me] = ["author", "me"].map(|name| Keys::new(&shell, name));
    let topic = record(&shell.ok(&format!("status-topic partitioned {}", me.public)));
    for sign_with in [Value::Null, author.private.clone().into()] {
        let signer = if sign_with.is_null() { Value::Null } else { author.public.clone().into() };
        let mut more = json!({ "ttl": 200, "public_key": me.public, "topic": topic["topic"] });
        if !sign_with.is_null() {
            more["sign_with"] = sign_with;
        }
        // A fresh peer each time, with nothing else in its pool.
        let mut geth = geth(&[]);
        let posted = post(&mut geth, "for you alone", &more);
        // No topic is given: the receiver listens on the topics of its key.
        let opened = receive(&shell, &geth, &posted, "", "--identity me.key");
        assert_eq!(opened["payload"]["text"], "for you alone");
        assert_eq!(opened["opened_with"], "identity");
        assert_eq!(opened["signer"], signer);
    }
}

#[test]
fn with_a_password() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let topic = record(&shell.ok("status-topic chat sesame"));
    let more = json!({ "ttl": 200, "password": "sesame", "topic": topic["topic"] });
    let posted = post(&mut geth, "open", &more);
    let opened = receive(&shell, &geth, &posted, "", "--password sesame");
    assert_eq!(opened["payload"]["text"], "open");
    // The password of a public chat is its name.
    receive(&shell, &geth, &posted, "", "--chat sesame");
}

#[test]
fn a_live_stream() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let line = format!("status-receive --sym-key {SYM_KEY} --peer {}", geth.enode());
    let mut receive = Tool::start(&shell, &line);
    receive.note("receiving from 1 peer");
    for number in 0..3 {
        let posted = post(&mut geth, &format!("message {number}"), &Value::Null);
        let message = receive.result(|_| true);
        assert_eq!(message["hash"], posted["hash"]);
        assert_eq!(message["payload"]["text"], format!("message {number}"));
    }
    // The user ends the stream.
    receive.signal("INT");
    assert_eq!(receive.exit(), (130, vec![]));
    let gone = geth.wait_event(|event| event["event"] == "peer_dropped", super::SOON);
    assert_eq!(gone["reason"], "client quitting");
}

#[test]
fn a_minimum_pow_is_requested_from_the_peer() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0"]));
    let cheap = post(&mut geth, "cheap", &json!({ "pow_target": 0, "ttl": 80_000 }));
    assert!(cheap["pow"].as_f64() < Some(0.2), "{cheap}");
    let dear = post(&mut geth, "dear", &json!({ "pow_target": 0.2 }));
    let line = |min_pow, count| {
        format!(
            "status-receive --sym-key {SYM_KEY} --min-pow {min_pow} --count {count} --timeout 60 \
             --peer {}",
            geth.enode()
        )
    };
    // geth sends its whole pool in one packet, so the other envelope would be there too.
    let received = record(&shell.ok(&line("0.2", 1)));
    assert_eq!(received["hash"], dear["hash"]);
    let hashes: Vec<_> =
        records(&shell.ok(&line("0", 2))).into_iter().map(|mut it| it["hash"].take()).collect();
    assert!(hashes.contains(&cheap["hash"]) && hashes.contains(&dear["hash"]), "{hashes:?}");
}

#[test]
fn two_hundred_envelopes_in_one_packet() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0", "--packets"]));
    subscribe(&mut geth);
    let more = json!({ "pow_target": 0, "ttl": 1000 });
    let mut posted: Vec<_> =
        (0..200).map(|number| post(&mut geth, &format!("{number}"), &more)).collect();
    let line = format!(
        "status-receive --sym-key {SYM_KEY} --count 200 --timeout 60 --peer {}",
        geth.enode()
    );
    let mut received = records(&shell.ok(&line));
    let envelopes = geth.wait_event(
        |event| event["event"] == "packet" && event["direction"] == "sent" && event["code"] == 1,
        super::SOON,
    );
    let total: usize = posted.iter().map(|it| bytes(it, "rlp").len()).sum();
    assert_eq!(
        envelopes["size"],
        total + statuskit_core::rlp::header_len(total),
        "all in one packet"
    );

    let by_hash = |it: &Value| text(it, "hash").to_owned();
    received.sort_by_key(by_hash);
    posted.sort_by_key(by_hash);
    assert_eq!(received.len(), 200);
    for (received, posted) in received.iter().zip(&posted) {
        assert_eq!(received["envelope"], posted["rlp"]);
        assert_eq!(received["pow"], posted["pow"]);
    }
    let mut payloads: Vec<_> = received.iter().map(|it| bytes(&it["payload"], "raw")).collect();
    payloads.sort();
    payloads.dedup();
    assert_eq!(payloads.len(), 200);
    assert!(payloads.iter().any(|payload| hex0x(payload) == hex0x("199")));
}

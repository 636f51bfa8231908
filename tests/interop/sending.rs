//! Envelopes from `status-send`, received by geth.

use serde_json::{Value, json};
use statuskit_core::{
    envelope::Topic,
    payload::{Wrapper, types::Type},
};

use super::{
    Keys, OTHER_TOPIC, SYM_KEY, TOPIC, bytes, geth, harness::Peer, message, message_of, pool,
    record, records, shell::Shell, subscribe, text, until, write,
};

/// Sends something to geth alone, which does not confirm, and returns the record.
#[track_caller]
fn send(shell: &Shell, geth: &Peer, line: &str) -> Value {
    let sent = record(&shell.ok(&line.replace("$ENODE", geth.enode())));
    assert_eq!(sent["type"], "sent");
    assert_eq!((&sent["written"], &sent["confirmed"]), (&json!(1), &json!(0)));
    assert_eq!(sent["peers"][0]["client"], "interop-geth/v1.9.20");
    assert_eq!(sent["peers"][0]["confirmed"], Value::Null, "geth never says");
    sent
}

/// Opens the sent envelope with our own tool, and compares every field with geth's.
#[track_caller]
fn agree(shell: &Shell, sent: &Value, message: &Value, keys: &str) -> Value {
    write(shell, "sent.hex", text(sent, "raw"));
    let opened = record(&shell.ok(&format!("status-envelope open {keys} < sent.hex")));
    for (ours, theirs) in [
        ("hash", "hash"),
        ("topic", "topic"),
        ("ttl", "ttl"),
        ("sent", "sent"),
        ("pow", "pow"),
        ("signer", "src"),
        ("padding", "padding"),
    ] {
        assert_eq!(opened[ours], message[theirs], "{ours}");
    }
    assert_eq!(opened["payload"]["raw"], message["payload"]);
    assert_eq!(sent["hash"], message["hash"]);
    assert_eq!(bytes(message, "padding").len(), bytes(&opened, "padding").len());
    opened
}

#[test]
fn a_signed_message_with_a_symmetric_key() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let me = Keys::new(&shell, "me");
    subscribe(&mut geth);
    let line = format!(
        "status-send 'hello, geth' --peer $ENODE --sym-key {SYM_KEY} --topic {TOPIC} --ttl 42 \
         --identity {}",
        me.file
    );
    let sent = send(&shell, &geth, &line);
    let message = message(&mut geth);
    assert_eq!(bytes(&message, "payload"), b"hello, geth");
    assert_eq!(message["topic"], TOPIC);
    assert_eq!(message["ttl"], 42);
    assert_eq!(text(&message, "src"), me.public);
    assert_eq!(message["dst"], Value::Null);
    // flags, length, payload, padding and signature fill a block.
    assert_eq!(bytes(&message, "padding").len(), 256 - 1 - 1 - 11 - 65);
    assert!(message["pow"].as_f64() >= Some(0.2), "{message}");
    agree(&shell, &sent, &message, &format!("--sym-key {SYM_KEY}"));
}

#[test]
fn an_unsigned_message_with_a_password_and_given_padding() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    geth.call(json!({ "cmd": "subscribe", "password": "sesame" }));
    let line = "status-send --peer $ENODE --password sesame --padding c0ffee < payload";
    // Binary: every byte value, ending like a line of text.
    let payload: Vec<u8> = (0..=255).chain(*b"\r\n\0\n").collect();
    write(&shell, "payload", &payload);
    let sent = send(&shell, &geth, line);
    let message = message(&mut geth);
    assert_eq!(bytes(&message, "payload"), payload);
    assert_eq!(message["padding"], "0xc0ffee");
    assert_eq!(message["src"], Value::Null);
    assert_eq!(message["ttl"], 50);
    assert_eq!(text(&message, "topic"), Topic::from_name("sesame").to_string());
    agree(&shell, &sent, &message, "--password sesame");
}

#[test]
fn a_message_to_a_public_key() {
    let (shell, mut geth) = (Shell::new(), geth(&[]));
    let [me, them] = ["me", "them"].map(|name| Keys::new(&shell, name));
    geth.call(json!({ "cmd": "subscribe", "private_key": them.private }));
    for identity in ["", "--identity me.key"] {
        let line = format!(
            "status-send 'for you alone' --peer $ENODE --to-key {} {identity}",
            them.public
        );
        let sent = send(&shell, &geth, &line);
        let message = message_of(&mut geth, &sent["hash"]);
        assert_eq!(bytes(&message, "payload"), b"for you alone");
        assert_eq!(text(&message, "dst"), them.public);
        let src = if identity.is_empty() { Value::Null } else { me.public.clone().into() };
        assert_eq!(message["src"], src);
        let partition = shell.ok(&format!("status-topic partitioned {}", them.public));
        assert_eq!(message["topic"], record(&partition)["topic"]);
        agree(&shell, &sent, &message, "--identity them.key");
    }
}

#[test]
fn a_chat_message_is_wrapped_and_signed() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0.002"]));
    let me = Keys::new(&shell, "me");
    let topic = Topic::from_name("interop chat").to_string();
    geth.call(json!({ "cmd": "subscribe", "password": "interop chat", "topics": [topic] }));
    let line = "echo 'Grüße 👋' | status-send --peer $ENODE --chat 'interop chat' \
                --exact-name --identity me.key";
    let sent = send(&shell, &geth, line);
    let message = message(&mut geth);
    assert_eq!(text(&message, "topic"), topic);
    assert_eq!(text(&message, "src"), me.public);
    assert_eq!(message["ttl"], 15);
    assert!(message["pow"].as_f64() >= Some(0.002), "{message}");

    // Decoded by hand: field 1 is the signature, 2 the message, 3 the type.
    let payload = bytes(&message, "payload");
    assert_eq!(payload[..2], [0x0a, 65]);
    assert_eq!(payload[67], 0x12);
    assert_eq!(payload[payload.len() - 2..], [0x18, 1]);
    let wrapper = Wrapper::decode(&payload).expect("a wrapper");
    assert_eq!(wrapper.kind(), i32::from(Type::ChatMessage));
    assert_eq!(wrapper.author().expect("signed").to_string(), me.public);
    let payload = wrapper.message().expect("a payload");
    let chat = payload.chat_message().expect("a chat message");
    assert_eq!((&*chat.text, &*chat.chat_id), ("Grüße 👋", "interop chat"));
    let sent_at = message["sent"].as_u64().expect("a time");
    // The clock may have advanced by a second.
    assert!([0, 1].contains(&(sent_at - chat.clock / 1000)), "{} {sent_at}", chat.clock);

    let opened = agree(&shell, &sent, &message, "--chat 'interop chat' --exact-name");
    assert_eq!(opened["payload"]["text"], "Grüße 👋");
}

#[test]
fn mining_follows_the_peers_requirements() {
    let shell = Shell::new();
    let [mut modest, mut strict] = ["0.2", "3"].map(|pow| geth(&["--min-pow", pow]));
    let line = format!(
        "status-send hi --sym-key {SYM_KEY} --topic {TOPIC} --peer {} --peer {}",
        modest.enode(),
        strict.enode()
    );
    let sent = record(&shell.ok(&line));
    assert_eq!(sent["written"], 2);
    for peer in [&mut modest, &mut strict] {
        subscribe(peer);
        until("it arrives", || pool(peer).contains(&text(&sent, "hash").to_owned()));
    }
    write(&shell, "sent.hex", text(&sent, "raw"));
    let checked = record(&shell.ok("status-envelope check --min-pow 3 < sent.hex"));
    assert_eq!(checked["accepted"], true);

    // An envelope with less is not sent, with the reason: geth would disconnect. The long TTL keeps
    // it from having enough PoW by chance.
    let error = shell.fails(4, &format!("{line} --pow 0.0000001 --ttl 10000000"));
    let error = &records(&error)[0];
    assert_eq!(error["code"], "send.unwanted");
    assert!(text(error, "message").contains("they ask for: proof of work"), "{error}");
    assert_eq!(pool(&mut modest).len(), 1);
}

#[test]
fn unwanted_topics_are_not_sent() {
    let shell = Shell::new();
    let bloom = statuskit_core::envelope::Bloom::from_topic(TOPIC.parse().expect("a topic"));
    let mut geth = geth(&["--bloom", &super::hex0x(bloom.0)]);
    subscribe(&mut geth);
    let line = |topic| {
        format!("status-send hi --sym-key {SYM_KEY} --topic {topic} --peer {}", geth.enode())
    };
    let (unwanted, wanted) = (line(OTHER_TOPIC), line(TOPIC));
    let error = shell.fails(4, &unwanted);
    assert_eq!(records(&error)[0]["code"], "send.unwanted");
    let sent = record(&shell.ok(&wanted));
    assert_eq!(message(&mut geth)["hash"], sent["hash"]);
    assert_eq!(pool(&mut geth).len(), 1);
}

#[test]
fn two_hundred_finished_envelopes_from_a_pipe() {
    let (shell, mut geth) = (Shell::new(), geth(&["--min-pow", "0.002"]));
    subscribe(&mut geth);
    let line = format!(
        "seq 200 | status-envelope seal --sym-key {SYM_KEY} --topic {TOPIC} --ttl 120 --lines \
         --pow 0.002 | status-send --peer {}",
        geth.enode()
    );
    let sent = records(&shell.ok(&line));
    assert_eq!(sent.len(), 200);
    assert!(sent.iter().all(|sent| sent["written"] == 1), "{sent:?}");
    // Results follow the order of the input.
    let lines: Vec<_> = sent.iter().map(|sent| sent["line"].as_u64()).collect();
    assert_eq!(lines, (1..=200).map(Some).collect::<Vec<_>>());
    for (number, sent) in (1..).zip(&sent) {
        let message = message_of(&mut geth, &sent["hash"]);
        assert_eq!(bytes(&message, "payload"), format!("{number}").as_bytes());
    }
}

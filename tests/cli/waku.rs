//! Waku as users see it: beside Whisper, alone, and over a bridge.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    network::{Node, network},
    record, records,
    share::{Tool, text_of},
    shell::{Shell, conforms},
};

/// The last record of a type that a node prints, once it is as wanted.
fn stats_of(tool: &mut Tool, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let stats = tool.next_of("stats");
        if wanted(&stats) {
            return stats;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{stats}");
    }
}

#[test]
fn a_message_of_waku_reaches_those_who_speak_it() {
    let (shell, node) = network("--waku");
    assert_eq!(node.ready["protocols"], serde_json::json!(["shh/6", "waku/0", "waku/1"]));
    let mut both = Tool::receiving(&shell, "--waku --peer $ENODE --chat status --count 1");
    let mut waku = Tool::receiving(&shell, "--waku-only --peer $ENODE --chat status --count 1");
    let line = "status-send hello --waku --no-whisper --peer $ENODE --identity me.key --chat status \
                --ttl 300";
    let sent = record(&shell.ok(line));
    // Nodes of Waku confirm only if they are told to.
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &0.into()));
    for tool in [&mut both, &mut waku] {
        let got = tool.next_of("message");
        assert_eq!((text_of(&got), &got["hash"]), ("hello".to_owned(), &sent["hash"]));
    }
    assert_eq!((both.rest().1, waku.rest().1), (Some(0), Some(0)));
    // Later ones get it as well; Whisper does not have it.
    let line = "status-receive --waku --peer \"$ENODE\" --chat status --count 1 --timeout 60";
    assert_eq!(record(&shell.ok(line))["hash"], sent["hash"]);
    shell.fails(1, "status-receive --peer $ENODE --chat status --count 1 --timeout 1");
}

#[test]
fn a_node_of_waku_confirms_when_told_to() {
    let (shell, _node) = network("--waku-only --waku-confirmations");
    let sent = record(&shell.ok("status-send hi --waku-only --peer $ENODE --chat c"));
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &1.into()));
    // Who speaks Whisper alone finds nobody.
    let error = shell.fails(4, "status-send hi --peer $ENODE --chat c --timeout 5 --output json");
    assert!(error.contains("net.no_peer"), "{error}");
}

#[test]
fn an_envelope_that_comes_in_both_networks_is_printed_once() {
    let (shell, _node) = network("--bridge");
    let mut tool = Tool::receiving(&shell, "--waku --peer $ENODE --chat c --count 3");
    for (text, dialect) in [("one", ""), ("two", "--waku-only"), ("three", "--waku")] {
        shell.ok(&format!("status-send {text} {dialect} --peer $ENODE --chat c --ttl 300"));
        // Were it printed twice, the next would be the same.
        assert_eq!(text_of(&tool.next_of("message")), text);
    }
    assert_eq!(tool.rest().1, Some(0));
}

#[test]
fn a_bridge_connects_whisper_and_waku() {
    let mut shell = Shell::new();
    let line = "status-node --listen 127.0.0.1:0 --bridge --stats 1";
    let mut node = Tool::start(&shell, line);
    let ready = node.next_of("ready");
    shell.var("ENODE", ready["enode"].as_str().unwrap());
    let mut waku = Tool::receiving(&shell, "--waku-only --peer $ENODE --chat c --count 1");
    let mut whisper = Tool::receiving(&shell, "--peer $ENODE --chat d --count 1");
    shell.ok("status-send over --peer $ENODE --chat c --ttl 300");
    shell.ok("status-send back --waku-only --peer $ENODE --chat d --ttl 300");
    assert_eq!(text_of(&waku.next_of("message")), "over");
    assert_eq!(text_of(&whisper.next_of("message")), "back");
    let stats = stats_of(&mut node, |it| it["pooled"] == 4);
    for (to, from) in [("to_waku", "whisper"), ("to_whisper", "waku")] {
        assert_eq!(stats[to]["crossed"], 1, "{stats}");
        assert_eq!(stats["networks"][from]["pooled"], 2, "{stats}");
    }
    // One way, and some topics, as told.
    let options = "--bridge --bridge-to waku --bridge-topics waku:0x01020304";
    let one = Node::start(&shell, options);
    shell.var("ONE", one.enode);
    shell.ok("status-envelope seal hi --password p --topic 0x01020304 --pow 0.01 --ttl 300 > it");
    shell.ok("status-send --peer $ONE < it");
    shell.ok("status-send hi --peer $ONE --chat c --ttl 300");
    shell.ok("status-send hi --waku-only --peer $ONE --chat c --ttl 300");
    let line = "status-receive --all --raw-envelopes --timeout 2s --peer $ONE";
    assert_eq!(records(&shell.run(line).stdout).len(), 2);
    assert_eq!(records(&shell.run(&format!("{line} --waku-only")).stdout).len(), 2);
}

#[test]
fn one_archive_answers_in_both_networks() {
    let mut shell = Shell::new();
    let line = "status-mailserver serve --waku --listen 127.0.0.1:0 --store a --metrics 127.0.0.1:0 \
                --password status-offline-inbox";
    let node = Node::of(&shell, line);
    shell.var("ENODE", node.enode.clone());
    // Both are confirmed, which means that they are stored.
    for (text, dialect) in [("whisper", ""), ("waku", "--waku-only")] {
        let line = format!("status-send {text} {dialect} --peer $ENODE --chat c --ttl 300");
        assert_eq!(record(&shell.ok(&line))["confirmed"], 1, "{text}");
    }
    for dialect in ["", "--waku-only", "--waku"] {
        let line = format!("status-mailserver query {dialect} --peer $ENODE --chat c --open");
        let mut texts: Vec<_> = records(&shell.ok(&line)).iter().map(text_of).collect();
        texts.sort();
        assert_eq!(texts, ["waku", "whisper"], "{dialect}");
        let line = format!(
            "status-receive {dialect} --mailserver $ENODE --since 1h --chat c --count 2 --timeout 60"
        );
        assert_eq!(records(&shell.ok(&line)).len(), 2, "{dialect}");
    }
    let line = "status-mailserver query --waku-only --peer $ENODE --chat c --open \
                --layout plain";
    assert_eq!(records(&shell.ok(line)).len(), 2);
    shell.ok("status-mailserver probe --waku-only --peer $ENODE");
    let metrics = format!("curl -s http://{}/metrics", node.ready["metrics"].as_str().unwrap());
    let metrics = shell.ok(&metrics);
    for line in [
        "statuskit_network_peers{network=\"waku\"} 0",
        "statuskit_network_envelopes_new_total{network=\"whisper\"} 1",
        "statuskit_network_envelopes_new_total{network=\"waku\"} 1",
        "statuskit_mailserver_archived_total 2",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    let error = shell.fails(2, "status-mailserver sync --waku-only --peer $ENODE --store b");
    assert!(error.contains("without --waku-only"), "{error}");
}

#[test]
fn a_conversation_in_waku() {
    let (mut shell, _node) = network("--waku-only");
    let [alice_key, bob_key] = ["ALICE", "BOB"].map(|name| shell.keygen(name));
    let start = |name: &str| {
        let line = format!(
            "status-chat --waku --peer $ENODE --timeout 120s --identity {name}.key --state {name}"
        );
        Tool::start(&shell, &line)
    };
    let (mut alice, mut bob) = (start("alice"), start("bob"));
    bob.write("{\"command\":\"contacts\",\"id\":\"ready\"}");
    bob.next_of("result");
    for (from, to, key) in [(0, 1, &bob_key), (1, 0, &alice_key)] {
        let tools = [&mut alice, &mut bob];
        let text = format!("from {from}");
        tools[from]
            .write(&format!("{{\"command\":\"send\",\"to\":\"{key}\",\"text\":\"{text}\"}}"));
        assert_eq!(text_of(&tools[to].next_of("message")), text);
        tools[from].next_of("acknowledged");
    }
    assert_eq!((alice.rest().1, bob.rest().1), (Some(0), Some(0)));
}

#[test]
fn wrong_combinations_are_2_and_say_what_to_try() {
    let shell = Shell::new();
    let enode = "E=enode://$(printf '1%.0s' {1..128})@127.0.0.1:1";
    for (line, hint) in [
        ("status-node --no-whisper", "--waku"),
        ("status-node --waku --waku-only", "--waku-only"),
        ("status-node --bridge --waku-only", "--waku-only"),
        ("status-node --bridge --waku --no-whisper", "--no-whisper"),
        ("status-node --bridge-to waku", "--bridge"),
        ("status-node --bridge --bridge-to shh", "whisper, waku"),
        ("status-node --bridge --bridge-topics status", "--bridge-topics"),
        ("status-node --bridge --bridge-rate 0", "--bridge-to"),
        ("status-node --bridge --bridge-rate shh:5", "--bridge-rate"),
        ("status-node --waku --waku-confirmations --no-confirmations", "--no-confirmations"),
        ("status-send hi --chat c --peer $E --no-whisper", "--waku"),
        ("status-receive --chat c --peer $E --waku-only --no-whisper", "--no-whisper"),
        ("status-chat --peer $E --no-whisper", "--waku"),
        ("status-mailserver serve --store a --password x --no-whisper", "--waku"),
        ("status-mailserver query --all --peer $E --waku --waku-only", "--waku-only"),
        ("status-mailserver sync --store a --peer $E --waku --no-whisper", "--waku-only"),
        ("status-envelope check --interest 0x01 < /dev/null", "--interest"),
        ("status-envelope check --interest 0x01020304 --bloom 0x00 < /dev/null", "--bloom"),
    ] {
        let error = shell.fails(2, &format!("{enode}; {line}"));
        error.lines().for_each(conforms::check);
        assert!(error.contains(hint) && !error.contains("panicked"), "{line}: {error}");
    }
}

#[test]
fn a_topic_interest_refuses_other_topics() {
    let shell = Shell::new();
    shell.ok("status-envelope seal hi --password p --topic 0x01020304 --pow 0.01 > it");
    let check = "status-envelope check --now sent";
    let found = record(&shell.ok(&format!("{check} --interest 0x01020304 < it")));
    assert_eq!(found["accepted"], true);
    let line = format!("{check} --interest 0x01020305 --interest 0x0102030f --output json < it");
    let ended = shell.run(&line);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let found = record(&ended.stdout);
    let checks = found["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = checks.filter(|check| check["pass"] == false).collect();
    assert_eq!(failed.len(), 1, "{found}");
    assert_eq!(failed[0]["code"], "envelope.no_topic_match");
    assert!(ended.stderr.contains("envelope.no_topic_match"), "{}", ended.stderr);
}

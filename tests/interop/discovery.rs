//! Discovery with nodes of go-ethereum 1.9.20: legacy v5 in each role, v4, and node records.
//!
//! A registration waits for at least a minute at a bootnode of the reference, and for a second at ours:
//! where theirs is the bootnode, they bond and look up. `.ci/nightly` waits for the whole.

use std::time::Duration;

use serde_json::json;

use super::{SOON, harness::Peer, shell::Shell, text, tool::Tool};

/// Waits of the reference: it asks a node for a topic once a minute.
const MINUTES: Duration = Duration::from_secs(240);

fn bootnode(shell: &mut Shell, args: &str) -> Tool {
    let line = format!("status-discover serve --listen 127.0.0.1:0 {args}");
    let mut node = Tool::start(shell, &line);
    let ready = node.result(|record| record["type"] == "ready");
    shell.var("BOOTNODE", text(&ready, "enode"));
    node
}

#[test]
fn their_bootnode_answers_us() {
    let mut shell = Shell::new();
    let boot = Peer::start("discovery", &[]);
    shell.var("BOOTNODE", boot.enode());
    let pong = shell.member("status-discover ping \"$BOOTNODE\"", "enode");
    assert_eq!(pong, boot.enode());
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(Peer::start("discovery", &["-bootnode", boot.enode()]));
    }
    let found = shell.ok("status-discover lookup --bootnode \"$BOOTNODE\" --count 3 --timeout 30s");
    assert_eq!(found.lines().count(), 3, "{found}");
    let table = shell.ok("status-discover table \"$BOOTNODE\"");
    for other in &others {
        assert!(table.contains(other.enode()), "{table}");
    }
    let crawled = shell.ok("status-discover crawl --bootnode \"$BOOTNODE\" --timeout 60s");
    assert!(crawled.lines().last().is_some_and(|it| it.contains("\"nodes\":4")), "{crawled}");
}

#[test]
fn they_register_and_search_at_our_bootnode() {
    let mut shell = Shell::new();
    let mut boot = bootnode(&mut shell, "--min-wait 1s --nodes");
    let enode = shell.ok("printf %s \"$BOOTNODE\"");
    let mut registrant = Peer::start("discovery", &["-bootnode", &enode]);
    registrant.call(json!({"cmd": "register", "topic": "whisper"}));
    let registered = boot.result(|record| record["topic"] == "whisper");
    assert_eq!(registered["enode"], registrant.enode());
    // Both find it.
    let line = "status-discover search whisper --bootnode \"$BOOTNODE\" --count 1 --timeout 2m";
    assert_eq!(shell.member(line, "enode"), registrant.enode());
    let mut searcher = Peer::start("discovery", &["-bootnode", &enode]);
    searcher.call(json!({"cmd": "search", "topic": "whisper"}));
    searcher.wait_event(
        |event| event["event"] == "found" && event["enode"] == registrant.enode(),
        MINUTES,
    );
}

#[test]
fn they_find_our_registrant_at_our_bootnode() {
    let mut shell = Shell::new();
    let _boot = bootnode(&mut shell, "--min-wait 1s");
    let enode = shell.ok("printf %s \"$BOOTNODE\"");
    let line = "status-discover register whispermail --bootnode \"$BOOTNODE\"";
    let mut registrant = Tool::start(&shell, line);
    registrant.result(|record| record["type"] == "registered");
    let mut searcher = Peer::start("discovery", &["-bootnode", &enode]);
    searcher.call(json!({"cmd": "search", "topic": "whispermail"}));
    searcher.wait_event(|event| event["event"] == "found", MINUTES);
}

#[test]
fn our_registrant_and_searcher_at_their_bootnode() {
    if std::env::var_os("STATUSKIT_NIGHTLY").is_none() {
        return;
    }
    let mut shell = Shell::new();
    let boot = Peer::start("discovery", &[]);
    shell.var("BOOTNODE", boot.enode());
    let line = "status-discover register whisper --bootnode \"$BOOTNODE\"";
    let mut registrant = Tool::start(&shell, line);
    let ticket = registrant.result(|record| record["type"] == "ticket");
    assert_eq!(ticket["wait"], 60);
    let mut theirs = Peer::start("discovery", &["-bootnode", boot.enode()]);
    theirs.call(json!({"cmd": "search", "topic": "whisper"}));
    let line = "status-discover search whisper --bootnode \"$BOOTNODE\" --count 1 --timeout 4m";
    shell.ok(line);
    theirs.wait_event(|event| event["event"] == "found", MINUTES);
}

#[test]
fn v4_nodes_answer_and_their_records_are_ours() {
    let mut shell = Shell::new();
    let mut node = Peer::start("discovery", &["-v4"]);
    shell.var("NODE", node.enode());
    let enr = shell.member("status-discover ping \"$NODE\" --protocol v4", "enr");
    let theirs = node.call(json!({"cmd": "self"}));
    assert_eq!(enr, text(&theirs, "record"));
    shell.ok(&format!("status-discover enr verify {enr}"));
    shell.keygen("me");
    let made = shell.member(
        "status-discover enr make --key me.key --ip 127.0.0.1 --tcp 30303 --udp 30301 --seq 7 \
         --pair eth=c0",
        "enr",
    );
    let read = node.call(json!({"cmd": "record", "text": made}));
    assert_eq!((text(&read, "text"), &read["seq"]), (made.as_str(), &json!(7)));
    let id = shell.member(&format!("status-discover enr show {made}"), "node_id");
    assert_eq!(id.trim_start_matches("0x"), text(&read, "node_id"));
    let damaged = format!("{}A", &made[..made.len() - 1]);
    assert!(node.try_call(json!({"cmd": "record", "text": damaged})).is_err());
    shell.fails(1, &format!("status-discover enr verify {damaged}"));
}

#[test]
fn a_receiver_that_knows_only_a_bootnode_gets_the_message() {
    let mut shell = Shell::new();
    let _boot = bootnode(&mut shell, "--min-wait 1s");
    let _node = Tool::node(&shell, "--discover whisper --bootnode \"$BOOTNODE\"");
    let receive =
        "status-receive --discover whisper --bootnode \"$BOOTNODE\" --chat status --count 1";
    let mut receiver = Tool::start(&shell, receive);
    receiver.note("receiving from 1 peer");
    shell.keygen("me");
    shell.ok(
        "status-send hello --discover whisper --bootnode \"$BOOTNODE\" --identity me.key --chat status",
    );
    let message = receiver.result(|record| record["payload"]["text"] == "hello");
    assert_eq!(message["type"], "message");
    let _ = SOON;
}

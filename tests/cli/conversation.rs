//! Private conversations as users type them: two processes with a state each, and a node between.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::ChildStdout,
};

use serde_json::Value;

use crate::{
    network::network,
    record, records,
    shell::{Background, Shell},
};

/// A background command that has found its peers.
struct Listening {
    child: Background,
    stdout: BufReader<ChildStdout>,
}

impl Listening {
    fn start(shell: &Shell, line: &str) -> Self {
        let mut child = Background(shell.command(&format!("exec {line}")).spawn().expect("bash"));
        let stdout = BufReader::new(child.0.stdout.take().expect("piped"));
        let mut stderr = BufReader::new(child.0.stderr.take().expect("piped"));
        let mut note = String::new();
        stderr.read_line(&mut note).expect("a note");
        assert!(note.contains("receiving from"), "{note}");
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, stdout }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        record(&line)
    }

    /// Waits for the command to end, and returns its remaining records.
    fn rest(mut self) -> Vec<Value> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("UTF-8");
        assert!(self.child.0.wait().expect("a status").success());
        records(&text)
    }
}

/// Sets `$ENODE`, and `$ALICE` and `$BOB` for `alice.key` and `bob.key`.
fn two() -> (Shell, crate::network::Node) {
    let (mut shell, node) = network("");
    shell.keygen("ALICE");
    shell.keygen("BOB");
    (shell, node)
}

fn of_type<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == kind).collect()
}

#[test]
fn without_a_state_messages_use_the_identity() {
    let (shell, _node) = two();
    let ended = shell
        .run("echo hello | status-send --peer $ENODE --identity alice.key --to $BOB --ttl 120");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("without forward secrecy"), "{}", ended.stderr);
    let sent = record(&ended.stdout);
    let line = "status-receive --peer $ENODE --identity bob.key --count 1 --timeout 60";
    let got = record(&shell.ok(line));
    assert_eq!(got["payload"]["text"], "hello");
    assert_eq!(got["layers"]["secure"], "dh");
    // Names no installation: nobody could answer to it.
    assert_eq!(got["layers"]["installation"], Value::Null);
    assert_eq!(got["message_id"], sent["message_id"]);
    // The same, sealed by hand.
    let line = "echo hi | status-envelope seal --identity alice.key --to $BOB --ttl 120 --pow 0.002 \
                | status-send --peer $ENODE";
    shell.ok(line);
    let line = "status-receive --peer $ENODE --identity bob.key --count 2 --timeout 60 --no-acks";
    let texts: Vec<_> =
        records(&shell.ok(line)).iter().map(|it| it["payload"]["text"].clone()).collect();
    assert!(texts.contains(&"hi".into()), "{texts:?}");
    // Private messages need an identity.
    shell.fails(2, "echo hello | status-send --peer $ENODE --to $BOB");
}

#[test]
fn from_a_contact_code_to_the_negotiated_topic() {
    let (mut shell, _node) = two();
    // Alice looks for Bob's contact code; Bob publishes it.
    let look = "status-receive --peer $ENODE --identity alice.key --state a --contact $BOB --count 1 --timeout 60";
    let looking = Listening::start(&shell, look);
    shell
        .ok("status-session contact-code --identity bob.key --state b | status-send --peer $ENODE");
    let found = looking.rest();
    assert_eq!(found[0]["type"], "bundle");
    assert_eq!(found[0]["learned"][0]["protocol_version"], 1);

    let mut topics = Vec::new();
    for (at, (from, to, key)) in
        [("alice", "b", "BOB"), ("bob", "a", "ALICE"), ("alice", "b", "BOB"), ("bob", "a", "ALICE")]
            .into_iter()
            .enumerate()
    {
        let me = if from == "alice" { "a" } else { "b" };
        let other = if from == "alice" { "bob" } else { "alice" };
        let receive = format!(
            "status-receive --peer $ENODE --identity {other}.key --state {to} --count 1 --timeout 60"
        );
        let listening = Listening::start(&shell, &receive);
        let send = format!(
            "echo text {at} | status-send --peer $ENODE --identity {from}.key --state {me} --to ${key} --wait-ack 60s"
        );
        let sent = records(&shell.ok(&send));
        let carrier = of_type(&sent, "sent")[0];
        assert_eq!(carrier["secure"], "direct", "{carrier}");
        topics.push(carrier["topic"].as_str().unwrap().to_owned());
        let acknowledged = of_type(&sent, "acknowledged");
        assert_eq!(acknowledged.len(), 1);
        assert_eq!(acknowledged[0]["message_id"], carrier["message_ids"][0]);
        let got = listening.rest();
        let message = of_type(&got, "message")[0];
        assert_eq!(message["payload"]["text"], format!("text {at}"));
        assert_eq!(message["message_id"], carrier["message_ids"][0]);
        assert_eq!(message["layers"]["secure"], "direct");
        assert!(message["layers"]["data_sync_id"].is_string());
    }
    let key = shell.keygen("UNUSED");
    let partitioned = shell.member("status-topic partitioned $BOB", "topic");
    assert_eq!(topics[0], partitioned, "the first goes where everyone writes to ({key})");
    assert!(
        topics[1..].iter().all(|topic| *topic == topics[1] && *topic != topics[0]),
        "{topics:?}"
    );
    // No message is left in the queue.
    let list = records(&shell.ok("status-session list --identity alice.key --state a"));
    assert_eq!(of_type(&list, "session").len(), 1);
    assert_eq!(of_type(&list, "installation")[0]["agreed"], true);
}

#[test]
fn a_missing_state_is_named_as_the_reason() {
    let (shell, _node) = two();
    let (alice, bob) = ("--identity alice.key --state a", "--identity bob.key --state b");
    shell.ok(&format!("status-session bundle new {bob} | status-session bundle learn {alice}"));
    shell.ok(&format!("echo hi | status-send --peer $ENODE {alice} --to $BOB --ttl 120"));
    let line = "status-receive --peer $ENODE --identity bob.key --timeout 3s --output json";
    let error = shell.fails(1, line);
    assert!(error.contains("secure.device_not_found") && error.contains("--state DIR"), "{error}");
    let line = format!("status-receive --peer $ENODE {bob} --count 1 --timeout 60");
    let got = record(&shell.ok(&line));
    assert_eq!(
        (&got["payload"]["text"], &got["layers"]["secure"]),
        (&"hi".into(), &"direct".into())
    );
    // A second installation of the same identity, which the message is not for.
    let line =
        "status-receive --peer $ENODE --identity bob.key --state c --timeout 3s --output json";
    let error = shell.fails(1, line);
    assert!(error.contains("secure.device_not_found") && !error.contains("--state DIR"), "{error}");
}

#[test]
fn a_kill_between_messages_keeps_the_conversation() {
    let (shell, _node) = two();
    let receive = "status-receive --peer $ENODE --identity bob.key --state b --timeout 100";
    let mut last = Value::Null;
    for round in 0..3 {
        let mut listening = Listening::start(&shell, receive);
        for at in 0..2 {
            let line = format!(
                "echo {round}.{at} | status-send --peer $ENODE --identity alice.key --state a --to $BOB --ttl 120"
            );
            shell.ok(&line);
            let mut next = listening.next();
            if next["repeated"] == true {
                // It may have been printed before the kill, and nobody can know.
                assert_eq!((at, &next["payload"]["text"]), (0, &last));
                next = listening.next();
            }
            last = next["payload"]["text"].clone();
            assert_eq!(last, format!("{round}.{at}"));
        }
        // SIGKILL: no chance to clean up.
        listening.child.0.kill().expect("killed");
        listening.child.0.wait().expect("a status");
        let line = format!(
            "echo answer {round} | status-send --peer $ENODE --identity bob.key --state b --to $ALICE --ttl 120"
        );
        shell.ok(&line);
    }
    let line = "status-receive --peer $ENODE --identity alice.key --state a --count 3 --timeout 60";
    let mut texts: Vec<_> = records(&shell.ok(line))
        .iter()
        .map(|it| it["payload"]["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    assert_eq!(texts, ["answer 0", "answer 1", "answer 2"]);
    // Messages already read are not shown again, though the node still has them.
    shell.fails(1, "status-receive --peer $ENODE --identity alice.key --state a --timeout 2s");
}

#[test]
fn a_state_belongs_to_one_identity() {
    let (shell, _node) = two();
    let receive = "status-receive --peer $ENODE --identity bob.key --state b --timeout 100";
    let listening = Listening::start(&shell, receive);
    let line = "status-session list --identity bob.key --state b --output json";
    let error = shell.fails(5, line);
    let holder = format!("process {} (status-receive)", listening.child.0.id());
    assert!(error.contains("state.in_use") && error.contains(&holder), "{error}");
    let line = "status-send hi --identity alice.key --state b --to $ALICE --output json";
    let error = shell.fails(2, line);
    assert!(error.contains("store.other_identity") && error.contains(&holder), "{error}");
    drop(listening);
    let error = shell.fails(2, "status-session list --identity alice.key --state b --output json");
    assert!(error.contains("store.other_identity"), "{error}");
    let error = shell.fails(2, "status-session list --identity bob.key --output json");
    assert!(error.contains("--state"), "{error}");
    shell.fails(2, "status-send hi --peer $ENODE --identity bob.key --group x");
    shell.fails(2, "status-send hi --peer $ENODE --identity bob.key --to $ALICE --wait-ack 1s");
}

#[test]
fn a_state_with_a_password() {
    let (mut shell, _node) = two();
    shell.ok("echo secret > password; echo other > wrong");
    let with = "--identity alice.key --state a --state-password-file password";
    shell.ok(&format!("echo hi | status-send --peer $ENODE {with} --to $BOB"));
    // Without a terminal there is no prompt.
    let error = shell.fails(2, "status-session list --identity alice.key --state a --output json");
    assert!(error.contains("password.missing"), "{error}");
    let line = "status-session list --identity alice.key --state a --state-password-file wrong --output json";
    let error = shell.fails(1, line);
    assert!(error.contains("store.wrong_password"), "{error}");
    let own = records(&shell.ok(&format!("status-session export --subtle {with}")));
    let secret = of_type(&own, "pre_key")[0]["private_key"].as_str().unwrap()[2..].to_owned();
    let bytes = hex::decode(&secret).unwrap();
    for entry in std::fs::read_dir(shell.dir().join("a")).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!content.windows(32).any(|window| window == bytes), "in the clear");
    }
    shell.var("STATUS_STATE", "a");
    shell.var("STATUS_STATE_PASSWORD", "secret");
    shell.ok("status-session list --identity alice.key");
}

#[test]
fn a_group_of_three() {
    let (mut shell, _node) = two();
    shell.keygen("CAROL");
    let line = "status-group new --identity alice.key --name team --member $BOB --member $CAROL \
                | tee events.json | status-group replay";
    shell.ok(line);
    let line = "echo welcome | status-send --peer $ENODE --identity alice.key --state alice.state \
                --group @events.json --ttl 120";
    shell.ok(line);
    let mut group = String::new();
    for name in ["bob", "carol"] {
        let line = format!(
            "status-receive --peer $ENODE --identity {name}.key --state {name}.state --count 1 --timeout 60"
        );
        let got = record(&shell.ok(&line));
        // The invitation comes with the history. Messages are not shown before joining.
        assert_eq!(got["group"]["name"], "team", "{got}");
        assert_eq!(got["payload"]["type"], "membership_update_message");
        group = got["group"]["chat_id"].as_str().unwrap().to_owned();
    }
    shell.var("GROUP", group);
    // Sending needs membership.
    let line = "echo no | status-send --peer $ENODE --identity bob.key --state bob.state --group \"$GROUP\" --output json";
    let error = shell.fails(1, line);
    assert!(error.contains("chat.we_not_joined"), "{error}");
    for name in ["bob", "carol"] {
        shell.ok(&format!("status-group join --identity {name}.key < events.json > joined.json && mv joined.json events.json"));
    }
    let line = "echo from bob | status-send --peer $ENODE --identity bob.key --state bob.state --group @events.json --ttl 120";
    shell.ok(line);
    for name in ["alice", "carol"] {
        let line = format!(
            "status-receive --peer $ENODE --identity {name}.key --state {name}.state --count 2 --timeout 60"
        );
        let got = records(&shell.ok(&line));
        let texts: Vec<_> = got.iter().map(|it| it["payload"]["message"]["text"].clone()).collect();
        assert!(texts.contains(&"from bob".into()), "{got:?}");
    }
    let line = "echo x | status-send --peer $ENODE --identity bob.key --state bob.state --group unknown --output json";
    let error = shell.fails(1, line);
    assert!(error.contains("chat.unknown_group"), "{error}");
}

#[test]
fn group_changes_are_announced_without_a_text() {
    let (mut shell, _node) = two();
    let send = |who: &str, file: &str| {
        format!(
            "status-send --announce --peer $ENODE --identity {who}.key --state {who}.state \
             --group {file} --ttl 120"
        )
    };
    let receive = |who: &str| {
        format!(
            "status-receive --peer $ENODE --identity {who}.key --state {who}.state --count 1 \
             --timeout 60"
        )
    };
    shell.keygen("CAROL");
    let line = "status-group new --identity alice.key --name team --member $BOB --member $CAROL";
    shell.ok(&format!("{line} > team.jsonl"));
    assert_eq!(records(&shell.ok(&send("alice", "@team.jsonl"))).len(), 2);
    // A received record works as a history.
    shell.ok(&format!("{} > added.jsonl", receive("bob")));
    shell.ok("status-group leave --identity bob.key < added.jsonl > left.jsonl");
    shell.ok(&receive("carol"));
    // Removed members are notified. A member who left is not: the event is theirs.
    shell.ok("status-group remove $CAROL --identity alice.key < team.jsonl > smaller.jsonl");
    assert_eq!(records(&shell.ok(&send("alice", "@smaller.jsonl"))).len(), 2);
    let got = record(&shell.ok(&receive("carol")));
    assert_eq!(got["group"]["members"].as_array().unwrap().len(), 2, "{got}");
    assert_eq!(got["group"]["new_events"], 1);
    // Bob does not know yet that Carol was removed.
    let sent = records(&shell.ok(&send("bob", "@left.jsonl")));
    let me = shell.ok("echo -n $BOB");
    assert!(sent.len() == 2 && sent.iter().all(|it| it["to"] != me.as_str()), "{sent:?}");
    // With a text this fails, and the error suggests the alternative.
    let line = send("bob", "@left.jsonl").replace("--announce", "bye --output json");
    let error = shell.fails(1, &line);
    assert!(error.contains("chat.we_not_joined") && error.contains("--announce"), "{error}");
    let error = shell.fails(1, &send("alice", "@team.jsonl").replace("--announce", ""));
    assert!(error.contains("input.empty") && error.contains("--announce"), "{error}");
    // A group ID that the state knows.
    let id = got["group"]["chat_id"].as_str().unwrap();
    shell.ok(&send("alice", id));
    let error = shell.fails(1, &send("alice", "unknown"));
    assert!(error.contains("chat.unknown_group"), "{error}");
    shell.fails(2, &send("alice", "@team.jsonl").replace("--announce", "--announce hi"));
    let to_bob = "--announce --peer $ENODE --identity alice.key --state alice.state --to $BOB";
    let error = shell.fails(2, &format!("status-send {to_bob}"));
    assert!(error.contains("--announce"), "{error}");
    // A history with a bad line is refused.
    shell.ok("(cat team.jsonl; echo junk!) > bad.jsonl");
    let error = shell.fails(3, &send("alice", "@bad.jsonl"));
    assert!(error.contains("\"line\":3") && error.contains("--group"), "{error}");
    shell.ok("status-group new --identity alice.key --name other >> team.jsonl");
    let error = shell.fails(3, &send("alice", "@team.jsonl"));
    assert!(error.contains("group.history"), "{error}");
}

#[test]
fn an_unacknowledged_message_is_4_and_is_repeated_later() {
    let (shell, _node) = two();
    let line = "echo hi | status-send --peer $ENODE --identity alice.key --state a --to $BOB --wait-ack 1s --ttl 1s --output json";
    let error = shell.fails(4, line);
    assert!(error.contains("send.unacknowledged"), "{error}");
    // The next process to open the state repeats it.
    let listening = Listening::start(
        &shell,
        "status-receive --peer $ENODE --identity bob.key --state b --count 1 --timeout 100",
    );
    let _repeating = Listening::start(
        &shell,
        "status-receive --peer $ENODE --identity alice.key --state a --timeout 100",
    );
    assert_eq!(listening.rest()[0]["payload"]["text"], "hi");
}

#[test]
fn results_follow_the_order_of_lines() {
    let (shell, _node) = two();
    let line = "printf 'a\\n \\nb\\n' | status-send --lines --peer $ENODE --identity alice.key --state a --to $BOB --ttl 120 --output json 2>&1";
    let ended = shell.run(line);
    assert_eq!(ended.code, 3, "{}", ended.stdout);
    let all = records(&ended.stdout);
    let all: Vec<_> = all.iter().filter(|it| it["type"] != "note").collect();
    let lines: Vec<_> = all.iter().map(|it| (it["type"].as_str(), it["line"].as_u64())).collect();
    let expected = [(Some("sent"), 1), (Some("error"), 2), (Some("sent"), 3)];
    assert_eq!(lines, expected.map(|(kind, line)| (kind, Some(line))), "{all:?}");
    assert_eq!(all[1]["code"], "payload.text_blank");
    let ids = |record: &Value| record["message_ids"].as_array().expect("ids").clone();
    assert_eq!([0, 2].map(|at| ids(all[at]).len()), [1, 1]);
    assert_ne!(ids(all[0]), ids(all[2]));
    // One envelope may hold several messages; its bytes are shown once.
    let is_shared = all[0]["hash"] == all[2]["hash"];
    assert_eq!(all[2]["raw"].is_null(), is_shared);
}

#[test]
fn a_text_that_is_too_long_leaves_no_trace_in_the_state() {
    let (shell, _node) = two();
    let send = "status-send --peer $ENODE --identity alice.key --state a --to $BOB --ttl 120";
    let error =
        shell.fails(1, &format!("head -c 1100000 /dev/zero | tr '\\0' a | {send} --output json"));
    assert!(error.contains("envelope.oversized"), "{error}");
    let sent = records(&shell.ok(&format!("echo hi | {send}")));
    assert_eq!(sent.len(), 1, "nothing else was queued: {sent:?}");
}

#[test]
fn a_message_that_no_longer_fits_is_given_up_alone() {
    let (shell, _node) = two();
    let bundle = |state: &str| {
        shell.ok(&format!(
            "status-session bundle new --identity bob.key --state {state} > {state}.bundle; \
             status-session bundle learn --identity alice.key --state a < {state}.bundle"
        ));
    };
    let alice = "--peer $ENODE --identity alice.key --state a";
    bundle("phone");
    let text = "head -c 600000 /dev/zero | tr '\\0' a";
    let sent = record(&shell.ok(&format!("{text} | status-send {alice} --to $BOB --ttl 20")));
    bundle("desktop");
    // A repetition would now need two copies.
    let line = format!("echo hi | status-send {alice} --to $BOB --wait-ack 5s --output json");
    let error = shell.fails(4, &line);
    assert!(error.contains("send.given_up"), "{error}");
    assert!(error.contains(sent["message_ids"][0].as_str().expect("an id")), "{error}");
    // Reported only once.
    let line = format!("echo hi | status-send {alice} --to $BOB");
    assert_eq!(records(&shell.ok(&line)).last().expect("a result")["written"], 1);
}

#[test]
fn a_lost_contact_code_is_published_again() {
    let (shell, _node) = two();
    // The envelope is discarded.
    shell.ok("status-session contact-code --identity bob.key --state b > /dev/null");
    let look = "status-receive --peer $ENODE --identity alice.key --state a --contact $BOB --count 1 --timeout 60";
    let looking = Listening::start(&shell, look);
    let _publishing = Listening::start(
        &shell,
        "status-receive --peer $ENODE --identity bob.key --state b --timeout 100",
    );
    assert_eq!(looking.rest()[0]["type"], "bundle");
    let error = shell.fails(2, "status-receive --peer $ENODE --chat status --timeout 0");
    assert!(error.contains("--timeout 1s"), "{error}");
}

#[test]
fn two_devices_of_one_user() {
    let (mut shell, _node) = two();
    let device = |state: &str| format!("--identity alice.key --state {state}");
    for state in ["phone", "desktop"] {
        shell.ok(&format!("status-session bundle new {} > /dev/null", device(state)));
    }
    // Each device learns about the other, and enables it.
    for (from, to) in [("phone", "desktop"), ("desktop", "phone")] {
        let line = format!("status-receive --peer $ENODE {} --count 1 --timeout 60", device(to));
        let listening = Listening::start(&shell, &line);
        shell.ok(&format!(
            "status-session pair --name {from} {} | status-send --peer $ENODE",
            device(from)
        ));
        let got = listening.rest();
        let message = of_type(&got, "message")[0];
        assert_eq!(message["payload"]["type"], "pair_installation");
        let id = message["payload"]["installation_id"].as_str().expect("an id").to_owned();
        shell.var("OTHER", id);
        shell.ok(&format!("status-session enable \"$OTHER\" {}", device(to)));
    }
    shell.ok("echo mine | status-send --peer $ENODE --identity alice.key --state phone --to $BOB --ttl 120");
    let line = format!("status-receive --peer $ENODE {} --count 1 --timeout 60", device("desktop"));
    let got = records(&shell.ok(&line));
    let message = of_type(&got, "message")[0];
    assert_eq!(message["payload"]["text"], "mine");
    assert_eq!(message["chat"], message["payload"]["chat_id"]);
    let line = "status-receive --peer $ENODE --identity bob.key --state b --count 1 --timeout 60";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "mine");
}

#[test]
fn payloads_of_any_type_are_sent_and_answered() {
    let (shell, _node) = two();
    let send = |from: &str, to: &str| {
        format!(
            "status-send --payloads --peer $ENODE --identity {from}.key --state {from} --to ${to} --ttl 120"
        )
    };
    let receive = |to: &str| {
        let line = format!(
            "status-receive --peer $ENODE --identity {to}.key --state {to} --count 1 --timeout 60"
        );
        record(&shell.ok(&line))
    };
    let ask = "status-payload encode request_address_for_transaction --set value=1";
    // Bad records do not stop the stream.
    let stream = format!("({ask}; echo rubbish; echo '{{\"type\":\"none\"}}')");
    let line = format!("{stream} | {}", send("alice", "BOB"));
    let ended = shell.run(&line);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let sent = record(&ended.stdout);
    let errors = records(&ended.stderr);
    let errors: Vec<_> = of_type(&errors, "error").iter().map(|it| it["line"].as_u64()).collect();
    assert_eq!((sent["line"].as_u64(), errors), (Some(1), vec![Some(2), Some(3)]));

    let asked = receive("bob");
    assert_eq!(asked["payload"]["type"], "request_address_for_transaction");
    assert_eq!(asked["message_id"], sent["message_ids"][0]);
    // Alice's state knows the command that this answers. The input may be raw wrapper bytes.
    let accept = format!(
        "status-payload encode accept_request_address_for_transaction --set id={} \
         --set address=0x627306090abab3a6e1400e9345bc60c78a8bef57 --output hex",
        asked["message_id"].as_str().unwrap()
    );
    shell.ok(&format!("{accept} | {}", send("bob", "ALICE")));
    let accepted = receive("alice");
    assert_eq!(accepted["payload"]["type"], "accept_request_address_for_transaction");
    assert_eq!(accepted["payload"]["id"], sent["message_ids"][0]);
    assert_eq!(accepted["author"], shell.ok("echo -n $BOB"));

    // Payloads that clients would refuse are not sent.
    let blank = "status-payload template request_transaction";
    let error = shell.fails(3, &format!("{blank} | {}", send("alice", "BOB")));
    let error = record(&error);
    assert_eq!((&error["code"], &error["line"]), (&"payload.value_blank".into(), &1.into()));
    let error = shell.fails(
        2,
        "status-send --payloads --peer $ENODE --identity alice.key --chat c --output json < /dev/null",
    );
    assert!(error.contains("--payloads"), "{error}");
}

#[test]
fn formats_without_raw_bytes_are_refused_before_receiving() {
    let (shell, _node) = two();
    shell.ok("echo hi | status-send --peer $ENODE --identity alice.key --state a --to $BOB --ttl 120 --output hex");
    let receive = "status-receive --peer $ENODE --identity bob.key --state b --timeout 60";
    for format in ["hex", "raw"] {
        let error = shell.fails(2, &format!("{receive} --output {format}"));
        assert!(error.contains("no raw bytes"), "{error}");
        let line = format!(
            "echo hi | status-send --peer $ENODE --identity alice.key --state a --to $BOB --wait-ack 5s --output {format}"
        );
        let ended = shell.run(&line);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    }
    // Envelopes have raw bytes.
    let line = "status-receive --peer $ENODE --raw-envelopes --identity bob.key --count 1 --timeout 60 --output hex";
    assert!(shell.ok(line).starts_with("0x"));
    // The message was not consumed.
    let got = record(&shell.ok(&format!("{receive} --count 1")));
    assert_eq!(got["payload"]["text"], "hi");
}

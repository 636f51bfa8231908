//! `status-chat`: commands in, records out.

use serde_json::{Value, json};

use crate::{
    network::{Node, network},
    records,
    share::{Tool, text_of},
    shell::Shell,
};

fn two() -> (Shell, Node) {
    let (mut shell, node) = network("");
    shell.keygen("ALICE");
    shell.keygen("BOB");
    (shell, node)
}

fn chat(shell: &Shell, options: &str) -> Tool {
    Tool::start(shell, &format!("status-chat --peer $ENODE --timeout 120s {options}"))
}

/// Sends a command, and returns its result.
fn ask(tool: &mut Tool, command: Value) -> Value {
    let id = command["id"].clone();
    tool.write(&command.to_string());
    loop {
        let next = tool.next();
        if next["id"] == id && next["type"] != "sent" {
            return next;
        }
    }
}

fn value(shell: &Shell, name: &str) -> String {
    shell.ok(&format!("echo ${name}")).trim().to_owned()
}

#[test]
fn a_conversation_with_groups_and_contacts() {
    let (shell, _node) = two();
    let [alice_key, bob_key] = ["ALICE", "BOB"].map(|name| value(&shell, name));
    let mut alice = chat(&shell, "--identity alice.key --state a");
    let mut bob = chat(&shell, "--identity bob.key --state b");
    let result = ask(&mut bob, json!({ "command": "contacts", "id": "ready" }));
    assert_eq!(result["contacts"], json!([]));

    let hello = json!({ "command": "send", "to": bob_key, "text": "hello", "id": 7 });
    let result = ask(&mut alice, hello);
    assert_eq!((&result["type"], &result["command"]), (&"result".into(), &"send".into()));
    let sent = alice.next_of("sent");
    assert_eq!((&sent["id"], &sent["confirmed"]), (&7.into(), &1.into()));
    let got = bob.next_of("message");
    assert_eq!((text_of(&got), &got["message_id"]), ("hello".to_owned(), &result["message_id"]));
    let acknowledged = alice.next_of("acknowledged");
    assert_eq!(acknowledged["message_id"], result["message_id"]);

    let contacts = ask(&mut bob, json!({ "command": "contacts", "id": 1 }));
    assert_eq!(contacts["contacts"][0]["public_key"], alice_key.as_str());
    assert_eq!(contacts["contacts"][0]["name"].as_str().unwrap().split(' ').count(), 3);

    let create = json!({ "command": "create", "name": "team", "members": [bob_key], "id": 2 });
    let group = ask(&mut alice, create)["group"].clone();
    assert_eq!((&group["name"], &group["joined"]), (&"team".into(), &json!([alice_key])));
    let invited = bob.next_of("message");
    assert_eq!(invited["group"]["chat_id"], group["chat_id"]);
    let join = json!({ "command": "join", "group": group["chat_id"], "id": 3 });
    let joined = ask(&mut bob, join);
    assert_eq!(joined["group"]["joined"].as_array().unwrap().len(), 2, "{joined}");
    assert_eq!(alice.next_of("message")["group"]["joined"].as_array().unwrap().len(), 2);
    let text = json!({ "command": "send", "group": group["chat_id"], "text": "all", "id": 4 });
    ask(&mut bob, text);
    let got = alice.next_of("message");
    assert_eq!(
        (&got["chat"], &got["payload"]["message"]["text"]),
        (&group["chat_id"], &"all".into())
    );
    let rename = json!({ "command": "rename", "group": group["chat_id"], "name": "crew", "id": 5 });
    assert_eq!(ask(&mut alice, rename.clone())["group"]["name"], "crew");
    // Bob is no admin.
    let mut refused = rename;
    refused["name"] = "mine".into();
    let refused = ask(&mut bob, refused);
    assert_eq!(refused["type"], "error", "{refused}");
    let groups = ask(&mut alice, json!({ "command": "groups", "id": 6 }));
    assert_eq!(groups["groups"][0]["name"], "crew");

    assert_eq!(alice.rest().1, Some(0));
    // One of its commands failed.
    assert_eq!(bob.rest().1, Some(1));
}

#[test]
fn a_bad_line_is_told_and_the_next_is_read() {
    let (shell, _node) = two();
    let long = format!("{{\"command\":\"{}\"}}", "x".repeat(2 << 20));
    std::fs::write(
        shell.dir().join("commands"),
        format!(
            "{{\n\n\u{fffd}\n[1]\n{{\"command\":\"shout\",\"id\":[1]}}\n{long}\n\
             {{\"command\":\"send\",\"chat\":\"c\",\"text\":\"one\",\"id\":\"a\"}}\n\
             {{\"command\":\"send\",\"chat\":\"c\",\"text\":\"\",\"id\":\"b\"}}\n\
             {{\"command\":\"history\",\"id\":\"c\"}}\n\
             {{\"command\":\"groups\",\"id\":\"d\"}}\n\
             {{\"command\":\"send\",\"chat\":\"c\",\"text\":\"two\",\"id\":\"e\"}}"
        ),
    )
    .unwrap();
    let ended = shell
        .run("{ printf '\\xff\\n'; cat commands; } | status-chat --peer $ENODE --timeout 120s");
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let printed = records(&ended.stdout);
    let of = |id: &str| -> Vec<_> {
        printed.iter().filter(|it| it["id"] == id).map(|it| it["type"].clone()).collect()
    };
    assert_eq!(
        (of("a"), of("e")),
        (
            vec!["result", "sent"].into_iter().map(Value::from).collect(),
            vec![Value::from("result"), "sent".into()]
        )
    );
    assert_eq!(
        (of("b"), of("c"), of("d")),
        (vec!["error".into()], vec!["error".into()], vec!["error".into()])
    );
    let errors: Vec<_> = printed.iter().filter(|it| it["type"] == "error").collect();
    assert_eq!(errors.len(), 9, "{errors:?}");
    assert_eq!(errors.iter().filter(|it| it["id"] == json!([1])).count(), 1);
    let line = "status-receive --peer $ENODE --chat c --count 2 --timeout 60";
    let mut texts: Vec<_> = records(&shell.ok(line)).iter().map(text_of).collect();
    texts.sort();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn chats_are_joined_and_left() {
    let (shell, _node) = two();
    let mut tool = chat(&shell, "");
    let send = |text: &str| {
        shell.ok(&format!("status-send '{text}' --peer $ENODE --identity me.key --chat c"));
    };
    ask(&mut tool, json!({ "command": "join", "chat": "c", "id": 1 }));
    send("one");
    assert_eq!(tool.text(), "one");
    ask(&mut tool, json!({ "command": "leave", "chat": "c", "id": 2 }));
    send("two");
    ask(&mut tool, json!({ "command": "join", "chat": "d", "id": 3 }));
    shell.ok("status-send other --peer $ENODE --identity me.key --chat d");
    assert_eq!(tool.text(), "other");
    assert_eq!(tool.rest(), (vec![], Some(0)));
}

#[test]
fn history_comes_on_request() {
    let (mut shell, _node) = two();
    shell.ok("status-envelope seal before --identity me.key --chat c --pow 0.01 --ttl 60 | status-mailserver import --store served");
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store served \
                --password status-offline-inbox";
    let mailserver = Node::of(&shell, line);
    shell.var("MAILSERVER", mailserver.enode.clone());
    let mut tool =
        Tool::start(&shell, "status-chat --mailserver $MAILSERVER --chat c --timeout 120s");
    tool.write(r#"{"command":"history","since":"1d","id":"h"}"#);
    assert_eq!(tool.text(), "before");
    let result = tool.next_of("result");
    assert_eq!((&result["id"], &result["envelopes"]), (&"h".into(), &1.into()));
    assert_eq!(tool.rest(), (vec![], Some(0)));
}

#[test]
fn signals_and_closed_pipes_end_it_as_other_tools() {
    let (shell, _node) = two();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut tool = chat(&shell, "--identity bob.key --state b");
        ask(&mut tool, json!({ "command": "contacts", "id": 1 }));
        assert_eq!(tool.end(&shell, signal), (vec![], Some(code)));
    }
    let line = "{ trap '' PIPE; echo '{\"command\":\"join\",\"chat\":\"a\"}'; sleep 1; \
                for i in 1 2 3; do echo '{\"command\":\"join\",\"chat\":\"b\"}' 2> /dev/null; done; true; } \
                | status-chat --peer $ENODE | head -n 1";
    assert_eq!(records(&shell.ok(line))[0]["chat"], "a");
    let error = shell.fails(4, "status-chat --peer ${ENODE%:*}:1 --timeout 1s < /dev/null");
    assert!(error.contains("net.no_peer"), "{error}");
}

#[test]
fn it_shares_a_state_with_the_other_tools() {
    let (shell, _node) = two();
    let bob = "--identity bob.key --state b";
    let mut holder = Tool::receiving(&shell, &format!("--peer $ENODE {bob}"));
    let mut tool = Tool::start(&shell, &format!("status-chat {bob} --timeout 120s"));
    let mut alice = chat(&shell, "--identity alice.key --state a");
    let alice_key = value(&shell, "ALICE");
    let hello = json!({ "command": "send", "to": alice_key, "text": "hello", "id": 1 });
    let result = ask(&mut tool, hello);
    assert_eq!(alice.next_of("message")["message_id"], result["message_id"]);
    let create = json!({ "command": "create", "name": "team", "members": [alice_key], "id": 2 });
    let group = ask(&mut tool, create)["group"].clone();
    assert_eq!(alice.next_of("message")["group"]["chat_id"], group["chat_id"]);
    let groups = ask(&mut tool, json!({ "command": "groups", "id": 3 }));
    assert_eq!(groups["groups"], json!([group]));
    ask(&mut tool, json!({ "command": "join", "chat": "c", "id": 4 }));
    shell.ok("status-send public --peer $ENODE --identity me.key --chat c");
    assert_eq!(tool.text(), "public");
    let back = json!({ "command": "send", "to": value(&shell, "BOB"), "text": "back", "id": 5 });
    ask(&mut alice, back.clone());
    assert_eq!((tool.text(), holder.text()), ("back".to_owned(), "back".to_owned()));
    // What it asked for goes on when the holder ends.
    assert_eq!(holder.end(&shell, "TERM").1, Some(143));
    tool.note("this one holds it now");
    shell.ok("status-send more --peer $ENODE --identity me.key --chat c");
    assert_eq!(tool.text(), "more");
    ask(&mut alice, back);
    assert_eq!(tool.text(), "back");
    assert_eq!(tool.rest().1, Some(0));
}

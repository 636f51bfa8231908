//! `status-group`: histories in pipelines.

use serde_json::{Value, json};

use crate::{record, records, shell::Shell};

/// Returns a shell with `$ME`, `$BOB` and `$EVE`, and a group of the first two in `events.json`.
fn team() -> Shell {
    let mut shell = Shell::new();
    for name in ["ME", "BOB", "EVE"] {
        shell.keygen(name);
    }
    shell.ok("status-group new --identity me.key --name team --member $BOB > events.json");
    shell
}

fn group_of(output: &str) -> Value {
    let group = records(output).pop().unwrap();
    assert_eq!(group["type"], "group");
    group
}

#[test]
fn a_history_goes_through_pipes() {
    let shell = team();
    let [me, bob, eve] = ["ME", "BOB", "EVE"].map(|it| shell.ok(&format!("echo -n ${it}")));
    let line = "status-group new --identity me.key --name team --member $BOB --member $EVE \
                | tee all.json | status-group replay";
    let replayed = records(&shell.ok(line));
    let kinds: Vec<_> = replayed.iter().map(|it| it["event_type"].clone()).collect();
    assert_eq!(kinds, [json!("chat_created"), json!("members_added"), json!(null)]);
    assert!(replayed[..2].iter().all(|it| it["accepted"] == true));
    let group = group_of(&shell.ok("status-group show < all.json"));
    assert_eq!((&group["members"], &group["joined"]), (&json!([me, bob, eve]), &json!([me])));
    assert_eq!(group, replayed[2]);

    let line = "status-group join --identity bob.key < events.json \
                | status-group promote $BOB --identity me.key \
                | status-group rename crew --identity bob.key \
                | status-group add $EVE --identity bob.key \
                | status-group resign --identity me.key \
                | status-group remove $ME --identity bob.key \
                | status-group leave --identity eve.key \
                | tee later.json | status-group replay";
    let group = group_of(&shell.ok(line));
    assert_eq!((&group["name"], &group["events"]), (&json!("crew"), &json!(9)));
    for set in ["members", "joined", "admins"] {
        assert_eq!(group[set], json!([bob]), "{set}");
    }
    let clocks: Vec<_> = records(&shell.ok("cat later.json"))
        .iter()
        .map(|it| it["clock"].as_u64().unwrap())
        .collect();
    assert!(clocks.is_sorted_by(|a, b| a < b), "{clocks:?}");
    // From every form that carries the events: records, hex, updates, reordered, repeated.
    for form in [
        "status-group replay < later.json | status-group show",
        "status-group show < later.json | status-group show",
        "status-group show --output hex < later.json | status-group show",
        "status-group update --identity bob.key < later.json | status-group show",
        "status-group update --identity bob.key --output hex < later.json | status-group show",
        "tac later.json | status-group show",
        "cat later.json later.json | status-group show",
        "status-group show --events later.json",
    ] {
        assert_eq!(group_of(&shell.ok(form)), group, "{form}");
    }
}

#[test]
fn texts_before_a_join_and_the_last_admin_are_warned_of() {
    let (mut shell, _node) = crate::network::network("");
    shell.keygen("BOB");
    shell.ok("status-group new --identity me.key --name g --member $BOB > new.json");
    let send = "status-send hi --peer $ENODE --identity me.key --state s --ttl 60 --group";
    let note = "1 of 2 members have not joined the group";
    let ended = shell.run(&format!("{send} @new.json"));
    assert!(ended.code == 0 && ended.stderr.contains(note), "{}", ended.stderr);
    let announce = send.replace(" hi", " --announce");
    let ended = shell.run(&format!("{announce} @new.json"));
    assert!(ended.code == 0 && !ended.stderr.contains(note), "{}", ended.stderr);
    shell.ok("status-group join --identity bob.key < new.json > joined.json");
    let ended = shell.run(&format!("{send} @joined.json"));
    assert!(ended.code == 0 && !ended.stderr.contains(note), "{}", ended.stderr);
    // The last admin.
    let warning = "the group has no admin any more";
    for change in ["leave", "resign"] {
        let ended = shell.run(&format!("status-group {change} --identity me.key < joined.json"));
        assert!(ended.code == 0 && ended.stderr.contains(warning), "{}", ended.stderr);
    }
    let line = "status-group promote $BOB --identity me.key < joined.json \
                | status-group leave --identity me.key";
    let ended = shell.run(line);
    assert!(ended.code == 0 && !ended.stderr.contains(warning), "{}", ended.stderr);
    let ended = shell.run("status-group leave --identity bob.key < joined.json");
    assert!(ended.code == 0 && !ended.stderr.contains(warning), "{}", ended.stderr);
}

#[test]
fn new_events_can_be_printed_alone() {
    let shell = team();
    let line = "status-group rename crew --identity me.key --new-only < events.json | tee new.json";
    let event = record(&shell.ok(line));
    assert_eq!((&event["event_type"], &event["name"]), (&json!("name_changed"), &json!("crew")));
    assert_eq!(group_of(&shell.ok("cat new.json events.json | status-group show"))["name"], "crew");
}

#[test]
fn refused_changes_are_1() {
    let shell = team();
    let cases = [
        ("rename x --identity bob.key", "group.not_admin"),
        ("add $BOB --identity me.key", "group.no_change"),
        ("add $EVE --identity eve.key", "group.not_admin"),
        ("remove $EVE --identity me.key", "group.not_a_member"),
        ("promote $EVE --identity me.key", "group.not_a_member"),
        ("join --identity eve.key", "group.not_invited"),
        ("leave --identity eve.key", "group.not_a_member"),
        ("rename x --identity me.key --now 1585500000", "group.clock_ahead"),
        ("update --text hi --identity bob.key", "chat.author_not_joined"),
    ];
    for (command, code) in cases {
        let ended = shell.run(&format!("status-group {command} < events.json"));
        assert_eq!((ended.code, &*ended.stdout), (1, ""), "{command}");
        assert!(ended.stderr.contains(code), "{command}: {}", ended.stderr);
    }
    for line in [
        "status-group join < events.json",
        "status-group new --name x",
        "status-group add --identity me.key < events.json",
    ] {
        shell.fails(2, line);
    }
    shell.fails(1, "status-group show < /dev/null");
    shell.fails(5, "status-group show --events no-such-file");
    shell.fails(3, "echo '{\"type\":\"topic\"}' | status-group show; exit 3");
    shell.fails(2, "status-group new --identity me.key --name ''");
}

#[test]
fn replay_explains_rejections_and_goes_on() {
    let shell = team();
    // Eve was never invited: only a hand-signed event can claim it.
    let chat_id = shell.ok("head -1 events.json | sed 's/.*\"chat_id\":\"\\([^\"]*\\)\".*/\\1/'");
    let stranger = statuskit_core::payload::group::GroupEvent::sign(
        chat_id.trim(),
        statuskit_core::payload::proto::MembershipUpdateEvent {
            clock: 1,
            r#type: 4,
            ..Default::default()
        },
        &shell.ok("cat eve.key").trim().parse().unwrap(),
    );
    let json = json!({
        "type": "group_event",
        "chat_id": chat_id.trim(),
        "raw": format!("0x{}", hex::encode(stranger.raw())),
    });
    std::fs::write(shell.dir().join("stranger.json"), format!("{json}\n")).unwrap();
    let ended = shell.run("cat stranger.json events.json | status-group replay --output json");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let replayed = records(&ended.stdout);
    assert_eq!(
        (&replayed[0]["accepted"], &replayed[0]["code"]),
        (&json!(false), &json!("group.not_invited"))
    );
    assert_eq!(replayed[3]["members"].as_array().unwrap().len(), 2);
    assert_eq!(record(&ended.stderr)["code"], "group.not_invited");
    shell.fails(1, "cat stranger.json events.json | status-group verify");
    shell.fails(1, "cat stranger.json events.json | status-group rename x --identity me.key");
    let rest = "cat stranger.json events.json | (status-group replay --accepted-only || true)";
    shell.ok(&format!("{rest} | status-group rename x --identity me.key | status-group verify"));

    // Signatures cover the group ID: under another one, the author differs.
    let other = "sed 's/\"chat_id\":\"[0-9a-f]/\"chat_id\":\"x/' events.json | status-group verify";
    shell.fails(1, other);
    // One broken line does not stop the rest.
    let ended = shell.run("(cat events.json; echo junk!) | status-group show");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 1));
    // With two groups, `--group` is required.
    shell.ok("status-group new --identity me.key --name other >> events.json");
    assert_eq!(records(&shell.ok("status-group show < events.json")).len(), 2);
    shell.fails(2, "status-group rename x --identity me.key < events.json");
    let one = format!("status-group rename x --group {} --identity me.key", chat_id.trim());
    let group = format!("{one} < events.json | status-group show");
    assert_eq!(group_of(&shell.ok(&group))["name"], "x");
}

#[test]
fn the_same_seed_gives_the_same_group() {
    let shell = team();
    let line = "status-group new --identity me.key --name team --seed 1 --now 1585500000";
    assert_eq!(shell.ok(line), shell.ok(line));
    let other = "status-group new --identity me.key --name team --seed 2 --now 1585500000";
    assert_ne!(shell.ok(line), shell.ok(other));
}

#[test]
fn an_update_is_a_payload_that_clients_accept() {
    let shell = team();
    let line = "status-group update --text 'hello all' --identity me.key < events.json \
                | tee update.json | status-payload check";
    assert_eq!(record(&shell.ok(line))["accepted"], true);
    let update = record(&shell.ok("cat update.json"));
    assert_eq!(update["message"]["text"], "hello all");
    assert_eq!(update["message"]["message_type"], "private_group");
    assert_eq!(update["message"]["chat_id"], update["chat_id"]);
    assert_eq!(update["author"].as_str().unwrap(), shell.ok("echo -n $ME"));
    shell.ok("status-payload verify --author $ME < update.json");
}

//! `status-session`: layers by hand, and secrets shown only on request.

use serde_json::Value;

use crate::{network::network, record, records, shell::Shell};

fn two() -> Shell {
    let mut shell = Shell::new();
    shell.keygen("ALICE");
    shell.keygen("BOB");
    shell
}

#[test]
fn bundles_are_made_shown_and_verified() {
    let shell = two();
    shell.ok("status-session bundle new --identity alice.key --installation a1 > my.bundle");
    let bundle = record(&shell.ok("cat my.bundle"));
    assert_eq!(bundle["type"], "bundle");
    assert_eq!(bundle["pre_keys"][0]["installation"], "a1");
    assert!(bundle.get("private_pre_key").is_none());
    let good = record(&shell.ok("status-session bundle verify < my.bundle"));
    assert_eq!(good["valid"], true);
    // `verify` reads what `show` prints, in both formats.
    shell.ok("status-session bundle show < my.bundle | status-session bundle verify");
    shell.ok("status-session bundle show --output hex < my.bundle | status-session bundle verify");
    // The last byte is changed.
    let line = "status-session bundle show --output hex < my.bundle | sed 's/..$/00/' | status-session bundle verify";
    let ended = shell.run(line);
    assert_eq!(ended.code, 1);
    let bad = record(&ended.stdout);
    assert_eq!(
        (bad["valid"].clone(), bad["code"].as_str().unwrap().split('.').next()),
        (false.into(), Some("bundle"))
    );
    let secret = "status-session bundle new --identity alice.key --show-secret 2>/dev/null";
    assert!(record(&shell.ok(secret))["private_pre_key"].is_string());
    shell.fails(3, "echo 0xff | status-session bundle show");
    shell.fails(1, "status-session bundle verify < /dev/null");
    // The same seed gives the same bundle.
    let line = "status-session bundle new --identity alice.key --installation a1 --seed s --now 1585500000 2>/dev/null";
    assert_eq!(shell.ok(line), shell.ok(line));
}

#[test]
fn a_conversation_by_hand() {
    let shell = two();
    let (alice, bob) = ("--identity alice.key --state a", "--identity bob.key --state b");
    shell.ok(&format!("status-session bundle new {bob} | status-session bundle learn {alice}"));
    shell.ok(&format!(
        "printf '0x01\\n0x02\\n0x03\\n' | status-session encrypt {alice} --to $BOB > three"
    ));
    let sent = records(&shell.ok("cat three"));
    assert!(sent.iter().all(|it| it["direct_message"][0]["x3dh"].is_object()));
    // In reverse order; later the first once more.
    let line = format!("tac three | status-session decrypt {bob} --from $ALICE --trace");
    let read = records(&shell.ok(&line));
    let steps: Vec<_> = read.iter().filter(|it| it["type"] == "ratchet_step").collect();
    let texts: Vec<_> = read.iter().filter(|it| it["type"] == "decrypted").collect();
    assert_eq!(
        texts.iter().map(|it| it["raw"].as_str().unwrap()).collect::<Vec<_>>(),
        ["0x03", "0x02", "0x01"]
    );
    assert_eq!(steps[0]["before"], Value::Null);
    // Keeps the keys of two missing messages, and its own until confirmed.
    assert_eq!(
        (&steps[0]["after"]["receive_n"], &steps[0]["after"]["kept"]),
        (&3.into(), &3.into())
    );
    assert_eq!(texts[0]["how"]["missing"], 2);
    assert_eq!(texts[1]["how"]["kept"], true);
    let again =
        format!("head -n 1 three | status-session decrypt {bob} --from $ALICE --output json");
    let error = shell.fails(1, &again);
    assert!(error.contains("ratchet.old_message"), "{error}");
    // The answer turns the ratchet, and has no X3DH header.
    let line = format!(
        "echo 0x04 | status-session encrypt {bob} --to $ALICE | status-session decrypt {alice} --from $BOB --trace --subtle"
    );
    let read = records(&shell.ok(&line));
    let step = read.iter().find(|it| it["type"] == "ratchet_step").expect("a step");
    assert_ne!(step["before"]["own_key"], step["after"]["own_key"]);
    assert!(step["after"]["root_key"].is_string());
    shell.fails(2, &format!("status-session decrypt {alice} --from $BOB --subtle < three"));

    let shown = records(&shell.ok(&format!("status-session show {alice} --with $BOB")));
    assert_eq!(shown.len(), 1);
    assert!(shown[0]["state"].get("root_key").is_none());
    shell.ok(&format!("status-session forget {alice} --with $BOB"));
    let error = shell.fails(1, &format!("status-session show {alice} --with $BOB --output json"));
    assert!(error.contains("session.none"), "{error}");
    // Without a state, the identity is used.
    let line = "echo 0x05 | status-session encrypt --to $BOB | status-session decrypt --identity bob.key --from $ALICE";
    assert_eq!(record(&shell.ok(line))["how"]["secure"], "dh");
}

#[test]
fn a_contact_code_is_shown() {
    let shell = two();
    let code = record(&shell.ok("status-session contact-code $ALICE"));
    assert!(code["name"].as_str().unwrap().ends_with("-contact-code"));
    assert_eq!(code["topic"], shell.member("status-topic contact-code $ALICE", "topic"));
}

/// Returns all private keys of a device, as plain hex.
fn secrets(shell: &Shell, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let line = format!("status-session export --subtle --identity {name}.key --state {name}.state");
    for record in records(&shell.ok(&line)) {
        collect(&record, &mut found);
    }
    found.push(shell.ok(&format!("cat {name}.key")).trim().trim_start_matches("0x").to_owned());
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    const SECRET: [&str; 6] = [
        "private_key",
        "secret",
        "own_private_key",
        "root_key",
        "send_chain_key",
        "receive_chain_key",
    ];
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if SECRET.contains(&&**name) => found.push(text[2..].to_owned()),
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn outputs_hold_no_secrets_by_default() {
    let (mut shell, _node) = network("");
    shell.keygen("ALICE");
    shell.keygen("BOB");
    let mut all = String::new();
    let mut known: Vec<String> = Vec::new();
    let (alice, bob) =
        ("--identity alice.key --state alice.state", "--identity bob.key --state bob.state");
    for format in ["json", "text"] {
        let lines = [
            format!(
                "status-session bundle new {bob} --output json | tee bundle | status-session bundle learn {alice} --output {format}"
            ),
            format!("status-session bundle show --output {format} < bundle"),
            format!(
                "echo hi | status-send --peer $ENODE {alice} --to $BOB --ttl 120 --output {format}"
            ),
            format!(
                "status-receive --peer $ENODE {bob} --count 1 --timeout 60 --events --output {format}"
            ),
            format!(
                "echo yo | status-send --peer $ENODE {bob} --to $ALICE --ttl 120 --output {format}"
            ),
            format!(
                "status-receive --peer $ENODE {alice} --count 1 --timeout 60 --events --output {format}"
            ),
            format!(
                "echo 0x01 | status-session encrypt {alice} --to $BOB --output json --trace | tee m"
            ),
            format!(
                "grep protocol_message m | status-session decrypt {bob} --from $ALICE --trace --output {format}"
            ),
            format!(
                "grep protocol_message m | status-session decrypt {bob} --from $ALICE --trace --output {format} || true"
            ),
            format!("status-session list {alice} --output {format}"),
            format!("status-session show {alice} --output {format}"),
            format!("status-session export {bob} --output {format}"),
            format!(
                "status-session list --identity bob.key --state alice.state --output {format} || true"
            ),
            format!("status-session contact-code {alice} --output {format}"),
            format!("status-session pair {alice} --output {format}"),
        ];
        for line in lines {
            let ended = shell.run(&line);
            assert_eq!(ended.code, 0, "{line}\n{}", ended.stderr);
            all.push_str(&ended.stdout);
            all.push_str(&ended.stderr);
            // Includes short-lived keys.
            known.extend(["alice", "bob"].iter().flat_map(|name| secrets(&shell, name)));
        }
    }
    known.sort();
    known.dedup();
    known.retain(|secret| secret.len() == 64);
    assert!(known.len() > 12, "{}", known.len());
    let all = all.to_lowercase();
    for secret in known {
        assert!(!all.contains(&secret), "{secret}");
    }
}

#[test]
fn reading_commands_need_an_existing_state() {
    let shell = two();
    let state = "--identity alice.key --state nosuch --output json";
    for line in [
        "status-session list",
        "status-session export",
        "status-session show",
        "status-session forget --with $BOB",
        "status-session enable a1",
        "status-session disable a1",
        "echo 0x00 | status-session decrypt --from $BOB",
    ] {
        let error = shell.fails(5, &format!("{line} {state}"));
        assert!(error.contains("store.missing"), "{line}: {error}");
        shell.ok("test ! -e nosuch");
    }
    shell.ok("mkdir empty");
    shell.fails(5, "status-session list --identity alice.key --state empty");
    shell.ok("rmdir empty");
    // These commands create a state.
    let bundle = "status-session bundle new --identity alice.key --state made";
    shell.ok(&format!("{bundle} > alice.bundle"));
    shell.ok("status-session list --identity alice.key --state made");
    for (name, line) in [
        ("learned", "status-session bundle learn < alice.bundle"),
        ("sent", "echo 0x01 | status-session encrypt --to $ALICE"),
        ("published", "status-session contact-code"),
        ("paired", "status-session pair"),
    ] {
        let (start, end) = line.split_once(" <").unwrap_or((line, ""));
        let end = if end.is_empty() { String::new() } else { format!("<{end}") };
        shell.ok(&format!("{start} --identity bob.key --state {name} {end}"));
        shell.ok(&format!("status-session list --identity bob.key --state {name}"));
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let shell = two();
    let alice = "--identity alice.key --state a";
    shell.ok(&format!(
        "status-session bundle new --identity bob.key --state b | status-session bundle learn {alice}"
    ));
    let encrypt = format!("echo 0x01 | status-session encrypt {alice} --to $BOB --output json");
    for n in 0..3 {
        assert_eq!(record(&shell.ok(&encrypt))["direct_message"][0]["ratchet"]["n"], n);
    }
    // Damages the record before the last. It starts with the same journal ID.
    let path = shell.dir().join("a/journal");
    let good = std::fs::read(&path).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap();
    let id = &good[..16];
    let last = (0..end).rev().find(|at| good[*at..].starts_with(id)).unwrap();
    let mut bad = good.clone();
    bad[last - 100] ^= 1;
    let list = format!("status-session list {alice} --output json");
    for bytes in [Some(bad), Some(b"hi\n".to_vec()), Some(good[..1000].to_vec()), None] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        for line in [&encrypt, &list] {
            let error = shell.fails(5, line);
            assert!(error.contains("store.corrupt") && error.contains("journal"), "{error}");
        }
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(record(&shell.ok(&encrypt))["direct_message"][0]["ratchet"]["n"], 3);
}

#[test]
fn forgotten_keys_are_in_no_file() {
    let shell = two();
    let alice = "--identity alice.key --state a";
    shell.ok(&format!(
        "status-session bundle new --identity bob.key --state b | status-session bundle learn {alice}"
    ));
    let mut keys = Vec::new();
    for _ in 0..3 {
        shell.ok(&format!("echo 0x01 | status-session encrypt {alice} --to $BOB"));
        let shown = record(&shell.ok(&format!("status-session show {alice} --subtle")));
        for name in ["send_chain_key", "root_key", "own_private_key"] {
            let key = shown["state"][name].as_str().unwrap();
            keys.push(hex::decode(&key[2..]).unwrap());
        }
    }
    let found = || {
        let files = std::fs::read_dir(shell.dir().join("a")).unwrap();
        let files: Vec<_> = files.map(|it| std::fs::read(it.unwrap().path()).unwrap()).collect();
        let is_in = |key: &Vec<u8>, file: &Vec<u8>| file.windows(key.len()).any(|it| it == key);
        keys.iter().filter(|key| files.iter().any(|file| is_in(key, file))).count()
    };
    assert!(found() > 0);
    shell.ok(&format!("status-session forget {alice} --with $BOB"));
    assert_eq!(found(), 0);
}

#[test]
fn state_errors_name_the_wrong_option() {
    let shell = two();
    let bundle = "status-session bundle new --identity alice.key --output json";
    shell.ok(&format!("{bundle} --state a"));
    let error = shell.fails(2, &format!("{bundle} --state a --installation zz"));
    let error: Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&error["code"], &error["field"]),
        (&"store.other_installation".into(), &"--installation".into())
    );
    assert!(error["hint"].as_str().unwrap().starts_with("leave it out"), "{error}");
    // An empty password file is refused: it would not encrypt anything.
    shell.ok("printf '\\n' > empty");
    let error = shell.fails(2, &format!("{bundle} --state new --state-password-file empty"));
    assert!(error.contains("--state-password-file"), "{error}");
    shell.ok("test ! -e new");
    shell.ok(&format!("STATUS_STATE_PASSWORD= {bundle} --state new"));
}

/// `fixtures/state-0.1`, as version 0.1 left it.
const LEGACY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/state-0.1");

fn legacy() -> Shell {
    let shell = Shell::new();
    shell.ok(&format!("cp -r {LEGACY}/. . && chmod -R u=rwX,go= ."));
    shell
}

#[test]
fn states_of_version_0_1_are_converted_and_used() {
    let shell = legacy();
    let alice = "--identity alice.key --state alice";
    let bob = "--identity bob.key --state bob --state-password-file password";
    // A wrong password changes nothing.
    let line = "STATUS_STATE_PASSWORD=x status-session list --identity bob.key --state bob";
    shell.fails(1, line);
    shell.ok(&format!("diff -r {LEGACY}/bob bob"));
    for (name, options) in [("alice", alice), ("bob", bob)] {
        let exported = shell.ok(&format!("status-session export --subtle {options}"));
        assert_eq!(exported, shell.ok(&format!("cat {name}.jsonl")), "what 0.1 exported");
        assert_eq!(shell.ok(&format!("ls {name}")), "journal\nlock\n");
    }
    // What was read is not read again; what was not is.
    let decrypt = format!("status-session decrypt {alice} --from $(cat bob.pub)");
    shell.ok("statuskit account show --identity bob.key --output json | sed 's/.*\"public_key\":\"\\([^\"]*\\)\".*/\\1/' > bob.pub");
    let refused = shell.run(&format!("{decrypt} --output json < read.jsonl"));
    assert_eq!((refused.code, refused.stderr.matches("ratchet.old_message").count()), (1, 2));
    let read = records(&shell.ok(&format!("{decrypt} < unread.jsonl")));
    let texts: Vec<_> = read.iter().map(|it| it["raw"].as_str().unwrap()).collect();
    assert_eq!(texts, ["0xc1", "0xc2", "0xc4"]);
    let line = format!(
        "echo 0xd1 | status-session encrypt {alice} --to $(cat bob.pub) \
         | status-session decrypt {bob} --from $(statuskit account show --identity alice.key --output json | sed 's/.*\"public_key\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    assert_eq!(record(&shell.ok(&line))["raw"], "0xd1");
}

#[test]
fn a_conversion_that_was_killed_is_ended_by_the_next_opening() {
    let shell = legacy();
    for round in 0..8 {
        shell.ok(&format!("rm -rf alice && cp -r {LEGACY}/alice . && chmod -R u=rwX,go= alice"));
        let mut tool = shell
            .command("exec status-session list --identity alice.key --state alice")
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(3000 + 2500 * round));
        tool.kill().unwrap();
        tool.wait().unwrap();
        let line = "status-session export --subtle --identity alice.key --state alice";
        assert_eq!(shell.ok(line), shell.ok("cat alice.jsonl"), "round {round}");
        assert_eq!(shell.ok("ls alice"), "journal\nlock\n");
    }
}

/// A limit on the size of files is an error as a full disk is, and neither leaves half a state.
#[test]
fn a_state_that_does_not_fit_is_an_error() {
    let shell = two();
    let new = "status-session bundle new --identity alice.key --state a --output json";
    let error = shell.fails(5, &format!("trap '' XFSZ; ulimit -f 100; {new}"));
    assert!(error.contains("store.io"), "{error}");
    let list = "status-session list --identity alice.key --state a --output json";
    assert!(shell.fails(5, list).contains("store.missing"));
    shell.ok(new);
    assert!(shell.ok("wc -c < a/journal").trim().parse::<u64>().unwrap() > 1 << 20);
}

//! The configuration: profiles, names, the key ring, lists of nodes, and what never changes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    network::{Node, network},
    record, records,
    shell::Shell,
};

impl Shell {
    /// Writes the configuration that applies without a name.
    fn configure(&self, text: &str) {
        let dir = self.dir().join(".config/statuskit");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), text).unwrap();
    }

    /// Returns the value and the source of a setting.
    fn setting(&self, line: &str, name: &str) -> (serde_json::Value, String) {
        let rows = records(&self.ok(line));
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        (row["value"].clone(), row["source"].as_str().unwrap().to_owned())
    }
}

#[test]
fn a_flag_beats_a_variable_beats_the_profile() {
    let mut shell = Shell::new();
    let keys = ["FLAG", "VARIABLE", "PROFILE", "OTHER"].map(|name| shell.keygen(name));
    let signer = |line: &str| {
        let line = format!("status-account sign hi {line} | status-account recover hi");
        shell.member(&line, "public_key")
    };
    shell.configure(&format!(
        "[profiles.default]\nidentity = \"{0}/profile.key\"\n[profiles.other]\n\
         identity = \"{0}/other.key\"\n",
        shell.dir().display(),
    ));
    let variable = "status-account sign hi | status-account recover hi";
    let variable = format!("STATUS_IDENTITY=variable.key {variable}");
    assert_eq!(signer("--identity flag.key"), keys[0]);
    assert_eq!(shell.member(&variable, "public_key"), keys[1]);
    assert_eq!(signer(""), keys[2]);
    assert_eq!(signer("--profile other"), keys[3]);
    let line = format!(
        "export STATUS_PROFILE=other; {}",
        "status-account sign hi | status-account recover hi"
    );
    assert_eq!(shell.member(&line, "public_key"), keys[3]);
    let error = shell.fails(2, "status-account sign hi --profile none");
    assert!(error.contains("default, other"), "{error}");
    // Of the command line, of the environment, and of nobody.
    shell.ok("cp .config/statuskit/config.toml named.toml; rm .config/statuskit/config.toml");
    shell.fails(2, "status-account sign hi");
    assert_eq!(signer("--config named.toml"), keys[2]);
    shell.ok("STATUS_CONFIG=named.toml status-account sign hi");
    shell.ok("XDG_CONFIG_HOME=/no/such status-account sign hi --config named.toml");
    shell.fails(5, "STATUS_CONFIG=/no/such status-account sign hi");
    shell.fails(2, "status-account sign hi --profile other");
}

#[test]
fn names_stand_for_keys_and_chats() {
    let mut shell = Shell::new();
    let alice = shell.keygen("ALICE");
    shell.configure(&format!("[contacts]\nalice = \"{alice}\"\n[chats]\nteam = \"our-team\"\n"));
    assert_eq!(record(&shell.ok("status-account show alice"))["public_key"], alice.as_str());
    let line = "status-envelope seal hi --to-key alice | status-envelope open --identity alice.key";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "hi");
    let line = "status-envelope seal hi --chat team | status-envelope open --chat our-team";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "hi");
    // A name that is a key or a file elsewhere is none.
    shell.configure("[contacts]\n\"0x04 or so\" = \"x\"\n");
    let error = record(&shell.fails(3, "status-account show alice"));
    assert_eq!((&error["code"], &error["line"]), (&"config.value".into(), &2.into()));
}

#[test]
fn a_seed_gives_the_same_bytes_with_any_configuration() {
    let mut shell = Shell::new();
    let alice = shell.keygen("ALICE");
    let lines = [
        "status-envelope seal hi --chat status --seed s --now 1585500000 --output hex",
        "STATUS_SEED=s STATUS_NOW=1585500000 status-envelope seal hi --chat status --output hex",
        "status-account new --seed s",
        "status-group new --name t --member $ALICE --identity alice.key --seed s --now 1585500000",
    ];
    let before = lines.map(|line| shell.ok(line));
    shell.configure(&format!(
        "[profiles.default]\nidentity = \"{0}/alice.key\"\nstate = \"{0}/state\"\n\
         chats = [\"other\"]\n[contacts]\nalice = \"{alice}\"\n[chats]\nstatus = \"another\"\n",
        shell.dir().display(),
    ));
    for (line, before) in lines.iter().zip(&before) {
        assert_eq!(&shell.ok(line), before, "{line}");
        assert_eq!(&shell.ok(&format!("export STATUS_PROFILE=default; {line}")), before, "{line}");
    }
    // A broken one does not matter either, unless it is named.
    assert_ne!(shell.ok(&format!("{} --profile default", lines[0])), before[0]);
    shell.configure("[");
    assert_eq!(shell.ok(lines[0]), before[0]);
    shell.fails(3, &format!("{} --config .config/statuskit/config.toml", lines[0]));
}

#[test]
fn a_profile_sends_and_receives() {
    let (mut shell, node) = network("");
    let bob = shell.keygen("BOB");
    fs::write(shell.dir().join("nodes.txt"), format!("# ours\n{}\n", node.enode)).unwrap();
    fs::write(shell.dir().join("club.pw"), "club\n").unwrap();
    let dir = shell.dir().display().to_string();
    shell.configure(&format!(
        "[profiles.default]\npeers = [\"@{dir}/nodes.txt\"]\nidentity = \"{dir}/me.key\"\n\
         state = \"{dir}/me.state\"\nchats = [\"team\"]\npassword_files = \"{dir}/club.pw\"\n\
         [profiles.bob]\npeers = \"{0}\"\nidentity = \"{dir}/bob.key\"\n\
         state = \"{dir}/bob.state\"\n[contacts]\nbob = \"{bob}\"\n[chats]\nteam = \"our-team\"\n",
        node.enode,
    ));
    shell.ok("status-send hello --to bob --ttl 60");
    assert!(shell.dir().join("me.state/journal").exists());
    shell.ok("status-send hello-all --chat team --ttl 60");
    shell.ok("status-send members --password club --ttl 60");
    let received = shell.ok("status-receive --profile bob --count 1 --timeout 60");
    assert_eq!(record(&received)["payload"]["text"], "hello");
    assert_eq!(record(&received)["layers"]["secure"], "dh");
    assert!(shell.dir().join("bob.state/journal").exists());
    // The key ring: chats and passwords that no option names.
    let received = records(&shell.ok("status-receive --count 2 --timeout 60"));
    let mut texts: Vec<_> = received.iter().map(|it| it["payload"]["text"].as_str()).collect();
    texts.sort();
    assert_eq!(texts, [Some("hello-all"), Some("members")]);
    let line = "status-receive --all --raw-envelopes --count 3 --timeout 60 | status-envelope open";
    let opened = records(&shell.run(line).stdout);
    assert_eq!(opened.iter().filter(|it| it["payload"]["text"] == "hello-all").count(), 1);
    // Another identity has nothing to do with the state of this one.
    shell.ok("status-send hi --to-key bob --identity bob.key --ttl 60");
    let error = shell.fails(2, "status-session list --identity bob.key");
    assert!(error.contains("--state"), "{error}");
}

#[test]
fn mailservers_of_the_profile_are_asked() {
    let (shell, node) = network("");
    let seal = "status-envelope seal old --chat status --pow 0.01 --ttl 60";
    shell.ok(&format!("{seal} | status-mailserver import --store served"));
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store served \
                --password status-offline-inbox";
    let server = Node::of(&shell, line);
    let fleet = format!(
        r#"{{"fleets": {{"mine": {{"mail": {{"mail-01": "{}"}}, "whisper": {{"a": "{}"}}}},
           "other": {{}}}}}}"#,
        server.enode, node.enode
    );
    fs::write(shell.dir().join("fleets.json"), fleet).unwrap();
    let dir = shell.dir().display();
    shell.configure(&format!(
        "[profiles.default]\npeers = \"@{dir}/fleets.json#mine\"\n\
         mailservers = \"@{dir}/fleets.json#mine\"\nchats = \"status\"\nstore = \"{dir}/copied\"\n"
    ));
    let queried = record(&shell.ok("status-mailserver query --from 1h --open"));
    assert_eq!(queried["payload"]["text"], "old");
    let received = shell.ok("status-receive --since 1h --count 1 --timeout 60");
    assert_eq!(record(&received)["payload"]["text"], "old");
    // Without --since, nobody asked for a history.
    shell.fails(1, "status-receive --count 1 --timeout 1");
    assert_eq!(record(&shell.ok("status-mailserver sync --from 1h"))["new"], 1);
    assert_eq!(records(&shell.ok("status-mailserver stats"))[0]["envelopes"], 1);
    let error = shell.fails(3, "status-receive --peer @fleets.json --chat status");
    assert!(error.contains("mine, other"), "{error}");
    shell.ok("rm -r .config");
    shell.fails(1, "status-receive --since 1h --peer $ENODE --chat status --timeout 1");
    shell.fails(2, "status-mailserver stats");
}

#[test]
fn init_show_and_check() {
    let mut shell = Shell::new();
    let made = record(&shell.ok("statuskit config init"));
    let path = shell.dir().join(".config/statuskit/config.toml");
    assert_eq!(made["path"], path.to_str().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = record(&shell.fails(5, "statuskit config init"));
    assert!(error["code"] == "file.exists" && !error["hint"].to_string().contains("force"));
    shell.ok("statuskit config check");

    let me = shell.keygen("ME");
    let dir = shell.dir().display().to_string();
    shell.configure(&format!(
        "[profiles.default]\nidentity = \"{dir}/me.key\"\nstate = \"{dir}/me.state\"\n\
         [contacts]\nme = \"{me}\"\n"
    ));
    let show = "statuskit config show";
    let state = format!("{dir}/me.state");
    assert_eq!(shell.setting(show, "state"), (state.into(), "profile default".to_owned()));
    assert_eq!(shell.setting(show, "store"), (serde_json::Value::Null, "default".to_owned()));
    let line = format!("STATUS_STATE=s {show}");
    assert_eq!(shell.setting(&line, "state"), ("s".into(), "variable STATUS_STATE".to_owned()));
    assert_eq!(
        shell.setting(&format!("{show} --profile default"), "profile").1,
        "option --profile"
    );
    let secret = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    for format in ["json", "text"] {
        let shown = shell.ok(&format!("STATUS_IDENTITY={secret} {show} --output {format}"));
        assert!(shown.contains("(set)") && !shown.contains(secret), "{shown}");
    }
    // What is wrong: an open key file, a file that is missing.
    shell.ok("statuskit config check");
    shell.ok("chmod 644 me.key");
    let failed = |shell: &Shell| {
        let ended = shell.run("statuskit config check");
        let checks = records(&ended.stdout);
        let failed = checks.iter().filter(|it| it["pass"] == false);
        (ended.code, failed.map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(failed(&shell), (1, vec!["profiles.default.identity".to_owned()]));
    shell.ok("chmod 600 me.key; mv me.key away.key");
    assert_eq!(failed(&shell).0, 1);
    shell.configure(&format!("[profiles.default]\nidentity = \"{secret}\"\n"));
    for line in [show, "statuskit config check", "status-account sign hi"] {
        let error = record(&shell.fails(3, line));
        assert_eq!((&error["code"], &error["line"]), (&"config.secret".into(), &2.into()));
        assert!(!error.to_string().contains(&secret[..8]), "{error}");
    }
    shell.ok("rm -r .config");
    shell.fails(1, "statuskit config check");
}

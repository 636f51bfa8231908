//! What people see and choose: text, colours, filters, order, notes, signals.

use std::{io::Read as _, process::Stdio};

use serde_json::Value;

use crate::{
    network::{Node, network},
    record, records,
    shell::{Background, Shell},
};

/// 2020-03-29 12:22:26 UTC.
const SENT: u32 = 1_585_484_546;

/// Three messages of one chat: two of one second, in the order of their clocks, and a later one.
fn three(shell: &Shell) {
    shell.ok("status-account new --seed alice --out alice.json");
    shell.ok("status-account new --seed bob --out bob.json");
    let seal = "status-envelope seal --chat status --output hex";
    let message = |file: &str, sent: u32, clock: u64, text: &str, more: &str| {
        shell.ok(&format!(
            "status-payload encode chat --set text='{text}' --set clock={clock} \
             --set chat_id=status --set message_type=PUBLIC_GROUP --set timestamp={clock} {more} \
             --identity {file} | {seal} --identity {file} --now {sent} >> all.hex"
        ));
    };
    let clock = |offset: u64| u64::from(SENT) * 1000 + offset;
    message("alice.json", SENT, clock(2), "second WORD", "");
    message("bob.json", SENT, clock(1), "first", "--set ens_name=bob.eth");
    let first = records(&shell.ok("status-envelope open --chat status < all.hex"))
        .iter()
        .find(|it| it["payload"]["text"] == "first")
        .map(|it| it["payload"]["message_id"].as_str().unwrap().to_owned())
        .unwrap();
    message("alice.json", SENT + 5, clock(0), "third", &format!("--set response_to={first}"));
}

fn texts(output: &str) -> Vec<String> {
    let text = |record: &Value| record["payload"]["text"].as_str().unwrap().to_owned();
    records(output).iter().map(text).collect()
}

#[test]
fn messages_are_chosen_and_ordered() {
    let shell = Shell::new();
    three(&shell);
    let open = "status-envelope open --chat status";
    // Of one second by their clocks, else as they came.
    assert_eq!(texts(&shell.ok(&format!("{open} < all.hex"))), ["first", "second WORD", "third"]);
    let turned = format!("tac all.hex | {open}");
    assert_eq!(texts(&shell.ok(&turned)), ["third", "first", "second WORD"]);
    let sorted = |order: &str| texts(&shell.ok(&format!("{turned} --sort {order}")));
    assert_eq!(sorted("sent"), ["first", "second WORD", "third"]);
    assert_eq!(sorted("clock"), ["third", "first", "second WORD"]);
    let chosen = |options: &str| texts(&shell.ok(&format!("{open} {options} < all.hex")));
    assert_eq!(chosen("--contains word"), ["second WORD"]);
    assert_eq!(chosen("--ens-name BOB.eth"), ["first"]);
    assert_eq!(chosen("--since 1585484551"), ["third"]);
    assert_eq!(chosen("--until 2020-03-29T12:22:26Z"), ["first", "second WORD"]);
    assert_eq!(chosen("--type chat_message --contains i"), ["first", "third"]);
    assert_eq!(
        chosen("--from-key $(status-account show --identity alice.json --output hex)"),
        ["second WORD", "third"]
    );
    let first = record(&shell.ok(&format!("{open} --contains first < all.hex")));
    let id = first["payload"]["message_id"].as_str().unwrap();
    assert_eq!(chosen(&format!("--reply-to {id}")), ["third"]);
    // Nothing of it is a negative answer.
    shell.fails(1, &format!("{open} --type contact_update < all.hex"));
    shell.fails(1, &format!("{open} --contains nowhere < all.hex"));
    for wrong in ["--type chat", "--reply-to 0x01", "--since 2 --until 1", "--sort size"] {
        shell.fails(2, &format!("{open} {wrong} < all.hex"));
    }
}

#[test]
fn receive_and_query_choose_as_open_does() {
    let (mut shell, _node) = network("");
    let send = "status-send --peer $ENODE --chat status --identity me.key --ttl 120";
    shell.ok(&format!("for text in one two three; do {send} $text; done"));
    let receive = "status-receive --peer $ENODE --chat status --count 1";
    assert_eq!(texts(&shell.ok(&format!("{receive} --timeout 60 --contains TWO"))), ["two"]);
    // Raw envelopes have no text, but a time.
    shell.fails(1, &format!("{receive} --until 2020-01-01 --timeout 1"));
    let seal = "status-envelope seal --chat status --pow 0.01 --ttl 60";
    shell.ok(&format!(
        "for text in one two three; do {seal} $text; done | status-mailserver import --store s"
    ));
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store s \
                --password status-offline-inbox";
    let server = Node::of(&shell, line);
    shell.var("SERVER", server.enode.clone());
    let query = "status-mailserver query --peer $SERVER --chat status --since 1h";
    let sorted = format!("{query} --open --sort clock --until now");
    assert_eq!(texts(&shell.ok(&sorted)), ["one", "two", "three"]);
    assert_eq!(texts(&shell.ok(&format!("{query} --open --contains ee"))), ["three"]);
    let error = record(&shell.fails(2, &format!("{query} --contains ee")));
    assert_eq!((&error["field"], &error["hint"]), (&"--contains".into(), &"--open".into()));
}

#[test]
fn a_line_says_when_where_who_and_what() {
    let shell = Shell::new();
    three(&shell);
    let name = shell.member("status-account show --identity bob.json", "name");
    let open = format!("status-envelope open --chat status --output text --now {SENT} < all.hex");
    let first = |line: &str| shell.ok(line).lines().next().unwrap().to_owned();
    assert_eq!(first(&open), format!("12:22:26 #status {name}: first"));
    // Another day has its date; a zone is named where it is not UTC.
    let later = open.replace("--now 1585484546", "--now 2020-04-01");
    assert_eq!(first(&later), format!("2020-03-29 12:22:26 #status {name}: first"));
    let zone = "TZ=CET-1CEST,M3.5.0,M10.5.0/3";
    let local = format!("{zone} {}", open.replace("--now", "--local-time --now"));
    assert_eq!(first(&local), format!("14:22:26 CEST #status {name}: first"));
    // Colours, if they are asked for.
    let colours = open.replace("--now", "--color always --now");
    assert!(first(&colours).contains("\u{1b}[36m#status\u{1b}[0m"));
    let check = "status-envelope check --output text < all.hex";
    assert!(!shell.run(check).stdout.contains('\u{1b}'));
    let coloured = shell.run(&format!("{check} --color always"));
    assert!(coloured.stdout.contains("\u{1b}[31mFAIL\u{1b}[0m"), "{}", coloured.stdout);
    assert!(coloured.stderr.contains("\u{1b}[31merror["), "{}", coloured.stderr);
    assert!(!shell.run(&format!("{check} --color never")).stderr.contains('\u{1b}'));
    // The user's own names come first.
    shell.ok("status-account show --identity bob.json --output hex > bob.hex");
    shell.ok("printf '[contacts]\\nbobby = \"%s\"\\n' $(cat bob.hex) > c.toml");
    let named = open.replace("--now", "--config c.toml --now");
    assert_eq!(first(&named), "12:22:26 #status bobby: first");
}

#[test]
fn an_old_envelope_is_checked_as_of_its_time() {
    let shell = Shell::new();
    shell.ok(&format!(
        "status-envelope seal hi --chat status --now {SENT} --pow 0.01 --output hex > old"
    ));
    let ended = shell.run("status-envelope check < old");
    let error = record(&ended.stderr);
    assert_eq!(error["code"], "envelope.very_old");
    assert!(error["hint"].as_str().unwrap().contains("--now sent"), "{error}");
    for now in ["sent", "2020-03-29T12:22:27Z", "1585484547"] {
        shell.ok(&format!("status-envelope check --now {now} < old"));
        shell.ok(&format!("statuskit envelope check --now {now} < old"));
    }
    // All rules that fail are named.
    let zeros = "0".repeat(128);
    let line = format!("status-envelope check --min-pow 1e9 --bloom {zeros} --now sent < old");
    let message = record(&shell.run(&line).stderr)["message"].to_string();
    assert!(message.contains("proof of work") && message.contains("bloom"), "{message}");
    let error = record(&shell.fails(2, "status-envelope show --now sent < old"));
    assert_eq!(error["field"], "--now");
}

#[test]
fn notes_can_be_left_out() {
    let shell = Shell::new();
    let line = "status-envelope seal hi --chat status";
    assert!(shell.run(line).stderr.contains("ephemeral"));
    for quiet in ["-q", "--quiet"] {
        assert_eq!(shell.run(&format!("{line} {quiet}")).stderr, "");
    }
    // Errors stay.
    assert!(!shell.fails(2, "status-envelope seal hi -q").is_empty());
}

#[test]
fn explanations_are_wrapped() {
    let shell = Shell::new();
    let text = shell.ok("statuskit explain identity.public_only --output text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.lines().count() > 4, "{text}");
}

#[test]
fn an_output_that_is_closed_or_full_is_5() {
    let shell = Shell::new();
    for line in ["status-topic chat status", "status-topic --help", "statuskit completions bash"] {
        for output in [">&-", "> /dev/full"] {
            let error = shell.fails(5, &format!("{line} {output}"));
            assert!(error.contains("file.write"), "{line} {output}: {error}");
        }
        shell.ok(&format!("{line} > /dev/null"));
        shell.ok(&format!("{line} <> /dev/null >&0"));
        shell.ok(&format!("{line} | true; exit ${{PIPESTATUS[0]}}"));
    }
}

#[test]
fn the_signal_of_the_system_is_143() {
    let (shell, mut node) = network("");
    let mut receive = shell.command("exec status-receive --peer $ENODE --chat c");
    let mut receive = Background(receive.stderr(Stdio::piped()).spawn().expect("bash"));
    let mut stderr = receive.0.stderr.take().expect("piped");
    let mut note = [0; 1];
    stderr.read_exact(&mut note).expect("a note");
    for child in [&mut receive.0, &mut node.child.0] {
        shell.ok(&format!("kill -TERM {}", child.id()));
        assert_eq!(child.wait().expect("a status").code(), Some(143));
    }
}

#[test]
fn a_proof_of_work_is_a_number_that_can_be_mined() {
    let shell = Shell::new();
    for pow in ["nan", "inf", "1e300", "much"] {
        shell.fails(2, &format!("status-envelope seal hi --password p --pow {pow}"));
        let error = shell.fails(2, &format!("status-send hi --chat c --pow {pow}"));
        assert!(error.contains("--pow"), "{error}");
    }
}

#[test]
fn the_identity_of_the_environment_is_used_where_there_is_no_input() {
    let mut shell = Shell::new();
    let me = shell.keygen("ME");
    shell.ok("status-account new --seed 1 --out tree.json");
    let show = "STATUS_IDENTITY=me.key status-account show";
    assert_eq!(shell.member(show, "public_key"), me);
    let derive = "STATUS_IDENTITY=tree.json status-account derive --path wallet";
    let named = "status-account derive --path wallet --identity tree.json";
    assert_eq!(shell.ok(derive), shell.ok(named));
    // What comes through the pipe goes first.
    let other = shell.keygen("OTHER");
    assert_eq!(shell.member(&format!("echo $OTHER | {show}"), "public_key"), other);
    shell.fails(1, "status-account show");
    shell.fails(1, "status-account derive");
}

#[test]
fn topics_are_named_without_a_list() {
    let shell = Shell::new();
    let names = |line: &str| -> Vec<String> {
        let name = |record: &Value| record["name"].as_str().unwrap().to_owned();
        records(&shell.ok(line)).iter().map(name).collect()
    };
    assert_eq!(names("status-topic which 0xcd423760"), ["status"]);
    // A topic of contact discovery, and a chat that only the list has.
    let of =
        |name: &str| shell.ok(&format!("status-topic chat {name} --output hex")).trim().to_owned();
    let (one, two) = (of("contact-discovery-4999"), of("our-own-chat"));
    shell.ok("printf 'x\\nour-own-chat\\r\\n' > words");
    let line = format!("status-topic which {one} {two} --words words");
    assert_eq!(names(&line), ["contact-discovery-4999", "our-own-chat"]);
    let ended = shell.run(&format!("status-topic which {one} {two} --words /dev/null"));
    assert_eq!((ended.code, records(&ended.stdout).len()), (1, 1));
    assert!(ended.stderr.contains("topic.no_name"), "{}", ended.stderr);
    shell.fails(5, &format!("status-topic which {one} --words nowhere"));
}

#[test]
fn signatures_of_all_forms_are_checked() {
    let mut shell = Shell::new();
    shell.keygen("ME");
    for (kind, first) in [("personal", 27), ("keccak", 0)] {
        for text in ["one", "two", "three", "four"] {
            let sign = format!("status-account sign {text} --as {kind} --identity me.key");
            let signature = shell.member(&sign, "signature");
            let (rest, v) = signature.split_at(130);
            let parity = u8::from_str_radix(v, 16).unwrap() - first;
            // EIP-2098: the parity is the highest bit of s.
            let s = u8::from_str_radix(&rest[66..68], 16).unwrap() | parity << 7;
            let compact = format!("{}{s:02x}{}", &rest[..66], &rest[68..]);
            let line =
                format!("status-account verify {text} --as {kind} --key $ME --signature {compact}");
            assert_eq!(shell.member(&line, "valid"), "true");
        }
    }
    let signature = shell.member("status-account sign hi --identity me.key", "signature");
    let verify = format!("status-account verify --key $ME --signature {signature}");
    shell.ok(&format!("printf hi | {verify}"));
    let ended = shell.run(&format!("echo hi | {verify}"));
    let error = record(&ended.stderr);
    assert!(ended.code == 1 && error["hint"].as_str().unwrap().contains("line feed"), "{error}");
}

#[test]
fn messages_of_old_clients_are_named() {
    let shell = Shell::new();
    let transit = r#"["~#c4",["abc123","text/plain","~:public-group-user-message",154593077368201,1545930773682,["^ ","~:chat-id","testing-adamb","~:text","abc123"]]]"#;
    std::fs::write(shell.dir().join("transit"), format!("{transit}\n")).unwrap();
    let hex = shell.ok("xxd -p -c0 transit").trim().to_owned();
    let check = |decoded: &Value| {
        assert_eq!(decoded["type"], "legacy", "{decoded}");
        assert_eq!(
            (&decoded["text"], &decoded["chat_id"]),
            (&"abc123".into(), &"testing-adamb".into())
        );
        assert_eq!(decoded["clock"], 154_593_077_368_201_u64);
    };
    check(&record(&shell.ok(&format!("echo 0x{hex} | status-payload decode"))));
    check(&record(&shell.ok("status-payload decode < transit")));
    let seal = "status-envelope seal --password testing-adamb --now 1545930773 < transit";
    let open = format!("{seal} | status-envelope open --chat testing-adamb");
    check(&record(&shell.ok(&open))["payload"]);
    let error = shell.fails(1, &format!("{open} | status-payload check"));
    assert!(error.contains("payload.legacy"), "{error}");
}

#[test]
fn hints_lead_to_the_cause() {
    let (shell, _node) = network("--topic 0x01020304");
    let line = "status-send hi --peer $ENODE --identity me.key --chat markets";
    let error = record(&shell.fails(4, line));
    let hint = error["hint"].as_str().unwrap();
    assert!(error["code"] == "send.unwanted" && hint.contains("topic"), "{error}");
    assert!(!hint.contains("status-pow"), "{error}");
}

#[test]
fn what_is_no_group_is_passed_over() {
    let mut shell = Shell::new();
    let bob = shell.keygen("BOB");
    shell.keygen("ME");
    shell.ok(&format!("status-group new --identity me.key --name t --member {bob} > group"));
    let other = "status-envelope seal hi --chat c | status-envelope open --chat c";
    shell.ok(&format!("({other}; cat group) > mixed"));
    let ended = shell.run("status-group join --identity bob.key < mixed");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    // The only admin leaves: nobody can follow.
    let leave = "status-group leave --identity me.key";
    let ended = shell.run(&format!("status-group join --identity bob.key < mixed | {leave}"));
    assert!(ended.code == 0 && ended.stderr.contains("no admin"), "{}", ended.stderr);
}

#[test]
fn completions_ask_the_tools() {
    let shell = Shell::new();
    let script = shell.ok("statuskit completions bash");
    assert!(script.len() < 30_000, "{}", script.len());
    shell.ok("printf '[contacts]\\nalice = \"zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB\"\\n' > c.toml");
    let complete = |words: &str| {
        let index = words.split(' ').count() - 1;
        shell.ok(&format!(
            "export STATUS_CONFIG=c.toml _CLAP_IFS=$'\\n' _CLAP_COMPLETE_INDEX={index}; \
             _STATUSKIT_COMPLETE=bash {} -- {words}",
            words.split(' ').next().unwrap(),
        ))
    };
    assert!(complete("status-send --to al").contains("alice"));
    assert!(complete("statuskit explain envelope.lo").contains("envelope.low_pow"));
    assert!(complete("status-payload template chat_m").contains("chat_message"));
    assert!(complete("status-envelope op").contains("open"));
}

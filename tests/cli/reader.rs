//! Bytes in any spelling through the tools; secrets that were taken for something else; keys,
//! phrases and names of chats as people write them.

use std::fs;

use data_encoding::{BASE64, BASE64URL_NOPAD};

use crate::{record, records, shell::Shell};

const KEY: &str = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
const ADDRESS: &str = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const CHAT_KEY: &str = "0x044e3b81af9c2234cad09d679ce6035ed1392347ce64ce405f5dcd36228a25de6e47fd35c4215d1edf53e6f83de344615ce719bdb0fd878f6ed76f06dd277956de";

fn join(bytes: &[u8], between: &str, each: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|byte| each(*byte)).collect::<Vec<_>>().join(between)
}

/// Spellings of some bytes; those of programs that are not here are in the tests of the library.
fn spellings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = hex::encode(bytes);
    let pair = |byte: u8| format!("{byte:02x}");
    let wrap = |text: &str, width: usize| {
        let lines = text.as_bytes().chunks(width).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let numbers = join(bytes, ",", |byte| byte.to_string());
    let dump = |group: usize, colon: &str| {
        let lines = bytes.chunks(16).enumerate().map(|(index, line)| {
            let groups: Vec<_> = line.chunks(group).map(hex::encode).collect();
            let shown: String = line
                .iter()
                .map(|it| if (0x20..0x7f).contains(it) { char::from(*it) } else { '.' })
                .collect();
            format!("{:08x}{colon} {:<50} {shown}\n", index * 16, groups.join(" "))
        });
        lines.collect::<String>()
    };
    let text = |name, text: String| (name, text.into_bytes());
    vec![
        ("binary", bytes.to_vec()),
        ("binary with a line feed", [bytes, b"\n"].concat()),
        text("0x", format!("0x{hex}\n")),
        text("0X", format!("0X{}", hex.to_uppercase())),
        text("a BOM", format!("\u{feff}0x{hex}\r\n")),
        text("quotes", format!("\"0x{hex}\",\n")),
        text("bytea", format!("\\x{hex}")),
        text("colons", join(bytes, ":", pair)),
        text("blanks", join(bytes, " ", pair)),
        text("escapes", format!("b'{}'", join(bytes, "", |byte| format!("\\x{byte:02x}")))),
        text("base64", BASE64.encode(bytes)),
        text("base64url", BASE64URL_NOPAD.encode(bytes)),
        text("base64 over lines", wrap(&BASE64.encode(bytes), 76)),
        text("xxd -p", wrap(&hex, 60)),
        text(
            "od",
            join(bytes, " ", pair)
                .as_bytes()
                .chunks(48)
                .fold(String::new(), |out, line| out + " " + &String::from_utf8_lossy(line) + "\n"),
        ),
        text("Go", format!("[{}]", join(bytes, " ", |byte| byte.to_string()))),
        text("Go source", format!("[]byte{{{}}}", join(bytes, ", ", |byte| format!("{byte:#x}")))),
        text("JavaScript", format!("[{numbers}]")),
        text("Buffer", format!("<Buffer {}>", join(bytes, " ", pair))),
        text("Buffer JSON", format!("{{\"type\":\"Buffer\",\"data\":[{numbers}]}}")),
        text("xxd", dump(2, ":")),
        text("hexdump", dump(1, " ")),
        text(
            "JSON-RPC",
            format!("{{\"id\":1,\"result\":[{{\"payload\":\"0x{hex}\",\"hash\":\"0x00\"}}]}}"),
        ),
        text(
            "JSON over lines",
            format!("{{\n  \"hash\": \"0x00\",\n  \"data\": \"0x{hex}\"\n}}\n"),
        ),
        text("a log", format!("INFO [03-29] got envelope hash=0xabcd data=0x{hex} peer=1\n")),
        text("a link", format!("https://example.org/?data=0x{hex}&x=1")),
        text(
            "a data link",
            format!("data:application/octet-stream;base64,{}", BASE64.encode(bytes)),
        ),
        text("Rust", format!("{bytes:#?}\n")),
        text("Rust source", format!("vec![{}]", join(bytes, ", ", |byte| format!("0x{byte:02x}")))),
        text("C", {
            let lines: Vec<_> = bytes
                .chunks(12)
                .map(|line| format!("  {}", join(line, ", ", |byte| format!("0x{byte:02x}"))))
                .collect();
            let length = bytes.len();
            format!(
                "unsigned char envelope[] = {{\n{}\n}};\nunsigned int envelope_len = {length};\n",
                lines.join(",\n")
            )
        }),
        text("Python's list", format!("[{}]\n", join(bytes, ", ", |byte| byte.to_string()))),
        text("Wireshark", {
            let lines = bytes.chunks(16).enumerate();
            let lines = lines
                .map(|(index, line)| format!("{:04x}   {}\n", index * 16, join(line, " ", pair)));
            lines.collect::<String>()
        }),
        text("tcpdump", {
            let lines = bytes.chunks(16).enumerate().map(|(index, line)| {
                let groups: Vec<_> = line.chunks(2).map(hex::encode).collect();
                format!("\t0x{:04x}:  {}\n", index * 16, groups.join(" "))
            });
            lines.collect::<String>()
        }),
        text("base64 in a log", format!("level=debug payload=\"{}\" n=1\n", BASE64.encode(bytes))),
        text("base64 in JSON", format!("{{\"ok\":true,\"data\":\"{}\"}}\n", BASE64.encode(bytes))),
        ("UTF-16", {
            let text = format!("\u{feff}0x{hex}\r\n");
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        }),
    ]
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex::decode(hex.trim().trim_start_matches("0x")).unwrap()
}

#[test]
fn every_spelling_is_read_by_three_tools() {
    let shell = Shell::new();
    let seal = "status-envelope seal hi --chat status --seed 1 --now 1585500000 --output hex";
    let envelope = bytes_of(&shell.ok(seal));
    let encode = "status-payload encode chat --set text=hi --set chat_id=status --now 1585500000 \
                  --output hex";
    let payload = bytes_of(&shell.ok(encode));
    let update = "status-group new --identity g.key --name t --now 1585500000 --seed 1 | \
                  status-group update --identity g.key --seed 1 --now 1585500000 --output hex";
    fs::write(shell.dir().join("g.key"), KEY).unwrap();
    let update = bytes_of(&shell.ok(update));
    let tools = [
        (&envelope, "status-envelope show --output hex", "status-envelope show --output hex"),
        (&payload, "status-payload decode --output hex", "status-payload decode --output hex"),
        (&update, "status-group show --output json", "status-group show --output json --events"),
    ];
    let mut count = 0;
    for (bytes, piped, named) in tools {
        let plain = |line: &str| {
            fs::write(shell.dir().join("plain.bin"), bytes).unwrap();
            shell.ok(&format!("{line} < plain.bin"))
        };
        let expected = plain(piped);
        for (name, text) in spellings(bytes) {
            let file = shell.dir().join("input.txt");
            fs::write(&file, &text).unwrap();
            for line in [format!("{piped} < input.txt"), format!("{named} input.txt")] {
                let ended = shell.run(&line);
                assert_eq!(ended.code, 0, "{name}: {line}\n{}", ended.stderr);
                assert_eq!(ended.stdout, expected, "{name}: {line}");
                count += 1;
            }
        }
    }
    assert!(count >= 200, "{count}");
    // As an argument.
    for text in [format!("0x{}", hex::encode(&envelope)), BASE64.encode(&envelope)] {
        let shown = shell.ok(&format!("status-envelope show --output hex '{text}'"));
        assert_eq!(bytes_of(&shown), envelope);
    }
}

#[test]
fn what_was_taken_is_told() {
    let shell = Shell::new();
    let line = "status-envelope seal hi --chat status --seed 1 --output hex > e.hex; \
                jq -cR '{result:[{payload:.}]}' < e.hex | status-envelope show";
    let ended = shell.run(line);
    assert!(ended.stderr.contains("line 1: read result[0].payload: hex, "), "{}", ended.stderr);
    // Two members that fit are no guess.
    let error = shell.fails(3, "jq -cR '{a:.,b:(.[0:-2]+\"05\")}' < e.hex | status-envelope show");
    assert_eq!(record(&error)["code"], "input.ambiguous");
    // A cut value shows what is there, and by how much it is short.
    let ended = shell.run("head -c 100 e.hex | status-envelope show");
    assert_eq!(ended.code, 3);
    let part = record(&ended.stdout);
    assert_eq!((&part["type"], &part["length"]), (&"envelope_part".into(), &49.into()));
    let names: Vec<_> =
        part["fields"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["list header", "expiry", "ttl", "topic", "data (cut)"]);
    assert!(ended.stderr.contains("are missing"), "{}", ended.stderr);
    let cut = "status-payload encode chat --set text=hello --set chat_id=status --output raw | \
               head -c 20 | status-payload show";
    let ended = shell.run(cut);
    assert_eq!(ended.code, 3);
    assert!(record(&ended.stdout)["missing"].as_u64().unwrap() > 0, "{}", ended.stdout);
    // Other kinds are told.
    for (line, expected) in [
        ("status-envelope show e.hex --output raw | status-payload decode", "this is an envelope"),
        (
            "status-payload encode chat --set text=hi --set chat_id=x --output hex | status-envelope show",
            "this is a payload (chat_message)",
        ),
        (
            "status-payload encode chat --set text=hi --set chat_id=x | status-envelope show",
            "this is a payload (chat_message)",
        ),
        (
            "printf 0xf9011f05845919eca01484076782318c000000000000000000000000b90100%0512d820102 0 | \
             status-envelope show",
            "Whisper v5",
        ),
        ("printf '[\"~#c4\",[\"a\",\"text/plain\"]]' | base64 | status-payload id", "before 2020"),
    ] {
        let ended = shell.run(line);
        assert!(ended.stderr.contains(expected), "{line}: {}", ended.stderr);
        assert_eq!(ended.code, 3, "{line}");
    }
    // A file and bytes of one name.
    shell.ok("printf 0xc0 > c0ff");
    assert_eq!(record(&shell.fails(2, "status-envelope show c0ff"))["code"], "input.ambiguous");
}

#[test]
fn secrets_in_wrong_places_are_not_echoed() {
    let shell = Shell::new();
    let files = [
        ("key.json", format!("\"0x{KEY}\"")),
        ("words.json", format!("\"{PHRASE}\"")),
        ("broken.json", format!("{{\"private_key\":\"0x{KEY}\", x}}")),
    ];
    for (name, text) in files {
        fs::write(shell.dir().join(name), text).unwrap();
    }
    let quoted = format!("'{PHRASE}'");
    let wrong = format!("'{}'", PHRASE.replace("yellow", "yelow"));
    let lines = [
        format!("status-account show --identity 0x{KEY}"),
        format!("status-account show --identity {quoted}"),
        format!("status-account show --identity {wrong}"),
        format!("status-account import 0X{KEY}"),
        format!("status-account import {quoted}"),
        format!("status-account import {PHRASE}"),
        format!("status-account import --output text {PHRASE}"),
        format!("status-account name 0x{KEY}"),
        format!("status-account name {quoted}"),
        format!("status-account frobnicate {KEY}"),
        format!("status-account {KEY}"),
        format!("status-account {KEY} --output text"),
        format!("status-account show --now {KEY}"),
        format!("status-account show --now={KEY}"),
        format!("STATUS_NOW={KEY} status-account show"),
        format!("status-account derive --path {quoted}"),
        format!("status-account keystore decrypt 0x{KEY}"),
        "STATUS_PASSWORD=x status-account keystore decrypt key.json".to_string(),
        "STATUS_PASSWORD=x status-account keystore decrypt words.json".to_string(),
        "STATUS_PASSWORD=x status-account keystore decrypt broken.json".to_string(),
        "STATUS_PASSWORD=x status-account keystore inspect broken.json".to_string(),
        format!("STATUS_IDENTITY={}x status-account sign hi", &KEY[1..]),
        format!("STATUS_IDENTITY={wrong} status-account sign hi"),
        format!("echo hi | status-envelope seal --sym-key @{KEY} --topic 0x01020304"),
        format!("echo hi | status-envelope seal --sym-key {quoted} --topic 0x01020304"),
        format!("status-envelope seal hi --chat {quoted}"),
        format!("status-envelope seal hi --chat x --topic {KEY}"),
        format!("status-envelope seal hi --to-key {quoted}"),
        format!("echo {quoted} | status-envelope open --chat x"),
        format!("echo '{{\"a\": {PHRASE}}}' | status-envelope open --chat x"),
        format!("echo {quoted} | status-payload decode"),
        format!("status-payload decode {quoted}"),
        format!("status-topic partitioned {quoted}"),
        format!("status-topic match --bloom {KEY} 0x01020304"),
        format!("status-account verify hi --key {KEY} --signature 0x00"),
        format!("echo {quoted} | status-account import --passphrase-file 'legal winner thank'"),
        format!("status-account show --config 0x{KEY}"),
        format!("status-account show --config={quoted}"),
        format!("STATUS_CONFIG={KEY} status-account sign hi"),
        format!("status-account show --profile {KEY}"),
        format!("statuskit keygen --out {KEY}"),
        format!("status-account new --out {quoted}"),
        format!("status-mailserver import --store {KEY} < /dev/null"),
        format!("status-mailserver export --store {quoted}"),
        format!("status-eip abi encode {KEY}"),
        format!("status-topic chat {KEY}"),
    ];
    for line in lines {
        let ended = shell.run(&line);
        assert_ne!(ended.code, 0, "{line}\n{}", ended.stdout);
        let shown = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
        for part in [&KEY[1..9], &KEY[20..30], "sausage", "winner thank", "'winner'", "wave"] {
            assert!(!shown.contains(part), "{line}\n{shown}");
        }
        assert!(!shown.contains("panicked"), "{line}\n{shown}");
    }
    let error = record(&shell.fails(5, &format!("status-account show --identity {KEY}")));
    assert!(error["message"].as_str().unwrap().contains("64 hex digits"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("STATUS_IDENTITY"), "{error}");
    // No file gets a secret for its name.
    assert_eq!(
        shell.ok("ls").lines().collect::<Vec<_>>(),
        ["broken.json", "key.json", "words.json"]
    );
    // The name of a password's file may be the password.
    let line = "status-account keystore encrypt --identity key.json --password-file hunter2";
    assert!(!shell.fails(5, line).contains("hunter2"));
}

#[test]
fn identities_that_others_may_read_get_a_note() {
    let shell = Shell::new();
    fs::write(shell.dir().join("me.key"), KEY).unwrap();
    shell.ok("chmod 644 me.key");
    let note = shell.run("status-account sign hi --identity me.key").stderr;
    assert!(note.contains("others may read me.key"), "{note}");
    shell.ok("chmod 600 me.key");
    assert_eq!(shell.run("status-account sign hi --identity me.key").stderr, "");
}

#[test]
fn empty_passwords_protect_nothing() {
    let shell = Shell::new();
    fs::write(shell.dir().join("me.key"), KEY).unwrap();
    let encrypt = "status-account keystore encrypt --identity me.key";
    for line in [
        format!("STATUS_PASSWORD= {encrypt}"),
        format!("printf '' > empty; {encrypt} --password-file empty"),
        format!("echo > line; {encrypt} --password-file line"),
        format!("printf '\\xef\\xbb\\xbf' > bom; {encrypt} --password-file bom"),
        format!("{encrypt} --password-fd 0 < empty"),
        format!(
            "STATUS_PASSWORD=a {encrypt} > file.json; STATUS_PASSWORD=a \
                 STATUS_NEW_PASSWORD= status-account keystore re-encrypt file.json"
        ),
        "status-envelope seal hi --password '' --topic 0x01020304".to_owned(),
        "status-envelope open --password '' < /dev/null".to_owned(),
    ] {
        let ended = shell.run(&line);
        assert_eq!(ended.code, 2, "{line}\n{}", ended.stderr);
        assert!(ended.stderr.contains("empty"), "{line}\n{}", ended.stderr);
    }
    // A byte order mark is no part of a password.
    let line = format!(
        "STATUS_PASSWORD=foo {encrypt} > f.json; printf '\\xef\\xbb\\xbffoo\\n' > bom; \
         status-account keystore decrypt f.json --password-file bom"
    );
    assert_eq!(shell.member(&line, "address"), ADDRESS);
}

#[test]
fn identities_are_read_as_people_keep_them() {
    let shell = Shell::new();
    let (first, second) = KEY.split_at(32);
    let read = |text: &str| {
        fs::write(shell.dir().join("secret.txt"), text).unwrap();
        shell.run("chmod 600 secret.txt; status-account import secret.txt")
    };
    for text in [
        format!("0X{KEY}"),
        format!("\u{feff}0x{KEY}\r\n"),
        format!("\"0x{KEY}\""),
        format!("{first}\n{second}\n"),
        format!("# mine\nexport PRIVATE_KEY=0x{KEY}\n"),
        format!("{{\"private_key\":\"0x{KEY}\"}}"),
    ] {
        let ended = read(&text);
        assert_eq!(ended.code, 0, "{text}\n{}", ended.stderr);
        assert_eq!(record(&ended.stdout)["address"], ADDRESS);
    }
    let expected = record(&read(PHRASE).stdout)["public_key"].clone();
    let numbered: Vec<_> =
        (1..).zip(PHRASE.split(' ')).map(|(at, word)| format!("{at}. {word}\n")).collect();
    let cut: Vec<_> = PHRASE.split(' ').map(|it| &it[..4]).collect();
    for text in [PHRASE.to_uppercase(), PHRASE.replace(' ', ", "), numbered.concat(), cut.join(" ")]
    {
        let ended = read(&text);
        assert_eq!(ended.code, 0, "{text}\n{}", ended.stderr);
        assert_eq!(record(&ended.stdout)["public_key"], expected);
        assert!(ended.stderr.contains("read without"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("unchecked"));
    }
    assert!(read(&KEY[1..]).stderr.contains("63 hex digits"));
    // In the variable, too.
    for value in [format!("'\"0x{KEY}\"'"), format!("0X{KEY}"), format!("$'\\ufeff0x{KEY}'")] {
        let line = format!("STATUS_IDENTITY={value} status-account sign hi");
        assert_eq!(shell.member(&line, "address"), ADDRESS, "{line}");
    }
    // A key file in a JSON text, and with a byte order mark.
    let file = shell.ok(&format!(
        "echo {KEY} > me.key; STATUS_PASSWORD=foo status-account keystore encrypt --identity me.key \
         --output raw"
    ));
    for text in [format!("\u{feff}{file}"), serde_json::to_string(&file).unwrap()] {
        fs::write(shell.dir().join("file.json"), text).unwrap();
        let line = "STATUS_PASSWORD=foo status-account keystore decrypt file.json";
        assert_eq!(shell.member(line, "address"), ADDRESS);
    }
}

#[test]
fn chats_and_links_are_read_as_people_write_them() {
    let shell = Shell::new();
    for text in
        ["#status", " status", "https://join.status.im/chat/public/status", "join.status.im/status"]
    {
        let ended = shell.run(&format!("status-topic chat '{text}'"));
        assert_eq!(record(&ended.stdout)["topic"], "0xcd423760", "{text}");
        assert!(
            ended.stderr.contains("the chat is \\\"status\\\", topic 0xcd423760"),
            "{}",
            ended.stderr
        );
    }
    for line in [
        "status-topic chat Status",
        "status-topic chat ''",
        "status-topic chat 'my chat'",
        "status-envelope seal hi --chat Status",
        "status-envelope open --chat Status < /dev/null",
        "status-mailserver export --store none --chat Status",
        "status-topic chat https://join.status.im/g/args?a=1",
        "statuskit demo --chat Status",
    ] {
        let error = record(&shell.fails(2, line));
        assert!(matches!(error["code"].as_str(), Some("chat.name" | "link.elsewhere")), "{error}");
    }
    let error = record(&shell.fails(2, "status-topic chat Status"));
    assert!(error["hint"].as_str().unwrap().starts_with("status; --exact-name"), "{error}");
    assert_eq!(shell.member("status-topic chat Status --exact-name", "topic"), "0x574a81d5");
    assert_eq!(shell.member("status-topic chat --exact-name ''", "topic"), "0xc5d24601");
    // In a stream, a bad name is a bad record.
    let ended = shell.run("printf 'Status\\nstatus\\n' | status-topic chat");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 1));

    for text in [
        format!("https://get.status.im/user/{CHAT_KEY}"),
        format!("http://join.status.im/u/{CHAT_KEY}/?x=1"),
        format!("JOIN.status.im/user/{CHAT_KEY}"),
        "@zQ3shSgBBghWP9W7bv7fJ4vDpw7QXGvHcCgWCaJ1ivYkPxp8d".to_owned(),
    ] {
        let name = shell.ok(&format!("status-account name --output text '{text}'"));
        assert_eq!(name, "Legal Darkred Gadwall\n");
    }
    for (text, code) in [
        ("0xB1208f6258494C4b749650715249DA8699198315".to_owned(), "chat_key.address"),
        (format!("0x{KEY}"), "chat_key.bytes_32"),
        (CHAT_KEY[..131].to_owned(), "chat_key.digits"),
        ("0x0".to_owned(), "chat_key.digits"),
        ("bob.stateofus.eth".to_owned(), "chat_key.ens_name"),
        ("https://join.status.im/markets".to_owned(), "chat_key.link"),
        ("https://join.status.im/c/x".to_owned(), "chat_key.link"),
    ] {
        let error = record(&shell.fails(2, &format!("status-account name '{text}'")));
        assert_eq!(error["code"], code, "{text}");
    }
}

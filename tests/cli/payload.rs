//! `status-payload`: messages as JSON and as bytes, signatures, checks.

use serde_json::{Value, json};
use statuskit_cli::tools;

use crate::{record, records, shell::Shell};

const NOW: &str = "--now 1585500000";

#[test]
fn a_filled_in_template_round_trips() {
    let shell = Shell::new();
    // Over several lines, as `jq` writes it.
    let pretty = r#"sed 's/,/,\n  /g; s/^{/{\n  /; s/}$/\n}/' | sed 's/"text":""/"text":"hi"/'"#;
    let line = format!(
        "status-payload template chat {NOW} | {pretty} | status-payload encode | tee hi.json \
         | status-payload decode"
    );
    let decoded = shell.ok(&line);
    assert_eq!(decoded, shell.ok("cat hi.json"));
    let hi = record(&decoded);
    assert_eq!((&hi["text"], &hi["type"]), (&json!("hi"), &json!("chat_message")));
    assert_eq!((&hi["clock"], &hi["author"]), (&json!(1_585_500_000_000_u64), &json!(null)));
    let flags = format!("status-payload encode chat --set text=hi {NOW}");
    assert_eq!(record(&shell.ok(&flags)), hi);
    // The same in every format.
    for form in ["--output hex", "--output raw", "--output raw | base64 -w0"] {
        let line = format!("{flags} {form} | status-payload decode");
        assert_eq!(record(&shell.ok(&line)), hi, "{form}");
    }
}

#[test]
fn a_missing_type_is_named() {
    let shell = Shell::new();
    for (found, says) in [("{\"text\":\"hi\"}", "lacks the member"), ("{\"type\":7}", "not a text")]
    {
        let line = format!("echo '{found}' | status-payload encode --output json");
        let error = record(&shell.fails(3, &line));
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("payload.unknown_type"), &json!("type"))
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("chat_message"), "{error}");
    }
    let line = "status-payload template chat | sed 's/\"clock\":[0-9]*/\"clock\":-1/' \
                | status-payload encode --output json";
    let error = record(&shell.fails(3, line));
    assert!(error["message"].as_str().unwrap().contains("from 0 to 18446744073709551615"));
    assert!(error["message"].as_str().unwrap().ends_with("found -1"), "{error}");
}

#[test]
fn the_envelope_signer_is_the_author_of_an_unsigned_payload() {
    let mut shell = Shell::new();
    let me = shell.keygen("ME");
    let seal = |with: &str| {
        format!(
            "status-payload encode chat --set text=hello --set chat_id=status --output raw \
             | status-envelope seal --literal --password status {with} \
             | status-envelope open --chat status"
        )
    };
    let opened = record(&shell.ok(&seal("--identity me.key")));
    let payload = &opened["payload"];
    assert_eq!((&payload["type"], &payload["text"]), (&json!("chat_message"), &json!("hello")));
    assert_eq!(payload["author"], me);
    // Without any author, clients would refuse it.
    assert_ne!(record(&shell.ok(&seal("")))["payload"]["type"], "chat_message");
}

#[test]
fn every_template_round_trips() {
    let shell = Shell::new();
    let types = records(&shell.ok("status-payload types"));
    assert_eq!(types.len(), 31);
    let names: Vec<_> = types.iter().map(|it| it["name"].as_str().unwrap()).collect();
    let loop_ = format!(
        "for name in {}; do status-payload template $name {NOW}; done > templates; \
         status-payload encode < templates | tee encoded | status-payload decode > decoded; \
         status-payload encode < decoded",
        names.join(" ")
    );
    let again = records(&shell.ok(&loop_));
    let encoded = records(&shell.ok("cat encoded"));
    assert_eq!(again, encoded);
    let templates = records(&shell.ok("cat templates"));
    for ((template, encoded), name) in templates.iter().zip(&encoded).zip(names) {
        assert_eq!(encoded["type"], name);
        for (member, value) in template.as_object().unwrap() {
            assert_eq!(&encoded[member], value, "{name}.{member}");
        }
    }
}

#[test]
fn the_fixtures_decode_and_encode_to_the_same_bytes() {
    let shell = Shell::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/payloads.json");
    let text = std::fs::read_to_string(path).unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    let members = ["cases", "wrapper_oddities"].map(|name| set[name].as_array().unwrap());
    let readable: Vec<_> = members
        .into_iter()
        .flatten()
        .filter(|case| case["error"].is_null() && case["wrapped"] != "")
        .map(|case| format!("0x{}", case["wrapped"].as_str().unwrap()))
        .collect();
    std::fs::write(shell.dir().join("all"), readable.join("\n")).unwrap();
    // One has a payload that does not decode: it is shown, and is an error.
    let error = shell.fails(3, "status-payload decode < all > decoded");
    assert!(error.contains("payload.protobuf") && error.lines().count() == 1, "{error}");
    let decoded = records(&shell.ok("cat decoded"));
    assert_eq!(decoded.len(), readable.len());
    let encoded = records(&shell.ok("status-payload encode < decoded"));
    for ((decoded, encoded), raw) in decoded.iter().zip(&encoded).zip(&readable) {
        assert_eq!(decoded["raw"], *raw);
        // One is not in canonical form: the offset is reported.
        if decoded["canonical"] == false {
            assert_eq!(decoded["differs_at"], 0);
            assert_ne!(encoded["raw"], *raw);
        } else {
            assert_eq!(encoded["raw"], *raw);
        }
    }
    let odd = decoded.iter().filter(|it| it["canonical"] == false).count();
    assert_eq!(odd, 1);
}

#[test]
fn signatures_are_made_verified_and_dropped_when_invalid() {
    let mut shell = Shell::new();
    let me = shell.keygen("ME");
    shell.keygen("EVE");
    shell.ok(&format!(
        "status-payload encode contact --set ens_name=me.eth --identity me.key {NOW} > signed"
    ));
    let signed = record(&shell.ok("cat signed"));
    assert_eq!(signed["author"], me);
    shell.ok("status-payload verify < signed");
    shell.ok("status-payload verify --author $ME < signed");
    let error = shell.fails(1, "status-payload verify --author $EVE < signed");
    assert!(error.contains("signature.other_key"), "{error}");
    let unsigned = "status-payload encode --unsigned < signed";
    let error = shell.fails(1, &format!("{unsigned} | status-payload verify"));
    assert!(error.contains("payload.unsigned"), "{error}");
    assert_eq!(
        record(&shell.ok(&format!("{unsigned} | status-payload sign --identity me.key"))),
        signed
    );
    let resigned = shell.ok("status-payload sign --identity eve.key < signed");
    assert_ne!(record(&resigned)["message_id"], signed["message_id"]);
    assert_eq!(shell.ok("status-payload id --output text < signed").trim(), signed["message_id"]);
    // A signed payload begins with a line feed, and is still recognised as binary.
    let raw = "status-payload encode --output raw < signed";
    assert_eq!(record(&shell.ok(&format!("{raw} | status-payload decode"))), signed);

    let changed = "sed s/me.eth/eve.eth/ signed | status-payload encode";
    let error = shell.fails(3, changed);
    assert!(error.contains("payload.stale_signature"), "{error}");
    let again = record(&shell.ok(&format!("{changed} --identity me.key")));
    assert_eq!((&again["author"], &again["ens_name"]), (&json!(me), &json!("eve.eth")));
}

#[test]
fn unknown_types_and_fields_are_kept_and_shown() {
    let shell = Shell::new();
    // Type 99, not canonical, with an unknown wrapper field 15; a chat message with fields 100
    // (bytes) and 5 (a number instead of a text).
    for hex in ["0x186312020801", "0x120408011863186378a5017801", "0x120a08011a01782801a206001801"]
    {
        let decoded = shell.ok(&format!("echo {hex} | status-payload decode"));
        let again =
            format!("echo {hex} | status-payload decode | status-payload encode --output hex");
        if record(&decoded).get("canonical").is_none() {
            assert_eq!(shell.ok(&again).trim(), hex);
        }
    }
    let bare = "echo 0x08011a0178280aa2060163 | status-payload decode --as chat";
    let decoded = record(&shell.ok(bare));
    assert_eq!(
        decoded["unknown_fields"],
        json!([
            { "number": 5, "wire_type": "varint", "value": 10 },
            { "number": 100, "wire_type": "bytes", "value": "0x63" },
        ])
    );
    let again = format!("{bare} | status-payload encode --bare --output hex");
    assert_eq!(shell.ok(&again), "0x08011a0178280aa2060163\n");
    let shown = record(&shell.ok("echo 0x08011a0178280aa2060163 | status-payload show --as chat"));
    let fields = shown["fields"].as_array().unwrap();
    let sum: u64 = fields.iter().map(|it| it["length"].as_u64().unwrap()).sum();
    assert_eq!(sum, shown["length"].as_u64().unwrap());
    let known: Vec<_> = fields.iter().map(|it| it["known"].as_bool().unwrap()).collect();
    assert_eq!(known, [true, true, false, false]);
}

#[test]
fn what_clients_lose_is_refused_by_check_and_send() {
    let (mut shell, _node) = crate::network::network("");
    shell.keygen("BOB");
    let encode = |what: &str| format!("status-payload encode {what} --identity me.key {NOW}");
    let chat = |set: &str| encode(&format!("chat --set text=hi --set chat_id=c {set}"));
    let public = "--set message_type=public_group";
    let large = "9223372036854775808";
    let cases = [
        (chat(&format!("{public} --set timestamp={large}")), "", "payload.timestamp_range"),
        (encode(&format!("contact --set clock={large}")), "", "payload.clock_range"),
        (chat("--set message_type=9"), "", "payload.message_type_unknown"),
        (chat("--set message_type=private_group"), "--chat c", "payload.group_in_public"),
        (chat(public), "--chat d --chat e", "payload.chat_unknown"),
    ];
    for (payload, options, code) in &cases {
        let line = format!("{payload} | status-payload check {NOW} {options} --output json");
        let error = shell.fails(1, &line);
        assert!(error.contains(code), "{line}: {error}");
    }
    for (payload, ..) in &cases[3..] {
        shell.ok(&format!("{payload} | status-payload check {NOW}"));
    }
    shell.ok(&format!("{} | status-payload check {NOW} --chat d --chat c", cases[4].0));
    for (payload, _, code) in &cases[..3] {
        let payload = payload.replace(NOW, "");
        let line = format!(
            "{payload} | status-send --payloads --peer $ENODE --identity me.key --state s --to $BOB"
        );
        let ended = shell.run(&format!("{line} --output json"));
        assert!(ended.code > 0 && ended.stderr.contains(code), "{line}: {}", ended.stderr);
    }
    // A receiver marks them.
    for (payload, refused) in [
        (&cases[0].0, "2^63"),
        (&cases[2].0, "no such message type"),
        (&cases[3].0, "private group"),
    ] {
        let line = format!(
            "{} | status-envelope seal --chat c | status-envelope open --chat c",
            payload.replace(NOW, "")
        );
        let opened = record(&shell.ok(&line));
        let text = opened["payload"]["refused"].as_str().unwrap_or_default();
        assert!(text.contains(refused), "{line}: {opened}");
    }
}

/// The same message with the other signature: see `fixtures/README.md`.
#[test]
fn a_high_s_is_accepted_with_a_warning() {
    let shell = Shell::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/high_s.json");
    let text = std::fs::read_to_string(fixture).unwrap();
    let fixture: Value = serde_json::from_str(&text).unwrap();
    let mut ids = Vec::new();
    for (name, warnings) in [("low_s", 0), ("high_s", 1)] {
        let hex = fixture[name].as_str().unwrap();
        let line = format!("echo {hex} | status-payload check --now 1585500000 --output json");
        let checked = record(&shell.ok(&line));
        assert_eq!((&checked["accepted"], &checked["author"]), (&json!(true), &fixture["author"]));
        let found = checked.get("warnings").and_then(Value::as_array);
        assert_eq!(found.map_or(0, Vec::len), warnings, "{checked}");
        if let Some(found) = found {
            assert_eq!(found[0]["code"], "payload.high_s");
        }
        ids.push(checked["message_id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn checks_have_codes_and_time() {
    let shell = Shell::new();
    let encode = format!("status-payload encode chat --set text=hi --set chat_id=c {NOW}");
    let cases = [
        ("", "--sent 1585500000", None),
        ("", "--sent 1585499879", Some("payload.clock_ahead")),
        ("", "--sent 1585499880", None),
        ("--set clock=0", "", Some("payload.clock_zero")),
        ("--set timestamp=0", "", Some("payload.timestamp_zero")),
        ("--set text=' '", "", Some("payload.text_blank")),
        ("--set chat_id=", "", Some("payload.chat_id_empty")),
        ("--set content_type=0", "", Some("payload.content_type")),
        ("--set content_type=transaction_command", "", Some("payload.content_type_local")),
        ("--set content_type=sticker", "", Some("payload.sticker_missing")),
        ("--set content_type=sticker --set sticker.pack=1", "", Some("payload.sticker_hash")),
        ("--set content_type=sticker --set sticker.hash=e3", "", None),
        ("--set message_type=4", "", Some("payload.message_type_local")),
        ("--set message_type=77", "", Some("payload.message_type_unknown")),
    ];
    for (set, options, code) in cases {
        let line = format!("{encode} {set} | status-payload check {options} {NOW}");
        let ended = shell.run(&line);
        assert_eq!(ended.code, i32::from(code.is_some()), "{line}: {}", ended.stderr);
        let checked = record(&ended.stdout);
        assert_eq!(checked["accepted"], code.is_none());
        let failed = checked["checks"].as_array().unwrap().iter().find(|it| it["pass"] == false);
        assert_eq!(failed.map(|it| it["code"].clone()), code.map(Value::from), "{line}");
        assert!(ended.stderr.contains(code.unwrap_or_default()), "{line}");
    }
    // The message record supplies the envelope's time.
    let sealed = format!("status-envelope seal hi --chat c {NOW} --seed 1");
    let line = format!("{sealed} | status-envelope open --chat c | status-payload check --now 1");
    assert_eq!(record(&shell.ok(&line))["sent"], 1_585_500_000);
    let error = shell.fails(3, &format!("{sealed} | status-payload check"));
    assert!(error.contains("status-envelope open"), "{error}");
}

#[test]
fn encoding_errors_name_the_field() {
    let shell = Shell::new();
    let cases = [
        (r#"{"type":"chat","txet":"hi"}"#, "payload.member", "txet"),
        (r#"{"type":"chat","text":7}"#, "payload.value", "text"),
        (r#"{"type":"chat","sticker":{"pack":"x"}}"#, "payload.value", "sticker.pack"),
        (r#"{"type":"emoji_reaction","type_":"hate"}"#, "payload.value", "type_"),
        (r#"{"type":"nothing"}"#, "payload.unknown_type", "type"),
        (r#"{"text":"hi"}"#, "payload.unknown_type", "type"),
        (r#"{"type":"unknown_99"}"#, "record.member", "payload"),
    ];
    for (input, code, field) in cases {
        std::fs::write(shell.dir().join("in"), input).unwrap();
        let ended = shell.run("status-payload encode --output json < in");
        assert_eq!(ended.code, 3, "{input}: {}", ended.stderr);
        let error = records(&ended.stderr).pop().unwrap();
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{input}");
    }
    // Bytes that are not a payload are reported with their line.
    let error = record(&shell.fails(3, "(echo; echo 0xffff) | status-payload encode"));
    assert_eq!(
        (&error["code"], &error["line"]),
        (&json!("payload.protobuf"), &json!(2)),
        "{error}"
    );
    // The good records are not lost.
    let mixed =
        r#"(echo '{"type":"chat","txet":1}'; echo '{"type":"chat"}') | status-payload encode"#;
    let ended = shell.run(mixed);
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 1));
    shell.fails(2, "status-payload encode chat --set txet=hi");
    shell.fails(2, "status-payload encode chat --set text.x=hi");
    shell.fails(2, "status-payload encode chat --set text");
    shell.fails(2, "status-payload encode no-such-type");
    shell.fails(1, "status-payload encode < /dev/null");
    shell.fails(3, "echo 0xffff | status-payload decode");
    assert!(tools::commands().iter().any(|it| it.get_name() == "status-payload"));
}

#[test]
fn data_sync_is_shown_with_its_content() {
    let shell = Shell::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mvds.json");
    let set: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let payload = &set["payloads"][0];
    let line = format!("echo 0x{} | status-payload decode", payload["encoded"].as_str().unwrap());
    let decoded = records(&shell.ok(&line));
    assert_eq!(decoded[0]["type"], "data_sync");
    let id = format!("0x{}", payload["messages"][0]["id"].as_str().unwrap());
    assert_eq!(decoded[0]["messages"][0]["id"], id);
    assert_eq!(decoded.len(), 1 + payload["messages"].as_array().unwrap().len());
    assert!(decoded[1]["author"].is_string());
}

#[test]
fn untrusted_text_is_escaped() {
    let shell = Shell::new();
    let line = "status-payload encode sync_installation_contact \
                --set 'system_tags=[\"a\u{202e}b\"]' --set $'ens_name=\\e[31mred' --output hex \
                | status-payload";
    for command in ["decode", "show", "check"] {
        let text = shell.ok(&format!("{line} {command} --output text"));
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{command}: {text}");
    }
}

#[test]
fn a_flood_of_fields_is_refused_early() {
    let shell = Shell::new();
    // A million two-byte fields.
    std::fs::write(shell.dir().join("flood"), [0x08, 1].repeat(1_000_000)).expect("a file");
    let error = shell.fails(3, "status-payload show --as chat --output json < flood");
    assert!(error.contains("more than 65536 fields"), "{error}");
}

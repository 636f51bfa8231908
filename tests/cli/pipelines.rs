//! Tools that compose: what one writes, another reads.

use serde_json::json;

use crate::{record, records, shell::Shell};

const KEY: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[test]
fn topics_of_names() {
    let shell = Shell::new();
    let topic = record(&shell.ok("status-topic chat status"));
    assert_eq!(topic["topic"], "0xcd423760");
    assert_eq!(topic["name"], "status");
    assert_eq!(topic["bloom"].as_str().unwrap().len(), 130);
    assert_eq!(shell.ok("status-topic chat status --output hex"), "0xcd423760\n");
    assert_eq!(shell.ok("status-topic chat status --output text"), "0xcd423760  status\n");
    assert_eq!(shell.ok("statuskit topic chat status"), shell.ok("status-topic chat status"));
    let all = records(&shell.ok("printf 'a\\nb\\n\\nc' | status-topic chat"));
    assert_eq!(all.len(), 3);
    let found = record(&shell.ok("printf 'x\\nstatus\\n' | status-topic which 0xcd423760"));
    assert_eq!(found["name"], "status");
    shell.fails(1, "echo x | status-topic which 0x01020304");
}

#[test]
fn blooms_of_topics_and_envelopes() {
    let shell = Shell::new();
    let direct = shell.ok("status-topic bloom 0xcd423760 0x9c22ff5f --output hex");
    let piped = shell.ok("status-topic chat status test | status-topic bloom --output hex");
    assert_eq!(direct, piped);
    let bloom = direct.trim();
    shell.ok(&format!("status-topic match --bloom {bloom} 0xcd423760 0x9c22ff5f"));
    shell.fails(1, &format!("status-topic match --bloom {bloom} 0xcd423760 0x00000000"));
}

#[test]
fn seal_mine_check_open() {
    let shell = Shell::new();
    let line = format!(
        "echo -n hi | status-envelope seal --sym-key {KEY} --topic 0x01020304 --ttl 15 \
         | status-pow mine --target 0.5 | tee mined.json | status-envelope check"
    );
    let check = record(&shell.ok(&line));
    assert_eq!((&check["accepted"], &check["verdict"]), (&json!(true), &json!("accepted")));
    assert_eq!(check["checks"].as_array().unwrap().len(), 6);

    let envelope = record(&shell.ok("cat mined.json"));
    for member in ["type", "hash", "expiry", "ttl", "topic", "nonce", "pow", "size", "raw"] {
        assert!(!envelope[member].is_null(), "{member}");
    }
    assert!(envelope["pow"].as_f64().unwrap() >= 0.5);
    shell.ok("status-pow check --min 0.5 < mined.json");
    assert!(shell.fails(1, "status-pow check --min 1e9 < mined.json").contains("low_pow"));

    let open = format!("status-envelope open --sym-key {KEY} < mined.json");
    assert_eq!(record(&shell.ok(&open))["payload"]["text"], "hi");
    // A check record, bare hex and binary are accepted as envelopes.
    let open = format!("status-envelope check < mined.json | status-envelope open --sym-key {KEY}");
    assert_eq!(record(&shell.ok(&open))["payload"]["raw"], "0x6869");
    for format in ["hex", "raw"] {
        let line = format!(
            "status-envelope show --output {format} < mined.json | status-envelope open --sym-key {KEY}"
        );
        assert_eq!(record(&shell.ok(&line))["payload"]["text"], "hi");
    }
    let base64 = format!(
        "status-envelope show --output raw < mined.json | base64 -w0 \
         | status-envelope open --sym-key {KEY}"
    );
    assert_eq!(record(&shell.ok(&base64))["payload"]["text"], "hi");
}

#[test]
fn opened_messages_can_be_sealed_again() {
    let shell = Shell::new();
    shell.ok("statuskit keygen --out me.key --seed a");
    let line = format!(
        "status-envelope seal hello --chat status --identity me.key --now 1585500000 \
         | tee first.json | status-envelope open --chat status \
         | status-envelope seal --sym-key {KEY} --identity me.key --now 1585500000 \
         | status-envelope open --sym-key {KEY}"
    );
    let again = record(&shell.ok(&line));
    let first = record(&shell.ok("status-envelope open --chat status < first.json"));
    for member in ["payload", "padding", "signer", "topic", "sent", "ttl"] {
        assert_eq!(again[member], first[member], "{member}");
    }
}

#[test]
fn payload_and_protocol_message_records_are_sealed_as_bytes() {
    let mut shell = Shell::new();
    shell.keygen("ALICE");
    shell.keygen("BOB");
    shell.ok("status-payload encode contact --set ens_name=me.eth --identity alice.key > update");
    shell.ok("status-session encrypt --to $BOB < update > encrypted");
    let seal = "status-envelope seal --to-key $BOB --identity alice.key";
    let open = "status-envelope open --identity bob.key";
    for file in ["update", "encrypted"] {
        let opened = record(&shell.ok(&format!("{seal} < {file} | {open}")));
        let sealed = record(&shell.ok(&format!("cat {file}")));
        assert_eq!(opened["payload"]["raw"], sealed["raw"], "{file}");
    }
    let decrypt = "status-session decrypt --identity bob.key --from $ALICE";
    let got = record(&shell.ok(&format!("{seal} < encrypted | {open} | {decrypt}")));
    assert_eq!(got["raw"], record(&shell.ok("cat update"))["raw"]);
    // `--literal` seals the record itself as text.
    let line =
        "status-envelope seal --password p --literal < update | status-envelope open --password p";
    let text = record(&shell.ok(line))["payload"]["text"].clone();
    assert_eq!(text, shell.ok("cat update"));
    // Such a stream must not contain other records.
    let line =
        "(cat update; echo '{\"type\":\"ratchet_step\"}') | status-envelope seal --password p";
    let error = shell.fails(3, &format!("{line} --output json"));
    assert!(error.contains("input.json") && error.contains("\"line\":2"), "{error}");
}

#[test]
fn chat_messages_look_like_those_of_status_clients() {
    let shell = Shell::new();
    shell.ok("statuskit keygen --out me.key");
    let public = shell.member("statuskit keygen --seed x --show-secret", "public_key");
    assert!(public.starts_with("0x04"));
    let line = "echo 'héllo 👋' | status-envelope seal --chat status --identity me.key \
                | status-envelope open --chat status";
    let message = record(&shell.ok(line));
    let payload = &message["payload"];
    assert_eq!(payload["text"], "héllo 👋");
    assert_eq!(payload["type"], "chat_message");
    assert_eq!(payload["chat_id"], "status");
    assert_eq!(payload["message_type"], "public_group");
    assert_eq!(payload["content_type"], "text_plain");
    assert_eq!(payload["author"], message["signer"]);
    assert_eq!(message["ttl"], 15);
}

#[test]
fn asymmetric_messages_open_for_their_recipient_only() {
    let mut shell = Shell::new();
    shell.keygen("BOB");
    shell.keygen("EVE");
    shell.ok("echo -n secret | status-envelope seal --to-key $BOB > e.json");
    let open = record(&shell.ok("status-envelope open --identity bob.key < e.json"));
    assert_eq!(open["payload"]["text"], "secret");
    assert_eq!(open["signer"], json!(null));
    let error = shell.fails(1, "status-envelope open --identity eve.key < e.json");
    assert!(error.contains("envelope.wrong_key"), "{error}");
    // The environment may hold the key or its file name.
    shell.ok("STATUS_IDENTITY=bob.key status-envelope open < e.json");
    shell.ok("STATUS_IDENTITY=$(cat bob.key) status-envelope open < e.json");
    shell.ok("cat bob.key | status-envelope open --identity - < e.json || true");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let shell = Shell::new();
    let line =
        "status-envelope seal hi --chat status --seed s --now 1585500000 --pow 0.01 --output hex";
    let first = shell.ok(line);
    assert_eq!(first, shell.ok(line));
    assert_ne!(first, shell.ok(&line.replace("--seed s", "--seed t")));
    let with_vars = "STATUS_SEED=s STATUS_NOW=1585500000 status-envelope seal hi --chat status --pow 0.01 --output hex";
    assert_eq!(first, shell.ok(with_vars));
    // These bytes must never change between releases.
    let hash =
        shell.member("status-envelope seal hi --password p --seed s --now 1585500000", "hash");
    assert_eq!(hash.trim(), "0xf191a63371293478d32557053533decd457953a51f4b0579c32209bd16a566d6",);
}

#[test]
fn lines_are_messages() {
    let shell = Shell::new();
    let line = "printf 'one\\ntwo\\n\\nthree' | status-envelope seal --chat c --lines --now 1585500000 \
                | status-envelope open --chat c";
    let messages = records(&shell.ok(line));
    let texts: Vec<_> = messages.iter().map(|message| &message["payload"]["text"]).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    let clocks: Vec<_> =
        messages.iter().map(|message| message["payload"]["clock"].as_u64().unwrap()).collect();
    assert!(clocks.is_sorted_by(|a, b| a < b), "{clocks:?}");
    let whole =
        "printf 'one\\ntwo\\n' | status-envelope seal --chat c | status-envelope open --chat c";
    assert_eq!(record(&shell.ok(whole))["payload"]["text"], "one\ntwo");
}

#[test]
fn show_adds_up() {
    let shell = Shell::new();
    let shown = record(&shell.ok("status-envelope seal hi --chat c | status-envelope show"));
    let fields = shown["fields"].as_array().unwrap();
    let total: u64 = fields.iter().map(|field| field["length"].as_u64().unwrap()).sum();
    assert_eq!(total, shown["rlp_len"].as_u64().unwrap());
    let bytes: String = fields.iter().map(|field| &field["bytes"].as_str().unwrap()[2..]).collect();
    assert_eq!(format!("0x{bytes}"), shown["raw"]);
}

#[test]
fn the_nonce_does_not_depend_on_the_threads() {
    let shell = Shell::new();
    shell.ok("status-envelope seal hi --password p --seed s --now 1585500000 > e.json");
    let nonces: Vec<_> = [1, 2, 5]
        .map(|threads| {
            let line = format!("status-pow mine --target 20 --threads {threads} < e.json");
            shell.member(&line, "nonce")
        })
        .into();
    assert!(nonces.windows(2).all(|pair| pair[0] == pair[1]), "{nonces:?}");
    assert!(nonces[0].parse::<u64>().unwrap() > 1000);
}

#[test]
fn estimates_and_rates() {
    let shell = Shell::new();
    let estimate =
        record(&shell.ok("status-pow estimate --target 1 --size 5000 --ttl 1d --rate 1000000"));
    assert_eq!(estimate["target_bits"], 29);
    assert_eq!(estimate["expected_hashes"].as_f64(), Some(536_870_912.0));
    assert_eq!(estimate["expected_seconds"].as_f64(), Some(536.870_912));
    let bench = record(&shell.ok("status-pow bench --size 100 --threads 1 --time 1"));
    assert!(bench["nonces_per_second"].as_u64().unwrap() > 0);
    let kept = shell.fails(
        1,
        "status-envelope seal hi --password p | status-pow mine --target 1e12 --time 1 > best.json",
    );
    assert!(kept.contains("pow.not_reached"), "{kept}");
    assert!(record(&shell.ok("cat best.json"))["pow"].as_f64().unwrap() > 0.0);
}

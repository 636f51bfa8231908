//! `status-account`, and the `--identity` option that every tool shares.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{
    record, records,
    shell::{Background, Shell},
};

const PHRASE: &str = "test test test test test test test test test test test junk";
const CHAT_KEY: &str = "0x04b0845dbe5aac196a2c1606fe3199e5ec9b2bd09a5bd801e478409544745bf6898bad70ee31d6c3061a86101a087bb605ce3c88292888221c992a17e8d6e40eaf";
const COMPACT: &str = "zQ3shrX9wuSGo7iWUvbKgToD3nTwFrZoKz83MpfyNK2bpqEWt";
const NAME: &str = "Enormous Valid Pachyderm";
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// Returns a shell with the phrase in `phrase`, the number 7 in `secret.key` and `pw` in `pw`.
fn shell() -> Shell {
    let shell = Shell::new();
    shell.ok(&format!("echo {PHRASE} > phrase"));
    shell.ok("printf '%064d' 7 > secret.key; echo -n pw > pw");
    shell
}

fn refused(shell: &Shell, code: i32, line: &str, error: &str) {
    let ended = shell.run(line);
    assert_eq!(ended.code, code, "{line}\n{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains(error), "{line}\n{}", ended.stderr);
}

#[test]
fn new_accounts_are_reproducible_and_usable() {
    let shell = shell();
    let card = record(&shell.ok("status-account new --seed 1"));
    assert_eq!(card["type"], "account");
    // Must never change: the same seed gives the same account.
    assert_eq!(card["name"], "Sparse Astonishing Hound");
    assert_eq!(card["path"], "m/43'/60'/1581'/0'/0");
    assert_eq!(card["keys"].as_array().map(Vec::len), Some(6));
    assert_eq!(record(&shell.ok("statuskit account new --seed 1")), card);
    assert_ne!(record(&shell.ok("status-account new --seed 2"))["name"], card["name"]);

    shell.ok("status-account new --seed 1 --out me.json > card.json");
    assert_eq!(shell.ok("stat -c %a me.json"), "600\n");
    let shown = record(&shell.ok("status-account show --identity me.json"));
    assert_eq!(shown, card);
    let line =
        "status-envelope seal hi --chat c --identity me.json | status-envelope open --chat c";
    assert_eq!(record(&shell.ok(line))["signer"], card["public_key"]);
    let line = "status-envelope seal hi --to-key $(status-account compress --output text < card.json) \
                | status-envelope open --identity me.json";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "hi");

    let shown = record(&shell.ok("status-account new --words 24 --language spanish --show-secret"));
    let phrase = shown["mnemonic"].as_str().unwrap();
    assert_eq!(phrase.split(' ').count(), 24);
    let line = format!("echo '{phrase}' | status-account import");
    assert_eq!(record(&shell.ok(&line))["name"], shown["name"]);
    // A printed account with its secret works as an identity.
    shell.ok(
        "status-account new --show-secret | status-account sign hi --identity - 2> err || cat err",
    );
}

#[test]
fn imports_of_every_kind() {
    let shell = shell();
    let card = record(&shell.ok("status-account import < phrase"));
    assert_eq!(card["public_key"], CHAT_KEY);
    assert_eq!(card["name"], NAME);
    assert_eq!(card["compressed"], COMPACT);
    let wallet = &card["keys"][2];
    assert_eq!(wallet["name"], "wallet");
    assert_eq!(wallet["address"], "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

    // A hex key stands for itself; its address is that of the number 7.
    let single = record(&shell.ok("status-account import secret.key --out single.json"));
    assert_eq!(single["address"], "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb");
    assert!(single.get("path").is_none() && single.get("keys").is_none());
    let again = record(&shell.ok("status-account show --identity single.json"));
    assert_eq!(again["public_key"], single["public_key"]);

    // The master key of the phrase, and a key derived from it.
    let line = "status-account derive --path m --path wallet --show-secret < phrase";
    let keys = records(&shell.ok(line));
    shell.ok(&format!("echo {} > master", keys[0]["extended_key"].as_str().unwrap()));
    shell.ok(&format!("echo {} > wallet", keys[1]["extended_key"].as_str().unwrap()));
    assert_eq!(record(&shell.ok("status-account import master"))["public_key"], CHAT_KEY);
    assert_eq!(
        record(&shell.ok("status-account import wallet"))["address"],
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    );

    // The file remembers the path.
    shell.ok("status-account import phrase --path wallet --out wallet.json");
    for line in [
        "status-account show --identity wallet.json",
        "status-account show --identity phrase --path wallet",
        "status-account show --identity phrase --path \"m/44'/60'/0'/0/0\"",
        "status-account show --identity master --path wallet",
        "status-account show --identity wallet",
    ] {
        let shown = record(&shell.ok(line));
        assert_eq!(shown["address"], "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "{line}");
    }

    // The passphrase of the published vector.
    shell.ok(
        "echo abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon about > a; echo TREZOR > p; status-account import a --passphrase-file p --out a.json",
    );
    let line = "status-account derive --identity a.json --path m --show-secret";
    assert_eq!(
        record(&shell.ok(line))["extended_key"],
        "xprv9s21ZrQH143K3h3fDYiay8mocZ3afhfULfb5GX8kCBdno77K4HiA15Tg23wpbeF1pLfs1c5SPmYHrEpTuuRhxMwvKDwqdKiGJS9XFKzUsAF"
    );

    // The reference accepts any text as a phrase.
    let odd = "printf 'Test  test' | status-account import";
    refused(&shell, 3, odd, "mnemonic.word_count");
    shell.ok(&format!("{odd} --unchecked --out odd.json"));
    let shown = record(&shell.ok("status-account show --identity odd.json"));
    assert_eq!(shown["public_key"], record(&shell.ok(&format!("{odd} --unchecked")))["public_key"]);
}

#[test]
fn derivation_private_and_public() {
    let shell = shell();
    let line = format!("echo '{PHRASE}' | status-account derive --path \"m/43'/60'/1581'/0'/0\"");
    let key = record(&shell.ok(&line));
    assert_eq!((&key["public_key"], &key["name"]), (&json!(CHAT_KEY), &json!(NAME)));
    assert!(key.get("private_key").is_none() && key.get("extended_key").is_none());
    assert_eq!(key, record(&shell.ok("status-account derive < phrase")));

    let line = "status-account derive --path wallet-root --path wallet --count 3 < phrase";
    let keys = records(&shell.ok(line));
    assert_eq!(keys.len(), 6);
    assert_eq!(keys[5]["path"], "m/44'/60'/0'/0/2");
    assert_eq!(keys[5]["address"], "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
    // The root's public key derives the same accounts.
    let xpub = keys[0]["extended_public_key"].as_str().unwrap();
    let public =
        records(&shell.ok(&format!("echo {xpub} | status-account derive --path m/0 --count 3")));
    for (public, private) in public.iter().zip(&keys[3..]) {
        assert_eq!(public["public_key"], private["public_key"]);
        assert_eq!(public["extended_public_key"], private["extended_public_key"]);
    }
    let hardened = format!("echo {xpub} | status-account derive --path \"m/0'\"");
    refused(&shell, 3, &hardened, "hd.hardened_from_public");

    // Reproduces the reference's defect on request.
    let line = "status-account derive --path \"m/43'/60'/1581'\" --like-reference < phrase";
    let lost = record(&shell.ok(line));
    let straight = record(&shell.ok("status-account derive --path \"m/43'/60'\" < phrase"));
    assert_eq!(lost["public_key"], straight["public_key"]);
    assert_ne!(lost, record(&shell.ok("status-account derive --path eip1581-root < phrase")));

    // Other programs print key files over several lines.
    shell.ok("status-account keystore encrypt --identity phrase --password-file pw --out k.json");
    shell.ok(
        "sed 's/[{,]/&\\n/g; s/}/\\n}/g' k.json > pretty.json; head -1 pretty.json | grep -qx '{'",
    );
    let line =
        "(cat pretty.json; echo; cat phrase) | status-account derive --path m --password-file pw";
    let keys = records(&shell.ok(line));
    assert_eq!((keys.len(), &keys[0]["public_key"]), (2, &json!(CHAT_KEY)));

    // A stream with one bad line.
    let ended = shell.run("(cat phrase; echo bad phrase; cat phrase) | status-account derive");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 2));
    assert!(ended.stderr.contains("\"line\":2"), "{}", ended.stderr);
    refused(&shell, 3, "status-account derive < secret.key", "identity.no_tree");
    refused(&shell, 2, "status-account derive --path m/x < phrase", "path.component");
    refused(&shell, 2, "status-account derive --path m/2147483648 < phrase", "path.index_range");
}

#[test]
fn names_pictures_and_texts_of_keys() {
    let shell = shell();
    assert_eq!(record(&shell.ok(&format!("status-account name {CHAT_KEY}")))["name"], NAME);
    let text = shell.ok(&format!("status-account name {CHAT_KEY} --output text"));
    assert_eq!(text, format!("{NAME}\n"));
    let compact = record(&shell.ok(&format!("status-account compress {CHAT_KEY}")));
    assert_eq!(compact["compressed"], COMPACT);
    let expanded = record(&shell.ok(&format!("status-account expand {COMPACT}")));
    assert_eq!((&expanded["public_key"], &expanded["base"]), (&json!(CHAT_KEY), &json!("z")));
    let both = format!("status-account compress {CHAT_KEY} | status-account expand --output hex");
    assert_eq!(shell.ok(&both).trim(), CHAT_KEY);

    // Every text form of a key, and its raw bytes, are the same key.
    let short = shell.ok(&format!("status-account compress {CHAT_KEY} --output hex"));
    let hex = shell.ok(&format!("status-account compress {CHAT_KEY} --base f --output text"));
    assert!(short.starts_with("0x0") && hex.starts_with("fe7010"), "{short} {hex}");
    let link = format!("https://join.status.im/user/{CHAT_KEY}");
    for text in [CHAT_KEY, &CHAT_KEY[2..], COMPACT, short.trim(), hex.trim(), &link] {
        for line in [
            format!("status-account name '{text}'"),
            format!("echo '{text}' | status-account name"),
            format!("status-topic partitioned '{text}'"),
        ] {
            assert_eq!(record(&shell.ok(&line))["public_key"], CHAT_KEY, "{line}");
        }
    }
    for format in ["raw", "hex", "json"] {
        let line = format!(
            "for k in {CHAT_KEY} {COMPACT}; do status-account show $k --output {format}; done \
             | status-account name"
        );
        let names = records(&shell.ok(&line));
        assert!(names.len() == 2 && names.iter().all(|it| it["name"] == NAME), "{line}");
    }
    let base64 = format!("status-account show {COMPACT} --output raw | base64 -w0");
    assert_eq!(record(&shell.ok(&format!("{base64} | status-account name")))["name"], NAME);

    let line = format!("status-account identicon {CHAT_KEY} --png out.png");
    let picture = record(&shell.ok(&line));
    assert_eq!(picture["file"], "out.png");
    let png = std::fs::read(shell.dir().join("out.png")).expect("a picture");
    assert!(png.starts_with(b"\x89PNG\r\n"));
    shell.ok(&format!("status-account identicon {CHAT_KEY} --output raw | cmp - out.png"));
    refused(&shell, 5, &line, "file.exists");
    shell.ok(&format!("{line} --force"));
    let drawn = shell.ok(&format!("status-account identicon {CHAT_KEY} --output text"));
    assert!(drawn.contains('█') && !drawn.contains('\x1b'), "{drawn}");
    refused(
        &shell,
        2,
        &format!("status-account identicon {CHAT_KEY} {COMPACT} --png two.png"),
        "one key",
    );

    let line = format!("status-account qr {CHAT_KEY} --png qr.png --svg qr.svg");
    let qr = record(&shell.ok(&line));
    assert_eq!(qr["text"], CHAT_KEY);
    assert!(shell.ok("cat qr.svg").starts_with("<svg"));
    assert!(shell.ok("head -c 4 qr.png | tail -c 3") == "PNG");
    refused(&shell, 5, &line, "file.exists");
    let link = record(&shell.ok(&format!("status-account qr {COMPACT} --link")));
    assert_eq!(link["text"], format!("https://join.status.im/user/{CHAT_KEY}"));
    let drawn = shell.ok(&format!("status-account qr {COMPACT} --compact --output text"));
    assert!(drawn.lines().count() > 15 && drawn.contains('▀'), "{drawn}");
}

#[test]
fn key_files_round_trip() {
    let shell = shell();
    let made = record(&shell.ok(
        "status-account keystore encrypt --identity phrase --password-file pw --out keys.json",
    ));
    assert_eq!(shell.ok("stat -c %a keys.json"), "600\n");
    assert_eq!((&made["n"], &made["extended"]), (&json!(4096), &json!(true)));
    let card = record(&shell.ok("status-account keystore decrypt keys.json --password-file pw"));
    assert_eq!(card["public_key"], CHAT_KEY);
    assert!(card.get("private_key").is_none() && card.get("extended_key").is_none());

    // A trailing slash names a directory, created if missing.
    let line =
        "status-account keystore encrypt --identity phrase --password-file pw --out deep/keys/";
    let made = record(&shell.ok(line));
    assert!(made["file"].as_str().is_some_and(|it| it.starts_with("deep/keys/UTC--")), "{made}");
    assert_eq!(shell.ok("stat -c %a deep/keys deep/keys/UTC--*"), "700\n600\n");
    refused(&shell, 5, &line.replace("deep/keys/", "pw/"), "file.write");

    // Every password source.
    for line in [
        "STATUS_PASSWORD=pw status-account keystore decrypt keys.json",
        "status-account keystore decrypt keys.json --password-fd 3 3< pw",
        "status-account keystore decrypt keys.json --password-fd 3 3< <(echo pw)",
        "status-account keystore decrypt --password-file pw < keys.json",
        "status-account keystore decrypt keys.json --password-file - < pw",
        "status-account show --identity keys.json --password-file pw",
        "STATUS_PASSWORD=pw STATUS_IDENTITY=keys.json status-account keystore encrypt --scrypt status \
         | STATUS_PASSWORD=pw status-account keystore decrypt",
    ] {
        assert_eq!(record(&shell.ok(line))["public_key"], CHAT_KEY, "{line}");
    }
    refused(&shell, 2, "setsid status-account keystore decrypt keys.json", "password.missing");
    let wrong = "STATUS_PASSWORD=wrong status-account keystore decrypt keys.json";
    refused(&shell, 1, wrong, "keystore.mac");
    let line = "echo hi | status-envelope seal --chat c --identity keys.json --password-file pw \
                | status-envelope open --chat c";
    assert_eq!(record(&shell.ok(line))["signer"], CHAT_KEY);

    // Re-encrypted in place, atomically.
    shell.ok("echo better > new");
    let line = "status-account keystore re-encrypt keys.json --password-file pw \
                --new-password-file new --out keys.json";
    refused(&shell, 5, line, "file.exists");
    shell.ok(&format!("{line} --force"));
    refused(&shell, 1, "status-account show --identity keys.json --password-file pw", "mac");
    let line = "status-account show --identity keys.json --password-file new";
    assert_eq!(record(&shell.ok(line))["public_key"], CHAT_KEY);
    assert_eq!(shell.ok("ls -A | grep -c tmp || true"), "0\n");

    // The mobile app's password hash, and the conventional file name in a directory.
    shell.ok(
        "mkdir keys; status-account keystore encrypt --identity secret.key --password-file pw \
              --mobile-password --out keys --now 1585569600 --seed 1",
    );
    let name = "keys/UTC--2020-03-30T12-00-00.000000000Z--d41c057fd1c78805aac12b0a94a405c0461a6fbb";
    shell
        .ok(&format!("status-account show --identity {name} --password-file pw --mobile-password"));
    let line = format!("status-account show --identity {name} --password-file pw");
    refused(&shell, 1, &line, "--mobile-password");
    let inspected = record(&shell.ok(&format!("status-account keystore inspect {name}")));
    assert_eq!((&inspected["kdf"], &inspected["extended"]), (&json!("scrypt"), &json!(false)));

    // A decrypted account goes to a file, or is shown on request.
    shell.ok(&format!(
        "status-account keystore decrypt {name} --password-file pw --mobile-password --out back.json"
    ));
    let line = "status-account show --identity back.json";
    assert_eq!(record(&shell.ok(line))["address"], "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb");
    let line = "STATUS_PASSWORD=better status-account keystore decrypt keys.json --show-secret";
    assert!(record(&shell.ok(line))["private_key"].as_str().unwrap().starts_with("0x"));
    // The same seed gives the same bytes.
    let line = "status-account keystore encrypt --identity phrase --password-file pw --seed 1";
    assert_eq!(shell.ok(line), shell.ok(line));
}

#[test]
fn hostile_key_files_are_refused_before_any_work() {
    let shell = shell();
    let file = |kdf: &str| {
        format!(
            "{{\"version\":3,\"crypto\":{{\"cipher\":\"aes-128-ctr\",\"ciphertext\":\"{}\",\
             \"cipherparams\":{{\"iv\":\"{}\"}},{kdf},\"mac\":\"{}\"}}}}",
            "11".repeat(32),
            "22".repeat(16),
            "33".repeat(32)
        )
    };
    let scrypt = |n: u64, r: u64, p: u64| {
        file(&format!(
            "\"kdf\":\"scrypt\",\"kdfparams\":{{\"dklen\":32,\"n\":{n},\"r\":{r},\"p\":{p},\"salt\":\"00\"}}"
        ))
    };
    let cases = [
        (scrypt(1 << 40, 8, 1), "keystore.expensive"),
        (scrypt(2, 1 << 29, 1), "keystore.expensive"),
        (scrypt(2, 1, (1 << 30) - 1), "keystore.expensive"),
        (scrypt(1 << 20, 8, 64), "keystore.expensive"),
        (scrypt(4095, 8, 1), "keystore.parameter"),
        (scrypt(4096, 0, 1), "keystore.parameter"),
        (scrypt(4096, u64::MAX, u64::MAX), "keystore.parameter"),
        (
            file(
                "\"kdf\":\"pbkdf2\",\"kdfparams\":{\"dklen\":32,\"c\":4294967295,\"prf\":\"hmac-sha256\",\"salt\":\"00\"}",
            ),
            "keystore.expensive",
        ),
    ];
    for (file, code) in cases {
        std::fs::write(shell.dir().join("hostile.json"), file).expect("a file");
        for line in [
            "status-account keystore decrypt hostile.json --password-file pw",
            "status-account import hostile.json --password-file pw",
            "status-envelope seal hi --chat c --identity hostile.json",
        ] {
            // Refused at once, without the minutes and memory that the file asks for.
            refused(&shell, 3, line, code);
        }
    }
    std::fs::write(shell.dir().join("costly.json"), scrypt(1 << 16, 8, 33)).expect("a file");
    let line = "status-account keystore decrypt costly.json --password-file pw";
    let ended = shell.run(line);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("MiB") && ended.stderr.contains("--allow-expensive"));
}

#[test]
fn signatures() {
    let shell = shell();
    shell.ok("status-account show --identity phrase > card.json");
    for kind in ["personal", "keccak"] {
        let line = format!("printf hello | status-account sign --as {kind} --identity phrase");
        let signature = record(&shell.ok(&format!("{line} | tee sig")));
        assert_eq!(signature["public_key"], CHAT_KEY);
        let v = if kind == "personal" { ["1b", "1c"] } else { ["00", "01"] };
        let hex = signature["signature"].as_str().unwrap();
        assert!(v.contains(&&hex[hex.len() - 2..]), "{hex}");
        let by = signature["address"].as_str().unwrap();
        for key in [CHAT_KEY, COMPACT, by] {
            shell.ok(&format!("status-account verify hello --as {kind} --key {key} < sig"));
            let line = format!("--as {kind} --key {key} --signature {hex}");
            shell.ok(&format!("printf hello | status-account verify {line}"));
            let other = format!("status-account verify hellO {line}");
            let ended = shell.run(&other);
            assert_eq!(ended.code, 1, "{other}");
        }
        let recovered =
            shell.ok(&format!("status-account recover hello --as {kind} --output hex < sig"));
        assert_eq!(recovered.trim(), CHAT_KEY);
        // Signing the digest directly gives the same r and s.
        let digest = signature["digest"].as_str().unwrap();
        let line = format!("status-account sign {digest} --as digest --identity phrase");
        assert_eq!(record(&shell.ok(&line))["signature"].as_str().unwrap()[..130], hex[..130]);
    }
    let key = format!("--key {CHAT_KEY}");
    refused(
        &shell,
        2,
        &format!("status-account verify hi {key} --signature 0x12"),
        "signature.text",
    );
    let zeros = format!("0x{}", "00".repeat(65));
    let line = format!("status-account verify hi --as keccak {key} --signature {zeros}");
    refused(&shell, 1, &line, "signature.recovery");
    let line = format!("status-account verify hi {key} --signature {zeros}");
    refused(&shell, 1, &line, "signature.v");
    refused(&shell, 2, "status-account sign 0x12 --as digest --identity phrase", "digest");
    refused(&shell, 2, &format!("status-account verify {key} < sig"), "standard input");
    refused(&shell, 2, "status-account sign hi", "--identity");
}

#[test]
fn vanity_is_reproducible_and_stops() {
    let shell = shell();
    let found = record(&shell.ok("status-account vanity --seed 1 --show-secret 0x04a --threads 1"));
    assert!(found["public_key"].as_str().unwrap().starts_with("0x04a"));
    let again = record(&shell.ok("status-account vanity --seed 1 --show-secret 0x04a --threads 3"));
    assert_eq!(found, again);
    shell.ok("status-account vanity --seed 1 --out frog.json '* * F*'");
    let frog = record(&shell.ok("status-account show --identity frog.json"));
    assert!(frog["name"].as_str().unwrap().split(' ').nth(2).unwrap().starts_with('F'));
    refused(&shell, 5, "status-account vanity --seed 1 --out frog.json '* * F*'", "file.exists");
    refused(&shell, 2, "status-account vanity 0x04a", "--out");
    refused(&shell, 2, "status-account vanity --show-secret nosuchword", "vanity.word");
    refused(&shell, 2, "status-account vanity --show-secret 0x05", "vanity.impossible_prefix");
    let line = "status-account vanity --show-secret 0x04abcdefabcdef";
    refused(&shell, 1, &format!("{line} --max-tries 2000"), "vanity.not_found");
    refused(&shell, 1, &format!("{line} --time 1"), "vanity.not_found");
    let line = format!("{line} > out & pid=$!; sleep 1; kill -INT $pid; wait $pid");
    assert_eq!(shell.run(&line).code, 130);
    assert_eq!(shell.ok("cat out"), "");
}

#[test]
fn bad_phrases_and_keys_are_named() {
    let shell = shell();
    let swapped = PHRASE.replacen("test junk", "junk test", 1);
    let cases = [
        (PHRASE.replacen("junk", "jnuk", 1), "mnemonic.word", "did you mean \\\"junk\\\"?"),
        (PHRASE.replacen("junk", "Jnuk", 1), "mnemonic.word", "word 12"),
        (swapped, "mnemonic.checksum", "swapped"),
        (PHRASE.replacen("test ", "", 1), "mnemonic.word_count", "11 words"),
        (format!("{PHRASE} {}", "a".repeat(5000)), "mnemonic.too_long", "recovery phrase"),
        ("0".repeat(64), "key.format", "at least 1"),
        (ORDER.to_owned(), "key.format", "below the order"),
        ("0x1234".to_owned(), "key.format", "4 hex digits"),
        ("hello".to_owned(), "identity.unknown", "hex digits"),
        ("xprv9s21ZrQH143K".to_owned(), "hd.text", "78 bytes"),
        ("{\"type\":\"account\"}".to_owned(), "identity.public_only", "public part"),
        ("{".to_owned(), "keystore.json", "JSON"),
        ("[".repeat(60_000).replacen('[', "{\"a\":", 1), "keystore.json", "JSON"),
    ];
    for (input, code, said) in cases {
        std::fs::write(shell.dir().join("bad"), input).expect("a file");
        for line in [
            "status-account import < bad",
            "status-account import bad",
            "status-account show --identity bad",
            "status-envelope seal hi --chat c --identity bad",
        ] {
            let ended = shell.run(&format!("{line} --output json"));
            assert_eq!(ended.code, 3, "{line}: {}", ended.stderr);
            let errors = records(&ended.stderr);
            assert_eq!(errors[0]["code"], code, "{line}: {}", ended.stderr);
            assert!(ended.stderr.contains(said), "{line}: {said}: {}", ended.stderr);
        }
    }
    shell.ok("printf '\\xff\\xfe\\x00' > bad");
    refused(&shell, 3, "status-account import bad", "identity.utf8");
    refused(&shell, 3, "status-account keystore decrypt bad --password-file pw", "keystore.utf8");
    shell.ok("truncate -s 100M big");
    for line in [
        "status-account import big",
        "status-account show --identity big",
        "status-account keystore decrypt big --password-file pw",
    ] {
        refused(&shell, 3, line, "identity.too_large");
    }
    refused(&shell, 3, "status-account name < big", "input.too_long");
    let mut edited = record(&shell.ok("status-account new --show-secret"));
    edited["public_key"] = CHAT_KEY.into();
    std::fs::write(shell.dir().join("edited.json"), edited.to_string()).expect("a file");
    refused(&shell, 3, "status-account show --identity edited.json", "identity.mismatch");
    refused(&shell, 5, "status-account import no-such", "file.read");
    refused(&shell, 2, "status-account show --identity secret.key --path wallet", "no_tree");

    // A bad public key is wrong usage as an argument, and a bad record in a stream.
    let off_curve = format!("{}0", &CHAT_KEY[..131]);
    let typo = COMPACT.replace('W', "0");
    for (text, code) in [
        (off_curve.as_str(), "chat_key.key"),
        (&CHAT_KEY[..100], "chat_key"),
        (typo.as_str(), "chat_key.character"),
        ("hello", "chat_key"),
        ("alice.eth", "chat_key.ens_name"),
        ("https://join.status.im/chat/public/status", "chat_key.link"),
    ] {
        for tool in ["name", "show", "compress", "expand", "identicon", "qr"] {
            refused(&shell, 2, &format!("status-account {tool} '{text}'"), code);
            refused(&shell, 3, &format!("echo '{text}' | status-account {tool}"), code);
        }
        refused(&shell, 2, &format!("status-envelope seal hi --to-key '{text}'"), code);
    }
}

#[test]
fn streams_of_keys() {
    let shell = shell();
    shell.ok(&format!("printf '{CHAT_KEY}\\n\\n{COMPACT}\\nhello\\n{{\"type\":\"x\"}}\\n\\xff\\n{CHAT_KEY}' > keys"));
    let ended = shell.run("status-account name < keys");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 3));
    let lines: Vec<Value> = records(&ended.stderr).iter().map(|it| it["line"].clone()).collect();
    assert_eq!(lines, [4, 5, 6]);
    let ended = shell.run("status-account name --fail-fast < keys");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 2));
    for tool in ["name", "show", "compress", "expand", "identicon", "qr", "derive"] {
        for input in [": |", "printf '\\n \\n' |"] {
            let ended = shell.run(&format!("{input} status-account {tool}"));
            assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{input} {tool}");
            assert!(ended.stderr.contains("input.empty"), "{}", ended.stderr);
        }
    }
    for line in ["import", "keystore decrypt --password-file pw", "sign --identity phrase"] {
        refused(&shell, 1, &format!(": | status-account {line}"), "input.empty");
    }
    shell.ok(&format!("(yes {COMPACT} || true) | head -20000 > many"));
    let line = "status-account name --output text < many | sort | uniq -c";
    assert_eq!(shell.ok(line).trim(), format!("20000 {NAME}"));
    assert_eq!(shell.run("status-account name < many | head -1 > first").code, 0);

    // Results are flushed when the input pauses.
    let mut command = shell.command("exec status-account name");
    let mut child = Background(command.stdin(Stdio::piped()).spawn().expect("bash"));
    let mut input = child.0.stdin.take().expect("piped");
    let mut output = BufReader::new(child.0.stdout.take().expect("piped"));
    for count in 1..4 {
        input.write_all(format!("{COMPACT}\n").repeat(count).as_bytes()).expect("a write");
        for _ in 0..count {
            let mut line = String::new();
            output.read_line(&mut line).expect("a line");
            assert!(line.contains(NAME), "{line}");
        }
    }
}

#[test]
fn wrong_usage() {
    let shell = shell();
    for line in [
        "status-account",
        "status-account keystore",
        "status-account new --words 13",
        "status-account new --language klingon",
        "status-account new --force",
        "status-account compress --base ? zQ3sh",
        "status-account derive --count 0",
        "status-account vanity",
        "status-account keystore decrypt x --password-file a --password-fd 3",
        "status-account keystore encrypt --password-file pw",
        "status-account sign hi --as sung --identity phrase",
        "status-account qr --scale 0",
        "status-account show --identity phrase --path ''",
    ] {
        let error = shell.fails(2, line);
        assert!(!error.is_empty() && !error.contains("panicked"), "{line}: {error}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let shell = shell();
    shell.ok("echo precious > me.json; mkdir dir; ln -s me.json link");
    for out in ["me.json", "link"] {
        for line in [
            "status-account new",
            "status-account import phrase",
            "statuskit keygen",
            "status-account keystore encrypt --identity phrase --password-file pw",
        ] {
            refused(&shell, 5, &format!("{line} --out {out}"), "file.exists");
            assert_eq!(shell.ok("cat me.json"), "precious\n");
        }
    }
    for out in ["dir", "/dev/null", "link"] {
        let line = format!("status-account new --out {out} --force");
        refused(&shell, 5, &line, "file.exists");
    }
    refused(&shell, 5, "status-account new --out no-such/me.json", "file.write");
    refused(&shell, 2, "status-account new --out -", "--show-secret");
    shell.ok("chmod 644 me.json; status-account new --out me.json --force");
    assert_eq!(shell.ok("stat -c %a me.json"), "600\n");
    shell.ok("status-account show --identity me.json");
    // A failed write (the file may not grow) leaves the old file intact.
    let whole = shell.ok("cat me.json");
    let ended = shell.run("ulimit -f 0; status-account new --out me.json --force");
    assert_ne!(ended.code, 0);
    assert_eq!(shell.ok("cat me.json"), whole);
    shell.ok("rm -f .me.json.*.tmp");
    // No temporary files remain.
    assert_eq!(shell.ok("ls -A | grep tmp || true"), "");
}

#[test]
fn secrets_are_not_shown() {
    let shell = shell();
    shell.ok("status-account import phrase --out me.json > /dev/null");
    shell.ok("status-account keystore encrypt --identity me.json --password-file pw --out k.json");
    let secrets = {
        let line = "status-account derive --path chat --path m --show-secret < phrase";
        let keys = records(&shell.ok(line));
        let mut secrets = vec!["junk".to_owned(), "test test".to_owned(), "xprv".to_owned()];
        for key in keys {
            secrets.push(key["private_key"].as_str().unwrap()[2..].to_owned());
        }
        secrets
    };
    let lines = [
        "status-account import phrase",
        "status-account import me.json --output text",
        "status-account show --identity me.json",
        "status-account show --identity me.json --output text",
        "status-account show --identity k.json --password-file pw",
        "status-account derive < phrase",
        "status-account derive --path m --output text < me.json",
        "status-account keystore decrypt k.json --password-file pw",
        "status-account keystore encrypt --identity phrase --password-file pw",
        "status-account keystore inspect k.json",
        "status-account sign hi --identity phrase",
        "status-account import phrase --out me.json",
        "status-account show phrase",
        "status-account derive --path m/x < phrase",
        "STATUS_IDENTITY=$(cat phrase) status-account sign hi",
        "STATUS_IDENTITY=$(cat phrase) status-envelope seal hi --chat c",
        "status-account import --language japanese phrase",
        "status-account new --out new.json",
        "status-account vanity 0x04a --out found.json",
    ];
    for line in lines {
        let ended = shell.run(line);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains("private_key") && !all.contains("mnemonic\":"), "{line}: {all}");
        for secret in &secrets {
            assert!(!all.contains(secret.as_str()), "{line}: {all}");
        }
    }
}

#[test]
fn accounts_send_and_receive() {
    let (shell, _node) = crate::network::network("");
    let card = record(&shell.ok("status-account new --out me.json"));
    shell.ok("echo pw > pw; status-account keystore encrypt --identity me.json --password-file pw --out k.json");
    for identity in ["me.json", "k.json --password-file pw"] {
        let line = format!("status-send hi --peer $ENODE --identity {identity} --chat status");
        assert_eq!(record(&shell.ok(&line))["written"], 1);
    }
    let line = "status-receive --peer $ENODE --chat status --count 2 --timeout 60";
    for message in records(&shell.ok(line)) {
        assert_eq!(message["signer"], card["public_key"]);
    }
    // Sent to a compressed key, opened by its account.
    let compact = card["compressed"].as_str().unwrap();
    shell.ok(&format!("status-send secret --peer $ENODE --to-key {compact}"));
    let line = "status-receive --peer $ENODE --identity me.json --count 1 --timeout 60";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "secret");
}

#[test]
fn identities_from_the_environment() {
    let shell = shell();
    let line = "status-envelope seal hi --chat c | status-envelope open --chat c";
    for value in [
        "phrase",
        "$(cat phrase)",
        "$(status-account derive --path m --show-secret \
                   --output json < phrase | grep -o 'xprv[^\"]*')",
    ] {
        let message = record(&shell.ok(&format!("export STATUS_IDENTITY=\"{value}\"; {line}")));
        assert_eq!(message["signer"], CHAT_KEY, "{value}");
    }
    let line = "STATUS_IDENTITY=phrase status-envelope seal hi --chat c --path wallet \
                | status-envelope open --chat c";
    let by = record(&shell.ok(line))["signer"].as_str().unwrap().to_owned();
    let wallet = record(&shell.ok("status-account derive --path wallet < phrase"));
    assert_eq!(wallet["public_key"], by.as_str());
}

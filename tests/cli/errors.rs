//! Exit codes and errors: wrong usage, bad input, closed pipes, secrets.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::Value;
use statuskit_cli::{explanations, tools};

use crate::{
    record, records,
    shell::{Background, Shell},
};

#[test]
fn wrong_usage_is_2_in_every_format() {
    let shell = Shell::new();
    for line in [
        "status-topic",
        "status-topic chta x",
        "status-topic bloom 0x01",
        "status-topic match --bloom 0x00 0x01020304",
        "status-envelope seal hi",
        "status-envelope seal hi --chat a --password b",
        "status-envelope seal hi --chat ''",
        "status-envelope seal hi --sym-key 0x11",
        "status-envelope seal hi --sym-key $(printf '0%.0s' {1..64}) --topic 0x01020304",
        "status-envelope seal hi --sym-key $(printf '1%.0s' {1..64})",
        "status-envelope seal hi --to-key 0x04",
        "status-envelope seal hi --password p --ttl never",
        "status-envelope seal hi --password p --topic status",
        "status-envelope seal hi --password p | status-envelope open",
        "status-pow mine --target NaN < /dev/null",
        "status-pow mine --target -1 < /dev/null",
        "status-pow estimate --target -1",
        "status-pow bench --backend abacus",
        "statuskit keygen",
        "statuskit explain no.such",
        "statuskit man no-such",
        "statuskit completions no-such",
        "status-topic chat x --output yaml",
    ] {
        for format in ["", "--output json", "--output text"] {
            if line.contains("--output") && !format.is_empty() {
                continue;
            }
            let error = shell.fails(2, &format!("{line} {format}"));
            assert!(!error.is_empty(), "{line}");
            assert!(!error.contains("panicked"), "{line}: {error}");
        }
    }
}

#[test]
fn wrong_usage_records_hold_what_the_text_says() {
    let shell = Shell::new();
    for (line, field, hint) in [
        ("status-send --bogus", "--bogus", "to pass '--bogus' as a value"),
        ("status-topic chta x", "null", "a similar subcommand exists: 'chat'"),
        ("status-topic chat x --output yaml", "--output", ""),
        ("status-send --confirm-timeout never", "--confirm-timeout", ""),
    ] {
        let error = record(&shell.fails(2, line));
        assert_eq!((&error["type"], &error["code"]), (&"error".into(), &"usage".into()));
        let found = error["field"].as_str().unwrap_or("null");
        assert_eq!(found, field, "{error}");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{error}");
    }
    let text = shell.fails(2, "status-send --bogus --output text");
    assert!(text.contains("Usage: status-send") && text.starts_with("error: "), "{text}");
}

#[test]
fn empty_input_does_nothing_and_is_1() {
    let shell = Shell::new();
    for line in [
        "status-topic chat",
        "status-topic bloom",
        "status-topic which 0x01020304",
        "status-envelope seal --chat c",
        "status-envelope seal --chat c --lines",
        "status-envelope open --chat c",
        "status-envelope show",
        "status-envelope check",
        "status-pow mine",
        "status-pow check",
        "status-payload encode",
        "status-payload decode",
        "status-payload check",
        "status-payload show",
        "status-payload verify",
        "status-payload id",
        "status-group replay",
        "status-group show",
        "status-group verify",
    ] {
        for input in [": |", "printf '\\n' |"] {
            if input != ": |" && line == "status-envelope seal --chat c" {
                continue; // a blank message has an error of its own
            }
            let ended = shell.run(&format!("{input} {line}"));
            assert_eq!(ended.code, 1, "{input} {line}: {}", ended.stderr);
            assert_eq!(ended.stdout, "");
            assert!(ended.stderr.contains("input.empty"), "{}", ended.stderr);
        }
    }
}

#[test]
fn garbage_is_3_and_names_the_place() {
    let shell = Shell::new();
    shell.ok("status-envelope seal hi --password p --output raw > e.bin");
    let cases = [
        ("echo hello there", "input.unrecognised"),
        ("echo 0xzz", "input.hex"),
        ("echo '{broken'", "input.json"),
        ("echo '{\"type\":\"topic\"}'", "record.member"),
        ("echo '{\"type\":\"envelope\",\"raw\":7}'", "record.member"),
        ("head -c 50 e.bin", "rlp.truncated"),
        ("printf '\\x80'", "rlp.expected_list"),
        ("echo 0xc0", "rlp.missing_item"),
        ("head -c 3000000 /dev/zero", "rlp.expected_list"),
    ];
    for (input, code) in cases {
        for tool in ["status-envelope show", "status-envelope open --chat c", "status-pow check"] {
            let ended = shell.run(&format!("{input} | {tool} --output json"));
            assert_eq!(ended.code, 3, "{input} | {tool}: {}", ended.stderr);
            let errors = records(&ended.stderr);
            assert_eq!(errors[0]["type"], "error");
            assert_eq!(errors[0]["code"], code, "{input} | {tool}");
            assert_eq!(errors[0]["line"], 1);
        }
    }
    // Whole envelopes before the garbage are shown.
    let ended = shell.run("(cat e.bin e.bin; printf '\\x01') | status-envelope show --output json");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 2));
    let errors = records(&ended.stderr);
    assert_eq!((&errors[0]["code"], &errors[0]["line"]), (&"rlp.expected_list".into(), &3.into()));
    shell.fails(3, "printf '\\xff\\xfe' | status-envelope seal --chat c");
    shell.fails(3, "printf ' \\n' | status-envelope seal --chat c");
    shell.fails(3, "echo hello > bad.key; status-envelope seal hi --chat c --identity bad.key");
    shell.fails(5, "status-envelope seal hi --chat c --identity no-such.key");
    shell.fails(5, "status-envelope seal hi --sym-key @no-such.key --topic 0x01020304");
}

#[test]
fn one_bad_record_does_not_stop_the_stream() {
    let shell = Shell::new();
    shell.ok("for i in 1 2 3; do status-envelope seal $i --password p --output hex; done > good");
    shell.ok("(sed -n 1p good; echo junk!; sed -n 2p good; echo 0xc0; sed -n 3p good) > mixed");
    let ended = shell.run("status-envelope open --password p --output json < mixed");
    assert_eq!(ended.code, 3);
    assert_eq!(records(&ended.stdout).len(), 3);
    let lines: Vec<_> = records(&ended.stderr).iter().map(|e| e["line"].clone()).collect();
    assert_eq!(lines, [Value::from(2), Value::from(4)]);
    let ended = shell.run("status-envelope open --password p --fail-fast --output json < mixed");
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 1));
    // The exit code does not depend on the format.
    for format in ["text", "hex", "raw"] {
        shell.fails(3, &format!("status-envelope show --output {format} < mixed"));
    }
}

#[test]
fn envelopes_for_others_are_no_failure_if_one_opens() {
    let shell = Shell::new();
    shell.ok("for p in a b; do status-envelope seal hi --password $p; done > two");
    let ended = shell.run("status-envelope open --password a < two");
    assert_eq!((ended.code, records(&ended.stdout).len()), (0, 1));
    assert!(ended.stderr.contains("envelope.wrong_key"), "{}", ended.stderr);
    shell.fails(1, "status-envelope open --password c < two");
}

#[test]
fn checks_say_which_rule_failed() {
    let shell = Shell::new();
    let sealed = "status-envelope seal hi --password p --topic 0x01020304 --now 1585500000 --ttl 50 --pow 0.2";
    let bloom = shell.ok("status-topic bloom 0x0a0b0c00 --output hex");
    let cases = [
        ("--now 1585500000", 0, None),
        ("--now 1585500050", 0, None),
        ("--now 1585500051", 1, Some("envelope.expired")),
        ("--now 1585500071", 1, Some("envelope.very_old")),
        ("--now 1585499989", 1, Some("envelope.from_future")),
        ("--now 1585500000 --min-pow 1e6", 1, Some("envelope.low_pow")),
        ("--now 1585500000 --min-pow 1e6 --min-pow-tolerance 0.2", 0, None),
        ("--now 1585500000 --max-size 100", 1, Some("envelope.oversized")),
        (
            &*format!("--now 1585500000 --bloom {}", bloom.trim()),
            1,
            Some("envelope.no_bloom_match"),
        ),
    ];
    for (options, code, error) in cases {
        let ended = shell.run(&format!("{sealed} | status-envelope check {options}"));
        assert_eq!(ended.code, code, "{options}: {}", ended.stderr);
        let record = crate::record(&ended.stdout);
        assert_eq!(record["accepted"], code == 0, "{options}");
        match error {
            None => assert_eq!(ended.stderr, ""),
            Some(code) => assert!(ended.stderr.contains(code), "{options}: {}", ended.stderr),
        }
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let shell = Shell::new();
    shell.ok("status-envelope seal hi --password p --output hex > one");
    let line = "yes $(cat one) | head -5000 > many; status-envelope show < many | head -1 > first";
    assert_eq!(shell.run(line).code, 0);
    assert_eq!(shell.run("statuskit explain | head -1 > first").code, 0);
    assert_eq!(shell.run("statuskit completions bash | head -1 > first").code, 0);
}

#[test]
fn results_are_flushed_one_by_one() {
    let shell = Shell::new();
    let hex = shell.ok("status-envelope seal hi --password p --output hex");
    let mut command = shell.command("exec status-envelope show");
    let mut child = Background(command.stdin(Stdio::piped()).spawn().expect("bash"));
    let mut input = child.0.stdin.take().expect("piped");
    let mut output = BufReader::new(child.0.stdout.take().expect("piped"));
    // The result comes while the input is still open. With buffering this would hang.
    for _ in 0..3 {
        input.write_all(hex.as_bytes()).expect("a write");
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        assert!(line.starts_with("{\"type\":\"envelope\""), "{line}");
    }
}

#[test]
fn ctrl_c_keeps_the_best_nonce() {
    let shell = Shell::new();
    let line = "status-envelope seal hi --password p > e.json; \
                status-pow mine --target 1e15 --output json < e.json > best.json & pid=$!; \
                sleep 1; kill -INT $pid; wait $pid";
    // Background jobs of scripts ignore SIGINT by default; the tool installs its own handler.
    let ended = shell.run(line);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(crate::record(&shell.ok("cat best.json"))["pow"].as_f64().unwrap() > 0.0);
}

#[test]
fn secrets_stay_where_they_are() {
    let mut shell = Shell::new();
    let public = shell.keygen("ME");
    let secret = shell.ok("cat me.key");
    let digits = secret.trim();
    assert_eq!(digits.len(), 64);
    assert_eq!(shell.ok("stat -c %a me.key"), "600\n");
    assert!(!public.contains(digits));
    let outputs = [
        "status-envelope seal hi --chat c --identity me.key | status-envelope open --chat c",
        "status-envelope seal hi --to-key $ME | status-envelope open --identity me.key",
        "status-topic negotiated --identity me.key $ME",
        "statuskit keygen --out me.key",
        "status-envelope seal hi --chat c | status-envelope open --identity me.key",
    ];
    for line in outputs {
        let ended = shell.run(line);
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(digits), "{line}");
    }
    // Key files are never overwritten.
    shell.fails(5, "statuskit keygen --out me.key");
    assert_eq!(shell.ok("cat me.key"), secret);
    let negotiated = "status-topic negotiated --identity me.key $ME";
    assert!(crate::record(&shell.ok(negotiated)).get("name").is_none());
    let shown = crate::record(&shell.ok(&format!("{negotiated} --show-secret")));
    assert_eq!(shown["name"].as_str().unwrap().len(), 64);
}

/// Removes the explanations: they name codes, and don't use them.
fn without_explanations(source: &str) -> String {
    let mut rest = source.split("EXPLANATIONS: &[Explanation] = &[\n");
    let first = rest.next().unwrap_or_default().to_owned();
    rest.fold(first, |text, part| {
        let (table, after) = part.split_once("];\n").expect("the end of a table");
        assert!(table.contains("code: \""), "a table of explanations: {table}");
        text + after
    })
}

#[test]
fn every_code_in_the_sources_is_explained() {
    fn codes(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                codes(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let text = without_explanations(text);
                // Between any two quotes: an escaped one would shift every second.
                found.extend(text.split('"').filter_map(|quoted| {
                    let (group, name) = quoted.split_once('.')?;
                    let known = explanations().any(|it| it.code.split('.').next() == Some(group));
                    let word = |w: &str| {
                        !w.is_empty()
                            && w.bytes()
                                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    };
                    (known && word(group) && word(name)).then(|| quoted.to_owned())
                }));
            }
        }
    }
    let mut found = Vec::new();
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    codes(&crates, &mut found);
    let mut of_the_set = Vec::new();
    codes(&crates.join("fixtures"), &mut of_the_set);
    assert!(found.len() > 40, "the search finds the codes: {}", found.len());
    let shell = Shell::new();
    let missing: Vec<_> = found
        .iter()
        .filter(|code| *code != "envelope.accepted")
        // Kinds of layers have names of the same form, and so have operations and classes of the
        // conformance set.
        .filter(|code| !of_the_set.contains(code))
        .filter(|code| !statuskit::inspect::KINDS.iter().any(|(kind, _)| kind == code))
        .filter(|code| !explanations().any(|entry| entry.code == **code))
        .collect();
    assert!(missing.is_empty(), "not explained: {missing:?}");
    let mut explained = std::collections::HashSet::new();
    for code in explanations().map(|it| it.code) {
        assert!(explained.insert(code), "{code} is explained twice");
        assert!(found.iter().any(|it| it == code) || code == "usage", "{code} is never used");
    }
    let explained = crate::record(&shell.ok("statuskit explain envelope.low_pow"));
    assert_eq!(explained["code"], "envelope.low_pow");
}

#[test]
fn completions_and_man_pages() {
    let shell = Shell::new();
    for shell_name in ["bash", "zsh", "fish"] {
        let text = shell.ok(&format!("statuskit completions {shell_name}"));
        assert!(text.contains("status-envelope") && text.contains("statuskit"));
    }
    shell.ok("bash -n <(statuskit completions bash)");
    shell.ok("statuskit man --out man1");
    for command in tools::commands() {
        let name = command.get_name();
        assert!(shell.ok(&format!("cat man1/{name}.1")).contains(".TH"), "{name}");
    }
    assert!(shell.ok("statuskit man status-envelope").contains("Seal messages"));
}

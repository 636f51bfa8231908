//! `status-inspect schema`: what the tools print is as it says. [`Shell`](crate::shell::Shell) holds each
//! record of each test against it.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    record, records,
    shell::{Shell, conforms::check},
};

#[test]
fn the_check_can_fail() {
    let good = r#"{"type":"topic","kind":"chat","topic":"0x3ac22516","bloom":"BLOOM","bloom_bits":[1],"name":"a","raw":"0x3ac22516"}"#
        .replace("BLOOM", &format!("0x{}", "00".repeat(64)));
    check(&good);
    for (from, to) in [
        ("0x3ac22516", "0x3ac225"),
        ("\"kind\"", "\"king\""),
        ("[1]", "[-1]"),
        ("[1]", "[1.5]"),
        ("\"type\":\"topic\"", "\"type\":\"topics\""),
        ("\"name\":\"a\"", "\"name\":1"),
    ] {
        let bad = good.replace(from, to);
        assert!(std::panic::catch_unwind(|| check(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn one_type_has_all_that_it_refers_to() {
    let shell = Shell::new();
    let all = record(&shell.ok("status-inspect schema"));
    assert_eq!(all["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let defs = all["$defs"].as_object().unwrap();
    for name in defs.keys().take(5).map(String::as_str).chain(["message", "inspection"]) {
        let one = record(&shell.ok(&format!("status-inspect schema {name}")));
        let text = one.to_string();
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert_eq!(one["$defs"][name], defs[name], "{name}");
        }
        assert!(one["$defs"].as_object().unwrap().len() < defs.len() || name == "message");
    }
    assert_eq!(shell.run("status-inspect schema nothing").code, 2);
}

#[test]
fn the_contract_lists_every_record() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/contract.md");
    let contract = fs::read_to_string(path).unwrap();
    let section = contract.split("## The records\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<(String, String)> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .map(|(name, about)| (name.to_owned(), about.to_owned()))
        .collect();
    let shell = Shell::new();
    let payloads = records(&shell.ok("status-payload types"));
    let listed_all = shell.ok("status-inspect schema --output text");
    let expected: BTreeSet<(String, String)> = listed_all
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .filter(|(name, _)| !payloads.iter().any(|it| it["name"] == *name))
        .map(|(name, about)| (name.to_owned(), about.trim().to_owned()))
        .collect();
    assert_eq!(listed, expected);
}

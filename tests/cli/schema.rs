//! `status-inspect schema`: what the tools print is as it says. [`Shell`](crate::shell::Shell) holds each
//! record of each test against it.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use serde_json::{Map, Value};

use crate::{record, records, shell::Shell};

static SCHEMA: LazyLock<Value> = LazyLock::new(statuskit_cli::schema);

/// Asserts that a line, if it is a record, is as the schema says, without a member more.
pub fn check(line: &str) {
    if !line.starts_with("{\"type\":\"") {
        return;
    }
    let Ok(record) = serde_json::from_str::<Value>(line) else { return };
    let Some(kind) = record["type"].as_str() else { return };
    let name = if kind.starts_with("unknown") { "unknown_payload" } else { kind };
    let schema = &SCHEMA["$defs"][name];
    assert!(schema.is_object(), "the schema has no record of type {kind}: {line}");
    if let Err(wrong) = conforms(&record, schema, "") {
        panic!("not as its schema says: {wrong}\n{line}");
    }
}

/// Checks a value against the keywords that the schema uses; it fails on others. Members that are not
/// listed are wrong here, unless the schema allows them by name.
fn conforms(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    let members = schema.as_object().expect("a schema is an object");
    for (keyword, wanted) in members {
        let holds = match keyword.as_str() {
            "title" | "required" | "additionalProperties" => true,
            "$ref" => {
                let name = wanted.as_str().and_then(|it| it.strip_prefix("#/$defs/")).unwrap();
                conforms(value, &SCHEMA["$defs"][name], at)?;
                true
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|it| it >= wanted.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|it| matches(it, wanted.as_str().unwrap())),
            "type" => match wanted.as_str().unwrap() {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("no type: {other}"),
            },
            "anyOf" => {
                let all = wanted.as_array().unwrap().iter();
                let tried: Vec<_> = all.map(|it| conforms(value, it, at)).collect();
                if !tried.iter().any(Result::is_ok) {
                    // The alternative that went furthest says most.
                    let wrong = tried.into_iter().filter_map(Result::err);
                    return Err(wrong.max_by_key(|it| it.matches('.').count()).unwrap());
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    conforms(item, wanted, &format!("{at}[{index}]"))?;
                }
                true
            }
            "properties" => {
                let none = Map::new();
                let object = value.as_object().unwrap_or(&none);
                for (name, value) in object {
                    match wanted.get(name) {
                        Some(schema) => conforms(value, schema, &format!("{at}.{name}"))?,
                        None if members.contains_key("additionalProperties") => {}
                        None => return Err(format!("{at}.{name}: there is no such member")),
                    }
                }
                let required = members.get("required").and_then(Value::as_array);
                for name in required.into_iter().flatten().filter_map(Value::as_str) {
                    if value.is_object() && !object.contains_key(name) {
                        return Err(format!("{at}.{name}: missing"));
                    }
                }
                true
            }
            other => panic!("a keyword that the test does not know: {other}"),
        };
        if !holds {
            return Err(format!("{at}: {keyword} is {wanted}, found {value}"));
        }
    }
    Ok(())
}

/// The patterns that the schema uses.
fn matches(text: &str, pattern: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    let hex = text.strip_prefix("0x").filter(|it| digits(it));
    match pattern {
        "^0x([0-9a-f]{2})*$" => hex.is_some_and(|it| it.len() % 2 == 0),
        "^[0-9]+$" => !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()),
        "^unknown" => text.starts_with("unknown"),
        _ => {
            let count = pattern.strip_prefix("^0x[0-9a-f]{").and_then(|it| it.strip_suffix("}$"));
            let count: usize = count.and_then(|it| it.parse().ok()).expect("a pattern");
            hex.is_some_and(|it| it.len() == count)
        }
    }
}

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

//! Whether a record is as `status-inspect schema` says.

use std::sync::LazyLock;

use serde_json::{Map, Value};

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

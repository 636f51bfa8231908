//! Published sets of vectors that nobody in this project made.
//!
//! `fixtures/foreign` holds those whose licences permit a copy. `STATUSKIT_FOREIGN` names a folder
//! with all of them; a file there replaces the copy. Tests read the rest only from that folder,
//! and say so if they can't.
//!
//! Every case passes, or stands in a list of differences with its reason. A listed case that
//! passes is an error, too.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod account;
mod crypto;
mod discovery;
mod wire;

use std::{env, fs, path::Path};

use serde_json::Value;

/// What a case came to. The text says what is wrong.
type Outcome = Result<(), String>;

/// Runs `check` over each case of a file. `differences` are ids with the reason why they differ.
fn each(file: &str, differences: &[(&str, &str)], check: impl Fn(&Value) -> Outcome) {
    let Some(set) = read(file) else {
        eprintln!("{file}: skipped; STATUSKIT_FOREIGN does not name a folder that has it");
        return;
    };
    let cases = set["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{file}: no case");
    let mut wrong = Vec::new();
    for case in cases {
        let id = match &case["id"] {
            Value::String(id) => id.clone(),
            other => other.to_string(),
        };
        let listed = differences.iter().find(|(listed, _)| *listed == id);
        match (check(case), listed) {
            (Err(problem), None) => wrong.push(format!("{id}: {problem}")),
            (Ok(()), Some((_, reason))) => {
                wrong.push(format!("{id}: passes, in spite of: {reason}"))
            }
            _ => {}
        }
    }
    let count = cases.len();
    assert!(wrong.is_empty(), "{file}: {} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{file}: {count} cases");
}

fn read(file: &str) -> Option<Value> {
    let folder = env::var_os("STATUSKIT_FOREIGN");
    let from_folder = folder.and_then(|folder| fs::read(Path::new(&folder).join(file)).ok());
    let copies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/foreign");
    let text = from_folder.or_else(|| fs::read(Path::new(copies).join(file)).ok())?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn ensure(holds: bool, problem: &str) -> Outcome {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Outcome {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("{}: no text {member}", case["id"]))
}

/// Reads a member of hex digits, with or without `0x`.
fn bytes(case: &Value, member: &str) -> Vec<u8> {
    let digits = text(case, member);
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).unwrap()
}

fn number(case: &Value, member: &str) -> u64 {
    case[member].as_u64().unwrap_or_else(|| panic!("{}: no number {member}", case["id"]))
}

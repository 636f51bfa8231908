//! Published sets of the Ethereum standards, which nobody in this project made.
//!
//! `fixtures/foreign` holds those whose licences permit a copy. `STATUSKIT_FOREIGN` names a folder
//! with all of them; a file there replaces the copy. The sets of keys, hashes and wire formats are
//! run by `cargo test -p statuskit-core foreign`.
//!
//! Every case passes, or differs by a rule that names its reason. A case that should differ and
//! passes is an error, too.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod abi;
mod contents;
mod links;
mod names;
mod transactions;
mod typed_data;

use std::{env, fs, path::Path};

use serde_json::Value;

/// What a case came to. The text says what is wrong.
type Outcome = Result<(), String>;

/// Runs `check` over each case of a file. `differs` gives the reason why a case differs by design.
fn each(
    file: &str,
    differs: impl Fn(&Value) -> Option<&'static str>,
    check: impl Fn(&Value) -> Outcome,
) {
    let Some(set) = read(file) else {
        eprintln!("{file}: skipped; STATUSKIT_FOREIGN does not name a folder that has it");
        return;
    };
    let cases = set["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{file}: no case");
    let (mut wrong, mut different) = (Vec::new(), 0);
    for case in cases {
        let id = &case["id"];
        match (check(case), differs(case)) {
            (Err(problem), None) => wrong.push(format!("{id}: {problem}")),
            (Ok(()), Some(reason)) => wrong.push(format!("{id}: passes, in spite of: {reason}")),
            (Err(_), Some(_)) => different += 1,
            (Ok(()), None) => {}
        }
    }
    let count = cases.len();
    assert!(wrong.is_empty(), "{file}: {} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{file}: {count} cases, {different} differ by design");
}

fn read(file: &str) -> Option<Value> {
    let folder = env::var_os("STATUSKIT_FOREIGN");
    let from_folder = folder.and_then(|folder| fs::read(Path::new(&folder).join(file)).ok());
    let copies = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/foreign");
    let text = from_folder.or_else(|| fs::read(Path::new(copies).join(file)).ok())?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Nothing differs.
fn none(_: &Value) -> Option<&'static str> {
    None
}

fn ensure(holds: bool, problem: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(problem.into()) }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Outcome {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("{}: no text {member}", case["id"]))
}

/// Reads a member of hex digits, with or without `0x`.
fn bytes(case: &Value, member: &str) -> Vec<u8> {
    unhex(text(case, member))
}

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).unwrap()
}

//! The tools, as users type them: pipelines, exit codes, errors, examples, secrets.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod account;
mod captures;
mod chat;
mod config;
mod conversation;
mod docs;
mod eip;
mod eip_names;
mod errors;
mod examples;
mod faults;
mod group;
mod history;
mod inspect;
mod inspect_serve;
mod inspect_tools;
mod mailserver;
mod network;
mod payload;
mod people;
mod pipelines;
mod reader;
mod schema;
mod session;
mod share;
mod shell;
mod unprinted;
mod waku;

use serde_json::Value;

/// Parses output into records, one per line, which must be as their schema says.
fn records(output: &str) -> Vec<Value> {
    output
        .lines()
        .inspect(|line| shell::conforms::check(line))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no record: {line}")))
        .collect()
}

/// Parses output that is a single record.
fn record(output: &str) -> Value {
    let mut records = records(output);
    assert_eq!(records.len(), 1, "{output}");
    records.remove(0)
}

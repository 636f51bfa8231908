//! The archive in PostgreSQL, against a live server.
//!
//! `STATUSKIT_POSTGRES=postgres://user@host/database cargo test --test postgres` runs it against any
//! server that speaks the protocol; `tests/postgres/run` starts Debian's. Each test has its own
//! tables, and removes them.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/harness.rs"]
mod harness;
#[path = "postgres/import.rs"]
mod import;
#[path = "postgres/model.rs"]
mod model;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/reading.rs"]
mod reading;
#[allow(dead_code, reason = "the tests of the tools use the rest")]
#[path = "cli/shell.rs"]
mod shell;
#[cfg(feature = "tls")]
#[path = "postgres/tls.rs"]
mod tls;
#[path = "postgres/tool.rs"]
mod tool;
#[path = "postgres/writing.rs"]
mod writing;

/// The only record of some output.
fn record(output: &str) -> serde_json::Value {
    serde_json::from_str(output).unwrap_or_else(|_| panic!("not one record: {output}"))
}

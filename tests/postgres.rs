//! The archive in PostgreSQL, against a live server.
//!
//! `STATUSKIT_POSTGRES=postgres://user@host/database cargo test --features postgres-tests --test
//! postgres` runs it against any server that speaks the protocol; `tests/postgres/run` starts one
//! of Debian's. Each test has tables of its own, and removes them.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/harness.rs"]
mod harness;
#[path = "postgres/model.rs"]
mod model;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/reading.rs"]
mod reading;
#[path = "postgres/writing.rs"]
mod writing;

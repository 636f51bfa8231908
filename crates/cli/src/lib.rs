//! The tools: arguments in, records out. No protocol logic; that is in the library.
//!
//! Each tool is one file with its clap structures and a `run`. The same code serves the binary
//! `status-TOOL` and the subcommand `statuskit TOOL`.

mod account;
mod chat;
mod codes;
mod config;
mod context;
mod conversation;
mod demo;
mod discover;
mod eip;
mod envelope;
mod error;
mod examples;
mod explain;
mod files;
mod filter;
mod fixtures;
mod generate;
mod group;
mod identity;
mod input;
mod inspect;
mod interrupt;
mod keygen;
mod keys;
mod lines;
mod mailserver;
mod mining;
mod net;
mod node;
mod nodes;
mod output;
mod password;
mod payload;
mod picture;
mod pow;
mod printer;
mod progress;
mod receive;
mod records;
mod redact;
mod rpc;
mod running;
mod send;
mod session;
mod signals;
mod sniff;
mod state;
mod strangers;
mod text;
mod time;
pub mod tools;
mod topic;

pub use codes::{Explanation, explanations};
use context::Context;
use error::{CliError, Exit, Result, Stop};
pub use inspect::schema::all as schema;

/// What happened to one record of a stream: what concerns only this record is reported, and the
/// stream goes on.
fn absorb(cx: &mut Context, done: Result<()>, line: u64) -> Result<()> {
    match done {
        Err(Stop::Error(error)) if matches!(error.exit, Exit::Malformed | Exit::Negative) => {
            cx.report(if error.line.is_some() { error } else { error.line(line) })
        }
        other => other,
    }
}

/// Nothing came through the pipe: nothing is done, and the exit code is 1.
fn empty_input(expected: &str) -> Stop {
    CliError::new(
        "input.empty",
        Exit::Negative,
        format!("standard input is empty; expected {expected}"),
    )
    .into()
}

//! `status-mailserver`: serves a mailserver, asks others, and maintains archives.
//!
//! | what | where |
//! | --- | --- |
//! | which store: a directory, or PostgreSQL | [`store`] |
//! | `serve` | [`serve`], [`report`], [`http`] |
//! | `query`, `sync`, `probe` | [`query`], [`sync`], [`probe`], [`ask`] |
//! | history and the live stream as one | [`join`] |
//! | the password or key of a server | [`access`] |
//! | `import`, `export` | [`transfer`] |
//! | which envelopes are too old to copy | [`retention`] |
//! | `stats` | [`stats`] |
//! | `prune` | [`prune`] |
//! | `check` | [`check`] |

mod access;
pub mod ask;
mod check;
mod http;
pub mod join;
mod probe;
mod prune;
mod query;
mod report;
mod retention;
mod select;
mod serve;
mod stats;
mod store;
mod sync;
mod transfer;

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};
pub use store::archive_error;

/// Run a mailserver, ask others for envelopes, maintain an archive
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ timeout -s TERM 1 status-mailserver serve --listen 127.0.0.1:0 --store ./archive --password status-offline-inbox || test $? = 124
  $ status-mailserver query --peer \"$MAILSERVER\" --password status-offline-inbox --chat status --from 24h | status-envelope open --chat status
  $ status-mailserver stats --store ./archive")]
pub struct MailserverArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeCommand>),
    Query(Box<query::QueryCommand>),
    Sync(Box<sync::SyncCommand>),
    Probe(Box<probe::ProbeCommand>),
    Stats(stats::StatsCommand),
    Import(transfer::ImportCommand),
    Export(transfer::ExportCommand),
    Prune(prune::PruneCommand),
    Check(check::CheckCommand),
}

pub fn run(args: &MailserverArgs, cx: &mut Context) -> Result<()> {
    if !matches!(args.command, Command::Query(_) | Command::Export(_)) {
        cx.format().require_records()?;
    }
    match &args.command {
        Command::Serve(command) => command.run(cx),
        Command::Query(command) => command.run(cx),
        Command::Sync(command) => command.run(cx),
        Command::Probe(command) => command.run(cx),
        Command::Stats(command) => command.run(cx),
        Command::Import(command) => command.run(cx),
        Command::Export(command) => command.run(cx),
        Command::Prune(command) => command.run(cx),
        Command::Check(command) => command.run(cx),
    }
}

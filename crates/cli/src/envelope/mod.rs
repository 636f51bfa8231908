//! `status-envelope`: seal, open, show, check.

pub mod check;
mod open;
mod seal;
mod show;

use clap::{Args, Subcommand};
use statuskit_core::envelope::Envelope;

use crate::{
    context::{Context, stdin_items},
    error::Result,
    records::envelopes_of,
};
pub use seal::{MessageArgs, MessageSource, Sealer, ToSeal, chat_text, compose_error};

/// Seal messages into envelopes, open them, take them apart, check them as a peer would
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo hello | status-envelope seal --chat status | status-envelope open --chat status
  $ echo -n hi | status-envelope seal --password secret --pow 0.2 | status-envelope check
  $ echo -n hi | status-envelope seal --password secret --output hex | status-envelope show")]
pub struct EnvelopeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seal a message: the TEXT, or all of standard input
    Seal(seal::SealCommand),
    /// Open envelopes from standard input; exit 1 if none could be opened
    Open(open::OpenCommand),
    /// Take envelopes apart: every field with its offset and length
    Show,
    /// Apply every rule of a receiving peer, one by one; exit 1 if an envelope fails one
    Check(check::CheckCommand),
}

pub fn run(args: &EnvelopeArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Seal(command) => command.run(cx),
        Command::Open(command) => command.run(cx),
        Command::Show => show::run(cx),
        Command::Check(command) => command.run(cx),
    }
}

/// Runs `work` on each envelope of standard input. A bad record is reported, and the rest goes
/// on; no record at all is an error.
pub fn each_envelope(
    cx: &mut Context,
    mut work: impl FnMut(&mut Context, Envelope, u64) -> Result<()>,
) -> Result<()> {
    let mut items = stdin_items().reading_lists();
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        let envelopes = item.and_then(|item| Ok((envelopes_of(&item)?, item.line)));
        match envelopes {
            Err(error) => cx.report(error)?,
            Ok((envelopes, line)) => {
                for envelope in envelopes {
                    let done = work(cx, envelope, line);
                    super::absorb(cx, done, line)?;
                }
            }
        }
    }
    if any { Ok(()) } else { Err(super::empty_input("envelopes")) }
}

//! `status-envelope`: seal, open, show, check.

pub mod check;
mod open;
mod seal;
mod show;

use clap::{Args, Subcommand};
use statuskit_core::{envelope::Envelope, reader::Wants, rlp::Reader};

use crate::{
    context::Context,
    error::{CliError, Result},
    input::{InputArgs, Item},
    records::envelopes_of,
};
pub use seal::{MessageArgs, MessageSource, Sealer, ToSeal, chat_text, compose_error, warn_of_ttl};

/// Seal messages into envelopes, open them, take them apart, check them as a peer would
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo hello | status-envelope seal --chat status | status-envelope open --chat status
  $ echo -n hi | status-envelope seal --password secret --pow 0.2 | status-envelope check
  $ echo -n hi | status-envelope seal --password secret --output hex | status-envelope show
  $ status-envelope show 0xda845e80cf6f0f84cd4237608d0102030405060708090a0b0c0d01
  $ echo hi | status-envelope seal --chat status --output raw | od -An -tx1 -v | status-envelope open --chat status")]
pub struct EnvelopeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seal a message: the TEXT, or all of standard input
    #[command(after_help = "\
Examples:
  $ echo hello | status-envelope seal --chat status --identity me.key --pow 0.002
  $ status-envelope seal hi --password secret --seed my-test --now 2020-03-29T12:22:26Z --output hex")]
    Seal(seal::SealCommand),
    /// Open envelopes; exit 1 if none could be opened
    #[command(after_help = "\
Examples:
  $ echo hello | status-envelope seal --chat status | status-envelope open --chat status
  $ echo hello | status-envelope seal --chat status | status-envelope open --chat status --contains HELLO --sort clock")]
    Open(open::OpenCommand),
    /// Take envelopes apart: every field with its offset and length
    #[command(after_help = "\
Examples:
  $ echo hello | status-envelope seal --chat status | status-envelope show --output text")]
    Show(InputArgs),
    /// Apply every rule of a receiving peer, one by one; exit 1 if an envelope fails one
    #[command(after_help = "\
Examples:
  $ status-envelope seal hi --chat status --pow 0.01 | status-envelope check
  $ status-envelope seal hi --topic 0x01020304 --password p --pow 0.01 | status-envelope check --interest 0x01020304
  $ status-envelope seal hi --chat status --pow 0.01 --now 2020-03-29 | status-envelope check --now sent")]
    Check(check::CheckCommand),
}

pub fn run(args: &EnvelopeArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Seal(command) => command.run(cx),
        Command::Open(command) => command.run(cx),
        Command::Show(inputs) => show::run(inputs, cx),
        Command::Check(command) => command.run(cx),
    }
}

/// What is looked for where envelopes are read.
pub fn wanted() -> Wants {
    Wants::whole(|bytes| {
        let mut reader = Reader::new(bytes);
        // One, or several behind each other.
        while Envelope::read(&mut reader).is_ok() {
            if reader.is_empty() {
                return true;
            }
        }
        false
    })
}

/// Runs `work` on each envelope of the input. A bad record is reported, and the rest goes on; no
/// record at all is an error.
pub fn each_envelope(
    cx: &mut Context,
    inputs: &InputArgs,
    work: impl FnMut(&mut Context, Envelope, u64) -> Result<()>,
) -> Result<()> {
    each_envelope_or(cx, inputs, work, |_, _, error| Err(error.into()))
}

/// Runs `work` on each envelope of the input, and `other` on what is none, with the error that
/// says why.
pub fn each_envelope_or(
    cx: &mut Context,
    inputs: &InputArgs,
    mut work: impl FnMut(&mut Context, Envelope, u64) -> Result<()>,
    mut other: impl FnMut(&mut Context, &Item, CliError) -> Result<()>,
) -> Result<()> {
    let mut items = inputs.open(wanted(), true)?;
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                cx.report(error)?;
                continue;
            }
        };
        cx.note_taken(&item);
        match envelopes_of(&item) {
            Err(error) => {
                let done = other(cx, &item, error);
                super::absorb(cx, done, item.line)?;
            }
            Ok(envelopes) => {
                for envelope in envelopes {
                    let done = work(cx, envelope, item.line);
                    super::absorb(cx, done, item.line)?;
                }
            }
        }
    }
    if any { Ok(()) } else { Err(super::empty_input("envelopes")) }
}

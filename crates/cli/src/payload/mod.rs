//! `status-payload`: encode, decode, sign and check every message of Status clients.

mod check;
mod decode;
mod encode;
pub mod record;
mod show;
mod sign;
mod template;

use clap::{Args, Subcommand};
use statuskit_core::payload::{PayloadError, PayloadType};

use crate::{
    context::{Context, stdin_items},
    error::{CliError, Exit, Result},
};
use record::Input;

/// Payloads: encode any message from JSON or flags; decode, sign and check them
///
/// A record has the type of the message and its fields, by their names in the specification. A
/// field whose name is also that of a member of the record (type, message_id, …) gets an
/// underscore: type_, message_id_.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload template chat --set text=hi --set chat_id=status | status-payload encode | status-payload decode
  $ status-payload encode contact --set ens_name=bob.eth --identity me.key | status-payload verify
  $ echo hi | status-envelope seal --chat status | status-envelope open --chat status | status-payload check")]
pub struct PayloadArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Template(template::TemplateCommand),
    Encode(encode::EncodeCommand),
    Decode(decode::DecodeCommand),
    Sign(sign::SignCommand),
    Verify(sign::VerifyCommand),
    Id(sign::IdCommand),
    Check(check::CheckCommand),
    Show(show::ShowCommand),
    Types(template::TypesCommand),
}

pub fn run(args: &PayloadArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Template(command) => command.run(cx),
        Command::Encode(command) => command.run(cx),
        Command::Decode(command) => command.run(cx),
        Command::Sign(command) => command.run(cx),
        Command::Verify(command) => command.run(cx),
        Command::Id(command) => command.run(cx),
        Command::Check(command) => command.run(cx),
        Command::Show(command) => command.run(cx),
        Command::Types(command) => command.run(cx),
    }
}

/// Runs `work` on each payload of standard input. Reports a malformed record and continues; empty
/// input is an error.
fn each_payload(
    cx: &mut Context,
    mut work: impl FnMut(&mut Context, Input, u64) -> Result<()>,
) -> Result<()> {
    let mut items = stdin_items();
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        match item.and_then(|item| Ok((Input::from_item(&item)?, item.line))) {
            Err(error) => cx.report(error)?,
            Ok((input, line)) => {
                let done = work(cx, input, line);
                super::absorb(cx, done, line)?;
            }
        }
    }
    if any { Ok(()) } else { Err(super::empty_input("payloads")) }
}

/// Parses the name of a type.
fn parse_type(text: &str) -> std::result::Result<&'static PayloadType, String> {
    PayloadType::search(text)
        .ok_or_else(|| format!("unknown type of payloads {text:?}; see status-payload types"))
}

/// Returns the error for bytes that are no payload.
pub fn payload_error(error: &PayloadError) -> CliError {
    let shown = CliError::new(error.code(), Exit::Malformed, error.to_string());
    match error {
        PayloadError::Protobuf { error, .. } => shown.offset(error.at),
        _ => shown,
    }
}

//! `status-payload`: encode, decode, sign and check every message of Status clients.

mod check;
mod decode;
mod encode;
pub mod record;
mod show;
mod sign;
mod template;

use clap::{Args, Subcommand};
use clap_complete::engine::CompletionCandidate;
use statuskit_core::{
    payload::{PayloadError, PayloadMessage, PayloadType, types::TYPES},
    reader::Wants,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    input::InputArgs,
    sniff,
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

/// What is looked for where payloads are read: wrappers, or messages of one type.
pub fn wanted(kind: Option<&'static PayloadType>) -> Wants {
    match kind {
        None => Wants::whole(sniff::is_payload),
        Some(kind) => Wants::whole(|bytes| {
            !bytes.is_empty() && PayloadMessage::decode(kind.number, bytes).is_ok()
        }),
    }
}

/// Runs `work` on each payload of the input. Reports a malformed record and continues; empty
/// input is an error.
fn each_payload(
    cx: &mut Context,
    inputs: &InputArgs,
    kind: Option<&'static PayloadType>,
    mut work: impl FnMut(&mut Context, Input, u64) -> Result<()>,
) -> Result<()> {
    let mut items = inputs.open(wanted(kind), false)?;
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        let read = item.and_then(|item| {
            cx.note_taken(&item);
            Ok((Input::from_item(&item)?, item.line, item.left_out))
        });
        match read {
            Err(error) => cx.report(error)?,
            Ok((input, line, left_out)) => {
                let bytes = input.bytes.clone();
                let done = work(cx, input, line).map_err(|stop| match stop {
                    Stop::Error(error) if error.exit == Exit::Malformed => {
                        Stop::Error(no_payload(&bytes, left_out, error))
                    }
                    other => other,
                });
                super::absorb(cx, done, line)?;
            }
        }
    }
    if any { Ok(()) } else { Err(super::empty_input("payloads")) }
}

/// Why bytes are no payload: what they are instead, or that they were cut.
fn no_payload(bytes: &[u8], left_out: Option<usize>, error: CliError) -> CliError {
    if let Some((what, hint)) = sniff::other_than_payload(bytes) {
        let message = format!("this is {what}, not a payload");
        return CliError::new("input.kind", Exit::Malformed, message).hint(hint);
    }
    match left_out {
        Some(_) if error.hint.is_none() => error.hint("the value was cut before it came here"),
        _ => error,
    }
}

/// Returns the names of types, for completions.
fn type_names() -> Vec<CompletionCandidate> {
    TYPES.iter().map(|kind| CompletionCandidate::new(kind.name)).collect()
}

/// Parses the name of a type.
fn parse_type(text: &str) -> std::result::Result<&'static PayloadType, String> {
    PayloadType::search(text).ok_or_else(|| {
        format!(
            "unknown type of payloads {}; see status-payload types",
            statuskit_core::text::quote(text)
        )
    })
}

/// Returns the error for bytes that are no payload.
pub fn payload_error(error: &PayloadError) -> CliError {
    let shown = CliError::new(error.code(), Exit::Malformed, error.to_string());
    match error {
        PayloadError::Protobuf { error, .. } => shown.offset(error.at),
        _ => shown,
    }
}

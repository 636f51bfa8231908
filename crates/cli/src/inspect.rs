//! `status-inspect`: what bytes are, layer by layer.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use statuskit_inspect::{InspectError, Inspection, KINDS, Keys, Options, inspect};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, parse_text},
    keys::{OpenArgs, read_identity},
    lines::Lines,
    output::{Format, Record},
};

/// Take any bytes apart: what they are, every field, what is inside, and why a client would refuse
/// them
///
/// Reads hex, base64, binary, records of any tool, and texts such as links, keys and node URLs; from
/// arguments, or one per line from standard input. Each input gives one record of type `inspection`.
/// Keys open what is encrypted; without the right one, the record says which is missing.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  $ status-inspect status-im://chat/public/status
  $ echo hi | status-envelope seal --chat status | status-inspect --chat status --output text
  $ echo hi | status-envelope seal --chat status | status-inspect --hexdump --output text
  $ status-inspect kinds"
)]
pub struct InspectArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Bytes as hex or base64, or a text such as a link [default: standard input]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Read the input as this kind only; `status-inspect kinds` lists them
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<String>,
    /// File with the private key of a node, for RLPx handshakes. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    node_key: Vec<PathBuf>,
    /// Show the bytes as hex with the names of their fields
    #[arg(long)]
    hexdump: bool,
    #[command(flatten)]
    keys: OpenArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can be recognised
    Kinds,
}

pub fn run(args: &InspectArgs, cx: &mut Context) -> Result<()> {
    cx.format().require_records()?;
    match &args.command {
        Some(Command::Kinds) => kinds(cx),
        None => args.run(cx),
    }
}

fn kinds(cx: &mut Context) -> Result<()> {
    KINDS.iter().try_for_each(|(kind, about)| {
        let record = Record::new("kind").with("kind", *kind).with("about", *about);
        cx.emit(&record, |_| format!("{kind:28} {about}\n"))
    })
}

impl InspectArgs {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let mut options = Options::default();
        options.kind = self.kind.clone();
        // Without a time that was given, an old envelope is checked as at its own.
        options.now = cx.is_clock_fixed().then(|| cx.now());
        options.keys = self.keys()?;
        let mut lines = 0;
        if self.inputs.is_empty() {
            let mut input = Lines::from_stdin();
            if input.is_binary()? {
                let bytes = input.rest(crate::input::MAX_INPUT)?;
                lines += 1;
                self.show(cx, inspect(&bytes, &options), 1)?;
            } else {
                while let Some(line) = input.next()? {
                    lines += 1;
                    let number = input.number();
                    match line {
                        Ok(line) => self.text(cx, line.trim(), &options, number)?,
                        Err(error) => cx.report(error)?,
                    }
                }
            }
        } else {
            for (number, input) in (1..).zip(&self.inputs) {
                lines += 1;
                self.text(cx, input.trim(), &options, number)?;
            }
        }
        if lines == 0 { Err(crate::empty_input("bytes to inspect")) } else { Ok(()) }
    }

    fn keys(&self) -> Result<Keys> {
        let mut keys = Keys::default();
        keys.ring = self.keys.key_ring()?;
        for path in &self.node_key {
            keys.nodes.push(read_identity(path, "--node-key")?);
        }
        Ok(keys)
    }

    /// Inspects a text: as it stands, or the bytes that it spells.
    fn text(&self, cx: &mut Context, text: &str, options: &Options, line: u64) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let as_text = inspect(text.as_bytes(), options);
        if as_text.as_ref().is_ok_and(|it| it.certainty() == statuskit_inspect::Certainty::Certain)
        {
            return self.show(cx, as_text, line);
        }
        match parse_text(text.as_bytes()) {
            Ok(Content::Bytes(bytes)) => self.show(cx, inspect(&bytes, options), line),
            Ok(Content::Record(members)) => {
                let raw = members.get("raw").and_then(Value::as_str);
                let bytes = raw.and_then(|raw| hex::decode(raw.trim_start_matches("0x")).ok());
                match bytes {
                    Some(bytes) => self.show(cx, inspect(&bytes, options), line),
                    None => cx.report(
                        CliError::new(
                            "inspect.no_bytes",
                            Exit::Negative,
                            "the record has no bytes",
                        )
                        .hint("records with a member `raw` have some")
                        .line(line),
                    ),
                }
            }
            Err(error) => cx.report(error.line(line)),
        }
    }

    fn show(
        &self,
        cx: &mut Context,
        result: std::result::Result<Inspection, InspectError>,
        line: u64,
    ) -> Result<()> {
        match result {
            Ok(inspection) => {
                let Value::Object(members) = inspection.to_json() else {
                    unreachable!("a record is an object")
                };
                let kind = members.into_iter().filter(|(name, _)| name != "type");
                let record = kind.fold(Record::new("inspection"), |record, (name, value)| {
                    record.with(&name, value)
                });
                if self.hexdump && cx.format() == Format::Text {
                    let colour = cx.has_colour();
                    return cx.emit(&record, |_| inspection.to_hexdump(colour));
                }
                cx.emit(&record, |_| inspection.to_string())
            }
            Err(error @ InspectError::NoSuchKind(_)) => {
                Err(CliError::usage(error.to_string()).field("--as").into())
            }
            Err(error) => {
                let shown =
                    CliError::new(error.code(), Exit::Negative, error.to_string()).line(line);
                cx.report(shown)
            }
        }
    }
}

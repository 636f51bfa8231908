//! `status-inspect`: what bytes are, layer by layer.

mod diff;
mod given;
mod keys;
mod matching;
mod redact;
pub mod schema;
mod serve;
mod short;

use clap::{Args, Subcommand};
use serde_json::Value;
use statuskit_inspect::{Inspection, KINDS, Options, html};

use crate::{
    context::Context,
    error::{Exit, Result},
    output::{Format, Record},
};
use given::{Found, Objects};
use keys::KeyArgs;

/// Take any bytes apart: what they are, every field, what is inside, and why a client would refuse
/// them
///
/// Reads bytes in any spelling, records of any tool, and texts such as links, keys and node URLs; from
/// arguments, files, or standard input. Each input gives one record of type `inspection`.
/// Keys open what is encrypted; without the right one, the record says which is missing.
/// With `--output html` the results are one page, for a browser or a bug report: the tree is linked
/// with the bytes, and nothing is loaded from elsewhere. It shows all that was opened.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  $ status-inspect status-im://chat/public/status
  $ echo hi | status-envelope seal --chat status | status-inspect --chat status --output text
  $ echo hi | status-envelope seal --chat status | status-inspect --hexdump --output text
  $ status-inspect --output html status-im://chat/public/status > report.html
  $ seq 3 | status-envelope seal --chat x --lines | status-inspect --short
  $ status-inspect kinds"
)]
pub struct InspectArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Bytes in any spelling, a text such as a link, or a file [default: standard input]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Read the input as this kind only; `status-inspect kinds` lists them
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<String>,
    /// Show the bytes as hex with the names of their fields
    #[arg(long)]
    hexdump: bool,
    /// List envelopes only, by topic and hash, with the key of the topic; for millions of lines
    #[arg(long, conflicts_with_all = ["kind", "hexdump"])]
    short: bool,
    /// Open the envelopes of --short as well: who signed, and how long the payload is
    #[arg(long, requires = "short")]
    open: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// The keys at hand.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can be recognised
    #[command(after_help = "Examples:\n  $ status-inspect kinds --output text")]
    Kinds,
    Match(matching::MatchArgs),
    Diff(diff::DiffArgs),
    Redact(redact::RedactArgs),
    Schema(schema::SchemaArgs),
    Serve(serve::ServeArgs),
}

pub fn run(args: &InspectArgs, cx: &mut Context) -> Result<()> {
    match (cx.format(), &args.command) {
        (Format::Html, None) | (_, Some(Command::Redact(_))) => {}
        (format, _) => format.require_records()?,
    }
    match &args.command {
        Some(Command::Kinds) => kinds(cx),
        Some(Command::Match(args)) => matching::run(args, cx),
        Some(Command::Diff(args)) => diff::run(args, cx),
        Some(Command::Redact(args)) => redact::run(args, cx),
        Some(Command::Schema(args)) => schema::run(args, cx),
        Some(Command::Serve(args)) => serve::run(args, cx),
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
        let options = self.source.options(self.kind.clone(), cx)?;
        if self.short {
            return short::run(&self.inputs, &options.keys.ring, self.open, cx);
        }
        given::each(&self.inputs, &options, Objects::Peel, cx, |cx, given| match given.found {
            Ok(Found::Inspection(inspection)) => self.show(cx, &inspection),
            Ok(Found::Record(_)) => unreachable!("the bytes of records are inspected"),
            Err(error) if error.exit == Exit::Usage => Err(error.into()),
            Err(error) => cx.report(error),
        })
    }

    fn show(&self, cx: &mut Context, inspection: &Inspection) -> Result<()> {
        if cx.format() == Format::Html {
            return cx.emit_html(html::page_start, &inspection.to_html(), html::PAGE_END);
        }
        let colour = cx.has_colour();
        cx.emit(&inspection_record(inspection), |_| match self.hexdump {
            true => inspection.to_hexdump(colour),
            false => inspection.to_tree(colour),
        })
    }
}

/// The record of an inspection.
fn inspection_record(inspection: &Inspection) -> Record {
    record_of(inspection.to_json())
}

fn record_of(json: Value) -> Record {
    match json {
        Value::Object(members) => Record::from_members(members),
        _ => unreachable!("a record is an object"),
    }
}

impl SourceArgs {
    /// Returns how to inspect, with the keys at hand.
    fn options(&self, kind: Option<String>, cx: &Context) -> Result<Options> {
        let mut options = Options::default();
        options.kind = kind;
        // Without a time that was given, an old envelope is checked as at its own.
        options.now = cx.is_clock_fixed().then(|| cx.now());
        options.keys = self.keys.keys()?;
        Ok(options)
    }
}

//! `status-inspect`: what bytes are, layer by layer.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use statuskit_core::reader::{self, Reader, Wants};
use statuskit_inspect::{
    Certainty, InspectError, Inspection, KINDS, Keys, Options, inspect, inspect_text,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, MAX_INPUT, from_reader, is_record, read_problem},
    keys::{OpenArgs, read_identity},
    lines::Lines,
    output::{Format, Record},
};

/// Take any bytes apart: what they are, every field, what is inside, and why a client would refuse
/// them
///
/// Reads bytes in any spelling, records of any tool, and texts such as links, keys and node URLs; from
/// arguments, files, or standard input. Each input gives one record of type `inspection`.
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
    /// Bytes in any spelling, a text such as a link, or a file [default: standard input]
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
    #[command(after_help = "Examples:\n  $ status-inspect kinds --output text")]
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
        if self.inputs.is_empty() {
            let mut input = Lines::from_stdin();
            if input.is_binary()? {
                let bytes = input.rest(MAX_INPUT)?;
                return self.show(cx, inspect(&bytes, &options), 1);
            }
            let mut texts = Texts::new(self);
            while let Some(line) = input.next()? {
                match line {
                    Ok(line) => texts.line(cx, &line, &options)?,
                    Err(error) => cx.report(error)?,
                }
            }
            texts.end(cx, &options)?;
            let any = texts.any;
            return if any { Ok(()) } else { Err(crate::empty_input("bytes to inspect")) };
        }
        for input in &self.inputs {
            let mut texts = Texts::new(self);
            let file = Path::new(input);
            let text = match file.is_file() {
                false => input.clone().into_bytes(),
                true => read_file(file)?,
            };
            if !reader::begins_as_text(&text) {
                self.show(cx, inspect(&text, &options), 1)?;
                continue;
            }
            for line in String::from_utf8_lossy(&text).lines() {
                texts.line(cx, line, &options)?;
            }
            texts.end(cx, &options)?;
        }
        Ok(())
    }

    fn keys(&self) -> Result<Keys> {
        let mut keys = Keys::default();
        keys.ring = self.keys.key_ring()?;
        for path in &self.node_key {
            keys.nodes.push(read_identity(path, "--node-key")?);
        }
        Ok(keys)
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

    fn record(
        &self,
        cx: &mut Context,
        members: &Map<String, Value>,
        options: &Options,
        line: u64,
    ) -> Result<()> {
        let raw = members.get("raw").and_then(Value::as_str);
        match raw.and_then(|raw| hex::decode(raw.trim_start_matches("0x")).ok()) {
            Some(bytes) => self.show(cx, inspect(&bytes, options), line),
            None => cx.report(
                CliError::new("inspect.no_bytes", Exit::Negative, "the record has no bytes")
                    .hint("records with a member `raw` have some")
                    .line(line),
            ),
        }
    }
}

/// Lines of text: each as it stands, or the bytes that they spell.
struct Texts<'a> {
    args: &'a InspectArgs,
    reader: Reader,
    any: bool,
}

impl<'a> Texts<'a> {
    fn new(args: &'a InspectArgs) -> Self {
        let kind = args.kind.clone();
        // Lines that are nothing by themselves may be one value together.
        let wants = Wants::whole(move |bytes| {
            let mut options = Options::default();
            options.kind = kind.clone();
            inspect(bytes, &options).is_ok_and(|it| it.certainty() != Certainty::Possible)
        });
        Self { args, reader: Reader::new(wants.with_records(is_record)), any: false }
    }

    fn line(&mut self, cx: &mut Context, line: &str, options: &Options) -> Result<()> {
        let text = line.trim();
        self.any |= !text.is_empty();
        let as_text = inspect_text(text, options);
        if as_text.as_ref().is_ok_and(|it| it.certainty() == Certainty::Certain) {
            // What was open before ends here.
            self.reader.line(b"");
            self.take(cx, options)?;
            return self.args.show(cx, as_text, self.reader.number());
        }
        self.reader.line(text.as_bytes());
        self.take(cx, options)
    }

    fn end(&mut self, cx: &mut Context, options: &Options) -> Result<()> {
        self.reader.end();
        self.take(cx, options)
    }

    /// Inspects what is ready.
    fn take(&mut self, cx: &mut Context, options: &Options) -> Result<()> {
        while let Some(item) = self.reader.pop() {
            let item = match item {
                Ok(item) => from_reader(item),
                Err(error) => {
                    cx.report(read_problem(&error))?;
                    continue;
                }
            };
            cx.note_taken(&item);
            match &item.content {
                Content::Bytes(bytes) => self.args.show(cx, inspect(bytes, options), item.line)?,
                Content::Record(members) => self.args.record(cx, members, options, item.line)?,
            }
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_INPUT as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let message = format!("can't read {}: {error}", path.display());
        CliError::new("file.read", Exit::Local, message).field("INPUT")
    })?;
    if bytes.len() > MAX_INPUT {
        let message = format!("{} has more than {} MiB", path.display(), MAX_INPUT >> 20);
        let error = CliError::new("input.too_long", Exit::Malformed, message);
        return Err(error.field("INPUT").into());
    }
    Ok(bytes)
}

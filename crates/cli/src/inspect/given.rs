//! What is inspected: arguments, files or standard input, text or binary, and records of the tools.

use std::{fs::File, io::Read as _, path::Path};

use serde_json::{Map, Value};
use statuskit_core::reader::{self, Reader, Wants};
use statuskit_inspect::{
    Certainty, InspectError, Inspection, Options, inspect, inspect_text, is_capture,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, MAX_INPUT, from_reader, is_record, read_problem},
    lines::Lines,
};

/// One input, read.
pub struct Given {
    /// The line where it began, from 1.
    pub line: u64,
    /// What its bytes were taken from, if that is worth a note.
    pub taken: Option<String>,
    /// What it is. An error concerns this input only, unless it is wrong usage.
    pub found: std::result::Result<Found, CliError>,
}

impl Given {
    /// Takes bytes that are no text.
    fn of_bytes(bytes: &[u8], options: &Options) -> Self {
        Self { line: 1, taken: None, found: found(inspect(bytes, options), 1) }
    }
}

/// What an input is.
pub enum Found {
    /// Bytes, taken apart.
    Inspection(Box<Inspection>),
    /// A JSON object.
    Record(Map<String, Value>),
}

/// What becomes of JSON objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// Their bytes are inspected: of records of the tools the member `raw`.
    Inspect,
    /// The same, and those without bytes are taken as they are.
    InspectOrKeep,
    /// They are inspected themselves, and their bytes as layers of them.
    Peel,
    /// They are taken as they are.
    Keep,
}

/// Reads the arguments, or else standard input, and calls `work` with each input.
pub fn each(
    inputs: &[String],
    options: &Options,
    objects: Objects,
    cx: &mut Context,
    mut work: impl FnMut(&mut Context, Given) -> Result<()>,
) -> Result<()> {
    let mut work = |cx: &mut Context, given: Given| {
        if let Some(taken) = &given.taken {
            cx.note_source(given.line, taken);
        }
        work(cx, given)
    };
    for input in inputs.iter().filter(|input| *input != "-") {
        let path = Path::new(input);
        let bytes = match path.is_file() {
            false => input.clone().into_bytes(),
            true => read_file(path)?,
        };
        read_all(&bytes, options, objects).into_iter().try_for_each(|it| work(cx, it))?;
    }
    if !inputs.is_empty() && !inputs.iter().any(|input| input == "-") {
        return Ok(());
    }
    let mut input = Lines::from_stdin();
    if input.is_binary()? || is_capture(input.peek()?) {
        let bytes = input.rest(MAX_INPUT)?;
        return work(cx, Given::of_bytes(&bytes, options));
    }
    let mut texts = Texts::new(options, objects);
    while let Some(line) = input.next()? {
        match line {
            Ok(line) => texts.line(&line),
            Err(error) => cx.report(error)?,
        }
        texts.take().try_for_each(|it| work(cx, it))?;
    }
    texts.end();
    texts.take().try_for_each(|it| work(cx, it))?;
    if texts.any { Ok(()) } else { Err(crate::empty_input("bytes to inspect")) }
}

/// Reads all of a file, an argument or what was pasted.
pub fn read_all(bytes: &[u8], options: &Options, objects: Objects) -> Vec<Given> {
    if !reader::begins_as_text(bytes) || is_capture(bytes) {
        return vec![Given::of_bytes(bytes, options)];
    }
    let text = String::from_utf8_lossy(bytes);
    // A document of several lines.
    let whole = text.trim();
    if objects == Objects::Peel && whole.starts_with(['{', '[']) && whole.contains('\n') {
        let document = inspect_text(whole, options);
        if document.is_ok() {
            return vec![Given { line: 1, taken: None, found: found(document, 1) }];
        }
    }
    let mut texts = Texts::new(options, objects);
    text.lines().for_each(|line| texts.line(line));
    texts.end();
    texts.take().collect()
}

fn found(
    inspected: std::result::Result<Inspection, InspectError>,
    line: u64,
) -> std::result::Result<Found, CliError> {
    match inspected {
        Ok(inspection) => Ok(Found::Inspection(Box::new(inspection))),
        Err(error @ InspectError::NoSuchKind(_)) => {
            Err(CliError::usage(error.to_string()).field("--as"))
        }
        Err(error) => {
            Err(CliError::new(error.code(), Exit::Negative, error.to_string()).line(line))
        }
    }
}

/// Lines of text: each as it stands, or the bytes that they spell.
struct Texts<'a> {
    options: &'a Options,
    objects: Objects,
    reader: Reader,
    ready: Vec<Given>,
    /// Whether there was anything but blanks.
    any: bool,
}

impl<'a> Texts<'a> {
    fn new(options: &'a Options, objects: Objects) -> Self {
        let kind = options.kind.clone();
        // Lines that are nothing by themselves may be one value together.
        let wants = Wants::whole(move |bytes| {
            let mut options = Options::default();
            options.kind = kind.clone();
            inspect(bytes, &options).is_ok_and(|it| it.certainty() != Certainty::Possible)
        });
        let wants = match objects {
            Objects::Inspect | Objects::InspectOrKeep | Objects::Peel => {
                wants.with_records(is_record)
            }
            Objects::Keep => wants.with_records(|_| true),
        };
        Self { options, objects, reader: Reader::new(wants), ready: Vec::new(), any: false }
    }

    fn line(&mut self, line: &str) {
        let text = line.trim();
        self.any |= !text.is_empty();
        let as_text = inspect_text(text, self.options);
        if as_text.as_ref().is_ok_and(|it| self.is_text(it)) {
            // What was open before ends here.
            self.reader.line(b"");
            self.collect();
            let line = self.reader.number();
            self.ready.push(Given { line, taken: None, found: found(as_text, line) });
            return;
        }
        self.reader.line(text.as_bytes());
        self.collect();
    }

    /// Whether a line is what it says, and not the spelling of bytes.
    fn is_text(&self, found: &Inspection) -> bool {
        match (found.kind(), self.objects) {
            ("statuskit.record", objects) => objects == Objects::Peel,
            ("rpc.message", objects) if objects != Objects::Peel => false,
            ("eip.link" | "devp2p.enr" | "rpc.message", _) => {
                found.certainty() >= Certainty::Likely
            }
            _ => found.certainty() == Certainty::Certain,
        }
    }

    fn end(&mut self) {
        self.reader.end();
        self.collect();
    }

    /// Returns what is ready.
    fn take(&mut self) -> impl Iterator<Item = Given> {
        self.ready.drain(..)
    }

    fn collect(&mut self) {
        while let Some(item) = self.reader.pop() {
            let given = match item.map(from_reader) {
                Err(error) => {
                    let error = read_problem(&error);
                    Given { line: error.line.unwrap_or(0), taken: None, found: Err(error) }
                }
                Ok(item) => {
                    let found = match item.content {
                        Content::Bytes(bytes) => found(inspect(&bytes, self.options), item.line),
                        Content::Record(members) => self.object(members, item.line),
                    };
                    Given { line: item.line, taken: item.taken, found }
                }
            };
            self.ready.push(given);
        }
    }

    fn object(
        &self,
        members: Map<String, Value>,
        line: u64,
    ) -> std::result::Result<Found, CliError> {
        if self.objects == Objects::Keep {
            return Ok(Found::Record(members));
        }
        if self.objects == Objects::Peel {
            let text = serde_json::to_string(&members).unwrap_or_default();
            let document = inspect_text(&text, self.options);
            // Unless its bytes are asked for by their kind.
            if document.is_ok() {
                return found(document, line);
            }
        }
        let raw = members.get("raw").and_then(Value::as_str);
        match raw.and_then(|raw| hex::decode(raw.trim_start_matches("0x")).ok()) {
            Some(bytes) => found(inspect(&bytes, self.options), line),
            None if self.objects == Objects::InspectOrKeep => Ok(Found::Record(members)),
            None => {
                Err(CliError::new("inspect.no_bytes", Exit::Negative, "the record has no bytes")
                    .hint("records with a member `raw` have some")
                    .line(line))
            }
        }
    }
}

pub fn read_file(path: &Path) -> Result<Vec<u8>> {
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

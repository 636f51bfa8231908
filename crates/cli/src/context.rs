//! What every tool has: the common options, the output, the clock and the randomness.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
    mem,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use rand::{
    SeedableRng as _,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::seeded_rng,
    time::{UnixMillis, UnixSeconds},
};

use crate::{
    config,
    error::{CliError, Exit, Result, Stop},
    input::Item,
    output::{Format, Output, Record, escape, json_line},
    redact::redact,
    text::{self, Style, When},
    time::{Now, parse_now},
};

// The options that every tool takes, in every subcommand. (A doc comment would become the help.)
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Format of the results [default: text on a terminal, json in a pipe]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Stop at the first bad record of a stream
    #[arg(long, global = true)]
    pub fail_fast: bool,
    /// Configuration file [default: STATUS_CONFIG, else statuskit/config.toml where the system keeps
    /// such files]
    #[arg(long, visible_alias = "keyring", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Profile of the configuration [default: STATUS_PROFILE, else "default"]
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCandidates::new(config::profile_names))]
    pub profile: Option<String>,
    /// Fix all randomness: the same seed gives the same bytes. For tests only
    #[arg(long, global = true, env = "STATUS_SEED", hide_env_values = true)]
    pub seed: Option<String>,
    /// Take names of public chats exactly as they are, even if no client makes such a chat
    #[arg(long, global = true)]
    pub exact_name: bool,
    /// Fix the clock: UNIX seconds, or a date or time such as 2020-03-29T12:22:26Z. For
    /// `envelope check`, "sent" is the second in which each envelope was sent
    #[arg(long, global = true, env = "STATUS_NOW", value_name = "TIME", value_parser = parse_now)]
    pub now: Option<Now>,
    /// Colours in text
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Show times of messages in the zone of this machine, and name it [default: UTC]
    #[arg(long, global = true)]
    pub local_time: bool,
    /// Print no notes and no progress, only results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The context in which a tool runs.
pub struct Context {
    common: Common,
    output: Output,
    worst: Exit,
    json_errors: bool,
    json_notes: bool,
    /// Kinds of input that have been noted.
    noted: HashSet<String>,
}

/// Notes about the input, at most.
const MAX_NOTED: usize = 16;

impl Context {
    /// Applies the common options.
    pub fn new(common: Common) -> Self {
        let fixed = match common.now {
            Some(Now::At(second)) => Some(second),
            Some(Now::Sent) | None => None,
        };
        text::choose(Style {
            colour: common.color,
            is_local: common.local_time,
            is_quiet: common.quiet,
            now: fixed,
        });
        let output = Output::new(common.output);
        EXACT_NAMES.store(common.exact_name, Ordering::Relaxed);
        let json_errors = json_errors(output.format(), common.output.is_some());
        config::choose(config::Choice {
            file: common.config.clone(),
            profile: common.profile.clone(),
            is_reproducible: common.seed.is_some(),
        });
        // Notes are for people wherever people read them.
        let json_notes = output.format() == Format::Json && !io::stderr().is_terminal();
        let noted = HashSet::new();
        Self { common, output, worst: Exit::Done, json_errors, json_notes, noted }
    }

    /// Writes a result. `text` renders it for people.
    pub fn emit(&mut self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<()> {
        self.show_later();
        self.output.emit(record, text)
    }

    /// Writes a result that may be buffered until [`flush`](Self::flush), for streams that flush
    /// before they wait for input.
    pub fn collect(&mut self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<()> {
        self.show_later();
        self.output.collect(record, text)
    }

    /// Writes a part of a page; before the first one, its `start`.
    pub fn emit_html(
        &mut self,
        start: impl FnOnce() -> String,
        part: &str,
        end: &'static str,
    ) -> Result<()> {
        self.show_later();
        self.output.emit_html(start, part, end)
    }

    /// Returns the bytes of a result, to be written elsewhere.
    pub fn render(&self, record: &Record, text: impl FnOnce(&Record) -> String) -> Result<Vec<u8>> {
        self.output.render(record, text)
    }

    /// Writes the buffered results.
    pub fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    /// Writes lines of results that were rendered before, and empties them.
    pub fn write_lines(&mut self, rendered: &mut Vec<u8>) -> Result<()> {
        self.output.write(rendered)
    }

    /// The format of results.
    pub fn format(&self) -> Format {
        self.output.format()
    }

    /// Whether results may have colours.
    pub fn has_colour(&self) -> bool {
        text::has_colour(&io::stdout())
    }

    /// The configuration file that the command line names.
    pub fn config_file(&self) -> Option<&PathBuf> {
        self.common.config.as_ref()
    }

    /// Whether a seed was given.
    pub fn is_seeded(&self) -> bool {
        self.common.seed.is_some()
    }

    /// The seed, if one was given.
    pub fn seed(&self) -> Option<&str> {
        self.common.seed.as_deref()
    }

    /// Whether the first bad record of a stream is the last.
    pub fn fails_fast(&self) -> bool {
        self.common.fail_fast
    }

    /// Shows an error about one record of a stream. The tool continues unless `--fail-fast` is
    /// given; the exit code reports it at the end.
    pub fn report(&mut self, error: CliError) -> Result<()> {
        if self.common.fail_fast {
            return Err(error.into());
        }
        // On a terminal, the error follows the results before it.
        self.flush()?;
        self.show(&error);
        self.worst = self.worst.max(error.exit);
        Ok(())
    }

    /// Remembers an error that is among the results for the exit code.
    pub fn remember(&mut self, exit: Exit) {
        self.worst = self.worst.max(exit);
    }

    /// Remembers a negative answer for the exit code.
    pub fn negative(&mut self) {
        self.worst = self.worst.max(Exit::Negative);
    }

    /// Prints a note on standard error, as a record where errors are records.
    pub fn note(&self, text: &str) {
        if text::is_quiet() {
            return;
        }
        let text = &redact(text);
        let line = if self.json_notes {
            json_line(&serde_json::json!({ "type": "note", "message": text }))
        } else {
            format!("note: {}", escape(text))
        };
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Shows the notes of places without a context.
    fn show_later(&self) {
        let notes = mem::take(&mut *LATER.lock().unwrap_or_else(PoisonError::into_inner));
        notes.iter().for_each(|text| self.note(text));
    }

    /// Notes what a record of the input was taken from, once for each kind.
    pub fn note_taken(&mut self, item: &Item) {
        if let Some(taken) = &item.taken {
            self.note_source(item.line, taken);
        }
    }

    /// Notes what a line was read as, once for each kind.
    pub fn note_source(&mut self, line: u64, taken: &str) {
        // `result[0].payload: hex, 43 bytes`: the same kind, whatever its numbers.
        let kind = taken.replace(|c: char| c.is_ascii_digit(), "");
        if self.noted.len() < MAX_NOTED && self.noted.insert(kind) {
            self.note(&format!("line {line}: read {taken}"));
        }
    }

    /// Shows an error on standard error.
    pub fn show(&self, error: &CliError) {
        show_error(error, self.json_errors);
    }

    /// How the tool exits after `result`.
    pub fn exit(&mut self, result: Result<()>) -> Exit {
        self.show_later();
        // Results before an error are written as well.
        let flushed = self.output.finish();
        match result.and(flushed) {
            Ok(()) => self.worst,
            // The reader has what it wanted.
            Err(Stop::ClosedPipe) => Exit::Done,
            Err(Stop::Exit(exit)) => self.worst.max(exit),
            Err(Stop::Error(error)) => {
                self.show(&error);
                self.worst.max(error.exit)
            }
        }
    }

    /// The clock, in seconds.
    pub fn now(&self) -> UnixSeconds {
        self.now_ms().to_seconds()
    }

    /// The clock, in milliseconds.
    pub fn now_ms(&self) -> UnixMillis {
        match self.common.now {
            Some(Now::At(second)) => second.to_millis(),
            Some(Now::Sent) | None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis::from_since_epoch(since)
            }
        }
    }

    /// Whether the clock is fixed.
    pub fn is_clock_fixed(&self) -> bool {
        matches!(self.common.now, Some(Now::At(_)))
    }

    /// Whether the clock is that of each envelope.
    pub fn is_clock_of_envelopes(&self) -> bool {
        self.common.now == Some(Now::Sent)
    }

    /// The randomness: from the seed if there is one, else from the system. `purpose` keeps the
    /// streams of different uses apart.
    pub fn rng(&self, purpose: &str) -> Result<ChaCha20Rng> {
        match &self.common.seed {
            Some(seed) => Ok(seeded_rng(&format!("{purpose}\n{seed}"))),
            None => ChaCha20Rng::try_from_rng(&mut SysRng).map_err(|error| {
                let message = format!("the system gives no randomness: {error}");
                CliError::new("system.randomness", Exit::Local, message).into()
            }),
        }
    }

    /// Warns that keys made from a seed are not secret.
    pub fn warn_of_seed(&self) {
        if self.common.seed.is_some() {
            self.note(
                "warning: made from a seed; anyone who knows the seed has the keys. For tests only",
            );
        }
    }
}

/// Whether `--exact-name` was given. Names of chats are read in many places, of which few have a
/// context.
static EXACT_NAMES: AtomicBool = AtomicBool::new(false);

/// Notes from places without a context.
static LATER: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether names of chats are taken as they are.
pub fn takes_exact_names() -> bool {
    EXACT_NAMES.load(Ordering::Relaxed)
}

/// Notes something where there is no context: it is shown with the next result, or at the end.
pub fn note_later(text: String) {
    let mut notes = LATER.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.len() < MAX_NOTED && !notes.contains(&text) {
        notes.push(text);
    }
}

/// Errors are records if JSON was requested, or if only a program reads them.
fn json_errors(format: Format, asked: bool) -> bool {
    format == Format::Json && (asked || !io::stderr().is_terminal())
}

/// Whether errors before there is a context (wrong usage) are records, with the format that was
/// asked for.
pub fn early_errors_are_records(asked: Option<Format>) -> bool {
    json_errors(Output::new(asked).format(), asked.is_some())
}

/// Shows such an error as a record.
pub fn show_early_error(error: &CliError) {
    show_error(error, true);
}

/// Shows wrong usage as text.
pub fn show_usage(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn show_error(error: &CliError, json: bool) {
    let error = &error.redacted();
    let text = match json {
        true => json_line(&error.to_json()),
        false => error.to_text(text::has_colour(&io::stderr())),
    };
    let _ = writeln!(io::stderr(), "{text}");
}

/// Notes on a terminal that input is awaited.
pub fn announce_terminal(text: &str) {
    if io::stdin().is_terminal() {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

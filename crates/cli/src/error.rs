//! Errors for people and programs: what was wrong, where, what to try, and how the tool exits.

use std::{fmt::Write as _, io, process::ExitCode};

use serde_json::{Value, json};

use crate::{
    output::escape,
    redact::redact,
    text::{self, Colour},
};

/// How a tool ends. Documented in every `--help`, in the README, and tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A negative answer: nothing decrypted, nothing matched, a check failed, empty input.
    Negative = 1,
    /// Wrong usage.
    Usage = 2,
    /// Malformed input, also when it was one record of many.
    Malformed = 3,
    /// The network or a peer.
    Network = 4,
    /// Local files and storage.
    Local = 5,
    /// Interrupted by the user.
    Interrupted = 130,
    /// Ended by the system, with SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error as it is shown. Boxed, since every result can carry it: see [`Details`].
#[derive(Debug, Clone)]
pub struct CliError(Box<Details>);

/// The contents of an error.
#[derive(Debug, Clone)]
pub struct Details {
    /// The stable code, such as `envelope.low_pow`; see `statuskit explain`.
    pub code: &'static str,
    /// What was wrong and what was expected.
    pub message: String,
    /// How the tool exits because of it.
    pub exit: Exit,
    /// Line (or number of the record) of the input.
    pub line: Option<u64>,
    /// Byte offset in the decoded record.
    pub offset: Option<usize>,
    /// Name of the member or option.
    pub field: Option<String>,
    /// What to try.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without a place.
    pub fn new(code: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        let details =
            Details { code, message, exit, line: None, offset: None, field: None, hint: None };
        Self(Box::new(details))
    }

    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", Exit::Usage, message)
    }

    /// Says how the tool exits: the same error is wrong usage in an argument, and malformed input
    /// in a stream.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// Says on which line of the input.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    /// Says at which byte.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Says in which member or option.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Describes the secrets of the command line that the error quotes.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut shown = self.clone();
        let details = &mut *shown.0;
        details.message = redact(&details.message);
        details.field = details.field.as_deref().map(redact);
        details.hint = details.hint.as_deref().map(redact);
        shown
    }

    /// For people: one paragraph.
    pub fn to_text(&self, has_colour: bool) -> String {
        let head = format!("error[{}]", self.code);
        let head = if has_colour { text::painted(Colour::Red, &head) } else { head };
        let mut text = format!("{head}: {}", escape(&self.message));
        let mut places = Vec::new();
        places.extend(self.line.map(|line| format!("line {line}")));
        places.extend(self.field.as_ref().map(|field| escape(field)));
        places.extend(self.offset.map(|offset| format!("byte {offset}")));
        if !places.is_empty() {
            let _ = write!(text, "\n  at: {}", places.join(", "));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n  try: {}", escape(hint));
        }
        text
    }

    /// For programs: a record.
    pub fn to_json(&self) -> Value {
        let mut record = json!({ "type": "error", "code": self.code, "message": self.message });
        let members = [
            ("line", self.line.map(Value::from)),
            ("offset", self.offset.map(Value::from)),
            ("field", self.field.clone().map(Value::from)),
            ("hint", self.hint.clone().map(Value::from)),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                record[name] = value;
            }
        }
        record
    }
}

impl std::ops::Deref for CliError {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

/// Why a tool stops before its end.
#[derive(Debug)]
pub enum Stop {
    /// Nobody reads the output any more: success.
    ClosedPipe,
    /// An error that was not shown yet.
    Error(CliError),
    /// Whatever there was to show has been shown.
    Exit(Exit),
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Self {
        Self::Error(error)
    }
}

/// An error of writing results.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        let message = format!("can't write the output: {error}");
        CliError::new("file.write", Exit::Local, message).into()
    }
}

/// The result of a part of a tool.
pub type Result<T> = std::result::Result<T, Stop>;

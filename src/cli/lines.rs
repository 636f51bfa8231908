//! Lines of text from standard input, bounded.

use std::io::{self, BufRead as _, Read as _, StdinLock};

use super::{
    context::announce_terminal,
    error::{CliError, Exit, Result},
};

/// The longest line.
const MAX_LINE: usize = 4 << 20;

/// The lines of standard input.
pub struct Lines {
    input: StdinLock<'static>,
    number: u64,
}

impl Lines {
    /// On a terminal, says that input is awaited.
    pub fn from_stdin() -> Self {
        announce_terminal("reading from the terminal; end with Ctrl-D");
        Self { input: io::stdin().lock(), number: 0 }
    }

    /// The number of the last line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end. An error inside is about one line only.
    pub fn next(&mut self) -> Result<Option<std::result::Result<String, CliError>>> {
        let mut bytes = Vec::new();
        let failed = |error: io::Error| {
            CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
        };
        let mut bounded = (&mut self.input).take(MAX_LINE as u64 + 1);
        if bounded.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.len() > MAX_LINE {
            let message = format!("a line of more than {} MiB", MAX_LINE >> 20);
            return Err(CliError::new("input.too_long", Exit::Malformed, message)
                .line(self.number)
                .into());
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some(std::str::from_utf8(line).map(str::to_owned).map_err(|error| {
            CliError::new("input.utf8", Exit::Malformed, "the line is not UTF-8")
                .line(self.number)
                .offset(error.valid_up_to())
        })))
    }
}

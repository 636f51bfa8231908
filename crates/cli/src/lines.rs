//! Lines of text from standard input, bounded.

use std::io::{self, BufRead as _, BufReader, Read as _, StdinLock};

use crate::{
    context::announce_terminal,
    error::{CliError, Exit, Result},
};

/// The longest line.
const MAX_LINE: usize = 4 << 20;

/// The lines of standard input.
pub struct Lines {
    input: BufReader<StdinLock<'static>>,
    number: u64,
}

impl Lines {
    /// Reads standard input; notes on a terminal that input is awaited.
    pub fn from_stdin() -> Self {
        announce_terminal("reading from the terminal; end with Ctrl-D");
        Self { input: BufReader::with_capacity(64 << 10, io::stdin().lock()), number: 0 }
    }

    /// Whether the next line has yet to come. Results must be flushed before it is waited for.
    pub fn is_waiting(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }

    /// Whether the rest begins as no text does.
    pub fn is_binary(&mut self) -> Result<bool> {
        let first = self.input.fill_buf().map_err(read_error)?.first().copied();
        // Above ASCII, it may be UTF-8.
        Ok(first.is_some_and(|byte| byte < 0x20 && !byte.is_ascii_whitespace()))
    }

    /// The first bytes of the rest, as far as they are there.
    pub fn peek(&mut self) -> Result<&[u8]> {
        Ok(self.input.fill_buf().map_err(read_error)?)
    }

    /// All that is left, as it is.
    pub fn rest(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.input).take(limit as u64 + 1);
        bounded.read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() > limit {
            let message = format!("more than {limit} bytes");
            return Err(CliError::new("input.too_long", Exit::Malformed, message).into());
        }
        Ok(bytes)
    }

    /// The number of the last line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end. An error inside is about one line only.
    pub fn next(&mut self) -> Result<Option<std::result::Result<String, CliError>>> {
        match self.next_within(MAX_LINE)? {
            // What follows is hardly text.
            Some(Err(error)) if error.code == "input.too_long" => Err(error.into()),
            next => Ok(next),
        }
    }

    /// The same for lines up to `limit` bytes; the rest of a longer one is passed over.
    pub fn next_within(
        &mut self,
        limit: usize,
    ) -> Result<Option<std::result::Result<String, CliError>>> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.input).take(limit as u64 + 1);
        if bounded.read_until(b'\n', &mut bytes).map_err(read_error)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.len() > limit {
            if bytes.last() != Some(&b'\n') {
                self.input.skip_until(b'\n').map_err(read_error)?;
            }
            let message = format!("a line of more than {} MiB", limit >> 20);
            let error = CliError::new("input.too_long", Exit::Malformed, message);
            return Ok(Some(Err(error.line(self.number))));
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

fn read_error(error: io::Error) -> CliError {
    CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
}

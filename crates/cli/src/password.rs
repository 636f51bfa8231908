//! Passwords from a file, a file descriptor, the environment, or the terminal. They are never read
//! from arguments.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    context::note_later,
    error::{CliError, Exit, Result, Stop},
};

/// The longest password, in bytes.
const MAX_PASSWORD: usize = 4096;

/// The byte order mark of UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The bytes of a password.
pub type Password = Zeroizing<Vec<u8>>;

/// The source of a key file's password.
#[derive(Debug, Clone, Default, Args)]
pub struct PasswordArgs {
    /// Read the password of a key file from the only line of FILE [default: the environment
    /// variable STATUS_PASSWORD, else a prompt on the terminal]
    #[arg(long, value_name = "FILE", help_heading = "Key files")]
    pub password_file: Option<PathBuf>,
    /// Read the password of a key file from file descriptor N
    #[arg(long, value_name = "N", conflicts_with = "password_file", help_heading = "Key files")]
    pub password_fd: Option<u32>,
}

/// The names of a password in prompts and errors.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What the password is for.
    pub purpose: &'a str,
    /// Its environment variable.
    pub variable: &'static str,
    /// The option for its file.
    pub option: &'static str,
    /// Whether the prompt asks twice.
    pub twice: bool,
}

impl PasswordArgs {
    /// Reads the password of an existing file.
    pub fn existing(&self, purpose: &str) -> Result<Password> {
        let variable = "STATUS_PASSWORD";
        self.read(&Wanted { purpose, variable, option: "--password-file", twice: false })
    }

    /// Reads the password for a new file.
    pub fn new_one(&self, purpose: &str) -> Result<Password> {
        let variable = "STATUS_PASSWORD";
        self.read(&Wanted { purpose, variable, option: "--password-file", twice: true })
    }

    /// Reads the password from the first source that is given.
    pub fn read(&self, wanted: &Wanted<'_>) -> Result<Password> {
        let password = self.read_any(wanted)?;
        if password.is_empty() && wanted.twice {
            let message =
                format!("the password of {} is empty, which protects nothing", wanted.purpose);
            let error = CliError::new("password.empty", Exit::Usage, message);
            return Err(error.field(wanted.option).into());
        }
        Ok(password)
    }

    fn read_any(&self, wanted: &Wanted<'_>) -> Result<Password> {
        if let Some(path) = &self.password_file {
            return from_file(path, wanted.option);
        }
        if let Some(descriptor) = self.password_fd {
            return from_file(Path::new(&format!("/dev/fd/{descriptor}")), wanted.option);
        }
        if let Some(value) = std::env::var_os(wanted.variable) {
            return Ok(Zeroizing::new(value.into_encoded_bytes()));
        }
        let Some(mut terminal) = Terminal::open() else {
            let message = format!("the password of {} is missing", wanted.purpose);
            let hint = format!("{}, {}, or a terminal", wanted.option, wanted.variable);
            return Err(CliError::new("password.missing", Exit::Usage, message).hint(hint).into());
        };
        let password = terminal.ask(&format!("Password of {}: ", wanted.purpose))?;
        if wanted.twice && terminal.ask("Repeat the password: ")? != password {
            return Err(CliError::usage("the two passwords differ").into());
        }
        Ok(password)
    }
}

/// Reads the only line of a file; `-` is standard input.
pub fn from_file(path: &Path, option: &'static str) -> Result<Password> {
    let shown = match path.exists() {
        true => path.display().to_string(),
        // It may be the password itself.
        false => "a file of that name (not shown: it may be the secret itself)".to_owned(),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 2));
    let limit = MAX_PASSWORD as u64 + 2;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let message = format!("can't read the password from {shown}: {error}");
        CliError::new("file.read", Exit::Local, message)
            .field(option)
            .hint("the name of a file, with the password on its only line")
    })?;
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
        note_later(format!(
            "{shown} begins with a byte order mark, which is no part of the password"
        ));
    }
    let kept = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let kept = kept.strip_suffix(b"\r").unwrap_or(kept).len();
    bytes.truncate(kept);
    let rejected = |why: &str| {
        let message = format!("{shown} does not contain a password: {why}");
        CliError::new("password.file", Exit::Malformed, message).field(option)
    };
    if bytes.len() > MAX_PASSWORD {
        return Err(rejected("it is longer than 4096 bytes").into());
    }
    if bytes.contains(&b'\n') {
        return Err(rejected("it has more than one line").into());
    }
    Ok(bytes)
}

/// The terminal, even if standard input is something else.
struct Terminal(File);

impl Terminal {
    fn open() -> Option<Self> {
        File::options().read(true).write(true).open("/dev/tty").ok().map(Self)
    }

    fn ask(&mut self, prompt: &str) -> Result<Password> {
        let failed = |error: io::Error| {
            let message = format!("can't ask for the password on the terminal: {error}");
            CliError::new("file.read", Exit::Local, message)
        };
        self.0.write_all(prompt.as_bytes()).map_err(failed)?;
        let line = {
            let silence = Silence::new(&self.0).map_err(failed)?;
            read_line(silence.0)
        };
        let _ = self.0.write_all(b"\n");
        line.map_err(failed)?.ok_or(Stop::Exit(Exit::Interrupted))
    }
}

/// Reads keys one by one and without echo, until it is dropped. Ctrl-C is read as a key, so that it
/// can't leave the terminal without echo.
struct Silence<'a>(&'a File, Termios);

impl<'a> Silence<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self(terminal, before))
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Now, &self.1);
    }
}

/// Reads a line of keys. `None` if the user cancelled.
fn read_line(mut terminal: impl Read) -> io::Result<Option<Password>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD));
    let mut key = [0];
    loop {
        if terminal.read(&mut key)? == 0 {
            return Ok((!line.is_empty()).then_some(line));
        }
        match key[0] {
            b'\r' | b'\n' => return Ok(Some(line)),
            // Ctrl-C, Ctrl-\
            0x03 | 0x1c => return Ok(None),
            // Ctrl-D
            0x04 if line.is_empty() => return Ok(None),
            0x04 => return Ok(Some(line)),
            // Ctrl-U
            0x15 => line.zeroize(),
            // Backspace removes a whole character: its continuation bytes, and its first byte.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            byte if line.len() < MAX_PASSWORD => line.push(byte),
            _ => {}
        }
        key.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_edited_and_cancelled() {
        let line = |keys: &[u8]| read_line(keys).unwrap().map(|line| line.to_vec());
        assert_eq!(line(b"secret\nmore"), Some(b"secret".to_vec()));
        assert_eq!(line("zł\u{7f}\u{7f}aŻ\u{7f}b\r".as_bytes()), Some(b"ab".to_vec()));
        assert_eq!(line(b"wrong\x15right\n"), Some(b"right".to_vec()));
        assert_eq!(line(b"\n"), Some(Vec::new()));
        assert_eq!(line(b"abc\x03"), None);
        assert_eq!(line(b"\x04"), None);
        assert_eq!(line(b"ab\x04"), Some(b"ab".to_vec()));
        assert_eq!(line(b""), None);
    }
}

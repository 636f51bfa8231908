//! Access to a mailserver: the password of its operators, or its own key.

use std::path::{Path, PathBuf};

use clap::Args;
use statuskit_core::{
    crypto::PublicKey,
    envelope::SymKey,
    mailserver::{Access, seal::FLEET_PASSWORD},
};

use crate::{
    config,
    error::{CliError, Exit, Result},
    password::from_file,
};

/// The environment variable with the password.
const VARIABLE: &str = "STATUS_MAILSERVER_PASSWORD";

/// The password of a mailserver, or its own key.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Password of requests. That of Status is published, so it may be given here; put a secret one
    /// into the environment variable STATUS_MAILSERVER_PASSWORD, or into a file
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,
    /// File with that password, on one line
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    mailserver_password_file: Option<PathBuf>,
    /// Encrypt requests to the server's own key, without a password
    #[arg(long)]
    pub asymmetric: bool,
}

impl AccessArgs {
    /// Returns the key of the password, if one is given.
    pub fn key(&self) -> Result<Option<SymKey>> {
        password_key(
            self.password.as_deref(),
            "--password",
            self.mailserver_password_file.as_deref(),
        )
    }

    /// Returns how to ask the server with this key. The default is the password of Status.
    pub fn to(&self, server: &PublicKey) -> Result<Access> {
        if self.asymmetric {
            if self.password.is_some() || self.mailserver_password_file.is_some() {
                return Err(CliError::usage("a password, or --asymmetric; not both")
                    .field("--asymmetric")
                    .into());
            }
            return Ok(Access::Key(*server));
        }
        Ok(Access::Password(self.key()?.unwrap_or_else(|| SymKey::from_password(FLEET_PASSWORD))))
    }
}

/// Returns the key of a password from an option, a file or the environment.
pub fn password_key(
    given: Option<&str>,
    option: &'static str,
    file: Option<&Path>,
) -> Result<Option<SymKey>> {
    let held;
    let (password, field) = match (given, file, std::env::var_os(VARIABLE)) {
        (Some(text), _, _) => (text, option),
        (None, Some(path), _) => {
            let field = "--mailserver-password-file";
            held = from_file(path, field)?;
            (as_text(&held, field)?, field)
        }
        (None, None, Some(value)) => {
            held = value.into_encoded_bytes().into();
            (as_text(&held, VARIABLE)?, VARIABLE)
        }
        (None, None, None) => {
            let Some(file) = &config::profile()?.mailserver_password_file else { return Ok(None) };
            let field = "mailserver_password_file";
            held = from_file(&file.value, field)?;
            (as_text(&held, field)?, field)
        }
    };
    if password.is_empty() {
        let message = "the password of a mailserver can't be empty";
        return Err(CliError::usage(message).field(field).into());
    }
    Ok(Some(SymKey::from_password(password)))
}

fn as_text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| {
        let message = "the password is not UTF-8";
        CliError::new("password.file", Exit::Malformed, message).field(field).into()
    })
}

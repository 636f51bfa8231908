//! The configuration of a run: which file and profile apply, and what they say.
//!
//! A flag beats a variable, a variable beats the profile, the profile beats the default. With
//! `--seed`, a configuration applies only if the command line names it: the same seed gives the same
//! bytes on every machine.

pub mod command;
mod file;

use std::{
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use clap_complete::engine::CompletionCandidate;
use statuskit_core::crypto::PublicKey;

use self::file::Setting;
pub use self::file::{Config, Profile};
use crate::error::{CliError, Exit};

/// The profile that applies without a name.
const DEFAULT_PROFILE: &str = "default";

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--profile`.
    pub profile: Option<String>,
    /// Whether results must not depend on the machine.
    pub is_reproducible: bool,
}

/// The configuration of this run.
#[derive(Debug, Default)]
pub struct Active {
    /// The file, and who named it. `None` without a configuration.
    pub path: Option<(PathBuf, Origin)>,
    /// The name of the profile, and who named it.
    pub profile: Option<(String, Origin)>,
    /// All that the file contains.
    pub config: Config,
}

/// Who named a file or a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Variable(&'static str),
    Default,
}

impl Active {
    /// Returns the settings of the profile.
    pub fn profile(&self) -> &Profile {
        static NONE: OnceLock<Profile> = OnceLock::new();
        let found = self.profile.as_ref().and_then(|(name, _)| self.config.profiles.get(name));
        found.unwrap_or_else(|| NONE.get_or_init(Profile::default))
    }
}

static CHOICE: OnceLock<Choice> = OnceLock::new();

/// Fixes what the command line says; once, before anything is read.
pub fn choose(choice: Choice) {
    // The first command line of a process is its only one.
    let _ = CHOICE.set(choice);
}

/// Returns the configuration of this run, which is read when it is first needed.
///
/// # Errors
///
/// `file.read`, `config.*` or `usage`, alike each time.
pub fn active() -> Result<&'static Active, CliError> {
    static ACTIVE: OnceLock<Result<Active, CliError>> = OnceLock::new();
    let loaded = ACTIVE.get_or_init(|| match CHOICE.get() {
        Some(choice) => load(choice),
        None => Ok(Active::default()),
    });
    loaded.as_ref().map_err(Clone::clone)
}

/// Returns the settings of the profile of this run.
///
/// # Errors
///
/// Those of [`active`].
pub fn profile() -> Result<&'static Profile, CliError> {
    Ok(active()?.profile())
}

/// Returns the key of a contact.
///
/// # Errors
///
/// Those of [`active`].
pub fn contact(name: &str) -> Result<Option<PublicKey>, CliError> {
    Ok(active()?.config.contacts.get(name).map(|contact| contact.value))
}

/// Returns the name of a chat that has a short one.
///
/// # Errors
///
/// Those of [`active`].
pub fn chat(name: &str) -> Result<&str, CliError> {
    Ok(active()?.config.chats.get(name).map_or(name, |chat| &chat.value))
}

/// Returns what the user calls a key.
pub fn name_of(key: &PublicKey) -> Option<&'static str> {
    let contacts = &active().ok()?.config.contacts;
    contacts.iter().find(|(_, contact)| contact.value == *key).map(|(name, _)| name.as_str())
}

/// Returns the names of contacts, for completions.
pub fn contact_names() -> Vec<CompletionCandidate> {
    let Ok(active) = active() else { return Vec::new() };
    active.config.contacts.keys().map(CompletionCandidate::new).collect()
}

/// Returns the short names of chats and the chats of the profile, for completions.
pub fn chat_names() -> Vec<CompletionCandidate> {
    let Ok(active) = active() else { return Vec::new() };
    let short = active.config.chats.keys();
    let opened = active.profile().chats.iter().map(|chat| &chat.value);
    short.chain(opened).map(CompletionCandidate::new).collect()
}

/// Returns the names of profiles, for completions.
pub fn profile_names() -> Vec<CompletionCandidate> {
    let Ok(active) = active() else { return Vec::new() };
    active.config.profiles.keys().map(CompletionCandidate::new).collect()
}

/// Returns the path of the configuration without a name.
pub fn default_path() -> Option<PathBuf> {
    let is_set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    // The rule of XDG: a relative path is ignored.
    let base = is_set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| is_set("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("statuskit/config.toml"))
}

fn load(choice: &Choice) -> Result<Active, CliError> {
    let is_named = choice.file.is_some() || choice.profile.is_some();
    if choice.is_reproducible && !is_named {
        return Ok(Active::default());
    }
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (path, origin) = match (&choice.file, variable("STATUS_CONFIG"), default_path()) {
        (Some(path), ..) => (path.clone(), Origin::Flag("--config")),
        (None, Some(path), _) => (PathBuf::from(path), Origin::Variable("STATUS_CONFIG")),
        (None, None, Some(path)) => (path, Origin::Default),
        (None, None, None) => return no_profile(choice),
    };
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if origin == Origin::Default && is_missing(&error) => return no_profile(choice),
        Err(error) => {
            let message = format!("can't read the configuration {}: {error}", path.display());
            return Err(CliError::new("file.read", Exit::Local, message)
                .field("--config")
                .hint("statuskit config init makes one"));
        }
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    let home = env::var_os("HOME").map(PathBuf::from);
    let config = file::parse(&text, dir, home.as_deref()).map_err(|error| {
        let mut shown =
            CliError::new(error.code, error.exit, format!("{}: {}", path.display(), error.message));
        if let Some(line) = error.line {
            shown = shown.line(line);
        }
        if let Some(field) = &error.field {
            shown = shown.field(field.clone());
        }
        match &error.hint {
            Some(hint) => shown.hint(hint.clone()),
            None => shown,
        }
    })?;
    let named = match (&choice.profile, env::var("STATUS_PROFILE")) {
        (Some(name), _) => (name.clone(), Origin::Flag("--profile")),
        (None, Ok(name)) if !name.is_empty() => (name, Origin::Variable("STATUS_PROFILE")),
        (None, _) => (DEFAULT_PROFILE.to_owned(), Origin::Default),
    };
    if named.1 != Origin::Default && !config.profiles.contains_key(&named.0) {
        let names: Vec<_> = config.profiles.keys().map(String::as_str).collect();
        let message = format!("{} has no such profile", path.display());
        let hint = match names.is_empty() {
            true => "statuskit config init shows how one looks".to_owned(),
            false => format!("its profiles: {}", names.join(", ")),
        };
        return Err(CliError::usage(message).field("--profile").hint(hint));
    }
    let profile = config.profiles.contains_key(&named.0).then_some(named);
    Ok(Active { path: Some((path, origin)), profile, config })
}

/// There is no file; a profile must be in one.
fn no_profile(choice: &Choice) -> Result<Active, CliError> {
    if choice.profile.is_none() {
        return Ok(Active::default());
    }
    Err(CliError::usage("there is no configuration with profiles")
        .field("--profile")
        .hint("statuskit config init makes one"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = file::MAX_FILE as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    if text.len() > file::MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has more than 1 MiB"));
    }
    // Some editors write a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

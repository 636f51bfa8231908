//! `--state DIR`: the directory with the sessions of an identity.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use clap::Args;
use rand::CryptoRng;
use statuskit_client::{SharedState, state::DiskStore};
use statuskit_core::{
    account::InstallationId,
    chat::messenger::{ChatError, Messenger},
    crypto::SecretKey,
    secure::{MemoryStore, SecureError, Store, StoreError},
    sync::SyncError,
};

use crate::{
    config,
    error::{CliError, Exit, Result},
    files::check_name,
    keys::IdentityArgs,
    password::{Password, PasswordArgs, Wanted},
};

/// A messenger with any store.
pub type AnyMessenger = Messenger<Box<dyn Store>>;

/// The state, and its password.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Conversations")]
pub struct StateArgs {
    /// Directory with the identity's sessions, groups and unacknowledged messages. Commands that
    /// send or receive create it. Several can use it at a time: the first one does the work of all,
    /// with its peers
    #[arg(long, value_name = "DIR", env = "STATUS_STATE", hide_env_values = true)]
    pub state: Option<PathBuf>,
    /// File with the password of the state; it encrypts a new state. Default: the environment
    /// variable STATUS_STATE_PASSWORD, else a prompt if the state is encrypted
    #[arg(long, value_name = "FILE")]
    pub state_password_file: Option<PathBuf>,
}

/// What to do if the state is missing.
#[derive(Debug, Clone, Copy)]
pub enum IfMissing {
    /// Create it.
    Make,
    /// Fail: the name is probably wrong.
    Fail,
}

/// The environment variable with the password.
const PASSWORD: &str = "STATUS_STATE_PASSWORD";

impl StateArgs {
    /// Returns these options, with the state of the profile if they name none. It belongs to the
    /// profile's identity: with another, it is left alone.
    pub fn or_of_profile(&self, identity: &IdentityArgs) -> Result<Self> {
        let mut found = self.clone();
        if found.state.is_none() && identity.is_of_profile() {
            let profile = config::profile()?;
            found.state = profile.state.as_ref().map(|state| state.value.clone());
            let password = &mut found.state_password_file;
            if password.is_none() && std::env::var_os(PASSWORD).is_none_or(|it| it.is_empty()) {
                *password = profile.state_password_file.as_ref().map(|file| file.value.clone());
            }
        }
        if found.state.is_none() && found.state_password_file.is_some() {
            return Err(CliError::usage("a password without a state")
                .field("--state-password-file")
                .hint("--state DIR")
                .into());
        }
        Ok(found)
    }

    /// Returns the state for a client, if one is named. Creates it if it is missing, and leaves it to
    /// the program that holds it.
    pub fn shared(&self) -> Result<Option<SharedState>> {
        let Some(path) = &self.state else { return Ok(None) };
        let mut password = self.given_password()?;
        let opened = match DiskStore::open(path, password.as_ref().map(|it| &***it)) {
            Err(StoreError::PasswordNeeded) => {
                let asked = self.ask()?;
                let opened = DiskStore::open(path, Some(&asked));
                password = Some(asked);
                opened
            }
            opened => opened,
        };
        let state = SharedState::new(path, password.as_ref().map(|it| &***it));
        match opened {
            Ok(store) => Ok(Some(state.with_store(store))),
            Err(StoreError::Locked { .. }) => Ok(Some(state)),
            Err(error) => Err(store_error(&error).into()),
        }
    }

    /// Whether another program uses the state.
    pub fn is_in_use(&self) -> bool {
        let lock = self.state.as_ref().and_then(|path| File::open(path.join("lock")).ok());
        lock.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Opens the messenger of the state, if one is named.
    pub fn messenger_of<R: CryptoRng + ?Sized>(
        &self,
        if_missing: IfMissing,
        identity: SecretKey,
        installation: Option<InstallationId>,
        rng: &mut R,
    ) -> Result<Option<AnyMessenger>> {
        let Some(store) = self.open(if_missing)? else { return Ok(None) };
        let store: Box<dyn Store> = Box::new(store);
        let messenger = Messenger::open(store, identity, installation, rng);
        Ok(Some(messenger.map_err(|error| chat_error(&error))?))
    }

    /// Opens the store, if one is named.
    pub fn open(&self, if_missing: IfMissing) -> Result<Option<DiskStore>> {
        let Some(path) = &self.state else { return Ok(None) };
        if !path.exists() {
            check_name(path, "--state")?;
        }
        let open = match if_missing {
            IfMissing::Make => DiskStore::open,
            IfMissing::Fail => DiskStore::open_existing,
        };
        let given = self.given_password()?;
        let opened = match open(path, given.as_ref().map(|password| &***password)) {
            Err(StoreError::PasswordNeeded) => {
                let password = self.ask()?;
                open(path, Some(&password))
            }
            opened => opened,
        };
        Ok(Some(opened.map_err(|error| store_error(&error))?))
    }

    /// Returns the password, if one is given by option or environment.
    fn given_password(&self) -> Result<Option<Password>> {
        let in_environment = std::env::var_os(PASSWORD).is_some_and(|value| !value.is_empty());
        if self.state_password_file.is_some() {
            let password = self.ask()?;
            if password.is_empty() {
                return Err(CliError::usage("the password of the state is empty")
                    .field("--state-password-file")
                    .hint("omit the option for a state without encryption")
                    .into());
            }
            return Ok(Some(password));
        }
        if in_environment {
            return self.ask().map(Some);
        }
        Ok(None)
    }

    /// Reads all records of the state, if one is named, and changes nothing. With `may_be_missing`,
    /// none is as good as an empty one.
    pub fn snapshot(&self, may_be_missing: bool) -> Result<Option<MemoryStore>> {
        let Some(path) = &self.state else { return Ok(None) };
        let given = self.given_password()?;
        let read = match DiskStore::snapshot(path, given.as_ref().map(|password| &***password)) {
            Err(StoreError::PasswordNeeded) => {
                let password = self.ask()?;
                DiskStore::snapshot(path, Some(&password))
            }
            read => read,
        };
        match read {
            Err(StoreError::Missing { .. }) if may_be_missing => Ok(None),
            read => Ok(Some(read.map_err(|error| store_error(&error))?)),
        }
    }

    fn ask(&self) -> Result<Password> {
        let args =
            PasswordArgs { password_file: self.state_password_file.clone(), password_fd: None };
        args.read(&Wanted {
            purpose: "the state",
            variable: PASSWORD,
            option: "--state-password-file",
            twice: false,
        })
    }
}

/// Converts an error of a store.
pub fn store_error(error: &StoreError) -> CliError {
    let (exit, hint) = match error {
        StoreError::WrongPassword => (Exit::Negative, None),
        StoreError::Locked { .. } => (
            Exit::Local,
            Some("end it; or use status-send, status-receive and status-chat, which share a state"),
        ),
        StoreError::Missing { .. } => {
            (Exit::Local, Some("status-session bundle new creates one; is the name right?"))
        }
        StoreError::Damaged { .. } => (
            Exit::Local,
            Some("start a new --state; an older copy of this one would reuse message keys"),
        ),
        StoreError::NotEncrypted => (Exit::Usage, Some("omit the password")),
        _ => (Exit::Local, None),
    };
    let error = CliError::new(error.code(), exit, error.to_string()).field("--state");
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Converts an error of a device.
pub fn secure_error(error: &SecureError) -> CliError {
    match error {
        SecureError::Store(error) => store_error(error),
        SecureError::OtherIdentity(_) => {
            CliError::new(error.code(), Exit::Usage, error.to_string())
                .field("--state")
                .hint("each identity has its own state")
        }
        SecureError::OtherInstallation(_) => {
            CliError::new(error.code(), Exit::Usage, error.to_string())
                .field("--installation")
                .hint("leave it out: a state keeps the id that it was made with")
        }
        _ => CliError::new(error.code(), Exit::Malformed, error.to_string()),
    }
}

/// Converts an error of a messenger.
pub fn chat_error(error: &ChatError) -> CliError {
    match error {
        ChatError::Secure(error) => secure_error(error),
        ChatError::Sync(SyncError::Store(error)) => store_error(error),
        ChatError::Sync(SyncError::Damaged) => {
            CliError::new(error.code(), Exit::Local, error.to_string())
        }
        ChatError::UnknownGroup(_) => {
            CliError::new(error.code(), Exit::Negative, error.to_string())
                .hint("--group @FILE takes the history that status-group prints")
        }
        ChatError::NotJoined => CliError::new(error.code(), Exit::Negative, error.to_string())
            .hint(
                "status-group join, with the history that came; then --group @FILE with its output",
            ),
        ChatError::Rejected(_) => CliError::new(error.code(), Exit::Malformed, error.to_string()),
        ChatError::Sync(SyncError::Full(_)) => {
            CliError::new(error.code(), Exit::Negative, error.to_string())
                .hint("status-receive with this state takes the acknowledgements")
        }
        _ => CliError::new(error.code(), Exit::Negative, error.to_string()),
    }
}

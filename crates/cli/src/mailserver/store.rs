//! Where an archive is stored.

use std::{fs, io, path::Path, sync::Arc};

use clap::Args;
use statuskit_mailserver::{
    Archive, ArchiveError,
    archive::{
        EmbeddedArchive, PostgresArchive,
        embedded::{Report, Salvage, Settings},
        postgres::Options,
    },
};

use crate::{
    config,
    error::{CliError, Exit, Result},
    files::check_name,
};

/// The place of an archive.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Archive: a directory, or the URL of a PostgreSQL database. Put a URL with a password into
    /// the environment variable STATUS_STORE
    #[arg(long, value_name = "PATH|URL", env = "STATUS_STORE", hide_env_values = true)]
    store: Option<String>,
}

/// What an archive is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read. It must exist.
    Read,
    /// To change it. It must exist.
    Change,
    /// To change it. It is created if it does not exist.
    Make,
}

impl StoreArgs {
    /// Opens the archive, and checks its structure before anything is read from it.
    pub fn open(&self, purpose: Purpose) -> Result<Arc<dyn Archive>> {
        let archive = self.open_to_serve(purpose)?;
        archive.inspect().map_err(|error| self.failed(&error))?;
        Ok(archive)
    }

    /// Opens the archive, unless there is nothing under its name yet.
    pub fn open_what_is_there(&self) -> Result<Option<Arc<dyn Archive>>> {
        if let Place::Directory(dir) = self.place()? {
            let is_new = match fs::read_dir(dir) {
                Ok(mut files) => files.next().is_none(),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if is_new {
                return Ok(None);
            }
        }
        self.open(Purpose::Make).map(Some)
    }

    /// Opens the archive without checking all of it, which would keep a server's clients waiting.
    /// Pages are checked when they are first read.
    pub fn open_to_serve(&self, purpose: Purpose) -> Result<Arc<dyn Archive>> {
        Ok(match self.place()? {
            Place::Database => {
                if purpose == Purpose::Change {
                    // A typo must not create an archive.
                    drop(self.open_database(true)?);
                }
                Arc::new(self.open_database(purpose == Purpose::Read)?)
            }
            Place::Directory(dir) => {
                let archive = match purpose {
                    Purpose::Read => EmbeddedArchive::open_read_only(dir),
                    Purpose::Make => EmbeddedArchive::open(dir),
                    Purpose::Change => {
                        let mut settings = Settings::default();
                        settings.existing = true;
                        EmbeddedArchive::open_with(dir, &settings)
                    }
                };
                Arc::new(archive.map_err(|error| self.failed(&error))?)
            }
        })
    }

    fn open_database(&self, read_only: bool) -> Result<PostgresArchive> {
        let mut options = Options::default();
        options.read_only = read_only;
        let archive = PostgresArchive::open(self.name()?, options);
        Ok(archive.map_err(|error| self.failed(&error))?)
    }

    /// Checks an archive in a directory.
    pub fn check(&self) -> Result<Report> {
        let report = EmbeddedArchive::check_at(self.directory()?);
        Ok(report.map_err(|error| self.failed(&error))?)
    }

    /// Reads what can be read of an archive in a directory, whatever its state.
    pub fn salvage(&self) -> Result<Salvage> {
        Ok(EmbeddedArchive::salvage(self.directory()?).map_err(|error| self.failed(&error))?)
    }

    fn directory(&self) -> Result<&Path> {
        match self.place()? {
            Place::Directory(dir) => Ok(dir),
            Place::Database => {
                let message = "this is for archives in a directory, not for databases";
                Err(CliError::usage(message).field("--store").into())
            }
        }
    }

    /// What the option, the environment or the profile says.
    fn name(&self) -> Result<&str> {
        if let Some(store) = &self.store {
            return Ok(store);
        }
        let store = config::profile()?.store.as_ref().map(|store| store.value.as_str());
        Ok(store.ok_or_else(|| {
            CliError::usage("no archive is named").field("--store").hint("--store DIR")
        })?)
    }

    /// Interprets the name. One that looks like a mistyped database is no directory: its name would
    /// be a password. For the same reason it is not shown.
    fn place(&self) -> Result<Place<'_>> {
        let name = self.name()?;
        let store = name.trim();
        let lower = store.to_ascii_lowercase();
        let wrong = |message: &str| -> Result<Place<'_>> {
            Err(CliError::usage(message)
                .field("--store")
                .hint("a directory, or postgres://USER:PASSWORD@HOST:PORT/DATABASE")
                .into())
        };
        let is_known = SCHEMES.iter().any(|scheme| lower.starts_with(scheme));
        if store.is_empty() {
            wrong("the archive has no name")
        } else if is_known {
            Ok(Place::Database)
        } else if lower.contains("://") || lower.starts_with("postgres") && lower.contains(':') {
            wrong("not the URL of a PostgreSQL database")
        } else if is_list_of_settings(&lower) {
            wrong("a list of settings, where the URL of a database was expected")
        } else {
            let path = Path::new(name);
            if !path.exists() {
                check_name(path, "--store")?;
            }
            Ok(Place::Directory(path))
        }
    }

    fn failed(&self, error: &ArchiveError) -> CliError {
        archive_error(error).field("--store")
    }

    /// Returns the archive's name for results, without a password.
    pub fn shown(&self) -> String {
        match (self.place(), self.name()) {
            (Ok(Place::Directory(dir)), _) => dir.display().to_string(),
            (Ok(Place::Database), Ok(name)) => shown_url(name.trim()),
            _ => String::new(),
        }
    }
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    Directory(&'a Path),
    Database,
}

/// The beginnings of a database URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Whether this is `host=… password=…`, in lower case.
fn is_list_of_settings(text: &str) -> bool {
    let names = ["host", "hostaddr", "port", "user", "password", "dbname", "sslmode"];
    text.split_whitespace()
        .any(|word| word.split_once('=').is_some_and(|(name, _)| names.contains(&name)))
}

/// Returns a URL without user, password and settings, or anything that could be part of them.
fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let before = rest.split(['?', '#']).next().unwrap_or_default();
    let place = match rest.matches('@').count() {
        0 => before,
        1 => before.split_once('@').map_or("", |(_, place)| place),
        _ => "",
    };
    format!("{}://{place}", scheme.to_ascii_lowercase())
}

/// Converts an error of an archive.
pub fn archive_error(error: &ArchiveError) -> CliError {
    let shown = CliError::new(error.code(), Exit::Local, error.to_string());
    match error {
        ArchiveError::Damaged(_) => {
            shown.hint("status-mailserver export --salvage prints what is still whole")
        }
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::error::Stop, *};

    fn args(store: &str) -> StoreArgs {
        StoreArgs { store: Some(store.to_owned()) }
    }

    #[test]
    fn names_of_databases_are_no_directories() {
        for store in ["archive", "./a b", "/srv/archive:2", "a@b", "postgres", "hosts=1"] {
            assert!(matches!(args(store).place(), Ok(Place::Directory(_))), "{store}");
            assert_eq!(args(store).shown(), store);
        }
        for store in ["postgres://h/d", "PostgreSQL://u:p@h/d", " postgres://h"] {
            assert!(matches!(args(store).place(), Ok(Place::Database)), "{store}");
        }
        for store in [
            "",
            " ",
            "mysql://u:secret@h/d",
            "postgres:/u:secret@h/d",
            "postgres:u:secret@h",
            "host=127.0.0.1 password=secret",
            "user=u password=secret",
            "dir password=secret",
        ] {
            let Err(Stop::Error(error)) = args(store).place() else { panic!("{store}") };
            assert_eq!(error.exit, Exit::Usage);
            assert!(!error.to_text(false).contains("secret"), "{store}");
            assert_eq!(args(store).shown(), "");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        let shown = |store| args(store).shown();
        assert_eq!(shown("Postgres://u:secret@h:1/d?sslmode=require"), "postgres://h:1/d");
        assert_eq!(shown("postgres://h:1/d?user=u&password=secret"), "postgres://h:1/d");
        assert_eq!(shown("postgres://u:se?cret@h:1/d"), "postgres://");
        assert_eq!(shown("postgres://u:se@cret@h:1/d"), "postgres://");
        assert_eq!(shown("postgres://h:1/d?password=se@cret"), "postgres://");
        assert_eq!(shown("postgres://u:se#cret@h"), "postgres://");
        assert_eq!(shown("postgres://u:se/cret@h/d"), "postgres://h/d");
    }
}

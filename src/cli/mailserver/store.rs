//! Which store an archive is in.

use std::{path::Path, sync::Arc};

use clap::Args;

use super::super::error::{CliError, Exit, Result};
use crate::mailserver::{
    Archive, ArchiveError,
    archive::{EmbeddedArchive, PostgresArchive, embedded::Salvage, postgres::Options},
};

/// Where the archive is.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The archive: a directory, or the URL of a PostgreSQL database. The environment variable
    /// STATUS_STORE is the place for a URL with a password in it
    #[arg(long, value_name = "PATH|URL", env = "STATUS_STORE", hide_env_values = true)]
    store: String,
}

/// What is going to be done with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing is written; there must be one.
    Read,
    /// There must be one.
    Change,
    /// It is made if there is none.
    Make,
}

impl StoreArgs {
    /// Opens the archive.
    pub fn open(&self, purpose: Purpose) -> Result<Arc<dyn Archive>> {
        if purpose == Purpose::Change {
            // A slip of the pen makes no archive.
            drop(self.open(Purpose::Read)?);
        }
        if self.is_database() {
            let read_only = purpose == Purpose::Read;
            let options = Options { read_only, ..Options::default() };
            let archive = PostgresArchive::open(&self.store, options);
            return Ok(Arc::new(archive.map_err(|error| self.failed(&error))?));
        }
        if purpose == Purpose::Read {
            return Ok(Arc::new(self.open_directory_to_read()?));
        }
        let archive = EmbeddedArchive::open(Path::new(&self.store));
        Ok(Arc::new(archive.map_err(|error| self.failed(&error))?))
    }

    /// Opens an archive that must be in a directory, for reading.
    pub fn open_directory_to_read(&self) -> Result<EmbeddedArchive> {
        let archive = EmbeddedArchive::open_read_only(self.directory()?);
        Ok(archive.map_err(|error| self.failed(&error))?)
    }

    /// What can be read of an archive in a directory, in whatever state it is.
    pub fn salvage(&self) -> Result<Salvage> {
        Ok(EmbeddedArchive::salvage(self.directory()?).map_err(|error| self.failed(&error))?)
    }

    fn directory(&self) -> Result<&Path> {
        if self.is_database() {
            let message = "this is for archives in a directory, not for databases";
            return Err(CliError::usage(message).field("--store").into());
        }
        Ok(Path::new(&self.store))
    }

    fn failed(&self, error: &ArchiveError) -> CliError {
        archive_error(error).field("--store")
    }

    /// How the archive is named in results: a password is left out.
    pub fn shown(&self) -> String {
        if !self.is_database() {
            return self.store.clone();
        }
        let Some((scheme, rest)) = self.store.split_once("://") else { return String::new() };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{}", place.split('?').next().unwrap_or_default())
    }

    fn is_database(&self) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| self.store.starts_with(scheme))
    }
}

/// What went wrong with an archive.
pub fn archive_error(error: &ArchiveError) -> CliError {
    CliError::new(error.code(), Exit::Local, error.to_string())
}

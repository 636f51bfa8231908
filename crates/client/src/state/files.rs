//! Files of a store: private, replaced as a whole, and overwritten before they are removed.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::StoreError;

/// The current journal.
pub(super) const JOURNAL: &str = "journal";
/// The journal that is being created.
pub(super) const NEW: &str = "journal.new";
/// The journal that is being overwritten.
pub(super) const OLD: &str = "journal.old";

pub(super) static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Opens a file, and creates it for its owner only.
pub(super) fn open_private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(io_error("open", path))
}

/// Puts [`NEW`], whose content is durable, in the place of [`JOURNAL`], and erases the old file.
pub(super) fn replace(dir: &Path) -> Result<(), StoreError> {
    let [journal, new, old] = [JOURNAL, NEW, OLD].map(|name| dir.join(name));
    sync_directory(dir)?;
    if journal.exists() {
        fs::rename(&journal, &old).map_err(io_error("rename", &journal))?;
    }
    fs::rename(&new, &journal).map_err(io_error("rename", &new))?;
    sync_directory(dir)?;
    erase(&old)
}

/// Completes a [`replace`] that was interrupted, or undoes what came before it.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    let [journal, new, old] = [JOURNAL, NEW, OLD].map(|name| dir.join(name));
    match (journal.exists(), old.exists()) {
        // Interrupted between the two renames.
        (false, true) if new.exists() => replace(dir),
        // The journal was removed by hand: opening reports it.
        (false, true) => Ok(()),
        _ => erase(&new).and_then(|()| erase(&old)),
    }
}

/// Overwrites a file with zeros and removes it, if it exists.
pub(super) fn erase(path: &Path) -> Result<(), StoreError> {
    let file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(io_error("open", path))?,
    };
    let overwritten = file
        .metadata()
        .and_then(|found| write_zeros(&file, 0, found.len()))
        .and_then(|()| file.sync_data())
        .and_then(|()| fs::remove_file(path));
    overwritten.map_err(io_error("overwrite", path))
}

pub(super) fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    (from..to).step_by(ZEROS.len()).try_for_each(|at| {
        let length = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..length as usize], at)
    })
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("write", path))
}

pub(super) fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Io { doing, path: path.to_owned(), error }
}

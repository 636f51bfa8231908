//! Files that the tools make: whole or not at all, and never in place of another unless told to.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
};

use statuskit_core::text::{describe, describe_secret};

use crate::error::{CliError, Exit, Result};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner: mode 0600.
    Owner,
    /// Whoever the user's `umask` lets.
    Everyone,
}

/// Shows the path of a file for an error. A text that is the name of no file may be the secret that
/// the file should have: it is described.
pub fn show_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_path = !text.contains(char::is_whitespace)
        && describe_secret(&text).is_none()
        && !text.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| digits.len() >= 24);
    if is_path || fs::symlink_metadata(path).is_ok() {
        return text.into_owned();
    }
    format!("a file of that name ({}, not shown)", describe(&text))
}

/// Refuses to make a file or directory whose name looks like a secret: it was meant for another
/// place, and would be shown by every listing.
pub fn check_name(path: &Path, option: &str) -> Result<()> {
    let Some(what) = describe_secret(&path.to_string_lossy()) else { return Ok(()) };
    let error = CliError::usage(format!("{what}, where the name of a file is expected"));
    let hint = "a secret is never an argument: write it to a file (chmod 600) and name the file, or \
                set STATUS_IDENTITY";
    Err(error.field(option).hint(hint).into())
}

/// Fails early where [`write_new`] would fail in the end.
pub fn check_free(path: &Path, option: &str, force: bool) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return check_name(path, option) };
    let shown = path.display();
    if !found.is_file() {
        let message = format!("{shown} is there already, and is no ordinary file");
        return Err(CliError::new("file.exists", Exit::Local, message).field(option).into());
    }
    if force {
        return Ok(());
    }
    let message = format!("{shown} exists, and is not overwritten");
    let hint = "another name, or --force to put the new file in its place";
    Err(CliError::new("file.exists", Exit::Local, message).field(option).hint(hint).into())
}

/// Makes a directory that only its owner can look into, unless it is there.
pub fn make_directory(path: &Path, option: &str) -> Result<()> {
    if !path.exists() {
        check_name(path, option)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        let message = format!("can't make the directory {}: {error}", path.display());
        CliError::new("file.write", Exit::Local, message).field(option).into()
    })
}

/// Writes a file as a whole: first beside its place, then moved into it, so that whatever happens
/// meanwhile, the place holds the old file or the new one. An existing file is replaced only with
/// `force`.
pub fn write_new(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    option: &str,
    force: bool,
) -> Result<()> {
    check_free(path, option, force)?;
    write_beside(path, bytes, readers, force).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let message = format!("{} has just been created by another program", path.display());
            return CliError::new("file.exists", Exit::Local, message).field(option).into();
        }
        let message = format!("can't write {}: {error}", path.display());
        CliError::new("file.write", Exit::Local, message).field(option).into()
    })
}

fn write_beside(path: &Path, bytes: &[u8], readers: Readers, force: bool) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file");
    let name = path.file_name().ok_or_else(no_name)?.to_string_lossy().into_owned();
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    let mode = if readers == Readers::Owner { 0o600 } else { 0o666 };
    let (beside, mut file) = (0..100)
        .find_map(|number| {
            let beside = dir.join(format!(".{name}.{}.{number}.tmp", process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                opened => Some(opened.map(|file| (beside, file))),
            }
        })
        .unwrap_or(Err(io::ErrorKind::AlreadyExists.into()))?;
    let moved = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        // A link, unlike a move, never takes the place of a file.
        .and_then(|()| if force { fs::rename(&beside, path) } else { link(&beside, path) });
    if moved.is_err() || !force {
        let _ = fs::remove_file(&beside);
    }
    moved?;
    // So that the name is on the disk, too; not every file system can do that.
    let _ = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(())
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !to.exists() => {
            // A file system without links.
            fs::rename(from, to)
        }
        other => other,
    }
}

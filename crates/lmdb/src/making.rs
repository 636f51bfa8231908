//! Preparations for a new database, so that a full disk is an error.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

/// The file of the database, as the engine names it.
pub const DATA: &str = "data.mdb";
/// The file in which the engine registers readers.
pub const READING: &str = "lock.mdb";

/// Where the engine's files have a magic number, behind the header of the page, and which.
const MAGIC: (std::ops::Range<usize>, [u8; 4]) = (16..20, 0xbeef_c0de_u32.to_ne_bytes());
/// The engine begins by writing two pages at once.
const BEGINNING: usize = 2 * 4096;

/// Whether there is no database in a file yet: it is missing, empty, or was cut off while the
/// engine created it on a full disk.
pub fn is_begun(data: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    match File::open(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => _ = file?.take(BEGINNING as u64).read_to_end(&mut bytes)?,
    }
    let (place, magic) = MAGIC;
    let is_engines = || bytes.get(place).is_some_and(|found| *found == magic);
    Ok(bytes.is_empty() || bytes.len() < BEGINNING && is_engines())
}

/// Creates a database for this many readers: `open` lets the engine create it. The directory must
/// have none, or one that was only [begun](is_begun), and no other process may be creating one.
/// `failed` converts errors of the file system.
pub fn make<T, E>(
    dir: &Path,
    readers: u32,
    failed: impl FnOnce(io::Error) -> E,
    open: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    // The beginning of a new file would be taken for a damaged one the next time.
    let clear = || match fs::remove_file(dir.join(DATA)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clear().and_then(|()| reserve_readers(dir, readers)).map_err(failed)?;
    let opened = open();
    if opened.is_err() {
        let _ = clear();
    }
    opened
}

/// Creates the file of readers. The engine would create it without blocks and map it: on a full
/// disk, the first access would kill the process.
fn reserve_readers(dir: &Path, readers: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // 64 bytes per reader, and a page for the engine's own data.
    let zeros = vec![0; readers as usize * 64 + 4096];
    options.open(dir.join(READING))?.write_all(&zeros)
}

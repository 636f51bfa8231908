//! What a new database of LMDB asks for beside the engine, so that a full disk is an error.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

/// The file of the database, as the engine calls it.
pub const DATA: &str = "data.mdb";
/// The file in which the engine notes who reads.
pub const READING: &str = "lock.mdb";

/// What a file begins with that the engine has made, behind the head of the page.
const MAGIC: (std::ops::Range<usize>, [u8; 4]) = (16..20, 0xbeef_c0de_u32.to_ne_bytes());
/// The engine begins with two pages, which it writes at once.
const BEGINNING: usize = 2 * 4096;

/// Whether there is no database in a file yet: it is not there, is empty, or was cut off while the
/// engine made it, for lack of room.
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

/// Makes a database: `open` lets the engine do so, for so many readers at once. The directory has
/// none but what [is begun](is_begun), and nobody else is making one. `failed` tells what an error
/// of the file system means.
pub fn make<T, E>(
    dir: &Path,
    readers: u32,
    failed: impl FnOnce(io::Error) -> E,
    open: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    // What there is of a new file would be taken for a damaged one the next time.
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

/// Makes the file in which those who read note what they hold. The engine would map one that has
/// only a length: on a full disk, the first note in it ends the process with a signal.
fn reserve_readers(dir: &Path, readers: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // 64 bytes for each, and a page for what the engine notes beside.
    let zeros = vec![0; readers as usize * 64 + 4096];
    options.open(dir.join(READING))?.write_all(&zeros)
}

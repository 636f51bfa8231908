//! A reader for a directory of LevelDB: everything once, in order, and nothing else.
//!
//! The crates that read LevelDB open it for writing: they replay the log into new tables and lock
//! the directory, which must not happen to the source of an import. Reading alone takes little:
//!
//! | what | where |
//! | --- | --- |
//! | records of a log, and of the manifest | `log.rs` |
//! | which files are live | `manifest.rs` |
//! | sorted tables, in blocks, perhaps compressed with Snappy | `table.rs` |
//! | the merge: the last version of each key, unless it was deleted | here |
//!
//! Memory: one block of each table being read (few, as long as the manifest is readable), and the
//! entries of the log: some megabytes, and 512 MiB at most. What fails its checksum is reported and
//! skipped. No server may be running on the directory: make a copy.
//!
//! Source: LevelDB, `doc/log_format.md`, `doc/table_format.md`, `doc/impl.md`.

mod log;
mod manifest;
mod table;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    vec,
};

use self::{manifest::Manifest, table::Table};
use crate::archive::{
    ArchiveError,
    import::{Entry, Source},
};

/// The most bytes of a varint.
const VARINT: usize = 10;
/// The most bytes of logs. LevelDB begins a new table after some megabytes.
const LARGEST_LOG: usize = 512 << 20;

/// An archive of status-go in a directory of LevelDB.
#[derive(Debug)]
pub struct LevelDb {
    dir: PathBuf,
}

/// A version of a key. They sort by key, the last version first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    key: Vec<u8>,
    sequence: Reverse<u64>,
}

/// A version and its value; `None` if it was deleted.
type Item = (Version, Option<Vec<u8>>);

impl LevelDb {
    /// Opens a directory with a file `CURRENT`.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ArchiveError> {
        let dir = dir.as_ref().to_owned();
        if !dir.join("CURRENT").is_file() {
            let text = format!("{} is no directory of LevelDB: it has no CURRENT", dir.display());
            return Err(ArchiveError::Unusable(text));
        }
        Ok(Self { dir })
    }

    /// Lists the files with one of these endings, and their numbers.
    fn files(&self, endings: &[&str]) -> Result<Vec<(u64, PathBuf)>, ArchiveError> {
        let failed = |source| ArchiveError::Io { what: self.dir.display().to_string(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let ending = path.extension().and_then(|ending| ending.to_str());
            if let (Some(Ok(number)), Some(ending)) = (stem.map(str::parse), ending)
                && endings.contains(&ending)
            {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Reads the entries of the logs into memory.
    fn read_logs(
        &self,
        from: u64,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<BTreeMap<Version, Option<Vec<u8>>>, ArchiveError> {
        let (mut entries, mut size) = (BTreeMap::new(), 0);
        for (_, path) in self.files(&["log"])?.into_iter().filter(|(number, _)| *number >= from) {
            let read = log::records(&path, |at, record| {
                if size > LARGEST_LOG {
                    return;
                }
                match record.and_then(|record| log::batch(&record, &mut entries)) {
                    Ok(more) => size += more,
                    Err(reason) => unreadable(format!("{} at {at}: {reason}", path.display())),
                }
                if size > LARGEST_LOG {
                    let reason = format!("more than {LARGEST_LOG} bytes; the rest is left out");
                    unreadable(format!("{} at {at}: {reason}", path.display()));
                }
            });
            if let Err(error) = read {
                unreadable(format!("{}: {error}", path.display()));
            }
        }
        Ok(entries)
    }

    fn streams(&self, unreadable: &mut dyn FnMut(String)) -> Result<Vec<Stream>, ArchiveError> {
        let tables = self.files(&["ldb", "sst"])?;
        let (live, log) = match Manifest::read(&self.dir) {
            Ok(Manifest { tables: live, log }) => {
                let mut tables: BTreeMap<u64, PathBuf> = tables.into_iter().collect();
                let streams = live.into_iter().filter_map(|(number, least)| {
                    let path = tables.remove(&number);
                    if path.is_none() {
                        unreadable(format!("table {number:06} is missing"));
                    }
                    Some(Stream::Waiting { least: Some(least), path: path? })
                });
                (streams.collect(), log)
            }
            // Reads everything: what was deleted may come back, which does an archive no harm.
            Err(reason) => {
                unreadable(format!("the manifest: {reason}; all files are read"));
                let all = tables.into_iter().map(|(_, path)| Stream::Waiting { least: None, path });
                (all.collect::<Vec<_>>(), 0)
            }
        };
        let mut streams = live;
        let log = self.read_logs(log, unreadable)?;
        streams.push(Stream::Memory(log.into_iter().collect::<Vec<_>>().into_iter()));
        Ok(streams)
    }
}

/// A sorted stream of versions.
#[derive(Debug)]
enum Stream {
    /// A table that is opened when its first key is due.
    Waiting {
        least: Option<Version>,
        path: PathBuf,
    },
    Table(Box<Table>),
    Memory(vec::IntoIter<Item>),
    Done,
}

impl Stream {
    /// Returns the next version. What can't be read is reported and skipped.
    fn next(&mut self, unreadable: &mut dyn FnMut(String)) -> Option<Item> {
        match self {
            Self::Waiting { path, .. } => match Table::open(path) {
                Ok(table) => {
                    *self = Self::Table(Box::new(table));
                    self.next(unreadable)
                }
                Err(reason) => {
                    unreadable(format!("{}: {reason}", path.display()));
                    *self = Self::Done;
                    None
                }
            },
            Self::Table(table) => table.next(unreadable),
            Self::Memory(items) => items.next(),
            Self::Done => None,
        }
    }
}

impl Source for LevelDb {
    fn read(
        &self,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        let mut broken = false;
        let mut unreadable = Vec::new();
        let mut streams = self.streams(&mut |what| unreadable.push(what))?;
        // The first version of each stream, or of a table that isn't open yet.
        let mut heads: BinaryHeap<Reverse<(Version, usize)>> = BinaryHeap::new();
        let mut values: Vec<Option<Option<Vec<u8>>>> = streams.iter().map(|_| None).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            match stream {
                Stream::Waiting { least: Some(least), .. } => {
                    heads.push(Reverse((least.clone(), number)));
                }
                stream => {
                    if let Some((version, value)) = stream.next(&mut |what| unreadable.push(what)) {
                        values[number] = Some(value);
                        heads.push(Reverse((version, number)));
                    }
                }
            }
        }
        let mut last: Option<Vec<u8>> = None;
        loop {
            for what in unreadable.drain(..) {
                broken |= visit(Entry::Unreadable(what)).is_break();
            }
            let Some(Reverse((version, number))) = heads.pop().filter(|_| !broken) else {
                return Ok(());
            };
            // `None` if the table is only opened now: then the version comes again.
            if let Some(value) = values[number].take()
                && last.as_ref() != Some(&version.key)
            {
                if let Some(value) = value {
                    broken |= visit(Entry::Pair(&version.key, &value)).is_break();
                }
                last = Some(version.key);
            }
            if let Some((version, value)) = streams[number].next(&mut |what| unreadable.push(what))
            {
                values[number] = Some(value);
                heads.push(Reverse((version, number)));
            }
        }
    }
}

/// Reads a varint from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(VARINT).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Reads `count` bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// Reads bytes that follow their length.
fn slice<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(bytes)?;
    take(bytes, length)
}

/// Splits an internal key into version and type.
fn version(internal: &[u8]) -> Option<(Version, bool)> {
    let (key, trailer) = internal.split_last_chunk::<8>()?;
    let trailer = u64::from_le_bytes(*trailer);
    let is_value = match trailer & 0xff {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some((Version { key: key.to_owned(), sequence: Reverse(trailer >> 8) }, is_value))
}

/// Whether a checksum fits, as LevelDB stores it: CRC-32C, rotated and shifted.
fn checksum_fits(stored: u32, parts: &[&[u8]]) -> bool {
    let crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    crc.rotate_right(15).wrapping_add(0xa282_ead8) == stored
}

#[cfg(test)]
mod tests;

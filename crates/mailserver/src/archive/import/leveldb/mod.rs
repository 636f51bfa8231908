//! A reader for a directory of LevelDB: everything once, in order, and nothing else.
//!
//! The crates that read LevelDB open it for writing (they replay the log into new tables and take
//! the directory into use), which a source of an import must not suffer. Reading alone is little:
//!
//! | what | where |
//! | --- | --- |
//! | records of a log, which the manifest is made of, too | `log.rs` |
//! | which files are live | `manifest.rs` |
//! | sorted tables, in blocks, perhaps compressed with Snappy | `table.rs` |
//! | all of it merged: of several versions of a key the last, unless it was deleted | here |
//!
//! Memory: one block of each table that is being read, of which there are few as long as the
//! manifest is readable; and the log, which is some megabytes. What a checksum refutes is told
//! and skipped. A server must not be running on the directory meanwhile: make a copy.
//!
//! Source: LevelDB, `doc/log_format.md`, `doc/table_format.md`, `doc/impl.md`.

mod log;
mod manifest;
mod table;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    vec,
};

use self::{manifest::Manifest, table::Table};
use crate::archive::{
    ArchiveError,
    import::{Entry, Source},
};

/// Most bytes that a varint takes.
const VARINT: usize = 10;

/// An archive of status-go in a directory of LevelDB.
#[derive(Debug)]
pub struct LevelDb {
    dir: PathBuf,
}

/// A version of a key: sorted by key, the last version first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    key: Vec<u8>,
    sequence: Reverse<u64>,
}

/// A version and its value; none if it was deleted.
type Item = (Version, Option<Vec<u8>>);

impl LevelDb {
    /// A directory with a file `CURRENT`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ArchiveError> {
        let dir = dir.as_ref().to_owned();
        if !dir.join("CURRENT").is_file() {
            let text = format!("{} is no directory of LevelDB: it has no CURRENT", dir.display());
            return Err(ArchiveError::Unusable(text));
        }
        Ok(Self { dir })
    }

    /// The numbers of the files with one of these endings.
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

    /// The last state of the log, in memory.
    fn read_logs(
        &self,
        from: u64,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<BTreeMap<Version, Option<Vec<u8>>>, ArchiveError> {
        let mut entries = BTreeMap::new();
        for (_, path) in self.files(&["log"])?.into_iter().filter(|(number, _)| *number >= from) {
            match fs::read(&path) {
                Ok(bytes) => log::records(&bytes, |at, record| {
                    let batch = record.and_then(|record| log::batch(&record, &mut entries));
                    if let Err(reason) = batch {
                        unreadable(format!("{} at {at}: {reason}", path.display()));
                    }
                }),
                Err(error) => unreadable(format!("{}: {error}", path.display())),
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
            // Then all there is: what was deleted may come back, which does an archive no harm.
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

/// A sorted sequence of versions.
#[derive(Debug)]
enum Stream {
    /// A table that isn't opened before its first key comes.
    Waiting {
        least: Option<Version>,
        path: PathBuf,
    },
    Table(Box<Table>),
    Memory(vec::IntoIter<Item>),
    Done,
}

impl Stream {
    /// The next version. What can't be read is told and skipped.
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
        // The first version of each stream, or where a table begins that isn't open.
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
            // None if the table is to be opened only now: then the version comes again.
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

/// Reads bytes with their length before them.
fn slice<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(bytes)?;
    take(bytes, length)
}

/// Takes a key with its trailer of sequence and type apart.
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

/// Whether a checksum as LevelDB stores it (CRC-32C, rotated and shifted) fits.
fn checksum_fits(stored: u32, parts: &[&[u8]]) -> bool {
    let crc = parts
        .iter()
        .flat_map(|part| *part)
        .fold(!0_u32, |crc, byte| CRC[usize::from(crc as u8 ^ byte)] ^ (crc >> 8));
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8) == stored
}

/// The table of CRC-32C (Castagnoli), reflected.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { 0x82f6_3b78 } else { 0 });
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
};

/// Reads a file that is small.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let most = 64 << 20;
    if fs::metadata(path)?.len() > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    fs::read(path)
}

#[cfg(test)]
mod tests;

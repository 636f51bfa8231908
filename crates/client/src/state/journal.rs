//! The journal: one file with every record, and an index of it in memory.
//!
//! | entry | layout |
//! | --- | --- |
//! | every | id (16), length (4), number (8), hash (16), body |
//! | first | body: number of entries and of bytes at creation, [header](super::seal) |
//! | other | body: names, each with its new value, or with none if it was deleted |
//!
//! The hash is the first half of the SHA-256 of the entry without the hash. The id starts with
//! [`MAGIC`]; the rest is random, so that a peer can't forge an entry in a message.
//!
//! A journal is created with the records of its predecessor, followed by zeros as room for commits.
//! The file never grows, so one `fdatasync` makes a commit durable. Once the room is used up, the
//! next journal replaces it.
//!
//! A commit returns before the next one is written, so a crash can cut off only the last entry. Any
//! other damage is an error: going on from an older state would reuse message keys.
//!
//! | found | meaning |
//! | --- | --- |
//! | a bad first entry, a wrong length, or fewer entries than at creation | damage |
//! | a bad entry, and this journal's id after its head | damage: a later entry was written |
//! | a later entry in the place of the next | damage |
//! | a bad entry with a good head, and more than zeros after its end | damage: a later entry was written |
//! | any other bad entry | the last entry, cut off: its commit never returned |

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use statuskit_core::secure::store::{
    Record, StoreError,
    codec::{Reader, Writer},
};
use zeroize::Zeroizing;

use super::{
    files::{JOURNAL, NEW, ZEROS, io_error, open_private, write_zeros},
    seal::system_rng,
};

/// The start of every id.
const MAGIC: [u8; 8] = *b"statusk3";

/// The least room for commits.
const ROOM: u64 = 1 << 20;
/// About how many bytes of records share an entry of a new journal.
const BATCH: usize = 1 << 18;

const HEAD: usize = 44;
const LENGTH: Range<usize> = 16..20;
/// After the length: if a write got as far as the number, the length is whole.
const NUMBER: Range<usize> = 20..28;
const HASH: Range<usize> = 28..HEAD;

pub(super) type Id = [u8; 16];

/// An entry whose head is still empty.
pub(super) type Draft = Zeroizing<Vec<u8>>;

pub(super) struct Journal {
    file: File,
    path: PathBuf,
    id: Id,
    pub header: Vec<u8>,
    /// Number of the next entry, counted from 1.
    number: u64,
    /// Offset of the next entry.
    pub end: u64,
    length: u64,
    /// The places of the values in the file.
    index: BTreeMap<Vec<u8>, Range<u64>>,
}

impl Journal {
    /// Creates a [`NEW`] journal with these records and room for at least `more` bytes. The file
    /// is durable when this returns; its name is not.
    pub fn create(
        dir: &Path,
        header: &[u8],
        records: impl IntoIterator<Item = Result<(Vec<u8>, Record), StoreError>>,
        more: u64,
    ) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        system_rng()?.fill_bytes(&mut id);
        id[..MAGIC.len()].copy_from_slice(&MAGIC);
        let (path, file) = (dir.join(JOURNAL), open_private(&dir.join(NEW))?);
        file.set_len(0).map_err(io_error("write", &path))?;
        let (header, index) = (header.to_vec(), BTreeMap::new());
        let mut journal = Self { file, path, id, header, number: 2, end: 0, length: 0, index };
        // The first entry is written last, because it counts the others.
        journal.end = journal.first().len() as u64;
        let (mut batch, mut size) = (Vec::new(), 0);
        for record in records {
            let (name, value) = record?;
            size += value.len();
            batch.push((name, value));
            if size >= BATCH {
                journal.put(draft(&batch), false)?;
                (batch, size) = (Vec::new(), 0);
            }
        }
        journal.put(draft(&batch), false)?;
        journal.length = journal.end + journal.end.max(ROOM).max(more);
        let mut first = journal.first();
        stamp(&mut first, &journal.id, 1);
        write_zeros(&journal.file, journal.end, journal.length)
            .and_then(|()| journal.file.write_all_at(&first, 0))
            .and_then(|()| journal.file.sync_all())
            .map_err(io_error("write", &journal.path))?;
        Ok(journal)
    }

    /// Opens a journal. `None` if there is none of this version.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::find(path, true)
    }

    /// Opens a journal to read it. Nothing is written, not even over a commit that was cut off.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::find(path, false)
    }

    fn find(path: &Path, repairs: bool) -> Result<Option<Self>, StoreError> {
        let file = match OpenOptions::new().read(true).write(repairs).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io_error("open", path))?,
        };
        let mut entries = Entries::new(&file, path, Id::default())?;
        let id = entries.peek(16)?.first_chunk().copied().unwrap_or_default();
        if !id.starts_with(&MAGIC) {
            return Ok(None);
        }
        entries.id = id;
        let Some((_, first)) = entries.next()? else {
            return Err(damaged(path, "its first entry is damaged"));
        };
        let mut reader = Reader::new("journal", &first[HEAD..]);
        let (count, length, header) = (reader.u64()?, reader.u64()?, reader.bytes()?.to_vec());
        reader.finish()?;
        let mut index = BTreeMap::new();
        while let Some((begin, entry)) = entries.next()? {
            update(&mut index, begin, entry)?;
        }
        if entries.number <= count {
            return Err(damaged(path, "a record that it was created with is damaged"));
        }
        if entries.length != length {
            return Err(damaged(path, "its length has changed"));
        }
        let is_cut_off = entries.is_cut_off()?;
        let (number, end) = (entries.number, entries.end);
        if is_cut_off && repairs {
            // Zeros must follow the next entry.
            write_zeros(&file, end, length)
                .and_then(|()| file.sync_data())
                .map_err(io_error("write", path))?;
        }
        Ok(Some(Self { file, path: path.to_owned(), id, header, number, end, length, index }))
    }

    /// Reads the value of a name.
    pub fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreError> {
        self.index.get(name).map(|place| self.read(place)).transpose()
    }

    /// Reads all values whose names start with `prefix`, in the order of the names.
    pub fn scan(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Record), StoreError>> {
        self.index
            .range(prefix.to_vec()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, place)| Ok((name.clone(), self.read(place)?)))
    }

    /// Returns whether an entry fits into the room that is left.
    pub fn has_room(&self, entry: &Draft) -> bool {
        self.end + entry.len() as u64 <= self.length
    }

    /// Writes an entry; it must [fit](Self::has_room).
    pub fn put(&mut self, mut entry: Draft, durably: bool) -> Result<(), StoreError> {
        stamp(&mut entry, &self.id, self.number);
        let written = self.file.write_all_at(&entry, self.end);
        let synced = written.and_then(|()| if durably { self.file.sync_data() } else { Ok(()) });
        synced.map_err(io_error("write", &self.path))?;
        update(&mut self.index, self.end, &entry)?;
        self.number += 1;
        self.end += entry.len() as u64;
        Ok(())
    }

    fn read(&self, place: &Range<u64>) -> Result<Record, StoreError> {
        let mut value = Zeroizing::new(vec![0; (place.end - place.start) as usize]);
        let read = self.file.read_exact_at(&mut value, place.start);
        read.map_err(io_error("read", &self.path))?;
        Ok(value)
    }

    /// Returns the first entry, which tells how the journal was created.
    fn first(&self) -> Draft {
        let mut writer = Writer::default();
        writer.array(&[0; HEAD]);
        writer.u64(self.number - 1);
        writer.u64(self.length);
        writer.bytes(&self.header);
        writer.finish()
    }
}

/// Returns an entry that sets names to new values.
fn draft(records: &[(Vec<u8>, Record)]) -> Draft {
    draft_changes(records.iter().map(|(name, value)| (&name[..], Some(&value[..]))))
}

/// Returns an entry of changes: names with their new values, or with `None` to delete them.
pub(super) fn draft_changes<'a>(
    changes: impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Draft {
    let mut writer = Writer::default();
    writer.array(&[0; HEAD]);
    writer.u32(changes.len() as u32);
    for (name, value) in changes {
        writer.bytes(name);
        writer.opt(value, Writer::bytes);
    }
    writer.finish()
}

/// Visits the changes of an entry: names with their new values, and the offsets of these.
pub(super) fn read_changes(
    entry: &[u8],
    mut visit: impl FnMut(&[u8], Option<(usize, &[u8])>),
) -> Result<(), StoreError> {
    let mut reader = Reader::new("journal", &entry[HEAD..]);
    let mut at = HEAD + 4;
    for _ in 0..reader.u32()? {
        let name = reader.bytes()?;
        let value = reader.opt(Reader::bytes)?;
        at += 4 + name.len() + 1;
        visit(name, value.map(|value| (at + 4, value)));
        at += value.map_or(0, |value| 4 + value.len());
    }
    reader.finish()
}

/// Updates an index with an entry that starts at `begin`.
fn update(
    index: &mut BTreeMap<Vec<u8>, Range<u64>>,
    begin: u64,
    entry: &[u8],
) -> Result<(), StoreError> {
    read_changes(entry, |name, value| match value {
        Some((at, value)) => {
            let at = begin + at as u64;
            index.insert(name.to_vec(), at..at + value.len() as u64);
        }
        None => _ = index.remove(name),
    })
}

/// Reads the entries of a journal in order.
pub(super) struct Entries<'a> {
    file: &'a File,
    path: &'a Path,
    id: Id,
    /// Number of the next entry, counted from 1.
    pub number: u64,
    /// Offset of the next entry.
    end: u64,
    /// Length of the file.
    pub length: u64,
    /// Starts with the bytes of `loaded`.
    window: Zeroizing<Vec<u8>>,
    /// The part of the file that was read last.
    loaded: Range<u64>,
}

impl<'a> Entries<'a> {
    pub fn new(file: &'a File, path: &'a Path, id: Id) -> Result<Self, StoreError> {
        let length = file.metadata().map_err(io_error("read", path))?.len();
        let (window, loaded) = (Zeroizing::default(), 0..0);
        Ok(Self { file, path, id, number: 1, end: 0, length, window, loaded })
    }

    /// Reads the next entry, and its offset. `None` if there is no good one.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, StoreError> {
        let begin = self.end;
        let head = self.peek(HEAD as u64)?;
        let head = head.first_chunk::<HEAD>().copied();
        let Some(length) = head.and_then(|head| self.length_of_next(&head)) else {
            return Ok(None);
        };
        let entry = self.peek(length)?;
        if entry[HASH] != hash(entry) {
            return Ok(None);
        }
        self.number += 1;
        self.end += length;
        let at = (begin - self.loaded.start) as usize;
        Ok(Some((begin, &self.window[at..at + length as usize])))
    }

    /// Returns whether an entry was cut off after the last good one.
    ///
    /// # Errors
    ///
    /// If the bad entry can't be the last one that was written.
    pub fn is_cut_off(&mut self) -> Result<bool, StoreError> {
        let (mut at, mut used) = (self.end, self.end);
        while at < self.length {
            let length = (self.length - at).min(ZEROS.len() as u64) as usize;
            let piece = self.load(at, length)?;
            at += length as u64;
            if *piece != ZEROS[..length] {
                used = at;
            }
        }
        let used = (used - self.end) as usize;
        self.load(self.end, used)?;
        let rest = &self.window[..used];
        // Cutting off makes a number lower, never higher.
        let later = rest.starts_with(&self.id)
            && rest.get(NUMBER).is_some_and(|number| *number > self.number.to_be_bytes()[..]);
        let another = rest.windows(self.id.len()).skip(1).any(|window| window == self.id);
        let end = self.length_of_next(rest).map_or(rest.len(), |length| length as usize);
        if later || another || rest.iter().skip(end).any(|byte| *byte != 0) {
            return Err(damaged(self.path, "an entry before the last one is damaged"));
        }
        Ok(!rest.is_empty())
    }

    /// Returns the next bytes, as far as the file has them.
    fn peek(&mut self, length: u64) -> Result<&[u8], StoreError> {
        let rest = self.length - self.end;
        let length = length.min(rest) as usize;
        let from = (self.end - self.loaded.start) as usize;
        if self.end + length as u64 <= self.loaded.end {
            return Ok(&self.window[from..from + length]);
        }
        let more = length.max(rest.min(ZEROS.len() as u64) as usize);
        Ok(&self.load(self.end, more)?[..length])
    }

    /// Reads a part of the file.
    fn load(&mut self, at: u64, length: usize) -> Result<&[u8], StoreError> {
        if self.window.len() < length {
            self.window = Zeroizing::new(vec![0; length]);
        }
        let part = &mut self.window[..length];
        self.file.read_exact_at(part, at).map_err(io_error("read", self.path))?;
        self.loaded = at..at + length as u64;
        Ok(part)
    }

    /// Returns the length of the next entry if its head is good.
    fn length_of_next(&self, head: &[u8]) -> Option<u64> {
        let length = u32::from_be_bytes(head.get(LENGTH)?.try_into().ok()?);
        let fits = (HEAD as u64..=self.length - self.end).contains(&length.into());
        let is_next = head.starts_with(&start(&self.id, length, self.number));
        (fits && is_next).then_some(length.into())
    }
}

/// Fills in the head of an entry.
fn stamp(entry: &mut [u8], id: &Id, number: u64) {
    let start = start(id, entry.len() as u32, number);
    entry[..HASH.start].copy_from_slice(&start);
    let hash = hash(entry);
    entry[HASH].copy_from_slice(&hash);
}

/// Returns a head without the hash.
fn start(id: &Id, length: u32, number: u64) -> [u8; HASH.start] {
    let mut start = [0; HASH.start];
    start[..LENGTH.start].copy_from_slice(id);
    start[LENGTH].copy_from_slice(&length.to_be_bytes());
    start[NUMBER].copy_from_slice(&number.to_be_bytes());
    start
}

/// Returns the first half of the SHA-256 of an entry without its hash.
fn hash(entry: &[u8]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(&entry[..HASH.start]).chain_update(&entry[HASH.end..]);
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

pub(super) fn damaged(path: &Path, why: &'static str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), why: why.into() }
}

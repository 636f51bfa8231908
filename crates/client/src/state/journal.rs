//! The journal: a file of fixed size into which commits are written one after the other.
//!
//! A record is `id (16) || length (4) || number (8) || hash (16) || changes`; the hash is of the
//! rest. The id is drawn anew whenever the journal begins, and stands in the database: what was
//! left from before is not of this journal, and nobody who only sends messages can make up a
//! record of it. Since the file's size and place never change, a commit needs no more than that
//! its bytes reach the disk.
//!
//! A journal begins as zeros and an empty first record. A commit returns before the next one is
//! written, so only the last record can have been cut off, and behind it there are zeros. Anything
//! else is damage: to go on from there would use message keys a second time.
//!
//! | found | what it is |
//! | --- | --- |
//! | no file, another size, no first record | damage |
//! | a bad record, and the id of this journal somewhere behind its head | damage: one was written after it |
//! | a later record in the place of the next | damage |
//! | a bad record with a good head, and more than zeros behind its end | damage, for the same reason |
//! | any other bad record | the last one, cut off: its commit never returned |

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use statuskit_core::{
    crypto::hash::sha256,
    secure::store::codec::{Reader, Writer},
};

use crate::state::{StoreError, Stored, io_error, private_file};

/// Size of the file.
pub(super) const SIZE: usize = 1 << 20;

/// Names a journal from its beginning to the next.
pub(super) type Id = [u8; 16];

const HEAD: usize = 44;
const LENGTH: std::ops::Range<usize> = 16..20;
/// Behind the length: where a number that fits was cut off, the length was not.
const NUMBER: std::ops::Range<usize> = 20..28;
const HASH: std::ops::Range<usize> = 28..HEAD;

pub(super) struct Journal {
    file: File,
    path: PathBuf,
    id: Id,
    /// Of the next record; the first has 1.
    number: u64,
    /// Of the next record.
    offset: usize,
}

impl Journal {
    /// Makes the file, or begins anew in the one that is there; nothing in it counts any more.
    pub fn create(path: &Path, id: Id) -> Result<Self, StoreError> {
        let file = private_file(path).map_err(io_error("open", path))?;
        file.set_len(SIZE as u64).map_err(io_error("write", path))?;
        let mut journal = Self { file, path: path.to_owned(), id, number: 1, offset: 0 };
        journal.restart(id)?;
        Ok(journal)
    }

    /// Opens the journal that has this id, and gives what it holds.
    pub fn open(path: &Path, id: Id) -> Result<(Self, Stored), StoreError> {
        let damaged =
            |why: &'static str| StoreError::Damaged { path: path.to_owned(), why: why.into() };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is not there"));
            }
            file => file.map_err(io_error("open", path))?,
        };
        let mut bytes = Vec::with_capacity(SIZE + 1);
        let read = (&file).take(SIZE as u64 + 1).read_to_end(&mut bytes);
        read.map_err(io_error("read", path))?;
        if bytes.len() != SIZE {
            return Err(damaged("it has another length than it was made with"));
        }
        let mut journal = Self { file, path: path.to_owned(), id, number: 1, offset: 0 };
        let mut stored = Stored::new();
        while let Some(record) = journal.record(&bytes) {
            stored.extend(read_changes(&record[HEAD..])?);
            journal.number += 1;
            journal.offset += record.len();
        }
        if journal.number == 1 {
            return Err(damaged("its first record is not as it was written"));
        }
        let rest = &mut bytes[journal.offset..];
        if rest.iter().any(|byte| *byte != 0) {
            if journal.goes_on(rest) {
                return Err(damaged("a record before its last one is not as it was written"));
            }
            // So that behind the next record there are zeros again.
            rest.fill(0);
            let written = journal.file.write_all_at(rest, journal.offset as u64);
            written
                .and_then(|()| journal.file.sync_data())
                .map_err(io_error("write", &journal.path))?;
        }
        Ok((journal, stored))
    }

    /// Begins again, after what it held has gone to the database: overwrites all of it.
    pub fn restart(&mut self, id: Id) -> Result<(), StoreError> {
        (self.id, self.number, self.offset) = (id, 1, 0);
        let first = self.make(&Stored::new());
        let mut bytes = vec![0; SIZE];
        bytes[..first.len()].copy_from_slice(&first);
        let written = self.file.write_all_at(&bytes, 0).and_then(|()| self.file.sync_all());
        written.map_err(io_error("write", &self.path))?;
        (self.number, self.offset) = (2, first.len());
        Ok(())
    }

    /// Writes a commit, durably. `false` if there is no room for it.
    pub fn append(&mut self, changes: &Stored) -> Result<bool, StoreError> {
        let record = self.make(changes);
        if self.offset + record.len() > SIZE {
            return Ok(false);
        }
        let written = self.file.write_all_at(&record, self.offset as u64);
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(io_error("write", &self.path))?;
        self.number += 1;
        self.offset += record.len();
        Ok(true)
    }

    /// Where the next record will stand.
    #[cfg(test)]
    pub fn end(&self) -> usize {
        self.offset
    }

    /// The next record.
    fn make(&self, changes: &Stored) -> Vec<u8> {
        let mut record = vec![0; HEAD];
        record.extend_from_slice(&write_changes(changes).finish());
        self.head(record.len(), &mut record);
        let hash = hash(&record);
        record[HASH].copy_from_slice(&hash);
        record
    }

    /// What the next record begins with, if it has this length.
    fn head(&self, length: usize, head: &mut [u8]) {
        head[..LENGTH.start].copy_from_slice(&self.id);
        head[LENGTH].copy_from_slice(&(length as u32).to_be_bytes());
        head[NUMBER].copy_from_slice(&self.number.to_be_bytes());
    }

    /// The length of the next record, if its head is good.
    fn length(&self, rest: &[u8]) -> Option<usize> {
        let length = u32::from_be_bytes(rest.get(LENGTH)?.try_into().ok()?) as usize;
        let mut head = [0; HASH.start];
        self.head(length, &mut head);
        let is_good = rest.starts_with(&head) && (HEAD..=rest.len()).contains(&length);
        is_good.then_some(length)
    }

    /// The next record, if there is a whole one.
    fn record<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = bytes.get(self.offset..)?;
        let record = rest.get(..self.length(rest)?)?;
        (record[HASH] == hash(record)).then_some(record)
    }

    /// Whether there was more than the record that `rest` begins with, which is a bad one.
    fn goes_on(&self, rest: &[u8]) -> bool {
        // Cut off, the number could only be lower.
        let later = rest.starts_with(&self.id)
            && rest.get(NUMBER).is_some_and(|number| *number > self.number.to_be_bytes()[..]);
        let another = rest.windows(self.id.len()).skip(1).any(|window| window == self.id);
        let end = self.length(rest).unwrap_or(rest.len());
        later || another || rest[end..].iter().any(|byte| *byte != 0)
    }
}

/// The first half of the SHA-256 of a record without its hash.
fn hash(record: &[u8]) -> [u8; 16] {
    let (head, rest) = record.split_at(HASH.start);
    let hash = sha256(&[head, &rest[HASH.len()..]].concat());
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

fn write_changes(changes: &Stored) -> Writer {
    let mut writer = Writer::default();
    writer.u32(changes.len() as u32);
    for (name, record) in changes {
        writer.bytes(name);
        writer.opt(record.as_deref(), Writer::bytes);
    }
    writer
}

fn read_changes(bytes: &[u8]) -> Result<Stored, StoreError> {
    let mut reader = Reader::new("journal", bytes);
    let mut changes = Stored::new();
    for _ in 0..reader.u32()? {
        let name = reader.bytes()?.to_vec();
        let record = reader.opt(|reader| reader.bytes().map(<[u8]>::to_vec))?;
        changes.insert(name, record);
    }
    reader.finish()?;
    Ok(changes)
}

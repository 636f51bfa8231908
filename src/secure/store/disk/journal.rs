//! The journal: a file of fixed size into which commits are written one after the other.
//!
//! A record is `epoch (8) || number (8) || length (4) || hash (16) || changes`; the hash is of the
//! rest. The epoch is counted up whenever the journal starts anew, and stands in the database: a
//! record of another epoch, or out of order, was left from before. Since the file's size and place
//! never change, a commit needs no more than that its bytes reach the disk.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{StoreError, Stored, io_error, private_file};
use crate::{
    crypto::hash::sha256,
    secure::store::codec::{Reader, Writer},
};

/// Size of the file.
pub(super) const SIZE: usize = 1 << 20;

const HEAD: usize = 36;
const HASH: std::ops::Range<usize> = 20..HEAD;

pub(super) struct Journal {
    file: File,
    path: PathBuf,
    epoch: u64,
    /// Of the next record.
    number: u64,
    /// Of the next record.
    offset: usize,
}

impl Journal {
    /// Opens the journal, and gives what it holds of this epoch.
    pub fn open(path: &Path, epoch: u64) -> Result<(Self, Stored), StoreError> {
        let mut file = private_file(path).map_err(io_error("open", path))?;
        let mut bytes = Vec::with_capacity(SIZE);
        // A longer file is not one of ours; what we read of it decides.
        let read = (&mut file).take(SIZE as u64).read_to_end(&mut bytes);
        read.map_err(io_error("read", path))?;
        if bytes.len() < SIZE {
            bytes.resize(SIZE, 0);
            let written = file.write_all_at(&bytes, 0).and_then(|()| file.sync_all());
            written.map_err(io_error("write", path))?;
        }
        let mut journal = Self { file, path: path.to_owned(), epoch, number: 0, offset: 0 };
        let mut stored = Stored::new();
        while let Some(changes) = journal.record(&bytes) {
            stored.extend(read_changes(&changes[HEAD..])?);
            journal.number += 1;
            journal.offset += changes.len();
        }
        Ok((journal, stored))
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins again, after what it held has gone to the database.
    pub fn restart(&mut self, epoch: u64) {
        (self.epoch, self.number, self.offset) = (epoch, 0, 0);
    }

    /// Writes a commit, durably. `false` if there is no room for it.
    pub fn append(&mut self, changes: &Stored) -> Result<bool, StoreError> {
        let mut record = vec![0; HEAD];
        record.extend_from_slice(&write_changes(changes).finish());
        if self.offset + record.len() > SIZE {
            return Ok(false);
        }
        self.head(record.len(), &mut record);
        let hash = hash(&record);
        record[HASH].copy_from_slice(&hash);
        let written = self.file.write_all_at(&record, self.offset as u64);
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(io_error("write", &self.path))?;
        self.number += 1;
        self.offset += record.len();
        Ok(true)
    }

    /// What the next record begins with, if it has this length.
    fn head(&self, length: usize, head: &mut [u8]) {
        head[..8].copy_from_slice(&self.epoch.to_be_bytes());
        head[8..16].copy_from_slice(&self.number.to_be_bytes());
        head[16..20].copy_from_slice(&(length as u32).to_be_bytes());
    }

    /// The next record, if there is a whole one.
    fn record<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = bytes.get(self.offset..)?;
        let length = u32::from_be_bytes(rest.get(16..20)?.try_into().ok()?) as usize;
        let record = rest.get(..length).filter(|record| record.len() >= HEAD)?;
        let mut head = [0; HASH.start];
        self.head(length, &mut head);
        (record[..HASH.start] == head && record[HASH] == hash(record)).then_some(record)
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

//! States of version 0.1: an LMDB database, and a journal of fixed size in front of it.
//!
//! The database holds the records, the header of the [seal](super::seal) and the id of the journal.
//! It is read without LMDB, which a damaged file could crash. The journal holds the last commits, in
//! entries like those of [`journal`](super::journal); the first one is empty.
//!
//! Conversion copies the records as they are stored. Then the old files are overwritten and removed.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use statuskit_core::secure::store::{Record, StoreError};
use statuskit_lmdb::{
    making::{self, DATA, READING},
    structure,
};
use zeroize::Zeroizing;

use super::{
    files::{JOURNAL, erase, io_error},
    journal::{Entries, Id, damaged, read_changes},
};

/// The length of the journal.
const JOURNAL_LENGTH: u64 = 1 << 20;

/// Names of the database's own records.
const HEADER: &[u8] = &[0];
const JOURNAL_STATE: &[u8] = &[1];
/// First of the five bytes in names of zeros, which an interrupted wipe has left.
const FILLER: u8 = 2;

/// The content of a state of version 0.1, as it was stored.
pub(super) struct Legacy {
    pub header: Vec<u8>,
    pub records: BTreeMap<Vec<u8>, Record>,
}

/// Returns whether there is a state, whole or in part.
pub(super) fn is_there(dir: &Path) -> Result<bool, StoreError> {
    let data = dir.join(DATA);
    // LMDB's first pages without a journal never held a record.
    let begun = making::is_begun(&data).map_err(io_error("read", &data))?;
    Ok(!begun || dir.join(JOURNAL).exists())
}

/// Reads a state. `None` if its creation was interrupted.
pub(super) fn read(dir: &Path) -> Result<Option<Legacy>, StoreError> {
    let (data, journal) = (dir.join(DATA), dir.join(JOURNAL));
    let unfinished = || match journal.exists() {
        true => Err(damaged(&journal, "it is not the journal of a state")),
        false => Ok(None),
    };
    if making::is_begun(&data).map_err(io_error("read", &data))? {
        return unfinished();
    }
    let mut records = BTreeMap::new();
    let faults = structure::read_records(&data, &mut |name, value| {
        records.insert(name.to_vec(), Zeroizing::new(value.to_vec()));
    });
    if let Some(why) = faults.map_err(io_error("read", &data))?.summary() {
        return Err(StoreError::Damaged { path: data, why: why.into() });
    }
    let Some(header) = records.remove(HEADER) else { return unfinished() };
    let state = records.remove(JOURNAL_STATE).unwrap_or_default();
    let Some((id, [begun @ (0 | 1)])) = state.split_first_chunk() else {
        return Err(StoreError::Corrupt { what: "name of the journal" });
    };
    records.retain(|name, _| name.len() != 5 || name[0] != FILLER);
    // Before that, the journal had no commits.
    if *begun == 1 {
        read_journal(&journal, *id, &mut records)?;
    }
    Ok(Some(Legacy { header: header.to_vec(), records }))
}

/// Applies the commits in the journal to the records.
fn read_journal(
    path: &Path,
    id: Id,
    records: &mut BTreeMap<Vec<u8>, Record>,
) -> Result<(), StoreError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(path, "it is missing"));
        }
        file => file.map_err(io_error("open", path))?,
    };
    let mut entries = Entries::new(&file, path, id)?;
    if entries.length != JOURNAL_LENGTH {
        return Err(damaged(path, "its length has changed"));
    }
    while let Some((_, entry)) = entries.next()? {
        read_changes(entry, |name, value| match value {
            Some((_, value)) => _ = records.insert(name.to_vec(), Zeroizing::new(value.to_vec())),
            None => _ = records.remove(name),
        })?;
    }
    if entries.number == 1 {
        return Err(damaged(path, "its first entry is damaged"));
    }
    // The commit of an entry that was cut off never returned.
    entries.is_cut_off().map(|_| ())
}

/// Overwrites and removes the files of the database.
pub(super) fn erase_database(dir: &Path) -> Result<(), StoreError> {
    erase(&dir.join(DATA))?;
    erase(&dir.join(READING))
}

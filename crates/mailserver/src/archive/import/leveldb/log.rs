//! The log: records in blocks of 32 KiB, and the batches in them.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::archive::import::leveldb::{Version, checksum_fits, slice, take};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// The most bytes of a record. LevelDB itself writes some megabytes at most.
const LARGEST: usize = 64 << 20;

/// Reads the records of a log block by block, and passes on each with its offset, or why it can't
/// be read. A record may span several blocks, in fragments: 1 all of it, 2 its first, 3 a middle,
/// 4 its last.
///
/// # Errors
/// If the file can't be read, or not any further.
pub(super) fn records(
    path: &Path,
    mut each: impl FnMut(u64, Result<Vec<u8>, String>),
) -> io::Result<()> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut block = Vec::with_capacity(BLOCK);
    let mut open: Option<(u64, Vec<u8>)> = None;
    for start in (0..).step_by(BLOCK) {
        block.clear();
        file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            break;
        }
        records_of(&block, start, len, &mut open, &mut each);
    }
    if let Some((start, _)) = open {
        each(start, Err("the last record is cut off".to_owned()));
    }
    Ok(())
}

/// Reads the records of a block, and of what is open from those before.
fn records_of(
    block: &[u8],
    start: u64,
    len: u64,
    open: &mut Option<(u64, Vec<u8>)>,
    each: &mut dyn FnMut(u64, Result<Vec<u8>, String>),
) {
    let mut at = 0;
    // What is shorter than a header is filled up with zeros.
    while let Some((header, rest)) = block[at..].split_first_chunk::<HEADER>() {
        let offset = start + at as u64;
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        if (kind, length) == (0, 0) {
            // Space that was reserved and not written.
            return;
        }
        let fragment = rest.get(..length).filter(|fragment| {
            checksum_fits(u32::from_le_bytes([c0, c1, c2, c3]), &[&[kind], fragment])
        });
        let Some(fragment) = fragment else {
            *open = None;
            // The last record is cut off if its writer was.
            let reason = if offset + (HEADER + length) as u64 > len {
                "the last record is cut off"
            } else {
                "the checksum doesn't fit"
            };
            return each(offset, Err(reason.to_owned()));
        };
        at += HEADER + length;
        match (kind, &mut *open) {
            (1, None) => each(offset, Ok(fragment.to_vec())),
            (2, None) => *open = Some((offset, fragment.to_vec())),
            (3 | 4, Some((start, record))) if record.len() + length > LARGEST => {
                each(*start, Err(format!("a record of more than {LARGEST} bytes")));
                *open = None;
            }
            (3, Some((_, record))) => record.extend_from_slice(fragment),
            (4, Some((start, record))) => {
                record.extend_from_slice(fragment);
                let (start, record) = (*start, std::mem::take(record));
                *open = None;
                each(start, Ok(record));
            }
            _ => {
                *open = (kind == 2).then(|| (offset, fragment.to_vec()));
                each(offset, Err("a fragment without the others".to_owned()));
                if kind == 1 {
                    each(offset, Ok(fragment.to_vec()));
                }
            }
        }
    }
}

/// Adds the entries of a batch to a map, all or none, and returns the bytes of their keys and
/// values.
pub(super) fn batch(
    record: &[u8],
    entries: &mut BTreeMap<Version, Option<Vec<u8>>>,
) -> Result<usize, String> {
    let bad = || "not a batch".to_owned();
    let (head, mut rest) = record.split_first_chunk::<12>().ok_or_else(bad)?;
    let [s0, s1, s2, s3, s4, s5, s6, s7, count @ ..] = *head;
    let first = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let count = u32::from_le_bytes(count);
    let mut new = Vec::new();
    for number in 0..u64::from(count) {
        let (key, value) = match take(&mut rest, 1) {
            Some([0]) => (slice(&mut rest).ok_or_else(bad)?, None),
            Some([1]) => {
                let key = slice(&mut rest).ok_or_else(bad)?;
                (key, Some(slice(&mut rest).ok_or_else(bad)?.to_vec()))
            }
            _ => return Err(bad()),
        };
        let sequence = Reverse(first.checked_add(number).ok_or_else(bad)?);
        new.push((Version { key: key.to_vec(), sequence }, value));
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    entries.extend(new);
    Ok(record.len())
}

//! The log: records in blocks of 32 KiB, and the batches in them.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::archive::import::leveldb::{Version, checksum_fits, slice, take};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;

/// Hands over the records of a log with where they begin, and why one can't be read. A record may
/// go over several blocks, in fragments: 1 all of it, 2 its first, 3 a middle, 4 its last.
pub(super) fn records(file: &[u8], mut each: impl FnMut(usize, Result<Vec<u8>, String>)) {
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (number, block) in file.chunks(BLOCK).enumerate() {
        let mut at = 0;
        // What is shorter than a header is filled up with zeros.
        while let Some((header, rest)) = block[at..].split_first_chunk::<HEADER>() {
            let offset = number * BLOCK + at;
            let [c0, c1, c2, c3, l0, l1, kind] = *header;
            let length = usize::from(u16::from_le_bytes([l0, l1]));
            if (kind, length) == (0, 0) {
                // Space that was reserved and not written.
                break;
            }
            let fragment = rest.get(..length).filter(|fragment| {
                checksum_fits(u32::from_le_bytes([c0, c1, c2, c3]), &[&[kind], fragment])
            });
            let Some(fragment) = fragment else {
                open = None;
                // The last record of a log may be cut, as the program that wrote it was.
                let reason = if offset + HEADER + length > file.len() {
                    "the last record is cut off"
                } else {
                    "the checksum doesn't fit"
                };
                each(offset, Err(reason.to_owned()));
                break;
            };
            at += HEADER + length;
            match (kind, &mut open) {
                (1, None) => each(offset, Ok(fragment.to_vec())),
                (2, None) => open = Some((offset, fragment.to_vec())),
                (3, Some((_, record))) => record.extend_from_slice(fragment),
                (4, Some((start, record))) => {
                    record.extend_from_slice(fragment);
                    let (start, record) = (*start, std::mem::take(record));
                    open = None;
                    each(start, Ok(record));
                }
                _ => {
                    open = (kind == 2).then(|| (offset, fragment.to_vec()));
                    each(offset, Err("a fragment without the others".to_owned()));
                    if kind == 1 {
                        each(offset, Ok(fragment.to_vec()));
                    }
                }
            }
        }
    }
    if let Some((start, _)) = open {
        each(start, Err("the last record is cut off".to_owned()));
    }
}

/// Reads a batch of a log into a map: all of it or nothing.
pub(super) fn batch(
    record: &[u8],
    entries: &mut BTreeMap<Version, Option<Vec<u8>>>,
) -> Result<(), String> {
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
    Ok(())
}

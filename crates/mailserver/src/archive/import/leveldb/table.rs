//! Sorted tables: blocks of entries, an index of them, and a footer that says where it is.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    vec,
};

use crate::archive::import::leveldb::{Item, checksum_fits, take, varint, version};

const FOOTER: u64 = 48;
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// The length of a block's type and checksum.
const TRAILER: u64 = 5;
/// The most bytes of a block, compressed or not. Blocks have some kilobytes, or one long value.
const LARGEST: u64 = 64 << 20;

/// Keys and values of a block.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A table, read from the front.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    file: File,
    length: u64,
    blocks: vec::IntoIter<Handle>,
    block: vec::IntoIter<(Vec<u8>, Vec<u8>)>,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: u64,
    size: u64,
}

impl Handle {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { offset: varint(bytes)?, size: varint(bytes)? })
    }
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let start = length.checked_sub(FOOTER).ok_or("too short for a table")?;
        let mut footer = [0; FOOTER as usize];
        file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
        file.read_exact(&mut footer).map_err(|error| error.to_string())?;
        let (mut handles, magic) = footer.split_last_chunk::<8>().ok_or("no footer")?;
        if u64::from_le_bytes(*magic) != MAGIC {
            return Err("not a table: its last bytes are not those of one".to_owned());
        }
        Handle::read(&mut handles).ok_or("no handle in the footer")?;
        let index = Handle::read(&mut handles).ok_or("no handle in the footer")?;
        let (blocks, block) = (Vec::new().into_iter(), Vec::new().into_iter());
        let mut table = Self { path: path.to_owned(), file, length, blocks, block };
        let (index, rest) = table.block(index).map_err(|reason| format!("index: {reason}"))?;
        if let Some(reason) = rest {
            return Err(format!("index: {reason}"));
        }
        let blocks: Option<Vec<Handle>> =
            index.iter().map(|(_, handle)| Handle::read(&mut &handle[..])).collect();
        table.blocks = blocks.ok_or("index: not a handle")?.into_iter();
        Ok(table)
    }

    /// Returns the next entry. Blocks and entries that can't be read are reported and skipped.
    pub(super) fn next(&mut self, unreadable: &mut dyn FnMut(String)) -> Option<Item> {
        loop {
            for (key, value) in self.block.by_ref() {
                match version(&key) {
                    Some((version, is_value)) => return Some((version, is_value.then_some(value))),
                    None => unreadable(format!("{}: not a key", self.path.display())),
                }
            }
            let handle = self.blocks.next()?;
            let at = format!("{}, block at {}", self.path.display(), handle.offset);
            match self.block(handle) {
                Ok((entries, rest)) => {
                    self.block = entries.into_iter();
                    if let Some(reason) = rest {
                        unreadable(format!("{at}: {reason}"));
                    }
                }
                Err(reason) => unreadable(format!("{at}: {reason}")),
            }
        }
    }

    /// Reads a block. Also returns what is wrong behind the entries that could be read.
    fn block(&mut self, handle: Handle) -> Result<(Entries, Option<&'static str>), String> {
        let Handle { offset, size } = handle;
        let end = offset.checked_add(size).and_then(|end| end.checked_add(TRAILER));
        if size > LARGEST || end.is_none_or(|end| end > self.length) {
            return Err("it isn't within the file".to_owned());
        }
        let mut bytes = vec![0; (size + TRAILER) as usize];
        self.file.seek(SeekFrom::Start(offset)).map_err(|error| error.to_string())?;
        self.file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        let (block, trailer) = bytes.split_at(size as usize);
        let [kind, checksum @ ..] = trailer else { return Err("no trailer".to_owned()) };
        let checksum = checksum.try_into().map_or(0, u32::from_le_bytes);
        if !checksum_fits(checksum, &[block, &[*kind]]) {
            return Err("the checksum doesn't fit".to_owned());
        }
        match kind {
            0 => Ok(entries(block)),
            1 => {
                let length = snap::raw::decompress_len(block).map_err(|error| error.to_string())?;
                if length as u64 > LARGEST {
                    return Err(format!("{length} bytes when decompressed"));
                }
                let block = snap::raw::Decoder::new().decompress_vec(block);
                Ok(entries(&block.map_err(|error| error.to_string())?))
            }
            other => Err(format!("compression {other}, which isn't known")),
        }
    }
}

/// Splits a block into entries. Each key begins with some bytes of the one before, so a small block
/// can have large keys. Those of archives are short.
fn entries(block: &[u8]) -> (Entries, Option<&'static str>) {
    let (mut entries, mut left) = (Entries::new(), LARGEST);
    let rest = (|| {
        let (_, restarts) = block.split_last_chunk::<4>()?;
        let restarts = u64::from(u32::from_le_bytes(*restarts));
        let length = (block.len() as u64).checked_sub(4 * restarts + 4)?;
        let mut rest = take(&mut &block[..], length)?;
        let mut key = Vec::new();
        while !rest.is_empty() {
            let (shared, own, value) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
            if shared > key.len() as u64 {
                return None;
            }
            key.truncate(shared as usize);
            key.extend_from_slice(take(&mut rest, own)?);
            left = left.checked_sub(key.len() as u64)?;
            entries.push((key.clone(), take(&mut rest, value)?.to_vec()));
        }
        Some(())
    })();
    (entries, rest.is_none().then_some("an entry exceeds its block, or the keys exceed all bounds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: usize, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    #[test]
    fn keys_of_a_small_block_are_bounded() {
        let length = 1 << 20;
        let mut block = Vec::new();
        [0, length, 0].into_iter().for_each(|it| varint(it, &mut block));
        block.resize(block.len() + length, 7);
        for _ in 0..1000 {
            [length, 0, 0].into_iter().for_each(|it| varint(it, &mut block));
        }
        block.extend_from_slice(&[0; 4]);
        let (entries, rest) = entries(&block);
        assert_eq!(entries.len() as u64, LARGEST / length as u64);
        assert!(rest.is_some());
    }
}

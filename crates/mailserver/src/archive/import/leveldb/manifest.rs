//! The manifest: a log of changes to the set of live files.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use crate::archive::import::leveldb::{Version, log, slice, varint, version};

/// The most bytes of `CURRENT` that are read; a name has about twenty.
const LONGEST_NAME: u64 = 256;

/// The live files.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// Tables, each with its first version.
    pub(super) tables: BTreeMap<u64, Version>,
    /// The first log whose entries are not in tables yet.
    pub(super) log: u64,
}

impl Manifest {
    /// Reads the manifest that `CURRENT` names.
    pub(super) fn read(dir: &Path) -> Result<Self, String> {
        let mut current = Vec::new();
        let read = File::open(dir.join("CURRENT"))
            .and_then(|file| file.take(LONGEST_NAME).read_to_end(&mut current));
        read.map_err(|error| error.to_string())?;
        let name = std::str::from_utf8(&current).ok().map(str::trim_end);
        let is_name = |name: &&str| {
            let number = name.strip_prefix("MANIFEST-");
            number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        };
        let name = name.filter(is_name).ok_or("CURRENT names no manifest")?;
        let mut manifest = Self::default();
        let mut problem = None;
        let read = log::records(&dir.join(name), |at, record| {
            let applied = record.and_then(|record| {
                manifest.apply(&record).ok_or_else(|| "not a change of files".to_owned())?
            });
            if let Err(reason) = applied {
                problem.get_or_insert(format!("{name} at {at}: {reason}"));
            }
        });
        read.map_err(|error| format!("{name}: {error}"))?;
        problem.map_or(Ok(manifest), Err)
    }

    /// Applies a change; `None` if it can't be read.
    fn apply(&mut self, mut change: &[u8]) -> Option<Result<(), String>> {
        let change = &mut change;
        while !change.is_empty() {
            match varint(change)? {
                1 => {
                    let order = slice(change)?;
                    if order != b"leveldb.BytewiseComparator" {
                        let order = String::from_utf8_lossy(order).into_owned();
                        return Some(Err(format!("keys are in an order of {order:?}")));
                    }
                }
                2 => self.log = varint(change)?,
                // The next file, the last sequence, the log before.
                3 | 4 | 9 => drop(varint(change)?),
                5 => {
                    varint(change)?;
                    slice(change)?;
                }
                6 => {
                    varint(change)?;
                    self.tables.remove(&varint(change)?);
                }
                7 => {
                    varint(change)?;
                    let number = varint(change)?;
                    varint(change)?;
                    let (least, _) = version(slice(change)?)?;
                    slice(change)?;
                    self.tables.insert(number, least);
                }
                _ => return None,
            }
        }
        Some(Ok(()))
    }
}

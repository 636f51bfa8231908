//! Envelopes that can still be read from a damaged archive.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
};

use statuskit_core::{envelope::Envelope, mailserver::Position};
use statuskit_lmdb::{
    making::DATA,
    pages::{Page, PageFile, Value},
};

use crate::{
    ArchiveError,
    archive::embedded::{engine::io_error, layout::TimeKey},
};

/// The envelopes of an archive's file, whatever its state. See
/// [`EmbeddedArchive::salvage`](super::EmbeddedArchive::salvage).
#[derive(Debug)]
pub struct Salvage {
    file: PageFile,
    next: u64,
    found: VecDeque<Result<Envelope, ArchiveError>>,
    /// The first eight bytes of the hash of each envelope found.
    seen: HashSet<[u8; 8]>,
}

impl Salvage {
    pub(super) fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let path = dir.join(DATA);
        let file = PageFile::open(&path).map_err(|source| io_error(&path, "open", source))?;
        Ok(Self { file, next: 2, found: VecDeque::new(), seen: HashSet::new() })
    }

    /// Reads the next page, if it is a leaf of the tree `time`.
    fn read_page(&mut self, bytes: &mut Vec<u8>) {
        let number = self.next;
        self.next += 1;
        if let Err(error) = self.file.read(number, bytes) {
            self.damaged(format!("page {number}: {error}"));
            return;
        }
        // Large values are not skipped, as their length may be wrong. What looks like a page inside
        // one does no harm: only real envelopes are taken.
        let Some(page) = Page::parse(bytes, number).filter(|page| !page.is_branch()) else {
            return;
        };
        for index in 0..page.count() {
            let Some(node) = page.node(index) else {
                self.damaged(format!("page {number}, record {index}: out of bounds"));
                continue;
            };
            let Ok(key) = TimeKey::try_from(node.key) else { continue };
            if !node.is_plain() {
                continue;
            }
            let envelope = match page.value(&node) {
                Some(Value::Inline(value)) => verified(&key, value),
                Some(Value::Run(run)) => match self.file.read_value(&run) {
                    Ok(value) => verified(&key, &value),
                    Err(_) => None,
                },
                None => None,
            };
            match envelope {
                Some(envelope) => {
                    let mut mark = [0; 8];
                    mark.copy_from_slice(&key[4..12]);
                    if self.seen.insert(mark) {
                        self.found.push_back(Ok(envelope));
                    }
                }
                None => self.damaged(format!("page {number}, record {index}: not its envelope")),
            }
        }
    }

    fn damaged(&mut self, what: String) {
        self.found.push_back(Err(ArchiveError::Damaged(what)));
    }
}

impl Iterator for Salvage {
    type Item = Result<Envelope, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        while self.found.is_empty() && self.next < self.file.pages() {
            self.read_page(&mut bytes);
        }
        self.found.pop_front()
    }
}

/// Returns the envelope of a value, if it belongs to the key.
pub(super) fn verified(key: &TimeKey, value: &[u8]) -> Option<Envelope> {
    let (topic, raw) = value.split_first_chunk::<4>()?;
    let envelope = Envelope::decode(raw).ok()?;
    (envelope.topic().0 == *topic && Position::from_envelope(&envelope).to_bytes() == *key)
        .then_some(envelope)
}

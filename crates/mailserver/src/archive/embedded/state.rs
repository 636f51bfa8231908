//! State in memory, and how it is loaded from the trees.

use std::sync::Arc;

use statuskit_core::{envelope::Topic, time::UnixSeconds};

use crate::{
    ArchiveError,
    archive::embedded::{
        directory::Directory,
        engine::{Trees, Txn, engine_error},
        fresh::Layer,
        layout::{Entry, FLOOR, MERGE, MergeMark, Tally, read_block, read_count_key},
    },
};

/// State that readers and the writer share.
///
/// The order of its changes keeps every view whole. Entries are added before their commit, and
/// leave after the commit that has them in `topics`: a reader that begins under the lock finds
/// each envelope in one of the two, or in both. Entries that were not committed are missing in
/// `time`, and are skipped. The floor rises after its commit and before the first removal, and
/// falls after the last.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Entries appended since the last merge began, the oldest first.
    pub(super) growing: Vec<Arc<Layer>>,
    /// The entries of the merge under way; all of them until it is done.
    pub(super) merging: Option<Arc<Layer>>,
    pub(super) directory: Directory,
    /// What was sent before this second is hidden, and being removed.
    pub(super) floor: UnixSeconds,
    /// The transaction that the state belongs to; for archives opened read-only.
    pub(super) txn: usize,
}

impl Shared {
    pub(super) fn new(loaded: &Loaded, txn: usize) -> Self {
        let mut directory = Directory::default();
        for (day, topic, tally) in &loaded.counts {
            directory.add(*day, *topic, *tally);
        }
        for entry in loaded.merging.iter().chain(&loaded.growing) {
            directory.add_entry(entry);
        }
        let layer = |entries: &[Entry]| Arc::new(Layer::new(entries.to_vec()));
        Self {
            growing: match &loaded.growing[..] {
                [] => Vec::new(),
                entries => vec![layer(entries)],
            },
            merging: loaded.mark.is_some().then(|| layer(&loaded.merging)),
            directory,
            floor: loaded.floor.unwrap_or(UnixSeconds::EPOCH),
            txn,
        }
    }

    /// Returns all layers.
    pub(super) fn layers(&self) -> Vec<Arc<Layer>> {
        self.merging.iter().chain(&self.growing).cloned().collect()
    }
}

/// State as the trees have it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) counts: Vec<(u32, Topic, Tally)>,
    /// What is left of a merge that was interrupted.
    pub(super) merging: Vec<Entry>,
    /// What was appended since that merge began.
    pub(super) growing: Vec<Entry>,
    pub(super) mark: Option<MergeMark>,
    pub(super) floor: Option<UnixSeconds>,
    /// The number of the next block of `fresh`.
    pub(super) next_block: u64,
}

pub(super) fn load(trees: &Trees, txn: &Txn<'_>) -> Result<Loaded, ArchiveError> {
    let mark = match trees.meta.get(txn, MERGE).map_err(engine_error)? {
        Some(bytes) => Some(MergeMark::from_bytes(bytes).ok_or(damaged("mark of the merge"))?),
        None => None,
    };
    let floor = match trees.meta.get(txn, FLOOR).map_err(engine_error)? {
        Some(bytes) => {
            let bytes = bytes.try_into().map_err(|_| damaged("mark of the pruning"))?;
            Some(UnixSeconds(u32::from_be_bytes(bytes)))
        }
        None => None,
    };
    let mut counts = Vec::new();
    for item in trees.counts.iter(txn).map_err(engine_error)? {
        let (key, value) = item.map_err(engine_error)?;
        let read = read_count_key(key).zip(Tally::from_bytes(value));
        let ((day, topic), tally) = read.ok_or(damaged("count"))?;
        counts.push((day, topic, tally));
    }
    let (mut merging, mut growing) = (Vec::new(), Vec::new());
    let mut next_block = mark.map_or(0, |mark| mark.through + 1);
    for item in trees.fresh.iter(txn).map_err(engine_error)? {
        let (key, value) = item.map_err(engine_error)?;
        let number = u64::from_be_bytes(key.try_into().map_err(|_| damaged("number of a block"))?);
        let entries = read_block(value).ok_or(damaged("block of entries"))?;
        match mark {
            Some(mark) if number <= mark.through => {
                merging.extend(entries.filter(|entry| entry.key > mark.key));
            }
            _ => growing.extend(entries),
        }
        next_block = next_block.max(number.saturating_add(1));
    }
    let loaded = Loaded { counts, merging, growing, mark, floor, next_block };
    compare(trees, txn, &loaded)?;
    Ok(loaded)
}

/// Compares the sizes of the trees: each envelope is in the index or fresh, and each entry of the
/// index is counted. So the loss of a part of a tree is noticed at once.
fn compare(trees: &Trees, txn: &Txn<'_>, loaded: &Loaded) -> Result<(), ArchiveError> {
    let envelopes = trees.time.len(txn).map_err(engine_error)?;
    let indexed = trees.topics.len(txn).map_err(engine_error)?;
    let counted: u64 =
        (loaded.counts.iter()).fold(0, |sum, (_, _, tally)| sum.saturating_add(tally.envelopes));
    if counted != indexed {
        let what = format!("the index has {indexed} entries, of which {counted} are counted");
        return Err(ArchiveError::Damaged(what));
    }
    // Pruning removes entries before envelopes.
    let fresh = (loaded.merging.len() + loaded.growing.len()) as u64;
    let entries = indexed.saturating_add(fresh);
    if if loaded.floor.is_some() { entries > envelopes } else { entries != envelopes } {
        let what = format!("it has {envelopes} envelopes, and {entries} entries of the index");
        return Err(ArchiveError::Damaged(what));
    }
    Ok(())
}

pub(super) fn damaged(what: &str) -> ArchiveError {
    ArchiveError::Damaged(format!("a {what} is malformed"))
}

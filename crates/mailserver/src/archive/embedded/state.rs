//! What is kept in memory, and how it is read from the trees at opening.

use std::sync::Arc;

use crate::{
    ArchiveError,
    archive::embedded::{
        directory::Directory,
        engine::{Trees, Txn, engine_error},
        fresh::Layer,
        layout::{Entry, FLOOR, MERGE, MergeMark, Tally, read_block, read_count_key},
    },
};

/// What those who read and the one who writes share.
///
/// The order in which it changes keeps every view whole. Entries are put here before their commit,
/// and leave after the commit that has them in `topics`: whoever begins to read with the lock held
/// finds each envelope in one of the two, or in both. What was put here and not committed is not
/// in `time`, and skipped. The floor is raised after its commit and before the first removal, and
/// lowered after the last.
#[derive(Debug, Default)]
pub struct Shared {
    /// What was appended since the last merge began; the oldest first.
    pub growing: Vec<Arc<Layer>>,
    /// What is being merged, all of it until it is done.
    pub merging: Option<Arc<Layer>>,
    pub directory: Directory,
    /// What was sent before this second is not there any more, though not yet removed.
    pub floor: u32,
    /// The transaction that this is the state of; for archives that are open for reading only.
    pub txn: usize,
}

impl Shared {
    pub fn new(loaded: &Loaded, txn: usize) -> Self {
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
            floor: loaded.floor.unwrap_or(0),
            txn,
        }
    }

    /// All layers.
    pub fn layers(&self) -> Vec<Arc<Layer>> {
        self.merging.iter().chain(&self.growing).cloned().collect()
    }
}

/// The state of the trees.
#[derive(Debug)]
pub struct Loaded {
    pub counts: Vec<(u32, statuskit_core::envelope::Topic, Tally)>,
    /// What is left of the merge that was going on.
    pub merging: Vec<Entry>,
    /// What had been appended since that merge began.
    pub growing: Vec<Entry>,
    pub mark: Option<MergeMark>,
    pub floor: Option<u32>,
    /// The number of the next block of `fresh`.
    pub next_block: u64,
}

pub fn load(trees: &Trees, txn: &Txn<'_>) -> Result<Loaded, ArchiveError> {
    let mark = match trees.meta.get(txn, MERGE).map_err(engine_error)? {
        Some(bytes) => Some(MergeMark::from_bytes(bytes).ok_or(damaged("mark of the merge"))?),
        None => None,
    };
    let floor = match trees.meta.get(txn, FLOOR).map_err(engine_error)? {
        Some(bytes) => {
            let bytes = bytes.try_into().map_err(|_| damaged("mark of the pruning"))?;
            Some(u32::from_be_bytes(bytes))
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

/// Each envelope is in the index or fresh, and each entry of the index is counted. The trees know
/// how much they hold, so that a part of one that is gone is noticed at once.
fn compare(trees: &Trees, txn: &Txn<'_>, loaded: &Loaded) -> Result<(), ArchiveError> {
    let envelopes = trees.time.len(txn).map_err(engine_error)?;
    let indexed = trees.topics.len(txn).map_err(engine_error)?;
    let counted: u64 =
        (loaded.counts.iter()).fold(0, |sum, (_, _, tally)| sum.saturating_add(tally.envelopes));
    if counted != indexed {
        let what = format!("the index has {indexed} entries, of which {counted} are counted");
        return Err(ArchiveError::Damaged(what));
    }
    // While something is pruned, its entries go first.
    let fresh = (loaded.merging.len() + loaded.growing.len()) as u64;
    let entries = indexed.saturating_add(fresh);
    if if loaded.floor.is_some() { entries > envelopes } else { entries != envelopes } {
        let what = format!("it has {envelopes} envelopes, and {entries} entries of the index");
        return Err(ArchiveError::Damaged(what));
    }
    Ok(())
}

pub fn damaged(what: &str) -> ArchiveError {
    ArchiveError::Damaged(format!("a {what} is not of the right form"))
}

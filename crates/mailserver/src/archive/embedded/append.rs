//! Appending, and the merge of the index that accompanies it.

use std::{collections::BTreeMap, sync::Arc};

use heed::{MdbError, PutFlags, RwTxn};
use statuskit_core::{
    crypto::keccak::keccak256_many,
    envelope::{Envelope, EnvelopeHash, Topic},
    mailserver::Position,
    time::UnixSeconds,
};

use crate::{
    ArchiveError,
    archive::embedded::{
        EmbeddedArchive,
        engine::engine_error,
        fresh::{Layer, to_join},
        layout::{BLOCK, Entry, FLOOR, MERGE, MergeMark, Tally, count_key, put_block, read_block},
        state::{Loaded, damaged},
    },
};

/// The most envelopes per commit, so that others get their turn.
const CHUNK: usize = 4096;
/// The most bytes per commit; a single larger envelope is committed alone.
const CHUNK_BYTES: usize = 4 << 20;

/// The most merged blocks that a commit removes.
const BLOCKS_REMOVED: u64 = 2048;

/// State that only the writer needs.
#[derive(Debug)]
pub(super) struct Writer {
    next_block: u64,
    merge: Option<Merge>,
    /// The number of entries in [`Shared::growing`](super::state::Shared::growing).
    growing: usize,
    /// The number of the topic from which on the index is still to be pruned.
    pub(super) prune_from: u64,
    /// The number of the block from which on `fresh` is still to be pruned.
    pub(super) prune_block: u64,
    /// By which factor a commit prunes less than usual, because there is no room.
    pub(super) prune_part: usize,
}

/// A merge under way.
#[derive(Debug)]
struct Merge {
    through: u64,
    layer: Arc<Layer>,
    /// How many of the layer's entries were merged.
    at: usize,
    /// Blocks before this one were removed.
    removed: u64,
}

impl Merge {
    /// Returns the entries that a step with this budget moves.
    fn next(&self, budget: usize) -> &[Entry] {
        let entries = &self.layer.entries()[self.at..];
        &entries[..budget.min(entries.len())]
    }
}

/// A step of a merge made in a transaction, to be applied after its commit.
#[derive(Debug)]
pub(super) struct Step {
    at: usize,
    removed: u64,
    done: bool,
    /// Entries that were left out because they are being pruned.
    dropped: Vec<Entry>,
}

impl Writer {
    pub(super) fn new(loaded: &Loaded) -> Self {
        Self {
            next_block: loaded.next_block,
            // The layer does not contain what was merged already.
            merge: loaded.mark.map(|mark| Merge {
                through: mark.through,
                layer: Arc::new(Layer::new(loaded.merging.clone())),
                at: 0,
                removed: 0,
            }),
            growing: loaded.growing.len(),
            prune_from: 0,
            prune_block: 0,
            prune_part: 1,
        }
    }

    pub(super) fn is_merging(&self) -> bool {
        self.merge.is_some()
    }
}

/// Splits envelopes into chunks of one commit each.
pub(super) fn chunks(envelopes: &[Envelope]) -> impl Iterator<Item = &[Envelope]> {
    let mut rest = envelopes;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(CHUNK).take_while(|envelope| {
            bytes += envelope.raw().len();
            bytes <= CHUNK_BYTES
        });
        let len = fits.count().max(1).min(rest.len());
        let (chunk, after) = rest.split_at(len);
        rest = after;
        (len > 0).then_some(chunk)
    })
}

impl EmbeddedArchive {
    /// Appends with one commit.
    pub(super) fn append_chunk(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        let raws: Vec<&[u8]> = envelopes.iter().map(Envelope::raw).collect();
        let mut sorted: Vec<(Position, &Envelope)> = (keccak256_many(&raws).into_iter())
            .zip(envelopes)
            .map(|(hash, envelope)| {
                (Position { sent: envelope.sent(), hash: EnvelopeHash(hash) }, envelope)
            })
            .collect();
        sorted.sort_unstable_by_key(|(position, _)| *position);
        sorted.dedup_by_key(|(position, _)| *position);
        let Some((oldest, _)) = sorted.first() else { return Ok(0) };

        let mut writer = self.lock_to_append();
        // Envelopes older than the floor can only be appended when pruning is complete.
        while oldest.sent < self.shared().floor {
            self.prune_step(&mut writer)?;
            drop(writer);
            writer = self.lock_to_append();
        }

        let mut txn = self.engine.writer()?;
        let budget = (2 * sorted.len()).max(self.merge_at / 128);
        self.check_pages(&writer, &sorted, budget)?;
        let new = self.put_envelopes(&mut txn, &sorted)?;
        if new.is_empty() {
            return Ok(0);
        }
        let count = new.len();
        let layer = Arc::new(Layer::new(new));
        let next_block = self.put_fresh(&mut txn, writer.next_block, layer.entries())?;
        let step = self.merge_step(&mut txn, &writer, (2 * count).max(self.merge_at / 128))?;

        self.publish(&layer);
        if let Err(error) = self.engine.commit(txn) {
            self.withdraw(&layer);
            return Err(error);
        }
        writer.next_block = next_block;
        writer.growing += count;
        self.merge_committed(&mut writer, step);
        self.join_layers();
        if writer.growing >= self.merge_at && !writer.is_merging() {
            self.begin_merge(&mut writer);
            // Readers that were killed keep pages from being reused.
            self.engine.clear_stale_readers()?;
        }
        Ok(count)
    }

    /// Checks the pages of the large trees that the engine is about to touch.
    fn check_pages(
        &self,
        writer: &Writer,
        sorted: &[(Position, &Envelope)],
        budget: usize,
    ) -> Result<(), ArchiveError> {
        let keys: Vec<_> = sorted.iter().map(|(position, _)| position.to_bytes()).collect();
        let moved = writer.merge.as_ref().map_or(&[][..], |merge| merge.next(budget));
        self.engine
            .check_paths(keys.iter().map(|key| &key[..]), moved.iter().map(|entry| &entry.key[..]))
    }

    /// Puts new envelopes into `time`, and returns their entries.
    fn put_envelopes(
        &self,
        txn: &mut RwTxn<'_>,
        sorted: &[(Position, &Envelope)],
    ) -> Result<Vec<Entry>, ArchiveError> {
        let mut new = Vec::with_capacity(sorted.len());
        let mut value = Vec::new();
        for (position, envelope) in sorted {
            value.clear();
            value.extend_from_slice(&envelope.topic().0);
            value.extend_from_slice(envelope.raw());
            let time = self.engine.trees().time;
            match time.put_with_flags(txn, PutFlags::NO_OVERWRITE, &position.to_bytes(), &value) {
                Ok(()) => {
                    let len = envelope.raw().len() as u32;
                    new.push(Entry::new(envelope.topic(), *position, len));
                }
                Err(heed::Error::Mdb(MdbError::KeyExist)) => {}
                Err(error) => return Err(engine_error(error)),
            }
        }
        Ok(new)
    }

    /// Puts entries into `fresh`, and returns the number of the next block.
    fn put_fresh(
        &self,
        txn: &mut RwTxn<'_>,
        mut number: u64,
        entries: &[Entry],
    ) -> Result<u64, ArchiveError> {
        let mut block = Vec::new();
        for entries in entries.chunks(BLOCK) {
            put_block(entries, &mut block);
            let fresh = self.engine.trees().fresh;
            fresh
                .put_with_flags(txn, PutFlags::APPEND, &number.to_be_bytes(), &block)
                .map_err(engine_error)?;
            number += 1;
        }
        Ok(number)
    }

    /// Shows readers what is about to be committed.
    fn publish(&self, layer: &Arc<Layer>) {
        let mut shared = self.shared_mut();
        for entry in layer.entries() {
            shared.directory.add_entry(entry);
        }
        shared.growing.push(layer.clone());
    }

    /// Withdraws what could not be committed.
    fn withdraw(&self, layer: &Arc<Layer>) {
        let mut shared = self.shared_mut();
        shared.growing.retain(|other| !Arc::ptr_eq(other, layer));
        for entry in layer.entries() {
            shared.directory.remove_entry(entry);
        }
    }

    /// Joins the last layers if there are too many.
    fn join_layers(&self) {
        let layers = self.shared().growing.clone();
        let join = to_join(&layers);
        if join > 1 {
            let joined = Layer::merged(&layers[layers.len() - join..]);
            let mut shared = self.shared_mut();
            shared.growing.truncate(layers.len() - join);
            shared.growing.push(Arc::new(joined));
        }
    }

    /// Begins to merge all fresh entries, unless a merge is under way.
    pub(super) fn begin_merge(&self, writer: &mut Writer) {
        if writer.merge.is_some() || writer.growing == 0 {
            return;
        }
        let layer = Arc::new(Layer::merged(&self.shared().growing));
        let through = writer.next_block - 1;
        writer.merge = Some(Merge { through, layer: layer.clone(), at: 0, removed: 0 });
        writer.growing = 0;
        let mut shared = self.shared_mut();
        shared.growing.clear();
        shared.merging = Some(layer);
    }

    /// Moves up to `budget` entries to the index, if a merge is under way.
    pub(super) fn merge_step(
        &self,
        txn: &mut RwTxn<'_>,
        writer: &Writer,
        budget: usize,
    ) -> Result<Option<Step>, ArchiveError> {
        let Some(merge) = &writer.merge else { return Ok(None) };
        let trees = self.engine.trees();
        let moved = merge.next(budget);
        let mut step = Step {
            at: merge.at + moved.len(),
            removed: merge.removed,
            done: false,
            dropped: Vec::new(),
        };
        if moved.is_empty() {
            // The index has all entries: the blocks can go.
            step.removed = self.remove_blocks(txn, merge)?;
            if step.removed > merge.through {
                trees.meta.delete(txn, MERGE).map_err(engine_error)?;
                step.done = true;
            } else {
                let mark = MergeMark { through: merge.through, key: [0xff; 40] };
                trees.meta.put(txn, MERGE, &mark.to_bytes()).map_err(engine_error)?;
            }
            return Ok(Some(step));
        }

        let floor = self.shared().floor;
        let mut counts: BTreeMap<(u32, Topic), Tally> = BTreeMap::new();
        for entry in moved {
            if entry.sent() < floor {
                step.dropped.push(*entry);
                continue;
            }
            trees.topics.put(txn, &entry.key, &entry.len.to_be_bytes()).map_err(engine_error)?;
            counts.entry((entry.day(), entry.topic())).or_default().add(Tally::one(entry.len));
        }
        for ((day, topic), more) in counts {
            self.change_count(txn, day, topic, |tally| tally.add(more))?;
        }
        if let Some(last) = moved.last() {
            let mark = MergeMark { through: merge.through, key: last.key };
            trees.meta.put(txn, MERGE, &mark.to_bytes()).map_err(engine_error)?;
        }
        Ok(Some(step))
    }

    /// Removes some blocks of a merge, and returns the number of the first one left.
    fn remove_blocks(&self, txn: &mut RwTxn<'_>, merge: &Merge) -> Result<u64, ArchiveError> {
        let fresh = self.engine.trees().fresh;
        // Numbers are consecutive, except for blocks that were removed before.
        let first = match fresh.first(txn).map_err(engine_error)? {
            Some((key, _)) => {
                u64::from_be_bytes(key.try_into().map_err(|_| damaged("number of a block"))?)
            }
            None => return Ok(merge.through + 1),
        };
        if first > merge.through {
            return Ok(first);
        }
        let last = merge.through.min(first.saturating_add(BLOCKS_REMOVED - 1));
        let (from, to) = (first.to_be_bytes(), last.to_be_bytes());
        let range: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) =
            (std::ops::Bound::Included(&from), std::ops::Bound::Included(&to));
        fresh.delete_range(txn, &range).map_err(engine_error)?;
        Ok(last + 1)
    }

    /// Removes from some blocks of `fresh` what was sent before the floor. Returns the number of
    /// the next block, or `None` after the last. (To merge the rest instead would need room, which
    /// pruning has yet to make.)
    pub(super) fn prune_fresh(
        &self,
        txn: &mut RwTxn<'_>,
        from: u64,
        floor: UnixSeconds,
        budget: usize,
    ) -> Result<Option<u64>, ArchiveError> {
        let fresh = self.engine.trees().fresh;
        let start = from.to_be_bytes();
        let range: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) =
            (std::ops::Bound::Included(&start), std::ops::Bound::Unbounded);
        let mut changed: Vec<(u64, Vec<Entry>)> = Vec::new();
        let mut next = None;
        for item in fresh.range(txn, &range).map_err(engine_error)? {
            let (key, value) = item.map_err(engine_error)?;
            let key = key.try_into().map_err(|_| damaged("number of a block"))?;
            let number = u64::from_be_bytes(key);
            if changed.len() >= budget {
                next = Some(number);
                break;
            }
            let entries: Vec<Entry> =
                read_block(value).ok_or(damaged("block of entries"))?.collect();
            let kept: Vec<Entry> =
                entries.iter().copied().filter(|entry| entry.sent() >= floor).collect();
            if kept.len() < entries.len() {
                changed.push((number, kept));
            }
        }
        let mut block = Vec::new();
        for (number, kept) in changed {
            let key = number.to_be_bytes();
            if kept.is_empty() {
                fresh.delete(txn, &key).map_err(engine_error)?;
            } else {
                put_block(&kept, &mut block);
                fresh.put(txn, &key, &block).map_err(engine_error)?;
            }
        }
        Ok(next)
    }

    /// Forgets what was removed from `fresh`.
    pub(super) fn fresh_pruned(&self, writer: &mut Writer, floor: UnixSeconds) {
        let is_kept = |entry: &&Entry| entry.sent() >= floor;
        let mut shared = self.shared_mut();
        let shared = &mut *shared;
        // Entries that were moved to the index are removed there.
        let merging = writer.merge.as_ref().map(|merge| merge.layer.entries()[merge.at..].to_vec());
        let merging = merging.unwrap_or_default();
        let layers = std::mem::take(&mut shared.growing);
        let growing = layers.iter().flat_map(|layer| layer.entries());
        for entry in merging.iter().chain(growing).filter(|entry| !is_kept(entry)) {
            shared.directory.remove_entry(entry);
        }
        let kept = |entries: &[Entry]| {
            Arc::new(Layer::new(entries.iter().filter(is_kept).copied().collect()))
        };
        for layer in layers {
            let layer = if layer.reaches_before(floor) { kept(layer.entries()) } else { layer };
            if !layer.entries().is_empty() {
                shared.growing.push(layer);
            }
        }
        writer.growing = shared.growing.iter().map(|layer| layer.entries().len()).sum();
        if let Some(merge) = &mut writer.merge {
            merge.layer = kept(&merging);
            merge.at = 0;
            shared.merging = Some(merge.layer.clone());
        }
    }

    /// Changes the count of a topic on a day.
    pub(super) fn change_count(
        &self,
        txn: &mut RwTxn<'_>,
        day: u32,
        topic: Topic,
        change: impl FnOnce(&mut Tally),
    ) -> Result<(), ArchiveError> {
        let counts = self.engine.trees().counts;
        let key = count_key(day, topic);
        let mut tally = match counts.get(txn, &key).map_err(engine_error)? {
            Some(bytes) => Tally::from_bytes(bytes).ok_or(damaged("count"))?,
            None => Tally::default(),
        };
        change(&mut tally);
        if tally.envelopes == 0 {
            counts.delete(txn, &key).map_err(engine_error)?;
        } else {
            counts.put(txn, &key, &tally.to_bytes()).map_err(engine_error)?;
        }
        Ok(())
    }

    /// Applies a step that is durable now.
    pub(super) fn merge_committed(&self, writer: &mut Writer, step: Option<Step>) {
        let (Some(merge), Some(step)) = (&mut writer.merge, step) else { return };
        merge.at = step.at;
        merge.removed = step.removed;
        if step.done {
            writer.merge = None;
        }
        if step.done || !step.dropped.is_empty() {
            let mut shared = self.shared_mut();
            for entry in &step.dropped {
                shared.directory.remove_entry(entry);
            }
            if step.done {
                shared.merging = None;
            }
        }
    }

    /// Writes the floor.
    pub(super) fn put_floor(
        &self,
        txn: &mut RwTxn<'_>,
        floor: Option<UnixSeconds>,
    ) -> Result<(), ArchiveError> {
        let meta = self.engine.trees().meta;
        match floor {
            Some(floor) => meta.put(txn, FLOOR, &floor.0.to_be_bytes()).map_err(engine_error),
            None => meta.delete(txn, FLOOR).map(drop).map_err(engine_error),
        }
    }
}

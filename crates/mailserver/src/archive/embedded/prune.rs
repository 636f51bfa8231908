//! Pruning, in commits small enough that nobody waits long.
//!
//! 1. The floor is made durable: what was sent before it is hidden.
//! 2. Its fresh entries are removed from `fresh`.
//! 3. Its other entries are removed from the index, topic by topic, and from the counts.
//! 4. Its envelopes are removed from `time`, the oldest first. Last of all the floor is removed.
//!
//! If the process is killed meanwhile, the floor stays. The next pruning, or an append of something
//! older, completes the work.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use heed::RwTxn;
use statuskit_core::{envelope::Topic, mailserver::Position, time::UnixSeconds};

use crate::{
    ArchiveError,
    archive::embedded::{
        EmbeddedArchive,
        append::Writer,
        engine::engine_error,
        layout::{Entry, Tally, TimeKey, topic_key},
        state::damaged,
    },
};

/// The most entries of the index that a commit removes.
const ENTRIES: usize = 4096;
/// The most topics that a step looks at.
const TOPICS: usize = 16_384;
/// The most envelopes that a commit removes, and their bytes.
const ENVELOPES: usize = 2048;
const BYTES: usize = 2 << 20;
/// The most blocks of fresh entries that a commit changes.
const BLOCKS: usize = 512;

/// The number after the last topic's.
const END: u64 = 1 << 32;

/// How long a step waits at most for appends.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// This many envelopes were removed for good; there is more to do.
    Removed(u64),
    /// There is nothing to do.
    Done,
}

impl EmbeddedArchive {
    pub(super) fn prune_before(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        {
            let mut writer = self.lock_to_prune();
            // Completes an earlier pruning, too.
            let floor = before.max(self.shared().floor);
            let none = {
                let snapshot = self.engine.snapshot()?;
                let oldest = snapshot.time().first()?;
                oldest.is_none_or(|(key, _)| key >= &Position::first_of(floor).to_bytes()[..])
            };
            if none && self.shared().floor == UnixSeconds::EPOCH {
                return Ok(0);
            }
            self.engine.inspect()?;
            let mut txn = self.engine.writer()?;
            self.put_floor(&mut txn, Some(floor))?;
            self.engine.commit(txn)?;
            self.shared_mut().floor = floor;
            (writer.prune_from, writer.prune_block) = (0, 0);
        }
        let mut removed = 0;
        loop {
            let mut writer = self.lock_to_prune();
            match self.prune_step(&mut writer)? {
                Progress::Removed(more) => removed += more,
                Progress::Done => return Ok(removed),
            }
        }
    }

    /// Locks for writing while no append waits.
    fn lock_to_prune(&self) -> std::sync::MutexGuard<'_, Writer> {
        let start = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(100));
        }
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one commit of the work; a smaller one if there is no room, since removing takes room
    /// first.
    pub(super) fn prune_step(&self, writer: &mut Writer) -> Result<Progress, ArchiveError> {
        // Removing touches neighbours of pages, which are not known beforehand.
        self.engine.inspect()?;
        loop {
            let part = writer.prune_part.max(1);
            match self.prune_part(writer, part) {
                Err(ArchiveError::Full(why)) => {
                    if part >= ENTRIES {
                        return Err(ArchiveError::Full(why));
                    }
                    writer.prune_part = part * 8;
                    // Pages freed by a commit are reused by the one after next. So this makes the
                    // smallest possible commit in between.
                    let mut txn = self.engine.writer()?;
                    self.put_floor(&mut txn, Some(self.shared().floor))?;
                    self.engine.commit(txn)?;
                }
                result => {
                    writer.prune_part = part / 2;
                    return result;
                }
            }
        }
    }

    /// Does one commit with `part` times less work.
    fn prune_part(&self, writer: &mut Writer, part: usize) -> Result<Progress, ArchiveError> {
        let floor = self.shared().floor;
        if floor == UnixSeconds::EPOCH {
            return Ok(Progress::Done);
        }
        if self.shared().layers().iter().any(|layer| layer.reaches_before(floor)) {
            let mut txn = self.engine.writer()?;
            let budget = (BLOCKS / part).max(1);
            let next = self.prune_fresh(&mut txn, writer.prune_block, floor, budget)?;
            self.engine.commit(txn)?;
            match next {
                Some(next) => writer.prune_block = next,
                None => self.fresh_pruned(writer, floor),
            }
            return Ok(Progress::Removed(0));
        }
        let mut txn = self.engine.writer()?;
        if let Some(next) =
            self.prune_index(&mut txn, writer.prune_from, floor, (ENTRIES / part).max(1))?
        {
            self.engine.commit(txn)?;
            writer.prune_from = next.from;
            let mut shared = self.shared_mut();
            for ((day, topic), tally) in next.removed {
                shared.directory.remove(day, topic, tally);
            }
            return Ok(Progress::Removed(0));
        }
        let (removed, done) = self.prune_time(&mut txn, floor, (ENVELOPES / part).max(1))?;
        if done {
            self.put_floor(&mut txn, None)?;
        }
        self.engine.commit(txn)?;
        if done {
            self.shared_mut().floor = UnixSeconds::EPOCH;
            (writer.prune_from, writer.prune_block) = (0, 0);
        }
        Ok(Progress::Removed(removed))
    }

    /// Removes entries from the index and the counts; `None` if all topics were seen.
    fn prune_index(
        &self,
        txn: &mut RwTxn<'_>,
        from: u64,
        floor: UnixSeconds,
        budget: usize,
    ) -> Result<Option<IndexStep>, ArchiveError> {
        if from >= END {
            return Ok(None);
        }
        let topics = self.engine.trees().topics;
        let end = Position::first_of(floor).to_bytes();
        let mut from = from;
        let mut removed: BTreeMap<(u32, Topic), Tally> = BTreeMap::new();
        let mut gone = 0;
        for _ in 0..TOPICS {
            let Ok(number) = u32::try_from(from) else { break };
            // The next topic that exists.
            let start = topic_key(Topic(number.to_be_bytes()), &[0; 36]);
            let Some((key, _)) =
                topics.get_greater_than_or_equal_to(txn, &start).map_err(engine_error)?
            else {
                from = END;
                break;
            };
            let topic = Topic(*key.first_chunk().ok_or(damaged("key of the index"))?);
            from = u64::from(u32::from_be_bytes(topic.0));
            let (start, end) = (topic_key(topic, &[0; 36]), topic_key(topic, &end));
            let range: Range<'_> = (Bound::Included(&start), Bound::Excluded(&end));
            let mut last = None;
            let mut complete = true;
            for item in topics.range(txn, &range).map_err(engine_error)? {
                if gone >= budget {
                    complete = false;
                    break;
                }
                let (key, value) = item.map_err(engine_error)?;
                let entry = Entry::from_parts(key, value).ok_or(damaged("entry of the index"))?;
                removed.entry((entry.day(), topic)).or_default().add(Tally::one(entry.len));
                last = Some(entry.key);
                gone += 1;
            }
            if let Some(last) = last {
                let range: Range<'_> = (Bound::Included(&start), Bound::Included(&last));
                topics.delete_range(txn, &range).map_err(engine_error)?;
            }
            if !complete {
                break;
            }
            from += 1;
        }
        for ((day, topic), tally) in &removed {
            self.change_count(txn, *day, *topic, |count| count.remove(*tally))?;
        }
        Ok(Some(IndexStep { from, removed }))
    }

    /// Removes envelopes. Returns how many, and whether that was all.
    fn prune_time(
        &self,
        txn: &mut RwTxn<'_>,
        floor: UnixSeconds,
        budget: usize,
    ) -> Result<(u64, bool), ArchiveError> {
        let time = self.engine.trees().time;
        let end = Position::first_of(floor).to_bytes();
        let range: Range<'_> = (Bound::Unbounded, Bound::Excluded(&end));
        let mut last: Option<TimeKey> = None;
        let (mut count, mut bytes) = (0, 0);
        let mut done = true;
        for item in time.range(txn, &range).map_err(engine_error)? {
            if count >= budget || bytes >= BYTES {
                done = false;
                break;
            }
            let (key, value) = item.map_err(engine_error)?;
            last = Some(key.try_into().map_err(|_| damaged("key of an envelope"))?);
            count += 1;
            bytes += value.len();
        }
        if let Some(last) = last {
            let range: Range<'_> = (Bound::Unbounded, Bound::Included(&last));
            time.delete_range(txn, &range).map_err(engine_error)?;
        }
        Ok((count as u64, done))
    }
}

/// Where a step of the removal from the index ended.
struct IndexStep {
    from: u64,
    removed: BTreeMap<(u32, Topic), Tally>,
}

type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

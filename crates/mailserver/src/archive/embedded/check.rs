//! The check of a whole archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use statuskit_core::{envelope::Topic, mailserver::Position, time::UnixSeconds};
use statuskit_lmdb::structure::MAX_TEXTS;

use crate::{
    ArchiveError,
    archive::embedded::{
        engine::{Engine, engine_error, sound},
        layout::{Entry, Tally, TimeKey},
        salvage::verified,
        state::load,
    },
};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Sound envelopes.
    pub envelopes: u64,
    /// The sum of their lengths in bytes.
    pub bytes: u64,
    /// Entries of the index that are not merged yet.
    pub fresh: u64,
    /// Whether a pruning was interrupted; the next one completes it.
    pub pruning: bool,
    /// The first few faults, in words.
    pub faults: Vec<String>,
    /// The number of faults.
    pub faulty: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faulty == 0
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faulty += 1;
        if self.faults.len() < MAX_TEXTS {
            self.faults.push(what());
        }
    }
}

/// Reports on an archive, whether it can be opened or not.
pub(super) fn check_at(dir: &Path) -> Result<Report, ArchiveError> {
    let faults = Engine::examine(dir)?;
    if faults.count > 0 {
        return Ok(Report { faults: faults.texts, faulty: faults.count, ..Report::default() });
    }
    // All pages were just checked.
    let checked = Engine::open_read_only(dir).and_then(|engine| compare(&engine));
    match checked {
        Err(ArchiveError::Damaged(what)) => {
            Ok(Report { faults: vec![what], faulty: 1, ..Report::default() })
        }
        checked => checked,
    }
}

pub(super) fn check(engine: &Engine) -> Result<Report, ArchiveError> {
    // The engine may only read sound pages.
    sound(engine.examine_now()?)?;
    compare(engine)
}

/// Compares the trees with each other.
fn compare(engine: &Engine) -> Result<Report, ArchiveError> {
    let txn = engine.reader()?;
    let trees = engine.trees();
    let loaded = load(trees, &txn)?;
    let floor = loaded.floor.unwrap_or(UnixSeconds::EPOCH);
    let mut report = Report { pruning: floor > UnixSeconds::EPOCH, ..Report::default() };

    let mut counts: BTreeMap<(u32, Topic), Tally> = BTreeMap::new();
    let mut indexed: u64 = 0;
    for item in trees.topics.iter(&txn).map_err(engine_error)? {
        let (key, value) = item.map_err(engine_error)?;
        let Some(entry) = Entry::from_parts(key, value) else {
            report.fault(|| format!("index: entry 0x{} is malformed", hex::encode(key)));
            continue;
        };
        counts.entry((entry.day(), entry.topic())).or_default().add(Tally::one(entry.len));
        if entry.sent() >= floor {
            indexed += 1;
        }
    }
    for (day, topic, tally) in &loaded.counts {
        let real = counts.remove(&(*day, *topic)).unwrap_or_default();
        if real != *tally {
            report.fault(|| format!("count of {topic} on day {day}: {tally:?}, but {real:?}"));
        }
    }
    for (day, topic) in counts.into_keys() {
        report.fault(|| format!("count of {topic} on day {day}: missing"));
    }

    let fresh: BTreeSet<Entry> = loaded.merging.iter().chain(&loaded.growing).copied().collect();
    report.fresh = fresh.len() as u64;
    for entry in &fresh {
        if trees.topics.get(&txn, &entry.key).map_err(engine_error)?.is_some() {
            report.fault(|| format!("entry 0x{} is both fresh and merged", hex::encode(entry.key)));
        }
    }

    // Each envelope has its entry. If there are as many of both, each entry has its envelope.
    let mut entries = indexed + fresh.iter().filter(|entry| entry.sent() >= floor).count() as u64;
    for item in trees.time.iter(&txn).map_err(engine_error)? {
        let (key, value) = item.map_err(engine_error)?;
        let Some(key) = TimeKey::try_from(key).ok() else {
            report.fault(|| format!("envelope 0x{}: malformed key", hex::encode(key)));
            continue;
        };
        let hash = || hex::encode(&key[4..]);
        let Some(envelope) = verified(&key, value) else {
            report.fault(|| format!("envelope 0x{}: not what its key says", hash()));
            continue;
        };
        if envelope.sent() < floor {
            continue;
        }
        let len = envelope.raw().len() as u32;
        let entry = Entry::new(envelope.topic(), Position::from_bytes(&key), len);
        let merged = trees.topics.get(&txn, &entry.key).map_err(engine_error)?;
        if merged != Some(&len.to_be_bytes()) && !fresh.contains(&entry) {
            report.fault(|| format!("envelope 0x{}: not in the index", hash()));
            continue;
        }
        entries = entries.saturating_sub(1);
        report.envelopes += 1;
        report.bytes += u64::from(len);
    }
    if entries > 0 {
        report.fault(|| format!("{entries} entries of the index without their envelopes"));
    }
    Ok(report)
}

//! Imports an archive that a mailserver of status-go wrote.
//!
//! | source | where |
//! | --- | --- |
//! | a directory of LevelDB, its default | [`LevelDb`] |
//! | a table of PostgreSQL | [`StatusGoPostgres`] |
//!
//! Both hold the same: a key of 40 bytes (second sent, hash, topic) and the RLP of the envelope.
//! Archives begun by old versions have keys of 36 bytes, without the topic. Every entry is checked
//! against its key. A bad one is reported and counted, and the others go on. Nothing is ever written
//! to the source.
//!
//! Source: the mailserver of status-go v0.50.2 (behaviour only).

mod leveldb;

use std::ops::ControlFlow;

use statuskit_core::{
    envelope::Envelope,
    explain::Explanation,
    mailserver::{ArchiveKey, Position},
    rlp::RlpError,
    time::UnixSeconds,
};

pub use self::leveldb::LevelDb;
#[cfg(feature = "postgres")]
pub use crate::archive::postgres::StatusGoPostgres;
use crate::{
    Intake, PassedOver,
    archive::{Archive, ArchiveError},
};

/// The most envelopes, and bytes of them, that are appended at once.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;

/// An archive of another program.
pub trait Source {
    /// Visits all entries in the order of their keys, until `visit` breaks.
    ///
    /// # Errors
    /// If the source can't be read, or not any further.
    fn read(&self, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>)
    -> Result<(), ArchiveError>;
}

/// An entry of a source.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A key and its value, unchecked.
    Pair(&'a [u8], &'a [u8]),
    /// A part of the source that can't be read.
    Unreadable(String),
}

/// An entry that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadEntry {
    /// A part of the source can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// The key has neither 40 nor 36 bytes.
    #[error("a key of {} bytes: expected 40 or 36", .0.len())]
    Key(Vec<u8>),
    /// The value is not an envelope.
    #[error("not an envelope: {error}")]
    Envelope {
        /// The key.
        key: Vec<u8>,
        /// What is wrong with the RLP.
        error: RlpError,
    },
    /// The envelope does not match the key.
    #[error("the envelope has another {field} than its key")]
    Mismatch {
        /// The key.
        key: Vec<u8>,
        /// The part of the key: `hash`, `time` or `topic`.
        field: &'static str,
    },
}

impl BadEntry {
    /// Returns the key, if there is one.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Unreadable(_) => None,
            Self::Key(key) | Self::Envelope { key, .. } | Self::Mismatch { key, .. } => Some(key),
        }
    }

    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        "archive.bad_entry"
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "archive.bad_entry",
        rule: "An entry of an archive of status-go or go-ethereum is a key of 40 or 36 bytes (second, hash, topic) with the RLP of its envelope.",
        source: "the reference implementation",
        causes: "A damaged archive, or a database of something else. All other entries were imported.",
    }];
}

/// The progress of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Good entries.
    pub good: u64,
    /// Those of them that were new to the archive.
    pub new: u64,
    /// Good entries that were not appended because of their time.
    pub passed_over: PassedOver,
    /// Entries that could not be imported.
    pub bad: u64,
    /// When the last envelope appended was sent.
    pub at: Option<UnixSeconds>,
}

/// An event of an import.
#[derive(Debug)]
pub enum Event<'a> {
    /// An entry was not imported.
    Bad(&'a BadEntry),
    /// Envelopes were appended durably.
    Appended(&'a Progress),
}

/// Appends to an archive what a source holds, if it is of a time that is kept. Repeating an import
/// does nothing.
///
/// # Errors
/// If the source or the archive fails. What was read until then is appended, and stays.
pub fn import(
    source: &dyn Source,
    archive: &dyn Archive,
    intake: Intake,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Progress, ArchiveError> {
    let (batch, progress) = (Vec::new(), Progress::default());
    let mut importer = Importer { archive, intake, batch, bytes: 0, progress };
    let mut failed = None;
    let read = source.read(&mut |entry| {
        let done = importer.take(entry, report);
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    // Even if the source could not be read to its end.
    let appended = importer.append(report);
    read.and(appended)?;
    Ok(importer.progress)
}

struct Importer<'a> {
    archive: &'a dyn Archive,
    intake: Intake,
    batch: Vec<Envelope>,
    bytes: usize,
    progress: Progress,
}

impl Importer<'_> {
    fn take(
        &mut self,
        entry: Entry<'_>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ArchiveError> {
        let checked = match entry {
            Entry::Pair(key, value) => check(key, value),
            Entry::Unreadable(what) => Err(BadEntry::Unreadable(what)),
        };
        match checked {
            Ok(envelope) => {
                self.progress.good += 1;
                match self.intake.check(&envelope) {
                    Ok(()) => {
                        self.bytes += envelope.raw().len();
                        self.batch.push(envelope);
                    }
                    Err(why) => self.progress.passed_over.add(why),
                }
            }
            Err(bad) => {
                self.progress.bad += 1;
                report(Event::Bad(&bad));
            }
        }
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.append(report)
        } else {
            Ok(())
        }
    }

    fn append(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<(), ArchiveError> {
        let Some(last) = self.batch.last() else { return Ok(()) };
        let at = last.sent();
        self.progress.new += self.archive.append(&self.batch)? as u64;
        self.progress.at = Some(at);
        self.batch.clear();
        self.bytes = 0;
        report(Event::Appended(&self.progress));
        Ok(())
    }
}

/// Returns the envelope of an entry, if it matches the key.
fn check(key: &[u8], value: &[u8]) -> Result<Envelope, BadEntry> {
    let named = key.try_into().ok().map(ArchiveKey);
    let position = (named.map(|named| named.position()))
        .or_else(|| key.try_into().ok().map(Position::from_bytes))
        .ok_or_else(|| BadEntry::Key(key.to_owned()))?;
    let envelope = Envelope::decode(value)
        .map_err(|error| BadEntry::Envelope { key: key.to_owned(), error })?;
    let own = Position::from_envelope(&envelope);
    let field = if own.hash != position.hash {
        "hash"
    } else if own.sent != position.sent {
        "time"
    } else if named.is_some_and(|named| named.topic() != envelope.topic()) {
        "topic"
    } else {
        return Ok(envelope);
    };
    Err(BadEntry::Mismatch { key: key.to_owned(), field })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::MemoryArchive;
    use statuskit_core::envelope::Topic;

    fn key(envelope: &Envelope) -> Vec<u8> {
        [&Position::from_envelope(envelope).to_bytes()[..], &envelope.topic().0].concat()
    }

    struct Pairs(Vec<(Vec<u8>, Vec<u8>)>);

    impl Source for Pairs {
        fn read(
            &self,
            visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
        ) -> Result<(), ArchiveError> {
            let _ = self.0.iter().try_for_each(|(key, value)| visit(Entry::Pair(key, value)));
            Ok(())
        }
    }

    /// Fails after its entries.
    struct Broken(Pairs);

    impl Source for Broken {
        fn read(
            &self,
            visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
        ) -> Result<(), ArchiveError> {
            self.0.read(visit)?;
            Err(ArchiveError::Unusable("the connection is gone".to_owned()))
        }
    }

    #[test]
    fn what_was_read_before_the_source_failed_is_appended() {
        let envelope =
            |n: u32| Envelope::new(UnixSeconds(1_000 + n), 10, Topic([1, 2, 3, 4]), b"data", 7);
        let pairs = (0..1_500).map(|n| (key(&envelope(n)), envelope(n).raw().to_vec())).collect();
        let (archive, mut last) = (MemoryArchive::new(), Progress::default());
        let failed = import(&Broken(Pairs(pairs)), &archive, Intake::ALL, &mut |event| {
            let Event::Appended(progress) = event else { panic!("{event:?}") };
            last = *progress;
        });
        assert_eq!(failed.unwrap_err().to_string(), "the connection is gone");
        assert_eq!((last.new, archive.summary().unwrap().envelopes), (1_500, 1_500));
    }

    #[test]
    fn bad_entries_are_reported_and_the_others_imported() {
        let good = |n: u32| {
            Envelope::new(UnixSeconds(1_000 + n), 10, Topic([1, 2, 3, n as u8]), b"data", 7)
        };
        let mut pairs: Vec<_> =
            (0..2_500).map(|n| (key(&good(n)), good(n).raw().to_vec())).collect();
        // A key of an old version.
        pairs[7].0.truncate(36);
        pairs[100].0.truncate(39);
        pairs[200].1.pop();
        pairs[300].0[0] ^= 1;
        pairs[400].0[10] ^= 1;
        pairs[500].0[38] ^= 1;
        pairs[600].1 = good(601).raw().to_vec();
        let archive = MemoryArchive::new();
        let (mut bad, mut appended) = (Vec::new(), Vec::new());
        let source = Pairs(pairs.clone());
        let done = import(&source, &archive, Intake::ALL, &mut |event| match event {
            Event::Bad(entry) => bad.push((entry.key().unwrap().to_vec(), entry.to_string())),
            Event::Appended(progress) => appended.push(*progress),
        });
        let at = Some(UnixSeconds(990 + 2_499));
        let expected = Progress { good: 2_494, new: 2_494, bad: 6, at, ..Progress::default() };
        assert_eq!(done.unwrap(), expected);
        assert_eq!(appended.iter().map(|p| p.good).collect::<Vec<_>>(), [1_000, 2_000, 2_494]);
        let keys: Vec<_> = [100, 200, 300, 400, 500, 600].map(|n: usize| pairs[n].0.clone()).into();
        assert_eq!(bad.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), keys);
        let words = ["39 bytes", "not an envelope", "time", "hash", "topic", "hash"];
        for ((_, text), word) in bad.iter().zip(words) {
            assert!(text.contains(word), "{text}");
        }
        let again = import(&source, &archive, Intake::ALL, &mut |_| ()).unwrap();
        assert_eq!((again.good, again.new, again.bad), (2_494, 0, 6));
    }

    #[test]
    fn envelopes_outside_the_intake_are_passed_over() {
        let envelope = |sent: UnixSeconds| {
            Envelope::new(sent.wrapping_add(10), 10, Topic([1, 2, 3, 4]), b"data", 7)
        };
        let times = [0, 99, 100, 150, 200, 201, u32::MAX];
        let pairs = times
            .map(|sent| envelope(UnixSeconds(sent)))
            .map(|it| (key(&it), it.raw().to_vec()))
            .into();
        let archive = MemoryArchive::new();
        let intake = Intake { from: UnixSeconds(100), to: UnixSeconds(200) };
        let done = import(&Pairs(pairs), &archive, intake, &mut |_| ()).unwrap();
        let passed_over = PassedOver { too_old: 2, from_future: 2 };
        let expected =
            Progress { good: 7, new: 3, bad: 0, passed_over, at: Some(UnixSeconds(200)) };
        assert_eq!(done, expected);
        assert_eq!(archive.summary().unwrap().span, Some((UnixSeconds(100), UnixSeconds(200))));
    }
}

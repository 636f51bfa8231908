//! Periods and their topics: which tables there are, and where in them an envelope is.
//!
//! Every process has a copy of the directory of topics. Topics are numbered in the order of
//! commits, and only added. So the row of a period shows whether the copy is complete, and what is
//! missing is read by number.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
};

use statuskit_core::envelope::{EnvelopeHash, Topic};

use crate::archive::{
    ArchiveError,
    postgres::{
        PostgresArchive,
        connection::{Fault, Session},
        sql::Statement,
    },
};

/// The number of shards for a busy topic.
const SPREAD: u8 = 16;
/// The most topics in memory, of all days. A topic takes about eight bytes.
const TOPICS_KEPT: usize = 8 << 20;

/// What the table of a period is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeriodName {
    /// Days since 1970-01-01.
    pub(super) day: u32,
    /// How often the day was begun.
    pub(super) incarnation: i64,
}

impl PeriodName {
    /// Reads the columns `day` and `incarnation`.
    pub(super) fn read(day: i64, incarnation: i64) -> Result<Self, Fault> {
        let day = u32::try_from(day).map_err(|_| damaged(format!("there is no day {day}")))?;
        Ok(Self { day, incarnation })
    }
}

/// A period and the known topics of its envelopes.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) name: PeriodName,
    /// The number of the last known topic.
    known: i64,
    /// Topics with their spread.
    topics: HashMap<Topic, u8>,
}

impl Period {
    /// Returns its topics.
    pub(super) fn topics(&self) -> impl Iterator<Item = (Topic, u8)> + '_ {
        self.topics.iter().map(|(topic, spread)| (*topic, *spread))
    }

    /// Returns the spread of one of its topics.
    pub(super) fn spread(&self, topic: Topic) -> Option<u8> {
        self.topics.get(&topic).copied()
    }
}

/// Returns the shard of an envelope.
pub(super) fn shard(topic: Topic, spread: u8, hash: &EnvelopeHash) -> i64 {
    let base = home_shard(topic);
    i64::from(base.wrapping_add(hash.0[0] % spread))
}

/// Returns the shards of a topic.
pub(super) fn shards(topic: Topic, spread: u8) -> impl Iterator<Item = i64> {
    let base = home_shard(topic);
    (0..spread).map(move |offset| i64::from(base.wrapping_add(offset)))
}

/// Returns the first shard of a topic: the upper byte of the topic, as a big-endian integer, times
/// 2^32 divided by the golden ratio.
fn home_shard(topic: Topic) -> u8 {
    let [first, ..] = u32::from_be_bytes(topic.0).wrapping_mul(0x9e37_79b1).to_be_bytes();
    first
}

/// The known periods.
#[derive(Debug, Default)]
pub(super) struct Directory {
    periods: BTreeMap<u32, Arc<Period>>,
}

impl Directory {
    /// Returns what is known of a day.
    pub(super) fn get(&self, day: u32) -> Option<Arc<Period>> {
        self.periods.get(&day).cloned()
    }

    /// Forgets a day.
    pub(super) fn forget(&mut self, day: u32) {
        self.periods.remove(&day);
    }

    /// Learns topics. What was known of an earlier incarnation is forgotten.
    fn learn(&mut self, name: PeriodName, topics: &[(i64, Topic, u8)]) -> Arc<Period> {
        let new = || Arc::new(Period { name, known: 0, topics: HashMap::new() });
        let entry = self.periods.entry(name.day).or_insert_with(new);
        if entry.name != name {
            *entry = new();
        }
        if !topics.is_empty() {
            let period = Arc::make_mut(entry);
            for (number, topic, spread) in topics {
                // Numbers have no gaps: one is only learned when all before it are known.
                if *number == period.known + 1 {
                    period.known = *number;
                    period.topics.insert(*topic, *spread);
                }
            }
        }
        Arc::clone(entry)
    }

    /// Forgets the oldest days if there are too many topics.
    fn shrink(&mut self) {
        let mut topics: usize = self.periods.values().map(|period| period.topics.len()).sum();
        while topics > TOPICS_KEPT && self.periods.len() > 1 {
            let Some((_, oldest)) = self.periods.pop_first() else { return };
            topics -= oldest.topics.len();
        }
    }
}

impl PostgresArchive {
    /// Returns the periods of a range of days, ascending, with all topics that existed when this
    /// was called.
    pub(super) fn periods(
        &self,
        session: &mut Session,
        first: u32,
        last: u32,
    ) -> Result<Vec<Arc<Period>>, Fault> {
        let sql = self.names.sql(Statement::LivePeriods);
        let rows = session.query(&sql, &[&i64::from(first), &i64::from(last)])?;
        let mut periods = Vec::with_capacity(rows.len());
        for row in rows {
            let name = PeriodName::read(row.try_get(0)?, row.try_get(1)?)?;
            periods.push(self.complete(session, name, row.try_get(2)?)?);
        }
        let live: BTreeSet<u32> = periods.iter().map(|period| period.name.day).collect();
        let mut directory = self.directory_mut();
        let gone = |day: &u32| !live.contains(day) && (first..=last).contains(day);
        directory.periods.retain(|day, _| !gone(day));
        directory.shrink();
        Ok(periods)
    }

    /// Returns a period with at least its first `topics` topics.
    fn complete(
        &self,
        session: &mut Session,
        name: PeriodName,
        topics: i64,
    ) -> Result<Arc<Period>, Fault> {
        let period = self.directory().get(name.day).filter(|period| period.name == name);
        match period {
            Some(period) if period.known >= topics => return Ok(period),
            Some(period) => self.more_topics(session, &period)?,
            None => {
                self.more_topics(session, &Period { name, known: 0, topics: HashMap::new() })?
            }
        };
        // What was just learned may be gone again if there are too many topics.
        let period = self.directory().get(name.day).filter(|period| period.name == name);
        period.filter(|period| period.known >= topics).ok_or(Fault::Stale)
    }

    /// Learns the topics that were added to a period.
    fn more_topics(&self, session: &mut Session, period: &Period) -> Result<Arc<Period>, Fault> {
        let PeriodName { day, incarnation } = period.name;
        let sql = self.names.sql(Statement::Topics);
        let rows = session.query(&sql, &[&i64::from(day), &incarnation, &period.known])?;
        let mut topics = Vec::with_capacity(rows.len());
        for row in rows {
            let number: i64 = row.try_get(0)?;
            let spread: i64 = row.try_get(2)?;
            let spread = u8::try_from(spread).ok().filter(|spread| *spread > 0);
            let spread = spread.ok_or_else(|| damaged(format!("topic {number} has no spread")))?;
            topics.push((number, read_topic(row.try_get(1)?)?, spread));
        }
        Ok(self.directory_mut().learn(period.name, &topics))
    }

    /// Returns the period of a day with these topics in its directory; begins it if necessary.
    pub(super) fn prepare_period(
        &self,
        session: &mut Session,
        day: u32,
        topics: &BTreeSet<Topic>,
    ) -> Result<Arc<Period>, Fault> {
        let has_all =
            |period: &Period| topics.iter().all(|topic| period.topics.contains_key(topic));
        if let Some(period) = self.directory().get(day).filter(|period| has_all(period)) {
            return Ok(period);
        }
        let period = match self.periods(session, day, day)?.pop() {
            Some(period) => period,
            None => {
                self.begin_period(session, day)?;
                self.periods(session, day, day)?.pop().ok_or(Fault::Stale)?
            }
        };
        if has_all(&period) {
            return Ok(period);
        }
        self.add_topics(session, &period, topics)
    }

    /// Creates the table of a day, then its row: a process that sees the row can use the table.
    fn begin_period(&self, session: &mut Session, day: u32) -> Result<(), Fault> {
        let id = i64::from(day);
        let rows = session.query(&self.names.sql(Statement::Period), &[&id])?;
        let before: Option<(i64, i64)> = match rows.first() {
            Some(row) => Some((row.try_get(0)?, row.try_get(1)?)),
            None => None,
        };
        let incarnation = match before {
            None => 1,
            Some((incarnation, 3)) => incarnation + 1,
            Some((_, 1)) => return Ok(()),
            // It is being dropped, or that was interrupted: finish it.
            Some((incarnation, _)) => {
                let removed = self.drop_period(session, PeriodName { day, incarnation })?;
                self.untold.fetch_add(removed, Ordering::Relaxed);
                incarnation + 1
            }
        };
        let name = PeriodName { day, incarnation };
        session.execute(&self.names.in_period(Statement::MakeEnvelopes, name), &[])?;
        let begun = if incarnation == 1 {
            session.execute(&self.names.sql(Statement::FirstIncarnation), &[&id])?
        } else {
            let sql = self.names.sql(Statement::NextIncarnation);
            session.execute(&sql, &[&id, &(incarnation - 1)])?
        };
        if begun == 0 {
            // Another process was faster. If the day was even dropped since, our table was created
            // after that, and nobody will ever use it.
            let rows = session.query(&self.names.sql(Statement::Period), &[&id])?;
            let now: Option<(i64, i64)> = match rows.first() {
                Some(row) => Some((row.try_get(0)?, row.try_get(1)?)),
                None => None,
            };
            if now.is_some_and(|now| now.0 > incarnation || now == (incarnation, 3)) {
                session.execute(&self.names.in_period(Statement::DropEnvelopes, name), &[])?;
            }
        }
        Ok(())
    }

    /// Writes topics into the directory. The first writer decides on the spread.
    fn add_topics(
        &self,
        session: &mut Session,
        period: &Arc<Period>,
        topics: &BTreeSet<Topic>,
    ) -> Result<Arc<Period>, Fault> {
        let new = |period: &Period| -> Vec<Topic> {
            topics.iter().copied().filter(|topic| period.spread(*topic).is_none()).collect()
        };
        let hot = self.hot_topics(session, period.name.day, &new(period))?;
        let PeriodName { day, incarnation } = period.name;
        let day = i64::from(day);
        session.transaction(|session| {
            let sql = self.names.sql(Statement::LockPeriod);
            let rows = session.query(&sql, &[&day, &incarnation])?;
            let last: i64 = rows.first().ok_or(Fault::Stale)?.try_get(0)?;
            // Includes what others added before we had the lock.
            let period = self.complete(session, period.name, last)?;
            let missing = new(&period);
            let numbers: Vec<i64> = (last + 1..).take(missing.len()).collect();
            let bytes: Vec<&[u8]> = missing.iter().map(|topic| &topic.0[..]).collect();
            let spreads: Vec<i64> = (missing.iter())
                .map(|topic| i64::from(if hot.contains(topic) { SPREAD } else { 1 }))
                .collect();
            let sql = self.names.sql(Statement::AddTopics);
            session.execute(&sql, &[&day, &incarnation, &numbers, &bytes, &spreads])?;
            let sql = self.names.sql(Statement::SetTopics);
            session.execute(&sql, &[&day, &incarnation, &(last + missing.len() as i64)])
        })?;
        let period = self.more_topics(session, period)?;
        if new(&period).is_empty() { Ok(period) } else { Err(Fault::Stale) }
    }

    /// Returns which of these topics were busy on the day before.
    fn hot_topics(
        &self,
        session: &mut Session,
        day: u32,
        topics: &[Topic],
    ) -> Result<BTreeSet<Topic>, Fault> {
        let Some(day) = day.checked_sub(1) else { return Ok(BTreeSet::new()) };
        let id = i64::from(day);
        let rows = session.query(&self.names.sql(Statement::LivePeriods), &[&id, &id])?;
        let Some(row) = rows.first() else { return Ok(BTreeSet::new()) };
        let incarnation: i64 = row.try_get(1)?;
        let topics: Vec<&[u8]> = topics.iter().map(|topic| &topic.0[..]).collect();
        let from = i64::try_from(self.options.hot_from).unwrap_or(i64::MAX);
        let sql = self.names.sql(Statement::HotTopics);
        let rows = session.query(&sql, &[&id, &incarnation, &topics, &from])?;
        rows.iter().map(|row| read_topic(row.try_get(0)?)).collect()
    }
}

/// Reads a column with a topic.
pub(super) fn read_topic(bytes: &[u8]) -> Result<Topic, Fault> {
    match bytes.try_into() {
        Ok(topic) => Ok(Topic(topic)),
        Err(_) => Err(damaged(format!("a topic of {} bytes", bytes.len()))),
    }
}

/// An error for something in the database that this program doesn't write.
pub(super) fn damaged(what: String) -> Fault {
    Fault::Archive(ArchiveError::Damaged(what))
}

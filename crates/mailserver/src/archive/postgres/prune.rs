//! Pruning: whole days are dropped, the beginning of the last one is deleted by index.
//!
//! A day ends in three steps, each of which any server can finish after an interruption. It is
//! marked: nobody reads it any more, and appends fail and begin it anew. Its table is dropped,
//! which waits for appends under way. What is known of it is deleted.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use statuskit_core::{envelope::Topic, mailserver::DAY, time::UnixSeconds};

use crate::archive::{
    ArchiveError,
    postgres::{
        PostgresArchive,
        connection::{Fault, Session},
        periods::{PeriodName, read_topic, shards},
        sql::Statement,
        write::Added,
    },
};

/// The number of shards per transaction.
const SHARDS: usize = 16;

impl PostgresArchive {
    /// Removes what was sent before. Returns the number of envelopes, with those of days that
    /// appends to this archive had to end since the last time.
    pub(super) fn remove(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        let day = before.day();
        self.pool.run("pruning", |session| {
            let sql = self.names.sql(Statement::EndPeriods);
            session.execute(&sql, &[&i64::from(day)])
        })?;
        let ending = self.pool.run("pruning", |session| {
            let rows = session.query(&self.names.sql(Statement::EndingPeriods), &[])?;
            let read = |row: &postgres::Row| PeriodName::read(row.try_get(0)?, row.try_get(1)?);
            rows.iter().map(read).collect::<Result<Vec<_>, Fault>>()
        })?;
        let mut removed = 0;
        for name in ending {
            removed += self.pool.run("dropping a day", |s| self.drop_period(s, name))?;
        }
        if !before.0.is_multiple_of(DAY) {
            removed += self.remove_beginning(day, before)?;
        }
        Ok(removed + self.untold.swap(0, Ordering::Relaxed))
    }

    /// Finishes the end of a period. Returns how many envelopes it had; 0 if another server
    /// finished it.
    pub(super) fn drop_period(
        &self,
        session: &mut Session,
        name: PeriodName,
    ) -> Result<u64, Fault> {
        self.directory_mut().forget(name.day);
        session.execute(&self.names.in_period(Statement::DropEnvelopes, name), &[])?;
        let (day, incarnation) = (i64::from(name.day), name.incarnation);
        session.transaction(|session| {
            let sql = self.names.sql(Statement::EndedPeriod);
            if session.execute(&sql, &[&day, &incarnation])? == 0 {
                return Ok(0);
            }
            let rows =
                session.query(&self.names.sql(Statement::PeriodSum), &[&day, &incarnation])?;
            let sum: i64 = rows.first().ok_or(Fault::Stale)?.try_get(0)?;
            for statement in [Statement::DropCounts, Statement::DropTopics] {
                session.execute(&self.names.sql(statement), &[&day, &incarnation])?;
            }
            Ok(sum.max(0) as u64)
        })
    }

    /// Removes the beginning of a day, shard by shard.
    fn remove_beginning(&self, day: u32, before: UnixSeconds) -> Result<u64, ArchiveError> {
        let mut by_shard: BTreeMap<i64, Vec<Topic>> = BTreeMap::new();
        let periods = self.pool.run("pruning", |session| self.periods(session, day, day))?;
        let Some(period) = periods.first() else { return Ok(0) };
        for (topic, spread) in period.topics() {
            for shard in shards(topic, spread) {
                by_shard.entry(shard).or_default().push(topic);
            }
        }
        let sql = self.names.in_period(Statement::Remove, period.name);
        let mut removed = 0;
        for shards in by_shard.into_iter().collect::<Vec<_>>().chunks(SHARDS) {
            removed += self
                .pool
                .run("pruning", |session| {
                    session
                        .transaction(|session| {
                            let mut gone = Added::new();
                            let mut count = 0;
                            for (shard, topics) in shards {
                                let topics: Vec<&[u8]> =
                                    topics.iter().map(|topic| &topic.0[..]).collect();
                                let rows =
                                    session.query(&sql, &[shard, &topics, &i64::from(before)])?;
                                for row in &rows {
                                    let bytes: i64 = row.try_get(1)?;
                                    let topic = read_topic(row.try_get(0)?)?;
                                    let sum = gone.entry((period.name, topic)).or_default();
                                    sum.0 -= 1;
                                    sum.1 -= bytes;
                                }
                                count += rows.len() as u64;
                            }
                            self.add_counts(session, &gone)?;
                            Ok(Some(count))
                        })
                        // Another server dropped the whole day.
                        .or_else(
                            |fault| if fault.is_undefined_table() { Ok(None) } else { Err(fault) },
                        )
                })?
                .unwrap_or(0);
        }
        Ok(removed)
    }
}

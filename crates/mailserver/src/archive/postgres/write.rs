//! Appending: one transaction for all envelopes of a call.
//!
//! Topics that are new on a day are first written to its directory, in transactions of their own.
//! So no reader ever meets an envelope of an unknown topic. Rows are inserted in the order of the
//! key, days ascending: concurrent writers of the same envelopes wait for each other, but never
//! deadlock.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use statuskit_core::{
    envelope::{Envelope, Topic},
    mailserver::Position,
};

use crate::archive::{
    ArchiveError,
    postgres::{
        PostgresArchive,
        connection::{Fault, Session},
        periods::{Period, PeriodName, shard},
        sql::Statement,
    },
};

/// The most rows and bytes of a statement.
const ROWS: usize = 2048;
const BYTES: usize = 8 << 20;

/// A row of the table of a period. Rows sort by the key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<'a> {
    shard: i64,
    topic: Topic,
    position: Position,
    raw: &'a [u8],
}

/// Envelopes and bytes that were added, by period and topic; negative if removed.
pub(super) type Added = BTreeMap<(PeriodName, Topic), (i64, i64)>;

impl PostgresArchive {
    /// Appends envelopes.
    pub(super) fn write(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        if envelopes.is_empty() {
            return Ok(0);
        }
        let mut days: BTreeMap<u32, Vec<(Position, &Envelope)>> = BTreeMap::new();
        for envelope in envelopes {
            let position = Position::from_envelope(envelope);
            days.entry(position.sent.day()).or_default().push((position, envelope));
        }
        let mut first = true;
        self.pool.run("appending", |session| {
            if !std::mem::take(&mut first) {
                // A day may have been dropped meanwhile.
                days.keys().for_each(|day| self.directory_mut().forget(*day));
            }
            let mut periods = Vec::with_capacity(days.len());
            for (day, envelopes) in &days {
                let topics: BTreeSet<_> = envelopes.iter().map(|(_, e)| e.topic()).collect();
                periods.push((self.prepare_period(session, *day, &topics)?, envelopes));
            }
            session.transaction(|session| {
                let mut added = Added::new();
                for (period, envelopes) in &periods {
                    self.insert(session, period, envelopes, &mut added)?;
                }
                self.add_counts(session, &added)?;
                let names = periods.iter().map(|(period, _)| period.name);
                self.check_live(session, &names.collect())?;
                Ok(added.values().map(|(envelopes, _)| *envelopes as usize).sum())
            })
        })
    }

    fn insert(
        &self,
        session: &mut Session,
        period: &Arc<Period>,
        envelopes: &[(Position, &Envelope)],
        added: &mut Added,
    ) -> Result<(), Fault> {
        let mut entries = Vec::with_capacity(envelopes.len());
        for (position, envelope) in envelopes {
            let topic = envelope.topic();
            let spread = period.spread(topic).ok_or(Fault::Stale)?;
            let shard = shard(topic, spread, &position.hash);
            entries.push(Entry { shard, topic, position: *position, raw: envelope.raw() });
        }
        entries.sort_unstable();
        entries.dedup();

        let sql = self.names.in_period(Statement::Append, period.name);
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&Entry<'_>| {
                bytes += entry.raw.len();
                bytes <= BYTES
            };
            let count = rest.iter().take(ROWS).take_while(fits).count().max(1);
            let (chunk, after) = rest.split_at(count);
            rest = after;

            let shards: Vec<i64> = chunk.iter().map(|entry| entry.shard).collect();
            let topics: Vec<&[u8]> = chunk.iter().map(|entry| &entry.topic.0[..]).collect();
            let sent: Vec<i64> = chunk.iter().map(|entry| entry.position.sent.into()).collect();
            let hashes: Vec<&[u8]> = chunk.iter().map(|entry| &entry.position.hash.0[..]).collect();
            let raw: Vec<&[u8]> = chunk.iter().map(|entry| entry.raw).collect();
            let mut new = HashSet::with_capacity(chunk.len());
            session.stream(&sql, &[&shards, &topics, &sent, &hashes, &raw], |row| {
                let hash: &[u8] = row.try_get(0)?;
                new.extend(<[u8; 32]>::try_from(hash));
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            for entry in chunk.iter().filter(|entry| new.contains(&entry.position.hash.0)) {
                let sum = added.entry((period.name, entry.topic)).or_default();
                sum.0 += 1;
                sum.1 += entry.raw.len() as i64;
            }
        }
        Ok(())
    }

    /// Adds to the counts, in rows of our own.
    pub(super) fn add_counts(&self, session: &mut Session, added: &Added) -> Result<(), Fault> {
        if added.is_empty() {
            return Ok(());
        }
        let days: Vec<i64> = added.keys().map(|(name, _)| name.day.into()).collect();
        let incarnations: Vec<i64> = added.keys().map(|(name, _)| name.incarnation).collect();
        let topics: Vec<&[u8]> = added.keys().map(|(_, topic)| &topic.0[..]).collect();
        let (envelopes, bytes): (Vec<i64>, Vec<i64>) = added.values().copied().unzip();
        let sql = self.names.sql(Statement::AddCounts);
        session.execute(&sql, &[&self.slot, &days, &incarnations, &topics, &envelopes, &bytes])?;
        Ok(())
    }

    /// Fails if one of the periods has ended: what was written to it would never be read. If it
    /// ends later, the envelopes count as appended and then pruned.
    fn check_live(&self, session: &mut Session, names: &BTreeSet<PeriodName>) -> Result<(), Fault> {
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(()) };
        let (first, last) = (i64::from(first.day), i64::from(last.day));
        let rows = session.query(&self.names.sql(Statement::LivePeriods), &[&first, &last])?;
        let mut live = BTreeSet::new();
        for row in rows {
            live.insert(PeriodName::read(row.try_get(0)?, row.try_get(1)?)?);
        }
        if names.is_subset(&live) { Ok(()) } else { Err(Fault::Stale) }
    }
}

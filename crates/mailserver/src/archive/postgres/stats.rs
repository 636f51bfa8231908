//! Counting, without reading envelopes.

use std::ops::ControlFlow;

use statuskit_core::{envelope::Bloom, time::UnixSeconds};

use crate::archive::{
    ArchiveError, Budget, Count, Order, Query, Select, Summary,
    postgres::{
        PostgresArchive,
        connection::Fault,
        periods::{damaged, read_topic},
        sql::Statement,
    },
};

impl PostgresArchive {
    /// Visits the counts per topic and day.
    pub(super) fn count(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        // Collected first: if the connection is lost halfway, none is visited twice.
        let counts = self.pool.run("counting", |session| {
            let rows = session.query(&self.names.sql(Statement::Counts), &[])?;
            let mut counts = Vec::with_capacity(rows.len());
            for row in rows {
                let day: i64 = row.try_get(0)?;
                counts.push(Count {
                    day: u32::try_from(day)
                        .map_err(|_| damaged(format!("there is no day {day}")))?,
                    topic: read_topic(row.try_get(1)?)?,
                    envelopes: positive(row.try_get(2)?),
                    bytes: positive(row.try_get(3)?),
                });
            }
            Ok::<_, Fault>(counts)
        })?;
        counts.into_iter().for_each(visit);
        Ok(())
    }

    /// Sums up all counts.
    pub(super) fn sum_up(&self) -> Result<Summary, ArchiveError> {
        let (topics, envelopes, bytes) = self.pool.run("summing up", |session| {
            let rows = session.query(&self.names.sql(Statement::Summary), &[])?;
            let row = rows.first().ok_or(Fault::Stale)?;
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        })?;
        let span = match (self.end(Order::OldestFirst)?, self.end(Order::NewestFirst)?) {
            (Some(oldest), Some(newest)) => Some((oldest, newest)),
            _ => None,
        };
        Ok(Summary {
            envelopes: positive(envelopes),
            bytes: positive(bytes),
            topics: positive(topics),
            span,
            disk: None,
        })
    }

    /// Returns the second of the first envelope in an order.
    fn end(&self, order: Order) -> Result<Option<UnixSeconds>, ArchiveError> {
        let select = Select::Bloom(Bloom::FULL);
        let query =
            Query { from: UnixSeconds::EPOCH, to: UnixSeconds::MAX, select, order, after: None };
        let mut end = None;
        self.read_pages(&query, &mut Budget::unlimited(), &mut |record| {
            end = Some(record.position.sent);
            ControlFlow::Break(())
        })?;
        Ok(end)
    }
}

/// Counts are sums of rows that may be negative; the sums are not.
fn positive(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

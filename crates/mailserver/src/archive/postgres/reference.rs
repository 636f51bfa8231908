//! The archive of a status-go mailserver in PostgreSQL: its table `envelopes`, read by key.

use std::ops::ControlFlow;

use crate::archive::{
    ArchiveError,
    import::{Entry, Source},
    postgres::{
        Options,
        connection::{Fault, Pool},
        sql::{Sql, Statement},
    },
};

/// Rows per statement.
const PAGE: i64 = 500;

/// The archive of a status-go mailserver in PostgreSQL, for reading.
pub struct StatusGoPostgres {
    pool: Pool,
}

impl StatusGoPostgres {
    /// Connects to a database with a table `envelopes`.
    ///
    /// # Errors
    /// If it can't be reached, or there is no such table.
    pub fn open(url: &str) -> Result<Self, ArchiveError> {
        let pool = Pool::open(url, &Options { connections: 1, ..Options::default() })?;
        let first: (&[u8], i64) = (&[], 1);
        let found = pool.run("opening the source", |session| {
            match session.query(&Sql::from(Statement::ReferencePage), &[&first.0, &first.1]) {
                Err(fault) if fault.is_undefined_table() => Ok(false),
                result => result.map(|_| true),
            }
        })?;
        if !found {
            return Err(ArchiveError::Unusable(format!(
                "no table \"envelopes\" in {}: not the archive of a status-go mailserver",
                pool.target()
            )));
        }
        Ok(Self { pool })
    }
}

impl Source for StatusGoPostgres {
    fn read(
        &self,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        let mut last: Vec<u8> = Vec::new();
        let mut broken = false;
        loop {
            let mut rows = 0;
            self.pool.run("reading the source", |session| {
                let after = last.clone();
                let sql = Sql::from(Statement::ReferencePage);
                session.stream(&sql, &[&after, &PAGE], |row| {
                    let (key, value): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
                    rows += 1;
                    last = key.to_owned();
                    broken = visit(Entry::Pair(key, value)).is_break();
                    let next: ControlFlow<()> =
                        if broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                    Ok::<_, Fault>(next)
                })
            })?;
            if broken || rows < PAGE {
                return Ok(());
            }
        }
    }
}

impl std::fmt::Debug for StatusGoPostgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusGoPostgres").field("server", &self.pool.target()).finish()
    }
}

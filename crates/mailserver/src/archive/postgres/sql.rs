//! Every statement that is ever run against an archive in PostgreSQL.
//!
//! An [`Sql`] can only be made from a [`Statement`] of this list, and connections run nothing else.
//! So the test below sees all statements. It refuses SQL that PostgreSQL, Citus, YugabyteDB and
//! CockroachDB do not have in common.

use std::fmt::Write;

use crate::archive::{ArchiveError, postgres::periods::PeriodName};

/// Declares the statements, so that the list of all is complete.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A statement. Words in braces are replaced by names of tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Statement {
            $($(#[$doc])* $name,)*
        }

        impl Statement {
            /// All statements.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn template(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

statements! {
    Begin = "BEGIN";
    Commit = "COMMIT";
    Rollback = "ROLLBACK";

    MakeVersion = "CREATE TABLE IF NOT EXISTS {version} (
        id BIGINT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (id))";
    MakePeriods = "CREATE TABLE IF NOT EXISTS {periods} (
        day BIGINT NOT NULL, incarnation BIGINT NOT NULL, state BIGINT NOT NULL,
        topics BIGINT NOT NULL, PRIMARY KEY (day))";
    MakeTopics = "CREATE TABLE IF NOT EXISTS {topics} (
        day BIGINT NOT NULL, incarnation BIGINT NOT NULL, number BIGINT NOT NULL,
        topic BYTEA NOT NULL, spread BIGINT NOT NULL, PRIMARY KEY (day, incarnation, number))";
    MakeCounts = "CREATE TABLE IF NOT EXISTS {counts} (
        day BIGINT NOT NULL, incarnation BIGINT NOT NULL, topic BYTEA NOT NULL,
        slot BIGINT NOT NULL, envelopes BIGINT NOT NULL, bytes BIGINT NOT NULL,
        PRIMARY KEY (day, incarnation, topic, slot))";
    MakeEnvelopes = "CREATE TABLE IF NOT EXISTS {table} (
        shard BIGINT NOT NULL, topic BYTEA NOT NULL, sent BIGINT NOT NULL, hash BYTEA NOT NULL,
        envelope BYTEA NOT NULL, PRIMARY KEY (shard, topic, sent, hash))";
    DropEnvelopes = "DROP TABLE IF EXISTS {table}";

    Version = "SELECT version FROM {version} WHERE id = 1";
    SetVersion = "INSERT INTO {version} (id, version) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";

    /// The days of a range that can be read and written.
    LivePeriods = "SELECT day, incarnation, topics FROM {periods}
        WHERE state = 1 AND day >= $1 AND day <= $2 ORDER BY day";
    /// What is known of a day, whatever its state.
    Period = "SELECT incarnation, state, topics FROM {periods} WHERE day = $1";
    FirstIncarnation = "INSERT INTO {periods} (day, incarnation, state, topics)
        VALUES ($1, 1, 1, 0) ON CONFLICT (day) DO NOTHING";
    NextIncarnation = "UPDATE {periods} SET incarnation = incarnation + 1, state = 1, topics = 0
        WHERE day = $1 AND incarnation = $2 AND state = 3";
    /// Locks the row of a day, so that topics are numbered in the order of commits.
    LockPeriod = "UPDATE {periods} SET topics = topics
        WHERE day = $1 AND incarnation = $2 AND state = 1 RETURNING topics";
    SetTopics = "UPDATE {periods} SET topics = $3
        WHERE day = $1 AND incarnation = $2 AND state = 1";
    EndPeriods = "UPDATE {periods} SET state = 2 WHERE state = 1 AND day < $1";
    EndingPeriods = "SELECT day, incarnation FROM {periods} WHERE state = 2 ORDER BY day";
    EndedPeriod = "UPDATE {periods} SET state = 3
        WHERE day = $1 AND incarnation = $2 AND state = 2";

    /// The topics of a day after a number.
    Topics = "SELECT number, topic, spread FROM {topics}
        WHERE day = $1 AND incarnation = $2 AND number > $3 ORDER BY number";
    AddTopics = "INSERT INTO {topics} (day, incarnation, number, topic, spread)
        SELECT $1, $2, n.number, n.topic, n.spread
        FROM UNNEST($3::BIGINT[], $4::BYTEA[], $5::BIGINT[]) AS n (number, topic, spread)";
    DropTopics = "DELETE FROM {topics} WHERE day = $1 AND incarnation = $2";
    /// Which of some topics had many envelopes on a day.
    HotTopics = "SELECT topic FROM {counts}
        WHERE day = $1 AND incarnation = $2 AND topic = ANY($3)
        GROUP BY topic HAVING SUM(envelopes) >= $4::BIGINT";

    /// Appends rows and returns the hashes of new ones.
    Append = "INSERT INTO {table} (shard, topic, sent, hash, envelope)
        SELECT n.shard, n.topic, n.sent, n.hash, n.envelope
        FROM UNNEST($1::BIGINT[], $2::BYTEA[], $3::BIGINT[], $4::BYTEA[], $5::BYTEA[])
            AS n (shard, topic, sent, hash, envelope)
        ON CONFLICT (shard, topic, sent, hash) DO NOTHING RETURNING hash";
    AddCounts = "INSERT INTO {counts} AS c (day, incarnation, topic, slot, envelopes, bytes)
        SELECT n.day, n.incarnation, n.topic, $1, n.envelopes, n.bytes
        FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BYTEA[], $5::BIGINT[], $6::BIGINT[])
            AS n (day, incarnation, topic, envelopes, bytes)
        ON CONFLICT (day, incarnation, topic, slot) DO UPDATE
            SET envelopes = c.envelopes + excluded.envelopes, bytes = c.bytes + excluded.bytes";

    /// A page of one topic of one shard of one day, as part of [`PageAscending`](Self::PageAscending).
    StreamAscending = "(SELECT topic, sent, hash, envelope FROM {table}
        WHERE shard = {shard} AND topic = {topic} AND sent >= $1 AND sent <= $3
            AND (sent, hash) > ($1, $2) AND (sent, hash) < ($3, $4)
        ORDER BY sent, hash LIMIT $5)";
    StreamDescending = "(SELECT topic, sent, hash, envelope FROM {table}
        WHERE shard = {shard} AND topic = {topic} AND sent >= $1 AND sent <= $3
            AND (sent, hash) > ($1, $2) AND (sent, hash) < ($3, $4)
        ORDER BY sent DESC, hash DESC LIMIT $5)";
    /// Pages of several streams, merged.
    PageAscending = "SELECT topic, sent, hash, envelope FROM ({streams}) AS merged
        ORDER BY sent, hash LIMIT $6";
    PageDescending = "SELECT topic, sent, hash, envelope FROM ({streams}) AS merged
        ORDER BY sent DESC, hash DESC LIMIT $6";
    /// A page of very many topics of one day.
    WindowAscending = "SELECT t.topic, t.sent, t.hash, t.envelope
        FROM UNNEST($6::BIGINT[], $7::BYTEA[]) AS s (shard, topic)
        JOIN {table} AS t ON t.shard = s.shard AND t.topic = s.topic
        WHERE t.sent >= $1 AND t.sent <= $3
            AND (t.sent, t.hash) > ($1, $2) AND (t.sent, t.hash) < ($3, $4)
        ORDER BY t.sent, t.hash LIMIT $5";
    WindowDescending = "SELECT t.topic, t.sent, t.hash, t.envelope
        FROM UNNEST($6::BIGINT[], $7::BYTEA[]) AS s (shard, topic)
        JOIN {table} AS t ON t.shard = s.shard AND t.topic = s.topic
        WHERE t.sent >= $1 AND t.sent <= $3
            AND (t.sent, t.hash) > ($1, $2) AND (t.sent, t.hash) < ($3, $4)
        ORDER BY t.sent DESC, t.hash DESC LIMIT $5";
    Holds = "SELECT t.sent FROM UNNEST($1::BIGINT[], $2::BYTEA[]) AS s (shard, topic)
        JOIN {table} AS t ON t.shard = s.shard AND t.topic = s.topic
        WHERE t.sent = $3 AND t.hash = $4 LIMIT 1";

    /// Removes what was sent before, of some topics of a shard.
    Remove = "DELETE FROM {table} WHERE shard = $1 AND topic = ANY($2) AND sent < $3
        RETURNING topic, OCTET_LENGTH(envelope)::BIGINT";
    PeriodSum = "SELECT COALESCE(SUM(envelopes), 0)::BIGINT FROM {counts}
        WHERE day = $1 AND incarnation = $2";
    DropCounts = "DELETE FROM {counts} WHERE day = $1 AND incarnation = $2";

    Counts = "SELECT c.day, c.topic, SUM(c.envelopes)::BIGINT, SUM(c.bytes)::BIGINT
        FROM {counts} AS c JOIN {periods} AS p ON p.day = c.day AND p.incarnation = c.incarnation
        WHERE p.state = 1 GROUP BY c.day, c.topic HAVING SUM(c.envelopes) > 0";
    Summary = "SELECT COUNT(*)::BIGINT, COALESCE(SUM(t.envelopes), 0)::BIGINT,
            COALESCE(SUM(t.bytes), 0)::BIGINT
        FROM (SELECT c.topic, SUM(c.envelopes) AS envelopes, SUM(c.bytes) AS bytes
            FROM {counts} AS c
            JOIN {periods} AS p ON p.day = c.day AND p.incarnation = c.incarnation
            WHERE p.state = 1 GROUP BY c.topic HAVING SUM(c.envelopes) > 0) AS t";

    /// A page of the archive of a status-go mailserver.
    ReferencePage = "SELECT id, data FROM envelopes WHERE id > $1 ORDER BY id LIMIT $2";
}

impl Statement {
    /// Creates the fixed tables. The version comes last: if it is there, all are.
    pub(super) const TABLES: &'static [Self] =
        &[Self::MakePeriods, Self::MakeTopics, Self::MakeCounts, Self::MakeVersion];
}

/// The text of a statement, with the names of tables filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sql(String);

impl Sql {
    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl From<Statement> for Sql {
    /// A statement that names no table.
    fn from(statement: Statement) -> Self {
        Self(statement.template().to_owned())
    }
}

/// The names of the tables of one archive.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Makes names with a prefix.
    pub(super) fn new(prefix: &str) -> Result<Self, ArchiveError> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins = prefix.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !begins || prefix.len() > 24 || !prefix.bytes().all(word) {
            return Err(ArchiveError::Unusable(format!(
                "{prefix:?} can't begin the names of tables: expected at most 24 of a-z, 0-9 and _"
            )));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// A statement about the fixed tables.
    pub(super) fn sql(&self, statement: Statement) -> Sql {
        Sql(self.fill(statement))
    }

    /// A statement about the table of a period.
    pub(super) fn in_period(&self, statement: Statement, period: PeriodName) -> Sql {
        Sql(self.fill(statement).replace("{table}", &self.table(period)))
    }

    /// A merged page of streams. Each is a period and the number of the parameter with the shard;
    /// the next parameter is the topic.
    pub(super) fn page(&self, ascending: bool, streams: &[(PeriodName, usize)]) -> Sql {
        let (head, stream) = if ascending {
            (Statement::PageAscending, Statement::StreamAscending)
        } else {
            (Statement::PageDescending, Statement::StreamDescending)
        };
        let mut text = String::new();
        for (period, parameter) in streams {
            let branch = (stream.template())
                .replace("{table}", &self.table(*period))
                .replace("{shard}", &format!("${parameter}"))
                .replace("{topic}", &format!("${}", parameter + 1));
            let union = if text.is_empty() { "" } else { " UNION ALL " };
            // Writing to a string doesn't fail.
            let _ = write!(text, "{union}{branch}");
        }
        Sql(head.template().replace("{streams}", &text))
    }

    fn fill(&self, statement: Statement) -> String {
        ["version", "periods", "topics", "counts"].iter().fold(
            statement.template().to_owned(),
            |text, table| {
                text.replace(&format!("{{{table}}}"), &format!("{}_{table}", self.prefix))
            },
        )
    }

    fn table(&self, period: PeriodName) -> String {
        format!("{}_day_{}_{}", self.prefix, period.day, period.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that statements may use: those that the engines have in common. Types are BIGINT
    /// and BYTEA, and their arrays as parameters.
    const WORDS: &[&str] = &[
        "ALL",
        "AND",
        "ANY",
        "AS",
        "BEGIN",
        "BIGINT",
        "BY",
        "BYTEA",
        "COALESCE",
        "COMMIT",
        "CONFLICT",
        "COUNT",
        "CREATE",
        "DELETE",
        "DESC",
        "DO",
        "DROP",
        "EXISTS",
        "FROM",
        "GROUP",
        "HAVING",
        "IF",
        "INSERT",
        "INTO",
        "JOIN",
        "KEY",
        "LIMIT",
        "NOT",
        "NOTHING",
        "NULL",
        "OCTET_LENGTH",
        "ON",
        "ORDER",
        "PRIMARY",
        "RETURNING",
        "ROLLBACK",
        "SELECT",
        "SET",
        "SUM",
        "TABLE",
        "UNION",
        "UNNEST",
        "UPDATE",
        "VALUES",
        "WHERE",
    ];

    /// Columns, aliases and tables.
    const NAMES: &[&str] = &[
        "bytes",
        "c",
        "counts",
        "data",
        "day",
        "envelope",
        "envelopes",
        "excluded",
        "hash",
        "id",
        "incarnation",
        "merged",
        "n",
        "number",
        "p",
        "periods",
        "s",
        "sent",
        "shard",
        "slot",
        "spread",
        "state",
        "streams",
        "t",
        "table",
        "topic",
        "topics",
        "version",
    ];

    /// Returns what is wrong with a statement.
    fn lint(text: &str) -> Result<(), String> {
        if let Some(bad) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || " \n$(),.;:*+<>={}[]_".contains(*c)))
        {
            return Err(format!("{bad:?}"));
        }
        if text.contains(';') {
            return Err("more than one statement".to_owned());
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let number = word.trim_start_matches('$').bytes().all(|b| b.is_ascii_digit());
            if !(number || WORDS.contains(&word) || NAMES.contains(&word)) {
                return Err(word.to_owned());
            }
        }
        // A column of a table is BIGINT or BYTEA, and never null.
        if let Some((_, columns)) = text.split_once("(").filter(|_| text.starts_with("CREATE")) {
            let (columns, key) = columns.split_once("PRIMARY KEY").ok_or("no primary key")?;
            if key.matches('(').count() != 1 {
                return Err("something after the key".to_owned());
            }
            for column in columns.split(',').map(str::trim).filter(|column| !column.is_empty()) {
                let words: Vec<_> = column.split_whitespace().collect();
                if !matches!(words[..], [_, "BIGINT" | "BYTEA", "NOT", "NULL"]) {
                    return Err(column.to_owned());
                }
            }
        }
        // Without an order, LIMIT returns arbitrary rows; a single row is the exception.
        let ordered = text.contains("ORDER BY") || text.ends_with("LIMIT 1");
        if text.contains("LIMIT") && !ordered {
            return Err("LIMIT without ORDER BY".to_owned());
        }
        Ok(())
    }

    #[test]
    fn statements_keep_to_the_common_subset() {
        assert!(Statement::ALL.len() > 30);
        for statement in Statement::ALL {
            assert_eq!(lint(statement.template()), Ok(()), "{statement:?}");
        }
    }

    #[test]
    fn the_lint_refuses_what_some_engine_lacks() {
        for (bad, reason) in [
            ("CREATE TABLE a (day BIGINT NOT NULL) PARTITION BY RANGE (day)", "a"),
            ("CREATE TABLE IF NOT EXISTS {table} (id SERIAL, PRIMARY KEY (id))", "SERIAL"),
            ("CREATE TABLE {table} (id BIGINT, PRIMARY KEY (id))", "id BIGINT"),
            ("SELECT sent FROM {table} ORDER BY sent LIMIT $1 OFFSET $2", "OFFSET"),
            ("SELECT sent FROM {table} LIMIT $1", "LIMIT without ORDER BY"),
            ("SELECT sent FROM {table} WHERE topic = $1 FOR UPDATE", "FOR"),
            ("LISTEN topics", "LISTEN"),
            ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
            ("CREATE INDEX n ON {table} (sent) WHERE sent > 0", "INDEX"),
            ("SELECT sent FROM {table} WHERE topic & $1 = topic", "'&'"),
            (
                "SELECT t.sent FROM {topics} AS s JOIN LATERAL {table} AS t ON t.day = s.day",
                "LATERAL",
            ),
            ("BEGIN; COMMIT", "more than one statement"),
            ("SELECT 'x'", "'\\''"),
        ] {
            assert_eq!(lint(bad), Err(reason.to_owned()), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        for good in ["statuskit", "a", "mail_2"] {
            assert!(Names::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a b", "a;b", "a\"", "aaaaaaaaaaaaaaaaaaaaaaaaa", "é"] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_brace_is_filled() {
        let names = Names::new("x").unwrap();
        let period = PeriodName { day: 18_350, incarnation: 2 };
        for statement in Statement::ALL {
            let text = names.in_period(*statement, period).0;
            let text = text.replace("{streams}", "").replace("{shard}", "").replace("{topic}", "");
            assert!(!text.contains(['{', '}']), "{text}");
        }
        let page = names.page(true, &[(period, 7), (period, 9)]).0;
        assert!(!page.contains(['{', '}']), "{page}");
        assert_eq!(page.matches("FROM x_day_18350_2").count(), 2);
        assert!(page.contains("topic = $10"));
    }
}

//! Reading: pages by key, without offsets or open transactions.
//!
//! The envelopes of one topic in one shard of one day are a *stream*, sorted by position. A query
//! selects a set of streams. There are two ways to read them:
//!
//! - Few streams per day: a statement reads the next page of each stream of one or several days, by
//!   the key alone, and merges them. As soon as a stream has given a full page, what follows is
//!   uncertain, and the next statement continues from there. So a topic with few envelopes is read
//!   in one statement for all days, and a busy one in full pages.
//! - Many streams per day (a nearly full bloom filter): all streams are read for a short time, from
//!   [`Window::start`] on. The length of the time adapts to what was found before.
//!
//! Between two statements only the last position is held. After a lost connection, the next one
//! continues behind it.

use std::{cell::Cell, collections::BTreeMap, ops::ControlFlow, sync::Arc};

use postgres::{Row, types::ToSql};
use statuskit_core::{
    envelope::{EnvelopeHash, Topic},
    mailserver::{DAY, Position},
    time::UnixSeconds,
};

use crate::archive::{
    ArchiveError, Budget, Order, Query, Record, Select, Step,
    postgres::{
        PostgresArchive,
        connection::{Fault, Session},
        periods::{Period, PeriodName, damaged, read_topic, shard, shards},
        sql::Statement,
    },
};

/// The most streams that one statement names.
const STREAMS: usize = 64;
/// The most rows that one statement merges.
const ROWS: usize = 4096;
/// Rows per stream, as long as none is known to be busy.
const FEW: usize = 64;
/// Rows of the first window: a little more than a page of a mailserver. Later ones have up to
/// sixteen times as many.
const WINDOW: usize = 1024;
/// The most topics that one statement probes for a position.
const PROBES: usize = 4096;

/// Visits what is read.
type Visit<'a> = &'a mut dyn FnMut(Record<'_>) -> ControlFlow<()>;

/// A position as the database compares it. An empty `hash` comes before all others.
#[derive(Debug, Clone)]
struct Bound {
    sent: i64,
    hash: Vec<u8>,
}

impl Bound {
    fn before_second(sent: i64) -> Self {
        Self { sent, hash: Vec::new() }
    }

    fn at(position: &Position) -> Self {
        Self { sent: position.sent.into(), hash: position.hash.0.to_vec() }
    }

    fn key(&self) -> (i64, &[u8]) {
        (self.sent, &self.hash)
    }
}

/// What is still to be read of a query.
#[derive(Debug)]
struct Rest<'a> {
    query: &'a Query,
    /// Exclusive.
    low: Bound,
    /// Exclusive.
    high: Bound,
    done: bool,
    budget: &'a mut Budget,
    /// Whether it is done because the budget was spent.
    paused: bool,
    /// The number of envelopes visited.
    visited: &'a Cell<u64>,
}

impl<'a> Rest<'a> {
    fn new(query: &'a Query, budget: &'a mut Budget, visited: &'a Cell<u64>) -> Self {
        let low = Bound::before_second(query.from.into());
        let high = Bound::before_second(i64::from(query.to) + 1);
        let mut rest = Self { query, low, high, done: false, budget, paused: false, visited };
        if let Some(after) = &query.after {
            let bound = Bound::at(after);
            match query.order {
                Order::OldestFirst if bound.key() > rest.low.key() => rest.low = bound,
                Order::NewestFirst if bound.key() < rest.high.key() => rest.high = bound,
                _ => {}
            }
        }
        rest
    }

    fn ascending(&self) -> bool {
        self.query.order == Order::OldestFirst
    }

    fn is_empty(&self) -> bool {
        self.done || self.low.key() >= self.high.key()
    }

    /// Visits a record, and continues behind it. Breaks at the end of the step.
    fn visit(&mut self, record: Record<'_>, visit: Visit<'_>) -> ControlFlow<()> {
        self.visited.set(self.visited.get() + 1);
        self.skip_to(Bound::at(&record.position));
        self.done |= visit(record).is_break();
        if !self.done && !self.budget.spend() {
            (self.done, self.paused) = (true, true);
        }
        if self.done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Ends the step between two statements, if the budget is spent and something was done.
    fn pause(&mut self) {
        let gets_on = Some(self.position()) != self.query.after;
        if !self.done && gets_on && self.budget.is_spent() {
            (self.done, self.paused) = (true, true);
        }
    }

    /// Returns how the step ended.
    fn step(&self) -> Step {
        if self.paused && self.low.key() < self.high.key() {
            Step::Paused(self.position())
        } else {
            Step::Done
        }
    }

    /// Returns the position up to which everything was read. There need not be an envelope.
    fn position(&self) -> Position {
        let bound = if self.ascending() { &self.low } else { &self.high };
        match (u32::try_from(bound.sent), <[u8; 32]>::try_from(&bound.hash[..])) {
            (Ok(sent), Ok(hash)) => Position { sent: UnixSeconds(sent), hash: EnvelopeHash(hash) },
            (Ok(sent), Err(_)) if !self.ascending() => Position::first_of(UnixSeconds(sent)),
            // Ascending, the second before is done; before second 0 there is nothing.
            _ => match u32::try_from(bound.sent - 1) {
                Ok(sent) => Position::last_of(UnixSeconds(sent)),
                Err(_) => Position::first_of(UnixSeconds::EPOCH),
            },
        }
    }

    fn skip_to(&mut self, bound: Bound) {
        if self.ascending() { self.low = bound } else { self.high = bound }
    }

    /// Skips the rest of a day, and all days before it in the order.
    fn day_done(&mut self, day: u32) {
        let next = if self.ascending() { i64::from(day) + 1 } else { i64::from(day) };
        let bound = Bound::before_second(next * i64::from(DAY));
        let further = if self.ascending() {
            bound.key() > self.low.key()
        } else {
            bound.key() < self.high.key()
        };
        if further {
            self.skip_to(bound);
        }
    }

    /// Returns the days that are left.
    fn days(&self) -> (u32, u32) {
        let day = |sent: i64| u32::try_from(sent / i64::from(DAY)).unwrap_or(u32::MAX / DAY);
        (day(self.low.sent), day(self.high.sent))
    }
}

/// How many days and rows the next statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// No stream is known to be busy: many days, few rows per stream.
    Wide,
    /// A stream gave a full page: one or two days, many rows.
    Deep,
}

/// How much of a day is read at once when there are many streams.
#[derive(Debug, Clone, Copy)]
struct Window {
    seconds: i64,
    /// The most rows.
    rows: usize,
}

impl Window {
    /// A quarter of an hour.
    fn start() -> Self {
        Self { seconds: 900, rows: WINDOW }
    }

    /// Adapts to what a window of this length contained.
    fn found(&mut self, rows: usize) {
        if rows >= self.rows {
            self.seconds = (self.seconds / 2).max(1);
        } else if rows < self.rows / 8 {
            self.seconds = (self.seconds * 4).min(DAY.into());
        } else if rows < self.rows / 2 {
            self.seconds = (self.seconds * 2).min(DAY.into());
        }
        if rows >= self.rows / 2 {
            self.rows = (self.rows * 2).min(16 * WINDOW);
        }
    }
}

impl PostgresArchive {
    /// Reads what a query selects.
    pub(super) fn read_pages(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: Visit<'_>,
    ) -> Result<Step, ArchiveError> {
        let visited = Cell::new(0);
        let mut rest = Rest::new(query, budget, &visited);
        self.pool
            .run_on("reading", &visited, |session| self.read_rest(session, &mut rest, visit))?;
        Ok(rest.step())
    }

    fn read_rest(
        &self,
        session: &mut Session,
        rest: &mut Rest<'_>,
        visit: Visit<'_>,
    ) -> Result<(), Fault> {
        if rest.is_empty() {
            return Ok(());
        }
        let (first, last) = rest.days();
        let mut periods = self.periods(session, first, last)?;
        if !rest.ascending() {
            periods.reverse();
        }
        let mut pace = Pace::Wide;
        let mut window = Window::start();
        let mut periods = periods.into_iter().map(|period| streams(period, &rest.query.select));
        let mut waiting: Option<Streams> = periods.next();
        while let Some(next) = waiting.take() {
            if next.pairs.is_empty() {
                waiting = periods.next();
            } else if next.pairs.len() > STREAMS {
                while !rest.is_empty() && rest.is_in(next.name.day) {
                    self.read_window(session, &next, rest, &mut window, visit)?;
                    rest.pause();
                }
                if !rest.done {
                    rest.day_done(next.name.day);
                }
                waiting = periods.next();
            } else {
                let mut days = vec![next];
                let mut count = days[0].pairs.len();
                let most = if pace == Pace::Wide { STREAMS } else { 2.max(count) };
                waiting = periods.next();
                while let Some(more) = waiting.take_if(|more| count + more.pairs.len() <= most) {
                    count += more.pairs.len();
                    days.push(more);
                    waiting = periods.next();
                }
                let mut days = &days[..];
                while let [next, ..] = days {
                    if rest.done {
                        return Ok(());
                    }
                    if !rest.is_in(next.name.day) {
                        rest.day_done(next.name.day);
                        days = &days[1..];
                        continue;
                    }
                    let taken = if pace == Pace::Wide { days.len() } else { deep(days) };
                    match self.read_streams(session, &days[..taken], rest, pace, visit)? {
                        // All of these days was read.
                        ControlFlow::Continue(rows) => {
                            days[..taken].iter().for_each(|day| rest.day_done(day.name.day));
                            days = &days[taken..];
                            rest.pause();
                            if rows < FEW {
                                pace = Pace::Wide;
                            }
                        }
                        ControlFlow::Break(()) => {
                            pace = Pace::Deep;
                            rest.pause();
                        }
                    }
                }
            }
            if rest.done {
                break;
            }
        }
        Ok(())
    }

    /// Reads a page of each stream of some days. Breaks at the first position where a stream may
    /// have more than its page; otherwise returns the number of rows.
    fn read_streams(
        &self,
        session: &mut Session,
        days: &[Streams],
        rest: &mut Rest<'_>,
        pace: Pace,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<(), usize>, Fault> {
        // A parameter for the shard and one for the topic of each stream, the same for all days.
        let mut numbers: BTreeMap<(i64, Topic), usize> = BTreeMap::new();
        for pair in days.iter().flat_map(|day| &day.pairs) {
            let next = 7 + 2 * numbers.len();
            numbers.entry(*pair).or_insert(next);
        }
        let branches: Vec<(PeriodName, usize)> = (days.iter())
            .flat_map(|day| day.pairs.iter().map(|pair| (day.name, numbers[pair])))
            .collect();
        let page = match pace {
            Pace::Wide => FEW,
            Pace::Deep => (ROWS / branches.len()).clamp(FEW, WINDOW),
        };
        let mut by_number: Vec<_> = numbers.into_iter().collect();
        by_number.sort_unstable_by_key(|(_, number)| *number);
        let topics: Vec<&[u8]> = by_number.iter().map(|((_, topic), _)| &topic.0[..]).collect();

        let sql = self.names.page(rest.ascending(), &branches);
        let (low, high) = (rest.low.clone(), rest.high.clone());
        let (per_stream, all) = (page as i64, ROWS as i64);
        let mut params: Vec<&(dyn ToSql + Sync)> =
            vec![&low.sent, &low.hash, &high.sent, &high.hash, &per_stream, &all];
        for (((shard, _), _), topic) in by_number.iter().zip(&topics) {
            params.extend([shard as &(dyn ToSql + Sync), topic]);
        }

        let spreads: BTreeMap<u32, &Streams> = days.iter().map(|day| (day.name.day, day)).collect();
        let mut given: BTreeMap<(u32, i64, Topic), usize> = BTreeMap::new();
        let (mut rows, mut certain) = (0, true);
        session.stream(&sql, &params, |row| {
            rows += 1;
            let record = record(row)?;
            let day = record.position.sent.day();
            let spread = spreads.get(&day).and_then(|day| day.period.spread(record.topic));
            let spread =
                spread.ok_or_else(|| damaged("an envelope in the wrong day".to_owned()))?;
            let stream = (day, shard(record.topic, spread, &record.position.hash), record.topic);
            let count = given.entry(stream).or_default();
            *count += 1;
            certain = *count < page && rows < ROWS;
            // What follows is not read, if the step ends here.
            certain &= rest.visit(record, visit).is_continue();
            Ok(if certain { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(if certain { ControlFlow::Continue(rows) } else { ControlFlow::Break(()) })
    }

    /// Reads all streams of a day for a while.
    fn read_window(
        &self,
        session: &mut Session,
        streams: &Streams,
        rest: &mut Rest<'_>,
        window: &mut Window,
        visit: Visit<'_>,
    ) -> Result<(), Fault> {
        let start = i64::from(streams.name.day) * i64::from(DAY);
        let end = start + i64::from(DAY);
        let (mut low, mut high) = (rest.low.clone(), rest.high.clone());
        if low.sent < start {
            low = Bound::before_second(start);
        }
        if high.sent >= end {
            high = Bound::before_second(end);
        }
        let (statement, edge) = if rest.ascending() {
            let edge = Bound::before_second(low.sent + window.seconds);
            if edge.key() < high.key() {
                high = edge;
            }
            (Statement::WindowAscending, high.clone())
        } else {
            let edge = Bound::before_second(high.sent - window.seconds);
            if edge.key() > low.key() {
                low = edge;
            }
            (Statement::WindowDescending, low.clone())
        };
        let shards: Vec<i64> = streams.pairs.iter().map(|(shard, _)| *shard).collect();
        let topics: Vec<&[u8]> = streams.pairs.iter().map(|(_, topic)| &topic.0[..]).collect();
        let sql = self.names.in_period(statement, streams.name);
        let most = window.rows as i64;
        let mut rows = 0;
        let params: [&(dyn ToSql + Sync); 7] =
            [&low.sent, &low.hash, &high.sent, &high.hash, &most, &shards, &topics];
        session.stream(&sql, &params, |row| {
            rows += 1;
            let record = record(row)?;
            Ok(rest.visit(record, visit))
        })?;
        if !rest.done {
            if rows < window.rows {
                rest.skip_to(edge);
            }
            window.found(rows);
        }
        Ok(())
    }

    /// Whether there is an envelope at a position, under any topic.
    pub(super) fn holds(&self, position: &Position) -> Result<bool, ArchiveError> {
        let day = position.sent.day();
        self.pool.run_on("looking for a position", &Cell::new(0), |session| {
            let periods = self.periods(session, day, day)?;
            let Some(period) = periods.first() else { return Ok(false) };
            let pairs: Vec<(i64, Topic)> = (period.topics())
                .map(|(topic, spread)| (shard(topic, spread, &position.hash), topic))
                .collect();
            let sql = self.names.in_period(Statement::Holds, period.name);
            for chunk in pairs.chunks(PROBES) {
                let shards: Vec<i64> = chunk.iter().map(|(shard, _)| *shard).collect();
                let topics: Vec<&[u8]> = chunk.iter().map(|(_, topic)| &topic.0[..]).collect();
                let sent = i64::from(position.sent);
                let hash = &position.hash.0[..];
                if !session.query(&sql, &[&shards, &topics, &sent, &hash])?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

impl Rest<'_> {
    /// Whether something of a day is left.
    fn is_in(&self, day: u32) -> bool {
        let start = i64::from(day) * i64::from(DAY);
        let end = Bound::before_second(start + i64::from(DAY));
        !self.done
            && self.low.key() < self.high.key()
            && self.low.key() < end.key()
            && Bound::before_second(start).key() < self.high.key()
    }
}

/// The streams of a period that a query selects.
#[derive(Debug)]
struct Streams {
    name: PeriodName,
    period: Arc<Period>,
    pairs: Vec<(i64, Topic)>,
}

fn streams(period: Arc<Period>, select: &Select) -> Streams {
    let topics: Vec<(Topic, u8)> = match select {
        Select::Topics(topics) => {
            (topics.iter()).filter_map(|topic| Some((*topic, period.spread(*topic)?))).collect()
        }
        Select::Bloom(bloom) => {
            period.topics().filter(|(topic, _)| bloom.matches(*topic)).collect()
        }
    };
    let mut pairs: Vec<_> = (topics.into_iter())
        .flat_map(|(topic, spread)| shards(topic, spread).map(move |shard| (shard, topic)))
        .collect();
    pairs.sort_unstable();
    Streams { name: period.name, period, pairs }
}

/// Returns how many days to read at once when streams are busy.
fn deep(days: &[Streams]) -> usize {
    match days {
        [first, second, ..] if first.pairs.len() + second.pairs.len() <= 2 => 2,
        _ => 1,
    }
}

fn record(row: &Row) -> Result<Record<'_>, Fault> {
    let sent: i64 = row.try_get(1)?;
    let hash: &[u8] = row.try_get(2)?;
    let (Ok(sent), Ok(hash)) = (u32::try_from(sent), <[u8; 32]>::try_from(hash)) else {
        return Err(damaged(format!("there is no position {sent} {}", hex::encode(hash))));
    };
    Ok(Record {
        position: Position { sent: UnixSeconds(sent), hash: EnvelopeHash(hash) },
        topic: read_topic(row.try_get(0)?)?,
        envelope: row.try_get(3)?,
    })
}

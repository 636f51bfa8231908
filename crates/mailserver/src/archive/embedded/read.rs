//! Reading: the streams of the wanted topics, merged; or a scan of everything.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, binary_heap::PeekMut},
    ops::ControlFlow,
    sync::Arc,
};

use statuskit_core::{envelope::Topic, mailserver::Position, time::UnixSeconds};
use statuskit_lmdb::{
    map::Fault,
    tree::{self, Direction},
};

use crate::{
    ArchiveError,
    archive::{
        Budget, Count, Order, Query, Record, Select, Step, Summary,
        embedded::{
            EmbeddedArchive,
            engine::Snapshot,
            fresh::Layer,
            layout::{Entry, Tally, TimeKey, TopicKey, time_part, topic_key},
            state::{Shared, damaged, load},
        },
    },
};

/// What reading costs in hundredths of a microsecond, as measured (`benches/README.md`): to find
/// the beginning of a topic's stream, ...
const SEEK: u64 = 300;
/// ... to fetch an envelope that the index names, ...
const GET: u64 = 170;
/// ... and to look at an envelope in a scan.
const STEP: u64 = 15;
/// Costs are compared for a page of this many envelopes, the most that a request can ask for.
const PAGE: u64 = 1000;
/// With more topics than this, everything is scanned.
const MAX_STREAMS: usize = 1024;
/// With more topics than this, it takes a while to find all beginnings. So a piece is scanned
/// first, which mostly contains the first envelopes, ...
const FEW_STREAMS: usize = 16;
/// ... of this many envelopes per topic.
const SCAN_PER_STREAM: usize = 8;

/// A consistent view, and how to answer a query.
struct View<'a> {
    snapshot: Snapshot<'a>,
    layers: Vec<Arc<Layer>>,
    floor: UnixSeconds,
    /// The topics, if the index is cheaper.
    topics: Option<Vec<Topic>>,
}

/// The keys of `time` that a query covers, both ends inclusive.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: TimeKey,
    to: TimeKey,
    after: Option<TimeKey>,
    order: Order,
}

impl Span {
    fn from_query(query: &Query, floor: UnixSeconds) -> Self {
        let from = Position::first_of(query.from.max(floor)).to_bytes();
        let to = Position::last_of(query.to).to_bytes();
        let mut span = Self { from, to, after: None, order: query.order };
        if let Some(after) = query.after {
            span.begin_after(after.to_bytes());
        }
        span
    }

    fn begin_after(&mut self, key: TimeKey) {
        match self.order {
            Order::OldestFirst => self.from = self.from.max(key),
            Order::NewestFirst => self.to = self.to.min(key),
        }
        self.after = Some(key);
    }

    fn is_empty(&self) -> bool {
        self.from > self.to
    }

    /// Whether the query begins after this key.
    fn excludes(&self, key: &TimeKey) -> bool {
        self.after.as_ref() == Some(key)
    }

    fn direction(&self) -> Direction {
        match self.order {
            Order::OldestFirst => Direction::Forward,
            Order::NewestFirst => Direction::Backward,
        }
    }
}

impl EmbeddedArchive {
    pub(super) fn read_query(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        if query.from > query.to {
            return Ok(Step::Done);
        }
        let view = self.view(|shared| plan(shared, query))?;
        let mut span = Span::from_query(query, view.floor);
        if span.is_empty() {
            return Ok(Step::Done);
        }
        let step = |end, result: Result<(), ArchiveError>| match end {
            End::Done => result.map(|()| Step::Done),
            End::At(key) => result.map(|()| Step::Paused(Position::from_bytes(&key))),
        };
        let Some(topics) = &view.topics else {
            let (end, result) = scan(&view.snapshot, &query.select, &span, None, budget, visit);
            return step(end, result);
        };
        let mut result = Ok(());
        if topics.len() > FEW_STREAMS {
            let piece = Some(topics.len() * SCAN_PER_STREAM);
            let end;
            (end, result) = scan(&view.snapshot, &query.select, &span, piece, budget, visit);
            let End::At(key) = end else { return step(end, result) };
            if budget.is_spent() {
                return step(end, result);
            }
            span.begin_after(key);
        }
        let (end, merged) = merge(&view, topics, &span, budget, visit);
        step(end, result.and(merged))
    }

    pub(super) fn has(&self, position: &Position) -> Result<bool, ArchiveError> {
        let view = self.view(|_| None)?;
        let found = view.snapshot.time().get(&position.to_bytes())?;
        Ok(position.sent >= view.floor && found.is_some())
    }

    pub(super) fn summarize(&self) -> Result<Summary, ArchiveError> {
        let mut known = (Tally::default(), 0);
        let view = self.view(|shared| {
            known = (shared.directory.total(), shared.directory.topics());
            None
        })?;
        let time = view.snapshot.time();
        let sent = |item: Option<tree::Entry<'_>>| {
            item.and_then(|(key, _)| key.first_chunk())
                .map(|sent| UnixSeconds(u32::from_be_bytes(*sent)))
        };
        let floor = Position::first_of(view.floor).to_bytes();
        let first = time.range(&floor, &[0xff; 36], Direction::Forward)?.next().transpose()?;
        let span = sent(first).zip(sent(time.last()?)).filter(|(first, last)| first <= last);
        let (mut total, mut topics) = known;
        if self.is_interrupted(view.floor) {
            let held = count_from(&view.snapshot, view.floor)?;
            total = Tally::default();
            held.values().for_each(|tally| total.add(*tally));
            topics = held.keys().map(|(_, topic)| topic).collect::<HashSet<_>>().len() as u64;
        }
        Ok(Summary {
            envelopes: total.envelopes,
            bytes: total.bytes,
            topics,
            span,
            disk: Some(self.engine.disk()?),
        })
    }

    pub(super) fn visit_counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        let snapshot = self.engine.snapshot()?;
        let loaded = load(self.engine.trees(), snapshot.txn())?;
        let floor = loaded.floor.unwrap_or(UnixSeconds::EPOCH);
        let mut give = |day, topic, tally: Tally| {
            visit(Count { day, topic, envelopes: tally.envelopes, bytes: tally.bytes });
        };
        if self.is_interrupted(floor) {
            for ((day, topic), tally) in count_from(&snapshot, floor)? {
                give(day, topic, tally);
            }
            return Ok(());
        }
        let mut fresh: HashMap<(u32, Topic), Tally> = HashMap::new();
        for entry in loaded.merging.iter().chain(&loaded.growing) {
            fresh.entry((entry.day(), entry.topic())).or_default().add(Tally::one(entry.len));
        }
        for (day, topic, mut tally) in loaded.counts {
            tally.add(fresh.remove(&(day, topic)).unwrap_or_default());
            give(day, topic, tally);
        }
        for ((day, topic), tally) in fresh {
            give(day, topic, tally);
        }
        Ok(())
    }

    /// Whether the counts may include what is no longer read. An archive that is open for writing
    /// is just removing it; one that is open for reading may stay as it is.
    fn is_interrupted(&self, floor: UnixSeconds) -> bool {
        floor > UnixSeconds::EPOCH && self.engine.is_read_only()
    }

    /// Makes a view, with what `plan` makes of the state that belongs to it.
    fn view(
        &self,
        plan: impl FnOnce(&Shared) -> Option<Vec<Topic>>,
    ) -> Result<View<'_>, ArchiveError> {
        if !self.engine.is_read_only() {
            let shared = self.shared();
            return Ok(View::new(self.engine.snapshot()?, &shared, plan));
        }
        // Another process may have written since: brings the state up to the transaction.
        let mut shared = self.shared_mut();
        let snapshot = self.engine.snapshot()?;
        if shared.txn != snapshot.id() {
            let loaded = load(self.engine.trees(), snapshot.txn())?;
            *shared = Shared::new(&loaded, snapshot.id());
        }
        Ok(View::new(snapshot, &shared, plan))
    }
}

impl<'a> View<'a> {
    fn new(
        snapshot: Snapshot<'a>,
        shared: &Shared,
        plan: impl FnOnce(&Shared) -> Option<Vec<Topic>>,
    ) -> Self {
        let topics = plan(shared);
        // The layers are only read beside the index.
        let layers = if topics.is_some() { shared.layers() } else { Vec::new() };
        Self { snapshot, layers, floor: shared.floor, topics }
    }
}

/// Decides whether to use the index, and for which topics.
fn plan(shared: &Shared, query: &Query) -> Option<Vec<Topic>> {
    if matches!(&query.select, Select::Bloom(bloom) if bloom.is_full()) {
        return None;
    }
    let estimate = shared.directory.estimate(query);
    let mut topics = Vec::new();
    let mut envelopes = 0;
    let all = shared.directory.select(&query.select, |topic, count| {
        topics.push(topic);
        envelopes += count;
        topics.len() <= MAX_STREAMS
    });
    if !all {
        return None;
    }
    // As if every topic had the same share of every day.
    let share = |part: u64, of: u64, whole: u64| {
        (u128::from(part) * u128::from(of) / u128::from(whole.max(1))) as u64
    };
    let expected = share(envelopes, estimate.range, estimate.total).max(1);
    let page = expected.min(PAGE);
    let by_index = topics.len() as u64 * SEEK + page * GET;
    let by_scan = share(estimate.range, page, expected) * STEP;
    (by_index <= by_scan || estimate.range <= page).then_some(topics)
}

/// Where a scan or a merge ended.
enum End {
    /// At the end of the span, or where `visit` broke off.
    Done,
    /// At this envelope, the last of the piece or of the budget.
    At(TimeKey),
}

/// Scans `time`, at most `piece` envelopes of it.
fn scan(
    snapshot: &Snapshot<'_>,
    select: &Select,
    span: &Span,
    piece: Option<usize>,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
) -> (End, Result<(), ArchiveError>) {
    let range = match snapshot.time().range(&span.from, &span.to, span.direction()) {
        Ok(range) => range,
        Err(fault) => return (End::Done, Err(fault.into())),
    };
    // A damaged record does not hide the ones behind it.
    let mut result = Ok(());
    let mut left = piece.unwrap_or(usize::MAX);
    for item in range {
        let (key, value) = match item {
            Ok(item) => item,
            Err(fault) => return (End::Done, Err(fault.into())),
        };
        let (Ok(key), Ok((topic, envelope))) = (<&TimeKey>::try_from(key), split(value)) else {
            result = Err(damaged("envelope"));
            continue;
        };
        if select.matches(topic) && !span.excludes(key) {
            let record = Record { position: Position::from_bytes(key), topic, envelope };
            if visit(record).is_break() {
                return (End::Done, result);
            }
        }
        left -= 1;
        // The one that was excluded must not be the only one of a step.
        if !span.excludes(key) && !budget.spend() || left == 0 {
            return (End::At(*key), result);
        }
    }
    (End::Done, result)
}

/// Merges the streams of topics.
fn merge(
    view: &View<'_>,
    topics: &[Topic],
    span: &Span,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
) -> (End, Result<(), ArchiveError>) {
    let mut result = Ok(());
    let end = merge_streams(view, topics, span, budget, visit, &mut result);
    match end {
        Ok(end) => (end, result),
        Err(error) => (End::Done, Err(error)),
    }
}

/// Does the same. `result` gets what does not hide the envelopes behind it.
fn merge_streams(
    view: &View<'_>,
    topics: &[Topic],
    span: &Span,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    result: &mut Result<(), ArchiveError>,
) -> Result<End, ArchiveError> {
    let (time, index) = (view.snapshot.time(), view.snapshot.topics());
    let mut streams = Vec::with_capacity(topics.len());
    let mut heads = BinaryHeap::with_capacity(topics.len());
    for topic in topics {
        let (from, to) = (topic_key(*topic, &span.from), topic_key(*topic, &span.to));
        let slices = view.layers.iter().map(|layer| layer.slice(*topic, &span.from, &span.to));
        let fresh = slices.filter(|slice| !slice.is_empty()).map(|slice| Stream::Fresh {
            entries: slice,
            newest_first: span.order == Order::NewestFirst,
        });
        let indexed = Stream::Indexed(index.range(&from, &to, span.direction())?);
        for mut stream in fresh.chain([indexed]) {
            if let Some(key) = stream.next()? {
                heads.push(Reverse(Head::new(&key, span.order, streams.len())));
                streams.push(stream);
            }
        }
    }
    let mut last = None;
    while let Some(mut top) = heads.peek_mut() {
        let Head { rank, stream: index } = top.0;
        let key = Head::time_key(&rank, span.order);
        let stream = &mut streams[index];
        let is_fresh = matches!(stream, Stream::Fresh { .. });
        // The next entry of the same stream replaces it.
        match stream.next()? {
            Some(next) => *top = Reverse(Head::new(&next, span.order, index)),
            None => drop(PeekMut::pop(top)),
        }
        // An entry that was just moved is both fresh and in the index.
        if last == Some(key) || span.excludes(&key) {
            continue;
        }
        let Some(value) = time.get(&key)? else {
            // A fresh entry may not be committed yet, or have been pruned since.
            if !is_fresh {
                *result = Err(ArchiveError::Damaged(format!(
                    "the index has an envelope that is not there: 0x{}",
                    hex::encode(&key[4..])
                )));
            }
            continue;
        };
        last = Some(key);
        match split(value) {
            Ok((topic, envelope)) => {
                let position = Position::from_bytes(&key);
                if visit(Record { position, topic, envelope }).is_break() {
                    return Ok(End::Done);
                }
            }
            Err(error) => *result = Err(error),
        }
        if !budget.spend() {
            return Ok(End::At(key));
        }
    }
    Ok(End::Done)
}

/// Counts one by one what was sent from a second on.
fn count_from(
    snapshot: &Snapshot<'_>,
    floor: UnixSeconds,
) -> Result<HashMap<(u32, Topic), Tally>, ArchiveError> {
    let from = Position::first_of(floor).to_bytes();
    let mut held: HashMap<(u32, Topic), Tally> = HashMap::new();
    for item in snapshot.time().range(&from, &[0xff; 36], Direction::Forward)? {
        let (key, value) = item?;
        let key: &TimeKey = key.try_into().map_err(|_| damaged("key of an envelope"))?;
        let (topic, envelope) = split(value)?;
        let day = Position::from_bytes(key).sent.day();
        held.entry((day, topic)).or_default().add(Tally::one(envelope.len() as u32));
    }
    Ok(held)
}

/// The keys of a topic within a span, in order.
enum Stream<'a> {
    Indexed(tree::Range<'a>),
    Fresh { entries: &'a [Entry], newest_first: bool },
}

impl Stream<'_> {
    fn next(&mut self) -> Result<Option<TimeKey>, ArchiveError> {
        let item: Option<Result<tree::Entry<'_>, Fault>> = match self {
            Self::Indexed(range) => range.next(),
            Self::Fresh { entries, newest_first } => {
                let next = if *newest_first {
                    entries.split_off_last()
                } else {
                    entries.split_off_first()
                };
                return Ok(next.map(Entry::time_key));
            }
        };
        let Some((key, _)) = item.transpose()? else { return Ok(None) };
        let key: &TopicKey = key.try_into().map_err(|_| damaged("key of the index"))?;
        Ok(Some(time_part(key)))
    }
}

/// Where a stream stands. The smallest comes next.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// The key; for the newest first, all its bits inverted.
    rank: TimeKey,
    stream: usize,
}

impl Head {
    fn new(key: &TimeKey, order: Order, stream: usize) -> Self {
        Self { rank: Self::time_key(key, order), stream }
    }

    /// Converts a key to its rank, and back.
    fn time_key(rank: &TimeKey, order: Order) -> TimeKey {
        match order {
            Order::OldestFirst => *rank,
            Order::NewestFirst => rank.map(|byte| !byte),
        }
    }
}

/// Splits a value of `time` into topic and envelope.
fn split(value: &[u8]) -> Result<(Topic, &[u8]), ArchiveError> {
    let (topic, envelope) = value.split_first_chunk().ok_or(damaged("envelope"))?;
    Ok((Topic(*topic), envelope))
}

//! Reading: the streams of the topics that are wanted, merged; or a scan of everything.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, binary_heap::PeekMut},
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use heed::{RoRange, RoRevRange, RoTxn, WithoutTls, types::Bytes};
use statuskit_core::{envelope::Topic, mailserver::Position};

use crate::{
    ArchiveError,
    archive::{
        Count, Order, Query, Record, Select, Summary,
        embedded::{
            EmbeddedArchive,
            engine::{Trees, Txn, engine_error},
            fresh::Layer,
            layout::{DAY, Entry, Tally, TimeKey, TopicKey, time_part, topic_key},
            state::{Shared, damaged, load},
        },
    },
};

/// What the ways to read cost, in hundredths of a microsecond, as measured (`benches/README.md`):
/// to find the beginning of a topic's stream, ...
const SEEK: u64 = 300;
/// ... to take an envelope that the index names, ...
const GET: u64 = 170;
/// ... and to look at an envelope in a scan.
const STEP: u64 = 15;
/// Cost is compared for a page of so many envelopes, the greatest that a request can ask for.
const PAGE: u64 = 1000;
/// With more topics than this, everything is scanned.
const MAX_STREAMS: usize = 1024;
/// With more topics than this, to find all beginnings takes a while: a piece is scanned before, in
/// which, as a rule, the first envelopes are, ...
const FEW_STREAMS: usize = 16;
/// ... of so many envelopes for each topic.
const SCAN_PER_STREAM: usize = 8;

/// A consistent view, and how to go about a query.
struct View<'a> {
    txn: RoTxn<'a, WithoutTls>,
    layers: Vec<Arc<Layer>>,
    floor: u32,
    /// The topics, if the index is the cheaper way.
    topics: Option<Vec<Topic>>,
}

/// The part of the archive, by time, that a query is about: both ends inclusive.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: TimeKey,
    to: TimeKey,
    after: Option<TimeKey>,
    order: Order,
}

impl Span {
    fn of(query: &Query, floor: u32) -> Self {
        let (from, to) = (
            Position::first_of(query.from.max(floor)).to_bytes(),
            Position::last_of(query.to).to_bytes(),
        );
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

    /// Whether a key is the one after which the query begins.
    fn excludes(&self, key: &TimeKey) -> bool {
        self.after.as_ref() == Some(key)
    }
}

impl EmbeddedArchive {
    pub fn read_query(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        if query.from > query.to {
            return Ok(());
        }
        let view = self.view(|shared| plan(shared, query))?;
        let mut span = Span::of(query, view.floor);
        if span.is_empty() {
            return Ok(());
        }
        let trees = self.engine.trees();
        let Some(topics) = &view.topics else {
            return scan(trees, &view.txn, &query.select, &span, usize::MAX, visit).1;
        };
        if topics.len() <= FEW_STREAMS {
            return merge(trees, &view, topics, &span, visit);
        }
        let budget = topics.len() * SCAN_PER_STREAM;
        let (end, result) = scan(trees, &view.txn, &query.select, &span, budget, visit);
        let End::At(key) = end else { return result };
        span.begin_after(key);
        result.and(merge(trees, &view, topics, &span, visit))
    }

    pub fn has(&self, position: &Position) -> Result<bool, ArchiveError> {
        let view = self.view(|_| None)?;
        let key = position.to_bytes();
        let found = self.engine.trees().time.get(&view.txn, &key).map_err(engine_error)?;
        Ok(position.sent >= view.floor && found.is_some())
    }

    pub fn summarize(&self) -> Result<Summary, ArchiveError> {
        let mut known = (Tally::default(), 0);
        let view = self.view(|shared| {
            known = (shared.directory.total(), shared.directory.topics());
            None
        })?;
        let time = self.engine.trees().time;
        let sent = |item: Option<(&[u8], &[u8])>| {
            item.and_then(|(key, _)| key.first_chunk()).map(|sent| u32::from_be_bytes(*sent))
        };
        let floor = Position::first_of(view.floor).to_bytes();
        let first = time.get_greater_than_or_equal_to(&view.txn, &floor).map_err(engine_error)?;
        let last = time.last(&view.txn).map_err(engine_error)?;
        let span = sent(first).zip(sent(last)).filter(|(first, last)| first <= last);
        let (mut total, mut topics) = known;
        if self.is_interrupted(view.floor) {
            let held = self.count_from(&view.txn, view.floor)?;
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

    pub fn visit_counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        let txn = self.engine.reader()?;
        let loaded = load(self.engine.trees(), &txn)?;
        let floor = loaded.floor.unwrap_or(0);
        if self.is_interrupted(floor) {
            for ((day, topic), tally) in self.count_from(&txn, floor)? {
                visit(Count { day, topic, envelopes: tally.envelopes, bytes: tally.bytes });
            }
            return Ok(());
        }
        let mut fresh: HashMap<(u32, Topic), Tally> = HashMap::new();
        for entry in loaded.merging.iter().chain(&loaded.growing) {
            fresh.entry((entry.day(), entry.topic())).or_default().add(Tally::one(entry.len));
        }
        let mut give = |day, topic, tally: Tally| {
            visit(Count { day, topic, envelopes: tally.envelopes, bytes: tally.bytes });
        };
        for (day, topic, mut tally) in loaded.counts {
            tally.add(fresh.remove(&(day, topic)).unwrap_or_default());
            give(day, topic, tally);
        }
        for ((day, topic), tally) in fresh {
            give(day, topic, tally);
        }
        Ok(())
    }

    /// Whether counts may be those of what is not read any more. An archive that is open for
    /// writing is just removing it; of one that is not, it may stay so.
    fn is_interrupted(&self, floor: u32) -> bool {
        floor > 0 && self.engine.is_read_only()
    }

    /// Counts what was sent from a second on, one by one.
    fn count_from(
        &self,
        txn: &Txn<'_>,
        floor: u32,
    ) -> Result<HashMap<(u32, Topic), Tally>, ArchiveError> {
        let from = Position::first_of(floor).to_bytes();
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&from), Bound::Unbounded);
        let mut held: HashMap<(u32, Topic), Tally> = HashMap::new();
        for item in self.engine.trees().time.range(txn, &range).map_err(engine_error)? {
            let (key, value) = item.map_err(engine_error)?;
            let key: &TimeKey = key.try_into().map_err(|_| damaged("key of an envelope"))?;
            let (topic, envelope) = split(value)?;
            let day = Position::from_bytes(key).sent / DAY;
            held.entry((day, topic)).or_default().add(Tally::one(envelope.len() as u32));
        }
        Ok(held)
    }

    /// A view, with what `plan` makes of the state that belongs to it.
    fn view(
        &self,
        plan: impl FnOnce(&Shared) -> Option<Vec<Topic>>,
    ) -> Result<View<'_>, ArchiveError> {
        if !self.engine.is_read_only() {
            let shared = self.shared();
            return Ok(View::new(self.engine.reader()?, &shared, plan));
        }
        // Another process may have written since: the state is made that of the transaction.
        let mut shared = self.shared_mut();
        let txn = self.engine.reader()?;
        if shared.txn != txn.id() {
            *shared = Shared::new(&load(self.engine.trees(), &txn)?, txn.id());
        }
        Ok(View::new(txn, &shared, plan))
    }
}

impl<'a> View<'a> {
    fn new(
        txn: RoTxn<'a, WithoutTls>,
        shared: &Shared,
        plan: impl FnOnce(&Shared) -> Option<Vec<Topic>>,
    ) -> Self {
        let topics = plan(shared);
        // The layers are only needed beside the index.
        let layers = if topics.is_some() { shared.layers() } else { Vec::new() };
        Self { txn, layers, floor: shared.floor, topics }
    }
}

/// Whether to go by the index, and by which topics.
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

/// Where a scan ended.
enum End {
    /// Everything was seen, or `visit` had enough.
    Done,
    /// The budget was used up with this envelope.
    At(TimeKey),
}

/// Scans `time`: at most `budget` envelopes.
fn scan(
    trees: &Trees,
    txn: &Txn<'_>,
    select: &Select,
    span: &Span,
    budget: usize,
    visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
) -> (End, Result<(), ArchiveError>) {
    let range: (Bound<&[u8]>, Bound<&[u8]>) =
        (Bound::Included(&span.from), Bound::Included(&span.to));
    // What is damaged does not keep us from the rest.
    let mut result = Ok(());
    let mut left = budget;
    let mut step = |item: heed::Result<(&[u8], &[u8])>| {
        let (key, value) = match item {
            Ok(item) => item,
            Err(error) => {
                result = Err(engine_error(error));
                return ControlFlow::Break(End::Done);
            }
        };
        let (Ok(key), Ok((topic, envelope))) = (<&TimeKey>::try_from(key), split(value)) else {
            result = Err(damaged("envelope"));
            return ControlFlow::Continue(());
        };
        if select.matches(topic) && !span.excludes(key) {
            let record = Record { position: Position::from_bytes(key), topic, envelope };
            if visit(record).is_break() {
                return ControlFlow::Break(End::Done);
            }
        }
        left -= 1;
        if left == 0 { ControlFlow::Break(End::At(*key)) } else { ControlFlow::Continue(()) }
    };
    let stopped = match span.order {
        Order::OldestFirst => trees.time.range(txn, &range).map(|mut all| all.try_for_each(step)),
        Order::NewestFirst => {
            trees.time.rev_range(txn, &range).map(|mut all| all.try_for_each(&mut step))
        }
    };
    match stopped {
        Ok(ControlFlow::Break(end)) => (end, result),
        Ok(ControlFlow::Continue(())) => (End::Done, result),
        Err(error) => (End::Done, Err(engine_error(error))),
    }
}

/// Merges the streams of topics.
fn merge(
    trees: &Trees,
    view: &View<'_>,
    topics: &[Topic],
    span: &Span,
    visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
) -> Result<(), ArchiveError> {
    let mut streams = Vec::with_capacity(topics.len());
    let mut heads = BinaryHeap::with_capacity(topics.len());
    for topic in topics {
        let (from, to) = (topic_key(*topic, &span.from), topic_key(*topic, &span.to));
        let slices = view.layers.iter().map(|layer| layer.slice(*topic, &span.from, &span.to));
        let fresh = slices.filter(|slice| !slice.is_empty()).map(|slice| Stream::Fresh {
            entries: slice,
            newest_first: span.order == Order::NewestFirst,
        });
        let indexed = Stream::indexed(trees, &view.txn, &from, &to, span.order)?;
        for mut stream in fresh.chain([indexed]) {
            if let Some(key) = stream.next()? {
                heads.push(Reverse(Head::new(&key, span.order, streams.len())));
                streams.push(stream);
            }
        }
    }
    let mut result = Ok(());
    let mut last = None;
    while let Some(mut top) = heads.peek_mut() {
        let Head { rank, stream: index } = top.0;
        let key = Head::time_key(&rank, span.order);
        let stream = &mut streams[index];
        let is_fresh = matches!(stream, Stream::Fresh { .. });
        // The next of the same stream takes its place.
        match stream.next()? {
            Some(next) => *top = Reverse(Head::new(&next, span.order, index)),
            None => drop(PeekMut::pop(top)),
        }
        // An entry that has just been moved is both fresh and in the index.
        if last == Some(key) || span.excludes(&key) {
            continue;
        }
        let Some(value) = trees.time.get(&view.txn, &key).map_err(engine_error)? else {
            // It may not be committed yet, or have been pruned since.
            if !is_fresh {
                result = Err(ArchiveError::Damaged(format!(
                    "the index has an envelope that is not there: 0x{}",
                    hex::encode(&key[4..])
                )));
            }
            continue;
        };
        last = Some(key);
        match split(value) {
            Ok((topic, envelope)) => {
                if visit(Record { position: Position::from_bytes(&key), topic, envelope })
                    .is_break()
                {
                    break;
                }
            }
            Err(error) => result = Err(error),
        }
    }
    result
}

/// The keys of a topic within a span, in order.
enum Stream<'a> {
    OldestFirst(RoRange<'a, Bytes, Bytes>),
    NewestFirst(RoRevRange<'a, Bytes, Bytes>),
    Fresh { entries: &'a [Entry], newest_first: bool },
}

impl<'a> Stream<'a> {
    fn indexed(
        trees: &Trees,
        txn: &'a Txn<'_>,
        from: &TopicKey,
        to: &TopicKey,
        order: Order,
    ) -> Result<Self, ArchiveError> {
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(from), Bound::Included(to));
        match order {
            Order::OldestFirst => trees.topics.range(txn, &range).map(Self::OldestFirst),
            Order::NewestFirst => trees.topics.rev_range(txn, &range).map(Self::NewestFirst),
        }
        .map_err(engine_error)
    }

    fn next(&mut self) -> Result<Option<TimeKey>, ArchiveError> {
        let item = match self {
            Self::OldestFirst(range) => range.next(),
            Self::NewestFirst(range) => range.next(),
            Self::Fresh { entries, newest_first } => {
                let next = if *newest_first {
                    entries.split_off_last()
                } else {
                    entries.split_off_first()
                };
                return Ok(next.map(Entry::time_key));
            }
        };
        let Some((key, _)) = item.transpose().map_err(engine_error)? else { return Ok(None) };
        let key: &TopicKey = key.try_into().map_err(|_| damaged("key of the index"))?;
        Ok(Some(time_part(key)))
    }
}

/// Where a stream stands. The least of them is next.
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

    /// From key to rank, and back.
    fn time_key(rank: &TimeKey, order: Order) -> TimeKey {
        match order {
            Order::OldestFirst => *rank,
            Order::NewestFirst => rank.map(|byte| !byte),
        }
    }
}

/// Topic and envelope of a value of `time`.
fn split(value: &[u8]) -> Result<(Topic, &[u8]), ArchiveError> {
    let (topic, envelope) = value.split_first_chunk().ok_or(damaged("envelope"))?;
    Ok((Topic(*topic), envelope))
}

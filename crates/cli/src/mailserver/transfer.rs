//! `status-mailserver import` and `export`: envelopes into an archive, and out of it.

use std::{
    cell::RefCell,
    ops::ControlFlow,
    path::PathBuf,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::HumanCount;
use statuskit_core::{envelope::Envelope, mailserver::Position, time::UnixSeconds};
use statuskit_mailserver::{
    Archive, ArchiveError, Intake, PassedOver,
    archive::{
        Order, Query,
        import::{self, Entry, Event, LevelDb, Progress, Source, StatusGoPostgres},
    },
};

use crate::{
    context::Context,
    empty_input, envelope,
    error::{CliError, Exit, Result, Stop},
    input::stdin_items,
    interrupt::Guard,
    mailserver::{
        retention::{RetentionArgs, passed_over_text, with_passed_over},
        select::{RangeArgs, TopicArgs},
        store::{Purpose, StoreArgs, archive_error},
    },
    output::{Record, hex0x},
    progress,
    records::{envelope_record, envelopes_of},
    text::count,
    time::{Moment, to_rfc3339},
};

/// Store envelopes from standard input, or from a mailserver of status-go or go-ethereum
///
/// Reads envelope and message records of any tool, hex, base64 or binary. It only checks that they
/// are envelopes, sent since 2015-07-30 and not more than a day ahead of the clock. The result says
/// how many were new, and how many were passed over for their time. Ctrl-C stores what was read.
///
/// With --leveldb or --postgres, imports the archive of another program. Nothing is written to it,
/// and a repetition adds what is new. The program of a LevelDB archive must not run meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-envelope seal hi --chat status --ttl 60 | status-mailserver import --store ./archive
  $ status-mailserver export --store ./archive | status-mailserver import --store ./made")]
pub struct ImportCommand {
    /// Directory of a LevelDB archive of a mailserver of status-go (its DataDir) or go-ethereum
    #[arg(long, value_name = "DIR", conflicts_with = "postgres")]
    leveldb: Option<PathBuf>,
    /// URL of a PostgreSQL archive of status-go. Put one with a password into the environment
    /// variable STATUS_IMPORT_STORE
    #[arg(long, value_name = "URL", env = "STATUS_IMPORT_STORE", hide_env_values = true)]
    postgres: Option<String>,
    #[command(flatten)]
    retention: RetentionArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// An item of the input.
enum Input {
    Envelopes(Vec<Envelope>),
    /// A bad record among others.
    Bad(CliError),
    /// The input can't be read any further.
    Broken(Stop),
}

impl ImportCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        if let Some(source) = self.source()? {
            return self.take_over(&*source, cx);
        }
        let there = self.store.open_what_is_there()?;
        let guard = Guard::new();
        let input = read_input();
        let mut sifted = Sifted::new(self.retention.intake(cx));
        // The archive is only created when there is something to store.
        let first = match take_first(&input, &mut sifted, &guard, cx) {
            Ok(Some(first)) => first,
            Ok(None) if sifted.is_empty() => return Err(empty_input("envelopes")),
            ended => {
                self.report(&sifted, 0, cx)?;
                return ended.map(drop);
            }
        };
        let archive = there.map_or_else(|| self.store.open(Purpose::Make), Ok)?;
        let mut gathered = Gathered::new(&*archive);
        let taken = first.into_iter().try_for_each(|envelope| gathered.add(envelope));
        let taken = taken.and_then(|()| take_all(&input, &mut gathered, &mut sifted, &guard, cx));
        // However it ended: what was read is stored and reported.
        let stored = gathered.store();
        self.report(&sifted, gathered.new, cx)?;
        stored.and(taken)
    }

    /// Opens the archive of another program, if one is given.
    fn source(&self) -> Result<Option<Box<dyn Source>>> {
        let failed = |option: &'static str| {
            move |error: ArchiveError| Stop::from(archive_error(&error).field(option))
        };
        if let Some(dir) = &self.leveldb {
            let source = LevelDb::open(dir).map_err(failed("--leveldb"))?;
            return Ok(Some(Box::new(source)));
        }
        let Some(url) = &self.postgres else { return Ok(None) };
        let source = StatusGoPostgres::open(url).map_err(failed("--postgres"))?;
        Ok(Some(Box::new(source)))
    }

    /// Imports all that a source holds.
    fn take_over(&self, source: &dyn Source, cx: &mut Context) -> Result<()> {
        let archive = self.store.open(Purpose::Make)?;
        let (bar, began) = (progress::spinner(), Instant::now());
        let guard = Guard::new();
        let stopped = RefCell::new(Ok(()));
        let source = Stoppable { source, stops: &|| guard.is_set() || stopped.borrow().is_err() };
        let mut last = Progress::default();
        let intake = self.retention.intake(cx);
        let done = import::import(&source, &*archive, intake, &mut |event| match event {
            Event::Bad(bad) => {
                last.bad += 1;
                let error = CliError::new(bad.code(), Exit::Malformed, bad.to_string());
                let key = bad.key().map(hex0x);
                let error = key.map_or(error.clone(), |key| error.field(key));
                *stopped.borrow_mut() = bar.suspend(|| cx.report(error));
            }
            Event::Appended(progress) => {
                last = *progress;
                let at = progress.at.map(to_rfc3339).unwrap_or_default();
                bar.set_message(format!("{} envelopes, at {at}", HumanCount(progress.good)));
                if began.elapsed() >= progress::DELAY {
                    bar.tick();
                }
            }
        });
        bar.finish_and_clear();
        let Progress { good, new, bad, passed_over, .. } = *done.as_ref().unwrap_or(&last);
        self.report(&Sifted { intake, seen: good, bad, passed_over }, new, cx)?;
        done.map_err(|error| archive_error(&error))?;
        stopped.into_inner()?;
        if guard.is_set() { Err(Stop::Exit(Exit::Interrupted)) } else { Ok(()) }
    }

    fn report(&self, sifted: &Sifted, new: u64, cx: &mut Context) -> Result<()> {
        let Sifted { seen, bad, passed_over, .. } = sifted;
        let record = Record::new("imported")
            .with("store", self.store.shown())
            .with("envelopes", *seen)
            .with("new", new);
        let record = with_passed_over(record, passed_over).with("bad_records", *bad);
        cx.emit(&record, |_| {
            let passed_over = passed_over_text(passed_over);
            format!(
                "{}, {new} of them new{passed_over}; {}",
                count(*seen, "envelope"),
                count(*bad, "bad record")
            )
        })
    }
}

/// What came from the input, and which of the envelopes are kept.
struct Sifted {
    intake: Intake,
    seen: u64,
    bad: u64,
    passed_over: PassedOver,
}

impl Sifted {
    fn new(intake: Intake) -> Self {
        Self { intake, seen: 0, bad: 0, passed_over: PassedOver::default() }
    }

    fn is_empty(&self) -> bool {
        self.seen == 0 && self.bad == 0
    }

    /// Returns those that are kept.
    fn sift(&mut self, mut envelopes: Vec<Envelope>) -> Vec<Envelope> {
        self.seen += envelopes.len() as u64;
        envelopes.retain(|envelope| {
            let checked = self.intake.check(envelope);
            checked.inspect_err(|why| self.passed_over.add(*why)).is_ok()
        });
        envelopes
    }
}

/// A source that can be stopped.
struct Stoppable<'a> {
    source: &'a dyn Source,
    stops: &'a dyn Fn() -> bool,
}

impl Source for Stoppable<'_> {
    fn read(
        &self,
        visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> std::result::Result<(), ArchiveError> {
        self.source.read(&mut |entry| {
            if (self.stops)() { ControlFlow::Break(()) } else { visit(entry) }
        })
    }
}

/// Returns the first envelopes that are kept; `None` if the input ends before.
fn take_first(
    input: &Receiver<Input>,
    sifted: &mut Sifted,
    guard: &Guard,
    cx: &mut Context,
) -> Result<Option<Vec<Envelope>>> {
    loop {
        if guard.is_set() {
            return Err(Stop::Exit(Exit::Interrupted));
        }
        match input.recv_timeout(Gathered::PATIENCE) {
            Ok(Input::Envelopes(envelopes)) => {
                let kept = sifted.sift(envelopes);
                if !kept.is_empty() {
                    return Ok(Some(kept));
                }
            }
            Ok(Input::Bad(error)) => {
                sifted.bad += 1;
                cx.report(error)?;
            }
            Ok(Input::Broken(stop)) => return Err(stop),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Stores what comes until the end, without long waits if the input is slow.
fn take_all(
    input: &Receiver<Input>,
    gathered: &mut Gathered<'_>,
    sifted: &mut Sifted,
    guard: &Guard,
    cx: &mut Context,
) -> Result<()> {
    loop {
        if guard.is_set() {
            return Err(Stop::Exit(Exit::Interrupted));
        }
        match input.recv_timeout(Gathered::PATIENCE) {
            Ok(Input::Envelopes(envelopes)) => {
                for envelope in sifted.sift(envelopes) {
                    gathered.add(envelope)?;
                }
                gathered.store_if_late()?;
            }
            Ok(Input::Bad(error)) => {
                sifted.bad += 1;
                cx.report(error)?;
            }
            Ok(Input::Broken(stop)) => return Err(stop),
            Err(RecvTimeoutError::Timeout) => gathered.store()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Reads standard input on a thread of its own.
fn read_input() -> Receiver<Input> {
    let (send, receive) = mpsc::sync_channel(16);
    thread::spawn(move || {
        let mut items = stdin_items(envelope::wanted(), true);
        loop {
            let input = match items.next() {
                Ok(None) => return,
                Err(stop) => Input::Broken(stop),
                Ok(Some(item)) => match item.and_then(|item| envelopes_of(&item)) {
                    Ok(envelopes) => Input::Envelopes(envelopes),
                    Err(error) => Input::Bad(error),
                },
            };
            let end = matches!(input, Input::Broken(_));
            if send.send(input).is_err() || end {
                return;
            }
        }
    });
    receive
}

/// Gathers envelopes for an archive, which stores many at a time.
pub struct Gathered<'a> {
    archive: &'a dyn Archive,
    batch: Vec<Envelope>,
    bytes: usize,
    since: Instant,
    /// The number of new ones among those stored.
    pub new: u64,
}

impl<'a> Gathered<'a> {
    /// Envelopes that are stored at once.
    const BATCH: usize = 1000;
    /// The sum of their sizes in bytes.
    const BYTES: usize = 16 << 20;
    /// How long one waits for others.
    const PATIENCE: Duration = Duration::from_millis(500);

    /// Begins with none.
    pub fn new(archive: &'a dyn Archive) -> Self {
        Self { archive, batch: Vec::new(), bytes: 0, since: Instant::now(), new: 0 }
    }

    /// Adds an envelope.
    pub fn add(&mut self, envelope: Envelope) -> Result<()> {
        if self.batch.is_empty() {
            self.since = Instant::now();
        }
        self.bytes += envelope.raw().len();
        self.batch.push(envelope);
        if self.batch.len() >= Self::BATCH || self.bytes >= Self::BYTES {
            self.store()?;
        }
        Ok(())
    }

    /// Stores them, if the first one has waited long enough.
    pub fn store_if_late(&mut self) -> Result<()> {
        if self.since.elapsed() < Self::PATIENCE { Ok(()) } else { self.store() }
    }

    /// Stores them.
    pub fn store(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let stored = self.archive.append(&self.batch);
        self.new += stored.map_err(|error| archive_error(&error))? as u64;
        self.batch.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Print envelopes of an archive as records, oldest first; exits with 1 if there are none
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver export --store ./archive --from 24h | status-envelope open --chat status
  $ status-mailserver export --store ./archive --output raw > all.bin")]
pub struct ExportCommand {
    /// Read the file of a damaged archive page by page, and print all whole envelopes: in no
    /// certain order, and possibly including removed ones
    #[arg(long, conflicts_with_all = ["from", "to", "chat", "topic"])]
    salvage: bool,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    range: RangeArgs,
}

impl ExportCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        if self.salvage {
            return self.run_salvage(cx);
        }
        let (from, to) =
            self.range.seconds(Moment::At(UnixSeconds::EPOCH), Moment::At(UnixSeconds::MAX), cx)?;
        let select = self.topics.select()?;
        let archive = self.store.open(Purpose::Read)?;
        let mut query = Query { from, to, select, order: Order::OldestFirst, after: None };
        loop {
            // In pages, since a slow reader must not hold the archive.
            let page = Page::read(&*archive, &query);
            for envelope in &page.envelopes {
                cx.collect(&envelope_record(envelope), envelope_text)?;
            }
            for error in page.bad {
                cx.report(error)?;
            }
            page.end?;
            let Some(last) = page.last else { break };
            query.after = Some(last);
        }
        if query.after.is_none() {
            return Err(Stop::Exit(Exit::Negative));
        }
        Ok(())
    }

    fn run_salvage(&self, cx: &mut Context) -> Result<()> {
        let mut any = false;
        for found in self.store.salvage()? {
            match found {
                Ok(envelope) => {
                    any = true;
                    cx.collect(&envelope_record(&envelope), envelope_text)?;
                }
                Err(error) => cx.report(archive_error(&error))?,
            }
        }
        if any { Ok(()) } else { Err(Stop::Exit(Exit::Negative)) }
    }
}

/// Some of the envelopes of a query.
struct Page {
    envelopes: Vec<Envelope>,
    /// The position of the last one; `None` if there was none.
    last: Option<Position>,
    /// What is in the archive but not an envelope.
    bad: Vec<CliError>,
    /// Whether all of them could be read.
    end: Result<()>,
}

impl Page {
    fn read(archive: &dyn Archive, query: &Query) -> Self {
        let (mut envelopes, mut bytes, mut last, mut bad) = (Vec::new(), 0, None, Vec::new());
        let end = archive.read(query, &mut |record| {
            last = Some(record.position);
            bytes += record.envelope.len();
            match Envelope::decode(record.envelope) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => {
                    let place = hex0x(record.position.to_bytes());
                    let what = format!("the envelope at {place}: {error}");
                    bad.push(archive_error(&ArchiveError::Damaged(what)));
                }
            }
            let full = envelopes.len() + bad.len() >= Gathered::BATCH || bytes >= Gathered::BYTES;
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let end = end.map_err(|error| archive_error(&error).into());
        Self { envelopes, last, bad, end }
    }
}

/// Describes an envelope in a line of text.
pub fn envelope_text(record: &Record) -> String {
    let members = record.members();
    let [hash, topic] = ["hash", "topic"].map(|name| members[name].as_str().unwrap_or_default());
    let sent = members["sent"].as_u64().and_then(|sent| sent.try_into().ok());
    let sent = UnixSeconds(sent.unwrap_or_default());
    format!("{} {topic} {hash} {} bytes", to_rfc3339(sent), members["size"])
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use statuskit_core::{envelope::Topic, mailserver::ArchiveKey};
    use statuskit_mailserver::archive::MemoryArchive;

    struct Endless;

    impl Source for Endless {
        fn read(
            &self,
            visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
        ) -> std::result::Result<(), ArchiveError> {
            for nonce in 0.. {
                let envelope =
                    Envelope::new(UnixSeconds(1_000), 10, Topic([1, 2, 3, 4]), b"data", nonce);
                let key = ArchiveKey::from_envelope(&envelope);
                if visit(Entry::Pair(&key.0, envelope.raw())).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_source_that_is_stopped_has_given_what_was_read() {
        let (read, archive) = (Cell::new(0), MemoryArchive::new());
        let stops = || {
            read.set(read.get() + 1);
            read.get() > 1_234
        };
        let source = Stoppable { source: &Endless, stops: &stops };
        let done = import::import(&source, &archive, Intake::ALL, &mut |_| ()).unwrap();
        assert_eq!((done.new, archive.summary().unwrap().envelopes), (1_234, 1_234));
    }
}

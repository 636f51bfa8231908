//! `status-mailserver query`.

use std::time::Duration;

use clap::Args;
use statuskit_core::{chat::KeyRing, envelope::Envelope, mailserver::DAY, wire::p2p::MAX_LIMIT};
use statuskit_mailserver::client::{ClientError, History, HistoryItem, HistoryQuery, PageDone};

use crate::{
    config,
    context::Context,
    error::{CliError, Exit, Result, Stop},
    filter::{Filter, FilterArgs, Printer},
    keys::{IdentityArgs, OpenArgs, public_chat},
    mailserver::{
        ask::{AskArgs, Connection, Progress, RequestArgs, client_error, parse_cursor},
        select::{RangeArgs, TopicArgs},
        transfer::envelope_text,
    },
    net::PeerArgs,
    records::{envelope_record, opened_message},
    signals::{interrupted, terminated},
    text::count,
    time::Moment,
};

/// Ask a mailserver for envelopes, page after page
///
/// Prints envelopes in the server's order, or with --open the messages in them. Exits with 1 if
/// there are none. On exit 4 the code of the error says why: mailserver.refused,
/// mailserver.rate_limited, mailserver.timeout or mailserver.disconnected. What came before is
/// printed, and a note says with which --cursor to continue.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver query --peer \"$MAILSERVER\" --password status-offline-inbox --chat status --from 24h | status-envelope open --chat status
  $ status-mailserver query --peer \"$MAILSERVER\" --chat status --from 7d --to now --open")]
pub struct QueryCommand {
    /// Ask for all topics
    #[arg(long, conflicts_with_all = ["chat", "topic"], help_heading = "Selection")]
    all: bool,
    /// Stop after N envelopes
    #[arg(long, value_name = "N", help_heading = "Selection", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Stop after N pages [default: all]
    #[arg(long, value_name = "N", help_heading = "Selection", value_parser = clap::value_parser!(u32).range(1..))]
    pages: Option<u32>,
    /// Envelopes per page, at most 1000 [default: as many as the server sends]
    #[arg(long, value_name = "N", help_heading = "Selection", value_parser = clap::value_parser!(u32).range(1..=1000))]
    page_size: Option<u32>,
    /// Continue at the cursor that the last query printed, with its --from and --to
    #[arg(long, value_name = "HEX", help_heading = "Selection")]
    cursor: Option<String>,
    /// Open envelopes with the keys of the chats, the identity and the symmetric keys. Those that
    /// no key opens are printed as envelopes
    #[arg(long, help_heading = "Keys")]
    open: bool,
    /// Symmetric key to open with, 64 hex digits or @FILE. Repeatable
    #[arg(long, value_name = "HEX", requires = "open", help_heading = "Keys")]
    sym_key: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// What ended the wait for the server.
enum Wake {
    Item(Option<std::result::Result<HistoryItem, ClientError>>),
    Interrupted,
    Terminated,
}

impl QueryCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let query = self.query(cx)?;
        let ring = self.ring(cx)?;
        let connection = Connection::open(&self.peers, self.ask.limit(), |_| {}, cx)?;
        let Connection { server, key, .. } = &connection;
        let config = self.request.config(server, key.clone(), &self.ask)?;
        let client = connection.client(config);
        let filter = self.filter.filter(None, None)?;
        let mut running = Running {
            filter,
            printer: self.filter.printer(),
            history: connection.network.wait(async { client.history(query) }),
            progress: Progress::new(),
            connection: &connection,
            ring,
            shown: 0,
            last: None,
            since: 0,
        };
        let ended = running.run(self.limit, cx);
        let ended = running.progress.suspend(|| running.printer.print(cx)).and(ended);
        let shown = running.shown;
        running.note_the_rest(&ended, cx);
        ended?;
        if shown == 0 {
            let message = "the mailserver has no envelopes of these topics in this range";
            return Err(CliError::new("mailserver.empty", Exit::Negative, message).into());
        }
        Ok(())
    }

    fn query(&self, cx: &Context) -> Result<HistoryQuery> {
        let mut topics = self.topics.topics()?;
        if topics.is_empty() && !self.all {
            for chat in &config::profile()?.chats {
                topics.insert(public_chat(&chat.value)?.topic);
            }
        }
        if topics.is_empty() && !self.all {
            return Err(CliError::usage("nothing to ask for")
                .field("--topic")
                .hint("--chat NAME, --topic HEX, or --all")
                .into());
        }
        let (from, to) = self.range.seconds(Moment::Ago(DAY), Moment::Now, cx)?;
        let mut query = HistoryQuery::from_topics(from, to, topics);
        query.pages = self.pages;
        let limit = self.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(MAX_LIMIT);
        let size = self.page_size.unwrap_or(MAX_LIMIT).min(limit);
        // Zero asks for the server's maximum.
        query.limit = if size == MAX_LIMIT { 0 } else { size };
        if let Some(text) = &self.cursor {
            query.cursor = parse_cursor(text)?;
        }
        Ok(query)
    }

    /// Returns the keys to open with, if --open is given.
    fn ring(&self, cx: &Context) -> Result<Option<KeyRing>> {
        if !self.open {
            if let Some(option) = self.filter.first_option() {
                return Err(CliError::usage("only opened messages can be chosen and sorted")
                    .field(option)
                    .hint("--open")
                    .into());
            }
            return Ok(None);
        }
        // Opened messages are no longer raw bytes.
        cx.format().require_records()?;
        let keys = OpenArgs {
            chat: self.topics.chat.clone(),
            password: Vec::new(),
            sym_key: self.sym_key.clone(),
            identity: self.identity.clone(),
        };
        let ring = keys.key_ring()?;
        if ring.is_empty() {
            return Err(CliError::usage("no key to open with")
                .field("--open")
                .hint("--chat NAME, --sym-key HEX or --identity FILE")
                .into());
        }
        Ok(Some(ring))
    }
}

/// A query under way.
struct Running<'a> {
    connection: &'a Connection,
    history: History,
    progress: Progress,
    ring: Option<KeyRing>,
    filter: Filter,
    printer: Printer,
    shown: u64,
    /// The last complete page.
    last: Option<PageDone>,
    /// Envelopes since then.
    since: u64,
}

impl Running<'_> {
    /// Prints what comes, until all has come or the limit is reached.
    fn run(&mut self, limit: Option<u64>, cx: &mut Context) -> Result<()> {
        loop {
            match self.wake() {
                Wake::Item(None) => return Ok(()),
                Wake::Item(Some(Err(error))) => return Err(client_error(&error).into()),
                Wake::Item(Some(Ok(HistoryItem::Envelope(envelope)))) => {
                    if limit == Some(self.shown) {
                        return Ok(());
                    }
                    self.shown += 1;
                    self.since += 1;
                    self.show(&envelope, cx)?;
                }
                Wake::Item(Some(Ok(HistoryItem::Page(page)))) => {
                    self.progress.set(page.done, page.tally.envelopes);
                    self.last = Some(page);
                    self.since = 0;
                    if limit == Some(self.shown) {
                        return Ok(());
                    }
                }
                Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
                Wake::Terminated => return Err(Stop::Exit(Exit::Terminated)),
            }
        }
    }

    fn wake(&mut self) -> Wake {
        let history = &mut self.history;
        self.connection.network.wait(async {
            tokio::select! {
                // First, since a slow output always has a next item.
                biased;
                () = interrupted() => Wake::Interrupted,
                () = terminated() => Wake::Terminated,
                item = history.next() => Wake::Item(item),
            }
        })
    }

    fn show(&mut self, envelope: &Envelope, cx: &mut Context) -> Result<()> {
        let opened = self.ring.as_ref().and_then(|ring| Some((ring.open(envelope).ok()?, ring)));
        let Self { progress, printer, filter, .. } = self;
        progress.suspend(|| match opened {
            Some((opened, ring)) => {
                let message = opened_message(envelope, opened, ring);
                if filter.passes(&message) { printer.push(message, true, cx) } else { Ok(()) }
            }
            None if filter.passes_closed(envelope.sent()) => {
                // Those before it come first.
                printer.pause(cx)?;
                cx.emit(&envelope_record(envelope), envelope_text)
            }
            None => Ok(()),
        })
    }

    /// Notes what was left out, and where the next query can continue.
    fn note_the_rest(self, ended: &Result<()>, cx: &Context) {
        let Self { last, since, progress, .. } = self;
        drop(progress);
        let Some(page) = last else { return };
        let tally = page.tally;
        if tally.unwanted > 0 {
            let ignored = count(tally.unwanted, "envelope");
            cx.note(&format!("ignored {ignored} that nobody asked for"));
        }
        if ended.is_ok() && page.is_last {
            return;
        }
        let place = match &page.cursor {
            None => format!("--from {}", page.to.saturating_add(Duration::from_secs(1))),
            Some(cursor) => format!("--cursor {cursor} --from {} --to {}", page.from, page.to),
        };
        let repeats = if since > 0 {
            format!(" ({} of it printed already)", count(since, "envelope"))
        } else {
            String::new()
        };
        cx.note(&format!("there is more: go on with {place}{repeats}"));
    }
}

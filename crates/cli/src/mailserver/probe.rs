//! `status-mailserver probe`: is this server healthy?

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clap::Args;
use rand::RngExt as _;
use statuskit_core::{
    devp2p::Enode,
    envelope::{
        Bloom, Draft, Envelope, EnvelopeHash, Recipient, SymKey, Topic, check::SYNC_ALLOWANCE, seal,
    },
    mailserver::DAY,
    time::UnixSeconds,
    wire::Status,
};
use statuskit_mailserver::client::{Client, ClientError, HistoryItem, HistoryQuery, PageDone};
use statuskit_net::node::{Event, PeerOptions};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mailserver::{
        ask::{AskArgs, RequestArgs, client_error, quiet_config},
        select::{RangeArgs, TopicArgs},
    },
    mining,
    net::{Network, PeerArgs},
    output::{Record, escape},
    records::float,
    signals::interrupted,
    text::{self, Colour, count},
    time::{Moment, to_rfc3339},
};

/// Check whether a mailserver is healthy: connection, status, request, answer, paging, time
///
/// Prints one record per check, and exits with 1 if one fails. Checks without anything to look at,
/// such as paging in an empty archive, are skipped and say so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver probe --peer \"$MAILSERVER\" --password status-offline-inbox")]
pub struct ProbeCommand {
    /// Send an envelope on a random topic and ask for it, to show that the server stores envelopes
    #[arg(long)]
    send: bool,
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// Envelopes per page in the check of paging.
const PAGE: u32 = 2;
/// Pages in the check of paging.
const PAGES: u32 = 3;
/// The lifetime of the envelope of the check, in seconds.
const TTL: u32 = 10;
/// The pause between two requests for it.
const PAUSE: Duration = Duration::from_millis(1100);

/// The result of a check: whether it passed, if it could be made, and the details.
struct Found(Option<bool>, String);

impl Found {
    fn pass(what: impl Into<String>) -> Self {
        Self(Some(true), what.into())
    }

    fn fail(what: impl Into<String>) -> Self {
        Self(Some(false), what.into())
    }

    fn skip(why: impl Into<String>) -> Self {
        Self(None, why.into())
    }

    fn error(error: &ClientError) -> Self {
        let error = client_error(error);
        Self::fail(format!("{} ({})", error.message, error.code))
    }

    /// A server with a rate limit is healthy.
    fn error_or_rate_limit(error: &ClientError) -> Self {
        match error {
            ClientError::RateLimited(_) => {
                Self::skip(format!("{error}: a longer --patience waits for it"))
            }
            _ => Self::error(error),
        }
    }
}

impl ProbeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let range = self.range.seconds(Moment::Ago(DAY), Moment::Now, cx)?;
        let topics: Vec<_> = self.topics.topics()?.into_iter().collect();
        let [enode] = <[Enode; 1]>::try_from(self.peers.require()?).map_err(|enodes| {
            let message = format!("one server at a time, not {}", enodes.len());
            CliError::usage(message).field("--peer")
        })?;
        let key = self.peers.key(cx)?;
        let config = self.request.config(&enode.id, key.clone(), &self.ask)?;
        let mut quiet = quiet_config(key, cx);
        quiet.p2p.key_log = self.peers.key_log.open()?;
        quiet.dialects = self.peers.dialect.dialects();
        let network = Network::start(quiet)?;
        let mut probe = Probe {
            client: Client::new(network.handle(), enode.id, config),
            network,
            enode,
            range,
            topics,
            limit: self.ask.limit(),
            cx,
            failed: false,
        };
        probe.all(self.send)?;
        if probe.failed { Err(Stop::Exit(Exit::Negative)) } else { Ok(()) }
    }
}

struct Probe<'a> {
    network: Network,
    client: Client,
    enode: Enode,
    range: (UnixSeconds, UnixSeconds),
    topics: Vec<Topic>,
    limit: Duration,
    cx: &'a mut Context,
    failed: bool,
}

impl Probe<'_> {
    /// Runs all checks. Without a connection there are no further ones.
    fn all(&mut self, send: bool) -> Result<()> {
        let Some(status) = self.connect()? else { return Ok(()) };
        let Some(envelopes) = self.request()? else { return Ok(()) };
        self.paging(&envelopes)?;
        self.time(&envelopes)?;
        if send { self.store(&status) } else { Ok(()) }
    }

    /// Checks the connection and the server's Status.
    fn connect(&mut self) -> Result<Option<Status>> {
        let began = Instant::now();
        let mut events = self.network.handle().subscribe();
        self.network.dial(self.enode.clone(), PeerOptions::once());
        let deadline = began + self.limit;
        let mut connected = None;
        loop {
            let next = self.network.wait(async {
                tokio::select! {
                    event = events.next() => Ok(event),
                    () = tokio::time::sleep_until(deadline.into()) => Ok(None),
                    () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                }
            })?;
            let name = if connected.is_none() { "connect" } else { "status" };
            let since = connected.unwrap_or(began);
            let Some(event) = next else {
                let found = Found::fail(format!("nothing within {:?}", self.limit));
                self.report(name, since, found)?;
                return Ok(None);
            };
            match &*event {
                Event::Connected(summary) if connected.is_none() => {
                    let client = format!("{}, {}", summary.addr, summary.client);
                    self.report(name, since, Found::pass(client))?;
                    connected = Some(Instant::now());
                }
                Event::Ready { status, .. } => {
                    self.report(name, since, judge(status))?;
                    return Ok(Some((**status).clone()));
                }
                Event::DialFailed { error, .. } => {
                    self.report(name, since, Found::fail(format!("{error} ({})", error.code())))?;
                    return Ok(None);
                }
                Event::Disconnected { reason, .. } => {
                    self.report(name, since, Found::fail(format!("{reason} ({})", reason.code())))?;
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    /// Checks a request and its answer. `None` if there is no answer.
    fn request(&mut self) -> Result<Option<Vec<Envelope>>> {
        let began = Instant::now();
        let (envelopes, done) = match self.page(self.query())? {
            Ok(answer) => answer,
            Err(error) => {
                self.report("request", began, Found::error(&error))?;
                return Ok(None);
            }
        };
        let more = if done.cursor.is_none() { "" } else { ", and there is more" };
        let is_twin =
            |it: &&Envelope| !self.topics.is_empty() && !self.topics.contains(&it.topic());
        let twins = envelopes.iter().filter(is_twin).count();
        let others = match twins {
            0 => String::new(),
            _ => format!(", and {twins} of topics that the filter can't tell from them"),
        };
        let found = count((envelopes.len() - twins) as u64, "envelope");
        self.report("request", began, Found::pass(format!("{found}{others}{more}")))?;
        let tally = done.tally;
        let found = match (tally.unwanted, tally.duplicates) {
            (0, 0) if envelopes.is_empty() => Found::skip("there are no envelopes"),
            (0, 0) => Found::pass("all envelopes are of the range and the topics"),
            (unwanted, twice) => {
                Found::fail(format!("{unwanted} were not asked for, {twice} came twice"))
            }
        };
        self.report("answer", began, found)?;
        Ok(Some(envelopes))
    }

    /// Checks that small pages contain the same as a large one.
    fn paging(&mut self, envelopes: &[Envelope]) -> Result<()> {
        let began = Instant::now();
        if envelopes.len() <= PAGE as usize {
            return self.report("paging", began, Found::skip("too few envelopes for two pages"));
        }
        let hashes = |envelopes: &[Envelope]| envelopes.iter().map(Envelope::hash).collect();
        let whole: Vec<EnvelopeHash> = hashes(envelopes);
        let query = HistoryQuery { limit: PAGE, pages: Some(PAGES), ..self.query() };
        let paged: Vec<EnvelopeHash> = match self.pages(query)? {
            Ok(envelopes) => hashes(&envelopes),
            Err(error) => {
                let found = Found::error_or_rate_limit(&error);
                return self.report("paging", began, found);
            }
        };
        let expected = whole.len().min((PAGE * PAGES) as usize);
        let distinct: HashSet<_> = paged.iter().collect();
        let found = if distinct.len() == expected && whole.starts_with(&paged) {
            Found::pass(format!("{expected} envelopes in pages of {PAGE}"))
        } else {
            Found::fail(format!(
                "pages of {PAGE} bring {} envelopes, others than the first {expected} of one page",
                distinct.len()
            ))
        };
        self.report("paging", began, found)
    }

    /// Checks that nothing in the archive is from the future.
    fn time(&mut self, envelopes: &[Envelope]) -> Result<()> {
        let began = Instant::now();
        let Some(newest) = envelopes.iter().map(Envelope::sent).max() else {
            return self.report("time", began, Found::skip("there are no envelopes"));
        };
        let text = format!("the newest of the page was sent {}", to_rfc3339(newest));
        let is_future =
            newest > self.cx.now().saturating_add(Duration::from_secs(SYNC_ALLOWANCE.into()));
        let found = if is_future {
            Found::fail(format!("{text}, in the future: its clock is wrong, or ours"))
        } else {
            Found::pass(text)
        };
        self.report("time", began, found)
    }

    /// Checks that an envelope sent to it can be asked for.
    fn store(&mut self, status: &Status) -> Result<()> {
        let mut rng = self.cx.rng("probe")?;
        let topic = Topic(rng.random());
        let now = self.cx.now();
        let payload = b"status-mailserver probe";
        let draft = Draft { topic, now, ttl: TTL, payload, signer: None };
        let key = SymKey::generate(&mut rng);
        let sealed = seal::seal(&draft, Recipient::Sym(&key), &mut rng)
            .map_err(|error| CliError::new(error.code(), Exit::Malformed, error.to_string()))?;
        let envelope = mining::mine_or_fail(self.cx, &sealed, status.min_pow)?;
        let began = Instant::now();
        let handle = self.network.handle();
        handle.add_topics([topic]);
        if let Err(error) = handle.send(envelope.clone()) {
            let found = Found::fail(format!("not sent: {error} ({})", error.code()));
            return self.report("store", began, found);
        }
        let minute = Duration::from_secs(60);
        let (from, to) = (now.saturating_sub(minute), now.saturating_add(minute));
        let query = || HistoryQuery::from_topics(from, to, [topic]);
        let mut found = Found::fail("it did not come back");
        while began.elapsed() < self.limit {
            match self.page(query())? {
                Ok((envelopes, _)) if envelopes.iter().any(|it| it.hash() == envelope.hash()) => {
                    found = Found::pass("what was sent came back");
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    found = Found::error_or_rate_limit(&error);
                    break;
                }
            }
            self.pause()?;
        }
        self.report("store", began, found)
    }

    /// Asks for all that the filter of the topics matches: servers cut pages by it, not by the
    /// topics.
    fn query(&self) -> HistoryQuery {
        let topics = self.topics.iter().copied();
        let bloom = (!self.topics.is_empty()).then(|| Bloom::from_topics(topics));
        HistoryQuery { bloom, ..HistoryQuery::from_topics(self.range.0, self.range.1, []) }
    }

    /// Gets one page. Ctrl-C ends the tool.
    fn page(
        &self,
        query: HistoryQuery,
    ) -> Result<std::result::Result<(Vec<Envelope>, PageDone), ClientError>> {
        self.network.wait(async {
            tokio::select! {
                page = self.client.page(query) => Ok(page),
                () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
            }
        })
    }

    /// Gets page after page.
    fn pages(
        &self,
        query: HistoryQuery,
    ) -> Result<std::result::Result<Vec<Envelope>, ClientError>> {
        self.network.wait(async {
            let mut history = self.client.history(query);
            let mut envelopes = Vec::new();
            loop {
                let item = tokio::select! {
                    item = history.next() => item,
                    () = interrupted() => return Err(Stop::Exit(Exit::Interrupted)),
                };
                match item {
                    Some(Ok(HistoryItem::Envelope(envelope))) => envelopes.push(envelope),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Ok(Err(error)),
                    None => return Ok(Ok(envelopes)),
                }
            }
        })
    }

    fn pause(&self) -> Result<()> {
        self.network.wait(async {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => Ok(()),
                () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
            }
        })
    }

    /// Prints the record of a check.
    fn report(&mut self, name: &str, since: Instant, found: Found) -> Result<()> {
        let Found(pass, details) = found;
        self.failed |= pass == Some(false);
        let seconds = since.elapsed().as_secs_f64();
        let record = Record::new("probe")
            .with("check", name)
            .with("pass", pass)
            .with("details", details.as_str())
            .with("seconds", float(seconds));
        self.cx.emit(&record, |_| {
            let verdict = match pass {
                Some(true) => text::paint(Colour::Green, "pass"),
                Some(false) => text::paint(Colour::Red, "FAIL"),
                None => "skip".to_owned(),
            };
            format!("{verdict}  {name:8} {:>8.1} ms  {}", seconds * 1000.0, escape(&details))
        })
    }
}

/// Checks whether a mailserver can work with such a Status.
fn judge(status: &Status) -> Found {
    let text = format!("proof of work {}", status.min_pow);
    if status.light {
        return Found::fail("it says that it only receives: it can't see what others send");
    }
    if !status.is_full_node() {
        return Found::fail(format!("{text}, some topics only: it does not keep the others"));
    }
    Found::pass(format!("{text}, all topics"))
}

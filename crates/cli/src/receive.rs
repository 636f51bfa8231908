//! `status-receive`: a stream of envelopes and messages.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_client::{Claim, Event, SendFailure, Unhandled};
use statuskit_core::{
    chat::{KeyRing, KeyRingError},
    crypto::PublicKey,
    envelope::{Topic, topic},
    payload::{MessageId, Wrapper},
};
use statuskit_net::node::{ClockOffset, Event as NodeEvent};

use crate::{
    context::Context,
    conversation::{TalkArgs, given_up_error, other_record, repeated, too_much_work, unread_error},
    discover::args::FindArgs,
    error::{CliError, Exit, Result, Stop},
    filter::{Filter, FilterArgs, Held, Order},
    keys::{OpenArgs, SymmetricKeys, parse_public_key, parse_topic},
    mailserver::join::{JoinArgs, show_history, show_missing},
    net::{PeerArgs, check_min_pow, show_network, skew_text},
    output::Record,
    printer::Printer,
    records::{envelope_record, message_record},
    running::{Running, client_builder, client_error, note_move, start_error},
    signals::{interrupted, terminated, until},
    state::chat_error,
    text::{self, count},
    time::{Moment, parse_moment, parse_seconds},
};
use statuskit_net::discovery::pool::Mode;

/// Receive envelopes and open them, until --count, --timeout or Ctrl-C
///
/// Asks peers for the topics of the chats and passwords, those of the identity, and each --topic.
/// Envelopes that no key opens are printed as they are if --topic names their topic. With
/// --mailserver, the history is printed as well, each envelope once.
///
/// Several tools can share a --state: the first one holds it, and the others get what they ask for
/// from it and its peers. When it ends, one of them goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-send hello --peer \"$ENODE\" --chat status && status-receive --peer \"$ENODE\" --chat status --count 1 --timeout 30
  $ status-receive --peer \"$ENODE\" --all --raw-envelopes --timeout 1s || true
  $ status-receive --waku --peer \"$ENODE\" --chat status --timeout 1s || true
  $ status-receive --mailserver \"$MAILSERVER\" --since 1d --chat status --count 1 --timeout 30")]
pub struct ReceiveArgs {
    /// Topic to listen on, 8 hex digits. Repeatable
    #[arg(long, value_name = "HEX")]
    topic: Vec<String>,
    /// Listen on all topics, as a full node does
    #[arg(long, conflicts_with = "topic")]
    all: bool,
    /// Print envelopes as they are, opened or not
    #[arg(long)]
    raw_envelopes: bool,
    /// Stop after N results
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after this time, such as 30s or 2m. Exit 1 if nothing was received, or less than --count;
    /// exit 4 if that is because no peer stayed connected
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    /// The minimum proof of work to ask peers for
    #[arg(long, value_name = "POW", default_value_t = 0.0)]
    min_pow: f64,
    /// Only messages sent until this time; see --since
    #[arg(long, value_name = "TIME", value_parser = parse_moment, help_heading = "Filters")]
    until: Option<Moment>,
    #[command(flatten)]
    filter: FilterArgs,
    /// How long the work for an acknowledgement may take. A peer that asks for more gets none
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_seconds)]
    mine_timeout: u32,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    talk: TalkArgs,
    #[command(flatten)]
    keys: OpenArgs,
    #[command(flatten)]
    find: FindArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// The time limit for the last acknowledgements.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait for the first peer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(args: &ReceiveArgs, cx: &mut Context) -> Result<()> {
    let began = Instant::now();
    if args.timeout == Some(0) {
        return Err(CliError::usage("no time to receive anything")
            .field("--timeout")
            .hint("--timeout 1s, or omit it to receive until Ctrl-C")
            .into());
    }
    let state = args.talk.state.or_of_profile(&args.keys.identity)?;
    // The holder of a state has its own peers.
    let enodes = match args.join.peers(&args.peers) {
        Err(_) if state.is_in_use() || args.find.is_on() => args.peers.enodes()?,
        enodes => enodes?,
    };
    check_min_pow(args.min_pow, "--min-pow")?;
    let symmetric = args.keys.symmetric()?;
    let ring = args.keys.ring_with(&symmetric)?;
    if !args.raw_envelopes && !ring.is_empty() {
        // What is opened is no longer bytes, and some of it can be opened only once.
        cx.format().require_records()?;
    }
    let limit = args.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let mut builder = client_builder(&args.peers, enodes, cx)?
        .min_pow(args.min_pow)
        .mine_timeout(Some(Duration::from_secs(args.mine_timeout.into())))
        .acknowledge(!args.talk.no_acks)
        .connect_timeout(limit.map_or(CONNECT_TIMEOUT, |limit| limit.min(CONNECT_TIMEOUT)));
    if let Some(finder) = args.find.config(&args.peers.key(cx)?, None, Mode::Client)? {
        builder = builder.discover(finder);
    }
    let identity = ring.identities().next().cloned();
    if identity.is_none() && (state.state.is_some() || !args.talk.contact.is_empty()) {
        // The error says how to provide one.
        args.keys.identity.require()?;
    }
    if let Some(identity) = identity {
        cx.warn_of_seed();
        builder = builder.identity(identity);
        if let Some(state) = state.shared()? {
            builder = builder.state(state);
        }
        if let Some(id) = args.talk.installation() {
            builder = builder.installation(id);
        }
    }
    let mut contacts = Vec::new();
    for text in &args.talk.contact {
        let contact = parse_public_key(text, "--contact")?;
        contacts.push(contact);
        builder = builder.contact(contact);
    }
    let mut named = HashSet::new();
    for text in &args.topic {
        named.insert(parse_topic(text, "--topic")?);
    }
    builder = match args.topics(&ring, &symmetric, &named)? {
        Some(topics) => builder.keys(ring, topics),
        None => builder.keys(ring, []).everything(),
    };
    for topic in named {
        builder = builder.topic(topic);
    }
    if args.raw_envelopes {
        builder = builder.raw();
    }
    let source = args.join.source(cx)?;
    let has_history = source.is_some();
    if let Some(source) = source {
        builder = builder.history(source);
    }
    let mut client = Running::start(builder, cx)?;
    if has_history && client.client().holder().is_some() {
        cx.note("the history is fetched once this tool holds the state itself");
    }
    cx.note(&format!("receiving from {}", count(client.client().peers().count() as u64, "peer")));
    let deadline = limit.map(|limit| began + limit);
    let until = args.until.map(|moment| moment.at(cx.now()));
    let has_state = state.state.is_some();
    let mut receiver = Receiver {
        args,
        contacts,
        has_history,
        has_state,
        filter: args.filter.filter(args.join.since(cx), until)?,
        order: args.filter.order(),
        printer: Printer::start(has_state, deadline),
        seen: HashSet::new(),
        results: 0,
        skew: None,
    };
    let ended = match receiver.run(&mut client, deadline, cx) {
        Ok(end) => receiver.print_rest(end, &mut client, cx),
        Err(stop) => {
            client.client().put_back();
            receiver.leave(&mut client, cx).and(Err(stop))
        }
    };
    match ended {
        Err(Stop::ClosedPipe) => ended,
        ended => show_missing(client.client(), cx).and(ended),
    }
}

fn results_text(count: usize) -> String {
    if count == 1 { "1 result was".to_owned() } else { format!("{count} results were") }
}

impl ReceiveArgs {
    /// The topics to listen on; `None` for all.
    fn topics(
        &self,
        ring: &KeyRing,
        symmetric: &SymmetricKeys,
        named: &HashSet<Topic>,
    ) -> Result<Option<HashSet<Topic>>> {
        let mut topics = named.clone();
        topics.extend(ring.identities().flat_map(|key| own_topics(&key.public_key())));
        // The key ring of a profile only opens what comes on topics that are named.
        if symmetric.is_named || named.is_empty() {
            topics.extend(symmetric.chats.iter().map(|chat| chat.topic));
            topics.extend(symmetric.passwords.iter().map(|password| Topic::from_name(password)));
        }
        if self.all {
            return Ok(None);
        }
        // A symmetric key alone may be used on any topic.
        if topics.is_empty() && !symmetric.keys.is_empty() {
            return Ok(None);
        }
        if topics.is_empty() {
            return Err(CliError::usage("nothing to listen for")
                .hint("--chat NAME, --topic HEX, --password TEXT, --identity FILE, or --all")
                .into());
        }
        Ok(Some(topics))
    }
}

/// The topics on which strangers write to the owner of a key.
fn own_topics(key: &PublicKey) -> [Topic; 2] {
    [topic::partitioned_name(key), topic::personal_discovery_name(key)]
        .map(|name| Topic::from_name(&name))
}

struct Receiver<'a> {
    args: &'a ReceiveArgs,
    /// Keys whose contact codes are results.
    contacts: Vec<PublicKey>,
    /// What is missing is asked for.
    has_history: bool,
    has_state: bool,
    filter: Filter,
    order: Order<Mark>,
    printer: Printer,
    /// Ids of the messages of the last envelope.
    seen: HashSet<MessageId>,
    results: u64,
    /// How far the clock here is off, if it is.
    skew: Option<ClockOffset>,
}

/// What belongs to a message that is to be printed.
struct Mark {
    is_repeated: bool,
    claim: Option<Claim>,
}

/// Why the loop wakes up.
enum Wake {
    Event(Option<Event>),
    /// Nothing more is there for now.
    Pause,
    End(End),
}

/// Why receiving ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// There are as many results as wanted.
    Count,
    Late,
    Interrupted,
    Terminated,
    /// The node has ended by itself.
    Node,
    /// The output was not read in time.
    Unread,
}

impl Receiver<'_> {
    fn run(
        &mut self,
        client: &mut Running,
        deadline: Option<Instant>,
        cx: &mut Context,
    ) -> Result<End> {
        loop {
            if self.is_complete() {
                return Ok(End::Count);
            }
            let holds = self.order.is_pausing();
            let wake = client.wait(async |client| {
                tokio::select! {
                    biased;
                    () = until(deadline) => Wake::End(End::Late),
                    () = interrupted() => Wake::End(End::Interrupted),
                    () = terminated() => Wake::End(End::Terminated),
                    event = client.next() => Wake::Event(event),
                    () = std::future::ready(()), if holds => Wake::Pause,
                }
            });
            let has_printed = match wake {
                Wake::Event(Some(event)) => self.show(event, client, cx)?,
                Wake::Pause => {
                    let complete = self.order.pause();
                    self.print_messages(complete, client, cx)?
                }
                Wake::Event(None) => return Ok(End::Node),
                Wake::End(end) => return Ok(end),
            };
            if !has_printed {
                return Ok(End::Unread);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.args.count.is_some_and(|count| self.results >= count)
    }

    /// Prints what was confirmed to its senders before the end, unless --count results are enough.
    fn print_rest(&mut self, cause: End, client: &mut Running, cx: &mut Context) -> Result<()> {
        self.printer.end();
        let mut end = cause;
        if end == End::Count && !self.print_held(client, cx)? {
            end = End::Unread;
        }
        if matches!(cause, End::Count | End::Late | End::Terminated) {
            // Acknowledges what has come.
            client.wait(async |client| client.finish(LAST_WORDS).await);
        }
        client.wait(async |client| client.stop().await);
        while !matches!(end, End::Count | End::Unread) {
            let printer = &self.printer;
            let event = client.wait(async |client| {
                tokio::select! {
                    biased;
                    event = client.next() => event.ok_or(End::Node),
                    () = printer.late() => Err(End::Unread),
                }
            });
            match event {
                Ok(event) => {
                    if !self.show(event, client, cx)? {
                        end = End::Unread;
                    } else if self.is_complete() {
                        end = End::Count;
                    }
                }
                Err(End::Unread) => end = End::Unread,
                Err(_) => break,
            }
        }
        if end != End::Unread && !self.print_held(client, cx)? {
            end = End::Unread;
        }
        let lost = self.leave(client, cx)?.lost;
        if lost > 0 && end == End::Count {
            cx.note(&format!("{} received beyond --count, and not printed", results_text(lost)));
        } else if lost > 0 {
            let message = format!("{} received and not printed", results_text(lost));
            let error = CliError::new("receive.unprinted", Exit::Network, message);
            cx.report(error.hint("--state DIR keeps them for the next receiver"))?;
        }
        self.show_dropped(client, cx);
        let is_complete = self.results > 0 && self.args.count.is_none() || self.is_complete();
        match cause {
            End::Interrupted => Err(Stop::Exit(Exit::Interrupted)),
            End::Terminated => Err(Stop::Exit(Exit::Terminated)),
            End::Late if !is_complete => Err(self.timeout_error(client).into()),
            _ => Ok(()),
        }
    }

    /// Tells what was dropped for its times, and of the clock.
    fn show_dropped(&self, client: &mut Running, cx: &Context) {
        let Some(node) = client.client().node() else { return };
        let stats = node.stats();
        let dropped = stats.refused_late + stats.refused_early;
        if dropped > 0 {
            let clock = self.skew.as_ref().map(|skew| format!("; {}", skew_text(skew)));
            cx.note(&format!(
                "{} dropped: {} expired, {} from the future{}",
                count(dropped, "envelope"),
                stats.refused_late,
                stats.refused_early,
                clock.unwrap_or_default(),
            ));
        }
    }

    /// Keeps in the state what was received and not printed, if there is one.
    fn leave(&mut self, client: &mut Running, cx: &Context) -> Result<Unhandled> {
        for claim in self.order.finish().into_iter().filter_map(|held| held.with.claim) {
            client.client().give_back(claim);
        }
        client.wait(async |client| client.stop().await);
        let unhandled = client.client().unhandled().map_err(|error| client_error(&error))?;
        if unhandled.kept > 0 {
            cx.note(&format!(
                "{} not printed; the next receiver of the state prints {}",
                results_text(unhandled.kept),
                if unhandled.kept == 1 { "it" } else { "them" },
            ));
        }
        Ok(unhandled)
    }

    /// The time is over, and less came than was asked for.
    fn timeout_error(&self, client: &mut Running) -> CliError {
        let message = format!("{} in the time given", count(self.results, "result"));
        if let Some(failure) = client.client().peers().lasting_failure() {
            let message = format!("{message}, and no peer to rely on: {failure}");
            return CliError::new("net.no_peer", Exit::Network, message);
        }
        CliError::new("receive.timeout", Exit::Negative, message)
    }

    /// Prints a record. Returns whether that was possible in time.
    fn print(
        &mut self,
        record: &Record,
        text: impl FnOnce(&Record) -> String,
        client: &mut Running,
        cx: &Context,
    ) -> Result<bool> {
        let bytes = cx.render(record, text)?;
        let (printer, is_kept) = (&mut self.printer, self.has_state);
        client.wait(async |client| {
            let work = async {
                match is_kept {
                    true => client.work().await,
                    // What is not printed would only be in memory.
                    false => std::future::pending().await,
                }
            };
            printer.print(bytes, work).await
        })
    }

    /// Prints messages. Returns whether that was possible in time; what was not printed counts as
    /// not handled.
    fn print_messages(
        &mut self,
        messages: Vec<Held<Mark>>,
        client: &mut Running,
        cx: &Context,
    ) -> Result<bool> {
        let mut printed = Ok(true);
        for Held { message, is_first, with: Mark { is_repeated, claim }, .. } in messages {
            if matches!(printed, Ok(true)) {
                let record = repeated(message_record(&message, is_first), is_repeated);
                printed = self.print(&record, |_| text::message(&message), client, cx);
            }
            match (claim, &printed) {
                (Some(claim), Ok(true)) => client.client().handled(claim),
                (Some(claim), _) => client.client().give_back(claim),
                (None, _) => {}
            }
        }
        printed
    }

    /// Prints all messages that wait for others.
    fn print_held(&mut self, client: &mut Running, cx: &Context) -> Result<bool> {
        let held = self.order.finish();
        self.print_messages(held, client, cx)
    }

    /// Shows an event. Returns whether that was possible in time.
    fn show(&mut self, event: Event, client: &mut Running, cx: &mut Context) -> Result<bool> {
        match event {
            Event::Message { message, is_first, is_repeated } => {
                if is_first {
                    self.seen.clear();
                }
                let id = message.wrapper().map(Wrapper::message_id);
                // The same message twice in one envelope is one message.
                if id.is_some_and(|id| !self.seen.insert(id)) || !self.filter.passes(&message) {
                    return Ok(true);
                }
                self.results += 1;
                let mark = Mark { is_repeated, claim: client.client().claim() };
                let complete = self.order.push(*message, is_first, mark)?;
                return self.print_messages(complete, client, cx);
            }
            Event::Envelope { envelope, error, is_repeated } => {
                if let Some(error) = error.filter(|it| !matches!(it, KeyRingError::NoKey(_))) {
                    let message = format!("envelope {}: {error}", envelope.hash());
                    cx.show(&CliError::new(error.code(), Exit::Negative, message));
                }
                if !self.filter.passes_closed(envelope.sent()) {
                    return Ok(true);
                }
                self.results += 1;
                // Those before it come first.
                let complete = self.order.pause();
                let record = repeated(envelope_record(&envelope), is_repeated);
                let printed = self.print_messages(complete, client, cx)?
                    && self.print(&record, Record::to_text, client, cx)?;
                if !printed {
                    client.client().put_back();
                }
                return Ok(printed);
            }
            Event::Bundle { ref sender, .. } if self.contacts.contains(sender) => {
                self.results += 1;
                return self.show_other(&event, client, cx);
            }
            Event::Unread(unread) => {
                cx.show(&unread_error(&unread, self.has_state));
            }
            // What no peer asks for is repeated anyway.
            Event::NotSent {
                error: SendFailure::Unwanted { .. } | SendFailure::NoPeer, ..
            } => {}
            Event::NotSent { error, .. } => {
                let message = format!("an answer was not sent: {error}");
                cx.show(&CliError::new(error.code(), Exit::Network, message));
            }
            Event::TooMuchWork(error) => cx.note(&too_much_work(&error)),
            Event::GivenUp(given_up) => cx.report(given_up_error(&given_up))?,
            Event::Network(event) => {
                if let NodeEvent::ClockSkewed(offset) = *event {
                    self.skew = Some(offset);
                }
                show_network(&event, cx);
                self.show_lag(&event, cx)?;
            }
            Event::History(event) => show_history(event, cx)?,
            Event::Moved(holder) => note_move(holder.as_ref(), cx),
            Event::Detached(error) => return Err(start_error(error)),
            Event::Broken(error) => return Err(chat_error(&error).into()),
            event if self.args.talk.events => return self.show_other(&event, client, cx),
            _ => {}
        }
        Ok(true)
    }

    /// Reports a peer that left while it was not read, because the output is read too slowly.
    fn show_lag(&self, event: &NodeEvent, cx: &mut Context) -> Result<()> {
        let NodeEvent::Disconnected { peer, unread_since: Some(since), .. } = event else {
            return Ok(());
        };
        let message = format!(
            "peer {} left while the output was read too slowly: what it had to send since {} may \
             be missing",
            peer.addr,
            since.as_secs(),
        );
        if self.has_history {
            cx.note(&format!("{message}; the mailserver is asked for it"));
            return Ok(());
        }
        cx.report(CliError::new("receive.lagged", Exit::Network, message))
    }

    fn show_other(&mut self, event: &Event, client: &mut Running, cx: &Context) -> Result<bool> {
        for record in other_record(event) {
            if !self.print(&record, Record::to_text, client, cx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

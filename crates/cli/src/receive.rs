//! `status-receive`: a stream of envelopes and messages.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_client::{Event, SendFailure};
use statuskit_core::{
    chat::{KeyRing, KeyRingError},
    crypto::PublicKey,
    envelope::{Envelope, Topic, topic},
    payload::{MessageId, Wrapper},
};
use statuskit_net::node::Event as NodeEvent;

use crate::{
    context::Context,
    conversation::{TalkArgs, given_up_error, other_record, unread_error},
    error::{CliError, Exit, Result, Stop},
    filter::{Filter, FilterArgs, Printer},
    keys::{OpenArgs, SymmetricKeys, parse_public_key, parse_topic},
    mailserver::join::{JoinArgs, show_history, show_missing},
    net::{PeerArgs, check_min_pow, show_network},
    output::Record,
    records::envelope_record,
    running::{Running, client_builder},
    signals::{interrupted, terminated, until},
    state::chat_error,
    text::count,
    time::{Moment, parse_moment, parse_seconds},
};

/// Receive envelopes and open them, until --count, --timeout or Ctrl-C
///
/// Asks peers for the topics of the chats and passwords, those of the identity, and each --topic.
/// Envelopes that no key opens are printed as they are if --topic names their topic. With
/// --mailserver, the history is printed as well, each envelope once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-send hello --peer \"$ENODE\" --chat status && status-receive --peer \"$ENODE\" --chat status --count 1 --timeout 30
  $ status-receive --peer \"$ENODE\" --all --raw-envelopes --timeout 1s || true
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
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    talk: TalkArgs,
    #[command(flatten)]
    keys: OpenArgs,
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
    let enodes = args.join.peers(&args.peers)?;
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
        .acknowledge(!args.talk.no_acks)
        .connect_timeout(limit.map_or(CONNECT_TIMEOUT, |limit| limit.min(CONNECT_TIMEOUT)));
    let identity = ring.identities().next().cloned();
    let state = args.talk.state.or_of_profile(&args.keys.identity)?;
    if identity.is_none() && (state.state.is_some() || !args.talk.contact.is_empty()) {
        // The error says how to provide one.
        args.keys.identity.require()?;
    }
    if let Some(identity) = identity {
        cx.warn_of_seed();
        builder = builder.identity(identity);
        if let Some(store) = state.store()? {
            builder = builder.store(store);
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
    cx.note(&format!("receiving from {}", count(client.client().peers().count() as u64, "peer")));
    let deadline = limit.map(|limit| began + limit);
    let until = args.until.map(|moment| moment.at(cx.now()));
    let mut receiver = Receiver {
        args,
        contacts,
        has_history,
        has_state: state.state.is_some(),
        filter: args.filter.filter(args.join.since(cx), until)?,
        printer: args.filter.printer(),
        seen: HashSet::new(),
        results: 0,
    };
    let ended = match receiver.run(&mut client, deadline, cx) {
        Err(Stop::ClosedPipe) => Err(Stop::ClosedPipe),
        ended => receiver.printer.print(cx).and(ended),
    };
    match ended {
        Err(Stop::ClosedPipe) => ended,
        ended => show_missing(client.client(), cx).and(ended),
    }
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
    printer: Printer,
    /// Ids of the messages of the last envelope.
    seen: HashSet<MessageId>,
    results: u64,
}

/// Why the loop wakes up.
enum Wake {
    Event(Option<Event>),
    /// Nothing more is there for now.
    Pause,
    Late,
    Interrupted,
    Terminated,
}

impl Receiver<'_> {
    fn run(
        &mut self,
        client: &mut Running,
        deadline: Option<Instant>,
        cx: &mut Context,
    ) -> Result<()> {
        let mut ended = Ok(());
        loop {
            if self.args.count.is_some_and(|count| self.results >= count) {
                break;
            }
            let wake = match client.early() {
                Some(event) => Wake::Event(Some(event)),
                None => {
                    let holds = self.printer.is_pausing();
                    client.wait(async |client| {
                        tokio::select! {
                            biased;
                            () = until(deadline) => Wake::Late,
                            () = interrupted() => Wake::Interrupted,
                            () = terminated() => Wake::Terminated,
                            event = client.next() => Wake::Event(event),
                            () = std::future::ready(()), if holds => Wake::Pause,
                        }
                    })
                }
            };
            match wake {
                Wake::Event(Some(event)) => self.show(event, cx)?,
                Wake::Pause => self.printer.pause(cx)?,
                Wake::Event(None) => return Ok(()),
                Wake::Late if self.results == 0 || self.args.count.is_some() => {
                    let message = format!("{} in the time given", count(self.results, "result"));
                    if let Some(failure) = client.client().peers().lasting_failure() {
                        let message = format!("{message}, and no peer to rely on: {failure}");
                        return Err(CliError::new("net.no_peer", Exit::Network, message).into());
                    }
                    return Err(CliError::new("receive.timeout", Exit::Negative, message).into());
                }
                Wake::Late => break,
                Wake::Terminated => {
                    ended = Err(Stop::Exit(Exit::Terminated));
                    break;
                }
                Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
            }
        }
        // Acknowledges what has come.
        client.wait(async |client| client.finish(LAST_WORDS).await);
        ended
    }

    fn show(&mut self, event: Event, cx: &mut Context) -> Result<()> {
        match event {
            Event::Message { message, is_first } => {
                if is_first {
                    self.seen.clear();
                }
                let id = message.wrapper().map(Wrapper::message_id);
                // The same message twice in one envelope is one message.
                if id.is_some_and(|id| !self.seen.insert(id)) || !self.filter.passes(&message) {
                    return Ok(());
                }
                self.results += 1;
                self.printer.push(*message, is_first, cx)
            }
            Event::Envelope { envelope, error } => self.show_envelope(&envelope, error, cx),
            Event::Bundle { ref sender, .. } if self.contacts.contains(sender) => {
                self.results += 1;
                self.show_other(&event, cx)
            }
            Event::Unread(unread) => {
                cx.show(&unread_error(&unread, self.has_state));
                Ok(())
            }
            Event::NotSent { error, .. } => {
                // What no peer asks for is repeated anyway.
                if !matches!(error, SendFailure::Unwanted { .. } | SendFailure::NoPeer) {
                    let message = format!("an answer was not sent: {error}");
                    cx.show(&CliError::new(error.code(), Exit::Network, message));
                }
                Ok(())
            }
            Event::GivenUp(given_up) => cx.report(given_up_error(&given_up)),
            Event::Network(event) => {
                show_network(&event, cx);
                self.show_lag(&event, cx)
            }
            Event::History(event) => show_history(event, cx),
            Event::Broken(error) => Err(chat_error(&error).into()),
            event if self.args.talk.events => self.show_other(&event, cx),
            _ => Ok(()),
        }
    }

    fn show_envelope(
        &mut self,
        envelope: &Envelope,
        error: Option<KeyRingError>,
        cx: &mut Context,
    ) -> Result<()> {
        if let Some(error) = error.filter(|error| !matches!(error, KeyRingError::NoKey(_))) {
            let message = format!("envelope {}: {error}", envelope.hash());
            cx.show(&CliError::new(error.code(), Exit::Negative, message));
        }
        if !self.filter.passes_closed(envelope.sent()) {
            return Ok(());
        }
        self.results += 1;
        self.printer.pause(cx)?;
        cx.emit(&envelope_record(envelope), Record::to_text)
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

    fn show_other(&self, event: &Event, cx: &mut Context) -> Result<()> {
        for record in other_record(event) {
            cx.emit(&record, Record::to_text)?;
        }
        Ok(())
    }
}

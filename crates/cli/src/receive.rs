//! `status-receive`: a stream of envelopes and messages.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    chat::{KeyRing, KeyRingError},
    crypto::PublicKey,
    envelope::{Bloom, Envelope, EnvelopeHash, Topic, topic},
};
use statuskit_mailserver::client::{Client, ClientError};
use statuskit_net::node::{Config, Event, Interest, PeerOptions};

use crate::{
    context::Context,
    conversation::{CONTACT_CODE_TICK, Talk, TalkArgs, given_up_error},
    error::{CliError, Exit, Result, Stop},
    keys::{OpenArgs, parse_topic},
    mailserver::join::{JoinArgs, Past, PastItem},
    net::{
        Network, PeerArgs, Peers, check_min_pow, interrupted, service_config, terminated, until,
    },
    records::{envelope_record, message_record, message_text},
    time::parse_seconds,
};

/// Receive envelopes and open them, until --count, --timeout or Ctrl-C
///
/// Peers are told which topics are wanted: those of the chats and passwords, those on which the
/// owner of the identity is written to, and each --topic. Envelopes that no key opens are printed
/// as they are if their topic was asked for by --topic. With --mailserver, what was sent before
/// comes, too, and each envelope once.
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
    /// End after so many results, and what came together with the last
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this long: seconds, or such as 30s, 2m. Exit 1 if nothing came, or less than
    /// --count; exit 4 if that is because no peer stayed
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    /// The least proof of work to ask peers for
    #[arg(long, value_name = "POW", default_value_t = 0.0)]
    min_pow: f64,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    talk: TalkArgs,
    #[command(flatten)]
    keys: OpenArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// How often data sync has its turn while there is something to send.
const TICK: Duration = Duration::from_millis(statuskit_core::sync::TICK_MS);

/// How long the last acknowledgements may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait for the first peer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(args: &ReceiveArgs, cx: &mut Context) -> Result<()> {
    let began = Instant::now();
    if args.timeout == Some(0) {
        return Err(CliError::usage("no time to receive anything")
            .field("--timeout")
            .hint("--timeout 1s, or leave it away to receive until Ctrl-C")
            .into());
    }
    let enodes = args.join.peers(&args.peers)?;
    check_min_pow(args.min_pow, "--min-pow")?;
    let mut ring = args.keys.key_ring()?;
    if !args.raw_envelopes && !ring.is_empty() {
        // What is opened is no longer bytes, and some of it can be opened only once.
        cx.format().require_records()?;
    }
    let talk = args.talk(&mut ring, cx)?;
    let mut topics = args.topics(&ring)?;
    if let (Some(topics), Some(talk)) = (&mut topics, &talk) {
        topics.extend(talk.topics());
    }
    let mut config = service_config(args.peers.key(cx)?, cx);
    let mailserver = args.join.config(config.key.clone())?;
    config.node =
        Config { min_pow: args.min_pow, min_pow_tolerance: args.min_pow, ..Config::default() };
    match &topics {
        Some(topics) => {
            config.node.bloom = Some(Bloom::from_topics(topics.iter().copied()));
            config.node.interest = Interest::Topics(topics.clone());
        }
        None => config.node.interest = Interest::Everything,
    }
    let deadline = args.timeout.map(|seconds| began + Duration::from_secs(seconds.into()));
    let limit = match args.timeout {
        Some(seconds) => CONNECT_TIMEOUT.min(Duration::from_secs(seconds.into())),
        None => CONNECT_TIMEOUT,
    };
    let network = Network::start(config)?;
    let peers = Peers::connect(&network, enodes, &PeerOptions::default(), limit, cx)?;
    cx.note(&format!("receiving from {} peers", peers.count()));
    let past = mailserver.map(|(enode, config)| {
        let client = Client::new(network.handle(), enode.id, config);
        let topics = topics.iter().flatten().copied().collect();
        Past::since(args.join.since(cx), client, enode.id, topics, &network, cx)
    });
    let now = Instant::now();
    let heard = cx.now();
    Receiver { args, ring, talk, topics, peers, past, heard, results: 0, tick: now, publish: now }
        .run(&network, deadline, cx)
}

impl ReceiveArgs {
    /// The conversations of the identity, if one is given; their keys go into the ring.
    fn talk(&self, ring: &mut KeyRing, cx: &Context) -> Result<Option<Talk>> {
        let Some(identity) = ring.identities().next().cloned() else {
            if self.talk.state.state.is_some() || !self.talk.contact.is_empty() {
                // Says how to give one.
                self.keys.identity.require()?;
            }
            return Ok(None);
        };
        let mut talk = Talk::receiving(&self.talk, identity, cx)?;
        talk.listen(ring)?;
        Ok(Some(talk))
    }

    /// The topics to listen on; none for all.
    fn topics(&self, ring: &KeyRing) -> Result<Option<HashSet<Topic>>> {
        let mut topics: HashSet<_> = ring.topics().collect();
        for text in &self.topic {
            topics.insert(parse_topic(text, "--topic")?);
        }
        topics.extend(self.keys.password.iter().map(|password| Topic::from_name(password)));
        topics.extend(ring.identities().flat_map(|key| own_topics(&key.public_key())));
        if self.all {
            return Ok(None);
        }
        // A symmetric key alone may be used on any topic.
        if topics.is_empty() && !self.keys.sym_key.is_empty() {
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

/// Where the owner of a key is written to by those who don't know them yet.
fn own_topics(key: &PublicKey) -> [Topic; 2] {
    [topic::partitioned_name(key), topic::personal_discovery_name(key)]
        .map(|name| Topic::from_name(&name))
}

struct Receiver<'a> {
    args: &'a ReceiveArgs,
    ring: KeyRing,
    talk: Option<Talk>,
    topics: Option<HashSet<Topic>>,
    peers: Peers,
    past: Option<Past>,
    /// When the last event of the node was taken.
    heard: u32,
    results: u64,
    /// When data sync had its last turn.
    tick: Instant,
    /// When to look again whether the contact code is to be published.
    publish: Instant,
}

/// What the loop wakes up for.
enum Wake {
    Event(Option<Arc<Event>>),
    Past(PastItem),
    Late,
    /// The conversations have something to send.
    Turn,
    Interrupted,
    Terminated,
}

impl Receiver<'_> {
    fn run(
        &mut self,
        network: &Network,
        deadline: Option<Instant>,
        cx: &mut Context,
    ) -> Result<()> {
        let ended = self.stream(network, deadline, cx);
        match (&self.past, &ended) {
            (None, _) | (_, Err(Stop::ClosedPipe)) => ended,
            (Some(past), _) => past.end(cx).and(ended),
        }
    }

    fn stream(
        &mut self,
        network: &Network,
        deadline: Option<Instant>,
        cx: &mut Context,
    ) -> Result<()> {
        loop {
            if self.args.count.is_some_and(|count| self.results >= count) {
                return self.last_words(network, cx);
            }
            if let Some(past) = &mut self.past {
                past.catch_up(network, cx);
            }
            let turn = self.next_turn()?;
            let (events, past) = (&mut self.peers.events, &mut self.past);
            let past = async {
                match past {
                    Some(past) => past.next().await,
                    None => std::future::pending().await,
                }
            };
            let wake = network.wait(async {
                tokio::select! {
                    event = events.next() => Wake::Event(event),
                    item = past => Wake::Past(item),
                    () = until(deadline) => Wake::Late,
                    () = until(turn) => Wake::Turn,
                    () = interrupted() => Wake::Interrupted,
                    () = terminated() => Wake::Terminated,
                }
            });
            match wake {
                Wake::Event(Some(event)) => {
                    self.heard = cx.now();
                    let before = self.peers.count();
                    self.peers.follow(&event, cx);
                    match &*event {
                        Event::Envelope { envelope, .. } if self.is_first(envelope.envelope()) => {
                            self.show(envelope.envelope(), network, cx)?;
                        }
                        // Until a peer is back, nothing comes.
                        Event::Disconnected { .. } if before > 0 && self.peers.count() == 0 => {
                            self.missed(ClientError::NotConnected);
                        }
                        _ => {}
                    }
                }
                Wake::Past(item) => {
                    let past = self.past.as_mut();
                    let envelope = past.map(|past| past.take(item, cx)).transpose()?.flatten();
                    if let Some(envelope) = envelope {
                        self.show(&envelope, network, cx)?;
                    }
                }
                Wake::Turn => _ = self.turn(network, cx)?,
                Wake::Late if self.results == 0 || self.args.count.is_some() => {
                    let message = format!("{} results in the time given", self.results);
                    if let Some(failure) = self.peers.lasting_failure() {
                        let message = format!("{message}, and no peer to rely on: {failure}");
                        return Err(CliError::new("net.no_peer", Exit::Network, message).into());
                    }
                    return Err(CliError::new("receive.timeout", Exit::Negative, message).into());
                }
                Wake::Late | Wake::Terminated => return self.last_words(network, cx),
                Wake::Event(None) => return Ok(()),
                Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
            }
        }
    }

    /// Whether an envelope did not come from the mailserver already.
    fn is_first(&mut self, envelope: &Envelope) -> bool {
        self.past.as_mut().is_none_or(|past| past.is_first(envelope.hash()))
    }

    /// Since the last event, something may be missing.
    fn missed(&mut self, why: ClientError) {
        if let Some(past) = &mut self.past {
            past.missed(self.heard, why);
        }
    }

    /// When the conversations have to do something.
    fn next_turn(&mut self) -> Result<Option<Instant>> {
        let Some(talk) = self.talk.as_mut().filter(|_| !self.args.talk.no_acks) else {
            return Ok(None);
        };
        if !talk.is_kept() {
            return Ok(None);
        }
        let tick = self.tick + TICK;
        Ok(Some(if talk.is_busy()? { tick.min(self.publish) } else { self.publish }))
    }

    /// Sends acknowledgements, what is repeated, and from time to time the contact code.
    /// Gives what is on its way to peers.
    fn turn(&mut self, network: &Network, cx: &mut Context) -> Result<HashSet<EnvelopeHash>> {
        let mut under_way = HashSet::new();
        let Some(talk) = &mut self.talk else { return Ok(under_way) };
        let ticked = talk.tick(cx.now_ms())?;
        for given_up in &ticked.given_up {
            cx.report(given_up_error(given_up))?;
        }
        let mut posts = ticked.posts;
        self.tick = Instant::now();
        if self.publish <= self.tick {
            posts.extend(talk.contact_code_if_due(cx.now_ms())?);
            self.publish = self.tick + CONTACT_CODE_TICK;
        }
        for post in posts {
            let sent = talk.send_off(&post, network, &self.peers, cx)?;
            under_way.extend(sent.filter(|it| !it.peers.is_empty()).map(|it| it.hash));
            talk.follow(post.answer, &mut self.ring, self.topics.as_mut(), network);
        }
        Ok(under_way)
    }

    /// Before the end: acknowledges what has come, and waits until that is written.
    fn last_words(&mut self, network: &Network, cx: &mut Context) -> Result<()> {
        if self.next_turn()?.is_none() {
            return Ok(());
        }
        let mut waiting = self.turn(network, cx)?;
        let limit = Instant::now() + LAST_WORDS;
        while !waiting.is_empty() {
            let events = &mut self.peers.events;
            let event = network.wait(async {
                tokio::select! {
                    event = events.next() => event,
                    () = until(Some(limit)) => None,
                }
            });
            let Some(event) = event else { break };
            if let Event::Written { envelopes, .. } = &*event {
                envelopes.iter().for_each(|hash| _ = waiting.remove(hash));
            }
        }
        Ok(())
    }

    /// What the conversations make of an envelope. None if it is none of theirs.
    fn converse(
        &mut self,
        envelope: &Envelope,
        network: &Network,
        cx: &mut Context,
    ) -> Result<Option<()>> {
        let Some(talk) = &mut self.talk else { return Ok(None) };
        let Ok(opened) = self.ring.open(envelope) else { return Ok(None) };
        if !talk.takes(&opened) {
            return Ok(None);
        }
        let (heard, new) = talk.take(envelope, &opened, cx.now_ms())?;
        if heard.is_foreign {
            return Ok(None);
        }
        talk.follow(new, &mut self.ring, self.topics.as_mut(), network);
        if !self.args.talk.no_acks {
            for post in &heard.posts {
                talk.send_off(post, network, &self.peers, cx)?;
            }
        }
        for error in &heard.errors {
            cx.show(error);
        }
        self.results += heard.records.len() as u64;
        for record in heard.records.iter().chain(&heard.others) {
            cx.emit(record, |record| match record.members()["type"].as_str() {
                Some("message") => message_text(record),
                _ => record.to_text(),
            })?;
        }
        Ok(Some(()))
    }

    fn show(&mut self, envelope: &Envelope, network: &Network, cx: &mut Context) -> Result<()> {
        if !self.args.raw_envelopes && self.converse(envelope, network, cx)?.is_some() {
            return Ok(());
        }
        let record = if self.args.raw_envelopes {
            envelope_record(envelope)
        } else {
            match self.ring.open(envelope) {
                Ok(opened) => message_record(envelope, &opened),
                Err(error) => {
                    let asked = self.topics.as_ref().is_none_or(|_| self.asked_for(envelope));
                    if !asked || (self.topics.is_none() && !self.ring.is_empty()) {
                        return Ok(());
                    }
                    if !matches!(error, KeyRingError::NoKey(_)) {
                        let message = format!("envelope {}: {error}", envelope.hash());
                        cx.show(&CliError::new(error.code(), Exit::Negative, message));
                    }
                    envelope_record(envelope)
                }
            }
        };
        self.results += 1;
        cx.emit(&record, |record| match record.members()["type"].as_str() {
            Some("message") => message_text(record),
            _ => record.to_text(),
        })
    }

    /// Whether the user named the topic itself.
    fn asked_for(&self, envelope: &Envelope) -> bool {
        self.args.topic.iter().any(|text| text.parse() == Ok(envelope.topic()))
    }
}

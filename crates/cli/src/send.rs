//! `status-send`: messages to the network, and what became of them.

mod queue;
mod talking;

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use statuskit_core::{
    chat,
    envelope::{Bloom, Envelope, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::PayloadMessage,
};
use statuskit_net::node::{Config, ConnectionId, Event, PeerOptions, SendError, Sent};
use tokio::sync::mpsc;

use self::{
    queue::{Entry, Pending, Queue, State},
    talking::{Talking, TalkingArgs},
};
use crate::{
    context::{Context, stdin_items},
    envelope::{MessageArgs, MessageSource, Sealer, ToSeal},
    error::{CliError, Exit, Result, Stop},
    input::Items,
    mining,
    net::{Network, PeerArgs, Peers, interrupted, service_config, until},
    output::{Record, hex0x},
    payload::record::message_of_item,
    records::envelopes_of,
    time::parse_seconds,
};

/// Send messages, or finished envelopes from a pipe; say when they are really out
///
/// With --chat, --to, --group, --password, --sym-key or --to-key, the text is sealed, mined and
/// sent. Without them, finished envelopes are read from standard input. A result says to how many
/// peers an envelope was written, and which confirmed it; the exit code is 4 if none took it.
/// Results come in the order of the input. A peer that announces how many packets it takes gets
/// no more: envelopes then share packets.
///
/// With --state, private messages have sessions with the devices of the recipient, and are
/// repeated until they are acknowledged: here with --wait-ack, else by the next tool that uses the
/// state. Without it, they are encrypted to the recipient's identity.
///
/// A change of a group that status-group has printed is told with --group @FILE, together with a
/// text or, with --announce, by itself. With --payloads, messages of any type are sent instead of
/// texts: stickers, contact updates, transaction commands and what answers them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo hello | status-send --peer \"$ENODE\" --identity me.key --chat status
  $ status-send hi --peer \"$ENODE\" --identity me.key --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --state me.state
  $ status-group new --identity me.key --name team --member $(status-account new --output hex) > team.json; status-send --announce --group @team.json --peer \"$ENODE\" --identity me.key --state me.state
  $ status-payload encode contact --set ens_name=me.eth --identity me.key | status-send --payloads --peer \"$ENODE\" --identity me.key --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --state me.state
  $ printf 'one\\ntwo\\n' | status-send --peer \"$ENODE\" --chat status --lines
  $ status-envelope seal hi --password secret --pow 0.2 | status-send --peer \"$ENODE\"")]
pub struct SendArgs {
    /// Proof of work to mine to [default: what the connected peers ask for, at least 0.002]
    #[arg(long, value_name = "TARGET")]
    pow: Option<f64>,
    /// How long to try to connect, also when all peers are lost on the way
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_seconds)]
    timeout: u32,
    /// How long to wait until an envelope is written and confirmed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_seconds)]
    confirm_timeout: u32,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    talking: TalkingArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// A message to be sealed, or an envelope as it is; and its line.
type Input = std::result::Result<(Source, u64), Stop>;

enum Source {
    Message(ToSeal),
    Payload(Box<PayloadMessage>),
    Envelope(Envelope),
}

pub fn run(args: &SendArgs, cx: &mut Context) -> Result<()> {
    args.talking.check()?;
    let enodes = args.peers.require()?;
    let talking = Talking::new(args, cx)?;
    let sealer = match args.message.recipient.target()? {
        _ if talking.is_some() => None,
        Some(target) => Some(Sealer::new(&args.message, target, cx)?),
        None if args.message.text.is_some() || args.message.lines => {
            return Err(CliError::usage("a text needs a recipient")
                .hint("--chat NAME, --to KEY, --group ID, --password TEXT, --sym-key HEX or --to-key KEY")
                .into());
        }
        None => None,
    };
    if let (Some(_), Some(_)) = (&sealer, &args.message.recipient.to) {
        cx.note(
            "without --state: encrypted to the identity, without forward secrecy and without \
             repetition",
        );
    }
    // Peers send us nothing that we don't send ourselves; own envelopes are for them to judge.
    let mut config = service_config(args.peers.key(cx)?, cx);
    config.node = Config {
        min_pow: 0.0,
        min_pow_tolerance: 0.0,
        bloom: Some(Bloom::EMPTY),
        send_window: Duration::ZERO,
        ..Config::default()
    };
    if let Some(talking) = &talking {
        talking.configure(&mut config.node);
    }
    let (input, first) = if args.talking.only_announces() {
        (mpsc::channel(1).1, None)
    } else {
        let what = match (&sealer, &talking) {
            _ if args.talking.takes_payloads() => What::Payloads,
            (None, None) => What::Envelopes,
            _ => What::Messages,
        };
        let mut input = read_input(&args.message, what);
        // Nothing to send: nobody is bothered.
        let Some(first) = input.blocking_recv() else {
            let expected = match what {
                What::Payloads => "records of payloads",
                What::Messages | What::Envelopes => "a message, or envelopes",
            };
            return Err(match (super::empty_input(expected), args.talking.hint()) {
                (Stop::Error(error), Some(hint)) => error.hint(hint).into(),
                (stop, _) => stop,
            });
        };
        (input, Some(first))
    };
    let network = Network::start(config)?;
    let limit = Duration::from_secs(args.timeout.into());
    let peers = Peers::connect(&network, enodes, &PeerOptions::default(), limit, cx)?;
    let mut sender = Sender {
        args,
        is_stream: args.message.lines
            || args.talking.takes_payloads()
            || (sealer.is_none() && talking.is_none()),
        network: &network,
        peers,
        sealer,
        talking,
        queue: Queue::default(),
        is_closed: false,
        lonely_since: None,
        patience: Duration::from_secs(args.confirm_timeout.into()),
    };
    sender.run(first, input, cx)
}

/// What the input is.
#[derive(Clone, Copy)]
enum What {
    Messages,
    Payloads,
    Envelopes,
}

/// Reads standard input on a thread of its own.
fn read_input(args: &MessageArgs, what: What) -> mpsc::Receiver<Input> {
    let (send, receive) = mpsc::channel(64);
    let args = args.clone();
    std::thread::spawn(move || {
        let mut push = |input: Input| send.blocking_send(input).is_ok();
        let result = match what {
            What::Messages => read_messages(&args, &mut push),
            What::Payloads => read_payloads(&mut push),
            What::Envelopes => read_envelopes(&mut push),
        };
        if let Err(stop) = result {
            push(Err(stop));
        }
    });
    receive
}

fn read_messages(args: &MessageArgs, push: &mut dyn FnMut(Input) -> bool) -> Result<()> {
    let mut source = MessageSource::new(args, false)?;
    while let Some(message) = source.next()? {
        let input = match message {
            Ok((message, line)) => Ok((Source::Message(message), line)),
            Err(error) => Err(error.into()),
        };
        if !push(input) {
            break;
        }
    }
    Ok(())
}

fn read_payloads(push: &mut dyn FnMut(Input) -> bool) -> Result<()> {
    let mut items = stdin_items();
    while let Some(item) = items.next()? {
        let input = match item.and_then(|item| Ok((message_of_item(&item)?, item.line))) {
            Ok((message, line)) => Ok((Source::Payload(Box::new(message)), line)),
            Err(error) => Err(error.into()),
        };
        if !push(input) {
            break;
        }
    }
    Ok(())
}

fn read_envelopes(push: &mut dyn FnMut(Input) -> bool) -> Result<()> {
    let mut items = Items::new(std::io::stdin().lock()).reading_lists();
    while let Some(item) = items.next()? {
        match item.and_then(|item| Ok((envelopes_of(&item)?, item.line))) {
            Err(error) => {
                if !push(Err(error.into())) {
                    return Ok(());
                }
            }
            Ok((envelopes, line)) => {
                for envelope in envelopes {
                    if !push(Ok((Source::Envelope(envelope), line))) {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

struct Sender<'a> {
    args: &'a SendArgs,
    /// Whether the input has lines, so that results name them.
    is_stream: bool,
    network: &'a Network,
    peers: Peers,
    sealer: Option<Sealer>,
    talking: Option<Talking>,
    queue: Queue,
    /// Whether no more input is to be taken, because of an error.
    is_closed: bool,
    /// Since when all peers are gone.
    lonely_since: Option<Instant>,
    patience: Duration,
}

/// What the loop wakes up for.
enum Wake {
    Input(Option<Input>),
    Event(Option<Arc<Event>>),
    Late,
    /// The conversation has something to send.
    Turn,
    Interrupted,
}

impl Sender<'_> {
    fn run(
        &mut self,
        first: Option<Input>,
        mut input: mpsc::Receiver<Input>,
        cx: &mut Context,
    ) -> Result<()> {
        self.begin_talking(cx)?;
        let mut more = first.is_some();
        if let Some(first) = first {
            self.take(first, cx)?;
        }
        loop {
            self.settle(cx)?;
            more &= !self.is_closed;
            if !more && self.queue.is_empty() && self.is_said(cx)? {
                return Ok(());
            }
            match self.wake(&mut input, more)? {
                Wake::Input(Some(next)) => self.take(next, cx)?,
                Wake::Input(None) => more = false,
                Wake::Event(Some(event)) => {
                    self.follow(&event, cx);
                    if let Event::Envelope { envelope, .. } = &*event {
                        self.hear(envelope.envelope(), cx)?;
                    }
                }
                Wake::Turn => {
                    let done = self.turn(cx);
                    self.queue_error(done, cx)?;
                }
                Wake::Late => {}
                Wake::Event(None) | Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
            }
        }
    }

    fn wake(&mut self, input: &mut mpsc::Receiver<Input>, more: bool) -> Result<Wake> {
        let give_up = self.give_up();
        // The rest of the input may yet find a peer.
        let waits = give_up.is_some_and(|at| Instant::now() < at);
        let late = self.queue.late_at(give_up).into_iter().chain(give_up.filter(|_| waits)).min();
        let room = more && !self.queue.is_full() && !waits;
        let turn = self.next_turn(more)?;
        let events = &mut self.peers.events;
        Ok(self.network.wait(async {
            tokio::select! {
                biased;
                event = events.next() => Wake::Event(event),
                input = input.recv(), if room => Wake::Input(input),
                () = until(late) => Wake::Late,
                () = until(turn) => Wake::Turn,
                () = interrupted() => Wake::Interrupted,
            }
        }))
    }

    /// Seals and mines if need be, and sends. What is wrong with one message does not keep the
    /// others back.
    fn take(&mut self, input: Input, cx: &mut Context) -> Result<()> {
        let done = input.and_then(|(source, line)| self.send(source, line, cx));
        self.queue_error(done, cx)
    }

    /// An error is told after the results of what was sent before. One that ends the tool keeps
    /// the rest of the input out.
    fn queue_error(&mut self, done: Result<()>, cx: &Context) -> Result<()> {
        match done {
            Err(Stop::Error(error)) => {
                self.is_closed |= cx.fails_fast() || !is_of_one(&error);
                self.queue.fail(error);
                Ok(())
            }
            other => other,
        }
    }

    /// Until when the peers may come back, if all are gone.
    fn give_up(&self) -> Option<Instant> {
        self.lonely_since.map(|since| since + Duration::from_secs(self.args.timeout.into()))
    }

    fn send(&mut self, source: Source, line: u64, cx: &mut Context) -> Result<()> {
        if self.give_up().is_some_and(|at| at <= Instant::now()) {
            let message = "all peers are gone, and none has come back in time";
            return Err(CliError::new("net.no_peer", Exit::Network, message).line(line).into());
        }
        match source {
            Source::Envelope(envelope) => self.send_envelope(envelope, Record::new("sent"), line),
            Source::Message(message) if self.talking.is_some() => self.say(&message, line, cx),
            Source::Payload(message) => {
                self.tell(line, cx, |talk, chat, now| talk.send(chat, *message, now))
            }
            Source::Message(message) => {
                let sealer = self.sealer.as_mut().expect("messages are read with a recipient only");
                let sealed = sealer.seal(&message, cx).map_err(|error| error.line(line))?;
                let id = sealed.message_id.map(|id| id.to_string());
                let about = Record::new("sent").with_some("message_id", id);
                self.send_sealed(&sealed.envelope, about, line, cx)
            }
        }
    }

    /// Mines and sends.
    fn send_sealed(
        &mut self,
        sealed: &Envelope,
        about: Record,
        line: u64,
        cx: &Context,
    ) -> Result<()> {
        let mined = self.mine(sealed, cx).map_err(|stop| at_line(stop, line))?;
        self.send_envelope(mined, about, line)
    }

    fn mine(&self, sealed: &Envelope, cx: &Context) -> Result<Envelope> {
        // No work makes it smaller.
        let (size, max) = (sealed.packet_len(), DEFAULT_MAX_MESSAGE_SIZE);
        if size > max as usize {
            return Err(refused_by_us(&SendError::Oversized { size, max }, sealed).into());
        }
        let wanted = self.peers.min_pow().max(chat::POW_TARGET);
        mining::mine_or_fail(cx, sealed, self.args.pow.unwrap_or(wanted))
    }

    fn send_envelope(&mut self, envelope: Envelope, about: Record, line: u64) -> Result<()> {
        let sent = self.hand_over(&envelope).map_err(|stop| at_line(stop, line))?;
        let pending = self.pending(Rc::new(envelope), sent, about, line);
        self.queue.push(pending);
        Ok(())
    }

    /// Gives an envelope to the node.
    fn hand_over(&self, envelope: &Envelope) -> Result<Sent> {
        let handle = self.network.handle();
        handle.widen_bloom(&Bloom::from_topic(envelope.topic()));
        let sent = handle.send(envelope.clone());
        let sent = sent.map_err(|error| refused_by_us(&error, envelope))?;
        // If there is none, it waits for one.
        if sent.peers.is_empty() && !sent.known && handle.stats().ready_peers > 0 {
            return Err(self.unwanted(envelope).into());
        }
        Ok(sent)
    }

    fn pending(&self, envelope: Rc<Envelope>, sent: Sent, about: Record, line: u64) -> Pending {
        let now = Instant::now();
        // The pool has it until this second is over.
        let expiry = Duration::from_secs(u64::from(envelope.expiry()) + 1);
        let left = expiry.saturating_sub(self.network.handle().now());
        let peer = |key| describe(&self.peers, key);
        let times = [now + self.patience, now + left];
        Pending::new(envelope, sent, peer, about, line, times)
    }

    fn unwanted(&self, envelope: &Envelope) -> CliError {
        let message = format!(
            "no peer wants the envelope with topic {} and proof of work {}; they ask for: {}",
            envelope.topic(),
            envelope.pow(0),
            self.peers.wishes(),
        );
        CliError::new("send.unwanted", Exit::Network, message)
            .hint("status-pow mine --target, or leave --pow to what the peers ask for")
    }

    fn follow(&mut self, event: &Event, cx: &Context) {
        self.peers.follow(event, cx);
        if self.peers.count() > 0 {
            self.lonely_since = None;
        } else {
            self.lonely_since.get_or_insert_with(Instant::now);
        }
        let (queue, peers) = (&mut self.queue, &self.peers);
        let mut set = |hash, key, state| queue.set(hash, key, &state, || describe(peers, key));
        match event {
            Event::Written { peer, envelopes, confirms } => {
                for hash in envelopes {
                    set(hash, *peer, State::Written { confirms: *confirms });
                }
            }
            // No better confirmation than the envelope itself.
            Event::Held { peer, envelope } => {
                set(envelope, *peer, State::Confirmed);
            }
            Event::BatchAcknowledged { peer, errors, envelopes, .. } => {
                for hash in envelopes {
                    let error = errors.iter().flatten().find(|error| error.hash == *hash);
                    let state =
                        error.map_or(State::Confirmed, |error| State::Refused(error.clone()));
                    set(hash, *peer, state);
                }
            }
            Event::Ready { .. } => {
                queue.revive(Instant::now() + self.patience);
            }
            Event::Disconnected { peer, .. } => queue.lose(peer.key),
            _ => {}
        }
    }

    /// Shows the results whose turn has come.
    fn settle(&mut self, cx: &mut Context) -> Result<()> {
        while let Some(entry) = self.queue.pop(Instant::now(), self.give_up()) {
            match entry {
                Entry::Pending(pending) => show(&pending, self.is_stream, cx)?,
                Entry::Failed(error) if is_of_one(&error) => cx.report(error)?,
                Entry::Failed(error) => return Err(error.into()),
                // It never comes out before it is replaced.
                Entry::Waiting(_) => {}
            }
        }
        Ok(())
    }
}

/// Says to which line an error belongs.
fn at_line(stop: Stop, line: u64) -> Stop {
    match stop {
        Stop::Error(error) if error.line.is_none() && line > 0 => Stop::Error(error.line(line)),
        other => other,
    }
}

/// Whether an error is about one message only.
fn is_of_one(error: &CliError) -> bool {
    matches!(error.exit, Exit::Malformed | Exit::Negative | Exit::Network)
}

/// A peer, for results.
fn describe(peers: &Peers, key: ConnectionId) -> Value {
    peers.summary(key).map_or(Value::Null, |peer| {
        json!({
            "id": peer.id.to_string(),
            "address": peer.addr.to_string(),
            "client": peer.client,
        })
    })
}

fn show(pending: &Pending, is_stream: bool, cx: &mut Context) -> Result<()> {
    let hash = pending.hash;
    let (mut written, mut confirmed, mut unanswered, mut refusals) = (0, 0, 0, Vec::new());
    let peers: Vec<_> = pending
        .fates
        .iter()
        .map(|fate| {
            let mut peer = fate.peer.clone();
            let (is_written, answer) = match &fate.state {
                State::Queued | State::Gone => (false, Value::Null),
                State::Written { .. } | State::Unanswered => (true, Value::Null),
                State::Confirmed => (true, Value::Bool(true)),
                State::Refused(error) => {
                    refusals.push(format!("code {}: {}", error.code, error.description));
                    peer["error"] = json!({ "code": error.code, "text": error.description });
                    (true, Value::Bool(false))
                }
            };
            written += usize::from(is_written);
            unanswered += usize::from(matches!(fate.state, State::Unanswered));
            confirmed += usize::from(answer == Value::Bool(true));
            peer["written"] = is_written.into();
            peer["confirmed"] = answer;
            peer
        })
        .collect();
    let record = pending
        .about
        .clone()
        .with_some("line", (is_stream && pending.line > 0).then_some(pending.line))
        .with("hash", hash.to_string())
        .with("topic", pending.envelope.topic().to_string())
        .with("written", written)
        .with("confirmed", confirmed)
        .with("peers", peers)
        .with_some("raw", pending.shows_raw.then(|| hex0x(pending.envelope.raw())));
    cx.emit(&record, |_| {
        format!("{hash}  written to {written}, confirmed by {confirmed} of {}", pending.fates.len())
    })?;
    let expired = pending.is_expired(Instant::now());
    let failed = |code, message| {
        let mut error = CliError::new(code, Exit::Network, message);
        if pending.line > 0 {
            error = error.line(pending.line);
        }
        if expired { error.hint("it has expired: a longer --ttl") } else { error }
    };
    if written == 0 && !pending.is_known() {
        cx.report(failed("send.not_written", format!("envelope {hash} was written to no peer")))?;
    } else if confirmed == 0 && !refusals.is_empty() && refusals.len() == written {
        let message = format!("no peer took envelope {hash}: {}", refusals.join("; "));
        cx.report(failed("send.refused", message).hint("status-envelope check"))?;
    } else if unanswered > 0 && unanswered == written {
        let why =
            if expired { "it expired before one came back" } else { "none came back in time" };
        let message = format!(
            "envelope {hash} was written, but its peers were lost before they answered, and {why}"
        );
        cx.report(failed("send.unanswered", message))?;
    }
    Ok(())
}

fn refused_by_us(error: &SendError, envelope: &Envelope) -> CliError {
    let message = format!("envelope {}: {error}", envelope.hash());
    CliError::new(error.code(), Exit::Negative, message).hint("status-envelope check")
}

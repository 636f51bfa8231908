//! `status-send`: messages to the network, and what became of them.

mod queue;
mod talking;

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use statuskit_client::{
    Contents, Delivery, DeliveryError, DeliveryState, Event, PeerDelivery, SendFailure, SendId,
};
use statuskit_core::{
    envelope::Envelope,
    payload::{MessageId, PayloadMessage},
};
use tokio::sync::mpsc;

use self::{
    queue::{Outcome, Queue},
    talking::{Talking, TalkingArgs},
};
use crate::{
    context::Context,
    conversation::{post_members, too_much_work},
    discover::args::FindArgs,
    envelope::{self, MessageArgs, MessageSource, Sealer, ToSeal, warn_of_ttl},
    error::{CliError, Exit, Result, Stop},
    input::stdin_items,
    mining,
    net::{PeerArgs, parse_pow, show_network},
    output::{Record, hex0x},
    payload::{self, record::message_of_item},
    records::envelopes_of,
    running::{Running, client_builder, holder_error, note_move, start_error},
    signals::{interrupted, until},
    state::chat_error,
    time::parse_seconds,
};
use statuskit_net::discovery::pool::Mode;

/// Send messages, or finished envelopes from a pipe; report which peers confirmed them
///
/// With --chat, --to, --group, --password, --sym-key or --to-key, the text is sealed, mined and
/// sent. Without them, finished envelopes are read from standard input. A result reports how many
/// peers an envelope was written to, and which confirmed it; the exit code is 4 if none accepted it.
/// Results come in the order of the input. Rate limits that a peer announces are respected.
///
/// With --state, private messages have sessions with the devices of the recipient, and are
/// repeated until they are acknowledged: here with --wait-ack, else by the next tool that uses the
/// state. Without it, they are encrypted to the recipient's identity. With --state and --lines,
/// messages that come are printed as well, from the start. If another tool uses the state already,
/// that one sends, through its peers.
///
/// --group @FILE sends a change that status-group printed, with a text or, with --announce, by
/// itself. --payloads sends messages of any type: stickers, contact updates, transaction commands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo hello | status-send --peer \"$ENODE\" --identity me.key --chat status
  $ status-send hi --peer \"$ENODE\" --identity me.key --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --state me.state
  $ status-group new --identity me.key --name team --member $(status-account new --output hex) > team.json; status-send --announce --group @team.json --peer \"$ENODE\" --identity me.key --state me.state
  $ status-payload encode contact --set ens_name=me.eth --identity me.key | status-send --payloads --peer \"$ENODE\" --identity me.key --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --state me.state
  $ printf 'one\\ntwo\\n' | status-send --peer \"$ENODE\" --chat status --lines
  $ status-send hi --waku --peer \"$ENODE\" --chat status
  $ status-envelope seal hi --password secret --pow 0.2 | status-send --peer \"$ENODE\"")]
pub struct SendArgs {
    /// Proof of work to mine to [default: what the connected peers ask for, at least 0.002]
    #[arg(long, value_name = "TARGET", value_parser = parse_pow)]
    pow: Option<f64>,
    /// How long to wait for a peer, at the start and when all peers are lost
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_seconds)]
    timeout: u32,
    /// How long to wait for an envelope to be written and confirmed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_seconds)]
    confirm_timeout: u32,
    /// How long the work for an envelope may take [default: that of --timeout]. What would take longer
    /// is an error, and a peer that asks for more work gets nothing; others do
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    mine_timeout: Option<u32>,
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    talking: TalkingArgs,
    #[command(flatten)]
    find: FindArgs,
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
    // The holder of a state has its own peers.
    let (enodes, borrows) = match args.peers.require() {
        Err(_) if args.find.is_on() => (args.peers.enodes()?, false),
        Err(_) if args.talking.is_in_use(&args.message)? => (Vec::new(), true),
        enodes => (enodes?, false),
    };
    let mut builder = client_builder(&args.peers, enodes, cx)?
        .connect_timeout(Duration::from_secs(args.timeout.into()))
        .reconnect_timeout(Duration::from_secs(args.timeout.into()))
        .confirm_timeout(Duration::from_secs(args.confirm_timeout.into()))
        .publish_contact_code(false);
    if let Some(finder) = args.find.config(&args.peers.key(cx)?, None, Mode::Client)? {
        builder = builder.discover(finder);
    }
    if let Some(pow) = args.pow {
        builder = builder.pow(pow);
    }
    let mine_timeout = args.mine_timeout.unwrap_or(args.timeout);
    builder = builder.mine_timeout(Some(Duration::from_secs(mine_timeout.into())));
    warn_of_ttl(args.message.ttl, cx);
    if let Some(ttl) = args.message.ttl {
        builder = builder.ttl(ttl);
    }
    let (talking, state) = match Talking::new(args, cx)? {
        Some((talking, state)) => (Some(talking), Some(state)),
        None => (None, None),
    };
    if borrows && talking.is_none() {
        builder = args.talking.borrow_peers(builder, &args.message)?;
    }
    let sealer = match args.message.recipient.destination()? {
        _ if talking.is_some() => None,
        Some(destination) => Some(Sealer::new(&args.message, destination, cx)?),
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
    let is_open = talking.as_ref().is_some_and(Talking::listens) && args.message.lines;
    let (input, first) = if args.talking.only_announces() {
        (mpsc::channel(1).1, None)
    } else if is_open {
        // What comes is printed from the start.
        (read_input(&args.message, What::Messages), None)
    } else {
        let what = match (&sealer, &talking) {
            _ if args.talking.takes_payloads() => What::Payloads,
            (None, None) => What::Envelopes,
            _ => What::Messages,
        };
        let mut input = read_input(&args.message, what);
        // Nothing to send: connect to no peer.
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
    let is_stream = args.message.lines
        || args.talking.takes_payloads()
        || (sealer.is_none() && talking.is_none());
    if let (Some(talking), Some(state)) = (&talking, state) {
        // Not before there is something to do: others wait for the state meanwhile.
        builder = talking.configure(builder, state)?;
    }
    let client = Running::start(builder, cx)?;
    let queue = Queue::default();
    let mut sender =
        Sender { is_stream, is_open, client, sealer, talking, queue, is_closed: false };
    let ended = sender.run(first, input, cx);
    if ended.is_err() {
        sender.client.client().put_back();
    } else if is_open {
        // Acknowledges what has come.
        sender.client.wait(async |client| client.finish(LAST_WORDS).await);
    }
    ended
}

/// The time limit for the last acknowledgements.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    let mut items = stdin_items(payload::wanted(None), false);
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
    let mut items = stdin_items(envelope::wanted(), true);
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

struct Sender {
    /// Whether the input has lines, so that results name them.
    is_stream: bool,
    /// Whether the input is read beside what comes, from the start.
    is_open: bool,
    client: Running,
    sealer: Option<Sealer>,
    talking: Option<Talking>,
    queue: Queue,
    /// Whether no more input is read, because of an error.
    is_closed: bool,
}

/// Why the loop wakes up.
enum Wake {
    Input(Option<Input>),
    Event(Option<Event>),
    /// Lost peers were given up, or it is time to stop waiting for acknowledgements.
    Time,
    Interrupted,
}

impl Sender {
    fn run(
        &mut self,
        first: Option<Input>,
        mut input: mpsc::Receiver<Input>,
        cx: &mut Context,
    ) -> Result<()> {
        self.announce(cx)?;
        let mut more = first.is_some() || self.is_open;
        let mut is_empty = first.is_none() && self.is_open;
        if more {
            self.warn_of_members(cx)?;
        }
        if let Some(first) = first {
            self.take(first, cx)?;
        }
        loop {
            self.show_results(cx)?;
            more &= !self.is_closed;
            let is_done = !more && self.client.client().is_idle() && self.queue.is_empty();
            if is_done && self.is_acknowledged(cx)? {
                return if is_empty { Err(super::empty_input("lines")) } else { Ok(()) };
            }
            match self.wake(&mut input, more) {
                Wake::Input(Some(next)) => {
                    is_empty = false;
                    self.take(next, cx)?;
                }
                Wake::Input(None) => more = false,
                Wake::Event(Some(event)) => self.handle(event, cx)?,
                Wake::Time => {}
                Wake::Event(None) | Wake::Interrupted => {
                    return Err(Stop::Exit(Exit::Interrupted));
                }
            }
        }
    }

    fn wake(&mut self, input: &mut mpsc::Receiver<Input>, more: bool) -> Wake {
        // The rest of the input may yet find a peer.
        let give_up = self.client.client().give_up_at().filter(|at| Instant::now() < *at);
        let deadline = self.talking.as_mut().and_then(|talking| talking.deadline(more));
        let wake_at = give_up.into_iter().chain(deadline).min();
        let room = more && !self.queue.is_full() && give_up.is_none();
        self.client.wait(async |client| {
            tokio::select! {
                biased;
                event = client.next() => Wake::Event(event),
                input = input.recv(), if room => Wake::Input(input),
                () = until(wake_at) => Wake::Time,
                () = interrupted() => Wake::Interrupted,
            }
        })
    }

    /// Sends what was read. What is wrong with one message does not keep the others back.
    fn take(&mut self, input: Input, cx: &mut Context) -> Result<()> {
        let done = input.and_then(|(source, line)| {
            self.send(source, line, cx).map_err(|stop| at_line(stop, line))
        });
        match done {
            // It is shown after the results of what was sent before.
            Err(Stop::Error(error)) => {
                self.close_after(&error, cx);
                self.queue.fail(error);
                Ok(())
            }
            other => other,
        }
    }

    /// An error that is not about one message keeps the rest of the input out.
    fn close_after(&mut self, error: &CliError, cx: &Context) {
        self.is_closed |= cx.fails_fast() || !is_of_one(error);
    }

    fn send(&mut self, source: Source, line: u64, cx: &mut Context) -> Result<()> {
        match source {
            Source::Message(message) if self.talking.is_some() => self.say(&message, line)?,
            Source::Payload(message) => self.say_payload(*message, line)?,
            Source::Envelope(envelope) => {
                let id = self.client.wait(async |client| client.send_envelope(envelope));
                self.queue.await_envelope(id, line);
            }
            Source::Message(message) => {
                let sealer = self.sealer.as_mut().expect("messages are read with a recipient only");
                let composed = sealer.seal(&message, cx)?;
                let id = self.client.wait(async |client| client.send_composed(composed));
                self.queue.await_envelope(id, line);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, cx: &mut Context) -> Result<()> {
        match event {
            Event::Network(event) => show_network(&event, cx),
            Event::TooMuchWork(error) => cx.note(&too_much_work(&error)),
            Event::Delivered(delivery) => match &delivery.contents {
                Contents::Post(_) => self.posted(&delivery),
                _ => {
                    let messages = delivery.contents.messages().to_vec();
                    let id = delivery.id;
                    self.queue.settle(id, Outcome::Delivered { delivery, messages, has_raw: true });
                }
            },
            Event::NotSent { id, contents, error } => {
                self.not_sent(id, &contents, &error, cx);
            }
            Event::GivenUp(given_up) => self.given_up(&given_up),
            Event::Moved(holder) => note_move(holder.as_ref(), cx),
            Event::Detached(error) => return Err(start_error(error)),
            Event::Broken(error) => {
                let error = chat_error(&error);
                self.is_closed = true;
                self.stop_talking();
                self.queue.fail(error);
            }
            other => return self.show_answer(other, cx),
        }
        Ok(())
    }

    fn not_sent(&mut self, id: SendId, contents: &Contents, error: &SendFailure, cx: &Context) {
        let error = send_error(error);
        self.close_after(&error, cx);
        match contents {
            Contents::Post(post) => {
                for (line, _) in self.lines_of(&post.messages) {
                    let error = error.clone();
                    let error = if line > 0 { error.line(line) } else { error };
                    self.queue.place(line, Outcome::Failed(error));
                }
                if !is_of_one(&error) {
                    self.stop_talking();
                }
            }
            _ => {
                let line = self.queue.line_of(id).filter(|line| *line > 0);
                let error = match line {
                    Some(line) => error.line(line),
                    None => error,
                };
                self.queue.settle(id, Outcome::Failed(error));
            }
        }
    }

    /// Shows the results whose turn has come.
    fn show_results(&mut self, cx: &mut Context) -> Result<()> {
        while let Some((line, outcome)) = self.queue.pop() {
            match outcome {
                Outcome::Delivered { delivery, messages, has_raw } => {
                    let named = (self.is_stream && line > 0).then_some(line);
                    show(&delivery, &messages, has_raw, named, cx)?;
                    if let Err(error) = delivery.result() {
                        cx.report(delivery_error(&error, delivery.expired, line))?;
                    }
                }
                Outcome::Failed(error) if is_of_one(&error) => cx.report(error)?,
                Outcome::Failed(error) => return Err(error.into()),
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

/// What became of an envelope; `messages` are those of its messages that this is about.
fn show(
    delivery: &Delivery,
    messages: &[MessageId],
    has_raw: bool,
    line: Option<u64>,
    cx: &mut Context,
) -> Result<()> {
    let (written, confirmed) = (delivery.written(), delivery.confirmed());
    let record = sent_record(delivery, messages, has_raw, line);
    cx.emit(&record, |_| {
        format!(
            "{}  written to {written}, confirmed by {confirmed} of {}",
            delivery.hash,
            delivery.peers.len()
        )
    })
}

/// The record of what became of an envelope.
pub fn sent_record(
    delivery: &Delivery,
    messages: &[MessageId],
    has_raw: bool,
    line: Option<u64>,
) -> Record {
    let envelope = &delivery.envelope;
    let peers: Vec<_> = delivery.peers.iter().map(peer_value).collect();
    let record = match &delivery.contents {
        Contents::Post(post) => post_members(Record::new("sent"), post, messages),
        contents => {
            let id = contents.messages().first().map(ToString::to_string);
            Record::new("sent").with_some("message_id", id)
        }
    };
    record
        .with_some("line", line)
        .with("hash", delivery.hash.to_string())
        .with("topic", envelope.topic().to_string())
        .with("written", delivery.written())
        .with("confirmed", delivery.confirmed())
        .with("peers", peers)
        .with_some("raw", has_raw.then(|| hex0x(envelope.raw())))
}

/// A peer, and how far an envelope got with it.
fn peer_value(delivery: &PeerDelivery) -> Value {
    let mut value = match &delivery.peer {
        None => return Value::Null,
        Some(peer) => json!({
            "id": peer.id.to_string(),
            "address": peer.addr.to_string(),
            "client": peer.client,
        }),
    };
    let confirmed = match &delivery.state {
        DeliveryState::Confirmed => Value::Bool(true),
        DeliveryState::Refused(error) => {
            value["error"] = json!({ "code": error.code, "text": error.description });
            Value::Bool(false)
        }
        DeliveryState::Expired { ahead } => {
            let text = format!("dropped as expired: its clock is {ahead} s ahead or more");
            value["error"] = json!({ "text": text });
            Value::Bool(false)
        }
        _ => Value::Null,
    };
    value["written"] = delivery.is_written().into();
    value["confirmed"] = confirmed;
    value
}

fn delivery_error(error: &DeliveryError, expired: bool, line: u64) -> CliError {
    let mut shown = CliError::new(error.code(), Exit::Network, error.to_string());
    if line > 0 {
        shown = shown.line(line);
    }
    if expired {
        shown = shown.hint("it has expired: a longer --ttl");
    }
    match error {
        DeliveryError::Refused { .. } => shown.hint("status-envelope check"),
        DeliveryError::Expired { .. } => shown.hint("set the clock; or a longer --ttl"),
        _ => shown,
    }
}

/// Why an envelope was not sent.
pub fn send_error(error: &SendFailure) -> CliError {
    let shown = |exit| CliError::new(error.code(), exit, error.to_string());
    match error {
        SendFailure::Seal(_) => shown(Exit::Malformed),
        SendFailure::Target(error) => mining::target_error(*error),
        SendFailure::TooMuchWork(_) => {
            shown(Exit::Network).hint("--mine-timeout, or a lower --pow")
        }
        SendFailure::Holder(error) => holder_error(error),
        SendFailure::Refused { .. } => shown(Exit::Negative).hint("status-envelope check"),
        SendFailure::Unwanted { is_topic: true, .. } => shown(Exit::Network)
            .hint("the peers want other topics: name one that takes this topic, or all topics"),
        SendFailure::Unwanted { .. } => shown(Exit::Network)
            .hint("status-pow mine --target, or leave --pow to what the peers ask for"),
        _ => shown(Exit::Network),
    }
}

//! `status-send`: messages to the network, and what became of them.

mod talking;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::talking::{Talking, TalkingArgs};
use super::{
    context::Context,
    envelope::{MessageArgs, MessageSource, Sealer, ToSeal},
    error::{CliError, Exit, Result, Stop},
    input::Items,
    mining,
    net::{Network, PeerArgs, Peers, interrupted, service_config, until},
    output::{Record, hex0x},
    records::envelopes_of,
    time::parse_seconds,
};
use crate::{
    chat,
    node::{Config, Event, News, PeerKey, PeerOptions, SendError, Sent, ServiceEvent},
    whisper::{
        Bloom, Envelope, EnvelopeHash, check::DEFAULT_MAX_MESSAGE_SIZE, packet::EnvelopeError,
    },
};

/// Envelopes under way at a time; the input waits beyond.
const MAX_PENDING: usize = 256;

/// Send messages, or finished envelopes from a pipe; say when they are really out
///
/// With --chat, --to, --group, --password, --sym-key or --to-key, the text is sealed, mined and
/// sent. Without them, finished envelopes are read from standard input. A result says to how many
/// peers an envelope was written, and which confirmed it; the exit code is 4 if none took it.
///
/// With --state, private messages have sessions with the devices of the recipient, and are
/// repeated until they are acknowledged: here with --wait-ack, else by the next tool that uses the
/// state. Without it, they are encrypted to the recipient's identity.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo hello | status-send --peer \"$ENODE\" --identity me.key --chat status
  $ status-send hi --peer \"$ENODE\" --identity me.key --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 --state me.state
  $ printf 'one\\ntwo\\n' | status-send --peer \"$ENODE\" --chat status --lines
  $ status-envelope seal hi --password secret --pow 0.2 | status-send --peer \"$ENODE\"")]
pub struct SendArgs {
    /// Proof of work to mine to [default: what the connected peers ask for, at least 0.002]
    #[arg(long, value_name = "TARGET")]
    pow: Option<f64>,
    /// How long to try to connect
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
    Envelope(Envelope),
}

pub fn run(args: &SendArgs, cx: &mut Context) -> Result<()> {
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
    let mut input = read_input(&args.message, sealer.is_some() || talking.is_some());
    // Nothing to send: nobody is bothered.
    let Some(first) = input.blocking_recv() else {
        return Err(super::empty_input("a message, or envelopes"));
    };
    let network = Network::start(config)?;
    let limit = Duration::from_secs(args.timeout.into());
    let peers = Peers::connect(&network, enodes, &PeerOptions::default(), limit, cx)?;
    let mut sender = Sender {
        args,
        network: &network,
        peers,
        sealer,
        talking,
        pending: HashMap::new(),
        patience: Duration::from_secs(args.confirm_timeout.into()),
    };
    sender.run(first, input, cx)
}

/// Reads standard input on a thread of its own.
fn read_input(args: &MessageArgs, seal: bool) -> mpsc::Receiver<Input> {
    let (send, receive) = mpsc::channel(64);
    let args = args.clone();
    std::thread::spawn(move || {
        let mut push = |input: Input| send.blocking_send(input).is_ok();
        let result = if seal { read_messages(&args, &mut push) } else { read_envelopes(&mut push) };
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

fn read_envelopes(push: &mut dyn FnMut(Input) -> bool) -> Result<()> {
    let mut items = Items::new(std::io::stdin().lock());
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
    network: &'a Network,
    peers: Peers,
    sealer: Option<Sealer>,
    talking: Option<Talking>,
    pending: HashMap<EnvelopeHash, Pending>,
    patience: Duration,
}

/// An envelope under way.
struct Pending {
    envelope: Envelope,
    line: u64,
    fates: Vec<(PeerKey, Fate)>,
    until: Instant,
    /// What else the result says.
    about: Record,
}

/// What is known of an envelope and a peer.
struct Fate {
    /// Address and client, for the result.
    peer: Value,
    state: State,
}

enum State {
    Queued,
    /// Written; the peer is going to answer, or not.
    Written {
        confirms: bool,
    },
    Confirmed,
    Refused(EnvelopeError),
    Gone,
}

impl Pending {
    fn is_settled(&self) -> bool {
        self.fates.iter().all(|(_, fate)| {
            !matches!(fate.state, State::Queued | State::Written { confirms: true })
        })
    }
}

/// What the loop wakes up for.
enum Wake {
    Input(Option<Input>),
    News(Option<News>),
    Late,
    /// The conversation has something to send.
    Turn,
    Interrupted,
}

impl Sender<'_> {
    fn run(
        &mut self,
        first: Input,
        mut input: mpsc::Receiver<Input>,
        cx: &mut Context,
    ) -> Result<()> {
        self.begin_talking(cx)?;
        self.take(first, cx)?;
        let mut more = true;
        loop {
            self.settle(cx)?;
            if !more && self.pending.is_empty() && self.is_said(cx)? {
                return Ok(());
            }
            match self.wake(&mut input, more)? {
                Wake::Input(Some(next)) => self.take(next, cx)?,
                Wake::Input(None) => more = false,
                Wake::News(Some(News::Event(event))) => {
                    self.follow(&event, cx);
                    if let ServiceEvent::Node(Event::Envelope { envelope, .. }) = &*event {
                        self.hear(envelope.envelope(), cx)?;
                    }
                }
                Wake::Turn => self.turn(cx)?,
                Wake::News(Some(News::Lagged(_))) | Wake::Late => {}
                Wake::News(None) | Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
            }
        }
    }

    fn wake(&mut self, input: &mut mpsc::Receiver<Input>, more: bool) -> Result<Wake> {
        let late = self.pending.values().map(|pending| pending.until).min();
        let room = more && self.pending.len() < MAX_PENDING;
        let turn = self.next_turn(more)?;
        let news = &mut self.peers.news;
        Ok(self.network.wait(async {
            tokio::select! {
                biased;
                news = news.next() => Wake::News(news),
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
        match done {
            Err(Stop::Error(error))
                if matches!(error.exit, Exit::Malformed | Exit::Negative | Exit::Network) =>
            {
                cx.report(error)
            }
            other => other,
        }
    }

    fn send(&mut self, source: Source, line: u64, cx: &mut Context) -> Result<()> {
        if self.peers.count() == 0 {
            let message = "all peers are gone; they are dialled again";
            return Err(CliError::new("net.no_peer", Exit::Network, message).line(line).into());
        }
        match source {
            Source::Envelope(envelope) => self.send_envelope(envelope, Record::new("sent"), line),
            Source::Message(message) if self.talking.is_some() => self.say(&message, line, cx),
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
        // No work makes it smaller.
        let (size, max) = (sealed.packet_len(), DEFAULT_MAX_MESSAGE_SIZE);
        if size > max as usize {
            let error = SendError::Oversized { size, max };
            return Err(refused_by_us(&error, sealed).line(line).into());
        }
        let wanted = self.peers.min_pow().max(chat::POW_TARGET);
        let mined = mining::mine_or_fail(cx, sealed, self.args.pow.unwrap_or(wanted))?;
        self.send_envelope(mined, about, line)
    }

    fn send_envelope(&mut self, envelope: Envelope, about: Record, line: u64) -> Result<()> {
        let handle = self.network.handle();
        handle.widen_bloom(&Bloom::of_topic(envelope.topic()));
        let sent = handle.send(envelope.clone());
        let sent = sent.map_err(|error| refused_by_us(&error, &envelope).line(line))?;
        if sent.peers.is_empty() && !sent.known {
            return Err(self.unwanted(&envelope).line(line).into());
        }
        self.remember(envelope, sent, about, line);
        Ok(())
    }

    fn remember(&mut self, envelope: Envelope, sent: Sent, about: Record, line: u64) {
        let fate = |key: PeerKey| {
            let peer = self.peers.summary(key).map_or(Value::Null, |peer| {
                json!({
                    "id": peer.id.to_string(),
                    "address": peer.addr.to_string(),
                    "client": peer.client,
                })
            });
            (key, Fate { peer, state: State::Queued })
        };
        let fates = sent.peers.into_iter().map(fate).collect();
        let until = Instant::now() + self.patience;
        self.pending.insert(sent.hash, Pending { envelope, line, fates, until, about });
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

    fn follow(&mut self, event: &ServiceEvent, cx: &Context) {
        self.peers.follow(event, cx);
        match event {
            ServiceEvent::Node(Event::Written { peer, envelopes, confirms }) => {
                for hash in envelopes {
                    self.set(hash, *peer, State::Written { confirms: *confirms });
                }
            }
            // No better confirmation than the envelope itself.
            ServiceEvent::Node(Event::Held { peer, envelope }) => {
                self.set(envelope, *peer, State::Confirmed);
            }
            ServiceEvent::Node(Event::BatchAcknowledged { peer, errors, envelopes, .. }) => {
                for hash in envelopes {
                    let error = errors.iter().flatten().find(|error| error.hash == *hash);
                    let state =
                        error.map_or(State::Confirmed, |error| State::Refused(error.clone()));
                    self.set(hash, *peer, state);
                }
            }
            ServiceEvent::Disconnected { peer, .. } => {
                let hashes: Vec<_> = self.pending.keys().copied().collect();
                for hash in hashes {
                    self.set(&hash, peer.key, State::Gone);
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, hash: &EnvelopeHash, peer: PeerKey, new: State) {
        let Some(pending) = self.pending.get_mut(hash) else { return };
        let Some((_, fate)) = pending.fates.iter_mut().find(|(key, _)| *key == peer) else {
            return;
        };
        fate.state = match (std::mem::replace(&mut fate.state, State::Gone), new) {
            (State::Queued, new) => new,
            // What was written stays written, whatever becomes of the peer.
            (State::Written { .. }, State::Gone) => State::Written { confirms: false },
            (State::Written { .. }, new) => new,
            (settled, _) => settled,
        };
    }

    /// Shows the envelopes whose fate is known, or that took too long.
    fn settle(&mut self, cx: &mut Context) -> Result<()> {
        let now = Instant::now();
        let done = |pending: &Pending| pending.is_settled() || pending.until <= now;
        let hashes: Vec<_> = self
            .pending
            .iter()
            .filter(|(_, pending)| done(pending))
            .map(|(hash, _)| *hash)
            .collect();
        let mut settled: Vec<_> = hashes
            .into_iter()
            .filter_map(|hash| Some((hash, self.pending.remove(&hash)?)))
            .collect();
        settled.sort_by_key(|(_, pending)| pending.line);
        for (hash, pending) in settled {
            show(hash, &pending, cx)?;
        }
        Ok(())
    }
}

fn show(hash: EnvelopeHash, pending: &Pending, cx: &mut Context) -> Result<()> {
    let (mut written, mut confirmed, mut refusals) = (0, 0, Vec::new());
    let peers: Vec<_> = pending
        .fates
        .iter()
        .map(|(_, fate)| {
            let mut peer = fate.peer.clone();
            let (is_written, answer) = match &fate.state {
                State::Queued | State::Gone => (false, Value::Null),
                State::Written { .. } => (true, Value::Null),
                State::Confirmed => (true, Value::Bool(true)),
                State::Refused(error) => {
                    refusals.push(format!("code {}: {}", error.code, error.description));
                    peer["error"] = json!({ "code": error.code, "text": error.description });
                    (true, Value::Bool(false))
                }
            };
            written += usize::from(is_written);
            confirmed += usize::from(answer == Value::Bool(true));
            peer["written"] = is_written.into();
            peer["confirmed"] = answer;
            peer
        })
        .collect();
    let record = pending
        .about
        .clone()
        .with("hash", hash.to_string())
        .with("topic", pending.envelope.topic().to_string())
        .with("written", written)
        .with("confirmed", confirmed)
        .with("peers", peers)
        .with("raw", hex0x(pending.envelope.raw()));
    cx.emit(&record, |_| {
        format!("{hash}  written to {written}, confirmed by {confirmed} of {}", pending.fates.len())
    })?;
    let failed = |code, message| CliError::new(code, Exit::Network, message).line(pending.line);
    if written == 0 && !pending.fates.is_empty() {
        cx.report(failed("send.not_written", format!("envelope {hash} was written to no peer")))?;
    } else if confirmed == 0 && !refusals.is_empty() && refusals.len() == written {
        let message = format!("no peer took envelope {hash}: {}", refusals.join("; "));
        cx.report(failed("send.refused", message).hint("status-envelope check"))?;
    }
    Ok(())
}

fn refused_by_us(error: &SendError, envelope: &Envelope) -> CliError {
    let message = format!("envelope {}: {error}", envelope.hash());
    CliError::new(error.code(), Exit::Negative, message).hint("status-envelope check")
}

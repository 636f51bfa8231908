//! `status-chat`: commands in, records out, for bots in any language.

mod command;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value, json};
use statuskit_client::{
    ClientError, Contents, Event, HistoryEvent, HistorySource, SendFailure, SendId,
};
use statuskit_core::{
    account::ThreeWordName,
    chat::{Destination, PublicChat},
    payload::{MessageId, group::Group, matching::Chat},
};
use tokio::sync::mpsc;

use self::command::{Asked, Command};
use crate::{
    config,
    context::Context,
    conversation::{given_up_error, repeated, too_much_work, unread_error},
    error::{CliError, Exit, Result, Stop},
    keys::{IdentityArgs, chat_name},
    lines::Lines,
    mailserver::join::{JoinArgs, show_history},
    net::{PeerArgs, parse_pow, show_network},
    output::Record,
    printer::Printer,
    records::message_record,
    running::{Running, client_builder, client_error, note_move, start_error},
    send::{send_error, sent_record},
    signals::{interrupted, terminated, until},
    state::{StateArgs, chat_error},
    text,
    time::{Moment, parse_seconds},
};

/// Send and receive with JSON lines, for bots in any language
///
/// Reads a command per line, and prints a record per line: the result of each command, and each
/// message that comes. An `id` of a command is in its results. An error is a record, too, and ends
/// nothing. At the end of the input, what is under way is sent, for at most --timeout.
///
/// {"command":"send","to":KEY,"text":TEXT}, or with "chat":NAME or "group":ID. {"command":"join",
/// "chat":NAME} listens to a public chat; with "group":ID it accepts an invitation. "leave" ends
/// both. {"command":"history","since":"1d"} asks the mailserver. "groups" and "contacts" list what
/// the state knows. {"command":"create","name":TEXT,"members":[KEY]} creates a group; "invite",
/// "promote" ("members"), "remove" ("member"), "rename" ("name") and "resign" change the "group".
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo '{\"command\":\"send\",\"chat\":\"status\",\"text\":\"hi\"}' | status-chat --peer \"$ENODE\"
  $ echo '{\"command\":\"send\",\"chat\":\"status\",\"text\":\"hi\"}' | status-chat --waku --peer \"$ENODE\"
  $ echo '{\"command\":\"groups\",\"id\":1}' | status-chat --peer \"$ENODE\" --identity me.key --state me.state")]
pub struct ChatArgs {
    /// Public chat to listen to from the start. Repeatable
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(config::chat_names))]
    chat: Vec<String>,
    /// How long to wait for a peer, and for what is under way at the end
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_seconds)]
    timeout: u32,
    /// Proof of work to mine to [default: what the connected peers ask for, at least 0.002]
    #[arg(long, value_name = "TARGET", value_parser = parse_pow)]
    pow: Option<f64>,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// The longest command.
const MAX_LINE: usize = 1 << 20;

/// Commands whose results are awaited at a time. Beyond, no more are read.
const MAX_PENDING: usize = 256;

/// The time limit for the last acknowledgements.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub fn run(args: &ChatArgs, cx: &mut Context) -> Result<()> {
    cx.format().require_records()?;
    let state = args.state.or_of_profile(&args.identity)?;
    let enodes = match args.join.peers(&args.peers) {
        // The holder of a state has its own peers.
        Err(_) if state.is_in_use() => args.peers.enodes()?,
        enodes => enodes?,
    };
    let limit = Duration::from_secs(args.timeout.into());
    let mut builder = client_builder(&args.peers, enodes, cx)?
        .connect_timeout(limit)
        .reconnect_timeout(limit)
        .mine_timeout(Some(limit));
    if let Some(pow) = args.pow {
        builder = builder.pow(pow);
    }
    let identity = match state.state {
        // The error says how to provide one.
        Some(_) => Some(args.identity.require()?),
        None => args.identity.load()?,
    };
    if let Some(identity) = identity {
        cx.warn_of_seed();
        builder = builder.identity(identity);
        if let Some(state) = state.shared()? {
            builder = builder.state(state);
        }
    }
    for text in &args.chat {
        let name = chat_name(text).map_err(|error| error.field("--chat").exit(Exit::Usage))?;
        builder = builder.join(&Destination::Public(PublicChat::new(&name)));
    }
    let source = args.join.source(cx)?;
    builder = match (&source, args.join.since(cx)) {
        (None, _) => builder,
        (Some(source), Some(_)) => builder.history(source.clone()),
        (Some(source), None) => builder.mailserver(source.clone()),
    };
    let client = Running::start(builder, cx)?;
    let has_state = state.state.is_some();
    let mut talk = Talk {
        client,
        printer: Printer::start(has_state, None),
        has_state,
        source,
        asked: HashMap::new(),
        envelopes: HashMap::new(),
        histories: VecDeque::new(),
        timeout: limit,
    };
    let ended = talk.run(cx);
    let left = talk.leave(ended.is_ok(), cx);
    match ended {
        Err(Stop::ClosedPipe) => ended,
        ended => ended.and(left),
    }
}

/// What was asked, for its results.
#[derive(Debug, Clone)]
struct Label {
    id: Option<Value>,
    name: Option<&'static str>,
}

impl Label {
    /// Adds the members that tell results apart.
    fn mark(&self, record: Record) -> Record {
        record.with_some("id", self.id.clone()).with_some("command", self.name)
    }
}

struct Talk {
    client: Running,
    printer: Printer,
    has_state: bool,
    /// The mailserver.
    source: Option<HistorySource>,
    /// Messages without an outcome.
    asked: HashMap<MessageId, Label>,
    /// The same before they have an id of their own.
    envelopes: HashMap<SendId, Label>,
    /// Requests for history, the first of which is under way.
    histories: VecDeque<(Label, Option<Moment>)>,
    timeout: Duration,
}

/// Why the loop wakes up.
enum Wake {
    Line(Option<Result<Line>>),
    Event(Option<Event>),
    Late,
    End(Exit),
}

/// A line and its number.
type Line = (String, u64);
type Input = mpsc::Receiver<Result<Line>>;

/// Reads commands on a thread of its own.
fn read_input() -> Input {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut lines = Lines::from_stdin();
        loop {
            let line = match lines.next_within(MAX_LINE) {
                Ok(None) => return,
                Ok(Some(line)) => line.map(|text| (text, lines.number())).map_err(Stop::from),
                Err(stop) => {
                    let _ = send.blocking_send(Err(stop));
                    return;
                }
            };
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

impl Talk {
    fn run(&mut self, cx: &mut Context) -> Result<()> {
        let mut input = read_input();
        let (mut more, mut deadline) = (true, None);
        loop {
            if !more && deadline.is_none() {
                deadline = Some(Instant::now() + self.timeout);
            }
            if !more && self.is_done() {
                return Ok(());
            }
            let room = more && self.asked.len() + self.envelopes.len() < MAX_PENDING;
            let wake = self.client.wait(async |client| {
                tokio::select! {
                    biased;
                    () = interrupted() => Wake::End(Exit::Interrupted),
                    () = terminated() => Wake::End(Exit::Terminated),
                    event = client.next() => Wake::Event(event),
                    line = input.recv(), if room => Wake::Line(line),
                    () = until(deadline) => Wake::Late,
                }
            });
            match wake {
                Wake::Line(None) => more = false,
                Wake::Line(Some(Ok((line, number)))) => self.take(&line, number, cx)?,
                Wake::Line(Some(Err(Stop::Error(error)))) if error.line.is_some() => {
                    self.fail(&Label { id: None, name: None }, error, cx)?;
                }
                Wake::Line(Some(Err(stop))) => return Err(stop),
                Wake::Event(Some(event)) => self.handle(event, cx)?,
                Wake::Event(None) => return Err(Stop::Exit(Exit::Network)),
                Wake::End(exit) => return Err(Stop::Exit(exit)),
                Wake::Late => {
                    let count = self.asked.len() + self.envelopes.len() + self.histories.len();
                    let message = format!(
                        "{} without an outcome in the time given",
                        text::count(count as u64, "command")
                    );
                    let error = CliError::new("chat.timeout", Exit::Network, message);
                    return Err(error.hint("--timeout sets the limit").into());
                }
            }
        }
    }

    fn is_done(&mut self) -> bool {
        self.asked.is_empty()
            && self.envelopes.is_empty()
            && self.histories.is_empty()
            && self.client.client().is_idle()
    }

    /// Ends the conversation: acknowledges what has come, and keeps what was not printed.
    fn leave(&mut self, is_whole: bool, cx: &Context) -> Result<()> {
        self.printer.end();
        if is_whole {
            self.client.wait(async |client| client.finish(LAST_WORDS).await);
        } else {
            self.client.client().put_back();
        }
        self.client.wait(async |client| client.stop().await);
        let unhandled = self.client.client().unhandled().map_err(|error| client_error(&error))?;
        if unhandled.kept > 0 {
            let count = text::count(unhandled.kept as u64, "message");
            cx.note(&format!("{count} not printed; kept in the state"));
        }
        Ok(())
    }

    /// Does what a line asks for.
    fn take(&mut self, line: &str, number: u64, cx: &mut Context) -> Result<()> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let Asked { id, name, command } = Asked::parse(line);
        let label = Label { id, name };
        let done = match command {
            Ok(command) => self.work(command, &label, cx),
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(None) => Ok(()),
            Ok(Some(record)) => self.print(&record, cx),
            Err(Stop::Error(error)) => self.fail(&label, error.line(number), cx),
            Err(stop) => Err(stop),
        }
    }

    /// Returns the result, unless it comes later.
    fn work(&mut self, command: Command, label: &Label, cx: &Context) -> Result<Option<Record>> {
        let failed = |error: ClientError| Stop::from(client_error(&error));
        let result = label.mark(Record::new("result"));
        Ok(Some(match command {
            Command::Send(destination, text) => {
                let sent =
                    self.client.wait(async |client| client.send_text(&destination, &text).await);
                let id = sent.map_err(failed)?;
                self.asked.insert(id, label.clone());
                result.with("message_id", id.to_string())
            }
            Command::Join(chat) => {
                let name = chat.name.clone();
                self.client.client().join(&Destination::Public(chat));
                result.with("chat", name)
            }
            Command::Leave(chat) => {
                let name = chat.name.clone();
                self.client.client().leave(&Destination::Public(chat));
                result.with("chat", name)
            }
            Command::History(since) => {
                if self.source.is_none() {
                    let error = CliError::new("chat.no_mailserver", Exit::Usage, "no mailserver");
                    return Err(error.hint("--mailserver enode://…").into());
                }
                self.histories.push_back((label.clone(), since));
                if self.histories.len() == 1 {
                    self.ask_history(cx);
                }
                return Ok(None);
            }
            Command::Groups => {
                let mut groups = Vec::new();
                for chat in self.client.wait(async |client| client.chats().await).map_err(failed)? {
                    let Chat::Group(id) = chat else { continue };
                    let group = self.client.wait(async |client| client.group(&id).await);
                    groups.push(group_value(&group.map_err(failed)?));
                }
                result.with("groups", groups)
            }
            Command::Create { name, members } => {
                let group =
                    self.client.wait(async |client| client.create_group(&name, &members).await);
                result.with("group", group_value(&group.map_err(failed)?))
            }
            Command::Change(chat_id, change) => {
                let group =
                    self.client.wait(async |client| client.change_group(&chat_id, &change).await);
                result.with("group", group_value(&group.map_err(failed)?))
            }
            Command::Contacts => {
                let chats = self.client.wait(async |client| client.chats().await);
                let contacts = chats.map_err(failed)?.into_iter().filter_map(|chat| match chat {
                    Chat::OneToOne(key) => Some(json!({
                        "public_key": key.to_string(),
                        "name": ThreeWordName::from_key(&key).to_string(),
                    })),
                    _ => None,
                });
                result.with("contacts", contacts.collect::<Vec<_>>())
            }
        }))
    }

    /// Asks for the first history that waits.
    fn ask_history(&mut self, cx: &Context) {
        let (Some((_, since)), Some(source)) = (self.histories.front(), &self.source) else {
            return;
        };
        let mut source = source.clone();
        if let Some(since) = since {
            source.since = since.at(cx.now()).min(cx.now());
        }
        self.client.client().fetch_history(source);
    }

    /// The history under way has its outcome.
    fn history_done(
        &mut self,
        outcome: std::result::Result<u64, CliError>,
        cx: &mut Context,
    ) -> Result<()> {
        let Some((label, _)) = self.histories.pop_front() else {
            return match outcome {
                Ok(envelopes) => {
                    let envelopes = text::count(envelopes, "envelope");
                    cx.note(&format!("the history is complete: {envelopes}"));
                    Ok(())
                }
                Err(error) => cx.report(error),
            };
        };
        self.ask_history(cx);
        match outcome {
            Ok(envelopes) => {
                let record = label.mark(Record::new("result")).with("envelopes", envelopes);
                self.print(&record, cx)
            }
            Err(error) => self.fail(&label, error, cx),
        }
    }

    fn handle(&mut self, event: Event, cx: &mut Context) -> Result<()> {
        match event {
            Event::Message { message, is_first, is_repeated } => {
                let record = repeated(message_record(&message, is_first), is_repeated);
                return self.print_text(&record, |_| text::message(&message), cx);
            }
            Event::Delivered(delivery) => {
                let known = self.envelopes.remove(&delivery.id);
                let ids = delivery.contents.messages().to_vec();
                for id in &ids {
                    let Some(label) = self.asked.remove(id).or_else(|| known.clone()) else {
                        continue;
                    };
                    let record = label.mark(sent_record(&delivery, &[*id], false, None));
                    self.print(&record, cx)?;
                }
            }
            Event::NotSent { contents, error, .. } => self.not_sent(&contents, &error, cx)?,
            Event::GivenUp(given_up) => {
                let label = given_up.message.and_then(|id| self.asked.remove(&id));
                let label = label.unwrap_or(Label { id: None, name: None });
                self.fail(&label, given_up_error(&given_up), cx)?;
            }
            Event::Acknowledged { peer, ids } => {
                for id in ids.into_iter().filter_map(|(_, id)| id) {
                    let record = Record::new("acknowledged")
                        .with("message_id", id.to_string())
                        .with("by", peer.to_string());
                    self.print(&record, cx)?;
                }
            }
            Event::Unread(unread) => cx.show(&unread_error(&unread, self.has_state)),
            Event::Network(event) => show_network(&event, cx),
            Event::TooMuchWork(error) => cx.note(&too_much_work(&error)),
            Event::History(HistoryEvent::Complete { envelopes }) => {
                self.history_done(Ok(envelopes), cx)?;
            }
            Event::History(HistoryEvent::Failed { error, .. }) => {
                let error = crate::mailserver::ask::client_error(&error);
                self.history_done(Err(error), cx)?;
            }
            Event::History(HistoryEvent::Refused(error)) => {
                let error = CliError::new(error.code, Exit::Network, error.message);
                self.history_done(Err(error), cx)?;
            }
            Event::History(event) => show_history(event, cx)?,
            Event::Moved(holder) => note_move(holder.as_ref(), cx),
            Event::Detached(error) => return Err(start_error(error)),
            Event::Broken(error) => return Err(chat_error(&error).into()),
            _ => {}
        }
        Ok(())
    }

    fn not_sent(
        &mut self,
        contents: &Contents,
        error: &SendFailure,
        cx: &mut Context,
    ) -> Result<()> {
        for id in contents.messages() {
            if let Some(label) = self.asked.remove(id) {
                self.fail(&label, send_error(error), cx)?;
            }
        }
        Ok(())
    }

    /// Prints an error as the result of a command. The tool goes on; the exit code tells of it.
    fn fail(&mut self, label: &Label, error: CliError, cx: &mut Context) -> Result<()> {
        cx.remember(error.exit);
        let members = error.to_json();
        let mut record = label.mark(Record::new("error"));
        for (name, value) in members.as_object().into_iter().flatten() {
            record = record.with(name, value.clone());
        }
        self.print_text(&record, |_| error.to_text(false), cx)
    }

    fn print(&mut self, record: &Record, cx: &Context) -> Result<()> {
        self.print_text(record, Record::to_text, cx)
    }

    /// Prints a record while the client goes on as far as it may.
    fn print_text(
        &mut self,
        record: &Record,
        text: impl FnOnce(&Record) -> String,
        cx: &Context,
    ) -> Result<()> {
        let bytes = cx.render(record, text)?;
        let (printer, is_kept) = (&mut self.printer, self.has_state);
        let printed = self.client.wait(async |client| {
            let work = async {
                match is_kept {
                    true => client.work().await,
                    // What is not printed would only be in memory.
                    false => std::future::pending().await,
                }
            };
            printer.print(bytes, work).await
        })?;
        // A signal ended the wait for a reader that does not read.
        if printed { Ok(()) } else { Err(Stop::Exit(Exit::Terminated)) }
    }
}

fn group_value(group: &Group) -> Value {
    let state = group.state();
    json!({
        "chat_id": group.chat_id(),
        "name": state.name,
        "members": state.members.to_vec(),
        "joined": state.joined.to_vec(),
        "admins": state.admins.to_vec(),
    })
}

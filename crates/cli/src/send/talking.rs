//! The part of `status-send` that has a state: sessions, data sync, acknowledgements.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_client::{Builder, Contents, Delivery, Event};
use statuskit_core::{
    chat::{Destination, messenger::GivenUp},
    crypto::{PublicKey, SecretKey},
    payload::{MessageId, PayloadMessage, group::Group, matching::Chat},
};

use crate::{
    context::Context,
    conversation::{given_up_error, repeated, unread_error},
    envelope::{MessageArgs, ToSeal, chat_text},
    error::{CliError, Exit, Result},
    group::history,
    keys::parse_public_key,
    output::Record,
    records::message_record,
    running::client_error,
    send::{SendArgs, Sender, queue::Outcome},
    state::StateArgs,
    text,
    time::parse_seconds,
};

/// The options of private conversations.
#[derive(Debug, Args)]
#[command(next_help_heading = "Conversations")]
pub struct TalkingArgs {
    /// Group: its id if the state knows it, or @FILE with the events that status-group prints, which
    /// are sent to its members first. Needs --state
    #[arg(long, value_name = "ID", conflicts_with = "recipient")]
    group: Option<String>,
    /// Send only the history of --group to its members, and to those who were removed. Reads no text.
    /// Use it after leaving a group
    #[arg(long, requires = "group", conflicts_with_all = ["text", "lines"])]
    announce: bool,
    /// Read payloads of any type from standard input, one per line, as status-payload prints them. Each
    /// is signed and sent with its own clock and chat id. Needs --state, and --to or --group
    #[arg(long, conflicts_with_all = ["text", "lines", "announce"])]
    payloads: bool,
    #[command(flatten)]
    state: StateArgs,
    /// Send each message once, without data sync
    #[arg(long)]
    no_data_sync: bool,
    /// Repeat messages until they are acknowledged, for at most this long after the last was read.
    /// Prints messages received meanwhile, as --lines does. Exit 4 if one is not acknowledged
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, conflicts_with = "no_data_sync")]
    wait_ack: Option<u32>,
}

impl TalkingArgs {
    /// Checks which options belong together. (clap drops a requirement that conflicts with another
    /// option.)
    pub fn check(&self) -> Result<()> {
        if self.announce && self.group.is_none() {
            return Err(CliError::usage("only groups have a history to announce")
                .field("--announce")
                .hint("--group ID, or --group @FILE")
                .into());
        }
        Ok(())
    }

    /// Whether another program uses the state.
    pub fn is_in_use(&self, message: &MessageArgs) -> Result<bool> {
        Ok(self.state.or_of_profile(&message.identity)?.is_in_use())
    }

    /// Sends through the program that holds the state, and its peers, what the state itself is not
    /// needed for.
    pub fn borrow_peers(&self, builder: Builder, message: &MessageArgs) -> Result<Builder> {
        let state = self.state.or_of_profile(&message.identity)?.shared()?;
        let builder = builder.sender(message.identity.require()?);
        Ok(match state {
            Some(state) => builder.state(state).acknowledge(false),
            None => builder,
        })
    }

    /// Whether there is nothing to be read.
    pub fn only_announces(&self) -> bool {
        self.announce
    }

    /// Whether what is read is payloads, and not texts.
    pub fn takes_payloads(&self) -> bool {
        self.payloads
    }

    /// A hint for empty input.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = "--announce sends a change without a text";
        self.group.as_ref().map(|_| hint)
    }
}

/// The conversation that messages are sent to.
pub struct Talking {
    chat: Chat,
    /// A history that the members are to be sent.
    news: Option<News>,
    wait: Option<Duration>,
    /// Whether what comes is printed.
    listens: bool,
    /// Until when acknowledgements are awaited; known once all input has been read.
    deadline: Option<Instant>,
    /// Messages of this run with their lines, 0 for none; others that the state holds are sent
    /// again, too.
    said: HashMap<MessageId, u64>,
    /// Who has not acknowledged what.
    unacknowledged: BTreeSet<(PublicKey, [u8; 32])>,
    /// Who has acknowledged what. An acknowledgement may come before a peer's confirmation.
    acknowledged: BTreeSet<(PublicKey, [u8; 32])>,
    me: PublicKey,
}

/// The group whose history is announced.
enum News {
    /// From a file.
    Given(Box<Group>),
    /// The state knows it.
    Known(String),
}

/// What a client needs for a conversation.
pub struct State {
    state: StateArgs,
    identity: SecretKey,
    data_sync: bool,
}

impl Talking {
    /// The conversation that the options name, if they name one with a state.
    pub fn new(args: &SendArgs, cx: &Context) -> Result<Option<(Self, State)>> {
        let TalkingArgs { group, announce, payloads, no_data_sync, wait_ack, .. } = &args.talking;
        let state = args.talking.state.or_of_profile(&args.message.identity)?;
        let to = &args.message.recipient.to;
        if *payloads && to.is_none() && group.is_none() {
            return Err(CliError::usage("the payloads need a recipient")
                .field("--payloads")
                .hint(
                    "--to KEY or --group ID; for a public chat: status-payload encode --identity \
                     FILE | status-envelope seal --chat NAME",
                )
                .into());
        }
        if state.state.is_none() {
            let needs = match (group, wait_ack) {
                (Some(_), _) => "--group",
                (None, Some(_)) => "--wait-ack",
                (None, None) if *payloads => "--payloads",
                (None, None) => return Ok(None),
            };
            return Err(CliError::usage("this needs a state")
                .field(needs)
                .hint("--state DIR")
                .into());
        }
        let (chat, news) = match (to, group) {
            (Some(text), _) => (Chat::OneToOne(parse_public_key(text, "--to")?), None),
            (None, Some(group)) => match group.strip_prefix('@') {
                Some(path) => {
                    let group = history::read_file(path, "--group")?;
                    let chat = Chat::Group(group.chat_id().to_owned());
                    (chat, Some(News::Given(Box::new(group))))
                }
                None => {
                    let news = announce.then(|| News::Known(group.clone()));
                    (Chat::Group(group.clone()), news)
                }
            },
            // For public chats and keys there is nothing to remember.
            (None, None) => return Ok(None),
        };
        for (given, option) in [
            (args.message.topic.is_some(), "--topic"),
            (args.message.padding.is_some(), "--padding"),
        ] {
            if given {
                let message = "the conversation decides about this itself";
                return Err(CliError::usage(message).field(option).into());
            }
        }
        let identity = args.message.identity.require()?;
        cx.warn_of_seed();
        let wait = wait_ack.map(|seconds| Duration::from_secs(seconds.into()));
        if wait.is_some() {
            // Acknowledgements are no bytes, nor are the messages that come meanwhile.
            cx.format().require_records()?;
        }
        // What comes is printed beside what is sent, as long as that is records.
        let listens = wait.is_some() || args.message.lines && cx.format().require_records().is_ok();
        let talking = Self {
            chat,
            listens,
            news,
            wait,
            deadline: None,
            said: HashMap::new(),
            unacknowledged: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            me: identity.public_key(),
        };
        Ok(Some((talking, State { state, identity, data_sync: !no_data_sync })))
    }

    /// What the client needs for it. It listens if acknowledgements are awaited, or lines are read.
    pub fn configure(&self, mut builder: Builder, state: State) -> Result<Builder> {
        let State { state, identity, data_sync } = state;
        if let Some(state) = state.shared()? {
            builder = builder.state(state);
        }
        let builder = builder.data_sync(data_sync);
        Ok(match self.listens {
            true => builder.identity(identity),
            false => builder.sender(identity).acknowledge(false),
        })
    }

    /// Whether it prints what comes.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// Until when acknowledgements are awaited; `None` while input is read, or if they aren't.
    pub fn deadline(&mut self, more: bool) -> Option<Instant> {
        let wait = self.wait?;
        if !more && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + wait);
        }
        self.deadline.filter(|at| Instant::now() < *at)
    }
}

impl Sender {
    /// Sends the history of a group before anything else.
    pub(super) fn announce(&mut self, cx: &mut Context) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let group = match talking.news.take() {
            None => return Ok(()),
            Some(News::Given(group)) => *group,
            Some(News::Known(id)) => {
                let group = self.client.wait(async |client| client.group(&id).await);
                group.map_err(|error| client_error(&error))?
            }
        };
        let sent = self.client.wait(async |client| client.announce_group(group).await);
        match sent.map_err(|error| client_error(&error))? {
            Some(id) => _ = talking.said.insert(id, 0),
            None => cx.note("nobody else is in the group: the history is sent to no one"),
        }
        Ok(())
    }

    /// Warns of members of the group who are not going to show a text.
    pub(super) fn warn_of_members(&mut self, cx: &Context) -> Result<()> {
        let Some(Talking { chat: Chat::Group(id), .. }) = &self.talking else { return Ok(()) };
        let id = id.clone();
        // If it is not known, the text fails.
        let group = self.client.wait(async |client| client.group(&id).await);
        let Ok(group) = group else { return Ok(()) };
        let (members, state) = (group.state().members.to_vec(), group.state());
        let waiting = members.iter().filter(|member| !state.may_write(member)).count();
        if waiting > 0 {
            cx.note(&format!(
                "{waiting} of {} members have not joined the group: their clients drop this text. \
                 Send it once they have joined; status-receive --state learns of that",
                members.len(),
            ));
        }
        Ok(())
    }

    /// Sends a text in the conversation.
    pub(super) fn say(&mut self, message: &ToSeal, line: u64) -> Result<()> {
        let ToSeal::Text(text) = message else {
            return Err(CliError::usage("a conversation takes texts").into());
        };
        let text = chat_text(text)?;
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let destination = match &talking.chat {
            Chat::OneToOne(key) => Destination::Person(*key),
            Chat::Group(id) => Destination::Group(id.clone()),
            Chat::Public(name) => Destination::public(name),
        };
        let id = self.client.wait(async |client| client.send_text(&destination, text).await);
        self.said(id, line)
    }

    /// Sends a payload in the conversation.
    pub(super) fn say_payload(&mut self, message: PayloadMessage, line: u64) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let chat = talking.chat.clone();
        let id = self.client.wait(async |client| client.send_payload(&chat, message).await);
        self.said(id, line)
    }

    fn said(
        &mut self,
        id: std::result::Result<MessageId, statuskit_client::ClientError>,
        line: u64,
    ) -> Result<()> {
        let id = id.map_err(|error| {
            let error = client_error(&error);
            if error.code == "chat.we_not_joined" {
                let hint = "status-group join; or --announce, to send a change without a text";
                error.hint(hint)
            } else {
                error
            }
        })?;
        if let Some(talking) = &mut self.talking {
            talking.said.insert(id, line);
        }
        self.queue.await_message(line);
        Ok(())
    }

    /// What each line of the input comes to in an envelope, and everything else in it.
    pub(super) fn lines_of(&self, messages: &[MessageId]) -> Vec<(u64, Vec<MessageId>)> {
        let (mut lines, mut others) = (Vec::new(), Vec::new());
        let said = self.talking.as_ref().map(|talking| &talking.said);
        for id in messages {
            match said.and_then(|said| said.get(id)) {
                Some(line) if *line > 0 => lines.push((*line, vec![*id])),
                _ => others.push(*id),
            }
        }
        if !others.is_empty() || lines.is_empty() {
            lines.push((0, others));
        }
        lines
    }

    /// An envelope of the conversation has its outcome.
    pub(super) fn posted(&mut self, delivery: &Delivery) {
        self.await_acknowledgement(&delivery.contents);
        let results = self.lines_of(delivery.contents.messages());
        for (at, (line, messages)) in results.into_iter().enumerate() {
            let delivery = Box::new(delivery.clone());
            self.queue.place(line, Outcome::Delivered { delivery, messages, has_raw: at == 0 });
        }
    }

    fn await_acknowledgement(&mut self, contents: &Contents) {
        let Contents::Post(post) = contents else { return };
        let Some(talking) = self.talking.as_mut().filter(|it| it.wait.is_some()) else { return };
        let Some(to) = post.to.filter(|to| *to != talking.me) else { return };
        for id in post.messages.iter().filter(|id| talking.said.contains_key(id)) {
            if !talking.acknowledged.contains(&(to, id.0)) {
                talking.unacknowledged.insert((to, id.0));
            }
        }
    }

    /// Nothing more is sent, and nothing is awaited.
    pub(super) fn stop_talking(&mut self) {
        self.queue.stop_waiting();
        if let Some(talking) = &mut self.talking {
            talking.unacknowledged.clear();
        }
    }

    pub(super) fn given_up(&mut self, given_up: &GivenUp) {
        let Some(talking) = &mut self.talking else { return };
        let (mut error, mut line) = (given_up_error(given_up), 0);
        if let Some(id) = given_up.message {
            talking.unacknowledged.remove(&(given_up.peer, id.0));
            line = talking.said.get(&id).copied().unwrap_or(0);
            if line > 0 {
                error = error.line(line);
            }
        }
        self.queue.place(line, Outcome::Failed(error));
    }

    /// Whether everything has been acknowledged, if that was asked for. What was not in time is
    /// reported.
    pub(super) fn is_acknowledged(&mut self, cx: &mut Context) -> Result<bool> {
        let Some(talking) = &mut self.talking else { return Ok(true) };
        if talking.unacknowledged.is_empty() {
            return Ok(true);
        }
        if talking.deadline(false).is_some() {
            return Ok(false);
        }
        for (peer, id) in std::mem::take(&mut talking.unacknowledged) {
            let id = MessageId(id);
            let message = format!("message {id} was not acknowledged by {peer} in the time given");
            let hint = "status-receive --state goes on repeating it";
            cx.report(CliError::new("send.unacknowledged", Exit::Network, message).hint(hint))?;
        }
        Ok(true)
    }

    /// Shows what comes while acknowledgements are awaited.
    pub(super) fn show_answer(&mut self, event: Event, cx: &mut Context) -> Result<()> {
        let Some(talking) = self.talking.as_mut().filter(|it| it.listens) else {
            return Ok(());
        };
        match event {
            Event::Acknowledged { peer, ids } => {
                for id in ids.into_iter().filter_map(|(_, id)| id) {
                    talking.acknowledged.insert((peer, id.0));
                    talking.unacknowledged.remove(&(peer, id.0));
                    let record = Record::new("acknowledged")
                        .with("message_id", id.to_string())
                        .with("by", peer.to_string());
                    cx.emit(&record, |_| format!("{id}  acknowledged by {peer}"))?;
                }
                Ok(())
            }
            Event::Message { message, is_first, is_repeated } => {
                let record = repeated(message_record(&message, is_first), is_repeated);
                cx.emit(&record, |_| text::message(&message))
            }
            Event::Unread(unread) => {
                cx.show(&unread_error(&unread, true));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

//! The part of `status-send` that has a state: sessions, data sync, acknowledgements.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    chat::{
        self, KeyRing,
        messenger::{self, GivenUp, Post},
    },
    crypto::PublicKey,
    envelope::{Bloom, Envelope, Topic},
    payload::{group::Group, matching::Chat, wrapper::MessageId},
    sync::TICK_MS,
};
use statuskit_net::node::{Config, Interest, Sent};

use crate::{
    context::Context,
    conversation::{Talk, given_up_error, post_members},
    envelope::{ToSeal, chat_text},
    error::{CliError, Exit, Result, Stop},
    group::history,
    keys::parse_public_key,
    output::Record,
    records::message_text,
    send::{SendArgs, Sender, at_line, is_of_one},
    state::StateArgs,
    time::parse_seconds,
};

/// The options of private conversations.
#[derive(Debug, Args)]
#[command(next_help_heading = "Conversations")]
pub struct TalkingArgs {
    /// Group: its id, if the state knows it, or @FILE with the events that status-group prints;
    /// its members are told of these first. Needs --state
    #[arg(long, value_name = "ID", conflicts_with = "recipient")]
    group: Option<String>,
    /// Only tell the members of --group of its history, and those who were removed; no text is
    /// read. This is how one says that one has left
    #[arg(long, requires = "group", conflicts_with_all = ["text", "lines"])]
    announce: bool,
    /// Standard input has payloads of any type, such as status-payload prints, one a line: each is
    /// signed, and sent with the clock and the chat id that it has. Needs --state, and --to or
    /// --group
    #[arg(long, conflicts_with_all = ["text", "lines", "announce"])]
    payloads: bool,
    #[command(flatten)]
    state: StateArgs,
    /// Send each message once, without asking for an acknowledgement
    #[arg(long)]
    no_data_sync: bool,
    /// Repeat messages until they are acknowledged, at most this long after the last was read;
    /// messages that come meanwhile are printed. Exit 4 if one is not acknowledged
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, conflicts_with = "no_data_sync")]
    wait_ack: Option<u32>,
}

impl TalkingArgs {
    /// What belongs together. (An option that is required is not, for clap, if it conflicts with
    /// another that is there.)
    pub fn check(&self) -> Result<()> {
        if self.announce && self.group.is_none() {
            return Err(CliError::usage("only groups have a history to tell of")
                .field("--announce")
                .hint("--group ID, or --group @FILE")
                .into());
        }
        Ok(())
    }

    /// Whether there is nothing to be read.
    pub fn only_announces(&self) -> bool {
        self.announce
    }

    /// Whether what is read is payloads, and not texts.
    pub fn takes_payloads(&self) -> bool {
        self.payloads
    }

    /// What to try if nothing was read.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = "--announce tells the members of a change without a text";
        self.group.as_ref().map(|_| hint)
    }
}

/// How often data sync has its turn.
const TICK: Duration = Duration::from_millis(TICK_MS);

/// A conversation in which something is said.
pub struct Talking {
    talk: Talk,
    chat: Chat,
    /// A history that the members are to be told of.
    news: Option<Group>,
    ring: KeyRing,
    topics: HashSet<Topic>,
    wait: Option<Duration>,
    /// Until when acknowledgements are waited for; known once all input has been read.
    deadline: Option<Instant>,
    /// Messages that were not sent yet.
    unsent: HashSet<MessageId>,
    /// Messages of this run with their lines, 0 for none; others that the state holds are sent
    /// again, too.
    said: HashMap<MessageId, u64>,
    /// Who has not acknowledged what.
    unacknowledged: BTreeSet<(PublicKey, [u8; 32])>,
    tick: Instant,
}

impl Talking {
    /// The conversation that the options name, if they name one with a state.
    pub fn new(args: &SendArgs, cx: &Context) -> Result<Option<Self>> {
        let TalkingArgs { group, announce, payloads, state, no_data_sync, wait_ack } =
            &args.talking;
        let to = &args.message.recipient.to;
        if *payloads && to.is_none() && group.is_none() {
            return Err(CliError::usage("the payloads need somebody to go to")
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
            return Err(CliError::usage("this needs to remember something")
                .field(needs)
                .hint("--state DIR")
                .into());
        }
        let (chat, news) = match (to, group) {
            (Some(text), _) => (Chat::OneToOne(parse_public_key(text, "--to")?), None),
            (None, Some(group)) => match group.strip_prefix('@') {
                Some(path) => {
                    let group = history::read_file(path, "--group")?;
                    (Chat::Group(group.chat_id().to_owned()), Some(group))
                }
                None => (Chat::Group(group.clone()), None),
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
        let mut talk = Talk::new(state, None, identity.clone(), cx)?;
        let news = match (news, &chat) {
            (None, Chat::Group(id)) if *announce => Some(talk.group(id)?),
            (news, _) => news,
        };
        talk.set_data_sync(!no_data_sync);
        let wait = wait_ack.map(|seconds| Duration::from_secs(seconds.into()));
        if wait.is_some() {
            // Acknowledgements are no bytes, nor are the messages that come meanwhile.
            cx.format().require_records()?;
        }
        let mut ring = KeyRing::new();
        let mut topics = HashSet::new();
        if wait.is_some() {
            ring.add_identity(identity);
            talk.listen(&mut ring)?;
            topics.extend(talk.topics());
        }
        Ok(Some(Self {
            talk,
            chat,
            news,
            ring,
            topics,
            wait,
            deadline: None,
            unsent: HashSet::new(),
            said: HashMap::new(),
            unacknowledged: BTreeSet::new(),
            tick: Instant::now(),
        }))
    }

    /// What the node listens to, if acknowledgements are waited for.
    pub fn configure(&self, config: &mut Config) {
        if self.wait.is_some() {
            config.bloom = Some(Bloom::from_topics(self.topics.iter().copied()));
            config.interest = Interest::Topics(self.topics.clone());
        }
    }
}

impl Sender<'_> {
    /// What is to be said before anything else.
    pub(super) fn begin_talking(&mut self, cx: &mut Context) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let Some(group) = talking.news.take() else { return Ok(()) };
        let (_, sent) = talking.talk.announce(group, cx.now_ms())?;
        if sent.recipients == 0 {
            cx.note("nobody else is in the group: there is nobody to tell");
            return Ok(());
        }
        talking.unsent.insert(sent.id);
        talking.said.insert(sent.id, 0);
        self.send_posts(sent.posts, cx)
    }

    /// Says something in the conversation.
    pub(super) fn say(&mut self, message: &ToSeal, line: u64, cx: &mut Context) -> Result<()> {
        let ToSeal::Text(text) = message else {
            return Err(CliError::usage("a conversation takes texts").line(line).into());
        };
        let text = chat_text(text).map_err(|error| error.line(line))?;
        self.tell(line, cx, |talk, chat, now_ms| talk.say(chat, text, now_ms))
    }

    /// Sends something in the conversation.
    pub(super) fn tell(
        &mut self,
        line: u64,
        cx: &mut Context,
        send: impl FnOnce(&mut Talk, &Chat, u64) -> Result<messenger::Sent>,
    ) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let sent = send(&mut talking.talk, &talking.chat, cx.now_ms());
        let sent = sent.map_err(|stop| match at_line(stop, line) {
            Stop::Error(error) if error.code == "chat.we_not_joined" => {
                let hint = "status-group join; or --announce, to tell of a change without a text";
                error.hint(hint).into()
            }
            other => other,
        })?;
        talking.unsent.insert(sent.id);
        talking.said.insert(sent.id, line);
        self.queue.wait(line);
        self.send_posts(sent.posts, cx)
    }

    /// Data sync has its turn.
    pub(super) fn turn(&mut self, cx: &mut Context) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        talking.tick = Instant::now();
        let ticked = match talking.talk.tick(cx.now_ms()) {
            Ok(ticked) => ticked,
            // The next turn would fail as well.
            Err(stop) => {
                self.is_closed = true;
                self.stop_talking();
                return Err(stop);
            }
        };
        for given_up in &ticked.given_up {
            self.give_up_on(given_up);
        }
        self.send_posts(ticked.posts, cx)
    }

    /// Nothing more is said, and nothing is waited for.
    fn stop_talking(&mut self) {
        self.queue.stop_waiting();
        if let Some(talking) = &mut self.talking {
            talking.unsent.clear();
            talking.unacknowledged.clear();
        }
    }

    fn give_up_on(&mut self, given_up: &GivenUp) {
        let Some(talking) = &mut self.talking else { return };
        let mut error = given_up_error(given_up);
        if let Some(id) = given_up.message {
            talking.unsent.remove(&id);
            talking.unacknowledged.remove(&(given_up.peer, id.0));
            if let Some(line) = talking.said.get(&id).filter(|line| **line > 0) {
                error = error.line(*line);
            }
        }
        self.queue.place_error(error);
    }

    fn send_posts(&mut self, posts: Vec<Post>, cx: &mut Context) -> Result<()> {
        for post in posts {
            let Some(talking) = &mut self.talking else { return Ok(()) };
            // What each line of the input comes to, and everything else that goes with it.
            let mut results: Vec<(u64, Vec<MessageId>)> = Vec::new();
            let mut others = Vec::new();
            for id in &post.messages {
                talking.unsent.remove(id);
                match talking.said.get(id) {
                    Some(line) if *line > 0 => results.push((*line, vec![*id])),
                    _ => others.push(*id),
                }
            }
            if !others.is_empty() || results.is_empty() {
                results.push((0, others));
            }
            let me = *talking.talk.messenger().me();
            if let Some(to) = post.to.filter(|to| talking.wait.is_some() && *to != me) {
                let said = post.messages.iter().filter(|id| talking.said.contains_key(id));
                talking.unacknowledged.extend(said.map(|id| (to, id.0)));
            }
            match self.send_post(&post, cx) {
                Ok((envelope, sent)) => {
                    let envelope = Rc::new(envelope);
                    for (at, (line, ids)) in results.iter().enumerate() {
                        let about = post_members(Record::new("sent"), &post, ids);
                        let (envelope, sent) = (envelope.clone(), sent.clone());
                        let mut pending = self.pending(envelope, sent, about, *line);
                        pending.shows_raw = at == 0;
                        self.queue.place(pending);
                    }
                }
                // What is wrong with one does not keep the others back.
                Err(Stop::Error(error)) if is_of_one(&error) => {
                    self.is_closed |= cx.fails_fast();
                    for (line, _) in results {
                        let error = error.clone();
                        let error = if line > 0 { error.line(line) } else { error };
                        self.queue.place_error(error);
                    }
                }
                Err(stop) => {
                    self.stop_talking();
                    return Err(stop);
                }
            }
        }
        Ok(())
    }

    /// Seals, mines and sends.
    fn send_post(&mut self, post: &Post, cx: &mut Context) -> Result<(Envelope, Sent)> {
        let ttl = self.args.message.ttl.unwrap_or(chat::TTL);
        let sealed = match &mut self.talking {
            Some(talking) => {
                let sealed = talking.talk.seal_only(post, ttl, cx)?;
                if talking.wait.is_some() {
                    let Talking { talk, ring, topics, .. } = talking;
                    talk.follow(post.answer.clone(), ring, Some(topics), self.network);
                }
                sealed
            }
            None => return Err(CliError::usage("there is no conversation").into()),
        };
        let mined = self.mine(&sealed, cx)?;
        let sent = self.hand_over(&mined)?;
        Ok((mined, sent))
    }

    /// When data sync has to have its turn.
    pub(super) fn next_turn(&mut self, more: bool) -> Result<Option<Instant>> {
        let Some(talking) = &mut self.talking else { return Ok(None) };
        if !more && talking.deadline.is_none() {
            talking.deadline = Some(Instant::now() + talking.wait.unwrap_or_default());
        }
        let is_busy =
            !talking.unsent.is_empty() || talking.wait.is_some() && talking.talk.is_busy()?;
        let tick = is_busy.then(|| talking.tick + TICK);
        Ok(match (tick, talking.deadline) {
            (Some(tick), Some(deadline)) if talking.wait.is_some() => Some(tick.min(deadline)),
            (None, deadline) if talking.wait.is_some() => deadline,
            (tick, _) => tick,
        })
    }

    /// Whether everything has been said and, if that was asked for, acknowledged. What was not in
    /// time is reported.
    pub(super) fn is_said(&mut self, cx: &mut Context) -> Result<bool> {
        let Some(talking) = &mut self.talking else { return Ok(true) };
        if !talking.unsent.is_empty() {
            return Ok(false);
        }
        if talking.unacknowledged.is_empty() {
            return Ok(true);
        }
        if talking.deadline.is_none_or(|deadline| Instant::now() < deadline) {
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

    /// Takes what comes while acknowledgements are waited for.
    pub(super) fn hear(&mut self, envelope: &Envelope, cx: &mut Context) -> Result<()> {
        let Some(talking) = &mut self.talking else { return Ok(()) };
        let Talking { talk, ring, topics, unacknowledged, .. } = talking;
        let Ok(opened) = ring.open(envelope) else { return Ok(()) };
        let (heard, new) = talk.take(envelope, &opened, cx.now_ms())?;
        talk.follow(new, ring, Some(topics), self.network);
        for post in &heard.posts {
            talk.send_off(post, self.network, &self.peers, cx)?;
        }
        for (peer, id) in heard.acknowledged {
            unacknowledged.remove(&(peer, id.0));
            let record = Record::new("acknowledged")
                .with("message_id", id.to_string())
                .with("by", peer.to_string());
            cx.emit(&record, |_| format!("{id}  acknowledged by {peer}"))?;
        }
        for error in &heard.errors {
            cx.show(error);
        }
        for record in &heard.records {
            cx.emit(record, message_text)?;
        }
        Ok(())
    }
}

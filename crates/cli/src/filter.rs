//! Which messages are printed, and in which order: for receive, query and open.

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use clap_complete::engine::ArgValueCandidates;
use statuskit_core::{
    chat::ReceivedMessage,
    crypto::PublicKey,
    payload::{
        clock,
        types::{TYPES, type_name},
    },
    time::UnixSeconds,
};

use crate::{
    config,
    context::Context,
    error::{CliError, Exit, Result},
    keys::parse_public_key,
    records::message_record,
    text,
};

/// Which messages are wanted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Only messages of this type, such as chat_message; "text" and "bytes" for those of other
    /// programs. Repeatable
    #[arg(long = "type", value_name = "TYPE", value_parser = types())]
    kinds: Vec<String>,
    /// Only messages by the owner of this key, or by this contact. Repeatable
    #[arg(long, value_name = "KEY", add = ArgValueCandidates::new(config::contact_names))]
    from_key: Vec<String>,
    /// Only messages whose text contains this, in small or capital letters
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// Only answers to the message with this id
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Only messages whose author claims this ENS name
    #[arg(long, value_name = "NAME")]
    ens_name: Option<String>,
    /// The order of messages: as they arrive, or sorted at the end. Messages of one second come in the
    /// order of their clocks
    #[arg(long, value_enum, value_name = "ORDER", default_value = "arrival")]
    sort: Sort,
}

/// The orders of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// As they come
    #[default]
    Arrival,
    /// By the time of their envelopes
    Sent,
    /// By their clocks, as clients do
    Clock,
}

fn types() -> PossibleValuesParser {
    PossibleValuesParser::new(TYPES.iter().map(|kind| kind.name).chain(["text", "bytes"]))
}

/// What the options mean.
pub struct Filter {
    kinds: Vec<String>,
    authors: Vec<PublicKey>,
    contains: Option<String>,
    /// In the form of records.
    reply_to: Option<String>,
    ens_name: Option<String>,
    since: Option<UnixSeconds>,
    until: Option<UnixSeconds>,
}

impl FilterArgs {
    /// Reads the options. `since` and `until` are inclusive.
    pub fn filter(&self, since: Option<UnixSeconds>, until: Option<UnixSeconds>) -> Result<Filter> {
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            let message = format!("the range of time goes down, from {since} to {until}");
            return Err(CliError::usage(message).field("--since").into());
        }
        let authors = self.from_key.iter().map(|text| parse_public_key(text, "--from-key"));
        let reply_to = self.reply_to.as_deref().map(|text| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Ok(format!("0x{}", digits.to_ascii_lowercase()));
            }
            Err(CliError::usage("not the id of a message")
                .field("--reply-to")
                .hint("0x and 64 hex digits: the member message_id of records"))
        });
        Ok(Filter {
            kinds: self.kinds.clone(),
            authors: authors.collect::<Result<_>>()?,
            contains: self.contains.as_ref().map(|text| text.to_lowercase()),
            reply_to: reply_to.transpose()?,
            ens_name: self.ens_name.as_ref().map(|name| name.to_lowercase()),
            since,
            until,
        })
    }

    /// Returns what prints the messages in their order.
    pub fn printer(&self) -> Printer {
        Printer(self.order())
    }

    /// Returns what puts the messages in their order.
    pub fn order<T>(&self) -> Order<T> {
        Order { sort: self.sort, held: Vec::new(), next: 0 }
    }

    /// Returns the option that asks for messages. `None` if envelopes do as well.
    pub fn first_option(&self) -> Option<&'static str> {
        let given = [
            ("--type", !self.kinds.is_empty()),
            ("--from-key", !self.from_key.is_empty()),
            ("--contains", self.contains.is_some()),
            ("--reply-to", self.reply_to.is_some()),
            ("--ens-name", self.ens_name.is_some()),
            ("--sort", self.sort != Sort::Arrival),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }
}

impl Filter {
    /// Returns whether a message is wanted.
    pub fn passes(&self, message: &ReceivedMessage) -> bool {
        let chat = message.payload().and_then(|payload| payload.chat_message());
        self.passes_time(message.sent())
            && (self.kinds.is_empty() || self.kinds.contains(&kind_of(message)))
            && (self.authors.is_empty()
                || message.author().is_some_and(|author| self.authors.contains(author)))
            && self.contains.as_ref().is_none_or(|wanted| {
                message.text().is_some_and(|text| text.to_lowercase().contains(wanted))
            })
            && self.reply_to.as_ref().is_none_or(|wanted| {
                chat.is_some_and(|chat| chat.response_to.to_ascii_lowercase() == *wanted)
            })
            && self.ens_name.as_ref().is_none_or(|wanted| {
                chat.is_some_and(|chat| chat.ens_name.to_lowercase() == *wanted)
            })
    }

    /// Returns whether an envelope that no key opened is wanted: it has a time, and nothing else.
    pub fn passes_closed(&self, sent: UnixSeconds) -> bool {
        let asks = !self.kinds.is_empty()
            || !self.authors.is_empty()
            || self.contains.is_some()
            || self.reply_to.is_some()
            || self.ens_name.is_some();
        !asks && self.passes_time(sent)
    }

    fn passes_time(&self, sent: UnixSeconds) -> bool {
        self.since.is_none_or(|since| sent >= since) && self.until.is_none_or(|until| sent <= until)
    }
}

fn kind_of(message: &ReceivedMessage) -> String {
    match (message.wrapper(), message.text()) {
        (Some(wrapper), _) => type_name(wrapper.kind()),
        (None, Some(_)) => "text".to_owned(),
        (None, None) => "bytes".to_owned(),
    }
}

/// The most messages that are sorted.
const MAX_HELD: usize = 100_000;

/// The most bytes of messages that are sorted.
const MAX_HELD_BYTES: usize = 256 << 20;

/// Prints messages in their order.
pub struct Printer(Order<()>);

/// Puts messages in their order. It holds the messages of one second, or all of them.
pub struct Order<T> {
    sort: Sort,
    held: Vec<Held<T>>,
    /// Numbers the messages as they arrive.
    next: u64,
}

/// A message that waits for those before it.
pub struct Held<T> {
    sent: UnixSeconds,
    clock: u64,
    arrival: u64,
    bytes: usize,
    /// The message.
    pub message: ReceivedMessage,
    /// Whether it is the first of its envelope.
    pub is_first: bool,
    /// What else belongs to it.
    pub with: T,
}

impl Printer {
    /// Takes a message, and prints those before it if they are complete.
    pub fn push(
        &mut self,
        message: ReceivedMessage,
        is_first: bool,
        cx: &mut Context,
    ) -> Result<()> {
        let complete = self.0.push(message, is_first, ())?;
        emit(complete, cx)
    }

    /// Prints what is complete when nothing more is there for now.
    pub fn pause(&mut self, cx: &mut Context) -> Result<()> {
        emit(self.0.pause(), cx)
    }

    /// Prints all that is held, at the end.
    pub fn print(&mut self, cx: &mut Context) -> Result<()> {
        emit(self.0.finish(), cx)
    }
}

fn emit(messages: Vec<Held<()>>, cx: &mut Context) -> Result<()> {
    for Held { message, is_first, .. } in messages {
        cx.emit(&message_record(&message, is_first), |_| text::message(&message))?;
    }
    Ok(())
}

impl<T> Order<T> {
    /// Takes a message. Returns those before it if they are complete.
    pub fn push(
        &mut self,
        message: ReceivedMessage,
        is_first: bool,
        with: T,
    ) -> Result<Vec<Held<T>>> {
        let sent = message.sent();
        let is_later = self.held.last().is_some_and(|last| last.sent != sent);
        let mut complete = Vec::new();
        if self.sort == Sort::Arrival && is_later {
            complete = self.finish();
        }
        let clock = match message.payload().map_or(0, clock::of) {
            // Other programs have none.
            0 => u64::from(sent) * 1000,
            clock => clock,
        };
        let bytes = message.envelope().size();
        self.next += 1;
        self.held.push(Held { sent, clock, arrival: self.next, bytes, message, is_first, with });
        if self.held.len() > MAX_HELD || self.bytes() > MAX_HELD_BYTES {
            if self.sort == Sort::Arrival {
                complete.extend(self.finish());
                return Ok(complete);
            }
            let message = "more messages than can be sorted";
            return Err(CliError::new("sort.too_many", Exit::Local, message)
                .field("--sort")
                .hint("a shorter time with --since and --until, or --sort arrival")
                .into());
        }
        Ok(complete)
    }

    /// Whether something is held that a pause would complete.
    pub fn is_pausing(&self) -> bool {
        self.sort == Sort::Arrival && !self.held.is_empty()
    }

    /// Returns what is complete when nothing more is there for now.
    pub fn pause(&mut self) -> Vec<Held<T>> {
        if self.sort == Sort::Arrival { self.finish() } else { Vec::new() }
    }

    /// Returns all that is held, at the end.
    pub fn finish(&mut self) -> Vec<Held<T>> {
        let mut held = std::mem::take(&mut self.held);
        match self.sort {
            // All of them are of one second.
            Sort::Arrival | Sort::Clock => held.sort_by_key(|it| (it.clock, it.arrival)),
            Sort::Sent => held.sort_by_key(|it| (it.sent, it.clock, it.arrival)),
        }
        held
    }

    fn bytes(&self) -> usize {
        self.held.iter().map(|it| it.bytes).sum()
    }
}

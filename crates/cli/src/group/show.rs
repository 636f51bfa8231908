//! `status-group replay`, `verify`, `show` and `update`.

use clap::Args;
use statuskit_core::payload::{
    PayloadMessage, Wrapper,
    chat::{self, MessageType},
    check,
    group::{Group, GroupEvent, Replayed, replay},
    proto::MembershipUpdateMessage,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    group::{
        history::{History, HistoryArgs},
        record,
    },
    keys::IdentityArgs,
    output::Record,
    payload, text,
};

/// Replay histories event by event, and print the result; exit 1 if an event is refused
///
/// Refused events are skipped. A client would refuse the whole history.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group replay --output text
  $ status-group new --identity me.key --name team > events.json; status-group replay --events events.json")]
pub struct ReplayCommand {
    #[command(flatten)]
    history: HistoryArgs,
    /// Print accepted events only, which make a valid history
    #[arg(long)]
    accepted_only: bool,
}

impl ReplayCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for history in self.history.read_all(cx)? {
            let chat_id = history.chat_id.clone();
            let replayed = replayed(history);
            for (event, done) in &replayed.events {
                if done.is_ok() || !self.accepted_only {
                    let record = record::from_replayed(&chat_id, event, *done);
                    cx.collect(&record, record::event_text)?;
                }
            }
            cx.collect(&group_record(&chat_id, &replayed), record::group_text)?;
            if let Err(error) = &replayed.verdict {
                cx.report(CliError::new(error.code(), Exit::Negative, error.to_string()))?;
            }
        }
        cx.flush()
    }
}

fn replayed(history: History) -> Replayed {
    replay(&history.chat_id, history.events)
}

/// Returns the record of the state, with the accepted events.
fn group_record(chat_id: &str, replayed: &Replayed) -> Record {
    let accepted = replayed.events.iter().filter(|(_, done)| done.is_ok());
    let update = MembershipUpdateMessage {
        chat_id: chat_id.to_owned(),
        events: accepted.map(|(event, _)| event.raw().to_vec()).collect(),
        chat_entity: None,
    };
    record::from_group(&replayed.state, &update)
}

/// Print the name and the members of groups; exit 1 if a history is refused
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group show --output text
  $ status-group new --identity me.key --name team | status-group show | status-group show")]
pub struct ShowCommand {
    #[command(flatten)]
    history: HistoryArgs,
}

impl ShowCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for history in self.history.read_all(cx)? {
            let chat_id = history.chat_id.clone();
            let replayed = replayed(history);
            cx.emit(&group_record(&chat_id, &replayed), record::group_text)?;
            if let Err(error) = &replayed.verdict {
                cx.report(CliError::new(error.code(), Exit::Negative, error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Check whether a client would accept histories, including their clocks; exit 1 if not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group verify
  $ ! status-group new --identity me.key --name team --now 1585500000 | status-group verify --now 1585499000")]
pub struct VerifyCommand {
    #[command(flatten)]
    history: HistoryArgs,
}

impl VerifyCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for history in self.history.read_all(cx)? {
            let now_ms = cx.now_ms();
            let clocks = check::first_failure(&check::event_clocks(
                history.events.iter().map(GroupEvent::clock),
                now_ms,
            ));
            let (chat_id, count) = (history.chat_id.clone(), history.events.len());
            let update = MembershipUpdateMessage {
                chat_id: chat_id.clone(),
                events: history.events.iter().map(|event| event.raw().to_vec()).collect(),
                chat_entity: None,
            };
            let built = Group::build(&chat_id, history.events).map(|_| ());
            let verdict = match (clocks, built) {
                (Err(rejection), _) => Err((rejection.code(), rejection.to_string())),
                (Ok(()), Err(error)) => Err((error.code(), error.to_string())),
                (Ok(()), Ok(())) => Ok(()),
            };
            let record = Record::new("verification")
                .with("chat_id", chat_id.as_str())
                .with("events", count)
                .with("valid", verdict.is_ok())
                .with_some("code", verdict.as_ref().err().map(|(code, _)| *code))
                .with_some("reason", verdict.as_ref().err().map(|(_, reason)| reason.as_str()))
                .with_raw(&PayloadMessage::from(update).encode());
            cx.emit(&record, |_| match &verdict {
                Ok(()) => format!("valid: {}", text::count(count as u64, "event")),
                Err((_, reason)) => format!("NOT VALID: {reason}"),
            })?;
            if let Err((code, reason)) = verdict {
                cx.report(CliError::new(code, Exit::Negative, reason))?;
            }
        }
        Ok(())
    }
}

/// Encode the payload that every member must receive, signed with --identity, optionally with a
/// message
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group update --text hi --identity me.key | status-payload check")]
pub struct UpdateCommand {
    #[command(flatten)]
    history: HistoryArgs,
    /// Text of a message to the group
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Last clock of the chat in milliseconds, if messages have advanced it beyond the events
    #[arg(long, value_name = "CLOCK", default_value_t = 0)]
    last_clock: u64,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl UpdateCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let key = self.identity.require()?;
        let group = self.history.read_group(cx)?;
        let message = self.text.as_ref().map(|text| {
            let last_clock = group.last_clock().max(self.last_clock);
            chat::text(MessageType::PrivateGroup, group.chat_id(), text, cx.now_ms(), last_clock)
        });
        if message.is_some() && !group.state().may_write(&key.public_key().to_string()) {
            let message = "you have not joined the group: no member would show the message";
            let error = CliError::new("chat.author_not_joined", Exit::Negative, message);
            return Err(error.hint("status-group join --identity FILE").into());
        }
        let update = PayloadMessage::from(group.update(message));
        let wrapper = Wrapper::sign(update.number(), update.encode(), &key);
        cx.emit(&payload::record::from_wrapper(&wrapper), Record::to_text)
    }
}

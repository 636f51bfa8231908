//! Reading histories from standard input or a file.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Map, Value};
use statuskit_core::{
    payload::{
        PayloadMessage, Wrapper,
        group::{EventError, Group, GroupEvent, MAX_RECEIVED},
        proto::MembershipUpdateMessage,
        schema::MEMBERSHIP_UPDATE_MESSAGE,
        types::Type,
    },
    protobuf::json,
    reader::Wants,
};

use crate::{
    context::Context,
    empty_input,
    error::{CliError, Exit, Result, Stop},
    input::{Content, Item, Items, stdin_items},
    payload::{payload_error, record::payload_members},
    records::hex_member,
    text::count,
};

/// The source of a history.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// File with the history [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Id of the group, if the input has several
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,
}

/// The events of a group in the order of the input, each once.
#[derive(Debug)]
pub struct History {
    /// Its chat id.
    pub chat_id: String,
    /// Its events.
    pub events: Vec<GroupEvent>,
    seen: HashSet<Vec<u8>>,
}

impl HistoryArgs {
    /// Reads the histories of all groups, or of the selected one.
    pub fn read_all(&self, cx: &mut Context) -> Result<Vec<History>> {
        let mut histories = Vec::new();
        let any = match &self.events {
            None => read(stdin_items(wanted(), false), &mut histories, cx)?,
            Some(path) => {
                let file = File::open(path).map_err(|error| {
                    let message =
                        format!("can't read the history from {}: {error}", path.display());
                    CliError::new("file.read", Exit::Local, message).field("--events")
                })?;
                read(Items::new(BufReader::new(file)).wanting(wanted()), &mut histories, cx)?
            }
        };
        if let Some(wanted) = &self.group {
            histories.retain(|history| history.chat_id == *wanted);
        }
        match (histories.is_empty(), any) {
            (false, _) => Ok(histories),
            (true, false) => Err(empty_input("the history of a group")),
            (true, true) => {
                let message = match &self.group {
                    Some(id) => format!("no events of the group {id}"),
                    None => "no events of a group".to_owned(),
                };
                Err(CliError::new("group.empty", Exit::Negative, message)
                    .hint("status-group new --identity FILE --name NAME")
                    .into())
            }
        }
    }

    /// Reads the group to change. Its history must be valid.
    pub fn read_group(&self, cx: &mut Context) -> Result<Group> {
        let mut histories = self.read_all(cx)?;
        if histories.len() > 1 {
            let message = format!("histories of {}", count(histories.len() as u64, "group"));
            return Err(CliError::usage(message)
                .field("--group")
                .hint("--group ID takes one")
                .into());
        }
        let Some(history) = histories.pop() else { return Err(empty_input("a history")) };
        Ok(history.group()?)
    }
}

impl History {
    fn group(self) -> std::result::Result<Group, CliError> {
        Group::gather(&self.chat_id, self.events).map_err(|error| {
            CliError::new(error.code(), Exit::Negative, error.to_string())
                .hint("status-group replay shows which events are refused")
        })
    }
}

/// Reads the group in the file of an option, in any form that these commands read.
///
/// Since the history is sent to others, a malformed record is an error.
pub fn read_file(path: &str, field: &str) -> Result<Group> {
    let read = || -> Result<Group> {
        let file = File::open(path).map_err(|error| {
            CliError::new("file.read", Exit::Local, format!("can't read {path}: {error}"))
        })?;
        let (mut items, mut histories) =
            (Items::new(BufReader::new(file)).wanting(wanted()), Vec::new());
        while let Some(item) = items.next()? {
            add_numbered(&item?, &mut histories)?;
        }
        let (Some(history), true) = (histories.pop(), histories.is_empty()) else {
            let message = format!("{path} must hold the events of one group");
            return Err(CliError::new("group.history", Exit::Malformed, message)
                .hint("status-group new, and its other commands, write such a file")
                .into());
        };
        Ok(history.group()?)
    };
    read().map_err(|stop| match stop {
        Stop::Error(error) if error.field.is_none() => error.field(field).into(),
        other => other,
    })
}

/// What is looked for: a wrapper with an update, or an update alone.
fn wanted() -> Wants {
    Wants::whole(|bytes| update_of_bytes(bytes).is_ok_and(|update| !update.events.is_empty()))
}

fn read<R: BufRead>(
    mut items: Items<R>,
    histories: &mut Vec<History>,
    cx: &mut Context,
) -> Result<bool> {
    let mut any = false;
    while let Some(item) = items.next()? {
        any = true;
        let added = match item {
            // Messages of other kinds come with those of the group.
            Ok(item) if is_other_payload(&item) => continue,
            item => item.and_then(|item| {
                cx.note_taken(&item);
                add_numbered(&item, histories)
            }),
        };
        if let Err(error) = added {
            cx.report(error)?;
        }
    }
    Ok(any)
}

/// Whether a record is a message without events of a group: what `status-receive` prints beside.
fn is_other_payload(item: &Item) -> bool {
    const TYPES: [&str; 5] = ["bundle", "acknowledged", "repeated", "empty", "note"];
    let Content::Record(members) = &item.content else { return false };
    let kind = |members: &Map<String, Value>| {
        members.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_message = kind(members) == "message";
    let inner = kind(payload_members(members));
    is_message && inner != "membership_update_message" || TYPES.contains(&kind(members).as_str())
}

/// Adds the events of a record. An error has the number of its line.
fn add_numbered(item: &Item, histories: &mut Vec<History>) -> std::result::Result<(), CliError> {
    add_item(item, histories)
        .map_err(|error| if error.line.is_some() { error } else { error.line(item.line) })
}

/// Adds the events of a record.
fn add_item(item: &Item, histories: &mut Vec<History>) -> std::result::Result<(), CliError> {
    let members = match &item.content {
        Content::Bytes(bytes) => return add_update(&update_of_bytes(bytes)?, histories),
        Content::Record(members) => payload_members(members),
    };
    match members.get("type").and_then(Value::as_str) {
        Some("group_event") => {
            let chat_id = members.get("chat_id").and_then(Value::as_str).unwrap_or_default();
            add_event(chat_id, &hex_member(members, "raw")?, histories)
        }
        Some("group") => {
            let bytes = hex_member(members, "raw")?;
            add_update(&update_of_payload(&bytes)?, histories)
        }
        // Of tools that show no members, such as a broken update.
        Some("bytes") => add_update(&update_of_bytes(&hex_member(members, "raw")?)?, histories),
        Some("membership_update_message") => add_update(&update_of_members(members)?, histories),
        kind => {
            let kind = kind.unwrap_or("(none)");
            let message = format!("a record of type {kind} has no events of a group");
            Err(CliError::new("record.member", Exit::Malformed, message).field("type"))
        }
    }
}

/// Decodes a wrapper with an update, or an update alone.
fn update_of_bytes(bytes: &[u8]) -> std::result::Result<MembershipUpdateMessage, CliError> {
    match Wrapper::decode(bytes) {
        Ok(wrapper) if wrapper.kind() == MEMBERSHIP_UPDATE => update_of_payload(wrapper.payload()),
        _ => update_of_payload(bytes),
    }
}

/// The type of payloads that carry updates.
const MEMBERSHIP_UPDATE: i32 = Type::MembershipUpdateMessage as i32;

fn update_of_payload(bytes: &[u8]) -> std::result::Result<MembershipUpdateMessage, CliError> {
    match PayloadMessage::decode(MEMBERSHIP_UPDATE, bytes).map_err(|error| payload_error(&error))? {
        PayloadMessage::MembershipUpdateMessage(update) => Ok(update),
        _ => Ok(MembershipUpdateMessage::default()),
    }
}

/// Decodes the fields of a record, and ignores its other members.
fn update_of_members(
    members: &Map<String, Value>,
) -> std::result::Result<MembershipUpdateMessage, CliError> {
    let fields = ["chat_id", "events"];
    let fields =
        fields.iter().filter_map(|name| Some(((*name).to_owned(), members.get(*name)?.clone())));
    let bytes = json::encode(&MEMBERSHIP_UPDATE_MESSAGE, &fields.collect()).map_err(|error| {
        CliError::new(error.code(), Exit::Malformed, error.message).field(error.path)
    })?;
    update_of_payload(&bytes)
}

fn add_update(
    update: &MembershipUpdateMessage,
    histories: &mut Vec<History>,
) -> std::result::Result<(), CliError> {
    for (index, raw) in update.events.iter().enumerate() {
        add_event(&update.chat_id, raw, histories)
            .map_err(|error| error.field(format!("events.{index}")))?;
    }
    Ok(())
}

fn add_event(
    chat_id: &str,
    raw: &[u8],
    histories: &mut Vec<History>,
) -> std::result::Result<(), CliError> {
    let at = histories.iter().position(|history| history.chat_id == chat_id);
    let at = at.unwrap_or_else(|| {
        let chat_id = chat_id.to_owned();
        histories.push(History { chat_id, events: Vec::new(), seen: HashSet::new() });
        histories.len() - 1
    });
    let history = &mut histories[at];
    // Before recovering a key, which takes time.
    if !history.seen.insert(raw.to_vec()) {
        return Ok(());
    }
    if history.events.len() >= MAX_RECEIVED {
        let message = format!("more than {MAX_RECEIVED} events of one group");
        return Err(CliError::new("group.too_many", Exit::Malformed, message));
    }
    let event = GroupEvent::decode(chat_id, raw).map_err(|error| event_error(&error))?;
    history.events.push(event);
    Ok(())
}

fn event_error(error: &EventError) -> CliError {
    CliError::new(error.code(), Exit::Malformed, error.to_string())
}

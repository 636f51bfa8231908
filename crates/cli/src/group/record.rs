//! Records of events and groups.

use serde_json::Value;
use statuskit_core::payload::{
    group::{Denied, GroupEvent, GroupState},
    proto::MembershipUpdateMessage,
    schema::MEMBERSHIP_UPDATE_EVENT_EVENT_TYPE,
};

use crate::{
    output::{Record, escape},
    records::short_key,
};

/// Returns the record of an event.
pub fn from_event(chat_id: &str, event: &GroupEvent) -> Record {
    let kind = event.kind_number();
    let kind = MEMBERSHIP_UPDATE_EVENT_EVENT_TYPE
        .name_of(kind)
        .map_or_else(|| Value::from(kind), Value::from);
    Record::new("group_event")
        .with("chat_id", chat_id)
        .with("event_type", kind)
        .with("clock", event.clock())
        .with("author", event.author_text())
        .with("name", event.name())
        .with("members", event.members())
        .with("system_message_id", event.system_message_id().to_string())
        .with_raw(event.raw())
}

/// Returns the record of a replayed event.
pub fn from_replayed(chat_id: &str, event: &GroupEvent, done: Result<(), Denied>) -> Record {
    let record = from_event(chat_id, event).with("accepted", done.is_ok());
    match done {
        Ok(()) => record,
        Err(denied) => record.with("code", denied.code()).with("reason", denied.to_string()),
    }
}

/// Formats an event for people.
pub fn event_text(record: &Record) -> String {
    let members = record.members();
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = match &members["event_type"] {
        Value::String(kind) => kind.clone(),
        number => format!("type {number}"),
    };
    let mut line = format!("{} {kind:15} by {}", members["clock"], short_key(text("author")));
    if !text("name").is_empty() {
        line += &format!(", {}", escape(text("name")));
    }
    for member in members["members"].as_array().into_iter().flatten() {
        line += &format!(", {}", escape(&short_key(member.as_str().unwrap_or_default())));
    }
    if members.get("accepted") == Some(&Value::Bool(false)) {
        line += &format!("  REFUSED: {}", text("reason"));
    }
    line
}

/// Returns the record of a group. Its raw bytes are an update with the events.
pub fn from_group(state: &GroupState, update: &MembershipUpdateMessage) -> Record {
    use prost::Message as _;
    Record::new("group")
        .with("chat_id", update.chat_id.as_str())
        .with("name", state.name.as_str())
        .with("members", state.members.to_vec())
        .with("joined", state.joined.to_vec())
        .with("admins", state.admins.to_vec())
        .with("events", update.events.len())
        .with_raw(&update.encode_to_vec())
}

/// Formats a group for people: its name and its members.
pub fn group_text(record: &Record) -> String {
    let members = record.members();
    let list = |name: &str| members[name].as_array().cloned().unwrap_or_default();
    let name = members["name"].as_str().unwrap_or_default();
    let chat_id = members["chat_id"].as_str().unwrap_or_default();
    let mut out =
        format!("{} ({} events)\n  {}\n", escape(name), members["events"], escape(chat_id));
    let (joined, admins) = (list("joined"), list("admins"));
    for member in list("members") {
        let marks = [(&joined, "joined"), (&admins, "admin")];
        let marks = marks.iter().filter(|(set, _)| set.contains(&member));
        let marks: Vec<_> = marks.map(|(_, mark)| *mark).collect();
        let marks = if marks.is_empty() { "invited".to_owned() } else { marks.join(", ") };
        out += &format!("  {:14} {}\n", marks, escape(member.as_str().unwrap_or_default()));
    }
    out
}

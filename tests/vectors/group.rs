//! Vectors of group chats: `group_events`.

use std::collections::HashMap;

use serde_json::Value;
use statuskit_core::{
    crypto::SecretKey,
    payload::{
        PayloadMessage,
        group::{Group, GroupEvent, GroupState, UpdateError, receive, replay},
        proto::{MembershipUpdateEvent, MembershipUpdateMessage},
        types::type_name,
    },
    time::UnixMillis,
};

use crate::case::{Case, Set};

/// The receiver's clock, if a vector has none.
const NOW_MS: u64 = 1_585_558_801_000;

pub fn group_events(set: &mut Set) {
    set.each("histories", a_history);
    set.each("sets", a_set);
    set.each("merge", |case| {
        let chat_id = case.str("chat_id");
        let events = |member: &str| {
            let values = case.list(member).iter().enumerate();
            let read = values.map(|(index, value)| {
                let event = Case::new(format!("{case}.{member}[{index}]"), value);
                let read = an_event(&event, chat_id, None);
                event.finish();
                read
            });
            read.collect::<Vec<_>>()
        };
        let known = Group::build(chat_id, events("existing")).unwrap();
        let update = Group::build(chat_id, events("update")).unwrap();
        let merged = known.merge(update.events()).unwrap();
        assert_eq!(merged.events(), events("merged"), "{case}");
        // The merge is the same from the wire, and from the other side.
        let me = known.events()[0].author();
        let received = receive(Some(&known), &update.update(None), me, UnixMillis(NOW_MS)).unwrap();
        assert_eq!(received.group, merged, "{case}");
        // New events are those not known before.
        let new = merged.events().iter().filter(|event| !known.events().contains(event)).count();
        assert_eq!(received.new_events.len(), new, "{case}");
        assert_eq!(update.merge(known.events()).unwrap(), merged, "{case}");
        case.inner("state", |state| assert_state(state, merged.state()));
    });
}

fn a_history(case: &Case<'_>) {
    let chat_id = case.str("chat_id");
    let mut people = HashMap::new();
    for (name, person) in case.get("people").as_object().unwrap() {
        let person = Case::new(format!("{case}.people.{name}"), person);
        let key: SecretKey = person.str("private").parse().unwrap();
        assert_eq!(key.public_key().to_string(), person.str("public"), "{person}");
        people.insert(key.public_key().to_string(), key);
        person.finish();
    }
    let mut state = GroupState::default();
    let (mut all, mut accepted) = (Vec::new(), Vec::new());
    for (index, step) in case.list("steps").iter().enumerate() {
        let step = Case::new(format!("{case}.steps[{index}]"), step);
        step.inner("event", |event| all.push(an_event(event, chat_id, Some(&people))));
        let event = &all[index];
        let done = state.apply(event);
        assert_eq!(done.is_ok(), step.bool("accepted"), "{step}: {done:?}");
        step.inner("state", |expected| assert_state(expected, &state));
        step.finish();
        if done.is_ok() {
            accepted.push(event.clone());
        }
    }
    let replayed = replay(chat_id, all);
    assert_eq!(replayed.state, state, "{case}");
    assert_eq!(replayed.verdict.is_ok(), accepted.len() == replayed.events.len(), "{case}");

    let group = Group::build(chat_id, accepted).unwrap();
    let message = case.plain_hex("message");
    assert_eq!(PayloadMessage::from(group.update(None)).encode(), message, "{case}");
    assert_eq!(update_of(&message), group.update(None), "{case}");
    case.inner("shuffled", |shuffled| {
        assert!(shuffled.value("error").is_null());
        let events = shuffled.list("events").iter().map(|raw| {
            let raw = hex::decode(raw.as_str().unwrap()).unwrap();
            GroupEvent::decode(chat_id, &raw).unwrap()
        });
        let again = Group::build(chat_id, events.collect()).unwrap();
        assert_eq!(again, group, "{case}");
        shuffled.inner("state", |expected| assert_state(expected, again.state()));
    });
}

/// Decodes an event, and creates it again if its author is known.
fn an_event(
    case: &Case<'_>,
    chat_id: &str,
    people: Option<&HashMap<String, SecretKey>>,
) -> GroupEvent {
    let event = GroupEvent::decode(chat_id, &case.plain_hex("raw")).unwrap();
    assert_eq!(event.author_text(), case.str("from"), "{case}");
    assert_eq!(event.clock(), case.u64("clock"), "{case}");
    assert_eq!(event.name(), case.str("name"), "{case}");
    assert_eq!(event.members(), texts(case.list("members")), "{case}");
    assert_eq!(event.kind_number() as u64, case.u64("type"), "{case}");
    let name = event
        .kind()
        .map_or_else(|| event.kind_number().to_string(), |kind| kind.as_str_name().to_owned());
    assert_eq!(name, case.str("type_name"), "{case}");
    assert_eq!(event.signature(), case.plain_hex("signature"), "{case}");
    assert_eq!(event.encoded(), case.plain_hex("payload"), "{case}");
    assert_eq!(event.system_message_id().to_string(), case.str("system_message_id"), "{case}");
    if let Some(people) = people {
        let fields = MembershipUpdateEvent {
            clock: event.clock(),
            members: event.members().to_vec(),
            name: event.name().to_owned(),
            r#type: event.kind_number(),
        };
        let made = GroupEvent::sign(chat_id, fields, &people[event.author_text()]);
        assert_eq!(made, event, "{case}");
    }
    event
}

fn a_set(case: &Case<'_>) {
    let message = case.plain_hex("message");
    let Ok(PayloadMessage::MembershipUpdateMessage(update)) = PayloadMessage::decode(3, &message)
    else {
        assert_eq!((case.bool("accepted"), case.str("stage")), (false, "decode"), "{case}");
        ["chat_id", "error", "now_ms"].into_iter().for_each(|member| case.skip(member));
        return;
    };
    assert_eq!(update.chat_id, case.str("chat_id"), "{case}");
    let now_ms = case.opt("now_ms").map_or(NOW_MS, |_| case.u64("now_ms"));
    // Received by a member: strangers are refused for a different reason.
    let me = SecretKey::from_bytes(&[1; 32]).unwrap().public_key();
    let received = receive(None, &update, &me, UnixMillis(now_ms));
    if case.bool("accepted") {
        assert_eq!(received, Err(UpdateError::NotForUs), "{case}");
        let events =
            update.events.iter().map(|raw| GroupEvent::decode(&update.chat_id, raw).unwrap());
        let group = Group::build(&update.chat_id, events.collect()).unwrap();
        case.inner("state", |expected| assert_state(expected, group.state()));
        // Members accept it, even if someone has left meanwhile.
        for member in group.state().members.to_vec() {
            // Any text can be a member.
            let Ok(member) = member.parse() else { continue };
            assert_eq!(
                receive(None, &update, &member, UnixMillis(now_ms)).unwrap().group,
                group,
                "{case}"
            );
        }
        return;
    }
    assert!(case.get("error").is_string(), "{case}");
    let stage = match received.unwrap_err() {
        UpdateError::Event { .. } => "decode",
        UpdateError::Clock(_) => "clock",
        UpdateError::Build(_) => "group",
        other => panic!("{case}: {other}"),
    };
    assert_eq!(stage, case.str("stage"), "{case}");
}

fn update_of(payload: &[u8]) -> MembershipUpdateMessage {
    match PayloadMessage::decode(3, payload).unwrap() {
        PayloadMessage::MembershipUpdateMessage(update) => update,
        other => panic!("{}", type_name(other.number())),
    }
}

fn assert_state(expected: &Case<'_>, state: &GroupState) {
    assert_eq!(state.name, expected.str("name"), "{expected}");
    for (name, found) in
        [("members", &state.members), ("joined", &state.joined), ("admins", &state.admins)]
    {
        assert_eq!(found.to_vec(), texts(expected.list(name)), "{expected}.{name}");
    }
}

fn texts(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| value.as_str().unwrap()).collect()
}

//! Any sequence of events by a few members, and any bytes as an update: accepted events keep the
//! group's invariants, in any order.
//!
//! Keys, and events that are signed, are kept from run to run.
#![no_main]

use std::{cell::RefCell, collections::HashMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    account::Uuid,
    crypto::SecretKey,
    payload::{
        PayloadMessage,
        group::{Group, GroupEvent, receive, replay},
        proto::MembershipUpdateEvent,
    },
    time::UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_585_558_800_000);

static PEOPLE: LazyLock<[(SecretKey, String); 4]> = LazyLock::new(|| {
    [1, 2, 3, 4].map(|byte| {
        let key = SecretKey::from_bytes(&[byte; 32]).expect("in range");
        let text = key.public_key().to_string();
        (key, text)
    })
});

static GROUP: LazyLock<Group> = LazyLock::new(|| {
    let group = Group::create(Uuid::from_bytes([9; 16]), "team", &[], &PEOPLE[0].0, NOW);
    group.expect("a name is enough").group
});

/// The most events that are kept.
const MAX_KEPT: usize = 1 << 16;

thread_local! {
    static EVENTS: RefCell<HashMap<[u8; 3], GroupEvent>> = RefCell::default();
}

/// The event of a step: author and kind, members, clock.
fn event(step: [u8; 3]) -> GroupEvent {
    let [what, whom, when] = step;
    EVENTS.with_borrow_mut(|events| {
        if events.len() >= MAX_KEPT {
            events.clear();
        }
        let make = || {
            let members = (0..4).filter(|number| whom >> number & 1 == 1);
            let fields = MembershipUpdateEvent {
                clock: NOW.0 + 1 + u64::from(when),
                members: members.map(|number| PEOPLE[number].1.clone()).collect(),
                name: if whom & 0x80 == 0 { "name".to_owned() } else { String::new() },
                r#type: i32::from(what >> 2 & 0xf),
            };
            let id = GROUP.chat_id();
            let event = GroupEvent::sign(id, fields, &PEOPLE[usize::from(what & 3)].0);
            assert_eq!(GroupEvent::decode(id, event.raw()).as_ref(), Ok(&event));
            event
        };
        events.entry(step).or_insert_with(make).clone()
    })
}

fuzz_target!(|data: &[u8]| {
    let me = PEOPLE[0].0.public_key();
    if let Ok(PayloadMessage::MembershipUpdateMessage(update)) = PayloadMessage::decode(3, data)
        && update.events.len() < 64
    {
        let _ = receive(None, &update, &me, NOW);
    }

    let group = &*GROUP;
    let id = group.chat_id();
    let mut events = group.events().to_vec();
    for step in data.chunks_exact(3).take(48) {
        events.extend(step.try_into().map(event));
    }
    let replayed = replay(id, events.clone());
    for joined in replayed.state.joined.to_vec() {
        assert!(replayed.state.members.contains(joined));
    }
    events.reverse();
    assert_eq!(replay(id, events.clone()), replayed);
    let whole = Group::build(id, events);
    assert_eq!(whole.is_ok(), replayed.verdict.is_ok());
    let accepted = replayed.events.iter().filter(|(_, done)| done.is_ok());
    let accepted: Vec<_> = accepted.map(|(event, _)| event.clone()).collect();
    let built = Group::build(id, accepted).expect("each event was accepted");
    assert_eq!(built.state(), &replayed.state);
    // Receivers who know the beginning end up with the same state. To recover authors takes time.
    let beginning = built.events().len().saturating_sub(4).max(1);
    let known = Group::build(id, built.events()[..beginning].to_vec()).expect("as far as it went");
    let received = receive(Some(&known), &built.update(None), &me, NOW);
    assert_eq!(received.expect("it was accepted").group.state(), built.state());
});

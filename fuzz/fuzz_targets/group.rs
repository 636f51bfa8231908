//! Any sequence of events by a few members, and any bytes as an update: accepted events keep the
//! group's invariants, in any order.
#![no_main]

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

fuzz_target!(|data: &[u8]| {
    let people = [1, 2, 3, 4].map(|byte| SecretKey::from_bytes(&[byte; 32]).expect("in range"));
    let me = people[0].public_key();
    if let Ok(PayloadMessage::MembershipUpdateMessage(update)) = PayloadMessage::decode(3, data) {
        if update.events.len() < 64 {
            let _ = receive(None, &update, &me, NOW);
        }
    }

    let group = Group::create(Uuid::from_bytes([9; 16]), "team", &[], &people[0], NOW);
    let group = group.expect("a name is enough").group;
    let id = group.chat_id();
    let mut events = group.events().to_vec();
    // Each event: author and kind, target, clock.
    for step in data.chunks_exact(3).take(48) {
        let [what, whom, when] = step else { continue };
        let text = |number: usize| people[number].public_key().to_string();
        let members = (0..4).filter(|number| whom >> number & 1 == 1).map(text).collect();
        let fields = MembershipUpdateEvent {
            clock: NOW.0 + 1 + u64::from(*when),
            members,
            name: if whom & 0x80 == 0 { "name".to_owned() } else { String::new() },
            r#type: i32::from(what >> 2 & 0xf),
        };
        let event = GroupEvent::sign(id, fields, &people[usize::from(what & 3)]);
        assert_eq!(GroupEvent::decode(id, event.raw()).as_ref(), Ok(&event));
        events.push(event);
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
    // Receivers end up with the same group.
    let state = built.state();
    if let Some(member) =
        people.iter().find(|it| state.members.contains(&it.public_key().to_string()))
    {
        let received = receive(None, &built.update(None), &member.public_key(), NOW);
        assert_eq!(received.expect("it was accepted").group, built);
    }
});

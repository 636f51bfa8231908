use proptest::prelude::*;

use super::*;
use crate::{
    account::Uuid,
    crypto::{PublicKey, SecretKey, keys::RECOVERED},
    payload::{check::Rejection, proto::MembershipUpdateEvent},
    time::UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_585_558_800_000);

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn public(byte: u8) -> PublicKey {
    key(byte).public_key()
}

fn team() -> Group {
    Group::create(Uuid::from_bytes([9; 16]), "team", &[public(2), public(3)], &key(1), NOW)
        .unwrap()
        .group
}

#[test]
fn a_group_goes_through_all_changes() {
    let mut group = team();
    assert_eq!(group.events().len(), 2);
    assert!(group.chat_id().ends_with(&public(1).to_string()));
    assert_eq!(group.chat_id().len(), 36 + 1 + 132);
    let steps = [
        (Change::Join, 2),
        (Change::Rename("crew"), 1),
        (Change::Promote(&[public(2)]), 1),
        (Change::Resign, 1),
        (Change::Remove(&public(3)), 2),
        (Change::Leave, 1),
    ];
    for (change, author) in steps {
        let before = group.clone();
        let changed = before.change(change, &key(author), 0, NOW).unwrap();
        group = changed.group;
        // Clocks increase though the time does not.
        assert!(group.last_clock() > before.last_clock());
        let audience = match change {
            Change::Remove(_) => before.state(),
            _ => group.state(),
        };
        assert_eq!(changed.recipients.len(), audience.members.len());
    }
    let state = group.state();
    let bob = public(2).to_string();
    assert_eq!(state.name, "crew");
    for set in [&state.members, &state.joined, &state.admins] {
        assert_eq!(set.to_vec(), [&*bob]);
    }
    // Another member accepts the update.
    let update = group.update(None);
    assert_eq!(receive(None, &update, &public(2), NOW).unwrap().group, group);
    assert_eq!(receive(None, &update, &public(1), NOW), Err(UpdateError::NotForUs));
}

#[test]
fn changes_that_others_would_refuse_are_errors() {
    let group = team();
    let change = |change, author| {
        group.change(change, &key(author), 0, NOW).map(|_| ()).map_err(|error| error.code())
    };
    let cases = [
        (Change::Rename("x"), 2, "group.not_admin"),
        (Change::Rename("x"), 9, "group.not_admin"),
        (Change::Rename(""), 1, "group.name_empty"),
        (Change::Rename("team"), 1, "group.no_change"),
        (Change::Add(&[public(4)]), 2, "group.not_admin"),
        (Change::Add(&[public(2)]), 1, "group.no_change"),
        (Change::Add(&[]), 1, "group.no_change"),
        (Change::Join, 1, "group.no_change"),
        (Change::Join, 4, "group.not_invited"),
        (Change::Remove(&public(3)), 2, "group.not_admin"),
        (Change::Remove(&public(4)), 1, "group.not_a_member"),
        // For the reference, one member of two is enough; for the document, it is not.
        (Change::Promote(&[public(2), public(4)]), 1, "group.not_a_member"),
        (Change::Promote(&[public(1)]), 1, "group.no_change"),
        (Change::Resign, 2, "group.not_admin"),
        (Change::Leave, 4, "group.not_a_member"),
    ];
    for (wanted, author, code) in cases {
        assert_eq!(change(wanted, author), Err(code), "{wanted:?}");
    }
    let ahead = group.change(Change::Rename("x"), &key(1), NOW.0 + 120_001, NOW);
    assert_eq!(ahead, Err(ChangeError::ClockAhead));
    let two_admins = group.change(Change::Promote(&[public(2)]), &key(1), 0, NOW).unwrap().group;
    let removed = two_admins.change(Change::Remove(&public(1)), &key(2), 0, NOW);
    assert_eq!(removed.unwrap_err().code(), "group.target_is_admin");
}

#[test]
fn the_author_of_an_event_is_recovered_once_and_of_a_bounded_number() {
    let group = team();
    let kind = EventType::MemberJoined.into();
    let join = MembershipUpdateEvent { clock: NOW.0 + 2, r#type: kind, ..Default::default() };
    let join = GroupEvent::sign(group.chat_id(), join, &key(2));
    let received = |known, update: &_| {
        let before = RECOVERED.get();
        let result = receive(known, update, &public(2), NOW).map(|_| ());
        (RECOVERED.get() - before, result.map_err(|error| error.code()))
    };
    let mut update = group.update(None);
    update.events.resize(MAX_RECEIVED, join.raw().to_vec());
    assert_eq!(received(None, &update), (3, Ok(())));
    assert_eq!(received(Some(&group), &update), (1, Ok(())));
    assert_eq!(cost(Some(&group), &group.update(None)), 2 + 2 + 3);
    update.events.push(join.raw().to_vec());
    assert_eq!(received(Some(&group), &update), (0, Err("group.too_many")));
}

#[test]
fn an_update_is_refused_as_a_whole() {
    let group = team();
    let id = group.chat_id();
    let event = |kind: EventType, clock, author| {
        let fields = MembershipUpdateEvent { clock, r#type: kind.into(), ..Default::default() };
        GroupEvent::sign(id, fields, &key(author)).raw().to_vec()
    };
    let mut update = group.update(None);
    update.events.push(event(EventType::MemberJoined, NOW.0 + 2, 9));
    assert_eq!(receive(None, &update, &public(2), NOW).unwrap_err().code(), "group.not_invited");
    let with_clock = |clock| {
        let mut update = group.update(None);
        update.events.push(event(EventType::MemberJoined, clock, 2));
        receive(Some(&group), &update, &public(2), NOW)
    };
    assert_eq!(with_clock(0), Err(UpdateError::Clock(Rejection::EventClockZero)));
    assert_eq!(with_clock(NOW.0 + 120_001), Err(UpdateError::Clock(Rejection::EventClockAhead)));
    let received = with_clock(NOW.0 + 120_000).unwrap();
    assert_eq!((received.new_events.len(), received.is_new), (1, false));
    update.events = vec![vec![0; 66]; MAX_RECEIVED + 1];
    assert_eq!(receive(None, &update, &public(2), NOW).unwrap_err().code(), "group.too_many");
    update.events = vec![vec![0; 65]];
    let error = receive(None, &update, &public(2), NOW).unwrap_err();
    assert_eq!(error.code(), "group.event_too_short");
}

/// Returns a join event with a meaningless name of `junk` bytes.
fn join(group: &Group, clock: u64, author: u8, junk: usize) -> GroupEvent {
    let kind = EventType::MemberJoined.into();
    let name = "x".repeat(junk);
    let fields = MembershipUpdateEvent { clock, name, r#type: kind, ..Default::default() };
    GroupEvent::sign(group.chat_id(), fields, &key(author))
}

#[test]
fn one_member_alone_cannot_make_a_history_too_long() {
    let group = team().change(Change::Join, &key(2), 0, NOW).unwrap().group;
    // By the number of events, none of which changes anything.
    let again = join(&group, NOW.0 + 10, 2, 0);
    let full = |count| {
        let mut events = group.events().to_vec();
        events.resize(count, again.clone());
        events
    };
    assert_eq!(Group::gather(group.chat_id(), full(1000)).unwrap().events().len(), 1000);
    assert_eq!(Group::gather(group.chat_id(), full(MAX_EVENTS + 1)), Ok(group.clone()));
    let built = Group::build(group.chat_id(), full(MAX_EVENTS + 1));
    assert_eq!(built, Err(BuildError::TooMany(MAX_EVENTS + 1)));
    // An older version may have kept such a history.
    let kept = Group::build(group.chat_id(), full(MAX_EVENTS)).unwrap();
    // Changes by admins fit, and others accept them.
    let renamed = kept.change(Change::Rename("crew"), &key(1), 0, NOW).unwrap().group;
    assert_eq!(renamed.events().len(), group.events().len() + 1);
    assert_eq!(renamed.state().name, "crew");
    let received = receive(Some(&kept), &renamed.update(None), &public(3), NOW).unwrap();
    assert_eq!((received.group, received.new_events.len()), (renamed, 1));
    // The client of this admin keeps all of them.
    let mut update = group.update(None);
    update.events.resize(MAX_EVENTS + 5, again.raw().to_vec());
    let promoted = group.change(Change::Promote(&[public(2)]), &key(1), 0, NOW).unwrap().group;
    update.events.push(promoted.events().last().unwrap().raw().to_vec());
    let received = receive(Some(&kept), &update, &public(3), NOW).unwrap();
    assert_eq!((received.group.state(), received.new_events.len()), (promoted.state(), 1));

    // By the size of events.
    let large = [10, 11, 12].map(|after| join(&group, NOW.0 + after, 2, 50_000));
    let mut update = group.update(None);
    update.events.extend(large.iter().map(|event| event.raw().to_vec()));
    let received = receive(Some(&group), &update, &public(3), NOW).unwrap();
    assert_eq!((&received.group, &*received.new_events), (&group, &[][..]));
    assert_eq!(receive(None, &update, &public(3), NOW).unwrap().group, group);
    // A few are harmless, and are kept.
    let merged = group.merge(std::slice::from_ref(&again)).unwrap();
    assert_eq!(merged.events().last(), Some(&again));
    assert_eq!(merged.state(), group.state());
}

/// Generates an event of any type by one of five people about any of them.
fn any_event() -> impl Strategy<Value = (u8, MembershipUpdateEvent)> {
    let members = proptest::collection::vec(1..6_u8, 0..3);
    (1..6_u8, 1..12_u64, 0..9, members, "[a-c]?").prop_map(
        |(author, clock, kind, members, name)| {
            let members = members.into_iter().map(|byte| public(byte).to_string()).collect();
            (author, MembershipUpdateEvent { clock, members, name, r#type: kind })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_history_keeps_its_invariants(
        events in proptest::collection::vec(any_event(), 0..12),
        seed in any::<u64>(),
    ) {
        let group = team();
        let id = group.chat_id();
        let mut all = group.events().to_vec();
        all.extend(events.into_iter().map(|(author, fields)| {
            let clock = NOW.0 + 1 + fields.clock;
            GroupEvent::sign(id, MembershipUpdateEvent { clock, ..fields }, &key(author))
        }));
        let replayed = replay(id, all.clone());
        // Joined members are members.
        let state = &replayed.state;
        for joined in state.joined.to_vec() {
            prop_assert!(state.members.contains(joined));
        }
        // Events accepted one by one are accepted as a whole.
        let accepted: Vec<_> = replayed
            .events
            .iter()
            .filter(|(_, done)| done.is_ok())
            .map(|(event, _)| event.clone())
            .collect();
        let built = Group::build(id, accepted).unwrap();
        prop_assert_eq!(built.state(), state);
        prop_assert_eq!(Group::build(id, all.clone()).is_ok(), replayed.verdict.is_ok());
        // The order of arrival does not matter.
        let turn = seed as usize % all.len();
        all.rotate_left(turn);
        prop_assert_eq!(replay(id, all), replayed);
        // Merging parts gives the same history. An event that stands in it twice is merged once.
        let half = Group::build(id, built.events()[..2].to_vec()).unwrap();
        let merged = half.merge(built.events()).unwrap();
        let mut distinct = built.events().to_vec();
        distinct.dedup();
        prop_assert_eq!(merged.events(), distinct);
        prop_assert_eq!(merged.state(), built.state());
        // Dropping events that change nothing leaves the same group. Anyone may leave at any time.
        let junk = (0..3).map(|at| {
            let members = vec![public(9).to_string()];
            let name = "x".repeat(50_000);
            let r#type = EventType::MemberRemoved.into();
            let clock = NOW.0 + 1 + seed % 12;
            let fields = MembershipUpdateEvent { clock: clock + at, members, name, r#type };
            GroupEvent::sign(id, fields, &key(9))
        });
        let kept = built.merge(&junk.collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(kept.state(), built.state());
        prop_assert!(kept.events().iter().all(|event| built.events().contains(event)));
        let again = Group::build(id, kept.events().to_vec()).unwrap();
        prop_assert_eq!(again.state(), built.state());
    }
}

//! Conversations of several devices over a network that loses, repeats and reorders, with crashes:
//! what was sent arrives once on every device that it is for, whatever happens on the way.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "chat/world.rs"]
mod world;

use proptest::prelude::*;
use statuskit_core::{
    chat::messenger::{ChatError, GiveUp, MessengerEvent, PostKind, TopicKind, without_state},
    envelope::{SymKey, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::{
        Wrapper, chat,
        group::{Change, ChangeError, Denied, Group},
        matching::Chat,
        proto::{
            AcceptRequestAddressForTransaction, ContactUpdate, MessageType, PairInstallation,
            RequestAddressForTransaction,
        },
    },
    secure::EncryptionKind,
};

use world::World;

/// Two users with a device each.
fn two() -> World {
    World::new("two", &["alice", "bob"])
}

fn hears(world: &World, device: usize, text: &str) -> usize {
    world.devices[device].shown.iter().filter(|shown| shown.text == text).count()
}

#[test]
fn from_a_contact_code_to_the_negotiated_topic() {
    let mut world = two();
    let (alice, bob) = (0, 1);
    let chat = |world: &World, who: usize| Chat::OneToOne(world.devices[who].me);
    // Alice has to be interested in bob to see the code.
    world.look_at(alice, bob);
    let code = world.with(bob, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    assert_eq!(code.kind, PostKind::ContactCode);
    world.post(bob, code);
    world.deliver_all();
    let to = world.devices[bob].me;
    assert_eq!(world.devices[alice].messenger.installations(&to).unwrap().len(), 1);

    let mut kinds = Vec::new();
    for (at, (from, to)) in
        [(alice, bob), (bob, alice), (alice, bob), (bob, alice)].into_iter().enumerate()
    {
        let to_chat = chat(&world, to);
        let text = format!("text {at}");
        world.with(from, |it, now, rng| it.send_text(&to_chat, &text, now, rng)).unwrap();
        world.now += 1000;
        for post in world.with(from, |it, now, rng| it.tick(now, rng)).unwrap().posts {
            if !post.messages.is_empty() {
                kinds.push((post.kind, post.topic == world::partitioned(&world.devices[to].me)));
            }
            world.post(from, post);
        }
        world.deliver_all();
        assert_eq!(hears(&world, to, &text), 1);
    }
    // With the code, even the first message has a session; from the answer on, the topic is ours.
    let direct = |partitioned| (PostKind::Direct, partitioned);
    assert_eq!(kinds, [direct(true), direct(false), direct(false), direct(false)]);
    let shown = &world.devices[bob].shown[0];
    assert!(
        matches!(shown.how, Some(EncryptionKind::Session { started: true, .. })),
        "{:?}",
        shown.how
    );
    world.settle();
    assert!(world.devices.iter_mut().all(|it| it.messenger.is_idle().unwrap()));
}

#[test]
fn without_a_code_the_first_message_is_for_the_identity() {
    let mut world = two();
    let chat = Chat::OneToOne(world.devices[1].me);
    let sent = world.with(0, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
    let posts = world.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts;
    assert_eq!(posts.iter().map(|post| post.kind).collect::<Vec<_>>(), [PostKind::Fallback]);
    assert_eq!(posts[0].messages, [sent.id]);
    posts.into_iter().for_each(|post| world.post(0, post));
    world.deliver_all();
    assert_eq!(world.devices[1].shown[0].how, Some(EncryptionKind::Identity));
    assert_eq!(world.devices[1].shown[0].id, sent.id);
    // Its bundle came with it, so the answer has a session.
    let chat = Chat::OneToOne(world.devices[0].me);
    world.with(1, |it, now, rng| it.send_text(&chat, "hello", now, rng)).unwrap();
    world.settle();
    assert!(matches!(world.devices[0].shown[0].how, Some(EncryptionKind::Session { .. })));
    // Both know that it arrived.
    for peer in [0, 1] {
        let other = world.devices[1 - peer].me;
        assert_eq!(world.devices[peer].messenger.waiting(&other).unwrap(), 0);
        assert_eq!(world.devices[peer].acknowledged.len(), 1);
    }
}

#[test]
fn from_nowhere_means_no_installation_and_no_bundle() {
    let mut world = two();
    let me = world.devices[0].me;
    let to = world.devices[1].me;
    let text = chat::text(MessageType::OneToOne, &to.to_string(), "hi", world.now, 0);
    let wrapper = chat::wrap(&text, &world.devices[0].identity);
    let post = without_state(&to, &wrapper, &mut world.rng);
    world.post(0, post);
    world.deliver_all();
    let shown = &world.devices[1].shown[0];
    assert_eq!((&*shown.text, &shown.how), ("hi", &Some(EncryptionKind::Identity)));
    // Nothing that could be answered with a session.
    assert!(world.devices[1].messenger.installations(&me).unwrap().is_empty());
    // A second copy of the same message shows nothing.
    let post = without_state(&to, &wrapper, &mut world.rng);
    world.post(0, post);
    world.deliver_all();
    assert_eq!(hears(&world, 1, "hi"), 1);
}

#[test]
fn data_sync_can_be_off_on_one_side() {
    let mut world = two();
    world.devices[0].messenger.set_data_sync(false);
    for at in 0..4 {
        let (from, to) = (at % 2, 1 - at % 2);
        let chat = Chat::OneToOne(world.devices[to].me);
        let text = format!("{at}");
        let sent = world.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).unwrap();
        assert_eq!(sent.posts.len(), usize::from(from == 0));
        sent.posts.into_iter().for_each(|post| world.post(from, post));
        world.settle();
        let shown = world.devices[to].shown.last().unwrap();
        assert_eq!((&*shown.text, shown.synced), (&*text, from == 1));
    }
}

#[test]
fn a_group_lives_and_strangers_stay_out() {
    let mut world = World::new("group", &["alice", "bob", "carol", "eve"]);
    let [alice, bob, carol, eve] = [0, 1, 2, 3];
    let members = [world.devices[bob].me, world.devices[carol].me];
    let (group, _) =
        world.with(alice, |it, now, rng| it.create_group("team", &members, now, rng)).unwrap();
    let id = group.chat_id().to_owned();
    let chat = Chat::Group(id.clone());
    world.settle();
    for device in [bob, carol] {
        let group = world.devices[device].messenger.group(&id).unwrap().unwrap();
        assert_eq!(group.state().name, "team");
        // Who has not joined does not write.
        let denied = world.with(device, |it, now, rng| it.send_text(&chat, "no", now, rng));
        assert!(matches!(denied, Err(ChatError::NotJoined)));
        world.with(device, |it, now, rng| it.change_group(&id, Change::Join, now, rng)).unwrap();
        world.settle();
    }
    let sent = world.with(bob, |it, now, rng| it.send_text(&chat, "all", now, rng)).unwrap();
    world.settle();
    for device in [alice, carol] {
        let shown = world.devices[device].shown.iter().find(|it| it.text == "all").unwrap();
        assert_eq!((shown.id, shown.chat.clone()), (sent.id, Some(chat.clone())));
    }
    assert_eq!(hears(&world, eve, "all"), 0);

    // Eve got hold of the history: she writes to it, and adds herself, and nobody cares.
    let history = world.devices[bob].messenger.group(&id).unwrap().unwrap();
    world.devices[eve].messenger.learn_group(history.clone()).unwrap();
    let denied = world.with(eve, |it, now, rng| it.send_text(&chat, "spam", now, rng));
    assert!(matches!(denied, Err(ChatError::NotJoined)));
    let me = [world.devices[eve].me];
    let denied = world.with(eve, |it, now, rng| it.change_group(&id, Change::Add(&me), now, rng));
    assert!(
        matches!(denied, Err(ChatError::Group(ChangeError::Denied(Denied::NotAdmin)))),
        "{denied:?}"
    );
    let spam = chat::text(MessageType::PrivateGroup, &id, "spam", world.now, 0);
    let spam = Wrapper::sign(
        3,
        prost::Message::encode_to_vec(&history.update(Some(spam))),
        &world.devices[eve].identity,
    );
    for device in [alice, bob, carol] {
        let to = world.devices[device].me;
        let post = without_state(&to, &spam, &mut world.rng);
        world.post(eve, post);
    }
    world.settle();
    for device in [alice, bob, carol] {
        assert_eq!(hears(&world, device, "spam"), 0);
        assert!(world.devices[device].unread.contains(&"chat.author_not_joined".to_owned()));
    }

    // Carol is removed, and hears of it; then nothing more.
    let gone = world.devices[carol].me;
    world
        .with(alice, |it, now, rng| it.change_group(&id, Change::Remove(&gone), now, rng))
        .unwrap();
    world.settle();
    let group = world.devices[carol].messenger.group(&id).unwrap().unwrap();
    assert!(!group.state().members.contains(&gone.to_string()));
    world.with(alice, |it, now, rng| it.send_text(&chat, "two of us", now, rng)).unwrap();
    world.settle();
    assert_eq!([bob, carol].map(|device| hears(&world, device, "two of us")), [1, 0]);
}

#[test]
fn a_change_made_elsewhere_is_told_to_those_who_are_gone() {
    let mut world = World::new("elsewhere", &["alice", "bob", "carol"]);
    let [alice, bob, carol] = [0, 1, 2];
    let members = [world.devices[bob].me, world.devices[carol].me];
    let (group, _) =
        world.with(alice, |it, now, rng| it.create_group("team", &members, now, rng)).unwrap();
    let id = group.chat_id().to_owned();
    world.settle();
    let (key, now) = (world.devices[alice].identity.clone(), world.now);
    let removed = group.change(Change::Remove(&members[1]), &key, 0, now).unwrap().group;
    let announced = |world: &mut World, who: usize, group: &Group| {
        world.with(who, |it, now, rng| it.announce_group(group.clone(), now, rng)).unwrap().1
    };
    assert_eq!(announced(&mut world, alice, &removed).recipients, 2);
    world.settle();
    let heard = world.devices[carol].messenger.group(&id).unwrap().unwrap();
    assert_eq!(heard.state(), removed.state());
    // Told once, they hear nothing more.
    assert_eq!(announced(&mut world, alice, &removed).recipients, 1);
    let chat = Chat::Group(id.clone());
    let sent = world.with(alice, |it, now, rng| it.send_text(&chat, "two of us", now, rng));
    assert_eq!(sent.unwrap().recipients, 1);
    // Bob goes, and tells alice, not himself.
    let (key, now) = (world.devices[bob].identity.clone(), world.now);
    let left = removed.change(Change::Leave, &key, 0, now).unwrap().group;
    assert_eq!(announced(&mut world, bob, &left).recipients, 1);
    world.settle();
    let heard = world.devices[alice].messenger.group(&id).unwrap().unwrap();
    assert_eq!(heard.state().members.len(), 1);
    // Nobody tells bob what he has said himself.
    let mut other = World::new("late", &["alice"]);
    other.devices[0].messenger.learn_group(removed).unwrap();
    let left = other.devices[0].messenger.group(&id).unwrap().unwrap().merge(left.events());
    assert_eq!(announced(&mut other, 0, &left.unwrap()).recipients, 1);
}

#[test]
fn an_update_with_a_bad_text_is_still_an_update() {
    let mut world = two();
    let (alice, bob) = (world.devices[0].me, world.devices[1].me);
    let key = world.devices[0].identity.clone();
    let id = statuskit_core::account::Uuid::from_bytes([7; 16]);
    let group = Group::create(id, "team", &[bob], &key, world.now).unwrap().group;
    let blank = chat::text(MessageType::PrivateGroup, group.chat_id(), "  ", world.now, 0);
    let update = prost::Message::encode_to_vec(&group.update(Some(blank)));
    let events = world.feed(1, Some(&alice), Wrapper::sign(3, update, &key).raw());
    let [MessengerEvent::Message(received), MessengerEvent::Unread { reason, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((reason.code(), &received.chat), ("payload.text_blank", &None));
    assert_eq!(received.group.as_ref().unwrap().new_events.len(), 2);
    let known = world.devices[1].messenger.group(group.chat_id()).unwrap();
    assert_eq!(known, Some(group));
}

#[test]
fn an_unsigned_wrapper_is_of_whoever_signed_the_envelope() {
    let mut world = two();
    let alice = world.devices[0].me;
    let text = chat::text(MessageType::OneToOne, "x", "hi", world.now, 0);
    let wrapper = Wrapper::unsigned(1, prost::Message::encode_to_vec(&text));
    assert!(matches!(world.feed(1, None, wrapper.raw())[..], [MessengerEvent::Foreign]));
    // What clients would not take is no payload: an empty message, another type, an empty update.
    for bytes in [&[0x18, 1][..], &[0x18, 30], &[0x18, 99], &[0x18, 3], b"hi", &[0xff; 20]] {
        let events = world.feed(1, Some(&alice), bytes);
        assert!(matches!(events[..], [MessengerEvent::Foreign]), "{bytes:x?}: {events:?}");
    }
    let events = world.feed(1, Some(&alice), wrapper.raw());
    let [MessengerEvent::Message(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((received.author, received.id), (alice, wrapper.message_id()));
    assert_eq!(received.chat, Some(Chat::OneToOne(alice)));
}

#[test]
fn answers_to_commands_need_a_command_of_ours() {
    let mut world = two();
    let (bob, to_bob) = (world.devices[1].me, Chat::OneToOne(world.devices[1].me));
    let key = world.devices[1].identity.clone();
    let clock = world.now + 100_000;
    let accept = |id: &str, clock| {
        let id = id.to_owned();
        let accept = AcceptRequestAddressForTransaction { clock, id, address: "0x1".to_owned() };
        Wrapper::sign(7, prost::Message::encode_to_vec(&accept), &key)
    };
    let code = |events: Vec<MessengerEvent>| match &events[..] {
        [MessengerEvent::Message(received)] => received.wrapper.kind_name(),
        [MessengerEvent::Unread { reason, .. }] => reason.code().to_owned(),
        other => panic!("{other:?}"),
    };
    let taken = "accept_request_address_for_transaction";
    assert_eq!(
        code(world.feed(0, Some(&bob), accept("0xdeadbeef", clock).raw())),
        "transaction.unknown"
    );
    let ask = RequestAddressForTransaction {
        clock: world.now,
        value: "1".to_owned(),
        ..Default::default()
    };
    let sent = world.with(0, |it, now, rng| it.send(&to_bob, ask, now, rng)).unwrap();
    let id = sent.id.to_string();
    world.restart(0);
    assert_eq!(
        code(world.feed(0, Some(&bob), accept(&id.to_uppercase(), clock).raw())),
        "transaction.unknown"
    );
    assert_eq!(code(world.feed(0, Some(&bob), accept(&id, clock).raw())), taken);
    assert_eq!(code(world.feed(0, Some(&bob), accept(&id, clock + 1).raw())), "transaction.state");
    // What they said moves the clock of the chat; what was not taken does not.
    world.with(0, |it, now, rng| it.send_text(&to_bob, "thanks", now, rng)).unwrap();
    world.settle();
    let later = world.devices[1].clocks.last().copied();
    assert_eq!(later, Some(clock + 1));
}

#[test]
fn two_devices_of_one_user() {
    let mut world = World::new("pair", &["alice", "bob"]);
    let (phone, bob) = (0, 1);
    let desktop = world.add_device(phone);
    let alice_key = world.devices[phone].me;
    let bob_key = world.devices[bob].me;
    // Each tells the other of itself, and the user enables both.
    for device in [phone, desktop] {
        let name = format!("device {device}");
        let sent = world.with(device, |it, now, rng| it.pair(&name, "desktop", now, rng)).unwrap();
        sent.posts.into_iter().for_each(|post| world.post(device, post));
        world.settle();
    }
    for (device, other) in [(phone, desktop), (desktop, phone)] {
        assert!(
            world.devices[device].payloads.iter().any(|kind| kind == "pair_installation"),
            "{:?}",
            world.devices[device].unread
        );
        let id = world.devices[other].messenger.installation().clone();
        assert!(world.devices[device].messenger.set_enabled(&alice_key, &id, true).unwrap());
    }
    // What one of them says, the other shows as said by us, in the right chat.
    let chat = Chat::OneToOne(bob_key);
    world.with(phone, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
    world.settle();
    let shown = world.devices[desktop].shown.last().unwrap();
    assert_eq!((&*shown.text, &shown.chat), ("hi", &Some(chat.clone())));
    assert_eq!(hears(&world, bob, "hi"), 1);
    assert_eq!(hears(&world, phone, "hi"), 0);
    // The answer reaches both.
    let back = Chat::OneToOne(alice_key);
    world.with(bob, |it, now, rng| it.send_text(&back, "hello", now, rng)).unwrap();
    world.settle();
    assert_eq!([phone, desktop].map(|device| hears(&world, device, "hello")), [1, 1]);
    // Somebody else can't pair.
    let fake = PairInstallation {
        clock: world.now,
        installation_id: "x".to_owned(),
        device_type: "ios".to_owned(),
        name: "x".to_owned(),
    };
    world.with(bob, |it, now, rng| it.send(&back, fake, now, rng)).unwrap();
    world.settle();
    assert!(world.devices[phone].unread.iter().any(|code| code.starts_with("payload.")));
}

#[test]
fn a_public_message_is_not_a_protocol_message() {
    let mut world = World::new("public", &["alice", "bob"]);
    let chat = Chat::Public("status".to_owned());
    let send = |world: &mut World, text: &str| {
        let sent = world.with(0, |it, now, rng| it.send_text(&chat, text, now, rng)).unwrap();
        sent.posts.into_iter().for_each(|post| world.post(0, post));
    };
    // Whoever is not in the chat does not hear it.
    send(&mut world, "one");
    world.deliver_all();
    world.devices[1].messenger.join_public("status");
    world.listen_all();
    for text in ["two", "żółć 🙂", "\u{7}"] {
        send(&mut world, text);
    }
    world.deliver_all();
    let texts: Vec<_> = world.devices[1].shown.iter().map(|it| &*it.text).collect();
    assert_eq!(texts, ["two", "żółć 🙂", "\u{7}"]);
    assert!(world.devices[1].shown.iter().all(|it| it.how.is_none()));
}

#[test]
fn a_device_that_a_sender_does_not_know_announces_itself() {
    let mut world = World::new("unknown", &["alice", "bob"]);
    let (alice, bob) = (0, 1);
    let to_bob = Chat::OneToOne(world.devices[bob].me);
    // Alice knows one device of bob.
    world.look_at(alice, bob);
    let code = world.with(bob, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    world.post(bob, code);
    world.deliver_all();
    // The other is not paired with it.
    let other = world.add_device(bob);
    world.with(alice, |it, now, rng| it.send_text(&to_bob, "3", now, rng)).unwrap();
    world.settle();
    assert!(world.devices[other].unread.iter().any(|it| it == "secure.device_not_found"));
    // Now alice knows it, and writes to both; what was not acknowledged in time comes, too.
    world.with(alice, |it, now, rng| it.send_text(&to_bob, "4", now, rng)).unwrap();
    world.settle();
    assert_eq!([bob, other].map(|device| hears(&world, device, "4")), [1, 1]);
}

/// Alice, who knows so many devices of bob.
fn alice_and_devices_of_bob(devices: usize) -> World {
    let mut world = two();
    world.look_at(0, 1);
    (1..devices).for_each(|_| _ = world.add_device(1));
    for device in 1..=devices {
        tell_of(&mut world, device);
    }
    world
}

fn tell_of(world: &mut World, device: usize) {
    let code = world.with(device, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    world.post(device, code);
    world.deliver_all();
}

#[test]
fn what_fits_into_no_envelope_is_refused_and_leaves_nothing_behind() {
    for (devices, too_long) in [(1, 1_100_000), (2, 600_000), (3, 350_000)] {
        let mut world = alice_and_devices_of_bob(devices);
        let to = world.devices[1].me;
        let (bob, text) = (Chat::OneToOne(to), "a".repeat(too_long));
        for data_sync in [true, false] {
            world.devices[0].messenger.set_data_sync(data_sync);
            let refused = world.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng));
            let Err(ChatError::Oversized(why)) = refused else { panic!("{refused:?}") };
            assert_eq!(why.copies, devices);
            assert!(world.devices[0].messenger.is_idle().unwrap());
            assert_eq!(world.devices[0].messenger.chats().unwrap(), []);
        }
        world.devices[0].messenger.set_data_sync(true);
        // What is as long as may be is carried.
        let longest = "b".repeat((1_038_000 / devices) - 1000);
        world.with(0, |it, now, rng| it.send_text(&bob, &longest, now, rng)).unwrap();
        let posts = world.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts;
        assert_eq!(posts.len(), 1);
        for post in posts {
            let identity = world.devices[0].identity.clone();
            let sealed = post.seal(&identity, 1_585_500_000, 15, &mut world.rng).unwrap();
            assert!(sealed.packet_len() < DEFAULT_MAX_MESSAGE_SIZE as usize - 100);
        }
        let public = Chat::Public("status".to_owned());
        let text = "a".repeat(1_100_000);
        let refused = world.with(0, |it, now, rng| it.send_text(&public, &text, now, rng));
        assert!(matches!(refused, Err(ChatError::Oversized(_))), "{refused:?}");
    }
}

#[test]
fn many_messages_to_three_devices_go_in_envelopes_that_fit() {
    let mut world = alice_and_devices_of_bob(3);
    let bob = Chat::OneToOne(world.devices[1].me);
    for number in 0..12_u8 {
        let text = char::from(b'a' + number).to_string().repeat(60_000);
        world.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng)).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        world.now += 300;
        for post in world.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts {
            let identity = world.devices[0].identity.clone();
            let sealed = post.seal(&identity, 1_585_500_000, 15, &mut world.rng).unwrap();
            assert!(sealed.packet_len() <= DEFAULT_MAX_MESSAGE_SIZE as usize);
            order.push(post.messages.len());
            world.post(0, post);
        }
    }
    assert_eq!(order, [5, 5, 2]);
    world.deliver_all();
    for device in 1..=3 {
        assert_eq!(world.devices[device].shown.len(), 12);
    }
}

#[test]
fn a_queued_message_that_fits_no_more_is_given_up_alone() {
    let mut world = alice_and_devices_of_bob(1);
    let to = world.devices[1].me;
    let (bob, text) = (Chat::OneToOne(to), "a".repeat(900_000));
    let long = world.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng)).unwrap();
    world.with(0, |it, now, rng| it.send_text(&bob, "short", now, rng)).unwrap();
    let other = world.add_device(1);
    tell_of(&mut world, other);
    let ticked = world.with(0, |it, now, rng| it.tick(now, rng)).unwrap();
    let [given_up] = &ticked.given_up[..] else { panic!("{ticked:?}") };
    assert_eq!((given_up.peer, given_up.message), (to, Some(long.id)));
    assert!(matches!(given_up.why, GiveUp::Oversized(_)));
    assert!(ticked.posts.is_empty());
    assert_eq!(world.devices[0].messenger.waiting(&to).unwrap(), 1);
    world.settle();
    assert_eq!([1, other].map(|device| hears(&world, device, "short")), [1, 1]);
    assert!(world.devices[0].messenger.is_idle().unwrap());
}

#[test]
fn no_clock_from_the_far_future_silences_a_chat() {
    let mut world = two();
    let (to_bob, to_alice) =
        (Chat::OneToOne(world.devices[1].me), Chat::OneToOne(world.devices[0].me));
    let update = ContactUpdate { clock: u64::MAX, ..ContactUpdate::default() };
    world.with(1, |it, now, rng| it.send(&to_alice, update, now, rng)).unwrap();
    world.settle();
    assert_eq!(world.devices[0].payloads.len(), 1, "it is shown all the same");
    // Neither whom it came to, nor whose own state holds such a clock.
    for (from, chat) in [(0, &to_bob), (1, &to_alice)] {
        for text in ["1", "2"] {
            world.with(from, |it, now, rng| it.send_text(chat, text, now, rng)).unwrap();
            world.restart(from);
        }
        world.settle();
        let texts: Vec<_> = world.devices[1 - from].shown.iter().map(|it| &*it.text).collect();
        assert_eq!(texts, ["1", "2"]);
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_repetitions() {
    let mut world = two();
    let to_bob = Chat::OneToOne(world.devices[1].me);
    let lost = world.with(0, |it, now, rng| {
        let ahead = now + 3_600_000;
        it.send_text(&to_bob, "lost", ahead, rng)?;
        Ok(it.tick(ahead, rng)?.posts.len())
    });
    assert_eq!(lost.unwrap(), 1);
    for restarted in [false, true] {
        if restarted {
            world.restart(0);
        }
        // The clock is right again; most of these have nothing to send, and leave no trace.
        let mut repeated = 0;
        for _ in 0..40 {
            repeated += world.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts.len();
        }
        assert!(repeated > 0, "restarted: {restarted}");
    }
}

#[test]
fn hostile_bytes_are_refused_and_the_conversation_goes_on() {
    let mut world = two();
    let (to_bob, to_alice) =
        (Chat::OneToOne(world.devices[1].me), Chat::OneToOne(world.devices[0].me));
    world.with(0, |it, now, rng| it.send_text(&to_bob, "1", now, rng)).unwrap();
    world.settle();
    world.with(1, |it, now, rng| it.send_text(&to_alice, "2", now, rng)).unwrap();
    let posts = world.with(1, |it, now, rng| it.tick(now, rng)).unwrap().posts;
    let good = posts[0].payload.clone();
    let sender = world.devices[1].me;
    let mut codes = std::collections::BTreeSet::new();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        for event in world.feed(0, Some(&sender), &bad) {
            match event {
                MessengerEvent::Unread { reason, .. } => _ = codes.insert(reason.code()),
                MessengerEvent::Message(received) => assert_eq!(received.text(), Some("2")),
                _ => {}
            }
        }
        if at % 7 == 0 {
            world.feed(0, None, &bad);
            world.feed(0, Some(&sender), &bad[..at]);
        }
    }
    assert!(codes.contains("ratchet.mac") && codes.contains("bundle.signature"), "{codes:?}");
    world.feed(0, Some(&sender), &good);
    assert_eq!(hears(&world, 0, "2"), 1);
    world.with(0, |it, now, rng| it.send_text(&to_bob, "3", now, rng)).unwrap();
    world.settle();
    assert_eq!(hears(&world, 1, "3"), 1);
}

#[test]
fn a_negotiated_topic_is_listened_to_after_a_restart() {
    let mut world = two();
    for (from, to) in [(0, 1), (1, 0)] {
        let chat = Chat::OneToOne(world.devices[to].me);
        world.with(from, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
        world.settle();
    }
    let other = world.devices[1].me;
    world.restart(0);
    let listening = world.devices[0].messenger.subscriptions().unwrap();
    let subjects: Vec<_> = listening.iter().map(|it| it.kind.clone()).collect();
    for expected in [
        TopicKind::Partitioned,
        TopicKind::Personal,
        TopicKind::ContactCode(world.devices[0].me),
        TopicKind::ContactCode(other),
        TopicKind::Negotiated(other),
    ] {
        assert!(subjects.contains(&expected), "{expected:?} in {subjects:?}");
    }
    assert_eq!(world.devices[0].messenger.chats().unwrap(), [Chat::OneToOne(other)]);
}

#[test]
fn debug_shows_no_key() {
    let mut world = two();
    let mut text = String::new();
    for at in 0..4 {
        let (from, to) = (at % 2, 1 - at % 2);
        let chat = Chat::OneToOne(world.devices[to].me);
        let sent = world.with(from, |it, now, rng| it.send_text(&chat, "hi", now, rng));
        text += &format!("{sent:?}");
        let ticked = world.with(from, |it, now, rng| it.tick(now, rng)).unwrap();
        text += &format!("{ticked:?}");
        let me = world.devices[from].me;
        for post in ticked.posts {
            text += &format!("{:?}", world.feed(to, Some(&me), &post.payload));
        }
        world.now += 1000;
        text += &format!("{:?}", world.devices[to].messenger);
        text += &format!("{:?}", world.devices[to].messenger.subscriptions());
    }
    let other = world.devices[1].me;
    let secret = *world.devices[0].identity.ecdh(&other).as_bytes();
    let sym = SymKey::from_password(&hex::encode(secret));
    let keys = world.devices.iter().map(|device| *device.identity.to_bytes());
    for key in keys.chain([secret, *sym.as_bytes()]) {
        assert!(!text.contains(&hex::encode(key)));
        assert!(!text.contains(&format!("{key:?}")));
    }
    assert!(text.contains("hi") && text.contains("SymKey(…)"));
}

/// What may happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say {
        from: usize,
        to: usize,
    },
    SayGroup {
        from: usize,
    },
    Tick {
        who: usize,
    },
    Deliver {
        which: usize,
    },
    Drop {
        which: usize,
    },
    Repeat {
        which: usize,
    },
    Batch,
    Restart {
        who: usize,
    },
    /// The next write fails, as on a full disk.
    Fail {
        who: usize,
    },
    Later {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..3_usize;
    let step = prop_oneof![
        4 => (who.clone(), who.clone()).prop_map(|(from, to)| Step::Say { from, to }),
        2 => who.clone().prop_map(|from| Step::SayGroup { from }),
        5 => who.clone().prop_map(|who| Step::Tick { who }),
        8 => any::<usize>().prop_map(|which| Step::Deliver { which }),
        2 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => any::<usize>().prop_map(|which| Step::Repeat { which }),
        1 => Just(Step::Batch),
        1 => who.clone().prop_map(|who| Step::Restart { who }),
        1 => who.prop_map(|who| Step::Fail { who }),
        2 => (1..40_u64).prop_map(|seconds| Step::Later { seconds }),
    ];
    prop::collection::vec(step, 20..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three people, one of them with two devices, and a group: in the end everyone has read
    /// everything once.
    #[test]
    fn whatever_happens_everything_arrives_once(steps in steps()) {
        let mut world = World::new("chaos", &["alice", "bob", "carol"]);
        let members = [world.devices[1].me, world.devices[2].me];
        let (group, _) = world
            .with(0, |it, now, rng| it.create_group("g", &members, now, rng))
            .unwrap();
        let id = group.chat_id().to_owned();
        world.settle();
        for device in [1, 2] {
            world.with(device, |it, now, rng| it.change_group(&id, Change::Join, now, rng)).unwrap();
            world.settle();
        }
        let mut expected: Vec<(usize, String)> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            let text = format!("text {at}");
            match step {
                Step::Say { from, to } if from != to => {
                    let chat = Chat::OneToOne(world.devices[to].me);
                    if world.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                        expected.push((to, text));
                    }
                }
                Step::Say { .. } => {}
                Step::SayGroup { from } => {
                    let chat = Chat::Group(id.clone());
                    if world.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                        expected.extend((0..3).filter(|to| *to != from).map(|to| (to, text.clone())));
                    }
                }
                Step::Tick { who } => world.tick(who),
                Step::Deliver { which } => world.deliver(which, false),
                Step::Drop { which } => world.lose(which),
                Step::Repeat { which } => world.deliver(which, true),
                Step::Batch => world.deliver_together(),
                Step::Restart { who } => world.restart(who),
                Step::Fail { who } => world.fail_next(who),
                Step::Later { seconds } => world.now += seconds * 1000,
            }
        }
        world.heal();
        world.settle();
        expected.sort();
        prop_assert_eq!(world.shown(), expected);
        for device in &mut world.devices {
            prop_assert!(device.messenger.is_idle().unwrap());
        }
    }
}

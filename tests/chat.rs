//! Conversations of several devices on a lossy network, with crashes: every message arrives exactly
//! once on each of its devices.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use proptest::prelude::*;
use statuskit_core::{
    chat::messenger::{
        ChatError, GiveUp, Incoming, Messenger, MessengerEvent, PostKind, TopicKind, without_state,
    },
    crypto::seeded_rng,
    envelope::{SymKey, check::DEFAULT_MAX_MESSAGE_SIZE},
    payload::{
        Wrapper, chat,
        check::{self, Receipt, Rejection},
        group::{Change, ChangeError, Denied, Group},
        matching::Chat,
        proto::{
            AcceptRequestAddressForTransaction, ContactUpdate, MessageType, PairInstallation,
            RequestAddressForTransaction,
        },
    },
    secure::{EncryptionKind, MemoryStore},
    time::UnixSeconds,
};
use statuskit_testkit::{
    World,
    messengers::{self, Messengers},
    rounds,
};

/// Creates two users with a device each.
fn two() -> Messengers {
    Messengers::new(World::new("two"), &["alice", "bob"])
}

fn count_shown(users: &Messengers, device: usize, text: &str) -> usize {
    users.devices[device].shown.iter().filter(|shown| shown.text == text).count()
}

#[test]
fn from_a_contact_code_to_the_negotiated_topic() {
    let mut users = two();
    let (alice, bob) = (0, 1);
    let chat = |users: &Messengers, who: usize| Chat::OneToOne(users.devices[who].me);
    // Alice must listen for Bob's contact codes.
    users.look_at(alice, bob);
    let code = users.with(bob, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    assert_eq!(code.kind, PostKind::ContactCode);
    users.post(bob, code);
    users.deliver_all();
    let to = users.devices[bob].me;
    assert_eq!(users.devices[alice].messenger.installations(&to).unwrap().len(), 1);

    let mut kinds = Vec::new();
    for (at, (from, to)) in
        [(alice, bob), (bob, alice), (alice, bob), (bob, alice)].into_iter().enumerate()
    {
        let to_chat = chat(&users, to);
        let text = format!("text {at}");
        users.with(from, |it, now, rng| it.send_text(&to_chat, &text, now, rng)).unwrap();
        users.world.advance(Duration::from_secs(1));
        for post in users.with(from, |it, now, rng| it.tick(now, rng)).unwrap().posts {
            if !post.messages.is_empty() {
                kinds.push((
                    post.kind,
                    post.topic == messengers::partitioned(&users.devices[to].me),
                ));
            }
            users.post(from, post);
        }
        users.deliver_all();
        assert_eq!(count_shown(&users, to, &text), 1);
    }
    // With the code, even the first message has a session. The negotiated topic is used from the
    // answer on.
    let direct = |partitioned| (PostKind::Direct, partitioned);
    assert_eq!(kinds, [direct(true), direct(false), direct(false), direct(false)]);
    let shown = &users.devices[bob].shown[0];
    assert!(
        matches!(shown.how, Some(EncryptionKind::Session { started: true, .. })),
        "{:?}",
        shown.how
    );
    users.settle();
    assert!(users.devices.iter_mut().all(|it| it.messenger.is_idle().unwrap()));
}

#[test]
fn without_a_code_the_first_message_uses_the_identity() {
    let mut users = two();
    let chat = Chat::OneToOne(users.devices[1].me);
    let sent = users.with(0, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
    let posts = users.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts;
    assert_eq!(posts.iter().map(|post| post.kind).collect::<Vec<_>>(), [PostKind::Fallback]);
    assert_eq!(posts[0].messages, [sent.id]);
    posts.into_iter().for_each(|post| users.post(0, post));
    users.deliver_all();
    assert_eq!(users.devices[1].shown[0].how, Some(EncryptionKind::Identity));
    assert_eq!(users.devices[1].shown[0].id, sent.id);
    // The message carried a bundle, so the answer has a session.
    let chat = Chat::OneToOne(users.devices[0].me);
    users.with(1, |it, now, rng| it.send_text(&chat, "hello", now, rng)).unwrap();
    users.settle();
    assert!(matches!(users.devices[0].shown[0].how, Some(EncryptionKind::Session { .. })));
    // Both messages were acknowledged.
    for peer in [0, 1] {
        let other = users.devices[1 - peer].me;
        assert_eq!(users.devices[peer].messenger.waiting(&other).unwrap(), 0);
        assert_eq!(users.devices[peer].acknowledged.len(), 1);
    }
}

/// Bob has lost his device, with his state, before the message came.
#[test]
fn a_message_is_repeated_at_once_when_a_new_device_becomes_known() {
    let mut users = two();
    let (alice, bob) = (users.devices[0].me, users.devices[1].me);
    // Alice knows the old device.
    let code = users.with(1, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    users.post(1, code);
    users.deliver_all();
    users.with(0, |it, now, rng| it.send_text(&Chat::OneToOne(bob), "hi", now, rng)).unwrap();
    // It was repeated for some time, and the next repetition is far away.
    for _ in 0..40 {
        users.world.advance(Duration::from_secs(60));
        drop(users.with(0, |it, now, rng| it.tick(now, rng)).unwrap());
    }
    let identity = users.devices[1].identity.clone();
    let mut rng = seeded_rng("new device");
    let mut new = Messenger::open(MemoryStore::new(), identity, None, &mut rng).unwrap();
    let now = users.world.now_ms();
    let code = new.publish_contact_code(now, &mut rng).unwrap();
    let incoming = Incoming { signer: Some(&bob), sent: now.to_seconds(), payload: &code.payload };
    users.with(0, |it, now, rng| it.receive(&incoming, now, rng)).unwrap();
    users.world.advance(Duration::from_millis(300));
    let now = users.world.now_ms();
    let posts = users.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts;
    let mut texts = Vec::new();
    for post in posts {
        let sent = now.to_seconds();
        let incoming = Incoming { signer: Some(&alice), sent, payload: &post.payload };
        for event in new.receive(&incoming, now, &mut rng).unwrap().events {
            if let MessengerEvent::Message(received) = event {
                texts.extend(received.text().map(str::to_owned));
            }
        }
    }
    assert_eq!(texts, ["hi"]);
}

#[test]
fn stateless_messages_have_no_installation_and_no_bundle() {
    let mut users = two();
    let me = users.devices[0].me;
    let to = users.devices[1].me;
    let text = chat::text(MessageType::OneToOne, &to.to_string(), "hi", users.world.now_ms(), 0);
    let wrapper = chat::wrap(&text, &users.devices[0].identity);
    let post = without_state(&to, &wrapper, users.world.rng("test"));
    users.post(0, post);
    users.deliver_all();
    let shown = &users.devices[1].shown[0];
    assert_eq!((&*shown.text, &shown.how), ("hi", &Some(EncryptionKind::Identity)));
    // The answer can't use a session.
    assert!(users.devices[1].messenger.installations(&me).unwrap().is_empty());
    // A second copy of the message is not shown.
    let post = without_state(&to, &wrapper, users.world.rng("test"));
    users.post(0, post);
    users.deliver_all();
    assert_eq!(count_shown(&users, 1, "hi"), 1);
}

#[test]
fn data_sync_can_be_off_on_one_side() {
    let mut users = two();
    users.devices[0].messenger.set_data_sync(false);
    for at in 0..4 {
        let (from, to) = (at % 2, 1 - at % 2);
        let chat = Chat::OneToOne(users.devices[to].me);
        let text = format!("{at}");
        let sent = users.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).unwrap();
        assert_eq!(sent.posts.len(), usize::from(from == 0));
        sent.posts.into_iter().for_each(|post| users.post(from, post));
        users.settle();
        let shown = users.devices[to].shown.last().unwrap();
        assert_eq!((&*shown.text, shown.synced), (&*text, from == 1));
    }
}

#[test]
fn a_group_keeps_strangers_out() {
    let mut users = Messengers::new(World::new("group"), &["alice", "bob", "carol", "eve"]);
    let [alice, bob, carol, eve] = [0, 1, 2, 3];
    let members = [users.devices[bob].me, users.devices[carol].me];
    let (group, _) =
        users.with(alice, |it, now, rng| it.create_group("team", &members, now, rng)).unwrap();
    let id = group.chat_id().to_owned();
    let chat = Chat::Group(id.clone());
    users.settle();
    for device in [bob, carol] {
        let group = users.devices[device].messenger.group(&id).unwrap().unwrap();
        assert_eq!(group.state().name, "team");
        // Members who have not joined can't send.
        let denied = users.with(device, |it, now, rng| it.send_text(&chat, "no", now, rng));
        assert!(matches!(denied, Err(ChatError::NotJoined)));
        users.with(device, |it, now, rng| it.change_group(&id, Change::Join, now, rng)).unwrap();
        users.settle();
    }
    let sent = users.with(bob, |it, now, rng| it.send_text(&chat, "all", now, rng)).unwrap();
    users.settle();
    for device in [alice, carol] {
        let shown = users.devices[device].shown.iter().find(|it| it.text == "all").unwrap();
        assert_eq!((shown.id, shown.chat.clone()), (sent.id, Some(chat.clone())));
    }
    assert_eq!(count_shown(&users, eve, "all"), 0);

    // Eve obtained the history. Her messages and changes are ignored.
    let history = users.devices[bob].messenger.group(&id).unwrap().unwrap();
    users.devices[eve].messenger.learn_group(history.clone()).unwrap();
    let denied = users.with(eve, |it, now, rng| it.send_text(&chat, "spam", now, rng));
    assert!(matches!(denied, Err(ChatError::NotJoined)));
    let me = [users.devices[eve].me];
    let denied = users.with(eve, |it, now, rng| it.change_group(&id, Change::Add(&me), now, rng));
    assert!(
        matches!(denied, Err(ChatError::Group(ChangeError::Denied(Denied::NotAdmin)))),
        "{denied:?}"
    );
    let spam = chat::text(MessageType::PrivateGroup, &id, "spam", users.world.now_ms(), 0);
    let spam = Wrapper::sign(
        3,
        prost::Message::encode_to_vec(&history.update(Some(spam))),
        &users.devices[eve].identity,
    );
    for device in [alice, bob, carol] {
        let to = users.devices[device].me;
        let post = without_state(&to, &spam, users.world.rng("test"));
        users.post(eve, post);
    }
    users.settle();
    for device in [alice, bob, carol] {
        assert_eq!(count_shown(&users, device, "spam"), 0);
        assert!(users.devices[device].unread.contains(&"chat.author_not_joined".to_owned()));
    }

    // Carol is removed. She receives that event, and nothing after it.
    let gone = users.devices[carol].me;
    users
        .with(alice, |it, now, rng| it.change_group(&id, Change::Remove(&gone), now, rng))
        .unwrap();
    users.settle();
    let group = users.devices[carol].messenger.group(&id).unwrap().unwrap();
    assert!(!group.state().members.contains(&gone.to_string()));
    users.with(alice, |it, now, rng| it.send_text(&chat, "two of us", now, rng)).unwrap();
    users.settle();
    assert_eq!([bob, carol].map(|device| count_shown(&users, device, "two of us")), [1, 0]);
}

#[test]
fn an_external_change_is_announced_to_removed_members() {
    let mut users = Messengers::new(World::new("elsewhere"), &["alice", "bob", "carol"]);
    let [alice, bob, carol] = [0, 1, 2];
    let members = [users.devices[bob].me, users.devices[carol].me];
    let (group, _) =
        users.with(alice, |it, now, rng| it.create_group("team", &members, now, rng)).unwrap();
    let id = group.chat_id().to_owned();
    users.settle();
    let (key, now) = (users.devices[alice].identity.clone(), users.world.now_ms());
    let removed = group.change(Change::Remove(&members[1]), &key, 0, now).unwrap().group;
    let announced = |users: &mut Messengers, who: usize, group: &Group| {
        users.with(who, |it, now, rng| it.announce_group(group.clone(), now, rng)).unwrap().1
    };
    assert_eq!(announced(&mut users, alice, &removed).recipients, 2);
    users.settle();
    let heard = users.devices[carol].messenger.group(&id).unwrap().unwrap();
    assert_eq!(heard.state(), removed.state());
    // Announced once; afterwards they receive nothing.
    assert_eq!(announced(&mut users, alice, &removed).recipients, 1);
    let chat = Chat::Group(id.clone());
    let sent = users.with(alice, |it, now, rng| it.send_text(&chat, "two of us", now, rng));
    assert_eq!(sent.unwrap().recipients, 1);
    // Bob leaves, and announces it to Alice, not to himself.
    let (key, now) = (users.devices[bob].identity.clone(), users.world.now_ms());
    let left = removed.change(Change::Leave, &key, 0, now).unwrap().group;
    assert_eq!(announced(&mut users, bob, &left).recipients, 1);
    users.settle();
    let heard = users.devices[alice].messenger.group(&id).unwrap().unwrap();
    assert_eq!(heard.state().members.len(), 1);
    // A leave event is not sent back to its author.
    let mut other = Messengers::new(World::new("late"), &["alice"]);
    other.devices[0].messenger.learn_group(removed).unwrap();
    let left = other.devices[0].messenger.group(&id).unwrap().unwrap().merge(left.events());
    assert_eq!(announced(&mut other, 0, &left.unwrap()).recipients, 1);
}

#[test]
fn an_update_with_a_bad_text_is_still_an_update() {
    let mut users = two();
    let (alice, bob) = (users.devices[0].me, users.devices[1].me);
    let key = users.devices[0].identity.clone();
    let id = statuskit_core::account::Uuid::from_bytes([7; 16]);
    let group = Group::create(id, "team", &[bob], &key, users.world.now_ms()).unwrap().group;
    let blank =
        chat::text(MessageType::PrivateGroup, group.chat_id(), "  ", users.world.now_ms(), 0);
    let update = prost::Message::encode_to_vec(&group.update(Some(blank)));
    let events = users.feed(1, Some(&alice), Wrapper::sign(3, update, &key).raw());
    let [MessengerEvent::Message(received), MessengerEvent::Unread { reason, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((reason.code(), &received.chat), ("payload.text_blank", &None));
    assert_eq!(received.group.as_ref().unwrap().new_events.len(), 2);
    assert_eq!(received.rejection, Some(Rejection::TextBlank));
    let known = users.devices[1].messenger.group(group.chat_id()).unwrap();
    assert_eq!(known.as_ref(), Some(&group));
    // The clock of the envelope's sender is slow: the events fit our own time only.
    let update = Wrapper::sign(3, prost::Message::encode_to_vec(&group.update(None)), &key);
    let sent = users.world.now_ms().to_seconds().wrapping_sub(200);
    let incoming = Incoming { signer: Some(&alice), sent, payload: update.raw() };
    let events = users.with(1, |it, now, rng| it.receive(&incoming, now, rng)).unwrap().events;
    let [MessengerEvent::Message(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(received.rejection, Some(Rejection::EventClockAhead));
    assert_eq!(received.rejection, check::check(&received.message, &Receipt::at(sent)).err());
}

#[test]
fn the_envelope_signer_is_the_author_of_an_unsigned_wrapper() {
    let mut users = two();
    let alice = users.devices[0].me;
    let text = chat::text(MessageType::OneToOne, "x", "hi", users.world.now_ms(), 0);
    let wrapper = Wrapper::unsigned(1, prost::Message::encode_to_vec(&text));
    assert!(matches!(users.feed(1, None, wrapper.raw())[..], [MessengerEvent::Foreign]));
    // Clients would refuse these: an empty message, another type, an empty update.
    for bytes in [&[0x18, 1][..], &[0x18, 30], &[0x18, 99], &[0x18, 3], b"hi", &[0xff; 20]] {
        let events = users.feed(1, Some(&alice), bytes);
        assert!(matches!(events[..], [MessengerEvent::Foreign]), "{bytes:x?}: {events:?}");
    }
    let events = users.feed(1, Some(&alice), wrapper.raw());
    let [MessengerEvent::Message(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((received.author, received.id), (alice, wrapper.message_id()));
    assert_eq!(received.chat, Some(Chat::OneToOne(alice)));
}

#[test]
fn answers_to_commands_need_a_command_of_ours() {
    let mut users = two();
    let (bob, to_bob) = (users.devices[1].me, Chat::OneToOne(users.devices[1].me));
    let key = users.devices[1].identity.clone();
    let clock = users.world.now_ms().0 + 100_000;
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
        code(users.feed(0, Some(&bob), accept("0xdeadbeef", clock).raw())),
        "transaction.unknown"
    );
    let ask = RequestAddressForTransaction {
        clock: users.world.now_ms().0,
        value: "1".to_owned(),
        ..Default::default()
    };
    let sent = users.with(0, |it, now, rng| it.send(&to_bob, ask, now, rng)).unwrap();
    let id = sent.id.to_string();
    users.restart(0);
    assert_eq!(
        code(users.feed(0, Some(&bob), accept(&id.to_uppercase(), clock).raw())),
        "transaction.unknown"
    );
    assert_eq!(code(users.feed(0, Some(&bob), accept(&id, clock).raw())), taken);
    assert_eq!(code(users.feed(0, Some(&bob), accept(&id, clock + 1).raw())), "transaction.state");
    // Accepted messages move the chat's clock; refused ones do not.
    users.with(0, |it, now, rng| it.send_text(&to_bob, "thanks", now, rng)).unwrap();
    users.settle();
    let later = users.devices[1].clocks.last().copied();
    assert_eq!(later, Some(clock + 1));
}

#[test]
fn two_devices_of_one_user() {
    let mut users = Messengers::new(World::new("pair"), &["alice", "bob"]);
    let (phone, bob) = (0, 1);
    let desktop = users.add_device(phone);
    let alice_key = users.devices[phone].me;
    let bob_key = users.devices[bob].me;
    // Each device announces itself, and the user enables both.
    for device in [phone, desktop] {
        let name = format!("device {device}");
        let sent = users.with(device, |it, now, rng| it.pair(&name, "desktop", now, rng)).unwrap();
        sent.posts.into_iter().for_each(|post| users.post(device, post));
        users.settle();
    }
    for (device, other) in [(phone, desktop), (desktop, phone)] {
        assert!(
            users.devices[device].payloads.iter().any(|kind| kind == "pair_installation"),
            "{:?}",
            users.devices[device].unread
        );
        let id = users.devices[other].messenger.installation().clone();
        assert!(users.devices[device].messenger.set_enabled(&alice_key, &id, true).unwrap());
    }
    // The other device shows our own message, in the right chat.
    let chat = Chat::OneToOne(bob_key);
    users.with(phone, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
    users.settle();
    let shown = users.devices[desktop].shown.last().unwrap();
    assert_eq!((&*shown.text, &shown.chat), ("hi", &Some(chat.clone())));
    assert_eq!(count_shown(&users, bob, "hi"), 1);
    assert_eq!(count_shown(&users, phone, "hi"), 0);
    // The answer reaches both.
    let back = Chat::OneToOne(alice_key);
    users.with(bob, |it, now, rng| it.send_text(&back, "hello", now, rng)).unwrap();
    users.settle();
    assert_eq!([phone, desktop].map(|device| count_shown(&users, device, "hello")), [1, 1]);
    // Another user can't pair.
    let fake = PairInstallation {
        clock: users.world.now_ms().0,
        installation_id: "x".to_owned(),
        device_type: "ios".to_owned(),
        name: "x".to_owned(),
    };
    users.with(bob, |it, now, rng| it.send(&back, fake, now, rng)).unwrap();
    users.settle();
    assert!(users.devices[phone].unread.iter().any(|code| code.starts_with("payload.")));
}

#[test]
fn a_public_message_is_not_a_protocol_message() {
    let mut users = Messengers::new(World::new("public"), &["alice", "bob"]);
    let chat = Chat::Public("status".to_owned());
    let send = |users: &mut Messengers, text: &str| {
        let sent = users.with(0, |it, now, rng| it.send_text(&chat, text, now, rng)).unwrap();
        sent.posts.into_iter().for_each(|post| users.post(0, post));
    };
    // Users outside the chat do not receive it.
    send(&mut users, "one");
    users.deliver_all();
    users.devices[1].messenger.join_public("status");
    users.listen_all();
    for text in ["two", "żółć 🙂", "\u{7}"] {
        send(&mut users, text);
    }
    users.deliver_all();
    let texts: Vec<_> = users.devices[1].shown.iter().map(|it| &*it.text).collect();
    assert_eq!(texts, ["two", "żółć 🙂", "\u{7}"]);
    assert!(users.devices[1].shown.iter().all(|it| it.how.is_none()));
}

#[test]
fn a_device_unknown_to_the_sender_announces_itself() {
    let mut users = Messengers::new(World::new("unknown"), &["alice", "bob"]);
    let (alice, bob) = (0, 1);
    let to_bob = Chat::OneToOne(users.devices[bob].me);
    // Alice knows one of Bob's devices.
    users.look_at(alice, bob);
    let code = users.with(bob, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    users.post(bob, code);
    users.deliver_all();
    // The other device is not paired.
    let other = users.add_device(bob);
    users.with(alice, |it, now, rng| it.send_text(&to_bob, "3", now, rng)).unwrap();
    users.settle();
    assert!(users.devices[other].unread.iter().any(|it| it == "secure.device_not_found"));
    // Now Alice knows both and sends to both, including unacknowledged messages.
    users.with(alice, |it, now, rng| it.send_text(&to_bob, "4", now, rng)).unwrap();
    users.settle();
    assert_eq!([bob, other].map(|device| count_shown(&users, device, "4")), [1, 1]);
}

/// Creates Alice, who knows `devices` devices of Bob.
fn alice_and_devices_of_bob(devices: usize) -> Messengers {
    let mut users = two();
    users.look_at(0, 1);
    (1..devices).for_each(|_| _ = users.add_device(1));
    for device in 1..=devices {
        announce(&mut users, device);
    }
    users
}

fn announce(users: &mut Messengers, device: usize) {
    let code = users.with(device, |it, now, rng| it.publish_contact_code(now, rng)).unwrap();
    users.post(device, code);
    users.deliver_all();
}

#[test]
fn oversized_messages_are_refused_without_a_trace() {
    for (devices, too_long) in [(1, 1_100_000), (2, 600_000), (3, 350_000)] {
        let mut users = alice_and_devices_of_bob(devices);
        let to = users.devices[1].me;
        let (bob, text) = (Chat::OneToOne(to), "a".repeat(too_long));
        for data_sync in [true, false] {
            users.devices[0].messenger.set_data_sync(data_sync);
            let refused = users.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng));
            let Err(ChatError::Oversized(why)) = refused else { panic!("{refused:?}") };
            assert_eq!(why.copies, devices);
            assert!(users.devices[0].messenger.is_idle().unwrap());
            assert_eq!(users.devices[0].messenger.chats().unwrap(), []);
        }
        users.devices[0].messenger.set_data_sync(true);
        // The longest possible message is sent.
        let longest = "b".repeat((1_038_000 / devices) - 1000);
        users.with(0, |it, now, rng| it.send_text(&bob, &longest, now, rng)).unwrap();
        let posts = users.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts;
        assert_eq!(posts.len(), 1);
        for post in posts {
            let identity = users.devices[0].identity.clone();
            let sealed = post
                .seal(&identity, UnixSeconds(1_585_500_000), 15, users.world.rng("test"))
                .unwrap();
            assert!(sealed.packet_len() < DEFAULT_MAX_MESSAGE_SIZE as usize - 100);
        }
        let public = Chat::Public("status".to_owned());
        let text = "a".repeat(1_100_000);
        let refused = users.with(0, |it, now, rng| it.send_text(&public, &text, now, rng));
        assert!(matches!(refused, Err(ChatError::Oversized(_))), "{refused:?}");
    }
}

#[test]
fn many_messages_to_three_devices_are_split_into_envelopes() {
    let mut users = alice_and_devices_of_bob(3);
    let bob = Chat::OneToOne(users.devices[1].me);
    for number in 0..12_u8 {
        let text = char::from(b'a' + number).to_string().repeat(60_000);
        users.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng)).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        users.world.advance(Duration::from_millis(300));
        for post in users.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts {
            let identity = users.devices[0].identity.clone();
            let sealed = post
                .seal(&identity, UnixSeconds(1_585_500_000), 15, users.world.rng("test"))
                .unwrap();
            assert!(sealed.packet_len() <= DEFAULT_MAX_MESSAGE_SIZE as usize);
            order.push(post.messages.len());
            users.post(0, post);
        }
    }
    assert_eq!(order, [5, 5, 2]);
    users.deliver_all();
    for device in 1..=3 {
        assert_eq!(users.devices[device].shown.len(), 12);
    }
}

#[test]
fn a_queued_message_that_no_longer_fits_is_given_up_alone() {
    let mut users = alice_and_devices_of_bob(1);
    let to = users.devices[1].me;
    let (bob, text) = (Chat::OneToOne(to), "a".repeat(900_000));
    let long = users.with(0, |it, now, rng| it.send_text(&bob, &text, now, rng)).unwrap();
    users.with(0, |it, now, rng| it.send_text(&bob, "short", now, rng)).unwrap();
    let other = users.add_device(1);
    announce(&mut users, other);
    let ticked = users.with(0, |it, now, rng| it.tick(now, rng)).unwrap();
    let [given_up] = &ticked.given_up[..] else { panic!("{ticked:?}") };
    assert_eq!((given_up.peer, given_up.message), (to, Some(long.id)));
    assert!(matches!(given_up.why, GiveUp::Oversized(_)));
    assert!(ticked.posts.is_empty());
    assert_eq!(users.devices[0].messenger.waiting(&to).unwrap(), 1);
    users.settle();
    assert_eq!([1, other].map(|device| count_shown(&users, device, "short")), [1, 1]);
    assert!(users.devices[0].messenger.is_idle().unwrap());
}

#[test]
fn a_clock_in_the_far_future_does_not_silence_a_chat() {
    let mut users = two();
    let (to_bob, to_alice) =
        (Chat::OneToOne(users.devices[1].me), Chat::OneToOne(users.devices[0].me));
    let update = ContactUpdate { clock: (1 << 63) - 1, ..ContactUpdate::default() };
    users.with(1, |it, now, rng| it.send(&to_alice, update, now, rng)).unwrap();
    users.settle();
    assert_eq!(users.devices[0].payloads.len(), 1, "it is shown");
    // Neither for its receiver, nor for its sender, whose state holds that clock.
    for (from, chat) in [(0, &to_bob), (1, &to_alice)] {
        for text in ["1", "2"] {
            users.with(from, |it, now, rng| it.send_text(chat, text, now, rng)).unwrap();
            users.restart(from);
        }
        users.settle();
        let texts: Vec<_> = users.devices[1 - from].shown.iter().map(|it| &*it.text).collect();
        assert_eq!(texts, ["1", "2"]);
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_repetitions() {
    let mut users = two();
    let to_bob = Chat::OneToOne(users.devices[1].me);
    let lost = users.with(0, |it, now, rng| {
        let ahead = now.saturating_add(Duration::from_secs(3600));
        it.send_text(&to_bob, "lost", ahead, rng)?;
        Ok(it.tick(ahead, rng)?.posts.len())
    });
    assert_eq!(lost.unwrap(), 1);
    for restarted in [false, true] {
        if restarted {
            users.restart(0);
        }
        // With the right time again, most ticks have nothing to send.
        let mut repeated = 0;
        for _ in 0..40 {
            repeated += users.with(0, |it, now, rng| it.tick(now, rng)).unwrap().posts.len();
        }
        assert!(repeated > 0, "restarted: {restarted}");
    }
}

#[test]
fn hostile_bytes_are_refused_and_the_conversation_goes_on() {
    let mut users = two();
    let (to_bob, to_alice) =
        (Chat::OneToOne(users.devices[1].me), Chat::OneToOne(users.devices[0].me));
    users.with(0, |it, now, rng| it.send_text(&to_bob, "1", now, rng)).unwrap();
    users.settle();
    users.with(1, |it, now, rng| it.send_text(&to_alice, "2", now, rng)).unwrap();
    let posts = users.with(1, |it, now, rng| it.tick(now, rng)).unwrap().posts;
    let good = posts[0].payload.clone();
    let sender = users.devices[1].me;
    let mut codes = std::collections::BTreeSet::new();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        for event in users.feed(0, Some(&sender), &bad) {
            match event {
                MessengerEvent::Unread { reason, .. } => _ = codes.insert(reason.code()),
                MessengerEvent::Message(received) => assert_eq!(received.text(), Some("2")),
                _ => {}
            }
        }
        if at % 7 == 0 {
            users.feed(0, None, &bad);
            users.feed(0, Some(&sender), &bad[..at]);
        }
    }
    assert!(codes.contains("ratchet.mac") && codes.contains("bundle.signature"), "{codes:?}");
    users.feed(0, Some(&sender), &good);
    assert_eq!(count_shown(&users, 0, "2"), 1);
    users.with(0, |it, now, rng| it.send_text(&to_bob, "3", now, rng)).unwrap();
    users.settle();
    assert_eq!(count_shown(&users, 1, "3"), 1);
}

#[test]
fn negotiated_topics_survive_a_restart() {
    let mut users = two();
    for (from, to) in [(0, 1), (1, 0)] {
        let chat = Chat::OneToOne(users.devices[to].me);
        users.with(from, |it, now, rng| it.send_text(&chat, "hi", now, rng)).unwrap();
        users.settle();
    }
    let other = users.devices[1].me;
    users.restart(0);
    let listening = users.devices[0].messenger.subscriptions().unwrap();
    let subjects: Vec<_> = listening.iter().map(|it| it.kind.clone()).collect();
    for expected in [
        TopicKind::Partitioned,
        TopicKind::Personal,
        TopicKind::ContactCode(users.devices[0].me),
        TopicKind::ContactCode(other),
        TopicKind::Negotiated(other),
    ] {
        assert!(subjects.contains(&expected), "{expected:?} in {subjects:?}");
    }
    assert_eq!(users.devices[0].messenger.chats().unwrap(), [Chat::OneToOne(other)]);
}

#[test]
fn debug_shows_no_key() {
    let mut users = two();
    let mut text = String::new();
    for at in 0..4 {
        let (from, to) = (at % 2, 1 - at % 2);
        let chat = Chat::OneToOne(users.devices[to].me);
        let sent = users.with(from, |it, now, rng| it.send_text(&chat, "hi", now, rng));
        text += &format!("{sent:?}");
        let ticked = users.with(from, |it, now, rng| it.tick(now, rng)).unwrap();
        text += &format!("{ticked:?}");
        let me = users.devices[from].me;
        for post in ticked.posts {
            text += &format!("{:?}", users.feed(to, Some(&me), &post.payload));
        }
        users.world.advance(Duration::from_secs(1));
        text += &format!("{:?}", users.devices[to].messenger);
        text += &format!("{:?}", users.devices[to].messenger.subscriptions());
    }
    let other = users.devices[1].me;
    let secret = *users.devices[0].identity.ecdh(&other).as_bytes();
    let sym = SymKey::from_password(&hex::encode(secret));
    let keys = users.devices.iter().map(|device| *device.identity.to_bytes());
    for key in keys.chain([secret, *sym.as_bytes()]) {
        assert!(!text.contains(&hex::encode(key)));
        assert!(!text.contains(&format!("{key:?}")));
    }
    assert!(text.contains("hi") && text.contains("SymKey(…)"));
}

/// A step of a random run.
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
    /// The next commit fails, as on a full disk.
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
    #![proptest_config(ProptestConfig {
        cases: rounds(12, 300), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Three users and a group: finally everyone has read everything once.
    #[test]
    fn whatever_happens_everything_arrives_once(steps in steps()) {
        let mut users = Messengers::new(World::new("chaos"), &["alice", "bob", "carol"]);
        let members = [users.devices[1].me, users.devices[2].me];
        let (group, _) = users
            .with(0, |it, now, rng| it.create_group("g", &members, now, rng))
            .unwrap();
        let id = group.chat_id().to_owned();
        users.settle();
        for device in [1, 2] {
            users.with(device, |it, now, rng| it.change_group(&id, Change::Join, now, rng)).unwrap();
            users.settle();
        }
        let mut expected: Vec<(usize, String)> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            let text = format!("text {at}");
            match step {
                Step::Say { from, to } if from != to => {
                    let chat = Chat::OneToOne(users.devices[to].me);
                    if users.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                        expected.push((to, text));
                    }
                }
                Step::Say { .. } => {}
                Step::SayGroup { from } => {
                    let chat = Chat::Group(id.clone());
                    if users.with(from, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                        expected.extend((0..3).filter(|to| *to != from).map(|to| (to, text.clone())));
                    }
                }
                Step::Tick { who } => users.tick(who),
                Step::Deliver { which } => users.deliver(which, false),
                Step::Drop { which } => users.lose(which),
                Step::Repeat { which } => users.deliver(which, true),
                Step::Batch => users.deliver_together(),
                Step::Restart { who } => users.restart(who),
                Step::Fail { who } => users.devices[who].store.set_failing(true),
                Step::Later { seconds } => users.world.advance(Duration::from_secs(seconds)),
            }
        }
        users.heal();
        users.settle();
        expected.sort();
        prop_assert_eq!(users.shown(), expected);
        for device in &mut users.devices {
            prop_assert!(device.messenger.is_idle().unwrap());
        }
    }
}

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::crypto::{PublicKey, SecretKey};

fn public(byte: u8) -> PublicKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap().public_key()
}

fn node(limits: Limits) -> Node<MemoryStore> {
    Node::with_limits(MemoryStore::default(), limits)
}

const GROUP: GroupId = GroupId([7; 32]);

#[test]
fn repetitions_grow_whatever_the_epoch_is() {
    assert_eq!([1, 2, 3, 4, 5].map(delay), [3, 8, 18, 38, 78]);
    assert_eq!([12, 13, 60, u64::MAX].map(delay), [10_238, 12_000, 12_000, 12_000]);
    for start in [0, 1_000_000] {
        let mut a = node(Limits::default());
        a.tick_to(start).unwrap();
        a.append(&public(2), GROUP, b"hi".to_vec(), 5).unwrap();
        let sent: Vec<_> = (1..100)
            .filter(|_| !a.tick().unwrap().payloads.is_empty())
            .map(|epoch| epoch as u64)
            .collect();
        assert_eq!(sent, [1, 4, 12, 30, 68]);
    }
}

#[test]
fn a_message_is_given_up_and_its_room_is_free_again() {
    let mut a = node(Limits { max_sends: 2, waiting: 1, ..Limits::default() });
    let peer = public(2);
    let id = a.append(&peer, GROUP, b"hi".to_vec(), 5).unwrap();
    assert_eq!(a.append(&peer, GROUP, b"hi".to_vec(), 5), Ok(id));
    let full = a.append(&peer, GROUP, b"hi".to_vec(), 6).unwrap_err();
    assert_eq!((full.code(), &full), ("sync.full", &SyncError::Full(1)));
    assert!(a.append(&public(3), GROUP, b"hi".to_vec(), 6).is_ok());
    let ticked = a.tick_to(1000).unwrap();
    assert_eq!(ticked.payloads.len(), 2);
    assert_eq!(a.tick_to(2000).unwrap().payloads.len(), 2);
    assert_eq!(a.tick_to(3000).unwrap().given_up.len(), 2);
    assert_eq!(a.waiting(&peer), Ok(0));
    assert!(a.append(&peer, GROUP, b"hi".to_vec(), 6).is_ok());
}

#[test]
fn a_peer_that_is_forgotten_leaves_nothing() {
    let (peer, other) = (public(2), public(3));
    let mut a = node(Limits { remembered: 3, ..Limits::default() });
    let both = |a: &mut Node<MemoryStore>, peer| {
        for number in 0..5 {
            a.append(&peer, GROUP, vec![number], 5).unwrap();
            let message = Message { group_id: GROUP, timestamp: 6, body: vec![number] };
            let offers = vec![MessageId([number; 32])];
            let payload = Payload { messages: vec![message], offers, ..Payload::default() };
            a.receive(&peer, payload).unwrap();
        }
    };
    both(&mut a, other);
    let count = |a: Node<MemoryStore>| {
        let rows = a.into_store();
        (rows.len(), Node::new(rows))
    };
    let (before, mut a) = count(a);
    both(&mut a, peer);
    a.forget_peer(&peer).unwrap();
    a.forget_peer(&peer).unwrap();
    let (after, mut a) = count(a);
    assert_eq!(after, before);
    assert!(a.tick().unwrap().payloads.iter().all(|(to, _)| *to == other));
}

#[test]
fn a_flood_leaves_a_bounded_store() {
    let limits = Limits { remembered: 10, wanted: 5, ..Limits::default() };
    let mut b = node(limits);
    let peer = public(1);
    for number in 0..100 {
        let message = Message { group_id: GROUP, timestamp: number, body: vec![1] };
        let offers = vec![MessageId([number as u8; 32])];
        let requests = offers.clone();
        let payload = Payload {
            offers,
            requests,
            acks: vec![MessageId([9; 32])],
            messages: vec![message],
            ..Payload::default()
        };
        let received = b.receive(&peer, payload).unwrap();
        assert_eq!((received.messages.len(), received.acked.len()), (1, 0));
    }
    let ticked = b.tick().unwrap();
    let [(to, answer)] = &ticked.payloads[..] else { panic!("{ticked:?}") };
    assert_eq!((to, answer.acks.len(), answer.requests.len()), (&peer, 10, 5));
    assert!(b.into_store().len() <= 2 + 2 * 10 + 5);
}

#[test]
fn a_body_is_read_whatever_the_group_id_is() {
    use prost::Message as _;
    let message = |group_id: &[u8], body: &[u8]| proto::Message {
        group_id: group_id.to_vec(),
        timestamp: 5,
        body: body.to_vec(),
    };
    let payload = proto::Payload {
        acks: vec![vec![1; 31]],
        messages: vec![
            message(&[], b"none"),
            message(&[7; 32], b"good"),
            message(&[7; 33], b"long"),
        ],
        ..Default::default()
    };
    let payload = Payload::detect(&payload.encode_to_vec()).unwrap();
    assert_eq!(payload.malformed, 1);
    let (mut b, peer) = (node(Limits::default()), public(1));
    let received = b.receive(&peer, payload.clone()).unwrap();
    let bodies: Vec<_> = received.strays.iter().map(|stray| &stray.body[..]).collect();
    assert_eq!((received.messages.len(), bodies), (1, vec![&b"none"[..], b"long"]));
    // They are repeated until they are acknowledged, as any other.
    let acks = |b: &mut Node<MemoryStore>| b.tick().unwrap().payloads[0].1.acks.len();
    assert_eq!(acks(&mut b), 3);
    let again = b.receive(&peer, payload).unwrap();
    assert_eq!((again.messages.len(), again.strays.len(), again.repeated.len()), (0, 0, 3));
    assert_eq!(acks(&mut b), 3);
}

#[test]
fn large_queues_go_in_parts() {
    let mut a = node(Limits { payload: 1000, ..Limits::default() });
    let peer = public(2);
    for number in 0..5_u8 {
        a.append(&peer, GROUP, vec![number; 400], 0).unwrap();
    }
    a.append(&peer, GROUP, vec![9; 5000], 0).unwrap();
    let mut order = Vec::new();
    for _ in 0..3 {
        for (_, payload) in a.tick().unwrap().payloads {
            assert!(payload.messages.len() <= 2);
            order.extend(payload.messages.into_iter().map(|message| message.body[0]));
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 9][..order.len()]);
    assert!(order.len() >= 5, "{order:?}");
}

#[test]
fn acknowledgements_make_nothing_too_large() {
    let mut a = node(Limits { payload: 1000, ..Limits::default() });
    let peer = public(2);
    for number in 0..20 {
        let message = Message { group_id: GROUP, timestamp: number, body: vec![1] };
        let payload = Payload { messages: vec![message], ..Payload::default() };
        a.receive(&peer, payload).unwrap();
    }
    // Both have room, but not together.
    a.append(&peer, GROUP, vec![9; 900], 0).unwrap();
    let mut payloads = a.tick().unwrap().payloads;
    payloads.sort_by_key(|(_, payload)| payload.acks.len());
    let parts: Vec<_> = payloads.iter().map(|(_, it)| (it.acks.len(), it.messages.len())).collect();
    assert_eq!(parts, [(0, 1), (20, 0)]);
    assert!(payloads.iter().all(|(_, it)| it.encode().len() <= 1000));
}

#[test]
fn offers_are_requested_and_known_ones_acknowledged() {
    let (a, b) = (public(1), public(2));
    let mut node = node(Limits::default());
    let message = Message { group_id: GroupId::from_pair(&a, &b), timestamp: 1, body: vec![1] };
    let id = message.id();
    let offer = || Payload { offers: vec![id], ..Payload::default() };
    // Twice: the reference would crash.
    node.receive(&a, offer()).unwrap();
    node.receive(&a, offer()).unwrap();
    let ticked = node.tick().unwrap();
    assert_eq!(ticked.payloads, [(a, Payload { requests: vec![id], ..Payload::default() })]);
    let payload = Payload { messages: vec![message.clone()], ..Payload::default() };
    assert_eq!(node.receive(&a, payload).unwrap().messages, [message]);
    let acks = [(a, Payload { acks: vec![id], ..Payload::default() })];
    assert_eq!(node.tick().unwrap().payloads, acks);
    node.receive(&a, offer()).unwrap();
    assert_eq!(node.tick().unwrap().payloads, acks);
    assert_eq!(node.tick_to(100_000).unwrap(), Ticked::default());
}

#[test]
fn a_damaged_store_is_an_error() {
    let mut store = MemoryStore::default();
    let mut a = Node::new(&mut store);
    a.append(&public(2), GROUP, vec![1], 1).unwrap();
    let key = rows::key(
        rows::Kind::Sending,
        &public(2),
        &Message { group_id: GROUP, timestamp: 1, body: vec![1] }.id(),
    );
    store.put(&key, b"short").unwrap();
    assert_eq!(Node::new(&mut store).tick(), Err(SyncError::Damaged));
}

/// What the network does with a payload.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Delivered,
    Twice,
    Late(u8),
}

/// Writes what has changed to where it lasts.
fn keep(store: &mut MemoryStore, kept: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    for (key, value) in store.take_changes() {
        match value {
            Some(value) => drop(kept.insert(key, value)),
            None => drop(kept.remove(&key)),
        }
    }
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Lost),
        Just(Fate::Delivered),
        Just(Fate::Twice),
        (1..20_u8).prop_map(Fate::Late)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_message_arrives_once_and_is_acknowledged(
        fates in proptest::collection::vec(any_fate(), 1..60),
        appended in proptest::collection::vec((0..2_usize, 0..40_u64), 1..12),
        restarts in proptest::collection::vec(0..60_u64, 0..3),
    ) {
        let keys = [public(1), public(2)];
        let group = GroupId::from_pair(&keys[0], &keys[1]);
        let mut stores = [MemoryStore::default(), MemoryStore::default()];
        // The rows as something durable has them.
        let mut kept = [BTreeMap::new(), BTreeMap::new()];
        let mut on_the_way: BTreeMap<u64, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        let mut fates = fates.into_iter();
        let (mut sent, mut arrived) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for now in 0..4000_u64 {
            for (number, (by, _)) in appended.iter().enumerate().filter(|(_, it)| it.1 == now) {
                let mut node = Node::new(&mut stores[*by]);
                let id = node.append(&keys[1 - by], group, vec![number as u8], now as i64).unwrap();
                sent[*by].push(id);
            }
            for (to, bytes) in on_the_way.remove(&now).unwrap_or_default() {
                let payload = Payload::detect(&bytes).expect("never empty");
                // A crash before it is written for good: as if it had never come.
                keep(&mut stores[to], &mut kept[to]);
                let received = Node::new(&mut stores[to]).receive(&keys[1 - to], payload).unwrap();
                if restarts.contains(&now) {
                    stores[to] = MemoryStore::from_rows(kept[to].clone());
                } else {
                    arrived[to].extend(received.messages.iter().map(Message::id));
                }
            }
            for from in [0, 1] {
                let ticked = Node::new(&mut stores[from]).tick().unwrap();
                prop_assert!(ticked.given_up.is_empty());
                for (to, payload) in ticked.payloads {
                    prop_assert_eq!(to, keys[1 - from]);
                    let at = match fates.next().unwrap_or(Fate::Delivered) {
                        Fate::Lost => vec![],
                        Fate::Delivered => vec![1],
                        Fate::Twice => vec![1, 5],
                        Fate::Late(late) => vec![u64::from(late)],
                    };
                    for after in at {
                        let queue = on_the_way.entry(now + after).or_default();
                        queue.push((1 - from, payload.encode()));
                    }
                }
            }
        }
        for from in [0, 1] {
            let mut got = arrived[1 - from].clone();
            got.sort();
            sent[from].sort();
            prop_assert_eq!(&got, &sent[from]);
            let node = Node::new(&mut stores[from]);
            prop_assert_eq!(node.waiting(&keys[1 - from]), Ok(0));
        }
    }
}

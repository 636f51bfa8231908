use std::{cell::Cell, collections::BTreeMap, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::{
    crypto::{PublicKey, SecretKey},
    time::UnixSeconds,
};

fn public(byte: u8) -> PublicKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap().public_key()
}

fn node(limits: SyncLimits) -> DataSync<MemorySyncStore> {
    DataSync::with_limits(MemorySyncStore::default(), limits)
}

const GROUP: GroupId = GroupId([7; 32]);

#[test]
fn delays_grow_and_do_not_depend_on_the_epoch() {
    assert_eq!([1, 2, 3, 4, 5].map(resend_delay), [3, 8, 18, 38, 78]);
    assert_eq!([12, 13, 60, u64::MAX].map(resend_delay), [10_238, 12_000, 12_000, 12_000]);
    for start in [0, 1_000_000] {
        let mut a = node(SyncLimits::default());
        assert_eq!(a.tick_to(start), Ok(SyncTick::default()));
        a.append(&public(2), GROUP, b"hi".to_vec(), UnixSeconds(5)).unwrap();
        let sent: Vec<_> = (1..100)
            .filter(|_| !a.tick().unwrap().payloads.is_empty())
            .map(|epoch| epoch as u64)
            .collect();
        assert_eq!(sent, [1, 4, 12, 30, 68]);
    }
}

#[test]
fn a_message_is_given_up_after_its_last_repetition() {
    let mut a = node(SyncLimits { max_sends: 2, max_waiting: 1, ..SyncLimits::default() });
    let peer = public(2);
    let id = a.append(&peer, GROUP, b"hi".to_vec(), UnixSeconds(5)).unwrap();
    assert_eq!(a.append(&peer, GROUP, b"hi".to_vec(), UnixSeconds(5)), Ok(id));
    let full = a.append(&peer, GROUP, b"hi".to_vec(), UnixSeconds(6)).unwrap_err();
    assert_eq!((full.code(), &full), ("sync.full", &SyncError::Full(1)));
    assert!(a.append(&public(3), GROUP, b"hi".to_vec(), UnixSeconds(6)).is_ok());
    let ticked = a.tick_to(1000).unwrap();
    assert_eq!(ticked.payloads.len(), 2);
    assert_eq!(a.tick_to(2000).unwrap().payloads.len(), 2);
    assert_eq!(a.tick_to(3000).unwrap().given_up.len(), 2);
    assert_eq!(a.waiting(&peer), Ok(0));
    assert!(a.append(&peer, GROUP, b"hi".to_vec(), UnixSeconds(6)).is_ok());
}

#[test]
fn a_payload_is_handled_up_to_a_limit_and_the_rest_comes_again() {
    let (mut a, mut b) = (node(SyncLimits::default()), node(SyncLimits::default()));
    let (alice, bob) = (public(2), public(3));
    let messages = |range: std::ops::Range<usize>| {
        let message = |at: usize| SyncMessage::new(GROUP, 5, at.to_be_bytes().to_vec());
        range.map(message).collect::<Vec<_>>()
    };
    // A flood: of each kind, what is beyond the limit is dropped and counted.
    let ids: Vec<_> = messages(0..MAX_ITEMS + 70).iter().map(SyncMessage::id).collect();
    let flood = SyncPayload {
        acks: ids.clone(),
        offers: ids.clone(),
        requests: ids,
        messages: messages(0..MAX_ITEMS + 7),
        ..SyncPayload::default()
    };
    let read = SyncPayload::detect(&flood.encode()).unwrap();
    let lengths = [read.acks.len(), read.offers.len(), read.requests.len(), read.messages.len()];
    assert_eq!((lengths, read.beyond), ([MAX_ITEMS; 4], 3 * 70 + 7));
    let received = b.receive(&alice, read).unwrap();
    assert_eq!((received.messages.len(), received.beyond), (MAX_ITEMS, 217));
    // Only what was taken is acknowledged.
    let acks = b.tick().unwrap().payloads.remove(0).1.acks;
    assert_eq!(acks.len(), MAX_ITEMS);
    assert!(messages(MAX_ITEMS..MAX_ITEMS + 7).iter().all(|it| !acks.contains(&it.id())));
    // Our own payloads stay within the limit, and all messages arrive in the end.
    for at in 0..2 * MAX_ITEMS + 5 {
        a.append(&bob, GROUP, (at + 10_000).to_be_bytes().to_vec(), UnixSeconds(5)).unwrap();
    }
    let mut got = 0;
    for _ in 0..8 {
        for (_, payload) in a.tick().unwrap().payloads {
            assert!(payload.messages.len() <= MAX_ITEMS && payload.acks.len() <= MAX_ITEMS);
            let read = SyncPayload::detect(&payload.encode()).unwrap();
            assert_eq!(read, payload);
            got += b.receive(&alice, read).unwrap().messages.len();
        }
        for (_, payload) in b.tick().unwrap().payloads {
            assert!(payload.acks.len() <= MAX_ITEMS);
            a.receive(&bob, payload).unwrap();
        }
    }
    assert_eq!((got, a.waiting(&bob)), (2 * MAX_ITEMS + 5, Ok(0)));
}

#[test]
fn messages_are_repeated_at_once_for_a_new_device() {
    let mut a = node(SyncLimits::default());
    let (peer, other) = (public(2), public(3));
    for to in [peer, other] {
        a.append(&to, GROUP, b"hi".to_vec(), UnixSeconds(5)).unwrap();
    }
    let sent = |ticked: SyncTick| ticked.payloads.iter().map(|it| it.0).collect::<Vec<_>>();
    for epoch in [1, 4, 12] {
        assert_eq!(sent(a.tick_to(epoch).unwrap()).len(), 2);
    }
    assert!(sent(a.tick_to(13).unwrap()).is_empty());
    a.repeat_at_once(&peer).unwrap();
    assert_eq!(sent(a.tick_to(14).unwrap()), [peer]);
    assert_eq!(sent(a.tick_to(30).unwrap()), [other]);
}

#[test]
fn forget_peer_deletes_all_rows() {
    let (peer, other) = (public(2), public(3));
    let mut a = node(SyncLimits { max_remembered: 3, ..SyncLimits::default() });
    let both = |a: &mut DataSync<MemorySyncStore>, peer| {
        for number in 0..5 {
            a.append(&peer, GROUP, vec![number], UnixSeconds(5)).unwrap();
            let message = SyncMessage::new(GROUP, 6, vec![number]);
            let offers = vec![SyncMessageId([number; 32])];
            let payload = SyncPayload { messages: vec![message], offers, ..SyncPayload::default() };
            a.receive(&peer, payload).unwrap();
        }
    };
    both(&mut a, other);
    let count = |a: DataSync<MemorySyncStore>| {
        let rows = a.into_store();
        (rows.len(), DataSync::new(rows))
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
    let limits = SyncLimits { max_remembered: 10, max_wanted: 5, ..SyncLimits::default() };
    let mut b = node(limits);
    let peer = public(1);
    for number in 0..100 {
        let message = SyncMessage::new(GROUP, number, vec![1]);
        let offers = vec![SyncMessageId([number as u8; 32])];
        let requests = offers.clone();
        let payload = SyncPayload {
            offers,
            requests,
            acks: vec![SyncMessageId([9; 32])],
            messages: vec![message],
            ..SyncPayload::default()
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
fn messages_with_a_malformed_group_id_are_received() {
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
    let payload = SyncPayload::detect(&payload.encode_to_vec()).unwrap();
    assert_eq!(payload.malformed, 1);
    let (mut b, peer) = (node(SyncLimits::default()), public(1));
    let received = b.receive(&peer, payload.clone()).unwrap();
    let bodies: Vec<_> = received.strays.iter().map(|stray| &stray.body[..]).collect();
    assert_eq!((received.messages.len(), bodies), (1, vec![&b"none"[..], b"long"]));
    // They are acknowledged like others.
    let acks = |b: &mut DataSync<MemorySyncStore>| b.tick().unwrap().payloads[0].1.acks.len();
    assert_eq!(acks(&mut b), 3);
    let again = b.receive(&peer, payload).unwrap();
    assert_eq!((again.messages.len(), again.strays.len(), again.repeated.len()), (0, 0, 3));
    assert_eq!(acks(&mut b), 3);
}

#[test]
fn large_queues_are_split() {
    let mut a = node(SyncLimits { max_payload: 1000, ..SyncLimits::default() });
    let peer = public(2);
    for number in 0..5_u8 {
        a.append(&peer, GROUP, vec![number; 400], UnixSeconds::EPOCH).unwrap();
    }
    a.append(&peer, GROUP, vec![9; 5000], UnixSeconds::EPOCH).unwrap();
    let mut order = Vec::new();
    for _ in 0..3 {
        for (_, payload) in a.tick().unwrap().payloads {
            assert!(payload.messages.len() <= 2);
            order.extend(payload.messages.into_iter().map(|message| message.body()[0]));
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 9][..order.len()]);
    assert!(order.len() >= 5, "{order:?}");
}

#[test]
fn acknowledgements_never_make_a_payload_too_large() {
    let mut a = node(SyncLimits { max_payload: 1000, ..SyncLimits::default() });
    let peer = public(2);
    for number in 0..20 {
        let message = SyncMessage::new(GROUP, number, vec![1]);
        let payload = SyncPayload { messages: vec![message], ..SyncPayload::default() };
        a.receive(&peer, payload).unwrap();
    }
    // Each fits into a payload, but not both.
    a.append(&peer, GROUP, vec![9; 900], UnixSeconds::EPOCH).unwrap();
    let mut payloads = a.tick().unwrap().payloads;
    payloads.sort_by_key(|(_, payload)| payload.acks.len());
    let parts: Vec<_> = payloads.iter().map(|(_, it)| (it.acks.len(), it.messages.len())).collect();
    assert_eq!(parts, [(0, 1), (20, 0)]);
    assert!(payloads.iter().all(|(_, it)| it.encode().len() <= 1000));
}

#[test]
fn offers_are_requested_and_known_ones_acknowledged() {
    let (a, b) = (public(1), public(2));
    let mut node = node(SyncLimits::default());
    let message = SyncMessage::new(GroupId::from_pair(&a, &b), 1, vec![1]);
    let id = message.id();
    let offer = || SyncPayload { offers: vec![id], ..SyncPayload::default() };
    // Twice, which crashes the reference.
    node.receive(&a, offer()).unwrap();
    node.receive(&a, offer()).unwrap();
    let ticked = node.tick().unwrap();
    assert_eq!(
        ticked.payloads,
        [(a, SyncPayload { requests: vec![id], ..SyncPayload::default() })]
    );
    let payload = SyncPayload { messages: vec![message.clone()], ..SyncPayload::default() };
    assert_eq!(node.receive(&a, payload).unwrap().messages, [message]);
    let acks = [(a, SyncPayload { acks: vec![id], ..SyncPayload::default() })];
    assert_eq!(node.tick().unwrap().payloads, acks);
    node.receive(&a, offer()).unwrap();
    assert_eq!(node.tick().unwrap().payloads, acks);
    assert_eq!(node.tick_to(100_000).unwrap(), SyncTick::default());
}

/// Counts the rows that scans visit.
#[derive(Default)]
struct CountingStore {
    inner: MemorySyncStore,
    visited: Cell<usize>,
}

impl SyncStore for CountingStore {
    type Error = Infallible;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        self.inner.get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Infallible> {
        self.inner.put(key, value)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Infallible> {
        self.inner.remove(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Infallible> {
        self.inner.scan(prefix, &mut |key, value| {
            self.visited.set(self.visited.get() + 1);
            visit(key, value);
        })
    }
}

#[test]
fn a_flood_of_offers_scans_each_row_once() {
    let mut store = CountingStore::default();
    let flood = |start: u16| {
        let id = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            SyncMessageId(id)
        };
        let offers = (start..start + 1000).map(id).collect();
        SyncPayload { offers, ..SyncPayload::default() }
    };
    for (start, visited) in [(0, 0), (0, 256), (5000, 512)] {
        DataSync::new(&mut store).receive(&public(1), flood(start)).unwrap();
        assert_eq!(store.visited.get(), visited);
    }
    let ticked = DataSync::new(&mut store).tick().unwrap();
    assert_eq!(ticked.payloads[0].1.requests, flood(0).offers[..256]);
    assert_eq!(store.visited.get(), 512 + 256);
}

#[test]
fn a_damaged_store_is_an_error() {
    let mut store = MemorySyncStore::default();
    let mut a = DataSync::new(&mut store);
    a.append(&public(2), GROUP, vec![1], UnixSeconds(1)).unwrap();
    let key = rows::key(rows::Kind::Sending, &public(2), &SyncMessage::new(GROUP, 1, vec![1]).id());
    store.put(&key, b"short").unwrap();
    assert_eq!(DataSync::new(&mut store).tick(), Err(SyncError::Damaged));
}

/// What the network does with a payload.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Delivered,
    Twice,
    Late(u8),
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
        let mut stores = [MemorySyncStore::default(), MemorySyncStore::default()];
        let mut on_the_way: BTreeMap<u64, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        let mut fates = fates.into_iter();
        let (mut sent, mut arrived) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let last_appended = appended.iter().map(|it| it.1).max().unwrap_or(0);
        // Pauses double with each loss. So the end is a settled world, not a number of ticks.
        for now in 0..1_000_000_u64 {
            let waiting = [0, 1].map(|by| {
                DataSync::new(&mut stores[by]).waiting(&keys[1 - by]).unwrap()
            });
            if now > last_appended && waiting == [0, 0] && on_the_way.is_empty() {
                break;
            }
            for (number, (by, _)) in appended.iter().enumerate().filter(|(_, it)| it.1 == now) {
                let mut node = DataSync::new(&mut stores[*by]);
                let id = node.append(&keys[1 - by], group, vec![number as u8], UnixSeconds(now as u32)).unwrap();
                sent[*by].push(id);
            }
            for (to, bytes) in on_the_way.remove(&now).unwrap_or_default() {
                let payload = SyncPayload::detect(&bytes).expect("never empty");
                let before = stores[to].clone();
                let received = DataSync::new(&mut stores[to]).receive(&keys[1 - to], payload).unwrap();
                if restarts.contains(&now) {
                    // A crash before the commit: as if it was never received.
                    stores[to] = before;
                } else {
                    arrived[to].extend(received.messages.iter().map(SyncMessage::id));
                }
            }
            for from in [0, 1] {
                let ticked = DataSync::new(&mut stores[from]).tick().unwrap();
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
            let node = DataSync::new(&mut stores[from]);
            prop_assert_eq!(node.waiting(&keys[1 - from]), Ok(0));
        }
    }
}

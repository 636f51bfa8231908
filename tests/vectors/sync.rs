//! Vectors of data sync: `mvds`.

use serde_json::Value;
use statuskit_core::{
    crypto::PublicKey,
    protobuf::{Fields, Value as FieldValue},
    sync::{
        DataSync, GroupId, MemorySyncStore, SyncMessage, SyncMessageId, SyncPayload, resend_delay,
    },
    time::UnixSeconds,
};

use crate::case::{Case, Set, is_foreign};

pub fn mvds(set: &mut Set) {
    set.each("message_ids", |case| {
        let message = a_message(case);
        let encoded = case.plain_hex("encoded_message");
        assert_eq!(message.encode(), encoded, "{case}");
        assert_eq!(SyncMessage::decode(&encoded), Some(message), "{case}");
    });
    set.each("group_ids", |case| {
        let [a, b] = ["public_a", "public_b"].map(|member| public_key(case, member));
        assert_eq!(a.to_uncompressed()[..], case.plain_hex("peer_id_a"), "{case}");
        let expected = GroupId(case.plain_hex("group_id").try_into().unwrap());
        assert_eq!(
            [GroupId::from_pair(&a, &b), GroupId::from_pair(&b, &a)],
            [expected; 2],
            "{case}"
        );
    });
    set.each("payloads", |case| {
        a_payload(case);
    });
    set.each("detection", |case| {
        let bytes = case.plain_hex("bytes");
        let found = SyncPayload::detect(&bytes);
        assert_eq!(found.is_some(), case.bool("is_mvds"), "{case}");
        // What does not decode is not data sync.
        assert!(!case.value("error").is_string() || found.is_none(), "{case}");
        if let Some(found) = found {
            // Round-trips, unless it has unknown content or another order.
            let again = SyncPayload::detect(&found.encode()).unwrap_or_default();
            let read = SyncPayload { malformed: 0, strays: Vec::new(), ..found.clone() };
            assert_eq!(again, read, "{case}");
            assert!(found.encode().len() <= bytes.len(), "{case}");
            if read == found && found.encode().len() == bytes.len() && is_sorted(&bytes) {
                assert_eq!(found.encode(), bytes, "{case}");
            }
        }
    });
    set.each("flows", |case| {
        let flow = Flow::read(case);
        (0..2).for_each(|who| flow.play(who));
    });
}

/// Returns whether the fields of a payload and its messages are in order, as encoders write them.
fn is_sorted(bytes: &[u8]) -> bool {
    let fields: Vec<_> = Fields::new(bytes).map(Result::unwrap).collect();
    fields.is_sorted_by_key(|field| field.number)
        && fields.iter().all(|field| match (field.number, field.value) {
            (5004, FieldValue::Bytes(message)) => is_sorted(message),
            _ => true,
        })
}

/// Returns the message of a case, and asserts its ID.
fn a_message(case: &Case<'_>) -> SyncMessage {
    let timestamp = match case.get("timestamp") {
        Value::String(text) => text.parse().unwrap(),
        number => number.as_i64().unwrap(),
    };
    let group_id = GroupId(case.plain_hex("group_id").try_into().unwrap());
    let message = SyncMessage::new(group_id, timestamp, case.plain_hex("body"));
    assert_eq!(message.id().0[..], case.plain_hex("id"), "{case}");
    message
}

/// Returns the payload of a case, and asserts that its bytes decode to it.
fn a_payload(case: &Case<'_>) -> SyncPayload {
    let ids = |member: &str| {
        let ids = case.list(member).iter().map(|id| {
            let id = hex::decode(id.as_str().unwrap()).unwrap();
            SyncMessageId(id.try_into().unwrap())
        });
        ids.collect()
    };
    let messages = case.list("messages").iter().enumerate().map(|(index, message)| {
        let inner = Case::new(format!("{case}.messages[{index}]"), message);
        let message = a_message(&inner);
        inner.finish();
        message
    });
    let payload = SyncPayload {
        acks: ids("acks"),
        offers: ids("offers"),
        requests: ids("requests"),
        messages: messages.collect(),
        ..SyncPayload::default()
    };
    let encoded = case.plain_hex("encoded");
    assert_eq!(payload.encode(), encoded, "{case}");
    assert_eq!(
        SyncPayload::detect(&encoded),
        Some(payload.clone()).filter(|it| !it.is_empty()),
        "{case}"
    );
    payload
}

fn public_key(case: &Case<'_>, member: &str) -> PublicKey {
    PublicKey::from_slice(&case.plain_hex(member)).unwrap()
}

/// A recorded conversation of two nodes of the reference.
struct Flow {
    path: String,
    keys: [PublicKey; 2],
    group_id: GroupId,
    /// Author, content and time of each message, as sent on the wire.
    appended: Vec<(usize, SyncMessage)>,
    payloads: Vec<Sent>,
}

struct Sent {
    from: usize,
    epoch: u64,
    lost: bool,
    payload: SyncPayload,
}

impl Flow {
    fn read(case: &Case<'_>) -> Self {
        let who = |case: &Case<'_>, member| usize::from(case.str(member) == "b");
        let payloads: Vec<_> = case
            .list("payloads")
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let inner = Case::new(format!("{case}.payloads[{index}]"), value);
                let payload = a_payload(&inner);
                assert_eq!(payload.is_empty(), inner.bool("empty"), "{inner}");
                let sent = Sent {
                    from: who(&inner, "from"),
                    epoch: inner.u64("epoch_of_sender"),
                    lost: inner.bool("lost"),
                    payload,
                };
                inner.finish();
                sent
            })
            .collect();
        let keys = ["public_a", "public_b"].map(|member| public_key(case, member));
        let group_id = GroupId(case.plain_hex("group_id").try_into().unwrap());
        assert_eq!(GroupId::from_pair(&keys[0], &keys[1]), group_id, "{case}");
        let appended = case.list("appended").iter().enumerate().filter_map(|(index, value)| {
            let inner = Case::new(format!("{case}.appended[{index}]"), value);
            let (body, id) = (inner.plain_hex("body"), inner.plain_hex("id"));
            let by = who(&inner, "by");
            let mut sent = payloads.iter().flat_map(|sent| &sent.payload.messages);
            // The time of a message that was only offered is unknown.
            let message = sent.find(|message| message.id().0[..] == id).cloned();
            assert!(message.as_ref().is_none_or(|it| it.body() == body), "{inner}");
            inner.finish();
            Some((by, message?))
        });
        Self { path: case.to_string(), keys, group_id, appended: appended.collect(), payloads }
    }

    /// Plays one node against the recorded payloads of the other.
    fn play(&self, me: usize) {
        let path = &self.path;
        let peer = self.keys[1 - me];
        let mut node = DataSync::new(MemorySyncStore::default());
        let epochs = self.epochs(me);
        for (by, message) in &self.appended {
            if *by == me {
                let body = message.body().to_vec();
                let sent = UnixSeconds(message.timestamp().try_into().unwrap());
                let id = node.append(&peer, self.group_id, body, sent).unwrap();
                assert_eq!(id, message.id(), "{path}");
            }
        }
        let mut delivered = Vec::new();
        for (index, sent) in self.payloads.iter().enumerate() {
            // Nothing happens until shortly before this node's next payload.
            let mine = (index..self.payloads.len()).find(|at| self.payloads[*at].from == me);
            while mine.is_some_and(|mine| node.epoch().unwrap() + 1 < epochs[mine]) {
                let ticked = node.tick().unwrap();
                // We request earlier than the reference, and so may repeat the request.
                let asks = |(_, payload): &(PublicKey, SyncPayload)| {
                    let rest = SyncPayload { requests: Vec::new(), ..payload.clone() };
                    is_foreign() && rest.is_empty()
                };
                assert!(ticked.payloads.iter().all(asks), "{path}: early: {ticked:?}");
            }
            if sent.from != me {
                if !sent.lost {
                    let received = node.receive(&peer, sent.payload.clone()).unwrap();
                    delivered.extend(received.messages);
                }
                continue;
            }
            let mut ticked = node.tick_to(epochs[index]).unwrap().payloads;
            let said = ticked.pop().map(|(to, payload)| {
                assert_eq!(to, peer, "{path}");
                payload
            });
            assert_eq!(said, self.expected(index), "{path}: epoch {}", sent.epoch);
        }
        // Each received message was delivered once.
        let came = |message: &SyncMessage| {
            let theirs = self.payloads.iter().filter(|sent| sent.from != me && !sent.lost);
            theirs.flat_map(|sent| &sent.payload.messages).any(|it| it == message)
        };
        let expected: Vec<_> =
            self.appended.iter().map(|(_, message)| message).filter(|it| came(it)).collect();
        assert_eq!(delivered.iter().collect::<Vec<_>>(), expected, "{path}");
    }

    /// Returns the epochs of this node's payloads with a fresh counter. Epochs may differ by one
    /// between runs, and the reference's pauses depend on them.
    fn epochs(&self, me: usize) -> Vec<u64> {
        let offers = self.payloads.iter().any(|sent| !sent.payload.offers.is_empty());
        let appends = self.appended.iter().any(|(by, _)| *by == me);
        let shift = u64::from(self.payloads.iter().any(|it| it.from == me && it.epoch == 0));
        // The epoch of the last payload, in the vectors and here; the same for the last message.
        let mut last: Option<(u64, u64)> = None;
        let mut sent_last: Option<(u64, u64)> = None;
        let mut sends = 0;
        let epochs = self.payloads.iter().map(|sent| {
            let is_message = !sent.payload.messages.is_empty();
            let epoch = match (last, sent_last) {
                _ if sent.from != me => return 0,
                _ if !appends => sent.epoch + shift,
                (None, _) => 1,
                (_, Some((theirs, ours))) if is_message && !offers => {
                    let expected = 2 * theirs + 2 * sends;
                    let off = expected.abs_diff(sent.epoch);
                    assert!(off <= u64::from(is_foreign()), "{}: not {expected}", self.path);
                    ours + resend_delay(sends)
                }
                (Some((theirs, ours)), _) => ours + (sent.epoch - theirs),
            };
            last = Some((sent.epoch, epoch));
            if is_message {
                (sent_last, sends) = (last, sends + 1);
            }
            epoch
        });
        epochs.collect()
    }

    /// Returns our payload in place of the reference's payload at `index`.
    fn expected(&self, index: usize) -> Option<SyncPayload> {
        let sent = &self.payloads[index];
        let me = sent.from;
        let last = self.payloads[..index].iter().rposition(|it| it.from == me);
        let before = last.map_or(0, |last| last + 1);
        // Received payloads before and after this node's last payload.
        let come = |range: std::ops::Range<usize>| {
            let come = self.payloads[range].iter().filter(move |it| it.from != me && !it.lost);
            come.map(|it| &it.payload)
        };
        let ids = |range| come(range).flat_map(|it| &it.messages).map(SyncMessage::id);
        let old: Vec<_> = ids(0..before).collect();
        let mut payload = sent.payload.clone();
        // For a repeated message the reference sends an empty payload, and we acknowledge it again.
        if payload.is_empty() {
            payload.acks = ids(before..index).filter(|id| old.contains(id)).collect();
        }
        // We send no offers: the message goes at once, and again on request.
        let is_offering = |who: usize| {
            self.payloads.iter().any(|it| it.from == who && !it.payload.offers.is_empty())
        };
        if is_offering(me) {
            let wanted: Vec<_> = match (payload.offers.is_empty(), payload.messages.is_empty()) {
                (false, true) => payload.offers.clone(),
                _ => come(before..index).flat_map(|it| it.requests.clone()).collect(),
            };
            payload.offers.clear();
            let mine =
                self.appended.iter().filter(|(by, it)| *by == me && wanted.contains(&it.id()));
            payload.messages = mine.map(|(_, it)| it.clone()).collect();
        }
        // The reference's tick may fall between an offer and our tick: we request in our first payload
        // after it.
        if is_offering(1 - me) {
            let new: Vec<_> = ids(before..index).collect();
            let offers = come(before..index).flat_map(|it| it.offers.clone());
            payload.requests = offers.filter(|id| !old.contains(id) && !new.contains(id)).collect();
        }
        Some(payload).filter(|payload| !payload.is_empty())
    }
}

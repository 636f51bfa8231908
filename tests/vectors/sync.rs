//! The file about data sync: `mvds`.

use statuskit::{
    crypto::PublicKey,
    sync::{GroupId, MemoryStore, Message, MessageId, Node, Payload},
};

use crate::case::{Case, Set};

pub fn mvds(set: &mut Set) {
    set.each("message_ids", |case| {
        let message = a_message(case);
        let encoded = case.plain_hex("encoded_message");
        assert_eq!(message.encode(), encoded, "{case}");
        assert_eq!(Message::decode(&encoded), Some(message), "{case}");
    });
    set.each("group_ids", |case| {
        let [a, b] = ["public_a", "public_b"].map(|member| public_key(case, member));
        assert_eq!(a.to_uncompressed()[..], case.plain_hex("peer_id_a"), "{case}");
        let expected = GroupId(case.plain_hex("group_id").try_into().unwrap());
        assert_eq!([GroupId::of_pair(&a, &b), GroupId::of_pair(&b, &a)], [expected; 2], "{case}");
    });
    set.each("payloads", |case| {
        a_payload(case);
    });
    set.each("detection", |case| {
        let bytes = case.plain_hex("bytes");
        let found = Payload::detect(&bytes);
        assert_eq!(found.is_some(), case.bool("is_mvds"), "{case}");
        // What does not decode at all is no data sync either.
        assert!(!case.value("error").is_string() || found.is_none(), "{case}");
        if let Some(found) = found {
            assert_eq!((found.malformed, found.encode()), (0, bytes), "{case}");
        }
    });
    set.each("flows", |case| {
        let flow = Flow::read(case);
        (0..2).for_each(|who| flow.play(who));
    });
}

/// The message of a case, whose id must be right.
fn a_message(case: &Case<'_>) -> Message {
    let message = Message {
        group_id: GroupId(case.plain_hex("group_id").try_into().unwrap()),
        timestamp: case.get("timestamp").as_i64().unwrap(),
        body: case.plain_hex("body"),
    };
    assert_eq!(message.id().0[..], case.plain_hex("id"), "{case}");
    message
}

/// The payload of a case, which must be what its bytes say.
fn a_payload(case: &Case<'_>) -> Payload {
    let ids = |member: &str| {
        let ids = case.list(member).iter().map(|id| {
            let id = hex::decode(id.as_str().unwrap()).unwrap();
            MessageId(id.try_into().unwrap())
        });
        ids.collect()
    };
    let messages = case.list("messages").iter().enumerate().map(|(index, message)| {
        let inner = Case::new(format!("{case}.messages[{index}]"), message);
        let message = a_message(&inner);
        inner.finish();
        message
    });
    let payload = Payload {
        acks: ids("acks"),
        offers: ids("offers"),
        requests: ids("requests"),
        messages: messages.collect(),
        ..Payload::default()
    };
    let encoded = case.plain_hex("encoded");
    assert_eq!(payload.encode(), encoded, "{case}");
    assert_eq!(
        Payload::detect(&encoded),
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
    kind: String,
    keys: [PublicKey; 2],
    group_id: GroupId,
    /// Who appended what, and when: the time is that of the messages on their way.
    appended: Vec<(usize, Message)>,
    payloads: Vec<Sent>,
}

struct Sent {
    from: usize,
    epoch: u64,
    lost: bool,
    payload: Payload,
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
        assert_eq!(GroupId::of_pair(&keys[0], &keys[1]), group_id, "{case}");
        let appended = case.list("appended").iter().enumerate().map(|(index, value)| {
            let inner = Case::new(format!("{case}.appended[{index}]"), value);
            let (body, id) = (inner.plain_hex("body"), inner.plain_hex("id"));
            let by = who(&inner, "by");
            let mut sent = payloads.iter().flat_map(|sent| &sent.payload.messages);
            let message = sent.find(|message| message.id().0[..] == id).unwrap().clone();
            assert_eq!(message.body, body, "{inner}");
            inner.finish();
            (by, message)
        });
        Self {
            path: case.to_string(),
            kind: case.get("name").as_str().map(str::to_owned).unwrap(),
            keys,
            group_id,
            appended: appended.collect(),
            payloads,
        }
    }

    /// Plays one of the two against what the other has said.
    fn play(&self, me: usize) {
        let path = &self.path;
        let peer = self.keys[1 - me];
        let mut node = Node::new(MemoryStore::default());
        for (by, message) in &self.appended {
            if *by == me {
                let body = message.body.clone();
                let id = node.append(&peer, self.group_id, body, message.timestamp).unwrap();
                assert_eq!(id, message.id(), "{path}");
            }
        }
        let mut delivered = Vec::new();
        let mut last_ack = None;
        for (index, sent) in self.payloads.iter().enumerate() {
            // Until shortly before the next time that I say something, there is silence.
            let mine = self.payloads[index..].iter().find(|sent| sent.from == me);
            while mine.is_some_and(|mine| node.epoch().unwrap() + 1 < mine.epoch) {
                let ticked = node.tick().unwrap();
                assert!(ticked.payloads.is_empty(), "{path}: early: {ticked:?}");
            }
            if sent.from != me {
                if !sent.lost {
                    let received = node.receive(&peer, sent.payload.clone()).unwrap();
                    delivered.extend(received.messages);
                }
                continue;
            }
            let mut ticked = node.tick_to(sent.epoch).unwrap().payloads;
            let said = ticked.pop().map(|(to, payload)| {
                assert_eq!(to, peer, "{path}");
                payload
            });
            let expected = self.expected(sent, &mut last_ack);
            assert_eq!(said, expected, "{path}: epoch {}", sent.epoch);
        }
        // Each message that came was handed on once.
        let came = |message: &Message| {
            let theirs = self.payloads.iter().filter(|sent| sent.from != me && !sent.lost);
            theirs.flat_map(|sent| &sent.payload.messages).any(|it| it == message)
        };
        let expected: Vec<_> =
            self.appended.iter().map(|(_, message)| message).filter(|it| came(it)).collect();
        assert_eq!(delivered.iter().collect::<Vec<_>>(), expected, "{path}");
    }

    /// What we say where the reference said `sent`.
    fn expected(&self, sent: &Sent, last_ack: &mut Option<Payload>) -> Option<Payload> {
        if !sent.payload.acks.is_empty() {
            *last_ack = Some(sent.payload.clone());
        }
        match &*self.kind {
            // Where the reference sends an empty payload for a message that has come again, we
            // acknowledge it again.
            "batch_ack_lost" if sent.payload.is_empty() => last_ack.clone(),
            // We make no offers: the message goes at once, and again when it is asked for.
            "interactive" if sent.from == 0 => match sent.epoch {
                1 | 3 => {
                    let messages = self.appended.iter().map(|(_, it)| it.clone()).collect();
                    Some(Payload { messages, ..Payload::default() })
                }
                _ => None,
            },
            // Its receiver's tick falls between the offer and ours: we ask one earlier.
            "interactive" if sent.epoch <= 2 => {
                let asked = self.payloads.iter().find(|it| !it.payload.requests.is_empty());
                asked.filter(|_| sent.epoch == 1).map(|it| it.payload.clone())
            }
            _ => Some(sent.payload.clone()).filter(|payload| !payload.is_empty()),
        }
    }
}

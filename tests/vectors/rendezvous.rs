//! Vectors of rendezvous: messages, peer ids, and what a server decides.

use std::time::{Duration, Instant};

use statuskit_core::{
    crypto::PublicKey,
    discovery::{
        Multiaddr, PeerId, TopicName, UnverifiedRecord,
        rendezvous::{Discover, Frame, MAX_RESPONSE, Register, Request, Response, Status, kind},
    },
};
use statuskit_net::discovery::rendezvous::Registry;

use crate::case::{Case, Set, bytes};

pub fn rendezvous(set: &mut Set) {
    set.one("rendezvous", |case| {
        for (member, assert) in [
            ("messages", message as fn(&Case<'_>)),
            ("peer_ids", peer_id),
            ("server_decisions", server_decision),
        ] {
            for (index, value) in case.list(member).iter().enumerate() {
                let inner = Case::new(format!("{case}.{member}[{index}]"), value);
                assert(&inner);
                inner.finish();
            }
        }
    });
}

fn message(case: &Case<'_>) {
    let encoded = case.hex("bytes");
    let (frame, used) = Frame::read(&encoded, MAX_RESPONSE).unwrap().unwrap();
    assert_eq!(used, encoded.len(), "{case}");
    let again = match frame.kind {
        kind::REGISTER => {
            let register = Register {
                topic: case.str("topic").into(),
                record: UnverifiedRecord::decode(&case.hex("record")).unwrap(),
                ttl: Duration::from_nanos(case.u64("ttl_ns")),
            };
            let request = Request::Register(register);
            assert_eq!(Request::decode(frame).as_ref(), Ok(&request), "{case}");
            request.encode()
        }
        kind::DISCOVER => {
            let discover = Discover { limit: case.u64("limit"), topic: case.str("topic").into() };
            let request = Request::Discover(discover);
            assert_eq!(Request::decode(frame).as_ref(), Ok(&request), "{case}");
            request.encode()
        }
        kind => {
            let records = (kind == kind::DISCOVER_RESPONSE).then(|| {
                case.list("records").iter().map(|record| bytes(record, "record")).collect()
            });
            let response = Response {
                status: Status::from_number(case.u64("status")),
                message: case.str("message").to_owned(),
                records,
            };
            assert_eq!(Response::decode(frame, kind).as_ref(), Ok(&response), "{case}");
            assert!(response.records().all(|record| record.is_ok()), "{case}");
            response.encode()
        }
    };
    assert_eq!(again, encoded, "{case}");
}

fn peer_id(case: &Case<'_>) {
    let key = PublicKey::from_slice(&case.hex("public_key")).unwrap();
    assert_eq!(key.to_xy()[..], case.hex("enode_id"), "{case}");
    let peer = PeerId::from_key(&key);
    assert_eq!(peer.to_string(), case.str("peer_id"), "{case}");
    assert_eq!(case.str("peer_id").parse(), Ok(peer), "{case}");
    assert_eq!(peer.to_bytes(), case.hex("peer_id_bytes"), "{case}");
    assert_eq!(PeerId::from_bytes(&case.hex("peer_id_bytes")), Ok(peer), "{case}");
    let address: Multiaddr = case.str("multiaddr").parse().unwrap();
    assert_eq!(address.peer, peer, "{case}");
    assert_eq!(address.to_string(), case.str("multiaddr"), "{case}");
    assert_eq!(address.to_bytes(), case.hex("multiaddr_bytes"), "{case}");
    assert_eq!(Multiaddr::from_bytes(&case.hex("multiaddr_bytes")), Ok(address), "{case}");
}

fn server_decision(case: &Case<'_>) {
    let topic = TopicName(case.hex("topic_bytes"));
    assert_eq!(topic, lossy(case, &topic), "{case}");
    let record = UnverifiedRecord::decode(&case.hex("record")).unwrap();
    let ttl = Duration::from_nanos(case.u64("ttl_ns"));
    let from = [127, 0, 0, 1].into();
    let status = Registry::default().register(&topic, record, ttl, from, Instant::now());
    assert_eq!(status, Status::from_number(case.u64("status")), "{case}");
}

/// Returns the topic from its text. Where the text stands for other bytes, it takes them from the
/// topic itself.
fn lossy(case: &Case<'_>, topic: &TopicName) -> TopicName {
    let text = case.str("topic");
    if text.contains('\u{fffd}') { topic.clone() } else { text.into() }
}

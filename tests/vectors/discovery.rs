//! Vectors of discovery: packets, records, and what can be computed from a single input.

use std::{net::IpAddr, time::Duration};

use serde_json::Value;
use statuskit_core::{
    crypto::{PublicKey, SecretKey, Signature, keccak256},
    devp2p::NodeId,
    discovery::{
        Endpoint, Extra, FindNode, MAX_DATAGRAM, MAX_NODES, Neighbors, NodeEntry, NodeKey,
        PacketHash, Record, RecordBuilder, TopicListHash, TopicName, UnverifiedRecord, distance,
        record::RecordError,
        relay::{self, check_address, check_node},
        topic::{MIN_WAIT, bucket_distances, next_wait},
        v4, v5,
    },
};

use crate::{
    case::{Case, Set, bytes},
    rendezvous::rendezvous,
};

#[path = "discovery_machines.rs"]
mod machines;

pub fn discovery(set: &mut Set) {
    set.one("limits", |case| {
        assert_eq!(case.str("prefix").as_bytes(), v5::PREFIX);
        assert_eq!(case.u64("head_bytes"), v5::PREFIX.len() as u64 + 65);
        assert_eq!(case.u64("max_packet"), MAX_DATAGRAM as u64);
        assert_eq!(case.u64("max_neighbors_per_packet"), MAX_NODES as u64);
        assert_eq!(case.u64("max_topic_nodes_per_packet"), MAX_NODES as u64);
    });
    set.each("packets", packet);
    set.each("decode_cases", decode_case);
    set.each("v4_packets", v4_packet);
    set.each("log_distance", |case| {
        let (a, b) = (NodeId(case.array("a")), NodeId(case.array("b")));
        for (node, id) in [(a, "a_id"), (b, "b_id")] {
            if let Some(key) = case.opt_hex(id) {
                assert_eq!(NodeKey(array(&key)).node_id(), node, "{case}");
            }
        }
        assert_eq!(u64::from(distance::log_distance(&a, &b)), case.u64("distance"), "{case}");
    });
    set.each("distance_compare", |case| {
        let [target, a, b] = ["target", "a", "b"].map(|it| NodeId(case.array(it)));
        let order = distance::compare(&target, &a, &b) as i64;
        assert_eq!(Some(order), case.get("compare").as_i64(), "{case}");
    });
    set.each("relay_ip", |case| {
        let address = case.hex("address_bytes");
        let result = check_address(ip(case.str("sender")), &address);
        assert_eq!(result.is_ok(), case.bool("ok"), "{case}: {result:?}");
        assert_eq!(result.is_err(), case.opt("error").is_some(), "{case}");
        if let (Some(text), Ok(address)) = (case.opt("address"), result) {
            assert_eq!(address, ip(text.as_str().unwrap()).to_canonical(), "{case}");
        }
    });
    set.each("neighbour_acceptance", neighbour_acceptance);
    set.each("tickets", ticket);
    set.one("wait_control", wait_control);
    topic_radius(set);
    set.one("enr", |case| {
        for (index, value) in case.list("encode").iter().enumerate() {
            let inner = Case::new(format!("{case}.encode[{index}]"), value);
            encode_record(&inner);
            inner.finish();
        }
        for (index, value) in case.list("decode").iter().enumerate() {
            let inner = Case::new(format!("{case}.decode[{index}]"), value);
            decode_record(&inner);
            inner.finish();
        }
    });
    set.each("enode_urls", machines::enode_url);
    set.one("table", machines::table);
    set.one("topic_table", machines::topic_table);
    set.each("scenarios", machines::scenario);
    rendezvous(set);
}

/// Asserts a packet that its sender signs.
fn packet(case: &Case<'_>) {
    let key = secret_key(case);
    let id = NodeKey::from(&key.public_key());
    assert_eq!(id.0, array::<64>(&case.hex("node_id")), "{case}");
    assert_eq!(id.node_id().0, case.array("node_hash"), "{case}");
    let datagram = case.hex("packet");
    assert_eq!(datagram.len() as u64, case.u64("length"), "{case}");
    assert_eq!(keccak256(&datagram[87..]), case.array("signed_digest"), "{case}");
    assert_eq!(datagram[22..87], case.hex("signature"), "{case}");

    let received = v5::Packet::decode(&datagram).unwrap();
    assert_eq!(received.sender, key.public_key(), "{case}");
    assert_eq!(received.hash, PacketHash(case.array("hash")), "{case}");
    assert_eq!(u64::from(received.packet.kind()), case.u64("type"), "{case}");
    case.inner("fields", |fields| v5_fields(fields, case.str("type_name"), &received.packet));
    let encoded = received.packet.encode(&key).unwrap();
    assert_eq!(encoded.bytes, datagram, "{case}");
    assert_eq!(encoded.hash, received.hash, "{case}");
}

fn decode_case(case: &Case<'_>) {
    let datagram = case.hex("packet");
    assert_eq!(datagram.len() as u64, case.u64("length"), "{case}");
    let result = v5::Packet::decode(&datagram);
    assert_eq!(result.is_ok(), case.bool("accepted"), "{case}: {result:?}");
    assert_eq!(result.is_err(), case.opt("error").is_some(), "{case}");
    if let Some(sender) = case.opt_hex("sender_id") {
        // The reference recovers the sender of what it then refuses, too.
        let read = &datagram[..datagram.len().min(MAX_DATAGRAM)];
        let signature = Signature::from_bytes(read[22..87].try_into().unwrap());
        let signer = signature.recover(&keccak256(&read[87..])).unwrap();
        assert_eq!(signer.to_xy()[..], sender, "{case}");
    }
    let Ok(received) = result else { return };
    assert_eq!(received.sender, public_key(case, "sender_id"), "{case}");
    assert_eq!(received.hash, PacketHash(case.array("hash")), "{case}");
    assert_eq!(u64::from(received.packet.kind()), case.u64("type"), "{case}");
    case.inner("fields", |fields| v5_fields(fields, case.str("type_name"), &received.packet));
    // A damaged packet passes as that of another node. Nothing in it shows this.
    case.skip("sender_is_signer");
}

fn v5_fields(fields: &Case<'_>, type_name: &str, packet: &v5::Packet) {
    let expected = match type_name {
        "ping" => {
            let v5::Packet::Ping(read) = packet else { panic!("{fields}: {packet:?}") };
            v5::Packet::Ping(v5::Ping {
                version: fields.u64("version"),
                from: endpoint(fields, "from"),
                to: endpoint(fields, "to"),
                expiration: fields.u64("expiration"),
                topics: topics(fields, &read.topics),
                extra: extra(fields),
            })
        }
        "pong" => v5::Packet::Pong(v5::Pong {
            to: endpoint(fields, "to"),
            reply_token: fields.hex("reply_token"),
            expiration: fields.u64("expiration"),
            topic_hash: TopicListHash(fields.array("topic_hash")),
            ticket_serial: fields.u32("ticket_serial"),
            wait_periods: fields
                .list("wait_periods")
                .iter()
                .map(|wait| wait.as_u64().unwrap() as u32)
                .collect(),
            extra: extra(fields),
        }),
        "findnode" => v5::Packet::FindNode(find_node(fields)),
        "neighbors" => v5::Packet::Neighbors(neighbors(fields)),
        "findnodeHash" => v5::Packet::FindNodeHash(v5::FindNodeHash {
            target: NodeId(fields.array("target")),
            expiration: fields.u64("expiration"),
            extra: extra(fields),
        }),
        "topicRegister" => {
            let v5::Packet::TopicRegister(read) = packet else { panic!("{fields}: {packet:?}") };
            v5::Packet::TopicRegister(v5::TopicRegister {
                topics: topics(fields, &read.topics),
                index: fields.u64("index"),
                pong: fields.hex("pong"),
            })
        }
        "topicQuery" => v5::Packet::TopicQuery(v5::TopicQuery {
            topic: fields.str("topic").into(),
            expiration: fields.u64("expiration"),
        }),
        "topicNodes" => v5::Packet::TopicNodes(v5::TopicNodes {
            echo: PacketHash(fields.array("echo")),
            nodes: nodes(fields),
        }),
        other => panic!("{fields}: unknown type {other}"),
    };
    assert_eq!(*packet, expected, "{fields}");
}

fn v4_packet(case: &Case<'_>) {
    let datagram = case.hex("packet");
    let result = v4::Packet::decode(&datagram);
    assert_eq!(result.is_ok(), case.bool("accepted"), "{case}: {result:?}");
    assert_eq!(result.is_err(), case.opt("error").is_some(), "{case}");
    let Ok(received) = result else { return };
    let key = secret_key(case);
    assert_eq!(received.sender, key.public_key(), "{case}");
    assert_eq!(received.sender, public_key(case, "sender_id"), "{case}");
    assert_eq!(received.hash, PacketHash(case.array("hash")), "{case}");
    assert_eq!(u64::from(received.packet.kind()), case.u64("type"), "{case}");
    case.inner("fields", |fields| v4_fields(fields, &received.packet));
    let encoded = received.packet.encode(&key).unwrap();
    assert_eq!((encoded.bytes, encoded.hash), (datagram, received.hash), "{case}");
}

fn v4_fields(fields: &Case<'_>, packet: &v4::Packet) {
    let expected = match packet.kind() {
        v4::kind::PING => v4::Packet::Ping(v4::Ping {
            version: fields.u64("version"),
            from: endpoint(fields, "from"),
            to: endpoint(fields, "to"),
            expiration: fields.u64("expiration"),
            extra: extra(fields),
        }),
        v4::kind::PONG => v4::Packet::Pong(v4::Pong {
            to: endpoint(fields, "to"),
            reply_token: fields.hex("reply_token"),
            expiration: fields.u64("expiration"),
            extra: extra(fields),
        }),
        v4::kind::FIND_NODE => v4::Packet::FindNode(find_node(fields)),
        v4::kind::NEIGHBORS => v4::Packet::Neighbors(neighbors(fields)),
        v4::kind::RECORD_REQUEST => v4::Packet::RecordRequest(v4::RecordRequest {
            expiration: fields.u64("expiration"),
            extra: extra(fields),
        }),
        v4::kind::RECORD_RESPONSE => v4::Packet::RecordResponse(v4::RecordResponse {
            reply_token: fields.hex("reply_token"),
            record: UnverifiedRecord::decode(&fields.hex("record")).unwrap(),
            extra: extra(fields),
        }),
        other => panic!("{fields}: unknown type {other}"),
    };
    assert_eq!(*packet, expected, "{fields}");
    if let v4::Packet::RecordResponse(response) = expected {
        assert!(response.record.verify().is_ok(), "{fields}");
    }
}

fn neighbour_acceptance(case: &Case<'_>) {
    let own = NodeKey(array(&case.hex("self")));
    let node = NodeEntry {
        endpoint: Endpoint::new(ip(case.str("ip")), port(case, "udp"), port(case, "tcp")),
        key: NodeKey(array(&case.hex("id"))),
    };
    let result = check_node(&own, ip(case.str("sender")), &node);
    assert_eq!(result.is_ok(), case.bool("accepted"), "{case}: {result:?}");
    assert_eq!(result.is_err(), case.opt("error").is_some(), "{case}");
    if let Ok(address) = result {
        assert_eq!((address.ip(), address.port()), (ip(case.str("ip")), node.endpoint.udp));
        assert!(address.port() > relay::MAX_LOW_PORT);
    }
}

fn ticket(case: &Case<'_>) {
    let received = v5::Packet::decode(&case.hex("pong")).unwrap();
    let v5::Packet::Pong(pong) = received.packet else { panic!("{case}: no pong") };
    let topics: Vec<TopicName> =
        case.list("sent_topics").iter().map(|topic| topic.as_str().unwrap().into()).collect();
    let waits = pong.ticket(&topics);
    assert_eq!(waits.is_ok(), case.bool("ticket"), "{case}: {waits:?}");
    assert_eq!(waits.is_err(), case.opt("error").is_some(), "{case}");
    if let Ok(waits) = waits {
        let waits: Vec<_> = waits.iter().map(u32::to_string).collect();
        assert_eq!(waits, case.list("register_after_s").to_vec(), "{case}");
    }
}

fn wait_control(case: &Case<'_>) {
    for sequence in case.list("sequences") {
        let mut last: Option<(u64, Duration)> = None;
        for ad in sequence["ads"].as_array().unwrap() {
            let ad = Case::new(format!("{case} {}", sequence["name"]), ad);
            let now = ad.u64("at_ns");
            let wait = match last {
                None => MIN_WAIT,
                Some((before, wait)) => next_wait(wait, Duration::from_nanos(now - before)),
            };
            let difference = wait.abs_diff(Duration::from_nanos(ad.u64("wait_ns")));
            assert!(difference <= Duration::from_micros(1), "{ad}: {wait:?}");
            assert_eq!(wait.as_secs(), ad.u64("wait_s"), "{ad}");
            last = Some((now, wait));
            ad.finish();
        }
    }
}

fn topic_radius(set: &mut Set) {
    set.one("topic_radius", |case| {
        for value in case.list("topics") {
            let inner = Case::new(format!("{case}.topics"), value);
            let topic = TopicName::from(inner.str("topic"));
            assert_eq!(topic.hash(), inner.array("topic_hash"), "{inner}");
            assert_eq!(topic.position(), inner.u64("prefix"), "{inner}");
            for value in inner.list("buckets") {
                let node = Case::new(format!("{inner}.buckets"), value);
                let id = NodeId(node.array("node_hash"));
                assert_eq!(topic.bucket(&id) as u64, node.u64("bucket"), "{topic} {id}");
                node.finish();
            }
            inner.finish();
        }
        for value in case.list("probe_ranges") {
            let range = Case::new(format!("{case}.probe_ranges"), value);
            let (low, high) = bucket_distances(range.u64("bucket") as usize);
            for (got, member) in [(low, "low"), (high, "high")] {
                let expected: f64 = range.str(member).parse().unwrap();
                // Rounded to an integer.
                assert!((got - expected).abs() <= 1.0 + expected * 1e-14, "{range}: {got}");
            }
            range.finish();
        }
        for (index, value) in case.list("flows").iter().enumerate() {
            let flow = Case::new(format!("{case}.flows[{index}]"), value);
            machines::radius_flow(&flow);
            flow.finish();
        }
    });
}

fn encode_record(case: &Case<'_>) {
    let key = secret_key(case);
    let seq = case.u64("seq");
    if case.opt("error").is_some() {
        // What is in it is not given: one value makes it one byte too large.
        let sized = |length| RecordBuilder::new(seq).bytes(b"x", &vec![1; length]).sign(&key);
        let most = (0..300).take_while(|length| sized(*length).is_ok()).count();
        assert!(matches!(sized(most), Err(RecordError::TooLarge(_))), "{case}");
        return;
    }
    let raw = case.hex("rlp");
    let record = Record::decode(&raw).unwrap();
    record_members(case, &record);
    assert_eq!(record.as_rlp(), raw, "{case}");
    let content = case.hex("content_rlp");
    assert_eq!(signer_digest_matches(&record, &content), Ok(()), "{case}");

    // The same from its pairs.
    let mut builder = RecordBuilder::new(seq);
    for (name, value) in record.pairs().filter(|(name, _)| !matches!(*name, b"id" | b"secp256k1")) {
        builder = builder.rlp(name, value).unwrap();
    }
    assert_eq!(builder.sign(&key).unwrap(), record, "{case}");
}

/// Checks that the signature is one over the given content.
fn signer_digest_matches(record: &Record, content: &[u8]) -> Result<(), String> {
    let signature = record.signature().try_into().map_err(|_| "no 64 bytes".to_owned())?;
    let verified = record.key().verify(&keccak256(content), signature);
    verified.then_some(()).ok_or_else(|| "the signed content differs".to_owned())
}

fn decode_record(case: &Case<'_>) {
    let result = case.str("input").parse::<Record>();
    assert_eq!(result.is_ok(), case.bool("valid"), "{case}: {result:?}");
    assert_eq!(result.is_err(), case.opt("error").is_some(), "{case}");
    if let Ok(record) = result {
        record_members(case, &record);
    }
}

fn record_members(case: &Case<'_>, record: &Record) {
    assert!(case.bool("valid"));
    assert_eq!(record.to_string(), case.str("text"), "{case}");
    assert_eq!(record.to_string().parse::<Record>().as_ref(), Ok(record), "{case}");
    assert_eq!(record.seq(), case.u64("seq"), "{case}");
    assert_eq!(record.signature(), case.hex("signature"), "{case}");
    assert_eq!(record.node_id().0, case.array("node_id"), "{case}");
    assert_eq!(record.key().to_compressed()[..], case.hex("public_key"), "{case}");
    let address = case.opt("ip").map(|text| ip(text.as_str().unwrap()));
    assert_eq!(record.ip(), address, "{case}");
    assert_eq!(record.tcp().unwrap_or(0), port(case, "tcp"), "{case}");
    assert_eq!(record.udp().unwrap_or(0), port(case, "udp"), "{case}");
    // Without an address, the reference shows the id alone.
    let id_alone = || format!("enode://{}", hex::encode(record.key().to_xy()));
    let url = record.enode().map_or_else(id_alone, |enode| enode.to_string());
    assert_eq!(url, case.str("url"), "{case}");
}

fn find_node(fields: &Case<'_>) -> FindNode {
    FindNode {
        target: NodeKey(array(&fields.hex("target"))),
        expiration: fields.u64("expiration"),
        extra: extra(fields),
    }
}

fn neighbors(fields: &Case<'_>) -> Neighbors {
    Neighbors { nodes: nodes(fields), expiration: fields.u64("expiration"), extra: extra(fields) }
}

fn nodes(fields: &Case<'_>) -> Vec<NodeEntry> {
    let node = |value| {
        let node = Case::new(format!("{fields}.nodes"), value);
        let entry =
            NodeEntry { endpoint: endpoint_members(&node), key: NodeKey(array(&node.hex("id"))) };
        node.finish();
        entry
    };
    fields.list("nodes").iter().map(node).collect()
}

fn endpoint(fields: &Case<'_>, member: &str) -> Endpoint {
    let mut endpoint = None;
    fields.inner(member, |inner| endpoint = Some(endpoint_members(inner)));
    endpoint.expect("set above")
}

fn endpoint_members(case: &Case<'_>) -> Endpoint {
    Endpoint { ip: case.hex("ip"), udp: port(case, "udp"), tcp: port(case, "tcp") }
}

fn extra(fields: &Case<'_>) -> Extra {
    let items: Vec<_> = fields.list("extra").iter().flat_map(|item| bytes(item, "extra")).collect();
    let extra = Extra::from_rlp(&items).unwrap();
    assert_eq!(extra.items().count(), fields.list("extra").len(), "{fields}");
    extra
}

/// Returns the topics. Where the text stands for other bytes, it takes them from the packet.
fn topics(fields: &Case<'_>, read: &[TopicName]) -> Vec<TopicName> {
    let texts = fields.list("topics");
    assert_eq!(texts.len(), read.len(), "{fields}");
    let topic = |(text, read): (&Value, &TopicName)| {
        let text = text.as_str().unwrap();
        assert_eq!(read.to_string(), text, "{fields}");
        if text.contains('\u{fffd}') { read.clone() } else { text.into() }
    };
    texts.iter().zip(read).map(topic).collect()
}

fn port(case: &Case<'_>, member: &str) -> u16 {
    case.u64(member).try_into().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn secret_key(case: &Case<'_>) -> SecretKey {
    SecretKey::from_bytes(&case.array("private_key")).unwrap()
}

fn public_key(case: &Case<'_>, member: &str) -> PublicKey {
    PublicKey::from_slice(&case.hex(member)).unwrap()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

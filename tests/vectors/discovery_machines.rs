//! Vectors of discovery that need more than a codec: tables, the radius, and a node with its states.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, time::Duration};

use rand::TryRng;
use serde_json::Value;
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::{Enode, NodeId},
    discovery::{
        BootnodeUrl, NodeUrl, TopicName,
        v5::{Packet, Ticket},
    },
};
use statuskit_net::discovery::{
    radius::Radius,
    table::{Added, Table},
    topics::TopicTable,
    v5::{Config, Machine, NodeInfo, Now, Output},
};

use crate::case::Case;

pub fn enode_url(case: &Case<'_>) {
    let url = case.str("url");
    case.inner("v4", |expected| {
        let read = url.parse::<NodeUrl>();
        assert_eq!(read.is_ok(), expected.bool("valid"), "{case}: {read:?}");
        assert_eq!(read.is_err(), expected.opt("error").is_some(), "{case}");
        let Ok(read) = read else { return };
        assert_eq!(read.to_string(), expected.str("text"), "{case}");
        assert_eq!(NodeId::from_key(read.key()).0, expected.array("node_hash"), "{case}");
        let (ip, tcp, udp) = match &read {
            NodeUrl::Complete(enode) => {
                (Some(enode.host.to_string().replace(['[', ']'], "")), enode.tcp, enode.udp)
            }
            NodeUrl::Incomplete(_) => (None, 0, 0),
        };
        assert_eq!(expected.opt("ip").and_then(Value::as_str), ip.as_deref(), "{case}");
        assert_eq!((expected.u64("tcp"), expected.u64("udp")), (tcp.into(), udp.into()), "{case}");
    });
    case.inner("v5", |expected| {
        let read = url.parse::<BootnodeUrl>();
        assert_eq!(read.is_ok(), expected.bool("valid"), "{case}: {read:?}");
        assert_eq!(read.is_err(), expected.opt("error").is_some(), "{case}");
        let Ok(read) = read else { return };
        assert_eq!(read.to_string(), expected.str("text"), "{case}");
        assert_eq!(read.key.0[..], expected.hex("id"), "{case}");
        let ip = read.address.map(|(ip, _, _)| ip.to_string());
        let (_, tcp, udp) = read.address.unwrap_or(([0; 4].into(), 0, 0));
        assert_eq!(expected.opt("ip").and_then(Value::as_str), ip.as_deref(), "{case}");
        assert_eq!((expected.u64("tcp"), expected.u64("udp")), (tcp.into(), udp.into()), "{case}");
        assert_eq!(read.node().is_some(), expected.bool("usable_as_bootnode"), "{case}");
    });
}

pub fn table(case: &Case<'_>) {
    let mut ids = HashMap::new();
    case.inner("nodes", |nodes| {
        for (name, _) in case.get("nodes").as_object().unwrap() {
            ids.insert(name.clone(), NodeId(nodes.array(name)));
        }
    });
    let names: HashMap<NodeId, String> = ids.iter().map(|(name, id)| (*id, name.clone())).collect();
    let texts =
        |found: Vec<NodeId>| -> Vec<_> { found.iter().map(|id| names[id].as_str()).collect() };
    let bucket = case.u64("bucket") as usize;
    let mut table = Table::new(NodeId(case.array("self")));
    for value in case.list("bucket_steps") {
        let step = Case::new(format!("{case}.bucket_steps"), value);
        let id = ids[step.str("node")];
        match step.str("op") {
            "add" => {
                let contested = match table.add(id, None) {
                    Added::Replacement { last } => names[&last].as_str(),
                    _ => "",
                };
                assert_eq!(contested, step.str("contested"), "{step}");
            }
            "delete" => table.remove(&id),
            "delete_and_refill" => table.replace(&id, |_| true),
            other => panic!("{step}: {other}"),
        }
        assert_eq!(texts(table.bucket(bucket).collect()), step.list("entries").to_vec(), "{step}");
        let replacements = texts(table.replacements(bucket).collect());
        assert_eq!(replacements, step.list("replacements").to_vec(), "{step}");
        step.finish();
    }
    for name in case.list("then_added") {
        table.add(ids[name.as_str().unwrap()], None);
    }
    for value in case.list("closest") {
        let wanted = Case::new(format!("{case}.closest"), value);
        let found = table.closest(&NodeId(wanted.array("target")), wanted.u64("limit") as usize);
        assert_eq!(texts(found), wanted.list("closest").to_vec(), "{wanted}");
        wanted.finish();
    }
}

pub fn topic_table(case: &Case<'_>) {
    let exponential = case.get("exponential").as_f64().unwrap();
    let mut ids = HashMap::new();
    case.inner("node_ids", |nodes| {
        for (name, _) in case.get("node_ids").as_object().unwrap() {
            let key = PublicKey::from_slice(&nodes.hex(name)).unwrap();
            ids.insert(name.clone(), NodeId::from_key(&key));
        }
    });
    let mut table = TopicTable::default();
    for value in case.list("steps") {
        let step = Case::new(format!("{case}.steps"), value);
        let now = Duration::from_secs_f64(step.get("at_s").as_f64().unwrap());
        let check_wait = |table: &TopicTable, topic: &TopicName| {
            let wait = table.wait(topic);
            match step.str("topic_wait_ns") {
                "none" => assert_eq!(wait, None, "{step}"),
                ns => {
                    let ns = Duration::from_nanos(ns.parse().unwrap());
                    let wait = wait.unwrap_or_else(|| panic!("{step}: the topic is forgotten"));
                    assert!(wait.abs_diff(ns) <= Duration::from_micros(1), "{step}: {wait:?}");
                }
            }
        };
        let topics = |member| -> Vec<TopicName> {
            step.list(member).iter().map(|it| it.as_str().unwrap().into()).collect()
        };
        match step.str("op") {
            "ping" => {
                let issued = table.issue(ids[step.str("node")], &topics("topics"), now);
                step.inner("ticket", |ticket| {
                    assert_eq!(issued.serial, ticket.u32("serial"), "{step}");
                    assert_eq!(issued.issued, ticket.u64("issue_s"), "{step}");
                    assert_eq!(issued.waits, ticket.list("wait_periods").to_vec(), "{step}");
                });
            }
            "query" => {
                let topic = TopicName::from(step.str("topic"));
                let mut found = table.query(&topic, now);
                let mut expected: Vec<_> =
                    step.list("ads").iter().map(|name| ids[name.as_str().unwrap()]).collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{step}");
                check_wait(&table, &topic);
            }
            "register" => {
                let (topics, index) = (topics("topics"), step.u64("index") as usize);
                let wait = step.list("wait_periods")[index].as_u64().unwrap() as u32;
                let ticket =
                    Ticket { serial: step.u32("serial"), issued: step.u64("issue_s"), wait };
                let node = ids[step.str("node")];
                let accepted =
                    table.register(node, None, &ticket, &topics[index], exponential, now);
                assert_eq!(accepted, step.bool("accepted"), "{step}");
                check_wait(&table, &topics[index]);
            }
            other => panic!("{step}: {other}"),
        }
        step.finish();
    }
}

/// Random numbers that are all the same bits.
struct Constant(u64);

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

pub fn radius_flow(case: &Case<'_>) {
    let mut radius = Radius::new(case.str("topic").into());
    let check = |radius: &mut Radius, now, expected: &Case<'_>| {
        let choice = |found: Option<usize>| found.map_or(-1, |bucket| bucket as i64);
        let first = choice(radius.recalculate(now, &mut Constant(0)));
        let last = choice(radius.recalculate(now, &mut Constant(u64::MAX)));
        assert_eq!(Some(first), expected.get("first_choice").as_i64(), "{expected}");
        assert_eq!(Some(last), expected.get("last_choice").as_i64(), "{expected}");
        assert_eq!(radius.buckets().len() as u64, expected.u64("buckets_allocated"), "{expected}");
        assert_eq!(radius.is_converged(), expected.bool("converged"), "{expected}");
        let near =
            |got: f64, expected: f64| (got - expected).abs() <= expected.abs() * 1e-9 + 1e-12;
        for (got, member) in [(radius.radius(), "radius"), (radius.min_radius(), "min_radius")] {
            let wanted = expected.u64(member);
            // 2^64 overflows in the reference; here it is the most.
            let wanted = if wanted == 1 << 63 && got == u64::MAX { u64::MAX } else { wanted };
            assert!(near(got as f64, wanted as f64), "{expected}: {member} {got} {wanted}");
        }
        let mut nonzero = radius.buckets().iter().enumerate().filter(|(_, bucket)| {
            bucket.outside != 0.0 || bucket.inside != 0.0 || bucket.no_adjust != 0.0
        });
        for value in expected.list("buckets_nonzero") {
            let bucket = Case::new(format!("{expected}.bucket"), value);
            let (index, got) = nonzero.next().unwrap_or_else(|| panic!("{bucket}: missing"));
            assert_eq!(index as u64, bucket.u64("index"), "{bucket}");
            for (got, member) in [
                (got.outside, "outside"),
                (got.inside, "inside"),
                (got.no_adjust, "no_adjust"),
                (got.value, "value"),
            ] {
                let wanted = bucket.get(member).as_f64().unwrap();
                assert!(near(got, wanted), "{bucket}: {member} {got} {wanted}");
            }
            bucket.finish();
        }
        assert_eq!(nonzero.next(), None, "{expected}");
    };
    case.inner("initial", |expected| check(&mut radius, Duration::from_secs(10_000), expected));
    for (number, value) in case.list("events").iter().enumerate() {
        let event = Case::new(format!("{case}.events[{number}]"), value);
        let now = Duration::from_secs_f64(event.get("at_s").as_f64().unwrap());
        let node = NodeId(event.array("node_hash"));
        radius.adjust(&node, &node, event.get("inside").as_f64().unwrap(), now);
        if event.opt("recalculated").is_some() {
            event.inner("recalculated", |expected| check(&mut radius, now, expected));
        }
        event.finish();
    }
}

pub fn scenario(case: &Case<'_>) {
    let mut keys = HashMap::new();
    for (name, _) in case.get("peers").as_object().unwrap() {
        case.inner("peers", |peers| {
            peers.inner(name, |peer| {
                let key = SecretKey::from_bytes(&peer.array("private_key")).unwrap();
                assert_eq!(key.public_key().to_xy()[..], peer.hex("node_id"), "{case}");
                peer.skip("address");
                keys.insert(name.clone(), key);
            });
            // Read one by one.
            for other in case.get("peers").as_object().unwrap().keys() {
                peers.skip(other);
            }
        });
    }
    let is_informative = case.opt("informative").is_some();
    let mut machine = None;
    let mut now = Now { mono: Duration::ZERO, unix: 0 };
    case.inner("subject", |subject| {
        let key = SecretKey::from_bytes(&subject.array("private_key")).unwrap();
        assert_eq!(key.public_key().to_xy()[..], subject.hex("node_id"), "{case}");
        let mut config = Config::new(key, subject.str("address").parse().unwrap());
        config.fixed_exponential = subject.get("exponential").as_f64();
        now = Now {
            mono: Duration::from_secs(subject.u64("mono_start_s")),
            unix: subject.u64("wall_s"),
        };
        machine = Some((config, None::<Machine>));
    });
    let (config, mut started) = machine.expect("set above");
    for (number, value) in case.list("steps").iter().enumerate() {
        let step = Case::new(format!("{case}.steps[{number}]"), value);
        match step.str("op") {
            "start" => {
                let mut config = config.clone();
                config.bootnodes = step
                    .list("bootnodes")
                    .iter()
                    .map(|url| {
                        let enode = url.as_str().unwrap().parse::<Enode>().unwrap();
                        NodeInfo::from_enode(&enode).unwrap()
                    })
                    .collect();
                let machine = started.insert(Machine::new(config, [7; 32]));
                machine.start(now);
                compare(&step, "sends", machine, is_informative);
            }
            "receive" => {
                let machine = started.get_or_insert_with(|| Machine::new(config.clone(), [7; 32]));
                let from = step.str("from").parse().unwrap();
                let packet = step.hex("packet");
                let kind = Packet::decode(&packet).ok().map(|it| type_name(&it.packet));
                assert_eq!(step.opt("type_name").and_then(Value::as_str), kind, "{step}");
                machine.handle_datagram(from, &packet, now);
                compare(&step, "replies", machine, is_informative);
                let key = keys[step.str("peer")].public_key();
                assert_state(&step, step.str("state_after"), machine, &key);
                step.inner("ads", |ads| {
                    for topic in step.get("ads").as_object().unwrap().keys() {
                        let mut registered: Vec<_> = machine
                            .registered(&topic.as_str().into())
                            .iter()
                            .map(|node| node.key.to_xy().to_vec())
                            .collect();
                        let mut expected: Vec<_> = ads
                            .list(topic)
                            .iter()
                            .map(|id| hex::decode(&id.as_str().unwrap()[2..]).unwrap())
                            .collect();
                        registered.sort();
                        expected.sort();
                        assert_eq!(registered, expected, "{step}");
                    }
                });
            }
            "run_timers" => {
                let machine = started.as_mut().expect("a step before");
                let end = now.mono + Duration::from_millis(step.u64("ms"));
                while let Some(at) = machine.next_timeout().filter(|at| *at <= end) {
                    machine.handle_timeouts(Now { mono: at.max(now.mono), ..now });
                }
                now.mono = end;
                compare(&step, "sends", machine, is_informative);
                step.inner("states_after", |states| {
                    for (name, key) in &keys {
                        if let Some(expected) = states.opt(name).and_then(Value::as_str) {
                            assert_state(&step, expected, machine, &key.public_key());
                        }
                    }
                });
            }
            "advance_clock" => {
                let seconds = step.u64("seconds");
                now.mono += Duration::from_secs(seconds);
            }
            other => panic!("{step}: {other}"),
        }
        step.finish();
    }
}

fn assert_state(step: &Case<'_>, expected: &str, machine: &Machine, key: &PublicKey) {
    let state = machine.state(key).map_or("none", |state| state.name());
    // A node of which nothing is known is not kept.
    let is_forgotten = expected == "unknown" && state == "none";
    assert!(state == expected || is_forgotten, "{step}: {state}, expected {expected}");
}

/// Compares what was sent. Nodes in an answer may have any order.
fn compare(step: &Case<'_>, member: &str, machine: &mut Machine, is_informative: bool) {
    let key = machine.info().key;
    let sent = std::iter::from_fn(|| machine.poll_output());
    let sent: Vec<(SocketAddr, Vec<u8>)> = sent
        .filter_map(|output| match output {
            Output::Send { to, bytes } => Some((to, bytes)),
            _ => None,
        })
        .collect();
    let expected = step.list(member);
    assert_eq!(sent.len(), expected.len(), "{step}: {sent:?}");
    for ((to, bytes), value) in sent.iter().zip(expected) {
        let expected = Case::new(format!("{step}.{member}"), value);
        assert_eq!(*to, expected.str("to").parse().unwrap(), "{expected}");
        let received = Packet::decode(bytes).unwrap();
        assert_eq!(received.sender, key, "{expected}");
        assert_eq!(type_name(&received.packet), expected.str("type_name"), "{expected}");
        let wanted = Packet::decode(&expected.hex("packet")).unwrap();
        assert_eq!(sorted(received.packet), sorted(wanted.packet), "{expected}");
        if !is_informative && !matches!(expected.str("type_name"), "neighbors" | "topicNodes") {
            assert_eq!(*bytes, expected.hex("packet"), "{expected}");
        }
        // Those of the packet, which another vector asserts.
        expected.skip("fields");
        expected.finish();
    }
}

fn sorted(mut packet: Packet) -> Packet {
    if let Packet::Neighbors(neighbors) = &mut packet {
        for node in &mut neighbors.nodes {
            let ip = node.endpoint.ip_addr().unwrap();
            node.endpoint =
                statuskit_core::discovery::Endpoint::new(ip, node.endpoint.udp, node.endpoint.tcp);
        }
    }
    if let Packet::TopicNodes(answer) = &mut packet {
        answer.nodes.sort_by_key(|node| node.key);
    }
    packet
}

fn type_name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Ping(_) => "ping",
        Packet::Pong(_) => "pong",
        Packet::FindNode(_) => "findnode",
        Packet::Neighbors(_) => "neighbors",
        Packet::FindNodeHash(_) => "findnodeHash",
        Packet::TopicRegister(_) => "topicRegister",
        Packet::TopicQuery(_) => "topicQuery",
        Packet::TopicNodes(_) => "topicNodes",
        _ => "other",
    }
}

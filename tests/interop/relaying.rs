//! Our node between peers that have no other connection.

use serde_json::{Value, json};
use statuskit_core::{
    crypto::SecretKey,
    devp2p::Enode,
    envelope::{Bloom, Envelope, EnvelopeHash, Topic},
    wire::{Packet, Status},
};
use statuskit_net::node::{ConnectionId, NodeConfig, ServiceConfig};

use super::{
    Keys, OTHER_TOPIC, SYM_KEY, TOPIC, bytes, geth,
    harness::Peer,
    hex0x, message, message_of, pool, post,
    shell::Shell,
    subscribe, text,
    tool::{OurNode, Tool},
    until,
};

/// Envelopes below this PoW are cheap here, others expensive.
const LIMIT: f64 = 5.0;

/// Posts a cheap envelope. Repeats if mining reached more than was asked for by chance.
#[track_caller]
fn post_cheap(peer: &mut Peer) -> Value {
    loop {
        let posted = post(peer, "cheap", &json!({ "pow_target": 0.2 }));
        if posted["pow"].as_f64() < Some(LIMIT) {
            return posted;
        }
    }
}

#[track_caller]
fn post_dear(peer: &mut Peer) -> Value {
    post(peer, "dear", &json!({ "pow_target": LIMIT }))
}

#[test]
fn both_directions_between_two_peers() {
    let shell = Shell::new();
    // One that we dial, one that dials us.
    let mut b = geth(&[]);
    let (mut node, enode) = Tool::node(&shell, &format!("--envelopes --peer {}", b.enode()));
    let mut a = geth(&[]);
    a.call(json!({ "cmd": "add_peer", "enode": enode }));

    let key = Keys::new(&shell, "recipient");
    for peer in [&mut a, &mut b] {
        subscribe(peer);
        peer.call(json!({ "cmd": "subscribe", "private_key": key.private }));
    }
    let asym = json!({ "public_key": key.public, "sign_with": key.private });
    for (more, name) in [(Value::Null, "symmetric"), (asym, "asymmetric")] {
        for _ in 0..2 {
            let posted = post(&mut a, name, &more);
            // It arrived, passed all checks there, and was opened.
            let got = message_of(&mut b, &posted["hash"]);
            assert_eq!(bytes(&got, "payload"), name.as_bytes());
            assert_eq!(got["pow"], posted["pow"]);
            let relayed = node.result(|record| record["hash"] == posted["hash"]);
            assert_eq!(relayed["raw"], posted["rlp"]);
            assert_eq!(relayed["pow"], posted["pow"]);
            std::mem::swap(&mut a, &mut b);
        }
    }
    for peer in [&mut a, &mut b] {
        let peers = peer.call(json!({ "cmd": "peers" }));
        let peers = peers["peers"].as_array().expect("peers");
        assert_eq!(peers.len(), 1, "{peers:?}");
        assert!(text(&peers[0], "name").starts_with("statuskit/"), "{peers:?}");
    }
    // Ends like a service: quietly, and with a Disconnect to its peers.
    node.signal("TERM");
    assert_eq!(node.exit().0, 143);
    for peer in [&mut a, &mut b] {
        let gone = peer.wait_event(|event| event["event"] == "peer_dropped", super::SOON);
        assert_eq!(gone["reason"], "client quitting");
    }
}

#[test]
fn envelopes_below_the_minimum_are_not_sent_or_forwarded() {
    let shell = Shell::new();
    let (_node, enode) = Tool::node(&shell, &format!("--min-pow {LIMIT}"));
    // Until its first change, a node tolerates 0.2. So geth's own rule is tested: it sends nothing
    // below a peer's announced minimum.
    let [mut a, mut b] = [0, 1].map(|_| geth(&[]));
    subscribe(&mut b);
    let cheap = post_cheap(&mut a);
    let dear = post_dear(&mut a);
    for peer in [&mut a, &mut b] {
        peer.call(json!({ "cmd": "add_peer", "enode": enode }));
    }
    assert_eq!(message(&mut b)["hash"], dear["hash"]);
    assert!(!pool(&mut b).contains(&text(&cheap, "hash").to_owned()));

    // A peer that ignores the announced minimum.
    let (_node, enode) = Tool::node(&shell, "--min-pow 0.2");
    let mut b = geth(&["--min-pow", "0"]);
    subscribe(&mut b);
    b.call(json!({ "cmd": "add_peer", "enode": enode }));
    let seal = |ttl, pow| {
        let line = format!(
            "status-envelope seal hi --sym-key {SYM_KEY} --topic {TOPIC} --ttl {ttl} --pow {pow} \
             --output hex"
        );
        let raw = shell.ok(&line);
        Envelope::decode(&hex::decode(&raw.trim()[2..]).expect("hex")).expect("an envelope")
    };
    let (cheap, dear) = (seal(80_000, 0.0), seal(60, 0.2));
    assert!(cheap.pow(0) < 0.2);
    let mut js = Peer::start("js", &[]);
    js.call(json!({ "cmd": "dial", "enode": enode }));
    js.wait_event(|event| event["event"] == "status", super::SOON);
    let packet = Packet::Messages(vec![cheap.clone(), dear.clone()]);
    js.call(json!({ "cmd": "send", "code": 1, "payload": hex0x(packet.encode()) }));
    assert_eq!(text(&message(&mut b), "hash"), dear.hash().to_string());
    assert_eq!(pool(&mut b), [dear.hash().to_string()]);
    let answer = js.wait_event(|event| event["event"] == "packet", super::SOON);
    assert_eq!(answer["code"], 12);
    let answer = hex::encode(bytes(&answer, "payload"));
    assert!(answer.contains(&hex::encode(cheap.hash().0)), "{answer}");
    assert!(!answer.contains(&hex::encode(dear.hash().0)), "{answer}");
}

/// One of our nodes, and peers that dialled it.
struct Middle {
    node: OurNode,
}

impl Middle {
    fn new(peers: &mut [&mut Peer]) -> Self {
        let key = SecretKey::from_bytes(&[7; 32]).expect("a key");
        let mut config = ServiceConfig::new(key);
        config.node = NodeConfig::with_min_pow(0.001);
        let node = OurNode::start(config);
        for peer in peers.iter_mut() {
            peer.call(json!({ "cmd": "add_peer", "enode": node.enode() }));
        }
        let ready = || node.handle.stats().ready_peers == peers.len();
        until("the peers are connected", ready);
        Self { node }
    }

    /// Returns a peer's requirements, as our node knows them.
    fn status(&self, peer: &Peer) -> Status {
        let enode: Enode = peer.enode().parse().expect("an enode");
        let key: Option<ConnectionId> = self.node.handle.peer_by_id(&enode.id);
        let state = key.and_then(|key| self.node.handle.peer_state(key));
        state.and_then(|state| state.status).expect("a connected peer")
    }

    fn has(&self, posted: &Value) -> bool {
        let hash = bytes(posted, "hash").try_into().expect("32 bytes");
        self.node.handle.with(|node, _| node.pooled(&EnvelopeHash(hash)).is_some())
    }

    /// Sends an envelope that the peer opens: then it has read everything sent before.
    #[track_caller]
    fn sync(&self, shell: &Shell, peer: &mut Peer) {
        let line = format!(
            "status-envelope seal sync --sym-key {SYM_KEY} --topic {TOPIC} --pow {LIMIT} \
             --output hex"
        );
        let raw = hex::decode(&shell.ok(&line).trim()[2..]).expect("hex");
        let sent = self.node.handle.send(Envelope::decode(&raw).expect("an envelope"));
        let hash = sent.expect("it is taken").hash.to_string();
        message_of(peer, &hash.into());
    }
}

fn bloom(topics: &[&str]) -> Bloom {
    Bloom::from_topics(topics.iter().map(|topic| topic.parse::<Topic>().expect("a topic")))
}

#[test]
fn geth_changes_its_minimum_pow() {
    let [mut a, mut b] = [0, 1].map(|_| geth(&[]));
    let middle = Middle::new(&mut [&mut a, &mut b]);
    subscribe(&mut b);
    b.call(json!({ "cmd": "set_min_pow", "pow": LIMIT }));
    until("our node knows", || middle.status(&b).min_pow == LIMIT);
    let cheap = post_cheap(&mut a);
    until("our node has it", || middle.has(&cheap));
    let dear = post_dear(&mut a);
    message_of(&mut b, &dear["hash"]);
    assert!(!pool(&mut b).contains(&text(&cheap, "hash").to_owned()), "held back");

    b.call(json!({ "cmd": "set_min_pow", "pow": 0.2 }));
    message_of(&mut b, &cheap["hash"]);
}

#[test]
fn geth_changes_its_topics() {
    let [mut a, mut b] = [0, 1].map(|_| geth(&[]));
    let middle = Middle::new(&mut [&mut a, &mut b]);
    subscribe(&mut b);
    let narrow = bloom(&[TOPIC]);
    b.call(json!({ "cmd": "set_bloom", "bloom": hex0x(narrow.0) }));
    until("our node knows", || middle.status(&b).bloom == Some(narrow));
    let other = post(&mut a, "other", &json!({ "topic": OTHER_TOPIC }));
    until("our node has it", || middle.has(&other));
    let wanted = post(&mut a, "wanted", &Value::Null);
    message_of(&mut b, &wanted["hash"]);
    assert!(!pool(&mut b).contains(&text(&other, "hash").to_owned()), "held back");

    let wide = bloom(&[TOPIC, OTHER_TOPIC]);
    b.call(json!({ "cmd": "set_bloom", "bloom": hex0x(wide.0) }));
    message_of(&mut b, &other["hash"]);
}

#[test]
fn we_change_our_minimum_pow() {
    let (shell, mut a) = (Shell::new(), geth(&[]));
    let middle = Middle::new(&mut [&mut a]);
    subscribe(&mut a);
    middle.node.handle.set_min_pow(LIMIT);
    middle.sync(&shell, &mut a);
    let cheap = post_cheap(&mut a);
    let dear = post_dear(&mut a);
    until("our node has it", || middle.has(&dear));
    assert!(!middle.has(&cheap), "geth holds it back");
    assert_eq!(middle.node.handle.stats().refused, 0);

    middle.node.handle.set_min_pow(0.2);
    until("our node has it", || middle.has(&cheap));
}

#[test]
fn we_change_our_topics() {
    let (shell, mut a) = (Shell::new(), geth(&[]));
    let middle = Middle::new(&mut [&mut a]);
    subscribe(&mut a);
    middle.node.handle.set_bloom(Some(bloom(&[TOPIC])));
    middle.sync(&shell, &mut a);
    let other = post(&mut a, "other", &json!({ "topic": OTHER_TOPIC }));
    let wanted = post(&mut a, "wanted", &Value::Null);
    until("our node has it", || middle.has(&wanted));
    assert!(!middle.has(&other), "geth holds it back");
    assert_eq!(middle.node.handle.stats().refused, 0);

    middle.node.handle.add_topics([OTHER_TOPIC.parse().unwrap()]);
    until("our node has it", || middle.has(&other));
}

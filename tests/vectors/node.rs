//! A node's behaviour: the parts of `shh_packets.json` and `envelope_invalid.json` that codecs alone
//! can't show.

use std::time::Duration;

use serde_json::{Value, json};
use statuskit_core::{
    crypto::keccak256,
    envelope::{
        Bloom, Envelope, EnvelopeHash, Rules, Topic, Verdict,
        check::{future_diff, verdict},
    },
    rlp,
    time::UnixSeconds,
    wire::{
        Cursor, Dialect, Packet, RateLimits, Status,
        p2p::{
            MessagesRequest, P2pRequest, RequestComplete, SyncRequest as Sync,
            SyncResponse as Synced,
        },
        packet::{EnvelopeError, MessageResponse, ReadResponse},
    },
};
use statuskit_net::node::{ConnectionId, Event, Node, NodeConfig, Outgoing, Output, PeerInfo};

use crate::case::Case;

/// Assertions: the member of the file, and the number of its cases.
pub type Counts = Vec<(&'static str, usize)>;

type Member = (&'static str, fn(&Value, &Value) -> usize);

/// Asserts the members of `shh_packets.json` that concern a node.
pub fn shh_packets(file: &Value) -> Counts {
    run(
        file,
        &[
            ("receive", |cases, _| each(cases, receive)),
            ("status_accept", |cases, _| each(cases, status_accept)),
            ("broadcast", |cases, _| each(cases, broadcast)),
            ("sent", |cases, _| each(cases, sent)),
        ],
    )
}

/// Asserts the members of `envelope_invalid.json` that concern a node.
pub fn envelope_invalid(file: &Value) -> Counts {
    run(
        file,
        &[
            ("checks", |cases, file| each(cases, |case| check(case, error_code(file)))),
            ("malformed_packets", |cases, file| {
                each(cases, |case| malformed_packet(case, error_code(file)))
            }),
            ("mixed_batch", |case, file| {
                let case = Case::new("case".to_owned(), case);
                mixed_batch(&case, error_code(file));
                case.finish();
                1
            }),
            ("oversize_packets", |cases, _| each(cases, oversize_packet)),
        ],
    )
}

fn run(file: &Value, members: &[Member]) -> Counts {
    let known = members.iter().filter_map(|(name, run)| Some((*name, *run, file.get(name)?)));
    known.map(|(name, run, cases)| (name, run(cases, file))).collect()
}

fn each(cases: &Value, check: impl Fn(&Case)) -> usize {
    let cases = cases.as_array().expect("a list of cases");
    for case in cases {
        let case = Case::new("case".to_owned(), case);
        check(&case);
        case.finish();
    }
    cases.len()
}

fn receive(case: &Case) {
    let mailserver = case.bool("mailserver_enabled");
    let mut world = World::new(config(|it| it.mailserver = mailserver));
    if case.bool("peer_trusted") {
        world.node.mark_trusted(world.peer);
    }
    world.meet(&Status { confirmations: true, ..Status::default() }.encode());
    world.clear();
    world.packet(case.u64("code"), &case.hex("payload"));

    assert_eq!(world.disconnected, case.bool("disconnects"), "{case}");
    assert_eq!(case.value("error").is_null(), !world.disconnected, "{case}");
    assert_eq!(world.replies(), replies(case.value("replies")), "{case}");
    let (events, calls) = world.reference_events();
    assert_eq!(Value::from(events), *case.value("events"), "{case}");
    if let Some(expected) = case.any("mailserver_calls") {
        assert_eq!(calls, *expected, "{case}");
    } else {
        assert!(!mailserver, "{case}");
    }
    match case.any("peer_state") {
        Some(expected) => world.assert_state(expected, case),
        None => assert!(world.disconnected, "{case}"),
    }
}

fn status_accept(case: &Case) {
    let light = case.bool("local_light_mode");
    let mut world = World::new(config(|it| it.light = light));
    world.packet(case.u64("code"), &case.hex("payload"));
    assert_eq!(!world.disconnected, case.bool("accepted"), "{case}");
    assert_eq!(case.value("error").is_null(), !world.disconnected, "{case}");
    assert_eq!(world.replies().len(), usize::from(!world.disconnected), "{case}: our own Status");
    match case.any("peer_state") {
        Some(expected) => world.assert_state(expected, case),
        None => assert!(world.disconnected, "{case}"),
    }
}

fn broadcast(case: &Case) {
    let envelope = Envelope::decode(&case.hex("envelope")).unwrap();
    let free = NodeConfig::with_min_pow(0.0);
    let mut world = World::at(free, envelope.sent().into());
    world.meet(&Status::default().encode());
    let other = world.node.add_peer(PeerInfo::default(), world.now).unwrap();
    let bloom = match case.hex("peer_bloom") {
        bytes if bytes.is_empty() => None,
        bytes => Some(bloom(&bytes)),
    };
    let min_pow = case.f64("peer_pow_requirement");
    let status = Status { min_pow, bloom, ..Status::default() };
    world.node.handle_packet(other, 0, &status.encode(), world.now);
    world.clear();

    world.packet(1, &Packet::Messages(vec![envelope.clone()]).encode());
    let pooled = world.node.pooled(&envelope.hash()).expect("is kept");
    assert_eq!(pooled.pow(), case.f64("envelope_pow"), "{case}");
    world.now += NodeConfig::DEFAULT_SEND_WINDOW;
    let sent: Vec<Outgoing> =
        std::iter::from_fn(|| world.node.poll_peer(other, world.now)).collect();
    if case.bool("forwarded") {
        let [sent] = &sent[1..] else { panic!("{case}: our Status and one packet") };
        assert_eq!((sent.code, &sent.payload[1..]), (1, envelope.raw()), "{case}");
    } else {
        assert_eq!(sent.len(), 1, "{case}: our Status");
    }
}

/// Asserts packets that a node writes, from the fields beside them.
fn sent(case: &Case) {
    let code = case.u64("code");
    let expected = (code, case.hex("payload"));
    case.any("note");
    let envelopes = |name| -> Vec<Envelope> {
        let list = case.get(name).as_array().unwrap();
        list.iter().map(|it| Envelope::decode(&bytes(it)).unwrap()).collect()
    };
    let direct = |packet: Packet| {
        let mut world = World::new(NodeConfig::default());
        world.meet(&Status::default().encode());
        world.clear();
        world.node.send_packet(world.peer, &packet, world.now).unwrap();
        assert_eq!(world.node.peer(world.peer).unwrap().trusted, code == 126, "{case}");
        world.replies()
    };
    let u32 = |name| case.u64(name) as u32;
    let packets = match code {
        0 => {
            let fields = case.value("fields");
            let limits = u64s(&fields["rate_limits"]);
            assert_eq!(limits[2..], [0], "{case}: no limit per topic");
            let rate_limit = (limits != [0, 0, 0]).then(|| statuskit_net::node::RateLimit {
                per_ip: limits[0] as u32,
                per_peer: limits[1] as u32,
                tolerance: 0,
            });
            let bloom = (!fields["bloom"].is_null()).then(|| bloom(&bytes(&fields["bloom"])));
            let config = config(|it| {
                it.min_pow = fields["pow"].as_f64().unwrap();
                it.bloom = bloom;
                it.light = fields["light"].as_bool().unwrap();
                it.confirmations = fields["confirmations"].as_bool().unwrap();
                it.rate_limit = rate_limit;
            });
            assert_eq!(fields.as_object().unwrap().len(), 5, "{case}");
            let mut world = World::new(config);
            world.replies()
        }
        2 | 3 => {
            let mut world = World::new(NodeConfig::default());
            world.clear();
            if code == 2 {
                world.node.set_min_pow(case.f64("pow"), world.now);
            } else {
                world.node.set_bloom(Some(bloom(&case.hex("bloom"))), world.now);
            }
            world.replies()
        }
        1 => {
            let envelopes = envelopes("envelopes");
            let now = envelopes.iter().map(Envelope::sent).max().unwrap();
            let free = NodeConfig::with_min_pow(0.0);
            let mut world = World::at(free, now.into());
            world.meet(&Status::default().encode());
            world.clear();
            for envelope in envelopes {
                assert_eq!(world.node.send(envelope, world.now).unwrap().peers, [world.peer]);
            }
            world.now += NodeConfig::DEFAULT_SEND_WINDOW;
            world.replies()
        }
        11 | 12 => {
            let batch = case.hex("batch");
            assert_eq!(keccak256(&batch).to_vec(), case.hex("batch_hash"), "{case}");
            let errors: Vec<EnvelopeError> = case
                .any("errors")
                .map(|errors| errors.as_array().unwrap().iter().map(envelope_error).collect())
                .unwrap_or_default();
            if !errors.is_empty() {
                // Nodes don't create this one: only the packet is checked.
                let batch = keccak256(&batch);
                let response = ReadResponse::V1(MessageResponse { batch, errors });
                direct(Packet::MessageResponse(response))
            } else {
                let Packet::Messages(envelopes) = Packet::decode(1, &batch).unwrap() else {
                    panic!("{case}")
                };
                let now = envelopes.iter().map(Envelope::sent).max().unwrap();
                let free = NodeConfig::with_min_pow(0.0);
                let mut world = World::at(free, now.into());
                world.meet(&Status::default().encode());
                world.clear();
                world.packet(1, &batch);
                let replies = world.replies();
                assert_eq!(replies.iter().map(|reply| reply.0).collect::<Vec<_>>(), [12, 11]);
                replies.into_iter().filter(|reply| reply.0 == code).collect()
            }
        }
        20 => {
            let [ip, peer_id, topic] = u64s(case.value("rate_limits"))[..] else {
                panic!("{case}")
            };
            direct(Packet::RateLimits(RateLimits { ip, peer_id, topic }))
        }
        123 => direct(Packet::SyncRequest(Sync {
            lower: UnixSeconds(u32("lower")),
            upper: UnixSeconds(u32("upper")),
            bloom: case.hex("bloom"),
            limit: u32("limit"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
        })),
        124 => direct(Packet::SyncResponse(Synced {
            envelopes: envelopes("envelopes"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
            last: case.bool("final"),
            error: case.value("error").as_str().unwrap().as_bytes().to_vec(),
        })),
        125 => {
            let complete = RequestComplete::decode(&case.hex("inner")).unwrap();
            direct(Packet::RequestComplete(complete))
        }
        126 => direct(Packet::P2pRequest(match case.any("envelope") {
            Some(envelope) => P2pRequest::Envelope(Envelope::decode(&bytes(envelope)).unwrap()),
            None => P2pRequest::Plain(MessagesRequest {
                id: case.hex("id"),
                from: UnixSeconds(u32("from")),
                to: UnixSeconds(u32("to")),
                limit: u32("limit"),
                cursor: Cursor::from_bytes(&case.hex("cursor")),
                bloom: case.hex("bloom"),
                topics: Vec::new(),
            }),
        })),
        127 => direct(Packet::P2pMessage(envelopes("envelopes"))),
        _ => panic!("{case}: no node writes this"),
    };
    assert_eq!(packets, [expected], "{case}");
}

fn check(case: &Case, error_code: u64) {
    case.any("note");
    let mut config = settings(case);
    config.error_code = Some(error_code);
    let now = case.u64("now");
    let mut rules = Rules::new(UnixSeconds(now as u32));
    rules.max_message_size = config.max_message_size;
    (rules.min_pow, rules.min_pow_tolerance) = (config.min_pow, config.min_pow_tolerance);
    (rules.bloom, rules.bloom_tolerance) = (config.bloom, config.bloom_tolerance);
    let facts = Case::new("case".to_owned(), case.value("envelope"));
    let envelope = Envelope::decode(&facts.hex("rlp")).unwrap();
    let hash = envelope.hash();
    assert_facts(&facts, &envelope);
    facts.finish();

    let pow = envelope.pow(future_diff(envelope.sent(), rules.now));
    assert_eq!(pow, case.f64("pow_used"), "{case}");
    let class = verdict(&envelope, pow, &rules);
    assert_eq!(class.name(), case.value("class").as_str().unwrap(), "{case}");

    let packet = Case::new("case".to_owned(), case.value("packet"));
    let payload = packet.hex("payload");
    assert_eq!(payload, Packet::Messages(vec![envelope.clone()]).encode(), "{case}");
    let mut world = World::at(config, now);
    world.meet(&Status::default().encode());
    world.clear();
    world.packet(packet.u64("code"), &payload);
    assert_eq!(world.disconnected, packet.bool("disconnects"), "{case}");
    assert_eq!(packet.value("disconnect_error").is_null(), !world.disconnected, "{case}");
    let given = world.replies();
    assert_eq!(given, replies(packet.value("replies")), "{case}");
    packet.finish();

    assert_eq!(world.node.pooled(&hash).is_some(), case.bool("cached"), "{case}");
    if let Some(pooled) = world.node.pooled(&hash) {
        assert_eq!(pooled.pow(), pow, "{case}");
    }
    let told: Vec<String> = given
        .iter()
        .filter(|(code, _)| *code == 12)
        .filter_map(|(code, payload)| match Packet::decode(*code, payload).unwrap() {
            Packet::MessageResponse(ReadResponse::V1(response)) => Some(response.errors),
            _ => None,
        })
        .flatten()
        .map(|error| {
            assert_eq!((error.hash, error.code), (hash, error_code), "{case}");
            error.description
        })
        .collect();
    let error = case.value("error").as_str().map(str::to_owned);
    assert_eq!(told, error.into_iter().collect::<Vec<_>>(), "{case}");

    // The node's own envelopes undergo the same checks.
    let own = world_of_its_own(case, now).send(envelope, Duration::from_secs(now));
    assert_eq!(own.is_ok(), class == Verdict::Accepted, "{case}");
}

/// Creates a node with the settings of a check, without peers.
fn world_of_its_own(case: &Case, now: u64) -> Node {
    Node::new(settings(case), 1, Duration::from_secs(now))
}

/// Returns the settings of a check.
fn settings(case: &Case) -> NodeConfig {
    let optional = |name| case.opt(name).map(|it| bloom(&bytes(it)));
    config(|it| {
        it.min_pow = case.f64("min_pow");
        it.min_pow_tolerance = case.f64("min_pow_tolerance");
        it.bloom = optional("bloom_filter");
        it.bloom_tolerance = optional("bloom_filter_tolerance");
        it.max_message_size = case.u64("max_message_size") as u32;
    })
}

fn config(change: impl FnOnce(&mut NodeConfig)) -> NodeConfig {
    let mut config = NodeConfig::default();
    change(&mut config);
    config
}

fn assert_facts(facts: &Case, envelope: &Envelope) {
    assert_eq!(envelope.hash().0.to_vec(), facts.hex("hash"), "{facts}");
    assert_eq!(u64::from(envelope.expiry()), facts.u64("expiry"), "{facts}");
    assert_eq!(u64::from(envelope.ttl()), facts.u64("ttl"), "{facts}");
    assert_eq!(envelope.topic().0.to_vec(), facts.hex("topic"), "{facts}");
    assert_eq!(envelope.nonce().to_string(), facts.value("nonce").as_str().unwrap(), "{facts}");
    assert_eq!(envelope.data().len() as u64, facts.u64("data_len"), "{facts}");
    assert_eq!(envelope.raw().len() as u64, facts.u64("rlp_len"), "{facts}");
    assert_eq!(envelope.size() as u64, facts.u64("size"), "{facts}");
    assert_eq!(envelope.rlp4_len() as u64, facts.u64("rlp_without_nonce_len"), "{facts}");
    assert_eq!(u64::from(envelope.leading_zero_bits()), facts.u64("leading_zero_bits"), "{facts}");
    assert_eq!(u64::from(envelope.sent()), facts.u64("sent"), "{facts}");
    assert_eq!(envelope.pow(0), facts.f64("pow"), "{facts}");
    let bits = envelope.pow(0).to_be_bytes().to_vec();
    assert_eq!(bits, facts.hex("pow_float64_bits"), "{facts}");
}

fn malformed_packet(case: &Case, error_code: u64) {
    let mut world = World::new(config(|it| it.error_code = Some(error_code)));
    world.meet(&Status::default().encode());
    world.clear();
    let (code, payload) = (case.u64("code"), case.hex("payload"));
    let decodes = Packet::decode(code, &payload).is_ok();
    assert_eq!(decodes, case.bool("decodes"), "{case}");
    assert_eq!(case.value("decode_error").is_null(), decodes, "{case}");
    world.packet(code, &payload);
    assert_eq!(world.disconnected, case.bool("disconnects"), "{case}");
    assert_eq!(case.value("disconnect_error").is_null(), !world.disconnected, "{case}");
    assert_eq!(world.replies(), replies(case.value("replies")), "{case}");
}

fn mixed_batch(case: &Case, error_code: u64) {
    let config = config(|it| {
        it.min_pow = case.f64("min_pow");
        it.min_pow_tolerance = case.f64("min_pow_tolerance");
        it.error_code = Some(error_code);
    });
    let payload = case.hex("payload");
    let mut world = World::at(config, case.u64("now"));
    world.meet(&Status::default().encode());
    world.clear();
    world.packet(1, &payload);
    assert_eq!(world.disconnected, case.bool("disconnects"), "{case}");
    assert_eq!(case.value("disconnect_error").is_null(), !world.disconnected, "{case}");
    let given = world.replies();
    assert_eq!(given, replies(case.value("replies")), "{case}");
    assert_eq!(keccak256(&payload).to_vec(), case.hex("batch_hash"), "{case}");

    let Packet::Messages(envelopes) = Packet::decode(1, &payload).unwrap() else { panic!() };
    let expected: Vec<_> = case.value("envelope_hashes").as_array().unwrap().iter().collect();
    assert_eq!(envelopes.len(), expected.len(), "{case}");
    for (envelope, expected) in envelopes.iter().zip(expected) {
        let hash = &envelope.hash();
        assert_eq!(hash.0.to_vec(), bytes(expected), "{case}");
        let told = given.iter().any(|(code, payload)| {
            *code == 12 && payload.windows(32).any(|window| window == hash.0)
        });
        // Each envelope was either kept or reported, unless it has just expired.
        let expired = u64::from(envelope.expiry()) < world.now.as_secs();
        let kept = world.node.pooled(hash).is_some();
        assert!(kept != told || (expired && !kept), "{case}");
    }
}

fn oversize_packet(case: &Case) {
    let max_message_size = case.u64("max_message_size") as u32;
    let mut world = World::new(config(|it| it.max_message_size = max_message_size));
    world.meet(&Status::default().encode());
    world.clear();
    let (code, length) = (case.u64("code"), case.u64("payload_len") as usize);
    // Only its size is wrong.
    let payload = match code {
        1 => messages_of_length(length),
        _ => vec![0; length],
    };
    assert_eq!(payload.len(), length, "{case}");
    world.packet(code, &payload);
    assert_eq!(world.disconnected, case.bool("disconnects"), "{case}");
    assert_eq!(case.value("disconnect_error").is_null(), !world.disconnected, "{case}");
}

/// Creates a well-formed Messages packet of a given length.
fn messages_of_length(length: usize) -> Vec<u8> {
    (0..length)
        .rev()
        .map(|data| Envelope::new(UnixSeconds(1), 1, Topic([0; 4]), &vec![7; data], 0))
        .map(|envelope| {
            let mut payload = Vec::new();
            rlp::put_list_header(&mut payload, envelope.raw().len());
            payload.extend_from_slice(envelope.raw());
            payload
        })
        .find(|payload| payload.len() == length)
        .expect("an envelope that fills it")
}

/// A node with one peer, and the effects of that peer's packets.
pub struct World {
    pub node: Node,
    pub peer: ConnectionId,
    pub now: Duration,
    events: Vec<Event>,
    pub disconnected: bool,
}

impl World {
    fn new(config: NodeConfig) -> Self {
        Self::at(config, 1_585_700_000)
    }

    fn at(config: NodeConfig, now: u64) -> Self {
        Self::with_dialect(Dialect::Whisper, config, now)
    }

    /// The same with a peer of another dialect.
    pub fn with_dialect(dialect: Dialect, mut config: NodeConfig, now: u64) -> Self {
        config.network = dialect.network();
        let now = Duration::from_secs(now);
        let mut node = Node::new(config, 7, now);
        let peer = node.add_peer(PeerInfo { dialect, ..PeerInfo::default() }, now).unwrap();
        Self { node, peer, now, events: Vec::new(), disconnected: false }
    }

    pub fn packet(&mut self, code: u64, payload: &[u8]) {
        self.node.handle_packet(self.peer, code, payload, self.now);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Disconnect { .. } => self.disconnected = true,
                Output::Writable(_) | Output::Crossing(_) => {}
            }
        }
    }

    pub fn meet(&mut self, status: &[u8]) {
        self.packet(0, status);
        assert!(matches!(self.events[..], [Event::Ready { .. }]));
    }

    /// Clears the recorded effects.
    pub fn clear(&mut self) {
        self.replies();
        self.events.clear();
    }

    pub fn replies(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| self.node.poll_peer(self.peer, self.now))
            .map(|outgoing| (outgoing.code, outgoing.payload))
            .collect()
    }

    /// Returns the reference's events and mailserver calls for the same outputs.
    fn reference_events(&self) -> (Vec<Value>, Value) {
        let mut events = Vec::new();
        let [mut archive, mut deliver_envelope, mut deliver_request, mut sync] = [0; 4];
        for event in &self.events {
            match event {
                Event::BatchAcknowledged { batch, errors, .. } => {
                    let mut event = json!({ "event": "batch.acknowleged" });
                    if *batch != [0; 32] {
                        event["batch"] = text(batch);
                    }
                    if let Some(errors) = errors {
                        event["errors"] = errors.iter().map(error_json).collect();
                    }
                    events.push(event);
                }
                Event::P2pMessages { envelopes, .. } => events.extend(envelopes.iter().map(
                    |envelope| json!({ "event": "envelope.available", "hash": text(&envelope.hash().0) }),
                )),
                Event::RequestComplete { answer, .. } => {
                    let zeros = EnvelopeHash([0; 32]);
                    let (request, last, cursor, error) = match answer {
                        RequestComplete::Success { request, last, cursor } => {
                            (request, *last, cursor.as_ref().map(Cursor::to_bytes), Value::Null)
                        }
                        RequestComplete::Failure { request, text } => {
                            let text = String::from_utf8_lossy(text).into_owned();
                            (request, zeros, None, text.into())
                        }
                    };
                    events.push(json!({
                        "event": "mailserver.request.completed",
                        "hash": text(request),
                        "last_envelope_hash": text(&last.0),
                        "cursor": text(&cursor.unwrap_or_default()),
                        "error": error,
                    }));
                }
                Event::Request { request, .. } => match **request {
                    P2pRequest::Envelope(_) => deliver_envelope += 1,
                    P2pRequest::Plain(_) => deliver_request += 1,
                },
                Event::SyncRequest { .. } => sync += 1,
                Event::SyncResponse { response, .. } => {
                    archive += response.envelopes.len();
                    if response.last || !response.error.is_empty() {
                        events.push(json!({
                            "event": "mailserver.sync.finished",
                            "cursor": text(&response.cursor.as_ref().map(Cursor::to_bytes).unwrap_or_default()),
                            "error": String::from_utf8_lossy(&response.error),
                        }));
                    }
                }
                // The reference changes what it sends, and reports nothing.
                Event::Requirements { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        let calls = json!({
            "archive": archive,
            "deliver_envelope": deliver_envelope,
            "deliver_request": deliver_request,
            "sync": sync,
        });
        (events, calls)
    }

    fn assert_state(&self, expected: &Value, case: &Case) {
        let state = self.node.peer(self.peer).expect("still connected");
        let status = state.status.expect("has met");
        let expected = Case::new("case".to_owned(), expected);
        let bloom = status.bloom.map_or(Vec::new(), |bloom| bloom.0.to_vec());
        assert_eq!(bloom, expected.hex("bloom"), "{case}");
        assert_eq!(status.confirmations, expected.bool("confirmations_enabled"), "{case}");
        assert_eq!(status.is_full_node(), expected.bool("full_node"), "{case}");
        assert_eq!(status.min_pow, expected.f64("pow_requirement"), "{case}");
        let RateLimits { ip, peer_id, topic } = status.rate_limits;
        assert_eq!([ip, peer_id, topic].to_vec(), u64s(expected.get("rate_limits")), "{case}");
        assert_eq!(state.trusted, expected.bool("trusted"), "{case}");
        expected.finish();
    }
}

fn error_code(file: &Value) -> u64 {
    file["envelope_error_codes"]["time_not_synced"].as_u64().unwrap_or(37)
}

fn envelope_error(value: &Value) -> EnvelopeError {
    EnvelopeError {
        hash: EnvelopeHash(bytes(&value["hash"]).try_into().unwrap()),
        code: value["code"].as_u64().unwrap(),
        description: value["description"].as_str().unwrap().to_owned(),
    }
}

fn error_json(error: &EnvelopeError) -> Value {
    json!({
        "code": error.code,
        "description": error.description,
        "hash": text(&error.hash.0),
    })
}

pub fn replies(value: &Value) -> Vec<(u64, Vec<u8>)> {
    let replies = value.as_array().expect("a list of replies").iter().map(|reply| {
        assert_eq!(reply.as_object().unwrap().len(), 2);
        (reply["code"].as_u64().unwrap(), bytes(&reply["payload"]))
    });
    replies.collect()
}

fn u64s(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect()
}

fn bloom(bytes: &[u8]) -> Bloom {
    Bloom(bytes.try_into().expect("64 bytes"))
}

fn text(bytes: &[u8]) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

/// Decodes hex, or one repeated byte.
fn bytes(value: &Value) -> Vec<u8> {
    if let Some(repeat) = value.get("repeat") {
        let byte = hex::decode(repeat.as_str().unwrap()).unwrap();
        return byte.repeat(value["len"].as_u64().unwrap() as usize);
    }
    let text = value.as_str().expect("hex");
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).expect("hex")
}

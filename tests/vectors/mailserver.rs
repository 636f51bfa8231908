//! Vectors of mailservers: requests in every layout, archive keys, answers, and a server whose
//! packets must match the reference.

use std::{cell::RefCell, time::Duration};

use serde_json::Value;
use statuskit_core::{
    crypto::{PublicKey, SecretKey, keccak256, seeded_rng},
    devp2p::NodeId,
    envelope::{
        Bloom, Envelope, EnvelopeHash, Opener, Padding, SymKey, Topic, message,
        pow::{self, MineOptions, MineResult},
        seal,
    },
    mailserver::{
        Access, ArchiveKey, Cursor, Form, Position, Request,
        batch::Reply,
        request::{MAX_RAW_RANGE, default_range, plain_id},
        seal::{FLEET_PASSWORD, REQUEST_TOPIC},
    },
    time::UnixSeconds,
    wire::{
        Dialect, Packet,
        p2p::{MessagesRequest, P2pRequest, RequestComplete, SyncRequest, SyncResponse},
        packet::code,
    },
};
use statuskit_mailserver::{
    Archive, Server, ServerConfig, archive::MemoryArchive, server::request_id,
};
use statuskit_net::node::Time;

use crate::case::{Case, Set, bytes, is_foreign};

type Counts = Vec<(&'static str, usize)>;

pub fn mailserver(set: &mut Set) {
    let password = set.take("password");
    let password = password.as_ref().map_or(FLEET_PASSWORD, |it| it.as_str().expect("a text"));
    let key = SymKey::from_password(password);
    if let Some(value) = set.take("sym_key") {
        assert_eq!(key.as_bytes().to_vec(), bytes(&value, "sym_key"));
    }
    set.each("request_payloads", request_payload);
    set.each("request_defaults", |case| {
        let range = default_range(
            UnixSeconds(case.u32("from_in")),
            UnixSeconds(case.u32("to_in")),
            UnixSeconds(case.u32("now")),
        );
        assert_eq!(range, (UnixSeconds(case.u32("from")), UnixSeconds(case.u32("to"))), "{case}");
        assert_eq!(case.u64("timeout_seconds"), 10, "{case}");
    });
    set.each("archive_keys", archive_key);
    set.each("range_keys", |case| {
        let (start, end) =
            ArchiveKey::range(UnixSeconds(case.u32("lower")), UnixSeconds(case.u32("upper")));
        assert_eq!(start.0.to_vec(), case.hex("start_key_inclusive"), "{case}");
        // Beyond 32 bits, the reference's seconds wrap around.
        let end = end.map_or(vec![0; 40], |end| end.0.to_vec());
        assert_eq!(end, case.hex("end_key_exclusive"), "{case}");
    });
    set.each("complete_payloads", complete_payload);
    set.each("request_envelopes", |case| request_envelope(case, &key));
    set.group(&["server"], |file| file.get("server").map_or(Vec::new(), |it| server(it, &key)));
}

fn request_payload(case: &Case<'_>) {
    let mut fields = None;
    case.inner("fields", |it| {
        fields = Some(Request {
            from: UnixSeconds(it.u32("lower")),
            to: UnixSeconds(it.u32("upper")),
            bloom: bloom(&it.hex("bloom")),
            topics: topics(it.list("topics")),
            limit: it.u32("limit"),
            cursor: Cursor::from_bytes(&it.hex("cursor")),
            batch: it.bool("batch"),
        });
    });
    let fields = fields.expect("set above");
    let rlp = case.hex("rlp");
    assert_eq!(fields.encode(), rlp, "{case}");
    assert_eq!(Request::decode(&rlp), Ok((fields.clone(), Form::Seven)), "{case}");
    // In the form that the reference's client expects.
    if let Some(wanted) = case.opt("request_topics") {
        let mut wanted = topics(wanted.as_array().expect("a list"));
        let single = Topic(case.array("request_topic"));
        if wanted.is_empty() {
            wanted.push(single);
        }
        let request = Request {
            limit: case.u32("limit"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
            ..Request::from_topics(
                UnixSeconds(case.u32("from")),
                UnixSeconds(case.u32("to")),
                wanted,
            )
        };
        assert_eq!(request, fields, "{case}");
    }
}

fn archive_key(case: &Case<'_>) {
    let envelope = Envelope::decode(&case.hex("envelope")).unwrap();
    let (position, topic) = (Position::from_envelope(&envelope), Topic(case.array("topic")));
    assert_eq!(envelope.topic(), topic, "{case}");
    assert_eq!(
        (position.sent.0, position.hash.0),
        (case.u32("sent"), case.array("hash")),
        "{case}"
    );
    assert_eq!(position.to_bytes().to_vec(), case.hex("cursor"), "{case}");
    assert_eq!(Cursor::from_bytes(&case.hex("cursor")), Some(position.into()), "{case}");
    let key = ArchiveKey(case.array("key"));
    assert_eq!(ArchiveKey::from_envelope(&envelope), key, "{case}");
    assert_eq!((key.position(), key.topic()), (position, topic), "{case}");
}

fn complete_payload(case: &Case<'_>) {
    let payload = case.hex("payload");
    let packet = Packet::decode(code::P2P_REQUEST_COMPLETE, &case.hex("packet"));
    let valid = case.bool("valid");
    assert_eq!(packet.is_ok(), valid, "{case}");
    let complete = RequestComplete::decode(&payload);
    assert_eq!(complete.is_ok(), valid, "{case}");
    assert_eq!(case.opt("parse_error").is_none(), valid, "{case}");
    let Ok(complete) = complete else {
        for member in ["request_id", "last_envelope_hash", "cursor", "error"] {
            case.skip(member);
        }
        return;
    };
    assert_eq!(packet.unwrap(), Packet::RequestComplete(complete.clone()), "{case}");
    assert_complete(&complete, case);
    // Ignored content is not encoded again; the other payloads round-trip.
    let is_success = matches!(complete, RequestComplete::Success { .. });
    let overlooked = is_success && ![64, 100].contains(&payload.len());
    assert_eq!(complete.encode() == payload, !overlooked, "{case}");
}

/// Asserts the members that describe how a request ended.
fn assert_complete(complete: &RequestComplete, case: &Case<'_>) {
    let (request, last, cursor, error) = match complete {
        RequestComplete::Success { request, last, cursor } => {
            (request, last.0, cursor.clone(), None)
        }
        RequestComplete::Failure { request, text } => {
            (request, [0; 32], None, Some(String::from_utf8_lossy(text)))
        }
    };
    assert_eq!(*request, case.array("request_id"), "{case}");
    assert_eq!(last, case.array("last_envelope_hash"), "{case}");
    assert_eq!(cursor, Cursor::from_bytes(&case.hex("cursor")), "{case}");
    let expected = case.any("error").and_then(Value::as_str);
    assert_eq!(error.as_deref(), expected, "{case}");
}

fn request_envelope(case: &Case<'_>, password: &SymKey) {
    let raw = case.hex("envelope");
    let envelope = Envelope::decode(&raw).unwrap();
    case.inner("packet", |packet| {
        assert_eq!((packet.u64("code"), packet.hex("payload")), (code::P2P_REQUEST, raw));
    });
    let request = P2pRequest::Envelope(envelope.clone());
    assert_eq!(request_id(&request), case.array("request_id"), "{case}");
    let (now, ttl) = (case.u32("now"), case.u32("ttl"));
    assert_eq!((envelope.sent().0, envelope.ttl()), (now, ttl), "{case}");
    assert_eq!(envelope.expiry(), UnixSeconds(case.u32("expiry")), "{case}");
    assert_eq!(envelope.topic(), Topic(case.array("topic")), "{case}");
    assert_eq!(envelope.topic(), REQUEST_TOPIC, "{case}");
    assert_eq!(envelope.pow(0), case.f64("pow"), "{case}");
    let target = case.f64("pow_target");
    assert!(envelope.pow(0) >= target, "{case}");
    let signer = SecretKey::from_bytes(&case.array("signer_private_key")).unwrap();
    let public = PublicKey::from_slice(&case.hex("signer_public_key")).unwrap();
    assert_eq!(signer.public_key(), public, "{case}");

    let sym = case.opt_hex("sym_key");
    let password = match &sym {
        // A foreign set may use a different password for each.
        Some(key) if is_foreign() => &SymKey::from_bytes(key[..].try_into().unwrap()).unwrap(),
        _ => password,
    };
    let recipient = case.opt_hex("recipient_private_key");
    let recipient =
        recipient.map(|bytes| SecretKey::from_bytes(&bytes.try_into().unwrap()).unwrap());
    let (opener, access) = match (&sym, &recipient) {
        (Some(sym), None) => {
            assert_eq!(password.as_bytes(), &sym[..], "{case}");
            (Opener::Sym(password), Access::Password(password.clone()))
        }
        (None, Some(key)) => (Opener::Asym(key), Access::Key(key.public_key())),
        _ => panic!("{case}: one key"),
    };
    let opened = seal::open(&envelope, opener).unwrap();
    let payload = case.hex("payload");
    assert_eq!(opened.payload, payload, "{case}");
    assert_eq!(opened.signer(), Some(&public), "{case}");

    // The same bytes: plaintext, ciphertext, nonce.
    if sym.is_some() {
        let padding = Padding::Custom(&opened.padding);
        let plaintext = message::build(&payload, padding, Some(&signer)).unwrap();
        let salt = envelope.data().last_chunk().unwrap();
        assert_eq!(seal::encrypt_sym(password, &plaintext, salt), envelope.data(), "{case}");
    }
    let bits = pow::target_bits(target, envelope.data().len(), ttl).unwrap();
    let mined = pow::mine(&envelope.rlp4(), bits, &MineOptions::default());
    assert!(
        matches!(mined, MineResult::Found { nonce, .. } if nonce == envelope.nonce()),
        "{case}: {mined:?}"
    );

    // One of our own differs only in random values.
    let (request, _) = Request::decode(&payload).unwrap();
    let rng = &mut seeded_rng("vectors");
    let options = MineOptions::default();
    let ours = request.seal(&access, &signer, UnixSeconds(now), target, &options, rng).unwrap();
    let again = seal::open(&ours, opener).unwrap();
    assert_eq!((again.signer(), &again.payload), (Some(&public), &payload), "{case}");
    assert_eq!(
        (ours.sent(), ours.ttl(), ours.topic(), ours.data().len()),
        (UnixSeconds(now), ttl, envelope.topic(), envelope.data().len()),
        "{case}"
    );
    assert!(ours.pow(0) >= target, "{case}");
}

/// Asserts the member `server`: an archive, and requests to it.
fn server(value: &Value, password: &SymKey) -> Counts {
    let case = Case::new("mailserver.server".to_owned(), value);
    let key = SecretKey::from_bytes(&case.array("mailserver_private_key")).unwrap();
    let requester = SecretKey::from_bytes(&case.array("requester_private_key")).unwrap();
    let archived: Vec<Envelope> = case
        .list("archived")
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let entry = Case::new(format!("archived[{index}]"), value);
            let envelope = Envelope::decode(&entry.hex("rlp")).unwrap();
            assert_eq!(envelope.hash().0, entry.array("hash"), "{entry}");
            assert_eq!(envelope.topic().0, entry.array("topic"), "{entry}");
            assert_eq!(envelope.sent(), UnixSeconds(entry.u32("sent")), "{entry}");
            entry.finish();
            envelope
        })
        .collect();
    let archive = MemoryArchive::new();
    assert_eq!(archive.append(&archived).unwrap(), archived.len());
    let asked = case.opt("cases").into_iter().flat_map(|cases| cases.as_array().unwrap());
    let asked = asked.flat_map(|case| case["pages"].as_array().unwrap());
    let asked = asked.map(|page| Envelope::decode(&bytes(&page["request_envelope"], "")).unwrap());
    // No clock is given. This one is late enough for everything archived and requested, except for
    // wrapped 32-bit times.
    let times = archived.iter().cloned().chain(asked).map(|envelope| envelope.sent());
    let world = World {
        archive,
        now: times.filter(|sent| *sent < UnixSeconds(1 << 31)).max().unwrap_or_default().0,
        password: password.clone(),
        key,
        requester: requester.public_key(),
        differs: RefCell::default(),
    };
    let each = |member, run: &dyn Fn(&Case<'_>)| {
        let Some(list) = case.opt(member) else { return 0 };
        let list = list.as_array().expect("a list");
        for (index, value) in list.iter().enumerate() {
            let case = Case::new(format!("mailserver.server.{member}[{index}]"), value);
            run(&case);
            case.finish();
        }
        list.len()
    };
    let mut counts = vec![
        ("server.cases", each("cases", &|case| world.case(case))),
        ("server.new_style_requests", each("new_style_requests", &|case| world.plain(case))),
        ("server.waku_0", each("waku_0", &|case| world.waku(case))),
        ("server.sync", each("sync", &|case| world.sync(case))),
    ];
    if case.has("rate_limit") {
        case.inner("rate_limit", |limit| world.rate_limit(limit));
        counts.push(("server.rate_limit", 1));
    }
    case.finish();
    // Our own rules answer exactly these differently.
    let differs = world.differs.into_inner();
    let known = [
        "cursor-wrong-length-ignored",
        "cursor-40-bytes-ignored",
        "legacy-rlp-5-fields",
        "legacy-rlp-6-fields",
        "raw-with-bloom-limit-36-byte-cursor",
    ];
    if !is_foreign() {
        assert_eq!(differs, known);
    }
    counts
}

/// A client's node ID, where it does not matter.
const CLIENT: NodeId = NodeId([1; 32]);

struct World {
    archive: MemoryArchive,
    now: u32,
    password: SymKey,
    key: SecretKey,
    requester: PublicKey,
    /// Cases that our own rules answer differently from the reference.
    differs: RefCell<Vec<String>>,
}

impl World {
    fn config(&self) -> ServerConfig {
        let mut config = ServerConfig::from_password(self.password.clone());
        config.as_reference = true;
        config
    }

    fn config_with(&self, change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
        let mut config = self.config();
        change(&mut config);
        config
    }

    fn time(&self) -> Time {
        Duration::from_secs(self.now.into())
    }

    /// Returns all packets of the answer to a request.
    fn ask(&self, server: &Server, client: NodeId, request: &P2pRequest) -> Vec<Reply> {
        match server.request(client, request, &self.archive, self.time()) {
            Ok(answer) => self.drain(answer),
            Err(refused) => vec![refused.reply],
        }
    }

    fn drain(&self, mut answer: statuskit_mailserver::Answer) -> Vec<Reply> {
        let replies =
            std::iter::from_fn(|| answer.next(&self.archive).unwrap()).collect::<Vec<_>>();
        let envelopes: u32 = replies.iter().map(|reply| reply.envelopes).sum();
        assert_eq!(answer.totals().envelopes, u64::from(envelopes));
        replies
    }

    fn case(&self, case: &Case<'_>) {
        let mut config = self.config();
        config.min_pow = case.f64("min_request_pow");
        if case.bool("asymmetric") {
            config.key = Some(self.key.clone());
        }
        if case.has("max_message_size") {
            config.max_message_size = case.u32("max_message_size");
        }
        let mut ours = config.clone();
        ours.as_reference = false;
        let ours = Server::new(ours).unwrap();
        let server = Server::new(config).unwrap();
        let name = case.opt("name").and_then(Value::as_str).unwrap_or_default();
        let mut differs = false;
        for (index, value) in case.list("pages").iter().enumerate() {
            let page = Case::new(format!("{}.pages[{index}]", case.path()), value);
            let envelope = Envelope::decode(&page.hex("request_envelope")).unwrap();
            let request = P2pRequest::Envelope(envelope.clone());
            assert_eq!(request_id(&request), page.array("request_id"), "{page}");
            let payload = page.hex("request_payload");
            // Decrypted with the server's key first, if it has one, then with the password.
            let asym = case.bool("asymmetric").then_some(Opener::Asym(&self.key));
            let mut openers = asym.into_iter().chain([Opener::Sym(&self.password)]);
            match openers.find_map(|opener| seal::open(&envelope, opener).ok()) {
                Some(message) => {
                    assert_eq!(message.payload, payload, "{page}");
                    // Any client may ask; this is the vectors' usual one.
                    if !is_foreign() {
                        let by = message.signer();
                        assert!(by.is_none_or(|signer| *signer == self.requester), "{page}");
                    }
                    round_trip(&payload);
                }
                // Unreadable requests deliver nothing.
                None => assert!(page.list("delivered").is_empty(), "{page}"),
            }
            let client = named_client(&page);
            let replies = self.ask(&server, client, &request);
            assert_replies(&replies, &page);
            differs |= self.ask(&ours, client, &request) != replies;
            page.finish();
        }
        if differs {
            self.differs.borrow_mut().push(name.to_owned());
        }
    }

    fn plain(&self, case: &Case<'_>) {
        let request = plain_request(case);
        let packet = Packet::P2pRequest(P2pRequest::Plain(request.clone()));
        let payload = case.hex("request_packet");
        assert_eq!(packet.encode(), payload, "{case}");
        assert_eq!(Packet::decode(code::P2P_REQUEST, &payload), Ok(packet), "{case}");
        assert_sender(&request, case);
        let server = Server::new(self.config()).unwrap();
        let replies = self.ask(&server, CLIENT, &P2pRequest::Plain(request));
        assert_replies(&replies, case);
    }

    fn waku(&self, case: &Case<'_>) {
        let topics = topics(case.list("topics"));
        let request = MessagesRequest { topics, ..plain_request(case) };
        let packet = Packet::P2pRequest(P2pRequest::Plain(request.clone()));
        let payload = case.hex("request_packet");
        assert_eq!(packet.encode_as(Dialect::Waku0), payload, "{case}");
        let decoded = Packet::decode_as(Dialect::Waku0, code::P2P_REQUEST, &payload);
        assert_eq!(decoded, Ok(packet), "{case}");
        let config = self.config_with(|it| it.dialect = Dialect::Waku0);
        let server = Server::new(config).unwrap();
        let replies = self.ask(&server, CLIENT, &P2pRequest::Plain(request));
        assert_replies(&replies, case);
    }

    fn sync(&self, case: &Case<'_>) {
        let mut request = None;
        case.inner("request", |it| {
            request = Some(SyncRequest {
                lower: UnixSeconds(it.u32("lower")),
                upper: UnixSeconds(it.u32("upper")),
                bloom: it.hex("bloom"),
                limit: it.u32("limit"),
                cursor: Cursor::from_bytes(&it.hex("cursor")),
            });
        });
        let request = request.expect("set above");
        let packet = Packet::SyncRequest(request.clone());
        let payload = case.hex("request_packet");
        assert_eq!(packet.encode(), payload, "{case}");
        let decoded = Packet::decode(code::P2P_SYNC_REQUEST, &payload);
        // An invalid request breaks the protocol, and gets no answer.
        let bad = request.limit == 0 || request.limit > 1000 || request.lower > request.upper;
        assert_eq!(case.value("disconnect_error").is_string(), bad, "{case}");
        if bad {
            assert!(decoded.is_err() || decoded == Ok(packet), "{case}");
            assert!(case.list("packets").is_empty(), "{case}");
            assert!(case.opt("delivered").is_none_or(|it| *it == Value::from(Vec::<u8>::new())));
            return;
        }
        assert_eq!(decoded, Ok(packet), "{case}");
        let server = Server::new(self.config()).unwrap();
        let replies = match server.sync_request(CLIENT, &request, &self.archive, self.time()) {
            Ok(answer) => self.drain(answer),
            Err(refused) => vec![refused.reply],
        };
        assert_replies(&replies, case);
    }

    fn rate_limit(&self, case: &Case<'_>) {
        let seconds = case.u64("min_seconds_between_requests");
        let interval = Duration::from_secs(seconds);
        let server = Server::new(self.config_with(|it| it.rate_limit = interval)).unwrap();
        let ask = |case: &Case<'_>, now: Time| {
            let request = Request {
                limit: 2,
                ..Request::from_bloom(UnixSeconds::EPOCH, UnixSeconds(self.now), Bloom::FULL)
            };
            let plain = request.to_plain(&case.hex("request_id")).unwrap();
            let replies =
                match server.request(CLIENT, &P2pRequest::Plain(plain), &self.archive, now) {
                    Ok(answer) => self.drain(answer),
                    Err(refused) => vec![refused.reply],
                };
            let Packet::RequestComplete(complete) = decoded(replies.last().unwrap()) else {
                panic!("{case}: not complete");
            };
            complete
        };
        let now = self.time();
        let mut first = None;
        case.inner("first", |case| {
            let complete = ask(case, now);
            assert_complete(&complete, case);
            first = Some(complete);
        });
        case.inner("second_immediately", |case| assert_complete(&ask(case, now), case));
        // After the interval, the second request is answered like the first.
        let value = case.get("first");
        let again = Case::new("first, later".to_owned(), value);
        assert_eq!(first, Some(ask(&again, now + interval)));
    }
}

/// The client's node ID. One of the answers contains it in its text, as raw bytes.
fn named_client(page: &Case<'_>) -> NodeId {
    let packets = page.list("packets").iter();
    let payloads = packets.filter_map(|packet| Some(bytes(packet.get("payload")?, "payload")));
    let marker = b"for peer ";
    let mut named = payloads.filter_map(|payload| {
        let at = payload.windows(marker.len()).position(|window| window == marker)?;
        payload[at + marker.len()..].try_into().ok().map(NodeId)
    });
    named.next_back().unwrap_or(CLIENT)
}

/// Asserts that a decoded payload round-trips. In the raw form it decodes to the same request: empty
/// members may be left out, and trailing bytes are ignored.
fn round_trip(payload: &[u8]) {
    if let Ok((request, form)) = Request::decode(payload) {
        assert_eq!(request.encode_as(form), payload);
    } else if let Ok(raw) = Request::decode_raw(payload) {
        assert!(raw.to.0 - raw.from.0 <= MAX_RAW_RANGE);
        let written = raw.encode_as(Form::Raw);
        assert_eq!(Request::decode_raw(&written), Ok(raw), "{}", hex::encode(payload));
        let says_all = [8, 76, 116].contains(&payload.len()) && written.len() == payload.len();
        // The topic after a cursor is not read.
        let read = payload.len().min(112);
        assert!(!says_all || written[..read] == payload[..read], "{}", hex::encode(payload));
    }
}

fn plain_request(case: &Case<'_>) -> MessagesRequest {
    MessagesRequest {
        id: case.hex("id"),
        from: UnixSeconds(case.u32("from")),
        to: UnixSeconds(case.u32("to")),
        limit: case.u32("limit"),
        cursor: Cursor::from_bytes(&case.opt_hex("cursor").unwrap_or_default()),
        bloom: case.hex("bloom"),
        topics: Vec::new(),
    }
}

/// Asserts what a sender sends, and what it refuses to send.
fn assert_sender(plain: &MessagesRequest, case: &Case<'_>) {
    let (request, id) = Request::from_plain(plain).unwrap();
    assert_eq!(id, plain_id(&plain.id), "{case}");
    let sendable = plain.id.len() == 32
        && plain.from <= plain.to
        && plain.limit <= 1000
        && !plain.bloom.is_empty();
    match request.to_plain(&plain.id) {
        Ok(ours) => assert_eq!((&ours, sendable), (plain, true), "{case}"),
        Err(_) => assert!(!sendable, "{case}"),
    }
}

fn decoded(reply: &Reply) -> Packet {
    Packet::decode(reply.packet.code, &reply.packet.payload).expect("a packet that clients read")
}

/// Asserts the members `packets`, `delivered`, `complete` and `disconnect_error`.
fn assert_replies(replies: &[Reply], case: &Case<'_>) {
    // Refusing a request does not break the protocol.
    assert!(case.value("disconnect_error").is_null(), "{case}");
    let packets = case.list("packets");
    let found: Vec<_> =
        replies.iter().map(|it| (it.packet.code, it.packet.payload.len())).collect();
    assert_eq!(packets.len(), replies.len(), "{case}: {found:?}");
    let mut delivered = Vec::new();
    for (value, reply) in packets.iter().zip(replies) {
        let expected = Case::new(format!("{}.packets", case.path()), value);
        assert_eq!(reply.packet.code, expected.u64("code"), "{expected}");
        if let Some(payload) = expected.opt_hex("payload") {
            assert_eq!(hex::encode(&reply.packet.payload), hex::encode(payload), "{expected}");
        }
        assert_eq!(reply.packet.payload.len() as u64, expected.u64("payload_len"), "{expected}");
        let hash = keccak256(&reply.packet.payload);
        assert_eq!(hash, expected.array("payload_keccak256"), "{expected}");
        let packet = decoded(reply);
        assert_eq!(packet.code(), reply.packet.code);
        let envelopes = match packet {
            Packet::P2pMessage(envelopes) => {
                let list = expected.str("form") == "list";
                assert!(list || expected.str("form") == "single", "{expected}");
                assert_eq!(Envelope::decode(&reply.packet.payload).is_err(), list, "{expected}");
                envelopes
            }
            Packet::SyncResponse(SyncResponse { envelopes, cursor, last, error }) => {
                assert_eq!(cursor, Cursor::from_bytes(&expected.hex("cursor")), "{expected}");
                assert_eq!(last, expected.bool("final"), "{expected}");
                assert_eq!(String::from_utf8_lossy(&error), expected.str("error"), "{expected}");
                envelopes
            }
            Packet::RequestComplete(_) => Vec::new(),
            other => panic!("{expected}: {other:?}"),
        };
        assert_eq!(envelopes.len(), reply.envelopes as usize, "{expected}");
        let hashes: Vec<_> = envelopes.iter().map(Envelope::hash).collect();
        if let Some(expected_hashes) = expected.any("envelope_hashes") {
            assert_eq!(hashes, hashes_of(expected_hashes), "{expected}");
        } else {
            assert!(hashes.is_empty(), "{expected}");
        }
        delivered.extend(hashes);
        expected.finish();
    }
    assert_eq!(delivered, hashes_of(case.get("delivered")), "{case}");
    if case.has("complete") {
        let Packet::RequestComplete(complete) = decoded(replies.last().unwrap()) else {
            panic!("{case}: not complete");
        };
        case.inner("complete", |expected| assert_complete(&complete, expected));
    }
}

fn hashes_of(value: &Value) -> Vec<EnvelopeHash> {
    let hashes = value.as_array().expect("a list").iter();
    hashes.map(|it| EnvelopeHash(bytes(it, "hash").try_into().expect("32 bytes"))).collect()
}

fn bloom(bytes: &[u8]) -> Option<Bloom> {
    (!bytes.is_empty()).then(|| Bloom(bytes.try_into().expect("64 bytes")))
}

fn topics(values: &[Value]) -> Vec<Topic> {
    let topics = values.iter();
    topics.map(|it| Topic(bytes(it, "topic").try_into().expect("4 bytes"))).collect()
}

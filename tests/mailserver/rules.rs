//! The rules of a server, without a network: malformed requests and their answers, cursors, and the
//! promises of paging.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use proptest::prelude::*;
use statuskit_core::{
    crypto::seeded_rng,
    devp2p::NodeId,
    envelope::{
        Bloom, Draft, Envelope, EnvelopeHash, Recipient, SymKey, Topic, pow::MineOptions, seal,
    },
    mailserver::{Access, Cursor, Form, Position, Reply, Request},
    rlp,
    time::UnixSeconds,
    wire::{
        Dialect, Packet,
        p2p::{P2pRequest, RequestComplete, SyncRequest, SyncResponse},
    },
};
use statuskit_mailserver::{
    Answer, Archive, ConfigError, Refusal, Server, ServerConfig,
    archive::{MemoryArchive, Order},
};

use crate::world::{
    Moody, NOW, TOPICS, archive_of, envelope, envelopes, key, password, rules, rules_with,
};

const CLIENT: NodeId = NodeId([7; 32]);
const TIME: Duration = Duration::from_secs(NOW as u64);

fn server() -> Server {
    Server::new(rules()).unwrap()
}

/// Makes a request in a sealed envelope.
fn sealed(payload: &[u8], signed: bool, recipient: Recipient<'_>) -> P2pRequest {
    let signer = key("signer");
    let draft = Draft {
        topic: Topic([0; 4]),
        now: UnixSeconds(NOW),
        ttl: 50,
        payload,
        signer: signed.then_some(&signer),
    };
    P2pRequest::Envelope(seal::seal(&draft, recipient, &mut seeded_rng("rules")).unwrap())
}

fn by_password(payload: &[u8]) -> P2pRequest {
    sealed(payload, true, Recipient::Sym(&password()))
}

fn drain(mut answer: Answer, archive: &dyn Archive) -> Vec<Reply> {
    std::iter::from_fn(|| answer.next(archive).unwrap()).collect()
}

/// Returns the envelopes of an answer, and its cursor.
fn page(replies: &[Reply]) -> (Vec<Envelope>, Option<Cursor>) {
    let (mut envelopes, mut end) = (Vec::new(), None);
    for reply in replies {
        assert_eq!(end, None, "nothing follows the end");
        match Packet::decode(reply.packet.code, &reply.packet.payload).unwrap() {
            Packet::P2pMessage(more) => envelopes.extend(more),
            Packet::RequestComplete(RequestComplete::Success { last, cursor, .. }) => {
                let expected = envelopes.last().map_or(EnvelopeHash([0; 32]), Envelope::hash);
                assert_eq!(last, expected);
                end = Some(cursor);
            }
            Packet::SyncResponse(SyncResponse { envelopes: more, cursor, last, error }) => {
                assert!(error.is_empty());
                assert!(last || cursor.is_none());
                envelopes.extend(more);
                end = last.then_some(cursor);
            }
            other => panic!("{other:?}"),
        }
    }
    (envelopes, end.expect("an end"))
}

/// Returns the text for a refused client.
fn text(server: &Server, request: &P2pRequest, archive: &dyn Archive) -> String {
    let refused = server.request(CLIENT, request, archive, TIME).unwrap_err();
    match Packet::decode(refused.reply.packet.code, &refused.reply.packet.payload).unwrap() {
        Packet::RequestComplete(RequestComplete::Failure { request: id, text }) => {
            assert_eq!(id, statuskit_mailserver::server::request_id(request));
            String::from_utf8_lossy(&text).into_owned()
        }
        other => panic!("{other:?}"),
    }
}

fn ok(
    server: &Server,
    request: &P2pRequest,
    archive: &dyn Archive,
) -> (Vec<Envelope>, Option<Cursor>) {
    let answer = server.request(CLIENT, request, archive, TIME).expect("an answer");
    page(&drain(answer, archive))
}

#[test]
fn every_malformed_request_gets_its_answer() {
    let archive = archive_of(&envelopes(3));
    let server = server();
    let full = Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL);
    let list = |items: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        rlp::put_list(&mut out, |out| items(out));
        out
    };
    let long_bloom = list(&|out| {
        [1, 2].iter().for_each(|second| rlp::put_u64(out, *second));
        rlp::put_bytes(out, &[0xff; 65]);
        rlp::put_list_header(out, 0);
        [0, 0, 1].iter().for_each(|it| rlp::put_u64(out, *it));
    });
    let raw = |from: u32, to: u32| [from.to_be_bytes(), to.to_be_bytes()].concat();
    let id = String::from_utf8_lossy(&CLIENT.0).into_owned();
    for (payload, expected) in [
        (vec![], "Undersized p2p request".to_owned()),
        (vec![1; 7], "Undersized p2p request".to_owned()),
        (vec![1; 9], "Undersized bloom filter in p2p request".to_owned()),
        (b"not a request".to_vec(), "Undersized bloom filter in p2p request".to_owned()),
        (raw(NOW, NOW - 1), format!("query range is invalid: from > to ({NOW} > {})", NOW - 1)),
        (raw(NOW - 86_401, NOW), format!("query range too big for peer {id}")),
        (long_bloom, "request is invalid: bloom filter has 65 bytes, expected 64".to_owned()),
        (
            Request { bloom: None, ..full.clone() }.encode(),
            "request is invalid: bloom filter is empty".to_owned(),
        ),
        (
            Request { limit: 1001, ..full.clone() }.encode(),
            "request is invalid: limit exceeds the maximum allowed value".to_owned(),
        ),
        (
            Request { cursor: Cursor::from_bytes(&[0; 35]), ..full.clone() }.encode(),
            "request is invalid: cursor is not of this server: 35 bytes, expected 36".to_owned(),
        ),
        (
            Request { cursor: Cursor::from_bytes(&[0; 36]), ..full.clone() }.encode(),
            "request is invalid: cursor is not of this server: outside of the range".to_owned(),
        ),
    ] {
        assert_eq!(text(&server, &by_password(&payload), &*archive), expected);
    }
    // A descending range gets the error of the raw form, as from the reference.
    let down = Request { to: UnixSeconds(NOW - 11), ..full.clone() }.encode();
    let answer = text(&server, &by_password(&down), &*archive);
    assert!(answer.starts_with("query range is invalid: from > to ("), "{answer}");
    // So does a list with too many items.
    let eight = list(&|out| (0..8).for_each(|it| rlp::put_u64(out, it)));
    assert_eq!(
        text(&server, &by_password(&eight), &*archive),
        "Undersized bloom filter in p2p request"
    );

    let payload = full.encode();
    let password = password();
    let unsigned = sealed(&payload, false, Recipient::Sym(&password));
    assert_eq!(text(&server, &unsigned, &*archive), "wrong signature of p2p request");
    let other = statuskit_core::envelope::SymKey::generate(&mut seeded_rng("other"));
    let undecryptable = "failed to decrypt p2p request";
    let wrong = sealed(&payload, true, Recipient::Sym(&other));
    assert_eq!(text(&server, &wrong, &*archive), undecryptable);
    let to_key = sealed(&payload, true, Recipient::Asym(&key("server").public_key()));
    assert_eq!(text(&server, &to_key, &*archive), undecryptable);
    let with_key = rules_with(|it| it.key = Some(key("server")));
    let with_key = Server::new(with_key).unwrap();
    assert_eq!(ok(&with_key, &to_key, &*archive).0.len(), 3);
    assert_eq!(ok(&with_key, &by_password(&payload), &*archive).0.len(), 3);

    let strict = Server::new(rules_with(|it| it.min_pow = 1e6)).unwrap();
    assert_eq!(text(&strict, &by_password(&payload), &*archive), "PoW() is too low");
    let plain = full.to_plain(&[1; 32]).unwrap();
    assert_eq!(
        ok(&strict, &P2pRequest::Plain(plain), &*archive).0.len(),
        3,
        "no envelope, no work"
    );
}

#[test]
fn a_private_password_protects_every_request() {
    let archive = archive_of(&envelopes(3));
    let plain = Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL)
        .to_plain(&[1; 32])
        .unwrap();
    let plain = P2pRequest::Plain(plain);
    let sync = |server: &Server| {
        let request = SyncRequest::all(UnixSeconds::EPOCH, UnixSeconds(NOW));
        server.sync_request(CLIENT, &request, &*archive, TIME).err().map(|it| it.refusal.label())
    };
    let private = |change: &dyn Fn(&mut ServerConfig)| {
        let password = SymKey::from_bytes([1; 32]).unwrap();
        let mut rules = ServerConfig::from_password(password);
        change(&mut rules);
        Server::new(rules).unwrap()
    };
    let closed = private(&|_| ());
    assert_eq!(text(&closed, &plain, &*archive), "plain requests are not allowed");
    assert_eq!(sync(&closed), Some("not_allowed"));
    let open = private(&|rules| {
        rules.allow_plain = Some(true);
        rules.sync_peers = Some([CLIENT].into());
    });
    assert_eq!(ok(&open, &plain, &*archive).0.len(), 3);
    assert_eq!(sync(&open), None);
    let other = private(&|rules| rules.sync_peers = Some([NodeId([9; 32])].into()));
    assert_eq!(sync(&other), Some("not_allowed"));

    // The published password protects nothing anyway, nor does the public key.
    assert_eq!(ok(&server(), &plain, &*archive).0.len(), 3);
    assert_eq!(sync(&server()), None);
    let keyed = private(&|rules| rules.key = Some(key("server")));
    assert_eq!(ok(&keyed, &plain, &*archive).0.len(), 3);
    let strict = Server::new(rules_with(|rules| rules.allow_plain = Some(false))).unwrap();
    assert_eq!(text(&strict, &plain, &*archive), "plain requests are not allowed");
}

#[test]
fn answers_every_form() {
    let all = envelopes(3);
    let archive = archive_of(&all);
    let request = Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL);
    for form in [Form::Seven, Form::Six, Form::Five, Form::Raw] {
        let (got, cursor) = ok(&server(), &by_password(&request.encode_as(form)), &*archive);
        assert_eq!((&got, cursor), (&all, None), "{form:?}");
    }
    // And continues from a cursor.
    let cursor = Some(Position::from_envelope(&all[0]).into());
    let request = Request { cursor, limit: 1, ..request };
    for form in [Form::Seven, Form::Six, Form::Five, Form::Raw] {
        let (got, cursor) = ok(&server(), &by_password(&request.encode_as(form)), &*archive);
        assert_eq!(got, all[1..2], "{form:?}");
        assert_eq!(cursor, Some(Position::from_envelope(&all[1]).into()), "{form:?}");
    }
    let as_reference = Server::new(rules_with(|it| it.as_reference = true)).unwrap();
    for form in [Form::Six, Form::Five] {
        let request = by_password(&request.encode_as(form));
        let answer = text(&as_reference, &request, &*archive);
        assert!(answer.starts_with("query range is invalid: from > to"), "{answer}");
    }
    // Waku has no raw form to fall back to.
    let (as_reference, dialect) = (true, Dialect::Waku0);
    let in_waku = Server::new(rules_with(|it| {
        it.as_reference = as_reference;
        it.dialect = dialect;
    }))
    .unwrap();
    for form in [Form::Six, Form::Five] {
        let request = by_password(&request.encode_as(form));
        let answer = text(&in_waku, &request, &*archive);
        assert!(answer.starts_with("failed to decode data: "), "{answer}");
    }
    let (got, _) = ok(&in_waku, &by_password(&request.encode()), &*archive);
    assert_eq!(got.len(), 1);
}

#[test]
fn overlooks_what_the_reference_overlooks() {
    let all = envelopes(6);
    let archive = archive_of(&all);
    let (as_reference, order) = (true, Order::NewestFirst);
    let server = Server::new(rules_with(|it| it.as_reference = as_reference)).unwrap();
    let descending = Server::new(rules_with(|it| {
        it.as_reference = as_reference;
        it.order = order;
    }))
    .unwrap();
    let ask = |server: &Server, cursor: Position, to: u32| {
        let cursor = Some(cursor.into());
        let request =
            Request { cursor, ..Request::from_bloom(all[1].sent(), UnixSeconds(to), Bloom::FULL) };
        ok(server, &by_password(&request.encode()), &*archive).0
    };
    let at = |index: usize| Position::from_envelope(&all[index]);
    let before = |index: usize| Position { hash: EnvelopeHash([0; 32]), ..at(index) };
    assert!(all.iter().map(Envelope::sent).is_sorted_by(|a, b| a < b));
    assert_eq!(ask(&server, at(2), NOW), all[3..]);
    // What is taken for the cursor's envelope is lost.
    assert_eq!(ask(&server, before(2), NOW), all[3..]);
    assert_eq!(ask(&server, before(1), NOW), all[2..]);
    assert_eq!(ask(&server, at(0), NOW), all[2..]);
    assert!(ask(&server, Position { sent: UnixSeconds(NOW + 9), ..at(0) }, NOW).is_empty());
    let down = |range: std::ops::Range<usize>| all[range].iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(ask(&descending, before(4), NOW), down(1..4));
    assert_eq!(ask(&descending, at(4), NOW), down(1..4));
    // The second after the last wraps to the first.
    assert!(ask(&server, at(1), u32::MAX).is_empty());
    assert_eq!(ask(&server, at(1), u32::MAX - 1), all[2..]);
}

#[test]
fn a_retention_of_zero_keeps_all() {
    let config = rules_with(|it| it.retention = Some(Duration::ZERO));
    assert_eq!(Server::new(config).unwrap().config().retention, None);
}

#[test]
fn refuses_foreign_cursors_and_ours_survive_a_prune() {
    let all = envelopes(20);
    let archive = archive_of(&all);
    let server = server();
    let from = NOW - 100;
    let ask = |cursor: Option<Cursor>| {
        let request = Request {
            limit: 5,
            cursor,
            ..Request::from_bloom(UnixSeconds(from), UnixSeconds(NOW), Bloom::FULL)
        };
        by_password(&request.encode())
    };
    let unknown = Some(Position { sent: UnixSeconds(NOW - 5), hash: EnvelopeHash([5; 32]) }.into());
    let answer = text(&server, &ask(unknown), &*archive);
    assert_eq!(answer, "request is invalid: cursor is not of this server: no such envelope");

    let (first, cursor) = ok(&server, &ask(None), &*archive);
    assert_eq!(first, all[..5]);
    // Another process prunes: we don't know.
    archive.prune(all[7].sent()).unwrap();
    let answer = text(&server, &ask(cursor.clone()), &*archive);
    assert!(answer.ends_with("no such envelope"), "{answer}");
    // We prune.
    server.prunes(all[7].sent());
    let (second, _) = ok(&server, &ask(cursor.clone()), &*archive);
    assert_eq!(second, all[7..12]);
    // Or it was older than the retention anyway.
    let kept = Duration::from_secs(u64::from(NOW - all[7].sent().0));
    let keeps = Server::new(rules_with(|it| it.retention = Some(kept))).unwrap();
    assert_eq!(ok(&keeps, &ask(cursor), &*archive).0, all[7..12]);
}

#[test]
fn the_rate_limit_counts_accepted_requests() {
    let archive = archive_of(&envelopes(3));
    let config = rules_with(|it| it.rate_limit = Duration::from_secs(5));
    let server = Server::new(config).unwrap();
    let good = by_password(
        &Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL).encode(),
    );
    let unknown = Some(Position { sent: UnixSeconds(NOW), hash: EnvelopeHash([5; 32]) }.into());
    let request = Request {
        cursor: unknown,
        ..Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL)
    };
    let bad_cursor = by_password(&request.encode());
    let at = |request: &P2pRequest, seconds: u64, client: u8| {
        let now = TIME + Duration::from_secs(seconds);
        server
            .request(NodeId([client; 32]), request, &*archive, now)
            .map(|_| ())
            .map_err(|it| it.refusal)
    };
    // Refusals of any kind begin no interval.
    assert!(matches!(at(&by_password(b""), 0, 1), Err(Refusal::Unreadable(_))));
    assert!(matches!(at(&bad_cursor, 0, 1), Err(Refusal::Invalid(_))));
    assert!(at(&good, 0, 1).is_ok());
    assert!(matches!(at(&good, 0, 1), Err(Refusal::RateLimited)));
    assert!(matches!(at(&bad_cursor, 4, 1), Err(Refusal::RateLimited)));
    assert!(matches!(at(&by_password(b""), 4, 1), Err(Refusal::Unreadable(_))));
    assert!(at(&good, 4, 2).is_ok(), "another client");
    assert!(at(&good, 5, 1).is_ok());
    let before = TIME - Duration::from_secs(7200);
    assert!(server.request(NodeId([1; 32]), &good, &*archive, before).is_ok(), "a clock set back");

    // For mailservers it is the first check, with another text.
    let sync =
        SyncRequest { bloom: vec![], ..SyncRequest::all(UnixSeconds(NOW - 10), UnixSeconds(NOW)) };
    let now = TIME + Duration::from_secs(100);
    let refused = server.sync_request(NodeId([3; 32]), &sync, &*archive, now).unwrap_err();
    assert!(matches!(refused.refusal, Refusal::Invalid(_)), "{refused:?}");
    let refused = server.sync_request(NodeId([3; 32]), &sync, &*archive, now).unwrap_err();
    let Packet::SyncResponse(response) =
        Packet::decode(refused.reply.packet.code, &refused.reply.packet.payload).unwrap()
    else {
        panic!("{refused:?}");
    };
    assert_eq!(response.error, b"requests per seconds limit exceeded");
    assert!(!response.last && response.envelopes.is_empty() && response.cursor.is_none());
}

#[test]
fn oversized_envelopes_do_not_stop_the_rest() {
    let mut all = envelopes(3);
    let huge = Envelope::new(UnixSeconds(NOW + 9), 10, TOPICS[0], &[9; 3000], 0);
    all.push(huge.clone());
    all.sort_by_key(Position::from_envelope);
    let archive = archive_of(&all);
    let server = Server::new(rules_with(|it| it.max_message_size = 1000)).unwrap();
    for batch in [true, false] {
        let request = Request {
            batch,
            ..Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL)
        };
        let request = by_password(&request.encode());
        let mut answer = server.request(CLIENT, &request, &*archive, TIME).unwrap();
        let replies: Vec<_> = std::iter::from_fn(|| answer.next(&*archive).unwrap()).collect();
        let (got, _) = page(&replies);
        let rest: Vec<_> = all.iter().filter(|it| **it != huge).cloned().collect();
        assert_eq!(got, rest);
        assert_eq!((answer.totals().envelopes, answer.totals().oversized), (3, 1));
        assert_eq!(answer.totals().packets, replies.len() as u64);
    }
}

#[test]
fn a_server_needs_a_key_and_an_archive_that_works() {
    assert_eq!(Server::new(ServerConfig::default()).unwrap_err(), ConfigError::NoKey);
    let config = rules_with(|it| it.min_pow = f64::NAN);
    assert!(matches!(Server::new(config), Err(ConfigError::Pow(_))));

    let archive = Moody::default();
    archive.inner.append(&envelopes(5)).unwrap();
    let position = Some(Position::from_envelope(&envelopes(5)[1]).into());
    let request = Request {
        cursor: position,
        ..Request::from_bloom(UnixSeconds(NOW - 10), UnixSeconds(NOW), Bloom::FULL)
    };
    let request = by_password(&request.encode());
    let server = server();
    let mut answer = server.request(CLIENT, &request, &archive, TIME).unwrap();
    archive.fails.store(true, Ordering::SeqCst);
    assert_eq!(answer.next(&archive).unwrap_err().code(), "archive.full");
    let told = text(&server, &request, &archive);
    assert_eq!(told, "the archive can't be read", "reveals nothing about our disks");
    archive.fails.store(false, Ordering::SeqCst);
    assert_eq!(page(&drain(answer, &archive)).0.len(), 3, "it continues where it was");
}

#[test]
fn requests_are_sealed_for_the_server_alone() {
    let archive = archive_of(&envelopes(2));
    let request = Request::from_topics(UnixSeconds(NOW - 10), UnixSeconds(NOW), TOPICS);
    let signer = key("signer");
    let config = rules_with(|it| {
        it.key = Some(key("server"));
        it.min_pow = 0.01;
    });
    let server = Server::new(config).unwrap();
    for access in [Access::Password(password()), Access::Key(key("server").public_key())] {
        let rng = &mut seeded_rng("seal");
        let options = MineOptions::default();
        let envelope =
            request.seal(&access, &signer, UnixSeconds(NOW), 0.01, &options, rng).unwrap();
        assert!(envelope.pow(0) >= 0.01 && envelope.topic() == Topic([0; 4]));
        assert_eq!(ok(&server, &P2pRequest::Envelope(envelope), &*archive).0.len(), 2);
        let stop = || true;
        let options = MineOptions { stop: Some(&stop), ..MineOptions::default() };
        let error =
            request.seal(&access, &signer, UnixSeconds(NOW), 1e9, &options, rng).unwrap_err();
        assert_eq!(error.code(), "pow.not_reached");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Any request gets an answer that can be read, fits, and has an end.
    #[test]
    fn any_request_has_an_answer(
        form in prop::sample::select(vec![Form::Seven, Form::Six, Form::Five, Form::Raw]),
        limit in 0u32..1100,
        cursor in prop_oneof![Just(0usize), Just(36), Just(40), 0usize..50],
        batch: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        as_reference: bool,
    ) {
        let request = Request {
            limit,
            batch,
            cursor: Cursor::from_bytes(
                &Position::from_envelope(&envelopes(20)[3]).to_bytes().repeat(2)[..cursor],
            ),
            ..Request::from_bloom(UnixSeconds(NOW - 100), UnixSeconds(NOW), Bloom::FULL)
        };
        let mut payload = request.encode_as(form);
        for (at, bits) in flips {
            let at = at.index(payload.len());
            payload[at] ^= bits;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        let archive = archive_of(&envelopes(20));
        let config = rules_with(|it| {
it.as_reference = as_reference;
it.max_message_size = 1000;
});
        let server = Server::new(config).unwrap();
        let replies = match server.request(CLIENT, &by_password(&payload), &*archive, TIME) {
            Ok(answer) => drain(answer, &*archive),
            Err(refused) => vec![refused.reply],
        };
        let (end, envelopes) = replies.split_last().unwrap();
        let end = Packet::decode(end.packet.code, &end.packet.payload).unwrap();
        let refused = matches!(end, Packet::RequestComplete(RequestComplete::Failure { .. }));
        prop_assert!(matches!(end, Packet::RequestComplete(_)));
        prop_assert!(!refused || envelopes.is_empty());
        if !refused {
            page(&replies);
        }
        // The reference forgets the header of the list.
        let most = if as_reference { 1000 + 2 } else { 1000 };
        prop_assert!(envelopes.iter().all(|reply| reply.packet.payload.len() <= most));
    }
}

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Meanwhile {
    Arrives(u32, usize),
    Prune(u32),
}

fn meanwhile() -> impl Strategy<Value = Vec<Meanwhile>> {
    let one = prop_oneof![
        3 => (0u32..60, 0..TOPICS.len()).prop_map(|(at, topic)| Meanwhile::Arrives(at, topic)),
        1 => (0u32..50).prop_map(Meanwhile::Prune),
    ];
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever arrives or is pruned between pages: nothing comes twice, and all that was there
    /// from the beginning to the end has come. In both orders, batches and single packets, for
    /// clients and mailservers.
    #[test]
    fn paging_neither_loses_nor_repeats(
        first in prop::collection::vec((0u32..50, 0..TOPICS.len()), 0..60),
        steps in prop::collection::vec(meanwhile(), 70),
        limit in 1u32..20,
        newest_first: bool,
        batch: bool,
        sync: bool,
        topics in prop::collection::btree_set(0..TOPICS.len(), 1..=3),
    ) {
        let base = NOW - 100;
        let mut number = 0;
        let mut new = |at: u32, topic: usize| {
            number += 1;
            envelope(base + at, TOPICS[topic], number)
        };
        let archive = MemoryArchive::new();
        let start: Vec<_> = first.iter().map(|(at, topic)| new(*at, *topic)).collect();
        archive.append(&start).unwrap();
        let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
        let config = rules_with(|it| {
it.order = order;
it.max_message_size = 1200;
});
        let server = Server::new(config).unwrap();
        let bloom = Bloom::from_topics(topics.iter().map(|at| TOPICS[*at]));
        let mut pruned = 0;
        let mut got: Vec<Envelope> = Vec::new();
        let mut cursor = None;
        for step in steps {
            let request =
                Request { limit, batch, cursor, ..Request::from_bloom(UnixSeconds(base), UnixSeconds(NOW), bloom) };
            let answer = if sync {
                let request = SyncRequest {
                    lower: UnixSeconds(base), upper: UnixSeconds(NOW), bloom: bloom.0.to_vec(), limit, cursor: request.cursor,
                };
                server.sync_request(CLIENT, &request, &archive, TIME)
            } else {
                let plain = request.to_plain(&[1; 32]).unwrap();
                server.request(CLIENT, &P2pRequest::Plain(plain), &archive, TIME)
            };
            let mut answer = answer.expect("never refused");
            let mut replies = Vec::new();
            while let Some(reply) = answer.next(&archive).unwrap() {
                prop_assert!(reply.packet.payload.len() <= 1200);
                replies.push(reply);
            }
            let (envelopes, next) = page(&replies);
            prop_assert!(envelopes.len() <= limit as usize);
            prop_assert_eq!(next.is_none(), envelopes.len() < limit as usize);
            got.extend(envelopes);
            cursor = next;
            if cursor.is_none() {
                break;
            }
            for it in step {
                match it {
                    Meanwhile::Arrives(at, topic) => {
                        archive.append(&[new(at, topic)]).unwrap();
                    }
                    Meanwhile::Prune(at) => {
                        pruned = pruned.max(base + at);
                        server.prunes(UnixSeconds(base + at));
                        archive.prune(UnixSeconds(base + at)).unwrap();
                    }
                }
            }
        }
        prop_assert!(cursor.is_none(), "it ends");
        let distinct: BTreeSet<_> = got.iter().map(Position::from_envelope).collect();
        prop_assert_eq!(distinct.len(), got.len(), "nothing comes twice");
        let mut ordered = got.clone();
        ordered.sort_by_key(Position::from_envelope);
        if newest_first {
            ordered.reverse();
        }
        prop_assert_eq!(&ordered, &got, "in order");
        for envelope in &got {
            prop_assert!(bloom.matches(envelope.topic()));
        }
        for envelope in start {
            if envelope.sent() >= UnixSeconds(pruned) && bloom.matches(envelope.topic()) {
                prop_assert!(distinct.contains(&Position::from_envelope(&envelope)), "nothing is lost");
            }
        }
    }
}

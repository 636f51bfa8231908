//! Any request, in any form: decoded requests encode to the same bytes; a server answers each with
//! valid packets within the size limit, ending with the outcome.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    devp2p::NodeId,
    envelope::{Draft, Envelope, Recipient, SymKey, Topic, seal},
    mailserver::{Form, Reply, Request},
    time::UnixSeconds,
    wire::{
        Dialect, Packet,
        p2p::{P2pRequest, RequestComplete},
    },
};
use statuskit_mailserver::{
    Archive, Refused, Server, ServerConfig,
    archive::{MemoryArchive, Order},
};

const NOW: u32 = 1_585_400_000;
const MAX: usize = 2000;
/// The list header, which the reference leaves out of its size limit.
const HEADER: usize = 3;

static ARCHIVE: LazyLock<MemoryArchive> = LazyLock::new(|| {
    let archive = MemoryArchive::new();
    let envelopes: Vec<Envelope> = (0..50)
        .map(|i| {
            Envelope::new(UnixSeconds(NOW - i), 10, Topic([i as u8, 2, 3, 4]), &[7; 100], i.into())
        })
        .collect();
    archive.append(&envelopes).expect("memory");
    archive
});

static KEY: LazyLock<SymKey> = LazyLock::new(|| SymKey::from_bytes([7; 32]).expect("a key"));

static SERVERS: LazyLock<Vec<Server>> = LazyLock::new(|| {
    let server = |order, dialect, as_reference| {
        let mut config = ServerConfig::from_password(KEY.clone());
        config.max_message_size = MAX as u32;
        config.allow_plain = Some(true);
        (config.order, config.dialect, config.as_reference) = (order, dialect, as_reference);
        Server::new(config).expect("rules")
    };
    vec![
        server(Order::OldestFirst, Dialect::Whisper, false),
        server(Order::NewestFirst, Dialect::Whisper, true),
        server(Order::OldestFirst, Dialect::Whisper, true),
        server(Order::OldestFirst, Dialect::Waku0, false),
    ]
});

fuzz_target!(|data: &[u8]| {
    if let Ok((request, form)) = Request::decode(data) {
        assert_eq!(request.encode_as(form), data);
        assert!(form != Form::Raw);
    }
    if let Ok(request) = Request::decode_raw(data) {
        let again = Request::decode_raw(&request.encode_as(Form::Raw));
        // A cursor of a different length may decode as one of ours, without the topic.
        assert!(
            again.is_ok_and(|again| again.from == request.from && again.limit == request.limit)
        );
    }
    // As a packet, and as the payload of a sealed envelope.
    for dialect in [Dialect::Whisper, Dialect::Waku1] {
        if let Ok(request) = P2pRequest::decode(dialect, data) {
            assert_eq!(request.encode(dialect), data);
            ask(&request);
        }
    }
    let signer = statuskit_core::crypto::SecretKey::from_bytes(&[1; 32]).expect("a key");
    let draft = Draft {
        topic: Topic([0; 4]),
        now: UnixSeconds(NOW),
        ttl: 50,
        payload: data,
        signer: Some(&signer),
    };
    let rng = &mut statuskit_core::crypto::seeded_rng("fuzz");
    if let Ok(envelope) = seal::seal(&draft, Recipient::Sym(&KEY), rng) {
        ask(&P2pRequest::Envelope(envelope));
    }
    if let Ok(Packet::SyncRequest(sync)) = Packet::decode(123, data) {
        for server in &*SERVERS {
            check(server.sync_request(NodeId([1; 32]), &sync, &*ARCHIVE, now()), 124);
        }
    }
});

fn ask(request: &P2pRequest) {
    for server in &*SERVERS {
        check(server.request(NodeId([1; 32]), request, &*ARCHIVE, now()), 127);
    }
}

fn now() -> Duration {
    Duration::from_secs(NOW.into())
}

fn check(answer: Result<statuskit_mailserver::Answer, Refused>, code: u64) {
    let replies: Vec<Reply> = match answer {
        Ok(mut answer) => {
            std::iter::from_fn(|| answer.next(&*ARCHIVE).expect("memory does not fail")).collect()
        }
        Err(refused) => vec![refused.reply],
    };
    let (last, envelopes) = replies.split_last().expect("there is always an end");
    for reply in envelopes {
        let packet = &reply.packet;
        assert!(packet.code == code && packet.payload.len() <= MAX + HEADER && reply.envelopes > 0);
        assert!(Packet::decode(packet.code, &packet.payload).is_ok());
    }
    let sent: u32 = envelopes.iter().map(|reply| reply.envelopes).sum();
    assert!(sent <= 50);
    match Packet::decode(last.packet.code, &last.packet.payload).expect("an end") {
        Packet::RequestComplete(RequestComplete::Failure { .. }) => assert_eq!(sent, 0),
        Packet::RequestComplete(RequestComplete::Success { .. }) => {}
        Packet::SyncResponse(response) => assert!(response.last || !response.error.is_empty()),
        other => panic!("{other:?}"),
    }
}

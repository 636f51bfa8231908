//! The client: pages, parts, refusals, and servers that misbehave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use statuskit_core::{
    envelope::{Bloom, Envelope, EnvelopeHash, Opener, SymKey, seal},
    mailserver::{Access, Cursor, Position, Request},
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::{P2pRequest, RequestComplete, SyncResponse},
    },
};
use statuskit_mailserver::{
    Archive, ClientConfig, ClientError, MailserverEvent,
    archive::{MemoryArchive, Order},
    client::{HistoryItem, HistoryQuery, Misbehaviour, PageDone, SyncOptions, sync},
};
use statuskit_net::node::{ConnectionId, Event, Service, ServiceConfig};
use tokio::task::JoinHandle;

use crate::world::*;

#[tokio::test]
async fn history_comes_in_pages_of_both_orders() {
    let all = envelopes(2500);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let server = start_server_with("server", archive_of(&all), |_, config| {
            config.server.order = order;
        })
        .await;
        let node = start_node("client").await;
        let client = client(&node, &server.node);
        let query = HistoryQuery::from_topics(UnixSeconds(NOW - 10_000), UnixSeconds(NOW), []);
        let (mut got, pages, error) = drain(client.history(query)).await;
        assert!(error.is_none(), "{error:?}");
        if order == Order::NewestFirst {
            got.reverse();
        }
        assert!(got == all);
        assert_eq!(pages.len(), 3);
        let done: Vec<_> = pages.iter().map(|page| page.done).collect();
        assert!(done.is_sorted() && done[0] > 0.0 && done[1] < 1.0 && done[2] == 1.0, "{done:?}");
        let last = pages.last().unwrap();
        assert_eq!((last.tally.pages, last.tally.envelopes, &last.cursor), (3, 2500, &None));
        assert_eq!((last.tally.duplicates, last.tally.unwanted, last.tally.retries), (0, 0, 0));
        server.stop().await;
        node.shutdown().await;
    }
}

#[tokio::test]
async fn topics_are_filtered_exactly_and_a_history_can_be_resumed() {
    // A topic with the same bloom filter: bits 3 to 7 of the fourth byte do not count.
    let twin = statuskit_core::envelope::Topic([1, 2, 3, 4 | 0x80]);
    assert_eq!(Bloom::from_topic(twin), Bloom::from_topic(TOPICS[0]));
    let mut all = envelopes(90);
    all.extend((0..10).map(|i| envelope(NOW - 2 * i, twin, u64::from(i) + 1000)));
    all.sort_by_key(Position::from_envelope);
    let server = start_server("server", archive_of(&all)).await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let wanted = [TOPICS[0], TOPICS[2]];
    let expected: Vec<_> = all.iter().filter(|it| wanted.contains(&it.topic())).cloned().collect();
    let query = HistoryQuery {
        limit: 15,
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 1000), UnixSeconds(NOW), wanted)
    };
    let (got, pages, error) = drain(client.history(query.clone())).await;
    assert!(error.is_none(), "{error:?}");
    assert!(got == expected);
    assert_eq!(pages.last().unwrap().tally.other_topics, 10);

    // Page by page, each from the cursor of the one before.
    let (mut resumed, mut cursor, mut count) = (Vec::new(), None, 0);
    loop {
        let query = HistoryQuery { cursor, ..query.clone() };
        let (envelopes, page) = within(client.page(query)).await.unwrap();
        resumed.extend(envelopes);
        count += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((resumed, count), (got, pages.len()));
    // A cursor outside of the range is refused.
    let query = HistoryQuery {
        cursor: Some(Position::from_envelope(&all[3]).into()),
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 5), UnixSeconds(NOW), [])
    };
    let error = within(client.page(query)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(text) if text.contains("outside of the range")));
    assert_eq!(error.code(), "mailserver.refused");
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn refusals_differ_from_empty_answers() {
    let server = start_server_with("server", archive_of(&envelopes(10)), |_, config| {
        config.server.key = Some(key("server"));
        config.server.rate_limit = Duration::from_secs(3600);
    })
    .await;
    let node = start_node("client").await;
    let mut config = client_config();
    let other = SymKey::from_bytes([1; 32]).unwrap();
    config.access = Access::Password(other);
    let query = HistoryQuery::from_topics(UnixSeconds(NOW - 100), UnixSeconds(NOW), []);
    let wrong = client_with(&node, &server.node, config.clone());
    let error = within(wrong.page(query.clone())).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(text) if text == "failed to decrypt p2p request")
    );

    config.access = Access::Key(server.node.handle().id());
    config.rate_limit_patience = Duration::ZERO;
    let right =
        statuskit_mailserver::Client::new(node.handle(), server.node.handle().id(), config.clone());
    let empty = HistoryQuery::from_topics(UnixSeconds(5), UnixSeconds(6), []);
    let (envelopes, page) = within(right.page(empty)).await.unwrap();
    assert_eq!(envelopes, []);
    let expected = PageDone {
        from: UnixSeconds(5),
        to: UnixSeconds(6),
        is_last: true,
        done: 1.0,
        ..PageDone::default()
    };
    assert_eq!(PageDone { tally: Default::default(), ..page }, expected);

    let error = within(right.page(query.clone())).await.unwrap_err();
    assert!(matches!(error, ClientError::RateLimited(_)), "{error}");
    assert_eq!(error.code(), "mailserver.rate_limited");

    let nobody = key("nobody").public_key();
    config.connect_timeout = Duration::from_millis(50);
    config.retries = 0;
    let nobody = statuskit_mailserver::Client::new(node.handle(), nobody, config);
    let error = within(nobody.page(query)).await.unwrap_err();
    assert!(matches!(error, ClientError::NotConnected), "{error}");
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn waits_for_a_rate_limit_between_pages() {
    let (all, clock) = (envelopes(30), movable_clock());
    let mut server = start_server_with("server", archive_of(&all), |node, config| {
        node.clock = clock.clock();
        config.server.rate_limit = Duration::from_secs(3600);
    })
    .await;
    let node = start_node("client").await;
    let mut config = client_config();
    let query = HistoryQuery {
        limit: 12,
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 100), UnixSeconds(NOW), [])
    };
    config.rate_limit_patience = Duration::ZERO;
    let impatient = client_with(&node, &server.node, config.clone());
    let (got, _, error) = drain(impatient.history(query.clone())).await;
    assert!(matches!(error, Some(ClientError::RateLimited(_))));
    assert!(got == all[..12]);
    config.rate_limit_patience = Duration::from_secs(30);
    clock.forward(3600);
    let patient =
        statuskit_mailserver::Client::new(node.handle(), server.node.handle().id(), config);
    let history = drain(patient.history(query));
    let (got, pages, error) = server.hastened(&clock, 3600, history).await;
    assert!(error.is_none(), "{error:?}");
    assert!(got == all);
    // The second page and the third.
    assert_eq!(pages.last().unwrap().tally.retries, 2);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn the_first_request_waits_for_a_rate_limit() {
    let good = envelope(NOW, TOPICS[0], 1);
    let sent = good.clone();
    let puppet = puppet(move |count, id, _| {
        let refused = RequestComplete::Failure { request: id, text: b"rate limit exceeded".into() };
        match count {
            1 | 2 => vec![Packet::RequestComplete(refused)],
            _ => vec![Packet::P2pMessage(vec![sent.clone()]), complete(id, &[])],
        }
    })
    .await;
    let (got, pages, error) = ask(&puppet, |_| {}, query()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((got, pages[0].tally.retries), (vec![good], 2));
}

#[tokio::test]
async fn a_range_may_end_with_the_last_second() {
    let all = envelopes(10);
    let server = start_server("server", archive_of(&all)).await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery {
        limit: 5,
        ..HistoryQuery::from_topics(UnixSeconds::EPOCH, UnixSeconds::MAX, [])
    };
    let (got, pages, error) = drain(client.history(query)).await;
    assert!(error.is_none(), "{error:?}");
    assert!(got == all);
    let ends: Vec<_> = pages.iter().map(|page| page.is_last).collect();
    assert!(ends.ends_with(&[false, true]) && pages.last().unwrap().done == 1.0, "{pages:?}");
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn long_ranges_are_asked_for_in_parts() {
    let days = 5;
    let all: Vec<_> = (0..50)
        .map(|i| envelope(NOW - (49 - i) * 86_400 * days / 50, TOPICS[0], i.into()))
        .collect();
    let server = start_server("server", archive_of(&all)).await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery {
        max_span: Some(86_400),
        limit: 4,
        ..HistoryQuery::from_topics(
            UnixSeconds(NOW - days * 86_400 + 1),
            UnixSeconds(NOW),
            [TOPICS[0]],
        )
    };
    let (got, pages, error) = drain(client.history(query.clone())).await;
    assert!(error.is_none(), "{error:?}");
    assert!(got == all);
    assert!(pages.iter().all(|page| page.to.0 - page.from.0 == 86_399));
    let parts: std::collections::BTreeSet<_> = pages.iter().map(|page| page.from).collect();
    assert_eq!(parts.len(), days as usize);
    assert!(pages.is_sorted_by_key(|page| page.done), "{pages:?}");
    assert_eq!(pages.last().unwrap().done, 1.0);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything_once() {
    let all = envelopes(400);
    let mut server = start_server_with("server", archive_of(&all), |_, config| {
        config.server.max_message_size = 3000;
    })
    .await;
    let node = start_node("client").await;
    let mut config = client_config();
    // Room for some 30 of them; as many more are on their way.
    config.max_waiting_bytes = 10_000;
    let client = client_with(&node, &server.node, config);
    let query = HistoryQuery {
        limit: 200,
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 1000), UnixSeconds(NOW), [])
    };
    let mut history = client.history(query);
    // The whole page has arrived before anything is taken.
    let packets = server
        .wait_for(|event| match event {
            MailserverEvent::Answered(answered) => Some(answered.totals.packets),
            _ => None,
        })
        .await;
    until(|| node.handle().stats().packets_in > packets).await;
    let (mut got, mut retries) = (Vec::new(), 0);
    while let Some(item) = within(history.next()).await {
        match item.unwrap() {
            HistoryItem::Envelope(envelope) => got.push(envelope),
            HistoryItem::Page(page) => retries = page.tally.retries,
        }
    }
    assert!(got == all);
    assert!(retries > 0, "it did not fit");
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn new_envelopes_may_arrive_during_paging() {
    let archive = archive_of(&envelopes(300));
    let server = start_server("server", archive.clone()).await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery {
        limit: 20,
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 1000), UnixSeconds(NOW + 60), [])
    };
    let mut history = client.history(query);
    let mut got = Vec::new();
    let mut arrived = 0;
    while let Some(item) = within(history.next()).await {
        match item.unwrap() {
            HistoryItem::Envelope(envelope) => got.push(envelope),
            HistoryItem::Page(_) if arrived < 10 => {
                arrived += 1;
                archive.append(&[envelope(NOW + arrived, TOPICS[1], 5000)]).unwrap();
            }
            HistoryItem::Page(_) => {}
        }
    }
    assert!(got == all_of(&*archive));
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn continues_after_a_lost_connection() {
    let all = envelopes(100);
    let archive = archive_of(&all);
    let mut addr = None;
    let server = start_server("server", archive.clone()).await;
    addr.replace(server.node.handle().local_addr().unwrap());
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery {
        limit: 20,
        ..HistoryQuery::from_topics(UnixSeconds(NOW - 1000), UnixSeconds(NOW), [])
    };
    let mut history = client.history(query);
    let mut server = Some(server);
    let mut got = Vec::new();
    while let Some(item) = within(history.next()).await {
        match item.unwrap() {
            HistoryItem::Envelope(envelope) => got.push(envelope),
            HistoryItem::Page(page) if page.tally.pages == 2 => {
                server.take().unwrap().stop().await;
                let again = start_server_with("server", archive.clone(), |node, _| {
                    node.listen = addr;
                })
                .await;
                server = Some(again);
            }
            HistoryItem::Page(_) => {}
        }
    }
    assert!(got == all);
    server.unwrap().stop().await;
    node.shutdown().await;
}

/// A server that answers each request with given packets.
struct Puppet {
    node: Service,
    task: JoinHandle<()>,
}

async fn puppet(
    mut answer: impl FnMut(u32, [u8; 32], Request) -> Vec<Packet> + Send + 'static,
) -> Puppet {
    puppet_that_leaves(move |count, id, request| (answer(count, id, request), false)).await
}

/// A puppet whose answers also say whether it then breaks the connection.
async fn puppet_that_leaves(
    mut answer: impl FnMut(u32, [u8; 32], Request) -> (Vec<Packet>, bool) + Send + 'static,
) -> Puppet {
    let mut config: ServiceConfig = node_config("puppet");
    config.node.mailserver = true;
    let node = Service::start(config).await.unwrap();
    let handle = node.handle().clone();
    let mut news = handle.subscribe();
    let task = tokio::spawn(async move {
        let mut count = 0;
        while let Some(event) = news.next().await {
            let Event::Request { peer, request } = &*event else { continue };
            let P2pRequest::Envelope(envelope) = &**request else { panic!("plain") };
            let payload = seal::open(envelope, Opener::Sym(&password())).unwrap().payload;
            let (request, _) = Request::decode(&payload).unwrap();
            count += 1;
            let peer: ConnectionId = *peer;
            let (packets, leaves) = answer(count, envelope.hash().0, request);
            for packet in packets {
                if handle.send_packet(peer, &packet).await.is_err() {
                    break;
                }
            }
            if leaves {
                let id = handle.peers().iter().find(|it| it.key == peer).unwrap().id;
                handle.remove_peer(&id);
            }
        }
    });
    Puppet { node, task }
}

fn complete(request: [u8; 32], cursor: &[u8]) -> Packet {
    let (last, cursor) = (EnvelopeHash([0; 32]), Cursor::from_bytes(cursor));
    Packet::RequestComplete(RequestComplete::Success { request, last, cursor })
}

async fn ask(
    puppet: &Puppet,
    change: impl FnOnce(&mut ClientConfig),
    query: HistoryQuery,
) -> (Vec<Envelope>, Vec<PageDone>, Option<ClientError>) {
    let node = start_node("client").await;
    let mut config = client_config();
    change(&mut config);
    let client = client_with(&node, &puppet.node, config);
    let result = drain(client.history(query)).await;
    node.shutdown().await;
    result
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn query() -> HistoryQuery {
    HistoryQuery::from_topics(UnixSeconds(NOW - 100), UnixSeconds(NOW), [TOPICS[0]])
}

#[tokio::test]
async fn ignores_what_was_not_asked_for() {
    let good = envelope(NOW, TOPICS[0], 1);
    let sent = good.clone();
    let puppet = puppet(move |_, id, _| {
        let strange = vec![
            envelope(NOW - 101, TOPICS[0], 2),
            envelope(NOW + 1, TOPICS[0], 3),
            envelope(NOW, TOPICS[1], 4),
        ];
        vec![
            Packet::P2pMessage(strange),
            // The end of another request.
            complete([9; 32], &[]),
            Packet::P2pMessage(vec![sent.clone(), sent.clone()]),
            Packet::P2pMessage(vec![]),
            complete(id, &[]),
        ]
    })
    .await;
    let (got, pages, error) = ask(&puppet, |_| {}, query()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got, [good]);
    let tally = pages[0].tally;
    assert_eq!((tally.unwanted, tally.duplicates, tally.envelopes), (3, 1, 1));
}

#[tokio::test]
async fn detects_cursor_loops_and_endless_pages() {
    // Two cursors in turn, always something new.
    let circles = puppet(|count, id, _| {
        let envelope = envelope(NOW - 50, TOPICS[0], count.into());
        vec![Packet::P2pMessage(vec![envelope]), complete(id, &[count as u8 % 2; 36])]
    })
    .await;
    let (got, _, error) = ask(&circles, |_| {}, query()).await;
    assert!(matches!(error, Some(ClientError::Misbehaved(Misbehaviour::CursorLoop))), "{error:?}");
    assert_eq!(got.len(), 3);

    // New cursors, and nothing new.
    let nothing = puppet(|count, id, _| {
        let envelope = envelope(NOW - 50, TOPICS[0], 1);
        vec![Packet::P2pMessage(vec![envelope]), complete(id, &[count as u8; 36])]
    })
    .await;
    let (got, pages, error) = ask(&nothing, |_| {}, query()).await;
    assert!(matches!(error, Some(ClientError::Misbehaved(Misbehaviour::NoProgress))), "{error:?}");
    assert_eq!((got.len(), pages.len()), (1, 5));

    let endless = puppet(|_, _, _| {
        let page = |at: u64| (0..500).map(|i| envelope(NOW, TOPICS[0], 500 * at + i)).collect();
        (0..6).map(|at| Packet::P2pMessage(page(at))).collect()
    })
    .await;
    let (got, _, error) = ask(&endless, |_| {}, query()).await;
    let error = error.unwrap();
    assert!(matches!(error, ClientError::Misbehaved(Misbehaviour::EndlessPage)), "{error}");
    assert_eq!(error.code(), "mailserver.misbehaved");
    assert_eq!(got.len(), 2000);
}

/// Parts without envelopes that are not the last could go on for ever.
#[tokio::test]
async fn a_copy_of_empty_parts_ends() {
    let mut config = node_config("puppet");
    config.node.mailserver = true;
    let puppet = Service::start(config).await.unwrap();
    let handle = puppet.handle().clone();
    let mut news = handle.subscribe();
    let task = tokio::spawn(async move {
        while let Some(event) = news.next().await {
            let Event::SyncRequest { peer, .. } = &*event else { continue };
            let (envelopes, cursor, error) = (Vec::new(), None, Vec::new());
            let part = SyncResponse { envelopes, cursor, last: false, error };
            // Twice as many as the client takes: more would only cost time.
            for _ in 0..200 {
                let _ = handle.send_packet(*peer, &Packet::SyncResponse(part.clone())).await;
            }
        }
    });
    let to = start_server("to", archive_of(&[])).await;
    dial(&to.node, &puppet);
    let (server, archive) = (puppet.handle().id(), to.mailserver.archive().clone());
    let options =
        SyncOptions { limit: 100, ..SyncOptions::new(UnixSeconds::EPOCH, UnixSeconds(NOW)) };
    let ended = within(sync(to.node.handle(), &server, archive, options, |_| {})).await;
    assert!(matches!(ended, Err(ClientError::Misbehaved(Misbehaviour::EndlessPage))), "{ended:?}");
    task.abort();
    to.stop().await;
    puppet.shutdown().await;
}

#[tokio::test]
async fn interruptions_are_retried_and_silence_is_not() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let silent = puppet(move |count, _, _| {
        counter.store(count, Ordering::Relaxed);
        vec![]
    })
    .await;
    let short = |config: &mut ClientConfig| config.timeout = Duration::from_millis(100);
    let (got, _, error) = ask(&silent, short, query()).await;
    assert!(matches!(error, Some(ClientError::TimedOut)), "{error:?}");
    assert_eq!((got, asked.load(Ordering::Relaxed)), (vec![], 1));

    // First half a page and a broken connection, then only that, then all of it.
    let all: Vec<_> = (0..10).map(|i| envelope(NOW - 10 + i, TOPICS[0], i.into())).collect();
    let sent = all.clone();
    let shaky = puppet_that_leaves(move |count, id, _| match count {
        1 => (vec![Packet::P2pMessage(sent[..5].to_vec())], true),
        2 => (vec![], true),
        _ => (vec![Packet::P2pMessage(sent.clone()), complete(id, &[])], false),
    })
    .await;
    // Long enough for an answer on any machine: nothing else is retried.
    let long = Duration::from_secs(4);
    let (got, pages, error) = ask(&shaky, |config| config.timeout = long, query()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(got == all);
    // Whether the half came before the connection broke is up to the system.
    assert!(matches!(pages[0].tally.duplicates, 0..=5));
    assert_eq!(pages[0].tally.retries, 2);
}

#[tokio::test]
async fn old_servers_are_asked_for_days() {
    let archive = Arc::new(MemoryArchive::new());
    let all: Vec<_> =
        (0..6).map(|i| envelope(NOW - 43_200 * (5 - i), TOPICS[0], i.into())).collect();
    archive.append(&all).unwrap();
    let puppet = puppet(move |_, id, request| {
        if request.to.0 - request.from.0 > 86_400 {
            let text = b"query range too big for peer \xff\xfe".to_vec();
            return vec![Packet::RequestComplete(RequestComplete::Failure { request: id, text })];
        }
        let all = all_of(&*archive);
        let range = request.from..=request.to;
        let found: Vec<_> = all.into_iter().filter(|it| range.contains(&it.sent())).collect();
        let found = (!found.is_empty()).then_some(Packet::P2pMessage(found));
        found.into_iter().chain([complete(id, &[])]).collect()
    })
    .await;
    let query =
        HistoryQuery::from_topics(UnixSeconds(NOW - 3 * 86_400), UnixSeconds(NOW), [TOPICS[0]]);
    let (got, pages, error) = ask(&puppet, |_| {}, query).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((got, pages.len()), (all, 4));
}

//! The service on a node: what it archives, whom it answers, and which faults it survives.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use statuskit_core::{
    envelope::{Bloom, Envelope},
    mailserver::{Cursor, Position, Request},
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::{P2pRequest, RequestComplete, SyncRequest},
        packet::{PROTOCOL, code},
    },
};
use statuskit_mailserver::{
    Archive, ArchiveError, ClientError, Mailserver, MailserverEvent,
    archive::{Budget, Count, EmbeddedArchive, MemoryArchive, Query, Record, Step, Summary},
    client::{HistoryQuery, SyncOptions, sync},
    service::Outcome,
};
use statuskit_net::node::{Event, Service};

use crate::world::*;

fn plain(limit: u32, id: u8) -> Packet {
    let request = Request {
        limit,
        ..Request::from_bloom(UnixSeconds(NOW - 100_000), UnixSeconds(NOW), Bloom::FULL)
    };
    Packet::P2pRequest(P2pRequest::Plain(request.to_plain(&[id; 32]).unwrap()))
}

#[tokio::test]
async fn what_the_node_accepts_is_archived_in_few_commits() {
    let archive = Arc::new(Moody::default());
    let server = start_server("server", archive.clone()).await;
    let peer = start_node("peer").await;
    dial(&peer, &server.node);
    until(|| peer.handle().stats().ready_peers == 1).await;
    let sent: Vec<_> = (0..500).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    for envelope in &sent {
        peer.handle().send(envelope.clone()).unwrap();
    }
    // Its own are archived, too; invalid ones and P2P messages are not.
    let own = envelope(NOW, TOPICS[1], 1);
    server.node.handle().send(own.clone()).unwrap();
    let old = envelope(NOW - 1000, TOPICS[1], 2);
    let to = peer.handle().peer_by_id(&server.node.handle().id()).unwrap();
    for packet in [Packet::Messages(vec![old.clone()]), Packet::P2pMessage(vec![old])] {
        peer.handle().try_send_packet(to, &packet).unwrap();
    }
    until(|| server.mailserver.stats().archived == 501).await;
    let stats = server.mailserver.stats();
    assert_eq!((stats.waiting, stats.archive_errors, stats.left_out), (0, 0, 0));
    let appends = archive.appends.lock().unwrap().clone();
    assert_eq!(appends.iter().sum::<usize>(), 501);
    assert_eq!(appends.len() as u64, stats.commits);
    assert!(appends.len() < 400, "envelopes share commits: {appends:?}");
    let mut expected: Vec<_> = sent.into_iter().chain([own]).collect();
    expected.sort_by_key(Envelope::hash);
    let mut got = all_of(&archive.inner);
    got.sort_by_key(Envelope::hash);
    assert!(got == expected);
    server.stop().await;
    peer.shutdown().await;
}

#[tokio::test]
async fn a_stop_loses_nothing_and_a_start_takes_what_is_in_the_pool() {
    let archive = Arc::new(MemoryArchive::new());
    // No commit is due by itself.
    let server = start_server_with("server", archive.clone(), |_, config| {
        config.commit_interval = Duration::from_secs(3600);
    })
    .await;
    let handle = server.node.handle().clone();
    let sent: Vec<_> = (0..50).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    sent.iter().for_each(|envelope| drop(handle.send(envelope.clone()).unwrap()));
    // They may wait twice, if the pool was read after they came.
    until(|| server.mailserver.stats().waiting >= 50).await;
    assert_eq!(archive.summary().unwrap().envelopes, 0);
    let Server { node, mailserver, .. } = server;
    // These are taken in only when it stops.
    let more: Vec<_> = (50..90).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    more.iter().for_each(|envelope| drop(handle.send(envelope.clone()).unwrap()));
    assert_eq!(within(mailserver.stop()).await.lost, 0);
    assert_eq!(archive.summary().unwrap().envelopes, 90);

    // Another mailserver on the same node finds them all in its pool.
    let again = Arc::new(MemoryArchive::new());
    let config = statuskit_mailserver::MailserverConfig::new(rules());
    let mailserver =
        statuskit_mailserver::Mailserver::start(&handle, again.clone(), config).unwrap();
    until(|| mailserver.stats().archived == 90).await;
    node.shutdown().await;
    assert_eq!(within(mailserver.stop()).await.lost, 0);
}

#[tokio::test]
async fn a_failing_archive_is_reported_and_caught_up_with() {
    let archive = Arc::new(Moody::default());
    archive.fails.store(true, Ordering::SeqCst);
    let mut server = start_server_with("server", archive.clone(), |_, config| {
        config.waiting_envelopes = 20;
        config.commit_envelopes = 10;
    })
    .await;
    let handle = server.node.handle().clone();
    let sent: Vec<_> = (0..100).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    sent.iter().for_each(|envelope| drop(handle.send(envelope.clone()).unwrap()));
    let code = server
        .wait_for(|event| match event {
            MailserverEvent::ArchiveFailed { error, retry_in: Some(_), .. } => Some(error.code()),
            _ => None,
        })
        .await;
    assert_eq!(code, "archive.full");
    until(|| server.mailserver.stats().left_out > 0).await;
    let stats = server.mailserver.stats();
    assert!(stats.waiting <= 20 + 10 && stats.archive_errors > 0, "{stats:?}");

    // Requests get an error.
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery::from_topics(UnixSeconds(NOW - 10), UnixSeconds(NOW), TOPICS);
    let error = client.page(query.clone()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(text) if text == "the archive can't be read"));

    // What was left out is still in the pool.
    archive.fails.store(false, Ordering::SeqCst);
    server.wait_for(|event| matches!(event, MailserverEvent::ArchiveRecovered).then_some(())).await;
    until(|| server.mailserver.stats().archived == 100).await;
    assert_eq!(client.page(query).await.unwrap().0.len(), 100);

    // If it never recovers, the loss is reported.
    archive.fails.store(true, Ordering::SeqCst);
    let Server { node: server_node, mailserver, .. } = server;
    handle.send(envelope(NOW, TOPICS[0], 1000)).unwrap();
    server_node.shutdown().await;
    assert_eq!(within(mailserver.stop()).await.lost, 1);
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_nobody_else() {
    let many: Vec<_> =
        (0..1500).map(|i| large_envelope(NOW - i, TOPICS[0], i.into(), 2000)).collect();
    let mut server = start_server_with("server", archive_of(&many), |node, config| {
        node.node.limits.outbox_bytes = 50_000;
        config.send_timeout = Duration::from_secs(2);
        config.server.max_message_size = 50_000;
        config.readers = 1;
    })
    .await;
    // A page has 2 MB, more than the sockets hold.
    let mut deaf = stranger("deaf", &server.node).await;
    for id in 0..8 {
        deaf.send(PROTOCOL, code::P2P_REQUEST, &plain(0, id).encode()).unwrap();
    }
    deaf.flush().await.unwrap();
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let (got, _, error) = drain(client.history(HistoryQuery::from_topics(
        UnixSeconds(NOW - 10_000),
        UnixSeconds(NOW),
        [],
    )))
    .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got.len(), 1500);
    server
        .wait_for(|event| match event {
            MailserverEvent::Answered(answered) => {
                (answered.outcome == Outcome::Stalled).then_some(())
            }
            _ => None,
        })
        .await;
    // Its other requests are dropped with it.
    until(|| server.node.handle().stats().ready_peers == 1).await;
    until(|| server.mailserver.stats().queued == 0).await;
    assert_eq!(server.mailserver.stats().requests["stalled"], 1);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_or_refused_each() {
    let server = start_server_with("server", archive_of(&envelopes(50)), |_, config| {
        config.queue_per_peer = 3;
    })
    .await;
    let mut stranger = stranger("flood", &server.node).await;
    const REQUESTS: usize = 300;
    for _ in 0..REQUESTS {
        stranger.send(PROTOCOL, code::P2P_REQUEST, &plain(0, 1).encode()).unwrap();
    }
    stranger.flush().await.unwrap();
    let (mut answered, mut busy, mut envelopes) = (0, 0, 0);
    while answered + busy < REQUESTS {
        let (code, payload) = packet(&mut stranger).await.expect("stays connected");
        match Packet::decode(code, &payload).unwrap() {
            Packet::P2pMessage(more) => envelopes += more.len(),
            Packet::RequestComplete(RequestComplete::Success { .. }) => answered += 1,
            Packet::RequestComplete(RequestComplete::Failure { text, .. }) => {
                assert_eq!(text, b"too many requests");
                busy += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answered >= 1 && envelopes == 50 * answered);
    let stats = server.mailserver.stats();
    assert_eq!(stats.requests["delivered"], answered as u64);
    assert_eq!(stats.requests.get("busy").copied().unwrap_or_default(), busy as u64);
    assert_eq!((stats.queued, stats.durations.count()), (0, answered as u64));
    assert!(stats.bytes_sent > 0 && stats.envelopes_sent == envelopes as u64);
    server.stop().await;
}

#[tokio::test]
async fn what_is_on_disk_is_served_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Arc::new(EmbeddedArchive::open(dir.path()).unwrap());
    let sent: Vec<_> =
        (0..300).map(|i| envelope(NOW - i % 5, TOPICS[i as usize % 3], i.into())).collect();
    let server = start_server("server", open()).await;
    sent.iter().for_each(|it| drop(server.node.handle().send(it.clone()).unwrap()));
    until(|| server.mailserver.stats().waiting > 0 || server.mailserver.stats().archived > 0).await;
    server.stop().await;

    let server = start_server("server", open()).await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery {
        limit: 70,
        ..HistoryQuery::from_topics(
            UnixSeconds(NOW - 100),
            UnixSeconds(NOW),
            [TOPICS[0], TOPICS[1]],
        )
    };
    let (got, pages, error) = drain(client.history(query)).await;
    assert!(error.is_none(), "{error:?}");
    let mut expected: Vec<_> = sent.into_iter().filter(|it| it.topic() != TOPICS[2]).collect();
    expected.sort_by_key(Position::from_envelope);
    assert!(got == expected);
    assert_eq!(pages.len(), 3);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn refuses_a_giant_request_unread() {
    let server = start_server("server", archive_of(&envelopes(5))).await;
    let mut stranger = stranger("giant", &server.node).await;
    let giant = Request {
        cursor: Cursor::from_bytes(&[1; 100_000]),
        ..Request::from_bloom(UnixSeconds(1), UnixSeconds(NOW), Bloom::FULL)
    };
    let plain = P2pRequest::Plain(giant.to_plain(&[4; 32]).unwrap());
    let payload = Packet::P2pRequest(plain).encode();
    stranger.send(PROTOCOL, code::P2P_REQUEST, &payload).unwrap();
    stranger.flush().await.unwrap();
    let (code, payload) = packet(&mut stranger).await.unwrap();
    let Packet::RequestComplete(RequestComplete::Failure { request, text }) =
        Packet::decode(code, &payload).unwrap()
    else {
        panic!("no refusal");
    };
    assert_eq!((request, &text[..]), ([4; 32], &b"the request is too large"[..]));
    assert_eq!(server.mailserver.stats().requests["too_large"], 1);
    server.stop().await;
}

#[tokio::test]
async fn refuses_a_node_that_is_not_prepared() {
    let node = start_node("relay").await;
    let config = statuskit_mailserver::MailserverConfig::new(rules());
    let archive = Arc::new(MemoryArchive::new());
    let error = statuskit_mailserver::Mailserver::start(node.handle(), archive, config);
    assert_eq!(error.unwrap_err().code(), "mailserver.node");
}

#[tokio::test]
async fn invalid_packets_only_end_their_connection() {
    let server = start_server("server", archive_of(&envelopes(5))).await;
    for (code, payload) in [
        (code::P2P_REQUEST, vec![0xc0]),
        (code::P2P_SYNC_REQUEST, vec![0xc0]),
        (
            code::P2P_SYNC_REQUEST,
            Packet::SyncRequest(SyncRequest::all(UnixSeconds(5), UnixSeconds(4))).encode(),
        ),
        (
            code::P2P_SYNC_REQUEST,
            Packet::SyncRequest(SyncRequest {
                limit: 0,
                ..SyncRequest::all(UnixSeconds(4), UnixSeconds(5))
            })
            .encode(),
        ),
    ] {
        let mut stranger = stranger("rubbish", &server.node).await;
        stranger.send(PROTOCOL, code, &payload).unwrap();
        stranger.flush().await.unwrap();
        assert_eq!(packet(&mut stranger).await, None, "{code}");
        until(|| server.node.handle().peers().is_empty()).await;
    }
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let page = client
        .page(HistoryQuery::from_topics(UnixSeconds(NOW - 10), UnixSeconds(NOW), []))
        .await
        .unwrap();
    assert_eq!(page.0.len(), 5);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn prunes_by_a_steady_clock_only() {
    let clock = movable_clock();
    let all = envelopes(100);
    let archive = archive_of(&all);
    let retention = Duration::from_secs(3600);
    let mut server = start_server_with("server", archive.clone(), |node, config| {
        node.clock = clock.clock();
        config.server.retention = Some(retention);
        config.prune_interval = Duration::from_millis(300);
    })
    .await;
    let pruned = |event: &MailserverEvent| match event {
        MailserverEvent::Pruned { before, removed } => Some((*before, *removed)),
        _ => None,
    };
    let (before, removed) = server.wait_for(pruned).await;
    assert!((NOW - 3600..NOW - 3500).contains(&before.0));
    assert_eq!(removed, 0);
    // Within the tolerance: 100 seconds, and 50 of the envelopes are too old.
    let behind = server.wait_for(pruned).await.0;
    assert!(behind >= before);
    // A jump of ten years is not believed at first.
    clock.forward(3600 * 24 * 3650);
    let jump = server
        .wait_for(|event| match event {
            MailserverEvent::ClockJumped(seconds) => Some(*seconds),
            MailserverEvent::Pruned { removed, .. } => {
                assert_eq!(*removed, 0, "not by a clock that jumps");
                None
            }
            _ => None,
        })
        .await;
    assert!((jump - 3600 * 24 * 3650).abs() < 60, "{jump}");
    assert_eq!(archive.summary().unwrap().envelopes, 100);
    // When the clock goes steadily from there on, it is.
    let mut sum = 0;
    while sum < 100 {
        sum += server.wait_for(pruned).await.1;
    }
    assert_eq!(archive.summary().unwrap().envelopes, 0);
    assert_eq!(server.mailserver.stats().pruned, 100);
    server.stop().await;
}

#[tokio::test]
async fn mailservers_copy_each_other() {
    let all = envelopes(250);
    let from = start_server("from", archive_of(&all)).await;
    let have = &all[..40];
    let to = start_server("to", archive_of(have)).await;
    dial(&to.node, &from.node);
    let server = from.node.handle().id();
    let archive = to.mailserver.archive().clone();
    let options =
        SyncOptions { limit: 100, ..SyncOptions::new(UnixSeconds(NOW - 1000), UnixSeconds(NOW)) };
    let mut pages = Vec::new();
    let copied = sync(to.node.handle(), &server, archive.clone(), options.clone(), |report| {
        pages.push(report.received);
    });
    let report = within(copied).await.unwrap();
    assert_eq!((report.pages, report.received, report.new), (3, 250, 210));
    assert_eq!((report.unwanted, report.cursor), (0, None));
    assert_eq!(pages, [100, 200, 250]);
    assert_eq!(all_of(&*archive), all);
    let stats = from.mailserver.stats();
    assert_eq!((stats.sync_requests["delivered"], stats.requests.len()), (3, 0));

    // One topic, from a cursor on.
    let some = Arc::new(MemoryArchive::new());
    let bloom = Bloom::from_topics([TOPICS[1]]);
    let options = SyncOptions { bloom, limit: 1000, ..options };
    let copied = sync(to.node.handle(), &server, some.clone(), options.clone(), |_| {});
    within(copied).await.unwrap();
    let expected: Vec<_> = all.iter().filter(|it| it.topic() == TOPICS[1]).cloned().collect();
    assert_eq!(all_of(&*some), expected);

    // A refused mailserver gets the reason, and is disconnected.
    let mut stranger = stranger("stranger", &from.node).await;
    let request = SyncRequest {
        cursor: Cursor::from_bytes(&[1; 36]),
        ..SyncRequest::all(UnixSeconds(1), UnixSeconds(NOW))
    };
    let text = String::from_utf8(sync_error(&mut stranger, request).await).unwrap();
    assert!(text.contains("cursor is not of this server"), "{text}");
    assert_eq!(packet(&mut stranger).await, None);
    // But not one that was dialled: the operator named it.
    let options = SyncOptions { cursor: Cursor::from_bytes(&[1; 36]), ..options };
    let refused = within(sync(to.node.handle(), &server, some, options, |_| {})).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    from.stop().await;
    to.stop().await;
}

#[tokio::test]
async fn a_copy_waits_for_a_rate_limit() {
    let (all, clock) = (envelopes(5), movable_clock());
    let mut from = start_server_with("from", archive_of(&all), |node, config| {
        node.clock = clock.clock();
        config.server.rate_limit = Duration::from_secs(3600);
    })
    .await;
    let mut node = node_config("to");
    Mailserver::prepare(&mut node);
    let to = Service::start(node).await.unwrap();
    dial(&to, &from.node);
    let server = from.node.handle().id();
    let copy = Arc::new(MemoryArchive::new());
    let options =
        SyncOptions { limit: 2, ..SyncOptions::new(UnixSeconds(NOW - 100), UnixSeconds(NOW)) };
    let impatient = SyncOptions { rate_limit_patience: Duration::ZERO, ..options.clone() };
    let mut last = None;
    let copied = sync(to.handle(), &server, copy.clone(), impatient, |report| {
        last.clone_from(&report.cursor);
    });
    let refused = within(copied).await;
    assert!(matches!(refused, Err(ClientError::RateLimited(_))), "{refused:?}");
    assert_eq!(all_of(&*copy), all[..2]);
    // The refused one is being disconnected.
    until(|| to.handle().peers().is_empty()).await;
    // Continues from there, and reconnects after each refusal.
    let options = SyncOptions { cursor: last, ..options };
    let rest = within(sync(to.handle(), &server, copy.clone(), options, |_| {}));
    let report = from.hastened(&clock, 3600, rest).await.unwrap();
    assert_eq!((report.pages, report.new), (2, 3));
    assert_eq!(all_of(&*copy), all);
    from.stop().await;
    to.shutdown().await;
}

#[tokio::test]
async fn archives_a_rush_beyond_the_limit_of_events() {
    let archive = Arc::new(MemoryArchive::new());
    let server = start_server_with("server", archive.clone(), |node, _| {
        // Less than any event needs.
        node.event_bytes = 4;
    })
    .await;
    let mut events = server.node.handle().subscribe();
    let seen = tokio::spawn(async move {
        let mut envelopes = 0;
        while let Some(event) = events.next().await {
            envelopes += usize::from(matches!(*event, Event::Envelope { .. }));
        }
        envelopes
    });
    let peer = start_node("peer").await;
    dial(&peer, &server.node);
    until(|| peer.handle().stats().ready_peers == 1).await;
    let rush: Vec<_> = (0..2000).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    let to = peer.handle().peer_by_id(&server.node.handle().id()).unwrap();
    peer.handle().send_packet(to, &Packet::Messages(rush)).await.unwrap();
    until(|| server.mailserver.stats().archived == 2000).await;
    server.stop().await;
    assert_eq!(within(seen).await.unwrap(), 2000, "another subscriber loses none either");
    peer.shutdown().await;
}

#[tokio::test]
async fn failed_reads_are_reported_once_and_charge_no_client() {
    let archive = Arc::new(Moody::default());
    archive.inner.append(&envelopes(5)).unwrap();
    archive.fails.store(true, Ordering::SeqCst);
    let mut server = start_server_with("server", archive.clone(), |_, config| {
        config.server.rate_limit = Duration::from_secs(3600);
    })
    .await;
    let node = start_node("client").await;
    let client = client(&node, &server.node);
    let query = HistoryQuery::from_topics(UnixSeconds(NOW - 10), UnixSeconds(NOW), TOPICS);
    // Refused because of the archive both times: the first began no interval.
    for _ in 0..2 {
        let error = client.page(query.clone()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused(text) if text == "the archive can't be read")
        );
    }
    archive.fails.store(false, Ordering::SeqCst);
    assert_eq!(client.page(query).await.unwrap().0.len(), 5);
    let (mut news, mut outcomes) = (Vec::new(), Vec::new());
    while outcomes.len() < 3 {
        server
            .wait_for(|event| {
                match event {
                    MailserverEvent::ReadFailed(error) => news.push(error.code()),
                    MailserverEvent::ReadRecovered => news.push("recovered"),
                    MailserverEvent::Answered(answered) => outcomes.push(answered.outcome.clone()),
                    _ => return None,
                }
                Some(())
            })
            .await;
    }
    assert_eq!(news, ["archive.full", "recovered"]);
    let failed = Outcome::ArchiveFailed("the archive is full: no room".to_owned());
    assert_eq!(outcomes, [failed.clone(), failed, Outcome::Delivered]);
    assert_eq!(server.mailserver.stats().requests["archive"], 2);
    server.stop().await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_failed_prune_is_reported_once_and_retried() {
    let archive = Arc::new(Moody::default());
    archive.fails.store(true, Ordering::SeqCst);
    let mut server = start_server_with("server", archive.clone(), |_, config| {
        config.server.retention = Some(Duration::from_secs(3600));
        config.prune_interval = Duration::from_millis(20);
    })
    .await;
    until(|| server.mailserver.stats().archive_errors >= 3).await;
    archive.fails.store(false, Ordering::SeqCst);
    let mut failures = 0;
    server
        .wait_for(|event| match event {
            MailserverEvent::PruneFailed(_) => {
                failures += 1;
                None
            }
            MailserverEvent::Pruned { .. } => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(failures, 1);
    server.stop().await;
}

/// Fails once; after that, appends wait as long as the test lives.
#[derive(Debug)]
struct Stuck {
    inner: MemoryArchive,
    failed: AtomicBool,
    alive: Mutex<mpsc::Receiver<()>>,
}

impl Archive for Stuck {
    fn append(&self, _: &[Envelope]) -> Result<usize, ArchiveError> {
        if self.failed.swap(true, Ordering::SeqCst) {
            let _ = self.alive.lock().unwrap().recv();
        }
        Err(ArchiveError::Unusable("gone".to_owned()))
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        self.inner.read_step(query, budget, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.inner.contains(position)
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        self.inner.prune(UnixSeconds(before.0))
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        self.inner.summary()
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        self.inner.counts(visit)
    }
}

#[tokio::test]
async fn a_stuck_archive_does_not_delay_the_end() {
    let (release, alive) = mpsc::channel();
    let archive =
        Stuck { inner: MemoryArchive::new(), failed: false.into(), alive: Mutex::new(alive) };
    let server = start_server_with("server", Arc::new(archive), |_, config| {
        config.stop_timeout = Duration::from_millis(100);
    })
    .await;
    server.node.handle().send(envelope(NOW, TOPICS[0], 1)).unwrap();
    until(|| server.mailserver.stats().archive_errors == 1).await;
    let Server { node, mailserver, .. } = server;
    node.shutdown().await;
    // The second attempt has not ended, and is given up. Envelopes may wait twice, if the pool was
    // read after they came.
    assert!(within(mailserver.stop()).await.lost >= 1);
    drop(release);
}

#[tokio::test]
async fn refused_mailservers_are_disconnected() {
    let server = start_server("server", archive_of(&envelopes(5))).await;
    let mut stranger = stranger("giant", &server.node).await;
    let request = SyncRequest {
        cursor: Cursor::from_bytes(&[1; 100_000]),
        ..SyncRequest::all(UnixSeconds(1), UnixSeconds(NOW))
    };
    assert_eq!(sync_error(&mut stranger, request).await, b"the request is too large");
    assert_eq!(packet(&mut stranger).await, None);
    server.stop().await;
}

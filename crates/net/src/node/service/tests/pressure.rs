//! Subscribers that are slow, stop, or leave.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use statuskit_core::{envelope::EnvelopeHash, time::UnixSeconds, wire::Packet};
use tokio::{
    io::ReadBuf,
    time::{Instant, advance, sleep},
};

use super::*;

const LIMIT: usize = 256 << 10;
/// The size of the sender's packets, and what the events of one may need.
const BATCH: usize = 16 << 10;
const EVENTS: usize = 10 * BATCH;

/// A node with tokio's clock, which a test may pause. It does not listen.
async fn piped_node(event_bytes: usize) -> Service {
    let began = Instant::now();
    let mut config = local_config("node");
    config.listen = None;
    config.event_bytes = event_bytes;
    config.clock = Clock::from_fn(move || Duration::from_secs(1_585_700_000) + began.elapsed());
    Service::start(config).await.unwrap()
}

/// An envelope that lives for a day.
fn lasting(service: &Service, size: usize, nonce: u64) -> Envelope {
    let (now, day) = (service.handle().now().as_secs() as u32, 86_400);
    Envelope::new(UnixSeconds(now + day), day, Topic([1; 4]), &vec![5; size], nonce)
}

/// A packet with some envelopes, whose nonces begin with a number.
fn packet(service: &Service, first: u64, count: u64) -> Vec<u8> {
    let envelopes = (first..first + count).map(|nonce| lasting(service, 300, nonce));
    Packet::Messages(envelopes.collect()).encode()
}

/// How many packets of the peer were handled: those that the node has answered.
async fn answers(peer: &mut PeerStream<DuplexStream>, patience: Duration) -> usize {
    let mut answers = 0;
    let count = async {
        loop {
            match peer.next().await {
                Ok(connection::Incoming::Message { code: code::MESSAGE_RESPONSE, .. }) => {
                    answers += 1
                }
                Ok(connection::Incoming::Message { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(timeout(patience, count).await.is_err());
    answers
}

fn hash_of(event: &Event) -> Option<EnvelopeHash> {
    match event {
        Event::Envelope { envelope, .. } => Some(envelope.hash()),
        _ => None,
    }
}

#[tokio::test]
async fn a_slow_subscriber_gets_every_envelope_and_the_node_goes_on_writing() {
    let [mut sender, mut node] = ["sender", "node"].map(local_config);
    sender.node.limits.batch_bytes = BATCH;
    node.event_bytes = LIMIT;
    let sender = Service::start(sender).await.unwrap();
    let node = Service::start(node).await.unwrap();
    let mut of_sender = sender.handle().subscribe();
    let mut slow = node.handle().subscribe();
    let mut quick = node.handle().subscribe();
    let quick = tokio::spawn(async move {
        let mut own = 0;
        while let Some(event) = quick.next().await {
            own += usize::from(matches!(*event, Event::Envelope { from: None, .. }));
        }
        own
    });
    let mut missing: HashSet<_> = (0..20_000)
        .map(|nonce| sender.handle().send(lasting(&sender, 0, nonce)).unwrap().hash)
        .collect();
    sender.handle().add_peer(node.handle().enode().unwrap(), PeerOptions::once());
    let until_full = async {
        while slow.queued_bytes() <= LIMIT {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, until_full).await.expect("the queue fills");
    // Now nothing is read any more, but what is sent still arrives.
    let reply = envelope(&node, 1 << 32);
    node.handle().send(reply.clone()).unwrap();
    received(&mut of_sender, &reply).await;
    assert!(node.handle().stats().new < 10_000, "the rest waits in the socket");
    let drain = async {
        let mut largest = 0;
        while !missing.is_empty() {
            largest = largest.max(slow.queued_bytes());
            let event = slow.next().await.expect("the node runs");
            if let Some(hash) = hash_of(&event).filter(|hash| *hash != reply.hash()) {
                assert!(missing.remove(&hash), "once");
            }
        }
        largest
    };
    let largest = timeout(PATIENCE, drain).await.expect("all come");
    assert!((LIMIT..LIMIT + EVENTS).contains(&largest), "{largest}");
    sender.shutdown().await;
    node.shutdown().await;
    assert_eq!(quick.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_read_for_an_hour_stays_and_is_read_afterwards() {
    let node = piped_node(1000).await;
    let mut events = node.handle().subscribe();
    let mut peer = piped(node.handle(), "peer", 64 << 10).await;
    let hour = Duration::from_secs(3600);
    for first in [0, 10, 20] {
        peer.send(PROTOCOL, code::MESSAGES, &packet(&node, first, 10)).unwrap();
    }
    // Both sides ping, and the first packet is answered. The others are not handled.
    assert_eq!(answers(&mut peer, hour).await, 1);
    assert!((1000..10_000).contains(&events.queued_bytes()));
    assert_eq!(node.handle().stats().new, 10);

    // Another subscription does not help.
    drop(node.handle().subscribe());
    let (mut envelopes, mut disconnected) = (HashSet::new(), 0);
    let drain = async {
        while let Some(event) = events.next().await {
            envelopes.extend(hash_of(&event));
            disconnected += usize::from(matches!(*event, Event::Disconnected { .. }));
        }
    };
    let (drained, answered) = tokio::join!(timeout(hour, drain), answers(&mut peer, hour));
    assert!(drained.is_err());
    assert_eq!((answered, envelopes.len(), disconnected), (2, 30, 0));
    node.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_blocks_nothing() {
    let node = piped_node(1000).await;
    let [stuck, stuck_too] = [(); 2].map(|()| node.handle().subscribe());
    let mut peer = piped(node.handle(), "peer", 64 << 10).await;
    for first in [0, 10] {
        peer.send(PROTOCOL, code::MESSAGES, &packet(&node, first, 10)).unwrap();
    }
    let minute = Duration::from_secs(60);
    assert_eq!(answers(&mut peer, minute).await, 1);
    drop(stuck);
    assert_eq!(answers(&mut peer, minute).await, 0);
    drop(stuck_too);
    assert_eq!(answers(&mut peer, minute).await, 1);
    assert_eq!(node.handle().stats().new, 20);
    node.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_subscriber_is_stuck_peers_may_connect_and_the_node_can_end() {
    let node = piped_node(1000).await;
    let mut stuck = node.handle().subscribe();
    let mut first = piped(node.handle(), "first", 64 << 10).await;
    first.send(PROTOCOL, code::MESSAGES, &packet(&node, 0, 10)).unwrap();
    let minute = Duration::from_secs(60);
    assert_eq!(answers(&mut first, minute).await, 1);
    // Its Status is read: otherwise it would be disconnected after 15 s.
    let mut second = piped(node.handle(), "second", 64 << 10).await;
    second.send(PROTOCOL, code::MESSAGES, &packet(&node, 10, 10)).unwrap();
    assert_eq!(answers(&mut second, minute).await, 0);
    assert_eq!(node.handle().stats().ready_peers, 2);
    timeout(minute, node.shutdown()).await.expect("it ends");
    // What was handled can still be fetched.
    let mut envelopes = 0;
    while let Some(event) = stuck.next().await {
        envelopes += usize::from(hash_of(&event).is_some());
    }
    assert_eq!(envelopes, 10);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_unread_is_reported_with_the_time() {
    let node = piped_node(1000).await;
    let mut events = node.handle().subscribe();
    let unread_since = |event: &Event| match event {
        Event::Disconnected { unread_since, .. } => Some(*unread_since),
        _ => None,
    };
    let minute = Duration::from_secs(60);
    for unread in [false, true] {
        let mut peer = piped(node.handle(), "peer", 64 << 10).await;
        ready(&mut events).await;
        let before = node.handle().now();
        for first in [0, 10] {
            let first = first + 100 * u64::from(unread);
            peer.send(PROTOCOL, code::MESSAGES, &packet(&node, first, 10)).unwrap();
        }
        assert_eq!(answers(&mut peer, minute).await, 1);
        if !unread {
            let mut envelopes = 0;
            wait_for(&mut events, |event| {
                envelopes += usize::from(hash_of(event).is_some());
                (envelopes == 20).then_some(())
            })
            .await;
            assert_eq!(answers(&mut peer, minute).await, 1);
        }
        drop(peer);
        advance(minute).await;
        let since = wait_for(&mut events, unread_since).await;
        assert_eq!(since.is_some(), unread);
        assert!(since.is_none_or(|since| (before..before + minute).contains(&since)));
    }
    node.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_skips_and_counts() {
    let node = piped_node(10_000).await;
    let mut watch = node.handle().watch();
    let mut peer = piped(node.handle(), "peer", 64 << 10).await;
    peer.send(PROTOCOL, code::MESSAGES, &packet(&node, 0, 50)).unwrap();
    assert_eq!(answers(&mut peer, Duration::from_secs(60)).await, 1);
    let Some(Watched::Skipped(skipped)) = watch.next().await else { panic!("too much") };
    let mut rest = 0;
    while let Ok(next) = timeout(Duration::from_secs(1), watch.next()).await {
        assert!(matches!(next, Some(Watched::Event(_))));
        rest += 1;
    }
    // Connected, Ready, and the envelopes.
    assert_eq!(skipped + rest, 52);
    assert!((5..50).contains(&rest));
    node.shutdown().await;
    assert!(watch.next().await.is_some_and(|it| matches!(it, Watched::Event(_))));
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_floods_stops_nobody_but_itself() {
    let node = piped_node(20_000).await;
    let mut stuck = node.handle().subscribe();
    let mut hostile = piped(node.handle(), "hostile", 1 << 20).await;
    let mut good = piped(node.handle(), "good", 64 << 10).await;
    for first in 0..100 {
        hostile.send(PROTOCOL, code::MESSAGES, &packet(&node, first * 10, 10)).unwrap();
    }
    // Short enough for a peer that waits for its turn.
    let briefly = Duration::from_secs(2);
    // Its part is half of the limit.
    let taken = answers(&mut hostile, briefly).await;
    assert!((2..=4).contains(&taken), "{taken}");
    let before = stuck.queued_bytes();
    assert!((10_000..20_000).contains(&before), "{before}");
    for first in 0..8 {
        good.send(PROTOCOL, code::MESSAGES, &packet(&node, 1 << 40 | first, 1)).unwrap();
        assert_eq!(answers(&mut good, briefly).await, 1);
    }
    // When the subscriber goes on, so does the peer, and nothing is missing.
    let mut envelopes = HashSet::new();
    let drain = async {
        while let Some(event) = stuck.next().await {
            envelopes.extend(hash_of(&event));
        }
    };
    let (drained, answered) = tokio::join!(timeout(briefly, drain), answers(&mut hostile, briefly));
    assert!(drained.is_err());
    assert_eq!((taken + answered, envelopes.len()), (100, 1008));
    // So it does when the subscriber leaves.
    for first in 0..100 {
        hostile.send(PROTOCOL, code::MESSAGES, &packet(&node, (1 << 20) + first * 10, 10)).unwrap();
    }
    let taken = answers(&mut hostile, briefly).await;
    drop(stuck);
    assert_eq!(taken + answers(&mut hostile, briefly).await, 100);
    node.shutdown().await;
}

/// A pipe that takes some bytes, and then no more.
struct Cut {
    pipe: DuplexStream,
    left: Arc<AtomicUsize>,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = bytes.len().min(self.left.load(Relaxed));
        if most == 0 {
            return Poll::Pending;
        }
        let written = ready!(Pin::new(&mut self.pipe).poll_write(cx, &bytes[..most]))?;
        self.left.fetch_sub(written, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Twenty peers begin a packet of a megabyte and leave it; another sends whole ones meanwhile.
#[tokio::test]
async fn packets_that_never_end_share_a_budget() {
    const BUDGET: usize = 4 << 20;
    let mut config = local_config("node");
    config.unfinished_bytes = BUDGET;
    let node = Service::start(config).await.unwrap();
    let handle = node.handle();
    let mut noise = vec![0; 1 << 20];
    rand::Rng::fill_bytes(&mut seeded_rng("noise"), &mut noise);
    let mut honest = piped(handle, "honest", 64 << 10).await;
    let mut held = Vec::new();
    let mut most = 0;
    for number in 0..20 {
        let left = Arc::new(AtomicUsize::new(900_000));
        let cut = |pipe| Cut { pipe, left: left.clone() };
        let mut peer = piped_through(handle, &format!("half {number}"), 64 << 10, cut).await;
        peer.send(PROTOCOL, code::MESSAGES, &noise).unwrap();
        let all_but_the_end = async {
            while left.load(Relaxed) > 0 {
                sleep(Duration::from_millis(1)).await;
                most = most.max(handle.unfinished_bytes());
            }
        };
        tokio::select! {
            ended = peer.flush() => panic!("{ended:?}"),
            () = all_but_the_end => {}
        }
        assert!(most <= BUDGET, "{most}");
        held.push(peer);
        let whole = Packet::Messages(vec![envelope(&node, number)]).encode();
        honest.send(PROTOCOL, code::MESSAGES, &whole).unwrap();
        let answered = async {
            while !matches!(
                honest.next().await.unwrap(),
                connection::Incoming::Message { code: code::BATCH_ACK, .. }
            ) {}
        };
        timeout(PATIENCE, answered).await.expect("an answer");
    }
    assert!(most > BUDGET / 2, "{most}");
    let some_leave = async {
        while handle.peers().len() > 1 + BUDGET / 800_000 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, some_leave).await.expect("those who began first leave");
    drop(held);
    node.shutdown().await;
}

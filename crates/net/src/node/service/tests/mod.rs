//! Services over the loopback interface and over pipes. Nothing here depends on speed: every wait
//! is for an event, with a generous limit.

use std::time::Duration;

use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::DisconnectReason,
    envelope::Topic,
    time::UnixSeconds,
    wire::{
        packet::{PROTOCOL, code},
        status::VERSION,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{
    connection::{PeerStream, StreamError},
    node::{ConnectError, Event},
    testing::local_config,
};

mod networks;
mod pressure;

const PATIENCE: Duration = Duration::from_secs(60);

fn key(name: &str) -> SecretKey {
    SecretKey::generate(&mut seeded_rng(name))
}

async fn start(name: &str) -> (Service, Subscription) {
    let service = Service::start(local_config(name)).await.unwrap();
    let news = service.handle().subscribe();
    (service, news)
}

fn envelope(service: &Service, nonce: u64) -> Envelope {
    let now = service.handle().now().as_secs() as u32;
    Envelope::new(UnixSeconds(now + 60), 60, Topic([1, 2, 3, 4]), &[5; 300], nonce)
}

/// Waits for an event from which `wanted` returns something.
async fn wait_for<T>(news: &mut Subscription, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = news.next().await.expect("the service runs");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the event comes")
}

async fn ready(news: &mut Subscription) -> ConnectionId {
    wait_for(news, |event| match event {
        Event::Ready { peer, .. } => Some(*peer),
        _ => None,
    })
    .await
}

async fn received(news: &mut Subscription, wanted: &Envelope) {
    let hash = wanted.hash();
    wait_for(news, |event| match event {
        Event::Envelope { envelope, .. } if envelope.hash() == hash => Some(()),
        _ => None,
    })
    .await;
}

/// A peer over a pipe that holds `capacity` bytes each way. Its Status is sent.
async fn piped(handle: &Handle, name: &str, capacity: usize) -> PeerStream<DuplexStream> {
    piped_through(handle, name, capacity, |pipe| pipe).await
}

/// The same, with something between the peer and the pipe.
async fn piped_through<S: AsyncRead + AsyncWrite + Unpin>(
    handle: &Handle,
    name: &str,
    capacity: usize,
    wrap: impl FnOnce(DuplexStream) -> S,
) -> PeerStream<S> {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let (shared, key) = (handle.shared.clone(), key(name));
    let (id, p2p) = (key.public_key(), shared.p2p.clone());
    let connection = async move {
        let rng = &mut seeded_rng("node");
        let stream = PeerStream::respond(ours, &shared.key, &shared.p2p, rng).await.unwrap();
        let newcomer = shared::Newcomer {
            id,
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            inbound: true,
            client: String::new(),
            dialects: vec![Dialect::Whisper],
            info: Default::default(),
        };
        let joined = shared.join(&newcomer).unwrap();
        link::run(&shared, stream, joined).await;
    };
    handle.tasks.lock().unwrap().spawn(connection);
    let rng = &mut seeded_rng(name);
    let mut peer = PeerStream::initiate(wrap(theirs), handle.id(), &key, &p2p, rng).await.unwrap();
    peer.send(PROTOCOL, code::STATUS, &statuskit_core::wire::Status::default().encode()).unwrap();
    peer.flush().await.unwrap();
    peer
}

#[tokio::test]
async fn an_envelope_crosses_a_relay_and_is_confirmed() {
    let (a, mut news_a) = start("a").await;
    let (relay, mut news_relay) = start("relay").await;
    let (c, mut news_c) = start("c").await;
    a.handle().add_peer(relay.handle().enode().unwrap(), PeerOptions::default());
    c.handle().add_peer(relay.handle().enode().unwrap(), PeerOptions::default());
    let to_relay = ready(&mut news_a).await;
    ready(&mut news_c).await;
    for _ in 0..2 {
        ready(&mut news_relay).await;
    }

    let envelope = envelope(&a, 1);
    let sent = a.handle().send(envelope.clone()).unwrap();
    assert_eq!((sent.known, sent.peers.as_slice()), (false, &[to_relay][..]));
    let mut written = false;
    wait_for(&mut news_a, |event| match event {
        Event::Written { peer, envelopes, confirms: true } => {
            assert_eq!((*peer, envelopes.as_slice()), (to_relay, &[sent.hash][..]));
            written = true;
            None
        }
        Event::BatchAcknowledged { peer, errors, envelopes, .. } if !envelopes.is_empty() => {
            assert_eq!((*peer, envelopes.as_slice()), (to_relay, &[sent.hash][..]));
            assert_eq!(errors.as_deref(), Some(&[][..]));
            Some(())
        }
        _ => None,
    })
    .await;
    assert!(written);
    received(&mut news_c, &envelope).await;
    assert_eq!(relay.handle().stats().new, 1);

    relay.shutdown().await;
    for news in [&mut news_a, &mut news_c] {
        let reason = wait_for(news, |event| match event {
            Event::Disconnected { reason: EndReason::ByPeer(reason), .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reason.await, DisconnectReason::Quitting);
    }
    timeout(PATIENCE, a.shutdown()).await.unwrap();
    timeout(PATIENCE, c.shutdown()).await.unwrap();
}

#[tokio::test]
async fn garbage_at_any_stage_does_not_disturb_other_peers() {
    let (node, mut news) = start("node").await;
    let (peer, mut news_peer) = start("peer").await;
    let enode = node.handle().enode().unwrap();
    peer.handle().add_peer(enode.clone(), PeerOptions::default());
    ready(&mut news_peer).await;
    ready(&mut news).await;

    // Before the encryption handshake: silence, garbage, a half-closed socket.
    let silent = TcpStream::connect(node.handle().local_addr().unwrap()).await.unwrap();
    let mut garbage = TcpStream::connect(node.handle().local_addr().unwrap()).await.unwrap();
    garbage.write_all(&[0x16; 1000]).await.unwrap();
    let mut closed = TcpStream::connect(node.handle().local_addr().unwrap()).await.unwrap();
    closed.shutdown().await.unwrap();
    for _ in 0..2 {
        wait_for(&mut news, |event| match event {
            Event::InboundFailed { .. } => Some(()),
            _ => None,
        })
        .await;
    }
    // No common protocol.
    let mut p2p = connection::P2pConfig {
        protocols: vec![Protocol::new("eth", 63, 17)],
        ..Default::default()
    };
    let refused = PeerStream::connect(&enode, &key("stranger"), &p2p).await;
    assert!(refused.is_err());
    // Garbage with each packet code, as the first packet and after a Status.
    p2p.protocols = vec![Protocol::new(PROTOCOL, VERSION, PROTOCOL_LENGTH)];
    for first in [false, true] {
        for code in [code::MESSAGES, code::BLOOM_FILTER, code::MESSAGE_RESPONSE, 99] {
            let name = format!("stranger {code} {first}");
            let mut stream = PeerStream::connect(&enode, &key(&name), &p2p).await.unwrap();
            if !first {
                let status = statuskit_core::wire::Status::default().encode();
                stream.send(PROTOCOL, code::STATUS, &status).unwrap();
            }
            stream.send(PROTOCOL, code, b"garbage").unwrap();
            let end = async {
                loop {
                    match stream.next().await {
                        Ok(connection::Incoming::Message { .. }) => {}
                        Ok(connection::Incoming::Disconnected(reason)) => return reason,
                        Err(error) => panic!("{error}"),
                    }
                }
            };
            // After a Status, unknown codes are ignored.
            if first || code != 99 {
                let reason = timeout(PATIENCE, end).await.expect("it is disconnected");
                assert_eq!(reason, DisconnectReason::Subprotocol);
            }
            let envelope = envelope(&peer, code << 1 | u64::from(first));
            peer.handle().send(envelope.clone()).unwrap();
            received(&mut news, &envelope).await;
        }
    }
    drop((silent, garbage, closed));
    node.shutdown().await;
}

#[tokio::test]
async fn rejected_connections_get_a_reason() {
    let (node, _news) = start("node").await;
    let enode = node.handle().enode().unwrap();
    let p2p = connection::P2pConfig::new(vec![Protocol::new(PROTOCOL, VERSION, PROTOCOL_LENGTH)]);
    let first = PeerStream::connect(&enode, &key("twin"), &p2p).await.unwrap();
    let mut second = PeerStream::connect(&enode, &key("twin"), &p2p).await.unwrap();
    let reason = timeout(PATIENCE, second.next()).await.unwrap().unwrap();
    assert_eq!(reason, connection::Incoming::Disconnected(DisconnectReason::AlreadyConnected));
    drop(first);

    let (mine, mut news) = start("self").await;
    mine.handle().add_peer(mine.handle().enode().unwrap(), PeerOptions::default());
    let (code, retry_in) = wait_for(&mut news, |event| match event {
        Event::DialFailed { error, retry_in, .. } => Some((error.code(), *retry_in)),
        _ => None,
    })
    .await;
    assert_eq!((code, retry_in), ("p2p.self", None));

    let mut config = local_config("small");
    config.max_peers = 1;
    let small = Service::start(config).await.unwrap();
    let enode = small.handle().enode().unwrap();
    let mut one = PeerStream::connect(&enode, &key("one"), &p2p).await.unwrap();
    assert!(matches!(one.next().await, Ok(connection::Incoming::Message { code: 0, .. })));
    let mut two = PeerStream::connect(&enode, &key("two"), &p2p).await.unwrap();
    let reason = timeout(PATIENCE, two.next()).await.unwrap().unwrap();
    assert_eq!(reason, connection::Incoming::Disconnected(DisconnectReason::TooManyPeers));
}

/// Both dial, and only once: if both connections ended, there would be none.
#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_connection() {
    let rounds = (0..20).map(|round| async move {
        let (a, mut news_a) = start(&format!("a {round}")).await;
        let (b, mut news_b) = start(&format!("b {round}")).await;
        a.handle().add_peer(b.handle().enode().unwrap(), PeerOptions::once());
        b.handle().add_peer(a.handle().enode().unwrap(), PeerOptions::once());
        ready(&mut news_a).await;
        ready(&mut news_b).await;
        // Both have kept the same connection, and it works.
        let [of_a, of_b] = [&a, &b].map(|service| {
            let peers = service.handle().peers();
            assert_eq!(peers.len(), 1, "round {round}");
            peers[0].clone()
        });
        assert_ne!(of_a.inbound, of_b.inbound, "round {round}");
        let envelope = envelope(&a, round);
        a.handle().send(envelope.clone()).unwrap();
        received(&mut news_b, &envelope).await;
        a.shutdown().await;
        b.shutdown().await;
    });
    let mut rounds: JoinSet<()> = rounds.collect();
    while let Some(round) = rounds.join_next().await {
        round.unwrap();
    }
}

/// The peer decides at once, as nodes of the reference do, in either way.
#[tokio::test]
async fn of_two_connections_we_keep_the_one_that_the_peer_keeps() {
    for keeps_own in [false, true] {
        let (node, mut news) = start("node").await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (peer, p2p) = (key("peer"), node.handle().shared.p2p.clone());
        let enode = Enode::new(peer.public_key(), IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        node.handle().add_peer(enode, PeerOptions::once());
        let (stream, _) = listener.accept().await.unwrap();
        let theirs = PeerStream::accept(stream, &peer, &p2p).await.unwrap();
        let own = PeerStream::connect(&node.handle().enode().unwrap(), &peer, &p2p).await.unwrap();
        let (mut kept, dropped) = if keeps_own { (own, theirs) } else { (theirs, own) };
        dropped.close(DisconnectReason::AlreadyConnected).await;
        kept.send(PROTOCOL, code::STATUS, &statuskit_core::wire::Status::default().encode())
            .unwrap();
        kept.flush().await.unwrap();
        ready(&mut news).await;
        assert!(matches!(kept.next().await, Ok(connection::Incoming::Message { code: 0, .. })));
        let peers = node.handle().peers();
        assert_eq!((peers.len(), peers[0].inbound), (1, keeps_own));
        node.shutdown().await;
    }
}

#[tokio::test]
async fn silent_connections_do_not_delay_others() {
    let (node, mut news) = start("node").await;
    let addr = node.handle().local_addr().unwrap();
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    // They have 5 s for their handshakes. A peer that had to wait for them would have none left.
    let (peer, mut news_peer) = start("peer").await;
    peer.handle().add_peer(node.handle().enode().unwrap(), PeerOptions::once());
    let mut crowded = 0;
    wait_for(&mut news, |event| match event {
        Event::InboundFailed { error: ConnectError::Crowded, .. } => {
            crowded += 1;
            None
        }
        Event::InboundFailed { error, .. } => panic!("{error}"),
        Event::Ready { .. } => Some(()),
        _ => None,
    })
    .await;
    ready(&mut news_peer).await;
    // Of 61 handshakes, eight may go on.
    assert_eq!(crowded, 53);
    peer.shutdown().await;
    node.shutdown().await;
}

#[tokio::test]
async fn only_peers_that_we_dial_may_send_larger_packets() {
    let (relay, mut news_relay) = start("relay").await;
    let [mut large, mut small] = ["large", "small"].map(local_config);
    large.node.limits.batch_bytes = 5 << 20;
    small.node.max_message_size = 10_000;
    let large = Service::start(large).await.unwrap();
    let small = Service::start(small).await.unwrap();
    let now = large.handle().now().as_secs() as u32;
    let mut data = vec![0; 5000];
    rand::Rng::fill_bytes(&mut seeded_rng("data"), &mut data);
    for nonce in 0..300 {
        let envelope = Envelope::new(UnixSeconds(now + 300), 300, Topic([1; 4]), &data, nonce);
        large.handle().send(envelope).unwrap();
    }
    let mut news = small.handle().subscribe();
    let enode = large.handle().enode().unwrap();
    small.handle().add_peer(enode.clone(), PeerOptions::once());
    let error = wait_for(&mut news, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
    .await;
    assert!(error.contains("bytes"), "{error}");
    let max_packet_size = Some(10 << 20);
    small.handle().add_peer(enode, PeerOptions { max_packet_size, ..PeerOptions::once() });
    let mut received = 0;
    wait_for(&mut news, |event| {
        received += usize::from(matches!(event, Event::Envelope { .. }));
        (received == 300).then_some(())
    })
    .await;
    assert_eq!(small.handle().stats().refused, 0);
    // There are no such options for a peer that dials us.
    large.handle().add_peer(relay.handle().enode().unwrap(), PeerOptions::once());
    let error = wait_for(&mut news_relay, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.code()),
        _ => None,
    })
    .await;
    assert_eq!(error, "node.oversized_packet");
    for service in [relay, large, small] {
        service.shutdown().await;
    }
}

#[tokio::test]
async fn a_peer_that_can_not_be_reached_is_dialled_again() {
    let (a, mut news) = start("a").await;
    // A port that is closed for now.
    let (b, _) = start("b").await;
    let addr = b.handle().local_addr().unwrap();
    let enode = b.handle().enode().unwrap();
    b.shutdown().await;
    let options = PeerOptions { first_retry: Duration::from_millis(20), ..PeerOptions::default() };
    a.handle().add_peer(enode.clone(), options);
    wait_for(&mut news, |event| match event {
        Event::DialFailed { error, retry_in: Some(_), .. } => {
            assert!(matches!(error, ConnectError::Stream(StreamError::Dial { .. })), "{error}");
            Some(())
        }
        _ => None,
    })
    .await;
    let mut config = local_config("b");
    config.listen = Some(addr);
    let b = Service::start(config).await.unwrap();
    ready(&mut news).await;
    a.handle().remove_peer(&enode.id);
    wait_for(&mut news, |event| match event {
        Event::Disconnected { reason: EndReason::Removed, .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(a.handle().peers(), []);
    b.shutdown().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_nothing_and_does_not_block_a_shutdown() {
    let mut config = local_config("node");
    config.node.limits.batch_bytes = 20_000;
    let node = Service::start(config).await.unwrap();
    let (handle, mut news) = (node.handle().clone(), node.handle().subscribe());
    let deaf = piped(&handle, "deaf", 4096).await;
    ready(&mut news).await;

    let (peer, mut news_peer) = start("peer").await;
    peer.handle().add_peer(handle.enode().unwrap(), PeerOptions::default());
    ready(&mut news_peer).await;
    let now = handle.now().as_secs() as u32;
    let mut data = vec![0; 10_000];
    rand::Rng::fill_bytes(&mut seeded_rng("data"), &mut data);
    for nonce in 0..40 {
        let envelope = Envelope::new(UnixSeconds(now + 60), 60, Topic([1; 4]), &data, nonce);
        handle.send(envelope.clone()).unwrap();
        received(&mut news_peer, &envelope).await;
    }
    let stats = handle.stats();
    assert_eq!((stats.pooled, stats.ready_peers), (40, 2));
    // One peer got everything, the other what its connection holds.
    let most = 40 * 10_100 + link::HIGH_WATER as u64 + 30_000;
    assert!(stats.bytes_out < most, "{stats:?}");
    timeout(PATIENCE, node.shutdown()).await.expect("bounded");
    drop(deaf);
}

#[tokio::test]
async fn an_envelope_that_fits_no_packet_is_not_sent() {
    let (a, _) = start("a").await;
    let now = a.handle().now().as_secs() as u32;
    let max = statuskit_core::envelope::check::DEFAULT_MAX_MESSAGE_SIZE;
    let new = |data: usize| {
        Envelope::new(UnixSeconds(now + 60), 60, Topic([1, 2, 3, 4]), &vec![5; data], 0)
    };
    let over = new(max as usize).packet_len() - max as usize;
    let fits = new(max as usize - over);
    assert_eq!(fits.packet_len(), max as usize);
    a.handle().send(fits).unwrap();
    let larger = new(max as usize - over + 1);
    assert!(larger.size() < max as usize, "no larger than an envelope may be");
    let error = a.handle().send(larger).unwrap_err();
    assert_eq!(error, SendError::Oversized { size: max as usize + 1, max });
    assert_eq!(error.code(), "envelope.oversized");
    a.shutdown().await;
}

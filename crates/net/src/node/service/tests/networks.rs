//! Whisper and Waku on one service, and bridges between them.

use std::collections::HashMap;

use super::*;

const EVERY: [Dialect; 3] = [Dialect::Whisper, Dialect::Waku0, Dialect::Waku1];

async fn start_with(
    name: &str,
    dialects: &[Dialect],
    change: impl FnOnce(&mut ServiceConfig),
) -> (Service, Subscription) {
    let mut config = local_config(name);
    config.dialects = dialects.to_vec();
    change(&mut config);
    let service = Service::start(config).await.unwrap();
    let news = service.handle().subscribe();
    (service, news)
}

fn dial(from: &Service, to: &Service) {
    from.handle().add_peer(to.handle().enode().unwrap(), PeerOptions::default());
}

/// Waits until a service has this many peers, counted in each network.
async fn peers(news: &mut Subscription, count: usize) {
    for _ in 0..count {
        ready(news).await;
    }
}

fn dialect_of(service: &Service, network: Network) -> Option<Dialect> {
    let mut peers = service.handle().peers().into_iter();
    let peer = peers.find(|peer| peer.key.network() == network)?;
    Some(service.handle().peer_state(peer.key)?.info.dialect)
}

#[tokio::test]
async fn peers_speak_the_newest_dialect_of_each_network_that_they_share() {
    use Dialect::{Waku0, Waku1, Whisper};
    let (node, mut node_news) = start_with("node", &EVERY, |_| {}).await;
    for (name, dialects, whisper, waku) in [
        ("all", &EVERY[..], Some(Whisper), Some(Waku1)),
        ("old", &[Whisper, Waku0][..], Some(Whisper), Some(Waku0)),
        ("new", &[Waku1][..], None, Some(Waku1)),
        ("whisper", &[Whisper][..], Some(Whisper), None),
    ] {
        let (peer, mut news) = start_with(name, dialects, |_| {}).await;
        dial(&peer, &node);
        let count = usize::from(whisper.is_some()) + usize::from(waku.is_some());
        peers(&mut news, count).await;
        peers(&mut node_news, count).await;
        assert_eq!(dialect_of(&peer, Network::Whisper), whisper, "{name}");
        assert_eq!(dialect_of(&peer, Network::Waku), waku, "{name}");
        let first = peer.handle().networks().first().map(Handle::network);
        assert_eq!(first, Some(dialects[0].network()));
        // Both end with the connection, which takes one place.
        peer.shutdown().await;
        for _ in 0..count {
            wait_for(&mut node_news, |event| match event {
                Event::Disconnected { .. } => Some(()),
                _ => None,
            })
            .await;
        }
        assert!(node.handle().peers().is_empty());
    }
    let (strange, mut news) = start_with("strange", &[Waku1], |_| {}).await;
    let (whisper, _) = start_with("whisper", &[Whisper], |_| {}).await;
    dial(&strange, &whisper);
    wait_for(&mut news, |event| match event {
        Event::DialFailed { .. } => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn without_a_bridge_an_envelope_stays_in_its_network() {
    let (node, mut node_news) = start_with("node", &EVERY, |_| {}).await;
    let (peer, mut news) = start_with("peer", &EVERY, |_| {}).await;
    dial(&peer, &node);
    peers(&mut news, 2).await;
    peers(&mut node_news, 2).await;
    let sent = envelope(&peer, 1);
    peer.handle().on(Network::Waku).unwrap().send(sent.clone()).unwrap();
    let network = |event: &Event| match event {
        Event::Envelope { network, envelope, .. } => Some((*network, envelope.hash())),
        _ => None,
    };
    assert_eq!(wait_for(&mut node_news, network).await, (Network::Waku, sent.hash()));
    // The other network does not have it yet.
    assert!(!peer.handle().send(sent.clone()).unwrap().known);
    assert_eq!(wait_for(&mut node_news, network).await, (Network::Whisper, sent.hash()));
    assert_eq!(node.handle().bridge_stats(), None);
}

/// Between a Whisper client and a Waku client are two bridges, which know each other.
#[tokio::test]
async fn over_two_bridges_each_of_10_000_envelopes_comes_once() {
    const EACH: u64 = 5000;
    let bridged = |config: &mut ServiceConfig| config.bridge = Some(BridgeConfig::default());
    let (first, mut first_news) = start_with("first", &EVERY, bridged).await;
    let (second, mut second_news) = start_with("second", &EVERY, bridged).await;
    let (whisper, mut whisper_news) = start_with("whisper", &[Dialect::Whisper], |_| {}).await;
    let (waku, mut waku_news) = start_with("waku", &[Dialect::Waku1], |_| {}).await;
    dial(&first, &second);
    peers(&mut first_news, 2).await;
    peers(&mut second_news, 2).await;
    for client in [&whisper, &waku] {
        dial(client, &first);
        dial(client, &second);
    }
    peers(&mut whisper_news, 2).await;
    peers(&mut waku_news, 2).await;
    drop((first_news, second_news));

    let mut expected = HashMap::new();
    for nonce in 0..EACH {
        for (client, nonce) in [(&whisper, nonce), (&waku, EACH + nonce)] {
            let envelope = envelope(client, nonce);
            expected.insert(envelope.hash(), 0);
            client.handle().send(envelope).unwrap();
        }
        // Others have their turn.
        if nonce % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for news in [&mut whisper_news, &mut waku_news] {
        let mut seen = expected.clone();
        for _ in 0..2 * EACH {
            let hash = wait_for(news, |event| match event {
                Event::Envelope { envelope, .. } => Some(envelope.hash()),
                _ => None,
            })
            .await;
            *seen.get_mut(&hash).expect("was sent") += 1;
        }
        assert!(seen.values().all(|times| *times == 1));
    }
    for bridge in [&first, &second] {
        let networks = bridge.handle().networks();
        let stats = bridge.handle().bridge_stats().unwrap();
        for (way, from) in [(stats.to_waku, &networks[0]), (stats.to_whisper, &networks[1])] {
            assert_eq!((way.filtered, way.limited, way.refused), (0, 0, 0));
            // Each that was new here and had not crossed was tried once.
            assert!(way.crossed + way.known <= from.stats().new);
        }
        // Each pool has each envelope, from its own network or over the bridge.
        for network in &networks {
            assert_eq!(network.stats().new, 2 * EACH, "{:?}", network.network());
        }
    }
    let crossed = |bridge: &Service| {
        let stats = bridge.handle().bridge_stats().unwrap();
        stats.to_waku.crossed + stats.to_whisper.crossed
    };
    assert!(crossed(&first) + crossed(&second) >= 2 * EACH);
}

#[tokio::test]
async fn a_bridge_has_filters_and_rates_for_each_side() {
    let topic = Topic([1, 2, 3, 4]);
    let limited = |config: &mut ServiceConfig| {
        config.clock = crate::node::Clock::starting_at(Duration::from_secs(1_600_000_000));
        let mut bridge = BridgeConfig::default();
        bridge.to_waku.topics = Some([topic].into());
        bridge.to_waku.rate = 2;
        bridge.to_whisper.is_closed = true;
        config.bridge = Some(bridge);
    };
    let (node, _) = start_with("node", &EVERY, limited).await;
    let whisper = node.handle().clone();
    let waku = whisper.on(Network::Waku).unwrap();
    let now = UnixSeconds(whisper.now().as_secs() as u32 + 60);
    let with = |topic, nonce| Envelope::new(now, 60, topic, &[5; 300], nonce);
    waku.send(with(topic, 1)).unwrap();
    whisper.send(with(Topic([9; 4]), 2)).unwrap();
    whisper.send(with(topic, 1)).unwrap();
    for nonce in 10..20 {
        whisper.send(with(topic, nonce)).unwrap();
    }
    let stats = node.handle().bridge_stats().unwrap();
    assert_eq!(stats.to_whisper, WayStats { filtered: 1, ..WayStats::default() });
    let WayStats { crossed, known, filtered, limited, refused } = stats.to_waku;
    assert_eq!((known, filtered, refused), (1, 1, 0));
    // Two at once, and more only if the test takes long.
    assert!((2..=10).contains(&crossed) && crossed + limited == 10, "{stats:?}");
    assert_eq!(waku.stats().new, 1 + crossed);
}

/// The limits are those of the process, not of each network.
#[tokio::test]
async fn the_pools_of_both_networks_share_their_limit() {
    let (node, mut node_news) = start_with("node", &EVERY, |config| {
        config.bridge = Some(BridgeConfig::default());
        config.node.limits.pool_envelopes = 100;
    })
    .await;
    let (peer, mut news) = start_with("peer", &[Dialect::Whisper], |_| {}).await;
    dial(&peer, &node);
    peers(&mut news, 1).await;
    peers(&mut node_news, 1).await;
    for nonce in 0..300 {
        peer.handle().send(envelope(&peer, nonce)).unwrap();
    }
    let came = |handle: &Handle| handle.stats().new + handle.stats().pool_full;
    while came(node.handle()) < 300 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for handle in node.handle().networks() {
        let stats = handle.stats();
        assert!(stats.pooled > 0 && stats.pooled <= 50, "{stats:?}");
    }
}

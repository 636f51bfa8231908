//! Peers that change what they ask for, in the middle of it.

use std::time::Duration;

use statuskit_core::{
    chat::Destination,
    crypto::{SecretKey, seeded_rng},
    envelope::{Bloom, Envelope, Topic},
    time::UnixSeconds,
    wire::{Dialect, Network},
};
use statuskit_net::node::{NodeConfig, Service, ServiceConfig};
use tokio::time::{sleep, timeout};

use super::*;
use crate::{client::Client, error::SendFailure};

const PATIENCE: Duration = Duration::from_secs(60);

/// A node, and a client that is connected to it.
async fn connected(config: NodeConfig) -> (Service, Client) {
    let mut settings = ServiceConfig::new(SecretKey::generate(&mut seeded_rng("node")));
    settings.listen = Some("127.0.0.1:0".parse().unwrap());
    settings.node = config;
    let service = Service::start(settings).await.unwrap();
    let builder = Client::builder().peer(service.handle().enode().unwrap());
    let mut client = builder.start().await.unwrap();
    client.connect().await.unwrap();
    (service, client)
}

/// Waits until the client's node has heard of a change, and the client has not.
async fn heard(client: &mut Client, change: impl Fn(&Status) -> bool) {
    let peer = client.engine().peers.connections().next().unwrap();
    let mut has_heard = || {
        client.engine().node.peer_state(peer).and_then(|it| it.status).is_some_and(|it| change(&it))
    };
    while !has_heard() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_was_mined_for_less_is_mined_again() {
    let (service, mut client) = connected(NodeConfig::with_min_pow(0.0)).await;
    let chat = Destination::public("c");
    let id = client.send_text(&chat, "before").await.unwrap();
    let first = timeout(PATIENCE, client.written(id)).await.unwrap().unwrap();
    assert!(first.envelope.pow(0) >= 0.002);
    service.handle().set_min_pow(5.0);
    heard(&mut client, |status| status.min_pow == 5.0).await;
    let id = client.send_text(&chat, "hello").await.unwrap();
    let sent = timeout(PATIENCE, client.written(id)).await.unwrap().unwrap();
    assert_eq!(sent.confirmed(), 1);
    assert!(sent.envelope.pow(0) >= 5.0, "{}", sent.envelope.pow(0));
    service.shutdown().await;
}

#[tokio::test]
async fn what_was_reported_as_unwanted_is_not_sent_later() {
    let mut config = NodeConfig::default();
    config.bloom = Some(Bloom::EMPTY);
    let (service, mut client) = connected(config).await;
    let id = client.send_text(&Destination::public("c"), "unwanted").await.unwrap();
    let error = timeout(PATIENCE, client.written(id)).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Send(SendFailure::Unwanted { .. })), "{error}");
    service.handle().set_bloom(None);
    heard(&mut client, |status| status.bloom.is_none_or(|bloom| bloom.is_full())).await;
    let id = client.send_text(&Destination::public("d"), "wanted").await.unwrap();
    timeout(PATIENCE, client.written(id)).await.unwrap().unwrap();
    // Only the second one: the packet would have had both.
    assert_eq!(service.handle().stats().new, 1);
    service.shutdown().await;
}

#[tokio::test]
async fn what_comes_in_both_networks_is_taken_once() {
    let dialects = [Dialect::Whisper, Dialect::Waku0, Dialect::Waku1];
    let mut settings = ServiceConfig::new(SecretKey::generate(&mut seeded_rng("node")));
    settings.listen = Some("127.0.0.1:0".parse().unwrap());
    settings.node = NodeConfig::with_min_pow(0.0);
    settings.dialects = dialects.to_vec();
    let service = Service::start(settings).await.unwrap();
    let topic = Topic([1, 2, 3, 4]);
    let builder = Client::builder().peer(service.handle().enode().unwrap());
    let builder = builder.dialects(dialects).min_pow(0.0).topic(topic).raw();
    let mut client = builder.start().await.unwrap();
    client.connect().await.unwrap();

    let now = UnixSeconds::from_since_epoch(client.engine().node.now());
    let envelope = |nonce| Envelope::new(UnixSeconds(now.0 + 600), 600, topic, &[7; 40], nonce);
    let sent: Vec<_> = (0..20).map(envelope).collect();
    let mut taken = Vec::new();
    for (count, network) in [(10, Network::Waku), (20, Network::Whisper), (20, Network::Waku)] {
        let handle = service.handle().on(network).unwrap();
        sent[..count].iter().for_each(|envelope| drop(handle.send(envelope.clone())));
        // All have come in this network before the next begins.
        let came = async {
            while client.engine().node.on(network).unwrap().stats().new < count as u64 {
                let next = timeout(Duration::from_millis(1), client.next()).await;
                if let Ok(Some(Event::Envelope { envelope, .. })) = next {
                    taken.push(envelope.hash());
                }
            }
        };
        timeout(PATIENCE, came).await.unwrap();
    }
    let last = envelope(99);
    service.handle().send(last.clone()).unwrap();
    while taken.last() != Some(&last.hash()) {
        if let Event::Envelope { envelope, .. } = client.next().await.unwrap() {
            taken.push(envelope.hash());
        }
    }
    taken.sort_unstable();
    let mut expected: Vec<_> = sent.iter().chain([&last]).map(Envelope::hash).collect();
    expected.sort_unstable();
    assert_eq!(taken, expected);
    service.shutdown().await;
}

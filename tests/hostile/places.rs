//! Attacks on the places among the peers.

use std::time::Duration;

use statuskit_core::wire::Dialect;
use statuskit_net::testing::{TestNode, local_config};
use statuskit_testkit::ServiceClock;

use crate::world::{Good, Peer, address, now, speak, strangers};

#[tokio::test]
async fn one_address_gets_its_places_and_all_addresses_leave_one_for_a_newcomer() {
    take_places(&[Dialect::Whisper], Dialect::Whisper, strangers()).await;
    // The places are those of the node, whatever its peers speak.
    let both = [Dialect::Whisper, Dialect::Waku0, Dialect::Waku1];
    take_places(&both, Dialect::Waku1, strangers().min(30)).await;
}

async fn take_places(dialects: &[Dialect], dialect: Dialect, strangers: usize) {
    let clock = ServiceClock::starting_at(Duration::from_secs(now().into()));
    let mut config = local_config("places");
    config.clock = clock.clock();
    (config.max_peers, config.max_peers_per_ip) = (20, Some(3));
    speak(&mut config, dialect);
    config.dialects = dialects.to_vec();
    let node = TestNode::start_with(config).unwrap();
    let mut good = Good::join_in(dialect, &node.enode()).await;
    let mut idle = Vec::new();
    for number in 0..strangers {
        let name = format!("one address {number}");
        idle.extend(Peer::join_in(dialect, &node.enode(), address(1), &name).await);
    }
    assert_eq!(idle.len(), 3);
    good.exchange(now()).await;
    for number in 0..strangers {
        let name = format!("own address {number}");
        idle.extend(Peer::join_in(dialect, &node.enode(), address(1000 + number), &name).await);
    }
    assert_eq!((idle.len(), node.handle().peers().len()), (18, 20));
    assert!(Peer::join_in(dialect, &node.enode(), address(252), "early").await.is_none());
    good.exchange(now()).await;
    // All have had their time, and the good ones were of use.
    clock.forward(31);
    let mut late =
        Peer::join_in(dialect, &node.enode(), address(252), "late").await.expect("a place is made");
    good.exchange(now() + 31).await;
    for hash in good.sent {
        late.expect(hash).await;
    }
    let peers = node.handle().peers();
    let of_one = peers.iter().filter(|peer| peer.addr.ip() == address(1)).count();
    assert!(peers.len() <= 20 && of_one <= 2, "the address with most peers has lost one");
}

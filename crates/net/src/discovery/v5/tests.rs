//! Machines among themselves, by a virtual clock.

use std::{
    collections::{BinaryHeap, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
};

use statuskit_core::{
    crypto::{keccak256, seeded_rng},
    discovery::{Extra, Neighbors, NodeEntry, PacketHash},
};

use super::*;

const LATENCY: Duration = Duration::from_millis(20);
const START: Duration = Duration::from_secs(5000);
const UNIX: u64 = 1_585_558_800;

/// A datagram under way: when it arrives, its number, from, to, bytes.
type Datagram = (Duration, u64, SocketAddr, SocketAddr, Vec<u8>);

/// Nodes, joined by a network that loses nothing, and a virtual clock.
struct World {
    nodes: HashMap<SocketAddr, (Machine, u64)>,
    queue: BinaryHeap<Reverse<Datagram>>,
    now: Duration,
    count: u64,
    events: Vec<(SocketAddr, Event)>,
    /// What was sent to addresses without a node.
    lost: HashMap<SocketAddr, Vec<Vec<u8>>>,
}

impl World {
    fn new() -> Self {
        Self {
            nodes: HashMap::new(),
            queue: BinaryHeap::new(),
            now: START,
            count: 0,
            events: Vec::new(),
            lost: HashMap::new(),
        }
    }

    fn add(
        &mut self,
        n: u32,
        bootnodes: &[NodeInfo],
        change: impl FnOnce(&mut Config),
    ) -> NodeInfo {
        let key = SecretKey::generate(&mut seeded_rng(&format!("node {n}")));
        let addr = address(n);
        let mut config = Config::new(key, addr);
        config.bootnodes = bootnodes.to_vec();
        change(&mut config);
        let machine = Machine::new(config, keccak256(&n.to_be_bytes()));
        let info = machine.info();
        self.nodes.insert(addr, (machine, UNIX));
        info
    }

    fn at(&mut self, addr: SocketAddr) -> (&mut Machine, Now) {
        let (machine, unix) = self.nodes.get_mut(&addr).unwrap();
        let now = Now { mono: self.now, unix: *unix + (self.now - START).as_secs() };
        (machine, now)
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.count += 1;
        self.queue.push(Reverse((self.now + LATENCY, self.count, from, to, bytes)));
    }

    fn flush(&mut self, addr: SocketAddr) {
        while let Some(output) = self.nodes.get_mut(&addr).and_then(|(it, _)| it.poll_output()) {
            match output {
                Output::Send { to, bytes } => self.send(addr, to, bytes),
                Output::Event(event) => self.events.push((addr, event)),
            }
        }
    }

    /// Does something with a node, and sends what comes of it.
    fn with<T>(&mut self, addr: SocketAddr, work: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let (machine, now) = self.at(addr);
        let result = work(machine, now);
        self.flush(addr);
        result
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        // What has to do with time is looked at in steps: nothing depends on less.
        const STEP: Duration = Duration::from_millis(20);
        while self.now < end {
            self.now += STEP;
            while let Some(Reverse((at, ..))) = self.queue.peek()
                && *at <= self.now
            {
                let Reverse((_, _, from, to, bytes)) = self.queue.pop().unwrap();
                if self.nodes.contains_key(&to) {
                    self.with(to, |machine, now| machine.handle_datagram(from, &bytes, now));
                } else {
                    self.lost.entry(to).or_default().push(bytes);
                }
            }
            let now = self.now;
            let is_due = |machine: &Machine| machine.next_timeout().is_some_and(|at| at <= now);
            let mut due: Vec<_> = self
                .nodes
                .iter()
                .filter(|(_, (it, _))| is_due(it))
                .map(|(addr, _)| *addr)
                .collect();
            due.sort();
            for addr in due {
                self.with(addr, Machine::handle_timeouts);
            }
        }
    }

    /// Runs until a node has found enough of those wanted, or for a time. Returns the share.
    fn share_found(&mut self, addr: SocketAddr, wanted: &[NodeInfo], limit: Duration) -> f64 {
        let end = self.now + limit;
        loop {
            let found = share(&self.found_by(addr), wanted);
            if found >= 0.95 || self.now >= end {
                return found;
            }
            self.run_for(seconds(5));
        }
    }

    fn found_by(&self, addr: SocketAddr) -> HashSet<PublicKey> {
        let of = self.events.iter().filter(|(at, _)| *at == addr);
        of.filter_map(|(_, event)| match event {
            Event::Found { node, .. } => Some(node.key),
            _ => None,
        })
        .collect()
    }
}

/// Each node has a subnet of its own.
fn address(n: u32) -> SocketAddr {
    let ip = Ipv4Addr::from(0x5500_0001 + (n << 8));
    SocketAddr::new(IpAddr::V4(ip), 30303)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn share(found: &HashSet<PublicKey>, wanted: &[NodeInfo]) -> f64 {
    wanted.iter().filter(|node| found.contains(&node.key)).count() as f64 / wanted.len() as f64
}

fn ping(key: &SecretKey, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let end = |addr: SocketAddr| Endpoint::new(addr.ip(), addr.port(), addr.port());
    let ping = v5::Ping {
        version: v5::VERSION,
        from: end(from),
        to: end(to),
        expiration: UNIX + 20,
        topics: Vec::new(),
        extra: Extra::default(),
    };
    Packet::Ping(ping).encode(key).unwrap().bytes
}

#[test]
fn a_searcher_finds_a_registrant_with_nothing_but_a_bootnode() {
    let mut world = World::new();
    let boot = world.add(0, &[], |config| config.min_wait = seconds(1));
    let registrant = world.add(1, &[boot], |_| {});
    let topic = TopicName::from("whispermail");
    world.with(registrant.addr, |machine, now| {
        machine.register(topic.clone(), now);
        machine.start(now);
    });
    world.run_for(seconds(4));
    assert_eq!(world.at(boot.addr).0.registered(&topic).len(), 1);
    let searcher = world.add(2, &[boot], |_| {});
    world.with(searcher.addr, |machine, now| {
        machine.search(topic, seconds(3), now);
        machine.start(now);
    });
    world.run_for(seconds(3));
    assert!(world.found_by(searcher.addr).contains(&registrant.key));
}

#[test]
fn answers_of_several_nodes_to_the_same_query_count() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    // Each answers with itself.
    let registrants: Vec<_> = (1..8).map(|n| world.add(n, &[boot], |_| {})).collect();
    for node in &registrants {
        world.with(node.addr, |machine, now| {
            machine.register("whisper".into(), now);
            machine.start(now);
        });
    }
    world.run_for(seconds(5));
    let searcher = world.add(20, &[boot], |_| {});
    world.with(searcher.addr, |machine, now| {
        machine.search("whisper".into(), seconds(3), now);
        machine.start(now);
    });
    world.run_for(seconds(10));
    assert_eq!(share(&world.found_by(searcher.addr), &registrants), 1.0);
}

#[test]
fn an_idle_client_asks_seldom() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    let registrant = world.add(1, &[boot], |_| {});
    world.with(registrant.addr, |machine, now| {
        machine.register("whisper".into(), now);
        machine.search("whisper".into(), seconds(3), now);
        machine.start(now);
    });
    world.run_for(seconds(60));
    let before = world.at(registrant.addr).0.stats().sent;
    world.run_for(seconds(60));
    let sent = world.at(registrant.addr).0.stats().sent - before;
    // The reference sends about twenty a second.
    assert!(sent < 60, "{sent} packets in a minute");
}

#[test]
fn two_hundred_nodes_find_each_other_and_also_when_half_of_them_is_gone() {
    const NODES: u32 = 200;
    let mut world = World::new();
    let boots: Vec<_> = (0..3).map(|n| world.add(n, &[], |_| {})).collect();
    let topic = TopicName::from("whisper");
    let mut registrants = Vec::new();
    let mut others = boots.clone();
    for n in 3..NODES {
        let info = world.add(n, &boots, |_| {});
        if n % 10 == 5 {
            registrants.push(info);
        } else {
            others.push(info);
        }
    }
    // One clock is off by an hour: of a registrant, and of a searcher below.
    world.nodes.get_mut(&registrants[0].addr).unwrap().1 += 3600;
    for node in others.iter().chain(&registrants) {
        let is_registrant = registrants.contains(node);
        world.with(node.addr, |machine, now| {
            if is_registrant {
                machine.register(topic.clone(), now);
            }
            machine.start(now);
        });
        // They don't start all at once.
        world.run_for(Duration::from_millis(50));
    }
    // Until the first tickets are due.
    world.run_for(seconds(65));

    let search = |world: &mut World, searcher: &NodeInfo, off: u64| {
        world.nodes.get_mut(&searcher.addr).unwrap().1 += off;
        world.with(searcher.addr, |machine, now| {
            machine.search(topic.clone(), seconds(3), now);
            machine.start(now);
        });
    };
    let first: Vec<_> = (300..303).map(|n| world.add(n, &boots, |_| {})).collect();
    for (searcher, off) in first.iter().zip([0, 0, 3600]) {
        search(&mut world, searcher, off);
    }
    for searcher in &first {
        let found = world.share_found(searcher.addr, &registrants, seconds(60));
        assert!(found >= 0.95, "{found}");
    }

    // Half of all are gone, with two of the three bootnodes.
    let gone: Vec<_> = others.iter().chain(&registrants).step_by(2).copied().collect();
    for node in &gone {
        world.nodes.remove(&node.addr);
    }
    world.run_for(seconds(5));
    let late = world.add(310, &boots, |_| {});
    search(&mut world, &late, 0);
    let left: Vec<_> = registrants.iter().filter(|it| !gone.contains(it)).copied().collect();
    let found = world.share_found(late.addr, &left, seconds(240));
    assert!(found >= 0.95, "{found} after half of the nodes have gone");
}

#[test]
fn a_flood_of_strangers_changes_nothing_for_good_nodes() {
    let mut world = World::new();
    let boot = world.add(0, &[], |config| config.max_nodes = 256);
    let good: Vec<_> = (1..20).map(|n| world.add(n, &[boot], |_| {})).collect();
    for node in &good {
        world.with(node.addr, Machine::start);
    }
    world.run_for(seconds(5));
    let table = |world: &mut World| -> HashSet<_> {
        world.at(boot.addr).0.nodes().into_iter().map(|(info, ..)| info).collect()
    };
    let before = table(&mut world);
    assert!(before.len() >= 19);
    // Ten thousand keys, at twenty addresses; none answers a ping.
    for n in 0..10_000_u32 {
        let key = SecretKey::generate(&mut seeded_rng(&format!("stranger {n}")));
        let from = SocketAddr::new(address(1000 + n % 20).ip(), 10_000 + (n / 20) as u16);
        let bytes = ping(&key, from, boot.addr);
        world.send(from, boot.addr, bytes);
        if n % 100 == 99 {
            world.run_for(Duration::from_millis(10));
        }
    }
    // In the middle of it, a good node comes.
    let late = world.add(50, &[boot], |_| {});
    world.with(late.addr, Machine::start);
    world.run_for(seconds(3));
    let after = table(&mut world);
    assert!(before.is_subset(&after));
    assert_eq!(world.at(late.addr).0.state(&boot.key), Some(State::Known));
    assert_eq!(world.at(boot.addr).0.state(&late.key), Some(State::Known));
    let (machine, _) = world.at(boot.addr);
    assert!(machine.remembered() <= 256 + 1, "{}", machine.remembered());
    assert!(machine.verifying.len() <= MAX_VERIFYING);
    assert!(machine.stats().limited > 0);
}

#[test]
fn forged_neighbors_do_not_enter_tables() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    let good = world.add(1, &[boot], |_| {});
    world.with(boot.addr, Machine::start);
    world.with(good.addr, Machine::start);
    world.run_for(seconds(3));
    // A node with a proof answers each query with nodes that do not exist.
    let liar = SecretKey::generate(&mut seeded_rng("liar"));
    let liar_addr = address(2);
    world.send(liar_addr, boot.addr, ping(&liar, liar_addr, boot.addr));
    let (mut forged, mut answered) = (HashSet::new(), 0);
    for round in 0..400_u32 {
        world.run_for(Duration::from_millis(500));
        for bytes in world.lost.remove(&liar_addr).unwrap_or_default() {
            let received = Packet::decode(&bytes).unwrap();
            let answer = match received.packet {
                Packet::Ping(ping) => Packet::Pong(v5::Pong {
                    to: ping.from,
                    reply_token: received.hash.0.to_vec(),
                    expiration: 1,
                    topic_hash: statuskit_core::discovery::TopicListHash::from_topics(&ping.topics),
                    ticket_serial: 1,
                    wait_periods: vec![60; ping.topics.len()],
                    extra: Extra::default(),
                }),
                Packet::FindNodeHash(_) => {
                    answered += 1;
                    let nodes = (0..12).map(|n| {
                        let name = format!("forged {round} {n}");
                        let key = SecretKey::generate(&mut seeded_rng(&name)).public_key();
                        forged.insert(key);
                        let addr = address(5000 + round * 12 + n);
                        NodeInfo { key, addr, tcp: 30303 }.entry()
                    });
                    Packet::Neighbors(Neighbors {
                        nodes: nodes.collect::<Vec<NodeEntry>>(),
                        expiration: 1,
                        extra: Extra::default(),
                    })
                }
                _ => continue,
            };
            let bytes = answer.encode(&liar).unwrap().bytes;
            world.send(liar_addr, boot.addr, bytes);
        }
    }
    assert!(answered > 0, "the liar was asked");
    let (machine, _) = world.at(boot.addr);
    assert!(machine.nodes().iter().all(|(info, ..)| !forged.contains(&info.key)));
    assert!(machine.nodes().iter().any(|(info, ..)| info.key == good.key));
    assert!(machine.remembered() < 100, "{}", machine.remembered());
}

#[test]
fn answers_before_the_proof_are_at_most_three_times_as_large() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    for n in 1..=30 {
        world.add(n, &[boot], |_| {});
        world.with(address(n), Machine::start);
    }
    world.run_for(seconds(5));
    // A stranger; and a node with a proof whose packet is repeated from another address.
    let key = SecretKey::generate(&mut seeded_rng("stranger"));
    let victim = address(900);
    let query = |key: &SecretKey| {
        let find =
            v5::FindNodeHash { target: NodeId([7; 32]), expiration: 1, extra: Extra::default() };
        Packet::FindNodeHash(find).encode(key).unwrap().bytes
    };
    let known = SecretKey::generate(&mut seeded_rng("node 1"));
    for bytes in
        [ping(&key, victim, boot.addr), query(&key), query(&known), ping(&known, victim, boot.addr)]
    {
        world.lost.clear();
        world.with(boot.addr, |machine, now| machine.handle_datagram(victim, &bytes, now));
        world.run_for(Duration::from_millis(100));
        let answered: usize = world.lost.values().flatten().map(Vec::len).sum();
        assert!(answered <= 3 * bytes.len(), "{answered} for {}", bytes.len());
    }
    // The victim does not answer: the node has its own address again.
    world.run_for(seconds(3));
    let known = known.public_key();
    let (machine, _) = world.at(boot.addr);
    let entry = machine.nodes().into_iter().find(|(info, ..)| info.key == known);
    assert_eq!(entry.map(|(info, ..)| info.addr), Some(address(1)));
}

#[test]
fn an_answer_that_nobody_asked_for_is_ignored() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    let good = world.add(1, &[boot], |_| {});
    world.with(good.addr, Machine::start);
    world.run_for(seconds(2));
    let boot_key = SecretKey::generate(&mut seeded_rng("node 0"));
    let named = NodeInfo { key: boot.key, addr: address(7), tcp: 1 }.entry();
    let answer = v5::TopicNodes { echo: PacketHash([1; 32]), nodes: vec![named] };
    let bytes = Packet::TopicNodes(answer).encode(&boot_key).unwrap().bytes;
    world.send(boot.addr, good.addr, bytes);
    world.run_for(seconds(1));
    assert!(world.found_by(good.addr).is_empty());
}

#[test]
fn what_is_no_packet_is_refused_without_a_recovery() {
    let mut world = World::new();
    let boot = world.add(0, &[], |_| {});
    for datagram in [&[][..], &[0; 2000], v5::PREFIX, &[&v5::PREFIX[..], &[0; 66]].concat()] {
        world.with(boot.addr, |machine, now| machine.handle_datagram(address(1), datagram, now));
    }
    let stats = world.at(boot.addr).0.stats();
    assert_eq!((stats.received, stats.dropped, stats.sent), (4, 4, 0));
}

//! The price of speed: latency and duplicates of a network of real cores, by send window.
//!
//! `cargo bench --bench duplicates [-- NODES]` prints, for random regular graphs with links of
//! 50 ms, how long envelopes take to reach the nodes, and how many copies too many each node gets.
//! Beside them stand the closed forms that a tick of the same length gives: a hop costs the link
//! and a uniform wait, so that half of the nodes are reached after `ln N / λ` with λ the root of
//! `(d-1)·e^(-λL)·(1-e^(-λT))/(λT) = 1`; duplicates lie between `d/2-1` and `d-2`.
//!
//! A second table is of nodes that send to some peers at once, and to the others after a longer
//! wait ([`Config::eager_peers`]).
//!
//! Everything is deterministic: the same figures on every machine.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    env,
    io::{self, Write},
    rc::Rc,
    time::Duration,
};

use statuskit_core::envelope::{Envelope, Topic};
use statuskit_net::node::{Config, ConnectionId, Event, Interest, Node, Output, PeerInfo, Time};

const LINK: Duration = Duration::from_millis(50);
const START: Time = Duration::from_secs(1_600_000_000);
const MESSAGES: u32 = 10;
/// Between two messages: long enough for the first to be everywhere.
const PAUSE: Duration = Duration::from_secs(20);
const DEGREES: [usize; 3] = [6, 12, 25];
const WINDOWS_MS: [u64; 7] = [0, 2, 5, 10, 20, 50, 300];
const HEAD: &str = "     N   d   window |    p50    p95    p99    max";

fn main() -> io::Result<()> {
    let nodes: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let nodes = if nodes.is_empty() { vec![100, 1000] } else { nodes };
    let mut out = io::stdout().lock();
    writeln!(out, "links of {LINK:?}, {MESSAGES} envelopes, random regular graphs; times in ms\n")?;
    writeln!(out, "{HEAD} | {:>8} | {:>10} {:>5} {:>5}", "ln N/λ", "duplicates", "least", "most")?;
    for &count in &nodes {
        for degree in DEGREES {
            for window in WINDOWS_MS {
                let window = Duration::from_millis(window);
                let config = Config { send_window: window, ..relay() };
                let measured = Network::new(count, degree, &config).run();
                write_row(
                    &mut out,
                    (count, degree),
                    &format!("0-{}", window.as_millis()),
                    &measured,
                )?;
                writeln!(
                    out,
                    " | {:>8.0} | {:>10.2} {:>5.1} {:>5}",
                    typical_delay(count, degree, window) * 1e3,
                    measured.duplicates,
                    degree as f64 / 2.0 - 1.0,
                    degree - 2,
                )?;
            }
        }
    }
    writeln!(out, "\nsome peers at once (within 5 ms), the others within 300 ms\n")?;
    writeln!(out, "{HEAD} | {:>10}", "duplicates")?;
    for &count in &nodes {
        for degree in DEGREES {
            for eager in [2, 3, 4, 6, 8].into_iter().filter(|eager| *eager < degree) {
                let config = Config { eager_peers: Some(eager as u32), ..relay() };
                let measured = Network::new(count, degree, &config).run();
                write_row(&mut out, (count, degree), &format!("{eager} peers"), &measured)?;
                writeln!(out, " | {:>10.2}", measured.duplicates)?;
            }
        }
    }
    Ok(())
}

fn relay() -> Config {
    let interest = Interest::Everything;
    Config { min_pow: 0.0, confirmations: false, interest, ..Config::default() }
}

fn write_row(
    out: &mut impl Write,
    (count, degree): (usize, usize),
    policy: &str,
    measured: &Measured,
) -> io::Result<()> {
    let percentile = |p: usize| {
        let at = measured.latencies.len() * p / 100;
        measured.latencies[at.min(measured.latencies.len() - 1)].as_secs_f64() * 1e3
    };
    let [p50, p95, p99, max] = [50, 95, 99, 100].map(percentile);
    write!(out, "{count:>6} {degree:>3} {policy:>8} | {p50:>6.0} {p95:>6.0} {p99:>6.0} {max:>6.0}")
}

struct Measured {
    /// Of every node and envelope, ascending.
    latencies: Vec<Duration>,
    /// Copies beyond the first, per node and envelope.
    duplicates: f64,
}

/// What happens, and to whom.
enum Happening {
    Timeout(usize),
    Packet { to: usize, at: ConnectionId, code: u64, payload: Rc<[u8]> },
}

/// Many cores, and links between them that deliver in order after a fixed time.
struct Network {
    nodes: Vec<Node>,
    /// For each node and slot of a peer: the node at the other end, and our key there.
    links: Vec<Vec<(ConnectionId, usize, ConnectionId)>>,
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    sequence: u64,
    /// When each node's timer was last set to strike.
    armed: Vec<Option<Time>>,
}

impl Network {
    fn new(count: usize, degree: usize, config: &Config) -> Self {
        let mut nodes: Vec<Node> =
            (0..count).map(|seed| Node::new(config.clone(), seed as u64, START)).collect();
        let mut links = vec![Vec::new(); count];
        for (a, b) in regular_graph(count, degree, &mut Random(7)) {
            let [at_a, at_b] =
                [a, b].map(|node| nodes[node].add_peer(PeerInfo::default(), START).unwrap());
            links[a].push((at_a, b, at_b));
            links[b].push((at_b, a, at_a));
        }
        let mut network = Self {
            armed: vec![None; count],
            nodes,
            links,
            heap: BinaryHeap::new(),
            happenings: Vec::new(),
            sequence: 0,
        };
        for node in 0..count {
            network.settle(node, START);
        }
        network
    }

    fn run(mut self) -> Measured {
        let mut random = Random(11);
        let mut latencies = Vec::new();
        // All have met before anything is measured.
        let mut now = START + Duration::from_secs(1);
        self.run_until(now, |_, _| {});
        for nonce in 0..MESSAGES {
            let from = random.below(self.nodes.len());
            let expiry = (now.as_secs() + 15) as u32;
            let envelope = Envelope::new(expiry, 15, Topic([1; 4]), &[7; 300], nonce.into());
            self.nodes[from].send(envelope, now).unwrap();
            self.settle(from, now);
            let mut reached = vec![false; self.nodes.len()];
            reached[from] = true;
            let sent = now;
            now += PAUSE;
            self.run_until(now, |node, at| {
                assert!(!reached[node], "once");
                reached[node] = true;
                latencies.push(at - sent);
            });
            assert!(reached.into_iter().all(|reached| reached), "everywhere");
        }
        let duplicates: u64 = self.nodes.iter().map(|node| node.stats().duplicates).sum();
        let duplicates = duplicates as f64 / self.nodes.len() as f64 / f64::from(MESSAGES);
        latencies.sort_unstable();
        Measured { latencies, duplicates }
    }

    fn run_until(&mut self, end: Time, mut received: impl FnMut(usize, Time)) {
        while let Some(&Reverse((at, _, index))) = self.heap.peek()
            && at <= end
        {
            self.heap.pop();
            let node = match self.happenings[index].take() {
                Some(Happening::Timeout(node)) => {
                    if self.armed[node] == Some(at) {
                        self.armed[node] = None;
                    }
                    self.nodes[node].handle_timeout(at);
                    node
                }
                Some(Happening::Packet { to, at: key, code, payload }) => {
                    self.nodes[to].handle_packet(key, code, &payload, at);
                    to
                }
                None => continue,
            };
            if self.settle(node, at) {
                received(node, at);
            }
        }
    }

    /// Carries away what a node has to give; says whether an envelope was new to it.
    fn settle(&mut self, node: usize, now: Time) -> bool {
        let mut new = false;
        while let Some(output) = self.nodes[node].poll_output() {
            match output {
                Output::Writable(key) => {
                    while let Some(packet) = self.nodes[node].poll_peer(key, now) {
                        let link = self.links[node].iter().find(|link| link.0 == key);
                        let &(_, to, at) = link.expect("a link");
                        let payload = packet.payload.into();
                        let packet = Happening::Packet { to, at, code: packet.code, payload };
                        self.schedule(now + LINK, packet);
                    }
                }
                Output::Event(Event::Envelope { from: Some(_), .. }) => new = true,
                Output::Event(_) => {}
                Output::Disconnect { error, .. } => panic!("{error}"),
            }
        }
        if let Some(at) = self.nodes[node].next_timeout()
            && self.armed[node].is_none_or(|armed| at < armed)
        {
            self.armed[node] = Some(at);
            self.schedule(at, Happening::Timeout(node));
        }
        new
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, self.happenings.len())));
        self.happenings.push(Some(happening));
    }
}

/// `ln N / λ`, in seconds.
fn typical_delay(count: usize, degree: usize, window: Duration) -> f64 {
    let (l, t) = (LINK.as_secs_f64(), window.as_secs_f64().max(1e-9));
    let f = |x: f64| (degree - 1) as f64 * (-x * l).exp() * (1.0 - (-x * t).exp()) / (x * t) - 1.0;
    let (mut low, mut high) = (1e-6, 1e4);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if f(middle) > 0.0 { low = middle } else { high = middle }
    }
    (count as f64).ln() / low
}

/// Pairs of nodes: each node in `degree` of them, none twice, none with itself.
fn regular_graph(count: usize, degree: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut ends: Vec<usize> = (0..count * degree).map(|end| end % count).collect();
    for at in (1..ends.len()).rev() {
        ends.swap(at, random.below(at + 1));
    }
    let sorted = |a: usize, b: usize| (a.min(b), a.max(b));
    let mut taken = std::collections::HashSet::new();
    let mut left = Vec::new();
    for pair in ends.chunks_exact(2) {
        if pair[0] != pair[1] && taken.insert(sorted(pair[0], pair[1])) {
            pairs.push((pair[0], pair[1]));
        } else {
            left.push((pair[0], pair[1]));
        }
    }
    // What does not fit swaps ends with a pair that does.
    while let Some((a, b)) = left.pop() {
        loop {
            let at = random.below(pairs.len());
            let (c, d) = pairs[at];
            let [one, two] = [sorted(a, c), sorted(b, d)];
            if a != c && b != d && one != two && !taken.contains(&one) && !taken.contains(&two) {
                taken.remove(&sorted(c, d));
                taken.extend([one, two]);
                pairs[at] = (a, c);
                pairs.push((b, d));
                break;
            }
        }
    }
    pairs
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }
}

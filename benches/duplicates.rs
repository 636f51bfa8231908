//! Latency and duplicates in a network of real cores, by send window.
//!
//! `cargo bench --bench duplicates [-- NODES]` simulates random regular graphs with links of 50 ms.
//! It prints how long envelopes take to reach the nodes, and how many redundant copies each node
//! gets. Beside them are the closed forms for a tick of the same length. A hop costs the link and a
//! uniform wait, so half of the nodes are reached after `ln N / λ`, where λ is the root of
//! `(d-1)·e^(-λL)·(1-e^(-λT))/(λT) = 1`; duplicates are between `d/2-1` and `d-2`.
//!
//! A second table is for nodes that send to some peers at once, and to the others after a longer
//! wait ([`NodeConfig::eager_peers`]).
//!
//! The figures are deterministic: the same on every machine.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{
    env,
    io::{self, Write},
    time::Duration,
};

use statuskit_core::envelope::{Envelope, Topic};
use statuskit_net::node::NodeConfig;
use statuskit_testkit::{
    World,
    network::{Link, Network, Place, relay},
};

const LATENCY: Duration = Duration::from_millis(50);
const MESSAGES: u32 = 10;
/// The pause between two messages: long enough for the first to arrive everywhere.
const PAUSE: Duration = Duration::from_secs(20);
const DEGREES: [usize; 3] = [6, 12, 25];
const WINDOWS_MS: [u64; 7] = [0, 2, 5, 10, 20, 50, 300];
const HEAD: &str = "     N   d   window |    p50    p95    p99    max";

fn main() -> io::Result<()> {
    let nodes: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let nodes = if nodes.is_empty() { vec![100, 1000] } else { nodes };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "links of {LATENCY:?}, {MESSAGES} envelopes, random regular graphs; times in ms\n"
    )?;
    writeln!(out, "{HEAD} | {:>8} | {:>10} {:>5} {:>5}", "ln N/λ", "duplicates", "least", "most")?;
    for &count in &nodes {
        for degree in DEGREES {
            for window in WINDOWS_MS {
                let window = Duration::from_millis(window);
                let mut config = silent();
                config.send_window = window;
                let measured = measure(count, degree, &config);
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
                let mut config = silent();
                config.eager_peers = Some(eager as u32);
                let measured = measure(count, degree, &config);
                write_row(&mut out, (count, degree), &format!("{eager} peers"), &measured)?;
                writeln!(out, " | {:>10.2}", measured.duplicates)?;
            }
        }
    }
    Ok(())
}

fn silent() -> NodeConfig {
    let mut config = relay();
    config.confirmations = false;
    config
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
    /// For every node and envelope, ascending.
    latencies: Vec<Duration>,
    /// Redundant copies per node and envelope.
    duplicates: f64,
}

/// Measures a random regular graph.
fn measure(count: usize, degree: usize, config: &NodeConfig) -> Measured {
    let mut network = Network::new(World::new("duplicates"));
    let nodes: Vec<Place> = (0..count).map(|_| network.add_node(config.clone())).collect();
    for (a, b) in regular_graph(count, degree, &mut Random(7)) {
        network.connect(nodes[a], nodes[b], Link::from_latency(LATENCY));
    }
    // Exchange every Status before measuring.
    network.run_for(Duration::from_secs(1), |_| {});
    let mut random = Random(11);
    let mut latencies = Vec::new();
    for nonce in 0..MESSAGES {
        let from = nodes[random.below(count)];
        let sent = network.world.now();
        let expiry = network.world.now_secs().wrapping_add(15);
        let envelope = Envelope::new(expiry, 15, Topic([1; 4]), &[7; 300], nonce.into());
        network.send(from, envelope).unwrap();
        let mut reached = vec![false; count];
        network.run_for(PAUSE, |happened| {
            if happened.envelope().is_some() {
                let Place(node) = happened.node;
                assert!(!reached[node], "once");
                reached[node] = true;
                if happened.node != from {
                    latencies.push(happened.at - sent);
                }
            }
        });
        assert!(reached.into_iter().all(|reached| reached), "everywhere");
    }
    let duplicates: u64 = nodes.iter().map(|node| network.node(*node).stats().duplicates).sum();
    let duplicates = duplicates as f64 / count as f64 / f64::from(MESSAGES);
    latencies.sort_unstable();
    Measured { latencies, duplicates }
}

/// Returns `ln N / λ`, in seconds.
fn typical_delay(count: usize, degree: usize, window: Duration) -> f64 {
    let (l, t) = (LATENCY.as_secs_f64(), window.as_secs_f64().max(1e-9));
    let f = |x: f64| (degree - 1) as f64 * (-x * l).exp() * (1.0 - (-x * t).exp()) / (x * t) - 1.0;
    let (mut low, mut high) = (1e-6, 1e4);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if f(middle) > 0.0 { low = middle } else { high = middle }
    }
    (count as f64).ln() / low
}

/// Returns pairs of nodes: each node in `degree` of them, no pair twice, none with itself.
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
    // Invalid pairs swap ends with a valid pair.
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

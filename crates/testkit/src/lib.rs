//! A seeded world for tests and simulations.
//!
//! | part | module |
//! | --- | --- |
//! | seed, virtual clock, named random streams | [`World`] |
//! | node cores and mailserver cores, joined by links with latency and faults | [`network`] |
//! | messengers of several users, on a network that the test controls packet by packet | [`messengers`] |
//! | encrypted sessions on a schedule of faults and crashes, over any [`Store`] | [`sessions`] |
//! | a clock for services on real sockets | [`ServiceClock`] |
//!
//! Everything but the last runs without sockets, threads and real time. The same seed gives the
//! same run on every machine.
//!
//! ```
//! use std::time::Duration;
//! use statuskit_testkit::{World, network::{Link, Network, relay}};
//!
//! let mut network = Network::new(World::new("docs"));
//! let [a, b, c] = [(); 3].map(|()| network.add_node(relay()));
//! network.connect(a, b, Link::from_latency(Duration::from_millis(50)));
//! network.connect(b, c, Link::from_latency(Duration::from_millis(50)));
//! network.run_for(Duration::from_secs(1), |_| {});
//!
//! let envelope = network.world.envelope(10, b"hello");
//! network.send(a, envelope)?;
//! let mut reached = Vec::new();
//! network.run_for(Duration::from_secs(1), |happened| reached.extend(happened.envelope().map(|_| happened.node)));
//! assert_eq!(reached, [a, b, c]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Store`]: statuskit_core::secure::Store

#![deny(unsafe_code)]

mod clock;
pub mod messengers;
pub mod network;
pub mod sessions;
mod world;

pub use clock::ServiceClock;
pub use world::{START, World, key};

/// Returns how often a long test repeats: `nightly` times where `STATUSKIT_NIGHTLY` is set, as by
/// `.ci/nightly`, else `usual` times.
pub fn rounds(usual: u32, nightly: u32) -> u32 {
    if std::env::var_os("STATUSKIT_NIGHTLY").is_some() { nightly } else { usual }
}

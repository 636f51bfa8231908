//! A clock for services, whose waits are real.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use statuskit_net::node::Clock;

/// A clock that runs in real time and can be moved forward. Clones share the time.
#[derive(Debug, Clone)]
pub struct ServiceClock {
    start: Duration,
    began: Instant,
    moved_secs: Arc<AtomicU64>,
}

impl ServiceClock {
    /// Starts at a UNIX time.
    pub fn starting_at(start: Duration) -> Self {
        Self { start, began: Instant::now(), moved_secs: Arc::default() }
    }

    /// Returns the clock for the configuration of a service.
    pub fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::from_fn(move || {
            let moved = Duration::from_secs(this.moved_secs.load(Ordering::SeqCst));
            this.start + moved + this.began.elapsed()
        })
    }

    /// Moves the clock forward.
    pub fn forward(&self, seconds: u64) {
        self.moved_secs.fetch_add(seconds, Ordering::SeqCst);
    }
}

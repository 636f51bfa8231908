//! Seed, clock and randomness.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::ChaCha20Rng};
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    envelope::{Envelope, Topic},
    time::{UnixMillis, UnixSeconds},
};

/// When worlds start: 29 March 2020, as UNIX time.
pub const START: Duration = Duration::from_secs(1_585_500_000);

/// What a run depends on: a seed, a virtual clock, and named streams of randomness.
#[derive(Debug)]
pub struct World {
    seed: String,
    now: Duration,
    streams: BTreeMap<String, ChaCha20Rng>,
}

impl World {
    /// Creates a world at [`START`].
    pub fn new(seed: &str) -> Self {
        Self { seed: seed.to_owned(), now: START, streams: BTreeMap::new() }
    }

    /// Returns a world with the same time, whose streams are new ones of this name.
    #[must_use]
    pub fn branch(&self, name: &str) -> Self {
        Self { now: self.now, ..Self::new(&format!("{}, {name}", self.seed)) }
    }

    /// Returns the UNIX time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the UNIX time in seconds.
    pub fn now_secs(&self) -> UnixSeconds {
        UnixSeconds::from_since_epoch(self.now)
    }

    /// Returns the UNIX time in milliseconds.
    pub fn now_ms(&self) -> UnixMillis {
        UnixMillis::from_since_epoch(self.now)
    }

    /// Moves the clock forward.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Returns a stream of randomness. Draws from one stream do not change the others.
    pub fn rng(&mut self, stream: &str) -> &mut ChaCha20Rng {
        self.streams
            .entry(stream.to_owned())
            .or_insert_with_key(|stream| seeded_rng(&format!("{stream}\n{}", self.seed)))
    }

    /// Returns a generator seeded from a stream, for use while the world is borrowed.
    pub fn fork(&mut self, stream: &str) -> ChaCha20Rng {
        ChaCha20Rng::from_rng(self.rng(stream))
    }

    /// Returns a number below `bound` from a stream.
    pub fn below(&mut self, stream: &str, bound: usize) -> usize {
        ((u128::from(self.rng(stream).next_u64()) * bound as u128) >> 64) as usize
    }

    /// Creates a unique envelope that is sent now and expires after `ttl` seconds.
    pub fn envelope(&mut self, ttl: u32, data: &[u8]) -> Envelope {
        let nonce = self.rng("envelopes").next_u64();
        Envelope::new(self.now_secs().wrapping_add(ttl), ttl, Topic([1, 2, 3, 4]), data, nonce)
    }
}

/// Returns the secret key of a name: the same in every world.
pub fn key(name: &str) -> SecretKey {
    SecretKey::generate(&mut seeded_rng(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_independent() {
        let draw = |world: &mut World, stream: &str| world.rng(stream).next_u64();
        let (mut one, mut two) = (World::new("seed"), World::new("seed"));
        let first = [draw(&mut one, "a"), draw(&mut one, "a"), draw(&mut one, "b")];
        let second = [draw(&mut two, "b"), draw(&mut two, "a"), draw(&mut two, "a")];
        assert_eq!(first, [second[1], second[2], second[0]]);
        assert_ne!(draw(&mut World::new("other"), "a"), first[0]);
    }
}

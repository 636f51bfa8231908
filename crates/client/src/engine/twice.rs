//! Envelopes that come in both networks of a node: each is taken once.

use std::collections::HashMap;

use statuskit_core::{envelope::EnvelopeHash, time::UnixSeconds};
use statuskit_net::node::PooledEnvelope;

/// How many are remembered before those that have expired are forgotten.
const FEW: usize = 1024;

/// The envelopes that came, until they expire: as many as the node's pools hold.
#[derive(Debug)]
pub(super) struct Twice {
    /// `None` for a node of one network, whose pool takes each envelope once.
    seen: Option<HashMap<EnvelopeHash, UnixSeconds>>,
    sweep_at: usize,
}

impl Twice {
    pub fn new(networks: usize) -> Self {
        Self { seen: (networks > 1).then(HashMap::new), sweep_at: FEW }
    }

    /// Returns whether an envelope comes for the first time.
    pub fn is_first(&mut self, envelope: &PooledEnvelope, now: UnixSeconds) -> bool {
        let Some(seen) = &mut self.seen else { return true };
        if seen.len() >= self.sweep_at {
            seen.retain(|_, expiry| *expiry >= now);
            self.sweep_at = 2 * seen.len() + FEW;
        }
        seen.insert(envelope.hash(), envelope.envelope().expiry()).is_none()
    }
}

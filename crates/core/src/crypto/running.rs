//! Keccak-256 that goes on: absorb, look at the digest, absorb more.
//!
//! The MACs of RLPx frames are digests of everything sent so far in one direction, so the
//! state lives as long as the connection and is read twice per frame.

use std::fmt;

use sha3::{Digest, Keccak256};

/// A Keccak-256 state that can tell its digest at any time without being finished.
#[derive(Clone, Default)]
pub struct RunningKeccak(Keccak256);

impl RunningKeccak {
    /// The state that has absorbed nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Absorbs `data` after everything absorbed before.
    pub fn absorb(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Keccak-256 of everything absorbed so far; the state stays as it is.
    pub fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// The state is as good as a key: it is not shown.
impl fmt::Debug for RunningKeccak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunningKeccak(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keccak256;

    #[test]
    fn digest_does_not_disturb_the_state() {
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut running = RunningKeccak::new();
        assert_eq!(running.digest(), keccak256(&[]));
        let mut done = 0;
        for step in [1, 7, 135, 136, 137, 200] {
            running.absorb(&data[done..done + step]);
            done += step;
            assert_eq!(running.digest(), keccak256(&data[..done]));
            assert_eq!(running.digest(), keccak256(&data[..done]));
        }
        assert_eq!(format!("{running:?}"), "RunningKeccak(…)");
    }
}

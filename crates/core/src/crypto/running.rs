//! Running Keccak-256: absorb, read the digest, absorb more.
//!
//! The MACs of RLPx frames are digests of everything sent so far in one direction. The state lives
//! as long as the connection and is read twice per frame.

use std::fmt;

use sha3::{Digest, Keccak256};

/// A Keccak-256 state whose digest can be read at any time.
#[derive(Clone, Default)]
pub struct RunningKeccak(Keccak256);

impl RunningKeccak {
    /// Starts with nothing absorbed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Absorbs `data`.
    pub fn absorb(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Returns Keccak-256 of everything absorbed so far. The state does not change.
    pub fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// The state is as secret as a key, so it is not shown.
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
    fn reading_the_digest_keeps_the_state() {
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

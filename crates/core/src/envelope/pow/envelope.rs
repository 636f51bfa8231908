//! Mining an envelope to a target, as peers compute its proof of work.

use crate::envelope::{
    Envelope,
    pow::{MineOptions, MineResult, TargetError, mine, target_bits},
};

/// How mining an envelope ended.
#[derive(Debug, Clone)]
pub struct MinedEnvelope {
    /// The envelope with the nonce found, or the best one so far.
    pub envelope: Envelope,
    /// Its zero bits.
    pub bits: u32,
    /// The number of nonces tried.
    pub tried: u64,
    /// Whether it reached the target.
    pub reached: bool,
}

/// Finds the lowest nonce with which the envelope has a proof of work of `target`.
///
/// A target of 0 takes nonce 0. A negative target works until it is stopped and keeps the best
/// nonce: then that counts as reached.
///
/// # Errors
/// If no hash can reach the target.
pub fn mine_envelope(
    envelope: &Envelope,
    target: f64,
    options: &MineOptions<'_>,
) -> Result<MinedEnvelope, TargetError> {
    if target == 0.0 {
        let envelope = envelope.with_nonce(0);
        let bits = envelope.leading_zero_bits();
        return Ok(MinedEnvelope { envelope, bits, tried: 0, reached: true });
    }
    let mut bits = if target < 0.0 {
        u32::MAX
    } else {
        target_bits(target, envelope.data().len(), envelope.ttl())?
    };
    let (mut start, mut tried) = (options.start, 0);
    let rlp4 = envelope.rlp4();
    loop {
        let result = mine(&rlp4, bits, &MineOptions { start, ..*options });
        let (nonce, found_bits, reached) = match result {
            MineResult::Found { nonce, bits, tried: more } => {
                tried += more;
                (nonce, bits, true)
            }
            MineResult::Stopped { best_nonce, best_bits, tried: more } => {
                tried += more;
                (best_nonce, best_bits, target < 0.0)
            }
        };
        let mined = envelope.with_nonce(nonce);
        // The sender's formula and the peers' differ by a little in rare cases (see
        // `target_bits`): then one bit more is needed.
        if reached && target > 0.0 && mined.pow(0) < target {
            (bits, start) = (bits + 1, nonce);
            continue;
        }
        return Ok(MinedEnvelope { envelope: mined, bits: found_bits, tried, reached });
    }
}

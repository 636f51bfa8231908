//! The formulas of proof of work.

use thiserror::Error;

use crate::crypto::keccak::{Parts, keccak256_parts};

/// Bytes that the sender's formula adds to the length of the data: expiry, TTL, topic and nonce at
/// full width.
const FIXED_FIELDS: f64 = 20.0;

/// Why a target has no number of bits.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// The target is a NaN.
    #[error("the target of the proof of work is not a number")]
    NotANumber,
    /// A target below zero means another mode: [`mine_best`](super::mine_best).
    #[error("the target of the proof of work is {target}: below zero there are no bits to reach")]
    Negative { target: f64 },
    /// The target needs more zero bits than a hash has. `data_len` is in bytes, `ttl` in seconds.
    #[error(
        "a proof of work of {target} with {data_len} bytes of data and a TTL of {ttl} s takes more \
         zero bits than a hash has (256)"
    )]
    Unreachable { target: f64, data_len: usize, ttl: u32 },
}

/// Computes the proof of work as a receiver does: `2^leading_zeros / rlp4_len / ttl_plus_diff`.
///
/// - `leading_zeros`: the leading zero bits of the hash (0 to 256; more count as 256).
/// - `rlp4_len`: the length of the RLP list of the first four fields, in bytes.
/// - `ttl_plus_diff`: the TTL in seconds, plus the allowance for envelopes from the future (modulo
///   2^32). With 0, the result is infinite.
pub fn pow_value(leading_zeros: u32, rlp4_len: usize, ttl_plus_diff: u32) -> f64 {
    power_of_two(leading_zeros) / rlp4_len as f64 / f64::from(ttl_plus_diff)
}

/// Returns the zero bits that a sender needs for a proof of work of at least `target`:
/// `ceil(log2(target * (20 + data_len) * ttl))`, but at least 1.
///
/// `target` is in EIP-627's unit, `data_len` in bytes, `ttl` in seconds. A target or TTL of 0 gives
/// 1, although a sender with a target of 0 does not search at all.
///
/// # Errors
///
/// If the target is negative or a NaN, or needs more than 256 bits.
pub fn target_bits(target: f64, data_len: usize, ttl: u32) -> Result<u32, TargetError> {
    if target.is_nan() {
        return Err(TargetError::NotANumber);
    }
    if target < 0.0 {
        return Err(TargetError::Negative { target });
    }
    // An infinite target with a TTL of 0 gives a NaN here.
    let bits = (target * (FIXED_FIELDS + data_len as f64) * f64::from(ttl)).log2().ceil();
    if bits.is_nan() || bits > 256.0 {
        return Err(TargetError::Unreachable { target, data_len, ttl });
    }
    Ok(bits.max(1.0) as u32)
}

/// Returns the leading zero bits of the hash (0 to 256).
pub fn leading_zero_bits(hash: &[u8; 32]) -> u32 {
    let zero_bytes = hash.iter().take_while(|&&byte| byte == 0).count();
    let in_next = hash.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    8 * zero_bytes as u32 + in_next
}

/// Returns the hash whose leading zero bits count: `keccak256(rlp4 || nonce)`.
pub fn pow_hash(rlp4: &[u8], nonce: u64) -> [u8; 32] {
    keccak256_parts(Parts(rlp4, &nonce.to_be_bytes(), &[]))
}

/// Returns 2 to the power of `exponent`, at most 256. The result is exact.
fn power_of_two(exponent: u32) -> f64 {
    f64::from_bits(u64::from(1023 + exponent.min(256)) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two() {
        for exponent in 0..=256 {
            assert_eq!(power_of_two(exponent), 2_f64.powi(exponent as i32));
        }
        assert_eq!(power_of_two(u32::MAX), 2_f64.powi(256));
    }

    #[test]
    fn values_of_receivers() {
        assert_eq!(pow_value(0, 13, 1).to_bits(), 0x3fb3_b13b_13b1_3b14);
        assert_eq!(pow_value(11, 15, 50).to_bits(), 0x4005_d867_c3ec_e2a5);
        assert_eq!(pow_value(1, 53, 0), f64::INFINITY);
        assert!(pow_value(256, 1, 1).is_finite());
    }

    #[test]
    fn bits_of_targets() {
        assert_eq!(target_bits(0.002, 300, 12), Ok(3));
        assert_eq!(target_bits(20.0, 30, 68), Ok(17));
        assert_eq!(target_bits(1e-7, 0, 1), Ok(1));
        // Exact powers of two are not rounded up.
        assert_eq!(target_bits(1.0, 12, 32), Ok(10));
        assert_eq!(target_bits(1.0, 13, 32), Ok(11));
    }

    #[test]
    fn odd_targets() {
        assert_eq!(target_bits(0.0, 100, 10), Ok(1));
        assert_eq!(target_bits(-0.0, 100, 10), Ok(1));
        assert_eq!(target_bits(1.0, 100, 0), Ok(1));
        assert_eq!(target_bits(f64::NAN, 100, 10), Err(TargetError::NotANumber));
        assert_eq!(target_bits(-1.0, 100, 10), Err(TargetError::Negative { target: -1.0 }));
        let infinite = f64::NEG_INFINITY;
        assert_eq!(target_bits(infinite, 0, 1), Err(TargetError::Negative { target: infinite }));
        for ttl in [0, 1] {
            let error = target_bits(f64::INFINITY, 5, ttl);
            assert_eq!(
                error,
                Err(TargetError::Unreachable { target: f64::INFINITY, data_len: 5, ttl })
            );
        }
        assert!(target_bits(1e300, 5, 1).is_err());
        assert_eq!(target_bits(f64::MIN_POSITIVE, usize::MAX, u32::MAX), Ok(1));
    }

    #[test]
    fn leading_zeros() {
        assert_eq!(leading_zero_bits(&[0; 32]), 256);
        assert_eq!(leading_zero_bits(&[0xff; 32]), 0);
        for bit in 0..256 {
            let mut hash = [0; 32];
            hash[bit / 8] = 0x80 >> (bit % 8);
            assert_eq!(leading_zero_bits(&hash), bit as u32);
            hash[31] |= 1;
            assert_eq!(leading_zero_bits(&hash), bit as u32);
        }
    }
}

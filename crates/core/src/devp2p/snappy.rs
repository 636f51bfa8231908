//! Compression of message payloads: raw snappy blocks, without the framing format.
//!
//! A block begins with its decompressed length. This is compared with the caller's limit, and with
//! the most that the block can expand to, before anything is allocated.
//!
//! Source: EIP-706; snappy `format_description.txt`.

use snap::raw::{Decoder, Encoder, decompress_len};

use crate::explain::Explanation;

/// The largest payload, compressed or not, in bytes.
pub const MAX_LENGTH: usize = 0xff_ffff;

/// Why a payload could not be compressed or decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnappyError {
    /// The payload is longer than allowed.
    #[error("the uncompressed payload has {}; at most {max} are allowed", crate::text::count(.got, "byte"))]
    TooLarge { got: usize, max: usize },
    /// The payload is not a snappy block, or its elements do not have the announced length.
    #[error("the payload ({}) is not a snappy block", crate::text::count(.0, "byte"))]
    Corrupt(usize),
}

impl SnappyError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "rlpx.snappy_size",
            Self::Corrupt(_) => "rlpx.snappy",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rlpx.snappy",
            rule: "From version 5 of the base protocol, payloads are snappy blocks.",
            source: "EIP-706",
            causes: "A peer that announces 5 and does not compress.",
        },
        Explanation {
            code: "rlpx.snappy_size",
            rule: "The uncompressed length, which precedes a snappy block, is bounded.",
            source: "EIP-706",
            causes: "A hostile peer, or a message above the limit.",
        },
    ];
}

/// Compresses a payload.
///
/// The result differs between implementations and versions. Only decompression is exact.
///
/// # Errors
///
/// If the payload is longer than [`MAX_LENGTH`].
pub fn compress(payload: &[u8]) -> Result<Vec<u8>, SnappyError> {
    let too_large = SnappyError::TooLarge { got: payload.len(), max: MAX_LENGTH };
    if payload.len() > MAX_LENGTH {
        return Err(too_large);
    }
    Encoder::new().compress_vec(payload).map_err(|_| too_large)
}

/// Decompresses a block to at most `max` bytes, and never more than [`MAX_LENGTH`].
///
/// # Errors
///
/// If the payload is longer, or the block is malformed.
pub fn decompress(block: &[u8], max: usize) -> Result<Vec<u8>, SnappyError> {
    let corrupt = SnappyError::Corrupt(block.len());
    let max = max.min(MAX_LENGTH);
    // The library accepts no bytes as an empty block, but a block has at least its length.
    if block.is_empty() {
        return Err(corrupt);
    }
    let length = decompress_len(block).map_err(|_| corrupt)?;
    if length > max {
        return Err(SnappyError::TooLarge { got: length, max });
    }
    // No element yields more than 64 bytes from 3.
    if length / 22 > block.len() {
        return Err(corrupt);
    }
    let mut payload = vec![0; length];
    match Decoder::new().decompress(block, &mut payload) {
        Ok(written) if written == length => Ok(payload),
        _ => Err(corrupt),
    }
}

/// Returns the most bytes that a compressor makes of `length` bytes.
///
/// A receiver that accepts payloads of `length` bytes must be able to read this many.
pub const fn max_compressed(length: usize) -> usize {
    32 + length + length / 6
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_checked_before_the_content() {
        // A length of 16 MiB in four bytes, with nothing after it.
        assert_eq!(
            decompress(&[0x80, 0x80, 0x80, 0x08], MAX_LENGTH),
            Err(SnappyError::TooLarge { got: 0x100_0000, max: MAX_LENGTH })
        );
        assert_eq!(
            decompress(&[0xff, 0xff, 0xff, 0x07], MAX_LENGTH),
            Err(SnappyError::Corrupt(4)),
            "below the limit, but nothing expands like that"
        );
        assert_eq!(decompress(&[], 10), Err(SnappyError::Corrupt(0)));
        assert_eq!(decompress(&[0], 0), Ok(vec![]));
        let block = compress(&[7; 100]).unwrap();
        assert_eq!(decompress(&block, 99), Err(SnappyError::TooLarge { got: 100, max: 99 }));
        assert!(compress(&vec![0; MAX_LENGTH + 1]).is_err());
        assert_eq!(
            decompress(&compress(&vec![0; MAX_LENGTH]).unwrap(), MAX_LENGTH).unwrap().len(),
            MAX_LENGTH
        );
    }

    proptest! {
        #[test]
        fn round_trip(payload in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let block = compress(&payload).unwrap();
            prop_assert!(block.len() <= max_compressed(payload.len()));
            prop_assert_eq!(decompress(&block, payload.len()).unwrap(), payload);
        }

        #[test]
        fn any_bytes(block in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(payload) = decompress(&block, 5000) {
                prop_assert!(payload.len() <= 5000);
            }
        }
    }
}

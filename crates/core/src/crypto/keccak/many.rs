//! Hashes many messages side by side. A lane that finishes a message starts the next one.

use super::{Kernel, Lanes, rounds::RATE};

/// One message in three parts, hashed as their concatenation. Unused parts are empty.
///
/// Three parts hash an envelope for its proof of work without a copy: the header of the shorter
/// list, the bytes of the four fields, and the eight bytes of the nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a>(pub &'a [u8], pub &'a [u8], pub &'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn slices(self) -> [&'a [u8]; 3] {
        [self.0, self.1, self.2]
    }
}

impl<'a> From<&'a [u8]> for Parts<'a> {
    fn from(whole: &'a [u8]) -> Self {
        Self(whole, &[], &[])
    }
}

/// Hashes every input.
pub(super) fn hash_all<const L: usize>(
    kernel: impl Kernel<L>,
    inputs: &[Parts<'_>],
) -> Vec<[u8; 32]> {
    let mut hashes = vec![[0; 32]; inputs.len()];
    let mut waiting = inputs.iter().zip(&mut hashes);
    let mut at_work: [Option<(Reader<'_>, &mut [u8; 32])>; L] = [const { None }; L];
    let mut state = Lanes([[0; L]; 25]);
    let mut blocks = [[0; RATE]; L];
    loop {
        let mut keep = [!0; L];
        let mut busy = false;
        for (lane, slot) in at_work.iter_mut().enumerate() {
            if slot.is_none() {
                *slot = waiting.next().map(|(&input, hash)| (Reader::new(input), hash));
                keep[lane] = 0;
            }
            if let Some((reader, _)) = slot {
                reader.next_block(&mut blocks[lane]);
                busy = true;
            }
        }
        if !busy {
            return hashes;
        }
        kernel.absorb(&mut state, &keep, &blocks);
        for (lane, slot) in at_work.iter_mut().enumerate() {
            if let Some((_, hash)) = slot.take_if(|(reader, _)| reader.done) {
                for (bytes, word) in hash.chunks_exact_mut(8).zip(&state.0) {
                    bytes.copy_from_slice(&word[lane].to_le_bytes());
                }
            }
        }
    }
}

/// Splits a message into padded blocks.
struct Reader<'a> {
    left: [&'a [u8]; 3],
    done: bool,
}

impl<'a> Reader<'a> {
    fn new(input: Parts<'a>) -> Self {
        Self { left: input.slices(), done: false }
    }

    /// Writes the next block. The block that ends the padding is the last.
    fn next_block(&mut self, block: &mut [u8; RATE]) {
        while self.left[0].is_empty() && !self.left[1].is_empty() {
            self.left = [self.left[1], self.left[2], &[]];
        }
        // Most blocks lie within one part, and a copy of a fixed size is much faster.
        if let Some((whole, rest)) = self.left[0].split_first_chunk() {
            *block = *whole;
            self.left[0] = rest;
            return;
        }
        let mut filled = 0;
        for part in &mut self.left {
            let (now, later) = part.split_at(part.len().min(RATE - filled));
            block[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            *part = later;
        }
        if filled < RATE {
            block[filled..].fill(0);
            block[filled] = 0x01;
            block[RATE - 1] |= 0x80;
            self.done = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Backend, keccak256, keccak256_many, keccak256_many_parts};
    use super::*;
    use rand::rngs::ChaCha20Rng;
    use rand::{Rng, RngExt, SeedableRng};

    fn check(inputs: &[&[u8]]) {
        let expected: Vec<[u8; 32]> = inputs.iter().map(|input| keccak256(input)).collect();
        for backend in Backend::available() {
            assert!(backend.keccak256_many(inputs) == expected, "{}", backend.name());
        }
        assert_eq!(keccak256_many(inputs), expected);
    }

    #[test]
    fn every_length_equals_the_single_hash() {
        let mut data = [0; 600];
        ChaCha20Rng::seed_from_u64(1).fill_bytes(&mut data);
        let inputs: Vec<&[u8]> = (0..=600).map(|len| &data[..len]).collect();
        check(&inputs);
        for count in 0..20 {
            check(&inputs[300..300 + count]);
        }
    }

    #[test]
    fn lengths_in_any_order() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut data = vec![0; 20_000];
        rng.fill_bytes(&mut data);
        for _ in 0..20 {
            let inputs: Vec<&[u8]> = (0..rng.random_range(0..60))
                .map(|_| {
                    let longest = if rng.random_ratio(1, 20) { 20_000 } else { 500 };
                    &data[..rng.random_range(0..longest)]
                })
                .collect();
            check(&inputs);
        }
    }

    #[test]
    fn parts_are_concatenated() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let mut data = [0; 700];
        rng.fill_bytes(&mut data);
        for _ in 0..50 {
            let mut inputs = Vec::new();
            let mut expected = Vec::new();
            for _ in 0..13 {
                let mut cuts = [(); 4].map(|()| rng.random_range(0..=700));
                cuts.sort_unstable();
                let [a, b, c, d] = cuts;
                inputs.push(Parts(&data[a..b], &data[b..c], &data[c..d]));
                expected.push(keccak256(&data[a..d]));
            }
            for backend in Backend::available() {
                assert!(backend.keccak256_many_parts(&inputs) == expected, "{}", backend.name());
            }
            assert_eq!(keccak256_many_parts(&inputs), expected);
        }
    }
}

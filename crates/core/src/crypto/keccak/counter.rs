//! The hash of a fixed prefix and a counter (eight bytes, big-endian), for many counters.
//!
//! Counters are tried in rows of 256, which differ in their last byte only. Everything before that
//! byte is absorbed once: the prefix for all rows, and the counter's bytes in the first of two
//! blocks for as long as they stay the same. One permutation per counter is left. If the counter
//! ends exactly with a block (prefix length 128 modulo 136), the padding takes another block after
//! the byte that differs, and two permutations are left.
//!
//! The counters of a row share the linear half of the first round. The last round is computed only
//! for the first eight bytes of the hash.

use super::{
    Backend, Kernel, Kind, Row,
    portable::{linear_half, permute},
    rounds::{RATE, ROT, pi},
    with_kernel, word_at,
};

/// The counter's length, in bytes.
const COUNTER: usize = 8;

/// Keccak-256 of `prefix || counter`, with the work that all counters share already done.
#[derive(Clone, Debug)]
pub(crate) struct CounterHash {
    /// The state after the whole blocks of the prefix.
    state: [u64; 25],
    /// The rest of the prefix.
    tail: [u8; RATE],
    /// The length of the rest, less than a block.
    tail_len: usize,
}

impl CounterHash {
    pub(crate) fn new(prefix: &[u8]) -> Self {
        let (blocks, rest) = prefix.as_chunks();
        let mut state = [0; 25];
        for block in blocks {
            mix_in(&mut state, block);
            permute(&mut state);
        }
        let mut tail = [0; RATE];
        tail[..rest.len()].copy_from_slice(rest);
        Self { state, tail, tail_len: rest.len() }
    }

    /// Computes the hash for one counter.
    pub(crate) fn hash(&self, counter: u64) -> [u8; 32] {
        let mut state = self.state;
        let (blocks, count) = self.last_blocks(counter);
        for block in blocks.iter().take(count) {
            mix_in(&mut state, block);
            permute(&mut state);
        }
        let mut hash = [0; 32];
        for (bytes, word) in hash.chunks_exact_mut(8).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }

    /// Returns the end of the message with its padding, and its length of one or two blocks.
    fn last_blocks(&self, counter: u64) -> ([[u8; RATE]; 2], usize) {
        let mut blocks = [[0; RATE]; 2];
        let bytes = blocks.as_flattened_mut();
        let len = self.tail_len + COUNTER;
        let count = len / RATE + 1;
        bytes[..RATE].copy_from_slice(&self.tail);
        bytes[self.tail_len..len].copy_from_slice(&counter.to_be_bytes());
        bytes[len] = 0x01;
        bytes[count * RATE - 1] |= 0x80;
        (blocks, count)
    }
}

/// A search through the counters. It keeps the work that the next counters share with the last.
pub(crate) struct Scan<'a> {
    hash: &'a CounterHash,
    backend: Backend,
    /// The row with the number `number`.
    row: Row,
    number: Option<u64>,
    /// The state after the first of two blocks, and the counter's bytes in that block.
    straddled: Option<(u64, [u64; 25])>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(hash: &'a CounterHash, backend: Backend) -> Self {
        let last_byte = hash.tail_len + COUNTER - 1;
        let row = Row {
            linear: [0; 25],
            taps: taps(last_byte % RATE),
            padding_apart: last_byte == RATE - 1,
        };
        Self { hash, backend, row, number: None, straddled: None }
    }

    /// Finds the lowest counter in `first..=last` whose hash begins with `zero_bits` zero bits.
    ///
    /// Only the first 64 bits are tested.
    pub(crate) fn find(&mut self, first: u64, last: u64, zero_bits: u32) -> Option<u64> {
        let backend = self.backend;
        with_kernel!(backend, kernel => self.find_with(kernel, first, last, zero_bits))
    }

    fn find_with<const L: usize>(
        &mut self,
        kernel: impl Kernel<L>,
        first: u64,
        last: u64,
        zero_bits: u32,
    ) -> Option<u64> {
        // The first eight bytes of the hash are read as a little-endian word.
        let mask = u64::MAX.checked_shl(64 - zero_bits.min(64)).unwrap_or(0).swap_bytes();
        for number in first >> 8..=last >> 8 {
            self.enter(number);
            let start = number << 8;
            let mut from = first.saturating_sub(start) as u32;
            while let Some(hits) = kernel.sweep(&self.row, from, mask) {
                let in_range = (0..L as u32)
                    .filter(|lane| hits.lanes >> lane & 1 == 1)
                    .map(|lane| start + u64::from(hits.batch + lane))
                    .find(|&counter| counter >= first);
                match in_range {
                    Some(counter) => return (counter <= last).then_some(counter),
                    None => from = hits.batch + L as u32,
                }
            }
        }
        None
    }

    /// Prepares the row of the counters `number * 256 + (0..256)`.
    fn enter(&mut self, number: u64) {
        if self.number == Some(number) {
            return;
        }
        let hash = self.hash;
        let ([block, next], _) = hash.last_blocks(number << 8);
        let last_byte = hash.tail_len + COUNTER - 1;
        let mut state;
        if last_byte < RATE {
            state = hash.state;
            mix_in(&mut state, &block);
        } else {
            let in_first_block = number >> (8 * (last_byte - RATE));
            state = match self.straddled {
                Some((bytes, state)) if bytes == in_first_block => state,
                _ => {
                    state = hash.state;
                    mix_in(&mut state, &block);
                    permute(&mut state);
                    self.straddled = Some((in_first_block, state));
                    state
                }
            };
            mix_in(&mut state, &next);
        }
        self.row.linear = linear_half(&state);
        self.number = Some(number);
    }
}

/// Returns the words that a byte of the block reaches in the linear half of a round, and its
/// rotation to the left in each.
///
/// theta leaves the byte in place, adds its column's parity to the column on the right, and adds
/// that parity rotated by one to the column on the left. rho and pi rotate and move these eleven
/// words.
fn taps(byte: usize) -> [(usize, u32); 11] {
    let shift = 8 * (byte % 8) as u32;
    let word = byte / 8;
    let (right, left) = ((word + 1) % 5, (word + 4) % 5);
    let mut taps = [(0, 0); 11];
    for (tap, (from, rotation)) in taps.iter_mut().zip(
        [(word, 0)]
            .into_iter()
            .chain((0..5).map(|y| (right + 5 * y, 0)))
            .chain((0..5).map(|y| (left + 5 * y, 1))),
    ) {
        let to = pi(from);
        *tap = (to, (shift + rotation + ROT[to].unsigned_abs()) % 64);
    }
    taps
}

/// Adds a block to the state by exclusive or.
fn mix_in(state: &mut [u64; 25], block: &[u8; RATE]) {
    for (i, word) in state.iter_mut().take(RATE / 8).enumerate() {
        *word ^= word_at(block, i);
    }
}

#[cfg(test)]
mod tests {
    use super::super::keccak256;
    use super::*;

    #[test]
    fn hash_of_every_prefix_length() {
        for len in 0..300_usize {
            let mut message: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let hash = CounterHash::new(&message);
            let counter = 0x0123_4567_89ab_cdef_u64.rotate_left(len as u32);
            message.extend(counter.to_be_bytes());
            assert_eq!(hash.hash(counter), keccak256(&message), "length {len}");
        }
    }

    /// Every counter of a few rows, for each place of the counter's last byte in the block.
    #[test]
    fn find_equals_a_plain_search() {
        for len in 100..280_usize {
            let prefix = vec![len as u8; len];
            let hash = CounterHash::new(&prefix);
            let edges = [0xfd, 0xfff3, 0xff_fff9, 0xffff_fffe, 0xff_ffff_ffff_fffd, u64::MAX - 30];
            for first in [0, edges[len % edges.len()]] {
                let last = first + 30;
                let hits: Vec<u64> =
                    (first..=last).filter(|&counter| hash.hash(counter)[0] >> 3 == 0).collect();
                for backend in Backend::available() {
                    let mut scan = Scan::new(&hash, backend);
                    let mut found = Vec::new();
                    let mut next = Some(first);
                    while let Some(hit) = next.and_then(|from| scan.find(from, last, 5)) {
                        found.push(hit);
                        next = hit.checked_add(1).filter(|&it| it <= last);
                    }
                    assert_eq!(found, hits, "length {len}, from {first:#x}, {}", backend.name());
                }
            }
        }
    }
}

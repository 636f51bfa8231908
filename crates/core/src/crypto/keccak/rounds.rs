//! The round function of `Keccak-f[1600]`, written once for all word types.
//!
//! The state is 25 words. Word `x + 5 * y` is the lane at column `x` and row `y`. A word is a
//! `u64`, or a vector that holds the same lane of several independent states.

/// Bytes absorbed per block by Keccak-256.
pub(crate) const RATE: usize = 136;
/// 64-bit words absorbed per block.
pub(super) const RATE_WORDS: usize = RATE / 8;

/// The constants of the step iota.
pub(super) const RC: [u64; 24] = round_constants();

/// The source of each word of the result of the step pi.
pub(super) const SRC: [usize; 25] = pi_sources();

/// The rotation of each word in the step rho, indexed by its place after pi.
pub(super) const ROT: [i32; 25] = rho_rotations();

/// `(x + 1) mod 5`, as a table.
pub(super) const NEXT: [usize; 5] = [1, 2, 3, 4, 0];
/// `(x + 4) mod 5`, as a table.
pub(super) const PREV: [usize; 5] = [4, 0, 1, 2, 3];

/// Writes the permutation and its kernels for one backend.
///
/// The calling module must define `Word`, `WIDTH`, and the functions `splat`, `load`, `store`,
/// `xor`, `xor3`, `xor5`, `and`, `chi(a, b, c) = a ^ (!b & c)`, `rotate::<LEFT, RIGHT>` and
/// `zero_lanes(word, mask)`. Bit `i` of the result of `zero_lanes` is set if lane `i` has no bit of
/// the mask. The attributes are put on every function. Rounds are computed by `halves` or by `rows`.
macro_rules! keccak_rounds {
    ($(#[$attribute:meta])* by $order:ident) => {
        use super::rounds::{NEXT, PREV, RATE, RATE_WORDS, RC, ROT, SRC};
        use super::rounds::{moved_words, round_by, rows};
        use super::{Hits, Lanes, Row};

        /// theta, rho and pi: the linear half of a round.
        $(#[$attribute])*
        #[inline]
        fn linear(a: &[Word; 25]) -> [Word; 25] {
            let c = columns(a);
            let r = rotated(&c);
            moved_words!(a, c, r, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
        }

        /// The parities of the five columns.
        $(#[$attribute])*
        #[inline]
        fn columns(a: &[Word; 25]) -> [Word; 5] {
            [
                xor5(a[0], a[5], a[10], a[15], a[20]),
                xor5(a[1], a[6], a[11], a[16], a[21]),
                xor5(a[2], a[7], a[12], a[17], a[22]),
                xor5(a[3], a[8], a[13], a[18], a[23]),
                xor5(a[4], a[9], a[14], a[19], a[24]),
            ]
        }

        $(#[$attribute])*
        #[inline]
        fn rotated(c: &[Word; 5]) -> [Word; 5] {
            [
                rotate::<1, 63>(c[0]),
                rotate::<1, 63>(c[1]),
                rotate::<1, 63>(c[2]),
                rotate::<1, 63>(c[3]),
                rotate::<1, 63>(c[4]),
            ]
        }

        /// chi and iota: the nonlinear half of a round.
        $(#[$attribute])*
        #[inline]
        fn nonlinear(b: &[Word; 25], constant: u64) -> [Word; 25] {
            let mut e = rows!(b, 0 5 10 15 20);
            e[0] = xor(e[0], splat(constant));
            e
        }

        $(#[$attribute])*
        #[inline]
        fn round(a: &[Word; 25], constant: u64) -> [Word; 25] {
            round_by!($order, a, constant)
        }

        /// Runs one round per constant.
        $(#[$attribute])*
        #[inline]
        fn rounds(a: &mut [Word; 25], constants: &[u64]) {
            // Forces one word into memory, so that the compiler aligns the stack frame for words.
            // It does not do this for spilled words. Half of those would lie across two cache
            // lines, which is 40 % slower with AVX2.
            let _ = std::hint::black_box(splat(0));
            // Two at a time, so that the result of a round need not be moved to the input of the
            // next.
            let (pairs, rest) = constants.as_chunks::<2>();
            for &[one, two] in pairs {
                *a = round(&round(a, one), two);
            }
            for &constant in rest {
                *a = round(a, constant);
            }
        }

        /// Returns word 0 of the state after round 24. It depends on three words of the linear
        /// half only.
        $(#[$attribute])*
        #[inline]
        fn last_round(a: &[Word; 25]) -> Word {
            let b = linear(a);
            xor(chi(b[0], b[1], b[2]), splat(RC[23]))
        }

        /// Clears the lanes that `keep` masks out, absorbs one block into each lane, permutes.
        $(#[$attribute])*
        fn absorb(state: &mut Lanes<WIDTH>, keep: &[u64; WIDTH], blocks: &[[u8; RATE]; WIDTH]) {
            let keep = load(keep);
            let mut a = [splat(0); 25];
            for (word, lanes) in a.iter_mut().zip(&state.0) {
                *word = and(load(lanes), keep);
            }
            for (i, word) in a.iter_mut().take(RATE_WORDS).enumerate() {
                *word = xor(*word, word_of_blocks(blocks, i));
            }
            rounds(&mut a, &RC);
            for (word, lanes) in a.iter().zip(&mut state.0) {
                store(*word, lanes);
            }
        }

        /// Word `i` of every block.
        $(#[$attribute])*
        #[inline]
        fn word_of_blocks(blocks: &[[u8; RATE]; WIDTH], i: usize) -> Word {
            let mut lanes = [0; WIDTH];
            for (lane, block) in lanes.iter_mut().zip(blocks) {
                *lane = super::word_at(block, i);
            }
            load(&lanes)
        }

        /// See [`super::Kernel::sweep`].
        $(#[$attribute])*
        fn sweep(row: &Row, from: u32, mask: u64) -> Option<Hits> {
            // The states after the linear half of round 1, for the counters of one batch. From one
            // batch to the next, only the words that the counter's byte reaches change, each by a
            // constant.
            let mut first = [splat(0); 25];
            for (word, &value) in first.iter_mut().zip(&row.linear) {
                *word = splat(value);
            }
            let mut batch = from - from % WIDTH as u32;
            for &(word, rotation) in &row.taps {
                let mut lanes = [0; WIDTH];
                for (lane, value) in lanes.iter_mut().zip(u64::from(batch)..) {
                    *lane = value.rotate_left(rotation);
                }
                first[word] = xor(first[word], load(&lanes));
            }
            while batch < 256 {
                let mut a = nonlinear(&first, RC[0]);
                if row.padding_apart {
                    rounds(&mut a, &RC[1..]);
                    a[0] = xor(a[0], splat(super::PAD_FIRST));
                    a[RATE_WORDS - 1] = xor(a[RATE_WORDS - 1], splat(super::PAD_LAST));
                    rounds(&mut a, &RC[..23]);
                } else {
                    rounds(&mut a, &RC[1..23]);
                }
                let lanes = zero_lanes(last_round(&a), mask);
                if lanes != 0 {
                    return Some(Hits { batch, lanes });
                }
                let next = batch + WIDTH as u32;
                let change = u64::from(batch ^ next);
                for &(word, rotation) in &row.taps {
                    first[word] = xor(first[word], splat(change.rotate_left(rotation)));
                }
                batch = next;
            }
            None
        }
    };
}
pub(super) use keccak_rounds;

/// One round in the order that suits the backend.
///
/// By halves, the compiler has most freedom. By rows, few words are live at a time, which is faster
/// with only sixteen vector registers (13 % with AVX2).
macro_rules! round_by {
    (halves, $a:ident, $constant:ident) => {
        nonlinear(&linear($a), $constant)
    };
    (rows, $a:ident, $constant:ident) => {{
        let c = columns($a);
        let r = rotated(&c);
        let mut e = [splat(0); 25];
        round_by!(row, $a, c, r, e, 0 1 2 3 4);
        round_by!(row, $a, c, r, e, 5 6 7 8 9);
        round_by!(row, $a, c, r, e, 10 11 12 13 14);
        round_by!(row, $a, c, r, e, 15 16 17 18 19);
        round_by!(row, $a, c, r, e, 20 21 22 23 24);
        e[0] = xor(e[0], splat($constant));
        e
    }};
    (row, $a:ident, $c:ident, $r:ident, $e:ident, $($i:literal)*) => {
        let b = moved_words!($a, $c, $r, $($i)*);
        [$($e[$i]),*] = rows!(b, 0);
    };
}
pub(super) use round_by;

/// The words after theta, rho and pi. `c` holds the parities of the columns, `r` the same rotated
/// by one.
macro_rules! moved_words {
    ($a:ident, $c:ident, $r:ident, $($i:literal)*) => {
        [$({
            const X: usize = SRC[$i] % 5;
            let word = xor3($a[SRC[$i]], $c[PREV[X]], $r[NEXT[X]]);
            rotate::<{ ROT[$i] }, { 64 - ROT[$i] }>(word)
        }),*]
    };
}
pub(super) use moved_words;

/// chi for the rows that begin with these words.
macro_rules! rows {
    ($b:ident, $($y:literal)*) => {
        [$(
            chi($b[$y], $b[$y + 1], $b[$y + 2]),
            chi($b[$y + 1], $b[$y + 2], $b[$y + 3]),
            chi($b[$y + 2], $b[$y + 3], $b[$y + 4]),
            chi($b[$y + 3], $b[$y + 4], $b[$y]),
            chi($b[$y + 4], $b[$y], $b[$y + 1])
        ),*]
    };
}
pub(super) use rows;

/// Computes the round constants from an 8-bit shift register (x^8 + x^6 + x^5 + x^4 + 1).
///
/// Bit `2^j - 1` of constant `i` is the output of the register at step `j + 7 i`.
const fn round_constants() -> [u64; 24] {
    let mut constants = [0; 24];
    let mut register: u8 = 1;
    let mut i = 0;
    while i < 24 {
        let mut j = 0;
        while j < 7 {
            if register & 1 == 1 {
                constants[i] |= 1 << ((1 << j) - 1);
            }
            let overflow = register >> 7 == 1;
            register = (register << 1) ^ if overflow { 0x71 } else { 0 };
            j += 1;
        }
        i += 1;
    }
    constants
}

/// Computes the inverse of pi.
const fn pi_sources() -> [usize; 25] {
    let mut sources = [0; 25];
    let mut source = 0;
    while source < 25 {
        sources[pi(source)] = source;
        source += 1;
    }
    sources
}

/// Computes the rotations of rho. On a walk from `(1, 0)` along pi, word `t` is rotated by the
/// `t`-th triangular number.
const fn rho_rotations() -> [i32; 25] {
    let mut rotations = [0; 25];
    let mut word = 1;
    let mut t = 1;
    while t <= 24 {
        let to = pi(word);
        rotations[to] = t * (t + 1) / 2 % 64;
        word = to;
        t += 1;
    }
    rotations
}

/// Returns the place to which pi moves a word: from `(x, y)` to `(y, 2x + 3y)`.
pub(super) const fn pi(word: usize) -> usize {
    let (x, y) = (word % 5, word / 5);
    y + 5 * ((2 * x + 3 * y) % 5)
}

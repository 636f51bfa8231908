//! Identicons: pictures of chat keys, 5 by 5 cells in one colour.
//!
//! The input is the *text* `0x04…`. Its MD5 determines the cells (the left half, mirrored) and the
//! hue. PNG encoders compress differently, so compare pixels, not files.

use std::fmt;

use crate::crypto::{self, PublicKey};

const CELLS: usize = Identicon::CELLS;
const SIZE: usize = Identicon::SIZE;
/// Pixels along a cell.
const CELL: usize = 6;
/// Transparent pixels around the cells.
const MARGIN: usize = 10;

/// A picture as cells and one colour.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identicon {
    cells: [[bool; CELLS]; CELLS],
    color: [u8; 3],
    hash: [u8; 16],
}

impl Identicon {
    /// Cells along a side.
    pub const CELLS: usize = 5;
    /// Pixels along a side.
    pub const SIZE: usize = 50;

    /// Returns the picture of a chat key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self::from_text(&key.to_string())
    }

    /// Returns the picture of any text; clients use only `0x04…`.
    pub fn from_text(text: &str) -> Self {
        let hash = crypto::hash::md5(text.as_bytes());
        let mut cells = [[false; CELLS]; CELLS];
        for (row, bytes) in cells.iter_mut().zip(hash.chunks_exact(3)) {
            for (column, cell) in row.iter_mut().enumerate() {
                *cell = bytes[column.min(CELLS - 1 - column)] % 2 == 0;
            }
        }
        let [.., a, b, c] = hash;
        let sum = u16::from(a) + u16::from(b) + u16::from(c);
        Self { cells, color: color(f64::from(sum) / 765.0 * 360.0), hash }
    }

    /// Returns the MD5 of the text, which determines the picture.
    pub fn hash(&self) -> &[u8; 16] {
        &self.hash
    }

    /// Returns which cells are filled, rows from the top.
    pub fn cells(&self) -> &[[bool; CELLS]; CELLS] {
        &self.cells
    }

    /// Returns red, green and blue of the filled cells.
    pub fn color(&self) -> [u8; 3] {
        self.color
    }

    /// Returns [`SIZE`](Self::SIZE) by [`SIZE`](Self::SIZE) pixels of red, green, blue and alpha,
    /// rows from the top. Empty cells are transparent.
    pub fn rgba(&self) -> Vec<u8> {
        let [red, green, blue] = self.color;
        let mut pixels = vec![0; SIZE * SIZE * 4];
        for (y, line) in pixels.chunks_exact_mut(SIZE * 4).enumerate() {
            for (x, pixel) in line.chunks_exact_mut(4).enumerate() {
                if self.is_filled(x, y) {
                    pixel.copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
        pixels
    }

    fn is_filled(&self, x: usize, y: usize) -> bool {
        let cell = |at: usize| at.checked_sub(MARGIN).map(|at| at / CELL);
        let (Some(column), Some(row)) = (cell(x), cell(y)) else { return false };
        self.cells.get(row).and_then(|row| row.get(column)).copied().unwrap_or(false)
    }
}

/// Writes `Identicon(#8cc3d9 11111 11111 …)`.
impl fmt::Debug for Identicon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identicon(#{}", hex::encode(self.color))?;
        for row in &self.cells {
            f.write_str(" ")?;
            row.iter().try_for_each(|cell| f.write_str(if *cell { "1" } else { "0" }))?;
        }
        f.write_str(")")
    }
}

/// Converts HSL to RGB in double precision, with saturation 0.5 and lightness 0.7. Channels are
/// rounded to 16 bits and then truncated to 8, not rounded to 8.
fn color(hue: f64) -> [u8; 3] {
    const SATURATION: f64 = 0.5;
    const LIGHTNESS: f64 = 0.7;
    let t1 = LIGHTNESS + SATURATION - LIGHTNESS * SATURATION;
    let t2 = 2.0 * LIGHTNESS - t1;
    let turn = hue / 360.0;
    let channel = |offset: f64| {
        let mut t = turn + offset;
        if t < 0.0 {
            t += 1.0;
        }
        if t > 1.0 {
            t -= 1.0;
        }
        let value = if 6.0 * t < 1.0 {
            t2 + (t1 - t2) * 6.0 * t
        } else if 2.0 * t < 1.0 {
            t1
        } else if 3.0 * t < 2.0 {
            t2 + (t1 - t2) * (2.0 / 3.0 - t) * 6.0
        } else {
            t2
        };
        // Truncation is floor, since the value is not negative.
        (((value * 65535.0 + 0.5) as u32) >> 8) as u8
    };
    [channel(1.0 / 3.0), channel(0.0), channel(-1.0 / 3.0)]
}

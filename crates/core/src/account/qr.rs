//! QR codes: what a phone reads from a terminal or a page.

use qrcode::{Color, EcLevel, QrCode};

use super::identicon::write_png;

/// Light modules around the code that readers need.
pub const QUIET_ZONE: usize = 4;

/// A text that fits into no QR code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of {got} bytes fits into no QR code (the limit is 2331)")]
pub struct QrError {
    pub got: usize,
}

impl QrError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        "qr.too_long"
    }
}

/// A QR code with error correction level M and its quiet zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qr {
    side: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// The smallest code that holds `text`.
    pub fn new(text: &str) -> Result<Self, QrError> {
        let error = QrError { got: text.len() };
        // The most that level M holds, before any work is done.
        if text.len() > 2331 * 3 {
            return Err(error);
        }
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| error)?;
        let width = code.width();
        let side = width + 2 * QUIET_ZONE;
        let mut dark = vec![false; side * side];
        let lines = dark.chunks_exact_mut(side).skip(QUIET_ZONE);
        for (line, colors) in lines.zip(code.to_colors().chunks_exact(width)) {
            for (module, color) in line.iter_mut().skip(QUIET_ZONE).zip(colors) {
                *module = *color == Color::Dark;
            }
        }
        Ok(Self { side, dark })
    }

    /// Modules along a side, quiet zone included.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Rows from the top, `true` for dark.
    pub fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.dark.chunks_exact(self.side)
    }

    /// Half blocks, two modules to a character, one line per two rows. `light` modules are
    /// drawn, so the code reads well on a dark terminal; `invert` draws the dark ones.
    pub fn to_text(&self, invert: bool) -> String {
        let mut text = String::new();
        let rows: Vec<&[bool]> = self.rows().collect();
        for pair in rows.chunks(2) {
            let (top, bottom) = match pair {
                [top, bottom] => (*top, Some(*bottom)),
                [top] => (*top, None),
                _ => continue,
            };
            for (at, upper) in top.iter().enumerate() {
                let drawn = |dark: bool| dark == invert;
                // Below the last row there is only more of the quiet zone.
                let lower = bottom.and_then(|row| row.get(at)).copied().unwrap_or(false);
                text.push(match (drawn(*upper), drawn(lower)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }

    /// An SVG image, one unit per module.
    pub fn to_svg(&self) -> String {
        use std::fmt::Write as _;

        let side = self.side;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
             shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" \
             fill=\"#fff\"/><path d=\""
        );
        for (y, row) in self.rows().enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run.first() == Some(&true) {
                    let _ = write!(svg, "M{x} {y}h{0}v1h-{0}z", run.len());
                }
                x += run.len();
            }
        }
        svg.push_str("\" fill=\"#000\"/></svg>\n");
        svg
    }

    /// Grey pixels (0 dark, 255 light), `scale` by `scale` of them per module, at least one;
    /// with the number of pixels along a side.
    pub fn to_gray(&self, scale: u8) -> (usize, Vec<u8>) {
        let scale = usize::from(scale.max(1));
        let mut pixels = Vec::with_capacity(self.dark.len() * scale * scale);
        for row in self.rows() {
            for _ in 0..scale {
                for dark in row {
                    pixels.extend(std::iter::repeat_n(if *dark { 0 } else { 255 }, scale));
                }
            }
        }
        (self.side * scale, pixels)
    }

    /// A grey PNG file, `scale` by `scale` pixels per module.
    pub fn to_png(&self, scale: u8) -> Vec<u8> {
        let (side, pixels) = self.to_gray(scale);
        write_png(side as u32, png::ColorType::Grayscale, png::BitDepth::Eight, &pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finder_patterns_stand_in_three_corners() {
        let qr = Qr::new(&format!("0x04{}", "ab".repeat(64))).unwrap();
        let rows: Vec<&[bool]> = qr.rows().collect();
        let finder = |x: usize, y: usize| {
            let ring = [true, false, true, true, true, false, true];
            (0..7).all(|i| rows[y + 3][x + i] == ring[i] && rows[y + i][x + 3] == ring[i])
        };
        let far = qr.side() - QUIET_ZONE - 7;
        assert!(finder(4, 4) && finder(far, 4) && finder(4, far) && !finder(far, far));
        assert!(rows[..4].iter().flat_map(|row| row.iter()).all(|dark| !dark));
    }

    #[test]
    fn all_forms_show_the_same_modules() {
        let qr = Qr::new("status").unwrap();
        let (side, pixels) = qr.to_gray(3);
        assert_eq!((side, pixels.len()), (qr.side() * 3, qr.side() * qr.side() * 9));
        let reader = png::Decoder::new(std::io::Cursor::new(qr.to_png(3))).read_info();
        let mut reader = reader.unwrap();
        let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut decoded).unwrap();
        assert_eq!(decoded, pixels);
        let text = qr.to_text(true);
        assert_eq!(text.lines().count(), qr.side().div_ceil(2));
        assert!(text.lines().all(|line| line.chars().count() == qr.side()));
        let dark = qr.rows().flatten().filter(|dark| **dark).count();
        let drawn = text.chars().map(|c| match c {
            '█' => 2,
            '▀' | '▄' => 1,
            _ => 0,
        });
        assert_eq!(drawn.sum::<usize>(), dark);
        assert!(qr.to_svg().starts_with("<svg") && qr.to_svg().ends_with("</svg>\n"));
    }

    #[test]
    fn too_long_texts_are_refused() {
        for length in [2332, 100_000_000] {
            let error = Qr::new(&"é".repeat(length / 2)).unwrap_err();
            assert_eq!(error, QrError { got: length / 2 * 2 });
        }
    }
}

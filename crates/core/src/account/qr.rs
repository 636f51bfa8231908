//! QR codes for terminals, pages and files.

use qrcode::{
    EcLevel, QrCode,
    render::{Pixel, svg, unicode::Dense1x2},
};

use crate::explain::Explanation;

/// Light modules around the code, which readers need; the renderers draw as many.
pub(super) const QUIET_ZONE: usize = 4;

/// The most bytes that a code of level M holds.
const MAX_BYTES: usize = 2331;

/// A text that is too long for a QR code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text of {got} bytes is too long for a QR code (the limit is {MAX_BYTES})")]
#[non_exhaustive]
pub struct QrError {
    pub got: usize,
}

impl QrError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        "qr.too_long"
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "qr.too_long",
        rule: "A QR code of error correction level M holds at most 2331 bytes.",
        source: "ISO/IEC 18004",
        causes: "A text that is not a key.",
    }];
}

/// A QR code with error correction level M.
#[derive(Clone)]
pub struct Qr(pub(super) QrCode);

impl Qr {
    /// Encodes `text` in the smallest code that holds it.
    ///
    /// # Errors
    /// If the text is too long.
    pub fn new(text: &str) -> Result<Self, QrError> {
        let error = QrError { got: text.len() };
        // Digits take less than half the space of bytes, so longer texts never fit.
        if text.len() > MAX_BYTES * 3 {
            return Err(error);
        }
        QrCode::with_error_correction_level(text, EcLevel::M).map(Self).map_err(|_| error)
    }

    /// Returns the number of modules along a side, with the quiet zone.
    pub fn side(&self) -> usize {
        self.0.width() + 2 * QUIET_ZONE
    }

    /// Draws half blocks, two modules per character, one line per two rows.
    ///
    /// The light modules are drawn, which reads well on a dark terminal; `invert` draws the dark
    /// ones.
    pub fn to_text(&self, invert: bool) -> String {
        let [drawn, blank] = [Dense1x2::Dark, Dense1x2::Light];
        let (dark, light) = if invert { (drawn, blank) } else { (blank, drawn) };
        let mut text = self.render(dark, light);
        // The number of rows is odd. The lower half of the last line is quiet zone, too.
        if !invert {
            let last = text.rfind('\n').unwrap_or(0);
            let line = text.split_off(last);
            text.push_str(&line.replace('▀', "█"));
        }
        text.push('\n');
        text
    }

    /// Draws an SVG image.
    pub fn to_svg(&self) -> String {
        let mut svg = self.render(svg::Color("#000"), svg::Color("#fff"));
        // Without the XML declaration, the image can also be embedded in HTML.
        svg.drain(..svg.find("<svg").unwrap_or(0));
        svg.push('\n');
        svg
    }

    fn render<P: Pixel>(&self, dark: P, light: P) -> P::Image {
        self.0.render().dark_color(dark).light_color(light).build()
    }
}

impl std::fmt::Debug for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Qr({} modules)", self.side())
    }
}

#[cfg(all(test, feature = "png"))]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    fn key() -> String {
        format!("0x04{}", "ab".repeat(64))
    }

    fn rows(qr: &Qr) -> Vec<Vec<bool>> {
        let (side, pixels) = qr.to_gray(1);
        pixels.chunks_exact(side).map(|row| row.iter().map(|it| *it == 0).collect()).collect()
    }

    #[test]
    fn finder_patterns_are_in_three_corners() {
        let qr = Qr::new(&key()).unwrap();
        let rows = rows(&qr);
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
        let dark = rows(&qr).iter().flatten().filter(|dark| **dark).count();
        let drawn = text.chars().map(|c| match c {
            '█' => 2,
            '▀' | '▄' => 1,
            _ => 0,
        });
        assert_eq!(drawn.sum::<usize>(), dark);
        assert!(qr.to_svg().starts_with("<svg") && qr.to_svg().ends_with("</svg>\n"));
    }

    /// The text (or the key, if empty), and the SHA-256 of its pixels and of its drawings on a dark
    /// and on a light terminal. They are from before the renderers of `qrcode` were used.
    const DRAWINGS: [[&str; 4]; 2] = [
        [
            "status",
            "eb2988cfd0fb23f514432a4cb1aea9f2053b149a3d82eb690bbe33db4d5f03e3",
            "5ca26fe2b0fcfbab4f21d990469b6aa6d756fa75d7bb84c588f3284b7d033feb",
            "91165a61f273b6d245a84cc52951926419ee23239742930a7b3e51f58de034b3",
        ],
        [
            "",
            "1e599fba8c7f41ead71c89aec053068782a28b9ca557b77978757616af792a0e",
            "55ce0066bcc70dc5cbf9303931fc5614a5d3664d14bc21230ecf89636eccdd8d",
            "6240480e2549a7e7fc4ace074618963e16598bbc2bb318212ae8acc46b44d9b0",
        ],
    ];

    #[test]
    fn drawings_never_change() {
        for [text, gray, dark_terminal, light_terminal] in DRAWINGS {
            let key = key();
            let qr = Qr::new(if text.is_empty() { &key } else { text }).unwrap();
            let hash = |bytes: &[u8]| hex::encode(sha256(bytes));
            assert_eq!(hash(&qr.to_gray(1).1), gray, "{text}");
            assert_eq!(hash(qr.to_text(false).as_bytes()), dark_terminal, "{text}");
            assert_eq!(hash(qr.to_text(true).as_bytes()), light_terminal, "{text}");
            assert_eq!(svg_rows(&qr), rows(&qr), "{text}");
        }
    }

    /// Paints the path of an SVG image, whose modules are squares of 8 units.
    fn svg_rows(qr: &Qr) -> Vec<Vec<bool>> {
        const UNIT: usize = 8;
        let svg = qr.to_svg();
        let path = svg
            .split(" d=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("an SVG image of ours");
        let mut rows = vec![vec![false; qr.side()]; qr.side()];
        for square in path.split('M').skip(1) {
            let (x, y) = square
                .split_once('h')
                .and_then(|it| it.0.split_once(' '))
                .expect("an SVG image of ours");
            let (x, y): (usize, usize) = (
                x.parse().expect("an SVG image of ours"),
                y.parse().expect("an SVG image of ours"),
            );
            assert_eq!(square, format!("{x} {y}h{UNIT}v{UNIT}H{x}V{y}"));
            rows[y / UNIT][x / UNIT] = true;
        }
        rows
    }

    #[test]
    fn too_long_texts_are_rejected() {
        for length in [2332, 100_000_000] {
            let error = Qr::new(&"é".repeat(length / 2)).unwrap_err();
            assert_eq!(error, QrError { got: length / 2 * 2 });
        }
    }
}

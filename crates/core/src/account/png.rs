//! PNG files of identicons and QR codes.

use ::png::{BitDepth, ColorType, Encoder};
use data_encoding::BASE64;
use qrcode::Color;

use super::{Identicon, Qr, qr::QUIET_ZONE};

impl Identicon {
    /// Returns the picture as a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        write_png(Self::SIZE as u32, ColorType::Rgba, BitDepth::Eight, &self.rgba())
    }

    /// Returns the PNG file as `data:image/png;base64,…`, the form that clients store and send.
    pub fn to_data_uri(&self) -> String {
        format!("data:image/png;base64,{}", BASE64.encode(&self.to_png()))
    }
}

impl Qr {
    /// Draws a grey PNG file, `scale` by `scale` pixels per module, at least one.
    pub fn to_png(&self, scale: u8) -> Vec<u8> {
        let (side, pixels) = self.to_gray(scale);
        write_png(side as u32, ColorType::Grayscale, BitDepth::Eight, &pixels)
    }

    /// Returns the number of pixels along a side, and grey pixels (0 dark, 255 light).
    pub(super) fn to_gray(&self, scale: u8) -> (usize, Vec<u8>) {
        let scale = usize::from(scale.max(1));
        let side = self.side() * scale;
        let inner = QUIET_ZONE..QUIET_ZONE + self.0.width();
        let mut pixels = Vec::with_capacity(side * side);
        for y in (0..side).map(|y| y / scale) {
            for x in (0..side).map(|x| x / scale) {
                let is_dark = inner.contains(&x)
                    && inner.contains(&y)
                    && self.0[(x - QUIET_ZONE, y - QUIET_ZONE)] == Color::Dark;
                pixels.push(if is_dark { 0 } else { 255 });
            }
        }
        (side, pixels)
    }
}

/// Encodes a square PNG of `side` pixels.
fn write_png(side: u32, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side, side);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(data)?;
        writer.finish()
    });
    written.expect("the data has the stated size, and writing to memory does not fail");
    file
}

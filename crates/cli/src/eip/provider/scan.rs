//! `status-eip provider scan`: the text of a QR code (EIP-945).

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::MAX_INPUT,
    output::Record,
};

/// The largest picture, in pixels.
const MAX_PIXELS: u64 = 16 << 20;

/// Read the texts of QR codes in a PNG picture; exit 1 if there is none
///
/// A page that asks for a scan gets the text as it is (EIP-945). For links, pipe the records to
/// `link parse`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link make --to bob.eth --png out.png --force && status-eip provider scan out.png | status-eip link parse")]
pub struct ScanCommand {
    /// A picture in PNG; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl ScanCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let bytes = read(&self.file)?;
        let (width, height, pixels) = decode(&bytes)?;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            pixels.get(y * width + x).copied().unwrap_or(255)
        });
        let mut count = 0;
        let mut broken = None;
        for grid in image.detect_grids() {
            match grid.decode() {
                Ok((meta, text)) => {
                    count += 1;
                    let record = Record::new("qr_text")
                        .with("text", text.as_str())
                        .with("version", meta.version.0 as u64)
                        .with_raw(text.as_bytes());
                    cx.collect(&record, |_| crate::output::escape(&text))?;
                }
                Err(error) => broken = Some(error),
            }
        }
        match broken {
            _ if count > 0 => Ok(()),
            None => Err(CliError::new("qr.none", Exit::Negative, "no QR code was found").into()),
            Some(error) => {
                let message = format!("a QR code was found, but not read: {error}");
                Err(CliError::new("qr.broken", Exit::Negative, message).into())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: io::Error| {
        let message = format!("can't read {}: {error}", path.display());
        CliError::new("file.read", Exit::Local, message).field("FILE")
    };
    let mut bytes = Vec::new();
    let limit = MAX_INPUT as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        BufReader::new(file).take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() > MAX_INPUT {
        let message = format!("a picture of more than {} MiB", MAX_INPUT >> 20);
        return Err(CliError::new("input.too_long", Exit::Malformed, message).into());
    }
    Ok(bytes)
}

/// Decodes a picture to grey values: width, height, and one byte per pixel.
fn decode(bytes: &[u8]) -> Result<(usize, usize, Vec<u8>)> {
    let failed = |error: png::DecodingError| {
        CliError::new("qr.picture", Exit::Malformed, format!("not a picture in PNG: {error}"))
    };
    let mut decoder = png::Decoder::new(io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(failed)?;
    let (width, height) = reader.info().size();
    let size = reader.output_buffer_size();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let message = format!("a picture of {width} by {height} pixels; the limit is {MAX_PIXELS}");
        return Err(CliError::new("qr.picture", Exit::Malformed, message).into());
    }
    let mut data = vec![0; size.unwrap_or_default()];
    let info = reader.next_frame(&mut data).map_err(failed)?;
    let samples = info.color_type.samples();
    let grey = data[..info.buffer_size()].chunks_exact(samples).map(|pixel| {
        let sum = |colours: &[u8]| colours.iter().map(|it| u32::from(*it)).sum::<u32>();
        // What is transparent is white.
        let (colours, alpha) = match *pixel {
            [grey, alpha] => (u32::from(grey), u32::from(alpha)),
            [_, _, _, alpha] => (sum(&pixel[..3]) / 3, u32::from(alpha)),
            _ => (sum(pixel) / samples as u32, 255),
        };
        ((colours * alpha + 255 * (255 - alpha)) / 255) as u8
    });
    Ok((width as usize, height as usize, grey.collect()))
}

//! `status-account identicon` and `qr`: pictures of keys.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::{
    account::{Base, Identicon, Qr, ShareLink, to_compact},
    crypto::PublicKey,
};

use crate::{
    account::{card, stream::each_key},
    context::Context,
    error::{CliError, Exit, Result},
    files::{Readers, check_free, write_new},
    output::{Format, Record},
    picture::{PictureArgs, only_one},
};

/// Show the identicon of each KEY, or of each key on standard input
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account identicon zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB --png out.png --force
  $ status-account new --seed 1 | status-account identicon --output text
  $ status-account new --seed 1 | status-account identicon --output raw > out.png")]
pub struct IdenticonCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, fe701…, or share links
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Write a PNG picture of 50 by 50 pixels to FILE; for a single key
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Overwrite the file of --png
    #[arg(long, requires = "png")]
    force: bool,
}

impl IdenticonCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let colour = cx.has_colour();
        if let Some(path) = &self.png {
            check_free(path, "--png", self.force)?;
        }
        let mut count = 0;
        each_key(cx, &self.keys, |cx, key| {
            count += 1;
            let identicon = Identicon::from_key(key);
            let png = identicon.to_png();
            if let Some(path) = &self.png {
                only_one(count, "--png", "key")?;
                write_new(path, &png, Readers::Everyone, "--png", self.force)?;
            }
            let shown = self.png.as_ref().map(|path| path.display().to_string());
            let record = Record::new("identicon")
                .with("public_key", key.to_string())
                .with("identicon", card::picture(&identicon))
                .with("uri", identicon.to_data_uri())
                .with_some("file", shown.as_deref())
                .with_raw(&png);
            if shown.is_some() && matches!(cx.format(), Format::Hex | Format::Raw) {
                return Ok(());
            }
            cx.collect(&record, |_| shown.unwrap_or_else(|| drawing(&identicon, colour)))
        })
    }
}

fn drawing(identicon: &Identicon, colour: bool) -> String {
    card::drawing(identicon, colour).join("\n")
}

/// Show the QR code of each KEY, or of each key on standard input
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account new --seed 1 | status-account qr --output text
  $ status-account new --seed 1 | status-account qr --link --png out.png --svg out.svg --force")]
pub struct QrCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, fe701…, or share links
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Encode the share link instead of 0x04…, which Status clients show
    #[arg(long, conflicts_with = "compact")]
    link: bool,
    /// Encode the compact key zQ3sh… instead of 0x04…
    #[arg(long)]
    compact: bool,
    #[command(flatten)]
    picture: PictureArgs,
}

impl QrCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let colour = cx.has_colour();
        self.picture.check_free()?;
        let mut count = 0;
        each_key(cx, &self.keys, |cx, key| {
            count += 1;
            let text = self.text(key);
            let qr = Qr::new(&text)
                .map_err(|error| CliError::new(error.code(), Exit::Malformed, error.to_string()))?;
            self.picture.write(&qr, count, "key")?;
            let names = self.picture.names();
            let record = Record::new("qr")
                .with("text", text.as_str())
                .with("public_key", key.to_string())
                .with("side", qr.side())
                .with_some("files", (!names.is_empty()).then(|| names.clone()))
                .with_raw(&qr.to_png(self.picture.scale));
            if !names.is_empty() && matches!(cx.format(), Format::Hex | Format::Raw) {
                return Ok(());
            }
            cx.collect(&record, |_| match names.is_empty() {
                true => draw(&qr, self.picture.invert, colour),
                false => names.join("\n"),
            })
        })
    }

    fn text(&self, key: &PublicKey) -> String {
        match (self.link, self.compact) {
            (true, _) => ShareLink::user(key).to_string(),
            (_, true) => to_compact(key, Base::BASE58),
            _ => key.to_string(),
        }
    }
}

/// Draws white on black if there are colours, so that phones can read it in any theme.
fn draw(qr: &Qr, invert: bool, colour: bool) -> String {
    let text = qr.to_text(invert);
    if !colour || invert {
        return text;
    }
    text.lines().map(|line| format!("\x1b[97;40m{line}\x1b[0m\n")).collect()
}

//! Options for pictures of QR codes.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::account::Qr;

use crate::{
    error::{CliError, Result},
    files::{Readers, check_free, write_new},
};

/// Where the picture of a code goes, and how it looks.
#[derive(Debug, Args)]
pub struct PictureArgs {
    /// Write the code as a PNG picture to FILE; for a single code
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Write the code as an SVG picture to FILE; for a single code
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Pixels per module of the PNG picture
    #[arg(long, value_name = "PIXELS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub scale: u8,
    /// Draw the dark modules instead of the light ones, for terminals with dark text
    #[arg(long)]
    pub invert: bool,
    /// Overwrite the files of --png and --svg
    #[arg(long)]
    force: bool,
}

impl PictureArgs {
    fn files(&self) -> impl Iterator<Item = (&PathBuf, &'static str)> {
        let files = [(&self.png, "--png"), (&self.svg, "--svg")];
        files.into_iter().filter_map(|(path, option)| Some((path.as_ref()?, option)))
    }

    /// Fails early if a file exists and may not be overwritten.
    pub fn check_free(&self) -> Result<()> {
        self.files().try_for_each(|(path, option)| check_free(path, option, self.force))
    }

    /// Returns the names of the files.
    pub fn names(&self) -> Vec<String> {
        self.files().map(|(path, _)| path.display().to_string()).collect()
    }

    /// Writes the files for the code number `count` of the input, from 1. `of` names what the code
    /// is made of.
    pub fn write(&self, qr: &Qr, count: u64, of: &str) -> Result<()> {
        for (path, option) in self.files() {
            only_one(count, option, of)?;
            let picture = match option {
                "--png" => qr.to_png(self.scale),
                _ => qr.to_svg().into_bytes(),
            };
            write_new(path, &picture, Readers::Everyone, option, self.force)?;
        }
        Ok(())
    }
}

/// Fails for more than one: a file contains a single picture.
pub fn only_one(count: u64, option: &'static str, of: &str) -> Result<()> {
    if count == 1 {
        return Ok(());
    }
    let message = format!("a file contains the picture of one {of}, but there are more");
    Err(CliError::usage(message).field(option).into())
}

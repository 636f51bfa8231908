//! `statuskit keygen`: generates a private key.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::crypto::SecretKey;
use zeroize::Zeroizing;

use crate::{
    context::Context,
    error::Result,
    files::{self, Readers},
    output::Record,
};

/// Generate a private key for --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit keygen --out me.key
  $ statuskit keygen --seed 1 --show-secret")]
pub struct KeygenArgs {
    /// Write the private key to FILE, readable only by you; never overwrites a file
    #[arg(long, value_name = "FILE", required_unless_present = "show_secret")]
    out: Option<PathBuf>,
    /// Print the private key
    #[arg(long)]
    show_secret: bool,
}

pub fn run(args: &KeygenArgs, cx: &mut Context) -> Result<()> {
    let key = SecretKey::generate(&mut cx.rng("keygen")?);
    cx.warn_of_seed();
    let hex = key.to_hex();
    if let Some(path) = &args.out {
        let line = Zeroizing::new(format!("{}\n", hex.trim_start_matches("0x")));
        files::write_new(path, line.as_bytes(), Readers::Owner, "--out", false)?;
    }
    let record = Record::new("key")
        .with("public_key", key.public_key().to_string())
        .with_some("file", args.out.as_ref().map(|path| path.display().to_string()))
        .with_some("private_key", args.show_secret.then_some(hex.as_str()));
    cx.emit(&record, Record::to_text)
}

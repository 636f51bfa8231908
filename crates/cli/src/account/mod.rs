//! `status-account`: creates, imports, shows and converts accounts.

mod card;
mod derive;
mod keystore;
mod make;
mod picture;
mod show;
mod sign;
pub mod stream;
mod vanity;

pub use sign::{Signer, signature_of};

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};

/// Create, import, show and convert accounts; names, pictures, key files and signatures
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account new --seed 1
  $ status-account new --out mine.json && status-account show --identity mine.json
  $ status-account new --seed 1 | status-account name
  $ status-account new --seed 1 --show-secret | status-account derive --path wallet")]
pub struct AccountArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(make::NewCommand),
    Import(make::ImportCommand),
    Show(show::ShowCommand),
    Derive(derive::DeriveCommand),
    Name(show::NameCommand),
    Identicon(picture::IdenticonCommand),
    Qr(picture::QrCommand),
    Compress(show::CompressCommand),
    Expand(show::ExpandCommand),
    Keystore(keystore::KeystoreCommand),
    Sign(sign::SignCommand),
    Verify(sign::VerifyCommand),
    Recover(sign::RecoverCommand),
    Vanity(vanity::VanityCommand),
}

pub fn run(args: &AccountArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::New(command) => command.run(cx),
        Command::Import(command) => command.run(cx),
        Command::Show(command) => command.run(cx),
        Command::Derive(command) => command.run(cx),
        Command::Name(command) => command.run(cx),
        Command::Identicon(command) => command.run(cx),
        Command::Qr(command) => command.run(cx),
        Command::Compress(command) => command.run(cx),
        Command::Expand(command) => command.run(cx),
        Command::Keystore(command) => command.run(cx),
        Command::Sign(command) => command.run(cx),
        Command::Verify(command) => command.run(cx),
        Command::Recover(command) => command.run(cx),
        Command::Vanity(command) => command.run(cx),
    }
}
